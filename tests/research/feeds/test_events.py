"""Two clocks and a book that goes on from day to day: laws of what hftbacktest is handed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.research.feeds import events, hftbacktest
from htxdata.research.feeds.events import Changes
from htxdata.research.feeds.source import Source
from htxdata.research.lake import Lake
from htxdata.store import Store
from htxdata.timeline import DAY, HOUR, SECOND, Window
from tests.research.feeds import small_lake
from tests.research.feeds.small_lake import BOOKS, START, commit

EXCH, LOCAL = np.uint64(hftbacktest.EXCH), np.uint64(hftbacktest.LOCAL)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-5, 9)), max_size=40), st.integers(0, 40))
def test_each_clock_hears_every_row_once_and_in_order(times: list[tuple[int, int]], traded: int) -> None:
    """Rows for the exchange are ordered by its clock, rows for us by ours, ties as they came; a row is whole or told
    twice."""
    rows = np.zeros(len(times), hftbacktest.EVENT)
    rows["exch_ts"] = [at * 1000 for at, _ in times]
    rows["local_ts"] = [(at + late) * 1000 for at, late in times]
    rows["order_id"] = np.arange(len(times))
    rows["ev"] = np.where(np.arange(len(times)) < traded, hftbacktest.TRADE, hftbacktest.DEPTH)
    shift = max(0, 1000 - 1000 * min((late for _, late in times), default=1))
    made = hftbacktest.merged(rows.copy(), np.ones(len(times), bool))
    for flag, clock, late in ((EXCH, "exch_ts", 0), (LOCAL, "local_ts", shift)):
        mine = made[made["ev"] & flag > 0]
        order = np.argsort(rows[clock], kind="stable")
        assert mine["order_id"].tolist() == order.tolist()
        assert mine[clock].tolist() == (rows[clock][order] + late).tolist()
    assert (made["ev"] & (EXCH | LOCAL) > 0).all()
    places = [dict(zip(made["order_id"][made["ev"] & flag > 0], np.flatnonzero(made["ev"] & flag > 0), strict=True))
              for flag in (EXCH, LOCAL)]  # fmt: skip
    assert all(
        place <= places[1][row] for row, place in places[0].items()
    )  # nothing is heard before it is told
    assert (made["local_ts"] - made["exch_ts"] >= 1000).all()
    if not shift and np.array_equal(
        np.argsort(rows["exch_ts"], kind="stable"), np.argsort(rows["local_ts"], kind="stable")
    ):
        assert len(made) == len(rows)


_level = st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 3))
_message = st.tuples(
    st.booleans(), st.lists(_level, min_size=1, max_size=4, unique_by=lambda level: level[:2])
)


def _changes(messages: list[tuple[bool, list[tuple[bool, int, int]]]], first: int = 0) -> Changes:
    rows = [
        (number, price, size, bid, whole)
        for number, (whole, levels) in enumerate(messages, first)
        for bid, price, size in levels
    ]
    number, price, size, bid, whole = (np.array(each) for each in zip(*rows, strict=True))
    live = np.ones(len(rows), bool)
    return Changes(
        number.astype(np.int64), price.astype(float), size.astype(float), bid, whole, number, live, number + 1
    )


def _brute(messages: list[tuple[bool, list[tuple[bool, int, int]]]]) -> dict[tuple[bool, int], int]:
    book: dict[tuple[bool, int], int] = {}
    for whole, levels in messages:
        book = {} if whole else book
        for bid, price, size in levels:
            book[bid, price] = size
    return {level: size for level, size in book.items() if size}


@given(st.lists(_message, min_size=1, max_size=12))
def test_the_standing_book_is_the_last_word_on_each_level(messages: list[Any]) -> None:
    """As message after message leaves it, the last whole book being where it begins."""
    messages = [(True, messages[0][1]), *messages[1:]]
    book = events.standing(_changes(messages))
    found = dict(
        zip(zip(book.bids.tolist(), book.price.tolist(), strict=True), book.size.tolist(), strict=True)
    )
    assert found == _brute(messages)


def _source(lake: Path, **bounds: Any) -> Source:
    return Source(Lake(lake), "htx-linear", **bounds)


def test_a_range_within_a_day_begins_with_the_book_as_it_stood(lake: Path) -> None:
    """The whole book at 10:00, made of what was before; heard with the first message after it."""
    start = START + 10 * HOUR
    source = _source(lake, start=start, end=START + DAY)
    ((day, made),) = list(events.books(source, "BTC-USDT"))
    assert day == Window(start, START + DAY)
    rows = small_lake.book()
    before = rows["book_time"] < start
    book: dict[tuple[str, float], float] = {}
    for side, price, size in zip(
        rows["side"][before], rows["price"][before], rows["size"][before], strict=True
    ):
        book[side, price] = size
    first = made.part(made.message == made.message[0])
    assert first.snapshot.all()
    assert set(first.time.tolist()) == {int(rows["book_time"][before][-1])} or set(first.time.tolist()) == {
        start
    }
    found = {
        ("bid" if bid else "ask", price): size
        for bid, price, size in zip(first.bids, first.price, first.size, strict=True)
    }
    assert found == {level: size for level, size in book.items() if size}
    assert set(first.received_at.tolist()) == {int(rows["received_at"][~before][0])}
    assert len(made) - len(first) == ((rows["book_time"] >= start) & (rows["book_time"] < START + DAY)).sum()


def test_across_an_outage_no_book_is_carried(tmp_path: Path) -> None:
    """The second day begins with changes: where the night between is not known, they wait for a whole book."""
    rows = small_lake.book()
    second = rows["book_time"] >= BOOKS.start + DAY
    rows["kind"] = np.where(second, "delta", rows["kind"]).astype(object)
    for name, outage in (("known", None), ("unknown", Window(BOOKS.start + DAY - HOUR, BOOKS.start + DAY))):
        commit(
            Store(tmp_path / name),
            Series("book_changes", "htx-linear", "BTC-USDT"),
            rows,
            BOOKS,
            outage,
            "ws",
        )
        source = _source(tmp_path / name)
        days = [day.start for day, _ in events.books(source, "BTC-USDT")]
        assert days == [BOOKS.start, BOOKS.start + DAY][: 1 if outage else 2]
        assert [hole.verdict for hole in source.holes] == (["outage"] if outage else [])


def test_what_was_not_heard_live_needs_a_latency(lake: Path, tmp_path: Path) -> None:
    """Rows of the archive were not heard when they happened: nothing is assumed unasked, and what is asked is kept."""
    store = Store(tmp_path)
    window = Window(START, START + HOUR)
    series = [Series(name, "htx-linear", "BTC-USDT") for name in ("book_changes", "trades")]
    commit(
        store,
        series[0],
        {n: v for n, v in small_lake.book().items() if n != "received_at"},
        window,
        source="archive",
    )
    commit(store, series[1], small_lake.trades("htx-linear", "BTC-USDT", *window), window, source="archive")
    with pytest.raises(UsageError, match="--latency is missing"):
        list(hftbacktest.read(_source(tmp_path), "BTC-USDT"))
    ((_, rows),) = list(hftbacktest.read(_source(tmp_path), "BTC-USDT", 0.05))
    assert set((rows["local_ts"] - rows["exch_ts"]).tolist()) == {50_000_000}
    assert (rows["ev"] & (EXCH | LOCAL) == EXCH | LOCAL).all()
    with pytest.raises(UsageError, match="more than 0"):
        list(hftbacktest.read(_source(tmp_path), "BTC-USDT", 0.0))


def test_days_are_cut_at_midnight_utc(lake: Path) -> None:
    """Every row of a file is of the file's day, by the venue's clock."""
    for day, rows in hftbacktest.read(_source(lake), "BTC-USDT"):
        assert day.start % DAY == 0
        assert (rows["exch_ts"] // 1000 >= day.start).all()
        assert (rows["exch_ts"] // 1000 < day.end).all()
        assert rows["exch_ts"].max() // 1000 > day.end - 60 * SECOND
