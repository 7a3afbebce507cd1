"""What picows calls for each frame of a connection: the hot path of a capture, which copies bodies and looks at none.

What is too small to be sure of, in fragments or too large for the chunk goes to the `Line`, which looks at it.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from picows import WSFrame, WSListener, WSTransport

from htxdata.transport.reels import CHUNK, Some, Writer

if TYPE_CHECKING:
    from htxdata.transport.websocket import Line

ALL = 1 << 62
"""As ``Ear.small``: every frame is looked at, whatever its size."""


class Ear(WSListener):
    """What picows calls for each frame. Its one busy method copies frames into a chunk, as long as they fit."""

    def __init__(self, line: Line, writer: Writer) -> None:
        self._line, self._writer, self._clock = line, writer, line.clock
        self.small = ALL
        self._chunk = writer.chunk()
        self._room, self._at = len(self._chunk), 0
        self._marks: list[tuple[int, int]] = []  # a time, and how many frames had come by then
        self.lengths: array[int] = array("I")
        self._add = self.lengths.append

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._line.connected(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._line.disconnected(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        size = frame.payload_size
        end = self._at + size
        if self.small < size and end <= self._room and frame.fin:
            self._chunk[self._at : end] = frame.get_payload_as_memoryview()
            self._at = end
            self._add(size)
            if frame.last_in_buffer:
                self.mark()
        else:
            self._line.look(transport, frame)
            if self.lengths:
                self.mark()

    def mark(self) -> None:
        """All frames up to here had come by now."""
        self._marks.append((self._clock() // 1000, len(self.lengths)))
        self._line.plan_to_hand()

    def keep(self, body: bytes) -> None:
        """One more frame, of any size."""
        end = self._at + len(body)
        if end > self._room:
            if self.lengths:
                self._line.give_early()
            self._chunk = self._writer.chunk() if len(body) <= CHUNK else memoryview(bytearray(len(body)))
            self._room, end = len(self._chunk), len(body)
        self._chunk[self._at : end] = body
        self._at = end
        self._add(len(body))

    def take(self) -> Some | None:
        """The frames so far. Few of them leave the chunk where it is."""
        if not self.lengths:
            return None
        times: array[int] = array("q")
        for at, count in (*self._marks, (self._clock() // 1000, len(self.lengths))):
            times.extend(array("q", (at,)) * (count - len(times)))
        if self._at > CHUNK // 2:
            chunk = self._chunk if self._room == CHUNK else None
            some = Some(times, self.lengths, self._chunk[: self._at], chunk)
            self._chunk = self._writer.chunk()
            self._room = len(self._chunk)
        else:
            some = Some(times, self.lengths, bytes(self._chunk[: self._at]), None)
        self._at = 0
        self._marks = []
        self.lengths = array("I")
        self._add = self.lengths.append
        return some
