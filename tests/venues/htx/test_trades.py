"""From HTX's newest trades to columns: recorded envelopes, both roads, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.venues.htx import trades
from htxdata.venues.terms import Parsed

SPOT = Series("trades", "htx-spot", "btcusdt")
LINEAR = Series("trades", "htx-linear", "BTC-USDT")
MARKETS = {"spot": (trades.spot_trades, SPOT), "linear": (trades.linear_trades, LINEAR)}


def reply(body: bytes | dict[str, Any]) -> Reply:
    return Reply(Request("/x"), 200, body if isinstance(body, bytes) else json.dumps(body).encode(), 0)


def rows_of(parsed: Parsed) -> dict[str, list[Any]]:
    """The columns as they would be stored; instants as integers."""
    table = conform(dataset("trades"), {**parsed.columns, "source": "rest", "received_at": 0}, parsed.unfit)
    columns = {
        name: column for name, column in table.to_pydict().items() if name not in ("source", "received_at")
    }
    columns["trade_time"] = table["trade_time"].cast("int64").to_pylist()
    return columns


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


SPOT_FILL = {"id": 136108764379348400430265987, "ts": 1629793656939, "trade-id": 102517381182, "amount": 1.5,
             "price": 49656.4, "direction": "buy"}  # fmt: skip
LINEAR_FILL = {"id": 1000219512747480000, "ts": 1629793656939, "amount": 2, "price": 49656.4, "direction": "sell",
               "quantity": 0.002, "trade_turnover": 99.3128}  # fmt: skip
FILLS = {"spot": SPOT_FILL, "linear": LINEAR_FILL}


def answer(market: str, *fills: dict[str, Any], **said: Any) -> dict[str, Any]:
    """All fills in one group."""
    symbol = MARKETS[market][1].symbol
    group = {"id": 136108764379, "ts": 1629793656939, "data": list(fills)}
    return {
        "ch": f"market.{symbol}.trade.detail",
        "status": "ok",
        "ts": 1629793657842,
        "data": [group],
        **said,
    }


def parse(market: str, body: bytes | dict[str, Any]) -> Parsed:
    parser, series = MARKETS[market]
    return parser(reply(body), series)


# ---------------------------------------------------------------------------------------------- recorded


def test_recorded_spot_trades(shared: Path) -> None:
    """Groups are flattened, ``trade-id`` is the number, ``amount`` is base; the 27 digits of ``id`` are nowhere."""
    parsed = parse("spot", sample(shared, "spot-history-trade"))
    assert rows_of(parsed) == {
        "trade_time": [1629793656939_000, 1629793656198_000, 1629793656198_000],
        "trade_id": ["102517381182", "102517381181", "102517381180"],
        "price": [49656.4, 49655.0, 49651.35],
        "quantity": [1.24e-4, 0.01125, 8.3e-4],
        "quote_quantity": [None, None, None],
        "contracts": [None, None, None],
        "side": ["buy", "buy", "buy"],
    }
    assert parsed.page == Page(3, 1629793656198_000, 1629793656939_000, until=1629793657842_000)
    assert parsed.unfit is None


def test_recorded_spot_trades_with_18_decimals(shared: Path) -> None:
    """Long spellings take the careful road, and a DOUBLE carries them all the same."""
    parsed = parse("spot", sample(shared, "spot-history-trade-2"))
    rows = rows_of(parsed)
    assert (rows["trade_id"], rows["price"], rows["quantity"], rows["side"]) == (
        ["102090736910"],
        [9096.05],
        [0.010411],
        ["sell"],
    )
    assert parsed.page == Page(1, 1583497692182_000, 1583497692182_000, until=1583497692365_000)
    assert parsed.unfit is None


def test_recorded_linear_trades(shared: Path) -> None:
    """``amount`` is contracts, ``quantity`` coins, ``trade_turnover`` USDT, as the venue says them: both sides."""
    parsed = parse("linear", sample(shared, "linear-history-trade"))
    assert rows_of(parsed) == {
        "trade_time": [1603695383124_000],
        "trade_id": ["1314767870000"],
        "price": [13081.3],
        "quantity": [0.002],
        "quote_quantity": [26.1626],
        "contracts": [2.0],
        "side": ["buy"],
    }
    assert parsed.page == Page(1, 1603695383124_000, 1603695383124_000, until=1603695388965_000)


# ---------------------------------------------------------------------------------------------- two roads

identities = st.one_of(st.integers(10**11, 10**12), st.integers(10**18, 2**63 - 1), st.integers(0, 9))
amounts = st.one_of(
    st.decimals(0, 10**6, places=6).map(str),
    st.sampled_from(["1.24E-4", "0E-18", "5", "0.010411000000000000", "0.1000000000000000055511151231257827",
                     "9007199254740993", "1.0E9", "3.946281917950917"]),
)  # fmt: skip
prices = st.one_of(st.decimals("0.01", 10**6, places=2).map(str), st.sampled_from(["5.313E-5", "49655.0"]))
fills = st.tuples(
    st.integers(1_500_000_000_000, 1_800_000_000_000), identities, prices, amounts, amounts, amounts,
    st.sampled_from(["buy", "sell"]), st.booleans(),
)  # fmt: skip


def spelled(market: str, row: tuple[Any, ...], order: int) -> str:
    time, identity, price, amount, other, turnover, side, has_turnover = row
    if market == "spot":
        members = [
            ("id", "136108763320348400439066863"),
            ("ts", time),
            ("trade-id", identity),
            ("amount", amount),
        ]
    else:
        members = [("id", identity), ("ts", time), ("amount", other), ("quantity", amount)]
        members += [("trade_turnover", turnover)] if has_turnover else []
    members += [("price", price), ("direction", f'"{side}"')]
    members = members[order % len(members) :] + members[: order % len(members)]
    return "{" + ",".join(f'"{name}":{value}' for name, value in members) + "}"


@pytest.mark.parametrize("market", MARKETS)
@settings(max_examples=60)
@given(
    groups=st.lists(st.lists(fills, min_size=0, max_size=4), max_size=6),
    order=st.integers(0, 6),
    blank=st.sampled_from(["", " "]),
)
def test_every_digit_of_every_trade_survives(
    market: str, groups: list[list[tuple[Any, ...]]], order: int, blank: str
) -> None:
    """However trades are grouped and members ordered: all fills come in their order, ids digit for digit, figures
    as the DOUBLE nearest to what was said, and as many as it does not carry are counted. Both roads agree."""
    text = ",".join(
        f'{{"id":1,"ts":2,"data":[{",".join(spelled(market, row, order) for row in group)}]}}'
        for group in groups
    )
    body = f'{{"ts":1800000000000,"data":[{text}]}}'.replace(":", ":" + blank).encode()
    parsed = parse(market, body)
    flat = [row for group in groups for row in group]
    assert parsed.page.count == len(flat)
    if not flat:
        assert parsed.page == Page(0)
        return
    rows = rows_of(parsed)
    assert rows["trade_id"] == [str(row[1]) for row in flat]
    assert rows["trade_time"] == [row[0] * 1000 for row in flat]
    assert rows["side"] == [row[6] for row in flat]
    assert rows["price"] == [float(row[2]) for row in flat]
    assert rows["quantity"] == [float(row[3]) for row in flat]
    figures = [[row[2], row[3]] for row in flat]
    if market == "linear":
        assert rows["contracts"] == [float(row[4]) for row in flat]
        assert rows["quote_quantity"] == [float(row[5]) if row[7] else None for row in flat]
        figures = [[row[2], row[3], row[4], *([row[5]] if row[7] else [])] for row in flat]
    lost = [sum(Decimal(repr(float(said))) != Decimal(said) for said in row) for row in figures]
    assert (lost if parsed.unfit is None else parsed.unfit.tolist()) == lost
    if parsed.unfit is None:
        assert not any(lost)
    times = [row[0] * 1000 for row in flat]
    assert parsed.page == Page(len(flat), min(times), max(times), until=1800000000000_000)


@pytest.mark.parametrize("market", MARKETS)
@settings(max_examples=40)
@given(data=st.data())
def test_both_roads_lead_to_the_same_place(market: str, data: st.DataObject) -> None:
    """What the fast road takes, the slow road reads alike, and it takes all that is spelled as HTX spells today."""
    names = {"spot": trades.SPOT_TRADE, "linear": trades.LINEAR_TRADE}[market]
    some = data.draw(st.lists(fills, min_size=1, max_size=5))
    text = ",".join(spelled(market, row, 0) for row in some)
    body = f'{{"ts":1800000000000,"data":[{{"data":[{text}]}}]}}'.encode()
    decoder = trades._DECODERS[market]
    fast = trades._fast(body, names, decoder)
    slow, unfit, said = trades._slow(body, names)
    if fast is None:
        # Long spellings, and zeros, which a DOUBLE may have made of something.
        assert any(len(figure) >= 16 or float(figure) == 0 for row in some for figure in row[2:6])
        return
    assert unfit is None
    assert said == {"ts": 1800000000000}
    assert fast[2] == {"ts": 1800000000000, "ch": None}
    assert {name: list(map(str, column)) for name, column in fast[0].items()} == {
        name: list(map(str, column)) for name, column in slow.items()
    }


@pytest.mark.parametrize("amount", ["1E-400", "1e-400", "0.1000000000000000055511151231257827"])
@pytest.mark.parametrize("key", ['"amount"', '"amoun\\u0074"', '"amount" '])
def test_a_figure_that_no_double_carries_is_counted_however_its_name_is_spelled(
    amount: str, key: str
) -> None:
    """Too small, or with too many digits; the name with an escaped letter or a blank behind it."""
    good = '{"ts":1629793656939,"trade-id":7,"amount":1.5,"price":2,"direction":"buy"}'
    body = f'{{"data":[{{"data":[{good},{good.replace(chr(34) + "amount" + chr(34) + ":1.5", key + ":" + amount)}]}}]}}'
    parsed = parse("spot", body.encode())
    assert rows_of(parsed)["quantity"] == [1.5, float(amount)]
    assert parsed.unfit.tolist() == [0, 1]


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"direction": "Buy"}, "neither buy nor sell"),
        ({"direction": None}, "neither buy nor sell"),
        ({"direction": 1}, "neither buy nor sell"),
        ({"direction": ["buy"]}, "neither buy nor sell"),
        ({"price": 0}, "no price"),
        ({"price": -1.5}, "negative"),
        ({"price": True}, "'price' is True"),
        ({"price": "1_000"}, "not a number"),
        ({"ts": 1629793656}, "not milliseconds"),
        ({"ts": 1629793656939000}, "not milliseconds"),
        ({"ts": 1629793656939.5}, "not a whole number"),
        ({"quantity": -1, "amount": -1}, "negative"),
        ({"id": -1, "trade-id": -1}, "not the number of a trade"),
        ({"id": 1.5, "trade-id": 1.5}, "not a whole number"),
        ({"id": 2**63, "trade-id": 2**63}, "not the number of a trade"),
        ({"id": "1E300", "trade-id": "1E300"}, "not the number of a trade"),
        (
            {"id": 136108764379348400430265987, "trade-id": 136108764379348400430265987},
            "not the number of a trade",
        ),
    ],
)
def test_what_is_no_trade_is_refused_and_named(market: str, change: dict[str, Any], why: str) -> None:
    """The second of three trades is wrong in one member: the reply is refused whole, and the row is said."""
    good = FILLS[market]
    bad = {**good, **{name: value for name, value in change.items() if name in good}}
    with pytest.raises(BadReply, match=f"row 1: .*{why}"):
        parse(market, answer(market, good, bad, good))


@pytest.mark.parametrize("name", ["quantity", "amount", "price", "id", "ts", "direction"])
def test_a_linear_trade_without_coins_is_refused(name: str) -> None:
    """Coins cannot be made of contracts without their size (``quantity`` exists since 2021-02)."""
    bad = {key: value for key, value in LINEAR_FILL.items() if key != name}
    with pytest.raises(BadReply, match=f"row 1: '{name}'"):
        parse("linear", answer("linear", LINEAR_FILL, bad))


def test_a_turnover_that_is_not_said_is_null() -> None:
    """``trade_turnover`` alone may be lacking, in one trade or in all."""
    bare = {key: value for key, value in LINEAR_FILL.items() if key != "trade_turnover"}
    mixed = parse("linear", answer("linear", LINEAR_FILL, bare, {**bare, "trade_turnover": None}))
    assert rows_of(mixed)["quote_quantity"] == [99.3128, None, None]
    assert "quote_quantity" not in parse("linear", answer("linear", bare)).columns


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize(
    "group", [1, None, [], {}, {"data": None}, {"data": {}}, {"data": [1]}, {"data": "x"}]
)
def test_a_group_holds_a_list_of_trades(market: str, group: object) -> None:
    """Anything else in the place of a group is refused."""
    with pytest.raises(BadReply):
        parse(market, answer(market, data=[{"data": [FILLS[market]]}, group]))


@pytest.mark.parametrize("market", MARKETS)
def test_numbers_in_quotes_are_numbers(market: str) -> None:
    """The socket's answers spell trades as texts: one tolerant reader (htx-api 1.5)."""
    quoted = {name: value if name == "direction" else str(value) for name, value in FILLS[market].items()}
    assert rows_of(parse(market, answer(market, quoted))) == rows_of(
        parse(market, answer(market, FILLS[market]))
    )


