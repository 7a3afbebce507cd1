"""Small lakes to ask, and the same rows as plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.market import Series, grid_of
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Store, partitions
from htxdata.timeline import DAY, HOUR, Window, parse_instant

T0 = parse_instant("2024-02-28")  # a leap day follows, and the end of a month, UTC and UTC+8
HTX = -8 * HOUR
SWAP = Series("klines", "htx-linear", "BTC-USDT", "1min")
TRADES = Series("trades", "htx-spot", "btcusdt")
Row = dict[str, Any]


def put(
    store: Store,
    series: Series,
    rows: Sequence[Mapping[str, Any]],
    asked: Iterable[tuple[int, int, str]] = (),
    *,
    day_opens: int = HTX,
) -> None:
    """Commit rows (columns by name, instants in microseconds) and what was asked for them, cell by cell."""
    declared = dataset(series.dataset)
    asked = list(asked)
    times = [row[declared.time_column] for row in rows]
    if not rows and not asked:
        return
    hull = [*times, *(end for start, end, _ in asked for end in (start, end - 1))]
    grid = grid_of(series.period, day_opens) if series.period else None
    for partition in partitions(series, Window(min(hull), max(hull) + 1)):
        cell = partition.window
        mine = [row for row, at in zip(rows, times, strict=True) if cell.start <= at < cell.end]
        words = [
            Asked(Window(start, end).intersect(cell), "rest", end + 400 * DAY, verdict)
            for start, end, verdict in asked
            if Window(start, end).intersect(cell)
        ]
        table = None
        if mine:
            defaults: Row = {"source": "rest", "received_at": T0 + 400 * DAY}
            names = [name for name in declared.columns if name in mine[0] or name in defaults]
            table = conform(
                declared, {name: _array([{**defaults, **row}[name] for row in mine]) for name in names}
            )
        store.commit(partition, table, words, grid=grid)


def _array(values: list[Any]) -> Any:
    if isinstance(values[0], str):
        return pa.array(values, pa.string())
    if any(value is None for value in values):
        return pa.array(values, pa.float64())
    return np.array(values)


def candle(at: int, low: float = 1.0, *, volume: float | None = 1.0, **more: Any) -> Row:
    """A candle whose prices tell which one it is."""
    prices = {"open": low + 1, "high": low + 3, "low": low, "close": low + 2}
    return {"open_time": at, **prices, "volume": volume, **more}


def micros(relation: Any, *columns: str) -> list[tuple[Any, ...]]:
    """The columns of a relation as Python values, instants as microseconds."""
    kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
    said = [f'epoch_us("{name}")' if kinds[name].startswith("TIMESTAMP") else f'"{name}"' for name in columns]
    return relation.select(", ".join(said)).fetchall()


def in_turn(bounds: tuple[int, int]) -> tuple[int, int]:
    """The same two as a range: no lake is asked for a reversed one."""
    return min(bounds), max(bounds)
