"""The verbs of a local lake: list, open, lock, publish. No other module renames, links or removes a partition's file.

``store/place.py`` says what the store asks of such verbs, ``store/bucket.py`` are those of a bucket.

A partition's folder holds ``.g<n>.pq``, immutable generations that our own readers open, newest first; and
``part.parquet``, a hard link to the newest, for everybody else (replacing a file in place failed 2 to 7 % of DuckDB's
queries; generations none). ``.lock`` is held while a commit runs, ``*.tmp`` is an unfinished write.

``publish`` is a row of steps between which a process may die. The rename to the next generation is the commit point.
Whoever takes the lock next finishes what is left: it removes ``*.tmp`` and links ``part.parquet`` anew where that
is not the newest generation.

What is too large to be written at once, or comes slowly, grows in a :class:`Draft`, without the partition's lock. Its
maker locks the draft itself, so that whoever holds the partition's lock meanwhile can tell it from one left behind.

``.absorbed-<n>-<name>.away`` is a foreign ``<name>`` whose rows generation n holds (``store/compact.py``). Where that
generation exists the file goes; where it does not, it gets its name back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, TypeVar

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import whole

PART = "part.parquet"
_LOCK = ".lock"
_TMP = ".tmp"
_GENERATION = re.compile(r"\.g(\d{9,})\.pq")
_ABSORBED = re.compile(r"\.absorbed-(\d{9,})-(.+)\.away", re.DOTALL)  # some globs of *.parquet match hidden files
GRACE = 15 * 60.0  # seconds that a superseded generation stays for readers that have it open or are about to

_Made = TypeVar("_Made")

step: Callable[[str], None] = lambda name: None  # noqa: E731 - tests crash a commit between its steps through this


class Generation(NamedTuple):
    """One immutable file of a partition; number 0 is a ``part.parquet`` that came without its generations."""

    number: int
    path: str


class Untidy(NamedTuple):
    """What lies in a partition's folder beside its newest generation.

    ``leftovers`` will not stay: unfinished writes and superseded generations. ``strangers`` are the names of files that
    whoever globs ``*.parquet`` reads as rows of the partition.
    """

    leftovers: frozenset[str]
    strangers: tuple[str, ...]


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


def open_newest(folder: str, *, tail: bool = False) -> tuple[Generation, IO[bytes]] | None:
    """The newest generation, opened: one handle, so that nothing read through it can tear.

    ``tail``: only its end will be read, which makes no difference here.
    """
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


def open_path(path: str, *, tail: bool = False) -> IO[bytes]:
    """A generation that was found before, or any other file; ``FileNotFoundError`` where it is gone."""
    return open(path, "rb")


class Look:
    """What is there, whenever it is asked: a folder is listed as fast as anybody could remember it."""

    def gather(self, path: str) -> None:
        """Nothing is gained here by knowing beforehand what will be asked for."""

    def folders(self, path: str) -> list[str]:
        return folders(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def newest(self, folder: str) -> Generation | None:
        return newest(folder)


def look() -> Look:
    return Look()


def source(path: str) -> str | IO[bytes]:
    """What pyarrow reads a whole file from quickest: its name."""
    return path


def is_there(path: str) -> bool:
    return os.path.exists(path)


def each(work: Callable[[str], _Made], paths: Iterable[str]) -> Iterator[_Made]:
    """One after the other: threads made reading footers 2.6 times slower."""
    return map(work, paths)


def is_folder(path: str) -> bool:
    return os.path.isdir(path)


def folders(path: str) -> list[str]:
    """The names of the folders in ``path``, sorted; none where it is missing."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


@contextmanager
def locked(root: Path | str, folder: str, grace: float = GRACE) -> Iterator[Generation | None]:
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
        with telling(folder):
            yield _heal(folder, grace)
    finally:
        os.close(lock)


def alone(root: Path | str, folder: str, grace: float, work: Callable[[Generation | None], _Made]) -> _Made:
    """``work`` of the newest generation, under the lock: once, others wait."""
    with locked(root, folder, grace) as found:
        return work(found)


