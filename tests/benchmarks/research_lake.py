"""A lake of many symbols, quickly: candles and trades from arrays; and the same rows as others keep them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from htxdata.market import Series, grid_of
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Partition, Store
from htxdata.timeline import DAY, HOUR, MILLISECOND, MINUTE, Window, cells, parse_instant

VENUE = "htx-linear"
YEARS = Window(parse_instant("2021-01-01"), parse_instant("2024-01-01"))
DAYS = Window(parse_instant("2023-11-01"), parse_instant("2023-12-01"))
SHOWN = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "contracts", "trade_count")


def symbol(number: int) -> str:
    return f"C{number:03d}-USDT"


def fill(root: Path, symbols: int, trades_a_day: int) -> None:
    """Three years of minutes and thirty days of trades of each symbol."""
    store = Store(root)
    dice = np.random.default_rng(3)
    for number in range(symbols):
        price = 30_000.0
        for label, cell in cells("month", YEARS):
            table, price = _minutes(dice, cell, price)
            partition = Partition("klines", VENUE, symbol(number), "1min", label)
            store.commit(partition, table, [Asked(cell, "rest", cell.end + DAY)], grid=grid_of("1min"))
        for label, cell in cells("day", DAYS):
            partition = Partition("trades", VENUE, symbol(number), None, label)
            store.commit(
                partition, _trades(dice, cell, trades_a_day), [Asked(cell, "archive", cell.end + DAY)]
            )


def _minutes(dice: np.random.Generator, cell: Window, price: float) -> tuple[pa.Table, float]:
    at = np.arange(cell.start, cell.end, MINUTE)
    volume = np.round(dice.gamma(0.5, 20, len(at)), 3)
    traded = volume > 0  # a minute without a trade carries the close of the one before, as venues send it
    close = np.round(price + np.cumsum(dice.normal(0, 3, len(at)) * traded), 1)
    opened = np.concatenate([[price], close[:-1]])
    columns = {
        "open_time": at,
        "open": opened,
        "high": np.maximum(opened, close) + np.round(dice.random(len(at)) * 5, 1) * traded,
        "low": np.minimum(opened, close) - np.round(dice.random(len(at)) * 5, 1) * traded,
        "close": close,
        "volume": volume,
        "quote_volume": np.round(volume * close, 4),
        "contracts": np.round(volume * 1000),
        "trade_count": dice.integers(1, 500, len(at)) * traded,
        "source": "rest",
        "received_at": cell.end + HOUR,
    }
    return conform(dataset("klines"), columns), float(close[-1])


def _trades(dice: np.random.Generator, cell: Window, rows: int) -> pa.Table:
    at = cell.start + np.sort(dice.integers(0, (cell.end - cell.start) // MILLISECOND, rows)) * MILLISECOND
    price = np.round(30_000 + np.cumsum(dice.normal(0, 0.5, rows)), 1)
    quantity = np.round(dice.gamma(0.5, 0.2, rows) + 0.001, 3)
    columns: dict[str, Any] = {
        "trade_time": at,
        "trade_id": pa.array(10**17 + cell.start // 1000 + np.arange(rows)).cast(pa.string()),
        "price": price,
        "quantity": quantity,
        "quote_quantity": np.round(price * quantity, 4),
        "side": pa.array(["buy", "sell"]).take(pa.array(dice.integers(0, 2, rows))),
        "source": "archive",
        "received_at": cell.end + HOUR,
    }
    return conform(dataset("trades"), columns)


def grow(root: Path, larger: Path, times: int) -> None:
    """A lake of so many times as many symbols: the same files, under other names, by hard links."""
    for series in Store(root).series():
        source = root / Partition(series.dataset, series.venue, series.symbol, series.period, "x").folder
        for turn in range(times):
            name = series.symbol if turn == 0 else f"{series.symbol}-{turn}"
            other = Series(series.dataset, series.venue, name, series.period)
            target = larger / Partition(other.dataset, other.venue, other.symbol, other.period, "x").folder
            for cell in source.parent.iterdir():
                (target.parent / cell.name).mkdir(parents=True)
                for file in cell.iterdir():
                    os.link(file, target.parent / cell.name / file.name)


def one_file(root: Path, name: str, folder: Path) -> Path:
    """All rows of a dataset in one Parquet file, sorted by symbol and time: the best that one can do by hand."""
    target = folder / f"{name}.parquet"
    files = sorted(map(str, root.glob(f"{name}/**/part.parquet")))  # by symbol, by cell, and sorted inside
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = f"SELECT * EXCLUDE (cell) FROM read_parquet({files}, hive_partitioning = true)"
        connection.execute(f"COPY ({rows}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    return target


def feathers(root: Path, folder: Path) -> None:
    """One feather file a symbol, as freqtrade keeps them: all of its minutes, lz4."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for path in sorted(root.glob("klines/venue=*/symbol=*")):
            rows = connection.sql(
                f"SELECT {', '.join(SHOWN)} FROM read_parquet('{path}/*/*/part.parquet') ORDER BY open_time"
            ).to_arrow_table()
            feather.write_feather(rows, folder / f"{path.name.partition('=')[2]}.feather", compression="lz4")
