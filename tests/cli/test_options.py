"""The command line: what it understands, and what it says about the rest."""

from __future__ import annotations

import re
import shlex
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.cli import _COMMITTING, main, show
from htxdata.cli.options import _FILLED, _VENUES, parser
from htxdata.errors import UsageError
from htxdata.venues import VENUES

COMMANDS = [
    "demo", "plan", "backfill", "sync", "capture", "distil", "snapshot", "coverage", "audit", "compact", "query",
    "export", "report", "doctor", "serve", "sandbox",
]  # fmt: skip
BACKFILL = "backfill klines --venue htx-spot --symbol btcusdt --period 1min --start 2024-01-01"


def test_a_backfill_is_read() -> None:
    """Symbols and periods are given once per value; the end may be left out."""
    options = parser().parse_args(shlex.split(f"{BACKFILL} --symbol 'eth*' --period 1day --config x.toml"))
    assert (options.dataset, options.venue, options.symbol, options.period) == (
        "klines",
        "htx-spot",
        ["btcusdt", "eth*"],
        ["1min", "1day"],
    )
    assert (options.start, options.end, options.config) == ("2024-01-01", None, "x.toml")
    again = parser().parse_args(shlex.split(BACKFILL))
    assert (again.symbol, again.period, hasattr(again, "config")) == (["btcusdt"], ["1min"], False)


def test_help_names_every_venue() -> None:
    """What `--help` spells out, so that it loads no venue, is what there is."""
    assert sorted(_VENUES.split(", ")) == sorted(venue.name for venue in VENUES)


def test_help_names_every_dataset_feed_and_depth() -> None:
    """Of `backfill` and `plan` all that can be filled, of `capture` all feeds and how deep their books are."""
    filled = {name for venue in VENUES for name in venue.datasets()}
    assert set(_FILLED.replace("; with a key", "").split()) == filled
    (capture,) = [a for a in parser()._actions if a.choices is not None and "capture" in a.choices]
    said = {action.dest: str(action.help) for action in capture.choices["capture"]._actions}  # type: ignore[index, call-overload]
    feeds = [feed for venue in VENUES for feed in venue.feeds]
    assert {feed.name for feed in feeds} <= set(re.findall(r"\w+", said["feed"]))
    forms = {form.levels for feed in feeds for form in (feed, *feed.forms)} - {None}
    assert forms == set(map(int, re.findall(r"\b\d+\b", said["levels"])))


@pytest.mark.parametrize("line", ["--config x.toml sync", "sync --config x.toml"])
def test_the_configuration_may_stand_anywhere(line: str) -> None:
    """Before the command or after it."""
    assert parser().parse_args(line.split()).config == "x.toml"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "COMMAND"),
        ("fetch", "'fetch'"),
        ("backfill klines", "--venue"),
        (f"{BACKFILL} --limit 3", "--limit"),
        (f"{BACKFILL} --sym x", "--sym"),
        ("query 'select 1' --format xml", "'xml'.*table.*csv.*json.*parquet"),
        ("sandbox --port many", "--port.*'many'"),
        ("sandbox --port 70000", "--port.*'70000'.*65535"),
        ("sandbox --port -1", "--port"),
        ("sandbox --seed x", "--seed"),
        ("coverage klines more", "more"),
    ],
)
def test_what_is_not_understood_is_a_usage_error(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option and the value are named, the exit code is 2, and nothing goes to stdout."""
    with pytest.raises(UsageError, match=re.compile(words, re.DOTALL)):
        parser().parse_args(shlex.split(line))
    assert main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(words, err, re.DOTALL)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example_that_parses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last line of its help is a command line of itself."""
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([command, "--help"])
    assert caught.value.code == 0
    example = capsys.readouterr().out.split("example:\n")[1].replace("\\\n", " ")
    words = [word for word in shlex.split(example) if not word.startswith("HTXDATA_")]
    assert words[0] == "htxdata"
    assert callable(parser().parse_args(words[1:]).run)


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, as an answer."""
    with pytest.raises(SystemExit):
        parser().parse_args(["--version"])
    assert re.fullmatch(r"htxdata \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


# ---------------------------------------------------------------------------------------------------- show


def test_a_table_is_aligned() -> None:
    """Columns as wide as their widest cell, numbers to the right, nothing for None, no blanks at the end."""
    text = show.table(["name", "rows"], [["a", 1], ["longer", 1000], [None, None]], right=[1])
    assert text == "name    rows\n------  ----\na          1\nlonger  1000\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (0.9, "0.9 s"), (42, "42 s"), (90, "2 min"), (3000, "50 min"), (9000, "2.5 h")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    """Two digits are enough."""
    assert show.duration(seconds) == text


def test_thousands_are_grouped() -> None:
    """As people write large numbers."""
    assert show.thousands(1234567) == "1,234,567"


@given(st.lists(st.tuples(*[st.floats(1, 1e6)] * 4), min_size=1, max_size=40), st.integers(3, 30))
def test_candles_fill_their_chart(bars: list[tuple[float, float, float, float]], height: int) -> None:
    """One column per candle, none empty, the highest and lowest touch the rims."""
    opens, closes = [bar[0] for bar in bars], [bar[1] for bar in bars]
    highs, lows = [max(bar) for bar in bars], [min(bar) for bar in bars]
    lines = [line.partition("┤")[2] for line in show.candles(opens, highs, lows, closes, height).split("\n")]
    assert len(lines) == height
    assert {len(line) for line in lines} == {len(bars)}
    assert all(any(line[at] != " " for line in lines) for at in range(len(bars)))
    assert lines[0].strip()
    assert max(highs) == min(lows) or lines[-1].strip()


@pytest.mark.parametrize(
    ("line", "stays"),
    [("coverage", ""), ("doctor", ""), ("report --output -", ""), ("query 'select 1'", ""),
     ("distil", "; what was committed stays, the same command goes on from there"),
     ("demo", "; what was committed stays, the same command goes on from there")],
)  # fmt: skip
def test_an_interrupt_speaks_of_commits_only_where_there_are_any(
    line: str, stays: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130; of what only looks nothing stays, and nothing can be gone on with."""

    def interrupted(module: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("htxdata.cli.options.importlib.import_module", interrupted)
    assert main(shlex.split(line)) == 130
    assert capsys.readouterr().err == f"htxdata: interrupted{stays}\n"


def test_every_command_that_commits_is_one() -> None:
    """The list of those that may speak so names commands that there are."""
    assert set(COMMANDS) >= _COMMITTING


def test_progress_tells_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal: the last job is told, on stderr."""
    with show.progress(2) as step:
        for label in ("2024-01", "2024-02"):
            step(SimpleNamespace(added=1500, series="klines htx-spot btcusdt 1min", label=label))  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("2 of 2 jobs, 3,000 rows, ")
    assert err.endswith("last klines htx-spot btcusdt 1min 2024-02\n")
