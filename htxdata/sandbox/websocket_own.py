"""Spot's private socket `/ws/v2`: texts, not gzip; a sign-in; own fills and balances as they come (htx-ws-v2)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from .instruments import INSTRUMENTS, SPOT
from .keys import V2
from .own import ACCOUNT, Change, Fill, Order, Own
from .own_asks import plain
from .own_feeds import OwnFeed, Told
from .websocket_floor import Floor
from .websocket_lines import Line
from .websocket_messages import Message

if TYPE_CHECKING:
    from .websocket import Sockets


class ClearingFeed(OwnFeed):
    """`trade.clearing#$symbol#$mode`: fills, and in mode 1 cancellations; `ch` repeats what was subscribed."""

    venue = SPOT

    def __init__(self, floor: Floor, own: Own, text: str, symbol: str, mode: str, now: int) -> None:
        super().__init__(floor, own, text, symbol, now)
        self._mode = mode

    def _since(self, start: int, until: int) -> list[Message]:
        said: list[tuple[int, dict[str, Any]]] = []
        for symbol in self.traded:
            said += [
                (f.time, _fill(o, f, until))
                for o, f in self._own.fills(SPOT, symbol, start, until + 1, until)
            ]
            if self._mode == "1":
                ended = self._own.orders(SPOT, symbol, start - self._own.every, until + 1, until)
                said += [
                    (one.finished_at, _cancellation(one))
                    for one in ended
                    if one.state in ("canceled", "partial-canceled") and start <= one.finished_at <= until
                ]
        return [_push(self.text, data) for _, data in sorted(said, key=lambda pair: pair[0])]


class BalanceFeed(OwnFeed):
    """`accounts.update#$mode`: at first every balance, then each change."""

    venue = SPOT

    def __init__(self, floor: Floor, own: Own, text: str, mode: str, now: int) -> None:
        super().__init__(floor, own, text, "*", now)
        self._mode = mode

    def first(self, now: int) -> list[Message]:
        return [
            _push(self.text, _balance(currency, held, held, None, None, count))
            for currency, (held, count) in self._own.balances(self.cursor).items()
        ]

    def _since(self, start: int, until: int) -> list[Message]:
        return [said for one in self._own.changes(start, until + 1, until) for said in self._changed(one)]

    def _changed(self, one: Change) -> list[Message]:
        pairs = [(one.balance, one.balance)] if self._mode == "2" else [(one.balance, None)]
        if self._mode == "1":
            pairs.append((None, one.balance))  # type: ignore[arg-type]
        return [
            _push(self.text, _balance(one.currency, held, free, one.kind, one.time // 1000, one.sequence))
            for held, free in pairs
        ]


def _push(topic: str, data: dict[str, Any]) -> Told:
    return Told(orjson.dumps({"action": "push", "ch": topic, "data": data}))


def _order(one: Order) -> dict[str, Any]:
    said: dict[str, Any] = {
        "symbol": one.symbol, "orderId": one.number, "orderSide": one.side, "orderType": one.type, "accountId": ACCOUNT,
        "source": "spot-api", "clientOrderId": one.client_id, "orderCreateTime": one.created_at // 1000,
        "orderStatus": one.state,
    }  # fmt: skip
    if one.price is not None:
        said["orderPrice"] = plain(one.price)
    said["orderValue" if one.type == "buy-market" else "orderSize"] = plain(one.amount)
    return said


def _fill(one: Order, fill: Fill, now: int) -> dict[str, Any]:
    last = one.fills and fill is one.fills[-1] and one.state == "filled"
    return {
        "eventType": "trade", **_order(one), "orderStatus": "filled" if last else "partial-filled",
        "feeCurrency": fill.fee_currency, "tradePrice": plain(fill.price), "tradeVolume": plain(fill.quantity),
        "aggressor": one.role == "taker", "tradeId": fill.trade_id, "tradeTime": fill.time // 1000,
        "transactFee": plain(fill.fee), "feeDeduct": "0", "feeDeductType": "",
    }  # fmt: skip


def _cancellation(one: Order) -> dict[str, Any]:
    filled = sum((fill.quantity for fill in one.fills), Decimal(0))
    return {"eventType": "cancellation", **_order(one), "remainAmt": plain(one.amount - filled)}


def _balance(
    currency: str, held: Decimal | None, free: Decimal | None, kind: str | None, ms: int | None, count: int
) -> dict[str, Any]:
    said: dict[str, Any] = {"currency": currency, "accountId": ACCOUNT}
    said |= {
        name: plain(value) for name, value in (("balance", held), ("available", free)) if value is not None
    }
    return {**said, "changeType": kind, "accountType": "trade", "changeTime": ms, "seqNum": count}


@dataclass(frozen=True)
class OwnDialect:
    """`action` in everything. The limit is (commands, seconds)."""

    host: str
    path: str
    patience: int
    commands: tuple[int, float]
    plain: bool = True

    def ping(self, ms: int) -> tuple[str, str]:
        return str(ms), f'{{"action":"ping","data":{{"ts":{ms}}}}}'

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return orjson.dumps({"action": "error", "code": 2001, "message": "invalid.json"})

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        action, topic = said.get("action"), str(said.get("ch", ""))
        if action == "pong":
            data = said.get("data")
            if isinstance(data, dict) and type(data.get("ts")) is int:
                line.answered(str(data["ts"]))
            return
        if sockets.too_many(line, "command", *self.commands):
            self._say(line, action, topic, 4000, "too.many.request")
        elif action == "req" and topic == "auth":
            self._sign_in(sockets, line, said, now)
        elif action not in ("sub", "unsub"):
            self._say(line, action, topic, 2001, "invalid.action")
        elif line.signed_in is None:
            self._say(line, action, topic, 2002, "invalid.auth.state")
        elif action == "unsub":
            known = sockets.leave(line, topic)
            self._say(line, action, topic, 200 if known else 2001, "" if known else "invalid.ch")
        else:
            self._subscribe(sockets, line, topic, now)

    def _sign_in(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        params = said.get("params")
        wanted = ("authType", "accessKey", "signatureMethod", "signatureVersion", "timestamp", "signature")
        if not isinstance(params, dict) or not all(isinstance(params.get(name), str) for name in wanted):
            self._say(line, "req", "auth", 2001, "missing.param.auth")
            return
        signed = [(name, params[name]) for name in wanted[1:]]
        found = sockets.own.keys.judge("GET", line.named, self.path, signed, line.address, now, V2)
        if isinstance(found, str):
            self._say(line, "req", "auth", 2002, "auth.fail")
            return
        line.signed_in = found
        self._say(line, "req", "auth", 200)

    def _subscribe(self, sockets: Sockets, line: Line, topic: str, now: int) -> None:
        kind, _, rest = topic.partition("#")
        own = sockets.own.own
        feed: ClearingFeed | BalanceFeed | None = None
        if kind == "trade.clearing":
            symbol, _, mode = rest.partition("#")
            if symbol != "*" and symbol not in INSTRUMENTS[SPOT]:
                self._say(line, "sub", topic, 2001, "invalid.symbol")
                return
            if mode in ("", "0", "1"):
                feed = ClearingFeed(sockets.floor, own, topic, symbol, mode, now)
        elif kind == "accounts.update" and rest in ("", "0", "1", "2"):
            feed = BalanceFeed(sockets.floor, own, topic, rest, now)
        if feed is None:
            self._say(line, "sub", topic, 2001, "invalid.ch")
            return
        ack = topic if "#" in topic or kind == "trade.clearing" else f"{topic}#0"
        if (topic, "") in line.topics:
            self._say(line, "sub", ack, 200)
            return
        sockets.tell(line, sockets.enter(line, (topic, ""), feed, topic), now, _acked("sub", ack, 200, ""))

    def _say(self, line: Line, action: Any, topic: str, code: int, why: str = "") -> None:
        line.say(_acked(str(action), topic, code, why))


def _acked(action: str, topic: str, code: int, why: str) -> bytes:
    return orjson.dumps(
        {"action": action, "code": code, "ch": topic, **({"message": why} if why else {"data": {}})}
    )
