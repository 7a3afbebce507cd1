"""The prices and rates that are computed, not traded: index, mark, premium index and estimated funding rate.

All four follow from the path the trades follow and from the mood that settles the fundings: the index is the swap's
fair price less the premium, the mark price is near the fair price, the estimated rate is what the premium of the moment
would settle at. Each is sampled four times a minute and folded into candles: a minute is made of its samples, every
longer candle of its minutes, so all periods agree. Samples are integers in units of 10**-decimals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .bars import Columns, runs
from .instruments import FUTURES, INSTRUMENTS, INVERSE, Instrument
from .noise import Floats, Ints, key_of, path, smooth
from .periods import DAY, HOUR, MADE_OF_MINUTES, MINUTE, open_of, opens, slot_of, slots
from .recent import Recent
from .trades import session_before

MARK, INDEX, PREMIUM, ESTIMATED = KINDS = "mark", "index", "premium", "estimated_rate"

_SAMPLES = 4  # of a minute
_STEP_MS = 60_000 // _SAMPLES
_RATE_DECIMALS = 16  # as in sample linear-premium-index-kline: 0.0000079166666666
_INTEREST, _DEAD_BAND, _CAP = 10**12, 2 * 10**12, 375 * 10**11  # 0.0001, 0.0002, 0.00375: as fundings settle
_BLOCK, _STRIDE = 512, 64  # hours per kept block, and hours made at once


@dataclass(frozen=True)
class Quotes:
    """Candles of something that has no volume, ascending by `slot`; integers in units of 10**-decimals."""

    slot: Ints
    open: Ints
    high: Ints
    low: Ints
    close: Ints

    def columns(self) -> tuple[Ints, ...]:
        """All columns, in the order of the fields."""
        return self.slot, self.open, self.high, self.low, self.close

    def cut(self, first: int, last: int) -> Quotes:
        """The candles with first <= slot < last."""
        keep = slice(*np.searchsorted(self.slot, [first, last]))
        return Quotes(*(column[keep] for column in self.columns()))


def _joined(parts: Iterable[Quotes]) -> Quotes:
    tables = [part.columns() for part in parts]
    if not tables:
        return Quotes(*[np.zeros(0, dtype=np.int64)] * 5)
    return Quotes(*(np.concatenate(column) for column in zip(*tables, strict=True)))


def _folded(finer: Quotes, unit: int, period: str) -> Quotes:
    """Candles of a period from finer ones, whose slots are `unit` microseconds long."""
    if not len(finer.slot):
        return finer
    at, ends = runs(slot := slots(period, finer.slot * unit))
    return Quotes(
        slot[at], finer.open[at], np.maximum.reduceat(finer.high, at), np.minimum.reduceat(finer.low, at),
        finer.close[ends],
    )  # fmt: skip


def exists(kind: str, one: Instrument) -> bool:
    """Whether an instrument has such a price: contracts have mark and index, perpetuals alone the two rates."""
    return one.derivative and (kind in (MARK, INDEX) or one.delivery_at is None)


def decimals(kind: str, one: Instrument) -> int:
    """How many decimals its values have; mark and index have one more than a trade (sample linear-mark-kline)."""
    priced = _pair(one) if kind == INDEX else one
    return priced.price_decimals + 1 if kind in (MARK, INDEX) else _RATE_DECIMALS


def _pair(one: Instrument) -> Instrument:
    """The perpetual whose index is a contract's: a dated future is delivered at the index of its pair (htx-api 1.2)."""
    table = INSTRUMENTS[INVERSE if one.venue == FUTURES else one.venue]
    found: Instrument = table.get(f"{one.base}-{one.quote}", one)
    return found


