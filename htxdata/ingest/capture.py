"""Listen to feeds of a venue until told to stop: WebSocket to tape, tape to tables, and what was lost by another way.

Nothing is read before it is on the tape (law 7). Beside the connections (``capture_streams.py``) runs ``distil``, which
knows nothing of them; where a connection was lost, the newest trades are asked for over REST (``capture_bridge.py``),
and at the end the ladder is climbed for what is still open. What nobody can give back is a row of ``capture_gaps``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from htxdata.errors import HtxdataError, Unreachable, UsageError, VenueError
from htxdata.ingest.capture_bridge import SETTLED, Bridge, bridge_for
from htxdata.ingest.capture_streams import Hands, Stream, Topics, begun
from htxdata.ingest.delivered import by_alias, known_of
from htxdata.ingest.distil import Distilled, distil
from htxdata.ingest.distil_gaps import Gap, open_gaps
from htxdata.ingest.run import Request, backfill
from htxdata.ingest.session import Session, having, match_symbols
from htxdata.market import ALL_SYMBOLS, Listing, Series, check_period, is_glob
from htxdata.schema import dataset as dataset_named
from htxdata.store.tape import Record
from htxdata.timeline import SECOND, Window, iso
from htxdata.transport.reels import Writer
from htxdata.venues import VENUES
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import NO_FACTS, Facts, Feed, Venue, other_name

DISTIL_EVERY = 60.0
"""Seconds from the end of one reading of the tapes to the next, at least."""

STATUS_EVERY = 1.0

AFTER_ROLL = 60_000_000
"""So long after a delivery (microseconds) the venue is asked which contracts there are now."""


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to hear. ``feeds``, ``symbols`` and ``periods`` are names or globs."""

    venue: str
    feeds: tuple[str, ...]
    symbols: tuple[str, ...]
    periods: tuple[str, ...] = ()
    levels: int | None = None
    """Of books, on each side; None: what the venue's feed has by itself."""


@dataclass(frozen=True)
class Status:
    """How a capture is going. ``lag`` is seconds from receipt to disk: of the flushes of late, the median and the
    99th percentile of the oldest frame in each."""

    seconds: float
    standing: int
    connections: int
    frames: int
    frames_per_second: float
    size: int
    lag: tuple[float, float]
    reconnects: int
    gaps: int
    rows: int
    doing: str = "listening"


@dataclass
class Captured:
    """The account of a capture. ``gaps`` are those of its time that are still open; ``refused`` topics that the venue
    does not give, ``failed`` sentences about what else went wrong."""

    seconds: float = 0.0
    frames: int = 0
    size: int = 0
    reconnects: int = 0
    rows: int = 0
    quarantined: int = 0
    gaps: list[Gap] = field(default_factory=list)
    healed: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not (self.gaps or self.refused or self.failed or self.quarantined)


OnStatus = Callable[[Status], None]


# ------------------------------------------------------------------------------------------------- what is wanted


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
        public = [feed for feed in found if feed.dialect.sign_in is None]
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


def topics_of(wanted: Wanted, session: Session) -> tuple[list[Topics], dict[str, float]]:
    """The connections that it takes, and the contract sizes of the symbols. Asks the venue for its list."""
    venue = venue_named(wanted.venue)
    feeds = forms_of(feeds_of(venue, wanted.feeds), wanted.levels)
    chosen = [(feed, periods_of(feed, wanted.periods)) for feed in feeds]
    if wanted.periods and all(feed.periods is None for feed in feeds):
        raise UsageError(
            f"--period {wanted.periods[0]!r}: {feeds[0].name} has no periods; leave --period out"
        )
    if all(feed.every == "must" or (feed.every and ALL_SYMBOLS in wanted.symbols) for feed in feeds):
        return split(venue, chosen, (), {}, wanted.symbols), {}  # nobody has to be asked
    listed, sizes = _listed(session, venue)
    symbols = symbols_now(venue, wanted.symbols, listed, _clock())
    return split(venue, chosen, symbols, _named(session, venue, feeds), wanted.symbols), sizes


def _clock() -> int:
    """Our clock, microseconds UTC."""
    return time.time_ns() // 1000


