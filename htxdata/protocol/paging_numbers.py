"""A walk by the numbers of pages, newest first, for endpoints that count them back from the newest row."""

from __future__ import annotations

from dataclasses import dataclass, field

from htxdata.protocol.paging import Ask, Page, Steps, no_advance
from htxdata.timeline import Window


@dataclass
class PageWalk:
    """By page number, newest first: for endpoints that count pages back from the newest row.

    When new rows land during the walk, all rows move on: the next page repeats some, none is lost. When rows vanish
    (the total shrinks), rows move back: the pages before are asked for again. Where a page is shorter than asked for
    although more follow, the walk begins anew with that size: a venue may count its pages by either.

    Pages that are wholly newer than the window are skipped: where the venue says how many rows there are, the page that
    the window ends on is searched for, so a year of long ago costs its own pages and a few more.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)
    patience: int = 50
    """So many times the walk may go back before it gives up."""

    _newer: int = 0
    """The last page that is known to be newer than the window, and …"""
    _older: int | None = None
    """… the first that is known to be older than its end."""

    def _seek(self, number: int, page: Page, total: int) -> int | None:
        """The page to ask for next, in search of the one that the window ends on; None where this is it."""
        if number > self._newer + 1 and (not page.count or page.last < self.window.end):
            self._older = number
            return (self._newer + number) // 2
        if not page.count or page.first < self.window.end:
            return None
        self._newer = number
        every = max(1, (page.last - page.first) // max(1, page.count - 1))
        pages = (page.first - self.window.end) // (every * self.most)
        end = self._older or -(-total // self.most) + 1
        return max(number + 1, min(number + pages, end - 1))

    def steps(self) -> Steps:
        number, furthest, back = 1, 0, 0
        seeking = True
        heard = slack = 0
        total: int | None = None
        oldest: int | None = None
        while True:
            ask = Ask(self.window, self.most, number=number)
            page = yield ask
            before, total = total, page.total if page.total is not None else total
            grown = 0 if before is None or total is None else total - before
            if back > self.patience:
                raise no_advance(ask, page, "the pages keep changing")
            if grown < 0 and number > 1:
                back, number = back + 1, max(1, number + grown // self.most)
                self._newer, self._older = 0, None  # of pages as they were
                continue
            ends = not page.count or page.final
            more = total is not None and max(page.count, (number - 1) * self.most) < total
            if more and 0 < page.count < self.most and not ends and page.first >= self.window.start:
                back, number, furthest, heard, slack, oldest = back + 1, 1, 0, 0, 0, None
                self.most, self._newer, self._older, seeking = page.count, 0, None, True
                continue
            if seeking and total is not None:
                found = self._seek(number, page, total)
                if found is not None and found != self._older:
                    number = found
                    continue
                seeking, number = False, found or number
                furthest, heard = number - 1, (number - 1) * self.most  # those that were skipped are whole
                if found is not None:  # what this page has is newer than the window, what the next has older
                    continue
            slack = max(0, slack + grown)  # so many rows may come once more
            if page.count and number > furthest:
                if oldest is not None and page.first >= oldest:
                    if slack <= 0:
                        raise no_advance(ask, page, f"page {number} is no older than the page before")
                    slack -= page.count
                else:
                    slack = max(slack, total is None)  # without a total, growth shows in a page that is no older
                furthest, heard = number, heard + page.count
            if page.count:
                oldest = page.first if oldest is None else min(oldest, page.first)
                self._answer(Window(max(self.window.start, oldest), self.window.end))
                if page.first < self.window.start:
                    break
            if ends:
                if total is not None and heard < total:
                    raise no_advance(
                        ask, page, f"{heard} rows came, and the venue says that there are {total}"
                    )
                break
            number += 1
        self._answer(self.window)

    def _answer(self, window: Window) -> None:
        if window:
            self.answered[:] = [window]
