"""The commands that make something of a lake: settings in, work done elsewhere, answer out, exit code back."""

from __future__ import annotations

import argparse
import contextlib

from htxdata import config
from htxdata.cli import show
from htxdata.cli.commands import bounds, settings_of
from htxdata.errors import UsageError
from htxdata.timeline import parse_duration

MOST_HOLES = 12
"""Told one by one; of the others, how many."""


def export(options: argparse.Namespace) -> int:
    """Files for a backtester, their names on stdout; 3 where the range has holes that nobody accepted."""
    from htxdata.research.feeds.engines import engine, export
    from htxdata.research.lake import Lake

    which = engine(options.engine)
    start, end = bounds(options)
    latency = _seconds("latency", options.latency)
    lake = Lake(config.lake(settings_of(options)))
    with contextlib.closing(lake), show.counting("symbols") as step:
        done = export(
            which.name, lake, options.output, venue=options.venue, symbols=options.symbol, wanted=options.period,
            start=start, end=end, funding=not options.no_funding, trades=options.trades, latency=latency, step=step,
        )  # fmt: skip
    for name in done.files:
        print(name)
    if not done.holes:
        return 0
    for hole in done.holes[:MOST_HOLES]:
        show.note(str(hole))
    if len(done.holes) > MOST_HOLES:
        show.note(f"… and {len(done.holes) - MOST_HOLES} more")
    if options.allow_holes:
        return 0
    unfunded = any(hole.series.dataset == "funding_rates" for hole in done.holes)
    more = ", --no-funding leaves fundings out" if unfunded else ""
    show.note(
        f"htxdata: incomplete: the files are written, but of {len(done.holes)} "
        f"span{'s' * (len(done.holes) > 1)} the lake does not know what there was: `htxdata backfill` fetches what is "
        f"missing{more}, --allow-holes accepts them"
    )
    return 3


def _seconds(option: str, text: str | None) -> float | None:
    try:
        return None if text is None else duration(text)
    except UsageError as error:
        raise UsageError(f"--{option}: {error}") from None


def duration(text: str) -> float:
    """Seconds: ``50ms``, ``0.5s``, ``1m``."""
    if text.strip().endswith("ms"):
        return parse_duration(text.strip()[:-2] + "s") / 1000
    return parse_duration(text)
