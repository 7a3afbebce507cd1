"""Bars from trades: each is made of consecutive trades of one known stretch of time.

Known is what is ``present`` or ``empty`` by the lake's own footers. A hole (``missing``, ``outage``, ``unobtainable``)
ends the bar that it meets, unfinished and not given; a new one begins with the first trade after it. Bars begin at
``start`` or at the beginning of a known stretch, and the last one, unfinished, is not given: only time bars do not
depend on where the question begins.

The order of trades is (``trade_time``, ``trade_id``), where the shorter number is the smaller one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from htxdata.research import runs
from htxdata.research.cutting import Cut, cut
from htxdata.research.runs import Columns, Ints, Runs
from htxdata.timeline import Grid, Window, merge

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "venue", "symbol", "open_time", "close_time", "open", "high", "low", "close", "volume", "quote_volume",
    "trade_count", "taker_buy_volume", "taker_buy_quote_volume", "vwap", "taker_buy_share",
)  # fmt: skip

READ = (
    "epoch_us(trade_time) AS trade_time, CAST(strlen(trade_id) AS INTEGER) AS length, price, quantity, "
    "coalesce(quote_quantity, price * quantity) AS turnover, side = 'buy' AS buys"
)
"""The select list that makes trades what is computed with here."""


def bars_of(pieces: Iterable[Columns], stretches: Sequence[Window], kind: str, size: Any) -> Columns:
    """Bars of the trades in ``stretches`` (ascending, apart). ``pieces`` ascend by time. ``size``: a ``Grid`` for time
    bars, whose stretches must be made of whole periods."""
    if kind != "time":
        cut(kind, size)  # what is no size is one without trades too
    parts: list[Columns] = []
    for trades in _by_stretch(pieces, stretches):
        parts += _of_stretch(trades, size) if kind == "time" else _cut_up(trades, cut(kind, size))
    made = [part for part in parts if len(part["open_time"])]
    return runs.joined(made) if made else none()


def none() -> Columns:
    """No bars."""
    return {name: np.zeros(0) for name in COLUMNS[2:]}


def columns(table: pa.Table) -> Columns:
    """Trades, read as ``READ`` says, as numpy arrays."""
    return {name: table[name].to_numpy() for name in table.column_names}


def as_table(venue: str, symbol: str, bars: Columns) -> pa.Table:
    """Bars with ``COLUMNS``."""
    import pyarrow as pa

    count = len(bars["open_time"])
    arrays: dict[str, Any] = {}
    for name in COLUMNS:
        if name in ("venue", "symbol"):
            text = venue if name == "venue" else symbol
            indices = pa.repeat(pa.scalar(0, pa.int8()), count)
            arrays[name] = pa.DictionaryArray.from_arrays(indices, pa.array([text], pa.string()))
        elif name in ("open_time", "close_time"):
            arrays[name] = pa.array(runs.integers(bars[name])).view(pa.timestamp("us", tz="UTC"))
        elif name == "trade_count":
            arrays[name] = pa.array(runs.integers(bars[name]))
        else:
            arrays[name] = pa.array(bars[name], pa.float64(), from_pandas=True)
    return pa.table(arrays)


# ------------------------------------------------------------------------------------------------- trades

_TAKEN = ("trade_time", "price", "quantity", "turnover", "buys")


def in_order(trades: Columns) -> Columns:
    """Trades as they are stored, by (time, text of the number), in the order of the module's first words."""
    times, lengths = trades["trade_time"], trades["length"]
    wrong = (times[1:] < times[:-1]) | ((times[1:] == times[:-1]) & (lengths[1:] < lengths[:-1]))
    if wrong.any():
        trades = runs.taken(trades, np.lexsort((lengths, times)))  # stable: the text decides what is left
    return {name: trades[name] for name in _TAKEN}


