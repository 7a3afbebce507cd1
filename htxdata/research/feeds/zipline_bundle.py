"""A zipline bundle of the folder that this file lies in, written by ``htxdata export zipline-reloaded``.

It imports zipline and nothing of htxdata: it is copied beside the CSV files. In ``extension.py`` or a script::

    import sys; sys.path.insert(0, "FOLDER")
    import zipline_bundle; zipline_bundle.register("htx")
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def register(name: str, folder: str | Path = FOLDER, exchange: str = "HTX") -> None:
    """Register the bundle ``name``; ``zipline ingest -b name`` or ``bundles.ingest(name)`` fills it."""
    pandas: Any = importlib.import_module("pandas")
    bundles: Any = importlib.import_module("zipline.data.bundles")
    frames = {kind: _read(pandas, Path(folder, kind)) for kind in ("daily", "minute")}
    stamps = [day for made in frames["daily"].values() for day in (made.index[0], made.index[-1])]
    # A minute that closes at midnight belongs to the day before.
    one = pandas.Timedelta(minutes=1)
    stamps += [at - one for made in frames["minute"].values() for at in (made.index[0], made.index[-1])]
    first, last = min(stamps).normalize(), max(stamps).normalize()

    def ingest(environ: Any, assets: Any, minutes: Any, days: Any, adjustments: Any, *more: Any) -> None:
        symbols = sorted({symbol for made in frames.values() for symbol in made})
        rows = []
        for symbol in symbols:
            mine = [at for at in (frames["daily"].get(symbol),) if at is not None]
            ends = [day for made in mine for day in (made.index[0], made.index[-1])]
            held = frames["minute"].get(symbol)
            if held is not None:
                ends += [(held.index[0] - one).normalize(), (held.index[-1] - one).normalize()]
            end = max(ends)
            rows.append((symbol, symbol, min(ends), end, end + pandas.Timedelta(days=1), exchange))
        names = ["symbol", "asset_name", "start_date", "end_date", "auto_close_date", "exchange"]
        places = pandas.DataFrame(
            [(exchange, exchange, "??")], columns=["exchange", "canonical_name", "country_code"]
        )
        assets.write(equities=pandas.DataFrame(rows, columns=names), exchanges=places)
        for writer, kind in ((minutes, "minute"), (days, "daily")):
            writer.write((symbols.index(symbol), made) for symbol, made in sorted(frames[kind].items()))
        adjustments.write()

    bundles.register(
        name, ingest, calendar_name="24/7", start_session=first, end_session=last, minutes_per_day=1440
    )


def _read(pandas: Any, folder: Path) -> dict[str, Any]:
    """Frames by symbol; none where there is no such folder, or no row in a file."""
    found = {
        path.stem: pandas.read_csv(path, parse_dates=["date"], index_col="date")
        for path in folder.glob("*.csv")
    }
    return {symbol: made for symbol, made in found.items() if len(made)}
