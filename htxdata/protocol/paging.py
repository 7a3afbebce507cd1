"""Walks through history, as generators: a walk yields an `Ask` and is sent the `Page` that came of it.

A walk never sees a URL or JSON. It keeps in ``answered`` the windows that it is sure about, so that whoever drives it
knows what was covered even where the drive ends early. Every walk raises ``WalkStuck`` when a page does not advance it:
asking on would loop for ever, stopping in silence would lie.

No walk knows how many rows a venue really puts on a page; it knows only what it has seen. What that leaves
open is asked again, smaller:

* **An empty page** may mean "nothing there" or "you asked for too much" (HTX answers both with an empty 200). It is
  believed where the window has no more slots than a page has been seen to hold; other windows wait for such proof.
* **A page that leaves out an edge of its window** may have been cut. Only the largest page of a walk can have been: a
  smaller one did not reach the cap. Its edges are asked for by themselves.

Walks of a single page are here; those by windows of time are in ``paging_time.py``, those by the ids of rows in
``paging_ids.py``, those by the numbers of pages in ``paging_numbers.py``.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from htxdata.errors import WalkStuck
from htxdata.timeline import Window


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask for: the rows of ``window``, at most ``rows`` of them, after ``cursor`` or on page ``number``."""

    window: Window
    rows: int
    cursor: str | None = None
    number: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """What came: how many rows, the earliest and the latest instant among them, and where to go on.

    ``cursor`` is the venue's own token of the last row, ``total`` how many rows the venue says there are in all and
    ``final`` whether it says that this is the last page. ``until`` is the instant up to which a page of the newest rows
    is complete, where that is known; what happened from then on may be missing from it.
    """

    count: int
    first: int = 0
    last: int = 0
    cursor: str | None = None
    total: int | None = None
    final: bool = False
    until: int | None = None


Steps = Generator[Ask, Page, None]


class Walk(Protocol):
    """A walk is driven once. ``answered`` grows while it is driven."""

    answered: list[Window]

    def steps(self) -> Steps: ...


def no_advance(ask: Ask, page: Page, why: str) -> WalkStuck:
    return WalkStuck(
        f"asked for {ask.window}, was sent {page.count} rows of {Window(page.first, page.last)}: {why}"
    )


@dataclass
class LatestWalk:
    """The newest rows and nothing else: what lies before them in the window stays unanswered.

    For rows that are due at every slot: a page that is not full was all the venue has. Before a full one lies ``cut``,
    which no page of the newest rows will bring any more. One with more rows than were asked for is full by no measure
    that is known, and cuts nothing.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)
    cut: Window | None = None

    def steps(self) -> Steps:
        page = yield Ask(self.window, self.most)
        start = self.window.start
        if page.count >= self.most:
            start = max(page.first, start)
        if page.count == self.most:
            self.cut = Window(self.window.start, page.first).intersect(self.window) or None
        end = self.window.end if page.until is None else min(page.until, self.window.end)
        if start < end:
            self.answered.append(Window(start, end))


@dataclass
class TailWalk:
    """The newest rows of what follows no grid (trades): they prove the stretch between them and nothing else.

    * The instant of the oldest row is not answered: the page may cut through the rows of one instant.
    * After the newest row nothing had happened by the time of the answer: the venue says that time (``Page.until``), or
      it is later than the window, which ends where rows have settled.
    * A short page does not say that there was nothing before it: how far back the venue remembers is not known, and its
      cap may be lower than we think. An empty page therefore proves nothing at all. Before a full one, with the
      instant that it may cut through, lies ``cut``: as of `LatestWalk`.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)
    cut: Window | None = None

    def steps(self) -> Steps:
        page = yield Ask(self.window, self.most)
        if not page.count:
            return
        if page.count == self.most:
            self.cut = Window(self.window.start, page.first + 1).intersect(self.window) or None
        end = self.window.end if page.until is None else max(page.last, page.until)
        heard = Window(page.first + 1, end).intersect(self.window)
        if heard:
            self.answered.append(heard)