@contextmanager
def turn(root: Path | str, folder: str) -> Iterator[None]:
    """One at a time: threads and processes wait for each other, and the turn of who dies is over."""
    with locked(root, folder):
        yield


def tidy(root: Path | str, folder: str, grace: float) -> Generation | None:
    """Finish what a dead writer left, and forget generations past their grace; the newest one."""
    return alone(root, folder, grace, lambda found: found)


@contextmanager
def telling(folder: str) -> Iterator[None]:
    """What the disk says against writing to ``folder``, as a sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(_sentence(folder, error)) from error


def forget(folder: str, grace: float) -> None:
    """Remove superseded generations after a publication, as the next lock would. Call it under the lock."""
    found = [match for entry in os.listdir(folder) if (match := _GENERATION.fullmatch(entry))]
    _forget(folder, sorted(int(match[1]) for match in found), grace)


def strangers(folder: str) -> list[str]:
    """The names of files beside ``part.parquet`` that whoever globs ``*.parquet`` reads as rows of the partition."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name.endswith(".parquet")
                and not entry.name.startswith((".", "_"))
                and entry.name != PART
                and entry.is_file(follow_symlinks=False)
            )
    except (FileNotFoundError, NotADirectoryError):
        return []


def leftovers(folder: str) -> set[str]:
    """What is in ``folder`` and will not stay: unfinished writes and superseded generations."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return set()
    best = newest(folder)
    keep = os.path.basename(best.path) if best else ""
    return {
        name for name in names
        if name.endswith(_TMP) or _ABSORBED.fullmatch(name) or (_GENERATION.fullmatch(name) and name != keep)
    }  # fmt: skip


def untidy(folder: str) -> Untidy:
    return Untidy(frozenset(leftovers(folder)), tuple(strangers(folder)))


def unfinished(folder: str) -> bool:
    """An unfinished write, or a newest generation that is not yet what everybody reads."""
    try:
        if any(name.endswith((_TMP, ".away")) for name in os.listdir(folder)):
            return True
        found = newest(folder)
        if found is None or found.number == 0:
            return False
        return not os.path.exists(f"{folder}/{PART}") or not os.path.samefile(found.path, f"{folder}/{PART}")
    except FileNotFoundError:
        return False


def stamp(path: str) -> tuple[int, int, int] | None:
    """What changes where a file does; ``None`` where it is gone."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def drop(folder: str, name: str) -> None:
    """Remove a foreign file whose rows the newest generation holds. Call it under the lock."""
    os.unlink(f"{folder}/{name}")
    step("dropped")
    _sync(folder)


def sweep(folder: str, age: float) -> int:
    """Remove unfinished writes that are older than ``age`` seconds, where no lock tells the living; how many."""
    count = 0
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in sorted(os.listdir(folder)):
            with contextlib.suppress(FileNotFoundError):
                if name.endswith(_TMP) and time.time() - os.stat(f"{folder}/{name}").st_mtime > age:
                    os.unlink(f"{folder}/{name}")
                    count += 1
    return count


def clear(folder: str) -> None:
    """Remove the drafts of dead makers."""
    for name in os.listdir(folder):
        if name.endswith(_TMP):
            _clear(f"{folder}/{name}")


class Draft:
    """A file of ``folder`` that grows until it is published or discarded; it lives as long as its maker.

    Write to ``path``. Call it with or without the partition's lock; only :func:`publish_draft` needs that.
    """

    def __init__(self, root: Path | str, folder: str) -> None:
        _make(root, folder)
        while True:
            self.path = f"{folder}/.{uuid.uuid4().hex}{_TMP}"
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


def draft(root: Path | str, folder: str) -> Draft:
    return Draft(root, folder)


def scratch(folder: str) -> str:
    """Where a commit to ``folder`` holds what does not fit into memory: beside its file, on the same disk."""
    return folder


