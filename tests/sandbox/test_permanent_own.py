"""Permanent's private half as the reference has it, asked by a client of this file's own (permanent-v1 3.4, 5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

import pytest

from htxdata.sandbox import SANDBOX_KEY, ApiKey, Sandbox
from htxdata.sandbox.instruments import instant

NOON = instant("2026-06-01T12:00:30") // 10**6
TRADER = ApiKey("trader00-00000000-00000000-00000", "made-up-secret", "readOnly,trade")
DAY = 86_400_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOON, limits=False, keys=(TRADER,), own_seconds=3600) as running:
        yield running


def asked(
    sandbox: Sandbox, path: str, key: ApiKey = SANDBOX_KEY, method: str = "GET", body: object = None, **said: Any
) -> Any:
    """The answer to a signed request: names in the order of a dictionary, the path without its prefix."""
    time = datetime.fromtimestamp(NOON, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    every = {"AccessKeyId": key.access, "SignatureMethod": "HmacSHA256", "SignatureVersion": "2", "Timestamp": time}
    every |= {name: str(value) for name, value in said.items()}
    query = "&".join(f"{name}={quote(every[name], safe='')}" for name in sorted(every, key=str.lower))
    base = sandbox.hosts["permanent_rest"]
    text = f"{method}\n{urlsplit(base).netloc}\n{path}\n{query}"
    made = base64.b64encode(hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
    url = f"{base}{path}?{query}&Signature={quote(made, safe='')}"
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data=data, method=method), timeout=30) as answer:
        return json.load(answer)


def test_fills_are_the_truth_of_two_days_newest_first(sandbox: Sandbox) -> None:
    """All of 48 hours and nothing older; pages join at an edge that belongs to both; of one order, its own."""
    rows = asked(sandbox, "/orders/trades", symbol="btcusdt", limit=500)["data"]
    now = NOON * 10**6
    truth = sandbox.own.fills("htx-permanent", "btcusdt", now - 2 * DAY * 1000, now + 1, now)
    assert sorted(
        (r["tradeTime"], r["tradeId"], r["orderId"], r["tradePrice"], r["tradeVolume"], r["orderSide"], r["aggressor"])
        for r in rows
    ) == sorted(
        (f.time // 1000, f.trade_id, o.number, f"{f.price.normalize():f}", f.contracts, o.side, o.role == "taker")
        for o, f in truth
    )  # fmt: skip
    assert len(rows) > 30
    times = [row["tradeTime"] for row in rows]
    assert times == sorted(times, reverse=True)
    page = asked(sandbox, "/orders/trades", symbol="btcusdt", limit=10, traceFrom=times[9])["data"]
    assert (page[0]["tradeTime"], len(page)) == (times[9], 10)
    assert len(asked(sandbox, "/orders/trades", symbol="ethusdt")["data"]) <= 100
    one = asked(sandbox, "/orders/trades", orderId=rows[0]["orderId"])["data"]
    assert [row for row in rows if row["orderId"] == rows[0]["orderId"]] == one
    market = sandbox.market.trades("htx-permanent", "btcusdt", now - 2 * DAY * 1000, now + 1)
    public = dict(zip(market["trade_id"].tolist(), market["contracts"].tolist(), strict=True))
    assert {public[row["tradeId"]] - row["tradeVolume"] for row in rows} == {0}


def test_orders_add_up(sandbox: Sandbox) -> None:
    """What was filled is the sum of its fills, what remains the rest; the average is of these."""
    orders = asked(sandbox, "/orders/history", symbol="btcusdt", limit=500)["data"]
    fills = asked(sandbox, "/orders/trades", symbol="btcusdt", limit=500)["data"]
    assert {row["orderStatus"] for row in orders} >= {"filled", "canceled"}
    ended = [row["lastActTime"] for row in orders]
    assert ended == sorted(ended, reverse=True)
    for row in orders:
        mine = [fill for fill in fills if fill["orderId"] == row["orderId"]]
        assert row["execAmt"] == sum(fill["tradeVolume"] for fill in mine)
        assert row["execAmt"] + row["remainAmt"] == row["orderSize"]
        assert ("cancelInitiator" in row) == (row["orderStatus"] in ("canceled", "partial-canceled"))
        if mine:
            worth = sum(Decimal(fill["tradePrice"]) * fill["tradeVolume"] for fill in mine)
            assert abs(Decimal(row["avgExecPrc"]) - worth / row["execAmt"]) < Decimal("1e-6")
    over = asked(sandbox, "/orders/history", symbol="btcusdt", orderStatus="canceled", limit=500)["data"]
    assert over == [row for row in orders if row["orderStatus"] == "canceled"]
    assert asked(sandbox, "/orders/detail", TRADER, orderId=orders[0]["orderId"])["data"] == orders[0]


def test_placing_and_cancelling(sandbox: Sandbox) -> None:
    """An order is open until it is cancelled; of a list, what was accepted and what was not."""
    said = {"symbol": "ethusdt", "orderPrice": "9000.5", "orderSide": "sell", "orderSize": 3, "orderType": "limit"}
    number = asked(sandbox, "/orders", TRADER, "POST", said)["data"]["orderId"]
    (row,) = [r for r in asked(sandbox, "/orders/open-orders", symbol="ethusdt")["data"] if r["orderId"] == number]
    assert (row["orderStatus"], row["timeInForce"], row["remainAmt"]) == ("submitted", "gtc", 3)
    told = asked(sandbox, "/orders", TRADER, "DELETE", {"orderIds": [str(number), "7"]})["data"]
    assert told == {"accepted": [str(number)], "rejected": ["7"]}
    (row,) = [r for r in asked(sandbox, "/orders/history", symbol="ethusdt")["data"] if r["orderId"] == number]
    assert (row["orderStatus"], row["cancelInitiator"]) == ("canceled", "user")
    spoilt = ({"orderSize": 1.5}, {"orderSize": "3"}, {"orderPrice": 9000}, {"orderType": "market"}, {"symbol": "x"})
    for wrong in spoilt:
        assert asked(sandbox, "/orders", TRADER, "POST", {**said, **wrong})["code"] == 2002


@pytest.mark.parametrize(
    ("path", "said", "code", "words"),
    [
        ("/orders/trades", {}, 2002, "exactly one"),
        ("/orders/trades", {"symbol": "btcusdt", "orderId": 5}, 2002, "exactly one"),
        ("/orders/trades", {"symbol": "btcusdt", "limit": 501}, 2002, "invalid.limit"),
        ("/orders/history", {"symbol": "nonsense"}, 2002, "invalid.symbol"),
        ("/orders/history", {"orderStatus": "submitted"}, 2002, "invalid.orderStatus"),
        ("/account/balance", {"currency": "xxx"}, 2002, "invalid.currency"),
        ("/orders/detail", {"orderId": 5}, 1002, "unauthorized"),
        ("/orders/trades", {"symbol": "btcusdt", "SignatureVersion": "3"}, 1003, "invalid signature"),
    ],
)
def test_refusals(sandbox: Sandbox, path: str, said: dict[str, Any], code: int, words: str) -> None:
    """In the envelope, with HTTP 200; the table wants the permission to trade for the detail of an order."""
    answer = asked(sandbox, path, **said)
    assert (answer["code"], words in answer["message"], "data" in answer) == (code, True, False)
