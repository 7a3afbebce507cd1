"""Instants as whoever asks a lake writes them, and the window in which everything lies. Pure."""

from __future__ import annotations

import datetime as dt

from htxdata.errors import UsageError
from htxdata.timeline import Window, from_datetime, iso, parse_instant

Instant = str | int | dt.date | dt.datetime | None
"""ISO 8601 text, a date (midnight UTC), a datetime (naive: UTC), microseconds, or ``None`` for no bound."""

EVER = Window(-(2**62), 2**62)


def instant_of(value: Instant, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(2**55) < value < 2**57:  # years 829 to 6536
            raise UsageError(f"{name}={value} is out of range: microseconds since 1970 are meant")
        return value
    if isinstance(value, str):
        return parse_instant(value)
    if isinstance(value, dt.datetime):
        return from_datetime(value)
    if isinstance(value, dt.date):
        return from_datetime(dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC))
    raise UsageError(
        f"{name}={value!r} is not a time: give ISO 8601 text, a date, a datetime or microseconds"
    )


def range_of(start: Instant, end: Instant) -> tuple[int | None, int | None]:
    """Both in microseconds, ``None`` for no bound. A range may be empty, and not reversed."""
    low, high = instant_of(start, "start"), instant_of(end, "end")
    if low is not None and high is not None and high < low:
        raise UsageError(f"end {iso(high)} lies before start {iso(low)}")
    return low, high


def window_of(low: int | None, high: int | None) -> Window:
    """``[low, high)``; ``None`` is no bound."""
    return Window(EVER.start if low is None else low, EVER.end if high is None else high)
