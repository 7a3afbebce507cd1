"""Rows that no commit would have taken, written into a lake by hand: what an audit must find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from htxdata.market import Series
from htxdata.schema import dataset
from htxdata.store import Footer, Partition, Store, disk, rows
from htxdata.store.layout import partition_of

Change = Callable[[pa.Table], pa.Table]


def rewrite(
    store: Store, partition: Partition, change: Change = lambda table: table, footer: Footer | None = None
) -> None:
    """Other rows in the place of a partition's own; its footer stays, unless one is given."""
    folder = store.folder(partition)
    with disk.locked(store.root, folder, 0.0) as newest:
        assert newest is not None
        with open(newest.path, "rb") as file:
            table, before = rows.unpack(dataset(partition.dataset), file, newest.path)
        disk.publish(folder, newest, memoryview(rows.pack(change(table), footer or before)))


def spoil(store: Store, series: Series, at: int, **values: Any) -> dict[str, Any]:
    """Put other values into the row of that time; a value may be a function of the right one. Gives the right row."""
    name = dataset(series.dataset).time_column
    found: list[dict[str, Any]] = []

    def change(table: pa.Table) -> pa.Table:
        row = times(table, name).index(at)
        found.append(table.slice(row, 1).to_pylist()[0])
        for column, value in values.items():
            wrong = value(found[0][column]) if callable(value) else value
            table = with_value(table, column, row, wrong)
        return table

    rewrite(store, partition_of(series, at), change)
    return found[0]


def with_value(table: pa.Table, name: str, row: int, value: Any) -> pa.Table:
    """The table with one other value."""
    at = table.column_names.index(name)
    field = table.schema.field(at)
    values = times(table, name) if pa.types.is_timestamp(field.type) else table.column(at).to_pylist()
    values[row] = value
    kind = pa.int64() if pa.types.is_timestamp(field.type) else field.type
    return table.set_column(at, field, pa.array(values, kind).cast(field.type))


def times(table: pa.Table, name: str) -> list[int]:
    """A column of instants in microseconds."""
    found: list[int] = table[name].cast(pa.int64()).to_pylist()
    return found


def counted(footer: Footer | None, more: int, at: int) -> Footer:
    """The footer, with so many rows more in the span that holds ``at``."""
    assert footer is not None
    spans = (s._replace(rows=s.rows + more) if s.start <= at < s.end else s for s in footer.spans)
    return Footer(tuple(spans), footer.unfit)
