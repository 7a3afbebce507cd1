"""Which days of a series have a file, from when on, and how many rows to expect (htx-api 9.2 to 9.5).

Pure functions of the seed and the day, whole arrays of days at once, because a listing asks for thousands.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .archive_names import BOOKS, CURRENT, FUNDING, LEGACY, TRADES, Series, day_of, day_start
from .instruments import SPOT, Instrument, instant
from .noise import Ints, fractions, key_of
from .periods import DAY, HOUR, MINUTE
from .recent import Recent
from .trades import Trading

Mask = Any

FIRST_OF_CURRENT = day_of("2026-02-01")
LAST_OF_LEGACY = day_of("2026-08-04")
FIRST_SPOT_TRADES = day_of("2020-06-01")
"""Spot trades of the old tree begin here, whatever was listed before (9.2, measured)."""
FIRST_OF_BOOKS = day_of("2026-05-28")
"""Order books begin here (9.3)."""
HEADERS_FROM = day_of("2026-03-15")
"""From here on files of the old tree have a header (9.2: some day between 2026-03-01 and 2026-04-01)."""
_HOLES = day_of("2026-02-01"), day_of("2026-07-01")
_HOLE_RATES = (0.0, 0.08, 0.34)  # DOGE-USDT misses 51 of the 150 days, SOL-USDT 43 (9.5)
AFTERLIFE = 7 * DAY
"""For how long after its delisting an instrument still gets placeholder candles. That they exist is known (9.5)."""

_FOREVER = instant("2100-01-01")
_BLOCK = 32  # days counted at once
_MANY = 30.0  # trades expected; of as many as this there is never none


def lives(one: Instrument) -> tuple[tuple[int, int], ...]:
    """The spans (us UTC) in which it is listed. A contract that is taken off and listed again has two (9.5)."""
    end = one.delisted_at if one.delisted_at is not None else _FOREVER
    spans, start = [], one.listed_at
    for pause, resume in one.halts:
        if one.derivative and resume is not None:
            spans.append((start, pause))
            start = resume
    return (*spans, (start, end))


def candle_spans(one: Instrument) -> tuple[tuple[int, int], ...]:
    """The spans in which candle files are written: lives and the time after a delisting, but not after a delivery."""
    more = 0 if one.delivery_at is not None else AFTERLIFE
    return tuple((start, end if end == _FOREVER else end + more) for start, end in lives(one))


class Days:
    """The calendar of the bucket. Thread safe; days are numbers as in `archive_names`."""

    def __init__(self, seed: int) -> None:
        self._seed, self._trading = seed, Trading(seed)
        self._counts, self._lists = Recent(4096), Recent(1024)

    def exist(self, series: Series, days: Ints) -> Mask:
        """For each day, whether the bucket ever gets a file of it."""
        one = series.one
        if series.tree == CURRENT:
            there = days >= FIRST_OF_CURRENT
        else:
            there = (days <= LAST_OF_LEGACY) & ~self._holes(series, days)
        if series.dataset == BOOKS:
            return there & (days >= FIRST_OF_BOOKS) & (_overlap(one.sessions(), days) > 0)
        if series.dataset == TRADES:
            if series.tree == LEGACY and one.venue == SPOT:
                there &= days >= FIRST_SPOT_TRADES
            written = self._traded(one, days)
            if series.tree == LEGACY:  # since then files of the old tree come every day here too (9.5)
                written |= (days >= FIRST_OF_CURRENT) & (_overlap(lives(one), days) > 0)
            return there & written
        spans = lives(one) if series.dataset == FUNDING else candle_spans(one)
        return there & (_overlap(spans, days) > 0)

    def until(self, series: Series, last: int) -> Ints:
        """All days up to `last` that have a file, ascending."""

        def make() -> Ints:
            first = max(
                (series.one.listed_at + 8 * HOUR) // DAY, FIRST_OF_CURRENT if series.tree == CURRENT else 0
            )
            days = np.arange(first, last + 1, dtype=np.int64)
            found: Ints = days[self.exist(series, days)]
            return found

        last = min(last, LAST_OF_LEGACY) if series.tree == LEGACY else last
        made: Ints = self._lists.or_make((series.folder, last), make)
        return made

    def counts(self, one: Instrument, day: int) -> tuple[int, int]:
        """How many trades a day has, and in how many of its minutes."""

        def make() -> Ints:
            first = day_start(day // _BLOCK * _BLOCK) // MINUTE
            minutes = np.arange(first, first + _BLOCK * 1440, dtype=np.int64)
            table = self._trading.counts(one, minutes).reshape(_BLOCK, 1440)
            return np.stack([table.sum(axis=1), (table > 0).sum(axis=1)], axis=1)

        block: Ints = self._counts.or_make((one.venue, one.symbol, day // _BLOCK), make)
        trades, busy = block[day % _BLOCK].tolist()
        return trades, busy

    def _traded(self, one: Instrument, days: Ints) -> Mask:
        """Whether each day has a trade; counted only where it is not certain."""
        expected = _overlap(one.sessions(), days) / MINUTE * one.trades_per_minute
        traded = expected > _MANY
        for place in np.flatnonzero((expected > 0) & ~traded).tolist():
            traded[place] = self.counts(one, int(days[place]))[0] > 0
        return traded

    def _holes(self, series: Series, days: Ints) -> Mask:
        """The days that the old tree misses while both trees were written. All periods miss the same ones."""
        one = series.one
        rate = _HOLE_RATES[key_of("hole rate", self._seed, one.venue, one.symbol) % len(_HOLE_RATES)]
        draw = fractions(key_of("hole", self._seed, series.dataset, one.venue, one.symbol), days)
        return (days >= _HOLES[0]) & (days < _HOLES[1]) & (draw < rate)


def _overlap(spans: tuple[tuple[int, int], ...], days: Ints) -> Ints:
    """How many microseconds of each day lie in these spans."""
    start = days * DAY - 8 * HOUR
    total: Ints = np.zeros(len(days), dtype=np.int64)
    for begin, end in spans:
        total += np.maximum(np.minimum(start + DAY, end) - np.maximum(start, begin), 0)
    return total
