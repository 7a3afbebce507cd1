"""The private socket of USDT-margined contracts `/ws/v5/notification`: own fills as they come (htx-api 10.5 [B]).

Topic and contract are two members of a command; `*` means every contract. Other private topics are not served here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .instruments import INSTRUMENTS, LINEAR
from .own import USER, Fill, Order
from .own_asks import plain
from .own_feeds import FillFeed
from .websocket_lines import Line
from .websocket_messages import Message
from .websocket_notices import (
    _MISSING,
    _NO_CONTRACT,
    _NOT_SUBSCRIBED,
    _REPEATED,
    _TOO_MANY,
    _TOPIC_ERROR,
    NOT_SIGNED_IN,
    NoticeDialect,
    _Refused,
)

if TYPE_CHECKING:
    from .websocket import Sockets


class MatchFeed(FillFeed):
    """`trade`: a push for each fill (sample linear-ws-v5-private-trade). No fee is told, nor the type of the order."""

    venue = LINEAR

    def _told(self, order: Order, fill: Fill, ms: int) -> list[Message]:
        return [_push(order, fill, ms)]


def _push(order: Order, fill: Fill, ms: int) -> Message:
    place = 1 + next(at for at, one in enumerate(order.fills) if one.record == fill.record)
    row = {
        "direction": order.side,
        "id": f"{fill.match}-{order.number}-{place}",
        "contract_code": order.symbol,
        "contract_type": "swap",
        "order_id": str(order.number),
        "trade_id": str(fill.trade_id),
        "position_side": "both",
        "trade_volume": str(fill.contracts),
        "trade_price": plain(fill.price),
        "trade_turnover": plain(fill.price * fill.quantity),
        "role": order.role,
        "client_order_id": order.client_id,
        "created_time": str(fill.time // 1000),
        "updated_time": str(fill.time // 1000 + 10),
    }
    head = {"op": "notify", "topic": "trade", "contract_code": order.symbol, "ts": ms, "uid": str(USER)}
    return Message(orjson.dumps({**head, "data": [row]}))


class OwnNoticeDialect(NoticeDialect):
    """Nothing is told to whoever has not signed in."""

    def _subscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        if sockets.too_many(line, "sub", *self.subscriptions):
            raise _Refused(_TOO_MANY, "The number of visits exceeds the limit.")
        text, code = self._meant(line, said)
        if (text, "") in line.topics or ("trade.*", "") in line.topics:
            raise _Refused(_REPEATED, "Repeated subscription.")
        feed = MatchFeed(sockets.floor, sockets.own.own, text, code, now)
        sockets.tell(line, sockets.enter(line, (text, ""), feed, text), now, _ack(said, now // 1000))

    def _unsubscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        text, code = self._meant(line, said)
        wanted = [one for one, _ in line.topics if one == text or code == "*"]
        if not wanted:
            raise _Refused(_NOT_SUBSCRIBED, f"unsub with not subbed topic {text}")
        for one in wanted:
            sockets.leave(line, one)
        line.say(_ack(said, now // 1000))

    def _meant(self, line: Line, said: dict[str, Any]) -> tuple[str, str]:
        if line.signed_in is None:
            raise _Refused(NOT_SIGNED_IN, "Login is required.")
        code = said.get("contract_code")
        if not isinstance(said.get("topic"), str) or not isinstance(code, str) or not code:
            raise _Refused(_MISSING, "Missing required parameter.")
        if said["topic"] != "trade":
            raise _Refused(_TOPIC_ERROR, f"invalid topic {said['topic']}")
        if code != "*" and code.upper() not in INSTRUMENTS[LINEAR]:
            raise _Refused(_NO_CONTRACT, "Contract doesn't exist.")
        return f"trade.{code.upper()}", code.upper()


def _ack(said: dict[str, Any], ms: int) -> bytes:
    head = {name: said[name] for name in ("op", "cid", "topic", "contract_code") if name in said}
    return orjson.dumps(head | {"ts": ms, "err-code": 0})
