"""What backtesters want to be fed, from a lake: ``htxdata export`` in Python.

::

    from htxdata import feeds, open_lake
    lake = open_lake()
    frame = feeds.backtesting(lake, "BTC-USDT", venue="htx-linear", period="60min", start="2024-01", end="2024-02")
    feeds.export("freqtrade", lake, "user_data/data/htx", venue="htx-spot", symbols=["btcusdt"], wanted=["5min"])

Each function gives what its engine takes; labels, zones, units and traps are in docs/backtesters.md. ``start`` and
``end`` as in ``lake.klines``; without them, all that is stored. Only final candles, and none is invented: where the
lake does not know what there was, a ``HolesWarning`` says so (``allow_holes=True`` keeps it still). Imports the
engines' files lazily.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from htxdata.research.feeds.engines import Exported
    from htxdata.research.feeds.source import Source
    from htxdata.research.lake import Lake
    from htxdata.store.instants import Instant

__all__ = [
    "HolesWarning", "backtesting", "backtrader", "export", "freqtrade", "hftbacktest", "lean",
    "nautilus_trader", "qlib", "vectorbt", "zipline",
]  # fmt: skip


class HolesWarning(UserWarning):
    """The range that was asked for has spans of which the lake does not know what there was."""


def export(engine: str, lake: Lake, output: str, **options: Any) -> Exported:
    """Files for ``engine`` below ``output``; see ``research.feeds.engines.export`` for the options."""
    from htxdata.research.feeds.engines import export as run

    with _named():
        return run(engine, lake, output, **options)


def backtesting(
    lake: Lake, symbol: str, *, venue: str, period: str = "1min", start: Instant = None, end: Instant = None,
    funding: bool = True, allow_holes: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """For ``backtesting.Backtest``: index naive UTC, the bar's open; Open High Low Close Volume, and Funding."""
    from htxdata.research.feeds import backtesting_py

    with _reading(lake, venue, start, end, funding, allow_holes) as source:
        return backtesting_py.read(source, _one(source, symbol), period)


