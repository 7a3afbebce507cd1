"""HashKey's market data over REST: candles, trades, books, tickers, mark and index prices (hashkey-api 4.2 to 4.4)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from .answers import Answer, Ask, Exchange, reply
from .bars import Columns
from .breakage import take
from .candles import Window, kept_or_made
from .hashkey_answers import instrument, listed, number_error, quoted, sized
from .hashkey_index import basket, contract_of, indexed, mark
from .instruments import HASHKEY, INSTRUMENTS, Instrument
from .live_books import TICK, LiveBooks
from .periods import DAY, calendar_of, slot_of
from .spelling import plain

INTERVALS = {
    "1m": "1min", "3m": "3min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "60min", "2h": "2hour",
    "4h": "4hour", "6h": "6hour", "8h": "8hour", "12h": "12hour", "1d": "1day", "1w": "1week", "1M": "1mon",
}  # fmt: skip
_FOREVER = 4_102_444_800_000  # 2100-01-01, ms


def sizes(one: Instrument, rows: Columns) -> list[str]:
    """What a size is on the wire: contracts of a perpetual, base units of a pair."""
    values = rows["contracts"] if one.derivative else rows["volume" if "volume" in rows else "quantity"]
    return [plain(value) for value in values.tolist()]


def bought(one: Instrument, rows: Columns) -> list[str]:
    """What takers bought, in the same units."""
    values = rows["taker_buy_volume"]
    if not one.derivative:
        return [plain(value) for value in values.tolist()]
    per = Decimal(one.lot_units).scaleb(-one.quantity_decimals)
    return [str(int((Decimal(repr(value)) / per).to_integral_value())) for value in values.tolist()]


def candle_rows(one: Instrument, rows: Columns) -> bytes:
    """Rows of eleven elements, numbers as texts, the close time 0 [wire]."""
    spelled = [[plain(value) for value in rows[name].tolist()] for name in ("open", "high", "low", "close")]
    turnovers = [[plain(v) for v in rows[name].tolist()] for name in ("quote_volume", "taker_buy_quote_volume")]
    made = (
        f'[{opens // 1000},"{o}","{h}","{low}","{c}","{v}",0,"{qv}",{count},"{tb}","{tq}"]'
        for opens, o, h, low, c, v, qv, count, tb, tq in zip(
            rows["open_time"].tolist(), *spelled, sizes(one, rows), turnovers[0], rows["trade_count"].tolist(),
            bought(one, rows), turnovers[1], strict=True,
        )
    )  # fmt: skip
    return ",".join(made).encode()


def klines(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/klines: the first `limit` candles that open after startTime (exclusive [wire]) up to endTime, or the
    newest where no start is said; ascending."""
    one = instrument(ask, quoted(ask))
    interval = quoted(ask, "interval")
    if interval not in INTERVALS:
        raise number_error(-100009, "Bad kline interval!")
    period = calendar_of(HASHKEY, INTERVALS[interval])
    times = []
    for name in ("startTime", "endTime"):
        text = ask.query.get(name)
        if text and not text.lstrip("-").isdigit():
            raise number_error(-100002, f"Param {name} should be int.")
        times.append(None if not text else min(max(int(text), 0), _FOREVER) * 1000)
    start, end = times
    first = slot_of(period, one.listed_at) if start is None else slot_of(period, start) + 1
    newest = slot_of(period, ask.now)
    last = newest if end is None else min(newest, slot_of(period, end))
    if last < first:
        return reply([])
    window = Window(HASHKEY, one.symbol, period, first, last, sized(ask, 100, 1000), "first" if start else "last")

    def spell(rows: Columns) -> bytes:
        return candle_rows(one, rows)

    closed, running, _ = kept_or_made(exchange.market, window, ask.now, spell, False, exchange.bodies, ask.bend)
    between = b"," if closed is not None and running else b""
    return Answer(b"[", closed, between + running + b"]")


