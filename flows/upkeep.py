"""The flow ``upkeep``, once a night: distil, look at the archive's recent days again, compact, audit, report.

python flows/upkeep.py '{"config": "htxdata.toml"}'

A step that fails keeps no other from its work; the run then ends as failed and says which, and why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.by_hand import run
from flows.fan_out import fill_all
from flows.tables import Step, publish_steps
from htxdata import config as settings
from htxdata.errors import HtxdataError, Incomplete
from htxdata.ingest.asked import keep_requests
from htxdata.ingest.upkeep import Done, audit_recent, compact_all, distil_all
from htxdata.research.report import page
from htxdata.research.report.standing import Chosen
from htxdata.store.whole import replace_text

AUDITED_DAYS = 35
"""What can have changed since the last audit: days that the archive still replaces, and some. 0 audits everything."""


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def step(name: str, work: Callable[[], Done]) -> Done:
    return work()


def filled(config: str | None) -> Done:
    """Every [[keep]] up to now; days whose files the archive may have replaced are looked at again (law 6)."""
    requests = keep_requests(settings.load(config))
    if not requests:
        return Done("no [[keep]] has a past to be filled")
    done = fill_all(requests, config)
    return Done(f"{done['added']} rows added, {done['replaced']} replaced, {done['requests']} requests", done["added"])


def reported(lake: Path | str, to: Path) -> Done:
    """One page of it all (``htxdata report``)."""
    what = page.content(lake, Chosen(), page.clock())
    to.parent.mkdir(parents=True, exist_ok=True)
    replace_text(to, page.render(what))
    return Done(str(to), 0, "; ".join(what["broken"]))


@flow(name="upkeep", flow_run_name="upkeep")
def upkeep(
    config: str | None = None, audit_days: int = AUDITED_DAYS, report: str | None = None
) -> dict[str, int]:
    """``report`` is the page to write: ``report.html`` in the folder of `serve`'s state where it is left out."""
    found = settings.load(config)
    say = get_run_logger().warning
    to = Path(report) if report else Path(found.serve.state) / "report.html"
    steps: list[Step] = []
    works: dict[str, Callable[[], Done]] = {
        "distil": lambda: distil_all(found, say),
        "sync and recheck": lambda: filled(config),
        "compact": lambda: compact_all(found),
        "audit": lambda: audit_recent(found, audit_days),
        "report": lambda: reported(settings.lake(found), to),
    }
    for name, work in works.items():
        began = time.monotonic()
        try:
            # What fills has tasks of its own, one per partition; a task cannot have tasks that others bound.
            done = work() if name.startswith("sync") else step(name, work)
            steps.append(Step(name, done.says, done.added, done.missing, time.monotonic() - began))
        except (HtxdataError, OSError) as error:
            steps.append(Step(name, "failed", 0, str(error), time.monotonic() - began))
    publish_steps(steps)
    failed = [one for one in steps if one.missing]
    if failed:
        first = f"{failed[0].name}: {failed[0].missing}"
        raise Incomplete(f"{len(failed)} of {len(steps)} steps have something open, the first: {first}")
    return {"added": sum(one.added for one in steps)}


if __name__ == "__main__":
    run(upkeep)
