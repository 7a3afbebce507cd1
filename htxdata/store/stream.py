"""A commit of rows that do not fit into memory: they go to the disk as they come.

Two steps. Without the partition's lock, the incoming rows are settled among themselves and written into a draft, in the
encoding of a partition file (:class:`Writer`). Under the lock, the draft becomes the newest generation, or where the
partition has rows already, the two are merged slice by slice into a second one, cut where the time changes
(``merge.merge`` does each slice). A few rows never get as far: below ``_IN_MEMORY`` they are one plain commit.

All rows of one instant are in one slice, so a key that holds the time is settled by its slice alone. That any other key
does not come again at another time is proved on the way (``store/keys.py``); where that fails, the whole partition is
merged in memory after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import StoreError
from htxdata.schema import Dataset, dataset
from htxdata.schema.arrow import UNFIT, arrow_schema
from htxdata.store import generations, merge, rows
from htxdata.store.aside import Aside, Times, Unfit
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer, SourceFile
from htxdata.store.layout import Partition
from htxdata.store.partition import Committed, Store, hand_over, judged, slots
from htxdata.store.slices import Flow, Unrepeated, apart, in_step, joined, settled
from htxdata.timeline import Grid, iso

if TYPE_CHECKING:
    from htxdata.store.partition import OnReplace

_IN_MEMORY = 16_384  # rows that are committed at once: beyond, to stream is a fifth cheaper, too
_LOST = 131_072  # rows that lost and are held before they are handed over


class Unsteady(StoreError):
    """A foreign file is not what it was when its rows were read."""


class _Repeated(Exception):
    """A key may come twice, at different times."""


class Writer:
    """Rows for one partition, handed over in tables that ascend by time: ``write``, then ``commit`` or ``abort``.

    As a context it aborts what was not committed. The partition is locked during ``commit`` only.
    """

    def __init__(
        self,
        store: Store,
        partition: Partition,
        *,
        grid: Grid | None = None,
        on_replace: OnReplace = None,
        absorbed: str = "",
    ) -> None:
        """``absorbed`` is the name of a foreign file in the partition's folder that all the rows are from: it goes as
        they come (``store/compact.py``)."""
        self._absorbed = absorbed
        self._stamp = store.verbs.stamp(f"{store.folder(partition)}/{absorbed}") if absorbed else None
        self.partition = partition
        self._store, self._grid = store, grid
        self._on_replace = on_replace
        self._dataset = dataset(partition.dataset)
        self._window = partition.window
        self._last: int | None = None  # the latest time so far
        self._raw: list[pa.Table] | None = []  # until there are too many
        self._count = 0
        self._stage: _Stage | None = None
        self._over = False

    def write(self, table: pa.Table) -> None:
        """The next rows, as ``schema.arrow.conform`` makes them. ``StoreError`` where they are not in order."""
        if self._over:
            raise StoreError(f"{self.partition}: this writer is closed")
        unfit = table[UNFIT] if UNFIT in table.column_names else None
        table = rows.checked(self._dataset, table if unfit is None else table.drop_columns([UNFIT]))
        if not table.num_rows:
            return
        self._check(merge.times_of(self._dataset, table))
        if unfit is not None and pc.any(pc.not_equal(unfit, 0)).as_py():
            table = table.append_column(UNFIT, unfit.cast(pa.uint8()).fill_null(0))
        self._count += table.num_rows
        if self._stage is not None:
            self._stage.write(table)
            return
        assert self._raw is not None
        self._raw.append(table)
        if self._count > _IN_MEMORY:
            self.stage()

    def stage(self) -> None:
        """Put aside on the disk what came so far, and what still comes."""
        if self._stage is None:
            self._stage = _Stage(self._dataset, self._store, self.partition, proof=bool(self._absorbed))
            raw, self._raw = self._raw or [], None
            for at in range(len(raw)):
                self._stage.write(raw[at])
                raw[at] = None  # let go of it

    def commit(self, asked: Sequence[Asked] = (), *, files: Iterable[SourceFile] = ()) -> Committed:
        """As ``Store.commit`` of everything that was written."""
        if self._over:
            raise StoreError(f"{self.partition}: this writer is closed")
        try:
            if self._stage is None:
                return self._store.commit(
                    self.partition, joined(self._raw or []), asked, grid=self._grid,
                    on_replace=self._on_replace, files=files,
                )  # fmt: skip
            return self._commit_staged(self._stage, asked, tuple(files))
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget what was not committed. May be called more than once."""
        self._over = True
        self._raw = None
        if self._stage is not None:
            self._stage.discard()
            self._stage = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _check(self, times: Any) -> None:
        first, last = int(times[0]), int(times[-1])
        back = np.flatnonzero(times[1:] < times[:-1])
        if len(back):
            before, after = int(times[back[0]]), int(times[back[0] + 1])
        else:
            before, after = (first if self._last is None else self._last), first
        if after < before:
            raise StoreError(
                f"{self.partition}: a row of {iso(after)} comes after one of {iso(before)}; nothing was written"
            )
        if first < self._window.start or last >= self._window.end:
            stray = first if first < self._window.start else last
            raise StoreError(
                f"{self.partition}: a row at {iso(stray)} lies outside {self._window}; nothing was written"
            )
        self._last = last

    # --------------------------------------------------------------------------------------- under the lock

    def _commit_staged(
        self, stage: _Stage, asked: Sequence[Asked], files: tuple[SourceFile, ...]
    ) -> Committed:
        grid = slots(self._dataset, self.partition, self._grid, asked)
        stage.finish()
        work = _Commit(
            self._store,
            self.partition,
            self._dataset,
            grid,
            asked,
            files,
            self._on_replace,
            self._absorbed,
        )
        folder = self._store.folder(self.partition)
        verbs = self._store.verbs

        def commit(newest: generations.Generation | None) -> Committed:
            with ExitStack() as stack:
                if self._absorbed and verbs.stamp(f"{folder}/{self._absorbed}") != self._stamp:
                    raise Unsteady("it changed while it was read")
                reader = None
                if newest is not None:
                    file = stack.enter_context(verbs.open_path(newest.path))
                    reader = rows.Reader(self._dataset, file, newest.path)
                blank = reader is None or (not reader.rows and reader.schema == arrow_schema(self._dataset))
                if blank and not stage.repeated and not stage.file.closed:  # closed: it was the first, and was outrun
                    return work.first(stage, newest, reader.footer if reader else Footer())
                if reader is not None and not stage.repeated:
                    try:
                        return work.merged(stage, newest, reader)
                    except _Repeated:
                        pass
                return work.at_once(stage, newest)

        return verbs.alone(self._store.root, folder, self._store.grace, commit)


