"""What is pushed is the truth: trades, books, candles and notices value by value, whoever listens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.linear_indicative import truth as funding_truth
from tests.clocks import Wound
from tests.sandbox.socket_client import Said, Talk

NOON = 1_780_315_230  # 2026-06-01 12:00:30 UTC
SPOT, SWAP = "htx_spot_ws", "htx_swap_ws"


@pytest.fixture(scope="module")
def live() -> Iterator[Sandbox]:
    """A sandbox whose clock runs five times too fast: its ticks of 50 ms are over in 10."""
    with Sandbox(limits=False, clock=Wound(NOON, 5.0)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def hasty() -> Iterator[Sandbox]:
    """A sandbox in which a minute is over in an eighth of a second, so that something happens."""
    with Sandbox(limits=False, clock=Wound(NOON, 480.0), funding_seconds=30.0) as sandbox:
        yield sandbox


def levels(side: list[list[float]]) -> dict[float, float]:
    return dict(side)


def changed(kept: dict[float, float], changes: list[list[float]]) -> None:
    for price, size in changes:
        if size:
            kept[price] = size
        else:
            del kept[price]  # a level that is taken away was there


def push_rows(said: list[Said], venue: str, ch: str) -> list[tuple[Any, ...]]:
    """The trades of pushes as (ms, id, price, quantity, side), in the order of the market."""
    number = "tradeId" if venue == "htx-spot" else "id"
    amount = "amount" if venue == "htx-spot" else "quantity"
    return [
        (row["ts"], row[number], row["price"], row[amount], row["direction"])
        for one in said
        if one.get("ch") == ch
        for row in one["tick"]["data"][:: -1 if venue == "htx-spot" else 1]
    ]


def told(said: list[Said]) -> set[str]:
    """The topics of pushes."""
    return {one["ch"] for one in said if "ch" in one}


def candles_of(said: list[Said], kind: str) -> dict[int, Said]:
    """The last that is told of each candle of a kind."""
    return {one["tick"]["id"]: one["tick"] for one in said if f".{kind}." in one.get("ch", "")}


def behind(said: list[Said]) -> int:
    """How many diffs follow the book that was asked for."""
    numbers = [one["data"]["seqNum"] for one in said if one.get("rep")]
    return sum("ch" in one and one["tick"]["seqNum"] > min(numbers) for one in said) if numbers else 0


def truth_rows(rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    names = ("trade_id", "price", "quantity", "side")
    times = (rows["trade_time"] // 1000).tolist()
    return list(zip(times, *(rows[name].tolist() for name in names), strict=True))


@pytest.mark.parametrize(
    ("venue", "host", "path", "symbol"),
    [("htx-spot", SPOT, "/ws", "btcusdt"), ("htx-linear", SWAP, "/linear-swap-ws", "BTC-USDT")],
)
def test_trades(hasty: Sandbox, market: Market, venue: str, host: str, path: str, symbol: str) -> None:
    """From the ack on every trade is told once and in order, after one that is old; each push is timed just behind."""
    ch = f"market.{symbol}.trade.detail"
    with Talk(hasty.hosts[host] + path) as talk:
        ack = talk.ask(sub=ch)
        stale = talk.until(lambda said: said.get("ch") == ch)
        said = talk.during(0.5, lambda found: len(push_rows(found, venue, ch)) > 2)
    assert stale["tick"]["ts"] <= ack["ts"]
    assert {row["ts"] for row in stale["tick"]["data"]} == {stale["tick"]["ts"]}  # of one order
    found = push_rows(said, venue, ch)
    last = said[-1]["tick"]["ts"] if said else 0
    known = truth_rows(hasty.trades_between(venue, symbol, (ack["ts"] - 1) * 1000, (last + 1) * 1000))
    assert found == known
    assert len(found) > 2
    assert (
        push_rows([stale], venue, ch)[-1]
        == truth_rows(market.trades(venue, symbol, (ack["ts"] - 600_000) * 1000, (ack["ts"] - 1) * 1000))[-1]
    )
    assert {one["ts"] - one["tick"]["ts"] for one in said} == {2}
    assert all(len({row["ts"] for row in one["tick"]["data"]}) == 1 for one in said)


@pytest.mark.parametrize(
    ("symbol", "depth"), [("btcusdt", 150), ("btcusdt", 5), ("ethusdt", 20), ("btcusdt", 400)]
)
def test_a_spot_book_rebuilt_is_the_exchanges(live: Sandbox, symbol: str, depth: int) -> None:
    """Who follows htx-api 7.3 has the exchange's book at each number; every message follows the one before."""
    topic = f"market.{symbol}.mbp.{depth}"
    with Talk(live.hosts[SPOT] + "/feed") as talk:
        assert talk.ask(sub=topic)["subbed"] == topic
        talk.say({"req": topic, "id": "snap"})
        said = talk.during(0.3, lambda found: behind(found) >= (3 if symbol == "btcusdt" else 1))
    answers = [one for one in said if one.get("rep")]
    assert len(answers) == 1
    assert answers[0]["id"] == "snap"
    snapshot = answers[0]["data"]
    diffs = [one["tick"] for one in said if one.get("ch") == topic]
    assert [one["prevSeqNum"] for one in diffs[1:]] == [one["seqNum"] for one in diffs[:-1]]
    assert diffs[0]["prevSeqNum"] <= snapshot["seqNum"]
    assert snapshot["seqNum"] in {one["prevSeqNum"] for one in diffs}  # so that one follows
    bids, asks = levels(snapshot["bids"]), levels(snapshot["asks"])
    known = live.book("htx-spot", symbol, sequence=snapshot["seqNum"], depth=depth)
    assert (list(bids.items()), list(asks.items())) == (known.bids, known.asks)
    checked = 0
    for one in diffs:
        if one["seqNum"] <= snapshot["seqNum"]:
            continue
        changed(bids, one["bids"])
        changed(asks, one["asks"])
        known = live.book("htx-spot", symbol, sequence=one["seqNum"], depth=depth)
        assert (bids, asks) == (dict(known.bids), dict(known.asks))
        checked += 1
    assert checked >= (3 if symbol == "btcusdt" else 1)


