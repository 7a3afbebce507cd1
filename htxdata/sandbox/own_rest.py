"""The private endpoints: accounts, balances, fills, orders, ledger and the key itself (htx-api 10.2, 10.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from .answers import Answer, Ask, Refusal, hyphens, reply, underscores
from .candles import number
from .instruments import INSTRUMENTS, LINEAR, SPOT
from .keys import ApiKey, Keys
from .limits import SPOT as SPOT_HOST
from .limits import SWAP as SWAP_HOST
from .own import ACCOUNT, OTHERS, USER, Fill, Order, Own
from .periods import DAY, HOUR

_STATES = ("created", "submitted", "partial-filled", "filled", "partial-canceled", "canceled")
_NEVER = ("pre-submitted",)  # an old word that clients still send


@dataclass(frozen=True)
class Caller:
    """Who asks, and what of the request was signed."""

    key: ApiKey
    place: re.Match[str]
    placed: list[dict[str, Any]]
    body: bytes = b""

    def told(self, ask: Ask) -> dict[str, Any]:
        """What the body of a POST says."""
        try:
            said = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise hyphens(ask, "bad-request", "invalid json")
        return said

    def order(self, name: str, value: Any) -> dict[str, Any] | None:
        """The order that was placed with such a number."""
        return next((row for row in self.placed if row[name] == value), None)


@dataclass(frozen=True)
class OwnRest:
    """All private endpoints of both hosts. `placed` are orders that were placed through them; they stand for ever."""

    own: Own
    keys: Keys
    placed: list[dict[str, Any]] = field(default_factory=list)

    def serves(self, host: str, method: str, path: str) -> bool:
        return any(
            line == host and verb == method and where.fullmatch(path) for line, verb, where, _ in _ENDPOINTS
        )

    def answer(
        self,
        ask: Ask,
        method: str,
        said: Sequence[tuple[str, str]],
        named: str,
        address: str,
        body: bytes = b"",
    ) -> Answer:
        """The answer to a request. `named` is the host it was sent to, `said` its whole query, decoded."""
        found_at = (
            (where.fullmatch(ask.path), make)
            for line, verb, where, make in _ENDPOINTS
            if (line, verb) == (ask.host, method)
        )
        place, make = next((place, make) for place, make in found_at if place is not None)
        needs = "trade" if method == "POST" else "readOnly"
        found = self.keys.judge(method, named, ask.path, said, address, ask.now, needs=needs)
        if isinstance(found, str):
            raise _not_let_in(ask, found)
        return make(self.own, ask, Caller(found, place, self.placed, body))


def _not_let_in(ask: Ask, why: str) -> Refusal:
    if ask.host == SWAP_HOST:
        return underscores(ask, 403, why)
    if why.startswith("Login"):
        return Refusal(reply({"status": "error", "err-code": "login-required", "err-msg": why, "data": None}))
    text = f"Signature not valid: {why}"
    return Refusal(
        reply({"status": "error", "err-code": "api-signature-not-valid", "err-msg": text, "data": None})
    )


# --------------------------------------------------------------------------------------------------- spot


def accounts(own: Own, ask: Ask, caller: Caller) -> Answer:
    rows = [{"id": ACCOUNT, "type": "spot", "subtype": "", "state": "working"}]
    rows += [{"id": number, "type": kind, "subtype": "", "state": "working"} for number, kind in OTHERS]
    return reply({"status": "ok", "data": rows})


def balance(own: Own, ask: Ask, caller: Caller) -> Answer:
    account = int(caller.place["id"])
    kinds = {ACCOUNT: "spot", **dict(OTHERS)}
    if account not in kinds:
        raise hyphens(
            ask,
            "account-get-balance-account-inexistent-error",
            f"account for id `{account}` and user id `{USER}` does not exist",
        )
    rows = []
    for currency, (held, count) in sorted(own.balances(ask.now).items()) if account == ACCOUNT else ():
        for kind, amount in (("trade", held), ("frozen", Decimal(0))):
            rows.append({"currency": currency, "type": kind, "balance": plain(amount), "seq-num": str(count)})
    return reply(
        {"status": "ok", "data": {"id": account, "type": kinds[account], "state": "working", "list": rows}}
    )


def matchresults(own: Own, ask: Ask, caller: Caller) -> Answer:
    """Newest first; `from` is the record that the page begins behind (the last one of the page before)."""
    symbol = _symbol(ask)
    start, end = _span(ask, 48 * HOUR, 120 * DAY)
    pairs = own.fills(SPOT, symbol, start, end, ask.now)[::-1]
    if types := _list(ask, "types"):
        pairs = [pair for pair in pairs if pair[0].type in types]
    kept = _page(ask, pairs, [fill.record for _, fill in pairs], 100, 500)
    return reply({"status": "ok", "data": [_fill_row(order, fill) for order, fill in kept]})


def order_matchresults(own: Own, ask: Ask, caller: Caller) -> Answer:
    order = _order(own, ask, caller)
    return reply({"status": "ok", "data": [_fill_row(order, fill) for fill in order.fills]})


def orders(own: Own, ask: Ask, caller: Caller) -> Answer:
    """Newest first, by when they were created; `from` is the order that the page begins behind."""
    symbol = _symbol(ask)
    states = _list(ask, "states")
    if not states or not set(states) <= {*_STATES, *_NEVER}:
        raise hyphens(ask, "validation-constraints-error", "states is invalid")
    start, end = _span(ask, 48 * HOUR, 180 * DAY)
    found = [one for one in own.orders(SPOT, symbol, start, end, ask.now)[::-1] if one.state in states]
    kept = _page(ask, found, [one.number for one in found], 100, 100)
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


_TYPE = re.compile(r"(buy|sell)-(limit|market|ioc|limit-maker)")


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


def history(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v1/account/history: what changed in an account, newest first; at most an hour of the last 30 days."""
    if ask.query.get("account-id") != str(ACCOUNT):
        raise hyphens(ask, "account-history-account-id-error", "account-id is invalid")
    start, end = _span(ask, HOUR, 30 * DAY)
    rows: list[dict[str, Any]] = [
        {
            "account-id": ACCOUNT,
            "currency": one.currency,
            "record-id": 10**15 + one.sequence * 8 + place,
            "transact-amt": plain(one.amount),
            "transact-type": one.kind.replace(".", "-"),
            "avail-balance": plain(one.balance),
            "acct-balance": plain(one.balance),
            "transact-time": one.time // 1000,
        }
        for place, one in enumerate(own.changes(start, end, ask.now))
    ][::-1]
    if currency := ask.query.get("currency"):
        rows = [row for row in rows if row["currency"] == currency]
    kept = _page(ask, rows, [row["record-id"] for row in rows], 100, 500, cursor="from-id", inclusive=True)
    more = (
        {"next-id": rows[rows.index(kept[-1]) + 1]["record-id"]} if kept and kept[-1] is not rows[-1] else {}
    )
    return reply({"status": "ok", "data": kept, **more})


