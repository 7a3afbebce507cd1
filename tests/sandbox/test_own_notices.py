"""The private socket of contracts: nobody is told anything who has not signed, and signed rightly, for this path."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets

from htxdata.keys import Keys, Secret
from htxdata.sandbox import SANDBOX_KEY, Sandbox
from htxdata.sandbox.keys import NO_KEY, NO_SIGNATURE, NO_TIME
from htxdata.venues.htx import signing

PATH = "/ws/v5/notification"
SUB = {"op": "sub", "cid": "7", "topic": "trade", "contract_code": "*"}


def signed(host: str, path: str, now: int, **change: str) -> dict[str, Any]:
    keys = Keys(Secret(SANDBOX_KEY.access), Secret(SANDBOX_KEY.secret))
    return {**signing.sign_in_notification(host, path, keys, now), "cid": "1", **change}


def talk(sandbox: Sandbox, path: str, *said: dict[str, Any]) -> list[dict[str, Any]]:
    """What is answered to each of these, pings aside."""

    async def hold() -> list[dict[str, Any]]:
        out = []
        async with websockets.connect(sandbox.hosts["htx_swap_ws"] + path, compression=None) as line:
            for one in said:
                await line.send(json.dumps(one))
                while (heard := json.loads(gzip.decompress(await line.recv())))["op"] in ("ping", "notify"):  # type: ignore[arg-type]
                    pass
                out.append(heard)
        return out

    return asyncio.run(asyncio.wait_for(hold(), 20))


@pytest.mark.parametrize("path", [PATH, "/linear-swap-notification"])
def test_a_signature_is_of_a_path_and_a_time(path: str) -> None:
    """The right one is let in; one for another path, of another secret, too old or by nobody is not, and is counted."""
    with Sandbox(seed=5, limits=False) as sandbox:
        host, now = urlsplit(sandbox.hosts["htx_swap_ws"]).netloc, sandbox.now()
        (good,) = talk(sandbox, path, signed(host, path, now))
        assert {name: good[name] for name in ("op", "type", "cid", "err-code")} == {
            "op": "auth", "type": "api", "cid": "1", "err-code": 0,
        }  # fmt: skip
        assert sandbox.refused_keys == {}
        for said, why in (
            (signed(host, "/notification", now), NO_SIGNATURE),
            (signed(host, path, now, Signature="AAAA"), NO_SIGNATURE),
            (
                signed(host, path, now - 301_000_000),
                NO_TIME,
            ),
            (signed(host, path, now, AccessKeyId="nobodys"), NO_KEY),
        ):
            (bad,) = talk(sandbox, path, said)
            assert (bad["op"], bad["err-code"], bad["err-msg"]) == ("auth", 2001, why)
        assert sum(sandbox.refused_keys.values()) == 4
        (bare,) = talk(sandbox, path, {"op": "auth", "type": "api"})
        assert bare["err-code"] == 2040


def test_what_is_told_to_whom() -> None:
    """Nothing before the sign-in; then `trade` of a contract or of all, once; no other topic, no unknown contract."""
    with Sandbox(seed=5, limits=False) as sandbox:
        host, now = urlsplit(sandbox.hosts["htx_swap_ws"]).netloc, sandbox.now()
        said = (
            SUB, signed(host, PATH, now), {**SUB, "topic": "orders"}, {**SUB, "contract_code": "X-USDT"},
            {"op": "sub", "topic": "trade"}, {**SUB, "contract_code": "btc-usdt"}, SUB, SUB, {**SUB, "op": "unsub"},
            {**SUB, "op": "unsub"},
        )  # fmt: skip
        codes = [one["err-code"] for one in talk(sandbox, PATH, *said)]
        assert codes == [2001, 0, 2010, 2011, 2040, 0, 0, 2014, 0, 2012]
