"""Candles enter when they are final, quotes and notices once, each feed with all its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from htxdata.ingest import distil_reel as reel_module
from htxdata.market import Series
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store.coverage import Asked
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.timeline import HOUR, MINUTE, SECOND, Window
from tests.ingest.test_distil import BTC, CODE, SKEW, T0, Hand, Run, files, ms, rows, run, spans, store, tape

__all__ = ["run", "store", "tape"]

KLINES = Series("klines", "htx-spot", BTC, "1min")
CANDLE = ("open_time", "open", "high", "low", "close", "volume", "quote_volume", "trade_count")


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND)


def candle(when: int, opens: int, close: float, count: int) -> dict[str, Any]:
    tick = {
        "id": opens // SECOND, "open": 100.0, "close": close, "low": min(100.0, close), "high": max(100.0, close),
        "amount": 0.5 * count, "vol": 50.0 * count, "count": count,
    }  # fmt: skip
    return {"ch": f"market.{BTC}.kline.1min", "ts": ms(when), "tick": tick}


def test_only_final_candles_enter(
    store: Store, tape: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last push counts, once the candle had been over for a minute while the topic was heard; coverage claims its
    slot and no other."""
    monkeypatch.setattr(reel_module, "_BATCH", 1)
    hand = Hand(tape, "htx-spot", "klines", at(-30), [BTC], "1min")
    hand.acks(at(-20))
    for second, close, count in ((1, 101.0, 1), (30, 99.0, 2), (59, 102.5, 3)):
        hand.say(at(second), candle(at(second), T0, close, count))
    for second, close, count in ((70, 103.0, 1), (100, 104.0, 2)):
        hand.say(at(second), candle(at(second), T0 + MINUTE, close, count))
    hand.ping(at(119))
    run()
    assert rows(store, KLINES) == []
    hand.ping(at(120))
    run()
    assert rows(store, KLINES, *CANDLE) == [(T0, 100.0, 102.5, 100.0, 102.5, 1.5, 150.0, 3)]
    assert spans(store, KLINES) == [(T0, T0 + MINUTE, "present", "ws", 1)]
    hand.ping(at(179))
    hand.close(at(179))
    run()
    assert len(rows(store, KLINES)) == 1
    before = files(store)
    run(again=True)
    assert files(store) == before


def test_candles_of_a_connection_that_broke_stay_out(store: Store, tape: Path, run: Run) -> None:
    """The last push before the break is not known to be the last: the slot is missing, and asked for over REST."""
    one = Hand(tape, "htx-spot", "klines", at(-5), [BTC], "1min")
    one.acks(at(-4))
    one.say(at(30), candle(at(30), T0, 101.0, 1))
    one.close(at(40), "lost")
    two = Hand(tape, "htx-spot", "klines", at(45), [BTC], "1min")
    two.acks(at(46))
    two.ping(at(200))
    two.close(at(200))
    (gap,) = run().gaps
    assert (gap.feed, gap.window) == ("klines", Window(at(29), at(46)))
    assert (rows(store, KLINES), spans(store, KLINES)) == ([], [])


def test_candles_are_handed_over_at_a_rotation(store: Store, tape: Path, run: Run) -> None:
    """A candle of which only the old connection heard a push is final once the new one, which took over without a
    hole, was silent of it to its end; one of which both heard is the newer's."""
    one = Hand(tape, "htx-spot", "klines", at(-5), [BTC], "1min")
    one.acks(at(-4))
    one.say(at(30), candle(at(30), T0, 101.0, 1))
    one.say(at(61), candle(at(61), T0 + MINUTE, 102.0, 1))
    two = Hand(tape, "htx-spot", "klines", at(62), [BTC], "1min", takes_over=one.reel.path.name)
    two.acks(at(63))
    one.ping(at(65))
    one.close(at(65), "rotation")
    two.say(at(90), candle(at(90), T0 + MINUTE, 105.0, 2))
    two.ping(at(200))
    two.close(at(200))
    assert run().gaps == []
    assert rows(store, KLINES, "open_time", "close", "trade_count", "received_at") == [
        (T0, 101.0, 1, at(30) + SKEW),
        (T0 + MINUTE, 105.0, 2, at(90) + SKEW),
    ]
    assert spans(store, KLINES) == [(T0, T0 + 2 * MINUTE, "present", "ws", 2)]
    before = files(store)
    run()
    run(again=True)
    assert files(store) == before


def test_index_candles_are_texts_and_become_numbers(store: Store, tape: Path, run: Run) -> None:
    """Numbers of /ws_index come in quotes."""
    hand = Hand(tape, "htx-linear", "index", at(-5), [CODE], "15min")
    hand.acks(at(-4))
    tick = {"id": T0 // SECOND, "open": "19213.505", "close": "19242.05", "high": "19248.31", "low": "19213.505",
            "amount": "0", "vol": "0", "count": 0}  # fmt: skip
    hand.say(at(600), {"ch": f"market.{CODE}.index.15min", "ts": ms(at(600)), "tick": tick})
    hand.ping(at(961))
    hand.close(at(961))
    run()
    found = rows(
        store,
        Series("index_klines", "htx-linear", CODE, "15min"),
        "open_time",
        "open",
        "high",
        "low",
        "close",
    )
    assert found == [(T0, 19213.505, 19248.31, 19213.505, 19242.05)]


