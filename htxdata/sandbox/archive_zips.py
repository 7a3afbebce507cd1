"""The zips of the bucket: how big each will be, before it is made; and making them, keeping the most recent.

A listing of thousands of files must say their sizes and make none of them. So the size of a zip is foretold from how
many rows its day has and how well some days of the series squeeze, and the zip is filled up to it when it is made.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from .archive_books import Books
from .archive_days import FIRST_OF_CURRENT, Days
from .archive_files import PERP_SIZES, csv_of, overhead, squeezed, zipped
from .archive_names import BOOKS, FUNDING, KLINES, LEGACY, TRADES, File, Series, day_start
from .archive_rows import ArchiveRows, earlier
from .bars import Columns
from .market import Market
from .periods import DAY, MADE_OF_MINUTES, slot_of
from .recent import Recent

Stale = tuple[int, float]
"""Dice and share of the rows that a file lacks until it is replaced."""

_SAMPLES = 4  # days that are measured
_MARGIN = 1.08  # of what they take
_FLAT = 4  # bytes of a squeezed candle without volume
_FIXED = 110  # bytes of a header line, and to spare
_ROW = 100  # bytes of a row where nothing is measured
_SEEN = 400  # days of the new tree among which samples are taken


@dataclass(frozen=True)
class Options:
    """How the bucket is kept; the arguments `archive_…` of Sandbox."""

    delay_hours: float = 12.0
    listing: bool = True
    perp_size: str = "contracts"
    repeated_ids: float = 0.0
    cache_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.perp_size not in PERP_SIZES:
            raise ValueError(f"archive_perp_size {self.perp_size!r}: choose from {', '.join(PERP_SIZES)}")
        if not 0.0 <= self.repeated_ids <= 1.0:
            raise ValueError(f"archive_repeated_ids {self.repeated_ids!r}: a share from 0 to 1")
        if self.delay_hours < 0:
            raise ValueError(f"archive_delay_hours {self.delay_hours!r}: must not be negative")


class Bodies:
    """The most recent bodies, bounded by their bytes. Thread safe."""

    def __init__(self, room: int) -> None:
        self._room, self._used, self._lock = room, 0, threading.Lock()
        self._kept = OrderedDict[tuple[str, bool], bytes]()

    def get(self, key: tuple[str, bool]) -> bytes | None:
        """The body, or None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple[str, bool], body: bytes) -> None:
        """Keep a body and forget those unused for longest, until all fit."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = body
                self._used += len(body)
            while self._used > self._room:
                self._used -= len(self._kept.popitem(last=False)[1])


class Zips:
    """All zips and checksums, as pure functions of the seed, the options and the file. Thread safe."""

    def __init__(self, market: Market, days: Days, options: Options) -> None:
        self._market, self._days, self._options = market, days, options
        self._rows = ArchiveRows(market, options.repeated_ids)
        self._bodies, self._sums = Bodies(options.cache_bytes), Recent(50_000)
        self._measured = Recent(4096)
        self._books = Books(market, days)

    def rows(self, file: File) -> Columns:
        """What a file says in the end."""
        if file.series.dataset == BOOKS:
            return self._books.rows(file)
        return self._rows.of(file.series, file.day)

    def size(self, file: File) -> int:
        """How many bytes the zip has, without making it."""
        series, name = file.series, file.csv_name
        if series.dataset == BOOKS:
            return self._books.size(file)
        if series.dataset == FUNDING:
            start = day_start(file.day)
            times = self._market.funding_times(series.one.venue, series.one.symbol)
            first, last = np.searchsorted(times, [start, start + DAY])
            return overhead(name) + _FIXED + int(last - first) * _ROW
        busy, flat = self._expected(series, file.day)
        if series.dataset == TRADES or series.period in MADE_OF_MINUTES:
            return overhead(name) + _FIXED + int(busy * self._bytes_per_row(series)) + flat * _FLAT
        # A long candle takes long to make: it is measured on shorter ones, with room for longer sums.
        each = self._bytes_per_row(series.with_period(MADE_OF_MINUTES[-1])) * 1.5 + 20
        return overhead(name) + _FIXED + int((busy + flat) * each)

    def kept(self, file: File, stale: Stale | None) -> bytes | None:
        """The zip, if it is at hand."""
        return self._bodies.get((file.zip_key, stale is not None))

    def zip(self, file: File, stale: Stale | None) -> bytes:
        """The whole zip; a few milliseconds if it is not kept, up to a second for a first candle of hours or days."""
        found = self.kept(file, stale)
        if found is not None:
            return found
        if file.series.dataset == BOOKS:
            body = self._books.body(file, None if stale is None else stale[1])
            self._bodies.put((file.zip_key, stale is not None), body)
            return body
        rows = self.rows(file)
        if stale is not None:
            rows = earlier(rows, *stale)
        series, name, size = file.series, file.csv_name, self.size(file)
        text = csv_of(series, file.day, rows, self._options.perp_size)
        packed = squeezed(text)
        if len(packed) + overhead(name) > size:
            packed = squeezed(text, hard=True)
        body = zipped(name, file.day, text, packed, size, streamed=series.tree == LEGACY)
        self._bodies.put((file.zip_key, stale is not None), body)
        return body

    def checksum(self, file: File, stale: Stale | None) -> bytes:
        """The line of a .CHECKSUM: sha256 in hex, two blanks, the zip's name (9.2, 9.3)."""

        def make() -> str:
            return hashlib.sha256(self.zip(file, stale)).hexdigest()

        digest: str = self._sums.or_make((file.zip_key, stale is not None), make)
        return f"{digest}  {file.name}\n".encode()

    def _expected(self, series: Series, day: int) -> tuple[int, int]:
        """How many rows with numbers of their own a file has at most, and how many that repeat the last price."""
        trades, minutes = self._days.counts(series.one, day)
        if series.dataset == TRADES:
            return int(trades * (1.0 + self._options.repeated_ids)), 0
        start, period = day_start(day), series.period or ""
        slots = slot_of(period, start + DAY - 1) - slot_of(period, start) + 1
        if series.dataset != KLINES:
            return slots, 0
        busy = min(slots, minutes)
        return busy, slots - busy if series.one.flat_candles else 0

    def _bytes_per_row(self, series: Series) -> float:
        """What a row takes when squeezed, from some days of the series."""

        def make() -> float:
            days = self._days.until(series, FIRST_OF_CURRENT + _SEEN)
            if not len(days):
                return float(_ROW)
            places = np.linspace(0, len(days) - 1, _SAMPLES).astype(np.int64)
            found = [10.0]
            for day in days[places].tolist():
                busy, flat = self._expected(series, day)
                packed = squeezed(csv_of(series, day, self._rows.of(series, day), self._options.perp_size))
                if busy:
                    found.append((len(packed) - (_FLAT - 1) * flat) / busy)
            return max(found) * _MARGIN

        each: float = self._measured.or_make(series.folder, make)
        return each
