"""Candles on the wire: pages, ends, orders, spellings and errors, read with plain json."""

from __future__ import annotations

import gzip
import urllib.request
from typing import Any

import pytest

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.instruments import instant
from htxdata.sandbox.spelling import gzipped, java_double, piece, plain
from tests.sandbox.conftest import NOON, Client, assert_is_truth

KLINE = "/market/history/kline"
CANDLES = "/market/history/candles"
LINEAR = "/linear-swap-ex/market/history/kline"
MINUTE = 60
OPEN = NOON // 60 * 60


def ids(body: Any) -> list[int]:
    return [row["id"] for row in body["data"]]


# ------------------------------------------------------------------------------------------------- spot candles


@pytest.mark.parametrize(
    "period", ["1min", "5min", "15min", "30min", "60min", "4hour", "1day", "1week", "1mon", "1year"]
)
def test_spot_kline_is_the_newest_first(still: Client, market: Market, period: str) -> None:
    symbol = "ethbtc" if period in ("1mon", "1year") else "btcusdt"
    body = still.spot(KLINE, symbol=symbol, period=period, size=5)
    assert body["ch"] == f"market.{symbol}.kline.{period}"
    assert body["status"] == "ok"
    assert body["ts"] == NOON * 1000
    rows = body["data"][::-1]
    start = rows[0]["id"] * 1_000_000
    assert_is_truth(
        rows, market.candles("htx-spot", symbol, period, start, NOON * 1_000_000, NOON * 1_000_000)
    )
    assert len(rows) == 5
    assert rows[-1]["id"] <= NOON


def test_spot_kline_sizes(still: Client) -> None:
    assert len(ids(still.spot(KLINE, symbol="btcusdt", period="1min"))) == 150
    assert len(ids(still.spot(KLINE, symbol="btcusdt", period="1min", size=2000))) == 2000
    for size in (0, 2001, "many"):
        body = still.spot(KLINE, symbol="btcusdt", period="1min", size=size)
        assert body["status"] == "error"
        assert body["err-code"] == "invalid-parameter"
        assert body["err-msg"] == "invalid size,valid range: [1, 2000]"


def test_spot_errors_and_unknown_parameters(still: Client) -> None:
    assert still.spot(KLINE, symbol="nonsense", period="1min")["err-msg"] == "invalid symbol"
    assert still.spot(KLINE, symbol="BTCUSDT", period="1min")["err-msg"] == "invalid symbol"
    assert still.spot(KLINE, period="1min")["err-msg"] == "invalid symbol"
    assert still.spot(KLINE, symbol="btcusdt", period="2min")["err-msg"] == "invalid period"
    ignored = still.spot(KLINE, symbol="btcusdt", interval="1day", size=2)
    assert ignored["ch"] == "market.btcusdt.kline.1min"
    assert still.get("htx_spot_rest", KLINE, symbol="x").status_code == 200


def test_missing_and_flat_minutes(still: Client) -> None:
    missing = still.spot(KLINE, symbol="mdxusdt", period="1min", size=100)
    assert len(ids(missing)) == 100
    assert all(row["count"] > 0 for row in missing["data"])
    flat = still.spot(KLINE, symbol="steemusdt", period="1min", size=100)
    assert ids(flat) == [OPEN - 60 * back for back in range(100)]
    assert any(row["count"] == 0 and row["amount"] == 0.0 for row in flat["data"])


def test_dead_symbols_keep_their_last_rows(still: Client) -> None:
    assert ids(still.spot(KLINE, symbol="nasusdt", period="1min", size=1)) == [
        instant("2025-02-10T07:59") // 10**6
    ]
    assert ids(still.spot(KLINE, symbol="wavesusdt", period="60min", size=1)) == [
        instant("2026-02-03T08:00") // 10**6
    ]


def test_a_young_symbol_has_only_its_life(still: Client) -> None:
    assert len(ids(still.spot(KLINE, symbol="币安人生usdt", period="1mon", size=2000))) == 9
    body = still.spot(
        CANDLES, symbol="bmtusdt", period="1day", from_=0, to=instant("2025-03-20") // 10**6, size=9
    )
    assert ids(body)[-1] == instant("2025-03-17T16:00") // 10**6


