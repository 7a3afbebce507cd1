"""Walks against endpoints that are a list of instants and a way of cutting it: no socket, no JSON, no clock."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from htxdata.errors import WalkStuck
from htxdata.market import grid_of
from htxdata.protocol.paging import Ask, LatestWalk, Page, TailWalk, Walk
from htxdata.protocol.paging_ids import CursorWalk, SpanWalk
from htxdata.protocol.paging_numbers import PageWalk
from htxdata.protocol.paging_time import TimeWalk
from htxdata.timeline import DAY, HOUR, MINUTE, Grid, Window, merge, subtract

Server = Callable[[Ask], list[int]]
ORIGIN = 1_700_000_040 * 1_000_000
MINUTES = Grid(MINUTE)


def page_of(rows: Sequence[int]) -> Page:
    return Page(len(rows), min(rows), max(rows), str(max(rows))) if rows else Page(0)


def drive(
    walk: Walk, answer: Callable[[Ask], tuple[Sequence[int], Page]], most: int = 100_000
) -> tuple[list[Ask], set[int]]:
    """Every ask of a walk and every instant it was sent; fails where the walk does not end."""
    steps, asks, heard = walk.steps(), [], set()
    try:
        ask = next(steps)
        while True:
            asks.append(ask)
            assert len(asks) <= most, "the walk does not end"
            rows, page = answer(ask)
            heard.update(rows)
            ask = steps.send(page)
    except StopIteration:
        return asks, heard


def assert_covers(walk: Walk, window: Window, truth: Sequence[int], heard: set[int]) -> None:
    """All of the window is answered, nothing else is, and every row in it came."""
    assert merge(walk.answered) == merge([window])
    assert {t for t in truth if window.start <= t < window.end} <= heard


# ---------------------------------------------------------------------------------------------- by time


def inside(truth: Sequence[int], window: Window) -> list[int]:
    return list(truth[bisect_left(truth, window.start) : bisect_left(truth, window.end)])


def overflowing(truth: Sequence[int], cap: int) -> Server:
    """Nothing where there would be more than ``cap`` rows (HTX linear)."""
    return lambda ask: rows if len(rows := inside(truth, ask.window)) <= cap else []


def newest(truth: Sequence[int], cap: int) -> Server:
    return lambda ask: inside(truth, ask.window)[-cap:]


def oldest(truth: Sequence[int], cap: int) -> Server:
    return lambda ask: inside(truth, ask.window)[:cap]


CUTS = {"overflowing": overflowing, "newest": newest, "oldest": oldest}


def with_page(server: Server, descending: bool = False) -> Callable[[Ask], tuple[list[int], Page]]:
    def answer(ask: Ask) -> tuple[list[int], Page]:
        rows = server(ask)
        return (rows[::-1] if descending else rows), page_of(rows)

    return answer


def stretches(slots: int) -> st.SearchStrategy[list[int]]:
    """Slots that hold a row: dense and sparse stretches, and long empty ones."""
    part = st.tuples(
        st.integers(0, slots), st.integers(1, slots), st.sampled_from([1, 1, 2, 3, 7, 50]), st.integers(0, 9)
    )
    return st.lists(part, max_size=6).map(
        lambda parts: sorted(
            {
                s
                for first, length, step, lost in parts
                for s in range(first, min(slots, first + length), step)
                if not lost or s % (lost + 9)
            }
        )
    )


@pytest.mark.parametrize("cut", CUTS)
@given(
    slots=stretches(700),
    start=st.integers(0, 400),
    length=st.integers(1, 700),
    cap=st.integers(1, 60),
    most=st.integers(1, 120),
    descending=st.booleans(),
)
def test_a_walk_by_time_brings_every_row(
    cut: str, slots: list[int], start: int, length: int, cap: int, most: int, descending: bool
) -> None:
    """Whatever the truth, the true cap and the way it is cut: each row of the window comes and all
    of it is answered."""
    truth = [ORIGIN + s * MINUTE for s in slots]
    window = Window(ORIGIN + start * MINUTE, ORIGIN + (start + length) * MINUTE)
    walk = TimeWalk(window, MINUTES, most, probe=1)
    asks, heard = drive(walk, with_page(CUTS[cut](truth, cap), descending))
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= 4 * length + 8
    assert all(window.start <= ask.window.start < ask.window.end <= window.end for ask in asks)
    assert all(ask.rows == MINUTES.count(ask.window) <= most for ask in asks)


@pytest.mark.parametrize("cut", CUTS)
@given(slots=stretches(9000), cap=st.sampled_from([150, 151, 299, 300, 1000, 1999, 2000]))
def test_a_true_cap_far_below_the_declared_one_loses_nothing(cut: str, slots: list[int], cap: int) -> None:
    """Declared 2,000, in truth 150 and up: every row comes, within 3 requests per believable window and 20."""
    truth = [ORIGIN + s * MINUTE for s in slots]
    window = Window(ORIGIN, ORIGIN + 9000 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    asks, heard = drive(walk, with_page(CUTS[cut](truth, cap)))
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= 20 + 3 * 9000 / 150


def test_a_dense_series_costs_one_request_per_window() -> None:
    """43,200 minutes at 2,000 a page are 22 requests, each for a whole page."""
    truth = [ORIGIN + s * MINUTE for s in range(43_200)]
    window = Window(ORIGIN, ORIGIN + 43_200 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    asks, heard = drive(walk, with_page(overflowing(truth, 2000)))
    assert heard == set(truth)
    assert [ask.rows for ask in asks] == [2000] * 21 + [1200]
    assert walk.answered == [ask.window for ask in asks]


@pytest.mark.parametrize(("cut", "bound"), [("overflowing", 170), ("newest", 148), ("oldest", 148)])
def test_a_cap_is_learned_once(cut: str, bound: int) -> None:
    """A month of minutes at a true cap of 300 needs 144 requests; what the declared cap of 2,000
    misleads to is learned."""
    truth = [ORIGIN + s * MINUTE for s in range(43_200)]
    window = Window(ORIGIN, ORIGIN + 43_200 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    asks, heard = drive(walk, with_page(CUTS[cut](truth, 300)))
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= bound


def test_an_empty_stretch_beside_a_full_page_costs_one_request_per_window() -> None:
    """Once a page was full, the cap is proven, and an empty window is just empty, also one that was asked before it."""
    truth = [ORIGIN + s * MINUTE for s in range(20_000, 24_000)]
    window = Window(ORIGIN, ORIGIN + 44_000 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    asks, heard = drive(walk, with_page(overflowing(truth, 2000)))
    assert_covers(walk, window, truth, heard)
    assert len(asks) == 22 + 4  # a look into the middle of the 1st, 2nd, 4th and 8th empty window


def test_an_empty_series_is_asked_for_in_believable_windows_only_without_proof() -> None:
    """Nothing at all: 15 requests per declared page where nothing is known of the cap, one where it is proven."""
    window = Window(ORIGIN, ORIGIN + 20_000 * MINUTE)
    unsure, sure = TimeWalk(window, MINUTES, 2000), TimeWalk(window, MINUTES, 2000, proven=2000)
    asks, _ = drive(unsure, with_page(overflowing([], 2000)))
    assert len(asks) == 10 + 4 + 10 * math.ceil(2000 / 150)
    assert merge(unsure.answered) == [window]
    asks, _ = drive(sure, with_page(overflowing([], 2000)))
    assert len(asks) == 10
    assert merge(sure.answered) == [window]


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), lost=st.floats(0, 0.9))
def test_missing_slots_cost_hardly_anything(seed: int, lost: float) -> None:
    """Minutes without trades, whether few or most, with a day's silence in between: at most 16
    requests beyond the pages."""
    dice = random.Random(seed)
    truth = [ORIGIN + s * MINUTE for s in range(43_200) if dice.random() >= lost and not 9000 <= s < 10_440]
    window = Window(ORIGIN, ORIGIN + 43_200 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    asks, heard = drive(walk, with_page(overflowing(truth, 2000)))
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= 22 + 16


@pytest.mark.parametrize("size", [1, 300, 2000])
def test_an_endpoint_that_ignores_its_times_is_not_believed(size: int) -> None:
    """The newest rows, whatever was asked: the walk stops at once and has answered nothing."""
    truth = [ORIGIN + s * MINUTE for s in range(50_000)]
    walk = TimeWalk(Window(ORIGIN, ORIGIN + 9000 * MINUTE), MINUTES, 2000)
    with pytest.raises(WalkStuck, match="no row lies in the window"):
        drive(walk, with_page(lambda ask: truth[-size:]))
    assert walk.answered == []


def test_an_early_end_leaves_what_was_not_answered_open() -> None:
    """Whoever stops driving a walk knows from ``answered`` what is sure so far: doubtful windows are not."""
    window = Window(ORIGIN, ORIGIN + 6000 * MINUTE)
    walk = TimeWalk(window, MINUTES, 2000)
    steps = walk.steps()
    assert next(steps).window == Window(ORIGIN, ORIGIN + 2000 * MINUTE)
    assert steps.send(Page(0)).rows == 150  # the look into the middle
    ask = steps.send(Page(0))
    assert walk.answered == []
    steps.send(page_of([ask.window.start + s * MINUTE for s in range(2000)]))
    steps.close()
    assert walk.answered == [ask.window]


@pytest.mark.parametrize("period", ["1day", "1week", "1mon"])
def test_coarse_candles_are_walked_on_their_own_grid(period: str) -> None:
    """Days, weeks and months of UTC+8: each window's ends are openings, each opening comes once."""
    grid = grid_of(period, -8 * HOUR)
    window = Window(ORIGIN, ORIGIN + 1900 * DAY + 5)
    truth = grid.openings(window)
    walk = TimeWalk(window, grid, 40)
    asks, heard = drive(walk, with_page(overflowing(truth, 40)))
    assert heard == set(truth)
    assert merge(walk.answered) == [grid.snap(window)]
    assert len(asks) == math.ceil(len(truth) / 40)


