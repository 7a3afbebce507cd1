"""One reel, read from where it was left: its frames through the feed's parser, and what was heard when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.ingest.distil_books import BookReader, Cut
from htxdata.ingest.distil_candles import CandleReader, columns_of, slots_of
from htxdata.ingest.distil_heard import asked_for, moment_of
from htxdata.ingest.distil_memory import Answered, Known, Stretch, Topic
from htxdata.ingest.distil_names import changed, named
from htxdata.ingest.distil_rows import Basket
from htxdata.ingest.distil_spans import MARGIN
from htxdata.ingest.plan import grid_for
from htxdata.market import Series
from htxdata.protocol.dialect import Acked, Heard, Push
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import UNFIT
from htxdata.store.coverage import Asked
from htxdata.store.reel import Frames, Record, Torn
from htxdata.venues.frames import unpack, unpacked
from htxdata.venues.pages import PAGE, Batch, Pages
from htxdata.venues.terms import NO_FACTS, Facts, Feed, Frame, Pushed, Venue

Key = tuple[str, str | None]
SetAside = Callable[[bytes, int, str], None]
"""A message that cannot be read, when it was received, and why."""

_BATCH, _BATCH_BYTES = 32_768, 8 << 20
"""Messages that are parsed at once: the columns of each symbol are made of them, not of one block."""


@dataclass
class ReelReader:
    """What one reel says. ``take`` what is on it, in order; ``finish`` at its end, or where it is left for now.

    Rows go into the basket; what was heard, and what must be known to read on later, into ``known``.
    """

    venue: Venue
    feed: Feed
    known: Known
    basket: Basket
    set_aside: SetAside
    cuts: Callable[[Key], Sequence[Cut]] = lambda key: ()
    frames: int = 0
    faults: int = 0
    _batch: Batch = field(default_factory=Batch)  # not parsed yet
    _bytes: int = 0
    _pages: list[Any] = field(default_factory=list)  # parsed, but not yet columns of each symbol
    _paged: tuple[int, int] = (0, 0)  # their messages, and the bytes of these
    _facts: Mapping[str, Facts] = field(default_factory=dict)
    _books: dict[Key, BookReader] = field(default_factory=dict)
    _candles: dict[Key, CandleReader] = field(default_factory=dict)
    _topics: dict[Key, Topic] = field(default_factory=dict)
    _own: dict[Key, Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._facts = {symbol: Facts(size) for symbol, size in self.known.sizes.items()}
        self._topics = {topic.key: topic for topic in self.known.topics.values()}
        self.feed = self.feed.of(self.known.topics)
        self._name()

    def _name(self) -> None:
        """Where the topics of the feed go by another name than the symbol: what that name stands for."""
        if self.feed.by:
            told = ((self.feed.symbol_of(name), topic.key) for name, topic in self.known.topics.items())
            self._own = {theirs: ours for theirs, ours in told if theirs is not None}

    # --------------------------------------------------------------------------------------------- the tape

    def take(self, found: Record | Frames | Torn) -> None:
        if isinstance(found, Frames):
            self._add(found)
            paged = isinstance(self.feed.parse, Pages)
            if len(self._batch) >= (PAGE if paged else _BATCH) or self._bytes >= _BATCH_BYTES:
                self._parse()
            return
        if isinstance(found, Torn):
            self.settle()
            self._torn()
        elif "path" in found.said and "event" not in found.said:
            self._reply(found)
        elif found.said.get("event") == "opened":
            self._opened(found)
        elif found.said.get("event") == "closed":
            self.settle()
            self.known.why = str(found.said.get("why"))

    def rest(self) -> None:
        """Put down everything that must be remembered of what was taken so far."""
        self.settle()
        for book in self._books.values():
            book.rest()

    def finish(self, goes_on: bool = True) -> None:
        """``goes_on``: the reel may be read on from here."""
        self.settle()
        for book in self._books.values():
            book.rest(goes_on)
            book.finish(self.known.received_at)

    def _opened(self, record: Record) -> None:
        self.settle()  # what came before was of other facts
        known, said = self.known, record.said
        known.opened_at = known.received_at = record.received_at
        known.sizes = {symbol: float(size) for symbol, size in (said.get("facts") or {}).items()}
        self._facts = {symbol: Facts(size) for symbol, size in known.sizes.items()}
        self.feed = self.feed.of(map(str, said.get("topics", ())))
        symbols = said.get("symbols") or {}
        for topic in said.get("topics", ()):
            key = self.feed.symbol_of(str(topic))
            if key is not None and topic not in known.topics:
                key = str(symbols.get(topic, key[0])), key[1]
                known.topics[topic] = self._topics[key] = Topic(*key)
        for topic, several in (said.get("shared") or {}).items():  # one that tells of several, and names none
            for symbol in several:
                name = f"{topic} {symbol}"
                if name not in known.topics:
                    known.topics[name] = self._topics[symbol, None] = Topic(symbol, None)
        self._name()

    def _torn(self) -> None:
        """Frames were lost with the tape. The numbers of books tell what that did to them; of all others, nothing was
        surely heard from the last message before it to the first one after it."""
        known = self.known
        for topic in known.topics.values():
            running = topic.running
            if running is not None and self.feed.watch is None:
                running.end, running.heard_to = max(running.start, known.clock - MARGIN), known.received_at
                running.cause, topic.resumes = "disk", True
        for candles in self._candles.values():
            candles.forget()

    def _add(self, found: Frames) -> None:
        self.frames += len(found.times)
        together = unpacked(found.bodies, found.joined)
        if together is not None:
            messages, size = together
            self._batch.times += found.times
            self._batch.messages += messages
            self._bytes += size
            return
        for received_at, body in zip(found.times, found.bodies, strict=True):
            try:
                message = unpack(body)
            except BadReply as error:
                self._fault(body, received_at, str(error))
                continue
            self._bytes += len(message)
            self._batch.times.append(received_at)
            self._batch.messages.append(message)
            if self._bytes >= 4 * _BATCH_BYTES:  # frames that inflate more than honest ones do
                self._parse()

    def _fault(self, body: bytes, received_at: int, why: str) -> None:
        self.faults += 1
        self.set_aside(body, received_at, why)

    # ------------------------------------------------------------------------------------------------ frames

    def settle(self) -> None:
        """Parse what was gathered, and hand all rows over."""
        self._parse()
        self._join()

    def _parse(self) -> None:
        batch, parse = self._batch, self.feed.parse
        if not batch:
            return
        size, self._batch, self._bytes = self._bytes, Batch(), 0
        self._listen(batch)
        if isinstance(parse, Pages):
            page = parse.page(batch, self._facts)
            if page is not None:
                self._pages.append(page)
                self._paged = self._paged[0] + len(batch), self._paged[1] + size
                if self._paged[0] >= _BATCH or self._paged[1] >= _BATCH_BYTES:
                    self._join()
                return
            self._join()
            parse = parse.look
        pushed = parse(batch, self._facts)
        for at, why in pushed.faults:
            self._fault(batch[at][1], batch[at][0], why)
        self._hand_over(pushed)

    def _join(self) -> None:
        pages, self._pages, self._paged = self._pages, [], (0, 0)
        if pages:
            assert isinstance(self.feed.parse, Pages)
            self._hand_over(self.feed.parse.join(pages))

    def _hand_over(self, pushed: Pushed) -> None:
        if self.feed.dataset == "book_changes":
            self._take_books(pushed)
        elif dataset_named(self.feed.dataset).density == "grid":
            self._take_candles(pushed)
        else:
            declared = dataset_named(self.feed.dataset)
            for key, columns in pushed.columns.items():
                own = self._own.get(key, key)
                if self.feed.unnumbered(own[0]):
                    columns = named(self._topic(own), columns)
                if "contracts" not in declared.columns:
                    columns.pop("contracts", None)  # it was part of the name
                if declared.density == "states":
                    columns = changed(self._topic(own), columns, declared)
                self._put(own, columns)

    def _listen(self, batch: Sequence[Frame]) -> None:
        """Which topics are heard since when, and how late it is by the venue's clock."""
        known, hear = self.known, self.feed.dialect.hear
        books = self.feed.dataset == "book_changes"
        if not books:
            waiting = {name for name, topic in known.topics.items() if not topic.stretches or topic.resumes}
            for received_at, message in batch if waiting else ():
                self._begin(waiting, hear(message), received_at)
                if not waiting:
                    break
        for _, message in reversed(batch):
            at = moment_of(hear(message))
            if at:
                known.clock = max(known.clock, at)
                break
        known.received_at = max(known.received_at, batch[-1][0])

    def _begin(self, waiting: set[str], heard: Heard, received_at: int) -> None:
        """A topic is heard from its ack on, or from its first push, should that come first."""
        at = moment_of(heard)
        if not at:
            if isinstance(heard, Acked) and heard.topic in waiting:
                # An ack without a time (spot's /ws/v2): heard from the next message that tells it, a ping's at most.
                self.known.topics[heard.topic].resumes = True
            return
        for name in [name for name in waiting if self.known.topics[name].resumes]:
            self._start(waiting, name, at, received_at)
        if isinstance(heard, Acked) or (isinstance(heard, Push) and not heard.id):
            name = heard.topic
            if name in waiting:
                self._start(waiting, name, at, received_at)
            for one in [one for one in waiting if one.startswith(f"{name} ")] if self._shared else ():
                self._start(waiting, one, at, received_at)

    @property
    def _shared(self) -> bool:
        return any(" " in name for name in self.known.topics)

    def _start(self, waiting: set[str], name: str, at: int, received_at: int) -> None:
        topic = self.known.topics[name]
        topic.stretches.append(Stretch(at, received_at))
        topic.resumes = False
        waiting.discard(name)

    def _topic(self, key: Key) -> Topic:
        """A push of a topic that the reel was not opened with tells nothing of when it was heard, but is data."""
        if key not in self._topics:
            name = self.feed.topic(*key)
            self._topics[key] = self.known.topics[name] = Topic(*key)
        return self._topics[key]

    def _series(self, key: Key) -> Series:
        return Series(self.feed.dataset, self.venue.name, *key)

    def _put(self, key: Key, columns: Mapping[str, Any], source: str = "ws") -> None:
        folders = self.basket.put(self._series(key), columns, source)
        self.known.partitions = list(dict.fromkeys([*self.known.partitions, *folders]))

    def _take_books(self, pushed: Pushed) -> None:
        for key, messages in pushed.messages.items():
            reader = self._books.get(key)
            if reader is None:
                reader = BookReader(self._topic(key), self.feed.whole_by, self.cuts(key))
                self._books[key] = reader
            columns = pushed.columns.get(key)
            if columns is None:  # nothing but messages without a level
                columns = {name: [] for name in dataset_named(self.feed.dataset).columns if name != "source"}
            rows = reader.take(columns, messages)
            if len(rows["price"]):
                self._put(key, rows)

    def _take_candles(self, pushed: Pushed) -> None:
        for key, columns in pushed.columns.items():
            self._reader(key).take(columns)
        for key in list(self._topics):
            series = self._series(key)
            rows = self._reader(key).final(self.known.clock)
            if rows:
                self._put(key, columns_of(rows))
                grid = grid_for(series, self.venue)
                assert grid is not None
                for window in slots_of(rows, grid):
                    self.basket.claim(series, Asked(window, "ws", self.known.received_at))

    def _reader(self, key: Key) -> CandleReader:
        reader = self._candles.get(key)
        if reader is None:
            grid = grid_for(self._series(key), self.venue)
            assert grid is not None
            settle = dataset_named(self.feed.dataset).settle(key[1])
            reader = self._candles[key] = CandleReader(self._topic(key), grid, settle)
        return reader

    # ------------------------------------------------------------------------------------------ taped replies

    def _reply(self, record: Record) -> None:
        """A REST reply that was asked for to bridge a hole: its rows, and what they prove."""
        said = record.said
        params = tuple((str(name), str(value)) for name, value in said.get("params", ()))
        endpoints = self.venue.endpoints_for(self.feed.dataset, None)
        endpoint = next((e for e in endpoints if e.path == said["path"]), None)
        key = None if endpoint is None else asked_for(self.venue, self.feed, endpoint, params)
        if endpoint is None or key is None:
            self._fault(record.body, record.received_at, f"a reply to {said['path']} that nobody asked for")
            return
        reply = Reply(Request(said["path"], params), int(said["status"]), record.body, record.received_at)
        if (fault := self.venue.judge(reply)) is not None:
            self._fault(record.body, record.received_at, fault.message)
            return
        try:
            parsed = endpoint.read(reply, self._series(key), self._facts.get(key[0], NO_FACTS))
        except BadReply as error:
            self._fault(record.body, record.received_at, str(error))
            return
        page = parsed.page
        if not page.count or page.first is None or page.last is None:
            return
        columns = dict(parsed.columns)
        columns["received_at"] = [record.received_at] * page.count
        if parsed.unfit is not None:
            columns[UNFIT] = parsed.unfit
        # The oldest instant may be cut off, and no row is stored of which nothing can be said; what happened shortly
        # before the answer may not be in it yet.
        keep = np.flatnonzero(np.asarray(columns[dataset_named(self.feed.dataset).time_column]) > page.first)
        whole = {name: pa.array(values).take(pa.array(keep)) for name, values in columns.items()}
        if len(keep):
            self._put(key, whole, "rest")
        end = max(page.last, (page.until or 0) - MARGIN)
        if page.first + 1 < end:
            self.known.answered.append(Answered(key[0], page.first + 1, end, record.received_at))
