"""Data folder for ``qlib`` (backtesters.md, its section; qlib 0.9.7's ``file_storage.py`` read).

``qlib.init(provider_uri=<folder>)`` reads it as it is, without ``dump_bin.py``::

    calendars/<freq>.txt                  every slot from the first to the last bar of any symbol: naive UTC, the OPEN
    instruments/all.txt                   symbol TAB first TAB last
    features/<symbol>/<field>.<freq>.bin  little-endian float32: place of the first value in the calendar, then values

Fields: ``open high low close volume factor money`` (``factor`` 1, ``money`` the turnover in quote units), and
``funding`` where the symbol has any: the sum of the rates settled in ``(open, close]``. The calendar is a full grid,
because ``Ref($close, 1)`` counts slots and not time; a slot without a bar is NaN, qlib's own mark of no data.

Traps: float32 has 7 digits (122,450.01 becomes 122450.0078125): the lake keeps the originals. ``qlib``'s ``day`` is a
day of UTC: ``utc_day``. Its region settings know no market that never closes: pass ``region="us"`` and give freq
everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from htxdata.errors import UsageError
from htxdata.research.feeds import backtesting_py
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Candles, Fundings, Source
from htxdata.research.feeds.spelling import length, stamps, utc_days
from htxdata.timeline import Window

_MOST = 1 << 24  # places that a float32 counts without a gap: 31 years of minutes


def freq(period: str) -> str:
    """``1min``, ``240min``, ``day``, ``week``, ``month``."""
    count, unit = length(period)
    if unit in ("min", "hour"):
        return f"{count * (60 if unit == 'hour' else 1)}min"
    return unit if count == 1 else f"{count}{unit}"


def frame(candles: Candles, fundings: Fundings | None) -> pd.DataFrame:
    """As ``qlib`` takes a symbol from a file: index ``date`` (naive UTC, the OPEN), fields float64."""
    made = backtesting_py.frame(candles, fundings)
    made.columns = made.columns.str.lower()
    made.index.name = "date"
    made.insert(5, "factor", 1.0)
    made.insert(6, "money", candles.turnover)
    return made


def read(source: Source, symbol: str, period: str) -> pd.DataFrame:
    utc_days("qlib", period, source.day_opens)
    candles = source.candles(symbol, period)
    return frame(candles, source.fundings(symbol, candles.window))


def export(source: Source, symbols: Sequence[str], wanted: Sequence[str], folder: Folder) -> None:
    reach: dict[str, Window] = {}
    for period in wanted:
        utc_days("qlib", period, source.day_opens)
        found = {symbol: source.candles(symbol, period) for symbol in symbols}
        found = {symbol: candles for symbol, candles in found.items() if len(candles)}
        if not found:
            continue
        grid = next(iter(found.values())).grid
        first = min(int(each.open_time[0]) for each in found.values())
        last = max(int(each.close_time[-1]) for each in found.values())
        slots = np.array(grid.openings(Window(first, last)), np.int64)
        if len(slots) > _MOST:
            raise UsageError(
                f"--period {period!r}: qlib counts {_MOST} slots at the most, and these are {len(slots)}"
            )
        form = "%Y-%m-%d" if length(period).unit in ("day", "week", "month") else "%Y-%m-%d %H:%M:%S"
        calendar = "\n".join(stamps(slots, form).to_pylist()) + "\n"
        _check_alone(folder.root, freq(period), calendar, symbols)
        folder.write(f"calendars/{freq(period)}.txt", calendar)
        for symbol, candles in found.items():
            fields = frame(candles, source.fundings(symbol, candles.window))
            for name, content in binary(fields, candles.open_time, slots).items():
                folder.write(f"features/{symbol.lower()}/{name}.{freq(period)}.bin", content)
            mine = Window(int(candles.open_time[0]), int(candles.open_time[-1]))
            known = reach.get(symbol, mine)
            reach[symbol] = Window(min(known.start, mine.start), max(known.end, mine.end))
    lines = []
    for symbol, window in sorted(reach.items()):
        ends = stamps(np.array(window, np.int64), "%Y-%m-%d %H:%M:%S").to_pylist()
        lines.append("\t".join([symbol.upper(), *ends]) + "\n")
    folder.write("instruments/all.txt", "".join(lines))


def binary(fields: pd.DataFrame, opens: NDArray[np.int64], slots: NDArray[np.int64]) -> Mapping[str, bytes]:
    """Each field from the symbol's first slot to its last, NaN where it has no bar."""
    places = slots.searchsorted(opens)
    out = {}
    for name in fields.columns:
        values = np.full(places[-1] - places[0] + 2, np.nan, "<f4")
        values[0] = places[0]
        values[1 + places - places[0]] = fields[name].to_numpy()
        out[name] = values.tobytes()
    return out


def _check_alone(root: Path, name: str, calendar: str, symbols: Sequence[str]) -> None:
    """Features of other symbols hang on the calendar that is there: it may not change under them."""
    there = root / "calendars" / f"{name}.txt"
    mine = {symbol.lower() for symbol in symbols}
    others = {path.parent.name for path in root.glob(f"features/*/*.{name}.bin")} - mine
    if others and not (there.is_file() and there.read_text() == calendar):
        raise UsageError(
            f"--output {str(root)!r} holds {', '.join(sorted(others))} over another calendar: export all symbols of a "
            "qlib folder at once, or into an empty one"
        )
