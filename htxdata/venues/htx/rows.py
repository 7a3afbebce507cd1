"""Rows of flat JSON objects to Arrow columns, without a Python object per row.

Two roads to the same columns. The fast one proves the shape first: with every character of a number taken out, what is
left of the rows must be the first row's skeleton, repeated, byte for byte, so no key, no order, no nesting can differ.
Then all but the numbers and commas is taken out, colons and closing braces leave a blank behind, and simdjson reads one
flat list of numbers: a digit that hid in a key or between two tokens would stand beside another number, which is no
JSON. Anything else (another key order, a null, white space, an `e` in lower case, text) takes the slow road.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import simdjson

from htxdata.errors import BadReply
from htxdata.venues.figures import MOST_EXACT_DIGITS, envelope, fits, instant, integer, number, slow_rows

Rows = dict[str, Any]
"""Column name (the venue's) to an Arrow array or list, all of one length."""

_NUMBER = b"0123456789.+-E"
_TO_LIST = bytes.maketrans(b":}", b"  ")
_NO_LIST = bytes(c for c in range(256) if c not in _NUMBER + b"[,:}]")
_FLAT_ROW = re.compile(rb'\{(?:"[a-z_]+":[0-9.+\-E]+,)*"[a-z_]+":[0-9.+\-E]+\}')
_KEY = re.compile(rb'"([a-z_]+)":')
_FAR = re.compile(rb"E[+-]?[0-9]{3}")  # an exponent at which a DOUBLE may overflow, or lose digits near zero

_POWERS = np.array([float(f"1e-{k}") for k in range(300)]) * (1 - 1e-9)

_any: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_skip = msgspec.json.Decoder(msgspec.Raw)
_ENVELOPE = 1000  # bytes on either side of the rows; HTX uses less than 120


class Answer(NamedTuple):
    """An answer that is JSON: its members without the rows, and where in ``text`` the rows lie."""

    said: dict[str, Any]
    text: bytes
    start: int
    end: int

    @property
    def rows(self) -> bytes:
        """What stands between the brackets of ``data``."""
        return self.text[self.start : self.end]


def open_answer(body: bytes) -> Answer:
    """The answer's members, and where its rows are: the JSON text between the brackets of ``data``.

    ``BadReply`` where the answer is no JSON object, or its ``data`` is no list. The rows are not looked at: whoever
    reads them finds out whether they are JSON, too.
    """
    start = body.find(b'"data":[') + 8
    end = body.find(b"]", start)
    if 8 <= start <= _ENVELOPE and len(body) - end <= _ENVELOPE and end >= 0:
        rest = body[:start] + body[end:]
        said: Any
        try:
            said = _any.decode(rest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            said = None  # a bracket of the rows themselves, or no JSON: the careful way tells
        # Only where the rest is an object whose one and only `data` is empty now were these brackets the right ones.
        if isinstance(said, dict) and said.pop("data", None) == [] and rest.count(b'"data"') == 1:
            return Answer(said, body, start, end)
    members = envelope(body)
    data = members.pop("data", b"").strip()
    if not data.startswith(b"["):
        raise BadReply(f"`data` is not a list: {data[:40]!r}")
    try:
        return Answer({name: _any.decode(raw) for name, raw in members.items()}, data, 1, len(data) - 1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReply(f"the answer is no JSON object: {error}") from error


def fast_rows(
    answer: Answer, integers: frozenset[str], wanted: Collection[str] | None = None
) -> tuple[Rows, np.ndarray | None] | None:
    """Columns and the ``unfit`` count of every row; ``None`` where the slow road must be taken.

    ``integers`` become int64, which carries every digit; members that are not ``wanted`` are left out.
    """
    _, text, start, end = answer
    stop = text.find(b"}", start, end) + 1
    if not stop or not _FLAT_ROW.fullmatch(text, start, stop):
        return None
    # The whole text is translated, its few bytes of envelope too: a copy of the rows alone would cost more.
    envelope = text[:start], text[end:]
    before, after = (len(part.translate(None, _NUMBER)) for part in envelope)
    one = text[start:stop].translate(None, _NUMBER)
    skeleton = text.translate(None, _NUMBER)
    count, rest = divmod(len(skeleton) - before - after + 1, len(one) + 1)
    if rest or not skeleton.startswith(_repeated(one, count), before):
        return None
    names = [key.decode() for key in _KEY.findall(text, start, stop)]
    if len(set(names)) != len(names):
        return None
    numbers = text.translate(_TO_LIST, _NO_LIST)
    first = len(envelope[0].translate(_TO_LIST, _NO_LIST)) - 1  # from the bracket
    last = len(numbers) - len(envelope[1].translate(_TO_LIST, _NO_LIST)) + 1  # to the bracket
    if numbers.find(b"E", first, last) >= 0 and _FAR.search(numbers, first, last):
        return None
    flat = numbers[first:last]
    try:
        numbers_read: Any = simdjson.Parser().parse(flat)  # a list of numbers, or it raises
        values = np.frombuffer(numbers_read.as_buffer(of_type="d"), np.float64)
    except (ValueError, RuntimeError, TypeError):
        return None
    if len(values) != count * len(names):
        return None
    columns: Rows = {}
    for at, name in enumerate(names):
        if wanted is None or name in wanted:
            column: Any = np.ascontiguousarray(values[at :: len(names)])
            if name in integers:
                # Beyond 2**53 a double may have lost a digit already.
                if not (np.abs(column) < 2**53).all():
                    return None
                whole = column.astype(np.int64)
                if not (whole == column).all():
                    return None
                column = whole
            columns[name] = pa.array(column)
    # Bracket, comma, blank and a plus (which does no harm) are no part of a number's digits.
    lengths = np.diff(np.flatnonzero(np.frombuffer(flat, np.uint8) < _DASH), prepend=0)
    if lengths.max(initial=0) <= MOST_EXACT_DIGITS + 1:  # no spelling is long, point included
        return columns, None
    floats = {at: columns[name] for at, name in enumerate(names) if name in columns and name not in integers}
    spelled = flat[1:-1].replace(b" ", b"") + b","
    if _long_whole(spelled, [at for at, name in enumerate(names) if name in integers], len(names)):
        return None
    return columns, _unfit_rows(spelled, len(names), count, floats)


_DASH = 0x2D


@lru_cache(maxsize=32)
def _repeated(row: bytes, count: int) -> bytes:
    return (row + b",") * (count - 1) + row


def _long_whole(csv: bytes, positions: list[int], width: int) -> bool:
    """Whether a whole number is spelled so long that a fraction may have been rounded away (124.999999999999999)."""
    raw = np.frombuffer(csv, np.uint8)
    ends = np.flatnonzero(raw == 0x2C)
    long = np.flatnonzero(np.diff(ends, prepend=-1) - 1 > MOST_EXACT_DIGITS + 1)  # digits and the point
    return bool(np.isin(long % width, positions).any())


def _unfit_rows(csv: bytes, width: int, count: int, floats: dict[int, Any]) -> np.ndarray | None:
    """How many numbers of each row a DOUBLE does not carry. Only long spellings can be among them."""
    raw = np.frombuffer(csv, np.uint8)
    ends = np.flatnonzero((raw == 0x2C) | (raw == 0x0A))
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    long = np.flatnonzero(ends - starts > MOST_EXACT_DIGITS)
    if not len(long):
        return None
    points = np.append(np.flatnonzero(raw == 0x2E), len(raw))
    unfit = np.zeros(count, np.uint8)
    for at, column in floats.items():
        mine = long[long % width == at]
        if not len(mine):
            continue
        # Where neighbouring doubles lie closer than one unit of the last decimal, each such decimal has its own.
        after = ends[mine]
        point = points[points.searchsorted(starts[mine])]
        decimals = np.where(point < after, after - point - 1, 0)
        values = np.abs(np.asarray(column)[mine // width])
        certain = np.spacing(values) < _POWERS[np.minimum(decimals, 299)]
        if b"E" in csv:
            letters = np.append(np.flatnonzero(raw == 0x45), len(raw))
            certain &= letters[letters.searchsorted(starts[mine])] >= after
        doubtful = mine[~certain]
        rows = doubtful // width
        exact = np.asarray(column)[rows].tolist()
        for row, value, first, stop in zip(
            rows.tolist(), exact, starts[doubtful].tolist(), ends[doubtful].tolist(), strict=True
        ):
            text = csv[first:stop].decode()
            if text != repr(value) and not fits(text):
                unfit[row] += 1
    return unfit if unfit.any() else None


__all__ = [
    "MOST_EXACT_DIGITS", "Answer", "Rows", "envelope", "fast_rows", "fits", "instant", "integer", "number",
    "open_answer", "slow_rows",
]  # fmt: skip
