"""How HashKey lists its instruments (hashkey-api 3, 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues import figures
from htxdata.venues.hashkey.rows import rows_of
from htxdata.venues.terms import Parsed

PERPETUAL = "-PERPETUAL"

_STATES: Mapping[str, str] = {
    # hashkey-api 4.1: TRADING [wire], the others [doc]
    "TRADING": "trading",
    "IN_PREVIEW": "pending",
    "HALT": "suspended",
    "RESUMING": "suspended",
}
_NAMES = ("symbol", "base", "quote", "settle", "kind", "status", "contract_size", "tick_size", "lot_size", "listed_at",
          "delivery_at")  # fmt: skip
_OF_PERPETUALS = frozenset(
    {"funding_rates", "indicative_funding_rates", "index_constituents", "mark_prices", "index_prices"}
)


def is_perpetual(symbol: str) -> bool:
    """``BTCUSDT`` is spot, ``BTCUSDT-PERPETUAL`` the perpetual of that pair (hashkey-api 3 [wire])."""
    return symbol.endswith(PERPETUAL)


def has(dataset: str, symbol: str) -> bool:
    """Whether an instrument has such data: spot pays no funding, and has neither mark price nor index."""
    return is_perpetual(symbol) or dataset not in _OF_PERPETUALS


def index_of(symbol: str) -> str:
    """The index of a perpetual: the pair's name (hashkey-api 3 [wire]: underlying + index of exchangeInfo)."""
    return symbol.removesuffix(PERPETUAL)


def perpetual_of(index: str) -> str:
    """The perpetual whose index has that name, under which it is kept."""
    return index + PERPETUAL


def describe(reply: Reply) -> Parsed:
    """Instruments from exchangeInfo: ``symbols`` are spot pairs, ``contracts`` perpetuals.

    When an instrument was listed is not said, and one that was delisted is no longer there. ``LOT_SIZE`` of a contract
    is in base units (hashkey-api 3 [code]), and stored as contracts; a contract that is not linear has no size here, as
    nothing is known of what its numbers count.
    """
    said = figures.envelope(reply.body)
    out = []
    for member, read in (("symbols", _spot), ("contracts", _contract)):
        if member not in said:
            raise BadReply(f"the answer has no {member!r}")
        out += [read(row, at) for at, row in enumerate(rows_of(said[member]))]
    if not out and not said.get("symbols", b"").strip() == b"[]":
        raise BadReply("the answer lists nothing")
    return Parsed({name: [row[name] for row in out] for name in _NAMES}, Page(len(out)))


def _spot(row: dict[str, Any], at: int) -> dict[str, Any]:
    tick, lot = _step(row, "PRICE_FILTER", "tickSize", at), _step(row, "LOT_SIZE", "stepSize", at)
    return {
        **_state(row, at), "base": _text(row, "baseAsset", at), "quote": _text(row, "quoteAsset", at), "settle": None,
        "kind": "spot", "contract_size": None, "tick_size": float(tick), "lot_size": float(lot),
    }  # fmt: skip


def _contract(row: dict[str, Any], at: int) -> dict[str, Any]:
    size, _ = figures.number(row, "contractMultiplier", at)
    tick, lot = _step(row, "PRICE_FILTER", "tickSize", at), _step(row, "LOT_SIZE", "stepSize", at)
    if size <= 0:
        raise BadReply(f"row {at}: 'contractMultiplier' is {size}: no size of a contract")
    inverse = row.get("inverse")
    if not isinstance(inverse, bool):
        raise BadReply(f"row {at}: 'inverse' is {inverse!r:.60}, neither true nor false")
    return {
        # baseAsset repeats the contract's symbol (hashkey-api 4.1 [wire])
        **_state(row, at), "base": _text(row, "underlying", at), "quote": _text(row, "quoteAsset", at),
        "settle": _text(row, "marginToken", at), "kind": "swap", "contract_size": None if inverse else size,
        "tick_size": float(tick), "lot_size": float(lot / Decimal(str(row["contractMultiplier"]))),
    }  # fmt: skip


def _state(row: dict[str, Any], at: int) -> dict[str, Any]:
    symbol, state = _text(row, "symbol", at), _text(row, "status", at)
    if state not in _STATES:
        raise BadReply(f"row {at}: {symbol!r} is in the unknown state {state!r}")
    return {"symbol": symbol, "status": _STATES[state], "listed_at": None, "delivery_at": None}


def _step(row: dict[str, Any], kind: str, name: str, at: int) -> Decimal:
    filters = row.get("filters")
    if not isinstance(filters, list) or not all(isinstance(entry, dict) for entry in filters):
        raise BadReply(f"row {at}: 'filters' is {filters!r:.60}, not a list of objects")
    found = next((entry for entry in filters if entry.get("filterType") == kind), None)
    if found is None:
        raise BadReply(f"row {at}: no filter {kind}")
    value, _ = figures.number(found, name, at)
    if value <= 0:
        raise BadReply(f"row {at}: {name!r} is {value}: no step")
    return Decimal(str(found[name]))


def _text(row: dict[str, Any], name: str, at: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, not a text")
    return value
