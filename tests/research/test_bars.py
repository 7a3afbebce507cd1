"""Bars from trades, against plain Python that goes trade by trade in exact decimals."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import htxdata
from htxdata.errors import UsageError
from htxdata.research import cutting, periods, stored
from htxdata.store import Store
from htxdata.timeline import DAY, HOUR, MINUTE, Grid, Window
from tests.research.lakes import HTX, T0, TRADES, Row, in_turn, micros, put

EXACT = ("open_time", "close_time", "open", "high", "low", "close", "trade_count")
SUMS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")


def trade(
    at: int, number: int | str, price: float = 100.0, quantity: float = 1.0, side: str = "buy", quote: Any = None
) -> Row:  # fmt: skip
    return {
        "trade_time": at, "trade_id": str(number), "price": price, "quantity": quantity, "quote_quantity": quote,
        "side": side,
    }  # fmt: skip


def turnover(row: Row) -> float:
    said = row["quote_quantity"]
    return float(row["price"] * row["quantity"] if said is None else said)


def full(kind: str, size: Decimal, held: list[Row]) -> bool:
    """Whether the last of the trades ends the bar."""
    amounts = {
        "tick": lambda row: Decimal(1),
        "volume": lambda row: Decimal(repr(row["quantity"])),
        "quote": lambda row: Decimal(repr(turnover(row))),
    }[kind.partition("_")[0]]
    if kind.endswith("imbalance"):
        return abs(sum(amounts(row) * (1 if row["side"] == "buy" else -1) for row in held)) >= size
    return sum(amounts(row) for row in held) >= size


def bar(rows: list[Row], opening: int | None = None, closing: int | None = None) -> tuple[Any, ...]:
    prices = [row["price"] for row in rows]
    return (
        rows[0]["trade_time"] if opening is None else opening, rows[-1]["trade_time"] if closing is None else closing,
        prices[0], max(prices), min(prices), prices[-1], len(rows),
        math.fsum(row["quantity"] for row in rows), math.fsum(map(turnover, rows)),
        math.fsum(row["quantity"] for row in rows if row["side"] == "buy"),
        math.fsum(turnover(row) for row in rows if row["side"] == "buy"),
    )  # fmt: skip


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row["trade_time"], int(row["trade_id"])))


def brute(rows: list[Row], known: list[Window], kind: str, size: Any) -> list[tuple[Any, ...]]:
    out = []
    for stretch in known:
        held: list[Row] = []
        for row in in_order([row for row in rows if stretch.start <= row["trade_time"] < stretch.end]):
            held.append(row)
            if full(kind, Decimal(repr(size)), held):
                out.append(bar(held))
                held = []
    return out


def brute_times(rows: list[Row], known: list[Window], grid: Grid, window: Window) -> list[tuple[Any, ...]]:
    out = []
    for at in grid.openings(window):
        span = Window(at, grid.next(at))
        inside = [row for row in in_order(rows) if span.start <= row["trade_time"] < span.end]
        if inside and any(each.start <= span.start and span.end <= each.end for each in known):
            out.append(bar(inside, *span))
    return out


@st.composite
def tapes(draw: st.DrawFn) -> tuple[list[Row], list[tuple[int, int, str]]]:
    """Some hundred trades of two days, many at one instant, numbers of several lengths; and what was asked for."""
    dice = random.Random(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 300))
    minutes = sorted(dice.randrange(0, 2 * 1440) for _ in range(count))
    number = dice.choice([1, 90, 998, 10**18 - 40])
    rows = []
    for minute in minutes:
        number += dice.randrange(1, 5)
        quantity = dice.choice([0.1, 0.2, 0.7, 1.0, dice.randrange(1, 30_000) / 1000])
        price = dice.randrange(1, 1000) / 10
        quote = dice.choice([None, round(price * quantity, 4)])
        rows.append(trade(T0 + minute * MINUTE, number, price, quantity, dice.choice(["buy", "sell"]), quote))
    cuts = sorted(draw(st.sets(st.integers(1, 2 * 1440 - 1), max_size=4)))
    spans = zip([0, *cuts], [*cuts, 2 * 1440], strict=True)
    verdicts = st.sampled_from(["empty", "empty", "outage", "unobtainable", ""])
    asked = [(T0 + a * MINUTE, T0 + b * MINUTE, draw(verdicts)) for a, b in spans]
    return rows, [each for each in asked if each[2]]


def known_of(rows: list[Row], asked: list[tuple[int, int, str]]) -> list[Window]:
    """Without rows what was asked gets its verdict; with rows, in that UTC day, it is present (trades are events), but
    where the venue serves it no longer: a row that came by another way says nothing of the others."""
    from htxdata.timeline import merge

    out = []
    for start, end, verdict in asked:
        for day in (Window(T0, T0 + DAY), Window(T0 + DAY, T0 + 2 * DAY)):
            part = Window(start, end).intersect(day)
            held = any(part.start <= row["trade_time"] < part.end for row in rows)
            if part and verdict != "unobtainable" and (held or verdict == "empty"):
                out.append(part)
    return merge(out)


def summed(bars: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What bars must equal: instants, prices and counts to the bit, sums to 1e-14 of them."""
    return [(*row[:7], *(pytest.approx(total, rel=1e-14, abs=0) for total in row[7:])) for row in bars]


