"""From what is stored and what time it is to what must be asked: laws 4 to 6, without a store and without a venue."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.plan import SeriesPlan, estimate, final_window, grid_for, leftover, plan_series, to_ask
from htxdata.market import PERIODS, Listing, Series
from htxdata.schema import dataset
from htxdata.store.footer import Span
from htxdata.timeline import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Window,
    intersect,
    label_of,
    merge,
    parse_instant,
    subtract,
    window_of,
)
from htxdata.venues import venue

SPOT, LINEAR = venue("htx-spot"), venue("htx-linear")
NOW = parse_instant("2024-02-10T12:34:56.789Z")
T0 = parse_instant("2023-12-28")
COMPLETE = ("present", "empty", "unobtainable")


def candles(period: str, symbol: str = "btcusdt") -> Series:
    return Series("klines", "htx-spot", symbol, period)


def asked(plan: SeriesPlan) -> list[Window]:
    return [window for job in plan.jobs for window in job.windows]


def explained(plan: SeriesPlan) -> list[Window]:
    return [window for job in plan.jobs for known in job.known for window in known.windows]


@st.composite
def stored(draw: st.DrawFn) -> tuple[Series, Window, list[Span]]:
    """A series, a window that was asked for, and spans as footers keep them: on the grid, in order, apart."""
    period = draw(st.sampled_from(list(PERIODS)))
    series = candles(period)
    grid = grid_for(series, SPOT)
    assert grid is not None
    start = T0 + draw(st.integers(-400, 40 * 24)) * HOUR + draw(st.sampled_from([0, 1, 30 * SECOND]))
    window = Window(start, start + draw(st.integers(1, 60 * 24)) * HOUR + draw(st.sampled_from([0, 1])))
    at, spans = grid.floor(window.start), []
    for gap, length, verdict, late in draw(
        st.lists(
            st.tuples(
                st.integers(0, 200),
                st.integers(1, 200),
                st.sampled_from([*COMPLETE, "outage"]),
                st.booleans(),
            ),
            max_size=6,
        )
    ):
        first = grid.ceil(at + gap * MINUTE * 30)
        last = grid.ceil(first + length * MINUTE * 30)
        recheck = dataset("klines").recheck(period)
        spans.append(Span(first, last, verdict, "rest", last + recheck + (0 if late else -1), 0))
        at = last
    return series, window, spans


@given(stored())
def test_what_is_asked_is_exactly_what_is_not_known(case: tuple[Series, Window, list[Span]]) -> None:
    """Never a confirmed span, never a slot that is not final, and everything else: missing,
    outage, not yet confirmed."""
    series, window, spans = case
    grid = grid_for(series, SPOT)
    assert grid is not None
    plan = plan_series(series, SPOT, window, spans, NOW)
    recheck = dataset("klines").recheck(series.period)
    confirmed = [
        Window(s.start, s.end)
        for s in spans
        if s.verdict == "unobtainable"
        or (s.verdict in ("present", "empty") and s.fetched_at >= s.end + recheck)
    ]
    final = [Window(t, grid.next(t)) for t in grid.openings(window) if grid.next(t) + MINUTE <= NOW]
    assert merge(asked(plan)) == subtract(final, confirmed)
    assert not explained(plan)


@given(stored())
def test_jobs_tile_what_is_wanted(case: tuple[Series, Window, list[Span]]) -> None:
    """One job per partition, oldest first; no instant in two jobs; each slot in the partition that
    its opening names."""
    series, window, spans = case
    grid = grid_for(series, SPOT)
    assert grid is not None
    plan = plan_series(series, SPOT, window, spans, NOW, born=T0 + 20 * DAY)
    assert all(a.label < b.label for a, b in pairwise(plan.jobs))
    parts = [*asked(plan), *explained(plan)]
    assert sum(part.length for part in parts) == sum(part.length for part in merge(parts))
    grain = dataset("klines").grain(series.period)
    for job in plan.jobs:
        assert job.windows or job.known
        for part in (*job.windows, *(w for known in job.known for w in known.windows)):
            assert grid.snap(part) == part
            assert {label_of(grain, t) for t in grid.openings(part)} == {job.label}
        assert (job.requests, job.rows) == estimate(
            job.windows, SPOT.endpoints_for("klines", series.period)[0], grid
        )
    assert plan.rows == sum(grid.count(part) for part in asked(plan))


@given(stored())
def test_nothing_is_left_once_the_jobs_are_done(case: tuple[Series, Window, list[Span]]) -> None:
    """Filling every job's windows leaves nothing of the final window without a verdict, and nothing to ask later."""
    series, window, spans = case
    plan = plan_series(series, SPOT, window, spans, NOW)
    later = NOW + 10 * DAY
    done = [Span(w.start, w.end, "present", "rest", later, 1) for w in asked(plan)]
    assert leftover(plan.window, [*spans, *done]) == []
    assert to_ask(series, plan.window, [*spans, *done]) == []
    assert plan_series(series, SPOT, plan.window, [*spans, *done], later).jobs == ()


