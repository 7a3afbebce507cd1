"""The commands, called as functions: what they answer, on which stream, and with which exit code."""

from __future__ import annotations

import argparse
import csv
import functools
import io
import json
import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from htxdata.cli import main
from htxdata.cli.options import parser
from htxdata.ingest import session as session_room
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.transport.http import Client
from htxdata.venues import VENUES
from tests.clocks import Watch
from tests.truth import assert_candles, configuration, files, stored

Captured = pytest.CaptureFixture[str]
DAY1, DAY3 = "2025-07-01", "2025-07-03"
BACKFILL = [
    "backfill",
    "klines",
    "--venue",
    "htx-spot",
    "--symbol",
    "bmtusdt",
    "--period",
    "60min",
    "--start",
    DAY1,
]
FILLED = [*BACKFILL, "--end", DAY3]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=21, limits=False) as running:
        yield running


@pytest.fixture
def config(sandbox: Sandbox) -> Path:
    """``htxdata.toml`` in the working directory."""
    return configuration(sandbox, Path.cwd(), more=KEEPS)


KEEPS = """
[[keep]]
venue = "htx-spot"
dataset = "klines"
symbols = ["bmt*"]
periods = ["1day"]
since = "2025-06-01"

[[keep]]
venue = "htx-linear"
dataset = "funding_rates"
symbols = ["MDX-USDT"]
since = "2026-01-01"
"""


@pytest.fixture(scope="module")
def a_lake(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``FILLED`` makes, made once."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTXDATA_BUDGET_DIR", str(folder))
        assert main(["--config", str(configuration(sandbox, folder)), *FILLED]) == 0
    return folder / "lake"


@pytest.fixture
def filled(config: Path, a_lake: Path) -> Path:
    """The configuration of a lake of this test's own that holds what ``FILLED`` makes."""
    shutil.copytree(a_lake, config.with_name("lake"), symlinks=True)
    return config


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found.choices)


# ------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_help_of_every_command_ends_with_an_example_that_parses(name: str, capsys: Captured) -> None:
    """``--help`` ends with one command line, and the command line takes it."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    example = said.rpartition("example:\n")[2].replace("\\\n", " ")
    words = shlex.split(example)
    assert "htxdata" in words
    settings, words = words[: words.index("htxdata")], words[words.index("htxdata") + 1 :]
    assert all(word.startswith("HTXDATA_") for word in settings)
    options = parser().parse_args(words)
    assert options.run is not None
    assert name in words


def test_the_example_commands_work_against_the_sandbox(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """plan and snapshot, as their help shows them, with the sandbox's port in the place of 8790."""
    for name in ("plan", "snapshot"):
        example = (commands()[name].epilog or "").partition("example:\n")[2].replace("\\\n", " ")
        words = shlex.split(example)
        setting, _, value = words[0].partition("=")
        monkeypatch.setenv(setting, value.replace("8790", str(sandbox.port)))
        assert main(words[words.index("htxdata") + 1 :]) == 0
        capsys.readouterr()


def test_help_names_every_command_and_the_version_is_said(capsys: Captured) -> None:
    """``htxdata --help`` lists all commands with what they do; ``--version`` prints it."""
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"    {name} " in said for name in commands())
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("htxdata 0.")


# ---------------------------------------------------------------------------------------- plan and backfill


