"""One job of the archive: fetch the files of some days, read them, commit their partitions. Memory stays flat.

A file is a day of the venue (HTX's opens at 16:00 UTC), a partition a day, month or year of UTC: files and partitions
straddle each other. Rows go as they are read into the partitions that they belong to; a partition is committed when
the last file that reaches into it has been read to its end. A file that turns out to be bad at its very end is
therefore never half used: the partitions that it reaches into are not committed yet, and forget it.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from htxdata.errors import BadReply, Refused, Unreachable, VenueError
from htxdata.ingest.daily import DailyCandles, Shelf, content_of
from htxdata.ingest.day_file import DayFile
from htxdata.ingest.order import Unsorted
from htxdata.ingest.outcome import Missing, Outcome
from htxdata.ingest.plan import RECHECK_DAYS, Job, day_window, grid_for, held_by
from htxdata.ingest.revisions import compare, keeper
from htxdata.ingest.sinks import Sink, Tables, rows_of, sink_for
from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer, SourceFile
from htxdata.store.layout import Partition, partitions
from htxdata.store.partition import Store
from htxdata.store.quarantine import set_aside
from htxdata.timeline import DAY, Window, intersect, merge, subtract
from htxdata.transport.download import Fetched
from htxdata.venues.terms import Archive, Listed, Venue

log = logging.getLogger(__name__)

AHEAD = 8
"""Files of a job that are fetched while an earlier one is read: a round trip of 0.3 s is hidden behind that many."""


@dataclass(frozen=True)
class Found:
    """The file of one day, and the entry of the table that reads it. ``fetched`` is None where it is in the lake."""

    archive: Archive
    fetched: Fetched | None
    file: SourceFile


@dataclass
class _Deep:
    """One job under way."""

    job: Job
    venue: Venue
    store: Store
    shelf: Shelf
    tape: Path
    dataset: Dataset
    stopped: Callable[[], bool]
    on_file: Callable[[int], None]
    stored: dict[str, dict[str, SourceFile]] = field(default_factory=dict)
    held: list[Window] = field(default_factory=list)
    by_rest: list[Window] = field(default_factory=list)
    listings: dict[str, Mapping[str, Listed] | None] = field(default_factory=dict)
    sinks: dict[str, Sink] = field(default_factory=dict)
    open_files: dict[str, Fetched] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    withheld: list[Missing] = field(default_factory=list)
    unobtainable: list[Missing] = field(default_factory=list)
    rows: int = 0
    added: int = 0
    replaced: int = 0
    requests: int = 0
    quarantined: int = 0
    changed: bool = False
    unreachable: bool = False
    crossed: set[str] = field(default_factory=set)
    partitions: int = 0
    differences: int = 0

    def __post_init__(self) -> None:
        self.daily = DailyCandles(self.venue, self.series.symbol, self.job.days, self.shelf)

    @property
    def series(self) -> Series:
        return self.job.series

    # ---------------------------------------------------------------------------------------------- finding files

    def run(self) -> None:
        try:
            for archive in self._archives():
                held = tuple(day for day in self.job.days if held_by([archive], day))
                if held:
                    self.listings[archive.tree] = self.shelf.listed(self.venue, archive, self.series, held)
        except VenueError as error:  # then its files are not to be had either
            self.unreachable = isinstance(error, Unreachable)
            for each in self.job.days:
                self._miss(self._day(each), str(error), withheld=True)
            return
        span = Window(self._day(self.job.days[0]).start, self._day(self.job.days[-1]).end)
        for partition in partitions(self.series, span):
            footer = self.store.footer(partition) or Footer()
            self.stored[partition.label] = {file.key: file for file in footer.files}
            self.held.extend(Window(span.start, span.end) for span in footer.spans if span.source == "archive")
            rest = (span for span in footer.spans if (span.source, span.verdict) == ("rest", "present"))
            self.by_rest.extend(Window(span.start, span.end) for span in rest)
        with ThreadPoolExecutor(max_workers=AHEAD, thread_name_prefix="htxdata-fetch") as pool:
            waiting: list[tuple[str, Future[Found | None]]] = []
            days = iter(self.job.days)
            try:
                while True:
                    while len(waiting) < AHEAD and (day := next(days, None)) is not None:
                        waiting.append((day, pool.submit(self._find, day, frozenset())))
                    if not waiting:
                        break
                    self._one(*waiting.pop(0))
            except BaseException:
                for _, future in waiting:
                    future.cancel()
                raise
            finally:
                for sink in self.sinks.values():
                    sink.abort()

    def _archives(self) -> tuple[Archive, ...]:
        # Of one dataset either all trees are spare or none is.
        return self.venue.archives_for(self.series.dataset, self.series.period)

    def _day(self, day: str) -> Window:
        return day_window(day, self.venue)

    def _wanted(self, window: Window) -> list[Window]:
        """What of a day was asked for, and what the lake has of it already: a file that changed is read again.

        A file that must not be read twice is taken whole at once.
        """
        if not self.dataset.rereads:
            return [window]
        return merge([*intersect(self.job.windows, [window]), *intersect(merge(self.held), [window])])

    def _find(self, day: str, bad: frozenset[str]) -> Found | None:
        """The file of a day from the first tree that has a good one, ``None`` where none has any."""
        if self.stopped():
            raise Unreachable("stopped")
        refusals: list[str] = []
        for archive in held_by(self._archives(), day):
            key, listing = archive.key(self.series, day), self.listings[archive.tree]
            if key in bad or (listing is not None and day not in listing):
                continue
            listed = None if listing is None else listing[day]
            stored = self._stored(key, day)
            unchanged = listed is not None and stored is not None and stored.etag == listed.etag
            if stored is not None and (unchanged or not self.dataset.rereads):
                return Found(archive, None, stored)  # nothing is downloaded twice
            try:
                fetched = self.shelf.fetch(self.venue, key, listed)
            except Refused as error:
                if error.kind != "absent":
                    raise
            except BadReply as error:
                refusals.append(str(error))
            else:
                modified = fetched.modified or (listed.modified if listed else 0)
                file = SourceFile(key, fetched.etag, fetched.sha256, modified, fetched.received_at)
                return Found(archive, fetched, file)
        if refusals:
            raise BadReply("; ".join(refusals))
        return None

    def _stored(self, key: str, day: str) -> SourceFile | None:
        """What the lake knows of a file of which no rows are wanted that it does not have."""
        window = self._day(day)
        found = {self.stored[partition.label].get(key) for partition in partitions(self.series, window)}
        files = [file for file in found if file is not None]
        if not self.dataset.rereads:  # each partition keeps the version that it was given
            return None if None in found else max(files)
        one = len({(file.etag, file.sha256) for file in files}) == 1
        return max(files) if one and not intersect(self.job.windows, [window]) else None

    # ------------------------------------------------------------------------------------------------ one file

    def _one(self, day: str, future: Future[Found | None]) -> None:
        window, before = self._day(day), self.added
        bad: frozenset[str] = frozenset()
        why = ""
        while True:
            try:
                found = self._find(day, bad) if bad else future.result()
            except VenueError as error:
                self.unreachable |= isinstance(error, Unreachable)
                self._miss(window, str(error), withheld=True)
                break
            if found is None:
                if bad:
                    self._miss(window, why, withheld=True)
                else:
                    self._absent(day, window)
                break
            if found.fetched is None:
                self._confirm(found, window)
                break
            self.requests += _REQUESTS
            try:
                read = self._day_file(found.archive, found.fetched, window)
                self._pour(read, found.file, day)
                self._cross(read, day)
                self._beside_rest(read, found.file)
                self.open_files[day] = found.fetched
                break
            except BadReply as error:
                for sink in self.sinks.values():
                    sink.forget(day)
                said = f"{found.file.key}: {error}"
                self._set_aside(found.fetched, said)
                bad |= {found.file.key}  # another tree may have a good one
                why = f"{said} (the file is in quarantine)"
        self._close(None if day == self.job.days[-1] else window.end)
        self.on_file(self.added - before)

    def _day_file(self, archive: Archive, fetched: Fetched, window: Window) -> DayFile:
        return DayFile(archive, fetched, self.series, window, self.daily)

    def _pour(self, read: DayFile, file: SourceFile, day: str) -> None:
        """Every row of one file to the partition that it belongs to, in order of time and key."""
        targets = self._targets(file.key, read.window)
        if not targets:
            return
        try:
            self._write(read.as_it_is, targets, day)
        except Unsorted:
            for sink in self.sinks.values():
                sink.forget(day)
            self._write(read.sorted, targets, day)
        for partition, parts in targets.items():
            for part in parts:
                self._sink(partition).ask(Asked(part, "archive", read.fetched.received_at, "empty"), file)

    def _targets(self, key: str, window: Window) -> dict[Partition, list[Window]]:
        """Which partitions take which rows of a file: what is wanted of it, and they do not hold for good already."""
        wanted = self._wanted(window)
        return {
            partition: parts
            for partition in partitions(self.series, window)
            if (parts := intersect(wanted, [partition.window]))
            and (self.dataset.rereads or key not in self.stored[partition.label])
        }

    def _write(self, read: Callable[[], Tables], targets: Mapping[Partition, Sequence[Window]], day: str) -> None:
        column = self.dataset.time_column
        for partition, parts in targets.items():
            self._sink(partition).begin(day, partial(_part, read, parts, column))
        for table in read():
            for partition, parts in targets.items():
                for part in rows_of([table], parts, column):
                    self._sink(partition).write(part)

    # -------------------------------------------------------------------------------------------- partitions

    def _sink(self, partition: Partition) -> Sink:
        if partition.label not in self.sinks:
            grid = grid_for(self.series, self.venue)
            self.sinks[partition.label] = sink_for(self.store, partition, grid, keeper(self.store, partition))
        return self.sinks[partition.label]

    def _close(self, upto: int | None) -> None:
        """Commit the partitions that no later file reaches into, and let go of the files that nobody needs any more."""
        for label, sink in sorted(self.sinks.items()):
            if upto is not None and sink.partition.window.end > upto:
                continue
            del self.sinks[label]
            if sink.idle():  # its only file turned out to be bad
                sink.abort()
                continue
            committed = sink.commit()
            self.partitions += 1
            self.changed |= committed.changed
            self.rows += committed.rows
            self.added += committed.added
            self.replaced += committed.replaced
        needed = {day for sink in self.sinks.values() for day in sink.files()}
        for day in [day for day in self.open_files if day not in needed]:
            self.shelf.release(self.venue, self.open_files.pop(day))

    def _confirm(self, found: Found, window: Window) -> None:
        """The file is the one that is in the lake already: that it was compared once more is all there is to say."""
        if not self.dataset.rereads:
            return  # nothing was compared
        file = found.file._replace(checked_at=time.time_ns() // 1000)
        for partition in partitions(self.series, window):
            self._sink(partition).ask(None, file)

    # ---------------------------------------------------------------------------------------------- two trees

    def _cross(self, read: DayFile, day: str) -> None:
        """Once a month, where two trees have the same day: lay their rows side by side. Differences are findings."""
        month, key = day[:7], read.fetched.key
        if month in self.crossed:
            return
        for other in held_by(self._archives(), day):
            listing = self.listings[other.tree]
            if other is read.archive or listing is None or day not in listing:
                continue
            self.crossed.add(month)
            try:
                beside = self.shelf.fetch(self.venue, other.key(self.series, day), listing[day])
            except VenueError as error:
                log.info("%s: not compared with %s: %s", key, other.tree, error)
                return
            self.requests += _REQUESTS
            theirs = self._day_file(other, beside, read.window)
            try:
                self.differences += compare(
                    self.store, self.series, read.in_order(), theirs.in_order(), (read.archive.tree, other.tree)
                )
            except (BadReply, Unsorted) as error:
                log.info("%s: not compared with %s: %s", key, beside.key, error)
            finally:
                self.shelf.release(self.venue, beside)
            return

    def _beside_rest(self, read: DayFile, file: SourceFile) -> None:
        """What REST brought of a day before its file was there stays, for REST says more, and is compared with it."""
        met = intersect(merge(self.by_rest), [read.window])
        parts = subtract(met, self._wanted(read.window)) if met else []
        if not parts:
            return
        column = self.dataset.time_column
        cells = [p for p in partitions(self.series, read.window) if intersect(parts, [p.window])]
        ours = rows_of((table for cell in cells for table in self.store.tables(cell)), parts, column)
        try:
            theirs = rows_of(read.in_order(), parts, column)
            self.differences += compare(self.store, self.series, ours, theirs, ("rest", "archive"))
        except Unsorted as error:
            log.info("%s: not compared with REST: %s", read.fetched.key, error)
        for cell in cells:
            self._sink(cell).ask(None, file)

    # ------------------------------------------------------------------------------------------- what is not there

    def _absent(self, day: str, window: Window) -> None:
        """No tree has a file of this day: was there nothing to put in, is it late, or is it gone?"""
        verdict, why = self._why_absent(day, window)
        if verdict is None:
            self._miss(window, why, withheld=why != _NO_FILE)
            return
        heard = time.time_ns() // 1000
        for partition in partitions(self.series, window):
            for part in intersect(self.job.windows, [window.intersect(partition.window)]):
                self._sink(partition).ask(Asked(part, "archive", heard, verdict), None)
                if verdict == "unobtainable":
                    self.unobtainable.append(Missing(part, why))

    def _why_absent(self, day: str, window: Window) -> tuple[str | None, str]:
        endpoints = self.venue.endpoints_for(self.series.dataset, self.series.period, self.series.symbol)
        if not self.job.gone and any(endpoint.walk not in ("latest", "tail") for endpoint in endpoints):
            return None, _NO_FILE  # REST goes back that far by itself, and is asked next
        if window.end > self._recent():
            return None, "the archive has no file of this day yet"
        candle = self.daily.of(day).state
        if candle == "traded":
            return "unobtainable", "the archive has no file of this day, though its candle saw trades"
        if candle == "untraded" and self.dataset.name == "trades":
            return "empty", "the day's candle saw no trades"
        if candle == "unlisted":
            return "empty", "the archive has no candle of this day either: it was not listed"
        if candle == "unknown":
            return None, f"{_NO_FILE}, and its candle of that day could not be read"
        return "unobtainable", _NO_FILE

    def _recent(self) -> int:
        """A file of a day that ended after this instant may still appear."""
        return time.time_ns() // 1000 - RECHECK_DAYS * DAY

    def _miss(self, window: Window, why: str, *, withheld: bool = False) -> None:
        parts = [Missing(part, why) for part in intersect(self.job.windows, [window])]
        self.missing.extend(parts)
        if withheld:
            self.withheld.extend(parts)

    def _set_aside(self, fetched: Fetched, why: str) -> None:
        self.quarantined += 1
        content = content_of(fetched)
        with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as file:
            body = file.read(_MOST_IN_QUARANTINE)
        set_aside(
            self.tape, self.venue.name, self.dataset.name, asked=f"{self.venue.name} {fetched.key}", body=body,
            received_at=fetched.received_at, reason=why,
        )  # fmt: skip
        self.shelf.release(self.venue, fetched)


_NO_FILE = "the archive has no file of this day"
_REQUESTS = 2  # a file and its checksum
_MOST_IN_QUARANTINE = 16 << 20
"""Bytes: enough to see what is wrong with a file of gigabytes, which can be had again."""


def _part(read: Callable[[], Tables], windows: Sequence[Window], column: str) -> Tables:
    return rows_of(read(), windows, column)


def fill_deep(
    job: Job, *, venue: Venue, store: Store, shelf: Shelf, tape: Path, stopped: Callable[[], bool] = lambda: False,
    on_file: Callable[[int], None] = lambda added: None,
) -> Outcome:  # fmt: skip
    """Do one job of the archive: every day of it is committed with a verdict, or in ``missing`` with a reason.

    What the archive does not hold and REST may have is ``missing`` here, and planned again by the caller. ``on_file``
    is told of each day that was dealt with, in order, and how many rows the partitions had that it completed; of none
    where the listing could not be had. Raises only
    what is not the venue's doing: a lake that cannot be written, a bug.
    """
    began = time.monotonic()
    work = _Deep(job, venue, store, shelf, tape, dataset_named(job.series.dataset), stopped, on_file)
    work.run()
    return Outcome(
        job.series,
        job.label,
        job.windows,
        rows=work.rows,
        added=work.added,
        replaced=work.replaced,
        requests=work.requests + work.daily.requests,
        seconds=time.monotonic() - began,
        changed=work.changed,
        quarantined=work.quarantined,
        missing=tuple(work.missing),
        unobtainable=tuple(work.unobtainable),
        unreachable=work.unreachable,
        withheld=tuple(work.withheld),
        partitions=work.partitions,
        differences=work.differences,
    )


__all__ = ["Found", "Shelf", "fill_deep"]
