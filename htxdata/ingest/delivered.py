"""Contracts that end on a day: which of them are meant, until when, and what is no longer to be had of them.

A venue forgets a contract some weeks after its delivery (``Deliveries.kept``); the lake does not, so that whatever is
kept up to date by a glob is still asked for to its end, and what then lacks is said to be lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from htxdata.errors import UsageError
from htxdata.ingest.named import unknown_symbol
from htxdata.market import Listing
from htxdata.timeline import DAY, Window, iso, subtract
from htxdata.venues.terms import Venue


@dataclass(frozen=True)
class Known:
    """What is known of a venue's instruments: of the venue (``listed``, None where it gives no list), and in all."""

    listed: frozenset[str] | None
    every: Mapping[str, Listing]

    @property
    def names(self) -> list[str] | None:
        return list(self.every) or None

    def gone(self, venue: Venue, symbol: str, now: int) -> str:
        """Why a contract cannot be asked for over REST any more; empty where it can."""
        ends, one = venue.deliveries, self.every.get(symbol)
        if ends is None or one is None or one.delivery_at is None or now < one.delivery_at + ends.kept:
            return ""
        if self.listed is None or symbol in self.listed:  # where there is no list, perhaps it is on it
            return ""
        days = ends.kept // DAY
        return f"delivered {iso(one.delivery_at)}: the venue serves a contract for about {days} days after that"


def known_of(
    venue: Venue, listed: Mapping[str, Listing] | None, stored: Iterable[str], typed: Sequence[str], now: int
) -> Known:
    """``listed`` by the venue; ``stored`` are symbols that the lake has something of, ``typed`` those that somebody
    wants: a contract that was delivered before ``now`` may be unknown to any list."""
    every = dict(listed or {})
    ends = venue.deliveries
    for name in (*stored, *map(venue.fold, typed)) if ends is not None else ():
        one = ends.by_name(name) if ends is not None else None
        if one is None:
            continue
        before = every.get(name)
        if before is None and (name in stored or (one.delivery_at or now) < now):
            every[name] = one
        elif before is not None and before.delivery_at is None:
            every[name] = replace(before, delivery_at=one.delivery_at)
    return Known(None if listed is None else frozenset(listed), every)


def by_alias(
    venue: Venue, text: str, known: Known, window: Window, now: int
) -> tuple[list[tuple[str, Window]], list[Window]] | None:
    """The contracts that an alias meant, and when, and when none was; None for what is no alias.

    ``UsageError`` where it meant nothing at all.
    """
    held = None
    if venue.deliveries is not None:
        held = venue.deliveries.holders(text, known.every, window, now)
    if held is None:
        return None
    if not held and not any(one.delivery_at for one in known.every.values()):
        raise UsageError(
            f"--symbol {text!r}: which contracts {venue.name} has is not known here yet; "
            f"run `htxdata snapshot instruments --venue {venue.name}` first, or name the contracts"
        )
    if not held:
        raise unknown_symbol(venue, text, known.every)
    return list(held), subtract([window], [part for _, part in held])


__all__ = ["Known", "by_alias", "known_of"]
