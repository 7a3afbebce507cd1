"""How an order is placed, cancelled and asked for on HashKey's pairs (hashkey-api 6; rows as in ccxt's comments). Pure.

Everything is in the query, which is what is signed; the body is empty.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.hashkey.rows import object_of

PATH = "/api/v1/spot/order"
KINDS = {"limit": "LIMIT", "market": "MARKET", "limit-maker": "LIMIT_MAKER"}
STATES = ("NEW", "PARTIALLY_FILLED", "PARTIALLY_CANCELED", "FILLED", "CANCELED", "PENDING_CANCEL", "REJECTED",
          "ORDER_NEW", "ORDER_CANCELED")  # fmt: skip  # the last two [code]


def place_request(symbol: str, side: str, kind: str, amount: str, price: str | None, client_order_id: str) -> Request:
    """``amount`` is in base units; of a market order to buy what is to be paid [code]. All figures are texts."""
    said = [("symbol", symbol), ("side", side.upper()), ("type", KINDS[kind]), ("quantity", amount)]
    if price is not None:
        said.append(("price", price))
    said.append(("newClientOrderId", client_order_id))
    return Request(PATH, tuple(said), private=True, method="POST")


def cancel_request(order_id: str) -> Request:
    return Request(PATH, (("orderId", order_id),), private=True, method="DELETE")


def by_id(order_id: str) -> Request:
    return Request(PATH, (("orderId", order_id),), private=True)


def by_client_id(client_order_id: str) -> Request:
    return Request(PATH, (("origClientOrderId", client_order_id),), private=True)


def taken(reply: Reply) -> str:
    """The number of the order that was placed or cancelled."""
    return _number(object_of(reply.body))


def state_of(reply: Reply) -> tuple[str, str, str, str, str]:
    """Order, client's number, state, quantity and filled quantity, figures in the venue's digits."""
    row = object_of(reply.body)
    state = row.get("status")
    if state not in STATES:
        raise BadReply(f"'status' is {state!r:.60}, which is not known")
    for name in ("origQty", "executedQty"):
        if not isinstance(row.get(name), str):
            raise BadReply(f"{name!r} is {row.get(name)!r:.60}, not a figure")
    return _number(row), str(row.get("clientOrderId") or ""), state, row["origQty"], row["executedQty"]


def _number(row: dict[str, Any]) -> str:
    number = str(row.get("orderId"))
    if not number.isascii() or not number.isdigit():
        raise BadReply(f"'orderId' is {number!r:.60}, not the number of an order")
    return number
