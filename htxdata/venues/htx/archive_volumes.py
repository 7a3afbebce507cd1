"""Which column of a candle file is base volume, which turnover, which contracts: said by the tree, proven by the file.

The trees name volumes the other way round (htx-api 9.5 [B]): the old one's ``vol`` is turnover (spot) or contracts and
its ``amount`` base; the new one's ``vol`` is base (spot) or contracts, ``volCcy`` and ``volCcyQuote`` go towards quote.
No reading is believed that the file contradicts: turnover over base volume is a price between low and high on
every candle that traded, and a contract is worth the same number of coins (linear) or dollars (coin-margined) all day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.venues.htx.archive_table import Table

_ROUNDING = 1e-9  # of arithmetic on doubles
_SAME = 1e-6  # of sizes of contracts, which differ by factors where they differ

Reading = Mapping[str, str]
"""Our column to the file's."""


@dataclass(frozen=True)
class Candles:
    """The candles of a file on which something was traded: price range, volumes by the file's names, and ``steps``: how
    finely each volume is written (one unit of its last decimal, which it may have been rounded by)."""

    low: Any
    high: Any
    volumes: Mapping[str, Any]
    steps: Mapping[str, float]
    contract_size: float | None

    def priced(self, quote: str, base: str) -> bool:
        """Is turnover over base volume a price within the candle, up to rounding, on every row?"""
        least, most = self._worth(base)
        q, step = self.volumes[quote], self.steps[quote]
        return bool(((q + step >= least * (1 - _ROUNDING)) & (q - step <= most * (1 + _ROUNDING))).all())

    def coins_each(self, contracts: str, base: str) -> float | None:
        """Coins per contract where that is the same on every row, up to rounding; else None."""
        c, b = self.volumes[contracts], self.volumes[base]
        largest = int(np.argmax(c))
        if c[largest] <= 0 or b[largest] <= 0:
            return None
        each = float(b[largest] / c[largest])
        return each if (np.abs(b - each * c) <= self.steps[base] + _SAME * b).all() else None

    def dollars_each(self, contracts: str, base: str) -> bool:
        """Can a contract be worth the same number of dollars on every row, given the price range of each?"""
        c = self.volumes[contracts]
        if not (c > 0).all():
            return False
        least, most = self._worth(base)
        least, most = (least / c).max() * (1 - _SAME), (most / c).min() * (1 + _SAME)
        return (
            bool(most > 0 and least <= most)
            if self.contract_size is None
            else least <= self.contract_size <= most
        )

    def _worth(self, base: str) -> tuple[Any, Any]:
        """What the base volume may have cost at least and at most."""
        b, step = self.volumes[base], self.steps[base]
        return self.low * np.maximum(b - step, 0), self.high * (b + step)


@dataclass(frozen=True)
class Volumes:
    """The volumes of one market in one tree. ``readings`` are tried; the first is the documented one."""

    readings: tuple[Reading, ...]
    fits: Callable[[Candles, Reading], bool]


def _fits_spot(candles: Candles, reading: Reading) -> bool:
    return candles.priced(reading["quote_volume"], reading["volume"])


def _fits_linear(candles: Candles, reading: Reading) -> bool:
    if "quote_volume" in reading and not candles.priced(reading["quote_volume"], reading["volume"]):
        return False
    if "contracts" not in reading:
        return True
    each = candles.coins_each(reading["contracts"], reading["volume"])
    # A file without turnover fits both ways round, and so does any size that once was another: only a size that is
    # right the other way round speaks against a reading.
    size = candles.contract_size
    return each is not None and (size is None or _same(each, size) or not _same(1 / each, size))


def _fits_inverse(candles: Candles, reading: Reading) -> bool:
    # Rows of a coin-margined perpetual may have 0 for `volCcyQuote`, whatever was traded: that is no turnover.
    if "quote_volume" in reading:
        told = candles.priced(reading["quote_volume"], reading["volume"])
    else:
        told = "volCcyQuote" not in candles.volumes or not candles.volumes["volCcyQuote"].any()
    return told and candles.dollars_each(reading["contracts"], reading["volume"])


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME * abs(other)


_OLD_CONTRACTS: tuple[Reading, ...] = (
    {"volume": "amount", "contracts": "vol"},
    {"volume": "vol", "contracts": "amount"},
)

SPOT_OLD = Volumes(
    ({"volume": "amount", "quote_volume": "vol"}, {"volume": "vol", "quote_volume": "amount"}), _fits_spot
)
SPOT_NEW = Volumes(
    (
        {"volume": "vol", "quote_volume": "volCcyQuote"},
        {"volume": "vol", "quote_volume": "volCcy"},
        {"volume": "volCcy", "quote_volume": "volCcyQuote"},
        {"volume": "volCcy", "quote_volume": "vol"},
    ),
    _fits_spot,
)
LINEAR_OLD = Volumes(_OLD_CONTRACTS, _fits_linear)
LINEAR_NEW = Volumes(
    (
        {"volume": "volCcy", "quote_volume": "volCcyQuote", "contracts": "vol"},
        {"volume": "vol", "quote_volume": "volCcyQuote"},  # were `vol` coins (htx-api 9.3 [C])
        {"volume": "vol", "quote_volume": "volCcy"},
    ),
    _fits_linear,
)
INVERSE_OLD = Volumes(_OLD_CONTRACTS, _fits_inverse)
INVERSE_NEW = Volumes(
    (
        {"volume": "volCcy", "contracts": "vol"},
        {"volume": "volCcy", "quote_volume": "volCcyQuote", "contracts": "vol"},
    ),
    _fits_inverse,
)


def calibrated(
    kind: Volumes, table: Table, columns: Mapping[str, int], low: Any, high: Any, contract_size: float | None
) -> dict[str, Any]:
    """The volumes by our names. ``columns`` says where each of the file's volumes stands in the table.

    ``BadReply`` where no reading fits, or where the documented one does not and two others do.
    """
    volumes = {name: table.values[:, at] for name, at in columns.items()}
    for name, values in volumes.items():
        if values.min(initial=0) < 0:
            at = int(np.argmin(values))
            raise BadReply(f"row {at}: {name} is {table.cell(at, columns[name])!r:.60}, less than nothing")
    traded = np.any([values > 0 for values in volumes.values()], axis=0)
    reading: Reading | None = kind.readings[0]
    if traded.any():
        chosen = {name: values[traded] for name, values in volumes.items()}
        candles = Candles(low[traded], high[traded], chosen, dict.fromkeys(columns, 0.0), contract_size)
        reading = _reading(kind, candles)
        if reading != kind.readings[0]:  # rounding is looked at only where it may matter: it takes some time
            steps = {name: table.step(at) for name, at in columns.items()}
            reading = _reading(kind, Candles(candles.low, candles.high, chosen, steps, contract_size))
    if reading is None:
        at = int(np.argmax(traded))
        said = ", ".join(f"{name} {table.cell(at, where)!r:.40}" for name, where in columns.items())
        raise BadReply(
            f"the volumes cannot be told apart by the prices (first row that traded: {at}, {said})"
        )
    return {ours: volumes[theirs] for ours, theirs in reading.items()}


def _reading(kind: Volumes, candles: Candles) -> Reading | None:
    """The documented reading if it fits, else the only other one that does."""
    if kind.fits(candles, kind.readings[0]):
        return kind.readings[0]
    fitting = [reading for reading in kind.readings[1:] if kind.fits(candles, reading)]
    return fitting[0] if len(fitting) == 1 else None
