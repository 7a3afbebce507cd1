"""The endpoints of api.huobi.pro: candles, symbols, currencies, clock and health (htx-api 1.6, 3.1, 3.2, 3.6).

Trades are in `trade_pages`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import trade_pages
from .answers import Answer, Ask, Exchange, Refusal, hyphens, page, reply
from .candles import Window, envelope, kept_or_made, number
from .instruments import INSTRUMENTS, SPOT, Instrument
from .periods import PERIODS, SECOND, slot_of
from .spelling import spot_kline_rows

_FOREVER = 4_102_444_800  # 2100-01-01 in seconds


def _asked(ask: Ask) -> tuple[str, str]:
    symbol = ask.query.get("symbol", "")
    if symbol not in INSTRUMENTS[SPOT] or INSTRUMENTS[SPOT][symbol].status_at(ask.now) == "pre-online":
        raise hyphens(ask, "invalid-parameter", "invalid symbol")  # upper case is refused too (htx-api 1.2)
    # A request without `period` silently gets one-minute candles (htx-api 1.3).
    period = ask.query.get("period", "1min")
    if period not in PERIODS:
        raise hyphens(ask, "invalid-parameter", "invalid period")
    return symbol, period


def _sized(ask: Ask, top: int) -> int:
    try:
        size = number(ask.query.get("size"))
    except ValueError:
        size = 0
    size = 150 if size is None else size
    if not 1 <= size <= top:
        raise hyphens(ask, "invalid-parameter", f"invalid size,valid range: [1, {top}]")
    return size


def _candles(exchange: Exchange, ask: Ask, window: Window) -> Answer:
    source = exchange.source(SPOT, window.symbol, "klines")
    made = kept_or_made(source, window, ask.now, spot_kline_rows, True, exchange.bodies, ask.bend)
    before, middle, after = envelope(made, descending=True)
    head = f'{{"ch":"market.{window.symbol}.kline.{window.period}","status":"ok","ts":{ask.ms},"data":['
    return Answer(head.encode() + before, middle, after + b"]}")


def kline(exchange: Exchange, ask: Ask) -> Answer:
    """/market/history/kline: always the newest `size` candles, newest first, row 0 running."""
    symbol, period = _asked(ask)
    size = _sized(ask, 2000)
    return _candles(exchange, ask, Window(SPOT, symbol, period, 0, slot_of(period, ask.now), size, "last"))


def candles(exchange: Exchange, ask: Ask) -> Answer:
    """/market/history/candles, undocumented: from and to in seconds, both inclusive; more than 1000 rows give none.

    With `from` the oldest `size` candles from it are served, without it the newest up to `to`; newest first either way
    (the reference leaves both open: clients must not rely on order).
    """
    if exchange.spot_history is not None and exchange.spot_history <= 0:
        raise Refusal(page("404 Not Found", 404))
    symbol, period = _asked(ask)
    if period in ("1mon", "1year"):
        raise hyphens(ask, "invalid-parameter", "invalid period")
    try:
        since, until, size = (number(ask.query.get(name)) for name in ("from", "to", "size"))
    except ValueError:
        raise hyphens(ask, "invalid-parameter", "invalid parameter") from None
    size = 150 if size is None else size
    newest = slot_of(period, ask.now)
    first = slot_of(period, min(max(since or 0, 0), _FOREVER) * SECOND - 1) + 1
    last = min(newest, slot_of(period, min(max(_FOREVER if until is None else until, 0), _FOREVER) * SECOND))
    if exchange.spot_history is not None:
        first = max(first, newest - exchange.spot_history + 1)
    if size > 1000 or size < 1 or last < first:
        return reply({"ch": f"market.{symbol}.kline.{period}", "status": "ok", "ts": ask.ms, "data": []})
    anchor = "last" if since is None else "first"
    return _candles(exchange, ask, Window(SPOT, symbol, period, first, last, size, anchor))


def _listed(exchange: Exchange, ask: Ask) -> list[Instrument]:
    """What is listed by now; beside it the pairs of a recorded session, where one is replayed."""
    session = None if exchange.replay is None else exchange.replay.session
    listed = [*INSTRUMENTS[SPOT].listed(exchange.crowd), *(() if session is None else session.pairs)]
    return [one for one in listed if one.status_at(ask.now) != "pre-online"]


def common_symbols(exchange: Exchange, ask: Ask) -> Answer:
    """/v1/common/symbols."""
    data = []
    for one in _listed(exchange, ask):
        least = one.lot_size
        data.append(
            {
                "base-currency": one.base.lower(),
                "quote-currency": one.quote.lower(),
                "price-precision": one.price_decimals,
                "amount-precision": one.quantity_decimals,
                "symbol-partition": "main",
                "symbol": one.symbol,
                "state": one.status_at(ask.now),
                "value-precision": 8,
                "min-order-amt": least,
                "max-order-amt": 1_000_000_000,
                "min-order-value": 5,
                "limit-order-min-order-amt": least,
                "limit-order-max-order-amt": 1_000_000_000,
                "limit-order-max-buy-amt": 1_000_000_000,
                "limit-order-max-sell-amt": 1_000_000_000,
                "sell-market-min-order-amt": least,
                "sell-market-max-order-amt": 100_000_000,
                "buy-market-max-order-value": 1_000_000,
                "api-trading": "enabled",
                "tags": "",
            }
        )
    return reply({"status": "ok", "data": data})


def market_symbols(exchange: Exchange, ask: Ask) -> Answer:
    """/v1/settings/common/market-symbols; `symbols` is a comma list."""
    wanted = {symbol for symbol in ask.query.get("symbols", "").split(",") if symbol}
    data = []
    for one in _listed(exchange, ask):
        if wanted and one.symbol not in wanted:
            continue
        data.append(
            {
                "symbol": one.symbol,
                "state": one.status_at(ask.now),
                "bc": one.base.lower(),
                "qc": one.quote.lower(),
                "pp": one.price_decimals,
                "ap": one.quantity_decimals,
                "sp": "main",
                "vp": 8,
                "minoa": one.lot_size,
                "maxoa": 1_000_000_000,
                "minov": 5,
                "lominoa": one.lot_size,
                "lomaxoa": 1_000_000_000,
                "lomaxba": 1_000_000_000,
                "lomaxsa": 1_000_000_000,
                "smminoa": one.lot_size,
                "blmlt": 1.1,
                "slmgt": 0.9,
                "smmaxoa": 100_000_000,
                "bmmaxov": 1_000_000,
                "msormlt": 0.1,
                "mbormlt": 0.1,
                "at": "enabled",
                "tags": "",
            }
        )
    return reply({"status": "ok", "data": data, "ts": str(ask.ms), "full": 1})


def settings_symbols(exchange: Exchange, ask: Ask) -> Answer:
    """/v2/settings/common/symbols. With `ts` only what changed since; `toa` is when trading opened, ms."""
    try:
        since = number(ask.query.get("ts"))
    except ValueError:
        raise hyphens(ask, "invalid-parameter", "invalid ts") from None
    data: list[dict[str, Any]] = []
    for place, one in enumerate(_listed(exchange, ask)):
        changes = [one.listed_at, one.delisted_at or 0, *(time or 0 for halt in one.halts for time in halt)]
        if since and max(time for time in changes if time <= ask.now) <= since * 1000:
            continue
        status = one.status_at(ask.now)
        data.append(
            {
                "tags": "",
                "state": status,
                "wr": "1.5",
                "sc": one.symbol,
                "p": [{"id": 9, "name": "Grayscale", "weight": 91}],
                "bcdn": one.base.upper(),
                "qcdn": one.quote.upper(),
                "elr": None,
                "tpp": one.price_decimals,
                "tap": one.quantity_decimals,
                "fp": 8,
                "smlr": None,
                "flr": None,
                "whe": False,
                "cd": False,
                "te": status == "online",
                "sp": "main",
                "d": None,
                "bc": one.base.lower(),
                "qc": one.quote.lower(),
                "toa": one.listed_at // 1000,
                "ttp": 8,
                "w": 999_400_000 - place,
                "lr": 5,
                "dn": f"{one.base.upper()}/{one.quote.upper()}",
            }
        )
    return reply({"status": "ok", "data": data, "ts": str(ask.ms), "full": 0 if since else 1})


def currencies(exchange: Exchange, ask: Ask) -> Answer:
    """/v2/reference/currencies: as much as a client needs to know the coins that trade here."""
    listed = _listed(exchange, ask)
    names = sorted({one.base.lower() for one in listed} | {one.quote.lower() for one in listed})
    wanted = ask.query.get("currency")
    data = [
        {
            "chains": [
                {
                    "chain": name,
                    "displayName": name.upper(),
                    "baseChain": name.upper(),
                    "baseChainProtocol": "NATIVE",
                    "isDynamic": False,
                    "depositStatus": "allowed",
                    "maxWithdrawAmt": "280000.00000000",
                    "minDepositAmt": "1",
                    "minWithdrawAmt": "1",
                    "numOfConfirmations": 12,
                    "numOfFastConfirmations": 12,
                    "withdrawFeeType": "fixed",
                    "withdrawPrecision": 8,
                    "transactFeeWithdraw": "0.10000000",
                    "withdrawStatus": "allowed",
                }
            ],
            "currency": name,
            "assetType": 1,
            "instStatus": "normal",
        }
        for name in names
        if wanted in (None, "", name)
    ]
    return reply({"code": 200, "data": data})


def timestamp(exchange: Exchange, ask: Ask) -> Answer:
    """/v1/common/timestamp."""
    return reply({"status": "ok", "data": ask.ms})


def market_status(exchange: Exchange, ask: Ask) -> Answer:
    """/v2/market-status: always normal."""
    return reply({"code": 200, "message": "success", "data": {"marketStatus": 1}})


ENDPOINTS: dict[str, Callable[[Exchange, Ask], Answer]] = {
    "/market/history/kline": kline,
    "/market/history/candles": candles,
    "/market/history/trade": trade_pages.spot_history,
    "/market/trade": trade_pages.spot_newest,
    "/v1/common/symbols": common_symbols,
    "/v1/settings/common/symbols": settings_symbols,
    "/v1/settings/common/market-symbols": market_symbols,
    "/v2/settings/common/symbols": settings_symbols,
    "/v2/reference/currencies": currencies,
    "/v1/common/timestamp": timestamp,
    "/v2/market-status": market_status,
}