def test_spot_candles_have_inclusive_ends(still: Client, market: Market) -> None:
    start = OPEN - 500 * MINUTE
    body = still.spot(CANDLES, symbol="btcusdt", period="1min", from_=start, to=start + 9 * MINUTE, size=1000)
    assert ids(body) == [start + MINUTE * step for step in range(9, -1, -1)]
    truth = market.klines("htx-spot", "btcusdt", "1min", start * 10**6, (start + 10 * MINUTE) * 10**6)
    assert_is_truth(body["data"][::-1], truth)
    between = still.spot(
        CANDLES, symbol="btcusdt", period="1min", from_=start + 1, to=start + 2 * MINUTE - 1, size=9
    )
    assert ids(between) == [start + MINUTE]
    assert len(ids(still.spot(CANDLES, symbol="btcusdt", period="1min", from_=start, to=OPEN))) == 150
    assert (
        len(ids(still.spot(CANDLES, symbol="btcusdt", period="1min", from_=start - 10**6, size=1000))) == 1000
    )
    assert ids(still.spot(CANDLES, symbol="btcusdt", period="1min", from_=start, to=OPEN, size=1001)) == []
    assert (
        ids(still.spot(CANDLES, symbol="btcusdt", period="1min", from_=OPEN + 60, to=OPEN + 600, size=9))
        == []
    )
    assert ids(still.spot(CANDLES, symbol="btcusdt", period="1min", from_=OPEN, to=OPEN + 600, size=9)) == [
        OPEN
    ]
    for period in ("1mon", "1year"):
        assert still.spot(CANDLES, symbol="btcusdt", period=period)["err-msg"] == "invalid period"


def test_spot_candles_may_be_shallow_or_gone() -> None:
    asked: dict[str, Any] = {
        "symbol": "btcusdt",
        "period": "1min",
        "from_": OPEN - 6000,
        "to": OPEN,
        "size": 1000,
    }
    with Sandbox(limits=False, clock=lambda: NOON, spot_history=10) as sandbox:
        client = Client(sandbox)
        assert ids(client.spot(CANDLES, **asked)) == [OPEN - MINUTE * back for back in range(10)]
        client.close()
    with Sandbox(limits=False, clock=lambda: NOON, spot_history=0) as sandbox:
        client = Client(sandbox)
        assert client.get("htx_spot_rest", CANDLES, **asked).status_code == 404
        client.close()


def test_the_running_candle_grows_and_closes() -> None:
    """Kept bodies of closed rows never show in what is served at a later time."""
    now = [float(OPEN - 119)]
    truth = Market(0)
    with Sandbox(limits=False, clock=lambda: now[0]) as sandbox:
        client = Client(sandbox)
        for _ in range(40):
            for symbol in ("btcusdt", "mdxusdt"):
                rows = client.spot(KLINE, symbol=symbol, period="1min", size=4)["data"][::-1]
                at = int(now[0] * 1e6)
                seen = truth.candles("htx-spot", symbol, "1min", at - 4 * 3600 * 10**6, at, at)
                last = {name: None if column is None else column[-4:] for name, column in seen.items()}
                assert_is_truth(rows, last)
            rows = client.swap(
                LINEAR, contract_code="BTC-USDT", period="1min", from_=OPEN - 180, to=OPEN + 60
            )["data"]
            seen = truth.candles(
                "htx-linear", "BTC-USDT", "1min", (OPEN - 180) * 10**6, (OPEN + 61) * 10**6, at
            )
            assert_is_truth(rows, seen)
            now[0] += 4.7
        client.close()


# ------------------------------------------------------------------------------------------------- linear candles


