"""Capture against the sandbox's own word: every trade, every book, every hole, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import compress, pairwise
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import StoreError, UsageError
from htxdata.ingest import capture_connection
from htxdata.ingest.asked import Request
from htxdata.ingest.audit import audit
from htxdata.ingest.capture import Captured, Status, capture
from htxdata.ingest.capture_connection import Hands, Topics
from htxdata.ingest.capture_streams import Stream
from htxdata.ingest.capture_wanted import Wanted, topics_of
from htxdata.ingest.distil import distil
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.protocol.book import Book
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.sandbox.hashkey_index import truth as basket_of
from htxdata.store import reel
from htxdata.store.partition import Store
from htxdata.store.tape import reply_record
from htxdata.timeline import SECOND, iso
from htxdata.transport.budget import Budget
from htxdata.transport.reels import Writer
from htxdata.transport.websocket import Line
from htxdata.venues import venue
from htxdata.venues.terms import Facts, Frame, Pushed
from tests.clocks import Wound, calmly
from tests.truth import CANDLE, TAKERS, a_future, assert_trades, settings_for, stored

SPEED = 300.0
"""The exchange's clock runs so many times faster than ours: five minutes of trades in a second."""


def hurried(speed: float = SPEED) -> Wound:
    """A clock that began two hours ago and gains on ours; it does not reach it within a test."""
    return Wound(time.time() - 7200, speed)


@contextmanager
def set_after(
    seconds: float, sandbox: Sandbox, enough: Callable[[], object] = lambda: True
) -> Iterator[threading.Event]:
    """An event for who listens: set so many seconds after the first connection, and when there was enough of it.

    Seconds in which the machine stood still do not count: nothing comes in them.
    """
    stop, over, before = threading.Event(), threading.Event(), len(sandbox.sockets)

    def watch() -> None:
        clock = None
        while not over.wait(0.01):
            if clock is None and len(sandbox.sockets) > before:
                clock = Wound(0.0)
            if clock is not None and clock() >= seconds and enough():
                return stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield stop
    finally:
        over.set()
        watching.join()


def listen(
    sandbox: Sandbox, folder: Path, venue: str, feeds: Sequence[str], symbols: Sequence[str], seconds: float,
    said: list[str] | None = None, levels: int | None = None, enough: Callable[[], object] = lambda: True,
    **more: Any,
) -> Captured:  # fmt: skip
    """For so many seconds from the first connection on, and until there was enough of what it is about."""
    say = (lambda text: None) if said is None else said.append
    with Session(settings_for(sandbox, folder), say=say) as session, set_after(seconds, sandbox, enough) as stop:
        wanted = Wanted(venue, tuple(feeds), tuple(symbols), levels=levels)
        return capture(wanted, session, stop, **more)


def back(sandbox: Sandbox, frames: int = 5) -> bool:
    """Whether a connection was lost, and the next one has told more than so many frames."""
    return len(sandbox.sockets) > 1 and sandbox.sockets[-1].data > frames


def heard_whole(lake: Path, series: Series) -> tuple[int, int]:
    """From when to when the lake says that it has everything; fails where there is a hole in it."""
    spans = Store(lake).coverage(series)
    assert spans, f"nothing is known of {series}"
    assert all(a.end == b.start for a, b in pairwise(spans)), spans
    assert {span.verdict for span in spans} <= {"present", "empty"}, spans
    return spans[0].start, spans[-1].end


def heard_from(lake: Path, series: Series) -> tuple[int, int]:
    """The extent of what is known, holes or not."""
    spans = Store(lake).coverage(series)
    return spans[0].start, spans[-1].end


def assert_books(
    lake: Path, sandbox: Sandbox, series: Series, *, per_contract: float = 1.0, depth: int = 150, dollars: float = 0
) -> int:  # fmt: skip
    """After every message the rebuilt book is the exchange's of that moment; how many moments.

    Where one connection goes on for another, the book as it stood is put in front of its next message, with the time of
    that: it is no message, and the one after it shows whether it was right.
    """
    rows = stored(lake, series)
    order = sorted(
        range(len(rows["book_time"])), key=lambda at: (rows["book_time"][at], rows["received_at"][at])
    )
    messages: dict[tuple[int, int, int], list[int]] = {}
    for at in order:
        messages.setdefault(
            (rows["book_time"][at], rows["received_at"][at], rows["sequence"][at]), []
        ).append(at)
    book, moments = Book(), 0
    told = list(messages.items())
    followed = {
        before
        for (before, _), (after, at) in pairwise(told)
        if before[:2] == after[:2] and rows["previous_sequence"][at[0]] == before[2]
    }
    for name, at in told:
        book_time, _, sequence = name
        levels = {
            side: [(rows["price"][n], rows["size"][n]) for n in at if rows["side"][n] == side]
            for side in ("bid", "ask")
        }
        if rows["kind"][at[0]] == "snapshot":
            book.snapshot(levels["bid"], levels["ask"], sequence)
        else:
            assert book.delta(levels["bid"], levels["ask"], sequence) == "applied"
        if rows["kind"][at[0]] == "snapshot" and name in followed:
            continue
        # On HTX spot and on HashKey the numbers are the exchange's; on contracts each connection counts for itself.
        by_number = series.venue in ("htx-spot", "hashkey")
        known = {"sequence": sequence} if by_number else {"at": book_time}
        truth = sandbox.book(series.venue, series.symbol, depth=depth, **known)
        where = f"{series} {iso(book_time)} message {sequence} ({moments} before it)"
        for mine, theirs in ((book.bids(), truth.bids), (book.asks(), truth.asks)):
            assert [price for price, _ in mine] == [price for price, _ in theirs], where
            assert [size for _, size in mine] == pytest.approx(
                [s * dollars / p if dollars else s * per_contract for p, s in theirs], rel=1e-14
            ), where
        moments += 1
    return moments


