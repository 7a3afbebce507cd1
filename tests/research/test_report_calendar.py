"""Spans as cells and as stretches: against the slowest way of computing them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.market import Series
from htxdata.research.report import calendar, charts, standing
from htxdata.store.coverage import with_missing
from htxdata.store.footer import Span
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Window, iso, parse_instant
from tests.research import report_lake

T0 = parse_instant("2024-01-01")


@st.composite
def histories(draw: st.DrawFn) -> list[Span]:
    """Spans of a series with what is missing between them."""
    at, out = T0 + draw(st.integers(-50, 50)) * HOUR, []
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.sampled_from([0, 0, 1, HOUR, 3 * DAY]))
        end = at + draw(st.sampled_from([1, MINUTE, HOUR, DAY, 40 * HOUR, 9 * DAY]))
        verdict = draw(st.sampled_from(["present", "empty", "outage", "unobtainable"]))
        fetched = end + draw(st.integers(0, 10**12))
        out.append(
            Span(
                at, end, verdict, draw(st.sampled_from(["rest", "archive"])), fetched, draw(st.integers(0, 9))
            )
        )
        at = end
    return with_missing(out)


def _slow(spans: list[Span], low: int, high: int) -> str:
    """The letter of one cell."""
    inside = {
        v: sum(max(0, min(s.end, high) - max(s.start, low)) for s in spans if s.verdict == v)
        for v in calendar.LETTERS
    }
    for verdict in ("missing", "outage", "unobtainable"):
        if inside[verdict]:
            letter = calendar.LETTERS[verdict]
            return letter.upper() if inside[verdict] == high - low else letter
    if inside["present"]:
        return "P" if inside["present"] + inside["empty"] == high - low else "p"
    if inside["empty"]:
        return "E" if inside["empty"] == high - low else "e"
    return "."


@given(histories(), st.lists(st.integers(-5, 40), min_size=2, max_size=12, unique=True))
def test_a_cell_tells_the_worst_that_is_in_it(spans: list[Span], days: list[int]) -> None:
    """A capital where it is all of the cell; and the shares of a cell add up to what of it the series covers."""
    edges = [T0 + day * DAY for day in sorted(days)]
    expected = "".join(_slow(spans, low, high) for low, high in pairwise(edges))
    assert calendar.cells(spans, edges) == expected
    shares = calendar.held(spans, edges)
    for at, (low, high) in enumerate(pairwise(edges)):
        covered = sum(max(0, min(s.end, high) - max(s.start, low)) for s in spans)
        assert sum(int(share[at]) for share in shares.values()) == covered


@given(st.text("PpEeOoUuMm.", max_size=60))
def test_run_lengths_come_back(letters: str) -> None:
    """What the page's script unrolls is what was written, and no run is written twice."""
    short = calendar.runs(letters)
    assert report_lake.unrolled(short) == letters
    assert len(short) <= len(letters)


