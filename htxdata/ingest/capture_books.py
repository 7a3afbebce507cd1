"""Whether the numbers of captured books follow each other, seen while they come: a book that lost a message is no book
until the next whole one, and nobody sends that unasked (htx-api 7.3 "Book rebuild", 7.4). Pure; nothing is rebuilt
here, that is done from the tape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from htxdata.venues.terms import Seen

_MOST_WAITING = 4096
"""Changes of one book that wait for a whole one: at ten a second, minutes. The oldest are let go of."""


@dataclass
class _Chain:
    """What is known of the book of one topic."""

    last: int | None = None
    """The number of the last message that followed; None: there is no whole book."""

    waiting: list[tuple[int, int]] = field(default_factory=list)
    """Numbers (own, previous) of changes that follow each other and wait for the whole book below them."""


@dataclass
class BookWatch:
    """All topics of one connection. ``by`` is how a whole book is had (``Feed.whole_by``).

    ``breaks`` counts, for each topic, the messages that did not follow.
    """

    by: Literal["", "request", "anew"]
    breaks: dict[str, int] = field(default_factory=dict)
    _chains: dict[str, _Chain] = field(default_factory=dict)

    def whole(self, topic: str) -> bool:
        """Whether there is a whole book, and everything after it."""
        chain = self._chains.get(topic)
        return chain is not None and chain.last is not None

    def look(self, seen: Seen) -> str | None:
        """Why a whole book of ``seen.topic`` must be asked for; None where all is well, or one is on its way."""
        if self.by == "":
            return None
        chain = self._chains.setdefault(seen.topic, _Chain())
        if seen.sequence is None:
            return self._unnumbered(chain, seen)
        if seen.whole:
            return self._begin(chain, seen.sequence)
        previous = seen.sequence - 1 if seen.previous is None else seen.previous
        if chain.last is not None:
            if seen.sequence <= chain.last:  # sent twice, or before the whole book
                return None
            if previous == chain.last:
                chain.last = seen.sequence
                return None
            self.breaks[seen.topic] = self.breaks.get(seen.topic, 0) + 1
            why = f"message {seen.sequence} follows {previous}, and the last one was {chain.last}"
            chain.last = None
            chain.waiting = [(seen.sequence, previous)]
            return why
        self._wait(chain, seen.sequence, previous)
        return None  # the session asks for a whole book as soon as it is subscribed

    def _unnumbered(self, chain: _Chain, seen: Seen) -> str | None:
        """Nothing but their times tells whether they follow each other; the last time is kept for the last number."""
        if chain.last is None and not seen.whole:
            return None
        if chain.last is not None and seen.at < chain.last and not seen.whole:
            self.breaks[seen.topic] = self.breaks.get(seen.topic, 0) + 1
            why = f"a change of {seen.at} comes after one of {chain.last}"
            chain.last = None
            return why
        chain.last = seen.at
        return None

    def _wait(self, chain: _Chain, sequence: int, previous: int) -> None:
        if chain.waiting and sequence <= chain.waiting[-1][0]:
            return
        if chain.waiting and chain.waiting[-1][0] != previous:
            chain.waiting.clear()  # what came before can no longer be joined to it
        chain.waiting.append((sequence, previous))
        del chain.waiting[:-_MOST_WAITING]

    def _begin(self, chain: _Chain, sequence: int) -> str | None:
        if self.by == "request" and chain.last is not None and sequence <= chain.last:
            return None  # asked for twice; what is there is further
        later = [numbers for numbers in chain.waiting if numbers[0] > sequence]
        if self.by == "request" and later and later[0][1] > sequence:
            return f"the whole book is of {sequence}, before the first change ({later[0][0]}) that was heard"
        if self.by == "anew":
            later = []  # the numbers begin again with it
        chain.last = later[-1][0] if later else sequence
        chain.waiting = []
        return None
