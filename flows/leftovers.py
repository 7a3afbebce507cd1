"""Runs of a `serve` that was killed: nobody else would ever say that they have ended.

python -m flows.leftovers '{"tag": "serve-…", "alive": ["20240105T…"]}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

OPEN = [StateType.RUNNING, StateType.PENDING, StateType.SCHEDULED, StateType.CANCELLING]


def close(tag: str, alive: Sequence[str]) -> int:
    """Say of the open runs with ``tag`` that they crashed, but not of those with a tag among ``alive``; how many."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]), state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN))
    )
    closed = 0
    with get_client(sync_client=True) as client:
        for found in client.read_flow_runs(flow_run_filter=wanted):
            if not set(found.tags) & set(alive):
                message = "Its process was killed; the next run goes on from what it committed."
                client.set_flow_run_state(found.id, Crashed(message=message), force=True)
                closed += 1
    return closed


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps({"closed": close(given["tag"], given.get("alive", []))}))
