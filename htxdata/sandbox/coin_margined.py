"""The endpoints of coin-margined contracts on api.hbdm.com: swaps (htx-api 5) and dated futures (6).

Most of them are those of linear contracts under another path and without a turnover; what differs more is here. Futures
are asked for by `symbol`: a code or an alias for market data (`BTC260213`, `BTC_CQ`), the coin for reference data.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from . import (
    derived,
    linear,
    linear_funding,
    linear_indicative,
    linear_interest,
    linear_liquidations,
    trade_pages,
)
from .answers import Answer, Ask, Exchange, hyphens, reply, three, underscores
from .baskets import basket
from .instruments import FUTURES, INSTRUMENTS, INVERSE, Instrument, contract_type, still_known, swap
from .linear_constituents import spelled
from .linear_prices import candles, estimated_rate_klines, mark_klines, premium_klines
from .periods import DAY, HOUR, SECOND
from .product_lines import COIN_FUTURES, COIN_SWAPS, Line
from .spelling import index_number_rows, padded, plain

_EIGHT = timedelta(hours=8)


# ------------------------------------------------------------------------------------------------ instruments


def _day(instant: int) -> str:
    return (datetime.fromtimestamp(instant // SECOND, UTC) + _EIGHT).strftime("%Y%m%d")


def _status(one: Instrument, now: int) -> int:
    return {"online": 1, "suspend": 3}.get(one.status_at(now), 8)


def _known(line: Line, ask: Ask, **wanted: str) -> list[Instrument]:
    """The contracts that there are, or were until four weeks ago, and that were asked for."""
    listed = [one for one in INSTRUMENTS[line.venue].values() if still_known(one, ask.now)]
    asked = {name: ask.query.get(name, "").upper() for name in wanted}
    found = [
        one
        for one in listed
        if all(
            not asked[name] or {"code": one.symbol, "coin": one.base, "type": contract_type(one, ask.now).upper()}[kind]
            == asked[name]
            for name, kind in wanted.items()
        )
    ]  # fmt: skip
    if any(asked.values()) and not found:
        raise underscores(ask, 1014, "The contract does not exist.")
    return found


def swap_info(exchange: Exchange, ask: Ask) -> Answer:
    """/swap-api/v1/swap_contract_info (sample coinswap-contract-info)."""
    data = [
        {
            "symbol": one.base,
            "contract_code": one.symbol,
            "contract_size": padded(one.contract_size or 0.0, 18),
            "price_tick": padded(one.tick_size, 18),
            "create_date": _day(one.listed_at),
            "delivery_time": "",
            "contract_status": _status(one, ask.now),
            "settlement_date": str((ask.now // (8 * HOUR) + 1) * 8 * HOUR // 1000),
        }
        for one in _known(COIN_SWAPS, ask, contract_code="code")
    ]
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def future_info(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/contract_contract_info (sample coinfut-contract-info). Delivered ones stay for four weeks, in status 8:
    how HTX lists them is not known [C]."""
    settles = (ask.now - 8 * HOUR) // DAY * DAY + DAY + 8 * HOUR
    data = [
        {
            "symbol": one.base,
            "contract_code": one.symbol,
            "contract_type": contract_type(one, ask.now),
            "contract_size": one.face,
            "price_tick": one.tick_size,
            "delivery_date": _day(one.delivery_at or 0),
            "delivery_time": str((one.delivery_at or 0) // 1000),
            "create_date": _day(one.listed_at),
            "contract_status": _status(one, ask.now),
            "settlement_time": str(settles // 1000),
        }
        for one in _known(COIN_FUTURES, ask, contract_code="code", symbol="coin", contract_type="type")
    ]
    return reply({"status": "ok", "data": data, "ts": ask.ms})


# ------------------------------------------------------------------------------------------------ index


def index_klines(exchange: Exchange, ask: Ask) -> Answer:
    """/index/market/history/index: `symbol` is BTC-USD; JSON numbers (sample coinfut-index-kline), no weeks (6)."""
    if ask.query.get("period") == "1week":
        raise hyphens(ask, "invalid-parameter", "invalid period")
    named = Line(INVERSE, "symbol", swap)
    return candles(named, exchange, ask, derived.INDEX, "index", '"status":"ok",', index_number_rows)


def _basket(exchange: Exchange, ask: Ask, coin: str, name: dict[str, str]) -> Answer:
    one = INSTRUMENTS[INVERSE].get(f"{coin}-USD")
    if one is None:
        raise underscores(ask, 1014, "The contract does not exist.")
    return spelled(ask, name, basket(exchange.market.seed, one, ask.now, "USD"))


def swap_constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/swap-api/market/swap_constituents: contract_code is required. There is no sample of it, nor of the next: they
    are spelled as those of linear contracts."""
    code = COIN_SWAPS.asked(ask).upper()
    coin, _, quote = code.partition("-")
    return _basket(exchange, ask, coin if quote == "USD" else "", {"contract_code": code})


def future_constituents(exchange: Exchange, ask: Ask) -> Answer:
    """/api/market/contract_constituents: symbol, which is the coin, is required."""
    coin = COIN_FUTURES.asked(ask).upper()
    return _basket(exchange, ask, coin, {"symbol": coin})


# ------------------------------------------------------------------------------------------------ positions


def _open(exchange: Exchange, ask: Ask, one: Instrument) -> dict[str, Any]:
    row = {
        name: column[0]
        for name, column in exchange.market.open_interest_now(one.venue, one.symbol, ask.now).items()
        if column is not None
    }
    dated = {} if one.delivery_at is None else {"contract_type": contract_type(one, ask.now)}
    return {
        "volume": padded(int(row["contracts"]), 18),
        "amount": padded(float(row["volume"]), 18),
        "symbol": one.base,
        "contract_code": one.symbol,
        "trade_amount": float(row["traded_volume"]),
        "trade_volume": int(row["traded_contracts"]),
        "trade_turnover": padded(float(row["traded_value"]), 18),
        **dated,
    }


def open_interest(line: Line, wanted: dict[str, str], exchange: Exchange, ask: Ask) -> Answer:
    """swap_open_interest, contract_open_interest: all that trade, or those asked for (coin*-open-interest-2)."""
    data = [
        _open(exchange, ask, one)
        for one in _known(line, ask, **wanted)
        if one.status_at(ask.now) == "online"
    ]
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def swap_interest_history(exchange: Exchange, ask: Ask) -> Answer:
    """/swap-api/v1/swap_his_open_interest (sample coinswap-his-open-interest)."""
    one = COIN_SWAPS.contract(ask)
    tick = linear_interest.points(exchange, ask, one)
    data = {"symbol": one.base, "tick": tick, "contract_code": one.symbol}
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def future_interest_history(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/contract_his_open_interest: of the contract that an alias means now; what it meant before is not told."""
    kind = ask.query.get("contract_type", "")
    if not ask.query.get("symbol") or not kind:
        raise underscores(ask, 1066, "symbol and contract_type cannot be empty.")
    found = _known(COIN_FUTURES, ask, symbol="coin", contract_type="type")
    tick = linear_interest.points(exchange, ask, next(o for o in found if o.status_at(ask.now) == "online"))
    data = {"symbol": found[0].base, "contract_type": kind, "tick": tick}
    return reply({"status": "ok", "data": data, "ts": ask.ms})


def _liquidated_swap(ask: Ask) -> list[Instrument]:
    code = ask.query.get("contract", "")
    one = swap(code, ask.now)
    if one is None:
        raise three(ask, 1014 if code else 1066, "The contract does not exist.")
    return [one]


def _liquidated_futures(ask: Ask) -> list[Instrument]:
    coin = ask.query.get("symbol", "").upper()
    found = [one for one in INSTRUMENTS[FUTURES].values() if one.base == coin and still_known(one, ask.now)]
    if not found:
        raise three(ask, 1014 if coin else 1066, "The contract does not exist.")
    return found


def newest_trade(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/swap-ex/market/trade, /market/trade: texts, coins to 37 decimals (samples coinswap-trade, coinfut-trade)."""
    code, one = line.asked(ask).upper(), line.meant(ask)
    rows = exchange.market.newest_trades(one.venue, one.symbol, 1, ask.now)
    names = ("contracts", "quantity", "price", "trade_time", "trade_id", "side")
    data = [
        {
            "amount": str(amount),
            "quantity": plain(quantity),
            "ts": time // 1000,
            "id": identity,
            "price": plain(price),
            "direction": side,
            line.parameter: code,
        }
        for amount, quantity, price, time, identity, side in zip(*(rows[name].tolist() for name in names), strict=True)
    ]
    tick = {"data": data, "id": ask.ms, "ts": ask.ms}
    return reply({"ch": f"market.{code}.trade.detail", "status": "ok", "tick": tick, "ts": ask.ms})


_FUTURES = {"contract_code": "code", "symbol": "coin", "contract_type": "type"}

ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/swap-api/v1/swap_contract_info": swap_info,
    "/swap-ex/market/history/kline": partial(linear.kline, COIN_SWAPS),
    "/swap-ex/market/history/trade": partial(trade_pages.contract_history, COIN_SWAPS),
    "/swap-ex/market/trade": partial(newest_trade, COIN_SWAPS),
    "/index/market/history/swap_mark_price_kline": partial(mark_klines, COIN_SWAPS),
    "/index/market/history/swap_premium_index_kline": partial(premium_klines, COIN_SWAPS),
    "/index/market/history/swap_estimated_rate_kline": partial(estimated_rate_klines, COIN_SWAPS),
    "/swap-api/v1/swap_historical_funding_rate": partial(linear_funding.history_v1, COIN_SWAPS, 50),
    "/swap-api/v1/swap_funding_rate": partial(linear_indicative.current_v1, COIN_SWAPS),
    "/swap-api/v1/swap_batch_funding_rate": partial(linear_indicative.batch_v1, COIN_SWAPS),
    "/swap-api/v1/swap_open_interest": partial(open_interest, COIN_SWAPS, {"contract_code": "code"}),
    "/swap-api/v1/swap_his_open_interest": swap_interest_history,
    "/swap-api/v3/swap_liquidation_orders": partial(linear_liquidations.coin_orders, _liquidated_swap),
    "/swap-api/market/swap_constituents": swap_constituents,
    "/api/v1/contract_contract_info": future_info,
    "/market/history/kline": partial(linear.kline, COIN_FUTURES),
    "/market/history/trade": partial(trade_pages.contract_history, COIN_FUTURES),
    "/market/trade": partial(newest_trade, COIN_FUTURES),
    "/index/market/history/mark_price_kline": partial(mark_klines, COIN_FUTURES),
    "/index/market/history/index": index_klines,
    "/api/v1/contract_open_interest": partial(open_interest, COIN_FUTURES, _FUTURES),
    "/api/v1/contract_his_open_interest": future_interest_history,
    "/api/v3/contract_liquidation_orders": partial(linear_liquidations.coin_orders, _liquidated_futures),
    "/api/market/contract_constituents": future_constituents,
}
