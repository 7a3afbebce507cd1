"""A walk by windows of time, oldest first: for endpoints with a start, an end and a cap on rows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

from htxdata.protocol.paging import Ask, Page, Steps, no_advance
from htxdata.timeline import Grid, Window, subtract


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
            raise no_advance(ask, page, "no row lies in the window")
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
