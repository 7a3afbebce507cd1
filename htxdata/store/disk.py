"""The verbs of a local lake: list, open, lock, publish. Only they, ``store/healing.py`` and ``store/drafts.py`` rename,
link or remove a partition's files.

``store/place.py`` says what the store asks of such verbs, ``store/bucket.py`` are those of a bucket.

A partition's folder holds ``.g<n>.pq``, immutable generations that our own readers open, newest first; and
``part.parquet``, a hard link to the newest, for everybody else (replacing a file in place failed 2 to 7 % of DuckDB's
queries; generations none). ``.lock`` is held while a commit runs, ``*.tmp`` is an unfinished write.

``publish`` is a row of steps between which a process may die. The rename to the next generation is the commit point.
Whoever takes the lock next finishes what is left (``healing``). What is too large to be written at once, or comes
slowly, grows in a :class:`Draft`, without the partition's lock.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from htxdata.errors import StoreError
from htxdata.store import healing, lasting, milestones, refusals, whole
from htxdata.store.drafts import Draft
from htxdata.store.generations import ABSORBED, NUMBERED, PART, TMP, Generation, Untidy, name_of

_LOCK = ".lock"
GRACE = 15 * 60.0  # seconds that a superseded generation stays for readers that have it open or are about to

_Made = TypeVar("_Made")


def newest(folder: str) -> Generation | None:
    """The newest generation in ``folder`` (absolute), ``None`` where there is none, or no folder."""
    best, name, plain = 0, "", False
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    for entry in names:
        match = NUMBERED.fullmatch(entry)
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
    with refusals.entering(root, folder):
        lasting.make_folder(folder)
        lock = os.open(f"{folder}/{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of this open file, so it keeps other threads out as well
        with refusals.telling(folder):
            yield healing.heal(folder, grace)
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
        if name.endswith(TMP) or ABSORBED.fullmatch(name) or (NUMBERED.fullmatch(name) and name != keep)
    }  # fmt: skip


def untidy(folder: str) -> Untidy:
    return Untidy(frozenset(leftovers(folder)), tuple(strangers(folder)))


def unfinished(folder: str) -> bool:
    """An unfinished write, or a newest generation that is not yet what everybody reads."""
    try:
        if any(name.endswith((TMP, ".away")) for name in os.listdir(folder)):
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
    milestones.step("dropped")
    lasting.sync_folder(folder)


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
        raise refusals.unwritten(str(target), error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        content = change(load(path))
        if content is None:
            return False
        try:
            whole.replace(target, content)
        except OSError as error:
            raise refusals.unwritten(str(target), error) from error
        return True
    finally:
        os.close(lock)


def publish(folder: str, before: Generation | None, content: memoryview | bytes) -> Generation:
    """Make ``content`` the newest generation. Call it under the lock; when it returns, it is on the disk for good."""
    aside = f"{folder}/.{uuid.uuid4().hex}{TMP}"
    milestones.step("begin")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(content)
        half = len(view) // 2
        lasting.write_all(file, view[:half])
        milestones.step("half written")
        lasting.write_all(file, view[half:])
        milestones.step("written")
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
    milestones.step("written")
    draft.sync()
    done = _commit(folder, before, draft.path, absorbed)
    draft.close()
    return done


def _commit(folder: str, before: Generation | None, aside: str, absorbed: Iterable[str]) -> Generation:
    number = before.number + 1 if before else 1
    target = f"{folder}/{name_of(number)}"
    milestones.step("synced")
    hidden = []
    for name in absorbed:
        hidden.append(f"{folder}/.absorbed-{number:09d}-{name}.away")
        os.rename(f"{folder}/{name}", hidden[-1])
        milestones.step("hidden")
    os.rename(aside, target)
    milestones.step("renamed")
    lasting.sync_folder(folder)
    milestones.step("committed")
    healing.link(folder, target)
    for path in hidden:
        os.unlink(path)
        milestones.step("absorbed")
    milestones.step("done")
    return Generation(number, target)
