"""HashKey's user stream: keys that are lent, and a socket that tells of the account. Spoken to by aiohttp and ccxt."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aiohttp
import pytest

from htxdata.sandbox import SANDBOX_KEY, ApiKey, Sandbox
from htxdata.sandbox.own import TRADED
from tests.clocks import Wound

KEYS = "/api/v1/userDataStream"
OTHER = ApiKey("other000-00000000-00000000-00000", "made-up-secret")


class Clock:
    """Ours, and what it was put forward by (seconds)."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def asked(sandbox: Sandbox, method: str, key: ApiKey = SANDBOX_KEY, secret: str = "", **said: str) -> tuple[int, Any]:
    said["recvWindow"] = "60000"  # of the exchange's clock, which may be a hundred times as fast as ours
    query = "".join(f"{name}={value}&" for name, value in said.items()) + f"timestamp={sandbox.now() // 1000}"
    made = hmac.new((secret or key.secret).encode(), query.encode(), hashlib.sha256).hexdigest()
    url = f"{sandbox.hosts['hashkey_rest']}{KEYS}?{query}&signature={made}"
    try:
        with urlopen(Request(url, method=method, headers={"X-HK-APIKEY": key.access})) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def lent(sandbox: Sandbox) -> str:
    status, said = asked(sandbox, "POST")
    assert status == 200
    return str(said["listenKey"])


def street(sandbox: Sandbox, key: str) -> str:
    return f"{sandbox.hosts['hashkey_ws']}/api/v1/ws/{key}"


def test_a_key_is_lent_extended_and_ended() -> None:
    """Good for an hour by the exchange's clock; one that is over, was ended or is another's is nobody's."""
    clock = Clock()
    with Sandbox(limits=False, clock=clock, keys=(OTHER,)) as sandbox:
        key = lent(sandbox)
        assert (len(key), sandbox.lent_keys) == (64, [key])
        assert lent(sandbox) != key
        for ahead, words in ((3000.0, None), (6500.0, None), (10_200.0, "This listenKey does not exist")):
            clock.ahead = ahead
            status, said = asked(sandbox, "PUT", listenKey=key)
            assert (status, said) == (200, {}) if words is None else (status, said["code"]) == (400, "-1125")
        key = lent(sandbox)
        assert asked(sandbox, "PUT", OTHER, listenKey=key)[1]["code"] == "-1125"
        assert asked(sandbox, "DELETE", listenKey=key) == (200, {})
        assert asked(sandbox, "PUT", listenKey=key)[1]["code"] == "-1125"
        assert asked(sandbox, "PUT")[1]["code"] == "0001"


def test_who_signs_wrongly_is_lent_none() -> None:
    """As on every private endpoint."""
    with Sandbox(limits=False, keys=(OTHER,)) as sandbox:
        assert asked(sandbox, "POST", secret="wrong")[1]["code"] == "0001"
        assert asked(sandbox, "POST", ApiKey("nobodys", "x"))[1]["code"] == "0102"
        assert (sandbox.lent_keys, sum(sandbox.refused_keys.values())) == ([], 2)


def heard(
    sandbox: Sandbox, key: str, until: Callable[[list[Any]], bool], seconds: float = 60.0
) -> tuple[list[Any], int | None]:
    """What a connection told until that was enough, each ping answered; and the code with which it was closed."""

    async def listen() -> tuple[list[Any], int | None]:
        said: list[Any] = []
        async with aiohttp.ClientSession() as session, session.ws_connect(street(sandbox, key)) as socket:
            async with asyncio.timeout(seconds):
                while not until(said):
                    message = await socket.receive()
                    if message.type != aiohttp.WSMsgType.TEXT:
                        return said, socket.close_code
                    said.append(json.loads(message.data))
                    if isinstance(said[-1], dict):
                        await socket.send_json({"pong": said[-1]["ping"]})
        return said, None

    return asyncio.run(listen())


def tickets_in(said: list[Any]) -> list[dict[str, Any]]:
    return [event for events in said if isinstance(events, list) for event in events if event["e"] == "ticketInfo"]