def _named(session: Session, venue: Venue, feeds: Iterable[Feed]) -> dict[str, Facts]:
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


def _listed(session: Session, venue: Venue) -> tuple[list[str] | None, dict[str, float]]:
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


# ------------------------------------------------------------------------------------------------- listening


def capture(
    wanted: Wanted,
    session: Session,
    stop: threading.Event,
    *,
    seconds: float | None = None,
    rotate: float = 3600.0,
    distil_every: float = DISTIL_EVERY,
    on_status: OnStatus = lambda status: None,
) -> Captured:
    """Listen for ``seconds``, or until ``stop`` is set; then put what is on the tapes into the tables, and account.

    Blocking. Raises ``UsageError`` for what cannot be meant, and otherwise only what is not the network's or the
    venue's doing (``StoreError``: the lake cannot be written). ``session.stop`` ends waits for REST early: what then
    lacks is in ``Captured``.
    """
    topics, sizes = topics_of(wanted, session)
    venue = venue_named(wanted.venue)
    feeds = list({t.feed.name: t.feed for t in topics}.values())  # a feed with periods cannot be hashed
    base = session.settings.host(feeds[0].host)
    private = next((feed for feed in feeds if feed.dialect.sign_in is not None), None)
    keys = None if private is None else session.keys(venue, f"the feed {private.name} of {venue.name}")
    with Writer() as writer:
        hands = Hands(venue, base, session.tape, writer, sizes, rotate, session.say, keys)
        work = _Capture(session, hands, topics, feeds, stop, distil_every, on_status, wanted)
        return asyncio.run(work.run(seconds))


