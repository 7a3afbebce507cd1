"""Files of the archive to columns of the schema: what their columns are, and the readers of candles and fundings. Pure.

The tree decides how a file is read, not its date (htx-api 9.5 [B]). A header, where there is one, says where each
column stands; without one they stand in the tree's order, and their number must be right. Any doubt is a ``BadReply``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.timeline import MILLISECOND, MINUTE, SECOND
from htxdata.venues.htx import archive_table
from htxdata.venues.htx.archive_pieces import Pieces
from htxdata.venues.htx.archive_volumes import Volumes, calibrated
from htxdata.venues.terms import Blocks, Facts, Parsed

FIRST_MS, LAST_MS = (
    10**11,
    10**13,
)  # 1973 and 2286: above every count of seconds, below every one of microseconds
_FIRST_S, _LAST_S = 10**8, 10**10  # the same

Names = Callable[[Series], tuple[str, ...]]
"""What the rows of a series may call themselves (``instId``)."""


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file in their order, by what they mean, and the words of headers that mean it.

    A file whose rows name their instrument has the column ``name``; ``own`` gives the names.
    """

    columns: tuple[str, ...]
    words: Mapping[str, str]
    own: Names = lambda series: ()

    def of(self, pieces: Pieces, own: tuple[str, ...]) -> tuple[str, ...]:
        """The columns in the order of this file; its header, if it has one, is taken from the pieces."""
        words = header(pieces, own)
        if words is None:
            return self.columns
        unknown = [word for word in words if word not in self.words]
        if unknown:
            raise BadReply(f"the header has {unknown[0]!r:.60}, which is none of {', '.join(self.words)}")
        columns = tuple(self.words[word] for word in words)
        if sorted(columns) != sorted(self.columns):
            raise BadReply(f"the header is {', '.join(words)!r:.200}, due are {', '.join(self.columns)}")
        return columns


def header(pieces: Pieces, own: tuple[str, ...]) -> tuple[str, ...] | None:
    """The words of the first line, taken from the pieces; None where the file begins with a row.

    A row begins with a number or with one of the series' ``own`` names; what begins otherwise is a header
    (htx-api 9.2 [B]: "first cell non-numeric").
    """
    try:
        line = pieces.first_line().decode()
    except UnicodeDecodeError as error:
        raise BadReply(f"the first line is no text: {error}") from error
    words = tuple(word.strip() for word in line.split(","))
    if not line.strip() or words[0] in own or words[0][:1] in "0123456789.+-":
        return None
    pieces.skip_line()
    return words


Reader = Callable[[Blocks, Series, Facts], Iterator[Parsed]]


_PRICES = ("open", "high", "low", "close")


def candles(layout: Layout, volumes: Volumes | None = None) -> Reader:
    """The reader of candles; ``volumes`` tells which column is what, None where the candles are of a computed price."""

    def read(blocks: Blocks, series: Series, facts: Facts) -> Iterator[Parsed]:
        table, columns = _small(layout, blocks, series)
        if table is None:
            return
        at = {name: number for number, name in enumerate(columns)}
        opens = _instants(table, at["time"], _FIRST_S, _LAST_S, "seconds") * SECOND
        prices = {name: np.ascontiguousarray(table.values[:, at[name]]) for name in _PRICES}
        _check_candles(prices)
        out: dict[str, Any] = {"open_time": opens, **prices}
        if volumes is not None:
            names = {name: where for name, where in at.items() if name != "time" and name not in _PRICES}
            size = facts.contract_size
            out |= calibrated(volumes, table, names, prices["low"], prices["high"], size)
        stored = [number for name, number in at.items() if name != "time"]
        page = Page(len(opens), int(opens.min()), int(opens.max()))
        yield Parsed({name: pa.array(values) for name, values in out.items()}, page, table.unfit(stored))

    return read


def fundings(layout: Layout) -> Reader:
    """The reader of fundings. Their instants jitter by about a second; REST gives the minute (htx-api 4.7)."""

    def read(blocks: Blocks, series: Series, facts: Facts) -> Iterator[Parsed]:
        table, columns = _small(layout, blocks, series)
        if table is None:
            return
        at = {name: number for number, name in enumerate(columns)}
        settled = _instants(table, at["time"], FIRST_MS, LAST_MS, "milliseconds") * MILLISECOND
        settled = (settled + MINUTE // 2) // MINUTE * MINUTE
        rates = pa.array(np.ascontiguousarray(table.values[:, at["rate"]]))
        page = Page(len(settled), int(settled.min()), int(settled.max()))
        out = {"funding_time": pa.array(settled), "funding_rate": rates}
        yield Parsed(out, page, table.unfit([at["rate"]]))

    return read


def _small(layout: Layout, blocks: Blocks, series: Series) -> tuple[Any, tuple[str, ...]]:
    """A file that is read at once: its numbers, and the columns that they stand in. None where it has no row."""
    own, pieces = layout.own(series), Pieces(blocks, archive_table.LARGEST)
    columns = layout.of(pieces, own)
    text = archive_table.rest_of(pieces)
    if not text:
        return None, columns
    if "name" in columns:
        if columns[0] != "name":
            raise BadReply("the header does not begin with the instrument")
        text, columns = archive_table.without_name(text, own), columns[1:]
    return archive_table.table(text, len(columns)), columns


def _instants(table: archive_table.Table, column: int, first: int, end: int, unit: str) -> Any:
    values = table.values[:, column]
    good = (values >= first) & (values < end) & (values == np.floor(values))
    if not good.all():
        at = int(np.argmin(good))
        raise BadReply(f"row {at}: the time is {table.cell(at, column)!r:.60}: not {unit} of our time")
    return values.astype(np.int64)


def _check_candles(prices: Mapping[str, Any]) -> None:
    """Low and high hold open and close, whatever the sign of the prices. Also shows columns in another order."""
    o, h, low, c = (prices[name] for name in _PRICES)
    good = (low <= np.minimum(o, c)) & (h >= np.maximum(o, c))
    if not good.all():
        at = int(np.argmin(good))
        raise BadReply(f"row {at}: open {o[at]}, high {h[at]}, low {low[at]}, close {c[at]} are no candle")
