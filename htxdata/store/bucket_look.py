"""What is in a lake in a bucket as it was listed once, for who asks of many folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from htxdata.store.bucket_names import generation
from htxdata.store.generations import PART, Generation

if TYPE_CHECKING:
    from htxdata.store.bucket_reading import Reading


class Look:
    """What is in a lake as it was listed, as few times as can be."""

    def __init__(self, home: Reading) -> None:
        self._home = home
        self._gathered: set[str] = set()
        self._folders: dict[str, dict[str, None]] = {}
        self._newest: dict[str, Generation] = {}

    def gather(self, path: str) -> None:
        """List everything below ``path`` at once."""
        if self._knows(path):
            return
        prefix = self._home.key(f"{path}/")
        for entry in self._home.objects.entries(prefix):
            parts = entry.key[len(prefix) :].split("/")
            at = path
            for part in parts[:-1]:
                self._folders.setdefault(at, {})[part] = None
                at = f"{at}/{part}"
            self._folders.setdefault(at, {})
            if parts[-1] == PART:
                self._newest[at] = generation(at, entry)
        self._gathered.add(path)

    def folders(self, path: str) -> list[str]:
        if self._knows(path):
            return sorted(self._folders.get(path, ()))
        return sorted(self._home.objects.folders(self._home.key(f"{path}/")))

    def is_folder(self, path: str) -> bool:
        if self._knows(path):
            return path in self._folders
        return self._home.is_folder(path)

    def newest(self, folder: str) -> Generation | None:
        return self._newest.get(folder) if self._knows(folder) else self._home.newest(folder)

    def _knows(self, path: str) -> bool:
        while path not in self._gathered:
            path, sign, _ = path.rpartition("/")
            if not sign:
                return False
        return True
