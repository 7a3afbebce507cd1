"""A walk through a lake: what cannot be read, what is not ours, what a crash left. It reads only, and in bounded time.

Every footer is read (not the cache of them, whose business is to be quick); of the rows as many files as two seconds
allow, chosen by chance: over the runs of a month all of them come about. ``htxdata audit`` reads every row.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from htxdata.errors import CorruptPartition, HtxdataError, StoreError, UsageError
from htxdata.ingest.doctor_terms import Check, Some, counted
from htxdata.market import PERIODS
from htxdata.schema import Dataset
from htxdata.store import disk, findings, footer, generations, layout, rows

WALK_S = 5.0
ROWS_S = 2.0
OURS = ".htxdata"
_LOCK = ".lock"
OLD_S = 3600.0
"""An unfinished file beside the data, where no lock tells the living, counts as left behind after so long."""


@dataclass
class Found:
    """What a walk saw. ``grown`` is, by dataset, bytes and rows: how much room a row takes."""

    there: bool = True
    partitions: int = 0
    files: int = 0
    rows: int = 0
    size: int = 0
    read: int = 0
    cut: bool = False
    broken: Some = field(default_factory=Some)
    foreign: Some = field(default_factory=Some)
    stray: Some = field(default_factory=Some)
    left: Some = field(default_factory=Some)
    writing: int = 0
    grown: dict[str, tuple[int, int]] = field(default_factory=dict)


def look(root: Path, *, walk_s: float = WALK_S, rows_s: float = ROWS_S) -> Found:
    """The state of the lake in ``root``; nothing where there is none."""
    found = Found()
    if not root.is_dir():
        found.there = False
        return found
    until = time.monotonic() + walk_s
    sound: list[tuple[Dataset, str]] = []
    for declared, folder in _partitions(str(root), found):
        if time.monotonic() > until:
            found.cut = True
            break
        found.partitions += 1
        _partition(declared, folder, found, sound)
    _beside(root, found)
    _rows(sound, found, rows_s)
    return found


def lake_checks(name: str, found: Found) -> list[Check]:
    """``name`` is the lake as it is written in the settings."""
    if not found.there:
        return [
            Check(
                "lake", "ok", f"there is no lake {name!r} yet: the first backfill makes it", {"partitions": 0}
            )
        ]
    size = f"{counted(found.partitions, 'partition')}, {counted(found.rows, 'row')}"
    looked = f"every footer and the rows of {found.read:,} of {found.files:,} files were read"
    if found.cut:
        looked = f"only the first {found.partitions:,} partitions were looked at, {looked}"
    details = {
        "partitions": found.partitions, "files": found.files, "rows": found.rows, "bytes": found.size,
        "rows_read_of_files": found.read, "whole": not found.cut, "unreadable": found.broken.told(),
        "being_written": found.writing,
    }  # fmt: skip
    if found.broken:
        many = f"{counted(found.broken.count, 'file')} cannot be read, such as {found.broken.shown[0]}"
        mend = (
            "move its folder out of the lake: the next backfill or sync of that time fetches it again, and what was "
            "captured comes back by htxdata distil --again"
        )
        checks = [Check("lake", "problem", f"{many}; {mend}", details)]
    else:
        checks = [Check("lake", "ok", f"{size}: {looked}; htxdata audit reads every row", details)]
    return [*checks, _strangers(found), _leftovers(found)]


def _strangers(found: Found) -> Check:
    details = {"in_partitions": found.foreign.told(), "elsewhere": found.stray.told()}
    if found.foreign:
        says = (
            f"{counted(found.foreign.count, 'file')} of others in our partitions, such as {found.foreign.shown[0]}: "
            "who globs *.parquet takes its rows for ours; htxdata compact merges what fits, or move it out"
        )
    elif found.stray:
        says = f"{counted(found.stray.count, 'thing')} that {'is' if found.stray.count == 1 else 'are'} not of a lake: "
        says += f"{found.stray.shown[0]}; move it out"
    else:
        return Check("lake: strangers", "ok", "nothing of others is in the lake", details)
    return Check("lake: strangers", "warning", says, details)


def _leftovers(found: Found) -> Check:
    if not found.left:
        return Check("lake: leftovers", "ok", "no crash left anything behind", found.left.told())
    says = (
        f"{counted(found.left.count, 'leftover')} of a crash, such as {found.left.shown[0]}: no row is lost by it; "
        "htxdata compact, or the next run on that series, clears it up"
    )
    return Check("lake: leftovers", "warning", says, found.left.told())


# ----------------------------------------------------------------------------------------------------- the walk


def _partitions(root: str, found: Found) -> Iterator[tuple[Dataset, str]]:
    """The folders of partitions; what lies between them and is not ours is noted on the way."""
    declared = {entry.name: entry for entry in layout.stored_datasets()}
    for name, is_folder in _entries(root, found):
        if name == OURS:
            continue
        if not is_folder or name not in declared:
            found.stray.add(f"{root}/{name}")
            continue
        entry = declared[name]
        yield from (
            (entry, folder) for folder in _below(entry, f"{root}/{name}", entry.path_columns, None, found)
        )


def _below(
    declared: Dataset, folder: str, levels: tuple[str, ...], period: str | None, found: Found
) -> Iterator[str]:
    for name, is_folder in _entries(folder, found):
        if (
            name == _LOCK and not is_folder
        ):  # of who writes several partitions of a series, such as `snapshot`
            continue
        value = _value(declared, name, levels, period) if is_folder else None
        if value is None:
            found.stray.add(f"{folder}/{name}")
        elif not levels:
            yield f"{folder}/{name}"
        else:
            inner = value if levels[0] == "period" else period
            yield from _below(declared, f"{folder}/{name}", levels[1:], inner, found)


def _value(declared: Dataset, name: str, levels: tuple[str, ...], period: str | None) -> str | None:
    """What a folder's name says at its level, None where it is no name of ours."""
    if not levels:
        return name if layout.label_window(declared.grain(period), name) is not None else None
    level, sign, text = name.partition("=")
    if level != levels[0] or not sign or (level == "period" and text not in PERIODS):
        return None
    try:
        return layout.decode(text)
    except (ValueError, UsageError):
        return None


