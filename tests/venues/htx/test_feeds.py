"""What HTX pushes, read: its own samples value by value, every tolerated oddity, and every fault by its name."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.schema.arrow import UNFIT
from htxdata.venues.frames import in_base, ratio, unpacked
from htxdata.venues.htx.feeds import (
    FUTURES_FEEDS,
    INVERSE_FEEDS,
    LINEAR_FEEDS,
    SPOT_FEEDS,
    high_freq,
    spot_mbp,
    spot_step,
    step,
)
from htxdata.venues.terms import Facts, Feed, Pushed

BTC = "BTC-USDT"
FACTS = {BTC: Facts(0.001), "ETH-USDT": Facts(0.01), "O3-USDT": Facts(1.0)}
TALK = (
    b'{"ping":1630994963175}', b'{"id":"1","status":"ok","subbed":"market.btcusdt.bbo","ts":1489474081631}',
    b'{"id":"2","status":"ok","unsubbed":"market.btcusdt.bbo","ts":1489474081631}',
    b'{"op":"ping","ts":"1492420473058"}', b'{"op":"sub","cid":"1","topic":"x","ts":1489474081631,"err-code":0}',
    b'{"ts":1489474081631,"status":"error","err-code":"bad-request","err-msg":"invalid topic x","id":"3"}',
)  # fmt: skip


def feed(venue: str, name: str) -> Feed:
    return next(f for f in (SPOT_FEEDS if venue == "spot" else LINEAR_FEEDS) if f.name == name)


def read(told: Feed, *bodies: bytes, facts: dict[str, Facts] | None = None) -> Pushed:
    return told.parse([(1_000 + n, body) for n, body in enumerate(bodies)], FACTS if facts is None else facts)


def table(pushed: Pushed, symbol: str, *names: str, period: str | None = None) -> list[tuple[Any, ...]]:
    columns = pushed.columns[symbol, period]
    lists = [c.tolist() if hasattr(c, "tolist") else list(c) for c in (columns[name] for name in names)]
    return list(zip(*(_plain(values) for values in lists), strict=True))


def _plain(values: list[Any]) -> list[Any]:
    return [value.as_py() if hasattr(value, "as_py") else value for value in values]


def dumps(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


# ------------------------------------------------------------------------------------------------- topics


def test_the_feeds_of_the_contract_are_there() -> None:
    """Their topics, sockets and ways to a whole book (htx-api 7)."""
    said = [
        (f.name, f.dataset, f.host, f.path, f.topic("btcusdt", "5min" if f.periods else None), f.whole_by)
        for f in SPOT_FEEDS
    ]
    assert said == [
        ("trades", "trades", "htx_spot_ws", "/ws", "market.btcusdt.trade.detail", ""),
        ("klines", "klines", "htx_spot_ws", "/ws", "market.btcusdt.kline.5min", ""),
        ("book", "book_changes", "htx_spot_ws", "/feed", "market.btcusdt.mbp.150", "request"),
        ("quotes", "quotes", "htx_spot_ws", "/ws", "market.btcusdt.bbo", ""),
    ]


@pytest.mark.parametrize(
    ("feeds", "code", "socket", "notices"),
    [
        (LINEAR_FEEDS, BTC, "/linear-swap-ws", "/linear-swap-notification"),
        (INVERSE_FEEDS, "BTC-USD", "/swap-ws", "/swap-notification"),
        (FUTURES_FEEDS, "BTC260327", "/ws", "/notification"),
    ],
    ids=["linear", "inverse", "futures"],
)
def test_the_feeds_of_contracts_are_there(feeds: Sequence[Feed], code: str, socket: str, notices: str) -> None:
    """The same for each line, on its own sockets; futures have no funding, and name a coin where it is liquidated."""
    said = {
        f.name: (f.dataset, f.host, f.path, f.topic(code, "5min" if f.periods else None), f.whole_by)
        for f in feeds
    }
    due = {
        "trades": ("trades", "htx_swap_ws", socket, f"market.{code}.trade.detail", ""),
        "klines": ("klines", "htx_swap_ws", socket, f"market.{code}.kline.5min", ""),
        "book": ("book_changes", "htx_swap_ws", socket, f"market.{code}.depth.size_150.high_freq", "anew"),
        "quotes": ("quotes", "htx_swap_ws", socket, f"market.{code}.bbo", ""),
        "index": ("index_klines", "htx_swap_ws", "/ws_index", f"market.{code}.index.5min", ""),
        "funding": ("indicative_funding_rates", "htx_swap_ws", notices, f"public.{code}.funding_rate", ""),
        "liquidations": ("liquidations", "htx_swap_ws", notices, f"public.{code}.liquidation_orders", ""),
    }
    if feeds is FUTURES_FEEDS:
        del due["index"], due["funding"]
        due["liquidations"] = ("liquidations", "htx_swap_ws", notices, "public.BTC.liquidation_orders", "")
    assert said == due


_symbols = {
    "spot": st.from_regex(r"[a-z0-9币安]{2,12}", fullmatch=True),
    "linear": st.from_regex(r"[A-Z0-9币安]{1,8}-USDT(-[0-9]{6})?", fullmatch=True),
    "futures": st.from_regex(r"[A-Z]{1,8}[0-9]{6}", fullmatch=True),
}
_every = [
    *(("spot", f) for f in (*SPOT_FEEDS, spot_step(0), spot_mbp(400))),
    *(("linear", f) for f in (*LINEAR_FEEDS, step(6), high_freq(20))),
    *(("futures", f) for f in FUTURES_FEEDS),
]


@given(st.data(), st.sampled_from(_every))
def test_a_topic_says_its_symbol_and_nothing_else_is_one(
    data: st.DataObject, entry: tuple[str, Feed]
) -> None:
    """`symbol_of` is the inverse of `topic`, and None for the topics of every other feed."""
    kind, told = entry
    symbol = data.draw(_symbols[kind])
    period = data.draw(st.sampled_from(sorted(told.periods))) if told.periods else None
    topic = told.topic(symbol, period)
    if topic.startswith("public.") and kind == "futures":  # of a coin: it says no symbol
        assert told.symbol_of(topic) is None
        return
    assert told.symbol_of(topic) == (symbol, period)
    for _, other in _every:
        if other is not told and (other.name, other.path) != (told.name, told.path):
            assert other.symbol_of(topic) is None or kind != _  # spot and linear never share a socket
    assert told.symbol_of(topic + "x") is None
    assert told.symbol_of("x" + topic) is None


@pytest.mark.parametrize("told", [f for _, f in _every], ids=lambda f: f"{f.host[4:8]}{f.path}-{f.name}")
def test_talk_is_passed_over_and_garbage_is_a_fault(told: Feed) -> None:
    """Pings, acks and errors are no data and no fault; what is no message at all is one, and so is another's topic."""
    assert read(told, *TALK) == Pushed()
    pushed = read(
        told,
        b"\x00",
        b"[1]",
        TALK[0],
        b'{"ch":"market.btcusdt.nothing","ts":1630994963175,"tick":{}}',
        b'{"a":1}',
    )
    assert [place for place, _ in pushed.faults] == [0, 1, 3, 4]
    assert pushed.columns == {}


