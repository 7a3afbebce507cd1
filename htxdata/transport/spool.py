"""The files of an archive that are on their way: parts that a killed process left, and whole ones until they are read.

For one key lie side by side ``<name>.part`` (the bytes so far), ``<name>`` (whole and verified), ``<name>.json`` (what
was said of them) and ``<name>.lock``. The lock is held alone by who fetches and shared by those who read, under
``flock``: the kernel drops it with who dies, so nothing here needs healing. Two who want one key fetch it once.

Nothing is synced to the disk: the files of another boot are begun anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from htxdata.errors import StoreError
from htxdata.transport.stampfile import boot

_BOOT = boot()
_POLL_S = 0.02
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")
_ENDINGS = (".part", ".json", ".json.tmp", ".lock")


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of a file in the spool. ``sha256`` is empty while it is a part. Instants in microseconds UTC."""

    key: str
    etag: str
    total: int | None
    modified: int | None = None
    sha256: str = ""
    received_at: int = 0
    checked: bool = False
    boot: int = _BOOT


class Claim:
    """One key, held until `leave` or `discard`. While ``alone`` it may be written; `finish` and `share` end that."""

    def __init__(self, spool: Spool, key: str, fd: int, alone: bool) -> None:
        self.key, self.alone, self._fd = key, alone, fd
        self.path = spool.path(key)
        self.part = self.path.with_name(self.path.name + ".part")
        self._note = self.path.with_name(self.path.name + ".json")

    def note(self) -> Note | None:
        """None if nothing is known, or it was said by another boot or of another file."""
        try:
            note = Note(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return note if note.key == self.key and note.boot == _BOOT else None

    def finished(self) -> Note | None:
        """What is known of the whole file, if it is here."""
        note = self.note()
        try:
            whole = note is not None and note.sha256 and os.stat(self.path).st_size == note.total
        except OSError:
            return None
        return note if whole else None

    def remember(self, note: Note) -> None:
        with told(self.path.parent):
            draft = self._note.with_name(self._note.name + ".tmp")
            draft.write_text(json.dumps(asdict(note)))
            draft.replace(self._note)

    def finish(self, note: Note) -> None:
        """The part is the whole file. Who dies in here leaves a part of full length, which is verified again."""
        self.remember(note)
        with told(self.path.parent):
            self.part.replace(self.path)
        self.share()

    def share(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        self.alone = False

    def empty(self) -> None:
        """Forgets all that is here but the lock. For who holds it alone."""
        with told(self.path.parent):
            for path in (self._note, self.part, self.path):
                path.unlink(missing_ok=True)

    def leave(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """Leaves, and takes the files along unless somebody else still reads them."""
        if self._fd < 0:
            return
        try:
            with suppress(BlockingIOError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.empty()
                with told(self.path.parent):
                    self.path.with_name(self.path.name + ".lock").unlink(missing_ok=True)
        finally:
            self.leave()


class Spool:
    """A folder of files that are being fetched. Shared by threads and processes; made at its first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the whole file of a key lies: readable, and never outside the folder whatever the key is."""
        return self.folder / _name(key)

    def holds(self, key: str) -> bool:
        """Whether there is something of this key: a part, a file, or somebody who is at it."""
        return os.path.exists(self._lock_of(key))

    def claim(self, key: str) -> Claim | None:
        """The key for this thread alone; None if somebody has it."""
        return self._locked(key, fcntl.LOCK_EX)

    def wait(self, key: str, check: Callable[[], None]) -> Claim:
        """The key alone, or with others once they have its whole file. ``check`` may raise to end the wait."""
        while True:
            if (claim := self.claim(key)) is not None:
                return claim
            if (claim := self._locked(key, fcntl.LOCK_SH)) is not None:
                if claim.finished() is not None:
                    return claim
                claim.leave()
            check()
            time.sleep(_POLL_S)

    def clean(self, older_than: float) -> int:
        """Removes what nobody holds or has touched for so many seconds; returns how many bytes that freed."""
        before, freed = time.time() - older_than, 0
        try:
            names = {_stem(name) for name in os.listdir(self.folder)}
        except FileNotFoundError:
            return 0
        for name in sorted(names):
            files = [self.folder / f"{name}{ending}" for ending in ("", *_ENDINGS)]
            found = {path: stat for path in files if (stat := _stat(path)) is not None}
            if not found or max(stat.st_mtime for stat in found.values()) > before:
                continue
            with told(self.folder):
                fd = _flocked(files[-1], fcntl.LOCK_EX)
                if fd < 0:
                    continue
                try:
                    for path in files:  # the lock last
                        path.unlink(missing_ok=True)
                finally:
                    os.close(fd)
            freed += sum(stat.st_size for stat in found.values())
        return freed

    def _lock_of(self, key: str) -> str:
        return f"{self.folder}/{_name(key)}.lock"  # asked for every small file, and a Path takes ten times as long

    def _locked(self, key: str, how: int) -> Claim | None:
        with told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = _flocked(self._lock_of(key), how)
        return None if fd < 0 else Claim(self, key, fd, how == fcntl.LOCK_EX)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the disk says, in a sentence that names the folder."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"the folder for downloads {folder}: {error.strerror or error}") from error


def _name(key: str) -> str:
    readable = _STRANGE.sub("_", key.rpartition("/")[2])[-80:]
    return f"{hashlib.sha256(key.encode()).hexdigest()[:16]}-{readable}"


def _flocked(path: str | Path, how: int) -> int:
    """A descriptor that has the lock, or -1 if somebody else has it."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
            if os.fstat(fd).st_nlink:  # who had it before us may have taken the file away
                return fd
        except BlockingIOError:
            os.close(fd)
            return -1
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _stem(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
