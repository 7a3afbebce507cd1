"""Every command on a lake in a bucket: what they say of a local one, from an empty bucket to a backtester's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store import Store
from tests.bucket.conftest import client
from tests.bucket.server import Fault, Server, Weather
from tests.ingest.test_capture import hurried
from tests.truth import assert_candles, assert_fundings, assert_trades, configuration

START, END = "2025-05-10", "2025-05-13"
SERIES = Series("klines", "htx-spot", "bmtusdt", "1min")
BACKFILL = ["backfill", "klines", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "1min",
            "--start", START, "--end", END]  # fmt: skip
KEEP = """
[[keep]]
venue = "htx-linear"
dataset = "funding_rates"
symbols = ["MDX-USDT"]
since = "2026-01-01"
"""

Captured = pytest.CaptureFixture[str]


def objects(server: Server, place: str) -> dict[str, str]:
    """Every object, and what it holds."""
    found = client(server).list_objects_v2(Bucket=place).get("Contents", ())
    return {each["Key"]: each["ETag"] for each in found}


def test_a_lake_in_a_bucket_is_filled_kept_and_read_by_every_command(
    tmp_path: Path, lake: str, place: str, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Equal to the market value by value; a second run of anything changes no object; nothing of the lake is local."""
    monkeypatch.setenv("HTXDATA_LAKE", lake)
    with Sandbox(seed=31, limits=False) as sandbox:
        config = ["--config", str(configuration(sandbox, tmp_path, more=KEEP))]

        def run(*words: str, code: int = 0) -> str:
            done = main([*config, *words])
            answer = capsys.readouterr()
            assert done == code, answer.err
            assert "very-secret" not in answer.out + answer.err
            return answer.out

        assert json.loads(run("query", "--format", "json", "select count(*) as n from klines")) == [{"n": 0}]
        run(*BACKFILL)
        run("sync")
        assert assert_candles(lake, sandbox, SERIES, START, END) == 3 * 1440
        until = Store(lake).coverage(Series("funding_rates", "htx-linear", "MDX-USDT"))[-1].end
        assert assert_fundings(lake, sandbox, "MDX-USDT", "2026-01-01", until) > 500
        run("snapshot", "instruments", "--venue", "htx-spot", "--symbol", "bmtusdt")
        run("compact")
        before = objects(server, place)
        asked = len(sandbox.requests)
        run(*BACKFILL)
        assert len(sandbox.requests) - asked <= 2
        run("compact")
        assert objects(server, place) == before
        covered = json.loads(run("coverage", "klines", "--json"))
        assert f"{START}T00:00:00" in json.dumps(covered)
        run("audit")
        (row,) = json.loads(run("query", "--format", "json", "select count(*) as n, min(open_time) as t from klines"))
        assert row["n"] == 3 * 1440
        out = tmp_path / "report.html"
        run("report", "--output", str(out))
        assert "bmtusdt" in out.read_text()
        run("export", "backtrader", "--venue", "htx-spot", "--symbol", "bmtusdt", "--period", "1min",
            "--start", START, "--end", END, "--output", str(tmp_path / "out"))  # fmt: skip
        assert any((tmp_path / "out").iterdir())
        assert "read_parquet('s3://" in run("query", "--print-views")
        said = json.loads(run("doctor", "--json", code=main_code(config, capsys)))
        checks = {check["name"]: check for check in said["checks"]}
        assert checks["bucket of the lake"]["status"] == "ok"
        assert checks["lake"]["status"] == "ok", checks["lake"]
        assert checks["lake: strangers"]["status"] == "ok", checks["lake: strangers"]
        assert not (tmp_path / "lake").exists()


def main_code(config: list[str], capsys: Captured) -> int:
    """What doctor ends with here: it has its own view of this machine."""
    code = main([*config, "doctor", "--json"])
    capsys.readouterr()
    return code


@pytest.mark.wide
def test_what_is_captured_goes_to_the_tape_and_from_there_into_the_bucket(
    tmp_path: Path, lake: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The tape stays on this machine; trades are the market's wherever the lake says that it has them."""
    monkeypatch.setenv("HTXDATA_LAKE", lake)
    with Sandbox(clock=hurried()) as sandbox:
        config = ["--config", str(configuration(sandbox, tmp_path))]
        words = ["capture", "--venue", "htx-linear", "--feed", "trades", "--symbol", "BTC-USDT", "--for", "3s"]
        assert main([*config, *words]) in (0, 3), capsys.readouterr().err  # 3: a busy machine lost the connection
        assert list((tmp_path / "tape").rglob("*.reel")), "the tape is local"
        series = Series("trades", "htx-linear", "BTC-USDT")
        for more in ([], ["--again"]):
            assert main([*config, "distil", *more]) in (0, 3)
            spans = [span for span in Store(lake).coverage(series) if span.verdict == "present"]
            assert sum(assert_trades(lake, sandbox, series, span.start, span.end) for span in spans) > 20
        capsys.readouterr()


# --------------------------------------------------------------------------------------------------- clear words


@pytest.mark.parametrize(
    ("env", "fault", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, None, "set AWS_ACCESS_KEY_ID and"),
        ({"AWS_PROFILE": "nobody", "AWS_ACCESS_KEY_ID": None}, None, "nobody"),
        ({"AWS_ENDPOINT_URL": "http://me:very-secret@127.0.0.1:1"}, None, "http://127.0.0.1:1 cannot be reached"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, None, "AWS_"),
        ({"HTXDATA_LAKE": "s3://no-such-bucket/x"}, None, "there is no bucket 'no-such-bucket'"),
        ({}, Fault(403, "InvalidAccessKeyId", times=9), "refuses s3://lakes-"),
        ({}, Fault(403, "SignatureDoesNotMatch", times=9), "check the credentials in the environment"),
    ],
    ids=["no credentials", "no such profile", "no server", "no address", "no bucket", "no such key", "wrong secret"],
)
@pytest.mark.parametrize(
    "words", [["coverage"], pytest.param(BACKFILL, marks=pytest.mark.wide)], ids=["read", "write"]
)
def test_what_keeps_us_from_a_bucket_is_said_in_a_sentence(
    tmp_path: Path, lake: str, weather: Weather, monkeypatch: pytest.MonkeyPatch, capsys: Captured,
    env: dict[str, str | None], fault: Fault | None, says: str, words: list[str],
) -> None:  # fmt: skip
    """Exit code 2, the culprit and the way out; no traceback, and never a part of a secret."""
    monkeypatch.setenv("HTXDATA_LAKE", lake)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name, value in env.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    if fault is not None:
        weather.faults.append(Fault(fault.status, fault.code, times=9))
    with Sandbox(seed=31, limits=False) as sandbox:
        code = main(["--config", str(configuration(sandbox, tmp_path)), *words])
    answer = capsys.readouterr()
    assert (code, answer.out) == (2, ""), answer.err
    assert says in answer.err
    for secret in ("Traceback", "very-secret", "AKIATEST"):
        assert secret not in answer.err
    assert len(answer.err.strip().splitlines()[-1]) < 400