def test_a_window_between_two_openings_asks_nothing() -> None:
    """No opening lies in it, so there is nothing to ask."""
    walk = TimeWalk(Window(ORIGIN + 1, ORIGIN + MINUTE), MINUTES, 2000)
    assert drive(walk, with_page(lambda ask: [])) == ([], set())
    assert merge(walk.answered) == []


# ---------------------------------------------------------------------------------------------- by cursor


def by_cursor(
    truth: Sequence[int],
    cap: int,
    *,
    inclusive: bool = True,
    heeds_times: bool = True,
    heeds_cursor: bool = True,
    backward: bool = False,
) -> Callable[[Ask], tuple[list[int], Page]]:
    """Ids count from 1, as HTX's do; ``backward`` is an endpoint that sends the newest whatever ``direct`` says."""
    ids = {time: number for number, time in enumerate(truth, 1)}

    def answer(ask: Ask) -> tuple[list[int], Page]:
        rows = inside(truth, ask.window) if heeds_times else list(truth)
        if ask.cursor is not None and heeds_cursor:
            at = int(ask.cursor)
            if backward:
                rows = [t for t in rows if ids[t] < at + inclusive]
            else:
                rows = [t for t in rows if ids[t] > at - inclusive]
        rows = rows[-min(cap, ask.rows) :] if backward else rows[: min(cap, ask.rows)]
        page = page_of(rows)
        return rows, Page(page.count, page.first, page.last, str(ids[page.last])) if rows else page

    return answer


