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
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from htxdata.errors import WalkStuck
from htxdata.timeline import Grid, Window, subtract


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


def _no_advance(ask: Ask, page: Page, why: str) -> WalkStuck:
    return WalkStuck(
        f"asked for {ask.window}, was sent {page.count} rows of {Window(page.first, page.last)}: {why}"
    )


@dataclass
class TimeWalk:
    """By windows of time, oldest first: for endpoints with a start, an end and a cap on rows.

    ``grid`` says where rows may lie, ``most`` how many slots one window may have. Once a page has held ``most`` rows
    (in this walk, or before: ``proven``), a window costs one request, empty or not. Without that proof empty windows
    are asked again at the walk's end, ``probe`` slots at a time.
    """

    window: Window
    grid: Grid
    most: int
    probe: int = 150
    """No venue cuts a page below so many rows: a window of so few slots is believed. HTX's own default size is 150."""

    answered: list[Window] = field(default_factory=list)
    proven: int = 0
    """The most rows that a page of this endpoint is known to have held; grows while the walk is driven."""

    _open: list[tuple[int, Window]] = field(default_factory=list, init=False, repr=False)
    _cap: int = field(default=0, init=False, repr=False)

    def steps(self) -> Steps:
        whole = Window(self.grid.ceil(self.window.start), self.grid.ceil(self.window.end))
        doubts = yield from self._sweep([whole], self.most)
        yield from self._edges()
        # What came since may have proven that those windows were not too wide. The others are cut to believable size.
        wide: list[Window] = []
        for doubt in doubts:
            (wide if self.grid.count(doubt) > self._believed else self.answered).append(doubt)
        yield from self._sweep(wide[::-1], self._believed)
        yield from self._edges()

    @property
    def _believed(self) -> int:
        return max(min(self.proven, self.most), self.probe, 1)

    def _sweep(self, todo: list[Window], step: int) -> Generator[Ask, Page, list[Window]]:
        """Ask for the windows in ``todo``, the last one first, ``step`` slots at a time. Returns the
        empty ones that are not believed. ``ceiling`` is the narrowest window known to have been too wide: ``step``
        grows towards it only.
        """
        doubts: list[Window] = []
        good, ceiling, silent = 0, step + 1, 0
        while todo:
            span = todo.pop()
            window = Window(span.start, min(span.end, self.grid.advance(span.start, step)))
            if not window:
                continue
            slots = self.grid.count(window)
            page = yield from self._ask(window)
            if page.count:
                if window.end < span.end:
                    todo.append(Window(window.end, span.end))
                good, silent = max(slots, good), 0
                self._hear(window, page)
                if len(self._open) > 2 and self._open[-2][0] == self._open[-1][0] == self._open[-3][0]:
                    # Two pages of one size, and both leave out an edge: that is what a cut looks like. Look now.
                    yield from self._edges()
                    step, ceiling = min(step, self.most), min(ceiling, self.most + 1)
                if slots == step and ceiling - step > max(1, step // 8):
                    step = min(2 * step, (step + ceiling) // 2)
                continue
            if slots > self._believed:
                silent += 1
                # A look into the middle of the 1st, 2nd, 4th, 8th... empty window in a row finds a dense stretch early.
                look = Page(0) if silent & (silent - 1) else (yield from self._ask(self._middle(window)))
                self.proven = max(self.proven, min(look.count, self._believed))
                if look.count:
                    ceiling, silent = min(ceiling, slots), 0
                    step = good if self._believed < good < ceiling else self._believed
                    todo.append(span)
                    continue
                doubts.append(window)
            else:
                self.answered.append(window)
            if window.end < span.end:
                todo.append(Window(window.end, span.end))
        return doubts

    def _middle(self, window: Window) -> Window:
        size = self._believed
        start = self.grid.advance(window.start, (self.grid.count(window) - size) // 2)
        return Window(start, self.grid.advance(start, size))

    def _ask(self, window: Window) -> Generator[Ask, Page, Page]:
        ask = Ask(window, self.grid.count(window))
        page = yield ask
        if page.count and (page.last < window.start or page.first >= window.end):
            # An endpoint that ignores its time parameters sends the newest rows whatever it is asked
            # (ccxt #12341 advanced its cursor over such pages).
            raise _no_advance(ask, page, "no row lies in the window")
        return page

    def _hear(self, window: Window, page: Page) -> None:
        """Answer the window, but for the edges that a page under suspicion leaves out."""
        # A venue that repeats rows may send more of them than the window has slots: that proves no wider window.
        rows = min(page.count, self.grid.count(window))
        suspect = rows >= max(self.proven, self.probe)
        self.proven = max(self.proven, rows)
        lead = Window(window.start, self.grid.floor(max(page.first, window.start)))
        tail = Window(min(self.grid.next(self.grid.floor(page.last)), window.end), window.end)
        edges = [edge for edge in (lead, tail) if edge and suspect]
        self._open.extend((rows, edge) for edge in edges)
        self.answered.extend(subtract([window], edges))

    def _edges(self) -> Steps:
        """Ask for the edges that the largest pages left out; the smaller pages had no reason to leave out anything."""
        while self._open:
            count, edge = self._open.pop(0)
            known = count == self._cap
            page = Page(0) if count < self.proven or known else (yield from self._ask(edge))
            if not page.count and not known:
                self.answered.append(edge)
                continue
            # The page had been cut: its row count is the venue's true cap.
            self.most, self._cap = max(1, min(self.most, count)), count
            yield from self._sweep([edge], self.most)


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
                    raise _no_advance(Ask(half, self.most), page, "no row lies in the window")
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
                    raise _no_advance(Ask(lead, self.most), earlier, "no row lies in the window")
                # The endpoint began in the middle: it is newest first after all.
                self._backward = True
                start = first
                todo.append((lead, earlier))
        tail = Window(page.last + 1, end)
        if tail and not heeded and not self._backward:
            later = yield Ask(tail, self.most)
            if later.count:
                if later.last <= page.last:
                    raise _no_advance(
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
                        raise _no_advance(ask, page, "no row lies in the window")
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
                raise _no_advance(ask, page, "no row lies in the window")
            if page.cursor is None or page.cursor in seen:
                if page.count == 1 and page.cursor is not None:
                    return  # the row itself, once more
                raise _no_advance(ask, page, "the cursor was not heeded")
            if page.count < self.least:
                return
            seen.add(page.cursor)
            ask, empty = Ask(part, self.most, cursor=page.cursor), 0


@dataclass
class PageWalk:
    """By page number, newest first: for endpoints that count pages back from the newest row.

    When new rows land during the walk, all rows move on: the next page repeats some, none is lost. When rows vanish
    (the total shrinks), rows move back: the pages before are asked for again. Where a page is shorter than asked
    for although
    more follow, the walk begins anew with that size: a venue may count its pages by either.

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
                raise _no_advance(ask, page, "the pages keep changing")
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
                        raise _no_advance(ask, page, f"page {number} is no older than the page before")
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
                    raise _no_advance(
                        ask, page, f"{heard} rows came, and the venue says that there are {total}"
                    )
                break
            number += 1
        self._answer(self.window)

    def _answer(self, window: Window) -> None:
        if window:
            self.answered[:] = [window]


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

    looks: int = 3

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
                    raise _no_advance(ask, page, "no bound brings older rows")
                self._answer(self.window.start)
                return
            if older.last < oldest - self.edge:
                raise _no_advance(Ask(earlier, self.most, cursor, way), older, "it does not join the page before")
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


@dataclass
class LatestWalk:
    """The newest rows and nothing else: what lies before them in the window stays unanswered.

    For rows that are due at every slot: a page that is not full was all the venue has.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)

    def steps(self) -> Steps:
        page = yield Ask(self.window, self.most)
        start = self.window.start if page.count < self.most else max(page.first, self.window.start)
        end = self.window.end if page.until is None else min(page.until, self.window.end)
        if start < end:
            self.answered.append(Window(start, end))


@dataclass
class TailWalk:
    """The newest rows of what follows no grid (trades): they prove the stretch between them and nothing else.

    * The instant of the oldest row is not answered: the page may cut through the rows of one instant.
    * The instant of the newest row is not answered either, unless the venue says that it had looked beyond it
      (``Page.until``): more rows of that instant may have followed a moment later.
    * A short page does not say that there was nothing before it: how far back the venue remembers is not known, and its
      cap may be lower than we think. An empty page therefore proves nothing at all.
    """

    window: Window
    most: int
    answered: list[Window] = field(default_factory=list)

    def steps(self) -> Steps:
        page = yield Ask(self.window, self.most)
        if not page.count:
            return
        end = page.last if page.until is None else max(page.last, page.until)
        heard = Window(page.first + 1, end).intersect(self.window)
        if heard:
            self.answered.append(heard)
