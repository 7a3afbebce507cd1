"""What permanent answers over REST: which request brings which dataset, and its parsers (permanent-v1 4).

All histories are asked for by a near edge, inclusive, and come newest first (3.3): ``EdgeWalk``. Fundings and index
prices reach 48 hours back and not further; what nobody kept by then is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.edge import NEWEST
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import HOUR, MILLISECOND, MINUTE, SECOND
from htxdata.venues import figures, frames
from htxdata.venues.permanent import rows
from htxdata.venues.permanent.answers import Row, inside, object_of, objects_of, rows_of, same_symbol, text
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Parsed, Poll

PERIODS = {
    # permanent-v1 4.1: "60m", not the "1h" of the English tables: the dictionary of valid letters has hours as 4h only.
    "1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "60m", "4hour": "4h", "1day": "1d",
    "1week": "1w", "1mon": "1M",
}  # fmt: skip

INDEX, MARK = "index", "mark"
"""Other names of an instrument (``Facts.names``): ``indexId`` and ``markPriceId`` of its listing."""

REACH = 48 * HOUR - 10 * MINUTE
"""Fundings and index prices: 48 hours back (3.3). What lies on the edge when a run is planned is past it when its turn
comes, and what the venue then answers is not known: so ten minutes less are asked for."""


# ------------------------------------------------------------------------------------------------ requests


def _edge(ask: Ask, unit: int) -> tuple[tuple[str, str], ...]:
    """``start`` is the near edge, inclusive, whatever it is called; without it, it is now."""
    return () if ask.window == NEWEST else (("start", str((ask.window.end - 1) // unit)),)


def _candles(unit: int, series: Series, ask: Ask) -> Request:
    period = PERIODS[series.period or ""]
    params = (("symbol", series.symbol), ("interval", period), *_edge(ask, unit), ("limit", str(ask.rows)))
    return Request("/market/candlesticks", params)


def _history(path: str, series: Series, ask: Ask) -> Request:
    return Request(path, (("symbol", series.symbol), *_edge(ask, MILLISECOND), ("limit", str(ask.rows))))


def _trades(series: Series, ask: Ask) -> Request:
    return Request("/market/trades", (("symbol", series.symbol), ("limit", str(ask.rows))))


def _now(path: str, symbol: str | None, *more: tuple[str, str]) -> Request:
    return Request(path, (("symbol", symbol or ""), *more))


# ------------------------------------------------------------------------------------------------- parsers


def _table(names: Sequence[str], made: Sequence[rows.Made], time: str) -> Parsed:
    columns: dict[str, list[Any]] = {name: [row[name] for row, _ in made] for name in names}
    unfit = [min(lost, 255) for _, lost in made]
    times = columns[time]
    page = Page(len(made), min(times), max(times)) if made else Page(0)
    columns = {name: values for name, values in columns.items() if not values or any(v is not None for v in values)}
    return Parsed(columns, page, unfit if any(unfit) else None)


def contract_candles(reply: Reply, series: Series, facts: Facts) -> Parsed:
    found = rows_of(reply)
    for at, row in enumerate(found):
        same_symbol(row, series.symbol, at, required=False)
    made = [rows.candle(row, at, facts) for at, row in enumerate(found)]
    return _table(rows.CANDLE, made, "open_time")


def price_candles(reply: Reply, series: Series) -> Parsed:
    """Bars of an index or mark price: nothing is traded, and there are no volumes."""
    found = rows_of(reply)
    for at, row in enumerate(found):
        same_symbol(row, series.symbol, at, required=False)
    return _table(rows.BARE, [rows.candle(row, at, None) for at, row in enumerate(found)], "open_time")


def newest_trades(reply: Reply, series: Series, facts: Facts) -> Parsed:
    found = rows_of(reply)
    for at, row in enumerate(found):
        same_symbol(row, series.symbol, at)
    return _table(rows.TRADE, [rows.trade(row, at, facts) for at, row in enumerate(found)], "trade_time")


def _unsized(read: Callable[[Reply, Series, Facts], Parsed]) -> Callable[[Reply, Series], Parsed]:
    """``Endpoint.parse``, where nobody says how large a contract is."""
    return lambda reply, series: read(reply, series, NO_FACTS)


def fundings(reply: Reply, series: Series) -> Parsed:
    """``data.data``: rows of ``fundingRate`` and ``fundingTime``; the symbol stands above them (4.5)."""
    said = object_of(reply)
    same_symbol(said, series.symbol)
    made = []
    for at, row in enumerate(inside(said, "data")):
        rate, fits = figures.number(row, "fundingRate", at)
        when = figures.instant(row, "fundingTime", at)
        made.append(({"funding_time": when, "funding_rate": rate}, int(not fits)))
    return _table(("funding_time", "funding_rate"), made, "funding_time")


def baskets(reply: Reply, series: Series) -> Parsed:
    """Baskets, one for each index time. How the lists nest is drawn two ways (4.7): both are read."""
    made: list[rows.Made] = []
    for outer in objects_of(reply):
        same_symbol(outer, series.symbol)
        for at, row in enumerate(inside(outer, "data")):
            made += rows.basket(row, at)
    return _table(rows.BASKET, made, "index_time")


def basket_now(reply: Reply, symbol: str | None) -> Parsed:
    parsed = baskets(reply, Series("index_constituents", "", symbol or ""))
    return Parsed({"symbol": [symbol] * parsed.page.count, **parsed.columns}, parsed.page, parsed.unfit)


def coming_funding(reply: Reply, symbol: str | None) -> Parsed:
    """The rate as it stands now, and when it will be settled (4.6)."""
    said = object_of(reply)
    same_symbol(said, symbol or "")
    made, unfit = rows.indicative(said)
    return _one(symbol, made, "observed_at", unfit)


_STATES = ("normal", "intraday-suspended", "price-limit")


def open_now(reply: Reply, symbol: str | None) -> Parsed:
    """What is open, of the day's summary (4.4). ``openInt`` is contracts, inferred; its worth is not said."""
    said = object_of(reply)
    same_symbol(said, symbol or "")
    if text(said, "instStatus") not in _STATES:
        raise BadReply(f"{symbol!r} is in the unknown instStatus {said['instStatus']!r:.60}")
    contracts, unfit = frames.figure(said, "openInt")
    made = {"time": figures.instant(said, "ts", 0), "contracts": contracts}
    return _one(symbol, made, "time", unfit)


