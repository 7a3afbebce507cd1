"""HashKey's user stream: what is heard and read of it, in the shapes of its documents and of ccxt's samples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.protocol.dialect import Ping, Push, Strange
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.hashkey import own
from htxdata.venues.hashkey.user_stream import LENT, OWN_FEEDS, hear, listen_key
from htxdata.venues.terms import Facts, Pushed

(FEED,) = OWN_FEEDS
FACTS = {"ETHUSDT-PERPETUAL": Facts(0.001)}
PAIR = {
    "e": "ticketInfo", "E": "1668693440976", "s": "BTCUSDT", "q": "0.205", "t": "1668693440899", "p": "441.0",
    "T": "1291488620385157122", "o": "1291488620167835136", "c": "1668693440093", "O": "1291354087841869312",
    "a": "1286424214388204801", "A": "1270447370291795457", "m": False, "S": "SELL",
}  # fmt: skip
PERPETUAL = {
    "e": "ticketInfo", "E": "1723037391156", "s": "ETHUSDT-PERPETUAL", "q": "3.00", "t": "1723037391147",
    "p": "2463.36", "T": "1747358716187197441", "o": "1747358716129257216", "c": "1723037389677",
    "a": "1735619524953226496", "m": True, "S": "BUY",
}  # fmt: skip
BALANCE = {"e": "outboundAccountInfo", "E": "1499405658849", "T": True, "W": True, "D": True,
           "B": [{"a": "LTC", "f": "17366.18538083", "l": "0.00000000", "r": "0.00000000"}]}  # fmt: skip
REPORT = {"e": "contractExecutionReport", "E": "1723037391181", "s": "ETHUSDT-PERPETUAL", "X": "FILLED"}
POSITION = {"e": "outboundContractPositionInfo", "E": "1723084699801", "s": "ETHUSDT-PERPETUAL"}
HELD = {"e": "outboundContractAccountInfo", "E": "1723037391181", "B": [{"a": "USDT", "t": "1", "f": "1", "r": "0"}]}


def text(*events: dict[str, Any]) -> bytes:
    return json.dumps(events).encode()


def read(*messages: bytes) -> Pushed:
    return FEED.parse([(7 + at, message) for at, message in enumerate(messages)], FACTS)


def rows(pushed: Pushed, symbol: str) -> list[dict[str, Any]]:
    columns = pushed.columns[symbol, None]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_pings_and_events_are_heard() -> None:
    """A ping wants its own time back; events are data, at the time of the first; anything else is strange."""
    assert hear(b'{"ping":1691473241907,"channelId":"02ac86fffe5fdf52-00000001"}') == Ping('{"pong":1691473241907}')
    assert hear(text(REPORT, PERPETUAL)) == Push("ticketInfo:*", 1_723_037_391_181_000)
    assert hear(text(BALANCE)) == Push("ticketInfo:*", 1_499_405_658_849_000)
    for body in (b"", b"[]", b"[1]", b"[{", b"{}", b'{"e":"ticketInfo"}', b"\xff", b"[" * 100_000):
        assert isinstance(hear(body), Strange)


def test_a_fill_of_a_pair() -> None:
    """Called by its ticket, in base units, without the fee that it does not say."""
    pushed = read(text(PAIR))
    assert pushed.faults == []
    assert rows(pushed, "BTCUSDT") == [
        {
            "trade_time": 1_668_693_440_899_000, "trade_id": "1291488620385157122", "order_id": "1291488620167835136",
            "side": "sell", "price": 441.0, "quantity": 0.205, "contracts": None, "fee": None, "role": "taker",
            "client_order_id": "1668693440093", "received_at": 7,
        }
    ]  # fmt: skip


def test_a_fill_of_a_perpetual() -> None:
    """Three contracts of a thousandth; the ticket only tells which pushes are the same, REST knows it by another."""
    (row,) = rows(read(text(REPORT, PERPETUAL)), "ETHUSDT-PERPETUAL")
    assert (row["quantity"], row["contracts"], row["side"], row["role"]) == (0.003, 3.0, "buy", "maker")
    assert row["trade_id"] == "1747358716187197441"
    assert (FEED.unnumbered("ETHUSDT-PERPETUAL"), FEED.unnumbered("ETHUSDT")) == (True, False)


def test_what_is_no_fill_is_passed_over() -> None:
    """Orders, balances, positions and pings are on the tape, and no rows."""
    pushed = read(text(REPORT), text(BALANCE, HELD, POSITION), b'{"ping":1691473241907}', b'{"pong":1}')
    assert (pushed.columns, pushed.faults) == ({}, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"e": "ticketinfo"}, "'e' is 'ticketinfo', which is not known"),
        ({"e": None}, "'e' is None"),
        ({"S": "BUY_BACK"}, "'S' is 'BUY_BACK'"),
        ({"S": None}, "'S' is None"),
        ({"m": "false"}, "'m' is 'false'"),
        ({"q": "0"}, "'q' is 0: no fill"),
        ({"q": "-1"}, "negative"),
        ({"p": "0"}, "no price"),
        ({"t": 1723037391}, "not milliseconds"),
        ({"T": "x"}, "'T' is 'x'"),
        ({"o": None}, "'o'"),
        ({"c": 5}, "'c' is 5"),
        ({"s": ""}, "'s' is empty"),
        ({"s": None}, "'s' is None"),
        ({"s": "BTCUSDT-PERPETUAL"}, "the size of a contract of BTCUSDT-PERPETUAL is not known"),
    ],
)
def test_what_is_not_understood_is_set_aside_whole(change: dict[str, Any], words: str) -> None:
    """With everything else in its message, and nothing of the others."""
    pushed = read(text(PAIR), text(PERPETUAL, {**PERPETUAL, **change}), text(PAIR))
    assert [at for at, _ in pushed.faults] == [1]
    assert words in pushed.faults[0][1]
    assert {key: len(columns["trade_id"]) for key, columns in pushed.columns.items()} == {("BTCUSDT", None): 2}


def test_alike_fills_of_one_order_are_counted() -> None:
    """REST's rows of a perpetual in any order: the same names, counted order by order."""
    base = {"commission": "0.1", "commissionAsset": "USDT", "makerRebate": "0", "type": "LIMIT", "isMarker": False,
            "time": "1723037391147", "symbol": "ETHUSDT-PERPETUAL", "price": "2463.36", "side": "BUY_OPEN"}  # fmt: skip
    said = [
        {**base, "tradeId": number, "orderId": order, "quantity": size}
        for number, order, size in (("7", "1", "3"), ("9", "1", "3.00"), ("8", "2", "3"), ("6", "1", "4"))
    ]
    stem = "1723037391147-2463.36"
    wanted = {"7": f"{stem}-3-buy-1", "9": f"{stem}-3-buy-2", "8": f"{stem}-3-buy-1", "6": f"{stem}-4-buy-1"}
    for told in (said, said[::-1]):
        columns = {
            "trade_id": [row["tradeId"] for row in told], "order_id": [row["orderId"] for row in told],
            "trade_time": [1_723_037_391_147_000] * 4, "price": [2463.36] * 4, "side": ["buy"] * 4,
        }  # fmt: skip
        assert own.names_of(told, columns) == [wanted[row["tradeId"]] for row in told]


