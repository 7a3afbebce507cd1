"""What is open and what is closed by force: open interest and liquidations of contracts, from a seed.

All integers in the symbol's units, as the trades are. Neither counts both sides (samples linear-open-interest and
linear-liquidation-orders-v3, where volume x contract size = amount, odd numbers among them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .instruments import FUTURES, INSTRUMENTS, INVERSE, LINEAR, Instrument, instant, is_quarterly
from .noise import Floats, Ints, fractions, key_of, smooth, words
from .periods import DAY, HOUR, MINUTE
from .trades import fair_ticks

INTEREST_PERIODS = {"60min": HOUR, "4hour": 4 * HOUR, "12hour": 12 * HOUR, "1day": DAY}
"""The periods of open interest history (htx-api 4.8)."""

_EIGHT = 8 * HOUR  # the day begins at 16:00 UTC: ts of sample linear-his-open-interest is 2021-12-05 16:00
_ORDINALS = 32  # more than the liquidations of any minute
_CONTRACTS = 32  # more than there are contracts: ids are unique across them, as a product's are (htx-api 8)
_PLACES = {
    (venue, symbol): place for venue in (LINEAR, INVERSE) for place, symbol in enumerate(INSTRUMENTS[venue])
}
_FIRST_ID, _FIRST_MINUTE = 150_000_000_000, instant("2020-01-01") // MINUTE  # 12 digits, as in sample v5
_RUSH = 0.03  # of all hours, in which the market runs away and more is closed than one page holds
_RUSH_RATE, _CALM_RATE = 3.0, 0.04  # a minute, for the busiest contracts


@dataclass(frozen=True)
class Liquidations:
    """Orders that closed positions by force, in ascending order of time and identity. `time` is ms UTC."""

    time: Ints
    identity: Ints
    sell: Any  # bool array: a long position was closed
    price: Ints
    contracts: Ints

    def where(self, keep: Any) -> Liquidations:
        """The ones that a mask lets through."""
        columns = (self.time, self.identity, self.sell, self.price, self.contracts)
        return Liquidations(*(column[keep] for column in columns))


def in_session(one: Instrument, times: Ints) -> Any:
    """Which instants (us UTC) fall into its trading sessions."""
    found = np.zeros(len(times), dtype=bool)
    for first, last in one.sessions():
        found |= (times >= first) & (times < last)
    return found


def on_the_grid(period: str, start: int, end: int) -> Ints:
    """The instants (us UTC) in [start, end) at which open interest of a period is noted; ValueError if unknown."""
    if period not in INTEREST_PERIODS:
        raise ValueError(f"unknown period {period!r}; known are {', '.join(INTEREST_PERIODS)}")
    step = INTEREST_PERIODS[period]
    first = -(-(start + _EIGHT) // step) * step - _EIGHT
    return np.arange(first, max(first, end), step, dtype=np.int64)


def open_contracts(seed: int, one: Instrument, times: Ints) -> Ints:
    """How many contracts are open at instants (us UTC, ascending)."""
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    key, times_ms = key_of("interest", seed, one.venue, one.symbol), times // 1000
    share: Floats = smooth(key, times_ms, 60 * DAY // 1000) * 0.5
    share += smooth(key + 1, times_ms, 3 * DAY // 1000) * 0.2
    share += smooth(key + 2, times_ms, HOUR // 1000) * 0.05
    return np.rint((share + 1.0) * (one.trades_per_minute * one.typical_lots * 600.0)).astype(np.int64) + 1


def prices(seed: int, one: Instrument, times: Ints) -> Ints:
    """What a contract costs at instants (us UTC, ascending), in units."""
    if not len(times):
        return np.zeros(0, dtype=np.int64)
    return np.maximum(np.rint(fair_ticks(seed, one, times // 1000)).astype(np.int64), 1) * one.tick_units


def _place(one: Instrument) -> int:
    """The number of a contract among those of its product, below `_CONTRACTS`. Futures that trade at the same time have
    different ones: two weekly ones, which deliver a week apart, and three quarterly ones."""
    if one.venue != FUTURES or one.delivery_at is None:
        return _PLACES.get((one.venue, one.symbol), 0)
    week = one.delivery_at // (7 * DAY)
    number = 2 + week // 13 % 5 if is_quarterly(one.delivery_at) else week % 2
    return 8 * (one.base != "BTC") + number


def liquidations(seed: int, one: Instrument, lower: int, upper: int) -> Liquidations:
    """All liquidations of a contract in [lower, upper), us UTC; spot has none."""
    first, last = lower // MINUTE, -(-upper // MINUTE)
    minutes = np.arange(first, max(first, last), dtype=np.int64)
    minutes = minutes[in_session(one, minutes * MINUTE) & one.derivative]
    key = key_of("liquidation", seed, one.venue, one.symbol)
    hours = minutes // 60
    rush = fractions(key, hours) < _RUSH
    rate = np.where(rush, _RUSH_RATE, _CALM_RATE) * min(1.0, one.trades_per_minute / 4.0)
    counts = np.floor(rate * 2.0 * fractions(key + 1, minutes) + fractions(key + 2, minutes)).astype(np.int64)
    ordinal = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    minute, rush, hours = np.repeat(minutes, counts), np.repeat(rush, counts), np.repeat(hours, counts)
    dice = words(key + 3, minute * _ORDINALS + ordinal)
    # Each has its own stretch of the minute, so that ordinals ascend with time.
    time = (ordinal << 16) + (dice & np.uint64(0xFFFF)).astype(np.int64)
    time *= 60_000
    time //= np.repeat(counts, counts) << 16
    time += minute * 60_000
    # When the market runs, seven in eight are on the same side.
    running = (words(key + 4, hours) & np.uint64(1)).astype(bool)
    against = (dice >> np.uint64(16) & np.uint64(7)) == 0
    sell = np.where(rush, running ^ against, (dice >> np.uint64(19) & np.uint64(1)).astype(bool))
    # The price at which the position is worth nothing: below the market for a long one, above it for a short one.
    beyond = (dice >> np.uint64(20) & np.uint64(0xFFFF)).astype(np.float64) * (0.01 / 65536.0)
    price = fair_ticks(seed, one, time) * np.where(sell, 1.0 - beyond, 1.0 + beyond) if len(time) else beyond
    units = np.maximum(np.rint(price).astype(np.int64), 1) * one.tick_units
    halvings = (dice >> np.uint64(36) & np.uint64(7)).astype(np.int64)
    size = (dice >> np.uint64(44)).astype(np.int64)
    contracts = (size * (one.typical_lots * 8) >> (18 + halvings)) + 1
    number = ((minute - _FIRST_MINUTE) * 100 + ordinal) * _CONTRACTS + _place(one)
    found = Liquidations(time, number + _FIRST_ID, sell, units, contracts)
    return found.where((time * 1000 >= lower) & (time * 1000 < upper))
