"""What the files of the archive say, against the market's truth: both trees, every kind, and where they change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from htxdata.sandbox import Market
from tests.sandbox.archive_client import ArchiveClient, archive, checksum_of, window

SPOT, LINEAR = "htx-spot", "htx-linear"
NEW_KLINES = ["instId", "open", "high", "low", "close", "vol", "volCcy", "volCcyQuote", "ts"]
NEW_PRICES = ["instId", "open", "high", "low", "close", "ts"]
NEW_TRADES = ["instId", "tradeId", "px", "side", "size", "ts"]
PERIODS = {
    "1min": "1m",
    "5min": "5m",
    "15min": "15m",
    "30min": "30m",
    "60min": "1h",
    "4hour": "4h",
    "1day": "1d",
}


@pytest.fixture(scope="module")
def client() -> Iterator[ArchiveClient]:
    with archive() as made:
        yield made


def floats(texts: Any) -> list[float]:
    return [float(text) for text in texts]


def columns(rows: list[list[str]], count: int) -> list[list[str]]:
    """Rows turned round; so many empty columns if there are none."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


def told(times: list[str], **texts: list[str]) -> dict[str, list[Any]]:
    """What a file says of candles: when they open in microseconds, and the numbers of its columns by our names."""
    return {"open_time": [int(text) * 10**6 for text in times]} | {name: floats(said) for name, said in texts.items()}


def due(truth: dict[str, Any], *names: str) -> dict[str, list[Any]]:
    """The market's candles in the same words: their open, high, low and close, and ``names``."""
    return {name: truth[name].tolist() for name in ("open_time", "open", "high", "low", "close", *names)}


def legacy_key(kind: str, market: str, name: str, day: str, period: str | None = None) -> str:
    folder = f"data/{kind}/{market}/daily/{name}/" + (f"{period}/" if period else "")
    return f"{folder}{name}-{period or 'trades'}-{day}.zip"


def current_key(kind: str, market: str, name: str, day: str, period: str | None = None) -> str:
    word = {"mark-klines": "mark-price-klines", "funding-rates": "fundingRates"}.get(kind, kind)
    folder = f"historical_data/{market}/daily/{kind}/{name}/" + (f"{period}/" if period else "")
    return f"{folder}{name}-{word}-" + (f"{period}-" if period else "") + f"{day}.zip"


# --------------------------------------------------------------------------------------------------- the old tree


@pytest.mark.parametrize("period", PERIODS)
def test_old_spot_klines_are_the_markets(client: ArchiveClient, market: Market, period: str) -> None:
    """Columns open, close, high, low, quote turnover, base volume; the day opens at 16:00 UTC."""
    rows = client.rows(legacy_key("klines", "spot", "BTCUSDT", "2024-01-05", period))
    times, opens, closes, highs, lows, vol, amount = columns(rows, 7)
    truth = market.klines(SPOT, "btcusdt", period, *window("2024-01-05"))
    found = told(times, open=opens, high=highs, low=lows, close=closes, quote_volume=vol, volume=amount)
    assert found == due(truth, "quote_volume", "volume")
    assert int(times[0]) % 86_400 == 16 * 3600


@pytest.mark.parametrize("symbol", ["dogeusdt", "pepeusdt", "ethbtc", "steemusdt", "mdxusdt", "币安人生usdt"])
def test_old_spot_klines_of_odd_numbers_lose_no_digit(
    client: ArchiveClient, market: Market, symbol: str
) -> None:
    """Prices below 1e-3, amounts of 17 digits, quiet symbols and names that are not ASCII."""
    day = "2025-11-20"
    times, opens, closes, highs, lows, vol, amount = columns(
        client.rows(legacy_key("klines", "spot", symbol.upper(), day, "1min")), 7
    )
    truth = market.klines(SPOT, symbol, "1min", *window(day))
    found = told(times, open=opens, high=highs, low=lows, close=closes, quote_volume=vol, volume=amount)
    assert found == due(truth, "quote_volume", "volume")


