"""HashKey's answers, value by value: the recorded ones where they are at hand, and the shapes that it may send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.hashkey import constituents, funding, own, parse, symbols
from htxdata.venues.hashkey.verdicts import judge
from htxdata.venues.terms import NO_FACTS, Facts

PERPETUAL = "BTCUSDT-PERPETUAL"
SIZED = Facts(0.001)
DATE = {"date": "Mon, 05 Aug 2024 08:00:01 GMT"}


def reply(body: Any, path: str = "/quote/v1/klines", status: int = 200, headers: Any = None) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(Request(path), status, raw, 1, headers or {})


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference/samples/hashkey" / name).read_bytes()


@pytest.mark.parametrize("row", [1, "x", None, [1]])
@pytest.mark.parametrize(
    "read",
    [
        lambda said: parse.trades(said, Series("trades", "hashkey", PERPETUAL), SIZED),
        lambda said: funding.history(said, Series("funding_rates", "hashkey", PERPETUAL)),
        lambda said: funding.coming(said, None),
        lambda said: own.spot_fills(said, Series("own_fills", "hashkey", "BTCUSDT")),
        lambda said: own.perpetual_fills(said, Series("own_fills", "hashkey", PERPETUAL), SIZED),
        lambda said: symbols.describe(reply({"symbols": json.loads(said.body), "contracts": []})),
    ],
    ids=["trades", "fundings", "coming fundings", "fills", "fills of perpetuals", "instruments"],
)
def test_a_row_that_is_no_object_is_refused(read: Any, row: Any) -> None:
    """Whatever is listed: the reply is set aside, and the run goes on."""
    with pytest.raises(BadReply, match=f"row 0 is a {type(row).__name__}, not an object"):
        read(reply([row], headers=DATE))


# ------------------------------------------------------------------------------------------------- candles


def test_a_recorded_candle_of_a_perpetual_counts_contracts(shared: Path) -> None:
    """1015 contracts of a thousandth are 1.015 coins, and 65258.64 USDT at 64300: that is how the size is known."""
    said = json.loads(sample(shared, "klines-perpetual-3m.json"))
    said[0][0] -= said[0][0] % 300_000  # of five minutes, as three are no period of ours
    parsed = parse.klines(reply(said[:1]), Series("klines", "hashkey", PERPETUAL, "5min"), SIZED)
    row = {name: values[0] for name, values in parsed.columns.items()}
    assert row == {
        "open_time": said[0][0] * 1000, "open": 64306.4, "high": 64319.0, "low": 64278.5, "close": 64280.7,
        "volume": 1.015, "contracts": 1015.0, "quote_volume": 65258.6407, "trade_count": 598,
        "taker_buy_volume": 0.513, "taker_buy_quote_volume": 32983.9999,
    }  # fmt: skip
    assert row["volume"] * row["close"] == pytest.approx(row["quote_volume"], rel=1e-3)
    assert (parsed.page.count, parsed.page.first) == (1, said[0][0] * 1000)


def test_recorded_candles_of_a_pair_count_coins(shared: Path) -> None:
    """And one without a trade carries the last price."""
    parsed = parse.klines(
        reply(sample(shared, "klines-spot-1m-mena-doc.json")), Series("klines", "hashkey", "BTCUSDT", "1min"), NO_FACTS
    )
    assert parsed.columns["volume"] == [0.0, 0.0, 0.00012]
    assert parsed.columns["quote_volume"] == [0.0, 0.0, 10.69218]
    assert parsed.columns["trade_count"] == [0, 0, 1]
    assert "contracts" not in parsed.columns


def test_without_the_size_of_a_contract_nothing_is_read() -> None:
    """Sizes of a perpetual mean nothing without it."""
    row = [1721909700000, "1", "1", "1", "1", "5", 0, "5", 1, "0", "0"]
    for read, said in ((parse.klines, [row]), (parse.trades, [{"t": 1721909700000, "p": "1", "q": "1", "ibm": True}])):
        with pytest.raises(BadReply, match="size of a contract"):
            read(reply(said), Series("klines", "hashkey", PERPETUAL, "1min"), NO_FACTS)
        assert read(reply([]), Series("klines", "hashkey", PERPETUAL, "1min"), NO_FACTS).page.count == 0


@given(st.integers(0, 10**12), st.sampled_from([0.001, 0.01, 10.0, 1e-8]))
def test_contracts_become_the_nearest_double_of_the_exact_product(contracts: int, size: float) -> None:
    """Not a product of doubles: 3 of a tenth are 0.3."""
    from fractions import Fraction

    base, said, _ = parse.sized({"v": str(contracts)}, "v", 0, size)
    assert said == contracts
    assert base == float(Fraction(repr(size)) * contracts)


@pytest.mark.parametrize("period", ["60min", "4hour", "1day", "1week", "1mon"])
def test_candles_that_open_elsewhere_are_refused(period: str) -> None:
    """An answer names no interval: what opens off the grid of UTC is another's, or the venue's days are not UTC's."""
    row = [1704067260000, "1", "1", "1", "1", "5", 0, "5", 1, "0", "0"]
    with pytest.raises(BadReply, match=f"no candle of {period} opens at 2024-01-01T00:01"):
        parse.klines(reply([row]), Series("klines", "hashkey", "BTCUSDT", period), NO_FACTS)


