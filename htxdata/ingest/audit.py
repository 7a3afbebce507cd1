"""Is what the lake holds true? Candles against trades, sources against each other, rows against their footers.

Reads the lake and asks nobody. Findings are stored as a table (``store/findings.py``), each with the row that shows it;
an audit replaces those of what it looked at and leaves the others, so that running it again changes nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import CorruptPartition, UsageError
from htxdata.ingest.audit_books import books
from htxdata.ingest.audit_candles import CANDLES, OnPartition, against_klines, against_trades
from htxdata.ingest.audit_checks import ROW_CHECKS, Check
from htxdata.ingest.audit_ids import identity, sequence
from htxdata.ingest.audit_partitions import coverage, funding_interval
from htxdata.ingest.audit_rows import Finding, Held, Rows, opened
from htxdata.ingest.audit_sources import sources
from htxdata.ingest.candles import integers
from htxdata.market import Series
from htxdata.store import findings as stored
from htxdata.store.layout import Partition, Pattern, matches, partition_of
from htxdata.store.partition import Store
from htxdata.timeline import Window, iso

MOST = 10_000
"""Findings of one check and series that are kept, so that a lake that is wrong throughout still fits into memory."""

PARTITION_CHECKS = (
    Check("coverage", "the spans of a footer with the rows: their count, rows outside, slots without a candle",
          "none", coverage),
    Check("identity", "every trade's or liquidation's id with all others of its partition", "none", identity),
    Check("sequence", "the number of a trade with that of the last trade a second before, or earlier",
          "a second: times are milliseconds of several machines", sequence),
)  # fmt: skip
"""``run(Held)`` yields ``Finding``."""

SERIES_CHECKS = (
    Check("funding_interval", "settlements with the ones before",
          "10 minutes to 12 hours apart: intervals are 1 to 8 hours, and settlements run late", funding_interval),
    Check("sources", "rows with the version that another source gave of them",
          "prices and counts none, sums 1e-9 and the rounding of turnover", sources),
    Check("book", "the order book that the stored changes make, message by message: bids below asks, nothing lost",
          "none", books),
)  # fmt: skip
"""``run(Store, Series)`` yields ``Finding``."""

CANDLE_CHECKS = (
    Check("klines_against_trades", "the venue's candles with those that our trades make, where no trade is missing",
          "prices none; sums 1e-9 and the rounding of turnover; a count on contracts, which counts orders: up to two a "
          "trade; open and close, where the archive's ids repeat, of any trade of the first and last instant",
          against_trades),
    Check("klines_against_klines", "candles with those that stored candles of shorter periods make",
          "prices none; sums 1e-9 and the rounding of turnover; a count on contracts: up to the sum", against_klines),
)  # fmt: skip

CHECKS = (
    Check("file", "every partition with a Parquet file of ours", "none", opened),
    *ROW_CHECKS, *PARTITION_CHECKS, *SERIES_CHECKS, *CANDLE_CHECKS,
)  # fmt: skip
"""All checks, as they are named in the findings."""

_OF_PARTITIONS = {"file", *(check.name for check in PARTITION_CHECKS)}

OnStep = Callable[[str, int, int], None]
"""Told of every partition before it is read: which, how many were read before it, and how many there are. Trades are
read a second time where there are candles to lay beside them."""


@dataclass
class Report:
    """What an audit found. ``compared`` counts what the checks of candles laid beside each other; ``unfit`` the values
    that no DOUBLE carries digit for digit, by series: nothing is wrong with them. ``changed``: another table is stored
    than before."""

    findings: list[Finding] = field(default_factory=list)
    series: int = 0
    partitions: int = 0
    rows: int = 0
    compared: Counter[str] = field(default_factory=Counter)
    unfit: Counter[Series] = field(default_factory=Counter)
    changed: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class _Selection:
    dataset: Pattern
    venue: Pattern
    symbol: Pattern
    period: Pattern
    window: Window

    def takes(self, series: Series) -> bool:
        return (
            matches(self.dataset, series.dataset)
            and matches(self.venue, series.venue)
            and matches(self.symbol, series.symbol)
            and (self.period is None or (series.period is not None and matches(self.period, series.period)))
        )

    def covers(self, finding: Finding) -> bool:
        """Whether an audit of this selection would find it; what was said of a partition belongs to all of it."""
        if not self.takes(finding.series):
            return False
        if finding.check in _OF_PARTITIONS:
            return bool(partition_of(finding.series, finding.at).window.intersect(self.window))
        return self.window.start <= finding.at < self.window.end


def audit(
    store: Store,
    *,
    dataset: Pattern = None,
    venue: Pattern = None,
    symbol: Pattern = None,
    period: Pattern = None,
    start: int | None = None,
    end: int | None = None,
    on_step: OnStep = lambda name, done, of: None,
) -> Report:
    """Look at all rows of the chosen series whose time lies in ``[start, end)`` (microseconds UTC), and store what is
    wrong. Texts may be globs. What cannot be read is a finding, too; only a lake that cannot be written raises.
    """
    began = time.monotonic()
    window = Window(-(2**62) if start is None else start, 2**62 if end is None else end)
    if not window:
        raise UsageError(
            f"--end {iso(window.end)} is not after --start {iso(window.start)}: the range is empty"
        )
    selection = _Selection(dataset, venue, symbol, period, window)
    lines = sorted(store.series(dataset, venue, symbol, period), key=str)
    report = Report(series=len(lines))
    kept: Counter[tuple[str, Series]] = Counter()
    steps = _Steps(on_step, sum(len(_partitions(store, line, window)) for line in _readings(lines)))
    for line in lines:
        for finding in _of_series(store, line, lines, window, report, steps.one):
            if selection.covers(finding):
                kept[finding.check, finding.series] += 1
                if kept[finding.check, finding.series] <= MOST:
                    report.findings.append(finding)
    report.findings.sort(key=_rank)
    report.findings += _left_out(report.findings, kept)
    report.changed = stored.replace(store.root, lambda before: _updated(before, report.findings, selection))
    report.seconds = time.monotonic() - began
    return report


def _left_out(findings: Iterable[Finding], kept: Counter[tuple[str, Series]]) -> list[Finding]:
    """One more finding for every check and series of which only the first ``MOST`` are kept."""
    last = {(finding.check, finding.series): finding for finding in findings}
    return [
        Finding(
            check, series, last[check, series].at, None, None, None, f"and {count - MOST} more of this kind"
        )
        for (check, series), count in sorted(kept.items(), key=str)
        if count > MOST
    ]


@dataclass
class _Steps:
    """Counts the partitions as they are read."""

    on_step: OnStep
    total: int
    done: int = 0

    def one(self, partition: Partition) -> None:
        self.on_step(str(partition), self.done, max(self.total, self.done + 1))
        self.done += 1


def _readings(lines: Sequence[Series]) -> list[Series]:
    """The series that are read, those of trades once more for the candles of their symbol."""
    symbols = sorted({(line.venue, line.symbol) for line in lines if line.dataset == "klines"})
    return [*lines, *(Series("trades", venue, symbol) for venue, symbol in symbols)]


def _partitions(store: Store, line: Series, window: Window) -> list[Partition]:
    return [partition for partition in store.partitions(line) if partition.window.intersect(window)]


def _of_series(
    store: Store,
    line: Series,
    lines: Sequence[Series],
    window: Window,
    report: Report,
    on_partition: OnPartition,
) -> Iterator[Finding]:
    for partition in _partitions(store, line, window):
        on_partition(partition)
        yield from _of_partition(store, partition, report)
    for check in SERIES_CHECKS:
        yield from check.run(store, line)
    if line.dataset in CANDLES:
        yield from against_klines(store, line, window, report.compared)
    if line.dataset == "klines":
        alike = [other for other in lines if (other.dataset, other.venue, other.symbol) ==
                 (line.dataset, line.venue, line.symbol)]  # fmt: skip
        if line == alike[0]:  # all periods at once, in one pass over the trades
            yield from against_trades(store, alike, window, report.compared, on_partition)


def _of_partition(store: Store, partition: Partition, report: Report) -> Iterator[Finding]:
    try:
        with opened(store, partition) as held:
            if held is None:
                return
            report.partitions += 1
            report.rows += held.reader.rows
            if held.footer.unfit:
                report.unfit[partition.series] += held.footer.unfit
            yield from _of_rows(held)
            for check in PARTITION_CHECKS:
                yield from check.run(held)
    except CorruptPartition as error:
        said = str(error).replace(f"{store.root}/", "")
        yield Finding("file", partition.series, partition.window.start, None, None, None, said)


def _of_rows(held: Held) -> Iterator[Finding]:
    before: pa.Table | None = None
    for table in held.batches():
        times = integers(table[held.declared.time_column])
        rows = Rows(held.declared, held.partition.window, held.grid, table, times, before)
        for check in ROW_CHECKS:
            for wrong in check.run(rows):
                for at in np.flatnonzero(wrong.mask).tolist():
                    yield Finding(
                        check.name, held.partition.series, int(times[at]), wrong.column,
                        _value(wrong.ours, at), _value(wrong.theirs, at), wrong.detail,
                    )  # fmt: skip
        before = table.slice(len(table) - 1) if len(table) else before


def _value(values: Any, at: int) -> float | None:
    value = values if values is None or isinstance(values, float) else float(values[at])
    return None if value is None or not np.isfinite(value) else value


# ------------------------------------------------------------------------------------------------- the table


def _rank(finding: Finding) -> tuple[str, int, str, str]:
    return str(finding.series), finding.at, finding.check, finding.column or ""


def _updated(before: pa.Table, found: list[Finding], selection: _Selection) -> pa.Table:
    others = [finding for finding in from_table(before) if not selection.covers(finding)]
    return to_table(sorted([*others, *found], key=_rank))


def to_table(findings: list[Finding]) -> pa.Table:
    """Findings as rows of the view ``audit_findings``."""
    columns: dict[str, list[Any]] = {
        "dataset": [f.series.dataset for f in findings],
        "venue": [f.series.venue for f in findings],
        "symbol": [f.series.symbol for f in findings],
        "period": [f.series.period for f in findings],
        "check_name": [f.check for f in findings],
        "at_time": [f.at for f in findings],
        "column_name": [f.column for f in findings],
        "ours": [f.ours for f in findings],
        "theirs": [f.theirs for f in findings],
        "detail": [f.detail for f in findings],
    }
    return pa.table(
        [pa.array(columns[field.name], field.type) for field in stored.SCHEMA], schema=stored.SCHEMA
    )


def from_table(table: pa.Table) -> list[Finding]:
    """The inverse of :func:`to_table`."""
    table = table.set_column(5, "at_time", table["at_time"].cast(pa.int64()))
    return [
        Finding(check, Series(dataset, venue, symbol, period), at, column, ours, theirs, detail)
        for dataset, venue, symbol, period, check, at, column, ours, theirs, detail in zip(
            *(column.to_pylist() for column in table.columns), strict=True
        )
    ]


__all__ = ["CHECKS", "Finding", "Report", "audit", "from_table", "to_table"]
