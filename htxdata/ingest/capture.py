"""Listen to feeds of a venue until told to stop: WebSocket to tape, tape to tables, and what was lost by another way.

Nothing is read before it is on the tape (law 7). Beside the connections (``capture_streams.py``) runs ``distil``, which
knows nothing of them; where a connection was lost, the newest trades are asked for over REST (``capture_bridge.py``),
and at the end the ladder is climbed for what is still open. What nobody can give back is a row of ``capture_gaps``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from htxdata.errors import HtxdataError, UsageError, VenueError
from htxdata.ingest import capture_wanted
from htxdata.ingest.asked import Request
from htxdata.ingest.backfill import MOST_SKEW
from htxdata.ingest.capture_bridge import SETTLED, Bridge, bridge_for
from htxdata.ingest.capture_connection import Hands, Topics, begun
from htxdata.ingest.capture_streams import Stream
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.distil import Distilled, distil
from htxdata.ingest.distil_gaps import Gap, open_gaps
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.schema import dataset as dataset_named
from htxdata.store.tape import Record
from htxdata.timeline import SECOND, iso
from htxdata.transport.budget import Budget
from htxdata.transport.reels import Writer
from htxdata.venues.terms import Feed

DISTIL_EVERY = 60.0
"""Seconds from the end of one reading of the tapes to the next, at least."""

STATUS_EVERY = 1.0

AFTER_ROLL = 60 * SECOND
"""So long after a delivery the venue is asked which contracts there are now."""


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
    venue, topics, sizes = capture_wanted.topics_of(wanted, session)
    feeds = list({t.feed.name: t.feed for t in topics}.values())  # a feed with periods cannot be hashed
    base = session.settings.host(feeds[0].host)
    private = next((feed for feed in feeds if feed.private), None)
    keys = None if private is None else session.keys(venue, f"the feed {private.name} of {venue.name}")
    with Writer() as writer:
        limit = Budget.at(base, session.settings.budgets[venue.host])
        hands = Hands(venue, base, session.tape, writer, sizes, rotate, session.say, limit, keys,
                      tell=partial(session.teller, venue))  # fmt: skip
        work = _Capture(session, hands, topics, feeds, stop, distil_every, on_status, wanted)
        return asyncio.run(work.run(seconds))


class _Capture:
    """One capture under way."""

    def __init__(
        self, session: Session, hands: Hands, topics: Sequence[Topics], feeds: Sequence[Feed], stop: threading.Event,
        distil_every: float, on_status: OnStatus, wanted: Wanted,
    ) -> None:  # fmt: skip
        ends = hands.venue.deliveries
        self._wanted, self._roll = wanted, None if ends is None else ends.next_roll(capture_wanted.clock())
        self._session, self._hands, self._feeds, self._stop = session, hands, feeds, stop
        self._distil_every, self._on_status = distil_every, on_status
        self._began, self._since = time.monotonic(), time.time_ns() // 1000
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
            if self._roll is not None and capture_wanted.clock() >= self._roll + AFTER_ROLL:
                for stream in await asyncio.get_running_loop().run_in_executor(None, self._rolled):
                    self._streams.append(stream)
                    running.append(asyncio.create_task(stream.run(stop)))
            await asyncio.sleep(min(0.1, left))
            if time.monotonic() - told >= STATUS_EVERY:
                told = time.monotonic()
                self._tell("listening")

    def _rolled(self) -> list[Stream]:
        """Contracts were delivered: aliases and globs may mean others now, which are heard beside those that go on."""
        venue, session, now = self._hands.venue, self._session, capture_wanted.clock()
        assert venue.deliveries is not None
        session.forget(venue)
        try:
            listed, sizes = capture_wanted.listed_now(session, venue)
            known = capture_wanted.facts_for(session, venue, self._feeds)
            meant: dict[str, None] = {}
            for text in self._wanted.symbols:
                with contextlib.suppress(UsageError):  # what was meant by it is delivered
                    meant.update(dict.fromkeys(capture_wanted.symbols_now(venue, (text,), listed, now)))
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
        chosen = [(feed, capture_wanted.periods_of(feed, self._wanted.periods)) for feed in self._feeds]
        for topics in capture_wanted.split(venue, chosen, new, known):
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
            poor = {feed.dataset for feed in self._feeds if not feed.whole}
            lacks = [(series, missing) for series, missing in report.missing if series.dataset in poor]
            self._done.failed += [f"{series} lacks what REST says of it: {missing.why}" for series, missing in lacks]
            self._done.healed += len(report.healed)
            gone = {_name(gap) for gap in report.healed}
            for name, gaps in self._gaps.items():
                self._gaps[name] = [gap for gap in gaps if _name(gap) not in gone]

    def _until_settled(self) -> None:
        """What is one's own and happened a moment ago cannot be asked for yet; it is some seconds."""
        ends = (
            gap.window.end + declared.settle()
            for feed in self._feeds
            if (declared := dataset_named(feed.dataset)).own
            for gap in self._gaps.get(feed.name, ())
        )
        now = time.time_ns() // 1000
        told = (now + dataset_named(feed.dataset).settle() for feed in self._feeds if not feed.whole)
        left = max((*ends, *told), default=0) - now
        if left > 0:
            self._session.stop.wait(left / SECOND + 1.0)

    def _asks(self) -> list[Request]:
        """What the ladder may still bring of what was lost."""
        venue, out, now = self._hands.venue, [], time.time_ns() // 1000
        for feed in self._feeds:
            if feed.dataset not in venue.datasets():
                continue
            if not feed.whole:  # all of its time, by a clock that may be that much behind ours
                span = (iso(self._since - MOST_SKEW), iso(now))
                out.append(Request(feed.dataset, venue.name, (ALL_SYMBOLS,), (), *span))
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
