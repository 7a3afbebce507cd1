"""The proof that this is HTX's wire: ccxt's own `htx` class, with only its URLs changed, reads exactly the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ccxt
import numpy as np
import pytest

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.instruments import instant

NOON = instant("2026-06-01T12:00:30") // 10**6


@pytest.fixture(scope="module")
def exchange() -> Iterator[Any]:
    with Sandbox(clock=lambda: NOON, limits=False) as sandbox:
        one = ccxt.htx({"enableRateLimit": False})
        for name in one.urls["api"]:
            one.urls["api"][name] = sandbox.hosts[
                "htx_swap_rest" if name in ("contract", "status") else "htx_spot_rest"
            ]
        one.milliseconds = lambda: NOON * 1000
        yield one
        one.session.close()


def assert_is_truth(rows: list[list[float]], truth: dict[str, Any]) -> None:
    columns = ("open_time", "open", "high", "low", "close", "volume")
    known = [truth["open_time"] // 1000, *(truth[name] for name in columns[1:])]
    assert len(rows) == len(truth["open"])
    for place, column in enumerate(known):
        np.testing.assert_array_equal([row[place] for row in rows], column, err_msg=columns[place])


def test_markets(exchange: Any) -> None:
    markets = exchange.load_markets()
    assert {
        "BTC/USDT",
        "DOGE/USDT",
        "币安人生/USDT",
        "BTC/USDT:USDT",
        "SHIB/USDT:USDT",
        "BTC/USD:BTC",
    } <= set(markets)
    assert markets["DOGE/USDT:USDT"]["contractSize"] == 100
    assert markets["BTC/USDT:USDT"]["precision"]["price"] == 0.1
    assert markets["BTC/USDT:USDT"]["created"] == instant("2020-10-21") // 1000
    assert markets["BTC/USDT"]["precision"] == {"amount": 0.0001, "price": 0.01, "cost": 1e-8}
    assert not markets["NAS/USDT"]["active"]
    assert markets["BTC/USDT:USDT-250328"]["expiry"] == instant("2025-03-28T08:00") // 1000
    assert exchange.fetch_time() == NOON * 1000


@pytest.mark.parametrize(
    ("symbol", "name"), [("BTC/USDT", "btcusdt"), ("DOGE/USDT", "dogeusdt"), ("MDX/USDT", "mdxusdt")]
)
def test_spot_candles_page_by_page(exchange: Any, market: Market, symbol: str, name: str) -> None:
    start, end = instant("2026-03-01"), instant("2026-03-03T20:00")
    rows: list[list[float]] = []
    since = start // 1000
    while since < end // 1000:
        page = [
            row for row in exchange.fetch_ohlcv(symbol, "1m", since=since, limit=1000) if row[0] < end // 1000
        ]
        if not page:
            break
        rows += page
        since = int(page[-1][0]) + 60_000
    assert_is_truth(rows, market.klines("htx-spot", name, "1min", start, end))


def test_spot_candles_by_the_documented_endpoint(exchange: Any, market: Market) -> None:
    rows = exchange.fetch_ohlcv("ETH/USDT", "1d", limit=400, params={"useHistoricalEndpointForSpot": False})
    truth = market.candles("htx-spot", "ethusdt", "1day", int(rows[0][0]) * 1000, NOON * 10**6, NOON * 10**6)
    assert len(rows) == 400
    assert_is_truth(rows, truth)


@pytest.mark.parametrize(
    ("timeframe", "period", "step"), [("1m", "1min", 60), ("1h", "60min", 3600), ("1d", "1day", 86400)]
)
def test_swap_candles_page_by_page(
    exchange: Any, market: Market, timeframe: str, period: str, step: int
) -> None:
    pages = 3 if step < 86400 else 1
    start = (NOON // step - 2000 * pages) * step if pages == 3 else NOON - 700 * 86400
    rows: list[list[float]] = []
    since = start * 1000
    for _ in range(pages):
        rows += exchange.fetch_ohlcv("BTC/USDT:USDT", timeframe, since=since)
        since = int(rows[-1][0]) + step * 1000
    end = int(rows[-1][0]) * 1000 + 1
    truth = market.candles("htx-linear", "BTC-USDT", period, start * 10**6, end, NOON * 10**6)
    assert len(rows) > 690
    assert_is_truth(rows, truth)


def test_funding_history_page_by_page(exchange: Any, market: Market) -> None:
    rows: list[Any] = []
    since = instant("2024-06-01") // 1000
    while True:
        page = exchange.fetch_funding_rate_history("ETH/USDT:USDT", since=since, limit=100)
        if not page:
            break
        rows += page
        since = page[-1]["timestamp"] + 1
    truth = market.funding_rates("htx-linear", "ETH-USDT", instant("2024-06-01"), NOON * 10**6)
    assert len(rows) > 1000
    assert [row["timestamp"] * 1000 for row in rows] == truth["funding_time"].tolist()
    assert [row["fundingRate"] for row in rows] == truth["funding_rate"].tolist()


@pytest.mark.parametrize(("symbol", "code"), [("BTC/USD:BTC", "BTC-USD"), ("ETH/USD:ETH", "ETH-USD")])
def test_coin_margined_swaps(exchange: Any, market: Market, symbol: str, code: str) -> None:
    """Candles (of coins), trades and fundings; sizes in dollars."""
    assert exchange.load_markets()[symbol]["contractSize"] == {"BTC-USD": 100, "ETH-USD": 10}[code]
    start = NOON - 3600 * 50
    rows = exchange.fetch_ohlcv(symbol, "1h", since=(start - start % 3600) * 1000, limit=40)
    end = rows[-1][0] * 1000 + 1
    truth = market.candles("htx-inverse", code, "60min", rows[0][0] * 1000, end, NOON * 10**6)
    assert len(rows) == 40
    assert_is_truth(rows, truth)
    trades = exchange.fetch_trades(symbol, limit=200)
    first, last = trades[0]["timestamp"] * 1000, trades[-1]["timestamp"] * 1000 + 1
    sold = market.trades("htx-inverse", code, first, last)
    assert len(trades) >= 200
    assert [trade["id"] for trade in trades] == [str(one) for one in sold["trade_id"].tolist()]
    assert [trade["price"] for trade in trades] == sold["price"].tolist()
    assert [trade["side"] for trade in trades] == sold["side"].tolist()
    assert [trade["info"]["amount"] for trade in trades] == sold["contracts"].tolist()
    fundings = exchange.fetch_funding_rate_history(symbol, limit=50)
    settled = market.funding_rates("htx-inverse", code, fundings[0]["timestamp"] * 1000, NOON * 10**6)
    assert len(fundings) == 50
    assert [row["timestamp"] * 1000 for row in fundings] == settled["funding_time"].tolist()
    assert [row["fundingRate"] for row in fundings] == settled["funding_rate"].tolist()


def test_coin_margined_futures(exchange: Any, market: Market) -> None:
    """The four that trade, each under its own code: its candles and what is open."""
    dated = [one for one in exchange.load_markets().values() if one["future"] and one["inverse"] and one["active"]]
    assert sorted(one["id"] for one in dated) == [
        "BTC260605", "BTC260612", "BTC260626", "BTC260925", "ETH260626", "ETH260925"
    ]  # fmt: skip
    rows = exchange.fetch_ohlcv("BTC/USD:BTC-260626", "1h", since=(NOON - 3600 * 50) * 1000, limit=40)
    end = rows[-1][0] * 1000 + 1
    truth = market.candles("htx-futures", "BTC260626", "60min", rows[0][0] * 1000, end, NOON * 10**6)
    assert_is_truth(rows, truth)


def test_errors_are_the_ones_ccxt_knows(exchange: Any) -> None:
    with pytest.raises(ccxt.BadSymbol):
        exchange.spotPublicGetMarketHistoryKline({"symbol": "nonsense", "period": "1min"})
    with pytest.raises(ccxt.ExchangeError, match="invalid period"):
        exchange.spotPublicGetMarketHistoryKline({"symbol": "btcusdt", "period": "2min"})
    with pytest.raises(ccxt.BadSymbol):
        exchange.contractPublicGetLinearSwapExMarketHistoryKline({})


def test_a_refusal_is_a_rate_limit_to_ccxt() -> None:
    with Sandbox(limits={"htx_spot_rest": 1}) as sandbox:
        one = ccxt.htx({"enableRateLimit": False})
        one.urls["api"]["spot"] = sandbox.hosts["htx_spot_rest"]
        one.spotPublicGetV1CommonTimestamp()
        with pytest.raises(ccxt.RateLimitExceeded):
            one.spotPublicGetV1CommonTimestamp()
        one.session.close()
