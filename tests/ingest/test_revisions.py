"""What two sources say differently of one row is written down, once, and before anything is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import StoreError
from htxdata.ingest.revisions import keeper, note_differences
from htxdata.schema import DATASETS, dataset
from htxdata.schema.arrow import conform
from htxdata.store import Partition, Store, disk, open_lake, stream
from htxdata.timeline import from_datetime
from tests.store.build import D0, D_LATE, DAY_OF_TRADES, JANUARY, LATE, T0, candles, closes, trades
from tests.store.test_partition import snapshot

SPOT = DAY_OF_TRADES.series
DIFFERENCES = Partition("source_differences", SPOT.venue, SPOT.symbol, None, "2024-01")
MARKS = Partition("mark_klines", "htx-linear", "BTC-USDT", "5min", "2024")


def kept(store: Store, where: Partition = DIFFERENCES) -> list[dict[str, Any]]:
    table = store.read(where)
    return [] if table is None else table.to_pylist()


def brief(store: Store) -> list[tuple[str, str, Any, Any, str, str]]:
    names = ("row_key", "column_name", "kept", "dropped", "kept_source", "dropped_source")
    return [tuple(row[name] for name in names) for row in kept(store)]


def commit(store: Store, table: pa.Table, where: Partition = DAY_OF_TRADES) -> None:
    store.commit(where, table, [], on_replace=keeper(store, where))


def marks(close: float, source: str, received: int, minute: int = 5) -> pa.Table:
    return conform(
        dataset("mark_klines"),
        {"open_time": [T0 + minute * 60_000_000], "open": [1.0], "high": [9.0], "low": [0.5], "close": [close],
         "source": source, "received_at": [received]},
    )  # fmt: skip


def test_every_value_that_differs_is_a_row(tmp_path: Path) -> None:
    """Number, text and instant, with whose word is kept and whose was dropped, and when it was found."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0), (2, "12", 6.0), (3, "13", 7.0)], source="archive"))
    later = trades([(1, "11", 5.0), (2, "12", 6.5), (4, "13", 7.0)], source="rest", received=D_LATE + 7)
    sides = pa.array(["buy", "sell", "sell"])  # 11 is a sell
    commit(store, later.set_column(6, later.schema.field("side"), sides))
    at = {place: datetime.fromtimestamp((D0 + place * 1000) / 1e6, UTC) for place in (1, 2, 4)}
    same = {
        "dataset": "trades", "period": None, "kept_source": "rest", "dropped_source": "archive", "source": "rest",
        "found_at": datetime.fromtimestamp((D_LATE + 7) / 1e6, UTC),
        "received_at": datetime.fromtimestamp((D_LATE + 7) / 1e6, UTC),
    }  # fmt: skip
    nothing = dict.fromkeys(("kept", "dropped", "kept_text", "dropped_text"))
    assert kept(store) == [
        {**same, **nothing, "row_time": at[1], "row_key": "11", "column_name": "side",
         "kept_text": "buy", "dropped_text": "sell"},
        {**same, **nothing, "row_time": at[2], "row_key": "12", "column_name": "price", "kept": 6.5, "dropped": 6.0},
        {**same, **nothing, "row_time": at[4], "row_key": "13", "column_name": "trade_time",
         "kept_text": "2024-01-05T00:00:00.004Z", "dropped_text": "2024-01-05T00:00:00.003Z"},
    ]  # fmt: skip


def test_what_is_equal_or_only_on_one_side_is_no_difference(tmp_path: Path) -> None:
    """A value that one source does not say fills, and contradicts nothing."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0)], source="archive"))
    commit(store, trades([(1, "11", 5.0)], source="rest", received=D_LATE + 7, quote=[2.5]))
    commit(store, trades([(1, "11", 5.0)], source="archive", received=D_LATE + 8))
    assert kept(store) == []
    assert not (tmp_path / "source_differences").exists()


@pytest.mark.parametrize(
    ("coins", "contracts", "found"),
    [
        (0.0286042417, 3.0, []),  # ten decimals of what was computed
        (0.0286042417, None, ["quantity"]),  # coins that do not follow from contracts
        (0.02861, 3.0, ["quantity"]),
        (0.0286042417, 4.0, ["quantity", "contracts"]),
    ],
)
def test_coins_that_follow_from_the_same_contracts_may_be_rounded(
    tmp_path: Path, coins: float, contracts: float | None, found: list[str]
) -> None:
    """The archive's newer tree says contracts alone, REST the coins as it rounds them: no trade of a coin-margined
    contract is a contradiction for that."""
    store = Store(tmp_path)
    for quantity, count, source in ((0.0286042417230051, 3.0, "archive"), (coins, contracts, "rest")):
        table = trades([(1, "11", 5.0)], source=source, received=D_LATE)
        for name, value in (("quantity", quantity), ("contracts", count)):
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at), pa.array([value], pa.float64()))
        commit(store, table)
    assert sorted(row["column_name"] for row in kept(store)) == sorted(found)


def test_the_older_word_loses_whichever_comes_last(tmp_path: Path) -> None:
    """An archive file that was fetched before the REST page, and is committed after it, is what is dropped."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0)], source="rest", received=D_LATE + 7))
    commit(store, trades([(1, "11", 6.0)], source="archive", received=D_LATE))
    assert brief(store) == [("11", "price", 5.0, 6.0, "rest", "archive")]


