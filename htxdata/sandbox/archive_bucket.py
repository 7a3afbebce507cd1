"""The bucket as objects: which keys are there at an instant, and the size, the ETag and the bytes of each.

Content is a pure function of seed, options and key. What faults do to whole files (missing, late, replaced ones) is a
pure function of seed, rule and key too, and of when it is looked at.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .archive_days import Days
from .archive_names import SERIES, File, Series, day_start, file_of
from .archive_strays import STRAYS
from .archive_zips import Options, Stale, Zips
from .bars import Columns
from .faults import Faults
from .limits import ARCHIVE
from .market import Market
from .periods import DAY, HOUR
from .replay import Replay


@dataclass(frozen=True)
class Entry:
    """One object. `modified` is us UTC. `body` may take milliseconds to make unless it is `ready`."""

    key: str
    size: int
    etag: str  # without quotes
    modified: int
    body: Callable[[], bytes]
    ready: bool


@dataclass(frozen=True)
class Moment:
    """When the bucket is looked at: the sandbox's clock (us UTC) and seconds of run time."""

    now: int
    elapsed: float


class Bucket:
    """Everything under the host. Thread safe."""

    def __init__(self, market: Market, replay: Replay | None, faults: Faults, options: Options) -> None:
        self.options, self._faults, self._seed = options, faults, market.seed
        self._days = Days(market.seed)
        self._zips = Zips(market, self._days, options)
        self._delay = int(options.delay_hours * HOUR)
        # What is served from a recording has no files: they would contradict it.
        self._series = {
            folder: series
            for folder, series in SERIES.items()
            if replay is None or not replay.covers(series.one.venue, series.one.symbol, series.dataset)
        }
        self._places = sorted([*self._series, *STRAYS])  # as the bucket sorts: by UTF-8 bytes
        self._asked: dict[str, int] = {}  # zip key -> GETs so far, where a fault counts them
        self._replaced: dict[str, int] = {}  # zip key -> since when, us UTC

    def keys(self, prefix: str, after: str, at: Moment) -> Iterator[str]:
        """All keys with a prefix that are greater than `after`, ascending by their UTF-8 bytes."""
        low = max(prefix, after)
        for place in self._places[max(bisect_right(self._places, low) - 1, 0) :]:
            if place > prefix and not place.startswith(prefix):
                return
            series = self._series.get(place)
            for key in [place] if series is None else self._keys_of(series, low, at):
                if key > after and key.startswith(prefix) and self._is_out(key, at):
                    yield key

    def find(self, key: str, at: Moment) -> Entry | None:
        """The object of a key; None if it is not there at this moment."""
        file = file_of(key)
        there = key in STRAYS if file is None else self._published(file, at)
        return self.entry(key, at) if there and self._is_out(key, at) else None

    def entry(self, key: str, at: Moment) -> Entry:
        """The object of a key that is there."""
        file = file_of(key)
        if file is None:
            body, modified = STRAYS[key]
            plain = hashlib.md5(body, usedforsecurity=False).hexdigest()
            return Entry(key, len(body), plain, modified, lambda: body, True)
        stale = self._stale(file, at)
        facts = (self._seed, self.options.perp_size, self.options.repeated_ids, key, stale)
        # An ETag with a dash is that of an upload in parts: it is not the MD5 of the content.
        etag = f"{hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()}-1"
        modified = self._replaced.get(file.zip_key, day_start(file.day) + DAY + self._delay)
        if file.checksum:
            size = 64 + 2 + len(file.name.encode()) + 1
            return Entry(key, size, etag, modified, lambda: self._zips.checksum(file, stale), False)
        ready = self._zips.kept(file, stale) is not None
        return Entry(key, self._zips.size(file), etag, modified, lambda: self._zips.zip(file, stale), ready)

    def asked(self, key: str) -> None:
        """One more GET of a key: a file that is to be replaced after so many counts them."""
        if key in self._asked:
            self._asked[key] += 1

    def truth(self, key: str) -> Columns:
        """What a file says in the end, whatever faults do to it; KeyError if there never is such a file."""
        file = file_of(key)
        if file is None or not self._exists(file):
            raise KeyError(key)
        return self._zips.rows(file)

    def _last_day(self, at: Moment) -> int:
        """The newest day that is published: `delay_hours` after its end."""
        return (at.now - self._delay + 8 * HOUR) // DAY - 1

    def _keys_of(self, series: Series, low: str, at: Moment) -> list[str]:
        """The keys of a series, from the day of `low` on if that is one of them."""
        days: Any = self._days.until(series, self._last_day(at))
        file = file_of(low)
        if file is not None and file.series is series:
            days = days[np.searchsorted(days, file.day) :]
        texts: list[str] = days.astype("datetime64[D]").astype(str).tolist()
        return [key for text in texts for key in series.pair(text)]

    def _exists(self, file: File) -> bool:
        days = np.array([file.day], dtype=np.int64)
        return file.series.folder in self._series and bool(self._days.exist(file.series, days)[0])

    def _published(self, file: File, at: Moment) -> bool:
        return file.day <= self._last_day(at) and self._exists(file)

    def _is_out(self, key: str, at: Moment) -> bool:
        """Whether a key that is due is there: not uploaded later by the clock, not hidden by a fault."""
        if key in STRAYS:
            return STRAYS[key][1] <= at.now
        file = file_of(key) if self._faults.hides else None
        if file is None:
            return True
        # A file and its checksum are hidden together.
        path, symbol = "/" + file.zip_key, file.series.one.symbol
        hidden = self._faults.about("missing_day", ARCHIVE, path, symbol, at.elapsed)
        if hidden is None:
            hidden = self._faults.about("late_file", ARCHIVE, path, symbol, at.elapsed)
            if hidden is not None and at.elapsed >= hidden.rule.seconds:
                hidden = None
        if hidden is not None:
            self._faults.note(hidden.rule.kind, ARCHIVE, path)
        return hidden is None

    def _stale(self, file: File, at: Moment) -> Stale | None:
        """What the file lacks until a fault replaces it: after so many GETs if the rule says `after`, or seconds."""
        key = file.zip_key
        fired = self._faults.about("replaced_file", ARCHIVE, "/" + key, file.series.one.symbol, at.elapsed)
        if fired is None or key in self._replaced:
            return None
        rule = fired.rule
        if self._asked.setdefault(key, 0) >= rule.after if rule.after else at.elapsed >= rule.seconds:
            self._replaced[key] = at.now
            return None
        self._faults.note("replaced_file", ARCHIVE, "/" + key)
        return fired.dice, rule.fraction
