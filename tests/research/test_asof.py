"""What was known, or true, when a bar closed: against plain Python, and no look ahead."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import htxdata
from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.store import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND
from tests.research.lakes import SWAP, T0, Row, candle, micros, put

FUNDING = Series("funding_rates", "htx-linear", "BTC-USDT")
Known = Literal["received_at", "true"]


def brute(closes: list[int], rows: list[Row], time: str, known: Known) -> list[Row | None]:
    """For each close the row of the latest time among those that had been heard, or had happened."""
    out = []
    for close in closes:
        held = [r for r in rows if r[time] <= close and (known == "true" or r["received_at"] <= close)]
        out.append(max(held, key=lambda row: row[time]) if held else None)
    return out


@settings(max_examples=12)
@given(
    times=st.sets(st.integers(-100, 400), max_size=25), seed=st.integers(0, 2**32),
    late=st.sampled_from([0, 5, 300]), symbols=st.integers(1, 2),
)  # fmt: skip
def test_joins_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory, times: set[int], seed: int, late: int, symbols: int
) -> None:
    """By either clock, with rows heard late, early, in another order than they happened, and many at once."""
    dice = random.Random(seed)
    store = Store(tmp_path_factory.mktemp("lake"))
    lines = [Series("klines", "htx-linear", f"S{n}", "5min") for n in range(symbols)]
    bars: dict[str, list[int]] = {}
    rates: dict[str, list[Row]] = {}
    for line in lines:
        bars[line.symbol] = sorted(dice.sample(range(80), 20))
        put(store, line, [candle(T0 + n * 5 * MINUTE, float(n)) for n in bars[line.symbol]], [])
        rates[line.symbol] = [
            {
                "funding_time": T0 + at * MINUTE, "funding_rate": at / 1024,
                "received_at": T0 + max(at + dice.randint(-3, late), dice.choice([0, 0, 50])) * MINUTE,
            }
            for at in sorted(times) if dice.random() < 0.8
        ]  # fmt: skip
        if rates[line.symbol]:
            put(store, Series("funding_rates", "htx-linear", line.symbol), rates[line.symbol], [])
    with htxdata.open_lake(str(store.root)) as lake:
        for known in ("received_at", "true"):
            joined = lake.asof(lake.klines(period="5min"), known=known, funding=True)  # type: ignore[arg-type]
            found = micros(joined, "symbol", "low", "funding_time", "funding_rate", "funding_received_at")
            want = []
            for line in lines:
                closes = [T0 + (n + 1) * 5 * MINUTE for n in bars[line.symbol]]
                rows = brute(closes, rates[line.symbol], "funding_time", known)  # type: ignore[arg-type]
                names = ("funding_time", "funding_rate", "received_at")
                want += [
                    (line.symbol, float(n), *(row[name] if row else None for name in names))
                    for n, row in zip(bars[line.symbol], rows, strict=True)
                ]
            assert found == want


@pytest.fixture
def lake(tmp_path: Path) -> Any:
    """Ten minutes of candles; funding of every eight hours, the one of midnight heard three minutes late."""
    store = Store(tmp_path / "lake")
    put(
        store,
        SWAP,
        [candle(T0 + n * MINUTE, float(n)) for n in range(-2, 8)],
        [(T0 - DAY, T0 + DAY, "empty")],
    )
    rates = [(-8 * HOUR, 1e-4, -8 * HOUR), (0, 2e-4, 3 * MINUTE)]
    put(
        store, FUNDING,
        [{"funding_time": T0 + at, "funding_rate": rate, "received_at": T0 + heard} for at, rate, heard in rates],
    )  # fmt: skip
    with htxdata.open_lake(str(store.root)) as opened:
        yield opened


def test_the_example_of_the_docstring(lake: Any) -> None:
    """Known and true differ from the settlement on until it was heard, to the minute."""
    bars = lake.klines(period="1min")
    true = micros(lake.asof(bars, known="true", funding=True), "funding_rate")
    heard = micros(lake.asof(bars, known="received_at", funding=True), "funding_rate")
    assert [rate for (rate,) in true] == [1e-4] + [
        2e-4
    ] * 9  # what closes at midnight has the funding of midnight
    assert [rate for (rate,) in heard] == [1e-4] * 4 + [
        2e-4
    ] * 6  # what closes at 00:03 has what was heard at 00:03


def test_a_bar_is_known_at_its_close(lake: Any) -> None:
    """Bars of any period, of trades, and rows with a column of instants of their own."""

    def rates(rows: Any, **more: Any) -> list[float | None]:
        joined = lake.asof(rows, known="true", funding=True, **more)
        return [rate for (rate,) in micros(joined, "funding_rate")]

    assert rates(lake.klines(period="2min")) == [2e-4] * 5
    assert rates(lake.klines(period="1min"), at="open_time") == [1e-4] * 2 + [2e-4] * 8
    assert rates(
        "select venue, symbol, open_time, period from klines where period = '1min' order by open_time desc"
    ) == [2e-4] * 9 + [1e-4]
    table = pa.table(
        {
            "venue": ["htx-linear"] * 2,
            "symbol": ["BTC-USDT", "nope"],
            "t": pa.array([T0, T0]).view(pa.timestamp("us")),
        }
    )
    for frame in (table, table.to_pandas(), pl.from_arrow(table)):
        assert rates(frame, at="t") == [2e-4, None]
    month = lake.klines(period="1mon", start=T0 - 60 * DAY, end=T0 + 60 * DAY)
    assert month.fetchall() == []  # February is not complete
    opens = pa.array([T0 - 28 * DAY - 8 * HOUR, T0 - DAY]).view(pa.timestamp("us", "UTC"))
    ends = pa.table({"venue": ["htx-linear"] * 2, "symbol": ["BTC-USDT"] * 2, "period": ["1mon", "utc_day"],
                     "open_time": opens})  # fmt: skip
    assert rates(ends) == [2e-4, 2e-4]  # closes on 2024-02-29 at 16:00, and at midnight


def test_months_close_by_the_calendar_of_the_venue(lake: Any) -> None:
    """A month of the venue's closes when its next month opens: funding of a minute later does not show."""
    openings = [T0 - 58 * DAY - 8 * HOUR, T0 - 27 * DAY - 8 * HOUR]  # 2023-12-31 and 2024-01-31, 16:00
    closes = [openings[1], T0 + DAY + 16 * HOUR]
    store = Store(lake.root)
    for at in closes:
        put(store, FUNDING, [{"funding_time": at + d, "funding_rate": float(d)} for d in (-1, 0, 1)])
    months = pa.table({"venue": ["htx-linear"] * 2, "symbol": ["BTC-USDT"] * 2, "period": ["1mon"] * 2,
                       "open_time": pa.array(openings).view(pa.timestamp("us", "UTC"))})  # fmt: skip
    joined = lake.asof(months, known="true", funding=True)
    assert micros(joined, "funding_time", "funding_rate") == [(at, 0.0) for at in closes]


