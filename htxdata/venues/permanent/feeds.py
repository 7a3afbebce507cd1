"""What permanent pushes: which topic on its public socket becomes which dataset (permanent-v1 6.2, 6.3).

Its sixth topic, ``summary``, becomes none: the push says no time, and when something was so is for the venue to say
(law 10). The same figures come over REST with one (``rest.POLLS``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.timeline import MILLISECOND
from htxdata.venues.frames import FIRST_MS, LAST_MS, Key, Sheets, SymbolOf
from htxdata.venues.permanent import gateway_pb2 as gateway
from htxdata.venues.permanent import rest, rows
from htxdata.venues.permanent.answers import Row, same_symbol
from htxdata.venues.permanent.dialect import PUBLIC, is_data, opened, payload
from htxdata.venues.terms import NO_FACTS, BookMessage, Facts, Feed, Frame, Pushed, Seen

_HOST, _PATH = "permanent_ws", "/ws"
Topic = Callable[[str, str | None], str]


def _shape(topic: str, after: str = "", *, period: bool = False) -> tuple[Topic, SymbolOf]:
    """Topics that read ``<topic>#<symbol>[@<parameter>]``, and their inverse."""
    ours = {spelled: mine for mine, spelled in rest.PERIODS.items()}
    parameter = f"@({'|'.join(ours)})" if period else f"{re.escape(after)}()"
    pattern = re.compile(rf"{re.escape(topic)}#([a-z0-9.]+){parameter}")

    def name(symbol: str, period: str | None) -> str:
        return f"{topic}#{symbol}{after if period is None else f'@{rest.PERIODS[period]}'}"

    @lru_cache(maxsize=4096)
    def symbol_of(text: str) -> Key | None:
        match = pattern.fullmatch(text)
        return None if match is None else (match[1], ours.get(match[2]))

    return name, symbol_of


# ------------------------------------------------------------------------- messages as rows of the reference's names


def _candle(said: gateway.Candlestick) -> Row:
    return {
        "id": said.id, "symbol": said.symbol, "open": said.open, "high": said.high, "low": said.low,
        "close": said.close, "numOfTrades": said.num_of_trades, "volume": said.volume, "turnover": said.turnover,
    }  # fmt: skip


_SIDES = {gateway.BUY: "buy", gateway.SELL: "sell"}


def _trade(said: gateway.Trade) -> Row:
    return {
        "symbol": said.symbol, "tradeId": said.trade_id, "tradeTime": said.trade_time, "tradePrice": said.trade_price,
        "tradeVolume": said.trade_volume, "aggrOrdSide": _SIDES.get(said.side, said.side),
    }  # fmt: skip


def _funding(said: gateway.IndicativeFundingRate) -> Row:
    return {
        "symbol": said.symbol, "ts": said.ts, "indFundRate": said.ind_fund_rate, "indFundTime": said.ind_fund_time,
    }  # fmt: skip


def _index(said: gateway.IndexConstituents) -> Row:
    legs = [{"constituent": leg.constituent, "price": leg.price, "weight": leg.weight} for leg in said.constituents]
    return {"symbol": said.symbol, "indexPrice": said.index_price, "indexTime": said.index_time, "constituents": legs}


def _book(said: gateway.Depth) -> Row:
    sides = {"bids": said.bids, "asks": said.asks}
    listed = {name: [{"price": level.price, "size": level.size} for level in side] for name, side in sides.items()}
    return {"symbol": said.symbol, **listed}


# ------------------------------------------------------------------------------------------------------- parsers

Read = Callable[[Row, Facts], list[rows.Made]]


