"""Datasets as Arrow schemas, and the only gate through which columns become a table that may be stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import BadReply
from htxdata.schema.columns import Kind
from htxdata.schema.terms import Dataset

UNFIT = "_unfit"
"""Name of a column beside the dataset's own: how many values of the row a DOUBLE could not carry digit for digit.
A commit sums it into the footer and stores it nowhere else."""

WORDS = pa.dictionary(pa.int32(), pa.string())
"""The type of a text column of few values where it is not spelled out row by row."""

_TYPES: dict[Kind, pa.DataType] = {
    "ts": pa.timestamp("us", tz="UTC"),
    "f": pa.float64(),
    "i": pa.int64(),
    "s": pa.string(),
}

# What may become what: a text is never read as a number nor a number written as a text, and a truth value is neither.
_ACCEPTED: dict[pa.DataType, Callable[[pa.DataType], bool]] = {
    _TYPES["ts"]: lambda t: pa.types.is_timestamp(t) or pa.types.is_integer(t) or pa.types.is_null(t),
    _TYPES["f"]: lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_null(t),
    _TYPES["i"]: lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_null(t),
    _TYPES["s"]: lambda t: pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_null(t)
    or pa.types.is_dictionary(t),
}  # fmt: skip


@cache
def arrow_schema(dataset: Dataset) -> pa.Schema:
    """The schema of the dataset's files: no venue, symbol, period (they are in the path)."""
    return pa.schema(
        [
            pa.field(column.name, _TYPES[column.kind], nullable=column.name in dataset.nullable)
            for column in dataset.fields
        ]
    )


def conform(
    dataset: Dataset, columns: Mapping[str, Any], unfit: Any = None, *, words: bool = False
) -> pa.Table:
    """Columns of equal length to a table of the dataset's schema, or ``BadReply`` naming row and column.

    A value may be an Arrow array, a numpy array or a list; instants are integers (microseconds UTC) or timestamps; a
    text stands for the same text in every row. A nullable column may be left out. NaN and infinities are refused.
    ``unfit`` is the ``UNFIT`` column; the result carries it only where given.

    ``words``: texts that come as a dictionary, or as one text for every row, stay dictionaries of 32-bit indices (the
    schema says so). The store takes both, and spares itself a fifth of the cost of storing trades.
    """
    schema = arrow_schema(dataset)
    unknown = set(columns) - set(schema.names)
    if unknown:
        raise BadReply(f"{dataset.name} has no column {sorted(unknown)[0]!r}")
    lengths = {len(value) for value in columns.values() if not isinstance(value, str | int | None)}
    if len(lengths) != 1:
        raise BadReply(f"{dataset.name}: columns of different lengths {sorted(lengths)}")
    (rows,) = lengths
    arrays = []
    for field, kind, nullable in _fields(dataset):
        value = columns.get(field.name)
        if value is None:
            if not nullable:
                raise BadReply(f"{dataset.name}: column {field.name!r} is missing")
            arrays.append(_constant(None, field.type, rows))
        elif kind == "s" and isinstance(value, str):
            arrays.append(_word(value, rows) if words else _constant(value, field.type, rows))
        elif words and isinstance(value, pa.DictionaryArray) and _is_words(value):
            arrays.append(value.cast(WORDS))
        else:
            ready = _ready(kind, value) if isinstance(value, pa.Array) else None
            arrays.append(_array(dataset, field, value, rows) if ready is None else ready)
    if words:
        schema = pa.schema([f.with_type(a.type) for f, a in zip(schema, arrays, strict=True)])
    if unfit is not None:
        schema = schema.append(pa.field(UNFIT, pa.uint8()))
        arrays.append(pa.array(unfit, pa.uint8()))
    return pa.Table.from_arrays(arrays, schema=schema)


@lru_cache(maxsize=64)
def _constant(value: str | None, kind: pa.DataType, rows: int) -> pa.Array:
    """The same in every row. Arrays are immutable, and pages mostly have as many rows as the page before."""
    return pa.nulls(rows, kind) if value is None else pa.repeat(pa.scalar(value, kind), rows)


@lru_cache(maxsize=64)
def _word(value: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([value]))


def _is_words(value: pa.DictionaryArray) -> bool:
    kind = value.type.value_type
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(texts and not value.null_count and not value.dictionary.null_count)


@cache
def _fields(dataset: Dataset) -> tuple[tuple[pa.Field, Kind, bool], ...]:
    schema = arrow_schema(dataset)
    return tuple((schema.field(c.name), c.kind, c.name in dataset.nullable) for c in dataset.fields)


def _ready(kind: Kind, value: pa.Array) -> pa.Array | None:
    """``value`` itself where it plainly is what the column holds: most columns are, and their checks cost little."""
    if value.null_count:
        return None
    if kind == "f":
        # A sum is finite only if all terms are; a sum that is not may have overflowed, which the long way finds out.
        plain = value.type == _TYPES["f"] and math.isfinite(value.to_numpy().sum())
        return value if plain else None
    if value.type == _TYPES["i"]:
        return value if kind == "i" else value.view(_TYPES["ts"]) if kind == "ts" else None
    return None


def _array(dataset: Dataset, field: pa.Field, value: Any, rows: int) -> pa.Array:
    try:
        if isinstance(value, str | int):
            value = pa.repeat(pa.scalar(value), rows)
        if isinstance(value, pa.ChunkedArray):
            value = value.combine_chunks()
        array = value if isinstance(value, pa.Array) else pa.array(value, from_pandas=False)
        if not _ACCEPTED[field.type](array.type):
            raise pa.ArrowTypeError(f"values of type {array.type}")
        if pa.types.is_timestamp(field.type) and pa.types.is_integer(array.type):
            array = array.cast(pa.int64()).view(field.type)
        elif array.type != field.type:
            array = array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise BadReply(f"{dataset.name}: column {field.name!r} holds something else: {error}") from error
    if array.null_count and not field.nullable:
        row = pc.index(array.is_null(), True).as_py()
        raise BadReply(f"{dataset.name}: row {row} has no {field.name!r}")
    if pa.types.is_floating(field.type) and len(array):
        finite = pc.all(pc.is_finite(array)).as_py()
        if finite is False:
            row = pc.index(pc.fill_null(pc.is_finite(array), True), False).as_py()
            raise BadReply(f"{dataset.name}: row {row}, column {field.name!r}: {array[row]} is no number")
    return array
