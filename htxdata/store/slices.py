"""Rows in order of time, cut into slices that hold all rows of their instants; and what becomes of a slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.schema import Dataset
from htxdata.schema.arrow import UNFIT
from htxdata.store import merge, rows
from htxdata.store.aside import with_unfit
from htxdata.store.keys import Seen


class Flow:
    """Rows in order of time, to be cut where the time changes."""

    def __init__(self, declared: Dataset, tables: Iterator[pa.Table] | None = None) -> None:
        self._dataset = declared
        self._tables = tables or iter(())
        self._held: list[tuple[pa.Table, Any]] = []
        self.rows = 0
        self.done = False
        self.last = 0

    def push(self, table: pa.Table) -> None:
        times = merge.times_of(self._dataset, table)
        self._held.append((table, times))
        self.rows += len(times)
        self.last = int(times[-1])

    def fill(self, least: int) -> None:
        """Hold at least so many rows, or all that are left."""
        while not self.done and self.rows < least:
            table = next(self._tables, None)
            if table is None:
                self.done = True
            elif table.num_rows:
                self.push(table)

    def take(self, before: int | None) -> pa.Table | None:
        """The rows earlier than ``before``, or all; ``None`` where there are none."""
        parts = []
        while self._held:
            table, times = self._held[0]
            end = len(times) if before is None else int(times.searchsorted(before))
            if end:
                parts.append(table.slice(0, end))
                self.rows -= end
            if end < len(times):
                self._held[0] = (table.slice(end), times[end:])
                break
            del self._held[0]
        return joined(parts)


def in_step(
    declared: Dataset, old: Iterator[pa.Table], new: Iterator[pa.Table]
) -> Iterator[tuple[pa.Table | None, pa.Table | None]]:
    """Both in step: each pair holds all rows of its span of time."""
    flows = (Flow(declared, old), Flow(declared, new))
    least = rows.BATCH
    while True:
        for flow in flows:
            flow.fill(least)
        if not any(flow.rows for flow in flows):
            return
        cut = min((flow.last for flow in flows if not flow.done), default=None)
        pair = flows[0].take(cut), flows[1].take(cut)
        if pair[0] is None and pair[1] is None:
            least += rows.BATCH  # one instant has more rows than a slice
            continue
        least = rows.BATCH
        yield pair


def joined(parts: list[pa.Table]) -> pa.Table | None:
    """The tables in one; ``UNFIT`` columns that some lack are zero there."""
    if len(parts) < 2:
        return parts[0] if parts else None
    names = [name for part in parts for name in part.column_names if name == UNFIT]
    if names and len(names) < len(parts):
        parts = [part if UNFIT in part.column_names else with_unfit(part, None) for part in parts]
    if len({part.schema for part in parts}) > 1:
        parts = [rows.as_texts(part) for part in parts]
    return pa.concat_tables(parts)


def apart(table: pa.Table) -> tuple[pa.Table, Any]:
    """A table without its ``UNFIT`` column, and the counts; ``None`` where it has none."""
    if UNFIT not in table.column_names:
        return table, None
    counts = table[UNFIT].combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    return table.drop_columns([UNFIT]), counts


@dataclass
class Settled:
    """A slice after its merge. ``unfit`` counts for the rows that are new in it."""

    table: pa.Table
    added: int = 0
    replaced: int = 0
    changed: bool = False
    lost: pa.Table | None = None
    won: pa.Table | None = None
    unfit: Any = None
    seen: bool = False  # its keys are proved to be new already


def settled(
    declared: Dataset,
    old: pa.Table | None,
    new: pa.Table | None,
    schema: pa.Schema | None,
    seen: Unrepeated | None = None,
) -> Settled:
    """``old`` and ``new`` hold the same span of time, either may be missing. ``schema`` is that of ``old``'s file."""
    if new is None:
        assert old is not None
        return Settled(old)
    new, unfit = apart(new)
    if old is None and schema is not None:  # `new` was settled when it was staged
        return Settled(_widened(new, schema), new.num_rows, 0, True, unfit=unfit)
    if old is None and in_order(declared, new) and (seen is None or seen.add(new)):
        return Settled(new, new.num_rows, 0, True, unfit=unfit, seen=True)
    if old is not None and _same(declared, old, new):
        return Settled(old)
    done = merge.merge(declared, None if old is None else rows.as_texts(old), rows.as_texts(new))
    taken = unfit[done.taken] if unfit is not None and done.changed else None
    return Settled(done.table, done.added, done.replaced, done.changed, done.superseded, done.winners, taken)


def _same(declared: Dataset, old: pa.Table, new: pa.Table) -> bool:
    """Whether the rows say the same, wherever they came from: what is read again mostly does."""
    if old.num_rows != new.num_rows:
        return False
    return all(
        rows.as_texts(old.select([name])).column(0).equals(rows.as_texts(new.select([name])).column(0))
        for name in new.column_names
        if name not in merge.PROVENANCE
    )


def in_order(declared: Dataset, table: pa.Table) -> bool:
    """Whether rows that ascend by time also ascend by key where the time is the same, none coming twice."""
    if declared.time_column in declared.key and len(declared.key) > 1:
        return False  # small datasets: the merge sees to it
    times = merge.times_of(declared, table)
    tied = np.flatnonzero(times[1:] == times[:-1])
    if not len(tied):
        return True
    if declared.key == (declared.time_column,):
        return False
    if len(declared.key) > 1:
        return _ascends(declared, table, tied)
    keys = table[declared.key[0]].combine_chunks()
    count = len(keys)
    ascending = pc.less(keys.slice(0, count - 1), keys.slice(1)).to_numpy(zero_copy_only=False)
    return bool(ascending[tied].all())


def _ascends(declared: Dataset, table: pa.Table, tied: Any) -> bool:
    """Whether at each of these places the key is less than that of the next row, column by column."""
    for name in declared.key:
        column = table[name].combine_chunks()
        if column.null_count:
            return False  # the merge knows where NULL stands
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        before, after = column.take(pa.array(tied)), column.take(pa.array(tied + 1))
        if pc.any(pc.greater(before, after)).as_py():
            return False
        tied = tied[pc.equal(before, after).to_numpy(zero_copy_only=False)]
        if not len(tied):
            return True
    return False


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """With the columns that only the file's schema knows, NULL."""
    for each in schema:
        if each.name not in table.column_names:
            table = table.append_column(each, pa.nulls(table.num_rows, each.type))
    return table


class Unrepeated:
    """Proof that no key comes twice; nothing to prove where the key holds the time, or tells it."""

    def __init__(self, declared: Dataset) -> None:
        self._key = declared.key[0]
        plain = declared.time_column not in declared.key and not declared.key_tells_time
        self._simple = plain and len(declared.key) == 1
        self._seen = Seen() if plain else None

    def add(self, table: pa.Table) -> bool:
        if self._seen is None:
            return True
        return self._simple and self._seen.add(table[self._key])
