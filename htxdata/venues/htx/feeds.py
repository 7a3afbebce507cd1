"""What HTX pushes: which topic on which socket becomes which dataset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from htxdata.venues.htx import feeds_book_messages as messages
from htxdata.venues.htx import feeds_books as books
from htxdata.venues.htx import feeds_candles as candles
from htxdata.venues.htx import feeds_notices as notices
from htxdata.venues.htx import feeds_quotes as quotes
from htxdata.venues.htx import feeds_trades as trades
from htxdata.venues.htx import feeds_watch, liquidations
from htxdata.venues.htx.dialects import MARKET_SPOT, MARKET_SWAP, NOTIFICATION
from htxdata.venues.htx.feeds_frames import Counted
from htxdata.venues.htx.feeds_topics import AS_OURS, Shape, by_coin, dated, linear, public, spot
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
        books.book_parser(symbol_of, messages.quick_mbp, messages.careful_mbp),
        docs="htx-api 7.3 [A]: every 100 ms (5 and 20: with every change), empty where nothing changed",
        whole_by="request", watch=feeds_watch.watch_mbp, levels=levels, instead=instead,
    )  # fmt: skip


class Line(NamedTuple):
    """A line of contracts on the sockets: where it is heard, how topics name its symbols, what its sizes count."""

    path: str
    notices: str
    topics: Callable[..., Shape]
    counted: Counted


LINEAR = Line("/linear-swap-ws", "/linear-swap-notification", linear, "coins")
INVERSE = Line("/swap-ws", "/swap-notification", linear, "dollars")
FUTURES = Line("/ws", "/notification", dated, "dollars")


def high_freq(levels: int, line: Line = LINEAR, instead: Feed | None = None) -> Feed:
    """The contracts' numbered book of 20 or 150 levels a side."""
    topic, symbol_of = line.topics(f"depth.size_{levels}.high_freq")
    return Feed(
        "book", "book_changes", _SWAP_HOST, line.path, MARKET_SWAP, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_high_freq, messages.careful_high_freq, line.counted),
        docs='htx-api 7.4 [A]: with data_type "incremental", every 30 ms',
        whole_by="anew", watch=feeds_watch.watch_high_freq, levels=levels, instead=instead,
    )  # fmt: skip


def spot_step(step: int) -> Feed:
    """Whole books, once a second: of 150 levels a side at step 0, of merged prices above (htx-api 7.3)."""
    topic, symbol_of = spot(f"depth.step{step}")
    return Feed(
        "book", "book_changes", _SPOT_HOST, "/ws", MARKET_SPOT, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_step, messages.careful_step),
        docs="htx-api 7.3 [A]",
    )  # fmt: skip


def step(number: int, line: Line = LINEAR) -> Feed:
    """Whole books, every 100 ms: of 150 levels a side at step 0, 20 at step 6 (htx-api 4.6, 7.4)."""
    topic, symbol_of = line.topics(f"depth.step{number}")
    return Feed(
        "book", "book_changes", _SWAP_HOST, line.path, MARKET_SWAP, topic, symbol_of,
        books.book_parser(symbol_of, messages.quick_step, messages.careful_step, line.counted),
        docs="htx-api 7.4 [A]",
    )  # fmt: skip


def _book(line: Line) -> Feed:
    """150 levels; where 20 are refused they are heard, and whole books where these are refused as well."""
    usual = high_freq(150, line, step(0, line))
    return replace(usual, forms=(high_freq(20, line, usual),))


def _of_contracts(line: Line) -> tuple[Feed, ...]:
    """Trades, candles, book and quotes: what every line of contracts has on its own socket (htx-api 7.4)."""
    sold, bbo, kline = line.topics("trade.detail"), line.topics("bbo"), line.topics("kline", period=True)
    return (
        Feed(
            "trades", "trades", _SWAP_HOST, line.path, MARKET_SWAP, *sold,
            trades.trade_parser(sold.symbol_of, trades.LINEAR_TRADE),
            docs="htx-api 7.4 [A]: at once",
        ),
        Feed(
            "klines", "klines", _SWAP_HOST, line.path, MARKET_SWAP, *kline,
            candles.candle_parser(kline.symbol_of, candles.LINEAR),
            docs="htx-api 7.4 [A]: every 500 ms while there are trades, silent without",
            periods=AS_OURS,
        ),
        _book(line),
        Feed(
            "quotes", "quotes", _SWAP_HOST, line.path, MARKET_SWAP, *bbo,
            quotes.contract_quote_parser(bbo.symbol_of, line.counted),
            docs="htx-api 7.4 [A]: with every change",
        ),
    )  # fmt: skip


def _of_swaps(line: Line, liquidated: liquidations.Quantity) -> tuple[Feed, ...]:
    """Index, coming fundings and liquidations of perpetuals (htx-api 7.5, 7.6)."""
    index, funding, closed = linear("index", period=True), public("funding_rate"), public("liquidation_orders")
    return (
        Feed(
            "index", "index_klines", _SWAP_HOST, "/ws_index", MARKET_SWAP, *index,
            candles.candle_parser(index.symbol_of, candles.PRICE),
            docs="htx-api 7.5 [B]: numbers as texts; how often it is pushed is not said",
            periods=AS_OURS,
        ),
        Feed(
            "funding", "indicative_funding_rates", _SWAP_HOST, line.notices, NOTIFICATION, *funding,
            notices.funding_parser(*funding),
            docs="htx-api 7.6 [A]: every 60 s",
            silence=180.0,
        ),
        Feed(
            "liquidations", "liquidations", _SWAP_HOST, line.notices, NOTIFICATION, *closed,
            notices.liquidation_parser(*closed, liquidated),
            docs="htx-api 7.6 [A]: at once",
            silence=QUIET,
        ),
    )  # fmt: skip


_spot_trades, _spot_klines, _spot_bbo = spot("trade.detail"), spot("kline", period=True), spot("bbo")

_SPOT_BOOK = spot_mbp(150, spot_step(0))
# Where 5, 20 or 400 levels are refused 150 are heard, and whole books where these are refused as well.
_SPOT_BOOK = replace(_SPOT_BOOK, forms=tuple(spot_mbp(levels, _SPOT_BOOK) for levels in (5, 20, 400)))

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

LINEAR_FEEDS: tuple[Feed, ...] = (*_of_contracts(LINEAR), *_of_swaps(LINEAR, liquidations._quantity))
INVERSE_FEEDS: tuple[Feed, ...] = (*_of_contracts(INVERSE), *_of_swaps(INVERSE, liquidations.coins))

_coin_closed = by_coin("liquidation_orders")
FUTURES_FEEDS: tuple[Feed, ...] = (
    *_of_contracts(FUTURES),
    Feed(
        "liquidations", "liquidations", _SWAP_HOST, FUTURES.notices, NOTIFICATION, *_coin_closed,
        notices.liquidation_parser(*_coin_closed, liquidations.coins),
        docs="htx-api 7.6 [A]: a topic is of a coin, and tells of all its contracts",
        silence=QUIET,
    ),
)  # fmt: skip
