"""Own fills, orders, balances and keys, from the venue's samples to rows; what is not understood is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.keys import Keys, Secret
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import ledger, orders, own, permits
from htxdata.venues.htx.feeds_own import LINEAR_OWN_FEEDS, SPOT_OWN_FEEDS
from htxdata.venues.terms import Parsed

FILLS, UPDATES = SPOT_OWN_FEEDS
(MATCHES,) = LINEAR_OWN_FEEDS
MS = 1000


def reply(body: bytes | dict[str, Any]) -> Reply:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(Request("/x"), 200, text, 7_000_000)


def spot(symbol: str, **change: Any) -> Reply:
    row = {
        "symbol": symbol,
        "fee-currency": "poly",
        "source": "spot-web",
        "price": "0.338",
        "created-at": 1629443051839,
        "role": "taker",
        "order-id": 345487249132375,
        "match-id": 5014,
        "trade-id": 1085,
        "filled-amount": "147.5",
        "filled-fees": "0.2",
        "filled-points": "0",
        "fee-deduct-currency": "",
        "id": 313288753120940,
        "type": "buy-market",
    }
    return reply({"status": "ok", "data": [{**row, **change}]})


def first(parsed: Parsed) -> dict[str, Any]:
    return {name: values[0] for name, values in parsed.columns.items()}


def test_a_fill_of_the_documents(shared: Path) -> None:
    """The recorded reply, whose fee was paid in points."""
    body = (shared / "reference/samples/htx/spot-private-matchresults.json").read_bytes()
    parsed = own.spot_fills(reply(body), Series("own_fills", "htx-spot", "polyusdt"))
    assert first(parsed) == {
        "trade_time": 1629443051839 * MS,
        "trade_id": "1085",
        "order_id": "345487249132375",
        "side": "buy",
        "price": 0.338,
        "quantity": 147.928994082840236,
        "fee": 0.1,
        "fee_currency": "point",
        "role": "taker",
        "order_type": "buy-market",
        "client_order_id": None,
    }
    assert (parsed.page.count, parsed.page.cursor, list(parsed.unfit)) == (1, "313288753120940", [1])


def test_a_fill_of_a_contract(shared: Path) -> None:
    """Two contracts of 0.001 BTC at 62,688.2 are 125.3764 USDT, and so 0.002 BTC."""
    row = json.loads((shared / "reference/samples/htx/linear-v5-private-trade-row.json").read_text())
    parsed = own.linear_fills(
        reply({"code": 200, "data": [row]}), Series("own_fills", "htx-linear", "BTC-USDT")
    )
    assert first(parsed) == {
        "trade_time": 1780967931197 * MS,
        "trade_id": "152022944-62688.2-2-1",
        "order_id": "1513834754585190400",
        "side": "sell",
        "price": 62688.2,
        "quantity": 0.002,
        "fee": 0.07522584,
        "fee_currency": "USDT",
        "role": "taker",
        "order_type": "market",
        "client_order_id": None,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "btcusdt"}, "row 0 is of 'btcusdt'"),
        ({"type": "market"}, "not the type of an order"),
        ({"role": "both"}, "neither maker nor taker"),
        ({"trade-id": None}, "trade-id"),
        ({"trade-id": -1}, "negative"),
        ({"price": "-1"}, "negative"),
        ({"filled-fees": "much"}, "filled-fees"),
        ({"created-at": "yesterday"}, "created-at"),
    ],
)
def test_a_fill_that_is_not_understood(change: dict[str, Any], words: str) -> None:
    """The whole reply is refused, and the row and member are named."""
    with pytest.raises(BadReply, match=words):
        own.spot_fills(
            spot("polyusdt", **change) if "symbol" not in change else spot("btcusdt"),
            Series("own_fills", "htx-spot", "polyusdt"),
        )


def test_a_rebate_is_a_negative_fee() -> None:
    """What the venue paid keeps its sign; ids may be texts."""
    row = first(
        own.spot_fills(
            spot("polyusdt", **{"filled-fees": "-0.01", "order-id": "12"}),
            Series("own_fills", "htx-spot", "polyusdt"),
        )
    )
    assert (row["fee"], row["fee_currency"], row["order_id"]) == (-0.01, "poly", "12")


def test_orders_of_the_documents(shared: Path) -> None:
    """Both recorded orders are open: no row, and two instants that are not settled."""
    body = json.loads((shared / "reference/samples/htx/spot-private-order-history-48h.json").read_text())
    parsed = own.spot_orders(reply(body), Series("own_orders", "htx-spot", "adausdt"))
    assert parsed.columns["order_id"] == []
    assert parsed.unsettled == (1630649406687 * MS,) * 2
    body["data"][0] |= {"state": "canceled", "canceled-at": 1630649500000, "finished-at": 1630649500000}
    row = first(own.spot_orders(reply(body), Series("own_orders", "htx-spot", "adausdt")))
    assert row == {
        "created_at": 1630649406687 * MS,
        "order_id": "357632718898331",
        "account_id": "13496526",
        "side": "buy",
        "order_type": "buy-limit-maker",
        "price": 1.0,
        "quantity": 5.0,
        "quote_quantity": None,
        "filled_quantity": 0.0,
        "filled_quote_quantity": 0.0,
        "fee": 0.0,
        "order_status": "canceled",
        "finished_at": 1630649500000 * MS,
        "client_order_id": "23456",
    }
    body["data"][0]["state"] = "lost"
    with pytest.raises(BadReply, match="'lost', which is not known"):
        own.spot_orders(reply(body), Series("own_orders", "htx-spot", "adausdt"))


def test_balances_of_the_documents(shared: Path) -> None:
    """What is free and what orders hold, and both together."""
    body = (shared / "reference/samples/htx/spot-private-balance.json").read_bytes()
    columns = own.balances(reply(body)).columns
    rows = list(
        zip(*(columns[n] for n in ("currency", "balance", "available", "frozen", "sequence")), strict=True)
    )
    assert rows == [
        ("usdt", 97.010043797676510318, 91.850043797676510303, 5.160000000000000015, 477),
        ("poly", 147.928994082840236, 147.928994082840236, 0.0, 2),
    ]
    accounts = (shared / "reference/samples/htx/spot-private-accounts.json").read_bytes()
    assert own.account_ids(reply(accounts)) == ["10000001", "10000002", "10000003"]


def test_records_of_the_documents(shared: Path) -> None:
    """Two records of one transfer, the second of an earlier number: each its own row, digits counted."""
    body = (shared / "reference/samples/htx/spot-private-account-history.json").read_bytes()
    account = Series("own_account_updates", "htx-spot", "10000001")
    parsed = ledger.history(reply(body), account)
    names = ("change_time", "currency", "change_type", "amount", "balance", "available", "record_id", "sequence")
    assert list(zip(*(parsed.columns[name] for name in names), strict=True)) == [
        (1629882096557 * MS, "usdt", "other-types", -10.0, 97.010043797676510318, 81.850043797676510303,
         "359044707902783794", None),
        (1629882096569 * MS, "usdt", "transfer", -10.0, 87.010043797676510318, 81.850043797676510303,
         "359044690723242123", None),
    ]  # fmt: skip
    assert parsed.unfit is not None
    assert list(parsed.unfit) == [2, 2]
    assert (parsed.page.count, parsed.page.cursor) == (2, None)
    with pytest.raises(BadReply, match="of the account 10000001, asked for 7"):
        ledger.history(reply(body), Series("own_account_updates", "htx-spot", "7"))
    with pytest.raises(BadReply, match="transact-type"):
        ledger.history(reply(body.replace(b'"transfer"', b'""')), account)


# ----------------------------------------------------------------------------------------------------- socket


def pushed(shared: Path, name: str) -> bytes:
    return (shared / f"reference/samples/htx-ws-v2/{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "symbol", "row"),
    [
        (
            "trade-clearing-taker-2025",
            "btcusdt",
            (
                "1474910383802238",
                "103617356763",
                1764754899208,
                "buy",
                92951.16,
                0.0001,
                2e-7,
                "btc",
                "taker",
                "buy-limit",
                "GAAC3nAdrEMAAQAAAAAA",
            ),
        ),
        (
            "trade-clearing-maker-2025",
            "btcusdt",
            (
                "1474910140509947",
                "103617355903",
                1764753390751,
                "buy",
                92800.0,
                0.0001,
                2e-7,
                "btc",
                "maker",
                "buy-limit",
                "6QACxZoaq0MAAQAAAAAA",
            ),
        ),
        (
            "trade-clearing-market-2022",
            "ltcusdt",
            (
                "478862728954426",
                "101539740584",
                1645124660368,
                "buy",
                118.89,
                0.042200701236437042,
                0.000041778694224073,
                "ltc",
                "taker",
                "buy-market",
                None,
            ),
        ),
        (
            "trade-clearing-doc",
            "btcusdt",
            (
                "99998888",
                "919219323232",
                998787897878,
                "buy",
                9999.99,
                0.96,
                19.88,
                "btc",
                "taker",
                None,
                "a001",
            ),
        ),
    ],
)
def test_recorded_fills(shared: Path, name: str, symbol: str, row: tuple[Any, ...]) -> None:
    """Captured frames and the document's, with its blank behind a name and without an action."""
    found = FILLS.parse([(5, pushed(shared, name))], {})
    assert not found.faults
    columns = found.columns[symbol, None]
    names = (
        "order_id",
        "trade_id",
        "trade_time",
        "side",
        "price",
        "quantity",
        "fee",
        "fee_currency",
        "role",
        "order_type",
        "client_order_id",
    )
    assert tuple(columns[n][0] for n in names) == (*row[:2], row[2] * MS, *row[3:])
    assert columns["received_at"] == [5]


