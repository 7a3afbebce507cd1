"""Candles made of passing trades: right, whatever the pieces, and the sandbox's own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply, UsageError
from htxdata.ingest.candles import (
    COLUMNS,
    Candles,
    Columns,
    Longer,
    Passing,
    candles_of,
    from_table,
    joined,
    taken,
)
from htxdata.market import PERIODS, grid_of
from htxdata.sandbox import Sandbox
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, parse_instant

HTX = -8 * HOUR
START = parse_instant(
    "2025-06-29T15:58:00Z"
)  # two minutes before a day of HTX's, a day and a half before a month
EVERY = tuple(PERIODS)


def trades(rows: list[tuple[int, float, float, str]], **more: Any) -> dict[str, Any]:
    """Columns of (microseconds after START, price, quantity, side)."""
    return {
        "trade_time": np.array([START + at for at, *_ in rows], dtype=np.int64),
        "price": np.array([price for _, price, _, _ in rows]),
        "quantity": np.array([quantity for _, _, quantity, _ in rows]),
        "side": [side for *_, side in rows],
        **more,
    }


def built(pieces: list[Any], periods: tuple[str, ...] = EVERY, day_opens: int = HTX) -> dict[str, Columns]:
    """All candles of the pieces, the unfinished last ones too."""
    builder = Candles(periods, day_opens)
    parts = [builder.add(piece) for piece in pieces] + [builder.close()]
    return {period: joined([part[period] for part in parts]) for period in periods}


def by_hand(
    rows: list[tuple[int, float, float, str]], period: str, day_opens: int
) -> dict[int, dict[str, float]]:
    """Every candle by its opening, one trade after the other."""
    grid, groups = grid_of(period, day_opens), {}
    for at, price, quantity, side in rows:
        groups.setdefault(grid.floor(START + at), []).append((price, quantity, side))
    out = {}
    for opening, group in groups.items():
        prices = [price for price, _, _ in group]
        out[opening] = {
            "open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1],
            "volume": math.fsum(q for _, q, _ in group),
            "quote_volume": math.fsum(p * q for p, q, _ in group),
            "trade_count": len(group),
            "taker_buy_volume": math.fsum(q for _, q, s in group if s == "buy"),
            "taker_buy_quote_volume": math.fsum(p * q for p, q, s in group if s == "buy"),
        }  # fmt: skip
    return out


# Gaps of nothing, of milliseconds, of minutes and of months, so that slots are full, sparse and skipped.
GAPS = st.one_of(
    st.just(0),
    st.integers(1, 20).map(lambda n: n * 1000),
    st.integers(0, 3 * 60).map(lambda n: n * SECOND),
    st.sampled_from([MINUTE, HOUR, DAY, 40 * DAY]),
)
TRADE = st.tuples(
    GAPS, st.integers(1, 10**7).map(lambda n: n / 100), st.integers(1, 10**9).map(lambda n: n / 10**4),
    st.sampled_from(["buy", "sell"]),
)  # fmt: skip


@st.composite
def markets(draw: st.DrawFn) -> list[tuple[int, float, float, str]]:
    at, rows = 0, []
    for gap, price, quantity, side in draw(st.lists(TRADE, min_size=1, max_size=40)):
        at += gap
        rows.append((at, price, quantity, side))
    return rows


@given(markets(), st.sampled_from([0, HTX]))
def test_every_candle_is_what_counting_by_hand_gives(
    rows: list[tuple[int, float, float, str]], day_opens: int
) -> None:
    """Of all periods: openings, prices and counts exactly, sums to 1e-14."""
    for period, candles in built([trades(rows)], day_opens=day_opens).items():
        expected = by_hand(rows, period, day_opens)
        assert candles["open_time"].tolist() == sorted(expected), period
        for name in COLUMNS[1:]:
            got = candles[name].tolist()
            if name == "contracts":
                assert all(math.isnan(value) for value in got)
                continue
            due = [expected[at][name] for at in sorted(expected)]
            exact = name in ("open", "high", "low", "close", "trade_count")
            assert got == (due if exact else pytest.approx(due, rel=1e-14, abs=0)), (period, name)


@settings(max_examples=60)
@given(markets(), st.data())
def test_the_pieces_make_no_difference(
    rows: list[tuple[int, float, float, str]], data: st.DataObject
) -> None:
    """Cut anywhere, even inside a millisecond or a trade at a time, the candles are the same to the last bit."""
    # The same trades many times over make minutes that are added up pairwise and ones that are not.
    rows = sorted(rows * data.draw(st.sampled_from([1, 1, 9, 40])), key=lambda row: row[0])
    whole = trades(rows, contracts=np.arange(len(rows)) % 7 + 0.1)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=12))
    if data.draw(st.booleans()) and len(rows) < 100:
        cuts = list(range(len(rows)))
    borders = [0, *sorted(cuts), len(rows)]
    pieces = [{name: column[a:b] for name, column in whole.items()} for a, b in itertools.pairwise(borders)]
    one, other = built([whole]), built(pieces)
    for period in EVERY:
        for name in COLUMNS:
            np.testing.assert_array_equal(one[period][name], other[period][name], strict=True)


@given(markets(), st.lists(st.sampled_from(EVERY), min_size=1, unique=True))
def test_a_candle_does_not_depend_on_the_other_periods_wanted(
    rows: list[tuple[int, float, float, str]], periods: list[str]
) -> None:
    """The same bits for a period alone as among all."""
    every = built([trades(rows)])
    for period, candles in built([trades(rows)], tuple(periods)).items():
        for name in COLUMNS:
            np.testing.assert_array_equal(candles[name], every[period][name])


def test_a_candle_is_given_as_soon_as_a_later_trade_shows_it_finished() -> None:
    """Not before: the same minute may go on. And once only."""
    builder = Candles(["1min", "5min", "60min"])
    rows = [
        (2 * MINUTE, 1.0, 1.0, "buy"),
        (6 * MINUTE + 59 * SECOND, 2.0, 1.0, "buy"),
        (7 * MINUTE, 3.0, 1.0, "buy"),
    ]
    lengths = []
    for row in rows:
        made = builder.add(trades([row]))
        lengths.append({period: len(candles["open_time"]) for period, candles in made.items()})
    assert lengths == [
        {"1min": 0, "5min": 0, "60min": 0},
        {"1min": 1, "5min": 0, "60min": 0},
        {"1min": 1, "5min": 1, "60min": 0},
    ]
    last = builder.close()
    assert {period: candles["open"].tolist() for period, candles in last.items()} == {
        "1min": [3.0], "5min": [3.0], "60min": [1.0],
    }  # fmt: skip
    assert not any(len(candles["open_time"]) for candles in builder.close().values())


def test_turnover_that_nobody_said_is_price_times_quantity() -> None:
    """NULL by NULL, and where the column is missing."""
    rows = [(0, 2.0, 3.0, "buy"), (1, 5.0, 7.0, "sell"), (2, 1.0, 1.0, "sell")]
    said = pa.array([100.0, None, None])
    candles = built([trades(rows, quote_quantity=said)], ("1min",))["1min"]
    assert candles["quote_volume"].tolist() == [136.0]
    assert candles["taker_buy_quote_volume"].tolist() == [100.0]
    assert built([trades(rows)], ("1min",))["1min"]["quote_volume"].tolist() == [42.0]


def test_contracts_are_known_only_where_every_trade_says_them() -> None:
    """One NULL in a minute, in whatever piece, and its contracts are unknown; the next minute's are not."""
    rows = [(0, 1.0, 1.0, "buy"), (1, 1.0, 1.0, "buy"), (MINUTE, 1.0, 1.0, "buy")]
    whole = trades(rows, contracts=pa.array([4.0, None, 6.0]))
    pieces = [{name: column[a : a + 1] for name, column in whole.items()} for a in range(3)]
    for given_in in ([whole], pieces):
        np.testing.assert_array_equal(built(given_in, ("1min",))["1min"]["contracts"], [np.nan, 6.0])


