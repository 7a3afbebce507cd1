"""Whether rows can be told to be in order, or put in it, without looking up a key. Pure.

What is captured comes nearly as it is stored: later than all that is there, each key once, and only the levels of one
message out of order. To prove that takes some comparisons of neighbours, a tenth of what finding every key takes.
Where it cannot be proved, nothing is said: ``store/merge.py`` then compares key by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.schema import Dataset

_FEW = 256  # different texts of a column, up to which they are numbered
_DIGITS = 18  # that surely fit 64 bits


def follows(dataset: Dataset, old: pa.Table | None, new: pa.Table) -> bool:
    """Whether all of ``new`` is later than all of ``old`` (which is sorted), and no key of it there already."""
    if old is None or not old.num_rows:
        return True
    times = new[dataset.time_column]
    if not pc.less(old[dataset.time_column][-1], pc.min(times)).as_py():
        return False
    if dataset.time_column in dataset.key:
        return True
    first = dataset.key[0]
    before, after = old[first], new[first]
    if before.null_count or after.null_count or before.type != after.type:
        return False
    return bool(pc.less(pc.max(before), pc.min(after)).as_py())


def order_told(dataset: Dataset, table: pa.Table) -> tuple[Any, Any] | None:
    """The permutation that sorts by time, then key, and where in it a row has the key of the one before.

    ``None`` where one of the two is not plain.
    """
    names = dict.fromkeys((dataset.time_column, *dataset.key))
    columns: dict[str, Any] = {}
    for name in names:
        numbers = _numbers(table[name])
        if numbers is None:
            return None
        columns[name] = numbers
    order, again = _order(list(columns.values()), table.num_rows)
    if dataset.time_column not in dataset.key:
        once = order[~again] if again.any() else order
        if not _sole([columns[name][once] for name in dataset.key]):
            return None
    return order, again


def _order(columns: Sequence[Any], count: int) -> tuple[Any, Any]:
    """What sorts rows by these columns, and where a row is then the same as the one before."""
    again = np.zeros(count, dtype=bool)
    same = again[1:]  # as the row before, as far as was looked
    same[:] = True
    for at, column in enumerate(columns):
        before, after = column[:-1], column[1:]
        if (same & (after < before)).any():
            return _sorted(again, columns[at:])
        same &= after == before
        if not same.any():
            break
    return np.arange(count), again


def _sorted(again: Any, columns: Sequence[Any]) -> tuple[Any, Any]:
    """``_order`` of rows that are in order but for these columns: only those that are the same so far move."""
    columns = [np.cumsum(~again), *columns]
    place = _joined(columns)
    if place is None:
        order = np.lexsort(list(reversed(columns)))
    else:
        # What is nearly sorted, a stable sort makes so in a third of the time.
        columns, order = [place], np.argsort(place, kind="stable")
    same = np.zeros(len(order), dtype=bool)
    same[1:] = True
    for column in columns:
        moved = column.take(order)
        same[1:] &= moved[1:] == moved[:-1]
    return order, same


def _joined(columns: Sequence[Any]) -> Any | None:
    """One column that sorts as these do, where 63 bits hold it: prices of one market do not differ in all of theirs."""
    width = 1
    joined: Any = 0
    for column in columns:
        low = int(column.min())
        each = int(column.max()) - low + 1
        width *= each
        if width >= 2**63:
            return None
        joined = joined * each + (column - low)
    return joined


def _sole(key: Sequence[Any]) -> bool:
    """Whether no key comes twice. Nearly always they ascend as the rows do."""
    same = np.ones(max(len(key[0]) - 1, 0), dtype=bool)
    ascending = True
    for column in key:
        before, after = column[:-1], column[1:]
        ascending = ascending and not (same & (after < before)).any()
        if not ascending:
            break
        same &= after == before
        if not same.any():
            return True
    if ascending:
        return not same.any()
    order = np.lexsort(list(reversed(key))) if len(key) > 1 else np.argsort(key[0])
    same = np.ones(len(order) - 1, dtype=bool)
    for column in key:
        moved = column[order]
        same &= moved[1:] == moved[:-1]
    return not same.any()


def _numbers(column: pa.ChunkedArray) -> Any | None:
    """Integers that sort as the column's values do and are equal where these are; ``None`` where that is not plain."""
    kind = column.type
    if column.null_count:
        return None
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if pa.types.is_timestamp(kind) or pa.types.is_int64(kind):
        return array.view(pa.int64()).to_numpy(zero_copy_only=False)
    if pa.types.is_float64(kind):
        values = array.to_numpy(zero_copy_only=False)
        # The bits of floats that are not below 0 sort as they do; of -0.0 and NaN nothing is said.
        bits = values.view(np.int64)
        return bits if not len(bits) or (bits.min() >= 0 and values.max() <= np.inf) else None
    if pa.types.is_dictionary(kind):
        return _of_words(array)
    return _of_texts(array) if pa.types.is_string(kind) else None


def _of_words(words: Any) -> Any | None:
    known = words.dictionary
    if known.null_count or not pa.types.is_string(known.type) or len(pc.unique(known)) != len(known):
        return None
    rank = pc.sort_indices(known).to_numpy()
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    return place[words.indices.to_numpy()]


def _of_texts(array: Any) -> Any | None:
    if len(pc.unique(array.slice(0, 4 * _FEW))) <= _FEW:
        words = array.dictionary_encode()
        if len(words.dictionary) <= _FEW:
            return _of_words(words)
    # Digits of one length sort as the numbers do.
    lengths = pc.min_max(pc.binary_length(array)).as_py()
    if lengths["min"] != lengths["max"] or not 0 < lengths["max"] <= _DIGITS:
        return None
    try:
        numbers = array.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers if numbers.min() >= 0 else None
