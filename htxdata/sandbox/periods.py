"""The calendar of HTX candles: where each period opens.

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
    "5min": 5 * MINUTE,
    "15min": 15 * MINUTE,
    "30min": 30 * MINUTE,
    "60min": HOUR,
    "4hour": 4 * HOUR,
    "1day": DAY,
    "1week": 7 * DAY,
}
_SHIFT = {"1day": _EIGHT, "1week": _EIGHT + 3 * DAY}  # 1970-01-01 was a Thursday

PERIODS = (*_FIXED, "1mon", "1year")
"""Every period HTX knows, finest first, in its REST spelling."""

MADE_OF_MINUTES = ("1min", "5min", "15min", "30min")
"""Periods summed straight from trades; the others are summed from hours."""


def slots(period: str, times: Ints) -> Ints:
    """The slot in which each instant (us UTC) falls. An unknown period raises ValueError."""
    if period in _FIXED:
        return np.asarray((times + _SHIFT.get(period, 0)) // _FIXED[period])
    if period not in PERIODS:
        raise ValueError(f"unknown period {period!r}; known are {', '.join(PERIODS)}")
    unit = "M" if period == "1mon" else "Y"
    days = ((times + _EIGHT) // DAY).astype("datetime64[D]")
    return days.astype(f"datetime64[{unit}]").astype(np.int64)


def opens(period: str, slot: Ints) -> Ints:
    """When each slot opens, us UTC."""
    if period in _FIXED:
        return np.asarray(slot * _FIXED[period] - _SHIFT.get(period, 0))
    if period not in PERIODS:
        raise ValueError(f"unknown period {period!r}; known are {', '.join(PERIODS)}")
    unit = "M" if period == "1mon" else "Y"
    days = slot.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)
    return np.asarray(days * DAY - _EIGHT)


def slot_of(period: str, time: int) -> int:
    """The slot in which one instant (us UTC) falls."""
    return int(slots(period, np.array([time], dtype=np.int64))[0])


def open_of(period: str, slot: int) -> int:
    """When one slot opens, us UTC."""
    return int(opens(period, np.array([slot], dtype=np.int64))[0])
