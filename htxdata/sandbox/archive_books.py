"""The archive's files of order books: JSON lines in a tar.gz (htx-api 9.3, 9.5), and how big they will be.

The reference names the members of a line and no more. Here numbers are numbers, `ts` is milliseconds as in the trades
of the same tree, a level is price and size, sizes of contracts are contracts; the file inside ends with `.data` [C].
"""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from typing import Any

import numpy as np
import orjson

from . import books
from .archive_days import FIRST_OF_BOOKS, Days
from .archive_files import plain_texts, squeezed
from .archive_names import File, Series, day_start
from .bars import Columns
from .books import Lines
from .market import Market
from .periods import DAY
from .recent import Recent

_SAMPLES = 2  # days that are measured
_MARGIN = 1.15  # of what they take
_FIXED = 2_000  # bytes of a day without levels, and to spare
_LINE = 4  # levels that weigh as much as a line without any
_SEEN = 100  # days among which samples are taken


class Books:
    """All files of order books, as pure functions of the seed and the file. Thread safe."""

    def __init__(self, market: Market, days: Days) -> None:
        self._seed, self._days = market.seed, days
        self._measured, self._counts = Recent(256), Recent(50_000)

    def rows(self, file: File) -> Columns:
        """What a file says: book_time (us UTC), kind, side, price, size (base units), contracts (None on spot),
        sequence (the number of the line, from 0 on); ascending by line, side and price. Lines without levels have no
        row."""
        one, made = file.series.one, self._lines(file)
        return {
            "book_time": made.time[made.line] * 1000,
            "kind": np.where(made.snapshot[made.line], "snapshot", "delta"),
            "side": np.where(made.side == 1, "bid", "ask"),
            "price": made.price / 10.0**one.price_decimals,
            "size": made.quantity / 10.0**one.quantity_decimals,
            "contracts": made.contracts if one.derivative else None,
            "sequence": made.line,
        }

    def size(self, file: File) -> int:
        """How many bytes the tar.gz has, without making it."""
        return _FIXED + int(self._weight(file.series, file.day) * self._bytes_each(file.series))

    def body(self, file: File, lost: float | None = None) -> bytes:
        """The whole tar.gz, as long as was foretold. `lost`: a file as it was before the exchange replaced it, without
        that share of its lines, at least one, at the end."""
        made = self._lines(file)
        if lost is not None:
            made = made.until(min(int(len(made.time) * (1.0 - lost)), len(made.time) - 1))
        tar = _tar(f"{file.name.removesuffix('.tar.gz')}.data", file.day, text_of(file.series, made))
        size, packed = self.size(file), squeezed(tar)
        if len(packed) > size - _AROUND:
            packed = squeezed(tar, hard=True)
        return _gzip(tar, packed, size)

    def _lines(self, file: File) -> Lines:
        return books.lines(self._seed, file.series.one, day_start(file.day))

    def _weight(self, series: Series, day: int) -> int:
        """Levels, and what lines weigh beside them."""

        def make() -> int:
            lines, levels = books.counts(self._seed, series.one, day_start(day))
            return levels + lines * _LINE

        weight: int = self._counts.or_make((series.folder, day), make)
        return weight

    def _bytes_each(self, series: Series) -> float:
        def make() -> float:
            first = max(FIRST_OF_BOOKS, series.one.listed_at // DAY)  # of a future that came later, its own
            days = self._days.until(series, first + _SEEN)
            found = [1.0]
            for place in (
                np.linspace(0, len(days) - 1, _SAMPLES).astype(np.int64).tolist() if len(days) else ()
            ):
                day = int(days[place])
                text = text_of(series, books.lines(self._seed, series.one, day_start(day)))
                found.append(len(squeezed(text)) / self._weight(series, day))
            return max(found) * _MARGIN

        each: float = self._measured.or_make(series.folder, make)
        return each


# ---------------------------------------------------------------------------------------------------------- lines


def text_of(series: Series, made: Lines) -> bytes:
    """The JSON lines of a file: asks from the lowest price up, bids from the highest down."""
    one = series.one
    prices = plain_texts(made.price / 10.0**one.price_decimals, one.price_decimals)
    if one.derivative:
        sizes = orjson.dumps(made.contracts, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    else:
        sizes = plain_texts(made.quantity / 10.0**one.quantity_decimals, one.quantity_decimals)
    levels = [b"[%b,%b]" % pair for pair in zip(prices, sizes, strict=True)] if len(made.line) else []
    numbers = np.arange(len(made.time) + 1, dtype=np.int64)
    ends: list[int] = np.searchsorted(made.line * 2 + made.side, numbers * 2).tolist()
    middles: list[int] = np.searchsorted(made.line * 2 + made.side, numbers[:-1] * 2 + 1).tolist()
    head = b'{"instId":%b,"action":"' % orjson.dumps(series.name)
    actions: Any = [b"snapshot" if whole else b"update" for whole in made.snapshot.tolist()]
    out = []
    for at, (time, action, middle) in enumerate(zip(made.time.tolist(), actions, middles, strict=True)):
        asks, bids = levels[ends[at] : middle], levels[middle : ends[at + 1]]
        out.append(
            b'%b%b","ts":%d,"asks":[%b],"bids":[%b]}\n'
            % (head, action, time, b",".join(asks), b",".join(bids[::-1]))
        )
    return b"".join(out)


# ---------------------------------------------------------------------------------------------------------- tar.gz

_AROUND = 10 + 8  # the header of a gzip member and what follows its content (RFC 1952)


def _tar(name: str, day: int, text: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        inside = tarfile.TarInfo(name)
        inside.size, inside.mtime, inside.mode = len(text), (day + 1) * 86_400, 0o644
        tar.addfile(inside, io.BytesIO(text))
    return out.getvalue()


def _gzip(text: bytes, packed: bytes, size: int) -> bytes:
    """One gzip member of exactly `size` bytes: a comment in its header fills it up. ValueError if it cannot fit."""
    spare = size - len(packed) - _AROUND
    if spare < 0:
        raise ValueError(f"{len(packed)} bytes of content do not fit a tar.gz of {size}")
    flags, comment = (0x10, b" " * (spare - 1) + b"\0") if spare else (0, b"")
    head = struct.pack("<HBBIBB", 0x8B1F, 8, flags, 0, 0, 255)
    return head + comment + packed + struct.pack("<II", zlib.crc32(text), len(text))
