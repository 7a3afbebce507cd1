"""The truth of what is not traded: index, mark, premium and estimated rate, open interest, liquidations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.sandbox import Market
from htxdata.sandbox.instruments import instant
from htxdata.sandbox.periods import DAY, HOUR, MINUTE
from tests.sandbox.test_market import opens_at

V = "htx-linear"
KINDS = ("mark", "index", "premium", "estimated_rate")
LENGTHS = {"1min": MINUTE, "5min": 5 * MINUTE, "60min": HOUR, "4hour": 4 * HOUR, "1day": DAY}


def klines(market: Market, kind: str, *asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(market, f"{kind}_klines")(V, *asked)
    return found


# ------------------------------------------------------------------------------------------------- computed candles


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", ["5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon"])
def test_longer_candles_are_made_of_minutes(market: Market, kind: str, period: str) -> None:
    """Open of the first minute, close of the last, highest and lowest, also where the contract is off the list."""
    days = {"1week": 16, "1mon": 63}.get(period, 4)
    start = instant("2025-01-31T16:00") if period == "1mon" else instant("2025-02-16T16:00")
    minutes = klines(market, kind, "KSM-USDT", "1min", start, start + days * DAY)
    found = klines(market, kind, "KSM-USDT", period, start, start + days * DAY)
    where = np.array([opens_at(period, time) for time in minutes["open_time"].tolist()], dtype=np.int64)
    known = np.unique(where)
    assert found["open_time"].tolist() == known.tolist()
    assert len(known) >= 1
    for row, time in enumerate(known.tolist()):
        mine = where == time
        assert found["open"][row] == minutes["open"][mine][0]
        assert found["close"][row] == minutes["close"][mine][-1]
        assert found["high"][row] == minutes["high"][mine].max()
        assert found["low"][row] == minutes["low"][mine].min()


@pytest.mark.parametrize("kind", KINDS)
def test_one_candle_in_every_slot_of_a_session(market: Market, kind: str) -> None:
    """Quiet contracts too; nothing before the listing, while it is off the list, or after the end."""
    start = instant("2025-03-01T16:00")
    quiet = klines(market, kind, "MDX-USDT", "1min", start, start + DAY)
    assert quiet["open_time"].tolist() == list(range(start, start + DAY, MINUTE))
    assert len(market.klines(V, "MDX-USDT", "1min", start, start + DAY)["open"]) < 200
    first = market.instrument(V, "MDX-USDT").listed_at
    assert klines(market, kind, "MDX-USDT", "1min", 0, first + HOUR)["open_time"][0] == first
    gone, back = instant("2025-02-20T08:00"), instant("2025-06-03T06:00")
    around = klines(market, kind, "KSM-USDT", "1min", gone - HOUR, back + HOUR)["open_time"].tolist()
    assert around == [*range(gone - HOUR, gone, MINUTE), *range(back, back + HOUR, MINUTE)]
    dead = klines(market, kind, "LUNA-USDT", "60min", instant("2025-05-13T00:00"), instant("2026-01-01"))
    assert len(dead["open"]) == 8
    for minutes in (quiet, klines(market, kind, "BTC-USDT", "1min", start, start + DAY)):
        assert (minutes["high"] >= np.maximum(minutes["open"], minutes["close"])).all()
        assert (minutes["low"] <= np.minimum(minutes["open"], minutes["close"])).all()
    moves = klines(market, kind, "BTC-USDT", "1min", start, start + 30 * DAY)
    assert (moves["high"] > moves["low"]).mean() > 0.5


@settings(max_examples=25)
@given(
    kind=st.sampled_from(KINDS), period=st.sampled_from(tuple(LENGTHS)), first=st.integers(0, 4000),
    length=st.integers(1, 200),
)  # fmt: skip
def test_any_page_in_any_order_is_the_same(kind: str, period: str, first: int, length: int) -> None:
    """A page asked alone, of a market that has made nothing else, equals the cut of a longer page."""
    step = LENGTHS[period]
    begin = instant("2025-02-10")
    if (kind, period) not in _PAGES:
        _PAGES[kind, period] = klines(Market(0), kind, "KSM-USDT", period, begin - DAY, begin + 420 * step)
    known = _PAGES[kind, period]
    start = begin + (first % 200) * step + first
    page = klines(Market(0), kind, "KSM-USDT", period, start, start + length * step)
    keep = (known["open_time"] >= start) & (known["open_time"] < start + length * step)
    for name, column in page.items():
        np.testing.assert_array_equal(column, known[name][keep], err_msg=name)


_PAGES: dict[Any, Any] = {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", ["1min", "30min", "60min", "1day"])
def test_the_running_candle_grows_into_the_final_one(market: Market, kind: str, period: str) -> None:
    """As seen at an instant, closed candles are final and the last knows only what was sampled up to then."""
    opened = instant("2025-03-01T16:00")
    length = LENGTHS.get(period, 30 * MINUTE)
    source = market.computed(kind)
    final = klines(market, kind, "BTC-USDT", period, opened - 2 * length, opened + length)
    minutes = klines(market, kind, "BTC-USDT", "1min", opened, opened + length)
    for now in (opened, opened + length // 2 + 7, opened + length - 15_000_000):
        seen = source.candles(V, "BTC-USDT", period, opened - 2 * length, opened + 9 * length, now)
        assert seen["open_time"].tolist() == final["open_time"].tolist()
        for name in ("open", "high", "low", "close"):
            assert seen[name][:-1].tolist() == final[name][:-1].tolist()
        assert seen["open"][-1] == final["open"][-1]
        whole = int(np.searchsorted(minutes["open_time"], now // MINUTE * MINUTE))
        if whole:  # all minutes that have closed, and the one that runs
            assert seen["high"][-1] >= minutes["high"][:whole].max()
            assert seen["high"][-1] <= minutes["high"][: whole + 1].max()
            assert seen["low"][-1] <= minutes["low"][:whole].min()
    assert {name: column[-1] for name, column in seen.items()} == {
        name: column[-1] for name, column in final.items()
    }  # the last sample is taken a quarter of a minute before the end
    at_open = source.candles(V, "BTC-USDT", period, opened, opened + 1, opened)
    assert at_open["high"][0] == at_open["low"][0] == at_open["close"][0] == final["open"][-1]


def test_they_belong_to_the_traded_price(market: Market) -> None:
    """Mark is near the last price, the index is the price less the premium, the estimate is what fundings settle at."""
    start = instant("2025-03-01")
    trades = market.klines(V, "BTC-USDT", "1min", start, start + DAY)
    found = {kind: klines(market, kind, "BTC-USDT", "1min", start, start + DAY) for kind in KINDS}
    rows = np.searchsorted(found["mark"]["open_time"], trades["open_time"])
    assert np.abs(found["mark"]["close"][rows] / trades["close"] - 1).max() < 0.003
    assert np.abs(found["mark"]["close"][rows] / trades["close"] - 1).mean() < 0.0005
    basis = found["mark"]["open"] / found["index"]["open"] - 1
    np.testing.assert_allclose(basis, found["premium"]["open"], atol=0.00011)
    assert found["premium"]["open"].std() > 1e-5
    settled = market.funding_rates(V, "BTC-USDT", start, start + 300 * DAY)
    estimates = klines(market, "estimated_rate", "BTC-USDT", "1min", start, start + 300 * DAY)
    rows = np.searchsorted(estimates["open_time"], settled["funding_time"])
    apart = np.abs(estimates["open"][rows] - settled["funding_rate"])
    assert (apart < 1.1e-6).mean() > 0.99
    assert 0.1 < (settled["funding_rate"] == 0.0001).mean() < 0.6


def test_dated_futures_have_the_index_of_their_pair(market: Market) -> None:
    """And a mark price of their own, but neither premium nor estimated rate; spot has none of all this."""
    span = (instant("2025-01-10"), instant("2025-01-10T02:00"))
    future, swap = "BTC-USDT-250328", "BTC-USDT"
    assert klines(market, "index", future, "1min", *span)["close"].tolist() == (
        klines(market, "index", swap, "1min", *span)["close"].tolist()
    )
    apart = (
        klines(market, "mark", future, "1min", *span)["close"]
        / (klines(market, "mark", swap, "1min", *span)["close"])
    )
    np.testing.assert_allclose(apart, 1.01, atol=0.0003)
    for kind in ("premium", "estimated_rate"):
        assert not len(klines(market, kind, future, "1min", *span)["open"])
    assert not len(market.mark_klines("htx-spot", "btcusdt", "1min", *span)["open"])
    with pytest.raises(KeyError):
        klines(market, "mark", "nonsense", "1min", *span)
    with pytest.raises(ValueError, match="unknown period '7min'"):
        klines(market, "mark", swap, "7min", *span)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "SHIB-USDT", "KSM-USDT"])
def test_fifteen_digits_suffice(market: Market, symbol: str) -> None:
    for kind in KINDS:
        for value in klines(market, kind, symbol, "1min", instant("2025-01-01"), instant("2025-01-02"))[
            "high"
        ]:
            assert len(repr(float(value)).split("e")[0].replace(".", "").replace("-", "").strip("0")) <= 15


# ------------------------------------------------------------------------------------------------- open interest


def test_open_interest_is_noted_on_the_grid(market: Market) -> None:
    """At multiples of the period, days and half days from 16:00 UTC on, the same values in every period."""
    start, end = instant("2025-02-18"), instant("2025-02-23")
    hours = market.open_interest(V, "KSM-USDT", "60min", start, end)
    stop = instant("2025-02-20T08:00")
    assert hours["time"].tolist() == list(range(start, stop, HOUR))
    for period, step, first in (("4hour", 4, 0), ("12hour", 12, 4), ("1day", 24, 16)):
        found = market.open_interest(V, "KSM-USDT", period, start, end)
        assert found["time"].tolist() == list(range(start + first * HOUR, stop, step * HOUR))
        for name, column in found.items():
            assert column.tolist() == hours[name][np.isin(hours["time"], found["time"])].tolist()
    assert len(set(hours["contracts"].tolist())) > 20
    with pytest.raises(ValueError, match="unknown period '5min'; known are 60min, 4hour, 12hour, 1day"):
        market.open_interest(V, "BTC-USDT", "5min", start, end)
    assert not len(market.open_interest("htx-spot", "btcusdt", "1day", start, end)["time"])


@pytest.mark.parametrize("symbol", ["BTC-USDT", "DOGE-USDT", "SHIB-USDT", "BTC-USDT-250328"])
def test_open_interest_in_contracts_coins_and_money(market: Market, symbol: str) -> None:
    start, end = instant("2025-02-18"), instant("2025-02-23")
    found = market.open_interest(V, symbol, "60min", start, end)
    size = market.instrument(V, symbol).contract_size
    assert size is not None
    np.testing.assert_allclose(found["volume"], found["contracts"] * size, rtol=1e-15)
    price = market.mark_klines(V, symbol, "60min", start, end)["open"]
    np.testing.assert_allclose(found["value"], found["volume"] * price, rtol=0.0015)


def test_open_interest_at_any_instant(market: Market) -> None:
    """On the grid it is the noted one; what was traded is the sum of the trades of 24 hours."""
    at = instant("2025-02-18T16:00")
    now = market.open_interest_now(V, "ETH-USDT", at)
    noted = market.open_interest(V, "ETH-USDT", "1day", at, at + 1)
    assert {name: now[name].tolist() for name in noted} == {name: noted[name].tolist() for name in noted}
    trades = market.trades(V, "ETH-USDT", at - DAY, at)
    assert now["traded_contracts"].tolist() == [trades["contracts"].sum()]
    np.testing.assert_allclose(now["traded_volume"], trades["quantity"].sum())
    np.testing.assert_allclose(now["traded_value"], trades["quote_quantity"].sum())
    odd = market.open_interest_now(V, "ETH-USDT", at + 1_234_567)
    assert odd["time"].tolist() == [at + 1_234_567]
    assert not len(market.open_interest_now(V, "LUNA-USDT", instant("2026-01-01"))["time"])


# ------------------------------------------------------------------------------------------------- liquidations


@settings(max_examples=25)
@given(
    symbol=st.sampled_from(("BTC-USDT", "KSM-USDT", "SHIB-USDT")), start=st.integers(0, 10**12),
    length=st.integers(0, 40 * 10**9),
)  # fmt: skip
def test_liquidations_are_where_they_are(symbol: str, start: int, length: int) -> None:
    """Half-open, in whole ms, ascending, with ascending ids, and the same alone as in a longer stretch."""
    begin = instant("2025-02-10") + start
    page = Market(0).liquidations(V, symbol, begin, begin + length)
    longer = Market(0).liquidations(V, symbol, begin - HOUR, begin + length + HOUR)
    times = longer["liquidated_at"]
    keep = (times >= begin) & (times < begin + length)
    for name, column in page.items():
        np.testing.assert_array_equal(column, longer[name][keep])
    assert (np.diff(times) >= 0).all()
    assert (times % 1000 == 0).all()
    assert (np.diff(longer["liquidation_id"]) > 0).all()


def test_liquidations_are_cut_to_the_microsecond(market: Market) -> None:
    start = instant("2025-01-01")
    times = market.liquidations(V, "BTC-USDT", start, start + 30 * DAY)["liquidated_at"].tolist()
    for first, last in ((times[3], times[9]), (times[-9], times[-2])):
        here = times[times.index(first) : times.index(last)]
        assert market.liquidations(V, "BTC-USDT", first, last)["liquidated_at"].tolist() == here
        assert market.liquidations(V, "BTC-USDT", first + 1, last + 1)["liquidated_at"].tolist() == [
            *here[1:],
            last,
        ]


def test_liquidations_of_a_month(market: Market) -> None:
    """Calm hours and hours of more than a page, ids unique across contracts, bankruptcy beyond the market's price."""
    start, end = instant("2025-01-01"), instant("2025-01-31")
    ids: list[int] = []
    for symbol in ("BTC-USDT", "DOGE-USDT", "LUNA-USDT"):
        found = market.liquidations(V, symbol, start, end)
        ids += found["liquidation_id"].tolist()
        _, counts = np.unique(found["liquidated_at"] // (2 * HOUR), return_counts=True)
        assert counts.max() > 100 or symbol != "BTC-USDT"
        assert np.median(counts) < 20
        assert set(found["side"]) == {"buy", "sell"}
        size = market.instrument(V, symbol).contract_size
        np.testing.assert_allclose(found["quantity"], found["contracts"] * size, rtol=1e-15)
        assert (found["contracts"] % 2 == 1).any()
        marks = market.mark_klines(V, symbol, "1min", start, end)
        row = np.searchsorted(marks["open_time"], found["liquidated_at"], side="right") - 1
        beyond = found["price"] / marks["open"][row] - 1
        assert (np.abs(beyond) < 0.014).all()
        assert beyond[found["side"] == "sell"].mean() < -0.003 < 0.003 < beyond[found["side"] == "buy"].mean()
    assert len(set(ids)) == len(ids)
    assert not len(market.liquidations("htx-spot", "btcusdt", start, end)["price"])
    halt = market.liquidations(V, "KSM-USDT", instant("2025-02-20T08:00"), instant("2025-06-03T06:00"))
    assert not len(halt["price"])