# ------------------------------------------------------------------------------------------------- trades


def test_trades_are_named_by_what_they_say_and_how_often(shared: Path) -> None:
    """Time, price, size as the venue says it, side, and which of several alike; the buyer's maker means a sale."""
    said = [
        {"t": 1723228382236, "p": "60125.7", "q": "2", "ibm": False},
        {"t": "1723228382236", "p": "60125.70", "q": "2", "ibm": False},
        {"t": 1723228382236, "p": "60125.7", "q": "2", "ibm": True},
        {"t": 1723228382237, "p": "60125.7", "q": "2", "ibm": False},
    ]
    parsed = parse.trades(reply(said), Series("trades", "hashkey", PERPETUAL), SIZED)
    assert parsed.columns["trade_id"] == [
        "1723228382236-60125.7-2-buy-1", "1723228382236-60125.7-2-buy-2", "1723228382236-60125.7-2-sell-1",
        "1723228382237-60125.7-2-buy-1",
    ]  # fmt: skip
    assert (parsed.columns["quantity"], parsed.columns["contracts"]) == ([0.002] * 4, [2.0] * 4)
    spot = parse.trades(reply(sample(shared, "trades-spot.json")), Series("trades", "hashkey", "BTCUSDT"), NO_FACTS)
    assert spot.columns["trade_id"] == ["1723228261453-60064.04-0.00024-buy-1"]


# ------------------------------------------------------------------------------------------------- fundings


def test_recorded_fundings(shared: Path) -> None:
    """Newest first, every digit of a rate counted, the smallest id the way on."""
    series = Series("funding_rates", "hashkey", "ETHUSDT-PERPETUAL")
    parsed = funding.history(reply(sample(shared, "funding-history.json")), series)
    assert parsed.columns["funding_time"] == [1722844800000000, 1722816000000000]
    assert parsed.columns["funding_rate"] == [-0.000216619259935574, 0.0001]
    assert (parsed.page.first, parsed.page.last, parsed.page.cursor) == (1722816000000000, 1722844800000000, "10852")


def test_the_coming_fundings_have_the_time_of_the_answer(shared: Path) -> None:
    """HashKey says no time but in the head of its answer; an answer without one is refused (law 10)."""
    body = sample(shared, "funding-current-all.json")
    parsed = funding.coming(reply(body, headers=DATE), None)
    assert parsed.columns == {
        "symbol": ["BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL"],
        "observed_at": [1722844801000000] * 2,
        "funding_time": [1722297600000000] * 2,
        "funding_rate": [0.0001] * 2,
    }
    with pytest.raises(BadReply, match="no Date"):
        funding.coming(reply(body), None)
    with pytest.raises(BadReply, match="already"):
        funding.coming(reply(json.loads(body) * 2, headers=DATE), None)


# ------------------------------------------------------------------------------------------------- instruments


def test_recorded_instruments(shared: Path) -> None:
    """A contract's base is its underlying, its lot is in base units over there and in contracts here."""
    parsed = symbols.describe(reply(sample(shared, "exchangeinfo-all-2024.json"), "/api/v1/exchangeInfo"))
    rows = [dict(zip(parsed.columns, values, strict=True)) for values in zip(*parsed.columns.values(), strict=True)]
    pair, contract = rows
    assert {name: pair[name] for name in ("symbol", "base", "quote", "kind", "status", "tick_size", "lot_size")} == {
        "symbol": "BTCUSDT", "base": "BTC", "quote": "USDT", "kind": "spot", "status": "trading", "tick_size": 0.01,
        "lot_size": 0.00001,
    }  # fmt: skip
    assert (contract["symbol"], contract["base"], contract["settle"]) == (PERPETUAL, "BTC", "USDT")
    assert (contract["kind"], contract["contract_size"], contract["lot_size"]) == ("swap", 0.001, 1.0)


