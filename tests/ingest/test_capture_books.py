"""Breaks of a book are noticed while it is captured: exactly those, and each asks for a whole book."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.capture_books import BookWatch
from htxdata.protocol.book import Book
from htxdata.venues.terms import Seen

SPOT, LINEAR = "market.btcusdt.mbp.150", "market.BTC-USDT.depth.size_150.high_freq"


def diff(sequence: int, previous: int | None = None, topic: str = SPOT) -> Seen:
    return Seen(topic, False, sequence, sequence - 1 if previous is None and topic == SPOT else previous)


def whole(sequence: int, topic: str = SPOT) -> Seen:
    return Seen(topic, True, sequence, None, asked=topic == SPOT)


def test_changes_before_the_whole_book_wait_for_it() -> None:
    """It was asked for when the topic was subscribed; nothing is broken meanwhile."""
    watch = BookWatch("request")
    assert watch.look(diff(5)) is None
    assert watch.look(diff(6)) is None
    assert not watch.whole(SPOT)
    assert watch.look(whole(5)) is None
    assert watch.whole(SPOT)
    assert watch.look(diff(7)) is None
    assert watch.breaks == {}


def test_an_answer_older_than_every_change_is_asked_for_again() -> None:
    """The venue's own rule: if every buffered change is newer, repeat the request."""
    watch = BookWatch("request")
    watch.look(diff(10))
    assert watch.look(whole(7)) == "the whole book is of 7, before the first change (10) that was heard"
    assert not watch.whole(SPOT)
    assert watch.look(whole(9)) is None
    assert watch.whole(SPOT)


def test_a_lost_change_is_a_break_and_a_repeated_one_is_none() -> None:
    """The sentence names the numbers; the next whole book mends it, with the changes that came meanwhile."""
    watch = BookWatch("request")
    watch.look(whole(5))
    assert watch.look(diff(6)) is None
    assert watch.look(diff(6)) is None
    assert watch.look(diff(8)) == "message 8 follows 7, and the last one was 6"
    assert watch.look(diff(9)) is None
    assert watch.breaks == {SPOT: 1}
    assert watch.look(whole(8)) is None
    assert watch.look(diff(10)) is None
    assert watch.breaks == {SPOT: 1}


def test_versions_of_a_connection_count_by_one() -> None:
    """Where a message does not name the one before it, its number less one is meant; a new whole book begins anew."""
    watch = BookWatch("anew")
    watch.look(whole(100, LINEAR))
    assert watch.look(diff(101, None, LINEAR)) is None
    assert watch.look(diff(103, None, LINEAR)) == "message 103 follows 102, and the last one was 101"
    assert watch.look(diff(104, None, LINEAR)) is None
    assert watch.look(whole(3, LINEAR)) is None
    assert watch.look(diff(4, None, LINEAR)) is None
    assert watch.whole(LINEAR)


@given(
    st.lists(
        st.tuples(st.sampled_from(["next", "twice", "lost", "whole", "old whole"]), st.integers(1, 3)),
        max_size=60,
    )
)
def test_it_says_whole_exactly_where_the_rebuilt_book_is_whole(script: list[tuple[str, int]]) -> None:
    """Beside `protocol.book.Book`, which is fed the same messages from the moment of each whole book on."""
    watch, book = BookWatch("request"), Book()
    now = 100
    for what, count in script:
        if what == "next":
            now += 1
            seen = diff(now)
        elif what == "lost":
            now += 1 + count
            seen = diff(now)
        elif what == "twice":
            seen = diff(now)
        else:
            seen = whole(now if what == "whole" else now - count)
        watch.look(seen)
        if seen.whole and seen.sequence == now:
            book.snapshot([(1.0, 1.0)], [(2.0, 1.0)], seen.sequence)
        elif not seen.whole:
            book.delta([], [], seen.sequence, seen.previous)
        if book.seeded:
            assert watch.whole(SPOT)
    if script and script[-1][0] == "lost":
        assert not watch.whole(SPOT)
