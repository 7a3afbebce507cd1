"""Distil: reels written by hand become rows, coverage and gaps, value by value, however often and in whatever pieces
they are read."""

from __future__ import annotations

import gzip
import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from htxdata.ingest import distil as distil_module
from htxdata.ingest import distil_memory as memory_module
from htxdata.ingest import distil_reel as reel_module
from htxdata.ingest.distil import Distilled, distil
from htxdata.market import Series
from htxdata.store.partition import Store
from htxdata.store.reel import Reel
from htxdata.timeline import SECOND, parse_instant
from htxdata.venues import venue
from tests.waits import until

T0 = parse_instant("2024-03-05T10:00:00Z")
SKEW = 40_000
"""So far our clock is ahead of the venue's."""

BTC, ETH = "btcusdt", "ethusdt"
CODE = "BTC-USDT"


def ms(at: int) -> int:
    return at // 1000


@dataclass
class Hand:
    """A connection's reel, written by hand: instants are the venue's, our clock is ``SKEW`` ahead."""

    root: Path
    venue: str
    feed: str
    opened: int
    symbols: Sequence[str]
    period: str | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    takes_over: str | None = None

    def __post_init__(self) -> None:
        self.table = venue(self.venue).feed(self.feed)
        assert self.table is not None
        self.topics = [self.table.topic(symbol, self.period) for symbol in self.symbols]
        self.reel = Reel(self.root, self.venue, self.feed, self.opened + SKEW)
        said = {
            "event": "opened", "venue": self.venue, "feed": self.feed, "path": self.table.path,
            "topics": self.topics, "facts": dict(self.facts), "bridge": False, "takes_over": self.takes_over,
            "version": 1,
        }  # fmt: skip
        self.reel.note(self.opened + SKEW, said)
        self.reel.flush()

    def raw(self, at: int, *bodies: bytes) -> None:
        self.reel.frames([at + SKEW + n for n in range(len(bodies))], list(bodies))
        self.reel.flush()

    def say(self, at: int, *messages: Mapping[str, Any]) -> None:
        self.raw(at, *(gzip.compress(json.dumps(message).encode()) for message in messages))

    def acks(self, at: int) -> None:
        if self.feed in ("funding", "liquidations"):
            told = [{"op": "sub", "cid": "1", "topic": t, "ts": ms(at), "err-code": 0} for t in self.topics]
        else:
            told = [{"id": "1", "status": "ok", "subbed": t, "ts": ms(at)} for t in self.topics]
        self.say(at, *told)

    def ping(self, at: int) -> None:
        self.say(at, {"ping": ms(at)})

    def close(self, at: int, why: str = "asked") -> None:
        self.reel.seal(at + SKEW, why)

    def kill(self) -> None:
        self.reel.abandon()


def trade(
    number: int, at: int, price: float = 100.5, amount: float = 0.25, side: str = "buy"
) -> dict[str, Any]:
    return {
        "id": 137005445109359286410323766 + number, "ts": ms(at), "tradeId": number, "amount": amount, "price": price,
        "direction": side,
    }  # fmt: skip


def trades_push(at: int, *trades: dict[str, Any], symbol: str = BTC) -> dict[str, Any]:
    tick = {"id": 1, "ts": ms(at), "data": list(trades)}
    return {"ch": f"market.{symbol}.trade.detail", "ts": ms(at), "tick": tick}


def rest_trades(at: int, *trades: dict[str, Any], symbol: str = BTC) -> bytes:
    rows = [
        {**{k: v for k, v in one.items() if k != "tradeId"}, "trade-id": one["tradeId"]} for one in trades
    ]
    groups = [{"id": 1, "ts": row["ts"], "data": [row]} for row in rows]
    said = {"ch": f"market.{symbol}.trade.detail", "status": "ok", "ts": ms(at), "data": groups}
    return json.dumps(said, separators=(",", ":")).encode()


def rows(store: Store, series: Series, *names: str) -> list[tuple[Any, ...]]:
    """All rows of a series in the store's order, instants as microseconds."""
    out: list[tuple[Any, ...]] = []
    for partition in store.partitions(series):
        table = store.read(partition)
        assert table is not None
        columns = [
            (table[n].cast(pa.int64()) if pa.types.is_timestamp(table[n].type) else table[n]).to_pylist()
            for n in names or table.column_names
        ]
        out += zip(*columns, strict=True)
    return out


def spans(store: Store, series: Series) -> list[tuple[int, int, str, str, int]]:
    return [(s.start, s.end, s.verdict, s.source, s.rows) for s in store.coverage(series)]