@pytest.mark.parametrize("period", ["1min", "15min", "60min", "4hour", "1day", "1week", "1mon"])
def test_linear_kline_by_window(still: Client, market: Market, period: str) -> None:
    start, end = instant("2026-02-27T16:00"), NOON * 10**6
    if period == "1min":
        start = end - 100 * 60 * 10**6
    elif period in ("15min", "60min"):
        start = end - 15 * 86400 * 10**6
    body = still.swap(LINEAR, contract_code="ksm-usdt", period=period, from_=start // 10**6, to=end // 10**6)
    assert body["ch"] == f"market.KSM-USDT.kline.{period}"
    assert ids(body) == sorted(ids(body))
    truth = market.candles("htx-linear", "KSM-USDT", period, start, end + 1, end)
    assert len(truth["open"])
    assert_is_truth(body["data"], truth)


def test_linear_pages_end_at_2000(still: Client) -> None:
    start = OPEN - 100_000 * MINUTE
    ask: dict[str, Any] = {"contract_code": "BTC-USDT", "period": "1min", "from_": start}
    assert ids(still.swap(LINEAR, **ask, to=start + 1999 * MINUTE)) == [
        start + MINUTE * step for step in range(2000)
    ]
    assert ids(still.swap(LINEAR, **ask, to=start + 2000 * MINUTE)) == []


def test_linear_size_beats_the_window(still: Client) -> None:
    body = still.swap(
        LINEAR, contract_code="BTC-USDT", period="1hour", size=3, from_=OPEN - 10**6, to=OPEN - 10**5
    )
    assert ids(body) == [OPEN // 3600 * 3600 - 3600 * back for back in (2, 1, 0)]
    assert body["ch"].endswith("1hour")


def test_linear_serves_two_years(still: Client) -> None:
    edge = NOON - 730 * 86400
    body = still.swap(LINEAR, contract_code="BTC-USDT", period="60min", from_=edge - 10**6, to=edge + 7200)
    assert ids(body) == [edge // 3600 * 3600 + 3600 * step for step in (1, 2)]
    gone = still.swap(LINEAR, contract_code="BTC-USDT", period="1day", from_=edge - 10**7, to=edge - 86400)
    assert ids(gone) == []
    dead = still.swap(LINEAR, contract_code="LUNA-USDT", period="1min", size=1)
    assert ids(dead) == [instant("2025-05-13T07:59") // 10**6]


def test_linear_errors(still: Client) -> None:
    assert still.swap(LINEAR, period="1min", size=1) == {
        "status": "error", "err_code": 1066, "err_msg": "contract_code cannot be empty.", "ts": NOON * 1000,
    }  # fmt: skip
    for wrong in (
        {"contract_code": "XXX-USDT", "period": "1min", "size": 1},
        {"contract_code": "BTC-USDT", "period": "1year", "size": 1},
        {"contract_code": "BTC-USDT", "period": "1min"},
        {"contract_code": "BTC-USDT", "period": "1min", "from": OPEN},
        {"contract_code": "BTC-USDT", "period": "1min", "size": 2001},
        {"contract_code": "BTC-USDT", "period": "1min", "from": OPEN, "to": OPEN - 1},
    ):
        body = still.swap(LINEAR, **wrong)
        assert body["status"] == "error", wrong
        assert body["err-code"] == "invalid-parameter"
    alias = still.swap(LINEAR, contract_code="BTC-USDT-CQ", period="1day", size=1)
    assert alias["status"] == "error"  # nothing by that name yet in June 2026


def test_numbers_are_spelled_as_the_venue_does(still: Client) -> None:
    spot = still.get("htx_spot_rest", KLINE, symbol="pepeusdt", period="1day", size=3).text
    assert "E-6," in spot
    assert "E8," in spot
    assert (
        '"amount":0.0,' in still.get("htx_spot_rest", KLINE, symbol="steemusdt", period="1min", size=99).text
    )
    linear = still.get("htx_swap_rest", LINEAR, contract_code="KSM-USDT", period="1min", size=99).text
    assert '"amount":0E-18,' in linear
    shib = still.get("htx_swap_rest", LINEAR, contract_code="SHIB-USDT", period="1min", size=9).text
    assert '"close":0.0000' in shib


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (1e9, "1.0E9"), (5.313e-5, "5.313E-5"), (1.5694329022947967e9, "1.5694329022947967E9"),
     (1e7, "1.0E7"), (9999999.5, "9999999.5"), (0.001, "0.001"), (0.000999, "9.99E-4"),
     (12345678.0, "1.2345678E7"), (1.0, "1.0"),
     (-2.5e-4, "-2.5E-4"), (1e21, "1.0E21")],
)  # fmt: skip
def test_java_doubles(value: float, text: str) -> None:
    assert java_double(value) == text
    assert float(text) == value


def test_plain_numbers() -> None:
    assert [plain(value) for value in (1e-7, 13083.0, 52.3072, 1e16)] == [
        "0.0000001",
        "13083",
        "52.3072",
        "1" + "0" * 16,
    ]


def test_gzip_is_one_honest_stream() -> None:
    rows = b",".join(b'{"id":%d}' % number for number in range(3000))
    for middle, text in ((piece(rows), b"[1," + rows + b",2]"), (None, b"[1,,2]")):
        assert gzip.decompress(gzipped(b"[1,", middle, b",2]")) == text


def test_bodies_are_squeezed_only_when_asked(still: Client) -> None:
    url = still.sandbox.hosts["htx_spot_rest"] + KLINE + "?symbol=btcusdt&period=1min&size=50"
    with urllib.request.urlopen(url) as reply:
        assert reply.headers["Content-Encoding"] is None
        bare = reply.read()
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})) as reply:
        assert reply.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(reply.read()) == bare
