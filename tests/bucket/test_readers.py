"""Who reads a lake in a bucket sees one committed state, while others write it (law 11), and asks for little."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from htxdata.errors import UsageError
from htxdata.research.lake import Lake
from htxdata.store import Partition, Store, bucket, lake_coverage, open_lake
from htxdata.store.place import beside
from tests.bucket.conftest import client
from tests.bucket.server import Server, Weather
from tests.store.build import DAY_OF_TRADES, JANUARY, asked, candles, closes, said, trades


def test_a_relation_that_is_run_after_the_partition_was_replaced_has_its_rows(
    lake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found when it was made: the generation that was superseded since can still be read, bytes and all."""
    monkeypatch.setattr("htxdata.store.bucket_pieces.Memory.most", 0)
    store = Store(lake)
    store.commit(JANUARY, candles(range(5), 1.0))
    with open_lake(lake) as reader:
        relation = reader.klines("BTC-USDT", start="2024-01", end="2024-02")
        for close in (2.0, 3.0):
            store.commit(JANUARY, candles(range(6), close))
        assert sorted(row[0] for row in relation.project("close").fetchall()) == [1.0] * 5
        assert closes(reader.klines("BTC-USDT").to_arrow_table()) == dict.fromkeys(range(6), 3.0)


def test_nothing_is_torn_or_doubled_while_a_writer_replaces_it(lake: str) -> None:
    """Every state has one close in all its rows, and one more row than the one before: so has every answer."""
    store = Store(lake)
    store.commit(JANUARY, candles(range(1), 1.0))
    over = threading.Event()
    seen: list[tuple[int, float, float]] = []
    wrong: list[object] = []

    def read() -> None:
        with open_lake(lake) as reader:
            while not over.is_set() and not wrong:
                try:
                    seen.extend(reader.sql("SELECT count(*), min(close), max(close) FROM klines").fetchall())
                except Exception as error:
                    wrong.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    number = 1
    while number < 20 or (len(seen) < 5 and not wrong):
        number += 1
        store.commit(JANUARY, candles(range(number), float(number)))
    over.set()
    thread.join()
    assert wrong == []
    assert [row for row in seen if not row[0] == row[1] == row[2]] == []
    assert len({row[0] for row in seen}) > 2, "it never met another state: this test shows nothing"


