"""What HashKey pushes on its two sockets (hashkey-api 5, 5.1): the envelope is V1's or V2's, the rest the same."""

from __future__ import annotations

from typing import Any

import orjson

from .bars import Columns
from .hashkey_index import basket, mark
from .hashkey_quotes import INTERVALS, bought, levels, sizes
from .instruments import HASHKEY, Instrument
from .live_books import TICK
from .noise import key_of
from .periods import SECOND, calendar_of
from .spelling import plain
from .websocket_feeds import LATE, Day, Feed, KlineFeed
from .websocket_floor import Floor, cut
from .websocket_messages import Message

PUSHED_V1 = ("trade", "kline", "depth", "realtimes", "index", "markPrice")
PUSHED_V2 = ("trade", "kline", "depth", "realtimes", "bbo", "markPrice")
_DEPTH, _OLD_TRADES = 100, 60


class Plain(Message):
    """A message that is sent as text."""

    __slots__ = ()

    def frame(self, version: int = 0) -> bytes:
        return self.text


class HashkeyFeed(Feed):
    """A topic of one symbol. `symbol_said` is what it is subscribed as: of an index, the index's name."""

    every = 300_000
    """Microseconds between two pushes, at least."""

    def __init__(
        self, floor: Floor, v1: bool, name: str, one: Instrument, symbol: str, now: int, binary: bool
    ) -> None:
        super().__init__(floor, f"{name}.{symbol}", one, now)
        self.v1, self.name, self.said, self.binary = v1, name, symbol, binary
        self._next = now - now % self.every + self.every if v1 else now

    def due(self, now: int) -> bool:
        if now < self._next:
            return False
        self._next = now - now % self.every + self.every if self.v1 else now
        return True

    def pushed(self, data: list[Any], now: int, first: bool = False) -> Message:
        """One push: V1 has a list, V2 one object."""
        kind, _, interval = self.name.partition("_")
        if self.v1:
            params = {"realtimeInterval": "24h", **({"klineType": interval} if interval else {})}
            params["binary"] = "true" if self.binary else "false"
            envelope = {
                "symbol": self.said, "symbolName": self.said, "topic": kind, "params": params, "data": data,
                "f": first, "sendTime": now // 1000,
                "channelId": f"{key_of('channel', self.said) & 0xFFFFFFFFFFFF:016x}-00000001", "shared": False,
            }  # fmt: skip
        else:
            more = {"klineType": interval} if interval else {}
            envelope = {"topic": kind, "params": {"symbol": self.said, **more}, "data": data[0]}
        text = orjson.dumps(envelope)
        return Message(text) if self.binary else Plain(text)


