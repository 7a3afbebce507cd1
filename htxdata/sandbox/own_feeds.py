"""What private sockets push has in common: what happened to one's own since the last look, of one symbol or of all.

How it is told is each socket's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from .instruments import INSTRUMENTS
from .own import TRADED, Fill, Order, Own
from .websocket_feeds import LATE, Feed
from .websocket_floor import Floor
from .websocket_messages import Message


class Told(Message):
    """A text that is sent as it is."""

    __slots__ = ()

    def frame(self, version: int = 0) -> bytes:
        return self.text


class OwnFeed(Feed, ABC):
    """Of the symbol `meant`, or of all that are traded: `*`."""

    venue: str

    def __init__(self, floor: Floor, own: Own, text: str, meant: str, now: int) -> None:
        every = INSTRUMENTS[self.venue]
        super().__init__(floor, text, every.get(meant) or every[TRADED[self.venue][0]], now)  # `*` is of none
        self._own, self._meant = own, meant

    @property
    def symbol(self) -> str:
        return self._meant

    @property
    def traded(self) -> tuple[str, ...]:
        return TRADED[self.venue] if self._meant == "*" else (self._meant,)

    def turn(self, now: int) -> list[Message]:
        until = now - LATE
        if until <= self.cursor:
            return []
        start, self.cursor = self.cursor + 1, until
        return self._since(start, until)

    @abstractmethod
    def _since(self, start: int, until: int) -> list[Message]:
        """What happened from `start` to `until`, both included."""


class FillFeed(OwnFeed):
    """Each fill as it happens."""

    def _since(self, start: int, until: int) -> list[Message]:
        found = [pair for name in self.traded for pair in self._own.fills(self.venue, name, start, until + 1, until)]
        found.sort(key=lambda pair: (pair[1].time, pair[1].record))
        return [said for order, fill in found for said in self._told(order, fill, (until + LATE) // 1000)]

    @abstractmethod
    def _told(self, order: Order, fill: Fill, ms: int) -> list[Message]: ...
