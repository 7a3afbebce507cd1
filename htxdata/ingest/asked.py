"""What is asked for: a request with its window and the series that it means, typed or written in a ``[[keep]]``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from htxdata.config import Keep, Settings
from htxdata.errors import ConfigError, UsageError
from htxdata.ingest.delivered import Known, by_alias, known_of
from htxdata.ingest.named import resolve
from htxdata.ingest.session import Say, Session
from htxdata.market import Listing, Series
from htxdata.timeline import Window, iso, parse_instant
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Venue


@dataclass(frozen=True)
class Request:
    """What somebody wants: series by name and glob, and a window. ``end`` None is now."""

    dataset: str
    venue: str
    symbols: tuple[str, ...]
    periods: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    origin: str = ""
    """Where it is written, for messages; empty for the command line, whose options they name anyway."""


def window_from(request: Request, now: int) -> Window:
    """The window of a request, or a ``UsageError`` naming the option that is wrong."""
    if request.start is None:
        raise UsageError("--start is missing: say from when on, such as --start 2024-01-01")
    start = _instant("--start", request.start)
    if start < 0:
        raise UsageError(f"--start {request.start!r} lies before 1970: no market of these is as old")
    end = now if request.end is None else _instant("--end", request.end)
    if start >= now:
        raise UsageError(
            f"--start {request.start!r} lies in the future; it is {iso(now // 1_000_000 * 1_000_000)}"
        )
    if end > now:
        raise UsageError(f"--end {request.end!r} lies in the future; leave it out to go up to now")
    if end <= start:
        raise UsageError(f"--end {request.end!r} is not after --start {request.start!r}: the range is empty")
    return Window(start, end)


def _instant(option: str, text: str) -> int:
    try:
        return parse_instant(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def request_of(keep: Keep, origin: str = "") -> Request:
    return Request(
        keep.dataset, keep.venue, keep.symbols, keep.periods, keep.since or "2017-01-01", None, origin
    )


def keep_requests(settings: Settings) -> list[Request]:
    """What ``sync`` has to keep up to date; what has no past is left to `capture`, `snapshot` and `serve`."""
    if not settings.keep:
        raise ConfigError(
            f"nothing to keep up to date: add a [[keep]] to htxdata.toml (read: {settings.origin})"
        )
    return [
        request_of(keep, f"{settings.origin}, [[keep]] {number}")
        for number, keep in enumerate(settings.keep, start=1)
        if not _now_only(keep)
    ]


def _now_only(keep: Keep) -> bool:
    """Whether there is no past of it to be filled, though it is heard or seen now. A mistake is told later."""
    try:
        venue = venue_named(keep.venue)
    except UsageError:
        return False
    seen = keep.dataset == "instruments" or venue.polls_for(keep.dataset)
    return keep.dataset not in venue.datasets() and bool(seen or any(f.dataset == keep.dataset for f in venue.feeds))


@contextmanager
def said_where(request: Request) -> Iterator[None]:
    """A wrong value is looked for where it is written."""
    try:
        yield
    except UsageError as error:
        if not request.origin:
            raise
        # Only the option at the head of the sentence: a command that the sentence advises is still typed with dashes.
        text = str(error)
        for option, key in _KEEP_KEYS.items():
            if text.startswith(option):
                text = key + text.removeprefix(option)
        raise ConfigError(f"{request.origin}: {text}") from None


_KEEP_KEYS = {"--start": "since", "--symbol": "symbols", "--period": "periods", "--venue": "venue"}


# ----------------------------------------------------------------------------------------------------- series


def known_instruments(session: Session, request: Request, now: int, ask: bool) -> Known:
    """What the venue lists, and what only the lake still knows: contracts that were delivered. ``ask=False`` asks
    nobody but the lake."""
    venue = venue_named(request.venue)
    if venue.undivided(request.dataset):
        return Known(frozenset(), {})  # of no symbol: nobody has to be asked
    listed = session.listings(venue) if ask else _stored_listings(session, request.venue)
    stored: set[str] = set()
    for dataset in ("instruments", request.dataset) if venue.deliveries is not None else ():
        stored |= {series.symbol for series in session.store.series(dataset=dataset, venue=venue.name)}
    known = known_of(venue, listed, sorted(stored), request.symbols, now)
    return known if ask else replace(known, listed=frozenset())


def _stored_listings(session: Session, venue: str) -> dict[str, Listing] | None:
    """The symbols of a venue that the lake has instruments of, or ``None`` where it has none."""
    symbols = [series.symbol for series in session.store.series(dataset="instruments", venue=venue)]
    return {symbol: Listing(symbol) for symbol in symbols} or None


def meant(
    request: Request, venue: Venue, known: Known, window: Window, now: int, say: Say
) -> list[tuple[Series, Window]]:
    """The series that a request means and the window of each: of an alias, those of the contracts that it meant."""
    plain: list[str] = []
    held: list[tuple[str, Window]] = []
    for text in request.symbols:
        found = by_alias(venue, text, known, window, now)
        if found is None:
            plain.append(text)
            continue
        held += found[0]
        for name, part in found[0]:
            say(f"{venue.name}: {text} is {name} from {iso(part.start)} to {iso(part.end)}")
        for part in found[1]:
            say(f"{venue.name}: {text} is no contract that is known from {iso(part.start)} to {iso(part.end)}")
    names = known.names
    out = [(series, window) for series in resolve(request.dataset, venue.name, plain, request.periods, names)]
    for name, part in held:
        out += [(series, part) for series in resolve(request.dataset, venue.name, (name,), request.periods, None)]
    return out
