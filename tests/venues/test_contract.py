"""Every venue keeps the contract."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from htxdata.market import Series
from htxdata.venues import VENUES
from htxdata.venues.terms import Facts
from tests.venues.contract import Body, Speech, Tongue, VenueContract
from tests.venues.permanent.tongue import TONGUE as PERMANENT


def _text(rows: list[dict[str, str]]) -> str:
    return ",".join("{" + ",".join(f'"{name}":{value}' for name, value in row.items()) + "}" for row in rows)


def _candles(symbol_first: bool) -> Body:
    def wrap(series: Series, rows: list[dict[str, str]]) -> bytes:
        ch = f'"ch":"market.{series.symbol}.kline.{series.period}"'
        data = f'"data":[{_text(rows)}]'
        head, tail = (
            (f'{ch},"status":"ok","ts":1704067300000', data)
            if symbol_first
            else (ch, f'{data},"status":"ok","ts":1')
        )
        return f"{{{head},{tail}}}".encode()

    return wrap


def _five(series: Series, rows: list[dict[str, str]]) -> bytes:
    return f'{{"code":200,"message":"Success","data":[{_text(rows)}],"ts":1704067300000}}'.encode()


def _one(series: Series, rows: list[dict[str, str]]) -> bytes:
    page = f'"total_page":1,"current_page":1,"total_size":{len(rows)},"data":[{_text(rows)}]'
    return f'{{"status":"ok","data":{{{page}}},"ts":1704067300000}}'.encode()


def _list(series: Series, rows: list[dict[str, str]]) -> bytes:
    return f'{{"status":"ok","data":[{_text(rows)}],"ts":"1704067300000","full":1}}'.encode()


def _groups(named_first: bool) -> Body:
    """Trades as HTX sends them, each row a group of its own, which says its id and time before or after its trades."""

    def wrap(series: Series, rows: list[dict[str, str]]) -> bytes:
        ch = f'"ch":"market.{series.symbol}.trade.detail"'
        own = '"id":136108764379,"ts":1704067200000'
        groups = ",".join(
            f'{{{own},"data":[{_text([row])}]}}' if named_first else f'{{"data":[{_text([row])}],{own}}}'
            for row in rows
        )
        return f'{{{ch},"status":"ok","ts":1704067300000,"data":[{groups}]}}'.encode()

    return wrap


def _computed(topic: str) -> Body:
    def wrap(series: Series, rows: list[dict[str, str]]) -> bytes:
        ch = f'"ch":"market.{series.symbol}.{topic}.{series.period}"'
        return f'{{{ch},"data":[{_text(rows)}],"ts":1704067300000}}'.encode()

    return wrap


def _ticks(series: Series, rows: list[dict[str, str]]) -> bytes:
    data = f'"symbol":"BTC","tick":[{_text(rows)}],"contract_code":"{series.symbol}"'
    return f'{{"status":"ok","data":{{{data}}},"ts":1704067300000}}'.encode()


def _three(series: Series, rows: list[dict[str, str]]) -> bytes:
    return f'{{"code":200,"msg":"","data":[{_text(rows)}],"ts":1704067300000}}'.encode()


_PRICES = {"open": "42283.58", "close": "42298.6", "low": "4.226E+4", "high": "42310.0"}
_SPOT_ROWS = [
    {"id": "1704067260", **_PRICES, "amount": "3.946281917950917", "vol": "193489.67275732", "count": "196"},
    {"id": "1704067200", **_PRICES, "amount": "0E-18", "vol": "0.0", "count": "0"},
]
_LINEAR_ROWS = [
    {"id": "1704067200", **_PRICES, "amount": "0.004", "trade_turnover": "52.3072", "vol": "4", "count": "1"},
    {
        "id": "1704067260",
        **_PRICES,
        "amount": "1.2",
        "trade_turnover": "50751.8",
        "vol": "1200",
        "count": "12",
    },
]
_FOREIGN = (
    lambda body: body.replace(b"market.", b"market.x"),
    lambda body: body.replace(b".kline.", b".kline.1"),
    lambda body: body.replace(b'"ch":"', b'"ch": "x'),
    lambda body: body.replace(b'"ch":"', b'"ch":5,"x":"'),
)
_CODE = (
    lambda body: body.replace(b'"BTC-USDT"', b'"ETH-USDT"', 1),
    lambda body: body.replace(b'"contract_code"', b'"code"'),
)


def _spot(symbol: str = "btcusdt") -> Speech:
    numbers = ("id", "open", "close", "low", "high", "amount", "vol", "count")
    return Speech(symbol, _SPOT_ROWS, _candles(True), numbers, "id", ("amount", "vol", "count"), _FOREIGN)


_FUNDING = [
    {
        "id": '"1"',
        "contract_code": '"BTC-USDT"',
        "funding_rate": '"0.0001"',
        "funding_time": '"1704067200000"',
    },
    {
        "id": '"2"',
        "contract_code": '"BTC-USDT"',
        "funding_rate": '"-0.000123456789012345"',
        "funding_time": '"1704096000000"',
    },
]
_FUNDING_1 = [
    {
        "avg_premium_index": '"0.000049895833333333"',
        "funding_rate": row["funding_rate"],
        "realized_rate": "null",
        "funding_time": row["funding_time"],
        "contract_code": row["contract_code"],
        "symbol": '"BTC"',
        "fee_asset": '"USDT"',
    }
    for row in _FUNDING
]

_SPOT_TRADES = [
    {
        "id": "136108764379348400430265987",
        "ts": "1704067260123",
        "trade-id": "102517381182",
        "amount": "1.24E-4",
        "price": "42283.58",
        "direction": '"buy"',
    },
    {
        "id": "136108763320348400439066863",
        "ts": "1704067200000",
        "trade-id": "102517381181",
        "amount": "0.010411000000000000",
        "price": "42283.5",
        "direction": '"sell"',
    },
]
_LINEAR_TRADES = [
    {
        "amount": "2",
        "direction": '"sell"',
        "id": "1000219512747480000",
        "price": "42283.5",
        "ts": "1704067200000",
        "quantity": "0.002",
        "trade_turnover": "84.567",
    },
    {
        "amount": "1E+2",
        "direction": '"buy"',
        "id": "1000219512747480001",
        "price": "42283.6",
        "ts": "1704067260123",
        "quantity": "0.1",
        "trade_turnover": "4228.36",
    },
]
_OTHER_MARKET = (_FOREIGN[0], _FOREIGN[2], _FOREIGN[3], lambda body: body.replace(b".trade.", b".kline."))


def _price(topic: str) -> Speech:
    rows = [
        {"amount": '"0"', "close": '"42298.6"', "count": '"0"', "high": '"42310.0"', "id": "1704067200",
         "low": '"4.226E+4"', "open": '"42283.58"', "trade_turnover": '"0"', "vol": '"0"'},
        {"amount": '"0"', "close": '"-0.0000079166666666"', "count": '"0"', "high": '"0.0001"',
         "id": "1704067260", "low": '"-0.0001"', "open": '"0"', "trade_turnover": '"0"', "vol": '"0"'},
    ]  # fmt: skip
    foreign = (
        _FOREIGN[0],
        _FOREIGN[2],
        _FOREIGN[3],
        lambda body: body.replace(f".{topic}.".encode(), b".kline."),
        lambda body: body.replace(f".{topic}.".encode(), f".{topic}.1".encode()),
    )
    return Speech(
        "BTC-USDT", rows, _computed(topic), ("id", "open", "close", "low", "high"), "id", (), foreign
    )


_INTEREST = [
    {"volume": "27112.0000", "amount_type": "1", "ts": "1704070800000", "value": "1321498.5264"},
    {
        "volume": "27104",
        "amount_type": "1",
        "ts": "1704067200000",
        "value": "1316937.28320000000000000000000",
    },
]
_LIQUIDATED = [
    {
        "id": '"150153038758"',
        "contract_code": '"BTC-USDT"',
        "liquidation_time": '"1704067200000"',
        "side": '"buy"',
        "position_side": '"short"',
        "volume": '"2"',
        "amount": '"0.002"',
        "bankrupt_price": '"42283.5"',
        "trade_turnover": '"84.567"',
    },
    {
        "id": '"150153038759"',
        "contract_code": '"BTC-USDT"',
        "liquidation_time": '"1704067260123"',
        "side": '"sell"',
        "position_side": '"long"',
        "volume": '"479"',
        "amount": '"0.479"',
        "bankrupt_price": '"51441.7"',
        "trade_turnover": '"24640.5743"',
    },
]
_LIQUIDATED_3 = [
    {
        "query_id": row["id"].strip('"'),
        "contract_code": row["contract_code"],
        "symbol": '"BTC"',
        "direction": row["side"],
        "offset": '"close"',
        "volume": row["volume"].strip('"') + ".000000000000000000",
        "price": row["bankrupt_price"].strip('"'),
        "created_at": row["liquidation_time"].strip('"'),
        "amount": row["amount"].strip('"'),
        "trade_turnover": row["trade_turnover"].strip('"'),
    }
    for row in _LIQUIDATED
]

_COIN_ROWS = [{name: value for name, value in row.items() if name != "trade_turnover"} for row in _LINEAR_ROWS]
_COIN_TRADES = [
    {
        **{name: value for name, value in row.items() if name != "trade_turnover"},
        "quantity": quantity,
    }
    for row, quantity in zip(_LINEAR_TRADES, ("0.0047300", "0.236501338"), strict=True)
]


def _of(code: str, speech: Speech, **more: object) -> Speech:
    """The same said of another contract."""
    rows = [
        {name: value.replace("BTC-USDT", code) for name, value in row.items() if name != "trade_turnover"}
        for row in speech.rows
    ]
    foreign = (*speech.foreign, lambda body: body.replace(f'"{code}"'.encode(), b'"ETH-USD"', 1))
    positive = tuple(name for name in speech.positive if name != "trade_turnover")
    numbers = tuple(name for name in speech.numbers if name != "trade_turnover")
    keep = [bend for bend in foreign if bend(speech.wrap(_series(code), rows)) != speech.wrap(_series(code), rows)]
    return replace(
        speech, symbol=code, rows=rows, foreign=tuple(keep), positive=positive, numbers=numbers, **more
    )  # type: ignore[arg-type]


def _series(code: str) -> Series:
    return Series("klines", "htx-inverse", code, "1min")


_COIN_LIQUIDATED = [
    {**row, "amount": amount} for row, amount in zip(_LIQUIDATED_3, ("0.00472998", "0.931151"), strict=True)
]


def _coin_klines(code: str) -> Speech:
    names = ("id", "open", "close", "low", "high", "amount", "vol", "count")
    return Speech(code, _COIN_ROWS, _candles(False), names, "id", ("amount", "vol", "count"), _FOREIGN)


def _coin_trades(code: str) -> Speech:
    names = ("ts", "id", "amount", "price", "quantity")
    return Speech(code, _COIN_TRADES, _groups(False), names, "ts", ("amount", "price", "quantity"), _OTHER_MARKET)


def _coin_liquidations(code: str) -> Speech:
    names = ("query_id", "created_at", "volume", "amount", "price")
    positive = ("query_id", "volume", "amount", "price")
    speech = Speech("BTC-USDT", _COIN_LIQUIDATED, _three, names, "created_at", positive, (_CODE[1],))
    return _of(code, speech)


def _index(code: str) -> Speech:
    rows = [
        {"amount": "0", "close": "42298.6", "count": "0", "high": "42310.0", "id": "1704067200", "low": "4.226E+4",
         "open": "42283.58", "vol": "0"},
        {"amount": "0", "close": "42283.6", "count": "0", "high": "42310.0", "id": "1704067260", "low": "42260",
         "open": "42283.58", "vol": "0"},
    ]  # fmt: skip

    def wrap(series: Series, rows: list[dict[str, str]]) -> bytes:
        return _computed("index")(replace(series, symbol="BTC-USD"), rows)

    names = ("id", "open", "close", "low", "high")
    return Speech(code, rows, wrap, names, "id", (), _price("index").foreign, asked_as="BTC-USD")


_CANDLE = ("t", "o", "h", "l", "c", "v", "et", "qv", "n", "tb", "tq")


def _rows(series: Series, rows: list[dict[str, str]]) -> bytes:
    """HashKey's candles: lists, each element in its place."""
    lists = ("[" + ",".join(row[name] for name in _CANDLE if name in row) + "]" for row in rows)
    return f"[{','.join(lists)}]".encode()


