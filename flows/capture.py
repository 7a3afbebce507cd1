"""The flow ``capture``: listen to feeds of a venue for some hours, then hand over to the next run.

python flows/capture.py '{"venue": "htx-linear", "feeds": ["trades", "book"], "symbols": ["BTC-*"], "seconds": 60}'

Schedule it a little more often than it lasts (prefect.yaml: every six hours, for six hours and five minutes): the next
run listens before this one ends, and what both heard is one row. A new version of htxdata is deployed in the same way.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from typing import Any

from prefect import State, Task, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from flows.artifacts import publish_capture
from flows.by_hand import run
from flows.words import RUN
from htxdata import config as settings
from htxdata.errors import Incomplete, UsageError
from htxdata.ingest.capture import Captured, Status
from htxdata.ingest.capture import capture as listen_to
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.session import Session
from htxdata.ingest.signals import until_told

SIX_HOURS_AND_SOME = 6 * 3600 + 300
STATUS_EVERY = 10.0


def _not_usage(task: Task, run: TaskRun, state: State) -> bool:  # type: ignore[type-arg]
    """A full disk may be emptied, a crash may not come again; a symbol that nobody has stays so."""
    return not isinstance(state.result(raise_on_failure=False), UsageError)


@task(task_run_name="listen to {wanted.venue}", cache_policy=NO_CACHE, persist_result=False,
      retries=100, retry_delay_seconds=5, retry_condition_fn=_not_usage)  # fmt: skip
def listen(wanted: Wanted, config: str | None, until: float) -> Captured:
    """Listen until then (seconds since 1970), in this process; SIGTERM ends it well."""
    say = get_run_logger().warning
    with Session(settings.load(config), say=say) as session, until_told(session.stop) as told:
        return listen_to(wanted, session, told.stop, seconds=max(1.0, until - time.time()), on_status=_tell())


def _tell() -> Callable[[Status], None]:
    """How it goes, as a line of JSON on stdout now and then: `serve` makes metrics of it."""
    last = 0.0

    def tell(status: Status) -> None:
        nonlocal last
        if RUN in os.environ and time.monotonic() - last >= STATUS_EVERY:
            last = time.monotonic()
            print(json.dumps({"status": dataclasses.asdict(status)}), flush=True)

    return tell


@flow(name="capture", flow_run_name="capture {venue} {feeds}")
def capture(
    venue: str,
    feeds: list[str],
    symbols: list[str],
    periods: list[str] | None = None,
    levels: int | None = None,
    seconds: float = SIX_HOURS_AND_SOME,
    config: str | None = None,
) -> dict[str, int]:
    """The same as ``htxdata capture``; ends as failed where something was lost for good, or refused."""
    wanted = Wanted(venue, tuple(feeds), tuple(symbols), tuple(periods or ()), levels)
    done = listen(wanted, config, time.time() + seconds)
    publish_capture(done)
    if not done.complete:
        raise Incomplete(why_incomplete(done))
    return {"frames": done.frames, "added": done.rows, "reconnects": done.reconnects}


def why_incomplete(done: Captured) -> str:
    reasons: list[Any] = [*done.gaps, *(f"{topic}: {why}" for topic, why in done.refused.items()), *done.failed]
    if done.quarantined:
        reasons.append(f"{done.quarantined} frames are in quarantine")
    return f"{len(reasons)} things were not heard, the first: {reasons[0]}"


if __name__ == "__main__":
    run(capture)
