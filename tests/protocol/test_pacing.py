"""Lanes, pauses and the venue's clock: arithmetic, so no test here sleeps."""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.protocol import pacing
from htxdata.protocol.pacing import MARGIN_NS, NEVER, SECOND_NS, Pace, pause_after, slot
from htxdata.protocol.wire import Fault, LimitHeaders

HTX_SWAP = LimitHeaders(remaining="ratelimit-remaining", reset="ratelimit-reset")
NOW_US = 1_700_000_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def drive(rate: float, asked_at: list[int]) -> list[int]:
    """The stamps given to requests that ask at these instants, one after the other."""
    pace, stamps = Pace.of(rate), []
    for now in asked_at:
        lane = stamps[-pace.lanes] if 0 < pace.lanes <= len(stamps) else NEVER
        last = stamps[-1] if stamps else NEVER
        stamps.append(slot(pace, now, last=last, lane=lane, paused_until=NEVER))
    return stamps


def assert_no_window_above(arrivals: list[int], most: int, window: int = SECOND_NS) -> None:
    arrivals = sorted(arrivals)
    for n, start in enumerate(arrivals):
        assert bisect_left(arrivals, start + window) - n <= most


RATES = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 8.0, 8.5, 40.0, 80.0])


@given(
    RATES,
    st.lists(st.integers(0, 3 * SECOND_NS), max_size=150),
    st.lists(st.integers(0, MARGIN_NS), min_size=1),
)
def test_no_second_at_the_venue_holds_more_than_the_rate(
    rate: float, gaps: list[int], jitters: list[int]
) -> None:
    """Whatever the times of asking, and with any lateness up to the margin on the way."""
    asked, now = [], 0
    for gap in gaps:
        now += gap // 8
        asked.append(now)
    arrivals = [at + jitters[n % len(jitters)] for n, at in enumerate(drive(rate, asked))]
    window = SECOND_NS if rate >= 1 else int(SECOND_NS / rate)
    assert_no_window_above(arrivals, max(1, int(rate)), window)


@given(st.data())
def test_a_second_holds_no_more_even_when_sends_overtake_each_other(data: st.DataObject) -> None:
    """Each lane keeps its distance, so the order of the lanes among themselves does not matter."""
    lanes = data.draw(st.integers(1, 6))
    arrivals = []
    for _ in range(lanes):
        at = data.draw(st.integers(0, SECOND_NS))
        for gap in data.draw(st.lists(st.integers(SECOND_NS, 2 * SECOND_NS), max_size=10)):
            arrivals.append(at)
            at += gap
    assert_no_window_above(arrivals, lanes)


@given(RATES, st.lists(st.integers(0, 5_000_000), min_size=1, max_size=50))
def test_who_is_always_hungry_uses_the_budget(rate: float, oversleeps: list[int]) -> None:
    """95 % of it, even when every waking is up to five milliseconds late."""
    pace, stamps, now = Pace.of(rate), [], 0
    for n in range(pace.lanes * 10 + 1):
        lane = stamps[-pace.lanes] if pace.lanes <= len(stamps) else NEVER
        stamps.append(slot(pace, now, last=stamps[-1] if stamps else NEVER, lane=lane, paused_until=NEVER))
        now = stamps[-1] + oversleeps[n % len(oversleeps)]
    per_window = SECOND_NS if rate >= 1 else int(SECOND_NS / rate)
    possible = (stamps[-1] - stamps[0]) / per_window * pace.lanes
    assert pace.lanes * 10 >= 0.95 * possible


def test_sends_are_spread_from_the_first_second_on() -> None:
    gaps = [b - a for a, b in pairwise(drive(10, [0] * 30))]
    assert min(gaps) == SECOND_NS * 0.09
    assert max(gaps) < SECOND_NS * 0.25


def test_what_was_overslept_is_caught_up() -> None:
    """A process that stops for 50 ms between sends loses none of the second's ten."""
    stamps, pace = [], Pace.of(10)
    for n in range(10):
        now = (stamps[-1] if stamps else 0) + (50_000_000 if n == 4 else 0)
        stamps.append(slot(pace, now, last=stamps[-1] if stamps else NEVER, lane=NEVER, paused_until=NEVER))
    assert stamps[-1] < SECOND_NS


