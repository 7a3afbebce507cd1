"""What an index looks at: exchanges, their prices and weights, at any instant, from a seed.

A basket has five exchanges. Every three days its weights are handed out anew (every other time evenly), and on one day
in four one exchange is left out for an hour and the others have its weight. Both happen on the hour. The index is
computed once a second: the weighted mean of the prices of that second (so it is in sample linear-index-constituents).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from . import derived
from .instruments import INSTRUMENTS, INVERSE, LINEAR, Instrument, instant
from .market import Market
from .noise import key_of, words
from .periods import DAY, HOUR, SECOND

_NAMES = {
    # What an exchange is called, and how HTX spelled it before and after its notice of 2026-02-13.
    "htx": ("huobi", "htx"),
    "okx": ("okex", "okx"),
    "binance": ("binance", "binance"),
    "hitbtc": ("HitBTC", "hitbtc"),
    "bybit": ("bybit", "bybit"),
    "gate": ("gate.io", "gate"),
    "kucoin": ("KuCoin", "kucoin"),
    "coinbase": ("Coinbase Pro", "coinbase"),
}
_RENAMED = instant("2026-02-13T08:00")
_MEMBERS, _EPOCH = 5, 3 * DAY


@dataclass(frozen=True)
class Leg:
    """One exchange in a basket. `percent` is of the whole index, four decimals."""

    exchange: str
    pair: str
    price: Decimal
    percent: Decimal

    def spelled(self, time: int) -> str:
        """The exchange as HTX wrote it at an instant (us UTC)."""
        return _NAMES[self.exchange][time >= _RENAMED]


@dataclass(frozen=True)
class Basket:
    """An index and what it is made of. `time` is us UTC, a whole second."""

    time: int
    price: Decimal
    legs: tuple[Leg, ...]


def basket(seed: int, one: Instrument, at: int, quote: str = "USDT") -> Basket:
    """The basket of the index of a contract's coin against `quote` at an instant (us UTC); a dated future has that of
    its pair, and dollars are those of the coin-margined swap."""
    if quote == "USD":
        one = INSTRUMENTS[INVERSE].get(f"{one.base}-USD", one)
    time = at // SECOND * SECOND
    index = f"{one.base}-{quote}"
    legs = _priced(seed, one, index, _weights(seed, index, time), time)
    weight = sum((leg.percent for leg in legs), Decimal(0))
    price = sum((leg.percent * leg.price for leg in legs), Decimal(0)) / weight
    return Basket(time, price.quantize(Decimal("1e-12")), legs)


def truth(market: Market, symbol: str, at: int, quote: str = "USDT") -> dict[str, list[Any]]:
    """What a lake must hold of it: columns named as index_constituents', in the order of exchanges.

    `symbol` is a linear contract's; with quote `USD` it is the index of that coin's coin-margined contracts.
    """
    found = basket(market.seed, INSTRUMENTS[LINEAR][symbol], at, quote)
    legs = sorted(found.legs, key=lambda leg: leg.exchange)
    return {
        "index_time": [found.time] * len(legs),
        "index_price": [float(found.price)] * len(legs),
        "exchange": [leg.exchange for leg in legs],
        "constituent": [leg.pair for leg in legs],
        "price": [float(leg.price) for leg in legs],
        "weight": [float(leg.percent / 100) for leg in legs],
    }


def changes(market: Market, symbol: str, start: int, end: int, quote: str = "USDT") -> list[int]:
    """The instants of [start, end) from which on other exchanges or weights count than the hour before."""
    index = f"{INSTRUMENTS[LINEAR][symbol].base}-{quote}"
    hours = range(-(-start // HOUR) * HOUR, end, HOUR)
    return [at for at in hours if _weights(market.seed, index, at) != _weights(market.seed, index, at - 1)]


def _weights(seed: int, index: str, time: int) -> dict[str, Decimal]:
    """Exchanges and their percent, rounded to four decimals as HTX does: they need not add up to a hundred."""
    key = key_of("basket", seed, index)
    dice = words(key, np.arange(len(_NAMES), dtype=np.int64)).tolist()
    members = [name for _, name in sorted(zip(dice, _NAMES, strict=True))][:_MEMBERS]
    epoch = (time + key % 72 * HOUR) // _EPOCH
    draw = words(key + 1, np.arange(epoch * 8, epoch * 8 + _MEMBERS, dtype=np.int64)).tolist()
    shares = {name: 2 if epoch % 2 else 1 + die % 4 for name, die in zip(members, draw, strict=True)}
    (fate,) = words(key + 2, np.array([time // DAY], dtype=np.int64)).tolist()
    if fate % 4 == 0 and time % DAY // HOUR == (fate >> 8) % 24:
        del shares[members[(fate >> 16) % _MEMBERS]]
    whole = sum(shares.values())
    return {name: (Decimal(100 * n) / whole).quantize(Decimal("0.0001")) for name, n in shares.items()}


def _priced(
    seed: int, one: Instrument, index: str, weights: dict[str, Decimal], time: int
) -> tuple[Leg, ...]:
    """Each exchange trades within a fiftieth of a percent of the index that the candles are of."""
    level = int(derived.Derived(seed, derived.INDEX).values(one, np.array([time // 1000], dtype=np.int64))[0])
    scale = Decimal(1).scaleb(-derived.decimals(derived.INDEX, one))
    span, legs = level // 5000, []
    for place, (name, percent) in enumerate(weights.items()):
        (die,) = words(key_of("leg", seed, index, name), np.array([time], dtype=np.int64)).tolist()
        # The last leg of a coin-margined index may be quoted in bitcoin (htx-api 5).
        crossed = index.endswith("-USD") and one.base != "BTC" and place == 0
        pair = f"{one.base}-BTC" if crossed else index
        legs.append(Leg(name, pair, (level - span + die % (2 * span + 1)) * scale, percent))
    return tuple(legs)
