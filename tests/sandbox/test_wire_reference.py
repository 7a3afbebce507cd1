"""Fundings, contracts, symbols, clocks and the log on the wire, and the shapes of the recorded samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.instruments import instant
from tests.sandbox.conftest import NOON, Client, assert_is_truth

KLINE = "/market/history/kline"
LINEAR = "/linear-swap-ex/market/history/kline"
V1 = "/linear-swap-api/v1/swap_historical_funding_rate"
V5 = "/v5/market/funding_rate_history"
OPEN = NOON // 60 * 60


def ids(body: Any) -> list[int]:
    return [row["id"] for row in body["data"]]


# ------------------------------------------------------------------------------------------------- fundings


def test_v5_walks_both_ways(still: Client, market: Market) -> None:
    truth = market.funding_rates("htx-linear", "ETH-USDT", 0, NOON * 10**6)
    newest = still.swap(V5, contract_code="ETH-USDT", limit=100)
    assert (newest["code"], newest["message"]) == (200, "Success")
    assert [int(row["id"]) for row in newest["data"]] == truth["id"][::-1][:100].tolist()
    seen: list[dict[str, str]] = []
    cursor = None
    while True:
        page = still.swap(
            V5, contract_code="ETH-USDT", direct="next", limit=100, **({"from_": cursor} if cursor else {})
        )
        fresh = [row for row in page["data"] if not seen or int(row["id"]) > int(seen[-1]["id"])]
        if not fresh:
            break
        seen += fresh
        cursor = seen[-1]["id"]
    assert [row["funding_rate"] for row in seen] == truth["funding_rate_text"]
    assert [int(row["funding_time"]) * 1000 for row in seen] == truth["funding_time"].tolist()
    assert seen[0]["id"] == "1"
    start = int(seen[500]["funding_time"])
    page = still.swap(
        V5, contract_code="ETH-USDT", start_time=start, end_time=int(seen[520]["funding_time"]), limit=100
    )
    assert page["data"] == seen[500:521]
    back = still.swap(V5, contract_code="ETH-USDT", direct="prev", from_=seen[9]["id"], limit=3)
    assert back["data"] == seen[9:6:-1]


def test_v5_cursor_can_be_exclusive_and_v5_can_be_gone() -> None:
    with Sandbox(limits=False, clock=lambda: NOON, v5_from_inclusive=False) as sandbox:
        client = Client(sandbox)
        page = client.swap(V5, contract_code="BTC-USDT", direct="next", from_="5", limit=2)
        assert [row["id"] for row in page["data"]] == ["6", "7"]
        client.close()
    with Sandbox(limits=False, clock=lambda: NOON, v5=False) as sandbox:
        client = Client(sandbox)
        assert client.get("htx_swap_rest", V5, contract_code="BTC-USDT").status_code == 404
        assert (
            client.get("htx_swap_rest", "/v5/market/funding_rate", contract_code="BTC-USDT").status_code
            == 404
        )
        assert client.swap(V1, contract_code="BTC-USDT")["status"] == "ok"
        client.close()


def test_v5_errors(still: Client) -> None:
    assert still.swap(V5, contract_code="BTC-USDT", limit=200)["code"] == 1067
    assert still.swap(V5, contract_code="BTC-USDT", limit=200)["message"] == "The limit field is invalid"
    assert still.swap(V5)["code"] == 1066
    assert still.swap(V5, contract_code="XXX-USDT")["code"] == 1014
    assert "status" not in still.swap(V5, contract_code="BTC-USDT")


def test_v1_pages_from_the_newest_and_cuts_silently(still: Client, market: Market) -> None:
    truth = market.funding_rates("htx-linear", "BTC-USDT", 0, NOON * 10**6)
    total = len(truth["id"])
    first = still.swap(V1, contract_code="BTC-USDT", page_size=500)["data"]
    assert (first["total_size"], first["total_page"], len(first["data"])) == (total, -(-total // 100), 100)
    second = still.swap(V1, contract_code="BTC-USDT", page_size=100, page_index=2)["data"]["data"]
    times = [int(row["funding_time"]) * 1000 for row in first["data"] + second]
    assert times == truth["funding_time"][::-1][:200].tolist()
    row = first["data"][0]
    assert float(row["funding_rate"]) == truth["funding_rate"][-1]
    assert len(row["funding_rate"].partition(".")[2]) == 18
    assert row["realized_rate"] is None
    assert len(still.swap(V1, contract_code="BTC-USDT")["data"]["data"]) == 20
    assert still.swap(V1, contract_code="BTC-USDT", page_index=10**6)["data"]["data"] == []
    assert still.swap(V1)["err_code"] == 1066
    assert still.swap(V1, contract_code="BTC-USDT", page_index="x")["err_code"] == 1030


def test_a_new_funding_shifts_v1_pages() -> None:
    now = [float(instant("2026-06-01T07:59:59") // 10**6)]
    with Sandbox(limits=False, clock=lambda: now[0]) as sandbox:
        client = Client(sandbox)
        before = client.swap(V1, contract_code="BTC-USDT", page_size=50, page_index=2)["data"]["data"]
        now[0] += 2
        after = client.swap(V1, contract_code="BTC-USDT", page_size=50, page_index=2)["data"]["data"]
        assert after[1:] == before[:-1]
        client.close()


def test_coming_fundings(still: Client, market: Market) -> None:
    ahead = market.funding_rates("htx-linear", "ETH-USDT", NOON * 10**6, NOON * 10**6 + 86400 * 10**6)
    v5 = still.swap("/v5/market/funding_rate", contract_code="ETH-USDT")["data"][0]
    assert [int(v5["funding_time"]) * 1000, int(v5["next_funding_time"]) * 1000] == ahead["funding_time"][
        :2
    ].tolist()
    v1 = still.swap("/linear-swap-api/v1/swap_funding_rate", contract_code="ETH-USDT")["data"]
    assert v1["funding_time"] == v5["funding_time"]
    assert v1["funding_rate"] == v5["funding_rate"]
    assert v1["next_funding_time"] is None
    batch = still.swap("/linear-swap-api/v1/swap_batch_funding_rate")["data"]
    assert {row["contract_code"] for row in batch} >= {"BTC-USDT", "ETH-USDT", "KSM-USDT"}


# ------------------------------------------------------------------------------------------------- reference, clock


def test_contracts(still: Client) -> None:
    path = "/linear-swap-api/v1/swap_contract_info"
    rows = {row["contract_code"]: row for row in still.swap(path, business_type="all")["data"]}
    assert rows["BTC-USDT"]["contract_size"] == 0.001
    assert rows["BTC-USDT"]["create_date"] == "20201021"
    assert rows["BTC-USDT"]["contract_status"] == 1
    assert rows["LUNA-USDT"]["contract_status"] == 0
    assert rows["WAVES-USDT"]["contract_status"] == 3
    assert rows["BTC-USDT-250328"]["contract_status"] == 8
    assert rows["BTC-USDT-250328"]["delivery_time"] == "1743148800000"
    assert "BMT-USDT" not in rows  # listed in August 2026
    swaps = still.swap(path)["data"]
    assert all(row["business_type"] == "swap" for row in swaps)
    assert [row["contract_code"] for row in still.swap(path, contract_code="doge-usdt")["data"]] == [
        "DOGE-USDT"
    ]
    assert still.swap(path, contract_code="XXX-USDT")["err_code"] == 1014
    elements = {
        row["contract_code"]: row for row in still.swap("/linear-swap-api/v1/swap_query_elements")["data"]
    }
    assert elements["BTC-USDT"]["settle_period"] == 8
    assert elements["MDX-USDT"]["settle_period"] == 1


def test_spot_symbols(still: Client) -> None:
    classic = {row["symbol"]: row for row in still.spot("/v1/common/symbols")["data"]}
    settings = still.spot("/v2/settings/common/symbols")
    rows = {row["sc"]: row for row in settings["data"]}
    assert set(classic) == set(rows)
    assert "币安人生usdt" in rows
    assert rows["btcusdt"]["toa"] == instant("2017-10-27") // 1000
    assert (rows["nasusdt"]["state"], rows["wavesusdt"]["state"]) == ("offline", "suspend")
    assert classic["dogeusdt"]["price-precision"] == 7
    assert (settings["full"], settings["ts"]) == (1, str(NOON * 1000))
    changed = still.spot("/v2/settings/common/symbols", ts=instant("2026-01-01") // 1000)
    assert [row["sc"] for row in changed["data"]] == ["wavesusdt"]
    assert changed["full"] == 0
    some = still.spot("/v1/settings/common/market-symbols", symbols="btcusdt,ethusdt")["data"]
    assert [row["symbol"] for row in some] == ["btcusdt", "ethusdt"]


def test_clocks_and_health(still: Client) -> None:
    assert still.spot("/v1/common/timestamp") == {"status": "ok", "data": NOON * 1000}
    assert still.swap("/api/v1/timestamp") == {"status": "ok", "ts": NOON * 1000}
    assert still.spot("/v2/market-status")["data"] == {"marketStatus": 1}
    assert still.swap("/heartbeat/")["data"]["linear_swap_heartbeat"] == 1
    assert still.get("htx_spot_rest", "/no/such/path").status_code == 404
    assert still.get("htx_archive", "/data/klines/").status_code == 404


def test_methods_and_bodies(still: Client) -> None:
    url = still.sandbox.hosts["htx_swap_rest"] + "/api/v1/timestamp"
    assert requests.post(url, timeout=30).status_code == 405
    assert requests.get(url, data="a body", timeout=30).status_code == 403


def test_every_request_is_on_record(still: Client) -> None:
    count = len(still.sandbox.requests)
    still.swap(LINEAR, contract_code="BTC-USDT", period="1min", size=1)
    still.get("htx_spot_rest", "/no/such/path")
    last = still.sandbox.requests[count:]
    assert [(one.host, one.method, one.path, one.status) for one in last] == [
        ("htx_swap_rest", "GET", LINEAR, 200), ("htx_spot_rest", "GET", "/no/such/path", 404),
    ]  # fmt: skip
    assert last[0].query == "contract_code=BTC-USDT&period=1min&size=1"
    assert last[0].time <= last[1].time


SAMPLES = [
    ("spot-kline", "spot", KLINE, {"symbol": "btcusdt", "period": "5min", "size": 2}),
    ("linear-kline", "swap", LINEAR, {"contract_code": "BTC-USDT", "period": "1min", "size": 1}),
    ("linear-v5-funding-rate-history", "swap", V5, {"contract_code": "BTC-USDT"}),
    ("linear-v5-funding-rate", "swap", "/v5/market/funding_rate", {"contract_code": "BTC-USDT"}),
    ("linear-historical-funding-rate-v1", "swap", V1, {"contract_code": "BTC-USDT"}),
    ("linear-contract-info-2", "swap", "/linear-swap-api/v1/swap_contract_info", {"business_type": "all"}),
    ("spot-v2-settings-symbols", "spot", "/v2/settings/common/symbols", {}),
    ("spot-v1-common-symbols", "spot", "/v1/common/symbols", {}),
    ("spot-timestamp", "spot", "/v1/common/timestamp", {}),
    ("spot-market-status", "spot", "/v2/market-status", {}),
    ("deriv-timestamp", "swap", "/api/v1/timestamp", {}),
    ("deriv-heartbeat", "swap", "/heartbeat/", {}),
    ("linear-funding-rate-v1-2021", "swap", "/linear-swap-api/v1/swap_funding_rate", {"contract_code": "BTC-USDT"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sample", "family", "path", "query"), SAMPLES, ids=[sample[0] for sample in SAMPLES]
)
def test_shapes_are_those_of_the_samples(
    still: Client, shared: Path, sample: str, family: str, path: str, query: dict[str, Any]
) -> None:
    """Same keys, same JSON types, wherever the sample has a value; more keys than the sample are allowed in rows."""
    known = json.loads((shared / "reference/samples/htx" / f"{sample}.json").read_text())
    served = getattr(still, family)(path, **query)
    assert set(served) == set(known)
    assert_shaped(served, known, sample)


def assert_shaped(served: Any, known: Any, where: str) -> None:
    if isinstance(known, dict):
        assert isinstance(served, dict), where
        assert set(known) <= set(served), where
        for name, value in known.items():
            assert_shaped(served[name], value, f"{where}.{name}")
    elif isinstance(known, list):
        assert isinstance(served, list), where
        assert served or not known, where
        assert_shaped(served[0], known[0], where + "[0]")
    elif known is not None and served is not None:
        number = (int, float)
        assert isinstance(
            served, number if isinstance(known, number) and not isinstance(known, bool) else type(known)
        ), where


def test_truth_is_at_hand(still: Client) -> None:
    """What the running sandbox serves is what its own market says."""
    body = still.spot(KLINE, symbol="ethusdt", period="60min", size=24)
    rows = [row for row in body["data"][::-1] if row["id"] + 3600 <= NOON]
    truth = still.sandbox.market.klines(
        "htx-spot", "ethusdt", "60min", rows[0]["id"] * 10**6, NOON // 3600 * 3600 * 10**6
    )
    assert_is_truth(rows, truth)
    assert np.isfinite(truth["close"]).all()
