"""Four processes, one budget, one venue: law 8 with real clocks, real sockets and a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

RATE = 40
PROCESSES = 4
SECONDS = 6.0
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start() -> Iterator[object]:
    with ExitStack() as stack:

        def start(*args: object) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", *map(str, args)]
            child = subprocess.Popen(
                command, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT, env=dict(os.environ)
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            return child

        yield start


def line_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str], text: str = "") -> None:
    assert child.stdin is not None
    if text:
        child.stdin.write(text)
        child.stdin.flush()
    else:
        child.stdin.close()


@pytest.mark.slow
def test_four_processes_share_a_budget(start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    """No second above it, 95 % of it used, to each its share, though one dies in the lock; and a 429 stops them all."""
    refused = int(RATE * SECONDS)
    venue = start("tests.transport.local_venue", refused)
    url = f"http://127.0.0.1:{line_of(venue)}"
    hungry = [start("tests.transport.hungry", f"p{n}", url, RATE, tmp_path) for n in range(PROCESSES)]
    for child in hungry:
        assert line_of(child) == "ready"
    holder = start("tests.transport.hungry", "--hold", tmp_path)
    assert line_of(holder) == "ready"
    for child in hungry:
        tell(child, "go\n")
    time.sleep(0.3)
    assert all(child.poll() is None for child in hungry)
    holder.kill()
    time.sleep(SECONDS / 2)
    victim = start(
        "tests.transport.hungry", "victim", url, RATE, tmp_path
    )  # dies anywhere, perhaps in the lock
    assert line_of(victim) == "ready"
    tell(victim, "go\n")
    time.sleep(0.5)
    victim.kill()
    time.sleep(SECONDS / 2 + 1.5)
    for child in hungry:
        tell(child)
    for child in hungry:
        assert child.wait(10) == 0
    tell(venue)
    arrivals = [(at, path) for at, path in json.loads(line_of(venue))]

    times = [at for at, _ in arrivals]
    fullest = max(bisect_left(times, at + 1.0) - n for n, at in enumerate(times))
    before = times[:refused]
    used = (len(before) - 1) / (before[-1] - before[0]) / RATE
    shares = Counter(path for _, path in arrivals[:refused])
    behind = [at - times[refused - 1] for at in times[refused:]]
    with capsys.disabled():
        print(f"\nused {used:.1%}, fullest second {fullest}/{RATE}, shares {dict(shares)}, "
              f"first after the 429: {behind[0] * 1e3:.0f} ms, after the pause: {len(behind)}")  # fmt: skip

    assert fullest <= RATE
    assert used >= 0.95
    fair = (refused - shares["/victim"]) / PROCESSES
    assert all(shares[f"/p{n}"] >= fair / 2 for n in range(PROCESSES))
    assert shares["/victim"] > 0
    assert sum(at < 0.9 for at in behind) < PROCESSES  # what was on its way already
    assert {path for _, path in arrivals[refused + PROCESSES :]} >= {f"/p{n}" for n in range(PROCESSES)}


@pytest.mark.slow
@pytest.mark.parametrize("market", [0, 3])
def test_two_processes_share_a_pool_inside_a_budget(  # type: ignore[no-untyped-def]
    start, tmp_path: Path, capsys: pytest.CaptureFixture[str], market: int
) -> None:
    """No second above either; whichever is the bound is used; and to each process its share."""
    rate, reference, run_s = 60, 20, 5.0
    venue = start("tests.transport.local_venue", 10**9)
    url = f"http://127.0.0.1:{line_of(venue)}"
    children = [
        start("tests.transport.hungry", "--pools", f"p{n}", url, rate, reference, tmp_path, market)
        for n in range(2)
    ]
    for child in children:
        assert line_of(child) == "ready"
    for child in children:
        tell(child, "go\n")
    time.sleep(run_s)
    for child in children:
        tell(child)
    for child in children:
        assert child.wait(10) == 0
    tell(venue)
    arrivals = [(at, path) for at, path in json.loads(line_of(venue))]
    every = [at for at, _ in arrivals]
    some = [at for at, path in arrivals if path.startswith("/reference/")]
    fullest = [max(bisect_left(times, at + 1.0) - n for n, at in enumerate(times)) for times in (every, some)]
    used = [(len(times) - 1) / (times[-1] - times[0]) for times in (every, some)]
    shares = Counter(path for _, path in arrivals)
    with capsys.disabled():
        print(f"\nall: {used[0]:.1f}/s, fullest second {fullest[0]}/{rate}; "
              f"reference: {used[1]:.1f}/s, fullest second {fullest[1]}/{reference}; {dict(shares)}")  # fmt: skip
    assert fullest[0] <= rate
    assert fullest[1] <= reference
    # Where market data fills the host's budget, its queue comes on top of the pool's.
    assert used[0] >= 0.95 * (rate if market else reference)
    assert used[1] >= (0.8 if market else 0.95) * reference
    assert all(shares[f"/reference/p{n}"] >= len(some) / 4 for n in range(2))