def load(path: str) -> bytes | None:
    """A small file beside the data, ``None`` where there is none. ``OSError`` where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None


def swap(root: Path | str, path: str, change: Callable[[bytes | None], bytes | None]) -> bool:
    """Put ``change(what is there)`` in its place, written aside and renamed; None leaves it. Whether it was written.

    Of two at once the second waits, and is given what the first wrote.
    """
    if not os.path.isdir(root):
        return False  # no lake, and so nothing beside it
    target = Path(path)
    try:
        target.parent.mkdir(exist_ok=True)
        lock = os.open(target.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise LakeUnusable(f"{target} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = change(load(path))
        if content is None:
            return False
        try:
            whole.replace(target, content)
        except OSError as error:
            raise LakeUnusable(f"{target} cannot be written: {error.strerror}") from error
        return True
    finally:
        os.close(lock)


def publish(folder: str, before: Generation | None, content: memoryview | bytes) -> Generation:
    """Make ``content`` the newest generation. Call it under the lock; when it returns, it is on the disk for good."""
    aside = f"{folder}/.{uuid.uuid4().hex}{_TMP}"
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
    return _commit(folder, before, aside, ())


def publish_draft(
    folder: str, before: Generation | None, draft: Draft, absorbed: Iterable[str] = ()
) -> Generation:
    """Make a draft the newest generation; as :func:`publish`.

    ``absorbed`` are names of other files in ``folder`` whose rows it holds as well. They vanish in the moment in which
    it appears: no reader of ``*.parquet`` sees a row twice, and one that dies in between is finished by the next lock.
    """
    step("written")
    draft.sync()
    done = _commit(folder, before, draft.path, absorbed)
    draft.close()
    return done


def _commit(folder: str, before: Generation | None, aside: str, absorbed: Iterable[str]) -> Generation:
    number = before.number + 1 if before else 1
    target = f"{folder}/.g{number:09d}.pq"
    step("synced")
    hidden = []
    for name in absorbed:
        hidden.append(f"{folder}/.absorbed-{number:09d}-{name}.away")
        os.rename(f"{folder}/{name}", hidden[-1])
        step("hidden")
    os.rename(aside, target)
    step("renamed")
    _sync(folder)
    step("committed")
    _link(folder, target)
    for path in hidden:
        os.unlink(path)
        step("absorbed")
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
    absorbed: list[re.Match[str]] = []
    for entry in os.listdir(folder):
        if entry.endswith(_TMP):
            _clear(f"{folder}/{entry}")
        elif match := _GENERATION.fullmatch(entry):
            numbers.append(int(match[1]))
        elif match := _ABSORBED.fullmatch(entry):
            absorbed.append(match)
    numbers.sort()
    for match in absorbed:
        if not numbers or int(match[1]) > numbers[-1]:
            _give_back(folder, match)
    if not numbers:
        return newest(folder)
    last = f"{folder}/.g{numbers[-1]:09d}.pq"
    if not _is_linked(folder, last):
        _sync(folder)  # the rename may not have reached the disk when its writer died
        _link(folder, last)
    for match in absorbed:
        with contextlib.suppress(FileNotFoundError):  # it has got its name back
            os.unlink(f"{folder}/{match[0]}")
    _forget(folder, numbers, grace)
    return Generation(numbers[-1], last)


def _forget(folder: str, numbers: list[int], grace: float) -> None:
    """Remove the generations that were superseded longer than ``grace`` ago. ``numbers`` are all of them, ascending."""
    now = time.time()
    for number, successor in itertools.pairwise(numbers):
        # A rename keeps the time of the last write: a generation was superseded when its successor was written.
        if now - os.stat(f"{folder}/.g{successor:09d}.pq").st_mtime < grace:
            break
        os.unlink(f"{folder}/.g{number:09d}.pq")
        step("unlinked")


def _clear(path: str) -> None:
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


def _give_back(folder: str, match: re.Match[str]) -> None:
    """A foreign file gets its name back, or where that was taken meanwhile, one beside it."""
    name = match[2]
    while os.path.exists(f"{folder}/{name}"):
        name = f"again-{name}"
    os.rename(f"{folder}/{match[0]}", f"{folder}/{name}")


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


def _make(root: Path | str, folder: str) -> None:
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
