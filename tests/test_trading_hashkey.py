"""The same trading calls on HashKey's pairs, against the sandbox alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply, KeyRefused, OutcomeUnknown, Refused, Unreachable, UsageError
from htxdata.protocol.wire import Reply
from htxdata.sandbox import Rule, Sandbox
from htxdata.trading import HashKeyTrader, OrderState
from htxdata.venues.hashkey import orders
from tests.traders import TRADER, key_of, only_with_leave, running, told
from tests.truth import settings_for

NAMES = ("HASHKEY_API_KEY", "HASHKEY_SECRET_KEY")
ENV = key_of(*NAMES)
ORDER: dict[str, Any] = {"symbol": "BTCUSDT", "side": "buy", "kind": "limit", "amount": "0.5", "price": "100.25"}
PATH = "/api/v1/spot/order"


def trader(sandbox: Sandbox, folder: Path) -> HashKeyTrader:
    return HashKeyTrader(settings_for(sandbox, folder), allow_trading=True, environ=ENV)


def test_it_does_nothing_unless_it_is_allowed(tmp_path: Path) -> None:
    """Not without the word, not without a key, not with one that is not taken; one that only reads places nothing."""
    with running() as sandbox, only_with_leave(HashKeyTrader, *NAMES, "0001", sandbox, tmp_path) as hands:
        with pytest.raises(KeyRefused, match="-1005: No permission"):
            hands.place(**ORDER, client_order_id="mine-1")
        assert (told(sandbox), sandbox.placed) == ([("POST", PATH)], [])


def test_an_order_from_its_placing_to_its_end(tmp_path: Path) -> None:
    """Placed, found by both numbers, cancelled by a DELETE, refused a second one; a client's number is taken once."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        number = hands.place(**ORDER, client_order_id="mine-1")
        (placed,) = sandbox.placed
        names = ("orderId", "symbol", "side", "type", "origQty", "price", "clientOrderId")
        assert [placed[name] for name in names] == [number, "BTCUSDT", "BUY", "LIMIT", "0.5", "100.25", "mine-1"]
        assert hands.order(number) == hands.find("mine-1") == OrderState(number, "mine-1", "NEW", "0.5", "0")
        with pytest.raises(Refused, match="-1141"):
            hands.place(**ORDER, client_order_id="mine-1")
        assert hands.cancel(number) == number
        assert hands.order(number).state == "CANCELED"
        with pytest.raises(Refused, match="-1142"):
            hands.cancel(number)
        assert hands.find("mine-2") is None
        hands.place("ETHUSDT", "buy", "market", Decimal("12.50"), client_order_id="mine-2")
        hands.place("ETHUSDT", "sell", "limit-maker", "1", "9000", client_order_id="mine-3")
        kept = [(row["origQty"], row["type"]) for row in sandbox.placed[1:]]
        assert kept == [("12.50", "MARKET"), ("1", "LIMIT_MAKER")]
        assert not sandbox.refused_keys


@pytest.mark.parametrize(
    ("rule", "stands"),
    [
        (Rule("error", status=502), False),
        (Rule("error", status=504), False),
        (Rule("drop"), False),
        (Rule("busy"), False),
        (Rule("maintenance"), False),
        (Rule("cut"), True),
    ],
    ids=["502", "504", "drop", "busy", "maintenance", "cut"],
)
@pytest.mark.parametrize("cancelling", [False, True], ids=["placing", "cancelling"])
def test_what_is_not_known_is_said_and_not_repeated(
    tmp_path: Path, rule: Rule, stands: bool, cancelling: bool
) -> None:
    """A 5xx, a lost connection, "timeout", a cut reply: unknown, told once, and then it can be asked."""
    faults = Rule(**{**vars(rule), "path": PATH, "times": 1})
    with running(faults) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(OutcomeUnknown, match=f"{PATH}: whether it was done is not known") as caught:
            hands.cancel("77") if cancelling else hands.place(**ORDER, client_order_id="mine-1")
        assert caught.value.exit_code == 1
        assert not any(word in str(caught.value) for word in (TRADER.access, TRADER.secret, "signature"))
        assert told(sandbox) == [("DELETE" if cancelling else "POST", PATH)]
        found = hands.find("mine-1")
        assert (found is not None, len(sandbox.placed)) == (stands and not cancelling,) * 2


def test_what_is_surely_not_done_is_no_mystery(tmp_path: Path) -> None:
    """The venue's own no, a throttle, and what was never sent."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(Refused, match="-1130: Illegal parameter symbol"):
            hands.place(**{**ORDER, "symbol": "NONSENSE"}, client_order_id="mine-1")
        assert (len(told(sandbox)), sandbox.placed) == (1, [])
    with running(Rule("throttle", path=PATH)) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(Refused, match="HTTP 429"):
            hands.place(**ORDER, client_order_id="mine-1")
        assert (len(told(sandbox)), sandbox.placed) == (1, [])
    with running() as sandbox:
        hands = trader(sandbox, tmp_path)
    with hands, pytest.raises(Unreachable, match="not sent"):
        hands.place(**ORDER, client_order_id="mine-1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "BTCUSDT-PERPETUAL"}, "is a perpetual"),
        ({"amount": 0.5}, "not a positive figure"),
        ({"price": None}, "has a price"),
        ({"kind": "ioc"}, "buy or sell and limit, market, limit-maker"),
        ({"client_order_id": "a,b"}, "client_order_id"),
    ],
)
def test_wrong_orders_are_not_sent(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """Refused here, before anybody hears of them."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(UsageError, match=words):
            hands.place(**{**ORDER, "client_order_id": "mine-1", **change})
        assert told(sandbox) == []


@pytest.mark.parametrize(
    "body",
    [b"[]", b"", b'{"orderId":"x"}', b'{"orderId":"1","status":"ODD","origQty":"1","executedQty":"0"}',
     b'{"orderId":"1","status":"NEW","origQty":1.5,"executedQty":"0"}', b'{"status":"NEW"}'],
)  # fmt: skip
def test_an_answer_that_is_no_order_is_refused(body: bytes) -> None:
    """No number, an unknown state, a figure that is none."""
    with pytest.raises(BadReply):
        orders.state_of(Reply(orders.by_id("1"), 200, body, 1))
