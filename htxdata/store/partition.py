"""The commit: the only way by which rows and verdicts get into the lake. ``store/disk.py`` makes it survive,
in a bucket ``store/bucket.py``, where another writer may be quicker: then the merge is made again from what he wrote.

Under the partition's lock: read the newest generation, merge by key (``store/merge.py``), judge the spans
(``store/coverage.py``), write aside, publish. Rows and what they prove are one file, so they cannot disagree. Where
neither changes, nothing is written at all; where only the latter does, the bytes of the rows are copied.

``commit`` holds the rows of the partition in memory, ``commit_sorted`` and ``writer`` (``store/stream.py``) do not. All
three end in the same file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from htxdata.errors import LakeUnusable, StoreError
from htxdata.market import PERIODS, Series, grid_of
from htxdata.schema import Dataset, dataset
from htxdata.store import coverage, disk, footer, generations, layout, ledger, milestones, place
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer, SourceFile, Span
from htxdata.store.layout import Partition, Pattern
from htxdata.timeline import DAY, Grid, Window, iso

if TYPE_CHECKING:
    import pyarrow as pa

    from htxdata.store.stream import Writer

OnReplace = Callable[["pa.Table", "pa.Table"], None] | None
"""Gets every version that lost, and row by row the versions that they lost to."""

_LARGE = 1 << 20  # rows of a partition from which on it is not read into memory to add some
_COPIED_AT_ONCE = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. ``rows`` is the partition's total, ``unfit`` counts the values of the rows that it took which
    no DOUBLE carries digit for digit. ``changed`` is false where nothing was written."""

    added: int = 0
    replaced: int = 0
    rows: int = 0
    changed: bool = False
    unfit: int = 0


