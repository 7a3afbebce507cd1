"""The seeded funding history of linear swaps: when each settlement fell and its rate to 18 decimals.

Intervals are per contract and change over its life, some settlements fall off the grid and some never happened
(htx-api 4.7: never infer funding times). Rates are integers of 10**-18, so that their text can be given digit for
digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .instruments import Instrument, instant
from .noise import Ints, key_of, smooth, words
from .periods import DAY, HOUR

_HORIZON = instant("2040-01-01")
_CAP = 3_750_000_000_000_000  # 0.00375, the usual cap of HTX linear contracts, in 10**-18
_INTEREST = 100_000_000_000_000  # 0.0001: what a calm market pays


@dataclass(frozen=True)
class Funding:
    """All settlements of one contract up to a far horizon, ascending. Row n (from 0) has the venue's id n + 1."""

    times: Ints  # us UTC
    rates: Ints  # 10**-18
    premiums: Ints  # 10**-18


def history(one: Instrument, seed: int) -> Funding:
    """The whole schedule and all rates of a contract; empty for what has no funding."""
    grids = []
    for number, (since, hours) in enumerate(one.funding_eras):
        until = one.funding_eras[number + 1][0] if number + 1 < len(one.funding_eras) else _HORIZON
        grids.append(np.arange(since, until, hours * HOUR, dtype=np.int64))
    times = np.unique(np.concatenate([*grids, np.array(one.funding_extra, dtype=np.int64)]))
    times = times[times >= one.listed_at]
    for start, end in one.funding_holes:
        times = times[(times < start) | (times >= end)]
    if one.delisted_at is not None:
        times = times[times <= one.delisted_at]
    if not len(times):
        return Funding(times, times, times)
    key = key_of("funding", seed, one.venue, one.symbol)
    mood = (
        smooth(key, times // 1000, 9 * DAY // 1000) * 0.0009
        + smooth(key + 1, times // 1000, DAY // 1000) * 0.0003
    )
    grain = (words(key + 2, times) & np.uint64(0xFFFFFFFFFF)).astype(np.int64) - (1 << 39)  # below 1e-6
    premiums = np.rint(mood * 1e12).astype(np.int64) * 1_000_000 + grain
    # A third of the time the premium is within the dead band and the rate is exactly the interest rate.
    rates = np.where(np.abs(premiums) < 200_000_000_000_000, _INTEREST, premiums + _INTEREST)
    return Funding(times, np.clip(rates, -_CAP, _CAP), premiums)


def padded(rate: int) -> str:
    """A rate as v1 spells it: `0.000100000000000000`, 18 decimals always."""
    sign = "-" if rate < 0 else ""
    whole, part = divmod(abs(rate), 10**18)
    return f"{sign}{whole}.{part:018d}"


def short(rate: int) -> str:
    """A rate as v5 spells it in its history: `0.0001`, no trailing zeros."""
    text = padded(rate).rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
