"""A connection's tape: every frame of a WebSocket as it came, and what happened between them (law 7).

``<tape>/venue=<venue>/feed=<feed>/date=<YYYY-MM-DD>/<opened>-<process>-<random>.reel``

A reel belongs to one connection. It is created exclusively and only appended; its process holds an exclusive lock on it
for as long as it lives, so a reel whose writer was killed can be told from one that goes on. At the end it is sealed:
an event "closed" is its last record, and it is read-only from then on.

It is a row of blocks like a tape (``store/tape.py``) with another magic: what a crash left half written, and whatever
is damaged, is passed over up to the next whole block. Two kinds of block:

* an **event**: one record, compressed;
* **frames**: their receive times (int64, microseconds UTC), their lengths, and their bodies one after the other. The
  bodies are the compressed frames as they came off the wire and are not compressed again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import struct
import sys
import uuid
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import lasting, refusals, tape
from htxdata.store.tape import HEAD, Record, Torn
from htxdata.timeline import label_of

MAGIC = b"\x89rl1"
SUFFIX = ".reel"
BLOCK = 16 << 20
"""Bytes of frames that one block holds at most (a single frame may be longer): who reads needs so much memory."""

_EVENT, _FRAMES = b"e", b"f"
_COUNT = struct.Struct("<cI")  # kind, number of frames; then int64 and uint32 of each, little-endian
_TIME, _LENGTH = "q", "I"


@dataclass(frozen=True, slots=True)
class Frames:
    """``times`` are microseconds UTC, ``bodies`` the frames as they came: gzip, or the text of a text frame."""

    times: list[int]
    bodies: list[bytes]
    joined: memoryview | None = field(default=None, repr=False, compare=False)
    """The bodies one after the other, where they lie so."""


# ------------------------------------------------------------------------------------------------- writing


class Reel:
    """One connection's reel, for one thread at a time. What ``flush`` wrote survives the death of the machine.

    After an error of the disk (``StoreError``) the reel is abandoned: it may end with half a block, and nothing ever
    follows half a block. Raises ``LakeUnusable`` where the folder cannot be written at all.
    """

    def __init__(self, root: Path, venue: str, feed: str, opened_at: int) -> None:
        self._root, self._pending, self._fd = root, list[bytes | memoryview](), -1
        folder = root / f"venue={venue}" / f"feed={feed}" / f"date={label_of('day', opened_at)}"
        self.path = folder / f"{opened_at:016d}-{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        try:
            lasting.make_folder(folder)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            # Who asks whether it is live holds it for an instant; until something is on it, nobody reads it.
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            lasting.sync_folder(folder)
        except OSError as error:
            self.abandon()
            if error.errno in refusals.FULL:
                raise StoreError(tape.sentence(root, error)) from error
            raise LakeUnusable(
                f"the tape folder {str(root)!r} cannot be written: {error.strerror}"
            ) from error

    def note(self, received_at: int, said: Mapping[str, Any], body: bytes = b"") -> None:
        """An event, or whatever else has a time and something to be said of it (``tape.reply_record``)."""
        self._append(_EVENT + tape.pack([Record(received_at, body, said)]))

    def frames(self, times: Sequence[int], bodies: Sequence[bytes]) -> None:
        """Frames in the order in which they came, and when each was received (microseconds UTC)."""
        if not times:
            return
        lengths = array(_LENGTH, map(len, bodies))
        if sum(lengths) > BLOCK and len(lengths) > 1:
            half = len(lengths) // 2
            self.frames(times[:half], bodies[:half])
            self.frames(times[half:], bodies[half:])
            return
        self.block(times, lengths, b"".join(bodies))

    def block(self, times: Sequence[int], lengths: Sequence[int], content: bytes | memoryview) -> None:
        """`frames`, with the bodies one after the other in ``content``, which must stay as it is until `write`."""
        head = _COUNT.pack(_FRAMES, len(lengths))
        numbers = head + _little(array(_TIME, times)) + _little(array(_LENGTH, lengths))
        if sum(lengths) != len(content) or len(times) != len(lengths):
            raise ValueError(f"{len(times)} times and {len(lengths)} lengths of {len(content)} bytes")
        self._append(numbers, content)

    def write(self) -> None:
        """Put what is pending into the file. It survives this process; only `flush` makes it survive the machine."""
        self._open()
        try:
            for piece in self._pending:
                lasting.write_all(self._fd, piece)
        except OSError as error:
            self.abandon()
            raise StoreError(tape.sentence(self._root, error)) from error
        self._pending.clear()

    def flush(self) -> None:
        """Put what is pending on the disk: it is there when this returns."""
        self.write()
        try:
            os.fsync(self._fd)
        except OSError as error:
            self.abandon()
            raise StoreError(tape.sentence(self._root, error)) from error

    def seal(self, received_at: int, why: str, detail: str = "") -> None:
        """Say why it ends here, put everything on the disk, and let go of it."""
        self.note(received_at, {"event": "closed", "why": why, "detail": detail})
        self.flush()
        try:
            os.fchmod(self._fd, 0o444)
            os.fsync(self._fd)
        except OSError as error:
            raise StoreError(tape.sentence(self._root, error)) from error
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of it as it is on the disk; what is pending is dropped."""
        fd, self._fd = self._fd, -1
        self._pending.clear()
        if fd >= 0:
            with contextlib.suppress(OSError):  # a disk that is gone may say so here once more
                os.close(fd)

    def _append(self, *pieces: bytes | memoryview) -> None:
        self._open()
        self._pending += (tape.head_of(MAGIC, *pieces), *pieces)

    def _open(self) -> None:
        if self._fd < 0:
            raise StoreError(f"the tape {str(self.path)!r} was closed or given up: nothing can follow on it")


