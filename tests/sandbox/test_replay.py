"""Recorded data served as the wire would: equal to the files, digit for digit."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.sandbox import Market, Replay, Sandbox
from htxdata.sandbox.instruments import instant
from tests.sandbox.conftest import Client


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="module")
def replay(folder: Path) -> Replay:
    return Replay.load(folder)


def rows_of(file: Path) -> list[dict[str, str]]:
    with gzip.open(file, "rt", newline="") as text:
        return list(csv.DictReader(text))


def test_fundings_equal_the_file(folder: Path, replay: Replay) -> None:
    rows = rows_of(folder / "funding" / "BTC-USDT_htx_2021-01-01_2024-01-01_funding_history.csv.gz")
    found = replay.funding_rates("htx-linear", "BTC-USDT", 0, instant("2030-01-01"))
    assert len(found["funding_time"]) == len(rows) == 3284
    local = [datetime.fromisoformat(row["Date"] + "+03:00").astimezone(UTC).timestamp() for row in rows]
    assert (found["funding_time"] // 10**6).tolist() == local
    assert [Decimal(text) for text in found["funding_rate_text"]] == [
        Decimal(row["Funding Rate"]) for row in rows
    ]
    assert found["funding_rate"].tolist() == [float(row["Funding Rate"]) for row in rows]
    assert found["funding_time"][0] == instant("2021-01-01")


def test_minutes_equal_the_file(folder: Path, replay: Replay) -> None:
    rows = rows_of(folder / "klines_other" / "btc-perp-20211231-20220201_1m.csv.gz")
    found = replay.klines("htx-spot", "btcusdt", "1min", 0, instant("2030-01-01"))
    assert len(found["open_time"]) == len(rows) == 45031
    assert found["open_time"][0] == instant("2021-12-31T23:01")
    for name in ("open", "high", "low", "close"):
        assert found[name].tolist() == [float(row[name]) for row in rows]
    assert found["quote_volume"].tolist() == [float(row["volume"]) for row in rows]
    assert found["volume"][7] == found["quote_volume"][7] / found["close"][7]
    assert set(found["trade_count"].tolist()) == {0}


def test_longer_candles_only_where_complete(replay: Replay) -> None:
    days = replay.klines("htx-spot", "btcusdt", "1day", 0, instant("2030-01-01"))
    assert days["open_time"][0] == instant(
        "2022-01-01T16:00"
    )  # the day before began at 16:00, before the recording
    assert days["open_time"][-1] == instant("2022-01-30T16:00")
    minutes = replay.klines(
        "htx-spot", "btcusdt", "1min", instant("2022-01-05T16:00"), instant("2022-01-06T16:00")
    )
    place = days["open_time"].tolist().index(instant("2022-01-05T16:00"))
    assert days["high"][place] == minutes["high"].max()
    assert days["open"][place] == minutes["open"][0]
    assert days["close"][place] == minutes["close"][-1]
    assert days["quote_volume"][place] == pytest.approx(minutes["quote_volume"].sum(), rel=1e-12)


def test_on_the_wire(folder: Path, replay: Replay) -> None:
    now = instant("2022-01-20T10:00:30") // 10**6
    with Sandbox(limits=False, clock=lambda: now, replay=folder) as sandbox:
        client = Client(sandbox)
        rows = client.spot("/market/history/kline", symbol="btcusdt", period="1min", size=2000)["data"][::-1]
        known = replay.klines("htx-spot", "btcusdt", "1min", rows[0]["id"] * 10**6, now * 10**6)
        assert [row["id"] * 10**6 for row in rows] == known["open_time"].tolist()
        for field, name in (
            ("open", "open"),
            ("close", "close"),
            ("amount", "volume"),
            ("vol", "quote_volume"),
        ):
            assert [row[field] for row in rows] == known[name].tolist()
        query: dict[str, Any] = {"contract_code": "BTC-USDT", "limit": 100}
        served = client.swap("/v5/market/funding_rate_history", **query)["data"][::-1]
        fundings = replay.funding_rates("htx-linear", "BTC-USDT", 0, now * 10**6)
        assert [row["funding_rate"] for row in served] == fundings["funding_rate_text"][-100:]
        v1 = client.swap(
            "/linear-swap-api/v1/swap_historical_funding_rate", contract_code="BTC-USDT", page_size=9
        )
        assert [Decimal(row["funding_rate"]) for row in v1["data"]["data"]] == [
            Decimal(text) for text in fundings["funding_rate_text"][:-10:-1]
        ]
        other = client.spot("/market/history/kline", symbol="ethusdt", period="1min", size=5)["data"]
        truth = Market(0).klines(
            "htx-spot", "ethusdt", "1min", other[-1]["id"] * 10**6, now // 60 * 60 * 10**6
        )
        assert [row["close"] for row in other[:0:-1]] == truth["close"].tolist()
        listed = {row["sc"]: row["toa"] for row in client.spot("/v2/settings/common/symbols")["data"]}
        assert listed["btcusdt"] == instant("2017-10-27") // 1000
        client.close()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder of recorded data at"):
        Replay.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="is incomplete"):
        Replay.load(tmp_path)
