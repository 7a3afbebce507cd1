"""What a lake is asked, as the text of SQL, and its coverage as a table. No DuckDB, no disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from htxdata.market import Series
from htxdata.schema import Dataset, dataset
from htxdata.schema.sql import select_list, view_columns
from htxdata.store.coverage import with_missing
from htxdata.store.footer import Span
from htxdata.timeline import to_datetime

if TYPE_CHECKING:
    import pyarrow as pa


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def instant(at: int) -> str:
    """An instant as SQL."""
    return f"TIMESTAMPTZ '{to_datetime(at).isoformat()}'"


def view_over(declared: Dataset, files: Iterable[str]) -> str:
    """The text of a view over ``files``: exactly the dataset's columns, NULL where a file is too old to have one."""
    stone = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in view_columns(declared))
    listed = ", ".join(quoted(path) for path in files)
    if not listed:
        return f"SELECT {stone} WHERE false"
    # union_by_name opens every footer first (50 us a file), and is what lets files of different ages stand together.
    return (
        f"SELECT {select_list(declared)} FROM (SELECT {stone} WHERE false UNION ALL BY NAME "
        f"SELECT * FROM read_parquet([{listed}], hive_partitioning = true, hive_types_autocast = false, "
        "union_by_name = true))"
    )


def where(declared: Dataset, low: int | None, high: int | None) -> str:
    """The clause that cuts rows to ``[low, high)``, after a blank; nothing where there is no bound."""
    bounds = [
        f"{declared.time_column} {sign} {instant(at)}"
        for sign, at in ((">=", low), ("<", high))
        if at is not None
    ]
    return f" WHERE {' AND '.join(bounds)}" if bounds else ""


def coverage_columns() -> str:
    return ", ".join(
        f'make_timestamptz("{name}") AS "{name}"' if kind.startswith("TIMESTAMP") else f'"{name}"'
        for name, kind in view_columns(dataset("coverage"))
    )


def span_table(found: dict[Series, list[Span]]) -> pa.Table:
    import pyarrow as pa

    lines = [(line, span) for line, spans in found.items() for span in with_missing(spans)]
    texts: dict[str, list[str | None]] = {
        "dataset": [line.dataset for line, _ in lines],
        "venue": [line.venue for line, _ in lines],
        "symbol": [line.symbol for line, _ in lines],
        "period": [line.period for line, _ in lines],
        "verdict": [span.verdict for _, span in lines],
        "source": [span.source for _, span in lines],
    }
    numbers: dict[str, list[int]] = {
        "span_start": [span.start for _, span in lines],
        "span_end": [span.end for _, span in lines],
        "rows": [span.rows for _, span in lines],
    }
    arrays = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    arrays |= {name: pa.array(values, pa.int64()) for name, values in numbers.items()}
    return pa.table(arrays)
