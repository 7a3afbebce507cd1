"""Baskets of indices: from HTX's words to columns."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.venues import venue
from htxdata.venues.exchanges import exchange_name
from htxdata.venues.htx import constituents, futures, inverse, linear
from htxdata.venues.terms import Parsed

CODE = "ETH-USDT"
LEG = {"exchange": "huobi", "symbol": "ETH-USDT", "symbol_price": "2379.06", "weights": "20.0000"}
OKX = {**LEG, "exchange": "okex", "symbol_price": "2378.8", "weights": "80"}


def reply(body: bytes | dict[str, Any]) -> Reply:
    return Reply(Request("/x"), 200, body if isinstance(body, bytes) else json.dumps(body).encode(), 0)


def answer(*legs: Any, **change: Any) -> dict[str, Any]:
    data = {
        "components": list(legs),
        "contract_code": CODE,
        "index_price": "2378.947",
        "ts": 1725603895074,
        **change,
    }
    return {"data": data, "status": "ok", "ts": 1725603896779}


def parsed(*legs: Any, **change: Any) -> Parsed:
    return constituents.of_contract(reply(answer(*legs, **change)), CODE)


def columns(found: Parsed) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in found.columns.items()}


# ---------------------------------------------------------------------------------------------- what is read


def test_the_recorded_basket(shared: Path) -> None:
    """Five rows of one instant, the index's own and not the answer's; today's names, and percent as fractions."""
    body = (shared / "reference/samples/htx/linear-index-constituents.json").read_bytes()
    found = constituents.of_contract(reply(body), "ETH-USDT")
    assert columns(found) == {
        "symbol": ["ETH-USDT"] * 5,
        "index_time": [1725603895074000] * 5,
        "index_price": [2378.947] * 5,
        "exchange": ["htx", "okx", "binance", "hitbtc", "bybit"],
        "constituent": ["ETH-USDT"] * 5,
        "price": [2379.06, 2378.8, 2378.91, 2379.125, 2378.84],
        "weight": [0.2] * 5,
    }
    assert (found.page, found.unfit) == (Page(5, 1725603895074000, 1725603895074000), None)
    stored = {name: values for name, values in found.columns.items() if name != "symbol"}
    assert len(conform(dataset("index_constituents"), {**stored, "source": "rest", "received_at": 1})) == 5


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("huobi", "htx"), ("Huobi Global", "htx"), ("HuobiGlobal", "htx"), ("HTX", "htx"), (" huobi\n", "htx"),
        ("okex", "okx"), ("OKEx", "okx"), ("OKX", "okx"), ("gate.io", "gate"), ("GateIO", "gate"), ("Gate", "gate"),
        ("HitBTC", "hitbtc"), ("Coinbase Pro", "coinbase"), ("coinbase-pro", "coinbase"), ("GDAX", "coinbase"),
        ("MXC", "mexc"), ("BitMax", "ascendex"), ("Crypto.com", "crypto.com"), ("CryptoCom", "crypto.com"),
        ("Binance US", "binance us"), ("Some New Place", "some new place"), ("币安", "币安"),
    ],
)  # fmt: skip
def test_one_name_for_each_exchange(said: str, name: str) -> None:
    """Known spellings become one; an unknown name is lower-cased and stripped, and never refused."""
    assert exchange_name(said) == name
    assert columns(parsed({**LEG, "exchange": said}))["exchange"] == [name]


@given(st.text(max_size=12) | st.sampled_from(["Huobi", "gate.io", "CRYPTO.COM"]))
def test_a_name_stays_what_it_became(said: str) -> None:
    """Naming twice is naming once."""
    once = exchange_name(said)
    assert exchange_name(once) == once


DECIMALS = st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False).filter(
    lambda d: -30 < d.as_tuple().exponent < 10  # type: ignore[operator]
)


@given(DECIMALS, st.booleans())
def test_a_weight_is_the_double_next_to_the_hundredth(percent: Any, spelled: bool) -> None:
    """Whatever the digits, and whether HTX writes a text or a number: rounded once, from the exact quotient."""
    text = str(percent)
    leg = json.dumps({**LEG, "weights": "@"}).replace('"@"', f'"{text}"' if spelled else text.lower())
    body = json.dumps(answer("@")).replace('"@"', leg).encode()
    found = constituents.of_contract(reply(body), CODE)
    exact = Fraction(percent) / 100
    assert found.columns["weight"] == [float(exact)]
    # What a double does not carry is counted.
    lossy = Fraction(repr(float(exact))) != exact
    assert (found.unfit == [1]) if lossy else (found.unfit is None)


