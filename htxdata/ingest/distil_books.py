"""From the messages of a book, as they were pushed, to the rows that rebuild it. Pure.

Rows are kept of every whole book (``snapshot``) and of every change that followed it without a message missing between
them (``delta``). After a break nothing is kept until the next whole book.

* Where a whole book must be asked for, changes wait for the answer. Those that are newer follow it, and count as
  received with it: earlier they were of no use, and whoever goes by ``received_at`` finds the whole book first. For the
  same reason the answer's ``book_time`` is not later than that of the first change after it. An answer that does not
  say of when it is has the time of the last change that is in it, or of the first one after it.
* Every UTC day begins with a whole book, so that each day can be rebuilt alone: with the day's first message the book
  as it stood before is put in front of it, as a ``snapshot`` of the day's first instant, received with that message and
  with the number of the message before. These are no two rows' key (a message never has the number of the one before
  it), and reading the same tape again makes the same rows. A day without a message gets none.
* Where nothing links a change to the one before it (``previous`` None), its ``sequence`` is a time: changes follow each
  other as long as it does not go back.
* A whole book without a single level has no rows, and so cannot be told from none.
* Where a newer connection has the book as well, it tells (``Cut``); where it does not any longer, the older one goes
  on, with the whole book as it then stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.ingest.distil_levels import Columns, Levels
from htxdata.ingest.distil_memory import BookLine, Stretch, Topic
from htxdata.schema.arrow import UNFIT
from htxdata.timeline import DAY
from htxdata.venues.htx.feeds_book_messages import KINDS, SIDES, Messages
from htxdata.venues.terms import BookMessage

MOST_WAITING = 4096
"""Changes that wait for a whole book, at ten a second some minutes; the oldest are let go of."""


class Cut(NamedTuple):
    """A newer connection has the book: by our clock, both ends included, and by the venue's."""

    heard_from: int
    start: int
    heard_to: int
    end: int


