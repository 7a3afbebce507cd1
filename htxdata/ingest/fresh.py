"""How old is what is kept? For every series of every ``[[keep]]``: since when more of it could have been had.

Reads the lake and asks nobody. A series is *late* when that is longer ago than its allowance: ``fresh_within`` of the
entry, or of ``[alerts]``, or what its way of coming allows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from htxdata.config import Keep, Settings
from htxdata.config import lake as lake_of
from htxdata.errors import ConfigError, CorruptPartition, UsageError
from htxdata.ingest.keeping import captured, only_late, series_of
from htxdata.ingest.plan import grid_for
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.store.coverage import with_missing
from htxdata.store.footer import Span
from htxdata.store.ledger import lake_coverage
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, SECOND, iso, parse_duration, parse_instant
from htxdata.venues import venue as venue_named

ALLOWED = 3 * HOUR
"""Where nothing else is said: `sync` once an hour, one run that failed, and some time for a third."""

ALLOWED_LATE = 3 * DAY
"""The same of what only the archive brings: the file of a day comes the day after, or the day after that."""


@dataclass(frozen=True)
class Standing:
    """How a series stands. Times in microseconds UTC, spans in microseconds.

    ``known``: until when nothing has to be asked for (None: nothing is there). ``late_by``: for how long more could
    have been had. ``holes`` and ``lost``: how many spans before ``known`` are missing or outages, and their length.
    """

    series: Series
    known: int | None
    late_by: int
    allowed: int
    rows: int = 0
    holes: int = 0
    lost: int = 0

    @property
    def late(self) -> bool:
        return self.late_by > self.allowed


def stand(series: Series, spans: Sequence[Span], since: int, now: int, allowed: int, over: int | None) -> Standing:
    """The standing of a series at ``now``. ``over``: when the venue ended it, if it has."""
    declared, grid = dataset_named(series.dataset), grid_for(series, venue_named(series.venue))
    asked = [span for span in spans if span.verdict not in ("missing", "outage")]
    known = max((span.end for span in asked), default=None)
    at = since if known is None else known
    # A candle can be had when it is over: what counts is the end of the first one that lacks, not its beginning.
    ripe = grid.next(grid.floor(at)) if grid is not None else at
    late_by = max(0, now - declared.settle(series.period) - ripe)
    if over is not None and (ripe > over if grid is not None else ripe >= over):
        late_by = 0
    holes = [s for s in with_missing(sorted(spans)) if s.verdict in ("missing", "outage") and s.end <= (known or 0)]
    return Standing(
        series, known, late_by, allowed, sum(s.rows for s in spans), len(holes), sum(s.end - s.start for s in holes)
    )


def allowance(keep: Keep, settings: Settings) -> int:
    """Microseconds; ``ConfigError`` where it is no span of time."""
    for key, text in (("[[keep]] fresh_within", keep.fresh_within),
                      ("alerts.fresh_within", settings.alerts.fresh_within)):  # fmt: skip
        if text is not None:
            try:
                return int(parse_duration(text) * SECOND)
            except UsageError as error:
                raise ConfigError(f"{settings.origin}: {key}: {error}") from None
    return ALLOWED_LATE if only_late(keep) and not captured(keep, settings) else ALLOWED


def standings(settings: Settings, now: int | None = None) -> list[Standing]:
    """Every series of every ``[[keep]]``, in their order. Where two entries mean one, the stricter allowance counts."""
    moment = time.time_ns() // 1000 if now is None else now
    root = lake_of(settings)
    store = Store(root)
    found: dict[Series, Standing] = {}
    listed: dict[str, dict[str, Series]] = {}
    for keep in settings.keep:
        if keep.venue not in listed:
            listed[keep.venue] = {s.symbol: s for s in store.series(dataset="instruments", venue=keep.venue)}
        since = parse_instant(keep.since or "2017-01-01")
        allowed = allowance(keep, settings)
        # What a broken file held counts as not there; `audit` and `doctor` name the file.
        covered = lake_coverage(root, keep.dataset, keep.venue, on_broken=lambda error: None)
        for series in series_of(keep, store, listed[keep.venue]):
            standing = stand(series, covered.get(series, ()), since, moment, allowed, None)
            if standing.late and (over := _over(store, listed[keep.venue], series)) is not None and over <= moment:
                standing = stand(series, covered.get(series, ()), since, moment, allowed, over)
            before = found.get(series)
            if before is None or allowed < before.allowed:
                found[series] = standing
    return list(found.values())


def _over(store: Store, listed: Mapping[str, Series], series: Series) -> int | None:
    """When the instrument was delisted or delivered, by the newest word on it in the lake."""
    if series.symbol not in listed:
        return None
    try:
        for partition in store.partitions(listed[series.symbol])[-1:]:
            table = store.read(partition)
            if table is None or not len(table):
                return None
            ends = [pc.cast(table[name], "int64")[-1].as_py() for name in ("delisted_at", "delivery_at")]
            return min((end for end in ends if end is not None), default=None)
    except CorruptPartition:
        return None
    return None


def late(found: Sequence[Standing]) -> list[Standing]:
    return [standing for standing in found if standing.late]


def sentence(standing: Standing) -> str:
    """``klines htx-spot btcusdt 1min: up to 2024-01-05T08:00:00Z, 3h12m behind, 2h allowed``."""
    until = "nothing of it is there" if standing.known is None else f"up to {iso(standing.known)}"
    return f"{standing.series}: {until}, {short(standing.late_by)} behind, {short(standing.allowed)} allowed"


def short(span: int) -> str:
    """``0s``, ``42s``, ``3h12m``, ``2d4h``: the two largest units."""
    seconds = span // SECOND
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    said = [f"{count}{unit}" for count, unit in parts if count]
    return "".join(said[:2]) or "0s"
