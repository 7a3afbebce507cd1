"""A small lake with something of everything that a report shows, and what its page says, read as plain Python."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.market import Series
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Partition, Store, findings
from htxdata.timeline import DAY, HOUR, MINUTE, Window, parse_instant
from tests.research.lakes import put

T0 = parse_instant("2024-01-01")
END = T0 + 120 * DAY
NOW = END + 30 * HOUR
SPOT = Series("klines", "htx-spot", "btcusdt", "60min")
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "币安人生usdt",
    "a'b&c{{script}}",
    "<!--",
)
DELISTED = T0 + 40 * DAY
VERDICTS = {"p": "present", "e": "empty", "o": "outage", "u": "unobtainable", "m": "missing"}


def candles(
    series: Series, start: int, end: int, holes: list[tuple[int, int, str]], step: int
) -> list[dict[str, Any]]:
    """Rows of ``[start, end)`` but in ``holes``; prices of two decimals that wander."""
    rows = []
    dice = np.random.default_rng(len(series.symbol))
    price = 100.0
    for at in range(start, end, step):
        if not any(low <= at < high for low, high, _ in holes):
            after = round(price * (1 + float(dice.normal(0, 0.01))), 2)
            high, low = round(max(price, after) + 0.5, 2), round(min(price, after) - 0.5, 2)
            volume = round(float(dice.gamma(2, 5)), 3)
            rows.append(
                {"open_time": at, "open": price, "high": high, "low": low, "close": after, "volume": volume}
            )
            price = after
    return rows


def asked(start: int, end: int, holes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """What was asked to leave these verdicts on the holes."""
    out = []
    for low, high, verdict in sorted(holes):
        out.append((start, low, "empty"))
        if verdict != "missing":
            out.append((low, high, verdict))
        start = high
    out.append((start, end, "empty"))
    return [each for each in out if each[1] > each[0]]


HOLES = [
    (T0, T0 + 3 * DAY, "empty"),
    (T0 + 20 * DAY, T0 + 21 * DAY + 5 * HOUR, "outage"),
    (T0 + 40 * DAY, T0 + 62 * DAY, "missing"),
    (T0 + 90 * DAY, T0 + 90 * DAY + 2 * HOUR, "unobtainable"),
]


def build(root: Path, hostile: tuple[str, ...] = HOSTILE) -> Path:
    store = Store(root)
    put(store, SPOT, candles(SPOT, T0, END, HOLES, HOUR), asked(T0, END, HOLES))
    for symbol in hostile:
        line = Series("klines", "htx-spot", symbol, "1day")
        first = T0 - 8 * HOUR
        rows = candles(line, first, first + 30 * DAY, [], DAY)
        put(store, line, rows, [(first, first + 30 * DAY, "empty")])
    fundings = [
        {"funding_time": at, "funding_rate": round((at // HOUR % 17 - 5) * 1e-5, 8)}
        for at in range(T0, END, 8 * HOUR)
    ]
    put(store, Series("funding_rates", "htx-linear", "BTC-USDT"), fundings, [(T0, END, "empty")])
    _instruments(store)
    _gaps(store)
    _revisions(store)
    lines = [
        {"dataset": "klines", "venue": "htx-spot", "symbol": "btcusdt", "period": "60min", "check_name": check,
         "at_time": None, "column_name": "volume", "ours": 1.5 + number, "theirs": float("nan"), "detail": "</td><b>"}
        for check, count in (("grid", 25), ("arithmetic", 3)) for number in range(count)
    ]  # fmt: skip
    findings.replace(root, lambda _: pa.Table.from_pylist(lines, schema=findings.SCHEMA))
    return root


def _instruments(store: Store) -> None:
    moment = pa.timestamp("us", tz="UTC")
    columns: dict[str, Any] = {
        "as_of": np.array([T0, T0 + DAY]), "base": "X", "quote": "USDT", "kind": "spot", "status": "online",
        "tick_size": np.array([0.01, 0.01]), "delisted_at": pa.array([None, DELISTED], moment), "source": "rest",
        "received_at": T0, **dict.fromkeys(("settle",), pa.nulls(2, pa.string())),
        **dict.fromkeys(("contract_size", "lot_size"), pa.nulls(2, pa.float64())),
        **dict.fromkeys(("listed_at", "delivery_at"), pa.nulls(2, moment)),
    }  # fmt: skip
    table = conform(dataset("instruments"), columns)
    partition = Partition("instruments", "htx-spot", HOSTILE[2], None, "2024")
    store.commit(partition, table, [Asked(Window(T0, T0 + 2 * DAY), "rest", T0 + 2 * DAY)])


GAPS = [(T0 + day * DAY, T0 + day * DAY + (day + 1) * MINUTE + 123_456, day % 3 == 0) for day in range(1, 41)]


def _gaps(store: Store) -> None:
    healed = pa.array([end + HOUR if whole else None for _, end, whole in GAPS], pa.timestamp("us", tz="UTC"))
    columns = {
        "feed": pa.array(["trades"] * len(GAPS)), "gap_start": np.array([start for start, _, _ in GAPS]),
        "gap_end": np.array([end for _, end, _ in GAPS]), "cause": pa.array(["1006 <b>gone</b>"] * len(GAPS)),
        "healed_at": healed, "source": "ws", "received_at": END,
    }  # fmt: skip
    partition = Partition("capture_gaps", "htx-linear", "BTC-USDT", None, "2024")
    store.commit(partition, conform(dataset("capture_gaps"), columns), [Asked(Window(T0, END), "ws", END)])


REVISED = np.arange(T0 + 5 * DAY, T0 + 5 * DAY + 7 * HOUR, HOUR)


def _revisions(store: Store) -> None:
    prices = {name: np.full(len(REVISED), 1.5) for name in ("open", "high", "low", "close")}
    columns = {
        "open_time": REVISED,
        **prices,
        "superseded_at": REVISED + DAY,
        "source": "rest",
        "received_at": REVISED,
    }
    partition = Partition("kline_revisions", "htx-spot", "btcusdt", "60min", "2024")
    table = conform(dataset("kline_revisions"), columns)
    store.commit(partition, table, [Asked(Window(int(REVISED[0]), int(REVISED[-1]) + HOUR), "rest", END)])


# --------------------------------------------------------------------------------------------- what a page says


def block(page: str) -> str:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return str(found)


def said(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(block(page))
    return found


def name(series: dict[str, Any]) -> tuple[Any, ...]:
    return series["d"], series["y"], series["s"], series["p"]


def spans(packed: dict[str, Any]) -> list[tuple[int, int, str, str, int, int]]:
    """Start, end, letter, source, seconds when it was fetched, rows; as the page's script reads them."""
    out, at = [], packed["t"]
    columns = ("g", "n", "v", "s", "f", "r")
    for gap, length, letter, source, fetched, rows in zip(*(packed[key] for key in columns), strict=True):
        start = at + gap * packed["u"]
        at = start + length * packed["u"]
        out.append((start, at, letter, packed["w"][source], fetched + packed["f0"] if fetched else 0, rows))
    return out


def unrolled(text: str) -> str:
    return "".join(letter * int(often or 1) for letter, often in re.findall(r"([A-Za-z.])(\d*)", text))


def instants(packed: dict[str, Any], count: int) -> list[int]:
    out = [packed["first"]] if count else []
    for distance, often in packed["runs"]:
        for _ in range(often):
            out.append(out[-1] + distance)
    return out


def bars(level: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Opening, open, high, low, close, volume, as the page's script computes them."""
    times = instants(level["t"], level["count"])
    volumes = level["v"] or [None] * level["count"]
    steps = [level[key] for key in "ohlc"]
    if level["digits"] is None:
        return list(zip(times, *steps, volumes, strict=True))
    scale, close, out = 10.0 ** level["digits"], 0, []
    for at, o, h, low, c, volume in zip(times, *steps, volumes, strict=True):
        opened = close + o
        close = opened + c
        whole = (opened, max(opened, close) + h, min(opened, close) + low, close)
        out.append((at, *(each / scale for each in whole), volume))
    return out
