"""The calendar of candles: where each period opens. Names that end in `-utc` are of venues whose day is UTC's.

Per reference htx-api 1.4: all candles are aligned to UTC+8, so 1day opens 16:00 UTC, 1week Monday 00:00 UTC+8, 1mon and
1year on the 1st 00:00 UTC+8. Up to 4hour this coincides with UTC. Instants are integer microseconds UTC everywhere.

A *slot* is the number of a candle since 1970 in its own period; slots are dense, so a slot plus one is the next candle.
"""

from __future__ import annotations

import numpy as np

from .noise import Ints

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EIGHT = 8 * HOUR  # UTC+8

_FIXED = {
    "1min": MINUTE,
    "3min": 3 * MINUTE,
    "5min": 5 * MINUTE,
    "15min": 15 * MINUTE,
    "30min": 30 * MINUTE,
    "60min": HOUR,
    "2hour": 2 * HOUR,
    "4hour": 4 * HOUR,
    "6hour": 6 * HOUR,
    "8hour": 8 * HOUR,
    "12hour": 12 * HOUR,
    "1day": DAY,
    "1week": 7 * DAY,
    "1day-utc": DAY,
    "1week-utc": 7 * DAY,
}
_SHIFT = {"1day": _EIGHT, "1week": _EIGHT + 3 * DAY, "1week-utc": 3 * DAY}  # 1970-01-01 was a Thursday

PERIODS = ("1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon", "1year")
"""Every period HTX knows, finest first, in its REST spelling."""

_CALENDAR = {"1mon": ("M", _EIGHT), "1year": ("Y", _EIGHT), "1mon-utc": ("M", 0)}

MADE_OF_MINUTES = ("1min", "3min", "5min", "15min", "30min")
"""Periods summed straight from trades; the others are summed from hours."""


def slots(period: str, times: Ints) -> Ints:
    """The slot in which each instant (us UTC) falls. An unknown period raises ValueError."""
    if period in _FIXED:
        return np.asarray((times + _SHIFT.get(period, 0)) // _FIXED[period])
    if period not in _CALENDAR:
        raise ValueError(f"unknown period {period!r}; known are {', '.join(PERIODS)}")
    unit, shift = _CALENDAR[period]
    days = ((times + shift) // DAY).astype("datetime64[D]")
    return days.astype(f"datetime64[{unit}]").astype(np.int64)


def opens(period: str, slot: Ints) -> Ints:
    """When each slot opens, us UTC."""
    if period in _FIXED:
        return np.asarray(slot * _FIXED[period] - _SHIFT.get(period, 0))
    if period not in _CALENDAR:
        raise ValueError(f"unknown period {period!r}; known are {', '.join(PERIODS)}")
    unit, shift = _CALENDAR[period]
    days = slot.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(days * DAY - shift)


def slot_of(period: str, time: int) -> int:
    """The slot in which one instant (us UTC) falls."""
    return int(slots(period, np.array([time], dtype=np.int64))[0])


def open_of(period: str, slot: int) -> int:
    """When one slot opens, us UTC."""
    return int(opens(period, np.array([slot], dtype=np.int64))[0])


_OF_UTC = {"1day": "1day-utc", "1week": "1week-utc", "1mon": "1mon-utc"}


def calendar_of(venue: str, period: str) -> str:
    """The period in a venue's own calendar: HTX's days are those of UTC+8, HashKey's are UTC's."""
    return _OF_UTC.get(period, period) if venue == "hashkey" else period
