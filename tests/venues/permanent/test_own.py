"""Rows of one's own history on permanent, made by hand from the field tables (permanent-v1 5)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.edge import NEWEST
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import Window
from htxdata.venues.permanent import own
from htxdata.venues.permanent.answers import judge
from htxdata.venues.terms import NO_FACTS, Facts

NOW = 1_704_067_200_000_000
SERIES = Series("own_fills", "htx-permanent", "btcusdt")
FILL: dict[str, Any] = {
    "symbol": "btcusdt", "tradeId": 17, "tradePrice": "42000.5", "tradeVolume": 20, "tradeTime": NOW // 1000,
    "execType": "trade", "transactFee": "-0.25", "aggressor": False, "orderId": 5, "orderSide": "buy",
}  # fmt: skip
HELD = {
    "accountStatus": "normal", "currency": "usdt", "accountEquity": "12", "accountBalance": "10.5",
    "availBalance": "7", "positionMargin": "2", "orderMargin": "1.5", "realisedPnl": "0", "unrealisedPnl": "1.5",
}  # fmt: skip


def reply(data: object) -> Reply:
    return Reply(Request("/x"), 200, json.dumps({"code": 200, "data": data}).encode(), NOW)


def fills(*changes: dict[str, Any]) -> dict[str, list[Any]]:
    rows = [{**FILL, **change} for change in changes]
    return dict(own.fills(reply(rows), SERIES, Facts(0.001)).columns)


def test_a_fill() -> None:
    """Contracts become coins; the fee has no currency, its sign is the venue's; the maker did not aggress."""
    assert fills({}) == {
        "trade_time": [NOW], "trade_id": ["17"], "order_id": ["5"], "side": ["buy"], "price": [42000.5],
        "quantity": [0.02], "fee": [-0.25], "fee_currency": [None], "role": ["maker"], "order_type": [None],
        "client_order_id": [None],
    }  # fmt: skip


def test_what_the_venue_did_by_force_is_a_fill_and_a_funding_is_none() -> None:
    """A liquidation is told by its kind; the exchange of a funding counts as a row of the page and is not stored."""
    assert fills({"execType": "liquidated"}, {"execType": "deleverage"})["order_type"] == ["liquidated", "deleverage"]
    rows = [FILL, {"symbol": "btcusdt", "execType": "funding", "tradeTime": NOW // 1000 - 5}]
    parsed = own.fills(reply(rows), SERIES, Facts(0.001))
    assert (parsed.columns["trade_id"], parsed.page.count, parsed.page.first) == (["17"], 2, NOW - 5000)


@pytest.mark.parametrize(
    "change",
    [
        {"execType": "gift"}, {"execType": None}, {"aggressor": "true"}, {"aggressor": None}, {"orderSide": "BUY"},
        {"tradeVolume": 0}, {"tradeVolume": 1.5}, {"tradePrice": "0"}, {"transactFee": ""}, {"symbol": "ethusdt"},
        {"tradeId": -1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_known_is_refused(change: dict[str, Any]) -> None:
    """Unknown words, no fill, another symbol."""
    with pytest.raises(BadReply):
        fills(change)


def test_a_contract_of_unknown_size_has_no_fills_in_coins() -> None:
    """Of quanto and coin-margined contracts nothing is made up."""
    with pytest.raises(BadReply, match="base units"):
        own.fills(reply([FILL]), SERIES, NO_FACTS)


def test_the_edge_is_the_near_one() -> None:
    """`traceFrom` is the last millisecond of the window; none at all asks for the newest. Private, both."""
    (endpoint,) = [one for one in own.OWN if one.dataset == "own_fills"]
    asked = endpoint.build(SERIES, Ask(Window(NOW - 10_000, NOW), 500))
    assert (asked.private, asked.params) == (
        True, (("symbol", "btcusdt"), ("traceFrom", str(NOW // 1000 - 1)), ("limit", "500"))
    )  # fmt: skip
    assert "traceFrom" not in dict(endpoint.build(SERIES, Ask(NEWEST, 500)).params)


def test_balances() -> None:
    """Without what open positions have won; what orders hold is frozen, what positions hold is not."""
    parsed = own.balances(reply([HELD, {**HELD, "currency": "btc", "accountStatus": "frozen"}]))
    assert dict(parsed.columns) == {
        "symbol": ["*", "*"], "account_id": ["swap", "swap"], "account_type": ["swap", "swap"],
        "currency": ["usdt", "btc"], "balance": [10.5, 10.5], "available": [7.0, 7.0], "frozen": [1.5, 1.5],
        "sequence": [None, None],
    }  # fmt: skip
    assert own.balances(reply([])).page.count == 0
    for rows in ([HELD, HELD], [{**HELD, "accountStatus": "gone"}], [{**HELD, "availBalance": None}]):
        with pytest.raises(BadReply):
            own.balances(reply(rows))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": 1003, "message": "invalid signature"}, 200), ({"code": 1002, "message": "unauthorized"}, 200),
        ({"code": 2002, "message": "invalid.accesskey"}, 200), ({}, 401),
        ({"status": "error", "err-code": "api-signature-not-valid", "err-msg": "Signature not valid: x"}, 200),
    ],
)  # fmt: skip
def test_a_key_that_is_not_taken_is_no_other_fault(body: object, status: int) -> None:
    """The words are written nowhere: those that Huobi has elsewhere end a run at once, and nothing knocks again."""
    fault = judge(Reply(Request("/x"), status, json.dumps(body).encode(), NOW))
    assert (fault and fault.kind) == "key"
