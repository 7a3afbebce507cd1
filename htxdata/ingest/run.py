"""Many jobs side by side, and an honest account of what came of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from htxdata.config import POOLS, Keep, Settings
from htxdata.errors import ConfigError, CorruptPartition, UsageError
from htxdata.ingest.backfill import Missing, Outcome, fill
from htxdata.ingest.deep import fill_deep
from htxdata.ingest.delivered import Known, by_alias, known_of
from htxdata.ingest.distil_gaps import Gap, heal_gaps
from htxdata.ingest.heal import heal_lake, heal_tape
from htxdata.ingest.plan import (
    PUBLISHED_AFTER,
    RECHECK_DAYS,
    RECHECK_EVERY,
    Job,
    SeriesPlan,
    day_at,
    day_window,
    final_window,
    held_by,
    leftover,
    plan_series,
    to_ask,
)
from htxdata.ingest.session import Say, Session, resolve
from htxdata.market import ALL_SYMBOLS, Listing, Series
from htxdata.protocol.paging import Ask
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import Asked
from htxdata.store.footer import Footer, Span
from htxdata.store.layout import partitions
from htxdata.timeline import DAY, Window, intersect, iso, merge, parse_instant, subtract
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Venue

OnOutcome = Callable[[Outcome], None]

GIVE_UP_AFTER = 3
"""Unreachable jobs in a row on one host before the rest of its jobs are not even tried: each costs many seconds."""


@dataclass(frozen=True)
class Request:
    """What somebody wants: series by name and glob, and a window. ``end`` None is now."""

    dataset: str
    venue: str
    symbols: tuple[str, ...]
    periods: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    origin: str = ""
    """Where it is written, for messages; empty for the command line, whose options they name anyway."""


@dataclass
class Report:
    """The account of a run. ``missing`` holds every span asked for that has no complete verdict, with the reason, and
    ``unobtainable`` every one that the venue no longer serves, whichever run found that out."""

    plans: list[SeriesPlan] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    missing: list[tuple[Series, Missing]] = field(default_factory=list)
    unobtainable: list[tuple[Series, Missing]] = field(default_factory=list)
    healed: list[Gap] = field(default_factory=list)
    """Gaps of a capture whose rows have come by now."""

    damaged: list[str] = field(default_factory=list)
    """Partitions that cannot be read, a sentence each: what was asked of their series is missing, the rest was done."""

    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return not self.missing

    def total(self, name: str) -> int:
        return sum(int(getattr(outcome, name)) for outcome in self.outcomes)


def is_private(dataset: str, venue: str) -> bool:
    """Whether a dataset of a venue is told only to who shows a key."""
    probe, window = Series(dataset, venue, "x"), Window(0, 1)
    endpoints = venue_named(venue).endpoints_for(dataset, None)
    return any(endpoint.build(probe, Ask(window, endpoint.rows)).private for endpoint in endpoints)


def window_from(request: Request, now: int) -> Window:
    """The window of a request, or a ``UsageError`` naming the option that is wrong."""
    if request.start is None:
        raise UsageError("--start is missing: say from when on, such as --start 2024-01-01")
    start = _instant("--start", request.start)
    if start < 0:
        raise UsageError(f"--start {request.start!r} lies before 1970: no market of these is as old")
    end = now if request.end is None else _instant("--end", request.end)
    if start >= now:
        raise UsageError(
            f"--start {request.start!r} lies in the future; it is {iso(now // 1_000_000 * 1_000_000)}"
        )
    if end > now:
        raise UsageError(f"--end {request.end!r} lies in the future; leave it out to go up to now")
    if end <= start:
        raise UsageError(f"--end {request.end!r} is not after --start {request.start!r}: the range is empty")
    return Window(start, end)


def _instant(option: str, text: str) -> int:
    try:
        return parse_instant(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def request_of(keep: Keep, origin: str = "") -> Request:
    return Request(
        keep.dataset, keep.venue, keep.symbols, keep.periods, keep.since or "2017-01-01", None, origin
    )


def keep_requests(settings: Settings) -> list[Request]:
    """What ``sync`` has to keep up to date; what has no past is left to `capture`, `snapshot` and `serve`."""
    if not settings.keep:
        raise ConfigError(
            f"nothing to keep up to date: add a [[keep]] to htxdata.toml (read: {settings.origin})"
        )
    return [
        request_of(keep, f"{settings.origin}, [[keep]] {number}")
        for number, keep in enumerate(settings.keep, start=1)
        if not _now_only(keep)
    ]


def _now_only(keep: Keep) -> bool:
    """Whether there is no past of it to be filled, though it is heard or seen now. A mistake is told later."""
    try:
        venue = venue_named(keep.venue)
    except UsageError:
        return False
    seen = keep.dataset == "instruments" or venue.polls_for(keep.dataset)
    return keep.dataset not in venue.datasets() and bool(seen or any(f.dataset == keep.dataset for f in venue.feeds))


Rung = Literal["archive", "rest", "spare"]
"""Where a plan begins on the ladder: with the archive, with what the archive left to REST, or with what REST left."""


def make_plans(
    requests: Iterable[Request], session: Session, *, ask: bool = True, now: int | None = None, rung: Rung = "archive",
    done: Sequence[Outcome] = (),
) -> list[SeriesPlan]:  # fmt: skip
    """What completing ``requests`` takes, series by series. First finishes what a run that died left of them.

    ``ask=False`` sends nothing and touches nothing; the lake must then know the symbols that a glob means. ``rung`` is
    where to begin, ``done`` what came of the rungs before.
    """
    moment = time.time_ns() // 1000 if now is None else now
    checked = []
    heal = ask and rung == "archive"  # the first of a run
    if heal:
        heal_tape(session.tape)
    for request in requests:  # wrong options of any request before the first question
        with _said_where(request):
            window = window_from(request, moment)
            resolve(request.dataset, request.venue, (), request.periods, None)
            if ask and is_private(request.dataset, request.venue):
                session.keys(venue_named(request.venue), f"{request.dataset} of {request.venue}")
            checked.append((request, window))
    wanted: dict[tuple[Series, Window], _Wanted] = {}
    for request, window in checked:
        venue = venue_named(request.venue)
        known = known_instruments(session, request, moment, ask)
        with _said_where(request):
            found = meant(request, venue, known, window, moment, session.say if heal else lambda text: None)
        for series, part in found:
            try:
                if heal:
                    heal_lake(session.store, [series])
                spans = stored_spans(session, series)
            except CorruptPartition as error:
                if not ask:
                    raise
                session.damaged[series] = (part, error)  # the others are filled all the same
                continue
            gone = known.gone(venue, series.symbol, moment)
            wanted[series, part] = _Wanted(series, venue, part, spans, known.every.get(series.symbol), gone)
    entries = list(wanted.values())
    births = _births(session, [entry for entry in entries if entry.begins_unknown(moment)]) if ask else {}
    withheld: dict[Series, list[Window]] = {}
    for outcome in done:
        withheld.setdefault(outcome.series, []).extend(missing.window for missing in outcome.withheld)
    plans = []
    for entry in entries:
        series, venue = entry.series, entry.venue
        born = births.get((venue.name, series.symbol)) if entry.begins_unknown(moment) else None
        archive = rung != "rest" and session.has_archive(venue)
        first = archive and rung == "archive"
        plans.append(
            plan_series(
                series, venue, entry.window, entry.spans, moment, entry.listing, born, archive=archive,
                spare=rung == "spare", stale=stale_days(session, series, venue, entry.window, moment) if first else (),
                withheld=withheld.get(series, ()), gone=entry.gone,
            )
        )  # fmt: skip
    return plans


def known_instruments(session: Session, request: Request, now: int, ask: bool) -> Known:
    """What the venue lists, and what only the lake still knows: contracts that were delivered. ``ask=False`` asks
    nobody but the lake."""
    venue = venue_named(request.venue)
    listed = session.listings(venue) if ask else stored_listings(session, request.venue)
    stored: set[str] = set()
    for dataset in ("instruments", request.dataset) if venue.deliveries is not None else ():
        stored |= {series.symbol for series in session.store.series(dataset=dataset, venue=venue.name)}
    known = known_of(venue, listed, sorted(stored), request.symbols, now)
    return known if ask else replace(known, listed=frozenset())


def meant(
    request: Request, venue: Venue, known: Known, window: Window, now: int, say: Say
) -> list[tuple[Series, Window]]:
    """The series that a request means and the window of each: of an alias, those of the contracts that it meant."""
    plain: list[str] = []
    held: list[tuple[str, Window]] = []
    for text in request.symbols:
        found = by_alias(venue, text, known, window, now)
        if found is None:
            plain.append(text)
            continue
        held += found[0]
        for name, part in found[0]:
            say(f"{venue.name}: {text} is {name} from {iso(part.start)} to {iso(part.end)}")
        for part in found[1]:
            say(f"{venue.name}: {text} is no contract that is known from {iso(part.start)} to {iso(part.end)}")
    names = known.names
    out = [(series, window) for series in resolve(request.dataset, venue.name, plain, request.periods, names)]
    for name, part in held:
        out += [(series, part) for series in resolve(request.dataset, venue.name, (name,), request.periods, None)]
    return out


def stale_days(session: Session, series: Series, venue: Venue, window: Window, now: int) -> list[str]:
    """The recent days of ``window`` whose files are to be looked at: those that may have been replaced since they were
    last compared with the listing, and those that REST filled before there was a file to compare with."""
    archives = [a for a in venue.archives_for(series.dataset, series.period) if not a.spare]
    if not archives or not dataset_named(series.dataset).rereads:
        return []
    recent = Window(max(window.start, now - RECHECK_DAYS * DAY), window.end)
    checked: dict[str, int] = {}
    by_rest: set[str] = set()
    for partition in partitions(series, recent) if recent else ():
        footer = session.store.footer(partition) or Footer()
        for file in footer.files:
            for archive in archives:
                day = archive.day_of(series, file.key)
                if day is not None and day_window(day, venue).intersect(recent):
                    checked[day] = max(file.checked_at, checked.get(day, 0))
        for span in footer.spans:
            if (span.source, span.verdict) == ("rest", "present"):
                part = Window(span.start, min(span.end, now - PUBLISHED_AFTER)).intersect(recent)
                by_rest |= {
                    day_at(at, venue) for at in (*range(part.start, part.end, DAY), part.end - 1) if part
                }
    published = {
        day
        for day in by_rest
        if held_by(archives, day) and day_window(day, venue).end + PUBLISHED_AFTER <= now
    }
    return sorted(day for day in {*checked, *published} if checked.get(day, 0) <= now - RECHECK_EVERY)


@dataclass(frozen=True)
class _Wanted:
    series: Series
    venue: Venue
    window: Window
    spans: list[Span]
    listing: Listing | None
    gone: str = ""

    def begins_unknown(self, now: int) -> bool:
        """Whether rows earlier than any that is stored are asked for, by windows that may all be empty."""
        endpoints = self.venue.endpoints_for(self.series.dataset, self.series.period, self.series.symbol)
        paged = ("time", "edge") if self.series.dataset == "klines" else ("time",)
        if not (endpoints and endpoints[0].walk in paged) and not self.venue.archives_for(
            self.series.dataset, self.series.period
        ):
            return False
        first = min((span.start for span in self.spans if span.verdict == "present"), default=None)
        gaps = to_ask(self.series, final_window(self.series, self.venue, self.window, now), self.spans)
        return bool(gaps) and (first is None or gaps[0].start < first)


def _births(session: Session, entries: Sequence[_Wanted]) -> dict[tuple[str, str], int | None]:
    """When these symbols begin; many are asked for side by side, or a slow line would leave the budget unused."""
    chosen = {(entry.venue.name, entry.series.symbol): entry for entry in entries}
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="htxdata") as pool:
        try:
            found = list(pool.map(lambda entry: session.born(entry.venue, entry.series), chosen.values()))
        except BaseException:
            session.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return dict(zip(chosen, found, strict=True))


@contextmanager
def _said_where(request: Request) -> Iterator[None]:
    """A wrong value is looked for where it is written."""
    try:
        yield
    except UsageError as error:
        if not request.origin:
            raise
        # Only the option at the head of the sentence: a command that the sentence advises is still typed with dashes.
        text = str(error)
        for option, key in _KEEP_KEYS.items():
            if text.startswith(option):
                text = key + text.removeprefix(option)
        raise ConfigError(f"{request.origin}: {text}") from None


_KEEP_KEYS = {"--start": "since", "--symbol": "symbols", "--period": "periods", "--venue": "venue"}


def stored_spans(session: Session, series: Series) -> list[Span]:
    """The spans of a series partition by partition: joined ones would not tell which are still unconfirmed."""
    store = session.store
    return [span for partition in store.partitions(series) for span in store.spans(partition)]


def stored_listings(session: Session, venue: str) -> dict[str, Listing] | None:
    """The symbols of a venue that the lake has instruments of, or ``None`` where it has none."""
    symbols = [series.symbol for series in session.store.series(dataset="instruments", venue=venue)]
    return {symbol: Listing(symbol) for symbol in symbols} or None


def host_of(job: Job) -> str:
    """The key of ``[hosts]`` that a job asks."""
    venue = venue_named(job.series.venue)
    return venue.archive_host or venue.host if job.source == "archive" else venue.host


def budget_of(job: Job) -> str:
    """The key of ``[budgets]`` that bounds a job's requests."""
    venue = venue_named(job.series.venue)
    if job.source == "archive":
        return host_of(job)
    pools = POOLS.get(venue.host, {})
    endpoints = venue.endpoints_for(job.series.dataset, job.series.period, job.series.symbol)
    if not pools or not endpoints:
        return venue.host
    pool = endpoints[0].build(job.series, Ask(Window(0, 1), endpoints[0].rows)).pool
    return pools.get(pool, venue.host)


