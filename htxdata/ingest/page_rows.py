"""Rows as they came page by page: which lie where they were asked for, and all of them as one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.schema import Dataset
from htxdata.timeline import Window


def times_in(table: pa.Table, dataset: Dataset) -> Any:
    return np.asarray(table.column(dataset.time_column).combine_chunks().cast(pa.int64()))


def rows_inside(table: pa.Table, dataset: Dataset, windows: Sequence[Window]) -> list[pa.Table]:
    """The parts of ``table`` that lie in ``windows``: a row is stored only where its window is answered."""
    times = times_in(table, dataset)
    low, high = int(times.min()), int(times.max())
    if any(w.start <= low and high < w.end for w in windows):
        return [table]
    parts = (table.filter(pa.array((times >= w.start) & (times < w.end))) for w in windows)
    return [part for part in parts if len(part)]


def one_table(tables: Sequence[pa.Table], dataset: Dataset) -> pa.Table | None:
    """All rows in order of time; pages differ in whether they count values that no DOUBLE carries."""
    if not tables:
        return None
    schema = max((table.schema for table in tables), key=len)
    table = pa.concat_tables([_widened(each, schema) for each in tables])
    times = times_in(table, dataset)
    if len(times) > 1 and not (times[1:] > times[:-1]).all():
        table = table.take(pa.array(np.argsort(times, kind="stable")))
    return table


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    for entry in schema:
        if entry.name not in table.schema.names:
            table = table.append_column(entry, pa.array(np.zeros(len(table), np.uint8)))
    return table
