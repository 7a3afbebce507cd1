"""How a lake stands: how old each series is, where captures did not hear, what was revised, what the audits found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from htxdata.errors import CorruptPartition
from htxdata.market import Series
from htxdata.research.lake import Lake
from htxdata.research.report import calendar
from htxdata.schema import dataset
from htxdata.store import findings
from htxdata.store.footer import Span
from htxdata.store.layout import Pattern, matches
from htxdata.store.place import Root, verbs
from htxdata.timeline import Window, from_datetime

MOST_GAPS = 200
MOST_REVISED = 200
MOST_FINDINGS = 20  # of each check

_Made = TypeVar("_Made")
Ended = dict[tuple[str, str], int]

BY_THE_WAY = frozenset({"kline_revisions", "capture_gaps", "source_differences"})
"""Datasets that nobody asks for: their rows come with those of others, and so they are never behind."""

_OUR_FAULT = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)
_UNREADABLE = (CorruptPartition, duckdb.Error, pa.ArrowException, OSError)
"""What a broken file makes of a reading; a footer may be sound and the rows not."""


@dataclass(frozen=True)
class Chosen:
    """What of the lake is meant; ``None`` is everything."""

    dataset: Pattern = None
    venue: Pattern = None
    symbol: Pattern = None
    period: Pattern = None
    low: int | None = None
    high: int | None = None

    @property
    def series(self) -> dict[str, Any]:
        return {"symbol": self.symbol, "venue": self.venue}

    @property
    def range(self) -> dict[str, Any]:
        return {"start": self.low, "end": self.high}

    @property
    def window(self) -> Window:
        return Window(-(2**62) if self.low is None else self.low, 2**62 if self.high is None else self.high)


def age(series: Series, spans: Sequence[Span], now: int, ended: Ended) -> dict[str, Any]:
    """``known``: the end of the last span that need not be asked for again. ``behind``: what has become final since.

    Candles count in whole periods, so a monthly series is not late on the second of the month. Nor is what the venue
    has ended: ``ended`` says when.
    """
    known = max((s.end for s in spans if s.verdict not in ("missing", "outage")), default=None)
    over = ended.get((series.venue, series.symbol))
    declared = dataset(series.dataset)
    final = now - declared.settle(series.period)
    if over is not None and over <= now:
        final = min(final, over)
    behind = None
    if known is not None and series.dataset not in BY_THE_WAY:
        behind = max(0, final - known)
        if series.period is not None:
            behind = calendar.whole_periods(series.period, known, final)
    return {"known": known, "behind": behind, "ended": over if over is not None and over <= now else None}


def ended(lake: Lake, chosen: Chosen) -> Ended:
    """When instruments were delisted or delivered, by the newest word on each."""
    last = "DISTINCT ON (venue, symbol) venue, symbol, epoch_us(least(delisted_at, delivery_at))"
    relation = lake.instruments(**chosen.series)
    newest = relation.query("stated", f"SELECT {last} FROM stated ORDER BY venue, symbol, as_of DESC")
    rows = newest.fetchall() if newest is not None else []
    return {(venue, symbol): over for venue, symbol, over in rows if over is not None}


def gaps(lake: Lake, chosen: Chosen) -> dict[str, Any]:
    """The newest gaps, and how many there are: healed ones too."""
    relation = lake.capture_gaps(**chosen.series, **chosen.range)
    counts = relation.aggregate(
        "count(*), count(*) - count(healed_at), "
        "coalesce(sum(epoch_us(gap_end) - epoch_us(gap_start)) FILTER (healed_at IS NULL), 0)"
    )
    total, unhealed, lost = map(int, counts.fetchall()[0])
    columns = (
        "venue, symbol, feed, epoch_us(gap_start), epoch_us(gap_end), cause, epoch_us(healed_at), source"
    )
    newest = relation.order("gap_start DESC, venue, symbol, feed").limit(MOST_GAPS).project(columns)
    return {"total": total, "unhealed": unhealed, "lost": lost, "rows": newest.fetchall()}


def revisions(lake: Lake, chosen: Chosen) -> dict[str, Any]:
    """Candles that the venue changed, by series: how many, of which opening times, when last."""
    relation = lake.kline_revisions(**chosen.series, period=chosen.period, **chosen.range).aggregate(
        "venue, symbol, period, count(*) AS revised, epoch_us(min(open_time)), epoch_us(max(open_time)), "
        "epoch_us(max(superseded_at))",
        "venue, symbol, period",
    )
    rows = relation.order("revised DESC, venue, symbol, period").fetchall()
    return {
        "total": sum(row[3] for row in rows),
        "series": len(rows),
        "rows": rows[:MOST_REVISED],
    }


def found(root: Root, chosen: Chosen) -> dict[str, Any]:
    """What the last audits found: the first of each check."""
    table = findings.read(root).sort_by([(name, "ascending") for name in ("check_name", "at_time", "symbol")])
    checks: dict[str, dict[str, Any]] = {}
    window = chosen.window
    for row in table.to_pylist():
        at = None if row["at_time"] is None else from_datetime(row["at_time"])
        meant = all(
            matches(getattr(chosen, name), row[name] or "") for name in ("dataset", "venue", "symbol", "period")
            if getattr(chosen, name) is not None
        )  # fmt: skip
        if not meant or (at is not None and not window.start <= at < window.end):
            continue
        check = checks.setdefault(row["check_name"], {"check": row["check_name"], "total": 0, "rows": []})
        check["total"] += 1
        if len(check["rows"]) < MOST_FINDINGS:
            check["rows"].append(
                [row["dataset"], row["venue"], row["symbol"], row["period"], at, row["column_name"],
                 said(row["ours"]), said(row["theirs"]), row["detail"]]
            )  # fmt: skip
    return {"total": sum(check["total"] for check in checks.values()), "checks": list(checks.values())}


def said(value: float | None) -> float | None:
    """JSON has no word for what is no number."""
    return value if value is not None and math.isfinite(value) else None


def tried(broken: list[str], otherwise: _Made, ask: Callable[[], _Made]) -> _Made:
    """One table that cannot be read does not take the page with it: why is added to ``broken``."""
    try:
        return ask()
    except _OUR_FAULT:
        raise
    except _UNREADABLE as error:
        broken.append(str(error))
        return otherwise


def size_of(paths: Sequence[str]) -> int:
    """Bytes of these files; one that is gone counts nothing."""
    total = 0
    for path in paths:
        stamp = verbs(path).stamp(path)
        total += stamp[1] if stamp else 0
    return total
