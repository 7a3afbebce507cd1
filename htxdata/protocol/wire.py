"""What goes over the wire, as values: a request, the reply to it, and what was wrong with the reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FaultKind = Literal[
    "network",  # no connection, a dropped one, a time-out, a body cut short
    "server",  # HTTP 5xx
    "throttled",  # HTTP 429 or the venue's own words for it
    "banned",  # HTTP 403 of a firewall, HTTP 418
    "busy",  # the venue asks to try again
    "maintenance",  # the venue says that it is closed for now
    "symbol",  # the venue knows no such symbol
    "absent",  # there is no such endpoint (any more), or not for this period
    "invalid",  # the venue rejects a parameter
    "garbled",  # not an answer at all
    "clock",  # the venue does not take the time that the request was signed at: it came too late, or a clock is off
    "key",  # the venue does not take the key: unknown, expired, from this address, without the permission
    "refused",  # any other error of the venue
]

RETRYABLE: frozenset[FaultKind] = frozenset(
    {"network", "server", "throttled", "banned", "busy", "maintenance", "garbled", "clock"}
)
"""Worth asking again. `garbled` is retried too: a half-written answer of an overloaded server is not the
venue's word. So is `clock`: each attempt is signed anew."""


@dataclass(frozen=True, slots=True)
class Request:
    """A GET, unless ``method`` says otherwise. ``path`` begins with a slash and is not percent-encoded; ``params`` keep
    their order.

    ``pool`` names which of the host's limits the request counts against (see `limit`), where it has several; it is not
    sent. Neither is ``private``: whoever sends it signs it with a key, anew for each attempt. A signature is never part
    of this value, and so of nothing that tells of it.
    """

    path: str
    params: tuple[tuple[str, str], ...] = ()
    pool: str = ""
    private: bool = False
    method: Literal["GET", "POST", "PUT", "DELETE"] = "GET"

    @property
    def limit(self) -> str:
        """``pool``; where it names none, "private" for what is signed, which is counted by its key, apart from what an
        address asks."""
        return self.pool or ("private" if self.private else "")

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.params)
        return f"{self.path}?{query}" if query else self.path


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. ``headers`` have lower-case names, ``body`` is decompressed, ``received_at`` is microseconds UTC."""

    request: Request
    status: int
    body: bytes
    received_at: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a reply. ``pause`` is how many seconds the venue asks everyone to wait, if it says."""

    kind: FaultKind
    message: str
    pause: float | None = None

    @property
    def retryable(self) -> bool:
        return self.kind in RETRYABLE


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """Names (lower case) of the headers in which a venue tells what is left of its limit, and when it starts anew.

    ``reset`` is an instant in milliseconds UTC.
    """

    remaining: str
    reset: str
