"""What a row costs as histories and lakes grow; memory, start-up, and the share that orchestration takes.

``HTXDATA_BENCH=full`` asks ten million rows and 5,000 partitions; without it a tenth of that.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.environment import quiet_environment
from flows.local_server import LocalServer
from htxdata.market import grid_of
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store.coverage import Asked
from htxdata.store.layout import Partition
from htxdata.store.partition import Store
from htxdata.timeline import HOUR, cells, window_of
from tests.benchmarks import exchange
from tests.benchmarks.ten_million import END, START, SYMBOLS
from tests.benchmarks.test_backfill_rate import ours

pytestmark = pytest.mark.benchmark

FULL = os.environ.get("HTXDATA_BENCH") == "full"


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    with exchange.running() as found:
        yield found


def _say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}", flush=True)


_CHILD = """
import json, resource, sys, time
from pathlib import Path
from tests.benchmarks.ten_million import END, START, SYMBOLS
from tests.benchmarks.test_backfill_rate import ours
hosts, folder, symbols, start, end = sys.argv[1:]
hosts, symbols = json.loads(hosts), tuple(symbols.split(","))
ours(hosts, Path(folder) / "warm", "2026-06-01", "2026-06-08", symbols[:1], "htx-spot")
began = time.process_time()
rows = ours(hosts, Path(folder) / "real", start, end, symbols, "htx-spot")
print(rows, time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _child(hosts: dict[str, str], folder: Path, symbols: str, start: str, end: str) -> tuple[int, float, float]:
    """Rows, CPU seconds and peak megabytes of one backfill in a process of its own."""
    out = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(hosts), str(folder), symbols, start, end],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    ).stdout.split()  # fmt: skip
    return int(out[0]), float(out[1]), float(out[2])


def test_cost_of_a_row_and_memory_do_not_grow_with_the_range(
    hosts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row of a long backfill costs what one of a short backfill costs, in memory below 400 MB."""
    ranges = [("btcusdt", "2025-06-01", "2025-06-08", 3), ("btcusdt", "2024-01-01", "2025-12-01", 2)]
    if FULL:
        ranges.append((",".join(SYMBOLS), START, END, 1))
    costs = {}
    for symbols, start, end, times in ranges:
        found = [_child(hosts, tmp_path / f"{start}{n}", symbols, start, end) for n in range(times)]
        rows = found[0][0]
        costs[rows] = statistics.median(cpu / rows for rows, cpu, _ in found)
        peak = max(entry[2] for entry in found)
        _say(capsys, f"{rows:>10,} rows: {costs[rows] * 1e6:.2f} us of CPU a row, peak {peak:.0f} MB")
        assert peak < 400
    assert costs[max(costs)] < 1.5 * costs[min(costs)]


def _fill_lake(root: Path, partitions: int) -> None:
    """A lake of many one-row months, of as many symbols as it takes, beside the one that is measured."""
    store = Store(root)
    months = [label for label, _ in cells("month", window_of("year", "2023"))]
    for n in range(partitions):
        label = months[n % 12]
        window = window_of("month", label)
        columns = {name: [1.0] for name in ("open", "high", "low", "close")}
        table = conform(
            dataset("klines"),
            {**columns, "open_time": [window.start], "source": "rest", "received_at": window.end + HOUR},
        )
        partition = Partition("klines", "htx-linear", f"X{n // 12}-USDT", "1min", label)
        store.commit(partition, table, [Asked(window, "rest", window.end + HOUR)], grid=grid_of("1min"))


def test_cost_of_a_row_does_not_grow_with_the_lake(
    hosts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backfill into a lake of thousands of partitions costs what it costs in an almost empty one."""
    many = 5000 if FULL else 500
    small, large = tmp_path / "small", tmp_path / "large"
    _fill_lake(small / "lake", 10)
    _fill_lake(large / "lake", many)
    ours(hosts, tmp_path / "warm", "2026-06-01", "2026-07-01")
    ratios = []
    for n in range(5):
        cpu = []
        for folder in (small, large):
            began = time.process_time()
            month = f"2026-{n + 1:02d}-01"
            ours(hosts, folder, month, f"2026-{n + 2:02d}-01")
            cpu.append(time.process_time() - began)
        ratios.append(cpu[1] / cpu[0])
    _say(capsys, f"a month into a lake of {many} partitions costs {statistics.median(ratios):.2f} of one into 10")
    assert statistics.median(ratios) < 1.3


def _wall(command: list[str], times: int = 7) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def test_start_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Importing the front door costs under 50 ms; --help and the coverage of 1,000 partitions feel instant."""
    bare = _wall([sys.executable, "-c", "pass"], 15)
    front = _wall([sys.executable, "-c", "import htxdata"], 15)
    help_ = _wall([sys.executable, "-m", "htxdata", "--help"])
    _fill_lake(tmp_path / "lake", 1000)
    file = tmp_path / "htxdata.toml"
    file.write_text(f'lake = "{tmp_path / "lake"}"\n')
    command = [sys.executable, "-m", "htxdata", "--config", str(file), "coverage"]
    cold = _wall(command, 1)
    warm = _wall(command)
    _say(
        capsys,
        f"bare Python {bare * 1e3:.0f} ms, import htxdata +{(front - bare) * 1e3:.0f} ms, --help {help_ * 1e3:.0f} ms, "
        f"coverage of 1,000 partitions {cold * 1e3:.0f} ms cold, {warm * 1e3:.0f} ms warm",
    )
    assert front - bare < 0.05


@pytest.mark.skipif(not FULL, reason="HTXDATA_BENCH=full: ten million rows, some minutes")
def test_share_of_prefect(hosts: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Orchestration takes less than 5 % of the wall time of a venue-limited backfill of ten million rows."""
    script = Path(__file__).with_name("ten_million.py")
    walls = {}
    with LocalServer(tmp_path / "prefect-home") as server:
        environ = {**os.environ, **quiet_environment(tmp_path / "prefect-home"), "PREFECT_API_URL": server.url()}
        for how in ("plain", "prefect"):
            out = subprocess.run(
                [sys.executable, str(script), how, hosts["htx_spot_rest"], str(tmp_path / how)],
                check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2], env=environ,
            ).stdout.split()  # fmt: skip
            walls[how] = float(out[-2])
            _say(capsys, f"{how}: {int(out[-1]):,} rows in {walls[how]:.1f} s")
    share = 1 - walls["plain"] / walls["prefect"]
    _say(capsys, f"Prefect's share of the wall time: {share:.1%}")
    assert share < 0.05
