"""Missing spans to jobs with a source from the ladder. Pure: what is stored and what time it is are arguments."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from htxdata.market import Listing, Series, grid_of
from htxdata.schema import dataset as dataset_named
from htxdata.store.footer import Span
from htxdata.timeline import DAY, Grid, Window, cells, intersect, iso, merge, subtract
from htxdata.venues.terms import Endpoint, Venue

KNOWN = ("present", "empty", "unobtainable")
"""Verdicts that make a span complete; ``missing`` and ``outage`` are asked for again (law 5)."""

FUNDING_ROWS_PER_DAY = 3  # the classic 8 hours; only an estimate for `plan`


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
        if span.verdict in KNOWN and (span.verdict == "unobtainable" or span.fetched_at >= span.end + recheck)
    ]
    return subtract([window], known)


def leftover(window: Window, spans: Iterable[Span]) -> list[Window]:
    """What of ``window`` has no complete verdict."""
    return subtract([window], [Window(s.start, s.end) for s in spans if s.verdict in KNOWN])


def plan_series(
    series: Series,
    venue: Venue,
    window: Window,
    spans: Sequence[Span],
    now: int,
    listing: Listing | None = None,
    born: int | None = None,
) -> SeriesPlan:
    """The jobs that complete ``window`` of ``series``, one per partition, oldest first.

    ``born`` is when the venue's own candles show the series to begin, where that was looked up.
    """
    final = final_window(series, venue, window, now)
    wanted = to_ask(series, final, spans)
    endpoints = venue.endpoints_for(series.dataset, series.period)
    if not wanted or not endpoints:
        return SeriesPlan(series, final)
    grid = grid_for(series, venue)
    known, wanted = _known(wanted, endpoints, now, listing, born, grid)
    horizon = now - endpoints[0].horizon if endpoints[0].horizon else None
    jobs = []
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
                requests, rows = estimate(mine, endpoints[0], grid)
                jobs.append(Job(series, label, tuple(mine), "rest", requests, rows, said, horizon))
    return SeriesPlan(series, final, tuple(jobs), tuple(entry.why for entry in known))


def _known(
    wanted: list[Window],
    endpoints: Sequence[Endpoint],
    now: int,
    listing: Listing | None,
    born: int | None,
    grid: Grid | None,
) -> tuple[list[Known], list[Window]]:
    """Take out of ``wanted`` what needs no asking: before the first candle, and what the venue no longer serves."""
    known: list[Known] = []
    if born is not None:
        born = grid.floor(born) if grid else born  # the week that a month opens in began before it
        before = intersect(wanted, [Window(wanted[0].start, max(born, wanted[0].start))])
        if before:
            known.append(Known(tuple(before), "empty", f"the venue's first candle opens {iso(born)}"))
            wanted = subtract(wanted, before)
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
            years = max(h for h in horizons if h) // DAY
            known.append(
                Known(tuple(old), "unobtainable", f"the venue serves the last {years} days over REST")
            )
    return known, wanted


def estimate(windows: Iterable[Window], endpoint: Endpoint, grid: Grid | None) -> tuple[int, int]:
    """Requests and rows that ``windows`` will take, as far as can be told without asking."""
    requests = rows = 0
    for window in windows:
        expected = grid.count(window) if grid else math.ceil(window.length / DAY * FUNDING_ROWS_PER_DAY)
        rows += expected
        if endpoint.walk == "latest":
            requests += 1
        elif endpoint.walk == "cursor":
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
    "estimate",
    "final_window",
    "grid_for",
    "leftover",
    "plan_series",
    "to_ask",
]
