"""The index-type candles of contracts: mark price, premium index, estimated funding rate (htx-api 4.4).

Only the newest `size` rows can be asked for; ascending, the last one running, all values strings. There is none of the
index price: that is served over WebSocket and by the archive alone.
"""

from __future__ import annotations

from . import derived
from .answers import Answer, Ask, Exchange, hyphens
from .candles import Encode, Window, envelope, kept_or_made, number
from .periods import slot_of
from .product_lines import Line
from .spelling import index_kline_rows

_PERIODS = ("1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon")


def candles(
    line: Line, exchange: Exchange, ask: Ask, kind: str, topic: str, status: str, encode: Encode = index_kline_rows
) -> Answer:  # fmt: skip
    """The newest `size` candles of a computed price or rate."""
    code, one = line.asked(ask), line.meant(ask)
    if not derived.exists(kind, one):
        raise hyphens(ask, "invalid-parameter", "invalid symbol")
    period = ask.query.get("period", "1min")
    if period not in _PERIODS:
        raise hyphens(ask, "invalid-parameter", "invalid period")
    try:
        size = number(ask.query.get("size")) or 0
    except ValueError:
        size = 0
    if not 1 <= size <= 2000:
        raise hyphens(ask, "invalid-parameter", "invalid size,valid range: [1, 2000]")
    window = Window(line.venue, one.symbol, period, 0, slot_of(period, ask.now), size, "last")
    source = exchange.market.computed(kind)
    made = kept_or_made(source, window, ask.now, encode, False, exchange.bodies, ask.bend)
    before, middle, after = envelope(made, descending=False)
    head = f'{{"ch":"market.{code.upper()}.{topic}.{period}","data":['
    return Answer(head.encode() + before, middle, after + f'],{status}"ts":{ask.ms}}}'.encode())


def mark_klines(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/index/market/history/linear_swap_mark_price_kline; without `status`, as in its sample (htx-api 1.3)."""
    return candles(line, exchange, ask, derived.MARK, "mark_price", "")


def premium_klines(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/index/market/history/linear_swap_premium_index_kline; perpetuals only."""
    return candles(line, exchange, ask, derived.PREMIUM, "premium_index", '"status":"ok",')


def estimated_rate_klines(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/index/market/history/linear_swap_estimated_rate_kline; perpetuals only."""
    return candles(line, exchange, ask, derived.ESTIMATED, "estimated_rate", '"status":"ok",')
