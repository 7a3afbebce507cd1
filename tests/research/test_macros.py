"""Time buckets in SQL, and the views in a DuckDB that does not know us."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import htxdata
from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.research import macros, periods
from htxdata.research.lake import Lake
from htxdata.schema import DATASETS
from htxdata.schema.sql import view_columns
from htxdata.store import Store
from htxdata.timeline import DAY, HOUR, MINUTE
from htxdata.venues import VENUES
from tests.research.lakes import HTX, SWAP, T0, TRADES, candle, micros, put

NAMES = ["1min", "7min", "90min", "5hour", "24hour", "1day", "3day", "1week", "2week"]


@pytest.fixture(scope="module")
def abroad() -> duckdb.DuckDBPyConnection:
    """A connection of a session with daylight saving time."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/New_York'")
    connection.execute(macros.BUCKETS)
    connection.execute(macros.venue_days([("htx-spot", HTX), ("west", 3 * HOUR)]))
    return connection


@settings(max_examples=30)
@given(at=st.integers(-(2**50), 2**51))
def test_buckets_are_the_grids_of_bars(abroad: duckdb.DuckDBPyConnection, at: int) -> None:
    """Each macro gives the opening that bars of that period have; also before 1970 and across changes of the clock."""
    t = f"make_timestamptz({at})"
    asked = {f"bucket({t}, '{name}')": periods.grid(name, 0).floor(at) for name in NAMES}
    for unit, period in (("day", "1day"), ("week", "1week"), ("month", "1mon")):
        asked[f"utc_{unit}({t})"] = periods.grid(f"utc_{unit}", None).floor(at)
        for venue, opens in (("htx-spot", HTX), ("west", 3 * HOUR)):
            asked[f"venue_{unit}({t}, '{venue}')"] = periods.grid(period, opens).floor(at)
    text = ", ".join(f"epoch_us({each})" for each in asked)
    assert list(abroad.execute(f"SELECT {text}").fetchall()[0]) == list(asked.values())


@pytest.mark.parametrize(
    "call", ["bucket(now(), '1mon')", "bucket(now(), '7 min')", "venue_day(now(), 'nope')"]
)
def test_what_is_no_bucket_is_an_error(abroad: duckdb.DuckDBPyConnection, call: str) -> None:
    """Never NULL and never a guess."""
    with pytest.raises(duckdb.Error, match=r"is no number of min|is not known"):
        abroad.execute(f"SELECT {call}").fetchall()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Candles, trades and fundings, in a folder whose name means something to globs and to SQL."""
    store = Store(tmp_path / "my lake's [1]*")
    put(store, SWAP, [candle(T0 + n * MINUTE, float(n)) for n in range(3)], [(T0, T0 + HOUR, "empty")])
    odd = Series("klines", "htx-spot", "a'b/%", "1day")
    put(
        store,
        odd,
        [candle(T0 - 8 * HOUR)],
        [(T0 - 8 * HOUR, T0 + 16 * HOUR, "empty"), (T0 + 40 * HOUR, T0 + 64 * HOUR, "outage")],
    )
    put(
        store,
        TRADES,
        [{"trade_time": T0, "trade_id": "1", "price": 1.0, "quantity": 2.0, "side": "buy"}],
        [(T0, T0 + DAY, "empty")],
    )
    line = Series("kline_revisions", "htx-spot", "007", "1day")  # no number
    put(store, line, [candle(T0, superseded_at=T0 + DAY)], [])
    return htxdata.open_lake(str(store.root))


def test_macros_are_in_the_lake(lake: Lake) -> None:
    """In SQL over the views and in what is asked of a relation; every venue that we know has its days."""
    sql = "SELECT venue_day(open_time, venue), utc_day(open_time), bucket(open_time, '2min') FROM klines ORDER BY ALL"
    found = micros(lake.sql(f"SELECT * FROM ({sql}) AS t(a, b, c)"), "a", "b", "c")
    assert found == [
        (T0 - 8 * HOUR, T0 - DAY, T0 - 8 * HOUR), (T0 - 8 * HOUR, T0, T0), (T0 - 8 * HOUR, T0, T0),
        (T0 - 8 * HOUR, T0, T0 + 2 * MINUTE),
    ]  # fmt: skip
    assert lake.klines("BTC-USDT").aggregate("bucket(open_time, '2min'), count(*)").count("*").fetchall() == [
        (2,)
    ]
    for venue in VENUES:
        opens = lake.sql(f"SELECT epoch_us(venue_day(make_timestamptz({T0}), '{venue.name}'))").fetchall()
        assert opens == [(periods.grid("1day", venue.day_opens).floor(T0),)]
    with pytest.raises(UsageError):
        lake.sql("CREATE MACRO x() AS 1")


@pytest.mark.parametrize("empty", [False, True])
def test_the_file_of_views_makes_the_same_views_elsewhere(lake: Lake, tmp_path: Path, empty: bool) -> None:
    """In a fresh DuckDB, of a lake with odd names and of none at all: columns, types, rows, coverage and macros."""
    lake = htxdata.open_lake(str(tmp_path / "none")) if empty else lake
    plain = duckdb.connect()
    text = lake.views_sql()
    plain.execute(text)
    for declared in DATASETS:
        ours, theirs = (
            lake.sql(f"FROM {declared.name} ORDER BY ALL"),
            plain.sql(f"FROM {declared.name} ORDER BY ALL"),
        )
        columns = list(zip(theirs.columns, map(str, theirs.types), strict=True))
        assert columns == view_columns(declared)
        assert theirs.fetchall() == ours.fetchall()
    assert plain.sql("FROM audit_findings").columns == lake.sql("FROM audit_findings").columns
    assert empty or (plain.sql("FROM klines").count("*").fetchall(), len(plain.sql("FROM coverage"))) == (
        [(4,)],
        6,
    )
    buckets = "SELECT bucket(open_time, '2min'), venue_month(open_time, venue) FROM klines ORDER BY ALL"
    assert plain.sql(buckets).fetchall() == lake.sql(buckets).fetchall()
    plain.execute(text)  # a second time changes nothing
    if not empty:
        put(Store(lake.root), SWAP, [candle(T0 + 40 * DAY)], [])
        assert plain.sql("FROM klines").count("*").fetchall() == [(5,)]  # what comes later is there
