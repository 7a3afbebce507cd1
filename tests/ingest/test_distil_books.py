"""Books: the rows that distil keeps rebuild the book, by day, over breaks and from one connection to the next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.ingest import distil_reel as reel_module
from htxdata.ingest.audit_books import books
from htxdata.ingest.distil_books import BookReader, Cut
from htxdata.ingest.distil_memory import Topic
from htxdata.market import Series
from htxdata.protocol.book import Book
from htxdata.store.partition import Store
from htxdata.timeline import DAY, SECOND, Window, parse_instant
from htxdata.venues.terms import BookMessage
from tests.ingest.test_distil import BTC, CODE, SKEW, T0, Hand, Run, files, ms, rows, run, spans, store, tape

__all__ = ["run", "store", "tape"]

BOOK = Series("book_changes", "htx-spot", BTC)
LINEAR = Series("book_changes", "htx-linear", CODE)
NAMES = ("book_time", "received_at", "sequence", "previous_sequence", "kind", "side", "price", "size")
MIDNIGHT = parse_instant("2024-03-06")


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND)


def diff(when: int, seq: int, prev: int, bids: Any = (), asks: Any = (), **more: Any) -> dict[str, Any]:
    tick = {"seqNum": seq, "prevSeqNum": prev, "bids": list(bids), "asks": list(asks), **more}
    return {"ch": f"market.{BTC}.mbp.150", "ts": ms(when), "tick": tick}


def whole(when: int, seq: int, bids: Any, asks: Any) -> dict[str, Any]:
    data = {"seqNum": seq, "bids": list(bids), "asks": list(asks)}
    return {"id": "r1", "rep": f"market.{BTC}.mbp.150", "status": "ok", "ts": ms(when), "data": data}


def high_freq(when: int, version: int, event: str, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    tick = {
        "asks": list(asks), "bids": list(bids), "ch": f"market.{CODE}.depth.size_150.high_freq", "event": event,
        "id": 1, "mrid": 1, "ts": ms(when), "version": version,
    }  # fmt: skip
    return {"ch": f"market.{CODE}.depth.size_150.high_freq", "tick": tick, "ts": ms(when)}


def rebuilt(found: Sequence[tuple[Any, ...]]) -> Book:
    """The book that rows make, message by message in order of receipt and number; it must never break."""
    by_message: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for _, received, sequence, previous, kind, side, price, size in found:
        by_message[received, sequence, kind, previous].append((side, price, size))
    book = Book()
    for (_, sequence, kind, _), levels in sorted(by_message.items(), key=lambda entry: entry[0][:2]):
        sides = {side: [(p, s) for which, p, s in levels if which == side] for side in ("bid", "ask")}
        if kind == "snapshot":
            book.snapshot(sides["bid"], sides["ask"], sequence)
        else:
            assert book.delta(sides["bid"], sides["ask"], sequence) == "applied"
    return book


@pytest.mark.parametrize("number", [9, 10, 11])
@pytest.mark.parametrize("first", [False, True])
def test_a_whole_book_that_does_not_say_of_when_it_is(
    store: Store, tape: Path, run: Run, number: int, first: bool
) -> None:
    """It has the time of the last change that is in it, or of the first one after it, which may come after it too;
    read in pieces it is the same."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    answer = {
        name: value for name, value in whole(at(0), number, [[90, 4]], [[101, 5]]).items() if name != "ts"
    }
    if first:
        hand.say(at(0.5), answer)
        run()
    hand.say(at(1), diff(at(1), 10, 9, [[99, 1]]))
    hand.say(at(2), diff(at(2), 11, 10, [[98, 2]]))
    if not first:
        hand.say(at(2.5), answer)
    hand.say(at(3), diff(at(3), 12, 11, [[97, 3]]))
    hand.ping(at(10))
    hand.close(at(10))
    run()
    when = 1 if first or number < 11 else 2
    kept = [(at(when), number, "snapshot")] * 2
    kept += [(at(n - 9), n, "delta") for n in (10, 11, 12) if n > number]
    assert rows(store, BOOK, "book_time", "sequence", "kind") == kept
    assert spans(store, BOOK) == [(at(when), at(9), "present", "ws", len(kept))]


