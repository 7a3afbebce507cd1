"""What holds until it changes: rows are made where a look finds something new, and only there.

One look brings all rows of one instant: the one that describes an instrument, the basket of an index. Where it says
what the newest rows before that instant say, nothing is stored but that it was so: once a day, as a span in the footer.
Looks at one series take turns, so that of two that find the same thing at the same time only one makes rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import Asked
from htxdata.store.layout import folder_of, partitions
from htxdata.store.merge import times_of
from htxdata.store.partition import Store
from htxdata.timeline import DAY, Window, iso

CONFIRM_EVERY = DAY
"""What did not change makes no new row; that it still held is noted once a day (a span in the footer)."""


@dataclass(frozen=True)
class Held:
    """``rows`` of a series that held at an instant (None: nothing is stored up to then), and until when the coverage
    says so already (None: not at all)."""

    rows: pa.Table | None
    confirmed: int | None


@contextmanager
def in_turn(store: Store, series: Series) -> Iterator[None]:
    """One look at a time: threads and processes wait for each other, and the turn of who dies is over.

    Machines that share a lake in a bucket do not: of two that look at the same time both may store what they saw.
    """
    with store.verbs.turn(store.root, f"{store.root}/{folder_of(series)}"):
        yield


def held(store: Store, series: Series, at: int) -> Held:
    """What is stored of ``series`` at ``at``."""
    spans = [span.end for span in store.coverage(series) if span.start <= at]
    confirmed = max(spans, default=None)
    declared = dataset_named(series.dataset)
    for partition in reversed(store.partitions(series)):
        table = store.read(partition) if partition.window.start <= at else None
        if table is not None:
            times = times_of(declared, table)
            count = int(times.searchsorted(at, side="right"))
            if count:
                first = int(times.searchsorted(times[count - 1]))
                return Held(table.slice(first, count - first), confirmed)
    return Held(None, confirmed)


def keep(
    store: Store, series: Series, known: Held, table: pa.Table, heard: int, reach: int | None = None
) -> bool:
    """Store what a look brought, all of one instant; whether it is something new. Call it in turn.

    Between two looks nobody looked. The coverage speaks of that time as well, up to what the next look found, unless
    ``reach`` microseconds or more have passed since it was confirmed last.

    ``BadReply`` where other rows of the same instant are stored already: laid over each other they would be neither.
    """
    declared = dataset_named(series.dataset)
    at = int(times_of(declared, table)[0])
    new = known.rows is None or _said(declared, known.rows) != _said(declared, table)
    if known.rows is not None and new and times_of(declared, known.rows)[0] == at:
        raise BadReply(f"{series}: at {iso(at)} it was said to be otherwise; what was stored first stays")
    since = at if known.confirmed is None else min(known.confirmed, at)
    if not new and known.confirmed is not None and at - known.confirmed < CONFIRM_EVERY:
        return False
    if reach is not None and at - since >= reach:
        since = at
    # An instant that brought rows belongs to them; one that confirmed is where the next span begins.
    window = Window(since, at if since < at and not new else at + 1)
    for partition in partitions(series, window):
        rows = table if new and partition.window.start <= at < partition.window.end else None
        asked = Asked(window.intersect(partition.window), "rest", heard, "present")
        store.commit(partition, rows, [asked])
    return new


def _said(declared: Dataset, table: pa.Table) -> set[tuple[Any, ...]]:
    columns = (table[name].to_pylist() for name in declared.says)
    return set(zip(*columns, strict=True))