def trades(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/trades: the newest, at most 100, ascending, without numbers."""
    one, size = instrument(ask, quoted(ask)), sized(ask, 100, 100)
    rows = exchange.market.newest_trades(HASHKEY, one.symbol, size, ask.now)
    count = len(rows["trade_id"])
    rows = take(rows, np.arange(max(0, count - size), count, dtype=np.int64))
    if ask.bend is not None:
        rows = ask.bend(rows, ask.now)
    return reply(
        [
            {"t": time // 1000, "p": plain(price), "q": size, "ibm": side == "sell"}
            for time, price, size, side in zip(
                rows["trade_time"].tolist(), rows["price"].tolist(), sizes(one, rows), rows["side"].tolist(),
                strict=True,
            )
        ]
    )  # fmt: skip


def levels(books: LiveBooks, tick: int, depth: int) -> tuple[list[list[str]], list[list[str]]]:
    """Bids and asks, the best first, as texts."""
    book = books.read(tick, depth)
    bids, asks = ([[plain(price), plain(size)] for price, size in side] for side in (book.bids, book.asks))
    return bids, asks


def depth(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/depth."""
    one = instrument(ask, quoted(ask))
    tick = ask.now // TICK
    bids, asks = levels(LiveBooks(exchange.market.seed, one), tick, sized(ask, 100, 100))
    return reply({"t": tick * TICK // 1000, "b": bids, "a": asks})


def _best(exchange: Exchange, one: Instrument, now: int) -> tuple[list[str], list[str]]:
    bids, asks = levels(LiveBooks(exchange.market.seed, one), now // TICK, 1)
    return (bids or [["0", "0"]])[0], (asks or [["0", "0"]])[0]


def day(exchange: Exchange, one: Instrument, now: int) -> dict[str, str]:
    """What was traded in 24 hours: last, high, low, open, volume (as sizes are), turnover."""
    rows = exchange.market.trades(HASHKEY, one.symbol, now - DAY, now)
    count = len(rows["price"])
    prices = rows["price"] if count else np.zeros(1)
    coins = round(float(rows["quantity"].sum()), one.quantity_decimals)
    volume = rows["contracts"].sum() if one.derivative else coins
    return {
        "c": plain(prices[-1]), "h": plain(prices.max()), "l": plain(prices.min()), "o": plain(prices[0]),
        "v": plain(volume), "qv": plain(round(float(rows["quote_quantity"].sum()), one.quote_decimals)),
    }  # fmt: skip


def ticker_24hr(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/ticker/24hr: a list; without a symbol of spot pairs alone [wire]."""
    symbol, kind = ask.query.get("symbol"), ask.query.get("instType", "SPOT")
    if symbol:
        chosen = [instrument(ask, symbol)]
    else:
        kinds = {"SPOT": ("spot",), "FUTURES": ("swap",), "ANY": ("spot", "swap")}.get(kind, ("spot",))
        chosen = [one for name in kinds for one in listed(ask.now, name)]
    rows = []
    for one in chosen:
        found, (bid, ask_) = day(exchange, one, ask.now), _best(exchange, one, ask.now)
        rows.append({
            "t": ask.ms, "s": one.symbol, "c": found["c"], "h": found["h"], "l": found["l"], "o": found["o"],
            "b": bid[0], "a": ask_[0], "v": found["v"], "qv": found["qv"],
            "it": "FUTURES" if one.derivative else "SPOT",
        })  # fmt: skip
    return reply(rows)


def ticker_price(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/ticker/price."""
    symbol = ask.query.get("symbol")
    chosen = [instrument(ask, symbol)] if symbol else [*listed(ask.now, "spot"), *listed(ask.now, "swap")]
    rows = []
    for one in chosen:
        last = exchange.market.newest_trades(HASHKEY, one.symbol, 1, ask.now)
        if len(last["price"]):
            rows.append({"s": one.symbol, "p": plain(last["price"][-1])})
    return reply(rows)


def book_ticker(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/ticker/bookTicker: a symbol is required on Global [wire]."""
    one = instrument(ask, quoted(ask))
    bid, best = _best(exchange, one, ask.now)
    return reply([{"s": one.symbol, "b": bid[0], "bq": bid[1], "a": best[0], "aq": best[1], "t": ask.ms}])


def mark_price(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/markPrice: nothing at all, under 200, for what is no contract [wire]."""
    one = INSTRUMENTS[HASHKEY].get(quoted(ask))
    if one is None or not one.derivative or one.status_at(ask.now) != "online":
        return Answer(b"")
    price, time = mark(exchange.market.seed, one, ask.now)
    return reply({"exchangeId": 301, "symbolId": one.symbol, "price": f"{price:f}", "time": time // 1000})


def index(exchange: Exchange, ask: Ask) -> Answer:
    """/quote/v1/index: by the index's name; all without one, and none for a name that is nobody's [wire]."""
    name = ask.query.get("symbol")
    chosen = [one for one in indexed(ask.now) if not name or one is contract_of(name)]
    found = [basket(exchange.market.seed, one, ask.now) for one in chosen]
    said: dict[str, Any] = {
        "index": {one.name: f"{one.price:f}" for one in found},
        "edp": {one.name: f"{one.average:f}" for one in found},
    }
    return reply(said)


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/quote/v1/klines": klines,
    "/quote/v1/trades": trades,
    "/quote/v1/depth": depth,
    "/quote/v1/depth/merged": depth,
    "/quote/v1/ticker/24hr": ticker_24hr,
    "/quote/v1/ticker/price": ticker_price,
    "/quote/v1/ticker/bookTicker": book_ticker,
    "/quote/v1/markPrice": mark_price,
    "/quote/v1/index": index,
}
