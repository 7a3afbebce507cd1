"""What a person types, and the series it means."""

from __future__ import annotations

import pytest

from htxdata.errors import UnknownSymbol, UsageError
from htxdata.ingest.named import match_symbols, resolve
from htxdata.market import Series
from htxdata.venues import venue

SPOT, LINEAR = venue("htx-spot"), venue("htx-linear")
LISTED = ["btcusdt", "ethbtc", "ethusdt", "btc3lusdt"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["btcusdt"], ["btcusdt"]),
        (["BTCUSDT", "btcusdt"], ["btcusdt"]),
        (["eth*"], ["ethbtc", "ethusdt"]),
        (["*USDT"], ["btcusdt", "ethusdt", "btc3lusdt"]),
        (["ethusdt", "*"], ["ethusdt", "btcusdt", "ethbtc", "btc3lusdt"]),
        (["btc?lusdt"], ["btc3lusdt"]),
        (["[be]t[hc]usdt"], ["btcusdt", "ethusdt"]),
        ([], []),
    ],
)
def test_names_and_globs_in_any_case(wanted: list[str], found: list[str]) -> None:
    """Each symbol once, in the order asked for, and a glob's in the venue's."""
    assert match_symbols(SPOT, wanted, LISTED) == found


def test_the_venues_spelling_is_kept() -> None:
    """Contracts are upper case whatever is typed, and need not be Latin."""
    assert match_symbols(LINEAR, ["btc-usdt", "币-*"], ["BTC-USDT", "币-USDT"]) == ["BTC-USDT", "币-USDT"]


def test_a_symbol_that_is_not_listed_is_named_with_its_likes() -> None:
    """The message names the option, the value, the venue and what may have been meant."""
    with pytest.raises(
        UnknownSymbol, match=r"--symbol 'btcusd': htx-spot has no such symbol; did you mean btcusdt"
    ):
        match_symbols(SPOT, ["btcusd"], LISTED)
    with pytest.raises(UsageError, match=r"--symbol 'x\*' matches none of the 4 symbols of htx-spot"):
        match_symbols(SPOT, ["x*"], LISTED)
    with pytest.raises(UnknownSymbol):
        match_symbols(SPOT, [""], LISTED)


def test_without_a_list_a_name_stands_for_itself() -> None:
    """A glob cannot be resolved then, and the message says what to do."""
    assert match_symbols(LINEAR, ["btc-usdt"], None) == ["BTC-USDT"]
    with pytest.raises(UsageError, match=r"--symbol 'BTC-\*'.*snapshot instruments --venue htx-linear"):
        match_symbols(LINEAR, ["BTC-*"], None)


def test_series_are_symbols_times_periods() -> None:
    """Periods take globs too, and what the venue does not serve is not among them."""
    assert resolve("klines", "htx-spot", ["btcusdt", "ethbtc"], ["1min", "*day", "1min"], LISTED) == [
        Series("klines", "htx-spot", symbol, period)
        for symbol in ("btcusdt", "ethbtc")
        for period in ("1min", "1day")
    ]
    assert resolve("funding_rates", "htx-linear", ["btc-usdt"], [], None) == [
        Series("funding_rates", "htx-linear", "BTC-USDT")
    ]


@pytest.mark.parametrize(
    ("dataset", "venue_name", "periods", "words"),
    [
        ("candles", "htx-spot", ["1min"], r"'candles' is not a dataset: choose from klines"),
        ("klines", "htx", ["1min"], r"--venue 'htx' is not a venue: choose from htx-spot, htx-linear"),
        (
            "funding_rates",
            "htx-spot",
            [],
            r"funding_rates of htx-spot cannot be backfilled: it is on htx-linear",
        ),
        ("instruments", "htx-spot", [], r"instruments of htx-spot cannot be backfilled"),
        ("klines", "htx-spot", [], r"--period is missing: klines needs one or more of 1min"),
        ("klines", "htx-spot", ["7min"], r"--period '7min' is not a period: choose from 1min"),
        ("klines", "htx-spot", ["2*"], r"--period '2\*': htx-spot serves 1min"),
        ("funding_rates", "htx-linear", ["1min"], r"--period '1min': funding_rates has no periods"),
    ],
)
def test_what_cannot_be_is_a_usage_error(
    dataset: str, venue_name: str, periods: list[str], words: str
) -> None:
    """The message names the option, the value and what is allowed."""
    with pytest.raises(UsageError, match=words) as caught:
        resolve(dataset, venue_name, ["btcusdt"], periods, None)
    assert caught.value.exit_code == 2