class BookReader:
    """One topic's book on one reel. ``take`` gives the rows that count."""

    def __init__(self, topic: Topic, whole_by: Literal["", "request", "anew"], cuts: Sequence[Cut]) -> None:
        self._topic, self._by, self._cuts = topic, whole_by, cuts
        if topic.book is None:
            topic.book = BookLine()
        self._line = topic.book
        self._parts: list[Columns] = []
        self._levels = Levels(*(np.array(column) for column in topic.book.levels))

    def take(self, columns: Columns, messages: Sequence[BookMessage]) -> Columns:
        """The next messages: the rows that they make."""
        columns = _numbered(columns)
        self._parts = []
        run = (0, 0)
        line = self._line
        breaks = messages.breaks(DAY) if isinstance(messages, Messages) else None
        count, place = len(messages), 0
        while place < count:
            message = messages[place]
            place += 1
            if not message.whole and line.seeded and not line.fresh and message.previous == line.sequence:
                # The usual way: in its place, on the same day, told by nobody else.
                if message.at // DAY != line.day or line.back or line.muted or self._cuts:
                    run = self._told(columns, run)
                    self._enter(message, columns)
                line.sequence, line.at, line.received_at = (
                    message.sequence or 0,
                    message.at,
                    message.received_at,
                )
                run = (run[0] if run[1] == message.first and run[1] > run[0] else self._start(columns, run, message),
                       message.last)  # fmt: skip
            else:
                run = self._told(columns, run)
                self._other(columns, message)
            if breaks is not None and self._steady(message):
                # All up to the next break follow in the usual way.
                at = int(breaks.searchsorted(place))
                end = int(breaks[at]) if at < len(breaks) else count
                if end > place:
                    last = messages[end - 1]
                    if run[1] == run[0]:
                        run = message.last, message.last
                    run = run[0], last.last
                    line.sequence, line.at, line.received_at = last.sequence or 0, last.at, last.received_at
                    place = end
        self._told(columns, run)
        rows = _joined(self._parts, columns)
        return rows | {name: pa.DictionaryArray.from_arrays(rows[name], words) for name, words in _WORDS.items()}

    def rest(self, goes_on: bool = True) -> None:
        """Put down where the book stands, to be remembered; of a reel at its end nobody asks for the levels again."""
        line = self._line
        if line.seeded and not line.muted:
            self._topic.proved = line.at + 1
        if not goes_on:
            return
        line.levels = self._levels.columns()
        line.waiting = [(told, _listed(rows)) for told, rows in line.waiting]
        if line.unplaced is not None:
            told, rows = line.unplaced
            line.unplaced = (told, _listed(rows))

    def finish(self, received_at: int) -> None:
        """There is nothing more up to ``received_at``: where the newer connection is over and this one is not, it
        tells again, though nothing happened."""
        line = self._line
        if line.muted and line.seeded and self._cut(received_at) is None:
            self._unmute(received_at)
            line.muted, line.back = False, True  # the book is put in front of the next message

    # -------------------------------------------------------------------------------------------- messages

    def _steady(self, message: BookMessage) -> bool:
        """Whether the book stands where ``message`` left it, and whatever follows that simply counts."""
        line = self._line
        return bool(
            line.seeded and not (line.fresh or line.back or line.muted or self._cuts)
            and line.sequence == message.sequence and line.day == message.at // DAY
        )  # fmt: skip

    def _start(self, columns: Columns, run: tuple[int, int], message: BookMessage) -> int:
        self._told(columns, run)
        return message.first

    def _told(self, columns: Columns, run: tuple[int, int]) -> tuple[int, int]:
        """The rows of messages that follow each other are part of the book, and of what is kept."""
        first, last = run
        if first == last:
            return 0, 0
        rows = {name: column[first:last] for name, column in columns.items()}
        self._levels.change(rows)
        if not self._line.muted:
            self._parts.append(rows)
        return 0, 0

    def _other(self, columns: Columns, message: BookMessage) -> None:
        """A message that is not simply the next one."""
        line = self._line
        number = -1 if message.sequence is None else message.sequence
        if message.whole:
            if message.asked and line.seeded:
                return  # an answer to somebody who had missed nothing
            if self._by == "anew" and line.seeded and number == line.sequence:
                return  # sent twice
            if self._by == "anew" and line.seeded and number != line.sequence + 1:
                self._break()
            self._begin(columns, message, number)
            return
        if not line.seeded and line.unplaced is not None:
            self._place(message.at)
        if not line.seeded:
            self._wait(columns, message)
            return
        linked = message.previous is not None
        if linked and number <= line.sequence:
            return  # sent twice, or before the whole book
        previous = -1 if message.previous is None else message.previous
        follows = previous == line.sequence or (line.fresh and previous <= line.sequence)
        if follows if linked else number >= line.sequence:
            line.fresh = False
            self._enter(message, columns)
            line.sequence, line.at, line.received_at = number, message.at, message.received_at
            self._told(columns, (message.first, message.last))
            return
        self._break()
        self._wait(columns, message)

    def _break(self) -> None:
        line, running = self._line, self._topic.running
        if running is not None:
            # Half-open: the last good message is inside.
            running.end, running.heard_to, running.cause = line.at + 1, line.received_at, "break"
        line.seeded = line.fresh = False
        line.unplaced = None
        self._levels = Levels()

    def _wait(self, columns: Columns, message: BookMessage) -> None:
        if self._by != "request":
            return
        rows = _of_its_own(columns, message)
        told = (message.received_at, message.at, message.sequence, message.previous)
        self._line.waiting.append((told, rows))
        del self._line.waiting[:-MOST_WAITING]

    def _place(self, at: int) -> None:
        """Of the whole book that does not say of when it is: so early is the first change that was heard."""
        assert self._line.unplaced is not None
        (received_at, number), rows = self._line.unplaced
        rows = _numbered(rows)
        whole = BookMessage(received_at, at, True, number, None, 0, len(rows["price"]), True)
        self._begin(rows, whole, number)

    def _begin(self, columns: Columns, message: BookMessage, number: int) -> None:
        """A whole book, and what waited for it."""
        line = self._line
        line.unplaced = None
        if not message.at:
            inside = [when for (_, when, sequence, _), _ in line.waiting if sequence <= number]
            heard = inside[-1:] or [when for (_, when, _, _), _ in line.waiting[:1]]
            if not heard:
                rows = _of_its_own(columns, message)
                line.unplaced = ((message.received_at, number), rows)
                return
            message = BookMessage(message.received_at, heard[0], True, number, None, message.first, message.last, True)
        waiting = [entry for entry in line.waiting if entry[0][2] > number]
        if waiting and (waiting[0][0][3] or 0) > number:
            return  # older than everything that was heard: of no use, another is asked for
        at = min([message.at, *(entry[0][1] for entry in waiting[:1])])
        self._levels, line.waiting = Levels(), []
        line.seeded, line.fresh, line.sequence = True, message.asked, number
        line.at, line.received_at = at, message.received_at
        line.day, line.back = max(line.day, at // DAY), False
        self._listen(message.received_at, at)
        rows = {name: column[message.first : message.last] for name, column in columns.items()}
        rows["book_time"] = np.full(message.last - message.first, at)
        self._told(rows, (0, message.last - message.first))
        for (_, when, sequence, previous), late in waiting:
            late = _numbered(late)
            count = len(late["price"])
            late["received_at"] = np.full(count, message.received_at)
            self._other(late, BookMessage(message.received_at, when, False, sequence, previous, 0, count))

    def _listen(self, received_at: int, at: int) -> None:
        """There is a whole book, by another message than the one before it."""
        line = self._line
        cut = self._cut(received_at)
        running = self._topic.running
        line.muted = cut is not None
        if cut is not None and running is not None:
            self._mute(cut)
        elif cut is None and running is None:
            self._topic.stretches.append(Stretch(at, received_at))

    # -------------------------------------------------------------------------------- days, other connections

    def _cut(self, received_at: int) -> Cut | None:
        return next((cut for cut in self._cuts if cut.heard_from <= received_at <= cut.heard_to), None)

    def _mute(self, cut: Cut) -> None:
        running = self._topic.running
        if running is not None:
            running.end, running.heard_to = max(cut.start, running.start), cut.heard_from

    def _unmute(self, received_at: int) -> None:
        ended = max((cut for cut in self._cuts if cut.heard_to < received_at), key=lambda cut: cut.heard_to)
        self._topic.stretches.append(Stretch(ended.end, ended.heard_to))

    def _enter(self, message: BookMessage, columns: Columns) -> None:
        """Before a change: is it of another day, or told by another connection?"""
        line = self._line
        cut = self._cut(message.received_at) if self._cuts else None
        if cut is not None and not line.muted:
            self._mute(cut)
        again = cut is None and line.muted
        if again:
            self._unmute(message.received_at)
        line.muted = cut is not None
        day = message.at // DAY
        if day > line.day:
            if not line.muted:
                # Where this connection only now tells, the day's beginning was told by the other one.
                self._restate(message, message.at if again else day * DAY, columns)
        elif not line.muted and (again or (line.back and day == line.day)):
            self._restate(message, message.at, columns)
        line.back = day < line.day
        line.day = max(line.day, day)

    def _restate(self, message: BookMessage, at: int, columns: Columns) -> None:
        """The book as it stood before a message."""
        there = self._levels.rows()
        count = len(there["price"])
        if not count:
            return
        same: Columns = {
            "book_time": at,
            "sequence": self._line.sequence,
            "previous_sequence": -1,  # NULL
            "received_at": message.received_at,
        }
        rows = {name: np.full(count, value) for name, value in same.items()}
        rows["kind"] = np.ones(count, np.int8)  # snapshot
        self._parts.append(
            {name: {**rows, **there}[name] for name in columns if name in rows or name in there}
        )


def _of_its_own(columns: Columns, message: BookMessage) -> Columns:
    """The rows of a message, to be kept: copies, or with them all rows that were read with it would be kept."""
    return {name: column[message.first : message.last].copy() for name, column in columns.items()}


def _joined(parts: Sequence[Columns], like: Columns) -> Columns:
    names = dict.fromkeys([*like, *(name for part in parts for name in part)])
    if len(parts) == 1:
        return parts[0]
    empty = {name: np.zeros(0, np.asarray(column).dtype) for name, column in like.items()}
    return {
        name: np.concatenate(
            [part[name] if name in part else _none(name, len(part["price"])) for part in parts]
        )
        if parts
        else empty[name]
        for name in names
    }


def _none(name: str, count: int) -> Any:
    """What rows have in a column that others alone have: no value that did not fit."""
    assert name == UNFIT
    return np.zeros(count, np.uint8)


_WORDS = {"kind": KINDS, "side": SIDES}


def _numbered(columns: Columns) -> Columns:
    """As numpy arrays; of words, their places."""
    return {name: _places(column, _WORDS[name]) if name in _WORDS else np.asarray(column)
            for name, column in columns.items()}  # fmt: skip


def _places(column: Any, words: Any) -> Any:
    if isinstance(column, np.ndarray) and column.dtype == np.int8:  # places already
        return column
    if not isinstance(column, pa.DictionaryArray):
        column = pa.DictionaryArray.from_arrays(pc.index_in(pa.array(column, pa.string()), words), words)
    assert column.dictionary.equals(words)
    assert not column.null_count
    return column.indices.to_numpy().astype(np.int8, copy=False)


def _listed(rows: Columns) -> Columns:
    """As lists, which can be written down."""
    return {
        name: pa.DictionaryArray.from_arrays(column, _WORDS[name]).to_pylist() if name in _WORDS else column.tolist()
        for name, column in _numbered(rows).items()
    }
