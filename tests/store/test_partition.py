"""The commit: what it stores, what it refuses, and that saying a thing twice changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htxdata.errors import CorruptPartition, LakeUnusable, RowsLost, StoreError
from htxdata.market import Series, grid_of
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import (
    Asked,
    Committed,
    Footer,
    Partition,
    Store,
    disk,
    lake_coverage,
    lasting,
    merge,
    partition,
    rows,
)
from htxdata.store.layout import partition_of
from htxdata.timeline import DAY, HOUR, MINUTE, Window
from tests.store.build import JANUARY, LATE, T0, asked, candles, closes, fundings, instant, said

FUNDING = Partition("funding_rates", "htx-linear", "BTC-USDT", None, "2024")


def snapshot(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file: inode, time of the last write, bytes."""
    return {
        str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


def test_rows_and_verdicts_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "lake")
    assert not (tmp_path / "lake").exists(), "opening writes nothing"
    assert (store.read(JANUARY), store.spans(JANUARY), store.series()) == (None, [], [])
    done = store.commit(JANUARY, candles([3, 0, 1]), [asked(0, 5)])
    assert done == Committed(added=3, replaced=0, rows=3, changed=True, unfit=0)
    assert store.read(JANUARY) == candles([0, 1, 3])
    assert said(store.spans(JANUARY)) == [
        (0, 2, "present", 2),
        (2, 3, "empty", 0),
        (3, 4, "present", 1),
        (4, 5, "empty", 0),
    ]
    assert store.series() == [JANUARY.series]
    assert store.partitions(JANUARY.series) == [JANUARY]


def test_what_was_asked_and_is_empty_is_a_file_without_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    done = store.commit(JANUARY, None, [asked(0, 9, verdict="outage")])
    assert done.changed
    assert done.rows == 0
    assert said(store.spans(JANUARY)) == [(0, 9, "outage", 0)]
    assert store.read(JANUARY) == candles([])


def test_saying_it_twice_touches_no_byte(tmp_path: Path) -> None:
    """Equal rows and windows, fetched again and later: same files, same inodes, same times."""
    store = Store(tmp_path)
    store.commit(JANUARY, candles(range(100)), [asked(0, 100)])
    before = snapshot(tmp_path)
    for at in (LATE, LATE + DAY):
        again = store.commit(JANUARY, candles(range(50, 100), received=at), [asked(50, 100, at=at)])
        assert again == Committed(added=0, replaced=0, rows=100, changed=False, unfit=0)
    assert store.commit(JANUARY, None, []).changed is False
    assert snapshot(tmp_path) == before


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    """However the rows came (at once, in pieces, in disorder), the file is the same."""
    for name, pieces in {
        "one": [range(90)], "two": [range(45), range(45, 90)], "odd": [range(30, 90), range(40), range(89, -1, -7)],
    }.items():  # fmt: skip
        store = Store(tmp_path / name)
        for piece in pieces:
            store.commit(JANUARY, candles(piece), [asked(min(piece), max(piece) + 1)])
    files = {
        (tmp_path / name / JANUARY.folder / "part.parquet").read_bytes() for name in ("one", "two", "odd")
    }
    assert len(files) == 1


def test_a_revision_is_handed_over_before_anything_is_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1, 2], 1.0, received=LATE), [asked(1, 3)])
    before = snapshot(tmp_path)
    seen: list[pa.Table] = []
    revisions = Partition("kline_revisions", JANUARY.venue, JANUARY.symbol, JANUARY.period, JANUARY.label)

    def keep(old: pa.Table, won: pa.Table) -> None:
        assert snapshot(tmp_path) == before
        assert closes(won) == {2: 2.0}
        seen.append(old)
        store.commit(revisions, old, [])

    done = store.commit(JANUARY, candles([2, 3], 2.0, received=LATE + 1), [asked(2, 4)], on_replace=keep)
    assert done == Committed(added=1, replaced=1, rows=3, changed=True, unfit=0)
    assert [closes(table) for table in seen] == [{2: 1.0}]
    kept = store.read(revisions)
    assert kept is not None
    assert closes(kept) == {2: 1.0}
    assert kept["superseded_at"].cast("int64").to_pylist() == [LATE + 1]
    assert closes(store.read(JANUARY)) == {1: 1.0, 2: 2.0, 3: 2.0}


