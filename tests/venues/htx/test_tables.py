"""The entries of the later datasets: requests word for word, limits, walks."""

from __future__ import annotations

import pytest

from htxdata.market import PERIODS, Series
from htxdata.protocol.paging import Ask
from htxdata.timeline import DAY, HOUR, Window
from htxdata.venues.htx.endpoints import LINEAR, SPOT
from htxdata.venues.terms import Endpoint, Venue

WINDOW = Window(1_704_067_200_000_000, 1_704_067_200_000_000 + 2 * HOUR)


def endpoints(venue: Venue, dataset: str, period: str | None = None) -> tuple[Endpoint, ...]:
    return venue.endpoints_for(dataset, period)


@pytest.mark.parametrize(
    ("venue", "series", "number", "ask", "expected"),
    [
        (SPOT, Series("trades", "htx-spot", "btcusdt"), 0, Ask(WINDOW, 2000),
         "/market/history/trade?symbol=btcusdt&size=2000"),
        (LINEAR, Series("trades", "htx-linear", "BTC-USDT"), 0, Ask(WINDOW, 2000),
         "/linear-swap-ex/market/history/trade?contract_code=BTC-USDT&size=2000"),
        (LINEAR, Series("mark_klines", "htx-linear", "BTC-USDT", "1week"), 0, Ask(WINDOW, 2000),
         "/index/market/history/linear_swap_mark_price_kline?contract_code=BTC-USDT&period=1week&size=2000"),
        (LINEAR, Series("premium_klines", "htx-linear", "BTC-USDT", "1min"), 0, Ask(WINDOW, 2000),
         "/index/market/history/linear_swap_premium_index_kline?contract_code=BTC-USDT&period=1min&size=2000"),
        (LINEAR, Series("estimated_rate_klines", "htx-linear", "BTC-USDT", "60min"), 0, Ask(WINDOW, 2000),
         "/index/market/history/linear_swap_estimated_rate_kline?contract_code=BTC-USDT&period=60min&size=2000"),
        (LINEAR, Series("open_interest", "htx-linear", "BTC-USDT"), 0, Ask(WINDOW, 200),
         "/linear-swap-api/v1/swap_his_open_interest?contract_code=BTC-USDT&period=60min&size=200&amount_type=1"),
        (LINEAR, Series("liquidations", "htx-linear", "BTC-USDT"), 0, Ask(WINDOW, 100),
         "/v5/market/liquidation_orders?contract_code=BTC-USDT&start_time=1704067200000&end_time=1704074399999"
         "&direct=next&limit=100"),
        (LINEAR, Series("liquidations", "htx-linear", "BTC-USDT"), 0, Ask(WINDOW, 100, "77"),
         "/v5/market/liquidation_orders?contract_code=BTC-USDT&start_time=1704067200000&end_time=1704074399999"
         "&direct=next&limit=100&from=77"),
        (SPOT, Series("own_fills", "htx-spot", "btcusdt"), 0, Ask(Window(WINDOW.start + 1, WINDOW.end), 500, "77"),
         "/v1/order/matchresults?symbol=btcusdt&start-time=1704067200001&end-time=1704074399999&size=500"
         "&from=77&direct=next"),
        (SPOT, Series("own_orders", "htx-spot", "btcusdt"), 0, Ask(WINDOW, 100),
         "/v1/order/orders?symbol=btcusdt&states=created,submitted,partial-filled,filled,partial-canceled,canceled"
         "&start-time=1704067200000&end-time=1704074399999&size=100"),
        (LINEAR, Series("own_fills", "htx-linear", "BTC-USDT"), 0, Ask(WINDOW, 100, "77"),
         "/v5/trade/order/details?contract_code=BTC-USDT&start_time=1704067200000&end_time=1704074399999&limit=100"
         "&from=77&direct=next"),
        (LINEAR, Series("liquidations", "htx-linear", "BTC-USDT"), 1, Ask(WINDOW, 50, "77"),
         "/linear-swap-api/v3/swap_liquidation_orders?contract=BTC-USDT&trade_type=0&start_time=1704067200000"
         "&end_time=1704074399999&direct=next&from_id=77"),
    ],
)  # fmt: skip
def test_requests(venue: Venue, series: Series, number: int, ask: Ask, expected: str) -> None:
    """Both ends of a window are inclusive in milliseconds; what has no times asks for the most it may."""
    assert str(endpoints(venue, series.dataset, series.period)[number].build(series, ask)) == expected


def test_every_request_names_the_limit_it_counts_against() -> None:
    """Contracts: market data has 800 requests a second, everything else, v5 included, shares 240 in three seconds, what
    is signed apart. Spot counts each endpoint by itself; of the account's ledger fewer are borne than of the host."""
    for endpoint in LINEAR.endpoints:
        period = next(iter(endpoint.periods or (None,)))
        request = endpoint.build(Series(endpoint.dataset, "htx-linear", "BTC-USDT", period), Ask(WINDOW, 10))
        market = "/market/" in endpoint.path and not endpoint.path.startswith("/v5")
        limit = "private" if request.private else "market" if market else "reference"
        assert request.limit == limit, endpoint.path
    assert [listing.pool for listing in LINEAR.listings] == ["reference"]
    assert {
        (e.dataset, pool)
        for e in SPOT.endpoints
        if (pool := e.build(Series(e.dataset, "htx-spot", "x", "1min"), Ask(WINDOW, 10)).pool)
    } == {("own_account_updates", "ledger")}


def test_what_can_be_asked_of_each_market() -> None:
    """Datasets in order, and that index prices of linear contracts have no REST at all."""
    assert list(dict.fromkeys(e.dataset for e in SPOT.endpoints)) == ["klines", "trades", "own_fills", "own_orders",
                                                                        "own_account_updates"]
    assert list(dict.fromkeys(e.dataset for e in LINEAR.endpoints)) == [
        "klines",
        "funding_rates",
        "trades",
        "mark_klines",
        "premium_klines",
        "estimated_rate_klines",
        "open_interest",
        "liquidations",
        "own_fills",
    ]
    for dataset in ("mark_klines", "premium_klines", "estimated_rate_klines"):
        assert all(len(endpoints(LINEAR, dataset, period)) == 1 for period in PERIODS)
        assert endpoints(LINEAR, "index_klines", "1min") == ()


def test_trades_are_walked_as_a_tail() -> None:
    """No trade lies on a grid: a page of them proves the stretch that it covers."""
    for venue in (SPOT, LINEAR):
        assert [(e.walk, e.rows) for e in endpoints(venue, "trades")] == [("tail", 2000)]


def test_liquidations_are_asked_for_in_two_hours_and_not_from_the_very_edge() -> None:
    """v5 first, v3 after it; both by cursor within spans of two hours, an hour short of ninety days back."""
    found = endpoints(LINEAR, "liquidations")
    assert [e.path.split("/")[1] for e in found] == ["v5", "linear-swap-api"]
    assert {(e.walk, e.span, e.horizon) for e in found} == {("cursor", 2 * HOUR, 90 * DAY - HOUR)}