@pytest.mark.parametrize("depth", [20, 150])
def test_a_contracts_book_rebuilt_is_the_exchanges(live: Sandbox, depth: int) -> None:
    """After the snapshot each update is the next version and gives the book of its number."""
    topic = f"market.BTC-USDT.depth.size_{depth}.high_freq"
    with Talk(live.hosts[SWAP] + "/linear-swap-ws") as talk:
        talk.ask(sub=topic, data_type="incremental")
        ticks = [one["tick"] for one in talk.during(0.2, lambda found: len(found) > 2)]
    assert [one["event"] for one in ticks] == ["snapshot"] + ["update"] * (len(ticks) - 1)
    assert [one["version"] - ticks[0]["version"] for one in ticks] == list(range(len(ticks)))
    bids, asks = levels(ticks[0]["bids"]), levels(ticks[0]["asks"])
    for one in ticks:
        if one["event"] == "update":
            changed(bids, one["bids"])
            changed(asks, one["asks"])
        known = live.book("htx-linear", "BTC-USDT", sequence=one["mrid"], depth=depth)
        assert (bids, asks) == (dict(known.bids), dict(known.asks))
        assert known.time == one["ts"] * 1000
    assert len(ticks) > 2


def test_whole_books(live: Sandbox) -> None:
    """Books that are told whole are the exchange's at their number; those of data_type snapshot say so each time."""
    fast = "market.BTC-USDT.depth.size_20.high_freq"
    topics = {"market.BTC-USDT.depth.step0": 150, "market.BTC-USDT.depth.step6": 20, fast: 20}
    with Talk(live.hosts[SWAP] + "/linear-swap-ws") as talk:
        for topic in topics:
            talk.say({"sub": topic, "id": topic})
        said = [one for one in talk.during(0.15, lambda found: told(found) >= set(topics)) if "ch" in one]
    assert {one["ch"] for one in said} == set(topics)
    for one in said:
        tick = one["tick"]
        known = live.book("htx-linear", "BTC-USDT", sequence=tick["mrid"], depth=topics[one["ch"]])
        assert [tuple(level) for level in tick["bids"]] == known.bids
        assert [tuple(level) for level in tick["asks"]] == known.asks
        assert one["ch"] != fast or tick["event"] == "snapshot"