def test_a_failing_handover_stops_the_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1], 1.0), [])
    before = snapshot(tmp_path)

    def refuse(old: pa.Table, won: pa.Table) -> None:
        raise StoreError("no room for revisions")

    with pytest.raises(StoreError, match="no room"):
        store.commit(JANUARY, candles([1], 2.0, received=LATE + 1), [], on_replace=refuse)
    assert snapshot(tmp_path) == before


def test_unfit_values_are_summed_over_the_rows_that_were_taken(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.commit(JANUARY, candles([1, 2], unfit=[3, 1]), []).unfit == 4
    assert store.commit(JANUARY, candles([1, 2, 3], unfit=[3, 1, 5]), []).unfit == 5
    assert store.commit(JANUARY, candles([2], 9.0, received=LATE + 1, unfit=[7]), []).unfit == 7
    assert store.commit(JANUARY, candles([1], unfit=[3]), []).unfit == 0
    footer = store.footer(JANUARY)
    assert footer == Footer((), 16)
    assert "_unfit" not in pq.read_schema(tmp_path / JANUARY.folder / "part.parquet").names


def test_rows_outside_the_partition_are_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for minute in (-1, 31 * 24 * 60):
        with pytest.raises(StoreError, match="outside"):
            store.commit(JANUARY, candles([5, minute]), [])
    assert not any(tmp_path.iterdir())


def test_a_table_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="columns"):
        Store(tmp_path).commit(JANUARY, candles([5]).drop_columns(["close"]), [])
    whole = candles([5]).set_column(4, "close", pa.array([1]))
    with pytest.raises(StoreError, match="'close' is int64"):
        Store(tmp_path).commit(JANUARY, whole, [])


