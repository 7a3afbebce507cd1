"""What HTX's three lines of contracts have in common over REST: the same requests under other paths and names.

A `Line` is what differs between USDT-margined contracts, coin-margined swaps and coin-margined dated futures; the
functions make entries of a venue's table of it. ``Request.pool`` names the limit that a request counts against
(htx-api 2.2 [A]): "market" 800 requests a second of each address and line; reference data its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from htxdata.market import PERIODS, Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import DAY, HOUR, MILLISECOND, SECOND
from htxdata.venues.htx import interest, parse, trades
from htxdata.venues.terms import Endpoint, Parsed, Poll

MARKET = "market"
AS_OURS = {period: period for period in PERIODS}
"""HTX writes periods as we do."""

Parse = Callable[[Reply, Series], Parsed]


def itself(symbol: str) -> str:
    return symbol


@dataclass(frozen=True)
class Line:
    """One line of contracts. ``market`` is the path before `/history/kline`, ``parameter`` what market data calls a
    symbol, ``pool`` the limit that reference data counts against."""

    market: str
    parameter: str
    pool: str


def klines(line: Line, docs: str) -> Endpoint:
    path = f"{line.market}/history/kline"

    def build(series: Series, ask: Ask) -> Request:
        # `size` must not be sent: with it, `from` and `to` are ignored. Both ends are inclusive, so the last opening of
        # the window is asked for, never the one after: 2,001 rows would come back as an empty list (htx-api 4.3 [A]).
        params = (
            (line.parameter, series.symbol),
            ("period", AS_OURS[series.period or ""]),
            ("from", str(ask.window.start // SECOND)),
            ("to", str((ask.window.end - 1) // SECOND)),
        )
        return Request(path, params, MARKET)

    return Endpoint(
        "klines",
        path,
        walk="time",
        rows=2000,
        build=build,
        parse=parse.kline_parser(parse.LINEAR_CANDLE),
        docs=docs,
        periods=AS_OURS,
        horizon=730 * DAY,  # "the last two years are served"
    )


def price_klines(
    line: Line, dataset: str, path: str, topic: str, docs: str, *, named: Callable[[str], str] = itself,
    without: frozenset[str] = frozenset(),
) -> Endpoint:  # fmt: skip
    """Candles of a computed price. ``named`` is what the endpoint calls a symbol, ``without`` periods that it lacks."""

    def build(series: Series, ask: Ask) -> Request:
        period = ("period", AS_OURS[series.period or ""])
        return Request(path, ((line.parameter, named(series.symbol)), period, ("size", str(ask.rows))), MARKET)

    return Endpoint(
        dataset,
        path,
        walk="latest",
        rows=2000,
        build=build,
        parse=parse.kline_parser(parse.PRICE_CANDLE, topic, named),
        docs=docs,
        periods={period: spelled for period, spelled in AS_OURS.items() if period not in without},
        deeper="the socket may have older ones, and is not asked",  # `req` of /ws_index, how far is not said (7.5 [B])
    )


def newest_trades(line: Line, docs: str) -> Endpoint:
    path = f"{line.market}/history/trade"

    def build(series: Series, ask: Ask) -> Request:
        return Request(path, ((line.parameter, series.symbol), ("size", str(ask.rows))), MARKET)

    return Endpoint("trades", path, walk="tail", rows=2000, build=build, parse=trades.linear_trades, docs=docs)


def times(ask: Ask) -> tuple[tuple[str, str], ...]:
    """Both ends are inclusive, in milliseconds."""
    return (
        ("start_time", str(-(-ask.window.start // MILLISECOND))),
        ("end_time", str((ask.window.end - 1) // MILLISECOND)),
        ("direct", "next"),
    )


def fundings_by_page(line: Line, path: str, rows: int, docs: str) -> Endpoint:
    def build(series: Series, ask: Ask) -> Request:
        page = (("page_index", str(ask.number)), ("page_size", str(ask.rows)))
        return Request(path, (("contract_code", series.symbol), *page), line.pool)

    return Endpoint("funding_rates", path, walk="page", rows=rows, build=build, parse=parse.funding_v1, docs=docs)


LIQUIDATION_SPAN = 2 * HOUR  # "span <= 2 h"
LIQUIDATION_DEPTH = 90 * DAY - HOUR
"""90 days back [B]. What lies on the edge when a run is planned is past it when its turn comes, and whether the venue
then answers with fewer rows or with an error is not known: so an hour less is asked for."""


def liquidations_by_id(
    line: Line, path: str, parameter: str, named: Callable[[str], str], read: Parse, docs: str
) -> Endpoint:  # fmt: skip
    """v3. ``parameter`` and ``named``: by what a symbol's liquidations are asked for."""

    def build(series: Series, ask: Ask) -> Request:
        # trade_type 0 is all. The page's size cannot be asked for.
        cursor = () if ask.cursor is None else (("from_id", ask.cursor),)
        params = ((parameter, named(series.symbol)), ("trade_type", "0"), *times(ask), *cursor)
        return Request(path, params, line.pool)

    return Endpoint(
        "liquidations",
        path,
        walk="cursor",
        rows=50,  # how many rows a page holds is not documented [C]
        build=build,
        parse=read,
        docs=docs,
        horizon=LIQUIDATION_DEPTH,
        span=LIQUIDATION_SPAN,
    )


INTEREST_DEPTH = 198 * HOUR
"""200 points, an hour apart, of which the newest is still open: the 199th is up to 199 hours old, and an hour may pass
between plan and request."""


def interest_by_hour(line: Line, path: str, docs: str) -> Endpoint:
    def build(series: Series, ask: Ask) -> Request:
        params = (
            ("contract_code", series.symbol),
            ("period", "60min"),
            ("size", str(ask.rows)),
            ("amount_type", interest.IN_CONTRACTS),
        )
        return Request(path, params, line.pool)

    return Endpoint(
        "open_interest",
        path,
        walk="latest",
        rows=200,
        build=build,
        parse=interest.history,
        docs=docs,
        horizon=INTEREST_DEPTH,
    )


def poll(
    line: Line, dataset: str, path: str, parse: Callable[[Reply, str | None], Parsed], docs: str, *,
    parameter: str = "contract_code", named: Callable[[str], str] = itself,
) -> Poll:  # fmt: skip
    """What is so now of one symbol."""

    def build(symbol: str | None) -> Request:
        return Request(path, ((parameter, named(symbol or "")),), line.pool)

    return Poll(dataset, path, build=build, parse=parse, docs=docs)


def _of_all(path: str, params: tuple[tuple[str, str], ...], pool: str, symbol: str | None) -> Request:
    return Request(path, params, pool)


def poll_of_all(
    line: Line, dataset: str, path: str, parse: Callable[[Reply, str | None], Parsed], docs: str,
    params: tuple[tuple[str, str], ...] = (),
) -> Poll:  # fmt: skip
    """What is so now of every contract."""
    build = partial(_of_all, path, params, line.pool)
    return Poll(dataset, path, build=build, parse=parse, docs=docs, whole=True)