def workers_for(session: Session, plans: Sequence[SeriesPlan], source: str) -> int:
    """Threads that keep a budget busy at a round trip of up to half a second, and no more.

    A job of the archive fetches ahead by itself; its rows are the processor's work, and days of trades at that take
    200 MB of memory each.
    """
    if source == "archive":
        cores = os.cpu_count() or 1
        streamed = any(dataset_named(p.series.dataset).grain(p.series.period) == "day" for p in plans)
        return max(2, min(8, cores)) if streamed else max(4, min(16, cores))
    budgets = session.settings.budgets
    jobs = jobs_of(plans, source)
    rates = {min(budgets[budget_of(job)], budgets[venue_named(job.series.venue).host]) for job in jobs}
    most = max(rates, default=1)
    return max(2, min(16, int(most * 0.5) + 1))


def jobs_of(plans: Iterable[SeriesPlan], source: str) -> list[Job]:
    return [job for plan in plans for job in plan.of(source)]


def run_jobs(
    jobs: Sequence[Job], session: Session, on_outcome: OnOutcome = lambda outcome: None, workers: int = 4
) -> list[Outcome]:
    """Do all jobs, oldest first within a series, several at once. After an interrupt, what is committed stays."""
    outcomes: list[Outcome] = []
    down: dict[str, int] = {}
    lock = threading.Lock()

    def one(job: Job) -> Outcome:
        host = host_of(job)
        outcome = do_job(job, session, skip=down.get(host, 0) >= GIVE_UP_AFTER)
        with lock:
            down[host] = down.get(host, 0) + 1 if outcome.unreachable else 0
        return outcome

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="htxdata") as pool:
        waiting: set[Future[Outcome]] = set()
        queue = iter(jobs)
        try:
            while True:
                while len(waiting) < workers * 2 and (job := next(queue, None)) is not None:
                    waiting.add(pool.submit(one, job))
                if not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    outcome = future.result()
                    outcomes.append(outcome)
                    on_outcome(outcome)
        except BaseException:
            session.stop.set()
            for future in waiting:
                future.cancel()
            raise
    return outcomes


