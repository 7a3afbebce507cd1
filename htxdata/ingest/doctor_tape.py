"""A walk along the tapes: which are being written, wait for `htxdata distil`, or are damaged; and the quarantine."""

from __future__ import annotations

import json
import mmap
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from htxdata.errors import HtxdataError
from htxdata.ingest.distil_memory import Memory
from htxdata.ingest.doctor_terms import Check, Some, counted
from htxdata.store import reel, tape
from htxdata.store.place import Root
from htxdata.timeline import iso

LOOK_S = 2.0
_SCANNED = 512 << 20  # bytes of tapes that are read through, at a gigabyte a second
_TAIL = 4096  # the seal of a reel is its last block, and short


@dataclass
class Reels:
    """What was seen of the tapes, the newest first. ``live``: venue and feed of each reel that is being written."""

    count: int = 0
    looked: int = 0
    waiting: int = 0
    sealed: int = 0
    live: dict[str, int] = field(default_factory=dict)
    killed: Some = field(default_factory=Some)
    torn: Some = field(default_factory=Some)
    broken: Some = field(default_factory=Some)
    stray: Some = field(default_factory=Some)
    scanned: int = 0


def look(root: Path, lake: Root, *, seconds: float = LOOK_S) -> Reels:
    found = Reels()
    if not root.is_dir():
        return found
    until = time.monotonic() + seconds
    try:
        _strays(root, found)
        reels = reel.reels(root)[::-1]
        tapes = [path for path, _, _ in tape.files(root, None, None, None)]
    except OSError as error:
        found.broken.add(f"{error.filename} ({error.strerror})")
        return found
    memory = Memory(lake, root)
    found.count = len(reels) + len(tapes)
    for path in (*reels, *sorted(tapes, key=lambda path: path.name, reverse=True)):
        if time.monotonic() > until:
            break
        found.looked += 1
        try:
            if path.suffix == reel.SUFFIX:
                _reel(path, memory, found, until)
            else:
                _through(path, tape.MAGIC, found, until)
        except FileNotFoundError:
            continue
        except (OSError, HtxdataError) as error:
            found.broken.add(str(error) if isinstance(error, HtxdataError) else f"{path} ({error.strerror})")
    return found


def tape_checks(name: str, root: Path, found: Reels) -> list[Check]:
    """``name`` is the folder as it is written in the settings."""
    if not root.is_dir():
        return [
            Check("tape", "ok", f"there is no tape {name!r} yet: the first capture or snapshot makes it", {})
        ]
    details = {
        "files": found.count, "looked_at": found.looked, "waiting": found.waiting, "sealed": found.sealed,
        "live": sum(found.live.values()), "killed": found.killed.told(), "torn": found.torn.told(),
        "unreadable": found.broken.told(), "stray": found.stray.told(), "read_through_bytes": found.scanned,
    }  # fmt: skip
    of_all = (
        "" if found.looked == found.count else f" (of the newest {found.looked:,} of {found.count:,} tapes)"
    )
    mend = "htxdata distil brings what is whole on them into the lake"
    if found.broken:
        says = (
            f"{counted(found.broken.count, 'tape or folder')} cannot be read, such as {found.broken.shown[0]}"
        )
        check = Check("tape", "problem", f"{says}; look at its permissions and at the disk{of_all}", details)
    elif found.torn:
        says = f"{counted(found.torn.count, 'tape')} with torn bytes, such as {found.torn.shown[0]}; {mend}"
        check = Check("tape", "warning", f"{says}, and passes over the rest{of_all}", details)
    elif found.killed:
        says = (
            f"{counted(found.killed.count, 'reel')} whose writer was killed, such as {found.killed.shown[0]}"
        )
        check = Check("tape", "warning", f"{says}; {mend}{of_all}", details)
    elif found.waiting:
        says = f"{counted(found.waiting, 'sealed reel')} not yet in the lake; {mend}{of_all}"
        check = Check("tape", "warning", says, details)
    elif found.stray:
        says = f"{found.stray.shown[0]} is not of a tape; move it out"
        check = Check("tape", "warning", says, details)
    else:
        says = (
            f"{counted(found.count, 'tape')}, whole and distilled{of_all}"
            if found.count
            else "nothing is on it"
        )
        check = Check("tape", "ok", says, details)
    return [check, _captures(found), _quarantine(root)]


