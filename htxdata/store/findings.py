"""What the last audits found: ``<lake>/.htxdata/audit.parquet``, replaced at once.

Derived from the lake and nothing else: deleting it loses what the next audit says again. The view ``audit_findings``
shows it. Its columns differ from the fields of a finding where SQL reserves the word (``check``, ``at``, ``column``).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import CorruptPartition
from htxdata.store.place import Root, verbs

FILE = ".htxdata/audit.parquet"
VIEW = "audit_findings"

COLUMNS: tuple[tuple[str, str, pa.DataType], ...] = (
    ("dataset", "VARCHAR", pa.string()),
    ("venue", "VARCHAR", pa.string()),
    ("symbol", "VARCHAR", pa.string()),
    ("period", "VARCHAR", pa.string()),
    ("check_name", "VARCHAR", pa.string()),
    ("at_time", "TIMESTAMP WITH TIME ZONE", pa.timestamp("us", tz="UTC")),
    ("column_name", "VARCHAR", pa.string()),
    ("ours", "DOUBLE", pa.float64()),
    ("theirs", "DOUBLE", pa.float64()),
    ("detail", "VARCHAR", pa.string()),
)
SCHEMA = pa.schema([pa.field(name, kind) for name, _, kind in COLUMNS])


def read(root: Root) -> pa.Table:
    """The findings that are stored; none where nothing was ever audited."""
    path = f"{root}/{FILE}"
    try:
        content = verbs(root).load(path)
    except OSError as error:
        raise CorruptPartition(_unreadable(path, error)) from error
    return _table(path, content)


def replace(root: Root, change: Callable[[pa.Table], pa.Table]) -> bool:
    """Put ``change(what is stored)`` in its place; whether anything differs. Where nothing does, nothing is written.

    Two audits at once keep each other's findings: the second to end goes by what the first wrote.
    """
    path = f"{root}/{FILE}"

    def changed(content: bytes | None) -> bytes | None:
        before = None
        with contextlib.suppress(CorruptPartition):
            before = _table(path, content)
        after = change(SCHEMA.empty_table() if before is None else before).cast(SCHEMA)
        if before is not None and after.equals(before):
            return None
        sink = io.BytesIO()
        pq.write_table(after, sink, compression="zstd")
        return sink.getvalue()

    return verbs(root).swap(root, path, changed)


def _table(path: str, content: bytes | None) -> pa.Table:
    if content is None:
        return SCHEMA.empty_table()
    try:
        return pq.read_table(io.BytesIO(content)).select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptPartition(_unreadable(path, error)) from error


def _unreadable(path: str, error: Exception) -> str:
    return f"{path} cannot be read: {error}; delete it, the next audit writes it"
