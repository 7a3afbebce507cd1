"""Longer candles from complete shorter ones.

A bar is made only where every smaller slot of it is known: its candle is stored, or the venue said that there is none
(``empty``). Slots that are ``missing``, ``outage`` or ``unobtainable`` leave out every bar that they touch. An empty
slot adds nothing, and a bar of empty slots only is no bar.

Each bar is made of the largest stored period that divides it and is complete there. Sums go over the steps of
``periods.LADDER``, each a pairwise sum of the one below: beside the exact sum by less than 1e-14 of it (turnover and
volumes are never negative), and the same bits whatever else is asked for. Prices and counts are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from htxdata.research import periods, runs
from htxdata.research.runs import Columns, Ints
from htxdata.schema import Dataset
from htxdata.timeline import Grid, Window, intersect, merge

if TYPE_CHECKING:
    import pyarrow as pa

_SUMS = ("volume", "quote_volume", "contracts", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")
_PLAIN = ("open_time", "open", "high", "low", "close", "source", "received_at")
_WORDS = ("archive", "rest", "ws")
_WHOLE = frozenset({"trade_count"})  # sums that are counts


def complete(target: Grid, slots: Grid, known: Iterable[Window]) -> list[Window]:
    """Where bars of ``target`` are complete in slots that are known in ``known``; the ends are openings of bars."""
    out = []
    for span in merge(known):
        whole = Window(slots.ceil(span.start), slots.floor(span.end))
        bars = Window(target.ceil(whole.start), target.floor(whole.end)) if whole else whole
        if bars:
            out.append(bars)
    return out


def read(declared: Dataset) -> list[str]:
    """The columns that bars are made of."""
    return [name for name in declared.columns if name in (*_PLAIN, *_SUMS)]


def columns(table: pa.Table) -> Columns:
    """Stored candles as numpy arrays: instants as microseconds, the source as bits (1 shifted by its place in
    ``_WORDS``), NULL as NaN; a sum that nobody ever said is left out."""
    out: Columns = {}
    for name in table.column_names:
        column = table[name]
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
        if name == "source":
            bits = [1 << _WORDS.index(word) for word in column.dictionary.to_pylist()] or [0]
            out[name] = np.array(bits, dtype=np.uint8)[column.indices.to_numpy(zero_copy_only=False)]
        elif name in ("open_time", "received_at"):
            out[name] = column.cast("int64").to_numpy()
        elif name not in _SUMS or column.null_count < len(column):
            out[name] = column.to_numpy(zero_copy_only=False)
    return out


def joined(parts: list[Columns]) -> Columns:
    """One after the other; a sum that one of them does not have is NaN there."""
    names = [name for name in _SUMS if any(name in part for part in parts)]
    filled = [
        part | {name: np.full(len(part["open_time"]), np.nan) for name in names if name not in part}
        for part in parts
    ]
    return runs.joined(filled)


def made_of(
    pieces: Iterable[list[Columns]], slots: Grid, asked: Mapping[str, tuple[Grid, list[Window]]]
) -> dict[str, list[Columns]]:
    """Bars by name, in parts. ``asked``: their grid, and where they open; all of that is complete. ``pieces`` are the
    candles of a period whose slots are ``slots``, in order of time, each in parts that are joined here; where they are
    cut does not show in the bars."""
    out: dict[str, list[Columns]] = {name: [] for name in asked}
    since = {name: windows[0].start for name, (_, windows) in asked.items()}
    held: Columns | None = None
    for piece, last in _and_last(pieces):
        rows = joined(piece if held is None else [held, *piece])
        if not len(rows["open_time"]):
            continue
        closes = slots.next(int(rows["open_time"][-1]))
        until = {
            name: 2**62 if last else max(grid.floor(closes), since[name]) for name, (grid, _) in asked.items()
        }
        now = {
            name: intersect(windows, [Window(since[name], until[name])])
            for name, (_, windows) in asked.items()
        }
        due = [name for name, windows in now.items() if windows]
        ladder = Ladder(slots, rows)
        ladder.climb(asked[name][0] for name in due)
        for name, bars in zip(due, runs.at_once(partial(_bars, ladder, asked, now), due), strict=True):
            if len(bars["open_time"]):
                out[name].append(bars)
        since = until
        if not last:
            first = int(rows["open_time"].searchsorted(min(since.values())))
            held = {name: values[first:].copy() for name, values in rows.items()}
    return out


def in_order(shares: list[list[Columns]]) -> list[Columns]:
    """The parts of several shares by time."""
    if len(shares) < 2:
        return [part for share in shares for part in share]
    parts = [part for share in shares for part in share]
    if not parts:
        return []
    whole = joined(parts)
    return [runs.taken(whole, np.argsort(whole["open_time"], kind="stable"))]


def _bars(
    ladder: Ladder, asked: Mapping[str, tuple[Grid, list[Window]]], now: Mapping[str, list[Window]], name: str
) -> Columns:
    return ladder.bars(asked[name][0], now[name])


def _and_last(pieces: Iterable[list[Columns]]) -> Iterator[tuple[list[Columns], bool]]:
    before = None
    for piece in pieces:
        if before is not None:
            yield before, False
        before = piece
    if before is not None:
        yield before, True


class Ladder:
    """The candles of one stored period, and those of every step that they are added up to on the way."""

    def __init__(self, source: Grid, candles: Columns) -> None:
        self._source = source
        times = candles["open_time"]
        # No slot without a candle: which rows make a bar is then a matter of counting.
        self._whole = bool(source.step and len(times) and times[0] == source.floor(int(times[0])))
        distances = np.diff(times)
        if not (self._whole and (distances == source.step).all()):
            self._whole = False
            if (distances <= 0).any():
                candles = runs.taken(candles, np.unique(times, return_index=True)[1])
        self._made: dict[Grid, Columns] = {source: candles}

    def climb(self, targets: Iterable[Grid]) -> None:
        """Make the steps that these are made of."""
        for target in sorted(targets, key=lambda grid: grid.step):
            step = self._step(target)
            if step is not None and step not in self._made:
                self.climb([step])
                self._made[step] = self.bars(step, None)

    def bars(self, target: Grid, windows: list[Window] | None) -> Columns:
        """The bars of ``target`` that open in ``windows``, which must be complete; without them, as far as they are
        there. After ``climb``, some at once in several threads."""
        if target in self._made and windows is not None:  # a step itself
            made = self._made[target]
            return runs.taken(made, runs.within(made["open_time"], windows))
        grid = self._step(target) or self._source
        below = self._made[grid]
        if windows is not None:
            below = runs.taken(below, runs.within(below["open_time"], windows))
        times: Ints = below["open_time"]
        if not len(times):
            return below
        parts = []
        for rows, length in self._stretches(below, grid, target):
            opens: Ints = rows["open_time"]
            if length:
                cut = runs.even(length, len(opens))
                parts.append(_added_up(rows, cut.first(opens), cut))
            else:
                parts.append(_added_up(rows, *_slots(opens, target)))
        return runs.joined(parts)

    def _step(self, target: Grid) -> Grid | None:
        return None if target == self._source else periods.rung(self._source, target)

    def _stretches(self, below: Columns, grid: Grid, target: Grid) -> Iterator[tuple[Columns, int]]:
        """The candles of ``grid``, cut where bars of ``target`` open: up to the first bar that has a row for every
        slot, to the end of the last such, and the rest. Beside each, how many rows make a bar; 0: not all as many."""
        times: Ints = below["open_time"]
        count, first = len(times), int(times[0])
        if not (self._whole and target.step and int(times[-1]) - first == (count - 1) * grid.step):
            yield below, 0
            return
        length = target.step // grid.step
        head = min((target.ceil(first) - first) // grid.step, count)
        tail = head + (count - head) // length * length
        for low, high, each in ((0, head, 0), (head, tail, length), (tail, count, 0)):
            if low < high:
                yield runs.taken(below, slice(low, high)), each


def _added_up(candles: Columns, openings: Ints, cut: runs.Runs) -> Columns:
    made: dict[str, Callable[[Any], Any]] = {
        "open": cut.first, "high": cut.max, "low": cut.min, "close": cut.last, "source": cut.bits,
        "received_at": cut.max,
    }  # fmt: skip
    out: Columns = {"open_time": openings}
    for name, values in candles.items():
        if name != "open_time":
            out[name] = made.get(name, cut.sum)(values)
    if "volume" in candles:
        flat = np.flatnonzero(candles["volume"] == 0)
        if len(flat):
            _without_flat(candles, cut, flat, out)
    return out


def _without_flat(candles: Columns, cut: runs.Runs, flat: Ints, bars: Columns) -> None:
    """Mends open, high and low of the bars that hold candles in which nothing was traded, the rows ``flat``. Such a
    candle carries the close of the one before, if the venue sends it at all: it is no part of a longer one that has
    trades (audit_candles.py knows the same). The last close needs no care: it is carried."""
    which = cut.holding(flat)
    rows, cut = cut.only(which)
    still = candles["volume"][rows] == 0
    first = cut.min(
        np.where(still, len(rows), np.arange(len(rows)))
    )  # of each bar, the first row with a trade
    traded = first < len(rows)
    which, first = which[traded], first[traded]  # where there is none, all is carried
    high, low = (candles[name][rows] for name in ("high", "low"))
    bars["open"][which] = candles["open"][rows[first]]
    bars["high"][which] = cut.max(np.where(still, -np.inf, high))[traded]
    bars["low"][which] = cut.min(np.where(still, np.inf, low))[traded]


def _slots(times: Ints, grid: Grid) -> tuple[Ints, runs.Runs]:
    if grid.step:
        slots = (times - grid.anchor) // grid.step
        cut = runs.by_change(slots)
        return slots[cut.starts] * grid.step + grid.anchor, cut
    first = grid.floor(int(times[0]))
    openings = runs.integers(grid.openings(Window(first, int(times[-1]) + 1)))
    places = runs.integers(openings.searchsorted(times, side="right") - 1)
    cut = runs.by_change(places)
    return openings[places[cut.starts]], cut


def as_table(declared: Dataset, venue: str, symbol: str, period: str, bars: Columns) -> pa.Table:
    """Bars with the columns of the dataset's view, in its order. ``source`` joins those of the inputs by ``+``."""
    import pyarrow as pa

    count = len(bars["open_time"])
    moment = pa.timestamp("us", tz="UTC")
    zeros = pa.array(np.zeros(count, np.int8))
    arrays: dict[str, Any] = {
        name: pa.DictionaryArray.from_arrays(zeros, pa.array([text], pa.string()))
        for name, text in (("venue", venue), ("symbol", symbol), ("period", period))
    }
    for name in declared.columns:
        values: Any = bars.get(name)
        if name == "source":
            words = [
                "+".join(word for at, word in enumerate(_WORDS) if bits >> at & 1) or None
                for bits in range(8)
            ]
            arrays[name] = pa.DictionaryArray.from_arrays(pa.array(values & 7), pa.array(words, pa.string()))
        elif name in ("open_time", "received_at"):
            arrays[name] = pa.array(values, pa.int64()).view(moment)
        elif name in _SUMS:
            kind = pa.int64() if name in _WHOLE else pa.float64()
            if values is None:
                arrays[name] = pa.nulls(count, kind)
            elif values.dtype == np.int64:
                arrays[name] = pa.array(values, kind)
            else:
                said = math.isfinite(values.sum())  # NaN: some input did not say it
                arrays[name] = pa.array(values, from_pandas=not said).cast(kind)
        else:
            arrays[name] = pa.array(values, pa.float64())
    return pa.table(arrays)
