"""Candles of prices and rates that are computed: numbers in quotes, over both roads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import parse
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.endpoints import LINEAR

TOPICS = {
    "mark_klines": "mark_price",
    "premium_klines": "premium_index",
    "estimated_rate_klines": "estimated_rate",
}


def series(dataset: str, period: str = "1min") -> Series:
    return Series(dataset, "htx-linear", "BTC-USDT", period)


def read(dataset: str, body: bytes, period: str = "1min") -> Any:
    (endpoint,) = LINEAR.endpoints_for(dataset, period)
    return endpoint.parse(Reply(Request("/x", (("period", period),)), 200, body, 0), series(dataset, period))


def values(parsed: Any) -> dict[str, list[Any]]:
    return {name: list(map(float, column.to_pylist())) for name, column in parsed.columns.items()}


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("dataset", "name", "period", "openings", "price"),
    [
        ("mark_klines", "linear-mark-kline", "5min", [1611105300_000_000, 1611105600_000_000], 31078.68),
        ("premium_klines", "linear-premium-index-kline", "1min", [1603696920_000_000], 0.0000079166666666),
        ("estimated_rate_klines", "linear-estimated-rate-kline", "1min", [1603697100_000_000], 0.0001),
        ("estimated_rate_klines", "linear-estimated-rate-kline-2", "1min", [1603697100_000_000], 0.0001),
    ],
)
def test_recorded_candles(
    shared: Path, dataset: str, name: str, period: str, openings: list[int], price: float
) -> None:
    """Open time and four prices (all alike in these); the volumes, always "0", are no columns. With and without blanks,
    and a reply that says no ``status`` is none the worse."""
    body = sample(shared, name)
    for raw in (body, json.dumps(json.loads(body), separators=(",", ":")).encode()):
        parsed = read(dataset, raw, period)
        same = [price] * len(openings)
        assert values(parsed) == {
            "open_time": openings,
            "open": same,
            "high": same,
            "low": same,
            "close": same,
        }
        assert parsed.page == Page(len(openings), openings[0], openings[-1])
        assert LINEAR.judge(Reply(Request("/x"), 200, raw, 0)) is None


ROW = {"amount": "0", "close": "2.5", "count": "0", "high": "3", "id": 1603696920, "low": "-1E-7", "open": "0",
       "trade_turnover": "0", "vol": "0"}  # fmt: skip


def body(*rows: dict[str, Any] | str, topic: str = "mark_price", period: str = "1min") -> bytes:
    text = ",".join(row if isinstance(row, str) else json.dumps(row, separators=(",", ":")) for row in rows)
    return f'{{"ch":"market.BTC-USDT.{topic}.{period}","data":[{text}],"ts":1603696958348}}'.encode()


@pytest.mark.parametrize("dataset", TOPICS)
def test_an_answer_of_another_kind_is_refused(dataset: str) -> None:
    """Mark price, premium, estimated rate and traded price are told apart by what the answer says it is."""
    for topic in (*TOPICS.values(), "kline", "index"):
        if topic == TOPICS[dataset]:
            assert values(read(dataset, body(ROW, topic=topic)))["close"] == [2.5]
            continue
        with pytest.raises(BadReply, match=f"the answer says it is 'market.BTC-USDT.{topic}.1min'"):
            read(dataset, body(ROW, topic=topic))


def test_two_thousand_candles_take_the_fast_road() -> None:
    """Quoted rows that are spelled alike make no object each, and a rate below zero is a rate."""
    rows = [
        {**ROW, "id": 1603696920 + 60 * n, "close": f"{n / 1000}", "high": "5", "low": "-5"}
        for n in range(2000)
    ]
    answer = wire.open_answer(body(*rows))
    bare = parse._unquoted(answer)
    assert bare is not None
    assert wire.fast_rows(bare, frozenset({"id"})) is not None
    assert values(read("mark_klines", body(*rows)))["close"] == [n / 1000 for n in range(2000)]


def test_digits_that_do_not_fit_are_counted_in_quotes_too() -> None:
    """Sixteen decimals that a DOUBLE carries, and one that it does not."""
    rows = [{**ROW, "open": "0.0000079166666666"}, {**ROW, "open": "0.1000000000000000055511151231257827"}]
    assert read("mark_klines", body(*rows)).unfit.tolist() == [0, 1]
    assert read("mark_klines", body(rows[0])).unfit is None


figures = st.one_of(
    st.floats(-1e6, 1e6).map(lambda value: repr(value).upper()),
    st.sampled_from(["0", "-0.0", "0E-18", "1.5E-7", "0.0000079166666666", "12345678901234567890", "-5"]),
)
breaks = st.sampled_from(
    ['"1', '1"', '""1"', '"1""', '1"2"', '"1"2', '"', '""', '"+1"', '" 1"', '"1 "', '"01"', '"x"', "1"]
)


@given(
    openings=st.lists(st.integers(0, 10**9), min_size=1, max_size=4, unique=True),
    quoted=st.booleans(),
    bad=st.one_of(
        st.none(), st.tuples(st.sampled_from(["amount", "open", "vol", "id"]), st.integers(0, 3), breaks)
    ),
    data=st.data(),
)
def test_quotes_change_nothing(
    openings: list[int], quoted: bool, bad: tuple[str, int, str] | None, data: st.DataObject
) -> None:
    """Quoted or not, the same candles as Python's own JSON reads; what that refuses is refused."""
    rows = []
    for opening in openings:
        four = sorted((data.draw(figures) for _ in range(4)), key=float)
        row = {"amount": "0", "low": four[0], "open": four[1], "close": four[2], "high": four[3], "vol": "7"}
        rows.append(
            {name: f'"{value}"' if quoted else value for name, value in row.items()} | {"id": str(opening)}
        )
    if bad is not None:
        rows[bad[1] % len(rows)][bad[0]] = bad[2]
    text = ["{" + ",".join(f'"{name}":{value}' for name, value in row.items()) + "}" for row in rows]
    try:
        truth = json.loads(f"[{','.join(text)}]")
    except ValueError:
        with pytest.raises(BadReply):
            read("mark_klines", body(*text))
        return
    try:
        got = values(read("mark_klines", body(*text)))
    except BadReply:
        assert bad is not None
        assert bad[0] in ("open", "id")
        return
    for ours, theirs in (("open", "open"), ("high", "high"), ("low", "low"), ("close", "close")):
        assert got[ours] == [float(row[theirs]) for row in truth]
    assert got["open_time"] == [int(row["id"]) * 1_000_000 for row in truth]


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("name", ["amount", "open", "vol"])
@pytest.mark.parametrize("broken", ['"0', '0"', '""0"', '"0""', '0"0"', '"0"0', '"', '"0"0"0"', '"0":"0"'])
def test_a_quote_out_of_place_is_no_json(broken: str, name: str, at: int) -> None:
    """A quote too few or too many, in a member that is stored or in one that is not, in any row: no quote is taken for
    one that is not there."""
    rows = [json.dumps({**ROW, "id": 1603696920 + 60 * n}, separators=(",", ":")) for n in range(3)]
    member = f'"{name}":"0"'
    assert member in rows[at]
    rows[at] = rows[at].replace(member, f'"{name}":{broken}')
    for some in (rows, [rows[at]], [rows[at]] * 2):
        with pytest.raises(BadReply):
            read("mark_klines", body(*some))


@pytest.mark.parametrize(
    "change", [{"low": "1"}, {"high": "2"}, {"open": ""}, {"close": None}, {"id": "1603696920000"}]
)
def test_what_is_no_candle_is_refused(change: dict[str, Any]) -> None:
    """Low above open, high below close, nothing in quotes, null, milliseconds."""
    with pytest.raises(BadReply):
        read("mark_klines", body(ROW, {**ROW, **change}))
