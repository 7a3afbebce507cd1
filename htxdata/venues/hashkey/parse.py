"""From HashKey's candles and trades to columns named as in the schema. Pure; raises ``BadReply`` rather than guess.

On perpetuals every size counts contracts; base units are so many times the contract's size, which exchangeInfo alone
says (hashkey-api 3 [wire]). Neither candles nor trades name their symbol or interval.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.market import Series, grid_of
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.timeline import MILLISECOND, iso
from htxdata.venues import figures
from htxdata.venues.frames import contract_size, in_base
from htxdata.venues.hashkey.rows import list_of, rows_of
from htxdata.venues.hashkey.symbols import is_perpetual
from htxdata.venues.names import counted, stem
from htxdata.venues.terms import Facts, Parsed

CANDLE = ("open_time", "open", "high", "low", "close", "v", "close_time", "qv", "count", "tb", "tq")
"""The eleven elements of a candle (hashkey-api 4.3). The close time is 0 on the wire, and not read."""

_TURNOVERS = {"qv": "quote_volume", "tq": "taker_buy_quote_volume"}
_SIZES = {"v": "volume", "tb": "taker_buy_volume"}
_MOST_TRADES = 2**63


def size_for(symbol: str, facts: Facts, perpetual: bool) -> float | None:
    """Base units per contract; None where sizes are base units."""
    return contract_size({symbol: facts}, symbol) if perpetual else None


def sized(row: dict[str, Any], name: str, at: int, size: float | None) -> tuple[float, float | None, int]:
    """A size in base units, in contracts (None on spot), and how many of the two a DOUBLE does not carry."""
    value, fits = amount(row, name, at)
    if size is None:
        return value, None, not fits
    base, inexact = in_base(Decimal(row[name]), size)
    return base, value, (not fits) + inexact


def amount(row: dict[str, Any], name: str, at: int) -> tuple[float, bool]:
    value, fits = figures.number(row, name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return value, fits


def price(row: dict[str, Any], name: str, at: int) -> tuple[float, bool]:
    value, fits = amount(row, name, at)
    if value == 0:
        raise BadReply(f"row {at}: {name!r} is 0: no price")
    return value, fits


def candle(row: dict[str, Any], at: int, size: float | None, period: str) -> tuple[dict[str, Any], int]:
    """A candle whose members are called as in ``CANDLE``, as columns, and how many values no DOUBLE carries.

    Absent turnovers and counts (the socket's older shape) are None.
    """
    out: dict[str, Any] = {"open_time": figures.instant(row, "open_time", at)}
    if grid_of(period).floor(out["open_time"]) != out["open_time"]:
        # Where days, weeks and months open is documented nowhere; UTC is [inferred] from the timezone of exchangeInfo.
        raise BadReply(f"row {at}: no candle of {period} opens at {iso(out['open_time'])}")
    unfit = 0
    for name in ("open", "high", "low", "close"):
        out[name], fits = price(row, name, at)
        unfit += not fits
    if not out["low"] <= min(out["open"], out["close"]) <= max(out["open"], out["close"]) <= out["high"]:
        raise BadReply(
            f"row {at}: open {out['open']}, high {out['high']}, low {out['low']}, close {out['close']} are no candle"
        )
    for theirs, ours in _SIZES.items():
        contracts: float | None = None
        out[ours] = None
        if theirs in row or theirs == "v":
            out[ours], contracts, lost = sized(row, theirs, at, size)
            unfit += lost
        if theirs == "v":
            out["contracts"] = contracts
    for theirs, ours in _TURNOVERS.items():
        out[ours] = None
        if theirs in row:
            out[ours], fits = amount(row, theirs, at)
            unfit += not fits
    out["trade_count"] = None
    if "count" in row:
        out["trade_count"] = figures.integer(row, "count", at)
        if not 0 <= out["trade_count"] < _MOST_TRADES:
            raise BadReply(f"row {at}: 'count' is {row['count']!r:.60}: negative, or no count")
    return out, unfit


CANDLE_COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "contracts", "trade_count",
                  "taker_buy_volume", "taker_buy_quote_volume")  # fmt: skip


def klines(reply: Reply, series: Series, facts: Facts) -> Parsed:
    """Candles, ascending (hashkey-api 4.3 [wire]); the newest may still be running."""
    said = list_of(reply.body)
    size = size_for(series.symbol, facts, is_perpetual(series.symbol)) if said else None
    rows, unfit = [], np.zeros(len(said), np.uint8)
    for at, values in enumerate(said):
        if not isinstance(values, list) or len(values) != len(CANDLE):
            raise BadReply(f"row {at} is {values!r:.60}, not a candle of {len(CANDLE)} elements")
        row, unfit[at] = candle(dict(zip(CANDLE, values, strict=True)), at, size, series.period or "")
        rows.append(row)
    columns = {name: [row[name] for row in rows] for name in CANDLE_COLUMNS}
    if size is None:
        del columns["contracts"]
    times = columns["open_time"]
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    return Parsed(columns, page, unfit if unfit.any() else None)


def trade(row: dict[str, Any], at: int, size: float | None, maker: str) -> tuple[dict[str, Any], int]:
    """A trade as columns, but for its id, and how many values no DOUBLE carries. ``maker`` is the member that says
    whether the buyer was the maker (hashkey-api 4.2, 5 [doc]): then the taker sold."""
    cost, fits = price(row, "p", at)
    quantity, contracts, lost = sized(row, "q", at, size)
    if quantity == 0:
        raise BadReply(f"row {at}: 'q' is 0: no trade")
    if not isinstance(row.get(maker), bool):
        raise BadReply(f"row {at}: {maker!r} is {row.get(maker)!r:.60}, neither true nor false")
    columns = {
        "trade_time": figures.instant(row, "t", at), "price": cost, "quantity": quantity, "contracts": contracts,
        "side": "sell" if row[maker] else "buy",
    }  # fmt: skip
    return columns, (not fits) + lost


def stem_of(row: dict[str, Any]) -> str:
    """What a trade is called, but for its number of occurrence: by the sizes that the venue says."""
    size = row["quantity"] if row["contracts"] is None else row["contracts"]
    return stem(row["trade_time"] // MILLISECOND, row["price"], size, row["side"])


TRADE_COLUMNS = ("trade_time", "trade_id", "price", "quantity", "contracts", "side")


def trades(reply: Reply, series: Series, facts: Facts) -> Parsed:
    """The newest trades, at most 100 and without numbers (hashkey-api 4.2 [wire]): they are named (`venues.names`)."""
    said = rows_of(reply.body)
    size = size_for(series.symbol, facts, is_perpetual(series.symbol)) if said else None
    unfit = np.zeros(len(said), np.uint8)
    rows = []
    for at, row in enumerate(said):
        made, unfit[at] = trade(row, at, size, "ibm")
        rows.append(made)
    for row, name in zip(rows, counted([stem_of(row) for row in rows]), strict=True):
        row["trade_id"] = name
    columns = {name: [row[name] for row in rows] for name in TRADE_COLUMNS}
    if size is None:
        del columns["contracts"]
    times = columns["trade_time"]
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    return Parsed(columns, page, unfit if unfit.any() else None)
