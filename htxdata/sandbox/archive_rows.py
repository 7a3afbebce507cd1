"""What the files of the bucket say, as columns: the truth of the market plus what the archive makes of it.

Two things differ from `Market` (htx-api 9.5): candle files go on with the last price and no volume while an instrument
is halted and shortly after it died; and trades repeat their ids where the sandbox is asked for that (htx-api 8).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .archive_days import candle_spans
from .archive_names import FUNDING, INDEX, KLINES, MARK, TRADES, Series, day_start
from .bars import Columns
from .instruments import Instrument
from .market import Market
from .noise import Ints, fractions, key_of
from .periods import DAY, HOUR, opens, slot_of

Candles = Callable[[str, str, str, int, int], Columns]


class ArchiveRows:
    """The rows of any file. `repeated` is the share of trades that pass their id on to the next one."""

    def __init__(self, market: Market, repeated: float = 0.0) -> None:
        self._market, self._repeated = market, repeated
        self._candles: dict[str, Candles] = {
            KLINES: market.klines,
            MARK: market.mark_klines,
            INDEX: market.index_klines,
        }

    def of(self, series: Series, day: int) -> Columns:
        """The rows of a day's file: columns as those of Market for the dataset; times in us UTC."""
        one, start = series.one, day_start(day)
        if series.dataset == FUNDING:
            return self._market.funding_rates(one.venue, one.symbol, start, start + DAY)
        if series.dataset == TRADES:
            trades = self._market.trades(one.venue, one.symbol, start, start + DAY)
            return self._with_repeats(trades) if self._repeated else trades
        return self._with_placeholders(series, start)

    def _with_placeholders(self, series: Series, start: int) -> Columns:
        one, period, source = series.one, series.period or "", self._candles[series.dataset]
        found = source(one.venue, one.symbol, period, start, start + DAY)
        slot = slot_of(period, start)
        every = np.arange(slot, slot_of(period, start + DAY), dtype=np.int64)
        due = np.zeros(len(every), dtype=bool)
        for begin, end in candle_spans(one):
            due |= (opens(period, every) < end) & (opens(period, every + 1) > begin)
        times = opens(period, every[due])
        if len(found["open_time"]) >= len(times) or (series.dataset == KLINES and not one.flat_candles):
            return found
        return _filled(found, times, self._last_close(source, one, start))

    def _last_close(self, source: Candles, one: Instrument, before: int) -> float:
        """The close of the last candle up to an instant; NaN before there was one."""
        ends = [min(end, before) for begin, end in one.sessions() if begin < before]
        if not ends:
            return float("nan")
        rows = source(one.venue, one.symbol, "1min", ends[-1] - HOUR, ends[-1])
        return float(rows["close"][-1]) if len(rows["close"]) else float("nan")

    def _with_repeats(self, trades: Columns) -> Columns:
        """Some trades take id and time of the one before them in the same minute, and some rows occur twice."""
        identity, time = trades["trade_id"], trades["trade_time"]
        draw = fractions(key_of("repeat", self._market.seed), identity)
        passes_on = draw < self._repeated
        takes = np.zeros(len(identity), dtype=bool)
        takes[1:] = passes_on[:-1] & ~passes_on[1:] & (time[1:] // 60_000_000 == time[:-1] // 60_000_000)
        source = np.arange(len(identity), dtype=np.int64) - takes
        twice = np.where(draw > 1.0 - self._repeated / 4, 2, 1)
        rows = dict(trades, trade_id=identity[source], trade_time=time[source])
        return {name: None if column is None else np.repeat(column, twice) for name, column in rows.items()}


def _filled(found: Columns, times: Ints, before: float) -> Columns:
    """Candles at all these times (us UTC): those found, and flat ones without volume in between."""
    index = np.searchsorted(found["open_time"], times, side="right") - 1
    closes = np.append(found["close"], before)  # index -1 is the last close of before
    carried = closes[index]
    known = np.zeros(len(times), dtype=bool)
    if len(found["open_time"]):
        known = (index >= 0) & (found["open_time"][index] == times)
    keep = known | (carried == carried)
    rows: Columns = {"open_time": times[keep]}
    for name, column in found.items():
        if name == "open_time" or column is None:
            rows.setdefault(name, column)
            continue
        flat = carried if name in ("open", "high", "low", "close") else np.zeros(len(times), column.dtype)
        rows[name] = np.where(known, np.append(column, 0)[index], flat)[keep].astype(column.dtype)
    return rows


def earlier(rows: Columns, dice: int, fraction: float) -> Columns:
    """A file as it was before the exchange replaced it: rows are missing, at least one if there are any."""
    count = len(next(column for column in rows.values() if column is not None))
    everything = np.arange(count, dtype=np.int64)
    keep = (fractions(dice, everything) >= fraction) & (everything != count // 2)
    kept: Columns = {}
    for name, column in rows.items():
        if isinstance(column, list):
            kept[name] = [value for value, stays in zip(column, keep.tolist(), strict=True) if stays]
        else:
            kept[name] = None if column is None else column[keep]
    return kept
