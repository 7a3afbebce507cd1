"""Permanent over REST: the public half of the 2019 "Permanent Contract API v1.0" (permanent-v1 3 and 4).

Success is code 200, errors are 2002 with the words of the socket's table (6.5) and HTTP 200: how REST spells them is
not written. A near edge of fundings or index prices further back than 48 hours brings nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import derived
from . import permanent_market as told
from .answers import Answer, Ask, Exchange, Refusal, reply
from .breakage import take
from .candles import number
from .instruments import INSTRUMENTS, PERMANENT, Instrument
from .linear_indicative import _coming
from .live_books import TICK, LiveBooks
from .periods import DAY, HOUR, SECOND
from .permanent_market import INDEX, INDEX_EVERY, INTERVALS, MARK, Unknown
from .spelling import plain

Rows = list[dict[str, Any]]
_REACH = 48 * HOUR


def _ok(data: Any) -> Answer:
    return reply({"code": 200, "data": data})


def error(code: int, text: str, status: int = 200) -> Answer:
    return reply({"code": code, "message": text}, status)


def _number(ask: Ask, name: str, wrong: str) -> int | None:
    try:
        return number(ask.query.get(name))
    except ValueError:
        raise Unknown(wrong) from None


def _limit(ask: Ask, default: int, most: int) -> int:
    found = _number(ask, "limit", "invalid.limit")
    limit = default if found is None else found
    if not 1 <= limit <= most:
        raise Unknown("invalid.limit")
    return limit


def _edge(ask: Ask, unit: int) -> int:
    """The near edge in us UTC, inclusive; now unless said."""
    start = _number(ask, "start", "invalid.from.to")
    return ask.now if start is None else min(ask.now, max(start, 0) * unit)


def _of(ask: Ask, mark: str = "") -> tuple[str, Instrument]:
    """The symbol as it was asked for, and its contract; `mark` may stand before it."""
    symbol = ask.query.get("symbol", "")
    return symbol, told.contract(symbol.removeprefix(mark), ask.now)


def candlesticks(exchange: Exchange, ask: Ask) -> Answer:
    """/market/candlesticks: newest first, the running bar among them; `start` in seconds unless told otherwise."""
    interval, limit = ask.query.get("interval", ""), _limit(ask, 100, 500)
    if interval not in INTERVALS:
        raise Unknown("invalid.interval")
    symbol, edge = ask.query.get("symbol", ""), _edge(ask, exchange.permanent_unit)
    found, traded = told.candles(exchange.market, symbol, INTERVALS[interval], edge, limit, ask.now, ask.bend)
    names = ("id", "open", "close", "low", "high", "turnover", "volume", "numOfTrades")[: None if traded else 5]
    return _ok([{"symbol": symbol, **dict(zip(names, bar, strict=False))} for bar in found])


def mbp(exchange: Exchange, ask: Ask) -> Answer:
    """/market/mbp: the book as it is."""
    symbol, one = _of(ask)
    count = _number(ask, "levels", "invalid.level")
    if count not in (None, 5, 10, 20, 50, 100):
        raise Unknown("invalid.level")
    tick = ask.now // TICK
    sides = told.book(LiveBooks(exchange.market.seed, one), tick, count or 5)
    listed = ([{"price": price, "size": size} for price, size in side] for side in sides)
    return _ok({"ts": tick * TICK // 1000, "symbol": symbol, **dict(zip(("bid", "ask"), listed, strict=True))})


def trades(exchange: Exchange, ask: Ask) -> Answer:
    """/market/trades: the newest, one unless said, 300 at most; of an index or mark symbol its value once a second."""
    limit, symbol = _limit(ask, 1, 300), ask.query.get("symbol", "")
    for mark, kind in ((INDEX, derived.INDEX), (MARK, derived.MARK)):
        if symbol.startswith(mark):
            _, one = _of(ask, mark)
            seconds = ask.now // SECOND - np.arange(limit, dtype=np.int64)[::-1]
            values = exchange.market.computed(kind).values(one, seconds * 1000) / 10.0 ** derived.decimals(kind, one)
            ticks = zip(seconds.tolist()[::-1], values.tolist()[::-1], strict=True)
            return _ok([{"symbol": symbol, "tradeId": second, "tradePrice": plain(value), "tradeTime": second * 1000}
                        for second, value in ticks])  # fmt: skip
    symbol, one = _of(ask)
    rows = exchange.market.newest_trades(one.venue, one.symbol, limit, ask.now)
    rows = take(rows, np.arange(len(rows["trade_id"]), dtype=np.int64)[::-1][:limit])
    rows = rows if ask.bend is None else ask.bend(rows, ask.now)
    names = ("tradeId", "tradeTime", "tradePrice", "tradeVolume", "aggrOrdSide")
    return _ok([{"symbol": symbol, **dict(zip(names, row, strict=True))} for row in told.trades(rows)])


def summary(exchange: Exchange, ask: Ask) -> Answer:
    """/market/summary: the last 24 hours, and what is open."""
    symbol, one = _of(ask)
    rows = exchange.market.trades(one.venue, one.symbol, ask.now - DAY, ask.now)
    prices, count = rows["price"], len(rows["price"])
    four = (prices[0], prices.max(), prices.min(), prices[-1]) if count else (0.0,) * 4
    now = exchange.market.open_interest_now(one.venue, one.symbol, ask.now)["contracts"]
    return _ok(
        {
            "ts": ask.ms, "symbol": symbol,
            **{name: plain(float(price)) for name, price in zip(("open", "high", "low", "close"), four, strict=True)},
            "numOfTrades": count, "totalVolume": str(int(rows["contracts"].sum())),
            "turnover": plain(round(float(rows["quote_quantity"].sum()), one.quote_decimals)),
            "instStatus": "normal" if one.status_at(ask.now) == "online" else "intraday-suspended",
            "openInt": int(now[0]) if len(now) else 0,
        }
    )  # fmt: skip


def funding_rate(exchange: Exchange, ask: Ask) -> Answer:
    """/market/funding-rate: settled rates, newest first, 48 hours back; one unless said."""
    symbol, one = _of(ask)
    limit, edge = _limit(ask, 1, 500), _edge(ask, 1000)
    rows = exchange.market.funding_rates(one.venue, one.symbol, ask.now - _REACH, edge + 1)
    rows = take(rows, np.arange(len(rows["id"]), dtype=np.int64)[::-1][:limit])
    rows = rows if ask.bend is None else ask.bend(rows, ask.now)
    pairs = zip(rows["funding_rate_text"], rows["funding_time"].tolist(), strict=True)
    data = [{"fundingRate": rate, "fundingTime": time // 1000} for rate, time in pairs]
    return _ok({"ts": ask.ms, "symbol": symbol, "data": data})


def indicative_funding_rate(exchange: Exchange, ask: Ask) -> Answer:
    """/market/indicative-funding-rate: what the coming settlement would be."""
    symbol, one = _of(ask)
    times, rate = _coming(exchange.market, exchange.market.seed, one, ask.ms * 1000)
    if not times:
        raise Unknown("invalid.symbol")
    return _ok({"ts": ask.ms, "symbol": symbol, "indFundRate": rate, "indFundTime": times[0] // 1000})


def index_constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/market/index-constituents: baskets, newest first, 48 hours back; asked for by index code or contract."""
    symbol, one = _of(ask, INDEX)
    limit, edge = _limit(ask, 1, 500), _edge(ask, 1000)
    if one.status_at(ask.now) == "offline":
        raise Unknown("invalid.symbol")
    last, first = edge // INDEX_EVERY, -(-(ask.now - _REACH) // INDEX_EVERY)
    times = np.arange(last, max(first - 1, last - limit), -1, dtype=np.int64) * INDEX_EVERY
    rows = {"index_time": times}
    times = (rows if ask.bend is None else ask.bend(rows, ask.now))["index_time"]
    data = []
    for at in times.tolist():
        price, legs = told.index(exchange.market.seed, one, at)
        names = ("constituent", "weight", "price")
        listed = [dict(zip(names, leg, strict=True)) for leg in legs]
        data.append({"indexPrice": price, "indexTime": at // 1000, "constituents": listed})
    return _ok({"ts": ask.ms, "symbol": symbol, "data": data})


_STATES = {"online": "normal", "suspend": "interday-suspended", "offline": "delisted"}


def instruments(exchange: Exchange, ask: Ask) -> Answer:
    """/reference/instruments: all, or the one asked for, ascending by symbol."""
    wanted = ask.query.get("symbol")
    if wanted:
        told.contract(wanted, ask.now)
    listed = sorted(INSTRUMENTS[PERMANENT].items())
    return _ok(
        [
            _row(symbol, one, ask)
            for symbol, one in listed
            if one.status_at(ask.now) != "pre-online" and wanted in (None, "", symbol)
        ]
    )


def _row(symbol: str, one: Instrument, ask: Ask) -> dict[str, Any]:
    risk = {"riskLimitLevel": 1, "riskLimit": 100_000, "initMargin": "0.01", "maintMargin": "0.005",
            "alarmMargin": "0.007"}  # fmt: skip
    return {
        "ts": ask.ms, "symbol": symbol, "indexId": INDEX + symbol, "markPriceId": MARK + symbol,
        "contractSize": plain(one.contract_size or 0.0), "contractType": "swap", "baseCurrency": one.base.lower(),
        "quoteCurrency": one.quote.lower(), "marginCurrency": one.quote.lower(), "minOrderSize": 1,
        "maxOrderSize": 100_000, "pricePrecision": str(one.price_decimals), "tickSize": plain(one.tick_size),
        "riskLimitLevels": [risk], "takerFeeRate": "0.0005", "makerFeeRate": "0.0002", "marginPrecision": "8",
        "pnlPrecision": "8", "instStatus": _STATES[one.status_at(ask.now)],
    }  # fmt: skip


Endpoint = Callable[[Exchange, Ask], Answer]


def _spoken(endpoint: Endpoint) -> Endpoint:
    def answer(exchange: Exchange, ask: Ask) -> Answer:
        try:
            return endpoint(exchange, ask)
        except Unknown as unknown:
            raise Refusal(error(2002, str(unknown))) from None

    return answer


ENDPOINTS: dict[str, Endpoint] = {
    f"/api/swap{path}": _spoken(endpoint)
    for path, endpoint in {
        "/market/candlesticks": candlesticks,
        "/market/mbp": mbp,
        "/market/trades": trades,
        "/market/summary": summary,
        "/market/funding-rate": funding_rate,
        "/market/indicative-funding-rate": indicative_funding_rate,
        "/market/index-constituents": index_constituents,
        "/reference/instruments": instruments,
    }.items()
}
