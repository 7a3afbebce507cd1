"""Symbols that are no names of files, of folders or of anything decent: they stay symbols, in every room."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import duckdb
import polars as pl
import pytest

from htxdata.cli import main
from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.protocol.wire import Request
from htxdata.research.lake import Lake
from htxdata.store import Partition, Store
from htxdata.store.quarantine import set_aside
from htxdata.transport.http import target_of
from htxdata.transport.spool import Spool
from tests.store.build import JANUARY, asked, candles, closes

SYMBOLS = [
    "../../etc/passwd", "..", ".", "/", "/etc/passwd", "a/b", "a\\b", "a=b", "a%2Fb", "%", "%%", "%00",
    "a\x00b", "a\nb", "a\r\nb",
    "币安人生usdt", "é", "e\u0301", "🙂", "\u202eusdt", " ", " a ", "-rf", "--help", "*", "BTC-*", "?", "[a]",
    "NULL", "null",
    "__HIVE_DEFAULT_PARTITION__", "_a", ".a", "a'b", "a''b", 'a"b', "'; DROP TABLE klines; --", "' OR 1=1 --",
    "$1", "{x}",
    "a;b", "a,b", "<script>alert(1)</script>", "&amp;", "${HOME}", "`id`", "\ufeff", "\x7f", "CON",
    "a" * 79, "币" * 26,
]  # fmt: skip


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: ascii(symbol[:20]))
def test_a_symbol_stays_within_the_lake_and_is_read_back_as_it_is(tmp_path: Path, symbol: str) -> None:
    """Stored, found by its exact text, read through SQL and by foreign readers; nothing lies outside, and no other row
    is hit by it."""
    store = Store(tmp_path / "in" / "lake")
    partition = Partition("klines", "htx-spot", symbol, "1min", JANUARY.label)
    store.commit(partition, candles([1, 2], close=2.5), [asked(0, 3)])
    store.commit(JANUARY, candles([7]), [asked(7, 8)])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["lake"]
    series = Series("klines", "htx-spot", symbol, "1min")
    assert store.partitions(series) == [partition]
    assert closes(store.read(partition)) == {1: 2.5, 2: 2.5}
    with Lake(store.root) as lake:
        assert lake.sql("SELECT DISTINCT symbol FROM klines WHERE venue = 'htx-spot'").fetchall() == [
            (symbol,)
        ]
        quoted = symbol.replace("'", "''")
        assert lake.answer(f"SELECT count(*) AS n FROM klines WHERE symbol = '{quoted}'").to_pydict() == {
            "n": [2]
        }
        assert len(lake.coverage("klines", venue="htx-spot").fetchall()) >= 1
    pattern = f"{store.root}/klines/**/part.parquet"
    rows = duckdb.sql(f"SELECT DISTINCT symbol FROM read_parquet('{pattern}', hive_partitioning = true, "
                      "hive_types_autocast = false) ORDER BY 1").fetchall()  # fmt: skip
    assert sorted(rows) == sorted([(symbol,), ("BTC-USDT",)])
    if symbol not in (
        "__HIVE_DEFAULT_PARTITION__",
    ):  # Polars decodes first, and reads NULL (store/layout.py)
        read = pl.read_parquet(pattern, hive_partitioning=True, try_parse_hive_dates=False)
        assert read.height == 3


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: ascii(symbol[:20]))
def test_a_symbol_cannot_break_out_of_a_request_a_quarantine_or_a_spool(tmp_path: Path, symbol: str) -> None:
    """One line of ASCII on the wire, which means the same symbol; one folder of ours on the disk."""
    target = target_of(Request("/market", (("symbol", symbol), ("size", "1"))))
    assert target.isascii()
    assert not set(target) & set(" \r\n\x00#")
    assert target.count("&") == 1
    assert unquote(target.partition("symbol=")[2].partition("&")[0].replace("+", " ")) == symbol
    place = tmp_path / "spool"
    path = Spool(place).path(f"data/{symbol}/{symbol}-1min.zip")
    assert path.resolve().parent == place.resolve()
    asks = str(Request("/x", (("symbol", symbol),)))
    set_aside(tmp_path / "tape", "htx-spot", "klines", asked=asks, body=b"{}", received_at=1, reason=symbol)
    assert {each.name for each in tmp_path.iterdir()} <= {"spool", "tape"}


@pytest.mark.parametrize("symbol", ["a" * 300, "币" * 90, "../" * 100])
def test_a_symbol_that_is_too_long_is_refused_before_anything_is_made(tmp_path: Path, symbol: str) -> None:
    """File systems end at 255 bytes: a sentence, no folder."""
    with pytest.raises(UsageError, match="too long"):
        Store(tmp_path / "lake").commit(
            Partition("klines", "htx-spot", symbol, "1min", JANUARY.label), candles([1]), [asked(0, 3)]
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("symbol", [*SYMBOLS, "a" * 300, "\udcff"], ids=lambda symbol: ascii(symbol[:20]))
def test_a_symbol_on_the_command_line_is_an_answer_or_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], symbol: str
) -> None:
    """`coverage` of a symbol that the lake has not, whatever it is: no traceback, nothing made."""
    config = tmp_path / "htxdata.toml"
    config.write_text(f'lake = "{tmp_path}/lake"\ntape = "{tmp_path}/tape"\n')
    assert main(["--config", str(config), "coverage", f"--symbol={symbol}"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["htxdata.toml"]
