"""Frames and CSV for ``backtrader`` (backtesters.md, its section).

Columns ``open high low close volume openinterest`` and, where the symbol has any, ``funding``. Index (first column of
the CSV): naive UTC, the bar's END: backtrader takes a stamp as the moment from which the bar is known, and resamples
open-labelled bars into the wrong ones. The candle of 00:00 to 00:01 is stamped 00:01. ``openinterest`` is 0, as
backtrader itself puts it where there is none. ``volume`` is in base units. Slots without a candle have no row.

``funding`` is the sum of the rates settled in ``(open, close]`` of the bar, to be paid in ``next()`` on the position
that is held; a line of its own, for which the feed is subclassed (docs/backtesters.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Source
from htxdata.research.feeds.spelling import stamps, texts


def frame(candles: Candles, fundings: Fundings | None) -> pd.DataFrame:
    """For ``bt.feeds.PandasData(dataname=frame)``."""
    index = pd.DatetimeIndex(
        candles.close_time.view("datetime64[us]").astype("datetime64[ns]"), name="datetime"
    )
    columns = {
        "open": candles.open,
        "high": candles.high,
        "low": candles.low,
        "close": candles.close,
        "volume": candles.volume,
        "openinterest": np.zeros(len(candles)),
    }
    if fundings is not None:
        columns["funding"] = fundings.on(candles)
    return pd.DataFrame(columns, index=index)


def lines(made: pd.DataFrame) -> pa.Table:
    """The frame as ``GenericCSVData`` reads it: ``%Y-%m-%d %H:%M:%S``, numbers digit for digit, NaN as nothing."""
    instants = made.index.to_numpy("datetime64[us]").view(np.int64)
    columns = {"datetime": stamps(instants, "%Y-%m-%d %H:%M:%S")}
    columns |= {name: texts(made[name].to_numpy()) for name in made.columns}
    return pa.table(columns)


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    candles = source.candles(symbol, period)
    return frame(candles, source.fundings(symbol, candles.window))


def export(source: Source, symbol: str, wanted: Sequence[str], folder: Folder) -> None:
    """``<venue>_<symbol>_<period>.csv``."""
    for period in wanted:
        folder.csv(f"{source.venue}_{symbol}_{period}.csv", lines(read(source, symbol, period)))
