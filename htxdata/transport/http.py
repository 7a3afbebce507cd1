"""GET, until there is an answer: ask the budget, send, stamp, let the venue judge, retry, give up with a sentence.

The one retry of the house is here (flows retry dead workers, never requests). What to retry is decided in
`protocol.backoff`, how long everybody pauses in `protocol.pacing`, what a body means by the venue's ``judge``: HTX says
most of its errors under HTTP 200 (htx-api 1.3). How bytes are exchanged is in `line`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import metadata
from urllib.parse import quote, urlsplit

from htxdata.errors import ConfigError, Refused, Unreachable
from htxdata.protocol import backoff, pacing
from htxdata.protocol.pacing import SECOND_NS
from htxdata.protocol.wire import Fault, FaultKind, LimitHeaders, Reply, Request
from htxdata.transport.budget import Budget, Turn
from htxdata.transport.line import Failed, Limits, Line, Lines
from htxdata.transport.memory import keep_freed

Judge = Callable[[Reply], Fault | None]

LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Counts:
    """What a client did so far, for a run's report. ``bytes`` are those of bodies, as they came over the wire."""

    requests: int = 0
    bytes: int = 0
    retries: int = 0
    waited_s: float = 0.0


class Client:
    """One host. Threads may share it: each request in flight has a connection, and idle ones are used again.

    ``base_url`` may carry a path prefix (``http://127.0.0.1:8790/htx-spot``). ``judge`` is pure: a reply in, its fault
    out, or None where the reply is a good one. ``stop`` ends every wait promptly, with `Unreachable`. Redirects are not
    followed: an endpoint that has moved is for a person to look at.
    """

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        judge: Judge,
        limit_headers: LimitHeaders | None = None,
        *,
        stop: threading.Event | None = None,
        patience: backoff.Patience = backoff.PATIENCE,
        limits: Limits = LIMITS,
        now_us: Callable[[], int] | None = None,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(
                f"a host is written https://api.example.com or http://host:port/prefix, not {base_url!r}"
            )
        self.host = parts.netloc.rpartition("@")[2]
        self._prefix = quote(parts.path.rstrip("/"), safe="/%")
        self._budget, self._judge, self._limit_headers = budget, judge, limit_headers
        self._stop, self._patience, self._jitter = stop, patience, jitter
        self._now_us = now_us or _now_us
        self._sleep = sleep or (stop.wait if stop is not None else time.sleep)
        keep_freed()
        self._lines = Lines(base_url, f"htxdata/{_version()}", limits)
        self._mutex = threading.Lock()
        self._requests = self._bytes = self._retries = 0
        self._waited_ns = 0

    def get(self, request: Request) -> Reply:
        """The reply that the judge found nothing wrong with.

        Raises `Refused` for a fault that another attempt would not mend, `Unreachable` when the retries are used up.
        """
        target = self._prefix + target_of(request)
        faults: list[FaultKind] = []
        began = 0
        while True:
            outcome, pause = self._attempt(request, target)
            if isinstance(outcome, Reply):
                return outcome
            if not outcome.retryable:
                raise Refused(outcome.kind, f"{self.host}{request.path}: {outcome.message}")
            now = self._budget.clock()
            began = began or now
            elapsed = (now - began) / SECOND_NS
            delay = backoff.delay_after(
                outcome, faults, elapsed=elapsed, jitter=self._jitter(), pause=pause, patience=self._patience
            )
            faults.append(outcome.kind)
            if delay is not None and delay > 0 and not self._stopped():
                self._sleep(delay)
            if delay is None or self._stopped():
                end = "gave up" if delay is None else "stopped"
                times = f"{len(faults)} attempt{'s' if len(faults) > 1 else ''} in {elapsed:.1f} s"
                last = f"the last fault was {outcome.kind}: {outcome.message}"
                raise Unreachable(f"{self.host}{request.path}: {end} after {times}; {last}")
            with self._mutex:
                self._retries += 1

    def counts(self) -> Counts:
        with self._mutex:
            return Counts(self._requests, self._bytes, self._retries, self._waited_ns / SECOND_NS)

    def close(self) -> None:
        """Closes the idle connections. The client can still be used afterwards."""
        self._lines.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------- one attempt

    def _attempt(self, request: Request, target: str) -> tuple[Reply | Fault, float]:
        """A good reply, or what is wrong with it; and for how many seconds it made everybody pause."""
        excused = False
        while True:
            try:
                line, sent_at = self._leave(request)
            except Failed as failed:
                return failed.fault, 0.0
            try:
                answer = line.ask(target)
                break
            except Failed as failed:
                self._tally()
                if not failed.stale or excused:
                    return failed.fault, 0.0
                excused = (
                    True  # the venue closed an idle connection just as we wrote to it: ask once more, at once
                )
        received_at = self._now_us()
        self._lines.give_back(line)
        self._tally(answer.wire_size)
        return self._weigh(Reply(request, answer.status, answer.body, received_at, answer.headers), sent_at)

    def _leave(self, request: Request) -> tuple[Line, int]:
        """An open connection and the right to send on it now, in this order; and the stamp of that right.

        A handshake between the two would make the send arrive later than its stamp says, beside those stamped after
        it, and a window of the venue would hold more than the budget.
        """
        line = self._lines.take()
        try:
            turn = self._wait(request, None)
            for _ in range(3):  # closed by the venue during a long wait
                if not line.dropped():
                    break
                line.close()
                line = self._lines.fresh()
                turn = self._wait(request, turn)
        except BaseException:
            self._lines.give_back(line)
            raise
        return line, turn.stamp

    def _wait(self, request: Request, turn: Turn | None) -> Turn:
        budget = self._budget
        began = budget.clock()
        pause = budget.paused_for()
        if pause > self._patience.seconds:
            raise Unreachable(
                f"{self.host}{request.path}: the venue wants no requests for another {pause:.0f} s"
            )
        try:
            return budget.acquire(self._stopped) if turn is None else budget.renew(turn, self._stopped)
        finally:
            waited = budget.clock() - began
            with self._mutex:
                self._waited_ns += waited

    def _weigh(self, reply: Reply, sent_at: int) -> tuple[Reply | Fault, float]:
        fault = backoff.settle(reply.status, self._judge(reply))
        if 300 <= reply.status < 400:
            where = reply.headers.get("location", "nowhere")
            fault = Fault("refused", f"HTTP {reply.status} to {where!r}, not followed")
        strikes = 1
        if fault is None:
            self._budget.relent(sent_at)
        elif fault.kind == "throttled":
            strikes = self._budget.strike(sent_at)
        pause = pacing.pause_after(
            fault, reply.headers, reply.received_at, strikes=strikes, limits=self._limit_headers
        )
        self._budget.pause(pause)
        return fault or reply, pause

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _tally(self, size: int = 0) -> None:
        with self._mutex:
            self._requests += 1
            self._bytes += size


def target_of(request: Request) -> str:
    """What the first line of a GET names: percent-encoded, for some symbols of HTX are not ASCII (htx-api 1.2)."""
    path = _quoted(request.path, "/-._~:@!$&'()*+,;=")
    query = "&".join(f"{_quoted(name, '')}={_quoted(value, '')}" for name, value in request.params)
    return f"{path}?{query}" if query else path


@lru_cache(maxsize=512)
def _quoted(text: str, safe: str) -> str:
    return quote(text, safe=safe)


def _now_us() -> int:
    return time.time_ns() // 1000


@cache
def _version() -> str:
    try:
        return metadata.version("htxdata")
    except metadata.PackageNotFoundError:  # run from a folder that nobody installed
        return "0"
