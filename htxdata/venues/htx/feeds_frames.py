"""What the parsers of all feeds share: frames that are no data, columns that grow, the careful reading.

Every parser has two ways. The quick one decodes a frame into msgspec Structs and appends their members to lists. What
does not fit it (a text for a number, too many digits, a missing member, no data at all) is read once more from
dictionaries with every digit kept, which either finds it good or names what is wrong with it: a fault, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, DecimalException
from typing import Any, Literal

import msgspec
import numpy as np
from isal import isal_zlib
from isal.igzip_lib import IsalError

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.dialects import MOST
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.terms import Facts, Frame, Pushed

Key = tuple[str, str | None]
Columns = dict[str, list[Any]]
Message = dict[str, Any]

FIRST_MS, LAST_MS = 10**11, 10**13
"""Milliseconds of our time, as ``rows.instant`` has them: 1973 to 2286."""

UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

LONG_FIGURE = re.compile(rb'":(?<!d":)[ \t\r\n]*"?[0-9.eE+\-]{17}')
"""A member that may have more digits than a DOUBLE carries (15, a point, and one more to tell). Not those whose name
ends in ``d`` (id, tradeId, mrid): numbers of trades are integers of any length here."""

_COLON, _COMMA, _BRACE, _QUOTE, _D = b':,}"d'
_IN_FIGURES = np.isin(np.arange(256), list(b"0123456789.eE+- \t\r\n"))


def may_have_long_figures(joined: bytes) -> bool:
    """Whether ``LONG_FIGURE`` may be found in messages that were put one behind the other; where not, it is in none.

    A member is as long as it is from its colon to the next sign that can follow a figure: on arrays that is found in
    half the time.
    """
    signs = np.frombuffer(joined + b"}}", np.uint8)
    ends = np.flatnonzero((signs == _COLON) | (signs == _COMMA) | (signs == _BRACE))
    at = ends[:-1][np.diff(ends) > 17]
    at = at[(signs[at] == _COLON) & (signs[at - 1] == _QUOTE) & (signs[at - 2] != _D)]
    first, second = signs[at + 1], signs[at + 2]
    return bool((_IN_FIGURES[first] | ((first == _QUOTE) & _IN_FIGURES[second])).any())


_SPELLED = bytes(0x30 if c in b"0123456789.eE+-" else 0x20 for c in range(256))
_RUN = b"0" * 17


def has_long_number(body: bytes) -> bool:
    """As ``LONG_FIGURE``, for numbers in lists: those of books. Whole numbers of 17 digits look long, too."""
    return _RUN in body.translate(_SPELLED)


def unpacked(frames: Sequence[bytes]) -> list[bytes] | None:
    """The messages of many frames, or None where one is not plainly gzip: then ``dialects.unpack`` tells which, and
    what is wrong with it.

    A gzip ends with the checksum and the length of what it holds; so nothing goes on behind its end unseen. Deflate
    makes at most 1,032 bytes of one: what is short cannot become too long.
    """
    if max(map(len, frames), default=0) >= _SHORT:
        return None
    unpack, sum_of = isal_zlib.decompress, isal_zlib.crc32
    messages: list[bytes] = []
    made = 0
    try:
        for some in _few_enough(frames):
            messages += [unpack(frame, 31) for frame in some]
            made += sum(map(len, messages[-len(some) :]))
            if made > _TOGETHER:
                return None
    except _GZIP_ERRORS:
        return None
    ends = np.frombuffer(b"".join([frame[-8:] for frame in frames]), "<u4")
    count = len(frames)
    sums = np.fromiter(map(sum_of, messages), np.uint32, count)
    lengths = np.fromiter(map(len, messages), np.uint32, count)
    # (what unpacks has a gzip's head and end, and so eight bytes and more)
    return messages if (sums == ends[::2]).all() and (lengths == ends[1::2]).all() else None


def _few_enough(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The frames, as many at once as cannot become more than a quarter of a gigabyte, whatever they are: a venue that
    sends a block of bombs must not fill the memory. Of honest ones that is some hundred."""
    if sum(map(len, frames)) < _PACKED:
        yield frames
        return
    first = size = 0
    for at, frame in enumerate(frames):
        size += len(frame)
        if size > _PACKED:
            yield frames[first : at + 1]
            first, size = at + 1, 0
    if first < len(frames):
        yield frames[first:]


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


def carefully(sheets: Sheets, at: int, frame: Frame, facts: Mapping[str, Facts], read: Read) -> None:
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


_decode = msgspec.json.Decoder(float_hook=Decimal).decode

_TALK = ("ping", "pong", "subbed", "unsubbed")
_OPERATIONS = frozenset({"ping", "pong", "sub", "unsub", "close", "error", "auth"})


def opened(body: bytes) -> Message | None:
    """The message with every digit, or None where it is talk: pings, what was taken, what was refused (htx-api 7.2).

    ``BadReply`` where it is no JSON object.
    """
    try:
        message = _decode(body)
    except (*UNDECODABLE, DecimalException) as error:
        raise BadReply(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadReply(f"a {type(message).__name__}, not an object")
    if any(name in message for name in _TALK) or str(message.get("op")) in _OPERATIONS:
        return None
    if message.get("status") == "error":
        return None
    return message


def is_talk(body: bytes) -> bool:
    """Whether a message surely is no data, and nothing is wrong with it."""
    try:
        return opened(body) is None
    except BadReply:
        return False


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
    value, fitting = wire.number(row, name, at)
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


Counted = Literal["base", "coins", "dollars"]
"""What sizes count: base units themselves, or contracts of so many coins, or of so many dollars, each."""


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