def _one(symbol: str | None, made: Row, time: str, unfit: int) -> Parsed:
    columns = {"symbol": [symbol], **{name: [value] for name, value in made.items()}}
    return Parsed(columns, Page(1, made[time], made[time]), [unfit] if unfit else None)


# -------------------------------------------------------------------------------------------------- tables


def _price_klines(dataset: str, by: str, unit: int) -> Endpoint:
    return Endpoint(
        dataset, "/market/candlesticks", walk="edge", rows=500, build=partial(_candles, unit), parse=price_candles,
        docs=f"permanent-v1 4.1: symbol may be the contract's {by} symbol; no limit in depth is stated",
        periods=PERIODS, by=by,
    )  # fmt: skip


def _klines(unit: int) -> Endpoint:
    return Endpoint(
        "klines", "/market/candlesticks", walk="edge", rows=500, build=partial(_candles, unit),
        parse=_unsized(contract_candles), sized=contract_candles,
        docs="permanent-v1 4.1; `start` in seconds or milliseconds: the text leaves it open (3.3), so both are tried",
        periods=PERIODS,
    )  # fmt: skip


_CONSTITUENTS = "/market/index-constituents"

ENDPOINTS = (
    *(_price_klines(dataset, by, unit) for unit in (SECOND, MILLISECOND)
      for dataset, by in (("mark_klines", MARK), ("index_klines", INDEX))),
    *(_klines(unit) for unit in (SECOND, MILLISECOND)),
    Endpoint(
        "trades", "/market/trades", walk="tail", rows=300, build=_trades, parse=_unsized(newest_trades),
        sized=newest_trades, docs="permanent-v1 4.3: the latest 300, no time",
    ),
    Endpoint(
        "funding_rates", "/market/funding-rate", walk="edge", rows=500,
        build=partial(_history, "/market/funding-rate"), parse=fundings, docs="permanent-v1 4.5", horizon=REACH,
    ),
    Endpoint(
        "index_constituents", _CONSTITUENTS, walk="edge", rows=500, build=partial(_history, _CONSTITUENTS),
        parse=baskets, docs="permanent-v1 4.7; symbol is the index code in the last revision", horizon=REACH, by=INDEX,
    ),
)  # fmt: skip

POLLS = (
    Poll(
        "open_interest", "/market/summary", build=partial(_now, "/market/summary"), parse=open_now,
        docs="permanent-v1 4.4",
    ),
    Poll(
        "index_constituents", _CONSTITUENTS,
        build=lambda symbol: _now(_CONSTITUENTS, symbol, ("limit", "1")), parse=basket_now,
        docs="permanent-v1 4.7; symbol is the index code in the last revision", by=INDEX,
    ),
    Poll(
        "indicative_funding_rates", "/market/indicative-funding-rate",
        build=partial(_now, "/market/indicative-funding-rate"), parse=coming_funding, docs="permanent-v1 4.6",
    ),
)  # fmt: skip
