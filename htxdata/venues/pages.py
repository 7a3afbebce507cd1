"""Frames that are parsed some at a time, and put together later. Pure.

Of a reel's messages columns are made for each symbol, and to make them of few rows costs more than the rows; but who
keeps the messages until there are many fills the memory with them. So a parser of much has two steps: of a page of
messages its figures as arrays (``read``); of the arrays of many pages the columns (``join``). A page in which something
is not plain is looked at by itself (``look``), and does not slow down the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from htxdata.venues.terms import Facts, Frame, Pushed

PAGE = 4096
"""Messages of a page. Of 500 to 8,000 the time is the same within what can be measured."""


class Batch(Sequence[Frame]):
    """Frames as two lists: a hundred thousand pairs take longer to make, and to take apart again, than to gather."""

    def __init__(self, times: list[int] | None = None, messages: list[bytes] | None = None) -> None:
        self.times: list[int] = [] if times is None else times
        self.messages: list[bytes] = [] if messages is None else messages

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Frame]:
        return zip(self.times, self.messages, strict=True)

    @overload
    def __getitem__(self, place: int) -> Frame: ...
    @overload
    def __getitem__(self, place: slice) -> Batch: ...
    def __getitem__(self, place: int | slice) -> Frame | Batch:
        if isinstance(place, slice):
            return Batch(self.times[place], self.messages[place])
        return self.times[place], self.messages[place]


def batch_of(frames: Sequence[Frame]) -> Batch:
    """The same frames as a `Batch`."""
    return frames if isinstance(frames, Batch) else Batch([at for at, _ in frames], [body for _, body in frames])


class Doubt(Exception):
    """Something among the messages of a page is not plain: each must be looked at by itself."""


@dataclass(frozen=True)
class Pages:
    """A parser of frames (``Feed.parse``) that can be asked for its two steps, too."""

    read: Callable[[Batch, Mapping[str, Facts]], Any]
    """What some messages say, as arrays, or ``Doubt``."""
    join: Callable[[Sequence[Any]], Pushed]
    """What was read of pages that follow each other, as columns of each symbol."""
    look: Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]
    """The same of frames that are not all plain."""

    def page(self, frames: Batch, facts: Mapping[str, Facts]) -> Any | None:
        """What ``join`` makes columns of; None where each frame must be looked at by itself."""
        try:
            return self.read(frames, facts)
        except Doubt:
            return None

    def __call__(self, frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        batch = batch_of(frames)
        pages = [self.page(batch[at : at + PAGE], facts) for at in range(0, len(batch), PAGE)]
        return self.look(frames, facts) if any(page is None for page in pages) else self.join(pages)


def counted_together(pages: Sequence[tuple[Sequence[Any], Any]]) -> tuple[list[Any], Any]:
    """What the rows of each page are of, and which of these each row is of: the same for all rows of all pages."""
    known: dict[Any, int] = {}
    parts = [
        np.array([known.setdefault(one, len(known)) for one in named], np.int64)[which] for named, which in pages
    ]
    return list(known), np.concatenate(parts)
