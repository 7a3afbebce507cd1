"""Archive, then REST, from the sandbox to the lake: every row, every verdict, under every fault of the archive."""

from __future__ import annotations

import datetime as dt
import shutil
import time
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from htxdata.ingest import planning
from htxdata.ingest.asked import Request
from htxdata.ingest.run import Report
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, Window, iso, parse_instant
from tests.truth import (
    assert_archived_candles,
    assert_covers,
    assert_fundings,
    assert_trades,
    files,
    fill,
    fundings,
    klines,
    settings_for,
    stored,
    strays,
    verdicts,
)

SPOT_TRADES = Series("trades", "htx-spot", "bmtusdt")
SWAP_TRADES = Series("trades", "htx-linear", "DOGE-USDT")
COIN_TRADES = Series("trades", "htx-inverse", "DOGE-USD")
DATED_TRADES = Series("trades", "htx-futures", "BTC260327")
MINUTES = Series("klines", "htx-spot", "bmtusdt", "1min")


def trades(series: Series, start: str, end: str | None = None) -> Request:
    return Request("trades", series.venue, (series.symbol,), (), start, end)


def archive_run(sandbox: Sandbox, folder: Path, *requests: Request) -> Report:
    return fill(settings_for(sandbox, folder, archive=True), *requests)


def fetched(sandbox: Sandbox) -> list[str]:
    """The keys of the files (not their checksums) that were asked for."""
    return [
        record.path
        for record in sandbox.requests
        if record.path.endswith((".zip", ".tar.gz")) and record.method == "GET"
    ]


@pytest.mark.parametrize(
    "series",
    [
        SPOT_TRADES,
        SWAP_TRADES,
        pytest.param(COIN_TRADES, marks=pytest.mark.wide),
        pytest.param(DATED_TRADES, marks=pytest.mark.wide),
    ],
    ids=["spot", "linear", "inverse", "futures"],
)
def test_trades_across_the_two_trees(tmp_path: Path, series: Series) -> None:
    """From the old tree to the new one, whole: no row twice, none lost, where the days of files and of lake differ."""
    start, end = "2026-01-30T05:00", "2026-02-02T21:00"
    with Sandbox(seed=3, limits=False) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(series, start, end))
        assert report.complete
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 5000
        assert_covers(tmp_path / "lake", series, start, end)
        keys = [key for key in fetched(sandbox) if "trades" in key]
        assert len(keys) == len(set(keys)) == 6  # five days, one of them from both trees
        assert {key.split("/")[1] for key in keys} == {"data", "historical_data"}
        before = files(tmp_path / "lake")
        again = archive_run(sandbox, tmp_path, trades(series, start, end))
        assert (again.complete, again.outcomes, files(tmp_path / "lake")) == (True, [], before)
    assert strays(tmp_path) == []
    assert not [name for name in before if "spool" in name]


@pytest.mark.wide
@pytest.mark.parametrize("series", [SPOT_TRADES, SWAP_TRADES, MINUTES], ids=str)
def test_where_both_trees_have_a_day_they_are_compared(tmp_path: Path, series: Series) -> None:
    """One day of a month, in full: no difference where they agree, each row that one of them lacks otherwise."""
    start, end = "2026-03-09T16:00", "2026-03-12T16:00"
    periods = (series.period,) if series.period else ()
    request = Request(series.dataset, series.venue, (series.symbol,), periods, start, end)
    with Sandbox(seed=3, limits=False) as sandbox:
        report = archive_run(sandbox, tmp_path / "a", request)
        assert (report.complete, report.total("differences")) == (True, 0)
        files_of_days = [key for key in fetched(sandbox) if series.dataset in key]
        assert len(files_of_days) == 4  # three days, and the first once more from the old tree
    poorer = Rule("replaced_file", host="htx_archive", path="/data/*", fraction=0.02, seconds=3600)
    with Sandbox(seed=3, limits=False, faults=Faults(poorer)) as sandbox:
        report = archive_run(sandbox, tmp_path / "b", request)
        if series.dataset == "trades":
            assert_trades(tmp_path / "b" / "lake", sandbox, series, start, end)
        found = stored(tmp_path / "b" / "lake", Series("source_differences", series.venue, series.symbol))
        assert report.total("differences") == len(found["row_key"]) > 0
        assert set(found["column_name"]) == {"(row)"}
        assert set(zip(found["kept_source"], found["dropped_source"], strict=True)) == {("historical_data", "data")}
        mine = stored(tmp_path / "b" / "lake", series)
        names = mine["trade_id"] if series.dataset == "trades" else [f"1min {iso(at)}" for at in mine["open_time"]]
        assert set(found["row_key"]) <= set(names)


