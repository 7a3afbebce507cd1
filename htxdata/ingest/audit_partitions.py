"""The checks of an audit that lay the rows of a series beside what its footers say of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow.compute as pc

from htxdata.errors import CorruptPartition
from htxdata.ingest.audit_rows import Finding, Held, opened
from htxdata.ingest.distil_gaps import GAPS
from htxdata.ingest.revisions import DIFFERENCES
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.store.partition import Store
from htxdata.timeline import HOUR, MINUTE, SECOND, Grid, Window, iso, merge

TOGETHER = 10 * MINUTE
"""Fundings closer than this are one settlement twice: the shortest interval is an hour (in three recorded years with 8
none came within three hours of another), and one settlement differs by about a second between sources (htx-api 9.3)."""

APART = 12 * HOUR
"""The longest interval is 8 hours, and late settlements came up to 11 hours after the one before (2021-2023)."""


def _captured(held: Held) -> bool:
    """Whether a capture has told some of it. The spans may not say so: what REST answered for keeps its name."""
    if any(span.source == "ws" for span in held.footer.spans):
        return True
    return any(pc.any(pc.equal(batch["source"].cast("string"), "ws")).as_py() for batch in held.batches(["source"]))


def coverage(held: Held) -> Iterator[Finding]:
    """The footer's spans beside the rows: counts agree, no row is outside, ``present`` means a candle in every slot."""
    declared, partition = held.declared, held.partition
    spans = held.footer.spans
    if declared.name in ("kline_revisions", DIFFERENCES, GAPS):
        return  # what came along is covered by nobody's asking
    starts = np.array([span.start for span in spans], dtype=np.int64)
    ends = np.array([span.end for span in spans], dtype=np.int64)
    counts = np.zeros(len(spans), dtype=np.int64)
    captured: bool | None = None
    kept: list[Any] = []
    for times in held.times():
        at = starts.searchsorted(times, side="right") - 1
        inside = (at >= 0) & (times < ends[at]) if len(spans) else np.zeros(len(times), dtype=bool)
        counts += np.bincount(at[inside], minlength=len(spans))
        outside = times[~inside].tolist()
        if outside and captured is None:
            captured = _captured(held)
        # Of a capture, what came just before and after the time that it can answer for is kept all the same.
        for time in outside if not captured else ():
            yield Finding("coverage", partition.series, time, declared.time_column, None, None,
                          "the row lies in no span of its footer")  # fmt: skip
        if declared.density == "grid":
            kept.append(times)
    rows = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
    for span, count in zip(spans, counts.tolist(), strict=True):
        holes = _holes(held.grid, Window(span.start, span.end), rows) if span.verdict == "present" else []
        for time in holes:
            yield Finding("coverage", partition.series, time, declared.time_column, None, None,
                          "its footer says present, and there is no candle")  # fmt: skip
        if span.verdict != "present" and count:
            said = f"its footer says {span.verdict} of {Window(span.start, span.end)}, and {count} rows are there"
            yield Finding("coverage", partition.series, span.start, None, float(count), 0.0, said)
        elif not holes and count != span.rows:
            said = f"its footer counts {span.rows} rows in {Window(span.start, span.end)}, there are {count}"
            yield Finding(
                "coverage", partition.series, span.start, None, float(count), float(span.rows), said
            )


def _holes(grid: Grid | None, window: Window, rows: Any) -> list[int]:
    """The slots of ``window`` in which no row lies."""
    if grid is None:
        return []
    window = grid.snap(window)
    if grid.step:
        openings = np.arange(window.start, window.end, grid.step, dtype=np.int64)
    else:
        openings = np.array(grid.openings(window), dtype=np.int64)
    low, high = np.sort(rows).searchsorted(window)
    empty = np.ones(len(openings), dtype=bool)
    empty[openings.searchsorted(np.sort(rows)[low:high], side="right") - 1] = False
    return [int(time) for time in openings[empty]]


def funding_interval(store: Store, series: Series) -> Iterator[Finding]:
    """Settlements follow each other neither at once nor after a hole that nobody explained."""
    if dataset_named(series.dataset).density != "interval":
        return
    times, sure = _times_and_present(store, series)
    gaps = np.diff(times)
    for at in np.flatnonzero(gaps < TOGETHER).tolist():
        said = f"settled {gaps[at] / SECOND:g} s after the one before: the same settlement twice"
        yield Finding("funding_interval", series, int(times[at + 1]), "funding_time", None, None, said)
    for at in np.flatnonzero(gaps > APART).tolist():
        hole = Window(int(times[at]), int(times[at + 1]))
        if any(window.start <= hole.start and hole.end <= window.end for window in sure):
            said = (
                f"nothing for {gaps[at] / HOUR:g} hours since {iso(hole.start)}, though all of it is present"
            )
            yield Finding("funding_interval", series, hole.end, "funding_time", None, None, said)


def _times_and_present(store: Store, series: Series) -> tuple[Any, list[Window]]:
    parts: list[Any] = [np.zeros(0, dtype=np.int64)]
    windows: list[Window] = []
    for partition in store.partitions(series):
        # What cannot be read is a finding already.
        with suppress(CorruptPartition), opened(store, partition) as held:
            if held is not None:
                parts += held.times()
                windows += [Window(s.start, s.end) for s in held.footer.spans if s.verdict == "present"]
    return np.sort(np.concatenate(parts)), merge(windows)
