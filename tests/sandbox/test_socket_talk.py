"""How the sockets speak: commands, acks, errors, one-shot requests, limits and heartbeats (htx-api 7)."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from htxdata.sandbox import Market, Sandbox
from tests.clocks import Hands, Wound
from tests.sandbox.socket_client import Gone, Said, Talk
from tests.waits import until

NOON = 1_780_315_230  # 2026-06-01 12:00:30 UTC
SPOT, SWAP = "htx_spot_ws", "htx_swap_ws"
NOTICES = "/linear-swap-notification"


@pytest.fixture(scope="module")
def still() -> Iterator[Sandbox]:
    """The clock stands: nothing happens but what is asked."""
    with Sandbox(limits=False, clock=lambda: NOON) as sandbox:
        yield sandbox


@pytest.fixture
def spot(still: Sandbox) -> Iterator[Talk]:
    with Talk(still.hosts[SPOT] + "/ws") as talk:
        yield talk


@pytest.fixture
def swap(still: Sandbox) -> Iterator[Talk]:
    with Talk(still.hosts[SWAP] + "/linear-swap-ws") as talk:
        yield talk


@pytest.fixture
def notices(still: Sandbox) -> Iterator[Talk]:
    with Talk(still.hosts[SWAP] + NOTICES) as talk:
        yield talk


def error(text: str, number: Any = None) -> Said:
    said = {"ts": NOON * 1000, "status": "error", "err-code": "bad-request", "err-msg": text}
    return said if number is None else said | {"id": number}


def test_frames_are_binary_gzip_and_acks_carry_the_id(spot: Talk) -> None:
    """An ack names topic and id in the types they came in, in the order of the sample, as a whole gzip frame."""
    for number in ("id1", 17):
        spot.say({"sub": "market.btcusdt.depth.step2", "id": number})
        text = gzip.decompress(spot.frame()).decode()
        assert text == json.dumps(
            {"id": number, "status": "ok", "subbed": "market.btcusdt.depth.step2", "ts": NOON * 1000},
            separators=(",", ":"),
        )
        if number == "id1":  # who is subscribed already is not told the first book again
            assert spot.next()["ch"] == "market.btcusdt.depth.step2"


def test_unsubscribing(still: Sandbox, spot: Talk) -> None:
    """What is unsubscribed is told no more; what was not subscribed cannot be unsubscribed."""
    topic = "market.btcusdt.trade.detail"
    spot.ask(sub=topic)
    spot.until(lambda said: said.get("ch") == topic)
    assert still.sockets[-1].topics == [topic]
    assert spot.ask(unsub=topic, id="u") == {"id": "u", "status": "ok", "unsubbed": topic, "ts": NOON * 1000}
    assert spot.ask(unsub=topic, id="v") == error(f"unsub with not subbed topic {topic}", "v")
    assert still.sockets[-1].topics == []


def test_subscribing_twice_is_acked_and_changes_nothing(spot: Talk) -> None:
    topic = "market.btcusdt.trade.detail"
    spot.ask(sub=topic)
    spot.until(lambda said: said.get("ch") == topic)
    assert spot.ask(sub=topic, id="again")["status"] == "ok"
    assert spot.during(0.15) == []


def test_an_array_of_topics(still: Sandbox, spot: Talk) -> None:
    """D25 allows an array in `sub`: one ack names them all; with one bad topic none is subscribed."""
    topics = ["market.btcusdt.detail", "market.ethusdt.bbo"]
    assert spot.ask(sub=topics)["subbed"] == topics
    assert still.sockets[-1].topics == topics
    assert spot.ask(sub=["market.dogeusdt.bbo", "market.nope.bbo"], id="x") == error("invalid symbol", "x")
    assert still.sockets[-1].topics == topics
    assert spot.ask(unsub=topics)["unsubbed"] == topics


@pytest.mark.parametrize(
    ("path", "said", "text"),
    [
        ("/ws", {"sub": "market.nope.trade.detail"}, "invalid symbol"),
        ("/ws", {"sub": "market.nasusdt.trade.detail"}, "invalid symbol"),
        ("/ws", {"sub": "market.BTCUSDT.trade.detail"}, "invalid symbol"),
        ("/ws", {"sub": "market.btcusdt.trades"}, "invalid topic market.btcusdt.trades"),
        ("/ws", {"sub": "market.btcusdt.kline.2min"}, "invalid topic market.btcusdt.kline.2min"),
        ("/ws", {"sub": "market.btcusdt.mbp.150"}, "invalid topic market.btcusdt.mbp.150"),
        ("/ws", {"sub": 3}, "invalid topic 3"),
        ("/ws", {"sub": []}, "invalid topic "),
        ("/feed", {"sub": "market.linkusdt.mbp.150"}, "invalid mbp.150.symbol linkusdt"),
        ("/feed", {"sub": "market.steemusdt.mbp.20"}, "invalid mbp.20.symbol steemusdt"),
        ("/feed", {"sub": "market.btcusdt.trade.detail"}, "invalid topic market.btcusdt.trade.detail"),
        ("/feed", {"req": "market.btcusdt.mbp.refresh.5"}, "invalid topic market.btcusdt.mbp.refresh.5"),
        ("/ws", {"req": "market.btcusdt.bbo"}, "invalid topic market.btcusdt.bbo"),
        ("/ws", {"req": "market.btcusdt.kline.1min", "from": 17}, "invalid from"),
        ("/ws", {"hello": 1}, "invalid command"),
    ],
)
def test_what_is_refused(still: Sandbox, path: str, said: Said, text: str) -> None:
    """Each refusal has HTX's text and the id of what it refuses."""
    with Talk(still.hosts[SPOT] + path) as talk:
        talk.say(said | {"id": "7"})
        assert talk.next() == error(text, "7")