# ------------------------------------------------------------------------------------------------- samples


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference" / "samples" / "htx" / f"{name}.json").read_bytes()


def test_trades_of_the_samples(shared: Path) -> None:
    """As REST's parser makes them: spot's number is tradeId, the contracts' id; times are the trades' own."""
    pushed = read(
        feed("spot", "trades"),
        sample(shared, "spot-ws-trade-detail-push"),
        sample(shared, "spot-ws-trade-detail-push-2"),
    )
    names = ("trade_time", "trade_id", "price", "quantity", "side", "received_at")
    assert table(pushed, "btcusdt", *names) == [
        (1630994963173000, "102523573486", 52648.62, 0.006754, "buy", 1000),
        (1583495833751000, "102090727790", 9150.01, 0.003893, "sell", 1001),
    ]
    pushed = read(feed("linear", "trades"), sample(shared, "linear-ws-trade-push-2024"))
    assert table(pushed, "ETH-USDT", *names[:5], "quote_quantity", "contracts") == [
        (1722863196444000, "1000219512747480000", 2246.49, 1.96, "sell", 4403.1204, 196.0)
    ]


def test_candles_of_the_samples(shared: Path) -> None:
    """On spot `amount` is base and `vol` quote; on contracts `vol` counts contracts; the index speaks in texts."""
    figures = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count")
    pushed = read(feed("spot", "klines"), sample(shared, "spot-ws-kline-push"))
    assert table(pushed, "ethbtc", *figures, period="1min") == [
        (1630981680000000, 0.074849, 0.074849, 0.074848, 0.074848, 2.4448, 0.1829884187, 3)
    ]
    pushed = read(feed("linear", "klines"), sample(shared, "linear-ws-kline-push"))
    assert table(pushed, BTC, *figures, "contracts", period="1min") == [
        (1603707120000000, 13067.7, 13067.7, 13067.7, 13067.7, 0.004, 52.2708, 1, 4.0)
    ]
    pushed = read(feed("linear", "index"), sample(shared, "linear-ws-index-kline-push"))
    assert table(pushed, BTC, *figures[:5], period="15min") == [
        (1607309100000000, 19213.505, 19248.31, 19213.505, 19242.05)
    ]


