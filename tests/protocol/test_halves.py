"""A walk that believes times alone: whatever rows a venue leaves out of a page, none is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import WalkStuck
from htxdata.protocol.halves import HalfWalk
from htxdata.protocol.paging import Ask, Page
from htxdata.timeline import Window

CUTS: dict[str, Callable[[list[int], int], list[int]]] = {
    "newest": lambda rows, cap: rows[-cap:],
    "oldest": lambda rows, cap: rows[:cap],
    "middle": lambda rows, cap: rows[(len(rows) - cap) // 2 :][:cap] if len(rows) > cap else rows,
}


def drive(walk: HalfWalk, rows: list[int], cap: int, cut: str) -> tuple[list[int], list[Ask]]:
    """What a venue with such rows (us) tells, and what it was asked."""
    heard, asked = set[int](), []
    steps = walk.steps()
    ask = next(steps)
    while True:
        asked.append(ask)
        first, last = -(-ask.window.start // 1000) * 1000, (ask.window.end - 1) // 1000 * 1000
        page = CUTS[cut]([row for row in rows if first <= row <= last], min(cap, ask.rows))
        heard.update(page)
        try:
            ask = steps.send(Page(len(page), min(page), max(page)) if page else Page(0))
        except StopIteration:
            return sorted(heard), asked


@given(
    st.lists(st.integers(0, 40_000), max_size=60, unique=True),
    st.integers(0, 3_000_000), st.integers(1, 37_000_000), st.integers(1, 40_000_000), st.sampled_from(list(CUTS)),
)  # fmt: skip
def test_nothing_is_lost_and_all_is_answered(ms: list[int], start: int, length: int, span: int, cut: str) -> None:
    """Pages cut at five rows, at either side or both, crowded or spread: each row of the window, and its every part."""
    rows, window = sorted(each * 1000 for each in ms), Window(start, start + length)
    span = max(span, length // 50)
    walk = HalfWalk(window, 500, span, sure=5)
    if -(-window.start // 1000) * 1000 >= window.end:
        assert list(walk.steps()) == []
        heard, asked = [], []
    else:
        heard, asked = drive(walk, rows, 5, cut)
    assert heard == [row for row in rows if window.start <= row < window.end]
    assert all(ask.window.length <= span and ask.cursor is None for ask in asked)
    at = window.start
    for part in walk.answered:
        assert part.start == at
        at = part.end
    assert at == window.end


def test_few_rows_cost_one_request_for_each_span() -> None:
    """What is below the smallest page that any venue cuts is believed."""
    walk = HalfWalk(Window(0, 3_000_000), 500, 1_000_000)
    _, asked = drive(walk, [each * 1000 for each in range(0, 3000, 16)], 200, "newest")
    assert [ask.window for ask in asked] == [Window(n * 1_000_000, (n + 1) * 1_000_000) for n in range(3)]


def test_an_instant_with_too_many_rows_is_told() -> None:
    """Two hundred rows of one millisecond may be all or not: nobody can ask for fewer."""
    walk = HalfWalk(Window(0, 2_000_000), 500, 2_000_000)
    steps = walk.steps()
    ask = next(steps)
    while ask.window.length > 1000 or ask.window.start != 700_000:
        full = ask.window.start <= 700_000 < ask.window.end
        ask = steps.send(Page(200, 700_000, 700_000) if full else Page(0))
    with pytest.raises(WalkStuck, match="200 rows of one instant: there may be more"):
        steps.send(Page(200, 700_000, 700_000))
    assert all(part.end <= 700_000 for part in walk.answered)


def test_a_venue_that_does_not_heed_times_is_told() -> None:
    """Rows of another time are no answer."""
    steps = HalfWalk(Window(0, 1_000_000), 500, 1_000_000).steps()
    next(steps)
    with pytest.raises(WalkStuck, match="start and end are not heeded"):
        steps.send(Page(3, 5_000_000, 6_000_000))