times = st.lists(st.integers(0, 3000), max_size=120, unique=True).map(
    lambda hours: [ORIGIN + h * HOUR for h in sorted(hours)]
)


@given(
    truth=times,
    start=st.integers(-500, 3000),
    length=st.integers(1, 3500),
    cap=st.integers(2, 40),
    inclusive=st.booleans(),
    heeds_times=st.booleans(),
)
def test_a_walk_by_cursor_brings_every_row(
    truth: list[int], start: int, length: int, cap: int, inclusive: bool, heeds_times: bool
) -> None:
    """Whether ``from`` is inclusive, whether pages are shorter than asked for: every row comes and all is answered.

    An endpoint that ignores its times is either walked through, or the walk says that it is stuck; it never lies.
    """
    window = Window(ORIGIN + start * HOUR, ORIGIN + (start + length) * HOUR)
    walk = CursorWalk(window, 100, 48 * HOUR, least=1)
    answer = by_cursor(truth, cap, inclusive=inclusive, heeds_times=heeds_times)
    try:
        asks, heard = drive(walk, answer)
    except WalkStuck:
        assert not heeds_times
        assert not inside(truth, window) or truth[0] >= window.start
        return
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= len(truth) / max(1, cap - inclusive) + 6


@given(truth=times, cap=st.integers(2, 40), inclusive=st.booleans(), heeds_cursor=st.booleans())
def test_an_endpoint_that_is_newest_first_after_all_loses_nothing(
    truth: list[int], cap: int, inclusive: bool, heeds_cursor: bool
) -> None:
    """``direct=next`` ignored: the walk finds out and goes on by time, about one request a page."""
    window = Window(ORIGIN, ORIGIN + 3001 * HOUR)
    walk = CursorWalk(window, 100, 48 * HOUR, least=1)
    asks, heard = drive(
        walk, by_cursor(truth, cap, inclusive=inclusive, heeds_cursor=heeds_cursor, backward=True)
    )
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= len(truth) / cap + 6


@given(truth=times, cap=st.integers(2, 40))
def test_an_ignored_cursor_is_replaced_by_time(truth: list[int], cap: int) -> None:
    """Where the cursor changes nothing the walk asks for what comes after the page, by time."""
    window = Window(ORIGIN, ORIGIN + 3001 * HOUR)
    walk = CursorWalk(window, 100, 48 * HOUR, least=1)
    asks, heard = drive(walk, by_cursor(truth, cap, heeds_cursor=False))
    assert_covers(walk, window, truth, heard)
    assert len(asks) <= 4 * len(truth) / cap + 6