@given(histories())
def test_spans_come_back(spans: list[Span]) -> None:
    """All of each, the instant of fetching to the second."""
    shown, left_out = calendar.stretches(spans, 100)
    assert left_out == 0
    assert report_lake.spans(calendar.packed(shown)) == [
        (s.start, s.end, calendar.LETTERS[s.verdict], s.source, s.fetched_at // SECOND, s.rows) for s in spans
    ]


@given(histories(), st.integers(1, 12))
def test_of_too_many_spans_holes_stay(spans: list[Span], most: int) -> None:
    """No more than asked, in order; no hole is left out for what is none; nothing is told twice or made up."""
    shown, left_out = calendar.stretches(spans, most)
    assert len(shown) <= most
    assert [each.start for each in shown] == sorted(each.start for each in shown)
    holes = {(s.start, s.end, calendar.LETTERS[s.verdict]) for s in spans if s.verdict in calendar.HOLES}
    told = {(each.start, each.end, each.letter) for each in shown}
    assert {each for each in told if each[2] in "mou"} <= holes
    assert len(holes & told) == min(len(holes), most)
    if not left_out:
        assert sum(each.rows for each in shown) == sum(span.rows for span in spans)
        assert sum(each.end - each.start for each in shown) == spans[-1].end - spans[0].start
        empty = sum(s.end - s.start for s in spans if s.verdict == "empty")
        alone = sum(each.end - each.start for each in shown if each.letter == "e")
        assert alone + sum(each.empty_for for each in shown) == empty


@pytest.mark.parametrize(
    ("start", "end", "unit", "cells"),
    [
        ("2024-03-05", "2024-03-06", "day", 1),
        ("2024-01-01", "2024-04-01", "day", 91),
        ("2024-01-01", "2024-12-31", "week", 53),
        ("2021-01-01", "2024-01-01", "month", 36),
        ("2016-01-01", "2024-01-01", "month", 96),
        ("2009-06-01", "2024-02-01", "year", 16),
        ("1601-01-01", "2024-02-01", "year", 100),
    ],
)
def test_the_unit_follows_the_length(start: str, end: str, unit: str, cells: int) -> None:
    """Days, weeks from Monday, months or years: never more than a screen holds, and no instant outside."""
    window = Window(parse_instant(start), parse_instant(end))
    axis = calendar.axis_over(window)
    assert (axis.unit, len(axis.edges) - 1) == (unit, cells)
    assert all(edge % DAY == 0 for edge in axis.edges)
    assert axis.edges[-1] >= window.end > axis.edges[-2]
    assert axis.edges[0] <= window.start < axis.edges[1] or cells == 100
    if unit == "week":
        assert all((edge // DAY) % 7 == 4 for edge in axis.edges), "a Monday"


@pytest.mark.parametrize(
    ("series", "known", "now", "behind"),
    [
        (Series("klines", "v", "s", "1min"), T0, T0 + 90 * SECOND, 0),
        (Series("klines", "v", "s", "1min"), T0, T0 + 120 * SECOND, MINUTE),
        (Series("klines", "v", "s", "1day"), T0 - 8 * HOUR, T0 + 15 * HOUR, 0),
        (Series("klines", "v", "s", "1day"), T0 - 8 * HOUR, T0 + 17 * HOUR, DAY),
        (Series("klines", "v", "s", "1mon"), T0 - 8 * HOUR, T0 + 20 * DAY, 0),
        (Series("trades", "v", "s"), T0, T0 + HOUR, HOUR - MINUTE),
        (Series("trades", "v", "s"), T0, T0 - HOUR, 0),
        (Series("instruments", "v", "s"), T0, T0 + HOUR, HOUR),
        (Series("capture_gaps", "v", "s"), T0, T0 + HOUR, None),
    ],
)
def test_age_counts_what_has_become_final(series: Series, known: int, now: int, behind: int | None) -> None:
    """A running candle is no delay; an outage at the end is asked for again and so is not known."""
    spans = [
        Span(T0 - 40 * DAY, known, "present", "rest", 0, 1),
        Span(known, known + DAY, "outage", "rest", 0, 0),
    ]
    age = standing.age(series, spans, now, {})
    assert (age["known"], age["behind"], age["ended"]) == (known, behind, None), iso(now)
    if behind:
        assert standing.age(series, spans, now, {("v", "s"): known})["behind"] == 0


prices = st.integers(1, 10**11).flatmap(lambda n: st.integers(0, 16).map(lambda d: float(f"{n}e-{d}")))


@given(st.lists(st.tuples(prices, prices, prices, prices), min_size=1, max_size=20))
def test_prices_come_back_to_the_bit(rows: list[tuple[float, float, float, float]]) -> None:
    """Whatever decimals a venue writes, also where highs and lows are none."""
    import numpy as np

    opens, highs, lows, closes = (np.array(column) for column in zip(*rows, strict=True))
    before = np.concatenate([np.zeros(1), closes[:-1]])
    steps = {
        "o": (opens, before), "h": (highs, np.maximum(opens, closes)), "l": (lows, np.minimum(opens, closes)),
        "c": (closes, opens),
    }  # fmt: skip
    packed = charts.prices(steps)
    level = {**packed, "count": len(rows), "t": charts.instants(np.arange(len(rows))), "v": None}
    assert [bar[1:5] for bar in report_lake.bars(level)] == rows