def test_recorded_updates(shared: Path) -> None:
    """Snapshots without a time or a reason lie where they were heard; numbers of changes may be texts."""
    names = (
        "accounts-update-snapshot-2025",
        "accounts-update-match-2025",
        "accounts-update-2",
        "accounts-update-1-available-doc",
    )
    found = UPDATES.parse([(9_000_000 + at, pushed(shared, name)) for at, name in enumerate(names)], {})
    assert not found.faults
    columns = found.columns["*", None]
    del columns["_unfit"]
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    assert [
        (
            r["updated_at"],
            r["change_time"],
            r["currency"],
            r["balance"],
            r["available"],
            r["change_type"],
            r["sequence"],
        )
        for r in rows
    ] == [
        (9_000_000, None, "usdc", 98.72432, 98.72432, None, 1),
        (1764754899212 * MS, 1764754899212 * MS, "usdt", 78.45797228, None, "order.match", 18),
        (1568601800000 * MS, 1568601800000 * MS, "COINALPHA", 15.0, 10.0, "transfer", 86872993928),
        (
            1574393385167 * MS,
            1574393385167 * MS,
            "btc",
            None,
            2028.699426619837209087,
            "order.match",
            86872993928,
        ),
    ]


def test_what_is_no_row(shared: Path) -> None:
    """Acks, pings and cancellations are no rows and no faults; the rest is a fault that says why."""
    talk = [
        pushed(shared, name)
        for name in ("ping", "sub-response-clearing", "sub-error-no-auth", "auth-response-ok")
    ]
    cancelled = {
        "action": "push",
        "ch": "trade.clearing#*#1",
        "data": {"eventType": "cancellation", "symbol": "btcusdt"},
    }
    found = FILLS.parse([(1, body) for body in (*talk, json.dumps(cancelled).encode())], {})
    assert (found.columns, found.faults) == ({}, [])
    good = json.loads(pushed(shared, "trade-clearing-taker-2025"))
    for change, words in (
        ({"eventType": "gift"}, "neither trade nor cancellation"),
        ({"orderSide": "up"}, "neither buy nor sell"),
        ({"aggressor": "yes"}, "neither true nor false"),
        ({"orderType": "sell-limit"}, "and 'orderSide' 'buy'"),
        ({"tradePrice": "0"}, "no price"),
        ({"symbol": None}, "not a word"),
    ):
        bad = {**good, "data": {**good["data"], **change}}
        (fault,) = FILLS.parse([(1, json.dumps(bad).encode())], {}).faults
        assert words in fault[1], change
    for body in (
        b"{",
        b"[]",
        json.dumps({**good, "ch": "orders#*"}).encode(),
        json.dumps({**good, "action": "x"}).encode(),
    ):
        assert len(FILLS.parse([(1, body)], {}).faults) == 1


