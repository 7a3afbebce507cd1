"""From HashKey's mark and index prices to columns: as they are now, for their past is not served (hashkey-api 4.4).

Both are spelled with 1 to 18 decimals [wire]; what a DOUBLE does not carry is counted.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues import figures
from htxdata.venues.hashkey.parse import price
from htxdata.venues.hashkey.rows import answered_at, object_of
from htxdata.venues.hashkey.symbols import index_of, perpetual_of
from htxdata.venues.terms import Parsed


def mark(reply: Reply, symbol: str | None) -> Parsed:
    """The mark price of one contract, of a whole second [wire]. An unknown contract has an empty answer, which is none
    (``verdicts``)."""
    row = object_of(reply.body)
    if row.get("symbolId") != symbol:
        raise BadReply(f"the answer is of {row.get('symbolId')!r:.60}, asked for {symbol!r}")
    at = figures.instant(row, "time", 0)
    value, fits = price(row, "price", 0)
    return Parsed({"symbol": [symbol], "price_time": [at], "price": [value]}, Page(1, at, at), None if fits else [1])


def index(reply: Reply, symbol: str | None) -> Parsed:
    """The values of all indices, or where a contract is named of its own, each under its perpetual; none of an unknown
    one [wire].

    ``index`` and ``edp`` each map the names of indices to texts; ``edp`` is the average of the last ten minutes [doc].
    Neither says a time: it is that of the answer.
    """
    at = answered_at(reply)
    said = object_of(reply.body)
    values, averages = _by_name(said, "index"), _by_name(said, "edp", may_lack=True)
    if averages.keys() - values.keys():
        raise BadReply(f"'edp' has {min(averages.keys() - values.keys())!r:.60}, of which 'index' says nothing")
    columns: dict[str, list[Any]] = {"symbol": [], "price": [], "average_price": []}
    unfit = []
    for place, name in enumerate(values):
        if not name or (symbol is not None and name != index_of(symbol)):
            raise BadReply(f"the answer is of the index {name!r:.60}, asked for {symbol!r}")
        value, fits = price(values, name, place)
        average, exact = price(averages, name, place) if averages.get(name) is not None else (None, True)
        columns["symbol"].append(perpetual_of(name))
        columns["price"].append(value)
        columns["average_price"].append(average)
        unfit.append((not fits) + (not exact))
    count = len(unfit)
    page = Page(count, at, at) if count else Page(0)
    return Parsed({**columns, "observed_at": [at] * count}, page, unfit if any(unfit) else None)


def _by_name(said: dict[str, Any], name: str, may_lack: bool = False) -> dict[str, Any]:
    found = said.get(name)
    if found is None and may_lack:
        return {}
    if not isinstance(found, dict):
        raise BadReply(f"{name!r} is {found!r:.60}, not values by the names of indices")
    return found
