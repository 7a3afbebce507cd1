"""The walk behind the last row: every row once at least, in whatever order the venue keeps them, cut where it likes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import WalkStuck
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.paging_ids import BehindWalk
from htxdata.timeline import Window, merge

SPAN = 10_000


class Books:
    """A venue: rows are (time, id); ``newest`` first or last; a page begins behind the cursor, or at it."""

    def __init__(
        self, rows: list[tuple[int, int]], newest: bool, inclusive: bool, cap: int, liar: int = 0
    ) -> None:
        self.rows = sorted(rows, reverse=newest)
        self.inclusive, self.cap, self.liar = inclusive, cap, liar
        self.told: list[tuple[int, int]] = []
        self.asked: list[Ask] = []

    def page(self, ask: Ask) -> Page:
        self.asked.append(ask)
        inside = [row for row in self.rows if ask.window.start <= row[0] < ask.window.end]
        if ask.cursor is not None:
            place = [str(number) for _, number in inside].index(ask.cursor)
            inside = inside[place if self.inclusive else place + 1 :]
            if self.liar and self.inclusive is False:
                self.liar -= 1
                return Page(0)
        rows = inside[: min(ask.rows, self.cap)]
        self.told += rows
        times = [time for time, _ in rows]
        return Page(len(rows), min(times), max(times), str(rows[-1][1])) if rows else Page(0)


def driven(walk: BehindWalk, venue: Books) -> BehindWalk:
    steps = walk.steps()
    try:
        ask = next(steps)
        while True:
            ask = steps.send(venue.page(ask))
    except StopIteration:
        return walk


times = st.lists(st.integers(0, 59).map(lambda n: n * 1000), max_size=60)


@given(
    times=times,
    newest=st.booleans(),
    inclusive=st.booleans(),
    cap=st.integers(2, 9),
    start=st.integers(0, 5999),
)
def test_every_row_is_told(times: list[int], newest: bool, inclusive: bool, cap: int, start: int) -> None:
    """Many rows of one instant, any order, any cap, a cursor that is part of the page or not: nothing is lost."""
    rows = [(time, number) for number, time in enumerate(times)]
    venue = Books(rows, newest, inclusive, cap)
    window = Window(start, 57_003)
    walk = driven(BehindWalk(window, 500, SPAN, least=2), venue)
    assert {row for row in rows if start <= row[0] < 57_003} <= set(venue.told)
    assert merge(walk.answered) == [window]
    assert all(ask.window.length <= SPAN for ask in venue.asked)


@given(times=times.filter(lambda t: len(t) > 5), lies=st.integers(1, 2))
def test_an_empty_page_behind_rows_is_not_believed_at_once(times: list[int], lies: int) -> None:
    """An exchange in trouble says "nothing more" twice where there is more."""
    rows = [(time, number) for number, time in enumerate(times)]
    venue = Books(rows, True, False, 2, liar=lies)
    driven(BehindWalk(Window(0, 60_000), 500, SPAN, least=2), venue)
    assert set(rows) <= set(venue.told)


def test_a_cursor_that_is_not_heeded() -> None:
    """The same page again is no progress, and no end."""
    walk = BehindWalk(Window(0, SPAN), 500, SPAN, least=2)
    steps = walk.steps()
    next(steps)
    steps.send(Page(3, 0, 5000, "7"))
    with pytest.raises(WalkStuck, match="the cursor was not heeded"):
        steps.send(Page(3, 0, 5000, "7"))
    assert walk.answered == []


def test_times_that_are_not_heeded() -> None:
    """Rows of another time are no answer."""
    steps = BehindWalk(Window(0, SPAN), 500, SPAN).steps()
    next(steps)
    with pytest.raises(WalkStuck, match="no row lies in the window"):
        steps.send(Page(3, SPAN, 2 * SPAN, "7"))


def test_where_no_row_can_lie_nobody_is_asked() -> None:
    """Instants are whole milliseconds: between two of them there is nothing."""
    venue = Books([(1000, 1), (2000, 2)], True, False, 9)
    walk = driven(BehindWalk(Window(1001, 2000), 500, SPAN), venue)
    assert (venue.asked, walk.answered) == ([], [Window(1001, 2000)])


def test_a_page_that_is_shorter_than_any_cap_is_the_end() -> None:
    """Nineteen rows are one request; twenty are asked behind, until three answers say that nothing follows."""
    for count, asked in ((19, 1), (20, 4)):
        venue = Books([(1000 * n % SPAN, n) for n in range(count)], True, False, 500)
        driven(BehindWalk(Window(0, SPAN), 500, SPAN), venue)
        assert len(venue.asked) == asked