@dataclass
class _Lost:
    """Versions that lost, and those that they lost to; handed over before anything is published."""

    on_replace: OnReplace
    pairs: list[tuple[pa.Table, pa.Table | None]] = field(default_factory=list)
    count: int = 0

    def add(self, lost: pa.Table | None, won: pa.Table | None) -> None:
        if lost is not None:
            self.pairs.append((lost, won))
            self.count += lost.num_rows

    def hand_over(self, least: int = 1) -> None:
        if self.count < least or not self.pairs:
            return
        lost = pa.concat_tables([pair[0] for pair in self.pairs])
        winners = [pair[1] for pair in self.pairs if pair[1] is not None]
        self.pairs, self.count = [], 0
        won = pa.concat_tables(winners) if winners and sum(map(len, winners)) == len(lost) else None
        hand_over(lost, won, self.on_replace)


@dataclass
class _Commit:
    """What is the same for the three ways in which a draft ends up in its partition."""

    store: Store
    partition: Partition
    dataset: Dataset
    grid: Grid | None
    asked: Sequence[Asked]
    files: tuple[SourceFile, ...]
    on_replace: OnReplace
    absorbed: str = ""

    @property
    def folder(self) -> str:
        return self.store.folder(self.partition)

    def _judged(self, before: Footer, times: Any, heard: int) -> Footer:
        return judged(self.dataset, self.partition, self.grid, before, self.asked, times, heard, self.files)

    def _publish(self, file: Aside, newest: generations.Generation | None, after: Footer, changed: bool = True) -> None:
        if changed:
            absorbed = [self.absorbed] if self.absorbed else []
            file.publish(self.folder, newest, after, self.dataset, absorbed)
        elif self.absorbed:
            self.store.verbs.drop(self.folder, self.absorbed)

    def _losers(self, stage: _Stage) -> _Lost:
        return _Lost(self.on_replace, list(stage.lost.pairs), stage.lost.count)

    def first(self, stage: _Stage, newest: generations.Generation | None, before: Footer) -> Committed:
        """There are no rows yet: the draft is the partition."""
        heard = sum(int(counts.sum()) for counts in stage.unfit.blocks())
        after = self._judged(before, stage.times.all(), heard)
        self._losers(stage).hand_over()
        self._publish(stage.file, newest, after)
        return Committed(stage.file.rows, 0, stage.file.rows, True, heard)

    def merged(self, stage: _Stage, newest: generations.Generation | None, reader: rows.Reader) -> Committed:
        """Old and new rows, slice by slice."""
        seen = Unrepeated(self.dataset)
        lost = self._losers(stage)
        added = replaced = heard = 0
        changed = False
        stage.file.close()
        proof = bool(self.absorbed)
        with (
            Aside(self.store.verbs, self.store.root, self.folder, reader.schema, proof=proof) as out,
            Times(self.store.verbs.scratch(self.folder)) as times,
        ):
            with stage.file.opened(self.dataset) as staged:
                new = stage.unfit.beside(staged.tables())
                for old_part, new_part in in_step(self.dataset, reader.tables(), new):
                    done = settled(self.dataset, old_part, new_part, reader.schema)
                    if not seen.add(done.table):
                        raise _Repeated
                    out.write(done.table)
                    times.add(done.table[self.dataset.time_column])
                    added, replaced = added + done.added, replaced + done.replaced
                    if done.changed:
                        changed = True
                        heard += int(done.unfit.sum()) if done.unfit is not None else 0
                    lost.add(done.lost, done.won)
                    lost.hand_over(_LOST)
            after = self._judged(reader.footer, times.all(), heard)
            lost.hand_over()
            changed = changed or after != reader.footer
            self._publish(out, newest, after, changed)
            return Committed(added, replaced, out.rows, changed, heard)

    def at_once(self, stage: _Stage, newest: generations.Generation | None) -> Committed:
        """A key may repeat at another time: only the whole partition can tell."""
        old, before = None, Footer()
        if newest is not None:
            with self.store.verbs.open_path(newest.path) as file:
                old, before = rows.unpack(self.dataset, file, newest.path)
        stage.file.close()
        with stage.file.opened(self.dataset) as staged:
            parts = list(stage.unfit.beside(staged.tables()))
        new = joined(parts)
        assert new is not None
        new, unfit = apart(new)
        done = merge.merge(self.dataset, old, rows.as_texts(new))
        heard = int(unfit[done.taken].sum()) if unfit is not None and done.changed else 0
        after = self._judged(before, merge.times_of(self.dataset, done.table), heard)
        lost = self._losers(stage)
        lost.add(done.superseded, done.winners)
        lost.hand_over()
        changed = done.changed or after != before
        if changed:
            with Aside(
                self.store.verbs, self.store.root, self.folder, done.table.schema, proof=bool(self.absorbed)
            ) as out:
                out.write(done.table)
                self._publish(out, newest, after)
        elif self.absorbed:
            self.store.verbs.drop(self.folder, self.absorbed)
        return Committed(done.added, done.replaced, done.table.num_rows, changed, heard)