@pytest.mark.parametrize(
    ("venue", "symbols"),
    [
        ("htx-spot", ("btcusdt", "ethusdt")),
        pytest.param("htx-linear", ("BTC-USDT", "DOGE-USDT"), marks=pytest.mark.wide),
        pytest.param("htx-inverse", ("BTC-USD", "ETH-USD"), marks=pytest.mark.wide),
        pytest.param("htx-futures", (a_future(), a_future(alias="CW")), marks=pytest.mark.slow),
        pytest.param("hashkey", ("ETHUSDT", "BTCUSDT-PERPETUAL"), marks=pytest.mark.wide),
        pytest.param("htx-permanent", ("btcusdt", "dogeusdt"), marks=pytest.mark.wide),
    ],
)
def test_a_quiet_session_has_every_trade(tmp_path: Path, venue: str, symbols: tuple[str, ...]) -> None:
    """Value by value over all that the coverage claims, which is the whole session; twice changes no byte."""
    with Sandbox(clock=hurried(), ping_seconds=0.1) as sandbox:
        began = sandbox.now()
        done = listen(sandbox, tmp_path, venue, ["trades"], symbols, 3.0)
        over = sandbox.now()
        assert (done.complete, done.reconnects, done.refused) == (True, 0, {})
        for symbol in symbols:
            series = Series("trades", venue, symbol)
            start, end = heard_whole(tmp_path / "lake", series)
            # Two seconds to connect, and four to leave and put all into the tables: what a busy machine takes of it.
            assert start < began + 2 * SPEED * SECOND
            assert end > over - 4 * SPEED * SECOND
            assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 100
        assert done.rows == sum(
            len(stored(tmp_path / "lake", Series("trades", venue, s))["side"]) for s in symbols
        )
    assert audit(Store(tmp_path / "lake"), dataset="trades").findings == []
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
    distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before


def test_rebuilt_books_are_the_exchanges(tmp_path: Path) -> None:
    """On spot and on contracts, at every message, across a rotation."""
    with Sandbox() as sandbox:
        threads = []
        for venue, symbol in (("htx-spot", "btcusdt"), ("htx-linear", "BTC-USDT")):
            call = (sandbox, tmp_path, venue, ["book"], [symbol], 4.0)
            threads.append(threading.Thread(target=listen, args=call, kwargs={"rotate": 2.0}))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert assert_books(tmp_path / "lake", sandbox, Series("book_changes", "htx-spot", "btcusdt")) > 15
        linear = Series("book_changes", "htx-linear", "BTC-USDT")
        assert assert_books(tmp_path / "lake", sandbox, linear, per_contract=0.001) > 30
    assert audit(Store(tmp_path / "lake"), dataset="book_changes").findings == []
    for venue, host in (("htx-spot", "htx_spot_ws"), ("htx-linear", "htx_swap_ws")):
        opened = [one.opened for one in sandbox.sockets if one.host == host]
        assert len(reel.reels(tmp_path / "tape", venue)) == len(opened) >= 2
        assert all(later - earlier > 1.9 for earlier, later in pairwise(opened))
        assert stored(tmp_path / "lake", Series("capture_gaps", venue, "btcusdt")) == {}


@pytest.mark.wide
def test_books_of_other_depths(tmp_path: Path) -> None:
    """20 levels where the venue gives them; of the pair to which it refuses them, 150."""
    with Sandbox() as sandbox:
        for venue, symbols in (("htx-spot", ("btcusdt", "bmtusdt")), ("htx-linear", ("BTC-USDT",))):
            done = listen(sandbox, tmp_path, venue, ["book"], symbols, 3.0, levels=20)
            assert (done.complete, done.refused, done.gaps) == (True, {}, [])
        for symbol, depth in (("btcusdt", 20), ("bmtusdt", 150)):
            series = Series("book_changes", "htx-spot", symbol)
            assert assert_books(tmp_path / "lake", sandbox, series, depth=depth) > 5
        linear = Series("book_changes", "htx-linear", "BTC-USDT")
        assert assert_books(tmp_path / "lake", sandbox, linear, per_contract=0.001, depth=20) > 20
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
    distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before


