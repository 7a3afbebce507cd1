"""The endpoints of linear contracts on api.hbdm.com: candles, contracts; and the clock and health of the whole host.

Reference htx-api 1.6, 4.2 to 4.3; the rest of section 4 is in `linear_funding`, `linear_interest`, `linear_prices`,
`linear_liquidations` and `trade_pages`. Contract codes are not case sensitive here (1.2).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from . import (
    linear_constituents,
    linear_funding,
    linear_indicative,
    linear_interest,
    linear_liquidations,
    linear_prices,
    trade_pages,
)
from .answers import Answer, Ask, Exchange, hyphens, reply, underscores
from .candles import Window, envelope, kept_or_made, number
from .instruments import INSTRUMENTS, LINEAR, Instrument, contract, contract_type
from .periods import DAY, HOUR, SECOND, slot_of
from .product_lines import USDT, Line, business_asked
from .spelling import linear_kline_rows

_PERIODS = {"1hour": "60min"} | {
    period: period for period in ("1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon")
}
_TWO_YEARS = 730 * DAY
_FOREVER = 4_102_444_800  # 2100-01-01 in seconds


def kline(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-ex/market/history/kline: `size`, or `from` and `to` (seconds, both inclusive); ascending.

    With all three, from and to are ignored. More than 2000 rows give an empty array. Only the last two years are
    served, by the sandbox's clock.
    """
    code, one = line.asked(ask), line.meant(ask)
    spelled = ask.query.get("period", "1min")
    if spelled not in _PERIODS:
        raise hyphens(ask, "invalid-parameter", "invalid period")
    period = _PERIODS[spelled]
    try:
        size, since, until = (number(ask.query.get(name)) for name in ("size", "from", "to"))
    except ValueError:
        raise hyphens(ask, "invalid-parameter", "invalid parameter") from None
    newest = slot_of(period, ask.now)
    oldest = slot_of(period, ask.now - _TWO_YEARS - 1) + 1
    if size is not None:
        if not 1 <= size <= 2000:
            raise hyphens(ask, "invalid-parameter", "invalid size,valid range: [1, 2000]")
        window = Window(line.venue, one.symbol, period, oldest, newest, size, "last")
    elif since is None or until is None:
        raise hyphens(ask, "invalid-parameter", "invalid size, or from and to")
    elif since > until:
        raise hyphens(ask, "invalid-parameter", "invalid from: later than to")
    else:
        first = slot_of(period, min(max(since, 0), _FOREVER) * SECOND - 1) + 1
        first = max(first, oldest, slot_of(period, one.listed_at))
        last = min(newest, slot_of(period, min(max(until, 0), _FOREVER) * SECOND))
        window = Window(line.venue, one.symbol, period, first, last, 2000, "first")
        if last - first + 1 > 2000:
            window = Window(line.venue, one.symbol, period, 1, 0, 2000, "first")
    source = exchange.source(line.venue, one.symbol, "klines")
    made = kept_or_made(
        source,
        window,
        ask.now,
        lambda rows: linear_kline_rows(rows, one.zero_text),
        False,
        exchange.bodies,
        ask.bend,
    )
    before, middle, after = envelope(made, descending=False)
    head = f'{{"ch":"market.{code.upper()}.kline.{spelled}","data":['
    return Answer(head.encode() + before, middle, after + f'],"status":"ok","ts":{ask.ms}}}'.encode())


_STATUS = {"online": 1, "suspend": 3}


def _contract_status(one: Instrument, now: int) -> int:
    status = one.status_at(now)
    if status == "suspend" and any(end is not None and start <= now < end for start, end in one.halts):
        return 0  # off the list until it is listed again
    return _STATUS.get(status, 8 if one.delivery_at is not None else 0)


