"""Words that can only be a mistake are refused in Python as on the command line; what may not be there is empty."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import htxdata
from htxdata import feeds
from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.store import Store
from htxdata.timeline import MINUTE
from tests.research.lakes import SWAP, T0, candle, put

Asked = Callable[[Any], Any]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Minutes of one symbol, and one of a venue that is none of ours."""
    store = Store(tmp_path_factory.mktemp("names") / "lake")
    for series in (SWAP, Series("klines", "own-desk", "X", "1min")):
        put(store, series, [candle(T0, 1.0)], [(T0, T0 + MINUTE, "empty")])
    return Path(store.root)


@pytest.fixture(scope="module")
def lake(root: Path) -> Any:
    with htxdata.open_lake(root) as opened:
        yield opened


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda lake: lake.klines(venue="nope"), "venue='nope' is not a venue: choose from htx-spot, "),
        (lambda lake: lake.klines("BTC-USDT", venue=["htx-linear", "HTX-linear"], period="7min"), "'HTX-linear'"),
        (lambda lake: lake.trades(venue="nope"), "venue='nope'"),
        (lambda lake: lake.instruments(venue="nope"), "venue='nope'"),
        (lambda lake: lake.coverage("klines", venue="nope"), "venue='nope'"),
        (lambda lake: lake.basket("BTC-USDT", venue="nope"), "venue='nope'"),
        (lambda lake: lake.incomplete(venue="nope", period="5min"), "venue='nope'"),
        (lambda lake: lake.bars(venue="nope", kind="tick", size=3), "venue='nope'"),
        (lambda lake: lake.asof(lake.klines(), known="true", funding=("nope", "BTC-USDT")), "venue='nope'"),
        (lambda lake: lake.klines(period="1minute"), "period='1minute' is not a period: choose from 1min, "),
        (lambda lake: lake.kline_revisions(period="7min"), "period='7min' is not a stored period: choose from 1min"),
        (lambda lake: lake.coverage(period=["1min", "7min"]), "period='7min' is not a stored period"),
        (lambda lake: lake.coverage("kline"), "'kline' is not a dataset: choose from klines, "),
        (lambda lake: lake.coverage(["klines", "coverage"]), "coverage has no files"),
        (lambda lake: lake.klines(start="2024-02", end="2024-01"), "end 2024-01-01T00:00:00Z lies before start 2024-"),
        (lambda lake: lake.klines(period="7min", start="2024-02", end="2024-01"), "lies before start"),
        (lambda lake: lake.trades(start=2, end=1), "lies before start"),
        (lambda lake: lake.incomplete("klines", period="7min", start=2, end=1), "lies before start"),
        (lambda lake: lake.bars("btcusdt", kind="tick", size=9, start=2, end=1), "lies before start"),
        (lambda lake: feeds.vectorbt(lake, "BTC-USDT", venue="htx-linear", start=2, end=1), "lies before start"),
        (lambda lake: feeds.vectorbt(lake, "X", venue="htx-linear", start=2, end=2), "the range is empty"),
        (lambda lake: feeds.backtrader(lake, "X", venue="nope"), "venue='nope' is not a venue: choose from "),
        (lambda lake: feeds.qlib(lake, "X", venue="htx-linear"), "symbol='X': the lake has no klines of it"),
        (lambda lake: feeds.export("qlib", lake, "x", venue="htx-linear", symbols=["BTC-USDT"], latency=1.0),
         "latency: qlib has no such clock"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(lake: Any, ask: Asked, said: str) -> None:
    """And not answered with a table that has no rows."""
    with pytest.raises(UsageError) as told:
        ask(lake)
    assert said in str(told.value)
    assert not str(told.value).startswith("-")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("ask", "rows"),
    [
        (lambda lake: lake.klines("ETH-USDT"), 0),
        (lambda lake: lake.klines(venue="hashkey"), 0),  # a venue of ours of which nothing is there
        (lambda lake: lake.klines(venue="no*"), 0),
        (lambda lake: lake.klines(period="9*"), 0),
        (lambda lake: lake.klines(venue="own-desk"), 1),
        (lambda lake: lake.klines(start=T0, end=T0), 0),
        (lambda lake: lake.trades(venue="own-desk"), 0),
        (lambda lake: lake.coverage("*_klines", venue="own-desk"), 0),
        (lambda lake: lake.coverage("klines", venue=("own-desk", "hashkey")), 1),
        (lambda lake: lake.sql("SELECT * FROM klines WHERE venue = 'nope'"), 0),
    ],
)
def test_what_may_simply_not_be_there_is_empty(lake: Any, ask: Asked, rows: int) -> None:
    """A symbol, whatever a glob may mean, a venue that anybody has put into the lake; and SQL compares, no more."""
    assert len(ask(lake).fetchall()) == rows


def test_a_venue_that_is_there_is_not_looked_up(root: Path) -> None:
    """Importing the venues takes longer than an answer."""
    script = (
        "import sys, htxdata\n"
        f"htxdata.open_lake({str(root)!r}).klines('BTC-USDT', venue='htx-linear', period='1min').fetchall()\n"
        "print([name for name in sys.modules if name.startswith('htxdata.venues')])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
