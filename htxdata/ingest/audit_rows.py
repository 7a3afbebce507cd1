"""What the checks of an audit are made of: a partition that is open, some of its rows, and a finding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from htxdata.ingest.candles import floats, integers
from htxdata.market import Series, grid_of
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import arrow_schema
from htxdata.store.footer import Footer
from htxdata.store.layout import Partition
from htxdata.store.partition import Store
from htxdata.store.rows import Reader
from htxdata.timeline import DAY, Grid, Window
from htxdata.venues import VENUES


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, and the row that shows it.

    ``at`` is the row's time (microseconds UTC). ``theirs`` is what is stored as the venue's word, ``ours`` what it was
    compared with; ``None`` where there is no number to show.
    """

    check: str
    series: Series
    at: int
    column: str | None
    ours: float | None
    theirs: float | None
    detail: str


class Wrong(NamedTuple):
    """Rows that fail a check. ``ours`` and ``theirs`` are columns of all rows, or one value for each."""

    mask: Any
    column: str
    ours: Any
    theirs: Any
    detail: str


@dataclass(frozen=True)
class Rows:
    """Some rows of a partition as the file has them; ``before`` is the row that stands before the first."""

    declared: Dataset
    window: Window
    grid: Grid | None
    table: pa.Table
    times: Any
    before: pa.Table | None

    def numbers(self, name: str) -> Any:
        """A column as float64, NaN for NULL; ``None`` where it holds nothing at all."""
        return floats(self.table[name])


@dataclass(frozen=True)
class Held:
    """One generation of a partition, open: what its footer says and its rows belong together."""

    partition: Partition
    declared: Dataset
    grid: Grid | None
    reader: Reader

    @property
    def footer(self) -> Footer:
        return self.reader.footer

    def batches(self, names: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows, some at a time; a column that the file is too old to have is NULL."""
        for table in self.reader.tables(names):
            for name in names or ():
                if name not in table.column_names:
                    field = arrow_schema(self.declared).field(name)
                    table = table.append_column(field, pa.nulls(len(table), field.type))
            if len(table):
                yield table

    def times(self) -> Iterator[Any]:
        column = self.declared.time_column
        return (integers(batch[column]) for batch in self.batches([column]))


@contextmanager
def opened(store: Store, partition: Partition) -> Iterator[Held | None]:
    """The newest generation; ``None`` where there is none. Raises ``CorruptPartition`` where it is no file of ours."""
    found = store.verbs.open_newest(store.folder(partition))
    if found is None:
        yield None
        return
    generation, file = found
    with file:
        declared = dataset_named(partition.dataset)
        reader = Reader(declared, file, generation.path)
        yield Held(partition, declared, grid_for(partition.series), reader)


def grid_for(series: Series) -> Grid | None:
    """Where the candles of a series open; ``None`` without a period, or where the venue's day is not known to us."""
    if series.period is None:
        return None
    grid = grid_of(series.period, day_opens(series.venue) or 0)
    return None if day_opens(series.venue) is None and not 0 < grid.step < DAY else grid


def day_opens(venue: str) -> int | None:
    return next((each.day_opens for each in VENUES if each.name == venue), None)


def on_grid(grid: Grid, times: Any) -> Any:
    """Which instants are openings of the grid."""
    if grid.step:
        return (times - grid.anchor) % grid.step == 0
    return np.array([grid.floor(int(time)) == time for time in times], dtype=bool)


def mask_of(values: Any) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.to_numpy(zero_copy_only=False)