def test_the_obsolete_id_is_not_looked_at() -> None:
    """Spot's inner ``id`` may be anything, or nothing: it is to be dropped."""
    bare = {name: value for name, value in SPOT_FILL.items() if name != "id"}
    for odd in ({"id": "x"}, {"id": None}, {"id": 1.36e26}, {}):
        assert rows_of(parse("spot", answer("spot", {**bare, **odd})))["trade_id"] == ["102517381182"]


@pytest.mark.parametrize(
    "ch", ["market.ethusdt.trade.detail", "market.btcusdt.kline.1min", "", 5, "market.*.trade.detail"]
)
def test_an_answer_must_be_about_the_symbol(ch: object) -> None:
    """Trades of all contracts, of another symbol or candles are not taken for what was asked."""
    with pytest.raises(BadReply, match=r"asked for market\.btcusdt\.trade\.detail"):
        parse("spot", answer("spot", SPOT_FILL, ch=ch))


@pytest.mark.parametrize(
    ("ts", "until"),
    [
        (1629793657842, 1629793657842_000),
        ("1629793657842", 1629793657842_000),
        *((odd, None) for odd in (None, 1, 1629793657, 1629793657842_000, [], 1.5, True)),
    ],
)
def test_what_the_venue_clock_does_not_say_is_not_claimed(ts: object, until: int | None) -> None:
    """The answer's own time is how far it speaks; where it is no time in milliseconds, nothing is claimed by it."""
    assert parse("spot", answer("spot", SPOT_FILL, ts=ts)).page.until == until


def test_no_trades_are_an_empty_page() -> None:
    """Neither a list without groups nor a group without trades is a row."""
    for data in ([], [{"id": 1, "ts": 2, "data": []}]):
        parsed = parse("spot", answer("spot", data=data))
        assert parsed.page == Page(0)
        assert all(len(column) == 0 for column in parsed.columns.values())
