"""Whether a key comes twice in a partition, told from its rows as they go by, in flat memory.

A file of trades is sorted by time, its key is the trade's number. Numbers that rise with time prove by themselves that
none repeats, and so does every other order of texts. Where trades of some milliseconds are out of order, the numbers of
the last slices are compared. A number that falls further back than those proves nothing: the answer is then "perhaps",
and somebody has to look at all rows at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SLICES = 16  # whose numbers are remembered; a million of them are 8 MB
_NUMBER = "^[0-9]{1,18}$"  # what surely fits 64 bits


class Seen:
    """The keys of the slices so far. Numbers and other texts are told apart: they can never be the same key."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._texts = _Texts()

    def add(self, column: pa.ChunkedArray | pa.Array) -> bool:
        """Whether no key of the slice repeats, within it or from an earlier one. Where not, nothing was added."""
        if not len(column):
            return True
        try:
            numbers, texts = pc.cast(column, pa.int64()), None
        except pa.ArrowInvalid:
            whole = pc.match_substring_regex(column, _NUMBER)
            numbers, texts = pc.cast(column.filter(whole), pa.int64()), column.filter(pc.invert(whole))
        found = self._numbers.unseen(_ints(numbers))
        if found is None:
            return False
        if texts is not None and not self._texts.add(texts):
            return False
        self._numbers.add(found)
        return True


class _Numbers:
    def __init__(self) -> None:
        self._high = self._gone = -(
            2**63
        )  # the highest of all, and of those that are not remembered any more
        self._recent: list[Any] = []

    def unseen(self, numbers: Any) -> Any | None:
        """The numbers in order, ``None`` where one is not provably new. (``007`` and ``7`` are not.)"""
        if not len(numbers):
            return numbers
        if not (numbers[1:] > numbers[:-1]).all():
            numbers = np.sort(numbers)
            if (numbers[1:] == numbers[:-1]).any():
                return None
        low = numbers[0]
        if low > self._high:
            return numbers
        if low <= self._gone:
            return None
        for other in self._recent:
            if other[-1] >= low:
                at = np.minimum(other.searchsorted(numbers), len(other) - 1)
                if (other[at] == numbers).any():
                    return None
        return numbers

    def add(self, numbers: Any) -> None:
        if not len(numbers):
            return
        self._high = max(self._high, int(numbers[-1]))
        self._recent.append(numbers)
        if len(self._recent) > _SLICES:
            self._gone = max(self._gone, int(self._recent.pop(0)[-1]))


class _Texts:
    def __init__(self) -> None:
        self._high: str | None = None

    def add(self, texts: pa.ChunkedArray | pa.Array) -> bool:
        count = len(texts)
        if not count:
            return True
        if count == 1 or pc.all(pc.greater(texts.slice(1), texts.slice(0, count - 1))).as_py():
            low, high = texts[0].as_py(), texts[-1].as_py()
        elif pc.count_distinct(texts).as_py() == count:
            ends = pc.min_max(texts)
            low, high = ends["min"].as_py(), ends["max"].as_py()
        else:
            return False
        if self._high is not None and low <= self._high:
            return False
        self._high = high
        return True


def _ints(column: pa.ChunkedArray | pa.Array) -> Any:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array.to_numpy(zero_copy_only=False)
