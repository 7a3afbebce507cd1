"""Longer candles from complete shorter ones, against plain Python."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import htxdata
from htxdata.errors import UsageError
from htxdata.market import Series, grid_of
from htxdata.research import periods, runs, stored
from htxdata.research.lake import Lake
from htxdata.schema import dataset
from htxdata.schema.sql import view_columns
from htxdata.store import Store
from htxdata.timeline import DAY, HOUR, MINUTE, Grid, Window, from_datetime, to_datetime
from tests.research.lakes import HTX, SWAP, T0, Row, candle, in_turn, micros, put

COLUMNS = ("open_time", "open", "high", "low", "close", "volume", "trade_count")
DAYS = 3
SLOTS = DAYS * 1440


def brute(
    rows: Iterable[Row], known: set[int], grid: Grid, step: int, window: Window
) -> list[tuple[Any, ...]]:
    """Bars that open in ``window``, slot by slot. ``known``: openings of slots of which we know what was in them."""
    by_time = {row["open_time"]: row for row in rows}
    out = []
    at = grid.ceil(window.start)
    while at < window.end:
        after = grid.next(at)
        slots = range(at, after, step)
        held = [by_time[slot] for slot in slots if slot in by_time]
        # What nothing was traded in carries the close of the one before, and is no part of what is longer.
        traded = [row for row in held if row["volume"]] or held
        if held and all(slot in known for slot in slots):
            out.append(
                (
                    at, traded[0]["open"], max(row["high"] for row in traded), min(row["low"] for row in traded),
                    held[-1]["close"], sum(row["volume"] for row in held), sum(row["trade_count"] for row in held),
                )
            )  # fmt: skip
        at = after
    return out


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[tuple[int, int, str]]]:
    """Minutes of three days, of which some were asked for, with all verdicts; amounts are dyadic, so sums are exact."""
    cuts = sorted(draw(st.sets(st.integers(1, SLOTS - 1), max_size=6)))
    spans = list(zip([0, *cuts], [*cuts, SLOTS], strict=True))
    verdicts = draw(
        st.lists(
            st.sampled_from(["empty", "empty", "empty", "outage", "unobtainable", ""]),
            min_size=len(spans), max_size=len(spans),
        )
    )  # fmt: skip
    dice = random.Random(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.02, 0.7, 1.0]))
    rows = [
        candle(
            T0 + slot * MINUTE, dice.randrange(1, 4000) / 8,
            volume=dice.randrange(1, 4096) / 16 if dice.random() < 0.8 else 0.0,
            trade_count=dice.randrange(100),
        )
        for slot in range(SLOTS) if dice.random() < density
    ]  # fmt: skip
    asked = [
        (T0 + a * MINUTE, T0 + b * MINUTE, verdict)
        for (a, b), verdict in zip(spans, verdicts, strict=True)
        if verdict
    ]
    return rows, asked


def known_minutes(rows: list[Row], asked: list[tuple[int, int, str]]) -> set[int]:
    times = {row["open_time"] for row in rows}
    return {
        at
        for start, end, verdict in asked
        for at in range(start, end, MINUTE)
        if at in times or verdict == "empty"
    }


NAMES = [
    "2min",
    "7min",
    "5min",
    "15min",
    "45min",
    "90min",
    "4hour",
    "5hour",
    "24hour",
    "utc_day",
    "1day",
    "utc_month",
]


@settings(max_examples=18)
@given(
    history=histories(),
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True),
    bounds=st.none() | st.tuples(st.integers(0, SLOTS), st.integers(0, SLOTS)).map(in_turn),
    together=st.sampled_from([1, 400_000]),
)
def test_bars_are_those_of_plain_python(
    tmp_path_factory: pytest.TempPathFactory,
    history: tuple[list[Row], list[tuple[int, int, str]]],
    names: list[str],
    bounds: tuple[int, int] | None,
    together: int,
) -> None:
    """Every bar whose slots are all known, to the last bit, and no other; whatever part of them is asked for."""
    rows, asked = history
    store = Store(tmp_path_factory.mktemp("lake"))
    put(store, SWAP, rows, asked)
    window = Window(T0, T0 + DAYS * DAY)
    start = end = None
    if bounds:
        start, end = (T0 + at * MINUTE + 1 for at in bounds)
        window = Window(start, end)
    with pytest.MonkeyPatch.context() as patch, htxdata.open_lake(str(store.root)) as lake:
        patch.setattr(stored, "_CANDLES_AT_ONCE", together)
        found = lake.klines("BTC-USDT", venue="htx-linear", period=names, start=start, end=end)
        by_name: dict[str, list[Any]] = {}
        for name, *bar in micros(found, "period", *COLUMNS):
            by_name.setdefault(name, []).append(tuple(bar))
    for name in names:
        want = brute(rows, known_minutes(rows, asked), periods.grid(name, HTX), MINUTE, window)
        assert by_name.get(name, []) == want


@settings(max_examples=12)
@given(history=histories(), name=st.sampled_from(["7min", "90min", "utc_day", "1day"]))
def test_what_is_left_out_is_told(
    tmp_path_factory: pytest.TempPathFactory,
    history: tuple[list[Row], list[tuple[int, int, str]]],
    name: str,
) -> None:
    """Bars made, bars of empty slots only, and bars told as left out are together all there are, and none is two."""
    rows, asked = history
    store = Store(tmp_path_factory.mktemp("lake"))
    put(store, SWAP, rows, asked)
    grid = periods.grid(name, HTX)
    window = Window(T0 - DAY, T0 + (DAYS + 1) * DAY)
    with htxdata.open_lake(str(store.root)) as lake:
        told = micros(
            lake.incomplete("klines", "BTC-USDT", period=name, start=window.start, end=window.end),
            "span_start", "span_end", "bars", "verdict", "hole_start", "hole_end",
        )  # fmt: skip
    known = known_minutes(rows, asked)
    left_out = {at for start, end, *_ in told for at in grid.openings(Window(start, end))}
    assert left_out == {
        at for at in grid.openings(window) if any(s not in known for s in range(at, grid.next(at), MINUTE))
    }
    verdicts = {
        at: verdict for start, end, verdict in asked for at in range(start, end, MINUTE) if at not in known
    }
    holes = {at: verdict for *_, verdict, start, end in told for at in range(start, end, MINUTE)}
    edge = Window(grid.ceil(window.start), grid.ceil(window.end))
    assert holes == {at: verdicts.get(at, "missing") for at in range(*edge, MINUTE) if at not in known}
    for start, end, count, _, hole_start, hole_end in told:
        assert grid.openings(Window(start, end))[0] <= hole_start < hole_end <= end
        assert count == grid.count(Window(start, end))


@pytest.fixture
def minutes(tmp_path: Path) -> Lake:
    """Two whole days of minutes with prices of many digits."""
    dice = np.random.default_rng(5)
    amounts = np.round(dice.random(2880) * 10, 3)
    rows = [
        candle(T0 + n * MINUTE, float(np.round(30_000 + dice.random() * 10, 1)), volume=float(amounts[n]))
        for n in range(2880)
    ]
    put(Store(tmp_path / "lake"), SWAP, rows, [(T0, T0 + 2 * DAY, "empty")])
    return htxdata.open_lake(str(tmp_path / "lake"))


def test_sums_are_near_and_do_not_depend_on_what_else_is_asked(minutes: Lake) -> None:
    """Within 1e-14 of the exact sum, and the same bits alone, in company, and the second time."""
    names = ["7min", "15min", "20min", "90min", "12hour", "utc_day"]
    together = micros(minutes.klines(period=names), "period", "open_time", "volume")
    stored_rows = micros(minutes.klines(period="1min"), "open_time", "volume")
    for name in names:
        alone = micros(minutes.klines(period=name), "period", "open_time", "volume")
        assert alone == [row for row in together if row[0] == name]
        assert len(alone) > 1
        grid = periods.grid(name, HTX)
        for _, at, volume in alone:
            exact = math.fsum(amount for time, amount in stored_rows if at <= time < grid.next(at))
            assert abs(volume - exact) <= 1e-14 * exact


def test_where_the_question_begins_and_ends_does_not_show(minutes: Lake) -> None:
    """The same bits as of the whole, from whichever minute on: also where the rows that are read begin amid a step."""
    names = ["7min", "15min", "20min", "90min"]
    columns = ("period", *COLUMNS)
    whole = micros(minutes.klines(period=names), *columns)
    for start, end in ((1, 2000), (6, 2879), (13, 1441), (61, 119), (8, 22)):
        window = Window(T0 + start * MINUTE, T0 + end * MINUTE)
        found = micros(minutes.klines(period=names, start=window.start, end=window.end), *columns)
        assert found == [row for row in whole if window.start <= row[1] < window.end]
        assert len({row[0] for row in found}) >= 2


@settings(max_examples=60)
@given(
    length=st.integers(1, 12), count=st.integers(1, 20), seed=st.integers(0, 2**32),
    cut=st.lists(st.integers(1, 100), max_size=10),
)  # fmt: skip
def test_runs_side_by_side_are_runs_one_by_one(length: int, count: int, seed: int, cut: list[int]) -> None:
    """Runs of one length are added up in another way than others, with the same bits."""
    values = np.random.default_rng(seed).random(length * count)
    even = runs.even(length, length * count)
    assert (even.sum(values) == np.add.reduceat(values, even.starts)).all()
    assert (even.max(values) == np.maximum.reduceat(values, even.starts)).all()
    assert (even.first(values) == values[even.starts]).all()
    assert (even.last(values) == values[length - 1 :: length]).all()
    starts = np.array(sorted({0, *(at for at in cut if at < len(values))}))
    uneven = runs.Runs(starts, len(values))
    ends = [*starts[1:].tolist(), len(values)]
    assert uneven.min(values).tolist() == [values[a:b].min() for a, b in zip(starts, ends, strict=True)]
    assert uneven.last(values).tolist() == [values[b - 1] for b in ends]
    assert uneven.lengths().tolist() == [b - a for a, b in zip(starts.tolist(), ends, strict=True)]
    chosen = np.flatnonzero(values > 0.8)
    for runs_ in (even, uneven):
        which = np.unique(runs_.starts.searchsorted(chosen, side="right") - 1)
        assert runs_.holding(chosen).tolist() == which.tolist()
        rows, only = runs_.only(which)
        assert (only.max(values[rows]) == runs_.max(values)[which]).all()
        assert (only.sum(values[rows]) == runs_.sum(values)[which]).all()


def test_each_bar_is_made_of_the_largest_period_that_is_complete_in_it(tmp_path: Path) -> None:
    """Hours where they are complete, minutes where hours are not, and nothing where neither is."""
    store = Store(tmp_path / "lake")
    hours = Series("klines", "htx-linear", "BTC-USDT", "60min")
    put(store, SWAP, [candle(T0 + n * MINUTE, 1.0) for n in range(6 * 60)], [(T0, T0 + 6 * HOUR, "empty")])
    put(
        store, hours, [candle(T0 + n * HOUR, 100.0, volume=7.0) for n in (2, 3, 5, 6, 7, 8)],
        [(T0 + 2 * HOUR, T0 + 4 * HOUR, "empty"), (T0 + 5 * HOUR, T0 + 9 * HOUR, "empty")],
    )  # fmt: skip
    with htxdata.open_lake(str(store.root)) as lake:
        bars = micros(lake.klines(period="2hour"), "open_time", "low", "volume")
        told = micros(
            lake.incomplete(period="2hour"), "span_start", "bars", "made_of", "hole_start", "hole_end"
        )
    assert bars == [
        (T0, 1.0, 120.0), (T0 + 2 * HOUR, 100.0, 14.0), (T0 + 4 * HOUR, 1.0, 120.0), (T0 + 6 * HOUR, 100.0, 14.0),
    ]  # fmt: skip
    at = T0 + 8 * HOUR
    assert told == [(at, 1, "1min", at, at + 2 * HOUR), (at, 1, "60min", at + HOUR, at + 2 * HOUR)]


def test_days_of_the_venue_and_days_of_utc(tmp_path: Path) -> None:
    """HTX's own days are no input of UTC days; hours are, of days, weeks and months of both kinds."""
    store = Store(tmp_path / "lake")
    hours = Series("klines", "htx-spot", "btcusdt", "60min")
    first = from_datetime(to_datetime(T0).replace(day=1)) - 40 * DAY
    rows = [candle(first + n * HOUR, float(n)) for n in range(100 * 24)]
    put(store, hours, rows, [(first, first + 100 * DAY, "empty")])
    days = Series("klines", "htx-spot", "btcusdt", "1day")
    grid = grid_of("1day", HTX)
    opens = grid.openings(Window(first, first + 50 * DAY))
    put(
        store,
        days,
        [candle(at, -5.0, volume=-1.0) for at in opens],
        [(opens[0], grid.next(opens[-1]), "empty")],
    )
    known = {row["open_time"] for row in rows}
    hull = Window(first, first + 100 * DAY)
    for row in rows:
        row["trade_count"] = 0
    with htxdata.open_lake(str(store.root)) as lake:
        for name in ("utc_day", "utc_week", "utc_month", "4hour", "36hour"):
            want = [bar[:6] for bar in brute(rows, known, periods.grid(name, HTX), HOUR, hull)]
            assert want
            assert micros(lake.klines(period=name), *COLUMNS[:6]) == want
        # weeks and months of the venue's are made of its days where there are some
        weeks = micros(lake.klines(period="1week"), "open_time", "low", "volume")
        months = micros(lake.klines(period="1mon"), "open_time", "low", "volume")
        assert set(micros(lake.klines(period="1day"), "low")) == {(-5.0,)}
    opening = [to_datetime(at).isoformat() for at, *_ in months]
    assert opening == ["2023-12-31T16:00:00+00:00", "2024-01-31T16:00:00+00:00", "2024-02-29T16:00:00+00:00"]
    assert [to_datetime(at).strftime("%A %H") for at, *_ in weeks] == ["Sunday 16"] * len(weeks)
    assert [volume for *_, volume in months] == [-31.0, 29 * 24.0, 31 * 24.0]
    assert {volume for *_, volume in weeks} == {-7.0, 7 * 24.0}


