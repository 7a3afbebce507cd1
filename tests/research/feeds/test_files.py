"""Files for engines, read with pandas, pyarrow and numpy: names, columns, labels, units, and the same bytes twice."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pytest

from htxdata import open_lake
from htxdata.errors import UsageError
from htxdata.research.feeds import freqtrade, hftbacktest, lean, nautilus_trader, qlib, zipline_reloaded
from htxdata.research.feeds.engines import ENGINES, Exported, engine, export
from htxdata.research.feeds.files import Folder
from htxdata.research.lake import Lake
from htxdata.timeline import DAY, MINUTE
from tests.research.feeds import small_lake
from tests.research.feeds.small_lake import END, START

VALUES = ("open", "high", "low", "close", "volume")
SWAPS = ("BTC-USDT", "ETH-USDT", "MDX-USDT")


@pytest.fixture(scope="module")
def opened(lake: Path) -> Iterator[Lake]:
    with open_lake(str(lake)) as found:
        yield found  # type: ignore[misc]


def run(
    opened: Lake, name: str, out: Path, *symbols: str, venue: str = "htx-linear", **more: Any
) -> Exported:
    return export(name, opened, out, venue=venue, symbols=symbols or ["BTC-USDT"], **more)


def truth(symbol: str = "BTC-USDT", venue: str = "htx-linear") -> dict[str, Any]:
    return small_lake.candles(venue, symbol)


# -------------------------------------------------------------------------------------------- what holds for all


def options_of(name: str) -> dict[str, Any]:
    which = engine(name)
    return {"trades": which.trades, "wanted": ["1min", "utc_day"] if which.bars else []}


@pytest.mark.parametrize("name", [each.name for each in ENGINES if each.name != "nautilus_trader"])
def test_the_same_export_makes_the_same_bytes(
    opened: Lake, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into another folder, at another time; nothing but the files that are told of is there."""
    made = []
    for place, now in (("one", 1_000_000_000.0), ("two", 1_700_000_123.0)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        done = run(opened, name, tmp_path / place, **options_of(name))
        there = {
            str(path.relative_to(tmp_path / place)): path.read_bytes()
            for path in (tmp_path / place).rglob("*")
            if path.is_file()
        }
        assert sorted(there) == sorted(done.files)
        assert done.holes == ()
        made.append(there)
    assert made[0] == made[1]
    assert made[0]


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """What dies while it is written leaves the file as it was, and nothing beside it."""
    folder = Folder(tmp_path)
    folder.write("a/b.csv", "old")

    def dies() -> None:
        with folder.open("a/b.csv") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        dies()
    assert (tmp_path / "a" / "b.csv").read_text() == "old"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b.csv"]


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """It says which, and why."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--output '.*file' cannot be written: "):
        Folder(tmp_path / "file")


def test_progress_tells_every_period_and_day(opened: Lake, tmp_path: Path) -> None:
    """A long export of one symbol is not silent."""
    told: list[tuple[str, int, int]] = []
    run(opened, "hftbacktest", tmp_path, step=lambda *words: told.append(words))
    assert {("BTC-USDT 2024-01-02", 1, 1), ("BTC-USDT 2024-01-03", 1, 1)} <= set(told)
    told.clear()
    run(
        opened,
        "vectorbt",
        tmp_path,
        "BTC-USDT",
        "ETH-USDT",
        wanted=["1min", "7min"],
        step=lambda *w: told.append(w),
    )
    expected = [
        (f"{symbol} {period}", n, 2)
        for n, symbol in ((1, "BTC-USDT"), (2, "ETH-USDT"))
        for period in ("1min", "7min")
    ]
    assert told == expected


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("backtesting", "backtesting.py"), ("Backtesting.py", "backtesting.py"), ("nautilus", "nautilus_trader"),
     ("NautilusTrader", "nautilus_trader"), ("zipline", "zipline-reloaded"), ("zipline_reloaded", "zipline-reloaded"),
     ("QLib", "qlib"), ("pyqlib", "qlib"), ("LEAN", "lean"), ("vbt", "vectorbt")],
)  # fmt: skip
def test_names_of_engines_in_any_spelling(spelling: str, name: str) -> None:
    """As people write them."""
    assert engine(spelling).name == name


# ------------------------------------------------------------------------------------------------------ engines


def test_parquet_gives_the_frames_back(opened: Lake, tmp_path: Path) -> None:
    """pandas reads the index with its name, zone and resolution, and every number."""
    from htxdata import feeds

    run(opened, "backtesting.py", tmp_path)
    frame = pd.read_parquet(tmp_path / "htx-linear_BTC-USDT_1min.parquet")
    pd.testing.assert_frame_equal(
        frame, feeds.backtesting(opened, "BTC-USDT", venue="htx-linear"), check_freq=False
    )
    run(opened, "vectorbt", tmp_path / "vbt")
    frame = pd.read_parquet(tmp_path / "vbt" / "htx-linear_BTC-USDT_1min.parquet")
    expected = feeds.vectorbt(opened, "BTC-USDT", venue="htx-linear")["BTC-USDT"]
    pd.testing.assert_frame_equal(frame, expected, check_freq=False)


def test_backtraders_lines(opened: Lake, tmp_path: Path) -> None:
    """END labels, digits as stored, funding in the eighth place; a price of 1.5e-05 has no exponent."""
    run(opened, "backtrader", tmp_path)
    rows = list(csv.reader((tmp_path / "htx-linear_BTC-USDT_1min.csv").open()))
    known = truth()
    assert rows[0] == ["datetime", *VALUES, "openinterest", "funding"]
    assert (rows[1][0], rows[-1][0]) == ("2024-01-02 00:01:00", "2024-01-05 00:00:00")
    for at, name in enumerate(VALUES, 1):
        assert [float(row[at]) for row in rows[1:]] == known[name].tolist()
    funded = {row[0]: float(row[7]) for row in rows[1:] if row[7] != "0"}
    rates = small_lake.fundings("BTC-USDT")
    assert (
        funded["2024-01-02 08:00:00"]
        == rates["funding_rate"][rates["funding_time"] == START + 8 * 60 * MINUTE]
    )
    run(opened, "backtrader", tmp_path, "pepeusdt", venue="htx-spot")
    small = list(csv.reader((tmp_path / "htx-spot_pepeusdt_1min.csv").open()))
    assert re.fullmatch(r"0\.0000\d+", small[1][1])
    assert float(small[1][1]) == truth("pepeusdt", "htx-spot")["open"][0]


def test_freqtrades_files(opened: Lake, tmp_path: Path) -> None:
    """Names, column order, milliseconds, lz4; a funding is a row at its time with the rate in ``open``."""
    done = run(opened, "freqtrade", tmp_path, wanted=["1min", "4hour", "utc_week", "utc_month"])
    top = "futures/BTC_USDT_USDT"
    assert set(done.files) == {
        f"{top}-1m-futures.feather", f"{top}-4h-futures.feather", f"{top}-1w-futures.feather",
        f"{top}-1Mo-futures.feather", f"{top}-1h-funding_rate.feather", f"{top}-1h-mark.feather",
    }  # fmt: skip
    table = feather.read_table(tmp_path / f"{top}-1m-futures.feather")
    known = truth()
    assert table.column_names == ["date", *VALUES]
    assert table.schema.field("date").type == pa.timestamp("ms", tz="UTC")
    assert table["date"].cast(pa.int64()).to_pylist() == (known["open_time"] // 1000).tolist()
    for name in VALUES:
        assert table[name].to_pylist() == known[name].tolist()
    rates = small_lake.fundings("BTC-USDT")
    mine = (rates["funding_time"] >= START) & (rates["funding_time"] <= END)
    funding = feather.read_table(tmp_path / f"{top}-1h-funding_rate.feather")
    assert funding["date"].cast(pa.int64()).to_pylist() == (rates["funding_time"][mine] // 1000).tolist()
    assert funding["open"].to_pylist() == rates["funding_rate"][mine].tolist()
    assert not any(any(funding[name].to_pylist()) for name in VALUES[1:])
    mark = feather.read_table(tmp_path / f"{top}-1h-mark.feather")
    assert (
        mark["close"].to_pylist()
        == small_lake.MARKET.mark_klines("htx-linear", "BTC-USDT", "60min", START, END)["close"].tolist()
    )
    assert set(funding["date"].to_pylist()[:-1]) <= set(mark["date"].to_pylist())
    with ipc.open_file(tmp_path / f"{top}-1m-futures.feather") as file:
        assert file.schema == freqtrade.CANDLES


def test_freqtrades_trades(opened: Lake, tmp_path: Path) -> None:
    """Seven columns in the order that freqtrade counts on; cost is price times amount where the venue does not say
    it."""
    done = run(opened, "freqtrade", tmp_path, "btcusdt", venue="htx-spot", trades=True, wanted=["5min"])
    assert done.files == ("BTC_USDT-5m.feather", "BTC_USDT-trades.feather")
    table = feather.read_table(tmp_path / "BTC_USDT-trades.feather")
    ticks = small_lake.trades("htx-spot", "btcusdt", START, START + 60 * MINUTE)
    assert table.column_names == ["timestamp", "id", "type", "side", "price", "amount", "cost"]
    assert table["timestamp"].to_pylist() == (ticks["trade_time"] // 1000).tolist()
    assert table["id"].to_pylist() == ticks["trade_id"].tolist()
    assert table["side"].to_pylist() == ticks["side"].tolist()
    assert table["price"].to_pylist() == ticks["price"].tolist()
    assert table["amount"].to_pylist() == ticks["quantity"].tolist()
    assert table["cost"].to_pylist() == pytest.approx((ticks["price"] * ticks["quantity"]).tolist(), abs=1e-3)


def test_qlibs_folder(opened: Lake, tmp_path: Path) -> None:
    """A full calendar; each field from the symbol's first slot on, NaN where there was no trade; float32."""
    run(opened, "qlib", tmp_path, *SWAPS, wanted=["1min", "utc_day"])
    calendar = (tmp_path / "calendars" / "1min.txt").read_text().split("\n")[:-1]
    assert (len(calendar), calendar[0], calendar[-1]) == (4320, "2024-01-02 00:00:00", "2024-01-04 23:59:00")
    assert (tmp_path / "calendars" / "day.txt").read_text().split() == [
        "2024-01-02",
        "2024-01-03",
        "2024-01-04",
    ]
    for symbol in SWAPS:
        known = truth(symbol)
        known = {
            name: known[name][known["open_time"] >= (START + DAY if symbol == "ETH-USDT" else START)]
            for name in ("open_time", *VALUES)
        }
        for name in VALUES:
            values = np.fromfile(tmp_path / "features" / symbol.lower() / f"{name}.1min.bin", "<f4")
            slots = (known["open_time"] - START) // MINUTE
            assert values[0] == slots[0]
            rest = values[1:]
            assert np.array_equal(rest[slots - slots[0]], known[name].astype("f4"))
            assert np.isnan(rest).sum() == len(rest) - len(slots)
    lines = (tmp_path / "instruments" / "all.txt").read_text().splitlines()
    assert lines[1] == "ETH-USDT\t2024-01-03 00:00:00\t2024-01-04 23:59:00"
    assert np.fromfile(tmp_path / "features" / "btc-usdt" / "factor.day.bin", "<f4").tolist() == [
        0.0,
        1.0,
        1.0,
        1.0,
    ]


def test_a_qlib_calendar_does_not_change_under_other_symbols(opened: Lake, tmp_path: Path) -> None:
    """Places count in the calendar: a symbol that would move it is refused where others hang on it."""
    run(opened, "qlib", tmp_path, "BTC-USDT")
    with pytest.raises(UsageError, match="holds btc-usdt over another calendar"):
        run(opened, "qlib", tmp_path, "ETH-USDT")
    run(opened, "qlib", tmp_path, "BTC-USDT", "ETH-USDT")
    assert [qlib.freq(each) for each in ("1min", "60min", "4hour", "utc_day", "utc_week")] == [
        "1min",
        "60min",
        "240min",
        "day",
        "week",
    ]


def _zip(path: Path) -> tuple[str, list[list[str]]]:
    with zipfile.ZipFile(path) as archive:
        (entry,) = archive.infolist()
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        return entry.filename, list(csv.reader(io.StringIO(archive.read(entry).decode())))


def test_leans_folder(opened: Lake, tmp_path: Path) -> None:
    """A zip for each UTC day of minutes, one for all days; decimals without exponents; fundings as margin interest."""
    run(opened, "lean", tmp_path, wanted=["1min", "utc_day"])
    known = truth()
    top = tmp_path / "cryptofuture" / "htx"
    for day, name in enumerate(("20240102", "20240103", "20240104")):
        entry, rows = _zip(top / "minute" / "btcusdt" / f"{name}_trade.zip")
        assert entry == f"{name}_btcusdt_minute_trade_perp.csv"
        mine = (known["open_time"] - START) // DAY == day
        assert [int(row[0]) * 1000 for row in rows] == ((known["open_time"][mine] - START) % DAY).tolist()
        for at, column in enumerate(VALUES, 1):
            assert [Decimal(row[at]) for row in rows] == [
                Decimal(repr(each)) for each in known[column][mine].tolist()
            ]
    entry, rows = _zip(top / "daily" / "btcusdt_trade.zip")
    assert (entry, [row[0] for row in rows]) == (
        "btcusdt_trade_perp.csv",
        ["20240102 00:00", "20240103 00:00", "20240104 00:00"],
    )
    assert (top / "margin_interest" / "btcusdt.csv").read_text().startswith("20240102 00:00:00,-0.000")
    run(opened, "lean", tmp_path, "pepeusdt", venue="htx-spot", wanted=["60min"])
    entry, rows = _zip(tmp_path / "crypto" / "htx" / "hour" / "pepeusdt_trade.zip")
    assert (entry, len(rows), rows[0][0]) == ("pepeusdt.csv", 72, "20240102 00:00")
    assert re.fullmatch(r"0\.0000\d+", rows[0][1])
    hours = json.loads((tmp_path / "market-hours" / "crypto-htx.json").read_text())["entries"][
        "Crypto-htx-[*]"
    ]
    assert (hours["dataTimeZone"], hours["sunday"][0]["end"]) == ("UTC", "1.00:00:00")
    rows = (tmp_path / "symbol-properties" / "crypto-htx-pepeusdt.csv").read_text().splitlines()
    assert rows[1].startswith("htx,PEPEUSDT,crypto,,USDT,1,0.0000")
    for period in ("5min", "utc_week"):
        with pytest.raises(UsageError, match="LEAN has files of 1min, 60min and utc_day"):
            lean.resolution(period)


def test_ziplines_scales(opened: Lake, tmp_path: Path) -> None:
    """Prices to thousandths and volumes as whole numbers of 32 bits lose nothing by powers of ten, the same in all
    files."""
    run(opened, "zipline-reloaded", tmp_path, wanted=["1min", "utc_day"])
    run(opened, "zipline-reloaded", tmp_path, "pepeusdt", venue="htx-spot")
    for symbol, venue in (("BTC-USDT", "htx-linear"), ("pepeusdt", "htx-spot")):
        about = json.loads((tmp_path / "scales" / f"{symbol}.json").read_text())
        assert about["digits_lost"] == (symbol == "pepeusdt")  # 2311721.52432418 coins are more than 32 bits
        rows = list(csv.DictReader((tmp_path / "minute" / f"{symbol}.csv").open()))
        known = truth(symbol, venue)
        for name, factor, kept in (("close", about["price_scale"], 3), ("volume", about["volume_scale"], 0)):
            written = [Decimal(row[name]) for row in rows]
            exact = [Decimal(repr(each)) * Decimal(repr(factor)) for each in known[name].tolist()]
            if name == "volume" and about["digits_lost"]:
                exact = [each.quantize(Decimal(1), ROUND_HALF_EVEN) for each in exact]
            assert written == exact
            assert all(each * 10**kept == int(each * 10**kept) < 2**32 - 1 for each in written)
        assert rows[0]["date"] == "2024-01-02 00:01:00"
        assert {(row["dividend"], row["split"]) for row in rows} == {("0", "1")}
    days = list(csv.DictReader((tmp_path / "daily" / "BTC-USDT.csv").open()))
    assert [day["date"] for day in days] == ["2024-01-02", "2024-01-03", "2024-01-04"]
    assert (tmp_path / "zipline_bundle.py").read_bytes() == Path(zipline_reloaded.__file__).with_name(
        "zipline_bundle.py"
    ).read_bytes()


def test_a_zipline_day_without_a_candle_is_a_row_of_zeros(opened: Lake, tmp_path: Path) -> None:
    """An outage on the second day leaves no whole day: the session stays, as zipline's mark of no trade; it is told."""
    done = run(opened, "zipline-reloaded", tmp_path, "WAVES-USDT", wanted=["utc_day"])
    assert [str(hole) for hole in done.holes] == [
        "klines htx-linear WAVES-USDT utc_day [2024-01-03T00:00:00Z, 2024-01-04T00:00:00Z): outage"
    ]
    rows = (tmp_path / "daily" / "WAVES-USDT.csv").read_text().splitlines()
    assert rows[2] == "2024-01-03,0,0,0,0,0,0,1"
    assert len(rows) == 4


def test_scales_give_way_to_the_largest_value() -> None:
    """32 bits hold what is largest; then digits are lost, and that is known."""
    assert zipline_reloaded.scale(np.array([30_000.123456]), 3) == 100
    assert zipline_reloaded.scale(np.array([1.5e-05]), 3) == 1000
    assert zipline_reloaded.scale(np.array([5e9]), 0) == 0.1
    assert zipline_reloaded.scale(np.array([np.nan]), 0) == 1


def test_hftbacktests_files(opened: Lake, tmp_path: Path) -> None:
    """One array a day under ``data``, 64 bytes a row, aligned; every trade and level once for each clock; steps
    beside it."""
    done = run(opened, "hftbacktest", tmp_path)
    assert done.files == ("btc-usdt_20240102.npz", "btc-usdt_20240103.npz", "btc-usdt.json")
    assert json.loads((tmp_path / "btc-usdt.json").read_text()) == {
        "tick_size": 0.1,
        "lot_size": 0.001,
        "contract_size": 0.001,
    }
    days = [np.load(tmp_path / name)["data"] for name in done.files[:2]]
    rows = np.concatenate(days)
    assert (rows.dtype, rows.dtype.itemsize) == (hftbacktest.EVENT, 64)
    for flag, clock in ((hftbacktest.EXCH, "exch_ts"), (hftbacktest.LOCAL, "local_ts")):
        mine = rows[rows["ev"] & np.uint64(flag) > 0]
        assert (np.diff(mine[clock]) >= 0).all()
        ticks, levels = small_lake.live_trades(), small_lake.book()
        trades = mine[mine["ev"] & np.uint64(0xFF) == hftbacktest.TRADE]
        assert trades["px"].tolist() == ticks["price"].tolist()
        assert trades["exch_ts"].tolist() == (ticks["trade_time"] * 1000).tolist()
        assert trades["local_ts"].tolist() == (ticks["received_at"] * 1000).tolist()
        buys = trades["ev"] & np.uint64(hftbacktest.BUY) > 0
        assert buys.tolist() == (ticks["side"] == "buy").tolist()
        kinds = mine["ev"] & np.uint64(0xFF)
        depth = mine[(kinds == hftbacktest.DEPTH) | (kinds == hftbacktest.SNAPSHOT)]
        found = np.array([depth["exch_ts"] // 1000, depth["px"], depth["qty"]])
        due = np.array([levels["book_time"], levels["price"], levels["size"]])
        assert np.array_equal(found[:, np.lexsort(found)], due[:, np.lexsort(due)])
        assert (kinds == hftbacktest.CLEAR).sum() == 4
    assert (rows["local_ts"] > rows["exch_ts"]).all()


def test_without_nautilus_a_sentence_says_what_to_install(opened: Lake, tmp_path: Path) -> None:
    """It is not beside our lock; nothing is left in the folder."""
    with pytest.raises(UsageError, match=r"pip install 'htxdata\[nautilus\]'"):
        run(opened, "nautilus", tmp_path)
    assert not list(tmp_path.iterdir())
    assert nautilus_trader.bar_type("htx-linear", "BTC-USDT", "60min") == "BTC-USDT.HTX-1-HOUR-LAST-EXTERNAL"
    assert nautilus_trader.bar_type("hashkey", "BTCUSDT", "utc_day") == "BTCUSDT.HASHKEY-1-DAY-LAST-EXTERNAL"
