"""``htxdata audit`` on a small lake that the sandbox filled: what it answers, and with which exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main, show
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store import Store
from htxdata.timeline import HOUR, iso, parse_instant
from tests.ingest.lies import spoil
from tests.truth import configuration, files, stored

Captured = pytest.CaptureFixture[str]
START, END = "2025-06-30T16:00:00Z", "2025-07-01T16:00:00Z"  # a day of HTX's: a file of the archive
HOURS = Series("klines", "htx-spot", "bmtusdt", "60min")
AT = parse_instant(START) + 5 * HOUR


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trades of the archive and candles of two periods; never written to."""
    folder = tmp_path_factory.mktemp("audited")
    with Sandbox(seed=21, limits=False) as sandbox:
        name = str(configuration(sandbox, folder, archive=True))
        words = ["--venue", "htx-spot", "--symbol", "bmtusdt", "--start", START, "--end", END]
        assert main(["--config", name, "backfill", "trades", *words]) == 0
        periods = ["--period", "60min", "--period", "4hour"]
        assert main(["--config", name, "backfill", "klines", *words, *periods]) == 0
    return folder


@pytest.fixture
def lake(original: Path) -> Path:
    """A copy in the working directory, and a configuration that asks nobody."""
    shutil.copytree(original / "lake", "lake")
    Path("htxdata.toml").write_text('lake = "lake"\ntape = "tape"\n', encoding="utf-8")
    return Path("lake")


def told(capsys: Captured, *words: str) -> dict[str, Any]:
    main(["audit", "--json", *words])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_a_true_lake_has_no_findings(lake: Path, capsys: Captured) -> None:
    """Exit code 0, a sentence that says how much was looked at, nothing on stderr."""
    trades = len(stored(lake, Series("trades", "htx-spot", "bmtusdt"))["trade_id"])
    assert trades > 1000
    assert main(["audit"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"no findings in 3 series, 4 partitions, {trades + 24 + 6:,} rows; ")
    assert "6 candles laid beside klines and 30 candles laid beside trades" in said.out
    assert said.err == ""


def test_a_wrong_value_is_named_with_its_row(lake: Path, capsys: Captured) -> None:
    """Exit code 3; time, series, column, both values and the checks that found it, on stdout; the view has them."""
    right = spoil(Store(lake), HOURS, AT, high=lambda high: high * 2)["high"]
    assert main(["audit"]) == 3
    said = capsys.readouterr()
    (line,) = [line for line in said.out.splitlines() if "klines_against_trades" in line]
    start = [iso(AT), "klines", "htx-spot", "bmtusdt", "60min", "klines_against_trades", "high"]
    assert line.split()[:9] == [*start, f"{right:.15g}", f"{right * 2:.15g}"]
    assert "2 findings in 3 series" in said.out.splitlines()[-1]
    assert (
        main(["query", "select check_name, at_time, column_name from audit_findings", "--format", "json"])
        == 0
    )
    rows = json.loads(capsys.readouterr().out)
    assert [(row["check_name"], row["at_time"], row["column_name"]) for row in rows] == [
        ("klines_against_klines", "2025-06-30T20:00:00Z", "high"),
        ("klines_against_trades", iso(AT), "high"),
    ]


def test_the_json_says_everything(lake: Path, capsys: Captured) -> None:
    """Findings, what was looked at, and the values that no DOUBLE carries."""
    hours = stored(lake, HOURS)
    low = hours["low"][hours["open_time"].index(AT)]
    right = spoil(Store(lake), HOURS, AT, close=low, volume=lambda volume: volume * 2)
    assert right["close"] != low
    answer = told(capsys, "klines", "--period", "60min")
    by_check = {(f["check"], f["column"]): f for f in answer["findings"]}
    assert set(by_check) == {
        ("candle", "quote_volume"), ("klines_against_trades", "close"), ("klines_against_trades", "volume"),
    }  # fmt: skip
    found = by_check["klines_against_trades", "close"]
    assert found == {
        "check": "klines_against_trades", "dataset": "klines", "venue": "htx-spot", "symbol": "bmtusdt",
        "period": "60min", "at": iso(AT), "column": "close", "ours": right["close"], "theirs": low,
        "detail": "the trades make another close",
    }  # fmt: skip
    assert answer["total"] == {
        "findings": 3, "series": 1, "partitions": 1, "rows": 24, "compared": {"klines_against_trades": 24},
    }  # fmt: skip
    assert answer["unfit"] == []


def test_some_of_the_lake(lake: Path, capsys: Captured) -> None:
    """What was not asked for is neither found nor forgotten; what is right again is; a second look writes nothing."""
    spoil(Store(lake), HOURS, AT, high=lambda high: high * 2)
    assert main(["audit", "klines", "--period", "60min", "--end", iso(AT)]) == 0
    assert main(["audit", "klines", "--period", "60min", "--start", iso(AT), "--end", iso(AT + HOUR)]) == 3
    assert main(["audit", "trades"]) == 0
    capsys.readouterr()
    before = files(lake)
    assert main(["audit", "klines", "--symbol", "bmt*", "--period", "6*"]) == 3
    assert files(lake) == before
    assert main(["query", "select count(*) as n from audit_findings", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1"
    spoil(Store(lake), HOURS, AT, high=lambda high: high / 2)
    assert main(["audit"]) == 0
    capsys.readouterr()
    assert main(["query", "select count(*) as n from audit_findings", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["candles"], "'candles' is not a dataset: choose from klines, "),
        (["klines", "--venue", "binance"], "--venue 'binance'"),
        (["klines", "--period", "7min"], "--period '7min'"),
        (["--start", "yesterday"], "--start: 'yesterday' is not a time"),
        (["--start", "2025-07-02", "--end", "2025-07-01"], "the range is empty"),
        (["--check", "grid"], "--check"),
    ],
)
def test_wrong_usage_is_told_with_what_is_allowed(
    lake: Path, capsys: Captured, words: list[str], said: str
) -> None:
    """Exit code 2, and nothing is written."""
    before = files(lake)
    assert main(["audit", *words]) == 2
    answer = capsys.readouterr()
    assert (answer.out, said in answer.err) == ("", True), answer.err
    assert files(lake) == before


def test_nothing_of_that_kind(lake: Path, capsys: Captured) -> None:
    """Said on stderr, and no mistake."""
    assert main(["audit", "funding_rates"]) == 0
    said = capsys.readouterr()
    assert "nothing of that kind is in the lake 'lake'" in said.err
    assert said.out.startswith("no findings in 0 series")


def test_progress_tells_every_partition(
    lake: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off a terminal a line every few seconds, on stderr: how many of how many, and which is next."""
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(show.time, "monotonic", lambda: next(clock))
    assert main(["audit"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in lines] == [f"{n} of 6 partitions" for n in range(6)]
    assert lines[0].endswith("; next klines htx-spot bmtusdt 4hour 2025")


def test_a_long_table_is_cut_on_the_screen_only(
    lake: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many more there are, and where."""
    monkeypatch.setattr("htxdata.cli.upkeep.MOST_FINDINGS", 2)
    for hour in range(3):
        spoil(Store(lake), HOURS, AT + hour * HOUR, open=lambda price: price * 0.5)
    assert main(["audit", "klines", "--period", "60min"]) == 3
    said = capsys.readouterr().out
    assert said.count("60min") == 2
    assert "more; all of them: htxdata query 'select * from audit_findings'" in said