def test_old_spot_klines_are_spelled_as_java_does(client: ArchiveClient) -> None:
    """Whole numbers keep `.0`, small ones and big ones have an exponent with a capital E."""
    minutes = client.rows(legacy_key("klines", "spot", "DOGEUSDT", "2024-03-12", "1min"))
    small = [float(row[1]) < 1e-3 for row in minutes]
    assert set(small) == {True, False}
    assert [row[1][1:2] == "." and row[1].endswith("E-4") for row in minutes] == small
    assert "e" not in "".join("".join(row) for row in minutes)
    big = client.rows(legacy_key("klines", "spot", "BTCUSDT", "2024-01-05", "1day"))[0]
    assert "E7" in big[5] or "E8" in big[5]
    assert any(row[6].endswith(".0") for row in minutes)


@pytest.mark.parametrize(
    "symbol", ["BTC-USDT", "SHIB-USDT", "KSM-USDT", "币安人生-USDT", "BTC-USDT-250328", "MDX-USDT"]
)
def test_old_linear_klines_are_the_markets(client: ArchiveClient, market: Market, symbol: str) -> None:
    """`vol` is contracts, `amount` coins, nothing has an exponent; dated contracts lie beside the perpetuals."""
    day = "2025-11-20" if symbol.startswith("币") else "2025-01-05"
    rows = client.rows(legacy_key("klines", "linear-swap", symbol, day, "1min"))
    times, opens, closes, highs, lows, vol, amount = columns(rows, 7)
    truth = market.klines(LINEAR, symbol, "1min", *window(day))
    found = told(times, open=opens, high=highs, low=lows, close=closes, volume=amount, contracts=vol)
    assert found == due(truth, "volume", "contracts")
    assert all(field.replace(".", "").isdecimal() for row in rows for field in row)
    assert all("." not in text for text in vol)


@pytest.mark.parametrize("symbol", ["btcusdt", "pepeusdt", "dogeusdt", "steemusdt"])
def test_old_spot_trades_are_the_markets(client: ArchiveClient, market: Market, symbol: str) -> None:
    """id, ms, price, base amount and the taker's side; the id is that of REST."""
    rows = client.rows(legacy_key("trades", "spot", symbol.upper(), "2024-03-09"))
    ids, times, prices, amounts, sides = columns(rows, 5)
    truth = market.trades(SPOT, symbol, *window("2024-03-09"))
    assert list(map(int, ids)) == truth["trade_id"].tolist()
    assert [int(text) * 1000 for text in times] == truth["trade_time"].tolist()
    assert floats(prices) == truth["price"].tolist()
    assert floats(amounts) == truth["quantity"].tolist()
    assert sides == truth["side"].tolist()
    assert not any("E" in field.upper() for row in rows for field in row[:4])


@pytest.mark.parametrize("symbol", ["BTC-USDT", "SHIB-USDT", "DOGE-USDT"])
def test_old_linear_trades_are_the_markets(client: ArchiveClient, market: Market, symbol: str) -> None:
    """Contracts, coins and turnover stand side by side."""
    rows = client.rows(legacy_key("trades", "linear-swap", symbol, "2024-03-09"))
    ids, times, prices, contracts, coins, turnover, sides = columns(rows, 7)
    truth = market.trades(LINEAR, symbol, *window("2024-03-09"))
    assert list(map(int, ids)) == truth["trade_id"].tolist()
    assert [int(text) * 1000 for text in times] == truth["trade_time"].tolist()
    assert floats(prices) == truth["price"].tolist()
    assert list(map(int, contracts)) == truth["contracts"].tolist()
    assert floats(coins) == truth["quantity"].tolist()
    assert floats(turnover) == truth["quote_quantity"].tolist()
    assert sides == truth["side"].tolist()


@pytest.mark.parametrize("kind", ["index-klines", "mark-price-klines"])
@pytest.mark.parametrize("period", ["1min", "60min", "1day"])
def test_old_index_and_mark_klines_are_the_markets(
    client: ArchiveClient, market: Market, kind: str, period: str
) -> None:
    rows = client.rows(legacy_key(kind, "linear-swap", "ETH-USDT", "2024-01-05", period))
    times, opens, closes, highs, lows = columns(rows, 5)
    source = market.index_klines if kind == "index-klines" else market.mark_klines
    truth = source(LINEAR, "ETH-USDT", period, *window("2024-01-05"))
    assert told(times, open=opens, high=highs, low=lows, close=closes) == due(truth)


