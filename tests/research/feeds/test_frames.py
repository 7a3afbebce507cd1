"""Frames that engines take in Python: the truth's bars under each engine's labels, fundings where they were settled."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata import feeds, open_lake
from htxdata.errors import UsageError
from htxdata.research.feeds import vectorbt
from htxdata.research.feeds.source import Candles, Fundings, Source
from htxdata.research.feeds.spelling import decimals, plain
from htxdata.research.lake import Lake
from htxdata.timeline import DAY, HOUR, MINUTE, Grid, Window
from tests.research.feeds import small_lake
from tests.research.feeds.small_lake import END, OUTAGE, START

VALUES = ("open", "high", "low", "close", "volume")


@pytest.fixture(scope="module")
def opened(lake: Path) -> Iterator[Lake]:
    with open_lake(str(lake)) as found:
        yield found  # type: ignore[misc]


def micros(index: Any) -> list[int]:
    naive = index.tz_convert(None) if index.tz else index
    return naive.to_numpy("datetime64[us]").view(np.int64).tolist()


def same(frame: pd.DataFrame, truth: dict[str, Any], mask: Any = slice(None)) -> None:
    for name in VALUES:
        column = next(each for each in frame.columns if each.lower() == name)
        assert frame[column].tolist() == truth[name][mask].tolist(), name


@pytest.mark.parametrize(
    ("engine", "late", "zone", "named"),
    [
        ("backtesting", 0, None, "open_time"),
        ("vectorbt", 0, "UTC", "Open time"),
        ("backtrader", MINUTE, None, "datetime"),
        ("zipline", MINUTE, None, "date"),
        ("qlib", 0, None, "date"),
    ],
)
def test_bars_are_the_truths_under_the_engines_labels(
    opened: Lake, engine: str, late: int, zone: str | None, named: str
) -> None:
    """Every bar of three days, to the last digit, and its stamp is the one that the engine means."""
    made = getattr(feeds, engine)(opened, "BTC-USDT", venue="htx-linear", period="1min")
    frame = made["BTC-USDT"] if isinstance(made, dict) else made
    truth = small_lake.candles("htx-linear", "BTC-USDT")
    assert micros(frame.index) == (truth["open_time"] + late).tolist()
    assert (str(frame.index.tz) if frame.index.tz else None, frame.index.name) == (zone, named)
    assert frame.index.dtype.name.startswith("datetime64[ns")
    assert frame.index.is_monotonic_increasing
    assert frame.index.is_unique
    same(frame, truth)


def test_the_lake_of_these_tests_is_the_truth(opened: Lake) -> None:
    """What the engines are compared with elsewhere is what the lake says as well."""
    for venue, symbol in (("htx-linear", "BTC-USDT"), ("htx-spot", "pepeusdt")):
        table = opened.klines(symbol, venue=venue, period="1min").select(
            "epoch_us(open_time) AS open_time, " + ", ".join(VALUES)
        )
        truth = small_lake.candles(venue, symbol)
        for name, column in table.fetchnumpy().items():
            assert column.tolist() == truth[name].tolist()


def test_a_slot_without_a_candle_has_no_bar_and_is_no_hole(opened: Lake) -> None:
    """205 of 4,320 slots were traded in: exactly those are rows, and nobody is warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = feeds.backtesting(opened, "MDX-USDT", venue="htx-linear", funding=False)
    truth = small_lake.candles("htx-linear", "MDX-USDT")
    assert micros(frame.index) == truth["open_time"].tolist()
    assert len(frame) == 205
    same(frame, truth)


def test_a_hole_is_told_and_never_filled(opened: Lake) -> None:
    """The hour of the outage has no bars, the warning names it, and whoever allows holes is not warned."""
    with pytest.warns(
        feeds.HolesWarning, match=r"WAVES-USDT 1min \[2024-01-03T05:00:00Z, 2024-01-03T06:00:00Z\): outage"
    ):
        frame = feeds.backtrader(opened, "WAVES-USDT", venue="htx-linear")
    truth = small_lake.candles("htx-linear", "WAVES-USDT")
    mask = (truth["open_time"] < OUTAGE.start) | (truth["open_time"] >= OUTAGE.end)
    assert micros(frame.index) == (truth["open_time"][mask] + MINUTE).tolist()
    same(frame, truth, mask)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        feeds.backtrader(opened, "WAVES-USDT", venue="htx-linear", allow_holes=True)