def ledger(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v2/account/ledger: transfers between accounts; at most ten days of the last 180."""
    if ask.query.get("accountId") != str(ACCOUNT):
        raise Refusal(reply({"code": 2002, "message": "invalid field value in `accountId`"}))
    start, end = _span(ask, 10 * DAY, 180 * DAY, ("startTime", "endTime"))
    found = [one for one in own.changes(start, end, ask.now)[::-1] if one.kind == "transfer"]
    rows: list[dict[str, Any]] = [
        {
            "accountId": ACCOUNT,
            "currency": one.currency,
            "transactAmt": float(one.amount),
            "transactType": "transfer",
            "transferType": "margin-transfer-out",
            "transactId": one.sequence,
            "transactTime": one.time // 1000,
            "transferer": USER,
            "transferee": ACCOUNT,
        }
        for one in found
    ]
    kept = _page(ask, rows, [row["transactId"] for row in rows], 100, 500, cursor="fromId", inclusive=True)
    more = (
        {"nextId": rows[len(kept)]["transactId"]}
        if len(kept) < len(rows) and "fromId" not in ask.query
        else {}
    )
    return reply({"code": 200, "message": "success", "data": kept, **more, "ok": True})


def user(own: Own, ask: Ask, caller: Caller) -> Answer:
    return reply({"code": 200, "data": USER})


def api_key(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v2/user/api-key: the key that asks (`accessKey` may name another, which is nobody's here)."""
    if ask.query.get("uid") != str(USER):
        raise Refusal(reply({"code": 2002, "message": "invalid field value in `uid`"}))
    key, wanted = caller.key, ask.query.get("accessKey")
    row = {
        "accessKey": key.access,
        "note": key.note,
        "permission": key.permission,
        "ipAddresses": ",".join(key.addresses),
        "validDays": key.days_left(ask.now),
        "status": "normal",
        "createTime": key.created_at // 1000,
        "updateTime": key.created_at // 1000,
    }
    return reply({"code": 200, "message": "success", "data": [row] if wanted in (None, key.access) else []})


# ------------------------------------------------------------------------------------------------- linear


def linear_details(own: Own, ask: Ask, caller: Caller) -> Answer:
    """/v5/trade/order/details: the fills of the last three days, numbers as texts (linear-v5-private-trade-row)."""
    symbol = ask.query.get("contract_code", "")
    if symbol and symbol not in INSTRUMENTS[LINEAR]:
        raise underscores(ask, 1332, "The contract doesn't exist.")
    start, end = _span(ask, 2 * DAY, 3 * DAY, ("start_time", "end_time"))
    pairs = own.fills(LINEAR, symbol, start, end, ask.now)[::-1]
    kept = _page(ask, pairs, [fill.record for _, fill in pairs], 100, 100, size="limit")
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


# -------------------------------------------------------------------------------------------------- pieces


def _symbol(ask: Ask) -> str:
    symbol = ask.query.get("symbol", "")
    if symbol not in INSTRUMENTS[SPOT]:
        raise hyphens(ask, "invalid-parameter", "invalid symbol")
    return symbol


def _span(
    ask: Ask, longest: int, back: int, names: tuple[str, str] = ("start-time", "end-time")
) -> tuple[int, int]:
    """The window that is asked for (both ends belong to it), us: the newest `longest` unless said."""
    try:
        since, until = (number(ask.query.get(name)) for name in names)
    except ValueError:
        raise hyphens(ask, "invalid-parameter", f"invalid {names[0]}") from None
    if until is None:
        last = ask.now if since is None else min(ask.now, since * 1000 + longest)
    else:
        last = until * 1000
    first = last - longest if since is None else since * 1000
    if last - first > longest or first > last:
        raise hyphens(ask, "invalid-parameter", f"invalid {names[0]}: the window is longer than allowed")
    if first < ask.now - back - HOUR:
        raise hyphens(ask, "invalid-start-time", f"{names[0]} is earlier than allowed")
    return first, last + 1000


def _list(ask: Ask, name: str) -> list[str]:
    return [part for part in ask.query.get(name, "").split(",") if part]


def _page(
    ask: Ask,
    rows: Sequence[Any],
    numbers: Sequence[int],
    usual: int,
    most: int,
    *,
    size: str = "size",
    cursor: str = "from",
    inclusive: bool = False,
) -> list[Any]:
    """So many rows behind the one that the cursor names, or before it (`direct=prev`)."""
    try:
        wanted, after = number(ask.query.get(size)), number(ask.query.get(cursor))
    except ValueError:
        raise hyphens(ask, "invalid-parameter", f"invalid {size} or {cursor}") from None
    wanted = usual if wanted is None else wanted
    if not 1 <= wanted <= most:
        raise hyphens(ask, "invalid-parameter", f"invalid {size},valid range: [1, {most}]")
    if after is None:
        return list(rows[:wanted])
    if after not in numbers:
        return []
    place = list(numbers).index(after)
    if ask.query.get("direct") == "prev":
        return list(rows[max(0, place - wanted) : place])
    first = place if inclusive else place + 1
    return list(rows[first : first + wanted])


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


def plain(value: Decimal) -> str:
    """A decimal as the venue spells it: no exponent, no zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


Endpoint = Callable[[Own, Ask, Caller], Answer]


def _at(
    host: str, table: Mapping[str, Endpoint], verb: str = "GET"
) -> tuple[tuple[str, str, re.Pattern[str], Endpoint], ...]:
    return tuple(
        (host, verb, re.compile(path.replace("{id}", r"(?P<id>\d{1,18})")), make)
        for path, make in table.items()
    )


_ENDPOINTS = _at(
    SPOT_HOST,
    {
        "/v1/account/accounts": accounts,
        "/v1/account/accounts/{id}/balance": balance,
        "/v1/account/history": history,
        "/v1/order/matchresults": matchresults,
        "/v1/order/orders": orders,
        "/v1/order/orders/getClientOrder": client_order,
        "/v1/order/orders/{id}": order_detail,
        "/v1/order/orders/{id}/matchresults": order_matchresults,
        "/v2/account/ledger": ledger,
        "/v2/user/uid": user,
        "/v2/user/api-key": api_key,
    },
)
_ENDPOINTS += _at(
    SPOT_HOST, {"/v1/order/orders/place": place, "/v1/order/orders/{id}/submitcancel": cancel}, "POST"
)
_ENDPOINTS += _at(SWAP_HOST, {"/v5/trade/order/details": linear_details})
