"""Candles and fundings for the charts: a bounded number, coarse over everything and fine at the end, packed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import UsageError
from htxdata.market import PERIODS, Series, grid_of
from htxdata.research.lake import Lake
from htxdata.research.report.standing import Chosen, said, tried
from htxdata.schema import DATASETS, dataset
from htxdata.store.footer import Span
from htxdata.timeline import DAY, Window

MOST_CHARTS = 40
MOST_BARS = 40_000
"""On the whole page, fundings not counted. A packed candle takes 20 to 30 bytes, so they are about a megabyte."""

MOST_BARS_EACH = 2_000
MOST_FUNDINGS = 20_000

_MONTH = 31 * DAY
_DIGITS = 20
_SIGNIFICANT = 12
_EXACT = 2**53


def lines_of(found: dict[Series, list[Span]]) -> dict[tuple[str, str, str], dict[str, Window]]:
    """What has candles: dataset, venue and symbol, and from where to where each stored period has some."""
    out: dict[tuple[str, str, str], dict[str, Window]] = {}
    for declared in DATASETS:
        if declared.density != "grid":
            continue
        for line in sorted(each for each in found if each.dataset == declared.name):
            there = [span for span in found[line] if span.verdict == "present"]
            if there and line.period is not None:
                hull = Window(there[0].start, there[-1].end)
                out.setdefault((line.dataset, line.venue, line.symbol), {})[line.period] = hull
    return out


def length(period: str) -> int:
    """Microseconds; a month counts as 31 days."""
    return PERIODS.get(period, DAY) or _MONTH


def levels(stored: dict[str, Window], window: Window, most: int) -> list[tuple[str, Window]]:
    """Which periods a chart shows, each of which window: everything, coarsely; the end, finer; the very end, as stored.

    A stored period is taken for everything only where it holds nine tenths of what there is; ``utc_day`` stands in for
    a ``1day`` that does not. At most ``most`` bars in all.
    """
    hulls = {name: hull.intersect(window) for name, hull in stored.items()}
    hulls = {name: hulls[name] for name in PERIODS if hulls.get(name)}
    if not hulls:
        return []
    whole = Window(min(h.start for h in hulls.values()), max(h.end for h in hulls.values()))
    finest = next(iter(hulls))
    order = [name for name in PERIODS if length(name) >= length(finest)]
    order.insert(order.index("1day") + 1 if "1day" in order else len(order), "utc_day")
    long, middle, short = most * 3 // 5, most // 4, most * 3 // 20

    def whole_of(name: str) -> bool:
        enough = name not in hulls or hulls[name].length >= 0.9 * whole.length
        return enough and whole.length <= long * length(name)

    coarse = next((name for name in order if whole_of(name)), order[-1])
    if coarse == "utc_day" and "1day" not in hulls:
        coarse = "1day"
    out = [(coarse, Window(max(whole.start, whole.end - long * length(coarse)), whole.end))]
    between = [
        name for name in PERIODS if 48 * length(finest) <= length(name) and 6 * length(name) <= length(coarse)
    ]
    if between:
        out.append((between[0], Window(whole.end - middle * length(between[0]), whole.end)))
    if finest != coarse:
        end = hulls[finest].end
        out.append((finest, Window(end - short * length(finest), end)))
    return [(name, cut.intersect(window)) for name, cut in out]


def candles(lake: Lake, found: dict[Series, list[Span]], chosen: Chosen, broken: list[str]) -> dict[str, Any]:
    """Charts of candles, those of trades first. ``left_out`` counts the symbols for which there is no room."""
    lines = lines_of(found)
    each = min(MOST_BARS_EACH, MOST_BARS // max(1, min(len(lines), MOST_CHARTS)))
    charts = []
    for (name, venue, symbol), stored in list(lines.items())[:MOST_CHARTS]:
        shown: list[dict[str, Any]] = []
        for period, cut in levels(stored, chosen.window, each):
            level = tried(broken, None, partial(_level, lake, (name, venue, symbol), period, cut))
            if level is not None and level["count"]:
                shown.append(level)
        if shown:
            charts.append({"d": name, "y": venue, "s": symbol, "levels": shown})
    return {"charts": charts, "left_out": max(0, len(lines) - MOST_CHARTS)}


def _level(lake: Lake, line: tuple[str, str, str], period: str, cut: Window) -> dict[str, Any] | None:
    name, venue, symbol = line
    declared = dataset(name)
    columns = ["open", "high", "low", "close", *(["volume"] if "volume" in declared.columns else [])]
    listed = ", ".join(f'"{column}"' for column in columns)
    try:
        rows = lake.table(name, [symbol], venue=[venue], period=period, start=cut.start, end=cut.end)
    except UsageError:  # no stored period divides it, or nobody knows when its day opens
        return None
    relation = rows.project(f"venue, symbol, epoch_us(open_time) AS instant, {listed}")
    # A glob may have meant others: a symbol can hold a "*".
    table = (
        relation.filter(f"venue = {_quoted(venue)} AND symbol = {_quoted(symbol)}")
        .order("instant")
        .to_arrow_table()
    )
    values = {column: _floats(table[column]) for column in columns}
    opens, closes = values["open"], values["close"]
    before = np.concatenate([np.zeros(1), closes[:-1]]) if len(closes) else closes
    steps = {
        "o": (opens, before), "h": (values["high"], np.maximum(opens, closes)),
        "l": (values["low"], np.minimum(opens, closes)), "c": (closes, opens),
    }  # fmt: skip
    made = "volume" in values and bool(np.isfinite(values["volume"]).any())
    return {
        "period": period,
        "length": length(period),
        "count": len(table),
        "t": instants(table["instant"].to_numpy()),
        **prices(steps),
        "v": [None if not np.isfinite(v) else _short(v) for v in values["volume"].tolist()] if made else None,
    }


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _floats(column: pa.ChunkedArray) -> Any:
    return column.cast(pa.float64()).to_numpy()


def _short(value: float) -> float | int:
    """Six digits: what a chart shows of a volume."""
    rounded = float(f"{value:.6g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < _EXACT else rounded


def instants(times: Any) -> dict[str, Any]:
    """Ascending instants: the first, then runs of equal distances, [distance, how often], in microseconds."""
    if not len(times):
        return {"first": 0, "runs": []}
    distances = np.diff(times).tolist()
    found: list[list[int]] = []
    for distance in distances:
        if found and found[-1][0] == distance:
            found[-1][1] += 1
        else:
            found.append([distance, 1])
    return {"first": int(times[0]), "runs": found}


def prices(steps: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Numbers of so many decimal digits (``digits``) as whole distances from their references, which a reader knows.

    Numbers are taken to twelve significant digits, which no venue exceeds; those come back as they were. ``digits`` is
    ``None``, and the numbers stand as they are, where they are too far apart for whole numbers, or are none.
    """
    steps = {name: (rounded(values), rounded(against)) for name, (values, against) in steps.items()}
    numbers = np.concatenate([values for values, _ in steps.values()])
    for digits in range(_DIGITS + 1):
        scale = 10.0**digits
        whole = np.rint(numbers * scale)
        if not np.isfinite(whole).all() or (np.abs(whole) >= _EXACT).any():
            break
        if (whole / scale == numbers).all():
            return {
                "digits": digits,
                **{
                    name: (np.rint(values * scale) - np.rint(against * scale)).astype(np.int64).tolist()
                    for name, (values, against) in steps.items()
                },
            }
    return {
        "digits": None,
        **{name: [said(v) for v in values.tolist()] for name, (values, _) in steps.items()},
    }