@pytest.mark.parametrize("verdict", ["present", "empty"])
def test_the_tail_is_read_again_until_it_was_fetched_late_enough(verdict: str) -> None:
    """A minute's span that was fetched within its recheck time is asked for once more; the settled part is not."""
    series = candles("1min")
    recheck = dataset("klines").recheck("1min")
    old = Span(T0, T0 + DAY, verdict, "rest", T0 + DAY + recheck, 1440)
    fresh = Span(T0 + DAY, T0 + DAY + HOUR, verdict, "rest", T0 + DAY + HOUR + recheck - 1, 60)
    assert to_ask(series, Window(T0, T0 + DAY + HOUR), [old, fresh]) == [Window(T0 + DAY, T0 + DAY + HOUR)]
    assert leftover(Window(T0, T0 + DAY + HOUR), [old, fresh]) == []


@pytest.mark.parametrize(
    ("period", "now", "last"),
    [
        ("1min", "2024-01-05T10:01:59.999999Z", "2024-01-05T10:00:00Z"),
        ("1min", "2024-01-05T10:02:00Z", "2024-01-05T10:01:00Z"),
        ("60min", "2024-01-05T11:00:59Z", "2024-01-05T10:00:00Z"),
        ("60min", "2024-01-05T11:01:00Z", "2024-01-05T11:00:00Z"),
        ("1day", "2024-01-05T16:00:59Z", "2024-01-04T16:00:00Z"),
        ("1day", "2024-01-05T16:01:00Z", "2024-01-05T16:00:00Z"),
        ("1week", "2024-01-07T16:01:00Z", "2024-01-07T16:00:00Z"),
        ("1mon", "2024-01-31T16:01:00Z", "2024-01-31T16:00:00Z"),
        ("1mon", "2024-01-31T16:00:59Z", "2023-12-31T16:00:00Z"),
    ],
)
def test_a_slot_is_asked_for_a_minute_after_its_close(period: str, now: str, last: str) -> None:
    """Law 6: the running candle and the one that has not settled stay out, on UTC+8 days, weeks and months too."""
    window = final_window(
        candles(period), SPOT, Window(parse_instant("2023-06-01"), parse_instant("2030")), parse_instant(now)
    )
    assert window.end == parse_instant(last)


def test_only_complete_verdicts_leave_nothing_over() -> None:
    """Law 4: present, empty and unobtainable explain a span, also freshly fetched; an outage and a hole do not."""
    verdicts = [*COMPLETE, "outage", *COMPLETE]
    spans = [
        Span(T0 + n * HOUR, T0 + (n + 1) * HOUR, verdict, "rest", T0, 0) for n, verdict in enumerate(verdicts)
    ]
    assert leftover(Window(T0 - HOUR, T0 + 8 * HOUR), spans) == [
        Window(T0 - HOUR, T0),
        Window(T0 + 3 * HOUR, T0 + 4 * HOUR),
        Window(T0 + 7 * HOUR, T0 + 8 * HOUR),
    ]


def test_a_window_that_is_not_over_yet_asks_nothing() -> None:
    """Neither does one that lies ahead, nor one that ends before it begins."""
    for start, end in ((NOW, NOW + DAY), (NOW + DAY, NOW + 2 * DAY), (NOW - MINUTE, NOW), (NOW, NOW - DAY)):
        assert plan_series(candles("1min"), SPOT, Window(start, end), [], NOW).jobs == ()


@pytest.mark.parametrize(
    ("period", "start", "end", "labels"),
    [
        (
            "1day",
            "2023-12-30",
            "2024-01-03",
            {
                "2023": ["2023-12-30T16:00:00Z", "2024-01-01T16:00:00Z"],
                "2024": ["2024-01-01T16:00:00Z", "2024-01-03T16:00:00Z"],
            },
        ),
        (
            "1week",
            "2023-12-20",
            "2024-01-10",
            {
                "2023": ["2023-12-24T16:00:00Z", "2024-01-07T16:00:00Z"],
                "2024": ["2024-01-07T16:00:00Z", "2024-01-14T16:00:00Z"],
            },
        ),
        (
            "1mon",
            "2023-11-01",
            "2024-02-01",
            {
                "2023": ["2023-11-30T16:00:00Z", "2024-01-31T16:00:00Z"],
                "2024": ["2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z"],
            },
        ),
        (
            "1min",
            "2023-12-31T23:58",
            "2024-01-01T00:02",
            {
                "2023-12": ["2023-12-31T23:58:00Z", "2024-01-01T00:00:00Z"],
                "2024-01": ["2024-01-01T00:00:00Z", "2024-01-01T00:02:00Z"],
            },
        ),
        (
            "4hour",
            "2023-12-31T20:00",
            "2024-01-01T04:00",
            {
                "2023": ["2023-12-31T20:00:00Z", "2024-01-01T00:00:00Z"],
                "2024": ["2024-01-01T00:00:00Z", "2024-01-01T04:00:00Z"],
            },
        ),
    ],
)
def test_the_opening_decides_the_partition(
    period: str, start: str, end: str, labels: dict[str, list[str]]
) -> None:
    """A UTC+8 day, week or month that opens on 31 December is December's, though it closes in January."""
    window = Window(parse_instant(start), parse_instant(end))
    plan = plan_series(candles(period), SPOT, window, [], parse_instant("2024-06-01"))
    assert {job.label: list(job.windows) for job in plan.jobs} == {
        label: [Window(parse_instant(first), parse_instant(after))]
        for label, (first, after) in labels.items()
    }


