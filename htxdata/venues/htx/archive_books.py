"""The archive's order books, as tables: what their files are called, and in what units their sizes are. Pure.

::

    historical_data/{spot|futures}/daily/orderbook/{lv400|lv150}/{SYM}/{SYM}-l2orderbook-{400|150}lv-{day}.tar.gz

Only the new tree has them, 400 levels on spot and 150 on contracts (htx-api 9.3, 9.5 [B]). Their lines are read by
``archive_book_lines``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.venues.htx.archive_book_lines import Sizes, changes
from htxdata.venues.htx.archive_names import Market, new_name
from htxdata.venues.terms import Archive, Facts

BOOKS_FROM = "2026-05-28"
"""The first day that has order books (htx-api 9.3 [B])."""

# ------------------------------------------------------------------------------------------------ names

_DEPTHS: Mapping[Market, int] = {"spot": 400, "linear": 150, "inverse": 150, "futures": 150}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ENDING = ".tar.gz"


@dataclass(frozen=True)
class Shelf:
    """The names of a market's books. ``day`` is a UTC+8 day (htx-api 9.4 [B])."""

    market: Market

    def folder(self, series: Series) -> str:
        """The prefix under which the files of a series are listed; ends with a slash."""
        kind = "spot" if self.market == "spot" else "futures"
        return f"historical_data/{kind}/daily/orderbook/lv{_DEPTHS[self.market]}/{self._name(series)}/"

    def key(self, series: Series, day: str) -> str:
        return f"{self._start(series)}{day}{_ENDING}"

    def day_of(self, series: Series, key: str) -> str | None:
        """The day that a key under the folder is the file of; None for checksums, remarks and anything else."""
        start = self._start(series)
        if not (key.startswith(start) and key.endswith(_ENDING)):
            return None
        day = key[len(start) : -len(_ENDING)]
        try:
            return day if _DAY.fullmatch(day) and dt.date.fromisoformat(day) else None
        except ValueError:
            return None  # 2026-02-30

    def _name(self, series: Series) -> str:
        return new_name(self.market, series.symbol)

    def _start(self, series: Series) -> str:
        return f"{self.folder(series)}{self._name(series)}-l2orderbook-{_DEPTHS[self.market]}lv-"


# ------------------------------------------------------------------------------------------------ sizes


def spot_sizes(price: Any, size: Any, facts: Facts) -> dict[str, Any]:
    return {"size": size}


def linear_sizes(price: Any, size: Any, facts: Facts) -> dict[str, Any]:
    """Contracts of so many coins each."""
    return {"size": _times(size, _known(facts)), "contracts": size}


def inverse_sizes(price: Any, size: Any, facts: Facts) -> dict[str, Any]:
    """Contracts of so many dollars each."""
    return {"size": _times(size, _known(facts)) / price, "contracts": size}


def _known(facts: Facts) -> float:
    if facts.contract_size is None:
        raise BadReply("the book is in contracts, and the size of a contract is not known")
    return facts.contract_size


def _times(values: Any, factor: float) -> Any:
    """Whole numbers times a decimal, rounded once: 3 × 0.1 is 0.3."""
    above, below = Decimal(repr(factor)).as_integer_ratio()
    if below > 10**22 or values.max(initial=0) * above >= 2**53:
        return values * factor
    return values * above / below


# ------------------------------------------------------------------------------------------------ tables


def _entry(market: Market, sizes: Sizes) -> tuple[Archive, ...]:
    shelf = Shelf(market)

    def own(series: Series) -> tuple[str, ...]:
        return (new_name(market, series.symbol),)

    return (
        Archive(
            "book_changes",
            tree="historical_data",
            key=shelf.key,
            folder=shelf.folder,
            day_of=shelf.day_of,
            read=changes(own, sizes),
            first=BOOKS_FROM,
            everyday=False,  # nobody said that there is one every day
            packed="tar.gz",
            sized=market == "linear",
            docs="htx-api 9.3, 9.5 [B]; spelling of numbers, unit of contracts' sizes [C]",
        ),
    )


BOOK_ARCHIVES: Mapping[Market, tuple[Archive, ...]] = {
    # The folder `futures` holds all contracts (htx-api 9.5 [B]).
    "spot": _entry("spot", spot_sizes),
    "linear": _entry("linear", linear_sizes),
    "inverse": _entry("inverse", inverse_sizes),
    "futures": _entry("futures", inverse_sizes),
}