@pytest.mark.parametrize("text", ["nonsense", "[1]", "17", '{"sub":'])
def test_what_is_not_json(spot: Talk, notices: Talk, text: str) -> None:
    spot.say(text)
    assert spot.next() == error("not json string")
    notices.say(text)
    assert notices.next()["err-msg"] == "not json string"
    assert spot.ask(sub="market.btcusdt.detail")["status"] == "ok"  # the connection lives on


def test_derivative_topics(swap: Talk, still: Sandbox) -> None:
    """Contract codes are not case sensitive, pushes have them in capitals; index topics have their own socket."""
    assert swap.ask(sub="market.btc-usdt.trade.detail")["subbed"] == "market.btc-usdt.trade.detail"
    assert swap.until(lambda said: "ch" in said)["ch"] == "market.BTC-USDT.trade.detail"
    assert swap.ask(sub="market.BTC-USDT.index.1min", id="a") == error(
        "invalid topic market.BTC-USDT.index.1min", "a"
    )
    assert swap.ask(sub="market.LUNA-USDT.bbo", id="b") == error("invalid symbol", "b")
    fast = {"sub": "market.BTC-USDT.depth.size_20.high_freq", "data_type": "whole"}
    assert swap.ask(**fast, id="c") == error("invalid data_type whole", "c")
    with Talk(still.hosts[SWAP] + "/ws_index") as index:
        assert index.ask(sub="market.BTC-USDT.basis.1min.open", id="d") == error(
            "invalid topic market.BTC-USDT.basis.1min.open", "d"
        )
        assert index.ask(sub="market.BTC-USDT.index.1min")["status"] == "ok"


# --------------------------------------------------------------------------------------------------- requests


def test_spot_candles_on_request(spot: Talk, market: Market) -> None:
    """`data` holds the candles from `from` to `to`, ascending, the running one as it is; more than 300 give none."""
    start = NOON - 3600
    said = spot.ask(req="market.btcusdt.kline.1min", id="r", **{"from": start, "to": NOON})
    assert (said["rep"], said["status"], said["id"]) == ("market.btcusdt.kline.1min", "ok", "r")
    known = market.candles("htx-spot", "btcusdt", "1min", start * 10**6, NOON * 10**6 + 1, NOON * 10**6)
    assert [row["id"] * 10**6 for row in said["data"]] == known["open_time"].tolist()
    assert [row["vol"] for row in said["data"]] == known["quote_volume"].tolist()
    assert [row["amount"] for row in said["data"]] == known["volume"].tolist()
    asked = {"req": "market.btcusdt.kline.1min"}
    full = NOON // 60 * 60
    assert len(spot.ask(**asked, **{"from": full - 299 * 60, "to": full})["data"]) == 300
    assert spot.ask(**asked, **{"from": full - 300 * 60, "to": full})["data"] == []
    assert len(spot.ask(**asked)["data"]) == 300


