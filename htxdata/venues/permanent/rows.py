"""Rows as permanent describes them, over REST and on the socket alike: members as texts, to values of our columns.

A row is a dictionary of the names in the reference (permanent-v1 4, 6.3); ``dialect.py`` gives the messages of the
socket those names. Each function gives a row of the dataset and how many of its values a DOUBLE does not carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from htxdata.errors import BadReply
from htxdata.timeline import SECOND
from htxdata.venues import figures, frames
from htxdata.venues.exchanges import exchange_name
from htxdata.venues.permanent.answers import Row, inside, text
from htxdata.venues.terms import Facts

Made = tuple[Row, int]

_FIRST_SECOND, _LAST_SECOND = 0, 10**10
_PRICES = ("open", "high", "low", "close")

BARE = ("open_time", *_PRICES)
CANDLE = (*BARE, "volume", "quote_volume", "contracts", "trade_count")
TRADE = ("trade_time", "trade_id", "price", "quantity", "contracts", "side")


def candle(row: Row, at: int, facts: Facts | None) -> Made:
    """A bar. Where it is of a contract its ``facts`` are given: of an index or mark price nothing is traded.

    ``volume`` is contracts and ``turnover`` quote currency, both inferred (permanent-v1 4.1). Where the contract's size
    in base units is not known (quanto, coin-margined), base and quote amounts are NULL.
    """
    second = figures.integer(row, "id", at)
    if not _FIRST_SECOND <= second < _LAST_SECOND:
        raise BadReply(f"row {at}: a bar opens at {second}: not seconds of our time")
    out: Row = {"open_time": second * SECOND}
    unfit = 0
    for name in _PRICES:
        out[name], fits = figures.number(row, name, at)
        unfit += not fits
    low, high = min(out["open"], out["close"]), max(out["open"], out["close"])
    if not out["low"] <= low <= high <= out["high"]:
        raise BadReply(f"row {at}: {', '.join(f'{name} {out[name]}' for name in _PRICES)} are no candle")
    if facts is None:
        return out, unfit
    out["contracts"], lost = frames.figure(row, "volume", at)
    turnover, more = frames.figure(row, "turnover", at)
    count = figures.integer(row, "numOfTrades", at)
    if not 0 <= count < 2**63:
        raise BadReply(f"row {at}: 'numOfTrades' is {count}: negative, or no count")
    linear = facts.contract_size is not None
    out["trade_count"], out["quote_volume"] = count, turnover if linear else None
    out["volume"], most = in_base(row["volume"], facts) if linear else (None, 0)
    return out, unfit + lost + more * linear + most


def trade(row: Row, at: int, facts: Facts) -> Made:
    """A trade of a contract (permanent-v1 4.3). ``tradeVolume`` is contracts, as the order sizes are (inferred)."""
    number = figures.integer(row, "tradeId", at)
    if not 0 <= number < 2**63:
        raise BadReply(f"row {at}: 'tradeId' is {number}: negative, or too large")
    side = row.get("aggrOrdSide")
    if side not in ("buy", "sell"):
        raise BadReply(f"row {at}: 'aggrOrdSide' is {side!r:.60}, neither buy nor sell")
    price, lost = frames.price(row, "tradePrice", at)
    contracts, more = frames.figure(row, "tradeVolume", at)
    quantity, most = in_base(row["tradeVolume"], facts)
    when = figures.instant(row, "tradeTime", at)
    values = (when, str(number), price, quantity, contracts, side)
    return dict(zip(TRADE, values, strict=True)), lost + more + most


def in_base(contracts: Any, facts: Facts) -> tuple[float, int]:
    """So many contracts in base units, and 1 where a DOUBLE does not carry that."""
    if facts.contract_size is None:
        raise BadReply("what a contract is worth in base units is not known")
    value, inexact = frames.in_base(Decimal(contracts), facts.contract_size)
    return value, inexact


def indicative(row: Row, at: int = 0) -> Made:
    rate, fits = figures.number(row, "indFundRate", at)
    when = figures.instant(row, "ts", at)
    out = {"observed_at": when, "funding_time": figures.instant(row, "indFundTime", at), "funding_rate": rate}
    return out, int(not fits)


BASKET = ("index_time", "index_price", "exchange", "constituent", "price", "weight")


def basket(row: Row, at: int = 0) -> list[Made]:
    """The rows of one index time: ``{indexPrice, indexTime, constituents}`` (permanent-v1 4.7, 6.3).

    Whether a weight is percent (Chinese text) or a fraction (comment of the schema) is not known: all weights of a
    basket together tell, and where they add up to neither, it is refused.
    """
    when = figures.instant(row, "indexTime", at)
    index, index_fits = frames.price(row, "indexPrice", at)
    listed = inside(row, "constituents")
    if not listed:
        raise BadReply(f"row {at}: an index looks at something, and 'constituents' is empty")
    out: list[Made] = []
    for place, leg in enumerate(listed):
        exchange, _, pair = text(leg, "constituent", place).rpartition(".")
        if not exchange or not pair:
            raise BadReply(f"row {at}: {leg['constituent']!r:.60} is not an exchange and a pair")
        price, price_fits = frames.price(leg, "price", place)
        frames.figure(leg, "weight", place)
        values = (when, index, exchange_name(exchange), pair, price, Decimal(leg["weight"]))
        out.append((dict(zip(BASKET, values, strict=True)), (not index_fits) + (not price_fits)))
    names = [(made["exchange"], made["constituent"]) for made, _ in out]
    if len(set(names)) < len(names):
        raise BadReply(f"row {at}: {max(names, key=names.count)} is there twice")
    shift = _shift([made["weight"] for made, _ in out], at)
    return [_weighed(made, unfit, shift) for made, unfit in out]


def _shift(weights: Sequence[Decimal], at: int) -> int:
    """By how many places the weights must be moved to be fractions of 1."""
    total = float(sum(weights))
    if abs(total - 100) <= 1:
        return 2
    if abs(total - 1) <= 0.01:
        return 0
    raise BadReply(f"row {at}: the weights add up to {total:g}: neither percent nor fractions")


def _weighed(made: Row, unfit: int, shift: int) -> Made:
    sign, digits, exponent = made["weight"].as_tuple()
    exact = Decimal((sign, digits, int(exponent) - shift))  # of its parts: arithmetic would round to 28 digits
    return {**made, "weight": float(exact)}, unfit + (not figures.fits(str(exact)))


Level = tuple[str, float, float, float, int]
"""Side, price, base units, contracts, and how many of them a DOUBLE does not carry."""


def levels(row: Row, bids: str, asks: str, facts: Facts) -> list[Level]:
    """The levels of a book, bids first: objects of price and size, which counts contracts (inferred)."""
    out: list[Level] = []
    for side, name in (("bid", bids), ("ask", asks)):
        for at, level in enumerate(inside(row, name)):
            price, lost = frames.price(level, "price", at)
            contracts, more = frames.figure(level, "size", at)
            size, most = in_base(level["size"], facts)
            out.append((side, price, size, contracts, lost + more + most))
    return out