@pytest.mark.wide
@pytest.mark.parametrize(
    ("dataset", "venue", "symbol"),
    [
        ("klines", "htx-spot", "bmtusdt"),
        ("klines", "htx-linear", "DOGE-USDT"),
        ("mark_klines", "htx-linear", "DOGE-USDT"),
        ("index_klines", "htx-linear", "DOGE-USDT"),
        *(
            pytest.param(dataset, *line, marks=pytest.mark.wide)
            for line in (("htx-inverse", "DOGE-USD"), ("htx-futures", "BTC260327"))
            for dataset in ("klines", "mark_klines", "index_klines")
            if (dataset, line[0]) != ("index_klines", "htx-futures")  # the archive has those of perpetuals only
        ),
    ],
)
@pytest.mark.parametrize("period", ["1min", "1day"])
def test_candles_across_the_two_trees(tmp_path: Path, dataset: str, venue: str, symbol: str, period: str) -> None:
    """The same for candles: what the archive says of each is the market's."""
    start, end = "2026-01-28T16:00", "2026-02-04T16:00"
    series = Series(dataset, venue, symbol, period)
    with Sandbox(seed=3, limits=False) as sandbox:
        report = archive_run(sandbox, tmp_path, Request(dataset, venue, (symbol,), (period,), start, end))
        assert report.complete
        names = ("open", "high", "low", "close", *(("volume",) if dataset == "klines" else ()))
        found = assert_archived_candles(tmp_path / "lake", sandbox, series, start, end, names)
        assert found == (7 * 1440 if period == "1min" else 7)
        assert_covers(tmp_path / "lake", series, start, end)
        assert set(stored(tmp_path / "lake", series)["source"]) == {"archive"}
    assert strays(tmp_path) == []


def test_fundings_of_the_archive_are_spare(tmp_path: Path) -> None:
    """REST says more of a funding and serves all of them; what it does not deliver, the archive has since 2026-02."""
    series = Series("funding_rates", "htx-linear", "BTC-USDT")
    with Sandbox(seed=3, limits=False) as sandbox:
        assert archive_run(sandbox, tmp_path / "a", fundings("BTC-USDT", "2026-01-20", "2026-02-10")).complete
        assert assert_fundings(tmp_path / "a" / "lake", sandbox, "BTC-USDT", "2026-01-20", "2026-02-10") > 50
        assert set(stored(tmp_path / "a" / "lake", series)["source"]) == {"rest"}
        assert fetched(sandbox) == []
    broken = Rule("error", host="htx_swap_rest", path="*funding_rate*", status=404)
    with Sandbox(seed=3, limits=False, faults=Faults(broken)) as sandbox:
        start, end = "2026-01-31T00:00", "2026-02-03T16:00"
        report = archive_run(sandbox, tmp_path / "b", fundings("BTC-USDT", start, end))
        assert [str(missing.window) for _, missing in report.missing] == [
            str(Window(parse_instant(start), parse_instant("2026-01-31T16:00")))
        ]
        assert assert_fundings(tmp_path / "b" / "lake", sandbox, "BTC-USDT", "2026-01-31T16:00", end) >= 9
        assert set(stored(tmp_path / "b" / "lake", series)["source"]) == {"archive"}


def test_the_newest_days_come_from_rest(tmp_path: Path) -> None:
    """Up to now: whole days that are published from the archive, the rest from REST, and nothing in between is lost."""
    with Sandbox(seed=3, limits=False) as sandbox:
        now = time.time_ns() // 1000
        start = now - 3 * DAY
        report = archive_run(sandbox, tmp_path, klines("htx-spot", "bmtusdt", "1min", iso(start)))
        assert report.complete
        end = (now - 2 * MINUTE) // MINUTE * MINUTE
        assert assert_archived_candles(tmp_path / "lake", sandbox, MINUTES, start - start % MINUTE + MINUTE, end) > 4000
        rows = stored(tmp_path / "lake", MINUTES)
        assert sorted(rows["source"]) == rows["source"]  # all of the archive's, then all of REST's
        assert set(rows["source"]) == {"archive", "rest"}


