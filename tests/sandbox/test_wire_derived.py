"""Mark, premium and estimated-rate candles, open interest and liquidations on the wire, against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from htxdata.sandbox import Market, Rule, Sandbox
from htxdata.sandbox.instruments import instant
from htxdata.sandbox.periods import DAY, HOUR
from tests.sandbox.conftest import NOON, Client
from tests.sandbox.test_faults import harmed
from tests.sandbox.test_wire_reference import assert_shaped

V = "htx-linear"
NOW, MS = NOON * 10**6, NOON * 1000
PRICES = {
    kind: (f"/index/market/history/linear_swap_{path}_kline", topic)
    for kind, path, topic in (
        ("mark", "mark_price", "mark_price"),
        ("premium", "premium_index", "premium_index"),
        ("estimated_rate", "estimated_rate", "estimated_rate"),
    )
}
MARK = PRICES["mark"][0]
INTEREST = "/linear-swap-api/v1/swap_open_interest"
HISTORY = "/linear-swap-api/v1/swap_his_open_interest"
INTEREST_V5 = "/v5/market/open_interest"
V3 = "/linear-swap-api/v3/swap_liquidation_orders"
V5 = "/v5/market/liquidation_orders"


# ------------------------------------------------------------------------------------------------- candles


def assert_candles(rows: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    """Rows of an index-type page against the columns of the truth; every value but the id is a string."""
    assert [row["id"] * 10**6 for row in rows] == truth["open_time"].tolist()
    for name in ("open", "high", "low", "close"):
        assert all(isinstance(row[name], str) and "E" not in row[name].upper() for row in rows)
        assert [float(row[name]) for row in rows] == truth[name].tolist(), name
    for name in ("amount", "vol", "count", "trade_turnover"):
        assert {row[name] for row in rows} == {"0"}


@pytest.mark.parametrize("kind", list(PRICES))
@pytest.mark.parametrize(
    "period", ["1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon"]
)
def test_index_type_candles(still: Client, market: Market, kind: str, period: str) -> None:
    """The newest `size` of them, ascending, the last one running."""
    path, topic = PRICES[kind]
    body = still.swap(path, contract_code="ksm-usdt", period=period, size=11)
    assert (body["ch"], body["ts"]) == (f"market.KSM-USDT.{topic}.{period}", MS)
    rows = body["data"]
    start, beyond = rows[0]["id"] * 10**6, NOW + 40 * DAY
    assert_candles(rows, market.computed(kind).candles(V, "KSM-USDT", period, start, beyond, NOW))
    assert len(rows) == 11


def test_closed_candles_are_the_markets(still: Client, market: Market) -> None:
    rows = still.swap(MARK, contract_code="SHIB-USDT", period="1min", size=2000)["data"]
    start, end = rows[0]["id"] * 10**6, rows[-1]["id"] * 10**6
    assert (end - start) // 60_000_000 == 1999
    assert_candles(rows[:-1], market.mark_klines(V, "SHIB-USDT", "1min", start, end))
    path, _ = PRICES["premium"]
    rows = still.swap(path, contract_code="BTC-USDT", period="1day", size=500)["data"]
    assert rows[0]["id"] * 10**6 == instant("2026-05-31T16:00") - 499 * DAY
    start, end = rows[0]["id"] * 10**6, rows[-1]["id"] * 10**6
    assert_candles(rows[:-1], market.premium_klines(V, "BTC-USDT", "1day", start, end))


def test_the_dead_and_the_dated(still: Client, market: Market) -> None:
    """A delisted contract keeps its last candles, a dated one has a mark price; neither has what it never had."""
    rows = still.swap(MARK, contract_code="BTC-USDT-250328", period="60min", size=5)["data"]
    end = instant("2025-03-28T08:00")
    assert_candles(rows, market.mark_klines(V, "BTC-USDT-250328", "60min", end - 5 * HOUR, end))
    for kind in ("premium", "estimated_rate"):
        body = still.swap(PRICES[kind][0], contract_code="BTC-USDT-250328", period="60min", size=5)
        assert body["err-msg"] == "invalid symbol"


@pytest.mark.parametrize("kind", list(PRICES))
def test_index_type_errors(still: Client, kind: str) -> None:
    """The size is required, and 1year, 1hour and unlisted contracts are not known."""
    path, _ = PRICES[kind]
    assert still.swap(path, period="1min", size=1)["err_code"] == 1066
    good: dict[str, Any] = {"contract_code": "BTC-USDT", "period": "1min", "size": 1}
    assert len(still.swap(path, **good)["data"]) == 1
    for wrong, said in (
        ({"contract_code": "BMT-USDT"}, "invalid symbol"),
        ({"period": "1year"}, "invalid period"),
        ({"size": ""}, "invalid size,valid range: [1, 2000]"),
        ({"size": 2001}, "invalid size,valid range: [1, 2000]"),
        ({"size": "x"}, "invalid size,valid range: [1, 2000]"),
    ):
        body = still.swap(path, **(good | wrong))
        assert (body["err-code"], body["err-msg"]) == ("invalid-parameter", said)


def test_kept_bodies_do_not_stop_the_clock() -> None:
    """The running candle grows with each request; the kinds are never mixed up."""
    now, truth = [float(NOON - 119)], Market(0)
    with Sandbox(limits=False, clock=lambda: now[0]) as sandbox:
        client = Client(sandbox)
        for _ in range(30):
            at = int(now[0] * 1e6)
            for kind, (path, _) in PRICES.items():
                rows = client.swap(path, contract_code="BTC-USDT", period="1min", size=3)["data"]
                seen = truth.computed(kind).candles(V, "BTC-USDT", "1min", at - HOUR, at + 1, at)
                assert_candles(rows, {name: column[-3:] for name, column in seen.items()})
            now[0] += 5.3
        client.close()


def test_faults_strike_them_too() -> None:
    ask: dict[str, Any] = {"contract_code": "BTC-USDT", "period": "1min", "size": 100}
    with harmed() as client:
        good = client.swap(MARK, **ask)["data"]
    with harmed(Rule("reorder")) as client:
        rows = client.swap(MARK, **ask)["data"]
        assert rows != good
        assert sorted(rows, key=lambda row: int(row["id"])) == good
    with harmed(Rule("revise", 0.9, seconds=600.0)) as client:
        rows = client.swap(MARK, **ask)["data"]
        assert [row["close"] for row in rows[:80]] == [row["close"] for row in good[:80]]
        assert [row["close"] for row in rows[90:]] != [row["close"] for row in good[90:]]
    with harmed(Rule("missing"), Rule("empty", rows=60, path="*open*")) as client:
        assert len(client.swap(MARK, **ask)["data"]) < 100
        ask = {"contract_code": "BTC-USDT", "period": "60min", "amount_type": 1, "size": 200}
        assert client.swap(HISTORY, **ask)["data"]["tick"] == []


# ------------------------------------------------------------------------------------------------- open interest


@pytest.mark.parametrize("period", ["60min", "4hour", "12hour", "1day"])
@pytest.mark.parametrize("symbol", ["KSM-USDT", "SHIB-USDT"])
def test_open_interest_history(still: Client, market: Market, period: str, symbol: str) -> None:
    """The newest points first, as many as asked for, over the hole in a contract's life too."""
    ask = {"contract_code": symbol, "period": period}
    truth = market.open_interest(V, symbol, period, 0, NOW + 1)
    for kind, column in ((1, "contracts"), (2, "volume")):
        body = still.swap(HISTORY, **ask, amount_type=kind, size=200)
        tick = body["data"]["tick"][::-1]
        assert len(tick) == 200
        assert [row["ts"] * 1000 for row in tick] == truth["time"][-200:].tolist()
        assert [row["volume"] for row in tick] == truth[column][-200:].tolist()
        assert [row["value"] for row in tick] == truth["value"][-200:].tolist()
        assert {row["amount_type"] for row in tick} == {kind}
    assert len(still.swap(HISTORY, **ask, amount_type=1)["data"]["tick"]) == 48