# ------------------------------------------------------------------------------------- known without asking


@pytest.mark.parametrize("period", list(PERIODS))
def test_before_the_first_candle_it_was_empty(period: str) -> None:
    """What lies before the slot that holds the venue's first month is known; that slot itself is asked for."""
    born = parse_instant("2023-02-28T16:00:00Z")  # 1 March, UTC+8: a Wednesday
    series = candles(period)
    grid = grid_for(series, SPOT)
    assert grid is not None
    window = Window(parse_instant("2022-11-01"), parse_instant("2023-07-01"))
    plan = plan_series(series, SPOT, window, [], NOW, born=born)
    cut = grid.floor(born)
    assert cut <= born
    assert merge(explained(plan)) == [Window(grid.ceil(window.start), cut)]
    assert merge(asked(plan)) == [Window(cut, grid.ceil(window.end))]
    assert {known.verdict for job in plan.jobs for known in job.known} == {"empty"}


@pytest.mark.parametrize(
    ("listed", "empty", "gone"),
    [
        (None, None, ("2021-01-01", "2022-02-10T12:35:00Z")),
        (
            "2021-06-01T16:00:00Z",
            ("2021-01-01", "2021-06-01T16:00:00Z"),
            ("2021-06-01T16:00:00Z", "2022-02-10T12:35:00Z"),
        ),
        ("2023-01-01", ("2021-01-01", "2022-02-10T12:35:00Z"), None),
        ("2019-01-01", None, ("2021-01-01", "2022-02-10T12:35:00Z")),
    ],
)
def test_beyond_the_horizon_it_is_unobtainable_but_before_the_listing_empty(
    listed: str | None, empty: tuple[str, str] | None, gone: tuple[str, str] | None
) -> None:
    """HTX serves two years of linear candles; what is older is gone, unless there was nothing yet."""
    window = Window(parse_instant("2021-01-01"), parse_instant("2023-03-01"))
    series = Series("klines", "htx-linear", "BTC-USDT", "1min")
    listing = Listing("BTC-USDT", parse_instant(listed) if listed else None)
    plan = plan_series(series, LINEAR, window, [], NOW, listing)
    said = {
        verdict: merge(
            w for job in plan.jobs for known in job.known if known.verdict == verdict for w in known.windows
        )
        for verdict in ("empty", "unobtainable")
    }
    assert said == {
        "empty": [Window(*map(parse_instant, empty))] if empty else [],
        "unobtainable": [Window(*map(parse_instant, gone))] if gone else [],
    }
    assert merge(asked(plan)) == [Window(parse_instant("2022-02-10T12:35:00Z"), window.end)]
    assert all(known.why for job in plan.jobs for known in job.known)


def test_fundings_follow_no_grid() -> None:
    """Their windows are cut at years and at what has settled, not at slots."""
    series = Series("funding_rates", "htx-linear", "BTC-USDT")
    window = Window(parse_instant("2022-11-05T03:00:01Z"), parse_instant("2025"))
    plan = plan_series(series, LINEAR, window, [], NOW)
    assert [(job.label, job.windows) for job in plan.jobs] == [
        ("2022", (Window(window.start, window_of("year", "2022").end),)),
        ("2023", (window_of("year", "2023"),)),
        ("2024", (Window(window_of("year", "2024").start, NOW - MINUTE),)),
    ]


def test_what_no_endpoint_serves_makes_no_jobs() -> None:
    """A period or dataset that the venue's table lacks is left over, not invented."""
    series = Series("klines", "htx-linear", "BTC-USDT", None)
    assert LINEAR.endpoints_for("klines", "7min") == ()
    funding = Series("funding_rates", "htx-spot", "btcusdt")
    plan = plan_series(funding, SPOT, Window(T0, T0 + DAY), [], NOW)
    assert plan.jobs == ()
    assert leftover(plan.window, []) == [Window(T0, T0 + DAY)]
    assert series.period is None


@given(stored())
def test_a_dropped_verdict_is_asked_for_again(case: tuple[Series, Window, list[Span]]) -> None:
    """Law 5: only missing and outage are asked for; turning a confirmed span into an outage brings it back."""
    series, window, spans = case
    out = [span._replace(verdict="outage") for span in spans]
    plan = plan_series(series, SPOT, window, out, NOW)
    assert merge(asked(plan)) == merge([plan.window])
    assert intersect(asked(plan), [plan.window]) == merge(asked(plan))
