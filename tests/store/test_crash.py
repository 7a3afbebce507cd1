"""Random commits that may die between any two steps: whoever reads sees a committed state, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from htxdata.store import Partition, Store, milestones, open_lake
from tests.store.build import JANUARY, LATE, T0, asked, candles, closes

REVISIONS = Partition("kline_revisions", JANUARY.venue, JANUARY.symbol, JANUARY.period, JANUARY.label)
VISIBLE = ("renamed", "committed", "done")


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What survives lost power is the matter of test_power.py; a third of the time here was fsync."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


class Crash(BaseException):
    """Not an Exception: nothing may catch it and tidy up."""


class Fuse:
    """Stands in for ``milestones.step``; dies at the n-th step from now, and remembers which steps were reached."""

    def __init__(self, steps: int | None = None) -> None:
        self.left, self.reached = steps, []  # type: ignore[var-annotated]

    def __call__(self, name: str) -> None:
        self.reached.append(name)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash(name)


Version = tuple[float, int]  # close, received_at


class Commits(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="crash-"))
        # Three writers of one lake, one of which forgets superseded generations at once.
        self.stores = [Store(self.root), Store(self.root), Store(self.root, grace=0)]
        self.rows: dict[int, Version] = {}
        self.before: dict[int, Version] = {}  # the state that was committed before this one
        self.verdicts: dict[int, str] = {}
        self.revised: set[tuple[int, float]] = set()
        self.clock = 0
        self.healed = True
        self.lake = open_lake(self.root)  # once: a reader must see what is written after it opened
        self.duck = duckdb.connect(config={"threads": 1})

    def teardown(self) -> None:
        milestones.step = lambda name: None
        if hasattr(self, "lake"):
            self.lake.close()
            self.duck.close()
        shutil.rmtree(getattr(self, "root", "/nonexistent"), ignore_errors=True)

    @rule(
        store=st.integers(0, 2),
        minutes=st.lists(st.integers(0, 12), max_size=6),
        close=st.sampled_from([1.0, 2.0, 3.0]),
        first=st.integers(0, 12),
        length=st.integers(0, 6),
        verdict=st.sampled_from(["empty", "outage"]),
        aged=st.booleans(),
        crash=st.none() | st.integers(0, 14),
    )
    def commit(
        self, store: int, minutes: list[int], close: float, first: int, length: int, verdict: str, aged: bool,
        crash: int | None,
    ) -> None:  # fmt: skip
        self.clock += 1
        at = LATE + (-self.clock if aged else self.clock)
        rows, verdicts, lost = dict(self.rows), dict(self.verdicts), set()
        for minute in minutes:
            old = rows.get(minute)
            if old is None or (old[0] != close and at >= old[1]):
                rows[minute] = (close, at)
            if old is not None and old[0] != close:
                lost.add((minute, old[0] if at >= old[1] else close))
        for minute in range(first, first + length):
            verdicts[minute] = "present" if minute in rows else verdict
        fuse = milestones.step = Fuse(crash)
        writer = self.stores[store]
        inside: list[int] = []

        def revise(old: pa.Table, won: pa.Table) -> None:
            writer.commit(REVISIONS, old, [])
            inside.append(len(fuse.reached))

        try:
            done = writer.commit(
                JANUARY, candles(minutes, close, received=at), [asked(first, first + length, verdict=verdict)],
                on_replace=revise,
            )  # fmt: skip
        except Crash:
            own = fuse.reached[inside[0] :] if inside else ([] if lost else fuse.reached)
            visible = "renamed" in own
            self.healed = False
        else:
            assert done.rows == len(rows)
            assert done.added == len(rows) - len(self.rows)
            assert done.changed == ("renamed" in (fuse.reached[inside[0] :] if inside else fuse.reached))
            visible, self.healed = True, True
            self.revised |= lost
        finally:
            milestones.step = lambda name: None
        if visible:
            if rows != self.rows:
                self.before = self.rows
            self.rows, self.verdicts = rows, verdicts

    @precondition(lambda self: not self.healed)
    @rule(crash=st.none() | st.integers(0, 4))
    def heal(self, crash: int | None) -> None:
        """A commit of nothing finishes what the dead one left; it may die as well."""
        milestones.step = Fuse(crash)
        try:
            self.stores[0].commit(JANUARY, None, [])
            self.stores[0].commit(REVISIONS, None, [])
            self.healed = True
        except Crash:
            pass
        finally:
            milestones.step = lambda name: None

    @invariant()
    def readers_agree(self) -> None:
        if not hasattr(self, "root"):
            return
        table = self.stores[1].read(JANUARY)
        mine = {} if table is None else closes(table)
        assert mine == {minute: version[0] for minute, version in self.rows.items()}
        if table is not None:
            assert table["received_at"].cast("int64").to_pylist() == [
                self.rows[m][1] for m in sorted(self.rows)
            ]
        seen = self.lake.klines("BTC-USDT").select("epoch_us(open_time), close").fetchall()
        assert {(at - T0) // 60_000_000: close for at, close in seen} == mine
        assert len(seen) == len(mine)
        spoken = {
            minute: span.verdict
            for span in self.stores[1].spans(JANUARY)
            for minute in range((span.start - T0) // 60_000_000, (span.end - T0) // 60_000_000)
        }
        assert spoken == self.verdicts
        kept = self.stores[1].read(REVISIONS)
        revised = set() if kept is None else {
            ((at - T0) // 60_000_000, close)
            for at, close in zip(kept["open_time"].cast("int64").to_pylist(), kept["close"].to_pylist(), strict=True)
        }  # fmt: skip
        assert self.revised <= revised

    @invariant()
    def strangers_see_a_committed_state(self) -> None:
        """A glob over ``*.parquet`` shows this state or, where a commit died on its last steps, the one before."""
        if not hasattr(self, "root") or not list(self.root.glob("klines/**/part.parquet")):
            return
        states: list[Any] = [{m: v[0] for m, v in state.items()} for state in (self.rows, self.before)]
        glob = f"{self.root}/klines/**/*.parquet"
        rows = self.duck.sql(f"SELECT epoch_us(open_time), close FROM read_parquet('{glob}')").fetchall()
        arrow = ds.dataset(self.root / "klines", format="parquet", partitioning="hive").to_table()
        other = list(
            zip(arrow["open_time"].cast("int64").to_pylist(), arrow["close"].to_pylist(), strict=True)
        )
        for found in (rows, other):
            assert len(found) == len({at for at, _ in found}), "no row twice"
            got = {(at - T0) // 60_000_000: close for at, close in found}
            assert got in (states[:1] if self.healed else states)

    @invariant()
    def nothing_is_left_over(self) -> None:
        if not hasattr(self, "root") or not self.healed:
            return
        for folder in {path.parent for path in self.root.glob("klines/**/.lock")}:
            generations = sorted(folder.glob(".g*.pq"))
            names = {path.name for path in folder.iterdir()} - {path.name for path in generations}
            assert names <= {".lock", "part.parquet"}
            if generations:
                assert generations[-1].samefile(folder / "part.parquet")


Commits.TestCase.settings = settings(max_examples=20, stateful_step_count=12)
TestCommits = Commits.TestCase


@pytest.mark.parametrize("steps", range(12))
def test_a_commit_that_dies_at_any_step_is_done_or_not_done(tmp_path: Path, steps: int) -> None:
    """Every single step once, by name: before the rename nothing happened, after it all of it did."""
    store = Store(tmp_path, grace=0)
    for minute in (1, 2):
        store.commit(JANUARY, candles([minute]), [asked(minute, minute + 1)])
    fuse = milestones.step = Fuse(steps)
    try:
        store.commit(JANUARY, candles([3]), [asked(3, 4)])
        died = False
    except Crash:
        died = True
    finally:
        milestones.step = lambda name: None
    assert died == (steps < 10), fuse.reached
    there = {1: 1.5, 2: 1.5, 3: 1.5} if "renamed" in fuse.reached else {1: 1.5, 2: 1.5}
    assert closes(store.read(JANUARY)) == there
    store.commit(JANUARY, None, [])
    names = sorted(path.name for path in (tmp_path / JANUARY.folder).iterdir())
    assert names[1:] == [".lock", "part.parquet"]
    again = store.commit(JANUARY, candles([3]), [asked(3, 4)])
    assert again.changed == (len(there) == 2)
