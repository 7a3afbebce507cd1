"""Names of trades that have no number of the venue's: time, price, quantity, side and number of occurrence.

So says product.md 4. Where a venue numbers its trades on one way and not on the other, both ways' trades are named:
whichever way a trade came, it is one row. Trades that are alike in all this cannot be told apart, and need not be: the
first of them that any page holds is the first, so what several pages tell together is the most that one of them told.
"""

from __future__ import annotations

from collections.abc import Iterable


def stem(milliseconds: int, price: float, quantity: float, side: str) -> str:
    """``1735660802822-95432.42-0.00016-buy``."""
    return f"{milliseconds}-{shortest(price)}-{shortest(quantity)}-{side}"


def counted(stems: Iterable[str]) -> list[str]:
    """1 behind the first of equal stems, 2 behind the second, and so on."""
    seen: dict[str, int] = {}
    out = []
    for one in stems:
        seen[one] = seen.get(one, 0) + 1
        out.append(f"{one}-{seen[one]}")
    return out


def shortest(value: float) -> str:
    """A number without a fraction that says nothing."""
    return repr(value).removesuffix(".0")
