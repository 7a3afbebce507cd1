"""What a backfill tells on its way: how many files of the archive it is done with, of how many, and the rows so far."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from htxdata.cli import main, show
from htxdata.sandbox import Sandbox
from tests.truth import configuration

DAYS = 20
"""Files: the venue's days from 2025-12-22 to 2026-01-10, which lie in two partitions and in one job."""

BACKFILL = (
    "backfill", "klines", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "1day",
    "--start", "2025-12-21T16:00", "--end", "2026-01-10T16:00",
)  # fmt: skip
AT_YEARS_END = 11
"""Which file is the first that reaches to the end of 2025 in UTC: that of the venue's first of January."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command, its sandbox's configuration, and a line for each file instead of one every few seconds."""
    monkeypatch.setattr(show, "PLAIN_EVERY", 0.0)
    return ["--config", str(tmp_path / "htxdata.toml"), *BACKFILL]


def test_each_file_of_one_long_job_is_progress(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One to twenty of twenty files, in order, each with its day; rows as the partitions of years are committed."""
    with Sandbox(seed=5, limits=False) as sandbox:
        configuration(sandbox, tmp_path, archive=True)
        assert main(asked) == 0
    out, err = capsys.readouterr()
    said = re.findall(r"^(\d+) of (\d+) files, (\d+) rows, .*; last klines htx-spot bmtusdt 1day (\S+)$", err, re.M)
    assert [(int(done), int(total)) for done, total, *_ in said] == [(n, DAYS) for n in range(1, DAYS + 1)]
    assert [int(rows) for *_, rows, _ in said] == [0] * (AT_YEARS_END - 1) + [11] * (DAYS - AT_YEARS_END) + [20]
    assert (said[0][3], said[AT_YEARS_END - 1][3], said[-1][3]) == ("2025-12-22", "2026-01-01", "2026-01-10")
    assert "1 series, 1 jobs, 20 files of the archive, " in err
    assert (out, " jobs, 20 rows" in err) == ("", False)


def test_several_jobs_at_once_are_one_count(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two periods side by side: every number from 1 to 40 once, and no day of either twice."""
    with Sandbox(seed=5, limits=False) as sandbox:
        configuration(sandbox, tmp_path, archive=True)
        assert main([*asked, "--period", "4hour"]) == 0
    said = re.findall(r"^(\d+) of 40 files, .*; last klines htx-spot bmtusdt (\S+ \S+)$", capsys.readouterr().err, re.M)
    assert [int(done) for done, _ in said] == list(range(1, 41))
    assert len({day for _, day in said}) == 40


def test_a_bar_counts_the_same_files(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: twenty of twenty and twenty rows at its end, as a bar, and none of the plain lines."""
    from rich.progress import Progress

    seen: list[tuple[float, object, object]] = []
    plain = Progress.update

    def update(bar: Progress, task: int, **values: object) -> None:
        plain(bar, task, **values)  # type: ignore[arg-type]
        seen.append((bar.tasks[0].completed, bar.tasks[0].total, bar.tasks[0].fields["rows"]))

    monkeypatch.setattr(Progress, "update", update)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Sandbox(seed=5, limits=False) as sandbox:
        configuration(sandbox, tmp_path, archive=True)
        assert main(asked) == 0
    assert [(done, total) for done, total, _ in seen] == [(n, DAYS) for n in range(1, DAYS + 1)]
    assert [rows for *_, rows in seen][-2:] == ["11", "20"]


def test_machines_are_told_numbers(asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``log = "json"`` the same lines have the numbers in fields, and the job has its line besides."""
    with Sandbox(seed=5, limits=False) as sandbox:
        file = configuration(sandbox, tmp_path, archive=True)
        file.write_text('log = "json"\n' + file.read_text())
        assert main(asked) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    steps = [line for line in lines if "done" in line]
    assert [(step["done"], step["total"]) for step in steps] == [(n, DAYS) for n in range(1, DAYS + 1)]
    assert steps[-1]["day"] == "2026-01-10"
    assert steps[-1]["series"]["symbol"] == "bmtusdt"
    assert [line["added"] for line in lines if line["message"] == "partition"] == [DAYS]


def test_seldom_is_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    """A thousand files within the first seconds are told by one line, the last."""
    from htxdata.ingest.outcome import FileDone
    from htxdata.market import Series

    with show.progress(1000, "files") as step:
        for at in range(1000):
            step(FileDone(Series("klines", "htx-spot", "btcusdt", "1day"), f"day {at}", 1))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("1,000 of 1,000 files, 1,000 rows, ")
