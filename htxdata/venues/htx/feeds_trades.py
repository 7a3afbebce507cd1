"""Trades as HTX pushes them, to the columns that ``trades.py`` makes of its REST replies.

The number of a trade is ``tradeId`` on spot, which REST calls ``trade-id`` (htx-api 7.3), and ``id`` on contracts
(htx-api 7.4). The ``id`` of spot, of up to 27 digits, repeats and is passed over. No number becomes a float on its way.
The first push after subscribing may repeat an old trade (htx-api 7.3): its number tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import DecimalException
from functools import lru_cache
from itertools import chain
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx import trades
from htxdata.venues.htx.archive_text import words
from htxdata.venues.htx.feeds_frames import (
    FIRST_MS,
    LAST_MS,
    LONG_FIGURE,
    UNDECODABLE,
    Key,
    Message,
    figure,
    is_talk,
    may_have_long_figures,
    member,
    objects,
    opened,
    price,
)
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.htx.trades import OPTIONAL, TINY, LinearTrade
from htxdata.venues.pages import Batch, Doubt, Pages, counted_together
from htxdata.venues.terms import Facts, Frame, Pushed

SPOT_TRADE: Mapping[str, str] = {**trades.SPOT_TRADE, "trade_id": "tradeId"}
LINEAR_TRADE: Mapping[str, str] = trades.LINEAR_TRADE
_LAST_ID = 2**63


class _Spot(msgspec.Struct, gc=False, rename=SPOT_TRADE):
    trade_time: int
    trade_id: int
    price: float
    quantity: float
    side: Literal["buy", "sell"]


_Trade = TypeVar("_Trade")


class _Tick(msgspec.Struct, Generic[_Trade], gc=False):
    data: list[_Trade]


class _Push(msgspec.Struct, Generic[_Trade], gc=False):
    ch: str
    tick: _Tick[_Trade]


def _plain(trade: Any) -> bool:
    return bool(
        FIRST_MS <= trade.trade_time < LAST_MS
        and 0 <= trade.trade_id < _LAST_ID
        and trade.price > TINY
        and trade.quantity > TINY
        and getattr(trade, "contracts", 1.0) > TINY
        and (getattr(trade, "quote_quantity", None) or 1.0) > TINY
    )


class _Pile:
    """The trades of one symbol, and of each push how many it had and when it was received."""

    def __init__(self) -> None:
        self.trades: list[Any] = []
        self.counts: list[int] = []
        self.received: list[int] = []
        self.unfit: dict[int, int] = {}

    def into(self, doubtful: bool) -> dict[str, Any]:
        trades = self.trades
        columns = _arrays(trades, doubtful)
        columns["received_at"] = np.repeat(np.array(self.received), self.counts)
        if self.unfit:
            unfit = columns[UNFIT] = np.zeros(len(trades), np.uint8)
            unfit[list(self.unfit)] = list(self.unfit.values())
        return columns


_SIDES = words("buy", "sell")


def _one(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else pa.concat_arrays(parts)


def _arrays(trades: Sequence[Any], doubtful: bool = False) -> dict[str, Any]:
    """The columns of trades, one or more; ``Doubt`` where a value is not plain, unless each was looked at before."""
    # (member by member: a comprehension for each takes a third of the time of a tuple of each trade)
    count = len(trades)
    try:
        numbers = pa.array(np.fromiter([trade.trade_id for trade in trades], np.int64, count))
        times = np.fromiter([trade.trade_time for trade in trades], np.int64, count)
    except OverflowError:
        raise Doubt from None
    if not doubtful and (pc.min(numbers).as_py() < 0 or times.min() < FIRST_MS or times.max() >= LAST_MS):
        raise Doubt
    columns: dict[str, Any] = {
        "trade_time": times * MILLISECOND,
        "trade_id": numbers.cast(pa.string()),
        "side": pa.DictionaryArray.from_arrays(
            np.fromiter([trade.side == "sell" for trade in trades], np.int32, count), _SIDES
        ),
    }
    figures = {"price": [trade.price for trade in trades], "quantity": [trade.quantity for trade in trades]}
    if "contracts" in trades[0].__struct_fields__:
        figures["quote_quantity"] = [trade.quote_quantity for trade in trades]
        figures["contracts"] = [trade.contracts for trade in trades]
    for name, values in figures.items():
        columns[name] = pa.array(values, pa.float64())
        least = pc.min(columns[name]).as_py()
        if not doubtful and least is not None and least <= TINY:
            raise Doubt
    return columns


_LOOKED_AT = 1024
"""Messages that are looked through for long figures at once: a quarter of a megabyte stays in the processor's cache."""


