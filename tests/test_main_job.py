"""The main job on real input: what was recorded comes out of the lake value by value, with a verdict on every hole.

3,284 real HTX BTC-USDT funding rates of 2021 to 2023, and 45,031 real one-minute candles (FTX's, served under the name
btcusdt), replayed by the sandbox. The files are parsed here independently of it. The same through the Prefect flow:
tests/flows.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store.lake import Lake
from htxdata.timeline import from_datetime
from tests.truth import files, fill, fundings, klines, settings_for, stored, verdicts

FUNDINGS = Series("funding_rates", "htx-linear", "BTC-USDT")
MINUTES = Series("klines", "htx-spot", "btcusdt", "1min")
ASKED = (
    fundings("BTC-USDT", "2020-12-01", "2024-02-01"),
    klines("htx-spot", "btcusdt", "1min", "2021-12-31", "2022-02-02"),
)


def rows(file: Path) -> Iterator[dict[str, str]]:
    with gzip.open(file, "rt", newline="") as text:
        yield from csv.DictReader(text)


@pytest.fixture(scope="module")
def lake(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake filled with both, twice; the second run must change nothing."""
    folder = tmp_path_factory.mktemp("main-job")
    with pytest.MonkeyPatch.context() as patch, Sandbox(replay=shared / "data", limits=False) as sandbox:
        patch.setenv("HTXDATA_BUDGET_DIR", str(folder / "budget"))
        settings = settings_for(sandbox, folder)
        report = fill(settings, *ASKED)
        assert report.complete
        assert report.total("added") == 3284 + 45031
        before, asked = files(folder / "lake"), len(sandbox.requests)
        again = fill(settings, *ASKED)
        assert (again.complete, again.total("requests"), len(sandbox.requests) - asked) == (True, 0, 2)
        assert files(folder / "lake") == before
    return folder / "lake"


def test_every_funding_equals_the_file(lake: Path, shared: Path) -> None:
    """3,284 settlements: the author's dates are UTC+3 without a mark, the rates are the file's digits."""
    (file,) = (shared / "data/funding").glob("BTC-USDT_htx_*.csv.gz")
    author = dt.timezone(dt.timedelta(hours=3))
    expected = sorted(
        (
            from_datetime(dt.datetime.fromisoformat(row["Date"]).replace(tzinfo=author)),
            float(row["Funding Rate"]),
        )
        for row in rows(file)
    )
    found = stored(lake, FUNDINGS)
    assert len(expected) == 3284
    assert list(zip(found["funding_time"], found["funding_rate"], strict=True)) == expected


def test_every_candle_equals_the_file(lake: Path, shared: Path) -> None:
    """45,031 minutes: four prices and the turnover, which is what this file calls volume."""
    expected = [
        (
            from_datetime(dt.datetime.fromisoformat(row["timestamp"])),
            *(float(row[name]) for name in ("open", "high", "low", "close", "volume")),
        )
        for row in rows(shared / "data/klines_other/btc-perp-20211231-20220201_1m.csv.gz")
    ]
    found = stored(lake, MINUTES)
    names = ("open_time", "open", "high", "low", "close", "quote_volume")
    assert len(expected) == 45031
    assert list(zip(*(found[name] for name in names), strict=True)) == expected
    assert found["volume"] == [turnover / close for *_, close, turnover in expected]
    assert set(found["contracts"]) == {None}


def test_the_one_real_hole_of_the_fundings_is_empty_and_late_settlements_are_none(lake: Path) -> None:
    """Twenty-four hours without a settlement after 2021-02-19T08:00Z: empty from when the next was due. Settlements
    that came hours late, off the grid, leave no hole; before the first and after the last: empty."""
    assert verdicts(lake, FUNDINGS) == [
        ("2020-12-01T00:00:00Z", "2021-01-01T00:00:00Z", "empty", 0),
        ("2021-01-01T00:00:00Z", "2021-02-19T16:00:00Z", "present", 149),
        ("2021-02-19T16:00:00Z", "2021-02-20T08:00:00Z", "empty", 0),
        ("2021-02-20T08:00:00Z", "2024-01-01T00:00:00Z", "present", 3135),
        ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "empty", 0),
    ]
    late = [
        time for time in stored(lake, FUNDINGS)["funding_time"] if time % (8 * 3600 * 1_000_000) > 60_000_000
    ]
    assert len(late) > 3


def test_the_candles_have_no_hole_between_their_first_and_their_last_minute(lake: Path) -> None:
    """Before the first recorded minute and after the last: asked, and empty."""
    assert verdicts(lake, MINUTES) == [
        ("2021-12-31T00:00:00Z", "2021-12-31T23:01:00Z", "empty", 0),
        ("2021-12-31T23:01:00Z", "2022-02-01T05:32:00Z", "present", 45031),
        ("2022-02-01T05:32:00Z", "2022-02-02T00:00:00Z", "empty", 0),
    ]


def test_a_notebook_sees_the_same_through_sql(lake: Path) -> None:
    """Counts, bounds and sums of the views are those of the files."""
    with Lake(lake) as door:
        sql = "select count(*), min(funding_time)::varchar, max(funding_time)::varchar from funding_rates"
        assert door.sql(sql).fetchall() == [(3284, "2021-01-01 00:00:00+00", "2023-12-31 16:00:00+00")]
        sql = "select count(*), count(distinct open_time), max(high) from klines where symbol = 'btcusdt'"
        found = stored(lake, MINUTES)
        assert door.sql(sql).fetchall() == [(45031, 45031, max(found["high"]))]
        sql = "select verdict, count(*) from coverage group by 1 order by 1"
        assert door.sql(sql).fetchall() == [("empty", 5), ("present", 3)]
