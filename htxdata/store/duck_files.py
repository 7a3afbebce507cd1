"""What DuckDB opens of a lake in a bucket: generations of this lake, to be read, and nothing else.

DuckDB asks a file system of Python for its files, its own extension for S3 is not needed and nothing is downloaded. It
opens a file some four times for a query; only bytes cost a request.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import IO, Any

from fsspec.spec import AbstractFileSystem

from htxdata.store import place

_NEVER = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BucketFiles(AbstractFileSystem):  # type: ignore[misc]
    """The files of the lake ``root``, read-only. A generation never changes, and so was never modified."""

    protocol = "s3"
    cachable = False  # fsspec gives one object to all who ask alike: this one has a lake of its own

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        self._verbs = place.verbs(root)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path

    def _checked(self, path: str) -> str:
        if not path.startswith(f"{self._root}/") or ".." in path.split("/"):
            raise PermissionError(f"{path} is not in the lake")
        return path

    def glob(self, path: str, maxdepth: Any = None, **kwargs: Any) -> list[str]:
        """Paths are told to DuckDB one by one, and mean themselves."""
        return [self._checked(path)]

    def open(self, path: str, mode: str = "rb", *args: Any, **kwargs: Any) -> IO[bytes]:
        if mode != "rb":
            raise PermissionError(f"the lake is read-only: {path} cannot be opened for {mode!r}")
        return self._verbs.open_path(self._checked(path))

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found = self._verbs.stamp(self._checked(path))
        if found is None:
            raise FileNotFoundError(path)
        return {"name": path, "size": found[1], "type": "file"}

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._verbs.stamp(self._checked(path)) is not None

    def isfile(self, path: str) -> bool:
        return self.exists(path)

    def isdir(self, path: str) -> bool:
        return False

    def modified(self, path: str) -> dt.datetime:
        return _NEVER

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        return [self.info(path) if detail else os.fspath(path)]