def test_a_long_number_is_counted_and_not_dropped(shared: Path) -> None:
    """0.44639786263800907 has 17 digits: the nearest DOUBLE says the same, and one of 20 digits does not."""
    told = feed("spot", "klines")
    assert read(told, sample(shared, "spot-ws-kline-push-2")).unfit == {}
    long = sample(shared, "spot-ws-kline-push-2").replace(b"0.44639786263800907", b"0.44639786263800907123")
    pushed = read(told, long)
    assert (pushed.faults, pushed.unfit) == ([], {("btcusdt", "1min"): 1})
    assert pushed.columns["btcusdt", "1min"][UNFIT] == [1]


def test_quotes_of_the_samples(shared: Path) -> None:
    """Sizes of contracts are base units."""
    names = ("quote_time", "bid", "bid_size", "ask", "ask_size", "sequence")
    pushed = read(feed("spot", "quotes"), sample(shared, "spot-ws-bbo-push"))
    assert table(pushed, "btcusdt", *names) == [
        (1630994555539000, 52665.01, 0.178567, 52665.02, 1.502181, 137005210233)
    ]
    pushed = read(feed("linear", "quotes"), sample(shared, "linear-ws-bbo-push"))
    assert table(pushed, BTC, *names) == [(1603707934525000, 13064.0, 0.038, 13072.3, 0.205, 131599726)]
    assert (
        "not known"
        in read(feed("linear", "quotes"), sample(shared, "linear-ws-bbo-push"), facts={}).faults[0][1]
    )


