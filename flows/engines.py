"""Where the partitions of a flow are filled, by the setting ``fan_out``: threads, Dask, or the workers of a pool."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from prefect.futures import PrefectFuture

from flows.partitions import fill_partition
from htxdata.errors import ConfigError
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job

Submit = Callable[[Job, str | None, bool], PrefectFuture[Outcome]]
"""Begins a task: the job, the configuration file, whether its host is given up."""


@contextlib.contextmanager
def engine(fan_out: str, workers: int) -> Iterator[Submit]:
    """Tasks begin on what ``fan_out`` says, in the threads of the flow for ``threads`` and ``pool``.

    Dask needs the extra ``dask``. On this machine it gets a process per processor, with threads enough to keep
    ``workers`` tasks going; at an address it is what somebody else has set up.
    """
    if fan_out in ("threads", "pool"):
        yield fill_partition.submit
        return
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise ConfigError(f"fan_out = {fan_out!r} needs Dask: pip install 'htxdata[dask]'") from None
    if fan_out == "dask":
        cores = os.cpu_count() or 1
        threads = -(-workers // cores)
        where: dict[str, Any] = {
            "cluster_kwargs": {"n_workers": cores, "threads_per_worker": threads, "dashboard_address": None}
        }
    else:
        where = {"address": fan_out}
    with DaskTaskRunner(**where) as runner:

        def submit(job: Job, settings_file: str | None, skip: bool) -> PrefectFuture[Outcome]:
            parameters = {"job": job, "settings_file": settings_file, "skip": skip}
            future: PrefectFuture[Outcome] = runner.submit(fill_partition, parameters=parameters)
            return future

        yield submit
