"""Archive, then REST, killed again and again on a bad day of both: the lake is the market all the same (law 3)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.footer import Span
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, iso
from tests.chaos.lives import Life
from tests.truth import assert_archived_candles, assert_covers, assert_trades, configuration, stored, strays

ARCHIVE = {"host": "htx_archive"}
SQUALL = (
    Rule("error", 0.05, **ARCHIVE),
    Rule("throttle", every=60, mode="bare", **ARCHIVE),
    Rule("drop", 0.05, **ARCHIVE),
    Rule("cut", 0.05, **ARCHIVE),
    Rule("stall", 0.05, seconds=0.2, **ARCHIVE),
    Rule("wrong_checksum", 0.05, **ARCHIVE),
    Rule("corrupt_file", 0.1, **ARCHIVE),
    # Only files of this month: a day of long ago that has no file has none for good.
    Rule("late_file", 0.3, seconds=6, path=f"*-{time.strftime('%Y-%m', time.gmtime())}-*", **ARCHIVE),
    Rule("error", 0.05, host="htx_spot_rest"),
    Rule("cut", 0.05, host="htx_spot_rest"),
    Rule("error", 0.05, host="htx_swap_rest"),
    Rule("duplicate", 0.1, host="htx_swap_rest"),
)
TRADES = (Series("trades", "htx-spot", "bmtusdt"), Series("trades", "htx-linear", "DOGE-USDT"))
CANDLES = (Series("klines", "htx-spot", "bmtusdt", "1min"),)


def words(series: Series, start: str, end: str | None) -> tuple[str, ...]:
    period = ("--period", series.period) if series.period else ()
    until = ("--end", end) if end else ()
    what = ("--venue", series.venue, "--symbol", series.symbol)
    return ("backfill", series.dataset, *what, *period, "--start", start, *until)


def kill_again_and_again(sandbox: Sandbox, config: Path, commands: list[tuple[str, ...]], kills: int, seed: int) -> int:
    """``kills`` lives of all commands in turn, each killed after a number of answers; how many died at work."""
    dice = random.Random(seed)
    died = 0
    for number in range(kills):
        target, delay = len(sandbox.requests) + dice.randint(1, 12), dice.random() * 0.05
        with Life(config, *commands[number % len(commands)]) as life:
            deadline = time.monotonic() + 10
            while len(sandbox.requests) < target and life.process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(delay)
            if life.process.poll() is None:
                life.kill()
                died += 1
            else:
                assert life.end() in (0, 3), config.with_name("said.txt").read_text()[-3000:]
    return died


def finish(config: Path, command: tuple[str, ...], enough: Callable[[], bool] = lambda: False) -> None:
    """Until the command is complete, or ``enough`` is there, as an operator's timer would run it."""
    for _ in range(12):
        with Life(config, *command) as life:
            code = life.end(120)
        assert code in (0, 3), config.with_name("said.txt").read_text()[-3000:]
        if code == 0 or enough():
            return
    pytest.fail(f"{' '.join(command)}: {config.with_name('said.txt').read_text()[-2000:]}")


def present(lake: Path, series: Series, since: int) -> list[Span]:
    return [span for span in Store(lake).coverage(series) if span.verdict == "present" and span.end > since]


def climbed(lake: Path, series: Series, since: int) -> bool:
    """Both rungs have brought rows, and the archive all whole days: between them lies what nobody serves, no more."""
    spans = present(lake, series, since)
    deep = [span for span in spans if span.source == "archive"]
    published = time.time_ns() // 1000 - DAY - 12 * HOUR
    return {span.source for span in spans} == {"archive", "rest"} and deep[-1].end >= published


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "end", "kills", "seed"),
    [
        pytest.param("2026-01-29T05:00", "2026-02-02T21:00", 4, 3, marks=pytest.mark.timeout(240), id="some"),
        *(
            pytest.param("2025-10-01", "2026-11-01", 80, seed, marks=pytest.mark.timeout(1800), id=f"many-{seed}")
            for seed in (4, 5)
        ),
    ],
)
def test_kills_where_the_trees_meet_and_up_to_now(
    tmp_path: Path, start: str, end: str, kills: int, seed: int
) -> None:
    """Lives end by kill -9 while both hosts misbehave: some around the meeting of the trees, many over the year around
    it, and up to now; what is stored is the market, row by row."""
    with Sandbox(seed=seed, limits=False, faults=Faults(*SQUALL, seed=seed)) as sandbox:
        config = configuration(sandbox, tmp_path, archive=True)
        lake = tmp_path / "lake"
        recent = time.time_ns() // 1000 // MINUTE * MINUTE - 3 * DAY
        past = [words(series, start, end) for series in (*TRADES, *CANDLES)]
        newest = [words(series, iso(recent), None) for series in (*TRADES, *CANDLES)]
        assert kill_again_and_again(sandbox, config, past + newest, kills, seed) >= kills // 2
        for command in past:
            finish(config, command)
        for command, series in zip(newest, (*TRADES, *CANDLES), strict=True):
            # Trades of the hours between the archive and the tail that REST serves are nobody's yet.
            finish(config, command, partial(climbed, lake, series, recent) if series in TRADES else lambda: False)
        for series in TRADES:
            assert assert_trades(lake, sandbox, series, start, end) > 1000
            assert_covers(lake, series, start, end)
            for span in present(lake, series, recent):
                assert_trades(lake, sandbox, series, max(span.start, recent), span.end)
        for series in CANDLES:
            assert_archived_candles(lake, sandbox, series, start, end)
            assert_covers(lake, series, start, end)
            until = max(span.end for span in Store(lake).coverage(series))
            assert until > time.time_ns() // 1000 - 10 * MINUTE
            assert_archived_candles(lake, sandbox, series, recent, until)
            assert_covers(lake, series, recent, until)
            rows = stored(lake, series)
            assert len(rows["open_time"]) == len(set(rows["open_time"]))
            assert {"archive", "rest"} == set(rows["source"])
        assert strays(tmp_path) == []
        assert not list((lake / ".htxdata").glob("spool/*"))
        fired = {rule for rule, _, _ in sandbox.faults.fired}
        assert len(fired & {"error", "cut", "drop", "corrupt_file", "wrong_checksum", "stall"}) > 3
