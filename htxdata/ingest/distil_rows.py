"""Rows on their way from the tape to their partitions, and what is claimed of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.ingest.distil_spans import Heard, Silence, claims, known_windows, refuted
from htxdata.ingest.plan import KNOWN, grid_for
from htxdata.ingest.revisions import keeper
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import UNFIT, conform
from htxdata.schema.columns import COLUMNS
from htxdata.store.coverage import Asked
from htxdata.store.footer import Span
from htxdata.store.layout import Partition, partition_of, partitions
from htxdata.store.partition import OnReplace, Store
from htxdata.timeline import Window, merge, subtract
from htxdata.venues.terms import Venue

MOST = 1_500_000
"""Rows that wait in memory, for all partitions together: some hundred bytes each."""

_WORDS = ("side", "kind")


_Ask = Callable[[list[Span], Window], list[Asked]]
"""What to ask of a partition, given its spans and its window."""


class Basket:
    """Rows that wait to be committed. ``added`` counts, for each series, those that the lake did not have."""

    def __init__(self, store: Store, venues: Mapping[str, Venue]) -> None:
        self._store, self._venues = store, venues
        self._rows: dict[Partition, list[pa.Table]] = {}
        self._asks: dict[Series, tuple[list[Window], list[_Ask]]] = {}
        self.waiting = 0
        self.added: Counter[Series] = Counter()
        self.replaced = 0

    def put(self, series: Series, columns: Mapping[str, Any], source: str = "ws") -> list[str]:
        """Rows of a series, in any order; the folders of the partitions that they belong to."""
        table = _table(series, columns, source)
        if not len(table):
            return []
        declared = dataset_named(series.dataset)
        times = _times(table, declared.time_column)
        first, last = int(times.min()), int(times.max())
        self.waiting += len(table)
        home = partition_of(series, first)
        if last < home.window.end:
            parts = [(home, table)]
        else:
            parts = [
                (partition, table.filter(pa.array(inside)))
                for partition in partitions(series, Window(first, last + 1))
                if (inside := (times >= partition.window.start) & (times < partition.window.end)).any()
            ]
        for partition, part in parts:
            self._rows.setdefault(partition, []).append(part)
        return [partition.folder for partition, _ in parts]

    def flush(self) -> None:
        """Commit everything. What is in the lake by then stays there, whatever happens afterwards."""
        asking: dict[Partition, list[_Ask]] = {}
        for series, (windows, asks) in self._asks.items():
            for partition in dict.fromkeys(
                p for window in merge(windows) for p in partitions(series, window)
            ):
                asking.setdefault(partition, []).extend(asks)
        self._asks.clear()
        for partition, tables in self._rows.items():
            table = pa.concat_tables(tables, promote_options="default")
            tables.clear()
            self._commit(partition, self._new(partition, table), asking.pop(partition, []))
        self._rows.clear()
        self.waiting = 0
        for partition, asks in asking.items():
            self._commit(partition, None, asks)

    def _commit(self, partition: Partition, table: pa.Table | None, asks: Sequence[_Ask]) -> None:
        """Rows and what they prove, in one. An outage is laid around rows, and so after them."""
        grid = grid_for(partition.series, self._venues[partition.venue])
        spans = self._store.spans(partition) if asks else []
        fresh = [one for ask in asks for one in ask(spans, partition.window)]
        outages = [one for one in fresh if one.verdict == "outage"]
        fresh = [one for one in fresh if one.verdict != "outage"]
        if (table is not None and len(table)) or fresh:
            done = self._store.commit(
                partition, table, fresh, grid=grid, on_replace=_keeper(self._store, partition)
            )
            if done.added:
                self.added[partition.series] += done.added
            self.replaced += done.replaced
            if done.added and asks and refuted(self._store.spans(partition)):
                self._commit(partition, None, asks)
        if outages:
            self._store.commit(partition, None, self._without_rows(partition, outages), grid=grid)

    def claim(self, series: Series, asked: Asked) -> None:
        """What the rows of a series prove; it is laid where nothing is known yet."""

        def ask(spans: list[Span], cell: Window) -> list[Asked]:
            pieces = subtract([asked.window.intersect(cell)], known_windows(spans))
            return [asked._replace(window=piece) for piece in pieces]

        self._later(series, [asked.window], ask)

    def judge(
        self, series: Series, heard: Sequence[Heard], answered: Sequence[Asked], lost: Sequence[Silence]
    ) -> None:
        """What follows from when a series was heard (:func:`distil_spans.claims`)."""
        windows = [Window(one.start, one.end) for one in heard]
        windows += [one.window for one in lost] + [one.window for one in answered]
        self._later(series, windows, lambda spans, cell: claims(heard, answered, lost, spans, cell))

    def _later(self, series: Series, windows: list[Window], ask: _Ask) -> None:
        known, asks = self._asks.setdefault(series, ([], []))
        known += windows
        asks.append(ask)

    def _without_rows(self, partition: Partition, asked: list[Asked]) -> list[Asked]:
        """Outages but for the instants of which there are rows after all (a reply that was cut off there, a stale
        push): the store would take these for a sign that the whole of the window had been told."""
        if all(one.verdict != "outage" for one in asked):
            return asked
        name = dataset_named(partition.dataset).time_column
        times = [_times(table, name) for table in self._store.tables(partition, [name])]
        there = np.unique(np.concatenate([*times, np.zeros(0, np.int64)]))
        out: list[Asked] = []
        for one in asked:
            low, high = there.searchsorted(one.window) if one.verdict == "outage" else (0, 0)
            instants = [Window(at, at + 1) for at in there[low:high].tolist()]
            out += [one._replace(window=piece) for piece in subtract([one.window], instants)]
            out += [one._replace(window=instant, verdict="present") for instant in instants]
        return out

    def _new(self, partition: Partition, table: pa.Table) -> pa.Table:
        if partition.dataset == "liquidations":
            return self._untold(partition, table)
        return self._unheard(partition, table) if partition.dataset == "quotes" else table

    def _untold(self, partition: Partition, table: pa.Table) -> pa.Table:
        """Of liquidations, which the socket does not number, only those of times that no other source has covered:
        elsewhere the same order would be there twice, under two numbers."""
        told = [
            Window(span.start, span.end)
            for span in self._store.spans(partition)
            if span.source != "ws" and span.verdict in KNOWN
        ]
        times = _times(table, "liquidated_at")
        keep = np.ones(len(times), dtype=bool)
        for window in told:
            keep &= (times < window.start) | (times >= window.end)
        return table if keep.all() else table.filter(pa.array(keep))

    def _unheard(self, partition: Partition, table: pa.Table) -> pa.Table:
        """Quotes but for those heard before, on another connection: their key holds our receive time, so the store
        would take them for others."""
        first = pc.min(table["quote_time"])
        stored = [
            part.filter(pc.greater_equal(part["quote_time"], first))
            for part in self._store.tables(partition, list(_QUOTE))
        ]
        both = pa.concat_tables([*stored, table.select(list(_QUOTE))])
        known = len(both) - len(table)
        rows = both.append_column("row", pa.array(np.arange(len(both))))
        firsts = rows.group_by(list(_QUOTE)).aggregate([("row", "min")])["row_min"].to_numpy()
        fresh = np.sort(firsts[firsts >= known]) - known
        return table if len(fresh) == len(table) else table.take(pa.array(fresh))


_QUOTE = ("quote_time", "sequence", "bid", "bid_size", "ask", "ask_size")


def _times(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks().view(pa.int64()).to_numpy()


def _table(series: Series, columns: Mapping[str, Any], source: str) -> pa.Table:
    declared = dataset_named(series.dataset)
    ready: dict[str, Any] = {name: _array(name, value) for name, value in columns.items()}
    unfit = ready.pop(UNFIT, None)
    ready["source"] = source
    return conform(declared, ready, unfit, words=True)


def _array(name: str, value: Any) -> Any:
    """An Arrow array of the column's kind: to guess it from the values takes several times as long."""
    kind = pa.uint8() if name == UNFIT else _KINDS[COLUMNS[name].kind]
    if isinstance(value, pa.Array | pa.ChunkedArray):
        array = value
    elif name == "previous_sequence" and isinstance(value, np.ndarray):
        array = pa.array(value, kind, mask=value < 0)  # of whole books
    else:
        array = pa.array(value, kind, from_pandas=False)
    plain = isinstance(array, pa.StringArray)
    return array.dictionary_encode() if name in _WORDS and plain else array


_KINDS: dict[str, pa.DataType] = {"ts": pa.int64(), "i": pa.int64(), "f": pa.float64(), "s": pa.string()}


def _keeper(store: Store, partition: Partition) -> OnReplace:
    """Versions that lose are kept, but for those that we had read wrongly: the same message, read anew, is no second
    word of the venue's."""
    keep = keeper(store, partition)
    if keep is None:
        return None

    def told(lost: pa.Table, won: pa.Table) -> None:
        other = pc.or_(
            pc.not_equal(lost["received_at"], won["received_at"]),
            pc.not_equal(lost["source"], won["source"]),
        )
        lost, won = lost.filter(other), won.filter(other)
        if len(lost):
            keep(lost, won)

    return told
