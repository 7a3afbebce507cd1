"""The commit: the only way by which rows and verdicts get into the lake. ``store/disk.py`` makes it survive.

Under the partition's lock: read the newest generation, merge by key (``store/merge.py``), judge the spans
(``store/coverage.py``), write aside, publish. Rows and what they prove are one file, so they cannot disagree. Where
neither changes, nothing is written at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htxdata.errors import LakeUnusable, StoreError
from htxdata.market import PERIODS, Series, grid_of
from htxdata.schema import Dataset, dataset
from htxdata.store import coverage, disk, footer, layout, ledger
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer, Span
from htxdata.store.layout import Partition, Pattern
from htxdata.timeline import DAY, Grid, Window, iso

if TYPE_CHECKING:
    import pyarrow as pa


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
    """A lake on a local disk, to be written. Making one touches nothing; the first commit makes the folders."""

    def __init__(self, root: Path | str, *, grace: float = disk.GRACE) -> None:
        """``grace``: seconds that a superseded generation stays for readers."""
        self.root = Path(root).expanduser().absolute()
        self._grace = grace
        for path in (self.root, *self.root.parents):
            if path.exists():
                if not path.is_dir():
                    raise LakeUnusable(f"the lake {self.root} cannot be used: {path} is a file")
                break

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
        on_replace: Callable[[pa.Table], None] | None = None,
    ) -> Committed:
        """Put rows, and what was asked for them, into a partition. When it returns, both survive a power cut.

        ``table`` comes from ``schema.arrow.conform`` (rows in any order, its ``UNFIT`` column if there is one), or is
        ``None`` where there are only verdicts to store. ``grid`` says where slots open; left out, a period below a day
        opens at UTC multiples of itself. Without rows and windows, a commit heals the partition and forgets
        generations past their grace.

        ``on_replace`` gets every version that lost, the dataset's columns and ``superseded_at`` (when the winning
        version was received), before anything is written: a crash in between leaves both versions.
        """
        declared = dataset(partition.dataset)
        window = partition.window
        grid = _grid(declared, partition, grid, asked)
        new, unfit = _incoming(declared, partition, window, table)
        folder = self.folder(partition)
        if new is None and not asked and not Path(folder).is_dir():
            return Committed()
        from htxdata.store import merge, rows

        with disk.locked(self.root, folder, self._grace) as newest:
            old, before = None, Footer()
            if newest is not None:
                with open(newest.path, "rb") as file:
                    old, before = rows.unpack(declared, file, newest.path)
            if new is None:
                new = rows.checked(declared, _nothing(declared))
            merged = merge.merge(declared, old, new)
            spans = coverage.judge(
                declared.density, grid, window, before.spans, asked,
                merge.times_of(declared, merged.table), declared.recheck(partition.period),
            )  # fmt: skip
            heard = int(unfit[merged.taken].sum()) if unfit is not None and merged.changed else 0
            after = Footer(tuple(spans), before.unfit + heard)
            if merged.superseded is not None and on_replace is not None:
                on_replace(merged.superseded)
            changed = merged.changed or after != before
            if changed:
                disk.publish(folder, newest, memoryview(rows.pack(merged.table, after)))
            return Committed(merged.added, merged.replaced, merged.table.num_rows, changed, heard)

    # ------------------------------------------------------------------------------------------ reading

    def read(self, partition: Partition) -> pa.Table | None:
        """All rows of a partition, sorted; ``None`` where it was never committed."""
        from htxdata.schema.arrow import arrow_schema
        from htxdata.store import rows

        found = disk.open_newest(self.folder(partition))
        if found is None:
            return None
        generation, file = found
        with file:
            declared = dataset(partition.dataset)
            table, _ = rows.unpack(declared, file, generation.path)
        return table.select(arrow_schema(declared).names)

    def footer(self, partition: Partition) -> Footer | None:
        """Spans and count of unfit values; reads some kilobytes and needs no pyarrow."""
        found = disk.open_newest(self.folder(partition))
        if found is None:
            return None
        generation, file = found
        with file:
            return footer.read(file, generation.path)

    def spans(self, partition: Partition) -> list[Span]:
        found = self.footer(partition)
        return list(found.spans) if found else []

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
        return [
            series
            for declared in layout.stored_datasets(dataset)
            for series, _ in ledger.series(self.root, declared, selection)
        ]


def _grid(declared: Dataset, partition: Partition, grid: Grid | None, asked: Sequence[Asked]) -> Grid | None:
    if declared.density != "grid" or grid is not None:
        return grid if declared.density == "grid" else None
    step = PERIODS[partition.period or ""]
    if not asked or 0 < step < DAY:
        return grid_of(partition.period or "")
    raise StoreError(f"{partition}: where its candles open differs per venue: pass grid=")


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


def _nothing(declared: Dataset) -> pa.Table:
    from htxdata.schema.arrow import arrow_schema

    return arrow_schema(declared).empty_table()
