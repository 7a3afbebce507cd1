"""What is pushed on a topic: trades, candles and summaries. Books are in `websocket_books`.

A feed makes the messages of one topic, the same for all who subscribed; it moves on when the sandbox's clock does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .bars import Columns
from .instruments import SPOT, Instrument
from .live_books import ASK, BID, TICK
from .periods import DAY, SECOND, open_of, slot_of
from .spelling import spot_kline_rows
from .websocket_floor import Floor
from .websocket_messages import Message, number, trade_push

LATE = 2_000  # us from a trade to its push
_MOST = 20  # candles that are told one by one when the clock was put forward


class Feed:
    """The messages of one topic. `text` is the topic as the venue spells it; instants are us UTC."""

    slow = False
    """Whether `first` may take long and is better not asked on the event loop."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        self.text, self.one, self.floor = text, one, floor
        self.cursor = now - LATE  # all up to here has been told
        self.topic = text.encode()

    @property
    def symbol(self) -> str:
        return self.one.symbol

    def first(self, now: int) -> list[Message]:
        """What only somebody who has just subscribed gets."""
        return []

    def turn(self, now: int) -> list[Message]:
        """What all get, the time being now."""
        return []


class TradeFeed(Feed):
    """`trade.detail`: each order's fills as they happen; the first message repeats an old one (htx-api 7.3)."""

    def first(self, now: int) -> list[Message]:
        one = self.one
        rows = self.floor.market.newest_trades(one.venue, one.symbol, 1, self.cursor + 1)
        return [self._said(rows)] if len(rows["trade_id"]) else []

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until <= self.cursor:
            return []
        said = [self._said(rows) for rows in self.floor.tape(self.one).orders(self.cursor, until)]
        self.cursor = until
        return said

    def _said(self, rows: Columns) -> Message:
        return Message(trade_push(self.one.venue, self.text, rows))


