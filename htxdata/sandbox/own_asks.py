"""What the private endpoints share: who asks, windows of time, pages, and how decimals are spelled (htx-api 10.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from .answers import Answer, Ask, hyphens
from .candles import number
from .keys import ApiKey
from .own import Own
from .periods import HOUR


@dataclass(frozen=True)
class Caller:
    """Who asks, and what of the request was signed."""

    key: ApiKey
    place: re.Match[str]
    placed: list[dict[str, Any]]
    body: bytes = b""

    def told(self, ask: Ask) -> dict[str, Any]:
        """What the body of a POST says."""
        try:
            said = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise hyphens(ask, "bad-request", "invalid json")
        return said

    def order(self, name: str, value: Any) -> dict[str, Any] | None:
        """The order that was placed with such a number."""
        return next((row for row in self.placed if row[name] == value), None)


Endpoint = Callable[[Own, Ask, Caller], Answer]


def span(
    ask: Ask, longest: int, back: int, names: tuple[str, str] = ("start-time", "end-time")
) -> tuple[int, int]:
    """The window that is asked for (both ends belong to it), us: the newest `longest` unless said."""
    try:
        since, until = (number(ask.query.get(name)) for name in names)
    except ValueError:
        raise hyphens(ask, "invalid-parameter", f"invalid {names[0]}") from None
    if until is None:
        last = ask.now if since is None else min(ask.now, since * 1000 + longest)
    else:
        last = until * 1000
    first = last - longest if since is None else since * 1000
    if last - first > longest or first > last:
        raise hyphens(ask, "invalid-parameter", f"invalid {names[0]}: the window is longer than allowed")
    if first < ask.now - back - HOUR:
        raise hyphens(ask, "invalid-start-time", f"{names[0]} is earlier than allowed")
    return first, last + 1000


def listed(ask: Ask, name: str) -> list[str]:
    return [part for part in ask.query.get(name, "").split(",") if part]


def page(
    ask: Ask,
    rows: Sequence[Any],
    numbers: Sequence[int],
    usual: int,
    most: int,
    *,
    size: str = "size",
    cursor: str = "from",
    inclusive: bool = False,
) -> list[Any]:
    """So many rows behind the one that the cursor names, or before it (`direct=prev`)."""
    try:
        wanted, after = number(ask.query.get(size)), number(ask.query.get(cursor))
    except ValueError:
        raise hyphens(ask, "invalid-parameter", f"invalid {size} or {cursor}") from None
    wanted = usual if wanted is None else wanted
    if not 1 <= wanted <= most:
        raise hyphens(ask, "invalid-parameter", f"invalid {size},valid range: [1, {most}]")
    if after is None:
        return list(rows[:wanted])
    if after not in numbers:
        return []
    place = list(numbers).index(after)
    if ask.query.get("direct") == "prev":
        return list(rows[max(0, place - wanted) : place])
    first = place if inclusive else place + 1
    return list(rows[first : first + wanted])


def plain(value: Decimal) -> str:
    """A decimal as the venue spells it: no exponent, no zeros at its end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
