"""What the documents say is true: their commands run, their Python runs, their links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from htxdata import config, open_lake
from htxdata.cli import main
from htxdata.cli.options import parser
from htxdata.sandbox import SANDBOX_KEY, Sandbox
from htxdata.schema.dictionary import render

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("data/*.md")])


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of that language, their indentation taken off."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def typed(page: Path, first: str) -> list[list[str]]:
    """The words of every line of a shell block that starts with ``first``."""
    lines = [line for text in blocks(page, "sh") for line in text.replace("\\\n", " ").splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True)) and words[0] == first]


def test_every_command_in_the_documents_is_one() -> None:
    """The real parser takes each `htxdata …` of a shell block."""
    commands = [words[1:] for page in PAGES for words in typed(page, "htxdata")]
    assert len(commands) >= 6
    for words in commands:
        if "--help" not in words:
            parser().parse_args(words)


def test_the_table_of_commands_is_complete() -> None:
    """README names every command there is, and none that there is not."""
    named = set(re.findall(r"^\| `htxdata (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    choices = next(a.choices for a in parser()._actions if a.choices and a.dest != "format")
    assert choices is not None
    assert named == set(choices)


def test_every_make_target_in_the_documents_exists() -> None:
    """`make X` in a shell block is a target of the Makefile."""
    has = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for page in PAGES for words in typed(page, "make") if len(words) > 1} <= has


def test_every_flow_in_the_documents_takes_these_parameters() -> None:
    """`python flows/X.py '{…}'` names a flow and parameters that it has."""
    runs = [words for page in PAGES for words in typed(page, "python")]
    assert runs
    for _, file, *given in runs:
        code = (ROOT / file).read_text()
        signature = re.search(r"^@flow\(.*?\)\ndef \w+\((.*?)\) ->", code, re.MULTILINE | re.DOTALL)
        assert signature
        names = set(re.findall(r"(\w+):", signature[1]))
        assert set(json.loads(given[0]) if given else {}) <= names


def test_every_link_leads_somewhere() -> None:
    """Files that the pages point at exist."""
    lost = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not lost


def test_the_configuration_shown_is_one() -> None:
    """README's htxdata.toml loads, and its hosts and budgets are the defaults."""
    (text,) = blocks(ROOT / "README.md", "toml")
    Path("htxdata.toml").write_text(text)
    settings = config.load(environ={})
    assert settings.keep
    for section, defaults in (("hosts", config.HOSTS), ("budgets", config.BUDGETS)):
        table = tomllib.loads(text)[section]
        assert {key: defaults[key] for key in table} == table


def test_the_settings_of_serve_shown_are_its_defaults() -> None:
    """docs/operating.md's htxdata.toml loads and can be served, and its [serve] is what counts without one."""
    from htxdata.ingest.turns import turns_of
    from htxdata.service import Serve

    (text,) = blocks(ROOT / "docs" / "operating.md", "toml")
    Path("htxdata.toml").write_text(text)
    settings = config.load(environ={})
    assert settings.serve == Serve()
    assert set(tomllib.loads(text)["serve"]) == set(vars(Serve()))
    names = {turn.name.split()[0] for turn in turns_of(settings, None)}
    assert names == {"capture", "snapshot", "instruments", "sync", "upkeep", "freshness"}


def test_the_exit_codes_shown_are_the_errors_own() -> None:
    """README lists the exit codes of htxdata.errors, of success and of an interrupt."""
    from htxdata import errors

    own = {error.exit_code for error in vars(errors).values() if isinstance(error, type)}
    shown = {
        int(code) for code in re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    }
    assert shown == own | {0, 130}


def test_the_data_dictionary_is_what_the_schema_says() -> None:
    """data/README.md is generated (`make docs`)."""
    assert (ROOT / "data" / "README.md").read_text().strip() == render().strip()


def test_the_first_backfill_and_the_python_example_work(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """README's commands, typed one after the other at a sandbox, end complete; then its Python and SQL have answers."""
    with Sandbox(limits=False) as sandbox:
        for key, base in sandbox.hosts.items():
            monkeypatch.setenv(f"HTXDATA_HOSTS__{key.upper()}", base)
        monkeypatch.setenv("HTX_ACCESS_KEY", SANDBOX_KEY.access)
        monkeypatch.setenv("HTX_SECRET_KEY", SANDBOX_KEY.secret)
        for words in typed(ROOT / "README.md", "htxdata"):
            if "--help" not in words:
                words = ["3s" if word == "1h" else word for word in words]
                assert main(words[1:]) == 0, (words, capfd.readouterr().err)
    names: dict[str, Any] = {}
    for code in blocks(ROOT / "README.md", "python"):
        exec(compile(code, "README.md", "exec"), names)
    assert (len(names["days"]), len(names["paid"])) == (7, 42)
    assert set(names["ticks"]["trade_count"]) == {100}
    assert names["paid"]["funding_rate"].notna().all()
    assert len(names["candles"]) == len(names["hours"]) + 743 == 744
    assert len(names["trades"]) > 1000
    assert list(names["verdicts"]["verdict"]) == ["present"]
    names["lake"].close()

    import duckdb

    (sql,) = blocks(ROOT / "docs" / "lake.md", "sql")
    sql = sql.replace("data/lake/**", "data/lake/klines/**")
    with duckdb.connect() as foreign:
        assert len(foreign.sql(sql).fetchall()) == 744
    lines = (ROOT / "README.md").read_text().splitlines()
    for path in (line for line in lines if line.startswith("data/lake/")):
        assert Path(path).is_file()


@pytest.mark.wide
def test_ones_own_history_and_looked_at_prices_are_to_be_had_as_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/keys.md's try at the sandbox, letter by letter, by the key that it shows; then docs/hashkey.md's Python."""
    (text,) = [text for text in blocks(ROOT / "docs" / "keys.md", "sh") if "sandbox0" in text]
    with Sandbox(limits=False) as sandbox:
        for key, base in sandbox.hosts.items():
            monkeypatch.setenv(f"HTXDATA_HOSTS__{key.upper()}", base)
        monkeypatch.setenv("HTXDATA_BUDGETS__HASHKEY_REST", "200")
        for name, value in re.findall(r"^export (\w+)=(\S+)$", text, re.MULTILINE):
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        for line in text.replace("30s", "1s").splitlines():
            if line.startswith("htxdata "):
                assert main(shlex.split(line)[1:]) == 0, (line, capsys.readouterr().err)
        assert len(capsys.readouterr().out.splitlines()) == 12  # two lines of a head, ten fills
        for words in ("mark_prices", "index_prices"):
            assert main(["snapshot", words, "--venue", "hashkey"]) == 0
    (code,) = blocks(ROOT / "docs" / "hashkey.md", "python")
    with open_lake() as lake:
        names: dict[str, Any] = {"lake": lake}
        exec(compile(code, "hashkey.md", "exec"), names)
        assert {"mark_price", "spot_index_price"} <= set(names["priced"].columns)
