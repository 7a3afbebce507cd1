"""Bulk files: list them, fetch them, verify them. Each comes over the wire once, and in bounded memory.

A small file (most are: a day of candles has some 40 kB) stays in memory and never touches the disk. A larger one goes
to the `spool` as it comes; what a dropped connection or a killed process left is continued with ``Range`` and
``If-Match``, so that a file that the venue replaces meanwhile is never patched together. How long to wait and what to
retry is the `Client`'s, as for every other request.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from htxdata.errors import BadReply, Refused, Unreachable, WalkStuck
from htxdata.protocol import backoff
from htxdata.protocol.wire import Fault, Reply, Request
from htxdata.transport.body import MOST, SMALL, Body, Elsewhere, bare
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client, Counts
from htxdata.transport.line import Limits
from htxdata.transport.spool import Claim, Note, Spool
from htxdata.venues.terms import Bucket, Listed

LIMITS = Limits(silence_s=30.0, total_s=300.0)
"""One attempt. A slow one is continued by the next: it only counts as a failure below one megabyte in five minutes."""

MOST_LISTED = 200_000
"""Objects under one prefix: a file and its checksum for every day since 2017 are seven thousand."""

ANEW = 3
"""How often a file and its checksum are fetched anew where they differ: the venue may be replacing them."""

_REPLACING_S = 0.5  # before the first of these, doubled before each further one
_FRESH_US = 3_600_000_000  # how old a whole file in the spool may be where no listing tells its ETag


@dataclass(frozen=True, slots=True)
class Fetched:
    """One whole file: in ``content`` if it is small, else at ``path`` until it is released.

    ``sha256`` is of what we have; ``checked`` says that the venue's checksum confirmed it. ``received_at`` and
    ``modified`` (what the venue says, where it does) are microseconds UTC.
    """

    key: str
    path: Path | None
    etag: str
    sha256: str
    size: int
    received_at: int
    checked: bool
    content: bytes | None = None
    modified: int | None = None


class Downloads:
    """The files of one archive host. Thread-safe; processes may share the spool.

    ``base_url`` may carry a path prefix. ``stop`` ends every wait with `Unreachable`; what is under way stays in the
    spool and is continued by the next run.
    """

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        bucket: Bucket,
        spool: Path,
        *,
        stop: threading.Event | None = None,
        patience: backoff.Patience = backoff.PATIENCE,
        limits: Limits = LIMITS,
        small: int = SMALL,
        most: int = MOST,
        now_us: Callable[[], int] | None = None,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = Client(
            base_url, budget, judge, stop=stop, patience=patience, limits=limits, now_us=now_us, sleep=sleep,
            jitter=jitter,
        )  # fmt: skip
        self._bucket, self._spool, self._stop = bucket, Spool(spool), stop
        self._small, self._most = small, most
        self._sleep = sleep or (stop.wait if stop is not None else time.sleep)
        self._now_us = now_us or (lambda: time.time_ns() // 1000)
        self._mutex = threading.Lock()
        self._held: dict[Path, list[Claim]] = {}

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. Files that were not released stay in the spool, for anybody."""
        self._client.close()
        with self._mutex:
            held, self._held = self._held, {}
        for claims in held.values():
            for claim in claims:
                claim.leave()

    def counts(self) -> Counts:
        return self._client.counts()

    def list(self, prefix: str) -> list[Listed]:
        """Every object whose key begins with ``prefix``, in the venue's order.

        Raises `Refused` where the listing is refused, `BadReply` and `WalkStuck` where it makes no sense.
        """
        found: dict[str, Listed] = {}
        told: set[str] = set()
        continuation: str | None = None
        while True:
            reply = self._client.get(self._bucket.list_request(prefix, continuation))
            page, continuation = self._bucket.listed(reply.body)
            before = len(found)
            found.update((entry.key, entry) for entry in page)
            if len(found) > MOST_LISTED:
                raise WalkStuck(
                    f"{self._client.host}: the list of {prefix} has no end: over {MOST_LISTED:,} objects"
                )
            if continuation is None:
                return list(found.values())
            if continuation in told or len(found) == before:
                raise WalkStuck(
                    f"{self._client.host}: the list of {prefix} does not get on after {before} objects"
                )
            told.add(continuation)

    def fetch(self, key: str, *, known: Listed | None = None) -> Fetched:
        """The file of a key, whole and verified; ``known`` is what its listing says. `release` it after use.

        A small file is fetched by everybody who asks. A larger one is fetched once: who asks for it meanwhile, or
        before it is released, waits and gets the same.

        Raises `Refused` (kind ``absent``: there is no such file), `BadReply` where it does not match the venue's
        checksum, `Unreachable`, and `StoreError` where the disk is full.
        """
        if (known is None or known.size <= self._small) and not self._spool.holds(key):
            try:
                return self._verified(key, known, None)
            except Elsewhere:  # it is a larger one
                pass
        claim = self._spool.wait(key, self._check(key))
        try:
            note = claim.finished()
            if note is not None and claim.alone and not self._current(note, known):
                claim.empty()
                note = None
            if note is not None:
                claim.share()
            fetched = self._verified(key, known, claim) if note is None else _of(note, claim)
        except (Refused, BadReply):  # there is nothing to go on from
            claim.discard()
            raise
        except BaseException:
            claim.leave()
            raise
        with self._mutex:
            self._held.setdefault(claim.path, []).append(claim)
        return fetched

    def release(self, fetched: Fetched) -> None:
        """The file is not needed any more; more than once does no harm. It goes with the last who has it."""
        if fetched.path is None:
            return
        with self._mutex:
            claims = self._held.get(fetched.path, [])
            claim = claims.pop() if claims else None
            if not claims:
                self._held.pop(fetched.path, None)
        if claim is not None:
            claim.discard()

    def clean(self, older_than: float) -> int:
        """Removes from the spool what nobody has touched for so many seconds; returns the bytes that this freed."""
        return self._spool.clean(older_than)

    # ------------------------------------------------------------------------------------------------------ one file

    def _verified(self, key: str, known: Listed | None, claim: Claim | None) -> Fetched:
        """Fetches a file and what it must hash to, until they agree."""
        body, received_at = self._body(key, known, claim)
        checked, why = self._weigh(key, body)
        for attempt in range(ANEW):
            if not why:
                break
            self._sleep(_REPLACING_S * 2**attempt)
            self._check(key)()
            checked, why = self._weigh(key, body)  # a checksum comes after its file
            if why:
                if claim is not None:
                    claim.empty()
                body, received_at = self._body(key, known, claim)
                checked, why = self._weigh(key, body)
        if why:
            raise BadReply(f"{key}: {why} (fetched {1 + ANEW} times)")
        note = Note(key, body.etag, body.held(), body.modified, body.sha256(), received_at, checked)
        if claim is not None:
            claim.finish(note)
        return _of(note, claim, body.content())

    def _body(self, key: str, known: Listed | None, claim: Claim | None) -> tuple[Body, int]:
        """All bytes of a file, or what an earlier process left and the rest; and when the last one came."""
        with closing(Body(key, known, claim, small=self._small, most=self._most)) as body:
            if body.whole():
                return body, body.heard_at()
            return body, self._client.stream(Request("/" + key), body).received_at

    def _weigh(self, key: str, body: Body) -> tuple[bool, str]:
        """Whether the venue's checksum confirms a file; and what is wrong with it, if anything is."""
        if body.total is not None and body.held() != body.total:
            return False, f"it has {body.held()} bytes, and the venue announced {body.total}"
        try:
            expected = self._expected(key)
        except BadReply as error:
            return False, str(error)
        if expected is None or expected == body.sha256():
            return expected is not None, ""
        return False, f"its sha256 is {body.sha256()}, and the venue's checksum says {expected}"

    def _expected(self, key: str) -> str | None:
        """What the venue says that the file hashes to; None where it does not say."""
        for name in self._bucket.checksum_keys(key):
            try:
                reply = self._client.get(Request("/" + name))
            except Refused as error:
                if error.kind in ("absent", "refused"):
                    continue
                raise
            return self._bucket.sha256_of(reply.body, key).lower()
        return None

    def _current(self, note: Note, known: Listed | None) -> bool:
        if known is not None:
            return note.etag == bare(known.etag) and note.total == known.size
        return abs(self._now_us() - note.received_at) < _FRESH_US

    def _check(self, key: str) -> Callable[[], None]:
        def check() -> None:
            if self._stop is not None and self._stop.is_set():
                raise Unreachable(f"{self._client.host}: stopped before {key} was fetched")

        return check


def _of(note: Note, claim: Claim | None, content: bytes | None = None) -> Fetched:
    path = None if claim is None else claim.path
    return Fetched(
        note.key, path, note.etag, note.sha256, note.total or 0, note.received_at, note.checked, content,
        note.modified,
    )  # fmt: skip


_CODE = re.compile(rb"<Code>([A-Za-z]{1,60})</Code>")


def judge(reply: Reply) -> Fault | None:
    """What is wrong with an answer of S3, where its status does not say it all (htx-api 9.5 [B]).

    A refusal that names S3's reason is final. One that does not is of the firewall in front of it and a ban, except
    that of a listing: the CDN refuses these to everybody after six, and still hands out files (htx-api 2.4 [B]).
    """
    if 200 <= reply.status < 300:
        return None
    match = _CODE.search(reply.body[:4096])
    code = reply.headers.get("x-amz-error-code") or (match[1].decode() if match else "")
    words = f"HTTP {reply.status} {code}".strip()
    if code == "SlowDown":
        return Fault("throttled", words)
    if reply.status == 403 and (code or reply.request.params):
        return Fault("refused", words)
    return Fault("absent", words) if reply.status == 404 else None