@settings(max_examples=10)
@given(
    tape=tapes(), size=st.sampled_from([1, 3, 7, 40]),
    bounds=st.none() | st.tuples(st.integers(0, 2880), st.integers(0, 2880)).map(in_turn),
    together=st.sampled_from([1, 10**6]),
)  # fmt: skip
def test_bars_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory,
    tape: tuple[list[Row], list[tuple[int, int, str]]],
    size: int,
    bounds: tuple[int, int] | None,
    together: int,
) -> None:
    """Every trade is in one bar, in order, and none in two; bars end where they are full, and stop at holes."""
    rows, asked = tape
    store = Store(tmp_path_factory.mktemp("lake"))
    put(store, TRADES, rows, asked)
    known = known_of(rows, asked)
    start = end = None
    if bounds:
        start, end = (T0 + at * MINUTE for at in bounds)
        known = [w for each in known if (w := each.intersect(Window(start, end)))]
    with pytest.MonkeyPatch.context() as patch, htxdata.open_lake(str(store.root)) as lake:
        patch.setattr(stored, "_TRADES_AT_ONCE", together)
        for kind in (kind for kind in cutting.KINDS if kind != "time"):
            found = micros(lake.bars(kind=kind, size=size, start=start, end=end), *EXACT, *SUMS)
            assert found == summed(brute(rows, known, kind, size))


@settings(max_examples=10)
@given(
    tape=tapes(), bounds=st.none() | st.tuples(st.integers(0, 2880), st.integers(0, 2880)).map(in_turn),
    together=st.sampled_from([1, 10**6]),
)  # fmt: skip
def test_time_bars_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory,
    tape: tuple[list[Row], list[tuple[int, int, str]]],
    bounds: tuple[int, int] | None,
    together: int,
) -> None:
    """A bar for every period that is known to its ends and has a trade."""
    rows, asked = tape
    store = Store(tmp_path_factory.mktemp("lake"))
    put(store, TRADES, rows, asked)
    known = known_of(rows, asked)
    start = end = None
    window = Window(T0 - 40 * DAY, T0 + 40 * DAY)
    if bounds:
        start, end = (T0 + at * MINUTE for at in bounds)
        window = Window(start, end)
    with pytest.MonkeyPatch.context() as patch, htxdata.open_lake(str(store.root)) as lake:
        patch.setattr(stored, "_TRADES_AT_ONCE", together)
        for name in ("7min", "5hour", "1day", "utc_month"):
            found = micros(lake.bars(kind="time", size=name, start=start, end=end), *EXACT, *SUMS)
            assert found == summed(brute_times(rows, known, periods.grid(name, HTX), window))


@settings(max_examples=40)
@given(
    count=st.integers(0, 3000), size=st.sampled_from([1, 900, 7000, 60_000]), signed=st.booleans(),
    seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 3000), max_size=5),
)  # fmt: skip
def test_ends_do_not_depend_on_how_trades_come(
    count: int, size: int, signed: bool, seed: int, cuts: list[int]
) -> None:
    """Where bars end, short ones and long ones, is that of a loop over the trades, in one piece or in several."""
    dice = random.Random(seed)  # of lists Hypothesis makes short ones, in which no bar follows another
    amounts = [dice.randint(1, 2000) for _ in range(count)]
    buys = [dice.random() < 0.6 for _ in amounts]
    want, total = [], 0
    for place, (amount, buy) in enumerate(zip(amounts, buys, strict=True), 1):
        total += amount if buy or not signed else -amount
        if abs(total) >= size:
            want.append(place)
            total = 0
    end = cutting.cut("volume_imbalance" if signed else "volume", size)
    found, at = [], 0
    for after in [*sorted(min(cut, len(amounts)) for cut in cuts), len(amounts)]:
        quantity = np.array(amounts[at:after], dtype=float)
        piece = {"price": quantity, "quantity": quantity, "buys": np.array(buys[at:after], dtype=bool)}
        found += (end(piece) + at).tolist()
        at = after
    assert found == want


