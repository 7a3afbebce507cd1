"""Permanent's private half over REST: who signed, his orders, his fills, his account (permanent-v1 3.4 and 5).

What is told is the seed's (`own`), and what was placed here, which stands until it is cancelled. Its orders are limit
orders; those that the seed has as market orders are told as ``ioc``. What the reference leaves open is decided here:

* The path that is signed is the one of the tables, without ``/api/swap``, as the private socket's printed ``/ws`` is.
* Names are sorted as in the worked example (`Names.fold`) or, if told so, by ASCII as the text says.
* The list of a DELETE stands in its body.
* What is wrong with a signature is 1003, as HTX has it elsewhere (htx-api 1.3); all else about a key is 1002.

Positions are not told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from .answers import Answer, Ask, Refusal, reply
from .instruments import INSTRUMENTS, PERMANENT
from .keys import NO_SIGNATURE, NO_TIME, Keys, Names
from .own import Fill, Order, Own
from .own_asks import plain
from .periods import HOUR

BASE = "/api/swap"
_REACH = 48 * HOUR
_OPEN = ("created", "submitted", "partial-filled")
_OVER = ("filled", "partial-canceled", "canceled", "rejected")
_MOST_AT_ONCE = 50

Row = dict[str, Any]


@dataclass(frozen=True)
class PermanentOwn:
    """All private endpoints. `placed` are orders that were placed through them, as they look now."""

    own: Own
    keys: Keys
    by_ascii: bool = False
    placed: list[Row] = field(default_factory=list)

    def serves(self, method: str, path: str) -> bool:
        return (method, path.removeprefix(BASE)) in _ENDPOINTS

    def answer(
        self, ask: Ask, method: str, said: Sequence[tuple[str, str]], named: str, address: str, body: bytes
    ) -> Answer:
        """The answer to a request. `named` is the host it was sent to, `said` its whole query, decoded."""
        path = ask.path.removeprefix(BASE)
        needs, make = _ENDPOINTS[method, path]
        names = Names(fold=not self.by_ascii)
        found = self.keys.judge(method, named, path, said, address, ask.now, names, needs)
        if isinstance(found, str):
            if found in (NO_SIGNATURE, NO_TIME):
                raise _no(f"invalid signature: {found}", 1003)
            raise _no(f"unauthorized: {found}", 1002)
        return make(self, ask, body)

    def orders(self, ask: Ask, states: Sequence[str]) -> list[Row]:
        """All orders that are in one of these states now, of the symbol that is asked for, or of all."""
        symbol = ask.query.get("symbol")
        start = ask.now - (_REACH if states == _OVER else 0) - HOUR  # an order of the seed stands for seconds
        symbols = [symbol] if symbol else list(INSTRUMENTS[PERMANENT])
        found = [one for name in symbols for one in self.own.orders(PERMANENT, name, start, ask.now + 1, ask.now)]
        rows = [_order(one) for one in found] + [row for row in self.placed if symbol in (None, "", row["symbol"])]
        return [row for row in rows if row["orderStatus"] in states]


def _no(words: str, code: int = 2002) -> Refusal:
    return Refusal(reply({"code": code, "message": words}))


def _ok(data: Any) -> Answer:
    return reply({"code": 200, "data": data})


# --------------------------------------------------------------------------------------------------- what is asked


def _whole(ask: Ask, name: str) -> int | None:
    text = ask.query.get(name)
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit():
        raise _no(f"invalid.{name}")
    return int(text)


def _symbol(ask: Ask) -> str:
    symbol = ask.query.get("symbol", "")
    if symbol and symbol not in INSTRUMENTS[PERMANENT]:
        raise _no("invalid.symbol")
    return symbol


def _page(ask: Ask, rows: list[Row], time: str, reach: int | None = None) -> Answer:
    """Newest first by `time`, from `traceFrom` (ms, inclusive) back."""
    limit, edge = _whole(ask, "limit"), _whole(ask, "traceFrom")
    if limit is not None and not 1 <= limit <= 500:
        raise _no("invalid.limit")
    last = ask.ms if edge is None else edge
    first = 0 if reach is None else ask.ms - reach // 1000
    kept = sorted((row for row in rows if first <= row[time] <= last), key=lambda row: -row[time])
    return _ok(kept[: limit or 100])


def _listed(ask: Ask, name: str, known: Sequence[str]) -> list[str]:
    wanted = [part for part in ask.query.get(name, "").split(",") if part]
    if not set(wanted) <= set(known):
        raise _no(f"invalid.{name}")
    return wanted or list(known)


# --------------------------------------------------------------------------------------------------------- answers


def detail(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """GET /orders/detail: one that was placed here, or one of the seed's."""
    number = _whole(ask, "orderId")
    row = next((row for row in here.placed if row["orderId"] == number), None)
    order = None if row is not None or number is None else here.own.order(number, ask.now)
    if order is not None and Own.place_of(order.number)[0] == PERMANENT:
        row = _order(order)
    if row is None:
        raise _no("invalid.orderId")
    return _ok(row)