def test_found_twice_is_written_once(tmp_path: Path) -> None:
    """Also where it is found later; a difference that is another one is another row."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0)], source="rest", received=D_LATE + 7))
    for again in range(3):
        commit(store, trades([(1, "11", 6.0)], source="archive", received=D_LATE + again))
        if not again:
            before = snapshot(tmp_path)
    assert snapshot(tmp_path) == before
    commit(store, trades([(1, "11", 6.5)], source="archive", received=D_LATE))
    assert brief(store) == [
        ("11", "price", 5.0, 6.0, "rest", "archive"),
        ("11", "price", 5.0, 6.5, "rest", "archive"),
    ]


def test_three_versions_at_once_are_two_differences(tmp_path: Path) -> None:
    """Heard in one moment and of one row: they stand a microsecond apart."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0), (1, "11", 6.0), (1, "11", 7.0)]))
    assert brief(store) == [
        ("11", "price", 6.0, 5.0, "archive", "archive"),
        ("11", "price", 7.0, 6.0, "archive", "archive"),
    ]


def test_candles_of_a_computed_price(tmp_path: Path) -> None:
    """Their period is a column; two periods that open at one time are told apart, and SQL can ask for either."""
    store = Store(tmp_path)
    day = Partition("mark_klines", MARKS.venue, MARKS.symbol, "1min", "2024-01")
    for where in (MARKS, day):
        commit(store, marks(1.5, "archive", LATE), where)
        commit(store, marks(1.75, "rest", LATE + 1), where)
    with open_lake(tmp_path) as lake:
        found = lake.sql(
            "select row_key, kept, dropped from source_differences where period = '5min' and dataset = 'mark_klines'"
        ).fetchall()
        assert found == [("5min 2024-01-01T00:05:00Z", 1.75, 1.5)]
        assert lake.table("source_differences", "BTC-USDT").aggregate("count(*)").fetchall() == [(2,)]


def test_candles_that_lose_stay_whole(tmp_path: Path) -> None:
    """Of klines the version goes to kline_revisions, and nothing to source_differences."""
    store = Store(tmp_path)
    commit(store, candles([1], 1.5, source="archive"), JANUARY)
    commit(store, candles([1], 2.5, received=LATE + 1), JANUARY)
    (row,) = kept(store, replace(JANUARY, dataset="kline_revisions"))
    assert (row["close"], row["source"]) == (1.5, "archive")
    assert not (tmp_path / "source_differences").exists()


def test_every_dataset_with_files_has_a_keeper(tmp_path: Path) -> None:
    """But the two that keep."""
    for entry in DATASETS:
        if entry.stored:
            where = Partition(entry.name, "v", "s", "1day" if entry.has_period else None, "2024")
            none = entry.name in ("kline_revisions", "source_differences")
            assert (keeper(Store(tmp_path), where) is None) == none


@contextmanager
def dying(where: str) -> Iterator[None]:
    """A process dies at the end of each commit to such folders."""
    publish = disk.publish

    def dies(folder: str, *rest: Any) -> Any:
        if where in folder:
            raise StoreError("died")
        return publish(folder, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "publish", dies)
        yield


def test_it_is_written_before_the_rows_are(tmp_path: Path) -> None:
    """A process that dies in between has noted what the next one finds again, and notes once."""
    store = Store(tmp_path)
    commit(store, trades([(1, "11", 5.0)], source="archive"))
    with dying("/trades/"), pytest.raises(StoreError, match="died"):
        commit(store, trades([(1, "11", 6.0)], source="rest", received=D_LATE + 1))
    table = store.read(DAY_OF_TRADES)
    assert table is not None
    assert table["price"].to_pylist() == [5.0]
    assert brief(store) == [("11", "price", 6.0, 5.0, "rest", "archive")]
    commit(store, trades([(1, "11", 6.0)], source="rest", received=D_LATE + 2))
    assert brief(store) == [("11", "price", 6.0, 5.0, "rest", "archive")]


