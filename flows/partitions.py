"""The task: one partition (a month of minutes, a year of funding), never a page; it carries a reference, not rows."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from functools import cache

from prefect import State, Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from htxdata import config
from htxdata.errors import HtxdataError
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job
from htxdata.ingest.run import do_job
from htxdata.ingest.session import Session

session_of_flow: ContextVar[Session] = ContextVar("session_of_flow")
"""The flow's own session, which the tasks in its threads share: connections, budgets, the store."""


@cache
def _session_of_this_process(settings_file: str | None) -> Session:
    return Session(config.load(settings_file), say=lambda text: get_run_logger().warning(text))


def _session(settings_file: str | None) -> Session:
    """A function of its own: the task's is pickled for other processes, with everything that it names."""
    if session_of_flow in copy_context():
        return session_of_flow.get()
    return _session_of_this_process(settings_file)


def _not_ours(task: Task, run: TaskRun, state: State) -> bool:  # type: ignore[type-arg]
    """Transport has retried what the venue refused, and what is wrong with the lake stays so: neither comes again."""
    return not isinstance(state.result(raise_on_failure=False), HtxdataError)


@task(task_run_name="{job.name}", cache_policy=NO_CACHE, persist_result=False,
      retries=1, retry_delay_seconds=5, retry_condition_fn=_not_ours)  # fmt: skip
def fill_partition(job: Job, settings_file: str | None, skip: bool = False) -> Outcome:
    """Fetch and commit one partition: in a thread of the flow with its session, in another process with its own."""
    return do_job(job, _session(settings_file), skip)