def test_a_commit_that_would_lose_rows_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the merge ever forget a row: an error with counts in it, and the file as it was."""
    store = Store(tmp_path)
    store.commit(JANUARY, candles(range(10)), [])
    before = snapshot(tmp_path)
    monkeypatch.setattr(merge, "order_of", lambda declared, table: merge.np.arange(table.num_rows - 1))
    with pytest.raises(RowsLost, match="10 stored and 1 added rows became 10"):
        store.commit(JANUARY, candles([4, 20]), [])
    assert snapshot(tmp_path) == before


def test_daily_candles_need_to_be_told_their_grid(tmp_path: Path) -> None:
    daily = Partition("klines", "htx-linear", "BTC-USDT", "1day", "2024")
    opens = instant("2024-01-01T16:00:00Z")
    ask = Asked(Window(opens, opens + 2 * DAY), "rest", instant("2025"))
    with pytest.raises(StoreError, match="pass grid="):
        Store(tmp_path).commit(daily, None, [ask])
    store = Store(tmp_path)
    store.commit(daily, candles([0], start=opens), [ask], grid=grid_of("1day", -8 * HOUR))
    assert [(s.start, s.end, s.verdict) for s in store.spans(daily)] == [
        (opens, opens + DAY, "present"), (opens + DAY, opens + 2 * DAY, "empty"),
    ]  # fmt: skip


def test_fundings_know_no_grid(tmp_path: Path) -> None:
    store = Store(tmp_path)
    at = [T0 + hours * HOUR for hours in (0, 8, 16, 24, 48, 56, 64)]
    store.commit(FUNDING, fundings(at), [Asked(Window(T0, T0 + 72 * HOUR), "rest", LATE)])
    assert [((s.start - T0) // HOUR, (s.end - T0) // HOUR, s.verdict, s.rows) for s in store.spans(FUNDING)] == [
        (0, 32, "present", 4), (32, 48, "empty", 0), (48, 72, "present", 3),
    ]  # fmt: skip


def test_coverage_joins_across_partitions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    february = Partition(JANUARY.dataset, JANUARY.venue, JANUARY.symbol, JANUARY.period, "2024-02")
    window = Window(february.window.start - 5 * MINUTE, february.window.start + 5 * MINUTE)
    late = february.window.end + DAY
    for part in (JANUARY, february):
        own = window.intersect(part.window)
        table = candles([(own.start - T0) // MINUTE + place for place in range(5)])
        store.commit(part, table, [Asked(window, "rest", late)])
    for spans in (store.coverage(JANUARY.series), lake_coverage(tmp_path)[JANUARY.series]):
        assert [(s.start, s.end, s.verdict, s.rows) for s in spans] == [(*window, "present", 10)]


def test_series_are_found_by_globs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for symbol in ("BTC-USDT", "BTC-USD", "ETH-USDT"):
        store.commit(Partition("klines", "htx-linear", symbol, "1min", "2024-01"), candles([1]), [])
    store.commit(FUNDING, fundings([T0]), [])
    assert [s.symbol for s in store.series("klines", symbol="BTC-*")] == ["BTC-USD", "BTC-USDT"]
    assert [s.symbol for s in store.series("klines", symbol=["ETH*", "BTC-USD"])] == ["BTC-USD", "ETH-USDT"]
    assert store.series(symbol="BTC-USDT") == [
        Series("klines", "htx-linear", "BTC-USDT", "1min"), Series("funding_rates", "htx-linear", "BTC-USDT"),
    ]  # fmt: skip
    assert store.series(period="1day") == []
    assert store.series(venue="htx-*", period="1min", symbol="E*") == [
        Series("klines", "htx-linear", "ETH-USDT", "1min")
    ]


def test_a_file_from_before_a_column_and_one_from_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column that a file is too old to have is NULL; one that we are too old to know survives our commit."""
    store = Store(tmp_path)
    old = candles([1]).drop_columns(["volume"])
    newer = candles([2]).append_column("novelty", pa.array([42]))
    for label, table in (("2024-01", old), ("2024-02", newer)):
        part = Partition("klines", "v", label, "1min", "2024-01")
        with disk.locked(tmp_path, store.folder(part)) as before:
            disk.publish(store.folder(part), before, memoryview(rows.pack(table, Footer())))
    assert store.read(Partition("klines", "v", "2024-01", "1min", "2024-01")) == candles([1])
    known = Partition("klines", "v", "2024-02", "1min", "2024-01")
    assert store.read(known) == candles([2])
    store.commit(known, candles([1, 2, 3]), [])
    assert closes(store.read(known)) == {1: 1.5, 2: 1.5, 3: 1.5}
    raw = pq.read_table(f"{store.folder(known)}/part.parquet", partitioning=None)
    assert raw["novelty"].to_pylist() == [None, 42, None]


# ------------------------------------------------------------------------------------------ broken things


@pytest.mark.parametrize("damage", ["cut", "empty", "garbage", "foreign", "footer"])
def test_a_broken_file_is_named_and_the_rest_is_read(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    other = Partition("klines", "htx-linear", "ETH-USDT", "1min", "2024-01")
    for part in (JANUARY, other):
        store.commit(part, candles([1]), [asked(1, 2)])
    file = tmp_path / JANUARY.folder / ".g000000001.pq"
    whole = file.read_bytes()
    file.unlink()
    if damage == "foreign":
        pq.write_table(pa.table({"x": [1]}), file)
    else:
        file.write_bytes({
            "cut": whole[:-40], "empty": b"", "garbage": os.urandom(500),
            "footer": whole[:-400] + bytes(392) + whole[-8:],
        }[damage])  # fmt: skip
    for act in (
        lambda: store.read(JANUARY), lambda: store.spans(JANUARY), lambda: store.commit(JANUARY, candles([2]), []),
        lambda: lake_coverage(tmp_path),
    ):  # fmt: skip
        with pytest.raises(CorruptPartition, match=r"BTC-USDT.*g000000001\.pq"):
            act()
    assert store.read(other) == candles([1])
    broken: list[CorruptPartition] = []
    assert list(lake_coverage(tmp_path, on_broken=broken.append)) == [other.series]
    assert len(broken) == 1


def test_a_copy_without_dot_files_is_still_a_lake(tmp_path: Path) -> None:
    """Some copies leave the generations behind; ``part.parquet`` then stands in until the next commit."""
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1]), [asked(1, 2)])
    (tmp_path / JANUARY.folder / ".g000000001.pq").unlink()
    assert store.read(JANUARY) == candles([1])
    store.commit(JANUARY, candles([2]), [asked(2, 3)])
    assert said(store.spans(JANUARY)) == [(1, 3, "present", 2)]