def test_made_bars_over_a_hole_are_left_out(opened: Lake) -> None:
    """Of 7-minute bars those are missing that need a minute of the outage, and they are named as such."""
    with pytest.warns(feeds.HolesWarning, match=r"7min \[.*\): outage"):
        frame = feeds.backtesting(opened, "WAVES-USDT", venue="htx-linear", period="7min")
    opens = np.array(micros(frame.index))
    assert not ((opens + 7 * MINUTE > OUTAGE.start) & (opens < OUTAGE.end)).any()
    first, last = OUTAGE.start // (7 * MINUTE) * 7 * MINUTE, -(-OUTAGE.end // (7 * MINUTE)) * 7 * MINUTE
    assert {first - 7 * MINUTE, last} <= set(opens.tolist())


def test_what_was_not_asked_for_is_no_hole(opened: Lake) -> None:
    """Without bounds the range is what is stored; with them, what lies outside of it is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(feeds.backtesting(opened, "ETH-USDT", venue="htx-linear")) == 2880
    with pytest.warns(
        feeds.HolesWarning, match=r"1min \[2024-01-02T12:00:00Z, 2024-01-03T00:00:00Z\): missing"
    ):
        frame = feeds.backtesting(opened, "ETH-USDT", venue="htx-linear", start=START + 12 * HOUR, end=END)
    assert len(frame) == 2880


def test_fundings_stand_in_the_bar_that_ends_in_them(opened: Lake) -> None:
    """Settled at 08:00: in the bar from 07:59 to 08:00, which its holder pays for; 0 elsewhere."""
    rates = small_lake.fundings("BTC-USDT")
    frame = feeds.backtesting(opened, "BTC-USDT", venue="htx-linear")
    due = {
        int(at) - MINUTE: rate
        for at, rate in zip(rates["funding_time"], rates["funding_rate"], strict=True)
        if at > START
    }
    paid = frame["Funding"][frame["Funding"] != 0]
    assert dict(zip(micros(paid.index), paid.tolist(), strict=True)) == due
    ends = feeds.backtrader(opened, "BTC-USDT", venue="htx-linear")["funding"]
    assert micros(ends[ends != 0].index) == [at + MINUTE for at in due]


def test_a_symbol_without_fundings_in_the_lake_says_so(opened: Lake) -> None:
    """No column is made of nothing; with ``funding=False`` nobody asked."""
    with pytest.warns(feeds.HolesWarning, match="funding_rates htx-linear MDX-USDT .*: missing"):
        assert "Funding" not in feeds.backtesting(opened, "MDX-USDT", venue="htx-linear")
    assert "Funding" not in feeds.backtesting(opened, "btcusdt", venue="htx-spot")


def _candles(opens: list[int]) -> Candles:
    times = np.array(sorted(opens), np.int64)
    some = np.ones(len(times))
    window = Window(0, 100)
    return Candles("s", "1min", Grid(1), window, times, times + 1, some, some, some, some, some, some)


@given(
    st.sets(st.integers(0, 30), min_size=1),
    st.sets(st.integers(-3, 34)),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 4)), max_size=2),
)
def test_no_funding_is_lost_or_paid_twice(
    opens: set[int], settled: set[int], holes: list[tuple[int, int]]
) -> None:
    """Each settlement after the first opening and up to the last close is in the first bar that closes at it or
    later."""
    times = sorted(settled)
    fundings = Fundings(np.array(times, np.int64), np.array([2.0**k for k in range(len(times))]), [])
    candles = _candles(sorted(opens))
    due = dict.fromkeys(sorted(opens), 0.0)
    for k, at in enumerate(times):
        if min(opens) < at <= max(opens) + 1:
            due[next(opening for opening in sorted(opens) if opening + 1 >= at)] += 2.0**k
    assert fundings.on(candles).tolist() == list(due.values())
    unknown = [Window(start, start + length) for start, length in holes]
    blind = Fundings(fundings.time, fundings.rate, unknown).on(candles)
    for opening, value, rate in zip(due, blind, due.values(), strict=True):
        covered = any(opening < hole.end and opening + 1 > hole.start for hole in unknown)
        assert np.isnan(value) if covered else value == rate


def test_days_of_utc_where_an_engine_means_them(opened: Lake) -> None:
    """HTX's 1day opens at 16:00 UTC: refused, with the word that is meant; utc_day is the truth's minutes of that
    day."""
    for engine in (feeds.freqtrade, feeds.zipline, feeds.qlib):
        with pytest.raises(UsageError, match="ask for utc_day"):
            engine(opened, "BTC-USDT", venue="htx-linear", period="1day")
    frame = feeds.freqtrade(opened, "BTC-USDT", venue="htx-linear", period="utc_day")
    truth = small_lake.candles("htx-linear", "BTC-USDT")
    assert [at.isoformat() for at in frame["date"]] == [f"2024-01-0{n}T00:00:00+00:00" for n in (2, 3, 4)]
    for at, day in enumerate(frame.to_dict("records")):
        mine = (truth["open_time"] - START) // DAY == at
        assert day["open"] == truth["open"][mine][0]
        assert day["high"] == truth["high"][mine].max()
        assert day["low"] == truth["low"][mine].min()
        assert day["close"] == truth["close"][mine][-1]
        assert day["volume"] == pytest.approx(truth["volume"][mine].sum(), rel=1e-12)


def test_wide_frames_and_frequencies(opened: Lake) -> None:
    """What vectorbt's Data would make: one row a time, one column a symbol, NaN before the second symbol begins."""
    frames = feeds.vectorbt(opened, ["BTC-USDT", "ETH-*"], venue="htx-linear")
    close = vectorbt.wide(frames, "Close")
    assert list(close.columns) == ["BTC-USDT", "ETH-USDT"]
    assert close["ETH-USDT"].isna().sum() == 1440
    assert [vectorbt.freq(each) for each in ("1min", "60min", "4hour", "utc_day")] == [
        "1min",
        "1h",
        "4h",
        "1D",
    ]


