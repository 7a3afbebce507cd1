"""Verdicts on spans, against a model that looks at every slot by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.store.coverage import Asked, across, join, judge, settled, with_missing
from htxdata.store.footer import Footer, Span, pack, unpack
from htxdata.timeline import DAY, HOUR, Grid, Window
from tests.store.build import instant

CELL = Window(0, 40)  # a small world: one slot per unit of time
GRID = Grid(1)

asks = st.builds(
    lambda start, length, source, at, verdict: Asked(Window(start, start + length), source, at, verdict),
    st.integers(-5, 42), st.integers(0, 20), st.sampled_from(["rest", "archive"]), st.integers(0, 60),
    st.sampled_from(["empty", "outage", "unobtainable"]),
)  # fmt: skip
rows = st.frozensets(st.integers(0, 39), max_size=40)


def times(held: frozenset[int]) -> np.ndarray:
    return np.array(sorted(held), dtype=np.int64)


Slot = tuple[str, str, bool, int]  # verdict, source, settled, fetched_at


def model(
    slots: dict[int, Slot], ask: Asked, held: frozenset[int], recheck: int, density: str = "grid"
) -> None:
    """The rules, one slot at a time."""
    window = range(max(0, ask.window.start), min(40, ask.window.end))
    gone = ask.verdict == "unobtainable"
    whole = any(slot in held for slot in window) and not gone
    for slot in window:
        there = slot in held if density == "grid" else whole
        calm = ask.fetched_at >= slot + 1 + recheck
        new = ("present" if there else ask.verdict, ask.source, calm, ask.fetched_at)
        old = slots.get(slot)
        if old and old[:2] == new[:2] and (old[2] or not new[2]):
            continue
        if old and old[2] and old[0] in ("present", "empty") and new[0] == "unobtainable":
            continue  # it was told while it was served
        slots[slot] = new


def flat(spans: list[Span], recheck: int) -> dict[int, Slot]:
    out: dict[int, Slot] = {}
    for span in spans:
        for slot in range(span.start, span.end):
            assert slot not in out, "spans do not overlap"
            out[slot] = (span.verdict, span.source, span.fetched_at >= slot + 1 + recheck, span.fetched_at)
    return out


@settings(max_examples=400)
@given(
    st.lists(st.tuples(rows, st.lists(asks, max_size=3)), max_size=6),
    st.integers(0, 6),
    st.sampled_from(["grid", "events"]),
)
def test_spans_say_what_every_slot_says(
    commits: list[tuple[frozenset[int], list[Asked]]], recheck: int, density: str
) -> None:
    """After any row of commits, each slot's verdict, source and certainty are what the rules give it alone."""
    spans: list[Span] = []
    slots: dict[int, Slot] = {}
    held: frozenset[int] = frozenset()
    grid = GRID if density == "grid" else None
    for fresh, asked in commits:
        held |= fresh
        spans = judge(density, grid, CELL, spans, asked, times(held), recheck)
        for ask in asked:
            model(slots, ask, held, recheck, density)
        got = flat(spans, recheck)
        assert {slot: word[:3] for slot, word in got.items()} == {
            slot: word[:3] for slot, word in slots.items()
        }
        # An unsettled slot keeps its own time of fetching; settled ones may have been joined with later ones.
        assert all(got[slot][3] == word[3] for slot, word in slots.items() if not word[2])
        assert all(span.rows == sum(span.start <= t < span.end for t in held) for span in spans)
        assert all(CELL.start <= span.start < span.end <= CELL.end for span in spans)
        assert spans == sorted(spans) == join(spans, recheck), "in order, and nothing left to join"
        again = judge(density, grid, CELL, spans, asked, times(held), recheck)
        if len(asked) < 2:  # several windows may contradict each other
            assert again == spans, "asking the same again changes nothing"
        assert unpack(pack(Footer(tuple(spans), 7))) == Footer(tuple(spans), 7)


@given(rows, asks, st.integers(1, 50), st.integers(0, 6))
def test_a_settled_word_stands_however_often_it_is_said_again(
    held: frozenset[int], ask: Asked, later: int, recheck: int
) -> None:
    """Reading again later changes no span that was settled, not even its time of fetching."""
    first = judge("grid", GRID, CELL, [], [ask], times(held), recheck)
    again = judge(
        "grid", GRID, CELL, first, [ask._replace(fetched_at=ask.fetched_at + later)], times(held), recheck
    )
    calm = [span for span in first if settled(span, recheck)]
    for span in calm:
        assert any(s.start <= span.start and span.end <= s.end and s.verdict == span.verdict for s in again)
    if len(calm) == len(first):
        assert again == first


