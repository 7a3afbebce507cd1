"""The verbs of a local lake: list, open, lock, publish. The only module that renames, links or removes a file.

A partition's folder holds ``.g<n>.pq``, immutable generations that our own readers open, newest first; and
``part.parquet``, a hard link to the newest, for everybody else (replacing a file in place failed 2 to 7 % of DuckDB's
queries; generations none). ``.lock`` is held while a commit runs, ``*.tmp`` is an unfinished write.

``publish`` is a row of steps between which a process may die. The rename to the next generation is the commit point.
Whoever takes the lock next finishes what is left: it removes ``*.tmp`` and links ``part.parquet`` anew where that
is not the newest generation.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from htxdata.errors import LakeUnusable, StoreError

PART = "part.parquet"
_LOCK = ".lock"
_TMP = ".tmp"
_GENERATION = re.compile(r"\.g(\d{9,})\.pq")
GRACE = 15 * 60.0  # seconds that a superseded generation stays for readers that have it open or are about to

step: Callable[[str], None] = lambda name: None  # noqa: E731 - tests crash a commit between its steps through this


class Generation(NamedTuple):
    """One immutable file of a partition; number 0 is a ``part.parquet`` that came without its generations."""

    number: int
    path: str


def newest(folder: str) -> Generation | None:
    """The newest generation in ``folder`` (absolute), ``None`` where there is none, or no folder."""
    best, name, plain = 0, "", False
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    for entry in names:
        match = _GENERATION.fullmatch(entry)
        if match:
            number = int(match[1])
            if number > best:
                best, name = number, entry
        elif entry == PART:
            plain = True
    if name:
        return Generation(best, f"{folder}/{name}")
    return Generation(0, f"{folder}/{PART}") if plain else None  # a copy that left the dot files behind


def open_newest(folder: str) -> tuple[Generation, IO[bytes]] | None:
    """The newest generation, opened: one handle, so that nothing read through it can tear."""
    for _ in range(100):
        found = newest(folder)
        if found is None:
            return None
        try:
            return found, open(found.path, "rb")
        except FileNotFoundError:  # superseded for longer than the grace between the listing and the opening
            continue
        except OSError as error:
            raise StoreError(f"{found.path} cannot be opened: {error.strerror}") from error
    raise StoreError(f"{folder}: its files vanish as fast as they are listed")


def folders(path: str) -> list[str]:
    """The names of the folders in ``path``, sorted; none where it is missing."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def locked(root: Path, folder: str, grace: float = GRACE) -> Iterator[Generation | None]:
    """Exclusive right to ``folder``, healed; gives its newest generation. Threads and processes wait for each other."""
    _make(root, folder)
    try:
        lock = os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise LakeUnusable(
            f"the lake {root} cannot be written: {error.strerror} ({folder}/{_LOCK})"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of this open file, so it keeps other threads out as well
        try:
            yield _heal(folder, grace)
        except OSError as error:
            raise StoreError(_sentence(folder, error)) from error
    finally:
        os.close(lock)


def publish(folder: str, before: Generation | None, content: memoryview | bytes) -> Generation:
    """Make ``content`` the newest generation. Call it under the lock; when it returns, it is on the disk for good."""
    number = before.number + 1 if before else 1
    aside = f"{folder}/.{uuid.uuid4().hex}{_TMP}"
    target = f"{folder}/.g{number:09d}.pq"
    step("begin")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(content)
        half = len(view) // 2
        _write(file, view[:half])
        step("half written")
        _write(file, view[half:])
        step("written")
        os.fsync(file)
    except OSError:
        os.unlink(aside)  # a full disk needs the room; where even this fails, the next lock removes it
        raise
    finally:
        os.close(file)
    step("synced")
    os.rename(aside, target)
    step("renamed")
    _sync(folder)
    step("committed")
    _link(folder, target)
    step("done")
    return Generation(number, target)


def _write(file: int, view: memoryview) -> None:
    while view:
        view = view[os.write(file, view) :]


def _link(folder: str, target: str) -> None:
    """Point ``part.parquet`` at ``target``."""
    aside = f"{folder}/.{uuid.uuid4().hex}{_TMP}"
    try:
        os.link(target, aside)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK):
            raise
        shutil.copyfile(target, aside)  # no hard links here: pay the bytes twice
        with open(aside, "rb+") as copy:
            os.fsync(copy.fileno())
    step("linked aside")
    os.rename(aside, f"{folder}/{PART}")
    step("linked")
    _sync(folder)


def _heal(folder: str, grace: float) -> Generation | None:
    """Finish what a dead writer left, forget generations that nobody reads any more."""
    numbers: list[int] = []
    for entry in os.listdir(folder):
        if entry.endswith(_TMP):
            os.unlink(f"{folder}/{entry}")
            continue
        match = _GENERATION.fullmatch(entry)
        if match:
            numbers.append(int(match[1]))
    numbers.sort()
    if not numbers:
        return newest(folder)
    last = f"{folder}/.g{numbers[-1]:09d}.pq"
    if not _is_linked(folder, last):
        _sync(folder)  # the rename may not have reached the disk when its writer died
        _link(folder, last)
    now = time.time()
    for number, successor in itertools.pairwise(numbers):
        # A rename keeps the time of the last write: a generation was superseded when its successor was written.
        if now - os.stat(f"{folder}/.g{successor:09d}.pq").st_mtime < grace:
            break
        os.unlink(f"{folder}/.g{number:09d}.pq")
        step("unlinked")
    return Generation(numbers[-1], last)


def _is_linked(folder: str, target: str) -> bool:
    try:
        part = os.stat(f"{folder}/{PART}")
    except FileNotFoundError:
        return False
    own = os.stat(target)
    if own.st_ino == part.st_ino:
        return True
    if own.st_nlink > 1 or part.st_nlink > 1:
        return False  # hard links work here, and this one points elsewhere
    if own.st_size != part.st_size:
        return False
    with open(target, "rb") as one, open(f"{folder}/{PART}", "rb") as other:  # copies: no inode to compare
        return one.read() == other.read()


def _make(root: Path, folder: str) -> None:
    """Create ``folder`` and what lacks above it, each on the disk before its child."""
    try:
        if os.path.isdir(folder):
            return
        missing, at = [], folder
        while not os.path.isdir(at):
            missing.append(at)
            at = os.path.dirname(at)
        for path in reversed(missing):
            try:
                os.mkdir(path)
            except FileExistsError:
                if not os.path.isdir(path):
                    raise
            _sync(os.path.dirname(path))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(_sentence(folder, error)) from error
        raise LakeUnusable(
            f"the lake {root} cannot be written: {error.strerror} ({error.filename})"
        ) from error


def _sync(folder: str) -> None:
    file = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sentence(folder: str, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: nothing was written to {folder}; what was committed stays"
    return f"{folder} cannot be written: {error.strerror or error}"