class _Capture:
    """One capture under way."""

    def __init__(
        self, session: Session, hands: Hands, topics: Sequence[Topics], feeds: Sequence[Feed], stop: threading.Event,
        distil_every: float, on_status: OnStatus, wanted: Wanted,
    ) -> None:  # fmt: skip
        ends = hands.venue.deliveries
        self._wanted, self._roll = wanted, None if ends is None else ends.next_roll(_clock())
        self._session, self._hands, self._feeds, self._stop = session, hands, feeds, stop
        self._distil_every, self._on_status = distil_every, on_status
        self._began = time.monotonic()
        # What is open already is of another capture. By name, not by time: gaps go by the venue's clock (law 10).
        self._old = {_name(gap) for gap in open_gaps(session.store, hands.venue.name)}
        self._last = (self._began, 0)
        self._done = Captured()
        self._gaps: dict[str, list[Gap]] = {}
        self._symbols = {symbol for each in topics for symbol in each.names}
        self._bridge: Bridge | None = None
        bridged = next((feed for feed in feeds if bridge_for(hands.venue, feed.dataset) is not None), None)
        if bridged is not None:
            endpoint = bridge_for(hands.venue, bridged.dataset)
            assert endpoint is not None
            self._bridge = Bridge(
                hands.venue, endpoint, lambda ask: session.get(hands.venue, ask), self._note, hands.facts
            )
        self._streams = [
            Stream(each, hands, self._bridge if each.feed is bridged else None) for each in topics
        ]
        self._of_symbol = {
            symbol: stream
            for stream in self._streams
            if stream.topics.feed is bridged
            for symbol in stream.topics.symbols.values()
        }

    def _note(self, symbol: str, record: Record) -> None:
        self._of_symbol[symbol].note(record)

    async def run(self, seconds: float | None) -> Captured:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        halt = threading.Event()  # of the threads beside the loop
        with ThreadPoolExecutor(2, thread_name_prefix="htxdata-capture") as pool:
            async with _together(stream.run(stop) for stream in self._streams) as running:
                beside = [loop.run_in_executor(pool, self._distil_now_and_then, halt)]
                if self._bridge is not None:
                    beside.append(loop.run_in_executor(pool, self._bridge.run, halt))
                try:
                    await self._watch(seconds, running, beside, stop)
                finally:
                    stop.set()
                    halt.set()
                    await asyncio.gather(*running)
                    await asyncio.gather(*beside)
            self._tell("reading the tapes")
            await loop.run_in_executor(pool, self._finish)
        return self._account()

    async def _watch(
        self, seconds: float | None, running: list[asyncio.Task[None]], beside: Sequence[asyncio.Future[None]],
        stop: asyncio.Event,
    ) -> None:  # fmt: skip
        """Until it is over, or something beside dies of a fault of ours. What is heard instead of refused topics joins
        those that run."""
        until = None if seconds is None else self._began + seconds
        told = 0.0
        while not self._stop.is_set():
            left = STATUS_EVERY if until is None else until - time.monotonic()
            if left <= 0 or any(task.done() for task in (*running, *beside)):
                return
            while self._hands.instead:
                self._streams.append(Stream(self._hands.instead.pop(0), self._hands, None))
                running.append(asyncio.create_task(self._streams[-1].run(stop)))
            if self._roll is not None and _clock() >= self._roll + AFTER_ROLL:
                for stream in await asyncio.get_running_loop().run_in_executor(None, self._rolled):
                    self._streams.append(stream)
                    running.append(asyncio.create_task(stream.run(stop)))
            await asyncio.sleep(min(0.1, left))
            if time.monotonic() - told >= STATUS_EVERY:
                told = time.monotonic()
                self._tell("listening")

    def _rolled(self) -> list[Stream]:
        """Contracts were delivered: aliases and globs may mean others now, which are heard beside those that go on."""
        venue, session, now = self._hands.venue, self._session, _clock()
        assert venue.deliveries is not None
        session.forget(venue)
        try:
            listed, sizes = _listed(session, venue)
            known = _named(session, venue, self._feeds)
            meant: dict[str, None] = {}
            for text in self._wanted.symbols:
                with contextlib.suppress(UsageError):  # what was meant by it is delivered
                    meant.update(dict.fromkeys(symbols_now(venue, (text,), listed, now)))
        except VenueError as error:
            session.say(f"{venue.name}: what trades after the delivery could not be asked for: {error}; later again")
            self._roll = now
            return []
        self._roll = venue.deliveries.next_roll(now)
        over = self._symbols - meant.keys()
        for stream in self._streams:
            stream.drop(over)
        new = [symbol for symbol in meant if symbol not in self._symbols]
        if not new:
            return []
        session.say(f"{venue.name}: {', '.join(new)} from now on")
        self._hands.facts = {**self._hands.facts, **sizes}
        self._symbols |= set(new)
        streams = []
        chosen = [(feed, periods_of(feed, self._wanted.periods)) for feed in self._feeds]
        for topics in split(venue, chosen, new, known):
            bridged = any(s.bridged and s.topics.feed is topics.feed for s in self._streams)
            streams.append(Stream(topics, self._hands, self._bridge if bridged else None))
            if bridged:
                self._of_symbol.update(dict.fromkeys(topics.symbols.values(), streams[-1]))
        return streams

    def _tell(self, doing: str) -> None:
        now = time.monotonic()
        frames, size = (sum(parts) for parts in zip(*(s.heard for s in self._streams), strict=True))
        before, count = self._last
        self._last = (now, frames)
        lags = self._hands.writer.lags()
        lag = (lags[len(lags) // 2], lags[len(lags) * 99 // 100]) if lags else (0.0, 0.0)
        self._on_status(
            Status(
                now - self._began, sum(s.stands for s in self._streams),
                sum(bool(s.topics.symbols) for s in self._streams), frames,
                (frames - count) / max(now - before, 1e-3), size, lag, sum(s.reconnects for s in self._streams),
                sum(map(len, self._gaps.values())), self._done.rows, doing,
            )
        )  # fmt: skip

    # --------------------------------------------------------------------------------------- beside the loop

    def _distil_now_and_then(self, halt: threading.Event) -> None:
        pause = self._distil_every
        while not halt.wait(pause):
            began = time.monotonic()
            try:
                self._distil()
            except HtxdataError as error:  # the last one, at the end, is not forgiven
                self._session.say(f"the tapes could not be read now ({error}); later again")
            # A partition is written anew each time, and a day grows: it takes a twentieth of the time at most.
            pause = max(self._distil_every, 20 * (time.monotonic() - began))

    def _distil(self) -> None:
        for feed in self._feeds:
            found = distil(
                self._session.store, self._session.tape, venue=self._hands.venue.name, feed=feed.name,
                say=self._session.say,
            )  # fmt: skip
            self._take(feed, found)

    def _take(self, feed: Feed, found: Distilled) -> None:
        self._done.rows += found.rows.total()
        self._done.quarantined += found.quarantined
        self._done.healed += len(found.healed)
        mine = (gap for gap in found.gaps if gap.series.symbol in self._symbols)
        self._gaps[feed.name] = [gap for gap in mine if _name(gap) not in self._old]

    def _finish(self) -> None:
        if self._bridge is not None:
            time.sleep(SETTLED)
            self._bridge.last_look(self._session.stop)
            if left := [record for stream in self._streams for record in stream.leftover()]:
                self._tape(left)
        self._distil()
        if asks := self._asks():
            self._tell("asking for what was lost")
            self._until_settled()
            try:
                report = backfill(asks, self._session)
            except VenueError as error:  # the gaps stay open, and are told
                self._session.say(f"what was lost could not be asked for: {error}")
                return
            self._done.rows += report.total("added")
            self._done.healed += len(report.healed)
            gone = {_name(gap) for gap in report.healed}
            for name, gaps in self._gaps.items():
                self._gaps[name] = [gap for gap in gaps if _name(gap) not in gone]

    def _until_settled(self) -> None:
        """Own fills of a moment ago cannot be asked for yet; it is some seconds."""
        quick = [feed for feed in self._feeds if feed.dialect.sign_in is not None]
        ends = (
            gap.window.end + dataset_named(feed.dataset).settle()
            for feed in quick
            for gap in self._gaps.get(feed.name, ())
        )
        left = max(ends, default=0) - time.time_ns() // 1000
        if left > 0:
            self._session.stop.wait(left / SECOND + 1.0)

    def _asks(self) -> list[Request]:
        """What the ladder may still bring of what was lost."""
        venue, out, now = self._hands.venue, [], time.time_ns() // 1000
        for feed in self._feeds:
            if feed.dataset not in venue.datasets():
                continue
            topics = (
                topic for each in self._streams if each.topics.feed == feed for topic in each.topics.symbols
            )
            periods = sorted({found[1] for topic in topics if (found := feed.symbol_of(topic)) and found[1]})
            for gap in self._gaps.get(feed.name, ()):
                if gap.window.start >= now:  # gaps go by the venue's clock, requests by ours
                    continue
                window = (iso(gap.window.start), iso(min(gap.window.end, now)))
                out.append(Request(feed.dataset, venue.name, (gap.series.symbol,), tuple(periods), *window))
        return out

    def _tape(self, records: Sequence[Record]) -> None:
        """Replies that came when no connection stood any more: a reel of their own."""
        feed = next(stream.topics.feed for stream in self._of_symbol.values())
        begun(self._hands, feed, {}, records, told=self._symbols).seal(time.time_ns() // 1000, "asked")

    def _account(self) -> Captured:
        done = self._done
        done.seconds = time.monotonic() - self._began
        done.frames, done.size = (sum(parts) for parts in zip(*(s.heard for s in self._streams), strict=True))
        done.reconnects = sum(stream.reconnects for stream in self._streams)
        open_gaps = (gap for gaps in self._gaps.values() for gap in gaps)
        done.gaps = sorted(open_gaps, key=lambda gap: (gap.window, str(gap.series)))
        done.refused = dict(self._hands.refused)
        for stream in self._streams:
            # What another way brought is there, heard or not.
            symbols = stream.topics.symbols.values()
            bridged = (
                stream.bridged
                and self._bridge is not None
                and not self._bridge.failures.keys() & set(symbols)
            )
            if stream.down and not (bridged and stream.heard[0]):
                heard = "at its end" if stream.heard[0] else "at all"
                done.failed.append(f"{stream.topics} was not heard {heard}: {stream.down}")
        done.failed += [
            f"{each} was refused, and there was no time for {next(iter(each.symbols))}"
            for each in self._hands.instead
        ]
        return done


def _name(gap: Gap) -> tuple[Series, str, int]:
    return gap.series, gap.feed, gap.window.start


@contextlib.asynccontextmanager
async def _together(work: Iterable[object]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """All of it as tasks, of which none outlives the block."""
    tasks = [asyncio.ensure_future(each) for each in work]  # type: ignore[call-overload]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
