"""One rate budget per exchange host and machine, shared by every process and thread on it (law 8).

Who wants to send takes the file of the host (`stampfile`), reserves the next slot by the arithmetic of
`protocol.pacing`, writes its stamp, lets go, and sleeps until its slot *outside* the lock. Slots are given in the order
of asking, and a process asks for its next when its present one has come, so nobody starves. A process that dies loses
its slot and nothing else. A pause is one more stamp in the same file, so it stops everyone who reads it.

About 6 us per `acquire` that need not wait. What four processes make of a budget: tests/transport/test_sharing.py.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from htxdata.errors import ConfigError, Unreachable
from htxdata.protocol import pacing
from htxdata.protocol.pacing import NEVER, SECOND_NS, Pace
from htxdata.transport.stampfile import StampFile

log = logging.getLogger(__name__)

Abandoned = Callable[[], bool]

_POLL_S = 0.05  # how promptly an abandoned wait ends
_AHEAD_S = 0.05
"""How far ahead the threads of one process reserve, beside the next slot: 2 slots at 8/s, 42 at 800/s. More than one,
because handing over takes a thread some milliseconds where others keep the GIL busy; not further, because it makes
processes nearly equal however many threads each has, and little is lost with who dies or with a pause."""


class GaveUpWaiting(Unreachable):
    """The caller did not want to wait for the budget any longer. Nothing was sent."""


class Turn(NamedTuple):
    """A slot that was given: its number, and its stamp (of `Budget.clock`)."""

    number: int
    stamp: int


@dataclass(frozen=True, slots=True)
class BudgetState:
    """For reports. ``given`` counts the slots that the whole machine was given since the file was begun."""

    key: str
    rate: float
    path: Path
    given: int
    paused_for: float
    strikes: int


class _Gate:
    """A semaphore that lets in who came first. With that of `threading`, who leaves and comes back overtakes who waits:
    of four hungry threads two were served.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._queue: deque[threading.Lock] = deque()
        self._mutex = threading.Lock()

    def enter(self, check: Callable[[], None]) -> None:
        with self._mutex:
            if self._places:
                self._places -= 1
                return
            called = threading.Lock()
            called.acquire()
            self._queue.append(called)
        try:
            while not called.acquire(timeout=_POLL_S):
                check()
        except BaseException:
            with self._mutex:
                waiting = called in self._queue
                if waiting:
                    self._queue.remove(called)
            if not waiting:  # called just as he turned away
                self.leave()
            raise

    def leave(self) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._places += 1


