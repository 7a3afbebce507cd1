"""The front door for readers: a lake as DuckDB views and table functions. Read-only, and never in a writer's way.

A statement reads the files of the lake and nothing else. DuckDB is told so before the first one (no network, no
extension, no file outside the lake's real path, no setting that undoes it); what it would still allow, a COPY into the
lake itself, is refused by the parse (``store/reading.py``).

Every answer is read from the newest immutable generation of each partition, found by arithmetic and short listings
(a standing view over 20,000 files costs 280 to 680 ms a query, a narrowed list 2.5). ``part.parquet`` is for others.
A generation stays for 15 minutes after it was superseded: a relation must be run within that time, or be made anew.
So it is in a bucket, whose generations DuckDB reads through ``store/duck_files.py``.
"""

from __future__ import annotations

import re
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import duckdb

from htxdata.errors import LakeUnusable, UsageError
from htxdata.market import PERIODS, is_glob
from htxdata.schema import DATASETS, Dataset, dataset
from htxdata.store import damage, findings, layout, ledger, narrow, place, reading, views
from htxdata.store.instants import EVER, Instant, instant_of, range_of, window_of
from htxdata.store.layout import Pattern, Selection, texts
from htxdata.store.tables import Tables
from htxdata.timeline import Window

if TYPE_CHECKING:
    import pyarrow as pa

_Made = TypeVar("_Made")
_ATTEMPTS = 5  # a list is rebuilt when one of its files was forgotten before DuckDB opened it


def open_lake(root: Path | str) -> Lake:
    return Lake(root)


