"""The flow ``snapshot``: look at what has no history, of every venue that has it or of those named.

python flows/snapshot.py '{"dataset": "open_interest", "venues": ["htx-linear"], "symbols": ["BTC-*"]}'
"""

from __future__ import annotations

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.by_hand import run
from flows.tables import publish_looks
from htxdata import config as settings
from htxdata.errors import HtxdataError, Incomplete, UsageError
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import having, venues_of
from htxdata.ingest.snapshot import snapshot as look_at
from htxdata.venues import venue as venue_named


@task(task_run_name="look at {dataset} of {venue}", cache_policy=NO_CACHE, persist_result=False)
def look(dataset: str, venue: str, symbols: list[str], config: str | None) -> tuple[str, tuple[str, ...]]:
    """One look; gives what was seen, and a sentence for each instrument that gave no answer."""
    logger = get_run_logger()
    with Session(settings.load(config), say=logger.warning) as session:
        found = look_at(session, dataset, venue_named(venue), symbols)
    logger.info("%s", found)
    return str(found), tuple(found.missing)


@flow(name="snapshot", flow_run_name="snapshot {dataset}")
def snapshot(
    dataset: str, venues: list[str] | None = None, symbols: list[str] | None = None, config: str | None = None
) -> dict[str, int]:
    """The same as ``htxdata snapshot``; ends as failed where something gave no answer."""
    looks: list[tuple[str, str, tuple[str, ...]]] = []
    known = settings.load(config)
    chosen = [(venue, tuple(symbols or ["*"])) for venue in venues_of(dataset, venues or (), known.hosts)]
    if symbols and not venues:  # each is looked for wherever it is
        with Session(known, say=get_run_logger().warning) as session:
            chosen = having(session, dataset, [venue for venue, _ in chosen], symbols)
    for venue, names in chosen:
        try:
            looks.append((venue.name, *look(dataset, venue.name, list(names), config)))
        except UsageError:
            raise
        except HtxdataError as error:  # the other venues are looked at all the same
            looks.append((venue.name, "nothing", (f"{venue.name}: {error}",)))
    publish_looks(looks)
    missing = [why for _, _, lost in looks for why in lost]
    if missing:
        raise Incomplete(f"{len(missing)} gave no answer, the first: {missing[0]}")
    return {"venues": len(chosen)}


if __name__ == "__main__":
    run(snapshot)
