"""HashKey's mark and index prices: recorded answers, and what is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.timeline import parse_instant
from htxdata.venues import venue
from htxdata.venues.hashkey import prices, symbols
from htxdata.venues.terms import Parsed

HASHKEY = venue("hashkey")
PERPETUAL = "BTCUSDT-PERPETUAL"
DATE = {"date": "Wed, 23 Sep 2026 08:00:01 GMT"}
THEN = parse_instant("2026-09-23T08:00:01Z")


def reply(body: Any, headers: Any = DATE) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(Request("/quote/v1/x"), 200, raw, 1, headers)


def storable(parsed: Parsed, name: str) -> bool:
    columns = {name: values for name, values in parsed.columns.items() if name != "symbol"}
    table = conform(dataset(name), {**columns, "source": "rest", "received_at": 1}, parsed.unfit)
    return table.num_rows == parsed.page.count


def test_a_recorded_mark_price(shared: Path) -> None:
    """Its contract, its whole second, its price."""
    body = (shared / "reference/samples/hashkey/markprice-mena-doc.json").read_bytes()
    parsed = prices.mark(reply(body), "BTCUSD-PERPETUAL")
    assert parsed.columns == {
        "symbol": ["BTCUSD-PERPETUAL"], "price_time": [1769068545000000], "price": [89768.358]
    }  # fmt: skip
    assert (parsed.page, parsed.unfit) == (Page(1, 1769068545000000, 1769068545000000), None)
    assert storable(parsed, "mark_prices")


@pytest.mark.parametrize(
    ("name", "contract", "price", "average"),
    [
        ("index-price-glb.json", PERPETUAL, 86622.9, 86627.3661711),
        ("index-mena-doc.json", "BTCUSD-PERPETUAL", 89932.112, 89950.99238048),
    ],
)
def test_recorded_indices(shared: Path, name: str, contract: str, price: float, average: float) -> None:
    """Under the perpetual, of the time of the answer; `edp` is the average."""
    body = (shared / "reference/samples/hashkey" / name).read_bytes()
    for asked in (None, contract):
        parsed = prices.index(reply(body), asked)
        assert parsed.columns == {
            "symbol": [contract], "price": [price], "average_price": [average], "observed_at": [THEN]
        }  # fmt: skip
        assert (parsed.page, parsed.unfit) == (Page(1, THEN, THEN), None)
        assert storable(parsed, "index_prices")


@pytest.mark.parametrize(
    ("text", "value", "lost"),
    [
        ('"89768.3"', 89768.3, None), ('"89768.358000000000000000"', 89768.358, None),
        ('"29832.490000000044521208"', 29832.490000000045, [1]), ("89768.3", 89768.3, None),
        ('"0.147186000943266576"', 0.14718600094326658, [1]),
    ],
)  # fmt: skip
def test_any_number_of_decimals(text: str, value: float, lost: list[int] | None) -> None:
    """One or eighteen [wire], as text or number; what a DOUBLE does not carry is counted."""
    said = f'{{"exchangeId":301,"symbolId":"{PERPETUAL}","price":{text},"time":"1769068545000"}}'.encode()
    parsed = prices.mark(reply(said), PERPETUAL)
    assert (parsed.columns["price"], parsed.unfit) == ([value], lost)
    found = prices.index(reply(b'{"index":{"BTCUSDT":%b,"A":"1"},"edp":{"BTCUSDT":"1"}}' % text.encode()), None)
    assert (found.columns["price"], found.unfit) == ([value, 1.0], lost and [*lost, 0])


@pytest.mark.parametrize("averages", [{}, {"edp": {}}, {"edp": None}, {"edp": {"BTCUSDT": None}}])
def test_an_index_without_an_average(averages: dict[str, Any]) -> None:
    """Where the venue says none it is NULL."""
    parsed = prices.index(reply({"index": {"BTCUSDT": "2"}, **averages}), None)
    assert (parsed.columns["price"], parsed.columns["average_price"]) == ([2.0], [None])
    assert storable(parsed, "index_prices")


def test_an_unknown_index_is_no_row() -> None:
    """Nor is it an error: that is what the venue says of a name that it does not know [wire]."""
    nothing = prices.index(reply({"index": {}, "edp": {}}), PERPETUAL)
    assert (nothing.page.count, nothing.columns["symbol"]) == (0, [])


GOOD = {"symbolId": PERPETUAL, "price": "100.5", "time": 1769068545000}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"symbolId": "ETHUSDT-PERPETUAL"}, "asked for 'BTCUSDT-PERPETUAL'"), ({"symbolId": None}, "is of None"),
        ({"price": "0"}, "no price"), ({"price": "-1"}, "negative"), ({"price": "NaN"}, "not a number"),
        ({"price": None}, "'price'"), ({"price": ""}, "not a number"), ({"price": "0x1"}, "not a number"),
        ({"time": 1769068545}, "not milliseconds"), ({"time": "soon"}, "not a number"), ({"time": None}, "'time'"),
    ],
)  # fmt: skip
def test_what_is_no_mark_price_is_refused(change: dict[str, Any], why: str) -> None:
    """Of another contract, no price, no time: nothing of it is taken."""
    with pytest.raises(BadReply, match=why):
        prices.mark(reply({**GOOD, **change}), PERPETUAL)
    with pytest.raises(BadReply):
        prices.mark(reply({name: value for name, value in GOOD.items() if name not in change}), PERPETUAL)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"edp": {}}, "'index' is None"), ({"index": [], "edp": {}}, "'index' is"),
        ({"index": {}, "edp": []}, "'edp' is"),
        ({"index": {"BTCUSDT": "0"}, "edp": {}}, "no price"), ({"index": {"BTCUSDT": {}}, "edp": {}}, "'BTCUSDT' is"),
        ({"index": {"BTCUSDT": "1"}, "edp": {"BTCUSDT": "x"}}, "not a number"),
        ({"index": {"BTCUSDT": "1"}, "edp": {"BTCUSDT": "0"}}, "no price"),
        ({"index": {"BTCUSDT": "1"}, "edp": {"value": {}}}, "'edp' has 'value'"),
        ({"index": {"ETHUSDT": "1"}, "edp": {}}, "index 'ETHUSDT', asked for 'BTCUSDT-PERPETUAL'"),
        ({"index": {"": "1"}, "edp": {}}, "the index ''"), ([], "no object"), (b"", "no object"),
        (b'{"index":{"BTCUSDT":"1"', "no object"), (b"<html></html>", "no object"),
    ],
)  # fmt: skip
def test_what_is_no_index_is_refused(said: Any, why: str) -> None:
    """Other shapes, other names, no prices."""
    with pytest.raises(BadReply, match=why):
        prices.index(reply(said), PERPETUAL)


def test_an_index_has_the_time_of_the_answer() -> None:
    """Our own clock would be another one (law 10)."""
    with pytest.raises(BadReply, match="no Date"):
        prices.index(reply({"index": {"BTCUSDT": "1"}, "edp": {}}, {}), None)


def test_how_they_are_asked_for() -> None:
    """A mark price by its contract, indices all at once, and what that did not tell by its name; pairs have none."""
    (mark,) = HASHKEY.polls_for("mark_prices")
    every, one = HASHKEY.polls_for("index_prices")
    assert (mark.whole, every.whole, one.whole) == (False, True, False)
    assert [str(mark.build(PERPETUAL)), str(every.build(None)), str(one.build(PERPETUAL))] == [
        f"/quote/v1/markPrice?symbol={PERPETUAL}", "/quote/v1/index", "/quote/v1/index?symbol=BTCUSDT"
    ]  # fmt: skip
    for name in ("mark_prices", "index_prices"):
        assert (symbols.has(name, PERPETUAL), symbols.has(name, "BTCUSDT")) == (True, False)
