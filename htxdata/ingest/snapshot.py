"""What has no history is looked at from time to time: which datasets these are, and one door to all of them."""

from __future__ import annotations

from collections.abc import Sequence

from htxdata.errors import UsageError
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot_instruments import Snapshot, snapshot_instruments
from htxdata.ingest.snapshot_polls import Polled, snapshot_polled
from htxdata.venues import VENUES
from htxdata.venues.terms import Venue

INSTRUMENTS = "instruments"


def looked_at() -> list[str]:
    """The datasets that can be looked at."""
    return [INSTRUMENTS, *dict.fromkeys(poll.dataset for venue in VENUES for poll in venue.polls)]


def venues_of(dataset: str, names: Sequence[str] = ()) -> list[Venue]:
    """The venues to look at for ``dataset``: those named, or all that have it. ``UsageError`` where one has it not."""
    from htxdata.venues import venue as venue_named

    if dataset not in looked_at():
        raise UsageError(f"snapshot {dataset!r}: choose from {', '.join(looked_at())}")
    have = [venue for venue in VENUES if dataset == INSTRUMENTS or venue.polls_for(dataset)]
    for name in names:
        if venue_named(name) not in have:
            where = ", ".join(venue.name for venue in have)
            raise UsageError(f"--venue {name!r}: {dataset} cannot be polled there: it can on {where}")
    return [venue_named(name) for name in dict.fromkeys(names)] or have


def snapshot(
    session: Session, dataset: str, venue: Venue, symbols: Sequence[str] = ("*",)
) -> Snapshot | Polled:
    """Look at ``dataset`` of one venue and store what is seen. ``missing`` of the answer says what could not be had."""
    if dataset == INSTRUMENTS:
        return snapshot_instruments(session, venue, symbols)
    return snapshot_polled(session, dataset, venue, symbols)


def describe(found: Snapshot | Polled) -> str:
    """One line for a person."""
    return str(found)


__all__ = [
    "Polled", "Snapshot", "describe", "looked_at", "snapshot", "snapshot_instruments", "snapshot_polled", "venues_of",
]  # fmt: skip