def test_a_value_that_one_input_lacks_the_bar_lacks(tmp_path: Path) -> None:
    """NULL is not nothing: volume is NULL where an input's is, never a sum of the others. Sources add up."""
    store = Store(tmp_path / "lake")
    rows = [
        candle(T0 + n * MINUTE, volume=None if n == 3 else 1.0, trade_count=2**50 + 1 - n) for n in range(4)
    ]
    rows[1] |= {"source": "archive", "received_at": T0 + DAY}
    rows[0] |= {"source": "ws", "received_at": T0 + 2 * DAY}
    put(store, SWAP, rows, [(T0, T0 + 4 * MINUTE, "empty")])
    with htxdata.open_lake(str(store.root)) as lake:
        bars = lake.klines(period="2min")
        assert micros(bars, "volume", "source", "received_at", "trade_count", "contracts", "period") == [
            (2.0, "archive+ws", T0 + 2 * DAY, 2**51 + 1, None, "2min"),
            (None, "rest", T0 + 400 * DAY, 2**51 - 3, None, "2min"),
        ]  # fmt: skip
        assert list(zip(bars.columns, map(str, bars.types), strict=True)) == view_columns(dataset("klines"))


def test_a_stored_period_is_what_is_stored_and_made_only_where_none_is(tmp_path: Path) -> None:
    """Of a symbol that has 5-minute candles they are given as stored; another's are made; both in one answer."""
    store = Store(tmp_path / "lake")
    for symbol in ("BTC-USDT", "ETH-USDT"):
        line = Series("klines", "htx-linear", symbol, "1min")
        put(store, line, [candle(T0 + n * MINUTE) for n in range(10)], [(T0, T0 + 10 * MINUTE, "empty")])
    put(store, Series("klines", "htx-linear", "ETH-USDT", "5min"), [candle(T0, 50.0)], [])
    mark = Series("mark_klines", "htx-linear", "BTC-USDT", "1min")
    bare = [{k: v for k, v in candle(T0 + n * MINUTE, float(n)).items() if k != "volume"} for n in range(4)]
    put(store, mark, bare, [(T0, T0 + 4 * MINUTE, "empty")])
    with htxdata.open_lake(str(store.root)) as lake:
        both = micros(lake.klines(period="5min"), "symbol", "open_time", "low")
        assert both == [
            ("BTC-USDT", T0, 1.0), ("BTC-USDT", T0 + 5 * MINUTE, 1.0), ("ETH-USDT", T0, 50.0),
        ]  # fmt: skip
        assert len(lake.klines(period=["1min", "5min", "10min"]).fetchall()) == 20 + 3 + 2
        assert len(lake.klines("ETH-USDT", period="?min").fetchall()) == 11
        assert micros(lake.mark_klines(period="2min"), "open", "high", "low", "close") == [
            (1.0, 4.0, 0.0, 3.0), (3.0, 6.0, 2.0, 5.0),
        ]  # fmt: skip
        assert lake.mark_klines(period="2min").columns == [
            name for name, _ in view_columns(dataset("mark_klines"))
        ]
        nothing = lake.klines("NOPE", period="7min")
        assert nothing.fetchall() == []
        assert list(zip(nothing.columns, map(str, nothing.types), strict=True)) == view_columns(
            dataset("klines")
        )