def test_changes_wait_for_the_whole_book_and_follow_it(store: Store, tape: Path, run: Run) -> None:
    """Older changes are dropped, newer ones follow; the first may straddle the whole book's number."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    hand.say(at(1), diff(at(1), 10, 9, [[99, 1]]))
    hand.say(at(2), diff(at(2), 11, 10, [[98, 2]]))
    hand.say(at(3), diff(at(3), 13, 11, [[97, 3]]))
    hand.say(at(4), whole(at(4), 12, [[99, 1], [98, 2], [96, 0]], [[101, 5]]))
    hand.say(at(5), diff(at(5), 14, 13, [], [[101, 0], [102, 7.5]]))
    hand.say(at(6), diff(at(6), 15, 14), {"ping": ms(at(6))})
    hand.say(at(7), diff(at(7), 16, 15, [[95, 1]]))
    hand.ping(at(10))
    hand.close(at(10))
    run()
    got = at(4) + SKEW
    assert rows(store, BOOK, *NAMES) == [
        (at(3), got, 12, None, "snapshot", "ask", 101.0, 5.0),
        (at(3), got, 12, None, "snapshot", "bid", 98.0, 2.0),
        (at(3), got, 12, None, "snapshot", "bid", 99.0, 1.0),
        (at(3), got, 13, 11, "delta", "bid", 97.0, 3.0),
        (at(5), at(5) + SKEW, 14, 13, "delta", "ask", 101.0, 0.0),
        (at(5), at(5) + SKEW, 14, 13, "delta", "ask", 102.0, 7.5),
        (at(7), at(7) + SKEW, 16, 15, "delta", "bid", 95.0, 1.0),
    ]
    assert rows(store, BOOK, "contracts") == [(None,)] * 7
    assert spans(store, BOOK) == [(at(3), at(9), "present", "ws", 7)]
    book = rebuilt(rows(store, BOOK, *NAMES))
    assert (book.bids(), book.asks()) == ([(99, 1), (98, 2), (97, 3), (95, 1)], [(102, 7.5)])


def test_a_whole_book_that_is_too_old_is_of_no_use(store: Store, tape: Path, run: Run) -> None:
    """Where every change that waits is newer by more than one message, the next whole book counts."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    hand.say(at(1), diff(at(1), 20, 19, [[99, 1]]))
    hand.say(at(2), whole(at(2), 15, [[1, 1]], []))
    hand.say(at(3), whole(at(3), 20, [[99, 1]], []))
    hand.close(at(4))
    run()
    assert rows(store, BOOK, "sequence", "price") == [(20, 99.0)]


def test_after_a_break_nothing_counts_until_the_next_whole_book(store: Store, tape: Path, run: Run) -> None:
    """The break is a row and an outage from the last good message to the next whole book; the book is right again."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    hand.say(at(1), whole(at(1), 10, [[99, 1]], [[101, 1]]))
    hand.say(at(2), diff(at(2), 11, 10, [[98, 1]]))
    hand.say(at(2), diff(at(2), 11, 10, [[98, 1]]))  # sent twice: no break
    hand.say(at(4), diff(at(4), 13, 12, [[97, 1]]))  # 12 is missing
    hand.say(at(5), diff(at(5), 14, 13, [[96, 1]]))
    hand.reel.note(at(5) + SKEW, {"event": "break", "topic": hand.topics[0], "why": "13 follows 12"})
    hand.say(at(6), whole(at(6), 13, [[99, 1], [98, 1], [97, 1], [95.5, 2]], [[101, 1]]))
    hand.say(at(7), diff(at(7), 15, 14, [[94, 1]]))
    hand.ping(at(9))
    hand.close(at(9))
    done = run()
    (gap,) = done.gaps
    assert (gap.series, gap.feed, gap.window, gap.cause) == (BOOK, "book", Window(at(2) + 1, at(5)), "break")
    assert [row[:2] for row in spans(store, BOOK)] == [(at(1), at(2) + 1), (at(2) + 1, at(5)), (at(5), at(8))]
    assert [row[2] for row in spans(store, BOOK)] == ["present", "outage", "present"]
    assert rows(store, BOOK, "sequence", "kind") == [
        (10, "snapshot"), (10, "snapshot"), (11, "delta"), *[(13, "snapshot")] * 5, (14, "delta"), (15, "delta"),
    ]  # fmt: skip
    book = rebuilt(rows(store, BOOK, *NAMES))
    assert book.bids() == [(99, 1), (98, 1), (97, 1), (96, 1), (95.5, 2), (94, 1)]
    before = files(store)
    run(again=True)
    assert files(store) == before


@pytest.mark.parametrize("why", ["lost", None])
def test_a_book_that_was_lost_is_whole_up_to_its_last_change(
    store: Store, tape: Path, run: Run, why: str | None
) -> None:
    """The numbers prove it: the gap begins after the last change, whatever else the connection said, and what was
    heard in its last second is one span, not one for each change. An audit finds a book."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    hand.say(at(1), whole(at(1), 10, [[99, 1]], [[101, 1]]))
    for number, when in ((11, 4.2), (12, 4.5), (13, 4.9)):
        hand.say(at(when), diff(at(when), number, number - 1, [[98, number]]))
    hand.ping(at(5))
    hand.close(at(5), why) if why else hand.kill()
    later = Hand(tape, "htx-spot", "book", at(19), [BTC])
    later.acks(at(20))
    later.say(at(21), whole(at(21), 50, [[99, 1]], [[101, 1]]))
    later.ping(at(25))
    later.close(at(25), "asked")
    (gap,) = run().gaps
    assert (gap.window, gap.cause) == (Window(at(4.9) + 1, at(21)), why or "killed")
    assert [row[:3] for row in spans(store, BOOK)] == [
        (at(1), at(4.9) + 1, "present"), (at(4.9) + 1, at(21), "outage"), (at(21), at(24), "present"),
    ]  # fmt: skip
    assert list(books(store, BOOK)) == []