class Derived:
    """Makes the candles of one kind for any stretch of time from a seed. Thread safe. Times are us UTC."""

    def __init__(self, seed: int, kind: str) -> None:
        self._seed, self._kind, self._blocks = seed, kind, Recent(1500)

    def instrument(self, venue: str, symbol: str) -> Instrument:
        """One instrument; KeyError when there is none."""
        return INSTRUMENTS[venue][symbol]

    def session_before(self, venue: str, symbol: str, now: int) -> int:
        """The last instant up to `now` at which the symbol traded."""
        return session_before(INSTRUMENTS[venue][symbol], now)

    def candles(
        self, venue: str, symbol: str, period: str, start: int, end: int, now: int | None = None
    ) -> Columns:
        """Candles with start <= open_time < end: open_time (us UTC), open, high, low, close.

        With `now` (us UTC) the candle that is running holds what was sampled up to then, else all are as they ended.
        There is one in every slot of a trading session, whether or not anything was traded.
        """
        one = INSTRUMENTS[venue][symbol]
        over = one.sessions()[-1][1]
        start = max(start, open_of(period, slot_of(period, one.listed_at)))
        end = min(end, over if now is None else min(now + 1, over))
        first = slot_of(period, start - 1) + 1
        last = max(first, slot_of(period, end - 1) + 1)
        if last == first or not exists(self._kind, one):
            found = _joined(())
        else:
            found = self._within(one, period, open_of(period, first), open_of(period, last), now)
        scale = 10.0 ** decimals(self._kind, one)
        prices = zip(("open", "high", "low", "close"), found.columns()[1:], strict=True)
        return {"open_time": opens(period, found.slot), **{name: column / scale for name, column in prices}}

    def values(self, one: Instrument, times: Ints) -> Ints:
        """What it was at instants (ms UTC, ascending), in units of 10**-decimals."""
        if not len(times):
            return np.zeros(0, dtype=np.int64)
        if self._kind in (PREMIUM, ESTIMATED):
            return self._rates(one, times)
        pair = _pair(one)
        priced = pair if self._kind == INDEX else one
        price = path(key_of("path", self._seed, one.base, one.quote), times, priced.swing)
        price *= priced.level * 10.0 ** decimals(self._kind, one)
        if self._kind == INDEX:
            price /= 1.0 + self._premium(pair, times)
        else:
            price *= 1.0 + 0.0001 * smooth(key_of("mark", self._seed, one.symbol), times, 300_000)
        return np.maximum(np.rint(price).astype(np.int64), 1)

    def _rates(self, one: Instrument, times: Ints) -> Ints:
        if self._kind == PREMIUM:
            return np.rint(self._premium(one, times) * 1e16).astype(np.int64)
        mood = np.rint(self._mood(one, times) * 1e16).astype(np.int64)
        rates = np.where(np.abs(mood) < _DEAD_BAND, _INTEREST, mood + _INTEREST)
        return np.clip(rates, -_CAP, _CAP)

    def _mood(self, one: Instrument, times: Ints) -> Floats:
        """What the fundings are settled from (`funding.history` has the same two waves)."""
        key = key_of("funding", self._seed, one.venue, one.symbol)
        waves: Floats = (
            smooth(key, times, 9 * DAY // 1000) * 0.0009 + smooth(key + 1, times, DAY // 1000) * 0.0003
        )
        return waves

    def _premium(self, one: Instrument, times: Ints) -> Floats:
        ripple = smooth(key_of("premium", self._seed, one.venue, one.symbol), times, 240_000)
        whole: Floats = self._mood(one, times) + ripple * 0.00005
        return whole

    def _within(self, one: Instrument, period: str, lower: int, upper: int, now: int | None) -> Quotes:
        """The candles of a period from the samples in [lower, upper), up to `now`; `lower` is where one opens."""
        if now is not None:
            upper = min(upper, now + 1)
        if period in MADE_OF_MINUTES:
            found = self._minutes(one, lower, upper, now)
            return found if period == "1min" else _folded(found, MINUTE, period)
        first, last = lower // HOUR, upper // HOUR
        blocks = (self._block(one, number) for number in range(first // _BLOCK, -(-last // _BLOCK)))
        hours = _joined(blocks).cut(first, last)
        if upper > last * HOUR:
            rest = _folded(self._minutes(one, last * HOUR, upper, now), MINUTE, "60min")
            hours = _joined((hours, rest))
        return hours if period == "60min" else _folded(hours, HOUR, period)

    def _minutes(self, one: Instrument, lower: int, upper: int, now: int | None = None) -> Quotes:
        """One-minute candles of the session minutes that begin in [lower, upper)."""
        minutes = np.arange(lower // MINUTE, -(-upper // MINUTE), dtype=np.int64)
        open_for = np.zeros(len(minutes), dtype=bool)
        for begin, end in one.sessions():
            open_for |= (minutes >= begin // MINUTE) & (minutes < end // MINUTE)
        minutes = minutes[open_for]
        times = (minutes[:, None] * 60_000 + np.arange(_SAMPLES) * _STEP_MS).ravel()
        values = self.values(one, times)
        if now is not None and len(values):
            # What has not been sampled yet repeats the last that has: the first of a minute is taken as it opens.
            heard = int(np.searchsorted(times, now // 1000, side="right")) - 1
            values = values[np.minimum(np.arange(len(values)), heard)]
        table = values.reshape(-1, _SAMPLES)
        return Quotes(minutes, table[:, 0], table.max(axis=1), table.min(axis=1), table[:, -1])

    def _block(self, one: Instrument, number: int) -> Quotes:
        """The hourly candles of a numbered stretch of time, made once."""

        def make() -> Quotes:
            starts = range(number * _BLOCK, (number + 1) * _BLOCK, _STRIDE)
            stretches = (self._minutes(one, hour * HOUR, (hour + _STRIDE) * HOUR) for hour in starts)
            return _joined(_folded(minutes, MINUTE, "60min") for minutes in stretches)

        made: Quotes = self._blocks.or_make((one.symbol, number), make)
        return made
