"""Datasets as the text of their DuckDB views."""

from __future__ import annotations

from htxdata.schema.columns import COLUMNS, Kind
from htxdata.schema.terms import Dataset

TYPES: dict[Kind, str] = {"ts": "TIMESTAMP WITH TIME ZONE", "f": "DOUBLE", "i": "BIGINT", "s": "VARCHAR"}


def view_columns(dataset: Dataset) -> list[tuple[str, str]]:
    """Name and SQL type of every column of the view, in order."""
    names = [*dataset.path_columns, *(name for name in dataset.columns if name not in dataset.path_columns)]
    if not dataset.stored:
        names = ["dataset", "venue", "symbol", "period", *(n for n in names if n not in
                 ("dataset", "venue", "symbol", "period"))]  # fmt: skip
    return [(name, TYPES[COLUMNS[name].kind]) for name in names]


def select_list(dataset: Dataset) -> str:
    """The select list that gives a view its columns, in order and typed."""
    return ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in view_columns(dataset))