def test_a_message_that_comes_twice_is_no_break(store: Store, tape: Path, run: Run) -> None:
    """Neither on spot nor on contracts: what follows is applied, and nothing is a gap."""
    hand = Hand(tape, "htx-spot", "book", T0, [BTC])
    hand.acks(T0)
    hand.say(at(1), whole(at(1), 10, [[99, 1]], []))
    for seq in (11, 12, 12, 11, 13):
        hand.say(at(2), diff(at(2), seq, seq - 1, [[seq, 1]]))
    hand.ping(at(5))
    hand.close(at(5))
    other = Hand(tape, "htx-linear", "book", T0, [CODE], facts={CODE: 0.001})
    other.acks(T0)
    for version, event in ((5, "snapshot"), (5, "snapshot"), (6, "update"), (6, "update"), (7, "update")):
        other.say(at(2), high_freq(at(2), version, event, [[version, 1]]))
    other.ping(at(5))
    other.close(at(5))
    assert run().gaps == []
    assert rows(store, BOOK, "sequence") == [(10,), (11,), (12,), (13,)]
    assert rows(store, LINEAR, "sequence") == [(5,), (6,), (7,)]


def test_contracts_are_base_units_by_their_exact_product(store: Store, tape: Path, run: Run) -> None:
    """3 of 0.001 are 0.003 and 7 of 0.1 are 0.7; the count stands beside; a version that is missing is a break."""
    hand = Hand(tape, "htx-linear", "book", T0, [CODE], facts={CODE: 0.001})
    hand.acks(T0)
    hand.say(at(1), high_freq(at(1), 5, "snapshot", [[13060, 3]], [[13081.9, 206], [13090, 0]]))
    hand.say(at(2), high_freq(at(2), 6, "update", [[13060, 0], [13059.5, 1143]], []))
    hand.say(at(3), high_freq(at(3), 8, "update", [[1, 1]], []))
    hand.say(at(4), high_freq(at(4), 9, "update", [[2, 1]], []))
    hand.say(at(5), high_freq(at(5), 1, "snapshot", [[13061, 7]], []))
    hand.say(at(6), high_freq(at(6), 2, "update", [], [[13081.9, 1]]))
    hand.ping(at(9))
    hand.close(at(9))
    done = run()
    assert rows(
        store, LINEAR, "sequence", "previous_sequence", "kind", "side", "price", "size", "contracts"
    ) == [
        (5, None, "snapshot", "ask", 13081.9, 0.206, 206.0),
        (5, None, "snapshot", "bid", 13060.0, 0.003, 3.0),
        (6, 5, "delta", "bid", 13059.5, 1.143, 1143.0),
        (6, 5, "delta", "bid", 13060.0, 0.0, 0.0),
        (1, None, "snapshot", "bid", 13061.0, 0.007, 7.0),
        (2, 1, "delta", "ask", 13081.9, 0.001, 1.0),
    ]
    assert [gap.window for gap in done.gaps] == [Window(at(2) + 1, at(5))]


