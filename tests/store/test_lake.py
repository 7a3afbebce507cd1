"""The front door for readers: views and table functions over what was committed."""

from __future__ import annotations

import datetime as dt
import gc
import inspect
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from htxdata.errors import CorruptPartition, LakeUnusable, UsageError
from htxdata.schema import DATASETS, Dataset, dataset
from htxdata.schema.arrow import conform
from htxdata.schema.sql import view_columns
from htxdata.store import Footer, Lake, Partition, Store, disk, ledger, open_lake, rows
from htxdata.timeline import HOUR, MINUTE, iso, parse_instant
from tests.store.build import JANUARY, T0, asked, candles, fundings

FEBRUARY = Partition(JANUARY.dataset, JANUARY.venue, JANUARY.symbol, JANUARY.period, "2024-02")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two months of BTC-USDT, one of two others, some fundings."""
    store = Store(tmp_path / "lake")
    store.commit(JANUARY, candles([0, 1, 44_639]), [asked(0, 44_640)])
    store.commit(FEBRUARY, candles([44_640, 44_641]), [])
    for symbol in ("ETH-USDT", "a'b/%"):
        store.commit(
            Partition("klines", "htx-linear", symbol, "1min", "2024-01"), candles([5]), [asked(5, 6)]
        )
    store.commit(Partition("klines", "htx-spot", "BTC-USDT", "5min", "2024"), candles([5]), [])
    store.commit(
        Partition("funding_rates", "htx-linear", "BTC-USDT", None, "2024"), fundings([T0, T0 + 8 * HOUR]), []
    )
    return open_lake(store.root)


def minutes(relation: duckdb.DuckDBPyRelation) -> list[int]:
    return [(at - T0) // MINUTE for (at,) in relation.select("epoch_us(open_time)").fetchall()]


@pytest.mark.parametrize("empty", [True, False])
def test_every_view_has_exactly_the_declared_columns(tmp_path: Path, lake: Lake, empty: bool) -> None:
    """Names, types and order, for an empty lake (or none at all) too."""
    lake = open_lake(tmp_path / "nothing") if empty else lake
    for declared in DATASETS:
        want = view_columns(declared)
        relation = lake.sql(f"SELECT * FROM {declared.name}")
        assert list(zip(relation.columns, map(str, relation.types), strict=True)) == want
        described = lake.sql(f"DESCRIBE {declared.name}").fetchall()
        assert [(row[0], row[1]) for row in described] == want
        if declared.stored:
            assert lake.table(declared.name).columns == [name for name, _ in want]
    assert {name for (name,) in lake.sql("SHOW TABLES").fetchall()} == {each.name for each in DATASETS}
    assert not (tmp_path / "nothing").exists()


def test_rows_come_as_they_were_stored(lake: Lake) -> None:
    table = lake.klines("BTC-USDT", venue="htx-linear", period="1min").to_arrow_table()
    want = pa.concat_tables([candles([0, 1, 44_639]), candles([44_640, 44_641])])
    assert table.drop_columns(["venue", "symbol", "period"]).cast(want.schema).equals(want)
    assert set(table["symbol"].to_pylist()) == {"BTC-USDT"}
    assert lake.sql("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]


@pytest.mark.parametrize(
    ("start", "end", "want"),
    [
        ("2024-01", "2024-02", [0, 1, 44_639]),
        (None, "2024-01-01T00:01:00Z", [0]),
        ("2024-01-01T00:01:00Z", None, [1, 44_639, 44_640, 44_641]),
        ("2024-01-31T23:59", "2024-02-01 00:01", [44_639, 44_640]),
        (dt.date(2024, 2, 1), dt.datetime(2024, 2, 1, 0, 1), [44_640]),  # noqa: DTZ001 - a naive one means UTC
        (dt.datetime(2024, 2, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), None, [44_640, 44_641]),
        (T0 + 1, T0 + MINUTE + 1, [1]),
        ("2024-03", None, []),
        ("2024-01-01", "2024-01-01", []),
    ],
)  # fmt: skip
def test_ranges_are_half_open_and_exact(lake: Lake, start: object, end: object, want: list[int]) -> None:
    assert minutes(lake.klines("BTC-USDT", venue="htx-linear", start=start, end=end)) == want  # type: ignore[arg-type]


def test_a_range_opens_only_its_own_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    (lake.root / FEBRUARY.folder / ".g000000001.pq").write_bytes(b"broken")
    assert minutes(lake.klines("BTC-USDT", venue="htx-linear", end="2024-02")) == [0, 1, 44_639]
    assert minutes(lake.klines("ETH-*")) == [5]
    assert lake.sql("SELECT count(*) FROM klines WHERE symbol = 'ETH-USDT'").fetchall() == [(1,)]
    assert lake.sql("SELECT count(*) FROM funding_rates").fetchall() == [(2,)]
    with pytest.raises(CorruptPartition, match=r"cell=2024-02/\.g000000001\.pq"):
        lake.klines("BTC-USDT")
    with pytest.raises(CorruptPartition, match=r"cell=2024-02/\.g000000001\.pq"):
        lake.sql("SELECT count(*) FROM klines")


def test_symbols_may_be_globs_lists_and_odd(lake: Lake) -> None:
    count = lambda **which: len(lake.klines(**which).fetchall())  # noqa: E731
    assert count() == 8
    assert count(symbol="BTC-USDT") == 6
    assert count(symbol="*-USDT") == 7
    assert count(symbol=["ETH-USDT", "BTC-*"], venue="htx-linear") == 6
    assert count(symbol="a'b/%") == 1
    assert count(symbol="btc-usdt") == 0
    assert count(venue="htx-spot") == 1
    assert count(period="5min") == 1
    assert count(symbol="nope", period="1min") == 0


def test_what_cannot_be_asked_is_a_usage_error(lake: Lake) -> None:
    with pytest.raises(UsageError, match="no periods"):
        lake.table("funding_rates", period="1min")
    with pytest.raises(UsageError, match="is not a dataset"):
        lake.table("candles")
    with pytest.raises(UsageError, match="no files"):
        lake.table("coverage")
    with pytest.raises(UsageError, match="is not a time"):
        lake.klines(start="yesterday")
    with pytest.raises(UsageError, match="is not a time"):
        lake.klines(start=1.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Binder Error"):
        lake.sql("SELECT nope FROM klines")
    with pytest.raises(LakeUnusable, match="give a folder, or s3://bucket/prefix"):
        open_lake("gs://bucket/lake")
    (lake.root.parent / "file").write_text("")
    with pytest.raises(LakeUnusable, match="it is a file"):
        open_lake(lake.root.parent / "file")


@pytest.mark.parametrize(
    "text",
    [
        "COPY (SELECT 1) TO '{lake}/x.csv'", "COPY (SELECT 1) TO '/tmp/x.csv'", "ATTACH '{lake}/x.duckdb'",
        "CREATE TABLE t AS SELECT 1", "INSERT INTO klines VALUES (1)", "DELETE FROM klines", "DROP VIEW klines",
        "INSTALL httpfs", "LOAD httpfs", "SET TimeZone = 'Asia/Tokyo'", "PRAGMA enable_profiling",
        "EXPORT DATABASE '{lake}/x'", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{lake}/x.csv'", "SELECT 1; SELECT 2", "",
        "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1", "SELEC 1", "CALL pragma_version()",
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM read_text('{lake}/../file')", "FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')", "SELECT * FROM query('COPY (SELECT 1) TO ''{lake}/x.csv''')",
    ],
)  # fmt: skip
def test_the_lake_is_read_only_and_the_rest_of_the_disk_is_out_of_reach(lake: Lake, text: str) -> None:
    (lake.root.parent / "file").write_text("secret")
    with pytest.raises(UsageError):
        lake.sql(text.format(lake=lake.root)).fetchall()
    assert not list(lake.root.rglob("x*"))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("SELECT count(*) FROM klines", 8),
        ("SELECT count(*) FROM KLINES WHERE Symbol = 'BTC-USDT'", 6),
        ("SELECT count(*) FROM klines k WHERE k.symbol = 'BTC-USDT' AND 'htx-spot' = k.venue", 1),
        ("SELECT count(*) FROM klines WHERE symbol IN ('ETH-USDT', 'a''b/%') AND close > 0", 2),
        ("SELECT count(*) FROM klines WHERE symbol = 'ETH-USDT' AND symbol = 'BTC-USDT'", 0),
        ("SELECT count(*) FROM klines WHERE symbol = 'ETH-USDT' OR venue = 'htx-spot'", 2),
        ("SELECT count(*) FROM klines WHERE NOT symbol = 'ETH-USDT'", 7),
        ("SELECT count(*) FROM klines WHERE symbol = 'BTC-*'", 0),
        ("SELECT count(*) FROM klines a JOIN klines b USING (open_time, venue) WHERE a.symbol = 'ETH-USDT'", 2),
        ("SELECT (SELECT count(*) FROM klines) FROM klines WHERE symbol = 'ETH-USDT'", 8),
        ("WITH k AS (SELECT * FROM klines WHERE symbol = 'ETH-USDT') SELECT count(*) FROM k", 1),
        ("WITH klines AS (SELECT 1 AS symbol) SELECT count(*) FROM klines", 1),
        ("SELECT count(*) FROM klines AS k(symbol, venue) WHERE k.symbol = 'htx-spot'", 1),
        ("SELECT count(*) FROM main.klines WHERE symbol = 'ETH-USDT'", 1),
        ("SELECT count(*) FROM klines, funding_rates f WHERE f.symbol = 'BTC-USDT'", 16),
        ("SELECT count(*) FROM (SELECT * FROM klines UNION ALL SELECT * FROM klines) WHERE symbol = 'ETH-USDT'", 2),
        ("SELECT (SELECT count(*) FROM query('FROM klines')) FROM klines WHERE symbol = 'ETH-USDT'", 8),
        ("SELECT count(*) FROM query_table('klines')", 8),
        ("PIVOT_WIDER klines ON symbol IN ('ETH-USDT') USING count(*) GROUP BY venue ORDER BY ALL DESC", "htx-spot"),
        ("SELECT sum(rows)::INT FROM coverage WHERE symbol = 'BTC-USDT'", 3),
        ("FROM (SUMMARIZE klines) SELECT count::INT LIMIT 1", 8),
    ],
)  # fmt: skip
def test_narrowing_never_changes_an_answer(lake: Lake, text: str, want: int) -> None:
    assert lake.sql(text).fetchall()[0][0] == want


def test_narrowing_saves_the_files(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    listing = ledger.files

    def spy(*which: object) -> list[object]:
        found = list(listing(*which))  # type: ignore[arg-type]
        seen.append(len(found))
        return found

    monkeypatch.setattr(ledger, "files", spy)
    lake.sql("SELECT 1").fetchall()
    assert seen == [], "a statement lists only what it mentions"
    lake.sql("SELECT * FROM klines WHERE symbol = 'ETH-USDT' AND venue = 'htx-linear' AND period = '1min'")
    lake.sql("SELECT * FROM klines WHERE symbol IN ('BTC-USDT') AND venue = 'htx-linear'")
    lake.sql("SELECT * FROM klines")
    assert seen == [1, 2, 5]


def test_a_relation_outlives_everything_around_it(tmp_path: Path, lake: Lake) -> None:
    """It can be held, joined with another, refined by more SQL, while newer generations appear."""
    held, root = lake.sql("SELECT open_time FROM klines WHERE symbol = 'ETH-USDT'"), lake.root
    table, spans = lake.klines("ETH-USDT"), lake.coverage("klines", symbol="ETH-USDT")
    joined = lake.sql(
        "SELECT 1 FROM klines a JOIN klines b USING (open_time) WHERE a.symbol = 'ETH-USDT' AND b.period = '5min'"
    )
    part = lake.klines("BTC-USDT").to_arrow_reader(1)
    next(iter(part))
    assert len(lake.klines("BTC-USDT").fetchall()) == 6, "a half-fetched relation blocks nothing"
    del lake, part
    gc.collect()
    Store(root).commit(Partition("klines", "htx-linear", "ETH-USDT", "1min", "2024-01"), candles([6]), [])
    assert (
        len(held.fetchall()) == len(table.fetchall()) == len(spans.fetchall()) == len(joined.fetchall()) == 1
    )
    assert len(table.query("t", "SELECT * FROM t WHERE close > 1").fetchall()) == 1
    assert len(open_lake(root).klines("ETH-USDT").fetchall()) == 2


def test_a_vanished_generation_is_looked_up_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the listing and DuckDB's opening, a writer forgets the file that was listed."""
    listing, times = ledger.files, []

    def late(*which: object) -> list[tuple[object, str]]:
        found = list(listing(*which))  # type: ignore[arg-type]
        if len(times) < 2:
            times.append(1)
            found = [(line, path.replace("000000001", "000000000")) for line, path in found]
        return found

    monkeypatch.setattr(ledger, "files", late)
    assert minutes(lake.klines("ETH-USDT")) == [5]
    assert len(times) == 2


