"""Archive, then REST: where the two rungs meet there is neither overlap nor hole. Pure, with tables made up here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.plan import (
    LONGEST_RUN,
    SeriesPlan,
    day_at,
    day_window,
    final_window,
    plan_series,
    to_ask,
    unpublished,
)
from htxdata.market import Series
from htxdata.store.footer import Span
from htxdata.timeline import DAY, HOUR, MINUTE, Window, intersect, iso, merge, parse_instant, subtract
from htxdata.venues import venue
from htxdata.venues.terms import Archive, Blocks, Facts, Parsed, Venue

NOW = parse_instant("2024-02-10T12:34:56.789Z")
MINUTES = Series("klines", "htx-spot", "btcusdt", "1min")
TRADES = Series("trades", "htx-spot", "btcusdt")


def _read(blocks: Blocks, series: Series, facts: Facts) -> Iterator[Parsed]:
    yield from ()


def tree(dataset: str, first: str, last: str | None = None) -> Archive:
    return Archive(
        dataset, first, lambda series, day: f"{series.symbol}-{day}", lambda series: series.symbol,
        lambda series, key: key[-10:], _read, first, last,
        periods={"1min": "1min"} if dataset == "klines" else None,
    )  # fmt: skip


def spot(*archives: Archive) -> Venue:
    return replace(venue("htx-spot"), archives=archives)


def windows(plan: SeriesPlan, source: str) -> list[Window]:
    return [window for job in plan.of(source) for window in job.windows]


@given(
    st.sampled_from([MINUTES, TRADES]),
    st.integers(0, 60 * DAY // HOUR),
    st.integers(1, 70 * DAY // HOUR),
    st.lists(st.tuples(st.integers(0, 70 * 24), st.integers(1, 300)), max_size=6),
    st.sampled_from(["2017-01-01", "2024-01-05", "2024-02-09"]),
    st.sampled_from([None, "2024-01-20"]),
)
def test_the_rungs_share_what_is_wanted(
    series: Series, before: int, length: int, holes: list[tuple[int, int]], first: str, last: str | None
) -> None:
    """What the archive is asked for and what REST is asked for are apart, and together they are all that was wanted;
    the archive is asked for published days only, from its first to its last."""
    market = spot(tree("klines", first, last), tree("trades", first, last))
    window = Window(NOW - 70 * DAY + before * HOUR, min(NOW, NOW - 70 * DAY + (before + length) * HOUR))
    at, spans = NOW - 70 * DAY - (NOW - 70 * DAY) % HOUR, []
    for gap, size in sorted(holes):
        start = at + gap * HOUR
        if not spans or spans[-1].end <= start:
            spans.append(Span(start, start + size * HOUR, "present", "archive", NOW, 1))
    plan = plan_series(series, market, window, spans, NOW, archive=True)
    wanted = to_ask(series, final_window(series, market, window, NOW), spans)
    deep, rest = windows(plan, "archive"), windows(plan, "rest")
    if window:
        assert intersect(deep, rest) == []
        assert merge([*deep, *rest]) == merge(wanted)
    for job in plan.of("archive"):
        assert 0 < len(job.days) <= LONGEST_RUN["day" if series is TRADES else "month"]
        for day in job.days:
            whole = day_window(day, market)
            assert whole.end + 12 * HOUR <= NOW
            assert first <= day <= (last or day)
            assert intersect([whole], deep), f"{day} is not needed"
    days = [day for job in plan.of("archive") for day in job.days]
    assert days == sorted(set(days))


def test_a_day_of_htx_opens_at_sixteen() -> None:
    """The file of 2024-01-05 holds 2024-01-04T16:00 to 2024-01-05T16:00 UTC."""
    market = spot()
    window = day_window("2024-01-05", market)
    assert (iso(window.start), iso(window.end)) == ("2024-01-04T16:00:00Z", "2024-01-05T16:00:00Z")
    assert [day_at(at, market) for at in (window.start - 1, window.start, window.end - 1, window.end)] == [
        "2024-01-04", "2024-01-05", "2024-01-05", "2024-01-06",
    ]  # fmt: skip


def test_the_day_that_is_not_published_yet_is_for_rest() -> None:
    """At 03:59 UTC the day that ended at 16:00 is not there yet, a minute later it may be."""
    market = spot(tree("klines", "2017-01-01"))
    window = Window(parse_instant("2024-02-01"), parse_instant("2024-02-09T20:00"))
    for now, last in (("2024-02-10T03:59", "2024-02-08"), ("2024-02-10T04:00", "2024-02-09")):
        plan = plan_series(MINUTES, market, window, [], parse_instant(now), archive=True)
        assert plan.of("archive")[-1].days[-1] == last
        assert windows(plan, "rest")[0].start == day_window(last, market).end


def test_what_is_still_to_be_published_is_told_from_what_no_file_will_bring() -> None:
    """Up to the day that is under way; nothing of days that a file may be there for, or of a tree that ended."""
    now, window = parse_instant("2024-02-10T03:59"), Window(parse_instant("2024-02-01"), parse_instant("2024-02-10"))
    market = spot(tree("klines", "2017-01-01"), tree("trades", "2017-01-01", "2024-02-09"))
    opened = parse_instant("2024-02-08T16:00")
    ended = day_window("2024-02-09", market).end
    assert unpublished([window], MINUTES, market, now) == [Window(opened, window.end)]
    assert unpublished([window], TRADES, market, now) == [Window(opened, ended)]
    assert unpublished([window], MINUTES, market, now + MINUTE) == [Window(ended, window.end)]
    assert unpublished([window], MINUTES, spot(), now) == []


def test_what_the_archive_could_not_deliver_is_never_called_unobtainable() -> None:
    """Beyond the depth of REST, a file that is absent is gone; one that is corrupt today may be mended tomorrow."""
    linear = replace(venue("htx-linear"), archives=(tree("klines", "2020-01-01"),))
    series = Series("klines", "htx-linear", "BTC-USDT", "1min")
    window = Window(parse_instant("2021-01-01"), parse_instant("2021-01-04"))
    torn = Window(parse_instant("2021-01-02"), parse_instant("2021-01-03"))
    plan = plan_series(series, linear, window, [], NOW, withheld=[torn])
    gone = [w for job in plan.jobs for known in job.known for w in known.windows if known.verdict == "unobtainable"]
    assert merge(gone) == subtract([window], [torn])
    assert windows(plan, "rest") == []


def test_the_archive_is_left_out_where_there_is_none_to_ask() -> None:
    """Without ``archive`` the same window goes to REST as a whole."""
    market = spot(tree("klines", "2017-01-01"))
    window = Window(NOW - 20 * DAY, NOW - 10 * DAY)
    plan = plan_series(MINUTES, market, window, [], NOW)
    assert plan.of("archive") == ()
    assert merge(windows(plan, "rest")) == [
        Window(window.start + MINUTE - window.start % MINUTE, window.end + MINUTE - window.end % MINUTE)
    ]


def test_a_file_to_compare_once_more_is_a_job_of_its_own_day() -> None:
    """A stale file is looked at although nothing of its day is wanted."""
    market = spot(tree("klines", "2017-01-01"))
    window = Window(parse_instant("2024-02-01"), parse_instant("2024-02-06"))
    known = [Span(window.start, window.end, "present", "archive", NOW, 7200)]
    plan = plan_series(MINUTES, market, window, known, NOW, archive=True, stale=["2024-02-03"])
    assert [(job.source, job.days, job.windows) for job in plan.jobs] == [("archive", ("2024-02-03",), ())]