def test_every_day_can_be_rebuilt_alone(store: Store, tape: Path, run: Run) -> None:
    """The first message of a day finds the book as it stood before it, as a snapshot of the day's first instant."""
    hand = Hand(tape, "htx-spot", "book", MIDNIGHT - 10 * SECOND, [BTC])
    hand.acks(MIDNIGHT - 10 * SECOND)
    hand.say(MIDNIGHT - 9 * SECOND, whole(MIDNIGHT - 9 * SECOND, 10, [[99, 1], [98, 2]], [[101, 3]]))
    hand.say(MIDNIGHT - 8 * SECOND, diff(MIDNIGHT - 8 * SECOND, 12, 10, [[98, 0], [97, 4]], [[102, 1]]))
    later = MIDNIGHT + 5 * SECOND
    hand.say(later, diff(later, 13, 12, [[97, 5]]))
    hand.say(later + DAY, diff(later + DAY, 14, 13, [], [[101, 0]]))
    hand.close(later + DAY + SECOND)
    run()
    second, third = store.partitions(BOOK)[1:]
    got = later + SKEW
    day = [row for row in rows(store, BOOK, *NAMES) if MIDNIGHT <= row[0] < MIDNIGHT + DAY]
    assert day == [
        (MIDNIGHT, got, 12, None, "snapshot", "ask", 101.0, 3.0),
        (MIDNIGHT, got, 12, None, "snapshot", "ask", 102.0, 1.0),
        (MIDNIGHT, got, 12, None, "snapshot", "bid", 97.0, 4.0),
        (MIDNIGHT, got, 12, None, "snapshot", "bid", 99.0, 1.0),
        (later, got, 13, 12, "delta", "bid", 97.0, 5.0),
    ]
    assert (second.label, third.label) == ("2024-03-06", "2024-03-07")
    book = rebuilt([row for row in rows(store, BOOK, *NAMES) if row[0] >= MIDNIGHT + DAY])
    assert (book.bids(), book.asks()) == ([(99, 1), (97, 5)], [(102, 1)])
    before = files(store)
    run(again=True)
    assert files(store) == before