def _trades(one: Instrument, rows: Columns) -> list[dict[str, Any]]:
    return [
        {"v": str(identity), "t": when // 1000, "p": plain(price), "q": size, "m": side == "sell"}
        for identity, when, price, size, side in zip(
            rows["trade_id"].tolist(), rows["trade_time"].tolist(), rows["price"].tolist(), sizes(one, rows),
            rows["side"].tolist(), strict=True,
        )
    ]  # fmt: skip


class TradeFeed(HashkeyFeed):
    """`trade`: V1 begins with the newest 60 (`f`), and sends what came since in lists; V2 one by one."""

    def first(self, now: int) -> list[Message]:
        if not self.v1:
            return []
        rows = self.floor.market.newest_trades(HASHKEY, self.one.symbol, _OLD_TRADES, self.cursor + 1)
        count = len(rows["trade_id"])
        return [self.pushed(_trades(self.one, cut(rows, max(0, count - _OLD_TRADES), count)), now, True)]

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until <= self.cursor or not self.due(now):
            return []
        told = [row for rows in self.floor.tape(self.one).orders(self.cursor, until) for row in _trades(self.one, rows)]
        self.cursor = until
        if self.v1:
            return [self.pushed(told, now)] if told else []
        return [self.pushed([row], now) for row in told]


class CandleFeed(HashkeyFeed, KlineFeed):
    """`kline_<interval>`: the running candle when it changed; the last message about a candle is its end."""

    def __init__(
        self, floor: Floor, v1: bool, name: str, one: Instrument, symbol: str, now: int, binary: bool
    ) -> None:
        period = calendar_of(HASHKEY, INTERVALS[name.partition("_")[2]])
        KlineFeed.__init__(self, floor, f"{name}.{symbol}", one, now, period)
        self.v1, self.name, self.said, self.binary, self.slow = v1, name, symbol, binary, False
        self._every = self.every

    def first(self, now: int) -> list[Message]:
        return self._message(self._tick(self.cursor + 1), now, True) if self.v1 else []

    def turn(self, now: int) -> list[Message]:
        return KlineFeed.turn(self, now)

    def _message(self, tick: bytes, now: int, first: bool = False) -> list[Message]:
        return [self.pushed([orjson.loads(tick)], now, first)] if tick else []

    def _tick(self, seen: int) -> bytes:
        one = self.one
        rows = self.floor.market.candles(HASHKEY, one.symbol, self.period, self._opened, self._opened + 1, seen)
        if not len(rows["open_time"]):
            return b""
        names = (("c", "close"), ("h", "high"), ("l", "low"), ("o", "open"))
        candle: dict[str, Any] = {"t": int(rows["open_time"][0]) // 1000, "s": one.symbol, "sn": one.symbol}
        candle |= {short: plain(float(rows[name][0])) for short, name in names} | {"v": sizes(one, rows)[0]}
        if self.v1:
            candle |= {
                "et": 0, "qv": plain(float(rows["quote_volume"][0])), "td": int(rows["trade_count"][0]),
                "tb": bought(one, rows)[0], "tq": plain(float(rows["taker_buy_quote_volume"][0])),
            }  # fmt: skip
        return orjson.dumps(candle)


class DepthFeed(HashkeyFeed):
    """`depth`: the whole book of up to 100 levels a side, when it changed: every 300 ms on V1, every 100 on V2."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told: tuple[Any, Any] | None = None

    def first(self, now: int) -> list[Message]:
        return self._look(now, True) if self.v1 else []

    def due(self, now: int) -> bool:
        self.every = 300_000 if self.v1 else 100_000
        if now < self._next:
            return False
        self._next = now - now % self.every + self.every
        return True

    def turn(self, now: int) -> list[Message]:
        return self._look(now, False) if self.due(now) else []

    def _look(self, now: int, first: bool) -> list[Message]:
        tick, books = now // TICK, self.floor.books(self.one)
        book = levels(books, tick, _DEPTH)
        if (book == self._told and not first) or not (book[0] or book[1]):
            return []
        self._told = book
        scale = 18 if self.v1 else 1
        said = {"s": self.said, "t": tick * TICK // 1000, "v": f"{books.sequence(tick)}_{scale}"}
        if self.v1:
            return [self.pushed([{"e": 301, **said, "b": book[0], "a": book[1], "o": 0}], now, first)]
        return [self.pushed([{**said, "b": book[0], "a": book[1]}], now)]


class BestFeed(HashkeyFeed):
    """V2's `bbo`: the best bid and ask when one of them changed."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._told: tuple[Any, Any] | None = None

    def turn(self, now: int) -> list[Message]:
        tick, books = now // TICK, self.floor.books(self.one)
        book = levels(books, tick, 1)
        if book == self._told or not (book[0] and book[1]):
            return []
        self._told = book
        (bid, ask), at = (book[0][0], book[1][0]), tick * TICK // 1000
        said = {"s": self.said, "b": bid[0], "bz": bid[1], "a": ask[0], "az": ask[1], "t": at}
        return [self.pushed([{**said, "v": f"{books.sequence(tick)}_18"}], now)]


class DayFeed(HashkeyFeed):
    """`realtimes`: the last 24 hours, every 500 ms where something was traded."""

    every = 500_000

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._day = Day(self.floor, self.one)

    def first(self, now: int) -> list[Message]:
        self._day.look(self.cursor)
        return [self._said(now, True)] if self.v1 else []

    def turn(self, now: int) -> list[Message]:
        if not self.due(now):
            return []
        self.cursor = max(self.cursor, now - LATE)
        return [self._said(now, False)] if self._day.look(self.cursor) else []

    def _said(self, now: int, first: bool) -> Message:
        found = self._day.found
        volume = found["contracts"] if self.one.derivative else found["amount"]
        change = found["close"] / found["open"] - 1 if found["open"] else 0.0
        row = {"t": now // 1000, "s": self.said, "sn": self.said}
        row |= {short: plain(found[name]) for short, name in zip("chlo", ("close", "high", "low", "open"), strict=True)}
        row |= {"v": plain(volume), "qv": plain(found["turnover"]), "m": f"{change:.4f}", "e": 301}
        return self.pushed([row], now, first)


class IndexFeed(HashkeyFeed):
    """V1's undocumented `index`: about every 900 ms, with the formula of the whole second."""

    every = 900_000

    def first(self, now: int) -> list[Message]:
        return [self._said(now, True)]

    def turn(self, now: int) -> list[Message]:
        return [self._said(now, False)] if self.due(now) else []

    def _said(self, now: int, first: bool) -> Message:
        found = basket(self.floor.market.seed, self.one, now)
        row = {"symbol": found.name, "index": f"{found.price:f}", "edp": f"{found.average:f}",
               "formula": found.formula, "time": found.time // 1000}  # fmt: skip
        return self.pushed([row], now, first)


class MarkFeed(HashkeyFeed):
    """`markPrice`: once a second. On V1 only the first push is a list with a symbol around it."""

    every = SECOND

    def first(self, now: int) -> list[Message]:
        return [self._said(now, True)] if self.v1 else []

    def due(self, now: int) -> bool:
        if now < self._next:
            return False
        self._next = now - now % self.every + self.every
        return True

    def turn(self, now: int) -> list[Message]:
        return [self._said(now, False)] if self.due(now) else []

    def _said(self, now: int, first: bool) -> Message:
        price, at = mark(self.floor.market.seed, self.one, now)
        if not self.v1:
            return self.pushed([{"s": self.said, "p": f"{price:f}", "t": at // 1000}], now)
        row = {"exchangeId": 301, "symbolId": self.said, "price": f"{price:f}", "time": at // 1000}
        if first:
            return self.pushed([row], now, True)
        params = {"realtimeInterval": "24h", "binary": "false"}
        text = orjson.dumps(
            {"topic": "markPrice", "params": params, "data": row, "f": False, "sendTime": now // 1000, "shared": False}
        )
        return Message(text) if self.binary else Plain(text)


_KINDS: dict[str, type[HashkeyFeed]] = {
    "trade": TradeFeed, "kline": CandleFeed, "depth": DepthFeed, "bbo": BestFeed, "realtimes": DayFeed,
    "index": IndexFeed, "markPrice": MarkFeed,
}  # fmt: skip


def opened(
    floor: Floor, v1: bool, name: str, one: Instrument, symbol: str, now: int, binary: bool
) -> HashkeyFeed:
    """The feed of a topic."""
    return _KINDS[name.partition("_")[0]](floor, v1, name, one, symbol, now, binary)
