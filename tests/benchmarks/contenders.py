"""The same candles by other roads: what our backfill is measured against. Each returns the rows that it brought."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import requests
from isal import isal_zlib

STEP = 60
PAGE = 2000
PATH = "/linear-swap-ex/market/history/kline"


def pages(start: int, end: int) -> list[dict[str, str]]:
    """The parameters of every page of one-minute candles of ``[start, end)`` (seconds)."""
    return [
        {
            "contract_code": "BTC-USDT",
            "period": "1min",
            "from": str(at),
            "to": str(min(at + (PAGE - 1) * STEP, end - STEP)),
        }
        for at in range(start, end, PAGE * STEP)
    ]


class Candle(msgspec.Struct, gc=False):
    id: int
    open: float
    close: float
    high: float
    low: float
    amount: float
    vol: float
    trade_turnover: float
    count: int


class Candles(msgspec.Struct, gc=False):
    data: list[Candle]


_NAMES = Candle.__struct_fields__
_decoder = msgspec.json.Decoder(Candles)
_SCHEMA = {name: pl.Int64 if name in ("id", "count") else pl.Float64 for name in _NAMES}


def by_msgspec(body: bytes) -> pa.Table:
    rows = _decoder.decode(body).data
    return pa.table({name: [getattr(row, name) for row in rows] for name in _NAMES})


def by_polars(body: bytes) -> pa.Table:
    start = body.index(b'"data":') + 7
    return pl.read_json(body[start : body.index(b"]", start) + 1], schema=_SCHEMA).to_arrow()


def straight_requests(base: str, start: int, end: int, parse: Callable[[bytes], pa.Table]) -> int:
    """requests.Session, the raw body, isal, one parser: nothing else (engineering notes, the quickest of requests)."""
    rows = 0
    with requests.Session() as session:
        for params in pages(start, end):
            reply = session.get(base + PATH, params=params, headers={"Accept-Encoding": "gzip"}, stream=True)
            rows += len(parse(isal_zlib.decompress(reply.raw.read(decode_content=False), 31)))
    return rows


def straight_aiohttp(base: str, start: int, end: int, parse: Callable[[bytes], pa.Table]) -> int:
    """aiohttp, ten requests in flight, isal, one parser: nothing else (engineering notes, the quickest measured)."""
    import aiohttp

    async def run() -> int:
        gate = asyncio.Semaphore(10)
        rows = 0

        async def one(session: aiohttp.ClientSession, params: dict[str, str]) -> None:
            nonlocal rows
            async with gate, session.get(base + PATH, params=params, headers={"Accept-Encoding": "gzip"}) as reply:
                rows += len(parse(isal_zlib.decompress(await reply.read(), 31)))

        async with aiohttp.ClientSession(auto_decompress=False) as session:
            await asyncio.gather(*(one(session, params) for params in pages(start, end)))
        return rows

    return asyncio.run(run())


def usual_recipe(base: str, start: int, end: int, folder: Path) -> int:
    """What people do: ccxt ``fetch_ohlcv`` pages, a pandas frame, ``to_parquet``."""
    exchange = ccxt_at(base)
    market = "BTC/USDT:USDT"
    rows: list[list[Any]] = []
    at = start * 1000
    while at < end * 1000:
        # No `limit`: with one, ccxt sends `size` and the venue ignores the range.
        until = min(at + (PAGE - 1) * STEP * 1000, (end - STEP) * 1000)
        page = exchange.fetch_ohlcv(market, "1m", since=at, params={"until": until})
        rows += page
        at = page[-1][0] + STEP * 1000
    frame = pd.DataFrame(rows, columns=["time", "open", "high", "low", "close", "volume"])
    frame["time"] = pd.to_datetime(frame["time"], unit="ms", utc=True)
    frame.to_parquet(folder / "candles.parquet")
    return len(frame)


_EXCHANGES: dict[str, Any] = {}


def ccxt_at(base: str) -> Any:
    """ccxt's htx with its URLs changed, its own rate limit off, its markets loaded (outside of what is timed)."""
    if base not in _EXCHANGES:
        import ccxt

        exchange = ccxt.htx({"enableRateLimit": False})
        spot = base.replace("/htx-swap", "/htx-spot")
        for name in exchange.urls["api"]:
            exchange.urls["api"][name] = base if name in ("contract", "status") else spot
        exchange.load_markets()
        _EXCHANGES[base] = exchange
    return _EXCHANGES[base]


def seconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp())