def test_what_cannot_be_is_refused() -> None:
    """Trades out of order, sides that are none, periods that are none, a day of half hours."""
    with pytest.raises(ValueError, match="not in order of time"):
        Candles(["1min"]).add(trades([(5, 1.0, 1.0, "buy"), (4, 1.0, 1.0, "buy")]))
    builder = Candles(["1min"])
    builder.add(trades([(MINUTE, 1.0, 1.0, "buy")]))
    with pytest.raises(ValueError, match="not in order of time"):
        builder.add(trades([(0, 1.0, 1.0, "buy")]))
    for side, row in (
        (["buy", "BUY"], 1),
        ([None, "sell"], 0),
        (["sell", ""], 1),
        (["", "buy"], 0),
        (["buys", "buy"], 0),
    ):
        with pytest.raises(BadReply, match=f"row {row} has the side"):
            Candles(["1min"]).add({**trades([(0, 1.0, 1.0, "buy")] * 2), "side": pa.array(side)})
    with pytest.raises(UsageError, match="2min"):
        Candles(["2min"])
    with pytest.raises(ValueError, match="not made of hours"):
        Candles(["1day"], 30 * MINUTE)


def test_a_side_may_be_text_of_any_kind() -> None:
    """Lists, slices of Arrow arrays, dictionaries, large strings: the same candles."""
    rows = [(n, 1.0, float(n + 1), "buy" if n % 3 else "sell") for n in range(7)]
    sides = pa.array(["sell", "buy", *trades(rows)["side"]])
    due = sum(quantity for _, _, quantity, side in rows if side == "buy")
    for side in (sides.slice(2), sides.dictionary_encode().slice(2), sides.cast(pa.large_string()).slice(2)):
        candles = built([{**trades(rows), "side": side}], ("1min",))["1min"]
        assert candles["taker_buy_volume"].tolist() == [due]


