"""The flow ``freshness``: is every ``[[keep]]`` as new as it may be? Calls the hooks of ``[alerts]`` on a change.

python flows/freshness.py '{"config": "htxdata.toml"}'
"""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.by_hand import run
from flows.tables import publish_standing
from htxdata import config as settings
from htxdata.errors import Incomplete
from htxdata.ingest import alert, fresh
from htxdata.ingest.fresh import Standing


@task(task_run_name="how old is it", cache_policy=NO_CACHE, persist_result=False)
def look(config: str | None) -> list[Standing]:
    """Reads the lake; asks nobody."""
    return fresh.standings(settings.load(config))


@task(task_run_name="tell", cache_policy=NO_CACHE, persist_result=False)
def tell(found: list[Standing], config: str | None) -> list[str]:
    """Calls the hooks, once for every change; gives why one could not be called."""
    return alert.tell(found, settings.load(config))


@flow(name="freshness", flow_run_name="freshness")
def freshness(config: str | None = None) -> dict[str, int]:
    """The same as ``htxdata coverage --fresh``; ends as failed where a series is late, or a hook did not work."""
    found = look(config)
    publish_standing(found)
    failed = tell(found, config)
    for why in failed:
        get_run_logger().error("not told: %s; the next check tries again", why)
    late = fresh.late(found)
    if late:
        raise Incomplete(f"{len(late)} of {len(found)} series are late, the first: {fresh.sentence(late[0])}")
    if failed:
        raise Incomplete(f"nobody was told: {failed[0]}")
    return {"series": len(found)}


if __name__ == "__main__":
    run(freshness)
