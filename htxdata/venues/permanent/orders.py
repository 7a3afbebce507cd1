"""How an order is placed, cancelled and asked for on permanent (permanent-v1 5). Pure.

Limit orders alone: the text names no market order, and what a stop order is told besides is not what `place` is told.
The client gives an order no number of its own. Whether the list of a DELETE stands in its body or its query is not
said; a list of texts is JSON, and so the body has it [inferred].
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from htxdata.errors import BadReply, Refused
from htxdata.protocol.wire import Reply, Request
from htxdata.venues import figures
from htxdata.venues.permanent.answers import Row, object_of, rows_of, same_symbol, text
from htxdata.venues.permanent.own import number, side

PATH = "/orders"
PLACE = Request(PATH, private=True, method="POST")
CANCEL = Request(PATH, private=True, method="DELETE")

KINDS = {"limit": "gtc", "ioc": "ioc"}
"""What a kind is as ``timeInForce``."""

OPEN = ("created", "submitted", "partial-filled")
OVER = ("filled", "partial-canceled", "canceled", "rejected")
NEWEST = 500
"""So many orders are told at once."""


def place_body(symbol: str, side: str, kind: str, contracts: str, price: str) -> bytes:
    """``orderSize`` is a number, the price a text."""
    said = {"symbol": symbol, "orderPrice": price, "orderSide": side, "orderSize": int(contracts), "orderType": "limit"}
    return json.dumps({**said, "timeInForce": KINDS[kind]}, separators=(",", ":")).encode()


def cancel_body(order_id: str) -> bytes:
    return json.dumps({"orderIds": [order_id]}, separators=(",", ":")).encode()


def by_id(order_id: str) -> Request:
    return Request("/orders/detail", (("orderId", order_id),), private=True)


def lists_of(symbol: str) -> tuple[Request, Request]:
    """The newest open orders, and the newest of those that are over: asked in this order, none falls between them."""
    said = (("symbol", symbol), ("limit", str(NEWEST)))
    return Request("/orders/open-orders", said, private=True), Request("/orders/history", said, private=True)


def taken(reply: Reply) -> str:
    """The number of the order that was placed."""
    return number(object_of(reply), "orderId")


def cancelled(reply: Reply, order_id: str) -> str:
    """The number, if its cancellation was accepted; ``Refused`` where it was rejected, ``BadReply`` for neither."""
    said = object_of(reply)
    told = {name: said.get(name) for name in ("accepted", "rejected")}
    if not all(isinstance(ids, list) for ids in told.values()):
        raise BadReply(f"what was accepted and rejected is {told!r:.80}")
    accepted, rejected = (order_id in map(str, ids or ()) for ids in told.values())
    if accepted == rejected:
        raise BadReply(f"the order is among {told!r:.80}: accepted or rejected?")
    if rejected:
        raise Refused("refused", f"the cancellation of {order_id} was rejected")
    return order_id


@dataclass(frozen=True)
class Told:
    """An order as the venue tells of it. Sizes are contracts, figures in the venue's own digits; ``created_at`` is
    microseconds UTC. ``price`` is None where the venue tells none."""

    order_id: str
    symbol: str
    side: str
    state: str
    price: str | None
    quantity: str
    filled: str
    created_at: int


def told(reply: Reply) -> Told:
    """The answer to `by_id`."""
    return _told(object_of(reply), 0)


def listed(reply: Reply, symbol: str) -> list[Told]:
    """The answer to one of `lists_of`."""
    found = []
    for at, row in enumerate(rows_of(reply)):
        same_symbol(row, symbol, at)
        found.append(_told(row, at))
    return found


def state_of(reply: Reply) -> tuple[str, str, str, str, str]:
    """Order, client's number (there is none), state, contracts and those that were filled."""
    one = told(reply)
    return one.order_id, "", one.state, one.quantity, one.filled


def _told(row: Row, at: int) -> Told:
    state = text(row, "orderStatus", at)
    if state not in (*OPEN, *OVER):
        raise BadReply(f"row {at}: 'orderStatus' is {state!r:.60}, which is not known")
    price = None if row.get("orderPrice") in (None, "") else text(row, "orderPrice", at)
    return Told(
        number(row, "orderId", at), text(row, "symbol", at), side(row, at), state, price,
        number(row, "orderSize", at), number(row, "execAmt", at), figures.instant(row, "orderCreateTime", at),
    )  # fmt: skip
