"""The door: sliding windows, what the refused are told, and bans."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from htxdata.sandbox import Sandbox
from htxdata.sandbox.limits import HASHKEY, SPOT, SWAP, Door
from tests.clocks import Hands

KLINE = "/market/history/kline"


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 10))
def test_no_window_holds_more_than_the_limit(gaps: list[float], limit: int) -> None:
    """Whatever stretch of one second is looked at, and a refused request takes no place."""
    door = Door({SPOT: limit}, ban_after=10**6)
    now, admitted, refused = 0.0, [], 0
    for gap in gaps:
        now += gap / 20
        if door.knock(SPOT, KLINE, now, 0).admitted:
            admitted.append(now)
        else:
            refused += 1
            assert len([time for time in admitted if time > now - 1.0]) == limit
    for time in admitted:
        assert len([other for other in admitted if time - 1.0 < other <= time]) <= limit
    assert len(door.violations) == refused


def test_the_venues_own_limits() -> None:
    door = Door()
    assert door.budget(SPOT, KLINE) != door.budget(SPOT, "/v1/common/symbols")  # per endpoint
    assert door.budget(SPOT, KLINE) == (SPOT + KLINE, (10, 1.0))
    market = door.budget(SWAP, "/linear-swap-ex/market/history/kline")
    assert market is not None
    assert market[1] == (800, 1.0)
    shared = door.budget(SWAP, "/v5/market/funding_rate_history")
    assert shared == door.budget(SWAP, "/linear-swap-api/v1/swap_contract_info")  # one bucket for all of them
    assert shared is not None
    assert shared[1] == (240, 3.0)
    own = [
        door.budget(host, path)
        for host, path in (
            (SWAP, "/v5/trade/order/details"), (HASHKEY, "/api/v1/account/trades"),
            (HASHKEY, "/api/v1/futures/userTrades"), (HASHKEY, "/api/v1/spot/order"), (HASHKEY, "/quote/v1/klines"),
            (SPOT, "/v1/order/matchresults"), (SPOT, "/v1/order/orders/place"),
        )
    ]  # fmt: skip
    assert [each[1] for each in own if each is not None] == [
        (72, 3.0), (2, 1.0), (2, 1.0), (10, 1.0), (5, 1.0), (20, 2.0), (100, 2.0),
    ]  # fmt: skip
    assert own[0] != shared, "what is signed is counted apart"
    assert own[1] == own[2] != own[4]
    assert Door(False).budget(SPOT, KLINE) is None


def test_windows_slide_and_do_not_jump() -> None:
    door = Door({SPOT: 2})
    times = [0.9, 0.95, 1.05, 1.85, 1.91, 1.96, 2.0]
    assert [door.knock(SPOT, KLINE, time, 0).admitted for time in times] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]


def test_disregard_earns_a_ban() -> None:
    door = Door({SPOT: 1}, ban_after=5, ban_seconds=30.0)
    verdicts = [door.knock(SPOT, KLINE, 100 + place / 100, 0) for place in range(8)]
    assert [one.banned for one in verdicts] == [False] * 6 + [True] * 2
    assert door.knock(SPOT, KLINE, 129.0, 0).banned
    assert not door.knock(SWAP, KLINE, 129.0, 0).banned
    assert door.knock(SPOT, KLINE, 131.0, 0).admitted
    assert len(door.violations) == 5


@pytest.mark.parametrize("limits", [{"htx": 5}, {SPOT: 0}, {SPOT: (5, 0)}])
def test_wrong_limits_are_said(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not a budget"):
        Sandbox(limits=limits)


def test_spot_refusals_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.rest.time", Hands())
    with Sandbox(limits={SPOT: 3}, ban_after=6, ban_seconds=60) as sandbox, requests.Session() as session:
        url = sandbox.hosts[SPOT] + KLINE
        replies = [
            session.get(url, params={"symbol": "btcusdt", "period": "1min", "size": 1}) for _ in range(10)
        ]
        assert [reply.status_code for reply in replies] == [200] * 3 + [429] * 6 + [403]
        assert replies[0].headers["X-HB-RateLimit-Requests-Remain"] == "2"
        body = replies[3].json()
        assert (body["status"], body["err-code"]) == ("error", "rate-too-many-requests")
        assert replies[3].headers["X-HB-RateLimit-Requests-Remain"] == "0"
        wait = int(replies[3].headers["X-HB-RateLimit-Requests-Expire"]) - body["ts"]
        assert 0 < wait <= 1001
        assert replies[9].headers["Content-Type"].startswith("text/html")
        assert sandbox.violations == 6
        assert [path for _, _, path in sandbox.violation_times] == [KLINE] * 6
        assert session.get(sandbox.hosts[SWAP] + "/api/v1/timestamp").status_code == 200


def test_derivative_refusals_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.rest.time", Hands())
    with Sandbox(limits={SWAP: (2, 3.0)}) as sandbox, requests.Session() as session:
        url = sandbox.hosts[SWAP] + "/api/v1/timestamp"
        replies = [session.get(url) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 429, 200]
        assert replies[2].json()["err_code"] == replies[3].json()["err_code"] == 1032
        headers = replies[1].headers
        assert (headers["ratelimit-limit"], headers["ratelimit-interval"]) == ("2", "3000")
        assert headers["ratelimit-remaining"] == "0"
        assert int(headers["ratelimit-reset"]) > 1_600_000_000_000


def test_many_at_once_are_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.rest.time", Hands())
    with Sandbox(limits={SWAP: 20}, ban_after=1000) as sandbox, ThreadPoolExecutor(4) as pool:
        url = sandbox.hosts[SWAP] + "/api/v1/timestamp"
        replies = list(pool.map(lambda _: requests.get(url, timeout=20), range(60)))
        good = [reply for reply in replies if reply.status_code == 200 and reply.json()["status"] == "ok"]
        assert len(good) + sandbox.violations == 60
        assert len(good) == 20
