"""The proof by clients that we did not write: ccxt.pro and cryptofeed, with only their URLs changed, hear the truth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt.pro
import pytest
from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import CANDLES, L2_BOOK, TRADES
from cryptofeed.exchanges import Huobi, HuobiSwap
from cryptofeed.symbols import Symbols

from htxdata.sandbox import Sandbox
from tests.clocks import Wound

NOON = 1_780_315_230  # 2026-06-01 12:00:30 UTC


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    with Sandbox(clock=Wound(NOON)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    """Eight minutes in a second."""
    with Sandbox(clock=Wound(NOON, 480.0), limits=False) as sandbox:
        yield sandbox


# ----------------------------------------------------------------------------------------------------------- ccxt


def pro(sandbox: Sandbox) -> Any:
    """ccxt's own class; the two markets that are watched are all it is told about, or it would load for a second."""
    one = ccxt.pro.htx({"enableRateLimit": False, "newUpdates": True, "options": {"fetchMarkets": {"types": {
        "spot": True, "linear": True, "inverse": False}}}})  # fmt: skip
    for name in one.urls["api"]:
        if name != "ws":
            one.urls["api"][name] = sandbox.hosts[
                "htx_swap_rest" if name in ("contract", "status") else "htx_spot_rest"
            ]
    sockets = one.urls["api"]["ws"]["api"]
    sockets["spot"] |= {
        name: sandbox.hosts["htx_spot_ws"] + path for name, path in (("public", "/ws"), ("feed", "/feed"))
    }
    for kind in ("swap", "future"):
        sockets[kind]["linear"]["public"] = sandbox.hosts["htx_swap_ws"] + "/linear-swap-ws"
    return one


async def watched(sandbox: Sandbox, what: str, symbol: str, times: int) -> list[Any]:
    one = pro(sandbox)
    try:
        await one.load_markets()
        found = []
        for _ in range(times):
            found.append(await asyncio.wait_for(getattr(one, what)(symbol), 10))
            if what == "watch_order_book":
                found[-1] = {name: found[-1][name] for name in ("nonce", "timestamp")} | {
                    side: [tuple(level) for level in found[-1][side]] for side in ("bids", "asks")
                }
        return found
    finally:
        await one.close()


@pytest.mark.parametrize(
    ("venue", "symbol", "name"),
    [("htx-spot", "BTC/USDT", "btcusdt"), ("htx-linear", "BTC/USDT:USDT", "BTC-USDT")],
)
def test_ccxt_watches_trades(hasty: Sandbox, venue: str, symbol: str, name: str) -> None:
    """Every trade from the first one it sees is the truth, each once; ccxt gives contracts their number of lots."""
    found = {
        (one["timestamp"], one["id"]): one
        for page in asyncio.run(watched(hasty, "watch_trades", symbol, 8))
        for one in page
    }
    rows = sorted(found.values(), key=lambda one: one["timestamp"])
    start, end = rows[0]["timestamp"] * 1000, rows[-1]["timestamp"] * 1000 + 1
    known = hasty.trades_between(venue, name, start, end)
    assert len(rows) >= 8
    size = known["quantity"] if venue == "htx-spot" else known["contracts"]
    assert sorted((one["timestamp"], one["price"], one["amount"], one["side"]) for one in rows) == sorted(
        zip(
            (known["trade_time"] // 1000).tolist(), known["price"].tolist(), size.tolist(), known["side"].tolist(),
            strict=True,
        )
    )  # fmt: skip
    if venue == "htx-linear":
        assert {one["id"] for one in rows} == {str(number) for number in known["trade_id"].tolist()}


@pytest.mark.parametrize(
    ("venue", "symbol", "name"),
    [("htx-spot", "BTC/USDT", "btcusdt"), ("htx-linear", "BTC/USDT:USDT", "BTC-USDT")],
)
def test_ccxt_watches_the_order_book(live: Sandbox, venue: str, symbol: str, name: str) -> None:
    """Each book that ccxt put together is the exchange's, all 150 levels a side."""
    books = asyncio.run(watched(live, "watch_order_book", symbol, 5))
    for one in books:
        if venue == "htx-spot":
            known = live.book(venue, name, sequence=one["nonce"], depth=150)
        else:
            known = live.book(venue, name, one["timestamp"] * 1000, depth=150)
        assert (one["bids"], one["asks"]) == (known.bids, known.asks)
    assert len({one["nonce"] for one in books}) > 2


# ----------------------------------------------------------------------------------------------------- cryptofeed


def pointed(kind: type[Any], sandbox: Sandbox) -> type[Any]:
    """cryptofeed's own class at another address. It takes none that is not wss, so it is told the true one later."""
    spot = kind is Huobi
    socket = (
        sandbox.hosts["htx_spot_ws"] + "/ws" if spot else sandbox.hosts["htx_swap_ws"] + "/linear-swap-ws"
    )
    only = None if spot else ("QUOTE", ("USDT",))
    rest = sandbox.hosts["htx_spot_rest" if spot else "htx_swap_rest"]
    listings = [endpoint.routes.instruments for endpoint in kind.rest_endpoints]

    def connect(self: Any) -> Any:
        made = kind.connect(self)
        for connection, *_ in made:
            connection.address = connection.address.replace("wss:", "ws:")
        return made

    return type(kind.__name__, (kind,), {
        "websocket_endpoints": [WebsocketEndpoint(socket.replace("ws:", "wss:"), instrument_filter=only)],
        "rest_endpoints": [RestEndpoint(rest, routes=Routes(listing)) for listing in listings],
        "connect": connect,
    })  # fmt: skip


def heard(
    sandbox: Sandbox, kind: type[Any], symbol: str, channels: list[str], wanted: dict[str, int]
) -> dict[str, list[Any]]:
    """What cryptofeed's callbacks were given, until there was enough of each channel."""
    found: dict[str, list[Any]] = {channel: [] for channel in channels}

    async def run() -> None:
        enough = asyncio.Event()

        def keep(channel: str) -> Any:
            async def kept(told: Any, received: float) -> None:
                found[channel].append((told.timestamp, told.book.to_dict()) if channel == L2_BOOK else told)
                if all(len(found[name]) >= count for name, count in wanted.items()):
                    enough.set()

            return kept

        feeds = FeedHandler(config={"log": {"disabled": True}, "uvloop": False})
        callbacks = {channel: keep(channel) for channel in channels}
        feeds.add_feed(pointed(kind, sandbox)(symbols=[symbol], channels=channels, callbacks=callbacks))
        feeds.run(start_loop=False, install_signal_handlers=False)
        try:
            await asyncio.wait_for(enough.wait(), 15)
        finally:
            await feeds.stop_async(loop=asyncio.get_running_loop())
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    Symbols.clear()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run())
    finally:
        logging.getLogger("feedhandler").handlers.clear()
        asyncio.set_event_loop(None)
        loop.close()
        Symbols.clear()
    return found


