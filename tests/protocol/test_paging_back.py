"""Back through history by ids alone, whichever way a venue means its bounds (hashkey-api 4.6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import WalkStuck
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.paging_ids import BackWalk
from htxdata.timeline import Window

Rows = list[tuple[int, int]]
"""Ids and times, ascending."""

Serve = Callable[[Rows, Ask], Rows]
DAY = 10


def exclusive(rows: Rows, ask: Ask) -> Rows:
    return [
        r
        for r in rows
        if ask.cursor is None or (r[0] < int(ask.cursor) if ask.number == 1 else r[0] > int(ask.cursor))
    ]


def inclusive(rows: Rows, ask: Ask) -> Rows:
    return [
        r
        for r in rows
        if ask.cursor is None or (r[0] <= int(ask.cursor) if ask.number == 1 else r[0] >= int(ask.cursor))
    ]


def swapped(rows: Rows, ask: Ask) -> Rows:
    return inclusive(rows, Ask(ask.window, ask.rows, ask.cursor, 3 - ask.number))


def ignored(rows: Rows, ask: Ask) -> Rows:
    return rows


def from_the_beginning(rows: Rows, ask: Ask) -> Rows:
    """The bound is heeded, but the oldest rows come first: the page does not join the one before."""
    return rows[-ask.rows :] if ask.cursor is None else exclusive(rows, ask)[: ask.rows]


def drive(
    walk: BackWalk, rows: Rows, serve: Serve, cap: int, empty: Callable[[int], bool] = lambda n: False
) -> int:
    """How many questions it took."""
    steps, asked, seen = walk.steps(), 0, set[int]()
    try:
        ask = next(steps)
        while True:
            asked += 1
            page = [] if empty(asked) else serve(rows, ask)[-min(cap, ask.rows) :]
            seen |= {when for _, when in page}
            told = Page(len(page), page[0][1], page[-1][1], str(page[0][0])) if page else Page(0)
            ask = steps.send(told)
    except StopIteration:
        pass
    finally:
        covered = walk.answered
        assert all(when in seen for _, when in rows if any(w.start <= when < w.end for w in covered))
    return asked


def history(count: int) -> Rows:
    return [(3 + 7 * n, 1000 + DAY * n) for n in range(count)]


@pytest.mark.parametrize("serve", [exclusive, inclusive, swapped])
@given(count=st.integers(0, 60), cap=st.integers(2, 20), start=st.integers(900, 1700))
def test_every_row_of_the_window_came(serve: Serve, count: int, cap: int, start: int) -> None:
    """However many rows a page has, and whichever bound leads back, inclusive or not."""
    walk = BackWalk(Window(start, 2000), 1000, edge=DAY, least=2)
    drive(walk, history(count), serve, cap)
    assert walk.answered == [Window(start, 2000)]


@pytest.mark.parametrize("serve", [exclusive, inclusive, swapped])
def test_empty_answers_now_and_then_end_nothing(serve: Serve) -> None:
    """Every third answer is empty for nothing: the history is whole all the same."""
    walk = BackWalk(Window(900, 2000), 1000, edge=DAY, least=2)
    drive(walk, history(60), serve, 7, empty=lambda number: number % 3 == 0)
    assert walk.answered == [Window(900, 2000)]


def test_four_empty_answers_in_a_row_end_nothing() -> None:
    """An exchange in trouble says so where there is more: a history ends only where it is said five times."""
    walk = BackWalk(Window(900, 2000), 1000, edge=DAY, least=2)
    drive(walk, history(60), exclusive, 7, empty=lambda number: number % 5 != 0)
    assert walk.answered == [Window(900, 2000)]


def test_bounds_that_are_not_heeded_are_the_end_of_the_walk_and_not_of_the_history() -> None:
    """The newest page is answered, and the walk says that it is stuck."""
    walk = BackWalk(Window(900, 2000), 1000, edge=DAY, least=10)
    with pytest.raises(WalkStuck, match="no bound brings older rows"):
        drive(walk, history(60), ignored, 10)
    assert walk.answered == [Window(1000 + 50 * DAY, 2000)]


def test_a_page_that_nobody_cut_is_all_there_was() -> None:
    """Though no bound is heeded: fewer rows than any venue cuts a page to."""
    walk = BackWalk(Window(900, 2000), 1000, edge=DAY, least=10)
    drive(walk, history(9), ignored, 1000)
    assert walk.answered == [Window(900, 2000)]


def test_a_page_that_does_not_join_the_one_before_is_no_answer() -> None:
    """Rows from the beginning of time: what lies between is not known."""
    walk = BackWalk(Window(900, 2000), 10, edge=DAY, least=2)
    with pytest.raises(WalkStuck, match="does not join"):
        drive(walk, history(60), from_the_beginning, 10)
    assert walk.answered == [Window(1000 + 50 * DAY, 2000)]
