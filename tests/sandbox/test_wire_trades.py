"""Trades on the wire: orders and their fills, ids, sizes, ends, faults; and ccxt, which reads exactly the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt
import numpy as np
import pytest

from htxdata.sandbox import Market, Rule, Sandbox
from htxdata.sandbox.instruments import instant
from tests.sandbox.conftest import NOON, Client
from tests.sandbox.test_faults import harmed
from tests.sandbox.test_wire_reference import assert_shaped

SPOT = "/market/history/trade"
LINEAR = "/linear-swap-ex/market/history/trade"
NOW = NOON * 10**6


def flat(body: Any) -> list[dict[str, Any]]:
    """The fills of all groups, in the order of the page."""
    return [fill for group in body["data"] for fill in group["data"]]


def assert_spot(fills: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Fills of a spot page, put in ascending order, against the columns of the truth."""
    assert [fill["trade-id"] for fill in fills] == truth["trade_id"].tolist()
    assert [fill["ts"] * 1000 for fill in fills] == truth["trade_time"].tolist()
    assert [fill["price"] for fill in fills] == truth["price"].tolist()
    assert [fill["amount"] for fill in fills] == truth["quantity"].tolist()
    assert [fill["direction"] for fill in fills] == truth["side"].tolist()


def assert_linear(fills: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Fills of a linear page against the columns of the truth."""
    names = {
        "id": "trade_id",
        "price": "price",
        "amount": "contracts",
        "quantity": "quantity",
        "trade_turnover": "quote_quantity",
        "direction": "side",
    }
    for field, column in names.items():
        assert [fill[field] for fill in fills] == truth[column].tolist(), field
    assert [fill["ts"] * 1000 for fill in fills] == truth["trade_time"].tolist()


# ------------------------------------------------------------------------------------------------- spot


@pytest.mark.parametrize("symbol", ["btcusdt", "dogeusdt", "pepeusdt", "ethbtc", "steemusdt", "币安人生usdt"])
def test_spot_pages_are_the_newest_trades(still: Client, market: Market, symbol: str) -> None:
    """A page holds every trade from its oldest one to the sandbox's clock, value by value, newest first."""
    body = still.spot(SPOT, symbol=symbol, size=300)
    assert {name: body[name] for name in body if name != "data"} == {
        "ch": f"market.{symbol}.trade.detail", "status": "ok", "ts": NOON * 1000,
    }  # fmt: skip
    fills = flat(body)[::-1]
    assert_spot(fills, market.trades("htx-spot", symbol, fills[0]["ts"] * 1000, NOW))


def test_size_counts_orders(still: Client) -> None:
    """As many groups as asked for come back, and more fills than that, for an order may meet several others."""
    body = still.spot(SPOT, symbol="btcusdt", size=2000)
    assert len(body["data"]) == 2000
    assert len(flat(body)) > 2100
    assert len(still.spot(SPOT, symbol="btcusdt")["data"]) == 1
    again = still.spot(SPOT, symbol="btcusdt", size=7)["data"]
    assert again == body["data"][:7]


def test_fills_of_an_order_share_their_time_and_side(still: Client) -> None:
    """A group is one taker order: one instant, one side, prices that walk away from the taker."""
    groups = still.spot(SPOT, symbol="btcusdt", size=500)["data"]
    assert [group["id"] for group in groups] == sorted({group["id"] for group in groups}, reverse=True)
    several = [group for group in groups if len(group["data"]) > 1]
    assert len(several) > 30
    for group in groups:
        assert {fill["ts"] for fill in group["data"]} == {group["ts"]}
        assert len({fill["direction"] for fill in group["data"]}) == 1
    for group in several:
        prices = [fill["price"] for fill in group["data"]]
        worse = prices if group["data"][0]["direction"] == "buy" else prices[::-1]
        assert worse == sorted(worse, reverse=True)
        assert worse[0] > worse[-1]


def test_inner_ids_are_too_long_for_machines(still: Client) -> None:
    """The obsolete id has 21 to 27 digits and begins with its group's; some occur twice, the trade-id never does."""
    text = still.get("htx_spot_rest", SPOT, symbol="btcusdt", size=2000).text
    groups = json.loads(text)["data"]
    long = [(str(fill["id"]), str(group["id"])) for group in groups for fill in group["data"]]
    assert all(inner.startswith(outer) for inner, outer in long)
    assert {len(inner) for inner, _ in long} == set(range(21, 28))
    assert len({inner for inner, _ in long}) < len(long)
    assert f'"id":{long[0][0]},' in text
    fills = flat({"data": groups})
    assert len({fill["trade-id"] for fill in fills}) == len(fills)


def test_spot_spells_numbers_as_java_does(still: Client) -> None:
    assert "E-6," in still.get("htx_spot_rest", SPOT, symbol="pepeusdt", size=9).text
    assert "E-4," in still.get("htx_spot_rest", SPOT, symbol="dogeusdt", size=9).text


def test_the_newest_order_alone(still: Client) -> None:
    newest = still.spot(SPOT, symbol="ethusdt")["data"][0]
    body = still.spot("/market/trade", symbol="ethusdt")
    assert body["tick"] == newest
    assert body["ch"] == "market.ethusdt.trade.detail"


def test_spot_errors(still: Client) -> None:
    for path in (SPOT, "/market/trade"):
        for symbol in ("nonsense", "BTCUSDT", ""):
            body = still.spot(path, symbol=symbol)
            assert (body["status"], body["err-msg"]) == ("error", "invalid symbol")
    for size in (0, 2001, "many"):
        body = still.spot(SPOT, symbol="btcusdt", size=size)
        assert body["err-code"] == "invalid-parameter"
        assert body["err-msg"] == "invalid size,valid range: [1, 2000]"


def test_dead_symbols_keep_their_last_trades(still: Client, market: Market) -> None:
    fills = flat(still.spot(SPOT, symbol="nasusdt", size=20))[::-1]
    end = instant("2025-02-10T08:00")
    assert_spot(fills, market.trades("htx-spot", "nasusdt", fills[0]["ts"] * 1000, end))
    fills = flat(still.swap(LINEAR, contract_code="WAVES-USDT", size=20))
    end = instant("2026-02-03T09:00")
    assert_linear(fills, market.trades("htx-linear", "WAVES-USDT", fills[0]["ts"] * 1000, end))


# ------------------------------------------------------------------------------------------------- linear


@pytest.mark.parametrize("symbol", ["BTC-USDT", "DOGE-USDT", "SHIB-USDT", "MDX-USDT", "币安人生-USDT"])
def test_linear_pages_are_the_newest_trades(still: Client, market: Market, symbol: str) -> None:
    """A page holds every trade from its oldest one to the sandbox's clock, value by value, oldest first."""
    body = still.swap(LINEAR, contract_code=symbol.lower(), size=300)
    assert (body["ch"], body["status"], body["ts"]) == (f"market.{symbol}.trade.detail", "ok", NOON * 1000)
    fills = flat(body)
    assert len(body["data"]) == 300 < len(fills)
    assert_linear(fills, market.trades("htx-linear", symbol, fills[0]["ts"] * 1000, NOW))


def test_linear_ids_are_their_orders_times_ten_thousand(still: Client) -> None:
    """19 digits, which no double holds; the fills of an order count up from its number x 10000 (htx-api 4.5)."""
    groups = still.swap(LINEAR, contract_code="BTC-USDT", size=500)["data"]
    assert max(len(group["data"]) for group in groups) > 1
    for group in groups:
        assert [fill["id"] for fill in group["data"]] == [
            group["id"] * 10_000 + place for place in range(len(group["data"]))
        ]
        assert {fill["ts"] for fill in group["data"]} == {group["ts"]}
    assert len(str(groups[0]["data"][0]["id"])) == 19
    assert any(int(float(fill["id"])) != fill["id"] for fill in flat({"data": groups}))


def test_linear_amounts_count_both_sides(still: Client) -> None:
    fills = flat(still.swap(LINEAR, contract_code="DOGE-USDT", size=100))
    assert all(fill["amount"] % 2 == 0 and fill["quantity"] == fill["amount"] * 100 for fill in fills)


def test_linear_errors(still: Client) -> None:
    assert still.swap(LINEAR, size=1)["err_code"] == 1066
    assert still.swap(LINEAR, contract_code="XXX-USDT", size=1)["err-msg"] == "invalid symbol"
    for query in ({}, {"size": 0}, {"size": 2001}, {"size": "x"}):
        body = still.swap(LINEAR, contract_code="BTC-USDT", **query)
        assert body["err-msg"] == "invalid size,valid range: [1, 2000]"
    assert still.swap("/linear-swap-ex/market/trade", contract_code="XXX-USDT")["err-msg"] == "invalid symbol"
    assert still.swap("/linear-swap-ex/market/trade", business_type="spot")["err_code"] == 1067


def test_the_newest_linear_trades(still: Client) -> None:
    """Of one contract or of all swaps that trade; the numbers are strings here and the same as on the page."""
    path = "/linear-swap-ex/market/trade"
    newest = still.swap(LINEAR, contract_code="BTC-USDT", size=1)["data"][0]["data"]
    body = still.swap(path, contract_code="BTC-USDT")
    assert body["tick"]["data"] == [
        {
            "amount": str(fill["amount"]), "quantity": str(fill["quantity"]), "ts": fill["ts"], "id": fill["id"],
            "trade_turnover": str(fill["trade_turnover"]), "price": str(fill["price"]),
            "direction": fill["direction"], "contract_code": "BTC-USDT",
        }
        for fill in newest
    ]  # fmt: skip
    every = still.swap(path)
    assert every["ch"] == "market.*.trade.detail"
    codes = {row["contract_code"] for row in every["tick"]["data"]}
    assert {"BTC-USDT", "币安人生-USDT"} <= codes
    assert not codes & {"LUNA-USDT", "WAVES-USDT", "BMT-USDT"}


# ------------------------------------------------------------------------------------------------- time and faults


def test_trades_appear_when_they_happen(market: Market) -> None:
    """As the clock moves on, what is new on a page is what the truth has between the two looks, and nothing later."""
    now = [float(NOON)]
    with Sandbox(limits=False, clock=lambda: now[0]) as sandbox:
        client = Client(sandbox)
        seen: dict[str, int] = {}
        for _ in range(25):
            for symbol in ("btcusdt", "mdxusdt"):
                fills = flat(client.spot(SPOT, symbol=symbol, size=40))[::-1]
                at = int(now[0] * 1e6)
                truth = market.trades("htx-spot", symbol, fills[0]["ts"] * 1000, at)
                assert_spot(fills, truth)
                assert fills[-1]["trade-id"] >= seen.get(symbol, 0)
                seen[symbol] = fills[-1]["trade-id"]
            now[0] += 7.3
        client.close()


def test_row_faults_strike_trades() -> None:
    """Duplicates, holes, disorder and emptiness reach the fills; what is left of a fill is never altered."""
    ask: dict[str, Any] = {"contract_code": "BTC-USDT", "size": 200}
    with harmed() as client:
        good = flat(client.swap(LINEAR, **ask))
        spot = flat(client.spot(SPOT, symbol="btcusdt", size=200))
    with harmed(Rule("missing")) as client:
        found = flat(client.swap(LINEAR, **ask))
        assert len(found) < len(good)
        assert [fill for fill in good if fill in found] == found
    with harmed(Rule("duplicate")) as client:
        found = flat(client.spot(SPOT, symbol="btcusdt", size=200))
        assert len(found) > len(spot)
        assert [fill for place, fill in enumerate(found) if fill not in found[:place]] == spot
    with harmed(Rule("reorder")) as client:
        found = flat(client.swap(LINEAR, **ask))
        assert found != good
        assert sorted(found, key=lambda fill: int(fill["id"])) == good
    with harmed(Rule("empty", rows=50)) as client:
        assert client.swap(LINEAR, **ask)["data"] == []
        assert client.spot(SPOT, symbol="btcusdt", size=200)["data"] == []
        assert len(client.spot(SPOT, symbol="btcusdt", size=20)["data"]) == 20


@pytest.mark.parametrize("mode", ["types", "value", "column", "nan"])
def test_garbage_spoils_one_fill(mode: str) -> None:
    """One value of one fill is spoilt, and all others keep their digits, the 27 of inner ids too."""
    with harmed() as client:
        good = flat(client.spot(SPOT, symbol="btcusdt", size=30))
    with harmed(Rule("garbage", mode=mode)) as client:
        found = flat(json.loads(client.get("htx_spot_rest", SPOT, symbol="btcusdt", size=30).text))
    (bad, known), *more = [(bad, known) for bad, known in zip(found, good, strict=True) if bad != known]
    assert not more
    if mode == "types":
        assert bad == known | {"price": {"value": known["price"]}}
    elif mode == "column":
        assert bad == {name: value for name, value in known.items() if name != "price"}
    elif mode == "nan":
        assert np.isnan(bad["price"])
    else:
        assert bad == known | {"direction": "transmogrified"}


# ------------------------------------------------------------------------------------------------- shapes and ccxt


SAMPLES = [
    ("spot-history-trade", "spot", SPOT, {"symbol": "btcusdt", "size": 3}),
    ("spot-history-trade-2", "spot", SPOT, {"symbol": "btcusdt", "size": 3}),
    ("spot-trade", "spot", "/market/trade", {"symbol": "btcusdt"}),
    ("linear-history-trade", "swap", LINEAR, {"contract_code": "BTC-USDT", "size": 3}),
    ("linear-trade", "swap", "/linear-swap-ex/market/trade", {"contract_code": "BTC-USDT"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "family", "path", "query"), SAMPLES, ids=[sample[0] for sample in SAMPLES]
)
def test_shapes_are_those_of_the_samples(
    still: Client, shared: Path, sample: str, family: str, path: str, query: dict[str, Any]
) -> None:
    """Same keys and JSON types as the sample; in linear-trade all four amounts are strings, as htx-api 4.5 says."""
    known = json.loads((shared / "reference/samples/htx" / f"{sample}.json").read_text())
    served = getattr(still, family)(path, **query)
    assert set(served) == set(known)
    if sample == "linear-trade":  # of 2021, two of the four were numbers
        for row in known["tick"]["data"]:
            row.update(quantity=str(row["quantity"]), trade_turnover=str(row["trade_turnover"]))
    assert_shaped(served, known, sample)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Any]:
    with Sandbox(clock=lambda: NOON, limits=False) as sandbox:
        one = ccxt.htx({"enableRateLimit": False})
        for name in one.urls["api"]:
            host = "htx_swap_rest" if name in ("contract", "status") else "htx_spot_rest"
            one.urls["api"][name] = sandbox.hosts[host]
        one.milliseconds = lambda: NOON * 1000
        yield one
        one.session.close()


@pytest.mark.parametrize(
    ("symbol", "venue", "name"),
    [("BTC/USDT", "htx-spot", "btcusdt"), ("PEPE/USDT", "htx-spot", "pepeusdt"),
     ("BTC/USDT:USDT", "htx-linear", "BTC-USDT"), ("SHIB/USDT:USDT", "htx-linear", "SHIB-USDT")],
)  # fmt: skip
def test_ccxt_reads_the_truth(exchange: Any, market: Market, symbol: str, venue: str, name: str) -> None:
    """ccxt's own fetch_trades gives the market's newest trades: ids, times, sides, prices, amounts."""
    rows = sorted(exchange.fetch_trades(symbol, limit=1000), key=lambda row: int(row["id"]))
    truth = market.trades(venue, name, rows[0]["timestamp"] * 1000 - 60_000_000, NOW)
    last = {column: None if values is None else values[-1000:] for column, values in truth.items()}
    assert [int(row["id"]) for row in rows] == last["trade_id"].tolist()
    assert [row["timestamp"] * 1000 for row in rows] == last["trade_time"].tolist()
    assert [row["side"] for row in rows] == last["side"].tolist()
    assert [row["price"] for row in rows] == last["price"].tolist()
    amounts = last["quantity"] if venue == "htx-spot" else last["contracts"]
    assert [row["amount"] for row in rows] == amounts.tolist()
    if venue == "htx-linear":
        assert [row["cost"] for row in rows] == last["quote_quantity"].tolist()
