"""Zips on the disk as a job of the archive sees them, without a network: for what fetching is not to be measured."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from pathlib import Path

from htxdata.market import Series
from htxdata.transport.download import Fetched
from htxdata.venues.terms import Archive, Facts, Listed, Venue
from tests.benchmarks import days


class PaperShelf:
    """``zips``: day to file."""

    def __init__(self, zips: Mapping[str, Path]) -> None:
        self.zips = dict(zips)

    def listed(
        self, venue: Venue, archive: Archive, series: Series, wanted: tuple[str, ...]
    ) -> dict[str, Listed]:
        return {
            day: Listed(archive.key(series, day), file.stat().st_size, f"etag-{day}", 0)
            for day, file in self.zips.items()
        }

    def fetch(self, venue: Venue, key: str, known: Listed | None) -> Fetched:
        day = key[-14:-4]
        file, now = self.zips[day], time.time_ns() // 1000
        return Fetched(key, file, f"etag-{day}", "0" * 64, file.stat().st_size, now, True)

    def release(self, venue: Venue, fetched: Fetched) -> None:
        pass

    def facts(self, venue: Venue, series: Series, day: str) -> Facts:
        return Facts()


def every_day(folder: Path, first: str, count: int, rows: int) -> dict[str, Path]:
    """So many days of so many trades; what is in them repeats every ten days, for making it takes longest."""
    folder.mkdir(parents=True, exist_ok=True)
    out = {}
    for at in range(count):
        day = (dt.date.fromisoformat(first) + dt.timedelta(days=at)).isoformat()
        out[day] = days.pack(days.trades(day, rows, at % 10), folder / f"BTCUSDT-trades-{day}.zip", 1)
    return out
