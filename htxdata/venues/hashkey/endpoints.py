"""What HashKey answers over REST: which request brings which dataset (hashkey-api 4)."""

from __future__ import annotations

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import MILLISECOND
from htxdata.venues.hashkey import funding, own, parse, prices, symbols
from htxdata.venues.hashkey.feeds import FEEDS, INTERVALS
from htxdata.venues.hashkey.user_stream import OWN_FEEDS
from htxdata.venues.hashkey.verdicts import judge
from htxdata.venues.terms import Endpoint, Parsed, Poll, Venue

_KLINES, _TRADES = "/quote/v1/klines", "/quote/v1/trades"
_SETTLED, _COMING = "/api/v1/futures/historyFundingRate", "/api/v1/futures/fundingRate"
_MARK, _INDEX = "/quote/v1/markPrice", "/quote/v1/index"

_ANY_TIME = "1577836800000"
"""``timestamp`` is required and its value of no account: any integer is accepted [code] (hashkey-api 4.5)."""


def _klines(series: Series, ask: Ask) -> Request:
    # The start looks exclusive (one capture, [wire]): a millisecond less is right either way, as no candle opens there.
    # The oldest rows of a window come first; without an end that is not sure. Both ends are always sent.
    return Request(
        _KLINES,
        (
            ("symbol", series.symbol),
            ("interval", INTERVALS[series.period or ""]),
            ("startTime", str(ask.window.start // MILLISECOND - 1)),
            ("endTime", str((ask.window.end - 1) // MILLISECOND)),
            ("limit", "1000"),
        ),
    )


def _newest_klines(series: Series, ask: Ask) -> Request:
    interval = INTERVALS[series.period or ""]
    return Request(_KLINES, (("symbol", series.symbol), ("interval", interval), ("limit", str(ask.rows))))


def _trades(series: Series, ask: Ask) -> Request:
    return Request(_TRADES, (("symbol", series.symbol), ("limit", str(ask.rows))))


def _settled(series: Series, ask: Ask) -> Request:
    # Which of the two leads back is [unknown]; the sister exchange words them "start id" and "end id".
    name = "endId" if ask.number == 1 else "fromId"
    bound = () if ask.cursor is None else ((name, ask.cursor),)
    return Request(_SETTLED, (("symbol", series.symbol), ("limit", str(ask.rows)), *bound))


def _coming(symbol: str | None) -> Request:
    return Request(_COMING, (("timestamp", _ANY_TIME),))


def _mark(symbol: str | None) -> Request:
    return Request(_MARK, (("symbol", str(symbol)),))


def _index(symbol: str | None) -> Request:
    return Request(_INDEX, () if symbol is None else (("symbol", symbols.index_of(symbol)),))


def _unsized(reply: Reply, series: Series) -> Parsed:
    raise BadReply("sizes are contracts, and what a contract is was not said")


ENDPOINTS = (
    Endpoint(
        "klines",
        _KLINES,
        walk="time",
        rows=999,  # of at most 1,000: one less, should both ends be inclusive
        build=_klines,
        parse=_unsized,
        sized=parse.klines,
        docs="hashkey-api 4.3 [wire]; how far back it reaches is [unknown]",
        periods=INTERVALS,
    ),
    Endpoint(
        "klines",
        _KLINES,
        walk="latest",
        rows=1000,
        build=_newest_klines,
        parse=_unsized,
        sized=parse.klines,
        docs="hashkey-api 4.3 [inferred]: without times the newest come",
        periods=INTERVALS,
    ),
    Endpoint(
        "trades",
        _TRADES,
        walk="tail",
        rows=100,
        build=_trades,
        parse=_unsized,
        sized=parse.trades,
        docs="hashkey-api 4.2 [wire]: the newest 100",
    ),
    Endpoint(
        "funding_rates",
        _SETTLED,
        walk="back",
        rows=1000,  # the most is [unknown]; 100 was honoured [wire], 1,000 is one note's word
        build=_settled,
        parse=funding.history,
        docs="hashkey-api 4.6 [wire]: newest first, no times; what fromId and endId mean is [unknown]",
    ),
)

POLLS = (
    Poll(
        "indicative_funding_rates",
        _COMING,
        build=_coming,
        parse=funding.coming,
        docs="hashkey-api 4.5 [wire]: without a symbol all contracts",
        whole=True,
    ),
    Poll(
        "mark_prices",
        _MARK,
        build=_mark,
        parse=prices.mark,
        docs="hashkey-api 4, 4.4 [wire]: one contract a call, no bulk form",
    ),
    Poll(
        "index_prices",
        _INDEX,
        build=_index,
        parse=prices.index,
        docs="hashkey-api 4 [wire]: without a symbol all indices",
        whole=True,
    ),
    Poll(
        "index_prices",
        _INDEX,
        build=_index,
        parse=prices.index,
        docs="hashkey-api 4 [wire]: by the name of the index; for what the answer for all did not tell",
    ),
)

HASHKEY = Venue(
    name="hashkey",
    host="hashkey_rest",
    judge=judge,
    limit_headers=None,  # none were seen [wire]
    endpoints=(*ENDPOINTS, *own.OWN),
    listings=(Request("/api/v1/exchangeInfo"),),
    describe=symbols.describe,
    fold=str.upper,
    polls=POLLS,
    feeds=(*FEEDS, *OWN_FEEDS),
    has=symbols.has,
    keys="hashkey",
    sign=own.sign,
    headers=own.headers,
    proof=own.PROOF,
)

VENUES = (HASHKEY,)
