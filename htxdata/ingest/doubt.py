"""Is a long silence of a candle endpoint the market's, or has the venue stopped serving that far back?

An endpoint that is limited in depth answers for what lies deeper with an empty list, as it does for a market without
trades; the depth of HTX's candles is documented nowhere (htx-api 3.2). The venue's own longer candles, of which it
always serves the newest some thousand, tell the two apart: a day that saw trades has minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from htxdata.ingest.drive import Get, Received
from htxdata.market import PERIODS, Series, grid_of
from htxdata.protocol.paging import Ask
from htxdata.timeline import DAY, Grid, Window, intersect, merge, subtract
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Venue

LOOKS = 3
"""So often a silence is asked for again. On a rough day, with one false empty page in thirty, a page of rows is then
lost once in a million. With one look it was lost in every second run of tests/chaos, and where silences of three pages
and more were believed unseen, in every fifth."""

FEW_SLOTS = 150
"""Shorter silences are common where little is traded: one look less."""


def unconfirmed(
    endpoint: Endpoint, answered: Sequence[Window], replies: Sequence[Received], grid: Grid | None
) -> list[Window]:
    """The silences that rest on empty replies.

    An exchange in trouble sends an empty 200 where there are rows, and one such answer would become a hole for ever.
    """
    if endpoint.walk == "back":
        return []  # the walk itself asks again
    empty = [r.ask.window for r in replies if not r.parsed.page.count]
    if endpoint.walk == "behind":  # that nothing follows a row was asked for again by the walk itself
        empty = [r.ask.window for r in replies if not r.parsed.page.count and r.ask.cursor is None]
    rows = [Window(r.parsed.page.first, r.parsed.page.last + 1) for r in replies if r.parsed.page.count]
    silent = intersect(subtract(empty, rows), answered)
    if grid is None or endpoint.walk != "time":
        return silent
    return [snapped for window in silent if (snapped := grid.snap(window))]


def looks(silence: Window, endpoint: Endpoint, grid: Grid | None) -> list[Window]:
    """What of a silence is asked for again before it is believed: all of it, of a long one its first and last page."""
    if grid is None or endpoint.walk != "time":
        return [silence] * LOOKS
    slots = grid.count(silence)
    if slots <= endpoint.rows:
        return [silence] * (LOOKS if slots > FEW_SLOTS else LOOKS - 1)
    first = Window(silence.start, grid.advance(silence.start, endpoint.rows))
    last = Window(max(first.end, grid.advance(silence.start, slots - endpoint.rows)), silence.end)
    return [first, last] * LOOKS


def silences(answered: Sequence[Window], times: NDArray[np.int64], grid: Grid) -> list[Window]:
    """What of ``answered`` holds no row; ``times`` are those of all rows, ascending. Short silences are left out."""
    out = []
    for window in merge(answered):
        low, high = np.searchsorted(times, window)
        inside = times[low:high]
        edges = np.concatenate([[window.start], inside, [window.end]])
        for at in np.flatnonzero(np.diff(edges) > DAY).tolist():
            start = int(edges[at])
            out.append(Window(start if at == 0 else grid.next(start), int(edges[at + 1])))
    return [window for window in out if window]


def contradicted(
    series: Series, venue: Venue, get: Get, quiet: Sequence[Window], facts: Facts = NO_FACTS
) -> list[Window]:
    """The parts of ``quiet`` in which the venue's longer candles saw trades, though it served no candle there.

    Asks at most two requests, and none where no longer candle lies wholly in ``quiet``. Raises ``VenueError``.
    """
    found: list[Window] = []
    left = merge(quiet)
    for period in ("1day", "1mon"):
        if not left or not 0 < PERIODS[series.period or ""] < (PERIODS[period] or 28 * DAY):
            continue
        grid = grid_of(period, venue.day_opens)
        whole = [w for w in (Window(grid.ceil(q.start), grid.floor(q.end)) for q in left) if w]
        latest = [e for e in venue.endpoints_for("klines", period) if e.walk in ("latest", "edge")]
        if not whole or not latest:
            continue
        probe = Series("klines", venue.name, series.symbol, period)
        parsed = latest[0].read(get(latest[0].build(probe, Ask(Window(0, 0), latest[0].rows))), probe, facts)
        if not parsed.page.count:
            continue
        opened = np.asarray(parsed.columns["open_time"])
        traded = sorted(opened[np.asarray(parsed.columns.get("volume", parsed.columns.get("contracts"))) > 0].tolist())
        slots = [Window(at, grid.next(at)) for at in traded]
        found.extend(
            slot for slot in slots if any(w.start <= slot.start and slot.end <= w.end for w in whole)
        )
        if parsed.page.count < latest[0].rows:
            break  # that was the whole history: nothing older is left to contradict
        left = subtract(left, [Window(parsed.page.first, grid.next(parsed.page.last))])
    return merge(found)
