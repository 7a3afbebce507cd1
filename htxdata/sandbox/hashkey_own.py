"""HashKey's private half over REST: who signed, his account, his fills, his orders (hashkey-api 6).

A signed request shows its key in a header; its signature is HMAC-SHA256 in hex over the query and the form, as they
were sent and without an ``&`` between them. What is told is the seed's (`own`). Orders that are placed here stand until
they are cancelled. The words are those of the error table; what `toId` and `fromId` mean exactly is [unknown], both
bounds belong to the range here, and so do both ends of a window of time.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from . import hashkey_lent
from .answers import Answer, Ask, Refusal, reply
from .hashkey_answers import text_error
from .instruments import HASHKEY, INSTRUMENTS, Instrument
from .keys import ApiKey, Keys
from .own import Fill, Order, Own
from .own_asks import plain
from .periods import DAY

ACCOUNT, FUTURES_ACCOUNT, USER = "1732885739589466112", "1735619524953226496", "1732885739572845312"
_FIRST_MS = 1_307_388_827_152
"""Numbers of fills grow with time: the upper 42 bits count milliseconds from here (the samples' numbers and times)."""

_WINDOW, _EARLY = "5000", 1000  # ms that a request may be late unless it says otherwise, and early
_TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER")
_SIDES = {"spot": ("BUY", "SELL"), "swap": ("BUY_OPEN", "SELL_OPEN", "BUY_CLOSE", "SELL_CLOSE")}


@dataclass(frozen=True)
class HashkeyOwn:
    """All private endpoints. `placed` are orders that were placed through them, as they look now."""

    own: Own
    keys: Keys
    placed: list[dict[str, Any]] = field(default_factory=list)

    def serves(self, method: str, path: str) -> bool:
        return (method, path) in _ENDPOINTS or (path == hashkey_lent.PATH and method in ("POST", "PUT", "DELETE"))

    def answer(
        self, ask: Ask, method: str, query: str, body: bytes, headers: Mapping[str, str], address: str
    ) -> Answer:
        """The answer to a request. `query` is as it was sent, not decoded, and wins over what the form says."""
        form = body.decode("utf-8", "replace")
        found = self._judge(ask, query, form, headers, address, method)
        if isinstance(found, Refusal):
            words = found.answer.body().decode()
            self.keys.refusals[words] = self.keys.refusals.get(words, 0) + 1
            raise found
        said = {**dict(parse_qsl(form)), **dict(parse_qsl(query))}
        asked = Ask(ask.host, ask.path, said, ask.now, ask.bend)
        if ask.path == hashkey_lent.PATH:
            return hashkey_lent.lend(self.keys, found, asked, method)
        return _ENDPOINTS[method, ask.path](self, asked)

    def _judge(
        self, ask: Ask, query: str, form: str, headers: Mapping[str, str], address: str, method: str
    ) -> ApiKey | Refusal:
        said = {**dict(parse_qsl(form)), **dict(parse_qsl(query))}
        key = self.keys.known.get(headers.get("X-HK-APIKEY", ""))
        if key is None:
            return text_error("0102", "Invalid APIKey")
        if key.days_left(ask.now) == 0:
            return text_error("0103", "APIKey expired")
        for name in ("timestamp", "signature"):
            if not said.get(name):
                return text_error("0001", f"Required field {name} missing or invalid")
        if len(said["timestamp"]) != 13 or not said["timestamp"].isdigit():
            return text_error("0001", "Required field timestamp missing or invalid")
        patience, late = said.get("recvWindow", _WINDOW), ask.ms - int(said["timestamp"])
        if not patience.isdigit():
            return text_error("0001", "Required field recvWindow missing or invalid")
        if not -_EARLY < late <= int(patience):
            return text_error("-1021", "Timestamp for this request is outside of the recvWindow")
        if key.addresses and address not in key.addresses:
            return text_error("0202", "Invalid IP")
        text = _unsigned(query) + _unsigned(form)
        wanted = hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(said["signature"].encode(), wanted.encode()):
            return text_error("0001", "Required field signature missing or invalid")
        reads = method == "GET" or ask.path == hashkey_lent.PATH  # who may read may listen [unknown]
        if ("readOnly" if reads else "trade") not in key.permission.split(","):
            return text_error("-1005", "No permission")
        return key

    def found(self, ask: Ask, *names: str) -> dict[str, Any]:
        """The placed order that one of these parameters names."""
        for name in names:
            if value := ask.query.get(name):
                kept = "orderId" if name == "orderId" else "clientOrderId"
                return next((row for row in self.placed if row[kept] == value), {})
        raise text_error("0001", f"Required field {names[0]} missing or invalid")


def fill_id(fill: Fill) -> int:
    """The number of a fill, by which REST tells it."""
    return (fill.time // 1000 - _FIRST_MS << 22) + fill.record % (1 << 22)


def _unsigned(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


# ---------------------------------------------------------------------------------------------------- accounts


def account(here: HashkeyOwn, ask: Ask) -> Answer:
    rows = [
        {"asset": name, "assetId": name, "assetName": name, "total": plain(held), "free": plain(held), "locked": "0"}
        for name, (held, _) in here.own.balances(ask.now, HASHKEY).items()
    ]
    return reply({"balances": rows, "userId": USER})


def futures_balance(here: HashkeyOwn, ask: Ask) -> Answer:
    """What lies in the account of contracts never changes here: fees and profits are not booked."""
    row = {"balance": "100000", "availableBalance": "100000", "positionMargin": "0", "orderMargin": "0",
           "asset": "USDT", "crossUnRealizedPnl": "0"}  # fmt: skip
    return reply([row])


def account_type(here: HashkeyOwn, ask: Ask) -> Answer:
    return reply(
        [
            {"accountId": number, "accountLabel": label, "accountType": kind, "accountIndex": 0}
            for number, label, kind in (
                (ACCOUNT, "Main Trading Account", 1), (FUTURES_ACCOUNT, "Main Future Account", 3)
            )
        ]
    )


# ------------------------------------------------------------------------------------------------------- fills


def spot_fills(here: HashkeyOwn, ask: Ask) -> Answer:
    """/api/v1/account/trades: newest first; at most 500 of the last 30 days."""
    return reply([_spot_fill(order, fill) for order, fill in _page(here, ask, "spot")])


def futures_fills(here: HashkeyOwn, ask: Ask) -> Answer:
    """/api/v1/futures/userTrades: newest first; its cap is documented nowhere and taken to be that of spot."""
    return reply([_futures_fill(order, fill) for order, fill in _page(here, ask, "swap")])


def _page(here: HashkeyOwn, ask: Ask, kind: str) -> list[tuple[Order, Fill]]:
    one = _instrument(ask, kind)
    bounds = {}
    for name, usual in (("startTime", ask.ms - 30 * DAY // 1000), ("endTime", ask.ms), ("fromId", 0), ("toId", 1 << 64),
                        ("limit", 200)):  # fmt: skip
        text = ask.query.get(name) or str(usual)
        if not text.isdigit():
            raise text_error("-1130", f"Illegal parameter {name}")
        bounds[name] = int(text)
    if bounds["startTime"] < ask.ms - 30 * DAY // 1000 - 60_000:
        raise text_error("-2028", "The search is limited to data within the last one month")
    pairs = here.own.fills(HASHKEY, one.symbol, bounds["startTime"] * 1000, bounds["endTime"] * 1000 + 1000, ask.now)
    kept = [pair for pair in pairs[::-1] if bounds["fromId"] <= fill_id(pair[1]) <= bounds["toId"]]
    return kept[: max(1, min(bounds["limit"], 500))]


def _spot_fill(order: Order, fill: Fill) -> dict[str, Any]:
    coin, fee = fill.fee_currency, plain(fill.fee)
    return {
        "id": str(fill_id(fill)), "clientOrderId": order.client_id, "ticketId": str(fill.trade_id),
        "symbol": order.symbol, "symbolName": order.symbol, "orderId": str(order.number), "matchOrderId": "0",
        "price": plain(fill.price), "qty": plain(fill.quantity), "commission": fee, "commissionAsset": coin,
        "time": str(fill.time // 1000), "isBuyer": order.side == "buy", "isMaker": order.role == "maker",
        "fee": {"feeCoinId": coin, "feeCoinName": coin, "fee": fee}, "feeCoinId": coin, "feeAmount": fee,
        "makerRebate": "0",
    }  # fmt: skip


def _futures_fill(order: Order, fill: Fill) -> dict[str, Any]:
    return {
        "time": str(fill.time // 1000), "tradeId": str(fill_id(fill)), "orderId": str(order.number),
        "symbol": order.symbol, "price": plain(fill.price), "quantity": str(fill.contracts),
        "commissionAsset": fill.fee_currency, "commission": plain(fill.fee), "makerRebate": "0",
        "type": type_of(order), "side": side_of(order), "realizedPnl": "0", "isMarker": order.role == "maker",
    }  # fmt: skip


def type_of(order: Order) -> str:
    return order.type.partition("-")[2].replace("-", "_").upper()


def side_of(order: Order) -> str:
    side = order.side.upper()
    return f"{side}_{'CLOSE' if order.number // 64 % 2 else 'OPEN'}" if order.one.derivative else side


# ------------------------------------------------------------------------------------------------------ orders


def place(here: HashkeyOwn, ask: Ask) -> Answer:
    """POST of an order. It is taken and stands, even a market order; a client's number is taken once."""
    kind = "swap" if "/futures/" in ask.path else "spot"
    one, said = _instrument(ask, kind), ask.query
    for name, known in (("side", _SIDES[kind]), ("type", _TYPES)):
        if said.get(name) not in known:
            raise text_error("-1130", f"Illegal parameter {name}")
    for name in ("quantity", *(("price",) if said["type"] != "MARKET" else ())):
        try:
            right = float(said.get(name) or "nan") > 0
        except ValueError:
            right = False
        if not right:
            raise text_error("0001", f"Required field {name} missing or invalid")
    number = str(1_738_695_230_608_169_984 + 256 * len(here.placed))
    client = said.get("newClientOrderId") or said.get("clientOrderId") or f"{ask.ms}{len(here.placed):03}"
    if any(row["clientOrderId"] == client for row in here.placed):
        raise text_error("-1141", "Duplicate order")
    row = {
        "orderId": number, "clientOrderId": client, "symbol": one.symbol, "side": said["side"], "type": said["type"],
        "origQty": said["quantity"], "price": said.get("price", "0"), "executedQty": "0", "avgPrice": "0",
        "timeInForce": said.get("timeInForce", "IOC" if said["type"] == "MARKET" else "GTC"), "status": "NEW",
        "time": str(ask.ms), "updateTime": str(ask.ms),
    }  # fmt: skip
    here.placed.append(row)
    if kind == "swap":
        return reply(_futures_order(row))
    told = _told_of_spot(row)
    return reply({**told, "symbolName": one.symbol, "reqAmount": "0", "concentration": ""})


def cancel(here: HashkeyOwn, ask: Ask) -> Answer:
    """DELETE of an order: told as it was until then (sample: NEW)."""
    row = here.found(ask, "orderId", "clientOrderId")
    if not row or ("/futures/" in ask.path) != _is_contract(row):
        raise text_error("-1143", "Order not found on order book")
    if row["status"] == "CANCELED":
        raise text_error("-1142", "Order has been cancelled")
    told = _futures_order(row) if _is_contract(row) else _told_of_spot(row)
    row |= {"status": "CANCELED", "updateTime": str(ask.ms)}
    return reply(told)


def order(here: HashkeyOwn, ask: Ask) -> Answer:
    """GET of an order by its number or the client's: one that was placed, or one of the seed's."""
    futures = "/futures/" in ask.path
    row = here.found(ask, "orderId", "origClientOrderId") or _of_seed(here.own, ask)
    if not row or futures != _is_contract(row):
        raise text_error("-1143", "Order not found on order book")
    if futures:
        return reply(_futures_order(row))
    paid = row.get("cumulativeQuoteQty", "0")
    more = {"accountId": ACCOUNT, "exchangeId": "301", "symbolName": row["symbol"], "cummulativeQuoteQty": paid,
            "cumulativeQuoteQty": paid, "stopPrice": "0.0", "icebergQty": "0.0", "isWorking": True, "reqAmount": "0",
            "feeCoin": "", "feeAmount": "0", "sumFeeAmount": "0"}  # fmt: skip
    return reply({**row, **more})


def _of_seed(own: Own, ask: Ask) -> dict[str, Any]:
    said = ask.query.get("orderId") or ""
    if not said:
        client = ask.query.get("origClientOrderId", "").removeprefix("own")
        said = str(int(client, 16)) if client and all(sign in "0123456789abcdef" for sign in client[:15]) else ""
    found = own.order(int(said), ask.now) if said.isdigit() and len(said) < 19 else None
    if found is None or found.one.venue != HASHKEY:
        return {}
    coins = sum((fill.quantity for fill in found.fills), Decimal(0))
    cash = sum((fill.price * fill.quantity for fill in found.fills), Decimal(0))
    unit = Decimal(repr(found.one.contract_size or 1))
    state = {"filled": "FILLED", "canceled": "CANCELED", "partial-canceled": "PARTIALLY_CANCELED",
             "partial-filled": "PARTIALLY_FILLED", "submitted": "NEW"}[found.state]  # fmt: skip
    buying = found.type == "buy-market"  # its amount is what was to be paid
    return {
        "orderId": str(found.number), "clientOrderId": found.client_id, "symbol": found.symbol,
        "side": side_of(found), "type": type_of(found), "origQty": plain((coins if buying else found.amount) / unit),
        "price": plain(found.price or Decimal(0)), "executedQty": plain(coins / unit),
        "avgPrice": plain(cash / coins) if coins else "0", "cumulativeQuoteQty": plain(cash),
        "timeInForce": "IOC" if found.price is None else "GTC", "status": state, "time": str(found.created_at // 1000),
        "updateTime": str(found.finished_at // 1000),
    }  # fmt: skip


def _told_of_spot(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("symbol", "clientOrderId", "orderId", "price", "origQty", "executedQty", "status", "timeInForce", "type",
             "side")  # fmt: skip
    return {"accountId": ACCOUNT, "transactTime": row["updateTime"], **{name: row[name] for name in names}}


def _futures_order(row: Mapping[str, Any]) -> dict[str, Any]:
    more = {"leverage": "5", "marginLocked": "0", "priceType": "MARKET" if row["price"] == "0" else "INPUT",
            "isLiquidationOrder": False, "indexPrice": "0", "liquidationType": ""}  # fmt: skip
    return {name: value for name, value in row.items() if name != "cumulativeQuoteQty"} | more


def _is_contract(row: Mapping[str, Any]) -> bool:
    return INSTRUMENTS[HASHKEY][row["symbol"]].derivative


def _instrument(ask: Ask, kind: str) -> Instrument:
    one = INSTRUMENTS[HASHKEY].get(ask.query.get("symbol", ""))
    if one is None or one.kind != kind:
        raise text_error("-1130", "Illegal parameter symbol")
    if one.status_at(ask.now) not in ("online", "suspend"):
        raise text_error("-1151", "The trading pair is not open yet")
    assert isinstance(one, Instrument)
    return one


_ENDPOINTS: Mapping[tuple[str, str], Callable[[HashkeyOwn, Ask], Answer]] = {
    ("GET", "/api/v1/account"): account,
    ("GET", "/api/v1/account/trades"): spot_fills,
    ("GET", "/api/v1/account/type"): account_type,
    ("GET", "/api/v1/futures/balance"): futures_balance,
    ("GET", "/api/v1/futures/userTrades"): futures_fills,
    **{
        (method, f"/api/v1/{kind}/order"): make
        for kind in ("spot", "futures")
        for method, make in (("POST", place), ("DELETE", cancel), ("GET", order))
    },
    ("POST", "/api/v1.1/spot/order"): place,
}