def test_neither_cursor_nor_time_is_a_stuck_walk() -> None:
    """An endpoint that always sends its first page is said to be stuck, and only that page is answered."""
    truth = [ORIGIN + h * HOUR for h in range(300)]
    walk = CursorWalk(Window(ORIGIN, ORIGIN + 300 * HOUR), 100, 48 * HOUR)
    with pytest.raises(WalkStuck, match="neither cursor nor time"):
        drive(walk, by_cursor(truth, 100, heeds_cursor=False, heeds_times=False))
    assert merge(walk.answered) == [Window(ORIGIN, truth[99])]


def test_a_cursor_that_leads_back_is_not_followed() -> None:
    """After a page older than its predecessor the walk goes on by time: what lies before, then what lies after."""
    walk = CursorWalk(Window(0, 100 * HOUR), 100, 48 * HOUR)
    steps = walk.steps()
    next(steps)
    assert steps.send(Page(3, 10 * HOUR, 30 * HOUR, "3")).cursor == "3"
    assert steps.send(Page(3, 0, 20 * HOUR, "2")) == Ask(Window(0, 10 * HOUR), 100)
    assert steps.send(Page(0)) == Ask(Window(30 * HOUR + 1, 100 * HOUR), 100)
    with pytest.raises(StopIteration):
        steps.send(Page(0))
    assert merge(walk.answered) == [Window(0, 100 * HOUR)]


def test_rows_of_one_instant_may_fill_several_pages() -> None:
    """A page that ends at the instant at which it began is progress where its cursor is new."""
    walk = CursorWalk(Window(0, 100 * HOUR), 100, 48 * HOUR)
    steps = walk.steps()
    next(steps)
    assert [steps.send(Page(2, HOUR, HOUR, str(n))).cursor for n in range(3)] == ["0", "1", "2"]
    with pytest.raises(StopIteration):
        steps.send(Page(1, HOUR, HOUR, "2"))
    assert merge(walk.answered) == [Window(0, 100 * HOUR)]


def test_the_usual_funding_walk_costs_its_pages_and_one() -> None:
    """A year of fundings at 8 hours is eleven pages and the one that brings nothing new; six days
    of them are two requests."""
    truth = [ORIGIN + h * HOUR for h in range(0, 365 * 24, 8)]
    walk = CursorWalk(Window(ORIGIN, ORIGIN + 365 * DAY), 100, 48 * HOUR)
    asks, heard = drive(walk, by_cursor(truth, 100, inclusive=False))
    assert heard == set(truth)
    assert len(asks) == 12
    days = CursorWalk(Window(ORIGIN + DAY + 1, ORIGIN + 7 * DAY), 100, 48 * HOUR)
    assert len(drive(days, by_cursor(truth, 100))[0]) == 2


# ------------------------------------------------------------------------------------------------ by span

moments = st.lists(st.integers(0, 40 * 3600), max_size=120, unique=True).map(
    lambda seconds: [ORIGIN + s * 1_000_000 for s in sorted(seconds)]
)


@given(
    truth=moments,
    start=st.integers(-5 * 60, 42 * 60),
    length=st.integers(1, 48 * 60),
    span=st.sampled_from([HOUR, 2 * HOUR, 7 * HOUR]),
    cap=st.integers(2, 40),
    inclusive=st.booleans(),
    backward=st.booleans(),
    heeds_cursor=st.booleans(),
)
def test_a_walk_by_span_brings_every_row(
    truth: list[int],
    start: int,
    length: int,
    span: int,
    cap: int,
    inclusive: bool,
    backward: bool,
    heeds_cursor: bool,
) -> None:
    """No window is wider than the span, and still every row of the whole window comes and all of it is answered,
    whichever way the endpoint walks, whether ``from`` is inclusive and whether it is heeded."""
    window = Window(ORIGIN + start * MINUTE, ORIGIN + (start + length) * MINUTE)
    walk = SpanWalk(window, 100, span, least=1)
    answer = by_cursor(truth, cap, inclusive=inclusive, backward=backward, heeds_cursor=heeds_cursor)
    asks, heard = drive(walk, answer)
    assert_covers(walk, window, truth, heard)
    assert all(window.start <= a.window.start < a.window.end <= window.end for a in asks)
    assert all(a.window.length <= span for a in asks)
    spans = math.ceil(window.length / span)
    assert len(asks) <= 5 * spans + 5 * len(inside(truth, window)) / max(1, cap - inclusive)