@pytest.mark.wide
def test_trades_that_nobody_serves_yet_are_missing(tmp_path: Path) -> None:
    """Between the archive's newest day and the oldest trade of REST there is a hole, and it says so."""
    with Sandbox(seed=3, limits=False) as sandbox:
        start = time.time_ns() // 1000 - 3 * DAY
        series = Series("trades", "htx-spot", "btcusdt")
        report = archive_run(sandbox, tmp_path, trades(series, iso(start)))
        assert not report.complete
        spans = Store(tmp_path / "lake").coverage(series)
        assert [span.source for span in spans if span.verdict == "present"] == ["archive", "rest"]
        for span in spans:
            low = max(start, span.start)
            assert_trades(tmp_path / "lake", sandbox, series, low, low + min(2 * HOUR, span.end - low))
        (hole,) = {missing.window for _, missing in report.missing}
        assert (hole.start, hole.end) == (spans[0].end, spans[1].start)


def test_before_the_listing_it_is_empty(tmp_path: Path) -> None:
    """bmtusdt was listed on 2025-03-18: earlier days have no files, and that is no hole."""
    with Sandbox(seed=3, limits=False) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(SPOT_TRADES, "2025-03-15T16:00", "2025-03-19T16:00"))
        assert report.complete
        assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, "2025-03-15T16:00", "2025-03-19T16:00")
        found = verdicts(tmp_path / "lake", SPOT_TRADES)
        assert found[0][:3] == ("2025-03-15T16:00:00Z", "2025-03-18T00:00:00Z", "empty")
        assert {verdict for _, _, verdict, _ in found[1:]} == {"present"}


BAD = {
    "a listing that is refused": ({"archive_listing": False}, ()),
    "errors, drops, cuts, stalls": (
        {},
        (Rule("error", 0.1, host="htx_archive"), Rule("drop", 0.1, host="htx_archive"),
         Rule("cut", 0.1, host="htx_archive"), Rule("stall", 0.1, host="htx_archive", seconds=0.05)),
    ),
    "a checksum that is late": ({}, (Rule("wrong_checksum", host="htx_archive", times=2),)),
    "a file that is torn in transit": ({}, (Rule("corrupt_file", host="htx_archive", times=2),)),
}  # fmt: skip


@pytest.mark.wide
@pytest.mark.parametrize("bad", BAD)
def test_the_archive_on_a_bad_day(tmp_path: Path, bad: str) -> None:
    """What another attempt mends is mended in one run."""
    switches, rules = BAD[bad]
    start, end = "2026-01-30T16:00", "2026-02-03T16:00"
    with Sandbox(seed=3, limits=False, faults=Faults(*rules, seed=5), **switches) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        assert report.complete, [str(missing) for missing in report.missing]
        assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, start, end)
        assert_covers(tmp_path / "lake", SPOT_TRADES, start, end)
    assert strays(tmp_path) == []


def test_a_file_that_never_matches_its_checksum_is_never_used(tmp_path: Path) -> None:
    """Its day is missing with the reason, its neighbours are whole; once the venue has mended it, a run brings it."""
    start, end = "2025-06-10T16:00", "2025-06-13T16:00"
    rule = Rule("wrong_checksum", host="htx_archive", path="*2025-06-12*", times=40)
    with Sandbox(seed=3, limits=False, faults=Faults(rule)) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        assert not report.complete
        ((series, missing),) = report.missing
        assert series == SPOT_TRADES
        assert (iso(missing.window.start), iso(missing.window.end)) == ("2025-06-11T16:00:00Z", "2025-06-12T16:00:00Z")
        assert "2025-06-12" in missing.why
        assert "sha256" in missing.why or "checksum" in missing.why
        for low, high in ((start, "2025-06-11T16:00"), ("2025-06-12T16:00", end)):
            assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, low, high)
        low, high = missing.window
        assert not [t for t in stored(tmp_path / "lake", SPOT_TRADES)["trade_time"] if low <= t < high]
    with Sandbox(seed=3, limits=False) as sandbox:
        assert archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end)).complete
        assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, start, end)
        assert len(fetched(sandbox)) == 1


def test_a_day_that_is_gone_from_the_archive(tmp_path: Path) -> None:
    """Old trades without a file, though the day's candle saw trades: nobody has them any more."""
    start, end = "2025-06-10T16:00", "2025-06-13T16:00"
    rule = Rule("missing_day", host="htx_archive", path="*trades*2025-06-12*")
    with Sandbox(seed=3, limits=False, faults=Faults(rule)) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        assert report.complete
        ((_, gone),) = report.unobtainable
        assert "candle saw trades" in gone.why
        found = [(a, b, verdict) for a, b, verdict, _ in verdicts(tmp_path / "lake", SPOT_TRADES)]
        assert found == [
            ("2025-06-10T16:00:00Z", "2025-06-11T16:00:00Z", "present"),
            ("2025-06-11T16:00:00Z", "2025-06-12T16:00:00Z", "unobtainable"),
            ("2025-06-12T16:00:00Z", "2025-06-13T16:00:00Z", "present"),
        ]