KEY = "xs0mRXdAKlIPDRFrlPcw0qI41Eh3ixNntmymGyhrhgqo7L6FuLaWArTD7RLP"


def test_the_key_to_listen_with() -> None:
    """A part of an address and nothing else; what is none is told without quoting it. Asked for and extended signed."""

    def answer(body: bytes) -> Reply:
        return Reply(Request("/api/v1/userDataStream"), 200, body, 0)

    assert listen_key(answer(json.dumps({"listenKey": KEY}).encode())) == KEY
    for said in ("", "short", f"{KEY}/..", f"{KEY}?a=b", f"{KEY} ", "ü" * 20, "a" * 600):
        with pytest.raises(BadReply) as caught:
            listen_key(answer(json.dumps({"listenKey": said}).encode()))
        assert KEY not in str(caught.value)
    for body in (b"", b"[]", b"{}", b'{"listenKey":5}', f'{{"listenKey":"{KEY}'.encode()):
        with pytest.raises(BadReply, match="without a 'listenKey'") as caught:
            listen_key(answer(body))
        assert (KEY in str(caught.value), caught.value.__cause__) == (False, None)
    extend = LENT.extend(KEY)
    assert (LENT.ask.method, LENT.ask.private, LENT.ask.params) == ("POST", True, ())
    assert (extend.method, extend.private, dict(extend.params)) == ("PUT", True, {"listenKey": KEY})
    assert (LENT.valid, LENT.every) == (3600, 1800)
