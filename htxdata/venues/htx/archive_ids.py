"""Trade ids of a file, piece by piece: the venue's numbers, and names of our own for rows that share theirs.

The archive's id was seen more than once at one timestamp (htx-api 8 [C]); on contracts it looks like the number of the
order that was matched, of which one may fill several. Such rows are called by time, price, quantity, side and number of
occurrence (product.md section 4): `1735660802822-95432.42-0.00016-buy-1`.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from htxdata.venues.htx.archive_text import growing_ids, lengths_of

_REMEMBERED = 4  # pieces whose ids are at hand: 2 MB each


class Ids:
    """The ids of the pieces of one file so far.

    Ids that only grow prove that none repeats, which costs a hundredth of a look at all of them. Where they do not,
    they are compared within the piece and with the last pieces, and a row whose number lies among those of a piece
    longer ago gets a name, too: memory stays flat, and no two rows ever have the same id.
    """

    def __init__(self) -> None:
        self._high = -1
        self._recent: deque[tuple[int, int, Any]] = deque()  # lowest and highest id of a piece, and its ids
        self._gone: list[tuple[int, int]] = []
        self._named: dict[str, int] = {}

    def unique(self, ids: Any, times: Any, price: Any, quantity: Any, side: Any, row: int) -> Any:
        """``ids`` (texts), each of those that occur more than once replaced. ``times`` are milliseconds."""
        growing = growing_ids(ids, "the trade id", row)
        low, high = (int(ids[0].as_py()), int(ids[-1].as_py())) if growing else _ends(ids)
        repeats = None if growing else _repeats(ids)
        if low <= self._high:
            before = self._before(ids, low, high)
            repeats = before if repeats is None else repeats | before
        self._high = max(self._high, high)
        self._recent.append((low, high, ids))
        if len(self._recent) > _REMEMBERED:
            self._gone.append(self._recent.popleft()[:2])
        if repeats is None or not repeats.any():
            return ids
        chosen = pa.array(np.flatnonzero(repeats))
        parts = [pa.array(times).take(chosen), price.take(chosen), quantity.take(chosen), side.take(chosen)]
        stems = pc.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), "-")
        return pc.replace_with_mask(ids, pa.array(repeats), pa.array(self._names(stems.to_pylist())))

    def _before(self, ids: Any, low: int, high: int) -> Any:
        """Which ids are, or may be, those of rows of earlier pieces."""
        found = np.zeros(len(ids), bool)
        for first, last, others in self._recent:
            if first <= high and low <= last:
                found |= pc.is_in(ids, value_set=others).to_numpy(zero_copy_only=False)
        among = [(first, last) for first, last in self._gone if first <= high and low <= last]
        if among:
            numbers = np.array([int(text) for text in ids.to_pylist()], dtype=object)
            for first, last in among:
                found |= ((numbers >= first) & (numbers <= last)).astype(bool)
        return found

    def _names(self, stems: list[str]) -> list[str]:
        """1 behind the first of equal stems in the file, 2 behind the second, and so on."""
        out = []
        for stem in stems:
            self._named[stem] = nth = self._named.get(stem, 0) + 1
            out.append(f"{stem}-{nth}")
        return out


def _repeats(ids: Any) -> Any:
    """Which of the texts occur more than once."""
    try:
        numbers = ids.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        pass  # more than 64 bits
    else:
        same = numbers[1:] == numbers[:-1]
        if (same | (numbers[1:] > numbers[:-1])).all():  # mostly: equal ones are neighbours then
            out = np.zeros(len(ids), bool)
            out[1:] = same
            out[:-1] |= same
            return out
    codes = ids.dictionary_encode().indices.to_numpy()
    return (np.bincount(codes) > 1)[codes]


def _ends(ids: Any) -> tuple[int, int]:
    """The lowest and the highest of numbers of any length that are digits only and begin with no zero."""
    lengths = lengths_of(ids)
    ends = [pc.min_max(ids.filter(pa.array(lengths == one(lengths)))) for one in (np.min, np.max)]
    return int(ends[0]["min"].as_py()), int(ends[1]["max"].as_py())
