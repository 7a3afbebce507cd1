"""What a run shows on its page: how far it is, what every series holds now, and what is missing and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from htxdata.ingest.capture import Captured
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.run import Report
from htxdata.ingest.session import Session
from htxdata.timeline import iso

PUBLISH_EVERY = 2.0
"""Seconds between two updates of the progress; each is a call to the API."""

MOST_ROWS = 500
"""Rows of a table; a page with more of them is slow, and `htxdata coverage` has them all."""


class Progress:
    """The progress artifact and a log line, no oftener than every ``PUBLISH_EVERY`` seconds."""

    def __init__(self, total: int) -> None:
        self._total, self._said = total, time.monotonic()
        self._id: UUID | None = None
        if total:
            self._id = cast(UUID, create_progress_artifact(0.0, "partitions", f"{total} partitions"))

    def step(self, outcomes: Sequence[Outcome]) -> None:
        done = len(outcomes)
        if self._id is None or (done < self._total and time.monotonic() - self._said < PUBLISH_EVERY):
            return
        self._said = time.monotonic()
        rows = sum(outcome.added for outcome in outcomes)
        get_run_logger().info("%d of %d partitions, %d rows", done, self._total, rows)
        update_progress_artifact(self._id, progress=100 * done / self._total)


def publish(report: Report, session: Session) -> None:
    """The tables ``added``, ``coverage`` and, where spans are missing, ``missing``."""
    sums: dict[str, list[int]] = {}
    for outcome in report.outcomes:
        counts = sums.setdefault(str(outcome.series), [0, 0, 0])
        for at, name in enumerate(("added", "replaced", "requests")):
            counts[at] += getattr(outcome, name)
    publish_table("added", [dict(zip(("series", "rows added", "replaced", "requests"), (name, *counts), strict=True))
                     for name, counts in sorted(sums.items())], "What this run added")  # fmt: skip
    rows = [
        {"series": str(plan.series), "from": iso(span.start), "to": iso(span.end), "verdict": span.verdict,
         "rows": span.rows}
        for plan in report.plans
        for span in session.store.coverage(plan.series)
    ]  # fmt: skip
    publish_table("coverage", rows, "What every series of this run holds now")
    lost = [{"series": str(s), "span": str(m.window), "why": m.why} for s, m in report.missing]
    if lost:
        publish_table("missing", lost, "What is missing, and why")


def publish_capture(done: Captured) -> None:
    """The tables ``capture`` and, where something was not heard, ``gaps``."""
    row = {
        "frames": done.frames, "bytes": done.size, "seconds": round(done.seconds), "reconnects": done.reconnects,
        "rows added": done.rows, "gaps": len(done.gaps), "healed": done.healed, "in quarantine": done.quarantined,
    }  # fmt: skip
    publish_table("capture", [row], "What was heard")
    lost = [
        {"series": str(gap.series), "feed": gap.feed, "span": str(gap.window), "cause": gap.cause}
        for gap in done.gaps
    ]
    lost += [{"series": topic, "feed": "", "span": "", "cause": why} for topic, why in done.refused.items()]
    if lost:
        publish_table("gaps", lost, "What was not heard, and why")


def publish_table(key: str, rows: list[dict[str, Any]], description: str) -> None:
    if len(rows) > MOST_ROWS:
        description += f" (the first {MOST_ROWS} of {len(rows)} rows)"
    create_table_artifact(rows[:MOST_ROWS], key=key, description=description)
