"""What HTX spot answers over REST: which request brings which dataset."""

from __future__ import annotations

from htxdata.market import PERIODS, Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Request
from htxdata.timeline import SECOND
from htxdata.venues.htx import parse, trades
from htxdata.venues.terms import Endpoint

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


def _kline(series: Series, ask: Ask) -> Request:
    return Request(
        "/market/history/kline",
        (("symbol", series.symbol), ("period", _PERIODS[series.period or ""]), ("size", str(ask.rows))),
    )


def _trades(series: Series, ask: Ask) -> Request:
    # Without `size` one group comes. It counts groups: more trades than that may come.
    return Request("/market/history/trade", (("symbol", series.symbol), ("size", str(ask.rows))))


ENDPOINTS = (
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
        build=_kline,
        parse=parse.kline_parser(parse.SPOT_CANDLE),
        docs="htx-api 3.1 [A]",
        periods=_PERIODS,
        deeper="the socket may have older ones, and is not asked",  # a `req` of at most 300 candles (htx-api 7.3)
    ),
    Endpoint(
        "trades",
        "/market/history/trade",
        walk="tail",
        rows=2000,
        build=_trades,
        parse=trades.spot_trades,
        docs="htx-api 3.3 [A]; how far back it reaches is not documented: minutes, for busy pairs",
    ),
)
