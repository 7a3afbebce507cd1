"""The best bid and ask as HTX pushes them, on spot and on contracts (htx-api 7.3, 7.4: ``market.*.bbo``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.feeds_frames import (
    FIRST_MS,
    LAST_MS,
    UNDECODABLE,
    Counted,
    Message,
    Sheets,
    carefully,
    contract_size,
    figure,
    has_long_number,
    in_base,
    member,
    price,
    ratio,
)
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.terms import Facts, Frame, Pushed

_NAMES = ("quote_time", "bid", "bid_size", "ask", "ask_size", "sequence", "received_at")
_LEAST = 1e-90
_LAST = 2**63


class _SpotTick(msgspec.Struct, gc=False):
    quoteTime: int
    bid: float
    bidSize: float
    ask: float
    askSize: float
    seqId: int


class _SpotPush(msgspec.Struct):
    ch: str
    tick: _SpotTick


class _LinearTick(msgspec.Struct):
    ts: int
    bid: tuple[float, int]
    ask: tuple[float, int]
    version: int


class _LinearPush(msgspec.Struct):
    ch: str
    tick: _LinearTick


_spot = msgspec.json.Decoder(_SpotPush).decode
_linear = msgspec.json.Decoder(_LinearPush).decode


def spot_quote_parser(symbol_of: SymbolOf) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """``quoteTime``, ``seqId``, and sizes in base units."""

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = sheets.key(message.get("ch"))
        tick = member(message, "tick")
        figures = [price(tick, "bid"), figure(tick, "bidSize"), price(tick, "ask"), figure(tick, "askSize")]
        at, sequence = wire.instant(tick, "quoteTime", 0), _sequence(tick, "seqId")
        sheets.add(key, [_row(at, figures, sequence, received_at)])

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets(_NAMES, symbol_of)
        for place, frame in enumerate(frames):
            received_at, body = frame
            try:
                push = _spot(body)
            except UNDECODABLE:
                carefully(sheets, place, frame, facts, read)
                continue
            tick, key = push.tick, symbol_of(push.ch)
            if (
                key is None
                or not FIRST_MS <= tick.quoteTime < LAST_MS
                or not 0 <= tick.seqId < _LAST
                or min(tick.bid, tick.bidSize, tick.ask, tick.askSize) <= _LEAST
                or has_long_number(body)
            ):
                carefully(sheets, place, frame, facts, read)
                continue
            _append(sheets, key, (tick.quoteTime * 1_000, tick.bid, tick.bidSize, tick.ask, tick.askSize, tick.seqId,
                                  received_at))  # fmt: skip
        return sheets.finish()

    return parse


def contract_quote_parser(
    symbol_of: SymbolOf, counted: Counted
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """``bid`` and ``ask`` are ``[price, contracts]``; ``version`` is the match id, as ``mrid`` (htx-api 7.4)."""
    dollars = counted == "dollars"

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = sheets.key(message.get("ch"))
        tick = member(message, "tick")
        size = contract_size(facts, key[0])
        figures: list[tuple[float, int]] = []
        for side in ("bid", "ask"):
            level = tick.get(side)
            if not isinstance(level, list) or len(level) != 2:
                raise BadReply(f"{side!r} is {level!r:.60}, not a price and a size")
            row = {f"{side} price": level[0], f"{side} size": level[1]}
            contracts, lost = figure(row, f"{side} size")
            cost, more = price(row, f"{side} price")
            base, inexact = in_base(contracts, size, cost if dollars else None)
            figures += [(cost, more), (base, lost + inexact)]
        at, sequence = wire.instant(tick, "ts", 0), _sequence(tick, "version")
        sheets.add(key, [_row(at, figures, sequence, received_at)])

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets(_NAMES, symbol_of)
        ratios = {
            symbol: ratio(known.contract_size)
            for symbol, known in facts.items()
            if known.contract_size is not None
        }
        for place, frame in enumerate(frames):
            received_at, body = frame
            try:
                push = _linear(body)
            except UNDECODABLE:
                carefully(sheets, place, frame, facts, read)
                continue
            tick, key = push.tick, symbol_of(push.ch)
            parts = None if key is None else ratios.get(key[0])
            (bid, bids), (ask, asks) = tick.bid, tick.ask
            if (
                key is None
                or parts is None
                or not FIRST_MS <= tick.ts < LAST_MS
                or not 0 <= tick.version < _LAST
                or min(bid, ask) <= _LEAST
                or min(bids, asks) < 0
                or has_long_number(body)
            ):
                carefully(sheets, place, frame, facts, read)
                continue
            by, parted = parts
            if dollars:
                sizes = in_base(bids, by / parted, bid)[0], in_base(asks, by / parted, ask)[0]
            else:
                sizes = bids * by / parted, asks * by / parted
            _append(sheets, key, (tick.ts * 1_000, bid, sizes[0], ask, sizes[1], tick.version, received_at))
        return sheets.finish()

    return parse


def _append(sheets: Sheets, key: tuple[str, str | None], row: tuple[Any, ...]) -> None:
    for column, value in zip(sheets.columns(key).values(), row, strict=True):
        column.append(value)


def _sequence(tick: Message, name: str) -> int:
    number = wire.integer(tick, name, 0)
    if not 0 <= number < _LAST:
        raise BadReply(f"{name!r} is {number}: not the number of a message")
    return number


def _row(
    at: int, figures: list[tuple[float, int]], sequence: int, received_at: int
) -> tuple[dict[str, Any], int]:
    values = (at, *(value for value, _ in figures), sequence, received_at)
    return dict(zip(_NAMES, values, strict=True)), sum(lost for _, lost in figures)
