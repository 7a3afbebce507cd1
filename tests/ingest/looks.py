"""What the tests of snapshots share: a clock that is set by hand, and one look in a session of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import Polled, snapshot
from htxdata.sandbox import Sandbox
from htxdata.timeline import SECOND
from htxdata.venues import venue
from htxdata.venues.terms import Venue
from tests.truth import settings_for

LINEAR = venue("htx-linear")


class Clock:
    """The sandbox's clock, set by hand; microseconds UTC."""

    def __init__(self, at: int) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at / SECOND


Look = Callable[..., Polled]


def look_at(
    sandbox: Sandbox, folder: Path, dataset: str, *symbols: str, where: Venue = LINEAR, say: Any = print
) -> Polled:
    """One look at what has no history, with a session of its own, as a process would have."""
    with Session(settings_for(sandbox, folder), say=say) as session:
        found = snapshot(session, dataset, where, symbols or ("*",))
        assert isinstance(found, Polled)
        return found
