"""The levels of many messages of books at once: from their texts to arrays, without a Python object for a figure. Pure.

A decoder that makes a tuple of two floats of every level takes longer for them than for all the rest of a message. Here
it leaves them as the text that they are (which it has found to be JSON), and the figures of a thousand messages become
one Arrow array. Only what is plain is read so; ``None`` otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

_OPEN, _CLOSE, _COMMA, _BAR = b"[],|"
_LONGEST = 16  # characters of a figure that a DOUBLE surely carries: 15 digits and a point


def levels_of(texts: Sequence[Any]) -> tuple[Any, Any, Any] | None:
    """Of JSON texts that are lists of pairs of figures: all first ones, all second ones, and how many pairs each has.

    ``None`` where a text is something else, a figure has more than 16 characters, or none that a DOUBLE holds.
    """
    joined = b"|".join([*texts, b""])
    levels = _levels_of(joined, len(texts))
    return _levels_of(joined.replace(b"null", b"[]"), len(texts)) if levels is None and b"null" in joined else levels


def _levels_of(joined: bytes, count: int) -> tuple[Any, Any, Any] | None:
    signs = np.frombuffer(joined, np.uint8)
    at = np.flatnonzero((signs == _OPEN) | (signs == _CLOSE) | (signs == _COMMA) | (signs == _BAR))
    marks = signs[at]
    sizes = at.copy()  # of what is before each mark
    np.subtract(at[1:], at[:-1], out=sizes[1:])
    sizes[1:] -= 1
    figures = np.flatnonzero(sizes)
    # Each pair is `[`, a figure, `,`, a figure, `]`; figures[n] is the place of the mark behind a figure.
    first, second = figures[::2], figures[1::2]
    if len(first) != len(second) or (len(first) and first[0] == 0):
        return None
    if not (
        (second == first + 1).all()
        and (marks[first - 1] == _OPEN).all()
        and (marks[first] == _COMMA).all()
        and (marks[second] == _CLOSE).all()
    ):
        return None
    ends = np.flatnonzero(marks == _BAR)
    if len(ends) != count:
        return None
    # A list of n pairs has 4n + 2 marks with its bar, and the empty one 3. JSON with more lists around its pairs has
    # more than that of them: if as many pairs as the marks let expect are there, all is lists of pairs.
    each = np.diff(ends, prepend=-1)
    counts = each >> 2
    if not ((each & 3 == 2) | (each == 3)).all() or counts.sum() != len(first):
        return None
    lengths = sizes[figures]
    if len(lengths) and lengths.max() > _LONGEST:
        return None
    offsets = np.zeros(len(figures) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    content = joined.translate(None, b"[],|")
    spelled = pa.StringArray.from_buffers(len(figures), pa.py_buffer(offsets), pa.py_buffer(content))
    try:
        values = spelled.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    if not np.isfinite(values).all():
        return None
    return np.ascontiguousarray(values[::2]), np.ascontiguousarray(values[1::2]), counts
