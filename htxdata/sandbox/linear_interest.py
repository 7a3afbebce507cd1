"""Open interest of linear contracts on the wire, v5 and before (htx-api 4.1, 4.8).

v5 writes strings; the older endpoints write numbers with zeros to the 16th, 18th or 35th decimal (samples
linear-open-interest-2021, linear-his-open-interest-2021).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .answers import Answer, Ask, Exchange, Refusal, five, page, reply, underscores
from .bars import Columns
from .breakage import take
from .candles import number
from .instruments import INSTRUMENTS, LINEAR, Instrument, contract, contract_type
from .positions import INTEREST_PERIODS
from .product_lines import business_asked
from .spelling import padded, plain
from .trades import session_before


def current_v5(exchange: Exchange, ask: Ask) -> Answer:
    """/v5/market/open_interest: one contract, now."""
    if not exchange.v5:
        raise Refusal(page("404 Not Found", 404))
    code = ask.query.get("contract_code", "")
    if not code:
        raise five(ask, 1066, "contract_code cannot be empty.")
    one = contract(code, ask.now)
    if one is None or one.status_at(ask.now) != "online":
        raise five(ask, 1014, "The contract does not exist.")
    row = _now(exchange, ask, one)
    said = {name: plain(float(column[0])) for name, column in row.items()}
    data = {
        "amount": said["volume"],
        "volume": said["contracts"],
        "value": said["value"],
        "contract_code": one.symbol,
        "trade_amount": said["traded_volume"],
        "trade_volume": said["traded_contracts"],
        "trade_turnover": said["traded_value"],
    }
    return reply({"code": 200, "message": "Success", "data": data, "ts": ask.ms})


def _now(exchange: Exchange, ask: Ask, one: Instrument) -> Columns:
    return exchange.market.open_interest_now(one.venue, one.symbol, ask.now)


def _kind(one: Instrument, now: int) -> dict[str, Any]:
    return {
        "business_type": "swap" if one.delivery_at is None else "futures",
        "pair": f"{one.base}-{one.quote}",
        "contract_type": contract_type(one, now),
        "trade_partition": one.quote,
    }


def current_v1(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_open_interest: all that trade, or those asked for; business_type is swap unless said."""
    query = ask.query
    code = query.get("contract_code")
    if code and contract(code, ask.now) is None:
        raise underscores(ask, 1014, "The contract does not exist.")
    business = business_asked(ask, "all" if code else "swap")
    data = []
    for one in INSTRUMENTS[LINEAR].values():
        kind = _kind(one, ask.now)
        if one.status_at(ask.now) != "online" or (code and contract(code, ask.now) is not one):
            continue
        if business not in ("all", kind["business_type"]):
            continue
        if query.get("pair", "").upper() not in ("", kind["pair"]):
            continue
        if query.get("contract_type", "").lower() not in ("", kind["contract_type"]):
            continue
        row = {name: column[0] for name, column in _now(exchange, ask, one).items()}
        data.append(
            {
                "volume": padded(int(row["contracts"]), 18),
                "amount": padded(float(row["volume"]), 18),
                "symbol": one.base,
                "value": padded(float(row["value"]), 18),
                "contract_code": one.symbol,
                "trade_amount": float(row["traded_volume"]),
                "trade_volume": int(row["traded_contracts"]),
                "trade_turnover": float(row["traded_value"]),
                **kind,
            }
        )
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def history(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_his_open_interest: the newest `size` (48, at most 200) points, newest first.

    contract_code, or pair and contract_type; amount_type 1 says contracts, 2 coins. There is no cursor.
    """
    one = _one_of(ask)
    tick = points(exchange, ask, one)
    data = {"symbol": one.base, "tick": tick, "contract_code": one.symbol, **_kind(one, ask.now)}
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def points(exchange: Exchange, ask: Ask, one: Instrument) -> list[dict[str, Any]]:
    """The `tick` of an answer: what was open at the newest instants."""
    query = ask.query
    period = query.get("period", "")
    if period not in INTEREST_PERIODS:
        raise underscores(ask, 1067 if period else 1066, "The period field is invalid.")
    if query.get("amount_type") not in ("1", "2"):
        raise underscores(
            ask, 1067 if query.get("amount_type") else 1066, "The amount_type field is invalid."
        )
    try:
        size = number(query.get("size"))
    except ValueError:
        size = 0
    size = 48 if size is None else size
    if not 1 <= size <= 200:
        raise underscores(ask, 1067, "The size field is invalid.")
    rows = _newest_points(exchange, ask, one, period, size)
    rows = rows if ask.bend is None else ask.bend(rows, ask.now)
    kind = int(query["amount_type"])
    amounts = rows["contracts" if kind == 1 else "volume"].tolist()
    times = (rows["time"] // 1000).tolist()
    tick = [
        {"volume": padded(amount, 16), "amount_type": kind, "ts": time}
        for amount, time in zip(amounts, times, strict=True)
    ]
    # Coin-margined ones have no value (samples coinswap-his-open-interest, coinfut-his-open-interest).
    for row, value in zip(tick, () if rows["value"] is None else rows["value"].tolist(), strict=False):
        row["value"] = padded(value, 35)
    return tick


def _one_of(ask: Ask) -> Instrument:
    """The contract of contract_code, or of pair and contract_type."""
    code, pair, kind = (ask.query.get(name, "") for name in ("contract_code", "pair", "contract_type"))
    if not code and not (pair and kind):
        raise underscores(ask, 1066, "contract_code cannot be empty.")
    found = contract(code, ask.now) if code else None
    for one in () if code else INSTRUMENTS[LINEAR].values():
        if one.status_at(ask.now) != "online" or f"{one.base}-{one.quote}" != pair.upper():
            continue
        if contract_type(one, ask.now) == kind.lower():
            found = one
    if found is None:
        raise underscores(ask, 1014, "The contract does not exist.")
    return found


def _newest_points(exchange: Exchange, ask: Ask, one: Instrument, period: str, size: int) -> Columns:
    """Newest first. Contracts with holes in their lives are searched in growing stretches."""
    end, width = session_before(one, ask.now) + 1, size * INTEREST_PERIODS[period]
    while True:
        start = max(one.listed_at, end - width)
        rows = exchange.market.open_interest(one.venue, one.symbol, period, start, end)
        count = len(rows["time"])
        if count >= size or start == one.listed_at:
            order = np.arange(count, dtype=np.int64)[::-1]
            return take(rows, order[:size])
        width *= 4
