"""``htxdata doctor``: the table, the JSON and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.sandbox import ApiKey, Sandbox
from tests.truth import configuration

Captured = pytest.CaptureFixture[str]


def test_a_healthy_machine_is_told_in_a_table_and_as_json(tmp_path: Path, capsys: Captured) -> None:
    """Exit code 0; the answer alone is on stdout, what is under way on stderr; no secret in either."""
    key = ApiKey("hush-key", "hush-hush")
    with Sandbox(seed=3, keys=(key,)) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHKEY_API_KEY", key.access)
        patch.setenv("HASHKEY_SECRET_KEY", key.secret)
        name = str(configuration(sandbox, tmp_path, archive=True))
        assert main(["--config", name, "doctor"]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines()[0].split() == ["check", "status", "what"]
        assert "host htx_spot_rest" in said.out
        assert "0 problems" in said.out.splitlines()[-1] + said.out.splitlines()[-2]
        assert "asking the hosts" in said.err
        assert main(["--config", name, "doctor", "--json"]) == 0
    answer = capsys.readouterr()
    assert "hush" not in said.out + said.err + answer.out + answer.err
    found = json.loads(answer.out)
    assert found["counts"]["problem"] == 0
    assert sum(found["counts"].values()) == len(found["checks"])
    for check in found["checks"]:
        assert list(check) == ["name", "status", "says", "details"]
        assert check["says"]
    (software,) = [check for check in found["checks"] if check["name"] == "software"]
    assert software["details"]["packages"]["pyarrow"]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_problem_ends_with_three(tmp_path: Path, capsys: Captured, words: list[str]) -> None:
    """A venue that is down: exit code 3, its host named on stdout, no traceback anywhere."""
    with Sandbox(seed=3) as sandbox:
        name = str(configuration(sandbox, tmp_path))
    assert main(["--config", name, "doctor", *words]) == 3
    said = capsys.readouterr()
    assert "htx_spot_rest (http://127.0.0.1" in said.out
    assert "Traceback" not in said.out + said.err


def test_wrong_usage_ends_with_two(tmp_path: Path, capsys: Captured) -> None:
    """A configuration that is none, and an option that is none."""
    file = tmp_path / "bad.toml"
    file.write_text("lake = 7\n")
    assert main(["--config", str(file), "doctor"]) == 2
    assert "lake must be a folder" in capsys.readouterr().err
    assert main(["doctor", "--yaml"]) == 2