def test_what_divides_what() -> None:
    """The largest first; weeks divide no months, days of the venue no days of UTC, four hours no five."""
    names = ["1min", "15min", "60min", "4hour", "1day", "1week", "1mon"]
    of = lambda name, opens=HTX: periods.inputs(periods.grid(name, opens), names, opens)  # noqa: E731
    assert of("1mon") == ["1mon", "1day", "4hour", "60min", "15min", "1min"]
    assert of("2week")[:2] == ["1week", "1day"]
    assert of("utc_month")[0] == of("utc_week")[0] == of("utc_day")[0] == of("24hour")[0] == "4hour"
    assert of("utc_month", 0)[:2] == ["1mon", "1day"]
    assert of("5hour")[0] == "60min"
    assert of("7min") == ["1min"]


def test_rows_without_coverage_make_no_bar(tmp_path: Path) -> None:
    """What no footer vouches for is missing, though its rows can be read."""
    put(Store(tmp_path / "lake"), SWAP, [candle(T0 + n * MINUTE) for n in range(10)], [])
    with htxdata.open_lake(str(tmp_path / "lake")) as lake:
        assert len(lake.klines(period="1min").fetchall()) == 10
        assert lake.klines(period="5min").fetchall() == []


def test_files_that_are_superseded_meanwhile_are_listed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generation that is forgotten between the listing and the reading is not missed: the newer one is read."""
    store = Store(tmp_path / "lake", grace=0)
    put(store, SWAP, [candle(T0 + n * MINUTE) for n in range(4)], [(T0, T0 + 4 * MINUTE, "empty")])
    plain, turns = stored.known, []

    def late(paths: list[str]) -> list[Window]:
        if not turns:
            turns.append(paths)
            put(
                store,
                SWAP,
                [candle(T0 + 4 * MINUTE), candle(T0 + 5 * MINUTE)],
                [(T0, T0 + 6 * MINUTE, "empty")],
            )
            for path in paths:  # what the next commit after the grace does
                Path(path).unlink(missing_ok=True)
        return plain(paths)

    monkeypatch.setattr(stored, "known", late)
    with htxdata.open_lake(str(store.root)) as lake:
        assert len(lake.klines(period="2min").fetchall()) == 3
    assert turns


@pytest.mark.parametrize(
    ("name", "said"),
    [("7m", "7m"), ("0min", "0min"), ("utc_year", "utc_month"), ("2mon", "1mon"), ("99999week", "99999week")],
)
def test_what_is_no_period_is_a_usage_error(tmp_path: Path, name: str, said: str) -> None:
    """The message names what was given and what can be."""
    with htxdata.open_lake(str(tmp_path)) as lake, pytest.raises(UsageError, match=said):
        lake.klines(period=name)


def test_days_of_an_unknown_venue_are_not_guessed(tmp_path: Path) -> None:
    """When the day of a venue opens that nobody knows, its days are refused and UTC days are made."""
    store = Store(tmp_path / "lake")
    line = Series("klines", "elsewhere", "X", "60min")
    put(store, line, [candle(T0 + n * HOUR) for n in range(24)], [(T0, T0 + DAY, "empty")])
    with htxdata.open_lake(str(store.root)) as lake:
        with pytest.raises(UsageError, match="not known"):
            lake.klines(period="1day")
        assert micros(lake.klines(period="utc_day"), "open_time") == [(T0,)]
