"""What the last audits found: ``<lake>/.htxdata/audit.parquet``, written aside and replaced at once.

Derived from the lake and nothing else: deleting it loses what the next audit says again. The view ``audit_findings``
shows it. Its columns differ from the fields of a finding where SQL reserves the word (``check``, ``at``, ``column``).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import CorruptPartition, LakeUnusable

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


def read(root: Path | str) -> pa.Table:
    """The findings that are stored; none where nothing was ever audited."""
    path = Path(root, FILE)
    try:
        with path.open("rb") as file:
            return pq.read_table(file).select(SCHEMA.names).cast(SCHEMA)
    except FileNotFoundError:
        return SCHEMA.empty_table()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise CorruptPartition(
            f"{path} cannot be read: {error}; delete it, the next audit writes it"
        ) from error


def replace(root: Path | str, change: Callable[[pa.Table], pa.Table]) -> bool:
    """Put ``change(what is stored)`` in its place; whether anything differs. Where nothing does, nothing is written."""
    if not Path(root).is_dir():
        return False  # no lake, and so nothing in it
    with _alone(root):
        try:
            before = read(root)
        except CorruptPartition:
            before = None
        after = change(SCHEMA.empty_table() if before is None else before).cast(SCHEMA)
        if before is not None and after.equals(before):
            return False
        _write(Path(root, FILE), after)
        return True


def _write(target: Path, table: pa.Table) -> None:
    aside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with aside.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise LakeUnusable(f"{target} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _alone(root: Path | str) -> Iterator[None]:
    """Two audits at once keep each other's findings: the second to end waits, and reads what the first wrote."""
    path = Path(root, FILE).with_name("audit.lock")
    try:
        path.parent.mkdir(exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise LakeUnusable(f"{path} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