def test_everything_that_can_be_joined(tmp_path: Path) -> None:
    """Instruments, open interest, indicative funding and whole baskets, in one call, of its own series or others."""
    store = Store(tmp_path)
    spot = Series("klines", "htx-spot", "btcusdt", "60min")
    put(store, spot, [candle(T0, 1.0), candle(T0 + HOUR, 2.0)], [(T0, T0 + 2 * HOUR, "empty")])
    swap = ("htx-linear", "BTC-USDT")
    put(store, FUNDING, [{"funding_time": T0, "funding_rate": 0.5, "received_at": T0}])
    put(
        store, Series("instruments", "htx-spot", "btcusdt"),
        [
            {"as_of": T0, "base": "btc", "quote": "usdt", "kind": "spot", "status": "online", "tick_size": 0.1,
             "received_at": T0},
            {"as_of": T0 + 2 * HOUR, "base": "btc", "quote": "usdt", "kind": "spot", "status": "online",
             "tick_size": 0.01, "received_at": T0 + 2 * HOUR},
        ],
    )  # fmt: skip
    put(
        store,
        Series("open_interest", *swap),
        [{"time": T0 + HOUR, "contracts": 7.0, "received_at": T0 + HOUR}],
    )
    put(
        store, Series("indicative_funding_rates", *swap),
        [{"observed_at": T0 + 1, "funding_time": T0 + 8 * HOUR, "funding_rate": 0.25, "received_at": T0 + 1}],
    )  # fmt: skip
    basket = [("binance", "BTC-USDT", 100.0, 0.75), ("okx", "BTC-USDT", 101.0, 0.25)]
    put(
        store, Series("index_constituents", *swap),
        [
            {"index_time": T0 + at, "index_price": 100.25, "exchange": name, "constituent": pair, "price": price,
             "weight": weight, "received_at": T0 + at}
            for at in (0, 90 * MINUTE) for name, pair, price, weight in (basket if at == 0 else basket[:1])
        ],
    )  # fmt: skip
    with htxdata.open_lake(str(tmp_path)) as lake:
        for known in ("received_at", "true"):
            joined = lake.asof(
                lake.klines(period="60min"), known=known, funding=swap, instruments=True,  # type: ignore[arg-type]
                open_interest=swap, indicative_funding=swap, constituents=swap,
            )  # fmt: skip
            assert micros(joined, "low", "funding_rate", "instrument_tick_size", "instrument_status") == [
                (1.0, 0.5, 0.1, "online"), (2.0, 0.5, 0.01, "online"),
            ]  # fmt: skip
            assert (
                micros(
                    joined, "open_interest_contracts", "indicative_funding_rate", "indicative_funding_time"
                )
                == [(7.0, 0.25, T0 + 8 * HOUR)] * 2
            )
            names = ("exchange", "constituent", "price", "weight")
            whole = [dict(zip(names, each, strict=True)) for each in basket]
            assert micros(joined, "index_time", "index_price", "index_basket") == [
                (T0, 100.25, whole), (T0 + 90 * MINUTE, 100.25, whole[:1]),
            ]  # fmt: skip
        assert lake.asof(lake.klines(), known="true").columns == lake.klines().columns
        again = lake.asof(
            lake.asof(lake.klines(), known="true", funding=swap), known="true", open_interest=swap
        )
        assert micros(again, "funding_rate", "open_interest_contracts") == [(0.5, 7.0)] * 2
        assert micros(lake.asof(lake.klines(), known="true", funding="nope"), "funding_rate") == [(None,)] * 2