def _bare(series: Series, rows: list[dict[str, str]]) -> bytes:
    return f"[{_text(rows)}]".encode()


def _exchange_info(series: Series, rows: list[dict[str, str]]) -> bytes:
    pairs = [row for row in rows if "contractMultiplier" not in row]
    contracts = [row for row in rows if "contractMultiplier" in row]
    return f'{{"timezone":"UTC","symbols":[{_text(pairs)}],"contracts":[{_text(contracts)}]}}'.encode()


_HASHKEY_CANDLES = [
    {"t": "1704067200000", "o": '"42283.58"', "h": '"42310"', "l": '"42260.1"', "c": '"42298.6"', "v": '"1015"',
     "et": "0", "qv": '"42930.7"', "n": "598", "tb": '"513"', "tq": '"21698.2"'},
    {"t": "1711929600000", "o": '"42298.6"', "h": '"42298.6"', "l": '"42298.6"', "c": '"42298.6"', "v": '"0"',
     "et": "0", "qv": '"0"', "n": "0", "tb": '"0"', "tq": '"0"'},
]  # fmt: skip
_HASHKEY_TRADES = [
    {"t": "1704067200123", "p": '"42283.5"', "q": '"2"', "ibm": "false"},
    {"t": "1704067201456", "p": '"42283.4"', "q": '"17"', "ibm": "true"},
]
_HASHKEY_FUNDINGS = [
    {"id": '"10862"', "symbol": '"BTCUSDT-PERPETUAL"', "settleTime": '"1704096000000"',
     "settleRate": '"-0.000216619259935574"'},
    {"id": '"10852"', "symbol": '"BTCUSDT-PERPETUAL"', "settleTime": '"1704067200000"', "settleRate": '"0.0001"'},
]  # fmt: skip
_HASHKEY_FILLS = [
    {
        "id": number, "clientOrderId": '"a1"', "ticketId": '"1739352552795029504"', "symbol": '"BTCUSDT"',
        "symbolName": '"BTCUSDT"', "orderId": '"1739352552762301440"', "matchOrderId": '"0"', "price": '"42283.5"',
        "qty": '"0.0125"', "commission": '"0.000015"', "commissionAsset": '"BTC"', "time": time, "isBuyer": "true",
        "isMaker": maker, "makerRebate": '"0"',
    }
    for number, time, maker in (
        ('"1739352552862964736"', '"1704067260123"', "false"), ('"1739297914033858304"', '"1704067200000"', "true")
    )
]  # fmt: skip
_HASHKEY_CONTRACTS = [
    {
        "time": time, "tradeId": number, "orderId": '"1744405140008461056"', "symbol": '"BTCUSDT-PERPETUAL"',
        "price": '"42283.5"', "quantity": '"10"', "commissionAsset": '"USDT"', "commission": '"0.2537"',
        "makerRebate": '"0"', "type": '"MARKET"', "side": side, "realizedPnl": '"-3.29278"', "isMarker": "false",
    }
    for number, time, side in (
        ('"1744405140125908224"', '"1704067260123"', '"SELL_CLOSE"'),
        ('"1744400247898104576"', '"1704067200000"', '"BUY_OPEN"'),
    )
]  # fmt: skip
_FILTERS = '[{"tickSize":"0.1","filterType":"PRICE_FILTER"},{"stepSize":"%s","filterType":"LOT_SIZE"}]'


