"""How HTX's topics are spelled: from symbol and period to a topic, and back (htx-api 7.3 to 7.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from htxdata.market import PERIODS
from htxdata.venues.htx.constituents import coin_of

Topic = Callable[[str, str | None], str]
SymbolOf = Callable[[str], tuple[str, str | None] | None]

AS_OURS: Mapping[str, str] = {period: period for period in PERIODS}
"""HTX spells periods as we do, on the socket as over REST."""


class Shape(NamedTuple):
    """A kind of topic: ``topic`` names that of a symbol (and period), ``symbol_of`` is its inverse."""

    topic: Topic
    symbol_of: SymbolOf


PAIR = r"[^\W_A-Z]+"
"""``btcusdt``, and ``币安人生usdt``: some names are not ASCII (htx-api 1.2 [B])."""
CODE = r"[^\W_a-z]+"
"""A part of a contract's code: letters and digits of any alphabet, none in lower case."""
_LINEAR = rf"{CODE}-{CODE}(?:-{CODE})?"
"""``BTC-USDT``, ``1000PEPE-USDT``, ``币安人生-USDT``, and dated ``BTC-USDT-251226`` (htx-api 1.2, 4.2)."""
_DATED = rf"{CODE}[0-9]{{6}}"
"""``BTC260327``: coin-margined futures (htx-api 1.2), which pushes name as well (sample coinfut-ws-depth-high-freq)."""


def _shape(before: str, symbol: str, after: str, period: bool) -> Shape:
    """Topics that read ``<before><symbol><after>[<period>]``; any other text is no topic of this kind."""
    spelled = "|".join(AS_OURS) if period else ""
    pattern = re.compile(f"{re.escape(before)}({symbol}){re.escape(after)}({spelled})")

    def topic(symbol: str, period: str | None) -> str:
        return f"{before}{symbol}{after}{'' if period is None else AS_OURS[period]}"

    @lru_cache(maxsize=4096)
    def symbol_of(topic: str) -> tuple[str, str | None] | None:
        match = pattern.fullmatch(topic)
        return None if match is None else (match[1], match[2] or None)

    return Shape(topic, symbol_of)


def spot(what: str, period: bool = False) -> Shape:
    """``market.btcusdt.<what>``: symbols in lower case."""
    return _shape("market.", PAIR, f".{what}" + ("." if period else ""), period)


def linear(what: str, period: bool = False) -> Shape:
    """``market.BTC-USDT.<what>``, and of swaps ``market.BTC-USD.<what>``: codes in upper case."""
    return _shape("market.", _LINEAR, f".{what}" + ("." if period else ""), period)


def dated(what: str, period: bool = False) -> Shape:
    """``market.BTC260327.<what>``: codes in upper case."""
    return _shape("market.", _DATED, f".{what}" + ("." if period else ""), period)


def by_coin(what: str) -> Shape:
    """``public.BTC.<what>`` is a topic of all futures of a coin (htx-api 7.6): no symbol can be told by it, and
    ``symbol_of`` knows only what it would be called if it were of one contract."""

    def topic(symbol: str, period: str | None) -> str:
        return f"public.{coin_of(symbol)}.{what}"

    return Shape(topic, _shape("public.", _DATED, f".{what}", False).symbol_of)


def public(what: str) -> Shape:
    """``public.BTC-USDT.<what>``, on the notification socket."""
    return _shape("public.", _LINEAR, f".{what}", False)
