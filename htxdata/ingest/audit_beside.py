"""The venue's candles beside those that finer data makes of the same slots: the comparison itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from htxdata.errors import CorruptPartition
from htxdata.ingest import candles
from htxdata.ingest.audit_checks import close_enough
from htxdata.ingest.audit_edges import Edge, look
from htxdata.ingest.audit_rows import Finding, on_grid
from htxdata.ingest.candles import Columns
from htxdata.market import Series
from htxdata.store.layout import Partition, partitions
from htxdata.store.partition import Store
from htxdata.timeline import Grid, Window, subtract


class Stored:
    """The stored candles of a series by windows that ascend; one partition is in memory at a time."""

    def __init__(self, store: Store, series: Series) -> None:
        self._store, self._series = store, series
        self._there = set(store.partitions(series))
        self._read: tuple[Partition, Columns] | None = None

    def rows(self, window: Window) -> Columns:
        parts = []
        for partition in partitions(self._series, window) if window else ():
            if partition in self._there:
                rows = self._partition(partition)
                low, high = rows["open_time"].searchsorted(window)
                parts.append(candles.taken(rows, slice(low, high)))
        return candles.joined(parts)

    def _partition(self, partition: Partition) -> Columns:
        if self._read is None or self._read[0] != partition:
            rows = candles.nothing()
            with suppress(CorruptPartition):  # which is a finding already
                table = self._store.read(partition)
                rows = candles.nothing() if table is None else candles.from_table(table)
            self._read = partition, rows
        return self._read[1]


@dataclass
class Beside:
    """The venue's candles of one series beside what finer data makes of the same slots.

    ``known`` is where the finer data is complete, ``silent`` where the venue's candles are ``empty``. Both, and the
    slots that are compared, lie in ``window``, whose ends are openings.
    """

    check: str
    finer: str
    store: Store
    series: Series
    grid: Grid
    window: Window
    known: Sequence[Window]
    silent: Sequence[Window]
    compared: Counter[str]
    trades: Series | None = None
    _done: int = 0
    _doubts: list[Finding] = field(default_factory=list)
    _stored: Stored = field(init=False)

    def __post_init__(self) -> None:
        self._stored = Stored(self.store, self.series)
        self._done = self.window.start

    def take(self, built: Columns, upto: int) -> Iterator[Finding]:
        """``built`` are all candles of the slots from the last ``upto`` to this one."""
        window = Window(self._done, min(self.grid.floor(upto), self.window.end))
        if window:
            self._done = window.end
            for partition in partitions(self.series, window):
                yield from self._compare(built, window.intersect(partition.window))

    def forget(self, window: Window) -> None:
        """The finer data of ``window`` cannot be read: nothing is known there."""
        self.known = subtract(self.known, [window])

    def _compare(self, built: Columns, window: Window) -> Iterator[Finding]:
        """The slots that open in ``window``, which lies in one partition."""
        venue = self._stored.rows(window)
        venue = candles.taken(venue, on_grid(self.grid, venue["open_time"]))
        times = np.union1d(built["open_time"], venue["open_time"])
        times = times[(times >= window.start) & (times < window.end)]
        times = times[_within(self.known, times, _closes(self.grid, times))]
        ours, theirs = _places(built["open_time"], times), _places(venue["open_time"], times)
        silent = _within(self.silent, times, times + 1)
        self.compared[self.check] += int(((theirs >= 0) | silent).sum())
        yield from self._absent(built, venue, times, ours, theirs, silent)
        both = (ours >= 0) & (theirs >= 0)
        yield from self._apart(
            candles.taken(built, ours[both]), candles.taken(venue, theirs[both]), times[both]
        )

    def _absent(
        self, built: Columns, venue: Columns, times: Any, ours: Any, theirs: Any, silent: Any
    ) -> Iterator[Finding]:
        """Candles that only one side has. The venue may give a flat candle where nothing was traded."""
        for at in np.flatnonzero((theirs < 0) & silent).tolist():
            volume = float(built["volume"][ours[at]])
            said = f"the venue has no candle, though the {self.finer} saw trading"
            yield self._finding(times[at], "volume", volume, None, said)
        for at in np.flatnonzero(ours < 0).tolist():
            for name in ("volume", "trade_count"):
                value = float(venue[name][theirs[at]])
                if value > 0:
                    said = f"the {self.finer} saw no trading"
                    yield self._finding(times[at], name, 0.0, value, said)
                    break

    def _apart(self, built: Columns, venue: Columns, times: Any) -> Iterator[Finding]:
        traded = (venue["volume"] > 0) | (venue["trade_count"] > 0) | np.isnan(venue["volume"])
        for name in candles.COLUMNS[1:]:
            one, other = built[name], venue[name]
            same = close_enough(name, one, other, built["trade_count"])
            if name in ("open", "high", "low", "close"):
                same |= ~traded  # index-like symbols have prices and no volume: nothing to compare with
            elif name == "trade_count":
                same |= _orders(built, venue, per_trade=2 if self.trades else 1)
            for at in np.flatnonzero(~same).tolist():
                said = f"the {self.finer} make another {name}"
                found = self._finding(times[at], name, float(one[at]), float(other[at]), said)
                if self.trades is not None and name in ("open", "close"):
                    self._doubts.append(found)
                else:
                    yield found

    def settle(self) -> Iterator[Finding]:
        """What was put off: an open or close that may be another trade's of the same instant is no finding."""
        doubts, self._doubts = self._doubts, []
        if not doubts or self.trades is None:
            return
        edges = [
            Edge(Window(found.at, self.grid.next(found.at)), found.column == "open") for found in doubts
        ]
        look(self.store, self.trades, edges)
        for found, edge in zip(doubts, edges, strict=True):
            if found.theirs is None or not edge.may_be(found.theirs):
                yield found

    def given_up(self, error: Exception) -> Finding:
        return self._finding(self._done, "open_time", None, None, f"not compared from here on: {error}")

    def _finding(
        self, time: int, column: str, ours: float | None, theirs: float | None, said: str
    ) -> Finding:
        return Finding(self.check, self.series, int(time), column, ours, theirs, said)


def _orders(built: Columns, venue: Columns, per_trade: int) -> Any:
    """On contracts the venue counts orders of both sides (htx-api 1.5), not trades: a trade has one or two, and the
    samples hold odd counts. So the count is bounded there, and equal on spot."""
    counted = venue["trade_count"]
    return ~np.isnan(built["contracts"]) & (counted >= 1) & (counted <= per_trade * built["trade_count"])


def _within(windows: Sequence[Window], starts: Any, ends: Any) -> Any:
    """Which of ``[starts, ends)`` lie whole in one of ``windows``, which ascend and do not touch."""
    if not windows:
        return np.zeros(len(starts), dtype=bool)
    opens = np.array([w.start for w in windows], dtype=np.int64)
    closes = np.array([w.end for w in windows], dtype=np.int64)
    at = opens.searchsorted(starts, side="right") - 1
    return (at >= 0) & (ends <= closes[at])


def _closes(grid: Grid, openings: Any) -> Any:
    if grid.step:
        return openings + grid.step
    return np.array([grid.next(int(opening)) for opening in openings], dtype=np.int64)


def _places(rows: Any, times: Any) -> Any:
    """Where each of ``times`` stands in ``rows``, -1 where it does not."""
    if not len(rows):
        return np.full(len(times), -1, dtype=np.int64)
    at = np.minimum(rows.searchsorted(times), len(rows) - 1)
    return np.where(rows[at] == times, at, -1)