def test_slots_belong_where_they_open() -> None:
    """A day that opens at 16:00 UTC is judged in the year in which it opens."""
    grid = Grid(DAY, -8 * HOUR)
    year = Window(instant("2024"), instant("2025"))
    opens = instant("2024-12-31T16:00:00Z")
    got = judge("grid", grid, year, [], [Asked(year, "rest", year.end + 9 * DAY)], np.array([opens]), 0)
    assert [(s.start, s.end, s.verdict) for s in got] == [
        (instant("2024-01-01T16:00:00Z"), opens, "empty"), (opens, opens + DAY, "present"),
    ]  # fmt: skip


def test_calendar_months_are_slots_too() -> None:
    grid = Grid(0)
    year = Window(instant("2024"), instant("2025"))
    held = np.array([instant("2024-01"), instant("2024-02"), instant("2024-04")])
    got = judge(
        "grid", grid, year, [], [Asked(Window(year.start, instant("2024-06")), "rest", year.end)], held, 0
    )
    assert [(s.start, s.end, s.verdict, s.rows) for s in got] == [
        (instant("2024-01"), instant("2024-03"), "present", 2), (instant("2024-03"), instant("2024-04"), "empty", 0),
        (instant("2024-04"), instant("2024-05"), "present", 1), (instant("2024-05"), instant("2024-06"), "empty", 0),
    ]  # fmt: skip


def test_what_was_just_fetched_stays_apart_until_it_is_confirmed() -> None:
    """The last slots before the fetch are a span of their own, which a later fetch takes over."""
    now, recheck = 30, 5
    first = judge(
        "grid", GRID, CELL, [], [Asked(Window(0, 30), "rest", now)], times(frozenset(range(30))), recheck
    )
    assert [(s.start, s.end, s.fetched_at) for s in first] == [(0, 25, 30), (25, 30, 30)]
    then = judge(
        "grid", GRID, CELL, first, [Asked(Window(25, 40), "rest", 60)], times(frozenset(range(40))), recheck
    )
    assert [(s.start, s.end, s.fetched_at) for s in then] == [(0, 40, 60)]


def test_across_partitions_only_the_same_word_joins() -> None:
    spans = [
        Span(0, 5, "present", "rest", 9, 5), Span(5, 9, "present", "rest", 12, 4),
        Span(9, 10, "empty", "rest", 12, 0), Span(11, 12, "empty", "rest", 12, 0),
    ]  # fmt: skip
    assert across(spans) == [Span(0, 9, "present", "rest", 12, 9), spans[2], spans[3]]


# --------------------------------------------------------------------------------------------- intervals


def hours(spans: list[Span]) -> list[tuple[int, int, str]]:
    return [(span.start // HOUR, span.end // HOUR, span.verdict) for span in spans]


def of_fundings(at: list[int], start: int, end: int) -> list[tuple[int, int, str]]:
    cell = Window(0, 10_000 * HOUR)
    ask = Asked(Window(start * HOUR, end * HOUR), "rest", cell.end)
    return hours(judge("interval", None, cell, [], [ask], np.array(at, dtype=np.int64) * HOUR, 0))


def test_a_silence_of_24_hours_is_a_hole_and_a_late_settlement_is_none() -> None:
    late = [0, 8, 16, 27, 32, 40, 50, 56, 64]  # 11 and 10 hours, then 5 and 6: as HTX did
    assert of_fundings(late, 0, 72) == [(0, 72, "present")]
    hole = [0, 8, 16, 24, 48, 56, 64, 72]
    assert of_fundings(hole, 0, 80) == [(0, 32, "present"), (32, 48, "empty"), (48, 80, "present")]


@pytest.mark.parametrize("steps", [(8, 4, 1), (1, 4, 8), (8, 1, 8), (4, 8), (1, 8, 4)])
def test_a_change_of_the_interval_is_no_hole(steps: tuple[int, ...]) -> None:
    at = [0]
    for step in steps:
        at += [at[-1] + step * (place + 1) for place in range(6)]
    assert of_fundings(at, 0, at[-1] + steps[-1]) == [(0, at[-1] + steps[-1], "present")]


def test_long_before_the_first_and_long_after_the_last_is_empty() -> None:
    at = [100, 108, 116]
    assert of_fundings(at, 0, 200) == [(0, 92, "empty"), (92, 124, "present"), (124, 200, "empty")]
    assert of_fundings(at, 90, 126) == [(90, 126, "present")]
    assert of_fundings([], 0, 200) == [(0, 200, "empty")]
    assert of_fundings(at, 109, 115) == [(109, 115, "present")], "between two rows nothing is due"
    assert of_fundings(at, 150, 160) == [(150, 160, "empty")]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 100), st.integers(0, 200))
