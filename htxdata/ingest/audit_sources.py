"""The check of an audit that lays what one source said beside what another said of the same row.

The lake keeps one version of a row (``ingest/revisions.py``): candles that lost are whole in ``kline_revisions``, for
every other dataset, and where two trees of an archive disagree, ``source_differences`` has what was dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.errors import CorruptPartition
from htxdata.ingest.audit_checks import close_enough
from htxdata.ingest.audit_rows import Finding, mask_of
from htxdata.ingest.candles import floats, integers
from htxdata.ingest.revisions import DIFFERENCES
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.store.layout import Partition
from htxdata.store.partition import Store


def sources(store: Store, series: Series) -> Iterator[Finding]:
    """What one source said and another contradicted."""
    told: set[tuple[int, str | None, float | None]] = set()
    for finding in _revised(store, series):
        what = finding.at, finding.column, finding.ours
        if what not in told:  # several versions may agree
            told.add(what)
            yield finding
    yield from _recorded(store, series)


def _revised(store: Store, series: Series) -> Iterator[Finding]:
    if series.dataset != "klines":
        return
    line = Series("kline_revisions", series.venue, series.symbol, series.period)
    for partition in store.partitions(line):
        mine = Partition(series.dataset, series.venue, series.symbol, series.period, partition.label)
        with suppress(CorruptPartition):  # which is a finding already
            lost, now = store.read(partition), store.read(mine)
            if lost is not None and now is not None:
                yield from _contradictions(series, lost, now)


def _contradictions(series: Series, lost: pa.Table, now: pa.Table) -> Iterator[Finding]:
    """Older versions of candles that another source than that of the stored one gave, and that differ from it."""
    times, kept = integers(lost["open_time"]), integers(now["open_time"])
    place = np.minimum(kept.searchsorted(times), max(len(kept) - 1, 0))
    found = kept[place] == times if len(kept) else np.zeros(len(times), dtype=bool)
    lost, now = lost.filter(pa.array(found)), now.take(pa.array(place[found]))
    times = times[found]
    apart = mask_of(pc.not_equal(lost["source"], now["source"]))
    for name in dataset_named(series.dataset).columns[1:11]:
        one, other = floats(lost[name]), floats(now[name])
        if one is None or other is None:
            continue
        differs = apart & ~close_enough(name, one, other)
        for at in np.flatnonzero(differs).tolist():
            said = f"{lost['source'][at]} said otherwise than {now['source'][at]}, which is stored"
            yield Finding("sources", series, int(times[at]), name, float(one[at]), float(other[at]), said)


def _recorded(store: Store, series: Series) -> Iterator[Finding]:
    """What was written down as two readings met."""
    for partition in store.partitions(Series(DIFFERENCES, series.venue, series.symbol)):
        with suppress(CorruptPartition):
            for table in store.tables(partition):
                yield from (_difference(series, row) for row in _of(series, table) if _counts(row))


def _of(series: Series, table: pa.Table) -> list[dict[str, Any]]:
    mine = pc.equal(table["dataset"], series.dataset)
    if series.period is not None:
        mine = pc.and_(mine, pc.fill_null(pc.equal(table["period"], series.period), False))
    table = table.filter(mine)
    at = table.column_names.index("row_time")
    plain = table.set_column(at, "row_time", pa.array(integers(table["row_time"])))
    rows: list[dict[str, Any]] = plain.to_pylist()
    return rows


def _counts(row: dict[str, Any]) -> bool:
    """A candle may be revised by its source, a trade may not; sums of candles agree as far as they can."""
    if row["kept_source"] == row["dropped_source"] and dataset_named(row["dataset"]).density != "events":
        return False
    kept, dropped = row["kept"], row["dropped"]
    if row["dataset"] != "klines" or kept is None or dropped is None:
        return True
    return not close_enough(row["column_name"], np.float64(kept), np.float64(dropped))


def _difference(series: Series, row: dict[str, Any]) -> Finding:
    said = f"{row['dropped_source']} said otherwise than {row['kept_source']}, which is stored"
    if row["dropped_text"] is not None or row["kept_text"] is not None:
        said += f": {row['dropped_text']!r}, not {row['kept_text']!r}"
    said += f" ({row['row_key']})"
    return Finding("sources", series, row["row_time"], row["column_name"], row["dropped"], row["kept"], said)
