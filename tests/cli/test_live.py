"""`capture` and `distil` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.cli.live import status_line
from htxdata.cli.options import parser
from htxdata.errors import UsageError
from htxdata.ingest.capture import Status
from htxdata.ingest.capture_wanted import feeds_of
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.venues import venue
from tests.ingest.test_capture import heard_whole, hurried
from tests.truth import assert_trades, configuration


def test_a_capture_says_what_it_heard_and_the_lake_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing on stdout; an account on stderr; exit code 0; distil has nothing left to do."""
    with Sandbox(clock=hurried()) as sandbox:
        config = ["--config", str(configuration(sandbox, tmp_path))]
        words = ["capture", "--venue", "htx-linear", "--feed", "tr*", "--symbol", "BTC-USDT", "--for", "4s"]
        assert main([*config, *words]) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert "0 reconnects" in err.splitlines()[-1]
        assert main([*config, "distil", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said == {"reels": 0, "frames": 0, "quarantined": 0, "rows": [], "gaps": [], "healed": 0}
        series = Series("trades", "htx-linear", "BTC-USDT")
        start, end = heard_whole(tmp_path / "lake", series)
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 50


@pytest.mark.slow
def test_what_was_lost_is_said_and_a_later_run_heals_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, the span and the cause; `backfill` fills the outage and says that the gap is healed."""
    faults = Faults(
        Rule("disconnect", after=10, times=1, path="/linear-swap-ws"),
        Rule("error", path="*/history/trade", status=404, between=(0.0, 6.0)),
    )
    with Sandbox(clock=hurried(), faults=faults) as sandbox:
        config = ["--config", str(configuration(sandbox, tmp_path))]
        words = [
            "capture",
            "--venue",
            "htx-linear",
            "--feed",
            "trades",
            "--symbol",
            "BTC-USDT",
            "--for",
            "3.5s",
        ]
        code = main([*config, *words])
        err = capsys.readouterr().err
        assert code == 3, err
        assert "not heard: trades htx-linear BTC-USDT" in err
        assert err.splitlines()[-1].startswith("htxdata: incomplete")
        assert (
            main([*config, "query", "--format", "json", "select feed, cause, gap_start from capture_gaps"])
            == 0
        )
        (gap,) = json.loads(capsys.readouterr().out)
        assert (gap["feed"], gap["cause"]) == ("trades", "lost")
        while any(rule.kind == "error" for rule in faults.rules) and not _served(sandbox):
            pass
        words = [
            "backfill",
            "trades",
            "--venue",
            "htx-linear",
            "--symbol",
            "BTC-USDT",
            "--start",
            gap["gap_start"],
        ]
        main([*config, *words])
        assert "healed: trades htx-linear BTC-USDT" in capsys.readouterr().err


def _served(sandbox: Sandbox) -> bool:
    import requests

    url = sandbox.hosts["htx_swap_rest"] + "/linear-swap-ex/market/history/trade"
    return requests.get(url, {"contract_code": "BTC-USDT", "size": "1"}, timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--feed", "trades", "--for", "soon"],
            "htxdata: --for: 'soon' is not a span of time: write 30s, 10m",
        ),
        (["--feed", "trades", "--rotate", "1s"], "htxdata: --rotate '1s': a connection lasts 10s at least"),
        (["--feed", "candles"], "htxdata: --feed 'candles': htx-spot has trades, klines, book, quotes"),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    """Exit code 2, one sentence, nothing asked."""
    assert main(["capture", "--venue", "htx-spot", "--symbol", "btcusdt", *words]) == 2
    assert capsys.readouterr().err.startswith(sentence)


def test_a_venue_without_feeds_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """And those that have some."""
    with pytest.raises(UsageError, match="'htx-spot': it cannot be captured yet: choose from htx-spot, htx-linear"):
        feeds_of(replace(venue("htx-spot"), feeds=()), ["trades"])
    assert main(["distil", "--venue", "htx-spot", "--feed", "nothing"]) == 2
    assert "--feed 'nothing': htx-spot has trades" in capsys.readouterr().err


def test_the_status_is_one_line() -> None:
    """Frames a second, lag, reconnects, gaps, bytes."""
    status = Status(3723.0, 2, 3, 12_345, 1234.5, 3_400_000, (0.2013, 0.312), 4, 1, 777)
    assert status_line(status) == (
        "1:02:03 · 2 of 3 connections · 1,234 frames/s · lag 201/312 ms · 4 reconnects · 1 gaps · 3.4 MB · 777 rows"
    )


def test_a_process_of_its_own_imports_no_pandas(tmp_path: Path) -> None:
    """Arrow would, at its first array, and that takes longer than all other imports together."""
    code = (
        "import sys; from htxdata.cli import main; sys.argv[1:] = ['distil']; code = main()\n"
        "import pyarrow; assert pyarrow.array([1, 2]).to_pylist() == [1, 2]\n"
        "sys.exit(code if 'pandas' not in sys.modules else 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    assert parser().parse_args(["sync"]).command == "sync"
