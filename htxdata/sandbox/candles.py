"""Candle pages as the venue cuts them: the newest N, the oldest N from a time, and bodies kept of what cannot change.

The closed rows of a page are squeezed once and kept; only the running candle and the envelope are made per request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .bars import Columns
from .breakage import Bend, take
from .instruments import Instrument
from .periods import open_of, slot_of
from .recent import Recent
from .spelling import Piece, piece

Encode = Callable[[Columns], bytes]


class Source(Protocol):
    """Where candles come from: Market or Replay."""

    def instrument(self, venue: str, symbol: str) -> Instrument: ...

    def session_before(self, venue: str, symbol: str, now: int) -> int: ...

    def candles(
        self, venue: str, symbol: str, period: str, start: int, end: int, now: int | None = None
    ) -> Columns: ...


@dataclass(frozen=True)
class Window:
    """A page that was asked for, in slots of its period, both ends included; `size` counts from `anchor`."""

    venue: str
    symbol: str
    period: str
    first: int
    last: int
    size: int
    anchor: str  # "first": the oldest `size` rows, "last": the newest


def kept_or_made(
    source: Source,
    window: Window,
    now: int,
    encode: Encode,
    descending: bool,
    bodies: Recent,
    bend: Bend | None,
) -> tuple[Piece | None, bytes, int]:
    """Closed rows (None if there are none), the running row (empty if it is not in the page), and how many in all."""
    running_slot = slot_of(window.period, now)
    if bend is not None:
        rows = _page(source, window, now)
        order = np.arange(_count(rows), dtype=np.int64)
        rows = bend(take(rows, order[::-1] if descending else order), now)
        return (piece(encode(rows)) if _count(rows) else None), b"", _count(rows)
    # A page that can only hold closed rows is the same for ever; one that ends now is the same until the next open.
    key = (id(source), window, descending, running_slot if window.last >= running_slot else None)
    found: tuple[Piece | None, int, bool] | None = bodies.get(key)
    if found is None:
        rows = _page(source, window, now)
        closed = int(np.searchsorted(rows["open_time"], open_of(window.period, running_slot)))
        order = np.arange(closed, dtype=np.int64)
        made = piece(encode(take(rows, order[::-1] if descending else order))) if closed else None
        found = made, closed, _count(rows) > closed
        bodies.put(key, found)
    made, closed, has_running = found
    if window.last < running_slot or (
        has_running is False and window.anchor == "first" and closed >= window.size
    ):
        return made, b"", closed
    start = open_of(window.period, running_slot)
    running = source.candles(window.venue, window.symbol, window.period, start, now + 1, now)
    count = _count(running)
    if count and not has_running and window.anchor == "last" and closed >= window.size:
        # A candle was born in a slot that was empty when the page was kept: make the page again.
        bodies.put(key, None)
        return kept_or_made(source, window, now, encode, descending, bodies, bend)
    return made, encode(running) if count else b"", closed + count


def _count(rows: Columns) -> int:
    return len(rows["open_time"])


def _page(source: Source, window: Window, now: int) -> Columns:
    """The rows of a window, ascending. Series with holes are searched in growing stretches until `size` is met."""
    venue, symbol, period = window.venue, window.symbol, window.period
    listed = slot_of(period, source.instrument(venue, symbol).listed_at)
    low, high = max(window.first, listed), min(window.last, slot_of(period, now))
    width = window.size
    rows: Columns = source.candles(venue, symbol, period, 0, 0)
    if window.anchor == "last":
        high = min(high, slot_of(period, source.session_before(venue, symbol, now)))
    while high >= low:
        if window.anchor == "last":
            start, stop = max(low, high - width + 1), high
        else:
            start, stop = low, min(high, low + width - 1)
        rows = source.candles(venue, symbol, period, open_of(period, start), open_of(period, stop + 1), now)
        if _count(rows) >= window.size or (start == low and stop == high):
            break
        width *= 4
    extra = _count(rows) - window.size
    if extra > 0:
        order = np.arange(_count(rows), dtype=np.int64)
        rows = take(rows, order[extra:] if window.anchor == "last" else order[: window.size])
    return rows


def envelope(pieces: tuple[Piece | None, bytes, int], descending: bool) -> tuple[bytes, Piece | None, bytes]:
    """What stands before the closed rows, the closed rows, what stands after: the inside of `data`."""
    closed, running, _ = pieces
    if closed is None:
        return running, None, b""
    if not running:
        return b"", closed, b""
    return (running + b",", closed, b"") if descending else (b"", closed, b"," + running)


def number(text: str | None) -> int | None:
    """A decimal integer of a query; None when it is absent; ValueError when it is not one."""
    return None if text is None or text == "" else int(text)


def rows_of(table: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Columns to row dicts, for the small answers."""
    return [{name: column[index] for name, column in table.items()} for index in range(count)]
