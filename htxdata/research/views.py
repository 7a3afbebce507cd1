"""The lake's views and macros as a ``.sql`` file, for DuckDB without us: ``duckdb -init views.sql``."""

from __future__ import annotations

from collections.abc import Sequence

from htxdata.research import macros
from htxdata.research.asof import text
from htxdata.schema import DATASETS, Dataset
from htxdata.schema.sql import select_list, view_columns
from htxdata.store import findings, ledger
from htxdata.store.coverage import with_missing
from htxdata.store.layout import Selection
from htxdata.store.place import Look, Root, verbs

_HEAD = """
-- The views and macros of a lake, made by htxdata ("htxdata query --print-views"). duckdb -init views.sql
-- Rows are read when a view is queried. Of a dataset without files the view is empty, and `coverage` says what was
-- stored when this was made: make it anew when that changed. A query that meets a partition while it is rewritten may
-- fail, loudly: run it again. htxdata.open_lake() and `htxdata query` never do.
SET TimeZone = 'UTC';
""".strip()


def views_sql(root: Root, venue_days: Sequence[tuple[str, int]]) -> str:
    """The text. ``venue_days``: venues, and microseconds after midnight UTC when their days open.

    Views have the columns and types of the lake's own, and read ``part.parquet`` of every partition.
    """
    stored = [entry for entry in DATASETS if entry.stored]
    look = ledger.look_at(root, stored, Selection())
    views = [_view(root, entry, look) for entry in stored]
    return "\n".join(
        [_HEAD, macros.BUCKETS, macros.venue_days(venue_days), *views, _coverage(root), _findings(root), ""]
    )


def _stone(columns: Sequence[tuple[str, str]]) -> str:
    return "SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns) + " WHERE false"


def _view(root: Root, declared: Dataset, look: Look) -> str:
    body = _stone(view_columns(declared))
    if next(ledger.files(root, declared, Selection(), look=look), None) is not None:
        folders = "/".join("*" for _ in (*declared.path_columns, "cell"))
        files = text(f"{_literal(root)}/{declared.name}/{folders}/part.parquet")
        body = (
            f"SELECT {select_list(declared)} FROM ({body} UNION ALL BY NAME SELECT * FROM read_parquet({files}, "
            "hive_partitioning = true, hive_types_autocast = false, union_by_name = true))"
        )
    return f'CREATE OR REPLACE VIEW "{declared.name}" AS {body};'


def _literal(root: Root) -> str:
    """A folder in which a glob means nothing but itself."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(root))


def _coverage(root: Root) -> str:
    columns = view_columns(next(entry for entry in DATASETS if entry.name == "coverage"))
    rows = []
    for line, spans in ledger.lake_coverage(root).items():
        for span in with_missing(spans):
            values = {
                "dataset": text(line.dataset), "venue": text(line.venue), "symbol": text(line.symbol),
                "period": "NULL" if line.period is None else text(line.period), "verdict": text(span.verdict),
                "source": text(span.source), "rows": str(span.rows),
                "span_start": f"make_timestamptz({span.start})", "span_end": f"make_timestamptz({span.end})",
            }  # fmt: skip
            rows.append("(" + ", ".join(values[name] for name, _ in columns) + ")")
    body = _stone(columns)
    if rows:
        names = ", ".join(f'"{name}"' for name, _ in columns)
        typed = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in columns)
        listed = ",\n".join(rows)
        body = f"SELECT {typed} FROM (VALUES\n{listed}\n) AS spans({names})"
    return f"CREATE OR REPLACE VIEW coverage AS {body};"


def _findings(root: Root) -> str:
    body = _stone([(name, kind) for name, kind, _ in findings.COLUMNS])
    if verbs(root).load(f"{root}/{findings.FILE}") is not None:
        names = ", ".join(f'"{name}"' for name, _, _ in findings.COLUMNS)
        body = f"SELECT {names} FROM read_parquet({text(f'{_literal(root)}/{findings.FILE}')})"
    return f"CREATE OR REPLACE VIEW {findings.VIEW} AS {body};"
