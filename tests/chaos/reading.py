"""A notebook that asks all the time: ``python -m tests.chaos.reading LAKE SEED DICE COUNTS``.

Until it is killed it opens the lake, asks one question after the other by the front door, and ends with a traceback
as soon as an answer is not the market's, not whole where the coverage says so, doubled, or less than it was before. One
byte a question goes to ``COUNTS``.
"""

from __future__ import annotations

import os
import random
import sys
from itertools import pairwise
from typing import Any

import htxdata
from htxdata.market import Series
from htxdata.research.lake import Lake
from htxdata.sandbox import Sandbox
from htxdata.sandbox.market import Market
from htxdata.timeline import DAY, HOUR, Window, from_datetime, intersect, iso, parse_instant, subtract

SEED = 11
CANDLES = ("2025-06-10", "2025-08-01")
DEEP = ("2026-01-29T05:00", "2026-02-03")
MINUTES = tuple(Series("klines", "htx-linear", symbol, "1min") for symbol in ("BTC-USDT", "DOGE-USDT"))
TRADES = Series("trades", "htx-linear", "DOGE-USDT")

Seen = dict[tuple[Any, ...], int]


def micros(when: Any) -> int:
    return from_datetime(when)


def known(lake: Lake, series: Series, inside: Window) -> bool:
    """Whether the coverage says of all of it what is there."""
    spans = lake.coverage(series.dataset, series.symbol, venue=series.venue, period=series.period).fetchall()
    at = {name: place for place, name in enumerate(lake.coverage(series.dataset).columns)}
    told = [
        Window(micros(span[at["span_start"]]), micros(span[at["span_end"]]))
        for span in spans
        if span[at["verdict"]] in ("present", "empty")
    ]
    told.sort()
    assert all(one.end <= other.start for one, other in pairwise(told)), f"{series}: {told}"
    return not subtract([inside], intersect(told, [inside]))


def candles(lake: Lake, market: Market, dice: random.Random, seen: Seen) -> None:
    """A day of minutes: the market's, and all of them where the coverage said so before."""
    series = dice.choice(MINUTES)
    low = parse_instant(CANDLES[0]) + dice.randrange(50) * DAY
    day = Window(low, low + DAY)
    whole = known(lake, series, day)
    rows = (
        lake.klines(series.symbol, venue=series.venue, period="1min", start=iso(day.start), end=iso(day.end))
        .select("open_time, open, high, low, close, volume")
        .fetchall()
    )
    truth = market.klines(series.venue, series.symbol, "1min", day.start, day.end)
    due = dict(
        zip(
            truth["open_time"].tolist(),
            zip(*(truth[name].tolist() for name in ("open", "high", "low", "close", "volume")), strict=True),
            strict=True,
        )
    )
    have = {micros(row[0]): tuple(row[1:]) for row in rows}
    assert len(have) == len(rows), f"{series} {day}: {len(rows) - len(have)} rows are there twice"
    assert all(due.get(at) == row for at, row in have.items()), f"{series} {day}: not the market's"
    assert not whole or len(have) == len(due), f"{series} {day}: {len(have)} of {len(due)}"


def trades(lake: Lake, market: Market, dice: random.Random, seen: Seen) -> None:
    """An hour of trades from the archive, likewise."""
    low = parse_instant(DEEP[0]) + dice.randrange(110) * HOUR
    hour = Window(low, low + HOUR)
    whole = known(lake, TRADES, hour)
    rows = (
        lake.trades(TRADES.symbol, venue=TRADES.venue, start=iso(hour.start), end=iso(hour.end))
        .select("trade_time, trade_id, price, side")
        .fetchall()
    )
    truth = market.trades(TRADES.venue, TRADES.symbol, hour.start, hour.end)
    names = ("trade_time", "trade_id", "price", "side")
    due = set(
        zip(*(list(map(str, truth[n])) if n == "trade_id" else list(truth[n]) for n in names), strict=True)
    )
    have = [(micros(row[0]), *row[1:]) for row in rows]
    assert len(set(have)) == len(have), f"{hour}: trades are there twice"
    assert set(have) <= due, f"{hour}: not the market's: {sorted(set(have) - due)[:2]}"
    assert not whole or len(have) == len(due), f"{hour}: {len(have)} of {len(due)}"


_COUNTS = {
    "klines": "SELECT symbol, period, count(*), count(DISTINCT open_time) FROM klines GROUP BY ALL",
    "trades": "SELECT symbol, '', count(*), count(DISTINCT trade_id) FROM trades GROUP BY ALL",
    "book_changes": "SELECT symbol, '', count(*), count(DISTINCT (received_at, sequence, side, price)) "
    "FROM book_changes GROUP BY ALL",
    "funding_rates": "SELECT symbol, '', count(*), count(DISTINCT funding_time) FROM funding_rates GROUP BY ALL",
}


def counts(lake: Lake, market: Market, dice: random.Random, seen: Seen) -> None:
    """No row is there twice, and none that was there is gone."""
    view = dice.choice(sorted(_COUNTS))
    for symbol, period, rows, distinct in lake.sql(_COUNTS[view]).fetchall():
        assert rows == distinct, f"{view} {symbol} {period}: {rows - distinct} rows are there twice"
        name = (view, symbol, period)
        assert rows >= seen.get(name, 0), f"{view} {symbol} {period}: {rows} after {seen[name]}"
        seen[name] = rows


def main() -> None:
    path, seed, start, counted = sys.argv[1:]
    dice, seen = random.Random(int(start)), Seen()
    market = Sandbox(int(seed or SEED)).market
    out = os.open(counted, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    while True:
        with htxdata.open_lake(path) as lake:
            for _ in range(dice.randrange(1, 8)):
                dice.choice((candles, candles, trades, counts))(lake, market, dice, seen)
                os.write(out, b".")


if __name__ == "__main__":
    main()
