"""One's own fills, orders and account on permanent over REST (permanent-v1 5): questions and answers.

All of it is private and newest first, by a near edge, inclusive (3.3); fills and orders that are over reach 48 hours
back. Numbers count contracts. In which currency a fee is paid, and with which sign a rebate is told, is not said: the
fee is kept as it is spelled, without a currency.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.keys import Keys
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.protocol.edge import NEWEST
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import MILLISECOND
from htxdata.venues import figures, frames
from htxdata.venues.permanent import rows, signing
from htxdata.venues.permanent.answers import Row, rows_of, same_symbol, text
from htxdata.venues.permanent.rest import REACH
from htxdata.venues.terms import Accounts, Endpoint, Facts, Parsed, Proof

FILL = ("trade_time", "trade_id", "order_id", "side", "price", "quantity", "fee", "fee_currency", "role", "order_type",
        "client_order_id")  # fmt: skip
ACCOUNT = "swap"
"""The account has no number: a key opens one, which is called by the path that all of this lies under (`/api/swap`)."""

FUNDING = "funding"
FORCED = ("liquidation", "liquidated", "deleverage", "administration")
"""Kinds of execution, besides ``trade`` and fundings: an order of the venue's, whose kind this is."""


def sign(request: Request, host: str, keys: Keys, now: int) -> tuple[tuple[str, str], ...]:
    """The path of the tables is signed, without what stands before it in the address (`/api/swap`): that is what the
    text prints of its private socket, `/ws` for `/api/swap/account/ws`. Of REST it is not said [inferred]."""
    return signing.sign_params(request.method, host, request.path, request.params, keys, now)


# ----------------------------------------------------------------------------------------------------------- fills

_FILLS = "/orders/trades"


def _asked(path: str, series: Series, ask: Ask) -> Request:
    edge = () if ask.window == NEWEST else (("traceFrom", str((ask.window.end - 1) // MILLISECOND)),)
    return Request(path, (("symbol", series.symbol), *edge, ("limit", str(ask.rows))), private=True)


def fills(reply: Reply, series: Series, facts: Facts) -> Parsed:
    """A row of a funding (``execType``) is the exchange of one and no fill: it counts for the walk alone.

    ``tradeId`` is unique across the platform, and so that of the public trade.
    """
    out: dict[str, list[Any]] = {name: [] for name in FILL}
    times, unfit = [], []
    for at, row in enumerate(rows_of(reply)):
        same_symbol(row, series.symbol, at)
        times.append(figures.instant(row, "tradeTime", at))
        if row.get("execType") == FUNDING:
            continue
        values, lost = fill(row, at, facts)
        for name, value in values.items():
            out[name].append(value)
        unfit.append(lost)
    page = Page(len(times), min(times), max(times)) if times else Page(0)
    return Parsed(out, page, unfit if any(unfit) else None)


def fill(row: Row, at: int, facts: Facts) -> rows.Made:
    """One fill, of REST and of the socket alike."""
    kind = text(row, "execType", at)
    if kind != "trade" and kind not in FORCED:
        raise BadReply(f"row {at}: 'execType' is {kind!r:.60}, which is not known")
    taker = row.get("aggressor")
    if not isinstance(taker, bool):
        raise BadReply(f"row {at}: 'aggressor' is {taker!r:.60}, neither true nor false")
    price, lost = frames.price(row, "tradePrice", at)
    if number(row, "tradeVolume", at) == "0":
        raise BadReply(f"row {at}: 'tradeVolume' is 0: no fill")
    quantity, more = rows.in_base(row["tradeVolume"], facts)
    fee, fits = figures.number(row, "transactFee", at)
    values = (
        figures.instant(row, "tradeTime", at), number(row, "tradeId", at), number(row, "orderId", at), side(row, at),
        price, quantity, fee, None, "taker" if taker else "maker", None if kind == "trade" else kind, None,
    )  # fmt: skip
    return dict(zip(FILL, values, strict=True)), lost + more + (not fits)


# --------------------------------------------------------------------------------------------------------- account

BALANCE = Request("/account/balance", private=True)
_STATES = ("normal", "frozen")


def balances(reply: Reply) -> Parsed:
    """What the account holds of every currency, without what open positions have won or lost (``accountBalance``).
    ``frozen`` is what orders hold; what positions hold is kept nowhere."""
    found: dict[str, Row] = {}
    unfit: list[int] = []
    for at, row in enumerate(rows_of(reply)):
        if text(row, "accountStatus", at) not in _STATES:
            raise BadReply(f"row {at}: the account is {row['accountStatus']!r:.60}, which is not known")
        currency = text(row, "currency", at)
        if currency in found:
            raise BadReply(f"row {at}: {currency!r:.60} is there twice")
        read = {name: figures.number(row, member, at) for name, member in _HELD.items()}
        found[currency] = {name: value for name, (value, _) in read.items()}
        unfit.append(sum(not fits for _, fits in read.values()))
    count = len(found)
    columns: dict[str, Any] = {
        "symbol": [ALL_SYMBOLS] * count, "account_id": [ACCOUNT] * count, "account_type": [ACCOUNT] * count,
        "currency": list(found), **{name: [row[name] for row in found.values()] for name in _HELD},
        "sequence": [None] * count,
    }  # fmt: skip
    return Parsed(columns, Page(count, reply.received_at, reply.received_at), unfit if any(unfit) else None)


_HELD = {"balance": "accountBalance", "available": "availBalance", "frozen": "orderMargin"}

PROOF = Proof(BALANCE)
"""It has no parameter, and so is signed alike in both orders of names. How far a timestamp may be off is not said."""

ACCOUNTS = Accounts(list=None, numbers=lambda reply: (), balance=lambda account: BALANCE, parse=balances)


# ---------------------------------------------------------------------------------------------------------- pieces


def number(row: Row, name: str, at: int = 0) -> str:
    """A number of the venue's, as a text."""
    value = figures.integer(row, name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return str(value)


def side(row: Row, at: int = 0) -> str:
    found = row.get("orderSide")
    if found not in ("buy", "sell"):
        raise BadReply(f"row {at}: 'orderSide' is {found!r:.60}, neither buy nor sell")
    return str(found)


def _unsized(reply: Reply, series: Series) -> Parsed:
    raise BadReply("sizes are contracts, and what a contract is was not said")


OWN = (
    Endpoint(
        "own_fills", _FILLS, walk="edge", rows=500, build=lambda series, ask: _asked(_FILLS, series, ask),
        parse=_unsized, sized=fills, docs="permanent-v1 5: newest first by tradeTime, 48 hours back; the unit of "
        "traceFrom is inferred (3.2)", horizon=REACH,
    ),
)  # fmt: skip