def test_linear_candles_on_request(swap: Talk, market: Market) -> None:
    """At most 2,000 rows; `from` alone goes to now, `to` alone is the oldest up to it, from after to is nothing."""
    asked = {"req": "market.BTC-USDT.kline.60min"}
    hour = NOON // 3600 * 3600
    rows = swap.ask(**asked, **{"from": hour - 3600 * 3})["data"]
    known = market.candles(
        "htx-linear", "BTC-USDT", "60min", (hour - 10800) * 10**6, NOON * 10**6, NOON * 10**6
    )
    assert [row["id"] * 10**6 for row in rows] == known["open_time"].tolist()
    assert [row["vol"] for row in rows] == known["contracts"].tolist()
    assert [row["trade_turnover"] for row in rows] == known["quote_volume"].tolist()
    assert len(swap.ask(**asked, **{"from": hour - 3600 * 5000, "to": hour})["data"]) == 2000
    oldest = swap.ask(**asked, to=hour - 3600 * 5000)["data"]
    assert oldest[0]["id"] == market.instrument("htx-linear", "BTC-USDT").listed_at // 10**6
    assert len(oldest) == 2000
    assert swap.ask(**asked, **{"from": hour, "to": hour - 3600})["data"] == []


def test_trades_on_request(spot: Talk, swap: Talk, market: Market) -> None:
    """Spot gives up to 300 of the newest, newest first; contracts up to `size`, oldest first, numbers as texts."""
    rows = spot.ask(req="market.btcusdt.trade.detail")["data"]
    known = market.orders("htx-spot", "btcusdt", (NOON - 86400) * 10**6, NOON * 10**6)
    assert [row["tradeId"] for row in rows] == known["trade_id"][:-301:-1].tolist()
    rows = swap.ask(req="market.BTC-USDT.trade.detail", size=7)["data"]
    known = market.orders("htx-linear", "BTC-USDT", (NOON - 86400) * 10**6, NOON * 10**6)
    assert [row["id"] for row in rows] == known["trade_id"][-7:].tolist()
    assert [float(row["price"]) for row in rows] == known["price"][-7:].tolist()
    assert isinstance(rows[0]["quantity"], str)
    text = "invalid size,valid range: [1, 50]"
    assert swap.ask(req="market.BTC-USDT.trade.detail", size=51, id="z") == error(text, "z")


def test_books_and_days_on_request(spot: Talk, still: Sandbox) -> None:
    data = spot.ask(req="market.btcusdt.depth.step0")["data"]
    known = still.book("htx-spot", "btcusdt", sequence=data["version"], depth=150)
    assert [tuple(level) for level in data["bids"]] == known.bids
    assert spot.ask(req="market.btcusdt.detail")["data"]["count"] > 100


# --------------------------------------------------------------------------------------------------- limits