def do_job(job: Job, session: Session, skip: bool = False) -> Outcome:
    """One job with the session's hands; ``skip`` records its windows as missing without asking."""
    if skip:
        why = f"not asked: {host_of(job)} was unreachable {GIVE_UP_AFTER} times in a row"
        missing = tuple(Missing(w, why) for w in job.windows)
        # What the archive may have and was not asked for, REST must not call unobtainable.
        withheld = missing if job.source == "archive" else ()
        return Outcome(
            job.series, job.label, job.windows, missing=missing, unreachable=True, withheld=withheld
        )
    try:
        return _do_job(job, session)
    except CorruptPartition as error:  # rows that cannot be read; its footer could
        missing = tuple(Missing(window, str(error)) for window in job.windows)
        withheld = missing if job.source == "archive" else ()
        return Outcome(
            job.series, job.label, job.windows, missing=missing, withheld=withheld, damaged=str(error)
        )


def _do_job(job: Job, session: Session) -> Outcome:
    venue = venue_named(job.series.venue)
    if job.source == "archive":
        return fill_deep(
            job,
            venue=venue,
            store=session.store,
            shelf=session,
            tape=session.tape,
            stopped=session.stop.is_set,
        )
    get = partial(session.get, venue)
    return fill(
        job, venue=venue, store=session.store, get=get, tape=session.tape, proven=session.proven,
        facts=session.facts(venue, job.series),
    )  # fmt: skip


