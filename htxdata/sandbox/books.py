"""The order books of the seeded market, as the archive's files tell them: a snapshot, and what changed after it.

A book stands around the price at which its instrument trades at that instant (`trades.fair_ticks`), on a grid of prices
that is coarse enough for the book to move by a few levels from line to line. Which level holds how much is a pure
function of the seed, the price and the time, so a day is made by itself, and only what changes is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .instruments import FUTURES, INVERSE, LINEAR, SPOT, Instrument
from .noise import Ints, key_of, words
from .periods import DAY, SECOND
from .trades import coins_of, fair_ticks

LEVELS = {SPOT: 400, LINEAR: 150, INVERSE: 150, FUTURES: 150}
"""How deep the books of a venue are (htx-api 9.5)."""

STEP = 10 * SECOND
_SNAPSHOT = 360  # lines from one snapshot to the next: an hour
_LIFE = 360  # lines for which a level holds the same, where the price stays
_GRID = 1e-4  # of the price: how far it wanders in ten seconds, more or less
_ASK, _BID = 0, 1


@dataclass(frozen=True)
class Lines:
    """The lines of a file: when (ms UTC), and whether a snapshot. The rest is their levels, a line after the other,
    asks before bids, each ascending by price: the number of the line, side (1 is a bid), price and quantity in units.
    """

    time: Ints
    snapshot: Any
    line: Ints
    side: Ints
    price: Ints
    quantity: Ints
    contracts: Ints

    def until(self, count: int) -> Lines:
        """The first so many lines."""
        keep = slice(0, int(np.searchsorted(self.line, count)))
        parts = (self.line, self.side, self.price, self.quantity, self.contracts)
        return Lines(self.time[:count], self.snapshot[:count], *(part[keep] for part in parts))


@dataclass(frozen=True)
class _Frame:
    """When the lines of a day are, and where the book is: bids from `top` down, asks from the next one up."""

    slot: Ints  # of STEP since 1970
    time: Ints
    top: Ints
    snapshot: Any


def lines(seed: int, one: Instrument, start: int) -> Lines:
    """The lines of the day that begins at `start` (us UTC)."""
    frame, depth = _frame(seed, one, start), LEVELS[one.venue]
    parts = [*_whole_books(frame, depth), *_moves(frame, depth), *_renewals(seed, one, frame, depth)]
    line, side, place, there = (np.concatenate([part[at] for part in parts]) for at in range(4))
    # A level may both come and change at once: it is told once. Nothing is told of prices below one step.
    keep = place >= 1
    line, side, place, there = line[keep], side[keep], place[keep], there[keep]
    order = np.lexsort((place, side, line))
    line, side, place, there = line[order], side[order], place[order], there[order]
    first = np.ones(len(line), dtype=bool)
    first[1:] = (line[1:] != line[:-1]) | (side[1:] != side[:-1]) | (place[1:] != place[:-1])
    line, side, place, there = line[first], side[first], place[first], there[first]
    lots = np.where(there > 0, _lots(seed, one, frame.slot[line], side, place), 0)
    contracts = lots if one.derivative else np.zeros(len(lots), dtype=np.int64)
    price = place * (_grid(one) * one.tick_units)
    if one.face:
        quantity = coins_of(one, lots, price)
    else:
        quantity = lots if one.long_digits else lots * one.lot_units
    return Lines(frame.time, frame.snapshot, line, side, price, quantity, contracts)


def counts(seed: int, one: Instrument, start: int) -> tuple[int, int]:
    """How many lines a day has, and how many levels these have at most, without making them."""
    frame, depth = _frame(seed, one, start), LEVELS[one.venue]
    if not len(frame.slot):
        return 0, 0
    moved = np.minimum(np.abs(np.diff(frame.top, prepend=frame.top[:1])), 2 * depth)
    whole = int(np.count_nonzero(frame.snapshot)) * 2 * depth
    return len(frame.slot), whole + int(moved.sum()) * 4 + len(frame.slot) * 2 * depth // _LIFE


def _grid(one: Instrument) -> int:
    """From one level to the next, in ticks."""
    return max(1, int(one.level * 10.0**one.price_decimals / one.tick_units * _GRID))


def _frame(seed: int, one: Instrument, start: int) -> _Frame:
    slot = np.arange(start // STEP, (start + DAY) // STEP, dtype=np.int64)
    jitter = words(key_of("book time", seed, one.venue, one.symbol), slot) % np.uint64(STEP // 1000)
    time = slot * (STEP // 1000) + jitter.astype(np.int64)
    open_ = np.zeros(len(slot), dtype=bool)
    for first, last in one.sessions():
        open_ |= (time * 1000 >= first) & (time * 1000 < last)
    slot, time = slot[open_], time[open_]
    if not len(slot):
        return _Frame(slot, time, slot, np.zeros(0, dtype=bool))
    ticks = np.rint(fair_ticks(seed, one, time)).astype(np.int64)
    snapshot = (slot - start // STEP) % _SNAPSHOT == 0
    snapshot |= np.diff(slot, prepend=slot[0] - 2) > 1  # the first one, and after a halt
    return _Frame(slot, time, np.maximum(ticks // _grid(one), 1), snapshot)


Part = tuple[Ints, Ints, Ints, Ints]
"""Line, side, place on the grid, and whether the level is there."""


def _whole_books(frame: _Frame, depth: int) -> list[Part]:
    line = np.flatnonzero(frame.snapshot)
    below, top = np.arange(depth, dtype=np.int64), frame.top[line][:, None]
    out = []
    for side, places in ((_BID, top - below), (_ASK, top + 1 + below)):
        place = places.ravel()
        out.append(
            (np.repeat(line, depth), np.full(len(place), side), place, np.ones(len(place), dtype=np.int64))
        )
    return out


def _moves(frame: _Frame, depth: int) -> list[Part]:
    """Levels that come into the book's reach, and that leave it, where the price has moved."""
    line = np.flatnonzero(np.diff(frame.top, prepend=frame.top[:1]) != 0)
    line = line[~frame.snapshot[line]]
    was, now = frame.top[line - 1], frame.top[line]
    out = []
    for side, low in ((_BID, 1 - depth), (_ASK, 1)):
        # [was + low, was + low + depth) becomes [now + low, now + low + depth).
        for one, other, there in ((now, was, 1), (was, now, 0)):
            rising = one > other
            first = np.where(rising, np.maximum(one, other + depth), one) + low
            last = np.where(rising, one + depth, np.minimum(one + depth, other)) + low
            count = last - first
            where = np.repeat(np.arange(len(line)), count)
            nth = np.arange(len(where)) - np.repeat(np.cumsum(count) - count, count)
            out.append(
                (line[where], np.full(len(where), side), first[where] + nth, np.full(len(where), there))
            )
    return out


