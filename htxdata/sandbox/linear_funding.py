"""The history of fundings of linear swaps, v5 and v1 (htx-api 4.1, 4.7). All values are strings, times in ms."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from .answers import Answer, Ask, Exchange, Refusal, five, page, reply, underscores
from .bars import Columns
from .breakage import take
from .candles import number
from .instruments import Instrument
from .noise import Ints
from .product_lines import USDT, Line

_FOREVER = 4_102_444_800_000_000  # 2100-01-01, us


def perpetual(line: Line, ask: Ask, five_style: bool = False) -> Instrument:
    """The perpetual contract that a request is about."""
    code = ask.query.get("contract_code", "")
    refuse = five if five_style else underscores
    if not code:
        raise refuse(ask, 1066, "contract_code cannot be empty.")
    one = line.find(code, ask.now)
    if one is None or one.delivery_at is not None:
        raise refuse(ask, 1014, "The contract does not exist.")
    return one


def _settled(exchange: Exchange, ask: Ask, one: Instrument) -> Ints:
    """When the settlements up to now were, ascending; row n has id n + 1."""
    times = exchange.source(one.venue, one.symbol, "funding_rates").funding_times(one.venue, one.symbol)
    return times[: np.searchsorted(times, ask.now, side="right")]


def _page(
    exchange: Exchange, ask: Ask, one: Instrument, times: Ints, first: int, last: int, newest: bool
) -> Columns:
    """The rows [first, last) of the settlements, newest first if wanted, as a fault may have bent them."""
    first = max(first, 0)
    last = max(first, min(last, len(times)))
    span = (int(times[first]), int(times[last - 1]) + 1) if last > first else (0, 0)
    rows = exchange.source(one.venue, one.symbol, "funding_rates").funding_rates(one.venue, one.symbol, *span)
    if newest:
        rows = take(rows, np.arange(last - first, dtype=np.int64)[::-1])
    return rows if ask.bend is None else ask.bend(rows, ask.now)


def fee_asset(one: Instrument) -> str:
    """What a contract is settled in."""
    return one.base if one.face else one.quote


def _padded(text: str) -> str:
    return f"{Decimal(text):.18f}"


def _ms(time: int) -> str:
    return str(time // 1000)


def history_v5(exchange: Exchange, ask: Ask) -> Answer:
    """/v5/market/funding_rate_history: rows with ids from "1"; `from` is a row id, direct next walks forward in time.

    Whether `from` is inclusive is not known (4.1); here it is unless the sandbox was told otherwise, so pages overlap
    by a row. Without `direct` it walks forward from start_time if that is given, backward from the newest if not.
    """
    if not exchange.v5:
        raise Refusal(page("404 Not Found", 404))
    one = perpetual(USDT, ask, True)
    try:
        start, end, cursor, limit = (
            number(ask.query.get(name)) for name in ("start_time", "end_time", "from", "limit")
        )
    except ValueError:
        raise five(ask, 1067, "The from field is invalid") from None
    limit = 20 if limit is None else limit
    if not 1 <= limit <= 100:
        raise five(ask, 1067, "The limit field is invalid")
    direct = ask.query.get("direct") or ("next" if start is not None else "prev")
    if direct not in ("next", "prev"):
        raise five(ask, 1067, "The direct field is invalid")
    times = _settled(exchange, ask, one)
    low = min(max(start or 0, 0) * 1000, _FOREVER)
    high = _FOREVER if end is None else min(max(end, 0) * 1000, _FOREVER)
    first, last = int(np.searchsorted(times, low)), int(np.searchsorted(times, high, side="right"))
    edge = 0 if exchange.v5_from_inclusive else 1
    if cursor is not None and direct == "next":
        first = max(first, cursor - 1 + edge)
    elif cursor is not None:
        last = min(last, cursor - edge)
    if direct == "next":
        served = _page(exchange, ask, one, times, first, min(last, first + limit), newest=False)
    else:
        served = _page(exchange, ask, one, times, max(first, last - limit), last, newest=True)
    data = [
        {"id": str(row_id), "contract_code": one.symbol, "funding_rate": rate, "funding_time": _ms(time)}
        for row_id, rate, time in zip(
            served["id"].tolist(), served["funding_rate_text"], served["funding_time"].tolist(), strict=True
        )
    ]
    return reply({"code": 200, "message": "Success", "data": data, "ts": ask.ms})


def history_v1(line: Line, most: int, exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-api/v1/swap_historical_funding_rate: newest first, so a new settlement shifts every page by a row.

    page_size is 20 unless said; more than `most` is cut without a word.
    """
    one = perpetual(line, ask)
    try:
        index, size = (number(ask.query.get(name)) for name in ("page_index", "page_size"))
    except ValueError:
        raise underscores(
            ask, 1030, "Input error. Please check the format of page_index and page_size."
        ) from None
    index, size = 1 if index is None else index, min(20 if size is None else size, most)
    if index < 1 or size < 1:
        raise underscores(ask, 1067, "The page_index or page_size field is invalid.")
    times = _settled(exchange, ask, one)
    total = len(times)
    served = _page(exchange, ask, one, times, total - index * size, total - (index - 1) * size, newest=True)
    data = [
        {
            "avg_premium_index": premium,
            "funding_rate": _padded(rate),
            "realized_rate": None,
            "funding_time": _ms(time),
            "contract_code": one.symbol,
            "symbol": one.base,
            "fee_asset": fee_asset(one),
        }
        for premium, rate, time in zip(
            served["avg_premium_index_text"],
            served["funding_rate_text"],
            served["funding_time"].tolist(),
            strict=True,
        )
    ]
    return reply(
        {
            "status": "ok",
            "data": {
                "total_page": -(-total // size),
                "current_page": index,
                "total_size": total,
                "data": data,
            },
            "ts": ask.ms,
        }
    )
