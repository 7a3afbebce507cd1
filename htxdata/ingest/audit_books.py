"""The check of an audit that looks at order books: rebuilt from their stored changes, are they books?

Message by message, in memory of one batch of rows and one book for every source: what the archive says and what a
WebSocket said are two accounts of the same book, and are not mixed. A book is carried from one partition into the next,
as the files of the archive are of UTC+8 days; over time that nobody asked for, no book is carried.

A state that lasts is told once, where it begins: a book that stays crossed for an hour is one finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import CorruptPartition
from htxdata.ingest.audit_rows import Finding, Held, mask_of, opened
from htxdata.ingest.candles import integers
from htxdata.market import Series
from htxdata.protocol.book import Applied, Book, Level
from htxdata.store.layout import Partition
from htxdata.store.partition import Store
from htxdata.timeline import Window, merge

CHECK = "book"

_COLUMNS = (
    "book_time", "kind", "side", "price", "size", "sequence", "previous_sequence", "source", "received_at",
)  # fmt: skip
_NONE = -1  # a number that no message has


def books(store: Store, series: Series) -> Iterator[Finding]:
    """Deltas without a snapshot or a predecessor, and books that are crossed. What one row says by itself is looked at
    by the checks of rows."""
    if series.dataset != "book_changes":
        return
    partitions = list(store.partitions(series))
    asked = _asked(store, partitions)
    work = _Work(series)
    for partition in partitions:
        # What cannot be read is a finding already.
        with suppress(CorruptPartition), opened(store, partition) as held:
            if held is not None:
                for message in _messages(held):
                    yield from work.take(message, asked)


def _asked(store: Store, partitions: list[Partition]) -> Any:
    """Where stretches begin over which nothing is missing, microseconds UTC."""
    windows: list[Window] = []
    for partition in partitions:
        with suppress(CorruptPartition), opened(store, partition) as held:
            if held is not None:
                windows += [Window(span.start, span.end) for span in held.footer.spans if span.rows]
    return np.array([window.start for window in merge(windows)], dtype=np.int64)


class _Message(NamedTuple):
    """All rows of one message."""

    at: int
    source: str
    snapshot: bool
    sequence: int | None
    previous: int | None
    asks: list[Level]
    bids: list[Level]


@dataclass
class _Account:
    """What one source said, so far."""

    book: Book = field(default_factory=Book)
    stretch: int = -1
    crossed: bool = False
    unseeded: bool = False
    """Whether it was told already that there is no book."""


@dataclass
class _Work:
    series: Series
    accounts: dict[str, _Account] = field(default_factory=dict)

    def take(self, message: _Message, asked: Any) -> Iterator[Finding]:
        account = self.accounts.setdefault(message.source, _Account())
        book = account.book
        stretch = int(asked.searchsorted(message.at, side="right"))
        if stretch != account.stretch:
            book.forget()
            account.stretch, account.unseeded, account.crossed = stretch, False, False
        # A file of the archive numbers its own lines, and no two files are numbered alike.
        numbered = message.source != "archive"
        sequence = message.sequence if numbered else None
        if message.snapshot:
            book.snapshot(message.bids, message.asks, sequence)
            account.unseeded = False
        else:
            before = book.sequence
            applied = book.delta(message.bids, message.asks, sequence, message.previous)
            if (finding := self._of_delta(message, applied, before, account)) is not None:
                yield finding
        if not book.crossed:
            account.crossed = False
        elif not account.crossed:
            account.crossed = True
            bid, ask = book.best_bid, book.best_ask
            assert bid is not None
            assert ask is not None
            yield self._finding(
                message.at, "price", ask[0], bid[0], "somebody bids what another asks, or more"
            )

    def _of_delta(
        self, message: _Message, applied: Applied, before: int | None, account: _Account
    ) -> Finding | None:
        if applied == "unseeded" and not account.unseeded:
            account.unseeded = True
            return self._finding(message.at, "kind", None, None, "a delta, and no snapshot before it")
        if applied == "broken":
            account.unseeded = True
            said = "the message before it is not there: no book until the next snapshot"
            return self._finding(
                message.at, "previous_sequence", float(before or 0), _number(message.previous), said
            )
        if applied == "stale":
            said = "the message was overtaken by one with a higher number"
            return self._finding(message.at, "sequence", float(before or 0), _number(message.sequence), said)
        return None

    def _finding(
        self, at: int, column: str, ours: float | None, theirs: float | None, detail: str
    ) -> Finding:
        return Finding(CHECK, self.series, at, column, ours, theirs, detail)


def _messages(held: Held) -> Iterator[_Message]:
    """The messages of a partition. Rows of one message stand together, and may be cut apart by the end of a batch."""
    waiting: pa.Table | None = None
    for table in held.batches(_COLUMNS):
        if waiting is not None:
            table = pa.concat_tables([waiting, table])
        starts = _starts(table)
        last = int(starts[-1])
        waiting = table.slice(last)
        if last:
            yield from _spelled_out(table.slice(0, last), starts[:-1])
    if waiting is not None:
        yield from _spelled_out(waiting, np.zeros(1, np.int64))


def _starts(table: pa.Table) -> Any:
    """The places at which a message begins."""
    new = np.ones(len(table), dtype=bool)
    new[1:] = False
    for name in ("book_time", "received_at", "sequence"):
        values = _whole(table[name])
        new[1:] |= values[1:] != values[:-1]
    sources = table["source"].combine_chunks().dictionary_encode().indices.to_numpy()
    new[1:] |= sources[1:] != sources[:-1]
    return np.flatnonzero(new)


def _spelled_out(table: pa.Table, starts: Any) -> Iterator[_Message]:
    asks = _among(table["side"], ("ask",))
    # Within a message, the asks come first: rows are in order of their key.
    parted = np.concatenate([[0], np.cumsum(asks)])
    ends = np.append(starts[1:], len(table))
    levels: list[Level] = list(
        zip(_doubles(table["price"]).tolist(), _doubles(table["size"]).tolist(), strict=True)
    )
    heads = table.take(pa.array(starts))
    columns = zip(
        integers(heads["book_time"]).tolist(),
        heads["source"].to_pylist(),
        _among(heads["kind"], ("snapshot",)).tolist(),
        heads["sequence"].to_pylist(),
        heads["previous_sequence"].to_pylist(),
        starts.tolist(),
        (starts + parted[ends] - parted[starts]).tolist(),
        ends.tolist(),
        strict=True,
    )
    for at, source, snapshot, sequence, previous, start, middle, end in columns:
        yield _Message(at, source, snapshot, sequence, previous, levels[start:middle], levels[middle:end])


def _whole(column: pa.ChunkedArray) -> Any:
    array = column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    return array.fill_null(_NONE).to_numpy()


def _doubles(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks().to_numpy(zero_copy_only=False)


def _among(column: pa.ChunkedArray, words: tuple[str, ...]) -> Any:
    return mask_of(pc.is_in(column, value_set=pa.array(words)))


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)
