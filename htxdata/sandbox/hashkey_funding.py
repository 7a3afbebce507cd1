"""HashKey's fundings on the wire: those settled, newest first, and the one to come (hashkey-api 4.5, 4.6)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from .answers import Answer, Ask, Exchange, reply
from .bars import Columns
from .breakage import take
from .funding import padded
from .hashkey_answers import listed, text_error
from .instruments import HASHKEY, INSTRUMENTS, Instrument
from .market import Market
from .noise import key_of, smooth
from .periods import DAY, HOUR, MINUTE

BOUNDS = ("end", "end inclusive", "from", "none")
"""What leads back in the history: an exclusive or inclusive `endId`, `fromId`, or neither: which is [unknown]."""

_SWAY = 2e14  # of 10**-18: how far off a rate may be eight hours before
_PERPETUALS = [symbol for symbol, one in INSTRUMENTS[HASHKEY].items() if one.derivative]


def _id(symbol: str, time: int) -> int:
    """Ids are shared by all contracts: ten for each settlement of the exchange, one of them this contract's."""
    return (time // (8 * HOUR) - 59_000) * 10 + _PERPETUALS.index(symbol)


def coming(market: Market, symbol: str, at: int) -> dict[str, Any]:
    """The next settlement and what it would be at an instant (us UTC): funding_time (us UTC), funding_rate, and its
    text; nothing where there is none."""
    ahead = market.funding_rates(HASHKEY, symbol, at + 1, at + 2 * DAY)
    if not len(ahead["funding_time"]):
        return {}
    time, settled = int(ahead["funding_time"][0]), int(Decimal(ahead["funding_rate_text"][0]) * 10**18)
    minute = np.array([at // MINUTE * 60_000], dtype=np.int64)  # it moves about once a minute [wire]
    wander = float(smooth(key_of("hashkey coming", market.seed, symbol), minute, 20 * MINUTE // 1000)[0])
    rate = settled + round(_SWAY * wander * min(1.0, (time - at // MINUTE * MINUTE) / (8 * HOUR)))
    text = padded(rate).rstrip("0").rstrip(".")
    return {"funding_time": time, "funding_rate": float(text), "text": text}


def current(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/futures/fundingRate: `timestamp` is required, whatever it says [wire]."""
    if not ask.query.get("timestamp", "").lstrip("-").isdigit():
        raise text_error("0001", "Required field timestamp missing or invalid")
    symbol = ask.query.get("symbol")
    chosen = [one for one in listed(ask.now, "swap") if symbol in (None, "", one.symbol)]
    if symbol and not chosen:
        raise text_error("-1130", "Illegal parameter symbol")
    rows = []
    for one in chosen:
        found = coming(exchange.market, one.symbol, ask.now)
        if found:
            settles = str(found["funding_time"] // 1000)
            rows.append({"symbol": one.symbol, "rate": found["text"], "nextSettleTime": settles})
    return reply(rows)


def _number(ask: Ask, name: str) -> int | None:
    text = ask.query.get(name)
    if text is None or text == "":
        return None
    if not text.isdigit():
        raise text_error("-1130", f"Illegal parameter {name}")
    return int(text)


def history(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/futures/historyFundingRate: newest first, no times. `Exchange.hashkey_bound` says what leads back."""
    one: Instrument | None = INSTRUMENTS[HASHKEY].get(ask.query.get("symbol", ""))
    if one is None or not one.derivative or one.status_at(ask.now) == "pre-online":
        raise text_error("-1130", "Illegal parameter symbol")
    start, end, limit = _number(ask, "fromId"), _number(ask, "endId"), _number(ask, "limit")
    rows = exchange.market.funding_rates(HASHKEY, one.symbol, 0, ask.now + 1)
    ids = np.array([_id(one.symbol, time) for time in rows["funding_time"].tolist()], dtype=np.int64)
    bound, keep = exchange.hashkey_bound, np.ones(len(ids), dtype=bool)
    if bound == "from":
        keep &= True if start is None else ids <= start
        keep &= True if end is None else ids >= end
    elif bound != "none":
        keep &= True if start is None else ids >= start
        if end is not None:
            keep &= ids <= end if bound == "end inclusive" else ids < end
    order = np.flatnonzero(keep)[::-1][: max(1, min(limit or 100, exchange.hashkey_page))]
    served: Columns = take(rows | {"id": ids}, order)
    if ask.bend is not None:
        served = ask.bend(served, ask.now)
    return reply(
        [
            {"id": str(number), "symbol": one.symbol, "settleTime": str(time // 1000), "settleRate": text}
            for number, time, text in zip(
                served["id"].tolist(), served["funding_time"].tolist(), served["funding_rate_text"], strict=True
            )
        ]
    )


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/api/v1/futures/fundingRate": current,
    "/api/v1/futures/historyFundingRate": history,
}
