"""Which faults are worth another attempt, when, and how many."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.protocol.backoff import CAP_S, PATIENCE, Patience, delay_after, fault_of, settle
from htxdata.protocol.wire import RETRYABLE, Fault, FaultKind

KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
NETWORK = Fault("network", "dropped")


def series(fault: Fault, jitter: float = 1.0, **more: float) -> list[float]:
    """The delays of a request that meets the same fault again and again."""
    delays: list[float] = []
    while (
        delay := delay_after(fault, [fault.kind] * len(delays), elapsed=0, jitter=jitter, **more)
    ) is not None:
        delays.append(delay)
        assert len(delays) < 100
    return delays


def test_the_delays_double() -> None:
    assert series(NETWORK) == [0.5, 1, 2, 4, 8]


def test_busy_and_maintenance_begin_slowly_and_are_capped() -> None:
    assert series(Fault("busy", "settlement")) == [5, 10, 20, CAP_S, CAP_S]


def test_jitter_takes_a_share_of_the_delay() -> None:
    assert series(NETWORK, jitter=0.0) == [0] * 5
    assert series(NETWORK, jitter=0.5) == [0.25, 0.5, 1, 2, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_mend_itself_is_asked_again(kind: FaultKind) -> None:
    assert bool(series(Fault(kind, "?"))) == (kind in RETRYABLE)


def test_bans_are_few_and_wait_with_everybody() -> None:
    assert series(Fault("banned", "HTTP 403")) == [0] * (PATIENCE.bans - 1)
    assert series(Fault("throttled", "HTTP 429")) == [0] * (PATIENCE.throttles - 1)


def test_a_throttled_request_has_not_failed() -> None:
    """Its 429s do not use up the attempts that a dropped connection has."""
    earlier: list[FaultKind] = ["throttled"] * 8 + ["banned"]
    assert delay_after(NETWORK, earlier, elapsed=0, jitter=1.0) == 0.5
    assert delay_after(Fault("throttled", ""), ["network"] * 4, elapsed=0, jitter=1.0) == 0


def test_the_total_time_is_limited_too() -> None:
    assert delay_after(NETWORK, [], elapsed=PATIENCE.seconds + 1, jitter=0.0) is None
    assert delay_after(NETWORK, [], elapsed=PATIENCE.seconds, jitter=1.0) is None
    assert delay_after(Fault("banned", ""), [], elapsed=0, jitter=0.0, pause=PATIENCE.seconds + 1) is None
    assert delay_after(NETWORK, [], elapsed=3, jitter=0.0, patience=Patience(seconds=2)) is None


@given(
    st.sampled_from(KINDS),
    st.lists(st.sampled_from(KINDS), max_size=30),
    st.floats(0, 2_000),
    st.floats(0, 0.999),
)
def test_every_series_ends_and_no_delay_is_out_of_bounds(
    kind: FaultKind, earlier: list[FaultKind], elapsed: float, jitter: float
) -> None:
    delay = delay_after(Fault(kind, ""), earlier, elapsed=elapsed, jitter=jitter)
    assert delay is None or 0 <= delay <= CAP_S
    most = PATIENCE.attempts + PATIENCE.throttles + PATIENCE.bans
    assert delay is None or len([k for k in earlier if k == kind]) < most


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None), (204, None), (301, "refused"), (400, "invalid"), (401, "refused"), (403, "banned"),
        (404, "absent"), (405, "refused"), (408, "busy"), (410, "absent"), (418, "banned"), (429, "throttled"),
        (500, "server"), (502, "server"), (503, "server"), (521, "server"),
    ],
)  # fmt: skip
def test_what_a_bare_status_says(status: int, kind: FaultKind | None) -> None:
    fault = fault_of(status)
    assert (fault and fault.kind) == kind


def test_the_judge_knows_more_than_the_status() -> None:
    for kind in ("symbol", "invalid", "refused", "maintenance"):
        judged = Fault(kind, "the venue's words")
        assert settle(403, judged) is judged
        assert settle(200, judged) is judged
        assert settle(500, judged) is judged


def test_the_status_knows_more_than_an_unreadable_body() -> None:
    garbled = Fault("garbled", "not JSON: <html>")
    assert settle(200, garbled) is garbled
    assert settle(403, garbled) == Fault("banned", "HTTP 403: not JSON: <html>")
    assert settle(502, garbled) == Fault("server", "HTTP 502: not JSON: <html>")


def test_429_and_418_are_never_anything_else() -> None:
    assert settle(429, Fault("refused", "slow down", 3.0)) == Fault("throttled", "HTTP 429: slow down", 3.0)
    assert settle(418, Fault("throttled", "teapot")) == Fault("banned", "HTTP 418: teapot")


def test_a_status_that_no_judge_saw_through_is_still_a_fault() -> None:
    assert settle(503, None) == Fault("server", "HTTP 503")
    assert settle(200, None) is None