class Budget:
    """The right to send to one host. Thread-safe, process-safe, fork-safe; many may exist for the same ``key``.

    ``rate`` is in requests per second. Two with different rates for one key each obey their own against the shared
    stamps, which in effect lets the slower one govern while it is asking.
    """

    def __init__(
        self,
        key: str,
        rate: float,
        folder: Path | None = None,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            self.pace = Pace.of(rate)
        except ValueError as error:
            raise ConfigError(f"budget of {key}: {error}") from error
        self.key, self.rate, self.clock, self._sleep = key, rate, clock, sleep
        self._file = StampFile(key, folder, clock, rest=self.pace.period)
        self.forked()
        _budgets.add(self)

    @classmethod
    def at(cls, base: str, rate: float, pool: str = "") -> Budget:
        """The budget of the host at an address, or of a ``pool`` there. The scheme does not count: who asks a host and
        who listens to it keep to the same pauses."""
        name = base.rstrip("/").partition("://")[2]
        return cls(f"{name} {pool}" if pool else name, rate)

    def forked(self) -> None:
        """A gate that a thread of the parent held would stay shut in the child."""
        self._gate = _Gate(2 + int(min(self.rate, pacing.UNPACED) * _AHEAD_S))

    def close(self) -> None:
        """Lets go of the file; the next use opens it again."""
        self._file.close()

    def acquire(self, abandoned: Abandoned | None = None) -> Turn:
        """Returns when this thread may send one request, now. Raises `GaveUpWaiting` once ``abandoned()`` is true.

        The turn is only good for `renew`.
        """
        check = self._check(abandoned)
        if self.pace.lanes == 0:
            return self._claim(check)
        gate = self._gate
        gate.enter(check)
        try:
            return self._claim(check)
        finally:
            gate.leave()

    def renew(self, turn: Turn, abandoned: Abandoned | None = None) -> Turn:
        """For who did not send at once: carries the turn's stamp to now, or waits for another turn."""
        return self._hold(turn, self._check(abandoned)) or self.acquire(abandoned)

    def pause(self, seconds: float) -> None:
        """Nobody on this machine sends to this host for so long. A shorter pause does not end a longer one."""
        if seconds <= 0:
            return
        seconds = min(seconds, pacing.STATED_CAP_S)
        head = self._file.lock()
        try:
            until = self.clock() + int(seconds * SECOND_NS)
            if until > self._sane(head.paused_until):
                self._file.write_head(head._replace(paused_until=until))
        finally:
            self._file.unlock()
        if seconds >= 10:
            log.warning("%s: nobody on this machine asks for %.0f s", self.key, seconds)

    def strike(self, sent_at: int) -> int:
        """One more throttled reply, to a request sent at ``sent_at`` (of `clock`); how many in a row that makes.

        What was on its way when the row last grew is the same refusal, not another one.
        """
        head = self._file.lock()
        try:
            if sent_at > self._sane(head.struck_at):
                head = head._replace(strikes=min(head.strikes, 1 << 20) + 1, struck_at=self.clock())
                self._file.write_head(head)
            return max(1, head.strikes)
        finally:
            self._file.unlock()

    def relent(self, sent_at: int) -> None:
        """A good reply: the row of refusals is over, if the request was sent after it last grew."""
        if not self._file.peek().strikes:  # nearly always, and then it costs no lock
            return
        head = self._file.lock()
        try:
            if sent_at > self._sane(head.struck_at):
                self._file.write_head(head._replace(strikes=0))
        finally:
            self._file.unlock()

    def paused_for(self) -> float:
        """Seconds that are left of the present pause; 0 if there is none."""
        return max(0.0, (self._sane(self._file.peek().paused_until) - self.clock()) / SECOND_NS)

    def state(self) -> BudgetState:
        head = self._file.peek()
        return BudgetState(self.key, self.rate, self._file.path, head.turn, self.paused_for(), head.strikes)

    # -------------------------------------------------------------------------------------------------------- waiting

    def _check(self, abandoned: Abandoned | None) -> Callable[[], None]:
        def check() -> None:
            if abandoned is not None and abandoned():
                raise GaveUpWaiting(f"{self.key}: stopped while waiting for the rate budget")

        return check

    def _claim(self, check: Callable[[], None]) -> Turn:
        while True:
            turn, now = self._reserve(check)
            held = turn if turn.stamp <= now else self._hold(turn, check)
            if held is not None:
                return held

    def _hold(self, turn: Turn, check: Callable[[], None]) -> Turn | None:
        """Sleeps until the turn has come; None if it is lost."""
        while True:
            while (left := turn.stamp - self.clock()) > 0:
                check()
                self._sleep(min(left / SECOND_NS, _POLL_S))
            confirmed = self._confirm(turn, check)
            if confirmed is None or confirmed.stamp <= self.clock():
                return confirmed
            turn = confirmed

    def _reserve(self, check: Callable[[], None]) -> tuple[Turn, int]:
        file, lanes = self._file, self.pace.lanes
        head = file.lock(check)
        try:
            now = self.clock()
            lane = file.stamp(head.turn - lanes) if 0 < lanes <= head.turn else NEVER
            stamp = pacing.slot(self.pace, now, last=head.last, lane=lane, paused_until=head.paused_until)
            file.write_stamp(head.turn, stamp)  # before the head: who dies in between has taken nothing
            file.write_head(head._replace(turn=head.turn + 1, last=stamp))
            return Turn(head.turn, stamp), now
        finally:
            file.unlock()

    def _confirm(self, turn: Turn, check: Callable[[], None]) -> Turn | None:
        """After the sleep: the turn with the stamp that it has by now, or None if it is lost.

        Lost to a pause; or to such a lateness that the lane's next may have been sent. Who is merely late (a busy
        machine, a busy GIL) takes the stamp along to now, and pushes on those in its lane that still sleep.
        """
        file, lanes = self._file, self.pace.lanes
        head, now = file.peek(), self.clock()
        if self._sane(head.paused_until) > now or head.turn <= turn.number:
            return None
        stamp = self._sane(file.stamp(turn.number))
        if lanes == 0 or now - pacing.LATE_NS <= stamp:
            return Turn(turn.number, max(stamp, turn.stamp))
        head = file.lock(check)
        try:
            now = last = self.clock()
            followers = range(turn.number + lanes, head.turn, lanes)
            if head.turn <= turn.number or (followers and file.stamp(followers[0]) <= now + pacing.LATE_NS):
                return None
            file.write_stamp(turn.number, now)
            for number in followers:
                if file.stamp(number) >= last + self.pace.period:
                    break
                last += self.pace.period
                file.write_stamp(number, last)
            file.write_head(head._replace(last=max(head.last, last)))
            return Turn(turn.number, now)
        finally:
            file.unlock()

    def _sane(self, stamp: int) -> int:
        return stamp if stamp <= self.clock() + self.pace.horizon else NEVER


_budgets: weakref.WeakSet[Budget] = weakref.WeakSet()


def _after_fork() -> None:
    for budget in list(_budgets):
        budget.forked()


os.register_at_fork(after_in_child=_after_fork)