def test_books_of_the_samples(shared: Path) -> None:
    """Diffs with their numbers, empty ones and ones without a side; the answer to a request; levels of size 0."""
    pushed = read(
        spot_mbp(150), sample(shared, "spot-ws-mbp150-push-2"), sample(shared, "spot-ws-mbp150-req-response")
    )
    names = ("book_time", "kind", "side", "price", "size", "sequence")
    assert table(pushed, "btcusdt", *names) == [
        *(
            (1583472025885000, "delta", "bid", price, 0.0, 104998984994)
            for price in (9058.27, 9058.43, 9058.99)
        ),
        (1583472025885000, "delta", "ask", 9084.27, 0.2, 104998984994),
        *((1583472025885000, "delta", "ask", price, 0.0, 104998984994) for price in (9085.69, 9085.81)),
        (1698359289261000, "snapshot", "ask", 9084.27, 0.2, 104999417756),
    ]
    said = [
        (m.whole, m.asked, m.sequence, m.previous, m.first, m.last) for m in pushed.messages["btcusdt", None]
    ]
    assert said == [(False, False, 104998984994, 104998984977, 0, 6), (True, True, 104999417756, None, 6, 7)]
    empty = read(spot_mbp(150), sample(shared, "spot-ws-mbp150-empty-push"))
    assert (empty.columns, empty.faults, len(empty.messages["zecusdt", None])) == ({}, [], 1)
    one = read(spot_mbp(5), sample(shared, "spot-ws-mbp5-push"))
    assert table(one, "btcusdt", "side", "price", "size") == [("bid", 52771.08, 1.804671)]
    undated = read(spot_mbp(5), sample(shared, "spot-ws-mbp5-req-response"))
    assert [(m.at, m.whole, m.asked, m.sequence) for m in undated.messages["btcusdt", None]] == [
        (0, True, True, 100020142010)
    ]
    pushed = read(high_freq(20), sample(shared, "linear-ws-depth-high-freq-push"))
    assert table(pushed, BTC, *names, "contracts") == [
        (1603707712356000, "snapshot", "bid", 13071.9, 0.038, 1512467, 38.0),
        (1603707712356000, "snapshot", "bid", 13060.0, 0.4, 1512467, 400.0),
        (1603707712356000, "snapshot", "ask", 13081.9, 0.206, 1512467, 206.0),
        (1603707712356000, "snapshot", "ask", 13099.7, 0.371, 1512467, 371.0),
    ]
    pushed = read(step(6), sample(shared, "linear-ws-depth-push"))
    assert table(pushed, BTC, "kind", "side", "price", "size")[0] == ("snapshot", "bid", 13071.9, 0.038)
    assert (
        read(high_freq(20), sample(shared, "linear-ws-depth-high-freq-push"), facts={}).columns == {}
    )


def test_notices_of_the_samples(shared: Path) -> None:
    """The settlement that comes is `settlement_time`; a push for all contracts names each in its row."""
    expected = [(1603778748166000, 1603785600000000, -0.000220068774978695)]
    for name in ("linear-ws-funding-rate-push", "linear-ws-funding-rate-push-2021"):
        pushed = read(feed("linear", "funding"), sample(shared, name))
        assert table(pushed, BTC, "observed_at", "funding_time", "funding_rate") == expected
    pushed = read(feed("linear", "liquidations"), sample(shared, "linear-ws-liquidation-orders-push"))
    names = ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts")
    assert table(pushed, "O3-USDT", *names) == [
        (1639122193172000, "ws-1639122193172-0.7858-432.0-sell-0", "sell", 0.7858, 432.0, 432.0)
    ]
    pushed = read(feed("linear", "liquidations"), sample(shared, "linear-ws-liquidation-orders-push-2021"))
    assert table(pushed, BTC, "quantity", "contracts") == [(0.624, 624.0)]


def test_a_funding_without_settlement_is_refused_unless_its_time_lies_ahead() -> None:
    """`funding_time` may be the minute for which the rate was reckoned: it is no settlement then."""
    row = {"contract_code": BTC, "funding_time": "1603778700000", "funding_rate": "0.1"}
    message = {"op": "notify", "topic": f"public.{BTC}.funding_rate", "ts": 1603778748166, "data": [row]}
    assert "is over" in read(feed("linear", "funding"), dumps(message)).faults[0][1]
    row["funding_time"] = "1603785600000"
    pushed = read(feed("linear", "funding"), dumps(message))
    assert table(pushed, BTC, "funding_time") == [(1603785600000000,)]
    row["contract_code"] = "ETH-USDT"
    assert "a row of 'ETH-USDT'" in read(feed("linear", "funding"), dumps(message)).faults[0][1]


# ---------------------------------------------------------------------------------------------------- laws