@pytest.mark.wide
def test_whole_books_where_nothing_better_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A numbered book that is refused to every pair: the whole books of the step depth are heard, and are the
    exchange's."""
    spot = venue("htx-spot")
    unheard_of = replace(next(f for f in spot.feeds if f.name == "book"), topic=lambda s, _: f"market.{s}.mbp.7")
    feeds = tuple(unheard_of if f.name == "book" else f for f in spot.feeds)
    monkeypatch.setattr("htxdata.ingest.capture_wanted.venue_named", lambda name: replace(spot, feeds=feeds))
    with Sandbox() as sandbox:
        said: list[str] = []
        done = listen(sandbox, tmp_path, "htx-spot", ["book"], ["btcusdt", "ethusdt"], 4.0, said)
        assert (done.complete, done.refused, done.gaps, done.reconnects) == (True, {}, [], 0)
        for symbol in ("btcusdt", "ethusdt"):
            rows = stored(tmp_path / "lake", Series("book_changes", "htx-spot", symbol))
            assert set(rows["kind"]) == {"snapshot"}
            moments = sorted(set(rows["book_time"]))
            assert len(moments) >= 3
            for moment in moments:
                truth = sandbox.book("htx-spot", symbol, depth=150, at=moment)
                for side, levels in (("bid", truth.bids), ("ask", truth.asks)):
                    mine = {
                        (price, size)
                        for at, s, price, size in zip(
                            rows["book_time"], rows["side"], rows["price"], rows["size"], strict=True
                        )
                        if (at, s) == (moment, side)
                    }
                    assert mine == set(levels)
    assert sum("market.btcusdt.depth.step0 is heard instead" in text for text in said) == 1


LOUD = [
    Rule("missed_frame", 0.03), Rule("duplicated_frame", 0.1), Rule("reordered_frame", 0.1), Rule("cut_frame", 0.02),
    Rule("garbage_frame", 0.02), Rule("disconnect", every=60, times=2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "symbols", "topic", "speed", "seconds"),
    [
        ("htx-linear", ("BTC-USDT", "ETH-USDT"), "*.trade.detail", SPEED, 5.0),
        pytest.param(
            "htx-inverse", ("BTC-USD", "ETH-USD"), "*.trade.detail", SPEED, 5.0, marks=pytest.mark.slow
        ),
        # REST reaches back a hundred trades: the clock is slower, or more than those would pass between two questions.
        pytest.param("hashkey", ("ETHUSDT", "BTCUSDT-PERPETUAL"), "trade.*", 90.0, 9.0, marks=pytest.mark.wide),
        pytest.param("htx-permanent", ("btcusdt", "ethusdt"), "trades#*", SPEED, 5.0, marks=pytest.mark.wide),
    ],
)
def test_every_trade_comes_through_a_bad_line(
    tmp_path: Path, venue: str, symbols: tuple[str, ...], topic: str, speed: float, seconds: float
) -> None:
    """Frames missed, doubled, swapped, cut and turned to garbage, connections dropped: REST brings what they cost."""
    likelier = SPEED / speed
    harm = [replace(rule, topic=topic, probability=min(1, rule.probability * likelier)) for rule in LOUD]
    with Sandbox(clock=hurried(speed), ping_seconds=0.1, faults=Faults(*harm)) as sandbox:
        harms = {"missed_frame", "disconnect", "garbage_frame"}
        enough = lambda: back(sandbox) and harms <= {kind for kind, _, _ in sandbox.faults.fired}  # noqa: E731
        done = listen(sandbox, tmp_path, venue, ["trades"], symbols, seconds, enough=enough)
        assert harms <= {kind for kind, _, _ in sandbox.faults.fired}
        assert done.reconnects >= 1
        assert done.gaps == []
        assert done.quarantined > 0
        for symbol in symbols:
            series = Series("trades", venue, symbol)
            start, end = heard_whole(tmp_path / "lake", series)
            assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > speed / 2
    gaps = stored(tmp_path / "lake", Series("capture_gaps", venue, symbols[0]))
    if venue == "hashkey":
        assert gaps == {}  # its first push of trades repeats sixty, from before the connection was lost
    else:
        assert set(gaps["feed"]) == {"trades"}  # an attempt that failed at once is no gap of its own
        assert None not in gaps["healed_at"]


def test_a_broken_book_says_so_and_comes_back(tmp_path: Path) -> None:
    """Between the last good message and the next whole book is no row, but an outage and a gap with both edges."""
    breaks = [Rule("missed_frame", after=12, times=1, topic="*mbp*")]
    with Sandbox(faults=Faults(*breaks)) as sandbox:
        done = listen(sandbox, tmp_path, "htx-spot", ["book"], ["btcusdt"], 6.0)
        series = Series("book_changes", "htx-spot", "btcusdt")
        assert assert_books(tmp_path / "lake", sandbox, series) > 5
    assert not done.complete
    assert {(gap.feed, gap.cause) for gap in done.gaps} == {("book", "break")}
    spans = Store(tmp_path / "lake").coverage(series)
    outages = [(span.start, span.end) for span in spans if span.verdict == "outage"]
    assert outages == [tuple(gap.window) for gap in done.gaps]
    times = stored(tmp_path / "lake", series)["book_time"]
    assert not [t for t in times for low, high in outages if low < t < high]