def test_a_generation_that_is_gone_is_looked_up_anew(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forgotten between the listing and the query: the front door lists again, and nobody hears of it."""
    store = Store(lake, grace=0)
    store.commit(JANUARY, candles(range(3), 1.0))
    with open_lake(lake) as reader:
        look = reader.verbs.look
        rival = [candles(range(4), 2.0)]

        class Late:
            def __init__(self) -> None:
                self._look = look()

            def __getattr__(self, name: str) -> object:
                return getattr(self._look, name)

            def newest(self, folder: str) -> object:
                found = self._look.newest(folder)
                if rival:
                    store.commit(JANUARY, rival.pop())
                return found

        monkeypatch.setattr(reader.verbs, "look", Late)
        assert closes(reader.klines("BTC-USDT").to_arrow_table()) == dict.fromkeys(range(4), 2.0)
        assert not rival


def test_a_query_asks_for_what_it_reads_and_a_second_one_lists_only(lake: str, weather: Weather) -> None:
    """What docs/s3.md counts: one listing and one request for a small partition; then the listing. Of candles that may
    be made, one more, and one for the name of a venue that was not named before. ``coverage`` of a whole lake: one
    listing, one request for each footer that is not known yet."""
    store = Store(lake)
    parts = [Partition("klines", "htx-linear", f"S{n}", "1min", "2024-01") for n in range(5)]
    for part in parts:
        store.commit(part, candles(range(3)), [asked(0, 3)])

    def counted(work: object) -> list[str]:
        weather.asked.clear()
        work()  # type: ignore[operator]
        return sorted("list" if path.count("/") < 2 else method for method, path in weather.asked)

    with open_lake(lake) as reader:
        one = lambda: reader.klines("S1", venue="htx-linear", period="1min").fetchall()  # noqa: E731
        assert counted(one) == ["GET", "list"]
        assert counted(one) == ["list"]
    with Lake(lake) as reader:
        one = lambda: reader.klines("S2", venue="htx-linear", period="1min").fetchall()  # noqa: E731
        assert counted(one) == ["GET", "list", "list", "list"]
        assert counted(one) == ["list", "list"]
    assert counted(lambda: lake_coverage(lake)) == ["GET"] * 5 + ["list"]
    assert counted(lambda: lake_coverage(lake)) == ["list"]
    store.commit(parts[0], candles(range(4)), [asked(0, 4)])
    assert counted(lambda: lake_coverage(lake)) == ["GET", "list"]
    cache = beside(lake) / "coverage.cache"
    cache.unlink()
    assert said(lake_coverage(lake, symbol="S0").popitem()[1]) == [(0, 4, "present", 4)]
    assert cache.exists()


def test_a_venue_is_looked_for_in_all_datasets_at_once(lake: str, weather: Weather) -> None:
    """A listing for each, and nearly all of it is waiting: the second is under way before the first is answered."""
    second, together = threading.Event(), list[bool]()

    def before(method: str, path: str) -> None:
        if len(weather.asked) > 1:
            second.set()
        else:
            together.append(second.wait(5))

    with Lake(lake) as reader:
        weather.asked.clear()
        weather.before = before
        assert reader.coverage(venue="hashkey").fetchall() == []
    assert together == [True]


def test_a_large_partition_is_read_in_pieces(lake: str, weather: Weather, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the size of one piece, a column is not the whole file; the rows are those that were written."""
    monkeypatch.setattr("htxdata.store.bucket_reading.WHOLE", 20_000)
    monkeypatch.setattr("htxdata.store.bucket_reading._BLOCK", 4_000)
    store = Store(lake)
    rows = [(n, f"{n * n % 100_003:06}{n}", n * 1.1) for n in range(20_000)]
    store.commit(DAY_OF_TRADES, trades(rows))
    done = store.commit(DAY_OF_TRADES, trades([(0, "x", 1.0)]))
    assert (done.added, done.rows) == (1, 20_001)
    size = store.verbs.newest(store.folder(DAY_OF_TRADES)).path.rpartition("-")[2].removesuffix(".pq")  # type: ignore[union-attr]
    assert int(size) > 100_000
    table = store.read(DAY_OF_TRADES)
    assert table is not None
    assert sorted(table["price"].to_pylist()) == sorted([row[2] for row in rows] + [1.0])
    bucket._bucket.cache_clear()  # another process, which remembers nothing
    with open_lake(lake) as reader:
        weather.asked.clear()
        (row,) = reader.sql("SELECT sum(price), count(*) FROM trades").fetchall()
        assert row == (pytest.approx(sum(row[2] for row in rows) + 1.0), 20_001)
        assert 1 < len(weather.asked) < 15


def test_others_read_the_lake_without_us(lake: str, place: str, server: Server, tmp_path: Path) -> None:
    """``*.parquet`` below the prefix is one file a partition, Hive names and all."""
    store = Store(lake)
    for minutes in (3, 5):
        store.commit(JANUARY, candles(range(minutes)))
    other = client(server)
    for each in other.list_objects_v2(Bucket=place)["Contents"]:
        target = tmp_path / each["Key"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(other.get_object(Bucket=place, Key=each["Key"])["Body"].read())
    (row,) = duckdb.sql(
        f"SELECT count(*), any_value(symbol) FROM read_parquet('{tmp_path}/**/*.parquet', hive_partitioning = true)"
    ).fetchall()
    assert row == (5, "BTC-USDT")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_parquet('s3://other/x.parquet')",
        "SELECT * FROM read_parquet('{lake}/../../other.parquet')",
        "SELECT * FROM read_parquet('{lake}x/y.parquet')",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '{lake}/x.parquet'",
    ],
)
def test_a_query_reads_this_lake_and_nothing_else(lake: str, weather: Weather, text: str) -> None:
    """Another bucket, another prefix, this machine, or anything to be written: refused without a request."""
    with Lake(lake) as reader:
        weather.asked.clear()
        with pytest.raises((UsageError, duckdb.Error, PermissionError)):
            reader.sql(text.format(lake=lake)).fetchall()
        assert weather.asked == []