def _by_stretch(pieces: Iterable[Columns], stretches: Sequence[Window]) -> Iterator[Iterator[Columns]]:
    """The trades of each stretch, to be taken before the next. A piece is cut where a stretch ends."""
    waiting = (in_order(piece) for piece in pieces)
    rest: list[Columns] = []  # of a piece that goes on after the stretch

    def inside(stretch: Window) -> Iterator[Columns]:
        while True:
            piece = rest.pop() if rest else next(waiting, None)
            if piece is None:
                return
            low, high = piece["trade_time"].searchsorted([stretch.start, stretch.end]).tolist()
            if high < len(piece["trade_time"]):
                rest.append(runs.taken(piece, slice(high, None)))
            if high > low:
                yield runs.taken(piece, slice(low, high))
            if rest:
                return

    for stretch in merge(stretches):
        trades = inside(stretch)
        yield trades
        for _ in trades:  # whatever was not taken
            pass


def _cut_up(trades: Iterator[Columns], end: Cut) -> Iterator[Columns]:
    """The bars that ``end`` ends; the trades of the last, unfinished one are held and dropped."""
    held: list[Columns] = []
    for piece in trades:
        ends = end(piece)
        if not len(ends):
            held.append(piece)
            continue
        last = int(ends[-1])
        before = sum(len(part["price"]) for part in held)
        whole = runs.joined([*held, runs.taken(piece, slice(0, last))])
        held = [runs.taken(piece, slice(last, None))]
        starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + before])
        yield _made(whole, Runs(starts, len(whole["price"])))


def _of_stretch(trades: Iterator[Columns], grid: Grid) -> Iterator[Columns]:
    """Time bars of a stretch of whole periods: the last is finished by the stretch's end."""
    held: list[Columns] = []
    open_slot: int | None = None
    for piece in trades:
        slots = _slots(piece["trade_time"], grid)
        changes = np.flatnonzero(slots[1:] != slots[:-1]) + 1
        first = 0 if open_slot is None or slots[0] == open_slot else None
        if first is None:
            yield _timed(runs.joined(held), grid)
            held = []
        if len(changes):
            last = int(changes[-1])
            yield _timed(runs.joined([*held, runs.taken(piece, slice(0, last))]), grid)
            held = [runs.taken(piece, slice(last, None))]
        else:
            held.append(piece)
        open_slot = int(slots[-1])
    if held:
        yield _timed(runs.joined(held), grid)


def _slots(times: Ints, grid: Grid) -> Ints:
    if grid.step:
        return (times - grid.anchor) // grid.step
    first = grid.floor(int(times[0]))
    openings = runs.integers(grid.openings(Window(first, int(times[-1]) + 1)))
    return openings[openings.searchsorted(times, side="right") - 1]


def _timed(trades: Columns, grid: Grid) -> Columns:
    cut = runs.by_change(_slots(trades["trade_time"], grid))
    bars = _made(trades, cut)
    openings = [grid.floor(at) for at in bars["open_time"].tolist()]
    bars["open_time"] = np.array(openings, dtype=np.int64)
    bars["close_time"] = np.array([grid.next(at) for at in openings], dtype=np.int64)
    return bars


def _made(trades: Columns, cut: Runs) -> Columns:
    """One row for each run. Prices and counts are exact, sums pairwise over the trades of the bar."""
    price, quantity, turnover = trades["price"], trades["quantity"], trades["turnover"]
    buys = trades["buys"].astype(np.float64)
    volume, quote = cut.sum(quantity), cut.sum(turnover)
    bought = cut.sum(quantity * buys)
    with np.errstate(divide="ignore", invalid="ignore"):
        vwap = np.where(volume > 0, quote / volume, np.nan)
        share = np.where(volume > 0, bought / volume, np.nan)
    return {
        "open_time": cut.first(trades["trade_time"]),
        "close_time": cut.last(trades["trade_time"]),
        "open": cut.first(price),
        "high": cut.max(price),
        "low": cut.min(price),
        "close": cut.last(price),
        "volume": volume,
        "quote_volume": quote,
        "trade_count": cut.lengths(),
        "taker_buy_volume": bought,
        "taker_buy_quote_volume": cut.sum(turnover * buys),
        "vwap": vwap,
        "taker_buy_share": share,
    }