def _captures(found: Reels) -> Check:
    total = sum(found.live.values())
    if not total:
        return Check("captures", "ok", "none is running", {})
    feeds = ", ".join(f"{name} ({count})" for name, count in sorted(found.live.items()))
    return Check("captures", "ok", f"{counted(total, 'connection')} being taped: {feeds}", dict(found.live))


def _quarantine(root: Path) -> Check:
    """Entries are counted; of the newest is said why."""
    newest: tuple[float, Path] | None = None
    count = 0
    for path in (root / "quarantine").glob("venue=*/dataset=*/*.json"):
        try:
            at = path.stat().st_mtime
        except OSError:
            continue
        count += 1
        if newest is None or at > newest[0]:
            newest = at, path
    if newest is None:
        return Check("quarantine", "ok", "empty", {"count": 0})
    said: Any = {}
    try:
        said = json.loads(newest[1].read_bytes())
        when, why = iso(int(said["received_at"])), str(said["reason"])[:300]
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        when, why = "unknown", f"{newest[1]} cannot be read"
    says = (
        f"{counted(count, 'reply')} set aside".replace("replys", "replies")
        + f", the newest of {when}: {why}; they lie in {root / 'quarantine'} for whoever mends the parser"
    )
    return Check(
        "quarantine", "warning", says, {"count": count, "newest": str(newest[1]), "at": when, "reason": why}
    )


# ------------------------------------------------------------------------------------------------------ a tape


def _reel(path: Path, memory: Memory, found: Reels, until: float) -> None:
    if reel.is_live(path):
        name = " ".join(reel.venue_feed_of(path))
        found.live[name] = found.live.get(name, 0) + 1
        return
    sealed, done = _sealed(path), memory.recall(path).done
    found.sealed += sealed
    if done:
        return
    if not sealed:
        before = found.torn.count
        _through(path, reel.MAGIC, found, until)
        if found.torn.count == before:
            found.killed.add(str(path))
    else:
        found.waiting += 1


def _sealed(path: Path) -> bool:
    """Whether its last block is whole and says that it was closed."""
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        tail = file.read()
    at = tail.rfind(reel.MAGIC)
    while at >= 0:
        packed = tape.block_at(reel.MAGIC, tail, at)
        if packed is not None and at + tape.HEAD.size + len(packed) == len(tail):
            return packed[:1] == b"e" and next(tape.unpack(packed[1:])).said.get("event") == "closed"
        at = tail.rfind(reel.MAGIC, 0, at)
    return False


def _through(path: Path, magic: bytes, found: Reels, until: float) -> None:
    """Add it to the torn where there are bytes that no whole block holds; as far as time and measure allow."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size or found.scanned + size > _SCANNED:
            return
        found.scanned += size
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = torn = 0
            while at < size and time.monotonic() < until:
                packed = tape.block_at(magic, content, at)
                if packed is not None:
                    at += tape.HEAD.size + len(packed)
                    continue
                following = content.find(magic, at + 1)
                torn += (size if following < 0 else following) - at
                at = size if following < 0 else following
    if torn:
        found.torn.add(f"{path} ({torn:,} of {size:,} bytes)")


def _strays(root: Path, found: Reels) -> None:
    """What is no folder of a tape; and folders that cannot be read, over which a glob passes in silence."""
    for name in _names(root, found):
        if name == "quarantine":
            for venue in _names(root / name, found):
                for dataset in _names(root / name / venue, found):
                    _names(root / name / venue / dataset, found)
        elif name.startswith("venue=") and (root / name).is_dir():
            for feed in _names(root / name, found):
                for date in _names(root / name / feed, found):
                    _names(root / name / feed / date, found)
        else:
            found.stray.add(str(root / name))


def _names(folder: Path, found: Reels) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        found.broken.add(f"{folder} ({error.strerror})")
        return []
