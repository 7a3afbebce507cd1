"""Plan, fan out, bound concurrency, publish: what every flow that fills partitions does."""

from __future__ import annotations

import time
from collections.abc import Sequence

from prefect import get_run_logger

from flows.artifacts import Progress, publish
from flows.partitions import session_of_flow
from flows.pool import by_pool
from flows.side_by_side import fan_out
from htxdata import config
from htxdata.errors import Incomplete, UsageError
from htxdata.ingest.asked import Request
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job, SeriesPlan
from htxdata.ingest.run import account, climb
from htxdata.ingest.session import Session


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
            where = session.settings.fan_out
            if where != "pool" or not jobs:
                return fan_out(jobs, settings_file, workers, session, where)
            return by_pool(jobs, settings_file, workers, Progress(len(jobs)).step)

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
