"""Small files of nothing but numbers (candles, fundings) to a matrix of doubles: one pass of simdjson over a flat list.

A day of minutes is 1,440 lines, and there are thousands of such files: here a file costs, with all that is checked,
what Arrow's CSV reader alone takes for it (0.7 ms). The shape is proven first (every line has as many commas), and
whatever simdjson does not take goes cell by cell to where row and value are named.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import simdjson

from htxdata.errors import BadReply
from htxdata.venues.htx.archive_pieces import Pieces
from htxdata.venues.htx.archive_text import unfit_among
from htxdata.venues.htx.rows import MOST_EXACT_DIGITS

LARGEST = 4 << 20
"""Bytes; a day of minutes has 130,000."""

_TO_COMMA = bytes.maketrans(b"\n", b",")
_COMMA, _NEWLINE, _POINT, _NINE = 0x2C, 0x0A, 0x2E, 0x39
_FAR = re.compile(rb"[eE][+-]?[0-9]{3}")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Table(NamedTuple):
    """``values[row, column]``; ``cell(row, column)`` is what the file says there."""

    values: Any
    raw: Any
    ends: Any
    exact: int
    """Up to so many characters a number is carried by a DOUBLE, digit for digit."""

    def cell(self, row: int, column: int) -> str:
        at = row * self.values.shape[1] + column
        start = self.ends[at - 1] + 1 if at else 0
        return bytes(self.raw[start : self.ends[at]]).decode(errors="replace")

    def lengths(self) -> Any:
        """How many characters each number has, in the shape of ``values``."""
        return (np.diff(self.ends, prepend=-1) - 1).reshape(self.values.shape)

    def step(self, column: int) -> float:
        """One unit of the last decimal to which the numbers of a column are written.

        A number with an exponent is written in full, whatever its digits are.
        """
        after = self.ends.reshape(self.values.shape)[:, column]
        before = after - self.lengths()[:, column]
        points, exponents = (
            np.append(np.flatnonzero((self.raw | 0x20) == sign), len(self.raw))
            for sign in (_POINT | 0x20, 0x65)
        )
        point = points[points.searchsorted(before)]
        decimals = np.where(point < after, after - point - 1, 0)
        plain = exponents[exponents.searchsorted(before)] >= after
        return float(10.0 ** -decimals[plain].max()) if plain.any() else 0.0

    def unfit(self, columns: list[int]) -> Any:
        """How many numbers of each row (in those columns) a DOUBLE does not carry; None where there are none."""
        long = self.lengths() > self.exact
        long[:, [at for at in range(long.shape[1]) if at not in columns]] = False
        if not long.any():
            return None
        rows, _ = np.nonzero(long)
        flat = long.ravel()
        texts = self.raw[np.repeat(flat, np.diff(self.ends, prepend=-1))].tobytes()
        odd = unfit_among(texts[:-1].replace(b"\n", b",").split(b","), self.values[long])
        return np.bincount(rows[odd], minlength=len(self.values)).astype(np.uint8) if len(odd) else None


def rest_of(pieces: Pieces) -> bytes:
    """All lines that are left, with plain line ends; more than a small file holds is no day of anything we know."""
    text = bytes(pieces.take())
    if not pieces.ended or len(text) > LARGEST:
        raise BadReply(f"more than {LARGEST:,} bytes of candles or fundings in one day")
    return text.replace(b"\r\n", b"\n") if b"\r" in text else text


def without_name(text: bytes, own: tuple[str, ...]) -> bytes:
    """The lines without their first cell, which must be one of the ``own`` names and the same in every row."""
    first = text.partition(b",")[0]
    if first.decode(errors="replace") not in own:
        raise BadReply(f"row 0 is of {first.decode(errors='replace')!r:.60}, asked for {own[0]!r}")
    name = b"\n" + first + b","
    lines = text.count(b"\n") + 1
    out = (b"\n" + text).replace(name, b"\n")
    if len(text) + 1 - len(out) != lines * (len(name) - 1):
        for row, line in enumerate(text.split(b"\n")):
            if not line.startswith(name[1:]):
                said = line.partition(b",")[0].decode(errors="replace")
                raise BadReply(f"row {row} is of {said!r:.60}, asked for {own[0]!r}")
    return out[1:]


def table(text: bytes, width: int) -> Table:
    """Lines of ``width`` numbers, spelled as JSON spells them; ``BadReply`` names the first row that is none."""
    raw = np.frombuffer(text + b"\n", np.uint8)
    ends = np.flatnonzero((raw == _COMMA) | (raw == _NEWLINE))
    lines = ends[width - 1 :: width]
    rows = np.count_nonzero(raw == _NEWLINE)
    if len(ends) != rows * width or not (raw[lines] == _NEWLINE).all():
        _name_row(text, width)
    # Anything but a list of numbers shows in its bytes: letters but E, blanks, quotes, brackets. The rest is JSON or no
    # JSON.
    letters = raw[raw > _NINE]
    plain = np.count_nonzero(raw < 0x2B) == rows and bool(((letters == 0x45) | (letters == 0x65)).all())
    try:
        if not plain:
            raise ValueError
        # A parser holds on to its buffers until its last list is gone, so each file has its own.
        read: Any = simdjson.Parser().parse(b"".join((b"[", text.translate(_TO_COMMA), b"]")))
        values = np.frombuffer(read.as_buffer(of_type="d"), np.float64).reshape(rows, width)
    except (ValueError, RuntimeError, TypeError):
        values = _one_by_one(text, width)
    # Close to zero a DOUBLE has fewer digits, or none.
    return Table(values, raw, ends, -1 if len(letters) and _FAR.search(text) else MOST_EXACT_DIGITS)


def _name_row(text: bytes, width: int) -> None:
    for row, line in enumerate(text.split(b"\n")):
        if line.count(b",") != width - 1:
            said = line.decode(errors="replace")
            raise BadReply(f"row {row}: {line.count(b',') + 1} columns where {width} are due: {said!r:.160}")


def _one_by_one(text: bytes, width: int) -> Any:
    """For what simdjson does not read: whole numbers of more than 64 bits, and what is no number."""
    out = []
    for at, cell in enumerate(text.replace(b"\n", b",").split(b",")):
        value = float(cell) if _NUMBER.fullmatch(cell) else np.inf
        if not np.isfinite(value):
            said = cell.decode(errors="replace")
            raise BadReply(
                f"row {at // width}: column {at % width} is {said!r:.60}, not a number that can be stored"
            )
        out.append(value)
    return np.array(out).reshape(-1, width)