def _renewals(seed: int, one: Instrument, frame: _Frame, depth: int) -> list[Part]:
    """Levels that hold something else from this line on."""
    if not len(frame.slot):
        return []
    out = []
    line = np.flatnonzero(~frame.snapshot)
    for side, low in ((_BID, 1 - depth), (_ASK, 1)):
        # At slot s those places are renewed for which (place x 7 + s) is a multiple of _LIFE, 7 having no divisor in
        # common with it: from the lowest place on every _LIFE-th is one.
        lowest = frame.top[line] + low
        first = lowest + (_turn(frame.slot[line]) - lowest) % _LIFE
        for more in range(0, depth, _LIFE):
            place = first + more
            keep = place < lowest + depth
            # What has just come is told by its coming.
            count = int(keep.sum())
            out.append((line[keep], np.full(count, side), place[keep], np.ones(count, dtype=np.int64)))
    return out


_SEVENTH = pow(7, -1, _LIFE)


def _turn(slot: Ints) -> Ints:
    """The place modulo _LIFE that is renewed at a slot."""
    turned: Ints = -slot * _SEVENTH % _LIFE
    return turned


def _lots(seed: int, one: Instrument, slot: Ints, side: Ints, place: Ints) -> Ints:
    """What stands at places, which changes at their turns."""
    age = (slot + 7 * place) // _LIFE
    dice = words(key_of("book", seed, one.venue, one.symbol), (place << 24) + (age << 1 & 0xFFFFFF) + side)
    if one.long_digits:
        made: Ints = (dice >> np.uint64(12)).astype(np.int64) + 1
        return made
    size = (dice >> np.uint64(17) & np.uint64(0xFFFFF)).astype(np.int64)
    halvings = (dice >> np.uint64(37) & np.uint64(7)).astype(np.int64)
    lots: Ints = (size * (one.typical_lots * 8) >> (18 + halvings)) + 1
    return lots