def account(plans: Sequence[SeriesPlan], outcomes: Sequence[Outcome], session: Session) -> Report:
    """What is still missing, read from the lake itself: a run is complete only if its footers say so (law 4).

    What a capture had lost and is there by now is marked as healed.
    """
    report = Report(list(plans), list(outcomes))
    report.damaged += [outcome.damaged for outcome in outcomes if outcome.damaged]
    for series, (window, error) in session.damaged.items():
        report.missing.append((series, Missing(window, str(error))))
        report.damaged.append(str(error))
    for venue in sorted({plan.series.venue for plan in plans}):
        try:
            report.healed += heal_gaps(session.store, venue)
        except (
            CorruptPartition
        ) as error:  # of a series that has nothing to do with what was asked for, perhaps
            report.damaged.append(str(error))
    reasons: dict[Series, list[Missing]] = {}
    gone: dict[Series, list[Missing]] = {}
    open_yet: dict[Series, list[Window]] = {}
    for outcome in outcomes:
        reasons.setdefault(outcome.series, []).extend(outcome.missing)
        gone.setdefault(outcome.series, []).extend(outcome.unobtainable)
        open_yet.setdefault(outcome.series, []).extend(outcome.unsettled)
    for plan in plans:
        series = plan.series
        spans = session.store.coverage(series)
        # What was not over yet by the venue's own clock is nobody's hole: it was asked for a moment too early.
        holes = subtract(leftover(plan.window, spans), open_yet.get(series, []))
        lost = intersect(
            [plan.window], [Window(s.start, s.end) for s in spans if s.verdict == "unobtainable"]
        )
        for windows, said, otherwise, out in (
            (holes, reasons, "it was not fetched", report.missing),
            (lost, gone, "the venue no longer served it when it was last asked", report.unobtainable),
        ):
            out.extend((series, missing) for missing in explained(windows, said.get(series, []), otherwise))
    return report


