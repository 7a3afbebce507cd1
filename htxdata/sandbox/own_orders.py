"""The private endpoints about orders and fills, of spot and of linear swaps (htx-api 10.2, 10.4, 10.5)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .answers import Answer, Ask, Refusal, hyphens, reply, underscores
from .instruments import INSTRUMENTS, LINEAR, SPOT
from .own import ACCOUNT, Fill, Order, Own
from .own_asks import Caller, listed, page, plain, span
from .periods import DAY, HOUR

_STATES = ("created", "submitted", "partial-filled", "filled", "partial-canceled", "canceled")
_NEVER = ("pre-submitted",)  # an old word that clients still send
_TYPE = re.compile(r"(buy|sell)-(limit|market|ioc|limit-maker)")


def matchresults(own: Own, ask: Ask, caller: Caller) -> Answer:
    """Newest first; `from` is the record that the page begins behind (the last one of the page before)."""
    symbol = _symbol(ask)
    start, end = span(ask, 48 * HOUR, 120 * DAY)
    pairs = own.fills(SPOT, symbol, start, end, ask.now)[::-1]
    if types := listed(ask, "types"):
        pairs = [pair for pair in pairs if pair[0].type in types]
    kept = page(ask, pairs, [fill.record for _, fill in pairs], 100, 500)
    return reply({"status": "ok", "data": [_fill_row(order, fill) for order, fill in kept]})


def order_matchresults(own: Own, ask: Ask, caller: Caller) -> Answer:
    order = _order(own, ask, caller)
    return reply({"status": "ok", "data": [_fill_row(order, fill) for fill in order.fills]})


def orders(own: Own, ask: Ask, caller: Caller) -> Answer:
    """Newest first, by when they were created; `from` is the order that the page begins behind."""
    symbol = _symbol(ask)
    states = listed(ask, "states")
    if not states or not set(states) <= {*_STATES, *_NEVER}:
        raise hyphens(ask, "validation-constraints-error", "states is invalid")
    start, end = span(ask, 48 * HOUR, 180 * DAY)
    found = [one for one in own.orders(SPOT, symbol, start, end, ask.now)[::-1] if one.state in states]
    kept = page(ask, found, [one.number for one in found], 100, 100)
    return reply({"status": "ok", "data": [_order_row(one) for one in kept]})


def place(own: Own, ask: Ask, caller: Caller) -> Answer:
    """POST /v1/order/orders/place: the order is taken and stands. A client's number is taken once."""
    said = caller.told(ask)
    if str(said.get("account-id")) != str(ACCOUNT):
        raise hyphens(ask, "account-for-id-not-found", "account-id is invalid")
    if said.get("symbol") not in INSTRUMENTS[SPOT] or not _TYPE.fullmatch(str(said.get("type"))):
        raise hyphens(ask, "invalid-parameter", "invalid symbol or type")
    if not all(isinstance(said.get(name, ""), str) for name in ("amount", "price", "client-order-id")):
        raise hyphens(ask, "validation-format-error", "numbers are texts here")
    number, client = 10**15 + len(caller.placed), said.get("client-order-id")
    if client and caller.order("client-order-id", client):  # the words for it are documented nowhere [C]
        raise hyphens(ask, "client-order-id-duplicate", "duplicate client-order-id")
    caller.placed.append(
        {
            "id": number, "symbol": said["symbol"], "account-id": ACCOUNT, "client-order-id": client or "",
            "amount": said["amount"], "price": said.get("price", "0"), "created-at": ask.ms, "type": said["type"],
            "field-amount": "0.0", "field-cash-amount": "0.0", "field-fees": "0.0", "finished-at": 0,
            "source": "spot-api", "state": "submitted", "canceled-at": 0,
        }
    )  # fmt: skip
    return reply({"status": "ok", "data": str(number)})


def cancel(own: Own, ask: Ask, caller: Caller) -> Answer:
    """POST /v1/order/orders/{id}/submitcancel: the answer is the order's number."""
    row = caller.order("id", int(caller.place["id"]))
    if row is None:
        raise hyphens(ask, "base-record-invalid", "record invalid")
    if row["state"] != "submitted":
        error = {"status": "error", "err-code": "order-orderstate-error", "err-msg": "Incorrect order state"}
        raise Refusal(reply({**error, "data": None, "order-state": 7}))
    row |= {"state": "canceled", "canceled-at": ask.ms, "finished-at": ask.ms}
    return reply({"status": "ok", "data": str(row["id"])})


