"""What `serve` does when: the runs that a configuration means, and when each is due. Arithmetic; no clock, no process.

A turn begins at round times (an hourly one at two minutes past every hour), once at the start, and once after however
long nobody served: what was missed does not pile up, for every run brings everything up to now.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from htxdata.config import Keep, Settings
from htxdata.errors import ConfigError, UsageError
from htxdata.ingest.keeping import captured, ways_of
from htxdata.ingest.snapshot import INSTRUMENTS
from htxdata.service import OFF
from htxdata.timeline import parse_duration

DAY_S = 86_400.0

AFTER_CLOSE = 120.0
"""Seconds past the round time at which a sync begins: a candle is final a minute after its close."""

CAPTURE_EVERY = 6 * 3600.0
OVERLAP = 300.0
"""A capture lasts so much longer than until the next one begins: what both hear is one row."""

FIRST_LOOK = 180.0
"""Seconds until freshness is looked at: by then what a capture hears is in the tables."""

LOOK_EVERY = "10m"
"""Between two looks at what has no history, where ``every`` of the [[keep]] says nothing else."""


@dataclass(frozen=True)
class Turn:
    """One thing that is done again and again: the flow ``flow`` with ``parameters``.

    It begins every ``every`` seconds at times that are ``offset`` past a multiple of it, or once a day at ``at``
    (seconds since midnight UTC). ``most`` runs of it go on at once. One that goes on for good (``endless``) is begun
    anew soon after it failed, for nothing is heard meanwhile.
    """

    name: str
    flow: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    every: float = 0.0
    at: float | None = None
    offset: float = 0.0
    most: int = 1
    endless: bool = False
    after: str = ""
    first: float = 0.0
    """What looks at the others' work waits for it: ``after`` is a turn that has to have ended once, ``first`` how many
    seconds to serve before. What was just begun is late, and nobody wants to hear that."""


def due(turn: Turn, begun: float | None, now: float) -> float:
    """When it has to begin next (Unix time); in the past, or now, if it is due.

    ``begun`` is when it last did; where it never did, ``now`` stands for when somebody began to wait for it.
    """
    if turn.at is not None:
        after = now if begun is None else begun
        today = after // DAY_S * DAY_S + turn.at
        return today if today > after else today + DAY_S
    if begun is None:
        return now
    return (begun - turn.offset) // turn.every * turn.every + turn.every + turn.offset


def turns_of(settings: Settings, config: str | None) -> list[Turn]:
    """Everything that keeping this configuration up to date takes. ``config`` is the file that the flows shall read.

    Raises ``ConfigError`` for a span or a time that is none, and for a [[keep]] that cannot be kept in any way.
    """
    serve = settings.serve
    if not settings.keep:
        raise ConfigError(f"nothing to serve: add a [[keep]] to htxdata.toml (read: {settings.origin})")
    out: list[Turn] = []
    looks: dict[tuple[str, str, float], dict[str, None]] = {}
    heard: dict[tuple[str, tuple[str, ...], tuple[str, ...]], dict[str, None]] = {}
    filled = False
    for number, keep in enumerate(settings.keep, start=1):
        where = f"{settings.origin}, [[keep]] {number}"
        try:
            ways = ways_of(keep)
        except UsageError as error:
            raise ConfigError(f"{where}: {str(error).replace('--venue', 'venue')}") from None
        if not ways:
            raise ConfigError(f"{where}: {keep.dataset} of {keep.venue} can be neither filled, nor heard, nor seen")
        filled |= ways.filled
        for feed in captured(keep, settings):
            periods = keep.periods if feed.periods is not None else ()
            heard.setdefault((keep.venue, keep.symbols, periods), {})[feed.name] = None
        if ways.looked and (every := _span(f"{where}: every", keep.every or _usual(keep, settings))):
            looks.setdefault((keep.dataset, keep.venue, every), {}).update(dict.fromkeys(keep.symbols))
        elif keep.every is not None and not ways.looked:
            raise ConfigError(f"{where}: every: {keep.dataset} is not looked at; it is filled or heard")
    for (venue, symbols, periods), feeds in heard.items():
        more = {"periods": list(periods)} if periods else {}
        parameters: dict[str, Any] = {"venue": venue, "feeds": list(feeds), "symbols": list(symbols), **more}
        name = f"capture {venue} {' '.join(feeds)}"
        name += f" {len(out)}" if any(turn.name == name for turn in out) else ""
        out.append(Turn(name, "capture", {**parameters, "seconds": CAPTURE_EVERY + OVERLAP, "config": config},
                        CAPTURE_EVERY, most=2, endless=True))  # fmt: skip
    if every := _span(f"{settings.origin}: serve.instruments", serve.instruments):
        venues = list(dict.fromkeys(keep.venue for keep in settings.keep))
        out.append(Turn("instruments", "snapshot", {"dataset": INSTRUMENTS, "venues": venues, "config": config}, every))
    for (dataset, venue, every), names in looks.items():
        parameters = {"dataset": dataset, "venues": [venue], "symbols": list(names), "config": config}
        name = f"snapshot {dataset} {venue}"
        name += f" {len(out)}" if any(turn.name == name for turn in out) else ""
        out.append(Turn(name, "snapshot", parameters, every))
    if filled and (every := _span(f"{settings.origin}: serve.sync", serve.sync)):
        out.append(Turn("sync", "sync", {"config": config}, every, offset=min(AFTER_CLOSE, every / 2)))
    if (at := _time_of_day(serve.upkeep, settings.origin)) is not None:
        out.append(Turn("upkeep", "upkeep", {"config": config}, at=at))
    if every := _span(f"{settings.origin}: serve.freshness", serve.freshness):
        out.append(Turn("freshness", "freshness", {"config": config}, every, offset=every / 2, first=FIRST_LOOK,
                        after="sync" if any(turn.name == "sync" for turn in out) else ""))  # fmt: skip
    return out


def _usual(keep: Keep, settings: Settings) -> str:
    return settings.serve.instruments if keep.dataset == INSTRUMENTS else LOOK_EVERY


def _span(where: str, text: str) -> float:
    """Seconds; 0 for ``off``."""
    if text == OFF:
        return 0.0
    try:
        seconds = parse_duration(text)
    except UsageError as error:
        raise ConfigError(f"{where}: {error}; or {OFF}") from None
    if seconds < 1:
        raise ConfigError(f"{where} is {text!r}: write 1s or longer, or {OFF}")
    return seconds


def _time_of_day(text: str, origin: str) -> float | None:
    if text == OFF:
        return None
    found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if not found:
        raise ConfigError(f"{origin}: serve.upkeep is {text!r}: write a time of the day in UTC (02:30), or {OFF}")
    return int(found[1]) * 3600.0 + int(found[2]) * 60.0
