"""`htxdata export`: names of files on stdout, holes and progress on stderr, exit codes as promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from htxdata.cli import main
from htxdata.research.feeds.engines import ENGINES
from htxdata.sandbox import Sandbox
from tests import truth


@pytest.fixture(autouse=True)
def our_lake(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTXDATA_LAKE", str(lake))


def export(engine: str, *more: str, symbol: str = "BTC-USDT", venue: str = "htx-linear") -> int:
    return main(["export", engine, "--venue", venue, "--symbol", symbol, "--output", "out", *more])


def test_files_are_named_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Complete: 0, the names and nothing else; a symbol in another case is the venue's."""
    assert export("backtrader", "--period", "1min", "--period", "7min", symbol="btc-usdt") == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["htx-linear_BTC-USDT_1min.csv", "htx-linear_BTC-USDT_7min.csv"]
    assert said.err == ""
    assert all(Path("out", name).stat().st_size for name in said.out.splitlines())


def test_holes_are_told_and_the_exit_code_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    """The files are written all the same, without the hour; --allow-holes accepts it, and still says so."""
    assert export("backtrader", symbol="WAVES-USDT") == 3
    said = capsys.readouterr()
    assert (
        "klines htx-linear WAVES-USDT 1min [2024-01-03T05:00:00Z, 2024-01-03T06:00:00Z): outage" in said.err
    )
    assert "incomplete: the files are written, but of 1 span the lake does not know" in said.err
    content = Path("out/htx-linear_WAVES-USDT_1min.csv").read_text()
    assert "2024-01-03 05:00:00" in content
    assert "2024-01-03 05:01:00" not in content
    assert "2024-01-03 06:00:00" not in content
    assert "2024-01-03 06:01:00" in content
    assert export("backtrader", "--allow-holes", symbol="WAVES-USDT") == 0
    assert "outage" in capsys.readouterr().err
    assert Path("out/htx-linear_WAVES-USDT_1min.csv").read_text() == content


def test_an_empty_slot_is_no_hole(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for and has no candle was not traded; fundings that nobody fetched are a hole, unless unwanted."""
    assert export("backtrader", symbol="MDX-USDT") == 3
    assert "--no-funding leaves fundings out" in capsys.readouterr().err
    assert export("backtrader", "--no-funding", symbol="MDX-USDT") == 0
    assert capsys.readouterr().err == ""


def test_a_range_beyond_the_lake_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for a day more than there is: that day is the hole."""
    assert export("backtesting.py", "--start", "2024-01-04", "--end", "2024-01-06", symbol="BTC-*") == 3
    assert "1min [2024-01-05T00:00:00Z, 2024-01-06T00:00:00Z): missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["zorro"], "'zorro' is not an engine: choose from backtesting.py, vectorbt"),
        (["lean", "--period", "5min"], "--period '5min': LEAN has files of 1min, 60min and utc_day"),
        (["zipline", "--period", "4hour"], "--period '4hour': zipline-reloaded has bars of 1min and utc_day"),
        (["qlib", "--period", "1week"], "period '1week': qlib means days of UTC"),
        (["vectorbt", "--period", "noon"], "period='noon' is not a period: choose from 1min"),
        (["hftbacktest", "--period", "1min"], "leave --period out"),
        (["backtrader", "--trades"], "in no file of ours; it is for nautilus_trader, freqtrade, lean"),
        (["hftbacktest", "--trades"], "--trades: hftbacktest takes trades beside its books, always"),
        (["qlib", "--latency", "5ms"], "--latency: qlib has no such clock"),
        (["hftbacktest", "--latency", "soon"], "--latency: 'soon' is not a span of time"),
        (["vectorbt", "--start", "soon"], "--start: 'soon' is not a time"),
        (["vectorbt", "--start", "2024-01-04", "--end", "2024-01-03"], "--end '2024-01-03' is not after --start"),
        (["vectorbt", "--start", "2199-01-01"], "--start '2199-01-01' lies in the future"),
        (["vectorbt", "--symbol", "XRP-USDT"], "no klines of it on htx-linear; it has BTC-USDT, ETH-USDT"),
        (["vectorbt", "--venue", "ftx"], "--venue 'ftx' is not a venue: choose from"),
        (["lean", "--venue", "htx-spot", "--symbol", "ETHUSDT"], "on htx-spot; it has btcusdt, pepeusdt"),
    ],
)  # fmt: skip
def test_wrong_usage_names_what_is_allowed(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one sentence, and no folder is made of it."""
    given = [] if "--symbol" in words else ["--symbol", "BTC-USDT"]
    given += [] if "--venue" in words else ["--venue", "htx-linear"]
    assert main(["export", *words, *given, "--output", "out"]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert not [path for path in Path("out").rglob("*") if path.is_file()]


def test_unwritable_output_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A file is no folder."""
    Path("out").write_text("")
    assert export("qlib") == 2
    assert "--output 'out' cannot be written" in capsys.readouterr().err


def test_what_an_instrument_is_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """Spot symbols have no dash to cut them at: the sentence names the command that asks the venue. Then it works.

    The whole way: backfill from a sandbox, snapshot, export, and the candles of the file are the market's.
    """
    import pyarrow.feather as feather

    with Sandbox(limits=False) as sandbox:
        file = truth.configuration(sandbox, tmp_path)
        monkeypatch.delenv("HTXDATA_LAKE")
        monkeypatch.setenv("HTXDATA_CONFIG", str(file))
        fill = ["--venue", "htx-spot", "--symbol", "btcusdt"]
        start, end = "2024-01-02T00:00", "2024-01-02T06:00"
        assert main(["backfill", "klines", *fill, "--period", "1min", "--start", start, "--end", end]) == 0
        words = ["export", "freqtrade", *fill, "--output", "out"]
        capsys.readouterr()
        assert main(words) == 2
        assert "run `htxdata snapshot instruments --venue htx-spot`" in capsys.readouterr().err
        assert main(["snapshot", "instruments", "--venue", "htx-spot"]) == 0
        capsys.readouterr()
        assert main(words) == 0
        assert capsys.readouterr().out == "BTC_USDT-1m.feather\n"
        table = feather.read_table("out/BTC_USDT-1m.feather")
        opens = (np.array(table["date"].cast("int64")) * 1000).tolist()
        known = sandbox.market.klines("htx-spot", "btcusdt", "1min", opens[0], opens[0] + 6 * 3600 * 10**6)
    assert len(table) == 360
    assert opens == known["open_time"].tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert table[name].to_pylist() == known[name].tolist()


def test_every_engine_is_in_the_documents() -> None:
    """The page has a row and a chapter for each, and the help names them all."""
    page = (Path(__file__).parents[3] / "docs" / "backtesters.md").read_text()
    for engine in ENGINES:
        assert f"| `{engine.name}` |" in page
        assert f"\n## {engine.name}\n" in page


def test_import_is_quick() -> None:
    """`from htxdata import feeds` loads neither DuckDB nor pandas nor an engine."""
    heavy = "{'duckdb', 'pandas', 'pyarrow', 'numpy'}"
    code = f"import sys; from htxdata import feeds; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