def test_prices_that_were_looked_at(tmp_path: Path) -> None:
    """Mark and index beside the basket, by names of their own; what is older than a day is no price any more."""
    store = Store(tmp_path)
    put(store, SWAP, [candle(T0), candle(T0 + MINUTE), candle(T0 + 2 * DAY)], [(T0, T0 + 3 * DAY, "empty")])
    line = (SWAP.venue, SWAP.symbol)
    put(store, Series("mark_prices", *line), [
        {"price_time": T0 + at, "price": price, "received_at": T0 + at + 5} for at, price in ((30, 1.5), (MINUTE, 2.5))
    ])  # fmt: skip
    put(store, Series("index_prices", *line), [
        {"observed_at": T0 + 30, "price": 3.5, "average_price": 3.25, "received_at": T0 + MINUTE + 1}
    ])  # fmt: skip
    put(store, Series("index_constituents", *line), [
        {"index_time": T0, "index_price": 9.5, "exchange": "okx", "constituent": "BTC-USDT", "price": 9.5,
         "weight": 1.0, "received_at": T0}
    ])  # fmt: skip
    with htxdata.open_lake(str(tmp_path)) as lake:
        bars = lake.klines(period="1min")
        true = lake.asof(bars, known="true", mark_price=True, index_price=True, constituents=True)
        columns = ("mark_price_time", "mark_price", "spot_index_price", "spot_index_average_price", "index_price")
        assert micros(true, *columns) == [
            (T0 + MINUTE, 2.5, 3.5, 3.25, 9.5), (T0 + MINUTE, 2.5, 3.5, 3.25, 9.5), (None, None, None, None, 9.5)
        ]  # fmt: skip
        heard = lake.asof(bars, known="received_at", mark_price=True, index_price=line)
        assert micros(heard, "mark_price", "spot_index_price") == [(1.5, None), (2.5, 3.5), (None, None)]