def test_files_of_different_ages_stand_together(tmp_path: Path, lake: Lake) -> None:
    """Older than a column: NULL there. Newer than we are: what we do not know is not shown."""
    for label, table in {
        "old": candles([1]).drop_columns(["volume"]),
        "new": candles([2], volume=[5.0]).append_column("novelty", pa.array([1])),
    }.items():  # fmt: skip
        folder = f"{lake.root}/{Partition('klines', 'ages', label, '1min', '2024-01').folder}"
        with disk.locked(lake.root, folder) as before:
            disk.publish(folder, before, memoryview(rows.pack(table, Footer())))
    for symbol in (["old", "new"], ["new", "old"], "*"):
        relation = lake.klines(symbol, venue="ages")
        assert relation.columns == [name for name, _ in view_columns(dataset("klines"))]
        assert sorted(relation.select("symbol, volume").fetchall()) == [("new", 5.0), ("old", None)]
    assert lake.klines("old", venue="ages").select("volume").fetchall() == [(None,)]


def test_coverage_as_a_relation(lake: Lake) -> None:
    got = lake.coverage("klines", "BTC-USDT").fetchall()
    assert [
        (row[1], row[3], iso(int(row[4].timestamp()) * 10**6), row[6], row[7], row[8]) for row in got
    ] == [
        ("htx-linear", "1min", "2024-01-01T00:00:00Z", "present", "rest", 2),
        ("htx-linear", "1min", "2024-01-01T00:02:00Z", "empty", "rest", 0),
        ("htx-linear", "1min", "2024-01-31T23:59:00Z", "present", "rest", 1),
    ]
    assert lake.sql("SELECT * FROM coverage WHERE symbol = 'BTC-USDT' ORDER BY span_start").fetchall() == got


