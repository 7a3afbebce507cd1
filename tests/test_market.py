"""The words of the trade."""

from __future__ import annotations

import pytest

from htxdata.errors import UsageError
from htxdata.market import PERIODS, Series, check_period, grid_of
from htxdata.timeline import DAY, HOUR, iso, parse_instant


def test_the_periods_are_the_contracts() -> None:
    """In their order, shortest first."""
    assert list(PERIODS) == ["1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon"]


@pytest.mark.parametrize(
    ("period", "opening"),
    [
        ("1min", "2024-02-29T13:37:00Z"),
        ("5min", "2024-02-29T13:35:00Z"),
        ("15min", "2024-02-29T13:30:00Z"),
        ("30min", "2024-02-29T13:30:00Z"),
        ("60min", "2024-02-29T13:00:00Z"),
        ("4hour", "2024-02-29T12:00:00Z"),
        ("1day", "2024-02-28T16:00:00Z"),
        ("1week", "2024-02-25T16:00:00Z"),
        ("1mon", "2024-01-31T16:00:00Z"),
    ],
)
def test_candles_open_by_the_clock_of_singapore(period: str, opening: str) -> None:
    """HTX's days open at 16:00 UTC, its weeks on Monday and its months on the 1st, all at midnight UTC+8."""
    assert iso(grid_of(period, -8 * HOUR).floor(parse_instant("2024-02-29T13:37:42Z"))) == opening


def test_a_day_may_open_at_utc_midnight() -> None:
    """Days, weeks and months of a venue without an offset are UTC's; recorded HTX day ids lie on HTX's grid."""
    assert iso(grid_of("1week").floor(parse_instant("2024-02-29"))) == "2024-02-26T00:00:00Z"
    assert iso(grid_of("1mon").next(parse_instant("2024-01-01"))) == "2024-02-01T00:00:00Z"
    assert grid_of("1day", -8 * HOUR).floor(1604505600_000_000 + DAY - 1) == 1604505600_000_000


def test_an_unknown_period_is_said() -> None:
    """With the option, the value and what is allowed."""
    assert check_period("4hour") == "4hour"
    with pytest.raises(UsageError, match=r"--period '1h' is not a period: choose from 1min, 5min"):
        check_period("1h")


def test_a_series_reads_as_its_words() -> None:
    """Without a period where it has none; series sort."""
    assert str(Series("klines", "htx-spot", "btcusdt", "1min")) == "klines htx-spot btcusdt 1min"
    assert str(Series("funding_rates", "htx-linear", "BTC-USDT")) == "funding_rates htx-linear BTC-USDT"
