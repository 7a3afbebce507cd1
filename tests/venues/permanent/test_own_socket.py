"""The private socket's words, by the reference's own samples of talk and hand-made events (permanent-v1 6.1, 6.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.keys import Keys, Secret
from htxdata.protocol.dialect import Acked, Admitted, Barred, Ping, Push, Refused, Strange
from htxdata.venues.permanent.feeds_own import OWN_FEEDS, PRIVATE, hear
from htxdata.venues.terms import Facts

NOW = 1_704_067_200_000_000
TRADE: dict[str, Any] = {
    "eventType": "trade", "symbol": "btcusdt", "orderId": 5, "tradePrice": "42000.5", "tradeVolume": 20,
    "orderSide": "buy", "tradeId": 17, "tradeTime": NOW // 1000, "execType": "trade", "aggressor": True,
    "transactFee": "0.25", "orderStatus": "filled", "execAmt": 20, "remainAmt": 0, "avgExecPrc": "42000.5",
}  # fmt: skip
(FEED,) = OWN_FEEDS


def push(change: dict[str, Any], topic: str = "orders#btcusdt") -> bytes:
    return json.dumps({"action": "push", "ch": topic, "data": {**TRADE, **change}}).encode()


@pytest.mark.parametrize(
    ("sample", "heard"),
    [
        ("ws-auth-response-ok", Admitted()),
        ("ws-auth-response-ok-with-seq", Admitted()),
        ("ws-auth-response-error", Barred("500: system.error", again=True)),
        ("ws-sub-response-private", Acked("", "accounts#usdt", 0)),
        ("ws-push-generic", Push("trade.update#btcusdt", 0)),
    ],
)
def test_the_samples(shared: Path, sample: str, heard: object) -> None:
    """What the text shows is understood as it says."""
    assert hear((shared / f"reference/samples/permanent-v1/{sample}.json").read_bytes()) == heard


def test_a_pong_has_both_forms(shared: Path) -> None:
    """The English and the Chinese member, each as its sample has it."""
    folder = shared / "reference/samples/permanent-v1"
    answer = hear((folder / "ws-private-ping.json").read_bytes())
    assert isinstance(answer, Ping)
    said, english = json.loads(answer.answer), json.loads((folder / "ws-private-pong-en.json").read_text())
    assert {name: said[name] for name in english} == english
    assert said["params"] == said["data"]
    assert json.loads((folder / "ws-private-pong-cn.json").read_text()).keys() < said.keys()


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (b'{"action":"req","ch":"auth","code":2002,"message":"auth.fail"}', Barred("2002: auth.fail")),
        (b'{"action":"sub","ch":"orders#x","code":2002,"message":"invalid.symbol","seq":7}',
         Refused("7", "orders#x", "2002: invalid.symbol")),
        (b'{"code":2001,"message":"invalid.json"}', Refused("", "", "2001: invalid.json")),
        (b'{"action":"sub","ch":"orders#x","code":200,"seq":9,"data":{}}', Acked("9", "orders#x", 0)),
    ],
)  # fmt: skip
def test_talk(message: bytes, heard: object) -> None:
    """Refusals name what they can."""
    assert hear(message) == heard


@pytest.mark.parametrize(
    "message", [b"", b"[]", b"{}", b'{"action":"ping"}', b'{"action":"push"}', b'{"action":"ping","data":{"ts":"x"}}']
)
def test_what_is_no_message(message: bytes) -> None:
    """Told as strange, and never raised."""
    assert isinstance(hear(message), Strange)
    assert len(FEED.parse([(NOW, message)], {}).faults) <= 1


def test_the_sign_in(shared: Path) -> None:
    """As the sample has it, over the printed path; what is written down has neither the key nor the signature."""
    assert PRIVATE.sign_in is not None
    keys = Keys(Secret("sffd-ddfd-dfdsaf-dfdsafsd"), Secret("not-a-real-secret"))
    said, shown = PRIVATE.sign_in("api.example.com", "/account/ws", keys, 1_567_361_776_000_000)
    sample = json.loads((shared / "reference/samples/permanent-v1/ws-auth-request.json").read_text())
    made = json.loads(said)
    sample["params"]["signature"] = made["params"]["signature"]
    assert made == sample
    written = json.loads(shown)["params"]
    assert (written["accessKey"], written["signature"], written["timestamp"]) == ("…", "…", "2019-09-01T18:16:16")


def test_a_trade_is_a_fill_and_nothing_else_is() -> None:
    """Creation, trigger and cancellation, and the exchange of a funding, are no fills."""
    others = [{"eventType": kind} for kind in ("creation", "trigger", "cancellation")] + [{"execType": "funding"}]
    frames = [(NOW + n, push(change)) for n, change in enumerate([{}, *others])]
    frames.append((NOW, b'{"action":"sub","code":200,"ch":"orders#btcusdt","data":{}}'))
    pushed = FEED.parse(frames, {"btcusdt": Facts(0.001)})
    assert pushed.faults == []
    assert pushed.columns == {
        ("btcusdt", None): {
            "trade_time": [NOW], "trade_id": ["17"], "order_id": ["5"], "side": ["buy"], "price": [42000.5],
            "quantity": [0.02], "fee": [0.25], "fee_currency": [None], "role": ["taker"], "order_type": [None],
            "client_order_id": [None], "received_at": [NOW],
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [push({"eventType": "gift"}), push({"eventType": None}), push({"symbol": "ethusdt"}), push({}, "orders#*"),
     push({}, "trades#btcusdt"), push({"aggressor": 1}), b'{"action":"push","ch":"orders#btcusdt"}',
     b'{"action":"odd","ch":"orders#btcusdt","data":{}}', b'{"action":"push","ch":"orders#btcusdt","data":[1,2]}'],
)  # fmt: skip
def test_what_is_not_understood_is_a_fault_of_its_frame(body: bytes) -> None:
    """Set aside by itself; the frame beside it is read."""
    pushed = FEED.parse([(NOW, body), (NOW, push({}))], {"btcusdt": Facts(0.001)})
    assert [at for at, _ in pushed.faults] == [0]
    assert pushed.columns["btcusdt", None]["trade_id"] == ["17"]
    assert FEED.parse([(NOW, push({}))], {}).faults[0][0] == 0  # nobody said what a contract is