def test_threads_share_a_lake(lake: Lake) -> None:
    wrong: list[object] = []

    def read() -> None:
        try:
            for _ in range(15):
                counts = (
                    len(lake.klines("BTC-USDT").fetchall()),
                    lake.sql("SELECT count(*) FROM klines").fetchall()[0][0],
                )
                if counts != (6, 8):
                    wrong.append(counts)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_callers_variable_is_no_table(lake: Lake) -> None:
    local = pa.table({"a": [1]})
    with pytest.raises(UsageError, match="does not exist"):
        lake.sql("SELECT * FROM local")
    assert local.num_rows == 1


@pytest.mark.parametrize("declared", [d for d in DATASETS if d.stored], ids=lambda declared: declared.name)
def test_every_dataset_has_a_table_function_of_its_name(lake: Lake, declared: Dataset) -> None:
    """It takes what ``table`` takes, and gives the same; only what has periods takes one."""
    function = getattr(lake, declared.name)
    given = {"venue": "*", "start": "2024-01", "end": "2024-02", **({"period": "1min"} if declared.has_period else {})}
    assert function("*", **given).fetchall() == lake.table(declared.name, "*", **given).fetchall()
    assert function("*", **given).columns == lake.table(declared.name).columns
    assert ("period" in inspect.signature(function).parameters) == declared.has_period


