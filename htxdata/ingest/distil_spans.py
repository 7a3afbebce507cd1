"""What was heard, what was not, and what may be claimed of it. Pure arithmetic on the venue's clock (law 10)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from htxdata.ingest.distil_memory import Known, Topic
from htxdata.store.coverage import Asked
from htxdata.store.footer import KNOWN, Span
from htxdata.timeline import SECOND, Window, merge, subtract

MARGIN = SECOND
"""So long before the last message of a connection, all that had happened had been pushed: pushes of HTX are tens of
milliseconds late, and 260 in a recorded one (htx-api 7.3). As long before an
answer of REST, it is taken to be in it."""

FOREVER = 2**62


class Heard(NamedTuple):
    """Somebody listened in ``[start, end)``. ``cause`` is why not any longer: "" if that was meant, or goes on.

    ``known_from`` and ``known_to`` are the receive times of what proves its ends.
    """

    start: int
    end: int
    cause: str
    known_from: int
    known_to: int


class Silence(NamedTuple):
    """Nobody listened in ``[start, end)``, and that was not meant. ``known_at``: when it was over, by our clock."""

    start: int
    end: int
    cause: str
    known_at: int

    @property
    def window(self) -> Window:
        return Window(self.start, self.end)


def heard_of(known: Known, topic: Topic) -> Iterator[Heard]:
    """When a topic was heard on one reel, and why not any longer.

    A book is whole up to its last change: the numbers prove it, and no margin is needed. With one, each change of the
    last second would be a span of its own within the outage, and a change without a book to whoever rebuilds it.
    """
    ending = "" if known.live else _CAUSES.get(known.why, known.why or "killed")
    for stretch in topic.stretches:
        if stretch.end:
            over = topic.resumes and stretch is topic.stretches[-1]  # torn, and nothing came after that
            cause = ending if over and not known.live else stretch.cause
            yield Heard(stretch.start, stretch.end, cause, stretch.heard_from, stretch.heard_to)
        else:
            end = max(known.clock - MARGIN, topic.proved)
            yield Heard(stretch.start, end, ending, stretch.heard_from, known.received_at)


_CAUSES = {"asked": "", "rotation": "lost"}
"""Where a connection that was to be taken over was not, it was lost."""


def silences(heard: Iterable[Heard]) -> list[Silence]:
    """What lies between stretches and was not meant. What overlaps loses nothing; after the last one nobody knows.

    One that ended less than `MARGIN` after it began proves no time, but its first instant: until then nobody listened.
    """
    out: list[Silence] = []
    last: Heard | None = None
    for one in sorted(one._replace(end=max(one.start, one.end)) for one in heard):
        if last is not None and one.start > last.end and last.cause:
            out.append(Silence(last.end, one.start, last.cause, one.known_from))
        if last is None or one.end > last.end or (one.end == last.end and not one.cause):
            last = one
    return out


def known_windows(spans: Iterable[Span]) -> list[Window]:
    """What needs no verdict any more. Silence in which rows turned up after all (REST had them) needs a new one."""
    return merge(
        Window(span.start, span.end) for span in spans if span.verdict in KNOWN and not refuted([span])
    )


def claims(
    heard: Sequence[Heard],
    answered: Sequence[Asked],
    lost: Sequence[Silence],
    spans: Sequence[Span],
    cell: Window,
) -> list[Asked]:
    """What to lay over the ``spans`` of one partition: only over what no known verdict covers, so that nothing that is
    known changes, and what was healed stays so.

    What was heard in one stretch gets one verdict, in however many runs it was read: a part of it that had no rows so
    far is no silence of its own any more once the rest has some.
    """
    others = [Window(s.start, s.end) for s in spans if s.verdict in KNOWN and s.source != "ws"]
    ours = [s for s in spans if s.verdict in KNOWN and s.source == "ws"]
    out: list[Asked] = []
    for window in merge(Window(h.start, h.end) for h in heard):
        known_to = max(h.known_to for h in heard if h.start < window.end and h.end > window.start)
        for piece in subtract([window.intersect(cell)], others):
            inside = [span for span in ours if span.start < piece.end and span.end > piece.start]
            whole = not subtract([piece], [Window(span.start, span.end) for span in inside])
            if not whole or len({span.verdict for span in inside}) > 1 or refuted(inside):
                out.append(Asked(piece, "ws", known_to))
    known = merge([*known_windows(spans), *(one.window for one in out)])
    for one in answered:
        for piece in subtract([one.window.intersect(cell)], known):
            out.append(one._replace(window=piece))
        known = merge([*known, one.window])
    known = merge([*known, *(Window(s.start, s.end) for s in spans if s.verdict in ("outage", "unobtainable"))])
    for silence in lost:
        for piece in subtract([silence.window.intersect(cell)], known):
            out.append(Asked(piece, "ws", silence.known_at, "outage"))
        known = merge([*known, silence.window])
    return out


def refuted(spans: Iterable[Span]) -> bool:
    """Whether there are rows where nothing was heard: REST had them."""
    return any(span.verdict == "empty" and span.rows for span in spans)


def covered(window: Window, spans: Iterable[Span]) -> int | None:
    """When the last of what covers ``window`` was fetched; None where a part of it is not known."""
    inside = [
        span
        for span in spans
        if span.verdict in KNOWN and span.start < window.end and span.end > window.start
    ]
    if subtract([window], [Window(span.start, span.end) for span in inside]):
        return None
    return max(span.fetched_at for span in inside)