def rounded(values: Any) -> Any:
    """To twelve significant digits."""
    return np.array([float(f"{value:.{_SIGNIFICANT}g}") for value in values.tolist()], dtype=np.float64)


# ------------------------------------------------------------------------------------------------ fundings


def fundings(lake: Lake, chosen: Chosen) -> dict[str, Any]:
    """Charts of fundings: the last ones each by itself, and where there are more, sums over days or longer of all."""
    relation = lake.funding_rates(**chosen.series, **chosen.range).project(
        "venue, symbol, epoch_us(funding_time) AS instant, funding_rate AS rate"
    )
    table = relation.order("venue, symbol, instant").to_arrow_table()
    venues, symbols = (
        np.array(table[name].cast(pa.string()).to_pylist(), dtype=object) for name in ("venue", "symbol")
    )
    times, rates = table["instant"].to_numpy(), _floats(table["rate"])
    changes = np.flatnonzero((venues[1:] != venues[:-1]) | (symbols[1:] != symbols[:-1])) + 1
    bounds = [0, *changes.tolist(), len(times)] if len(times) else [0]
    cuts = list(pairwise(bounds))
    each = max(100, min(1_000, MOST_FUNDINGS // max(1, min(len(cuts), MOST_CHARTS))))
    charts = [
        {
            "y": venues[low], "s": symbols[low],
            "levels": list(_funding_levels(times[low:high], rates[low:high], each)),
        }
        for low, high in cuts[:MOST_CHARTS]
    ]  # fmt: skip
    return {"charts": charts, "left_out": max(0, len(cuts) - MOST_CHARTS)}


def _funding_levels(times: Any, rates: Any, most: int) -> Iterable[dict[str, Any]]:
    if len(times) > most // 2:
        span = int(times[-1] - times[0])
        for name, step in (("day", DAY), ("week", 7 * DAY), ("month", 30 * DAY), ("quarter", 91 * DAY)):
            if span <= (most // 2 - 1) * step or name == "quarter":
                anchor = grid_of("1week").anchor if name == "week" else 0
                slots = (times - anchor) // step
                starts = np.flatnonzero(np.concatenate([[True], slots[1:] != slots[:-1]]))
                sums = np.round(np.add.reduceat(rates, starts), 15)
                named = f"sum of a {name}" if name in ("day", "week") else f"sum of {step // DAY} days"
                yield _rates(named, step, slots[starts] * step + anchor, sums)
                break
    last = slice(max(0, len(times) - most // 2), None)
    yield _rates("each", 0, times[last], rates[last])


def _rates(name: str, step: int, times: Any, rates: Any) -> dict[str, Any]:
    return {
        "period": name, "length": step, "count": len(times), "t": instants(times),
        **prices({"r": (rates, np.zeros(len(rates)))}),
    }  # fmt: skip
