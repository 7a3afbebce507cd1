"""One job: walk, parse, settle, commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply, Refused, Unreachable, VenueError, WalkStuck
from htxdata.ingest import doubt
from htxdata.ingest.drive import Drive, Get, Received, walk_for
from htxdata.ingest.outcome import Missing, Outcome
from htxdata.ingest.page_rows import one_table, rows_inside, times_in
from htxdata.ingest.plan import EDGE_OF_HORIZON, LEAD_OF_FUNDING, Job, grid_for, unpublished
from htxdata.ingest.revisions import keeper
from htxdata.protocol.paging import LatestWalk, TailWalk, Walk
from htxdata.protocol.paging_time import TimeWalk
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import Asked
from htxdata.store.layout import Partition
from htxdata.store.partition import Store
from htxdata.store.quarantine import set_aside
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Grid, Window, intersect, merge, subtract
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Venue

MOST_SKEW = 5 * MINUTE
"""How far the venue's clock may be behind ours before it counts as wrong, and not merely as late."""

NARROW = 30 * DAY
"""After a reply that was set aside, a walk by cursor goes on in windows of this length: one page each, or a few."""


@dataclass
class _Fill:
    """One job under way, and what its walks brought in so far."""

    job: Job
    venue: Venue
    get: Get
    tape: Path
    dataset: Dataset
    grid: Grid | None
    proven: dict[str, int]
    facts: Facts = NO_FACTS
    archived: bool = False
    tables: list[pa.Table] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    unobtainable: list[Missing] = field(default_factory=list)
    unsettled: list[Window] = field(default_factory=list)
    requests: int = 0
    quarantined: int = 0
    unreachable: bool = False
    unknown_symbol: str = ""
    accounts: list[str] = field(default_factory=list)

    # ---------------------------------------------------------------------------------------------- one window

    def window(self, window: Window) -> None:
        """Ask the venue's endpoints in order of preference until every part of ``window`` is answered."""
        todo, reasons, gone = [window], list[str](), self._may_be_gone(window)
        for endpoint in self._endpoints():
            rest: list[Window] = []
            cut: list[Window] = []
            queue = list(todo)
            try:
                self._find_accounts(endpoint)
            except VenueError as error:
                self.unreachable |= isinstance(error, Unreachable)
                self._miss(queue, f"which accounts there are could not be asked: {error}")
                return
            while queue:
                drive, left, lost, refusal = self._walk(endpoint, queue.pop(0))
                cut += lost
                if refusal is None:
                    rest += left
                elif _of_the_endpoint(endpoint, refusal):
                    rest += [*left, *queue]  # the next endpoint may be more willing
                    queue.clear()
                    reasons.append(str(refusal))
                elif isinstance(refusal, BadReply):
                    spoilt, onward = _around(left, drive)
                    self._miss(spoilt, refusal)
                    queue[:0] = onward
                else:
                    self.unreachable |= isinstance(refusal, Unreachable)
                    if isinstance(refusal, Refused):
                        self.unknown_symbol = str(refusal)
                    self._miss([*rest, *left, *queue], refusal)
                    return
            todo, gone = merge(rest), intersect(gone, merge(cut))
            if not todo:
                return
            if endpoint.walk in ("latest", "tail"):
                reasons.append(f"{endpoint.path} serves the newest {endpoint.rows} rows only")
                reasons += [endpoint.deeper] if endpoint.deeper else []
        why = "; ".join(dict.fromkeys(reasons))
        for part in intersect(todo, gone):
            self.asked.append(Asked(part, self.job.source, time.time_ns() // 1000, "unobtainable"))
            self.unobtainable.append(Missing(part, why))
        # `missing`, not `unobtainable`: that an undocumented endpoint is gone today says nothing of the data, and what
        # is unobtainable is never asked for again. Where a depth is documented (`Endpoint.horizon`), the venue proves
        # it itself (`doubt`) or every way to it brought a full page of newer rows, the verdict is the harder one.
        why = why or ("the venue left it out" if self._endpoints() else "only the archive has it, and not yet")
        todo = subtract(todo, gone)
        later = unpublished(todo, self.job.series, self.venue, time.time_ns() // 1000) if self.archived else []
        if later:
            self._miss(intersect(todo, later), f"{why}; {_published(self.venue)}")
        self._miss(subtract(todo, later), why)

    def _endpoints(self) -> tuple[Endpoint, ...]:
        series = self.job.series
        return self.venue.endpoints_for(series.dataset, series.period, series.symbol)

    def _may_be_gone(self, window: Window) -> list[Window]:
        """What of ``window`` is unobtainable should full pages of the newest rows lie behind it: nothing else brings
        it, and the instrument was there by then. Before it was there all is empty, as the plan says."""
        series, begun = self.job.series, self.job.begun
        if begun is None or not self.venue.forgets(series.dataset, series.period, series.symbol):
            return []
        return intersect([window], [Window(begun, max(begun, window.end))])

    def _miss(self, windows: Sequence[Window], why: object) -> None:
        self.missing.extend(Missing(window, str(why)) for window in merge(windows))

    def _counted(self, request: Request) -> Reply:
        self.requests += 1
        return self.get(request)

    def _quarantine(self, reply: Reply, reason: str) -> None:
        self.quarantined += 1
        asked = f"{self.venue.name} {reply.request}"
        set_aside(
            self.tape, self.venue.name, self.dataset.name, asked=asked, body=reply.body,
            received_at=reply.received_at, reason=reason,
        )  # fmt: skip

    def _walk(
        self, endpoint: Endpoint, window: Window
    ) -> tuple[Drive, list[Window], list[Window], VenueError | None]:
        """Walk one endpoint over one window. Gives what of it the walk left open, what of that lies before a full page
        of the newest rows, and why it ended early if it did."""
        replies: list[Received] = []
        walked = answered = cut = [window]
        for account in self.accounts if endpoint.each else ("",):  # known is what all of them were asked for
            said: list[Received] = []
            drive, refusal = self._drive(endpoint, window, said, account)
            walked = intersect(drive.walk.answered, walked)
            cut = intersect(cut, _cut(drive.walk))
            answered = intersect(self._confirmed(endpoint, intersect(walked, answered), said, account), answered)
            replies += said
            if refusal is not None:
                break
        left = subtract([window], walked)
        if not replies:
            return drive, left, [], refusal
        cut = intersect(cut, [Window(window.start, max(window.start, self._final(replies)))])
        answered = self._settled(answered, replies)
        kept = [
            part for r in replies if r.table is not None for part in rows_inside(r.table, self.dataset, answered)
        ]
        # The earliest reply, by the slower clock: what it says of later slots is only safer.
        heard = min(min(r.received_at, r.venue_now) for r in replies)
        if self.grid is not None and endpoint.walk in ("time", "edge") and endpoint.horizon is None:
            answered = self._doubted(answered, kept, heard)
        self.tables.extend(kept)
        for part, verdict in self._verdicts(answered, kept):
            self.asked.append(Asked(part, self.job.source, heard, verdict))
        return drive, left, cut if refusal is None else [], refusal

    def _confirmed(
        self, endpoint: Endpoint, answered: list[Window], replies: list[Received], account: str
    ) -> list[Window]:
        """``answered``, its silences looked at again; what comes of that is put to ``replies``."""
        silences = doubt.unconfirmed(endpoint, answered, replies, self.grid)
        while silences:
            silence = silences.pop()
            for look in doubt.looks(silence, endpoint, self.grid):
                second: list[Received] = []
                drive, failed = self._drive(endpoint, look, second, account)
                replies += second
                heard = intersect(drive.walk.answered, [look])
                unsure = subtract([look], heard)
                answered = subtract(answered, unsure)
                self._miss(unsure, f"that it is empty could not be confirmed: {failed}")
                if isinstance(failed, Unreachable):
                    self.unreachable = True
                    open_yet = intersect([silence, *silences], answered)
                    self._miss(open_yet, f"that it is empty could not be confirmed: {failed}")
                    return subtract(answered, open_yet)
                if unsure:
                    silences += subtract([silence], [look])
                    break
                if any(r.parsed.page.count for r in second):  # it was not, and there may be more of that kind
                    narrower = doubt.unconfirmed(endpoint, heard, second, self.grid) + subtract(
                        [silence], [look]
                    )
                    silences += [window for window in narrower if window.length < silence.length]
                    break
        return answered

    def _find_accounts(self, endpoint: Endpoint) -> None:
        """The numbers of the owner's accounts, where the endpoint tells of one at a time."""
        if not endpoint.each or self.accounts:
            return
        assert self.venue.accounts is not None
        assert self.venue.accounts.list is not None
        reply = self._counted(self.venue.accounts.list)
        try:
            self.accounts = list(self.venue.accounts.numbers(reply))
            if not self.accounts:
                raise BadReply("it names no account")
        except BadReply as error:
            self._quarantine(reply, str(error))
            raise

    def _drive(
        self, endpoint: Endpoint, window: Window, replies: list[Received], account: str
    ) -> tuple[Drive, VenueError | None]:
        """One walk, its replies put to ``replies``. ``account``: which, where an endpoint tells of one."""
        walk = walk_for(endpoint, window, self.grid, LEAD_OF_FUNDING, self.proven.get(endpoint.path, 0))
        series = self.job.series
        if account:
            series = replace(series, symbol=account)
        drive = Drive(walk, endpoint, series, self.dataset, self._counted, self._quarantine, self.facts)
        refusal: VenueError | None = None
        try:
            for received in drive:
                replies.append(received)
        except VenueError as error:
            refusal = error
        if isinstance(walk, TimeWalk):
            self.proven[endpoint.path] = max(walk.proven, self.proven.get(endpoint.path, 0))
        return drive, refusal

    def _final(self, replies: Sequence[Received]) -> int:
        """Up to when all is final by the venue's clock."""
        final = min(r.venue_now for r in replies) - self.dataset.settle(self.job.series.period)
        return self.grid.floor(final) if self.grid else final

    def _settled(self, answered: list[Window], replies: Sequence[Received]) -> list[Window]:
        """Law 6 by the venue's clock: what it cannot have finished yet is not answered, whatever it sent."""
        final = self._final(replies)
        open_yet = [w for w in (Window(max(a.start, final), a.end) for a in answered) if w]
        moving = merge(Window(at, at + 1) for r in replies for at in r.parsed.unsettled)
        if moving := intersect(moving, answered):
            self.unsettled += moving
            answered = subtract(answered, moving)
        behind = max(r.received_at - r.venue_now for r in replies)
        if behind <= MOST_SKEW:
            self.unsettled += open_yet
        else:
            self._miss(
                open_yet, f"by the venue's clock it is not over; that is {behind // SECOND} s behind ours"
            )
        return subtract(answered, open_yet)

    def _doubted(self, answered: list[Window], kept: Sequence[pa.Table], heard: int) -> list[Window]:
        """``answered`` without the silences in which the venue's own longer candles saw trades."""
        grid = self.grid
        assert grid is not None
        times = (
            np.sort(np.concatenate([times_in(t, self.dataset) for t in kept]))
            if kept
            else np.zeros(0, np.int64)
        )
        quiet = doubt.silences(answered, times, grid)
        if not quiet:
            return answered
        try:
            loud = doubt.contradicted(self.job.series, self.venue, self._counted, quiet, self.facts)
        except Refused:
            return answered  # no longer candles to be had: the silence stands
        except VenueError as error:
            self._miss(quiet, f"it was silent, and whether that is true could not be asked: {error}")
            return subtract(answered, quiet)
        for silence in quiet:
            inside = intersect([silence], loud)
            if not inside:
                continue
            behind = times.searchsorted(silence.end) < len(times)  # rows follow: the depth ends here
            part = Window(inside[0].start, silence.end if behind else inside[-1].end)
            why = "the venue serves these candles from later on; its longer ones saw trades"
            if times.searchsorted(silence.start) == 0:
                self.asked.append(Asked(part, self.job.source, heard, "unobtainable"))
                self.unobtainable.append(Missing(part, why))
            else:
                self._miss([part], "no candle came, though the venue's longer ones saw trades")
            answered = subtract(answered, [part])
        return answered

    def _verdicts(self, answered: Sequence[Window], kept: Sequence[pa.Table]) -> list[tuple[Window, str]]:
        """What holds no row was empty, but at the very edge of what the venue still serves it is gone."""
        out: list[tuple[Window, str]] = []
        edge = None if self.job.horizon is None else self.job.horizon + EDGE_OF_HORIZON
        firsts = [int(times.min()) for table in kept if len(times := times_in(table, self.dataset))]
        for window in answered:
            if edge is None or window.start >= edge or self.grid is None:
                out.append((window, "empty"))
                continue
            stop = min(
                [window.end, self.grid.ceil(edge), *(first for first in firsts if first >= window.start)]
            )
            parts = ((Window(window.start, stop), "unobtainable"), (Window(stop, window.end), "empty"))
            out.extend((part, verdict) for part, verdict in parts if part)
        return out


def _cut(walk: Walk) -> list[Window]:
    """What lies before a full page of the newest rows."""
    return [walk.cut] if isinstance(walk, LatestWalk | TailWalk) and walk.cut is not None else []


def _published(venue: Venue) -> str:
    """What more there is to say of what REST did not bring and the archive does not have yet."""
    assert venue.bucket is not None
    soonest, latest = (round(after / HOUR) for after in venue.bucket.published)
    return f"the archive brings such a day {soonest} to {latest} hours after its end: run the same command then"


def _of_the_endpoint(endpoint: Endpoint, refusal: VenueError) -> bool:
    """Whether another way to ask may bring what this one did not. A walk by an edge is stuck where the edge means
    something else there (milliseconds for seconds)."""
    if isinstance(refusal, WalkStuck):
        return endpoint.walk == "edge"
    return isinstance(refusal, Refused) and refusal.kind != "symbol"


def fill(
    job: Job, *, venue: Venue, store: Store, get: Get, tape: Path, proven: dict[str, int] | None = None,
    facts: Facts = NO_FACTS, archived: bool = False,
) -> Outcome:  # fmt: skip
    """Do one job to its end: afterwards every span of it is committed with a verdict, or in ``missing`` with a reason.

    ``get`` sends one request and returns its reply (transport.http.Client.get). ``proven`` remembers from job to job
    how many rows fit into a page of each path, which saves asking twice; ``facts`` are the instrument's. ``archived``:
    there is an archive to ask for what it has not published yet. Raises only what is not the venue's doing: a lake that
    cannot be written, a bug.
    """
    began = time.monotonic()
    dataset, grid = dataset_named(job.series.dataset), grid_for(job.series, venue)
    work = _Fill(job, venue, get, tape, dataset, grid, {} if proven is None else proven, facts, archived)
    now = time.time_ns() // 1000
    for known in job.known:
        work.asked.extend(Asked(window, job.source, now, known.verdict) for window in known.windows)
        if known.verdict == "unobtainable":
            work.unobtainable.extend(Missing(window, known.why) for window in known.windows)
    for window in job.windows:
        work.window(window)
    partition = Partition(
        job.series.dataset, job.series.venue, job.series.symbol, job.series.period, job.label
    )
    committed = store.commit(
        partition,
        one_table(work.tables, dataset),
        work.asked,
        grid=grid,
        on_replace=keeper(store, partition),
    )
    return Outcome(
        job.series,
        job.label,
        (*job.windows, *(window for known in job.known for window in known.windows)),
        rows=committed.rows,
        added=committed.added,
        replaced=committed.replaced,
        requests=work.requests,
        seconds=time.monotonic() - began,
        changed=committed.changed,
        quarantined=work.quarantined,
        missing=tuple(work.missing),
        unobtainable=tuple(work.unobtainable),
        unsettled=tuple(merge(work.unsettled)),
        unreachable=work.unreachable,
        unknown_symbol=work.unknown_symbol,
    )


def _around(left: Sequence[Window], drive: Drive) -> tuple[list[Window], list[Window]]:
    """After a reply that was set aside: what it spoilt, and how the walk can go on around it (law 9)."""
    asked = drive.asked.window if drive.asked is not None else Window(0, 0)
    spoilt = intersect(left, [asked])
    onward = subtract(left, spoilt)
    if drive.endpoint.walk == "cursor" and any(window.length > NARROW for window in spoilt):
        # The cursor behind the bad page is not known; narrower windows have first pages of their own.
        cuts = [Window(at, min(at + NARROW, w.end)) for w in spoilt for at in range(w.start, w.end, NARROW)]
        return [], [*onward, *cuts]
    return (spoilt, onward) if spoilt else (list(left), [])
