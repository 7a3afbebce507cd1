"""What HTX pushes: which topic on which socket becomes which dataset."""

from __future__ import annotations

from dataclasses import replace

from htxdata.venues.htx import feeds_book_messages as messages
from htxdata.venues.htx import feeds_books as books
from htxdata.venues.htx import feeds_candles as candles
from htxdata.venues.htx import feeds_notices as notices
from htxdata.venues.htx import feeds_quotes as quotes
from htxdata.venues.htx import feeds_trades as trades
from htxdata.venues.htx import feeds_watch
from htxdata.venues.htx.dialects import MARKET_SPOT, MARKET_SWAP, NOTIFICATION
from htxdata.venues.htx.feeds_topics import AS_OURS, linear, public, spot
from htxdata.venues.terms import Feed

_SPOT_HOST, _SWAP_HOST = "htx_spot_ws", "htx_swap_ws"

QUIET = None
"""A feed that may be silent for hours: liquidations of one contract, or trades of a pair that nobody trades."""


def spot_mbp(levels: int, instead: Feed | None = None) -> Feed:
    """Spot's numbered book of 5, 20, 150 or 400 levels a side. 400 has no documented answer to ``req`` (htx-api 7.3);
    20 exists for a few majors only."""
    topic, symbol_of = spot(f"mbp.{levels}")
    return Feed(
        "book", "book_changes", _SPOT_HOST, "/feed", MARKET_SPOT, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_mbp, messages.careful_mbp, contracts=False),
        docs="htx-api 7.3 [A]: every 100 ms (5 and 20: with every change), empty where nothing changed",
        whole_by="request", watch=feeds_watch.watch_mbp, levels=levels, instead=instead,
    )  # fmt: skip


def linear_high_freq(levels: int, instead: Feed | None = None) -> Feed:
    """The contracts' numbered book of 20 or 150 levels a side."""
    topic, symbol_of = linear(f"depth.size_{levels}.high_freq")
    return Feed(
        "book", "book_changes", _SWAP_HOST, "/linear-swap-ws", MARKET_SWAP, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_high_freq, messages.careful_high_freq, contracts=True),
        docs='htx-api 7.4 [A]: with data_type "incremental", every 30 ms',
        whole_by="anew", watch=feeds_watch.watch_high_freq, levels=levels, instead=instead,
    )  # fmt: skip


def spot_step(step: int) -> Feed:
    """Whole books, once a second: of 150 levels a side at step 0, of merged prices above (htx-api 7.3)."""
    topic, symbol_of = spot(f"depth.step{step}")
    return Feed(
        "book", "book_changes", _SPOT_HOST, "/ws", MARKET_SPOT, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_step, messages.careful_step, contracts=False),
        docs="htx-api 7.3 [A]",
    )  # fmt: skip


def linear_step(step: int) -> Feed:
    """Whole books, every 100 ms: of 150 levels a side at step 0, 20 at step 6 (htx-api 4.6, 7.4)."""
    topic, symbol_of = linear(f"depth.step{step}")
    return Feed(
        "book", "book_changes", _SWAP_HOST, "/linear-swap-ws", MARKET_SWAP, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_step, messages.careful_step, contracts=True),
        docs="htx-api 7.4 [A]",
    )  # fmt: skip


_spot_trades, _linear_trades = spot("trade.detail"), linear("trade.detail")
_spot_klines, _linear_klines = spot("kline", period=True), linear("kline", period=True)
_index = linear("index", period=True)
_spot_bbo, _linear_bbo = spot("bbo"), linear("bbo")
_funding, _liquidations = public("funding_rate"), public("liquidation_orders")

_SPOT_STEP, _LINEAR_STEP = spot_step(0), linear_step(0)
_SPOT_BOOK, _LINEAR_BOOK = spot_mbp(150, _SPOT_STEP), linear_high_freq(150, _LINEAR_STEP)
# Where 5, 20 or 400 levels are refused 150 are heard, and whole books where these are refused as well.
_SPOT_BOOK = replace(_SPOT_BOOK, forms=tuple(spot_mbp(levels, _SPOT_BOOK) for levels in (5, 20, 400)))
_LINEAR_BOOK = replace(_LINEAR_BOOK, forms=(linear_high_freq(20, _LINEAR_BOOK),))

SPOT_FEEDS: tuple[Feed, ...] = (
    Feed(
        "trades", "trades", _SPOT_HOST, "/ws", MARKET_SPOT, *_spot_trades,
        trades.trade_parser(_spot_trades.symbol_of, trades.SPOT_TRADE),
        docs="htx-api 7.3 [A]: at once",
    ),
    Feed(
        "klines", "klines", _SPOT_HOST, "/ws", MARKET_SPOT, *_spot_klines,
        candles.candle_parser(_spot_klines.symbol_of, candles.SPOT),
        docs="htx-api 7.3 [A]: at most once a second",
        periods=AS_OURS,
    ),
    _SPOT_BOOK,
    Feed(
        "quotes", "quotes", _SPOT_HOST, "/ws", MARKET_SPOT, *_spot_bbo,
        quotes.spot_quote_parser(_spot_bbo.symbol_of),
        docs="htx-api 7.3 [A]: with every change",
    ),
)  # fmt: skip

LINEAR_FEEDS: tuple[Feed, ...] = (
    Feed(
        "trades", "trades", _SWAP_HOST, "/linear-swap-ws", MARKET_SWAP, *_linear_trades,
        trades.trade_parser(_linear_trades.symbol_of, trades.LINEAR_TRADE),
        docs="htx-api 7.4 [A]: at once",
    ),
    Feed(
        "klines", "klines", _SWAP_HOST, "/linear-swap-ws", MARKET_SWAP, *_linear_klines,
        candles.candle_parser(_linear_klines.symbol_of, candles.LINEAR),
        docs="htx-api 7.4 [A]: every 500 ms while there are trades, silent without",
        periods=AS_OURS,
    ),
    Feed(
        "index", "index_klines", _SWAP_HOST, "/ws_index", MARKET_SWAP, *_index,
        candles.candle_parser(_index.symbol_of, candles.PRICE),
        docs="htx-api 7.5 [B]: numbers as texts; how often it is pushed is not said",
        periods=AS_OURS,
    ),
    _LINEAR_BOOK,
    Feed(
        "quotes", "quotes", _SWAP_HOST, "/linear-swap-ws", MARKET_SWAP, *_linear_bbo,
        quotes.linear_quote_parser(_linear_bbo.symbol_of),
        docs="htx-api 7.4 [A]: with every change",
    ),
    Feed(
        "funding", "indicative_funding_rates", _SWAP_HOST, "/linear-swap-notification", NOTIFICATION, *_funding,
        notices.funding_parser(*_funding),
        docs="htx-api 7.6 [A]: every 60 s",
        silence=180.0,
    ),
    Feed(
        "liquidations", "liquidations", _SWAP_HOST, "/linear-swap-notification", NOTIFICATION, *_liquidations,
        notices.liquidation_parser(*_liquidations),
        docs="htx-api 7.6 [A]: at once",
        silence=QUIET,
    ),
)  # fmt: skip