def test_a_lake_that_was_backfilled_knew_nothing_then(tmp_path: Path) -> None:
    """By what was received, the past of a backfill is NULL; by what was true, it is not."""
    store = Store(tmp_path)
    put(store, SWAP, [candle(T0)], [(T0, T0 + MINUTE, "empty")])
    put(
        store,
        FUNDING,
        [{"funding_time": T0 - at * HOUR, "funding_rate": 1.0, "received_at": T0 + DAY} for at in (16, 8)],
    )
    with htxdata.open_lake(str(tmp_path)) as lake:
        bars = lake.klines(period="1min")
        assert micros(lake.asof(bars, known="received_at", funding=True), "funding_rate") == [(None,)]
        assert micros(lake.asof(bars, known="true", funding=True), "funding_time") == [(T0 - 8 * HOUR,)]


def test_bars_of_trades_are_known_at_their_last_trade(lake: Any) -> None:
    """``close_time`` comes before ``open_time`` and period."""
    put(Store(lake.root), Series("trades", "htx-linear", "BTC-USDT"), [
        {"trade_time": T0 + at, "trade_id": str(n), "price": 1.0, "quantity": 1.0, "side": "buy"}
        for n, at in enumerate((-3, -1, 0, 1))
    ], [(T0 - DAY, T0 + DAY, "empty")])  # fmt: skip
    joined = lake.asof(lake.bars(kind="tick", size=1), known="true", funding=True)
    assert [rate for (rate,) in micros(joined, "funding_rate")] == [1e-4, 1e-4, 2e-4, 2e-4]


