"""What each exchange says: tables and pure parsers. Venues are strangers to each other.

A venue is one folder that fills a `Venue` of ``terms.py``; ``VENUES`` is the tuple you can read. No socket, no clock.
"""

from __future__ import annotations

from htxdata.errors import UsageError
from htxdata.venues import hashkey, htx, permanent
from htxdata.venues.terms import Endpoint, Parsed, Venue

VENUES: tuple[Venue, ...] = (*htx.VENUES, *hashkey.VENUES, *permanent.VENUES)

_BY_NAME = {venue.name: venue for venue in VENUES}


def venue(name: str) -> Venue:
    """The venue of that name, or a ``UsageError`` that lists them."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UsageError(f"--venue {name!r} is not a venue: choose from {', '.join(_BY_NAME)}") from None


__all__ = ["VENUES", "Endpoint", "Parsed", "Venue", "venue"]
