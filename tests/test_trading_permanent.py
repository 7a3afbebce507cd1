"""The same trading calls on permanent's contracts, against the sandbox alone."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply, KeyRefused, OutcomeUnknown, Refused, Unreachable, UsageError
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import Rule, Sandbox
from htxdata.trading import NewestOrder, OrderState, PermanentTrader
from htxdata.venues.permanent import orders
from tests.traders import TRADER, key_of, only_with_leave, running, told
from tests.truth import settings_for

NAMES = ("PERMANENT_ACCESS_KEY", "PERMANENT_SECRET_KEY")
ENV = key_of(*NAMES)
ORDER: dict[str, Any] = {"symbol": "btcusdt", "side": "buy", "kind": "limit", "contracts": "5", "price": "100.25"}
PATH = "/api/swap/orders"


def trader(sandbox: Sandbox, folder: Path) -> PermanentTrader:
    return PermanentTrader(settings_for(sandbox, folder), allow_trading=True, environ=ENV)


def test_it_does_nothing_unless_it_is_allowed(tmp_path: Path) -> None:
    """Not without the word, not without a key, not with one that is not taken; one that only reads places nothing."""
    with running() as sandbox, only_with_leave(PermanentTrader, *NAMES, "1003", sandbox, tmp_path) as hands:
        with pytest.raises(KeyRefused, match="1002: unauthorized"):
            hands.place(**ORDER)
        with pytest.raises(KeyRefused, match="1002: unauthorized"):
            hands.order("7")  # (the text asks for the permission to trade here as well)
        assert (told(sandbox), sandbox.placed) == ([("POST", PATH)], [])


def test_an_order_from_its_placing_to_its_end(tmp_path: Path) -> None:
    """Placed, asked for, among the newest, cancelled by a DELETE; a second cancellation is rejected."""
    with running(own_seconds=3600) as sandbox, trader(sandbox, tmp_path) as hands:
        number = hands.place(**ORDER)
        (placed,) = sandbox.placed
        names = ("orderId", "symbol", "orderSide", "orderType", "timeInForce", "orderSize", "orderPrice")
        assert [placed[name] for name in names] == [int(number), "btcusdt", "buy", "limit", "gtc", 5, "100.25"]
        assert hands.order(number) == OrderState(number, "", "submitted", "5", "0")
        made = placed["orderCreateTime"] * 1000
        mine = NewestOrder(number, "btcusdt", "buy", "submitted", "100.25", "5", "0", made)
        assert hands.newest("btcusdt")[0] == mine
        assert number not in [one.order_id for one in hands.newest("ethusdt")]
        assert hands.cancel(number) == number
        assert hands.order(number).state == "canceled"
        with pytest.raises(Refused, match=f"the cancellation of {number} was rejected"):
            hands.cancel(number)
        second = hands.place("ethusdt", "sell", "ioc", Decimal("12"), Decimal("9000.5"))
        kept = sandbox.placed[1]
        assert (kept["orderSize"], kept["orderPrice"], kept["timeInForce"]) == (12, "9000.5", "ioc")
        assert hands.order(second).state == "canceled"
        assert not sandbox.refused_keys


def test_what_names_no_parameter_is_signed_alike_in_both_orders(tmp_path: Path) -> None:
    """Where the exchange sorts names by ASCII, orders are placed and cancelled all the same; questions are refused."""
    with running(permanent_by_ascii=True) as sandbox, trader(sandbox, tmp_path) as hands:
        number = hands.place(**ORDER)
        with pytest.raises(KeyRefused, match="1003"):
            hands.order(number)
        assert hands.cancel(number) == number
        assert sandbox.placed[0]["orderStatus"] == "canceled"


def test_the_newest_orders_are_those_that_the_exchange_has(tmp_path: Path) -> None:
    """Open ones and those that ended within two days, newest first, with the figures that they were placed with."""
    with running(own_seconds=1800) as sandbox, trader(sandbox, tmp_path) as hands:
        found = hands.newest("btcusdt")
        now = sandbox.now()
        truth = sandbox.own.orders("htx-permanent", "btcusdt", now - 47 * 3_600_000_000, now, now)
        assert len(truth) > 50
        ours = {one.order_id: (one.side, one.state, one.created_at, int(one.filled)) for one in found}
        for one in truth:
            filled = sum(fill.contracts for fill in one.fills)
            assert ours[str(one.number)] == (one.side, one.state, one.created_at, filled)
        assert [one.created_at for one in found] == sorted((one.created_at for one in found), reverse=True)
        assert hands.order(str(truth[0].number)).order_id == str(truth[0].number)


@pytest.mark.parametrize(
    ("rule", "stands"),
    [
        (Rule("error", status=502), False),
        (Rule("error", status=504), False),
        (Rule("drop"), False),
        (Rule("busy"), False),
        (Rule("cut"), True),
    ],
    ids=["502", "504", "drop", "busy", "cut"],
)
@pytest.mark.parametrize("cancelling", [False, True], ids=["placing", "cancelling"])
def test_what_is_not_known_is_said_and_not_repeated(
    tmp_path: Path, rule: Rule, stands: bool, cancelling: bool
) -> None:
    """A 5xx, a lost connection, "system.error", a cut reply: unknown, told once, and then it can be looked for."""
    faults = Rule(**{**vars(rule), "path": PATH, "times": 1})
    with running(faults) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(OutcomeUnknown, match=r"/orders: whether it was done is not known") as caught:
            hands.cancel("77") if cancelling else hands.place(**ORDER)
        assert caught.value.exit_code == 1
        assert not any(word in str(caught.value) for word in (TRADER.access, TRADER.secret, "Signature"))
        assert told(sandbox) == [("DELETE" if cancelling else "POST", PATH)]
        mine = [one for one in hands.newest("btcusdt") if (one.price, one.quantity) == ("100.25", "5")]
        assert (bool(mine), len(sandbox.placed)) == (stands and not cancelling,) * 2


@pytest.mark.parametrize("data", [{}, {"orderId": "x"}, [], {"accepted": ["8"], "rejected": []}], ids=str)
def test_an_answer_that_cannot_be_read_leaves_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: object
) -> None:
    """Success by its code, and no word of what came of it: not known, never "no"."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        monkeypatch.setattr(hands._client, "tell", lambda request, body: answer(data))
        for act in (lambda: hands.place(**ORDER), lambda: hands.cancel("7")):
            with pytest.raises(OutcomeUnknown, match="/orders: whether it was done is not known"):
                act()


