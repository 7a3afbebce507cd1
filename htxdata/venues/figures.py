"""Numbers, instants and rows of JSON as every venue spells them: with all digits, or not at all (law 9).

What is not plainly a number raises ``BadReply`` naming the row: nothing is rounded, filled in or guessed. The slow and
careful way that the parsers of all venues share; what is quick about a venue's own shapes is in its room.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply

MOST_EXACT_DIGITS = 15
"""Every decimal of up to 15 significant digits survives a DOUBLE."""


def fits(text: str) -> bool:
    """Does a DOUBLE carry this number digit for digit? (Its shortest spelling is then the same decimal.)"""
    if text == repr(float(text)):
        return True
    if "E" not in text and "e" not in text:
        digits = text.lstrip("-").replace(".", "").strip("0")
        if len(digits) <= MOST_EXACT_DIGITS and len(text) < 200:
            return True
    try:
        return Decimal(text) == Decimal(repr(float(text)))
    except (DecimalException, ValueError):
        return False


def slow_rows(text: bytes) -> list[dict[str, Any]]:
    """Rows as dictionaries whose numbers are still their spelling (``Decimal``), texts ``str``, absences ``None``."""
    try:
        rows = _decimal_rows.decode(b"[" + text + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise BadReply(f"the rows are no JSON: {error}") from error
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadReply(f"row {number} is a {type(row).__name__}, not an object")
    return rows


_decimal_rows = msgspec.json.Decoder(list[Any], float_hook=Decimal)
_data_of = msgspec.json.Decoder(dict[str, msgspec.Raw])


def envelope(body: bytes) -> dict[str, bytes]:
    """The top-level members of an answer, each still JSON text."""
    try:
        return {name: bytes(raw) for name, raw in _data_of.decode(body).items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReply(f"the answer is no JSON object: {error}") from error


_SPELLING = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def number(row: dict[str, Any], name: str, at: int) -> tuple[float, bool]:
    """A number in either of HTX's spellings (JSON number or text), and whether a DOUBLE carries it.

    One tolerant reader for all families, because they disagree (htx-api 1.5); anything else raises. A text must be
    spelled as JSON spells numbers: no blanks, no `+1`, no `.5`.
    """
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        said = "is missing" if name not in row else f"is {_short(value)}"
        raise BadReply(f"row {at}: {name!r} {said}")
    if isinstance(value, str) and (len(value) > 400 or not _SPELLING.fullmatch(value)):
        raise BadReply(f"row {at}: {name!r} is {_short(value)}, not a number")
    text = str(value)
    result = float(text)
    if not math.isfinite(result):
        raise BadReply(f"row {at}: {name!r} is {_short(value)}, not a number that can be stored")
    return result, fits(text)


def integer(row: dict[str, Any], name: str, at: int) -> int:
    """A whole number in either spelling, with all its digits."""
    number(row, name, at)
    exact = Decimal(row[name])
    if exact != exact.to_integral_value():
        raise BadReply(f"row {at}: {name!r} is {_short(row[name])}, not a whole number")
    return int(exact)


def instant(row: dict[str, Any], name: str, at: int) -> int:
    """Milliseconds of the venue as microseconds UTC. Seconds or microseconds by mistake, or a year past 2300, raise."""
    value = integer(row, name, at)
    if not _FIRST_MS <= value < _LAST_MS:
        raise BadReply(f"row {at}: {name!r} is {value}: not milliseconds of our time")
    return value * 1_000


_FIRST_MS = 10**11  # 1973: before any market of ours, and above every count of seconds
_LAST_MS = 10**13  # 2286: below every count of microseconds


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
