"""Where bars of trades end. Arithmetic only; trades come in order, in pieces of any size.

A trade is never split: it belongs to the bar that it ends. What it brings beyond the threshold is not carried over, the
next bar begins at nothing.

===================  ==================================================================================================
``tick``             a bar ends with its ``size``-th trade
``volume``           ends with the trade at which the sum of ``quantity`` (base units) since it began reaches ``size``
``quote``            the same with turnover: ``quote_quantity``, or price × quantity where the venue does not say it
``tick_imbalance``   ends with the trade at which |θ| reaches ``size``, where θ is the number of trades since the bar
                     began whose taker bought, less the number of those whose taker sold
``volume_imbalance`` the same with their ``quantity`` in place of their number
``quote_imbalance``  the same with their turnover
``time``             ends where its period does (``size`` is its name, as in ``7min``)
===================  ==================================================================================================

The thresholds are fixed: nothing is estimated from earlier bars. Sums run trade by trade from the bar's first on, in
doubles; ``size`` is reached when at most a thousand-millionth of it is lacking, so that 0.7 + 0.2 + 0.1 makes 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from htxdata.errors import UsageError
from htxdata.research.runs import Columns, Floats, Ints

KINDS = ("tick", "volume", "quote", "tick_imbalance", "volume_imbalance", "quote_imbalance", "time")

_LACKING = 1e-9
_SHORT = 48  # trades of a bar below which a plain loop is faster than eight calls of numpy
_LOOP = 8_192
_FARTHEST = 1 << 18

Cut = Callable[[Columns], Ints]
"""Gets the next trades, gives the places after which a bar ends (1: after the first of them). Remembers its bar."""


def cut(kind: str, size: float) -> Cut:
    """A fresh one, for one stretch of trades; ``UsageError`` for what is no kind or no size of it. Not for ``time``."""
    if kind not in KINDS or kind == "time":
        raise UsageError(f"kind={kind!r} is no kind of bars: choose from {', '.join(KINDS)}")
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < float("inf"):
        raise UsageError(f"size={size!r} is no size of {kind} bars: a number above 0 is needed")
    if kind == "tick":
        if size != int(size):
            raise UsageError(f"size={size!r} is no size of tick bars: a whole number of trades is needed")
        return _Ticks(int(size))
    amount = {"tick": None, "volume": "quantity", "quote": "turnover"}[kind.partition("_")[0]]
    return _Passages(amount, kind.endswith("_imbalance"), float(size))


class _Ticks:
    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0

    def __call__(self, trades: Columns) -> Ints:
        count = len(trades["price"])
        ends = np.arange(self.size - self.held, count + 1, self.size, dtype=np.int64)
        self.held = (self.held + count) % self.size
        return ends


class _Passages:
    """A sum that begins at 0 with every bar, and ends it where it first reaches the threshold."""

    def __init__(self, amount: str | None, signed: bool, size: float) -> None:
        self._amount = amount
        self._signed = signed
        self._limit = size * (1 - _LACKING)
        self._sum = 0.0
        self._length = 256.0  # trades of a bar, as far as seen: how far to look at once

    def __call__(self, trades: Columns) -> Ints:
        count = len(trades["price"])
        amounts: Floats = trades[self._amount] if self._amount else np.ones(count)
        if self._signed:
            amounts = np.where(trades["buys"], amounts, -amounts)
        ends: list[int] = []
        at = 0
        while at < count:
            if self._length < _SHORT:
                at = self._loop(amounts, at, ends)
            else:
                at = self._leap(amounts, at, ends)
        return np.array(ends, dtype=np.int64)

    def _leap(self, amounts: Floats, at: int, ends: list[int]) -> int:
        """To the end of the bar that is open at ``at``, or as far as is looked at once."""
        run = amounts[at : at + min(int(2 * self._length), _FARTHEST)].copy()
        run[0] += self._sum
        np.cumsum(run, out=run)
        reached = (np.abs(run) if self._signed else run) >= self._limit
        first = int(reached.argmax())
        if reached[first]:
            ends.append(at + first + 1)
            self._sum = 0.0
            self._length = max(0.75 * self._length + 0.25 * (first + 1), 8.0)
            return at + first + 1
        self._sum = float(run[-1])
        self._length = min(1.5 * self._length, _FARTHEST)
        return at + len(run)

    def _loop(self, amounts: Floats, at: int, ends: list[int]) -> int:
        """Bars of few trades, one trade after the other."""
        total, limit, before = self._sum, self._limit, len(ends)
        piece: list[Any] = amounts[at : at + _LOOP].tolist()
        if self._signed:
            for place, amount in enumerate(piece, at + 1):
                total += amount
                if total >= limit or -total >= limit:
                    ends.append(place)
                    total = 0.0
        else:
            for place, amount in enumerate(piece, at + 1):
                total += amount
                if total >= limit:
                    ends.append(place)
                    total = 0.0
        self._sum = total
        self._length = len(piece) / (len(ends) - before + 0.5)
        return at + len(piece)
