"""An order book against two dicts that are sorted whenever somebody asks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.protocol.book import Book

PRICE = st.integers(1, 12).map(float)
LEVELS = st.lists(st.tuples(PRICE, st.sampled_from([0.0, 0.5, 2.0])), max_size=6)
MESSAGES = st.lists(st.tuples(st.booleans(), LEVELS, LEVELS), max_size=40)


def applied(side: dict[float, float], levels: list[tuple[float, float]]) -> None:
    for price, size in levels:
        side[price] = size
    for price in [price for price, size in side.items() if not size]:
        del side[price]


@settings(max_examples=60)
@given(MESSAGES)
def test_a_book_is_its_levels(messages: list[tuple[bool, Any, Any]]) -> None:
    """After every message both sides, their best levels and whether they cross are those of plain dicts."""
    book, bids, asks, seeded = Book(), {}, {}, False
    for snapshot, more_bids, more_asks in messages:
        if snapshot:
            bids, asks, seeded = {}, {}, True
            book.snapshot(more_bids, more_asks)
        else:
            assert book.delta(more_bids, more_asks) == ("applied" if seeded else "unseeded")
        if seeded:
            applied(bids, more_bids)
            applied(asks, more_asks)
        assert book.bids() == sorted(bids.items(), reverse=True)
        assert book.asks(3) == sorted(asks.items())[:3]
        assert book.best_bid == max(bids.items(), default=None)
        assert book.best_ask == min(asks.items(), default=None)
        assert book.crossed == bool(bids and asks and max(bids) >= min(asks))


def test_a_delta_goes_on_top_of_the_message_that_it_names() -> None:
    """One that names another breaks the book, which then is none until the next snapshot."""
    book = Book()
    book.snapshot([(1.0, 1.0)], [(2.0, 1.0)], sequence=10)
    assert book.delta([(1.0, 5.0)], [], sequence=12, previous=10) == "applied"
    assert (book.sequence, book.best_bid) == (12, (1.0, 5.0))
    assert book.delta([(1.0, 6.0)], [], sequence=14, previous=13) == "broken"
    assert (book.seeded, book.sequence, book.bids(), book.asks()) == (False, None, [], [])
    assert book.delta([(1.0, 6.0)], [], sequence=15, previous=14) == "unseeded"
    book.snapshot([(1.0, 7.0)], [], sequence=20)
    assert (book.seeded, book.best_bid) == (True, (1.0, 7.0))


@pytest.mark.parametrize("sequence", [9, 10])
def test_what_the_book_has_already_is_not_applied(sequence: int) -> None:
    """Deltas that were buffered before the snapshot came are skipped by their number, and break nothing."""
    book = Book()
    book.snapshot([(1.0, 1.0)], [], sequence=10)
    assert book.delta([(1.0, 5.0)], [], sequence=sequence, previous=sequence - 1) == "stale"
    assert (book.sequence, book.best_bid) == (10, (1.0, 1.0))


def test_what_is_not_numbered_is_not_compared() -> None:
    """Neither a delta without numbers nor one that follows it is called lost."""
    book = Book()
    book.snapshot([], [(2.0, 1.0)], sequence=10)
    assert book.delta([], [(2.0, 3.0)]) == "applied"
    assert book.delta([], [(2.0, 4.0)], sequence=3, previous=1) == "applied"
    assert (book.sequence, book.best_ask) == (3, (2.0, 4.0))


def test_levels_that_come_and_go_leave_nothing_behind() -> None:
    """A price far from the best one that is added and taken away for ever does not fill the memory."""
    book = Book()
    book.snapshot([(100.0, 1.0)], [(101.0, 1.0)])
    for _ in range(10_000):
        book.delta([(5.0, 1.0)], [(900.0, 1.0)])
        book.delta([(5.0, 0.0)], [(900.0, 0.0)])
    assert max(len(side._heap) for side in (book._bids, book._asks)) < 200
    assert (book.bids(), book.asks()) == ([(100.0, 1.0)], [(101.0, 1.0)])
