"""One's own fills and balances over REST, spot and USDT-margined contracts (htx-api 10.2, 10.5): questions and answers.

All of it is private: whoever sends these requests signs them. A row that names another symbol than was asked for, or a
word that is not documented, sets its reply aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from htxdata.errors import BadReply
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import DAY, HOUR, MILLISECOND
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.interest import figure
from htxdata.venues.names import shortest
from htxdata.venues.terms import Endpoint, Parsed

FILL = ("trade_time", "trade_id", "order_id", "side", "price", "quantity", "fee", "fee_currency", "role", "order_type",
        "client_order_id")  # fmt: skip
ROLES = ("maker", "taker")
_TYPE = re.compile(r"(buy|sell)-[a-z-]+")
_POINTS = ("hbpoint", "point")
"""How REST and the socket spell the points that a fee may be paid in."""

Row = dict[str, Any]


# ------------------------------------------------------------------------------------------------- spot fills


def _matchresults(series: Series, ask: Ask) -> Request:
    said = [
        ("symbol", series.symbol),
        ("start-time", str(-(-ask.window.start // MILLISECOND))),  # both ends are taken to belong to it [C]
        ("end-time", str((ask.window.end - 1) // MILLISECOND)),
        ("size", str(ask.rows)),
    ]
    if ask.cursor is not None:
        said += [("from", ask.cursor), ("direct", "next")]
    return Request("/v1/order/matchresults", tuple(said), private=True)


def spot_fills(reply: Reply, series: Series) -> Parsed:
    """``id`` is the number of the record, by which pages go on; the trade's is ``trade-id``."""
    rows = wire.slow_rows(wire.open_answer(reply.body).rows)
    out: dict[str, list[Any]] = {name: [] for name in FILL}
    unfit, behind = np.zeros(len(rows), np.uint8), ""
    for at, row in enumerate(rows):
        behind = number(row, "id", at)
        if row.get("symbol") != series.symbol:
            raise BadReply(f"row {at} is of {row.get('symbol')!r:.60}, asked for {series.symbol!r}")
        fee, currency, lost = paid(row, ("filled-fees", "fee-currency", "filled-points", "fee-deduct-currency"), at)
        price, quantity = figure(row, "price", at), figure(row, "filled-amount", at)
        values = (
            wire.instant(row, "created-at", at), number(row, "trade-id", at), number(row, "order-id", at),
            side_of(row, "type", at), price[0], quantity[0], fee, currency, role_of(row, "role", at), row["type"], None,
        )  # fmt: skip
        for column, value in zip(out.values(), values, strict=True):
            column.append(value)
        unfit[at] = lost + (not price[1]) + (not quantity[1])
    times = out["trade_time"]
    page = Page(len(times), min(times), max(times), behind) if times else Page(0)
    return Parsed(out, page, unfit if unfit.any() else None)


# ------------------------------------------------------------------------------------------------ spot orders

ORDER = ("created_at", "order_id", "account_id", "side", "order_type", "price", "quantity", "quote_quantity",
         "filled_quantity", "filled_quote_quantity", "fee", "order_status", "finished_at",
         "client_order_id")  # fmt: skip
OVER = ("filled", "partial-canceled", "canceled")
OPEN = ("created", "submitted", "partial-filled")


