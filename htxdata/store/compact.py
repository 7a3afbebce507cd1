"""Fewer, larger, sorted files: every partition as one file, laid out as this version lays it out.

A commit leaves one file for a partition already, sorted, each key once. What compaction finds to do is what came about
otherwise: a file by an older htxdata (other row groups or encodings, columns that it did not know), a copy that some
tool wrote anew, ``*.parquet`` files that somebody put beside ours (foreign readers see their rows, ours do not),
unfinished writes of dead processes, and generations that were superseded longer than the grace ago.

A partition is rewritten under its lock, so no commit comes in between: its rows and its footer are put aside, read
again from there, and compared with what was read before (column by column in their order, NULLs and bits of floats
included); only then does the new generation appear, as that of any commit. Foreign files are merged by key as a
commit of their rows would, and vanish in the moment in which the generation that holds them appears. Whoever is
killed on the way leaves the old state or the new one. Where nothing differs nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from htxdata.errors import BadReply, CorruptPartition, RowsLost, StoreError
from htxdata.market import PERIODS, Series
from htxdata.schema import Dataset, dataset
from htxdata.schema.arrow import arrow_schema, conform
from htxdata.store import footer, generations, layout, ledger, merge, rows, slices, whole
from htxdata.store.aside import Aside
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer
from htxdata.store.layout import Partition, Pattern
from htxdata.store.partition import OnReplace, Store
from htxdata.store.stream import Unsteady, Writer
from htxdata.timeline import DAY, Window, subtract

Keeper = Callable[[Store, Partition], OnReplace]
OnStep = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Compacted:
    """What became of one partition. ``rows`` and ``files`` after it, ``octets`` of the rewritten file and before it.

    ``left`` says what could not be done, and why.
    """

    rewritten: bool = False
    absorbed: int = 0
    removed: int = 0
    rows: int = 0
    before: int = 0
    after: int = 0
    left: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.rewritten or self.absorbed or self.removed)


@dataclass
class Report:
    """What became of a lake, or of a part of it; sizes in bytes, of the partitions that were rewritten."""

    partitions: int = 0
    rewritten: int = 0
    absorbed: int = 0
    removed: int = 0
    rows: int = 0
    before: int = 0
    after: int = 0
    seconds: float = 0.0
    left: list[tuple[Series, str, str]] = field(default_factory=list)  # series, time cell, why

    @property
    def changed(self) -> bool:
        return bool(self.rewritten or self.absorbed or self.removed)

    def add(self, partition: Partition, done: Compacted) -> None:
        self.partitions += 1
        self.rewritten += done.rewritten
        self.absorbed += done.absorbed
        self.removed += done.removed
        self.rows += done.rows
        self.before += done.before
        self.after += done.after
        self.left += [(partition.series, partition.label, why) for why in done.left]


def compact_lake(
    store: Store,
    dataset: Pattern = None,
    venue: Pattern = None,
    symbol: Pattern = None,
    period: Pattern = None,
    *,
    keeper: Keeper | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """Compact every partition that is meant. ``keeper`` gives what :meth:`Store.commit` takes as ``on_replace``.

    A partition that cannot be compacted is named in the report and left as it is; the others go on. Raises where the
    disk is full or cannot be written: the rest would fail alike.
    """
    began = time.monotonic()
    selection = layout.Selection(venue, symbol, period)
    meant = list(layout.stored_datasets(dataset))
    look = ledger.look_at(store.root, meant, selection)
    found = [
        partition
        for declared in meant
        for partition in ledger.partitions(store.root, declared, selection, look=look)
    ]
    report = Report()
    for number, partition in enumerate(found):
        if on_step is not None:
            on_step(str(partition), number, len(found))
        try:
            done = compact(store, partition, None if keeper is None else keeper(store, partition))
        except CorruptPartition as error:
            done = Compacted(left=(str(error),))
        report.add(partition, done)
    report.removed += whole.sweep(store.beside, below=True)
    report.seconds = time.monotonic() - began
    return report


def compact(store: Store, partition: Partition, on_replace: OnReplace = None) -> Compacted:
    """Compact one partition. ``CorruptPartition`` where it cannot be read, ``RowsLost`` where what was put aside is not
    what was read; nothing was replaced then. The lock is held while a file is read and rewritten (three million trades:
    3 s, and 0.4 s to see that there is nothing to do), so that writers wait; readers do not."""
    folder = store.folder(partition)
    verbs = store.verbs
    before = verbs.untidy(folder)
    leftovers = before.leftovers
    newest = verbs.tidy(store.root, folder, store.grace)
    after = verbs.untidy(folder) if leftovers else before
    if newest is None:
        left = _alone(partition, after.strangers)
        return Compacted(removed=len(leftovers - after.leftovers), left=left)
    absorbed = 0
    unlike: list[str] = []
    for name in after.strangers:
        try:
            _absorb(store, partition, name, on_replace)
            absorbed += 1
        except _Unlike as error:
            unlike.append(f"{folder}/{name} stays beside the partition: {error}")
    done = verbs.alone(store.root, folder, store.grace, partial(_rewritten, store, partition, folder))
    removed = len(leftovers - verbs.untidy(folder).leftovers) if leftovers else 0
    return Compacted(
        done.rewritten, absorbed, removed, done.rows, done.before, done.after, (*unlike, *done.left)
    )


def _alone(partition: Partition, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{partition}: {name} lies where htxdata never committed anything" for name in names)


# ------------------------------------------------------------------------------------------------- our own file


def _rewritten(
    store: Store, partition: Partition, folder: str, newest: generations.Generation | None
) -> Compacted:
    """Write the newest generation anew where it is not laid out, or not sorted, as it should be."""
    declared = dataset(partition.dataset)
    if newest is None:  # somebody has just removed it
        return Compacted()
    with store.verbs.open_path(newest.path) as file:
        reader = rows.Reader(declared, file, newest.path)
        size = file.seek(0, 2)
        ordered = _is_ordered(declared, reader)
        if ordered and rows.is_canonical(reader.metadata, reader.schema):
            return Compacted(rows=reader.rows)
        if not ordered and (why := _unsortable(declared, file, newest.path)):
            return Compacted(rows=reader.rows, left=(f"{newest.path}: {why}",))
        read = reader.tables() if ordered else _sorted(declared, file, newest.path)
        with Aside(store.verbs, store.root, folder, reader.schema, proof=True) as out:
            for table in read:
                out.write(table)
            out.close(reader.footer)
            after = out.size
            with out.opened(declared) as again:
                canonical = rows.is_canonical(again.metadata, reader.schema)
            if out.rows != reader.rows or not canonical:
                raise RowsLost(f"{newest.path}: what was made of it is not its like; nothing was replaced")
            out.publish(folder, newest, reader.footer, declared)
    return Compacted(True, rows=reader.rows, before=size, after=after)


def _is_ordered(declared: Dataset, reader: rows.Reader) -> bool:
    """Whether the rows ascend by time, then by key. Reads only these columns."""
    names = list(dict.fromkeys((declared.time_column, *declared.key)))
    last = None
    flow = slices.Flow(declared, (rows.as_texts(table) for table in reader.tables(names)))
    least = rows.BATCH
    while True:
        flow.fill(least)
        part = flow.take(None if flow.done else flow.last)
        if part is None:
            if flow.done:
                return True
            least += rows.BATCH  # one instant has more rows than a slice
            continue
        least = rows.BATCH
        times = merge.times_of(declared, part)
        if (last is not None and times[0] <= last) or (times[1:] < times[:-1]).any():
            return False
        last = int(times[-1])
        if not slices.in_order(declared, part) and merge.order_of(declared, part) is not None:
            return False


def _unsortable(declared: Dataset, file: IO[bytes], name: str) -> str:
    table, _ = rows.unpack(declared, file, name)
    if len(merge.layers_of(merge.codes_of(declared, table.slice(0, 0), table))) > 1:
        return "a key comes twice in it, and which row is true nobody can tell; it stays as it is"
    return ""


def _sorted(declared: Dataset, file: IO[bytes], name: str) -> Iterator[pa.Table]:
    table, _ = rows.unpack(declared, file, name)
    order = merge.order_of(declared, table)
    if order is not None and not (np.sort(order) == np.arange(len(table))).all():
        raise StoreError(f"{name}: sorting its rows lost some; nothing was replaced")
    yield table if order is None else table.take(pa.array(order))


# ------------------------------------------------------------------------------------------------ foreign files


class _Unlike(Exception):
    """A foreign file is not what belongs into the partition."""


def _absorb(store: Store, partition: Partition, name: str, on_replace: OnReplace) -> None:
    """Commit the rows of a foreign file, and remove it in the same moment."""
    path = f"{store.folder(partition)}/{name}"
    declared = dataset(partition.dataset)
    with Writer(store, partition, on_replace=on_replace, absorbed=name) as writer:
        try:
            with store.verbs.open_path(path) as file:
                found = pq.ParquetFile(file, page_checksum_verification=True)
                _check(declared, found)
                said = _said(file)
                news = _news(store, partition, declared, said)
                for table in _ascending(partition, declared, found):
                    writer.write(table)
            writer.stage()
            writer.commit(news, files=said.files)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _Unlike(f"it cannot be read: {error}") from error
        except (BadReply, Unsteady) as error:
            raise _Unlike(str(error)) from error


def _check(declared: Dataset, file: pq.ParquetFile) -> None:
    schema = arrow_schema(declared)
    names = set(file.schema_arrow.names)
    path = {"venue", "symbol", "period", layout.CELL}
    if lacking := [f.name for f in schema if f.name not in names and not f.nullable]:
        raise _Unlike(f"it has no column {lacking[0]!r}")
    if unknown := sorted(names - set(schema.names) - path):
        raise _Unlike(f"{declared.name} has no column {unknown[0]!r}")


def _ascending(partition: Partition, declared: Dataset, file: pq.ParquetFile) -> Iterator[pa.Table]:
    """Its rows as rows of ``declared``, sorted; in memory where they are not in order of time."""
    last = None
    for batch in rows.batches(file):
        table = _own(partition, declared, pa.Table.from_batches([batch]))
        times = merge.times_of(declared, table)
        if len(times) and ((times[1:] < times[:-1]).any() or (last is not None and times[0] < last)):
            break
        last = int(times[-1]) if len(times) else last
    else:
        for batch in rows.batches(file):
            yield _own(partition, declared, pa.Table.from_batches([batch]))
        return
    yield _own(partition, declared, file.read(use_threads=False)).sort_by(declared.time_column)


def _own(partition: Partition, declared: Dataset, table: pa.Table) -> pa.Table:
    for name in ("venue", "symbol", "period", layout.CELL):
        if name in table.column_names and name not in declared.columns:
            expected = partition.label if name == layout.CELL else getattr(partition, name)
            if set(table[name].cast(pa.string()).to_pylist()) - {expected}:
                raise _Unlike(f"it holds another {name} than {expected}")
    columns = {}
    for name in declared.columns:
        if name in table.column_names:
            column = table[name].combine_chunks()
            column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
            if pa.types.is_timestamp(column.type) and column.type.tz is None:
                raise _Unlike(f"its column {name!r} says no time zone")
            columns[name] = column
    own = conform(declared, columns)
    times, window = merge.times_of(declared, own), partition.window
    if len(times) and not window.start <= times.min() <= times.max() < window.end:
        raise _Unlike(f"it holds rows outside {window}")
    return own


def _said(file: IO[bytes]) -> Footer:
    """The footer of ours that it may carry, as a copy of a partition does."""
    try:
        return footer.read(file, "")
    except CorruptPartition:
        return Footer()


def _news(store: Store, partition: Partition, declared: Dataset, said: Footer) -> list[Asked]:
    """What a copy says of windows of which the partition says nothing."""
    known = [Window(span.start, span.end) for span in store.spans(partition)]
    news = [
        Asked(window, span.source, span.fetched_at, "empty" if span.verdict == "present" else span.verdict)
        for span in said.spans
        for window in subtract([Window(span.start, span.end)], known)
    ]
    if news and declared.density == "grid" and not 0 < PERIODS[partition.period or ""] < DAY:
        raise _Unlike("it is a copy with verdicts of its own, of candles that open differently per venue")
    return news
