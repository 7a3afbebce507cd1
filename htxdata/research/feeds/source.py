"""What an export reads of a lake, and every hole that it meets.

Final rows only: the lake holds no others. What it covers is read before the rows are, so that a writer beside us can
make a hole that is told disappear, and never one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from htxdata.errors import UsageError
from htxdata.market import PERIODS, Series, is_glob
from htxdata.research import periods
from htxdata.research.lake import Lake
from htxdata.schema import dataset
from htxdata.store import ledger
from htxdata.store.footer import KNOWN, Span
from htxdata.store.instants import Instant, range_of
from htxdata.store.layout import Selection
from htxdata.timeline import Grid, Window, intersect, iso, subtract
from htxdata.venues import venue as venue_named

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Hole(NamedTuple):
    """A span that was asked for and of which the lake does not know what there was."""

    series: Series
    window: Window
    verdict: str

    def __str__(self) -> str:
        return f"{self.series} {self.window}: {self.verdict}"


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Final candles of one symbol, ascending, each slot once; instants in microseconds UTC.

    ``window`` holds the openings that were asked for. ``volume`` is in base units (HTX contracts count both sides of a
    trade: as stored), NaN where the venue does not say it; so is ``turnover``, in quote units.
    """

    symbol: str
    period: str
    grid: Grid
    window: Window
    open_time: Ints
    close_time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    turnover: Floats

    def __len__(self) -> int:
        return len(self.open_time)


