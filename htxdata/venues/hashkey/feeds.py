"""What HashKey pushes: which topic on which socket becomes which dataset (hashkey-api 5, 5.1).

Trades, candles and indices are heard on V1: its first push of trades repeats the newest 60, which bridges most
reconnects, its candles say turnover, count and what takers bought, and indices are there alone. Books and best prices
are heard on V2, which is 130 to 160 ms faster and acknowledges. There is no topic for fundings [wire], and none for
liquidations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from htxdata.protocol.dialect import Dialect
from htxdata.venues.frames import SymbolOf
from htxdata.venues.hashkey import feeds_parse as parse
from htxdata.venues.hashkey.dialects import V1, V2, topic_of
from htxdata.venues.hashkey.symbols import PERPETUAL, index_of, perpetual_of
from htxdata.venues.terms import Facts, Feed, Frame, Pushed

INTERVALS: Mapping[str, str] = {
    # hashkey-api 4.3, 5: HashKey has more, which are none of our periods
    "1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "4hour": "4h", "1day": "1d",
    "1week": "1w", "1mon": "1M",
}  # fmt: skip
_PERIODS = {theirs: ours for ours, theirs in INTERVALS.items()}
_HOST, _V1, _V2 = "hashkey_ws", "/quote/ws/v1", "/quote/ws/v2"

Parse = Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]


def _plain(name: str) -> tuple[Callable[[str, str | None], str], SymbolOf]:
    def topic(symbol: str, period: str | None) -> str:
        return topic_of(name, symbol)

    @lru_cache(maxsize=4096)
    def symbol_of(topic: str) -> tuple[str, str | None] | None:
        kind, _, symbol = topic.partition(":")
        return (symbol, None) if kind == name and symbol else None

    return topic, symbol_of


def _kline_topic(symbol: str, period: str | None) -> str:
    return topic_of(f"kline_{INTERVALS[period or '1min']}", symbol)


@lru_cache(maxsize=4096)
def _kline_of(topic: str) -> tuple[str, str | None] | None:
    kind, _, symbol = topic.partition(":")
    name, _, interval = kind.partition("_")
    return (symbol, _PERIODS[interval]) if name == "kline" and symbol and interval in _PERIODS else None


def _index_topic(symbol: str, period: str | None) -> str:
    return topic_of("index", index_of(symbol))


@lru_cache(maxsize=4096)
def _perpetual_of(topic: str) -> tuple[str, str | None] | None:
    """An index is kept under the perpetual that it is the index of."""
    kind, _, name = topic.partition(":")
    return (perpetual_of(name), None) if kind == "index" and name and not name.endswith(PERPETUAL) else None


def _feed(
    name: str, dataset: str, path: str, dialect: Dialect, topic: Callable[[str, str | None], str],
    symbol_of: SymbolOf, reader: Callable[[SymbolOf], Parse], docs: str, periods: Mapping[str, str] | None = None,
    unnumbered: Callable[[str], bool] = lambda symbol: False,
) -> Feed:  # fmt: skip
    return Feed(
        name, dataset, _HOST, path, dialect, topic, symbol_of, reader(symbol_of), docs, periods,
        unnumbered=unnumbered,
    )  # fmt: skip


FEEDS: tuple[Feed, ...] = (
    _feed(
        "trades", "trades", _V1, V1, *_plain("trade"), parse.trade_parser,
        "hashkey-api 5 [wire]: every 300 ms [doc]; REST knows no numbers of trades", unnumbered=lambda symbol: True,
    ),
    _feed(
        "klines", "klines", _V1, V1, _kline_topic, _kline_of, parse.candle_parser,
        "hashkey-api 5 [wire]: the running candle, again and again", INTERVALS,
    ),
    _feed(
        "book", "book_changes", _V2, V2, *_plain("depth"), parse.book_parser,
        "hashkey-api 5 [wire]: the whole book of up to 100 levels a side, with every change, at most every 100 ms",
    ),
    _feed(
        "quotes", "quotes", _V2, V2, *_plain("bbo"), parse.quote_parser, "hashkey-api 5 [wire]: with every change",
    ),
    _feed(
        "index", "index_constituents", _V1, V1, _index_topic, _perpetual_of, parse.index_parser,
        "hashkey-api 5.1 [wire], undocumented: about every 900 ms",
    ),
)  # fmt: skip
