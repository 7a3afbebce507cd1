"""Permanent's private socket: a sign-in, and then what happens to one's orders (permanent-v1 6.1, 6.3, 6.5).

JSON both ways. Signed are the four names in camel case over GET and ``/ws``, as printed. A command before the sign-in,
and a key that is not taken, are answered with 2002 and words of ours [unknown]. ``accounts#`` is acknowledged and says
nothing, for nothing is booked here (`permanent_own.balance`); ``positions#`` alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from .instruments import INSTRUMENTS, PERMANENT
from .keys import Names
from .own import Fill, Order
from .own_asks import plain
from .own_feeds import OwnFeed, Told
from .permanent_own import order_size
from .permanent_socket import HOST
from .websocket_feeds import Feed
from .websocket_lines import Line
from .websocket_messages import Message

if TYPE_CHECKING:
    from .websocket import Sockets

PATH, _SIGNED = "/api/swap/account/ws", "/ws"
_NAMES = Names("accessKey", "signatureMethod", "signatureVersion", "timestamp", "signature")
_WANTED = ("authType", "accessKey", "signatureMethod", "signatureVersion", "timestamp", "signature")
_ANY = INSTRUMENTS[PERMANENT]["btcusdt"]  # a feed is of an instrument; a quiet one is of none


class OrderFeed(OwnFeed):
    """`orders#$symbol`, or of all: each order is created, traded and cancelled as it happens."""

    venue = PERMANENT

    def _since(self, start: int, until: int) -> list[Message]:
        said: list[tuple[int, int, dict[str, Any]]] = []
        for symbol in self.traded:
            for one in self._own.orders(PERMANENT, symbol, start - self._own.every, until + 1, until):
                said += [each for each in _events(one, symbol) if start <= each[0] <= until]
        said.sort(key=lambda each: each[:2])
        return [Told(orjson.dumps({"action": "push", "ch": self.text, "data": data})) for _, _, data in said]


def _events(one: Order, symbol: str) -> list[tuple[int, int, dict[str, Any]]]:
    """When (us), a place among those of one instant, and what is said."""
    head = {"symbol": symbol, "orderId": one.number, "orderSide": one.side}
    size, done, worth = order_size(one), 0, 0.0
    price = one.price if one.price is not None else max((fill.price for fill in one.fills), default=None)
    found = [
        (one.created_at, 0, {
            "eventType": "creation", **head, **({} if price is None else {"orderPrice": plain(price)}),
            "orderSize": size, "timeInForce": "gtc" if one.price is not None else "ioc", "orderType": "limit",
            "orderStatus": "submitted", "orderCreateTime": one.created_at // 1000,
        })
    ]  # fmt: skip
    for fill in one.fills:
        done, worth = done + fill.contracts, worth + float(fill.price) * fill.contracts
        found.append((fill.time, 1, {"eventType": "trade", **head, **_fill(one, fill, done, size, worth / done)}))
    if one.state in ("canceled", "partial-canceled"):
        found.append((one.finished_at, 2, {
            "eventType": "cancellation", **head, "orderStatus": one.state, "execAmt": done, "remainAmt": size - done,
            "avgExecPrc": f"{worth / done:.8f}" if done else "0", "lastActTime": one.finished_at // 1000,
        }))  # fmt: skip
    return found


def _fill(one: Order, fill: Fill, done: int, size: int, average: float) -> dict[str, Any]:
    return {
        "tradePrice": plain(fill.price), "tradeVolume": fill.contracts, "tradeId": fill.trade_id,
        "tradeTime": fill.time // 1000, "execType": "trade", "aggressor": one.role == "taker",
        "transactFee": plain(fill.fee), "orderStatus": "filled" if done >= size else "partial-filled",
        "execAmt": done, "remainAmt": size - done, "avgExecPrc": f"{average:.8f}",
    }  # fmt: skip


class Quiet(Feed):
    """A topic on which nothing happens here."""

    def turn(self, now: int) -> list[Message]:
        return []


@dataclass(frozen=True)
class PermanentOwnDialect:
    """A ping every 20 seconds (four times `ping_seconds`), dropped where three of them are not answered."""

    host: str = HOST
    path: str = PATH
    patience: int = 3
    plain: bool = True
    beats: float = 4.0

    def ping(self, ms: int) -> tuple[str, str]:
        return str(ms), f'{{"action":"ping","data":{{"ts":{ms}}}}}'

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return orjson.dumps({"code": 2001, "message": "invalid.json"})

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        """Obey a command."""
        action, topic = said.get("action"), str(said.get("ch", ""))
        if action == "pong":
            for name in ("data", "params"):
                if isinstance(said.get(name), dict):
                    line.answered(str(said[name].get("ts")))
        elif action == "req" and topic == "auth":
            why = self._sign_in(sockets, line, said.get("params"), now)
            line.say(_answer(said, why))
        elif action not in ("sub", "unsub"):
            line.say(_answer(said, "invalid.action"))
        elif line.signed_in is None:
            line.say(_answer(said, "invalid.auth"))
        elif action == "unsub":
            line.say(_answer(said, "" if sockets.leave(line, topic) else "invalid.ch"))
        else:
            self._subscribe(sockets, line, said, topic, now)

    def _sign_in(self, sockets: Sockets, line: Line, params: Any, now: int) -> str:
        if not isinstance(params, dict) or not all(isinstance(params.get(name), str) for name in _WANTED):
            return "invalid.params"
        signed = [(name, params[name]) for name in _WANTED[1:]]
        found = sockets.own.keys.judge("GET", line.named, _SIGNED, signed, line.address, now, _NAMES)
        if isinstance(found, str):
            return "auth.fail"
        line.signed_in = found
        return ""

    def _subscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], topic: str, now: int) -> None:
        kind, _, symbol = topic.partition("#")
        feed: Feed
        if kind == "orders":
            if symbol != "*" and symbol not in INSTRUMENTS[PERMANENT]:
                line.say(_answer(said, "invalid.symbol"))
                return
            feed = OrderFeed(sockets.floor, sockets.own.own, topic, symbol, now)
        elif kind in ("positions", "accounts") and symbol:
            feed = Quiet(sockets.floor, topic, _ANY, now)
        else:
            line.say(_answer(said, "invalid.topic"))
            return
        if (topic, "") in line.topics:
            line.say(_answer(said, ""))
        elif sockets.too_full(line, 1):
            line.say(_answer(said, "too many topics"))
        else:
            sockets.tell(line, sockets.enter(line, (topic, ""), feed, topic), now, _answer(said, ""))


def _answer(said: dict[str, Any], why: str) -> bytes:
    """To a command, with its number where it had one."""
    head = {"action": said.get("action"), "ch": said.get("ch"), "code": 2002 if why else 200}
    number = {"seq": said["seq"]} if isinstance(said.get("seq"), int) else {}
    return orjson.dumps({**head, **number, **({"message": why} if why else {"data": {}})})


DIALECTS = {("permanent", PATH): PermanentOwnDialect()}