def test_an_inverse_contract_has_no_size_here() -> None:
    """What its numbers would count is not known: it is listed, and its data are refused."""
    row = {
        "symbol": "BTCUSD-PERPETUAL", "status": "TRADING", "underlying": "BTC", "quoteAsset": "USD",
        "marginToken": "BTC", "inverse": True, "contractMultiplier": "1",
        "filters": [{"tickSize": "0.1", "filterType": "PRICE_FILTER"}, {"stepSize": "1", "filterType": "LOT_SIZE"}],
    }  # fmt: skip
    parsed = symbols.describe(reply({"symbols": [], "contracts": [row]}, "/api/v1/exchangeInfo"))
    assert parsed.columns["contract_size"] == [None]


def test_what_a_symbol_has() -> None:
    """Pairs have no funding and no index; both have candles, trades and books."""
    for dataset in ("klines", "trades", "book_changes", "quotes", "instruments"):
        assert symbols.has(dataset, "BTCUSDT")
        assert symbols.has(dataset, PERPETUAL)
    for dataset in ("funding_rates", "indicative_funding_rates", "index_constituents"):
        assert not symbols.has(dataset, "BTCUSDT")
        assert symbols.has(dataset, PERPETUAL)


# ------------------------------------------------------------------------------------------------- the formula


def test_the_recorded_formula(shared: Path) -> None:
    """Each exchange with its price and weight, under one name for each (OKEX is OKX)."""
    said = json.loads(sample(shared, "ws-v1-index-formula.json"))["data"][0]
    rows, unfit = constituents.read(said["formula"], said["symbol"])
    assert [(row["exchange"], row["price"], row["weight"]) for row in rows] == [
        ("kraken", 86672.9, 0.2), ("binance", 86669.24, 0.2), ("bybit", 86671.2, 0.2), ("coinbase", 86638.31, 0.2),
        ("okx", 86674.4, 0.2),
    ]  # fmt: skip
    assert {row["constituent"] for row in rows} == {"BTCUSDT"}
    assert unfit == 0
    assert sum(row["price"] * row["weight"] for row in rows) == pytest.approx(float(said["index"]), abs=0.01)


@pytest.mark.parametrize(
    "formula",
    [
        None, "", "()", "(1[A]*1", "1[A]*1", "(1[A])/1", "(1[A]*0.5)", "(1[A]*0.5+2[A]*0.5)", "(0[A]*1)",
        "(1[OKX]*0.5+2[OKEX]*0.5)", "(1[A]*0.5-1[B]*0.5)",
        "(1[A]*0.5+2[B]*0.5)x", "(1e5[A]*1)", "(-1[A]*1)", "(1[A]*0.5+(2[B]*0.5))",
    ],
)  # fmt: skip
def test_a_formula_of_another_form_is_refused(formula: Any) -> None:
    """Divisors, one exchange twice, weights that are not whole together: nothing of it is guessed."""
    with pytest.raises(BadReply):
        constituents.read(formula, "BTCUSDT")


# ------------------------------------------------------------------------------------------------- own fills


def test_recorded_fills_of_a_pair(shared: Path) -> None:
    """The fee in the coin that was bought, the ticket's number and the client's own."""
    series = Series("own_fills", "hashkey", "ETHUSDT")
    parsed = own.spot_fills(reply(sample(shared, "my-trades-spot.json")), series)
    assert {name: values[0] for name, values in parsed.columns.items()} == {
        "trade_time": 1722082982097000, "trade_id": "1739352552795029504", "order_id": "1739352552762301440",
        "side": "buy", "price": 3289.96, "quantity": 0.001, "fee": 0.0000012, "fee_currency": "ETH", "role": "taker",
        "order_type": None, "client_order_id": "1722082982086472",
    }  # fmt: skip
    assert (parsed.page.count, parsed.page.first, parsed.page.last) == (2, 1722076468643000, 1722082982097000)