def test_a_huge_rate_is_no_rate() -> None:
    assert drive(pacing.UNPACED, [5, 5, 5]) == [5, 5, 5]
    assert drive(1e9, [5, 5, 5]) == [5, 5, 5]


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_zero(rate: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        Pace.of(rate)


def test_a_pause_holds_everybody_and_even_without_a_rate() -> None:
    assert slot(Pace.of(5), 100, last=NEVER, lane=NEVER, paused_until=700) == 700
    assert slot(Pace.of(1e6), 100, last=NEVER, lane=NEVER, paused_until=700) == 700


def test_stamps_of_a_later_life_are_ignored() -> None:
    """A file that outlived a reboot names instants which this boot's clock reaches in a month."""
    month = 30 * 86_400 * SECOND_NS
    assert slot(Pace.of(5), 100, last=month, lane=month, paused_until=month) == 100


# ------------------------------------------------------------------------------------------------------------- pauses


def throttled(pause: float | None = None) -> Fault:
    return Fault("throttled", "HTTP 429", pause)


def test_a_bare_429_doubles_up_to_a_minute() -> None:
    pauses = [pause_after(throttled(), {}, NOW_US, strikes=n) for n in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:27 GMT", "date": DATE}, 7),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:27 GMT"}, 7),
        ({"retry-after": "999999"}, pacing.STATED_CAP_S),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 1),  # past: says nothing
        ({"retry-after": "0"}, 1),
        ({"retry-after": "soon"}, 1),
        ({"retry-after": "inf"}, 1),
        ({"retry-after": "-3"}, 1),
    ],
)
def test_retry_after_is_obeyed(headers: dict[str, str], seconds: float) -> None:
    assert pause_after(throttled(), headers, NOW_US) == seconds


def test_retry_after_is_a_date_of_the_venues_clock() -> None:
    """Ours is ten minutes behind, and the wait is still seven seconds."""
    headers = {"retry-after": "Tue, 14 Nov 2023 22:13:27 GMT", "date": DATE}
    assert pause_after(throttled(), headers, NOW_US - 600_000_000) == 7


def test_a_ban_without_a_time_pauses_for_a_minute() -> None:
    assert pause_after(Fault("banned", "HTTP 403"), {}, NOW_US, strikes=5) == pacing.BAN_S


def test_what_the_judge_read_in_the_body_counts_too() -> None:
    assert pause_after(throttled(12.0), {}, NOW_US) == 12
    assert pause_after(Fault("maintenance", "closed", 30.0), {}, NOW_US) == 30
    assert pause_after(Fault("server", "HTTP 503"), {"retry-after": "9"}, NOW_US) == 9


def test_other_faults_pause_nobody() -> None:
    for fault in (
        None,
        Fault("network", "cut"),
        Fault("server", "HTTP 500"),
        Fault("symbol", "none such", 9.0),
    ):
        assert pause_after(fault, {}, NOW_US) == 0


@pytest.mark.parametrize(
    ("remaining", "ahead_ms", "seconds"),
    [
        ("0", 1_500, 1.5),
        ("0", -200, 0),
        ("0", 3_600_000, pacing.RESET_CAP_S),
        ("1", 1_500, 0),
        ("", 1_500, 0),
    ],
)
def test_nothing_left_of_the_limit_pauses_until_it_starts_anew(
    remaining: str, ahead_ms: int, seconds: float
) -> None:
    headers = {"ratelimit-remaining": remaining, "ratelimit-reset": str(NOW_US // 1000 + ahead_ms)}
    assert pause_after(None, headers, NOW_US, limits=HTX_SWAP) == seconds


def test_headers_that_are_not_there_or_not_numbers_say_nothing() -> None:
    for headers in (
        {},
        {"ratelimit-remaining": "0"},
        {"ratelimit-remaining": "0", "ratelimit-reset": "later"},
    ):
        assert pause_after(None, headers, NOW_US, limits=HTX_SWAP) == 0
    assert pause_after(None, {"ratelimit-remaining": "0", "ratelimit-reset": "9" * 12}, NOW_US) == 0


@given(st.integers(-(10**12), 10**12), st.integers(0, 59_000))
def test_a_wrong_clock_of_ours_does_not_spoil_the_reset(skew_us: int, ahead_ms: int) -> None:
    """The date header tells the venue's now to a second."""
    headers = {"ratelimit-remaining": "0", "ratelimit-reset": str(NOW_US // 1000 + ahead_ms), "date": DATE}
    pause = pause_after(None, headers, NOW_US + skew_us, limits=HTX_SWAP)
    assert abs(pause * 1e6 - ahead_ms * 1e3) <= 1e6 + 0.5  # half a microsecond for what seconds in a float can tell


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (DATE, NOW_US),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000_000),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_799_000_000),  # a leap second
        ("Sun, 31 Feb 2016 00:00:00 GMT", None),
        ("Sun, 06 anF 1994 08:49:37 GMT", None),
        ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ("", None),
    ],
)
def test_http_dates(text: str, seconds: int | None) -> None:
    assert pacing.http_date(text) == seconds


@given(st.text(max_size=40))
def test_no_header_breaks_the_parsers(text: str) -> None:
    headers = dict.fromkeys(("retry-after", "date", "ratelimit-remaining", "ratelimit-reset"), text)
    assert 0 <= pause_after(throttled(), headers, NOW_US, limits=HTX_SWAP) <= pacing.STATED_CAP_S
