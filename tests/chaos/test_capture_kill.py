"""A capture that dies and one that hands over: every trade is there, or a row says why not."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from htxdata.ingest.distil import distil
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store import reel
from htxdata.store.partition import Store
from tests.chaos.lives import Life
from tests.ingest.test_capture import assert_books, heard_whole, hurried
from tests.truth import assert_trades, configuration, stored

LINEAR = ("BTC-USDT", "ETH-USDT")
WORDS = (
    "capture",
    "--venue",
    "htx-linear",
    "--feed",
    "trades",
    *(w for s in LINEAR for w in ("--symbol", s)),
)


def until_standing(tape: Path, reels: int, within: float = 30.0) -> None:
    """Wait until so many reels have frames on them."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        found = [
            path for path in reel.reels(tape) if any(isinstance(x, reel.Frames) for _, x in reel.read(path))
        ]
        if len(found) >= reels:
            return
        time.sleep(0.1)
    raise AssertionError(f"{reels} reels were awaited, there are {reel.reels(tape)}")


def assert_whole(folder: Path, sandbox: Sandbox) -> None:
    for symbol in LINEAR:
        series = Series("trades", "htx-linear", symbol)
        start, end = heard_whole(folder / "lake", series)
        assert assert_trades(folder / "lake", sandbox, series, start, end) > 100


def test_a_capture_that_is_killed_is_healed_by_the_next(tmp_path: Path) -> None:
    """kill -9 in mid-session: what was on the tape counts, and what happened until the next one comes by REST."""
    with Sandbox(clock=hurried()) as sandbox:
        config = configuration(sandbox, tmp_path)
        with Life(config, *WORDS) as first:
            until_standing(tmp_path / "tape", 1)
            time.sleep(1.0)
            first.kill()
        (torn,) = reel.reels(tmp_path / "tape")
        assert not reel.is_live(torn)
        with Life(config, *WORDS, "--for", "3s") as second:
            assert second.end() == 0
        assert_whole(tmp_path, sandbox)
    for symbol in LINEAR:
        gaps = stored(tmp_path / "lake", Series("capture_gaps", "htx-linear", symbol))
        assert (gaps["cause"], gaps["feed"]) == (["killed"], ["trades"])
        assert gaps["healed_at"] != [None]


@pytest.mark.wide
def test_a_new_version_takes_over_without_a_gap(tmp_path: Path) -> None:
    """Started beside the old one, which is then told to end: both end well, nothing is lost, nothing is there twice."""
    with Sandbox(clock=hurried()) as sandbox:
        config = configuration(sandbox, tmp_path)
        with Life(config, *WORDS) as old:
            until_standing(tmp_path / "tape", 1)
            with Life(config, *WORDS, said=tmp_path / "new.txt") as new:
                until_standing(tmp_path / "tape", 2)
                old.process.send_signal(signal.SIGTERM)
                assert old.end() == 0
                time.sleep(1.0)
                new.process.send_signal(signal.SIGINT)
                assert new.end() == 130
        assert_whole(tmp_path, sandbox)
    for symbol in LINEAR:
        assert stored(tmp_path / "lake", Series("capture_gaps", "htx-linear", symbol)) == {}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_many_lives_and_a_bad_line(tmp_path: Path) -> None:
    """Two minutes of kills, rotations and every fault of the line, trades and books: the trades are the exchange's, and
    every book that is claimed is."""
    kinds = (
        "missed_frame",
        "duplicated_frame",
        "reordered_frame",
        "sequence_break",
        "cut_frame",
        "garbage_frame",
    )
    faults = [
        *(Rule(kind, 0.005) for kind in kinds),
        Rule("disconnect", 0.002),
        Rule("silence", 0.0005, seconds=15.0),
    ]
    dice = random.Random(7)
    with Sandbox(faults=Faults(*faults)) as sandbox:
        config = configuration(sandbox, tmp_path)
        words = ("capture", "--venue", "htx-linear", "--feed", "trades", "--feed", "book", "--rotate", "10s")
        words += tuple(w for s in LINEAR for w in ("--symbol", s))
        over, kills = time.monotonic() + 120, 0
        while time.monotonic() < over:
            with Life(config, *words) as life:
                time.sleep(dice.uniform(3.0, 12.0))
                life.kill()
                kills += 1
        with Life(config, *words, "--for", "15s") as last:
            assert last.end(120) in (0, 3)
        assert kills >= 8
        for symbol, size in (("BTC-USDT", 0.001), ("ETH-USDT", 0.01)):
            trades = Series("trades", "htx-linear", symbol)
            for span in Store(tmp_path / "lake").coverage(trades):
                if span.verdict == "present":
                    assert_trades(tmp_path / "lake", sandbox, trades, span.start, span.end)
                else:
                    assert span.verdict in ("empty", "outage")
            books = Series("book_changes", "htx-linear", symbol)
            assert assert_books(tmp_path / "lake", sandbox, books, per_contract=size) > 200
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
    distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("venue", "symbol"), [("htx-spot", "btcusdt"), ("htx-linear", "BTC-USDT")])
def test_three_drops_and_a_stall(tmp_path: Path, venue: str, symbol: str) -> None:
    """A session of two minutes with `--faults drops`: every trade, and every book that is claimed."""
    with Sandbox(faults="drops") as sandbox:
        config = configuration(sandbox, tmp_path)
        words = (
            "capture",
            "--venue",
            venue,
            "--feed",
            "trades",
            "--feed",
            "book",
            "--symbol",
            symbol,
            "--for",
            "2m",
        )
        with Life(config, *words) as life:
            assert life.end(200) == 3  # the books of the breaks are lost
        kinds = [kind for kind, _, _ in sandbox.faults.fired]
        assert (
            (kinds.count("disconnect"), kinds.count("silence")) == (6, 2) if venue == "htx-spot" else (3, 1)
        )
        trades = Series("trades", venue, symbol)
        start, end = heard_whole(tmp_path / "lake", trades)
        assert_trades(tmp_path / "lake", sandbox, trades, start, end)
        size = 0.001 if venue == "htx-linear" else 1.0
        books = Series("book_changes", venue, symbol)
        assert assert_books(tmp_path / "lake", sandbox, books, per_contract=size) > 300
    gaps = stored(tmp_path / "lake", Series("capture_gaps", venue, symbol))
    assert {"lost", "stale"} >= set(gaps["cause"])
    assert all(
        (feed == "trades") == (at is not None)
        for feed, at in zip(gaps["feed"], gaps["healed_at"], strict=True)
    )
