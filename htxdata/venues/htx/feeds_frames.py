"""What the parsers of all feeds of HTX share: frames that are no data, long figures, the careful reading.

Every parser has two ways. The quick one decodes a frame into msgspec Structs and appends their members to lists. What
does not fit it (a text for a number, too many digits, a missing member, no data at all) is read once more from
dictionaries with every digit kept, which either finds it good or names what is wrong with it: a fault, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Literal

import msgspec
import numpy as np

from htxdata.errors import BadReply
from htxdata.venues.frames import (
    FIRST_MS,
    LAST_MS,
    UNDECODABLE,
    Key,
    Message,
    Read,
    Sheets,
    contract_size,
    figure,
    in_base,
    member,
    objects,
    price,
    ratio,
    read_with_care,
)
from htxdata.venues.terms import Facts, Frame

LONG_FIGURE = re.compile(rb'":(?<!d":)[ \t\r\n]*"?[0-9.eE+\-]{17}')
"""A member that may have more digits than a DOUBLE carries (15, a point, and one more to tell). Not those whose name
ends in ``d`` (id, tradeId, mrid): numbers of trades are integers of any length here."""

_COLON, _COMMA, _BRACE, _QUOTE, _D = b':,}"d'
_IN_FIGURES = np.isin(np.arange(256), list(b"0123456789.eE+- \t\r\n"))


def may_have_long_figures(joined: bytes) -> bool:
    """Whether ``LONG_FIGURE`` may be found in messages that were put one behind the other; where not, it is in none.

    A member is as long as it is from its colon to the next sign that can follow a figure: on arrays that is found in
    half the time.
    """
    signs = np.frombuffer(joined + b"}}", np.uint8)
    ends = np.flatnonzero((signs == _COLON) | (signs == _COMMA) | (signs == _BRACE))
    at = ends[:-1][np.diff(ends) > 17]
    at = at[(signs[at] == _COLON) & (signs[at - 1] == _QUOTE) & (signs[at - 2] != _D)]
    first, second = signs[at + 1], signs[at + 2]
    return bool((_IN_FIGURES[first] | ((first == _QUOTE) & _IN_FIGURES[second])).any())


_SPELLED = bytes(0x30 if c in b"0123456789.eE+-" else 0x20 for c in range(256))
_RUN = b"0" * 17


def has_long_number(body: bytes) -> bool:
    """As ``LONG_FIGURE``, for numbers in lists: those of books. Whole numbers of 17 digits look long, too."""
    return _RUN in body.translate(_SPELLED)


def carefully(sheets: Sheets, at: int, frame: Frame, facts: Mapping[str, Facts], read: Read) -> None:
    """The way of everything that is not plainly data: nothing, rows, or a fault."""
    read_with_care(sheets, at, frame, facts, read, opened)


_decode = msgspec.json.Decoder(float_hook=Decimal).decode

_TALK = ("ping", "pong", "subbed", "unsubbed")
_OPERATIONS = frozenset({"ping", "pong", "sub", "unsub", "close", "error", "auth"})


def message_of(body: bytes) -> Message:
    """The message with every digit, whatever it says. ``BadReply`` where it is no JSON object."""
    try:
        message = _decode(body)
    except (*UNDECODABLE, DecimalException) as error:
        raise BadReply(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadReply(f"a {type(message).__name__}, not an object")
    return message


def opened(body: bytes) -> Message | None:
    """The message with every digit, or None where it is talk: pings, what was taken, what was refused (htx-api 7.2).

    ``BadReply`` where it is no JSON object.
    """
    message = message_of(body)
    if any(name in message for name in _TALK) or str(message.get("op")) in _OPERATIONS:
        return None
    if message.get("status") == "error":
        return None
    return message


def is_talk(body: bytes) -> bool:
    """Whether a message surely is no data, and nothing is wrong with it."""
    try:
        return opened(body) is None
    except BadReply:
        return False


Counted = Literal["base", "coins", "dollars"]
"""What sizes count: base units themselves, or contracts of so many coins, or of so many dollars, each."""

__all__ = [
    "FIRST_MS", "LAST_MS", "LONG_FIGURE", "UNDECODABLE", "Counted", "Key", "Message", "Sheets", "carefully",
    "contract_size", "figure", "has_long_number", "in_base", "is_talk", "may_have_long_figures", "member", "objects",
    "opened", "price", "ratio",
]  # fmt: skip
