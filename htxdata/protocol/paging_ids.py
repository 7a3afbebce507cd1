"""Walks by the ids of rows: forwards, within spans, in whatever order the venue has, and back from the newest."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from htxdata.protocol.paging import Ask, Page, Steps, no_advance
from htxdata.timeline import Window


@dataclass
class CursorWalk:
    """By row ids, oldest first: for endpoints that hand on the id of the last row, within a start and an end.

    Whether ``from`` includes the row itself is not known (reference htx-api 4.1), so a page may repeat its
    predecessor's last row; a page that brings nothing newer ends the walk. A short page does not: the cap may be
    lower than we think. Neither is it sure that the endpoint walks forward, nor that it heeds its cursor or its times.
    What a page leaves out is therefore asked for by time where the cursor led nowhere.
    """

    window: Window
    most: int
    edge: int
    """A silence of this many microseconds at the start of the window is asked for again by itself."""

    answered: list[Window] = field(default_factory=list)
    least: int = 20
    """No venue cuts a page below so many rows (HTX's default size): a shorter one was all there is."""

    believed: int = 0
    """Windows of up to so many microseconds are known not to be too wide: an empty one is believed at once."""

    _backward: bool = field(default=False, init=False, repr=False)

    def steps(self) -> Steps:
        todo: list[tuple[Window, Page | None]] = [(self.window, None)] if self.window else []
        while todo:
            window, page = todo.pop()
            page = page or (yield Ask(window, self.most))
            if page.count:
                yield from self._follow(window, page, todo)
                continue
            if window.length <= self.believed:
                self.answered.append(window)
                continue
            # An empty page may mean "too wide": its halves must be empty as well.
            middle = window.start + window.length // 2
            for half in (Window(window.start, middle), Window(middle, window.end)):
                page = (yield Ask(half, self.most)) if half else Page(0)
                if page.count and (page.last < half.start or page.first >= half.end):
                    raise no_advance(Ask(half, self.most), page, "no row lies in the window")
                if page.count:
                    todo.append((half, page))
                elif half:
                    self.answered.append(half)

    def _follow(self, window: Window, page: Page, todo: list[tuple[Window, Page | None]]) -> Steps:
        """Go on from the first page of a window; a stretch that must be walked by itself goes to ``todo``."""
        first, heard, advanced, heeded = page.first, page.count, False, True
        seen = {page.cursor}
        self._answer(window, first, page.last)
        while page.last < window.end and page.cursor is not None and not self._backward:
            ask = Ask(window, self.most, cursor=page.cursor)
            following = yield ask
            if not following.count:
                break
            if following.cursor in seen or following.last < page.last:
                # Only the row itself again: the end. Earlier rows as well: the cursor was not heeded.
                heeded = following.first >= page.last
                break
            seen.add(following.cursor)
            self._answer(window, page.last, following.last)
            page, advanced = following, True
        start, end = window.start, window.end
        lead = Window(start, min(first, end))
        doubtful = self._backward or not heeded or (not advanced and heard >= self.least)
        if lead and (doubtful or first - start > self.edge):
            earlier = yield Ask(lead, self.most)
            if earlier.count:
                if earlier.first >= first:
                    raise no_advance(Ask(lead, self.most), earlier, "no row lies in the window")
                # The endpoint began in the middle: it is newest first after all.
                self._backward = True
                start = first
                todo.append((lead, earlier))
        tail = Window(page.last + 1, end)
        if tail and not heeded and not self._backward:
            later = yield Ask(tail, self.most)
            if later.count:
                if later.last <= page.last:
                    raise no_advance(
                        Ask(tail, self.most), later, "neither cursor nor time brings the next page"
                    )
                end = tail.start
                todo.append((tail, later))
        self._answer(window, start, end)

    def _answer(self, window: Window, start: int, end: int) -> None:
        part = Window(start, end).intersect(window)
        if part:
            self.answered.append(part)


@dataclass
class SpanWalk:
    """By row ids within one ``span`` (microseconds) after the other, oldest first: for endpoints that bear no wider
    window.

    Most spans of a quiet market are empty. Once a page has brought rows for a window of that width, an empty page of
    such a window is believed; until then its halves are asked for, as `CursorWalk` does.
    """

    window: Window
    most: int
    span: int
    answered: list[Window] = field(default_factory=list)
    least: int = 10
    """No venue cuts a page below so many rows: the smallest size that HTX documents as a default (htx-api 4.8)."""

    proven: int = 0
    """The width of the widest window that has brought rows; grows while the walk is driven."""

    def steps(self) -> Steps:
        for start in range(self.window.start, self.window.end, self.span):
            part = Window(start, min(start + self.span, self.window.end))
            # A silence at the start of a span is nothing unusual: `edge` asks for none of them by itself.
            walk = CursorWalk(part, self.most, self.span, self.answered, self.least, self.proven)
            steps = walk.steps()
            ask = next(steps)
            while True:
                page = yield ask
                if page.count and ask.cursor is None:
                    if page.last < ask.window.start or page.first >= ask.window.end:
                        raise no_advance(ask, page, "no row lies in the window")
                    self.proven = max(self.proven, ask.window.length)
                try:
                    ask = steps.send(page)
                except StopIteration:
                    break


@dataclass
class BehindWalk:
    """By the venue's own order within one ``span`` (microseconds) after the other: each page is asked for behind the
    last row of the page before, until a page brings nothing new.

    For endpoints of which neither the direction nor the order within an instant is known, and whose rows share instants
    (the fills of one order): a cut through an instant loses nothing, for nobody goes on by time. Rows that come while a
    window is walked are told by the next run. A page of fewer than ``least`` rows was all there was; a longer one is no
    end, however short (the cap may be lower than we think), and an empty one behind rows must say so ``looks`` times:
    an exchange in trouble says it where there is more.
    """

    window: Window
    most: int
    span: int
    answered: list[Window] = field(default_factory=list)
    looks: int = 3
    least: int = 20
    """No venue cuts a page below so many rows (HTX's default size)."""

    step: int = 1000
    """Rows lie at multiples of so many microseconds: HTX's instants are whole milliseconds."""

    def steps(self) -> Steps:
        for start in range(self.window.start, self.window.end, self.span):
            part = Window(start, min(start + self.span, self.window.end))
            if -(-part.start // self.step) * self.step < part.end:
                yield from self._pages(part)
            self.answered.append(part)

    def _pages(self, part: Window) -> Steps:
        ask, seen, empty = Ask(part, self.most), set[str](), 0
        while True:
            page = yield ask
            if not page.count:
                empty += 1
                if ask.cursor is None or empty >= self.looks:
                    return
                continue
            if page.last < part.start or page.first >= part.end:
                raise no_advance(ask, page, "no row lies in the window")
            if page.cursor is None or page.cursor in seen:
                if page.count == 1 and page.cursor is not None:
                    return  # the row itself, once more
                raise no_advance(ask, page, "the cursor was not heeded")
            if page.count < self.least:
                return
            seen.add(page.cursor)
            ask, empty = Ask(part, self.most, cursor=page.cursor), 0


@dataclass
class BackWalk:
    """By row ids, newest first and without times: for endpoints that go back from the id of a row.

    Which of a venue's two bounds leads back, and whether it includes the row itself, may be documented nowhere:
    ``Ask.number`` says which is tried, 1 or 2, and the first that brings older rows is kept to.

    * An empty page is asked for again (``looks`` in all) before it is believed.
    * The history is over where a bound was heeded (no row newer than the one it names came) and nothing older follows.
      Where both bounds bring newer rows again they are not heeded: that is the end of the walk and not of the history,
      unless the page was so short that nobody cut it (``least``).
    * A page whose newest row lies more than ``edge`` microseconds before the page before it does not join it.
    """

    window: Window
    most: int
    edge: int
    answered: list[Window] = field(default_factory=list)
    least: int = 100
    """Pages of so many rows have been seen whole (hashkey-api 4.6): a shorter one was all there is."""

    looks: int = 5
    """What an empty page ends is a whole history. With one false empty page in twenty and 160 pages, three looks lose a
    part once in fifty runs, five once in twenty thousand (by arithmetic: 160 times 0.05 to that power)."""

    def steps(self) -> Steps:
        if not self.window:
            return
        page = yield from self._ask(None, 1, self.window)
        if not page.count:
            self._answer(self.window.start)
            return
        oldest, cursor, most, way = page.first, page.cursor, page.count, 0
        self._answer(oldest)
        while oldest > self.window.start:
            earlier = Window(self.window.start, min(oldest, self.window.end))
            older: Page | None = None
            heeded = False
            for number in (way,) if way else (1, 2):
                page = yield from self._ask(cursor, number, earlier)
                if page.count and page.first < oldest:
                    older, way = page, number
                    break
                heeded |= not page.count or page.last <= oldest
            if older is None:
                if not heeded and most >= self.least:
                    ask = Ask(earlier, self.most, cursor, way or 2)
                    raise no_advance(ask, page, "no bound brings older rows")
                self._answer(self.window.start)
                return
            if older.last < oldest - self.edge:
                raise no_advance(Ask(earlier, self.most, cursor, way), older, "it does not join the page before")
            oldest, cursor, most = older.first, older.cursor, max(most, older.count)
            self._answer(oldest)

    def _ask(self, cursor: str | None, number: int, window: Window) -> Generator[Ask, Page, Page]:
        page = Page(0)
        for _ in range(self.looks):
            page = yield Ask(window, self.most, cursor, number)
            if page.count:
                break
        return page

    def _answer(self, since: int) -> None:
        part = Window(max(since, self.window.start), self.window.end)
        if part:
            self.answered[:] = [part]
