"""Frames for ``vectorbt`` (backtesters.md, its section).

One DataFrame per symbol: ``Open High Low Close Volume`` float64, and ``Funding`` where the symbol has any. Index:
DatetimeIndex named ``Open time``, aware, UTC, nanoseconds, the bar's OPEN. Slots without a candle have no row:
``vbt.Data.from_data`` aligns the symbols on the union of their indexes and puts NaN where one has none.
``Volume`` is in base units. Portfolios know no funding; ``Funding`` is the sum of the rates settled in ``(open,
close]``.

Traps: give ``freq`` to Portfolio: from an index with holes it is not guessed. Without ``missing_columns`` a symbol that
has no Funding (spot) cannot stand beside one that has: export with ``--no-funding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from htxdata.research.feeds import backtesting_py
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Source
from htxdata.research.feeds.spelling import length

_UNITS = {"min": "min", "hour": "h", "day": "D", "week": "W", "month": "MS"}


def freq(period: str) -> str:
    """The period as pandas and ``Portfolio(freq=…)`` write it: ``1min``, ``4h``, ``1D``."""
    count, unit = length(period)
    return f"{count}{_UNITS[unit]}"


def frame(candles: Candles, fundings: Fundings | None) -> pd.DataFrame:
    made = backtesting_py.frame(candles, fundings)
    made.index = pd.DatetimeIndex(made.index.tz_localize("UTC"), name="Open time")  # type: ignore[attr-defined]
    return made


def wide(frames: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Rows are times, columns are symbols: what ``Data.get('Close')`` gives; NaN where a symbol has no bar."""
    made = pd.DataFrame({symbol: each[column] for symbol, each in frames.items()})
    made.columns.name = "symbol"
    return made


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    candles = source.candles(symbol, period)
    return frame(candles, source.fundings(symbol, candles.window))


def export(source: Source, symbol: str, wanted: Sequence[str], folder: Folder) -> None:
    """``<venue>_<symbol>_<period>.parquet``, which ``pandas.read_parquet`` reads back as the frame."""
    for period in wanted:
        folder.parquet(f"{source.venue}_{symbol}_{period}.parquet", read(source, symbol, period))
