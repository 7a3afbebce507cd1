"""Days of the archive made up in bulk: zips of trades and of candles, in HTX's own columns (htx-api 9.2)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from htxdata.timeline import DAY, HOUR, parse_instant

FIRST_ID = 103_130_425_211


def opening(day: str) -> int:
    """When a day of HTX opens, in milliseconds."""
    return (parse_instant(day) - 8 * HOUR) // 1000


def trades(day: str, rows: int, seed: int = 1) -> pl.DataFrame:
    """Spot trades: a wandering price of one decimal, amounts of six, several fills to an instant.

    Three millions are 145 MB of text, and 57 MB of Parquet as pandas writes it.
    """
    dice = np.random.default_rng(seed)
    times = opening(day) + np.sort(dice.integers(0, DAY // 1000, rows))
    price = np.round(95_000 + np.cumsum(dice.normal(0, 0.6, rows)), 1)
    amount = np.maximum(np.round(dice.lognormal(-3.5, 1.8, rows), 6), 0.000001)
    side = np.where(dice.random(rows) < 0.5, "buy", "sell")
    ids = FIRST_ID + np.cumsum(dice.integers(1, 3, rows)) + opening(day)
    return pl.DataFrame({"id": ids, "ts": times, "price": price, "amount": amount, "direction": side})


def candles(day: str, seed: int = 1) -> pl.DataFrame:
    """A day of one-minute candles."""
    dice = np.random.default_rng(seed)
    opens = np.round(95_000 + np.cumsum(dice.normal(0, 20, 1441)), 2)
    o, c = opens[:-1], opens[1:]
    amount = np.round(dice.lognormal(1, 1, 1440), 6)
    columns: dict[str, Any] = {
        "id": opening(day) // 1000 + 60 * np.arange(1440), "open": o, "close": c,
        "high": np.round(np.maximum(o, c) + 3, 2), "low": np.round(np.minimum(o, c) - 3, 2),
        "vol": np.round(amount * (o + c) / 2, 4), "amount": amount,
    }  # fmt: skip
    return pl.DataFrame(columns)


def pack(frame: pl.DataFrame, file: Path, level: int = 6) -> Path:
    """The rows as the one CSV of a zip, without a header as before 2026."""
    text = frame.write_csv(include_header=False)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        archive.writestr(file.stem + ".csv", text)
    return file
