"""The engines by their names, and an export from a lake into a folder."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from htxdata.errors import UsageError
from htxdata.research import periods
from htxdata.research.feeds.files import Folder
from htxdata.research.feeds.source import Hole, Source
from htxdata.research.lake import Lake
from htxdata.store.instants import Instant


@dataclass(frozen=True, slots=True)
class Engine:
    """One backtester: which file of this room knows it, and what it has a place for."""

    name: str
    module: str
    bars: bool = True
    trades: bool = False
    together: bool = False
    """Whether all symbols share a calendar, and so are exported at once."""

    latency: bool = False
    bare: bool = False
    """Whether it has no place for fundings."""


ENGINES: tuple[Engine, ...] = (
    Engine("backtesting.py", "backtesting_py"),
    Engine("vectorbt", "vectorbt"),
    Engine("backtrader", "backtrader"),
    Engine("nautilus_trader", "nautilus_trader", trades=True),
    Engine("freqtrade", "freqtrade", trades=True),
    Engine("hftbacktest", "hftbacktest", bars=False, latency=True, bare=True),
    Engine("zipline-reloaded", "zipline_reloaded", bare=True),
    Engine("qlib", "qlib", together=True),
    Engine("lean", "lean", trades=True),
)
_ALSO = {"backtestingpy": "backtesting", "nautilus": "nautilustrader", "zipline": "ziplinereloaded", "vbt": "vectorbt",
         "pyqlib": "qlib", "quantconnect": "lean"}  # fmt: skip
Step = Callable[[str, int, int], None]
"""Who is told what is read next: a period or a day of a symbol, the symbol's number from 1, how many there are."""


@dataclass(frozen=True, slots=True)
class Exported:
    """``files``: relative to the folder, in order, each once. ``holes``: what of the range asked for is not known."""

    files: tuple[str, ...]
    holes: tuple[Hole, ...]


def engine(name: str) -> Engine:
    """By its name in any spelling: ``zipline``, ``NautilusTrader``, ``backtesting``. ``UsageError`` lists them."""

    def bare(text: str) -> str:
        letters = re.sub(r"[^a-z0-9]", "", text.lower())
        return _ALSO.get(letters, letters)

    for each in ENGINES:
        if bare(each.name) == bare(name):
            return each
    raise UsageError(f"{name!r} is not an engine: choose from {', '.join(each.name for each in ENGINES)}")


def module_of(which: Engine) -> Any:
    return importlib.import_module(f"{__package__}.{which.module}")


def export(
    name: str,
    lake: Lake,
    output: Path | str,
    *,
    venue: str,
    symbols: Iterable[str],
    wanted: Sequence[str] = (),
    start: Instant = None,
    end: Instant = None,
    funding: bool = True,
    trades: bool = False,
    latency: float | None = None,
    step: Step = lambda name, number, of: None,
) -> Exported:
    """Write what the engine ``name`` reads into ``output``; the same export makes the same bytes.

    ``symbols`` are names or globs, ``wanted`` periods (``1min`` where none is given); ``latency`` is in seconds.
    Files are written also where the range has holes: no bar is invented, and ``holes`` says what is not known.
    """
    which = engine(name)
    options: dict[str, Any] = {}
    if which.bars:
        wanted = list(dict.fromkeys(wanted)) or ["1min"]
        for period in wanted:
            periods.check(period)
        options["wanted"] = wanted
    elif wanted:
        raise UsageError(
            f"--period {wanted[0]!r}: {which.name} reads trades and books, not bars; leave --period out"
        )
    if trades and not which.trades:
        takers = ", ".join(each.name for each in ENGINES if each.trades)
        more = " beside its books, always" if not which.bars else ""
        raise UsageError(
            f"--trades: {which.name} takes trades{more or ' in no file of ours'}; it is for {takers}"
        )
    if latency is not None and not which.latency:
        raise UsageError(f"--latency: {which.name} has no such clock; it is for hftbacktest")
    source = Source(lake, venue, start=start, end=end, funding=funding and not which.bare)
    found = source.symbols(list(symbols), "klines" if which.bars else "book_changes")
    folder, make = Folder(output), module_of(which).export
    if which.trades:
        options["trades"] = trades
    if which.latency:
        options["latency"] = latency
    if which.together:
        source.on_read = lambda what: step(what, 1, 1)
        make(source, found, folder=folder, **options)
    else:
        for number, symbol in enumerate(found, 1):
            source.on_read = lambda what, number=number: step(what, number, len(found))  # type: ignore[misc]
            make(source, symbol, folder=folder, **options)
    return Exported(tuple(dict.fromkeys(folder.files)), tuple(source.holes))
