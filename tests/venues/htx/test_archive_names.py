"""What the files of the archive are called, in both trees (htx-api 1.2, 9.2, 9.3, 9.5)."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.market import Series
from htxdata.sandbox.archive_names import SERIES
from htxdata.venues.htx.archive import BUCKET
from htxdata.venues.htx.archive_names import QUOTES, Tree, pair_of
from htxdata.venues.terms import Archive
from tests.venues.htx.archive_files import ARCHIVES, NEW, OLD, archive_of

EXAMPLES = [
    ("htx-spot", "klines", "btcusdt", "1min", OLD, "2021-05-18",
     "data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-2021-05-18.zip"),
    ("htx-spot", "trades", "btcusdt", None, OLD, "2025-01-01",
     "data/trades/spot/daily/BTCUSDT/BTCUSDT-trades-2025-01-01.zip"),
    ("htx-spot", "klines", "btcusdt", "60min", NEW, "2026-03-01",
     "historical_data/spot/daily/klines/BTC-USDT/1h/BTC-USDT-klines-1h-2026-03-01.zip"),
    ("htx-spot", "trades", "btcusdt", None, NEW, "2026-09-07",
     "historical_data/spot/daily/trades/BTC-USDT/BTC-USDT-trades-2026-09-07.zip"),
    ("htx-spot", "trades", "usdtrub", None, NEW, "2026-09-07",
     "historical_data/spot/daily/trades/USDT-RUB/USDT-RUB-trades-2026-09-07.zip"),
    ("htx-spot", "trades", "币安人生usdt", None, NEW, "2026-09-07",
     "historical_data/spot/daily/trades/币安人生-USDT/币安人生-USDT-trades-2026-09-07.zip"),
    ("htx-linear", "klines", "BTC-USDT", "4hour", OLD, "2021-05-18",
     "data/klines/linear-swap/daily/BTC-USDT/4hour/BTC-USDT-4hour-2021-05-18.zip"),
    ("htx-linear", "trades", "BTC-USDT-230407", None, OLD, "2023-04-01",
     "data/trades/linear-swap/daily/BTC-USDT-230407/BTC-USDT-230407-trades-2023-04-01.zip"),
    ("htx-linear", "mark_klines", "BTC-USDT", "1day", OLD, "2024-01-05",
     "data/mark-price-klines/linear-swap/daily/BTC-USDT/1day/BTC-USDT-1day-2024-01-05.zip"),
    ("htx-linear", "index_klines", "BTC-USDT", "1min", OLD, "2024-01-05",
     "data/index-klines/linear-swap/daily/BTC-USDT/1min/BTC-USDT-1min-2024-01-05.zip"),
    ("htx-linear", "klines", "BTC-USDT", "1min", NEW, "2026-03-01",
     "historical_data/futures/daily/klines/BTC-USDT-PERP/1m/BTC-USDT-PERP-klines-1m-2026-03-01.zip"),
    ("htx-linear", "trades", "BTC-USDT-260206", None, NEW, "2026-02-03",
     "historical_data/futures/daily/trades/BTC-USDT-260206/BTC-USDT-260206-trades-2026-02-03.zip"),
    ("htx-linear", "mark_klines", "BTC-USDT", "1min", NEW, "2026-03-01",
     "historical_data/futures/daily/mark-klines/BTC-USDT-PERP/1m/BTC-USDT-PERP-mark-price-klines-1m-2026-03-01.zip"),
    ("htx-linear", "index_klines", "BTC-USDT", "1day", NEW, "2026-03-01",
     "historical_data/futures/daily/index-klines/BTC-USDT-PERP/1d/BTC-USDT-PERP-index-klines-1d-2026-03-01.zip"),
    ("htx-linear", "funding_rates", "BTC-USDT", None, NEW, "2026-03-01",
     "historical_data/futures/daily/funding-rates/BTC-USDT-PERP/BTC-USDT-PERP-fundingRates-2026-03-01.zip"),
    ("htx-inverse", "klines", "BTC-USD", "1min", OLD, "2021-05-18",
     "data/klines/swap/daily/BTC-USD/1min/BTC-USD-1min-2021-05-18.zip"),
    ("htx-inverse", "trades", "BTC-USD", None, NEW, "2026-03-01",
     "historical_data/futures/daily/trades/BTC-USD-PERP/BTC-USD-PERP-trades-2026-03-01.zip"),
    ("htx-futures", "trades", "BTC210813", None, OLD, "2021-08-02",
     "data/trades/future/daily/BTC210813/BTC210813-trades-2021-08-02.zip"),
    ("htx-futures", "klines", "ADA200807", "1min", OLD, "2020-08-01",
     "data/klines/future/daily/ADA200807/1min/ADA200807-1min-2020-08-01.zip"),
    ("htx-futures", "trades", "BTC260206", None, NEW, "2026-02-03",
     "historical_data/futures/daily/trades/BTC-USD-260206/BTC-USD-260206-trades-2026-02-03.zip"),
]  # fmt: skip


@pytest.mark.parametrize(("venue", "dataset", "symbol", "period", "tree", "day", "key"), EXAMPLES)
def test_keys_are_those_of_the_reference(
    venue: str, dataset: str, symbol: str, period: str | None, tree: str, day: str, key: str
) -> None:
    """Folder, symbol, period and stem as the tree spells them; the folder and the day are read back from the key."""
    series = Series(dataset, venue, symbol, period)
    archive = archive_of(series, tree)
    assert archive.key(series, day) == key
    assert archive.folder(series) == key.rpartition("/")[0] + "/"
    assert archive.day_of(series, key) == day


def test_every_series_of_the_sandbox_is_found_by_its_name() -> None:
    """Of all folders of the sandbox's bucket, each is the folder of exactly the archive and series that it holds."""
    for folder, held in SERIES.items():
        if held.dataset not in {a.dataset for a in ARCHIVES[held.one.venue]}:
            continue  # order books, which are read elsewhere
        series = Series(held.dataset, held.one.venue, held.one.symbol, held.period)
        archive = archive_of(series, held.tree)
        assert archive.folder(series) == folder
        assert archive.key(series, "2026-03-04") == f"{folder}{held.stem}2026-03-04.{held.ending}"
        assert archive.serves(held.period)


