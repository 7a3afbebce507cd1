"""HashKey's sockets: what is said and heard on each, recorded frames and made ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.protocol.dialect import Acked, Ping, Pong, Push, Refused, Strange
from htxdata.venues.hashkey.dialects import V1, V2
from htxdata.venues.hashkey.feeds import FEEDS
from htxdata.venues.terms import Facts, Feed, Pushed

PERPETUAL = "BTCUSDT-PERPETUAL"
FACTS = {PERPETUAL: Facts(0.001), "ETHUSDT-PERPETUAL": Facts(0.001)}
BY_NAME = {feed.name: feed for feed in FEEDS}


def sample(shared: Path, name: str) -> bytes:
    return (shared / "reference/samples/hashkey" / name).read_bytes().strip()


def read(feed: str, *messages: bytes) -> Pushed:
    return BY_NAME[feed].parse([(7 + at, message) for at, message in enumerate(messages)], FACTS)


def rows(pushed: Pushed, symbol: str, period: str | None = None) -> list[dict[str, object]]:
    columns = pushed.columns[symbol, period]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


# ------------------------------------------------------------------------------------------------- the talk


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_topics_go_both_ways(feed: Feed) -> None:
    """From a symbol and period to a topic and back; other texts are no topics."""
    for period in feed.periods or (None,):
        topic = feed.topic(PERPETUAL, period)
        assert feed.symbol_of(topic) == (PERPETUAL, period)
    assert feed.symbol_of("nonsense") is None
    assert feed.symbol_of("other:BTCUSDT") is None


def test_commands() -> None:
    """V1 names the interval in its topic, V2 beside it; both are pinged by us."""
    assert json.loads(V1.subscribe("kline_1m:BTCUSDT", "1")) == {
        "symbol": "BTCUSDT", "topic": "kline_1m", "event": "sub", "params": {"binary": False}
    }  # fmt: skip
    assert json.loads(V1.unsubscribe("trade:BTCUSDT", "1"))["event"] == "cancel"
    assert json.loads(V2.subscribe("kline_1M:BTCUSDT", "1")) == {
        "topic": "kline", "event": "sub", "params": {"symbol": "BTCUSDT", "klineType": "1M"}
    }  # fmt: skip
    assert json.loads(V2.subscribe(f"depth:{PERPETUAL}", "1")) == {
        "topic": "depth", "event": "sub", "params": {"symbol": PERPETUAL}
    }  # fmt: skip
    for dialect in (V1, V2):
        assert dialect.ping is not None
        assert dialect.ping(1790134591507) == '{"ping":1790134591507}'


@pytest.mark.parametrize("dialect", [V1, V2], ids=["V1", "V2"])
def test_what_both_hear(shared: Path, dialect: object) -> None:
    """A pong is the venue's clock; a ping, should one come, is answered; junk is junk."""
    assert V1.hear is not V2.hear
    hear = (V1 if dialect is V1 else V2).hear
    assert hear(sample(shared, "ws-pong.json")) == Pong(1790134591507000)
    assert hear(b'{"ping":5}') == Ping('{"pong":5}')
    for junk in (b"", b"[]", b"\xff", b"{}", b'{"topic":5}', b'{"a":' * 100_000):
        assert isinstance(hear(junk), Strange)


def test_what_v1_hears(shared: Path) -> None:
    """Pushes by topic, interval and symbol with the time at which they were sent; errors that name nothing."""
    assert V1.hear(sample(shared, "ws-v1-kline-2026.json")) == Push("kline_1m:BTCUSDT", 1766727675969000)
    assert V1.hear(sample(shared, "ws-v1-depth-2024.json")) == Push("depth:ETHUSDT", 1722873144589000)
    assert V1.hear(sample(shared, "ws-v1-error.json")) == Refused("", "", "-100010: Invalid Symbols!")


def test_the_first_push_of_v1_says_since_when(shared: Path) -> None:
    """Trades from the oldest of those that it repeats on, but for its instant; an index from its own time on."""
    first = json.loads(sample(shared, "ws-v1-trade-2024.json"))
    assert V1.hear(json.dumps(first).encode()) == Push("trade:ETHUSDT", 1722866228075000 + 1000)
    assert V1.hear(json.dumps({**first, "f": False}).encode()) == Push("trade:ETHUSDT", 1722869464248000)
    assert V1.hear(json.dumps({**first, "data": []}).encode()) == Push("trade:ETHUSDT", 1722869464248000)
    assert V1.hear(sample(shared, "ws-v1-index-formula.json")) == Push("index:BTCUSDT", 1790133770000000)