def quote(when: int, seq: int, bid: float) -> dict[str, Any]:
    tick = {
        "seqId": seq, "ask": 102.0, "askSize": 1.5, "bid": bid, "bidSize": 0.25, "quoteTime": ms(when), "symbol": BTC,
    }  # fmt: skip
    return {"ch": f"market.{BTC}.bbo", "ts": ms(when) + 1, "tick": tick}


@pytest.mark.parametrize("between", [False, True])
def test_quotes_of_two_connections_are_there_once(store: Store, tape: Path, run: Run, between: bool) -> None:
    """In one run or in two; the same prices under another number are another quote."""
    quotes = Series("quotes", "htx-spot", BTC)
    one = Hand(tape, "htx-spot", "quotes", at(0), [BTC])
    two = Hand(tape, "htx-spot", "quotes", at(1), [BTC])
    for hand in (one, two):
        hand.acks(at(2))
    one.say(at(3), quote(at(3), 7, 101.0))
    if between:
        run()
    two.say(at(3) + 10, quote(at(3), 7, 101.0), quote(at(4), 8, 101.0), quote(at(4), 8, 101.0))
    one.say(at(4), quote(at(4), 8, 101.0))
    one.close(at(5), "rotation")
    two.ping(at(6))
    two.close(at(6))
    run()
    names = ("quote_time", "bid", "bid_size", "ask", "ask_size", "sequence")
    assert rows(store, quotes, *names) == [
        (at(3), 101.0, 0.25, 102.0, 1.5, 7),
        (at(4), 101.0, 0.25, 102.0, 1.5, 8),
    ]
    before = files(store)
    run(again=True)
    assert files(store) == before


def test_fundings_say_what_they_are_for(store: Store, tape: Path, run: Run) -> None:
    """`observed_at` is the message's time, `funding_time` the settlement that comes, the rate that of now."""
    hand = Hand(tape, "htx-linear", "funding", at(0), [CODE])
    hand.acks(at(0))
    for second, rate in ((1, "-0.000220068774978695"), (61, "0.0001")):
        row = {
            "symbol": "BTC", "contract_code": CODE, "fee_asset": "USDT", "funding_time": str(ms(at(0))),
            "funding_rate": rate, "estimated_rate": None, "settlement_time": str(ms(at(6 * 3600))),
        }  # fmt: skip
        hand.say(at(second), {"op": "notify", "topic": hand.topics[0], "ts": ms(at(second)), "data": [row]})
    hand.say(at(66), {"op": "ping", "ts": str(ms(at(66)))})
    hand.close(at(66))
    run()
    series = Series("indicative_funding_rates", "htx-linear", CODE)
    assert rows(store, series, "observed_at", "funding_time", "funding_rate") == [
        (at(1), T0 + 6 * HOUR, -0.000220068774978695),
        (at(61), T0 + 6 * HOUR, 0.0001),
    ]
    assert spans(store, series) == [(at(0), at(65), "present", "ws", 2)]


def test_liquidations_enter_only_where_rest_has_not_been(store: Store, tape: Path, run: Run) -> None:
    """The socket numbers nothing: the same order would be there under two numbers. Two alike in one push are two."""
    series = Series("liquidations", "htx-linear", CODE)
    told = Asked(Window(at(0), at(10)), "rest", at(100))
    numbered = {
        "liquidated_at": [at(5)], "liquidation_id": ["77"], "side": ["sell"], "price": [100.0], "quantity": [0.5],
        "contracts": [500.0], "received_at": [at(90)], "source": "rest",
    }  # fmt: skip
    store.commit(partition_of(series, at(5)), conform(dataset("liquidations"), numbered), [told])
    hand = Hand(tape, "htx-linear", "liquidations", at(0), [CODE])
    hand.acks(at(0))

    def order(when: int, contracts: int) -> dict[str, Any]:
        return {
            "contract_code": CODE, "symbol": "BTC", "direction": "sell", "offset": "close", "volume": contracts,
            "price": 100.0, "created_at": ms(when), "amount": contracts / 1000, "trade_turnover": contracts / 10,
        }  # fmt: skip

    hand.say(at(5), {"op": "notify", "topic": hand.topics[0], "ts": ms(at(5)), "data": [order(at(5), 500)]})
    twice = {
        "op": "notify",
        "topic": hand.topics[0],
        "ts": ms(at(15)),
        "data": [order(at(15), 7), order(at(15), 7)],
    }
    hand.say(at(15), twice, twice)
    hand.say(at(20), {"op": "ping", "ts": str(ms(at(20)))})
    hand.close(at(20))
    run()
    names = ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts")
    number = f"ws-{ms(at(15))}-100.0-7.0-sell-"
    assert rows(store, series, *names) == [
        (at(5), "77", "sell", 100.0, 0.5, 500.0),
        (at(15), number + "0", "sell", 100.0, 0.007, 7.0),
        (at(15), number + "1", "sell", 100.0, 0.007, 7.0),
    ]
    assert spans(store, series) == [
        (at(0), at(10), "present", "rest", 1),
        (at(10), at(19), "present", "ws", 2),
    ]
    before = files(store)
    run(again=True)
    assert files(store) == before
