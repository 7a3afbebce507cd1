"""Missing spans to jobs with a source from the ladder. Pure: what is stored and what time it is are arguments.

The rungs: the bulk archive for whole days of the venue that it has published by now, REST for the rest. Where they meet
is the opening of a venue's day, so there is neither overlap nor hole. What the archive turns out not to hold is planned
a second time, without it (``archive=False``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from htxdata.market import Listing, Series, grid_of
from htxdata.schema import dataset as dataset_named
from htxdata.store.footer import COMPLETE, Span
from htxdata.timeline import (
    DAY,
    HOUR,
    Grid,
    Window,
    cells,
    intersect,
    iso,
    label_of,
    merge,
    subtract,
    window_of,
)
from htxdata.venues.terms import Archive, Endpoint, Venue

RECHECK_DAYS, RECHECK_EVERY = 14, 7 * DAY
"""HTX replaces files of recent days: those of the last 14 are compared with the listing once a week (htx-api 9.4)."""

LONGEST_RUN = {"day": 16, "month": 366, "year": 1830}
"""Days of one archive job, by the grain of its partitions. The files of a venue's day straddle two UTC days, and the
partition at a job's end is committed twice; longer jobs do so less often, shorter ones keep more workers busy."""


@dataclass(frozen=True)
class Known:
    """Spans whose verdict is known without asking for rows, and why."""

    windows: tuple[Window, ...]
    verdict: str
    why: str


@dataclass(frozen=True)
class Job:
    """One partition's work: what to ask for in it, and what is known without asking."""

    series: Series
    label: str
    windows: tuple[Window, ...]
    source: str = "rest"
    requests: int = 0
    rows: int = 0
    known: tuple[Known, ...] = ()
    horizon: int | None = None
    """Before this instant (and shortly after it) the venue no longer serves the series."""

    begun: int | None = None
    """The instrument was there by this instant: its candles show it, or rows that are stored. None: not known."""

    days: tuple[str, ...] = ()
    """Of a job of the archive: the venue's days whose files are wanted. ``label`` then names all their partitions."""

    size: int = 0
    """Bytes to download, as far as can be told without asking."""

    gone: str = ""
    """Why REST need not be asked for what the archive has not; empty where it may have it."""

    @property
    def name(self) -> str:
        return f"{self.series} {self.label}"