def open_orders(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """GET /orders/open-orders: newest first by when they were placed."""
    _symbol(ask)
    sides, kinds = _listed(ask, "orderSide", ("buy", "sell")), _listed(ask, "orderTypes", ("limit", "stop-limit"))
    rows = [row for row in here.orders(ask, _OPEN) if row["orderSide"] in sides and row["orderType"] in kinds]
    return _page(ask, [{k: v for k, v in row.items() if k != "cancelInitiator"} for row in rows], "orderCreateTime")


def history(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """GET /orders/history: what is over, newest first by when something last happened to it; 48 hours back."""
    _symbol(ask)
    states, kinds = _listed(ask, "orderStatus", _OVER), _listed(ask, "orderTypes", ("limit", "stop-limit"))
    rows = [row for row in here.orders(ask, _OVER) if row["orderStatus"] in states and row["orderType"] in kinds]
    return _page(ask, rows, "lastActTime", _REACH)


def fills(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """GET /orders/trades: of a symbol or of an order, newest first; 48 hours back."""
    symbol, number = _symbol(ask), _whole(ask, "orderId")
    if bool(symbol) == (number is not None):
        raise _no("invalid.symbol or orderId: exactly one")
    if number is not None:
        order = here.own.order(number, ask.now)
        pairs = [] if order is None or Own.place_of(number)[0] != PERMANENT else [(order, f) for f in order.fills]
    else:
        pairs = _lately(here, ask, symbol)
    return _page(ask, [_fill(order, fill) for order, fill in pairs], "tradeTime", _REACH)


def _lately(here: PermanentOwn, ask: Ask, symbol: str) -> list[tuple[Order, Fill]]:
    """The fills that a page may hold: as far back as it takes for so many."""
    wanted, edge = _whole(ask, "limit") or 100, _whole(ask, "traceFrom")
    end = min(ask.now, ask.now if edge is None else edge * 1000) + 1
    oldest, step = ask.now - _REACH - HOUR, 64 * here.own.every
    found: list[tuple[Order, Fill]] = []
    while end > oldest and len(found) < wanted:
        start = max(oldest, (end - step) // 1000 * 1000)  # rows of one millisecond are not parted
        found = here.own.fills(PERMANENT, symbol, start, end, ask.now) + found
        end, step = start, 2 * step
    return found


def balance(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """GET /account/balance. What lies there never changes here: fees and profits are not booked."""
    held = {"usdt": "100000"}
    wanted = ask.query.get("currency")
    if wanted and wanted not in held:
        raise _no("invalid.currency")
    return _ok(
        [
            {
                "accountStatus": "normal", "currency": name, "accountEquity": amount, "accountBalance": amount,
                "availBalance": amount, "positionMargin": "0", "orderMargin": "0", "realisedPnl": "0",
                "unrealisedPnl": "0",
            }
            for name, amount in held.items()
            if wanted in (None, "", name)
        ]
    )  # fmt: skip


def place(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """POST /orders: a limit order is taken and stands; one that is ``ioc`` finds nobody and is over at once."""
    said = _told(body)
    known = {"symbol": INSTRUMENTS[PERMANENT], "orderSide": ("buy", "sell"), "orderType": ("limit",),
             "timeInForce": ("gtc", "ioc")}  # fmt: skip
    said.setdefault("timeInForce", "gtc")
    for name, choices in known.items():
        if not isinstance(said.get(name), str) or said[name] not in choices:
            raise _no(f"invalid.{name}")
    size, price = said.get("orderSize"), said.get("orderPrice")
    if type(size) is not int or size < 1:
        raise _no("invalid.orderSize")
    try:
        right = isinstance(price, str) and Decimal(price) > 0
    except ArithmeticError:
        right = False
    if not right:
        raise _no("invalid.orderPrice")
    over = said["timeInForce"] == "ioc"
    row = {
        "orderId": 10**15 + len(here.placed), "symbol": said["symbol"], "orderPrice": price,
        "orderSide": said["orderSide"], "orderSize": size, "orderType": "limit",
        "orderStatus": "canceled" if over else "submitted", **({"cancelInitiator": "exchange"} if over else {}),
        "timeInForce": said["timeInForce"], "orderCreateTime": ask.ms, "lastActTime": ask.ms, "execAmt": 0,
        "remainAmt": size, "avgExecPrc": "0",
    }  # fmt: skip
    here.placed.append(row)
    return _ok({"orderId": row["orderId"]})


def cancel(here: PermanentOwn, ask: Ask, body: bytes) -> Answer:
    """DELETE /orders: which of the numbers were accepted for cancellation, which rejected."""
    numbers = _told(body).get("orderIds")
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= _MOST_AT_ONCE:
        raise _no("invalid.orderIds")
    if not all(isinstance(number, str) for number in numbers):
        raise _no("invalid.orderIds")
    told: dict[str, list[str]] = {"accepted": [], "rejected": []}
    for number in numbers:
        row = next((row for row in here.placed if str(row["orderId"]) == number), None)
        if row is None or row["orderStatus"] not in _OPEN:
            told["rejected"].append(number)
            continue
        row |= {"orderStatus": "canceled", "cancelInitiator": "user", "lastActTime": ask.ms}
        told["accepted"].append(number)
    return _ok(told)


def _told(body: bytes) -> Row:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise _no("invalid.json", 2001)
    return said


# ------------------------------------------------------------------------------------------------------------ rows


def order_size(order: Order) -> int:
    """Contracts."""
    if order.type == "buy-market":  # its amount is what was to be paid
        return sum(fill.contracts for fill in order.fills)
    return int(order.amount / Decimal(repr(order.one.contract_size)))


def _order(order: Order) -> Row:
    done = sum(fill.contracts for fill in order.fills)
    size = order_size(order)
    worth = sum((fill.price * fill.contracts for fill in order.fills), Decimal(0))
    over = order.state in _OVER
    acted = order.finished_at if over else max([order.created_at, *(fill.time for fill in order.fills)])
    price = order.price if order.price is not None else max(fill.price for fill in order.fills)
    cancelled = {"cancelInitiator": "user"} if order.state in ("canceled", "partial-canceled") else {}
    return {
        "orderId": order.number, "symbol": Own.place_of(order.number)[1], "orderPrice": plain(price),
        "orderSide": order.side, "orderSize": size, "orderType": "limit", "orderStatus": order.state, **cancelled,
        "timeInForce": "gtc" if order.price is not None else "ioc", "orderCreateTime": order.created_at // 1000,
        "lastActTime": acted // 1000, "execAmt": done, "remainAmt": size - done,
        "avgExecPrc": plain(worth / done) if done else "0",
    }  # fmt: skip


def _fill(order: Order, fill: Fill) -> Row:
    return {
        "symbol": Own.place_of(order.number)[1], "tradeId": fill.trade_id, "tradePrice": plain(fill.price),
        "tradeVolume": fill.contracts, "tradeTime": fill.time // 1000, "execType": "trade",
        "transactFee": plain(fill.fee), "aggressor": order.role == "taker", "orderId": order.number,
        "orderSide": order.side,
    }  # fmt: skip


_ENDPOINTS: Mapping[tuple[str, str], tuple[str, Callable[[PermanentOwn, Ask, bytes], Answer]]] = {
    ("GET", "/orders/detail"): ("trade", detail),  # (the table has it so)
    ("GET", "/orders/open-orders"): ("readOnly", open_orders),
    ("GET", "/orders/history"): ("readOnly", history),
    ("GET", "/orders/trades"): ("readOnly", fills),
    ("GET", "/account/balance"): ("readOnly", balance),
    ("POST", "/orders"): ("trade", place),
    ("DELETE", "/orders"): ("trade", cancel),
}
