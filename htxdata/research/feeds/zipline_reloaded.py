"""CSV folders and a bundle for ``zipline-reloaded`` (backtesters.md, its section; zipline-reloaded 3.2.1 read).

``minute/<symbol>.csv`` and ``daily/<symbol>.csv``: ``date,open,high,low,close,volume,dividend,split``. Minutes are
stamped with their CLOSE (zipline's calendars are closed on the right: the session 2024-01-02 of ``24/7`` has the
minutes 00:01 to 00:00 of the next day), days with their date, naive UTC. ``zipline_bundle.py`` beside them registers
the bundle with the calendar ``24/7`` and an exchange of its own: ``csvdir`` would bind the assets to the NYSE.

zipline keeps whole thousandths of a price and whole units of a volume, 32 bits each. So prices and volumes are
multiplied by powers of ten that make them fit, the same for all files of a symbol: ``scales/<symbol>.json``. Money in
a backtest is then ``price_scale`` times that of the venue, for a quantity that is ``volume_scale`` times it.
``digits_lost`` says whether 32 bits were too few.

A day of which the lake has no candle is a row of zeros, zipline's own mark of no trade (its reader gives NaN): a daily
file must have every session. A minute without a candle has no row. There is no place for fundings.

Traps: HTX's ``1day`` opens at 16:00 UTC and is no session: ask for ``utc_day``. zipline wants daily bars beside the
minutes (``--period 1min --period utc_day``): without them assets have no sessions to be looked up in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from htxdata.errors import UsageError
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Source
from htxdata.research.feeds.spelling import Length, decimals, length, stamps, texts, utc_days
from htxdata.timeline import Window

_FOLDERS = {Length(1, "min"): "minute", Length(1, "day"): "daily"}
_LARGEST = 2**32 - 2
_KEPT = 3  # decimals of a price that zipline keeps by itself
BUNDLE = "zipline_bundle.py"


def kind(period: str) -> str:
    """``minute`` or ``daily``."""
    found = _FOLDERS.get(length(period))
    if found is None:
        raise UsageError(
            f"--period {period!r}: zipline-reloaded has bars of 1min and utc_day, and makes the others itself"
        )
    return found


def frame(candles: Candles) -> pd.DataFrame:
    """Index ``date``; unscaled. Every day from the first to the last, zeros where there is no candle; minutes as they
    are."""
    daily = kind(candles.period) == "daily"
    columns = ("open", "high", "low", "close", "volume")
    values = {name: np.nan_to_num(getattr(candles, name)) for name in columns}
    times = candles.open_time if daily else candles.close_time
    if daily and len(candles):
        slots = np.array(candles.grid.openings(Window(int(times[0]), int(times[-1]) + 1)), np.int64)
        places = slots.searchsorted(times)
        for name, column in values.items():
            values[name] = np.zeros(len(slots))
            values[name][places] = column
        times = slots
    index = pd.DatetimeIndex(times.view("datetime64[us]").astype("datetime64[ns]"), name="date")
    return pd.DataFrame({**values, "dividend": 0.0, "split": 1.0}, index=index)


def scale(values: NDArray[np.float64], kept: int) -> float:
    """The power of ten that turns values into whole numbers of 32 bits, ``kept`` decimals being kept anyway.

    Smaller, below 1 too, where the largest would not fit: zipline drops what does not.
    """
    power = max(0, decimals(values) - kept)
    largest = float(np.nanmax(values, initial=0.0))
    while largest * 10.0 ** (power + kept) > _LARGEST:
        power -= 1
    return 10**power if power >= 0 else float(f"1e{power}")


def lines(made: pd.DataFrame, price_scale: float, volume_scale: float, form: str) -> pa.Table:
    columns = {"date": stamps(made.index.to_numpy("datetime64[us]").view(np.int64), form)}
    for name in ("open", "high", "low", "close"):
        columns[name] = texts(np.round(made[name].to_numpy() * price_scale, _KEPT))
    columns["volume"] = texts(np.round(made["volume"].to_numpy() * volume_scale))
    columns |= {name: texts(made[name].to_numpy()) for name in ("dividend", "split")}
    return pa.table(columns)


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    kind(period)
    utc_days("zipline-reloaded", period, source.day_opens)
    return frame(source.candles(symbol, period))


def export(source: Source, symbol: str, wanted: Sequence[str], folder: Folder) -> None:
    frames = {kind(period): read(source, symbol, period) for period in wanted}
    prices = np.concatenate(
        [made[["open", "high", "low", "close"]].to_numpy().ravel() for made in frames.values()]
    )
    volumes = np.concatenate([made["volume"].to_numpy() for made in frames.values()])
    price_scale, volume_scale = scale(prices, _KEPT), scale(volumes, 0)
    for name, made in frames.items():
        form = "%Y-%m-%d" if name == "daily" else "%Y-%m-%d %H:%M:%S"
        folder.csv(f"{name}/{symbol}.csv", lines(made, price_scale, volume_scale, form))
    lost = 10 ** decimals(prices) > price_scale * 10**_KEPT or 10 ** decimals(volumes) > volume_scale
    about = {"price_scale": price_scale, "volume_scale": volume_scale, "digits_lost": lost}
    folder.write(f"scales/{symbol}.json", json.dumps(about, indent=1) + "\n")
    folder.write(BUNDLE, resources.files(__package__).joinpath(BUNDLE).read_bytes())
