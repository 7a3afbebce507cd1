"""Files of candles and fundings, written by hand in the shapes of htx-api 9.2, 9.3, 9.5, and what may be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from tests.venues.htx.archive_files import NEW, OLD, rows_of

SPOT = Series("klines", "htx-spot", "btcusdt", "1min")
LINEAR = Series("klines", "htx-linear", "BTC-USDT", "1min")
INVERSE = Series("klines", "htx-inverse", "BTC-USD", "1min")
FUTURES = Series("klines", "htx-futures", "BTC210813", "1min")
MARK = Series("mark_klines", "htx-linear", "BTC-USDT", "1min")
INDEX = Series("index_klines", "htx-linear", "BTC-USDT", "1min")
FUNDING = Series("funding_rates", "htx-linear", "BTC-USDT")
OLD_WORDS = "id,open,close,high,low,vol,amount"
NEW_WORDS = "instId,open,high,low,close,vol,volCcy,volCcyQuote,ts"
PRICE_WORDS = "instId,open,high,low,close,ts"


def candle(opened: int, o: float, h: float, low: float, c: float, **volumes: float) -> dict[str, list[Any]]:
    prices = {"open": [o], "high": [h], "low": [low], "close": [c]}
    return {"open_time": [opened * 1_000_000], **prices, **{name: [value] for name, value in volumes.items()}}


DAY = "1621267200,43342.5,45004.68,45781.52,42106.0,1.5694329022947967E9,35623.935414808795"
SPOT_VOLUMES = {"volume": 35623.935414808795, "quote_volume": 1569432902.2947967}
SPOT_DAY = candle(1621267200, 43342.5, 45781.52, 42106.0, 45004.68, **SPOT_VOLUMES)
NEW_ROW = "1.5,1.75,1.25,1.6,4.0,6.0,6.0,1788795720"


@pytest.mark.parametrize(
    ("series", "tree", "text", "rows"),
    [
        (SPOT, OLD, DAY, SPOT_DAY),
        (SPOT, OLD, f"{OLD_WORDS}\n{DAY}\n", SPOT_DAY),
        (SPOT, OLD, f"timestamp,open,close,high,low,vol,amount\r\n{DAY}\r\n", SPOT_DAY),
        (SPOT, NEW, f"{NEW_WORDS}\nBTC-USDT,{NEW_ROW}\n",
         candle(1788795720, 1.5, 1.75, 1.25, 1.6, volume=4.0, quote_volume=6.0)),
        (LINEAR, OLD, "1621267200,1.5,1.6,1.75,1.25,4000,4.0\n",
         candle(1621267200, 1.5, 1.75, 1.25, 1.6, volume=4.0, contracts=4000.0)),
        (LINEAR, NEW, f"{NEW_WORDS}\nBTC-USDT-PERP,1.5,1.75,1.25,1.6,4000,4.0,6.0,1788795720\n",
         candle(1788795720, 1.5, 1.75, 1.25, 1.6, volume=4.0, quote_volume=6.0, contracts=4000.0)),
        (INVERSE, OLD, "1621267200,50000,40000,50000,40000,4,0.009\n",
         candle(1621267200, 50000.0, 50000.0, 40000.0, 40000.0, volume=0.009, contracts=4.0)),
        (FUTURES, OLD, "1621267200,50000,40000,50000,40000,4,0.009\n",
         candle(1621267200, 50000.0, 50000.0, 40000.0, 40000.0, volume=0.009, contracts=4.0)),
        (INVERSE, NEW, f"{NEW_WORDS}\nBTC-USD-PERP,50000,50000,40000,40000,4,0.009,0,1788795720\n",
         candle(1788795720, 50000.0, 50000.0, 40000.0, 40000.0, volume=0.009, contracts=4.0)),
        (INVERSE, NEW, f"{NEW_WORDS}\nBTC-USD-PERP,50000,50000,40000,40000,4,0.009,400,1788795720\n",
         candle(1788795720, 50000.0, 50000.0, 40000.0, 40000.0, volume=0.009, contracts=4.0, quote_volume=400.0)),
        (FUTURES, NEW, f"{NEW_WORDS}\nBTC-USD-210813,50000,50000,40000,40000,4,0.009,0,1788795720\n",
         candle(1788795720, 50000.0, 50000.0, 40000.0, 40000.0, volume=0.009, contracts=4.0)),
        (MARK, OLD, "1621267200,1.5,1.6,1.75,1.25\n", candle(1621267200, 1.5, 1.75, 1.25, 1.6)),
        (INDEX, OLD, "timestamp,open,close,high,low\n1621267200,1.5,1.6,1.75,1.25\n",
         candle(1621267200, 1.5, 1.75, 1.25, 1.6)),
        (INDEX, OLD, "id,open,close,high,low\n1621267200,1.5,1.6,1.75,1.25\n",
         candle(1621267200, 1.5, 1.75, 1.25, 1.6)),
        (MARK, NEW, f"{PRICE_WORDS}\nBTC-USDT-PERP,78688.42,78753.68,78687.61,78753.68,1788795720\n",
         candle(1788795720, 78688.42, 78753.68, 78687.61, 78753.68)),
        (INDEX, NEW, f"{PRICE_WORDS}\nBTC-USDT-PERP,1.5,1.75,1.25,1.6,1788795720\n",
         candle(1788795720, 1.5, 1.75, 1.25, 1.6)),
        (INDEX, NEW, f"{PRICE_WORDS}\nBTC-USDT,1.5,1.75,1.25,1.6,1788795720\n",
         candle(1788795720, 1.5, 1.75, 1.25, 1.6)),
        (INDEX, NEW, "BTC-USDT,1.5,1.75,1.25,1.6,1788795720\n",
         candle(1788795720, 1.5, 1.75, 1.25, 1.6)),
    ],
)  # fmt: skip
def test_the_shapes_of_the_reference(
    series: Series, tree: str, text: str, rows: dict[str, list[Any]]
) -> None:
    """Two orders of columns, two ways round of volumes, header or none; an index file may name contract or index."""
    assert rows_of(series, tree, text) == rows


@pytest.mark.parametrize("text", ["", "\n", "\ufeff", OLD_WORDS, f"{OLD_WORDS}\n", f"{OLD_WORDS}\r\n\r\n"])
def test_a_file_without_rows_has_none(text: str) -> None:
    assert rows_of(SPOT, OLD, text) == {}


FLAT = "1621267260,1.5,1.5,1.5,1.5,0,0"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1621267260", "1621267260000", "row 1: the time is '1621267260000'"),
        ("1621267260", "16212672", "the time"),
        ("1621267260", "1621267260.5", "the time"), ("1621267260", "", "row 1: column 0 is ''"),
        ("1621267260", "2021-05-17", "row 1: column 0"), ("0,0", "0,nan", "row 1: column 6 is 'nan'"),
        ("0,0", "0,", "row 1: column 6 is ''"), ("0,0", "0,inf", "column 6"), ("0,0", "0,null", "column 6"),
        ("0,0", "0,true", "column 6"), ("0,0", "0,1e999", "column 6"), ("0,0", "0,+1", "column 6"),
        ("0,0", "0,0x1", "column 6"),
        ("0,0", '0,"0"', "column 6"), ("0,0", "0, 0", "column 6"), ("0,0", "0,00", "column 6"),
        ("0,0", "0,[0]", "column 6"),
        ("0,0", "-1,0", "row 1: vol is '-1', less"), ("0,0", "0", "row 1: 6 columns where 7"),
        ("0,0", "0,0,0", "row 1: 8 columns where 7"),
        (FLAT, "", "row 1: 1 columns where 7"), (FLAT, OLD_WORDS, "row 1: column 0 is 'id'"),
        (",1.5,0", ",1.5\r,0", "carriage return"),
        ("1.5,1.5,1.5,1.5", "1.5,1.5,1.4,1.5", "are no candle"),
        ("1.5,1.5,1.5,1.5", "1.5,1.5,1.5,1.6", "are no candle"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_row_is_named(old: str, new: str, said: str) -> None:
    first, last = "1621267200,1.5,1.6,1.75,1.25,6.0,4.0", "1621267320,1.5,1.5,1.5,1.5,0,0"
    text = f"{first}\n{FLAT.replace(old, new)}\n{last}\n"
    for head in ("", f"{OLD_WORDS}\n"):
        with pytest.raises(BadReply, match=said):
            rows_of(SPOT, OLD, head + text)


@pytest.mark.parametrize(
    ("series", "tree", "head"),
    [(SPOT, OLD, OLD_WORDS + ",count"), (SPOT, OLD, "id,open,close,high,low,vol"),
     (SPOT, OLD, "id,open,close,high,high,vol,amount"),
     (SPOT, OLD, NEW_WORDS), (SPOT, NEW, OLD_WORDS), (SPOT, NEW, NEW_WORDS.replace("volCcy,", "")),
     (MARK, OLD, OLD_WORDS),
     (MARK, NEW, NEW_WORDS), (SPOT, OLD, "Id,open,close,high,low,vol,amount"),
     (SPOT, OLD, "id,timestamp,open,close,high,low,vol,amount")],
)  # fmt: skip
def test_unknown_headers_are_refused(series: Series, tree: str, head: str) -> None:
    with pytest.raises(BadReply, match="header"):
        rows_of(series, tree, f"{head}\n{DAY}\n")


@pytest.mark.parametrize("name", ["ETH-USDT", "BTC-USDT-PERP", "BTCUSDT", "", "btc-usdt"])
def test_candles_of_another_instrument_are_refused(name: str) -> None:
    good, bad = f"BTC-USDT,{NEW_ROW}\n", f"{name},{NEW_ROW}\n"
    for text in (good + bad, bad + good, bad):
        with pytest.raises(BadReply, match=r"row [01] is of|header"):
            rows_of(SPOT, NEW, f"{NEW_WORDS}\n{text}")
    with pytest.raises(BadReply):
        rows_of(INDEX, NEW, f"{PRICE_WORDS}\nBTC-USDT,1,1,1,1,1788795720\nBTC-USDT-PERP,1,1,1,1,1788795780\n")


def test_the_other_trees_columns_are_refused() -> None:
    """The tree decides (9.5): a row of one order read in the other is no candle, and its volumes are no price."""
    with pytest.raises(BadReply, match="are no candle"):
        rows_of(
            SPOT,
            OLD,
            "1621267200,43342.5,45781.52,42106.0,45004.68,1.5694329022947967E9,35623.935414808795\n",
        )
    with pytest.raises(BadReply, match="columns where"):
        rows_of(SPOT, NEW, f"{NEW_WORDS}\nBTC-USDT,1.5,1.75,1.25,1.6,4.0,6.0,1788795720\n")


# --------------------------------------------------------------------------------------------------------- volumes


def test_volumes_are_told_apart_by_the_prices() -> None:
    """A file that has them the other way round is read so; one that fits neither way is refused."""
    turned = "1621267200,43342.5,45004.68,45781.52,42106.0,35623.935414808795,1.5694329022947967E9"
    assert rows_of(SPOT, OLD, turned) == SPOT_DAY
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(SPOT, OLD, DAY.replace("35623.9", "3562.39"))
    for volumes, expected in (
        ("4.000,6.000,6.000", (4.0, 6.0)),
        ("4.000,4.000,6.000", (4.0, 6.0)),
        ("6.000,4.000,4.000", (4.0, 6.0)),
    ):
        found = rows_of(SPOT, NEW, f"{NEW_WORDS}\nBTC-USDT,1.5,1.75,1.25,1.6,{volumes},1788795720\n")
        assert (found["volume"], found["quote_volume"]) == ([expected[0]], [expected[1]]), volumes
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(SPOT, NEW, f"{NEW_WORDS}\nBTC-USDT,1.5,1.75,1.25,1.6,4,40,400,1788795720\n")


def test_volumes_that_fit_two_ways_are_refused() -> None:
    """Written without decimals, 6 and 4 may be 6.49 and 3.5: two readings fit, and the documented one does not."""
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(SPOT, NEW, f"{NEW_WORDS}\nBTC-USDT,1.5,1.75,1.25,1.6,6,4,4,1788795720\n")


def test_rounded_volumes_are_told_apart() -> None:
    """A turnover that was rounded to so many decimals may miss the price range by that much."""
    row = "BTC-USDT,1.5,1.5,1.5,1.5,0.00001,{0},{0},1788795720\n"
    found = rows_of(
        SPOT, NEW, f"{NEW_WORDS}\n{row.format('0.0000')}{row.format('0.0001').replace('720', '780')}"
    )
    assert found["quote_volume"] == [0.0, 0.0001]
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(SPOT, NEW, f"{NEW_WORDS}\n{row.format('0.000050')}")


def test_days_without_trades_need_no_calibration() -> None:
    """Placeholder candles: last price, no volume (9.5)."""
    assert rows_of(SPOT, OLD, FLAT) == candle(1621267260, 1.5, 1.5, 1.5, 1.5, volume=0.0, quote_volume=0.0)
    found = rows_of(INVERSE, NEW, f"{NEW_WORDS}\nBTC-USD-PERP,1,1,1,1,0,0,0,1788795720\n")
    assert found == candle(1788795720, 1.0, 1.0, 1.0, 1.0, volume=0.0, contracts=0.0)


def test_contracts_are_told_by_their_size() -> None:
    """Of linear candles without turnover either column may be coins: the known size says which."""
    row = "1621267200,1.5,1.6,1.75,1.25,{},{}\n"
    for size in (None, 0.001):
        assert rows_of(LINEAR, OLD, row.format(4000, 4), size)["volume"] == [4.0]
    assert rows_of(LINEAR, OLD, row.format(4, 4000), 0.001)["contracts"] == [4000.0]
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(LINEAR, OLD, row.format(4000, "4.000") + row.format(4000, "5.000").replace("200,", "260,"))
    with pytest.raises(BadReply, match="cannot be told apart"):
        rows_of(INVERSE, OLD, "1621267200,50000,40000,50000,40000,4,0.009\n", 10.0)
    new = f"{NEW_WORDS}\nBTC-USDT-PERP,1.5,1.75,1.25,1.6,4.0,4.0,6.0,1788795720\n"
    assert rows_of(LINEAR, NEW, new)["quote_volume"] == [6.0]


# ------------------------------------------------------------------------------------------------ numbers, fundings


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(*[st.decimals(0, 10**9, allow_nan=False, places=places) for places in (0, 2, 8, 20)]),
        min_size=1, max_size=20,
    )
)  # fmt: skip
def test_prices_are_pythons_reading_of_the_texts(rows: list[tuple[Any, ...]]) -> None:
    """The nearest double of every text, and a count of those that are not carried digit for digit."""
    texts = [sorted((format(value, "f") for value in row), key=float) for row in rows]
    lines = [f"{1621267200 + 60 * at},{a},{b},{d},{low}" for at, (low, a, b, d) in enumerate(texts)]
    found = rows_of(MARK, OLD, "\n".join(lines))
    names = ("low", "open", "close", "high")
    for at, name in enumerate(names):
        assert found[name] == [float(row[at]) for row in texts]
    from decimal import Decimal

    lost = [sum(Decimal(repr(float(text))) != Decimal(text) for text in row) for row in texts]
    assert found.get("unfit", [0] * len(rows)) == lost


def test_fundings_are_of_their_minute() -> None:
    """Stamps come a second or two late; rates have any sign and any exponent."""
    words = "instId,fundingRate,fundingTime"
    text = "".join(f"BTC-USDT-PERP,{rate},{at}\n" for rate, at in
                   (("0.0001", 1770048000000), ("-0.000123", 1770076801234), ("-1E-5", 1770105599001)))  # fmt: skip
    assert rows_of(FUNDING, NEW, f"{words}\n{text}") == {
        "funding_time": [1770048000000000, 1770076800000000, 1770105600000000],
        "funding_rate": [0.0001, -0.000123, -0.00001],
    }
    for old, new in (
        ("0.0001,", "nan,"),
        ("1770048000000", "1770048000"),
        ("BTC-USDT-PERP", "ETH-USDT-PERP"),
        ("0.0001,", ","),
    ):
        with pytest.raises(BadReply):
            rows_of(FUNDING, NEW, f"{words}\n{text.replace(old, new, 1)}")
