"""``htxdata coverage --fresh`` and ``--metrics``: how old every ``[[keep]]`` is, for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from htxdata.cli import show
from htxdata.errors import ConfigError, UsageError
from htxdata.timeline import SECOND, iso

if TYPE_CHECKING:
    from htxdata.config import Settings
    from htxdata.ingest.fresh import Standing


def standing(options: argparse.Namespace, settings: Settings) -> int:
    """3 where a series is later than it may be, or a hook could not be called."""
    from htxdata.ingest import alert, fresh, metrics

    chosen = [name for name in ("dataset", "venue", "symbol", "period") if getattr(options, name)]
    if chosen:
        raise UsageError(f"--{'fresh' if options.fresh else 'metrics'} is of every [[keep]]: leave {chosen[0]} out")
    if not settings.keep:
        raise ConfigError(f"nothing is kept: add a [[keep]] to htxdata.toml (read: {settings.origin})")
    if options.metrics:
        sys.stdout.write(metrics.gather(settings, metrics.Budgets(settings)))
        return 0
    found = fresh.standings(settings)
    if options.json:
        print(json.dumps([_json(one) for one in found], indent=1, ensure_ascii=False))
    elif found:
        rows = [
            (one.series, None if one.known is None else iso(one.known), fresh.short(one.late_by),
             fresh.short(one.allowed), "late" if one.late else "fresh", one.holes or None)
            for one in sorted(found, key=lambda one: not one.late)
        ]  # fmt: skip
        print(show.table(("series", "known until", "behind", "allowed", "is", "holes"), rows, right=(2, 3, 5)))
    failed = alert.tell(found, settings)
    for why in failed:
        show.note(f"not told: {why}; the next check tries again")
    late = fresh.late(found)
    if late:
        count = f"{len(late)} of {len(found)} series {'is' if len(late) == 1 else 'are'}"
        show.note(f"htxdata: incomplete: {count} later than allowed, the first: {fresh.sentence(late[0])}")
    return 3 if late or failed else 0


def _json(one: Standing) -> dict[str, Any]:
    series = one.series
    return {
        "dataset": series.dataset, "venue": series.venue, "symbol": series.symbol, "period": series.period,
        "known_until": None if one.known is None else iso(one.known), "late_by_seconds": one.late_by // SECOND,
        "allowed_seconds": one.allowed // SECOND, "late": one.late, "rows": one.rows, "holes": one.holes,
        "lost_seconds": one.lost // SECOND,
    }  # fmt: skip