_SYMBOLS = {
    "htx-spot": st.sampled_from(["btcusdt", "usdtrub", "dogeusd1", "币安人生usdt"]),
    "htx-linear": st.sampled_from(["BTC-USDT", "BTC-USDT-230407", "币安人生-USDT"]),
    "htx-inverse": st.just("BTC-USD"),
    "htx-futures": st.sampled_from(["BTC210813", "1INCH210813"]),
}


@st.composite
def named(draw: st.DrawFn) -> tuple[Archive, Series]:
    venue = draw(st.sampled_from(sorted(ARCHIVES)))
    archive = draw(st.sampled_from(ARCHIVES[venue]))
    period = draw(st.sampled_from(sorted(archive.periods))) if archive.periods else None
    return archive, Series(archive.dataset, venue, draw(_SYMBOLS[venue]), period)


@given(named(), st.dates(dt.date(2017, 1, 1), dt.date(2030, 1, 1)))
def test_a_key_gives_its_day_back(one: tuple[Archive, Series], date: dt.date) -> None:
    """`day_of` undoes `key`, and takes no checksum, no other day and no other series for it."""
    archive, series = one
    day = date.isoformat()
    key = archive.key(series, day)
    assert key.startswith(archive.folder(series))
    assert archive.day_of(series, key) == day
    for other in (*BUCKET.checksum_keys(key), key[:-1], f"x{key}", key.replace(day, day.replace("-", "")),
                  key.replace(day, f"{day[:4]}-02-30"), key.replace(day, f"{day}-1"), key.replace("-", "_", 1),
                  f"{archive.folder(series)}remark.txt", archive.folder(series)):  # fmt: skip
        assert archive.day_of(series, other) is None