def _orders(series: Series, ask: Ask) -> Request:
    said = [
        ("symbol", series.symbol),
        ("states", ",".join((*OPEN, *OVER))),
        ("start-time", str(-(-ask.window.start // MILLISECOND))),
        ("end-time", str((ask.window.end - 1) // MILLISECOND)),
        ("size", str(ask.rows)),
    ]
    if ask.cursor is not None:
        said += [("from", ask.cursor), ("direct", "next")]
    return Request("/v1/order/orders", tuple(said), private=True)


def spot_orders(reply: Reply, series: Series) -> Parsed:
    """Those that are over; the instants of the others are `Parsed.unsettled`. ``field-…`` is how HTX misspells
    ``filled-…``, which it says elsewhere. The fee is a sum over fills that may have been paid in several currencies."""
    rows = wire.slow_rows(wire.open_answer(reply.body).rows)
    out: dict[str, list[Any]] = {name: [] for name in ORDER}
    unfit: list[int] = []
    times, open_yet, behind = [], [], ""
    for at, row in enumerate(rows):
        behind = number(row, "id", at)
        if row.get("symbol") != series.symbol:
            raise BadReply(f"row {at} is of {row.get('symbol')!r:.60}, asked for {series.symbol!r}")
        times.append(wire.instant(row, "created-at", at))
        state, side = row.get("state"), side_of(row, "type", at)
        if state in OPEN:
            open_yet.append(times[-1])
            continue
        if state not in OVER:
            raise BadReply(f"row {at}: 'state' is {state!r:.60}, which is not known")
        market, lost = str(row["type"]).startswith(("buy-market", "sell-market")), 0
        figures = []
        for names in (("price",), ("amount",), ("field-amount", "filled-amount"), ("field-cash-amount",
                      "filled-cash-amount"), ("field-fees", "filled-fees")):  # fmt: skip
            name = next((name for name in names if name in row), names[0])
            value, fitting = wire.number(row, name, at)
            lost += not fitting
            figures.append(value)
        price, amount, filled, cash, fee = figures
        paying = market and side == "buy"  # its amount is what was to be paid (htx-ws-v2 4: orderValue)
        over = wire.instant(row, "finished-at", at) if row.get("finished-at") else None
        values = (
            times[-1], behind, number(row, "account-id", at), side, row["type"],
            None if market else price, None if paying else amount, amount if paying else None, filled, cash, fee, state,
            over, row.get("client-order-id") or None,
        )  # fmt: skip
        for column, value in zip(out.values(), values, strict=True):
            column.append(value)
        unfit.append(lost)
    page = Page(len(times), min(times), max(times), behind) if times else Page(0)
    return Parsed(out, page, np.array(unfit, np.uint8) if any(unfit) else None, tuple(open_yet))


# ----------------------------------------------------------------------------------------------- linear fills


def _details(series: Series, ask: Ask) -> Request:
    said = [
        ("contract_code", series.symbol),
        ("start_time", str(-(-ask.window.start // MILLISECOND))),
        ("end_time", str((ask.window.end - 1) // MILLISECOND)),
        ("limit", str(ask.rows)),
    ]
    if ask.cursor is not None:
        said += [("from", ask.cursor), ("direct", "next")]
    return Request("/v5/trade/order/details", tuple(said), private=True)


def linear_fills(reply: Reply, series: Series) -> Parsed:
    """Volumes are contracts. Coins are not said: they are the turnover by the price, rounded to whole contracts' worth
    by nobody, so to 12 digits here."""
    rows = wire.slow_rows(wire.open_answer(reply.body).rows)
    out: dict[str, list[Any]] = {name: [] for name in FILL}
    unfit, behind, names = np.zeros(len(rows), np.uint8), "", match_names(rows)
    for at, row in enumerate(rows):
        behind = number(row, "id", at)
        if str(row.get("contract_code", "")).upper() != series.symbol.upper():
            raise BadReply(f"row {at} is of {row.get('contract_code')!r:.60}, asked for {series.symbol!r}")
        side = row.get("side")
        if side not in ("buy", "sell"):
            raise BadReply(f"row {at}: 'side' is {side!r:.60}, neither buy nor sell")
        (price, fine), (turnover, _) = figure(row, "trade_price", at), figure(row, "trade_turnover", at)
        if not price:
            raise BadReply(f"row {at}: 'trade_price' is 0: no price")
        fee, fitting = wire.number(row, "trade_fee", at)
        values = (
            wire.instant(row, "created_time", at), names[at], number(row, "order_id", at), side, price,
            coins(turnover, price), fee, word(row, "fee_currency", at),
            role_of({"role": str(row.get("role")).lower()}, "role", at), word(row, "type", at), None,
        )  # fmt: skip
        for column, value in zip(out.values(), values, strict=True):
            column.append(value)
        unfit[at] = (not fine) + (not fitting)
    times = out["trade_time"]
    page = Page(len(times), min(times), max(times), behind) if times else Page(0)
    return Parsed(out, page, unfit if unfit.any() else None)


def match_names(rows: Sequence[Row]) -> list[str]:
    """What fills of contracts are called: number of the match, price, contracts, and which of those that are alike.

    REST and the socket number a fill differently (``1513834754679549965``; ``100121555172810-1519705786942156810-1``),
    and have the order and the match in common. A match may fill an order in several pieces [B], which its number does
    not tell apart; what they were does.
    """
    alike: dict[tuple[str, str], list[tuple[int, int, str, int]]] = {}
    for at, row in enumerate(rows):
        price, volume = figure(row, "trade_price", at)[0], figure(row, "trade_volume", at)[0]
        stem = f"{number(row, 'trade_id', at)}-{shortest(price)}-{shortest(volume)}"
        said = str(row.get("id"))
        turn = (wire.instant(row, "created_time", at), len(said), said, at)  # in whatever order they are told
        alike.setdefault((number(row, "order_id", at), stem), []).append(turn)
    out = [""] * len(rows)
    for (_, stem), turns in alike.items():
        for count, turn in enumerate(sorted(turns), 1):
            out[turn[-1]] = f"{stem}-{count}"
    return out


def coins(turnover: float, price: float) -> float:
    return float(f"{turnover / price:.12g}")


SPOT_OWN = (
    Endpoint(
        "own_fills", "/v1/order/matchresults", walk="behind", rows=500, build=_matchresults, parse=spot_fills,
        docs="htx-api 10.2 [A]: at most 48 hours a window, 120 days back, 500 rows; order and cursor as in BehindWalk",
        horizon=120 * DAY, span=48 * HOUR,
    ),
    Endpoint(
        "own_orders", "/v1/order/orders", walk="behind", rows=100, build=_orders, parse=spot_orders,
        docs="htx-api 10.2 [A]: by when they were placed, at most 48 hours a window, 180 days back, 100 rows",
        horizon=180 * DAY, span=48 * HOUR,
    ),
)  # fmt: skip
LINEAR_OWN = (
    Endpoint(
        "own_fills", "/v5/trade/order/details", walk="behind", rows=100, build=_details, parse=linear_fills,
        docs="htx-api 10.5 [B]: the last 3 days; the longest window, the cap and the cursor are documented nowhere [C]",
        horizon=3 * DAY, span=DAY,
    ),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------- balances

ACCOUNTS = Request("/v1/account/accounts", private=True)


def accounts(reply: Reply) -> list[tuple[str, str]]:
    """The numbers of the accounts that work, and the kind of each."""
    rows = list(enumerate(wire.slow_rows(wire.open_answer(reply.body).rows)))
    working = [(at, row) for at, row in rows if word(row, "state", at) == "working"]
    return [(number(row, "id", at), word(row, "type", at)) for at, row in working]


def account_ids(reply: Reply) -> list[str]:
    return [number for number, _ in accounts(reply)]


def balance_request(account: str) -> Request:
    return Request(f"/v1/account/accounts/{account}/balance", private=True)


def balances(reply: Reply) -> Parsed:
    """What one account holds of every currency: what can be used (``trade``), and what orders hold (``frozen``).

    Other kinds of rows (loan, interest, lock, bank) are a margin account's, and nothing that it holds: passed over.
    """
    (data,) = wire.slow_rows(wire.envelope(reply.body).get("data", b"")) or ({},)
    account, kind = number(data, "id", 0), word(data, "type", 0)
    held: dict[str, dict[str, Any]] = {}
    lost = 0
    entries = data.get("list")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadReply(f"'list' is {entries!r:.60}, not a list of objects")
    for at, entry in enumerate(entries):
        sort = word(entry, "type", at)
        if sort not in ("trade", "frozen"):
            continue
        amount, fitting = wire.number(entry, "balance", at)
        lost += not fitting
        row = held.setdefault(word(entry, "currency", at), {"sequence": None, "exact": Decimal(0)})
        if sort in row:
            raise BadReply(f"row {at}: {entry['currency']!r} has two rows of {sort!r}")
        row[sort] = amount
        row["exact"] += Decimal(str(entry["balance"]))
        if entry.get("seq-num") is not None:
            row["sequence"] = wire.integer(entry, "seq-num", at)
    # Every currency that there is has a row, a thousand of them: those that were never held are left out.
    held = {name: row for name, row in held.items() if row["exact"] or row["sequence"]}
    columns: dict[str, Any] = {
        "symbol": [ALL_SYMBOLS] * len(held), "account_id": [account] * len(held), "account_type": [kind] * len(held),
        "currency": list(held), "balance": [float(row["exact"]) for row in held.values()],
        "available": [row.get("trade", 0.0) for row in held.values()],
        "frozen": [row.get("frozen", 0.0) for row in held.values()],
        "sequence": [row["sequence"] for row in held.values()],
    }  # fmt: skip
    return Parsed(columns, Page(len(held), reply.received_at, reply.received_at))


# ----------------------------------------------------------------------------------------------------- pieces


def number(row: Mapping[str, Any], name: str, at: int) -> str:
    """A number of the venue's, which may be spelled as a number or as a text."""
    value = wire.integer(dict(row), name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return str(value)


def word(row: Mapping[str, Any], name: str, at: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, not a word")
    return value


def side_of(row: Mapping[str, Any], name: str, at: int) -> str:
    """What an order's type begins with."""
    found = _TYPE.fullmatch(str(row.get(name)))
    if found is None:
        raise BadReply(f"row {at}: {name!r} is {row.get(name)!r:.60}, not the type of an order")
    return found[1]


def role_of(row: Mapping[str, Any], name: str, at: int) -> str:
    role = row.get(name)
    if role not in ROLES:
        raise BadReply(f"row {at}: {name!r} is {role!r:.60}, neither maker nor taker")
    return str(role)


def paid(row: Row, names: tuple[str, str, str, str], at: int) -> tuple[float, str | None, int]:
    """What a fill cost and in which currency, and how many of the values a DOUBLE does not carry.

    ``names`` are those of the fee, its currency, and of what was paid instead (points, or the venue's token) and its
    currency. A fee that was paid otherwise is told as 0 (sample spot-private-matchresults).
    """
    fee, fitting = wire.number(row, names[0], at)
    currency = row.get(names[1]) or None
    instead, exact = (0.0, True) if row.get(names[2]) in (None, "") else wire.number(row, names[2], at)
    if not fee and instead:
        token = row.get(names[3]) or None
        return instead, "point" if token in _POINTS else token, not exact
    return fee, currency, not fitting
