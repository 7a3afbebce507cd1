"""Two roads from the text of rows to columns: they must lead to the same place, or the fast one must not be taken."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.venues.htx import rows as wire

INTEGERS = frozenset({"id", "count"})

plain = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats(allow_nan=False, allow_infinity=False, width=64).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=9).map(
        str
    ),
    st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?(E[+-]?[0-9]{1,3})?\Z"),
    st.sampled_from(
        [
            "0E-18",
            "5.313E-5",
            "1.0E9",
            "-0.0",
            "0.010411000000000000",
            "9007199254740993",
            "0.1000000000000000055511151231257827",
            "3.946281917950917",
            "1E-400",
            "1E400",
            "4.9E-324",
        ]
    ),
)
broken = st.one_of(
    st.sampled_from(
        [
            "1-2",
            "+1",
            ".5",
            "1.",
            "01",
            "--1",
            "-",
            "",
            "1E",
            "1E+",
            "E5",
            "1.2.3",
            "00",
            "-01",
            "0x1F",
            "1e5",
            "NaN",
            "Infinity",
            "null",
            "true",
            '"1"',
            '"NaN"',
            "[1]",
            "{}",
            " 1",
            "1 ",
            "1_0",
            "1E5E5",
        ]
    ),
    st.text(alphabet="0123456789.+-E", max_size=6),
)
names = st.permutations(["id", "open", "close", "amount"])


def text_of(rows: list[list[tuple[str, str]]], gap: str = "") -> bytes:
    return ",".join("{" + ",".join(f'"{k}":{gap}{v}' for k, v in row) + "}" for row in rows).encode()


def reference(text: bytes) -> tuple[list[dict[str, Any]], list[int]] | None:
    """What Python's own JSON and Decimal say: the rows, and how many numbers of each a DOUBLE does not carry."""
    try:
        rows = json.loads(b"[" + text + b"]", parse_float=Decimal, parse_constant=lambda word: word)
    except ValueError:
        return None
    unfit = []
    for row in rows:
        if not isinstance(row, dict):
            return None
        if any(isinstance(v, bool) or not isinstance(v, int | Decimal) for v in row.values()):
            return None
        floats = [Decimal(v) for k, v in row.items() if k not in INTEGERS]
        if any(float(v) in (float("inf"), float("-inf")) for v in floats):
            return None
        unfit.append(sum(Decimal(repr(float(v))) != v for v in floats))
    return rows, unfit


def fast_road(text: bytes, wanted: set[str] | None = None) -> Any:
    """What the fast road makes of an answer with these rows; ``None`` where the answer is not even JSON."""
    try:
        answer = wire.open_answer(b'{"data":[' + text + b"]}")
    except BadReply:
        return None
    return None if answer.said or answer.rows != text else wire.fast_rows(answer, INTEGERS, wanted)


def assert_same(text: bytes) -> bool:
    """The fast road gives what the reference gives, or nothing at all. Was it taken?"""
    fast = fast_road(text)
    if fast is None:
        return False
    truth = reference(text)
    assert truth is not None, "the fast road took what is no row of numbers"
    columns, unfit = fast
    rows, wanted = truth
    assert set(columns) == set(rows[0])
    for name, column in columns.items():
        expected = [int(row[name]) if name in INTEGERS else float(row[name]) for row in rows]
        assert column.to_pylist() == expected
    assert (unfit.tolist() if unfit is not None else [0] * len(rows)) == wanted
    return True


@given(names, st.lists(st.lists(plain, min_size=4, max_size=4), min_size=1, max_size=6))
@example(["open", "close", "id", "amount"], [["0", "0", "30517578124.999998093", "0"]])
@example(
    ["id", "open", "close", "amount"],
    [["1", "9007199254740993", "1", "1"], ["2", "1", "1", "0.12345678901234567"]],
)
@settings(max_examples=100)
def test_numbers_in_every_spelling_keep_value_and_row(keys: list[str], values: list[list[str]]) -> None:
    """Values equal the reference's, and the numbers that do not fit are counted in the row that holds them."""
    assert_same(text_of([list(zip(keys, row, strict=True)) for row in values]))


