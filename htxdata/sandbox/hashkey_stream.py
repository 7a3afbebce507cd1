"""HashKey's user stream: the socket that tells what happens to whoever has a key to listen with (hashkey-api 6).

How a key that is nobody's (any more) is refused is [unknown]: 401 at the door, and a goodbye where somebody listens by
it. Pinged every 30 seconds (six times `ping_seconds`); who answers none for an hour is dropped. Of the balances'
letters free `f` and locked `l` alone are sure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from .hashkey_own import ACCOUNT, FUTURES_ACCOUNT, side_of, type_of
from .instruments import HASHKEY
from .own import Fill, Order
from .own_asks import plain
from .own_feeds import FillFeed, Told
from .websocket_lines import Line
from .websocket_messages import Message

if TYPE_CHECKING:
    from .websocket import Sockets

HOST, PATH = "hashkey_ws", "/api/v1/ws"


def place_of(path: str) -> tuple[str, str]:
    """Where a socket is asked for, and the key behind it."""
    return (PATH, path.removeprefix(f"{PATH}/")) if path.startswith(f"{PATH}/") else (path, "")


# ------------------------------------------------------------------------------------------------------ the socket


class UserLine(Line):
    """A connection that is good as long as its key is."""

    good: Callable[[], bool] = staticmethod(lambda: True)

    def beat(self, ms: int) -> None:
        if self.good():
            super().beat(ms)
        else:
            self.drop("listen key", politely=True)


@dataclass(frozen=True)
class UserStream:
    """Nothing is asked for here; pings are answered."""

    host: str = HOST
    path: str = PATH
    patience: int = 120
    plain: bool = True
    beats: float = 6.0

    def ping(self, ms: int) -> tuple[str, str]:
        return str(ms), f'{{"ping":{ms},"channelId":"02ac86fffe0f0f0f-0000"}}'

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return orjson.dumps({"code": "-10001", "desc": "Invalid JSON!"})

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        if "pong" in said:
            line.answered(str(said["pong"]))
        elif "ping" in said:
            line.say(orjson.dumps({"pong": now // 1000}))

    def begin(self, sockets: Sockets, line: UserLine, key: str, now: int) -> None:
        keys = sockets.own.keys
        line.good = lambda: keys.listens(key, sockets.now())
        feed = UserFeed(sockets.floor, sockets.own.own, "user_stream", "*", now)
        sockets.tell(line, sockets.enter(line, (feed.text, ""), feed, feed.text), now, b"")


DIALECTS = {("hashkey", PATH): UserStream()}


class UserFeed(FillFeed):
    """Everything of the account, fill by fill: the order, the fill, and what is held after it."""

    venue = HASHKEY

    def _told(self, order: Order, fill: Fill, ms: int) -> list[Message]:
        """Lists of one event: ccxt reads no other."""
        events = _report(order, fill, ms), ticket(order, fill, ms), self._held(order, fill, ms)
        return [Told(orjson.dumps([event])) for event in events]

    def _held(self, order: Order, fill: Fill, ms: int) -> dict[str, Any]:
        if order.one.derivative:  # nothing is booked there (`hashkey_own.futures_balance`)
            row = {"a": "USDT", "t": "100000", "f": "100000", "r": "0"}
            return {"e": "outboundContractAccountInfo", "E": str(ms), "T": True, "W": True, "D": True, "B": [row]}
        held = self._own.balances(fill.time, HASHKEY)
        rows = [
            {"a": name, "f": plain(held[name][0]), "l": "0", "r": "0"} for name in (order.one.base, order.one.quote)
        ]
        return {"e": "outboundAccountInfo", "E": str(ms), "T": True, "W": True, "D": True, "B": rows}


def ticket(order: Order, fill: Fill, ms: int) -> dict[str, Any]:
    """A fill. `T` is what REST calls `ticketId` of pairs; of perpetuals REST tells another number (`hashkey_own`)."""
    contracts = order.one.derivative
    return {
        "e": "ticketInfo", "E": str(ms), "s": order.symbol, "q": f"{fill.contracts}.00" if contracts else
        plain(fill.quantity), "t": str(fill.time // 1000), "p": plain(fill.price), "T": str(fill.trade_id),
        "o": str(order.number), "c": order.client_id, "a": FUTURES_ACCOUNT if contracts else ACCOUNT,
        "m": order.role == "maker", "S": order.side.upper(),
    }  # fmt: skip


def _report(order: Order, fill: Fill, ms: int) -> dict[str, Any]:
    contracts = order.one.derivative
    size = str(fill.contracts) if contracts else plain(fill.quantity)
    last = order.fills and fill is order.fills[-1] and order.state == "filled"
    return {
        "e": "contractExecutionReport" if contracts else "executionReport", "E": str(ms), "s": order.symbol,
        "c": order.client_id, "S": side_of(order), "o": type_of(order), "f": "IOC" if order.price is None else "GTC",
        "p": plain(fill.price), "X": "FILLED" if last else "PARTIALLY_FILLED", "i": str(order.number), "l": size,
        "L": plain(fill.price), "n": plain(fill.fee), "N": fill.fee_currency, "m": order.role == "maker",
        "O": str(order.created_at // 1000),
    }  # fmt: skip
