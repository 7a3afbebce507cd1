"""One server, two workers, one lake: a backfill shared between machines, and a machine that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.timeline import Window
from tests.flows.conftest import Configure
from tests.truth import assert_candles, strays

ROOT = Path(__file__).resolve().parents[2]
PREFECT = [sys.executable, "-m", "prefect"]
SYMBOLS = ["btcusdt", "ethusdt", "dogeusdt", "ethbtc", "steemusdt", "nasusdt", "wavesusdt", "bmtusdt"]
PERIODS = ["60min", "4hour", "1day"]
START, END = "2017-11-01", "2025-03-01"  # in nine years: nine partitions of each


@pytest.mark.wide
def test_jobs_and_outcomes_travel_as_json() -> None:
    """What a share is told and what it tells is what was meant, to the last field."""
    import msgspec

    from flows.share import jobs_from, outcomes_from, packed
    from htxdata.ingest.outcome import Missing, Outcome
    from htxdata.ingest.plan import Job, Known

    odd, window = Series("klines", "htx-spot", '币"\\\n', "1min"), Window(-1, 2**62)
    known = Known((window, Window(1, 2)), "empty", "listed later")
    jobs = [
        Job(odd, "2024-01", (window,), "archive", 3, 4, (known,), 5, 6, ("2024-01-01",), 7, "gone"),
        Job(Series("trades", "htx-linear", "BTC-USDT"), "x", ()),
    ]  # fmt: skip
    missing = (Missing(window, "HTTP 500"),)
    outcomes = [
        Outcome(
            odd, "2024-01", (window,), 1, 2, 3, 4, 5.5, True, 6, missing, missing, (window,), True, "no", missing, 7, 8
        ),
        Outcome(jobs[1].series, "x", ()),
    ]  # fmt: skip
    assert jobs_from(msgspec.json.decode(msgspec.json.encode(packed(jobs)))) == jobs
    assert outcomes_from(msgspec.json.encode(outcomes).decode()) == outcomes


def descendants(number: int) -> list[int]:
    """A process and all that it started, itself first."""
    found = [number]
    for task in Path(f"/proc/{number}/task").glob("*/children"):
        for child in task.read_text().split():
            found += descendants(int(child))
    return found


class Worker:
    """A worker of the pool with a Prefect home and a rate budget of its own, as on a machine of its own."""

    def __init__(self, folder: Path, name: str, environ: dict[str, str]) -> None:
        self.log = folder / f"{name}.log"
        own = {**environ, "PREFECT_HOME": str(folder / name), "HTXDATA_BUDGET_DIR": str(folder / f"{name}-budget")}
        own |= {"PREFECT_LOGGING_LEVEL": "INFO", "PREFECT_WORKER_QUERY_SECONDS": "2"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*PREFECT, "worker", "start", "--pool", "htxdata", "--limit", "2", "--name", name],
                env=own, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def taken(self) -> int:
        return self.log.read_text().count("submitting flow run")

    def unplug(self) -> None:
        """The whole machine is gone at once: nobody is told."""
        for number in descendants(self.process.pid):
            os.kill(number, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Asked first; what is left after that is killed."""
        if self.process.poll() is None:
            all_of_it = descendants(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            for number in all_of_it:
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            self.process.wait()


@contextmanager
def pool(folder: Path, url: str, **more: str) -> Iterator[tuple[dict[str, str], list[Worker]]]:
    """The pool, its deployments, and two workers."""
    environ = {
        **os.environ, "PREFECT_API_URL": url, "PREFECT_HOME": str(folder / "home"),
        "PREFECT_LOGGING_LEVEL": "ERROR", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false", **more,
    }  # fmt: skip
    made = ["work-pool", "create", "htxdata", "--type", "process"], ["--no-prompt", "deploy", "--name", "share"]
    for words in made:
        done = subprocess.run(
            [*PREFECT, *words], env=environ, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    workers = [Worker(folder, name, environ) for name in ("one", "two")]
    try:
        yield environ, workers
    finally:
        for worker in workers:
            worker.end()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_partitions_by_two_workers_of_which_one_dies(configure: Configure, tmp_path: Path) -> None:
    """A backfill of 216 partitions in shares; one machine is unplugged in the middle; the run ends complete all the
    same, both had their part in it, and every candle in the lake is the sandbox's."""
    from flows.local_server import LocalServer

    with Sandbox(limits=False) as sandbox, LocalServer(tmp_path / "server") as server:
        file = configure(sandbox, spot=10)
        parameters = {
            "dataset": "klines", "venue": "htx-spot", "symbols": SYMBOLS, "periods": PERIODS, "start": START, "end": END
        }  # fmt: skip
        with pool(tmp_path, server.url(), HTXDATA_CONFIG=file) as (environ, workers):
            parent = subprocess.Popen(
                [sys.executable, "-m", "flows.backfill", json.dumps(parameters)], cwd=ROOT, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True,
                env={**environ, "HTXDATA_FAN_OUT": "pool", "PREFECT_LOGGING_LEVEL": "INFO"},
            )  # fmt: skip
            try:
                until = time.monotonic() + 400
                while len(parts(tmp_path)) < 50 or not all(worker.taken for worker in workers):
                    assert time.monotonic() < until
                    assert parent.poll() is None, parent.communicate()
                    time.sleep(0.1)
                workers[1].unplug()
                before = len(parts(tmp_path))
                out, err = parent.communicate(timeout=600)
            finally:
                parent.kill()
                parent.communicate()
        assert parent.returncode == 0, err
        assert "was not heard of" in err  # its shares were given to the other one
        assert before < 150
        taken = [worker.taken for worker in workers]
        assert min(taken) >= 1
        assert len(parts(tmp_path)) == 216
        for symbol in SYMBOLS:
            for period in PERIODS:
                assert_candles(tmp_path / "lake", sandbox, Series("klines", "htx-spot", symbol, period), START, END)
        assert strays(tmp_path / "lake") == []
        print(f"{len(parts(tmp_path))} partitions, {before} when it was unplugged, shares taken {taken}: {out}")


def parts(folder: Path) -> list[Path]:
    return list((folder / "lake").rglob("part.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["dask"])
def test_dask_fills_the_same_lake(
    prefect_server: str, configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """By one setting, in other processes."""
    pytest.importorskip("prefect_dask")
    from flows.backfill import backfill

    with Sandbox(limits=False) as sandbox:
        monkeypatch.setenv("HTXDATA_FAN_OUT", where)
        file = configure(sandbox)
        done = backfill("klines", "htx-spot", ["btcusdt", "ethusdt"], "2023-11-01", "2024-02-01", ["1min"], file)
        assert done["added"] == 2 * 92 * 1440
        for symbol in ("btcusdt", "ethusdt"):
            series = Series("klines", "htx-spot", symbol, "1min")
            assert_candles(tmp_path / "lake", sandbox, series, "2023-11-01", "2024-02-01")
