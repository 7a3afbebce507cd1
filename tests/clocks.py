"""Clocks of the tests' own, for claims about time on a machine that is busy, or stands still for a second or two."""

from __future__ import annotations

import asyncio
import os
import selectors
import threading
import time
from bisect import bisect
from collections.abc import Coroutine
from math import inf
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")

_LOOKED_S = 0.25
"""A sandbox with a connection looks at its clock every 50 ms."""

_ANSWERED_S = 0.05
"""What another thread takes to answer, at most, where nothing holds it up."""


class Wound:
    """A clock that was set to `start` (seconds since 1970) and runs at `speed`, for whom looks at it all the time.

    It does not count what the machine stood still: a fast clock would be minutes ahead of all who stood still with it.
    """

    def __init__(self, start: float, speed: float = 1.0) -> None:
        self.speed, self._lock = speed, threading.Lock()
        self._looks = [(time.monotonic(), start)]

    def __call__(self) -> float:
        with self._lock:
            at, (last, now) = time.monotonic(), self._looks[-1]
            self._looks.append((at, now + min(at - last, _LOOKED_S) * self.speed))
            return self._looks[-1][1]

    def was(self, at: float) -> float:
        """What it said when it was looked at last before an instant of `time.monotonic`."""
        with self._lock:
            return self._looks[max(0, bisect(self._looks, (at, inf)) - 1)][1]


class Hands:
    """A clock that goes on when it is told to. Stands in for the module `time` of who looks at `time.monotonic`."""

    def __init__(self) -> None:
        self.at = time.monotonic()

    def monotonic(self) -> float:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += seconds


class Calm(asyncio.SelectorEventLoop):
    """A loop whose time is what it wanted to wait, and what it computed: not what others had of the machine meanwhile.

    So what is between two who talk in one loop takes the same time on every machine.
    """

    def __init__(self) -> None:
        selector = selectors.DefaultSelector()
        super().__init__(selector)
        self._waited, select = 0.0, selector.select
        self._computed = time.pthread_getcpuclockid(threading.get_ident())

        def wait(timeout: float | None = None) -> Any:
            began = time.monotonic()
            found = select(timeout)
            passed = time.monotonic() - began
            self._waited += min(passed, _ANSWERED_S if found or timeout is None else timeout)
            return found

        selector.select = wait  # type: ignore[method-assign]

    def time(self) -> float:
        """Seconds; any thread may look."""
        return self._waited + time.clock_gettime(self._computed)


class Watch:
    """Seconds that went by in a ``with`` block; not those in which the machine was with others, however it came.

    For a claim that something does not wait. What is claimed to wait is measured by any clock. ``own`` are the seconds
    that a process would have taken on a machine of its own: of many that want to run each has its share.
    """

    def __enter__(self) -> Watch:
        self.seconds = self.own = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        clock, over = Wound(0.0), False
        while not over:
            over = self._over.wait(0.01)
            before, self.seconds = self.seconds, clock()
            running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1  # all but this thread
            self.own += (self.seconds - before) * min(1.0, len(os.sched_getaffinity(0)) / max(1, running))


def calmly(main: Coroutine[Any, Any, _T]) -> _T:
    """`asyncio.run`, in a loop whose time is its own."""
    with asyncio.Runner(loop_factory=Calm) as runner:
        return runner.run(main)
