"""A venue on paper: HTX's spot candles by pure function calls, with everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from htxdata.errors import Refused
from htxdata.ingest.backfill import fill as fill_job
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import plan_series
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.store.footer import Span
from htxdata.store.partition import Store
from htxdata.timeline import MINUTE, SECOND, Window, parse_instant
from htxdata.venues import venue

SPOT = venue("htx-spot")
MINUTES = Series("klines", "htx-spot", "btcusdt", "1min")
T0 = parse_instant("2024-03-05T00:00")
CANDLES, KLINE = "/market/history/candles", "/market/history/kline"


@dataclass
class Paper:
    """``rows`` maps openings (microseconds) to closes; ``now`` is both clocks, ``behind`` how far the venue's lags."""

    now: int
    rows: dict[int, float] = field(default_factory=dict)
    cap: int = 1000
    depth: int | None = None
    absent: Sequence[str] = ()
    spoil: Callable[[Request, bytes], bytes] | None = None
    behind: int = 0
    asked: list[Request] = field(default_factory=list)

    def get(self, request: Request) -> Reply:
        self.asked.append(request)
        if request.path in self.absent:
            raise Refused("absent", f"paper{request.path}: HTTP 404")
        query = dict(request.params)
        period, size = query["period"], int(query["size"])
        rows = self.rows if period == "1min" else {}
        venue_now = self.now - self.behind
        if request.path == CANDLES:
            low, high = int(query["from"]) * SECOND, int(query["to"]) * SECOND
            served = [t for t in sorted(rows) if low <= t <= high and t <= venue_now]
            served = [t for t in served if self.depth is None or t >= self.depth]
            served = [] if (min(high, venue_now) - low) // MINUTE + 1 > self.cap else served[:size]
        else:
            served = [t for t in sorted(rows) if t <= venue_now][-size:]
        data = [
            {
                "id": t // SECOND,
                "open": 1.5,
                "high": 9.5,
                "low": 0.5,
                "close": rows[t],
                "amount": 2.0,
                "vol": 3.0,
                "count": 4,
            }
            for t in reversed(served)
        ]
        said = {
            "ch": f"market.{query['symbol']}.kline.{period}",
            "status": "ok",
            "ts": venue_now // 1000,
            "data": data,
        }
        body = json.dumps(said, separators=(",", ":")).encode()
        body = self.spoil(request, body) if self.spoil else body
        return Reply(request, 200, body, self.now, {"date": formatdate(venue_now // SECOND, usegmt=True)})


def minutes(start: int, count: int, close: float = 2.5) -> dict[int, float]:
    return {start + at * MINUTE: close for at in range(count)}


def fill(
    paper: Paper, folder: Path, window: Window, series: Series = MINUTES, born: int | None = None,
    archived: bool = False,
) -> list[Outcome]:  # fmt: skip
    """Plan and do what ``window`` still needs at ``paper.now``, by REST; ``archived`` says that there is an archive."""
    store = Store(folder / "lake")
    spans = [span for p in store.partitions(series) for span in store.spans(p)]
    plan = plan_series(series, SPOT, window, spans, paper.now, born=born)
    return [
        fill_job(job, venue=SPOT, store=store, get=paper.get, tape=folder / "tape", archived=archived)
        for job in plan.jobs
    ]


def spans(folder: Path, series: Series = MINUTES) -> list[Span]:
    return Store(folder / "lake").coverage(series)


def verdicts(folder: Path, series: Series = MINUTES) -> list[tuple[int, int, str]]:
    """``(first minute, minute after the last, verdict)``, counted from ``T0``."""
    return [((s.start - T0) // MINUTE, (s.end - T0) // MINUTE, s.verdict) for s in spans(folder, series)]


def closes(folder: Path, series: Series = MINUTES) -> dict[int, float]:
    """What is stored: minute from ``T0`` to close."""
    store = Store(folder / "lake")
    out: dict[int, float] = {}
    for partition in store.partitions(series):
        table = store.read(partition)
        assert table is not None
        for row in table.to_pylist():
            out[(int(row["open_time"].timestamp()) * SECOND - T0) // MINUTE] = row["close"]
    return out
