"""Any process may die at any instant (law 3), on a bad day of the exchange, and many may work on one lake (law 11)."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.lake import Lake
from htxdata.transport.budget import Budget
from tests.chaos.lives import Life, all_end
from tests.truth import assert_candles, assert_covers, assert_fundings, configuration, strays

START, END = "2025-06-10", "2025-07-20"
RANGE = ("--start", START, "--end", END)
SPOT = (
    "backfill",
    "klines",
    "--venue",
    "htx-spot",
    "--symbol",
    "bmtusdt",
    "--period",
    "1min",
    "--period",
    "1day",
    *RANGE,
)
LINEAR = ("backfill", "klines", "--venue", "htx-linear", "--symbol", "BTC-USDT", "--symbol", "DOGE-USDT", "--period",
          "1min", "--period", "1day", *RANGE)  # fmt: skip
FUNDING = ("backfill", "funding_rates", "--venue", "htx-linear", "--symbol", "BTC-USDT", "--symbol", "DOGE-USDT",
           "--start", "2020-09-01", "--end", END)  # fmt: skip
COIN = ("backfill", "klines", "--venue", "htx-inverse", "--symbol", "BTC-USD", "--symbol", "DOGE-USD", "--period",
        "1min", "--period", "1day", *RANGE)  # fmt: skip
COIN_FUNDING = ("backfill", "funding_rates", "--venue", "htx-inverse", "--symbol", "BTC-USD", "--symbol", "DOGE-USD",
                "--start", "2020-03-01", "--end", END)  # fmt: skip
HASHKEY = ("backfill", "klines", "--venue", "hashkey", "--symbol", "BTCUSDT", "--symbol", "DOGEUSDT-PERPETUAL",
           "--period", "1min", "--period", "1day", *RANGE)  # fmt: skip
HASHKEY_FUNDING = ("backfill", "funding_rates", "--venue", "hashkey", "--symbol", "*", "--start", "2024-07-01",
                   "--end", END)  # fmt: skip


@dataclass(frozen=True)
class Market:
    """What is filled, and what the lake must hold then. ``fundings`` are a venue, its symbols, and since when. Without
    either, whoever kills its lives compares the lake himself."""

    commands: tuple[tuple[str, ...], ...]
    candles: tuple[tuple[str, str], ...] = ()
    fundings: tuple[str, tuple[str, ...], str] = ("", (), "")
    hosts: tuple[str, ...] = ()
    budgets: int = 0


HTX = Market(
    (SPOT, LINEAR, FUNDING), (("htx-spot", "bmtusdt"), ("htx-linear", "BTC-USDT"), ("htx-linear", "DOGE-USDT")),
    ("htx-linear", ("BTC-USDT", "DOGE-USDT"), "2020-09-01"), ("htx-spot", "htx-swap"),
    4,  # reference data and the ledger of an account have their own
)  # fmt: skip
OTHER = Market(
    (HASHKEY, HASHKEY_FUNDING), (("hashkey", "BTCUSDT"), ("hashkey", "DOGEUSDT-PERPETUAL")),
    ("hashkey", ("BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL"), "2024-07-01"), ("hashkey",), 1,
)  # fmt: skip
COINS = Market(  # its fundings come page by page, newest first
    (COIN, COIN_FUNDING), (("htx-inverse", "BTC-USD"), ("htx-inverse", "DOGE-USD")),
    ("htx-inverse", ("BTC-USD", "DOGE-USD"), "2020-03-01"), ("htx-swap",), 2,
)  # fmt: skip

# Everything that `storm` does, with pauses that a test can wait for.
SQUALL = (
    Rule("throttle", every=400, mode="headers"),
    Rule("error", 0.03),
    Rule("busy", every=300),
    Rule("cut", 0.03),
    Rule("drop", 0.03),
    Rule("stall", 0.05, seconds=0.2),
    Rule("garbage", 0.03, mode="json"),
    Rule("garbage", 0.01, mode="column", after=40),
    Rule("duplicate", 0.1),
    Rule("reorder", 0.1),
    Rule("empty", 0.02, rows=1),
)


def kill_again_and_again(
    sandbox: Sandbox, config: Path, kills: int, seed: int, market: Market = HTX
) -> dict[int, int]:
    """Kill ``kills`` lives at moments that are counted in requests, which makes them moments of work; what each command
    ended with, where it was quicker."""
    dice, commands = random.Random(seed), market.commands
    ended: dict[int, int] = {}
    done = 0
    while done < kills:
        todo = [number for number in range(len(commands)) if ended.get(number) != 0]
        number = dice.choice(todo or range(len(commands)))  # a life that has nothing left to do is killed as well
        target, delay = len(sandbox.requests) + dice.randint(1, 16), dice.random() * 0.05
        with Life(config, *commands[number]) as life:
            deadline = time.monotonic() + 2
            while (
                len(sandbox.requests) < target and life.process.poll() is None and time.monotonic() < deadline
            ):
                time.sleep(0.001)
            time.sleep(delay)
            if life.process.poll() is None:
                life.kill()
                done += 1
            else:
                ended[number] = life.end()
                assert ended[number] in (0, 3), config.with_name("said.txt").read_text()[-3000:]
                done += 1  # quicker than its death
    return ended


def assert_whole(sandbox: Sandbox, folder: Path, market: Market = HTX) -> None:
    """The lake is the market's, all of it is known, nothing lies about, and the budget is as good as new."""
    lake = folder / "lake"
    for venue, symbol in market.candles:
        for period in ("1min", "1day"):
            series = Series("klines", venue, symbol, period)
            assert_candles(lake, sandbox, series, START, END)
            if period == "1min":
                assert_covers(lake, series, START, END)
    venue, symbols, since = market.fundings
    for symbol in symbols:
        assert assert_fundings(lake, sandbox, symbol, since, END, venue) > 1000
        assert_covers(lake, Series("funding_rates", venue, symbol), since, END)
    assert strays(folder) == []
    assert [
        path.name for path in lake.iterdir() if path.name not in ("klines", "funding_rates", ".htxdata")
    ] == []
    for host in market.hosts:
        budget = Budget(f"127.0.0.1:{sandbox.port}/{host}", 10_000.0)
        began = time.monotonic()
        budget.acquire()
        assert time.monotonic() - began < 70  # a pause that is left of the last ban, at most
        assert budget.state().given > 50
        budget.close()
    assert len(list(Path(os.environ["HTXDATA_BUDGET_DIR"]).iterdir())) == market.budgets


