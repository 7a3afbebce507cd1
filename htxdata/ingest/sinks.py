"""Where the rows of archive files go until their partition is whole. A file that turns out to be bad is forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import UNFIT
from htxdata.store.coverage import Asked
from htxdata.store.footer import SourceFile
from htxdata.store.layout import Partition
from htxdata.store.partition import Committed, OnReplace, Store
from htxdata.store.stream import Writer
from htxdata.timeline import Grid, Window

Tables = Iterable[pa.Table]
Read = Callable[[], Tables]
"""The rows of one file that belong to the partition, from the file's beginning."""


@dataclass
class Sink(ABC):
    """One partition under way. ``write`` takes rows of the file that ``begin`` named last; ``ask`` what the footer will
    say of it."""

    store: Store
    partition: Partition
    on_replace: OnReplace
    asked: list[Asked] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)

    def ask(self, asked: Asked | None, file: SourceFile | None) -> None:
        if asked is not None:
            self.asked.append(asked)
        if file is not None:
            self.sources.append(file)

    def idle(self) -> bool:
        """Whether there is nothing to commit: no rows, no verdict, no file."""
        return not (self.asked or self.sources or self.files())

    @abstractmethod
    def begin(self, file: str, read: Read) -> None: ...

    @abstractmethod
    def write(self, table: pa.Table) -> None: ...

    @abstractmethod
    def forget(self, file: str) -> None: ...

    @abstractmethod
    def files(self) -> set[str]: ...

    @abstractmethod
    def commit(self) -> Committed: ...

    @abstractmethod
    def abort(self) -> None: ...


@dataclass
class Gathered(Sink):
    """For partitions that fit into memory many times over: a month of minutes, a year of fundings."""

    grid: Grid | None = None
    _rows: dict[str, list[pa.Table]] = field(default_factory=dict)
    _file: str = ""

    def begin(self, file: str, read: Read) -> None:
        self._file = file
        self._rows[file] = []

    def write(self, table: pa.Table) -> None:
        self._rows[self._file].append(table)

    def forget(self, file: str) -> None:
        self._rows.pop(file, None)

    def files(self) -> set[str]:
        return set(self._rows)

    def commit(self) -> Committed:
        tables = [table for tables in self._rows.values() for table in tables]
        return self.store.commit(
            self.partition, _joined(tables), self.asked, grid=self.grid, on_replace=self.on_replace,
            files=self.sources,
        )  # fmt: skip

    def abort(self) -> None:
        self._rows.clear()


@dataclass
class Streamed(Sink):
    """For partitions of any size: rows go to the disk as they come, in order of time and key."""

    _reads: dict[str, Read] = field(default_factory=dict)
    _writer: Writer | None = None

    def begin(self, file: str, read: Read) -> None:
        self._reads[file] = read

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._writer = self.store.writer(self.partition, on_replace=self.on_replace)
        self._writer.write(table)

    def forget(self, file: str) -> None:
        """What was written cannot be taken back: the other files are read again."""
        if file not in self._reads:
            return
        self.abort()
        del self._reads[file]
        for read in list(self._reads.values()):
            for table in read():
                self.write(table)

    def files(self) -> set[str]:
        return set(self._reads)

    def commit(self) -> Committed:
        if self._writer is None:
            return self.store.commit(self.partition, None, self.asked, files=self.sources)
        writer, self._writer = self._writer, None
        return writer.commit(self.asked, files=self.sources)

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.abort()
            self._writer = None


def sink_for(store: Store, partition: Partition, grid: Grid | None, on_replace: OnReplace) -> Sink:
    if dataset_named(partition.dataset).grain(partition.period) == "day":
        return Streamed(store, partition, on_replace)
    return Gathered(store, partition, on_replace, grid=grid)


def _joined(tables: list[pa.Table]) -> pa.Table | None:
    if not tables:
        return None
    if any(UNFIT in table.column_names for table in tables):
        return pa.concat_tables(tables, promote_options="default")  # the store reads an absent count as none
    return pa.concat_tables(tables)


def rows_of(tables: Iterable[pa.Table], windows: Sequence[Window], column: str) -> Iterator[pa.Table]:
    """The rows of each table that lie in the windows (apart, and ascending); the tables ascend by ``column``."""
    for table in tables:
        times = table[column].combine_chunks().cast(pa.int64()).to_numpy()
        for window in windows:
            low, high = times.searchsorted(window)
            if high > low:
                yield table if high - low == len(table) else table.slice(low, high - low)
