"""From HTX's current fundings to columns: what the coming funding would be if it were settled now.

Which field is what, and how sure that is:

=================  =================  =================================================================================
ours               HTX's              sure
=================  =================  =================================================================================
``observed_at``    ``ts`` of all      [A]: the answer's own time; its rows say no other
``funding_time``   ``funding_time``   [A]: the settlement that is coming. In one sample of 2021 it lies before ``ts``:
                                      it is stored as said, and not required to lie ahead
``funding_rate``   ``funding_rate``   [B]: what would be paid then. Until about 2022 it was fixed an interval ahead and
                                      ``estimated_rate`` was that of the next one (htx-api 4.7); that is null since, and
                                      is not read
=================  =================  =================================================================================

``next_funding_time`` and the caps of v5 are not stored.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Parsed


def rows(reply: Reply, symbol: str | None) -> Parsed:
    """v5 funding_rate (htx-api 4.1 [B]: a list, also of one contract), v1 swap_batch_funding_rate (4.7 [A]).

    Where no contract was named (``symbol`` is None) it is of every perpetual one.
    """
    return _parsed(reply, wire.slow_rows(wire.open_answer(reply.body).rows), symbol)


def one(reply: Reply, symbol: str | None) -> Parsed:
    """v1 swap_funding_rate (htx-api 4.7 [A]): an object, not a list. No object (null) is nothing said."""
    data = wire.envelope(reply.body).get("data")
    if data is None:
        raise BadReply("an answer without data")
    return _parsed(reply, [] if data.strip() == b"null" else wire.slow_rows(data), symbol)


def _parsed(reply: Reply, said: list[dict[str, Any]], symbol: str | None) -> Parsed:
    answer = wire.slow_rows(b'{"ts":' + (wire.envelope(reply.body).get("ts") or b"null") + b"}")
    at = wire.instant(answer[0], "ts", 0)
    symbols: dict[str, None] = {}
    times, rates, unfit = [], [], []
    for number, row in enumerate(said):
        code = row.get("contract_code")
        if not isinstance(code, str) or not code:
            raise BadReply(f"row {number}: 'contract_code' is {code!r:.60}, not a text")
        if symbol is not None and code.upper() != symbol.upper():
            raise BadReply(f"row {number} is of {code!r:.60}, asked for {symbol!r}")
        if code in symbols:
            raise BadReply(f"row {number}: {code!r:.60} was told already")
        symbols[code] = None
        times.append(wire.instant(row, "funding_time", number))
        rate, fits = wire.number(row, "funding_rate", number)
        rates.append(rate)
        unfit.append(int(not fits))
    columns = {
        "symbol": list(symbols),
        "observed_at": [at] * len(times),
        "funding_time": times,
        "funding_rate": rates,
    }
    return Parsed(columns, Page(len(times), at, at) if times else Page(0), unfit if any(unfit) else None)
