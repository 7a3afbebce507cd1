"""The frozen dataclasses that the venues' tables are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from htxdata.market import Listing, Series
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Fault, LimitHeaders, Reply, Request

WalkKind = Literal["time", "cursor", "page", "latest"]


@dataclass(frozen=True)
class Parsed:
    """One reply as columns named as in the schema, and what the walk needs to know of it.

    Instants are integers (microseconds UTC). ``unfit``, where given, counts for every row the values that a DOUBLE
    does not carry digit for digit.
    """

    columns: Mapping[str, Any]
    page: Page
    unfit: Any = None


@dataclass(frozen=True)
class Endpoint:
    """One way to ask a venue for one dataset over REST.

    ``rows`` is the most that one request may ask for. ``periods`` maps our periods to the venue's spelling; a period
    that is not in it cannot be asked for here. ``horizon`` is how far back (microseconds) the venue serves it.
    ``docs`` says where the facts come from, with the confidence mark of the reference.
    """

    dataset: str
    path: str
    walk: WalkKind
    rows: int
    build: Callable[[Series, Ask], Request]
    parse: Callable[[Reply, Series], Parsed]
    docs: str
    periods: Mapping[str, str] | None = None
    horizon: int | None = None

    def serves(self, period: str | None) -> bool:
        return self.periods is None or period in self.periods


@dataclass(frozen=True)
class Venue:
    """One venue: what can be asked of it, and how it says that something is wrong.

    ``endpoints`` of one dataset stand in order of preference: the next is asked where one is absent or refuses.
    ``listings`` each list every instrument, in order of preference; ``describe`` makes rows of the answer.
    """

    name: str
    host: str
    """The key of ``[hosts]`` and ``[budgets]``."""

    judge: Callable[[Reply], Fault | None]
    limit_headers: LimitHeaders | None
    endpoints: tuple[Endpoint, ...]
    listings: tuple[Request, ...]
    describe: Callable[[Reply], Parsed]
    """All columns of ``instruments`` and, beside them, ``symbol``."""

    day_opens: int = 0
    """When the venue's day opens, in microseconds after UTC midnight."""

    archive_host: str | None = None
    fold: Callable[[str], str] = field(default=lambda symbol: symbol)
    """The venue's spelling of a symbol that a person typed (upper or lower case)."""

    def endpoints_for(self, dataset: str, period: str | None) -> tuple[Endpoint, ...]:
        return tuple(e for e in self.endpoints if e.dataset == dataset and e.serves(period))

    def datasets(self) -> list[str]:
        """What can be backfilled here."""
        return list(dict.fromkeys(endpoint.dataset for endpoint in self.endpoints))

    def listing_of(self, parsed: Parsed) -> dict[str, Listing]:
        columns = parsed.columns
        return {
            symbol: Listing(symbol, listed, None, delivery)
            for symbol, listed, delivery in zip(
                columns["symbol"], columns["listed_at"], columns["delivery_at"], strict=True
            )
        }
