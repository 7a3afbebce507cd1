"""The tables of runs that fill nothing: the steps of a night, looks at what has no history, how old everything is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.artifacts import publish_table
from htxdata.ingest.fresh import Standing, short
from htxdata.timeline import iso


@dataclass(frozen=True)
class Step:
    """One step of a run: what it did, how many rows it added, what is open and why (or nothing)."""

    name: str
    says: str
    added: int
    missing: str
    seconds: float


def publish_steps(steps: Sequence[Step]) -> None:
    """The table ``steps``."""
    rows = [
        {"step": one.name, "did": one.says, "rows added": one.added, "missing, and why": one.missing,
         "seconds": round(one.seconds)}
        for one in steps
    ]  # fmt: skip
    publish_table("steps", rows, "What this run did, what is missing and why")


def publish_looks(looks: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """The table ``looks``: of every venue what was seen, and what gave no answer."""
    rows = [{"venue": venue, "seen": seen, "missing, and why": "; ".join(missing)} for venue, seen, missing in looks]
    publish_table("looks", rows, "What was seen, what gave no answer and why")


def publish_standing(found: Sequence[Standing]) -> None:
    """The table ``freshness``, what is late first."""
    rows = [
        {"series": str(s.series), "known until": "" if s.known is None else iso(s.known), "behind": short(s.late_by),
         "allowed": short(s.allowed), "is": "late" if s.late else "fresh", "holes": s.holes}
        for s in sorted(found, key=lambda s: not s.late)
    ]  # fmt: skip
    publish_table("freshness", rows, "How old every series is that is kept")
