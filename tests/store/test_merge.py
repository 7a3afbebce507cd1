"""Two versions of the same rows become one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import merge as merging
from htxdata.store.merge import Merged, merge
from htxdata.store.rows import as_packed, packed
from tests.store.build import T0, candles, closes

KLINES = dataset("klines")


def received(table: pa.Table) -> list[int]:
    return list(table["received_at"].cast("int64").to_pylist())


def fold(*tables: pa.Table) -> Merged:
    """The tables committed one after the other; the last result."""
    done = merge(KLINES, None, tables[0])
    for table in tables[1:]:
        done = merge(KLINES, done.table, table)
    return done


def test_an_equal_row_leaves_the_old_one_untouched() -> None:
    done = fold(candles([1, 2], received=10), candles([2, 1], received=99, source="archive"))
    assert (done.added, done.replaced, done.changed, done.superseded) == (0, 0, False, None)
    assert received(done.table) == [10, 10]
    assert done.table["source"].to_pylist() == ["rest", "rest"]


def test_the_later_version_wins_and_the_old_one_is_handed_over() -> None:
    done = fold(candles([1, 2, 3], 1.5, received=10), candles([2], 7.0, received=20))
    assert (done.added, done.replaced, done.changed) == (0, 1, True)
    assert closes(done.table) == {1: 1.5, 2: 7.0, 3: 1.5}
    assert received(done.table) == [10, 20, 10]
    assert done.superseded is not None
    assert closes(done.superseded) == {2: 1.5}
    assert done.superseded["superseded_at"].cast("int64").to_pylist() == [20]
    assert done.superseded.schema.names == [*KLINES.columns, "superseded_at"]


def test_of_versions_heard_at_once_the_incoming_wins() -> None:
    assert closes(fold(candles([1], 1.0, received=5), candles([1], 2.0, received=5)).table) == {1: 2.0}


def test_an_older_version_loses_and_is_handed_over_itself() -> None:
    done = fold(candles([1], 1.5, received=20), candles([1], 7.0, received=10))
    assert (done.added, done.replaced, done.changed) == (0, 0, False)
    assert closes(done.table) == {1: 1.5}
    assert done.superseded is not None
    assert closes(done.superseded) == {1: 7.0}
    assert done.superseded["superseded_at"].cast("int64").to_pylist() == [20]


def test_a_null_is_filled_and_never_fills() -> None:
    """Enrichment in either direction is no revision and keeps the row's provenance."""
    full, bare = candles([1, 2, 3], volume=[5.0, 6.0, 7.0], received=30), candles([3, 1, 2], received=10)
    filled = fold(bare, full)
    assert (filled.added, filled.replaced, filled.changed, filled.superseded) == (0, 0, True, None)
    assert filled.table["volume"].to_pylist() == [5.0, 6.0, 7.0]
    assert received(filled.table) == [10, 10, 10]
    kept = fold(full, bare)
    assert not kept.changed
    assert kept.table["volume"].to_pylist() == [5.0, 6.0, 7.0]


def test_unsorted_fillings_land_on_their_own_rows() -> None:
    done = fold(candles([1, 2, 3]), candles([3, 1], volume=[33.0, 11.0]))
    assert done.table["volume"].to_pylist() == [11.0, None, 33.0]


def test_no_row_is_made_of_two_versions() -> None:
    done = fold(candles([1], 1.0, volume=[5.0], received=10), candles([1], 2.0, received=20))
    assert done.table["volume"].to_pylist() == [None]
    assert done.superseded is not None
    assert done.superseded["volume"].to_pylist() == [5.0]


