"""HashKey's answers: lists of candles and of objects, and single objects."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.protocol.pacing import http_date
from htxdata.protocol.wire import Reply

_list = msgspec.json.Decoder(list[Any], float_hook=Decimal)
_object = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


def list_of(body: bytes) -> list[Any]:
    """A list whose numbers have every digit (``Decimal``); ``BadReply`` where it is none."""
    try:
        return _list.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise BadReply(f"the answer is no list: {error}") from error


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """The same of objects alone."""
    rows = list_of(body)
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            raise BadReply(f"row {at} is a {type(row).__name__}, not an object")
    return rows


def object_of(body: bytes) -> dict[str, Any]:
    """One object, its numbers as above."""
    try:
        return _object.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise BadReply(f"the answer is no object: {error}") from error


def answered_at(reply: Reply) -> int:
    """When the venue made an answer whose rows say no time of their own, microseconds UTC.

    The venue's clock is in the ``Date`` of the answer, in whole seconds; an answer without one is refused, as ours
    would be another clock (law 10).
    """
    at = http_date(reply.headers.get("date", ""))
    if at is None:
        raise BadReply("the answer does not say when it was made: no Date")
    return at