def _own(series: Series, rows: list[dict[str, str]]) -> bytes:
    return f'{{"status":"ok","data":[{_text(rows)}]}}'.encode()


_OTHER = (lambda body: body.replace(b'"btcusdt"', b'"ethusdt"', 1),)
_FILLS = [
    {
        "symbol": '"btcusdt"', "fee-currency": '"btc"', "source": '"spot-api"', "price": '"42283.5"',
        "created-at": created, "role": role, "order-id": "345487249132375", "match-id": "5014", "trade-id": trade,
        "filled-amount": '"0.0125"', "filled-fees": '"0.000025"', "filled-points": '"0"', "fee-deduct-currency": '""',
        "id": "313288753120940", "type": '"buy-limit"',
    }
    for created, role, trade in (("1704067200000", '"taker"', "1085"), ("1704067260123", '"maker"', "1086"))
]  # fmt: skip
_RECORDS = [
    {
        "account-id": "13496526", "currency": '"usdt"', "record-id": record, "transact-amt": '"-10.5"',
        "transact-type": '"transfer"', "avail-balance": '"81.85"', "acct-balance": '"97.01"', "transact-time": when,
    }
    for record, when in (("359044707902783794", "1704067200000"), ("359044690723242123", "1704067260123"))
]  # fmt: skip
_ORDERS = [
    {
        "id": number, "symbol": '"btcusdt"', "account-id": "13496526", "client-order-id": '"a1"', "amount": '"5.0"',
        "price": '"1.25"', "created-at": created, "type": '"sell-limit"', "field-amount": '"5.0"',
        "field-cash-amount": '"6.25"', "field-fees": '"0.0125"', "finished-at": created, "state": '"filled"',
        "canceled-at": "0",
    }
    for number, created in (("357632718898331", "1704067200000"), ("357632718898332", "1704067260123"))
]  # fmt: skip
_DETAILS = [
    {
        "id": number, "contract_code": '"BTC-USDT"', "order_id": '"1513834754585190400"', "trade_id": '"152022944"',
        "side": '"sell"', "type": '"market"', "role": '"TAKER"', "trade_price": '"62688.2"', "trade_volume": '"2"',
        "trade_turnover": '"125.3764"', "created_time": created, "fee_currency": '"USDT"', "trade_fee": '"0.07522584"',
    }
    for number, created in (
        ('"1513834754679549965"', '"1704067200000"'), ('"1513834754679549966"', '"1704067260123"')
    )
]  # fmt: skip