def files(store: Store) -> dict[str, tuple[bytes, int]]:
    """Every data file of the lake, byte for byte, and when it was written."""
    return {
        str(path.relative_to(store.root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(store.root.rglob("*"))
        if path.is_file() and ".htxdata" not in path.parts and not path.name.startswith(".lock")
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "lake")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tape"


@pytest.fixture
def run(store: Store, tape: Path) -> Callable[..., Distilled]:
    def go(**options: Any) -> Distilled:
        return distil(store, tape, say=lambda text: None, **options)

    return go


Run = Callable[..., Distilled]
TRADES = Series("trades", "htx-spot", BTC)
GAPS = Series("capture_gaps", "htx-spot", BTC)


def quiet_session(tape: Path) -> None:
    hand = Hand(tape, "htx-spot", "trades", T0, [BTC, ETH])
    hand.acks(T0 + SECOND)
    hand.say(
        T0 + 2 * SECOND,
        trades_push(T0 + 2 * SECOND, trade(1, T0 + 2 * SECOND), trade(2, T0 + 2 * SECOND, 101.0)),
    )
    hand.ping(T0 + 5 * SECOND)
    hand.say(T0 + 6 * SECOND, trades_push(T0 + 6 * SECOND, trade(3, T0 + 6 * SECOND, side="sell")))
    hand.ping(T0 + 10 * SECOND)
    hand.close(T0 + 10 * SECOND)


def test_trades_become_rows_and_what_was_heard_becomes_coverage(store: Store, tape: Path, run: Run) -> None:
    """Every trade is a row with all its values, and from ack to last message everything is known, silence included."""
    quiet_session(tape)
    done = run()
    assert rows(
        store, TRADES, "trade_time", "trade_id", "price", "quantity", "quote_quantity", "side", "source"
    ) == [
        (T0 + 2 * SECOND, "1", 100.5, 0.25, None, "buy", "ws"),
        (T0 + 2 * SECOND, "2", 101.0, 0.25, None, "buy", "ws"),
        (T0 + 6 * SECOND, "3", 100.5, 0.25, None, "sell", "ws"),
    ]
    assert rows(store, TRADES, "received_at")[0] == (T0 + 2 * SECOND + SKEW,)
    assert spans(store, TRADES) == [(T0 + SECOND, T0 + 9 * SECOND, "present", "ws", 3)]
    assert spans(store, Series("trades", "htx-spot", ETH)) == [
        (T0 + SECOND, T0 + 9 * SECOND, "empty", "ws", 0)
    ]
    assert (done.reels, done.frames, done.rows, done.gaps) == (1, 6, {TRADES: 3}, [])
    assert str(done).startswith("1 reel, 6 frames: 3 rows added (")


def test_a_second_run_changes_no_byte(store: Store, tape: Path, run: Run) -> None:
    """Neither a second run, nor one that remembers nothing, nor one that reads everything again."""
    quiet_session(tape)
    run()
    before = files(store)
    assert run().frames == 0
    assert run(again=True).frames == 6
    for path in (store.root / ".htxdata" / "distilled").rglob("*.known"):
        path.unlink()
    assert run().frames == 6
    assert files(store) == before


def test_what_is_heard_twice_is_one_row(store: Store, tape: Path, run: Run) -> None:
    """The stale first push after subscribing, a frame sent twice and a second connection double nothing."""
    first = trade(1, T0 + 2 * SECOND)
    one = Hand(tape, "htx-spot", "trades", T0, [BTC])
    one.acks(T0 + SECOND)
    one.say(T0 + 2 * SECOND, trades_push(T0 + 2 * SECOND, first), trades_push(T0 + 2 * SECOND, first))
    two = Hand(tape, "htx-spot", "trades", T0 + 3 * SECOND, [BTC])
    two.acks(T0 + 4 * SECOND)
    two.say(T0 + 5 * SECOND, trades_push(T0 + 5 * SECOND, first))  # the old one again
    for hand in (one, two):
        hand.say(T0 + 6 * SECOND, trades_push(T0 + 6 * SECOND, trade(2, T0 + 6 * SECOND)))
        hand.close(T0 + 7 * SECOND)
    run()
    assert rows(store, TRADES, "trade_id", "received_at") == [
        ("1", T0 + 2 * SECOND + SKEW),
        ("2", T0 + 6 * SECOND + SKEW),
    ]
    assert spans(store, TRADES) == [(T0 + SECOND, T0 + 5 * SECOND, "present", "ws", 1)]


def test_the_27_digits_of_spot_and_ids_beyond_2_53_keep_every_digit(
    store: Store, tape: Path, run: Run
) -> None:
    """No number of a trade becomes a float on its way."""
    hand = Hand(tape, "htx-linear", "trades", T0, [CODE], facts={CODE: 0.001})
    hand.acks(T0)
    row = {"amount": 2, "ts": ms(T0), "id": 9007199254740993, "price": 13073.3, "direction": "buy", "quantity": 0.002,
           "trade_turnover": 26.1466}  # fmt: skip
    hand.say(
        T0,
        {"ch": f"market.{CODE}.trade.detail", "ts": ms(T0), "tick": {"id": 1, "ts": ms(T0), "data": [row]}},
    )
    hand.close(T0 + SECOND)
    run()
    names = ("trade_id", "price", "quantity", "quote_quantity", "contracts", "side")
    found = rows(store, Series("trades", "htx-linear", CODE), *names)
    assert found == [("9007199254740993", 13073.3, 0.002, 26.1466, 2.0, "buy")]


def test_frames_that_cannot_be_read_are_set_aside_once_and_the_rest_goes_on(
    store: Store, tape: Path, run: Run
) -> None:
    """Garbage, a truncated gzip and a bad value each lie in quarantine with their reason, once; good rows are rows."""
    good = trades_push(T0 + SECOND, trade(1, T0 + SECOND))
    hand = Hand(tape, "htx-spot", "trades", T0, [BTC])
    hand.acks(T0)
    whole = gzip.compress(json.dumps(trades_push(T0 + SECOND, trade(2, T0 + SECOND))).encode())
    hand.raw(T0 + SECOND, b"\x00garbage", whole[:-20], whole[:40] + b"\xff\xff" + whole[42:])
    hand.say(T0 + SECOND, trades_push(T0 + SECOND, trade(3, T0 + SECOND, price=-1.0)), good)
    hand.say(T0 + SECOND, {"ch": "market.dogeusdt.kline.1min", "ts": ms(T0), "tick": {"data": []}})
    hand.close(T0 + 2 * SECOND)
    assert run().quarantined == 5
    assert rows(store, TRADES, "trade_id") == [("1",)]
    kept = {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns)
        for p in (tape / "quarantine").rglob("*")
        if p.is_file()
    }
    reasons = sorted(json.loads(body)["reason"] for name, (body, _) in kept.items() if name.endswith(".json"))
    assert (len(reasons), len(kept)) == (5, 10)
    assert any("'price' is -1.0: negative" in reason for reason in reasons)
    assert any("no topic of this feed" in reason for reason in reasons)
    assert any("cut off" in reason for reason in reasons)
    assert run().quarantined == 0
    run(again=True)
    assert {
        p.name: (p.read_bytes(), p.stat().st_mtime_ns)
        for p in (tape / "quarantine").rglob("*")
        if p.is_file()
    } == kept


def test_a_live_reel_is_read_as_far_as_it_is_written_and_continued(
    store: Store, tape: Path, run: Run
) -> None:
    """Each run takes what is new, and the end of all is the lake that one run at the end would have made."""
    hand = Hand(tape, "htx-spot", "trades", T0, [BTC])
    hand.acks(T0)
    assert run().rows == {}
    for number in range(1, 4):
        at = T0 + number * 10 * SECOND
        hand.say(at, trades_push(at, trade(number, at)))
        assert run().rows == {TRADES: 1}
        verdict = "empty" if number == 1 else "present"
        assert spans(store, TRADES) == [(T0, at - SECOND, verdict, "ws", number - 1)]
    hand.close(T0 + 40 * SECOND)
    run()
    assert rows(store, TRADES, "trade_id") == [("1",), ("2",), ("3",)]
    other = Store(store.root.parent / "other")
    distil(other, tape, say=lambda text: None)
    assert rows(other, TRADES) == rows(store, TRADES)
    assert spans(other, TRADES) == spans(store, TRADES)


def test_a_killed_writer_leaves_a_torn_tail_that_harms_nothing(store: Store, tape: Path, run: Run) -> None:
    """Half a block at the end is passed over; what was whole before it is in the lake."""
    hand = Hand(tape, "htx-spot", "trades", T0, [BTC])
    hand.acks(T0)
    hand.say(T0 + SECOND, trades_push(T0 + SECOND, trade(1, T0 + SECOND)))
    size = hand.reel.path.stat().st_size
    hand.say(T0 + 2 * SECOND, trades_push(T0 + 2 * SECOND, trade(2, T0 + 2 * SECOND)))
    hand.kill()
    content = hand.reel.path.read_bytes()
    hand.reel.path.write_bytes(content[: (size + len(content)) // 2])
    said: list[str] = []
    done = distil(store, tape, say=said.append)
    assert (done.rows, rows(store, TRADES, "trade_id")) == ({TRADES: 1}, [("1",)])
    assert ["no whole record" in text for text in said] == [True]
    assert run().frames == 0


def test_a_partition_that_is_gone_is_made_again(store: Store, tape: Path, run: Run) -> None:
    """What is remembered of a reel is not believed where a partition that it went to has left the lake."""
    quiet_session(tape)
    run()
    before = rows(store, TRADES)
    shutil.rmtree(store.root / "trades")
    run()
    assert rows(store, TRADES) == before


def test_rows_that_were_read_wrongly_are_mended(
    store: Store, tape: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the parser is set right, reading again replaces what it had read wrongly, and calls it no difference."""
    quiet_session(tape)
    feed = venue("htx-spot").feed("trades")
    assert feed is not None

    def wrong(frames: Any, facts: Any) -> Any:
        pushed = feed.parse(frames, facts)
        for columns in pushed.columns.values():
            columns["price"] = [price * 2 for price in columns["price"]]
        return pushed

    with monkeypatch.context() as patch:
        spot = venue("htx-spot")
        patch.setattr(distil_module, "VENUES", (replace(spot, feeds=(replace(feed, parse=wrong),)),))
        run()
    assert rows(store, TRADES, "price") == [(201.0,), (202.0,), (201.0,)]
    assert run().replaced == 0
    assert run(again=True).replaced == 3
    assert rows(store, TRADES, "price") == [(100.5,), (101.0,), (100.5,)]
    assert store.series(dataset="source_differences") == []
    monkeypatch.setattr(memory_module, "VERSION", memory_module.VERSION + 1)
    assert run().frames == 6  # another version of the parsers reads everything anew


def test_memory_is_bounded_by_commits_on_the_way(
    store: Store, tape: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are committed in portions, and a run that dies after some of them is finished by the next."""
    hand = Hand(tape, "htx-spot", "trades", T0, [BTC])
    hand.acks(T0)
    for number in range(1, 31):
        at = T0 + number * SECOND
        hand.say(at, trades_push(at, trade(number, at)))
    hand.close(T0 + 40 * SECOND)
    monkeypatch.setattr(distil_module, "MOST", 10)
    monkeypatch.setattr(reel_module, "_BATCH", 4)
    monkeypatch.setattr(reel_module, "PAGE", 2)
    commits: list[int] = []
    commit = Store.commit

    def counted(self: Store, partition: Any, table: Any, *args: Any, **named: Any) -> Any:
        if table is not None:
            commits.append(len(table))
            if len(commits) == 3:
                raise KeyboardInterrupt
        return commit(self, partition, table, *args, **named)

    monkeypatch.setattr(Store, "commit", counted)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert max(commits) <= 13
    assert 0 < run().frames < 31
    assert [row[0] for row in rows(store, TRADES, "trade_id")] == [str(number) for number in range(1, 31)]
    assert spans(store, TRADES) == [(T0, T0 + 29 * SECOND, "present", "ws", 28)]


def test_a_second_distil_waits_and_says_so(store: Store, tape: Path, run: Run) -> None:
    """Two at a time would read the same frames twice."""
    quiet_session(tape)
    said: list[str] = []
    with memory_module.alone(store.root, said.append):
        thread = threading.Thread(target=lambda: distil(store, tape, say=said.append))
        thread.start()
        until(lambda: said)
        assert said == ["another distil of this lake is under way: waiting for it"]
        assert rows(store, TRADES) == []
    thread.join()
    assert len(rows(store, TRADES)) == 3


def test_two_days_are_two_partitions(store: Store, tape: Path, run: Run) -> None:
    """Trades go to the day of their own time."""
    midnight = parse_instant("2024-03-06")
    hand = Hand(tape, "htx-spot", "trades", midnight - 10 * SECOND, [BTC])
    hand.acks(midnight - 9 * SECOND)
    hand.say(
        midnight + SECOND,
        trades_push(midnight, trade(1, midnight - 1000), trade(2, midnight)),
    )
    hand.close(midnight + 2 * SECOND)
    run()
    assert [p.label for p in store.partitions(TRADES)] == ["2024-03-05", "2024-03-06"]
    assert rows(store, TRADES, "trade_id") == [("1",), ("2",)]


def test_a_feed_that_is_not_known_is_left_alone(store: Store, tape: Path) -> None:
    """A reel of a later htxdata is no fault."""
    reel = Reel(tape, "htx-spot", "tickers", T0)
    reel.note(T0, {"event": "opened"})
    reel.seal(T0, "asked")
    said: list[str] = []
    assert distil(store, tape, say=said.append).reels == 0
    assert "knows no such feed" in said[0]
