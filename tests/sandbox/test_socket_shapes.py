"""What is pushed and answered looks as in the samples: the same fields in the same order, of the same types."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.instruments import instant
from tests.clocks import Wound
from tests.sandbox.socket_client import Said, Talk

RUSH = instant("2026-06-01T12:10") // 10**6
SPOT, SWAP = ("htx_spot_ws", "/ws"), ("htx_swap_ws", "/linear-swap-ws")
FEED, INDEX = ("htx_spot_ws", "/feed"), ("htx_swap_ws", "/ws_index")
NOTICES = ("htx_swap_ws", "/linear-swap-notification")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Twenty minutes in a second."""
    with Sandbox(limits=False, clock=Wound(RUSH, 1200.0)) as one:
        yield one


def shape(value: Any) -> Any:
    """Fields and types. A number is a number: samples spell 13064 where the field is a price."""
    if isinstance(value, dict):
        return [(name, shape(field)) for name, field in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return (
        "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    )


PUSHES = [
    ("spot-ws-trade-detail-push", SPOT, "market.btcusdt.trade.detail"),
    ("spot-ws-trade-detail-push-2", SPOT, "market.btcusdt.trade.detail"),
    ("spot-ws-kline-push", SPOT, "market.btcusdt.kline.1min"),
    ("spot-ws-depth-step0-push", SPOT, "market.btcusdt.depth.step0"),
    ("spot-ws-bbo-push", SPOT, "market.btcusdt.bbo"),
    ("spot-ws-detail-push", SPOT, "market.btcusdt.detail"),
    ("spot-ws-ticker-push", SPOT, "market.btcusdt.ticker"),
    ("spot-ws-mbp-refresh20-push", SPOT, "market.btcusdt.mbp.refresh.20"),
    ("spot-ws-mbp150-push-2", FEED, "market.btcusdt.mbp.150"),
    ("linear-ws-trade-push-2024", SWAP, "market.BTC-USDT.trade.detail"),
    ("linear-ws-kline-push", SWAP, "market.BTC-USDT.kline.1min"),
    ("linear-ws-depth-push", SWAP, "market.BTC-USDT.depth.step6"),
    ("linear-ws-depth-high-freq-push", SWAP, "market.BTC-USDT.depth.size_20.high_freq"),
    ("linear-ws-bbo-push", SWAP, "market.BTC-USDT.bbo"),
    ("linear-ws-detail-push", SWAP, "market.BTC-USDT.detail"),
    ("linear-ws-index-kline-push", INDEX, "market.BTC-USDT.index.15min"),
    ("linear-ws-mark-kline-push", INDEX, "market.BTC-USDT.mark_price.1min"),
    ("linear-ws-premium-kline-push", INDEX, "market.BTC-USDT.premium_index.1min"),
    ("linear-ws-estimated-kline-push", INDEX, "market.BTC-USDT.estimated_rate.1min"),
]


def sample(shared: Path, name: str) -> Said:
    found: Said = json.loads((shared / "reference" / "samples" / "htx" / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize(("name", "place", "topic"), PUSHES)
def test_pushes(shared: Path, sandbox: Sandbox, name: str, place: tuple[str, str], topic: str) -> None:
    with Talk(sandbox.hosts[place[0]] + place[1]) as talk:
        talk.say({"sub": topic, "id": "x"})
        said = talk.until(
            lambda heard: (
                heard.get("ch") == topic and all(heard["tick"].get(side) != [] for side in ("bids", "asks"))
            )
        )
    known = sample(shared, name)
    assert shape(said) == shape(known)


ANSWERS = [
    ("linear-ws-kline-req-response", SWAP, "market.BTC-USDT.kline.60min"),
    ("linear-ws-trade-req-response", SWAP, "market.BTC-USDT.trade.detail"),
    ("linear-ws-index-kline-req-response", INDEX, "market.BTC-USDT.index.15min"),
    ("linear-ws-mark-kline-req-response", INDEX, "market.BTC-USDT.mark_price.1min"),
    ("linear-ws-premium-kline-req-response", INDEX, "market.BTC-USDT.premium_index.15min"),
    ("linear-ws-estimated-kline-req-response", INDEX, "market.BTC-USDT.estimated_rate.15min"),
    ("spot-ws-mbp150-req-response", FEED, "market.btcusdt.mbp.150"),
]


@pytest.mark.parametrize(("name", "place", "topic"), ANSWERS)
def test_answers(shared: Path, sandbox: Sandbox, name: str, place: tuple[str, str], topic: str) -> None:
    """`data` is the sample's; the envelope has its fields in an order that the samples do not agree about."""
    with Talk(sandbox.hosts[place[0]] + place[1]) as talk:
        start = int(sandbox.now() // 10**6) - 3600
        span = {"from": start} if place != FEED and "kline" in topic + name else {}
        said = talk.ask(req=topic, **span)
    known = sample(shared, name)
    assert shape(said["data"]) == shape(known["data"])
    assert set(said) - {"ts"} == set(known) - {"ts", "wsid"}


@pytest.mark.parametrize(
    ("name", "topic"),
    [("linear-ws-funding-rate-push", "public.*.funding_rate"),
     ("linear-ws-liquidation-orders-push", "public.*.liquidation_orders")],
)  # fmt: skip
def test_notices(shared: Path, sandbox: Sandbox, name: str, topic: str) -> None:
    with Talk(sandbox.hosts[NOTICES[0]] + NOTICES[1]) as talk:
        talk.say({"op": "sub", "cid": "1", "topic": topic})
        said = talk.until(lambda heard: heard["op"] == "notify", 60.0)
    assert shape(said) == shape(sample(shared, name))


def test_acks_and_errors(shared: Path, sandbox: Sandbox) -> None:
    with Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk:
        talk.say({"sub": "market.btcusdt.kline.1min", "id": "id1"})
        assert shape(talk.until(lambda heard: "subbed" in heard)) == shape(sample(shared, "spot-ws-sub-ack"))
        talk.say({"unsub": "market.btcusdt.kline.1min", "id": "id4"})
        assert shape(talk.until(lambda heard: "unsubbed" in heard)) == shape(
            sample(shared, "spot-ws-unsub-ack")
        )
    with Talk(sandbox.hosts["htx_spot_ws"] + "/feed") as talk:
        talk.say({"sub": "market.linkusdt.mbp.150", "id": "2"})
        known = sample(shared, "spot-ws-error-invalid-topic")
        assert talk.next() | {"ts": known["ts"]} == known


def test_an_empty_diff(shared: Path) -> None:
    """Diffs without a change come now and then (sample spot-ws-mbp150-empty-push), where not many become one."""
    with Sandbox(limits=False, clock=Wound(RUSH, 60.0)) as slower, Talk(slower.hosts["htx_spot_ws"] + "/feed") as talk:
        talk.ask(sub="market.steemusdt.mbp.150")
        said = talk.until(lambda heard: heard["tick"]["bids"] == heard["tick"]["asks"] == [], timeout=60.0)
    assert shape(said) == shape(sample(shared, "spot-ws-mbp150-empty-push"))


def test_numbers_are_spelled_as_the_venue_spells_them() -> None:
    """Spot prints doubles as Java does, contracts plain decimals (htx-api 1.5); long ids have all their digits."""
    with Sandbox(limits=False, clock=lambda: RUSH) as sandbox:
        texts = {}
        for host, path, topic in (
            ("htx_spot_ws", "/ws", "market.pepeusdt.trade.detail"), ("htx_spot_ws", "/ws", "market.dogeusdt.bbo"),
            ("htx_swap_ws", "/linear-swap-ws", "market.SHIB-USDT.bbo"),
            ("htx_swap_ws", "/linear-swap-ws", "market.BTC-USDT.depth.size_20.high_freq"),
        ):  # fmt: skip
            with Talk(sandbox.hosts[host] + path) as talk:
                talk.say({"sub": topic, "id": "1"})
                talk.until(lambda said: "ch" in said)
                texts[topic] = gzip.decompress(talk.frames[-1]).decode()
    assert "E-6," in texts["market.pepeusdt.trade.detail"] or "E-5," in texts["market.pepeusdt.trade.detail"]
    row = json.loads(texts["market.pepeusdt.trade.detail"])["tick"]["data"][0]
    assert 21 <= len(str(row["id"])) <= 27
    known = Market(0).trades("htx-spot", "pepeusdt", row["ts"] * 1000, row["ts"] * 1000 + 1)
    assert (row["price"], row["amount"]) in zip(
        known["price"].tolist(), known["quantity"].tolist(), strict=True
    )
    assert '"askSize":' in texts["market.dogeusdt.bbo"]
    assert ".0," in texts["market.dogeusdt.bbo"].split('"askSize":')[1]
    assert "E" not in texts["market.SHIB-USDT.bbo"].split('"bid":')[1].split('"ch"')[0]
    assert "0.0000" in texts["market.SHIB-USDT.bbo"]
    assert ".0]" not in texts["market.BTC-USDT.depth.size_20.high_freq"]
    assert ".0," not in texts["market.BTC-USDT.depth.size_20.high_freq"]