def _coin_margined(code: str, delivery: str) -> dict[str, str]:
    return {
        "symbol": '"BTC"',
        "contract_code": f'"{code}"',
        "contract_size": "100",
        "price_tick": "0.1",
        "delivery_time": delivery,
        "create_date": '"20200325"',
        "contract_status": "1",
    }


TONGUES = {
    "htx-spot": Tongue(
        {
            "/v1/order/matchresults": Speech(
                "btcusdt",
                _FILLS,
                _own,
                ("id", "created-at", "order-id", "trade-id", "price", "filled-amount", "filled-fees"),
                "created-at",
                ("order-id", "trade-id", "price", "filled-amount"),
                _OTHER,
            ),
            "/v1/order/orders": Speech(
                "btcusdt",
                _ORDERS,
                _own,
                ("id", "created-at", "account-id", "price", "amount", "field-amount", "field-cash-amount",
                 "field-fees"),
                "created-at",
                ("id", "account-id"),
                _OTHER,
            ),
            "/v1/account/history": Speech(
                "13496526",  # an account, in place of a symbol
                _RECORDS,
                _own,
                ("account-id", "record-id", "transact-amt", "avail-balance", "acct-balance", "transact-time"),
                "transact-time",
                ("account-id", "record-id"),
                (lambda body: body.replace(b"13496526", b"13496527", 1),),
            ),
            "/market/history/candles": _spot(),
            "/market/history/kline": _spot(),
            "/market/history/trade": Speech(
                "btcusdt",
                _SPOT_TRADES,
                _groups(True),
                ("ts", "trade-id", "amount", "price"),
                "ts",
                ("amount", "price"),
                _OTHER_MARKET,
            ),
        },
        Speech(
            "",
            [
                {
                    "sc": '"btcusdt"',
                    "bc": '"btc"',
                    "qc": '"usdt"',
                    "state": '"online"',
                    "tpp": "2",
                    "tap": "6",
                    "toa": "1514779200000",
                },
                {
                    "sc": '"oldusdt"',
                    "bc": '"old"',
                    "qc": '"usdt"',
                    "state": '"offline"',
                    "tpp": "4",
                    "tap": "2",
                    "toa": "null",
                },
            ],
            _list,
            ("tpp", "tap"),
            "toa",
        ),
        status=("state", '"resting"'),
        typed=("BtcUsdt", "btcusdt"),
    ),
    "htx-linear": Tongue(
        {
            "/linear-swap-ex/market/history/kline": Speech(
                "BTC-USDT",
                _LINEAR_ROWS,
                _candles(False),
                ("id", "open", "close", "low", "high", "amount", "vol", "count"),
                "id",
                ("amount", "vol", "count", "trade_turnover"),
                _FOREIGN,
            ),
            "/v5/market/funding_rate_history": Speech(
                "BTC-USDT", _FUNDING, _five, ("id", "funding_rate", "funding_time"), "funding_time", (), _CODE
            ),
            "/linear-swap-api/v1/swap_historical_funding_rate": Speech(
                "BTC-USDT", _FUNDING_1, _one, ("funding_rate", "funding_time"), "funding_time", (), _CODE
            ),
            "/linear-swap-ex/market/history/trade": Speech(
                "BTC-USDT",
                _LINEAR_TRADES,
                _groups(False),
                ("ts", "id", "amount", "price", "quantity"),
                "ts",
                ("amount", "price", "quantity", "trade_turnover"),
                _OTHER_MARKET,
            ),
            "/index/market/history/linear_swap_mark_price_kline": _price("mark_price"),
            "/index/market/history/linear_swap_premium_index_kline": _price("premium_index"),
            "/index/market/history/linear_swap_estimated_rate_kline": _price("estimated_rate"),
            "/linear-swap-api/v1/swap_his_open_interest": Speech(
                "BTC-USDT",
                _INTEREST,
                _ticks,
                ("volume", "amount_type", "ts"),
                "ts",
                ("volume", "value"),
                (*_CODE, lambda body: body.replace(b'"amount_type":1', b'"amount_type":2', 1)),
            ),
            "/v5/trade/order/details": Speech(
                "BTC-USDT",
                _DETAILS,
                _five,
                ("id", "created_time", "order_id", "trade_id", "trade_price", "trade_volume", "trade_turnover",
                 "trade_fee"),
                "created_time",
                ("id", "order_id", "trade_id", "trade_price", "trade_volume", "trade_turnover"),
                _CODE,
            ),
            "/v5/market/liquidation_orders": Speech(
                "BTC-USDT",
                _LIQUIDATED,
                _five,
                ("id", "liquidation_time", "volume", "amount", "bankrupt_price", "trade_turnover"),
                "liquidation_time",
                ("id", "volume", "amount", "bankrupt_price", "trade_turnover"),
                _CODE,
            ),
            "/linear-swap-api/v3/swap_liquidation_orders": Speech(
                "BTC-USDT",
                _LIQUIDATED_3,
                _three,
                ("query_id", "created_at", "volume", "amount", "price", "trade_turnover"),
                "created_at",
                ("query_id", "volume", "amount", "price", "trade_turnover"),
                _CODE,
            ),
        },
        Speech(
            "",
            [
                {
                    "symbol": '"BTC"',
                    "contract_code": '"BTC-USDT"',
                    "contract_size": "0.001",
                    "price_tick": "0.1",
                    "delivery_time": '""',
                    "create_date": '"20201021"',
                    "contract_status": "1",
                    "business_type": '"swap"',
                    "pair": '"BTC-USDT"',
                },
                {
                    "symbol": '"BTC"',
                    "contract_code": '"BTC-USDT-211231"',
                    "contract_size": "0.001",
                    "price_tick": "0.1",
                    "delivery_time": '"1640937600000"',
                    "create_date": '"20211228"',
                    "contract_status": "8",
                    "business_type": '"futures"',
                    "pair": '"BTC-USDT"',
                },
            ],
            _list,
            ("contract_size", "price_tick", "contract_status"),
            "delivery_time",
        ),
        status=("contract_status", "10"),
        typed=("btc-usdt", "BTC-USDT"),
    ),
    "htx-inverse": Tongue(
        {
            "/swap-ex/market/history/kline": _coin_klines("BTC-USD"),
            "/swap-api/v1/swap_historical_funding_rate": _of(
                "BTC-USD",
                Speech("", _FUNDING_1, _one, ("funding_rate", "funding_time"), "funding_time", (), _CODE),
            ),
            "/swap-ex/market/history/trade": _coin_trades("BTC-USD"),
            "/index/market/history/swap_mark_price_kline": _of("BTC-USD", _price("mark_price")),
            "/index/market/history/index": _index("BTC-USD"),
            "/index/market/history/swap_premium_index_kline": _of("BTC-USD", _price("premium_index")),
            "/index/market/history/swap_estimated_rate_kline": _of("BTC-USD", _price("estimated_rate")),
            "/swap-api/v1/swap_his_open_interest": Speech(
                "BTC-USD",
                [{name: value for name, value in row.items() if name != "value"} for row in _INTEREST],
                _ticks,
                ("volume", "amount_type", "ts"),
                "ts",
                ("volume",),
                (_CODE[1], lambda body: body.replace(b'"amount_type":1', b'"amount_type":2', 1)),
            ),
            "/swap-api/v3/swap_liquidation_orders": _coin_liquidations("BTC-USD"),
        },
        Speech("", [_coin_margined("BTC-USD", '""')], _list, ("contract_size", "price_tick", "contract_status"), ""),
        status=("contract_status", "10"),
        typed=("btc-usd", "BTC-USD"),
    ),
    "htx-futures": Tongue(
        {
            "/market/history/kline": _coin_klines("BTC240329"),
            "/market/history/trade": _coin_trades("BTC240329"),
            "/index/market/history/mark_price_kline": _of("BTC240329", _price("mark_price")),
            "/index/market/history/index": _index("BTC240329"),
            "/api/v3/contract_liquidation_orders": replace(_coin_liquidations("BTC240329"), asked_as="BTC"),
        },
        Speech(
            "",
            [_coin_margined("BTC210813", '"1628841600000"'), _coin_margined("BTC211231", '"1640937600000"')],
            _list,
            ("contract_size", "price_tick", "contract_status"),
            "delivery_time",
        ),
        status=("contract_status", "10"),
        typed=("btc210813", "BTC210813"),
    ),
    "hashkey": Tongue(
        {
            "/quote/v1/klines": Speech(
                "BTCUSDT-PERPETUAL",
                _HASHKEY_CANDLES,
                _rows,
                ("t", "o", "h", "l", "c", "v", "qv", "n", "tb", "tq"),
                "t",
                ("v", "qv", "n", "tb", "tq"),
                early=1_000,
                foreign=(lambda body: body.replace(b"1704067200000", b"1704067201000"),),  # of no period of ours
            ),
            "/quote/v1/trades": Speech(
                "BTCUSDT-PERPETUAL",
                _HASHKEY_TRADES,
                _bare,
                ("t", "p", "q"),
                "t",
                ("p", "q"),
                foreign=(lambda body: body.replace(b'"ibm"', b'"m"'),),
            ),
            "/api/v1/account/trades": Speech(
                "BTCUSDT",
                _HASHKEY_FILLS,
                _bare,
                ("ticketId", "time", "orderId", "price", "qty", "commission"),
                "time",
                ("ticketId", "orderId", "price", "qty"),
                foreign=(
                    lambda body: body.replace(b'"BTCUSDT"', b'"ETHUSDT"', 1),
                    lambda body: body.replace(b'"isMaker":true', b'"isMaker":"yes"', 1),
                    lambda body: body.replace(b'"makerRebate":"0"', b'"makerRebate":"0.1"', 1),
                ),
            ),
            "/api/v1/futures/userTrades": Speech(
                "BTCUSDT-PERPETUAL",
                _HASHKEY_CONTRACTS,
                _bare,
                ("tradeId", "time", "orderId", "price", "quantity", "commission"),
                "time",
                ("tradeId", "orderId", "price", "quantity"),
                foreign=(
                    lambda body: body.replace(b'"BTCUSDT-PERPETUAL"', b'"ETHUSDT-PERPETUAL"', 1),
                    lambda body: body.replace(b'"BUY_OPEN"', b'"BUY"', 1),
                ),
            ),
            "/api/v1/futures/historyFundingRate": Speech(
                "BTCUSDT-PERPETUAL",
                _HASHKEY_FUNDINGS,
                _bare,
                ("id", "settleTime", "settleRate"),
                "settleTime",
                foreign=(lambda body: body.replace(b'"BTCUSDT-PERPETUAL"', b'"ETHUSDT-PERPETUAL"', 1),),
            ),
        },
        Speech(
            "",
            [
                {
                    "symbol": '"BTCUSDT-PERPETUAL"',
                    "status": '"TRADING"',
                    "underlying": '"BTC"',
                    "quoteAsset": '"USDT"',
                    "marginToken": '"USDT"',
                    "inverse": "false",
                    "contractMultiplier": '"0.001"',
                    "filters": _FILTERS % "0.001",
                },
                {
                    "symbol": '"BTCUSDT"',
                    "status": '"HALT"',
                    "baseAsset": '"BTC"',
                    "quoteAsset": '"USDT"',
                    "filters": _FILTERS % "0.00001",
                },
            ],
            _exchange_info,
            ("contractMultiplier",),
            "",
        ),
        status=("status", '"RESTING"'),
        typed=("btcusdt-Perpetual", "BTCUSDT-PERPETUAL"),
        facts=Facts(0.001),
    ),
    "htx-permanent": PERMANENT,
}


