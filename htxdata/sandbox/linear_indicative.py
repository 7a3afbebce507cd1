"""The coming fundings of linear swaps on the wire, v5 and v1 (htx-api 4.1, 4.7): a rate that moves until it is settled.

It wanders around the rate that will be settled, ever closer the nearer the settlement is.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from .answers import Answer, Ask, Exchange, Refusal, page, reply
from .funding import padded
from .instruments import INSTRUMENTS, LINEAR, Instrument
from .linear_funding import fee_asset, perpetual
from .market import Market
from .noise import key_of, smooth
from .periods import DAY, HOUR, MINUTE
from .product_lines import USDT, Line
from .replay import Replay

_CAP = 3_750_000_000_000_000  # of 10**-18, as settlements are capped
_SWAY = 2e14  # 0.0002: how far off it may be eight hours before


def truth(market: Market, symbol: str, at: int, venue: str = LINEAR) -> dict[str, Any]:
    """What a lake must hold of it at an instant (us UTC): funding_time (us UTC) and funding_rate."""
    times, text = _coming(market, market.seed, INSTRUMENTS[venue][symbol], at)
    return {"funding_time": times[0], "funding_rate": float(text)}


def _coming(source: Market | Replay, seed: int, one: Instrument, at: int) -> tuple[list[int], str]:
    """The next two settlements after an instant, and the rate of the first as it looks then; none is an empty list."""
    ahead = source.funding_rates(one.venue, one.symbol, at + 1, at + 3 * DAY)
    times: list[int] = ahead["funding_time"][:2].tolist()
    if not times:
        return [], ""
    settled = int(Decimal(ahead["funding_rate_text"][0]) * 10**18)
    wander = float(
        smooth(
            key_of("indicative", seed, one.symbol),
            np.array([at // 1000], dtype=np.int64),
            20 * MINUTE // 1000,
        )[0]
    )
    off = round(_SWAY * wander * min(1.0, (times[0] - at) / (8 * HOUR)))
    return times, padded(min(max(settled + off, -_CAP), _CAP))


def _row(exchange: Exchange, ask: Ask, one: Instrument) -> dict[str, Any] | None:
    source = exchange.source(one.venue, one.symbol, "funding_rates")
    times, text = _coming(source, exchange.market.seed, one, ask.now)
    if not times:
        return None
    return {
        "estimated_rate": None,
        "funding_rate": text,
        "contract_code": one.symbol,
        "symbol": one.base,
        "fee_asset": fee_asset(one),
        "funding_time": str(times[0] // 1000),
        "next_funding_time": str(times[1] // 1000) if len(times) > 1 else None,
    }


def current_v5(exchange: Exchange, ask: Ask) -> Answer:
    """/v5/market/funding_rate: the coming settlement and the time of the one after it."""
    if not exchange.v5:
        raise Refusal(page("404 Not Found", 404))
    row = _row(exchange, ask, perpetual(USDT, ask, True))
    caps = {"min_funding_rate": "-0.003750000000000000", "max_funding_rate": "0.003750000000000000"}
    names = ("contract_code", "funding_rate", "funding_time", "next_funding_time")
    data = [] if row is None else [{name: row[name] for name in names} | caps]
    return reply({"code": 200, "message": "Success", "data": data, "ts": ask.ms})


def current_v1(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_funding_rate: estimated_rate and next_funding_time are null nowadays."""
    row = _row(exchange, ask, perpetual(line, ask))
    data = None if row is None else row | {"next_funding_time": None}
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def batch_v1(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_batch_funding_rate: all perpetuals, or the one asked for."""
    if ask.query.get("contract_code"):
        chosen = [perpetual(line, ask)]
    else:
        swaps = [one for one in INSTRUMENTS[line.venue].values() if one.delivery_at is None]
        chosen = [one for one in swaps if one.status_at(ask.now) in ("online", "suspend")]
    rows = [_row(exchange, ask, one) for one in chosen]
    more = {"next_funding_time": None} | ({"trade_partition": "USDT"} if line.venue == LINEAR else {})
    return reply({"status": "ok", "data": [row | more for row in rows if row], "ts": ask.ms})


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/v5/market/funding_rate": current_v5,
    "/linear-swap-api/v1/swap_funding_rate": partial(current_v1, USDT),
    "/linear-swap-api/v1/swap_batch_funding_rate": partial(batch_v1, USDT),
}