def test_a_candle_that_lost_is_kept_once(tmp_path: Path) -> None:
    """A process that dies in between has kept the version; the next one, which hears of the new one later, keeps it no
    second time."""
    store, versions = Store(tmp_path), replace(JANUARY, dataset="kline_revisions")
    commit(store, candles([1, 2], 1.5), JANUARY)
    with dying("/klines/"), pytest.raises(StoreError, match="died"):
        commit(store, candles([1], 2.5, received=LATE + 1), JANUARY)
    assert closes(store.read(JANUARY)) == {1: 1.5, 2: 1.5}
    before = kept(store, versions)
    assert [(row["close"], from_datetime(row["superseded_at"])) for row in before] == [(1.5, LATE + 1)]
    commit(store, candles([1, 2], 2.5, received=LATE + 2), JANUARY)
    assert closes(store.read(JANUARY)) == {1: 2.5, 2: 2.5}
    first, second = kept(store, versions)
    assert [first] == before
    assert (second["close"], from_datetime(second["superseded_at"])) == (1.5, LATE + 2)


def test_a_large_commit_notes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that went to the disk as they came are compared slice by slice."""
    monkeypatch.setattr(stream, "_IN_MEMORY", 10)
    monkeypatch.setattr(stream, "_LOST", 7)
    store = Store(tmp_path)
    rows = [(place, str(1000 + place), 1.0) for place in range(50)]
    commit(store, trades(rows))
    store.commit_sorted(
        DAY_OF_TRADES, [trades([(at, key, 2.0) for at, key, _ in rows], source="rest", received=D_LATE + 1)], [],
        on_replace=keeper(store, DAY_OF_TRADES),
    )  # fmt: skip
    assert brief(store) == [(key, "price", 2.0, 1.0, "rest", "archive") for _, key, _ in rows]


# ---------------------------------------------------------------------------------------- two trees of an archive


def test_two_tables_side_by_side(tmp_path: Path) -> None:
    """Values that differ, and rows that one side lacks, each named by whose it is."""
    store = Store(tmp_path)
    ours = trades([(1, "11", 5.0), (2, "12", 6.0), (3, "13", 7.0)])
    theirs = trades([(3, "13", 7.0), (2, "12", 6.25), (4, "14", 8.0)], received=D_LATE + 3)
    count = note_differences(store, SPOT, ours, theirs, sources=("new", "old"))
    assert count == 3
    assert brief(store) == [
        ("11", "(row)", None, None, "new", "old"),
        ("12", "price", 6.0, 6.25, "new", "old"),
        ("14", "(row)", None, None, "new", "old"),
    ]
    texts = [(row["kept_text"], row["dropped_text"]) for row in kept(store)]
    assert texts == [("present", None), (None, None), (None, "present")]
    before = snapshot(tmp_path)
    assert note_differences(store, SPOT, ours, theirs, sources=("new", "old")) == 3
    assert snapshot(tmp_path) == before


def test_beside_nothing_every_row_is_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ours = trades([(1, "11", 5.0)])
    assert note_differences(store, SPOT, ours, ours) == 0
    assert note_differences(store, SPOT, ours, ours.slice(0, 0)) == 1
    assert brief(store) == [("11", "(row)", None, None, "archive", "nobody")]


rows = st.dictionaries(st.integers(10, 30), st.sampled_from([1.0, 2.0]), max_size=8)


@settings(max_examples=40)
@given(rows, rows)
def test_the_count_is_that_of_a_plain_comparison(mine: dict[int, float], others: dict[int, float]) -> None:
    """Keys of one side only, and prices that differ on both."""
    with TemporaryDirectory() as folder:
        tables = [trades([(key, str(key), price) for key, price in side.items()]) for side in (mine, others)]
        store = Store(folder)
        count = note_differences(store, SPOT, *tables, sources=("a", "b"))
        expected = {(str(key), "(row)", None, None) for key in mine.keys() ^ others.keys()} | {
            (str(key), "price", mine[key], others[key]) for key in mine.keys() & others.keys()
            if mine[key] != others[key]
        }  # fmt: skip
        assert {row[:4] for row in brief(store)} == expected
        assert count == len(expected)