@given(truth=moments, data=st.data())
def test_a_walk_by_span_that_ends_early_claims_only_what_it_heard(
    truth: list[int], data: st.DataObject
) -> None:
    """Stopped after any page, everything that it calls answered has come."""
    window = Window(ORIGIN, ORIGIN + 40 * HOUR)
    walk = SpanWalk(window, 100, 2 * HOUR, least=1)
    answer = by_cursor(truth, 7)
    steps, heard = walk.steps(), set()
    ask = next(steps)
    for _ in range(data.draw(st.integers(0, 60))):
        rows, page = answer(ask)
        heard.update(rows)
        try:
            ask = steps.send(page)
        except StopIteration:
            break
    steps.close()
    assert {t for t in truth if any(w.start <= t < w.end for w in walk.answered)} <= heard


def test_spans_are_asked_for_in_turn_and_followed_by_their_cursors() -> None:
    """A full first page is followed, an empty span in between costs one request once a span of that width has brought
    rows, and the last span is as short as what is left."""
    walk = SpanWalk(Window(0, 5 * HOUR), 100, 2 * HOUR)
    steps = walk.steps()
    first = Window(0, 2 * HOUR)
    assert next(steps) == Ask(first, 100)
    assert steps.send(Page(3, HOUR, HOUR + 9, "3")) == Ask(first, 100, cursor="3")
    assert steps.send(Page(0)) == Ask(Window(2 * HOUR, 4 * HOUR), 100)
    assert merge(walk.answered) == [first]
    assert steps.send(Page(0)) == Ask(Window(4 * HOUR, 5 * HOUR), 100)
    assert merge(walk.answered) == [Window(0, 4 * HOUR)]
    with pytest.raises(StopIteration):
        steps.send(Page(0))
    assert merge(walk.answered) == [Window(0, 5 * HOUR)]


def test_an_empty_span_is_not_believed_before_one_of_its_width_brought_rows() -> None:
    """Empty may mean "too wide": the halves are asked for, and a row in one of them proves no more than its width."""
    walk = SpanWalk(Window(0, 4 * HOUR), 100, 2 * HOUR)
    steps = walk.steps()
    assert next(steps).window == Window(0, 2 * HOUR)
    assert steps.send(Page(0)).window == Window(0, HOUR)
    assert walk.answered == []
    assert steps.send(Page(0)).window == Window(HOUR, 2 * HOUR)
    assert steps.send(Page(1, HOUR + 5, HOUR + 5, "1")) == Ask(Window(HOUR, 2 * HOUR), 100, cursor="1")
    assert steps.send(Page(0)).window == Window(2 * HOUR, 4 * HOUR)
    assert steps.send(Page(0)).window == Window(2 * HOUR, 3 * HOUR)
    steps.close()
    assert walk.proven == HOUR
    assert merge(walk.answered) == [Window(0, 2 * HOUR)]


def test_a_month_without_a_row_costs_three_requests_a_span_and_one_of_rows_a_third() -> None:
    """Thirty days of two hours: 360 spans; what is proven once holds for the rest."""
    window = Window(ORIGIN, ORIGIN + 30 * DAY)
    assert len(drive(SpanWalk(window, 100, 2 * HOUR), by_cursor([], 100))[0]) == 3 * 360
    early = [ORIGIN + HOUR]
    assert len(drive(SpanWalk(window, 100, 2 * HOUR), by_cursor(early, 100, inclusive=False))[0]) == 361


@pytest.mark.parametrize("size", [1, 5, 100])
def test_rows_of_another_time_are_not_believed(size: int) -> None:
    """An endpoint that ignores its times sends the newest rows for every span: the walk says so and claims nothing."""
    truth = [ORIGIN + s * MINUTE for s in range(2000, 2000 + size)]
    walk = SpanWalk(Window(ORIGIN, ORIGIN + DAY), 100, 2 * HOUR)
    with pytest.raises(WalkStuck, match="no row lies in the window"):
        drive(walk, by_cursor(truth, 100, heeds_times=False))
    assert walk.answered == []


# ------------------------------------------------------------------------------------------------ by page


class Pages:
    """Rows counted back from the newest; rows land and vanish between two requests as ``events`` say."""

    def __init__(
        self,
        truth: list[int],
        cap: int,
        events: Sequence[int] = (),
        *,
        total: bool = True,
        by_asked: bool = False,
    ):
        self.truth, self.cap, self.events, self.total, self.by_asked = (
            list(truth),
            cap,
            list(events),
            total,
            by_asked,
        )

    def __call__(self, ask: Ask) -> tuple[list[int], Page]:
        size = min(self.cap, ask.rows)
        step = ask.rows if self.by_asked else size
        rows = self.truth[::-1][(ask.number - 1) * step :][:size]
        final = self.total and ask.number * size >= len(self.truth)
        page = page_of(rows)
        answer = (
            rows,
            Page(page.count, page.first, page.last, None, len(self.truth) if self.total else None, final),
        )
        event = self.events.pop(0) if self.events else 0
        for _ in range(event):
            self.truth.append(self.truth[-1] + HOUR)
        if event < 0 and len(self.truth) > 1:
            del self.truth[event % len(self.truth)]
        return answer


