"""What the archive's own daily candles say of the days of a job: was there trade, and how much was a contract then?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from htxdata.errors import Refused, VenueError
from htxdata.ingest.plan import held_by
from htxdata.market import Series
from htxdata.transport.download import Fetched
from htxdata.transport.unzip import blocks
from htxdata.venues.terms import Archive, Facts, Listed, Venue

State = Literal["traded", "untraded", "unlisted", "unknown"]

_SAME = 1e-6
"""Sizes of contracts differ by factors where they differ; sums of doubles by far less."""


class Shelf(Protocol):
    """What a job needs of the archive; ``ingest.session`` has it."""

    def listed(
        self, venue: Venue, archive: Archive, series: Series, days: tuple[str, ...]
    ) -> Mapping[str, Listed] | None:
        """The files of ``days`` that the archive lists, by day; None where it does not let itself be listed."""

    def fetch(self, venue: Venue, key: str, known: Listed | None) -> Fetched: ...

    def release(self, venue: Venue, fetched: Fetched) -> None: ...

    def facts(self, venue: Venue, series: Series, day: str) -> Facts: ...


@dataclass(frozen=True)
class Daily:
    """One day. ``each`` is how many base units one contract was, None where the candle does not tell."""

    state: State
    each: float | None = None


@dataclass
class DailyCandles:
    """The daily candles of one symbol, each fetched once and only when asked for. ``days`` are those of the job."""

    venue: Venue
    symbol: str
    days: Sequence[str]
    shelf: Shelf
    requests: int = 0
    _seen: dict[str, Daily] = field(default_factory=dict)
    _lasting: float | None = None
    _asked: bool = False

    def of(self, day: str) -> Daily:
        """Files of candles are written every day that an instrument is listed, those of trades only on days with
        trades (htx-api 9.5 [B])."""
        if day not in self._seen:
            self._seen[day] = self._look(day)
        return self._seen[day]

    def facts(self, series: Series, archive: Archive, day: str) -> Facts:
        """What a reader of ``archive`` must know of ``day``: the contract size of that time.

        The venue's list tells today's only. The candles of the job's first and last day agree nearly always: then
        nothing else is asked. Where no candle tells, today's it is.
        """
        today = self.shelf.facts(self.venue, series, day)
        if not archive.sized:
            return today
        if not self._asked:
            self._asked = True
            ends = [self.of(end).each for end in (self.days[0], self.days[-1])]
            if None not in ends and len(set(ends)) == 1:
                self._lasting = ends[0]
        each = self._lasting or self.of(day).each
        return today if each is None else Facts(each)

    def _look(self, day: str) -> Daily:
        probe = Series("klines", self.venue.name, self.symbol, "1day")
        archives = held_by(self.venue.archives_for("klines", "1day"), day)
        unlisted = bool(archives)
        for archive in archives:
            try:
                held = tuple(each for each in self.days if held_by([archive], each))
                listing = self.shelf.listed(self.venue, archive, probe, held)
                if listing is not None and day not in listing:
                    continue
                fetched = self.shelf.fetch(self.venue, archive.key(probe, day), listing[day] if listing else None)
                self.requests += 2  # the file and its checksum
                try:
                    return self._said(archive, probe, fetched, day)
                finally:
                    self.shelf.release(self.venue, fetched)
            except Refused as error:
                unlisted &= error.kind == "absent"
            except VenueError:
                unlisted = False
        return Daily("unlisted" if unlisted else "unknown")

    def _said(self, archive: Archive, probe: Series, fetched: Fetched, day: str) -> Daily:
        volume = contracts = 0.0
        today = self.shelf.facts(self.venue, probe, day)
        for parsed in archive.read(blocks(content_of(fetched)), probe, today):
            if parsed.page.count:
                volume += float(np.asarray(parsed.columns["volume"], dtype=np.float64).sum())
                if parsed.columns.get("contracts") is not None:
                    contracts += float(np.asarray(parsed.columns["contracts"], dtype=np.float64).sum())
        if volume <= 0:
            return Daily("untraded")
        if contracts <= 0:
            return Daily("traded")
        each, listed = volume / contracts, today.contract_size
        if listed is not None and abs(each / listed - 1) < _SAME:
            return Daily("traded", listed)
        return Daily("traded", float(f"{each:.6g}"))


def content_of(fetched: Fetched) -> bytes | Path:
    """The file's bytes, or where they lie."""
    if fetched.content is not None:
        return fetched.content
    assert fetched.path is not None
    return fetched.path
