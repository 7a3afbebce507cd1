"""The guided tour: its parts, and the whole of it in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from htxdata import config
from htxdata.cli import demo
from htxdata.cli.options import parser
from htxdata.ingest.asked import Request
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.sandbox import Sandbox


def test_its_configuration_is_one(tmp_path: Path) -> None:
    """What the demo writes can be read back, whatever its folder is called, and names the sandbox and every keep."""
    folder = tmp_path / 'a "strange" \\ folder'
    folder.mkdir()
    hosts = {"htx_spot_rest": "http://127.0.0.1:8790/htx-spot"}
    settings = config.load(demo.write_config(folder, hosts, now=1_700_000_000_000_000))
    assert settings.lake == str(folder / "lake")
    assert settings.hosts["htx_spot_rest"] == hosts["htx_spot_rest"]
    assert [(keep.venue, keep.dataset, keep.symbols, keep.periods) for keep in settings.keep] == [
        w[:4] for w in demo.WHAT
    ]
    assert settings.keep[0].since == "2023-10-31"


def test_it_shows_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Coverage, the answer in SQL, the chart and three commands, of any lake with the demo's series in it."""
    with Sandbox(limits=False) as sandbox:
        file = demo.write_config(tmp_path, sandbox.hosts)
        settings = config.load(file)
        with Session(settings, say=lambda text: None) as session:
            backfill(
                [Request("klines", "htx-spot", ("btcusdt",), ("60min",), settings.keep[0].since)], session
            )
    capsys.readouterr()
    demo.look(file, 8790)
    shown = capsys.readouterr()
    assert "  htx-spot btcusdt 60min  " in shown.out
    assert "open_time" in shown.out
    assert "┤" in shown.out
    assert len(demo.next_commands(file, 8790)) == 3
    assert all(one.command in shown.out for one in demo.next_commands(file, 8790))


def test_an_exchange_on_another_port_is_started_there_again(tmp_path: Path) -> None:
    """Where 8790 was taken, the command that starts the sandbox again names the port of the configuration."""
    commands = [one.command for one in demo.next_commands(tmp_path / "htxdata.toml", 9999)]
    assert "sandbox --port 9999 " in commands[2]


def test_its_progress_counts_each_rung_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """The archive's jobs, then those that it left to REST: never eleven of six."""
    done = cast(Outcome, SimpleNamespace(series="klines", label="2024", added=2))
    with demo._watched() as step:
        for total in (1, 1, 2, 2):
            step(total, done)
    said = [line.split(" rows")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["1 of 1 jobs, 2", "1 of 1 jobs, 2", "2 of 2 jobs, 4"]


def test_it_has_an_option_for_its_folder() -> None:
    """`htxdata demo --folder F`."""
    assert parser().parse_args(["demo", "--folder", "x"]).folder == "x"


@pytest.mark.slow
def test_the_whole_tour_twice_and_its_three_commands(tmp_path: Path) -> None:
    """It fills its lake by the flow and shows it; again it asks next to nothing; what it suggests works when typed;
    the home folder stays as it was, and no server is left."""
    home = tmp_path / "home"
    home.mkdir()
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "HOME": str(home), "PATH": beside, "COLUMNS": "100"}
    for name in [name for name in environ if name.startswith("PREFECT_")]:
        del environ[name]
    asked, seconds = [], []
    for _ in range(2):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "htxdata", "demo", "--folder", "demo"],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        for noise in ("Traceback", "Warning", "| INFO", "Error"):
            assert noise not in done.stdout + done.stderr
        assert "\nfunding_rates\n  htx-linear BTC-USDT " in done.stdout
        assert "┤" in done.stdout
        assert max(map(len, (done.stdout + done.stderr).splitlines())) <= 200
        asked.append(int(done.stderr.split("the exchange was asked ")[1].split()[0]))
    assert asked[1] < asked[0] / 2
    assert seconds[0] < 120
    assert not list(home.iterdir())
    commands = [line.strip() for line in done.stdout.split("Three commands to try next")[1].splitlines()]
    commands = [line for line in commands if line and not line.startswith("#")]
    assert len(commands) == 3
    for command in commands:
        ran = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, (command, ran.stderr)
