"""Walks by a near edge: whatever the venue holds and however it cuts its pages, what is answered was heard whole."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from htxdata.errors import WalkStuck
from htxdata.protocol.edge import NEWEST, EdgeWalk
from htxdata.protocol.paging import Ask, Page
from htxdata.timeline import Window, merge


class Venue:
    """Rows at ``times``; a page holds at most ``cap`` of them. ``unit``: what its edge is counted in."""

    def __init__(self, times: list[int], cap: int, unit: int = 1) -> None:
        self.times, self.cap, self.unit = sorted(times), cap, unit
        self.asked: list[Ask] = []

    def answer(self, ask: Ask) -> list[int]:
        self.asked.append(ask)
        assert len(self.asked) < 500
        edge = self.times[-1] if ask.window == NEWEST and self.times else (ask.window.end - 1) // self.unit
        end = bisect_right(self.times, edge)
        return self.times[max(0, end - min(ask.rows, self.cap)) : end][::-1]


def drive(walk: EdgeWalk, venue: Venue) -> list[int]:
    """Every row that came, in any order."""
    heard: set[int] = set()
    steps = walk.steps()
    try:
        ask = next(steps)
        while True:
            rows = venue.answer(ask)
            heard.update(rows)
            ask = steps.send(Page(len(rows), min(rows), max(rows)) if rows else Page(0))
    except StopIteration:
        return sorted(heard)


@given(
    st.lists(st.integers(0, 300), unique=True), st.integers(1, 40), st.integers(1, 40), st.integers(0, 300),
    st.integers(1, 200),
)  # fmt: skip
def test_the_whole_window_is_answered_and_all_its_rows_came(
    times: list[int], cap: int, most: int, start: int, length: int
) -> None:
    """Whatever is there, and however small the pages are cut without a word."""
    window = Window(start, start + length)
    walk = EdgeWalk(window, most)
    heard = drive(walk, Venue(times, cap))
    assert merge(walk.answered) == [window]
    assert [t for t in heard if start <= t < window.end] == sorted(t for t in times if start <= t < window.end)


def test_a_dense_stretch_costs_a_page_for_as_many_rows_as_fit_but_one() -> None:
    """100 rows at 20 a page: the repeated row of each page is all that the proof costs, and no page is empty."""
    venue = Venue(list(range(1000)), 20)
    walk = EdgeWalk(Window(900, 1000), 20)
    assert drive(walk, venue) == list(range(885, 1000))
    assert [ask.window for ask in venue.asked] == [Window(900, end) for end in (1000, 981, 962, 943, 924, 905)]


def test_the_end_of_what_there_is_is_proven_by_a_page_that_is_not_empty() -> None:
    """Six rows and a page for a hundred: the second page brings the oldest row alone."""
    venue = Venue([10, 20, 30, 40, 50, 60], 100)
    walk = EdgeWalk(Window(0, 100), 100)
    assert drive(walk, venue) == [10, 20, 30, 40, 50, 60]
    assert [ask.window.end for ask in venue.asked] == [100, 11]
    assert merge(walk.answered) == [Window(0, 100)]


def test_an_edge_that_is_not_understood_is_no_empty_market() -> None:
    """The venue counts in thousandths of what it is asked in: nothing is called empty, and the walk says why."""
    walk = EdgeWalk(Window(5000, 6000), 100)
    with pytest.raises(WalkStuck, match="not understood"):
        drive(walk, Venue([5100, 5200], 100, unit=1000))
    assert walk.answered == []


def test_an_edge_that_is_ignored_is_no_answer() -> None:
    """A venue that sends its newest rows whatever it is asked: stuck, as any walk is."""
    walk = EdgeWalk(Window(0, 1000), 10)
    steps = walk.steps()
    next(steps)
    with pytest.raises(WalkStuck, match="not heeded"):
        steps.send(Page(10, 4000, 5000))
    assert walk.answered == []


def test_what_is_known_to_heed_its_edge_is_not_asked_to_prove_it() -> None:
    """An empty page then costs one request."""
    venue = Venue([5000], 10)
    walk = EdgeWalk(Window(0, 1000), 10, heeded=True)
    drive(walk, venue)
    assert (len(venue.asked), walk.answered) == (1, [Window(0, 1000)])


@given(
    st.lists(st.integers(0, 9), max_size=99), st.integers(10, 40), st.integers(0, 9), st.integers(1, 12),
)  # fmt: skip
@example([3, *[5] * 30], 10, 0, 9)
@example([2, *[3] * 12, 7], 10, 0, 9)
def test_rows_that_share_instants_are_had_whole_or_the_walk_says_that_it_cannot(
    times: list[int], cap: int, start: int, length: int
) -> None:
    """The fills of one order are of one instant: no page cuts it unseen, as long as no page is cut below `sure`."""
    window = Window(start, start + length)
    walk, venue = EdgeWalk(window, 500, sure=10), Venue(times, cap)
    most: dict[int, int] = {}  # of each instant, the most of its rows that one page brought
    steps = walk.steps()
    try:
        ask = next(steps)
        while True:
            rows = venue.answer(ask)
            most |= {at: max(most.get(at, 0), rows.count(at)) for at in rows}
            ask = steps.send(Page(len(rows), min(rows), max(rows)) if rows else Page(0))
    except StopIteration:
        assert merge(walk.answered) == [window]
    except WalkStuck:
        assert max(map(times.count, times)) >= 10  # and nothing that it was not sure of is answered
    for at in {at for at in times if any(part.start <= at < part.end for part in walk.answered)}:
        assert most.get(at) == times.count(at)
