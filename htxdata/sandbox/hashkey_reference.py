"""What HashKey lists (hashkey-api 4.1): pairs, perpetuals, coins; its clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .answers import Answer, Ask, Exchange, reply
from .hashkey_answers import listed, text_error
from .instruments import HASHKEY, INSTRUMENTS, Instrument

_ALLOWED = {"retailAllowed": True, "piAllowed": True, "corporateAllowed": True, "omnibusAllowed": True}


def _step(units: int, decimals: int) -> str:
    """A step as a decimal text: `0.001`, `10`."""
    text = f"{units / 10**decimals:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _filters(one: Instrument) -> list[dict[str, Any]]:
    tick, lot = _step(one.tick_units, one.price_decimals), _step(one.lot_units, one.quantity_decimals)
    more = {"maxEntrustNum": 200, "maxConditionNum": 200} if one.derivative else {}
    return [
        {"minPrice": tick, "maxPrice": "100000.00000000", "tickSize": tick, "filterType": "PRICE_FILTER"},
        {"minQty": lot, "maxQty": "1000000", "stepSize": lot, "marketOrderMinQty": "0", "marketOrderMaxQty": "0",
         "filterType": "LOT_SIZE"},
        {"minNotional": "0" if one.derivative else "1", "filterType": "MIN_NOTIONAL"},
        {"maxSellPrice": "999999", "buyPriceUpRate": "0.05", "sellPriceDownRate": "0.05", **more,
         "filterType": "LIMIT_TRADING"},
        {"buyPriceUpRate": "0.05", "sellPriceDownRate": "0.05", "filterType": "MARKET_TRADING"},
        {"noAllowMarketStartTime": "0", "noAllowMarketEndTime": "0", "limitOrderStartTime": "0",
         "limitOrderEndTime": "0", "limitMinPrice": "0", "limitMaxPrice": "0", "filterType": "OPEN_QUOTE"},
    ]  # fmt: skip


def _status(one: Instrument, now: int) -> str:
    return "TRADING" if one.status_at(now) == "online" else "HALT"


def _pair(one: Instrument, now: int) -> dict[str, Any]:
    lot = _step(one.lot_units, one.quantity_decimals)
    quote = _step(1, one.quote_decimals)
    return {
        "symbol": one.symbol, "symbolName": one.symbol, "status": _status(one, now), "baseAsset": one.base,
        "baseAssetName": one.base, "baseAssetPrecision": lot, "quoteAsset": one.quote, "quoteAssetName": one.quote,
        "quotePrecision": quote, **_ALLOWED, "icebergAllowed": False, "isAggregate": False, "allowMargin": False,
        "filters": _filters(one),
    }  # fmt: skip


def _contract(one: Instrument, now: int) -> dict[str, Any]:
    lot = _step(one.lot_units, one.quantity_decimals)
    risk = {"riskLimitId": "200000722", "quantity": "1000.00", "initialMargin": "0.10", "maintMargin": "0.005",
            "isWhite": False}  # fmt: skip
    return {
        "exchangeId": "301", "symbol": one.symbol, "symbolName": one.symbol, "status": _status(one, now),
        "baseAsset": one.symbol, "baseAssetPrecision": lot, "quoteAsset": one.quote, "quoteAssetPrecision": "0.1",
        "icebergAllowed": False, "inverse": False, "index": "USDT", "marginToken": "USDT",
        "marginPrecision": "0.0001", "contractMultiplier": lot, "underlying": one.base, "riskLimits": [risk],
        "filters": _filters(one), "tradeStatus": "TRADABLE",
    }  # fmt: skip


def _coin(name: str, place: int) -> dict[str, Any]:
    chain = {"chainType": "Ethereum", "withdrawFee": "0", "minWithdrawQuantity": "1", "maxWithdrawQuantity": "0",
             "minDepositQuantity": "0", "allowDeposit": True, "allowWithdraw": True}  # fmt: skip
    return {"orgId": "9001", "coinId": name, "coinName": name, "coinFullName": name, "allowWithdraw": True,
            "allowDeposit": True, "tokenType": "CHAIN_TOKEN", "chainTypes": [chain]}  # fmt: skip


def exchange_info(exchange: Exchange, ask: Ask) -> Answer:
    """/api/v1/exchangeInfo: all, or with `symbol` the one market itself and no list [wire]."""
    pairs, contracts = listed(ask.now, "spot"), listed(ask.now, "swap")
    symbol = ask.query.get("symbol")
    if symbol:
        one = next((one for one in (*pairs, *contracts) if one.symbol == symbol), None)
        if one is None and symbol in INSTRUMENTS[HASHKEY]:
            raise text_error("-1151", "The trading pair is not open yet")
        if one is None:
            raise text_error("-1130", "Illegal parameter symbol")
        return reply((_contract if one.derivative else _pair)(one, ask.now))
    coins = sorted({one.base for one in pairs} | {"USDT"})
    return reply(
        {
            "timezone": "UTC", "serverTime": str(ask.ms), "brokerFilters": [],
            "symbols": [_pair(one, ask.now) for one in pairs], "options": [],
            "contracts": [_contract(one, ask.now) for one in contracts],
            "coins": [_coin(name, place) for place, name in enumerate(coins)], "site": "BMU",
        }
    )  # fmt: skip


def clock(exchange: Exchange, ask: Ask) -> Answer:
    return reply({"serverTime": ask.ms})


def ping(exchange: Exchange, ask: Ask) -> Answer:
    return reply({})


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/api/v1/exchangeInfo": exchange_info,
    "/api/v1/time": clock,
    "/api/v1/ping": ping,
}
