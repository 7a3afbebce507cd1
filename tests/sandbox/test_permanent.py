"""Permanent's half of the sandbox, letter by letter (permanent-v1 3 to 6); its socket is read by protobuf itself."""

from __future__ import annotations

from typing import Any

import pytest

from htxdata.sandbox import Market, Sandbox
from htxdata.sandbox.permanent_market import baskets
from htxdata.venues.permanent import gateway_pb2 as gateway
from tests.clocks import Hands, Wound
from tests.sandbox.conftest import NOON, Client
from tests.sandbox.socket_client import Gone, Talk
from tests.waits import until

V = "htx-permanent"
HOUR = 3600
NOW = NOON * 1_000_000


def ask(client: Client, path: str, **query: Any) -> Any:
    said = client.get("permanent_rest", path, **query).json()
    assert said["code"] == 200, said
    assert "message" not in said
    return said["data"]


def refusal(client: Client, path: str, **query: Any) -> tuple[int, str]:
    said = client.get("permanent_rest", path, **query).json()
    assert "data" not in said
    return said["code"], said["message"]


# ---------------------------------------------------------------------------------------------------- REST


def test_candles_come_newest_first_from_an_inclusive_edge(still: Client, market: Market) -> None:
    """All numbers are texts but id and numOfTrades; `start` is the newest instant, and its bar is there."""
    edge = NOON // 60 * 60 - 600
    rows = ask(still, "/market/candlesticks", symbol="btcusdt", interval="1m", start=edge, limit=5)
    assert [row["id"] for row in rows] == [edge - 60 * n for n in range(5)]
    truth = market.klines(V, "btcusdt", "1min", (edge - 240) * 1_000_000, (edge + 1) * 1_000_000)
    for name, ours in (("open", "open"), ("close", "close"), ("low", "low"), ("high", "high"),
                       ("volume", "contracts"), ("turnover", "quote_volume")):  # fmt: skip
        assert all(type(row[name]) is str for row in rows)
        assert [float(row[name]) for row in rows] == truth[ours][::-1].tolist(), name
    assert [row["numOfTrades"] for row in rows] == truth["trade_count"][::-1].tolist()
    newest = ask(still, "/market/candlesticks", symbol="btcusdt", interval="60m")
    assert (len(newest), newest[0]["id"]) == (100, NOON // HOUR * HOUR)  # the running one; 100 unless said
    assert ask(still, "/market/candlesticks", symbol="btcusdt", interval="1h") == newest
    path, named = "/market/candlesticks", {"symbol": "btcusdt", "limit": 1}
    day, year = (ask(still, path, interval=interval, **named)[0]["id"] for interval in ("1d", "1y"))
    assert (day % (24 * HOUR), year) == (16 * HOUR, 1_767_196_800)  # Singapore's: 2025-12-31 16:00 UTC


def test_of_computed_prices_nothing_is_traded(still: Client, market: Market) -> None:
    """Index and mark symbols: bars without volumes, and a tick a second for trades."""
    truth = market.index_klines(V, "ethusdt", "5min", NOW - 3_000_000_000, NOW)
    rows = ask(still, "/market/candlesticks", symbol="index.ethusdt", interval="5m", limit=3)
    assert set(rows[0]) == {"symbol", "id", "open", "close", "low", "high"}
    assert [float(row["close"]) for row in rows[1:]] == truth["close"][-2:-4:-1].tolist()
    ticks = ask(still, "/market/trades", symbol="mark.ethusdt", limit=3)
    assert [set(tick) for tick in ticks] == [{"symbol", "tradeId", "tradePrice", "tradeTime"}] * 3
    assert [tick["tradeTime"] for tick in ticks] == [(NOON - n) * 1000 for n in range(3)]


def test_trades_are_the_newest_in_contracts(still: Client, market: Market) -> None:
    """One unless said, 300 at most, newest first."""
    assert len(ask(still, "/market/trades", symbol="btcusdt")) == 1
    rows = ask(still, "/market/trades", symbol="btcusdt", limit=300)
    truth = market.newest_trades(V, "btcusdt", 300, NOW)
    assert len(rows) == 300
    for name, ours in (("tradeId", "trade_id"), ("aggrOrdSide", "side")):
        assert [row[name] for row in rows] == truth[ours][::-1][:300].tolist()
    assert [row["tradeTime"] * 1000 for row in rows] == truth["trade_time"][::-1][:300].tolist()
    assert [row["tradeVolume"] for row in rows] == [str(n) for n in truth["contracts"][::-1][:300].tolist()]


def test_history_reaches_two_days_back(still: Client, market: Market) -> None:
    """Fundings and baskets: nested, newest first, one unless said, and nothing before 48 hours ago."""
    data = ask(still, "/market/funding-rate", symbol="btcusdt", limit=500)
    truth = market.funding_rates(V, "btcusdt", NOW - 48 * HOUR * 1_000_000, NOW + 1)
    assert data["symbol"] == "btcusdt"
    assert [row["fundingTime"] * 1000 for row in data["data"]] == truth["funding_time"][::-1].tolist()
    assert [row["fundingRate"] for row in data["data"]] == truth["funding_rate_text"][::-1]
    second = data["data"][1]
    assert ask(still, "/market/funding-rate", symbol="btcusdt", start=second["fundingTime"])["data"] == [second]
    before = ask(still, "/market/funding-rate", symbol="btcusdt", start=(NOON - 49 * HOUR) * 1000, limit=9)
    assert before["data"] == []
    path, edge = "/market/index-constituents", (NOON - 1) * 1000
    data = ask(still, path, symbol="index.btcusdt", start=edge, limit=3)
    assert [entry["indexTime"] for entry in data["data"]] == [NOON // 5 * 5 * 1000 - n * 5000 for n in (1, 2, 3)]
    assert data["data"] == ask(still, path, symbol="btcusdt", start=edge, limit=3)["data"]
    entry = data["data"][0]
    names = [leg["constituent"] for leg in entry["constituents"]]
    assert names == sorted(names)
    due = baskets(market, "btcusdt", entry["indexTime"] * 1000)
    assert len(entry["indexPrice"].partition(".")[2]) == 18
    assert float(entry["indexPrice"]) == due["index_price"][0]
    assert sorted(float(leg["weight"]) for leg in entry["constituents"]) == sorted(100 * w for w in due["weight"])
    assert ask(still, path, symbol="btcusdt", start=(NOON - 49 * HOUR) * 1000, limit=5)["data"] == []


def test_what_is_so_now(still: Client, market: Market) -> None:
    """The book, the day, the coming funding."""
    book = ask(still, "/market/mbp", symbol="btcusdt", levels=20)
    with Sandbox(limits=False, clock=lambda: NOON) as sandbox:
        truth = sandbox.book(V, "btcusdt", depth=20)
    for side, levels in (("bid", truth.bids), ("ask", truth.asks)):
        assert [(float(level["price"]), float(level["size"])) for level in book[side]] == list(levels)
    assert len(ask(still, "/market/mbp", symbol="btcusdt")["ask"]) == 5
    day = ask(still, "/market/summary", symbol="btcusdt")
    rows = market.trades(V, "btcusdt", NOW - 24 * HOUR * 1_000_000, NOW)
    assert (day["numOfTrades"], int(day["totalVolume"])) == (len(rows["price"]), rows["contracts"].sum())
    assert (float(day["high"]), float(day["close"])) == (rows["price"].max(), rows["price"][-1])
    assert day["openInt"] == market.open_interest_now(V, "btcusdt", NOW)["contracts"][0]
    coming = ask(still, "/market/indicative-funding-rate", symbol="btcusdt")
    assert coming["indFundTime"] == (NOON // (8 * HOUR) + 1) * 8 * HOUR * 1000
    listed = ask(still, "/reference/instruments")
    assert [row["symbol"] for row in listed] == sorted(row["symbol"] for row in listed)
    assert {row["symbol"]: row["instStatus"] for row in listed}["lunausdt"] == "delisted"
    assert ask(still, "/reference/instruments", symbol="ethusdt") == [r for r in listed if r["symbol"] == "ethusdt"]


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("/market/candlesticks", {"symbol": "nobody", "interval": "1m"}, "invalid.symbol"),
        ("/market/candlesticks", {"symbol": "btcusdt", "interval": "7m"}, "invalid.interval"),
        ("/market/candlesticks", {"symbol": "btcusdt", "interval": "1m", "limit": 501}, "invalid.limit"),
        ("/market/candlesticks", {"symbol": "btcusdt", "interval": "1m", "start": "x"}, "invalid.from.to"),
        ("/market/trades", {"symbol": "btcusdt", "limit": 301}, "invalid.limit"),
        ("/market/trades", {"symbol": "BTCUSDT"}, "invalid.symbol"),
        ("/market/funding-rate", {"symbol": "index.btcusdt"}, "invalid.symbol"),
        ("/market/mbp", {"symbol": "btcusdt", "levels": 7}, "invalid.level"),
        ("/reference/instruments", {"symbol": "bmtusdt "}, "invalid.symbol"),
    ],
)
def test_what_is_wrong_is_2002_with_a_word(still: Client, path: str, query: dict[str, Any], words: str) -> None:
    assert refusal(still, path, **query) == (2002, words)


def test_a_hundred_requests_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is 429."""
    monkeypatch.setattr("htxdata.sandbox.rest.time", Hands())
    with Sandbox(clock=lambda: NOON) as sandbox:
        client = Client(sandbox)
        codes = [client.get("permanent_rest", "/market/trades", symbol="btcusdt").status_code for _ in range(101)]
        client.close()
    assert codes == [200] * 100 + [429]


# ------------------------------------------------------------------------------------------------- socket


class Heard(Talk):
    """A conversation whose frames protobuf reads."""

    def result(self, timeout: float = 20.0) -> gateway.Result:
        return gateway.Result.FromString(self.frame(timeout))

    def answer(self, seq: int, timeout: float = 20.0) -> gateway.Result:
        """What comes with that number; pings are answered, pushes passed over."""
        while True:
            found = self.result(timeout)
            if found.action == gateway.PING:
                ping = gateway.Ping()
                assert found.data.Unpack(ping)
                self.say({"action": "pong", "ts": ping.ts})
            elif found.sequence == seq:
                return found


def test_commands_and_their_answers() -> None:
    """Acks by number; client faults are 2002 and a word, no JSON is 2001 with neither number nor topic."""
    with Sandbox(clock=Wound(NOON)) as sandbox, Heard(sandbox.hosts["permanent_ws"] + "/ws") as talk:
        said = [
            ("sub", "trades#btcusdt", 200, ""), ("sub", "candlestick#btcusdt@1m", 200, ""),
            ("sub", "mbp#btcusdt@5.s0", 200, ""), ("sub", "summary#btcusdt", 200, ""),
            ("sub", "index.cons#index.btcusdt", 200, ""), ("sub", "ind.funding.rate#btcusdt", 200, ""),
            ("sub", "index.cons#btcusdt", 2002, "invalid.symbol"), ("sub", "trades#BTCUSDT", 2002, "invalid.symbol"),
            ("sub", "prices#btcusdt", 2002, "invalid.topic"),
            ("sub", "candlestick#btcusdt@7m", 2002, "invalid.interval"),
            ("sub", "mbp#btcusdt@7", 2002, "invalid.level"), ("sub", "mbp#btcusdt@5.s9", 2002, "invalid.step"),
            ("sub", "trades", 2002, "invalid.ch"), ("req", "summary#btcusdt", 2002, "invalid.topic"),
            ("unsub", "summary#btcusdt", 200, ""), ("unsub", "summary#btcusdt", 2002, "invalid.ch"),
            ("fly", "trades#btcusdt", 2002, "invalid.action"),
        ]  # fmt: skip
        for seq, (action, topic, code, words) in enumerate(said, start=1):
            talk.say({"action": action, "seq": seq, "ch": topic})
            found = talk.answer(seq)
            assert (found.code, found.message, found.ch) == (code, words, topic)
        talk.say("{")
        while (found := talk.result()).code != 2001:
            pass
        assert (found.message, found.sequence, found.ch) == ("invalid.json", 0, "")
        assert len(sandbox.sockets[0].topics) == 5


def test_one_off_requests() -> None:
    """Candles of a span of seconds, the whole book, the newest trades."""
    with Sandbox(clock=Wound(NOON)) as sandbox, Heard(sandbox.hosts["permanent_ws"] + "/ws") as talk:
        since = NOON // 60 * 60 - 600
        params = {"from": since, "to": since + 240}
        talk.say({"action": "req", "seq": 1, "ch": "candlestick#btcusdt@1m", "params": params})
        candles = gateway.ReqCandlestick()
        assert talk.answer(1).data.Unpack(candles)
        assert [bar.id for bar in candles.candlesticks] == [since + 240 - 60 * n for n in range(5)]
        talk.say({"action": "req", "seq": 2, "ch": "mbp#btcusdt@20"})
        depth = gateway.Depth()
        assert talk.answer(2).data.Unpack(depth)
        assert (len(depth.bids), len(depth.asks), depth.delta) == (20, 20, False)
        truth = sandbox.book(V, "btcusdt", at=depth.ts * 1000, depth=20)
        assert [(float(level.price), float(level.size)) for level in depth.bids] == list(truth.bids)
        talk.say({"action": "req", "seq": 3, "ch": "trades#btcusdt"})
        trades = gateway.ReqTrade()
        assert talk.answer(3).data.Unpack(trades)
        assert len(trades.trades) == 300
        talk.say({"action": "req", "seq": 4, "ch": "candlestick#btcusdt@1m"})
        assert talk.answer(4).message == "invalid.from.to"


def test_a_summary_is_of_the_day() -> None:
    """The sixth topic: it says no time."""
    with Sandbox(clock=Wound(NOON)) as sandbox, Heard(sandbox.hosts["permanent_ws"] + "/ws") as talk:
        talk.say({"action": "sub", "seq": 1, "ch": "summary#btcusdt"})
        talk.answer(1)
        day = gateway.MarketSummary()
        assert talk.result().data.Unpack(day)
        assert (day.symbol, day.inst_status) == ("btcusdt", "normal")
        assert day.open_int > 0
        assert float(day.low) <= float(day.close) <= float(day.high)


def test_two_pings_without_a_pong_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ping each twenty seconds; who answers stays, who does not is closed at the third."""
    monkeypatch.setattr("htxdata.sandbox.websocket.time", hands := Hands())
    with Sandbox(clock=Wound(NOON), ping_seconds=5.0) as sandbox:
        url = sandbox.hosts["permanent_ws"] + "/ws"
        with Heard(url) as silent:
            until(lambda: len(sandbox.sockets) == 1)  # from when on its pings are counted
            for _ in range(2):
                hands.go(20.0)
                assert silent.result().action == gateway.PING
            hands.go(20.0)
            with pytest.raises(Gone):
                silent.result()
        with Heard(url) as polite:
            until(lambda: len(sandbox.sockets) == 2)
            for answers in range(1, 6):
                hands.go(20.0)
                ping = gateway.Ping()
                assert polite.result().data.Unpack(ping)
                polite.say({"action": "pong", "ts": ping.ts})
                until(lambda answers=answers: len(sandbox.commands) == answers)
        until(lambda: all(socket.closed for socket in sandbox.sockets))  # it notices in its own time that one left
        assert [socket.why for socket in sandbox.sockets] == ["unanswered pings", "client"]
