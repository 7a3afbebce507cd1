"""The requests that HTX's tables make, word for word."""

from __future__ import annotations

import pytest

from htxdata.market import PERIODS, Series, grid_of
from htxdata.protocol.paging import Ask
from htxdata.timeline import DAY, HOUR, Window
from htxdata.venues.htx.endpoints import LINEAR, SPOT

WINDOW = Window(1_704_067_200_000_000, 1_704_067_200_000_000 + DAY)


def request(endpoint: int, venue: object, series: Series, ask: Ask) -> str:
    return str(venue.endpoints[endpoint].build(series, ask))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("venue", "number", "series", "ask", "expected"),
    [
        (
            SPOT,
            0,
            Series("klines", "htx-spot", "btcusdt", "1min"),
            Ask(WINDOW, 999),
            "/market/history/candles?symbol=btcusdt&period=1min&size=1000&from=1704067200&to=1704153599",
        ),
        (
            SPOT,
            1,
            Series("klines", "htx-spot", "btcusdt", "1mon"),
            Ask(WINDOW, 2000),
            "/market/history/kline?symbol=btcusdt&period=1mon&size=2000",
        ),
        (
            LINEAR,
            0,
            Series("klines", "htx-linear", "BTC-USDT", "60min"),
            Ask(WINDOW, 24),
            "/linear-swap-ex/market/history/kline?contract_code=BTC-USDT&period=60min&from=1704067200&to=1704153599",
        ),
        (
            LINEAR,
            1,
            Series("funding_rates", "htx-linear", "BTC-USDT"),
            Ask(WINDOW, 100, "77"),
            "/v5/market/funding_rate_history?contract_code=BTC-USDT&start_time=1704067200000&end_time=1704153599999"
            "&direct=next&limit=100&from=77",
        ),
        (
            LINEAR,
            2,
            Series("funding_rates", "htx-linear", "BTC-USDT"),
            Ask(WINDOW, 100, None, 3),
            "/linear-swap-api/v1/swap_historical_funding_rate?contract_code=BTC-USDT&page_index=3&page_size=100",
        ),
    ],
)
def test_requests(venue: object, number: int, series: Series, ask: Ask, expected: str) -> None:
    """Linear candles never carry ``size`` (it would void from and to), spot candles always do."""
    assert request(number, venue, series, ask) == expected


@pytest.mark.parametrize("period", PERIODS)
def test_a_full_window_holds_no_row_too_many(period: str) -> None:
    """Both ends are inclusive, so as many openings as the endpoint bears lie between ``from`` and
    ``to``, never one more."""
    grid = grid_of(period, -8 * HOUR)
    start = grid.ceil(WINDOW.start)
    for venue in (SPOT, LINEAR):
        for endpoint in venue.endpoints_for("klines", period):
            if endpoint.walk != "time":
                continue
            window = Window(start, grid.advance(start, 50))
            params = dict(endpoint.build(Series("klines", venue.name, "x", period), Ask(window, 50)).params)
            low, high = (int(params[name]) * 1_000_000 for name in ("from", "to"))
            assert grid.openings(Window(low, high + 1)) == grid.openings(window)


def test_monthly_spot_candles_come_from_the_one_endpoint_that_has_them() -> None:
    """``candles`` does not know 1mon; everything else is asked there first."""
    assert [e.walk for e in SPOT.endpoints_for("klines", "1mon")] == ["latest"]
    assert [e.walk for e in SPOT.endpoints_for("klines", "1week")] == ["time", "latest"]
    assert LINEAR.endpoints_for("klines", None) == ()
