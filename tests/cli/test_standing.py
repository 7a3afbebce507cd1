"""`htxdata coverage --fresh` and `--metrics`, and a log for machines."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.sandbox import Sandbox
from htxdata.timeline import DAY, HOUR, iso
from tests.truth import configuration


def keep(more: str = "") -> str:
    since = iso(time.time_ns() // 1000 // DAY * DAY - 2 * DAY)
    return (
        '[[keep]]\nvenue = "htx-spot"\ndataset = "klines"\nsymbols = ["btcusdt"]\nperiods = ["60min"]\n'
        f'since = "{since}"\n{more}\n'
    )


def test_what_is_late_exits_with_3_and_calls_the_hook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a sync it is late, afterwards fresh: a table or JSON on stdout, one call of the hook for each change; the
    metrics say the same; a log in JSON has a line for the partition, with run, series and span."""
    with Sandbox(limits=False) as sandbox:
        hook = f'[alerts]\ncommand = ["tee", "-a", "{tmp_path / "told"}"]\n[serve]\nstate = "{tmp_path / "state"}"\n'
        config = ["--config", str(configuration(sandbox, tmp_path, more=hook + keep('fresh_within = "90m"')))]
        assert main([*config, "coverage", "--fresh"]) == 3
        out, err = capsys.readouterr()
        assert "late" in out
        assert "1 of 1 series is later than allowed" in err
        monkeypatch.setenv("HTXDATA_LOG", "json")
        assert main([*config, "sync"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        (work, *_) = [line for line in lines if line["message"] == "partition"]
        assert work["series"] == {"dataset": "klines", "venue": "htx-spot", "symbol": "btcusdt", "period": "60min"}
        assert work["added"] >= 47
        assert work["run"] == lines[0]["run"]
        assert work["span"]["start"] < work["span"]["end"]
        monkeypatch.delenv("HTXDATA_LOG")
        assert main([*config, "coverage", "--fresh", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert (found["late"], found["allowed_seconds"], found["holes"]) == (False, 5400, 0)
        assert found["late_by_seconds"] < 120 + HOUR / 1e6
        assert main([*config, "coverage", "--metrics"]) == 0
        labels = '{dataset="klines",venue="htx-spot",symbol="btcusdt",period="60min"}'
        lines_of = capsys.readouterr().out.splitlines()
        assert f"htxdata_rows{labels} {found['rows']}" in lines_of
        assert f"htxdata_late{labels} 0" in lines_of
        assert any(line.startswith('htxdata_requests_given_total{host="htx_spot_rest"} ') for line in lines_of)
    told = [json.loads(line) for line in (tmp_path / "told").read_text().replace("}{", "}\n{").splitlines()]
    assert [(len(one["late"]), len(one["fresh"])) for one in told] == [(1, 0), (0, 1)]


def test_a_hook_that_does_not_work_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 and the reason, so that nobody believes they would have been told."""
    with Sandbox(limits=False) as sandbox:
        hook = f'[alerts]\ncommand = ["/no/such/hook"]\n[serve]\nstate = "{tmp_path / "state"}"\n'
        config = str(configuration(sandbox, tmp_path, more=hook + keep()))
        assert main(["--config", config, "coverage", "--fresh"]) == 3
        assert "not told: alerts.command '/no/such/hook' cannot be run" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--fresh", "--metrics"])
def test_it_is_of_everything_that_is_kept(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A choice of series is refused rather than ignored; without a [[keep]] there is nothing to say."""
    Path("htxdata.toml").write_text(keep())
    assert main(["coverage", "klines", option]) == 2
    assert "leave dataset out" in capsys.readouterr().err
    Path("htxdata.toml").write_text("")
    assert main(["coverage", option]) == 2
    assert "[[keep]]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to serve"),
        ('[serve]\nsync = "often"\n', "serve.sync: 'often'"),
        ('[serve]\ngrace = "x"\n', "serve.grace: 'x'"),
        ('[alerts]\ntimeout = "x"\n', "alerts.timeout: 'x'"),
        ('[alerts]\nfresh_within = "x"\n', "alerts.fresh_within: 'x'"),
    ],
)
def test_serve_says_what_is_wrong_before_it_begins(
    text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the key and the value; no server, no folder, no run."""
    Path("htxdata.toml").write_text(text + (keep() if text else ""))
    assert main(["serve"]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in Path.cwd().iterdir()] == ["htxdata.toml"]


def test_a_keep_without_a_past_is_left_to_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sync` of quotes alone has nothing to do, and is complete."""
    more = '[[keep]]\nvenue = "htx-linear"\ndataset = "quotes"\nsymbols = ["BTC-USDT"]\n'
    with Sandbox(limits=False) as sandbox:
        assert main(["--config", str(configuration(sandbox, tmp_path, more=more)), "sync"]) == 0
        assert sandbox.requests == []
