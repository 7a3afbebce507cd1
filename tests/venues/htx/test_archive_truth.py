"""What the readers make of the sandbox's files is the sandbox's truth: every market, dataset, tree, period, era."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from htxdata.market import Series
from htxdata.sandbox.archive_bucket import Bucket
from tests.venues.htx.archive_files import ARCHIVES, NEW, OLD, archive_of, bucket, csv_in, rows_of

SPOT, LINEAR = "htx-spot", "htx-linear"
DAYS = {OLD: ("2024-01-05", "2026-04-20", "2026-07-15"), NEW: ("2026-03-20", "2026-08-20")}
"""Of the old tree: without a header, with one that begins with `id`, with `timestamp` (if the sandbox has both)."""
SIZES = {"BTC-USDT": 0.001, "SHIB-USDT": 1000.0, "DOGE-USDT": 100.0}


@pytest.fixture(scope="module")
def source() -> Bucket:
    return bucket()


def truth_of(source: Bucket, key: str) -> dict[str, list[Any]]:
    """The truth by our names, without what the archive does not say."""
    return {name: list(column) for name, column in source.truth(key).items() if column is not None}


def check(found: dict[str, list[Any]], truth: dict[str, list[Any]], left_out: set[str]) -> None:
    assert found.keys() == truth.keys() - left_out, sorted(truth)
    for name, column in found.items():
        assert column == list(map(type(column[0]), truth[name])) if column else truth[name] == [], name


def candle_cases() -> list[Any]:
    cases = []
    for venue, symbol in ((SPOT, "btcusdt"), (LINEAR, "BTC-USDT")):
        for archive in ARCHIVES[venue]:
            for number, period in enumerate(archive.periods or ()):
                # Every day with minutes, one of them with each of the others: the sandbox takes a while to grow them.
                days = DAYS[archive.tree]
                for day in days if period == "1min" else days[number % len(days) :][:1]:
                    cases.append(
                        pytest.param(Series(archive.dataset, venue, symbol, period), archive.tree, day)
                    )
    return cases


@pytest.mark.parametrize(("series", "tree", "day"), candle_cases())
def test_candles_are_the_truth(source: Bucket, series: Series, tree: str, day: str) -> None:
    """Every row of a day, every column: both orders, both ways round of volumes, with and without a header."""
    key = archive_of(series, tree).key(series, day)
    truth = truth_of(source, key)
    left_out = {"trade_count"}
    if series.venue == LINEAR and tree == OLD:
        left_out |= {"quote_volume"}  # htx-api 9.2: contracts and coins only
    elif series.venue == SPOT:
        left_out |= {"contracts"}
    assert len(truth["open_time"])
    if series.dataset != "klines":
        left_out |= {"volume", "quote_volume", "contracts"}
    found = rows_of(series, tree, csv_in(source, key))
    check(found, truth, left_out & truth.keys())


@pytest.mark.parametrize(
    ("venue", "symbol", "day"),
    [(SPOT, "dogeusdt", "2025-01-05"), (SPOT, "pepeusdt", "2025-11-20"), (SPOT, "ethbtc", "2025-11-20"),
     (SPOT, "币安人生usdt", "2025-11-20"), (SPOT, "mdxusdt", "2024-01-05"), (LINEAR, "SHIB-USDT", "2025-01-05"),
     (LINEAR, "币安人生-USDT", "2025-11-20"), (LINEAR, "BTC-USDT-250328", "2025-01-05"),
     (LINEAR, "KSM-USDT", "2025-01-05"), (SPOT, "pepeusdt", "2026-08-20"), (LINEAR, "SHIB-USDT", "2026-08-20")],
)  # fmt: skip
def test_candles_of_odd_symbols_are_the_truth(source: Bucket, venue: str, symbol: str, day: str) -> None:
    """Small prices, exponents, quiet and dated instruments, names that are not ASCII."""
    series, tree = Series("klines", venue, symbol, "1min"), NEW if day > "2026-02-01" else OLD
    key = archive_of(series, tree).key(series, day)
    truth = truth_of(source, key)
    assert len(truth["open_time"])
    found = rows_of(series, tree, csv_in(source, key), SIZES.get(symbol))
    left_out = {"trade_count", "contracts"} if venue == SPOT else {"trade_count"}
    check(
        found,
        truth,
        (left_out | ({"quote_volume"} if venue == LINEAR and tree == OLD else set())) & truth.keys(),
    )


@pytest.mark.parametrize("symbol", ["btcusdt", "pepeusdt"])
@pytest.mark.parametrize(("tree", "day"), [(OLD, "2024-03-09"), (OLD, "2026-07-15"), (NEW, "2026-08-20")])
def test_spot_trades_are_the_truth(source: Bucket, symbol: str, tree: str, day: str) -> None:
    series = Series("trades", SPOT, symbol)
    key = archive_of(series, tree).key(series, day)
    truth = truth_of(source, key)
    assert len(truth["trade_id"]) > 1000 or symbol != "btcusdt"
    found = rows_of(series, tree, csv_in(source, key))
    check(found, truth, {"quote_quantity", "contracts"} & truth.keys())


@pytest.mark.parametrize(
    ("symbol", "tree", "day", "unit"),
    [("BTC-USDT", OLD, "2024-03-09", "contracts"), ("BTC-USDT", OLD, "2026-07-15", "contracts"),
     ("SHIB-USDT", OLD, "2024-03-09", "contracts"), ("BTC-USDT", NEW, "2026-08-20", "contracts"),
     ("SHIB-USDT", NEW, "2026-08-20", "contracts"), ("BTC-USDT", NEW, "2026-08-20", "coins")],
)  # fmt: skip
def test_linear_trades_are_the_truth(source: Bucket, symbol: str, tree: str, day: str, unit: str) -> None:
    """Contracts and coins, whichever of both a file of the new tree counts.

    Coins that are whole numbers on every row (1000 a contract) would be read as contracts: htx-api 9.3 [C].
    """
    kept = bucket(perp_size="coins") if unit == "coins" else source
    series = Series("trades", LINEAR, symbol)
    key = archive_of(series, tree).key(series, day)
    truth = truth_of(kept, key)
    assert len(truth["trade_id"]) > 100
    found = rows_of(series, tree, csv_in(kept, key), SIZES[symbol])
    check(found, truth, set() if tree == OLD else {"quote_quantity"})


@pytest.mark.parametrize(("venue", "symbol", "tree", "day"), [
    (SPOT, "btcusdt", OLD, "2024-03-09"), (LINEAR, "BTC-USDT", NEW, "2026-08-20"),
])  # fmt: skip
def test_rows_that_share_an_id_get_names(venue: str, symbol: str, tree: str, day: str) -> None:
    """An id that occurs once stays; where it repeats, each row is named by time, price, quantity, side, occurrence."""
    kept, series = bucket(repeated_ids=0.05), Series("trades", venue, symbol)
    key = archive_of(series, tree).key(series, day)
    truth = truth_of(kept, key)
    often, seen, expected = Counter(truth["trade_id"]), Counter[str](), []
    rows = zip(*(truth[n] for n in ("trade_id", "trade_time", "price", "quantity", "side")), strict=True)
    for identity, time, price, quantity, side in rows:
        stem = f"{time // 1000}-{float(price)!r}-{float(quantity)!r}-{side}".replace(".0-", "-")
        seen[stem] += often[identity] > 1
        expected.append(str(identity) if often[identity] == 1 else f"{stem}-{seen[stem]}")
    assert max(often.values()) > 1
    assert max(seen.values()) > 1
    found = rows_of(series, tree, csv_in(kept, key), SIZES.get(symbol))
    assert found["trade_id"] == expected
    assert len(set(expected)) == len(expected)
    assert found["price"] == truth["price"]


@pytest.mark.parametrize("day", ["2026-03-20", "2026-08-20"])
def test_fundings_are_the_truth(source: Bucket, day: str) -> None:
    """The minute that REST says, whatever the second in the file; the rate digit for digit."""
    series = Series("funding_rates", LINEAR, "BTC-USDT")
    key = archive_of(series, NEW).key(series, day)
    truth, text = truth_of(source, key), csv_in(source, key)
    assert any(int(line.rsplit(b",", 1)[1]) % 60_000 for line in text.split()[1:])
    found = rows_of(series, NEW, text)
    assert found == {
        "funding_time": truth["funding_time"],
        "funding_rate": list(map(float, truth["funding_rate_text"])),
    }
    assert len(found["funding_time"]) == 3
