"""The computed prices and rates on /ws_index: index, mark price, premium index, estimated rate (htx-api 7.5)."""

from __future__ import annotations

from . import derived
from .bars import Columns
from .instruments import Instrument
from .periods import SECOND, open_of, slot_of
from .websocket_feeds import Feed
from .websocket_floor import Floor
from .websocket_messages import Message, number

KINDS = {
    "index": derived.INDEX,
    "mark_price": derived.MARK,
    "premium_index": derived.PREMIUM,
    "estimated_rate": derived.ESTIMATED,
}
"""Name in a topic -> name of the kind."""

_PRICES = ("open", "close", "high", "low")
_NOTHING = b'"amount":"0","vol":"0","count":"0"'


_SAMPLE = 15 * SECOND  # how often they are computed (`derived`)
_MOST = 20  # samples that are told one by one when the clock was put forward


def _sampled(now: int) -> int:
    """When they were computed last."""
    return now - now % _SAMPLE


class IndexFeed(Feed):
    """`$kind.$period`: the running candle when it has changed."""

    slow = True

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, kind: str, period: str) -> None:
        super().__init__(floor, text, one, now)
        self._kind, self._period = kind, period
        self._next, self._said = _sampled(now) + _SAMPLE, b""

    def first(self, now: int) -> list[Message]:
        tick = self._tick(now)
        return self._message(tick, now) if tick else []

    def turn(self, now: int) -> list[Message]:
        said: list[Message] = []
        first = max(self._next, _sampled(now) - _MOST * _SAMPLE)
        self._next = _sampled(now) + _SAMPLE
        for at in range(first, self._next, _SAMPLE):
            tick = self._tick(at)
            if tick and tick != self._said:
                self._said = tick
                said += self._message(tick, at)
        return said

    def _message(self, tick: bytes, now: int) -> list[Message]:
        return [Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, now // 1000, tick))]

    def _tick(self, now: int) -> bytes:
        start = open_of(self._period, slot_of(self._period, now))
        source = self.floor.market.computed(KINDS[self._kind])
        rows = source.candles(self.one.venue, self.one.symbol, self._period, start, start + 1, now)
        return index_candle(self._kind, rows, 0, True) if len(rows["open_time"]) else b""


def index_candle(kind: str, rows: Columns, place: int, pushed: bool) -> bytes:
    """A candle in the order of its sample. Values are strings, but numbers where the index is asked for (1.5)."""
    opened = int(rows["open_time"][place]) // SECOND
    found = {name: number("", float(rows[name][place])) for name in _PRICES}
    if kind == "index":
        if not pushed:
            return b'{"id":%d,"open":%b,"close":%b,"low":%b,"high":%b,"amount":0,"vol":0,"count":0}' % (
                opened, found["open"], found["close"], found["low"], found["high"],
            )  # fmt: skip
        inside = b",".join(b'"%b":"%b"' % (name.encode(), found[name]) for name in _PRICES)
        return b'{"id":%d,%b,"amount":"0","vol":"0","count":0}' % (opened, inside)
    if kind == "mark_price":
        return (
            b'{"vol":"0","close":"%b","count":"0","high":"%b","id":%d,"low":"%b","open":"%b","trade_turnover":"0",'
            b'"amount":"0"}' % (found["close"], found["high"], opened, found["low"], found["open"])
        )
    names = _PRICES if pushed else ("open", "close", "low", "high")
    inside = b",".join(b'"%b":"%b"' % (name.encode(), found[name]) for name in names)
    turnover = b',"trade_turnover":"0"' if kind == "estimated_rate" else b""
    return b'{"id":%d,%b,%b%b}' % (opened, inside, _NOTHING, turnover)
