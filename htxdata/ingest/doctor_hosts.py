"""Every configured host asked one small thing, all at once: does it answer, how fast, and what time has it got."""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from htxdata.config import HOSTS, Settings
from htxdata.errors import BadReply, HtxdataError, Refused
from htxdata.ingest.doctor_terms import Check, Status
from htxdata.protocol.backoff import Patience
from htxdata.protocol.wire import LimitHeaders, Reply, Request
from htxdata.transport import download
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client, Headers, Judge, Sign
from htxdata.transport.line import Limits
from htxdata.transport.reach import reach
from htxdata.venues import VENUES
from htxdata.venues.terms import Bucket, Feed, Venue

STEP_S = 4.0
"""To connect, and between two pieces of an answer."""

WITHIN_S = 7.0
"""All hosts together."""

SLOW_S, WRONG_S = 1.0, 30.0
"""Seconds of skew that are worth a warning, and a problem: signed requests are refused, settle delays mean nothing."""

_TIMES: Mapping[str, tuple[str, str]] = {
    "htx_spot_rest": ("/v1/common/timestamp", "data"),  # htx-api 1.6: {"status":"ok","data":<ms>}
    "htx_swap_rest": ("/api/v1/timestamp", "ts"),  # htx-api 1.6: {"status":"ok","ts":<ms>}
    "hashkey_rest": ("/api/v1/time", "serverTime"),  # hashkey-api 4: {"serverTime":<ms>}
}
"""Where a host says its time, and in which field, milliseconds UTC."""


@dataclass(frozen=True)
class Skew:
    """How far this machine's clock is ahead of the host's, seconds, and by how much that may be wrong."""

    seconds: float
    give: float
    by: str


@dataclass(frozen=True)
class Asked:
    """What came of one host. ``asked`` is False where nobody wanted to know."""

    key: str
    status: Status
    says: str
    details: Mapping[str, Any] = field(default_factory=dict)
    skew: Skew | None = None
    asked: bool = True


class Asking:
    """All hosts, under way from the beginning in threads that nobody has to wait for."""

    def __init__(self, settings: Settings) -> None:
        self._stop = threading.Event()
        self._until = time.monotonic() + WITHIN_S
        self._found: dict[str, Asked] = {}
        self._threads: dict[str, threading.Thread] = {}
        # A host without a default that nobody gave an address is nobody's: there is nothing to say of it.
        asked = {key: base for key, base in settings.hosts.items() if base or HOSTS.get(key)}
        for key, base in asked.items():
            question = _question(settings, key, base or "", self._stop)
            if isinstance(question, Asked):
                self._found[key] = question
            else:
                # A daemon: a name's resolution cannot be stopped, and must not hold up the end of the program.
                self._threads[key] = threading.Thread(
                    target=self._run, args=(key, base, question), daemon=True
                )
        self._order = tuple(asked)
        for thread in self._threads.values():
            thread.start()

    def _run(self, key: str, base: str, question: Callable[[], Asked]) -> None:
        try:
            found = question()
        except BadReply as error:
            says = f"{key} ({base}) answers, but not as it should: {error}; is hosts.{key} right?"
            found = Asked(key, "problem", says, {"address": base})
        except HtxdataError as error:
            found = _silent(key, base, str(error).rpartition("the last fault was ")[2])
        except Exception as error:  # a doctor that falls ill names what he caught
            found = _silent(key, base, f"{type(error).__name__}: {error}")
        self._found.setdefault(key, found)

    def wait(self, seconds: float) -> None:
        """Until all have answered, or for so long."""
        until = time.monotonic() + seconds
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))

    def end(self) -> list[Asked]:
        """What is known by the deadline, in the order of the settings."""
        self.wait(self._until - time.monotonic())
        self._stop.set()
        late = f"no answer within {WITHIN_S:g} s (its name may not resolve, or others use up the budget)"
        return [self._found.setdefault(key, _silent(key, "", late)) for key in self._order]


def host_checks(found: list[Asked]) -> list[Check]:
    return [Check(f"host {one.key}", one.status, one.says, one.details) for one in found]


