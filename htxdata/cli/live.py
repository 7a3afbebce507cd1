"""The commands that listen: settings in, work done elsewhere, answer out, exit code back."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from htxdata.cli import show
from htxdata.cli.commands import settings_of
from htxdata.errors import UsageError
from htxdata.timeline import iso, parse_duration

if TYPE_CHECKING:
    from htxdata.ingest.capture import Captured, Status
    from htxdata.ingest.distil import Distilled

MOST_GAPS = 20
LINE_EVERY = 10.0
"""Seconds between two lines of status where there is no terminal."""


def _span(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def capture(options: argparse.Namespace) -> int:
    from htxdata.ingest.capture import capture as run
    from htxdata.ingest.capture_wanted import Wanted
    from htxdata.ingest.session import Session
    from htxdata.ingest.signals import until_told

    seconds = None if options.lasting is None else _span("--for", options.lasting)
    rotate = _span("--rotate", options.rotate)
    if rotate < 10:
        raise UsageError(f"--rotate {options.rotate!r}: a connection lasts 10s at least")
    settings = settings_of(options)
    wanted = Wanted(options.venue, tuple(options.feed), tuple(options.symbol), tuple(options.period), options.levels)
    with Session(settings, say=show.note) as session, until_told(session.stop) as told, _status() as tell:
        done = run(wanted, session, told.stop, seconds=seconds, rotate=rotate, on_status=tell)
    _tell(done)
    if told.interrupted:
        show.note("htxdata: interrupted; what was heard is in the tables")
        return 130
    return 0 if done.complete else 3


# ------------------------------------------------------------------------------------------------- while it goes on


def status_line(status: Status) -> str:
    """One line: how long, how much, how quick, how whole."""
    parts = [
        show.clock(status.seconds),
        f"{status.standing} of {status.connections} connections",
        f"{show.thousands(status.frames_per_second)} frames/s",
        f"lag {status.lag[0] * 1000:.0f}/{status.lag[1] * 1000:.0f} ms",
        f"{status.reconnects} reconnects",
        f"{status.gaps} gaps",
        show.size(status.size),
        f"{show.thousands(status.rows)} rows",
    ]
    if status.doing != "listening":
        parts.append(status.doing)
    return " · ".join(parts)


@contextlib.contextmanager
def _status() -> Iterator[Callable[[Status], None]]:
    """A live line on a terminal, a plain one every few seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(
            Text("connecting"), console=Console(stderr=True), refresh_per_second=4, transient=True
        ) as live:
            yield lambda status: live.update(Text(status_line(status)))
        return
    last = time.monotonic() - LINE_EVERY + 2.0  # the first one soon

    def tell(status: Status) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY or status.doing != "listening":
            last = time.monotonic()
            show.note(status_line(status))

    yield tell


# ------------------------------------------------------------------------------------------------- the account


def _tell(done: Captured) -> None:
    show.note(
        f"{show.thousands(done.frames)} frames ({show.size(done.size)}) in {show.duration(done.seconds)}, "
        f"{done.reconnects} reconnects; {show.thousands(done.rows)} rows added"
        f"{f'; {done.quarantined} frames in quarantine' if done.quarantined else ''}"
        f"{f'; {done.healed} gaps healed' if done.healed else ''}"
    )
    for topic, why in sorted(done.refused.items()):
        show.note(f"refused: {topic}: {why}")
    for why in done.failed:
        show.note(f"failed: {why}")
    _tell_gaps(done.gaps)
    if not done.complete:
        show.note("htxdata: incomplete: the reasons stand above; capture_gaps keeps what was lost")


def _tell_gaps(gaps: list[Any]) -> None:
    for gap in gaps[:MOST_GAPS]:
        show.note(f"not heard: {gap.series} {gap.window}: {gap.cause}")
    if len(gaps) > MOST_GAPS:
        show.note(f"… and {len(gaps) - MOST_GAPS} more: htxdata query 'select * from capture_gaps'")


def distil(options: argparse.Namespace) -> int:
    from htxdata import config
    from htxdata.ingest.capture_wanted import feeds_of
    from htxdata.ingest.distil import distil as run
    from htxdata.store.partition import Store
    from htxdata.venues import VENUES
    from htxdata.venues import venue as venue_named

    venues = [venue_named(options.venue)] if options.venue else [v for v in VENUES if v.feeds]
    if options.feed and not any(f.name == options.feed for v in venues for f in v.feeds):
        if options.venue:
            feeds_of(venues[0], [options.feed])  # says which there are
        known = ", ".join(dict.fromkeys(feed.name for venue in venues for feed in venue.feeds))
        raise UsageError(f"--feed {options.feed!r} is not a feed: choose from {known}")
    settings = settings_of(options)
    with show.counting("reels") as step:
        done = run(
            Store(config.lake(settings)), config.local_tape(settings), venue=options.venue, feed=options.feed,
            again=options.again, say=show.note, on_step=lambda name, done, of: step(name, done + 1, of),
        )  # fmt: skip
    if options.json:
        print(json.dumps(_json(done), indent=1, ensure_ascii=False))
    else:
        show.note(str(done))
        _tell_gaps(done.gaps)
    return 3 if done.gaps or done.quarantined else 0


def _json(done: Distilled) -> dict[str, Any]:
    def named(series: Any) -> dict[str, Any]:
        return {name: getattr(series, name) for name in ("dataset", "venue", "symbol", "period")}

    return {
        "reels": done.reels,
        "frames": done.frames,
        "quarantined": done.quarantined,
        "rows": [{**named(series), "added": added} for series, added in sorted(done.rows.items(), key=str)],
        "gaps": [
            {
                **named(g.series),
                "feed": g.feed,
                "start": iso(g.window.start),
                "end": iso(g.window.end),
                "cause": g.cause,
            }
            for g in done.gaps
        ],
        "healed": len(done.healed),
    }
