"""What is asked of rows that somebody hands over: when the bars in them close, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import duckdb
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.research import asof, periods
from htxdata.research.asof import Which
from htxdata.store.layout import Selection

_Relation = duckdb.DuckDBPyRelation

_numbers = count()  # names of views are never used twice: a relation looks its view up again when it runs


def table(rows: Any) -> pa.Table:
    """A table of Arrow, pandas or Polars as one of Arrow."""
    if isinstance(rows, pa.Table):
        return rows
    if hasattr(rows, "to_arrow"):
        return rows.to_arrow()
    if hasattr(rows, "iloc"):
        return pa.Table.from_pandas(rows, preserve_index=False)
    raise UsageError(
        f"rows are a {type(rows).__name__}: give a relation, SQL text, or a table of Arrow, pandas, Polars"
    )


def query(relation: _Relation, text: Callable[[str], str]) -> _Relation:
    """A statement over ``relation``, told by what name to call it, on the connection of that relation."""
    name = f"_asof{next(_numbers)}"
    made = relation.query(name, text(name))
    assert made is not None
    return made


def close(relation: _Relation, at: str | None, opens: Callable[[str, list[str]], int | None]) -> str:
    """When the bars of a relation close, as an expression of type TIMESTAMP WITH TIME ZONE over its columns.

    ``at`` names the column that says it. ``opens`` tells when days of a venue open, for periods that need it.
    """
    columns = relation.columns
    if at is not None and at not in columns:
        raise UsageError(f"at={at!r} is no column: there are {', '.join(columns)}")
    moment = at or ("close_time" if "close_time" in columns else "open_time")
    told = asof.quoted(moment)
    if at is None and moment == "open_time":
        lengths: set[tuple[str, str]] = set()
        if "open_time" in columns and "period" in columns:
            venue = "venue" if "venue" in columns else "''"
            found = query(relation, lambda name: f"SELECT DISTINCT {venue}, period FROM {name}").fetchall()
            lengths = {(row[0], row[1]) for row in found}
        of_venue = {venue: opens(venue, [period]) for venue, period in lengths if periods.by_calendar(period)}
        told = asof.close_of(columns, lengths, of_venue)
    kind = str(relation.types[columns.index(moment)])
    if not kind.startswith("TIMESTAMP"):
        raise UsageError(f"{moment} is {kind}: when bars close is told by instants")
    if "ZONE" not in kind:  # naive: UTC, as everywhere
        told = f"CAST({told} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return f"({told})"


def ends(relation: _Relation, keys: Sequence[str], close: str) -> list[tuple[Any, ...]]:
    """For each of ``keys`` (venue, symbol) that occur, the first and the last close in microseconds."""
    bounds = [f"epoch_us({end}({close})) AS {end}_close" for end in ("min", "max")]
    grouped = " GROUP BY ALL" if keys else ""
    return query(relation, lambda name: f"SELECT {', '.join([*keys, *bounds])} FROM {name}{grouped}").fetchall()


def series_of(which: Which, keys: Sequence[str], found: list[tuple[Any, ...]]) -> Selection:
    """The series that are joined, as far as they are known by name; ``found`` begins with the values of ``keys``."""
    if isinstance(which, tuple):
        return Selection([which[0]], [which[1]], verbatim=True)
    values = {name: sorted({row[at] for row in found if row[at] is not None}) for at, name in enumerate(keys)}
    symbols = [which] if isinstance(which, str) else values.get("symbol")
    return Selection(values.get("venue"), symbols, verbatim=True)
