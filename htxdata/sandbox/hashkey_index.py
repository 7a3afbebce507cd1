"""HashKey's index and mark prices, and what an index is made of, at any instant, from a seed (hashkey-api 4.4, 5.1).

Five exchanges with equal weights; on one day in three one of them is out for some hours, and the others have its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from . import derived
from .instruments import HASHKEY, INSTRUMENTS, Instrument
from .market import Market
from .noise import key_of, words
from .periods import DAY, HOUR, SECOND

_EXCHANGES = ("KRAKEN", "BINANCE", "BYBIT", "COINBASE", "OKEX")
_OURS = {"OKEX": "okx"}


@dataclass(frozen=True)
class Basket:
    """An index and what it is made of. `time` is us UTC, a whole second; legs are exchange, price, weight."""

    name: str
    time: int
    price: Decimal
    average: Decimal
    legs: tuple[tuple[str, Decimal, Decimal], ...]

    @property
    def formula(self) -> str:
        """The text in which the socket tells it [wire]."""
        return "(" + "+".join(f"{price}[{name}]*{weight}" for name, price, weight in self.legs) + ")"


def contract_of(index: str) -> Instrument | None:
    """The perpetual whose index has that name."""
    found = INSTRUMENTS[HASHKEY].get(f"{index}-PERPETUAL")
    return found if isinstance(found, Instrument) else None


def indexed(now: int) -> list[Instrument]:
    """The perpetuals that have an index: it outlives its contract (BTCUSD was told 19 days after that was delisted
    [wire])."""
    every = INSTRUMENTS[HASHKEY].values()
    return [one for one in every if one.derivative and one.status_at(now) != "pre-online"]


def _value(seed: int, kind: str, one: Instrument, times: list[int]) -> list[Decimal]:
    units = derived.Derived(seed, kind).values(one, np.array([time // 1000 for time in times], dtype=np.int64))
    scale = Decimal(1).scaleb(-derived.decimals(kind, one))
    return [unit * scale for unit in units.tolist()]


def mark(seed: int, one: Instrument, at: int) -> tuple[Decimal, int]:
    """The mark price of a whole second (us UTC), and that second.

    It is the median of three prices [doc]. Where that is the last trade's, it has as many decimals as trades have, and
    where it was computed 18 [inferred: 1 or 18 were seen].
    """
    time = at // SECOND * SECOND
    level = _value(seed, derived.MARK, one, [time])[0]
    (die,) = words(key_of("hashkey mark", seed, one.symbol), np.array([time], dtype=np.int64)).tolist()
    if die % 3:
        return level.quantize(Decimal(1).scaleb(-one.price_decimals)), time
    return (level + Decimal(die % 10**9).scaleb(-18)).quantize(Decimal("1e-18")), time


def _members(seed: int, name: str, time: int) -> list[str]:
    key = key_of("hashkey basket", seed, name)
    (fate,) = words(key, np.array([time // DAY], dtype=np.int64)).tolist()
    out = fate % 3 == 0 and (fate >> 8) % 20 <= time % DAY // HOUR < (fate >> 8) % 20 + 3
    return [one for place, one in enumerate(_EXCHANGES) if not (out and place == (fate >> 16) % len(_EXCHANGES))]


def basket(seed: int, one: Instrument, at: int) -> Basket:
    """The basket of a perpetual's index at an instant (us UTC)."""
    time, name = at // SECOND * SECOND, one.symbol.partition("-")[0]
    level = _value(seed, derived.INDEX, one, [time])[0]
    past = _value(seed, derived.INDEX, one, [time - 600 * SECOND + n * 15 * SECOND for n in range(40)])
    members = _members(seed, name, time)
    weight, legs = Decimal(1) / len(members), []
    for exchange in members:
        (die,) = words(key_of("hashkey leg", seed, name, exchange), np.array([time], dtype=np.int64)).tolist()
        off = (Decimal(die % 2001) - 1000) / 1_000_000
        legs.append((exchange, (level * (1 + off)).quantize(level), weight.normalize()))
    price = sum((price for _, price, _ in legs), Decimal(0)) / len(legs)
    average = sum(past, Decimal(0)) / len(past)
    return Basket(name, time, price.quantize(level), average.quantize(Decimal("1e-8")), tuple(legs))


def mark_truth(market: Market, symbol: str, at: int) -> dict[str, Any]:
    """What a lake must hold of a look at an instant (us UTC): as mark_prices."""
    price, time = mark(market.seed, INSTRUMENTS[HASHKEY][symbol], at)
    return {"price_time": time, "price": float(price)}


def index_truth(market: Market, symbol: str, at: int) -> dict[str, Any]:
    """The same as index_prices."""
    found = basket(market.seed, INSTRUMENTS[HASHKEY][symbol], at)
    return {"observed_at": found.time, "price": float(found.price), "average_price": float(found.average)}


def truth(market: Market, symbol: str, at: int) -> dict[str, list[Any]]:
    """What a lake must hold of it: columns named as index_constituents', in the order of exchanges."""
    found = basket(market.seed, INSTRUMENTS[HASHKEY][symbol], at)
    legs = sorted((_OURS.get(name, name.lower()), price, weight) for name, price, weight in found.legs)
    return {
        "index_time": [found.time] * len(legs),
        "index_price": [float(found.price)] * len(legs),
        "exchange": [name for name, _, _ in legs],
        "constituent": [found.name] * len(legs),
        "price": [float(price) for _, price, _ in legs],
        "weight": [float(weight) for _, _, weight in legs],
    }


def changes(market: Market, symbol: str, start: int, end: int) -> list[int]:
    """The instants of [start, end) (whole hours) from which on other exchanges count."""
    name = symbol.partition("-")[0]
    hours = range(-(-start // HOUR) * HOUR, end, HOUR)
    return [at for at in hours if _members(market.seed, name, at) != _members(market.seed, name, at - 1)]
