"""What lies beside a partition's generations while a large commit is made: its rows, their times, and what they count.

All of it is gone when its maker is: drafts are removed by the next lock, the times have no name.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import RowsLost
from htxdata.schema import Dataset
from htxdata.schema.arrow import UNFIT
from htxdata.store import generations, milestones, refusals
from htxdata.store import rows as files
from htxdata.store.footer import Footer
from htxdata.store.place import Root, Verbs
from htxdata.store.rows import Reader

_IN_MEMORY = 1 << 20  # 8 MB of them


class Times:
    """The times of all rows, added slice by slice; :meth:`all` is an array of microseconds, in memory or mapped.

    The file lies in ``folder`` and has no name: whatever happens to us, it goes.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._held: list[Any] = []
        self._count = self._loose = 0
        self._file: IO[bytes] | None = None

    def add(self, column: pa.ChunkedArray) -> None:
        """The next ones: a column of instants."""
        times = column.combine_chunks().view(pa.int64()).to_numpy(zero_copy_only=False)
        if not len(times):
            return
        self._held.append(times)
        self._count += len(times)
        self._loose += len(times)
        if self._loose > _IN_MEMORY:
            with refusals.telling(self._folder):
                self._spill()

    def all(self) -> Any:
        """All times so far; no more may be added."""
        if self._file is None:
            return np.concatenate(self._held) if self._held else np.zeros(0, np.int64)
        with refusals.telling(self._folder):
            self._spill()
            self._file.flush()
        return np.memmap(self._file, dtype=np.int64, mode="r", shape=(self._count,))

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder, suffix=".tmp")  # noqa: SIM115
        for times in self._held:
            self._file.write(np.ascontiguousarray(times, dtype=np.int64).data)
        self._held, self._loose = [], 0

    def __enter__(self) -> Times:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Aside:
    """A partition file that is being written. As a context it is discarded where it was not published.

    With ``proof`` it is read again before it is published: ``RowsLost`` where it is not what was written.
    """

    def __init__(
        self, verbs: Verbs, root: Root, folder: str, schema: pa.Schema, *, proof: bool = False
    ) -> None:
        self._verbs, self._folder = verbs, folder
        self._digest = Digest(schema) if proof else None
        milestones.step("begin")
        with refusals.telling(folder):
            self._draft = verbs.draft(root, folder)
            self._sink = pa.OSFile(self._draft.path, "wb")
        self._writer = files.Writer(self._sink, schema)
        self._closed = False

    @property
    def rows(self) -> int:
        return self._writer.rows

    def write(self, table: pa.Table) -> None:
        with refusals.telling(self._folder):
            self._writer.write(table)
        if self._digest is not None:
            self._digest.add(table)
        milestones.step("half written")

    def flush(self) -> None:
        with refusals.telling(self._folder):
            self._writer.flush()

    def close(self, footer: Footer | None = None) -> None:
        if not self._closed:
            self._closed = True
            with refusals.telling(self._folder):
                self._writer.close(footer or Footer())
                self._sink.close()

    def publish(
        self,
        folder: str,
        newest: generations.Generation | None,
        footer: Footer,
        declared: Dataset,
        absorbed: Iterable[str] = (),
    ) -> None:
        self.close(footer)
        if self._digest is not None:
            with self.opened(declared) as again:
                prove(again, footer, self._digest)
            milestones.step("proved")
        self._verbs.publish_draft(folder, newest, self._draft, absorbed)

    @property
    def closed(self) -> bool:
        """Whether its footer is written: no other can be given to it."""
        return self._closed

    @property
    def size(self) -> int:
        """Bytes so far; after ``close`` those of the file."""
        return os.stat(self._draft.path).st_size

    @contextmanager
    def opened(self, declared: Dataset) -> Iterator[Reader]:
        """The rows again, after ``close``."""
        with open(self._draft.path, "rb") as file:
            yield Reader(declared, file, self._draft.path)

    def discard(self) -> None:
        if not self._closed:
            self._closed = True
            self._writer.abandon()
            self._sink.close()
        self._draft.discard()

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


class Digest:
    """Rows in their order as one number per column, whatever tables they come in: equal digests are equal rows.

    NULLs, the bits of every float and the borders between texts count.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = files.as_texts(schema.empty_table()).schema
        self.rows = 0
        self._hashes = [[hashlib.blake2b(digest_size=16) for _ in range(3)] for _ in self.schema]

    def add(self, table: pa.Table) -> None:
        table = files.as_texts(table)
        self.rows += table.num_rows
        for field, hashes in zip(self.schema, self._hashes, strict=True):
            for array in table[field.name].chunks:
                there = array.is_valid().cast(pa.uint8()).to_numpy(zero_copy_only=False)
                parts: list[Any] = [np.ascontiguousarray(there)]
                if pa.types.is_float64(field.type):
                    parts.append(np.ascontiguousarray(array.fill_null(0).to_numpy(zero_copy_only=False)))
                elif pa.types.is_int64(field.type) or pa.types.is_timestamp(field.type):
                    whole = array.view(pa.int64()).fill_null(0)
                    parts.append(np.ascontiguousarray(whole.to_numpy(zero_copy_only=False)))
                else:
                    texts = array.cast(pa.string()).fill_null("")
                    lengths = pc.binary_length(texts).to_numpy(zero_copy_only=False)
                    joined = pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "")
                    parts += [np.ascontiguousarray(lengths), joined[0].as_buffer()]
                for one, part in zip(hashes, parts, strict=False):
                    one.update(part)

    def same(self, other: Digest) -> bool:
        return self.schema.names == other.schema.names and self._said() == other._said()

    def _said(self) -> list[Any]:
        return [self.rows, *(one.digest() for hashes in self._hashes for one in hashes)]


def prove(file: Reader, footer: Footer, digest: Digest) -> None:
    """That ``file`` says ``footer`` and holds the rows of ``digest``, in that order, or ``RowsLost``."""
    found = Digest(file.schema)
    for table in file.tables():
        found.add(table)
    if not found.same(digest) or file.footer != footer:
        raise RowsLost(f"{file.name} does not hold what was written to it; nothing was replaced")


def with_unfit(table: pa.Table, counts: Any) -> pa.Table:
    """``table`` with its ``UNFIT`` column; no counts are zeros."""
    column = pa.array(np.zeros(table.num_rows, np.uint8) if counts is None else counts.astype(np.uint8))
    return table.append_column(UNFIT, column)


class Unfit:
    """The counts of unfit values of the staged rows, which are no column of a file. Nearly always all zero."""

    def __init__(self) -> None:
        self._blocks: list[tuple[int, bytes | None]] = []
        self._any = False

    def add(self, count: int, counts: Any) -> None:
        some = counts is not None and bool(counts.any())
        self._any = self._any or some
        self._blocks.append((count, zlib.compress(counts.astype(np.uint8).tobytes(), 1) if some else None))

    def blocks(self) -> Iterator[Any]:
        for count, packed in self._blocks:
            if packed is None:
                yield np.zeros(count, np.int64)
            else:
                yield np.frombuffer(zlib.decompress(packed), np.uint8).astype(np.int64)

    def beside(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The staged rows, as they are read again, with their counts."""
        if not self._any:
            yield from tables
            return
        left = np.zeros(0, np.int64)
        blocks = self.blocks()
        for table in tables:
            parts = [left]
            while sum(map(len, parts)) < table.num_rows:
                parts.append(next(blocks))
            counts = np.concatenate(parts)
            left = counts[table.num_rows :]
            yield with_unfit(table, counts[: table.num_rows])
