"""What a capture is to hear: from names, globs, aliases and depths to the topics of each connection."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from htxdata.errors import Unreachable, UsageError
from htxdata.ingest.capture_connection import Topics
from htxdata.ingest.delivered import by_alias, known_of
from htxdata.ingest.named import having, match_symbols
from htxdata.ingest.session import Session
from htxdata.market import ALL_SYMBOLS, Listing, check_period, is_glob
from htxdata.timeline import Window
from htxdata.venues import VENUES
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import NO_FACTS, Facts, Feed, Venue, other_name


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to hear. ``feeds``, ``symbols`` and ``periods`` are names or globs."""

    venue: str
    feeds: tuple[str, ...]
    symbols: tuple[str, ...]
    periods: tuple[str, ...] = ()
    levels: int | None = None
    """Of books, on each side; None: what the venue's feed has by itself."""


class Chosen(NamedTuple):
    """A venue, what each connection hears of it, and the contract sizes of its symbols."""

    venue: Venue
    topics: list[Topics]
    sizes: dict[str, float]


def feeds_of(venue: Venue, names: Sequence[str]) -> list[Feed]:
    """The feeds that are meant, or ``UsageError``."""
    have = {feed.name: feed for feed in venue.feeds}
    if not have:
        where = ", ".join(v.name for v in VENUES if v.feeds)
        raise UsageError(f"--venue {venue.name!r}: it cannot be captured yet: choose from {where}")
    out: dict[str, Feed] = {}
    for name in names:
        found = [feed for known, feed in have.items() if fnmatch.fnmatchcase(known, name)]
        if not found:
            raise UsageError(f"--feed {name!r}: {venue.name} has {', '.join(have)}")
        # A glob means what everybody may hear, unless it means nothing else: nobody needs a key for `--feed '*'`.
        public = [feed for feed in found if not feed.private]
        found = public or found
        out.update({feed.name: feed for feed in found})
    return list(out.values())


def periods_of(feed: Feed, names: Sequence[str]) -> list[str | None]:
    """The periods of a feed that are meant; a minute where none is named."""
    if feed.periods is None:
        return [None]
    out: dict[str | None, None] = {}
    for name in names or ("1min",):
        found = [period for period in feed.periods if fnmatch.fnmatchcase(period, name)]
        if not found:
            if not is_glob(name):
                check_period(name)
            raise UsageError(f"--period {name!r}: the feed {feed.name} has {', '.join(feed.periods)}")
        out.update(dict.fromkeys(found))
    return list(out)


def forms_of(feeds: Sequence[Feed], levels: int | None) -> list[Feed]:
    """The feeds in the form that has so many levels, those without any as they are."""
    if levels is None:
        return list(feeds)
    if all(feed.levels is None for feed in feeds):
        raise UsageError(f"--levels {levels}: {feeds[0].name} has no levels; leave --levels out")
    out = []
    for feed in feeds:
        have = {form.levels: form for form in (feed, *feed.forms)}
        if feed.levels is not None and levels not in have:
            known = ", ".join(map(str, sorted(filter(None, have))))
            raise UsageError(f"--levels {levels}: the feed {feed.name} has {known}")
        out.append(have.get(levels, feed))
    return out


def topics_of(wanted: Wanted, session: Session) -> Chosen:
    """The connections that it takes. Asks the venue for its list."""
    venue = venue_named(wanted.venue)
    feeds = forms_of(feeds_of(venue, wanted.feeds), wanted.levels)
    chosen = [(feed, periods_of(feed, wanted.periods)) for feed in feeds]
    if wanted.periods and all(feed.periods is None for feed in feeds):
        raise UsageError(
            f"--period {wanted.periods[0]!r}: {feeds[0].name} has no periods; leave --period out"
        )
    if all(feed.every == "must" or (feed.every and ALL_SYMBOLS in wanted.symbols) for feed in feeds):
        # Nobody has to be asked, unless it is for what contracts are worth.
        worth = listed_now(session, venue)[1] if any(feed.sized for feed in feeds) else {}
        return Chosen(venue, split(venue, chosen, (), {}, wanted.symbols), worth)
    listed, sizes = listed_now(session, venue)
    symbols = symbols_now(venue, wanted.symbols, listed, clock())
    chosen = fitting(venue, wanted, chosen, symbols)
    known = facts_for(session, venue, [feed for feed, _ in chosen])
    return Chosen(venue, split(venue, chosen, symbols, known, wanted.symbols), sizes)


