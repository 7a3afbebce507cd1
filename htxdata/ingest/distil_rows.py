"""Rows on their way from the tape to their partitions, and what is claimed of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.ingest.distil_spans import Heard, Silence, claims, known_windows, refuted
from htxdata.ingest.plan import grid_for
from htxdata.ingest.revisions import keeper
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import UNFIT, conform
from htxdata.schema.columns import COLUMNS
from htxdata.store.coverage import Asked
from htxdata.store.footer import KNOWN, Span
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
        self._rows: dict[Partition, list[tuple[str, Mapping[str, Any]]]] = {}  # sources and columns
        self._asks: dict[Series, tuple[list[Window], list[_Ask]]] = {}
        self.waiting = 0
        self.added: Counter[Series] = Counter()
        self.replaced = 0

    def series(self, store: Store, dataset: str, venue: str) -> list[Series]:
        """Every series of a dataset that has rows in the lake, or will have."""
        waiting = (partition.series for partition in self._rows)
        found = (*store.series(dataset=dataset, venue=venue), *waiting)
        mine = (one for one in dict.fromkeys(found) if (one.dataset, one.venue) == (dataset, venue))
        return [one for one in mine if one.symbol != ALL_SYMBOLS]

    def put(self, series: Series, columns: Mapping[str, Any], source: str = "ws") -> list[str]:
        """Rows of a series, in any order; the folders of the partitions that they belong to."""
        declared = dataset_named(series.dataset)
        times = _instants(columns[declared.time_column])
        if not len(times):
            return []
        first, last = int(times.min()), int(times.max())
        self.waiting += len(times)
        home = partition_of(series, first)
        if last < home.window.end:
            parts = [(home, columns)]
        else:
            parts = [
                (partition, {name: _picked(value, inside) for name, value in columns.items()})
                for partition in partitions(series, Window(first, last + 1))
                if (inside := (times >= partition.window.start) & (times < partition.window.end)).any()
            ]
        for partition, part in parts:
            self._rows.setdefault(partition, []).append((source, part))
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
        for partition, parts in self._rows.items():
            table = _table(partition.dataset, parts)
            parts.clear()
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
        holds = dataset_named(series.dataset).density == "states"  # without a row the last one holds

        def ask(spans: list[Span], cell: Window) -> list[Asked]:
            found = claims(heard, answered, lost, spans, cell)
            return [one._replace(verdict="present") if holds and one.verdict == "empty" else one for one in found]

        self._later(series, windows, ask)

    def _later(self, series: Series, windows: list[Window], ask: _Ask) -> None:
        known, asks = self._asks.setdefault(series, ([], []))
        known += windows
        asks.append(ask)

    def _without_rows(self, partition: Partition, asked: list[Asked]) -> list[Asked]:
        """Outages but for the instants of which there are rows after all (a reply that was cut off there, a stale
        push): the store would take these for a sign that the whole of the window had been told. Of one's own fills and
        balances an instant may have several, of which a connection that broke told some: it keeps no verdict, and is
        asked for with what lies around it."""
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
            if not dataset_named(partition.dataset).own:
                out += [one._replace(window=instant, verdict="present") for instant in instants]
        return out

    def _new(self, partition: Partition, table: pa.Table) -> pa.Table:
        declared = dataset_named(partition.dataset)
        if declared.told_by_one:
            return self._untold(partition, table, declared)
        return self._unheard(partition, table, declared) if declared.heard_once else table

    def _untold(self, partition: Partition, table: pa.Table, declared: Dataset) -> pa.Table:
        """Only rows of times that no other source has covered: elsewhere the same one would be there twice, under two
        numbers. What no source can have told as well (a NULL in ``told_once``) is kept: the balances that a connection
        begins with are no change."""
        told = [
            Window(span.start, span.end)
            for span in self._store.spans(partition)
            if span.source != "ws" and span.verdict in KNOWN
        ]
        times = _times(table, declared.time_column)
        keep = np.ones(len(times), dtype=bool)
        for window in told:
            keep &= (times < window.start) | (times >= window.end)
        for name in declared.told_once:
            if name in table.column_names:
                keep |= table[name].is_null().to_numpy()
        return table if keep.all() else table.filter(pa.array(keep))

    def _unheard(self, partition: Partition, table: pa.Table, declared: Dataset) -> pa.Table:
        """Rows but for those heard before, on another connection: their key holds our receive time, so the store would
        take them for others."""
        same, time = list(declared.heard_once), declared.time_column
        first = pc.min(table[time])
        stored = [
            part.filter(pc.greater_equal(part[time], first)) for part in self._store.tables(partition, same)
        ]
        both = pa.concat_tables([*stored, table.select(same)])
        known = len(both) - len(table)
        rows = both.append_column("row", pa.array(np.arange(len(both))))
        firsts = rows.group_by(same).aggregate([("row", "min")])["row_min"].to_numpy()
        fresh = np.sort(firsts[firsts >= known]) - known
        return table if len(fresh) == len(table) else table.take(pa.array(fresh))


def _times(table: pa.Table, name: str) -> Any:
    return table[name].combine_chunks().view(pa.int64()).to_numpy()


def _instants(value: Any) -> Any:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.cast(pa.int64()).to_numpy()
    return np.asarray(value, np.int64)


def _picked(value: Any, inside: Any) -> Any:
    """Of a column, the rows where ``inside``."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.filter(pa.array(inside))
    if isinstance(value, np.ndarray):
        return value[inside]
    return value if isinstance(value, str) else [value[at] for at in np.flatnonzero(inside)]


def _table(dataset: str, parts: Sequence[tuple[str, Mapping[str, Any]]]) -> pa.Table:
    """The rows of all parts. Those that have the same columns become one array each: to make many small ones takes
    longer than all the rest."""
    declared = dataset_named(dataset)
    tables = []
    for (source, names), alike in groupby(parts, lambda part: (part[0], frozenset(part[1]))):
        columns = [part[1] for part in alike]
        ready = {name: _array(name, [one[name] for one in columns]) for name in names}
        unfit = ready.pop(UNFIT, None)
        tables.append(conform(declared, {**ready, "source": source}, unfit, words=True))
    return pa.concat_tables(tables, promote_options="default")


def _array(name: str, values: Sequence[Any]) -> Any:
    """Columns one after the other, as an Arrow array of the column's kind: to guess it from the values takes several
    times as long."""
    if all(isinstance(value, np.ndarray) for value in values):
        values = [np.concatenate(values)] if len(values) > 1 else values
    arrays = [_made(name, value) for value in values]
    array = arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)
    return array.dictionary_encode() if name in _WORDS and isinstance(array, pa.StringArray) else array


def _made(name: str, value: Any) -> Any:
    kind = pa.uint8() if name == UNFIT else _KINDS[COLUMNS[name].kind]
    if isinstance(value, pa.ChunkedArray):
        return value.combine_chunks()
    if isinstance(value, pa.Array):
        return value
    if name == "previous_sequence" and isinstance(value, np.ndarray):
        return pa.array(value, kind, mask=value < 0)  # of whole books
    return pa.array(value, kind, from_pandas=False)


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
