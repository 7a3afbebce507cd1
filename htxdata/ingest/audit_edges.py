"""Which trades may have opened or closed a candle: where nobody knows their order, all of its first or last instant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from htxdata.errors import CorruptPartition
from htxdata.ingest.audit_ids import ids_as_numbers
from htxdata.ingest.audit_rows import opened
from htxdata.ingest.candles import floats, integers
from htxdata.market import Series
from htxdata.store.layout import Partition, partitions
from htxdata.store.partition import Store
from htxdata.timeline import Window


@dataclass
class Edge:
    """The first (or last) instant of a candle at which there was a trade. ``window`` is the candle's own.

    ``ordered``: whether the trades of that instant have the venue's numbers, and so an order. Where the archive repeats
    them, trades have names (``venues/htx/archive_ids.py``), and which of them was first is the venue's to know.
    """

    window: Window
    first: bool
    instant: int | None = None
    prices: set[float] = field(default_factory=set)
    ordered: bool = True

    def may_be(self, price: float) -> bool:
        """Whether a trade of ``price`` may be the one that opened (closed) the candle, though another is stored so."""
        return not self.ordered and price in self.prices


def look(store: Store, trades: Series, edges: Sequence[Edge]) -> None:
    """Fill in the edges; every partition is read once for all of them together, piece by piece."""
    todo: dict[Partition, list[Edge]] = {}
    there = set(store.partitions(trades))
    ways = {id(edge): _way(trades, edge, there) for edge in edges}
    left = list(edges)
    while left:
        todo.clear()
        for edge in left:
            partition = next(ways[id(edge)], None)
            if partition is not None:
                todo.setdefault(partition, []).append(edge)
        for partition, some in todo.items():
            with suppress(CorruptPartition):  # which is a finding already
                _look_into(store, partition, some)
        left = [edge for some in todo.values() for edge in some if edge.instant is None]


def _way(trades: Series, edge: Edge, there: set[Partition]) -> Iterator[Partition]:
    """The partitions in which the instant may lie, the likeliest first."""
    found = [partition for partition in partitions(trades, edge.window) if partition in there]
    return iter(found if edge.first else found[::-1])


def _look_into(store: Store, partition: Partition, edges: Iterable[Edge]) -> None:
    with opened(store, partition) as held:
        for batch in held.batches(["trade_time", "price", "trade_id"]) if held is not None else ():
            times = integers(batch["trade_time"])
            for edge in edges:
                if edge.window.start <= times[-1] and times[0] < edge.window.end:
                    _take(edge, batch, times)


def _take(edge: Edge, batch: pa.Table, times: Any) -> None:
    low, high = times.searchsorted(edge.window)
    if low == high:
        return
    instant = int(times[low] if edge.first else times[high - 1])
    if edge.instant is not None and edge.first and edge.instant != instant:
        return  # it was in an earlier piece
    if edge.instant != instant:
        edge.instant, edge.prices, edge.ordered = instant, set(), True
    here = slice(times.searchsorted(instant), times.searchsorted(instant, side="right"))
    rows = batch.slice(here.start, here.stop - here.start)
    edge.prices |= set(floats(rows["price"]).tolist())
    numbers = ids_as_numbers(rows["trade_id"])
    edge.ordered &= bool(numbers[0] >= 0 and (numbers[1:] > numbers[:-1]).all())