def test_silence_is_no_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings go on, data does not: the connection is made again, and the trades of the silence are there."""
    monkeypatch.setattr(asyncio, "run", calmly)  # a machine that stands still is not the exchange's silence
    linear = venue("htx-linear")
    feeds = tuple(replace(f, silence=1.5) if f.name == "trades" else f for f in linear.feeds)
    monkeypatch.setattr("htxdata.ingest.capture_wanted.venue_named", lambda name: replace(linear, feeds=feeds))
    with Sandbox(clock=hurried(), faults=Faults(Rule("silence", after=30, times=1, forever=True))) as sandbox:
        done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 4.5, enough=lambda: back(sandbox))
        series = Series("trades", "htx-linear", "BTC-USDT")
        start, end = heard_whole(tmp_path / "lake", series)
        assert_trades(tmp_path / "lake", sandbox, series, start, end)
    gaps = stored(tmp_path / "lake", Series("capture_gaps", "htx-linear", "BTC-USDT"))
    assert (gaps["cause"], done.complete) == (["stale"], True)


def test_what_nobody_can_give_back_is_an_outage(tmp_path: Path) -> None:
    """REST is down while the connection is lost: both edges are kept, the verdict is `outage`, the run incomplete."""
    faults = Faults(
        Rule("disconnect", after=15, times=1, path="/linear-swap-ws"),
        Rule("error", path="*/history/trade", status=404),
    )
    with Sandbox(clock=hurried(), faults=faults) as sandbox:
        done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 4.0, enough=lambda: back(sandbox))
        series = Series("trades", "htx-linear", "BTC-USDT")
        spans = Store(tmp_path / "lake").coverage(series)
        heard = [span for span in spans if span.verdict == "present"]
        assert {span.verdict for span in spans if span not in heard} == {"outage"}
        for span in heard:
            assert_trades(tmp_path / "lake", sandbox, series, span.start, span.end)
    assert not done.complete
    (gap,) = done.gaps
    assert (gap.cause, gap.feed) == ("lost", "trades")
    outages = [span for span in spans if span.verdict == "outage"]
    assert tuple(gap.window) == (outages[0].start, outages[-1].end)


def test_everything_is_on_the_tape_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser that fails costs nothing: what it could not read is read again once it is mended."""
    linear = venue("htx-linear")

    def broken(frames: Sequence[Frame], facts: Any) -> Pushed:
        return Pushed(faults=[(at, "this parser is broken") for at in range(len(frames))])

    feeds = tuple(replace(feed, parse=broken) for feed in linear.feeds)
    series = Series("trades", "htx-linear", "BTC-USDT")
    with Sandbox(
        clock=hurried(), faults=Faults(Rule("error", path="*/history/trade", status=404))
    ) as sandbox:
        with monkeypatch.context() as patch:
            patch.setattr("htxdata.ingest.distil.VENUES", (replace(linear, feeds=feeds),))
            done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 2.0)
            assert done.quarantined > 10
            assert not done.complete
            assert stored(tmp_path / "lake", series).get("trade_id", []) == []
        distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
        start, end = heard_whole(tmp_path / "lake", series)
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 10


