"""What the parsers of all venues' frames share: frames unpacked, columns that grow, figures read with every digit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.venues import figures
from htxdata.venues.terms import Facts, Frame, Pushed

SymbolOf = Callable[[str], tuple[str, str | None] | None]
"""The symbol and period of a topic; None of any other text."""

Key = tuple[str, str | None]
Columns = dict[str, list[Any]]
Message = dict[str, Any]

FIRST_MS, LAST_MS = 10**11, 10**13
"""Milliseconds of our time, as ``figures.instant`` has them: 1973 to 2286."""

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


MOST = 64 << 20
"""Bytes that no message has, unpacked: a book of 400 levels has about 30 kB, all tickers of spot about 1 MB."""

_GZIP = b"\x1f\x8b"


def unpack(frame: bytes) -> bytes:
    """The message of a frame: gzip is unpacked, anything else is the message itself (htx-api 7.1 [A]).

    ``BadReply`` where the gzip is cut, damaged, goes on behind its end or unpacks to more than `MOST`.
    """
    if frame[:2] != _GZIP:
        return frame
    unpacker = isal_zlib.decompressobj(31)
    try:
        message = unpacker.decompress(frame, MOST + 1)
    except IsalError as error:  # type: ignore[misc]  # its stub says that it is no class
        raise BadReply(f"a frame of {len(frame)} bytes is no gzip: {error}") from error
    if len(message) > MOST:
        raise BadReply(f"a frame of {len(frame)} bytes unpacks to more than {MOST}")
    if not unpacker.eof:
        raise BadReply(f"a frame of {len(frame)} bytes is a gzip that was cut off")
    if unpacker.unused_data:
        raise BadReply(f"a frame goes on for {len(unpacker.unused_data)} bytes behind its gzip")
    return message


def unpacked(frames: Sequence[bytes], joined: memoryview | None = None) -> tuple[list[bytes], int] | None:
    """The messages of many frames, and their bytes together; None where one is not plainly gzip: then `unpack` tells
    which, and what is wrong with it. ``joined``: the frames one after the other, where they are there like that.

    A gzip ends with the checksum and the length of what it holds; so nothing goes on behind its end unseen. Deflate
    makes at most 1,032 bytes of one: what is short cannot become too long.
    """
    count = len(frames)
    if not count:
        return [], 0
    ends = np.cumsum(np.fromiter(map(len, frames), np.int64, count))
    if np.diff(ends, prepend=0).max() >= _SHORT:
        return None
    unpack, sum_of = isal_zlib.decompress, isal_zlib.crc32
    messages: list[bytes] = []
    made = 0
    try:
        for some in _few_enough(ends):
            page = [*map(unpack, frames[some], repeat(31))]
            made += sum(map(len, page))
            if made > _TOGETHER:
                return None
            messages += page
    except _GZIP_ERRORS:
        return None
    # (what unpacks has a gzip's head and end, and so eight bytes and more)
    whole = b"".join(frames) if joined is None else joined
    words: Any = np.ndarray(len(whole) - 7, "<u8", whole, strides=(1,))  # at every byte the eight from there on
    lengths = np.fromiter(map(len, messages), np.uint64, count)
    told = np.fromiter(map(sum_of, messages), np.uint64, count) + (lengths << np.uint64(32))
    return (messages, made) if (told == words[ends - 8]).all() else None


def _few_enough(ends: Any) -> Iterator[slice]:
    """Frames that end there, one after the other: as many at once as cannot become more than a quarter of a gigabyte,
    whatever they are. A venue that sends a block of bombs must not fill the memory. Of honest ones that is some
    hundred."""
    first = before = 0
    while first < len(ends):
        last = max(first + 1, int(np.searchsorted(ends, before + _PACKED, side="right")))
        yield slice(first, last)
        first, before = last, int(ends[last - 1])


_PACKED = 256 << 10
_TOGETHER = 256 << 20  # of messages; a block of 16 MB of honest frames comes to half of it

_SHORT = MOST // 1032
_GZIP_ERRORS: Any = IsalError


@dataclass
class Sheets:
    """The columns of every symbol and period, growing. ``names`` are those that a row has, ``received_at`` too."""

    names: Sequence[str]
    symbol_of: SymbolOf
    pushed: Pushed = field(default_factory=Pushed)
    _lost: dict[Key, dict[int, int]] = field(default_factory=dict)

    def key(self, topic: Any) -> Key:
        found = self.symbol_of(topic) if isinstance(topic, str) else None
        if found is None:
            raise BadReply(f"{topic!r:.80} is no topic of this feed")
        return found

    def columns(self, key: Key) -> Columns:
        columns = self.pushed.columns.get(key)
        if columns is None:
            columns = self.pushed.columns[key] = {name: [] for name in self.names}
        return columns

    def add(self, key: Key, rows: Sequence[tuple[Mapping[str, Any], int]]) -> None:
        """Rows that were read with care, and how many values of each a DOUBLE does not carry."""
        columns = self.columns(key)
        for row, unfit in rows:
            self.lose(key, len(columns[self.names[0]]), unfit)
            for name, column in columns.items():
                column.append(row[name])

    def lose(self, key: Key, row: int, unfit: int) -> None:
        """So many values of a row a DOUBLE does not carry (of a message of a book: all of them at its first row)."""
        if unfit and row < len(self.columns(key)[self.names[0]]) + 1:
            self._lost.setdefault(key, {})[row] = min(unfit, 255)

    def finish(self) -> Pushed:
        """What was read. Where values did not fit, the columns have one more: how many, row by row."""
        for key, lost in self._lost.items():
            columns = self.pushed.columns[key]
            counts = [0] * len(columns[self.names[0]])
            for at, count in lost.items():
                counts[at] = count
            columns[UNFIT] = counts
            self.pushed.unfit[key] = sum(lost.values())
        for key in [key for key, columns in self.pushed.columns.items() if not columns[self.names[0]]]:
            del self.pushed.columns[key]
        return self.pushed


Read = Callable[[Sheets, int, Message, Mapping[str, Facts]], None]
"""Adds what a message says, or raises ``BadReply`` before anything of it was added."""

Open = Callable[[bytes], Message | None]
"""The message of a frame with every digit, or None where it is talk; ``BadReply`` where it is no message."""


def read_with_care(
    sheets: Sheets, at: int, frame: Frame, facts: Mapping[str, Facts], read: Read, opened: Open
) -> None:
    """The way of everything that is not plainly data: nothing, rows, or a fault."""
    received_at, body = frame
    try:
        message = opened(body)
        if message is not None:
            read(sheets, received_at, message, facts)
    except BadReply as error:
        sheets.pushed.faults.append((at, str(error)))
    except (DecimalException, OverflowError) as error:
        sheets.pushed.faults.append((at, f"a number that cannot be read: {error!r:.80}"))


def member(message: Message, name: str) -> Message:
    """An object inside a message."""
    value = message.get(name)
    if not isinstance(value, dict):
        raise BadReply(f"{name!r} is {value!r:.60}, not an object")
    return value


def objects(message: Message, name: str) -> list[Message]:
    """A list of objects inside a message."""
    value = message.get(name)
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadReply(f"{name!r} is {value!r:.60}, not a list of objects")
    return value


def figure(row: Message, name: str, at: int = 0) -> tuple[float, int]:
    """A number that is not negative, and 1 where a DOUBLE does not carry it."""
    value, fitting = figures.number(row, name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return value, not fitting


def price(row: Message, name: str, at: int = 0) -> tuple[float, int]:
    value, lost = figure(row, name, at)
    if value == 0:
        raise BadReply(f"row {at}: {name!r} is 0: no price")
    return value, lost


def contract_size(facts: Mapping[str, Facts], symbol: str) -> float:
    """Base units per contract, or ``BadReply``: without it, sizes mean nothing."""
    known = facts.get(symbol)
    if known is None or known.contract_size is None:
        raise BadReply(f"the size of a contract of {symbol} is not known")
    return known.contract_size


def ratio(size: float) -> tuple[int, int]:
    """A contract's size as a ratio of whole numbers, by its decimals: 0.001 is 1 of 1000.

    A whole number of contracts times the first by the second is then one division of whole numbers, which Python rounds
    to the nearest DOUBLE: the decimal product, exactly.
    """
    return _ratio(repr(size))


def _ratio(text: str) -> tuple[int, int]:
    numerator, denominator = Decimal(text).as_integer_ratio()
    return numerator, denominator


def in_base(
    contracts: int | float | Decimal, size: float, price: float | None = None
) -> tuple[float, int]:  # fmt: skip
    """So many contracts in base units, to the nearest DOUBLE, and 1 where that is not the exact product.

    With a ``price`` a contract is ``size`` dollars, and the quotient is as exact as a DOUBLE can be.
    """
    if price is not None:
        return float(Decimal(str(contracts)) * Decimal(repr(size)) / Decimal(repr(price))), 0
    exact = Decimal(str(contracts)) * Decimal(repr(size))
    value = float(exact)
    return value, Decimal(repr(value)) != exact
