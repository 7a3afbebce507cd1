"""What a lake needs once a night, each as one call that gives what was done and what is open."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from htxdata.config import Settings, local_tape
from htxdata.config import lake as lake_of
from htxdata.ingest.audit import audit
from htxdata.ingest.distil import distil
from htxdata.ingest.revisions import keeper
from htxdata.store.compact import compact_lake
from htxdata.store.partition import Store
from htxdata.timeline import DAY, iso

Say = Callable[[str], None]


@dataclass(frozen=True)
class Done:
    """What a step did, in a sentence; rows that the lake did not have; and what is open, or nothing."""

    says: str
    added: int = 0
    missing: str = ""


def distil_all(settings: Settings, say: Say = lambda text: None) -> Done:
    """Every tape into the tables. Old gaps are no news here: the capture that lost something has said so."""
    done = distil(Store(lake_of(settings)), local_tape(settings), say=say)
    missing = f"{done.quarantined} frames are in quarantine" if done.quarantined else ""
    return Done(f"{done.reels} reels; {len(done.gaps)} gaps open, {len(done.healed)} healed",
                done.rows.total(), missing)  # fmt: skip


def compact_all(settings: Settings) -> Done:
    done = compact_lake(Store(lake_of(settings)), keeper=keeper)
    left = ""
    if done.left:
        left = f"{len(done.left)} partitions are left as they are, the first: {' '.join(map(str, done.left[0]))}"
    says = f"{done.rewritten} of {done.partitions} partitions rewritten, {done.removed} leftovers removed"
    return Done(says, 0, left)


def audit_recent(settings: Settings, days: int) -> Done:
    """The rows of the last ``days`` days; all of them where it is 0."""
    start = None if days <= 0 else time.time_ns() // 1000 // DAY * DAY - days * DAY
    found = audit(Store(lake_of(settings)), start=start)
    says = f"{len(found.findings)} findings in {found.series} series, {found.rows} rows"
    if not found.findings:
        return Done(says)
    first = found.findings[0]
    return Done(says, 0, f"{len(found.findings)} findings, the first: {first.check} {first.series} {iso(first.at)}: "
                f"{first.detail}")  # fmt: skip