def test_doubles_in_one_table() -> None:
    """Identical ones become one row; of different ones the later received wins, then the later in place."""
    done = merge(KLINES, None, candles([4, 4, 1, 4], [1.0, 1.0, 2.0, 1.0], received=[3, 4, 3, 5]))
    assert (done.added, done.replaced, done.superseded) == (2, 0, None)
    assert received(done.table) == [3, 3]
    done = merge(KLINES, None, candles([4, 4, 4], [1.0, 2.0, 3.0], received=[3, 9, 5]))
    assert closes(done.table) == {4: 2.0}
    assert done.replaced == 0
    assert done.superseded is not None
    assert done.superseded["close"].to_pylist() == [1.0, 3.0]
    done = merge(KLINES, None, candles([4, 4], [1.0, 2.0], received=[3, 3]))
    assert closes(done.table) == {4: 2.0}


def test_a_key_of_several_columns() -> None:
    """Revisions of one candle are different rows."""
    revisions = dataset("kline_revisions")

    def rows(*when: int) -> pa.Table:
        count = len(when)
        return conform(revisions, {
            "open_time": [T0] * count, "open": [1.0] * count, "high": [1.0] * count, "low": [1.0] * count,
            "close": [1.0] * count, "source": "rest", "received_at": [1] * count, "superseded_at": list(when),
        })  # fmt: skip

    done = merge(revisions, merge(revisions, None, rows(7, 3, 7)).table, rows(5, 3))
    assert done.table["superseded_at"].cast("int64").to_pylist() == [3, 5, 7]
    assert done.added == 1


def test_no_revision_replaces_another() -> None:
    """Two versions that lost to the same one are superseded at the same instant; both are kept, a microsecond apart."""
    revisions = dataset("kline_revisions")

    def lost(close: float, received: int) -> pa.Table:
        table = merge(
            KLINES, candles([1], 9.0, received=50), candles([1], close, received=received)
        ).superseded
        assert table is not None
        return table

    first = merge(revisions, None, lost(1.0, 10))
    both = merge(revisions, first.table, lost(2.0, 20))
    assert (both.added, both.replaced, both.changed, both.superseded) == (1, 0, True, None)
    assert both.table["close"].to_pylist() == [1.0, 2.0]
    assert both.table["superseded_at"].cast("int64").to_pylist() == [50, 51]
    for again in (lost(1.0, 10), lost(2.0, 20), pa.concat_tables([lost(2.0, 20), lost(1.0, 10)])):
        assert not merge(revisions, both.table, again).changed


row = st.tuples(
    st.integers(0, 8), st.sampled_from([1.0, 2.0, 3.0]), st.integers(1, 4), st.sampled_from([None, 5.0])
)
batches = st.lists(st.lists(row, max_size=10), min_size=1, max_size=5)


