"""A limit inside a limit: reference data of derivatives has its own, and counts against the host's as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import Refused, Unreachable
from htxdata.protocol.backoff import Patience
from htxdata.protocol.pacing import BAN_S
from htxdata.protocol.wire import LimitHeaders, Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client
from tests.transport.conftest import FakeTime
from tests.transport.local_venue import LocalVenue, answer
from tests.transport.test_http import judge

REFERENCE, MARKET, UNNAMED = (Request(f"/{pool}", pool=pool) for pool in ("reference", "market", ""))
LIMITS = LimitHeaders(remaining="ratelimit-remaining", reset="ratelimit-reset")
NOW_MS = 1_700_000_000_000

MakeClient = Callable[..., Client]


@pytest.fixture
def make(venue: LocalVenue, tmp_path: Path, fake: FakeTime) -> Iterator[MakeClient]:
    clients = []

    def make(host: float = 100, reference: float = 10, **options: Any) -> Client:
        clock: dict[str, Any] = {"clock": fake.clock, "sleep": fake.sleep}
        budget, inner = (
            Budget("venue", host, tmp_path, **clock),
            Budget("inner", reference, tmp_path, **clock),
        )
        options = {
            "sleep": fake.sleep, "jitter": lambda: 1.0, "now_us": lambda: NOW_MS * 1000, "limit_headers": LIMITS,
            "pools": {"reference": inner},
        } | options  # fmt: skip
        clients.append(client := Client(venue.url, budget, judge, **options))
        return client

    yield make
    for client in clients:
        client.close()


def seconds(fake: FakeTime, client: Client, request: Request, times: int = 1) -> float:
    began = fake.ns
    for _ in range(times):
        client.get(request)
    return (fake.ns - began) / 1e9


@pytest.mark.parametrize(
    ("request_", "rate"),
    [(REFERENCE, 10), (MARKET, 100), (UNNAMED, 10)],
    ids=["reference", "market", "unnamed"],
)
def test_each_request_has_its_rate(make: MakeClient, fake: FakeTime, request_: Request, rate: int) -> None:
    """One that names no pool is on the safe side."""
    client = make()
    client.get(request_)
    assert 3.0 <= seconds(fake, client, request_, 3 * rate) <= 3 / 0.95


@pytest.mark.parametrize("request_", [REFERENCE, MARKET])
def test_a_lower_figure_of_the_host_wins(make: MakeClient, fake: FakeTime, request_: Request) -> None:
    """Who sets one number alone has set a bound for everything."""
    client = make(host=4)
    client.get(request_)
    assert 5.0 <= seconds(fake, client, request_, 20) <= 5 / 0.95


def test_both_together_stay_within_the_hosts(make: MakeClient, fake: FakeTime) -> None:
    """What reference data takes, market data does not get."""
    client = make(host=20, reference=10)
    client.get(REFERENCE)
    took = sum(seconds(fake, client, REFERENCE) + seconds(fake, client, MARKET, 3) for _ in range(20))
    assert took >= 80 / 20


def test_a_host_without_pools_knows_no_difference(make: MakeClient, fake: FakeTime) -> None:
    """The field is then of no account."""
    client = make(pools=None)
    client.get(MARKET)
    assert sum(seconds(fake, client, request, 50) for request in (REFERENCE, UNNAMED)) <= 1 / 0.95


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (answer(b"", 429, Retry_After="7"), 7),
        (answer(b'{"err":"too-many"}'), 1),
        (answer(ratelimit_remaining="0", ratelimit_reset=str(NOW_MS + 2_500)), 2.5),
        (
            answer(b'{"err":"invalid symbol"}', ratelimit_remaining="0", ratelimit_reset=str(NOW_MS + 500)),
            0.5,
        ),
    ],
    ids=["429", "in-the-body", "headers", "headers-of-an-error"],
)
def test_a_limit_is_that_of_what_was_asked(
    venue: LocalVenue, make: MakeClient, fake: FakeTime, said: bytes, wait: float
) -> None:
    """Said to reference data it holds that pool, in every process; said to market data it holds the host."""
    for request, pool_s, host_s in ((REFERENCE, wait, 0), (UNNAMED, wait, 0), (MARKET, 0, wait)):
        fake.ns += 100 * 10**9
        venue.script.append(said)
        with suppress(Unreachable, Refused):
            make(patience=Patience(throttles=1)).get(request)
        inner, host = make()._nested["reference"]
        assert (inner.paused_for(), host.paused_for()) == pytest.approx((pool_s, host_s))
        assert seconds(fake, make(), MARKET) == pytest.approx(host_s, abs=0.1)
        assert seconds(fake, make(), REFERENCE) == pytest.approx(pool_s, abs=0.1)


@pytest.mark.parametrize("request_", [REFERENCE, MARKET])
@pytest.mark.parametrize("other", [REFERENCE, MARKET])
def test_a_ban_stops_both(
    venue: LocalVenue, make: MakeClient, fake: FakeTime, request_: Request, other: Request
) -> None:
    """Whoever earned it."""
    venue.script.append(answer(b"<html>", 403))
    with pytest.raises(Unreachable):
        make(patience=Patience(bans=1)).get(request_)
    assert seconds(fake, make(), other) == pytest.approx(BAN_S, abs=0.1)


def test_refusals_in_a_row_are_counted_by_pool(venue: LocalVenue, make: MakeClient, fake: FakeTime) -> None:
    """And a good reply to market data does not end the row of reference data."""
    inner, host = make()._nested["reference"]
    venue.script.extend([answer(b"", 429)] * 2)
    make().get(REFERENCE)
    assert sum(fake.slept) == pytest.approx(1 + 2, abs=0.1)
    venue.script.append(answer(b"", 429))
    inner.strike(inner.clock())
    make().get(MARKET)
    assert (inner.state().strikes, host.state().strikes) == (1, 0)


def test_a_turn_that_got_late_in_the_other_queue_is_renewed(make: MakeClient, fake: FakeTime) -> None:
    """The host's queue is long: what the pool's stamp says must still be when the request is sent."""
    client = make(host=100, reference=10)
    _, host = client._nested["reference"]
    stamps = []
    for _ in range(30):
        host.pause(0.07)
        leave = client._wait(REFERENCE, None)
        stamps.append([turn.stamp for _, turn in leave])
        assert all(0 <= fake.ns - stamp <= 10_000_000 for stamp in stamps[-1])
    for n in range(20):
        assert stamps[n + 10][0] - stamps[n][0] >= 10**9


def test_both_turns_hold_when_it_is_sent(make: MakeClient, fake: FakeTime) -> None:
    """However often a wait for the one makes the other late."""
    client = make(host=100, reference=10)
    inner, host = client._nested["reference"]
    leave = client._wait(REFERENCE, None)
    inner.pause(0.5)

    def sleep(seconds: float) -> None:
        if not pauses:
            host.pause(1.5)
        pauses.append(seconds)
        fake.sleep(seconds)

    pauses: list[float] = []
    inner._sleep = sleep
    assert all(0 <= fake.ns - turn.stamp <= 10_000_000 for _, turn in client._wait(REFERENCE, leave))
    assert sum(fake.slept) == pytest.approx(1.5, abs=0.1)
