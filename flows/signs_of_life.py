"""The shares of a pool, seen from their parent: which go on, what came of the others, which lost their machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun
from prefect.states import Crashed

from flows.share import outcomes_from
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job

LOST_AFTER = 60.0
"""Seconds of silence after which a share's machine counts as gone; it says that it lives every five."""


@dataclass
class Share:
    """Some jobs, the run that does them, what was last seen of it, and when that last changed."""

    jobs: Sequence[Job]
    tries: int = 0
    run: UUID | None = None
    seen: Any = None
    heard: float = field(default_factory=time.monotonic)


def look_at(client: SyncPrefectClient, running: Sequence[Share]) -> dict[UUID | None, tuple[FlowRun, Any]]:
    """Every run, and what changes while it lives: its state, and when its sign of life last changed."""
    ids = [share.run for share in running if share.run is not None]
    chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=ids))
    beats: dict[UUID | None, set[str]] = {}
    for one in client.read_artifacts(artifact_filter=chosen):
        beats.setdefault(one.flow_run_id, set()).add(f"{one.id} {one.updated}")
    runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=ids)))
    return {run.id: (run, (run.state_type, beats.get(run.id, set()))) for run in runs}


def judge(client: SyncPrefectClient, share: Share, found: tuple[FlowRun, Any] | None) -> list[Outcome] | None:
    """None while it goes on; what came of it; nothing where its machine is gone."""
    if found is None or found[0].state is None:
        return []
    run, seen = found
    assert run.state is not None
    if run.state.is_final():
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        for artifact in client.read_artifacts(artifact_filter=chosen):
            if artifact.key == "outcomes":
                return outcomes_from(str(artifact.data))
        return []
    if seen != share.seen or run.state.is_scheduled():  # it waits for a worker, however long
        share.seen, share.heard = seen, time.monotonic()
    elif time.monotonic() - share.heard > LOST_AFTER:
        get_run_logger().warning("%s was not heard of for %.0f s: another worker does it", run.name, LOST_AFTER)
        client.set_flow_run_state(run.id, Crashed(message="Its machine was not heard of any more."), force=True)
        return []
    return None
