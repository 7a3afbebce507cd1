"""From HashKey's fundings to columns: those that were settled, and the one to come (hashkey-api 4.5, 4.6)."""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues import figures
from htxdata.venues.hashkey.rows import answered_at, rows_of
from htxdata.venues.terms import Parsed


def history(reply: Reply, series: Series) -> Parsed:
    """Settlements, newest first [wire]. Ids are shared by all contracts and grow with time: the smallest one is where
    older ones begin."""
    rows = rows_of(reply.body)
    times, rates, unfit, ids = [], [], [], []
    for at, row in enumerate(rows):
        if row.get("symbol") != series.symbol:
            raise BadReply(f"row {at} is of {row.get('symbol')!r:.60}, asked for {series.symbol!r}")
        times.append(figures.instant(row, "settleTime", at))
        rate, fits = figures.number(row, "settleRate", at)
        rates.append(rate)
        unfit.append(int(not fits))
        ids.append(figures.integer(row, "id", at))
        if ids[-1] <= 0:
            raise BadReply(f"row {at}: 'id' is {ids[-1]}: not the number of a settlement")
    columns: dict[str, Any] = {"funding_time": times, "funding_rate": rates}
    page = Page(len(times), min(times), max(times), str(min(ids))) if times else Page(0)
    return Parsed(columns, page, unfit if any(unfit) else None)


def coming(reply: Reply, symbol: str | None) -> Parsed:
    """What the coming settlement would be now: the predicted rate of the running period [wire], of all perpetuals.

    The rows say no time of their own: it is that of the answer.
    """
    at = answered_at(reply)
    symbols: dict[str, None] = {}
    times, rates, unfit = [], [], []
    for place, row in enumerate(rows_of(reply.body)):
        name = row.get("symbol")
        if not isinstance(name, str) or not name:
            raise BadReply(f"row {place}: 'symbol' is {name!r:.60}, not a text")
        if name in symbols:
            raise BadReply(f"row {place}: {name!r:.60} was told already")
        symbols[name] = None
        times.append(figures.instant(row, "nextSettleTime", place))
        rate, fits = figures.number(row, "rate", place)
        rates.append(rate)
        unfit.append(int(not fits))
    columns = {
        "symbol": list(symbols),
        "observed_at": [at] * len(times),
        "funding_time": times,
        "funding_rate": rates,
    }
    return Parsed(columns, Page(len(times), at, at) if times else Page(0), unfit if any(unfit) else None)
