"""From HTX's liquidation orders to columns: v5, the v3 that it replaces, and the v3 of coin-margined contracts.

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
from htxdata.venues.htx.constituents import coin_of
from htxdata.venues.htx.interest import figure
from htxdata.venues.terms import Parsed

V5: Mapping[str, str] = {"time": "liquidation_time", "id": "id", "side": "side", "price": "bankrupt_price"}
V3: Mapping[str, str] = {"time": "created_at", "id": "query_id", "side": "direction", "price": "price"}

_CLOSES: Mapping[str, str] = {"long": "sell", "short": "buy"}


Quantity = Callable[[dict[str, Any], float, float, int], tuple[float, bool]]
"""Coins of a row, whose price and contracts are known; and whether a DOUBLE carries them."""


def _parser(
    names: Mapping[str, str], prefix: str, quantity_of: Quantity, among: Callable[[str], str] = str.upper
) -> Callable[[Reply, Series], Parsed]:
    """``among``: what all contracts that one answer tells of have in common; rows of others are left out."""

    def parse(reply: Reply, series: Series) -> Parsed:
        columns: dict[str, list[Any]] = {
            name: [] for name in ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts")
        }
        ids: list[int] = []
        rows = wire.slow_rows(wire.open_answer(reply.body).rows)
        when: list[int] = []
        unfit: list[int] = []
        wanted = series.symbol.upper()
        for at, row in enumerate(rows):
            code = str(row.get("contract_code", "")).upper()
            if among(code) != among(wanted) or (code != wanted and among(code) == code):
                raise BadReply(f"row {at} is of {code!r:.60}, asked for {series.symbol!r}")
            ids.append(wire.integer(row, names["id"], at))
            if ids[-1] < 0:
                raise BadReply(f"row {at}: {names['id']!r} is {ids[-1]}: negative")
            price, fitting = figure(row, names["price"], at)
            contracts, whole = figure(row, "volume", at)
            quantity, exact = quantity_of(row, price, contracts, at)
            when.append(wire.instant(row, names["time"], at))
            if code != wanted:
                continue
            unfit.append((not fitting) + (not whole) + (not exact))
            values = (
                when[-1], f"{prefix}{ids[-1]}", _side(row, names["side"], at),
                price, quantity, contracts,
            )  # fmt: skip
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        # Pages of one instant are told apart by their newest number.
        page = Page(len(when), min(when), max(when), str(max(ids))) if when else Page(0)
        return Parsed(columns, page, np.array(unfit, np.uint8) if any(unfit) else None)

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


def coins(row: dict[str, Any], price: float, contracts: float, at: int) -> tuple[float, bool]:
    """Coins of a coin-margined row: ``amount``, which is contracts x dollars / price (sample
    coinswap-liquidation-orders-v1). There is no turnover to prove it by [C], but a contract is worth 100 dollars or 10
    (htx-api 5 [A]): what is worth no power of ten is refused.
    """
    amount, fitting = figure(row, "amount", at)
    worth = price * amount / contracts if contracts else 0.0
    if worth <= 0 or abs(10 ** round(math.log10(worth)) / worth - 1) > CALIBRATED:
        raise BadReply(
            f"row {at}: {contracts} contracts at {price} are no 'amount' of {amount} coins: {worth:.6g} dollars each"
        )
    return amount, fitting


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


orders_v5 = _parser(V5, "", _quantity)
orders_v3 = _parser(V3, "v3-", _quantity)
orders_of_coin_swaps = _parser(V3, "v3-", coins)
orders_of_coin = _parser(V3, "v3-", coins, coin_of)
"""Of coin-margined futures, which are asked for by coin (htx-api 6)."""