def clock_check(found: list[Asked]) -> Check:
    """This machine's clock against those of the hosts that told theirs; the most exact witness counts."""
    told = [(one.key, one.skew) for one in found if one.skew is not None]
    details = {
        key: {"ahead_seconds": round(skew.seconds, 3), "give_or_take": round(skew.give, 3), "by": skew.by}
        for key, skew in told
    }
    if not told:
        return Check("clock", "warning", "not known: no host told its time; mend the hosts above first")
    key, skew = max(told, key=lambda pair: abs(pair[1].seconds) - pair[1].give)
    size = abs(skew.seconds)
    sure = size - skew.give
    where = "ahead of" if skew.seconds > 0 else "behind"
    says = f"this machine's clock is {size:.2f} s {where} {key} (give or take {skew.give:.2f} s)"
    if sure <= SLOW_S:
        return Check("clock", "ok", says, details)
    says += "; let it be set by NTP (timedatectl set-ntp true)"
    return Check("clock", "problem" if sure > WRONG_S else "warning", says, details)


# ---------------------------------------------------------------------------------------------------- one host


def _question(settings: Settings, key: str, base: str, stop: threading.Event) -> Asked | Callable[[], Asked]:
    rest = next((venue for venue in VENUES if venue.host == key), None)
    shelf = next((venue for venue in VENUES if venue.archive_host == key and venue.bucket), None)
    feed = next((feed for venue in VENUES for feed in venue.feeds if feed.host == key), None)
    if rest is None and shelf is None and feed is None:
        return _unasked(key, base, "no venue of this htxdata asks it yet")
    if not base:
        how = (
            "switched off, REST alone is asked" if shelf else f"it has no address; set hosts.{key} to use it"
        )
        return _unasked(key, base, how)
    if feed is not None:
        return lambda: _socket(key, base, feed)
    if shelf is not None:
        beside = settings.hosts.get(shelf.host) or ""
        if _is_local(base) != _is_local(beside):
            return _unasked(key, base, "a sandbox and the real archive are two markets, and never mixed")
        bucket = shelf.bucket
        assert bucket is not None
        return lambda: _shelf(settings, key, base, bucket, stop)
    assert rest is not None
    return lambda: _rest(settings, key, base, rest, stop)


def _unasked(key: str, base: str, why: str) -> Asked:
    return Asked(key, "ok", f"not asked: {why}", {"address": base or None, "asked": False}, asked=False)


def _silent(key: str, base: str, why: str) -> Asked:
    """Who did not answer, or not with what was asked for; ``why`` may begin with the kind of a fault."""
    where = f" ({base})" if base else ""
    details = {"address": base or None, "why": why}
    kind, _, words = why.partition(": ")
    if kind in ("throttled", "busy", "maintenance"):
        says = f"{key}{where} answers, but cannot serve us now ({kind}: {words}); ask again in some minutes"
        return Asked(key, "warning", says, details)
    if kind == "banned":
        says = f"{key}{where} has banned this address ({words}); wait, and lower budgets.{key}"
        return Asked(key, "problem", says, details)
    mend = f"is the network up, and hosts.{key} right?"
    if "certificate" in why:
        mend = "is a proxy in between, this machine's clock wrong, or its certificates too old?"
    says = f"{key}{where} does not answer: {why.removeprefix('network: ').rstrip('.')}; {mend}"
    return Asked(key, "problem", says, details)


def _paused(key: str, base: str, budget: Budget) -> Asked | None:
    """The venue wanted silence of this machine: a doctor keeps it as everybody does (law 8)."""
    left = budget.paused_for()
    if left <= STEP_S:
        return None
    says = f"{key} ({base}) wants no requests of this machine for another {left:.0f} s: it is not asked now"
    return Asked(key, "warning", says, {"address": base, "paused_seconds": round(left)}, asked=False)


def _budget(settings: Settings, key: str, base: str) -> Budget:
    """This machine's, as every command shares it."""
    return Budget.at(base, settings.budgets[key])