def test_what_is_surely_not_done_is_no_mystery(tmp_path: Path) -> None:
    """The venue's own no, a throttle, and what was never sent."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(Refused, match=r"invalid\.symbol"):
            hands.place(**{**ORDER, "symbol": "nonsense"})
        assert (len(told(sandbox)), sandbox.placed) == (1, [])
    with running(Rule("throttle", path=PATH)) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(Refused, match="HTTP 429"):
            hands.place(**ORDER)
        assert (len(told(sandbox)), sandbox.placed) == (1, [])
    with running() as sandbox:
        hands = trader(sandbox, tmp_path)
    with hands, pytest.raises(Unreachable, match="not sent"):
        hands.place(**ORDER)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contracts": "0.5"}, "whole contracts"),
        ({"contracts": 5}, "not a positive figure"),
        ({"price": None}, "has a price"),
        ({"price": 100.25}, "not a positive figure"),
        ({"kind": "market"}, "buy or sell and limit, ioc"),
        ({"side": "long"}, "buy or sell"),
    ],
)
def test_wrong_orders_are_not_sent(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Refused here, before anybody hears of them."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(UsageError, match=words):
            hands.place(**{**ORDER, **change})
        assert told(sandbox) == []


def answer(data: object) -> Reply:
    return Reply(Request("/orders"), 200, json.dumps({"code": 200, "data": data}).encode(), 1)


@pytest.mark.parametrize(
    "data",
    [{"accepted": [], "rejected": []}, {"accepted": ["7"], "rejected": ["7"]}, {"accepted": ["7"]}, {"accepted": "7"},
     [], {"accepted": ["8"], "rejected": []}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_does_not_say_what_came_of_it_is_refused(data: object) -> None:
    """Neither accepted nor rejected, or both: then it is not known."""
    with pytest.raises(BadReply):
        orders.cancelled(answer(data), "7")
    assert orders.cancelled(answer({"accepted": [7], "rejected": []}), "7") == "7"


@pytest.mark.parametrize(
    "change",
    [{"orderStatus": "odd"}, {"orderId": "x"}, {"orderSide": "up"}, {"execAmt": None}, {"orderSize": 1.5},
     {"orderCreateTime": 1}, {"symbol": None}, {"orderPrice": 5}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_no_order_is_refused(change: dict[str, Any]) -> None:
    """No number, an unknown state, a figure that is none."""
    right = {"orderId": 7, "symbol": "btcusdt", "orderSide": "buy", "orderStatus": "filled", "orderSize": 2,
             "execAmt": 2, "orderCreateTime": 1_704_067_200_000}  # fmt: skip
    assert orders.state_of(answer(right)) == ("7", "", "filled", "2", "2")
    with pytest.raises(BadReply):
        orders.state_of(answer({**right, **change}))
