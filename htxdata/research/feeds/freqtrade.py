"""Data folder for ``freqtrade`` (backtesters.md, its section; freqtrade 2026.9 read).

Feather (lz4), one file for each pair and timeframe: ``date`` (milliseconds UTC, the bar's OPEN), ``open high low close
volume`` float64. ``BTC_USDT-5m.feather`` for spot; for contracts ``futures/BTC_USDT_USDT-5m-futures.feather``, beside
it ``-1h-mark`` and ``-1h-funding_rate``, which freqtrade multiplies where their dates meet. A funding is a row at its
own time with the rate in ``open`` and 0 elsewhere: the layout that every version reads. Only real settlements, not
filled up (freqtrade#12599). Point ``--datadir`` at the folder.

Traps: freqtrade fills slots without a candle itself (last close, volume 0), by resampling to days and weeks of UTC:
days that open elsewhere would be moved to midnight, eight hours into the past, so only ``utc_day`` and its like are
given. A funding that was settled off the hour meets no mark candle, and freqtrade leaves it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.research.feeds import events
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Instrument, Ints, Source, hull
from htxdata.research.feeds.spelling import length, utc_days

_UNITS = {"min": "m", "hour": "h", "day": "d", "week": "w", "month": "M"}
MARK = "60min"
"""What freqtrade reads of the mark price (``mark_ohlcv_timeframe``), and the raster of its funding file."""

CANDLES = pa.schema(
    [
        ("date", pa.timestamp("ms", tz="UTC")),
        *((n, pa.float64()) for n in ("open", "high", "low", "close", "volume")),
    ]
)
TRADES = pa.schema(
    [("timestamp", pa.int64()), ("id", pa.string()), ("type", pa.string()), ("side", pa.string()),
     ("price", pa.float64()), ("amount", pa.float64()), ("cost", pa.float64())]
)  # fmt: skip


def timeframe(period: str) -> str:
    """``1m``, ``4h``, ``1d``, ``1w``, ``1M``."""
    count, unit = length(period)
    return f"{count}{_UNITS[unit]}"


def pair(instrument: Instrument) -> str:
    """``BTC/USDT``, and with the currency that it settles in ``BTC/USDT:USDT``."""
    if instrument.kind == "future":
        raise UsageError(
            f"--symbol {instrument.symbol!r}: freqtrade trades spot and swaps, not dated contracts"
        )
    settle = f":{instrument.settle}" if instrument.kind == "swap" else ""
    return f"{instrument.base}/{instrument.quote}{settle}"


def path(instrument: Instrument, what: str, kind: str = "") -> str:
    """The file of a pair: ``what`` is a timeframe or ``trades``, ``kind`` says which candles of a contract."""
    name = pair(instrument).replace("/", "_").replace(":", "_")
    future = instrument.kind != "spot"
    ending = f"-{kind}" if future and kind else ""
    return f"{'futures/' if future else ''}{name}-{what.replace('M', 'Mo')}{ending}.feather"


def table(candles: Candles) -> pa.Table:
    columns = [candles.open, candles.high, candles.low, candles.close, candles.volume]
    return pa.table([_dates(candles.open_time), *(pa.array(each, pa.float64()) for each in columns)], CANDLES)


def funding_table(fundings: Fundings) -> pa.Table:
    zero = pa.array(np.zeros(len(fundings.time)))
    return pa.table([_dates(fundings.time), pa.array(fundings.rate), zero, zero, zero, zero], CANDLES)


def _dates(instants: Ints) -> pa.Array:
    return pa.array(instants // 1000, pa.int64()).view(pa.timestamp("ms", tz="UTC"))


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    """What ``dataprovider.get_pair_dataframe`` gives before it is filled up."""
    utc_days("freqtrade", period, source.day_opens)
    made = table(source.candles(symbol, period)).to_pandas()
    assert isinstance(made, pd.DataFrame)
    return made


def export(
    source: Source, symbol: str, wanted: Sequence[str], folder: Folder, *, trades: bool = False
) -> None:
    instrument = source.instrument(symbol)
    for period in wanted:
        utc_days("freqtrade", period, source.day_opens)
    found = [source.candles(symbol, period) for period in wanted]
    for candles in found:
        folder.feather(path(instrument, timeframe(candles.period), "futures"), CANDLES, [table(candles)])
    fundings = source.fundings(symbol, hull(found))
    if fundings is not None:
        folder.feather(path(instrument, "1h", "funding_rate"), CANDLES, [funding_table(fundings)])
        if source.stores("mark_klines", symbol, hull(found)):
            mark = source.candles(symbol, MARK, "mark_klines")
            folder.feather(path(instrument, "1h", "mark"), CANDLES, [table(mark)])
    if trades:
        folder.feather(path(instrument, "trades"), TRADES, _trades(source, symbol))


def _trades(source: Source, symbol: str) -> Iterator[pa.Table]:
    for _, day in events.trades(source, symbol):
        cost = np.where(np.isnan(day.turnover), day.price * day.quantity, day.turnover)
        nothing = pa.nulls(len(day), pa.string())
        yield pa.table([pa.array(day.time // 1000), day.trade_id, nothing, day.side, pa.array(day.price),
                        pa.array(day.quantity), pa.array(cost)], TRADES)  # fmt: skip
