"""What a run holds in its hands: the settings, one store, one client per host, and what the venues list."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlsplit

from htxdata.config import POOLS, Settings, local_tape
from htxdata.config import lake as lake_of
from htxdata.errors import BadReply, ConfigError, CorruptPartition, Refused, Unreachable, VenueError
from htxdata.keys import Keys, need_keys
from htxdata.market import Listing, Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.store.partition import Store
from htxdata.store.quarantine import set_aside
from htxdata.timeline import Window
from htxdata.transport.budget import Budget
from htxdata.transport.download import Downloads, Fetched
from htxdata.transport.http import LIMITS, SOON, Client
from htxdata.transport.line import Limits
from htxdata.venues.terms import NO_FACTS, Archive, Facts, Listed, Parsed, Venue

Say = Callable[[str], None]


@dataclass
class Session:
    """One run's hands. Close it, or use it as a context manager. Safe to share between threads.

    ``say`` receives sentences for a person (warnings); ``stop`` ends waits early.
    """

    settings: Settings
    say: Say = print
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.store = Store(lake_of(self.settings))
        self.tape = local_tape(self.settings)
        self.proven: dict[str, int] = {}
        self.damaged: dict[Series, tuple[Window, CorruptPartition]] = {}
        """Series left out because a file of theirs cannot be read, and what was asked of them."""
        self.unlisted: dict[tuple[Series, Window], str] = {}
        """What was left out because its venue could not be asked which symbols it has, and why."""
        self._silent: dict[str, Unreachable] = {}
        self._clients: dict[str, Client] = {}
        self._listings: dict[str, tuple[Parsed, int] | None] = {}
        self._births: dict[tuple[str, str], int | None] = {}
        self._downloads: dict[str, Downloads] = {}
        self._shelves: dict[tuple[str, str], dict[str, Listed] | None] = {}
        self._facts: dict[str, dict[str, Facts]] = {}
        self._keys: dict[str, Keys] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for downloads in self._downloads.values():
            downloads.close()
        self._downloads.clear()

    def client(self, venue: Venue) -> Client:
        """The client of the venue's host; venues on one host share it, and its budget."""
        with self._lock:
            if venue.host not in self._clients:
                self._clients[venue.host] = self._made(venue, self.stop, LIMITS)
            return self._clients[venue.host]

    def teller(self, venue: Venue, stop: threading.Event) -> Client:
        """A client of its own for who says little and is not to wait long: ``stop`` ends its waits."""
        return self._made(venue, stop, SOON)

    def _made(self, venue: Venue, stop: threading.Event, limits: Limits) -> Client:
        base = self.settings.host(venue.host)
        budgets = self.settings.budgets
        pools = {pool: Budget.at(base, budgets[key], pool) for pool, key in POOLS.get(venue.host, {}).items()}
        return Client(
            base, Budget.at(base, budgets[venue.host]), venue.judge, limit_headers=venue.limit_headers, limits=limits,
            pools=pools, sign=partial(self._sign, venue), headers=partial(self._headers, venue), stop=stop,
        )  # fmt: skip

    def keys(self, venue: Venue, what: str) -> Keys:
        """The key for a venue, from the environment or ``.env``; ``ConfigError`` says what needs it where none is."""
        if not venue.keys or venue.sign is None:
            raise ConfigError(f"{what}: nothing of {venue.name} is asked for with a key yet")
        if venue.keys not in self._keys:
            self._keys[venue.keys] = need_keys(venue.keys, what)
        return self._keys[venue.keys]

    def _sign(self, venue: Venue, request: Request, host: str, now: int) -> tuple[tuple[str, str], ...]:
        keys = self.keys(venue, f"{venue.name} {request.path}")
        assert venue.sign is not None
        return venue.sign(request, host, keys, now)

    def _headers(self, venue: Venue, request: Request) -> Mapping[str, str]:
        return venue.headers(self.keys(venue, f"{venue.name} {request.path}"))

    def get(self, venue: Venue, request: Request) -> Reply:
        """The reply to one request. Once ``stop`` is set nothing more is sent: a walk ends with its present page."""
        if self.stop.is_set():
            raise Unreachable(f"{venue.host}: stopped before {request.path} was asked for")
        return self.client(venue).get(request)

    def quarantine(
        self, venue: Venue, dataset: str, request: Request, body: bytes, received_at: int, why: str
    ) -> None:
        set_aside(
            self.tape, venue.name, dataset, asked=f"{venue.name} {request}", body=body, received_at=received_at,
            reason=why,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------- archive

    def has_archive(self, venue: Venue) -> bool:
        """Whether there is an archive to ask: an empty address in ``[hosts]`` switches it off.

        A sandbox on this machine and the real archive are two markets, and never mixed.
        """
        archive, rest = (self.settings.hosts.get(key or "") or "" for key in (venue.archive_host, venue.host))
        return bool(venue.archives and venue.bucket and archive) and _is_local(archive) == _is_local(rest)

    def downloads(self, venue: Venue) -> Downloads:
        """The archive of the venue; venues of one archive share it, and its budget."""
        host = venue.archive_host or ""
        with self._lock:
            if host not in self._downloads:
                assert venue.bucket is not None
                base = self.settings.host(host)
                budget = Budget.at(base, self.settings.budgets[host])
                spool = self.store.beside / "spool"
                self._downloads[host] = Downloads(base, budget, venue.bucket, spool, stop=self.stop)
            return self._downloads[host]

    def listed(
        self, venue: Venue, archive: Archive, series: Series, days: tuple[str, ...]
    ) -> dict[str, Listed] | None:
        """The files of ``days`` that the archive lists, by day; None where it does not let itself be listed."""
        # Names that differ in their date alone have a common beginning, and S3 lists by any beginning.
        prefix = _beginning(archive.key(series, days[0]), archive.key(series, days[-1]))
        key = (venue.archive_host or "", prefix)
        if key not in self._shelves:
            try:
                entries = self.downloads(venue).list(prefix)
                by_day = {day: e for e in entries if (day := archive.day_of(series, e.key)) is not None}
                self._shelves[key] = by_day
            except Refused as error:
                self.say(
                    f"{venue.name}: the archive's list of {prefix} was refused ({error}); its names are derived"
                )
                self._shelves[key] = None
        return self._shelves[key]

    def fetch(self, venue: Venue, key: str, known: Listed | None) -> Fetched:
        """One file of the archive, verified. Raises ``VenueError``."""
        if self.stop.is_set():
            raise Unreachable(f"{venue.archive_host}: stopped before {key} was asked for")
        return self.downloads(venue).fetch(key, known=known)

    def release(self, venue: Venue, fetched: Fetched) -> None:
        """The file is in the lake, or of no use: its copy in the spool can go."""
        self.downloads(venue).release(fetched)

    def facts(self, venue: Venue, series: Series, day: str = "") -> Facts:
        """What the venue's list says of the instrument today; sizes of contracts are checked against the files.

        Nothing is asked for where no endpoint of the dataset needs to be told (``day`` empty: REST).
        """
        endpoints = venue.endpoints_for(series.dataset, series.period, series.symbol)
        if not day and all(e.sized is None and not e.by for e in endpoints):
            return Facts()
        known = self.all_facts(venue).get(series.symbol, NO_FACTS)
        if known.contract_size is None and venue.deliveries is not None:  # no list has it any more
            return replace(known, contract_size=venue.deliveries.size(series.symbol))
        return known

    def all_facts(self, venue: Venue) -> dict[str, Facts]:
        """Those of every instrument that the venue lists, by symbol; asked once per run."""
        with self._lock:
            known = self._facts.get(venue.name)
        if known is None:
            answer = self.instruments(venue)
            known = {} if answer is None else facts_of(answer[0])
            with self._lock:
                self._facts[venue.name] = known
        return known

    # ------------------------------------------------------------------------------------------ instruments

    def instruments(self, venue: Venue) -> tuple[Parsed, int] | None:
        """The venue's list of instruments and when we heard it; asked once per run. ``None`` where it gives none.
        Where nobody answers, ``Unreachable``, at once when it is asked for again."""
        with self._lock:
            if venue.name in self._listings:
                return self._listings[venue.name]
            if venue.name in self._silent:
                raise self._silent[venue.name]
        try:
            answer = self._ask_instruments(venue)
        except Unreachable as error:
            with self._lock:
                self._silent[venue.name] = error
            raise
        with self._lock:
            self._listings[venue.name] = answer
        return answer

    def forget(self, venue: Venue) -> None:
        """What the venue listed is asked for again."""
        with self._lock:
            self._listings.pop(venue.name, None)
            self._facts.pop(venue.name, None)
            self._silent.pop(venue.name, None)

    def _ask_instruments(self, venue: Venue) -> tuple[Parsed, int] | None:
        refusals = []
        for request in venue.listings:
            try:
                reply = self.get(venue, request)
                try:
                    return venue.describe(reply), reply.received_at
                except BadReply as error:
                    self.quarantine(venue, "instruments", request, reply.body, reply.received_at, str(error))
                    refusals.append(f"{request.path}: {error} (the reply is in quarantine)")
            except Unreachable:
                raise
            except Refused as error:
                refusals.append(str(error))
        self.say(f"{venue.name}: no list of instruments: {'; '.join(refusals)}")
        return None

    def listings(self, venue: Venue) -> dict[str, Listing] | None:
        answer = self.instruments(venue)
        return None if answer is None else venue.listing_of(answer[0])

    def born(self, venue: Venue, series: Series) -> int | None:
        """When the venue's candles of this symbol begin, by its own longest period; ``None`` where that can't be told.

        One request finds the start of a history that would take thousands of empty pages to find (a listing date will
        not do: HTX's ``toa`` of old symbols is a placeholder later than their first candles).
        """
        key = (venue.name, series.symbol)
        if key not in self._births:
            self._births[key] = self._ask_birth(venue, series)
        return self._births[key]

    def _ask_birth(self, venue: Venue, series: Series) -> int | None:
        probe = Series("klines", venue.name, series.symbol, "1mon")
        latest = [e for e in venue.endpoints_for("klines", "1mon") if e.walk in ("latest", "edge")]
        if not latest:
            return None
        endpoint = latest[0]
        try:
            reply = self.get(venue, endpoint.build(probe, Ask(Window(0, 0), endpoint.rows)))
            page = endpoint.read(reply, probe, self.facts(venue, probe)).page
        except VenueError:
            return None  # then the empty pages are asked for, one by one
        return page.first if 0 < page.count < endpoint.rows else None


def facts_of(listing: Parsed) -> dict[str, Facts]:
    """What a list of instruments says of each, by symbol."""
    columns, names = listing.columns, listing.names
    return {
        symbol: Facts(size, {by: others[at] for by, others in names.items()})
        for at, (symbol, size) in enumerate(zip(columns["symbol"], columns["contract_size"], strict=True))
    }


def _beginning(one: str, other: str) -> str:
    """What both begin with."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(first for first, _ in same)


def _is_local(base: str) -> bool:
    return urlsplit(base).hostname in ("127.0.0.1", "::1", "localhost")