# --------------------------------------------------------------------------------------------------- the new tree


@pytest.mark.parametrize("period", PERIODS)
def test_new_spot_klines_are_the_markets(client: ArchiveClient, market: Market, period: str) -> None:
    """open, high, low, close; `vol` is base now and the other two are quote."""
    key = current_key("klines", "spot", "BTC-USDT", "2026-02-01", PERIODS[period])
    header, *rows = client.rows(key)
    assert header == NEW_KLINES
    names, opens, highs, lows, closes, vol, ccy, quote, times = columns(rows, 9)
    truth = market.klines(SPOT, "btcusdt", period, *window("2026-02-01"))
    found = told(times, open=opens, high=highs, low=lows, close=closes, volume=vol, quote_volume=quote)
    assert found == due(truth, "volume", "quote_volume")
    assert ccy == quote
    assert set(names) == {"BTC-USDT"}


@pytest.mark.parametrize("name", ["BTC-USDT-PERP", "SHIB-USDT-PERP", "BTC-USDT-261225", "币安人生-USDT-PERP"])
def test_new_contract_klines_are_the_markets(client: ArchiveClient, market: Market, name: str) -> None:
    """`vol` is contracts, volCcy coins, volCcyQuote turnover."""
    header, *rows = client.rows(current_key("klines", "futures", name, "2026-08-20", "1m"))
    assert header == NEW_KLINES
    names, opens, highs, lows, closes, vol, ccy, quote, times = columns(rows, 9)
    truth = market.klines(LINEAR, name.removesuffix("-PERP"), "1min", *window("2026-08-20"))
    found = told(times, open=opens, high=highs, low=lows, close=closes, contracts=vol, volume=ccy, quote_volume=quote)
    assert found == due(truth, "contracts", "volume", "quote_volume")
    assert set(names) == {name}


def test_new_trades_are_the_markets(client: ArchiveClient, market: Market) -> None:
    """On spot `size` is base, on contracts it is contracts."""
    for symbol, venue, place, name in (
        ("ethusdt", SPOT, "spot", "ETH-USDT"),
        ("ETH-USDT", LINEAR, "futures", "ETH-USDT-PERP"),
    ):
        header, *rows = client.rows(current_key("trades", place, name, "2026-09-08"))
        assert header == NEW_TRADES
        names, ids, prices, sides, sizes, times = columns(rows, 6)
        truth = market.trades(venue, symbol, *window("2026-09-08"))
        assert set(names) == {name}
        assert list(map(int, ids)) == truth["trade_id"].tolist()
        assert [int(text) * 1000 for text in times] == truth["trade_time"].tolist()
        assert floats(prices) == truth["price"].tolist()
        assert [side.lower() for side in sides] == truth["side"].tolist()
        assert set(sides) == {"BUY", "SELL"}
        assert floats(sizes) == (truth["quantity"] if venue == SPOT else truth["contracts"]).tolist()


def test_contract_sizes_in_coins_on_request(market: Market) -> None:
    with archive(archive_perp_size="coins") as client:
        _, *rows = client.rows(current_key("trades", "futures", "ETH-USDT-PERP", "2026-09-08"))
        truth = market.trades(LINEAR, "ETH-USDT", *window("2026-09-08"))
        assert floats(columns(rows, 6)[4]) == truth["quantity"].tolist()
    with pytest.raises(ValueError, match="choose from contracts, coins"), archive(archive_perp_size="lots"):
        pass


@pytest.mark.parametrize("kind", ["index-klines", "mark-klines"])
def test_new_index_and_mark_klines_are_the_markets(client: ArchiveClient, market: Market, kind: str) -> None:
    header, *rows = client.rows(current_key(kind, "futures", "BTC-USDT-PERP", "2026-06-03", "5m"))
    assert header == NEW_PRICES
    _, opens, highs, lows, closes, times = columns(rows, 6)
    source = market.index_klines if kind == "index-klines" else market.mark_klines
    truth = source(LINEAR, "BTC-USDT", "5min", *window("2026-06-03"))
    assert told(times, open=opens, high=highs, low=lows, close=closes) == due(truth)