def vectorbt(
    lake: Lake, symbols: str | Iterable[str], *, venue: str, period: str = "1min", start: Instant = None,
    end: Instant = None, funding: bool = True, allow_holes: bool = False,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """For ``vbt.Data.from_data``: frames by symbol, index ``Open time`` in UTC."""
    from htxdata.research.feeds import vectorbt as engine

    with _reading(lake, venue, start, end, funding, allow_holes) as source:
        return {symbol: engine.read(source, symbol, period) for symbol in _many(source, symbols)}


def backtrader(
    lake: Lake, symbol: str, *, venue: str, period: str = "1min", start: Instant = None, end: Instant = None,
    funding: bool = True, allow_holes: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """For ``bt.feeds.PandasData(dataname=…)``: index naive UTC, the bar's END."""
    from htxdata.research.feeds import backtrader as engine

    with _reading(lake, venue, start, end, funding, allow_holes) as source:
        return engine.read(source, _one(source, symbol), period)


def nautilus_trader(
    lake: Lake, symbol: str, *, venue: str, period: str = "1min", start: Instant = None, end: Instant = None,
    funding: bool = True, allow_holes: bool = False,
) -> tuple[Any, list[Any], list[Any]]:  # fmt: skip
    """The instrument, its bars and its funding updates, for ``BacktestEngine``; needs the engine (``[nautilus]``)."""
    from htxdata.research.feeds import nautilus_trader as engine

    with _reading(lake, venue, start, end, funding, allow_holes) as source:
        return engine.read(source, _one(source, symbol), period)


def freqtrade(
    lake: Lake, symbol: str, *, venue: str, period: str = "5min", start: Instant = None, end: Instant = None,
    allow_holes: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Candles as freqtrade's data handlers load them: ``date`` in UTC, the bar's open, in a column."""
    from htxdata.research.feeds import freqtrade as engine

    with _reading(lake, venue, start, end, False, allow_holes) as source:
        return engine.read(source, _one(source, symbol), period)


def hftbacktest(
    lake: Lake, symbol: str, *, venue: str, start: Instant = None, end: Instant = None, latency: float | None = None,
    allow_holes: bool = False,
) -> list[Any]:  # fmt: skip
    """For ``BacktestAsset().data(…)``: a structured array for every UTC day. ``latency``: seconds, assumed of what was
    not captured live."""
    from htxdata.research.feeds import hftbacktest as engine

    with _reading(lake, venue, start, end, False, allow_holes) as source:
        return [rows for _, rows in engine.read(source, _one(source, symbol, "book_changes"), latency)]


def zipline(
    lake: Lake, symbol: str, *, venue: str, period: str = "1min", start: Instant = None, end: Instant = None,
    allow_holes: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """For a bundle's writers: minutes stamped with their close, days with their date; unscaled."""
    from htxdata.research.feeds import zipline_reloaded as engine

    with _reading(lake, venue, start, end, False, allow_holes) as source:
        return engine.read(source, _one(source, symbol), period)


def qlib(
    lake: Lake, symbols: str | Iterable[str], *, venue: str, period: str = "1min", start: Instant = None,
    end: Instant = None, funding: bool = True, allow_holes: bool = False,
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Frames by symbol as ``dump_bin.py`` takes them: index ``date``, naive UTC, the bar's open; ``factor`` is 1."""
    from htxdata.research.feeds import qlib as engine

    with _reading(lake, venue, start, end, funding, allow_holes) as source:
        return {symbol: engine.read(source, symbol, period) for symbol in _many(source, symbols)}


def lean(
    lake: Lake, symbol: str, *, venue: str, period: str = "1min", start: Instant = None, end: Instant = None,
    allow_holes: bool = False,
) -> dict[str, bytes]:  # fmt: skip
    """CSV texts by the path of the zip that LEAN looks for."""
    from htxdata.research.feeds import lean as engine

    with _reading(lake, venue, start, end, False, allow_holes) as source:
        name = _one(source, symbol)
        place = engine.Place(venue, source.instrument(name))
        return {
            path: content for path, _, content in engine.files(source.candles(name, period), place, period)
        }


def __getattr__(name: str) -> Any:
    if name == "ENGINES":
        from htxdata.research.feeds.engines import ENGINES

        return tuple(each.name for each in ENGINES)
    raise AttributeError(f"module 'htxdata.feeds' has no attribute {name!r}")


@contextlib.contextmanager
def _reading(
    lake: Lake, venue: str, start: Instant, end: Instant, funding: bool, allow_holes: bool
) -> Iterator[Source]:
    from htxdata.research.feeds.source import Source

    with _named():
        source = Source(lake, venue, start=start, end=end, funding=funding)
        yield source
    if source.holes and not allow_holes:
        more = f" and {len(source.holes) - 1} more" if len(source.holes) > 1 else ""
        warnings.warn(f"{source.holes[0]}{more}", HolesWarning, stacklevel=4)


def _many(source: Source, symbols: str | Iterable[str]) -> list[str]:
    return source.symbols([symbols] if isinstance(symbols, str) else list(symbols))


def _one(source: Source, symbol: str, name: str = "klines") -> str:
    from htxdata.errors import UsageError

    found = source.symbols([symbol], name)
    if len(found) > 1:
        raise UsageError(f"symbol={symbol!r} means {len(found)} series: name one")
    return found[0]


_OPTION = re.compile(r"--([a-z]+)( (?=['\d-]))?")


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """What the command calls ``--venue 'x'`` is ``venue='x'`` here."""
    from htxdata.errors import UsageError

    try:
        yield
    except UsageError as error:
        # Only the option at the head of the sentence: a command that the sentence advises is still typed with dashes.
        said = _OPTION.match(str(error))
        if said is None:
            raise
        raise type(error)(f"{said[1]}{'=' if said[2] else ''}{str(error)[said.end() :]}") from None
