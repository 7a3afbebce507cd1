"""The baskets of coin-margined contracts on the wire: swaps by contract (htx-api 5), dated futures by coin (6).

There is no sample of either. They are spelled as those of linear contracts are, dated futures naming their coin.
"""

from __future__ import annotations

from collections.abc import Callable

from .answers import Answer, Ask, Exchange, underscores
from .baskets import basket
from .instruments import INSTRUMENTS, LINEAR
from .linear_constituents import spelled

_COINS = ("BTC", "ETH")  # those of the lists of contracts


def _of_coin(exchange: Exchange, ask: Ask, coin: str, name: dict[str, str]) -> Answer:
    if coin not in _COINS:
        raise underscores(ask, 1014, "The contract does not exist.")
    one = INSTRUMENTS[LINEAR][f"{coin}-USDT"]
    return spelled(ask, name, basket(exchange.market.seed, one, ask.now, "USD"))


def swap_constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/swap-api/market/swap_constituents: contract_code is required."""
    code = ask.query.get("contract_code", "").upper()
    if not code:
        raise underscores(ask, 1066, "contract_code cannot be empty.")
    coin, _, quote = code.partition("-")
    return _of_coin(exchange, ask, coin if quote == "USD" else "", {"contract_code": code})


def future_constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/api/market/contract_constituents: symbol, which is the coin, is required."""
    coin = ask.query.get("symbol", "").upper()
    if not coin:
        raise underscores(ask, 1066, "symbol cannot be empty.")
    return _of_coin(exchange, ask, coin, {"symbol": coin})


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/swap-api/market/swap_constituents": swap_constituents,
    "/api/market/contract_constituents": future_constituents,
}