def test_a_status_tells_how_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections, frames, bytes and lag, once a second; at the end, that the tapes are being read."""
    clock = Wound(time.time())  # a machine that stands still is not the disk's lag
    monkeypatch.setattr(capture_connection, "Line", partial(Line, clock=lambda: int(clock() * 1e9)))
    told: list[Status] = []
    with Sandbox() as sandbox:
        listen(sandbox, tmp_path, "htx-spot", ["quotes"], ["btcusdt"], 2.5, on_status=told.append)
    assert told[-1].doing == "reading the tapes"
    live = [status for status in told if status.doing == "listening"]
    assert len(live) >= 2
    assert (live[-1].connections, live[-1].standing, live[-1].reconnects) == (1, 1, 0)
    assert live[-1].frames > 3
    assert live[-1].size > 100 * live[-1].frames
    assert 0 < live[-1].lag[0] <= live[-1].lag[1] < 1.0


def test_a_venue_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    """It goes on trying; nothing heard is an incomplete run, and the sentence names the host."""
    with Sandbox() as sandbox:
        settings = settings_for(sandbox, tmp_path)
        settings = replace(settings, hosts={**settings.hosts, "htx_spot_ws": "ws://127.0.0.1:9"})
        with Session(settings, say=lambda text: None) as session:
            wanted = Wanted("htx-spot", ("quotes",), ("btcusdt",))
            done = capture(wanted, session, threading.Event(), seconds=1.0)
    assert not done.complete
    assert done.reconnects >= 1
    assert done.failed[0].startswith("quotes of btcusdt was not heard at all: lost")
    assert "no connection to 127.0.0.1:9" in done.failed[0]


@pytest.mark.wide
def test_a_refused_connection_is_obeyed_by_everybody(tmp_path: Path) -> None:
    """A 429 to a handshake: nobody connects before the time that it says, and then one does and hears."""
    rule = Rule("refused_handshake", times=1, mode="headers", seconds=2.0)
    said: list[str] = []
    with Sandbox(faults=Faults(rule)) as sandbox:
        listen(sandbox, tmp_path, "htx-spot", ["trades", "quotes"], ["btcusdt"], 4.5, said)
        refused, *others = sandbox.sockets
    assert refused.why == "refused handshake"
    assert any("refused the connection: HTTP 429" in text for text in said)
    # The connection of the other feed may have been on its way when the first was refused.
    later = [one for one in others if one.opened - refused.opened > 0.5]
    assert [one.why for one in others if one not in later] in ([], ["refused handshake"])
    assert len(later) == 2
    assert all(one.data for one in later)
    assert all(1.9 < one.opened - refused.opened < 4.0 for one in later)


@pytest.mark.parametrize(
    ("name", "status", "headers", "seconds"),
    [
        ("htx-spot", 429, {}, 60.0),
        ("htx-linear", 403, {}, 60.0),
        ("htx-linear", 429, {"retry-after": "7"}, 7.0),
        ("hashkey", 429, {}, 60.0),
        ("hashkey", 418, {}, 3600.0),
        ("htx-permanent", 418, {}, 60.0),
        ("htx-spot", 502, {}, 0.0),
        ("htx-spot", 503, {"retry-after": "5"}, 5.0),
        ("hashkey", 404, {}, 0.0),
    ],
)
def test_what_a_refused_connection_is_worth(
    name: str, status: int, headers: dict[str, str], seconds: float
) -> None:
    """What the venue's own judge makes of the status; a minute where it says no time. Other faults pause nobody."""
    assert capture_connection.pause_for(venue(name), "/ws", status, headers, 1_790_000_000_000_000) == seconds


def test_nobody_connects_while_the_host_is_not_to_be_asked(tmp_path: Path) -> None:
    """A ban that a REST request met holds for the sockets of the same host, in every process."""
    with Sandbox() as sandbox:
        spot, base = venue("htx-spot"), sandbox.hosts["htx_spot_ws"]
        another = Session(settings_for(sandbox, tmp_path)).client(spot)._budget
        trades = next(feed for feed in spot.feeds if feed.name == "trades")
        with Writer() as writer:
            limit = Budget.at(base, 8)
            hands = Hands(spot, base, tmp_path, writer, {}, 60.0, lambda text: None, limit)

            async def main(seconds: float) -> Stream:
                stop = asyncio.Event()
                topics = Topics(trades, {trades.topic("btcusdt", None): "btcusdt"})
                running = asyncio.create_task((stream := Stream(topics, hands, None)).run(stop))
                await asyncio.sleep(seconds)
                stop.set()
                await running
                return stream

            another.pause(60.0)
            assert asyncio.run(main(0.3)).down.startswith("the venue wants no connection for another")
            assert sandbox.sockets == []


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (
            Wanted("htx-spot", ("funding",), ("btcusdt",)),
            "--feed 'funding': htx-spot has trades, klines, book, quotes",
        ),
        (Wanted("htx-spot", ("trades",), ("btcusdt",), ("1min",)), "--period '1min': trades has no periods"),
        (Wanted("htx-spot", ("klines",), ("btcusdt",), ("7min",)), "--period '7min' is not a period"),
        (Wanted("htx-spot", ("trades",), ("btcusd",)), "--symbol 'btcusd': htx-spot has no such symbol"),
        (
            Wanted("htx-spot", ("book",), ("btcusdt",), levels=7),
            "--levels 7: the feed book has 5, 20, 150, 400",
        ),
        (Wanted("htx-spot", ("trades",), ("btcusdt",), levels=5), "--levels 5: trades has no levels"),
        (Wanted("nowhere", ("trades",), ("btcusdt",)), "--venue 'nowhere' is not a venue"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path: Path, wanted: Wanted, sentence: str) -> None:
    """Before any connection is made."""
    with Sandbox() as sandbox, Session(settings_for(sandbox, tmp_path)) as session:
        with pytest.raises(UsageError) as said:
            capture(wanted, session, threading.Event(), seconds=1.0)
        assert str(said.value).startswith(sentence)
        assert sandbox.sockets == []
    assert not (tmp_path / "tape").exists()


