"""What to ask again after a fault, when, and when to stop: pure decisions.

Two kinds of waiting, not to be mixed. A dropped connection or a 5xx is between one request and the venue: that request
waits here, longer each time, and at random so that threads that failed together do not come back together. A 429 or a
ban is between this machine and the venue: `pacing.pause_after` stops everyone, and here it is only counted.
What a WebSocket connection that ended waits for before the next one is at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from htxdata.protocol.wire import Fault, FaultKind


@dataclass(frozen=True, slots=True)
class Patience:
    """When to give up on one request: whichever comes first."""

    attempts: int = 6
    """Ordinary failures, the last one included. At full length 0.5+1+2+4+8 s: a restarting gateway, not an outage."""

    throttles: int = 12
    """Seven minutes with the doubling pauses of `pacing`: longer than HTX spot's window of five (htx-api 2.1)."""

    bans: int = 3
    """HTX: "stop after a few repeats" (htx-api 2.1). Knocking on prolongs bans elsewhere (HashKey's 418)."""

    seconds: float = 900.0
    """Since the first failure, pauses included."""


PATIENCE = Patience()

FIRST_S = 0.5
CAP_S = 30.0
SLOW_FIRST_S = 5.0
"""`busy` and `maintenance` are said by venues that know: HTX's settlement takes minutes (htx-api 1.3)."""

_SLOW: frozenset[FaultKind] = frozenset({"busy", "maintenance"})
_EVERYBODY: frozenset[FaultKind] = frozenset({"throttled", "banned"})


def delay_after(
    fault: Fault,
    earlier: Sequence[FaultKind],
    *,
    elapsed: float,
    jitter: float,
    pause: float = 0.0,
    patience: Patience = PATIENCE,
) -> float | None:
    """Seconds that this request waits before it is sent again; None to give up.

    ``earlier`` are the kinds of this request's faults before this one, ``elapsed`` the seconds since the first of them,
    ``pause`` what this reply made everybody wait. ``jitter`` is in [0, 1): the delay is that share of the series (full
    jitter). Everybody's faults wait nothing here, the budget holds them back.
    """
    if not fault.retryable or elapsed + pause > patience.seconds:
        return None
    if fault.kind in _EVERYBODY:
        allowed = patience.bans if fault.kind == "banned" else patience.throttles
        return 0.0 if earlier.count(fault.kind) + 1 < allowed else None
    ordinary = sum(kind not in _EVERYBODY for kind in earlier)
    if ordinary + 1 >= patience.attempts:
        return None
    first = SLOW_FIRST_S if fault.kind in _SLOW else FIRST_S
    delay = jitter * min(CAP_S, first * 2.0 ** min(ordinary, 16))
    return delay if elapsed + delay <= patience.seconds else None


def settle(status: int, judged: Fault | None) -> Fault | None:
    """What is wrong with a reply, from its HTTP status and from what the venue's own judge makes of its body.

    The judge knows more, with two exceptions: 429 and 418 are never anything else, and where it finds no answer at all
    (a firewall's page) the status is the better witness.
    """
    by_status = fault_of(status)
    if by_status is None or judged is None:
        return judged or by_status
    if status in (418, 429) or judged.kind == "garbled":
        return replace(by_status, message=f"{by_status.message}: {judged.message}", pause=judged.pause)
    return judged


def fault_of(status: int) -> Fault | None:
    """What a bare HTTP status says. None for 2xx."""
    if 200 <= status < 300:
        return None
    kind: FaultKind
    if status == 429:
        kind = "throttled"
    elif status in (403, 418):  # HTX: the firewall in front of it (htx-api 2.1); HashKey: 418
        kind = "banned"
    elif status == 408:
        kind = "busy"
    elif status in (404, 410):
        kind = "absent"
    elif status == 400:
        kind = "invalid"
    elif status >= 500:
        kind = "server"
    else:
        kind = "refused"
    return Fault(kind, f"HTTP {status}")


# --------------------------------------------------------------------------------------------- coming back

BACK_FIRST_S, BACK_CAP_S = 0.5, 30.0
USEFUL_S = 60.0


def failures_after(failures: int, data_seconds: float) -> int:
    """How many connections in a row have failed, with one more that ended: none before it, if it brought data for a
    minute."""
    return 1 if data_seconds >= USEFUL_S else failures + 1


def reconnect_in(failures: int, jitter: float) -> float:
    """Seconds until the next connection after so many failures in a row: doubling from half a second to half a minute,
    and of that a half at least (connections that failed together do not come back together)."""
    if failures <= 0:
        return 0.0
    return min(BACK_CAP_S, BACK_FIRST_S * 2.0 ** min(failures - 1, 16)) * (1 + jitter) / 2
