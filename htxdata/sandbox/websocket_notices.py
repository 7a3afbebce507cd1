"""The public topics of the notification socket (htx-api 7.6): coming fundings and liquidations, of one contract or all.

Commands and heartbeats have an `op` here, and times in heartbeats are texts. Codes of errors are the venue's; which one
is given when is partly our reading of their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from .instruments import FUTURES, INSTRUMENTS, LINEAR, Instrument, contract_type
from .linear_funding import fee_asset
from .linear_indicative import _coming as coming
from .linear_liquidations import _turnover as turnover
from .own import USER
from .product_lines import Line as Product
from .spelling import plain
from .websocket_feeds import LATE, Feed
from .websocket_floor import Floor
from .websocket_lines import Line
from .websocket_messages import Message

if TYPE_CHECKING:
    from .websocket import Sockets

_AHEAD = 60_000_000  # us of liquidations made ahead
_KINDS = ("funding_rate", "liquidation_orders")
_TOPIC_ERROR, _NO_CONTRACT, _NOT_SUBSCRIBED, _REPEATED, _TOO_MANY, _MISSING = (
    2010,
    2011,
    2012,
    2014,
    2004,
    2040,
)


NOT_SIGNED_IN = 2001
"""The key, or that none was shown."""


class NoticeFeed(Feed):
    """What is told of some contracts; `said_of` names them in faults."""

    def __init__(self, floor: Floor, text: str, ones: list[Instrument], symbol: str, now: int) -> None:
        super().__init__(floor, text, ones[0], now)
        self.ones, self._symbol = ones, symbol

    @property
    def symbol(self) -> str:
        return self._symbol

    def _notified(self, ms: int, rows: list[dict[str, Any]]) -> Message:
        return Message(orjson.dumps({"op": "notify", "topic": self.text, "ts": ms, "data": rows}))


class FundingFeed(NoticeFeed):
    """`funding_rate`: on subscribing, and whenever so many seconds are over by the sandbox's clock."""

    def __init__(
        self, floor: Floor, text: str, ones: list[Instrument], symbol: str, now: int, seconds: float
    ) -> None:
        super().__init__(floor, text, ones, symbol, now)
        self._every = max(1, int(seconds * 1_000_000))
        self._told = now // self._every

    def first(self, now: int) -> list[Message]:
        return self._message(now // 1000)

    def turn(self, now: int) -> list[Message]:
        number = now // self._every
        if number <= self._told:
            return []
        self._told = number
        return self._message(number * self._every // 1000)

    def _message(self, ms: int) -> list[Message]:
        rows = [row for one in self.ones if (row := self._row(one, ms)) is not None]
        return [self._notified(ms, rows)] if rows else []

    def _row(self, one: Instrument, ms: int) -> dict[str, Any] | None:
        """The rate as it looks at that time, and the settlement it is for (sample linear-ws-funding-rate-push)."""
        floor, at = self.floor, ms * 1000
        replay = floor.replay
        recorded = replay is not None and replay.covers(one.venue, one.symbol, "funding_rates")
        source = replay if recorded and replay is not None else floor.market
        times, rate = coming(source, floor.market.seed, one, at)
        if not times:
            return None
        return {
            "symbol": one.base,
            "contract_code": one.symbol,
            "fee_asset": fee_asset(one),
            "funding_time": str(ms // 60_000 * 60_000),
            "funding_rate": rate,
            "settlement_time": str(times[0] // 1000),
            "estimated_rate": None,
        }


class LiquidationFeed(NoticeFeed):
    """`liquidation_orders`: each as it happens."""

    def __init__(self, floor: Floor, text: str, ones: list[Instrument], symbol: str, now: int) -> None:
        super().__init__(floor, text, ones, symbol, now)
        self._until = self.cursor
        self._due: list[tuple[int, dict[str, Any]]] = []

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until <= self.cursor:
            return []
        if until >= self._until:
            self._due += self._made(self._until + 1, until + _AHEAD)
            self._until = until + _AHEAD - 1
        count = next((n for n, (time, _) in enumerate(self._due) if time > until), len(self._due))
        due, self._due, self.cursor = self._due[:count], self._due[count:], until
        return [self._notified((time + LATE) // 1000, [row]) for time, row in due]

    def _made(self, start: int, end: int) -> list[tuple[int, dict[str, Any]]]:
        made = []
        for one in self.ones:
            rows = self.floor.market.liquidations(one.venue, one.symbol, start, end)
            names = ("liquidated_at", "side", "price", "quantity", "contracts")
            made += [
                (row[0], _liquidation(one, *row))
                for row in zip(*(rows[name].tolist() for name in names), strict=True)
            ]
        return sorted(made, key=lambda pair: pair[0])


def _liquidation(
    one: Instrument, time: int, side: str, price: float, quantity: float, contracts: int
) -> dict[str, Any]:
    """A row as in sample linear-ws-liquidation-orders-push. Of coin-margined contracts there is none: that they have no
    turnover is [C]."""
    cost = f"{turnover(price, quantity):f}"
    more: dict[str, Any] = {
        "trade_turnover": orjson.Fragment(cost.rstrip("0").rstrip(".") if "." in cost else cost),
        "contract_type": contract_type(one, time),
        "pair": f"{one.base}-{one.quote}",
        "business_type": "swap" if one.delivery_at is None else "futures",
    }
    return {
        "symbol": one.base,
        "contract_code": one.symbol,
        "direction": side,
        "offset": "close",
        "volume": contracts,
        "price": orjson.Fragment(plain(price)),
        "created_at": time // 1000,
        "amount": orjson.Fragment(plain(quantity)),
        **(more if one.venue == LINEAR else {}),
    }


class _Refused(Exception):
    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


@dataclass(frozen=True)
class NoticeDialect:
    """`op` in everything. The limit is (subscriptions, seconds)."""

    host: str
    product: Product
    patience: int
    subscriptions: tuple[int, float]
    path: str
    plain: bool = False

    def ping(self, ms: int) -> tuple[str, str]:
        return str(ms), f'{{"op":"ping","ts":"{ms}"}}'

    def farewell(self, ms: int) -> bytes | None:
        return b'{"op":"close","ts":%d}' % ms

    def unread(self, ms: int) -> bytes:
        return orjson.dumps({"op": "error", "err-code": _MISSING, "err-msg": "not json string", "ts": ms})

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        op = said.get("op")
        try:
            if op == "pong":
                if isinstance(said.get("ts"), str):  # a text it was, a text it must be
                    line.answered(said["ts"])
            elif op == "ping":
                line.say(orjson.dumps({"op": "pong", "ts": said.get("ts")}))
            elif op == "auth":
                self._sign_in(sockets, line, said, now)
            elif op == "sub":
                self._subscribe(sockets, line, said, now)
            elif op == "unsub":
                self._unsubscribe(sockets, line, said, now)
            else:
                raise _Refused(_MISSING, "invalid op")
        except _Refused as refused:
            head = {"op": op if op in ("sub", "unsub") else "error"}
            head |= {name: said[name] for name in ("cid", "topic") if name in said}
            line.say(
                orjson.dumps(head | {"err-code": refused.code, "err-msg": refused.text, "ts": now // 1000})
            )

    def _sign_in(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        """`op` auth: signed as REST is, the path being the socket's own (htx-api 10.1). That a refusal has `op`
        auth too, and its words, is [C]; 2001 is the code of what is wrong with a key."""
        head: dict[str, Any] = {"op": "auth", "type": "api", "ts": now // 1000}
        if "cid" in said:
            head["cid"] = said["cid"]
        wanted = ("AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp", "Signature")
        if said.get("type") != "api" or not all(isinstance(said.get(name), str) for name in wanted):
            line.say(orjson.dumps({**head, "err-code": _MISSING, "err-msg": "Missing required parameter."}))
            return
        signed = [(name, said[name]) for name in wanted]
        found = sockets.own.keys.judge("GET", line.named, self.path, signed, line.address, now)
        if isinstance(found, str):
            line.say(orjson.dumps({**head, "err-code": NOT_SIGNED_IN, "err-msg": found}))
            return
        line.signed_in = found
        line.say(orjson.dumps({**head, "err-code": 0, "data": {"user-id": str(USER)}}))

    def _subscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        if sockets.too_many(line, "sub", *self.subscriptions):
            raise _Refused(_TOO_MANY, "The number of visits exceeds the limit.")
        text, code, kind = _topic(said)
        everything = f"public.*.{kind}"
        if (text, "") in line.topics or (everything, "") in line.topics:
            raise _Refused(_REPEATED, "Repeated subscription.")
        if sockets.too_full(line, 1):
            raise _Refused(_TOO_MANY, "429 too many request topics")
        ones = _meant(self.product, code, kind, now)
        feed: NoticeFeed
        if kind == "funding_rate":
            feed = FundingFeed(sockets.floor, text, ones, code, now, sockets.manners.funding_seconds)
        else:
            feed = LiquidationFeed(sockets.floor, text, ones, code, now)
        sockets.tell(line, sockets.enter(line, (text, ""), feed, text), now, _ack(said, now // 1000))

    def _unsubscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        text, code, kind = _topic(said)
        wanted = [one for one, _ in line.topics if one == text or (code == "*" and one.endswith("." + kind))]
        if not wanted:
            raise _Refused(_NOT_SUBSCRIBED, f"unsub with not subbed topic {text}")
        for one in wanted:
            sockets.leave(line, one)
        line.say(_ack(said, now // 1000))


def _topic(said: dict[str, Any]) -> tuple[str, str, str]:
    """The topic as it is told, the contract in it (or `*`) and its kind."""
    text = said.get("topic")
    if not isinstance(text, str) or not text:
        raise _Refused(_MISSING, "Missing required parameter topic.")
    head, _, rest = text.partition(".")
    code, _, kind = rest.rpartition(".")
    if head != "public" or kind not in _KINDS or not code:
        raise _Refused(_TOPIC_ERROR, f"invalid topic {text}")
    return f"public.{code.upper()}.{kind}", code.upper(), kind


def _meant(product: Product, code: str, kind: str, now: int) -> list[Instrument]:
    """The contracts of a code: fundings are of perpetuals alone. Coin-margined futures are named by coin (7.6)."""
    listed = INSTRUMENTS[product.venue].values()
    every = [one for one in listed if one.status_at(now) in ("online", "suspend")]
    if product.venue == FUTURES and kind != "funding_rate":
        every = [one for one in every if code in ("*", one.base)]
        if every:
            return every
    if code == "*":
        return [one for one in every if one.delivery_at is None or kind != "funding_rate"]
    one = product.find(code, now) if product.venue != FUTURES else None
    if (
        one is None
        or one.status_at(now) == "offline"
        or (one.delivery_at is not None and kind == "funding_rate")
    ):
        raise _Refused(_NO_CONTRACT, "Contract doesn't exist.")
    return [one]


def _ack(said: dict[str, Any], ms: int) -> bytes:
    head = {name: said[name] for name in ("op", "cid", "topic") if name in said}
    return orjson.dumps(head | {"ts": ms, "err-code": 0})