def fitting(
    venue: Venue, wanted: Wanted, chosen: Sequence[tuple[Feed, list[str | None]]], named: Sequence[str]
) -> list[tuple[Feed, list[str | None]]]:  # fmt: skip
    """Without the feeds that a glob means and none of the symbols has; all of them where that leaves none. Who spells
    the name of a feed wants that one: `split` says that it has nothing to tell of them."""
    kept = [
        (feed, periods)
        for feed, periods in chosen
        if feed.every or feed.name in wanted.feeds or any(venue.has(feed.dataset, symbol) for symbol in named)
    ]
    return kept or list(chosen)


def clock() -> int:
    """Our clock, microseconds UTC."""
    return time.time_ns() // 1000


def facts_for(session: Session, venue: Venue, feeds: Iterable[Feed]) -> dict[str, Facts]:
    """What the venue's list says of each symbol; asked for only where topics go by another name than the symbol."""
    return session.all_facts(venue) if any(feed.by for feed in feeds) else {}


def symbols_now(venue: Venue, wanted: Sequence[str], listed: Sequence[str] | None, now: int) -> list[str]:
    """The symbols that names, globs and aliases mean now. A contract is heard by its own name, also where it was called
    by an alias: pushes say it, and it stays what it is when the alias rolls."""
    known = known_of(venue, None if listed is None else {name: Listing(name) for name in listed}, listed or (), (), now)
    out: dict[str, None] = {}
    for text in wanted:
        held = by_alias(venue, text, known, Window(now, now + 1), now)
        names = match_symbols(venue, (text,), listed) if held is None else [name for name, _ in held[0]]
        out.update(dict.fromkeys(names))
    return list(out)


def split(
    venue: Venue, chosen: Sequence[tuple[Feed, list[str | None]]], named: Sequence[str], known: Mapping[str, Facts],
    wanted: Sequence[str] = (),
) -> list[Topics]:  # fmt: skip
    """Feeds of symbols and periods, spread over as many connections as it takes. ``known`` says by which names topics
    go; ``wanted`` is what was typed: of all symbols by one topic, where a feed has such a one."""
    out = []
    for feed, periods in chosen:
        whole = feed.every == "must" or (feed.every == "may" and ALL_SYMBOLS in wanted)
        symbols = [ALL_SYMBOLS] if whole else named
        topics: dict[str, list[str]] = {}
        for symbol in having(venue, feed.dataset, symbols):
            spelled = other_name(symbol, feed.by, known.get(symbol, NO_FACTS))
            for period in periods:
                topics.setdefault(feed.topic(spelled, period), []).append(symbol)
        names, most = list(topics), feed.dialect.most_topics
        for at in range(0, len(names), most):
            chosen_names = names[at : at + most]
            shared = {name: topics[name] for name in chosen_names if feed.symbol_of(name) is None}
            out.append(Topics(feed, {name: topics[name][0] for name in chosen_names}, shared))
    return out


def listed_now(session: Session, venue: Venue) -> tuple[list[str] | None, dict[str, float]]:
    """The symbols and the contract sizes: of the venue's list, or of the lake where it gives none."""
    try:
        answer = session.instruments(venue)
    except Unreachable as error:
        session.say(f"{venue.name}: {error}; what the lake knows of its instruments has to do")
        answer = None
    if answer is not None:
        columns = answer[0].columns
        pairs = zip(columns["symbol"], columns["contract_size"], strict=True)
        alive = [
            s for s, status in zip(columns["symbol"], columns["status"], strict=True) if status != "delisted"
        ]
        return alive, {symbol: size for symbol, size in pairs if size}
    names, sizes = [], {}
    for series in session.store.series(dataset="instruments", venue=venue.name):
        names.append(series.symbol)
        for partition in session.store.partitions(series)[-1:]:
            table = session.store.read(partition)
            if table is not None and len(table) and (size := table["contract_size"][-1].as_py()):
                sizes[series.symbol] = size
    return names or None, sizes
