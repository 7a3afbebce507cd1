"""A walk through history that believes nothing but times: windows are halved until what they hold cannot have been cut.

For endpoints of which it is known that they heed a start and an end, and neither which rows of a window they leave out
where there are too many (the oldest or the newest), nor what their cursors mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from htxdata.errors import WalkStuck
from htxdata.protocol.paging import Ask, Steps
from htxdata.timeline import Window


@dataclass
class HalfWalk:
    """By windows of at most ``span`` (microseconds), oldest first, each halved while it holds ``sure`` rows or more.

    ``sure`` is a number of rows to which no page is cut, whatever the venue makes of the limit that it is told. It
    grows: once a page has held more, none is cut to fewer than those. Rows lie at multiples of ``step`` microseconds;
    an instant that holds as many ends the walk, as nobody can tell whether there are more.
    """

    window: Window
    most: int
    span: int
    answered: list[Window] = field(default_factory=list)
    sure: int = 200
    """The smallest default that a venue of ours has (HashKey's fills [code])."""

    step: int = 1000

    def steps(self) -> Steps:
        for start in range(self.window.start, self.window.end, self.span):
            parts = [Window(start, min(start + self.span, self.window.end))]
            while parts:
                part = parts.pop()
                first = -(-part.start // self.step)
                count = -(-part.end // self.step) - first  # instants at which rows may lie
                if count > 0:
                    page = yield Ask(part, self.most)
                    sent = f"asked for {part}, was sent {page.count} rows"
                    if page.count and (page.last < part.start or page.first >= part.end):
                        raise WalkStuck(f"{sent} of another time: start and end are not heeded")
                    if page.count >= self.sure and count == 1:
                        raise WalkStuck(f"{sent} of one instant: there may be more")
                    if page.count >= self.sure:
                        self.sure = page.count
                        middle = (first + count // 2) * self.step
                        parts += [Window(middle, part.end), Window(part.start, middle)]
                        continue
                self.answered.append(part)
