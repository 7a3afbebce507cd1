"""A lake of three days in January 2024 from the sandbox's truth, with all that the engines' tests need to meet.

=====================  =================================================================================================
htx-linear BTC-USDT    every minute; fundings, mark prices; trades and a made-up book of two days, heard live
htx-linear ETH-USDT    every minute from the second day on; fundings, mark prices
htx-linear MDX-USDT    slots without a candle (``empty``): about one in twenty has one; no fundings stored
htx-linear WAVES-USDT  an ``outage`` from 05:00 to 06:00 of the second day
htx-spot btcusdt       every minute, and an hour of trades that REST gave
htx-spot pepeusdt      every minute; prices of 1.5e-05
=====================  =================================================================================================
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.market import Series, grid_of
from htxdata.sandbox.market import Market
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Store, partitions
from htxdata.timeline import DAY, HOUR, SECOND, Window, parse_instant

START, END = parse_instant("2024-01-02"), parse_instant("2024-01-05")
OUTAGE = Window(START + DAY + 5 * HOUR, START + DAY + 6 * HOUR)
BOOKS = Window(START, START + 2 * DAY)
LATER = END + 400 * DAY
MARKET = Market(0)
LINEAR = ("BTC-USDT", "ETH-USDT", "MDX-USDT", "WAVES-USDT")
SPOT = ("btcusdt", "pepeusdt")
Columns = dict[str, Any]


def commit(
    store: Store,
    series: Series,
    columns: Columns,
    window: Window,
    outage: Window | None = None,
    source: str = "rest",
) -> None:
    """Rows that are columns, and what was asked for them: all of ``window``, of which ``outage`` could not be had."""
    declared = dataset(series.dataset)
    grid = grid_of(series.period, -8 * HOUR) if series.period else None
    times = columns[declared.time_column]
    count = len(times)
    columns = {"source": np.full(count, source, object), "received_at": np.full(count, LATER), **columns}
    for partition in partitions(series, window):
        mine = (times >= partition.window.start) & (times < partition.window.end)
        mine &= (times >= window.start) & (times < window.end)
        if outage:
            mine &= (times < outage.start) | (times >= outage.end)
        table = None
        if mine.any():
            held = {n: columns[n] for n in declared.columns if columns.get(n) is not None}
            table = conform(declared, {n: _array(v[mine]) for n, v in held.items()})
        asked = [Asked(window.intersect(partition.window), source, LATER, "empty")]
        if outage:
            asked.append(Asked(outage, source, LATER, "outage"))
        store.commit(partition, table, asked, grid=grid)


def _array(values: Any) -> Any:
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind in "OU" else values


def candles(venue: str, symbol: str, start: int = START, end: int = END) -> Columns:
    """The truth: final minutes, as columns."""
    return MARKET.klines(venue, symbol, "1min", start, end)


def fundings(symbol: str) -> Columns:
    """Settlements from a day before the candles to the instant in which the last closes."""
    truth = MARKET.funding_rates("htx-linear", symbol, START - DAY, END + 1)
    return {name: truth[name] for name in ("funding_time", "funding_rate")}


def trades(venue: str, symbol: str, start: int, end: int) -> Columns:
    truth = MARKET.trades(venue, symbol, start, end)
    names = ("trade_time", "trade_id", "price", "quantity", "quote_quantity", "side")
    out = {name: truth[name] for name in names if truth[name] is not None}
    out["trade_id"] = np.array([str(each) for each in truth["trade_id"]], object)
    return out


def live_trades() -> Columns:
    """Two days of trades as the swap's feed brought them, 20 to 80 ms late."""
    live = trades("htx-linear", "BTC-USDT", *BOOKS)
    heard = live["trade_time"] + 20_000 + (live["trade_time"] // 1000 * 7919) % 60_000
    return {**live, "received_at": np.maximum.accumulate(heard)}


def book() -> Columns:
    """Columns of :func:`_book`, to be changed at will."""
    return dict(_book())


@cache
def _book() -> Columns:
    """Two days of a book, made of dice: a message about every ten seconds, the first of each day a whole book.

    Heard 5 to 250 ms after the venue's time, in the order of the numbers; a few levels vanish.
    """
    dice = np.random.default_rng(7)
    rows: list[tuple[int, str, str, float, float, int, int]] = []
    number, heard = 0, 0
    for day in (BOOKS.start, BOOKS.start + DAY):
        times = np.sort(day + dice.integers(0, DAY // SECOND, 8_640) * SECOND)
        times[0] = day
        for place, at in enumerate(times.tolist()):
            number += 1
            heard = max(heard, at + int(dice.integers(5_000, 250_000)))
            middle = 30_000
            levels = 20 if place == 0 else int(dice.integers(1, 4))
            seen = set()
            for _ in range(levels):
                side = "bid" if dice.random() < 0.5 else "ask"
                away = round(0.1 * int(dice.integers(1, 60)), 1)
                price = round(middle - away if side == "bid" else middle + away, 1)
                size = (
                    0.0 if place and dice.random() < 0.2 else round(0.001 * int(dice.integers(1, 5_000)), 3)
                )
                if (side, price) not in seen:
                    seen.add((side, price))
                    rows.append((at, "snapshot" if place == 0 else "delta", side, price, size, number, heard))
    names = ("book_time", "kind", "side", "price", "size", "sequence", "received_at")
    kinds = (np.int64, object, object, np.float64, np.float64, np.int64, np.int64)
    return {n: np.array(v, k) for n, v, k in zip(names, zip(*rows, strict=True), kinds, strict=True)}


def make(folder: Path) -> Path:
    """The lake, in ``folder``; where it is."""
    root = folder / "lake"
    store = Store(root)
    whole = Window(START, END)
    for venue, symbols in (("htx-linear", LINEAR), ("htx-spot", SPOT)):
        for symbol in symbols:
            window = Window(START + DAY, END) if symbol == "ETH-USDT" else whole
            outage = OUTAGE if symbol == "WAVES-USDT" else None
            truth = {n: v for n, v in candles(venue, symbol).items() if n in dataset("klines").columns}
            commit(store, Series("klines", venue, symbol, "1min"), truth, window, outage)
            commit(
                store,
                Series("instruments", venue, symbol),
                _description(venue, symbol),
                Window(LATER, LATER + DAY),
            )
    for symbol in ("BTC-USDT", "ETH-USDT", "WAVES-USDT"):
        settled = Window(START - DAY, END + 1)
        commit(store, Series("funding_rates", "htx-linear", symbol), fundings(symbol), settled)
    for symbol in ("BTC-USDT", "ETH-USDT"):
        mark = MARKET.mark_klines("htx-linear", symbol, "60min", START, END)
        mark = {name: mark[name] for name in ("open_time", "open", "high", "low", "close")}
        commit(store, Series("mark_klines", "htx-linear", symbol, "60min"), mark, whole)
    commit(store, Series("trades", "htx-linear", "BTC-USDT"), live_trades(), BOOKS, source="ws")
    commit(store, Series("book_changes", "htx-linear", "BTC-USDT"), book(), BOOKS, source="ws")
    hour = Window(START, START + HOUR)
    commit(store, Series("trades", "htx-spot", "btcusdt"), trades("htx-spot", "btcusdt", *hour), hour)
    return root


def _description(venue: str, symbol: str) -> Columns:
    """As `htxdata snapshot instruments` writes it of these contracts: the lot of a swap is one contract."""
    known = MARKET.instrument(venue, symbol)
    swap = known.kind == "swap"
    step = 10.0**-known.quantity_decimals
    row = {
        "as_of": LATER, "base": known.base, "quote": known.quote, "settle": known.quote if swap else None,
        "kind": known.kind, "status": "trading", "contract_size": float(f"{step:.12g}") if swap else None,
        "tick_size": float(f"{known.tick_units * 10.0**-known.price_decimals:.12g}"),
        "lot_size": 1.0 if swap else float(f"{step:.12g}"),
    }  # fmt: skip
    return {n: np.array([v], object if isinstance(v, str) else None) for n, v in row.items() if v is not None}
