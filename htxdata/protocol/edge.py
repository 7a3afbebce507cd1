"""A walk by a near edge alone, newest first: for endpoints that take one instant and send what was up to it, inclusive.

Nothing tells such an endpoint where to stop, so a page may reach over the far end of the window: then it is over. Each
page asks from the oldest instant of the page before, that instant included: the row that comes twice proves that
nothing was left out between them, and a page that brings it and nothing older is the end of what there is.

* **A page of one instant** may have been cut to it: the next one asks from just before it. Where it holds so many rows
  (``sure``) that rows of that instant may have been left out, the walk ends: nobody can tell.
* **An empty page** means "nothing so far back", or that the edge was not understood (seconds where milliseconds are
  meant put it into 1970). It is believed where the endpoint has heeded an edge: that of an earlier page, or that of the
  newest row, which is then asked for.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from htxdata.errors import WalkStuck
from htxdata.protocol.paging import Ask, Page, Steps
from htxdata.timeline import Window

NEWEST = Window(0, 0)
"""The window of an ask without an edge: the newest rows, whenever they were."""


@dataclass
class EdgeWalk:
    """From the end of ``window`` back to its start, at most ``most`` rows a page.

    ``heeded``: this endpoint is known to understand its edge.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)
    heeded: bool = False
    sure: int = 100
    """No venue cuts a page below so many rows: the default of permanent's limits (permanent-v1 4, 5)."""

    def steps(self) -> Steps:
        start, edge = self.window
        whole = False  # a page has held more than one instant: none is cut to one
        while edge > start:
            page = yield from self._ask(Window(start, edge))
            if page.count >= self.sure and page.first == page.last:
                raise WalkStuck(f"{page.count} rows of the one instant {page.first} came: there may be more of it")
            if not page.count or (whole and page.first + 1 == edge):
                self._answer(start, edge)  # nothing older
                return
            # The end of a page may cut through the rows of its oldest instant: the next one has that whole, or says so.
            several = page.last > page.first
            self._answer(max(page.first + several, start), edge)
            if page.first < start:
                return
            whole = whole or several
            edge = page.first + several

    def _ask(self, window: Window) -> Generator[Ask, Page, Page]:
        page = yield Ask(window, self.most)
        if page.count and page.last >= window.end:
            raise WalkStuck(
                f"asked for what was before {window.end}, was sent {page.count} rows of "
                f"{Window(page.first, page.last)}: the edge is not heeded"
            )
        self.heeded = self.heeded or page.count > 0
        if not self.heeded:
            yield from self._prove()
        return page

    def _prove(self) -> Steps:
        """Does the endpoint understand an edge at all? Its newest row must come when its own instant is the edge."""
        newest = yield Ask(NEWEST, self.most)
        if not newest.count:
            return  # there is nothing at all
        page = yield Ask(Window(newest.last, newest.last + 1), self.most)
        if not page.count or page.last > newest.last:
            raise WalkStuck(
                f"asked for what was up to {newest.last}, the newest there is, was sent {page.count} rows: the edge is "
                "not understood"
            )
        self.heeded = True

    def _answer(self, start: int, end: int) -> None:
        if start < end:
            self.answered.append(Window(start, end))