def test_digits_that_do_not_fit_are_counted() -> None:
    """Of the index for every row, of price and weight for their own."""
    long = "0.10000000000000000555"
    assert parsed(LEG, OKX, index_price=long).unfit == [1, 1]
    assert parsed(LEG, {**OKX, "symbol_price": long, "weights": long}).unfit == [0, 2]
    assert parsed({**LEG, "symbol_price": "2378.91000000"}).unfit is None


def test_weights_need_not_add_up() -> None:
    """That they do is the venue's business: 60 of 100 is stored as said, and so are 300."""
    assert columns(parsed(LEG, {**OKX, "weights": "40"}))["weight"] == [0.2, 0.4]
    assert columns(parsed(LEG, {**OKX, "weights": 280}))["weight"] == [0.2, 2.8]
    assert columns(parsed({**LEG, "weights": "0"}))["weight"] == [0.0]


def test_legs_may_be_quoted_in_something_else() -> None:
    """The pair is HTX's spelling, whatever it is; one exchange may be there with two pairs."""
    found = columns(parsed(LEG, {**LEG, "symbol": "ETH-BTC", "weights": "80"}))
    assert (found["exchange"], found["constituent"]) == (["htx", "htx"], ["ETH-USDT", "ETH-BTC"])


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("legs", "change", "why"),
    [
        ([LEG, LEG], {}, "row 1: 'ETH-USDT' of 'huobi' is there twice"),
        ([LEG, OKX, {**LEG, "exchange": "HTX"}], {}, "row 2: .* of 'HTX' is there twice, first as 'huobi'"),
        ([{**LEG, "weights": "-1"}], {}, "'weights' is -1.0: negative"),
        ([{**LEG, "weights": "a fifth"}], {}, "'weights' is 'a fifth', not a number"),
        ([{**LEG, "weights": "NaN"}], {}, "not a number"),
        ([{**LEG, "weights": None}], {}, "'weights' is None"),
        ([{**LEG, "weights": True}], {}, "'weights' is True"),
        ([{**LEG, "symbol_price": "-0.1"}], {}, "negative"),
        ([{**LEG, "symbol_price": ""}], {}, "not a number"),
        ([{"exchange": "huobi", "symbol": CODE, "weights": "1"}], {}, "'symbol_price' is missing"),
        ([{**LEG, "exchange": " "}], {}, "'exchange' is ' ', not a text"),
        ([{**LEG, "exchange": 7}], {}, "'exchange' is 7"),
        ([{**LEG, "symbol": None}], {}, "'symbol' is None"),
        (["huobi"], {}, "row 0 of 'components' is a str"),
        ([], {}, "looks at something"),
        ([LEG], {"components": None}, "looks at something"),
        ([LEG], {"components": {"0": LEG}}, "looks at something"),
        ([LEG], {"ts": 1725603895}, "not milliseconds"),
        ([LEG], {"ts": None}, "'ts' is None"),
        ([LEG], {"index_price": "-1"}, "negative"),
        ([LEG], {"index_price": None}, "'index_price' is None"),
        ([LEG], {"contract_code": "BTC-USDT"}, "of 'BTC-USDT', asked for 'ETH-USDT'"),
        ([LEG], {"contract_code": None}, "of None"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_whole(legs: list[Any], change: dict[str, Any], why: str) -> None:
    """One bad member, and no row of the answer is used."""
    with pytest.raises(BadReply, match=why):
        parsed(*legs, **change)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"1", b'{"data":{"contract_code":', b'{"ts":1}', b'{"data":null}', b'{"data":[]}',
     b'{"data":[{"contract_code":"ETH-USDT"}]}', b'{"data":"x"}', b'{"\xff', b'{"data":' + b"[" * 100_000],
)  # fmt: skip
def test_a_garbled_answer_is_refused(body: bytes) -> None:
    """No JSON, no object, no data, or data that is no object."""
    for parse in (constituents.of_contract, constituents.of_coin):
        with pytest.raises(BadReply):
            parse(reply(body), CODE)


# ---------------------------------------------------------------------------------------------- who is asked how


