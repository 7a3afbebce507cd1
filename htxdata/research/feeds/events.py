"""Trades and order books for engines that replay them, one UTC day at a time: a day is in memory, not the range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.research.feeds.source import Floats, Ints, Source, arrays
from htxdata.store.footer import Span
from htxdata.timeline import DAY, Window, cells, label_of


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trades in order of time. ``side`` is the taker's. ``quantity`` in base units (HTX contracts count both sides: as
    stored), ``turnover`` in quote units, NaN where the venue does not say it. ``live``: whether it was heard as it
    happened, so that ``received_at`` says when; of the others that is when they were fetched."""

    time: Ints
    trade_id: pa.Array
    price: Floats
    quantity: Floats
    turnover: Floats
    side: pa.Array
    buys: Any
    live: Any
    received_at: Ints

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Levels of order books in the order in which they hold. ``size`` in base units, 0 where the level is gone.

    ``message`` numbers them: levels of one number are one message, all at once.
    """

    time: Ints
    price: Floats
    size: Floats
    bids: Any
    snapshot: Any
    message: Ints
    live: Any
    received_at: Ints

    def __len__(self) -> int:
        return len(self.time)

    def part(self, mask: Any) -> Changes:
        """The rows of a mask or a slice."""
        return Changes(*(getattr(self, name)[mask] for name in Changes.__slots__))


def days(
    source: Source, name: str, symbol: str, window: Window | None = None
) -> tuple[list[Window], list[Window]]:
    """The UTC days, cut to the range, in which something is stored; and what of the range is not known, which is noted.

    ``window`` is asked for instead of all that is stored, where the range has no bounds of its own.
    """
    spans: list[Span] = source.spans(name, symbol)
    if not spans:
        raise UsageError(f"--symbol {symbol!r}: the lake has no {name} of it on {source.venue}")
    window = window or source.window(spans)
    if not window:
        return [], []
    unknown = source.judge(Series(name, source.venue, symbol), window, spans)
    present = [Window(span.start, span.end) for span in spans if span.verdict == "present"]
    found = (cell.intersect(window) for _, cell in cells("day", window))
    return [day for day in found if any(day.intersect(span) for span in present)], unknown


def trades(source: Source, symbol: str, window: Window | None = None) -> Iterator[tuple[Window, Trades]]:
    """The trades of every day that has any."""
    for day in days(source, "trades", symbol, window)[0]:
        source.on_read(f"{symbol} {label_of('day', day.start)}")
        table = source.lake.trades([symbol], venue=[source.venue], start=day.start, end=day.end)
        found = arrays(
            table.select(
                "epoch_us(trade_time) AS time, trade_id, price, quantity, quote_quantity, side, "
                "side = 'buy' AS buys, source = 'ws' AS live, epoch_us(received_at) AS received_at"
            )
        )
        if len(found["time"]):
            yield day, Trades(
                found["time"], found["trade_id"], found["price"], found["quantity"], found["quote_quantity"],
                found["side"], found["buys"], found["live"], found["received_at"],
            )  # fmt: skip


def books(source: Source, symbol: str) -> Iterator[tuple[Window, Changes]]:
    """The changes of every day that has any. Each day begins with a whole book, as a snapshot of its first instant.

    Before the first whole book nothing is given: changes to an unknown book are no book. So a day before the range is
    read as well, and across what is not known no book is carried on.
    """
    wanted, unknown = days(source, "book_changes", symbol)
    if not wanted:
        return
    carried: Changes | None = None
    for day in [Window(wanted[0].start - DAY, wanted[0].start), *wanted]:
        source.on_read(f"{symbol} {label_of('day', day.start)}")
        made = _changes(source, symbol, day)
        if not len(made):
            continue
        if not made.snapshot[0]:
            if carried is not None and not any(Window(int(carried.time[-1]), int(made.time[0])).intersect(hole)
                                               for hole in unknown):  # fmt: skip
                made = _joined(
                    _restated(standing(carried), max(day.start, int(carried.time[-1])), made), made
                )
            else:
                first = int(made.snapshot.argmax()) if made.snapshot.any() else len(made)
                made = made.part(slice(first, None))
        carried = made if len(made) else None
        if len(made) and day.start >= wanted[0].start:
            yield day, made


def standing(changes: Changes) -> Changes:
    """The book after ``changes``, which hold a snapshot: the last word on each level since the last one."""
    last = np.flatnonzero(changes.snapshot)[-1]
    since = changes.part(changes.message >= changes.message[last])
    order = np.lexsort((np.arange(len(since)), since.price, since.bids))
    since = since.part(order)
    ends = np.ones(len(since), bool)
    ends[:-1] = (since.price[1:] != since.price[:-1]) | (since.bids[1:] != since.bids[:-1])
    return since.part(ends & (since.size > 0))


def _restated(book: Changes, at: int, before: Changes) -> Changes:
    """A book as a snapshot of the instant ``at``, heard with the message that it is put in front of."""
    count = len(book)
    return Changes(
        np.full(count, at), book.price, book.size, book.bids, np.ones(count, bool), np.full(count, -1),
        np.full(count, before.live[0]), np.full(count, before.received_at[0]),
    )  # fmt: skip


def _joined(*parts: Changes) -> Changes:
    return Changes(*(np.concatenate([getattr(part, name) for part in parts]) for name in Changes.__slots__))


def _changes(source: Source, symbol: str, day: Window) -> Changes:
    """One day in the order of the lake: by the venue's clock, then by when it was heard, then by number."""
    table = source.lake.book_changes([symbol], venue=[source.venue], start=day.start, end=day.end)
    of = arrays(
        table.select(
            "epoch_us(book_time) AS time, price, size, side = 'bid' AS bids, kind = 'snapshot' AS snapshot, "
            "coalesce(sequence, -1) AS sequence, source = 'ws' AS live, epoch_us(received_at) AS received_at"
        )
    )
    order = np.lexsort((of["sequence"], of["received_at"], of["time"]))
    of = {name: values[order] for name, values in of.items()}
    new = np.ones(len(order), bool)
    if len(order):
        alike = [of[name][1:] == of[name][:-1] for name in ("time", "received_at", "sequence", "snapshot")]
        new[1:] = ~np.logical_and.reduce(alike)
    return Changes(
        of["time"],
        of["price"],
        of["size"],
        of["bids"],
        of["snapshot"],
        np.cumsum(new),
        of["live"],
        of["received_at"],
    )