def test_rows_are_never_in_an_empty_span(gaps: list[int], start: int, length: int) -> None:
    """Whatever the intervals: the window asked for is tiled, and every row in it is in a present span."""
    at = np.cumsum(gaps)
    got = of_fundings(at.tolist(), start, start + length)
    assert sum(end - begin for begin, end, _ in got) == length
    for row in at:
        if start <= row < start + length:
            assert [verdict for begin, end, verdict in got if begin <= row < end] == ["present"]


def test_states_and_events_are_present_as_a_whole() -> None:
    for density in ("states", "events"):
        got = judge(density, None, CELL, [], [Asked(Window(2, 10), "rest", 50), Asked(Window(10, 20), "rest", 50)],
                    np.array([5]), 0)  # fmt: skip
        assert [(s.start, s.end, s.verdict, s.rows) for s in got] == [
            (2, 10, "present", 1),
            (10, 20, "empty", 0),
        ]


def test_what_was_heard_takes_the_place_of_what_is_served_no_longer() -> None:
    """A row that came by another way says nothing of its neighbours; who listened may say more than REST does."""
    rows = np.array([9, 12, 15])
    gone = judge("events", None, CELL, [], [Asked(Window(0, 20), "rest", 50, "unobtainable")], rows, 0)
    assert [(s.start, s.end, s.verdict, s.rows) for s in gone] == [(0, 20, "unobtainable", 3)]
    heard = judge("events", None, CELL, gone, [Asked(Window(10, 18), "ws", 40)], rows, 0)
    assert [(s.start, s.end, s.verdict, s.source, s.rows) for s in heard] == [
        (0, 10, "unobtainable", "rest", 1),
        (10, 18, "present", "ws", 2),
        (18, 20, "unobtainable", "rest", 0),
    ]


@pytest.mark.parametrize("density", ["events", "grid"])
def test_what_was_told_meanwhile_is_not_gone(density: str) -> None:
    """A capture commits what it heard while a backfill, planned before that, learns that the rest is gone."""
    rows = np.array([9, 12, 15])
    grid = GRID if density == "grid" else None
    heard = judge(density, grid, CELL, [], [Asked(Window(9, 18), "ws", 40)], rows, 0)
    both = judge(density, grid, CELL, heard, [Asked(Window(0, 20), "rest", 50, "unobtainable")], rows, 0)
    was = {slot: word[0] for slot, word in flat(heard, 0).items()}
    assert {slot: word[0] for slot, word in flat(both, 0).items()} == dict.fromkeys(range(20), "unobtainable") | was
    early = judge(density, grid, CELL, [], [Asked(Window(16, 18), "ws", 17)], rows, 0)
    late = judge(density, grid, CELL, early, [Asked(Window(16, 18), "rest", 50, "unobtainable")], rows, 0)
    assert [(s.start, s.end, s.verdict) for s in late] == [(16, 17, "empty"), (17, 18, "unobtainable")]


def test_a_wrong_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict"):
        judge("grid", GRID, CELL, [], [Asked(Window(0, 1), "rest", 9, "perhaps")], times(frozenset()), 0)


def test_between_two_spans_nobody_asked_is_missing() -> None:
    """Every instant between the first and the last span has a verdict; touching spans get nothing between them."""
    first, second = Span(0, 10, "present", "rest", 50, 3), Span(10, 20, "empty", "rest", 50, 0)
    spans = [first, second, Span(30, 40, "present", "rest", 50, 1)]
    assert with_missing(spans) == [*spans[:2], Span(20, 30, "missing", "", 0, 0), spans[2]]
    assert with_missing([]) == []