def test_a_reel_that_is_continued_makes_the_rows_of_one_that_is_read_at_once(
    store: Store, tape: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What must be known of a book is remembered between runs, changes that wait and the day included."""
    monkeypatch.setattr(reel_module, "PAGE", 1)
    monkeypatch.setattr(reel_module, "_BATCH", 1)
    start = MIDNIGHT - 3 * SECOND
    hand = Hand(tape, "htx-spot", "book", start, [BTC])
    hand.acks(start)
    messages = [
        diff(start + SECOND, 10, 9, [[99, 1]]),
        diff(start + SECOND, 11, 10, [[98, 1]]),
        whole(start + SECOND, 10, [[99, 1]], []),
        diff(start + 2 * SECOND, 12, 11, [[97, 1.5]]),
        diff(start + 4 * SECOND, 13, 12, [[96, 1]]),
        diff(start + 5 * SECOND, 14, 13, [[96, 0]], [[101, 2]]),
    ]
    for message in messages:
        hand.say(message["ts"] * 1000, message)
        run()
    hand.close(start + 9 * SECOND)
    run()
    other = Store(store.root.parent / "other")
    from htxdata.ingest.distil import distil

    distil(other, tape, say=lambda text: None)
    assert rows(other, BOOK) == rows(store, BOOK)
    assert len(rows(store, BOOK)) == 3 + 3 + 1 + 2
    assert spans(other, BOOK) == spans(store, BOOK)


def test_at_a_rotation_the_older_one_counts_until_the_newer_has_a_whole_book(
    store: Store, tape: Path, run: Run
) -> None:
    """No change is told twice, none is lost, and coverage is one span."""
    one = Hand(tape, "htx-spot", "book", T0, [BTC])
    one.acks(T0)
    one.say(at(1), whole(at(1), 10, [[99, 1]], [[101, 1]]))
    two = Hand(tape, "htx-spot", "book", at(2), [BTC], takes_over=one.reel.path.name)
    two.acks(at(3))
    messages = [diff(at(n), n + 10, n + 9 if n > 4 else 10, [[90 + n, n]]) for n in range(4, 9)]
    for n, message in enumerate(messages, 4):
        one.say(at(n), message)
        two.say(at(n) + 1000, message)
        if n == 6:
            two.say(at(n) + 2000, whole(at(n), 16, [[94, 4], [95, 5], [96, 6], [99, 1]], [[101, 1]]))
    one.close(at(8.5), "rotation")
    two.ping(at(10))
    two.close(at(10))
    assert run().gaps == []
    assert [row[:4] for row in spans(store, BOOK)] == [(at(1), at(9), "present", "ws")]
    deltas = [row for row in rows(store, BOOK, "sequence", "kind", "received_at") if row[1] == "delta"]
    assert deltas == [
        (14, "delta", at(4) + SKEW),
        (15, "delta", at(5) + SKEW),
        (16, "delta", at(6) + SKEW),
        (17, "delta", at(7) + SKEW + 1000),
        (18, "delta", at(8) + SKEW + 1000),
    ]
    book = rebuilt(rows(store, BOOK, *NAMES))
    assert book.bids() == [(99, 1), (98, 8), (97, 7), (96, 6), (95, 5), (94, 4)]


def test_an_older_connection_goes_on_where_the_newer_one_ends(store: Store, tape: Path, run: Run) -> None:
    """With the whole book as it then stands; nothing is a gap."""
    one = Hand(tape, "htx-spot", "book", T0, [BTC])
    one.acks(T0)
    one.say(at(1), whole(at(1), 10, [[99, 1]], [[101, 1]]))
    two = Hand(tape, "htx-spot", "book", at(2), [BTC])
    two.acks(at(2))
    two.say(at(3), whole(at(3), 10, [[99, 1]], [[101, 1]]))
    one.say(at(4), diff(at(4), 11, 10, [[98, 1]]))
    two.say(at(4), diff(at(4), 11, 10, [[98, 1]]))
    two.ping(at(5))
    two.close(at(5), "lost")
    one.say(at(7), diff(at(7), 12, 11, [[97, 1]]))
    one.ping(at(9))
    one.close(at(9))
    assert run().gaps == []
    found = rows(store, BOOK, *NAMES)
    assert [row[2:6] for row in found if row[0] >= at(7)] == [
        *[(11, None, "snapshot", "ask")], *[(11, None, "snapshot", "bid")] * 2, (12, 11, "delta", "bid"),
    ]  # fmt: skip
    assert rebuilt(found).bids() == [(99, 1), (98, 1), (97, 1)]
    assert [row[:3] for row in spans(store, BOOK)] == [(at(1), at(8), "present")]


# ------------------------------------------------------------------------------------------------------ the law


@st.composite
def _sessions(
    draw: st.DrawFn,
) -> tuple[list[tuple[str, int, int, list[tuple[str, float, float]]]], list[int]]:
    """A venue's changes to one book, of which some are lost, some come twice, over midnights; some whole books.
    And where the session is cut into batches."""
    count = draw(st.integers(1, 25))
    sizes = st.sampled_from([0.0, 1.0, 2.5])
    changes = []
    when = 0
    for number in range(1, count + 1):
        when += draw(st.sampled_from([1, 1, 1, 200]))
        levels = draw(
            st.lists(
                st.tuples(st.sampled_from(["bid", "ask"]), st.sampled_from([1.0, 2.0, 3.0]), sizes),
                max_size=3, unique_by=lambda level: level[:2],
            )
        )  # fmt: skip
        fate = draw(st.sampled_from(["heard"] * 6 + ["lost", "twice", "asked"]))
        changes.append((fate, number, when, levels))
    return changes, sorted(draw(st.sets(st.integers(0, 40), max_size=4)))


@settings(max_examples=150)
@given(_sessions())
def test_rows_rebuild_the_venues_book_at_every_good_message(session: Any) -> None:
    """Whatever is lost, doubled or cut into batches: after every row's message the rebuilt book is the venue's, also
    where only the rows of that day are taken; and stretches hold exactly the messages that counted."""
    changes, cuts = session
    scale = DAY // 400
    book: dict[tuple[str, float], float] = {}
    truth: dict[int, dict[tuple[str, float], float]] = {0: {}}
    stream: list[tuple[bool, int, int, list[tuple[str, float, float]]]] = [(True, 0, 0, [])]
    for fate, number, when, levels in changes:
        for side, price, size in levels:
            book[side, price] = size
        truth[number] = {level: size for level, size in book.items() if size}
        if fate != "lost":
            stream.append((False, number, when, levels))
        if fate == "twice":
            stream.append((False, number, when, levels))
        if fate == "asked" and truth[number]:  # a book without a level has no rows to say so
            stream.append((True, number, when, [(*level, size) for level, size in truth[number].items()]))
    topic = Topic("btcusdt", None)
    out: list[dict[str, Any]] = []
    for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        batch = stream[first:last]
        columns: dict[str, list[Any]] = {name: [] for name in (*NAMES,)}
        messages = []
        for place, (is_whole, number, when, levels) in enumerate(batch, first):
            start = len(columns["price"])
            previous = None if is_whole else number - 1
            for side, price, size in levels:
                values = (
                    when * scale,
                    place,
                    number,
                    previous,
                    "snapshot" if is_whole else "delta",
                    side,
                    price,
                    size,
                )
                for name, value in zip(NAMES, values, strict=True):
                    columns[name].append(value)
            messages.append(
                BookMessage(
                    place, when * scale, is_whole, number, previous, start, len(columns["price"]), is_whole
                )
            )
        reader = BookReader(topic, "request", ())
        made = reader.take(columns, messages)
        reader.rest()
        out += [dict(zip(made, row, strict=True)) for row in zip(*[c.tolist() for c in made.values()], strict=True)]
    keys = [(row["received_at"], row["sequence"], row["side"], row["price"]) for row in out]
    assert len(set(keys)) == len(keys)
    days = sorted({row["book_time"] // DAY for row in out})
    for only in (None, *days):
        rebuilt: dict[tuple[str, float], float] = {}
        last = None
        chosen = [row for row in out if only is None or row["book_time"] // DAY == only]
        chosen.sort(key=lambda row: (row["received_at"], row["sequence"]))
        for at_, row in enumerate(chosen):
            message = row["received_at"], row["sequence"]
            if row["kind"] == "snapshot" and message != last:
                rebuilt = {}
            rebuilt[row["side"], row["price"]] = row["size"]
            last = message
            following = chosen[at_ + 1] if at_ + 1 < len(chosen) else None
            if following is None or (following["received_at"], following["sequence"]) != message:
                assert {k: v for k, v in rebuilt.items() if v} == truth[row["sequence"]]
    ends = [stretch.end for stretch in topic.stretches]
    assert all(end for end in ends[:-1])


def test_a_cut_ends_a_stretch_where_the_newer_book_begins() -> None:
    """By the venue's clock, and whatever is applied meanwhile is not told."""
    topic = Topic("btcusdt", None)
    reader = BookReader(topic, "request", [Cut(15, 1015, 25, 1025)])
    columns: dict[str, list[Any]] = {name: [] for name in NAMES}
    messages = []
    for place, (received, number, is_whole) in enumerate(
        [(10, 1, True), (12, 2, False), (17, 3, False), (27, 4, False)]
    ):
        row = (
            1000 + received,
            received,
            number,
            None if is_whole else number - 1,
            "delta",
            "bid",
            1.0 + number,
            1.0,
        )
        for name, value in zip(NAMES, row, strict=True):
            columns[name].append(value)
        previous = None if is_whole else number - 1
        messages.append(
            BookMessage(received, 1000 + received, is_whole, number, previous, place, place + 1, is_whole)
        )
    made = reader.take(columns, messages)
    assert list(zip(made["received_at"], made["sequence"], made["price"], strict=True)) == [
        (10, 1, 2.0), (12, 2, 3.0), (27, 3, 4.0), (27, 3, 3.0), (27, 3, 2.0), (27, 4, 5.0),
    ]  # fmt: skip
    assert [(s.start, s.end) for s in topic.stretches] == [(1010, 1015), (1025, 0)]
