"""How an order is placed, cancelled and asked for on HTX spot (htx-api 10.4). Pure."""

from __future__ import annotations

import json

from htxdata.errors import BadReply
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.own import OPEN, OVER, number, word

KINDS = ("limit", "market", "ioc", "limit-maker")
PLACE = Request("/v1/order/orders/place", private=True, method="POST")


def place_body(
    account: str, symbol: str, side: str, kind: str, amount: str, price: str | None, client_order_id: str
) -> bytes:
    """``amount`` is in base units; of a market order to buy what is to be paid. All figures are texts."""
    said = {"account-id": account, "symbol": symbol, "type": f"{side}-{kind}", "amount": amount, "source": "spot-api"}
    said |= {"client-order-id": client_order_id, **({} if price is None else {"price": price})}
    return json.dumps(said, separators=(",", ":")).encode()


def cancel_request(order_id: str) -> Request:
    return Request(f"/v1/order/orders/{order_id}/submitcancel", private=True, method="POST")


def by_id(order_id: str) -> Request:
    return Request(f"/v1/order/orders/{order_id}", private=True)


def by_client_id(client_order_id: str) -> Request:
    return Request("/v1/order/orders/getClientOrder", (("clientOrderId", client_order_id),), private=True)


def taken(reply: Reply) -> str:
    """The number of the order that a POST was about."""
    raw = wire.envelope(reply.body).get("data", b"").strip(b'"')
    if not raw.isdigit():
        raise BadReply(f"'data' is {raw[:40]!r}, not the number of an order")
    return raw.decode()


def state_of(reply: Reply) -> tuple[str, str, str, str, str]:
    """Order, client's number, state, quantity and filled quantity, figures in the venue's digits."""
    (row,) = wire.slow_rows(wire.envelope(reply.body).get("data", b"")) or ({},)
    state = word(row, "state", 0)
    if state not in (*OPEN, *OVER):
        raise BadReply(f"'state' is {state!r:.60}, which is not known")
    filled = "field-amount" if "field-amount" in row else "filled-amount"
    for name in ("amount", filled):
        wire.number(row, name, 0)  # what is no figure is refused
    return number(row, "id", 0), str(row.get("client-order-id") or ""), state, str(row["amount"]), str(row[filled])
