"""One file of the archive that is here: the rows of a day of a series, as they stand in it or sorted, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.ingest.daily import DailyCandles, content_of
from htxdata.ingest.order import by_key, by_time, in_order, inside
from htxdata.ingest.plan import day_at
from htxdata.ingest.sinks import Tables
from htxdata.market import Series
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import conform
from htxdata.timeline import HOUR, Window, iso
from htxdata.transport.download import Fetched
from htxdata.transport.unzip import blocks, tar_gz_blocks
from htxdata.venues.terms import Archive

SORTED_AT_ONCE = 64 << 20
"""Bytes of a zip up to which a file whose rows are out of order is sorted in memory; a larger one hour by hour."""


@dataclass(frozen=True)
class DayFile:
    """The file of the day ``window`` of a series. ``daily`` knows how large a contract was on that day.

    Each reading begins anew, and raises ``BadReply`` where the file is not what it should be.
    """

    archive: Archive
    fetched: Fetched
    series: Series
    window: Window
    daily: DailyCandles

    @property
    def dataset(self) -> Dataset:
        return dataset_named(self.series.dataset)

    def as_it_is(self) -> Tables:
        """The rows as they stand in it; ``Unsorted`` where that is not in order and has to be."""
        if self.dataset.grain(self.series.period) == "day":  # it is streamed
            return self.in_order()
        return (by_time(table, self.dataset) for table in self._rows())

    def in_order(self) -> Iterator[pa.Table]:
        """The rows as they stand in it; ``Unsorted`` where that is not in order of time and key."""
        return in_order(self._rows(), self.dataset)

    def sorted(self) -> Tables:
        """The rows of a file that is out of order, hour by hour where they are too many to be held at once."""
        cuts = [self.window]
        if self.fetched.size > SORTED_AT_ONCE:
            cuts = [Window(at, at + HOUR) for at in range(self.window.start, self.window.end, HOUR)]
        for cut in cuts:
            parts = []
            for table in self._rows():
                mask = inside(table, self.dataset, cut)
                if mask.any():
                    parts.append(table.filter(pa.array(mask)))
            if parts:
                yield by_key(pa.concat_tables(parts, promote_options="default"), self.dataset)

    def _rows(self) -> Tables:
        facts = self.daily.facts(self.series, self.archive, day_at(self.window.start, self.daily.venue))
        unpack = tar_gz_blocks if self.archive.packed == "tar.gz" else blocks
        for parsed in self.archive.read(unpack(content_of(self.fetched)), self.series, facts):
            page = parsed.page
            if page.count and not self.window.start <= page.first <= page.last < self.window.end:
                stray = page.first if page.first < self.window.start else page.last
                raise BadReply(f"a row of {iso(stray)} is not of the day {self.window}")
            if page.count:
                columns = {**parsed.columns, "source": "archive", "received_at": self.fetched.received_at}
                yield conform(self.dataset, columns, parsed.unfit, words=True)
