"""From the tape to the lake: what was captured becomes rows, and what was heard becomes coverage.

Reels are read from where the last run left them (``distil_memory.py``), also while a capture writes them, and reading
them again changes nothing. Of what can be told only by all connections of a topic together, the verdicts are made
afterwards: where nobody listened is a gap, and an ``outage`` unless a taped reply of REST covers it.

Nothing here looks at a clock: the same tape makes the same lake.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from htxdata.errors import StoreError
from htxdata.ingest.distil_books import Cut
from htxdata.ingest.distil_candles import columns_of, handed_over
from htxdata.ingest.distil_gaps import Gap, heal_gaps, note_gaps, open_gaps
from htxdata.ingest.distil_memory import Known, Memory, Topic, alone
from htxdata.ingest.distil_reel import Key, ReelReader
from htxdata.ingest.distil_rows import MOST, Basket
from htxdata.ingest.distil_spans import FOREVER, MARGIN, Heard, Silence, heard_of, known_windows, silences
from htxdata.ingest.plan import grid_for
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.schema import dataset as dataset_named
from htxdata.store import reel
from htxdata.store.coverage import Asked
from htxdata.store.partition import Store
from htxdata.store.quarantine import set_aside
from htxdata.timeline import Window, subtract
from htxdata.venues import VENUES
from htxdata.venues.terms import Feed, Venue

OnStep = Callable[[str, int, int], None]
"""Told before each reel: its name, how many are done, and of how many."""


@dataclass
class Distilled:
    """What a run did. ``rows`` counts, by series, those that the lake did not have; ``gaps`` are the spans that are
    still lost (of all that the lake knows of these venues and feeds), ``healed`` those that no longer are."""

    reels: int = 0
    frames: int = 0
    rows: Counter[Series] = field(default_factory=Counter)
    replaced: int = 0
    quarantined: int = 0
    gaps: list[Gap] = field(default_factory=list)
    healed: list[Gap] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = [
            f"{self.reels:,} reel{'' if self.reels == 1 else 's'}, {self.frames:,} frames: "
            f"{self.rows.total():,} rows added"
        ]
        parts += [f"{self.replaced:,} mended"] * bool(self.replaced)
        parts += [f"{self.quarantined:,} in quarantine"] * bool(self.quarantined)
        parts += [f"{len(self.healed):,} gap{'s' * (len(self.healed) != 1)} healed"] * bool(self.healed)
        parts += [f"{len(self.gaps):,} gap{'s' * (len(self.gaps) != 1)} open"] * bool(self.gaps)
        return f"{', '.join(parts)} ({self.seconds:.1f} s)"


def distil(
    store: Store,
    tape_root: Path,
    *,
    venue: str | None = None,
    feed: str | None = None,
    again: bool = False,
    say: Callable[[str], None] = print,
    on_step: OnStep = lambda name, done, of: None,
) -> Distilled:
    """Bring the reels of one venue and feed, or of all, into the lake, as far as they are written by now.

    ``again``: read all of them from the beginning, as after a change of a parser: rows of the same key that read
    otherwise now are replaced. ``say`` gets sentences for a person. A second run waits for the first.
    """
    began = time.monotonic()
    done = Distilled()
    _keep_memory()
    with alone(store.root, say):
        memory = Memory(store.root, tape_root)
        basket = Basket(store, {v.name: v for v in VENUES})
        shelves = [_Shelf(*told, again) for told in _shelves(tape_root, venue, feed, memory, again, say)]
        total = sum(len(shelf.unread) for shelf in shelves)
        for shelf in shelves:
            shelf.read(_Run(tape_root, memory, basket, done, say, partial(_step, on_step, done, total)))
        lost = [shelf.judge(store, basket) for shelf in shelves]
        basket.flush()
        for shelf, found in zip(shelves, lost, strict=True):
            note_gaps(store, shelf.venue.name, shelf.feed.name, found)
            shelf.keep(memory)
        done.rows, done.replaced = basket.added, basket.replaced
        done.healed = heal_gaps(store, venue)
        done.gaps = open_gaps(store, venue, feed)
    done.seconds = time.monotonic() - began
    return done


def _step(on_step: OnStep, done: Distilled, total: int, name: str) -> None:
    on_step(name, done.reels, total)


@dataclass
class _Run:
    tape: Path
    memory: Memory
    basket: Basket
    done: Distilled
    say: Callable[[str], None]
    step: Callable[[str], None]


@dataclass
class _Tape:
    """A reel, and how far it may be read: what came later than the list of reels was made is left for the next run, or
    a newer connection, which is not in the list, might have told it as well."""

    path: Path
    size: int
    known: Known


def _shelves(
    root: Path, venue: str | None, feed: str | None, memory: Memory, again: bool, say: Callable[[str], None]
) -> Iterator[tuple[Venue, Feed, list[_Tape]]]:
    found: dict[tuple[str, str], list[_Tape]] = {}
    for path, size in _listed(root, venue, feed):
        known = Known() if again else memory.recall(path)
        found.setdefault(reel.venue_feed_of(path), []).append(_Tape(path, size, known))
    for (venue_name, feed_name), tapes in found.items():
        of_venue = next((v for v in VENUES if v.name == venue_name), None)
        of_feed = of_venue.feed(feed_name) if of_venue is not None else None
        if of_venue is None or of_feed is None:
            say(
                f"{len(tapes)} reels of {venue_name} {feed_name} are left alone: this htxdata knows no such feed"
            )
            continue
        yield of_venue, of_feed, tapes


def _listed(root: Path, venue: str | None, feed: str | None) -> list[tuple[Path, int]]:
    """The reels and their sizes, at a moment at which there were no others."""
    while True:
        paths = reel.reels(root, venue, feed)
        sizes = [path.stat().st_size for path in paths]
        if reel.reels(root, venue, feed) == paths:
            return list(zip(paths, sizes, strict=True))


@dataclass
class _Shelf:
    """The reels of one feed, in the order in which they were opened."""

    venue: Venue
    feed: Feed
    tapes: list[_Tape]
    again: bool

    @property
    def unread(self) -> list[_Tape]:
        return [tape for tape in self.tapes if not tape.known.done]

    # ----------------------------------------------------------------------------------------------- reading

    def read(self, run: _Run) -> None:
        """Of books the newest first: what a newer connection tells, an older one need not."""
        books = self.feed.dataset == "book_changes"
        for tape in reversed(self.unread) if books else self.unread:
            run.step(tape.path.name)
            cuts = partial(self._cuts, tape) if books else lambda key: ()
            with _uncollected():
                self._read(tape, cuts, run)
            run.done.reels += 1

    def _read(self, tape: _Tape, cuts: Callable[[Key], Sequence[Cut]], run: _Run) -> None:
        known, path = tape.known, tape.path
        reader = ReelReader(
            self.venue, self.feed, known, run.basket, partial(self._aside, run.tape, path), cuts
        )
        try:
            live = reel.is_live(path)
            known.live = live
            for offset, found in reel.read(path, known.offset):
                if offset > tape.size:
                    break
                if isinstance(found, reel.Torn):
                    run.say(
                        f"{path.name}: {found.end - found.start:,} bytes are no whole record, and passed over"
                    )
                reader.take(found)
                known.offset = offset
                if run.basket.waiting >= MOST:
                    reader.rest()
                    run.basket.flush()
                    self.keep(run.memory)
            ended = not live and known.offset >= path.stat().st_size
            reader.finish(goes_on=not ended)
            known.done = ended
        except (StoreError, OSError) as error:
            if not isinstance(error, StoreError) or "newer htxdata" not in str(error):
                raise
            run.say(f"{error}; the rest of it is left alone")
        if known.done:
            for topic in known.topics.values():
                topic.book = None
        run.done.frames += reader.frames
        run.done.quarantined += reader.faults

    def _aside(self, root: Path, path: Path, body: bytes, received_at: int, why: str) -> None:
        set_aside(
            root, self.venue.name, self.feed.dataset, asked=f"{self.venue.name} {self.feed.name} {path.name}",
            body=body, received_at=received_at, reason=why,
        )  # fmt: skip

    def keep(self, memory: Memory) -> None:
        for tape in self.tapes:
            memory.keep(tape.path, tape.known)

    def _cuts(self, tape: _Tape, key: Key) -> list[Cut]:
        """When newer connections have a book of the topic."""
        newer = self.tapes[self.tapes.index(tape) + 1 :]
        names = {form.topic(*key) for form in self.feed.every_form()}  # with fewer levels it is the same book
        out = []
        for other in newer:
            topic = next((other.known.topics[name] for name in names & other.known.topics.keys()), None)
            for stretch in topic.stretches if topic is not None else ():
                if stretch.end:
                    out.append(Cut(stretch.heard_from, stretch.start, stretch.heard_to, stretch.end))
                elif other.known.live:
                    out.append(Cut(stretch.heard_from, stretch.start, FOREVER, FOREVER))
                else:
                    end = max(stretch.start, other.known.clock - MARGIN)
                    out.append(Cut(stretch.heard_from, stretch.start, other.known.received_at, end))
        return sorted(out)

    # ---------------------------------------------------------------------------------------------- verdicts

    def judge(self, store: Store, basket: Basket) -> dict[str, list[Silence]]:
        """What was heard, and what not, of each topic over all connections; gives the silences, by symbol."""
        topics: dict[Key, list[tuple[Topic, list[Heard]]]] = {}
        answered: dict[str, list[Asked]] = {}
        live: dict[Key, int] = {}
        for tape in self.tapes if self.feed.whole else ():  # what REST has to tell once more is not known yet
            for topic in tape.known.topics.values():
                heard = list(heard_of(tape.known, topic))
                topics.setdefault(topic.key, []).append((topic, heard))
                if tape.known.live and heard:
                    live[topic.key] = max(heard[-1].end, live.get(topic.key, 0))
            for one in tape.known.answered:
                asked = Asked(Window(one.start, one.end), "rest", one.received_at)
                answered.setdefault(one.symbol, []).append(asked)
        lost: dict[str, set[Silence]] = {}
        for key, connections in topics.items():
            heard = [one for _, ones in connections for one in ones]
            found = silences(heard)
            lost.setdefault(key[0], set()).update(found)
            if key[0] == ALL_SYMBOLS and self.feed.every == "may":
                # A topic that tells of all symbols tells of each. Which there are nobody says: those that are known.
                for series in basket.series(store, self.feed.dataset, self.venue.name):
                    basket.judge(series, heard, (), found)
            series = Series(self.feed.dataset, self.venue.name, *key)
            if dataset_named(series.dataset).density == "grid":
                self._hand_over(store, basket, series, connections)
            else:
                # What a reply told of after the last message of a connection that goes on, it will tell itself.
                known = [
                    one._replace(window=Window(one.window.start, min(one.window.end, live.get(key, FOREVER))))
                    for one in answered.get(key[0], ())
                ]
                basket.judge(series, heard, known, found)
        for symbol in answered.keys() - lost.keys():  # asked for when no connection stood any more
            basket.judge(Series(self.feed.dataset, self.venue.name, symbol), (), answered[symbol], ())
        return {symbol: sorted(found) for symbol, found in lost.items() if found}

    def _hand_over(
        self, store: Store, basket: Basket, series: Series, connections: list[tuple[Topic, list[Heard]]]
    ) -> None:
        """Candles during which one connection took over from another."""
        grid = grid_for(series, self.venue)
        assert grid is not None
        settle = dataset_named(series.dataset).settle(series.period)
        known = [] if self.again else known_windows(store.coverage(series))
        for row, known_at in handed_over(connections, grid, settle):
            slot = Window(row["open_time"], grid.next(row["open_time"]))
            if subtract([slot], known):
                basket.put(series, columns_of([row]))
                basket.claim(series, Asked(slot, "ws", known_at))


def _keep_memory() -> None:
    """Columns of some megabytes come and go by the thousand. glibc gives the memory of each back, and fetches it anew
    page by page, until it has seen a large one go: up to that size (32 MB at most) it then keeps it (mallopt(3),
    M_MMAP_THRESHOLD). Of a million rows that is 8,000 page faults, a twentieth of the time, and 30 MB that stay
    when all is done. No page of this one is touched; other allocators are not the wiser for it."""
    np.empty(30 << 20, np.uint8)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for cycles: of a reel hundreds of thousands of small objects are made, and hardly a cycle."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


__all__ = ["Distilled", "Gap", "distil", "heal_gaps"]
