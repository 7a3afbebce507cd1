"""What is known of each reel from earlier runs: how far it was read, and what was heard on it.

``<lake>/.htxdata/distilled/<as on the tape>.known``: a cache. Without it the reels are read again from their beginning,
and nothing in the lake changes. It is not believed where it was made by another version of the parsers, or where a
partition that rows went to is no longer in the lake.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from htxdata.errors import StoreError
from htxdata.store import refusals, whole
from htxdata.store.place import Root, beside, verbs

VERSION = 2
"""To be raised with every change of a parser, or of anything below: then all reels are read again."""

_FOLDER = "distilled"


class Stretch(msgspec.Struct, array_like=True):
    """A topic was heard without a break, or a book was whole, in ``[start, end)`` by the venue's clock.

    ``heard_from`` and ``heard_to`` are the receive times of the messages that tell. ``end`` is 0 while it goes on.
    ``cause`` is why it ended; "" where that was the connection's end.
    """

    start: int
    heard_from: int
    end: int = 0
    heard_to: int = 0
    cause: str = ""


class BookLine(msgspec.Struct):
    """Where the book of a topic stands. ``levels`` are columns: prices (of asks below 0), sizes, contracts."""

    sequence: int = -1
    seeded: bool = False
    fresh: bool = False  # nothing was applied since the answer to a request
    muted: bool = False  # a newer connection tells
    day: int = -1
    back: bool = False  # the last message was of an earlier day than the one before
    at: int = 0
    received_at: int = 0
    levels: tuple[list[float], list[float], list[float]] = ([], [], [])
    waiting: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    unplaced: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # a whole book that does not say of when it is


class CandleLine(msgspec.Struct):
    """The candles of a topic that are not final yet, as they were last pushed; the first that was pushed at all."""

    open: dict[int, dict[str, Any]] = {}
    first: int = 0


class NameLine(msgspec.Struct):
    """Of the last instants of a topic whose trades are named: what of each name was heard, by the venue's numbers."""

    instants: dict[int, dict[str, list[str]]] = {}


class StateLine(msgspec.Struct):
    """What a topic said last that holds until it says otherwise."""

    said: list[list[Any]] = []


class Topic(msgspec.Struct):
    symbol: str
    period: str | None
    stretches: list[Stretch] = []
    resumes: bool = False  # something of the tape was lost: the next message begins a new stretch
    book: BookLine | None = None
    candles: CandleLine | None = None
    names: NameLine | None = None
    state: StateLine | None = None
    proved: int = 0  # by the venue's clock, up to when the numbers of a book say that nothing is missing

    @property
    def key(self) -> tuple[str, str | None]:
        return self.symbol, self.period

    @property
    def running(self) -> Stretch | None:
        return self.stretches[-1] if self.stretches and not self.stretches[-1].end else None


class Answered(msgspec.Struct, array_like=True):
    """A taped reply brought every row of a symbol in ``[start, end)`` by the venue's clock."""

    symbol: str
    start: int
    end: int
    received_at: int


class Known(msgspec.Struct):
    """Of one reel. ``clock`` is the latest time that the venue said, ``received_at`` when we heard it."""

    version: int = VERSION
    offset: int = 0
    done: bool = False
    live: bool = False
    why: str = ""
    opened_at: int = 0
    clock: int = 0
    received_at: int = 0
    sizes: dict[str, float] = {}
    topics: dict[str, Topic] = {}
    answered: list[Answered] = []
    partitions: list[str] = []


_decode = msgspec.msgpack.Decoder(Known).decode
_encode = msgspec.msgpack.Encoder().encode


class Memory:
    """What is known of the reels of one tape, in one lake."""

    def __init__(self, lake: Root, tape: Path) -> None:
        self._lake, self._tape, self._beside = lake, tape, beside(lake)
        self._verbs = verbs(lake)

    def recall(self, reel: Path) -> Known:
        """What was known; a blank where there is nothing to go by."""
        try:
            known = _decode(self._place(reel).read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return Known()
        if known.version != VERSION or not all(map(self._there, known.partitions)):
            return Known()
        return known

    def keep(self, reel: Path, known: Known) -> None:
        target = self._place(reel)
        with contextlib.suppress(OSError):  # without it, the reel is read again
            target.parent.mkdir(parents=True, exist_ok=True)
            whole.replace(target, _encode(known), durable=False)

    def _place(self, reel: Path) -> Path:
        inside = reel.relative_to(self._tape)
        return (self._beside / _FOLDER / inside).with_suffix(".known")

    def _there(self, folder: str) -> bool:
        return self._verbs.newest(f"{self._lake}/{folder}") is not None


@contextmanager
def alone(lake: Root, say: Callable[[str], None]) -> Iterator[None]:
    """While another process of this machine distils into the same lake, wait, and say so."""
    folder = beside(lake) / _FOLDER
    with refusals.entering(lake, str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another distil of this lake is under way: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error
    finally:
        os.close(lock)