# ------------------------------------------------------------------------------------------------ baskets

Legs = tuple[tuple[str, float], ...]
A: Legs = (("htx", 0.4), ("okx", 0.6))
B: Legs = (("binance", 0.2), ("htx", 0.8))
LATE_ONE: Legs = (("gate", 1.0),)


def put_basket(store: Store, symbol: str, when: str, heard: str, legs: Legs, venue: str = "htx-linear") -> None:
    at = parse_instant(when)
    columns = {
        "index_time": [at] * len(legs),
        "index_price": [100.5] * len(legs),
        "exchange": [name for name, _ in legs],
        "constituent": [symbol] * len(legs),
        "price": [100.25] * len(legs),
        "weight": [weight for _, weight in legs],
    }
    said = conform(
        dataset("index_constituents"), {**columns, "source": "rest", "received_at": parse_instant(heard)}
    )
    store.commit(Partition("index_constituents", venue, symbol, None, when[:4]), said)


@pytest.fixture
def indices(tmp_path: Path) -> Lake:
    """A and B on either side of a new year, each heard a second and a half later; and one between them, heard late."""
    store = Store(tmp_path / "indices")
    put_basket(store, "BTC-USDT", "2025-12-31T10:00:00Z", "2025-12-31T10:00:01.500Z", A)
    put_basket(store, "BTC-USDT", "2026-01-02T10:00:00Z", "2026-01-02T10:00:01.500Z", B)
    put_basket(store, "BTC-USDT", "2026-01-01T10:00:00Z", "2026-01-05T00:00:00Z", LATE_ONE)
    put_basket(store, "ETH-USDT", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", B)
    put_basket(store, "ETH-USDT", "2025-12-01T00:00:00Z", "2025-12-01T00:00:01Z", LATE_ONE, "elsewhere")
    put_basket(store, "BTC-USD", "2025-12-01T00:00:00Z", "2025-12-01T00:00:01Z", A, "htx-inverse")
    return open_lake(store.root)


def legs(relation: duckdb.DuckDBPyRelation) -> Legs:
    return tuple(relation.select("exchange", "weight").fetchall())


@pytest.mark.parametrize(
    ("at", "heard_by_then", "held_by_then"),
    [
        ("2025-12-31T09:59:59.999999Z", (), ()),
        ("2025-12-31T10:00:00Z", (), A),
        ("2025-12-31T10:00:01.499999Z", (), A),
        ("2025-12-31T10:00:01.500Z", A, A),
        ("2026-01-01T09:59:59.999999Z", A, A),
        ("2026-01-01T10:00:00Z", A, LATE_ONE),
        ("2026-01-02T09:59:59.999999Z", A, LATE_ONE),
        ("2026-01-02T10:00:00Z", A, B),
        ("2026-01-02T10:00:01.499999Z", A, B),
        ("2026-01-02T10:00:01.500Z", B, B),
        ("2026-01-05", B, B),  # what is heard late is not the newest
        ("2030-01-01", B, B),
        (None, B, B),
        (dt.date(2026, 1, 1), A, A),
    ],
)  # fmt: skip
def test_the_basket_that_was_in_force(indices: Lake, at: str | None, heard_by_then: Legs, held_by_then: Legs) -> None:
    """By what had been heard, which a backtest may know, or by the venue's clock; its first instant included."""
    assert legs(indices.basket("BTC-USDT", venue="htx-linear", at=at)) == heard_by_then
    assert legs(indices.basket("BTC-USDT", venue="htx-linear", at=at, known="index_time")) == held_by_then


def test_a_basket_is_rows_of_its_dataset(indices: Lake) -> None:
    """All columns, and no row of another basket."""
    found = indices.basket("BTC-USDT", venue="htx-linear", at="2026-01-01T12:00Z", known="index_time")
    whole = indices.index_constituents("BTC-USDT", venue="htx-linear", start="2026-01-01", end="2026-01-02")
    assert found.columns == whole.columns
    assert found.fetchall() == whole.fetchall()
    assert len(whole.fetchall()) == 1


def test_each_index_has_its_own_basket(indices: Lake) -> None:
    """Several symbols and venues at once: of each the one that was in force; of those that had none, nothing."""

    def of(at: str, **which: str) -> list[tuple[object, ...]]:
        found = indices.basket(at=at, **which)  # type: ignore[arg-type]
        return found.select("venue", "symbol", "exchange").fetchall()

    btc, eth = ("htx-linear", "BTC-USDT"), ("htx-linear", "ETH-USDT")
    usd, other = ("htx-inverse", "BTC-USD"), ("elsewhere", "ETH-USDT")
    assert of("2026-01-01T12:00Z") == [
        (*other, "gate"), (*usd, "htx"), (*usd, "okx"), (*btc, "htx"), (*btc, "okx"), (*eth, "binance"), (*eth, "htx"),
    ]  # fmt: skip
    assert of("2025-12-31T12:00Z", venue="htx-linear") == [(*btc, "htx"), (*btc, "okx")]
    assert of("2026-02-01", symbol="BTC-*", venue="htx-inverse") == [(*usd, "htx"), (*usd, "okx")]
    assert of("2025-12-01", symbol="*") == []
    assert open_lake(indices.root.parent / "nothing").basket("BTC-USDT").fetchall() == []


def test_a_clock_that_there_is_not(indices: Lake) -> None:
    with pytest.raises(UsageError, match="known='trade_time': choose from received_at, index_time"):
        indices.basket("BTC-USDT", known="trade_time")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"at=1\.5 is not a time"):
        indices.basket("BTC-USDT", at=1.5)  # type: ignore[arg-type]
