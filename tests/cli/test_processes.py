"""The commands as processes: what only a real one can show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, Faults, Rule, Sandbox
from htxdata.store.partition import Store
from tests.clocks import Watch
from tests.truth import assert_candles, configuration, strays

ROOT = Path(__file__).resolve().parents[2]
START, END = "2025-05-10", "2025-07-20"
MINUTES = 71 * 1440
BACKFILL = ("backfill", "klines", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "1min",
            "--start", START, "--end", END)  # fmt: skip
SERIES = Series("klines", "htx-spot", "bmtusdt", "1min")


def begin(config: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "htxdata", "--config", str(config), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize(
    "stalled", [False, pytest.param(True, marks=pytest.mark.wide)], ids=["at work", "while the exchange stalls"]
)
def test_ctrl_c_ends_with_130_and_keeps_what_was_committed(tmp_path: Path, stalled: bool) -> None:
    """SIGINT in the middle of a backfill: exit code 130 soon, one sentence, no traceback; what was committed stays, and
    the same command goes on from there to the whole range without a stray file."""
    rules = [Rule("stall", after=30, times=5, seconds=3.0)] if stalled else []
    with Sandbox(seed=31, limits=False, faults=Faults(*rules)) as sandbox:
        config = configuration(sandbox, tmp_path, rate=60.0)
        process = begin(config, *BACKFILL)
        deadline = time.monotonic() + 30
        while len(sandbox.requests) < 40 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        with Watch() as watch:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, ""), err
        assert watch.own < (7 if stalled else 4)
        assert "interrupted; what was committed stays" in err
        assert "Traceback" not in err
        committed = sum(span.rows for span in Store(tmp_path / "lake").coverage(SERIES))
        assert committed < MINUTES
        asked = len(sandbox.requests)
        again = begin(configuration(sandbox, tmp_path), *BACKFILL)
        out, err = again.communicate(timeout=60)
        assert (again.returncode, out) == (0, ""), err
        assert assert_candles(tmp_path / "lake", sandbox, SERIES, START, END) == MINUTES
        assert strays(tmp_path) == []
        assert len(sandbox.requests) - asked <= 2 + 6 + (MINUTES - committed) // 999 + 12


def test_a_query_into_a_pipe_that_closes_is_no_error(tmp_path: Path) -> None:
    """``htxdata query … | head`` ends quietly."""
    (tmp_path / "htxdata.toml").write_text(f'lake = "{tmp_path / "lake"}"\n')
    sql = "select i, repeat('x', 100) from range(100000) t(i)"
    process = begin(tmp_path / "htxdata.toml", "query", sql, "--format", "csv")
    assert process.stdout is not None
    assert process.stdout.readline().startswith('"i"')
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(20), err) == (0, "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 0, marks=pytest.mark.wide)]
)
def test_the_sandbox_command_serves_until_it_is_told_to_stop(tmp_path: Path, number: int, code: int) -> None:
    """It prints the [hosts] that point at it; a backfill with these works; Ctrl-C ends it with 130, SIGTERM with 0."""
    (tmp_path / "empty.toml").write_text("")
    serving = begin(tmp_path / "empty.toml", "sandbox", "--port", "0", "--seed", "5", "--faults", "flaky")
    try:
        assert serving.stdout is not None
        lines = []
        while len(lines) < 6 and (line := serving.stdout.readline()):
            lines.append(line)
        config = tmp_path / "htxdata.toml"
        text = f'lake = "{tmp_path / "lake"}"\ntape = "{tmp_path / "tape"}"\n' + "".join(lines)
        config.write_text(text + "[budgets]\nhtx_swap_rest = 10\n")
        filling = begin(config, "backfill", "funding_rates", "--venue", "htx-linear", "--symbol", "MDX-USDT",
                        "--start", "2026-01-01", "--end", "2026-01-20")  # fmt: skip
        out, err = filling.communicate(timeout=60)
        assert (filling.returncode in (0, 3), out) == (True, ""), err
    finally:
        serving.send_signal(number)
        out, err = serving.communicate(timeout=60)
    assert (serving.returncode, "Traceback" in err) == (code, False), err
    assert f"the key {SANDBOX_KEY.access} and the secret {SANDBOX_KEY.secret}" in err