def test_a_lake_that_cannot_be_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LakeUnusable, match="is a file"):
        Store(tmp_path / "file")
    with pytest.raises(LakeUnusable, match="is a file"):
        Store(tmp_path / "file" / "below")
    (tmp_path / "klines").write_text("in the way")
    with pytest.raises(LakeUnusable, match="cannot be written"):
        Store(tmp_path).commit(JANUARY, candles([1]), [])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_leaves_what_was_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1]), [])
    before = snapshot(tmp_path)

    def full(file: int, view: memoryview) -> None:
        with open("/dev/full", "wb", buffering=0) as nowhere:
            nowhere.write(view)

    monkeypatch.setattr(lasting, "write_all", full)
    with pytest.raises(StoreError, match="the disk is full"):
        store.commit(JANUARY, candles([2]), [])
    assert snapshot(tmp_path) == before


def test_generations_are_forgotten_after_their_grace(tmp_path: Path) -> None:
    folder = tmp_path / JANUARY.folder
    patient, hasty = Store(tmp_path), Store(tmp_path, grace=0)
    for minute in range(4):
        patient.commit(JANUARY, candles([minute]), [])
    assert len(list(folder.glob(".g*"))) == 4
    hasty.commit(JANUARY, None, [])
    assert [path.name for path in folder.glob(".g*")] == [".g000000004.pq"]
    assert closes(patient.read(JANUARY)) == {0: 1.5, 1: 1.5, 2: 1.5, 3: 1.5}


def test_a_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1]), [asked(1, 2)])
    store.commit(JANUARY, candles([2]), [asked(2, 3)])
    before = snapshot(tmp_path)
    assert store.commit(JANUARY, candles([2]), [asked(2, 3)]).changed is False
    assert snapshot(tmp_path) == before
    assert closes(pq.read_table(tmp_path / JANUARY.folder / "part.parquet", partitioning=None)) == {
        1: 1.5,
        2: 1.5,
    }


def test_coverage_is_read_without_heavy_libraries(tmp_path: Path) -> None:
    """A process that asks what there is sees each series' spans, and has not loaded what reads rows."""
    store = Store(tmp_path)
    store.commit(JANUARY, candles([1]), [asked(1, 2)])
    code = (
        "import sys; from htxdata.store import lake_coverage; "
        f"print(lake_coverage({str(tmp_path)!r})); "
        "print(sorted({'pyarrow', 'duckdb', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, cwd=Path(__file__).parents[2], text=True
    )
    assert child.stdout.splitlines() == [str(lake_coverage(tmp_path)), "[]"]
    assert lake_coverage(tmp_path) == {JANUARY.series: store.coverage(JANUARY.series)}


def test_rows_whose_key_has_words_are_added_to_a_large_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is distilled hands the sides of books over as dictionaries; the result is that of a small partition."""

    def levels(first: int) -> pa.Table:
        at = [T0 + n // 4 for n in range(first, first + 40)]
        sides = pa.array(["bid", "ask"] * 20).dictionary_encode()
        return conform(dataset("book_changes"), {
            "book_time": at, "kind": ["delta"] * 40, "side": sides, "price": [9.0 - n % 4 for n in range(40)],
            "size": [1.0 + n for n in range(40)], "sequence": at, "previous_sequence": [n - 1 for n in at],
            "received_at": at, "source": "ws",
        }, words=True)  # fmt: skip

    cell = partition_of(Series("book_changes", "htx-spot", "btcusdt", None), T0)
    small, large = Store(tmp_path / "small"), Store(tmp_path / "large")
    for first in (0, 40, 20):
        small.commit(cell, levels(first))
    monkeypatch.setattr(partition, "_LARGE", 1)
    for first in (0, 40, 20):
        large.commit(cell, levels(first))
    (one,), (other,) = (list(store.root.rglob("part.parquet")) for store in (small, large))
    assert one.read_bytes() == other.read_bytes()
    there = small.read(cell)
    assert there is not None
    assert there.num_rows == 80
