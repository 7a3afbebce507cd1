"""What HTX's coin-margined swaps answer over REST (htx-api 5). So far: their list, and the baskets of their indices.

Their contracts are sized in US dollars and settled in the coin.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import constituents, symbols
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Parsed, Poll

COIN = "coin_reference"
"""Coin-margined reference data has a limit of its own, 120 requests in three seconds (htx-api 2.2 [A])."""

LISTING = Request("/swap-api/v1/swap_contract_info", (), COIN)
_CONSTITUENTS = "/swap-api/market/swap_constituents"


def _constituents(symbol: str | None) -> Request:
    return Request(_CONSTITUENTS, (("contract_code", symbol or ""),), COIN)


POLLS = (
    Poll(
        "index_constituents",
        _CONSTITUENTS,
        build=_constituents,
        parse=constituents.of_contract,
        docs="htx-api 5 [B]; contract_code is required; legs may be quoted in BTC",
    ),
)


def describe(reply: Reply) -> Parsed:
    """Instruments from swap_contract_info (htx-api 5 [A]). ``contract_size`` is US dollars per contract."""
    out = []
    for at, row in enumerate(wire.slow_rows(wire.open_answer(reply.body).rows)):
        coin, dash, quote = symbols._text(row, "contract_code", at).partition("-")
        if not dash or not quote:
            raise BadReply(f"row {at}: {row['contract_code']!r:.60} names no quote currency")
        if coin.upper() != symbols._text(row, "symbol", at).upper():
            raise BadReply(f"row {at}: {row['contract_code']!r:.60} is not of {row['symbol']!r:.60}")
        out.append(contract(row, at, "swap", quote.upper()))
    return Parsed({name: [row[name] for row in out] for name in symbols._NAMES}, Page(len(out)))


def contract(row: dict[str, Any], at: int, kind: str, quote: str) -> dict[str, Any]:
    """One contract that is settled in its coin, as a row of ``instruments``."""
    state = wire.integer(row, "contract_status", at)
    if state not in symbols._CONTRACT_STATES:
        raise BadReply(f"row {at}: {row['contract_code']!r:.60} is in the unknown contract_status {state}")
    size, _ = wire.number(row, "contract_size", at)
    tick, _ = wire.number(row, "price_tick", at)
    created = row.get("create_date")
    coin = symbols._text(row, "symbol", at).upper()
    return {
        "symbol": row["contract_code"],
        "base": coin,
        "quote": quote,
        "settle": coin,
        "kind": kind,
        "status": symbols._CONTRACT_STATES[state],
        "contract_size": size,
        "tick_size": tick,
        "lot_size": 1.0,
        "listed_at": symbols._day(str(created), at) if created else None,
        "delivery_at": symbols._moment(row, "delivery_time", at),
    }
