"""Liquidations of linear contracts on the wire, v5 and v3 (htx-api 4.1, 4.8).

v5 writes strings; v3 writes numbers with zeros to the 18th decimal (sample linear-liquidation-orders-v3-2).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from .answers import Answer, Ask, Exchange, Refusal, five, page, reply, three
from .bars import Columns
from .breakage import take
from .candles import number
from .instruments import INSTRUMENTS, LINEAR, Instrument, contract
from .noise import Ints
from .periods import DAY, HOUR
from .spelling import padded, plain

_DEPTH, _SPAN = 90 * DAY, 2 * HOUR
_V3_PAGE = 50  # the reference names no size for v3
_V3_IDS = 150_000_000_000  # v5's ids are another number space than query_id (htx-api 8)
_FOREVER_MS = 4_102_444_800_000  # 2100-01-01


def _bent(ask: Ask, rows: Columns) -> Columns:
    return rows if ask.bend is None else ask.bend(rows, ask.now)


def _chosen(ask: Ask, code: str, pair: str, refuse: Callable[[Ask, int, str], Refusal]) -> list[Instrument]:
    """The contracts of a code, or all of a pair."""
    if not code and not pair:
        raise refuse(ask, 1066, "contract_code cannot be empty.")
    listed = [one for one in INSTRUMENTS[LINEAR].values() if one.status_at(ask.now) != "pre-online"]
    found = [one for one in listed if f"{one.base}-{one.quote}" == pair.upper()]
    if code:
        one = contract(code, ask.now)
        found = [] if one is None else [one]
    if not found:
        raise refuse(ask, 1014, "The contract does not exist.")
    return found


def _liquidated(
    exchange: Exchange, ask: Ask, chosen: list[Instrument], refuse: Callable[[Ask, int, str], Refusal]
) -> Columns:
    """All that start_time and end_time (ms, both inclusive) let in, ascending by id.

    Without an end it is now, or two hours after the start; without a start it is two hours before the end. What is
    older than 90 days is not served, without a word (what HTX says to such a request is not known).
    """
    try:
        start, end = (number(ask.query.get(name)) for name in ("start_time", "end_time"))
    except ValueError:
        raise refuse(ask, 1067, "The start_time or end_time field is invalid") from None
    span = _SPAN // 1000
    if end is None:
        end = ask.ms if start is None else min(start + span, ask.ms)
    start = end - span if start is None else start
    if start > end and "end_time" not in ask.query:
        start = end  # it begins in the future
    if start > end or end - start > span:
        raise refuse(ask, 1067, "The start_time or end_time field is invalid")
    low, high = (min(max(time, 0), _FOREVER_MS) * 1000 for time in (start, end + 1))
    low, high = max(low, ask.now - _DEPTH), min(high, ask.now + 1)
    parts = []
    for one in chosen:
        rows = exchange.market.liquidations(one.venue, one.symbol, low, max(low, high))
        parts.append(rows | {"contract_code": np.full(len(rows["price"]), one.symbol, dtype=object)})
    whole = {name: np.concatenate([rows[name] for rows in parts]) for name in parts[0]}
    return take(whole, np.argsort(whole["liquidation_id"], kind="stable"))


def _cut(rows: Columns, cursor: int | None, forward: bool, inclusive: bool, size: int) -> Columns:
    """A page of rows that ascend by id: from the cursor on, or back from it, newest first."""
    ids: Ints = rows["liquidation_id"]
    everything = np.arange(len(ids), dtype=np.int64)
    if forward:
        first = (
            0 if cursor is None else int(np.searchsorted(ids, cursor, side="left" if inclusive else "right"))
        )
        return take(rows, everything[first : first + size])
    last = (
        len(ids)
        if cursor is None
        else int(np.searchsorted(ids, cursor, side="right" if inclusive else "left"))
    )
    return take(rows, everything[max(0, last - size) : last][::-1])


def _turnover(price: float, quantity: float) -> Decimal:
    return (Decimal(repr(price)) * Decimal(repr(quantity))).normalize()


def _each(rows: Columns) -> list[tuple[Any, ...]]:
    names = ("liquidation_id", "contract_code", "liquidated_at", "side", "contracts", "quantity", "price")
    return list(zip(*(rows[name].tolist() for name in names), strict=True))


def _directed(ask: Ask, refuse: Callable[[Ask, int, str], Refusal], name: str) -> tuple[bool, int | None]:
    """Whether the walk goes forward (`direct`, prev unless said), and the cursor in the parameter of that name."""
    direct = ask.query.get("direct") or "prev"
    if direct not in ("next", "prev"):
        raise refuse(ask, 1067, "The direct field is invalid")
    try:
        return direct == "next", number(ask.query.get(name))
    except ValueError:
        raise refuse(ask, 1067, f"The {name} field is invalid") from None


def orders_v5(exchange: Exchange, ask: Ask) -> Answer:
    """/v5/market/liquidation_orders: windows of two hours, the last 90 days, a row id as cursor, limit up to 100.

    `amount` repeats the contracts, as in sample linear-v5-liquidation-orders (2 x 62978.5 turn over 125.957, so a
    contract is 0.001 coins), although the table of htx-api 4.1 calls it coins. Without limit a page has 20 rows, as
    that of fundings.
    """
    if not exchange.v5:
        raise Refusal(page("404 Not Found", 404))
    chosen = _chosen(ask, ask.query.get("contract_code", ""), ask.query.get("pair", ""), five)
    forward, cursor = _directed(ask, five, "from")
    try:
        limit = number(ask.query.get("limit"))
    except ValueError:
        limit = 0
    limit = 20 if limit is None else limit
    if not 1 <= limit <= 100:
        raise five(ask, 1067, "The limit field is invalid")
    rows = _liquidated(exchange, ask, chosen, five)
    rows = _bent(ask, _cut(rows, cursor, forward, exchange.v5_from_inclusive, limit))
    data = [
        {
            "id": str(identity),
            "contract_code": code,
            "liquidation_time": str(time // 1000),
            "side": side,
            "position_side": "long" if side == "sell" else "short",
            "volume": str(contracts),
            "amount": str(contracts),
            "bankrupt_price": plain(price),
            "trade_turnover": f"{_turnover(price, quantity):f}",
        }
        for identity, code, time, side, contracts, quantity, price in _each(rows)
    ]
    return reply({"code": 200, "message": "Success", "data": data, "ts": ask.ms})


def orders_v3(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v3/swap_liquidation_orders: trade_type is required: 0 all, 5 longs, 6 shorts."""
    chosen = _chosen(ask, ask.query.get("contract", ""), ask.query.get("pair", ""), three)
    data = [
        {**_row_3(row), "symbol": "USDT", **_turned_over(row), **_pair(row[1])}
        for row in _each(rows_3(exchange, ask, chosen))
    ]
    return reply({"code": 200, "msg": "", "data": data, "ts": ask.ms})