def test_recorded_fills_of_contracts(shared: Path) -> None:
    """The captured frame and the document's row, whose side is called otherwise: no fee, and named by the match. Pieces
    of one match are told apart by what they are, also where they are alike, the same by REST and by socket."""
    body = (shared / "reference/samples/htx/linear-ws-v5-private-trade.json").read_bytes()
    found = MATCHES.parse([(5, body), (6, b'{"op":"ping","ts":"1"}'), (7, b'{"op":"auth","err-code":0}')], {})
    assert not found.faults
    columns = found.columns["BTC-USDT", None]
    assert {name: values[0] for name, values in columns.items()} == {
        "trade_time": 1782367694375 * MS, "trade_id": "155233460-61629-1-1", "order_id": "1519705786942156810",
        "side": "buy", "price": 61629.0, "quantity": 0.001, "fee": None, "role": "taker",
        "client_order_id": "1519705786942156810", "received_at": 5,
    }  # fmt: skip
    message = json.loads(body)
    (one,) = message["data"]
    pieces = [{**one, "id": f"{one['id'][:-1]}{place}"} for place in (1, 2, 3)]
    pieces[2]["trade_price"] = "61629.5"
    pieces[1]["side"] = pieces[1].pop("direction")
    found = MATCHES.parse([(5, json.dumps({**message, "data": pieces}).encode())], {})
    names = ["155233460-61629-1-1", "155233460-61629-1-2", "155233460-61629.5-1-1"]
    assert found.columns["BTC-USDT", None]["trade_id"] == names
    row = json.loads((shared / "reference/samples/htx/linear-v5-private-trade-row.json").read_text())
    alike = {**row, "trade_id": one["trade_id"], "trade_volume": "1"}
    rows = [{**alike, "trade_price": cost, "id": str(at)} for at, cost in enumerate(("61629.0", "61629", "61629.5"))]
    parsed = own.linear_fills(reply({"code": 200, "data": rows}), Series("own_fills", "htx-linear", "BTC-USDT"))
    assert parsed.columns["trade_id"] == names
    for change, words in (
        ({"direction": "up"}, "neither buy nor sell"),
        ({"trade_id": None}, "trade_id"),
        ({"role": "both"}, "neither maker nor taker"),
        ({"trade_price": "0"}, "no price"),
        ({"contract_code": ""}, "not a word"),
    ):
        bad = {**message, "data": [{**one, **change}]}
        (fault,) = MATCHES.parse([(1, json.dumps(bad).encode())], {}).faults
        assert words in fault[1], change
    for other in (b"{", b"[]", b'{"op":"notify","topic":"orders","data":[]}', b'{"op":"notify","topic":"trade"}'):
        assert len(MATCHES.parse([(1, other)], {}).faults) == 1


