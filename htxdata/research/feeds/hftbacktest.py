"""Event arrays for ``hftbacktest`` (backtesters.md, its section; hftbacktest 2.4.4 read).

One structured array for each symbol and UTC day, 64 bytes a row: ``ev exch_ts local_ts px qty order_id ival fval``;
``<symbol>_<YYYYMMDD>.npz``, key ``data``. Times are nanoseconds UTC, ``px`` in quote and ``qty`` in base units
(contracts of HTX count both sides of a trade: as stored). Tick and lot size stand beside it in ``<symbol>.json``; lot
in base units.

* ``exch_ts`` is the venue's clock. ``local_ts`` is when we heard a row that was captured live. What came from the
  archive or REST was not heard as it happened: it needs ``latency``, which is assumed for it, and nothing is assumed
  unasked. Where our clock was behind the venue's, all of a day's live rows are heard later by so much that the least
  delay is 1 microsecond (``correct_local_timestamp`` of the engine does the same).
* Rows that the two clocks order differently are split in two, one for the exchange and one for us
  (``correct_event_order``).
* Trades come before the changes of the book that they made, where both are of one instant, or the queue is shortened
  twice.
* Every day begins with the whole book: DEPTH_CLEAR (px NaN: all of it) of both sides and DEPTH_SNAPSHOT.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htxdata.errors import UsageError
from htxdata.research.feeds import events
from htxdata.research.feeds.events import Changes, Trades
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Source
from htxdata.timeline import SECOND, Window, label_of

EVENT = np.dtype(
    [("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8"), ("px", "f8"), ("qty", "f8"), ("order_id", "u8"),
     ("ival", "i8"), ("fval", "f8")],
    align=True,
)  # fmt: skip
DEPTH, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
EXCH, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28

Events = NDArray[Any]


def of_trades(trades: Trades, latency: int | None) -> Events:
    """TRADE events; BUY where the taker bought. ``latency`` in microseconds."""
    out = np.zeros(len(trades), EVENT)
    out["ev"] = TRADE | np.where(trades.buys, BUY, SELL)
    out["px"], out["qty"] = trades.price, trades.quantity
    return _timed(out, trades, latency)


def of_books(changes: Changes, latency: int | None) -> tuple[Events, Any]:
    """DEPTH events, in front of each snapshot what clears both sides; and which of them were heard live."""
    levels = np.zeros(len(changes), EVENT)
    levels["ev"] = np.where(changes.snapshot, SNAPSHOT, DEPTH) | np.where(changes.bids, BUY, SELL)
    levels["px"], levels["qty"] = changes.price, changes.size
    levels = _timed(levels, changes, latency)
    first = np.flatnonzero(changes.snapshot & np.r_[True, np.diff(changes.message) != 0])
    clears = np.repeat(levels[first], 2)
    clears["ev"] = CLEAR | np.tile(np.array([BUY, SELL]), len(first))
    clears["px"], clears["qty"] = np.nan, 0.0
    live = np.asarray(changes.live)
    places = np.repeat(first, 2)
    return np.insert(levels, places, clears), np.insert(live, places, live[places])


def _timed(out: Events, rows: Trades | Changes, latency: int | None) -> Events:
    """With both clocks."""
    live = np.asarray(rows.live)
    if latency is None and not live.all():
        raise UsageError(
            "--latency is missing: these rows came from the archive or REST, so nobody knows when they would have been "
            "heard; say what hftbacktest is to assume, such as --latency 50ms"
        )
    heard = np.where(live, rows.received_at, rows.time + (latency or 0))
    out["exch_ts"], out["local_ts"] = rows.time * 1000, heard * 1000
    return out


def merged(rows: Events, live: Any) -> Events:
    """One day's events, trades first, in the order of both clocks, each row flagged for whom it is.

    A row that stands in the same place on both clocks, with the same rows before it, is one event for both. Those
    between two such rows are told twice: to the exchange in its order, then to us in ours.
    """
    if live.any():
        rows["local_ts"][live] += max(0, 1000 - int((rows["local_ts"] - rows["exch_ts"])[live].min()))
    exch = np.argsort(rows["exch_ts"], kind="stable")  # trades stay before books
    local = np.argsort(rows["local_ts"], kind="stable")
    place = np.empty(len(rows), np.int64)
    place[local] = np.arange(len(rows))
    place = place[exch]  # of the n-th row of the exchange's clock, on ours
    whole = (place == np.arange(len(rows))) & (np.maximum.accumulate(place) == place)
    apart = np.flatnonzero(~whole)
    parts = [rows[exch[apart]], rows[local[apart]], rows[exch[whole]]]
    for part, flags in zip(parts, (EXCH, LOCAL, EXCH | LOCAL), strict=True):
        part["ev"] |= np.uint64(flags)
    block = np.cumsum(whole)  # how many whole rows stand before; a whole row ends its block
    blocks = np.concatenate([block[apart], block[apart], block[whole] - 1])
    kinds = np.repeat([0, 1, 2], [len(part) for part in parts])
    places = np.concatenate([apart, apart, np.flatnonzero(whole)])
    return np.concatenate(parts)[np.lexsort((places, kinds, blocks))]


def read(source: Source, symbol: str, latency: float | None = None) -> Iterator[tuple[Window, Events]]:
    """Every UTC day of the range that has a book, and its events. ``latency``: seconds, of what was not heard live."""
    assumed = None if latency is None else round(latency * SECOND)
    if assumed is not None and assumed < 1:
        raise UsageError(
            f"--latency {latency}: what happens is heard later than it happens; more than 0 is meant"
        )
    feed = events.trades(source, symbol, source.window(source.spans("book_changes", symbol)))
    ahead = next(feed, None)
    for day, changes in events.books(source, symbol):
        while ahead is not None and ahead[0].start < day.start:  # trades of a day that has no book
            ahead = next(feed, None)
        rows, live = of_books(changes, assumed)
        if ahead is not None and ahead[0].start == day.start:
            rows = np.concatenate([of_trades(ahead[1], assumed), rows])
            live = np.concatenate([np.asarray(ahead[1].live), live])
        yield day, merged(rows, live)


def export(source: Source, symbol: str, folder: Folder, latency: float | None = None) -> None:
    """``<symbol>_<YYYYMMDD>.npz`` for every day, and ``<symbol>.json``: ``tick_size``, ``lot_size``,
    ``contract_size``."""
    instrument = source.instrument(symbol)
    name = symbol.lower()
    for day, rows in read(source, symbol, latency):
        with folder.open(f"{name}_{label_of('day', day.start).replace('-', '')}.npz") as file:
            np.savez_compressed(file, data=rows)
    about = {
        "tick_size": instrument.tick,
        "lot_size": instrument.lot,
        "contract_size": instrument.contract_size,
    }
    folder.write(f"{name}.json", json.dumps(about, indent=1) + "\n")