# ------------------------------------------------------------------------------------------------- reading


def reels(
    root: Path, venue: str | None = None, feed: str | None = None, date: str | None = None
) -> list[Path]:
    """The reels of one venue, feed and UTC day of opening, or of all, in the order in which they were opened.

    One on which nothing is yet (or ever will be) is none: it may not even be locked by its maker.
    """
    found = [path for path, _, _ in tape.files(root, venue, feed, date, SUFFIX) if _has_content(path)]
    return sorted(found, key=lambda path: (path.name, path))


def venue_feed_of(path: Path) -> tuple[str, str]:
    feed, venue = path.parts[-3], path.parts[-4]
    return venue.removeprefix("venue="), feed.removeprefix("feed=")


def is_live(path: Path) -> bool:
    """Whether a process still holds the reel, and may write more."""
    with _told(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return True
            raise
        finally:
            os.close(fd)
    return False


def read(path: Path, start: int = 0) -> Iterator[tuple[int, Record | Frames | Torn]]:
    """What is on a reel from ``start`` on, each with the offset behind it: give that back to read on there.

    What no whole block holds is told as ``Torn``; but half a block at the end of a reel that is being written is
    nothing yet. Raises ``StoreError`` where the file cannot be read.
    """
    live = is_live(path)  # before its length is taken: what a writer that ended meanwhile left behind is whole
    with _told(path), open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= start:
            return
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with content:
        yield from _decode(content, start, live, path)


def _decode(
    content: mmap.mmap, start: int, live: bool, path: Path
) -> Iterator[tuple[int, Record | Frames | Torn]]:
    at = lost = start
    while at < len(content):
        packed = tape.block_at(MAGIC, content, at)
        if packed is None:
            if live and _may_grow(content, at):
                break
            following = content.find(MAGIC, at + 1)  # perhaps no block either: that is found out next
            at = len(content) if following < 0 else following
            continue
        if lost < at:
            yield at, Torn(lost, at)
        at = lost = at + HEAD.size + len(packed)
        yield at, _opened(packed, path)
    if lost < len(content) and not live:
        yield len(content), Torn(lost, len(content))


def _may_grow(content: mmap.mmap, at: int) -> bool:
    """Whether a block begins there of which the rest is still to be written."""
    head = content[at : at + HEAD.size]
    if len(head) < HEAD.size:
        return head[: len(MAGIC)] == MAGIC[: len(head)]
    magic, length, _ = HEAD.unpack(head)
    return bool(magic == MAGIC and at + HEAD.size + length > len(content))


def _opened(packed: bytes, path: Path) -> Record | Frames:
    kind = packed[:1]
    if kind == _EVENT:
        return next(tape.unpack(packed[1:]))
    if kind != _FRAMES:
        raise StoreError(
            f"the tape {str(path)!r} was written by a newer htxdata: a block is of kind {kind!r}"
        )
    _, count = _COUNT.unpack_from(packed)
    times, lengths = array(_TIME), array(_LENGTH)
    first, second, third = accumulate((8 * count, 4 * count), initial=_COUNT.size)
    times.frombytes(packed[first:second])
    lengths.frombytes(packed[second:third])
    if sys.byteorder == "big":
        times.byteswap()
        lengths.byteswap()
    ends = accumulate(lengths, initial=third)
    bodies = [packed[start:end] for start, end in pairwise(ends)]
    return Frames(times.tolist(), bodies, memoryview(packed)[third:])


def _little(numbers: array[int]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the tape {str(path)!r} cannot be read: {error.strerror or error}") from error


__all__ = ["Frames", "Record", "Reel", "Torn", "is_live", "read", "reels", "venue_feed_of"]
