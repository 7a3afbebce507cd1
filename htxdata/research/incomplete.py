"""Which bars are left out, and which holes are to blame. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from htxdata.research import resample
from htxdata.store.footer import KNOWN, Span
from htxdata.timeline import Grid, Window, intersect, merge, subtract

if TYPE_CHECKING:
    import pyarrow as pa


class Row(NamedTuple):
    """``bars`` bars that open in ``[span_start, span_end)``, and one hole that left them out; microseconds UTC."""

    venue: str
    symbol: str
    period: str
    span_start: int
    span_end: int
    bars: int
    made_of: str | None
    verdict: str
    hole_start: int
    hole_end: int


def rows(
    key: tuple[str, str],
    period: str,
    target: Grid,
    sources: Sequence[tuple[str, Grid, Sequence[Span]]],
    low: int | None,
    high: int | None,
) -> list[Row]:
    """``sources``: what bars are made of (its name, its slots, its spans), ``[low, high)``: when they open. Without an
    end, all that any source speaks of."""
    spans = [span for _, _, each in sources for span in each]
    if (low is None or high is None) and not spans:
        return []
    first = target.floor(min(span.start for span in spans)) if low is None else target.ceil(low)
    last = target.ceil(max(span.end for span in spans) if high is None else high)
    left = [Window(first, last)]
    for _, slots, each in sources:
        known = [Window(span.start, span.end) for span in each if span.verdict in KNOWN]
        left = subtract(left, resample.complete(target, slots, known))
    out = []
    for name, _, each in sources:
        for gap in left:
            for verdict, hole in _holes(gap, each):
                cost = intersect([Window(target.floor(hole.start), target.ceil(hole.end))], [gap])[0]
                out.append(Row(*key, period, *cost, target.count(cost), name, verdict, *hole))
    if not sources:
        out = [Row(*key, period, *gap, target.count(gap), None, "missing", *gap) for gap in left]
    return sorted(out, key=lambda row: (row.span_start, row.hole_start))


def _holes(gap: Window, spans: Sequence[Span]) -> list[tuple[str, Window]]:
    """What of ``gap`` is not known, with its verdict."""
    out = [
        (verdict, hole)
        for verdict in sorted({span.verdict for span in spans} - KNOWN)
        for hole in intersect(
            [gap], [Window(span.start, span.end) for span in spans if span.verdict == verdict]
        )
    ]
    spoken = merge(Window(span.start, span.end) for span in spans)
    return out + [("missing", hole) for hole in subtract([gap], spoken)]


def as_table(found: Sequence[Row]) -> pa.Table:
    """The rows with typed columns."""
    import pyarrow as pa

    columns = list(zip(*found, strict=True)) if found else [()] * len(Row._fields)
    arrays = {}
    for name, values in zip(Row._fields, columns, strict=True):
        if name.endswith(("_start", "_end")):
            arrays[name] = pa.array(values, pa.int64()).view(pa.timestamp("us", tz="UTC"))
        else:
            arrays[name] = pa.array(values, pa.int64() if name == "bars" else pa.string())
    return pa.table(arrays)