hours = st.integers(1, 200).map(lambda n: [ORIGIN + h * HOUR for h in range(n)])


@given(
    truth=hours,
    cap=st.integers(1, 40),
    start=st.integers(-50, 250),
    length=st.integers(1, 250),
    events=st.lists(st.one_of(st.just(0), st.integers(1, 30), st.integers(-200, -1)), max_size=30),
    total=st.booleans(),
)
def test_a_walk_by_page_brings_every_row(
    truth: list[int], cap: int, start: int, length: int, events: list[int], total: bool
) -> None:
    """Rows may land and vanish during the crawl, pages be cut in silence: no row is lost.

    A walk may give up in a crawl that changes on every page (pages of one row, or a venue that does not say its total);
    then it says so.
    """
    if not total:
        events = [max(0, event) for event in events]  # without a total nobody can tell that rows vanished
    server = Pages(truth, cap, events, total=total)
    window = Window(ORIGIN + start * HOUR, ORIGIN + (start + length) * HOUR)
    walk = PageWalk(window, 100)
    heard: set[int] = set()

    def answer(ask: Ask) -> tuple[list[int], Page]:
        rows, page = server(ask)
        heard.update(rows)
        return rows, page

    try:
        asks, _ = drive(walk, answer)
    except WalkStuck:
        assert any(events)
        assert cap == 1 or not total
        return
    lasting = [t for t in truth if t in server.truth]
    assert_covers(walk, window, lasting, heard)
    assert len(asks) <= 2 * len(server.truth) / cap + 2 * len(events) + 4


def test_rows_that_vanish_take_no_other_with_them() -> None:
    """When newer rows vanish between two pages, what slid back onto the page before is fetched from there."""
    truth = [ORIGIN + h * HOUR for h in range(250)]
    server = Pages(truth, 100, [-1])
    walk = PageWalk(Window(ORIGIN, ORIGIN + 250 * HOUR), 100)
    asks, heard = drive(walk, server)
    assert set(server.truth) == set(truth[:-1]) <= heard
    assert [ask.number for ask in asks] == [1, 2, 1, 2, 3]


def test_pages_counted_by_the_size_asked_for_are_not_skipped() -> None:
    """A venue that sends 50 rows but counts its pages by 100 would lose every other fifty: the
    size is lowered first."""
    truth = [ORIGIN + h * HOUR for h in range(330)]
    walk = PageWalk(Window(ORIGIN, ORIGIN + 330 * HOUR), 100)
    asks, heard = drive(walk, Pages(truth, 50, by_asked=True))
    assert heard == set(truth)
    assert [(ask.number, ask.rows) for ask in asks] == [(1, 100), *((n, 50) for n in range(1, 8))]


def test_an_ignored_page_number_is_a_stuck_walk() -> None:
    """The first page again and again: the walk says so and claims only that page."""
    truth = [ORIGIN + h * HOUR for h in range(300)]
    walk = PageWalk(Window(ORIGIN, ORIGIN + 300 * HOUR), 100)
    first = Page(100, truth[200], truth[299], None, 300, False)
    with pytest.raises(WalkStuck, match="no older"):
        drive(walk, lambda ask: (truth[200:], first))
    assert walk.answered == [Window(truth[200], ORIGIN + 300 * HOUR)]


@pytest.mark.parametrize("hole", [Page(0, total=300), Page(20, ORIGIN, ORIGIN + 19 * HOUR, None, 300, True)])
def test_fewer_rows_than_the_venue_says_there_are_is_not_an_end(hole: Page) -> None:
    """An empty page, or a last one that came too early, does not make the rest of the window empty."""
    truth = [ORIGIN + h * HOUR for h in range(300)]
    walk = PageWalk(Window(ORIGIN, ORIGIN + 300 * HOUR), 100)
    pages = {1: Page(100, truth[200], truth[299], None, 300), 2: hole}
    with pytest.raises(WalkStuck, match="the venue says that there are 300"):
        drive(walk, lambda ask: ([], pages[ask.number]))


def test_pages_stop_where_the_window_begins() -> None:
    """What is older than the window is not asked for."""
    truth = [ORIGIN + h * HOUR for h in range(1000)]
    walk = PageWalk(Window(ORIGIN + 850 * HOUR, ORIGIN + 900 * HOUR), 100)
    asks, heard = drive(walk, Pages(truth, 100))
    assert [ask.number for ask in asks] == [1, 2]
    assert set(truth[850:900]) <= heard