def test_whole_spot_books_and_best_prices(live: Sandbox) -> None:
    """depth.step0, mbp.refresh and bbo tell the book of their number; depth.step1 sums it by tens of price steps."""
    topics = [f"market.btcusdt.{what}" for what in ("depth.step0", "depth.step1", "mbp.refresh.10", "bbo")]
    with Talk(live.hosts[SPOT] + "/ws") as talk:
        talk.say({"sub": topics, "id": "x"})
        said = [one for one in talk.during(0.35, lambda found: told(found) >= set(topics)) if "ch" in one]
    assert {one["ch"] for one in said} == set(topics)
    for one in said:
        tick = one["tick"]
        known = live.book(
            "htx-spot", "btcusdt", sequence=tick.get("version") or tick.get("seqNum") or tick.get("seqId")
        )
        if one["ch"].endswith("bbo"):
            assert (tick["bid"], tick["bidSize"], tick["ask"], tick["askSize"]) == known.bids[0] + known.asks[
                0
            ]
        elif one["ch"].endswith("step1"):
            best = tick["bids"][0][0]
            there = [size for price, size in known.bids if best <= price < best + 0.1]
            assert tick["bids"][0][1] == pytest.approx(sum(there))
            assert tick["bids"][0][0] <= known.bids[0][0] < tick["asks"][0][0]
            assert len(tick["bids"]) == len(tick["asks"]) == 20
        else:
            depth = 150 if one["ch"].endswith("step0") else 10
            assert [tuple(level) for level in tick["bids"]] == known.bids[:depth]
            assert [tuple(level) for level in tick["asks"]] == known.asks[:depth]


def test_two_listeners_hear_the_same(live: Sandbox) -> None:
    """Numbers of spot books are the market's, versions of contract books are the connection's own."""
    topic = "market.ethusdt.mbp.150"
    with Talk(live.hosts[SPOT] + "/feed") as one, Talk(live.hosts[SPOT] + "/feed") as other:
        one.ask(sub=topic)
        time.sleep(0.1)
        other.ask(sub=topic)
        several = lambda found: len(found) > 3  # noqa: E731
        heard = [{said["tick"]["seqNum"]: said for said in talk.during(0.15, several)} for talk in (one, other)]
    both = set(heard[0]) & set(heard[1])
    assert len(both) > 1
    assert all(heard[0][number] == heard[1][number] for number in both)
    fast = {"sub": "market.ETH-USDT.depth.size_20.high_freq", "data_type": "incremental", "id": "1"}
    url = live.hosts[SWAP] + "/linear-swap-ws"
    with Talk(url) as one, Talk(url) as other:
        versions = []
        for talk in (one, other):
            talk.say(fast)
            versions.append(talk.until(lambda said: "ch" in said)["tick"]["version"])
    assert versions[0] != versions[1]


@pytest.mark.parametrize(
    ("venue", "host", "path", "symbol", "fields"),
    [
        ("htx-spot", SPOT, "/ws", "btcusdt", ("amount", "vol")),
        ("htx-linear", SWAP, "/linear-swap-ws", "BTC-USDT", ("amount", "trade_turnover")),
    ],
)
def test_candles(
    hasty: Sandbox, market: Market, venue: str, host: str, path: str, symbol: str, fields: tuple[str, str]
) -> None:
    """The last that is told of a candle is how it ended, and what is told before is a part of it."""
    with Talk(hasty.hosts[host] + path) as talk:
        talk.ask(sub=f"market.{symbol}.kline.1min")
        ticks = [one["tick"] for one in talk.during(0.6, lambda found: len({one["tick"]["id"] for one in found}) > 2)]
    last = {one["id"]: one for one in ticks}
    ended = sorted(last)[
        1:-1
    ]  # the first may have been told in part by the time of the ack, the last is running
    assert ended
    for number in ended:
        known = market.klines(venue, symbol, "1min", number * 10**6, number * 10**6 + 1)
        names = {"open": "open", "close": "close", "high": "high", "low": "low", "count": "trade_count"}
        names |= {fields[0]: "volume", fields[1]: "quote_volume"}
        assert {field: last[number][field] for field in names} == {
            field: known[column][0] for field, column in names.items()
        }
    counts = [(one["id"], one["count"]) for one in ticks]
    assert counts == sorted(counts)


