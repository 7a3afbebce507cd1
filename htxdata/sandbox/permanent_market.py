"""What permanent tells of the market: its contracts under its own names, and rows spelled as it spells them.

Its contracts are the linear perpetuals of the same exchange, `btcusdt` for BTC-USDT: `Market` knows them by either
name. What the reference (permanent-v1) leaves open is decided here and said where: index and mark symbols are
`index.btcusdt` and `mark.btcusdt`, volumes count contracts, weights are percent, times are milliseconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from . import derived
from .bars import Columns
from .baskets import basket
from .breakage import Bend, take
from .instruments import INSTRUMENTS, PERMANENT, Instrument
from .live_books import ASK, BID, LiveBooks
from .market import Market
from .periods import SECOND, open_of, slot_of
from .permanent_wire import Bar
from .spelling import plain

INTERVALS = {
    "1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "60m": "60min", "1h": "60min", "4h": "4hour",
    "1d": "1day", "1w": "1week", "1M": "1mon", "1y": "1year",
}  # fmt: skip
INDEX, MARK = "index.", "mark."
INDEX_EVERY = 5 * SECOND
"""An index time to the next; how often is not said."""


class Unknown(Exception):
    """What the venue says to what it does not understand: the words of its code 2002 (6.5)."""


def contract(symbol: str, now: int) -> Instrument:
    """The contract of a symbol; Unknown where there is none at that instant."""
    one: Instrument | None = INSTRUMENTS[PERMANENT].get(symbol)
    if one is None or one.status_at(now) == "pre-online":
        raise Unknown("invalid.symbol")
    return one


def candles(
    market: Market, symbol: str, period: str, edge: int, limit: int, now: int, bend: Bend | None = None
) -> tuple[list[Bar], bool]:
    """The newest so many bars up to an instant (us UTC, inclusive), newest first; whether they have volumes."""
    kind = next((kind for mark, kind in ((INDEX, derived.INDEX), (MARK, derived.MARK)) if symbol.startswith(mark)), "")
    one = contract(symbol.partition(".")[2] if kind else symbol, now)
    source = market.computed(kind) if kind else market
    last, oldest = slot_of(period, min(edge, now)), slot_of(period, one.listed_at)
    found, count = limit, limit
    while True:  # a halt has no bars: then it reaches further back
        first = max(oldest, last - count + 1)
        rows = source.candles(one.venue, one.symbol, period, open_of(period, first), open_of(period, last) + 1, now)
        found = len(rows["open_time"])
        if found >= limit or first <= oldest:
            break
        count *= 4
    rows = take(rows, np.arange(found, dtype=np.int64)[::-1][:limit])
    return bars(rows if bend is None else bend(rows, now)), not kind


def bars(rows: Columns) -> list[Bar]:
    """Rows of Market in the order of the schema's fields; without volumes where nothing is traded."""
    count = len(rows["open_time"])
    prices = ([plain(value) for value in rows[name].tolist()] for name in ("open", "close", "low", "high"))
    traded: list[Any] = [[""] * count, [""] * count, [0] * count]
    if "volume" in rows:
        turnover, contracts = rows["quote_volume"].tolist(), rows["contracts"].tolist()
        traded = [list(map(plain, turnover)), list(map(str, contracts)), rows["trade_count"].tolist()]
    return list(zip((rows["open_time"] // SECOND).tolist(), *prices, *traded, strict=True))


Trade = tuple[int, int, str, str, str]
"""Number, time (ms), price, contracts, side of the taker."""


def trades(rows: Columns) -> list[Trade]:
    return [
        (number, time // 1000, plain(price), str(contracts), side)
        for number, time, price, contracts, side in zip(
            *(rows[name].tolist() for name in ("trade_id", "trade_time", "price", "contracts", "side")), strict=True
        )
    ]


Levels = list[tuple[str, str]]


def book(books: LiveBooks, tick: int, depth: int) -> tuple[Levels, Levels]:
    """The best so many bids and asks."""
    return levels(books, list(books.side(BID, tick, depth).items())), levels(
        books, list(books.side(ASK, tick, depth).items())
    )


def levels(books: LiveBooks, changes: list[tuple[int, int]]) -> Levels:
    """Places and lots as prices and contracts; 0 where a level is gone."""
    return [(plain(books.price(place)), plain(books.size(lots)) if lots else "0") for place, lots in changes]


Legs = list[tuple[str, str, str]]
"""Constituent, weight, price."""


def index(seed: int, one: Instrument, at: int) -> tuple[str, Legs]:
    """The index price and what it is made of at an instant, ascending by constituent."""
    found = basket(seed, one, at)
    legs = [
        (f"{leg.spelled(found.time)}.{leg.pair.replace('-', '').lower()}", f"{leg.percent:.4f}", _short(leg.price))
        for leg in found.legs
    ]
    return f"{found.price:.18f}", sorted(legs)


def _short(price: Decimal) -> str:
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def baskets(market: Market, symbol: str, at: int) -> Columns:
    """What a lake must hold of the index of a contract: columns as index_constituents has them."""
    from .baskets import truth

    rows = truth(market, INSTRUMENTS[PERMANENT][symbol].symbol, at)
    return {**rows, "constituent": [pair.replace("-", "").lower() for pair in rows["constituent"]]}