def test_a_glob_means_the_feeds_that_the_symbols_have(tmp_path: Path) -> None:
    """Spot pays no funding and has no index: `*` leaves those feeds out, a perpetual beside it brings them, and who
    spells the name of one is told that there is none."""
    every = {feed.name for feed in venue("hashkey").feeds if not feed.private}
    spot = {f.name for f in venue("hashkey").feeds if f.name in every and venue("hashkey").has(f.dataset, "BTCUSDT")}
    assert spot < every
    with Sandbox(seed=3, limits=False) as sandbox, Session(settings_for(sandbox, tmp_path)) as session:

        def heard(feeds: Sequence[str], *symbols: str) -> dict[str, set[str]]:
            topics = topics_of(Wanted("hashkey", tuple(feeds), symbols), session)[1]
            return {each.feed.name: set(each.symbols.values()) for each in topics}

        assert heard(["*"], "BTCUSDT") == {name: {"BTCUSDT"} for name in spot}
        both = heard(["*"], "BTCUSDT", "BTCUSDT-PERPETUAL")
        assert both.keys() == every
        assert {name for name, symbols in both.items() if "BTCUSDT" in symbols} == spot
        for feeds in (["index"], ["*", "index"], ["ind*"]):  # of a glob that means nothing else it is said, too
            with pytest.raises(UsageError, match="'BTCUSDT': hashkey has index_constituents of other instruments only"):
                heard(feeds, "BTCUSDT")


def test_topics_are_shared_out_over_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection has more topics than its dialect bears."""
    spot = venue("htx-spot")
    few = tuple(replace(feed, dialect=replace(feed.dialect, most_topics=4)) for feed in spot.feeds)
    monkeypatch.setattr("htxdata.ingest.capture_wanted.venue_named", lambda name: replace(spot, feeds=few))
    with Sandbox() as sandbox, Session(settings_for(sandbox, tmp_path)) as session:
        _, found, sizes = topics_of(Wanted("htx-spot", ("trades", "quotes"), ("*",)), session)
    assert {len(each.symbols) for each in found} <= {1, 2, 3, 4}
    for name in ("trades", "quotes"):
        symbols = [s for each in found if each.feed.name == name for s in each.symbols.values()]
        assert len(symbols) == len(set(symbols)) >= 9
    assert sizes == {}
    assert capture_connection.VERSION == 1


@pytest.mark.slow
def test_a_full_disk_costs_what_was_heard_meanwhile_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tape cannot be written for a second: the capture goes on with a new reel, and REST brings what was lost."""
    began, write = time.monotonic(), reel.Reel.flush

    def full(self: reel.Reel) -> None:
        if 1.0 < time.monotonic() - began < 2.0:
            self.abandon()
            raise StoreError("the disk is full: what was heard could not be put on the tape")
        write(self)

    monkeypatch.setattr(reel.Reel, "flush", full)
    said: list[str] = []
    with Sandbox(clock=hurried()) as sandbox:
        done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 5.0, said)
        series = Series("trades", "htx-linear", "BTC-USDT")
        start, end = heard_whole(tmp_path / "lake", series)
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 100
    assert done.complete
    assert done.reconnects >= 1
    assert any("disk: the disk is full" in line for line in said)


def test_the_archive_heals_what_a_capture_lost(tmp_path: Path) -> None:
    """Three days later the day's file is there: the outage is asked for again, and the gap says when it was healed."""
    clock = Wound(time.time() - 3 * 86_400, SPEED)
    faults = Faults(
        Rule("disconnect", after=15, times=1, path="/linear-swap-ws"),
        Rule("error", path="*/history/trade", status=404),
    )
    series = Series("trades", "htx-linear", "BTC-USDT")
    with Sandbox(clock=clock, faults=faults) as sandbox:
        done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 4.0, enough=lambda: back(sandbox))
    (gap,) = done.gaps
    with Sandbox() as sandbox, Session(settings_for(sandbox, tmp_path, archive=True)) as session:
        start, end = heard_from(tmp_path / "lake", series)
        request = Request("trades", "htx-linear", ("BTC-USDT",), (), iso(start), iso(end))
        report = backfill([request], session)
        assert [healed.window for healed in report.healed] == [gap.window]
        assert heard_whole(tmp_path / "lake", series) == (start, end)
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 50
    sources = {(span.source, span.verdict) for span in Store(tmp_path / "lake").coverage(series)}
    assert ("archive", "present") in sources
    assert ("ws", "present") in sources
    (healed_at,) = stored(tmp_path / "lake", Series("capture_gaps", "htx-linear", "BTC-USDT"))["healed_at"]
    assert healed_at > gap.window.end


def test_a_reply_that_came_between_two_connections_is_on_the_next_reel(tmp_path: Path) -> None:
    """It cannot be asked for again (law 7); a disk that is full when the reel is made keeps it in memory."""
    linear, reply = (
        venue("htx-linear"),
        reply_record("/x", (("contract_code", "BTC-USDT"),), 200, b"{}", 1_700),
    )
    trades = linear.feed("trades")
    assert trades is not None

    async def listen_once(stream: Stream) -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(stream.run(stop))
        await asyncio.sleep(0.5)
        stop.set()
        await running

    with Sandbox() as sandbox, Writer() as writer:
        limit = Budget("sockets of a test", 8)
        hands = Hands(linear, sandbox.hosts["htx_swap_ws"], tmp_path, writer, {}, 60.0, lambda text: None, limit)
        stream = Stream(Topics(trades, {"market.BTC-USDT.trade.detail": "BTC-USDT"}), hands, None)
        stream.note(reply)
        with pytest.MonkeyPatch.context() as full:
            full.setattr(capture_connection, "Reel", _no_reel)
            asyncio.run(listen_once(stream))
        asyncio.run(listen_once(stream))
    (path,) = reel.reels(tmp_path)
    said = [found for _, found in reel.read(path) if isinstance(found, reel.Record) and "status" in found.said]
    assert said == [reply]
    assert stream.leftover() == []


