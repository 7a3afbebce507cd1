"""Verdicts on spans of time: what a commit proves, and how what it proves joins what was known. Pure; no disk.

The five verdicts: ``present``, ``empty`` (asked, the venue has nothing), ``outage``, ``unobtainable``; ``missing`` is
whatever no span covers, and is never stored. The footers of a whole lake are read in ``store/ledger.py``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from htxdata.store.footer import KNOWN, VERDICTS, Span
from htxdata.timeline import Grid, Window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Times = NDArray[np.int64]

# A silence longer than this many of its neighbours' intervals is a hole. HTX settles BTC-USDT funding 10 to 11 hours
# apart on some days (late: 5 to 6 follow, 1.38 of the usual 8); the one real hole of 2021 was 24 hours.
_HOLE = 1.5


class Asked(NamedTuple):
    """A window that a source was asked for at ``fetched_at``, and the verdict on what of it holds no row."""

    window: Window
    source: str
    fetched_at: int
    verdict: str = "empty"


def judge(
    density: str,
    grid: Grid | None,
    cell: Window,
    old: Sequence[Span],
    asked: Iterable[Asked],
    times: Times,
    recheck: int = 0,
) -> list[Span]:
    """The spans of a partition after a commit.

    ``cell`` is the partition's window, ``times`` the ascending times of all its rows after the merge. A slot of the
    grid belongs to the window in which it opens, also where it closes beyond it: ask for closed slots only. What was
    asked is ``settled`` up to ``fetched_at - recheck``; what was fetched earlier than that counts as unconfirmed, and
    a later fetch that says the same takes its place.
    """
    spans = list(old)
    for ask in asked:
        if ask.verdict not in VERDICTS:
            raise ValueError(f"{ask.verdict!r} is no verdict: one of {', '.join(VERDICTS)}")
        window = ask.window.intersect(cell)
        if density == "grid":
            if grid is None:
                raise ValueError("a dataset on a grid is judged by its grid")
            window = grid.snap(window) if window else window
        if not window:
            continue
        settles = ask.fetched_at - recheck
        if grid is not None:
            settles = grid.floor(settles)
        pieces = []
        for piece, verdict in _verdicts(density, grid, window, times, ask.verdict):
            for part in (
                Window(piece.start, min(piece.end, settles)),
                Window(max(piece.start, settles), piece.end),
            ):
                if part:
                    pieces.append(Span(part.start, part.end, verdict, ask.source, ask.fetched_at, 0))
        _overlay(spans, pieces, recheck)
    return _count(join(spans, recheck), times)


def settled(span: Span, recheck: int) -> bool:
    """Whether the span was fetched late enough to be believed."""
    return span.fetched_at >= span.end + recheck


def join(spans: Iterable[Span], recheck: int = 0) -> list[Span]:
    """Neighbours of one verdict and source become one span where both are settled, or were fetched together."""
    out: list[Span] = []
    for span in spans:
        last = out[-1] if out else None
        if last and last.end == span.start and last.verdict == span.verdict and last.source == span.source:
            calm = settled(last, recheck), settled(span, recheck)
            if all(calm) or (not any(calm) and last.fetched_at == span.fetched_at):
                out[-1] = Span(
                    last.start, span.end, last.verdict, last.source,
                    max(last.fetched_at, span.fetched_at), last.rows + span.rows,
                )  # fmt: skip
                continue
        out.append(span)
    return out


def across(spans: Iterable[Span]) -> list[Span]:
    """The spans of a series with those joined that touch and agree on verdict and source, partition borders or not."""
    out: list[Span] = []
    for span in sorted(spans):
        last = out[-1] if out else None
        if last and last.end == span.start and (last.verdict, last.source) == (span.verdict, span.source):
            out[-1] = Span(last.start, span.end, last.verdict, last.source,
                           max(last.fetched_at, span.fetched_at), last.rows + span.rows)  # fmt: skip
        else:
            out.append(span)
    return out


def with_missing(spans: Iterable[Span]) -> list[Span]:
    """The spans of a series and, between them, what no footer speaks of: ``missing`` (law 5)."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].end < span.start:
            out.append(Span(out[-1].end, span.start, "missing", "", 0, 0))
        out.append(span)
    return out


# --------------------------------------------------------------------------------------------- one window


def _verdicts(
    density: str, grid: Grid | None, window: Window, times: Times, otherwise: str
) -> list[tuple[Window, str]]:
    """``window`` cut into what holds rows (``present``) and what does not (``otherwise``)."""
    if density == "grid" and grid is not None:
        return _on_grid(grid, window, times, otherwise)
    if density == "interval":
        low, high = times.searchsorted([window.start, window.end])
        if otherwise == "unobtainable" and low == high:
            # Nobody asked here: that the next row is an interval away says nothing of the one that was due before it.
            return [(window, otherwise)]
        return _covered(_intervals(times), window, times, otherwise)
    if otherwise == "unobtainable":
        return [(window, otherwise)]  # nor does a row that came by another way say anything of those beside it
    low, high = times.searchsorted([window.start, window.end])
    return [(window, "present" if high > low else otherwise)]