@pytest.mark.parametrize("length", [3, 1000])
def test_decimals_that_make_up_the_size_make_it_up(length: int) -> None:
    """0.7 + 0.2 + 0.1 is less than 1 in doubles; a bar of size 1 ends there all the same, and with 0.0999999 not."""
    assert 0.7 + 0.2 + 0.1 < 1
    filler = [0.0001] * (length - 3)
    quantity = np.array([0.7, 0.2, *filler, 0.1])
    size = round(1 + 0.0001 * len(filler), 4)
    for last, ends in ((0.1, [length]), (0.0999999, [])):
        quantity[-1] = last
        assert cutting.cut("volume", size)({"price": quantity, "quantity": quantity}).tolist() == ends


def test_shares_and_prices_of_a_bar(tmp_path: Path) -> None:
    """VWAP is turnover by volume, the share what takers bought; bars of no volume have neither."""
    rows = [
        trade(T0, 1, 10.0, 1.0, "buy"), trade(T0 + 1, 2, 20.0, 3.0, "sell", 66.0), trade(T0 + 2, 3, 5.0, 0.0, "sell"),
        trade(T0 + 3, 4, 6.0, 0.0, "buy"),
    ]  # fmt: skip
    put(Store(tmp_path), TRADES, rows, [(T0, T0 + HOUR, "empty")])
    with htxdata.open_lake(str(tmp_path)) as lake:
        bars = lake.bars("btcusdt", venue="htx-spot", kind="tick", size=2)
        assert micros(bars, "vwap", "taker_buy_share", "symbol") == [
            (19.0, 0.25, "btcusdt"),
            (None, None, "btcusdt"),
        ]
        assert list(zip(bars.columns, map(str, bars.types), strict=True))[:4] == [
            ("venue", "VARCHAR"), ("symbol", "VARCHAR"), ("open_time", "TIMESTAMP WITH TIME ZONE"),
            ("close_time", "TIMESTAMP WITH TIME ZONE"),
        ]  # fmt: skip
        nothing = lake.bars("nope", kind="tick", size=2)
        assert nothing.fetchall() == []
        assert (nothing.columns, nothing.types) == (bars.columns, bars.types)


def test_trades_of_one_instant_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    """Number 9 comes before number 10, though the text does not."""
    rows = [trade(T0, number, float(number)) for number in (8, 9, 10, 11)]
    put(Store(tmp_path), TRADES, rows, [(T0, T0 + HOUR, "empty")])
    with htxdata.open_lake(str(tmp_path)) as lake:
        assert micros(lake.trades(), "trade_id") == [("10",), ("11",), ("8",), ("9",)]
        assert micros(lake.bars(kind="tick", size=2), "open", "close") == [(8.0, 9.0), (10.0, 11.0)]


def test_holes_of_trades_are_told(tmp_path: Path) -> None:
    """Which time bars of trades are left out, and the verdicts on the holes that cost them."""
    asked = [
        (T0, T0 + HOUR, "empty"),
        (T0 + HOUR, T0 + 90 * MINUTE, "outage"),
        (T0 + 2 * HOUR, T0 + 3 * HOUR, "empty"),
    ]
    put(Store(tmp_path), TRADES, [trade(T0, 1), trade(T0 + 2 * HOUR, 2)], asked)
    with htxdata.open_lake(str(tmp_path)) as lake:
        columns = ("span_start", "bars", "made_of", "verdict", "hole_start", "hole_end")
        assert micros(lake.incomplete("trades", period="60min"), *columns) == [
            (T0 + HOUR, 1, "trades", "outage", T0 + HOUR, T0 + 90 * MINUTE),
            (T0 + HOUR, 1, "trades", "missing", T0 + 90 * MINUTE, T0 + 2 * HOUR),
        ]
        assert micros(lake.bars(kind="time", size="60min"), "open_time") == [(T0,), (T0 + 2 * HOUR,)]
        with pytest.raises(UsageError, match="funding_rates"):
            lake.incomplete("funding_rates", period="60min")


@pytest.mark.parametrize(
    ("kind", "size", "said"),
    [
        ("imbalance", 1, "tick_imbalance"), ("volume", 0, "above 0"), ("volume", "7min", "a number"),
        ("tick", 2.5, "whole"), ("time", 7, "period"), ("time", "7m", "7min"), ("quote", float("nan"), "above 0"),
        ("volume", True, "a number"),
    ],
)  # fmt: skip
def test_what_is_no_bar_is_a_usage_error(tmp_path: Path, kind: str, size: Any, said: str) -> None:
    """In an empty lake too; the message says what is allowed."""
    with htxdata.open_lake(str(tmp_path)) as lake, pytest.raises(UsageError, match=said):
        lake.bars(kind=kind, size=size)
