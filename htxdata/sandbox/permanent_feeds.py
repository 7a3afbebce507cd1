"""What is pushed on permanent's topics, as protobuf (permanent-v1 6.3). How often is not written: decided here."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .instruments import PERMANENT, Instrument
from .linear_indicative import _coming
from .live_books import TICK
from .market import Market
from .periods import SECOND
from .permanent_market import INDEX, INDEX_EVERY, bars, book, index, levels, trades
from .permanent_wire import PUSH, candlestick, depth, field, indicative, result, summary, trade
from .permanent_wire import index as index_message
from .spelling import plain
from .websocket_feeds import LATE, DayFeed, Feed, KlineFeed
from .websocket_floor import Floor
from .websocket_messages import Message

BOOK_EVERY = 4  # ticks of 50 ms


class Binary(Message):
    """A message that is its own frame."""

    def frame(self, version: int = 0) -> bytes:
        return self.text


def pushed(topic: str, kind: str, data: bytes) -> Message:
    return Binary(result(PUSH, topic, kind=kind, data=data))


class Named(Feed):
    """A feed of a contract under permanent's name."""

    name = ""

    @property
    def symbol(self) -> str:
        return self.name


class TradeFeed(Named):
    """`trades`: each trade in a message of its own, as it happens. Nothing is repeated to who subscribes."""

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until <= self.cursor:
            return []
        said = []
        for rows in self.floor.tape(self.one).orders(self.cursor, until):
            for row in trades(rows):
                said.append(pushed(self.text, "Trade", trade(*row) + field(6, self.name)))
        self.cursor = until
        return said


class CandleFeed(KlineFeed):
    """`candlestick`: the running bar when it has changed, at most twice a second."""

    name = ""

    @property
    def symbol(self) -> str:
        return self.name

    def _message(self, tick: bytes, now: int) -> list[Message]:
        return [pushed(self.text, "Candlestick", tick)] if tick else []

    def _tick(self, seen: int) -> bytes:
        one = self.one
        rows = self.floor.market.candles(one.venue, one.symbol, self.period, self._opened, self._opened + 1, seen)
        return candlestick(bars(rows)[0], self.name) if len(rows["open_time"]) else b""


class DepthFeed(Named):
    """`mbp`: the whole book to who subscribes, and then what changed, five times a second."""

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int, count: int) -> None:
        super().__init__(floor, text, one, now)
        self.count, self.tick = count, now // TICK

    def first(self, now: int) -> list[Message]:
        return [pushed(self.text, "Depth", self.whole(self.tick))]

    def whole(self, tick: int) -> bytes:
        bids, asks = book(self.floor.books(self.one), tick, self.count)
        return depth(tick * TICK // 1000, bids, asks, False, self.name)

    def turn(self, now: int) -> list[Message]:
        tick = now // TICK
        if tick - self.tick < BOOK_EVERY:
            return []
        books = self.floor.books(self.one)
        bids, asks = (levels(books, side) for side in books.changes(self.tick, tick, self.count))
        self.tick = tick
        if not bids and not asks:
            return []
        return [pushed(self.text, "Depth", depth(tick * TICK // 1000, bids, asks, True, self.name))]


class SummaryFeed(Named, DayFeed):
    """`summary`: the last 24 hours. It says no time."""

    def _message(self, now: int) -> Message:
        found, one = self._day.found, self.one
        opens = self.floor.market.open_interest_now(one.venue, one.symbol, now)["contracts"]
        prices = tuple(plain(found[name]) for name in ("open", "close", "low", "high"))
        contracts = int(opens[0]) if len(opens) else 0
        said = summary(
            self.name, prices, plain(found["turnover"]), str(found["contracts"]), found["count"],  # type: ignore[arg-type]
            "normal", contracts,
        )  # fmt: skip
        return pushed(self.text, "MarketSummary", said)


class Regular(Named, ABC):
    """What is told at whole multiples of an interval (us), and at once to who subscribes."""

    every = SECOND

    def __init__(self, floor: Floor, text: str, one: Instrument, now: int) -> None:
        super().__init__(floor, text, one, now)
        self._told = now // self.every

    def first(self, now: int) -> list[Message]:
        return self.at(self._told * self.every)

    def turn(self, now: int) -> list[Message]:
        due = range(self._told + 1, now // self.every + 1)
        self._told = max(self._told, now // self.every)
        return [message for number in due for message in self.at(number * self.every)]

    @abstractmethod
    def at(self, time: int) -> list[Message]:
        """What is told at that instant."""


class FundingFeed(Regular):
    """`ind.funding.rate`: what the coming settlement would be, every five seconds."""

    every = 5 * SECOND

    def at(self, time: int) -> list[Message]:
        market = self.floor.market
        times, rate = _coming(market, market.seed, self.one, time)
        if not times:
            return []
        said = indicative(self.name, time // 1000, rate, times[0] // 1000)
        return [pushed(self.text, "IndicativeFundingRate", said)]


class IndexFeed(Regular):
    """`index.cons`: the index and its basket, whenever it is computed."""

    every = INDEX_EVERY

    def at(self, time: int) -> list[Message]:
        price, legs = index(self.floor.market.seed, self.one, time)
        said = index_message(INDEX + self.name, time // 1000, price, time // 1000, legs)
        return [pushed(self.text, "IndexConstituents", said)]


def indicative_at(market: Market, symbol: str, at: int) -> tuple[int, float]:
    """The settlement ahead (us UTC) and its rate as it looks at an instant."""
    times, rate = _coming(market, market.seed, market.instrument(PERMANENT, symbol), at)
    return times[0], float(rate)
