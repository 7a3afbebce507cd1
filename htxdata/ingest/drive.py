"""Drive a walk: ask, receive, parse, let the walk go on. One short loop, and the quarantine for replies it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache

import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.edge import EdgeWalk
from htxdata.protocol.halves import HalfWalk
from htxdata.protocol.paging import Ask, LatestWalk, TailWalk, Walk
from htxdata.protocol.paging_ids import BackWalk, BehindWalk, CursorWalk, SpanWalk
from htxdata.protocol.paging_numbers import PageWalk
from htxdata.protocol.paging_time import TimeWalk
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import Dataset
from htxdata.schema.arrow import conform
from htxdata.timeline import SECOND, Grid, Window
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Parsed

Get = Callable[[Request], Reply]
SetAside = Callable[[Reply, str], None]


@dataclass(frozen=True)
class Received:
    """One reply as rows of the dataset; ``venue_now`` is the venue's clock in it, or ours where it shows none."""

    ask: Ask
    parsed: Parsed
    table: pa.Table | None
    received_at: int
    venue_now: int


def walk_for(endpoint: Endpoint, window: Window, grid: Grid | None, lead: int, proven: int = 0) -> Walk:
    """The walk that the endpoint's table entry names; ``proven`` rows are known to fit into one of its pages."""
    if endpoint.walk == "time":
        if grid is None:
            raise ValueError(f"{endpoint.path}: a walk by time needs a grid")
        return TimeWalk(window, grid, endpoint.rows, proven=proven)
    if endpoint.walk == "behind":
        return BehindWalk(window, endpoint.rows, endpoint.span or window.length)
    if endpoint.walk == "halves":
        walk = HalfWalk(window, endpoint.rows, endpoint.span or window.length)
        return walk if endpoint.least is None else replace(walk, sure=endpoint.least)
    if endpoint.walk == "cursor" and endpoint.span:
        return SpanWalk(window, endpoint.rows, endpoint.span)
    if endpoint.walk == "cursor":
        return CursorWalk(window, endpoint.rows, lead)
    if endpoint.walk == "page":
        return PageWalk(window, endpoint.rows)
    if endpoint.walk == "back":
        return BackWalk(window, endpoint.rows, lead)
    if endpoint.walk == "edge":
        return EdgeWalk(window, endpoint.rows, heeded=proven > 0)
    if endpoint.walk == "tail":
        return TailWalk(window, endpoint.rows)
    return LatestWalk(window, endpoint.rows)


_PARSING = threading.Lock()
"""Parsing is all CPU. Sixteen threads that do it at once hand the interpreter to each other instead: an eighth more CPU
per row than one after the other (medians of six runs, two cores)."""


@dataclass
class Drive:
    """One walk to its end. ``walk.answered`` says afterwards, also after an exception, what was covered, and ``asked``
    what was asked last: after a ``BadReply``, the question whose answer was set aside.
    """

    walk: Walk
    endpoint: Endpoint
    series: Series
    dataset: Dataset
    get: Get
    set_aside: SetAside
    facts: Facts = NO_FACTS
    asked: Ask | None = None

    def __iter__(self) -> Iterator[Received]:
        steps = self.walk.steps()
        self.asked = next(steps)
        while True:
            received = self._ask(self.asked)
            yield received
            try:
                self.asked = steps.send(received.parsed.page)
            except StopIteration:
                return

    def _ask(self, ask: Ask) -> Received:
        series = self.endpoint.under(self.series, self.facts)
        reply = self.get(self.endpoint.build(series, ask))
        try:
            # Rows that no table can hold are the venue's fault like any other: the reply is set aside with them.
            with _PARSING:
                parsed = self.endpoint.read(reply, series, self.facts)
                table = rows_of(self.dataset, parsed, reply.received_at)
        except BadReply as error:
            self.set_aside(reply, str(error))
            raise BadReply(f"{self.endpoint.path}: {error} (the reply is in quarantine)") from error
        return Received(ask, parsed, table, reply.received_at, venue_now(reply))


def rows_of(dataset: Dataset, parsed: Parsed, received_at: int) -> pa.Table | None:
    """What was parsed, as a table that may be stored; ``None`` where there are no rows."""
    if not parsed.page.count or not len(parsed.columns[dataset.time_column]):  # rows of another symbol are none of ours
        return None
    return conform(dataset, {**parsed.columns, "source": "rest", "received_at": received_at}, parsed.unfit)


def venue_now(reply: Reply) -> int:
    """The venue's clock when it answered, in microseconds UTC, from the ``Date`` header (whole seconds).

    Whether a candle is over is for the venue's clock to say: ours may run ahead of it (law 10).
    """
    date = _seconds_of(reply.headers.get("date", ""))
    return reply.received_at if date is None else min(reply.received_at, (date + 1) * SECOND)


@lru_cache(maxsize=16)
def _seconds_of(date: str) -> int | None:
    parts = parsedate_tz(date)
    try:
        return None if parts is None else int(mktime_tz(parts))
    except (ValueError, OverflowError):  # a year of eight digits: well formed, and no date
        return None