@dataclass(frozen=True, slots=True, eq=False)
class Fundings:
    """Settled funding rates, ascending; ``time`` in microseconds UTC. ``unknown``: where settlements may be missing."""

    time: Ints
    rate: Floats
    unknown: list[Window]

    def on(self, candles: Candles) -> Floats:
        """The sum of the rates settled in ``(open, close]`` of each candle; 0 where none was, NaN where nobody knows.

        Whoever holds a position when the bar closes pays. A settlement in a slot without a candle is the next one's.
        """
        out = np.zeros(len(candles))
        if not len(candles):
            return out
        mine = (self.time > candles.open_time[0]) & (self.time <= candles.close_time[-1])
        np.add.at(out, candles.close_time.searchsorted(self.time[mine], "left"), self.rate[mine])
        for hole in self.unknown:
            out[(candles.close_time > hole.start) & (candles.open_time < hole.end)] = np.nan
        return out


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a symbol was when the range ended. ``lot``: smallest step of the quantity in base units; ``as_of``: µs
    UTC."""

    symbol: str
    base: str
    quote: str
    settle: str | None
    kind: str
    tick: float
    lot: float
    contract_size: float | None
    as_of: int


class Source:
    """One venue of a lake from ``start`` to ``end`` (``None``: all that is stored of each series).

    ``funding=False`` leaves fundings out; what was not asked for cannot be a hole.
    """

    def __init__(
        self, lake: Lake, venue: str, *, start: Instant = None, end: Instant = None, funding: bool = True
    ) -> None:
        self.lake, self.venue = lake, venue
        self.day_opens = venue_named(venue).day_opens
        self._may_fund = funding and "funding_rates" in venue_named(venue).datasets()
        self.low, self.high = range_of(start, end)
        if self.low is not None and self.low == self.high:
            raise UsageError(f"end {iso(self.low)} is not after start: the range is empty")
        self.holes: list[Hole] = []
        self.on_read: Callable[[str], None] = lambda what: None
        """Who is told what is read next."""

    # ------------------------------------------------------------------------------------------ what there is

    def symbols(self, patterns: Sequence[str], name: str = "klines") -> list[str]:
        """The stored symbols that names and globs mean, in order; ``UsageError`` for one that means none, and for an
        alias: it is one contract after another, each with prices of its own, and nobody said how to join them."""
        fold = venue_named(self.venue).fold
        # By their files: a damaged one of another symbol is no matter of this one.
        held = ledger.files(self.lake.root, dataset(name), Selection([self.venue]))
        there = sorted({series.symbol for series, _ in held})
        out: list[str] = []
        for pattern in patterns:
            meant = [each for each in there if fnmatchcase(each, fold(pattern))] if is_glob(pattern) else [
                each for each in there if each in (pattern, fold(pattern))
            ]  # fmt: skip
            if not meant:
                if (meant_by := self._aliased(pattern, there)) is not None:
                    raise UsageError(
                        f"--symbol {pattern!r} was one contract after another, each with files of its own: name those "
                        f"that are wanted; the lake has {_few(meant_by) or 'none of them'}"
                    )
                known = f"it has {_few(there)}" if there else "it has none of that venue"
                raise UsageError(
                    f"--symbol {pattern!r}: the lake has no {name} of it on {self.venue}; {known}"
                )
            out.extend(each for each in meant if each not in out)
        return sorted(out)

    def _aliased(self, text: str, there: Sequence[str]) -> list[str] | None:
        """Those of ``there`` that an alias meant in the range, oldest first; None for what is no alias."""
        ends = venue_named(self.venue).deliveries
        if ends is None:
            return None
        known = {name: one for name in there if (one := ends.by_name(name)) is not None}
        last = max((one.delivery_at or 0 for one in known.values()), default=0)
        held = ends.holders(text, known, Window(self.low or 0, last if self.high is None else self.high), 0)
        return None if held is None else [name for name, _ in held]

    def _spans(self, name: str, symbol: str) -> dict[str | None, list[Span]]:
        found = ledger.lake_coverage(self.lake.root, name, [self.venue], [symbol])
        return {series.period: spans for series, spans in found.items()}

    def stores(self, name: str, symbol: str, window: Window) -> bool:
        """Whether there is anything of a dataset; where not, ``window`` of it is noted as missing."""
        if self.spans(name, symbol):
            return True
        self._note([Hole(Series(name, self.venue, symbol), window, "missing")])
        return False

    def spans(self, name: str, symbol: str) -> list[Span]:
        """What is known of a dataset without periods."""
        return [span for each in self._spans(name, symbol).values() for span in each]

    def window(self, spans: Iterable[Span]) -> Window | None:
        """What is asked for of a series with these spans; ``None`` where it has none."""
        spans = list(spans)
        if not spans:
            return None
        low = min(span.start for span in spans) if self.low is None else self.low
        return Window(low, max(span.end for span in spans) if self.high is None else self.high)

    def judge(self, series: Series, window: Window, spans: Iterable[Span]) -> list[Window]:
        """Note what of ``window`` is not known, with its verdict; the windows of it."""
        spans = list(spans)
        left = [window]
        for verdict in sorted({span.verdict for span in spans}):
            mine = [Window(span.start, span.end) for span in spans if span.verdict == verdict]
            if verdict not in KNOWN:
                self._note(Hole(series, each, verdict) for each in intersect([window], mine))
            left = subtract(left, mine)
        self._note(Hole(series, each, "missing") for each in left)
        known = [Window(span.start, span.end) for span in spans if span.verdict in KNOWN]
        return subtract([window], known)

    def _note(self, holes: Iterable[Hole]) -> None:
        self.holes.extend(hole for hole in holes if hole.window and hole not in self.holes)

    # ------------------------------------------------------------------------------------------------ rows

    def candles(self, symbol: str, period: str, name: str = "klines") -> Candles:
        """Candles that open in the range; ``UsageError`` where there is nothing that they could be made of."""
        periods.check(period)
        self.on_read(f"{symbol} {period}")
        grid = periods.grid(period, self.day_opens)
        stored = self._spans(name, symbol)
        series = Series(name, self.venue, symbol, period)
        inputs = (
            [period] if period in stored else periods.inputs(grid, [p for p in stored if p], self.day_opens)
        )
        hull = self.window(span for each in inputs for span in stored[each])
        if hull is None:
            there = ", ".join(each for each in PERIODS if each in stored) or "none"
            raise UsageError(f"--period {period!r}: {name} of {self.venue} {symbol} are stored of {there}")
        window = grid.snap(hull) if period in stored else Window(
            grid.ceil(hull.start), grid.ceil(hull.end) if self.high is not None else grid.floor(hull.end)
        )  # fmt: skip
        window = Window(window.start, max(window.start, window.end))
        if window and period in stored:
            self.judge(series, window, stored[period])
        elif window:
            left = self.lake.incomplete(name, [symbol], venue=[self.venue], period=period,
                                        start=window.start, end=window.end)  # fmt: skip
            rows = left.select("epoch_us(span_start), epoch_us(span_end), verdict").distinct().fetchall()
            self._note(Hole(series, Window(*row[:2]), row[2]) for row in sorted(rows))
        table = self.lake.table(
            name, [symbol], venue=[self.venue], period=period, start=window.start, end=window.end
        )
        prices = ["open", "high", "low", "close"]
        volumes = [each for each in ("volume", "quote_volume") if each in table.columns]
        found = arrays(table.select(", ".join(["epoch_us(open_time) AS open_time", *prices, *volumes])))
        opens = found["open_time"]
        closes = opens + grid.step if grid.step else np.array([grid.next(int(at)) for at in opens], np.int64)
        unknown = np.full(len(opens), np.nan)
        return Candles(
            symbol, period, grid, window, opens, closes, found["open"], found["high"], found["low"], found["close"],
            found.get("volume", unknown), found.get("quote_volume", unknown),
        )  # fmt: skip

    def fundings(self, symbol: str, window: Window) -> Fundings | None:
        """Fundings settled from the start of ``window`` to its end, both counted; ``None`` where the symbol has none,
        or none are wanted."""
        if not self._may_fund or not window:
            return None
        spans = self.spans("funding_rates", symbol)
        series = Series("funding_rates", self.venue, symbol)
        if not spans:
            known = self._descriptions(symbol)
            if not known or known[-1]["kind"] == "swap":  # a dated contract is delivered, not funded
                self._note([Hole(series, window, "missing")])
            return None
        unknown = self.judge(series, window, spans)
        table = self.lake.funding_rates([symbol], venue=[self.venue], start=window.start, end=window.end + 1)
        found = arrays(table.select("epoch_us(funding_time) AS time, funding_rate AS rate"))
        return Fundings(found["time"], found["rate"], unknown)

    def instrument(self, symbol: str) -> Instrument:
        """The newest description before the range ends; ``UsageError`` where there is none, or not all of it."""
        known = self._descriptions(symbol)
        if not known:
            raise UsageError(
                f"what {self.venue} {symbol} is (base, quote, tick) is not in the lake: "
                f"run `htxdata snapshot instruments --venue {self.venue}`"
            )
        row = known[-1]
        size = row["contract_size"]
        if row["lot_size"] is None:
            raise UsageError(f"the lot size of {self.venue} {symbol} is not known")
        lot = row["lot_size"] * size if row["kind"] != "spot" and size else row["lot_size"]
        return Instrument(
            symbol, row["base"], row["quote"], row["settle"], row["kind"], row["tick_size"], float(f"{lot:.12g}"), size,
            row["at"],
        )  # fmt: skip

    def _descriptions(self, symbol: str) -> list[dict[str, Any]]:
        names = ["base", "quote", "settle", "kind", "tick_size", "lot_size", "contract_size"]
        table = self.lake.instruments([symbol], venue=[self.venue])
        rows = table.select(", ".join(["epoch_us(as_of) AS at", *names])).fetchall()
        found = [dict(zip(["at", *names], row, strict=True)) for row in rows]
        # A lake that was backfilled saw its instruments after the range: the first description has to do.
        return [row for row in found if self.high is None or row["at"] < self.high] or found[:1]


def hull(found: Iterable[Candles]) -> Window:
    """From the first opening that was asked for to the last close, of several periods."""
    windows = [each.window for each in found]
    return Window(min(each.start for each in windows), max(each.end for each in windows))


def arrays(table: Any) -> dict[str, Any]:
    """The columns of a relation: numbers as arrays (NULL is NaN), texts as Arrow arrays."""
    made = table.to_arrow_table()
    out = {}
    for name, column in zip(made.column_names, made.columns, strict=True):
        whole = column.combine_chunks()
        out[name] = (
            whole if str(whole.type) in ("string", "large_string") else whole.to_numpy(zero_copy_only=False)
        )
    return out


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