@pytest.mark.parametrize("gap", [0, 5000])
def test_pages_newer_than_the_window_are_skipped(gap: int) -> None:
    """A few days of long ago cost a few pages, however many lie above them, and however unevenly rows lie in time."""
    hours = [*range(3000), *range(3000 + gap, 10_000 + gap)]
    truth = [ORIGIN + h * HOUR for h in hours]
    walk = PageWalk(Window(ORIGIN + 2000 * HOUR, ORIGIN + 2150 * HOUR), 50)
    asks, heard = drive(walk, Pages(truth, 50))
    assert set(truth[2000:2150]) <= heard
    assert walk.answered == [walk.window]
    assert len(asks) < (7 if not gap else 20)
    assert asks[0].number == 1


# ------------------------------------------------------------------------------------------------- newest


@given(count=st.integers(0, 30), start=st.integers(-20, 60), length=st.integers(1, 60))
def test_the_newest_rows_answer_what_they_reach(count: int, start: int, length: int) -> None:
    """A full page answers from its first row on; a page that is not full was all there is."""
    truth = [ORIGIN + s * MINUTE for s in range(count)]
    window = Window(ORIGIN + start * MINUTE, ORIGIN + (start + length) * MINUTE)
    walk = LatestWalk(window, 20)
    asks, heard = drive(walk, with_page(lambda ask: truth[-ask.rows :]))
    reached = window if count < 20 else window.intersect(Window(ORIGIN + (count - 20) * MINUTE, window.end))
    assert merge(walk.answered) == merge([reached])
    assert not [
        t for t in inside(truth, window) if t not in heard and not subtract([Window(t, t + 1)], walk.answered)
    ]
    assert [(ask.window, ask.rows) for ask in asks] == [(window, 20)]


@given(count=st.integers(1, 30), reach=st.integers(-5, 40), length=st.integers(1, 60))
def test_newest_rows_answer_no_further_than_they_say(count: int, reach: int, length: int) -> None:
    """What the page is not complete for (``until``) is not answered, full page or not."""
    truth = [ORIGIN + s * MINUTE for s in range(count)]
    window = Window(ORIGIN, ORIGIN + length * MINUTE)
    until = ORIGIN + reach * MINUTE
    walk = LatestWalk(window, 20)
    drive(walk, lambda ask: (truth[-20:], Page(len(truth[-20:]), truth[-20:][0], truth[-1], until=until)))
    start = window.start if count < 20 else truth[-20]
    assert merge(walk.answered) == merge([Window(start, min(window.end, until))])


# --------------------------------------------------------------------------------------------------- tail

trades = st.lists(st.integers(0, 400), max_size=150).map(lambda ms: [ORIGIN + m * 1000 for m in sorted(ms)])


@given(
    before=trades,
    after=st.lists(st.integers(0, 50), max_size=30),
    cap=st.integers(1, 40),
    start=st.integers(-50, 450),
    length=st.integers(1, 500),
    ahead=st.integers(0, 60),
    says=st.booleans(),
)
def test_a_tail_answers_exactly_what_it_proves(
    before: list[int], after: list[int], cap: int, start: int, length: int, ahead: int, says: bool
) -> None:
    """However the page cuts the trades, and whatever trades follow it: none of what is answered is missing from the
    page. All after the instant of its oldest trade is answered, up to where the venue says that it had looked; where it
    does not say, up to the end of the window, which was over by then."""
    page_rows = before[-cap:]
    made = (before[-1] if before else ORIGIN) + ahead * 1000
    end = ORIGIN + (start + length) * 1000
    window = Window(ORIGIN + start * 1000, end if says else min(end, made))
    assume(window)
    # What is matched in the very instant of the answer may not be in it.
    later = [made + m * 1000 for m in after]
    walk = TailWalk(window, 2000)
    page = (
        Page(len(page_rows), page_rows[0], page_rows[-1], until=made if says else None)
        if page_rows
        else Page(0)
    )
    asks, _ = drive(walk, lambda ask: (page_rows, page))
    assert asks == [Ask(window, 2000)]
    cut = len(before) - len(page_rows)
    unheard = (
        before[:cut] + later
    )  # trades, not instants: one of an instant may be on the page and another not
    assert not [t for t in unheard if any(w.start <= t < w.end for w in walk.answered)]
    expected = Window(page_rows[0] + 1, made).intersect(window) if page_rows else Window(0, 0)
    assert merge(walk.answered) == merge([expected])


def test_an_empty_tail_proves_nothing() -> None:
    """How far back the venue remembers trades is not known: no trades, no claim, whatever its clock says."""
    for page in (Page(0), Page(0, until=ORIGIN + DAY)):
        walk = TailWalk(Window(ORIGIN, ORIGIN + DAY), 2000)
        drive(walk, lambda ask, page=page: ([], page))
        assert walk.answered == []


