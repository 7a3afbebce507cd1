"""Two versions of a partition's rows become one. Pure: Arrow in, Arrow out.

Per key, comparing all columns but the key and where the row came from (``source``, ``received_at``, ``superseded_at``):

==============================  ====================================================================================
equal                           the stored row stays untouched, with its old ``received_at``
a NULL on one side only         the value fills the NULL; no revision, the row keeps its old provenance
any difference                  the later ``received_at`` wins (tie: the incoming); the other version is superseded
==============================  ====================================================================================

Doubles among the incoming rows are settled among themselves by the same rules, later in place counting as incoming.
A winner's NULLs are not filled from the version that it replaces: no row is made of two versions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import RowsLost
from htxdata.schema import Dataset
from htxdata.store.order import follows, order_told
from htxdata.store.rows import as_packed, as_texts

_SUPERSEDED = "superseded_at"
PROVENANCE = ("source", "received_at", _SUPERSEDED)


@dataclass(frozen=True)
class Merged:
    """``superseded`` holds the versions that lost, each with ``superseded_at``: when the winner was received.

    ``taken`` are the rows of the incoming table that are new in ``table`` (for sums over them). ``winners`` are, row by
    row, the versions that ``superseded`` lost to; there are none where the superseded ones are rows of the table.
    """

    table: pa.Table
    added: int
    replaced: int
    changed: bool
    superseded: pa.Table | None
    taken: Any
    winners: pa.Table | None = None


def times_of(dataset: Dataset, table: pa.Table) -> Any:
    """The time column as int64 microseconds."""
    return _ints(table[dataset.time_column])


def merge(dataset: Dataset, old: pa.Table | None, new: pa.Table) -> Merged:
    """``old`` is sorted and without doubles, as it comes from a file; ``new`` is in any order and may hold doubles.

    Where there is no ``old``, texts of few values may be dictionaries (``rows.packed``), and then are so in the result.
    """
    if dataset.told_once and old is not None and old.num_rows and new.num_rows:
        fresh = _untold(dataset, old, new)
        if len(fresh) < new.num_rows:
            done = _merge(dataset, old, new.take(pa.array(fresh)))
            return replace(done, taken=fresh[done.taken])
    return _merge(dataset, old, new)


def _untold(dataset: Dataset, old: pa.Table, new: pa.Table) -> Any:
    """Positions of the rows of which no other source has told (``Dataset.told_once``)."""
    names = dataset.told_once
    both = pa.concat_tables([part.select([*names, "source"]) for part in (old, new)])
    codes = codes_of(replace(dataset, key=names), both.slice(0, 0), both)
    sources = both["source"].combine_chunks().dictionary_encode().indices.to_numpy()
    stored, incoming = codes[: old.num_rows], codes[old.num_rows :]
    rank = np.argsort(stored, kind="stable")
    last = rank[np.maximum(np.searchsorted(stored, incoming, side="right", sorter=rank) - 1, 0)]
    told = (stored[last] == incoming) & (sources[last] != sources[old.num_rows :])
    for name in names:
        told &= _mask(pc.is_valid(new[name]))
    return np.flatnonzero(~told)


def _merge(dataset: Dataset, old: pa.Table | None, new: pa.Table) -> Merged:
    everything = np.arange(new.num_rows)
    if _ascending(dataset, new):
        if old is None or old.num_rows == 0:
            return Merged(_widened(new, old), new.num_rows, 0, new.num_rows > 0, None, everything)
        if new.num_rows == 0:
            return Merged(old, 0, 0, False, None, everything)
        apart = dataset.key == (dataset.time_column,)
        if apart and times_of(dataset, old)[-1] < times_of(dataset, new)[0]:
            table = pa.concat_tables([old, _widened(new, old)])
            return Merged(table, new.num_rows, 0, True, None, everything)
    elif new.num_rows == 0:
        return Merged(new if old is None else old, 0, 0, False, None, everything)
    if _SUPERSEDED not in dataset.key and follows(dataset, old, new):
        told = order_told(dataset, new)
        if told is not None:
            return _behind(dataset, old, new, *told)
    done = _by_key(dataset, old, as_texts(new))  # dictionaries are neither compared nor sorted
    return replace(done, table=as_packed(done.table, new.schema))


def _behind(dataset: Dataset, old: pa.Table | None, new: pa.Table, order: Any, again: Any) -> Merged:
    """``new`` put behind ``old``. ``order`` sorts it, and ``again`` says where a key comes once more: these rows are
    settled among themselves by the rules."""
    lost = winners = None
    if again.any():
        part = again.copy()  # of a key that comes twice
        part[:-1] |= again[1:]
        doubles, first = np.sort(order[part]), part & ~again
        done = _by_key(dataset, None, as_texts(new.take(pa.array(doubles))))
        lost, winners = done.superseded, done.winners
        picks, taken = order.copy(), order.copy()
        picks[first] = len(order) + np.arange(done.added)
        taken[first] = doubles[done.taken]
        picks, order = picks[~again], taken[~again]
        settled = as_packed(done.table, new.schema)
        new = pa.concat_tables([new, settled]).combine_chunks().take(pa.array(picks))
    elif (order[1:] < order[:-1]).any():
        new = pc.take(new, pa.array(order), boundscheck=False)
    count, new = new.num_rows, _widened(new, old)
    table = pa.concat_tables([old, new]) if old is not None and old.num_rows else new
    return Merged(table.combine_chunks(), count, 0, True, lost, order, winners)


def _by_key(dataset: Dataset, old: pa.Table | None, new: pa.Table) -> Merged:
    """Whatever the rows are: each is looked for by its key."""
    everything = np.arange(new.num_rows)
    new = _widened(new, old)
    start = new.slice(0, 0) if old is None else old
    codes = codes_of(dataset, start, new)
    stored, incoming = codes[: start.num_rows], codes[start.num_rows :]
    losers: list[_Fought] = []
    # The incoming rows among themselves first: were their doubles laid over the stored rows one by one, two versions
    # heard at once would replace each other on every run.
    layers = layers_of(incoming)
    if len(layers) > 1 and _SUPERSEDED in dataset.key:
        done = Merged(start, 0, 0, False, None, everything[:0])
        for layer in layers:
            done = _also(done, merge(dataset, done.table, new.take(pa.array(layer))))
        return done
    one, at, origin = new.take(pa.array(layers[0])), incoming[layers[0]], layers[0]
    for layer in layers[1:]:
        one, at, origin, _, lost, _ = _fold(
            dataset, one, at, origin, new.take(pa.array(layer)), incoming[layer], layer
        )
        if lost is not None:
            losers.append(lost)
    untouched = np.full(
        start.num_rows, -1
    )  # for each row of the result its place in `new`, -1 where it is old
    table, at, origin, added, lost, changed = _fold(dataset, start, stored, untouched, one, at, origin)
    if lost is not None:
        losers.append(lost)
    order = order_of(dataset, table)
    if order is not None:
        table, at, origin = table.take(pa.array(order)), at[order], origin[order]
    taken = origin[origin >= 0]
    if table.num_rows != start.num_rows + added or not np.isin(stored, at).all():
        raise RowsLost(
            f"{dataset.name}: {start.num_rows} stored and {added} added rows became {table.num_rows}; "
            "nothing was written"
        )
    merged = Merged(table.combine_chunks(), added, len(taken) - added, changed, None, taken)
    if not losers:
        return merged
    lost = pa.concat_tables([pair.lost for pair in losers]).select(
        [*dataset.columns, *({_SUPERSEDED} - set(dataset.columns))]
    )
    if _SUPERSEDED in dataset.key:
        return _beside(dataset, merged, lost)
    won = pa.concat_tables([pair.won for pair in losers]).select(dataset.columns)
    return replace(merged, superseded=lost, winners=won)


def _beside(dataset: Dataset, merged: Merged, lost: pa.Table) -> Merged:
    """Revisions are never replaced: one that finds its key taken by another is stored a microsecond later.

    It happens where two older versions lost to one newer, the second having been heard before the newer one but stored
    after it; both are then superseded at the same instant.
    """
    at = lost.column_names.index(_SUPERSEDED)
    field = lost.schema.field(at)
    nudged = pa.array(_ints(lost[_SUPERSEDED]) + 1).cast(field.type)
    return _also(merged, merge(dataset, merged.table, lost.set_column(at, field, nudged)))


def _also(merged: Merged, more: Merged) -> Merged:
    return replace(
        merged, table=more.table, added=merged.added + more.added, changed=merged.changed or more.changed
    )


@dataclass(frozen=True)
class _Fought:
    """Versions that lost, and row by row those that they lost to."""

    lost: pa.Table
    won: pa.Table


def _fold(
    dataset: Dataset, table: pa.Table, at: Any, origin: Any, new: pa.Table, codes: Any, places: Any
) -> tuple[pa.Table, Any, Any, int, _Fought | None, bool]:
    """Merge ``new``, without doubles, into ``table``. ``at`` and ``codes`` stand for the keys of the two."""
    rank = np.argsort(at, kind="stable")
    found = np.searchsorted(at, codes, sorter=rank)
    known = np.zeros(len(codes), dtype=bool)
    inside = found < len(at)
    known[inside] = at[rank[found[inside]]] == codes[inside]
    mine = np.flatnonzero(known)  # rows of `new` whose key is in the table …
    here = rank[found[mine]] if len(mine) else mine  # … and where
    lost: _Fought | None = None
    changed = False
    if len(mine):
        theirs, ours = new.take(pa.array(mine)), table.take(pa.array(here))
        differs, fills = _compare(dataset, ours, theirs)
        if _SUPERSEDED in dataset.key:
            later = np.zeros(len(mine), dtype=bool)
        else:
            later = _ints(theirs["received_at"]) >= _ints(ours["received_at"])
        wins, loses = differs & later, differs & ~later
        lost = _superseded(ours, theirs, wins, loses)
        for name, mask in fills.items():
            mask = mask & ~differs
            if mask.any():
                table = _filled(table, name, here[mask], theirs[name].filter(pa.array(mask)))
                changed = True
        if wins.any():
            picks = np.arange(table.num_rows)
            picks[here[wins]] = table.num_rows + np.arange(int(wins.sum()))
            table = pa.concat_tables([table, theirs.filter(pa.array(wins))]).take(pa.array(picks))
            origin = origin.copy()
            origin[here[wins]] = places[mine[wins]]
            changed = True
    fresh = np.flatnonzero(~known)
    if len(fresh):
        table = pa.concat_tables([table, new.take(pa.array(fresh))])
        at = np.concatenate([at, codes[fresh]])
        origin = np.concatenate([origin, places[fresh]])
        changed = True
    return table, at, origin, len(fresh), lost, changed


def _compare(dataset: Dataset, ours: pa.Table, theirs: pa.Table) -> tuple[Any, dict[str, Any]]:
    """Rows with any difference, and by column the rows where only theirs has a value."""
    differs = np.zeros(ours.num_rows, dtype=bool)
    fills: dict[str, Any] = {}
    for name in ours.column_names:
        if name in dataset.key or name in PROVENANCE:
            continue
        one, other = ours[name], theirs[name]
        if one.null_count < len(one) and other.null_count < len(other):
            differs |= _mask(pc.fill_null(pc.not_equal(one, other), False))
        if one.null_count and other.null_count < len(other):
            fills[name] = _mask(pc.and_(pc.is_null(one), pc.is_valid(other)))
    return differs, fills


def _superseded(ours: pa.Table, theirs: pa.Table, wins: Any, loses: Any) -> _Fought | None:
    parts, winners = [], []
    for losing, winning, mask in ((ours, theirs, wins), (theirs, ours, loses)):
        if mask.any():
            chosen = pa.array(mask)
            rows, won = losing.filter(chosen), winning.filter(chosen)
            if _SUPERSEDED not in rows.column_names:
                rows = rows.append_column(
                    pa.field(_SUPERSEDED, rows.schema.field("received_at").type, nullable=False),
                    won["received_at"],
                )
            parts.append(rows)
            winners.append(won)
    return _Fought(pa.concat_tables(parts), pa.concat_tables(winners)) if parts else None


def _filled(table: pa.Table, name: str, rows: Any, values: pa.ChunkedArray) -> pa.Table:
    mask = np.zeros(table.num_rows, dtype=bool)
    mask[rows] = True
    # replace_with_mask goes by position in the table, whatever the order of the incoming rows was
    values = values.take(pa.array(np.argsort(rows, kind="stable")))
    column = pc.replace_with_mask(table[name].combine_chunks(), pa.array(mask), values.combine_chunks())
    at = table.column_names.index(name)
    return table.set_column(at, table.schema.field(at), column)


# ---------------------------------------------------------------------------------------------- keys


def _ints(column: pa.ChunkedArray) -> Any:
    """A column of instants or integers as int64 numpy."""
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return array.view(pa.int64()).to_numpy(zero_copy_only=False)


def _mask(values: Any) -> Any:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return array.to_numpy(zero_copy_only=False)


def _is_instant(column: pa.ChunkedArray) -> bool:
    kind = column.type
    return bool(pa.types.is_timestamp(kind) or pa.types.is_int64(kind)) and column.null_count == 0


def _ascending(dataset: Dataset, table: pa.Table) -> bool:
    """Whether the rows are sorted and no key occurs twice; cheap, and decided for plain time keys only."""
    if dataset.key != (dataset.time_column,):
        return bool(table.num_rows < 2)
    times = times_of(dataset, table)
    return bool((times[1:] > times[:-1]).all())


def codes_of(dataset: Dataset, old: pa.Table, new: pa.Table) -> Any:
    """One integer per row of both tables, equal where the keys are equal."""
    code: Any = None
    for name in dataset.key:
        column = pa.chunked_array([*old[name].chunks, *new[name].chunks], type=old[name].type)
        if _is_instant(column):
            part = _ints(column)
        else:
            words = column.combine_chunks().dictionary_encode(null_encoding="encode")
            part = words.indices.to_numpy(zero_copy_only=False)
        if code is None:
            code = part.astype(np.int64)
        else:  # two columns to one: number the pairs
            _, first = np.unique(code, return_inverse=True)
            kinds, second = np.unique(part, return_inverse=True)
            code = first.astype(np.int64) * len(kinds) + second
    return code


def layers_of(codes: Any) -> list[Any]:
    """Positions of the first occurrence of every key, then of the second ones, and so on, each in order."""
    rank = np.argsort(codes, kind="stable")
    ranked = codes[rank]
    first = np.ones(len(codes), dtype=bool)
    first[1:] = ranked[1:] != ranked[:-1]
    if first.all():
        return [np.arange(len(codes))] if len(codes) else []
    starts = np.flatnonzero(first)
    nth = np.empty(len(codes), dtype=np.int64)
    nth[rank] = np.arange(len(codes)) - np.repeat(starts, np.diff([*starts, len(codes)]))
    return [np.flatnonzero(nth == number) for number in range(int(nth.max()) + 1)]


def order_of(dataset: Dataset, table: pa.Table) -> Any:
    """The permutation that sorts by time, then key; ``None`` where the table is sorted."""
    if dataset.key == (dataset.time_column,):
        times = times_of(dataset, table)
        return None if (times[1:] > times[:-1]).all() else np.argsort(times, kind="stable")
    names = dict.fromkeys((dataset.time_column, *dataset.key))
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in names]).to_numpy()
    return None if (order[1:] > order[:-1]).all() else order


def _widened(new: pa.Table, old: pa.Table | None) -> pa.Table:
    """``new`` with the columns that only a newer htxdata knows and the file has, all NULL."""
    if old is None:
        return new
    for field in old.schema:
        if field.name not in new.column_names:
            new = new.append_column(field, pa.nulls(new.num_rows, field.type))
    return new
