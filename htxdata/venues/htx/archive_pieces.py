"""The content of a file in pieces that end with a line, whatever blocks it came in.

Where a piece ends depends on the content alone, never on the blocks: what a reader makes of a piece is then the same
however the file was cut. A piece that lies in one block is not copied; others are put together in one place that is
used again and again, as memory taken anew from the kernel for every piece would cost twice the copying.
"""

from __future__ import annotations

from htxdata.errors import BadReply
from htxdata.venues.terms import Blocks

PIECE = 8 << 20
"""Bytes of a piece: 80,000 to 170,000 trades."""

LONGEST_LINE = 64 << 10

_BOM = b"\xef\xbb\xbf"


class Pieces:
    """Take pieces until one is empty. A byte order mark at the start of the file is dropped."""

    def __init__(self, blocks: Blocks, size: int = PIECE) -> None:
        self._blocks = iter(blocks)
        self._size = size
        self._data: bytes | bytearray = b""  # what comes next, from `_at` to `_end` …
        self._at = self._end = 0
        self._more: list[bytes] = []  # … and after it
        self._ahead = 0  # bytes of both
        self._room = bytearray()
        self._gather(len(_BOM))
        if self._data.startswith(_BOM):
            self._skip(len(_BOM))

    @property
    def ended(self) -> bool:
        """Right after ``take``: whether that was the last piece."""
        return not self._ahead

    def first_line(self) -> bytes:
        """The next line without its end; it is not taken."""
        end = self._line_end()  # first: it may put everything elsewhere
        return bytes(self._data[self._at : end]).rstrip(b"\r\n")

    def skip_line(self) -> None:
        end = self._line_end()
        self._skip(end - self._at)

    def take(self) -> memoryview:
        """The next piece: whole lines. Empty at the end of the file. It is gone when the next one is taken.

        Blank lines at the very end are left out; a carriage return that ends no line is a ``BadReply``.
        """
        self._gather(self._size + 1)
        start, end = self._at, self._end
        if self._ahead > self._size:
            end = self._data.rfind(b"\n", start, start + self._size) + 1
            if not end:
                said = bytes(self._data[start : start + 40])
                raise BadReply(f"a line of more than {self._size:,} bytes: {said!r}…")
        self._skip(end - start)
        if self._data.find(b"\r", start, end) >= 0:
            broken = self._data.count(b"\r\n", start, end)
            if self._data.count(b"\r", start, end) != broken:
                raise BadReply("a carriage return amid a line")
        if self.ended:
            while end > start and self._data[end - 1] in b"\r\n":
                end -= 1
        return memoryview(self._data)[start:end]

    def give_back(self, lines: int) -> None:
        """The last so many lines of the piece just taken come again, at the start of the next one."""
        end = at = self._at
        for _ in range(lines):
            at = self._data.rfind(b"\n", 0, end - 1) + 1
            end = at
        self._ahead += self._at - at
        self._at = at

    def _line_end(self) -> int:
        self._gather(LONGEST_LINE)
        return self._data.find(b"\n", self._at, self._end) + 1 or self._end

    def _gather(self, least: int) -> None:
        """Have ``least`` bytes in one place, or all that are left."""
        while self._ahead < least:
            block = next(self._blocks, None)
            if block is None:
                break
            self._more.append(block)
            self._ahead += len(block)
        left = self._end - self._at
        if left >= min(least, self._ahead):
            return
        if not left and len(self._more) == 1:
            self._data = self._more[0]
        else:
            parts = [bytes(memoryview(self._data)[self._at : self._end]), *self._more]
            if len(self._room) < self._ahead:
                self._room = bytearray(self._ahead + self._ahead // 4)
            self._data, at = self._room, 0
            with memoryview(self._room) as room:  # a bytearray would copy each part twice
                for part in parts:
                    room[at : at + len(part)] = part
                    at += len(part)
        self._at, self._end, self._more = 0, self._ahead, []

    def _skip(self, size: int) -> None:
        self._at += size
        self._ahead -= size