def test_what_v2_hears(shared: Path) -> None:
    """Acks and refusals by topic, pushes with the time of what they tell."""
    assert V2.hear(sample(shared, "ws-v2-ack.json")) == Acked("", f"depth:{PERPETUAL}", 0)
    assert V2.hear(sample(shared, "ws-v2-error.json")) == Refused(
        "", "depth:NOPEUSDT-PERPETUAL", "-100011: Parameter error!"
    )
    assert V2.hear(sample(shared, "ws-v2-kline.json")) == Push("kline_1m:BTCUSDT", 1766728080000000)
    assert V2.hear(sample(shared, "ws-v2-bbo-perpetual.json")) == Push(f"bbo:{PERPETUAL}", 1790133813033000)


# ------------------------------------------------------------------------------------------------- the data


def test_trades_keep_the_venues_number_for_now(shared: Path) -> None:
    """Of both sockets; the buyer as maker means that the taker sold."""
    pushed = read("trades", sample(shared, "ws-v1-trade-2024.json"), sample(shared, "ws-v2-trade.json"))
    first, second = rows(pushed, "ETHUSDT")
    assert first == {
        "trade_time": 1722866228075000, "trade_id": "1745922896272048129", "price": 2340.41, "quantity": 0.0132,
        "contracts": None, "side": "sell", "received_at": 7,
    }  # fmt: skip
    assert (second["side"], second["trade_id"], second["received_at"]) == ("buy", "4645465192627367936", 8)


def test_candles_of_both_years(shared: Path) -> None:
    """The shape of 2026 says turnover, count and what takers bought; the older one leaves them open."""
    (new,) = rows(read("klines", sample(shared, "ws-v1-kline-2026.json")), "BTCUSDT", "1min")
    assert (new["quote_volume"], new["trade_count"], new["taker_buy_volume"]) == (0.0, 0, 0.0)
    (old,) = rows(read("klines", sample(shared, "ws-v1-kline-2024.json")), "DOGEUSDT", "1min")
    assert (old["close"], old["quote_volume"], old["trade_count"]) == (0.08389, None, None)


def test_a_recorded_book_and_best_of_a_perpetual(shared: Path) -> None:
    """Whole, numbered by its version, sizes in coins and in contracts."""
    pushed = read(
        "book", sample(shared, "ws-v2-depth-perpetual.json"), sample(shared, "ws-v1-depth-perpetual-snapshot.json")
    )
    columns = pushed.columns[PERPETUAL, None]
    assert columns["price"][:6] == [86645.7, 86637.3, 86635.4, 86645.8, 86659.3, 86678.6]
    assert columns["side"][:6] == ["bid"] * 3 + ["ask"] * 3
    assert (columns["size"][0], columns["contracts"][0]) == (0.155, 155.0)
    first, second = pushed.messages[PERPETUAL, None]
    assert (first.whole, first.sequence, first.first, first.last) == (True, 14088520, 0, 6)
    assert (second.sequence, second.first, second.last) == (14088479, 6, 12)
    (best,) = rows(read("quotes", sample(shared, "ws-v2-bbo-perpetual.json")), PERPETUAL)
    assert best == {
        "quote_time": 1790133813033000, "bid": 86645.7, "bid_size": 0.31, "ask": 86645.8, "ask_size": 0.011,
        "sequence": 14081098, "received_at": 7,
    }  # fmt: skip


def test_an_index_is_kept_under_its_perpetual(shared: Path) -> None:
    """All rows of a push have one instant and one index price."""
    found = rows(read("index", sample(shared, "ws-v1-index-formula.json")), PERPETUAL)
    assert {(row["index_time"], row["index_price"]) for row in found} == {(1790133770000000, 86665.21)}
    assert [row["exchange"] for row in found] == ["kraken", "binance", "bybit", "coinbase", "okx"]


def test_talk_is_no_fault_and_nonsense_is(shared: Path) -> None:
    """Acks, pongs and errors make no rows; differences of a book, foreign symbols and broken values are faults."""
    talk = [sample(shared, name) for name in ("ws-v2-ack.json", "ws-pong.json", "ws-v1-error.json", "ws-v2-error.json")]
    for feed in BY_NAME:
        assert read(feed, *talk) == Pushed()
    delta = sample(shared, "ws-v1-diffmergeddepth-delta.json").replace(b"diffMergedDepth", b"depth")
    wrong = [delta, b'{"topic":"depth","params":{"symbol":"X"},"data":{}}', b"torn", b'{"topic":"trade"}']
    pushed = read("book", *wrong)
    assert [at for at, _ in pushed.faults] == [0, 1, 2, 3]
    assert pushed.columns == {}
    book = sample(shared, "ws-v2-depth-perpetual.json")
    other = book.replace(b'"s":"BTCUSDT-PERPETUAL"', b'"s":"ETHUSDT-PERPETUAL"')
    assert [why for _, why in read("book", other).faults] == [
        "a row of 'ETHUSDT-PERPETUAL' in a message of 'BTCUSDT-PERPETUAL'"
    ]
    unknown = book.replace(b"BTCUSDT-PERPETUAL", b"SOLUSDT-PERPETUAL")
    assert "size of a contract of SOLUSDT-PERPETUAL is not known" in read("book", unknown).faults[0][1]