def test_a_short_tail_says_nothing_of_what_was_before_it() -> None:
    """Three trades of 2,000 that were asked for: only the stretch after the first of them is answered."""
    window = Window(ORIGIN, ORIGIN + DAY)
    walk = TailWalk(window, 2000)
    drive(walk, lambda ask: ([], Page(3, ORIGIN + HOUR, ORIGIN + 2 * HOUR, until=ORIGIN + 3 * HOUR)))
    assert walk.answered == [Window(ORIGIN + HOUR + 1, ORIGIN + 3 * HOUR)]


def test_trades_of_one_instant_prove_nothing_of_it() -> None:
    """A page of one millisecond may have left out others of it, before and, where it was made in it, after."""
    walk = TailWalk(Window(ORIGIN, ORIGIN + DAY), 2000)
    drive(walk, lambda ask: ([], Page(2000, ORIGIN + HOUR, ORIGIN + HOUR, until=ORIGIN + HOUR)))
    assert (walk.answered, walk.cut) == ([], Window(ORIGIN, ORIGIN + HOUR + 1))
    walk = TailWalk(Window(ORIGIN, ORIGIN + DAY), 2000)
    drive(walk, lambda ask: ([], Page(2000, ORIGIN + HOUR, ORIGIN + HOUR)))
    assert walk.answered == [Window(ORIGIN + HOUR + 1, ORIGIN + DAY)]


@pytest.mark.parametrize(("kind", "more"), [(TailWalk, 1), (LatestWalk, 0)])
def test_only_a_page_of_as_many_rows_as_were_asked_for_is_cut(kind: type[TailWalk | LatestWalk], more: int) -> None:
    """Fewer rows may be all there are; of more rows than were asked for nobody knows what they were cut to."""
    window, first = Window(ORIGIN, ORIGIN + DAY), ORIGIN + HOUR
    for count, cut in ((24, None), (25, Window(ORIGIN, first + more)), (26, None)):
        walk = kind(window, 25)
        drive(walk, lambda ask, count=count: ([], Page(count, first, first + HOUR)))
        assert walk.cut == cut
    walk = kind(Window(first + 2 * HOUR, first + 3 * HOUR), 25)
    drive(walk, lambda ask: ([], Page(25, first, first + HOUR)))
    assert (walk.cut, walk.answered) == (None, [walk.window]), "the window begins after the page's oldest row"


def test_a_clock_behind_its_own_trades_takes_nothing_back() -> None:
    """Where the answer's time is earlier than its newest trade, the trades say how far it speaks."""
    walk = TailWalk(Window(ORIGIN, ORIGIN + DAY), 2000)
    drive(walk, lambda ask: ([], Page(5, ORIGIN, ORIGIN + HOUR, until=ORIGIN + MINUTE)))
    assert walk.answered == [Window(ORIGIN + 1, ORIGIN + HOUR)]


@given(truth=trades, polls=st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_polls_of_a_tail_join_where_pages_overlap(truth: list[int], polls: list[int]) -> None:
    """The newest trades, asked for again and again: every trade in what is answered altogether came."""
    numbers = dict(enumerate(truth))
    answered: list[Window] = []
    kept: set[int] = set()
    now = ORIGIN
    for wait in polls:
        now += wait * 1000
        rows = [n for n, t in numbers.items() if t < now][-25:]
        walk = TailWalk(Window(ORIGIN, now), 25)
        page = Page(len(rows), numbers[rows[0]], numbers[rows[-1]], until=now) if rows else Page(0)
        drive(walk, lambda ask, page=page: ([], page))
        answered += walk.answered
        kept |= {n for n in rows if any(w.start <= numbers[n] < w.end for w in walk.answered)}
    assert kept == {n for n, t in numbers.items() if any(w.start <= t < w.end for w in merge(answered))}


def test_repeated_rows_prove_no_wider_window() -> None:
    """A page with rows twice holds more rows than its window has slots; no wider window is asked for or believed."""
    grid = Grid(MINUTE)
    walk = TimeWalk(Window(0, 12_000 * MINUTE), grid, 2000)
    steps = walk.steps()
    ask, empties = next(steps), 1
    while True:
        assert grid.count(ask.window) <= 2000
        last = ask.window.end - MINUTE
        silent = ask.window.start >= 6000 * MINUTE and empties
        empties -= bool(silent)
        page = Page(0) if silent else Page(2 * grid.count(ask.window), ask.window.start, last)
        try:
            ask = steps.send(page)
        except StopIteration:
            break
    assert walk.proven == 2000