@pytest.mark.parametrize("symbol", ["BTC-USDT", "MDX-USDT"])
def test_fundings_are_the_markets_and_a_little_late(
    client: ArchiveClient, market: Market, symbol: str
) -> None:
    """Stamps are late by up to two seconds; rounded down to the minute they are the settlements'."""
    header, *rows = client.rows(current_key("funding-rates", "futures", f"{symbol}-PERP", "2026-03-02"))
    assert header == ["instId", "fundingRate", "fundingTime"]
    names, rates, times = columns(rows, 3)
    truth = market.funding_rates(LINEAR, symbol, *window("2026-03-02"))
    assert set(names) == {f"{symbol}-PERP"}
    assert [int(text) // 60_000 * 60_000_000 for text in times] == truth["funding_time"].tolist()
    assert all(0 <= int(text) % 60_000 < 2000 for text in times)
    assert any(int(text) % 1000 for text in times)
    assert floats(rates) == truth["funding_rate"].tolist()
    assert len(rates) == {"BTC-USDT": 3, "MDX-USDT": 24}[symbol]


def test_the_contract_has_fundings_only_while_perpetual(client: ArchiveClient) -> None:
    assert (
        client.get(current_key("funding-rates", "futures", "BTC-USDT-261225", "2026-08-20")).status_code
        == 404
    )
    assert client.get(current_key("funding-rates", "spot", "BTC-USDT", "2026-08-20")).status_code == 404


# ------------------------------------------------------------------------------------------------------- borders


def test_the_trees_meet_and_agree(client: ArchiveClient) -> None:
    """January 2026 is in the old tree alone, February in both with the same numbers, the old one ends on 08-04."""

    def both(day: str) -> tuple[str, str]:
        return (
            legacy_key("klines", "linear-swap", "BTC-USDT", day, "1min"),
            current_key("klines", "futures", "BTC-USDT-PERP", day, "1m"),
        )

    found = [
        [client.get(key, "HEAD").status_code for key in both(day)]
        for day in ("2026-01-31", "2026-08-04", "2026-08-05")
    ]
    assert found == [[200, 404], [200, 200], [404, 200]]
    old, (_, *new) = (client.rows(key) for key in both("2026-02-04"))
    pairs = [(row[0], row[1], row[3], row[4], row[2], row[5], row[6]) for row in old]
    assert pairs == [(row[8], row[1], row[2], row[3], row[4], row[5], row[6]) for row in new]
    assert len(pairs) == 1440


def test_the_first_days(client: ArchiveClient) -> None:
    """Candles begin with the listing, spot trades in June 2020 whatever was listed before."""
    exists = {
        key: client.get(key, "HEAD").status_code == 200
        for key in (
            legacy_key("klines", "spot", "BTCUSDT", "2017-10-26", "1min"),
            legacy_key("klines", "spot", "BTCUSDT", "2017-10-27", "1min"),
            legacy_key("trades", "spot", "BTCUSDT", "2020-05-31"),
            legacy_key("trades", "spot", "BTCUSDT", "2020-06-01"),
            legacy_key("trades", "linear-swap", "BTC-USDT", "2020-10-20"),
            legacy_key("trades", "linear-swap", "BTC-USDT", "2020-10-21"),
        )
    }
    assert list(exists.values()) == [False, True] * 3


def test_a_header_comes_to_the_old_tree(client: ArchiveClient) -> None:
    """None up to 2026-03-14, prose from 2026-03-15; index files head with `id`, from May on with `timestamp`."""
    trades = [
        client.rows(legacy_key("trades", "spot", "BTCUSDT", day))[0] for day in ("2026-03-14", "2026-03-15")
    ]
    assert trades[0][0].isdecimal()
    assert ",".join(trades[1]) == "Trade ID,Trade Time,Trade Price,Volume (Base Currency),Side (buy/sell)"
    contracts = client.rows(legacy_key("trades", "linear-swap", "BTC-USDT", "2026-08-04"))[0]
    assert contracts[3:6] == ["Volume (in Contracts)", "Volume (in Base Currency)", "Turnover"]
    index = [
        client.rows(legacy_key("index-klines", "linear-swap", "BTC-USDT", day, "1day"))
        for day in ("2026-03-14", "2026-04-30", "2026-07-15")
    ]
    assert [rows[0][0] for rows in index[1:]] == ["id", "timestamp"]
    assert [len(rows) for rows in index] == [1, 2, 2]
    klines = client.rows(legacy_key("klines", "spot", "BTCUSDT", "2026-07-15", "1day"))
    assert klines[0] == ["id", "open", "close", "high", "low", "vol", "amount"]
    assert klines[1][0] == "1784044800"


def test_the_old_tree_has_holes_from_february_to_june(client: ArchiveClient) -> None:
    """Only there, and all periods of a dataset miss the same days."""
    folder = "data/klines/linear-swap/daily/"
    days: dict[str, set[str]] = {}
    for period in ("1min", "1day"):
        for symbol in ("BTC-USDT", "ETH-USDT", "DOGE-USDT", "SHIB-USDT", "KSM-USDT"):
            keys = client.sandbox.archive_keys(f"{folder}{symbol}/{period}/")
            days[symbol + period] = {
                key[-14:-4] for key in keys if key.endswith(".zip") and key[-14:] > "2025-06-04"
            }
    expected = np.arange("2025-06-04", "2026-08-05", dtype="datetime64[D]").astype(str).tolist()
    holes = {name: set(expected) - found for name, found in days.items()}
    together = sorted(set().union(*holes.values()))
    assert "2026-02-01" <= together[0] <= together[-1] <= "2026-06-30"
    assert all(holes[name] == holes[name.replace("1min", "1day")] for name in holes)
    assert 30 < max(len(missing) for missing in holes.values()) < 75
    assert min(len(missing) for missing in holes.values()) < 20


# ------------------------------------------------------------------------------------------- the halted, the dead


def test_a_halted_contract_has_placeholders_and_no_trades(client: ArchiveClient, market: Market) -> None:
    """The last price without volume, by minute, hour and day; trades in the old tree are a header alone."""
    start, _ = window("2026-07-15")
    last = float(market.trades(LINEAR, "WAVES-USDT", start - 200 * 86_400 * 10**6, start)["price"][-1])
    for period, count in (("1m", 1440), ("1h", 24), ("1d", 1)):
        key = current_key("klines", "futures", "WAVES-USDT-PERP", "2026-07-15", period)
        _, *rows = client.rows(key)
        assert len(rows) == count
        assert {tuple(floats(row[1:8])) for row in rows} == {(last, last, last, last, 0.0, 0.0, 0.0)}
        truth = client.sandbox.archive_rows(key)
        assert [int(row[8]) * 10**6 for row in rows] == truth["open_time"].tolist()
        assert truth["close"].tolist() == [last] * count
    assert client.get(current_key("trades", "futures", "WAVES-USDT-PERP", "2026-07-15")).status_code == 404
    assert len(client.rows(legacy_key("trades", "linear-swap", "WAVES-USDT", "2026-07-15"))) == 1
    assert len(client.rows(current_key("funding-rates", "futures", "WAVES-USDT-PERP", "2026-07-15"))) == 1
    marks = client.rows(current_key("mark-klines", "futures", "WAVES-USDT-PERP", "2026-07-15", "1m"))
    assert len(marks) == 1441
    assert len({tuple(row[1:5]) for row in marks[1:]}) == 1


def test_the_day_of_a_halt_is_true_up_to_it_and_flat_after(client: ArchiveClient, market: Market) -> None:
    key = legacy_key("klines", "spot", "WAVESUSDT", "2021-06-01", "1min")
    times, opens, closes, highs, lows, vol, amount = columns(client.rows(key), 7)
    start, end = window("2021-06-01")
    truth = market.klines(SPOT, "wavesusdt", "1min", start, end)
    count = len(truth["open_time"])
    assert 0 < count < 1440 == len(times)
    found = told(times, open=opens, high=highs, low=lows, close=closes, volume=amount, quote_volume=vol)
    assert {name: said[:count] for name, said in found.items()} == due(truth, "volume", "quote_volume")
    assert {tuple(floats(row)) for row in zip(opens[count:], vol[count:], amount[count:], strict=True)} == {
        (float(truth["close"][-1]), 0.0, 0.0)
    }


def test_the_dead_linger_for_a_week(client: ArchiveClient) -> None:
    """Placeholders for seven days after a delisting, then no files; a delivered future ends at once."""
    folder = "data/klines/spot/daily/NASUSDT/1min/"
    assert client.sandbox.archive_keys(folder)[-1] == f"{folder}NASUSDT-1min-2025-02-17.zip"
    assert client.sandbox.archive_keys("data/trades/spot/daily/NASUSDT/")[-1].endswith("2025-02-10.zip")
    rows = client.rows(f"{folder}NASUSDT-1min-2025-02-16.zip")
    assert len(rows) == 1440
    assert len({tuple(row[1:]) for row in rows}) == 1
    assert float(rows[0][5]) == float(rows[0][6]) == 0.0
    dated = "data/klines/linear-swap/daily/BTC-USDT-250328/1min/"
    assert client.sandbox.archive_keys(dated)[-1].endswith("2025-03-28.zip")
    assert len(client.rows(client.sandbox.archive_keys(dated)[-1])) == 960


def test_a_contract_listed_again_has_two_lives(client: ArchiveClient) -> None:
    """KSM-USDT was off from 2025-02-20 to 2025-06-03: a week of placeholders, then nothing, then files again."""
    keys = client.sandbox.archive_keys("data/klines/linear-swap/daily/KSM-USDT/1min/")
    days = [key[-14:-4] for key in keys if key.endswith(".zip") and "2025-02-15" < key[-14:] < "2025-06-06"]
    assert days == [*(f"2025-02-{day}" for day in range(15, 28)), "2025-06-03", "2025-06-04", "2025-06-05"]


# ------------------------------------------------------------------------------------------------------- options


def test_ids_repeat_on_request(market: Market) -> None:
    """Some trades share id and time, some rows occur twice, both trees agree, and nothing else changes."""
    with archive(archive_repeated_ids=0.1) as client:
        key = legacy_key("trades", "linear-swap", "BTC-USDT", "2026-02-04")
        rows = client.rows(key)
        _, *new = client.rows(current_key("trades", "futures", "BTC-USDT-PERP", "2026-02-04"))
        truth = client.sandbox.archive_rows(key)
    assert [row[0] for row in rows] == [row[1] for row in new]
    assert list(map(int, columns(rows, 7)[0])) == truth["trade_id"].tolist()
    assert floats(columns(rows, 7)[2]) == truth["price"].tolist()
    pure = market.trades(LINEAR, "BTC-USDT", *window("2026-02-04"))
    doubled = [row for row, next_row in pairwise(rows) if row == next_row]
    assert len(rows) - len(pure["price"]) == len(doubled)
    assert 60 < len(doubled) < 220
    single = [row for place, row in enumerate(rows) if not place or row != rows[place - 1]]
    assert floats(columns(single, 7)[2]) == pure["price"].tolist()
    shared = [
        (row, after)
        for row, after in pairwise(single)
        if row[0] == after[0]
    ]  # fmt: skip
    assert 300 < len(shared) < 700
    assert all(row[1] == after[1] and row[2:] != after[2:] for row, after in shared)
    times = [int(row[1]) for row in rows]
    assert times == sorted(times)


def test_bytes_depend_on_seed_and_key_alone(client: ArchiveClient) -> None:
    """Another sandbox of the same seed, asked in another order, sends the same bytes; another seed others."""
    keys = [
        legacy_key("klines", "spot", "ETHUSDT", "2024-01-05", "60min"),
        legacy_key("trades", "spot", "ETHUSDT", "2024-01-05"),
        current_key("mark-klines", "futures", "ETH-USDT-PERP", "2026-04-04", "4h"),
    ]
    here = {name: client.get(name) for key in keys for name in (key, checksum_of(key))}
    with archive() as other, archive(seed=1) as stranger:
        for name in reversed(here):
            again, strange = other.get(name), stranger.get(name)
            assert again.content == here[name].content
            assert again.headers["ETag"] == here[name].headers["ETag"]
            assert strange.content != here[name].content
            assert strange.headers["ETag"] != here[name].headers["ETag"]


def test_the_truth_of_a_key_that_never_is(client: ArchiveClient) -> None:
    for key in ("data/remark.txt", legacy_key("trades", "spot", "BTCUSDT", "2026-08-05"), "data/nothing.zip"):
        with pytest.raises(KeyError):
            client.sandbox.archive_rows(key)