def _on_grid(grid: Grid, window: Window, times: Times, otherwise: str) -> list[tuple[Window, str]]:
    import numpy as np

    if grid.step:
        openings: Any = np.arange(window.start, window.end, grid.step, dtype=np.int64)
    else:
        openings = np.array(grid.openings(window), dtype=np.int64)
    low, high = times.searchsorted([window.start, window.end])
    held = np.zeros(len(openings), dtype=bool)
    held[openings.searchsorted(times[low:high], side="right") - 1] = True
    turns = np.flatnonzero(held[1:] != held[:-1]) + 1
    starts = [window.start, *openings[turns].tolist()]
    present = bool(held[0])
    out = []
    for start, end in zip(starts, [*starts[1:], window.end], strict=True):
        out.append((Window(start, end), "present" if present else otherwise))
        present = not present
    return out


class _Hole(NamedTuple):
    start: int
    end: int


def _intervals(times: Times) -> tuple[list[_Hole], int, int]:
    """The holes between rows that follow each other at an interval, and the interval at either end (0: unknown)."""
    import numpy as np

    gaps = np.diff(times)
    count = len(gaps)
    if not count:
        return [], 0, 0
    near = np.zeros(count, dtype=np.int64)  # the largest of up to two neighbours on each side
    for shift in (1, 2):
        if count > shift:
            near[shift:] = np.maximum(near[shift:], gaps[:-shift])
            near[:-shift] = np.maximum(near[:-shift], gaps[shift:])
    holes = np.flatnonzero((near > 0) & (gaps > _HOLE * near))
    found = [_Hole(int(times[at] + near[at]), int(times[at + 1])) for at in holes]
    # A hole at the very end is no measure of the interval there.
    calm = np.delete(gaps, holes) if len(holes) < count else gaps
    return found, int(calm[:2].max()), int(calm[-2:].max())


def _covered(
    shape: tuple[list[_Hole], int, int], window: Window, times: Times, otherwise: str
) -> list[tuple[Window, str]]:
    if not len(times):
        return [(window, otherwise)]
    holes, lead, tail = list(shape[0]), shape[1], shape[2]
    first, last = int(times[0]), int(times[-1])
    if lead and first - window.start > _HOLE * lead:
        holes.insert(0, _Hole(window.start, first - lead))
    if tail and window.end - last > _HOLE * tail:
        holes.append(_Hole(last + tail, window.end))
    out: list[tuple[Window, str]] = []
    at = window.start
    for hole in holes:
        cut = Window(max(hole.start, at), min(hole.end, window.end))
        if not cut:
            continue
        if cut.start > at:
            out.append((Window(at, cut.start), "present"))
        out.append((cut, otherwise))
        at = cut.end
    if at < window.end:
        out.append((Window(at, window.end), "present"))
    return out


# ------------------------------------------------------------------------------------------- old and new


def _overlay(spans: list[Span], pieces: list[Span], recheck: int) -> None:
    """Lay ``pieces`` (ascending, touching) over ``spans`` (ascending, apart), in place."""
    low = bisect_right(spans, pieces[0].start, key=lambda span: span.end)
    high = bisect_left(spans, pieces[-1].end, key=lambda span: span.start)
    before = spans[low:high]
    after: list[Span] = []
    if before and before[0].start < pieces[0].start:
        after.append(before[0]._replace(end=pieces[0].start))
    at = 0
    for piece in pieces:
        here = piece.start
        while at < len(before) and before[at].start < piece.end:
            known = before[at]
            start, end = max(known.start, piece.start), min(known.end, piece.end)
            if start > here:
                after.append(piece._replace(start=here, end=start))
            if end > start:
                after.append(
                    (known if _stays(known, piece, recheck) else piece)._replace(start=start, end=end)
                )
                here = end
            if known.end > piece.end:
                break
            at += 1
        if here < piece.end:
            after.append(piece._replace(start=here))
    if before and before[-1].end > pieces[-1].end:
        after.append(before[-1]._replace(start=pieces[-1].end))
    spans[low:high] = after


def _stays(known: Span, piece: Span, recheck: int) -> bool:
    """Saying the same again changes nothing, but a settled word takes the place of an unsettled one. That rows are
    served no longer takes back nothing that was told of them: a capture may have heard them since a run was planned.
    """
    if piece.verdict == "unobtainable" and known.verdict in KNOWN and settled(known, recheck):
        return True
    if (known.verdict, known.source) != (piece.verdict, piece.source):
        return False
    return settled(known, recheck) or not settled(piece, recheck)


def _count(spans: list[Span], times: Times) -> list[Span]:
    if not spans:
        return spans
    low = times.searchsorted([span.start for span in spans])
    high = times.searchsorted([span.end for span in spans])
    counts = (high - low).tolist()
    return [
        span if span.rows == rows else span._replace(rows=rows)
        for span, rows in zip(spans, counts, strict=True)
    ]
