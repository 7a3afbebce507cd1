"""The venue, and how it lists its contracts (permanent-v1 4.8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import HOUR
from htxdata.venues import figures, frames
from htxdata.venues.permanent import feeds, feeds_own, own, rest
from htxdata.venues.permanent.answers import Row, judge, rows_of, text
from htxdata.venues.terms import Parsed, Venue

_STATES: Mapping[str, str] = {
    "pre-listing": "pending",
    "normal": "trading",
    "interday-suspended": "suspended",
    "intraday-suspended": "suspended",  # as the summary spells it; which of the two is meant here is not sure
    "delisted": "delisted",
}
_NAMES = ("symbol", "base", "quote", "settle", "kind", "status", "contract_size", "tick_size", "lot_size", "listed_at",
          "delivery_at")  # fmt: skip


def describe(reply: Reply) -> Parsed:
    """Instruments, and beside them the other names under which their prices are asked for.

    ``contract_size`` is given where a contract is a number of base units: where it is margined in its quote currency.
    What a coin-margined or a quanto contract is worth is not said, and its size is left out.
    """
    out, index, mark = [], [], []
    for at, row in enumerate(rows_of(reply)):
        out.append(_described(row, at))
        index.append(text(row, "indexId", at))
        mark.append(text(row, "markPriceId", at))
    columns: dict[str, list[Any]] = {name: [row[name] for row in out] for name in _NAMES}
    return Parsed(columns, Page(len(out)), names={rest.INDEX: index, rest.MARK: mark})


def _described(row: Row, at: int) -> Row:
    symbol, state, kind = (text(row, name, at) for name in ("symbol", "instStatus", "contractType"))
    if state not in _STATES:
        raise BadReply(f"row {at}: {symbol!r} is in the unknown instStatus {state!r}")
    if kind != "swap":
        raise BadReply(f"row {at}: {symbol!r} is of the unknown contractType {kind!r}")
    base, quote, margin = (text(row, f"{name}Currency", at).upper() for name in ("base", "quote", "margin"))
    size, _ = frames.price(row, "contractSize", at)
    tick, _ = frames.price(row, "tickSize", at)
    lots, _ = frames.price(row, "minOrderSize", at)
    listed = row.get("listingDate")
    return {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "settle": margin,
        "kind": kind,
        "status": _STATES[state],
        "contract_size": size if margin == quote else None,
        "tick_size": tick,
        "lot_size": lots,
        "listed_at": None if listed in (None, "", 0, "0") else figures.instant(row, "listingDate", at),
        "delivery_at": None,
    }


VENUE = Venue(
    name="htx-permanent",
    host="permanent_rest",
    judge=judge,
    limit_headers=None,
    endpoints=(*rest.ENDPOINTS, *own.OWN),
    listings=(Request("/reference/instruments"),),
    describe=describe,
    day_opens=-8 * HOUR,  # permanent-v1 4.1: bars of a day and longer follow the calendar of Singapore
    fold=str.lower,  # 4.8, 6.2: symbols are lower-case letters and dots
    polls=rest.POLLS,
    feeds=(*feeds.FEEDS, *feeds_own.OWN_FEEDS),
    keys="permanent",
    sign=own.sign,
    accounts=own.ACCOUNTS,
    proof=own.PROOF,
)
