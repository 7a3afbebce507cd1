"""Many partitions side by side: each a task, as many at a time as keep the budget busy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from itertools import islice
from queue import SimpleQueue

from prefect import get_run_logger
from prefect.futures import PrefectFuture

from flows.artifacts import Progress
from flows.engines import Submit, engine
from flows.partitions import session_of_flow
from htxdata import config
from htxdata.ingest.journal import of_outcome
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job
from htxdata.ingest.run import GIVE_UP_AFTER
from htxdata.ingest.session import Session

watcher: ContextVar[Callable[[int, Outcome], None]] = ContextVar(
    "watcher", default=lambda total, outcome: None
)
"""Who else in this process is told of every finished partition, and how many there are: the demo's progress bar."""


def in_session(jobs: Sequence[Job], workers: int, settings_file: str | None) -> list[Outcome]:
    """All jobs with a session of their own, in the threads of this flow."""
    with Session(config.load(settings_file), say=get_run_logger().warning) as session:
        token = session_of_flow.set(session)
        try:
            return fan_out(jobs, settings_file, workers, session)
        finally:
            session_of_flow.reset(token)


def fan_out(
    jobs: Sequence[Job], settings_file: str | None, workers: int, session: Session, where: str = "threads"
) -> list[Outcome]:
    """All jobs as tasks, ``workers`` at a time. Interrupted, what is running is told to stop and awaited."""
    if not jobs:
        return []
    with engine(where, workers) as submit:
        return _all(jobs, settings_file, workers, session, submit)


def _all(
    jobs: Sequence[Job], settings_file: str | None, workers: int, session: Session, submit: Submit
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    finished: SimpleQueue[PrefectFuture[Outcome]] = SimpleQueue()
    running: set[PrefectFuture[Outcome]] = set()
    unreachable = 0
    progress, queue = Progress(len(jobs)), iter(jobs)
    try:
        while True:
            for job in islice(queue, workers - len(running)):
                future = submit(job, settings_file, unreachable >= GIVE_UP_AFTER)
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
