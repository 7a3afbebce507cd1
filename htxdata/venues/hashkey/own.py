"""One's own fills at HashKey over REST, of pairs and of perpetuals (hashkey-api 6): questions and answers.

Both come newest first [wire]. What ``fromId`` and ``toId`` mean is [unknown], and so is which rows of a window are left
out where there are more than fit on a page: times alone are sent, and windows halved (`protocol.halves`). Both ends of
a window are taken to belong to it [C].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.keys import Keys
from htxdata.market import Series
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import DAY, MILLISECOND
from htxdata.venues import figures
from htxdata.venues.hashkey import signing
from htxdata.venues.hashkey.parse import price, size_for, sized
from htxdata.venues.hashkey.rows import rows_of
from htxdata.venues.hashkey.symbols import is_perpetual
from htxdata.venues.names import stem
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Parsed, Proof

FILL = ("trade_time", "trade_id", "order_id", "side", "price", "quantity", "fee", "fee_currency", "role", "order_type",
        "client_order_id")  # fmt: skip
_SPOT, _PERPETUAL = "/api/v1/account/trades", "/api/v1/futures/userTrades"
SIDES = {"BUY_OPEN": "buy", "BUY_CLOSE": "buy", "SELL_OPEN": "sell", "SELL_CLOSE": "sell"}

PROOF = Proof(Request("/api/v1/account/type", private=True), late=5.0, early=1.0)
"""hashkey-api 6: a request is taken up to ``recvWindow`` (5 s unless said) late, and less than a second early."""

Row = dict[str, Any]


def sign(request: Request, host: str, keys: Keys, now: int) -> tuple[tuple[str, str], ...]:
    return signing.sign_params(request.params, keys, now)


def headers(keys: Keys) -> Mapping[str, str]:
    return {signing.HEADER: keys.access.reveal(), "Content-Type": "application/x-www-form-urlencoded"}


def _ask(path: str, series: Series, ask: Ask) -> Request:
    said = (
        ("symbol", series.symbol),
        ("startTime", str(-(-ask.window.start // MILLISECOND))),
        ("endTime", str((ask.window.end - 1) // MILLISECOND)),
        ("limit", str(ask.rows)),
    )
    return Request(path, said, private=True)


def spot_fills(reply: Reply, series: Series, facts: Facts = NO_FACTS) -> Parsed:
    """The fee is told of the coin in which it was taken. A fill is called by its ticket, as on the socket
    (`user_stream`); ``id`` is a number of REST's alone."""
    return _fills(reply, series, None, "ticketId", "qty", _of_spot)


def perpetual_fills(reply: Reply, series: Series, facts: Facts) -> Parsed:
    """Quantities are contracts; whether a position was opened or closed is not kept. ``isMarker`` is HashKey's. The
    ``tradeId`` is REST's alone: fills are named by what the socket says too (`user_stream`)."""
    said = rows_of(reply.body)
    size = size_for(series.symbol, facts, True) if said else None
    parsed = _fills(reply, series, size, "tradeId", "quantity", _of_perpetual)
    return replace(parsed, columns={**parsed.columns, "trade_id": names_of(said, parsed.columns)})


def names_of(rows: Sequence[Row], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """What a perpetual's fills are called: time, price, contracts, side, and which of those of their order that are
    alike. All that are alike are on one page, which is cut between instants."""
    out = [""] * len(rows)
    said: dict[tuple[str, str], int] = {}
    for at in sorted(range(len(rows)), key=lambda at: int(columns["trade_id"][at])):
        contracts, _ = figures.number(rows[at], "quantity", at)
        when = columns["trade_time"][at] // MILLISECOND
        name, order = stem(when, columns["price"][at], contracts, columns["side"][at]), columns["order_id"][at]
        said[order, name] = said.get((order, name), 0) + 1
        out[at] = f"{name}-{said[order, name]}"
    return out


def _of_spot(row: Row, at: int) -> tuple[str, bool, str | None, str | None]:
    side = "buy" if flag(row, "isBuyer", at) else "sell"
    return side, flag(row, "isMaker", at), None, word(row, "clientOrderId", at)


def _of_perpetual(row: Row, at: int) -> tuple[str, bool, str | None, str | None]:
    side = row.get("side")
    if side not in SIDES:
        raise BadReply(f"row {at}: 'side' is {side!r:.60}, which is not known")
    maker = "isMaker" if "isMarker" not in row and "isMaker" in row else "isMarker"  # should it be mended one day
    return SIDES[side], flag(row, maker, at), word(row, "type", at), None


def _fills(reply: Reply, series: Series, size: float | None, name: str, quantity: str, read: Any) -> Parsed:
    rows = rows_of(reply.body)
    out: dict[str, list[Any]] = {name: [] for name in FILL}
    unfit = np.zeros(len(rows), np.uint8)
    for at, row in enumerate(rows):
        if row.get("symbol") != series.symbol:
            raise BadReply(f"row {at} is of {row.get('symbol')!r:.60}, asked for {series.symbol!r}")
        if row.get("makerRebate") not in (None, ""):
            rebate, _ = figures.number(row, "makerRebate", at)
            if rebate:  # whether `commission` has it in it, and with which sign, is [unknown]
                raise BadReply(f"row {at}: 'makerRebate' is {rebate}: what it does to the fee is not known")
        cost, fine = price(row, "price", at)
        amount, _, lost = sized(row, quantity, at, size)
        if not amount:
            raise BadReply(f"row {at}: {quantity!r} is 0: no fill")
        fee, fitting = figures.number(row, "commission", at)
        side, maker, kind, client = read(row, at)
        values = (
            figures.instant(row, "time", at), number(row, name, at), number(row, "orderId", at), side, cost, amount,
            fee, word(row, "commissionAsset", at), "maker" if maker else "taker", kind, client,
        )  # fmt: skip
        for column, value in zip(out.values(), values, strict=True):
            column.append(value)
        unfit[at] = lost + (not fine) + (not fitting)
    times = out["trade_time"]
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    return Parsed(out, page, unfit if unfit.any() else None)


def flag(row: Row, name: str, at: int) -> bool:
    value = row.get(name)
    if not isinstance(value, bool):
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, neither true nor false")
    return value


def word(row: Row, name: str, at: int) -> str | None:
    """A text; an empty one is None."""
    value = row.get(name)
    if not isinstance(value, str):
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, not a word")
    return value or None


def number(row: Row, name: str, at: int) -> str:
    value = figures.integer(row, name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return str(value)


def _unsized(reply: Reply, series: Series) -> Parsed:
    raise BadReply("sizes are contracts, and what a contract is was not said")


OWN = (
    Endpoint(
        "own_fills", _SPOT, walk="halves", rows=500, build=lambda series, ask: _ask(_SPOT, series, ask),
        parse=spot_fills, docs="hashkey-api 6 [code]: the last 30 days, 200 rows unless said and at most 500",
        horizon=30 * DAY, span=7 * DAY, of=lambda symbol: not is_perpetual(symbol),
    ),
    Endpoint(
        "own_fills", _PERPETUAL, walk="halves", rows=500, build=lambda series, ask: _ask(_PERPETUAL, series, ask),
        parse=_unsized, sized=perpetual_fills,
        docs="hashkey-api 6 [wire]; how far back and how many at most is [unknown]: as of pairs",
        horizon=30 * DAY, span=7 * DAY, of=is_perpetual,
    ),
)  # fmt: skip
