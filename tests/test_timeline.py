"""Windows, calendars and grids."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import UsageError
from htxdata.timeline import (
    DAY,
    GRAINS,
    HOUR,
    MINUTE,
    SECOND,
    Grid,
    Window,
    cells,
    from_datetime,
    intersect,
    iso,
    label_of,
    merge,
    parse_duration,
    parse_instant,
    subtract,
    to_datetime,
    window_of,
)

windows = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: Window(*pair)), max_size=8
)
instants = st.integers(
    from_datetime(dt.datetime(1971, 1, 1, tzinfo=dt.UTC)),
    from_datetime(dt.datetime(2199, 1, 1, tzinfo=dt.UTC)),
)
grids = st.one_of(
    st.builds(
        Grid,
        st.sampled_from([MINUTE, HOUR, 4 * HOUR, DAY, 7 * DAY]),
        st.sampled_from([0, -8 * HOUR, 4 * DAY - 8 * HOUR]),
    ),
    st.builds(Grid, st.just(0), st.sampled_from([0, -8 * HOUR])),
)


def points(several: list[Window]) -> set[int]:
    return {at for window in several for at in range(window.start, window.end)}


@given(windows, windows)
def test_windows_are_sets_of_instants(some: list[Window], others: list[Window]) -> None:
    """Merging, cutting away and intersecting do what they do to sets; the result is sorted, apart and never empty."""
    for result, expected in (
        (merge(some), points(some)),
        (subtract(some, others), points(some) - points(others)),
        (intersect(some, others), points(some) & points(others)),
    ):
        assert points(result) == expected
        assert all(result)
        assert all(a.end < b.start for a, b in pairwise(merge(result)))
        assert all(a.end <= b.start for a, b in pairwise(result))


def test_cutting_thousands_from_thousands_is_quick() -> None:
    """10,000 windows less 10,000 holes is one sweep, not their product (which would take minutes)."""
    some = [Window(n * 10, n * 10 + 6) for n in range(10_000)]
    holes = [Window(n * 10 + 3, n * 10 + 8) for n in range(10_000)]
    assert subtract(some, holes) == [Window(n * 10, n * 10 + 3) for n in range(10_000)]
    assert intersect(some, holes) == [Window(n * 10 + 3, n * 10 + 6) for n in range(10_000)]


def test_an_empty_window_is_false() -> None:
    """Reversed and zero windows hold nothing."""
    assert not Window(5, 5)
    assert not Window(6, 5)
    assert Window(6, 5).length == 0
    assert str(Window(0, SECOND)) == "[1970-01-01T00:00:00Z, 1970-01-01T00:00:01Z)"


@given(instants)
def test_instants_survive_as_text(instant: int) -> None:
    """ISO 8601 in as few characters as carry it, and back."""
    assert parse_instant(iso(instant)) == instant == from_datetime(to_datetime(instant))


@pytest.mark.parametrize(
    ("text", "iso_text"),
    [
        ("2024", "2024-01-01T00:00:00Z"),
        ("2024-02", "2024-02-01T00:00:00Z"),
        ("2024-01-05", "2024-01-05T00:00:00Z"),
        (" 2024-01-05T08:00 ", "2024-01-05T08:00:00Z"),
        ("2024-01-05T08:00:00+08:00", "2024-01-05T00:00:00Z"),
        ("2024-01-05 08:00:00.25Z", "2024-01-05T08:00:00.250Z"),
        ("2024-01-05T00:00:00.000001", "2024-01-05T00:00:00.000001Z"),
    ],
)
def test_times_as_people_write_them(text: str, iso_text: str) -> None:
    """A bare date is midnight UTC, a month or a year its first day, no zone means UTC."""
    assert iso(parse_instant(text)) == iso_text


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2024-13", "2024-02-30", "0000", "1704067200", "2024-01-05T25:00", "2024-1-5"]
)
def test_what_is_no_time_is_said(text: str) -> None:
    """The message holds what was written and an example of what may be."""
    with pytest.raises(UsageError, match="is not a time: write ISO 8601, such as 2024-01-05"):
        parse_instant(text)


def test_an_instant_beyond_the_calendar_still_prints() -> None:
    """Messages about absurd instants are messages, not crashes."""
    assert iso(10**30) == f"{10**30}us"


@given(st.sampled_from(GRAINS), instants)
def test_a_label_names_the_cell_that_holds_the_instant(grain: str, instant: int) -> None:
    """And its first and last instant have the same label, the next instant another."""
    label = label_of(grain, instant)
    cell = window_of(grain, label)
    assert cell.start <= instant < cell.end
    assert label_of(grain, cell.start) == label_of(grain, cell.end - 1) == label
    assert label_of(grain, cell.end) > label


def test_labels_of_all_years_have_four_digits() -> None:
    """So that they sort and parse."""
    early = from_datetime(dt.datetime(5, 3, 2, tzinfo=dt.UTC))
    assert [label_of(grain, early) for grain in GRAINS] == ["0005-03-02", "0005-03", "0005"]


@pytest.mark.parametrize(
    ("grain", "label"),
    [("day", "2024-01"), ("month", "2024"), ("year", "2024-01"), ("day", "2024-02-30"), ("year", "x")],
)
def test_a_label_of_another_grain_is_refused(grain: str, label: str) -> None:
    """A month is no day."""
    with pytest.raises(ValueError):
        window_of(grain, label)


@given(st.sampled_from(GRAINS), instants, st.integers(1, 900))
def test_cells_tile_a_window(grain: str, start: int, days: int) -> None:
    """They touch, and the first and last hold its ends."""
    window = Window(start, start + days * DAY)
    spans = [cell for _, cell in cells(grain, window)]
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert spans[0].start <= window.start < spans[0].end
    assert spans[-1].start < window.end <= spans[-1].end
    assert list(cells(grain, Window(start, start))) == []


@given(grids, instants, st.integers(0, 400))
def test_a_grid_is_consistent(grid: Grid, instant: int, slots: int) -> None:
    """Floor and ceil enclose an instant, next follows floor, and counting agrees with listing."""
    floor = grid.floor(instant)
    assert floor <= instant < grid.next(floor)
    assert grid.floor(floor) == grid.ceil(floor) == floor
    assert grid.ceil(instant) in (floor, grid.next(floor))
    assert grid.ceil(instant) >= instant
    after = grid.advance(floor, slots)
    window = Window(floor, after)
    assert grid.count(window) == len(grid.openings(window)) == slots
    assert all(grid.next(a) == b for a, b in pairwise(grid.openings(window)))
    odd = Window(instant, instant + 3 * DAY + 1)
    assert grid.openings(odd) == grid.openings(grid.snap(odd))
    assert grid.count(odd) == grid.count(grid.snap(odd))


def test_an_empty_window_has_no_openings() -> None:
    """Not even where its start is one."""
    for grid in (Grid(MINUTE), Grid(0, -8 * HOUR)):
        start = grid.floor(10**15)
        assert grid.openings(Window(start, start)) == []
        assert grid.count(Window(start, start)) == grid.count(Window(start, start - DAY)) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("0.5s", 0.5), ("10m", 600), ("10min", 600), ("1h30m", 5400), ("2d", 172_800), (" 1H 1S ", 3601)],
)
def test_a_span_of_time_is_written_as_people_do(text: str, seconds: float) -> None:
    """Days, hours, minutes, seconds, in that order."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "0s", "-5s", "5x", "30s1h", "1e3s", "9" * 40 + "d"])
def test_what_is_no_span_of_time_is_said(text: str) -> None:
    """The value is named, and how it is written."""
    with pytest.raises(UsageError, match="is not a span of time: write 30s"):
        parse_duration(text)
