"""What HTX's USDT-margined contracts answer over REST: which request brings which dataset.

``Request.pool`` names the limit that a request counts against (htx-api 2.2 [A]): "market" 800 requests a second of each
address, "reference" 240 in three seconds, shared by all that is no market data, v5 included.
"""

from __future__ import annotations

from functools import partial

from htxdata.market import PERIODS, Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Request
from htxdata.timeline import DAY, HOUR, MILLISECOND, SECOND
from htxdata.venues.htx import constituents, indicative, interest, liquidations, parse, trades
from htxdata.venues.terms import Endpoint, Poll

MARKET, REFERENCE = "market", "reference"

_PERIODS = {period: period for period in PERIODS}  # HTX writes them as we do


def _kline(series: Series, ask: Ask) -> Request:
    # `size` must not be sent: with it, `from` and `to` are ignored. Both ends are inclusive, so the last opening of the
    # window is asked for, never the one after: 2,001 rows would come back as an empty list (htx-api 4.3 [A]).
    return Request(
        "/linear-swap-ex/market/history/kline",
        (
            ("contract_code", series.symbol),
            ("period", _PERIODS[series.period or ""]),
            ("from", str(ask.window.start // SECOND)),
            ("to", str((ask.window.end - 1) // SECOND)),
        ),
        MARKET,
    )


def _price_kline(path: str, series: Series, ask: Ask) -> Request:
    return Request(
        path,
        (
            ("contract_code", series.symbol),
            ("period", _PERIODS[series.period or ""]),
            ("size", str(ask.rows)),
        ),
        MARKET,
    )


def _trades(series: Series, ask: Ask) -> Request:
    return Request(
        "/linear-swap-ex/market/history/trade",
        (("contract_code", series.symbol), ("size", str(ask.rows))),
        MARKET,
    )


def _times(ask: Ask) -> tuple[tuple[str, str], ...]:
    """Both ends are inclusive, in milliseconds."""
    return (
        ("start_time", str(-(-ask.window.start // MILLISECOND))),
        ("end_time", str((ask.window.end - 1) // MILLISECOND)),
        ("direct", "next"),
    )


def _v5_rows(path: str, series: Series, ask: Ask) -> Request:
    cursor = () if ask.cursor is None else (("from", ask.cursor),)
    params = (("contract_code", series.symbol), *_times(ask), ("limit", str(ask.rows)), *cursor)
    return Request(path, params, REFERENCE)


def _funding_v1(series: Series, ask: Ask) -> Request:
    return Request(
        "/linear-swap-api/v1/swap_historical_funding_rate",
        (("contract_code", series.symbol), ("page_index", str(ask.number)), ("page_size", str(ask.rows))),
        REFERENCE,
    )


def _interest_history(series: Series, ask: Ask) -> Request:
    return Request(
        "/linear-swap-api/v1/swap_his_open_interest",
        (
            ("contract_code", series.symbol),
            ("period", "60min"),
            ("size", str(ask.rows)),
            ("amount_type", interest.IN_CONTRACTS),
        ),
        REFERENCE,
    )


def _interest_now(symbol: str | None) -> Request:
    return Request("/v5/market/open_interest", (("contract_code", symbol or ""),), REFERENCE)


def _interest_of_all(symbol: str | None) -> Request:
    # business_type is swap unless something else is said (htx-api 4.2 of contract_info, whose parameter it is).
    return Request("/linear-swap-api/v1/swap_open_interest", (("business_type", "all"),), REFERENCE)


def _of_contract(path: str, symbol: str | None) -> Request:
    return Request(path, (("contract_code", symbol or ""),), REFERENCE)


def _fundings_of_all(symbol: str | None) -> Request:
    return Request("/linear-swap-api/v1/swap_batch_funding_rate", (), REFERENCE)


def _liquidations_v3(series: Series, ask: Ask) -> Request:
    # trade_type 0 is all. The page's size cannot be asked for.
    cursor = () if ask.cursor is None else (("from_id", ask.cursor),)
    return Request(
        "/linear-swap-api/v3/swap_liquidation_orders",
        (("contract", series.symbol), ("trade_type", "0"), *_times(ask), *cursor),
        REFERENCE,
    )


def _price_klines(dataset: str, path: str, topic: str) -> Endpoint:
    return Endpoint(
        dataset,
        path,
        walk="latest",
        rows=2000,
        build=partial(_price_kline, path),
        parse=parse.kline_parser(parse.PRICE_CANDLE, topic),
        docs="htx-api 4.4 [A]: no times, the newest 2,000 only",
        periods=_PERIODS,
    )


_FUNDING = "/v5/market/funding_rate_history"
_LIQUIDATIONS = "/v5/market/liquidation_orders"

_LIQUIDATION_SPAN = 2 * HOUR  # "span <= 2 h"
_LIQUIDATION_DEPTH = 90 * DAY - HOUR
"""90 days back [B]. What lies on the edge when a run is planned is past it when its turn comes, and whether the venue
then answers with fewer rows or with an error is not known: so an hour less is asked for."""

_INTEREST_DEPTH = 198 * HOUR
"""200 points, an hour apart, of which the newest is still open: the 199th is up to 199 hours old, and an hour may pass
between plan and request."""

ENDPOINTS = (
    Endpoint(
        "klines",
        "/linear-swap-ex/market/history/kline",
        walk="time",
        rows=2000,
        build=_kline,
        parse=parse.kline_parser(parse.LINEAR_CANDLE),
        docs="htx-api 4.3 [A]; 1week is listed by HTX's skills hub for REST [C]",
        periods=_PERIODS,
        horizon=730 * DAY,  # "the last two years are served"
    ),
    Endpoint(
        "funding_rates",
        _FUNDING,
        walk="cursor",
        rows=100,  # 200 answers code 1067
        build=partial(_v5_rows, _FUNDING),
        parse=parse.funding_v5,
        docs="htx-api 4.1 [B]",
    ),
    Endpoint(
        "funding_rates",
        "/linear-swap-api/v1/swap_historical_funding_rate",
        walk="page",
        rows=100,  # docs cap 50; 100 was honoured when measured, more is cut in silence
        build=_funding_v1,
        parse=parse.funding_v1,
        docs="htx-api 4.7 [A], to be retired",
    ),
    Endpoint(
        "trades",
        "/linear-swap-ex/market/history/trade",
        walk="tail",
        rows=2000,
        build=_trades,
        parse=trades.linear_trades,
        docs="htx-api 4.5 [A]; how far back it reaches is not documented: minutes to hours",
    ),
    # Index prices have no REST here: archive only (htx-api 4.4).
    _price_klines("mark_klines", "/index/market/history/linear_swap_mark_price_kline", "mark_price"),
    _price_klines("premium_klines", "/index/market/history/linear_swap_premium_index_kline", "premium_index"),
    _price_klines(
        "estimated_rate_klines", "/index/market/history/linear_swap_estimated_rate_kline", "estimated_rate"
    ),
    Endpoint(
        "open_interest",
        "/linear-swap-api/v1/swap_his_open_interest",
        walk="latest",
        rows=200,
        build=_interest_history,
        parse=interest.history,
        docs="htx-api 4.8 [A], maybe to be retired; 60min is the shortest of its four periods",
        horizon=_INTEREST_DEPTH,
    ),
    Endpoint(
        "liquidations",
        _LIQUIDATIONS,
        walk="cursor",
        rows=100,
        build=partial(_v5_rows, _LIQUIDATIONS),
        parse=liquidations.orders_v5,
        docs="htx-api 4.1 [B]",
        horizon=_LIQUIDATION_DEPTH,
        span=_LIQUIDATION_SPAN,
    ),
    Endpoint(
        "liquidations",
        "/linear-swap-api/v3/swap_liquidation_orders",
        walk="cursor",
        rows=50,  # how many rows a page holds is not documented [C]
        build=_liquidations_v3,
        parse=liquidations.orders_v3,
        docs="htx-api 4.8 [B], to be retired; its ids are another number space than those of v5",
        horizon=_LIQUIDATION_DEPTH,
        span=_LIQUIDATION_SPAN,
    ),
)


_CONSTITUENTS = "/linear-swap-api/market/swap_contract_constituents"
_CONSTITUENTS_OTHERWISE = "/linear-swap-ex/market/swap_contract_constituents"
_COMING = "/v5/market/funding_rate"
_COMING_V1 = "/linear-swap-api/v1/swap_funding_rate"

POLLS = (
    Poll(
        "open_interest",
        "/v5/market/open_interest",
        build=_interest_now,
        parse=interest.now_v5,
        docs="htx-api 4.1 [B]; contract_code is required",
    ),
    Poll(
        "open_interest",
        "/linear-swap-api/v1/swap_open_interest",
        build=_interest_of_all,
        parse=interest.now_v1,
        docs="htx-api 4.8 [A], maybe to be retired; that it tells of all where no contract is named is [B]",
        whole=True,
    ),
    Poll(
        "index_constituents",
        _CONSTITUENTS,
        build=partial(_of_contract, _CONSTITUENTS),
        parse=constituents.of_contract,
        docs="htx-api 4.8 [A]; contract_code is required, and a perpetual and its dated ones have one basket",
    ),
    Poll(
        "index_constituents",
        _CONSTITUENTS_OTHERWISE,
        build=partial(_of_contract, _CONSTITUENTS_OTHERWISE),
        parse=constituents.of_contract,
        docs="htx-api 4.8 [C]: the path as HTX's skills hub prints it, by mistake it seems",
    ),
    Poll(
        "indicative_funding_rates",
        _COMING,
        build=partial(_of_contract, _COMING),
        parse=indicative.rows,
        docs="htx-api 4.1 [B]; that several codes may be named at once is [C], and not made use of",
    ),
    Poll(
        "indicative_funding_rates",
        "/linear-swap-api/v1/swap_batch_funding_rate",
        build=_fundings_of_all,
        parse=indicative.rows,
        docs="htx-api 4.7 [A], maybe to be retired; all perpetuals in one answer",
        whole=True,
    ),
    Poll(
        "indicative_funding_rates",
        _COMING_V1,
        build=partial(_of_contract, _COMING_V1),
        parse=indicative.one,
        docs="htx-api 4.7 [A], maybe to be retired",
    ),
)
