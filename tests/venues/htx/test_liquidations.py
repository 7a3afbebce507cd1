"""Liquidation orders of v5 and v3: sides, units, numbers."""

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
from htxdata.venues.htx import liquidations
from htxdata.venues.terms import Parsed

SERIES = Series("liquidations", "htx-linear", "BTC-USDT")


def reply(body: bytes | dict[str, Any]) -> Reply:
    return Reply(Request("/x"), 200, body if isinstance(body, bytes) else json.dumps(body).encode(), 0)


def columns(parsed: Parsed) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in parsed.columns.items()}


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


def test_recorded_orders_of_v5(shared: Path) -> None:
    """A short bought back. Its ``amount`` is "2" as its ``volume``: 125.957 USDT at 62,978.5 are 0.002 BTC."""
    parsed = liquidations.orders_v5(reply(sample(shared, "linear-v5-liquidation-orders")), SERIES)
    assert columns(parsed) == {
        "liquidated_at": [1781849094165_000],
        "liquidation_id": ["150153038758"],
        "side": ["buy"],
        "price": [62978.5],
        "quantity": [0.002],
        "contracts": [2.0],
    }
    assert parsed.page == Page(1, 1781849094165_000, 1781849094165_000, "150153038758")
    assert parsed.unfit is None


@pytest.mark.parametrize("name", ["linear-liquidation-orders-v3", "linear-liquidation-orders-v3-2"])
def test_recorded_orders_of_v3(shared: Path, name: str) -> None:
    """A long sold. The number is marked as one of v3; the cursor is the bare number."""
    dated = Series("liquidations", "htx-linear", "BTC-USDT-211210")
    parsed = liquidations.orders_v3(reply(sample(shared, name)), dated)
    assert columns(parsed) == {
        "liquidated_at": [1638593647864_000],
        "liquidation_id": ["v3-452057"],
        "side": ["sell"],
        "price": [51441.7],
        "quantity": [0.479],
        "contracts": [479.0],
    }
    assert parsed.page == Page(1, 1638593647864_000, 1638593647864_000, "452057")


FIVE = {"id": "150153038758", "contract_code": "BTC-USDT", "liquidation_time": "1781849094165", "side": "buy",
        "position_side": "short", "volume": "2", "amount": "0.002", "bankrupt_price": "62978.5",
        "trade_turnover": "125.957"}  # fmt: skip
THREE = {"query_id": 452057, "contract_code": "BTC-USDT", "symbol": "USDT", "direction": "sell", "offset": "close",
         "volume": 479, "price": 51441.7, "created_at": 1638593647864, "amount": 0.479,
         "trade_turnover": 24640.5743}  # fmt: skip


def five(*rows: dict[str, Any]) -> Parsed:
    return liquidations.orders_v5(
        reply({"code": 200, "message": "Success", "data": list(rows), "ts": 1}), SERIES
    )


def three(*rows: dict[str, Any]) -> Parsed:
    return liquidations.orders_v3(reply({"code": 200, "msg": "", "data": list(rows), "ts": 1}), SERIES)


@given(
    contracts=st.integers(1, 10**6),
    size=st.sampled_from([1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0, 1e6]),
    price=st.decimals("0.01", 10**5, places=2),
    in_contracts=st.booleans(),
)
def test_coins_come_out_whichever_unit_the_amount_is_in(
    contracts: int, size: float, price: Any, in_contracts: bool
) -> None:
    """``amount`` in coins is taken as it is said; in contracts, the turnover tells how many coins they are."""
    coins = float(f"{contracts * size:.12g}")
    row = {
        **FIVE,
        "volume": str(contracts),
        "amount": str(contracts) if in_contracts else repr(coins),
        "bankrupt_price": str(price),
        "trade_turnover": f"{float(price) * coins:.15g}",
    }
    parsed = five(row)
    assert parsed.columns["contracts"] == [float(contracts)]
    assert parsed.columns["quantity"] == [coins]


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "0.02"},  # ten times the turnover
        {"amount": "3"},  # neither coins nor the contracts
        {"trade_turnover": "1.25957"},
        {"amount": "2", "trade_turnover": "0"},
        {"amount": "2", "bankrupt_price": "0"},
    ],
)
def test_an_amount_that_fits_no_unit_is_refused(change: dict[str, Any]) -> None:
    """The unit is calibrated on the row itself and never guessed."""
    with pytest.raises(BadReply, match=r"row 1: .*neither in coins nor in contracts"):
        five(FIVE, {**FIVE, **change})


def test_a_turnover_that_was_rounded_still_tells_the_unit() -> None:
    """Cents of a small order: 0.002 DOGE-like coins at 0.7858."""
    row = {**FIVE, "volume": "1", "amount": "0.01", "bankrupt_price": "0.7858", "trade_turnover": "0.01"}
    assert five(row).columns["quantity"] == [0.01]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"side": "SELL"}, "neither buy nor sell"),
        ({"side": None}, "neither buy nor sell"),
        ({"side": "sell"}, "does not close"),
        ({"position_side": "long"}, "does not close"),
        ({"position_side": "net"}, "does not close"),
        ({"position_side": ["short"]}, "does not close"),
        ({"contract_code": "ETH-USDT"}, "is of 'ETH-USDT'"),
        ({"contract_code": None}, "asked for 'BTC-USDT'"),
        ({"id": "1.5"}, "not a whole number"),
        ({"id": "-1"}, "negative"),
        ({"id": None}, "'id' is None"),
        ({"liquidation_time": "1781849094"}, "not milliseconds"),
        ({"volume": "-2"}, "negative"),
        ({"trade_turnover": None}, "'trade_turnover' is None"),
    ],
)
def test_what_is_no_liquidation_is_refused_and_named(change: dict[str, Any], why: str) -> None:
    """The second of three rows: it is said which, and nothing of the reply is used."""
    with pytest.raises(BadReply, match=f"row 1.*{why}"):
        five(FIVE, {**FIVE, **change}, FIVE)


@pytest.mark.parametrize(
    ("held", "side"), [("long", "sell"), ("short", "buy"), ("both", "buy"), ("both", "sell")]
)
def test_the_side_is_that_of_the_closing_order(held: str, side: str) -> None:
    """Longs are sold, shorts are bought; in one-way mode the position has no side of its own."""
    assert five({**FIVE, "side": side, "position_side": held}).columns["side"] == [side]
    bare = {name: value for name, value in FIVE.items() if name != "position_side"}
    assert five({**bare, "side": side}).columns["side"] == [side]
    assert three({**THREE, "direction": side}).columns["side"] == [side]


def test_a_page_goes_on_after_its_newest_number() -> None:
    """The cursor is the largest id as a number, not as a text; first and last are instants, in any order of rows."""
    rows = [
        {**FIVE, "id": "1000", "liquidation_time": "1781849094170"},
        {**FIVE, "id": "999", "liquidation_time": "1781849094165"},
        {**FIVE, "id": "998", "liquidation_time": "1781849094165"},
    ]
    for order in (rows, rows[::-1]):
        assert five(*order).page == Page(3, 1781849094165_000, 1781849094170_000, "1000")
    assert three({**THREE, "query_id": 99}, {**THREE, "query_id": 100}).page.cursor == "100"
    assert five().page == Page(0)


def test_digits_that_do_not_fit_are_counted_per_row() -> None:
    """Eighteen zeros fit; a price of twenty digits does not."""
    long = "62978.50000000000000001"
    assert five(FIVE, {**FIVE, "bankrupt_price": long}).unfit.tolist() == [0, 1]
    assert five({**FIVE, "volume": "2.000000000000000000"}).unfit is None
