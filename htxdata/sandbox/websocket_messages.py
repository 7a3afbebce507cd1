"""What is pushed, as texts and as the gzip frames that carry them; each is squeezed once, however many are sent it.

Field orders and spellings are those of the samples: spot prints doubles as Java does, derivatives plainly (1.5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .bars import Columns
from .instruments import SPOT
from .live_books import Change, LiveBooks
from .spelling import Piece, gzipped, java_double, piece, plain
from .spelling import _deflate as deflate
from .trade_pages import GROUPS, inner_ids

_PREVIOUS = re.compile(rb'"prevSeqNum":(\d+)')


def squeezed(text: bytes) -> bytes:
    """A whole gzip frame."""
    frame: bytes = deflate.compress(text, 1, 31)
    return frame


class Message:
    """One text to be pushed to many. `counted`: it has numbers that must follow those of the message before."""

    __slots__ = ("_frame", "counted", "text")

    def __init__(self, text: bytes, counted: bool = False) -> None:
        self.text, self.counted = text, counted
        self._frame: bytes | None = None

    def frame(self, version: int = 0) -> bytes:
        """The gzip frame; `version` is for those that are numbered for each connection."""
        if self._frame is None:
            self._frame = squeezed(self.text)
        return self._frame

    def body(self, version: int = 0) -> bytes:
        """The text in the frame."""
        return self.text

    def astray(self, by: int) -> Message:
        """The same with a number before it that nobody has sent."""
        return Message(
            _PREVIOUS.sub(lambda found: b'"prevSeqNum":%d' % (int(found[1]) + by), self.text), self.counted
        )


class Numbered(Message):
    """A message with a number of its connection's in it, near the end."""

    __slots__ = ("_after", "_middle")

    def __init__(self, before: bytes, after: bytes) -> None:
        super().__init__(before, True)
        self._after = after
        self._middle: Piece | None = None

    def frame(self, version: int = 0) -> bytes:
        if self._middle is None:
            self._middle = piece(self.text)
        return gzipped(b"", self._middle, b"%d" % version + self._after)

    def body(self, version: int = 0) -> bytes:
        return self.text + b"%d" % version + self._after

    def astray(self, by: int) -> Message:
        return self  # its number is the connection's


def number(venue: str, value: float) -> bytes:
    """A number as a venue spells it."""
    return (java_double(value) if venue == SPOT else plain(value)).encode()


def trade_push(venue: str, topic: str, rows: Columns) -> bytes:
    """The fills of one order as in samples spot-ws-trade-detail-push and linear-ws-trade-push-2024. Spot has the newest
    fill first, as in cryptofeed's recording. `rows` are Market's, with `order`.

    `ts` is two milliseconds after the trade, as in the recording, whenever it is sent.
    """
    time, order = int(rows["trade_time"][0]) // 1000, int(rows["order"][0])
    head = b'{"ch":"%b","ts":%d,"tick":{"id":%d,"ts":%d,"data":[' % (
        topic.encode(),
        time + 2,
        order + GROUPS if venue == SPOT else order,
        time,
    )
    fills = trade_rows(venue, rows, True)
    return head + b",".join(fills) + b"]}}"


def trade_rows(venue: str, rows: Columns, pushed: bool) -> list[bytes]:
    """Each trade as in a push, or as in an answer to a request, where derivatives have strings (htx-api 7.4)."""
    times, ids = (rows["trade_time"] // 1000).tolist(), rows["trade_id"].tolist()
    numbers = [
        [b""] * len(ids) if rows[name] is None else [number(venue, value) for value in rows[name].tolist()]
        for name in ("quantity", "price", "quote_quantity")
    ]
    sides = [side.encode() for side in rows["side"].tolist()]
    if venue == SPOT:
        made = [
            b'{"id":%d,"ts":%d,"tradeId":%d,"amount":%b,"price":%b,"direction":"%b"}' % row
            for row in zip(
                inner_ids(rows["trade_id"], rows["order"]),
                times,
                ids,
                numbers[0],
                numbers[1],
                sides,
                strict=True,
            )
        ]
        return made[::-1]
    contracts = rows["contracts"].tolist()
    quote = b'"' if not pushed else b""
    turnovers = [b',"trade_turnover":%b%b%b' % (quote, one, quote) if one else b"" for one in numbers[2]]
    if pushed:
        return [
            b'{"amount":%d,"quantity":%b%b,"ts":%d,"id":%d,"price":%b,"direction":"%b"}' % row
            for row in zip(contracts, numbers[0], turnovers, times, ids, numbers[1], sides, strict=True)
        ]
    return [
        b'{"amount":"%d","ts":%d,"id":%d,"price":"%b","direction":"%b","quantity":"%b"%b}' % row
        for row in zip(contracts, times, ids, numbers[1], sides, numbers[0], turnovers, strict=True)
    ]


def level(books: LiveBooks, place: int, lots: int) -> bytes:
    """`[price,size]`; a level that is gone has the size 0."""
    venue = books.one.venue
    size = number(venue, books.size(lots)) if lots else b"0"
    return b"[%b,%b]" % (number(venue, books.price(place)), size)


def levels(books: LiveBooks, changes: Iterable[Change]) -> bytes:
    """Levels without their brackets."""
    return b",".join(level(books, place, lots) for place, lots in changes)