def test_fills_are_told_as_rest_tells_them() -> None:
    """Every fill of the time with its order, then what is held: number, time, price and size as over REST, pairs by
    their `ticketId`."""
    with Sandbox(seed=5, limits=False, own_seconds=10, clock=Wound(time.time() - 1, 100)) as sandbox:
        key, opened = lent(sandbox), 0

        def enough(said: list[Any]) -> bool:
            nonlocal opened
            opened = opened or sandbox.now()  # of what happened before it listened nothing is told
            return len(tickets_in(said)) > 30

        said, _ = heard(sandbox, key, enough)
        tickets = tickets_in(said)
        last = max(int(event["t"]) for event in tickets) * 1000
        told = sorted((e["s"], e["T"], e["o"], int(e["t"]), e["S"], e["m"], float(e["p"]), float(e["q"]))
                      for e in tickets if opened + 20_000_000 < int(e["t"]) * 1000 < last)  # fmt: skip
        assert len(told) > 10
        assert told == sorted(
            (symbol, str(f.trade_id), str(o.number), f.time // 1000, o.side.upper(), o.role == "maker", float(f.price),
             float(f.contracts or f.quantity))
            for symbol in TRADED["hashkey"]
            for o, f in sandbox.own.fills("hashkey", symbol, opened + 20_000_001, last, sandbox.now())
        )  # fmt: skip
        events = [event for some in said if isinstance(some, list) for event in some]
        assert {event["e"] for event in events} == {
            "ticketInfo", "executionReport", "contractExecutionReport", "outboundAccountInfo",
            "outboundContractAccountInfo",
        }  # fmt: skip
        assert {row["l"] for event in events if event["e"] == "outboundAccountInfo" for row in event["B"]} == {"0"}


def test_pings_are_told_and_who_has_no_key_any_more_is_let_go() -> None:
    """A ping with a channel; no key opens the door but one that is lent, and one that was ended closes it."""
    with Sandbox(limits=False, ping_seconds=0.02) as sandbox:
        key = lent(sandbox)

        def enough(said: list[Any]) -> bool:
            if len(said) == 3:
                assert asked(sandbox, "DELETE", listenKey=key)[0] == 200
            return False

        said, code = heard(sandbox, key, enough)
        assert (code, [set(one) for one in said[:3]]) == (1000, [{"ping", "channelId"}] * 3)
        assert [one.why for one in sandbox.sockets] == ["listen key"]
        for wrong in (key, "nobodys"):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
                heard(sandbox, wrong, enough)
        assert all(key not in repr(one) for one in sandbox.sockets)


@pytest.mark.wide
def test_who_answers_no_ping_is_dropped() -> None:
    """After an hour of them: a hundred and twenty."""

    async def listen(address: str) -> int:
        count = 0
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as socket:
            while (await socket.receive(60)).type == aiohttp.WSMsgType.TEXT:
                count += 1
        return count

    with Sandbox(limits=False, ping_seconds=0.0001, own_seconds=86_400) as sandbox:
        assert asyncio.run(listen(street(sandbox, lent(sandbox)))) == 120
        assert [one.why for one in sandbox.sockets] == ["unanswered pings"]


@pytest.mark.wide
def test_ccxt_watches_fills() -> None:
    """ccxt's own `hashkey` class, only its URLs changed: it asks for a key, listens by it, and parses what it hears."""
    import ccxt.pro  # takes a second

    async def watch(sandbox: Sandbox) -> list[dict[str, Any]]:
        one = ccxt.pro.hashkey({"enableRateLimit": False, "apiKey": SANDBOX_KEY.access, "secret": SANDBOX_KEY.secret})
        one.milliseconds = lambda: sandbox.now() // 1000
        try:
            for name in one.urls["api"]:
                one.urls["api"][name] = sandbox.hosts["hashkey_rest"]
            one.urls["api"]["ws"] = {"private": f"{sandbox.hosts['hashkey_ws']}/api/v1/ws"}
            return list(await asyncio.wait_for(one.watch_my_trades(), 60))
        finally:
            await one.close()

    with Sandbox(seed=5, limits=False, own_seconds=10, clock=Wound(time.time(), 60)) as sandbox:
        (row, *_) = asyncio.run(watch(sandbox))
        truth = [f for symbol in TRADED["hashkey"] for _, f in sandbox.own.fills(
            "hashkey", symbol, sandbox.now() - 3_600_000_000, sandbox.now(), sandbox.now())]  # fmt: skip
        assert row["id"] in {str(fill.trade_id) for fill in truth}
        assert len(sandbox.lent_keys) == 1