@given(
    st.lists(
        st.tuples(names, st.lists(st.one_of(plain, plain, broken), min_size=4, max_size=4)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["", "", " "]),
)
def test_what_json_forbids_never_takes_the_fast_road(
    rows: list[tuple[list[str], list[str]]], gap: str
) -> None:
    """Other orders of keys, broken numbers, nulls, texts, nesting, blanks: the same as the reference, or declined."""
    assert_same(text_of([list(zip(keys, values, strict=True)) for keys, values in rows], gap))


@given(st.integers(1, 4), st.data())
def test_one_stray_character_never_changes_a_number(count: int, data: st.DataObject) -> None:
    """A character put anywhere into good rows is a number's own, or the fast road is not taken."""
    good = text_of([[("id", f"{n}"), ("open", "1.5"), ("close", "12E-3")] for n in range(1, count + 1)])
    at = data.draw(st.integers(0, len(good)))
    assert_same(good[:at] + data.draw(st.sampled_from(list('0159.+-E"{}[],: ae'))).encode() + good[at:])
    cut = data.draw(st.integers(0, len(good) - 1))
    assert_same(good[:cut] + good[cut + 1 :])


@pytest.mark.parametrize(
    "number", ["1-2", "+1", ".5", "1.", "01", "--1", "-.5", "-01", "00", "1.E5", "1E", ""]
)
def test_the_csv_reader_is_not_asked_what_a_number_is(number: str) -> None:
    """Arrow reads `+1`, `.5`, `1.` and `01`; JSON forbids them, and so do both roads."""
    text = text_of([[("open", "1"), ("id", "1")], [("open", number), ("id", "2")]])
    assert fast_road(text) is None
    with pytest.raises(BadReply, match="no JSON"):
        wire.slow_rows(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"id":1},{"id5":2}',
        b'{"id":1},{"i5d":2}',
        b'{"id":1},{"5id":2}',
        b'{"id":1},{"id-":2}',
        b'{"id":1}5,{"id":2}',
        b'{"id":1},{5"id":2}',
        b'{"id":1},5{"id":2}',
        b'{"id":1},{"id"5:2}',
        b'{"id":1,"id":2}',
        b'{"id":1},',
        b"",
        b'{"id":1},{"id":2},{"id":}',
        b'{"id":1}{"id":2}',
        b'{"id":1},{"open":2}',
    ],
)
def test_shapes_that_only_look_alike_take_the_slow_road(text: bytes) -> None:
    """Digits in keys or between tokens vanish when numbers are taken out; they are noticed all the same."""
    assert fast_road(text) is None


def test_whole_numbers_and_unwanted_members_are_never_unfit() -> None:
    """An int64 carries all its digits, and what is not stored does not count."""
    text = text_of([[("id", "1234567890123456"), ("mrid", "0.12345678901234567890123"), ("open", "1.5")]])
    fast = fast_road(text, {"id", "open"})
    assert fast is not None
    assert {name: column.to_pylist() for name, column in fast[0].items()} == {"id": [1234567890123456], "open": [1.5]}
    assert fast[1] is None


@pytest.mark.parametrize("number", [str(2**53), "1234567890123456789", "-9007199254740993", "1.5"])
def test_whole_numbers_that_a_double_may_have_rounded_take_the_slow_road(number: str) -> None:
    """The fast road reads doubles: what it cannot vouch for it leaves alone."""
    text = text_of([[("id", number), ("open", "1.5")]])
    assert fast_road(text) is None
    if number != "1.5":
        assert wire.integer(wire.slow_rows(text)[0], "id", 0) == int(number)


