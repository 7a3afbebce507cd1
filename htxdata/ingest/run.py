"""Many jobs side by side, and an honest account of what came of them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial

from htxdata.config import POOLS
from htxdata.errors import CorruptPartition
from htxdata.ingest.asked import Request, window_from
from htxdata.ingest.backfill import fill
from htxdata.ingest.deep import fill_deep
from htxdata.ingest.distil_gaps import Gap, heal_gaps
from htxdata.ingest.outcome import FileDone, Missing, Outcome
from htxdata.ingest.plan import Job, SeriesPlan, leftover
from htxdata.ingest.planning import make_plans
from htxdata.ingest.session import Session
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.protocol.paging import Ask
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import Asked
from htxdata.store.layout import partitions
from htxdata.timeline import Window, intersect, merge, subtract
from htxdata.venues import venue as venue_named

OnStep = Callable[[Outcome | FileDone], None]
"""Who is told of every file that a job of the archive is done with, and of every finished job; one at a time."""

GIVE_UP_AFTER = 3
"""Unreachable jobs in a row on one host before the rest of its jobs are not even tried: each costs many seconds."""


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


def host_of(job: Job) -> str:
    """The key of ``[hosts]`` that a job asks."""
    venue = venue_named(job.series.venue)
    return venue.archive_host or venue.host if job.source == "archive" else venue.host


def budget_of(job: Job) -> str:
    """The key of ``[budgets]`` that bounds a job's requests: the first of them tells."""
    venue = venue_named(job.series.venue)
    if job.source == "archive":
        return host_of(job)
    pools = POOLS.get(venue.host, {})
    endpoints = venue.endpoints_for(job.series.dataset, job.series.period, job.series.symbol)
    if not pools or not endpoints or not job.windows:
        return venue.host
    first = endpoints[0].build(job.series, Ask(job.windows[0], endpoints[0].rows))
    return pools.get(first.limit, venue.host)


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
    jobs: Sequence[Job], session: Session, on_step: OnStep = lambda step: None, workers: int = 4
) -> list[Outcome]:
    """Do all jobs, oldest first within a series, several at once. After an interrupt, what is committed stays.

    ``on_step`` hears of each file of each job once, also of those that were given up all together.
    """
    outcomes: list[Outcome] = []
    down: dict[tuple[str, bool], int] = {}  # what is signed apart: it alone fails where our clock is off
    lock = threading.Lock()

    def one(job: Job) -> Outcome:
        where, days = (host_of(job), dataset_named(job.series.dataset).own), list(job.days)

        def passed(added: int) -> None:
            step = FileDone(job.series, days.pop(0), added)
            with lock:
                if not session.stop.is_set():  # interrupted, a job gives its other files up in no time: no progress
                    on_step(step)

        outcome = do_job(job, session, skip=down.get(where, 0) >= GIVE_UP_AFTER, on_file=passed)
        while days:
            passed(0)
        with lock:
            down[where] = down.get(where, 0) + 1 if outcome.unreachable else 0
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
                    with lock:
                        on_step(outcome)
        except BaseException:
            session.stop.set()
            for future in waiting:
                future.cancel()
            raise
    return outcomes


def do_job(
    job: Job, session: Session, skip: bool = False, on_file: Callable[[int], None] = lambda added: None
) -> Outcome:
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
        return _do_job(job, session, on_file)
    except CorruptPartition as error:  # rows that cannot be read; its footer could
        missing = tuple(Missing(window, str(error)) for window in job.windows)
        withheld = missing if job.source == "archive" else ()
        return Outcome(
            job.series, job.label, job.windows, missing=missing, withheld=withheld, damaged=str(error)
        )


def _do_job(job: Job, session: Session, on_file: Callable[[int], None]) -> Outcome:
    venue = venue_named(job.series.venue)
    if job.source == "archive":
        return fill_deep(
            job,
            venue=venue,
            store=session.store,
            shelf=session,
            tape=session.tape,
            stopped=session.stop.is_set,
            on_file=on_file,
        )
    get = partial(session.get, venue)
    return fill(
        job, venue=venue, store=session.store, get=get, tape=session.tape, proven=session.proven,
        facts=session.facts(venue, job.series), archived=session.has_archive(venue),
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
    report.missing += [(series, Missing(part, why)) for (series, part), why in session.unlisted.items()]
    for venue in sorted({plan.series.venue for plan in plans}):
        try:
            report.healed += heal_gaps(session.store, venue)
        except CorruptPartition as error:  # of a series that has nothing to do with what was asked for, perhaps
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
        since = window_from(request, time.time_ns() // 1000).start  # one run may ask for several spans of a series
        mine = [
            plan
            for plan in report.plans
            if replace(plan.series, symbol=ALL_SYMBOLS) == series and plan.window.start == since
        ]
        lost = any(each.dataset == series.dataset and each.venue == series.venue for each, _ in report.missing)
        if request.symbols != (ALL_SYMBOLS,) or not mine or lost or not session.store.partitions(series):
            continue
        if venue_named(request.venue).undivided(request.dataset):
            continue  # what it brought is in that series, with verdicts of its own
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
    on_step: OnStep = lambda step: None,
) -> Report:  # fmt: skip
    """Complete ``requests``: plan, fetch, commit, and account for what is left."""
    began = time.monotonic()

    def do(jobs: list[Job], workers: int) -> list[Outcome]:
        return run_jobs(jobs, session, on_step, workers)

    plans, outcomes = climb(requests, session, do, on_plan)
    report = account(plans, outcomes, session)
    report.healed += _heal_all(requests, report, session)
    report.seconds = time.monotonic() - began
    return report