@pytest.mark.parametrize(
    ("kind", "symbol", "venue", "name"),
    [(Huobi, "BTC-USDT", "htx-spot", "btcusdt"), (HuobiSwap, "BTC-USDT-PERP", "htx-linear", "BTC-USDT")],
)
def test_cryptofeed_hears_trades(hasty: Sandbox, kind: type[Any], symbol: str, venue: str, name: str) -> None:
    """Every trade is the truth: id, time, price, size (of contracts their number), side; none is left out."""
    trades = heard(hasty, kind, symbol, [TRADES], {TRADES: 8})[TRADES]
    rows = [(one.id, one.timestamp, one.price, one.amount, one.side) for one in trades]
    start, end = min(row[1] for row in rows), max(row[1] for row in rows)
    known = hasty.trades_between(venue, name, round(start * 1e6), round(end * 1e6) + 1)
    size = known["quantity"] if venue == "htx-spot" else known["contracts"]
    truth = [
        (str(identity), time / 1e6, Decimal(repr(price)), Decimal(repr(amount)), side)
        for identity, time, price, amount, side in zip(
            known["trade_id"].tolist(), known["trade_time"].tolist(), known["price"].tolist(), size.tolist(),
            known["side"].tolist(), strict=True,
        )
    ]  # fmt: skip
    assert sorted(set(rows)) == truth


@pytest.mark.parametrize(
    ("kind", "symbol", "venue", "name"),
    [(Huobi, "BTC-USDT", "htx-spot", "btcusdt"), (HuobiSwap, "BTC-USDT-PERP", "htx-linear", "BTC-USDT")],
)
def test_cryptofeed_hears_books(live: Sandbox, kind: type[Any], symbol: str, venue: str, name: str) -> None:
    """The books of depth.step0 are the exchange's at their time, 150 levels a side."""
    for timestamp, told in heard(live, kind, symbol, [L2_BOOK], {L2_BOOK: 2})[L2_BOOK]:
        book = live.book(venue, name, round(timestamp * 1e6), depth=150)
        assert len(book.bids) == 150
        for side, known in (("bid", book.bids), ("ask", book.asks)):
            assert {float(price): float(size) for price, size in told[side].items()} == dict(known)


def test_cryptofeed_hears_candles(hasty: Sandbox) -> None:
    """The last of each candle is how it ended."""
    candles = heard(hasty, Huobi, "BTC-USDT", [CANDLES], {CANDLES: 14})[CANDLES]
    last = {one.start: one for one in candles}
    ended = sorted(last)[1:-1]
    assert ended
    for start in ended:
        known = hasty.market.klines("htx-spot", "btcusdt", "1min", int(start) * 10**6, int(start) * 10**6 + 1)
        one = last[start]
        found = [float(value) for value in (one.open, one.close, one.high, one.low, one.volume, one.trades)]
        names = ("open", "close", "high", "low", "volume", "trade_count")
        assert found == [float(known[column][0]) for column in names]
