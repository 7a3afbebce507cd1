"""Permanent's socket: the schema against the reference's table, the sandbox's bytes against protobuf's own reading, and
what the client makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st

from htxdata.protocol.dialect import Acked, Ping, Push, Refused, Strange
from htxdata.sandbox import permanent_wire as wire
from htxdata.venues import venue
from htxdata.venues.permanent import gateway_pb2 as gateway
from htxdata.venues.permanent.dialect import PUBLIC, hear
from htxdata.venues.terms import Facts, Pushed

MS = 1_704_067_200_123
HEARD = 1_704_067_201_000_000
FACTS = {"btcusdt": Facts(0.001)}
FEEDS = {feed.name: feed for feed in venue("htx-permanent").feeds if not feed.private}

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
longs = st.integers(-(2**63), 2**63 - 1)
ints = st.integers(-(2**31), 2**31 - 1)


def push(topic: str, kind: str, data: bytes, action: int = wire.PUSH, **more: Any) -> bytes:
    return wire.result(action, topic, kind=kind, data=data, **more)


def read(feed: str, *frames: bytes, facts: dict[str, Facts] = FACTS) -> Pushed:
    return FEEDS[feed].parse([(HEARD + at, frame) for at, frame in enumerate(frames)], facts)


# ------------------------------------------------------------------------------------------------ the schema


def test_every_field_has_the_number_of_the_reference(shared: Path) -> None:
    """Names and numbers of all messages and enums are those of the table in permanent-v1 6.4."""
    text = (shared / "reference" / "permanent-v1.md").read_text(encoding="utf-8")
    table = text.partition("### 6.4")[2].partition("### 6.5")[0]
    messages = gateway.DESCRIPTOR.message_types_by_name
    enums = gateway.DESCRIPTOR.enum_types_by_name
    rows = dict(re.findall(r"^\| (\w+(?: \w+)?) \| (.*) \|$", table, re.M))
    rows.pop("message", None)
    assert len(rows) == len(messages) + len(enums) == 14
    for name, said in rows.items():
        if name.startswith("enum "):
            found = {value.name: value.number for value in enums[name[5:]].values}
            assert {word: int(number) for word, number in re.findall(r"(\w+) (\d+)", said)} == found
            continue
        nested = re.findall(r"(?:Tick|Data)?\{([^}]*)\}", said)
        outer = re.sub(r"\{[^}]*\}", "", said).partition("; nested")[0]
        assert _numbers(outer) == _fields(messages[name]), name
        for inner, descriptor in zip(nested, messages[name].nested_types, strict=False):
            assert _numbers(inner) == _fields(descriptor), name


def _numbers(said: str) -> dict[str, int]:
    return {name: int(number) for number, name in re.findall(r"\b(\d+) ([a-z_]+)", re.sub(r"\([^)]*\)", "", said))}


def _fields(descriptor: Descriptor) -> dict[str, int]:
    return {field.name: field.number for field in descriptor.fields}


@given(ints, longs, st.integers(0, 5), words, words, longs)
def test_the_sandbox_s_envelopes_are_protobuf(
    code: int, sequence: int, action: int, ch: str, said: str, ms: int
) -> None:
    """Any Result that the sandbox writes byte by byte is read by protobuf as what it says, and written the same."""
    frame = wire.result(action, ch, code=code, sequence=sequence, said=said, kind="Ping", data=wire.message((1, ms)))
    result = gateway.Result.FromString(frame)
    read_back = (result.code, result.sequence, result.action, result.ch, result.message)
    assert read_back == (code, sequence, action, ch, said)
    inner = gateway.Ping()
    assert result.data.Unpack(inner)
    assert inner.ts == ms
    assert result.SerializeToString(deterministic=True) == frame


@given(longs, words, words, st.lists(st.tuples(words, words), max_size=3), st.booleans())
def test_the_sandbox_s_messages_are_protobuf(
    number: int, symbol: str, text: str, levels: list[tuple[str, str]], flag: bool
) -> None:
    """Each kind of message, written by hand and by protobuf: the same bytes."""
    sell = gateway.SELL if flag else gateway.BUY
    bar = {"id": number, "open": text, "close": symbol, "low": text, "high": text, "turnover": symbol,
           "volume": text, "num_of_trades": 7}  # fmt: skip
    row = (number, text, symbol, text, text, symbol, text, 7)
    tick = {"trade_id": number, "trade_time": number, "trade_price": text, "trade_volume": symbol, "side": sell}
    told = wire.trade(number, number, text, symbol, "sell" if flag else "buy")
    sides = [gateway.Depth.Tick(price=price, size=size) for price, size in levels]
    pairs: list[tuple[bytes, Any]] = [
        (wire.candlestick(row, symbol), gateway.Candlestick(**bar, symbol=symbol)),
        (wire.candlesticks([row, row], symbol), gateway.ReqCandlestick(symbol=symbol, candlesticks=[bar, bar])),
        (wire.depth(number, levels, levels[:1], flag, symbol),
         gateway.Depth(ts=number, bids=sides, asks=sides[:1], delta=flag, symbol=symbol)),
        (told + wire.field(6, symbol), gateway.Trade(**tick, symbol=symbol)),
        (wire.message((1, symbol), (2, [told])), gateway.ReqTrade(symbol=symbol, trades=[tick])),
        (wire.summary(symbol, (text, "1", "2", "3"), text, "4", 5, "normal", number),
         gateway.MarketSummary(symbol=symbol, open=text, close="1", low="2", high="3", turnover=text, total_volume="4",
                               num_of_trades=5, inst_status="normal", open_int=number)),
        (wire.indicative(symbol, number, text, number),
         gateway.IndicativeFundingRate(symbol=symbol, ts=number, ind_fund_rate=text, ind_fund_time=number)),
        (wire.index(symbol, number, text, number, [(c, w, text) for c, w in levels]),
         gateway.IndexConstituents(symbol=symbol, ts=number, index_price=text, index_time=number, constituents=[
             gateway.IndexConstituents.Data(constituent=c, weight=w, price=text) for c, w in levels])),
    ]  # fmt: skip
    for ours, theirs in pairs:
        assert ours == theirs.SerializeToString(deterministic=True), type(theirs).__name__


# --------------------------------------------------------------------------------------------- conversation


def test_what_is_said_and_what_it_means() -> None:
    """Pings are answered with their stamp; acks and refusals by number, or by nothing where the venue names nothing."""
    assert hear(wire.ping(MS)) == Ping(f'{{"action":"pong","ts":{MS}}}')
    assert hear(wire.result(wire.SUB, "trades#btcusdt", code=200, sequence=7)) == Acked("7", "trades#btcusdt", 0)
    assert hear(wire.result(wire.UNSUB, "x", code=200, sequence=8)) == Acked("8", "x", 0)
    refused = hear(wire.result(wire.SUB, "mbp#x@5", code=2002, sequence=9, said="invalid.symbol"))
    assert refused == Refused("9", "mbp#x@5", "2002: invalid.symbol", False)
    assert hear(wire.result(0, code=2001, said="invalid.json")) == Refused("", "", "2001: invalid.json", False)
    depth = wire.depth(MS, [], [], True, "btcusdt")
    assert hear(push("mbp#btcusdt@5", "Depth", depth)) == Push("mbp#btcusdt@5", MS * 1000)
    assert hear(push("mbp#btcusdt@5", "Depth", depth, wire.REQ, code=200, sequence=3)) == Push("mbp#btcusdt@5", 0, "3")
    # When a trade was is not when it was said: it may be an old one that is repeated to who subscribes.
    assert hear(push("trades#x", "Trade", wire.trade(1, MS, "1", "1", "buy"))) == Push("trades#x", 0)
    for strange in (b"", b"\xff\xff", b"{}", wire.result(9), push("x", "Nonsense", b""), wire.result(wire.PING)):
        assert isinstance(hear(strange), Strange), strange
    assert json.loads(PUBLIC.subscribe("index.cons#i.btcusdt", "12")) == {
        "action": "sub", "seq": 12, "ch": "index.cons#i.btcusdt",
    }  # fmt: skip
    assert json.loads(PUBLIC.unsubscribe("x", "1"))["action"] == "unsub"
    assert PUBLIC.request is not None
    assert json.loads(PUBLIC.request("x", "1"))["action"] == "req"


def test_topics_are_spelled_and_read_back() -> None:
    """Each feed's topic of a symbol, and nobody else's."""
    spelled = {name: feed.topic("btcusdt", "1mon" if feed.periods else None) for name, feed in FEEDS.items()}
    assert spelled == {
        "trades": "trades#btcusdt", "klines": "candlestick#btcusdt@1M", "book": "mbp#btcusdt@100",
        "funding": "ind.funding.rate#btcusdt", "index": "index.cons#btcusdt",
    }  # fmt: skip
    for name, feed in FEEDS.items():
        for other, topic in spelled.items():
            expected = ("btcusdt", "1mon" if other == "klines" else None) if other == name else None
            assert feed.symbol_of(topic) == expected
    assert [form.topic("x", None) for form in FEEDS["book"].forms] == [f"mbp#x@{n}" for n in (5, 10, 20, 50)]


# ---------------------------------------------------------------------------------------------- data

TRADE = wire.trade(77, MS, "42283.5", "12", "sell") + wire.field(6, "btcusdt")


def test_a_trade_is_read_with_its_base_units() -> None:
    """Contracts become base units by the contract's size, to the digit; talk beside it is nothing."""
    pushed = read("trades", wire.ping(MS), push("trades#btcusdt", "Trade", TRADE), wire.result(0, code=200))
    assert (pushed.faults, pushed.unfit) == ([], {})
    assert pushed.columns == {
        ("btcusdt", None): {
            "trade_time": [MS * 1000], "trade_id": ["77"], "price": [42283.5], "quantity": [0.012],
            "contracts": [12.0], "side": ["sell"], "received_at": [HEARD + 1],
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (push("trades#ethusdt", "Trade", TRADE), "is of 'btcusdt'"),
        (push("candlestick#btcusdt@1m", "Trade", TRADE), "no topic of this feed"),
        (push("trades#btcusdt", "Ping", wire.message((1, MS))), "carries a Ping"),
        (push("trades#btcusdt", "Mystery", TRADE), "unknown type"),
        (push("trades#btcusdt", "Trade", TRADE + wire.field(5, 2)), "neither buy nor sell"),
        (push("trades#btcusdt", "Trade", TRADE + wire.field(3, "1e999")), "not a number that can be stored"),
        (push("trades#btcusdt", "Trade", TRADE + wire.field(3, "0")), "no price"),
        (push("trades#btcusdt", "Trade", wire.field(6, "btcusdt")), "'tradePrice' is ''"),
        (push("trades#btcusdt", "Trade", TRADE + wire.field(2, MS // 1000)), "milliseconds of our time"),
        (push("trades#btcusdt", "Trade", TRADE)[:-1], "no protobuf"),
        (wire.result(9, "trades#btcusdt"), "unknown action"),
    ],
)
def test_what_cannot_be_is_a_fault_and_the_rest_goes_on(frame: bytes, why: str) -> None:
    """Set aside whole, with its reason; the trades before and after are there."""
    good = push("trades#btcusdt", "Trade", TRADE)
    pushed = read("trades", good, frame, good)
    assert [at for at, _ in pushed.faults] == [1]
    assert why in pushed.faults[0][1]
    assert pushed.columns["btcusdt", None]["trade_id"] == ["77", "77"]


def test_a_cut_frame_is_never_half_used() -> None:
    """At whatever byte: a fault, and no row."""
    whole = push("trades#btcusdt", "Trade", TRADE)
    for end in range(len(whole)):
        pushed = read("trades", whole[:end])
        assert (len(pushed.faults), pushed.columns) == (1, {}), end


def test_without_its_size_a_contract_s_trades_are_refused_and_its_candles_say_less() -> None:
    """Base units are not guessed: a trade needs them, a candle has contracts all the same."""
    assert "base units" in read("trades", push("trades#btcusdt", "Trade", TRADE), facts={}).faults[0][1]
    bar = (MS // 1000 // 60 * 60, "1", "2", "0.5", "3", "50", "7", 4)
    frame = push("candlestick#btcusdt@1m", "Candlestick", wire.candlestick(bar, "btcusdt"))
    for facts, volume, turnover in ((FACTS, 0.007, 50.0), ({}, None, None)):
        columns = read("klines", frame, facts=facts).columns["btcusdt", "1min"]
        assert (columns["volume"], columns["quote_volume"], columns["contracts"]) == ([volume], [turnover], [7.0])


def test_a_book_s_levels_and_messages() -> None:
    """Whole books without their empty levels, changes with them; the message's time stands for its number."""
    whole = wire.depth(MS, [("10", "5"), ("9", "0")], [("11", "6")], False, "btcusdt")
    change = wire.depth(MS + 5, [("10", "0")], [], True, "btcusdt")
    topic = "mbp#btcusdt@100"
    pushed = read("book", push(topic, "Depth", whole, wire.REQ, code=200, sequence=1), push(topic, "Depth", change))
    key = "btcusdt", None
    columns = pushed.columns[key]
    assert pushed.faults == []
    names = ("kind", "side", "price", "size", "contracts", "sequence")
    assert list(zip(*(columns[name] for name in names), strict=True)) == [
        ("snapshot", "bid", 10.0, 0.005, 5.0, MS), ("snapshot", "ask", 11.0, 0.006, 6.0, MS),
        ("delta", "bid", 10.0, 0.0, 0.0, MS + 5),
    ]  # fmt: skip
    messages = [(m.whole, m.asked, m.sequence, m.previous, m.first, m.last) for m in pushed.messages[key]]
    assert messages == [(True, True, MS, None, 0, 2), (False, False, MS + 5, None, 2, 3)]


@pytest.mark.parametrize(
    ("weights", "stored"),
    [
        (("25.0000", "75.0000"), [0.25, 0.75]),
        (("0.2500", "0.7500"), [0.25, 0.75]),
        (("20", "50"), None),
        (("1", "0.5"), None),
    ],
)
def test_weights_are_percent_or_fractions(weights: tuple[str, str], stored: list[float] | None) -> None:
    """All weights of a basket together tell which (permanent-v1 4.7); where they tell neither, it is refused."""
    legs = [("gate.io.btcusdt", weights[0], "41.5"), ("huobi.btcusdt", weights[1], "42.5")]
    data = wire.index("i.btcusdt", MS, "42", MS, legs)
    pushed = read("index", push("index.cons#i.btcusdt", "IndexConstituents", data))
    if stored is None:
        assert "neither percent nor fractions" in pushed.faults[0][1]
        return
    columns = pushed.columns["i.btcusdt", None]
    assert columns["weight"] == stored
    assert list(zip(columns["exchange"], columns["constituent"], columns["price"], strict=True)) == [
        ("gate", "btcusdt", 41.5), ("htx", "btcusdt", 42.5),
    ]  # fmt: skip