@dataclass(frozen=True)
class SeriesPlan:
    """What one series still needs. ``window`` is what was asked for, on the grid and up to what is final by now."""

    series: Series
    window: Window
    jobs: tuple[Job, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def requests(self) -> int:
        return sum(job.requests for job in self.jobs)

    @property
    def rows(self) -> int:
        return sum(job.rows for job in self.jobs)

    @property
    def files(self) -> int:
        return sum(len(job.days) for job in self.jobs)

    @property
    def size(self) -> int:
        return sum(job.size for job in self.jobs)

    def of(self, source: str) -> tuple[Job, ...]:
        return tuple(job for job in self.jobs if job.source == source)


def grid_for(series: Series, venue: Venue) -> Grid | None:
    """Where the series' rows lie, or ``None`` where they follow no grid."""
    if series.period is None:
        return None
    return grid_of(series.period, venue.day_opens)


def final_window(series: Series, venue: Venue, window: Window, now: int) -> Window:
    """``window`` on the series' grid, without what is not final at ``now`` (law 6)."""
    settled = now - dataset_named(series.dataset).settle(series.period)
    grid = grid_for(series, venue)
    if grid is None:
        return Window(window.start, min(window.end, settled))
    # A slot that is still open at `settled` is not final; neither is any after it.
    return grid.snap(Window(window.start, min(window.end, grid.floor(settled)))) if window else window


def to_ask(series: Series, window: Window, spans: Iterable[Span]) -> list[Window]:
    """What of ``window`` is neither known nor confirmed: never fetched, an outage, or fetched before it had settled."""
    recheck = dataset_named(series.dataset).recheck(series.period)
    known = [
        Window(span.start, span.end)
        for span in spans
        if span.verdict in COMPLETE
        # The archive's files are rechecked as files, by their ETags.
        and (
            span.verdict == "unobtainable"
            or span.source == "archive"
            or span.fetched_at >= span.end + recheck
        )
    ]
    return subtract([window], known)


def leftover(window: Window, spans: Iterable[Span]) -> list[Window]:
    """What of ``window`` has no complete verdict."""
    return subtract([window], [Window(s.start, s.end) for s in spans if s.verdict in COMPLETE])


def plan_series(
    series: Series,
    venue: Venue,
    window: Window,
    spans: Sequence[Span],
    now: int,
    listing: Listing | None = None,
    born: int | None = None,
    *,
    archive: bool = False,
    spare: bool = False,
    stale: Collection[str] = (),
    withheld: Sequence[Window] = (),
    gone: str = "",
) -> SeriesPlan:
    """The jobs that complete ``window`` of ``series``: those of the archive, then those of REST, oldest first.

    ``born`` is when the venue's own candles show the series to begin, where that was looked up. ``archive`` says
    whether there is an archive to ask first; ``withheld`` is what it has and could not deliver: REST may have it, but
    nobody may call it unobtainable. ``stale`` are days whose files are to be compared with the listing once more.
    ``spare`` plans what REST could not deliver, from files that are asked for nothing else. Nothing is wanted of what
    comes after a delivery; ``gone`` is why the venue no longer serves a contract that was delivered long ago.
    """
    final = final_window(series, venue, window, now)
    if listing is not None and listing.delivery_at is not None:
        grid = grid_for(series, venue)
        last = grid.ceil(listing.delivery_at) if grid else listing.delivery_at
        final = Window(min(final.start, last), min(final.end, last))
    wanted = to_ask(series, final, spans)
    endpoints = venue.endpoints_for(series.dataset, series.period, series.symbol)
    archives = tuple(
        a for a in venue.archives_for(series.dataset, series.period) if archive and a.spare == spare
    )
    if not (wanted or stale) or not (endpoints or venue.archives_for(series.dataset, series.period)):
        return SeriesPlan(series, final)
    grid = grid_for(series, venue)
    known: list[Known] = []
    if born is not None and wanted:
        known, wanted = _before_birth(wanted, born, grid)
    if wanted and listing is not None and listing.delivery_at is not None and listing.listed_at is not None:
        early, wanted = _before_listing(wanted, listing.listed_at, grid)
        known += early
    deep, wanted = _archived(wanted, archives, venue, now)
    days = sorted({*(day for day, _ in deep), *(stale if archives else ())})
    jobs = _archive_jobs(series, venue, days, deep, grid, gone)
    if spare:
        return SeriesPlan(series, final, tuple(jobs))
    if wanted and gone:
        lost = subtract(wanted, withheld)
        known += [Known(tuple(lost), "unobtainable", gone)] if lost else []
        wanted = []
    if wanted and endpoints:
        more, wanted = _beyond_horizon(wanted, endpoints, now, listing, grid)
        known += [Known(tuple(left), m.verdict, m.why) for m in more if (left := subtract(m.windows, withheld))]
    if endpoints and endpoints[0].walk == "latest":
        wanted = _across_instants(wanted)
    there = [span.start for span in spans if span.verdict == "present"] + ([] if born is None else [born])
    begun = min(there, default=None)
    horizon = now - endpoints[0].horizon if endpoints and endpoints[0].horizon else None
    grain = dataset_named(series.dataset).grain(series.period)
    everything = merge([*wanted, *(w for entry in known for w in entry.windows)])
    if everything:
        for label, cell in cells(grain, Window(everything[0].start, everything[-1].end)):
            cell = grid.snap(cell) if grid else cell
            mine = intersect(wanted, [cell])
            said = tuple(
                Known(tuple(part), entry.verdict, entry.why)
                for entry in known
                if (part := intersect(entry.windows, [cell]))
            )
            if mine or said:
                requests, rows = estimate(mine, endpoints[0], grid) if endpoints else (0, 0)
                jobs.append(Job(series, label, tuple(mine), "rest", requests, rows, said, horizon, begun))
    return SeriesPlan(series, final, tuple(jobs), tuple(entry.why for entry in known))


def _across_instants(wanted: Sequence[Window]) -> list[Window]:
    """Joined over single instants that are known (of polls): one request brings what lies on both sides of them."""
    out: list[Window] = []
    for window in wanted:
        if out and window.start - out[-1].end <= 1:
            window = Window(out.pop().start, window.end)
        out.append(window)
    return out


def _before_birth(
    wanted: list[Window], born: int, grid: Grid | None
) -> tuple[list[Known], list[Window]]:
    """Take out of ``wanted`` what lies before the first candle: it needs no asking."""
    born = grid.floor(born) if grid else born  # the week that a month opens in began before it
    before = intersect(wanted, [Window(wanted[0].start, max(born, wanted[0].start))])
    if not before:
        return [], wanted
    return [Known(tuple(before), "empty", f"the venue's first candle opens {iso(born)}")], subtract(wanted, before)


def _before_listing(wanted: list[Window], listed: int, grid: Grid | None) -> tuple[list[Known], list[Window]]:
    """Take out of ``wanted`` what lies before a contract was listed: it needs no asking."""
    listed = grid.floor(listed) if grid else listed
    before = intersect(wanted, [Window(wanted[0].start, max(listed, wanted[0].start))])
    return ([Known(tuple(before), "empty", f"listed {iso(listed)}")] if before else []), subtract(wanted, before)


def _beyond_horizon(
    wanted: list[Window], endpoints: Sequence[Endpoint], now: int, listing: Listing | None, grid: Grid | None
) -> tuple[list[Known], list[Window]]:
    """Take out of ``wanted`` what the venue no longer serves over REST."""
    known: list[Known] = []
    horizons = [endpoint.horizon for endpoint in endpoints]
    if wanted and all(horizons):
        cut = now - max(h for h in horizons if h)
        cut = grid.ceil(cut) if grid else cut
        old = intersect(wanted, [Window(wanted[0].start, cut)]) if cut > wanted[0].start else []
        wanted = subtract(wanted, old)
        listed = listing.listed_at if listing else None
        if old and listed is not None:
            listed = grid.floor(listed) if grid else listed
            before = intersect(old, [Window(old[0].start, listed)]) if listed > old[0].start else []
            if before:
                known.append(Known(tuple(before), "empty", f"listed {iso(listed)}"))
                old = subtract(old, before)
        if old:
            reach = max(h for h in horizons if h)
            told = f"{round(reach / DAY)} days" if reach >= 3 * DAY else f"{round(reach / HOUR)} hours"
            known.append(Known(tuple(old), "unobtainable", f"the venue serves the last {told} over REST"))
    return known, wanted


# -------------------------------------------------------------------------------------------------- archive


def day_window(day: str, venue: Venue) -> Window:
    """The span of a venue's day by its name; HTX's opens at 16:00 UTC of the day before (htx-api 9.4)."""
    start = window_of("day", day).start + venue.day_opens
    return Window(start, start + DAY)


def day_at(instant: int, venue: Venue) -> str:
    """The name of the venue's day that holds ``instant``."""
    return label_of("day", instant - venue.day_opens)


def soonest(venue: Venue) -> int:
    """How long after a day's end its file may be there: before that REST is asked at once."""
    return venue.bucket.published[0] if venue.bucket is not None else 0


def held_by(archives: Iterable[Archive], day: str) -> list[Archive]:
    """The trees that may have a file of ``day``, in order of preference."""
    return [a for a in archives if a.first <= day and (a.last is None or day <= a.last)]


def _archived(
    wanted: Sequence[Window], archives: Sequence[Archive], venue: Venue, now: int
) -> tuple[list[tuple[str, Window]], list[Window]]:
    """What of ``wanted`` lies in days that the archive has published by now, day by day, and what does not."""
    deep: list[tuple[str, Window]] = []
    for window in wanted if archives else ():
        at = window.start
        while at < window.end:
            day = day_at(at, venue)
            whole = day_window(day, venue)
            if whole.end + soonest(venue) <= now and held_by(archives, day):
                deep.append((day, window.intersect(whole)))
            at = whole.end
    return deep, subtract(wanted, [part for _, part in deep])


def unpublished(windows: Sequence[Window], series: Series, venue: Venue, now: int) -> list[Window]:
    """What of ``windows``, all of the past, lies in days that the archive has yet to publish at ``now``."""
    archives = venue.archives_for(series.dataset, series.period)
    coming, _ = _archived(windows, archives, venue, now + DAY + soonest(venue))  # today's as well
    return merge(_archived([part for _, part in coming], archives, venue, now)[1])


def _archive_jobs(
    series: Series, venue: Venue, days: Sequence[str], deep: Sequence[tuple[str, Window]], grid: Grid | None, gone: str
) -> list[Job]:  # fmt: skip
    """``days`` as runs of neighbours, none longer than ``LONGEST_RUN``."""
    grain = dataset_named(series.dataset).grain(series.period)
    runs: list[list[str]] = []
    for day in days:
        window = day_window(day, venue)
        if runs and len(runs[-1]) < LONGEST_RUN[grain] and day_window(runs[-1][-1], venue).end == window.start:
            runs[-1].append(day)
        else:
            runs.append([day])
    jobs = []
    for run in runs:
        span = Window(day_window(run[0], venue).start, day_window(run[-1], venue).end)
        first, last = label_of(grain, span.start), label_of(grain, span.end - 1)
        label = first if first == last else f"{first}…{last}"
        inside = set(run)
        windows = tuple(merge(part for day, part in deep if day in inside))
        rows = sum(grid.count(w) for w in windows) if grid else len(run) * dataset_named(series.dataset).rows_a_day
        size = rows * _ZIPPED_ROW.get(series.dataset, 20) + len(run) * _BARE_ZIP
        jobs.append(Job(series, label, windows, "archive", 2 * len(run), rows, days=tuple(run), size=size, gone=gone))
    return jobs


_ZIPPED_ROW = {"trades": 18, "klines": 30, "book_changes": 15}  # bytes: the sandbox's files, the examples in htx-api 9
_BARE_ZIP = 250  # bytes of a zip around nothing, and of its checksum


def estimate(windows: Iterable[Window], endpoint: Endpoint, grid: Grid | None) -> tuple[int, int]:
    """Requests and rows that ``windows`` will take, as far as can be told without asking."""
    requests = rows = 0
    for window in windows:
        if endpoint.walk == "tail":  # so many rows at most, and no more than one request
            requests, rows = requests + 1, rows + endpoint.rows
            continue
        a_day = dataset_named(endpoint.dataset).rows_a_day
        expected = grid.count(window) if grid else math.ceil(window.length / DAY * a_day)
        rows += expected
        if endpoint.walk == "latest":
            requests += 1
        elif endpoint.span:
            requests += max(math.ceil(window.length / endpoint.span), expected // endpoint.rows)
        elif endpoint.walk in ("cursor", "back"):
            requests += expected // endpoint.rows + 2  # the page that brings nothing new ends the walk
        else:
            requests += max(1, math.ceil(expected / endpoint.rows))
    return requests, rows


EDGE_OF_HORIZON = DAY
"""Rows missing at the very start of what is still served are gone, not absent: the horizon moves while we ask."""

LEAD_OF_FUNDING = 2 * DAY
"""A longer silence than this at the start of a page of fundings is asked for again by itself."""

__all__ = [
    "Job",
    "Known",
    "SeriesPlan",
    "day_at",
    "day_window",
    "estimate",
    "final_window",
    "grid_for",
    "leftover",
    "plan_series",
    "to_ask",
]
