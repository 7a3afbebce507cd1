"""Names of periods, stored or made, and the grids on which their bars open. Pure.

========================  ==========================================================================================
``7min`` ``90min``        any number of minutes or hours: aligned to 1970-01-01T00:00Z, also where they do not divide
``5hour`` ``24hour``      a day (``7min`` bars go on over midnight; ``24hour`` opens at midnight UTC)
``1day`` ``3day``         days of the venue (HTX: from 16:00 UTC), counted from its day that holds 1970-01-01T00:00Z
``1week`` ``2week``       weeks of the venue from Monday on, counted from the week of 1970-01-05
``1mon``                  calendar months of the venue
``utc_day`` ``utc_week``  from midnight UTC, from Monday midnight UTC, from the 1st at midnight UTC: for every venue
``utc_month``             the same
========================  ==========================================================================================

There is no daylight saving time in any of them.
"""

from __future__ import annotations

import re

from htxdata.errors import UsageError
from htxdata.market import PERIODS, grid_of
from htxdata.timeline import DAY, HOUR, MINUTE, Grid

_MADE = re.compile(r"([1-9]\d{0,5})(min|hour|day|week)")
_UNITS = {"min": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}
_UTC = {"utc_day": "1day", "utc_week": "1week", "utc_month": "1mon"}
_LONGEST = 366 * DAY

LADDER = (5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 4 * HOUR)
"""Steps over which long candles are added up: always the same, so that no sum depends on what else is asked."""


def check(name: str) -> str:
    """``name``, or a ``UsageError`` that says what can be asked."""
    made = _MADE.fullmatch(name)
    if name in PERIODS or name in _UTC or (made and int(made[1]) * _UNITS[made[2]] <= _LONGEST):
        return name
    raise UsageError(
        f"period={name!r} is not a period: choose from {', '.join(PERIODS)} and {', '.join(_UTC)}, or write a number "
        "of min, hour, day or week, such as 7min, 90min or 3day"
    )


def needs_venue(name: str) -> bool:
    """Whether the grid depends on when the venue's day opens."""
    return name not in _UTC and name.endswith(("day", "week", "mon"))


def by_calendar(name: str) -> bool:
    """Whether slots differ in length."""
    return name.endswith("mon") or name == "utc_month"


def grid(name: str, day_opens: int | None) -> Grid:
    """Where bars of ``name`` open. ``day_opens``: microseconds after midnight UTC, ``None`` where nobody knows."""
    check(name)
    if name in _UTC:
        return grid_of(_UTC[name])
    if needs_venue(name) and day_opens is None:
        raise UsageError(
            f"period={name!r}: when days of this venue open is not known; utc_day and its like are"
        )
    if name in PERIODS:
        return grid_of(name, day_opens or 0)
    made = _MADE.fullmatch(name)
    assert made is not None
    step = int(made[1]) * _UNITS[made[2]]
    if made[2] in ("min", "hour"):
        return Grid(step)
    return Grid(step, grid_of(f"1{made[2]}", day_opens or 0).anchor)


def divides(shorter: Grid, longer: Grid) -> bool:
    """Whether every slot of ``longer`` is made of whole slots of ``shorter``."""
    if not shorter.step:
        return shorter == longer
    if longer.step % shorter.step:
        return False
    if not longer.step and DAY % shorter.step:  # a week divides no month
        return False
    return (longer.anchor - shorter.anchor) % shorter.step == 0


def inputs(target: Grid, stored: list[str], day_opens: int | None) -> list[str]:
    """Which of the stored periods ``target`` can be made of, the largest first."""
    known = [name for name in PERIODS if name in stored and not (needs_venue(name) and day_opens is None)]
    return [name for name in reversed(known) if divides(grid_of(name, day_opens or 0), target)]


def rung(source: Grid, target: Grid) -> Grid | None:
    """The largest step of the ladder between the two, ``None`` where there is none."""
    for step in reversed(LADDER):
        between = Grid(step)
        if between not in (source, target) and divides(source, between) and divides(between, target):
            return between
    return None
