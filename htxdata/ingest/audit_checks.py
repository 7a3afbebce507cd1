"""The checks of an audit that look at rows by themselves, some at a time: a partition of any size fits into memory.

Each is a small function in the table at the end, which says what is compared and how far it may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.ingest.audit_rows import Rows, Wrong, mask_of, on_grid
from htxdata.schema.arrow import arrow_schema

RELATIVE = 1e-9
"""How far two sums may differ, of the larger: ours are good to 1e-14, and the venue prints 16 or more digits (htx-api
1.5); what is lost or counted twice is more than this as soon as a candle has fewer trades than 1e9."""

TURNOVER = 0.5e-8
"""How far the turnover of one trade may be rounded: HTX spot gives eight decimals (sample spot-kline)."""


def number(rows: Rows) -> Iterator[Wrong]:
    for field in arrow_schema(rows.declared):
        column = rows.table[field.name]
        if column.null_count and not field.nullable:
            yield Wrong(mask_of(column.is_null()), field.name, None, None, "there is no value")
        if pa.types.is_floating(field.type) and column.null_count < len(column):
            bad = mask_of(pc.fill_null(pc.invert(pc.is_finite(column)), False))
            yield Wrong(bad, field.name, None, None, "the value is no number")


def order(rows: Rows) -> Iterator[Wrong]:
    """Ascending by time, then by the rest of the key, each key once."""
    declared = rows.declared
    names = list(dict.fromkeys((declared.time_column, *declared.key)))
    parts = [part.select(names) for part in (rows.before, rows.table) if part is not None]
    table = pa.concat_tables(parts)
    less = np.zeros(max(len(table) - 1, 0), dtype=bool)
    same = np.ones(max(len(table) - 1, 0), dtype=bool)
    for name in names:
        column = table[name].combine_chunks()
        one, other = column.slice(0, max(len(column) - 1, 0)), column.slice(1)
        less |= same & mask_of(pc.fill_null(pc.less(other, one), False))
        same &= mask_of(pc.fill_null(pc.equal(other, one), False))
    if rows.before is None:
        less, same = np.append(False, less), np.append(False, same)
    if len(rows.table):
        yield Wrong(less, declared.time_column, None, None, "the row stands after a later one")
        yield Wrong(same, declared.key[-1], None, None, "the key is there twice")


def cell(rows: Rows) -> Iterator[Wrong]:
    outside = (rows.times < rows.window.start) | (rows.times >= rows.window.end)
    yield Wrong(
        outside, rows.declared.time_column, None, None, f"the row lies outside its partition {rows.window}"
    )


def grid(rows: Rows) -> Iterator[Wrong]:
    if rows.declared.density != "grid" or rows.grid is None:
        return
    yield Wrong(
        ~on_grid(rows.grid, rows.times), rows.declared.time_column, None, None, "no candle opens at this time"
    )


def candle(rows: Rows) -> Iterator[Wrong]:
    if "high" not in rows.declared.columns:
        return
    first, high, low, last = (rows.numbers(name) for name in ("open", "high", "low", "close"))
    if first is None or high is None or low is None or last is None:
        return  # all NULL: `number` says so
    least, most = np.minimum(first, last), np.maximum(first, last)
    yield Wrong(low > least, "low", least, low, "low lies above open or close")
    yield Wrong(high < most, "high", most, high, "high lies below open or close")
    if "volume" not in rows.declared.columns:
        return
    yield Wrong(low <= 0, "low", None, low, "a price is not above zero")
    sums = {name: rows.numbers(name) for name in rows.declared.columns[5:11]}
    for name, column in sums.items():
        if column is not None:
            yield Wrong(column < 0, name, 0.0, column, "less than nothing was traded")
    for part, whole in (("taker_buy_volume", "volume"), ("taker_buy_quote_volume", "quote_volume")):
        if (a := sums[part]) is not None and (b := sums[whole]) is not None:
            yield Wrong(a > b * (1 + RELATIVE), part, b, a, f"more than the whole {whole}")
    volume, quote, count = sums["volume"], sums["quote_volume"], sums["trade_count"]
    if volume is not None and quote is not None:
        yield from _average_price(low, high, volume, quote, count)


def _average_price(low: Any, high: Any, volume: Any, quote: Any, count: Any) -> Iterator[Wrong]:
    """Turnover by volume is a price between low and high."""
    slack = RELATIVE * quote + TURNOVER * np.fmax(1.0 if count is None else count, 1.0)
    traded = volume > 0
    below, above = traded & (quote < low * volume - slack), traded & (quote > high * volume + slack)
    yield Wrong(below, "quote_volume", low * volume, quote, "turnover by volume is a price below low")
    yield Wrong(above, "quote_volume", high * volume, quote, "turnover by volume is a price above high")
    yield Wrong(
        (volume == 0) & (quote > slack), "quote_volume", 0.0, quote, "there is turnover without volume"
    )


def trade(rows: Rows) -> Iterator[Wrong]:
    columns = rows.declared.columns
    if rows.declared.name not in ("trades", "liquidations"):
        return
    for name in ("price", "quantity", "quote_quantity", "contracts"):
        column = rows.numbers(name) if name in columns else None
        if column is not None:
            yield Wrong(column <= 0, name, None, column, f"{name} is not above zero")
    side = rows.table["side"]
    known = pc.or_(pc.equal(side, "buy"), pc.equal(side, "sell"))
    yield Wrong(~mask_of(pc.fill_null(known, False)), "side", None, None, "the side is neither buy nor sell")


def level(rows: Rows) -> Iterator[Wrong]:
    if rows.declared.name != "book_changes":
        return
    price, size = rows.numbers("price"), rows.numbers("size")
    if price is not None:
        yield Wrong(price <= 0, "price", None, price, "a price is not above zero")
    if size is not None:
        yield Wrong(size < 0, "size", 0.0, size, "less than nothing stands at the price")
    for name, one, other in (("side", "bid", "ask"), ("kind", "snapshot", "delta")):
        known = pc.or_(pc.equal(rows.table[name], one), pc.equal(rows.table[name], other))
        wrong = ~mask_of(pc.fill_null(known, False))
        yield Wrong(wrong, name, None, None, f"the {name} is neither {one} nor {other}")


def close_enough(name: str, one: Any, other: Any, trades: Any = 1.0) -> Any:
    """Whether two values of a candle's column are one and the same; what is not known contradicts nothing."""
    unknown = np.isnan(one) | np.isnan(other)
    if name in ("open", "high", "low", "close", "trade_count"):
        return unknown | (one == other)
    slack = RELATIVE * np.maximum(np.abs(one), np.abs(other))
    if "quote" in name:
        slack = slack + TURNOVER * np.fmax(trades, 1.0)
    return unknown | (np.abs(one - other) <= slack)


# ------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Check:
    """One check: its name in the findings, what it compares, how far that may differ and why, and the function."""

    name: str
    compares: str
    tolerance: str
    run: Callable[..., Any]


ROW_CHECKS = (
    Check("number", "every value with its column: there, where it must be, and a finite number", "none", number),
    Check("order", "every row with the one before: later by time and key, no key twice", "none", order),
    Check("cell", "the row's time with the span of its partition", "none", cell),
    Check("grid", "a candle's open time with the grid of its period", "none", grid),
    Check("candle", "low, high, open, close and the average price of one candle with each other",
          "prices none; the average price 1e-9 and the rounding of turnover to eight decimals", candle),
    Check("trade", "price, quantity and side of one trade with what they can be", "none", trade),
    Check("level", "price, size, side and kind of a change of a book with what they can be", "none", level),
)  # fmt: skip
"""``run(Rows)`` yields ``Wrong``."""
