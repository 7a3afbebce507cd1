"""How clients speak to permanent's public socket: JSON commands, protobuf answers (permanent-v1 6.1, 6.2, 6.5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import permanent_market as told
from . import permanent_wire as wire
from .instruments import Instrument
from .periods import SECOND
from .permanent_feeds import CandleFeed, DepthFeed, FundingFeed, IndexFeed, SummaryFeed, TradeFeed
from .permanent_market import INDEX, INTERVALS, Unknown, contract
from .permanent_wire import PONG, REQ, SUB, UNSUB
from .websocket_feeds import Feed
from .websocket_floor import Floor
from .websocket_lines import Line

if TYPE_CHECKING:
    from .websocket import Sockets

HOST, PATH = "permanent_ws", "/api/swap/ws"
_ACTIONS = {"sub": SUB, "req": REQ, "unsub": UNSUB, "pong": PONG}
_TOPIC = re.compile(r"([a-zA-Z.]+)#([^@#]*)(?:@(.*))?")
_REQUESTED = ("candlestick", "mbp", "trades")
_LEVELS = ("5", "10", "20", "50", "100")
_MOST = 500


@dataclass(frozen=True)
class PermanentDialect:
    """A ping every 20 seconds (four times `ping_seconds`), dropped after two without any pong."""

    host: str = HOST
    path: str = PATH
    patience: int = 2
    plain: bool = False
    beats: float = 4.0

    def pack(self, frame: bytes) -> bytes:
        return frame

    def ping(self, ms: int) -> tuple[str, bytes]:
        return str(ms), wire.ping(ms)

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return wire.result(0, code=2001, said="invalid.json")

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        """Obey a command."""
        action, seq, text = said.get("action"), said.get("seq", 0), str(said.get("ch", ""))
        if action == "pong":
            line.answered(str(said.get("ts")))
            return
        number = seq if isinstance(seq, int) else 0
        kind = _ACTIONS.get(str(action))
        try:
            if kind is None:
                raise Unknown("invalid.action")
            one, feed = _opened(sockets.floor, text, now, kind == REQ)
            if kind == REQ:
                data = await _answer(sockets, text, one, said.get("params"), now)
                line.say(wire.result(REQ, text, code=200, sequence=number, kind=data[0], data=data[1]))
                return
            ack = wire.result(kind, text, code=200, sequence=number)
            if kind == UNSUB:
                if not sockets.leave(line, text):
                    raise Unknown("invalid.ch")
                line.say(ack)
            elif (text, "") in line.topics:
                line.say(ack)
            elif sockets.too_full(line, 1):
                raise Unknown("too many topics")
            else:
                subscription = sockets.enter(line, (text, ""), feed, text)
                sockets.tell(line, subscription, now, ack)
        except Unknown as unknown:
            line.say(wire.result(kind or SUB, text, code=2002, sequence=number, said=str(unknown)))


def _opened(floor: Floor, text: str, now: int, asked: bool) -> tuple[Instrument, Feed]:
    """The contract and the feed of a topic; Unknown in the venue's words."""
    found = _TOPIC.fullmatch(text)
    if found is None:
        raise Unknown("invalid.ch")
    topic, symbol, parameter = found[1], found[2], found[3] or ""
    if asked and topic not in _REQUESTED:
        raise Unknown("invalid.topic")
    if topic == "index.cons":
        if not symbol.startswith(INDEX):
            raise Unknown("invalid.symbol")
        symbol = symbol.removeprefix(INDEX)
    one = contract(symbol, now)
    if one.status_at(now) == "offline":
        raise Unknown("invalid.symbol")
    feed: Any
    if topic == "candlestick":
        if parameter not in INTERVALS:
            raise Unknown("invalid.interval")
        feed = CandleFeed(floor, text, one, now, INTERVALS[parameter])
    elif topic == "mbp":
        levels, _, step = parameter.partition(".")
        if levels not in _LEVELS:
            raise Unknown("invalid.level")
        if step not in ("", "s0"):
            raise Unknown("invalid.step")
        feed = DepthFeed(floor, text, one, now, int(levels))
    else:
        kinds = {"trades": TradeFeed, "summary": SummaryFeed, "ind.funding.rate": FundingFeed, "index.cons": IndexFeed}
        if topic not in kinds or parameter:
            raise Unknown("invalid.topic" if topic not in kinds else "invalid.ch")
        feed = kinds[topic](floor, text, one, now)
    feed.name = symbol
    return one, feed


async def _answer(sockets: Sockets, text: str, one: Instrument, params: Any, now: int) -> tuple[str, bytes]:
    """What a one-off request gets: the kind of message and the message."""
    found = _TOPIC.fullmatch(text)
    assert found is not None
    topic, symbol, parameter = found[1], found[2], found[3] or ""
    floor = sockets.floor
    if topic == "mbp":
        _, feed = _opened(floor, text, now, True)
        assert isinstance(feed, DepthFeed)
        running = sockets.running(HOST, PATH, (text, ""))
        tick = running.tick if isinstance(running, DepthFeed) else feed.tick
        return "Depth", feed.whole(tick)
    if topic == "trades":
        rows = told.trades(floor.market.newest_trades(one.venue, one.symbol, 300, now))
        ticks = [wire.trade(*row) for row in rows[::-1][:300]]
        return "ReqTrade", wire.message((1, symbol), (2, ticks))
    span = params if isinstance(params, dict) else {}
    since, until = span.get("from"), span.get("to")
    if not isinstance(since, int) or not isinstance(until, int) or since > until:
        raise Unknown("invalid.from.to")
    made, _ = told.candles(floor.market, symbol, INTERVALS[parameter], until * SECOND, _MOST + 1, now)
    made = [bar for bar in made if bar[0] >= since]
    if len(made) > _MOST:
        raise Unknown("request.data.overrun")
    return "ReqCandlestick", wire.candlesticks(made, symbol)


DIALECTS = {("permanent", PATH): PermanentDialect()}
