"""What the reference leaves open about permanent's REST answers: both readings are read alike, others refused."""

from __future__ import annotations

import json

import pytest

from htxdata.errors import BadReply, Refused
from htxdata.market import Series
from htxdata.protocol.edge import NEWEST
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.timeline import HOUR, Window
from htxdata.venues import venue
from htxdata.venues.permanent import rest
from htxdata.venues.permanent.answers import judge
from htxdata.venues.terms import NO_FACTS, Facts

NOW = 1_704_067_200_000_000
LEG = {"constituent": "huobi.btcusdt", "price": "42000.5", "weight": "100.0000"}
ENTRY = {"indexPrice": "42000.500000000000000000", "indexTime": NOW // 1000, "constituents": [LEG]}


def reply(body: object, status: int = 200) -> Reply:
    return Reply(Request("/x"), status, json.dumps(body).encode(), NOW)


@pytest.mark.parametrize("outer", [list, lambda one: one[0]], ids=["a list outside", "an object outside"])
@pytest.mark.parametrize("inner", [list, lambda one: one[0]], ids=["a list inside", "an object inside"])
def test_baskets_nest_in_either_way(outer, inner) -> None:  # type: ignore[no-untyped-def]
    """Lists and objects stand for each other at both levels (permanent-v1 4.7)."""
    data = outer([{"ts": NOW // 1000, "symbol": "i.btcusdt", "data": inner([ENTRY])}])
    parsed = rest.baskets(reply({"code": 200, "data": data}), Series("index_constituents", "", "i.btcusdt"))
    assert (parsed.columns["exchange"], parsed.columns["weight"], parsed.page.count) == (["htx"], [1.0], 1)


@pytest.mark.parametrize("spoilt", [{"constituents": []}, {"constituents": [LEG, LEG]}, {"constituents": "x"},
                                    {"constituents": [{**LEG, "constituent": "huobi"}]}])  # fmt: skip
def test_baskets_that_cannot_be(spoilt: dict[str, object]) -> None:
    """No leg, a leg twice, no list, a leg of no exchange."""
    data = {"symbol": "i.btcusdt", "data": [{**ENTRY, **spoilt}]}
    with pytest.raises(BadReply):
        rest.baskets(reply({"code": 200, "data": data}), Series("index_constituents", "", "i.btcusdt"))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"code": 200, "data": []}, 200, None),
        ({"status": "ok", "ts": 1, "data": []}, 200, None),  # as in the first outline
        ({"code": 200, "data": []}, 500, "server"),
        ({"code": 2002, "message": "invalid.symbol"}, 200, "symbol"),
        ({"code": 2002, "message": "invalid.interval"}, 200, "invalid"),
        ({"code": 500, "message": "system.error"}, 200, "busy"),
        ({"code": 429, "message": "too many requests"}, 429, "throttled"),
        ({"status": "error", "err-code": "x", "err-msg": "invalid symbol"}, 200, "symbol"),
        ({"code": 1234, "message": "no"}, 200, "refused"),
        ({"data": []}, 200, "garbled"),
        ({"code": 200}, 200, "garbled"),
    ],
)
def test_both_envelopes_are_judged(body: object, status: int, kind: str | None) -> None:
    """Success and error of the last revision and of the first outline (permanent-v1 3.1)."""
    fault = judge(reply(body, status))
    assert (fault and fault.kind) == kind


def test_the_edge_is_the_near_one_and_now_unless_said() -> None:
    """`start` is the last instant of the window, in the unit of the endpoint; none at all asks for the newest."""
    by_unit = [e for e in venue("htx-permanent").endpoints if e.dataset == "klines"]
    series = Series("klines", "htx-permanent", "btcusdt", "60min")
    ask = Ask(Window(NOW - HOUR, NOW), 500)
    said = [dict(endpoint.build(series, ask).params) for endpoint in by_unit]
    assert [params["start"] for params in said] == [str(NOW // 1_000_000 - 1), str(NOW // 1_000 - 1)]
    assert said[0] == {"symbol": "btcusdt", "interval": "60m", "start": said[0]["start"], "limit": "500"}
    assert "start" not in dict(by_unit[0].build(series, Ask(NEWEST, 500)).params)


def test_what_is_asked_by_another_name_is_not_asked_without_it() -> None:
    """Index candles are never asked for by the contract's symbol: that would be the contract's candles."""
    (first, _) = [e for e in venue("htx-permanent").endpoints if e.dataset == "index_klines"]
    series = Series("index_klines", "htx-permanent", "btcusdt", "60min")
    assert first.under(series, Facts(0.001, {"index": "i.btcusdt"})).symbol == "i.btcusdt"
    with pytest.raises(Refused, match="does not name the index of btcusdt"):
        first.under(series, NO_FACTS)


def test_a_contract_that_is_not_linear_has_no_size_in_base_units() -> None:
    """Its face value may be anything: of quanto and coin-margined contracts nothing is made up."""
    row = {
        "symbol": "btcusd", "indexId": "i", "markPriceId": "m", "contractSize": "1", "contractType": "swap",
        "baseCurrency": "btc", "quoteCurrency": "usd", "marginCurrency": "eth", "minOrderSize": 1, "tickSize": "0.5",
        "instStatus": "normal",
    }  # fmt: skip
    venue_ = venue("htx-permanent")
    parsed = venue_.describe(reply({"code": 200, "data": [row, {**row, "symbol": "x", "marginCurrency": "usd"}]}))
    assert parsed.columns["contract_size"] == [None, 1.0]
    assert parsed.names == {"index": ["i", "i"], "mark": ["m", "m"]}
