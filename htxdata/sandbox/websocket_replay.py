"""A recorded session of the real spot socket, played again frame by frame, byte for byte.

What the venue said about that very conversation (acks, pings) is not played: that is said anew.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection

from .instruments import INSTRUMENTS, SPOT
from .recording import Recording
from .websocket_feeds import Feed
from .websocket_floor import Floor
from .websocket_lines import Line, Subscription
from .websocket_messages import Message

WAIT = 0.25
"""Seconds without a further subscription after which it is played: its topics are in one order."""


class RecordedMessage(Message):
    """A frame that was recorded."""

    __slots__ = ()

    def __init__(self, frame: bytes) -> None:
        super().__init__(b"")
        self._frame = frame

    def body(self, version: int = 0) -> bytes:
        return zlib.decompress(self.frame(), 31)


class RecordedFeed(Feed):
    """A topic of the recording. It tells nothing by itself: a `Playback` does, in the recorded order of all topics."""

    def __init__(self, floor: Floor, text: str, now: int) -> None:
        super().__init__(floor, text, INSTRUMENTS[SPOT]["btcusdt"], now)

    @property
    def symbol(self) -> str:
        return self.text.split(".")[1]


class Playback:
    """The frames of some topics on their way to one connection. Times are the monotonic clock, seconds.

    speed: 1 as it was recorded, 2 twice as fast, 0 all at once.
    """

    def __init__(
        self, recording: Recording, line: Line, topics: Collection[str], began: float, speed: float
    ) -> None:
        self.line = line
        self._frames = [one for one in recording.frames if one.topic in topics]
        self._began, self._speed, self._place = began, speed, 0

    @property
    def over(self) -> bool:
        return not self.line.open or self._place == len(self._frames)

    def due(self, time: float) -> list[tuple[Subscription, Message]]:
        """What is to be sent now, of topics that are still subscribed to."""
        found: list[tuple[Subscription, Message]] = []
        while self._place < len(self._frames):
            one = self._frames[self._place]
            if self._speed and one.after > (time - self._began) * self._speed:
                break
            self._place += 1
            subscription = self.line.topics.get((one.topic, ""))
            if subscription is not None:
                found.append((subscription, RecordedMessage(one.frame)))
        return found
