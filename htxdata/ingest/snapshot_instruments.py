"""The list of instruments, looked at from time to time: dated, with what left it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from htxdata.errors import Incomplete
from htxdata.ingest.session import Session, match_symbols
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import conform
from htxdata.store.coverage import Asked
from htxdata.store.layout import Partition
from htxdata.timeline import DAY, Window, iso, label_of
from htxdata.venues.terms import Venue

CONFIRM_EVERY = DAY
"""An unchanged description makes no new row; that it still held is noted once a day (a span in the footer)."""

_SAME = ("base", "quote", "settle", "kind", "status", "contract_size", "tick_size", "lot_size", "listed_at",
         "delivery_at")  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """What one look at a venue's instruments found."""

    venue: str
    as_of: int
    seen: int
    new: int
    changed: int
    gone: int
    missing: ClassVar[tuple[str, ...]] = ()
    """Nothing: where there is no list, there is no snapshot."""

    def __str__(self) -> str:
        return (
            f"{self.venue}: {self.seen} instruments at {iso(self.as_of)}: "
            f"{self.new} new, {self.changed} changed, {self.gone} gone"
        )


def snapshot_instruments(session: Session, venue: Venue, symbols: Sequence[str] = ("*",)) -> Snapshot:
    """Look at the venue's instruments and store what is new or changed; ``Incomplete`` where it gives no list."""
    answer = session.instruments(venue)
    if answer is None:
        raise Incomplete(f"instruments of {venue.name}: the venue gave no usable list")
    parsed, heard = answer
    names: list[str] = list(parsed.columns["symbol"])
    wanted = set(match_symbols(venue, symbols, names)) if tuple(symbols) != ("*",) else set(names)
    stored = {
        series.symbol: series for series in session.store.series(dataset="instruments", venue=venue.name)
    }
    counts = {"new": 0, "changed": 0, "gone": 0}
    for at, symbol in enumerate(names):
        if symbol in wanted:
            row = {name: parsed.columns[name][at] for name in _SAME}
            _note(session, Series("instruments", venue.name, symbol), row, heard, symbol in stored, counts)
    if tuple(symbols) == ("*",):
        for symbol in sorted(set(stored) - set(names)):
            _gone(session, stored[symbol], heard, counts)
    return Snapshot(venue.name, heard, len(wanted), **counts)


def _newest(session: Session, series: Series, year: int) -> tuple[dict[str, Any] | None, int]:
    """The newest stored row of a symbol, and up to when it was confirmed."""
    spans = session.store.coverage(series)
    confirmed = max((span.end for span in spans), default=0)
    for label in range(year, 2016, -1):
        table = session.store.read(Partition(series.dataset, series.venue, series.symbol, None, str(label)))
        if table is not None and len(table):
            return table.slice(len(table) - 1, 1).to_pylist()[0], confirmed
    return None, confirmed


def _note(
    session: Session, series: Series, row: dict[str, Any], heard: int, stored: bool, counts: dict[str, int]
) -> None:
    last, confirmed = _newest(session, series, int(label_of("year", heard))) if stored else (None, 0)
    before = None if last is None else {name: _plain(last[name]) for name in _SAME}
    if before == row:
        if heard - confirmed >= CONFIRM_EVERY:
            _commit(session, series, None, Window(confirmed, heard), heard)
        return
    counts["new" if last is None else "changed"] += 1
    row = dict(row)
    if row["status"] == "delisted" and last is not None:
        # Gone before we ever looked: when, nobody says. Gone since the last look: now is the best we know.
        row["delisted_at"] = _plain(last["delisted_at"]) if last["status"] == "delisted" else heard
    _commit(session, series, row, Window(confirmed or heard, heard + 1), heard)


def _gone(session: Session, series: Series, heard: int, counts: dict[str, int]) -> None:
    """A symbol that left the list keeps its history and gets a last row (HTX publishes no delisting time)."""
    last, confirmed = _newest(session, series, int(label_of("year", heard)))
    if last is None or last["status"] == "delisted":
        return
    counts["gone"] += 1
    row = {name: _plain(last[name]) for name in _SAME}
    row.update(status="delisted", delisted_at=heard)
    _commit(session, series, row, Window(confirmed or heard, heard + 1), heard)


def _plain(value: Any) -> Any:
    from htxdata.timeline import from_datetime

    return from_datetime(value) if hasattr(value, "tzinfo") else value


def _commit(session: Session, series: Series, row: dict[str, Any] | None, window: Window, heard: int) -> None:
    dataset = dataset_named("instruments")
    from htxdata.store.layout import partitions

    for partition in partitions(series, window):
        table = None
        if row is not None and partition.label == label_of("year", heard):
            columns = {name: [value] for name, value in row.items() if value is not None}
            table = conform(dataset, {**columns, "as_of": [heard], "source": "rest", "received_at": heard})
        asked = Asked(window.intersect(partition.window), "rest", heard, "present")
        session.store.commit(partition, table, [asked])


__all__ = ["Snapshot", "snapshot_instruments"]