def test_the_requests() -> None:
    """Linear contracts by the documented path, then by the one that HTX's skills hub prints; the others by theirs."""
    asked = {
        name: [str(poll.build(symbol)) for poll in venue(name).polls_for("index_constituents")]
        for name, symbol in (
            ("htx-linear", "BTC-USDT"),
            ("htx-inverse", "BTC-USD"),
            ("htx-futures", "BTC261127"),
        )
    }
    assert asked == {
        "htx-linear": [
            "/linear-swap-api/market/swap_contract_constituents?contract_code=BTC-USDT",
            "/linear-swap-ex/market/swap_contract_constituents?contract_code=BTC-USDT",
        ],
        "htx-inverse": ["/swap-api/market/swap_constituents?contract_code=BTC-USD"],
        "htx-futures": ["/api/market/contract_constituents?symbol=BTC"],
    }
    polls = [poll for name in asked for poll in venue(name).polls_for("index_constituents")]
    assert all(poll.docs and not poll.whole and poll.build("X").path == poll.path for poll in polls)
    assert [poll.build("X").pool for poll in polls] == [
        linear.REFERENCE,
        linear.REFERENCE,
        inverse.COIN,
        inverse.COIN,
    ]


@pytest.mark.parametrize("name", [{"symbol": "BTC"}, {"symbol": "BTC-USD"}, {"contract_code": "btc-usd"}])
def test_a_dated_contract_has_the_basket_of_its_coin(name: dict[str, str]) -> None:
    """However the answer names the coin's index, its rows are those of the contract that was meant."""
    body = answer(LEG, contract_code=None)
    body["data"].update(name)
    found = constituents.of_coin(reply(body), "BTC261127")
    assert found.columns["symbol"] == ["BTC261127"]
    body["data"].update(dict.fromkeys(name, "ETH"))
    with pytest.raises(BadReply, match="of 'ETH', asked for 'BTC or BTC-USD'"):
        constituents.of_coin(reply(body), "BTC261127")


# ---------------------------------------------------------------------------------------------- instruments


def test_recorded_coin_margined_contracts(shared: Path) -> None:
    """Swaps and dated futures: sized in dollars, settled in the coin."""
    samples = shared / "reference/samples/htx"
    swaps = columns(inverse.describe(reply((samples / "coinswap-contract-info.json").read_bytes())))
    assert {name: values[0] for name, values in swaps.items()} == {
        "symbol": "BTC-USD", "base": "BTC", "quote": "USD", "settle": "BTC", "kind": "swap", "status": "trading",
        "contract_size": 100.0, "tick_size": 0.1, "lot_size": 1.0, "listed_at": 1585065600_000_000,
        "delivery_at": None,
    }  # fmt: skip
    dated = columns(futures.describe(reply((samples / "coinfut-contract-info.json").read_bytes())))
    assert dated["symbol"] == ["BTC210813", "ETH210813"]
    assert {name: values[1] for name, values in dated.items()} == {
        "symbol": "ETH210813", "base": "ETH", "quote": "USD", "settle": "ETH", "kind": "future", "status": "trading",
        "contract_size": 10.0, "tick_size": 0.001, "lot_size": 1.0, "listed_at": 1627574400_000_000,
        "delivery_at": 1628841600_000_000,
    }  # fmt: skip


SWAP = {
    "symbol": "BTC",
    "contract_code": "BTC-USD",
    "contract_size": 100,
    "price_tick": 0.1,
    "contract_status": 1,
}
DATED = {**SWAP, "contract_code": "BTC210813"}


@pytest.mark.parametrize(
    ("describe", "row", "change"),
    [
        (inverse.describe, SWAP, {"contract_code": "BTCUSD"}),
        (inverse.describe, SWAP, {"contract_code": "ETH-USD"}),
        (inverse.describe, SWAP, {"contract_code": None}),
        (inverse.describe, SWAP, {"contract_status": 10}),
        (inverse.describe, SWAP, {"contract_size": "big"}),
        (futures.describe, DATED, {"contract_code": "BTC-USD"}),
        (futures.describe, DATED, {"contract_code": "BTC_CW"}),
        (futures.describe, DATED, {"contract_code": "ETH210813"}),
        (futures.describe, DATED, {"contract_status": -1}),
        (futures.describe, DATED, {"price_tick": None}),
        (futures.describe, DATED, {"create_date": "2021-07-30"}),
        (futures.describe, DATED, {"delivery_time": 1628841600}),
    ],
)  # fmt: skip
def test_a_contract_that_is_none_is_refused(
    describe: Any, row: dict[str, Any], change: dict[str, Any]
) -> None:
    """Codes that name no coin or another one, states, sizes and days that nobody knows."""
    good = columns(describe(reply({"status": "ok", "data": [row]})))
    assert (good["base"], good["quote"], good["settle"], good["contract_size"]) == (
        ["BTC"],
        ["USD"],
        ["BTC"],
        [100.0],
    )
    with pytest.raises(BadReply):
        describe(reply({"status": "ok", "data": [row, {**row, **change}]}))
