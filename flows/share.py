"""The flow ``share``: some partitions of somebody else's backfill, done by whichever worker of the pool takes them.

Its parent (``pool.py``) gives it jobs, not rows, and reads what came of each from the artifact ``outcomes``. Every few
seconds it says that it lives; what is silent for long has lost its machine, and is given to another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from uuid import UUID

import msgspec
from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from flows.by_hand import run
from flows.side_by_side import in_session
from htxdata.errors import Incomplete
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job

BEAT = 5.0
"""Seconds between two signs of life."""


def packed(values: Sequence[Job] | Sequence[Outcome]) -> Any:
    """As JSON has it."""
    return msgspec.to_builtins(list(values))


def jobs_from(values: Any) -> list[Job]:
    return msgspec.convert(values, list[Job])


def outcomes_from(text: str) -> list[Outcome]:
    return msgspec.json.decode(text, type=list[Outcome])


@contextmanager
def alive() -> Iterator[None]:
    """A progress artifact changes all the time while the block lasts."""
    artifact = cast(UUID, create_progress_artifact(0.0, "alive", "changes for as long as this process lives"))
    over = threading.Event()

    def beat() -> None:
        began = time.monotonic()
        while not over.wait(BEAT):
            update_progress_artifact(artifact, progress=round((time.monotonic() - began) % 100, 1))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@flow(name="share", flow_run_name="share of {number} partitions")
def share(jobs: list[dict[str, Any]], number: int, workers: int = 8, config: str | None = None) -> dict[str, int]:
    """Do these jobs with this machine's settings and budgets; ends as failed where something is missing."""
    with alive():
        done = in_session(jobs_from(jobs), workers, config)
        text = msgspec.json.encode(done).decode()
        create_markdown_artifact(text, key="outcomes", description=f"What came of {number} partitions")
    get_run_logger().info("%d partitions, %d rows", len(done), sum(one.added for one in done))
    missing = [lost for one in done for lost in one.missing]
    if missing:
        raise Incomplete(f"{len(missing)} spans are missing, the first: {missing[0].window}: {missing[0].why}")
    return {name: sum(int(getattr(one, name)) for one in done) for name in ("added", "replaced", "requests")}


if __name__ == "__main__":
    run(share)
