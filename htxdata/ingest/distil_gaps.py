"""The rows of ``capture_gaps``: when a captured feed was not heard, and whether what was lost has come since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from htxdata.ingest.distil_spans import Silence, covered
from htxdata.ingest.plan import grid_for
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import arrow_schema, conform
from htxdata.store.layout import Partition, partition_of
from htxdata.store.partition import Store
from htxdata.timeline import Window, iso
from htxdata.venues import VENUES

GAPS = "capture_gaps"


class Gap(NamedTuple):
    """A gap as it stands in the lake. ``healed_at`` is None while what was lost is missing."""

    series: Series
    feed: str
    window: Window
    cause: str
    healed_at: int | None = None

    def __str__(self) -> str:
        return f"{self.series}: not heard {iso(self.window.start)} to {iso(self.window.end)} ({self.cause})"


def note_gaps(store: Store, venue: str, feed: str, found: Mapping[str, Iterable[Silence]]) -> None:
    """Put down the gaps of a feed, by symbol. Those that are there already stay as they are."""
    for symbol, gaps in found.items():
        by_partition: dict[Partition, list[Silence]] = {}
        for gap in gaps:
            by_partition.setdefault(partition_of(Series(GAPS, venue, symbol), gap.start), []).append(gap)
        for partition, rows in by_partition.items():
            known = {(row["feed"], row["gap_start"]): row for row in _rows(store, partition)}
            fresh = [
                gap
                for gap in rows
                if (there := known.get((feed, gap.start))) is None
                or (there["gap_end"], there["cause"]) != (gap.end, gap.cause)
            ]
            if fresh:
                columns = {
                    "feed": feed,
                    "gap_start": [gap.start for gap in fresh],
                    "gap_end": [gap.end for gap in fresh],
                    "cause": [gap.cause for gap in fresh],
                    "source": "ws",
                    "received_at": [gap.known_at for gap in fresh],
                }
                store.commit(partition, conform(dataset_named(GAPS), columns))


def heal_gaps(store: Store, venue: str | None = None) -> list[Gap]:
    """Mark the gaps whose span has come by another way since: REST, the archive, a tape that turned up.

    ``healed_at`` is when the last of it was fetched. A gap of candles is healed where all stored periods of the symbol
    are known over it. Gives what was healed now.
    """
    healed: list[Gap] = []
    for partition, gap, row in _all(store, venue):
        if gap.healed_at is not None:
            continue
        healed_at = _healed_at(store, gap)
        if healed_at is not None:
            columns: dict[str, Any] = {name: [value] for name, value in row.items()}
            columns["healed_at"] = [healed_at]
            table = conform(dataset_named(GAPS), columns)
            store.commit(partition, table.select(arrow_schema(dataset_named(GAPS)).names))
            healed.append(gap._replace(healed_at=healed_at))
    return healed


def open_gaps(store: Store, venue: str | None = None, feed: str | None = None) -> list[Gap]:
    """What is still lost, in order of time."""
    found = [gap for _, gap, _ in _all(store, venue) if gap.healed_at is None and feed in (None, gap.feed)]
    return sorted(found, key=lambda gap: (gap.window, str(gap.series)))


def _all(store: Store, venue: str | None) -> Iterator[tuple[Partition, Gap, dict[str, Any]]]:
    for series in store.series(dataset=GAPS, venue=venue):
        for partition in store.partitions(series):
            for row in _rows(store, partition):
                told = next((v.feed(row["feed"]) for v in VENUES if v.name == series.venue), None)
                dataset = told.dataset if told is not None else GAPS
                line = Series(dataset, series.venue, series.symbol)
                window = Window(row["gap_start"], row["gap_end"])
                yield partition, Gap(line, row["feed"], window, row["cause"], row["healed_at"]), row


def _rows(store: Store, partition: Partition) -> list[dict[str, Any]]:
    """The rows of a partition, instants as microseconds."""
    table = store.read(partition)
    if table is None:
        return []
    columns = [
        table[name].cast(pa.int64()) if pa.types.is_timestamp(table[name].type) else table[name]
        for name in table.column_names
    ]
    rows: list[dict[str, Any]] = pa.table(columns, names=table.column_names).to_pylist()
    return rows


def _healed_at(store: Store, gap: Gap) -> int | None:
    series, declared = gap.series, dataset_named(gap.series.dataset)
    if not declared.has_period:
        return covered(gap.window, store.coverage(series))
    venue = next(v for v in VENUES if v.name == series.venue)
    found: list[int | None] = []
    for line in store.series(dataset=series.dataset, venue=series.venue, symbol=[series.symbol]):
        grid = grid_for(line, venue)
        assert grid is not None
        window = Window(grid.floor(gap.window.start), grid.ceil(gap.window.end))
        found.append(covered(window, store.coverage(line)))
    times = [when for when in found if when is not None]
    return max(times) if times and len(times) == len(found) else None
