"""How each ``[[keep]]`` is kept: filled from the ladder, listened to, looked at; and which series it means."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from htxdata.config import Keep, Settings
from htxdata.errors import ConfigError, UsageError
from htxdata.ingest.named import match_periods
from htxdata.ingest.snapshot import INSTRUMENTS, looked_at
from htxdata.market import ALL_SYMBOLS, Series, is_glob
from htxdata.schema import dataset as dataset_named
from htxdata.store.partition import Store
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Feed


@dataclass(frozen=True)
class Ways:
    """``filled``: REST or an archive has its past. ``feeds``: what says it live. ``looked``: it has to be looked at."""

    filled: bool
    feeds: tuple[Feed, ...]
    looked: bool

    def __bool__(self) -> bool:
        return bool(self.filled or self.feeds or self.looked)


def ways_of(keep: Keep) -> Ways:
    """Raises ``UsageError`` for a venue that there is not."""
    venue = venue_named(keep.venue)
    filled = keep.dataset in venue.datasets()
    looked = keep.dataset == INSTRUMENTS or (keep.dataset in looked_at() and bool(venue.polls_for(keep.dataset)))
    return Ways(filled, tuple(f for f in venue.feeds if f.dataset == keep.dataset), looked and not filled)


def captured(keep: Keep, settings: Settings) -> tuple[Feed, ...]:
    """The feeds that `serve` listens to for this entry.

    Where the entry does not say: those of what is no candle. Candles are whole over REST for years; trades are so for
    minutes only, and the archive has a day of them a day later.
    """
    ways = ways_of(keep)
    if keep.capture and not ways.feeds:
        raise ConfigError(f"{settings.origin}: [[keep]] capture: {keep.dataset} of {keep.venue} has no feed")
    wanted = dataset_named(keep.dataset).density != "grid" if keep.capture is None else keep.capture
    return ways.feeds if settings.serve.capture and wanted else ()


def only_late(keep: Keep) -> bool:
    """Whether what REST has of it is less than an hour, so that without a capture it waits for the archive."""
    venue = venue_named(keep.venue)
    endpoints = venue.endpoints_for(keep.dataset, keep.periods[0] if keep.periods else None)
    return ways_of(keep).filled and all(endpoint.walk == "tail" for endpoint in endpoints)


def series_of(keep: Keep, store: Store, listed: Mapping[str, object]) -> Iterator[Series]:
    """The series that an entry means, by what the lake knows; asks nobody.

    ``listed`` are the symbols of the venue's instruments in the lake. A name that is not among them stands for itself,
    so that what was never fetched is seen to be missing; a glob means those that have such data.
    """
    venue, declared = venue_named(keep.venue), dataset_named(keep.dataset)
    stored = {series.symbol for series in store.series(keep.dataset, keep.venue)}
    folded = {venue.fold(name): name for name in sorted({*listed, *stored})}
    if venue.undivided(keep.dataset):
        folded = {ALL_SYMBOLS: ALL_SYMBOLS}
    symbols: dict[str, None] = {}
    for text in keep.symbols:
        pattern = venue.fold(text)
        if is_glob(text):
            found = [name for fold, name in folded.items() if fnmatch.fnmatchcase(fold, pattern)]
            symbols.update(dict.fromkeys(name for name in found if venue.has(keep.dataset, name)))
        else:
            symbols[folded.get(pattern, pattern)] = None
    periods: list[str | None] = [None]
    if declared.has_period:
        try:
            periods = match_periods(venue, keep.dataset, keep.periods)
        except UsageError as error:
            raise ConfigError(f"[[keep]] {keep.dataset} {keep.venue}: {error}") from None
    for symbol in symbols:
        for period in periods:
            yield Series(keep.dataset, keep.venue, symbol, period)
