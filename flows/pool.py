"""A backfill shared between the workers of a pool: its partitions in shares, each a run of the deployment ``share``.

What a share did is in the footers of the lake; that one was done twice changes nothing. So a share whose worker is gone
(killed, unplugged) is simply given to another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.states import Cancelling

from flows.share import packed
from flows.signs_of_life import Share, judge, look_at
from htxdata.ingest.outcome import Missing, Outcome
from htxdata.ingest.plan import Job

DEPLOYMENT = "share/share"
MOST_IN_A_SHARE = 10
AT_ONCE = 50
TRIES = 3
LOOK_EVERY = 2.0


def by_pool(
    jobs: Sequence[Job], config: str | None, workers: int, on_outcomes: Callable[[list[Outcome]], None]
) -> list[Outcome]:
    """All ``jobs``, done by whoever takes them; those of a share that was lost ``TRIES`` times are missing."""
    size = max(1, min(MOST_IN_A_SHARE, -(-len(jobs) // 4)))
    waiting = [Share(jobs[at : at + size]) for at in range(0, len(jobs), size)]
    running: list[Share] = []
    outcomes: list[Outcome] = []
    with get_client(sync_client=True) as client:
        try:
            while waiting or running:
                while waiting and len(running) < AT_ONCE:
                    running.append(_begin(waiting.pop(0), config, workers))
                time.sleep(LOOK_EVERY)
                found = look_at(client, running)
                for share in list(running):
                    done = judge(client, share, found.get(share.run))
                    if done is not None:
                        running.remove(share)
                        if done or share.tries >= TRIES:
                            outcomes += done or [_lost(job) for job in share.jobs]
                            on_outcomes(outcomes)
                        else:
                            waiting.insert(0, share)
        except BaseException:
            for share in running:
                if share.run is not None:
                    client.set_flow_run_state(share.run, Cancelling())
            raise
    return outcomes


def _begin(share: Share, config: str | None, workers: int) -> Share:
    given = {"jobs": packed(share.jobs), "number": len(share.jobs), "workers": workers, "config": config}
    begun = run_deployment(DEPLOYMENT, parameters=given, timeout=0)
    assert isinstance(begun, FlowRun)  # what it is where it is called from a flow that is not async
    share.tries, share.run, share.seen, share.heard = share.tries + 1, begun.id, None, time.monotonic()
    return share


def _lost(job: Job) -> Outcome:
    why = f"{TRIES} workers were lost over it"
    return Outcome(job.series, job.label, job.windows, missing=tuple(Missing(window, why) for window in job.windows))