@settings(max_examples=150)
@given(batches)
def test_any_commits_against_one_row_at_a_time(commits: list[list[tuple[int, float, int, Any]]]) -> None:
    """Columns merged at once give what the three rules give row by row, and no version is lost without a word."""
    table: pa.Table | None = None
    known: dict[int, tuple[float, int, Any]] = {}
    for commit in commits:
        incoming = candles(
            [r[0] for r in commit], [r[1] for r in commit], received=[r[2] for r in commit],
            volume=[r[3] for r in commit],
        )  # fmt: skip
        before = dict(known)
        lost: list[tuple[int, float]] = []

        def put(into: dict[int, tuple[float, int, Any]], minute: int, new: tuple[float, int, Any],
                lost: list[tuple[int, float]] = lost) -> None:  # fmt: skip
            old = into.get(minute)
            if old is None:
                into[minute] = new
            elif old[0] != new[0] or (None not in (old[2], new[2]) and old[2] != new[2]):
                winner, loser = (new, old) if new[1] >= old[1] else (old, new)
                into[minute] = winner
                lost.append((minute, loser[0]))
            elif old[2] is None:
                into[minute] = (old[0], old[1], new[2])

        batch: dict[int, tuple[float, int, Any]] = {}
        for minute, close, at, volume in commit:
            put(batch, minute, (close, at, volume))
        for minute, version in batch.items():
            put(known, minute, version)
        done = merge(KLINES, table, incoming)
        table = done.table
        got = zip(closes(table).items(), received(table), table["volume"].to_pylist(), strict=True)
        assert {minute: (close, at, volume) for (minute, close), at, volume in got} == known
        assert done.added == len(known) - len(before)
        assert done.changed == (known != before)
        handed = [] if done.superseded is None else [
            ((at - T0) // 60_000_000, close)
            for at, close in zip(done.superseded["open_time"].cast("int64").to_pylist(),
                                 done.superseded["close"].to_pylist(), strict=True)
        ]  # fmt: skip
        assert sorted(handed) == sorted(lost)
        again = merge(KLINES, table, incoming)
        assert (again.changed, again.added, again.replaced) == (False, 0, 0)
        assert again.table.equals(table)


# ------------------------------------------------------------------------- what follows, against looking for every key

TRADES, BOOKS, QUOTES = dataset("trades"), dataset("book_changes"), dataset("quotes")


def trades(rows: list[tuple[int, int, float, int]]) -> pa.Table:
    return conform(TRADES, {
        "trade_time": [T0 + row[0] for row in rows], "trade_id": [str(row[1]) for row in rows],
        "price": [row[2] for row in rows], "quantity": [1.0] * len(rows), "side": ["buy"] * len(rows), "source": "ws",
        "received_at": [row[3] for row in rows],
    })  # fmt: skip


def levels(rows: list[tuple[int, int, float, int]]) -> pa.Table:
    """A row's price and side are its number; what it is, its third member."""
    return conform(BOOKS, {
        "book_time": [T0 + row[0] for row in rows], "kind": ["delta"] * len(rows),
        "side": [("bid", "ask")[row[1] % 2] for row in rows], "price": [1.0 + row[1] // 2 for row in rows],
        "size": [row[2] for row in rows], "sequence": [row[0] for row in rows],
        "previous_sequence": [row[0] - 1 for row in rows], "source": "ws", "received_at": [row[3] for row in rows],
    })  # fmt: skip


def quotes(rows: list[tuple[int, int, float, int]]) -> pa.Table:
    return conform(QUOTES, {
        "quote_time": [T0 + row[0] for row in rows], "bid": [row[2] for row in rows], "bid_size": [1.0] * len(rows),
        "ask": [9.0] * len(rows), "ask_size": [1.0] * len(rows), "sequence": [row[1] for row in rows],
        "source": "ws", "received_at": [row[3] for row in rows],
    })  # fmt: skip


def said(done: Merged) -> tuple[Any, ...]:
    lost = [] if done.superseded is None else done.superseded.to_pylist()
    won = [] if done.winners is None else done.winners.to_pylist()
    pairs = sorted(map(repr, zip(lost, won, strict=True)))
    taken = sorted(done.taken.tolist())
    return done.table.to_pylist(), done.added, done.replaced, done.changed, pairs, taken


def captured(low: int) -> st.SearchStrategy[list[tuple[int, int, float, int]]]:
    """Rows as they are heard: mostly in order, some twice."""
    return st.lists(
        st.tuples(st.integers(low, low + 9), st.integers(low, low + 9), st.sampled_from([1.0, 2.0]),
                  st.integers(low, low + 3)),
        max_size=12,
    )  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from([trades, levels, quotes]), captured(0), st.sampled_from([0, 5, 10, 96]).flatmap(captured),
       st.booleans())  # fmt: skip
def test_rows_that_follow_are_put_behind_as_if_every_key_was_looked_for(
    make: Any, before: list[Any], after: list[Any], in_order: bool
) -> None:
    """Whatever is out of order, comes twice, or was there before."""
    declared = {trades: TRADES, levels: BOOKS, quotes: QUOTES}[make]
    old = merging._by_key(declared, None, make(before)).table if before else None
    new = make(sorted(after) if in_order else after)
    if not len(new):
        return
    assert said(merge(declared, old, new)) == said(merging._by_key(declared, old, new))


@settings(max_examples=200)
@given(st.sampled_from([trades, levels]), captured(0), st.booleans(), st.booleans())
def test_words_are_merged_as_texts_are(make: Any, rows: list[Any], in_order: bool, turned: bool) -> None:
    """Texts of few values that come as dictionaries, in whatever order of their words, stay such and mean the same."""
    texts = make(sorted(rows) if in_order else rows)
    words = as_packed(texts, packed(texts.schema))
    if turned:
        places = {name: words.column_names.index(name) for name in ("side", "source")}
        for name, at in places.items():
            known = pa.array(["zero", *sorted(set(texts[name].to_pylist()), reverse=True)])
            turned_to = pa.DictionaryArray.from_arrays(pc.index_in(texts[name].combine_chunks(), known), known)
            words = words.set_column(at, words.schema.field(at), turned_to)
    declared = {trades: TRADES, levels: BOOKS}[make]
    done = merge(declared, None, words)
    assert done.table.schema == words.schema
    assert said(done) == said(merge(declared, None, texts))


def test_numbers_of_trades_are_ordered_as_texts() -> None:
    """Of one instant, as everything that is sorted by key is; and of several lengths, every key is looked for."""
    done = merge(TRADES, None, trades([(1, 9, 1.0, 5), (1, 10, 1.0, 5), (0, 7, 1.0, 5)]))
    assert done.table["trade_id"].to_pylist() == ["7", "10", "9"]
    more = merge(TRADES, done.table, trades([(2, 8, 1.0, 6), (3, 7, 1.0, 6)]))  # 7 is known, at another time
    assert said(more) == said(merging._by_key(TRADES, done.table, trades([(2, 8, 1.0, 6), (3, 7, 1.0, 6)])))


def test_what_another_source_told_is_not_told_again() -> None:
    """Of balances, a row of the ledger and one of the socket of the same account, currency and instant: the first
    stays. Rows of one source, of another instant or currency, and those that say no instant, are rows of their own."""
    updates = dataset("own_account_updates")

    def rows(source: str, *said: tuple[int | None, str, int | None, str | None]) -> pa.Table:
        times, currencies, sequences, records = zip(*said, strict=True)
        always = {"account_id": "1", "account_type": None, "balance": 1.0, "available": 1.0, "change_type": "x"}
        columns: dict[str, Any] = {name: [value] * len(said) for name, value in always.items()}
        columns |= {"updated_at": [5 if at is None else at for at in times], "change_time": list(times)}
        columns |= {"currency": list(currencies), "sequence": list(sequences), "record_id": list(records)}
        columns |= {"amount": [None] * len(said), "source": source, "received_at": [9] * len(said)}
        return conform(updates, columns)

    def keys(table: pa.Table) -> list[tuple[Any, ...]]:
        names = ("currency", "sequence", "record_id")
        times = table["change_time"].cast(pa.int64()).to_pylist()
        return list(zip(times, *(table[name].to_pylist() for name in names), strict=True))

    socket = rows(
        "ws", (7, "btc", 1, None), (7, "btc", 2, None), (7, "usdt", 9, None), (None, "btc", 2, None)
    )
    ledger = rows(
        "rest", (7, "btc", None, "a"), (7, "eth", None, "b"), (7, "eth", None, "c"), (8, "usdt", None, "d")
    )
    done = merge(updates, merge(updates, None, socket).table, ledger)
    assert done.added == 3
    assert list(done.taken) == [1, 2, 3]
    assert set(keys(done.table)) == {*keys(socket), *keys(ledger)[1:]}
    done = merge(updates, merge(updates, None, ledger).table, socket)
    assert set(keys(done.table)) == {*keys(ledger), *keys(socket)[2:]}
    assert merge(updates, done.table, socket).changed is False