def test_one_request_in_100_ms_on_spot(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `req` within 100 ms is refused; subscriptions are not counted, and later it is let in again."""
    monkeypatch.setattr("htxdata.sandbox.websocket.time", hands := Hands())
    with Sandbox(clock=lambda: NOON) as sandbox, Talk(sandbox.hosts[SPOT] + "/ws") as talk:
        asked = {"req": "market.btcusdt.detail"}
        assert talk.ask(**asked)["status"] == "ok"
        assert talk.ask(**asked, id="x") == error("429 too many request", "x")
        assert talk.ask(sub="market.btcusdt.bbo")["status"] == "ok"
        hands.go(0.11)
        assert talk.ask(**asked)["status"] == "ok"
        requested = [one for one in sandbox.commands if '"req"' in one.text]
        assert len(requested) == 3
        assert requested[2].time - requested[0].time > 0.1


def test_forty_subscriptions_and_fifty_requests_a_second_on_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more of either in the same second is refused, and it alone."""
    monkeypatch.setattr("htxdata.sandbox.websocket.time", Hands())
    with Sandbox(clock=lambda: NOON) as sandbox, Talk(sandbox.hosts[SWAP] + "/linear-swap-ws") as talk:
        for number in range(41):
            talk.say({"sub": f"market.BTC-USDT.depth.step{number % 20}", "id": number})
        for number in range(100, 151):
            talk.say({"req": "market.BTC-USDT.trade.detail", "size": 1, "id": number})
        said = [talk.until(lambda heard: "id" in heard) for _ in range(92)]
    refused = [one["id"] for one in said if one["status"] == "error"]
    assert refused == [40, 150]
    assert {one["err-msg"] for one in said if one["status"] == "error"} == {"429 too many request"}


def test_too_many_topics() -> None:
    """A connection has so many topics and no more; what it has goes on, and another connection has room."""
    with Sandbox(clock=lambda: NOON, most_topics=3) as sandbox:
        url = sandbox.hosts[SPOT] + "/ws"
        with Talk(url) as talk, Talk(url) as other:
            for step in range(3):
                assert talk.ask(sub=f"market.btcusdt.depth.step{step}")["status"] == "ok"
            full = talk.ask(sub="market.btcusdt.bbo", id="x")
            assert full == error("429 too many request topics", "x")
            assert talk.ask(sub="market.btcusdt.depth.step0")["status"] == "ok"
            talk.ask(unsub="market.btcusdt.depth.step0")
            assert talk.ask(sub="market.btcusdt.bbo")["status"] == "ok"
            assert other.ask(sub="market.btcusdt.bbo")["status"] == "ok"


# --------------------------------------------------------------------------------------------------- heartbeats


@pytest.mark.parametrize(
    ("host", "path", "patience"),
    [(SPOT, "/ws", 2), (SPOT, "/feed", 2), (SWAP, "/linear-swap-ws", 5), (SWAP, NOTICES, 5)],
)
def test_who_does_not_answer_is_dropped(
    host: str, path: str, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many pings without an answer the connection ends; one who answers lives on."""
    monkeypatch.setattr("htxdata.sandbox.websocket.time", hands := Hands())
    with Sandbox(clock=Wound(NOON), ping_seconds=5.0) as sandbox:
        url = sandbox.hosts[host] + path
        with Talk(url, deaf=True) as deaf, Talk(url) as talk:
            until(lambda: len(sandbox.sockets) == 2)  # from when on their pings are counted

            def beat(beats: int) -> None:
                """A ping for all who are left, and the answer of the one who answers."""
                hands.go(5.0)
                end = time.monotonic() + 20
                while len(talk.heard) < beats:
                    assert time.monotonic() < end
                    talk.during(0.02)
                until(lambda: len(sandbox.commands) == beats)

            for beats in range(1, patience + 1):
                beat(beats)
                assert sandbox.sockets[0].closed is None
            beat(patience + 1)
            deaf.during(20)
            assert deaf.gone
            assert sandbox.sockets[0].why == "unanswered pings"
            beat(patience + 2)
            pings = [said["ts"] if path == NOTICES else said["ping"] for said in talk.heard]
            assert sandbox.sockets[1].closed is None
    assert len([said for said in deaf.heard if "ping" in said or said.get("op") == "ping"]) == patience
    assert len(pings) > patience
    assert all(isinstance(ping, str if path == NOTICES else int) for ping in pings)
    assert path != NOTICES or deaf.heard[-1]["op"] == "close"


@pytest.mark.parametrize(
    ("path", "pong"), [("/linear-swap-ws", {"pong": 17}), (NOTICES, {"op": "pong", "ts": "17"})]
)
def test_a_pong_must_say_what_the_ping_said(path: str, pong: Said) -> None:
    """Pongs of other numbers, and of the right number in the wrong type, are no answers."""
    with Sandbox(clock=Wound(NOON), ping_seconds=0.06) as sandbox:
        with Talk(sandbox.hosts[SWAP] + path, deaf=True) as talk:
            talk.say(pong)
            with contextlib.suppress(Gone):
                while True:
                    said = json.loads(gzip.decompress(talk.frame()))
                    if path == NOTICES:
                        talk.say({"op": "pong", "ts": int(said["ts"])})
                        talk.say({"op": "pong", "ts": str(int(said["ts"]) + 1)})
                    else:
                        talk.say({"pong": str(said["ping"])})
                        talk.say({"pong": said["ping"] + 1})
        assert sandbox.sockets[0].why == "unanswered pings"


# --------------------------------------------------------------------------------------------------- notices


def test_notices_are_subscribed_by_op(notices: Talk) -> None:
    """Codes of refusals: 2010 topic, 2011 contract, 2012 not subscribed, 2014 repeated, 2040 missing."""

    def ask(op: str, topic: str | None) -> Said:
        notices.say({"op": op, "cid": "c"} | ({} if topic is None else {"topic": topic}))
        return notices.until(lambda said: said.get("op") != "notify")

    one, every = "public.BTC-USDT.funding_rate", "public.*.funding_rate"
    assert ask("sub", one) == {"op": "sub", "cid": "c", "topic": one, "ts": NOON * 1000, "err-code": 0}
    assert ask("sub", one)["err-code"] == 2014
    assert ask("sub", every)["err-code"] == 0
    assert ask("sub", "public.ETH-USDT.funding_rate")["err-code"] == 2014  # `*` has it
    assert ask("unsub", "public.ETH-USDT.funding_rate")["err-code"] == 2012
    assert ask("unsub", one)["err-code"] == 0
    assert ask("unsub", every)["err-code"] == 0
    assert ask("unsub", every)["err-code"] == 2012
    assert ask("sub", "public.BTC-USDT.weather")["err-code"] == 2010
    assert ask("sub", "public.NOPE-USDT.funding_rate")["err-code"] == 2011
    assert ask("sub", None)["err-code"] == 2040
    assert ask("dance", one)["op"] == "error"


def test_all_fundings_in_one_message(notices: Talk, market: Market) -> None:
    """`*` is told of every perpetual that is listed, in one message."""
    notices.say({"op": "sub", "cid": "1", "topic": "public.*.funding_rate"})
    said = notices.until(lambda heard: heard.get("op") == "notify")
    known = [market.instrument("htx-linear", symbol) for symbol in market.symbols("htx-linear")]
    swaps = {
        one.symbol for one in known if one.delivery_at is None and one.status_at(NOON * 10**6) == "online"
    }
    assert swaps <= {row["contract_code"] for row in said["data"]}
    assert said["topic"] == "public.*.funding_rate"


# --------------------------------------------------------------------------------------------------- logs and ends


def test_the_log_of_connections(still: Sandbox) -> None:
    """A connection's entry has its path, its topics while it lives, what was sent, and how it ended."""
    count = len(still.sockets)
    with Talk(still.hosts[SPOT] + "/ws") as talk:
        talk.ask(sub="market.btcusdt.detail")
        talk.until(lambda said: "ch" in said)
        entry = still.sockets[count]
        assert (entry.host, entry.path, entry.closed, entry.topics) == (
            SPOT,
            "/ws",
            None,
            ["market.btcusdt.detail"],
        )
        assert (entry.frames, entry.data) == (2, 1)
        assert entry.bytes == sum(map(len, talk.frames))
    until(lambda: still.sockets[count].closed is not None)
    entry = still.sockets[count]
    assert (entry.why, entry.topics) == ("client", [])
    mine = [one for one in still.commands if one.socket == entry.number]
    assert [json.loads(one.text)["sub"] for one in mine] == ["market.btcusdt.detail"]
    assert (mine[0].at, mine[0].host, mine[0].path) == (NOON * 10**6, SPOT, "/ws")


def test_leaving_the_sandbox_ends_all_connections() -> None:
    """Clients see the end, the entries say so, and the port is free again (no_leaks looks for threads)."""
    with Sandbox(clock=Wound(NOON)) as sandbox:
        talks = [Talk(sandbox.hosts[SPOT] + "/ws"), Talk(sandbox.hosts[SWAP] + "/linear-swap-ws")]
        talks[0].ask(sub="market.btcusdt.mbp.refresh.5")
        talks[1].ask(sub="market.BTC-USDT.kline.1week")
    for talk in talks:
        talk.during(20.0)
        assert talk.gone
        talk.__exit__()
    assert [one.why for one in sandbox.sockets] == ["stopped", "stopped"]
    with Sandbox(port=sandbox.port):
        pass


def test_a_crowd() -> None:
    """So many more instruments are listed and told of; without, they are not listed."""
    with Sandbox(limits=False, clock=lambda: NOON, crowd=3) as sandbox:
        spot = requests.get(sandbox.hosts["htx_spot_rest"] + "/v1/common/symbols", timeout=30).json()["data"]
        path = "/linear-swap-api/v1/swap_contract_info"
        swap = requests.get(sandbox.hosts["htx_swap_rest"] + path, timeout=30).json()["data"]
        assert [row["symbol"] for row in spot][-3:] == ["c000usdt", "c001usdt", "c002usdt"]
        assert [row["contract_code"] for row in swap][-3:] == ["C000-USDT", "C001-USDT", "C002-USDT"]
        with Talk(sandbox.hosts[SPOT] + "/ws") as talk:
            assert talk.ask(sub="market.c001usdt.trade.detail")["status"] == "ok"
            said = talk.until(lambda heard: "ch" in heard)
        rows = sandbox.trades_between("htx-spot", "c001usdt", (NOON - 600) * 10**6, NOON * 10**6)
        assert said["tick"]["data"][0]["tradeId"] == rows["trade_id"][-1]
    assert "c000usdt" not in Market(0).symbols("htx-spot")


def test_a_plain_get_is_no_conversation(still: Sandbox) -> None:
    reply = requests.get(f"{still.url}/htx-spot/ws", timeout=30)
    assert reply.status_code == 404
