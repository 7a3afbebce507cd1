"""From HTX's newest trades to columns: groups of fills, on spot and on contracts.

An order that is filled in several pieces comes as one group of several trades; the group's own ``id`` and ``ts`` are
no data of ours. On spot a trade's ``id`` has 21 to 27 digits, repeats, and is to be dropped by HTX itself: the number
of a trade is its ``trade-id`` (htx-api 3.3 [A]). On contracts it is ``id``, of up to 19 digits (htx-api 4.5 [A]). No
number of either kind becomes a float on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.parse import check_echo
from htxdata.venues.terms import Parsed

SPOT_TRADE: Mapping[str, str] = {
    # htx-api 3.3 [A]: `amount` is base, `direction` what the taker did. The turnover is not said.
    "trade_time": "ts", "trade_id": "trade-id", "price": "price", "quantity": "amount", "side": "direction",
}  # fmt: skip
LINEAR_TRADE: Mapping[str, str] = {
    # htx-api 4.5 [A]: `amount` is contracts, `quantity` coins, `trade_turnover` USDT, and all count both sides.
    # `quantity` and `trade_turnover` exist since 2021-02: a turnover may be lacking (and is on coin-margined ones, 5),
    # but coins cannot be made of contracts here, so a trade without `quantity` is refused.
    "trade_time": "ts", "trade_id": "id", "price": "price", "quantity": "quantity",
    "quote_quantity": "trade_turnover", "contracts": "amount", "side": "direction",
}  # fmt: skip
OPTIONAL = frozenset({"quote_quantity"})
_FIGURES = ("price", "quantity", "quote_quantity", "contracts")


class _Spot(msgspec.Struct, gc=False, rename=SPOT_TRADE):
    trade_time: int
    trade_id: int
    price: float
    quantity: float
    side: Literal["buy", "sell"]


class LinearTrade(msgspec.Struct, gc=False, rename=LINEAR_TRADE):
    trade_time: int
    trade_id: int
    price: float
    quantity: float
    contracts: float
    side: Literal["buy", "sell"]
    quote_quantity: float | None = None


_Trade = TypeVar("_Trade")


class _Group(msgspec.Struct, Generic[_Trade]):
    data: list[_Trade]


class _Answer(msgspec.Struct, Generic[_Trade]):
    data: list[_Group[_Trade]]
    ch: str | None = None
    ts: int | None = None


def _parser(
    names: Mapping[str, str], decoder: msgspec.json.Decoder[Any]
) -> Callable[[Reply, Series], Parsed]:
    def parse(reply: Reply, series: Series) -> Parsed:
        fast = _fast(reply.body, names, decoder)
        columns, unfit, said = _slow(reply.body, names) if fast is None else fast
        check_echo(said.get("ch"), f"market.{series.symbol}.trade.detail")
        times = columns["trade_time"]
        if not len(times):
            return Parsed({name: [] for name in names}, Page(0))
        page = Page(len(times), int(times.min()), int(times.max()), until=venue_clock(said))
        return Parsed({**columns, "trade_time": pa.array(times)}, page, unfit)

    return parse


def venue_clock(said: dict[str, Any]) -> int | None:
    """When the venue made the answer, microseconds UTC; ``None`` where it does not say it in milliseconds."""
    try:
        return wire.instant(said, "ts", 0)
    except BadReply:
        return None


_COMMA, _COLON, _BRACE = b",:}"
_HARMLESS = np.isin(np.arange(256), list(b"dsnah"))
"""The last letters of id, trade-id, ts, direction, data and ch: what stands behind these is no figure."""


def _long_figures(body: bytes) -> bool:
    """May a figure be spelled so long that a DOUBLE does not carry all its digits? Then the careful way counts them."""
    raw = np.frombuffer(body, np.uint8)
    marks = np.flatnonzero((raw == _COLON) | (raw == _COMMA) | (raw == _BRACE))
    colons = marks[:-1][(np.diff(marks) > wire.MOST_EXACT_DIGITS + 1) & (raw[marks[:-1]] == _COLON)]
    # Before the colon stands a quote, before that the letter; where a blank or an escape stands there, it is none.
    return not _HARMLESS[raw[colons - 2]].all()


TINY = 1e-90
"""A figure below this, zero included, may have been rounded: 1E-400 is no DOUBLE."""


def _fast(
    body: bytes, names: Mapping[str, str], decoder: msgspec.json.Decoder[Any]
) -> tuple[dict[str, Any], None, dict[str, Any]] | None:
    """The columns of an answer in which everything is as documented, or ``None``: then `_slow` says what is not.

    One small object a trade. The way of `rows.fast_rows`, without any, was tried: it took two to three times as long,
    because regular expressions had to take the groups apart and the ids out. Nothing is looked for by a regular
    expression here either: one of them costs as much as the decoding.
    """
    try:
        answer = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if _long_figures(body):
        return None
    said = {"ch": answer.ch, "ts": answer.ts}
    trades = [trade for group in answer.data for trade in group.data]
    if not trades:
        return {"trade_time": np.zeros(0, np.int64)}, None, said
    try:
        times = [trade.trade_time for trade in trades]
        wire.instant({"ts": min(times)}, "ts", 0)
        wire.instant({"ts": max(times)}, "ts", 0)
        ids = pa.array([trade.trade_id for trade in trades], pa.int64())
    except (BadReply, OverflowError, pa.ArrowInvalid):
        return None
    columns = {
        "trade_time": np.array(times, np.int64) * MILLISECOND,
        "trade_id": ids.cast(pa.string()),
        "side": pa.array([trade.side for trade in trades], pa.string()),
    }
    good = np.asarray(ids).min() >= 0
    for name in _FIGURES:
        if name not in names:
            continue
        figures = pa.array([getattr(trade, name) for trade in trades], pa.float64())
        if figures.null_count == len(figures):
            continue
        columns[name] = figures
        good &= np.asarray(figures.drop_null()).min() >= TINY
    return (columns, None, said) if good else None


def _slow(body: bytes, names: Mapping[str, str]) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    """The same from dictionaries, in every spelling that is a number; raises ``BadReply`` naming the row."""
    answer = wire.open_answer(body)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    lost: list[int] = []
    for row in _trades(wire.slow_rows(answer.rows)):
        at, unfit = len(lost), 0
        for ours, theirs in names.items():
            value: Any
            if ours == "trade_time":
                value = wire.instant(row, theirs, at)
            elif ours == "trade_id":
                value = wire.integer(row, theirs, at)
                if not 0 <= value < 2**63:
                    raise BadReply(f"row {at}: {theirs!r} is {row[theirs]!r:.60}, not the number of a trade")
                value = str(value)
            elif ours == "side":
                value = row.get(theirs)
                if value not in ("buy", "sell"):
                    raise BadReply(f"row {at}: {theirs!r} is {value!r:.60}, neither buy nor sell")
            elif ours in OPTIONAL and row.get(theirs) is None:
                value = None
            else:
                value, fitting = wire.number(row, theirs, at)
                unfit += not fitting
                if value < 0 or (value == 0 and ours == "price"):
                    raise BadReply(f"row {at}: {theirs!r} is {value}: negative, or no price")
            columns[ours].append(value)
        lost.append(unfit)
    out: dict[str, Any] = {
        name: values
        for name, values in columns.items()
        if name not in OPTIONAL or any(value is not None for value in values)
    }
    out["trade_time"] = np.array(out["trade_time"], np.int64)
    return out, np.array(lost, np.uint8) if any(lost) else None, answer.said


def _trades(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for at, group in enumerate(groups):
        trades = group.get("data")
        if not isinstance(trades, list) or not all(isinstance(trade, dict) for trade in trades):
            raise BadReply(f"group {at}: 'data' is {trades!r:.60}, not a list of trades")
        out += trades
    return out


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "spot": msgspec.json.Decoder(_Answer[_Spot]),
    "linear": msgspec.json.Decoder(_Answer[LinearTrade]),
}

spot_trades = _parser(SPOT_TRADE, _DECODERS["spot"])
linear_trades = _parser(LINEAR_TRADE, _DECODERS["linear"])
