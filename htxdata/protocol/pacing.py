"""How long to wait before the next request, and what a venue's displeasure adds to that: arithmetic only.

**Lanes.** A rate of r requests/s is N = floor(r) lanes. Every send drives in a lane, the lanes are taken in turn, and a
lane carries one send per `Pace.period` = one second and a margin. N + 1 sends have two in one lane, and these are more
than a second apart: no second ever holds more than N, whatever order, lateness or process the sends came in. (A rate
below one is one lane with a window of 1/r seconds; the fraction of a rate above one is not used.)

On its own that would send N at once and rest for a second, so sends also keep a distance slightly *below* 1/r: it
spreads them, and the slack lets those who overslept catch up. Always hungry, this uses 1 / 1.03 = 97 % of the budget.

Stamps are nanoseconds of a clock that only goes forward; ``now_us`` is microseconds UTC. No clock is read here.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from htxdata.protocol.wire import Fault, LimitHeaders

SECOND_NS = 1_000_000_000

MARGIN_NS = 30_000_000
"""Two sends of one lane may come this much closer on their way to the venue's counter: `LATE_NS` is ours, the rest is
for the kernel and the network. Costs 3 % of the budget; law 8 allows 5."""

LATE_NS = 10_000_000
"""Who wakes later than this after his slot takes its stamp along, or the margin would be spent before the wire."""

SPREAD = 0.9
"""Distance between sends as a share of 1/r. Lower catches up faster and is burstier."""

UNPACED = 10_000.0
"""From this rate on nothing waits (pauses still hold): the way to turn pacing off against the sandbox."""

NEVER = -(1 << 62)
"""A stamp for what has not happened."""

THROTTLE_FIRST_S = 1.0
THROTTLE_CAP_S = 60.0
"""A 429 that does not say how long. HTX spot counts in five minutes, derivatives in three seconds (htx-api 2.1, 2.2):
begin with little, double while it goes on, and stop doubling where a whole minute has not helped."""

BAN_S = 60.0
"""No official ban time is known for HTX (htx-api 2.1: "back off >= 60 s"); `backoff` stops after a few of these."""

RESET_CAP_S = 60.0
"""The longest that we believe a "remaining 0, reset at" header: it is another clock's instant, and one that lies far
ahead is asked for again after a minute rather than trusted for a day."""

STATED_CAP_S = 3_600.0
"""The longest stated wait that is obeyed in one piece. HashKey's 418 may mean days (hashkey-api, limits); one request
per hour is no insult."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate as lanes; see the top of this file. ``lanes == 0``: unpaced."""

    lanes: int
    period: int
    spacing: int

    @classmethod
    def of(cls, rate: float) -> Pace:
        """``rate`` is in requests per second, above zero."""
        if not rate > 0 or math.isnan(rate):
            raise ValueError(f"a rate must be above zero requests per second, not {rate!r}")
        if rate >= UNPACED:
            return cls(lanes=0, period=0, spacing=0)
        lanes = max(1, math.floor(rate))
        window = SECOND_NS if rate >= 1 else math.ceil(SECOND_NS / rate)
        return cls(lanes, window + MARGIN_NS, int(SPREAD * window / lanes))

    @property
    def horizon(self) -> int:
        """No true stamp or pause lies further ahead than this; what does is another boot's, or garbage."""
        return max(2 * int(STATED_CAP_S) * SECOND_NS, 16 * self.period)


def slot(pace: Pace, now: int, *, last: int, lane: int, paused_until: int) -> int:
    """The earliest stamp at which the next request may be sent.

    ``last`` is the newest stamp given to anybody, ``lane`` the one given `Pace.lanes` sends ago: `NEVER` if there is
    none.
    """
    limit = now + pace.horizon
    last = last if last <= limit else NEVER
    lane = lane if lane <= limit else NEVER
    paused_until = paused_until if paused_until <= limit else NEVER
    return max(now, last + pace.spacing, lane + pace.period, paused_until)


def pause_after(
    fault: Fault | None,
    headers: Mapping[str, str],
    now_us: int,
    *,
    strikes: int = 1,
    limits: LimitHeaders | None = None,
) -> float:
    """For how many seconds nobody on this machine should ask this host, after this reply. 0: no need to pause.

    ``strikes`` counts the throttled replies in a row, this one included. A retryable fault that states a time is obeyed
    whatever its kind; without one only `throttled` and `banned` pause everyone.
    """
    spent = until_reset(headers, limits, now_us) or 0.0
    if fault is None or not fault.retryable:
        return spent
    stated = max(fault.pause or 0.0, retry_after(headers, now_us) or 0.0, spent)
    if stated > 0:
        return min(stated, STATED_CAP_S)
    if fault.kind == "throttled":
        return min(THROTTLE_CAP_S, THROTTLE_FIRST_S * 2.0 ** min(strikes - 1, 16))
    return BAN_S if fault.kind == "banned" else 0.0


def retry_after(headers: Mapping[str, str], now_us: int) -> float | None:
    """What ``Retry-After`` asks for, in seconds (RFC 9110 10.2.3: a number of seconds, or a date)."""
    text = headers.get("retry-after", "").strip()
    seconds = number(text)
    if seconds is None:
        at = http_date(text)
        if at is None:
            return None
        seconds = (at - venue_now(headers, now_us)) / 1e6
    return min(max(seconds, 0.0), STATED_CAP_S)


def until_reset(headers: Mapping[str, str], limits: LimitHeaders | None, now_us: int) -> float | None:
    """Seconds until the venue's window starts anew, if the headers say that nothing is left of the present one."""
    if limits is None or limits.remaining not in headers:
        return None
    remaining, reset = number(headers[limits.remaining]), number(headers.get(limits.reset, ""))
    if remaining is None or reset is None or remaining > 0:
        return None
    return min(max(reset / 1e3 - venue_now(headers, now_us) / 1e6, 0.0), RESET_CAP_S)


def venue_now(headers: Mapping[str, str], now_us: int) -> int:
    """The venue's clock, microseconds UTC. ``Date`` has whole seconds, cut off: where ours agrees, ours is finer."""
    date = http_date(headers.get("date", ""))
    if date is None:
        return now_us
    return min(now_us, date + 1_000_000) if date <= now_us < date + 2_000_000 else date


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_IMF_FIXDATE = re.compile(
    r"[A-Z][a-z]{2}, (\d\d) ([JFMASOND][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII
)


def http_date(text: str) -> int | None:
    """``Sun, 06 Nov 1994 08:49:37 GMT`` as microseconds UTC; None for anything else.

    By hand: ``email.utils`` brings in socket, time and random, and ``strptime`` reads the names of months in the
    machine's language.
    """
    match = _IMF_FIXDATE.fullmatch(text.strip())
    if match is None or match[2] not in _MONTHS:
        return None
    month = _MONTHS.index(match[2]) // 3 + 1
    day, year, hour, minute, second = (int(match[n]) for n in (1, 3, 4, 5, 6))
    try:
        at = dt.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=dt.UTC)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000


_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,9})?", re.ASCII)


def number(text: str) -> float | None:
    """A header's decimal number; None for anything else (``inf`` and ``1e9`` included)."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None
