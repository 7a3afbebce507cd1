"""Candles that are pushed while they run, and when one of them is final. Pure.

The last push of a candle is its final state if the topic was heard without a break from that push until the candle had
been over for ``settle`` (``Dataset.settle``). A candle of which no push came stays out: the venue may not push what did
not change, and then it says nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htxdata.ingest.distil_memory import CandleLine, Topic
from htxdata.ingest.distil_spans import Heard
from htxdata.timeline import Grid, Window

Row = dict[str, Any]


class CandleReader:
    """One topic's candles on one reel."""

    def __init__(self, topic: Topic, grid: Grid, settle: int) -> None:
        if topic.candles is None:
            topic.candles = CandleLine()
        self._line, self._grid, self._settle = topic.candles, grid, settle

    def take(self, columns: dict[str, list[Any]]) -> None:
        """The next pushes, in their order."""
        line = self._line
        opens = columns["open_time"]
        if opens and not line.first:
            line.first = opens[0]
        last = {open_time: at for at, open_time in enumerate(opens)}
        for open_time, at in last.items():
            line.open[open_time] = {name: column[at] for name, column in columns.items()}

    def final(self, clock: int) -> list[Row]:
        """The candles that are final by the venue's clock; they are let go of. A candle that opens off the grid is
        none of ours and stays."""
        done = [
            open_time
            for open_time in self._line.open
            if self._grid.next(self._grid.floor(open_time)) + self._settle <= clock
        ]
        return [self._line.open.pop(open_time) for open_time in sorted(done)]

    def forget(self) -> None:
        """Pushes were lost."""
        self._line.open.clear()


def columns_of(rows: Sequence[Row]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, 0) for row in rows] for name in names}


def slots_of(rows: Sequence[Row], grid: Grid) -> list[Window]:
    """The slots of rows in order of time, those that touch as one."""
    out: list[Window] = []
    for row in rows:
        opens = grid.floor(row["open_time"])
        if out and out[-1].end == opens:
            out[-1] = Window(out[-1].start, grid.next(opens))
        else:
            out.append(Window(opens, grid.next(opens)))
    return out


def handed_over(
    connections: Sequence[tuple[Topic, Sequence[Heard]]], grid: Grid, settle: int
) -> list[tuple[Row, int]]:
    """The candles that no connection heard to their end alone, but several that overlap did together: each row, and
    when it was known to be final by our clock.

    ``connections`` are those of one topic in order of opening, each with what was heard on it. A candle that a later
    connection heard of as well is that one's.
    """
    out: list[tuple[Row, int]] = []
    for at, (topic, heard) in enumerate(connections):
        if topic.candles is None or not heard:
            continue
        end, known_at = heard[-1].end, heard[-1].known_to
        rows = topic.candles.open
        for later, more in connections[at + 1 :]:
            for one in more:
                if one.start <= end < one.end:
                    end, known_at = one.end, one.known_to
            first = later.candles.first if later.candles else 0
            rows = {opens: row for opens, row in rows.items() if not first or opens < first}
        for opens, row in sorted(rows.items()):
            if grid.next(grid.floor(opens)) + settle <= end:
                out.append((row, known_at))
    return out
