"""What is stored of the series that bars are made of: which files, what they cover, the trades in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import CorruptPartition
from htxdata.research import bars, resample, runs
from htxdata.research.runs import Columns
from htxdata.schema import Dataset, dataset
from htxdata.store import footer, ledger
from htxdata.store.footer import Span
from htxdata.store.instants import window_of
from htxdata.store.layout import Pattern, Selection
from htxdata.store.place import Root, verbs
from htxdata.store.views import view_over, where
from htxdata.timeline import Grid, Window

_TRADES_AT_ONCE = 1_000_000  # that are read together, where a day has fewer
_CANDLES_AT_ONCE = 400_000
_FILES_AHEAD = 12  # a year of minutes


def periods_of(
    root: Root, declared: Dataset, venue: Pattern, symbol: Pattern
) -> dict[tuple[str, str], list[str]]:
    """Venue and symbol of the series that are meant, and the periods that are stored of each."""
    found: dict[tuple[str, str], list[str]] = {}
    for line, _ in ledger.series(root, declared, Selection(venue, symbol)):
        found.setdefault((line.venue, line.symbol), []).extend([line.period] if line.period else [])
    return found


def exactly(key: tuple[str, str], period: str | None = None) -> Selection:
    """One series."""
    return Selection([key[0]], [key[1]], [period] if period else None, verbatim=True)


def spans(paths: Iterable[str]) -> list[Span]:
    """What these very files say that they cover: rows and verdicts are of one generation. ``FileNotFoundError``."""
    found: list[Span] = []
    for path in paths:
        with verbs(path).open_path(path, tail=True) as file:
            found.extend(footer.read(file, path).spans)
    return found


def known(paths: Iterable[str]) -> list[Window]:
    """Where they say what there was."""
    return [Window(span.start, span.end) for span in spans(paths) if span.verdict in footer.KNOWN]


def openings(grid: Grid, low: int | None, high: int | None) -> Window:
    """The span of the bars that open in ``[low, high)``."""
    return window_of(None if low is None else grid.ceil(low), None if high is None else grid.ceil(high))


def candles(declared: Dataset, paths: list[str], hull: Window) -> Iterator[list[Columns]]:
    """The candles that open in ``hull``, file by file, some hundred thousand at once; the next are read meanwhile.

    Read by pyarrow, not by DuckDB: all rows of a file are wanted, and it takes a third less of the CPU.
    """
    held: list[Columns] = []
    rows = 0
    for piece in runs.ahead(partial(_candles_of, declared, hull), paths, _FILES_AHEAD):
        held.append(piece)
        rows += len(piece["open_time"])
        if rows >= _CANDLES_AT_ONCE:
            yield held
            held, rows = [], 0
    if held:
        yield held


def _candles_of(declared: Dataset, hull: Window, path: str) -> Columns:
    words = ["source"]
    try:
        with pq.ParquetFile(
            verbs(path).source(path), read_dictionary=words, page_checksum_verification=True
        ) as file:
            names = [name for name in resample.read(declared) if name in file.schema_arrow.names]
            table = file.read(columns=names, use_threads=False)
    except pa.ArrowException as error:
        raise CorruptPartition(f"{path} cannot be read: {error}") from error
    found = resample.columns(table)
    low, high = found["open_time"].searchsorted([hull.start, hull.end]).tolist()
    return runs.taken(found, slice(low, high))


def trades(cursor: duckdb.DuckDBPyConnection, paths: list[str], stretches: list[Window]) -> Iterator[Columns]:
    """The trades from the first stretch to the last, days together up to a million."""
    if not stretches:
        return
    declared = dataset("trades")
    bounds = where(declared, stretches[0].start, stretches[-1].end)
    for held in _together(paths, _TRADES_AT_ONCE):
        text = f"SELECT {bars.READ} FROM ({view_over(declared, held)}){bounds}"
        yield bars.columns(cursor.sql(text).to_arrow_table())


def _together(paths: list[str], most: int) -> Iterator[list[str]]:
    held: list[str] = []
    rows = 0
    for path in paths:
        size = sum(span.rows for span in spans([path]))
        if held and rows + size > most:
            yield held
            held, rows = [], 0
        held.append(path)
        rows += size
    if held:
        yield held
