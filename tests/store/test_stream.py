"""Rows that do not fit into memory end in the same partition as rows that do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply, StoreError
from htxdata.store import (
    Asked,
    Committed,
    Footer,
    Partition,
    Store,
    aside,
    drafts,
    keys,
    milestones,
    partition,
    rows,
    stream,
)
from htxdata.store.footer import SourceFile
from htxdata.timeline import MINUTE, Window
from tests.store.build import D0, D_LATE, DAY_OF_TRADES, JANUARY, LATE, T0, Trade, asked, candles, trades
from tests.store.test_partition import snapshot

FILE = SourceFile("data/a.zip", "ab" * 16, "cd" * 32, D0, D_LATE)


@contextlib.contextmanager
def small(batch: int = 4, at_once: int = 3, group: int = 8, large: int = 5) -> Iterator[None]:
    """Everything that is a million or so is a handful: a few rows go all the ways that many do."""
    changes: list[tuple[Any, str, Any]] = [
        (rows, "BATCH", batch), (stream, "_IN_MEMORY", at_once), (stream, "_LOST", 2), (aside, "_IN_MEMORY", 5),
        (rows, "_PIECE", batch), (rows, "_TRADES", replace(rows._TRADES, row_group=group)), (keys, "_SLICES", 2),
        (rows, "_CANDLES", replace(rows._CANDLES, row_group=group)), (partition, "_LARGE", large),
        (partition, "_COPIED_AT_ONCE", 300),
    ]  # fmt: skip
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def ask(first: int, last: int, at: int = D_LATE, verdict: str = "empty") -> Asked:
    """Milliseconds after ``D0``."""
    return Asked(Window(D0 + first * 1000, D0 + last * 1000), "archive", at, verdict)


def stored(store: Store, where: Partition = DAY_OF_TRADES) -> list[tuple[int, str, float]]:
    table = store.read(where)
    assert table is not None
    return numbers(table)


def numbers(table: pa.Table) -> list[tuple[int, str, float]]:
    """Of each trade the millisecond after ``D0``, the number and the price."""
    times = table["trade_time"].cast("int64").to_pylist()
    named, prices = table["trade_id"].to_pylist(), table["price"].to_pylist()
    return [((at - D0) // 1000, key, price) for at, key, price in zip(times, named, prices, strict=True)]


def rising(count: int, first: int = 1000) -> list[Trade]:
    """Trades whose numbers rise with time, two at each millisecond."""
    return [(place // 2, str(first + place), 1.0 + place) for place in range(count)]


# ------------------------------------------------------------------------------------------ the same as a commit

ids = st.sampled_from(["5", "7", "12", "13", "40", "t-1", "t-2", "99999999999999999999", "007"])
trade = st.tuples(st.integers(0, 6), ids, st.sampled_from([1.0, 2.0]))
batch = st.tuples(
    st.lists(trade, max_size=14), st.integers(0, 2), st.booleans(), st.integers(0, 5), st.booleans()
)


some_batches = st.lists(batch, min_size=1, max_size=3)


@dataclass(frozen=True)
class End:
    """What commits came to: what each said, and whether it moved a file; then rows, footer, which version lost to
    which, and, after one commit more of nothing but a file (it writes all anew, in one encoding), the bytes."""

    said: list[Committed]
    moved: list[bool]
    rows: pa.Table | None
    footer: Footer | None
    lost: list[str]
    rewritten: Committed
    bytes: bytes


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What survives lost power is the matter of test_power.py; half of the time here was fsync."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def both_ways(batches: list[Any], data: Any) -> tuple[End, End]:
    """The batches committed as one table each; and streamed, in pieces that are cut anywhere."""
    folder = Path(tempfile.mkdtemp(prefix="stream-"))
    try:
        tables, cut = [], []
        for trades_, received, with_quote, counts, words in batches:
            quote = [float(row[0]) for row in trades_] if with_quote else None
            table = trades(
                trades_, received=D_LATE + received, quote=quote, unfit=[counts] * len(trades_) if counts else None,
                words=words,
            ).sort_by("trade_time")  # fmt: skip
            cuts = sorted(data.draw(st.lists(st.integers(0, len(table)), max_size=4)))
            tables.append([table])
            cut.append([table.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(table)], strict=True)])
        return end_of(folder / "one", batches, tables), end_of(folder / "other", batches, cut, streamed=True)
    finally:
        shutil.rmtree(folder)


def end_of(folder: Path, batches: list[Any], pieces: list[list[pa.Table]], *, streamed: bool = False) -> End:
    store = Store(folder)
    said, moved, lost = [], [], []
    for (_, received, *_), tables in zip(batches, pieces, strict=True):
        windows = [ask(received, received + 4, verdict="outage")] if received else []
        more: dict[str, Any] = {
            "files": [FILE._replace(checked_at=received)],
            "on_replace": lambda old, new: lost.append((old, new)),
        }
        before = snapshot(folder)
        with small(large=5 if streamed else 10_000):
            if streamed:
                said.append(store.commit_sorted(DAY_OF_TRADES, iter(tables), windows, **more))
            else:
                said.append(store.commit(DAY_OF_TRADES, tables[0], windows, **more))
        moved.append(snapshot(folder) != before)
    rows_, footer = store.read(DAY_OF_TRADES), store.footer(DAY_OF_TRADES)
    with small(large=10_000):
        rewritten = store.commit(
            DAY_OF_TRADES, trades([(0, "1", 1.0)]), [], files=[FILE._replace(checked_at=9)]
        )
    # Of three versions of a number at several times, who lost to whom depends on who was compared first.
    plain = all(
        len({row[0] for row in b[0] if row[1] == key}) < 2 for b in batches for key in {r[1] for r in b[0]}
    )
    return End(said, moved, rows_, footer, versions(lost) if plain else [], rewritten, part(store))


def versions(pairs: list[Any]) -> list[str]:
    out = []
    for lost, won in pairs:
        out += [str(pair) for pair in zip(lost.to_pylist(), won.to_pylist(), strict=True)]
    return sorted(out)


def part(store: Store, where: Partition = DAY_OF_TRADES) -> bytes:
    return Path(store.folder(where), "part.parquet").read_bytes()


@settings(max_examples=60)
@given(some_batches, st.data())
def test_it_ends_as_a_commit_of_all_tables_at_once(batches: list[Any], data: Any) -> None:
    """Doubles, repeats at other times, ties, revisions, NULLs, unfit counts: same rows, same footer, same bytes; and
    what changes nothing moves no file."""
    plain, streamed = both_ways(batches, data)
    assert streamed == plain
    assert streamed.moved == [done.changed for done in streamed.said]
    assert streamed.rewritten.changed


@pytest.mark.slow
@settings(max_examples=600)
@given(some_batches, st.data())
def test_it_ends_as_a_commit_of_all_tables_at_once_many_times(batches: list[Any], data: Any) -> None:
    """The same, for whoever has a minute."""
    plain, streamed = both_ways(batches, data)
    assert streamed == plain
    assert streamed.moved == [done.changed for done in streamed.said]
    assert streamed.rewritten.changed


@pytest.mark.parametrize("count", [1, 3, 4, 7, 8, 9, 16, 37])
def test_the_bytes_are_those_of_a_commit(tmp_path: Path, count: int) -> None:
    """However the rows were cut, and whatever ways they took, where the same was asked of all rows that are there.

    (Of events a window is judged when it is asked for: asked in two halves, one without rows, it is two spans.)
    """
    rows_ = rising(count)
    files = set()
    with small():
        for name, cuts in {"one": [count], "each": [1] * count, "odd": [3] * count}.items():
            pieces, at = [], 0
            for length in cuts:
                pieces.append(trades(rows_[at : at + length], words=name == "odd"))
                at += length
            store = Store(tmp_path / name)
            store.commit_sorted(DAY_OF_TRADES, pieces, [ask(0, 40)], files=[FILE])
            files.add(part(store))
        store = Store(tmp_path / "plain")
        store.commit(DAY_OF_TRADES, trades(rows_[: count // 2]), [])
        store.commit(DAY_OF_TRADES, trades(rows_[count // 2 :]), [ask(0, 40)], files=[FILE])
        files.add(part(store))
        store = Store(tmp_path / "late first")
        store.commit_sorted(DAY_OF_TRADES, [trades(rows_[count // 2 :])], [], files=[FILE])
        store.commit_sorted(DAY_OF_TRADES, [trades(rows_[: count // 2])], [ask(0, 40)])
        files.add(part(store))
    assert len(files) == 1
    assert stored(store) == rows_


def test_candles_of_any_number_too(tmp_path: Path) -> None:
    """Where the key is the time nothing needs to be proved; verdicts on a grid need every time."""
    minutes = [*range(5), *range(9, 30), *range(40, 90)]
    with small():
        for name, pieces in {"one": [minutes], "many": [minutes[a : a + 7] for a in range(0, 90, 7)]}.items():
            store = Store(tmp_path / name)
            store.commit_sorted(JANUARY, [candles(piece) for piece in pieces], [asked(0, 100)])
    plain = Store(tmp_path / "plain")
    with small(large=10_000):
        plain.commit(JANUARY, candles(minutes), [asked(0, 100)])
    assert {part(Store(tmp_path / name), JANUARY) for name in ("one", "many", "plain")} == {
        part(plain, JANUARY)
    }
    assert [(s.start - T0) // MINUTE for s in store.spans(JANUARY)] == [0, 5, 9, 30, 40, 90]


# --------------------------------------------------------------------------------------------------- repeats


def test_a_number_that_comes_again_at_another_time_is_one_trade(tmp_path: Path) -> None:
    """Far away in the partition, among the incoming rows or stored: the later version wins, wherever it lies."""
    early, late = (0, "1000", 5.0), (900, "1000", 6.0)
    rest = [(10 + place, str(2000 + place), 1.0) for place in range(30)]
    with small():
        for name, first, second in (
            ("both come", [early, *rest, late], []),
            ("one is stored", [early, *rest], [late]),
            ("the other is stored", [*rest, late], [early]),
        ):
            store = Store(tmp_path / name)
            lost: list[pa.Table] = []
            for rows_ in (first, second):
                if rows_:
                    store.commit_sorted(
                        DAY_OF_TRADES, [trades(rows_)], [], on_replace=lambda old, _, to=lost: to.append(old)
                    )
            winner = early if name == "the other is stored" else late
            assert stored(store) == sorted([winner, *rest])
            assert [table["price"].to_pylist() for table in lost] == [[11.0 - winner[2]]]


def test_what_rises_is_not_looked_at_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers in order, numbers out of order by some milliseconds, and names with their time: never all at once."""

    def refuse(*_: object) -> None:
        raise AssertionError("the whole partition was merged in memory")

    monkeypatch.setattr(stream._Commit, "at_once", refuse)
    shuffled = rising(60)
    for at in range(0, 58, 3):
        (_, one, _), (_, two, _) = shuffled[at], shuffled[at + 2]
        shuffled[at], shuffled[at + 2] = (at // 2, two, 1.0), ((at + 2) // 2, one, 1.0)
    named = [(place, f"{1_700_000_000 + place}-{place % 3}-buy-1", 1.0) for place in range(60)]
    mixed = sorted([*rising(60), *named])
    with small():
        for name, rows_ in (
            ("rising", rising(60)),
            ("shuffled", shuffled),
            ("named", named),
            ("mixed", mixed),
        ):
            store = Store(tmp_path / name)
            store.commit_sorted(DAY_OF_TRADES, [trades(rows_[:40])], [])
            store.commit_sorted(DAY_OF_TRADES, [trades(rows_[30:])], [])
            assert stored(store) == sorted(rows_)


def test_many_rows_of_one_instant_stay_together(tmp_path: Path) -> None:
    """More than a slice holds, in any order, with one of them twice."""
    rows_ = [(7, str(1000 + place * 37 % 100), 1.0) for place in range(30)]
    with small():
        store = Store(tmp_path)
        store.commit_sorted(DAY_OF_TRADES, [trades([(1, "1", 1.0)]), trades([*rows_, rows_[3]])], [])
        assert store.commit_sorted(DAY_OF_TRADES, [trades(rows_)], []).changed is False
    assert stored(store) == [(1, "1", 1.0), *sorted(rows_)]


# ------------------------------------------------------------------------------------------- refused, or died


@pytest.mark.parametrize("count", [1, 2, 40])
def test_rows_out_of_order_are_refused(tmp_path: Path, count: int) -> None:
    """Within a table or from one to the next; nothing is written, not even a folder where there were few."""
    store = Store(tmp_path)
    rows_ = rising(count)
    back = (rows_[-1][0] - 1, "1", 1.0)
    with small():
        for pieces in ([[*rows_, back]], [rows_, [back]], [[(5, "5", 1.0)], [(-1, "6", 1.0)]]):
            with pytest.raises(StoreError, match="nothing was written"):
                store.commit_sorted(DAY_OF_TRADES, [trades(piece) for piece in pieces], [ask(0, 9)])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert count > 2 or not any(tmp_path.iterdir())


def test_rows_outside_the_partition_are_refused(tmp_path: Path) -> None:
    for stray in (-1, 86_400_000):
        with pytest.raises(StoreError, match="outside"):
            Store(tmp_path).commit_sorted(DAY_OF_TRADES, [trades([(stray, "1", 1.0)])], [])
    table = trades([(1, "1", 1.0)]).set_column(2, "price", pa.array([1]))
    with pytest.raises(StoreError, match="'price' is int64"):
        Store(tmp_path).commit_sorted(DAY_OF_TRADES, [table], [])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("error", [BadReply("cut short"), ConnectionResetError("gone"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [False, True])
def test_a_source_that_breaks_off_leaves_nothing(tmp_path: Path, error: BaseException, before: bool) -> None:
    """Its own error comes out, no row went in, and no file is left."""
    store = Store(tmp_path)
    if before:
        store.commit(DAY_OF_TRADES, trades(rising(3)), [ask(0, 2)])
    there = snapshot(tmp_path)

    def source() -> Iterator[pa.Table]:
        yield trades(rising(30))
        raise error

    with small(), pytest.raises(type(error)):
        store.commit_sorted(DAY_OF_TRADES, source(), [ask(0, 20)])
    assert snapshot(tmp_path) == there


def test_a_draft_of_the_living_stays_and_one_of_the_dead_goes(tmp_path: Path) -> None:
    """Others may commit while rows come in; what a killed process left is gone after the next commit."""
    store = Store(tmp_path)
    folder = Path(store.folder(DAY_OF_TRADES))
    with small(), store.writer(DAY_OF_TRADES) as writer:
        writer.write(trades(rising(30)))
        (draft,) = folder.glob(".*.tmp")
        dead = folder / ".dead.tmp"
        dead.write_bytes(b"half a file")
        assert store.commit(DAY_OF_TRADES, trades([(50_000, "9000", 2.0)]), []).added == 1
        assert draft.exists()
        assert not dead.exists()
        done = writer.commit([ask(0, 15)])
    assert done == Committed(added=30, replaced=0, rows=31, changed=True)
    assert list(folder.glob("*.tmp")) == []
    assert stored(store) == [*rising(30), (50_000, "9000", 2.0)]


def test_a_draft_that_was_taken_for_dead_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its creation and its lock a draft looks like one that is left behind."""
    lock, seen = fcntl.flock, []

    def late(file: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not seen:
            (path,) = tmp_path.glob("p/.*.tmp")
            seen.append(path)
            os.unlink(path)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with drafts.Draft(tmp_path, f"{tmp_path}/p") as draft:
        assert Path(draft.path).exists()
        assert Path(draft.path) != seen[0]
    assert not any((tmp_path / "p").iterdir())


class Crash(BaseException):
    pass


def test_a_commit_that_dies_at_any_step_is_done_or_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without rows before: what is seen is the old state or the new one, and the next lock tidies up."""
    old, new = rising(8), rising(21)
    # The dead remove nothing; but their locks go with them.
    alive, discard = [True], drafts.Draft.discard
    monkeypatch.setattr(drafts.Draft, "discard", lambda self: discard(self) if alive[0] else self.close())
    for before in (False, True):
        for steps in range(200):
            store = Store(tmp_path / f"{before}{steps}", grace=0)
            reached: list[str] = []

            def fuse(name: str, steps: int = steps, reached: list[str] = reached) -> None:
                reached.append(name)
                if len(reached) > steps:
                    alive[0] = False
                    raise Crash(name)

            with small():
                if before:
                    store.commit_sorted(DAY_OF_TRADES, [trades(old)], [ask(0, 10)], files=[FILE])
                writer = store.writer(DAY_OF_TRADES)
                milestones.step = fuse
                try:
                    writer.write(trades(new))
                    writer.commit([ask(0, 25)])
                    died = False
                except Crash:
                    died = True
                finally:
                    milestones.step = lambda name: None
                    writer.abort()
                    alive[0] = True
                expected = new if "renamed" in reached else old if before else None
                table = store.read(DAY_OF_TRADES)
                assert (None if table is None else stored(store)) == expected
                store.commit(DAY_OF_TRADES, None, [])
                folder = Path(store.folder(DAY_OF_TRADES))
                if folder.exists():
                    names = {path.name for path in folder.iterdir() if not path.name.startswith(".g")}
                    assert names <= {".lock", "part.parquet"}
                store.commit_sorted(DAY_OF_TRADES, [trades(new)], [ask(0, 25)])
                assert stored(store) == new
            shutil.rmtree(tmp_path / f"{before}{steps}")
            if not died:
                break
        assert steps > 12


def test_what_lost_is_handed_over_before_anything_is_published(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with small():
        store.commit_sorted(DAY_OF_TRADES, [trades(rising(30))], [])
        before = snapshot(tmp_path)
        other = [(at, key, price + 0.5) for at, key, price in rising(30)]

        def refuse(lost: pa.Table, won: pa.Table) -> None:
            assert [row[2] + 0.5 for row in rising(30)][: len(won)] == won["price"].to_pylist()
            assert lost["trade_id"].to_pylist() == won["trade_id"].to_pylist()
            raise StoreError("no room for differences")

        with pytest.raises(StoreError, match="no room"):
            store.commit_sorted(DAY_OF_TRADES, [trades(other, received=D_LATE + 1)], [], on_replace=refuse)
        assert snapshot(tmp_path) == before
        done = store.commit_sorted(DAY_OF_TRADES, [trades(other, received=D_LATE + 1)], [])
    assert (done.added, done.replaced, stored(store)) == (0, 30, other)


def test_a_writer_is_used_once(tmp_path: Path) -> None:
    writer = Store(tmp_path).writer(DAY_OF_TRADES)
    writer.write(trades(rising(2)))
    writer.commit()
    writer.abort()
    for act in (writer.commit, lambda: writer.write(trades(rising(2)))):
        with pytest.raises(StoreError, match="closed"):
            act()


# --------------------------------------------------------------------------------------- large, and without rows


def test_a_verdict_leaves_the_bytes_of_the_rows_alone(tmp_path: Path) -> None:
    """The file is what encoding it all anew would give."""
    store, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    with small():
        store.commit_sorted(DAY_OF_TRADES, [trades(rising(50))], [ask(0, 10)])
        assert store.commit(DAY_OF_TRADES, None, [ask(0, 10)]).changed is False
        done = store.commit(DAY_OF_TRADES, None, [ask(10, 25), ask(25, 90)], files=[FILE])
        other.commit_sorted(
            DAY_OF_TRADES, [trades(rising(50))], [ask(0, 10), ask(10, 25), ask(25, 90)], files=[FILE]
        )
    assert done == Committed(rows=50, changed=True)
    assert part(store) == part(other)
    assert [(s.verdict, s.rows) for s in store.spans(DAY_OF_TRADES)] == [("present", 50), ("empty", 0)]


def test_a_few_rows_for_a_large_partition(tmp_path: Path) -> None:
    """In any order, with counts of unfit values: they are merged in without reading all of it at once."""
    with small():
        store = Store(tmp_path)
        store.commit_sorted(DAY_OF_TRADES, [trades(rising(50), unfit=[1] * 50)], [])
        few = [(30, "4001", 1.0), (3, "4000", 1.0), (3, "1006", 7.5)]
        done = store.commit(DAY_OF_TRADES, trades(few, unfit=[2, 3, 0]), [ask(0, 9)])
        assert done == Committed(added=2, replaced=1, rows=52, changed=True, unfit=5)
        assert {key: price for _, key, price in stored(store)}["1006"] == 7.5
        assert [table.num_rows for table in store.tables(DAY_OF_TRADES)] == [4] * 13
        names = [table["trade_id"].to_pylist() for table in store.tables(DAY_OF_TRADES, ["trade_id"])]
        assert [name for part_ in names for name in part_] == [row[1] for row in stored(store)]
        footer = store.footer(DAY_OF_TRADES)
        assert footer is not None
        assert footer.unfit == 55


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def full(self: Any, table: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows.Writer, "write", full)
    with small(), pytest.raises(StoreError, match="the disk is full"):
        store.commit_sorted(DAY_OF_TRADES, [trades(rising(50))], [])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


_GROWTH = """
import resource, sys
import numpy as np, pyarrow as pa
from htxdata.store import Store
from tests.store.build import DAY_OF_TRADES, D0, trades
from tests.store.test_stream import ask

pa.set_cpu_count(1)
count, lake = int(sys.argv[1]), sys.argv[2]
step = 50_000

def tables(first, last, late):
    rng = np.random.default_rng(7)
    base = trades([(0, "1", 1.0)] * step, words=True)
    for at in range(first, last, step):
        ids = np.arange(at, at + step)
        times = pa.array(D0 + ids * (86_400_000_000 // count)).cast(base.schema.field(0).type)
        table = base.set_column(0, base.schema.field(0), times)
        table = table.set_column(1, base.schema.field(1), pa.array(ids + 10**11).cast(pa.string()))
        table = table.set_column(3, base.schema.field(3), pa.array(np.round(rng.lognormal(-3, 1.5, step), 6)))
        yield table

store = Store(lake)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
store.commit_sorted(DAY_OF_TRADES, tables(0, 100_000, 0), [])
start = peak()
first = store.commit_sorted(DAY_OF_TRADES, tables(0, count, 0), [ask(0, 86_400_000)])
one = peak()
second = store.commit_sorted(DAY_OF_TRADES, tables(0, count, 1), [ask(0, 86_400_000)])
assert (first.rows, second.rows, second.changed) == (count, count, False), (first, second)
third = store.commit(DAY_OF_TRADES, None, [ask(0, 86_400_000, verdict="outage")])
print(start, one - start, peak() - start)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Ten times the rows, written, merged with what is there and restated, take the memory of a tenth of them."""
    growth = []
    for count in (2_000_000, 20_000_000):
        command = [sys.executable, "-c", _GROWTH, str(count), str(tmp_path / str(count))]
        done = subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
        growth.append([int(word) for word in done.stdout.split()])
        print(count, growth[-1])
    assert growth[1][2] < 250
    assert growth[1][2] < growth[0][2] + 60


def test_candle_files_are_as_they_always_were(tmp_path: Path) -> None:
    """Byte by byte what was written before trades had an encoding of their own, and a sum for every page."""
    import pyarrow.parquet as pq

    from htxdata.store import footer as footers

    table = candles(range(1000), [1.0 + place % 7 for place in range(1000)], volume=[0.5] * 1000)
    said = footers.Footer((footers.Span(T0, T0 + 60_000_000, "present", "rest", LATE, 1),), 3)
    floats = ("open", "high", "low", "close", "quote_volume", "contracts", "taker_buy_quote_volume")
    split = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    packed = dict.fromkeys(("open_time", "trade_count", "received_at"), "DELTA_BINARY_PACKED")
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, table.schema, compression="zstd", compression_level=1, use_dictionary=["source"],
        column_encoding={**split, **packed}, write_statistics=True, store_schema=False, write_page_checksum=True,
    ) as writer:  # fmt: skip
        writer.write_table(table.combine_chunks(), row_group_size=131_072)
        writer.add_key_value_metadata({"htxdata": footers.pack(said)})
    assert rows.pack(table, said).to_pybytes() == sink.getvalue().to_pybytes()
    assert "files" not in footers.pack(said)
