"""HashKey's lists: of candles, and of objects."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply

_list = msgspec.json.Decoder(list[Any], float_hook=Decimal)


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