def explained(windows: Sequence[Window], said: Sequence[Missing], otherwise: str) -> list[Missing]:
    """``windows`` cut up by the first reason that was given for each part, all of them."""
    out: list[Missing] = []
    left = list(windows)
    for reason in said:
        parts = intersect(left, [reason.window])
        out.extend(Missing(part, reason.why) for part in parts)
        left = subtract(left, parts)
    out.extend(Missing(part, otherwise) for part in left)
    by_why: dict[str, list[Window]] = {}
    for missing in out:
        by_why.setdefault(missing.why, []).append(missing.window)
    joined = [Missing(window, why) for why, parts in by_why.items() for window in merge(parts)]
    return sorted(joined, key=lambda missing: missing.window)


def climb(
    requests: Sequence[Request], session: Session, do: Callable[[list[Job], int], list[Outcome]],
    on_plan: Callable[[list[SeriesPlan]], None] = lambda plans: None,
) -> tuple[list[SeriesPlan], list[Outcome]]:  # fmt: skip
    """The ladder, rung by rung: each is planned from what the one before left. ``do`` does jobs, so many at once."""
    plans = make_plans(requests, session)
    on_plan(plans)
    outcomes = do(jobs_of(plans, "archive"), workers_for(session, plans, "archive"))
    rest = make_plans(requests, session, rung="rest", done=outcomes) if outcomes else plans
    jobs = jobs_of(rest, "rest")
    if outcomes and jobs:
        on_plan(rest)
    outcomes = outcomes + do(jobs, workers_for(session, rest, "rest"))
    poor = [request for request in requests if _has_spare(request) and _undelivered(request, outcomes)]
    if poor:
        spare = make_plans(poor, session, rung="spare")
        if jobs := jobs_of(spare, "archive"):
            on_plan(spare)
            outcomes = outcomes + do(jobs, workers_for(session, spare, "archive"))
    return plans, outcomes