@given(plain)
def test_fitting_is_what_decimal_says(number: str) -> None:
    """A number fits if its double's shortest spelling is the same decimal."""
    assert wire.fits(number) == (
        float(number) not in (float("inf"), float("-inf")) and Decimal(number) == Decimal(repr(float(number)))
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        [],
        {},
        "",
        " 1",
        "1 ",
        "+1",
        ".5",
        "1.",
        "01",
        "1_000",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "0x10",
        "١٢",
        "²",
        "1e999",
        "1E999",
        Decimal("1E400"),
        10**400,
        "9" * 500,
    ],
)
def test_anything_but_a_finite_number_raises(value: Any) -> None:
    """The tolerant reader takes numbers and their texts, and nothing else."""
    with pytest.raises(BadReply, match=r"row 3: 'open'"):
        wire.number({"open": value}, "open", 3)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (5, 5),
        ("5", 5),
        ("-5", -5),
        (Decimal("1.6E9"), 1_600_000_000),
        ("5.0", 5),
        (2**70, 2**70),
        ("9007199254740993", 9007199254740993),
        (Decimal("9007199254740993.0"), 9007199254740993),
    ],
)
def test_whole_numbers_keep_every_digit(value: Any, whole: int) -> None:
    """In either spelling, and beyond what a double holds."""
    assert wire.integer({"id": value}, "id", 0) == whole


@pytest.mark.parametrize("value", ["1.5", Decimal("9007199254740993.5"), Decimal("1E-9"), None, True, "x"])
def test_parts_are_no_whole_numbers(value: Any) -> None:
    """Half of an id is no id, however large."""
    with pytest.raises(BadReply):
        wire.integer({"id": value}, "id", 0)


@pytest.mark.parametrize("value", [1_600_000_000, 1_600_000_000_000_000, -1, 0, 32_503_680_000_000])
def test_an_instant_is_milliseconds_of_our_time(value: int) -> None:
    """Seconds, microseconds, negatives and the year 3000 are refused."""
    assert wire.instant({"t": 1_603_296_000_000}, "t", 0) == 1_603_296_000_000_000
    with pytest.raises(BadReply, match="not milliseconds of our time"):
        wire.instant({"t": value}, "t", 0)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"ok","x":{"data":[]},"data":[{"id":1}]}',
        b'{"data":[],"data":[{"id":1}]}',
        b'{"x":[{"data":[]}],"data":[{"id":1}]}',
        b'{ "data" : [{"id":1}] , "status":"ok"}',
        b'{"ch":"\\"data\\":[]","data":[{"id":1}]}',
        b'{"dat\\u0061":[{"id":1}]}',
    ],
)
def test_only_the_envelopes_own_data_are_rows(body: bytes) -> None:
    """Another `data` inside, before, twice or escaped does not stand for the rows."""
    assert wire.open_answer(body).rows.strip() == b'{"id":1}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"<html>",
        b'{"data":[{"id":1}',
        b'{"data":[]',
        b'{"status":"ok"}',
        b'{"data":{"data":[]}}',
        b'{"data":null}',
        b'{"data":[] "x":1}',
        b'x{"data":[]}',
        b'{"data":[]}}',
        b'{"x":' + b"[" * 90_000 + b"]" * 90_000 + b',"data":[]}',
        b'{"x":"\xff","data":[]}',
        b'{"x":1,"data":' + b"[" * 90_000,
    ],
)
def test_an_answer_that_is_none_raises_and_nothing_else(body: bytes) -> None:
    """Cut, nested without end, not UTF-8, no object: always BadReply."""
    with pytest.raises(BadReply):
        wire.open_answer(body)


@pytest.mark.parametrize(
    "text",
    [b'{"a":1E99999999999999999999}', b'{"a":' + b"1" * 5000 + b"}", b"[" * 90_000, b"1", b'{"a":"\xff"}'],
)
def test_rows_that_are_none_raise_and_nothing_else(text: bytes) -> None:
    """Numbers beyond all bounds and nesting without end are BadReply, not an error of the decoder's."""
    with pytest.raises(BadReply):
        wire.slow_rows(text)


@pytest.mark.benchmark
def test_two_thousand_candles_in_a_millisecond_or_so() -> None:
    """Prints the CPU time of the fast road on 2,000 candles; 3 ms would be a step back."""
    row = (
        '{"id":%d,"open":49056.37,"close":49025.51,"low":49022.86,"high":49056.38,'
        '"amount":3.946281917950917,"vol":193489.67275732,"count":196}'
    )
    text = ",".join(row % (1_600_000_000 + 60 * n) for n in range(2000)).encode()
    best = 1.0
    for _ in range(40):
        began = time.process_time()
        fast_road(text)
        best = min(best, time.process_time() - began)
    print(f"2,000 candles: {best * 1e3:.2f} ms CPU")
    assert best < 3e-3
