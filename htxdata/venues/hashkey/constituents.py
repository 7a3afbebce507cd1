"""The formula in which HashKey's index tells its constituents (hashkey-api 5.1 [wire, one basket; rule inferred]).

``(86672.9[KRAKEN]*0.2+86669.24[BINANCE]*0.2+...)``: price, exchange and weight of each, joined by plus signs. The other
form of the sister exchange, ``(16792.28[HUOBI])/1``, names a divisor and no weights; nothing here is sure of what it
means, and it is refused like any other text. The text stays on the tape.
"""

from __future__ import annotations

import re
from typing import Any

from htxdata.errors import BadReply
from htxdata.venues import figures
from htxdata.venues.exchanges import exchange_name

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TERM = re.compile(rf"({_NUMBER})\[([^\[\]()+*]+)\]\*({_NUMBER})")
_WHOLE = re.compile(rf"\({_TERM.pattern}(?:\+{_TERM.pattern})*\)")

OFF_BY = 0.01
"""So far from 1 may the weights be together: a sixth is spelled with some decimals."""


def read(formula: Any, pair: str) -> tuple[list[dict[str, Any]], int]:
    """Rows of exchange, constituent, price and weight, and how many values no DOUBLE carries; ``BadReply`` for a
    formula of another form. ``pair`` is what every exchange is asked the price of: the index's own name."""
    if not isinstance(formula, str) or _WHOLE.fullmatch(formula) is None:
        raise BadReply(f"'formula' is {formula!r:.80}: not prices, exchanges and weights as known")
    rows: list[dict[str, Any]] = []
    unfit = 0
    met: dict[str, str] = {}
    for price, spelled, weight in _TERM.findall(formula):
        said = {"price": price, "weight": weight}
        exchange = exchange_name(spelled)
        if exchange in met:
            raise BadReply(f"'formula' has {spelled!r:.60} twice, first as {met[exchange]!r:.60}")
        met[exchange] = spelled
        row: dict[str, Any] = {"exchange": exchange, "constituent": pair}
        for name in said:
            row[name], fits = figures.number(said, name, len(rows))
            unfit += not fits
        if not row["price"]:
            raise BadReply(f"'formula' has no price of {spelled!r:.60}")
        rows.append(row)
    whole = sum(row["weight"] for row in rows)
    if abs(whole - 1) > OFF_BY:
        raise BadReply(f"the weights of 'formula' add up to {whole:g}, not to 1")
    return rows, unfit
