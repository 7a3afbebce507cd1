"""Files that grow until they are published, and what is left of those whose makers died.

A maker locks its draft, so that whoever holds the partition's lock meanwhile can tell it from one left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from pathlib import Path
from types import TracebackType

from htxdata.store import lasting, refusals
from htxdata.store.generations import TMP


class Draft:
    """A file of ``folder`` that grows until it is published or discarded; it lives as long as its maker.

    Write to ``path``. Call it with or without the partition's lock; only :func:`disk.publish_draft` needs that.
    """

    def __init__(self, root: Path | str, folder: str) -> None:
        with refusals.entering(root, folder):
            lasting.make_folder(folder)
        while True:
            self.path = f"{folder}/.{uuid.uuid4().hex}{TMP}"
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.fstat(self._file).st_nlink:
                return
            os.close(self._file)  # somebody took it for one left behind, before we held it

    def sync(self) -> None:
        # This handle is older than every write, so an error of any of them is told here.
        os.fsync(self._file)

    def discard(self) -> None:
        """Remove what was not published. May be called at any time, more than once."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                if os.fstat(self._file).st_nlink and os.path.samestat(
                    os.fstat(self._file), os.stat(self.path)
                ):
                    os.unlink(self.path)
            self.close()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def clear(folder: str) -> None:
    """Remove the drafts of dead makers."""
    for name in os.listdir(folder):
        if name.endswith(TMP):
            remove(f"{folder}/{name}")


def remove(path: str) -> None:
    """Remove an unfinished file whose maker is gone: a living one holds a lock on it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # its maker has just discarded it
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)  # before the lock is let go: one that was being made sees it, and is made anew
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        os.close(file)