def order_detail(own: Own, ask: Ask, caller: Caller) -> Answer:
    if (row := caller.order("id", int(caller.place["id"]))) is not None:
        return reply({"status": "ok", "data": row})
    return reply({"status": "ok", "data": _order_row(_order(own, ask, caller))})


def client_order(own: Own, ask: Ask, caller: Caller) -> Answer:
    said = ask.query.get("clientOrderId", "")
    if said and (row := caller.order("client-order-id", said)) is not None:
        return reply({"status": "ok", "data": row})
    found = re.fullmatch(r"own([0-9a-f]{1,15})", said)
    order = own.order(int(found[1], 16), ask.now) if found else None
    if order is None or order.one.venue != SPOT:
        raise hyphens(ask, "base-record-invalid", "record invalid")
    return reply({"status": "ok", "data": _order_row(order)})


def linear_details(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v5/trade/order/details: the fills of the last three days, numbers as texts (linear-v5-private-trade-row)."""
    symbol = ask.query.get("contract_code", "")
    if symbol and symbol not in INSTRUMENTS[LINEAR]:
        raise underscores(ask, 1332, "The contract doesn't exist.")
    start, end = span(ask, 2 * DAY, 3 * DAY, ("start_time", "end_time"))
    pairs = own.fills(LINEAR, symbol, start, end, ask.now)[::-1]
    kept = page(ask, pairs, [fill.record for _, fill in pairs], 100, 100, size="limit")
    rows = [
        {
            "id": str(fill.record),
            "contract_code": order.symbol,
            "order_id": str(order.number),
            "trade_id": str(fill.trade_id),
            "side": order.side,
            "position_side": "both",
            "order_type": "1",
            "margin_mode": "cross",
            "type": order.type.split("-")[1],
            "role": order.role.upper(),
            "trade_price": plain(fill.price),
            "trade_volume": str(fill.contracts),
            "trade_turnover": plain(fill.price * fill.quantity),
            "created_time": str(fill.time // 1000),
            "updated_time": str(fill.time // 1000),
            "order_source": "api",
            "fee_currency": fill.fee_currency,
            "trade_fee": plain(fill.fee),
            "deduction_price": "",
            "profit": "0",
            "contract_type": "swap",
        }
        for order, fill in kept
    ]
    return reply({"code": 200, "message": "Success", "data": rows, "ts": ask.ms})


def _symbol(ask: Ask) -> str:
    symbol = ask.query.get("symbol", "")
    if symbol not in INSTRUMENTS[SPOT]:
        raise hyphens(ask, "invalid-parameter", "invalid symbol")
    return symbol


def _order(own: Own, ask: Ask, caller: Caller) -> Order:
    order = own.order(int(caller.place["id"]), ask.now)
    if order is None or order.one.venue != SPOT:
        raise hyphens(ask, "base-record-invalid", "record invalid")
    return order


def _fill_row(order: Order, fill: Fill) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "fee-currency": fill.fee_currency,
        "source": "spot-api",
        "price": plain(fill.price),
        "created-at": fill.time // 1000,
        "role": order.role,
        "order-id": order.number,
        "match-id": fill.match,
        "trade-id": fill.trade_id,
        "filled-amount": plain(fill.quantity),
        "filled-fees": plain(fill.fee),
        "filled-points": "0",
        "fee-deduct-currency": "",
        "fee-deduct-state": "done",
        "id": fill.record,
        "type": order.type,
    }


def _order_row(order: Order) -> dict[str, Any]:
    filled = sum((fill.quantity for fill in order.fills), Decimal(0))
    cash = sum((fill.quantity * fill.price for fill in order.fills), Decimal(0))
    over = order.state in ("filled", "canceled", "partial-canceled")
    cancelled = order.state in ("canceled", "partial-canceled")
    return {
        "id": order.number,
        "symbol": order.symbol,
        "account-id": ACCOUNT,
        "client-order-id": order.client_id,
        "amount": plain(order.amount),
        "price": plain(order.price or Decimal(0)),
        "created-at": order.created_at // 1000,
        "type": order.type,
        "field-amount": plain(filled),
        "field-cash-amount": plain(cash),
        "field-fees": plain(sum((fill.fee for fill in order.fills), Decimal(0))),
        "finished-at": order.finished_at // 1000 if over else 0,
        "source": "spot-api",
        "state": order.state,
        "canceled-at": order.finished_at // 1000 if cancelled else 0,
    }
