"""A generation in a bucket, in the hands of who reads it: in pieces, as a whole for a commit, and remembered."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections import OrderedDict
from typing import IO, TYPE_CHECKING

from htxdata.store.bucket_names import tag_of
from htxdata.store.generations import PART, Generation
from htxdata.store.objects import Outrun

if TYPE_CHECKING:
    from htxdata.store.bucket import Bucket
    from htxdata.store.bucket_reading import Reading


class Held:
    """A whole generation while a commit is made from it: in memory, or a nameless file of this machine."""

    def __init__(self, home: Bucket, generation: Generation, content: bytes | None) -> None:
        self.generation = generation
        self.replaced = False
        self._home, self._path, self._content = home, generation.path, content
        self._file: IO[bytes] | None = None

    def opened(self) -> IO[bytes]:
        if self._content is not None:
            return io.BytesIO(self._content)
        if self._file is None:
            file = tempfile.TemporaryFile(dir=self._home.scratch(self._path))  # noqa: SIM115
            folder, tag = os.path.dirname(self._path), tag_of(self._path)
            if not self._home.objects.download(self._home.key(f"{folder}/{PART}"), tag, file):
                file.close()
                raise Outrun()
            self._file = file
        again = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY)  # with a place of its own to read from
        return os.fdopen(again, "rb")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Ranges(io.RawIOBase):
    """A generation that is read in pieces. What is larger than memory is never held as a whole."""

    def __init__(self, home: Reading, path: str, size: int, first: int, content: bytes) -> None:
        self._home, self._path, self._size = home, path, size
        self._first, self._content = first, content  # what came with the opening
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        end = min(self._size, self._at + len(into))
        if end <= self._at:
            return 0
        content = self._bytes(self._at, end)
        into[: len(content)] = content
        self._at = end
        return len(content)

    def _bytes(self, first: int, end: int) -> bytes:
        if self._first <= first and end <= self._first + len(self._content):
            return self._content[first - self._first : end - self._first]
        return self._home.read(self._path, first, end)


class Memory:
    """Bytes of generations, those that were asked for last: a generation never changes."""

    most = 128 << 20  # bytes that a process holds

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._size = 0

    def get(self, path: str, at: int) -> bytes | None:
        with self._lock:
            content = self._held.get((path, at))
            if content is not None:
                self._held.move_to_end((path, at))
            return content

    def put(self, path: str, at: int, content: bytes) -> None:
        with self._lock:
            self._size += len(content) - len(self._held.pop((path, at), b""))
            self._held[path, at] = content
            while self._size > self.most:
                self._size -= len(self._held.popitem(last=False)[1])


def buffered(raw: Ranges) -> IO[bytes]:
    return io.BufferedReader(raw, 64 << 10)