def _parser(
    kind: type[Any], symbol_of: SymbolOf, names: Sequence[str], spelled: Callable[[Any], Row], read: Read
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """The parser of one topic: each push is one message of ``kind``, ``spelled`` as a row of the reference."""

    def one(sheets: Sheets, received_at: int, body: bytes, facts: Mapping[str, Facts]) -> None:
        result = opened(body)
        if not is_data(result):
            return
        key, said = sheets.key(result.ch), payload(result)
        if not isinstance(said, kind):
            raise BadReply(f"{result.ch!r:.80} carries a {type(said).__name__}")
        row = spelled(said)
        same_symbol(row, key[0])
        made = read(row, facts.get(key[0], NO_FACTS))
        sheets.add(key, [({**each, "received_at": received_at}, lost) for each, lost in made])

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets((*names, "received_at"), symbol_of)
        for at, (received_at, body) in enumerate(frames):
            try:
                one(sheets, received_at, body, facts)
            except BadReply as error:
                sheets.pushed.faults.append((at, str(error)))
        return sheets.finish()

    return parse


def _book_parser(symbol_of: SymbolOf) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """Books: whole ones, and what changed. Nothing numbers the messages, so one that was lost leaves no mark, but that
    they are in order is seen: their ``ts`` (ms) stands for the number."""

    def one(pushed: Pushed, received_at: int, body: bytes, facts: Mapping[str, Facts]) -> None:
        result = opened(body)
        if not is_data(result):
            return
        key, said = symbol_of(result.ch), payload(result)
        if key is None or not isinstance(said, gateway.Depth):
            raise BadReply(f"{result.ch!r:.80} carries a {type(said).__name__}: no book of this feed")
        row = _book(said)
        same_symbol(row, key[0])
        if not FIRST_MS <= said.ts < LAST_MS:
            raise BadReply(f"'ts' is {said.ts}: not milliseconds of our time")
        levels = rows.levels(row, "bids", "asks", facts.get(key[0], NO_FACTS))
        if not said.delta:
            levels = [level for level in levels if level[2]]
        at, kind = said.ts * MILLISECOND, "delta" if said.delta else "snapshot"
        columns = pushed.columns.setdefault(key, {name: [] for name in _BOOK})
        first = len(columns["price"])
        for side, price, size, contracts, lost in levels:
            values = (at, kind, side, price, size, contracts, said.ts, -1, received_at, lost)
            for name, value in zip(_BOOK, values, strict=True):
                columns[name].append(value)
        asked = result.action == gateway.REQ
        message = BookMessage(received_at, at, not said.delta, said.ts, None, first, len(columns["price"]), asked)
        messages = pushed.messages.setdefault(key, [])
        assert isinstance(messages, list)
        messages.append(message)

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        pushed = Pushed()
        for at, (received_at, body) in enumerate(frames):
            try:
                one(pushed, received_at, body, facts)
            except BadReply as error:
                pushed.faults.append((at, str(error)))
        for key, columns in pushed.columns.items():
            if any(columns[UNFIT]):
                pushed.unfit[key] = sum(columns[UNFIT])
            else:
                del columns[UNFIT]
        return pushed

    return parse


_BOOK = ("book_time", "kind", "side", "price", "size", "contracts", "sequence", "previous_sequence", "received_at",
         UNFIT)  # fmt: skip


def watch(message: bytes) -> Seen | None:
    """Of a book's message: its topic, and whether it is a whole one. There are no numbers."""
    result = opened(message)
    if not is_data(result):
        return None
    said = payload(result)
    return Seen(result.ch, not said.delta, None, None, at=said.ts) if isinstance(said, gateway.Depth) else None


_klines, _trades, _funding_rate = _shape("candlestick", period=True), _shape("trades"), _shape("ind.funding.rate")
_baskets = _shape("index.cons")


def book(levels: int, forms: tuple[Feed, ...] = ()) -> Feed:
    """The book of 5, 10, 20, 50 or 100 levels a side."""
    topic, symbol_of = _shape("mbp", f"@{levels}")
    return Feed(
        "book", "book_changes", _HOST, _PATH, PUBLIC, topic, symbol_of, _book_parser(symbol_of),
        docs="permanent-v1 6.3: changes and whole books, without numbers",
        # Whether the first push is a whole one is not said: it is asked for.
        whole_by="request", watch=watch, levels=levels, forms=forms,
    )  # fmt: skip


FEEDS: tuple[Feed, ...] = (
    Feed(
        "trades", "trades", _HOST, _PATH, PUBLIC, *_trades,
        _parser(gateway.Trade, _trades[1], rows.TRADE, _trade, lambda row, facts: [rows.trade(row, 0, facts)]),
        docs="permanent-v1 6.3; how soon is not said",
    ),
    Feed(
        "klines", "klines", _HOST, _PATH, PUBLIC, *_klines,
        _parser(
            gateway.Candlestick, _klines[1], rows.CANDLE, _candle, lambda row, facts: [rows.candle(row, 0, facts)]
        ),
        docs="permanent-v1 6.3; how often is not said",
        periods=rest.PERIODS,
    ),
    book(100, tuple(book(levels) for levels in (5, 10, 20, 50))),
    Feed(
        "funding", "indicative_funding_rates", _HOST, _PATH, PUBLIC, *_funding_rate,
        _parser(
            gateway.IndicativeFundingRate, _funding_rate[1], ("observed_at", "funding_time", "funding_rate"), _funding,
            lambda row, facts: [rows.indicative(row)],
        ),
        docs="permanent-v1 6.3; how often is not said",
        silence=None,
    ),
    Feed(
        "index", "index_constituents", _HOST, _PATH, PUBLIC, *_baskets,
        _parser(
            gateway.IndexConstituents, _baskets[1], rows.BASKET, _index, lambda row, facts: rows.basket(row)
        ),
        docs="permanent-v1 6.3: topics and messages name the index code; how often is not said",
        silence=None, by=rest.INDEX,
    ),
)  # fmt: skip
