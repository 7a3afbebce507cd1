"""Where partitions lie, and that every reader finds the way back."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import UsageError
from htxdata.market import PERIODS, Series
from htxdata.schema import DATASETS
from htxdata.store import Partition, Store, layout
from htxdata.timeline import Window, label_of, window_of
from tests.store.build import JANUARY, T0, candles

SYMBOLS = [
    "BTC-USDT", "btcusdt", "BTCUSDT", "a/b", "a%b", "a%2Fb", "a=b", "..", ".", "", "合约", "a b", "1inch", "0123",
    "a+b", "a?b*[c]", "A", "a", "a\\b", "x:y", "NULL", "null", "true", "2024-01-01", "a'b", 'a"b', "a\nb", "_x", "__",
    "__HIVE_DEFAULT_PARTITION__", "é", "e\u0301", "/etc/passwd", "symbol=x",
]  # fmt: skip

texts = st.text(max_size=20) | st.sampled_from(SYMBOLS)


@st.composite
def partitions(draw: st.DrawFn) -> Partition:
    declared = draw(st.sampled_from([each for each in DATASETS if each.stored]))
    period = draw(st.sampled_from(list(PERIODS))) if declared.has_period else None
    label = label_of(declared.grain(period), draw(st.integers(0, 4_000_000_000_000_000)))
    return Partition(declared.name, draw(texts), draw(texts), period, label)


@given(partitions())
def test_a_folder_says_its_partition(partition: Partition) -> None:
    """Partition to folder and back is the identity, and the folder cannot leave the lake."""
    folder = partition.folder
    assert layout.parse(folder) == partition
    parts = folder.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert os.path.normpath(folder) == folder
    assert folder.isascii()


@given(texts, texts)
def test_two_symbols_never_share_a_folder(one: str, other: str) -> None:
    assert (layout.encode(one) == layout.encode(other)) == (one == other)


def test_the_plain_case_reads_plainly() -> None:
    assert JANUARY.folder == "klines/venue=htx-linear/symbol=BTC-USDT/period=1min/cell=2024-01"
    assert Partition("funding_rates", "htx-linear", "X", None, "2024").folder.endswith("symbol=X/cell=2024")


@pytest.mark.parametrize(
    "folder",
    [
        "klines/venue=v/symbol=x/cell=2024-01", "klines/venue=v/symbol=x/period=1min/cell=2024",
        "klines/venue=v/symbol=x/period=7min/cell=2024", "klines/venue=v/symbol=x/period=1min/cell=2024-1",
        "klines/venue=v/symbol=x/period=1min/cell=2024-13", "nope/venue=v/symbol=x/cell=2024",
        "funding_rates/venue=v/symbol=x/period=1min/cell=2024", "klines/venue=v/symbol=a.b/period=1min/cell=2024-01",
        "klines/venue=v/symbol=%2f/period=1min/cell=2024-01", "coverage/venue=v/symbol=x/cell=2024",
        "klines/venue=v/symbol=%FF/period=1min/cell=2024-01",
    ],
)  # fmt: skip
def test_other_folders_are_nobodys(folder: str) -> None:
    with pytest.raises(ValueError):
        layout.parse(folder)


@given(st.integers(0, 2_000_000_000_000_000), st.integers(0, 40_000_000_000_000))
def test_partitions_tile_a_window(start: int, length: int) -> None:
    window = Window(start, start + length)
    found = layout.partitions(Series("klines", "v", "s", "1min"), window)
    assert (len(found) == 0) == (length == 0)
    for one, after in itertools.pairwise(found):
        assert one.window.end == after.window.start
    if found:
        assert found[0].window.start <= start < found[0].window.end
        assert found[-1].window.start < window.end <= found[-1].window.end
        assert found[0] == layout.partition_of(found[0].series, start)
        assert found[0].window == window_of("month", found[0].label)


def test_a_series_must_fit_its_dataset() -> None:
    with pytest.raises(UsageError, match="needs a period"):
        layout.folder_of(Series("klines", "v", "s"))
    with pytest.raises(UsageError, match="has no periods"):
        layout.folder_of(Series("funding_rates", "v", "s", "1min"))
    with pytest.raises(UsageError, match="too long"):
        layout.encode("约" * 100)


def test_every_reader_decodes_every_symbol(tmp_path: Path) -> None:
    """DuckDB, Polars and pyarrow find the symbol that was stored, by their own hive parsing."""
    store = Store(tmp_path)
    for place, symbol in enumerate(SYMBOLS):
        store.commit(Partition("klines", "v", symbol, "1min", "2024-01"), candles([place]))
    glob = f"{tmp_path}/klines/**/*.parquet"
    typed = "hive_types={'symbol': VARCHAR, 'venue': VARCHAR, 'period': VARCHAR}"
    rows = duckdb.sql(f"SELECT epoch_us(open_time), symbol FROM read_parquet('{glob}', {typed})").fetchall()
    want = {T0 + place * 60_000_000: symbol for place, symbol in enumerate(SYMBOLS)}
    assert dict(rows) == want
    frame = pl.scan_parquet(glob, hive_partitioning=True, try_parse_hive_dates=False).collect()
    seen = dict(zip(frame["open_time"].dt.epoch("us"), frame["symbol"], strict=True))
    null = want | {
        T0 + SYMBOLS.index("__HIVE_DEFAULT_PARTITION__") * 60_000_000: None
    }  # however it is encoded
    assert seen == null
    table = ds.dataset(f"{tmp_path}/klines", partitioning="hive", format="parquet").to_table()
    assert (
        dict(zip(table["open_time"].cast("int64").to_pylist(), table["symbol"].to_pylist(), strict=True))
        == null
    )
    assert {series.symbol for series in store.series()} == set(SYMBOLS)
    assert store.read(Partition("klines", "v", "a%2Fb", "1min", "2024-01")).num_rows == 1  # type: ignore[union-attr]
