"""A full disk and a read-only one, real ones: each command says so in a sentence, nothing is lost, and it heals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from tests.truth import configuration, stored, strays

ROOT = Path(__file__).parents[2]
SERIES = Series("klines", "htx-spot", "bmtusdt", "60min")
RANGE = ("--start", "2025-06-01", "--end", "2025-06-20")
FILL = ("backfill", "klines", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "60min")
KEEP = """
[[keep]]
venue = "htx-spot"
dataset = "klines"
symbols = ["bmtusdt"]
periods = ["60min"]
since = "2025-06-01"
"""

WRITERS: dict[str, tuple[str, ...]] = {
    "backfill": (*FILL, "--start", "2025-06-01", "--end", "2025-06-25"),
    "backfill of days": ("backfill", "trades", "--venue", "htx-spot", "--symbol", "bmtusdt", "--start", "2025-06-01",
                         "--end", "2025-06-02"),
    "sync": ("sync",),
    "capture": ("capture", "--venue", "htx-spot", "--feed", "trades", "--symbol", "btcusdt", "--for", "1s"),
    "snapshot": ("snapshot", "instruments", "--venue", "htx-spot"),
    "snapshot of a basket": ("snapshot", "index_constituents", "--venue", "htx-linear", "--symbol", "BTC-USDT"),
}  # fmt: skip
READERS: dict[str, tuple[str, ...]] = {
    "query": ("query", "select count(*) as n from klines"),
    "coverage": ("coverage",),
    "plan": ("plan",),
    "audit": ("audit",),
    "compact": ("compact",),
    "distil": ("distil",),
}


@cache
def namespaces() -> bool:
    """Whether a mount of one's own may be made here."""
    try:
        words = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(words, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


pytestmark = [
    pytest.mark.wide,
    pytest.mark.skipif(
        not namespaces(), reason="no user namespace may be made here (unshare -rm), hence no bad disk"
    ),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=31, limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def template(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    config = str(configuration(sandbox, folder, more=KEEP, archive=True))
    assert main(["--config", config, *FILL, *RANGE]) == 0
    assert main(["--config", config, *WRITERS["capture"]]) == 0
    return folder


@pytest.fixture
def place(sandbox: Sandbox, template: Path, tmp_path: Path) -> Path:
    for name in ("lake", "tape"):
        subprocess.run(
            ["cp", "-a", str(template / name), str(tmp_path / name)], check=True
        )  # with its hard links
    configuration(sandbox, tmp_path, more=KEEP, archive=True)
    return tmp_path


def on_a_bad_disk(place: Path, how: str, *commands: tuple[str, ...]) -> list[tuple[Any, str, str]]:
    words = ["unshare", "-rm", sys.executable, "-m", "tests.chaos.on_a_bad_disk", str(place), how]
    done = subprocess.run(
        words, input=json.dumps(commands), capture_output=True, text=True, timeout=110, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [tuple(each) for each in json.loads(done.stdout)]


WORDS = {"full": "the disk is full", "read-only": "ead-only file system"}


@pytest.mark.parametrize("how", WORDS)
def test_every_writer_says_what_the_disk_said_and_every_reader_reads(place: Path, how: str) -> None:
    """Exit code 1 (2 where the folder cannot be written at all) and one sentence; what was committed is there; `doctor`
    names the disk; on a good one the same commands end well and no rubbish is left."""
    before = stored(place / "lake", SERIES)
    report = ("report", "--output", str(place / "report.html"))
    commands = [*WRITERS.values(), *READERS.values(), report, ("doctor",)]
    ended = dict(
        zip([*WRITERS, *READERS, "report", "doctor"], on_a_bad_disk(place, how, *commands), strict=True)
    )
    for name, (code, out, err) in ended.items():
        assert code in (0, 1, 2, 3), (name, code)
        assert "Traceback" not in out + err
    for name in WRITERS:
        code, _, err = ended[name]
        assert code == {"full": 1, "read-only": 2}[how], (name, err)
        assert WORDS[how] in err, (name, err)
        assert str(place) in err, (name, err)
    assert (ended["query"][0], ended["query"][1].split()[-1]) == (0, str(len(before["open_time"])))
    for name in ("coverage", "report"):
        assert ended[name][0] == 0, (name, ended[name])
    assert ended["plan"][0] in (
        0,
        2,
    )  # of the instruments some are known, where the disk became full among them
    assert ended["doctor"][0] == 3
    assert "disk of the lake" in ended["doctor"][1]

    if how == "full":  # the mount went with its process, and what was kept comes back
        for name in ("lake", "tape"):
            (place / name).rmdir()
            (place / f"{name}.kept").rename(place / name)
    assert stored(place / "lake", SERIES) == before
    config = ["--config", str(place / "htxdata.toml")]
    for name in ("backfill", "snapshot", "backfill of days"):
        assert main([*config, *WRITERS[name]]) == 0
    assert strays(place) == []
    assert len(stored(place / "lake", SERIES)["open_time"]) > len(before["open_time"])


def test_a_report_export_and_answer_on_a_full_disk_are_not_half_there(place: Path) -> None:
    """What a command writes for its caller is whole or not there."""
    outputs = {
        "query": ("query", "from range(1000000)", "--format", "csv", "--output", str(place / "tape" / "a.csv")),
        "report": ("report", "--output", str(place / "tape" / "r.html")),
        "export": ("export", "backtesting.py", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "60min",
                   "--output", str(place / "tape" / "e")),
        "views": ("query", "--print-views", "--output", str(place / "tape" / "v.sql")),
    }  # fmt: skip
    names = list(outputs)
    ended = on_a_bad_disk(place, "full", *outputs.values())
    for name, (code, out, err) in zip(names, ended, strict=True):
        assert code == 1, (name, code, out, err)
        assert "the disk is full: --output " in err, (name, err)
        assert "Traceback" not in err
