"""HashKey's half: ccxt's own `hashkey` class with only its URLs changed reads the truth; it talks as recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt
import pytest
import websockets

from htxdata.sandbox import Market, Sandbox, hashkey_index
from htxdata.sandbox.hashkey_funding import coming
from htxdata.sandbox.instruments import instant
from tests.clocks import Hands

NOON = instant("2026-06-01T12:00:30") // 10**6


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOON, limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def exchange(sandbox: Sandbox) -> Iterator[Any]:
    one = ccxt.hashkey({"enableRateLimit": False})
    for name in one.urls["api"]:
        one.urls["api"][name] = sandbox.hosts["hashkey_rest"]
    one.milliseconds = lambda: NOON * 1000
    yield one
    one.session.close()


def test_markets(exchange: Any) -> None:
    """Pairs and perpetuals, sizes in contracts; what was delisted is not there, what is halted is not active."""
    markets = exchange.load_markets()
    assert {"BTC/USDT", "ETH/USDT", "BTC/USDT:USDT", "DOGE/USDT:USDT"} <= set(markets)
    assert "SOL/USDT:USDT" not in markets
    assert not markets["ATOM/USDT"]["active"]
    assert markets["BTC/USDT:USDT"]["contractSize"] == 0.001
    assert markets["DOGE/USDT:USDT"]["contractSize"] == 10
    assert markets["BTC/USDT:USDT"]["precision"] == {"amount": 1.0, "price": 0.1}
    assert markets["BTC/USDT"]["precision"] == {"amount": 0.00001, "price": 0.01}
    assert exchange.fetch_time() == NOON * 1000
    assert exchange.fetch_status()["status"] == "ok"


@pytest.mark.parametrize(
    ("symbol", "name", "unit"), [("BTC/USDT", "BTCUSDT", 1), ("BTC/USDT:USDT", "BTCUSDT-PERPETUAL", 1000)]
)
@pytest.mark.parametrize(
    ("timeframe", "period", "step"),
    [("1m", "1min", 60), ("1h", "60min", 3600), pytest.param("1d", "1day", 86400, marks=pytest.mark.wide)],
)
def test_candles(
    exchange: Any, market: Market, symbol: str, name: str, unit: int, timeframe: str, period: str, step: int
) -> None:
    """The start is exclusive (a millisecond before it is not); days are UTC's; sizes of a perpetual are contracts."""
    start = (NOON // step - 300) * step
    rows = exchange.fetch_ohlcv(symbol, timeframe, since=start * 1000 - 1, limit=1000)
    truth = market.candles("hashkey", name, period, start * 10**6, (NOON + 1) * 10**6, NOON * 10**6)
    assert [row[0] for row in rows] == (truth["open_time"] // 1000).tolist()
    assert rows[0][0] == start * 1000
    for place, column in enumerate(("open", "high", "low", "close"), 1):
        assert [row[place] for row in rows] == truth[column].tolist()
    assert [row[5] for row in rows] == pytest.approx((truth["volume"] * unit).tolist())
    without = exchange.publicGetQuoteV1Klines(
        {"symbol": name, "interval": timeframe, "startTime": start * 1000, "endTime": NOON * 1000, "limit": 1}
    )
    assert int(without[0][0]) == (start + step) * 1000


def test_trades_and_books(exchange: Any, market: Market, sandbox: Sandbox) -> None:
    """The newest hundred, taker's sides; both sides of the book."""
    rows = exchange.fetch_trades("BTC/USDT:USDT")
    truth = market.newest_trades("hashkey", "BTCUSDT-PERPETUAL", 100, NOON * 10**6)
    assert len(rows) == 100
    assert [row["timestamp"] for row in rows] == (truth["trade_time"][-100:] // 1000).tolist()
    assert [row["amount"] for row in rows] == truth["contracts"][-100:].tolist()
    assert [row["side"] for row in rows] == truth["side"][-100:].tolist()
    book, whole = exchange.fetch_order_book("BTC/USDT"), sandbox.book("hashkey", "BTCUSDT")
    assert [tuple(level) for level in book["bids"]] == whole.bids
    assert [tuple(level) for level in book["asks"]] == whole.asks
    assert len(whole.bids) == 100


def test_fundings(exchange: Any, market: Market) -> None:
    """What was settled, and what is coming."""
    rows = exchange.fetch_funding_rate_history("ETH/USDT:USDT", limit=1000)
    truth = market.funding_rates("hashkey", "ETHUSDT-PERPETUAL", rows[0]["timestamp"] * 1000, NOON * 10**6)
    assert len(rows) == 1000
    assert [row["timestamp"] * 1000 for row in rows] == truth["funding_time"].tolist()
    assert [row["fundingRate"] for row in rows] == truth["funding_rate"].tolist()
    due = coming(market, "ETHUSDT-PERPETUAL", NOON * 10**6)
    now = exchange.fetch_funding_rate("ETH/USDT:USDT")
    assert now["fundingRate"] == due["funding_rate"]
    assert int(now["info"]["nextSettleTime"]) == due["funding_time"] // 1000
    assert set(exchange.fetch_funding_rates()) == {"BTC/USDT:USDT", "ETH/USDT:USDT", "DOGE/USDT:USDT"}


def test_tickers(exchange: Any, market: Market) -> None:
    """Without a symbol of pairs alone; last prices of all."""
    tickers = exchange.fetch_tickers()
    assert "BTC/USDT:USDT" not in tickers
    truth = market.trades("hashkey", "BTCUSDT", (NOON - 86400) * 10**6, NOON * 10**6)
    assert tickers["BTC/USDT"]["last"] == truth["price"][-1]
    assert tickers["BTC/USDT"]["high"] == truth["price"].max()
    one = exchange.fetch_ticker("BTC/USDT:USDT")
    rows = market.trades("hashkey", "BTCUSDT-PERPETUAL", (NOON - 86400) * 10**6, NOON * 10**6)
    assert one["baseVolume"] == pytest.approx(rows["quantity"].sum())
    assert int(one["info"]["v"]) == rows["contracts"].sum()
    assert exchange.fetch_last_prices()["BTC/USDT:USDT"]["price"] == rows["price"][-1]


def test_mark_and_index_prices(exchange: Any, market: Market) -> None:
    """Of whole seconds, mark prices with as many decimals as trades or with 18; indices by their names or all at once,
    also of a contract that was delisted. ccxt has no methods of its own for them."""
    index = exchange.publicGetQuoteV1Index()
    assert set(index) == {"index", "edp"}
    assert set(index["index"]) == set(index["edp"]) == {"BTCUSDT", "ETHUSDT", "DOGEUSDT", "SOLUSDT"}
    for name in ("BTCUSDT", "ETHUSDT", "DOGEUSDT"):
        said = exchange.publicGetQuoteV1MarkPrice({"symbol": f"{name}-PERPETUAL"})
        assert (said["symbolId"], int(said["time"])) == (f"{name}-PERPETUAL", NOON * 1000)
        due = hashkey_index.mark_truth(market, f"{name}-PERPETUAL", NOON * 10**6 + 999_999)
        assert (float(said["price"]), int(said["time"]) * 1000) == (due["price"], due["price_time"])
        due = hashkey_index.index_truth(market, f"{name}-PERPETUAL", NOON * 10**6)
        assert (float(index["index"][name]), float(index["edp"][name])) == (due["price"], due["average_price"])
        assert due["price"] == pytest.approx(float(said["price"]), rel=0.02)  # of one market
        one = exchange.publicGetQuoteV1Index({"symbol": name})
        assert one == {"index": {name: index["index"][name]}, "edp": {name: index["edp"][name]}}
    one = market.instrument("hashkey", "BTCUSDT-PERPETUAL")
    prices = [hashkey_index.mark(market.seed, one, (NOON + n) * 10**6)[0] for n in range(40)]
    assert {len(f"{price:f}".partition(".")[2]) for price in prices} == {1, 18}
    with pytest.raises(ccxt.BadRequest, match="-100012"):
        exchange.publicGetQuoteV1MarkPrice()


def test_errors_in_both_spellings(exchange: Any, sandbox: Sandbox) -> None:
    """Texts under /api, numbers under /quote, nothing for an unknown mark price, HTML for a path that is nobody's."""
    import requests

    base = sandbox.hosts["hashkey_rest"]

    def said(path: str) -> tuple[int, bytes]:
        found = requests.get(base + path, timeout=30)
        return found.status_code, found.content

    assert said("/api/v1/exchangeInfo?symbol=NOPE") == (
        400,
        b'{"code":"-1130","msg":"Illegal parameter symbol"}',
    )
    assert said("/api/v1/exchangeInfo?symbol=SOLUSDT-PERPETUAL")[1].startswith(b'{"code":"-1151"')
    assert said("/quote/v1/klines?symbol=NOPE&interval=1m") == (
        400,
        b'{"code":-100011,"msg":"Not supported symbols"}',
    )
    assert said("/quote/v1/klines?symbol=BTCUSDT&interval=7m")[1].startswith(b'{"code":-100009')
    assert said("/quote/v1/klines?interval=7m") == (
        400,
        b'{"code":-100012,"msg":"Parameter symbol [String] missing!"}',
    )
    assert said("/quote/v1/trades?symbol=BTCUSDT&limit=x") == (
        400,
        b'{"code":-100002,"msg":"Param limit should be int."}',
    )
    assert said("/api/v1/futures/fundingRate")[1].startswith(b'{"code":"0001"')
    for name in ("BTCUSDT", "NOPE", "SOLUSDT-PERPETUAL"):  # a pair, nothing at all, what was delisted
        assert said(f"/quote/v1/markPrice?symbol={name}") == (200, b"")
    assert said("/quote/v1/markPrice") == (400, b'{"code":-100012,"msg":"Parameter symbol [String] missing!"}')
    for name in ("NOPE", "BTCUSDT-PERPETUAL"):  # an index goes by its own name
        assert said(f"/quote/v1/index?symbol={name}") == (200, b'{"index":{},"edp":{}}')
    assert said("/quote/v2/index") == (404, b'{"code":404,"msg":"No static resource quote/v2/index."}')
    status, body = said("/nothing")
    assert (status, body[:6]) == (404, b"<html>")
    with pytest.raises(ccxt.BadRequest):
        exchange.publicGetApiV1ExchangeInfo({"symbol": "NOPE"})


def test_who_goes_on_after_429_is_banned_with_418(monkeypatch: pytest.MonkeyPatch) -> None:
    """No header says anything of it."""
    import requests

    monkeypatch.setattr("htxdata.sandbox.rest.time", Hands())

    with Sandbox(limits={"hashkey_rest": 2}, ban_after=3) as strict:
        told = [requests.get(strict.hosts["hashkey_rest"] + "/api/v1/ping", timeout=30) for _ in range(8)]
        assert [one.status_code for one in told] == [200, 200, 429, 429, 429, 418, 418, 418]
        assert not [
            name for one in told for name in one.headers if "rate" in name.lower() or "retry" in name.lower()
        ]


# ------------------------------------------------------------------------------------------------- sockets


def talk(sandbox: Sandbox, path: str, *texts: str, until: int) -> list[Any]:
    """What is heard after saying these texts, so many messages of it."""

    async def run() -> list[Any]:
        async with websockets.connect(sandbox.hosts["hashkey_ws"] + path, compression=None) as line:
            for text in texts:
                await line.send(text)
            return [json.loads(await asyncio.wait_for(line.recv(), 10)) for _ in range(until)]

    return asyncio.run(run())


def shape(value: Any) -> Any:
    """The names and kinds of what is said: lists by their first element."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name not in ("site", "id")}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


V1 = '{"symbol":"%s","topic":"%s","event":"sub","params":{"binary":false}}'
V2 = '{"topic":"%s","event":"sub","params":{"symbol":"BTCUSDT-PERPETUAL"}}'


@pytest.mark.wide
@pytest.mark.parametrize(
    ("path", "asked", "sample"),
    [
        ("/quote/ws/v1", V1 % ("BTCUSDT-PERPETUAL", "depth"), "ws-v1-depth-perpetual-snapshot.json"),
        ("/quote/ws/v1", V1 % ("BTCUSDT", "index"), "ws-v1-index-formula.json"),
        ("/quote/ws/v1", V1 % ("ETHUSDT", "trade"), "ws-v1-trade-2024.json"),
        ("/quote/ws/v1", V1 % ("BTCUSDT", "kline_1m"), "ws-v1-kline-2026.json"),
        ("/quote/ws/v1", V1 % ("ETHUSDT", "realtimes"), "ws-v1-realtimes-2024.json"),
        ("/quote/ws/v2", V2 % "depth", "ws-v2-depth-perpetual.json"),
        ("/quote/ws/v2", V2 % "bbo", "ws-v2-bbo-perpetual.json"),
        ("/quote/ws/v2", V2 % "markPrice", "ws-v2-markprice.json"),
    ],
)
def test_pushes_look_as_recorded(shared: Path, path: str, asked: str, sample: str) -> None:
    """Member for member, kind for kind; V1 says f with its first push, V2 acknowledges before it."""
    with Sandbox(limits=False) as live:
        heard = talk(live, path, asked, until=2 if path.endswith("v2") else 1)
    recorded = json.loads((shared / "reference/samples/hashkey" / sample).read_bytes())
    said, mine = shape(recorded), shape(heard[-1])
    for whole in (said, mine):  # newer and older captures differ in these alone
        whole.pop("channelId", None)
        whole.get("params", {}).pop("binary", None)
    assert mine == said
    if path.endswith("v2"):
        command = json.loads(asked)
        assert heard[0] == {**command, "code": "0", "msg": "Success"}
    else:
        assert heard[0]["f"] is True


@pytest.mark.wide
def test_talk_on_both_sockets(shared: Path) -> None:
    """A pong has the exchange's clock; errors are those on record, and the socket stays open."""
    with Sandbox(limits=False, clock=lambda: NOON) as live:
        junk, pong, index, topic = talk(
            live, "/quote/ws/v1", "junk", '{"ping":1}', V1 % ("BTCUSDT-PERPETUAL", "index"), V1 % ("BTCUSDT", "bbo"),
            until=4,
        )  # fmt: skip
        assert junk == {"code": "-10001", "desc": "Invalid JSON!"}
        assert pong == {"pong": NOON * 1000}
        assert index == json.loads((shared / "reference/samples/hashkey/ws-v1-error.json").read_bytes())
        assert topic == {"code": "-10004", "desc": "Invalid topic!"}
        wrong = json.loads((shared / "reference/samples/hashkey/ws-v2-error.json").read_bytes())
        said = json.dumps({name: wrong[name] for name in ("topic", "event", "params")})
        gone = (V2 % "trade").replace("BTCUSDT", "SOLUSDT")  # delisted: taken, and nothing follows
        assert talk(live, "/quote/ws/v2", said, gone, until=2) == [
            wrong, {**json.loads(gone), "code": "0", "msg": "Success"}
        ]  # fmt: skip


@pytest.mark.wide
def test_who_is_silent_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """V2 after so long without a frame of the client's, even while it streams; one that pings stays."""
    from htxdata.sandbox import hashkey_sockets

    monkeypatch.setitem(hashkey_sockets.DEAF, "/quote/ws/v2", 3.0)
    with Sandbox(limits=False, ping_seconds=0.1) as live:

        async def last(pings: bool) -> bool:
            async with websockets.connect(
                live.hosts["hashkey_ws"] + "/quote/ws/v2", compression=None, close_timeout=0.2
            ) as line:
                await line.send(V2 % "depth")
                end = asyncio.get_running_loop().time() + (4.5 if pings else 60.0)
                while asyncio.get_running_loop().time() < end:
                    try:
                        await asyncio.wait_for(line.recv(), 0.3)
                        if pings:
                            await line.send('{"ping":1}')
                    except TimeoutError:
                        continue
                    except websockets.ConnectionClosed:
                        return False
                return True

        assert not asyncio.run(last(False))
        assert asyncio.run(last(True))