def test_unknown_words_name_what_there_is(opened: Lake) -> None:
    """A symbol, a venue or a period that is none: a sentence with the choices."""
    with pytest.raises(UsageError, match="it has BTC-USDT, ETH-USDT, MDX-USDT, WAVES-USDT"):
        feeds.backtesting(opened, "XRP-USDT", venue="htx-linear")
    with pytest.raises(UsageError, match="choose from htx-spot"):
        feeds.backtesting(opened, "BTC-USDT", venue="nowhere")
    with pytest.raises(UsageError, match="choose from 1min"):
        feeds.backtesting(opened, "BTC-USDT", venue="htx-linear", period="hourly")
    with pytest.raises(UsageError, match="means 4 series"):
        feeds.backtesting(opened, "*", venue="htx-linear")
    with pytest.raises(UsageError, match="BTC-USDT are stored of 60min"):
        Source(opened, "htx-linear").candles("BTC-USDT", "1min", "mark_klines")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_digit_for_digit(value: float) -> None:
    """Read back they are the same number, and none has an exponent."""
    text = plain(value)
    assert float(text) == value
    assert "e" not in text.lower()


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(0, 9))
def test_decimals_are_those_that_it_takes(units: list[int], digits: int) -> None:
    """Of numbers that were written with so many digits, the least that writes all of them."""
    values = np.array([unit / 10**digits for unit in units])
    expected = max(len(plain(value).partition(".")[2]) for value in values.tolist())
    assert decimals(values) == expected
