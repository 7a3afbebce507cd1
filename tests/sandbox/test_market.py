"""The seeded truth: candles add up from trades, any page in any order is the same, instruments live and die."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.sandbox import Market
from htxdata.sandbox.instruments import instant
from htxdata.sandbox.periods import DAY, HOUR, MINUTE, PERIODS

SERIES = [
    ("htx-spot", "btcusdt"), ("htx-spot", "pepeusdt"), ("htx-spot", "mdxusdt"), ("htx-spot", "steemusdt"),
    ("htx-linear", "BTC-USDT"), ("htx-linear", "KSM-USDT"),
]  # fmt: skip
LONG = {"1week": 3 * 7, "1mon": 2 * 31, "1year": 366}


def span_of(period: str) -> tuple[int, int]:
    """Some days in early 2025 (KSM is taken off within them), wide enough for two of the period."""
    start = instant("2025-02-18T16:00")
    return (
        (start, start + 3 * DAY)
        if period not in LONG
        else (start - 24 * DAY, start + (LONG[period] - 24) * DAY)
    )


def opens_at(period: str, time: int) -> int:
    """When the candle that holds an instant opens, said once more and differently: by the clock of UTC+8."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time) + timedelta(hours=8)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if period.endswith("min") or period == "4hour":
        minutes = 240 if period == "4hour" else int(period[:-3])
        opened = day + (local - day) // timedelta(minutes=minutes) * timedelta(minutes=minutes)
    elif period == "1week":
        opened = day - timedelta(days=day.weekday())
    elif period == "1mon":
        opened = day.replace(day=1)
    elif period == "1year":
        opened = day.replace(month=1, day=1)
    else:
        opened = day
    return (opened - timedelta(hours=8) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def units(values: Any, decimals: int) -> list[int]:
    if decimals == 10:  # beyond what floats can be multiplied by
        return [round(Fraction(value) * 10**decimals) for value in values.tolist()]
    found: list[int] = np.rint(values * 10.0**decimals).astype(np.int64).tolist()
    return found


@pytest.mark.parametrize("period", [period for period in PERIODS if period != "1year"])
@pytest.mark.parametrize(("venue", "symbol"), SERIES)
def test_candles_add_up_from_trades(market: Market, venue: str, symbol: str, period: str) -> None:
    one = market.instrument(venue, symbol)
    start, end = span_of(period)
    candles = market.klines(venue, symbol, period, start, end)
    opened = candles["open_time"].tolist()
    assert opened == [opens_at(period, time) for time in opened]
    last = opened[-1]
    trades = market.trades(venue, symbol, opened[0], last + (32 * DAY if period in LONG else DAY))
    times = trades["trade_time"]
    grain = HOUR if period in LONG else MINUTE
    grains, where = np.unique(times // grain, return_inverse=True)
    buckets = np.array([opens_at(period, number * grain) for number in grains.tolist()], dtype=np.int64)[
        where
    ]
    quantity = units(trades["quantity"], one.quantity_decimals)
    quote = units(trades["quote_quantity"], one.quote_decimals)
    order = {time: place for place, time in enumerate(opened)}
    edges = np.flatnonzero(np.diff(buckets, prepend=-1))
    seen = 0
    for place, at in enumerate(edges.tolist()):
        stop = edges[place + 1] if place + 1 < len(edges) else len(buckets)
        if buckets[at] > last:
            break
        row = order[int(buckets[at])]
        prices = trades["price"][at:stop]
        assert candles["open"][row] == prices[0]
        assert candles["close"][row] == prices[-1]
        assert candles["high"][row] == prices.max()
        assert candles["low"][row] == prices.min()
        assert candles["trade_count"][row] == stop - at
        assert candles["volume"][row] == float(sum(quantity[at:stop])) / 10.0**one.quantity_decimals
        assert candles["quote_volume"][row] == float(sum(quote[at:stop])) / 10.0**one.quote_decimals
        if venue == "htx-linear":
            assert candles["contracts"][row] == trades["contracts"][at:stop].sum()
        seen += 1
    quiet = candles["trade_count"] == 0
    assert seen == (~quiet).sum()
    for row in np.flatnonzero(quiet).tolist():  # flat at the previous close, where such candles exist at all
        assert one.flat_candles
        assert candles["open"][row] == candles["high"][row] == candles["low"][row] == candles["close"][row]
        assert row == 0 or candles["open"][row] == candles["close"][row - 1]
        assert candles["volume"][row] == candles["quote_volume"][row] == 0


def test_a_year_is_its_months(market: Market) -> None:
    """Beyond 63 bits too: pepeusdt has ten decimals and hundreds of millions of coins a day."""
    start, end = instant("2023-12-31T16:00"), instant("2024-12-31T16:00")
    year = market.klines("htx-spot", "pepeusdt", "1year", start, end)
    months = market.klines("htx-spot", "pepeusdt", "1mon", start, end)
    assert year["open_time"].tolist() == [start]
    assert len(months["open"]) == 12
    assert year["open"][0] == months["open"][0]
    assert year["close"][0] == months["close"][-1]
    assert year["high"][0] == months["high"].max()
    assert year["trade_count"][0] == months["trade_count"].sum()
    assert year["volume"][0] == pytest.approx(months["volume"].sum(), rel=1e-14)


@settings(max_examples=25)
@given(
    series=st.sampled_from(SERIES), period=st.sampled_from(("1min", "5min", "60min", "4hour", "1day")),
    first=st.integers(0, 4000), length=st.integers(1, 300),
)  # fmt: skip
def test_any_page_in_any_order_is_the_same(
    series: tuple[str, str], period: str, first: int, length: int
) -> None:
    """A page asked alone, of a market that has made nothing else, equals the cut of a longer page."""
    known = _known(series, period)
    step = {"1min": MINUTE, "5min": 5 * MINUTE, "60min": HOUR, "4hour": 4 * HOUR, "1day": DAY}[period]
    start = instant("2025-02-10") + (first % 200) * step + first
    page = Market(0).klines(*series, period, start, start + length * step)
    keep = (known["open_time"] >= start) & (known["open_time"] < start + length * step)
    for name, column in page.items():
        if column is not None:
            np.testing.assert_array_equal(column, known[name][keep], err_msg=name)


_PAGES: dict[Any, Any] = {}


def _known(series: tuple[str, str], period: str) -> Any:
    if (series, period) not in _PAGES:
        steps = {"1min": MINUTE, "5min": 5 * MINUTE, "60min": HOUR, "4hour": 4 * HOUR, "1day": DAY}
        start = instant("2025-02-10")
        _PAGES[series, period] = Market(0).klines(*series, period, start - DAY, start + 520 * steps[period])
    return _PAGES[series, period]


@settings(max_examples=25)
@given(series=st.sampled_from(SERIES), start=st.integers(0, 10**12), length=st.integers(0, 3 * 10**9))
def test_trades_are_where_they_are(series: tuple[str, str], start: int, length: int) -> None:
    """Half-open to the microsecond, ascending, with ascending ids, and the same alone as in a longer stretch."""
    market = Market(0)
    begin = instant("2025-02-10") + start
    page = market.trades(*series, begin, begin + length)
    longer = market.trades(*series, begin - HOUR, begin + length + HOUR)
    keep = (longer["trade_time"] >= begin) & (longer["trade_time"] < begin + length)
    for name, column in page.items():
        if column is not None:
            np.testing.assert_array_equal(column, longer[name][keep])
    assert (np.diff(longer["trade_time"]) >= 0).all()
    assert (np.diff(longer["trade_id"]) > 0).all()
    assert set(longer["side"]) <= {"buy", "sell"}


def test_seeds_differ(market: Market) -> None:
    span = ("htx-spot", "btcusdt", instant("2024-01-01"), instant("2024-01-01T01:00"))
    assert not np.array_equal(market.trades(*span)["price"][:20], Market(1).trades(*span)["price"][:20])


def test_as_seen_at_an_instant(market: Market) -> None:
    """The running candle holds the trades up to now, in every period."""
    now = instant("2024-05-15T10:17:41.5")
    for period in PERIODS:
        back = 400 * DAY if period in LONG else 2 * DAY
        running = market.candles("htx-linear", "BTC-USDT", period, now - back, now + DAY, now)
        opened = opens_at(period, now)
        assert running["open_time"][-1] == opened
        if period in ("1min", "30min", "60min", "4hour", "1day"):
            trades = market.trades("htx-linear", "BTC-USDT", opened, now)
            assert running["trade_count"][-1] == len(trades["price"])
            assert running["contracts"][-1] == trades["contracts"].sum()
            assert running["close"][-1] == trades["price"][-1]


def test_rows_only_while_listed(market: Market) -> None:
    for venue in ("htx-spot", "htx-linear"):
        for symbol in market.symbols(venue):
            one = market.instrument(venue, symbol)
            before = market.klines(venue, symbol, "1min", one.listed_at - 30 * DAY, one.listed_at)
            assert not len(before["open"])
            opening = market.klines(venue, symbol, "1min", one.listed_at, one.listed_at + HOUR)
            assert opening["open_time"][0] == one.listed_at
            assert opening["trade_count"][0] >= 1
            for gone, back in [*one.halts, *([(one.delisted_at, None)] if one.delisted_at else [])]:
                halted = market.klines(venue, symbol, "1min", gone, back or gone + 3 * DAY)
                assert not len(halted["open"])
                assert len(market.klines(venue, symbol, "60min", gone - 4 * HOUR, gone)["open"])
    assert market.instrument("htx-spot", "nasusdt").state == "offline"
    assert market.instrument("htx-spot", "wavesusdt").state == "suspend"
    assert market.instrument("htx-linear", "BTC-USDT").contract_size == 0.001
    assert market.instrument("htx-linear", "DOGE-USDT").contract_size == 100.0


def test_quiet_minutes_come_in_both_kinds(market: Market) -> None:
    span = (instant("2025-03-01"), instant("2025-03-02"))
    flat = market.klines("htx-spot", "steemusdt", "1min", *span)
    missing = market.klines("htx-spot", "mdxusdt", "1min", *span)
    assert len(flat["open"]) == 1440
    assert (flat["trade_count"] == 0).sum() > 1300
    assert 20 < len(missing["open"]) < 150
    assert (missing["trade_count"] > 0).all()


def test_digits(market: Market) -> None:
    """15 significant digits suffice, except for the symbol that is there to have more."""

    def longest(symbol: str, period: str) -> int:
        found = market.klines("htx-spot", symbol, period, instant("2025-01-01"), instant("2025-01-20"))
        return max(
            len(repr(value).split("e")[0].replace(".", "").strip("0"))
            for name in ("open", "close", "volume", "quote_volume")
            for value in found[name].tolist()
        )

    for symbol in ("btcusdt", "ethusdt", "dogeusdt", "steemusdt"):
        assert longest(symbol, "1min") <= 15
        assert longest(symbol, "1day") <= 15
    assert longest("pepeusdt", "1min") >= 16
    assert longest("pepeusdt", "1day") >= 16


def test_derivative_volumes_count_both_sides(market: Market) -> None:
    trades = market.trades("htx-linear", "DOGE-USDT", instant("2025-01-01"), instant("2025-01-02"))
    assert (trades["contracts"] % 2 == 0).all()
    np.testing.assert_array_equal(trades["quantity"], trades["contracts"] * 100.0)
    np.testing.assert_allclose(trades["quote_quantity"], trades["quantity"] * trades["price"], rtol=1e-12)


def test_fundings(market: Market) -> None:
    """Ids from 1 at the true first funding, changing intervals, off-grid settlements, a hole, exact texts."""
    btc = market.funding_rates("htx-linear", "BTC-USDT", 0, instant("2026-01-01"))
    assert btc["id"].tolist()[:2] == [1, 2]
    assert btc["funding_time"][0] == 1_603_296_000_000_000
    steps = np.diff(btc["funding_time"]) // HOUR
    assert steps.max() == 24  # the hole of February 2021
    assert (steps != 8).sum() > 8
    assert [float(text) for text in btc["funding_rate_text"]] == btc["funding_rate"].tolist()
    assert "0.0001" in btc["funding_rate_text"]
    eth = market.funding_rates("htx-linear", "ETH-USDT", instant("2024-08-30"), instant("2024-09-05"))
    assert set((np.diff(eth["funding_time"]) // HOUR).tolist()) == {8, 4}
    new = market.funding_rates("htx-linear", "BMT-USDT", 0, instant("2026-08-13"))
    assert set((np.diff(new["funding_time"]) // HOUR).tolist()) == {1}
    part = market.funding_rates(
        "htx-linear", "BTC-USDT", int(btc["funding_time"][9]), int(btc["funding_time"][12])
    )
    assert part["id"].tolist() == [10, 11, 12]
    assert not len(market.funding_rates("htx-linear", "BTC-USDT-261225", 0, instant("2030-01-01"))["id"])


def test_unknown_names(market: Market) -> None:
    with pytest.raises(KeyError):
        market.klines("htx-spot", "nonsense", "1min", 0, 1)
    with pytest.raises(ValueError, match="unknown period '7min'"):
        market.klines("htx-spot", "btcusdt", "7min", 0, 1)
