"""The page: what the lake says, as one block of JSON in a text of HTML that asks nothing of anybody.

Bounds, whatever the lake: 300 series of at most 123 cells, 15,000 stretches of time in all, 40 charts with 40,000
candles, 40 with 20,000 fundings, 200 gaps, 200 series with revisions, 20 findings of each check. What is left out is
counted on the page.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import time
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from htxdata import __version__
from htxdata.market import PERIODS, Series
from htxdata.research.lake import Lake
from htxdata.research.report import calendar, charts, standing
from htxdata.research.report.standing import Chosen
from htxdata.schema import DATASETS
from htxdata.store import ledger
from htxdata.store.coverage import with_missing
from htxdata.store.footer import Span
from htxdata.store.instants import Instant, instant_of, range_of
from htxdata.store.layout import Pattern, Selection, stored_datasets
from htxdata.store.place import Root
from htxdata.timeline import Window

MOST_SERIES = 300
MOST_STRETCHES = 15_000

SCRIPTS = ("dom.js", "calendar.js", "tables.js", "plot.js", "charts.js", "page.js")
_ROOM = resources.files("htxdata.research.report")

Spans = dict[Series, list[Span]]
_NO_CHARTS: dict[str, Any] = {"charts": [], "left_out": 0}


def report(
    lake: Path | str,
    *,
    now: Instant = None,
    dataset: Pattern = None,
    venue: Pattern = None,
    symbol: Pattern = None,
    period: Pattern = None,
    start: Instant = None,
    end: Instant = None,
) -> str:
    """The page as text, the same for the same lake and ``now`` (``None``: the clock's).

    Patterns and times choose series and the span that the calendar and the charts show. Files that cannot be read are
    named on the page.
    """
    instant = instant_of(now, "now")
    chosen = Chosen(dataset, venue, symbol, period, *range_of(start, end))
    return render(content(lake, chosen, clock() if instant is None else instant))


def clock() -> int:
    """Now, in microseconds."""
    return time.time_ns() // 1000


def content(lake: Path | str, chosen: Chosen, now: int) -> dict[str, Any]:
    """What is on the page. Instants are microseconds; ``broken`` says which files could not be read, and why."""
    broken: list[str] = []
    with contextlib.closing(Lake(lake)) as opened:
        found = ledger.lake_coverage(
            opened.root, chosen.dataset, chosen.venue, chosen.symbol, chosen.period,
            on_broken=lambda error: broken.append(str(error)),
        )  # fmt: skip
        found = {line: with_missing(spans) for line, spans in found.items() if spans}
        inside = {line: cut for line, spans in found.items() if (cut := _inside(spans, chosen.window))}
        order = _in_order(inside)
        axis = calendar.axis_over(_hull(inside, chosen.window)) if inside else None
        tried = partial(standing.tried, broken)
        ended: standing.Ended = tried({}, lambda: standing.ended(opened, chosen))
        return {
            "version": __version__,
            "lake": os.fsencode(str(lake)).decode("utf-8", "replace"),
            "now": now,
            "chosen": {
                "dataset": chosen.dataset, "venue": chosen.venue, "symbol": chosen.symbol,
                "period": chosen.period, "start": chosen.low, "end": chosen.high,
            },
            "axis": axis and {"unit": axis.unit, "edges": axis.edges},
            "totals": _totals(opened.root, found, chosen),
            "series": _lines(order[:MOST_SERIES], found, inside, axis, now, ended),
            "left_out": max(0, len(order) - MOST_SERIES),
            "gaps": tried(None, lambda: standing.gaps(opened, chosen)),
            "revisions": tried(None, lambda: standing.revisions(opened, chosen)),
            "findings": tried(None, lambda: standing.found(opened.root, chosen)),
            "candles": charts.candles(opened, inside, chosen, broken),
            "fundings": tried(_NO_CHARTS, lambda: _fundings(opened, inside, chosen)),
            "broken": sorted(set(broken)),  # the last one: reading the others fills it
        }  # fmt: skip


def _fundings(lake: Lake, inside: Spans, chosen: Chosen) -> Any:
    if any(line.dataset == "funding_rates" for line in inside):
        return charts.fundings(lake, chosen)
    return _NO_CHARTS


def _in_order(found: Spans) -> list[Series]:
    """By dataset as they are declared, venue and symbol, the shorter period first."""
    datasets, periods = [entry.name for entry in DATASETS], list(PERIODS)
    return sorted(
        found,
        key=lambda line: (
            datasets.index(line.dataset), line.venue, line.symbol, periods.index(line.period) if line.period else -1
        ),
    )  # fmt: skip


def _inside(spans: list[Span], window: Window) -> list[Span]:
    """The spans that touch ``window``, whole: their rows are counted over all of them."""
    return [span for span in spans if span.start < window.end and span.end > window.start]


def _hull(found: Spans, window: Window) -> Window:
    first = min(spans[0].start for spans in found.values())
    last = max(spans[-1].end for spans in found.values())
    return Window(first, last).intersect(window)


def _totals(root: Root, found: Spans, chosen: Chosen) -> dict[str, int]:
    selection = Selection(chosen.venue, chosen.symbol, chosen.period)
    meant = list(stored_datasets(chosen.dataset))
    look = ledger.look_at(root, meant, selection)
    paths = [path for declared in meant for _, path in ledger.files(root, declared, selection, look=look)]
    return {
        "series": len(found),
        "symbols": len({(line.venue, line.symbol) for line in found}),
        "rows": sum(span.rows for spans in found.values() for span in spans),
        "files": len(paths),
        "bytes": standing.size_of(paths),
    }


def _lines(
    order: Any, found: Spans, inside: Spans, axis: calendar.Axis | None, now: int, ended: standing.Ended
) -> list[dict[str, Any]]:
    if axis is None:
        return []
    most = max(50, min(400, MOST_STRETCHES // max(1, len(order))))
    days = axis.days
    lines = []
    for line in order:
        spans = inside[line]
        clipped = [_clip(span, axis.window) for span in spans]
        clipped = [span for span in clipped if span.end > span.start]
        shown, left_out = calendar.stretches(spans, most)
        lines.append(
            {
                "d": line.dataset,
                "y": line.venue,
                "s": line.symbol,
                "p": line.period,
                "rows": sum(span.rows for span in found[line]),
                "first": found[line][0].start,
                "last": found[line][-1].end,
                **standing.age(line, found[line], now, ended),
                "held": {
                    verdict: sum(s.end - s.start for s in clipped if s.verdict == verdict)
                    for verdict in calendar.LETTERS
                },
                "cells": calendar.runs(calendar.cells(clipped, axis.edges)),
                "days": calendar.runs(calendar.cells(clipped, days)) if axis.unit != "day" else None,
                "spans": calendar.packed(shown),
                "left_out": left_out,
            }
        )
    return lines


def _clip(span: Span, window: Window) -> Span:
    return span._replace(start=max(span.start, window.start), end=min(span.end, window.end))


# ------------------------------------------------------------------------------------------------- text


def render(what: Any) -> str:
    """The page that shows ``what``. Scripts and styles are allowed by their hashes and nothing else is."""
    before, after = _frame()
    return before + embedded(what) + after


@cache
def _frame() -> tuple[str, str]:
    """The page before its data and after it."""
    style = _read("page.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_read(name) for name in SCRIPTS) + "\n})();\n"
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {"policy": policy, "style": style, "script": script}
    before, after = _read("page.html").split("{{data}}")
    fill = partial(re.sub, r"\{\{(\w+)\}\}", lambda found: parts[found[1]])
    return fill(before), fill(after)


def embedded(what: Any) -> str:
    """JSON that no parser of HTML can read anything else in."""
    text = json.dumps(what, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _read(name: str) -> str:
    return (_ROOM / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