def test_every_venue_is_here() -> None:
    """A venue that is registered has a tongue, and so a class below."""
    assert [venue.name for venue in VENUES] == list(TONGUES)
    assert list(TONGUES) == ["htx-spot", "htx-linear", "htx-inverse", "htx-futures", "hashkey", "htx-permanent"]


class TestSpot(VenueContract):
    """HTX spot."""

    venue_name = "htx-spot"
    tongue = TONGUES["htx-spot"]


class TestLinear(VenueContract):
    """HTX USDT-margined contracts."""

    venue_name = "htx-linear"
    tongue = TONGUES["htx-linear"]


class TestInverse(VenueContract):
    """HTX coin-margined swaps."""

    venue_name = "htx-inverse"
    tongue = TONGUES["htx-inverse"]


class TestFutures(VenueContract):
    """HTX coin-margined dated futures."""

    venue_name = "htx-futures"
    tongue = TONGUES["htx-futures"]


class TestHashKey(VenueContract):
    """HashKey Global: spot and perpetuals."""

    venue_name = "hashkey"
    tongue = TONGUES["hashkey"]


class TestPermanent(VenueContract):
    """The permanent contracts of 2019."""

    venue_name = "htx-permanent"
    tongue = PERMANENT


def test_importing_the_venues_loads_no_pandas() -> None:
    """Arrow would, at its first `pa.array`, and that takes as long as all of the venues: a reader in Python waits."""
    code = "import sys, htxdata.venues; print('pyarrow' in sys.modules, 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True False\n"
