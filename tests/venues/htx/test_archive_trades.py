"""Files of trades written by hand in the shapes of htx-api 9.2, 9.3, 9.5, and all that may be wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from tests.venues.htx.archive_files import NEW, OLD, rows_of

SPOT = Series("trades", "htx-spot", "btcusdt")
LINEAR = Series("trades", "htx-linear", "BTC-USDT")
INVERSE = Series("trades", "htx-inverse", "BTC-USD")
FUTURES = Series("trades", "htx-futures", "BTC210813")
SPOT_WORDS = "Trade ID,Trade Time,Trade Price,Volume (Base Currency),Side (buy/sell)"
LINEAR_WORDS = (
    "Trade ID,Trade Time,Trade Price,Volume (in Contracts),Volume (in Base Currency),Turnover,Side (buy/sell)"
)
NEW_WORDS = "instId,tradeId,px,side,size,ts"

SPOT_OLD = "103130425211,1735660802822,95432.42,0.00016,buy\n103130425212,1735660802822,95432.4,1,sell\n"
SPOT_ROWS = {
    "trade_time": [1_735_660_802_822_000] * 2,
    "trade_id": ["103130425211", "103130425212"],
    "price": [95432.42, 95432.4],
    "quantity": [0.00016, 1.0],
    "side": ["buy", "sell"],
}
SPOT_NEW = (
    "BTC-USDT,103130425211,95432.42,BUY,0.00016,1735660802822\n"
    "BTC-USDT,103130425212,95432.4,SELL,1,1735660802822\n"
)
LINEAR_OLD = (
    "363599553790000,1621332282860,45004.1,424,0.424,19081.7384,sell\n"
    "363599553790001,1621332282861,45004,2,0.002,90.008,buy\n"
)
LINEAR_ROWS = {
    "trade_time": [1_621_332_282_860_000, 1_621_332_282_861_000],
    "trade_id": ["363599553790000", "363599553790001"],
    "price": [45004.1, 45004.0],
    "quantity": [0.424, 0.002],
    "quote_quantity": [19081.7384, 90.008],
    "contracts": [424.0, 2.0],
    "side": ["sell", "buy"],
}


@pytest.mark.parametrize(
    ("series", "tree", "text", "rows"),
    [
        (SPOT, OLD, SPOT_OLD, SPOT_ROWS),
        (SPOT, OLD, f"{SPOT_WORDS}\n{SPOT_OLD}", SPOT_ROWS),
        (SPOT, OLD, f"id,ts,price,amount,direction\n{SPOT_OLD}", SPOT_ROWS),
        (SPOT, NEW, f"{NEW_WORDS}\n{SPOT_NEW}", SPOT_ROWS),
        (SPOT, NEW, SPOT_NEW, SPOT_ROWS),
        (LINEAR, OLD, LINEAR_OLD, LINEAR_ROWS),
        (LINEAR, OLD, f"{LINEAR_WORDS}\n{LINEAR_OLD}", LINEAR_ROWS),
        (LINEAR, OLD, f"id,ts,price,amount,quantity,trade_turnover,direction\n{LINEAR_OLD}", LINEAR_ROWS),
    ],
)
def test_the_shapes_of_the_reference(
    series: Series, tree: str, text: str, rows: dict[str, list[Any]]
) -> None:
    """With and without a header, in words of both eras: the same rows, every value where it belongs."""
    assert rows_of(series, tree, text) == rows


def test_a_header_says_where_columns_stand() -> None:
    """A header that names the columns in another order is followed."""
    text = "direction,price,id,amount,ts\nbuy,95432.42,103130425211,0.00016,1735660802822\n"
    text += "sell,95432.4,103130425212,1,1735660802822\n"
    assert rows_of(SPOT, OLD, text) == SPOT_ROWS
    text = "ts,size,instId,px,side,tradeId\n1735660802822,0.00016,BTC-USDT,95432.42,BUY,103130425211\n"
    text += "1735660802822,1,BTC-USDT,95432.4,SELL,103130425212\n"
    assert rows_of(SPOT, NEW, text) == SPOT_ROWS


DRESSES: dict[str, Callable[[str], str]] = {
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "no last newline": lambda text: text[:-1],
    "carriage returns, but no last": lambda text: text.replace("\n", "\r\n")[:-2],
    "byte order mark": lambda text: "\ufeff" + text,
    "blank lines behind": lambda text: text + "\n\n",
    "blank lines behind, with carriage returns": lambda text: text.replace("\n", "\r\n") + "\r\n\r\n",
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("head", ["", SPOT_WORDS + "\n"])
def test_line_ends_and_marks_change_nothing(dress: str, head: str) -> None:
    assert rows_of(SPOT, OLD, DRESSES[dress](head + SPOT_OLD)) == SPOT_ROWS


@pytest.mark.parametrize(
    "text", ["", "\n", "\r\n", "\ufeff", SPOT_WORDS, SPOT_WORDS + "\n", SPOT_WORDS + "\r\n\r\n"]
)
def test_a_file_without_rows_has_none(text: str) -> None:
    """Empty, or nothing but a header (htx-api 9.5: dead instruments)."""
    assert rows_of(SPOT, OLD, text) == {}


ROW = "103130425211,1735660802822,95432.42,0.00016,buy"
NEW_ROW = "BTC-USDT,103130425211,95432.42,BUY,0.00016,1735660802822"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("103130425211", "", "row 1: the trade id is ''"), ("103130425211", "a1", "the trade id is 'a1'"),
        ("103130425211", "-1", "the trade id is '-1'"), ("103130425211", "1.5", "the trade id is '1.5'"),
        ("103130425211", "1E11", "the trade id"), ("103130425211", "007", "begins with a zero"),
        ("103130425211", " 103130425211", "the trade id"), ("103130425211", "١٢", "the trade id"),
        ("1735660802822", "1735660802", "row 1: the time is 1735660802: not milliseconds"),
        ("1735660802822", "1735660802822000", "not milliseconds"), ("1735660802822", "", "row 1: the time is ''"),
        ("1735660802822", "1735660802822.5", "the time"), ("1735660802822", "2024-12-31", "the time"),
        ("1735660802822", "99999999999999999999", "too large"),
        ("95432.42", "nan", "row 1: the price is 'nan'"), ("95432.42", "inf", "the price"),
        ("95432.42", "", "the price"),
        ("95432.42", "-1", "the price is '-1'"), ("95432.42", "+1", "the price"), ("95432.42", "0x10", "the price"),
        ("95432.42", "1e999", "the price"), ("95432.42", "1_000", "the price"), ("95432.42", "null", "the price"),
        ("95432.42", " 1", "the price"), ("95432.42", '"95432.42"', "the price"), ("95432.42", "1/2", "the price"),
        ("0.00016", "NaN", "the volume is 'NaN'"), ("0.00016", "-0.1", "the volume"),
        ("buy", "hold", "row 1: the side is 'hold'"), ("buy", "", "the side is ''"),
        ("buy", "Buy", "the side is 'Buy'"),
        ("buy", "buyy", "the side"), ("buy", "sel", "the side"), ("buy", "sells", "the side"),
        ("buy", " buy", "the side"),
        ("buy", '"buy"', "the side"),
        (",buy", "", "row 1: .*Expected 5 columns, got 4"), (",buy", ",buy,", "row 1: .*Expected 5 columns, got 6"),
        (ROW, "", "row 1: "), (ROW, "\n", "row 1: "), (ROW, " ", "row 1: "), (ROW, "\r" + ROW, "carriage return"),
        (ROW, SPOT_WORDS, "row 1: "), ("95432.42", "95\r432.42", "carriage return"),
        ("0.00016", "0,00016", "row 1: "),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_row_is_named(old: str, new: str, said: str) -> None:
    """The row (counted from 0 behind the header) and the value, whether a header is there or not."""
    first, last = (
        "103130425210,1735660802822,95432.42,0.00016,buy",
        "103130425219,1735660802829,95432.42,1,sell",
    )
    text = f"{first}\n{ROW.replace(old, new)}\n{last}\n"
    for head in ("", SPOT_WORDS + "\n"):
        with pytest.raises(BadReply, match=said):
            rows_of(SPOT, OLD, head + text)


@pytest.mark.parametrize(
    ("head", "said"),
    [(SPOT_WORDS + ",Fee", "'Fee'"), (SPOT_WORDS.replace("Trade ID", "Trade Id"), "'Trade Id'"),
     (SPOT_WORDS.rpartition(",")[0], "header"), ("id,ts,price,price,direction", "header"),
     (SPOT_WORDS + ",", "header"),
     (SPOT_WORDS + ",Trade Price", "header"), (LINEAR_WORDS, "header"), (NEW_WORDS, "header"),
     ("<html>", "header"), ("PK\x03\x04", "header"), ("\x00\x01", "header")],
)  # fmt: skip
def test_unknown_headers_are_refused(head: str, said: str) -> None:
    with pytest.raises(BadReply, match=said):
        rows_of(SPOT, OLD, f"{head}\n{SPOT_OLD}")


def test_bytes_that_are_no_text_are_refused() -> None:
    for text in (
        b"\xff\xfe1\x00,\x002\x00\n",
        SPOT_OLD.encode().replace(b"sell", b"s\xffll"),
        b"\x80\n" + SPOT_OLD.encode(),
    ):
        with pytest.raises(BadReply):
            rows_of(SPOT, OLD, text)


@pytest.mark.parametrize(
    "row",
    [
        "ETH-USDT",
        "btc-usdt",
        "BTCUSDT",
        "BTC-USDT-PERP",
        "",
        " BTC-USDT",
        "BTC-USDT ",
        "BTC_USDT",
        '"BTC-USDT"',
    ],
)
def test_rows_of_another_instrument_are_refused(row: str) -> None:
    """In the first row and in any later one, even where the name is as long."""
    other = NEW_ROW.replace("BTC-USDT", row)
    for text in (f"{other}\n{NEW_ROW}\n", f"{NEW_ROW}\n{other}\n"):
        with pytest.raises(BadReply, match=r"row [01] is of|header"):
            rows_of(SPOT, NEW, f"{NEW_WORDS}\n{text}")
        with pytest.raises(BadReply):
            rows_of(SPOT, NEW, text)


def test_names_of_any_alphabet() -> None:
    """htx-api 1.2: symbols hold characters that are not ASCII."""
    series = Series("trades", "htx-spot", "币安人生usdt")
    text = SPOT_NEW.replace("BTC-USDT", "币安人生-USDT")
    assert rows_of(series, NEW, f"{NEW_WORDS}\n{text}") == SPOT_ROWS
    assert rows_of(series, NEW, text) == SPOT_ROWS
    with pytest.raises(BadReply, match="币安人生-USDT"):
        rows_of(SPOT, NEW, f"{NEW_WORDS}\n{text}")


# ------------------------------------------------------------------------------------------------------- contracts


def test_contracts_of_the_new_tree_are_worth_their_size() -> None:
    """`size` is contracts; coins are contracts times coins per contract, rounded once."""
    text = f"{NEW_WORDS}\n" + "".join(
        f"BTC-USDT-PERP,{1000219512747480000 + at},78688.42,SELL,{size},{1788710400322 + at}\n"
        for at, size in enumerate((2, 424, 3, 0))
    )
    found = rows_of(LINEAR, NEW, text, 0.001)
    assert found["quantity"] == [0.002, 0.424, 0.003, 0.0]
    assert found["contracts"] == [2.0, 424.0, 3.0, 0.0]
    assert found["trade_id"] == [str(1000219512747480000 + at) for at in range(4)]
    assert found["side"] == ["sell"] * 4
    assert rows_of(LINEAR, NEW, text, 1000.0)["quantity"] == [2000.0, 424000.0, 3000.0, 0.0]
    with pytest.raises(BadReply, match="size of a contract is not known"):
        rows_of(LINEAR, NEW, text)


def test_sizes_that_are_no_whole_numbers_are_coins() -> None:
    """And a file does not change its mind."""
    row = "BTC-USDT-PERP,{},78688.42,SELL,{},1788710400322\n"
    coins = row.format(10, "0.424") + row.format(11, "2")
    found = rows_of(LINEAR, NEW, coins, 0.001)
    assert (found["quantity"], found["contracts"]) == ([0.424, 2.0], [424.0, 2000.0])
    found = rows_of(LINEAR, NEW, coins)
    assert found["quantity"] == [0.424, 2.0]
    assert "contracts" not in found
    with pytest.raises(BadReply, match="neither contracts nor coins"):
        rows_of(LINEAR, NEW, coins + row.format(12, "0.0005"), 0.001)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [(",424,0.424", ",424,0.848", "contracts are 0.848 coins|contracts are"), (",424,", ",425,", "contracts are"),
     (",2,0.002", ",0,0.002", "contracts are"), ("19081.7384", "424", "turnover"),
     ("19081.7384", "19081738.4", "turnover")],
)  # fmt: skip
def test_contracts_that_do_not_make_coins_are_refused(old: str, new: str, said: str) -> None:
    """Coins per contract are the same on every row, and turnover is about coins times price."""
    with pytest.raises(BadReply, match=said):
        rows_of(LINEAR, OLD, LINEAR_OLD.replace(old, new))


def test_swapped_columns_are_refused() -> None:
    """Contracts in the column of coins: so many dollars for so many coins were no price."""
    swapped = "1,1621332282860,45004.1,0.424,424,19081.7384,sell\n"
    with pytest.raises(BadReply, match="turnover"):
        rows_of(LINEAR, OLD, swapped)


INVERSE_OLD = (
    "509517815610000,1603852832106,13804,4,0.02897710808461315,sell\n"
    "509517815610001,1603852832107,13804,2,0.014488554042306577,buy\n"
)


@pytest.mark.parametrize("series", [INVERSE, FUTURES])
def test_coin_margined_trades_of_the_old_tree(series: Series) -> None:
    """Contracts of so many dollars each, and coins, which may be rounded to any number of decimals."""
    words = "Trade ID,Trade Time,Trade Price,Volume (in Contracts),Volume (in Base Currency),Side (buy/sell)"
    for text in (
        INVERSE_OLD,
        f"{words}\n{INVERSE_OLD}",
        f"id,ts,price,amount,quantity,direction\n{INVERSE_OLD}",
    ):
        assert rows_of(series, OLD, text) == {
            "trade_time": [1_603_852_832_106_000, 1_603_852_832_107_000],
            "trade_id": ["509517815610000", "509517815610001"],
            "price": [13804.0, 13804.0],
            "quantity": [0.02897710808461315, 0.014488554042306577],
            "contracts": [4.0, 2.0],
            "side": ["sell", "buy"],
        }
    rounded = INVERSE_OLD.replace("0.02897710808461315", "0.0290").replace("0.014488554042306577", "0.0145")
    assert rows_of(series, OLD, rounded)["quantity"] == [0.029, 0.0145]
    with pytest.raises(BadReply, match="contracts are"):
        rows_of(series, OLD, INVERSE_OLD.replace(",2,", ",3,"))


@pytest.mark.parametrize(("series", "name"), [(INVERSE, "BTC-USD-PERP"), (FUTURES, "BTC-USD-210813")])
def test_coin_margined_trades_of_the_new_tree(series: Series, name: str) -> None:
    """Coins are contracts times dollars per contract over the price."""
    text = f"{NEW_WORDS}\n{name},7,50000,BUY,3,1788710400322\n{name},8,40000,SELL,4,1788710400323\n"
    found = rows_of(series, NEW, text, 100.0)
    assert (found["quantity"], found["contracts"]) == ([0.006, 0.01], [3.0, 4.0])
    for bad, said in (("BUY,3,", "BUY,0.5,"), ("50000", "0")):
        with pytest.raises(BadReply):
            rows_of(series, NEW, text.replace(bad, said), 100.0)
    with pytest.raises(BadReply, match="size of a contract"):
        rows_of(series, NEW, text)


# --------------------------------------------------------------------------------------------------------- numbers


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(1, 10**27), st.integers(10**18, 10**18 + 30), st.integers(1, 30)),
            st.integers(1_700_000_000_000, 1_700_000_000_009),
            st.builds(
                "{}{}{}".format,
                st.integers(0, 10**8),
                st.sampled_from(["", ".0", ".5", ".000000123456", ".123456789012345678"]),
                st.sampled_from(["", "", "E-5", "e+3", "E9"]),
            ),
            st.sampled_from(["1", "0.5", "2.50"]),
            st.sampled_from(["buy", "sell"]),
        ),
        min_size=1, max_size=30,
    )
)  # fmt: skip
def test_every_digit_of_every_row(rows: list[tuple[int, int, str, str, str]]) -> None:
    """Values are Python's own reading of the texts; an id that occurs once is its text, and all ids differ."""
    rows.sort(key=lambda row: row[1])
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    found = rows_of(SPOT, OLD, text)
    assert found["trade_time"] == [row[1] * 1000 for row in rows]
    assert found["price"] == [float(row[2]) for row in rows]
    assert found["quantity"] == [float(row[3]) for row in rows]
    assert found["side"] == [row[4] for row in rows]
    ids = [row[0] for row in rows]
    assert len(set(found["trade_id"])) == len(rows)
    for identity, name in zip(ids, found["trade_id"], strict=True):
        assert (name == str(identity)) == (ids.count(identity) == 1)


def test_what_a_double_does_not_carry_is_counted() -> None:
    """So many values of each row, once for each column."""
    long = "0.1234567890123456789"
    said = [("1", "1"), (long, "1"), (long, long), ("0.3", "1e-400"), ("100000000000000000000", "0.10")]
    rows = [f"{at},1735660802822,{price},{size},buy\n" for at, (price, size) in enumerate(said, 10)]
    found = rows_of(SPOT, OLD, "".join(rows))
    assert found["unfit"] == [0, 1, 2, 1, 0]
    assert found["price"][1] == 0.12345678901234568