class KlineFeed(Feed):
    """`kline.$period`: the running candle when it has changed, at most once a second (spot) or twice (derivatives).

    The last message about a candle is its end. Contracts are silent where nothing is traded (htx-api 7.4).
    """

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, period: str) -> None:
        super().__init__(floor, text, one, now)
        self.period, self.slow = period, period not in ("1min", "5min")
        self._every = SECOND if one.venue == SPOT else SECOND // 2
        self._next, self._said = now, b""
        self._opened, self._closes = self._bounds(self.cursor)

    def _bounds(self, time: int) -> tuple[int, int]:
        slot = slot_of(self.period, time)
        return open_of(self.period, slot), open_of(self.period, slot + 1)

    def first(self, now: int) -> list[Message]:
        return self._message(self._tick(self.cursor + 1), now)

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if now < self._next or until <= self.cursor:
            return []
        self._next = now - now % self._every + self._every
        tape, said = self.floor.tape(self.one), []
        traded = tape.traded(self.cursor, until)
        if until >= self._closes:
            for _ in range(_MOST):
                if tape.traded(max(self.cursor, self._opened - 1), self._closes - 1):
                    said += self._told(self._closes, now)
                self._opened, self._closes = self._bounds(self._closes)
                if until < self._closes:
                    break
            self._opened, self._closes = self._bounds(until)
            traded = tape.traded(max(self.cursor, self._opened - 1), until)
            if self.one.venue == SPOT or traded:
                said += self._told(until + 1, now)
        elif traded:
            said += self._told(until + 1, now)
        self.cursor = until
        return said

    def _told(self, seen: int, now: int) -> list[Message]:
        tick = self._tick(seen)
        if tick == self._said:
            return []
        self._said = tick
        return self._message(tick, now)

    def _message(self, tick: bytes, now: int) -> list[Message]:
        return [Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, now // 1000, tick))] if tick else []

    def _tick(self, seen: int) -> bytes:
        """The candle as it was when only trades before `seen` had happened."""
        one = self.one
        rows = self.floor.source(one).candles(
            one.venue, one.symbol, self.period, self._opened, self._opened + 1, seen
        )
        if not len(rows["open_time"]):
            return b""
        if one.venue == SPOT:
            return spot_kline_rows(rows)
        return linear_candle(rows, 0, self.floor.books(one).sequence(seen // TICK))


def linear_candle(rows: Columns, place: int, match: int | None) -> bytes:
    """A candle as in sample linear-ws-kline-push; without `mrid` as in linear-ws-kline-req-response."""
    head = b'"id":%d' % (int(rows["open_time"][place]) // SECOND)
    head += b"" if match is None else b',"mrid":%d' % match
    names = ("open", "close", *(("low", "high") if match is None else ("high", "low")), "amount")
    inside = b",".join(
        b'"%b":%b' % (name.encode(), number("", float(rows["volume" if name == "amount" else name][place])))
        for name in names
    )
    count, volume = int(rows["trade_count"][place]), int(rows["contracts"][place])
    turnover = b""
    if rows["quote_volume"] is not None:  # coin-margined ones have none
        turnover = b',"trade_turnover":%b' % number("", float(rows["quote_volume"][place]))
    return b'{%b,%b,"vol":%d%b,"count":%d}' % (head, inside, volume, turnover, count)


class Day:
    """What was traded in the 24 hours before an instant."""

    def __init__(self, floor: Floor, one: Instrument) -> None:
        self._floor, self._one = floor, one
        self._at = 0
        self.found: dict[str, Any] = {}

    def look(self, until: int) -> bool:
        """Count again if there was a trade since the last time; whether it was counted."""
        if self._at and not self._floor.tape(self._one).traded(self._at, until):
            return False
        self._at, one = until, self._one
        rows = self._floor.market.trades(one.venue, one.symbol, until + 1 - DAY, until + 1)
        count = len(rows["price"])
        prices = rows["price"] if count else np.zeros(1)
        spelled = [float(value) for value in (prices[0], prices[-1], prices.max(), prices.min())]
        self.found = dict(zip(("open", "close", "high", "low"), spelled, strict=True)) | {
            "amount": round(float(rows["quantity"].sum()), one.quantity_decimals),
            "turnover": 0.0 if one.face else round(float(rows["quote_quantity"].sum()), one.quote_decimals),
            "count": count,
            "last": float(rows["quantity"][-1]) if count else 0.0,
            "contracts": int(rows["contracts"].sum()) if rows["contracts"] is not None else 0,
        }
        return True

    def text(self, name: str) -> bytes:
        return number(self._one.venue, self.found[name])


class DayFeed(Feed, ABC):
    """The last 24 hours, once a second when there was a trade."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        super().__init__(floor, text, one, now)
        self._day, self._next = Day(floor, one), now

    def first(self, now: int) -> list[Message]:
        self._day.look(self.cursor)
        return [self._message(now)]

    def turn(self, now: int) -> list[Message]:
        if now < self._next:
            return []
        self._next = now - now % SECOND + SECOND
        self.cursor = max(self.cursor, now - LATE)
        return [self._message(now)] if self._day.look(self.cursor) else []

    @abstractmethod
    def _message(self, now: int) -> Message: ...


class DetailFeed(DayFeed):
    """`detail`: the last 24 hours as HTX tells them."""

    def _message(self, now: int) -> Message:
        return Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, now // 1000, self.tick(now)))

    def tick(self, now: int) -> bytes:
        day, one, tick = self._day, self.one, now // TICK
        books = self.floor.books(one)
        match = books.sequence(tick)
        if one.venue == SPOT:
            return (
                b'{"id":%d,"low":%b,"high":%b,"open":%b,"close":%b,"vol":%b,"amount":%b,"version":%d,"count":%d}'
                % (
                    match,
                    *(day.text(name) for name in ("low", "high", "open", "close", "turnover", "amount")),
                    match,
                    day.found["count"],
                )
            )
        best = best_of(self.floor, one, tick)
        quotes = b"" if best is None else b',"bid":[%b,%b],"ask":[%b,%b]' % best
        return (
            b'{"id":%d,"mrid":%d,"open":%b,"close":%b,"high":%b,"low":%b,"amount":%b,"vol":%d%b,"count":%d%b}'
            % (
                now // 60_000_000 * 60,
                match,
                *(day.text(name) for name in ("open", "close", "high", "low", "amount")),
                day.found["contracts"],
                b"" if one.face else b',"trade_turnover":%b' % day.text("turnover"),
                day.found["count"],
                quotes,
            )
        )


class TickerFeed(Feed):
    """Spot `ticker`: the last 24 hours with the best prices, when they change, at most every 100 ms."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        super().__init__(floor, text, one, now)
        self._day = Day(floor, one)
        self._said = b""

    def first(self, now: int) -> list[Message]:
        self._day.look(self.cursor)
        return self._told(now, b"")

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until < self.cursor + 2 * TICK:
            return []
        self.cursor = until
        self._day.look(until)
        return self._told(now, self._said)

    def _told(self, now: int, before: bytes) -> list[Message]:
        best = best_of(self.floor, self.one, now // TICK)
        if best is None:
            return []
        day = self._day
        bid, bid_size, ask, ask_size = best
        prices = tuple(day.text(name) for name in ("open", "high", "low", "close", "amount", "turnover"))
        self._said = (
            b'{"open":%b,"high":%b,"low":%b,"close":%b,"amount":%b,"vol":%b,"count":%d,"bid":%b,"bidSize":%b,'
            b'"ask":%b,"askSize":%b,"lastPrice":%b,"lastSize":%b}'
            % (*prices, day.found["count"], bid, bid_size, ask, ask_size, prices[3], day.text("last"))
        )
        if self._said == before:
            return []
        return [Message(b'{"ch":"%b","ts":%d,"tick":%b}' % (self.topic, now // 1000, self._said))]


def best_of(floor: Floor, one: Instrument, tick: int) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Best bid, its size, best ask, its size, spelled; None when the instrument does not trade."""
    books = floor.books(one)
    top = books.top(tick)
    if top is None:
        return None
    sizes = books.size(books.lots(BID, top, tick, top)), books.size(books.lots(ASK, top + 1, tick, top))
    bid, bid_size, ask, ask_size = (
        number(one.venue, value) for value in (books.price(top), sizes[0], books.price(top + 1), sizes[1])
    )
    return bid, bid_size, ask, ask_size