class _Page(NamedTuple):
    """The trades of some messages as columns, and of which of the ``keys`` each is."""

    columns: dict[str, Any]
    which: Any
    keys: Sequence[Key]


def trade_parser(symbol_of: SymbolOf, names: Mapping[str, str]) -> Pages:
    """The parser of ``market.*.trade.detail`` whose members are called ``names`` (ours to the venue's).

    A frame is one call of the decoder; all else is done with all frames together, on arrays: whether their values can
    be, and the columns. Only where something is not plain is every frame looked at by itself.
    """
    shape: Any = LinearTrade if "contracts" in names else _Spot
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(_Push[shape]).decode
    key_of = lru_cache(4096)(symbol_of)

    def read(frames: Batch, facts: Mapping[str, Facts]) -> _Page:
        for at in range(0, len(frames), _LOOKED_AT):
            if may_have_long_figures(b"".join(frames.messages[at : at + _LOOKED_AT])):
                raise Doubt
        received = list(frames.times)
        pushes: list[Any] = []
        add = pushes.append
        for body in frames.messages:
            try:
                add(decode(body))
            except UNDECODABLE:
                if not is_talk(body):
                    raise Doubt from None
                del received[len(pushes)]
        topics = [push.ch for push in pushes]
        places = {topic: place for place, topic in enumerate(dict.fromkeys(topics))}
        keys = [key for topic in places if (key := key_of(topic)) is not None]
        if len(keys) < len(places):
            raise Doubt
        trades = [push.tick.data for push in pushes]
        counts = np.array([len(of_push) for of_push in trades], np.int64)
        if not counts.any():
            return _Page({}, None, [])
        columns = _arrays(list(chain.from_iterable(trades)))
        columns["received_at"] = np.repeat(np.array(received, np.int64), counts)
        which = np.repeat(np.array([places[topic] for topic in topics], np.int32), counts)
        return _Page(columns, which, keys)

    def join(pages: Sequence[_Page]) -> Pushed:
        pushed = Pushed()
        pages = [page for page in pages if page.columns]
        if not pages:
            return pushed
        keys, which = counted_together([(page.keys, page.which) for page in pages])
        columns = {name: _one([page.columns[name] for page in pages]) for name in pages[0].columns}
        order = np.argsort(which, kind="stable")
        picks = pa.array(order)
        for name, column in columns.items():
            columns[name] = column[order] if isinstance(column, np.ndarray) else column.take(picks)
        ends = np.cumsum(np.bincount(which, minlength=len(keys))).tolist()
        for key, start, end in zip(keys, [0, *ends], ends, strict=False):
            if start < end:
                pushed.columns[key] = {name: column[start:end] for name, column in columns.items()}
        return pushed

    def look(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        try:
            return _read(frames, False)
        except Doubt:
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
                pushed.columns[key] = pile.into(doubtful)
                if pile.unfit:
                    pushed.unfit[key] = sum(pile.unfit.values())
        return pushed

    return Pages(read, join, look)


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
        elif ours in OPTIONAL and row.get(theirs) is None:
            out[ours] = None
        else:
            out[ours], lost = price(row, theirs, at) if ours == "price" else figure(row, theirs, at)
            unfit += lost
    return out, unfit