def _entries(folder: str, found: Found) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir()) for entry in entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        found.broken.add(f"{folder} ({error.strerror})")
        return []


def _partition(declared: Dataset, folder: str, found: Found, sound: list[tuple[Dataset, str]]) -> None:
    try:
        names = set(os.listdir(folder))
        opened = disk.open_newest(folder)
    except (OSError, StoreError) as error:
        found.broken.add(f"{folder} ({_reason(error)})")
        return
    expected = {generations.PART, _LOCK}
    if opened is not None:
        newest, file = opened
        expected.add(os.path.basename(newest.path))
        found.files += 1
        with file:
            size = os.fstat(file.fileno()).st_size
            try:
                rows = sum(span.rows for span in footer.read(file, newest.path).spans)
            except CorruptPartition as error:
                found.broken.add(str(error))
            else:
                sound.append((declared, newest.path))
                found.rows += rows
                found.size += size
                octets, count = found.grown.get(declared.name, (0, 0))
                found.grown[declared.name] = octets + size, count + rows
        odd = names - expected
        if newest.number and _unlinked(folder, newest.path):
            found.left.add(f"{folder}/{generations.PART} (not the newest generation)")
    else:
        odd = names - expected
    if odd:
        _odd(folder, odd, found)


def _odd(folder: str, odd: set[str], found: Found) -> None:
    left, foreign = disk.leftovers(folder), set(disk.strangers(folder))
    for name in sorted(odd):
        path = f"{folder}/{name}"
        if name.startswith(".g") and name.endswith(".pq"):
            continue  # superseded, it has its time; or a commit has just made it
        if name.endswith((".tmp", ".away")):
            living = _held(f"{folder}/{_LOCK}") or _held(path)
            there = os.path.lexists(path)  # asked last: a commit may have ended meanwhile
            if there and living:
                found.writing += 1
            elif there:
                (found.left if name in left else found.stray).add(path)
        elif name in foreign:
            found.foreign.add(path)
        elif os.path.lexists(path):
            found.stray.add(path)


def _is_part(folder: str, path: str) -> bool:
    """Whether foreign readers see the newest generation: as a link, or as a copy where there are no links."""
    try:
        own = os.stat(path)
    except FileNotFoundError:  # superseded for longer than the grace
        return True
    try:
        part = os.stat(f"{folder}/{generations.PART}")
    except FileNotFoundError:
        return False
    return part.st_ino == own.st_ino or part.st_size == own.st_size


def _unlinked(folder: str, path: str) -> bool:
    """A commit that ended between its rename and its link; not one that is just at it."""
    if _is_part(folder, path) or _held(f"{folder}/{_LOCK}"):
        return False
    newest = disk.newest(folder)
    return newest is not None and newest.number > 0 and not _is_part(folder, newest.path)


def _held(path: str) -> bool:
    """Whether a living process holds the lock on it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(file)


def _beside(root: Path, found: Found) -> None:
    """What we keep beside the data: caches, the spool, the findings of audits."""
    with contextlib.suppress(OSError):
        for path in sorted((root / OURS).rglob("*.tmp")):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > OLD_S:
                    found.left.add(str(path))
    try:
        findings.read(root)
    except HtxdataError as error:
        found.broken.add(str(error))


def _rows(sound: list[tuple[Dataset, str]], found: Found, seconds: float) -> None:
    """Read whole files, as many as the time allows, with the sums of their pages."""
    until = time.monotonic() + seconds
    for declared, path in random.sample(sound, len(sound)):
        if time.monotonic() > until:
            break
        try:
            with open(path, "rb") as file:
                for _ in rows.Reader(declared, file, path).tables():
                    if time.monotonic() > until + seconds:
                        return
            found.read += 1
        except FileNotFoundError:  # superseded meanwhile
            continue
        except (CorruptPartition, OSError) as error:
            found.broken.add(str(error).splitlines()[0])


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