def test_plan_says_what_a_backfill_would_ask_and_asks_nothing(
    config: Path, sandbox: Sandbox, capsys: Captured
) -> None:
    """Spans, source, requests, rows and minutes, as text and as JSON; afterwards nothing has been sent or made."""
    asked = len(sandbox.requests)
    assert main(["plan", *FILLED[1:]]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "klines htx-spot bmtusdt 60min" in said.out
    assert "48 rows at most" in said.out
    assert main(["plan", *FILLED[1:], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["total"] == {
        "series": 1, "partitions": 1, "requests": 1, "files": 0, "bytes": 0, "rows": 48, "minutes": 0.0
    }  # fmt: skip
    assert answer["spans"] == [
        {"dataset": "klines", "venue": "htx-spot", "symbol": "bmtusdt", "period": "60min", "start": f"{DAY1}T00:00:00Z",
         "end": f"{DAY3}T00:00:00Z", "source": "rest", "partition": "2025"}
    ]  # fmt: skip
    assert (len(sandbox.requests), Path("lake").exists()) == (asked, False)


def test_backfill_fills_the_lake_and_says_so_on_stderr_only(
    config: Path, sandbox: Sandbox, capsys: Captured
) -> None:
    """stdout is empty, stderr has the account, the lake the market's candles; again, and nothing changes."""
    assert main(FILLED) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "48 rows added in 1 partition" in said.err
    assert assert_candles("lake", sandbox, Series("klines", "htx-spot", "bmtusdt", "60min"), DAY1, DAY3) == 48
    before = files(Path("lake"))
    assert main(FILLED) == 0
    assert files(Path("lake")) == before
    assert "0 rows added in 0 partitions, 0 requests" in capsys.readouterr().err
    assert main(["plan", *FILLED[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["requests"] == 0


def test_symbols_and_periods_are_given_once_per_value_and_take_globs(config: Path, capsys: Captured) -> None:
    """Two symbols of any spelling and a glob of periods are four series."""
    words = ["--symbol", "BmtUsdt", "--symbol", "peP*", "--period", "?0min", "--start", DAY1, "--end", DAY3]
    assert main(["backfill", "klines", "--venue", "htx-spot", *words]) == 0
    capsys.readouterr()
    assert main(["coverage", "--json"]) == 0
    found = [(e["symbol"], e["period"], e["rows"]) for e in json.loads(capsys.readouterr().out)]
    assert found == [
        ("bmtusdt", "30min", 96),
        ("bmtusdt", "60min", 48),
        ("pepeusdt", "30min", 96),
        ("pepeusdt", "60min", 48),
    ]


def test_sync_keeps_every_keep_up_to_date_and_plan_without_dataset_says_what_it_would_do(
    config: Path, sandbox: Sandbox, capsys: Captured
) -> None:
    """Both [[keep]] are filled up to now; the second time next to nothing is asked."""
    assert main(["snapshot", "instruments", "--venue", "htx-spot"]) == 0
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == ""
    days = stored("lake", Series("klines", "htx-spot", "bmtusdt", "1day"))["open_time"]
    assert time.time() * 1e6 - days[-1] < 3 * 86_400e6
    assert_candles(
        "lake", sandbox, Series("klines", "htx-spot", "bmtusdt", "1day"), "2025-06-01", days[-1] + 1
    )
    asked = len(sandbox.requests)
    assert main(["sync"]) == 0
    # Two lists and the tails: three of them; a tail without a funding, as in the first minute of an hour, is looked at
    # again, by halves.
    assert len(sandbox.requests) - asked <= 16
    assert main(["plan", "--json"]) == 0
    total = json.loads(capsys.readouterr().out)["total"]
    assert (total["series"], total["rows"] < 10) == (2, True)


def test_an_incomplete_run_ends_with_3_and_says_what_is_missing_and_why(
    sandbox: Sandbox, capsys: Captured, tmp_path: Path
) -> None:
    """A reply breaks its rules: exit code 3, the span and the reason on stderr; the next run ends with 0."""
    faults = Faults(Rule("garbage", mode="nan", path="*candles", times=1))
    with Sandbox(seed=21, limits=False, faults=faults) as broken:
        name = str(configuration(broken, tmp_path))
        assert main(["--config", name, *FILLED]) == 3
        said = capsys.readouterr()
        assert said.out == ""
        assert f"missing: klines htx-spot bmtusdt 60min [{DAY1}T00:00:00Z, {DAY3}T00:00:00Z): " in said.err
        assert "quarantine" in said.err
        assert "incomplete: 1 span is missing" in said.err
        assert main([*FILLED, "--config", name]) == 0


def test_what_is_unobtainable_is_said_every_time_and_is_complete(config: Path, capsys: Captured) -> None:
    """Linear candles of 2022 are served no more: exit code 0, and stderr names the span, also the second time."""
    words = ["backfill", "klines", "--venue", "htx-linear", "--symbol", "BTC-USDT", "--period", "1day",
             "--start", "2022-01-01", "--end", "2022-02-01"]  # fmt: skip
    for _ in range(2):
        assert main(words) == 0
        assert (
            "unobtainable: klines htx-linear BTC-USDT 1day [2022-01-01T16:00:00Z, " in capsys.readouterr().err
        )


# --------------------------------------------------------------------------------- snapshot and coverage


def test_snapshot_goes_on_where_one_venue_gives_no_list(capsys: Captured, tmp_path: Path) -> None:
    """The spot list is garbage: exit code 3, and the other venues' instruments are stored all the same."""
    with Sandbox(
        seed=21, limits=False, faults=Faults(Rule("garbage", mode="types", path="*symbols"))
    ) as broken:
        assert main(["--config", str(configuration(broken, tmp_path)), "snapshot", "instruments"]) == 3
    said = capsys.readouterr()
    assert (said.out, "instruments of htx-spot" in said.err, "htx-linear: " in said.err) == ("", True, True)
    symbols = (tmp_path / "lake/instruments").glob("venue=*/symbol=*")
    others = {f"venue={venue.name}" for venue in VENUES if venue.name != "htx-spot"}
    assert {path.parent.name for path in symbols} == others


def test_snapshot_of_open_interest(config: Path, capsys: Captured) -> None:
    """One row for each contract that the glob means and that trades; nothing on stdout, exit code 0."""
    assert main(["snapshot", "open_interest", "--venue", "htx-linear", "--symbol", "ETH-*"]) == 0
    said = capsys.readouterr()
    assert (said.out, "open_interest of 1 of 1 instruments" in said.err, "1 new rows" in said.err) == ("", True, True)
    (row,) = zip(*stored("lake", Series("open_interest", "htx-linear", "ETH-USDT")).values(), strict=True)
    assert main(["query", "select symbol, contracts, volume, value, source from open_interest", "--format", "csv"]) == 0
    (found,) = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    values = tuple(float(found[name]) for name in ("contracts", "volume", "value"))
    assert (found["symbol"], values, found["source"]) == ("ETH-USDT", row[1:4], "rest")


def test_snapshot_of_prices(config: Path, capsys: Captured) -> None:
    """Those of the perpetuals that the glob means; the view has them; what `serve` looks at is nothing to plan."""
    for dataset, columns in (("mark_prices", "price_time"), ("index_prices", "observed_at, average_price")):
        assert main(["snapshot", dataset, "--venue", "hashkey", "--symbol", "btc*"]) == 0
        said = capsys.readouterr()
        assert (said.out, f"hashkey: {dataset} of 1 of 1 instruments" in said.err) == ("", True)
        rows = stored("lake", Series(dataset, "hashkey", "BTCUSDT-PERPETUAL"))
        words = ["query", f"select symbol, price, source, {columns} from {dataset}", "--format", "csv"]
        assert main(words) == 0
        (found,) = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [found["symbol"], float(found["price"]), found["source"]] == [
            "BTCUSDT-PERPETUAL", rows["price"][0], "rest"
        ]  # fmt: skip
    more = KEEPS + '\n[[keep]]\nvenue = "hashkey"\ndataset = "mark_prices"\nsymbols = ["*"]\nevery = "1m"\n'
    config.write_text(config.read_text().replace(KEEPS, more))
    assert main(["snapshot", "instruments", "--venue", "htx-spot", "--venue", "htx-linear"]) == 0
    capsys.readouterr()
    assert main(["plan", "--json"]) == 0
    assert "hashkey" not in capsys.readouterr().out


def test_snapshot_says_what_gave_no_answer(capsys: Captured, tmp_path: Path) -> None:
    """One contract's answers cannot be read: exit code 3, the reason is said, the others are stored."""
    rules = [Rule("garbage", mode="value", path=path, symbol=symbol)
             for path, symbol in (("/v5/*", "ETH-USDT"), ("*swap_open_interest", "*"))]  # fmt: skip
    with Sandbox(seed=21, limits=False, faults=Faults(*rules)) as broken:
        words = ["--config", str(configuration(broken, tmp_path)), "snapshot", "open_interest"]
        assert main([*words, "--symbol", "ETH-USDT", "--symbol", "BTC-USDT"]) == 3
    said = capsys.readouterr()
    assert (said.out, "open_interest of 1 of 2 instruments" in said.err) == ("", True)
    assert "missing: open_interest htx-linear ETH-USDT: /v5/market/open_interest: row 0" in said.err
    assert {path.name for path in (tmp_path / "lake/open_interest/venue=htx-linear").iterdir()} == {"symbol=BTC-USDT"}


def test_coverage_shows_every_series_with_its_holes(filled: Path, capsys: Captured) -> None:
    """From, to, rows and verdicts; what lies between two spans is missing."""
    assert main([*BACKFILL[:-1], "2025-07-10", "--end", "2025-07-11"]) == 0
    capsys.readouterr()
    assert main(["coverage", "klines", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["from"], entry["to"], entry["rows"]) == (f"{DAY1}T00:00:00Z", "2025-07-11T00:00:00Z", 72)
    assert [(s["start"][:10], s["end"][:10], s["verdict"], s["rows"]) for s in entry["spans"]] == [
        ("2025-07-01", "2025-07-03", "present", 48),
        ("2025-07-03", "2025-07-10", "missing", 0),
        ("2025-07-10", "2025-07-11", "present", 24),
    ]
    assert main(["coverage", "--symbol", "bmt*", "--period", "60min", "--venue", "htx-spot"]) == 0
    said = capsys.readouterr()
    assert (said.err, "present, 1 hole" in said.out, "missing" in said.out) == ("", True, True)


def test_coverage_of_nothing_is_an_empty_answer(config: Path, capsys: Captured) -> None:
    """An empty lake: valid JSON, or a sentence on stderr."""
    assert main(["coverage", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["coverage"]) == 0
    said = capsys.readouterr()
    assert (said.out, "nothing of that kind" in said.err) == ("", True)
    assert not Path("lake").exists()


# ------------------------------------------------------------------------------------------------ query


def test_query_answers_as_table_csv_json_and_parquet(
    config: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The same rows in four spellings, to stdout or into a file; instants are ISO 8601 UTC."""
    assert main(FILLED) == 0
    sql = "select open_time, close, trade_count, sum(trade_count) over () as total from klines order by 1 limit 2"
    rows = stored("lake", Series("klines", "htx-spot", "bmtusdt", "60min"))
    assert capfdbinary.readouterr().out == b""
    assert main(["query", sql]) == 0
    assert b"2025-07-01T01:00:00Z" in capfdbinary.readouterr().out
    assert main(["query", sql, "--format", "json"]) == 0
    answer = json.loads(capfdbinary.readouterr().out)
    assert [row["close"] for row in answer] == rows["close"][:2]
    assert answer[0]["total"] == sum(rows["trade_count"])
    assert main(["query", sql, "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert [(r["open_time"], float(r["close"])) for r in table] == [
        ("2025-07-01T00:00:00Z", rows["close"][0]), ("2025-07-01T01:00:00Z", rows["close"][1]),
    ]  # fmt: skip
    assert main(["query", sql, "--format", "parquet", "--output", "out.parquet"]) == 0
    assert capfdbinary.readouterr().out == b""
    assert pq.read_table("out.parquet")["close"].to_pylist() == rows["close"][:2]
    assert [path.name for path in Path.cwd().glob("*.tmp")] == []


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("select 1 as a, 2 as a", [{"a": 1, "a_2": 2}]),
        ("select [1, 2] as a, {'x': 1.5} as b", [{"a": [1, 2], "b": {"x": 1.5}}]),
        ("select null as a, 'ü' as b, true as c", [{"a": None, "b": "ü", "c": True}]),
        ("select 'nan'::double as a", [{"a": None}]),
        ("select 1.25::decimal(5,2) as a, 170141183460469231731687303715884105727::hugeint as b",
         [{"a": 1.25, "b": 170141183460469231731687303715884105727}]),
        ("select date '2024-01-05' as a, interval 3 days as b", None),
        ("select count(*) as n from kline_revisions", [{"n": 0}]),
        ("select * from funding_rates", []),
    ],
)  # fmt: skip
def test_every_kind_of_value_comes_out_in_every_format(
    config: Path, capfdbinary: pytest.CaptureFixture[bytes], sql: str, answer: object
) -> None:
    """Columns of one name, lists, structs, decimals, dates, on an empty lake: no format trips over them."""
    for form in ("table", "csv", "json"):
        assert main(["query", sql, "--format", form]) == 0
        out = capfdbinary.readouterr().out
        if form == "json":
            assert answer is None or json.loads(out) == answer


# -------------------------------------------------------------------------------------------- bad input

SPOT = [
    "backfill",
    "klines",
    "--venue",
    "htx-spot",
    "--symbol",
    "bmtusdt",
    "--period",
    "60min",
    "--start",
    DAY1,
]


def swap(option: str, value: str) -> list[str]:
    words = list(SPOT)
    words[words.index(option) + 1] = value
    return words


WRONG = [
    (swap("--venue", "htx-sopt"), ["--venue", "'htx-sopt'", "htx-spot", "htx-linear"]),
    (["backfill", "candles", *SPOT[2:]], ["'candles'", "klines"]),
    (["backfill", "instruments", *SPOT[2:]], ["instruments of htx-spot cannot be", "snapshot instruments", "klines"]),
    (["backfill", "quotes", *SPOT[2:]],
     ["quotes of htx-spot cannot be", "capture --feed quotes", "klines, own_account_updates, own_fills"]),
    (["backfill", "funding_rates", *SPOT[2:]], ["funding_rates of htx-spot", "htx-linear"]),
    (swap("--period", "2min"), ["--period", "'2min'", "1min", "5min"]),
    (swap("--period", "9*"), ["--period", "'9*'", "1min"]),
    (SPOT[:6] + SPOT[8:], ["--period", "1min"]),
    (swap("--symbol", "bmtusd"), ["--symbol", "'bmtusd'", "did you mean", "bmtusdt"]),
    (swap("--symbol", "zzz*"), ["--symbol", "'zzz*'", "none of the"]),
    (swap("--start", "2025-99-01"), ["--start", "'2025-99-01'", "ISO 8601"]),
    (swap("--start", "2199-01-01"), ["--start", "'2199-01-01'", "future"]),
    ([*SPOT, "--end", DAY1], ["--end", f"'{DAY1}'", "empty"]),
    ([*SPOT, "--end", "2025-06-01"], ["--end", "'2025-06-01'", "not after"]),
    ([*SPOT, "--end", "2199-01-01"], ["--end", "'2199-01-01'", "future"]),
    ([*SPOT, "--frm", "x"], ["--frm"]),
    (SPOT[:-2], ["--start"]),
    (["frobnicate"], ["frobnicate", "backfill"]),
    ([], ["COMMAND"]),
    (["--config", "nowhere.toml", "coverage"], ["'nowhere.toml'"]),
    (["coverage", "--venue", "htx-sopt"], ["--venue", "'htx-sopt'"]),
    (["audit", "--start", DAY1, "--end", "2025-06-01"], ["--end", "'2025-06-01'", "not after"]),
    (["audit", "--start", "2199-01-01"], ["--start", "'2199-01-01'", "future"]),
    (["report", "--start", "2199-01-01"], ["--start", "'2199-01-01'", "future"]),
    (["distil", "--feed", "ticks"], ["--feed", "'ticks'", "trades", "liquidations"]),
    (["distil", "--venue", "htx-spot", "--feed", "funding"], ["--feed", "'funding'", "htx-spot has trades"]),
    (["coverage", "kline"], ["'kline'", "klines"]),
    (["coverage", "--period", "2min"], ["--period", "'2min'"]),
    (["plan", "klines"], ["--venue"]),
    (["plan", "--venue", "htx-spot"], ["--venue", "DATASET"]),
    (["snapshot", "trades"], ["'trades'", "instruments"]),
    (["snapshot", "instruments", "--venue", "htx"], ["--venue", "'htx'"]),
    (["snapshot", "open_interest", "--venue", "htx-spot"], ["--venue", "'htx-spot'", "htx-linear"]),
    (["snapshot", "open_interest", "--symbol", "BTC-USDX"], ["--symbol", "'BTC-USDX'", "BTC-USDT"]),
    (["snapshot", "mark_prices", "--symbol", "btcusdt"], ["--symbol", "'BTCUSDT'", "mark_prices of other instruments"]),
    (["plan", "mark_prices", "--venue", "hashkey", "--symbol", "*", "--start", DAY1], ["htxdata snapshot mark_prices"]),
    (["snapshot", "instruments", "--venue", "htx-spot", "--symbol", "btcusd"], ["--symbol", "'btcusd'"]),
    (["query", "selct 1"], ["SQL", "selct"]),
    (["query", "select * from ticks"], ["ticks"]),
    (["query", "select nothing from klines"], ["nothing"]),
    (["query", "select error('late')"], ["late"]),
    (["query", "select cast('x' as int)"], ["x"]),
    (["query", "create table t as select 1"], ["read-only"]),
    (["query", "copy (select 1) to 'out.csv'"], ["read-only"]),
    (["query", "attach 'x.db'"], ["read-only"]),
    (["query", "install httpfs"], ["read-only"]),
    (["query", "select 1; select 2"], ["one statement"]),
    (["query", ""], ["one statement"]),
    (["query", "select * from read_csv('htxdata.toml')"], []),
    (["query", "select 1", "--format", "xml"], ["--format", "xml", "parquet"]),
    (["query", "select 1", "--output", "no/such/folder/f.csv"], ["--output", "'no/such/folder/f.csv'"]),
    (["query", "select 1", "--output", "."], ["--output", "'.'"]),
    (["sandbox", "--port", "70000"], ["--port", "70000", "65535"]),
    (["sandbox", "--port", "http"], ["--port", "http"]),
    (["sandbox", "--port", "0", "--faults", "strom"], ["--faults", "'strom'", "storm"]),
    (["sandbox", "--port", "0", "--replay", "nowhere"], ["--replay", "'nowhere'"]),
    (["sandbox", "--seed", "x"], ["--seed", "x"]),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words)[-60:] for words, _ in WRONG])
def test_wrong_usage_ends_with_2_and_one_sentence(
    config: Path, capsys: Captured, words: list[str], said: list[str]
) -> None:
    """Exit code 2, nothing on stdout, no traceback, and a sentence with the option, the value and what is allowed."""
    assert main(words) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    last = answer.err.strip()
    assert last.startswith("htxdata: ")
    assert "Traceback" not in last
    assert [part for part in said if part not in last] == []
    assert not Path("out.csv").exists()
    assert not Path("lake").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lake = ", ["htxdata.toml", "not valid TOML"]),
        ('laek = "x"', ["htxdata.toml", "unknown key", "'laek'", "lake"]),
        ('[hosts]\nhtx_sopt_rest = "http://x"', ["[hosts]", "'htx_sopt_rest'", "htx_spot_rest"]),
        ('[hosts]\nhtx_spot_rest = "example.com"', ["hosts.htx_spot_rest", "'example.com'"]),
        ("[budgets]\nhtx_spot_rest = 0", ["budgets.htx_spot_rest", "above 0"]),
        ('[[keep]]\nvenue = "htx-spot"', ["[[keep]]", "dataset"]),
        ('[[keep]]\nvenu = "htx-spot"', ["'venu'", "venue"]),
        ('HTX_SECRET_KEY = "abc"', ["htxdata.toml"]),
        ('lake = "gs://bucket/lake"', ["lake", "'gs://bucket/lake'", "s3://bucket/prefix"]),
        ('lake = "s3://a/lake"', ["lake", "'s3://a/lake'", "no name of a bucket"]),
        ('lake = "htxdata.toml"', ["lake", "'htxdata.toml'", "file"]),
        ('lake = "htxdata.toml/deeper"', ["htxdata.toml"]),
        ('lake = "/proc/lake"', ["/proc/lake"]),
    ],
)
def test_a_bad_configuration_ends_with_2_and_names_the_culprit(
    sandbox: Sandbox, capsys: Captured, monkeypatch: pytest.MonkeyPatch, text: str, said: list[str]
) -> None:
    """Broken TOML, an unknown key, a bad value, a secret in the file, a lake that cannot be one."""
    Path("htxdata.toml").write_text(text + "\n")
    if text.startswith("lake ="):
        for key, base in sandbox.hosts.items():
            monkeypatch.setenv(f"HTXDATA_HOSTS__{key.upper()}", base)
        monkeypatch.setenv("HTXDATA_TAPE", "tape")
    assert main(FILLED) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert "Traceback" not in answer.err
    assert "abc" not in answer.err
    assert [part for part in said if part not in answer.err] == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("HTXDATA_HOSTS__HTX_SOPT_REST", "http://x", ["HTXDATA_HOSTS__HTX_SOPT_REST", "htx_spot_rest"]),
        ("HTXDATA_BUDGETS__HTX_SPOT_REST", "many", ["htx_spot_rest", "'many'"]),
        ("HTXDATA_CONFIG", "nowhere.toml", ["nowhere.toml"]),
        ("HTXDATA_KEEP", "[[", ["HTXDATA_KEEP"]),
        ("HTXDATA_LAKE", "gs://bucket", ["'gs://bucket'"]),
        ("HTXDATA_LAKE", "", ["lake"]),
    ],
)
def test_a_bad_environment_ends_with_2_and_names_the_variable(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: list[str]
) -> None:
    """A wrong variable is a usage error like a wrong key."""
    monkeypatch.setenv(name, value)
    assert main(["coverage"]) == 2
    answer = capsys.readouterr()
    assert (answer.out, [part for part in said if part not in answer.err]) == ("", [])


def test_sync_and_plan_without_keep_say_what_to_write(sandbox: Sandbox, capsys: Captured) -> None:
    """Nothing to keep up to date is a usage error that names the file and the table."""
    configuration(sandbox, Path.cwd())
    for words in (["sync"], ["plan"]):
        assert main(words) == 2
        assert "[[keep]]" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: Captured) -> None:
    """Somebody else listens there: exit code 2 with the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["sandbox", "--port", str(port)]) == 2
    answer = capsys.readouterr()
    assert (answer.out, f"--port {port}" in answer.err) == ("", True)


def test_a_faults_file_that_is_wrong_is_named(capsys: Captured) -> None:
    """An unknown kind, a broken file: exit code 2 with the file."""
    for text in ('[[rule]]\nkind = "earthquake"', "[[rule]", "seed = []"):
        Path("faults.toml").write_text(text)
        assert main(["sandbox", "--port", "0", "--faults", "faults.toml"]) == 2
        assert "--faults 'faults.toml'" in capsys.readouterr().err


def test_an_unreachable_host_ends_with_3_and_is_named(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens: six attempts (15.5 s at the very most, nothing here, where the dice say no waiting), then exit
    code 3 and a sentence with the host and the reason."""
    monkeypatch.setattr(session_room, "Client", functools.partial(Client, jitter=lambda: 0.0))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HTXDATA_HOSTS__HTX_SPOT_REST", f"http://127.0.0.1:{port}")
    with Watch() as watch:
        assert main(FILLED) == 3
    answer = capsys.readouterr()
    assert watch.seconds < 5
    assert f"127.0.0.1:{port}" in answer.err
    assert "refused" in answer.err.lower()
    assert (answer.out, "Traceback" in answer.err) == ("", False)
    series = " ".join(("klines", FILLED[3], FILLED[5], FILLED[7]))
    assert f"missing: {series} [" in answer.err


def test_a_damaged_partition_is_named_and_nothing_is_overwritten(filled: Path, capsys: Captured) -> None:
    """A file of the lake that cannot be read: exit code 1, its name, and the file as it is."""
    (newest,) = Path("lake").rglob(".g*.pq")
    newest.write_bytes(b"PAR1 no more")
    for words in (["coverage"], FILLED, ["query", "select * from klines"]):
        assert main(words) == 1
        assert newest.name in capsys.readouterr().err
    assert newest.read_bytes() == b"PAR1 no more"


def test_a_dash_is_stdout(config: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """As in other commands: of an answer, and of the views."""
    assert main(["query", "select 1 as a", "--format", "csv", "--output", "-"]) == 0
    assert capsysbinary.readouterr().out == b'"a"\n1\n'
    assert main(["query", "--print-views", "--output", "-"]) == 0
    assert b"klines" in capsysbinary.readouterr().out
    assert not Path("-").exists()


def test_the_views_can_be_made_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--print-views` is SQL that a DuckDB of one's own takes; with a statement beside it, it is refused."""
    import duckdb

    with Sandbox(limits=False) as sandbox:
        config = ["--config", str(configuration(sandbox, tmp_path))]
        words = ["--venue", "htx-spot", "--symbol", "btcusdt", "--period", "60min", "--start", "2024-01-01"]
        assert main([*config, "backfill", "klines", *words, "--end", "2024-01-03"]) == 0
    capsys.readouterr()
    assert main([*config, "query", "--print-views"]) == 0
    with duckdb.connect() as foreign:
        foreign.execute(capsys.readouterr().out)
        assert foreign.sql("select count(*) from klines").fetchall() == [(48,)]
    assert main([*config, "query", "--print-views", "select 1"]) == 2
    assert main([*config, "query"]) == 2
    assert "query takes one SQL statement, or --print-views" in capsys.readouterr().err
