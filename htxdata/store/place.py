"""Where a lake is: a folder, or a bucket. The verbs of either, and the folder of this machine beside it.

A root is a ``Path`` (a local folder) or a text ``s3://bucket/prefix``. Everything in a lake is named by its root, a
slash and what follows, so a name tells by itself whose verbs it needs.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol, TypeVar
from urllib.parse import urlsplit

from htxdata.errors import LakeUnusable
from htxdata.store import disk
from htxdata.store.drafts import Draft
from htxdata.store.generations import Generation, Untidy

Root = Path | str
SCHEME = "s3://"

_Made = TypeVar("_Made")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# What a glob means, what a path steps over, and what S3 itself advises against.
_PREFIX = re.compile(r"[A-Za-z0-9!_.'()=@&$+,:; /-]*")


class Look(Protocol):
    """What is in a lake at one look. ``gather`` says that everything below a folder will be asked for."""

    def gather(self, path: str) -> None: ...
    def folders(self, path: str) -> list[str]: ...
    def is_folder(self, path: str) -> bool: ...
    def newest(self, folder: str) -> Generation | None: ...


class Verbs(Protocol):
    """What a lake asks of where it lies. ``store/disk.py`` is it for folders, ``store/bucket.py`` for buckets.

    Folders and paths are whole names, root and all. ``tests/store/contract.py`` says what each verb has to keep.
    """

    def newest(self, folder: str) -> Generation | None:
        """The newest generation, None where there is none."""

    def open_newest(self, folder: str, *, tail: bool = False) -> tuple[Generation, IO[bytes]] | None:
        """It, opened. ``tail``: only the end of it will be read."""

    def open_path(self, path: str, *, tail: bool = False) -> IO[bytes]:
        """A generation that was found before, or a foreign file; ``FileNotFoundError`` where it is gone."""

    def source(self, path: str) -> str | IO[bytes]:
        """What pyarrow reads a whole file from quickest: a name, or an open file to be closed afterwards."""

    def is_there(self, path: str) -> bool: ...

    def stamp(self, path: str) -> tuple[int, int, int] | None:
        """What changes where a file does, its size in the middle; None where it is gone."""

    def look(self) -> Look: ...

    def each(self, work: Callable[[str], _Made], paths: Iterable[str]) -> Iterator[_Made]:
        """``work`` of every path, in their order; several at once where that is quicker."""

    def is_folder(self, path: str) -> bool: ...

    def alone(
        self, root: Root, folder: str, grace: float, work: Callable[[Generation | None], _Made]
    ) -> _Made:
        """``work(newest)``, and nobody else publishes between what it is given and what it publishes.

        Whoever has locks waits; whoever has none does ``work`` again from the newest where another was quicker.
        """

    def turn(self, root: Root, folder: str) -> AbstractContextManager[object]:
        """One at a time on this machine, for work that is more than one publication."""

    def publish(
        self, folder: str, before: Generation | None, content: memoryview | bytes
    ) -> Generation: ...

    def publish_draft(
        self, folder: str, before: Generation | None, draft: Draft, absorbed: Iterable[str] = ()
    ) -> Generation: ...

    def draft(self, root: Root, folder: str) -> Draft: ...

    def scratch(self, folder: str) -> str:
        """A local folder for what a commit to ``folder`` holds on the disk meanwhile."""

    def tidy(self, root: Root, folder: str, grace: float) -> Generation | None:
        """Finish what dead writers left, forget generations past their grace."""

    def untidy(self, folder: str) -> Untidy: ...

    def unfinished(self, folder: str) -> bool:
        """Whether a writer died in such a way that foreign readers wait for :meth:`tidy`."""

    def drop(self, folder: str, name: str) -> None: ...

    def load(self, path: str) -> bytes | None:
        """A small file beside the data, None where there is none."""

    def swap(self, root: Root, path: str, change: Callable[[bytes | None], bytes | None]) -> bool:
        """Put ``change(what is there)`` in its place at once; None leaves it. Whether it was written."""


def root_of(text: Path | str) -> Root:
    """A root as it is written; ``LakeUnusable`` where it can be none."""
    if isinstance(text, Path) or "://" not in text:
        return Path(text).expanduser().absolute()
    if not text.startswith(SCHEME):
        raise LakeUnusable(f"the lake {shown(text)!r} cannot be used: give a folder, or s3://bucket/prefix")
    bucket, _, prefix = text.removeprefix(SCHEME).partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise LakeUnusable(
            f"the lake {shown(text)!r} cannot be used: {shown(bucket)!r} is no name of a bucket (3 to 63 small "
            "letters, digits, dots and hyphens): give s3://bucket/prefix"
        )
    parts = prefix.split("/") if prefix else []
    if not _PREFIX.fullmatch(prefix) or any(part in ("", ".", "..") for part in parts):
        raise LakeUnusable(
            f"the lake {text!r} cannot be used: a prefix is of letters, digits and !_.'()=@&$+,:;- between "
            "single slashes"
        )
    return "/".join((f"{SCHEME}{bucket}", *parts))


def shown(text: str) -> str:
    """A URL without the user and password that somebody may have written into it."""
    head, sign, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{head}{sign}{host.rpartition('@')[2]}{slash}{path}"


def verbs(name: Root) -> Verbs:
    """The verbs of a root, or of anything in it."""
    if isinstance(name, str) and name.startswith(SCHEME):
        from htxdata.store import bucket  # botocore takes 0.2 s to import, and most lakes are folders

        return bucket.bucket(name.removeprefix(SCHEME).partition("/")[0])
    return disk


def beside(root: Root) -> Path:
    """The folder of this machine for what is kept beside a lake (caches, spools, locks). All of it may be deleted."""
    if isinstance(root, Path):
        return root / ".htxdata"
    bucket, _, prefix = root.removeprefix(SCHEME).partition("/")
    return cache_of(bucket) / (f"{_hash(prefix)}-{re.sub('[^A-Za-z0-9_.-]', '-', prefix)[:80]}" if prefix else "all")


def cache_of(bucket: str) -> Path:
    """The folder of this machine for a bucket: one name at two endpoints is two buckets."""
    home = os.environ.get("XDG_CACHE_HOME") or ""
    top = Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    where = f"{_hash(endpoint)}-{urlsplit(endpoint).hostname or ''}" if endpoint else "aws"
    return top / "htxdata" / "s3" / where / bucket


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
