"""Half-open windows of time: arithmetic only.

An instant is an ``int``: microseconds since 1970-01-01T00:00:00Z. A window is ``[start, end)``, always.
Nothing here knows a venue, a clock, a file or a time zone other than UTC (offsets are arguments).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from htxdata.errors import UsageError

MILLISECOND = 1_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Window(NamedTuple):
    """``[start, end)`` in microseconds UTC. Empty where ``end <= start``."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return max(0, self.end - self.start)

    def __bool__(self) -> bool:
        return self.end > self.start

    def intersect(self, other: Window) -> Window:
        return Window(max(self.start, other.start), min(self.end, other.end))

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"


def merge(windows: Iterable[Window]) -> list[Window]:
    """Sorted, with neighbours and overlaps joined; empty windows vanish."""
    out: list[Window] = []
    for window in sorted(w for w in windows if w):
        if out and window.start <= out[-1].end:
            if window.end > out[-1].end:
                out[-1] = Window(out[-1].start, window.end)
        else:
            out.append(window)
    return out


def subtract(windows: Iterable[Window], holes: Iterable[Window]) -> list[Window]:
    """What of ``windows`` lies outside every one of ``holes``."""
    out: list[Window] = []
    cuts = merge(holes)
    first = 0  # cuts before this one end before the window begins, and before every later window
    for window in merge(windows):
        at = window.start
        while first < len(cuts) and cuts[first].end <= at:
            first += 1
        for index in range(first, len(cuts)):
            cut = cuts[index]
            if cut.start >= window.end:
                break
            if cut.start > at:
                out.append(Window(at, cut.start))
            at = max(at, cut.end)
        if at < window.end:
            out.append(Window(at, window.end))
    return out


def intersect(windows: Iterable[Window], others: Iterable[Window]) -> list[Window]:
    """What of ``windows`` lies inside one of ``others``."""
    kept = merge(windows)
    return subtract(kept, subtract(kept, others))


# ---------------------------------------------------------------------------------------------- calendar


def to_datetime(instant: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=instant)


def from_datetime(moment: dt.datetime) -> int:
    """Microseconds of an aware datetime; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def iso(instant: int) -> str:
    """ISO 8601 with ``Z``, as short as the instant allows."""
    try:
        moment = to_datetime(instant)
    except OverflowError:
        return f"{instant}us"
    if instant % SECOND:
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace("000Z", "Z")
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2}))?$")


def parse_instant(text: str) -> int:
    """An ISO 8601 instant. A bare date is midnight UTC, ``2024-01`` and ``2024`` its first day, no zone means UTC."""
    partial = _PARTIAL.fullmatch(text.strip())
    try:
        if partial:
            return from_datetime(dt.datetime(int(partial[1]), int(partial[2] or 1), 1, tzinfo=dt.UTC))
        return from_datetime(dt.datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{text!r} is not a time: write ISO 8601, such as 2024-01-05 or 2024-01-05T08:00:00Z"
        ) from error


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?(?:(\d+(?:\.\d+)?)s)?")


def parse_duration(text: str) -> float:
    """Seconds, above 0: ``30s``, ``10m``, ``1h30m``, ``2d``."""
    found = _DURATION.fullmatch(text.strip().lower().replace(" ", ""))
    parts = (float(part or 0) for part in found.groups()) if found else ()
    seconds = sum(part * unit for part, unit in zip(parts, (86_400, 3600, 60, 1), strict=False))
    if not 0 < seconds < 1e9:
        raise UsageError(f"{text!r} is not a span of time: write 30s, 10m, 1h30m or 2d")
    return seconds


GRAINS = ("day", "month", "year")


def label_of(grain: str, instant: int) -> str:
    """The name of the UTC day, month or year that holds ``instant``: ``2024-01-05``, ``2024-01``, ``2024``."""
    moment = to_datetime(instant)
    if grain == "day":
        return moment.date().isoformat()
    return f"{moment.year:04d}-{moment.month:02d}" if grain == "month" else f"{moment.year:04d}"


@lru_cache(maxsize=4096)
def window_of(grain: str, label: str) -> Window:
    """The span of a day, month or year by its name; the inverse of :func:`label_of`."""
    parts = [int(part) for part in label.split("-")]
    if len(parts) != {"day": 3, "month": 2, "year": 1}[grain]:
        raise ValueError(f"{label!r} names no {grain}")
    year, month, day = [*parts, 1, 1][:3]
    first = dt.datetime(year, month, day, tzinfo=dt.UTC)
    if grain == "day":
        after = first + dt.timedelta(days=1)
    elif grain == "month":
        after = dt.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)
    else:
        after = dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC)
    return Window(from_datetime(first), from_datetime(after))


def cells(grain: str, window: Window) -> Iterator[tuple[str, Window]]:
    """The days, months or years that ``window`` touches, oldest first, each with its whole span."""
    at = window.start
    while at < window.end:
        label = label_of(grain, at)
        cell = window_of(grain, label)
        yield label, cell
        at = cell.end


# -------------------------------------------------------------------------------------------------- grids


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the slots of a regular series open: every ``step`` from ``anchor``, or every calendar month.

    ``step`` is in microseconds, 0 means months; ``anchor`` shifts midnight (UTC+8: ``-8 * HOUR``).
    """

    step: int
    anchor: int = 0

    def floor(self, instant: int) -> int:
        """The opening of the slot that holds ``instant``."""
        if self.step:
            return (instant - self.anchor) // self.step * self.step + self.anchor
        moment = to_datetime(instant - self.anchor)
        return from_datetime(dt.datetime(moment.year, moment.month, 1, tzinfo=dt.UTC)) + self.anchor

    def next(self, opening: int) -> int:
        """The opening after the slot that opens at ``opening``: also when that slot closes."""
        if self.step:
            return opening + self.step
        moment = to_datetime(opening - self.anchor)
        after = dt.datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=dt.UTC)
        return from_datetime(after) + self.anchor

    def ceil(self, instant: int) -> int:
        """The first opening at or after ``instant``."""
        floor = self.floor(instant)
        return floor if floor == instant else self.next(floor)

    def snap(self, window: Window) -> Window:
        """The openings that lie in ``window``, as a window whose ends are openings."""
        return Window(self.ceil(window.start), self.ceil(window.end))

    def openings(self, window: Window) -> list[int]:
        """Every opening in ``window``."""
        first = self.ceil(window.start)
        if self.step:
            return list(range(first, window.end, self.step))
        out = []
        while first < window.end:
            out.append(first)
            first = self.next(first)
        return out

    def count(self, window: Window) -> int:
        """How many slots open in ``window``."""
        if not window:
            return 0
        if self.step:
            return max(0, -(-(window.end - self.ceil(window.start)) // self.step))
        return len(self.openings(window))

    def advance(self, opening: int, slots: int) -> int:
        """The opening ``slots`` slots after ``opening``."""
        if self.step:
            return opening + slots * self.step
        for _ in range(slots):
            opening = self.next(opening)
        return opening
