"""What a message says of the venue's clock, and whom a taped request was about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from htxdata.market import Series
from htxdata.protocol.dialect import Acked, Heard, Ping, Pong, Push
from htxdata.protocol.paging import Ask
from htxdata.timeline import MILLISECOND, Window
from htxdata.venues.terms import Endpoint, Feed, Venue

_STAMP = re.compile(r"(?<!\d)\d{13}(?!\d)")


def asked_for(
    venue: Venue, feed: Feed, endpoint: Endpoint, params: Sequence[tuple[str, str]]
) -> tuple[str, str | None] | None:
    """The symbol of a request: that of which the same request would be made."""
    said = dict(params)
    for value in said.values():
        key = feed.symbol_of(feed.topic(value, None))
        if key is not None:
            series = Series(feed.dataset, venue.name, *key)
            built = endpoint.build(series, Ask(Window(0, 1), endpoint.rows)).params
            if all(said.get(name) == value for name, told in built if told == value):
                return key
    return None


def moment_of(heard: Heard) -> int:
    """When the venue said so, by its clock; 0 where it does not say. A ping is its time, and wants it back."""
    if isinstance(heard, Push | Acked | Pong):
        return heard.at
    if isinstance(heard, Ping):
        found = _STAMP.search(heard.answer)
        return int(found[0]) * MILLISECOND if found else 0
    return 0