def test_candles_that_the_archive_lacks_come_from_rest(tmp_path: Path) -> None:
    """A missing file of a day that REST still serves is no hole."""
    start, end = "2025-06-10T16:00", "2025-06-13T16:00"
    rule = Rule("missing_day", host="htx_archive", path="*klines*2025-06-12*")
    series = Series("klines", "htx-linear", "DOGE-USDT", "1min")
    with Sandbox(seed=3, limits=False, faults=Faults(rule)) as sandbox:
        report = archive_run(sandbox, tmp_path, klines("htx-linear", "DOGE-USDT", "1min", start, end))
        assert report.complete
        assert assert_archived_candles(tmp_path / "lake", sandbox, series, start, end) == 3 * 1440
        rows = stored(tmp_path / "lake", series)
        assert [rows["source"][at * 1440 + 700] for at in range(3)] == ["archive", "rest", "archive"]


def test_a_file_that_appears_later(tmp_path: Path) -> None:
    """A recent day whose file is late is missing at first, and comes with the next run."""
    today = dt.datetime.now(dt.UTC)
    day = (today - dt.timedelta(days=4)).date().isoformat()
    start = iso(parse_instant(day) - 8 * HOUR)
    end = iso(parse_instant(day) + 16 * HOUR)
    rule = Rule("late_file", host="htx_archive", path=f"*trades*{day}*", seconds=3600.0)
    with Sandbox(seed=3, limits=False, faults=Faults(rule)) as sandbox:
        report = archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        assert [missing.window for _, missing in report.missing] == [Window(parse_instant(start), parse_instant(end))]
        assert report.unobtainable == []
    with Sandbox(seed=3, limits=False) as sandbox:
        assert archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end)).complete
        assert assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, start, end) > 1000