def _has_spare(request: Request) -> bool:
    archives = venue_named(request.venue).archives
    return any(archive.spare for archive in archives if archive.dataset == request.dataset)


def _undelivered(request: Request, outcomes: Sequence[Outcome]) -> bool:
    mine = (o for o in outcomes if (o.series.dataset, o.series.venue) == (request.dataset, request.venue))
    return any(outcome.missing for outcome in mine)


def _heal_all(requests: Sequence[Request], report: Report, session: Session) -> list[Gap]:
    """What was lost of all symbols together (a topic of ``*``) is healed where all of them were asked for, and none is
    incomplete: what each brought is in its own series, and the series of ``*`` says that nothing is missing."""
    healed: list[Gap] = []
    for request in requests:
        series = Series(request.dataset, request.venue, ALL_SYMBOLS)
        mine = [plan for plan in report.plans if replace(plan.series, symbol=ALL_SYMBOLS) == series]
        lost = any(each.dataset == series.dataset and each.venue == series.venue for each, _ in report.missing)
        if request.symbols != (ALL_SYMBOLS,) or not mine or lost or not session.store.partitions(series):
            continue
        window = Window(min(plan.window.start for plan in mine), min(plan.window.end for plan in mine))
        now = time.time_ns() // 1000
        for partition in partitions(series, window) if window else ():
            left = leftover(window.intersect(partition.window), session.store.spans(partition))
            if left:
                session.store.commit(partition, None, [Asked(part, "rest", now) for part in left])
        healed += heal_gaps(session.store, request.venue)
    return healed


def backfill(
    requests: Sequence[Request], session: Session, on_plan: Callable[[list[SeriesPlan]], None] = lambda plans: None,
    on_outcome: OnOutcome = lambda outcome: None,
) -> Report:  # fmt: skip
    """Complete ``requests``: plan, fetch, commit, and account for what is left."""
    began = time.monotonic()

    def do(jobs: list[Job], workers: int) -> list[Outcome]:
        return run_jobs(jobs, session, on_outcome, workers)

    plans, outcomes = climb(requests, session, do, on_plan)
    report = account(plans, outcomes, session)
    report.healed += _heal_all(requests, report, session)
    report.seconds = time.monotonic() - began
    return report
