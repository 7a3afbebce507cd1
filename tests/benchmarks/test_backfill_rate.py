"""Rows per client-CPU-second, side by side in one run, pacing off, commits included on our side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htxdata import config
from htxdata.ingest.asked import Request
from htxdata.ingest.planning import make_plans
from htxdata.ingest.run import run_jobs
from htxdata.ingest.session import Session
from tests.benchmarks import contenders, exchange

pytestmark = pytest.mark.benchmark

START, END = "2025-01-01", "2025-07-01"
ROUNDS = 7


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    with exchange.running() as found:
        yield found


def ours(
    hosts: dict[str, str],
    folder: Path,
    start: str,
    end: str,
    symbols: tuple[str, ...] = ("BTC-USDT",),
    venue: str = "htx-linear",
) -> int:
    """A backfill of minutes through ingest.run, from planning to the last fsync; the rows that it added."""
    settings = config.load(
        environ={
            "HTXDATA_LAKE": str(folder / "lake"),
            "HTXDATA_TAPE": str(folder / "tape"),
            "HTXDATA_HOSTS__HTX_SPOT_REST": hosts["htx_spot_rest"],
            "HTXDATA_HOSTS__HTX_SWAP_REST": hosts["htx_swap_rest"],
            "HTXDATA_BUDGETS__HTX_SPOT_REST": "100000",
            "HTXDATA_BUDGETS__HTX_SWAP_REST": "100000",
        }
    )
    with Session(settings, say=lambda text: None) as session:
        plans = make_plans([Request("klines", venue, symbols, ("1min",), start, end)], session)
        outcomes = run_jobs([job for plan in plans for job in plan.jobs], session, workers=2)
        assert not any(outcome.missing for outcome in outcomes)
        return sum(outcome.added for outcome in outcomes)


def rate(run: Callable[[], int]) -> float:
    """Rows per CPU second of this process."""
    began = time.process_time()
    rows = run()
    return rows / (time.process_time() - began)


def test_rows_per_cpu_second(hosts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A backfill with its commits does four times the rows of the usual recipe, and 0.75 of a bare loop."""
    base = hosts["htx_swap_rest"]
    first, last = contenders.seconds(START), contenders.seconds(END)
    contenders.ccxt_at(base)
    straight = {
        "requests + isal + msgspec": lambda: contenders.straight_requests(base, first, last, contenders.by_msgspec),
        "requests + isal + polars": lambda: contenders.straight_requests(base, first, last, contenders.by_polars),
        "aiohttp + isal + msgspec": lambda: contenders.straight_aiohttp(base, first, last, contenders.by_msgspec),
        "aiohttp + isal + polars": lambda: contenders.straight_aiohttp(base, first, last, contenders.by_polars),
    }
    turn = iter(range(1000))
    everyone: dict[str, Callable[[], int]] = {
        "htxdata, commits included": lambda: ours(hosts, tmp_path / str(next(turn)), START, END),
        "ccxt + pandas + to_parquet": lambda: contenders.usual_recipe(base, first, last, tmp_path),
        **straight,
    }
    expected = (last - first) // 60
    rates: dict[str, list[float]] = {name: [] for name in everyone}
    for name, run in everyone.items():
        assert run() == expected, name  # warm-up: imports, and the server's cache of bodies
    for _ in range(ROUNDS):
        for name, run in everyone.items():
            rates[name].append(rate(run))
    mine = rates["htxdata, commits included"]
    with capsys.disabled():
        print(f"\n{expected:,} candles, {ROUNDS} rounds, medians: thousand rows per CPU second")
        for name, found in rates.items():
            ratio = statistics.median(a / b for a, b in zip(mine, found, strict=True))
            print(f"  {name:<28} {statistics.median(found) / 1000:7.0f}   ours is {ratio:5.2f} times that")

    def against(names: list[str]) -> float:
        """The median of the ratios to the best of ``names`` in the same round."""
        rounds = zip(*(rates[name] for name in names), strict=True)
        return statistics.median(a / max(b) for a, b in zip(mine, rounds, strict=True))

    recipe = against(["ccxt + pandas + to_parquet"])
    limit = against(list(straight))
    with capsys.disabled():
        print(f"  of the best straight loop in each round: {limit:.2f}")
    assert recipe >= 4
    assert limit >= 0.75