class Store:
    """A lake, to be written: a folder, or ``s3://bucket/prefix``.

    Making one touches nothing; the first commit makes the folders.
    """

    def __init__(self, root: Path | str, *, grace: float = disk.GRACE) -> None:
        """``grace``: seconds that a superseded generation stays for readers."""
        self.root = place.root_of(root)
        self.verbs = place.verbs(self.root)
        self.grace = grace
        if isinstance(self.root, str):
            return
        for path in (self.root, *self.root.parents):
            if path.exists():
                if not path.is_dir():
                    raise LakeUnusable(f"the lake {self.root} cannot be used: {path} is a file")
                break

    @property
    def beside(self) -> Path:
        """The folder of this machine for what is kept beside the lake; all of it may be deleted."""
        return place.beside(self.root)

    def folder(self, partition: Partition) -> str:
        return f"{self.root}/{partition.folder}"

    # ------------------------------------------------------------------------------------------ writing

    def commit(
        self,
        partition: Partition,
        table: pa.Table | None,
        asked: Sequence[Asked] = (),
        *,
        grid: Grid | None = None,
        on_replace: OnReplace = None,
        files: Iterable[SourceFile] = (),
    ) -> Committed:
        """Put rows, and what was asked for them, into a partition. When it returns, both survive a power cut.

        ``table`` comes from ``schema.arrow.conform`` (rows in any order, its ``UNFIT`` column if there is one), or is
        ``None`` where there are only verdicts to store. ``grid`` says where slots open; left out, a period below a day
        opens at UTC multiples of itself. Without rows and windows, a commit heals the partition and forgets
        generations past their grace. ``files`` are those of an archive that the rows were read from; of a file that is
        remembered already, the version that was checked last stays.

        ``on_replace`` gets every version that lost, the dataset's columns and ``superseded_at`` (when the winning
        version was received), and row by row the versions that they lost to, before anything is written: a crash in
        between leaves both versions.
        """
        declared = dataset(partition.dataset)
        window = partition.window
        grid = slots(declared, partition, grid, asked)
        new, unfit = _incoming(declared, partition, window, table)
        folder = self.folder(partition)
        files = tuple(files)
        if new is None and not asked and not files and not self.verbs.is_folder(folder):
            return Committed()
        from htxdata.store import merge, rows

        def work(newest: generations.Generation | None) -> Committed | None:
            nonlocal new
            if newest is not None and (new is None or not new.num_rows):
                return self._restate(partition, newest, asked, grid, files)
            old, before = None, Footer()
            if newest is not None:
                with self.verbs.open_path(newest.path) as file:
                    if declared.has_period or rows.Reader(declared, file, newest.path).rows < _LARGE:
                        old, before = rows.unpack(declared, file, newest.path)
            if newest is None or old is not None:
                if new is None:
                    new = rows.checked(declared, _nothing(declared))
                merged = merge.merge(declared, old, new if old is None else rows.as_texts(new))
                times = merge.times_of(declared, merged.table)
                heard = int(unfit[merged.taken].sum()) if unfit is not None and merged.changed else 0
                after = judged(declared, partition, grid, before, asked, times, heard, files)
                if merged.superseded is not None:
                    hand_over(merged.superseded, merged.winners, on_replace)
                changed = merged.changed or after != before
                if changed:
                    self.verbs.publish(folder, newest, memoryview(rows.pack(merged.table, after)))
                return Committed(merged.added, merged.replaced, merged.table.num_rows, changed, heard)
            return None

        done = self.verbs.alone(self.root, folder, self.grace, work)
        if done is not None:
            return done
        assert table is not None
        with self.writer(partition, grid=grid, on_replace=on_replace) as writer:
            writer.write(_sorted(declared, table))
            writer.stage()
            return writer.commit(asked, files=files)

    def commit_sorted(
        self,
        partition: Partition,
        tables: Iterable[pa.Table],
        asked: Sequence[Asked] = (),
        *,
        grid: Grid | None = None,
        on_replace: OnReplace = None,
        files: Iterable[SourceFile] = (),
    ) -> Committed:
        """:meth:`commit` of any number of rows in flat memory. The rows ascend by time, within and across the tables.

        The result is that of ``commit`` of all tables at once. Rows of one instant may come in any order. Where a row
        is earlier than one before it, or ``tables`` raises, nothing is written. The lock is held only after the last
        table: ``tables`` may take its time, and may commit to other partitions.
        """
        with self.writer(partition, grid=grid, on_replace=on_replace) as writer:
            for table in tables:
                writer.write(table)
            return writer.commit(asked, files=files)

    def writer(
        self,
        partition: Partition,
        *,
        grid: Grid | None = None,
        on_replace: OnReplace = None,
    ) -> Writer:
        """:meth:`commit_sorted` for who hands the tables over one by one: ``write``, then ``commit`` or ``abort``."""
        from htxdata.store.stream import Writer

        return Writer(self, partition, grid=grid, on_replace=on_replace)

    def _restate(
        self,
        partition: Partition,
        newest: generations.Generation,
        asked: Sequence[Asked],
        grid: Grid | None,
        files: tuple[SourceFile, ...],
    ) -> Committed:
        """A commit without rows: the file's own stay as they are, byte by byte."""
        from htxdata.store import rows
        from htxdata.store.aside import Times

        declared = dataset(partition.dataset)
        folder = self.folder(partition)
        with self.verbs.open_path(newest.path) as file, Times(self.verbs.scratch(folder)) as times:
            reader = rows.Reader(declared, file, newest.path)
            for table in reader.tables([declared.time_column]):
                times.add(table[declared.time_column])
            after = judged(declared, partition, grid, reader.footer, asked, times.all(), 0, files)
            changed = after != reader.footer
            if changed:
                _publish_restated(self, folder, newest, file, after)
            return Committed(0, 0, reader.rows, changed, 0)

    # ------------------------------------------------------------------------------------------ reading

    def read(self, partition: Partition) -> pa.Table | None:
        """All rows of a partition, sorted; ``None`` where it was never committed."""
        from htxdata.schema.arrow import arrow_schema
        from htxdata.store import rows

        found = self.verbs.open_newest(self.folder(partition))
        if found is None:
            return None
        generation, file = found
        with file:
            declared = dataset(partition.dataset)
            table, _ = rows.unpack(declared, file, generation.path)
        return table.select(arrow_schema(declared).names)

    def tables(self, partition: Partition, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """All rows of a partition in their order, some at once, whatever their number; none where there are none.

        ``columns``: only these. The newest generation when the first is asked for; later commits do not show.
        """
        from htxdata.schema.arrow import arrow_schema
        from htxdata.store import rows

        found = self.verbs.open_newest(self.folder(partition))
        if found is None:
            return
        generation, file = found
        with file:
            declared = dataset(partition.dataset)
            names = arrow_schema(declared).names if columns is None else list(columns)
            for table in rows.Reader(declared, file, generation.path).tables():
                yield rows.as_texts(table.select(names))

    def footer(self, partition: Partition) -> Footer | None:
        """Spans and count of unfit values; reads some kilobytes and needs no pyarrow."""
        found = self.verbs.open_newest(self.folder(partition), tail=True)
        if found is None:
            return None
        generation, file = found
        with file:
            return footer.read(file, generation.path)

    def spans(self, partition: Partition) -> list[Span]:
        found = self.footer(partition)
        return list(found.spans) if found else []

    def files(self, partition: Partition) -> tuple[SourceFile, ...]:
        """The files of an archive that the partition was compared with, in order of their keys."""
        found = self.footer(partition)
        return found.files if found else ()

    def coverage(self, series: Series) -> list[Span]:
        """The spans of all partitions of a series; those that touch across a border and agree are one."""
        exact = layout.Selection(series.venue, series.symbol, series.period, verbatim=True)
        spans = [
            span
            for partition in ledger.partitions(self.root, dataset(series.dataset), exact)
            for span in self.spans(partition)
        ]
        return coverage.across(spans)

    def partitions(self, series: Series) -> list[Partition]:
        """The partitions of a series that were committed, oldest first."""
        exact = layout.Selection(series.venue, series.symbol, series.period, verbatim=True)
        return list(ledger.partitions(self.root, dataset(series.dataset), exact))

    def series(
        self,
        dataset: Pattern = None,
        venue: Pattern = None,
        symbol: Pattern = None,
        period: Pattern = None,
    ) -> list[Series]:
        """The series in the lake. Each argument is a text, a glob, or several."""
        selection = layout.Selection(venue, symbol, period)
        meant = list(layout.stored_datasets(dataset))
        look = ledger.look_at(self.root, meant, selection)
        return [
            series
            for declared in meant
            for series, _ in ledger.series(self.root, declared, selection, look)
        ]


def slots(declared: Dataset, partition: Partition, grid: Grid | None, asked: Sequence[Asked]) -> Grid | None:
    """Where the slots open by which the partition is judged; ``None`` where it has none."""
    if declared.density != "grid" or grid is not None:
        return grid if declared.density == "grid" else None
    step = PERIODS[partition.period or ""]
    if not asked or 0 < step < DAY:
        return grid_of(partition.period or "")
    raise StoreError(f"{partition}: where its candles open differs per venue: pass grid=")


def judged(
    declared: Dataset,
    partition: Partition,
    grid: Grid | None,
    before: Footer,
    asked: Sequence[Asked],
    times: Any,
    heard: int,
    files: Iterable[SourceFile],
) -> Footer:
    """What the partition says about itself after a commit; ``times`` are those of all its rows, ascending."""
    recheck = declared.recheck(partition.period)
    spans = coverage.judge(
        declared.density, grid, partition.window, before.spans, asked, times, recheck
    )
    known = before.files if not files else footer.remembered(before.files, files)
    return Footer(tuple(spans), before.unfit + heard, known)


def hand_over(lost: pa.Table, won: pa.Table | None, on_replace: OnReplace) -> None:
    if on_replace is not None and won is not None:  # versions that are rows of the table themselves have no winners
        on_replace(lost, won)


def _publish_restated(
    store: Store, folder: str, newest: generations.Generation, file: IO[bytes], after: Footer
) -> None:
    end, tail = footer.restated(file, newest.path, after)
    file.seek(0)
    if end <= _COPIED_AT_ONCE:
        store.verbs.publish(folder, newest, file.read(end) + tail)
        return
    milestones.step("begin")
    with store.verbs.draft(store.root, folder) as draft:
        with open(draft.path, "wb") as copy:
            while end:
                end -= copy.write(file.read(min(end, _COPIED_AT_ONCE)))
            copy.write(tail)
        store.verbs.publish_draft(folder, newest, draft)


def _incoming(
    declared: Dataset, partition: Partition, window: Window, table: pa.Table | None
) -> tuple[pa.Table | None, Any]:
    """The rows as they may be stored, and the ``UNFIT`` column beside them."""
    if table is None:
        return None, None
    from htxdata.schema.arrow import UNFIT
    from htxdata.store import merge, rows

    unfit = None
    if UNFIT in table.column_names:
        unfit = table[UNFIT].combine_chunks().fill_null(0).to_numpy(zero_copy_only=False).astype("int64")
        table = table.drop_columns([UNFIT])
    table = rows.checked(declared, table)
    if table.num_rows:
        times = merge.times_of(declared, table)
        low, high = int(times.min()), int(times.max())
        if low < window.start or high >= window.end:
            stray = low if low < window.start else high
            raise StoreError(f"{partition}: a row at {iso(stray)} lies outside {window}; nothing was written")
    return table, unfit


def _sorted(declared: Dataset, table: pa.Table) -> pa.Table:
    """By time, then key. Nothing sorts by a dictionary, which texts of few values are."""
    import pyarrow.compute as pc

    from htxdata.store import rows

    names = list(dict.fromkeys((declared.time_column, *declared.key)))
    order = pc.sort_indices(
        rows.as_texts(table.select(names)), sort_keys=[(name, "ascending") for name in names]
    )
    return table.take(order)


def _nothing(declared: Dataset) -> pa.Table:
    from htxdata.schema.arrow import arrow_schema

    return arrow_schema(declared).empty_table()