def test_open_interest_history_by_pair_and_its_errors(still: Client) -> None:
    good: dict[str, Any] = {"contract_code": "BTC-USDT", "period": "1day", "amount_type": 2}
    pair = {"pair": "btc-usdt", "contract_type": "swap", "period": "1day", "amount_type": 2}
    assert still.swap(HISTORY, **pair) == still.swap(HISTORY, **good)
    assert still.swap(HISTORY, **good)["data"]["contract_type"] == "swap"
    for wrong, code in (
        ({"contract_code": ""}, 1066), ({"contract_code": "BMT-USDT"}, 1014), ({"period": "5min"}, 1067),
        ({"amount_type": ""}, 1066), ({"amount_type": 3}, 1067), ({"size": 201}, 1067), ({"size": "x"}, 1067),
    ):  # fmt: skip
        assert still.swap(HISTORY, **(good | wrong))["err_code"] == code, wrong
    text = still.get("htx_swap_rest", HISTORY, **good).text
    assert '0000000000,"amount_type":2' in text  # zeros to the 16th decimal, as in its sample


@pytest.mark.parametrize("symbol", ["BTC-USDT", "DOGE-USDT", "MDX-USDT"])
def test_open_interest_now(still: Client, market: Market, symbol: str) -> None:
    """v5 in strings and v1 in numbers say the same: the truth at the sandbox's clock."""
    truth = {name: column[0].item() for name, column in market.open_interest_now(V, symbol, NOW).items()}
    known = {
        "volume": truth["contracts"], "amount": truth["volume"], "value": truth["value"],
        "trade_volume": truth["traded_contracts"], "trade_amount": truth["traded_volume"],
        "trade_turnover": truth["traded_value"],
    }  # fmt: skip
    new = still.swap(INTEREST_V5, contract_code=symbol)
    assert (new["code"], new["message"], new["ts"]) == (200, "Success", MS)
    assert all(isinstance(value, str) for value in new["data"].values())
    assert {name: float(new["data"][name]) for name in known} == known
    (old,) = still.swap(INTEREST, contract_code=symbol.lower())["data"]
    assert {name: old[name] for name in known} == known
    assert old["contract_code"] == new["data"]["contract_code"] == symbol