def rows_3(exchange: Exchange, ask: Ask, chosen: list[Instrument]) -> Columns:
    """A page of v3: trade_type, direct and from_id choose among all liquidations of some contracts."""
    kind = ask.query.get("trade_type", "")
    if kind not in ("0", "5", "6"):
        raise three(ask, 1067 if kind else 1066, "The trade_type field is invalid")
    forward, cursor = _directed(ask, three, "from_id")
    rows = _liquidated(exchange, ask, chosen, three)
    if kind != "0":
        rows = take(rows, np.flatnonzero(rows["side"] == ("sell" if kind == "5" else "buy")))
    cursor = None if cursor is None else cursor + _V3_IDS
    return _bent(ask, _cut(rows, cursor, forward, exchange.v5_from_inclusive, _V3_PAGE))


def coin_orders(chosen: Callable[[Ask], list[Instrument]], exchange: Exchange, ask: Ask) -> Answer:
    """/swap-api/v3/swap_liquidation_orders and /api/v3/contract_liquidation_orders: `amount` is coins, with 18
    decimals as in sample coinswap-liquidation-orders-v1. There is no sample of v3: that it has no turnover is [C]."""
    data = [
        {**_row_3(row), "symbol": INSTRUMENTS[one.venue][row[1]].base}
        for one in chosen(ask)[:1]
        for row in _each(rows_3(exchange, ask, chosen(ask)))
    ]
    return reply({"code": 200, "msg": "", "data": data, "ts": ask.ms})


def _row_3(row: tuple[Any, ...]) -> dict[str, Any]:
    identity, code, time, side, contracts, quantity, price = row
    return {
        "query_id": identity - _V3_IDS,
        "contract_code": code,
        "direction": side,
        "offset": "close",
        "volume": padded(contracts, 18),
        "price": padded(price, 18),
        "created_at": time // 1000,
        "amount": padded(quantity, 18),
    }


def _turned_over(row: tuple[Any, ...]) -> dict[str, Any]:
    return {"trade_turnover": padded(_turnover(row[6], row[5]), 18)}


def _pair(code: str) -> dict[str, Any]:
    one = INSTRUMENTS[LINEAR][code]
    kind = "swap" if one.delivery_at is None else "futures"
    return {"business_type": kind, "pair": f"{one.base}-USDT"}
