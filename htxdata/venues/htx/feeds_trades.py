"""Trades as HTX pushes them, to the columns that ``trades.py`` makes of its REST replies.

The number of a trade is ``tradeId`` on spot, which REST calls ``trade-id`` (htx-api 7.3), and ``id`` on contracts
(htx-api 7.4). The ``id`` of spot, of up to 27 digits, repeats and is passed over. No number becomes a float on its way.
The first push after subscribing may repeat an old trade (htx-api 7.3): its number tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import DecimalException
from typing import Any, Generic, Literal, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx import trades
from htxdata.venues.htx.feeds_frames import (
    FIRST_MS,
    LAST_MS,
    LONG_FIGURE,
    UNDECODABLE,
    Message,
    figure,
    member,
    objects,
    opened,
    price,
)
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.terms import Facts, Frame, Pushed

SPOT_TRADE: Mapping[str, str] = {**trades.SPOT_TRADE, "trade_id": "tradeId"}
LINEAR_TRADE: Mapping[str, str] = trades.LINEAR_TRADE
_OPTIONAL = frozenset({"quote_quantity"})
_LEAST = 1e-90  # what is below, zero included, may have been rounded: the careful way tells
_LAST_ID = 2**63


class _Spot(msgspec.Struct, gc=False, rename=SPOT_TRADE):
    trade_time: int
    trade_id: int
    price: float
    quantity: float
    side: Literal["buy", "sell"]


class _Linear(msgspec.Struct, gc=False, rename=LINEAR_TRADE):
    trade_time: int
    trade_id: int
    price: float
    quantity: float
    contracts: float
    side: Literal["buy", "sell"]
    quote_quantity: float | None = None


_Trade = TypeVar("_Trade")


class _Tick(msgspec.Struct, Generic[_Trade]):
    data: list[_Trade]


class _Push(msgspec.Struct, Generic[_Trade]):
    ch: str
    tick: _Tick[_Trade]


class _Doubt(Exception):
    """A value among the frames is not plain: each frame must be looked at by itself."""


def _plain(trade: Any) -> bool:
    return bool(
        FIRST_MS <= trade.trade_time < LAST_MS
        and 0 <= trade.trade_id < _LAST_ID
        and trade.price > _LEAST
        and trade.quantity > _LEAST
        and getattr(trade, "contracts", 1.0) > _LEAST
        and (getattr(trade, "quote_quantity", None) or 1.0) > _LEAST
    )


class _Pile:
    """The trades of one symbol, and of each push how many it had and when it was received."""

    def __init__(self) -> None:
        self.trades: list[Any] = []
        self.counts: list[int] = []
        self.received: list[int] = []
        self.unfit: dict[int, int] = {}

    def into(self, names: Sequence[str], doubtful: bool) -> dict[str, Any]:
        trades = self.trades
        try:
            numbers = pa.array([trade.trade_id for trade in trades], pa.int64())
            times = np.array([trade.trade_time for trade in trades], np.int64)
        except (OverflowError, pa.ArrowInvalid):
            raise _Doubt from None
        if not doubtful and pc.min(numbers).as_py() < 0:
            raise _Doubt
        if not doubtful and (times.min() < FIRST_MS or times.max() >= LAST_MS):
            raise _Doubt
        columns: dict[str, Any] = {
            "trade_time": times * MILLISECOND,
            "trade_id": numbers.cast(pa.string()),
            "side": pa.array([trade.side for trade in trades], pa.string()),
            "received_at": np.repeat(np.array(self.received), self.counts),
        }
        for name in _FIGURES:
            if name in names:
                figures = pa.array([getattr(trade, name) for trade in trades], pa.float64())
                least = pc.min(figures).as_py()
                if not doubtful and least is not None and least <= _LEAST:
                    raise _Doubt
                columns[name] = figures
        if self.unfit:
            unfit = columns[UNFIT] = np.zeros(len(trades), np.uint8)
            unfit[list(self.unfit)] = list(self.unfit.values())
        return columns


_FIGURES = ("price", "quantity", "quote_quantity", "contracts")


def trade_parser(
    symbol_of: SymbolOf, names: Mapping[str, str]
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """The parser of ``market.*.trade.detail`` whose members are called ``names`` (ours to the venue's).

    A frame is one call of the decoder; whether its values can be is asked of all frames together, on arrays. Only where
    the answer is no is every frame asked by itself.
    """
    shape: Any = _Linear if "contracts" in names else _Spot
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(_Push[shape]).decode

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        try:
            return _read(frames, False)
        except _Doubt:
            return _read(frames, True)

    def _read(frames: Sequence[Frame], doubtful: bool) -> Pushed:
        pushed = Pushed()
        piles: dict[str, _Pile] = {}
        long = LONG_FIGURE.search
        for place, (received_at, body) in enumerate(frames):
            try:
                push = decode(body)
            except UNDECODABLE:
                push = None
            if push is not None and long(body) is None and not doubtful:
                pile = piles.get(push.ch)
                if pile is not None:  # as nearly always
                    trades = push.tick.data
                    pile.trades += trades
                    pile.counts.append(len(trades))
                    pile.received.append(received_at)
                    continue
            try:
                if push is not None and long(body) is None and all(map(_plain, push.tick.data)):
                    topic, trades, unfit = push.ch, push.tick.data, list[int]()
                else:
                    message = opened(body)
                    if message is None:
                        continue
                    topic, trades, unfit = _carefully(message, names, shape)
                pile = piles.get(topic)
                if pile is None:
                    if not isinstance(topic, str) or symbol_of(topic) is None:
                        raise BadReply(f"{topic!r:.80} is no topic of this feed")
                    pile = piles[topic] = _Pile()
            except (BadReply, DecimalException, OverflowError) as error:
                pushed.faults.append((place, str(error) or repr(error)))
                continue
            for at, lost in enumerate(unfit):
                if lost:
                    pile.unfit[len(pile.trades) + at] = lost
            pile.trades += trades
            pile.counts.append(len(trades))
            pile.received.append(received_at)
        for topic, pile in piles.items():
            key = symbol_of(topic)
            if key is not None and pile.trades:
                pushed.columns[key] = pile.into(tuple(names), doubtful)
                if pile.unfit:
                    pushed.unfit[key] = sum(pile.unfit.values())
        return pushed

    return parse


def _carefully(message: Message, names: Mapping[str, str], shape: Any) -> tuple[Any, list[Any], list[int]]:
    """Topic, trades, and how many values of each a DOUBLE does not carry."""
    entries = objects(member(message, "tick"), "data")
    rows = [_row(row, names, at) for at, row in enumerate(entries)]
    return message.get("ch"), [shape(**row) for row, _ in rows], [unfit for _, unfit in rows]


def _row(row: Message, names: Mapping[str, str], at: int) -> tuple[dict[str, Any], int]:
    """One trade in every spelling that is a number, as ``trades.py`` reads it over REST."""
    out: dict[str, Any] = {}
    unfit = 0
    for ours, theirs in names.items():
        if ours == "trade_time":
            out[ours] = wire.instant(row, theirs, at) // MILLISECOND
        elif ours == "trade_id":
            number = wire.integer(row, theirs, at)
            if not 0 <= number < _LAST_ID:
                raise BadReply(f"row {at}: {theirs!r} is {row[theirs]!r:.60}, not the number of a trade")
            out[ours] = number
        elif ours == "side":
            if row.get(theirs) not in ("buy", "sell"):
                raise BadReply(f"row {at}: {theirs!r} is {row.get(theirs)!r:.60}, neither buy nor sell")
            out[ours] = row[theirs]
        elif ours in _OPTIONAL and row.get(theirs) is None:
            out[ours] = None
        else:
            out[ours], lost = price(row, theirs, at) if ours == "price" else figure(row, theirs, at)
            unfit += lost
    return out, unfit