def test_topics() -> None:
    """What is subscribed, and every spelling of it that comes back."""
    assert FILLS.topic("btcusdt", None) == "trade.clearing#btcusdt#1"
    assert FILLS.topic("*", None) == "trade.clearing#*#1"
    assert [
        FILLS.symbol_of(t)
        for t in ("trade.clearing#*", "trade.clearing#btcusdt#0", "trade.clearing#币安人生usdt#1", "trade.clearing")
    ] == [
        ("*", None),
        ("btcusdt", None),
        ("币安人生usdt", None),
        None,
    ]
    assert UPDATES.topic("*", None) == "accounts.update#2"
    assert [UPDATES.symbol_of(t) for t in ("accounts.update", "accounts.update#2", "accounts.update#3")] == [
        ("*", None),
        ("*", None),
        None,
    ]


# ------------------------------------------------------------------------------------------------------- keys


def test_what_a_key_may_do() -> None:
    """The row of the key that asks; -1 days is for ever; another key is not taken for it."""
    row = {
        "accessKey": "mine",
        "permission": "readOnly,trade",
        "ipAddresses": "1.1.1.1,1.1.1.2",
        "validDays": -1,
        "status": "normal",
    }
    other = {**row, "accessKey": "other", "permission": "readOnly", "validDays": 3, "ipAddresses": ""}
    answer = reply({"code": 200, "data": [other, row]})
    found = permits.key_of(answer, Keys(Secret("mine"), Secret("x")))
    assert (found.permissions, found.addresses, found.days_left) == (
        ("readOnly", "trade"),
        ("1.1.1.1", "1.1.1.2"),
        None,
    )
    found = permits.key_of(answer, Keys(Secret("other"), Secret("x")))
    assert (found.permissions, found.addresses, found.days_left) == (("readOnly",), (), 3)
    with pytest.raises(BadReply, match="not this one"):
        permits.key_of(answer, Keys(Secret("third"), Secret("x")))
    assert permits.user_of(reply({"code": 200, "data": 63628520})) == "63628520"
    with pytest.raises(BadReply):
        permits.user_of(reply({"code": 200, "data": None}))


@pytest.mark.parametrize("name", ["amount", "field-amount"])
def test_the_state_of_an_order_without_a_figure_is_refused(name: str) -> None:
    """Never the word None for a quantity; figures keep the venue's digits, and either spelling of what was filled."""
    row: dict[str, Any] = {"id": 7, "state": "filled", "client-order-id": "", "amount": "5.00", "field-amount": "0.10"}

    def state() -> tuple[str, ...]:
        body = json.dumps({"status": "ok", "data": row}).encode()
        return orders.state_of(Reply(orders.by_id("7"), 200, body, 1))

    assert state() == ("7", "", "filled", "5.00", "0.10")
    kept = row.pop(name)
    with pytest.raises(BadReply, match="amount"):
        state()
    if name == "field-amount":
        row["filled-amount"] = kept
        assert state() == ("7", "", "filled", "5.00", "0.10")