def _client(
    base: str, budget: Budget, judge: Judge, stop: threading.Event, limits: LimitHeaders | None,
    sign: Sign | None = None, headers: Headers | None = None,
) -> Client:
    """Hardly any patience."""
    return Client(
        base.rstrip("/"), budget, judge, limits, sign=sign, headers=headers, stop=stop,
        patience=Patience(attempts=1, throttles=1, bans=1, seconds=STEP_S),
        limits=Limits(connect_s=STEP_S, silence_s=STEP_S, total_s=STEP_S, body_bytes=8 << 20),
    )  # fmt: skip


def _timed(client: Client, request: Request) -> tuple[Reply, float]:
    """A reply, and the seconds from its sending on; the wait for the budget is none of the host's."""
    began, waited = time.monotonic(), client.counts().waited_s
    reply = client.get(request)
    return reply, max(0.0, time.monotonic() - began - (client.counts().waited_s - waited))


def _rest(settings: Settings, key: str, base: str, venue: Venue, stop: threading.Event) -> Asked:
    path, name = _TIMES.get(key, ("", ""))  # where none is known: its list of instruments, and the header of that
    request, budget = Request(path) if path else venue.listings[0], _budget(settings, key, base)
    if (paused := _paused(key, base, budget)) is not None:
        return paused
    with _client(base, budget, venue.judge, stop, venue.limit_headers) as client:
        try:
            _, first = _timed(client, request)  # connects
            reply, seconds = _timed(client, request)
        except Refused as error:
            return Asked(
                key, "warning", f"{key} ({base}) answers, but not with its time: {error}", {"address": base}
            )
    details = {"address": base, "first_ms": _ms(first), "latency_ms": _ms(seconds)}
    known = Asked(key, "ok", f"answers in {_ms(seconds):g} ms", details)
    if not path:
        return _dated(known, reply, seconds)
    try:
        said = msgspec.json.decode(reply.body)[name]
    except (msgspec.DecodeError, KeyError, TypeError):
        said = None
    if not isinstance(said, int) or isinstance(said, bool):
        return replace(known, status="warning", says=f"{key} answers, but its {path} has no time in {name!r}")
    ahead = (reply.received_at / 1e6 - seconds / 2) - said / 1e3
    return replace(known, skew=Skew(ahead, seconds / 2 + 0.001, path))


def _shelf(settings: Settings, key: str, base: str, bucket: Bucket, stop: threading.Event) -> Asked:
    asks = bucket.list_request("", None)
    request = replace(asks, params=(*asks.params, ("max-keys", "1")))
    budget = _budget(settings, key, base)
    if (paused := _paused(key, base, budget)) is not None:
        return paused
    with _client(base, budget, download.judge, stop, None) as client:
        try:
            reply, seconds = _timed(client, request)
            bucket.listed(reply.body)
        except Refused as error:
            says = (
                f"{key} ({base}) answers, but refuses to be listed ({error}): names of files are then derived"
            )
            return Asked(key, "warning", says, {"address": base})
    found = Asked(
        key,
        "ok",
        f"lets itself be listed, in {_ms(seconds):g} ms",
        {"address": base, "latency_ms": _ms(seconds)},
    )
    return _dated(found, reply, seconds)


def _dated(found: Asked, reply: Reply, seconds: float) -> Asked:
    """The same with the skew that the answer's ``Date`` shows, if it has one."""
    try:
        at = email.utils.parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except ValueError:
        return found
    # The header has whole seconds, cut off: half of one is missing on the average.
    return replace(
        found, skew=Skew(reply.received_at / 1e6 - seconds / 2 - at - 0.5, 0.5 + seconds / 2, "Date")
    )


def _socket(key: str, base: str, feed: Feed) -> Asked:
    reached = reach(base.rstrip("/") + feed.path, STEP_S)
    details = {"address": base, "path": feed.path, "connect_ms": _ms(reached.connected),
               "latency_ms": _ms(reached.answered)}  # fmt: skip
    return Asked(key, "ok", f"opens a WebSocket in {_ms(reached.answered):g} ms", details)


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)


def _is_local(base: str) -> bool:
    return urlsplit(base).hostname in ("127.0.0.1", "::1", "localhost")