def _no_reel(*where: object) -> reel.Reel:
    raise StoreError("the disk is full")


@pytest.mark.wide
def test_a_venue_whose_clock_is_ahead_is_no_wrong_usage(tmp_path: Path) -> None:
    """A gap ends in our future by its clock: the ladder is asked as far as our now, and the account is given."""
    clock = Wound(time.time() + 3600, SPEED)
    faults = Faults(
        Rule("disconnect", after=15, times=1, path="/linear-swap-ws"),
        Rule("error", path="*/history/trade", status=404),
    )
    with Sandbox(clock=clock, faults=faults) as sandbox:
        done = listen(sandbox, tmp_path, "htx-linear", ["trades"], ["BTC-USDT"], 4.0, enough=lambda: back(sandbox))
    assert [gap.cause for gap in done.gaps] == ["lost"]
    assert not done.complete


@pytest.mark.wide
def test_what_hashkey_pushes_is_the_exchanges(tmp_path: Path) -> None:
    """Whole books, best prices and baskets of indices at every moment, on both sockets, across a rotation; a basket is
    stored once a connection and where it changes."""
    symbol = "BTCUSDT-PERPETUAL"
    with Sandbox() as sandbox:
        done = listen(sandbox, tmp_path, "hashkey", ["book", "quotes", "index"], [symbol], 5.0, rotate=2.0)
        assert (done.complete, done.reconnects, done.refused) == (True, 0, {})
        lake, book = tmp_path / "lake", Series("book_changes", "hashkey", symbol)
        assert assert_books(lake, sandbox, book, per_contract=0.001, depth=100) > 20
        quotes = stored(lake, Series("quotes", "hashkey", symbol))
        assert len(quotes["sequence"]) > 5
        for at, sequence in enumerate(quotes["sequence"]):
            truth = sandbox.book("hashkey", symbol, sequence=sequence, depth=1)
            for side, (price, contracts) in (("bid", truth.bids[0]), ("ask", truth.asks[0])):
                assert (quotes[side][at], quotes[f"{side}_size"][at]) == pytest.approx((price, contracts / 1000))
        index = Series("index_constituents", "hashkey", symbol)
        rows = stored(lake, index)
        for when in set(rows["index_time"]):
            mine = [at for at, time_ in enumerate(rows["index_time"]) if time_ == when]
            for name, column in basket_of(sandbox.market, symbol, when).items():
                assert [rows[name][at] for at in mine] == column, name
        assert 1 <= len(set(rows["index_time"])) <= len(reel.reels(tmp_path / "tape", "hashkey", "index"))
        assert {span.verdict for span in Store(lake).coverage(index)} == {"present"}
    assert {command.text for command in sandbox.commands if "index" in command.text} == {
        '{"symbol":"BTCUSDT","topic":"index","event":"sub","params":{"binary":false}}'
    }


@pytest.mark.wide
def test_hashkeys_candles_are_the_markets(tmp_path: Path) -> None:
    """Final candles as they were pushed last, sizes in base units and what takers bought among them."""
    with Sandbox(clock=hurried()) as sandbox:
        done = listen(sandbox, tmp_path, "hashkey", ["klines"], ["BTCUSDT", "BTCUSDT-PERPETUAL"], 3.0)
        assert (done.complete, done.quarantined) == (True, 0)
        for symbol in ("BTCUSDT", "BTCUSDT-PERPETUAL"):
            rows = stored(tmp_path / "lake", Series("klines", "hashkey", symbol, "1min"))
            truth = sandbox.market.klines("hashkey", symbol, "1min", rows["open_time"][0], rows["open_time"][-1] + 1)
            # A candle without a trade is not pushed, but for the one that runs when the topic is subscribed.
            traded = [at for at, count in enumerate(truth["trade_count"].tolist()) if count or at == 0]
            assert rows["open_time"] == [truth["open_time"].tolist()[at] for at in traded]
            assert len(traded) > 5
            for name in ("open", "high", "low", "close", "volume", "quote_volume", "trade_count", *TAKERS):
                assert rows[name] == [truth[name].tolist()[at] for at in traded], name
            sized = None if truth["contracts"] is None else [truth["contracts"].tolist()[at] for at in traded]
            assert rows["contracts"] == (sized or [None] * len(traded))


