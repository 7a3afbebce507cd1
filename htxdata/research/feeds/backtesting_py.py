"""Frames for ``backtesting.py`` (backtesters.md, its section).

One DataFrame per symbol and period: ``Open High Low Close Volume`` float64, and ``Funding`` where the symbol has any.
Index: DatetimeIndex, naive, UTC, nanoseconds, the bar's OPEN. Slots without a candle have no row. ``Volume`` is in base
units. The engine has no funding: ``Funding`` is the sum of the rates settled in ``(open, close]`` of the bar, to be
paid in ``next()`` on the position that is held: ``-size * price * Funding``. NaN where the lake does not know it.

Traps: an order fills at the next row's open, also across a hole. Prices above the cash need ``FractionalBacktest``,
which multiplies OHLC by its unit and divides ``Volume``: amounts of Funding stay right, both sides being scaled.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Source


def frame(candles: Candles, fundings: Fundings | None) -> pd.DataFrame:
    index = pd.DatetimeIndex(
        candles.open_time.view("datetime64[us]").astype("datetime64[ns]"), name="open_time"
    )
    columns = {
        "Open": candles.open,
        "High": candles.high,
        "Low": candles.low,
        "Close": candles.close,
        "Volume": candles.volume,
    }
    if fundings is not None:
        columns["Funding"] = fundings.on(candles)
    return pd.DataFrame(columns, index=index)


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    candles = source.candles(symbol, period)
    return frame(candles, source.fundings(symbol, candles.window))


def export(source: Source, symbol: str, wanted: Sequence[str], folder: Folder) -> None:
    """``<venue>_<symbol>_<period>.parquet``, which ``pandas.read_parquet`` reads back as the frame."""
    for period in wanted:
        folder.parquet(f"{source.venue}_{symbol}_{period}.parquet", read(source, symbol, period))
