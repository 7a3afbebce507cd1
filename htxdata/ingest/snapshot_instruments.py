"""The list of instruments, looked at from time to time: dated, with what left it kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from htxdata.errors import Incomplete
from htxdata.ingest.named import match_symbols
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot_states import held, in_turn, keep
from htxdata.market import Series
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import conform
from htxdata.timeline import from_datetime, iso
from htxdata.venues.terms import Venue

_SAID = dataset_named("instruments").says


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
    counts = {"new": 0, "changed": 0, "gone": 0}
    for at, symbol in enumerate(names):
        if symbol in wanted:
            row = {name: parsed.columns[name][at] for name in _SAID}
            _note(session, Series("instruments", venue.name, symbol), row, heard, counts)
    if tuple(symbols) == ("*",):
        stored = session.store.series(dataset="instruments", venue=venue.name)
        for series in stored:
            if series.symbol not in wanted:
                _gone(session, series, heard, counts)
    return Snapshot(venue.name, heard, len(wanted), **counts)


def _note(session: Session, series: Series, row: dict[str, Any], heard: int, counts: dict[str, int]) -> None:
    with in_turn(session.store, series):
        known = held(session.store, series, heard)
        last = _last(known.rows)
        if row["status"] == "delisted" and last is not None:
            # Gone before we ever looked: when, nobody says. Gone since the last look: now is the best we know.
            row["delisted_at"] = last["delisted_at"] if last["status"] == "delisted" else heard
        if keep(session.store, series, known, _table(row, heard), heard):
            counts["new" if last is None else "changed"] += 1


def _gone(session: Session, series: Series, heard: int, counts: dict[str, int]) -> None:
    """A symbol that left the list keeps its history and gets a last row (HTX publishes no delisting time)."""
    with in_turn(session.store, series):
        known = held(session.store, series, heard)
        last = _last(known.rows)
        if last is None or last["status"] == "delisted":
            return
        row = {name: last[name] for name in _SAID}
        row.update(status="delisted", delisted_at=heard)
        counts["gone"] += keep(session.store, series, known, _table(row, heard), heard)


def _last(rows: Any) -> dict[str, Any] | None:
    if rows is None:
        return None
    return {name: _plain(value) for name, value in rows.to_pylist()[-1].items()}


def _plain(value: Any) -> Any:
    return from_datetime(value) if hasattr(value, "tzinfo") else value


def _table(row: dict[str, Any], heard: int) -> Any:
    columns = {name: [value] for name, value in row.items() if value is not None}
    return conform(
        dataset_named("instruments"), {**columns, "as_of": [heard], "source": "rest", "received_at": heard}
    )


__all__ = ["Snapshot", "snapshot_instruments"]