def test_what_cannot_be_joined_is_a_usage_error(lake: Any) -> None:
    """Neither clock, no close, no series, no such column, the same twice, what is no table."""
    bars = lake.klines(period="1min")
    for text, rows, more in (
        ("received_at", bars, {"known": "known"}),
        ("at=", "select 1 as x, 'v' as venue, 's' as symbol", {}),
        ("venue, symbol", "select open_time, period from klines", {}),
        ("no column", bars, {"at": "nope"}),
        ("DOUBLE", bars, {"at": "close"}),
        ("already", lake.asof(bars, known="true", funding=True), {}),
        ("list", [1, 2], {}),
        ("7m", "select venue, symbol, open_time, '7m' as period from klines", {}),
    ):
        with pytest.raises(UsageError, match=text):
            lake.asof(rows, **{"known": "true", "funding": True, **more})


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), late=st.sampled_from([0, 3, 60]))
def test_the_market_as_of_an_instant(tmp_path_factory: pytest.TempPathFactory, seed: int, late: int) -> None:
    """By either clock, many quotes and trades at one instant: the last word of plain Python; older than a day, none."""
    dice = random.Random(seed)
    store = Store(tmp_path_factory.mktemp("lake"))
    times = sorted(dice.choices(range(30), k=25))
    quotes: list[Row] = [
        {"quote_time": T0 + at * SECOND, "bid": n + 0.25, "bid_size": 1.0, "ask": n + 0.75, "ask_size": 1.0,
         "sequence": n, "received_at": T0 + (at + dice.randint(0, late)) * SECOND}
        for n, at in enumerate(times)
    ]  # fmt: skip
    trades: list[Row] = [
        {"trade_time": T0 + at * SECOND, "trade_id": str(n), "price": float(n), "quantity": 1.0, "side": "buy",
         "received_at": T0 + (at + dice.randint(0, late)) * SECOND}
        for n, at in enumerate(times, 90)
    ]  # fmt: skip
    put(store, Series("quotes", "htx-spot", "btcusdt"), dice.sample(quotes, len(quotes)))
    put(store, Series("trades", "htx-spot", "btcusdt"), dice.sample(trades, len(trades)))
    asked = [T0 + at * SECOND for at in range(-1, 95)] + [
        T0 + times[-1] * SECOND + DAY + late for late in (0, 1)
    ]
    at = pa.table({"venue": ["htx-spot"] * len(asked), "symbol": ["btcusdt"] * len(asked),
                   "at": pa.array(asked).view(pa.timestamp("us", "UTC"))})  # fmt: skip

    def last(rows: list[Row], time: str, tie: tuple[str, ...], known: str) -> list[Row | None]:
        out = []
        for moment in asked:
            held = [r for r in rows if r[time] <= moment and (known == "true" or r["received_at"] <= moment)]
            word = max(held, key=lambda r: (r[time], *(int(r[name]) for name in tie))) if held else None
            out.append(word if word and moment - word[time] <= DAY else None)
        return out

    with htxdata.open_lake(str(store.root)) as lake:
        for known in ("true", "received_at"):
            joined = lake.asof(at, at="at", known=known, quotes=True, trades=True)  # type: ignore[arg-type]
            assert micros(joined, "quote_time", "quote_sequence", "quote_bid") == [
                (q["quote_time"], q["sequence"], q["bid"]) if q else (None,) * 3
                for q in last(quotes, "quote_time", ("received_at", "sequence"), known)
            ]
            assert micros(joined, "last_trade_time", "last_trade_id", "last_price") == [
                (t["trade_time"], t["trade_id"], t["price"]) if t else (None,) * 3
                for t in last(trades, "trade_time", ("trade_id",), known)
            ]


def test_what_stood_before_a_fill(tmp_path: Path) -> None:
    """A microsecond before it: neither the fill's own trade, nor the quote that had felt it. No fills, no rows."""
    store = Store(tmp_path)
    series = ("htx-spot", "btcusdt")
    empty = {"venue": [], "symbol": [], "t": pa.array([], pa.timestamp("us", "UTC"))}
    with htxdata.open_lake(str(tmp_path)) as lake:
        assert lake.asof(pa.table(empty), known="true", at="t", quotes=True, trades=True).fetchall() == []
    put(store, Series("own_fills", *series), [
        {"trade_time": T0, "trade_id": "7", "order_id": "1", "side": "buy", "price": 10.0, "quantity": 1.0, "fee": 0.0}
    ])  # fmt: skip
    put(store, Series("trades", *series), [
        {"trade_time": T0 - at, "trade_id": name, "price": price, "quantity": 1.0, "side": "buy"}
        for at, name, price in ((1000, "6", 9.0), (0, "7", 10.0))
    ])  # fmt: skip
    put(store, Series("quotes", *series), [
        {"quote_time": T0 - at, "bid": bid, "bid_size": 1.0, "ask": bid + 1, "ask_size": 1.0, "sequence": int(bid)}
        for at, bid in ((1000, 8.0), (0, 9.0))
    ])  # fmt: skip
    with htxdata.open_lake(str(tmp_path)) as lake:
        names = ("quote_bid", "quote_ask", "last_trade_id", "last_price")
        after = lake.asof(lake.own_fills(), known="true", at="trade_time", quotes=True, trades=True)
        assert micros(after, *names) == [(9.0, 10.0, "7", 10.0)]
        fills = lake.own_fills("btcusdt", venue="htx-spot").select(
            "*, trade_time - to_microseconds(1) AS before"
        )
        before = lake.asof(fills, known="true", at="before", quotes=True, trades=True)
        assert micros(before, *names) == [(8.0, 9.0, "6", 9.0)]
        assert lake.own_orders().fetchall() == []
