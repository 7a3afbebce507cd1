"""Tables of rows in order of time and key, whatever the order in the file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.schema import Dataset
from htxdata.timeline import Window


class Unsorted(Exception):
    """A row is earlier than one that came before it."""


def sort_keys(dataset: Dataset) -> list[str]:
    return list(dict.fromkeys((dataset.time_column, *dataset.key)))


def times_of(table: pa.Table, dataset: Dataset) -> Any:
    """The rows' instants as int64 numpy, microseconds UTC."""
    return np.asarray(table[dataset.time_column].combine_chunks().cast(pa.int64()))


def inside(table: pa.Table, dataset: Dataset, window: Window) -> Any:
    """A mask of the rows in the window."""
    times = times_of(table, dataset)
    return (times >= window.start) & (times < window.end)


def by_time(table: pa.Table, dataset: Dataset) -> pa.Table:
    times = times_of(table, dataset)
    if (times[1:] >= times[:-1]).all():
        return table
    return table.take(pa.array(np.argsort(times, kind="stable")))


def in_order(tables: Iterable[pa.Table], dataset: Dataset) -> Iterator[pa.Table]:
    """The same rows in order of time and key; raises ``Unsorted`` where a time is earlier than one before it.

    Rows of one instant may stand in any order in the file (numbers that gain a digit sort otherwise as texts), and may
    be cut apart by the border of two tables: those of the last instant wait for the next table.
    """
    held: pa.Table | None = None
    at = 0  # the instant of the rows that are held
    for table in tables:
        times = times_of(table, dataset)
        steps = np.diff(times)
        if (held is not None and times[0] < at) or (len(steps) and steps.min() < 0):
            raise Unsorted
        if held is not None:
            same = int(times.searchsorted(at, side="right"))
            if same:
                held = pa.concat_tables([held, table.slice(0, same)], promote_options="default")
                table, times, steps = table.slice(same), times[same:], steps[same:]
            if not len(table):
                continue
            yield _ties_sorted(held, dataset, np.zeros(len(held) - 1, np.int64))
        last = int(times.searchsorted(times[-1]))
        held, at = table.slice(last), int(times[-1])
        if last:
            yield _ties_sorted(table.slice(0, last), dataset, steps[: last - 1])
    if held is not None:
        yield _ties_sorted(held, dataset, np.zeros(len(held) - 1, np.int64))


def _ties_sorted(table: pa.Table, dataset: Dataset, steps: Any) -> pa.Table:
    ties = np.flatnonzero(steps == 0)
    if not len(ties) or dataset.key == (dataset.time_column,):
        return table
    level = np.ones(len(ties), dtype=bool)  # ties whose keys are equal as far as they were compared
    for name in dataset.key:
        column = _comparable(table[name])
        before, after = column.take(pa.array(ties)), column.take(pa.array(ties + 1))
        gone, come = (np.asarray(side.is_null()) for side in (before, after))
        # As it sorts: a NULL comes last.
        if (level & (np.asarray(pc.fill_null(pc.greater(before, after), False)) | (gone & ~come))).any():
            return by_key(table, dataset)
        level &= np.asarray(pc.fill_null(pc.equal(before, after), False)) | (gone & come)
    return table


def by_key(table: pa.Table, dataset: Dataset) -> pa.Table:
    """Sorted by time and key; a NULL comes last."""
    keys = pa.table({name: _comparable(table[name]) for name in sort_keys(dataset)})
    return table.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts spelled out: Arrow neither compares nor sorts dictionaries."""
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