def _row(one: Instrument, now: int) -> dict[str, Any]:
    local = timedelta(hours=8)
    created = datetime.fromtimestamp(one.listed_at // SECOND, UTC) + local
    swap = one.delivery_at is None
    delivery = "" if one.delivery_at is None else str(one.delivery_at // 1000)
    delivered = (
        ""
        if one.delivery_at is None
        else (datetime.fromtimestamp(one.delivery_at // SECOND, UTC) + local).strftime("%Y%m%d")
    )
    return {
        "symbol": one.base,
        "contract_code": one.symbol,
        "contract_size": one.contract_size,
        "price_tick": one.tick_size,
        "delivery_date": delivered,
        "delivery_time": delivery,
        "create_date": created.strftime("%Y%m%d"),
        "contract_status": _contract_status(one, now),
        "settlement_date": str((now // (8 * HOUR) + 1) * 8 * HOUR // 1000),
        "support_margin_mode": "all" if swap else "cross",
        "business_type": "swap" if swap else "futures",
        "pair": f"{one.base}-{one.quote}",
        "contract_type": contract_type(one, now),
        "trade_partition": "USDT",
    }


def contract_info(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_contract_info; business_type is swap unless said."""
    query = ask.query
    code = query.get("contract_code")
    if code and contract(code, ask.now) is None:
        raise underscores(ask, 1014, "The contract does not exist.")
    business = business_asked(ask, "all" if code else "swap")
    rows = [
        _row(one, ask.now)
        for one in INSTRUMENTS[LINEAR].listed(exchange.crowd)
        if one.status_at(ask.now) != "pre-online"
    ]
    wanted = None if not code else contract(code, ask.now)
    return reply(
        {
            "status": "ok",
            "data": [
                row
                for row in rows
                if (
                    (wanted is None or row["contract_code"] == wanted.symbol)
                    and business in ("all", row["business_type"])
                    and query.get("contract_type", "").lower() in ("", row["contract_type"])
                    and query.get("pair", "").upper() in ("", row["pair"])
                    and query.get("support_margin_mode", "all")
                    in (
                        "all",
                        row["support_margin_mode"],
                        "isolated" if row["support_margin_mode"] == "all" else "",
                    )
                )
            ],
            "ts": ask.ms,
        }
    )


def query_elements(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_query_elements: settle_period in hours is what a contract has now."""
    code = ask.query.get("contract_code")
    wanted = contract(code, ask.now) if code else None
    if code and wanted is None:
        raise underscores(ask, 1014, "The contract does not exist.")
    data = []
    for one in INSTRUMENTS[LINEAR].listed(exchange.crowd):
        if one.delivery_at is not None or one.status_at(ask.now) == "pre-online" or wanted not in (None, one):
            continue
        hours = [length for since, length in one.funding_eras if since <= ask.now] or [one.funding_eras[0][1]]
        sizes = f"{one.contract_size:.18f}"
        data.append(
            {
                "contract_code": one.symbol,
                "funding_rate_cap": "0.003750000000000000",
                "funding_rate_floor": "-0.003750000000000000",
                "mode_type": 2,
                "swap_delivery_type": 3,
                "settle_period": hours[-1],
                "instrument_index_code": one.symbol,
                "price_ticks": [{"business_type": kind, "price": f"{one.tick_size:.18f}"} for kind in (1, 2)],
                "instrument_values": [{"business_type": kind, "price": sizes} for kind in (1, 2)],
                "min_level": "1",
                "max_level": "75",
            }
        )
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def timestamp(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/timestamp."""
    return reply({"status": "ok", "ts": ask.ms})


def heartbeat(exchange: Exchange, ask: Ask) -> Answer:
    """/heartbeat/: everything is up. Its `ts` is stale, as ccxt's source warns (1.6)."""
    return reply(
        {
            "status": "ok",
            "data": {
                "heartbeat": 1,
                "estimated_recovery_time": None,
                "swap_heartbeat": 1,
                "swap_estimated_recovery_time": None,
                "linear_swap_heartbeat": 1,
                "linear_swap_estimated_recovery_time": None,
            },
            "ts": ask.ms - 86_400_000,
        }
    )


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/linear-swap-ex/market/history/kline": partial(kline, USDT),
    "/linear-swap-ex/market/history/trade": partial(trade_pages.contract_history, USDT),
    "/linear-swap-ex/market/trade": trade_pages.linear_newest,
    "/index/market/history/linear_swap_mark_price_kline": partial(linear_prices.mark_klines, USDT),
    "/index/market/history/linear_swap_premium_index_kline": partial(linear_prices.premium_klines, USDT),
    "/index/market/history/linear_swap_estimated_rate_kline": partial(linear_prices.estimated_rate_klines, USDT),
    "/linear-swap-api/v1/swap_contract_info": contract_info,
    "/linear-swap-api/v1/swap_query_elements": query_elements,
    "/api/v1/timestamp": timestamp,
    "/heartbeat/": heartbeat,
    "/linear-swap-api/v1/swap_historical_funding_rate": partial(linear_funding.history_v1, USDT, 100),
    "/v5/market/funding_rate_history": linear_funding.history_v5,
    "/v5/market/open_interest": linear_interest.current_v5,
    "/linear-swap-api/v1/swap_open_interest": linear_interest.current_v1,
    "/linear-swap-api/v1/swap_his_open_interest": linear_interest.history,
    "/v5/market/liquidation_orders": linear_liquidations.orders_v5,
    "/linear-swap-api/v3/swap_liquidation_orders": linear_liquidations.orders_v3,
    **linear_constituents.ENDPOINTS,
    **linear_indicative.ENDPOINTS,
}
