"""What names, globs and periods mean: series and symbols of a venue, or a ``UsageError`` that names the option."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from htxdata.errors import UnknownSymbol, UsageError
from htxdata.market import ALL_SYMBOLS, PERIODS, Series, check_period, is_glob
from htxdata.schema import dataset as dataset_named
from htxdata.venues import VENUES
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Venue


def match_symbols(venue: Venue, wanted: Sequence[str], listed: Iterable[str] | None) -> list[str]:
    """The venue's symbols that ``wanted`` (names and globs, any case) means, in the venue's order.

    ``listed`` is ``None`` where the venue's list is not known: then a name stands for itself and a glob is an error.
    """
    names = None if listed is None else list(listed)
    folded = {venue.fold(name): name for name in names or ()}
    out: dict[str, None] = {}
    for text in wanted:
        pattern = venue.fold(text)
        if names is None:
            if is_glob(text):
                raise UsageError(
                    f"--symbol {text!r}: which symbols {venue.name} has is not known here yet; "
                    f"run `htxdata snapshot instruments --venue {venue.name}` first, or name the symbols"
                )
            out[pattern] = None
        elif pattern in folded:
            out[folded[pattern]] = None
        elif is_glob(text):
            matches = [name for fold, name in folded.items() if fnmatch.fnmatchcase(fold, pattern)]
            if not matches:
                raise UsageError(
                    f"--symbol {text!r} matches none of the {len(folded)} symbols of {venue.name}"
                )
            out.update(dict.fromkeys(matches))
        else:
            raise unknown_symbol(venue, text, folded.values())
    return list(out)


def unknown_symbol(venue: Venue, text: str, listed: Iterable[str]) -> UnknownSymbol:
    near = difflib.get_close_matches(venue.fold(text), list(listed), n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownSymbol(f"--symbol {text!r}: {venue.name} has no such symbol{hint}")


def resolve(
    dataset: str,
    venue_name: str,
    symbols: Sequence[str],
    periods: Sequence[str],
    listed: Iterable[str] | None,
) -> list[Series]:
    """The series that a command's options mean, or a ``UsageError`` naming the option that is wrong."""
    venue = venue_named(venue_name)
    entry = dataset_named(dataset)
    if venue.undivided(dataset) and any(symbol != ALL_SYMBOLS for symbol in symbols):
        named = next(symbol for symbol in symbols if symbol != ALL_SYMBOLS)
        raise UsageError(f"--symbol {named!r}: {dataset} are of no symbol; say --symbol '{ALL_SYMBOLS}'")
    if dataset not in venue.datasets():
        raise UsageError(f"{dataset} of {venue.name} cannot be backfilled: {_elsewhere(dataset, venue)}")
    if entry.has_period:
        chosen = match_periods(venue, dataset, periods)
    elif periods:
        raise UsageError(f"--period {periods[0]!r}: {dataset} has no periods; leave --period out")
    else:
        chosen = [None]
    if venue.undivided(dataset):
        return [Series(dataset, venue.name, ALL_SYMBOLS)] if symbols else []
    return [
        Series(dataset, venue.name, symbol, period)
        for symbol in having(venue, dataset, match_symbols(venue, symbols, listed))
        for period in chosen
    ]


def _elsewhere(dataset: str, venue: Venue) -> str:
    """How else a dataset comes, or which can be had of the venue."""
    where = [other.name for other in VENUES if dataset in other.datasets()]
    ways = [f"it is on {', '.join(where)}"] if where else []
    feed = next((feed for feed in venue.feeds if feed.dataset == dataset), None)
    if feed is not None:
        ways.append(f"here `htxdata capture --feed {feed.name}` hears it")
    if dataset == "instruments" or venue.polls_for(dataset):
        ways.append(f"`htxdata snapshot {dataset}` looks at it")
    return "; ".join([*ways, f"choose from {', '.join(sorted(venue.datasets()))}"])


def having(venue: Venue, dataset: str, symbols: Sequence[str]) -> list[str]:
    """Of the symbols that are meant those that have such data; ``UsageError`` where none has."""
    out = [symbol for symbol in symbols if venue.has(dataset, symbol)]
    if symbols and not out:
        more = f" and {len(symbols) - 1} more" if len(symbols) > 1 else ""
        raise UsageError(f"--symbol {symbols[0]!r}{more}: {venue.name} has {dataset} of other instruments only")
    return out


def match_having(
    venue: Venue, dataset: str, wanted: Sequence[str], listed: Iterable[str] | None
) -> list[str]:
    """As ``match_symbols``, those alone that have such data; ``UsageError`` for a name or glob of which none has."""
    names = None if listed is None else list(listed)
    found = (having(venue, dataset, match_symbols(venue, (text,), names)) for text in wanted)
    return list(dict.fromkeys(symbol for each in found for symbol in each))


def match_periods(venue: Venue, dataset: str, periods: Sequence[str]) -> list[str | None]:
    served = [p for p in PERIODS if venue.endpoints_for(dataset, p) or venue.archives_for(dataset, p)]
    if not periods:
        raise UsageError(f"--period is missing: {dataset} needs one or more of {', '.join(served)}")
    out: dict[str | None, None] = {}
    for text in periods:
        matches = [p for p in served if fnmatch.fnmatchcase(p, text)]
        if not matches:
            if not is_glob(text):
                check_period(text)
            raise UsageError(f"--period {text!r}: {venue.name} serves {', '.join(served)}")
        out.update(dict.fromkeys(matches))
    return list(out)
