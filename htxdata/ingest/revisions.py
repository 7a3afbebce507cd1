"""Who keeps the versions that lose (law 6), and what two sources say differently of one row.

Of candles the whole version goes to ``kline_revisions``. Of every other dataset each value that differs is a row of
``source_differences``: what is kept, what was dropped, and whose word either is. What is found again is not written
again, so a crash between the difference and the commit that it came from leaves nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import arrow_schema
from htxdata.store import merge
from htxdata.store.layout import Partition, partitions
from htxdata.store.partition import Store
from htxdata.store.rows import as_texts
from htxdata.store.slices import in_step
from htxdata.timeline import Window

DIFFERENCES = "source_differences"
ROW = "(row)"
"""Stands for a column where one side has no such row; its text is ``present`` on the other."""

_MOST_DIFFERENCES = 10_000

_COINS = ("quantity", "volume")
_ROUNDING = 1e-6
"""Of coins that follow from contracts, their size and the price: the archive's newer tree says contracts alone, and
REST says what it computed, with more digits or fewer ([C]: samples have from 3 to 40). Another contract is far beyond
it."""

Keep = Callable[[pa.Table, pa.Table], None]
_ALL_BUT_WHEN = ("row_time", "dataset", "row_key", "column_name", "kept", "dropped", "kept_text", "dropped_text",
                 "kept_source", "dropped_source")  # fmt: skip


def keeper(store: Store, partition: Partition) -> Keep | None:
    """What ``Store.commit`` calls, before it writes, with the versions that lost and those that they lost to."""
    if partition.dataset == "klines":
        return _revisions(store, partition)
    if partition.dataset in (DIFFERENCES, "kline_revisions"):
        return None
    series, declared = partition.series, dataset_named(partition.dataset)
    return lambda lost, won: _note(store, series, _differing(declared, series.period, won, lost))


def note_differences(
    store: Store, series: Series, ours: pa.Table, theirs: pa.Table, *, sources: tuple[str, str] | None = None
) -> int:
    """Lay two tables of a dataset side by side, in any order; how many differences there are, known ones included.

    Rows are met by their key, and one that only one side has is a difference of the column ``(row)``. A NULL on one
    side only is none. ``ours`` is what is kept. ``sources`` are the names of the two, where their rows do not say
    (two trees of one archive do not).
    """
    declared = dataset_named(series.dataset)
    columns = list(arrow_schema(declared).names)
    ours, theirs = ours.select(columns), theirs.select(columns)
    names = sources or (_source_of(ours), _source_of(theirs))
    if sources is not None:
        ours, theirs = _said_by(ours, sources[0]), _said_by(theirs, sources[1])
    codes = merge.codes_of(declared, ours, theirs)
    mine, other = codes[: ours.num_rows], codes[ours.num_rows :]
    _, at, place = np.intersect1d(mine, other, return_indices=True)  # of doubles the first
    found = [
        _differing(declared, series.period, ours.take(pa.array(at)), theirs.take(pa.array(place))),
        _lone(declared, series.period, ours.filter(pa.array(~np.isin(mine, other))), True, names[1]),
        _lone(declared, series.period, theirs.filter(pa.array(~np.isin(other, mine))), False, names[0]),
    ]
    table = pa.concat_tables(found)
    _note(store, series, table)
    return int(table.num_rows)


def compare(
    store: Store, series: Series, ours: Iterator[pa.Table], theirs: Iterator[pa.Table], sources: tuple[str, str]
) -> int:
    """`note_differences` of rows too many to be held, both in order of time and key: up to
    ``_MOST_DIFFERENCES``, and a slice more."""
    count = 0
    declared = dataset_named(series.dataset)
    nothing = arrow_schema(declared).empty_table()
    for pair in in_step(declared, ours, theirs):
        left, right = (nothing if table is None else as_texts(table) for table in pair)
        count += note_differences(store, series, left, right, sources=sources)
        if count > _MOST_DIFFERENCES:
            break  # another numbering, another unit: more of it says no more
    return count


# ------------------------------------------------------------------------------------------------- candles


def _revisions(store: Store, partition: Partition) -> Keep:
    revisions = dataset_named("kline_revisions")
    schema = arrow_schema(revisions)
    target = Partition(revisions.name, partition.venue, partition.symbol, partition.period, partition.label)

    def keep(lost: pa.Table, won: pa.Table) -> None:
        stored = store.read(target)
        if stored is not None and len(stored):
            # A crash between this commit and the candles' own leads here twice: a version, told by when it was
            # received, is kept once.
            seen = set(_versions(stored))
            lost = lost.filter(pa.array([version not in seen for version in _versions(lost)], pa.bool_()))
        if len(lost):
            store.commit(target, lost.select(schema.names).cast(schema), [])

    return keep


def _versions(table: pa.Table) -> list[tuple[int, int]]:
    times, heard = (
        pc.cast(table.column(name), pa.int64()).to_pylist() for name in ("open_time", "received_at")
    )
    return list(zip(times, heard, strict=True))


# --------------------------------------------------------------------------------------------- differences


def _differing(declared: Dataset, period: str | None, kept: pa.Table, dropped: pa.Table) -> pa.Table:
    """A row for every value in which the tables, row by row versions of one key, are not the same."""
    parts = []
    for name in declared.columns:
        if name in declared.key or name in merge.PROVENANCE:
            continue
        mask = pc.fill_null(pc.not_equal(kept[name], dropped[name]), False)
        if name in _COINS and "contracts" in declared.columns:
            mask = pc.and_(mask, pc.invert(_rounded(name, kept, dropped)))
        if not pc.any(mask).as_py():
            continue
        ours, theirs = kept.filter(mask), dropped.filter(mask)
        parts.append(
            _rows(
                declared, period, name, ours, (ours[name], theirs[name]), (ours["source"], theirs["source"])
            )
        )
    return pa.concat_tables(parts) if parts else arrow_schema(dataset_named(DIFFERENCES)).empty_table()


def _rounded(name: str, kept: pa.Table, dropped: pa.Table) -> pa.BooleanArray:
    """Where both sides say the same contracts, and coins that are as good as the same."""
    contracts = pc.fill_null(pc.equal(kept["contracts"], dropped["contracts"]), False)
    apart = pc.abs(pc.subtract(kept[name], dropped[name]))
    near = pc.less_equal(apart, pc.multiply(pc.abs(kept[name]), _ROUNDING))
    return pc.and_(contracts, pc.fill_null(near, False))


def _lone(declared: Dataset, period: str | None, rows: pa.Table, kept: bool, other: str) -> pa.Table:
    """Rows that only one side has."""
    there, nothing = _same("present", len(rows)), pa.nulls(len(rows), pa.string())
    own, missing = rows["source"], _same(other, len(rows))
    values, names = ((there, nothing), (own, missing)) if kept else ((nothing, there), (missing, own))
    return _rows(declared, period, ROW, rows, values, names)


def _rows(
    declared: Dataset, period: str | None, column: str, at: pa.Table, values: tuple[pa.Array, pa.Array],
    sources: tuple[pa.Array, pa.Array],
) -> pa.Table:  # fmt: skip
    """``at`` are the rows that tell key, time and when it was found."""
    count = len(at)
    kind = values[0].type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    nothing = (pa.nulls(count, pa.float64()), pa.nulls(count, pa.float64()))
    none = (pa.nulls(count, pa.string()), pa.nulls(count, pa.string()))
    numbers = tuple(each.cast(pa.float64()) for each in values) if number else nothing
    texts = none if number else tuple(_text(each) for each in values)
    content = {
        "row_time": at[declared.time_column],
        "dataset": _same(declared.name, count),
        "period": _same(period, count),
        "row_key": _key_text(declared, period, at),
        "column_name": _same(column, count),
        "kept": numbers[0],
        "dropped": numbers[1],
        "kept_text": texts[0],
        "dropped_text": texts[1],
        "kept_source": _text(sources[0]),
        "dropped_source": _text(sources[1]),
        "found_at": at["received_at"],
        "source": _text(sources[0]),
        "received_at": at["received_at"],
    }
    schema = arrow_schema(dataset_named(DIFFERENCES))
    return pa.table([content[name] for name in schema.names], schema=schema)


def _note(store: Store, series: Series, found: pa.Table) -> None:
    """Commit what is not known yet."""
    if not len(found):
        return
    declared = dataset_named(DIFFERENCES)
    times = merge.times_of(declared, found)
    line = Series(DIFFERENCES, series.venue, series.symbol)
    for partition in partitions(line, Window(int(times.min()), int(times.max()) + 1)):
        inside = (times >= partition.window.start) & (times < partition.window.end)
        new = _unknown(declared, _known(store, declared, partition, found), found.filter(pa.array(inside)))
        if len(new):
            store.commit(partition, new, [])


def _known(store: Store, declared: Dataset, partition: Partition, found: pa.Table) -> pa.Table:
    """What is stored of the span of time and the dataset of ``found``."""
    ends = pc.min_max(found["row_time"])
    name = found["dataset"][0]
    parts = [arrow_schema(declared).empty_table()]
    for table in store.tables(partition):
        near = pc.and_(
            pc.and_(
                pc.greater_equal(table["row_time"], ends["min"]),
                pc.less_equal(table["row_time"], ends["max"]),
            ),
            pc.equal(table["dataset"], name),
        )
        parts.append(table.filter(near))
    return pa.concat_tables(parts)


def _unknown(declared: Dataset, known: pa.Table, found: pa.Table) -> pa.Table:
    """Of ``found`` each difference once that is not known, whenever that was found."""
    codes = merge.codes_of(replace(declared, key=_ALL_BUT_WHEN), known, found)
    stored, incoming = codes[: len(known)], codes[len(known) :]
    _, first = np.unique(incoming, return_index=True)
    new = np.zeros(len(found), dtype=bool)
    new[first] = True
    found = found.filter(pa.array(new & ~np.isin(incoming, stored)))
    return _told_apart(declared, known, found)


def _told_apart(declared: Dataset, known: pa.Table, found: pa.Table) -> pa.Table:
    """Of one row and column several differences may be found at once: they are stored a microsecond apart."""
    codes = merge.codes_of(declared, known, found)
    layers = merge.layers_of(codes)
    if len(layers) < 2:
        return found
    later = np.zeros(len(codes), dtype=np.int64)
    for number, places in enumerate(layers):
        later[places] = number
    at = found.column_names.index("found_at")
    field = found.schema.field(at)
    moved = pc.cast(found["found_at"], pa.int64()).to_numpy() + later[len(known) :]
    return found.set_column(at, field, pa.array(moved).cast(field.type))


def _key_text(declared: Dataset, period: str | None, rows: pa.Table) -> pa.Array:
    parts = [_text(rows[name]) for name in declared.key]
    if period is not None:
        parts.insert(0, _same(period, len(rows)))
    return pc.binary_join_element_wise(*parts, " ", null_handling="replace", null_replacement="NULL")


def _text(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """As text; instants in ISO 8601."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    text = array.cast(pa.string())
    if pa.types.is_timestamp(array.type):
        text = pc.replace_substring(text, " ", "T", max_replacements=1)
        text = pc.replace_substring_regex(text, r"(\.\d*?)0+Z$", r"\1Z")
        text = pc.replace_substring(text, ".Z", "Z")
    return text


def _same(text: str | None, count: int) -> pa.Array:
    return pa.nulls(count, pa.string()) if text is None else pa.repeat(pa.scalar(text), count)


def _said_by(table: pa.Table, name: str) -> pa.Table:
    at = table.column_names.index("source")
    return table.set_column(at, table.schema.field(at), _same(name, len(table)))


def _source_of(table: pa.Table) -> str:
    return str(table["source"][0]) if len(table) else "nobody"
