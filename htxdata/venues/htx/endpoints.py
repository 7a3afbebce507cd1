"""Which requests bring which dataset from HTX, as tables."""

from __future__ import annotations

from htxdata.market import PERIODS, Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import LimitHeaders, Request
from htxdata.timeline import DAY, MILLISECOND, SECOND
from htxdata.venues.htx import parse, symbols
from htxdata.venues.htx.verdicts import judge
from htxdata.venues.terms import Endpoint, Venue

_PERIODS = {period: period for period in PERIODS}  # HTX writes them as we do


def _candles(series: Series, ask: Ask) -> Request:
    # Both ends are inclusive. Without `size` the server sends 150 rows however wide the window (ccxt #21819).
    return Request(
        "/market/history/candles",
        (
            ("symbol", series.symbol),
            ("period", _PERIODS[series.period or ""]),
            ("size", "1000"),
            ("from", str(ask.window.start // SECOND)),
            ("to", str((ask.window.end - 1) // SECOND)),
        ),
    )


def _spot_kline(series: Series, ask: Ask) -> Request:
    return Request(
        "/market/history/kline",
        (("symbol", series.symbol), ("period", _PERIODS[series.period or ""]), ("size", str(ask.rows))),
    )


def _linear_kline(series: Series, ask: Ask) -> Request:
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
    )


def _funding_v5(series: Series, ask: Ask) -> Request:
    params = [
        ("contract_code", series.symbol),
        ("start_time", str(-(-ask.window.start // MILLISECOND))),
        ("end_time", str((ask.window.end - 1) // MILLISECOND)),
        ("direct", "next"),
        ("limit", str(ask.rows)),
    ]
    if ask.cursor is not None:
        params.append(("from", ask.cursor))
    return Request("/v5/market/funding_rate_history", tuple(params))


def _funding_v1(series: Series, ask: Ask) -> Request:
    return Request(
        "/linear-swap-api/v1/swap_historical_funding_rate",
        (("contract_code", series.symbol), ("page_index", str(ask.number)), ("page_size", str(ask.rows))),
    )


SPOT = Venue(
    name="htx-spot",
    host="htx_spot_rest",
    judge=judge,
    limit_headers=LimitHeaders("x-hb-ratelimit-requests-remain", "x-hb-ratelimit-requests-expire"),
    endpoints=(
        Endpoint(
            "klines",
            "/market/history/candles",
            walk="time",
            rows=999,  # above 1,000 it answers an empty list
            build=_candles,
            parse=parse.kline_parser(parse.SPOT_CANDLE),
            docs="htx-api 3.2 [B/C], undocumented by HTX; ccxt's default",
            periods={p: p for p in PERIODS if p != "1mon"},  # 1mon does not work there (ccxt #18006)
        ),
        Endpoint(
            "klines",
            "/market/history/kline",
            walk="latest",
            rows=2000,
            build=_spot_kline,
            parse=parse.kline_parser(parse.SPOT_CANDLE),
            docs="htx-api 3.1 [A]",
            periods=_PERIODS,
        ),
    ),
    listings=(Request("/v2/settings/common/symbols"), Request("/v1/common/symbols")),
    describe=symbols.describe_spot,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    fold=str.lower,
)

LINEAR = Venue(
    name="htx-linear",
    host="htx_swap_rest",
    judge=judge,
    limit_headers=LimitHeaders("ratelimit-remaining", "ratelimit-reset"),
    endpoints=(
        Endpoint(
            "klines",
            "/linear-swap-ex/market/history/kline",
            walk="time",
            rows=2000,
            build=_linear_kline,
            parse=parse.kline_parser(parse.LINEAR_CANDLE),
            docs="htx-api 4.3 [A]; 1week is listed by HTX's skills hub for REST [C]",
            periods=_PERIODS,
            horizon=730 * DAY,  # "the last two years are served"
        ),
        Endpoint(
            "funding_rates",
            "/v5/market/funding_rate_history",
            walk="cursor",
            rows=100,  # 200 answers code 1067
            build=_funding_v5,
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
    ),
    listings=(Request("/linear-swap-api/v1/swap_contract_info", (("business_type", "all"),)),),
    describe=symbols.describe_linear,
    day_opens=symbols.DAY_OPENS,
    archive_host="htx_archive",
    fold=str.upper,
)

VENUES = (SPOT, LINEAR)
