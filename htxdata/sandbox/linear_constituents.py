"""The baskets of indices on the wire, of linear contracts (htx-api 4.8, sample linear-index-constituents)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .answers import Answer, Ask, Exchange, reply, underscores
from .baskets import Basket, basket
from .instruments import contract


def constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/market/swap_contract_constituents: of a perpetual and of its dated futures the same."""
    code = ask.query.get("contract_code", "")
    if not code:
        raise underscores(ask, 1066, "contract_code cannot be empty.")
    one = contract(code, ask.now)
    if one is None or one.status_at(ask.now) != "online":
        raise underscores(ask, 1014, "The contract does not exist.")
    return spelled(ask, {"contract_code": one.symbol}, basket(exchange.market.seed, one, ask.now))


def spelled(ask: Ask, name: dict[str, str], found: Basket) -> Answer:
    """A basket as HTX writes it: all texts, percent with four decimals, the index with eighteen."""
    components: list[dict[str, Any]] = [
        {
            "exchange": leg.spelled(found.time),
            "symbol": leg.pair,
            "symbol_price": _own(leg.exchange, leg.price),
            "weights": f"{leg.percent:.4f}",
        }
        for leg in found.legs
    ]
    data = {"components": components, **name, "index_price": f"{found.price:.18f}", "ts": found.time // 1000}
    return reply({"data": data, "status": "ok", "ts": ask.ms})


def _own(exchange: str, price: Decimal) -> str:
    """A price as its exchange prints it: some with eight decimals, the others without zeros at the end."""
    if exchange == "binance":
        return f"{price:.8f}" if price == price.quantize(Decimal("1e-8")) else f"{price:f}"
    text = f"{price:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/linear-swap-api/market/swap_contract_constituents": constituents,
}
