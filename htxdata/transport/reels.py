"""The thread that puts what all connections of a process heard on their reels, and the memory that frames wait in.

What a connection heard comes in pieces: frames one after the other, events between them. Where the disk cannot keep up,
nothing is thrown away: with `MOST` bytes in memory the connections stop reading until half of them are written, and it
is the venue that waits.
"""

from __future__ import annotations

import mmap
import threading
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, Protocol

MOST = 256 << 20
"""Bytes of frames, all lines together, that may wait for the disk."""

CHUNK = 512 << 10
"""Bytes of frames that are collected at most before they are handed over. The memory is used again and again: taking
fresh pages from the system costs more than everything else that is done with a frame (1.4 us for 2.4 kB, against 0.1).
"""


OnFrames = Callable[[Sequence[int], Sequence[bytes]], None]


class Written(Protocol):
    """Where a line writes: `store.reel.Reel`. Only the writer's thread calls it."""

    def note(self, received_at: int, said: Mapping[str, Any], body: bytes = b"") -> None: ...
    def block(self, times: Sequence[int], lengths: Sequence[int], content: bytes | memoryview) -> None: ...
    def write(self) -> None: ...
    def flush(self) -> None: ...
    def seal(self, received_at: int, why: str, detail: str = "") -> None: ...
    def abandon(self) -> None: ...


class Source(Protocol):
    """Who hears frames: `transport.websocket.Line`. ``call`` does something in its own thread."""

    reel: Written
    on_frames: OnFrames | None
    clock: Callable[[], int]
    broken: Exception | None
    unsynced: list[tuple[Sequence[int], list[bytes]]]

    def call(self, what: Callable[..., object], *args: object) -> None: ...
    def resume(self) -> None: ...
    def fail(self) -> None: ...


class Some(NamedTuple):
    """Frames one after the other, in a chunk of the writer's or in memory of their own."""

    times: array[int]
    lengths: array[int]
    content: bytes | memoryview
    chunk: memoryview | None

    def bodies(self) -> list[bytes]:
        return [
            bytes(self.content[start:end]) for start, end in pairwise(accumulate(self.lengths, initial=0))
        ]

    def size(self) -> int:
        """Of the memory that it holds."""
        return len(self.content if self.chunk is None else self.chunk)


class Event(NamedTuple):
    at: int
    said: Mapping[str, Any]
    body: bytes


class Sync(NamedTuple):
    """Everything before it is to be on the disk."""


class Seal(NamedTuple):
    why: str
    detail: str
    done: Callable[[], None]


Item = Some | Event | Sync | Seal


class Writer:
    """The thread that puts what all lines of a process heard on the disk. Close it after the last line ended."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._given: dict[Source, list[Item]] = {}
        self._paused: set[Source] = set()
        self._due = threading.Event()
        self._ends = False
        self._lags: deque[float] = deque(maxlen=4096)
        self._chunks: list[memoryview] = []
        self._thread = threading.Thread(target=self._run, name="reels", daemon=True)
        self._thread.start()
        self.backlog = 0
        """Bytes of frames that are not on the disk yet."""
        self.written = 0
        """Bytes of frames that are."""

    def lags(self) -> list[float]:
        """Of the last 4096 flushes, the seconds between the receipt of the oldest frame and the end of its sync: the
        worst of each flush, in no order."""
        with self._lock:
            return sorted(self._lags)

    def close(self) -> None:
        """Write what is left, and end."""
        self._ends = True
        self._due.set()
        self._thread.join()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def chunk(self) -> memoryview:
        """Memory for frames; it comes back by itself."""
        try:
            return self._chunks.pop()
        except IndexError:
            return memoryview(mmap.mmap(-1, CHUNK))

    def give(self, line: Source, items: Sequence[Item]) -> bool:
        """Take what ``line`` heard. Whether it should stop reading now; it is told when to go on."""
        with self._lock:
            self._given.setdefault(line, []).extend(items)
            self.backlog += sum(item.size() for item in items if isinstance(item, Some))
            full = self.backlog > self._most
            if full:
                self._paused.add(line)
        self._due.set()
        return full

    def _run(self) -> None:
        while not (self._ends and not self._given):
            self._due.wait()
            self._due.clear()
            with self._lock:
                given, self._given = self._given, {}
            for line, items in given.items():
                if not line.broken:
                    try:
                        self._write(line, items)
                    except Exception as error:
                        line.broken = error
                        line.reel.abandon()
                        line.call(line.fail)
                some = [item for item in items if isinstance(item, Some)]
                self._chunks += [each.chunk for each in some if each.chunk is not None]
                with self._lock:
                    self.backlog -= sum(each.size() for each in some)
                    self.written += 0 if line.broken else sum(len(each.content) for each in some)
                    resumed = list(self._paused) if self.backlog <= self._most // 2 else []
                    self._paused.difference_update(resumed)
                for each in resumed:
                    each.call(each.resume)
                for item in items:
                    if isinstance(item, Seal):
                        line.call(item.done)

    def _write(self, line: Source, items: Sequence[Item]) -> None:
        syncs = False
        for item in items:
            if isinstance(item, Some):
                line.reel.block(item.times, item.lengths, item.content)
                line.unsynced.append((item.times, item.bodies() if line.on_frames is not None else []))
            elif isinstance(item, Event):
                line.reel.note(*item)
            else:
                syncs = True
        if not syncs:
            line.reel.write()
            return
        line.reel.flush()
        synced, line.unsynced = line.unsynced, []
        if synced:
            with self._lock:
                self._lags.append(line.clock() / 1e9 - synced[0][0][0] / 1e6)
        if (on_frames := line.on_frames) is not None:
            for times, bodies in synced:
                on_frames(times, bodies)
        for seal in (item for item in items if isinstance(item, Seal)):
            line.reel.seal(line.clock() // 1000, seal.why, seal.detail)
