"""The answer of a query, as a table for people, or as CSV, JSON or Parquet for programs."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from htxdata.cli import show
from htxdata.errors import UsageError
from htxdata.store.refusals import unwritten
from htxdata.store.whole import whole
from htxdata.timeline import from_datetime, iso

MOST_ROWS_ON_SCREEN = 500


def write(table: pa.Table, form: str, output: str | None) -> None:
    """Write ``table`` to a file (whole or not at all) or to stdout, which ``-`` is too."""
    with opened(output) as target:
        if form == "parquet":
            pq.write_table(table, target, compression="zstd")
        elif form == "csv":
            pacsv.write_csv(_plain(table), target)
        elif form == "json":
            names = _apart(table.schema.names)
            rows = [dict(zip(names, map(_json, row), strict=True)) for row in _rows(table)]
            target.write(json.dumps(rows, indent=1, ensure_ascii=False).encode() + b"\n")
        else:
            target.write(screen(table).encode() + b"\n")


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[BinaryIO]:
    """A file that is whole or not there, or stdout."""
    if output is None or output == "-":
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with whole(Path(output)) as file:
            yield file
    except OSError as error:
        raise unwritten(f"--output {output!r}", error, UsageError) from None


def _rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Rows by position: two columns may have one name (``select 1 as a, 2 as a``)."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _apart(names: list[str]) -> list[str]:
    """Names of their own for the members of a JSON object: ``a``, ``a_2``."""
    out: list[str] = []
    for name in names:
        number, fresh = 2, name
        while fresh in out:
            number, fresh = number + 1, f"{name}_{number}"
        out.append(fresh)
    return out


def _plain(table: pa.Table) -> pa.Table:
    """Instants as ISO 8601 text, which every CSV reader understands, and as text whatever CSV has no word for."""
    kinds = pa.types
    for at, field in enumerate(table.schema):
        kind = field.type
        if (
            kinds.is_floating(kind)
            or kinds.is_integer(kind)
            or kinds.is_boolean(kind)
            or kinds.is_string(kind)
        ):
            continue
        texts = [_text(_json(value)) for value in table.column(at).to_pylist()]
        table = table.set_column(at, field.name, pa.array(texts, pa.string()))
    return table


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _json(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return iso(from_datetime(value))
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, decimal.Decimal):
        # DuckDB sums whole numbers into 38 digits: still a number, and JSON has no limit to their length.
        if value == value.to_integral_value():
            return int(value)
        return float(value) if decimal.Decimal(repr(float(value))) == value else str(value)
    if isinstance(value, list):
        return [_json(entry) for entry in value]
    if isinstance(value, dict):
        return {name: _json(entry) for name, entry in value.items()}
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def screen(table: pa.Table) -> str:
    """A table for people: the first rows, numbers to the right."""
    head = table.slice(0, MOST_ROWS_ON_SCREEN)
    rows = [[_cell(value) for value in row] for row in _rows(head)]
    numbers = [
        i for i, f in enumerate(table.schema) if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)
    ]
    text = show.table(table.schema.names, rows, right=numbers)
    if len(table) > len(head):
        text += f"\n… {show.thousands(len(table) - len(head))} more rows; --format csv gives them all"
    return text


def _cell(value: Any) -> str:
    value = _json(value)
    return "NULL" if value is None else f"{value:.15g}" if isinstance(value, float) else str(value)
