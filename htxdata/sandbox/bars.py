"""Candles as integers: trades summed into buckets, hours summed into days, and buckets spelled out as columns.

Sums are exact (a float is rounded once, at the very end), so a candle is the same however the range around it was
asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .instruments import HASHKEY, Instrument
from .noise import Floats, Ints
from .periods import HOUR, MINUTE, opens, slots
from .trades import Trades

Columns = dict[str, Any]


@dataclass(frozen=True)
class Bars:
    """Buckets that saw trades, ascending by `slot`; integers in the symbol's units.

    Totals of periods above an hour are floats holding exact integers rounded once, as they may exceed 63 bits.
    """

    slot: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    quantity: Any
    quote: Any
    contracts: Ints
    count: Ints
    bought: Any  # by takers
    bought_quote: Any

    def columns(self) -> tuple[Any, ...]:
        """All columns, in the order of the fields."""
        return (
            self.slot, self.open, self.high, self.low, self.close, self.quantity, self.quote, self.contracts,
            self.count, self.bought, self.bought_quote,
        )  # fmt: skip

    def cut(self, first: int, last: int) -> Bars:
        """The buckets with first <= slot < last."""
        keep = slice(*np.searchsorted(self.slot, [first, last]))
        return Bars(*(column[keep] for column in self.columns()))


def joined(parts: Iterable[Bars]) -> Bars:
    """Bars one after the other; the caller sees to it that slots ascend."""
    tables = [part.columns() for part in parts]
    if not tables:
        return Bars(*[np.zeros(0, dtype=np.int64)] * 11)
    return Bars(*(np.concatenate(column) for column in zip(*tables, strict=True)))


def from_trades(trades: Trades, period: str) -> Bars:
    """One bucket for each candle of the period that saw a trade."""
    minute, price = trades.minute, trades.price
    if not len(minute):
        return joined(())
    at, ends = runs(slot := minute if period == "1min" else slots(period, minute * MINUTE))
    return Bars(
        slot[at], price[at], np.maximum.reduceat(price, at), np.minimum.reduceat(price, at), price[ends],
        np.add.reduceat(trades.quantity, at), np.add.reduceat(trades.quote, at),
        np.add.reduceat(trades.contracts, at), ends - at + 1, np.add.reduceat(trades.quantity * trades.buy, at),
        np.add.reduceat(trades.quote * trades.buy, at),
    )  # fmt: skip


def from_hours(hours: Bars, period: str) -> Bars:
    """Longer candles from hourly ones; the last hour may come in two parts."""
    if not len(hours.slot):
        return hours
    at, ends = runs(slot := slots(period, hours.slot * HOUR))
    return Bars(
        slot[at], hours.open[at], np.maximum.reduceat(hours.high, at), np.minimum.reduceat(hours.low, at),
        hours.close[ends], _total(hours.quantity, at), _total(hours.quote, at),
        np.add.reduceat(hours.contracts, at), np.add.reduceat(hours.count, at), _total(hours.bought, at),
        _total(hours.bought_quote, at),
    )  # fmt: skip


def spelled_out(one: Instrument, period: str, bars: Bars) -> Columns:
    """Bars as the columns of `Market.klines`."""
    scale = 10.0**one.price_decimals
    return {
        "open_time": opens(period, bars.slot),
        "open": bars.open / scale,
        "high": bars.high / scale,
        "low": bars.low / scale,
        "close": bars.close / scale,
        "volume": bars.quantity / 10.0**one.quantity_decimals,
        "quote_volume": None if one.face else bars.quote / 10.0**one.quote_decimals,
        "contracts": bars.contracts if one.derivative else None,
        "trade_count": bars.count,
        **({} if one.venue != HASHKEY else {
            "taker_buy_volume": bars.bought / 10.0**one.quantity_decimals,
            "taker_buy_quote_volume": bars.bought_quote / 10.0**one.quote_decimals,
        }),
    }  # fmt: skip


def with_flats(one: Instrument, period: str, first: int, last: int, bars: Bars, price_before: int) -> Bars:
    """Bars of the slots [first, last) with flat candles at the previous close where the symbol was quiet but trading.

    `price_before` is what the last trade before `first` cost, or 0 if there was none: then nothing is carried.
    """
    every = np.arange(first, last, dtype=np.int64)
    starts, stops = opens(period, every), opens(period, every + 1)
    trading = np.zeros(len(every), dtype=bool)
    for begin, end in one.sessions():
        trading |= (starts < end) & (stops > begin)
    index = np.searchsorted(bars.slot, every, side="right") - 1  # the last bar at or before each slot
    if len(bars.slot):
        present = (index >= 0) & (bars.slot[index] == every)
        carried = np.where(index >= 0, bars.close[index], price_before)
    else:
        present = np.zeros(len(every), dtype=bool)
        carried = np.full(len(every), price_before, dtype=np.int64)
    keep = (trading | present) & (carried > 0)
    index, present, carried, every = index[keep], present[keep], carried[keep], every[keep]
    if not present.any():
        nothing = np.zeros(len(every), dtype=np.int64)
        return Bars(every, carried, carried, carried, carried, *[nothing] * 6)
    prices = (
        np.where(present, column[index], carried) for column in (bars.open, bars.high, bars.low, bars.close)
    )
    totals = (
        np.where(present, column[index], 0)
        for column in bars.columns()[5:]
    )
    return Bars(every, *prices, *totals)


def runs(slot: Ints) -> tuple[Ints, Ints]:
    """Index of the first and of the last row of each run of equal slots."""
    at = np.flatnonzero(np.concatenate([[True], slot[1:] != slot[:-1]]))
    return at, np.concatenate([at[1:] - 1, [len(slot) - 1]])


def _total(units: Ints, at: Ints) -> Floats:
    """Exact totals of integers as floats rounded once, even where a total is beyond 2**63."""
    high: Floats = np.add.reduceat(units >> 20, at).astype(np.float64)
    high *= 1048576.0
    high += np.add.reduceat(units & 0xFFFFF, at).astype(np.float64)
    return high