def test_open_interest_of_all(still: Client) -> None:
    def codes(**query: Any) -> set[str]:
        return {row["contract_code"] for row in still.swap(INTEREST, **query)["data"]}

    assert codes() == codes(business_type="swap") >= {"BTC-USDT", "KSM-USDT"}
    assert not codes() & {"LUNA-USDT", "WAVES-USDT", "BMT-USDT"}
    assert codes(pair="btc-usdt", business_type="all") == {"BTC-USDT"}
    with Sandbox(limits=False, clock=lambda: instant("2026-07-01") // 10**6) as sandbox:
        client = Client(sandbox)
        row = client.swap(INTEREST, business_type="futures")["data"][0]
        client.close()
    assert (row["contract_code"], row["business_type"], row["pair"]) == (
        "BTC-USDT-261225",
        "futures",
        "BTC-USDT",
    )
    assert still.swap(INTEREST, contract_code="XXX-USDT")["err_code"] == 1014
    assert still.swap(INTEREST, business_type="spot")["err_code"] == 1067
    assert still.swap(INTEREST_V5)["code"] == 1066
    assert still.swap(INTEREST_V5, contract_code="LUNA-USDT")["code"] == 1014


# ------------------------------------------------------------------------------------------------- liquidations


def rush(market: Market, symbol: str = "BTC-USDT") -> int:
    """The start (ms) of a two-hour window of the last 90 days with more than two pages of liquidations."""
    found = market.liquidations(V, symbol, NOW - 80 * DAY, NOW)
    windows, counts = np.unique(found["liquidated_at"] // (2 * HOUR), return_counts=True)
    start = int(windows[counts > 200][0]) * 2 * HOUR
    return start // 1000


def walk(client: Client, path: str, cursor: str, key: str, **query: Any) -> list[dict[str, Any]]:
    """All rows of a window, page by page, by the rule that clients use (4.1): until a page brings no new id."""
    seen: dict[int, dict[str, Any]] = {}
    while True:
        page = client.swap(path, **query)["data"]
        fresh = [row for row in page if int(row[key]) not in seen]
        if not fresh:
            return list(seen.values())
        seen |= {int(row[key]): row for row in fresh}
        query[cursor] = page[-1][key]


def assert_v5(rows: list[dict[str, Any]], truth: dict[str, Any]) -> None:
    assert [int(row["id"]) for row in rows] == truth["liquidation_id"].tolist()
    assert [int(row["liquidation_time"]) * 1000 for row in rows] == truth["liquidated_at"].tolist()
    assert [row["side"] for row in rows] == truth["side"].tolist()
    assert [float(row["bankrupt_price"]) for row in rows] == truth["price"].tolist()
    assert [int(row["volume"]) for row in rows] == truth["contracts"].tolist()
    turnovers = [float(row["trade_turnover"]) for row in rows]
    np.testing.assert_allclose(turnovers, truth["price"] * truth["quantity"], rtol=1e-14)
    assert {(row["side"], row["position_side"]) for row in rows} <= {("sell", "long"), ("buy", "short")}
    assert all(row["amount"] == row["volume"] for row in rows)
    assert all(isinstance(value, str) for row in rows for value in row.values())


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("direct", ["next", "prev"])
def test_v5_liquidations_are_walked_by_id(market: Market, inclusive: bool, direct: str) -> None:
    """Two hours of a running market in pages of a hundred, both ways, whether or not the cursor's row comes again."""
    start = rush(market)
    with Sandbox(limits=False, clock=lambda: NOON, v5_from_inclusive=inclusive) as sandbox:
        client = Client(sandbox)
        ask = {"contract_code": "BTC-USDT", "start_time": start, "end_time": start + 7_200_000, "limit": 100}
        rows = walk(client, V5, "from_", "id", **ask, direct=direct)
        again = client.swap(V5, **ask, direct=direct, from_=rows[5]["id"])["data"][0]
        client.close()
    assert again == rows[5 if inclusive else 6]
    truth = market.liquidations(V, "BTC-USDT", start * 1000, (start + 7_200_000) * 1000 + 1)
    assert len(rows) > 200
    assert_v5(rows if direct == "next" else rows[::-1], truth)


def test_v3_liquidations_are_walked_by_query_id(still: Client, market: Market) -> None:
    """The same orders under other numbers; 5 are the longs, 6 the shorts."""
    start = rush(market)
    ask = {"contract": "BTC-USDT", "start_time": start, "end_time": start + 7_200_000}
    truth = market.liquidations(V, "BTC-USDT", start * 1000, (start + 7_200_000) * 1000 + 1)
    for kind, side in ((0, None), (5, "sell"), (6, "buy")):
        keep = np.full(len(truth["side"]), True) if side is None else truth["side"] == side
        for direct in ("next", "prev"):
            rows = walk(still, V3, "from_id", "query_id", **ask, trade_type=kind, direct=direct)
            rows = rows if direct == "next" else rows[::-1]
            assert [row["created_at"] * 1000 for row in rows] == truth["liquidated_at"][keep].tolist()
            assert [row["direction"] for row in rows] == truth["side"][keep].tolist()
            assert [row["price"] for row in rows] == truth["price"][keep].tolist()
            assert [row["volume"] for row in rows] == truth["contracts"][keep].tolist()
            assert [row["amount"] for row in rows] == truth["quantity"][keep].tolist()
            assert [row["query_id"] for row in rows] == sorted({row["query_id"] for row in rows})
            assert not {row["query_id"] for row in rows} & set(truth["liquidation_id"].tolist())


def test_liquidations_now_and_ninety_days_ago(still: Client, market: Market) -> None:
    """Without times it is the last two hours, newest first; nothing older than 90 days, nothing of the future."""
    newest = still.swap(V5, contract_code="KSM-USDT", limit=100)["data"]
    assert_v5(newest[::-1], market.liquidations(V, "KSM-USDT", NOW - 2 * HOUR, NOW + 1))
    edge = MS - 90 * 86_400_000
    for start, begin in ((edge - 3_600_000, edge), (edge - 8_000_000, edge)):
        rows = still.swap(V5, contract_code="BTC-USDT", start_time=start, direct="next", limit=100)["data"]
        assert_v5(rows, market.liquidations(V, "BTC-USDT", begin * 1000, (start + 7_200_000) * 1000 + 1))
    assert still.swap(V5, contract_code="BTC-USDT", start_time=MS + 1, limit=100)["data"] == []
    ahead = {"start_time": MS - 3_600_000, "end_time": MS + 3_600_000}
    rows = still.swap(V5, contract_code="BTC-USDT", **ahead, direct="next", limit=100)["data"]
    assert_v5(rows, market.liquidations(V, "BTC-USDT", NOW - HOUR, NOW + 1))


def test_liquidations_of_a_pair(market: Market) -> None:
    """A pair holds the swap and the futures, told apart by contract_code."""
    clock = instant("2026-09-15T12:00")
    found = market.liquidations(V, "BTC-USDT-261225", clock - 80 * DAY, clock)
    start = int(found["liquidated_at"][0]) // 1000
    with Sandbox(limits=False, clock=lambda: clock // 10**6) as sandbox:
        client = Client(sandbox)
        rows = walk(client, V5, "from_", "id", pair="btc-usdt", start_time=start, direct="next", limit=100)
        client.close()
    for code in ("BTC-USDT", "BTC-USDT-261225"):
        truth = market.liquidations(V, code, start * 1000, (start + 7_200_000) * 1000 + 1)
        assert len(truth["price"])
        assert_v5([row for row in rows if row["contract_code"] == code], truth)


def test_liquidation_errors(still: Client) -> None:
    wide = {"start_time": MS - 7_200_001, "end_time": MS}
    for query, code in (
        ({}, 1066), ({"contract_code": "XXX-USDT"}, 1014), ({"contract_code": "BTC-USDT", "limit": 101}, 1067),
        ({"contract_code": "BTC-USDT", **wide}, 1067), ({"contract_code": "BTC-USDT", "direct": "up"}, 1067),
        ({"contract_code": "BTC-USDT", "start_time": MS, "end_time": MS - 1}, 1067),
        ({"contract_code": "BTC-USDT", "from_": "x"}, 1067),
    ):  # fmt: skip
        body = still.swap(V5, **query)
        assert (body["code"], body["data"], "message" in body) == (code, None, True), query
    assert still.swap(V3, contract="BTC-USDT")["code"] == 1066
    assert still.swap(V3, contract="BTC-USDT", trade_type=9)["code"] == 1067
    assert still.swap(V3, contract="BTC-USDT", trade_type=0, **wide)["code"] == 1067
    assert still.swap(V3, trade_type=0)["msg"] == "contract_code cannot be empty."


def test_without_v5(market: Market) -> None:
    with Sandbox(limits=False, clock=lambda: NOON, v5=False) as sandbox:
        client = Client(sandbox)
        for path in (V5, INTEREST_V5):
            assert client.get("htx_swap_rest", path, contract_code="BTC-USDT").status_code == 404
        assert client.swap(V3, contract="BTC-USDT", trade_type=0)["code"] == 200
        assert client.swap(INTEREST, contract_code="BTC-USDT")["status"] == "ok"
        client.close()


# ------------------------------------------------------------------------------------------------- shapes


CODE = {"contract_code": "BTC-USDT"}
SAMPLES = [
    ("linear-mark-kline", MARK, {**CODE, "period": "5min", "size": 2}),
    ("linear-premium-index-kline", PRICES["premium"][0], {**CODE, "period": "1min", "size": 1}),
    ("linear-estimated-rate-kline", PRICES["estimated_rate"][0], {**CODE, "period": "1min", "size": 1}),
    ("linear-v5-open-interest", INTEREST_V5, CODE),
    ("linear-open-interest", INTEREST, {"business_type": "all"}),
    ("linear-open-interest-2021", INTEREST, {}),
    ("linear-his-open-interest", HISTORY, {**CODE, "period": "60min", "amount_type": 1, "size": 1}),
    ("linear-his-open-interest-2021", HISTORY, {**CODE, "period": "60min", "amount_type": 1, "size": 1}),
    ("linear-v5-liquidation-orders", V5, CODE),
    ("linear-liquidation-orders-v3", V3, {"contract": "BTC-USDT", "trade_type": 0}),
    ("linear-liquidation-orders-v3-2", V3, {"contract": "BTC-USDT", "trade_type": 0}),
]


@pytest.mark.parametrize(("sample", "path", "query"), SAMPLES, ids=[sample[0] for sample in SAMPLES])
def test_shapes_are_those_of_the_samples(
    still: Client, shared: Path, sample: str, path: str, query: dict[str, Any]
) -> None:
    """Same keys, same JSON types, wherever the sample has a value; more keys than the sample are allowed in rows."""
    known = json.loads((shared / "reference/samples/htx" / f"{sample}.json").read_text())
    served = still.swap(path, **query)
    assert set(served) == set(known)
    assert_shaped(served, known, sample)
