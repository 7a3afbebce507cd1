"""Spans and verdicts as a calendar: the cells of one time axis for all series, each with its worst verdict. Pure."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htxdata.market import PERIODS, grid_of
from htxdata.store.footer import Span
from htxdata.timeline import DAY, SECOND, Grid, Window, from_datetime, to_datetime

Ints = NDArray[np.int64]

LETTERS = {"present": "p", "empty": "e", "outage": "o", "unobtainable": "u", "missing": "m"}
"""How verdicts are written on the page; ``x`` are stretches present and empty in turn, ``.`` is outside a series."""

HOLES = ("missing", "outage", "unobtainable")
_WORST = (*HOLES, "present", "empty")

_MOST_YEARS = 100
_UNITS = (("day", 92 * DAY), ("week", 2 * 366 * DAY), ("month", 10 * 366 * DAY))
"""The unit of the cells, and up to which length of the axis: never more than 123 of them, but for years."""


@dataclass(frozen=True)
class Axis:
    """``edges`` are one more than the cells; all are midnights UTC, weeks from Monday."""

    unit: str
    edges: tuple[int, ...]

    @property
    def window(self) -> Window:
        return Window(self.edges[0], self.edges[-1])

    @property
    def days(self) -> tuple[int, ...]:
        return tuple(range(self.edges[0], self.edges[-1] + 1, DAY))


def axis_over(window: Window) -> Axis:
    """The cells that ``window`` touches. Of more than a hundred years the last hundred."""
    unit = next((name for name, most in _UNITS if window.length <= most), "year")
    if unit == "year":
        first, last = to_datetime(window.start).year, to_datetime(window.end - 1).year
        years = range(max(first, last - _MOST_YEARS + 1), last + 2)
        return Axis(unit, tuple(from_datetime(dt.datetime(year, 1, 1, tzinfo=dt.UTC)) for year in years))
    grid = Grid(DAY) if unit == "day" else grid_of("1week" if unit == "week" else "1mon")
    edges = [grid.floor(window.start)]
    while edges[-1] < window.end:
        edges.append(grid.next(edges[-1]))
    return Axis(unit, tuple(edges))


# ------------------------------------------------------------------------------------------------- cells


def held(spans: Sequence[Span], edges: Sequence[int]) -> dict[str, Ints]:
    """Microseconds of each verdict in each cell between ``edges``. ``spans`` ascend and do not overlap."""
    cuts = np.array(edges, dtype=np.int64)
    return {verdict: _held([s for s in spans if s.verdict == verdict], cuts) for verdict in LETTERS}


def _held(spans: Sequence[Span], edges: Ints) -> Ints:
    if not spans:
        return np.zeros(len(edges) - 1, dtype=np.int64)
    starts = np.array([span.start for span in spans], dtype=np.int64)
    ends = np.array([span.end for span in spans], dtype=np.int64)
    sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(ends - starts)])
    before = starts.searchsorted(edges, side="right")  # spans that begin at or before the edge
    over = np.where(before > 0, np.maximum(0, ends[np.maximum(before - 1, 0)] - edges), 0)
    return np.diff(sums[before] - over)


def cells(spans: Sequence[Span], edges: Sequence[int]) -> str:
    """A letter for each cell: its worst verdict, a capital where it is all of the cell. ``.``: nothing of the series.

    Worst first: missing, outage, unobtainable, present, empty. What is present and empty in turn is all present.
    """
    lengths = np.diff(np.array(edges, dtype=np.int64))
    shares = held(spans, edges)
    out = np.full(len(lengths), ".")
    for verdict in reversed(_WORST):
        share = shares[verdict] + (shares["empty"] if verdict == "present" else 0)
        letter = LETTERS[verdict]
        out = np.where(shares[verdict] > 0, np.where(share == lengths, letter.upper(), letter), out)
    return "".join(out.tolist())


def runs(letters: str) -> str:
    """Run lengths: ``PPPm`` is ``P3m``."""
    out = []
    at = 0
    while at < len(letters):
        end = at
        while end < len(letters) and letters[end] == letters[at]:
            end += 1
        out.append(letters[at] + (str(end - at) if end - at > 1 else ""))
        at = end
    return "".join(out)


# ------------------------------------------------------------------------------------------------- spans


@dataclass(frozen=True)
class Stretch:
    """One span, or neighbours that are present and empty in turn: ``letter`` ``x``, ``empties`` of them empty, which
    is ``empty_for`` microseconds in all."""

    start: int
    end: int
    letter: str
    source: str
    fetched_at: int
    rows: int
    empties: int = 0
    empty_for: int = 0


def stretches(spans: Iterable[Span], most: int) -> tuple[list[Stretch], int]:
    """At most ``most`` of them in order of time, and how many were left out.

    Where there are too many, what is present and empty in turn is taken together; and if it still is, the longest holes
    are kept first, then the longest of the rest.
    """
    found = [Stretch(s.start, s.end, LETTERS[s.verdict], s.source, s.fetched_at, s.rows) for s in spans]
    if len(found) > most:
        found = _taken_together(found)
    if len(found) <= most:
        return found, 0
    ranked = sorted(found, key=lambda each: (each.letter not in "mou", each.start - each.end, each.start))
    return sorted(ranked[:most], key=lambda each: each.start), len(found) - most


def _taken_together(found: list[Stretch]) -> list[Stretch]:
    out: list[Stretch] = []
    for each in found:
        last = out[-1] if out else None
        if last and last.end == each.start and last.letter in "pex" and each.letter in "pex":
            empty = [part for part in (last, each) if part.letter == "e"]
            sources = dict.fromkeys([*last.source.split("+"), *each.source.split("+")])
            out[-1] = Stretch(
                last.start, each.end, "x", "+".join(sorted(sources)), max(last.fetched_at, each.fetched_at),
                last.rows + each.rows, last.empties + len(empty),
                last.empty_for + sum(part.end - part.start for part in empty),
            )  # fmt: skip
        else:
            out.append(each)
    return out


def packed(found: Sequence[Stretch]) -> dict[str, Any]:
    """Column by column, times as distances in the largest unit that divides all of them.

    ``u`` the unit and ``t`` the first start in microseconds; ``g`` distances from the end of the last one, ``n``
    lengths, in units; ``v`` letters; ``s`` places in ``w``, the sources; ``f`` seconds when it was fetched, less ``f0``
    (0: never); ``r`` rows; ``x`` for those taken together: [place, empty ones, how long in units].
    """
    if not found:
        return {
            "u": 1,
            "t": 0,
            "g": [],
            "n": [],
            "v": "",
            "w": [],
            "s": [],
            "f0": 0,
            "f": [],
            "r": [],
            "x": [],
        }
    first = found[0].start
    unit = math.gcd(*(t - first for s in found for t in (s.start, s.end)), *(s.empty_for for s in found)) or 1
    ends = [first, *(each.end for each in found)]
    words = sorted({each.source for each in found})
    base = min((each.fetched_at for each in found if each.fetched_at), default=SECOND) // SECOND - 1
    return {
        "u": unit,
        "t": first,
        "g": [(each.start - end) // unit for each, end in zip(found, ends, strict=False)],
        "n": [(each.end - each.start) // unit for each in found],
        "v": "".join(each.letter for each in found),
        "w": words,
        "s": [words.index(each.source) for each in found],
        "f0": base,
        "f": [each.fetched_at // SECOND - base if each.fetched_at else 0 for each in found],
        "r": [each.rows for each in found],
        "x": [
            [at, each.empties, each.empty_for // unit] for at, each in enumerate(found) if each.letter == "x"
        ],
    }


def whole_periods(period: str, start: int, end: int) -> int:
    """Microseconds of the periods that follow ``start``, the opening of one, and are over by ``end``. A month counts
    as 31 days: it is a question of how late a series is."""
    step = PERIODS[period] or 31 * DAY
    return max(0, end - start) // step * step
