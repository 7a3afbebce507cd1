"""What has no history is looked at from time to time: which datasets these are, and one door to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from htxdata.config import HOSTS
from htxdata.errors import UsageError, VenueError
from htxdata.ingest.named import match_having
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot_instruments import Snapshot, snapshot_instruments
from htxdata.ingest.snapshot_own import BALANCES, snapshot_balances
from htxdata.ingest.snapshot_polls import Polled, snapshot_polled
from htxdata.venues import VENUES
from htxdata.venues.terms import Venue

INSTRUMENTS = "instruments"


def looked_at() -> list[str]:
    """The datasets that can be looked at."""
    polled = dict.fromkeys(poll.dataset for venue in VENUES for poll in venue.polls)
    return [INSTRUMENTS, *polled, BALANCES]


def venues_of(dataset: str, names: Sequence[str] = (), hosts: Mapping[str, str | None] = HOSTS) -> list[Venue]:
    """The venues to look at for ``dataset``: those named, or all that have it and an address in ``hosts``.

    ``UsageError`` where one has it not.
    """
    from htxdata.venues import venue as venue_named

    if dataset not in looked_at():
        raise UsageError(f"snapshot {dataset!r}: choose from {', '.join(looked_at())}")
    have = [
        venue
        for venue in VENUES
        if dataset == INSTRUMENTS or venue.polls_for(dataset) or (dataset == BALANCES and venue.accounts)
    ]
    for name in names:
        if venue_named(name) not in have:
            where = ", ".join(venue.name for venue in have)
            raise UsageError(f"--venue {name!r}: {dataset} cannot be polled there: it can on {where}")
    return [venue_named(name) for name in dict.fromkeys(names)] or [v for v in have if hosts.get(v.host)]


def having(
    session: Session, dataset: str, venues: Sequence[Venue], symbols: Sequence[str]
) -> list[tuple[Venue, tuple[str, ...]]]:
    """Each venue with those of ``symbols`` of which it has ``dataset``; a venue that gives no list has them all, and
    one without any is left out. ``UsageError`` for a symbol of which none has it."""
    out: dict[str, tuple[Venue, list[str]]] = {}
    for text in symbols:
        refusal: UsageError | None = None
        found = False
        for venue in venues:
            try:
                listed = session.listings(venue)
                if listed is not None and text != "*":
                    match_having(venue, dataset, (text,), listed)
            except UsageError as error:
                refusal = refusal or error
                continue
            except VenueError:
                pass  # it is said when it is looked at
            found = True
            out.setdefault(venue.name, (venue, []))[1].append(text)
        if not found and refusal is not None:
            raise refusal
    return [(venue, tuple(names)) for venue, names in out.values()]


def snapshot(
    session: Session, dataset: str, venue: Venue, symbols: Sequence[str] = ("*",)
) -> Snapshot | Polled:
    """Look at ``dataset`` of one venue and store what is seen. ``missing`` of the answer says what could not be had."""
    if dataset == INSTRUMENTS:
        return snapshot_instruments(session, venue, symbols)
    if dataset == BALANCES:
        return snapshot_balances(session, venue)
    return snapshot_polled(session, dataset, venue, symbols)


def describe(found: Snapshot | Polled) -> str:
    """One line for a person."""
    return str(found)


__all__ = [
    "Polled", "Snapshot", "describe", "having", "looked_at", "snapshot", "snapshot_instruments", "snapshot_polled",
    "venues_of",
]  # fmt: skip
