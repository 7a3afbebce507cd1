"""GET, until there is an answer: ask the budget, send, stamp, let the venue judge, retry, give up with a sentence.

The one retry of the house is here (flows retry dead workers, never requests). What to retry is decided in
`protocol.backoff`, how long everybody pauses in `protocol.pacing`, what a body means by the venue's ``judge``: HTX says
most of its errors under HTTP 200 (htx-api 1.3). How bytes are exchanged is in `line`.

A host may count some of its requests by a limit of their own (htx-api 2.2: reference data of derivatives). Such a
request names its `Request.limit`, and is sent when the pool's budget and the host's both have a turn for it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib import metadata
from urllib.parse import quote, urlsplit

from htxdata.errors import ConfigError, KeyRefused, OutcomeUnknown, Refused, Unreachable, Untimely
from htxdata.protocol import backoff, pacing
from htxdata.protocol.pacing import SECOND_NS
from htxdata.protocol.wire import Fault, FaultKind, LimitHeaders, Reply, Request
from htxdata.transport.budget import Budget, Turn
from htxdata.transport.line import Failed, Limits, Line, Sink
from htxdata.transport.lines import Lines
from htxdata.transport.memory import keep_freed

Judge = Callable[[Reply], Fault | None]

Sign = Callable[[Request, str, int], tuple[tuple[str, str], ...]]
"""The parameters of a private request as they are sent, given the host as it is named to the venue, and the time (us
UTC). What it gives goes on the wire and nowhere else."""

Headers = Callable[[Request], Mapping[str, str]]
"""What a private request says in its headers, beside the usual ones: the key, where it is no parameter."""

LIMITS = Limits()
SOON = Limits(connect_s=5.0, silence_s=10.0, total_s=15.0)
"""Of who is waited for: an answer of some bytes."""

_HEADWAY = 1 << 20
"""Bytes that must have been poured since an earlier fault for that fault to be forgotten: a file of gigabytes may be
dropped more often than a page, as long as it gets on."""


Leave = tuple[tuple[Budget, Turn], ...]
"""The right to send now: a turn of each budget that the request counts against, the host's last."""


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

    ``pools`` are budgets inside the host's: a request whose ``pool`` is among them needs a turn of both, and what the
    venue says about limits in answer to it slows that pool. A request of another pool needs the host's alone; one that
    names none is on the safe side and counts against all of them. A ban stops the whole host.
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
        pools: Mapping[str, Budget] | None = None,
        sign: Sign | None = None,
        headers: Headers | None = None,
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
        self._named = named_host(base_url)
        self._sign, self._headers = sign, headers
        self._prefix = quote(parts.path.rstrip("/"), safe="/%")
        self._budget, self._judge, self._limit_headers = budget, judge, limit_headers
        pools = pools or {}
        self._alone = (budget,)
        self._nested: dict[str, tuple[Budget, ...]] = {pool: (inner, budget) for pool, inner in pools.items()}
        self._nested[""] = (*pools.values(), budget)
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

        Raises `Refused` for a fault that another attempt would not mend, `KeyRefused` for one of the key, `Unreachable`
        when the retries are used up: `Untimely` where the last one was of the time that it was signed at.
        """
        return self._persist(request, None)

    def stream(self, request: Request, sink: Sink) -> Reply:
        """The same, with the body poured into ``sink`` as it comes; the reply's own body is then empty.

        The sink is asked before each attempt what is still missing, and keeps what it was given by the failed ones.
        """
        return self._persist(request, sink)

    def tell(self, request: Request, body: bytes) -> Reply:
        """Say it once: a POST (or a DELETE) with a JSON body, on a new connection, never repeated whatever comes of it.

        Raises `OutcomeUnknown` where it was sent and no whole, sure answer came (a 5xx, a cut or garbled reply,
        silence, the venue's own "try again"); `Refused`, `KeyRefused` or `Untimely` where the venue surely did not do
        it; `Unreachable` where it was surely not sent.
        """
        if request.private and self._sign is None:
            raise ConfigError(f"{self.host}{request.path} needs a key, and this client has none")
        try:
            leave = self._wait(request, None)
            line = self._lines.fresh()
        except Failed as failed:
            raise Unreachable(f"{self.host}{request.path}: not sent: {failed.fault.message}") from None
        try:
            answer = line.ask(self._target(request), body=body, method=request.method, headers=self._shown(request))
        except Failed as failed:
            raise self._unsure(request, failed.fault) from None
        finally:
            self._tally()
            line.close()
        outcome, _ = self._weigh(
            Reply(request, answer.status, answer.body, self._now_us(), answer.headers), leave
        )
        if isinstance(outcome, Reply):
            return outcome
        if outcome.kind == "key":
            raise KeyRefused(f"{self.host}{request.path}: the key is not taken: {outcome.message}")
        if outcome.kind == "clock":
            raise Untimely(f"{self.host}{request.path}: signed at a time that is not taken: {outcome.message}")
        if outcome.retryable and outcome.kind not in ("throttled", "banned"):
            raise self._unsure(request, outcome)
        raise Refused(outcome.kind, f"{self.host}{request.path}: {outcome.message}")

    def _unsure(self, request: Request, fault: Fault) -> OutcomeUnknown:
        why = f"{fault.kind}: {fault.message}"
        return OutcomeUnknown(f"{self.host}{request.path}: whether it was done is not known: {why}")

    def _persist(self, request: Request, sink: Sink | None) -> Reply:
        if request.private and self._sign is None:
            raise ConfigError(f"{self.host}{request.path} needs a key, and this client has none")
        faults: list[FaultKind] = []
        began = 0
        held = 0 if sink is None else sink.held()
        while True:
            outcome, pause = self._attempt(request, sink)
            if isinstance(outcome, Reply):
                return outcome
            if outcome.kind == "key":
                raise KeyRefused(f"{self.host}{request.path}: the key is not taken: {outcome.message}")
            if not outcome.retryable:
                raise Refused(outcome.kind, f"{self.host}{request.path}: {outcome.message}")
            now = self._budget.clock()
            if sink is not None:
                if sink.held() >= held + _HEADWAY:
                    faults, began, held = [], 0, sink.held()
                held = min(held, sink.held())
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
                kind = Untimely if outcome.kind == "clock" else Unreachable
                raise kind(f"{self.host}{request.path}: {end} after {times}; {last}")
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

    def _attempt(self, request: Request, sink: Sink | None) -> tuple[Reply | Fault, float]:
        """A good reply, or what is wrong with it; and for how many seconds it made everybody pause."""
        excused = False
        while True:
            try:
                line, leave = self._leave(request)
            except Failed as failed:
                return failed.fault, 0.0
            try:
                answer = line.ask(self._target(request), sink, headers=self._shown(request))
                break
            except Failed as failed:
                self._tally()
                if not failed.stale or excused:
                    return failed.fault, 0.0
                # The venue closed an idle connection just as we wrote to it: ask once more, at once.
                excused = True
            except BaseException:  # the sink's own words
                self._tally()
                raise
        received_at = self._now_us()
        self._lines.give_back(line)
        self._tally(answer.wire_size)
        return self._weigh(Reply(request, answer.status, answer.body, received_at, answer.headers), leave)

    def _target(self, request: Request) -> str:
        """What is asked for; a private request is signed for this moment, after all waiting."""
        if request.private:
            assert self._sign is not None
            request = replace(request, params=self._sign(request, self._named, self._now_us()))
        return self._prefix + target_of(request)

    def _shown(self, request: Request) -> Mapping[str, str]:
        return self._headers(request) if request.private and self._headers is not None else {}

    def _leave(self, request: Request) -> tuple[Line, Leave]:
        """An open connection and the right to send on it now, in this order.

        A handshake between the two would make the send arrive later than its stamp says, beside those stamped after
        it, and a window of the venue would hold more than the budget.
        """
        line = self._lines.take()
        try:
            leave = self._wait(request, None)
            for _ in range(3):  # closed by the venue during a long wait
                if not line.dropped():
                    break
                line.close()
                line = self._lines.fresh()
                leave = self._wait(request, leave)
        except BaseException:
            self._lines.give_back(line)
            raise
        return line, leave

    def _wait(self, request: Request, leave: Leave | None) -> Leave:
        budgets = self._nested.get(request.limit, self._alone)
        began = self._budget.clock()
        pause = max(budget.paused_for() for budget in budgets)
        if pause > self._patience.seconds:
            raise Unreachable(
                f"{self.host}{request.path}: the venue wants no requests for another {pause:.0f} s"
            )
        try:
            if leave is None:
                leave = tuple((budget, budget.acquire(self._stopped)) for budget in budgets)
                if len(budgets) == 1:
                    return leave
            while True:  # the wait for one turn may have made another one late
                before = leave
                leave = tuple((budget, budget.renew(turn, self._stopped)) for budget, turn in before)
                if len(budgets) == 1 or leave == before:
                    return leave
        finally:
            waited = self._budget.clock() - began
            with self._mutex:
                self._waited_ns += waited

    def _weigh(self, reply: Reply, leave: Leave) -> tuple[Reply | Fault, float]:
        fault = backoff.settle(reply.status, self._judge(reply))
        if 300 <= reply.status < 400:
            where = reply.headers.get("location", "nowhere").partition("?")[0]  # it may repeat what was signed
            fault = Fault("refused", f"HTTP {reply.status} to {where!r}, not followed")
        counted, turn = leave[0]  # the narrowest limit that the request counts against
        strikes = 1
        if fault is None:
            counted.relent(turn.stamp)
        elif fault.kind == "throttled":
            strikes = counted.strike(turn.stamp)
        pause = pacing.pause_after(
            fault, reply.headers, reply.received_at, strikes=strikes, limits=self._limit_headers
        )
        of_the_limit = fault is None or not fault.retryable or fault.kind == "throttled"
        (counted if of_the_limit else self._budget).pause(pause)
        return fault or reply, pause

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _tally(self, size: int = 0) -> None:
        with self._mutex:
            self._requests += 1
            self._bytes += size


def named_host(base_url: str) -> str:
    """The host of an address as the ``Host`` line names it: in lower case, its port only where it is not the usual one.

    ``https://api.huobi.pro`` is ``api.huobi.pro``, ``http://127.0.0.1:8790/htx-spot`` is ``127.0.0.1:8790``.
    """
    parts = urlsplit(base_url)
    name = (parts.hostname or "").lower()
    name = f"[{name}]" if ":" in name else name
    usual = {"http": 80, "ws": 80, "https": 443, "wss": 443}.get(parts.scheme)
    return name if parts.port in (None, usual) else f"{name}:{parts.port}"


def target_of(request: Request) -> str:
    """What the first line of a GET names: percent-encoded, for some symbols of HTX are not ASCII (htx-api 1.2).

    A plus, too: in a path it means itself, but S3 takes it for a space.
    """
    path = _quoted(request.path, "/-._~:@!$&'()*,;=")
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
