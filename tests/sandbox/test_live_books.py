"""The live books as a pure function: every difference is that of two books, none is crossed, numbers only grow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.sandbox import Market
from htxdata.sandbox.instruments import INSTRUMENTS, instant
from htxdata.sandbox.live_books import ASK, BID, TICK, LiveBooks

NAMES = (
    ("htx-spot", "btcusdt"), ("htx-spot", "dogeusdt"), ("htx-spot", "pepeusdt"), ("htx-spot", "steemusdt"),
    ("htx-linear", "BTC-USDT"), ("htx-linear", "SHIB-USDT"), ("htx-linear", "MDX-USDT"), ("htx-spot", "c042usdt"),
)  # fmt: skip
BOOKS = {name: LiveBooks(0, INSTRUMENTS[name[0]][name[1]]) for name in NAMES}
FIRST = instant("2026-02-01") // TICK
TICKS = st.integers(FIRST, FIRST + 300 * 86400 * 20)
STEPS = st.one_of(st.integers(0, 40), st.integers(0, 20_000))


@given(name=st.sampled_from(NAMES), before=TICKS, steps=STEPS, depth=st.sampled_from((5, 20, 150, 400)))
def test_a_difference_turns_one_book_into_the_other(
    name: tuple[str, str], before: int, steps: int, depth: int
) -> None:
    """A client that applies what is told has the later book, level by level, and is told nothing that is no news."""
    books = BOOKS[name]
    told = books.changes(before, before + steps, depth)
    for side, changes in ((BID, told[0]), (ASK, told[1])):
        kept = books.side(side, before, depth)
        for place, lots in changes:
            assert kept.get(place, 0) != lots
            kept[place] = lots
        assert {place: lots for place, lots in kept.items() if lots} == books.side(
            side, before + steps, depth
        )
        assert [place for place, _ in changes] == sorted((place for place, _ in changes), reverse=side == BID)


@given(name=st.sampled_from(NAMES), tick=TICKS)
def test_a_book_is_not_crossed_and_has_no_empty_level(name: tuple[str, str], tick: int) -> None:
    """The best bid is below the best ask, prices are ordered and differ, sizes are above zero."""
    book = BOOKS[name].read(tick, 150)
    bids, asks = [price for price, _ in book.bids], [price for price, _ in book.asks]
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert bids[0] < asks[0]
    assert len(bids) == len(asks) == 150
    assert all(size > 0 for _, size in book.bids + book.asks)


@given(name=st.sampled_from(NAMES), tick=TICKS, steps=st.integers(1, 1000))
def test_numbers_grow_and_name_their_tick(name: tuple[str, str], tick: int, steps: int) -> None:
    """A later book has a greater number, from which one finds its tick; a number beside it is nobody's."""
    books = BOOKS[name]
    number = books.sequence(tick)
    assert number < books.sequence(tick + steps)
    assert books.tick_of(number) == tick
    with pytest.raises(ValueError, match="no book of the number"):
        books.tick_of(number + 1 if number + 1 != books.sequence(tick + 1) else number - 1)


@given(name=st.sampled_from(NAMES), tick=TICKS, depth=st.sampled_from((5, 150)))
def test_a_chain_names_the_message_before(name: tuple[str, str], tick: int, depth: int) -> None:
    """What was told last before any tick does not depend on where one starts to look."""
    chain = BOOKS[name].pushes(depth, 1 if depth == 5 else 2)
    told = [at for at, _ in chain.between(tick - 90, tick)]
    assert chain.last(tick) == told[-1]
    assert chain.last(told[-1] - 1) == told[-2]
    kept = [BOOKS[name].side(side, told[-2], depth) for side in (BID, ASK)]
    for place in range(told[-2], told[-1]):
        assert [BOOKS[name].side(side, place - place % chain.every, depth) for side in (BID, ASK)] == kept


@given(name=st.sampled_from(NAMES), tick=TICKS)
def test_the_same_for_everybody(name: tuple[str, str], tick: int) -> None:
    """Another object, asked in another order, has the same book; another seed has another."""
    one = INSTRUMENTS[name[0]][name[1]]
    other = LiveBooks(0, one)
    other.read(tick + 12345, 20)
    assert other.read(tick, 20) == BOOKS[name].read(tick, 20)
    assert LiveBooks(1, one).read(tick, 20) != other.read(tick, 20)


@pytest.mark.parametrize(("venue", "symbol"), [name for name in NAMES if name[1][0] != "c"])
def test_trades_are_made_at_the_best_prices(market: Market, venue: str, symbol: str) -> None:
    """A trade costs the best ask or bid of its tick, give or take what the price moves within a tick."""
    books, start = BOOKS[venue, symbol], instant("2026-06-01T12:00")
    hours = 2 if books.one.trades_per_minute > 1 else 12
    rows = market.orders(venue, symbol, start, start + hours * 3600 * 10**6)
    first = [
        place == 0 or rows["order"][place] != rows["order"][place - 1] for place in range(len(rows["order"]))
    ]
    assert sum(first) > 0
    for time, price, side, leads in zip(
        rows["trade_time"].tolist(), rows["price"].tolist(), rows["side"].tolist(), first, strict=True
    ):
        top = books.top(time // TICK)
        assert top is not None
        best = books.price(top + 1 if side == "buy" else top)
        assert not leads or abs(price - best) < 5.5 * books.price(1)


def test_what_does_not_trade_has_no_book() -> None:
    """A pair that was halted has an empty book until it trades again, and what opens is told whole."""
    books = LiveBooks(0, INSTRUMENTS["htx-spot"]["wavesusdt"])
    halt, back = instant("2021-06-01T03:00") // TICK, instant("2021-06-02T11:30") // TICK
    assert books.read(halt, 20).bids == []
    assert len(books.read(halt - 1, 20).bids) == 20
    assert books.changes(back - 1, back, 20)[0] == list(books.side(BID, back, 20).items())
    assert books.pushes(20, 1).told(halt + 5) is None
    assert books.pushes(20, 1).last(back - 1) is None
