"""The verbs of a bucket that read: what is there, and the bytes of a generation, which never change.

A generation is asked for by its name. While ``part.parquet`` is that one, its bytes are; else those that lie under the
name itself, where whoever superseded it put them (``store/bucket.py``).
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TypeVar
from urllib.parse import unquote

from htxdata.errors import StoreError
from htxdata.store import place
from htxdata.store.bucket_look import Look
from htxdata.store.bucket_names import VERSION, generation
from htxdata.store.bucket_pieces import Held, Memory, Ranges, buffered
from htxdata.store.generations import PART, Generation
from htxdata.store.objects import Objects

_Made = TypeVar("_Made")

WHOLE = 8 << 20  # bytes up to which an object is read in one piece: a request costs as much as some megabytes
_BLOCK = 1 << 20
_TAIL = 32 << 10  # twice what store/footer.py looks at first
_AT_ONCE = 16  # requests, where many small ones are to be made


class Reading:
    """A bucket as a place where lakes are read. Safe to share between threads."""

    def __init__(self, name: str, objects: Objects | None = None) -> None:
        self.name = name
        self.objects = objects or Objects(name)
        self._top = f"{place.SCHEME}{name}/"
        self._memory = Memory()
        self._held = threading.local()

    def key(self, path: str) -> str:
        if not path.startswith(self._top):
            raise StoreError(f"{path} is not in {self._top}")
        return path[len(self._top) :]

    def newest(self, folder: str) -> Generation | None:
        found = self.objects.head(self.key(f"{folder}/{PART}"))
        return None if found is None else generation(folder, found)

    def open_newest(self, folder: str, *, tail: bool = False) -> tuple[Generation, IO[bytes]] | None:
        """In one request where it is small, or only its end is wanted."""
        key = self.key(f"{folder}/{PART}")
        found = self.objects.get(key, tail=_TAIL) if tail else self.objects.get(key, last=WHOLE - 1)
        if found is None:
            return None
        newest = generation(folder, found)
        if tail:
            first = found.size - len(found.content)
            return newest, buffered(Ranges(self, newest.path, found.size, first, found.content))
        if len(found.content) == found.size:
            self._memory.put(newest.path, 0, found.content)
            return newest, io.BytesIO(found.content)
        return newest, buffered(Ranges(self, newest.path, found.size, 0, found.content))

    def open_path(self, path: str, *, tail: bool = False) -> IO[bytes]:
        """A generation, or any other object, to be read; ``FileNotFoundError`` where it is gone."""
        held: dict[str, Held] = getattr(self._held, "turns", {})
        if path in held:
            return held[path].opened()
        match = VERSION.fullmatch(os.path.basename(path))
        if match is None:
            found = self.objects.get(self.key(path))
            if found is None:
                raise FileNotFoundError(path)
            return io.BytesIO(found.content)
        size = int(match[2])
        if size <= WHOLE and not tail:
            return io.BytesIO(self.read(path, 0, size))
        first = max(0, size - _TAIL) if tail else size
        content = self._asked(path, first, size) if tail else b""
        return buffered(Ranges(self, path, size, first, content))

    def read(self, path: str, first: int, end: int) -> bytes:
        """Bytes of a generation from ``first`` up to ``end``. A small one is asked for as a whole, and remembered."""
        match = VERSION.fullmatch(os.path.basename(path))
        if match is None:
            raise FileNotFoundError(path)
        size = int(match[2])
        if size > WHOLE:
            return self._blocks(path, size, first, end)
        content = self._memory.get(path, 0)
        if content is None:
            content = self._asked(path, 0, size)
            self._memory.put(path, 0, content)
        return content[first:end]

    def _blocks(self, path: str, size: int, first: int, end: int) -> bytes:
        wanted = range(first // _BLOCK, (end + _BLOCK - 1) // _BLOCK)
        blocks = {number: self._memory.get(path, number) for number in wanted}
        lacking = [number for number, content in blocks.items() if content is None]
        if lacking:  # from the first to the last that is lacking, in one request
            low, high = lacking[0] * _BLOCK, min(size, (lacking[-1] + 1) * _BLOCK)
            content = self._asked(path, low, high)
            for at in range(low, high, _BLOCK):
                blocks[at // _BLOCK] = content[at - low : at - low + _BLOCK]
                if high - low <= self._memory.most // 4:
                    self._memory.put(path, at // _BLOCK, content[at - low : at - low + _BLOCK])
        whole = b"".join(blocks[number] or b"" for number in wanted)
        low = wanted.start * _BLOCK
        return whole[first - low : end - low]

    def _asked(self, path: str, first: int, end: int) -> bytes:
        folder, name = os.path.split(path)
        match = VERSION.fullmatch(name)
        assert match is not None
        for _ in range(2):  # it may be superseded between the two questions, and once only
            found = self.objects.get(
                self.key(f"{folder}/{PART}"), first=first, last=end - 1, tag=unquote(match[1])
            ) or self.objects.get(self.key(path), first=first, last=end - 1)
            if found is not None:
                if found.size != int(match[2]) or len(found.content) != end - first:
                    raise StoreError(f"{path} is not what it was: {found.size} bytes")
                return found.content
        raise FileNotFoundError(path)

    def source(self, path: str) -> str | IO[bytes]:
        return self.open_path(path)

    def stamp(self, path: str) -> tuple[int, int, int] | None:
        """Of a generation its size: the name tells the rest, and that it exists is believed."""
        name = os.path.basename(path)
        match = VERSION.fullmatch(name)
        if match is not None:
            return 0, int(match[2]), 0
        found = self.objects.head(self.key(path))
        return None if found is None else (hash(found.tag), found.size, 0)

    def is_there(self, path: str) -> bool:
        match = VERSION.fullmatch(os.path.basename(path))
        if match is not None:
            part = self.key(f"{os.path.dirname(path)}/{PART}")
            if self.objects.head(part, unquote(match[1])) is not None:
                return True
        return self.objects.head(self.key(path)) is not None

    def look(self) -> Look:
        return Look(self)

    def each(self, work: Callable[[str], _Made], paths: Iterable[str]) -> Iterator[_Made]:
        """Several at once: nearly all of a request is waiting."""
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="bucket") as pool:
            yield from pool.map(work, paths)

    def is_folder(self, path: str) -> bool:
        return next(self.objects.entries(f"{self.key(path)}/", most=1), None) is not None

    def load(self, path: str) -> bytes | None:
        found = self.objects.get(self.key(path))
        return None if found is None else found.content