@pytest.mark.wide
def test_one_trade_is_one_row_whichever_way_it_came(tmp_path: Path) -> None:
    """HashKey numbers its trades on the socket and not over REST: what a capture and a backfill both brought is there
    once, fills of one instant that are alike included, wherever the tape was cut in two."""
    symbols = ("BTCUSDT", "BTCUSDT-PERPETUAL")
    clock = hurried(90.0)

    def enough() -> bool:
        clock.speed = 1.0  # REST reaches back a hundred trades: those that come until it is asked are no more
        return True

    with Sandbox(limits=False, clock=clock) as sandbox:
        listen(sandbox, tmp_path, "hashkey", ["trades"], symbols, 4.0, distil_every=0.3, enough=enough)
        since = iso(sandbox.now() - 3600 * SECOND)
        with Session(settings_for(sandbox, tmp_path), say=lambda text: None) as session:
            backfill([Request("trades", "hashkey", symbols, (), since, iso(sandbox.now()))], session)
        for symbol in symbols:
            series = Series("trades", "hashkey", symbol)
            rows = stored(tmp_path / "lake", series)
            assert {"ws", "rest"} <= set(rows["source"])
            spans = Store(tmp_path / "lake").coverage(series)
            assert spans[0].verdict == "unobtainable"  # an hour of trades is more than REST tells of
            for span in spans[1:]:
                assert span.verdict in ("present", "empty")
                assert_trades(tmp_path / "lake", sandbox, series, span.start, span.end)
            alike = Counter(zip(*(rows[name] for name in ("trade_time", "price", "quantity", "side")), strict=True))
            seconds = [name for name in rows["trade_id"] if name.endswith("-2")]
            assert len(seconds) == sum(count > 1 for count in alike.values())  # in some minutes there are none
    before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("trades/**/*.parquet")}
    distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
    assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("trades/**/*.parquet")} == before


@pytest.mark.wide
def test_books_without_numbers_are_the_exchanges(tmp_path: Path) -> None:
    """On permanent, at every message, across a rotation and with two depths; each book begins with a whole one."""
    series = Series("book_changes", "htx-permanent", "btcusdt")
    with Sandbox() as sandbox:
        done = listen(sandbox, tmp_path, "htx-permanent", ["book"], ["btcusdt"], 4.0, rotate=2.0)
        assert (done.complete, done.gaps, done.quarantined) == (True, [], 0)
        assert assert_books(tmp_path / "lake", sandbox, series, per_contract=0.001, depth=100) > 10
        listen(sandbox, tmp_path / "five", "htx-permanent", ["book"], ["btcusdt"], 2.0, levels=5)
        assert assert_books(tmp_path / "five" / "lake", sandbox, series, per_contract=0.001, depth=5) > 4
    assert audit(Store(tmp_path / "lake"), dataset="book_changes").findings == []
    rows = stored(tmp_path / "lake", series)
    assert rows["sequence"] == [at // 1000 for at in rows["book_time"]]
    assert set(rows["previous_sequence"]) == {None}


def candles_told(tape: Path, series: Series) -> list[int]:
    """When the candles open that the exchange told of, by the frames on the tape."""
    feed = next(feed for feed in venue(series.venue).feeds if feed.name == series.dataset)
    frames = [
        (at, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        for path in reel.reels(tape, series.venue, feed.name)
        for _, found in reel.read(path) if isinstance(found, reel.Frames)
        for at, body in zip(found.times, found.bodies, strict=True)
    ]  # fmt: skip
    columns = feed.parse(frames, {series.symbol: Facts(0.001)}).columns[series.symbol, series.period]
    return sorted(set(columns["open_time"]))


@pytest.mark.wide
@pytest.mark.parametrize(
    ("venue", "symbol"), [("htx-spot", "btcusdt"), ("htx-linear", "BTC-USDT"), ("htx-permanent", "btcusdt")]
)
def test_candles_off_the_socket_are_final_ones(tmp_path: Path, venue: str, symbol: str) -> None:
    """Of a session of a quarter of an hour: each bar that was told and over, as the market ended it, and no other; of a
    minute that was not told of nothing was traded."""
    series = Series("klines", venue, symbol, "1min")
    with Sandbox(seed=5, clock=hurried(), ping_seconds=0.05) as sandbox:
        done = listen(sandbox, tmp_path, venue, ["klines"], [symbol], 3.0)
        assert (done.quarantined, done.refused, done.failed) == (0, {}, [])
        rows, told = stored(tmp_path / "lake", series), candles_told(tmp_path / "tape", series)
        assert rows["source"].count("ws") > 4
        # Whether a minute without a trade is told depends on when the exchange looks; what it told is on the tape.
        assert rows["open_time"] == told[: len(rows["open_time"])]
        truth = sandbox.market.klines(venue, symbol, "1min", rows["open_time"][0], rows["open_time"][-1] + 1)
        kept = [at in told for at in truth["open_time"].tolist()]
        for name in ("open_time", *(name for name in CANDLE if truth[name] is not None)):
            assert rows[name] == list(compress(truth[name].tolist(), kept)), name
        assert not [volume for volume, here in zip(truth["volume"].tolist(), kept, strict=True) if volume and not here]