_price = st.decimals("0.00000001", "99999999", places=8, allow_nan=False).filter(lambda d: d > 0)


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), _price, _price, st.booleans()), max_size=4), st.booleans()
)
def test_both_ways_of_reading_trades_agree(rows: list[tuple[int, Decimal, Decimal, bool]], odd: bool) -> None:
    """Numbers in quotes take the careful way, bare ones the quick one: the same rows, be they none or several."""

    def body(quoted: bool) -> bytes:
        mark = '"' if quoted else ""
        entries = ",".join(
            f'{{"id":{n + 1}123456789,"ts":{mark}1630994963173{mark},"tradeId":{mark}{n}{mark},'
            f'"amount":{mark}{a:f}{mark},"price":{mark}{p:f}{mark},"direction":"{"buy" if buys else "sell"}"}}'
            for n, p, a, buys in rows
        )
        tick = f'{{"id":1,"ts":1,"data":[{entries}]}}'
        return f'{{"ch":"market.btcusdt.trade.detail","ts":1630994963175,"tick":{tick}}}'.encode()

    names = ("trade_time", "trade_id", "price", "quantity", "side")
    found = [read(feed("spot", "trades"), body(quoted)) for quoted in (odd, not odd)]
    assert [pushed.faults for pushed in found] == [[], []]
    expected = [(1630994963173000, str(n), float(p), float(a), "buy" if b else "sell") for n, p, a, b in rows]
    for pushed in found:
        assert (table(pushed, "btcusdt", *names) if rows else list(pushed.columns)) == expected


@given(
    st.integers(0, 2**40),
    st.sampled_from(["0.001", "0.01", "0.1", "1", "10", "100", "1000", "0.0001", "0.5", "25"]),
)
def test_contracts_times_size_is_the_nearest_double_of_the_exact_product(contracts: int, size: str) -> None:
    """By the quick quotient of whole numbers as by decimals."""
    exact = float(Decimal(contracts) * Decimal(size))
    by, parted = ratio(float(size))
    assert contracts * by / parted == exact
    assert in_base(contracts, float(size))[0] == exact
    tick = {"asks": [[2.5, contracts]], "bids": [], "event": "update", "ts": 1603707712356, "version": 9}
    message = {"ch": f"market.{BTC}.depth.size_150.high_freq", "tick": tick, "ts": 1603707712356}
    pushed = read(high_freq(150), dumps(message), facts={BTC: Facts(float(size))})
    assert table(pushed, BTC, "size", "contracts", "price") == [(exact, float(contracts), 2.5)]