@pytest.mark.parametrize("series", [SPOT_TRADES, SWAP_TRADES], ids=["spot", "linear"])
def test_a_file_that_is_replaced(tmp_path: Path, series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recent files are compared with the listing once a week; one that has changed is read again, whole."""
    today = time.time_ns() // 1000 // DAY * DAY
    start, end = today - 5 * DAY - 8 * HOUR, today - 3 * DAY - 8 * HOUR
    rule = Rule("replaced_file", host="htx_archive", path="*trades*", fraction=0.2, after=2)
    with Sandbox(seed=3, limits=False, faults=Faults(rule)) as sandbox:
        assert archive_run(sandbox, tmp_path, trades(series, iso(start), iso(end))).complete
        few = len(stored(tmp_path / "lake", series)["price"])
        for key in [key for key in fetched(sandbox) if "trades" in key]:
            urllib.request.urlopen(f"{sandbox.hosts['htx_archive']}{key}").close()  # the second GET, so it is replaced
        assert archive_run(sandbox, tmp_path, trades(series, iso(start), iso(end))).outcomes == []  # not yet a week old
        monkeypatch.setattr(planning, "RECHECK_EVERY", 0)
        assert archive_run(sandbox, tmp_path, trades(series, iso(start), iso(end))).complete
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > few
        before = len([key for key in fetched(sandbox) if "trades" in key])
        archive_run(sandbox, tmp_path, trades(series, iso(start), iso(end)))
        assert len([key for key in fetched(sandbox) if "trades" in key]) == before > 4  # compared, and not fetched


@pytest.mark.parametrize("venue_symbol", [("htx-spot", "bmtusdt"), ("htx-linear", "DOGE-USDT")], ids=["spot", "linear"])
def test_what_rest_brought_first_is_compared_with_the_file(tmp_path: Path, venue_symbol: tuple[str, str]) -> None:
    """REST's rows stay as they are, richer than the file's; what the file says otherwise is a difference, told once."""
    series = Series("klines", *venue_symbol, "60min")
    today = time.time_ns() // 1000 // DAY * DAY
    start, end = today - 5 * DAY - 8 * HOUR, today - 3 * DAY - 8 * HOUR
    request = klines(series.venue, series.symbol, "60min", iso(start), iso(end))
    with Sandbox(seed=3, limits=False) as sandbox:
        assert fill(settings_for(sandbox, tmp_path), request).complete  # without the archive
        store = Store(tmp_path / "lake")
        partition = next(iter(store.partitions(series)))
        table = store.read(partition)
        high = table["high"].to_pylist()
        high[7] *= 2
        wrong = table.set_column(table.column_names.index("high"), table.schema.field("high"), pa.array(high))
        store.commit(partition, wrong.slice(7, 1), [])
        before = stored(tmp_path / "lake", series)
        report = archive_run(sandbox, tmp_path, request)
        assert (report.complete, report.total("differences"), len(fetched(sandbox))) == (True, 1, 2)
        assert stored(tmp_path / "lake", series) == before
        found = stored(tmp_path / "lake", Series("source_differences", series.venue, series.symbol))
        assert (found["row_time"], found["column_name"]) == ([table["open_time"].cast(pa.int64())[7].as_py()], ["high"])
        assert (found["kept"], found["dropped"]) == ([high[7]], [high[7] / 2])
        assert (found["kept_source"], found["dropped_source"]) == (["rest"], ["archive"])
        assert archive_run(sandbox, tmp_path, request).outcomes == []


def test_the_lake_remembers_the_files(tmp_path: Path) -> None:
    """Key, ETag and hash of each file stand in the footers of the partitions that it reached."""
    start, end = "2025-06-10T16:00", "2025-06-12T16:00"
    with Sandbox(seed=3, limits=False) as sandbox:
        archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        store = Store(tmp_path / "lake")
        names = {
            day: [file.key.rpartition("/")[2] for file in store.files(partition_of(SPOT_TRADES, parse_instant(day)))]
            for day in ("2025-06-10", "2025-06-11", "2025-06-12")
        }
        one, two = "BMTUSDT-trades-2025-06-11.zip", "BMTUSDT-trades-2025-06-12.zip"
        assert names == {"2025-06-10": [one], "2025-06-11": [one, two], "2025-06-12": [two]}
        assert all(len(f.sha256) == 64 and f.etag for f in store.files(partition_of(SPOT_TRADES, parse_instant(start))))


def test_a_run_that_died_between_two_partitions_of_one_file(tmp_path: Path) -> None:
    """A file that one partition knows is fetched again for the other, which does not have its rows."""
    start, end = "2025-06-10T16:00", "2025-06-12T16:00"
    with Sandbox(seed=3, limits=False) as sandbox:
        archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end))
        (lost,) = (path for path in (tmp_path / "lake").rglob("*2025-06-11*") if path.is_dir())
        shutil.rmtree(lost)
        assert archive_run(sandbox, tmp_path, trades(SPOT_TRADES, start, end)).complete
        assert assert_trades(tmp_path / "lake", sandbox, SPOT_TRADES, start, end) > 1000


@pytest.mark.wide
@pytest.mark.parametrize(
    ("series", "file"),
    [
        (
            Series("book_changes", "htx-spot", "btcusdt"),
            "spot/daily/orderbook/lv400/BTC-USDT/BTC-USDT-l2orderbook-400lv",
        ),
        (
            Series("book_changes", "htx-linear", "DOGE-USDT"),
            "futures/daily/orderbook/lv150/DOGE-USDT-PERP/DOGE-USDT-PERP-l2orderbook-150lv",
        ),
    ],
    ids=["spot", "linear"],
)
def test_order_books(tmp_path: Path, series: Series, file: str) -> None:
    """A day of book changes is the market's, value by value; a partition that is lost comes back, once."""
    start, end = "2026-06-01T16:00", "2026-06-02T16:00"
    request = Request("book_changes", series.venue, (series.symbol,), (), start, end)
    names = ["book_time", "kind", "side", "price", "size", "sequence"]
    names += ["contracts"] if "linear" in series.venue else []
    with Sandbox(seed=3, limits=False) as sandbox:
        assert archive_run(sandbox, tmp_path, request).complete
        days = [sandbox.archive_rows(f"historical_data/{file}-{day}.tar.gz") for day in ("2026-06-02",)]
        due = {name: [value for day in days for value in day[name].tolist()] for name in names}
        have = _columns(tmp_path / "lake", series, names)
        assert len(have["price"]) > 1000
        assert have == due
        before = files(tmp_path / "lake")
        assert archive_run(sandbox, tmp_path, request).outcomes == []
        assert files(tmp_path / "lake") == before
        (lost,) = (path for path in (tmp_path / "lake").rglob("*2026-06-02*") if path.is_dir())
        shutil.rmtree(lost)
        assert archive_run(sandbox, tmp_path, request).complete
        assert _columns(tmp_path / "lake", series, names) == due


def _columns(lake: Path, series: Series, names: list[str]) -> dict[str, list[Any]]:
    """As ``stored``, for tables of many rows."""
    store = Store(lake)
    table = pa.concat_tables(store.read(partition).select(names) for partition in store.partitions(series))
    times = table["book_time"].cast(pa.int64())
    return table.set_column(names.index("book_time"), "book_time", times).to_pydict()