@given(named(), named())
def test_two_series_never_share_a_key(one: tuple[Archive, Series], other: tuple[Archive, Series]) -> None:
    """A key tells venue, dataset, symbol, period and tree."""
    keys = [archive.key(series, "2026-03-01") for archive, series in (one, other)]
    assert (keys[0] == keys[1]) == ((one[0].tree, one[1]) == (other[0].tree, other[1]))


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [("btcusdt", "BTC-USDT"), ("usdtrub", "USDT-RUB"), ("btcusd1", "BTC-USD1"), ("btceuroc", "BTC-EUROC"),
     ("ethbtc", "ETH-BTC"), ("htusdt", "HT-USDT"), ("btcht", "BTC-HT"), ("trxtusd", "TRX-TUSD"), ("hb10", "HB10"),
     ("usdcusdt", "USDC-USDT"), ("usdt", "USDT")],
)  # fmt: skip
def test_pairs_are_split_by_the_longest_quote(symbol: str, pair: str) -> None:
    assert pair_of(symbol) == pair


def test_there_are_as_many_quotes_as_the_survey_found() -> None:
    assert len(QUOTES) == 26
    assert {"USDT", "EUROC", "USD1", "RUB", "BTC", "HT"} <= QUOTES


def test_when_which_tree_is_asked() -> None:
    """The new tree goes first and from its first day on; the old one ends on 2026-08-04; both know their periods."""
    for venue, archives in ARCHIVES.items():
        for dataset in {a.dataset for a in archives}:
            found = [a for a in archives if a.dataset == dataset]
            trees = [a.tree for a in found]
            assert trees == ([NEW] if dataset in ("funding_rates", "book_changes") else [NEW, OLD]), (venue, dataset)
            first = "2026-05-28" if dataset == "book_changes" else "2026-02-01"
            assert (found[0].first, found[0].last) == (first, None)
            assert [a.last for a in found[1:]] == ["2026-08-04"] * (len(found) - 1)
            assert {a.everyday for a in found} == {dataset not in ("trades", "book_changes")}
    first = {venue: {a.first for a in archives if a.tree == OLD} for venue, archives in ARCHIVES.items()}
    assert first == {
        "htx-spot": {"2017-10-27"}, "htx-linear": {"2020-10-21"}, "htx-inverse": {"2020-03-25"},
        "htx-futures": {"2018-11-09"},
    }  # fmt: skip
    periods = {"1min", "5min", "15min", "30min", "60min", "4hour", "1day"}
    for archive in (a for archives in ARCHIVES.values() for a in archives):
        expected = periods if archive.dataset.endswith("klines") else None
        assert (set(archive.periods) if archive.periods else None) == expected
        assert not archive.serves("1week") or expected is None


def test_funding_is_of_linear_contracts_only() -> None:
    assert [venue for venue, found in ARCHIVES.items() if "funding_rates" in {a.dataset for a in found}] == [
        "htx-linear"
    ]
    assert {a.dataset for a in ARCHIVES["htx-spot"]} == {"klines", "trades", "book_changes"}
    assert {a.dataset for a in ARCHIVES["htx-futures"]} == {"klines", "trades", "mark_klines", "book_changes"}


def test_checksums_have_the_spelling_of_their_tree_first() -> None:
    """The old tree replaces the ending, the new one adds to it; the other spelling is tried after it."""
    assert BUCKET.checksum_keys("data/x/A-2024-01-05.zip") == (
        "data/x/A-2024-01-05.CHECKSUM",
        "data/x/A-2024-01-05.zip.CHECKSUM",
    )
    assert BUCKET.checksum_keys("historical_data/x/A.zip") == (
        "historical_data/x/A.zip.CHECKSUM",
        "historical_data/x/A.CHECKSUM",
    )


def test_periods_are_none_where_files_have_none() -> None:
    assert Tree("spot", "trades", True).periods is None
    assert Tree("linear", "funding_rates", True).periods is None
