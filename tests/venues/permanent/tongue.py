"""How permanent spells its answers, for the suite that all venues inherit. Made by hand from the reference's field
tables (permanent-v1 4, 5): no sample of a data row was ever published."""

from __future__ import annotations

from htxdata.market import Series
from htxdata.venues.terms import Facts
from tests.venues.contract import Body, Speech, Tongue

Row = dict[str, str]


def _text(rows: list[Row]) -> str:
    return ",".join("{" + ",".join(f'"{name}":{value}' for name, value in row.items()) + "}" for row in rows)


def _list(series: Series, rows: list[Row]) -> bytes:
    return f'{{"code":200,"data":[{_text(rows)}]}}'.encode()


def _nested(series: Series, rows: list[Row]) -> bytes:
    inner = f'"ts":1704067300000,"symbol":"{series.symbol}","data":[{_text(rows)}]'
    return f'{{"code":200,"data":{{{inner}}}}}'.encode()


def _baskets(series: Series, rows: list[Row]) -> bytes:
    """Each row is one leg; each is the only leg of its index time."""
    legs = [
        f'{{"indexPrice":{row["indexPrice"]},"indexTime":{row["indexTime"]},"constituents":'
        f'[{_text([{name: row[name] for name in ("constituent", "price", "weight") if name in row}])}]}}'
        if {"indexPrice", "indexTime"} <= row.keys()
        else _text([row])
        for row in rows
    ]
    inner = f'"ts":1704067300000,"symbol":"{series.symbol}","data":[{",".join(legs)}]'
    return f'{{"code":200,"data":{{{inner}}}}}'.encode()


_PRICES = {"open": '"42283.58"', "close": '"42298.6"', "low": '"4.226E+4"', "high": '"42310.0"'}
_CANDLES = [
    {"symbol": '"btcusdt"', "id": "1704067260", **_PRICES, "numOfTrades": "196", "volume": '"1200"',
     "turnover": '"50751.8"'},
    {"symbol": '"btcusdt"', "id": "1704067200", **_PRICES, "numOfTrades": "0", "volume": '"0"', "turnover": '"0"'},
]  # fmt: skip
_TRADES = [
    {"symbol": '"btcusdt"', "tradeId": "1000219512747480001", "tradePrice": '"42283.6"', "tradeVolume": '"100"',
     "tradeTime": "1704067260123", "aggrOrdSide": '"buy"'},
    {"symbol": '"btcusdt"', "tradeId": "1000219512747480000", "tradePrice": '"42283.5"', "tradeVolume": '"2"',
     "tradeTime": "1704067200000", "aggrOrdSide": '"sell"'},
]  # fmt: skip
_FUNDINGS = [
    {"fundingRate": '"-0.000123456789012345"', "fundingTime": "1704096000000"},
    {"fundingRate": '"0.0001"', "fundingTime": "1704067200000"},
]
_BASKETS = [
    {"indexPrice": '"42283.580000000000000000"', "indexTime": "1704067205000", "constituent": '"huobi.btcusdt"',
     "price": '"42283.58"', "weight": '"100.0000"'},
    {"indexPrice": '"42283.500000000000000000"', "indexTime": "1704067200000", "constituent": '"okex.btcusdt"',
     "price": '"42283.5"', "weight": '"1.0000"'},
]  # fmt: skip
_FILLS = [
    {"symbol": '"btcusdt"', "tradeId": number, "tradePrice": '"42283.5"', "tradeVolume": "20", "tradeTime": time,
     "execType": '"trade"', "transactFee": '"0.2537"', "aggressor": taker, "orderId": "957426441",
     "orderSide": '"sell"'}
    for number, time, taker in (("1000219512747480001", "1704067260123", "true"),
                                ("1000219512747480000", "1704067200000", "false"))
]  # fmt: skip
_INSTRUMENTS = [
    {"ts": "1704067300000", "symbol": f'"{symbol}"', "indexId": f'"i.{symbol}"', "markPriceId": f'"m.{symbol}"',
     "contractSize": '"0.001"', "contractType": '"swap"', "baseCurrency": '"btc"', "quoteCurrency": '"usdt"',
     "marginCurrency": f'"{margin}"', "minOrderSize": "1", "maxOrderSize": "1000", "pricePrecision": '"1"',
     "tickSize": '"0.1"', "riskLimitLevels": "[]", "instStatus": f'"{state}"', **more}
    for symbol, margin, state, more in (
        ("btcusdt", "usdt", "normal", {}), ("newusdt", "eth", "pre-listing", {"listingDate": "1704067200000"}),
    )
]  # fmt: skip

_FOREIGN = (lambda body: body.replace(b'"btcusdt"', b'"ethusdt"', 1),)
_NAMELESS = (*_FOREIGN, lambda body: body.replace(b'"symbol"', b'"code"'))


def _speech(rows: list[Row], wrap: Body, numbers: str, time: str, positive: str, foreign: tuple) -> Speech:  # type: ignore[type-arg]
    return Speech("btcusdt", rows, wrap, tuple(numbers.split()), time, tuple(positive.split()), foreign)


TONGUE = Tongue(
    {
        "/market/candlesticks": _speech(
            _CANDLES, _list, "id open close low high numOfTrades volume turnover", "id", "numOfTrades volume turnover",
            _FOREIGN,
        ),
        "/market/trades": _speech(
            _TRADES, _list, "tradeId tradePrice tradeVolume tradeTime", "tradeTime", "tradeId tradePrice tradeVolume",
            _NAMELESS,
        ),
        "/market/funding-rate": _speech(_FUNDINGS, _nested, "fundingRate fundingTime", "fundingTime", "", _NAMELESS),
        "/market/index-constituents": _speech(
            _BASKETS, _baskets, "indexPrice indexTime price weight", "indexTime", "indexPrice price weight", _NAMELESS
        ),
        "/orders/trades": _speech(
            _FILLS, _list, "tradeId tradePrice tradeVolume tradeTime transactFee orderId", "tradeTime",
            "tradeId tradePrice tradeVolume orderId", _NAMELESS,
        ),
    },
    Speech("", _INSTRUMENTS, _list, ("contractSize", "tickSize"), "listingDate"),
    status=("instStatus", '"resting"'),
    typed=("BTCusdt", "btcusdt"),
    facts=Facts(0.001),
)  # fmt: skip