def test_recorded_fills_of_a_perpetual(shared: Path) -> None:
    """Ten contracts of a thousandth; without their size nothing is read."""
    series = Series("own_fills", "hashkey", "ETHUSDT-PERPETUAL")
    parsed = own.perpetual_fills(reply(sample(shared, "my-trades-futures.json")), series, SIZED)
    assert {name: values[0] for name, values in parsed.columns.items()} == {
        "trade_time": 1722685297437000, "trade_id": "1722685297437-2998.25-10-sell-1",
        "order_id": "1744405140008461056", "side": "sell", "price": 2998.25, "quantity": 0.01, "fee": 0.0179895,
        "fee_currency": "USDT", "role": "taker", "order_type": "MARKET", "client_order_id": None,
    }  # fmt: skip
    with pytest.raises(BadReply, match="size of a contract"):
        own.perpetual_fills(reply(sample(shared, "my-trades-futures.json")), series, NO_FACTS)


# ------------------------------------------------------------------------------------------------- verdicts


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b'{"code":"-1130","msg":"Illegal parameter symbol"}', 400, "symbol"),
        (b'{"code":"-1130","msg":"Illegal parameter limit"}', 400, "invalid"),
        (b'{"code":-100011,"msg":"Not supported symbols"}', 400, "symbol"),
        (b'{"code":"-100011","msg":"Not supported symbols"}', 200, "symbol"),
        (b'{"code":-100010,"msg":"Invalid Symbols!"}', 400, "symbol"),
        (b'{"code":-100012,"msg":"Parameter symbol [String] missing!"}', 400, "invalid"),
        (b'{"code":-10009,"msg":"Bad kline interval!"}', 400, "invalid"),
        (b'{"code":"-1151","msg":"The trading pair is not open yet"}', 400, "symbol"),
        (b'{"code":"0001","msg":"Required field timestamp missing or invalid"}', 400, "invalid"),
        (b'{"code":"0003","msg":"Rate limit exceeded"}', 400, "throttled"),
        (b'{"code":"-1007","msg":"Timeout"}', 400, "busy"),
        (b'{"code":"0102","msg":"Invalid APIKey"}', 400, "key"),
        (b'{"code":102,"msg":"Invalid APIKey"}', 400, "key"),
        (b'{"code":"0202","msg":"IP not allowed"}', 400, "key"),
        (b'{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow"}', 400, "clock"),
        (b'{"code":"-1005","msg":"No permission"}', 400, "key"),
        (b'{"code":"-1006","msg":"Execution status unknown"}', 400, "busy"),
        (b'{"code":"-1143","msg":"Order not found on order book"}', 400, "refused"),
        (b'{"code":404,"msg":"No static resource quote/v2/index."}', 404, "absent"),
        (b"<html><h1>404 Not Found</h1></html>", 404, "absent"),
        (b"<html>maintenance</html>", 200, "garbled"),
        (b"[[1,2", 200, "garbled"),
        (b"", 200, "garbled"),
        (b"", 429, "throttled"),
        (b"", 418, "banned"),
    ],
)
def test_what_is_wrong(body: bytes, status: int, kind: str) -> None:
    """Both spellings of a code, pages of HTML, half an answer, nothing."""
    fault = judge(reply(body, status=status))
    assert fault is not None
    assert fault.kind == kind


def test_a_429_is_a_pause_and_a_418_the_end() -> None:
    """A minute, and longer than any request has patience for; where the venue says how long, that."""
    said = {status: judge(reply(b"", status=status)) for status in (429, 418)}
    assert {status: fault and fault.pause for status, fault in said.items()} == {429: 60.0, 418: 3600.0}
    told = judge(reply(b"", status=418, headers={"retry-after": "7"}))
    assert told is not None
    assert told.pause is None  # the header's


def test_an_empty_200_is_an_unknown_contract_where_mark_prices_are_asked_for() -> None:
    """And nowhere else [wire]."""
    fault = judge(reply(b"", "/quote/v1/markPrice"))
    assert fault is not None
    assert fault.kind == "symbol"
    assert judge(reply(b'{"index":{},"edp":{}}', "/quote/v1/index")) is None


def test_one_code_says_what_is_missing_and_what_is_wrongly_signed() -> None:
    """Of a signed question it is the key's fault only where it names the signature."""
    private = Request("/api/v1/account", private=True)
    for name, kind in (("signature", "key"), ("limit", "invalid")):
        body = b'{"code":"0001","msg":"Required field %s missing or invalid"}' % name.encode()
        fault = judge(Reply(private, 400, body, 1))
        assert fault is not None
        assert fault.kind == kind