def finish(config: Path, tries: int = 12, within: float = 60.0, market: Market = HTX) -> None:
    """Until every command says that it is complete, as an operator's timer would."""
    for words in market.commands:
        for _ in range(tries):
            with Life(config, *words) as life:
                code = life.end(within)
            assert code in (0, 3), config.with_name("said.txt").read_text()
            if code == 0:
                break
        else:
            pytest.fail(
                f"{' '.join(words)} is never complete: {config.with_name('said.txt').read_text()[-2000:]}"
            )


@pytest.mark.timeout(240)
@pytest.mark.wide
@pytest.mark.parametrize(
    ("kills", "market"),
    [
        pytest.param(6, HTX, marks=pytest.mark.slow),
        pytest.param(30, HTX, marks=pytest.mark.slow),
        (4, OTHER),
        pytest.param(30, OTHER, marks=pytest.mark.slow),
        pytest.param(4, COINS, marks=pytest.mark.slow),
    ],
    ids=["htx", "htx longer", "hashkey", "hashkey longer", "coin-margined"],
)
def test_kills_on_a_bad_day_end_with_the_whole_market(tmp_path: Path, kills: int, market: Market) -> None:
    """Killed with kill -9 at random moments while the exchange misbehaves: the lake equals the market."""
    with Sandbox(seed=3, limits=False, faults=Faults(*SQUALL, seed=3)) as sandbox:
        config = configuration(sandbox, tmp_path)
        kill_again_and_again(sandbox, config, kills, seed=1, market=market)
        finish(config, market=market)
        assert_whole(sandbox, tmp_path, market)
        kinds = {kind for kind, _, _ in sandbox.faults.fired}
        seldom = {"throttle", "busy", "stall"}
        assert kinds >= {rule.kind for rule in SQUALL} - seldom


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [5, 6])
def test_a_hundred_kills_in_a_storm_end_with_the_whole_market(tmp_path: Path, seed: int) -> None:
    """The same for longer, in the preset `storm` with its bans and pauses."""
    with Sandbox(seed=seed, limits=False, faults="storm") as sandbox:
        config = configuration(sandbox, tmp_path)
        kill_again_and_again(sandbox, config, 100, seed=seed)
        finish(config, 40, within=600)  # a ban is waited out, a minute each time
        assert_whole(sandbox, tmp_path)


@pytest.mark.wide
@pytest.mark.timeout(180)
def test_three_backfills_of_overlapping_ranges_and_a_reader_on_one_lake(tmp_path: Path) -> None:
    """Three writers fill the same partitions at once while a reader asks all the time: no question fails, none sees a
    row twice or one less than before, and the end is the market."""
    with Sandbox(seed=4, limits=False) as sandbox:
        config = configuration(sandbox, tmp_path)
        ranges = (("2025-06-10", "2025-08-20"), ("2025-07-01", "2025-09-05"), ("2025-06-25", "2025-08-05"))
        words = (
            "backfill",
            "klines",
            "--venue",
            "htx-linear",
            "--symbol",
            "BTC-USDT",
            "--period",
            "1min",
            "--period",
            "60min",
        )
        over = threading.Event()
        seen: list[tuple[int, int]] = []
        errors: list[BaseException] = []
        readers = [threading.Thread(target=_read, args=(tmp_path / "lake", over.is_set, seen, errors))]
        for reader in readers:
            reader.start()
        try:
            lives = [
                Life(config, *words, "--start", start, "--end", end, said=tmp_path / f"said{at}.txt")
                for at, (start, end) in enumerate(ranges)
            ]
            codes = all_end(lives)
            for life in lives:
                life.__exit__()
        finally:
            over.set()
            for reader in readers:
                reader.join()
        assert (codes, errors) == ([0, 0, 0], [])
        assert [total for total, _ in seen] == [distinct for _, distinct in seen]
        assert sorted(seen) == seen
        assert len({total for total, _ in seen}) > 3  # it did look while they wrote
        for period in ("1min", "60min"):
            series = Series("klines", "htx-linear", "BTC-USDT", period)
            assert assert_candles(tmp_path / "lake", sandbox, series, START, "2025-09-05") > 2000
            assert_covers(tmp_path / "lake", series, START, "2025-09-05")
        assert strays(tmp_path) == []


def _read(
    lake: Path, over: Callable[[], bool], seen: list[tuple[int, int]], errors: list[BaseException]
) -> None:
    sql = "select count(*), count(distinct (period, open_time)) from klines"
    try:
        with Lake(lake) as door:
            while True:
                last = over()
                seen.append(door.sql(sql).fetchall()[0])
                door.coverage("klines").fetchall()
                if last:
                    return
    except BaseException as error:
        errors.append(error)
