"""What cannot be asked for again, raw and with its receive time, before any parser sees it (law 7).

``<tape>/venue=<venue>/feed=<feed>/date=<YYYY-MM-DD>/<first receive time>-<process>-<random>.tape``

A tape file belongs to one process, which creates it exclusively and only ever appends. It is a row of blocks. A block
holds one record or several, compressed, behind its length and a CRC-32 of all of it: it is whole, or it can be told
that it is not. What a crash left half written at the end is passed over when the tape is read, and so is anything else
that is damaged: reading goes on at the next whole block.

A record is a receive time, a body and whatever else is to be said of it, as JSON: of the reply to a request its path,
parameters and status. The format knows no more than that. A frame of a WebSocket is a record as well, which says its
connection instead of a request; frames come by the thousand, so a capture puts many into one block (small texts shrink
only together) and pays one ``fsync`` for them. A snapshot is a rare event: a block and an ``fsync`` for each reply.

``encode`` and ``decode`` are pure; below them are the files.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from isal.isal_zlib import crc32  # zlib's, at nine times its speed

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import lasting, refusals
from htxdata.timeline import label_of

MAGIC = b"\x89tp1"
HEAD = struct.Struct("<4sII")  # magic, bytes of the packed records, CRC-32 of these bytes and their number
_RECORD = struct.Struct("<qII")  # received_at, bytes of what is said, bytes of the body
SUFFIX = ".tape"


@dataclass(frozen=True, slots=True)
class Record:
    """``received_at`` is microseconds UTC, ``said`` any JSON object, ``body`` the bytes as they came."""

    received_at: int
    body: bytes
    said: Mapping[str, Any] = field(default_factory=dict)


class Torn(NamedTuple):
    """Bytes of a tape that are no whole block: ``[start, end)``."""

    start: int
    end: int


# ------------------------------------------------------------------------------------------------- the format


def encode(records: Sequence[Record]) -> bytes:
    """One block of ``records``. The same records are the same bytes."""
    packed = pack(records)
    return head_of(MAGIC, packed) + packed


def decode(tape: bytes | mmap.mmap) -> Iterator[Record | Torn]:
    """The records of every whole block in their order and, where there is damage, how far it reaches."""
    at, lost = 0, 0
    while at < len(tape):
        packed = block_at(MAGIC, tape, at)
        if packed is None:
            following = tape.find(MAGIC, at + 1)  # perhaps no block either: that is found out next
            at = len(tape) if following < 0 else following
            continue
        if lost < at:
            yield Torn(lost, at)
        at = lost = at + HEAD.size + len(packed)
        yield from unpack(packed)
    if lost < len(tape):
        yield Torn(lost, len(tape))


def pack(records: Sequence[Record]) -> bytes:
    parts = []
    for record in records:
        said = json.dumps(dict(record.said), ensure_ascii=False, separators=(",", ":")).encode()
        parts += [_RECORD.pack(record.received_at, len(said), len(record.body)), said, record.body]
    return zlib.compress(b"".join(parts))


def unpack(packed: bytes) -> Iterator[Record]:
    text, at = zlib.decompress(packed), 0
    while at < len(text):
        received_at, said, body = _RECORD.unpack_from(text, at)
        at += _RECORD.size
        yield Record(received_at, text[at + said : at + said + body], json.loads(text[at : at + said]))
        at += said + body


def head_of(magic: bytes, *pieces: bytes | memoryview) -> bytes:
    """The head of the block that holds ``pieces`` one after the other."""
    return HEAD.pack(magic, sum(map(len, pieces)), _checked(*pieces))


def block_at(magic: bytes, tape: bytes | mmap.mmap, at: int) -> bytes | None:
    """What the block that begins there holds; ``None`` where no whole one does."""
    start = at + HEAD.size
    if start > len(tape):
        return None
    found, length, checksum = HEAD.unpack(tape[at:start])
    if found != magic or start + length > len(tape):
        return None
    packed = tape[start : start + length]
    return packed if _checked(packed) == checksum else None


def _checked(*pieces: bytes | memoryview) -> int:
    checksum = crc32(sum(map(len, pieces)).to_bytes(4, "little"))
    for piece in pieces:
        checksum = crc32(piece, checksum)
    return checksum


# ------------------------------------------------------------------------------------------------- writing


class Tape:
    """One process's tape of a feed of a venue. Threads may share it. Nothing is made before the first record.

    What ``append`` took survives the death of the process and of the machine. After an error of the disk nothing of
    that call is promised, and the next call begins a new file: the old one ends with what may be half a block.
    """

    def __init__(self, root: Path, venue: str, feed: str) -> None:
        self._root, self._folder = root, root / f"venue={venue}" / f"feed={feed}"
        self._file, self._date = -1, ""
        self._lock = threading.Lock()

    def append(self, *records: Record) -> None:
        """Put ``records`` on the tape, in one block for each UTC day; they are on the disk when it returns."""
        days: dict[str, list[Record]] = {}
        for record in records:
            days.setdefault(label_of("day", record.received_at), []).append(record)
        with self._lock:
            for day, block in days.items():
                if self._file < 0 or day != self._date:
                    self._begin(day, block[0].received_at)
                try:
                    lasting.write_all(self._file, encode(block))
                    os.fsync(self._file)
                except OSError as error:
                    self._leave()
                    raise StoreError(sentence(self._root, error)) from error

    def _begin(self, day: str, received_at: int) -> None:
        self._leave()
        folder = self._folder / f"date={day}"
        name = f"{received_at:016d}-{os.getpid()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        try:
            lasting.make_folder(folder)
            self._file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            self._date = day
            lasting.sync_folder(folder)
        except OSError as error:
            self._leave()
            if error.errno in refusals.FULL:
                raise StoreError(sentence(self._root, error)) from error
            raise LakeUnusable(
                f"the tape folder {str(self._root)!r} cannot be written: {error.strerror}"
            ) from error

    def _leave(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def close(self) -> None:
        with self._lock:
            self._leave()

    def __enter__(self) -> Tape:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sentence(root: Path, error: OSError) -> str:
    if error.errno in refusals.FULL:
        return f"the disk is full: what was heard could not be put on the tape {str(root)!r}"
    return f"the tape {str(root)!r} cannot be written: {error.strerror or error}"


# ------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class TapedReply:
    """The reply to a request as it was heard. ``received_at`` is microseconds UTC, ``body`` is decompressed,
    ``date`` the header of that name where it was kept."""

    venue: str
    feed: str
    path: str
    params: tuple[tuple[str, str], ...]
    status: int
    body: bytes
    received_at: int
    date: str = ""


OnTorn = Callable[[Path, Torn], None]


def reply_record(
    path: str, params: Sequence[tuple[str, str]], status: int, body: bytes, received_at: int, date: str = ""
) -> Record:
    """The record of a reply, for :meth:`Tape.append`; :func:`replies` gives it back. ``date`` is the header of that
    name: some venues say nowhere else when they spoke."""
    said = {"path": path, "params": [list(pair) for pair in params], "status": status}
    if date:
        said["date"] = date
    return Record(received_at, body, said)


def replies(
    root: Path,
    venue: str | None = None,
    feed: str | None = None,
    date: str | None = None,
    on_torn: OnTorn = lambda path, torn: None,
) -> Iterator[TapedReply]:
    """Every reply that is whole on the tapes in ``root``: of one venue, feed and UTC day, or of all.

    File by file in the order of their first receive times, and as they were appended. ``on_torn`` is told what had to
    be passed over: at the end of a file that is being written, or whose process died, half a block is nothing unusual.
    """
    for path, of_venue, of_feed in files(root, venue, feed, date):
        for found in _read(path):
            if isinstance(found, Torn):
                on_torn(path, found)
            elif "path" in found.said:  # a frame has none
                said = found.said
                params = tuple((str(name), str(value)) for name, value in said["params"])
                yield TapedReply(
                    of_venue, of_feed, said["path"], params, said["status"], found.body, found.received_at,
                    said.get("date", ""),
                )  # fmt: skip


def files(
    root: Path, venue: str | None, feed: str | None, date: str | None, suffix: str = SUFFIX
) -> Iterator[tuple[Path, str, str]]:
    for of_venue, place in _folders(root, "venue", venue):
        for of_feed, inner in _folders(place, "feed", feed):
            for _, day in _folders(inner, "date", date):
                for path in sorted(day.glob(f"*{suffix}")):
                    yield path, of_venue, of_feed


def _folders(folder: Path, level: str, only: str | None) -> list[tuple[str, Path]]:
    found = sorted(path for path in folder.glob(f"{level}=*") if path.is_dir())
    names = [(path.name.partition("=")[2], path) for path in found]
    return [(name, path) for name, path in names if only in (None, name)]


def _read(path: Path) -> Iterator[Record | Torn]:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as tape:
                    yield from decode(tape)
    except OSError as error:
        raise StoreError(f"the tape {str(path)!r} cannot be read: {error.strerror or error}") from error


__all__ = [
    "Record", "Tape", "TapedReply", "Torn", "decode", "encode", "replies", "reply_record",
]  # fmt: skip