class Lake(Tables[duckdb.DuckDBPyRelation]):
    """A lake to be read: a folder, or ``s3://bucket/prefix``.

    One that is missing is an empty lake: every view exists and has no rows.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = place.root_of(root)
        self.verbs = place.verbs(self.root)
        if isinstance(self.root, Path) and self.root.exists() and not self.root.is_dir():
            raise LakeUnusable(f"the lake {self.root} cannot be opened: it is a file")
        self._database = duckdb.connect(
            config={
                "python_enable_replacements": False,  # a variable of the caller's must not pass for a table
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        if isinstance(self.root, str):
            from htxdata.store.duck_files import BucketFiles

            self._database.register_filesystem(BucketFiles(self.root))
        for setting in (
            "SET GLOBAL TimeZone = 'UTC'",
            "SET GLOBAL parquet_metadata_cache = true",  # our files never change: a full list is bound in half the time
            # Where it puts what does not fit into memory counts as allowed: a folder of its own, made when needed.
            f"SET temp_directory = {views.quoted(f'{tempfile.gettempdir()}/htxdata-{uuid.uuid4().hex}')}",
            f"SET allowed_directories = [{views.quoted(str(self.root))}]",
            "SET enable_external_access = false",
            "SET lock_configuration = true",
        ):
            self._database.execute(setting)
        self._lock = threading.Lock()

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------- table functions

    def basket(
        self,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        at: Instant = None,
        known: Literal["received_at", "index_time"] = "received_at",
    ) -> duckdb.DuckDBPyRelation:
        """The basket of an index that was in force at ``at`` (None: the newest), each series' own; rows of
        ``index_constituents``, by exchange.

        ``known``: by which clock. ``received_at``: of the baskets that we had heard of by ``at``, the newest, so that
        nothing is known before its time. ``index_time``: the newest that was the venue's by ``at``, whenever we heard
        of it. Prices are those of when the basket began. Before the first there are no rows; up to when the last was
        confirmed is in ``coverage``.
        """
        if known not in ("received_at", "index_time"):
            raise UsageError(f"known={known!r}: choose from received_at, index_time")
        instant = instant_of(at, "at")
        heard = "" if instant is None else f" WHERE {known} <= {views.instant(instant)}"
        declared = dataset("index_constituents")
        self._check_names([declared], venue)

        def make(cursor: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> duckdb.DuckDBPyRelation:
            return cursor.sql(
                f"SELECT * FROM ({views.view_over(declared, files[declared.name])}){heard} "
                "QUALIFY index_time = max(index_time) OVER (PARTITION BY venue, symbol) "
                "ORDER BY venue, symbol, exchange, constituent"
            )

        return self._bound(make, {declared.name: (Selection(venue, symbol), EVER)})

    def table(
        self,
        name: str,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        period: Pattern = None,
        start: Instant = None,
        end: Instant = None,
    ) -> duckdb.DuckDBPyRelation:
        """Any stored dataset by its name; rows whose time lies in ``[start, end)``, by series, in order of time.

        Every relation has a connection of its own: join two by ``lake.sql``, not by ``relation.join``.
        """
        declared = dataset(name)
        if not declared.stored:
            raise UsageError(f"{name} has no files: use lake.{name}() or lake.sql()")
        if period is not None and not declared.has_period:
            raise UsageError(f"{name} has no periods: leave period out")
        self._check_names([declared], venue, period)
        low, high = range_of(start, end)
        selection = Selection(venue, symbol, period)

        def make(cursor: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> duckdb.DuckDBPyRelation:
            view = views.view_over(declared, files[name])
            return cursor.sql(f"SELECT * FROM ({view}){views.where(declared, low, high)}")

        return self._bound(make, {name: (selection, window_of(low, high))})

    def coverage(
        self,
        dataset: Pattern = None,
        symbol: Pattern = None,
        *,
        venue: Pattern = None,
        period: Pattern = None,
    ) -> duckdb.DuckDBPyRelation:
        """What is stored of each series, and the verdict on every hole: ``missing`` is what lies between two spans and
        was never asked for; before the first and after the last there is no row. ``period`` is a stored one."""
        self._check_names(list(layout.stored_datasets(dataset)), venue, period)
        cursor = self._cursor()
        self._register_coverage(cursor, dataset, symbol, venue, period)
        return cursor.sql("SELECT * FROM coverage ORDER BY dataset, venue, symbol, period, span_start")

    # --------------------------------------------------------------------------------------------- SQL

    def sql(self, text: str) -> duckdb.DuckDBPyRelation:
        """One statement that reads (SELECT, WITH, FROM, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN) over the views."""
        inner = self._checked(text)
        # By the text and not by cursor.get_table_names(), which binds, and without the views fails on JOIN … USING.
        mentioned = {entry.name for entry in DATASETS if entry.name in text.lower()}
        parsed = self._parsed(inner)
        wanted = {
            entry.name: (narrow.selection(parsed, entry.name, has_period=entry.has_period), EVER)
            for entry in DATASETS
            if entry.stored and entry.name in mentioned
        }

        # A view takes half a millisecond to make: all of them are there only for who looks around.
        everything = _LOOKS_AROUND.search(text) is not None

        def make(cursor: duckdb.DuckDBPyConnection, files: dict[str, list[str]]) -> duckdb.DuckDBPyRelation:
            self._make_views(cursor, mentioned, files)
            if findings.VIEW in text.lower():
                cursor.register("_findings", findings.read(self.root))
                cursor.execute(f"CREATE TEMP VIEW {findings.VIEW} AS SELECT * FROM _findings")
            if everything:
                self._make_views(cursor, _NAMES - mentioned, _UNREAD)
            try:
                relation: duckdb.DuckDBPyRelation | None = cursor.sql(text)
            except duckdb.CatalogException:
                if everything:
                    raise
                # The message may name a view that is meant.
                self._make_views(cursor, _NAMES - mentioned, _UNREAD)
                relation = cursor.sql(text)
            if relation is None:
                raise UsageError("the statement answers nothing")
            return relation

        return self._bound(make, wanted)

    def answer(self, text: str) -> pa.Table:
        """All rows of a statement at once. What fails only when it runs is told as what fails before: a
        ``CorruptPartition`` that names the file where one of those that it reads is damaged, else a ``UsageError``."""
        relation = self.sql(text)
        try:
            return relation.to_arrow_table()
        except duckdb.Error as error:
            lowered = text.lower()
            for entry in DATASETS:
                if entry.stored and entry.name in lowered:
                    for _, path in ledger.files(self.root, entry, Selection()):
                        damage.read_through(entry, path, str(error))
            raise UsageError(f"the query failed: {error}") from error

    def _make_views(
        self, cursor: duckdb.DuckDBPyConnection, names: set[str], files: dict[str, list[str]]
    ) -> None:
        for entry in DATASETS:
            if entry.name not in names:
                continue
            if entry.name == "coverage" and files is not _UNREAD:
                self._register_coverage(cursor, None, None, None, None)
            else:
                view = views.view_over(entry, files.get(entry.name, []))
                cursor.execute(f'CREATE TEMP VIEW "{entry.name}" AS {view}')

    def _checked(self, text: str) -> str:
        """The SELECT in ``text``, or a ``UsageError``: nothing else may run here."""
        cursor = self._cursor()
        reading.check_depth(text)
        try:
            text.encode()
        except UnicodeEncodeError as error:  # an argument of the command line whose bytes are no UTF-8
            raise UsageError(f"not SQL that DuckDB can read: {error}") from None
        try:
            statements = cursor.extract_statements(text)
            if len(statements) != 1:
                raise UsageError(f"one statement at a time: got {len(statements)}")
            kind = statements[0].type.name
            if kind == "SELECT":
                return text
            if kind == "EXPLAIN":  # EXPLAIN ANALYZE runs what it explains
                inner = _EXPLAIN.sub("", text, count=1)
                if inner != text and [each.type.name for each in cursor.extract_statements(inner)] == [
                    "SELECT"
                ]:
                    return inner
        except duckdb.Error as error:
            raise UsageError(f"not SQL that DuckDB can read: {error}") from error
        raise UsageError(
            f"the lake is read-only: {kind} is refused; "
            "allowed are SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE, SHOW and EXPLAIN of these"
        )

    def _parsed(self, text: str) -> dict[str, Any]:
        """DuckDB's own parse of a SELECT, or a ``UsageError`` where any part of it does more than read."""
        told = self._cursor().execute("SELECT json_serialize_sql(?)", [text]).fetchall()[0][0]
        found, inner = reading.parsed(told)
        for each in inner:
            self._parsed(each)
        return found

    # ---------------------------------------------------------------------------------------- plumbing

    def _check_names(self, declared: Sequence[Dataset], venue: Pattern, period: Pattern = None) -> None:
        """``UsageError`` for a name that can be of nothing. A symbol may be anything, and simply not be in the lake;
        so may whatever a glob means, and a venue: the store knows none."""
        for each in texts(period):
            if not is_glob(each) and each not in PERIODS:
                raise UsageError(f"period={each!r} is not a stored period: choose from {', '.join(PERIODS)}")

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            return self._database.cursor()

    def _bound(
        self,
        make: Callable[[duckdb.DuckDBPyConnection, dict[str, list[str]]], _Made],
        wanted: dict[str, tuple[Selection, Window]],
    ) -> _Made:
        """``make(cursor, files)``, again with a new list when a file of the old one is gone."""
        for attempt in range(_ATTEMPTS):
            files = {
                name: [path for _, path in ledger.files(self.root, dataset(name), selection, window)]
                for name, (selection, window) in wanted.items()
            }
            try:
                # A connection of its own: a stream that is read half-way blocks its connection, not the next query.
                return make(self._cursor(), files)
            except (duckdb.Error, FileNotFoundError) as error:
                paths = [path for each in files.values() for path in each]
                if not all(map(self.verbs.is_there, paths)) and attempt < _ATTEMPTS - 1:
                    continue
                whole = not isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException)
                damage.find(self.verbs, paths, whole=whole)
                if isinstance(error, duckdb.PermissionException):
                    raise UsageError(self._outside(paths, error)) from error
                raise UsageError(str(error)) from error
        raise AssertionError("unreachable")

    def _outside(self, paths: list[str], error: Exception) -> str:
        """A file that no statement may touch: the caller's, or one of ours behind a link that leads away."""
        for path in paths if isinstance(self.root, Path) else ():
            real = Path(self.root).resolve()
            if not Path(path).resolve().is_relative_to(real):
                return (
                    f"{path} leads out of the lake {self.root} by a symbolic link, and a query reads nothing outside: "
                    "mount (or bind) the other disk there instead of linking to it"
                )
        said = str(error).partition("\n")[0].removeprefix("Permission Error: ")
        return f"a query reads the lake {self.root} and nothing else: {said}"

    def _register_coverage(
        self,
        cursor: duckdb.DuckDBPyConnection,
        dataset: Pattern,
        symbol: Pattern,
        venue: Pattern,
        period: Pattern,
    ) -> None:
        found = ledger.lake_coverage(self.root, dataset, venue, symbol, period)
        cursor.register("_spans", views.span_table(found))
        cursor.execute(f"CREATE TEMP VIEW coverage AS SELECT {views.coverage_columns()} FROM _spans")


_NAMES = {entry.name for entry in DATASETS}
_UNREAD: dict[str, list[str]] = {}
"""For views that are there to be seen: they have no rows."""

_LOOKS_AROUND = re.compile(
    r"\b(show|describe|duckdb_\w+|information_schema|pg_\w+|sqlite_\w+|query\w*)\b", re.IGNORECASE
)
_EXPLAIN = re.compile(r"^\s*explain(\s+analyze)?(\s*\([^)]*\))?\s+", re.IGNORECASE)


