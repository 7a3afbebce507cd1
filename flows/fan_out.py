"""Plan, fan out, bound concurrency, publish: what every flow that fills partitions does."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import islice
from queue import SimpleQueue

from prefect import get_run_logger
from prefect.futures import PrefectFuture

from flows.artifacts import Progress, publish
from flows.partitions import fill_partition, session_of_flow
from htxdata import config
from htxdata.errors import Incomplete, UsageError
from htxdata.ingest.backfill import Outcome
from htxdata.ingest.journal import of_outcome
from htxdata.ingest.plan import Job, SeriesPlan
from htxdata.ingest.run import GIVE_UP_AFTER, Request, account, climb
from htxdata.ingest.session import Session

watcher: ContextVar[Callable[[int, Outcome], None]] = ContextVar(
    "watcher", default=lambda total, outcome: None
)
"""Who else in this process is told of every finished partition, and how many there are: the demo's progress bar."""


def fill_all(requests: Sequence[Request], settings_file: str | None) -> dict[str, int]:
    """Plan, fan out, publish; raises ``Incomplete`` (a failed run) where spans are left missing (law 4)."""
    logger = get_run_logger()
    began = time.monotonic()
    with Session(config.load(settings_file), say=logger.warning) as session:

        def planned(plans: Sequence[SeriesPlan]) -> None:
            asks = sum(plan.requests for plan in plans)
            jobs = sum(len(plan.jobs) for plan in plans)
            logger.info("%d series, %d tasks, about %d requests", len(plans), jobs, asks)

        def tasks(jobs: Sequence[Job], workers: int) -> list[Outcome]:
            return fan_out(jobs, settings_file, workers, session)

        token = session_of_flow.set(session)
        try:
            plans, outcomes = climb(requests, session, tasks, planned)
        finally:
            session_of_flow.reset(token)
        for outcome in outcomes:
            if outcome.unknown_symbol:
                raise UsageError(
                    f"--symbol {outcome.series.symbol!r}: {outcome.series.venue} answers {outcome.unknown_symbol}"
                )
        report = account(plans, outcomes, session)
        report.seconds = time.monotonic() - began
        publish(report, session)
    if not report.complete:
        series, missing = report.missing[0]
        first = f"{series} {missing.window}: {missing.why}"
        raise Incomplete(f"{len(report.missing)} spans are missing, the first: {first}")
    return {name: report.total(name) for name in ("added", "replaced", "requests")}


def fan_out(jobs: Sequence[Job], settings_file: str | None, workers: int, session: Session) -> list[Outcome]:
    """All jobs as tasks, ``workers`` at a time. Interrupted, what is running is told to stop and awaited."""
    outcomes: list[Outcome] = []
    finished: SimpleQueue[PrefectFuture[Outcome]] = SimpleQueue()
    running: set[PrefectFuture[Outcome]] = set()
    unreachable = 0
    progress, queue = Progress(len(jobs)), iter(jobs)
    try:
        while True:
            for job in islice(queue, workers - len(running)):
                future = fill_partition.submit(job, settings_file, unreachable >= GIVE_UP_AFTER)
                running.add(future)
                future.add_done_callback(finished.put)
            if not running:
                return outcomes
            future = finished.get()
            running.discard(future)
            outcomes.append(future.result())
            unreachable = unreachable + 1 if outcomes[-1].unreachable else 0
            progress.step(outcomes)
            if session.settings.log == "json":
                print(*of_outcome(outcomes[-1]), sep="\n", file=sys.stderr, flush=True)
            watcher.get()(len(jobs), outcomes[-1])
    except BaseException:
        session.stop.set()
        for future in running:
            future.wait(timeout=30)
        raise