def test_nothing_gives_nothing() -> None:
    """No trades, no candles; an empty piece is no end."""
    empty = trades([])
    assert all(not len(candles["open_time"]) for candles in built([empty, empty]).values())
    row = [(0, 1.0, 1.0, "buy")]
    for name in COLUMNS:
        np.testing.assert_array_equal(
            built([trades(row), empty, trades(row)], ("1min",))["1min"][name],
            built([trades(row * 2)], ("1min",))["1min"][name],
        )


@pytest.mark.parametrize(
    ("venue", "symbol"), [("htx-spot", "btcusdt"), ("htx-spot", "mdxusdt"), ("htx-linear", "BTC-USDT")]
)
def test_the_sandbox_makes_the_same_candles(venue: str, symbol: str) -> None:
    """From its trades, stored as a table, come its own candles of every period, flat ones apart."""
    market = Sandbox().market
    start, end = parse_instant("2025-06-30T16:00:00Z"), parse_instant("2025-07-02T16:00:00Z")
    truth = market.trades(venue, symbol, start, end)
    columns = {**truth, "trade_id": truth["trade_id"].astype(str).tolist(), "side": truth["side"].tolist()}
    table = conform(dataset("trades"), {**columns, "source": "rest", "received_at": end})
    periods = ("1min", "5min", "15min", "30min", "60min", "4hour", "1day")
    pieces = [table.slice(at, 1000) for at in range(0, len(table), 1000)]
    for period, candles in built(pieces, periods).items():
        due = market.klines(venue, symbol, period, start, end)
        traded = due["trade_count"] > 0
        for name in ("open_time", "open", "high", "low", "close", "trade_count"):
            assert candles[name].tolist() == due[name][traded].tolist(), (period, name)
        for name in ("volume", "quote_volume", "contracts"):
            if due[name] is not None:
                assert candles[name].tolist() == pytest.approx(due[name][traded].tolist(), rel=1e-14), (
                    period,
                    name,
                )


def test_stored_candles_make_longer_ones() -> None:
    """``Longer`` makes of minutes as they are stored what ``Candles`` makes of the trades; NULL stays unknown."""
    rows = [(n * 17 * SECOND, 100.0 + n % 13, 1.0 + n % 5, "buy") for n in range(2000)]
    every = built([trades(rows)])
    minutes = every["1min"]
    columns = {name: pa.array(minutes[name], from_pandas=True) for name in COLUMNS}
    stored = from_table(conform(dataset("klines"), {**columns, "source": "rest", "received_at": START + DAY}))
    longer = Longer("4hour")
    made = joined(
        [
            longer.add(taken(stored, slice(0, 333))),
            longer.add(taken(stored, slice(333, None))),
            longer.close(),
        ]
    )
    for name in ("open_time", "open", "high", "low", "close", "trade_count"):
        np.testing.assert_array_equal(made[name], every["4hour"][name])
    np.testing.assert_allclose(made["volume"], every["4hour"]["volume"], rtol=1e-14)
    assert np.isnan(made["contracts"]).all()
    early = Longer("5min")
    assert early.add(taken(stored, slice(0, 1)), int(stored["open_time"][0]) + 5 * MINUTE)[
        "open"
    ].tolist() == [100.0]


def test_candles_of_trades_on_their_way_somewhere_else() -> None:
    """The tables come out as they went in, each once and at once; at the end all candles of a day are there."""
    market, end = Sandbox().market, parse_instant("2025-07-01T16:00:00Z")
    truth = market.trades("htx-spot", "bmtusdt", end - DAY, end)
    columns = {**truth, "trade_id": truth["trade_id"].astype(str).tolist(), "side": truth["side"].tolist()}
    table = conform(dataset("trades"), {**columns, "source": "archive", "received_at": end}, words=True)
    pieces = [table.slice(at, 100) for at in range(0, len(table), 100)]
    passing, out = Passing(day_opens=HTX), []
    source = iter(pieces)
    for piece in passing.tee(source):
        out.append(piece)
        if len(out) == 3:  # nothing is read ahead
            assert next(source) is pieces[3]
            out.append(pieces[3])
            passing.add(pieces[3])
    assert all(one is other for one, other in zip(out, pieces, strict=True))
    made = passing.candles()
    assert list(made) == ["1min", "5min", "15min", "30min", "60min", "4hour", "1day"]
    for period, candles in made.items():
        due = market.klines("htx-spot", "bmtusdt", period, end - DAY, end)
        traded = due["trade_count"] > 0
        for name in ("open_time", "open", "high", "low", "close", "trade_count"):
            assert candles[name].tolist() == due[name][traded].tolist(), (period, name)
    whole = candles_of([table], day_opens=HTX)
    assert whole["1day"]["open_time"].tolist() == [end - DAY]
    for period, candles in whole.items():
        for name in COLUMNS:
            np.testing.assert_array_equal(candles[name], made[period][name])
    assert candles_of([table], ["1day"])["1day"]["open_time"].tolist() == [end - DAY - 16 * HOUR, end - 16 * HOUR]