def test_computed_prices(hasty: Sandbox, market: Market) -> None:
    """Index-type candles end as Market's do; the index is asked for in numbers and told in texts."""
    start = int(hasty.now() // 10**6)
    with Talk(hasty.hosts[SWAP] + "/ws_index") as talk:
        for kind in (kinds := ("index", "mark_price", "premium_index", "estimated_rate")):
            talk.ask(sub=f"market.BTC-USDT.{kind}.1min")
        said = talk.during(0.5, lambda found: all(len(candles_of(found, kind)) > 1 for kind in kinds))
        asked = talk.ask(req="market.BTC-USDT.index.1min", **{"from": start - 600, "to": start})["data"]
    columns = {"index": market.index_klines, "mark_price": market.mark_klines}
    columns |= {"premium_index": market.premium_klines, "estimated_rate": market.estimated_rate_klines}
    for kind, known in columns.items():
        last = candles_of(said, kind)
        ended = sorted(last)[:-1]
        assert ended
        for number in ended:
            rows = known("htx-linear", "BTC-USDT", "1min", number * 10**6, number * 10**6 + 1)
            assert [float(last[number][name]) for name in ("open", "high", "low", "close")] == [
                rows[name][0] for name in ("open", "high", "low", "close")
            ]
            assert isinstance(last[number]["close"], str)
    rows = market.index_klines("htx-linear", "BTC-USDT", "1min", (start - 600) * 10**6, start * 10**6 + 1)
    assert [row["close"] for row in asked] == rows["close"].tolist()


def test_fundings(hasty: Sandbox, market: Market) -> None:
    """The coming funding is told at once and then by the clock, as it looks at the time of the message."""
    topic = "public.BTC-USDT.funding_rate"
    with Talk(hasty.hosts[SWAP] + "/linear-swap-notification") as talk:
        talk.say({"op": "sub", "cid": "7", "topic": topic})
        ack = talk.next()
        said = [talk.next(), *talk.during(0.35, lambda found: len(found) > 1)]
    assert {name: ack[name] for name in ("op", "cid", "topic", "err-code")} == {
        "op": "sub", "cid": "7", "topic": topic, "err-code": 0,
    }  # fmt: skip
    assert len(said) >= 3
    assert {one["ts"] % 30_000 for one in said[1:]} == {0}
    for one in said:
        known = funding_truth(market, "BTC-USDT", one["ts"] * 1000)
        row = one["data"][0]
        assert float(row["funding_rate"]) == known["funding_rate"]
        assert int(row["settlement_time"]) * 1000 == known["funding_time"]


def test_liquidations_of_all(market: Market) -> None:
    """Subscribed with `*`, every liquidation of every contract is told once, in its order, with Market's values."""
    symbols = market.symbols("htx-linear")
    with Sandbox(limits=False, clock=Wound(NOON, 7200.0)) as sandbox:
        with Talk(sandbox.hosts[SWAP] + "/linear-swap-notification") as talk:
            talk.say({"op": "sub", "cid": "1", "topic": "public.*.liquidation_orders"})
            ack = talk.next()
            said = [talk.next() for _ in range(8)]
    found = [
        (
            row["created_at"],
            row["contract_code"],
            row["direction"],
            row["price"],
            row["volume"],
            row["amount"],
        )
        for one in said
        for row in one["data"]
    ]
    assert len(found) == 8
    known = []
    for symbol in symbols:
        rows = market.liquidations("htx-linear", symbol, (ack["ts"] - 1) * 1000, (found[-1][0] + 1) * 1000)
        columns = [rows[name].tolist() for name in ("side", "price", "contracts", "quantity")]
        times = (rows["liquidated_at"] // 1000).tolist()
        known += [(at, symbol, *row) for at, *row in zip(times, *columns, strict=True)]
    assert sorted(found) == sorted(known)
    assert [row[0] for row in found] == sorted(row[0] for row in found)


def test_fills_of_one_order(market: Market) -> None:
    """Fills come in one push: spot's newest first, as in the recorded session, contracts' oldest first."""
    for venue, symbol in (("htx-spot", "btcusdt"), ("htx-linear", "BTC-USDT")):
        rows = market.orders(venue, symbol, (NOON - 7200) * 10**6, NOON * 10**6)
        orders = rows["order"].tolist()
        several = next(number for number in orders if orders.count(number) > 2)
        last = max(place for place, number in enumerate(orders) if number == several)
        ids = [rows["trade_id"][place] for place, number in enumerate(orders) if number == several]
        at = int(rows["trade_time"][last])
        with Sandbox(clock=lambda at=at: (at + 10_000) / 1e6) as sandbox:
            host, path = (SPOT, "/ws") if venue == "htx-spot" else (SWAP, "/linear-swap-ws")
            with Talk(sandbox.hosts[host] + path) as talk:
                talk.say({"sub": f"market.{symbol}.trade.detail", "id": "1"})
                tick = talk.until(lambda said: "ch" in said)["tick"]
        number = "tradeId" if venue == "htx-spot" else "id"
        assert [row[number] for row in tick["data"]] == (ids[::-1] if venue == "htx-spot" else ids)


def test_nothing_is_told_before_its_time(market: Market) -> None:
    """At an instant between a trade and its push, two milliseconds later, the trade has not been told."""
    at = int(market.trades("htx-spot", "btcusdt", NOON * 10**6, (NOON + 600) * 10**6)["trade_time"][1])
    with Sandbox(clock=lambda: (at + 1000) / 1e6) as sandbox, Talk(sandbox.hosts[SPOT] + "/ws") as talk:
        talk.say({"sub": "market.btcusdt.trade.detail", "id": "1"})
        said = [one for one in talk.during(0.2) if "ch" in one]
    assert len(said) == 1
    assert said[0]["tick"]["ts"] * 1000 < at


def test_a_day(live: Sandbox, market: Market) -> None:
    """detail and ticker count the last 24 hours."""
    with Talk(live.hosts[SPOT] + "/ws") as talk:
        talk.say({"sub": ["market.btcusdt.detail", "market.btcusdt.ticker"], "id": "1"})
        detail = talk.until(lambda said: said.get("ch", "").endswith("detail"))
        ticker = talk.until(lambda said: said.get("ch", "").endswith("ticker"))
    at = detail["ts"] * 1000
    rows = market.trades("htx-spot", "btcusdt", at - 86_400_000_000, at)
    for tick in (detail["tick"], ticker["tick"]):
        assert abs(tick["count"] - len(rows["price"])) <= 1
        assert tick["high"] == rows["price"].max()
        assert tick["amount"] == pytest.approx(np.sum(rows["quantity"]), rel=1e-3)
    assert ticker["tick"]["lastPrice"] == rows["price"][-1] == detail["tick"]["close"]
    with Talk(live.hosts[SWAP] + "/linear-swap-ws") as talk:
        talk.say({"sub": "market.BTC-USDT.detail", "id": "1"})
        said = talk.until(lambda heard: "ch" in heard)
    rows = market.trades("htx-linear", "BTC-USDT", said["ts"] * 1000 - 86_400_000_000, said["ts"] * 1000)
    assert said["tick"]["vol"] == pytest.approx(np.sum(rows["contracts"]), rel=1e-3)
    assert said["tick"]["trade_turnover"] == pytest.approx(np.sum(rows["quote_quantity"]), rel=1e-3)
