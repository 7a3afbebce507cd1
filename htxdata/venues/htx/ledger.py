"""What the balances of an account were, change by change, over REST (htx-api 10.2): spot's account history.

Each record says by how much, why, and what the account held afterwards. It has a number of its own, and neither the
``seqNum`` of the private socket nor anything else in common with it: a fill is one push of the socket for a currency,
and a record for what was traded and one for the fee here; what an order only set aside has a push and no record. The
longer ledger (``/v2/account/ledger``, 180 days) tells of transfers alone and of no balance: it proves no stretch of
time, and is not asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import DAY, HOUR, MILLISECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.own import number, word
from htxdata.venues.terms import Endpoint, Parsed

POOL = "ledger"
RECORD = ("updated_at", "change_time", "account_id", "account_type", "currency", "balance", "available", "change_type",
          "amount", "sequence", "record_id")  # fmt: skip


def _history(series: Series, ask: Ask) -> Request:
    said = (
        ("account-id", series.symbol),  # `Endpoint.each`
        ("start-time", str(-(-ask.window.start // MILLISECOND))),  # both ends are taken to belong to it [C]
        ("end-time", str((ask.window.end - 1) // MILLISECOND)),
        ("size", str(ask.rows)),
    )
    return Request("/v1/account/history", said, POOL, private=True)


def history(reply: Reply, series: Series) -> Parsed:
    """Records of the account that is the symbol of ``series``, in any order. Why a balance changed is told in the
    ledger's own words (``trade``, ``transact-fee``), which are not the socket's (``order.match``)."""
    rows = wire.slow_rows(wire.open_answer(reply.body).rows)
    out: dict[str, list[Any]] = {name: [] for name in RECORD}
    unfit = np.zeros(len(rows), np.uint8)
    for at, row in enumerate(rows):
        if number(row, "account-id", at) != series.symbol:
            raise BadReply(f"row {at} is of the account {row['account-id']!r:.60}, asked for {series.symbol}")
        when = wire.instant(row, "transact-time", at)
        figures = [wire.number(row, name, at) for name in ("acct-balance", "avail-balance", "transact-amt")]
        (balance, _), (available, _), (amount, _) = figures
        values = (
            when, when, series.symbol, None, word(row, "currency", at), balance, available,
            word(row, "transact-type", at), amount, None, number(row, "record-id", at),
        )  # fmt: skip
        for column, value in zip(out.values(), values, strict=True):
            column.append(value)
        unfit[at] = sum(not fitting for _, fitting in figures)
    times = out["updated_at"]
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    return Parsed(out, page, unfit if unfit.any() else None)


SPOT_LEDGER = (
    Endpoint(
        "own_account_updates", "/v1/account/history", walk="halves", rows=500, build=_history, parse=history,
        docs="htx-api 10.2 [A]: at most an hour a window, 30 days back, 500 rows, 100 where no size is said. `next-id` "
        "is handed on, in the sample with two rows and another kind of number than theirs [C]: times alone are sent",
        horizon=30 * DAY, span=HOUR, each=True, least=100,
    ),
)  # fmt: skip