class _Stage:
    """The incoming rows, settled among themselves: a draft, and what is known of it."""

    def __init__(
        self, declared: Dataset, store: Store, partition: Partition, *, proof: bool = False
    ) -> None:
        self.repeated = False
        self.lost = _Lost(None)
        self.unfit = Unfit()
        self._dataset = declared
        self._flow = Flow(declared)
        self._seen = Unrepeated(declared)
        folder = store.folder(partition)
        self.file = Aside(store.verbs, store.root, folder, arrow_schema(declared), proof=proof)
        self.times = Times(store.verbs.scratch(folder))

    def write(self, table: pa.Table) -> None:
        for at in range(0, table.num_rows, rows.BATCH):
            self._flow.push(table.slice(at, rows.BATCH))
            if self._flow.rows >= rows.BATCH:
                self._settle(self._flow.take(self._flow.last))

    def finish(self) -> None:
        """Everything has come."""
        self._settle(self._flow.take(None))
        self.file.flush()

    def discard(self) -> None:
        self.file.discard()
        self.times.close()

    def _settle(self, part: pa.Table | None) -> None:
        if part is None:  # one instant has more rows than a slice
            return
        done = settled(self._dataset, None, part, None, self._seen)
        if not done.seen and not self._seen.add(done.table):
            self.repeated = True
        self.lost.add(done.lost, done.won)
        self.unfit.add(done.table.num_rows, done.unfit)
        self.file.write(done.table)
        self.times.add(done.table[self._dataset.time_column])
