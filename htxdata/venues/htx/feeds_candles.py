"""Candles as HTX pushes them while they run, to the columns that ``parse.py`` makes of its REST replies.

A candle is pushed again whenever it changed; its last push before the next candle's is its final state (htx-api 7.3).
Which push that was cannot be told here: every push is a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.timeline import SECOND
from htxdata.venues.htx import parse as rest
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.feeds_frames import (
    LONG_FIGURE,
    UNDECODABLE,
    Message,
    Sheets,
    carefully,
    figure,
    member,
)
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.terms import Facts, Frame, Pushed

SPOT, LINEAR, PRICE = rest.SPOT_CANDLE, rest.LINEAR_CANDLE, rest.PRICE_CANDLE

_OPTIONAL = frozenset({"quote_volume"})  # on contracts; came in 2021
_INTEGERS = frozenset({"open_time", "trade_count"})
_PRICES = ("open", "high", "low", "close")
_LAST_SECOND = 10**10  # 2286


def candle_parser(
    symbol_of: SymbolOf, names: Mapping[str, str]
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """The parser of candles whose members are called ``names`` (the venue's to ours, as in ``parse.py``)."""
    ours = {mine: theirs for theirs, mine in names.items()}
    optional = _OPTIONAL if "contracts" in ours else frozenset[str]()
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(_push(ours, optional)).decode
    amounts = tuple(name for name in ours if name not in _PRICES)
    order = (*ours, "received_at")

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = sheets.key(message.get("ch"))
        tick = member(message, "tick")
        row: dict[str, Any] = {"received_at": received_at}
        unfit = 0
        for mine, theirs in ours.items():
            if mine in optional and tick.get(theirs) is None:
                row[mine] = None
            elif mine in _INTEGERS:
                row[mine] = wire.integer(tick, theirs, 0)
            elif mine in _PRICES:  # of what is computed, may have any sign
                row[mine], fitting = wire.number(tick, theirs, 0)
                unfit += not fitting
            else:
                row[mine], lost = figure(tick, theirs)
                unfit += lost
        second = row["open_time"]
        if not 0 <= second < _LAST_SECOND:
            raise BadReply(f"a candle opens at {second}: not seconds of our time")
        if not row["low"] <= min(row["open"], row["close"]) <= max(row["open"], row["close"]) <= row["high"]:
            raise BadReply(
                f"open {row['open']}, high {row['high']}, low {row['low']}, close {row['close']}: no candle"
            )
        if not 0 <= row.get("trade_count", 0) < 2**63:
            raise BadReply(f"a candle of {row['trade_count']} trades")
        row["open_time"] = second * SECOND
        sheets.add(key, [(row, unfit)])

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets(order, symbol_of)
        for at, frame in enumerate(frames):
            received_at, body = frame
            try:
                push = decode(body)
            except UNDECODABLE:
                carefully(sheets, at, frame, facts, read)
                continue
            tick, key = push.tick, symbol_of(push.ch)
            if (
                key is None
                or LONG_FIGURE.search(body) is not None
                or not 0 <= tick.open_time < _LAST_SECOND
                or not tick.low <= tick.open <= tick.high
                or not tick.low <= tick.close <= tick.high
                or not 0 <= getattr(tick, "trade_count", 0) < 2**63
                or min(getattr(tick, name) or 0 for name in amounts) < 0
            ):
                carefully(sheets, at, frame, facts, read)
                continue
            columns = sheets.columns(key)
            for name in ours:
                columns[name].append(getattr(tick, name))
            columns["open_time"][-1] *= SECOND
            columns["received_at"].append(received_at)
        return sheets.finish()

    return parse


def _push(ours: Mapping[str, str], optional: frozenset[str]) -> type[msgspec.Struct]:
    required: list[Any] = [
        (name, int if name in _INTEGERS else float) for name in ours if name not in optional
    ]
    tick = msgspec.defstruct(
        "_Tick", required + [(name, float | None, None) for name in optional], rename=dict(ours), gc=False
    )
    return msgspec.defstruct("_Push", [("ch", str), ("tick", tick)])
