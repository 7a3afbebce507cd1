"""The checks of an audit that build candles from finer data and lay them beside the venue's own.

Only complete inputs prove anything: a candle is compared where the finer data is ``present`` or ``empty`` from its
opening to its close.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from htxdata.errors import BadReply, CorruptPartition
from htxdata.ingest import candles
from htxdata.ingest.audit_beside import Beside
from htxdata.ingest.audit_rows import Finding, day_opens, grid_for, on_grid, opened
from htxdata.ingest.candles import Candles, Columns, Longer
from htxdata.market import PERIODS, Series
from htxdata.schema import DATASETS
from htxdata.store.footer import KNOWN, Span
from htxdata.store.layout import Partition
from htxdata.store.partition import Store
from htxdata.timeline import DAY, MINUTE, Grid, Window, intersect, merge, subtract

CANDLES = frozenset(d.name for d in DATASETS if d.density == "grid")
"""Candles of trades and of prices that are computed."""

OnPartition = Callable[[Partition], None]
"""Told of every partition before it is read."""


# ------------------------------------------------------------------------------------------------- against trades


def against_trades(
    store: Store, lines: Sequence[Series], window: Window, compared: Counter[str], on_partition: OnPartition
) -> Iterator[Finding]:
    """The candles of one symbol, all periods in one pass over its trades. ``compared`` counts them."""
    trades = Series("trades", lines[0].venue, lines[0].symbol)
    known = complete(store, trades)
    check = "klines_against_trades"
    sides = [s for line in lines if (s := beside(check, "trades", store, line, window, known, compared))]
    for side in sides:
        side.trades = trades
    needed = merge(part for side in sides for part in side.known)
    builder = Candles([str(side.series.period) for side in sides], day_opens(trades.venue) or 0)
    try:
        for partition in store.partitions(trades) if sides else ():
            if not intersect([partition.window], needed):
                continue
            on_partition(partition)
            try:
                for built, last in _passing(store, partition, builder):
                    for side in sides:
                        yield from side.take(built[str(side.series.period)], last)
            except CorruptPartition:
                for side in sides:
                    side.forget(partition.window)
            for side in sides:
                yield from side.settle()
        built = builder.close()
        for side in sides:
            yield from side.take(built[str(side.series.period)], side.window.end)
    except (ValueError, BadReply) as error:  # trades out of order, a side that is none
        yield from (side.given_up(error) for side in sides)
    for side in sides:
        yield from side.settle()


_TRADE = ("trade_time", "price", "quantity", "quote_quantity", "contracts", "side")


def _passing(
    store: Store, partition: Partition, builder: Candles
) -> Iterator[tuple[dict[str, Columns], int]]:
    """The candles that the trades of a partition finish, and up to when all are there."""
    with opened(store, partition) as held:
        for batch in held.batches(_TRADE) if held is not None else ():
            last = int(candles.integers(batch["trade_time"])[-1])
            yield builder.add(batch), last // MINUTE * MINUTE


# ------------------------------------------------------------------------------------------------- against klines


def against_klines(store: Store, line: Series, window: Window, compared: Counter[str]) -> Iterator[Finding]:
    """The candles of one series against stored ones of shorter periods: the longest that is complete, slot by slot."""
    grid = grid_for(line)
    verified: list[Window] = []
    for shorter in _shorter(store, line, grid) if grid is not None else ():
        known = subtract(complete(store, shorter), verified)
        check, finer = "klines_against_klines", f"{shorter.period} candles"
        side = beside(check, finer, store, line, window, known, compared)
        if side is not None:
            yield from _roll_up(store, shorter, side)
            verified = merge([*verified, *side.known])


def _roll_up(store: Store, shorter: Series, side: Beside) -> Iterator[Finding]:
    builder = Longer(str(side.series.period), day_opens(side.series.venue) or 0)
    grid = grid_for(shorter)
    assert grid is not None
    try:
        for partition in store.partitions(shorter):
            if not intersect([partition.window], side.known):
                continue
            try:
                table = store.read(partition)
            except CorruptPartition:
                side.forget(partition.window)
                continue
            if table is None or not len(table):
                continue
            rows = candles.from_table(table)
            rows = candles.taken(rows, on_grid(grid, rows["open_time"]))
            last = int(rows["open_time"].max(initial=0))
            # A flat candle carries the price of the one before: no trade of its own, and no part of the longer one.
            flat = (rows["volume"] == 0) | (np.isnan(rows["volume"]) & (rows["trade_count"] == 0))
            yield from side.take(builder.add(candles.taken(rows, ~flat), last), last)
    except ValueError as error:  # candles out of order
        yield side.given_up(error)
        return
    yield from side.take(builder.close(), side.window.end)


def _shorter(store: Store, line: Series, grid: Grid) -> list[Series]:
    """Stored series of the same symbol whose candles add up to those of ``line``, the longest first."""
    found = []
    for each in store.series(line.dataset, line.venue, line.symbol):
        other = grid_for(each)
        if other is None or not other.step or (each.venue, each.symbol) != (line.venue, line.symbol):
            continue
        shorter = not grid.step or other.step < grid.step
        nested = (grid.step or DAY) % other.step == 0 and (grid.anchor - other.anchor) % other.step == 0
        if shorter and nested:
            found.append(each)
    return sorted(found, key=lambda each: -PERIODS[str(each.period)])


# ------------------------------------------------------------------------------------------------- windows


def complete(store: Store, series: Series) -> list[Window]:
    """Where nothing is missing of a series."""
    return merge(Window(s.start, s.end) for s in _spans(store, series) if s.verdict in KNOWN)


def _spans(store: Store, series: Series) -> list[Span]:
    spans: list[Span] = []
    for partition in store.partitions(series):
        with suppress(CorruptPartition):
            spans += store.spans(partition)
    return spans


def beside(
    check: str,
    finer: str,
    store: Store,
    line: Series,
    window: Window,
    known: Sequence[Window],
    compared: Counter[str],
) -> Beside | None:
    """What of ``line`` can be compared: stored or ``empty``, opening in ``window``, and whole in ``known``."""
    grid = grid_for(line)
    spans = _spans(store, line)
    if grid is None or not spans or not known:
        return None
    extent = Window(min(s.start for s in spans), max(s.end for s in spans)).intersect(window)
    extent = grid.snap(extent) if extent else extent
    slots = [Window(grid.ceil(w.start), grid.floor(w.end)) for w in intersect(known, [extent])]
    slots = merge(slots)
    if not slots:
        return None
    silent = [Window(s.start, s.end) for s in spans if s.verdict == "empty"]
    return Beside(check, finer, store, line, grid, extent, slots, merge(silent), compared)
