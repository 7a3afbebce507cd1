"""The trades of the seeded market: how many in each minute, when, at what price, how much.

All integers: times in ms, prices and quantities in the symbol's smallest units, so that whatever is summed from them
does not depend on the order of summing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .instruments import FUTURES, HASHKEY, INVERSE, LINEAR, SPOT, Instrument
from .noise import Floats, Ints, key_of, path, words
from .periods import MINUTE

_ORDINALS = 32  # more than the trades of any minute
_COUNT_BITS, _TAIL = 12, 15
# The first order's number, so that ids have as many digits as the venue's: 12 on spot (sample spot-history-trade),
# 19 on contracts (1000219512747480000, htx-api 4.5), which no double holds.
_ORDERS = {SPOT: 10**11, LINEAR: 10**14, INVERSE: 10**14, FUTURES: 10**14, HASHKEY: 17 * 10**13}
# HashKey's have 19 digits (hashkey-api 7).
_FILLS = 10_000  # a contract trade's id is its order's number x 10000 + n (htx-api 4.5)


@dataclass(frozen=True)
class Trades:
    """Trades in ascending order of time. `minute` is the minute since 1970, `time` ms UTC, the rest symbol's units.

    Trades of one `order` (the taker's) follow each other, at one time and to one side.
    """

    time: Ints
    minute: Ints
    order: Ints
    identity: Ints
    price: Ints
    quantity: Ints
    quote: Ints
    contracts: Ints
    buy: Any  # bool array: the taker bought

    def where(self, keep: Any) -> Trades:
        """The trades that a mask lets through."""
        return Trades(*(getattr(self, field.name)[keep] for field in fields(self)))


class Trading:
    """Makes the trades of any stretch of time from a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._tables: dict[float, Ints] = {}

    def counts(self, one: Instrument, minutes: Ints) -> Ints:
        """How many trades each of these minutes (ascending) has."""
        table = self._tables.get(one.trades_per_minute)
        if table is None:
            table = self._tables[one.trades_per_minute] = _quantiles(one.trades_per_minute)
        draw = words(key_of("count", self._seed, one.venue, one.symbol), minutes) >> np.uint64(
            64 - _COUNT_BITS
        )
        counts = table.take(draw.astype(np.int64))
        sessions = one.sessions()
        if not len(minutes) or (
            len(sessions) == 1
            and sessions[0][0] < minutes[0] * MINUTE
            and (minutes[-1] + 1) * MINUTE <= sessions[0][1]
        ):
            return counts
        trading = np.zeros(len(minutes), dtype=bool)
        times = minutes * MINUTE
        for first, last in sessions:
            trading |= (times >= first) & (times < last)
            counts = np.where(
                times == first, np.maximum(counts, 1), counts
            )  # there is always an opening trade
        return np.where(trading, counts, 0)

    def between(self, one: Instrument, lower: int, upper: int) -> Trades:
        """All trades in [lower, upper), us UTC."""
        first, last = lower // MINUTE, -(-upper // MINUTE)
        minutes = np.arange(first, max(first, last), dtype=np.int64)
        trades = self.within(one, minutes, self.counts(one, minutes))
        if lower % MINUTE or upper % MINUTE:
            times = trades.time * 1000
            trades = trades.where((times >= lower) & (times < upper))
        return trades

    def newest(self, one: Instrument, orders: int, before: int) -> Trades:
        """The trades of the last so many orders before an instant (us UTC), or of all there are."""
        width, floor = int(orders / one.trades_per_minute * 1.3) + 8, one.listed_at // MINUTE
        while True:
            start = max(floor, before // MINUTE - width)
            trades = self.between(one, start * MINUTE, before)
            firsts = np.flatnonzero(np.diff(trades.order, prepend=-1))
            if len(firsts) >= orders:
                return trades.where(slice(int(firsts[-orders]), None))
            if start == floor:
                return trades
            width *= 4

    def last_price(self, one: Instrument, before: int) -> int:
        """The price (units) of the last trade before a whole minute (us UTC); 0 if there was none."""
        stop, width, floor = before // MINUTE, 64, one.listed_at // MINUTE
        while stop > floor:
            minutes = np.arange(max(floor, stop - width), stop, dtype=np.int64)
            counts = self.counts(one, minutes)
            busy = np.flatnonzero(counts)
            if len(busy):
                last = busy[-1:]
                return int(self.within(one, minutes[last], counts[last]).price[-1])
            stop, width = int(minutes[0]), width * 8
        return 0

    def within(self, one: Instrument, minutes: Ints, counts: Ints) -> Trades:
        """The trades of these minutes, which have so many each."""
        total = int(counts.sum())
        minute = np.repeat(minutes, counts)
        ordinal = np.arange(total, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        dice = words(key_of("trade", self._seed, one.venue, one.symbol), minute * _ORDINALS + ordinal)
        # Each trade has its own stretch of the minute, so that ordinals ascend with time.
        time = (ordinal << 16) + (dice & np.uint64(0xFFFF)).astype(np.int64)
        time *= 60_000
        time //= np.repeat(counts, counts) << 16
        time += minute * 60_000
        buy = (dice >> np.uint64(16) & np.uint64(1)).astype(bool)
        # Some orders meet several resting ones: further fills, at the same time, each a tick further into the book.
        follows = ((dice >> np.uint64(40) & np.uint64(7)) == 0) & (ordinal > 0)
        place = np.arange(total, dtype=np.int64)
        fill = place - np.maximum.accumulate(np.where(follows, 0, place))
        further = np.flatnonzero(follows)
        leader = further - fill[further]
        time[further], buy[further] = time[leader], buy[leader]
        price = np.rint(fair_ticks(self._seed, one, time)).astype(np.int64)
        price += buy  # the spread is one tick
        price[further] += np.where(buy[further], fill[further], -fill[further])
        if one.venue == HASHKEY:
            # Resting orders of one size at one price: fills of one instant that nothing but their numbers tells apart.
            alike = further[(dice[further] >> np.uint64(44) & np.uint64(1)) == 0]
            price[alike], dice[alike] = price[alike - fill[alike]], dice[alike - fill[alike]]
        np.maximum(price, 1, out=price)
        price *= one.tick_units
        quantity, quote, contracts = _sizes(one, dice, price)
        order = minute * 100 + (ordinal - fill) + _ORDERS[one.venue]
        identity = (order if one.venue == SPOT else order * _FILLS) + fill
        return Trades(time, minute, order, identity, price, quantity, quote, contracts, buy)


def session_before(one: Instrument, now: int) -> int:
    """The last instant (us UTC) up to `now` at which it traded: now, or the end of its last session before."""
    spans = [span for span in one.sessions() if span[0] <= now]
    return min(now, spans[-1][1] - 1) if spans else now


def fair_ticks(seed: int, one: Instrument, times_ms: Ints) -> Floats:
    """The price around which an instrument trades at instants (ms UTC, ascending), in ticks, not yet whole.

    A path per coin, so that its spot pair, swap and futures move together.
    """
    factor = path(key_of("path", seed, one.base, one.quote), times_ms, one.swing)
    factor *= one.level * 10.0**one.price_decimals / one.tick_units
    return factor


def _sizes(one: Instrument, dice: Any, price: Ints) -> tuple[Ints, Ints, Ints]:
    """Quantity, quote quantity and contracts of trades, in units."""
    surplus = one.price_decimals + one.quantity_decimals - one.quote_decimals
    if one.long_digits:
        quantity = (dice >> np.uint64(12)).astype(np.int64) + 1
        quote = np.rint(price.astype(np.float64) * quantity / 10.0**surplus).astype(np.int64)
        return quantity, quote, np.zeros(len(price), dtype=np.int64)
    # A heavy tail: uniform draws divided by powers of two.
    size = (dice >> np.uint64(17) & np.uint64(0xFFFFF)).astype(np.int64)
    halvings = (dice >> np.uint64(37) & np.uint64(7)).astype(np.int64)
    lots = (size * (one.typical_lots * 8) >> (18 + halvings)) + 1
    contracts = np.zeros(len(price), dtype=np.int64)
    if one.derivative and one.venue != HASHKEY:
        lots *= 2  # volumes of derivatives count both sides and are always even (htx-api 1.5, 4.5)
    if one.derivative:
        contracts = lots
    if one.face:
        return coins_of(one, lots, price), lots * one.face, contracts
    quantity = lots * one.lot_units
    quote = price * quantity
    if surplus:
        quote = (quote + 10**surplus // 2) // 10**surplus
    return quantity, quote, contracts


def coins_of(one: Instrument, contracts: Ints, price: Ints) -> Ints:
    """How many coins (in units) so many coin-margined contracts are at a price (in units), rounded."""
    coins: Ints = np.rint(
        contracts * (one.face * 10.0 ** (one.quantity_decimals + one.price_decimals)) / price
    ).astype(np.int64)
    return coins


def _quantiles(rate: float) -> Ints:
    """A table of trade counts that is spread as Poisson(rate), cut off where almost nothing is left."""
    size = 1 << _COUNT_BITS
    chance, total, bounds = float(np.exp(-rate)), 0.0, []
    for count in range(_TAIL):
        total += chance
        bounds.append(total * size)
        chance *= rate / (count + 1)
    return np.searchsorted(np.array(bounds), np.arange(size) + 0.5).astype(np.int64)
