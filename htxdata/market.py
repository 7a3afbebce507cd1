"""The words of the trade: venues, periods, series.

A symbol is always the venue's own spelling. A period is written our way for every venue; each venue's own spelling
of it stays in that venue's room.
"""

from __future__ import annotations

from dataclasses import dataclass

from htxdata.errors import UsageError
from htxdata.timeline import DAY, HOUR, MINUTE, Grid

PERIODS: dict[str, int] = {
    "1min": MINUTE,
    "5min": 5 * MINUTE,
    "15min": 15 * MINUTE,
    "30min": 30 * MINUTE,
    "60min": HOUR,
    "4hour": 4 * HOUR,
    "1day": DAY,
    "1week": 7 * DAY,
    "1mon": 0,  # calendar months
}
"""Length in microseconds of every period that we store, shortest first; 0 stands for calendar months."""

ALL_SYMBOLS = "*"
"""The symbol of what is of no symbol in particular: an account's changes, or a topic that tells of all symbols."""

_MONDAY = 4 * DAY  # 1970-01-05 was a Monday


def grid_of(period: str, day_opens: int = 0) -> Grid:
    """Where candles of ``period`` open on a venue whose day opens ``day_opens`` microseconds after UTC midnight.

    HTX: ``-8 * HOUR`` (days open at 16:00 UTC; weeks on Monday and months on the 1st, 00:00 UTC+8).
    """
    step = PERIODS[period]
    if step and step < DAY:
        return Grid(step)
    return Grid(step, day_opens + (_MONDAY if period == "1week" else 0))


def is_glob(text: str) -> bool:
    """Whether a name is a pattern that may mean several."""
    return any(sign in text for sign in "*?[")


def check_period(period: str) -> str:
    if period not in PERIODS:
        raise UsageError(f"--period {period!r} is not a period: choose from {', '.join(PERIODS)}")
    return period


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One line of history: a dataset of one symbol, and of one period where the dataset has periods."""

    dataset: str
    venue: str
    symbol: str
    period: str | None = None

    def __str__(self) -> str:
        return " ".join(part for part in (self.dataset, self.venue, self.symbol, self.period) if part)


@dataclass(frozen=True, slots=True)
class Listing:
    """What planning needs to know of an instrument. Instants in microseconds UTC, ``None`` where unknown."""

    symbol: str
    listed_at: int | None = None
    delisted_at: int | None = None
    delivery_at: int | None = None