_BAD_TRADE: dict[str, Any] = {
    "id": 1,
    "ts": 1630994963173,
    "tradeId": 7,
    "amount": 1.5,
    "price": 2.5,
    "direction": "buy",
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"price": 0}, "no price"), ({"price": -1}, "negative"), ({"price": None}, "'price' is None"),
        ({"amount": "1,5"}, "not a number"), ({"amount": 1e400}, "Infinity|no JSON|not a number"),
        ({"direction": "BUY"}, "neither buy nor sell"), ({"ts": 1630994963}, "not milliseconds"),
        ({"tradeId": -1}, "not the number of a trade"), ({"tradeId": 2**63}, "not the number of a trade"),
        ({"tradeId": 1.5}, "not a whole number"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_trade_is_a_fault_that_says_why(change: dict[str, Any], why: str) -> None:
    """And its neighbours, in the same push or in others, are read or left as they are: no push is half used."""
    good = {"ch": "market.btcusdt.trade.detail", "ts": 1, "tick": {"data": [_BAD_TRADE]}}
    bad = {
        "ch": "market.btcusdt.trade.detail",
        "ts": 1,
        "tick": {"data": [{**_BAD_TRADE, "tradeId": 8}, {**_BAD_TRADE, **change}]},
    }
    pushed = read(feed("spot", "trades"), dumps(good), dumps(bad), dumps(good))
    ((place, said),) = pushed.faults
    assert place == 1
    assert any(part in said for part in why.split("|")), said
    assert table(pushed, "btcusdt", "trade_id", "received_at") == [("7", 1000), ("7", 1002)]


@pytest.mark.parametrize(
    "change",
    [{"seqNum": None}, {"seqNum": 2**63}, {"prevSeqNum": "x"}, {"bids": [[0, 1]]}, {"bids": [[1, -1]]}, {"asks": [[1]]},
     {"asks": "none"}],
)  # fmt: skip
def test_what_cannot_be_a_book_is_a_fault(change: dict[str, Any]) -> None:
    """Its neighbours are read."""

    def body(seq: int, **more: Any) -> bytes:
        tick = {"seqNum": seq, "prevSeqNum": seq - 1, "bids": [[1.5, 2.5]], "asks": [], **more}
        return dumps({"ch": "market.btcusdt.mbp.150", "ts": 1573199608679, "tick": tick})

    pushed = read(spot_mbp(150), body(5), body(6, **change), body(7, bids=None), body(8))
    assert [place for place, _ in pushed.faults] == [1]
    assert table(pushed, "btcusdt", "sequence", "price") == [(5, 1.5), (8, 1.5)]
    assert [m.sequence for m in pushed.messages["btcusdt", None]] == [5, 7, 8]


def test_a_long_figure_of_a_trade_is_counted() -> None:
    """In its own row; its neighbours fit."""
    push = {"ch": "market.btcusdt.trade.detail", "ts": 1, "tick": {"data": [_BAD_TRADE]}}
    long = dumps(push).replace(b"2.5", b"2.50000000000000000000001")
    pushed = read(feed("spot", "trades"), dumps(push), long)
    assert (pushed.faults, pushed.unfit) == ([], {("btcusdt", None): 1})
    assert pushed.columns["btcusdt", None][UNFIT].tolist() == [0, 1]


def test_a_long_size_of_a_book_is_counted() -> None:
    """Digits that no DOUBLE carries are told, row by row of their message's first."""
    levels = b'"bids":[[1.5,2],[1.4,26.7559739591406512345]]'
    body = (
        b'{"ch":"market.btcusdt.mbp.150","ts":1573199608679,"tick":{"seqNum":5,"prevSeqNum":4,%b}}' % levels
    )
    pushed = read(spot_mbp(150), body)
    assert (pushed.unfit, pushed.columns["btcusdt", None][UNFIT].tolist()) == ({("btcusdt", None): 1}, [1, 0])
    assert table(pushed, "btcusdt", "size") == [(2.0,), (26.755973959140651,)]


def test_watching_sees_numbers_only(shared: Path) -> None:
    """What a capture needs to know of a break."""
    watch = spot_mbp(150).watch
    assert watch is not None
    seen = watch(sample(shared, "spot-ws-mbp150-push"))
    assert seen is not None
    assert (seen.topic, seen.whole, seen.sequence, seen.previous) == (
        "market.btcusdt.mbp.150",
        False,
        100020146795,
        100020146794,
    )
    seen = watch(sample(shared, "spot-ws-mbp150-req-response"))
    assert seen is not None
    assert (seen.whole, seen.asked, seen.sequence) == (True, True, 104999417756)
    assert [watch(talk) for talk in (*TALK, b"\x00")] == [None] * 7
    watch = high_freq(150).watch
    assert watch is not None
    seen = watch(sample(shared, "linear-ws-depth-high-freq-push"))
    assert seen is not None
    assert (seen.whole, seen.sequence, seen.previous) == (True, 1512467, None)


def test_a_frame_that_goes_on_behind_its_gzip_is_left_to_the_careful_way() -> None:
    """The quick way takes whole gzips and nothing else; `unpack` says what is wrong with the others."""
    whole = gzip.compress(b"x" * 100)
    assert unpacked([whole, gzip.compress(b"y")]) == ([b"x" * 100, b"y"], 101)
    assert unpacked([]) == ([], 0)
    changed = whole[:12] + bytes([whole[12] ^ 255]) + whole[13:]
    ends = whole + b"yy" + whole[-8:-4] + b"\5\0\0\0"  # as if it held something else with the same checksum
    for bad in (ends, whole + b"y", whole[:-3], whole + gzip.compress(b"y" * 100), changed, b'{"text":1}', b""):
        assert unpacked([whole, bad]) is None
