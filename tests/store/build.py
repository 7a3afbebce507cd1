"""Small tables of candles and fundings, and the instants they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Partition
from htxdata.timeline import DAY, MINUTE, Window, parse_instant

JANUARY = Partition("klines", "htx-linear", "BTC-USDT", "1min", "2024-01")
T0 = JANUARY.window.start
LATE = JANUARY.window.end + 10 * DAY  # so late that all of January is settled


def candles(
    minutes: Iterable[int],
    close: float | Sequence[float] = 1.5,
    *,
    received: int | Sequence[int] = LATE,
    source: str = "rest",
    volume: Any = None,
    unfit: Any = None,
    start: int = T0,
) -> pa.Table:
    """Candles that open ``minutes`` after ``start``."""
    at = np.array(list(minutes), dtype=np.int64)
    closes = np.broadcast_to(np.array(close, dtype=float), at.shape)
    columns: dict[str, Any] = {
        "open_time": start + at * MINUTE,
        "open": np.full(len(at), 1.0),
        "high": np.full(len(at), 9.0),
        "low": np.full(len(at), 0.5),
        "close": closes.copy(),
        "source": [source] * len(at),
        "received_at": np.broadcast_to(np.array(received, dtype=np.int64), at.shape).copy(),
    }
    if volume is not None:
        columns["volume"] = pa.array(volume, pa.float64())
    return conform(dataset("klines"), columns, unfit)


def asked(
    first: int, last: int, *, source: str = "rest", at: int = LATE, verdict: str = "empty", start: int = T0
) -> Asked:
    """The minutes ``[first, last)`` after ``start``, asked for."""
    return Asked(Window(start + first * MINUTE, start + last * MINUTE), source, at, verdict)


def fundings(times: Iterable[int], rate: float = 0.0001) -> pa.Table:
    at = list(times)
    return conform(
        dataset("funding_rates"),
        {
            "funding_time": at,
            "funding_rate": [rate] * len(at),
            "source": "rest",
            "received_at": [LATE] * len(at),
        },
    )


def closes(table: pa.Table | None) -> dict[int, float]:
    """Minute after ``T0`` to close; fails where a key is there twice or the order is wrong."""
    assert table is not None
    at = table["open_time"].cast(pa.int64()).to_pylist()
    assert at == sorted(set(at)), "sorted, each key once"
    return {(time - T0) // MINUTE: close for time, close in zip(at, table["close"].to_pylist(), strict=True)}


def said(spans: Iterable[Any], start: int = T0) -> list[tuple[int, int, str, int]]:
    """Spans as (first minute, minute after the last, verdict, rows)."""
    return [((s.start - start) // MINUTE, (s.end - start) // MINUTE, s.verdict, s.rows) for s in spans]


def instant(text: str) -> int:
    return parse_instant(text)


DAY_OF_TRADES = Partition("trades", "htx-spot", "btcusdt", None, "2024-01-05")
D0 = DAY_OF_TRADES.window.start
D_LATE = DAY_OF_TRADES.window.end + DAY

Trade = tuple[int, str, float]  # milliseconds after D0, number, price


def trades(
    rows: Iterable[Trade],
    *,
    received: int | Sequence[int] = D_LATE,
    source: str = "archive",
    quote: Any = None,
    unfit: Any = None,
    words: bool = False,
) -> pa.Table:
    """Trades as (milliseconds after ``D0``, number, price)."""
    rows = list(rows)
    count = len(rows)
    columns: dict[str, Any] = {
        "trade_time": np.array([D0 + row[0] * 1000 for row in rows], dtype=np.int64),
        "trade_id": pa.array([row[1] for row in rows], pa.string()),
        "price": np.array([row[2] for row in rows], dtype=float),
        "quantity": np.full(count, 0.5),
        "side": pa.array(["buy" if len(row[1]) % 2 else "sell" for row in rows], pa.string()),
        "source": source,
        "received_at": np.broadcast_to(np.array(received, dtype=np.int64), (count,)).copy(),
    }
    if quote is not None:
        columns["quote_quantity"] = pa.array(quote, pa.float64())
    if words:
        columns["side"] = columns["side"].dictionary_encode()
    return conform(dataset("trades"), columns, unfit, words=words)
