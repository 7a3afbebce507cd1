"""A file that is written as a whole: a reader sees it as it is now, or as it was before."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_ASIDE = ".htxdata-"
"""What files aside begin with: short, as the name of the target may be as long as a name can be."""


def replace(target: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``target`` as ``whole`` does. What is made anew where it cannot be read need not be
    ``durable``."""
    with whole(target, durable=durable) as file:
        file.write(content)


def replace_text(target: Path, text: str) -> None:
    """Write ``text`` to ``target``, on disk before it takes the name."""
    replace(target, text.encode())


@contextlib.contextmanager
def whole(target: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """What is written here takes the name ``target`` when the block ends well; until then it lies beside it.

    A link stays a link, and what it leads to is replaced. A pipe or a device (``/dev/null``) is written to as it is.
    What killed processes left beside it is removed. ``durable``: on disk before it takes the name. Raises ``OSError``,
    or ``ValueError`` for a name that no file can have.
    """
    target = Path(os.path.realpath(target))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    _swept(target.parent)
    with _aside(target.parent) as file:
        try:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
            os.replace(file.name, target)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(file.name)  # gone where it took the name


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[BinaryIO]:
    """A new file that is locked while its writer lives: nobody else takes it for a dead one's."""
    while True:
        with (folder / f"{_ASIDE}{uuid.uuid4().hex}.tmp").open("xb") as file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                yield file
                return


def sweep(folder: Path, *, below: bool = False) -> int:
    """Remove from a folder, and from those ``below`` it, what no living process writes; how many files."""
    count = 0
    for path in folder.glob(f"{'**/' if below else ''}{_ASIDE}*.tmp"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            count += 1
    return count


_swept = functools.lru_cache(64)(sweep)  # once in a process: an export may write thousands of files
