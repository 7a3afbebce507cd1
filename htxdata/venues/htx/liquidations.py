"""From HTX's liquidation orders to columns: v5, and the v3 that it replaces.

``side`` is the order that closed the position: a liquidated short is bought back (htx-api 4.1, 4.8). The price is the
one at which the position was bankrupt, not that of a trade. v5 and v3 number their orders differently; the older number
is kept apart by a prefix (htx-api 8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.interest import figure
from htxdata.venues.terms import Parsed

V5: Mapping[str, str] = {"time": "liquidation_time", "id": "id", "side": "side", "price": "bankrupt_price"}
V3: Mapping[str, str] = {"time": "created_at", "id": "query_id", "side": "direction", "price": "price"}

_CLOSES: Mapping[str, str] = {"long": "sell", "short": "buy"}


def _parser(names: Mapping[str, str], prefix: str) -> Callable[[Reply, Series], Parsed]:
    def parse(reply: Reply, series: Series) -> Parsed:
        columns: dict[str, list[Any]] = {
            name: [] for name in ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts")
        }
        ids: list[int] = []
        rows = wire.slow_rows(wire.open_answer(reply.body).rows)
        unfit = np.zeros(len(rows), np.uint8)
        for at, row in enumerate(rows):
            code = str(row.get("contract_code", ""))
            if code.upper() != series.symbol.upper():
                raise BadReply(f"row {at} is of {code!r:.60}, asked for {series.symbol!r}")
            ids.append(wire.integer(row, names["id"], at))
            if ids[-1] < 0:
                raise BadReply(f"row {at}: {names['id']!r} is {ids[-1]}: negative")
            price, fitting = figure(row, names["price"], at)
            contracts, whole = figure(row, "volume", at)
            quantity, exact = _quantity(row, price, contracts, at)
            unfit[at] = (not fitting) + (not whole) + (not exact)
            values = (
                wire.instant(row, names["time"], at), f"{prefix}{ids[-1]}", _side(row, names["side"], at),
                price, quantity, contracts,
            )  # fmt: skip
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        times = columns["liquidated_at"]
        # Pages of one instant are told apart by their newest number.
        page = Page(len(times), min(times), max(times), str(max(ids))) if times else Page(0)
        return Parsed(columns, page, unfit if unfit.any() else None)

    return parse


def _side(row: dict[str, Any], name: str, at: int) -> str:
    side, held = row.get(name), row.get("position_side", "both")
    if side not in ("buy", "sell"):
        raise BadReply(f"row {at}: {name!r} is {side!r:.60}, neither buy nor sell")
    if held not in (*_CLOSES, "both") or _CLOSES.get(held, side) != side:
        raise BadReply(f"row {at}: 'position_side' is {held!r:.60}, which {side!r} does not close")
    return str(side)


CALIBRATED = 0.01
"""So far may price x amount be from the turnover: wide enough for rounding, while units differ by tenfold or more."""


def _quantity(row: dict[str, Any], price: float, contracts: float, at: int) -> tuple[float, bool]:
    """Coins. ``amount`` is documented as coins, but in the one recorded answer of v5 it counts contracts, as ``volume``
    does (2 of 0.001 BTC at 62,978.5 are 125.957 USDT): the turnover tells which, and what fits neither is refused [C].
    """
    amount, fitting = figure(row, "amount", at)
    turnover, _ = figure(row, "trade_turnover", at)
    if math.isclose(
        price * amount, turnover, rel_tol=CALIBRATED, abs_tol=CALIBRATED if amount != contracts else 0
    ):
        return amount, fitting
    if amount == contracts and price and turnover:
        return float(f"{turnover / price:.12g}"), True
    raise BadReply(
        f"row {at}: {price} x 'amount' {amount} is not 'trade_turnover' {turnover}, neither in coins nor in contracts"
    )


orders_v5 = _parser(V5, "")
orders_v3 = _parser(V3, "v3-")
