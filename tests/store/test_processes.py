"""Real processes on one partition: killed, racing, and read meanwhile."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from htxdata.store import Store, open_lake
from tests.store.build import JANUARY, T0, closes, said

ROOT = Path(__file__).parents[2]


Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Spawn]:
    """Starts a child that imports while we do something else; :func:`go` lets it write. None outlives the test."""
    children: list[subprocess.Popen[bytes]] = []

    def spawn(count: int, grace: int = 900) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-m", "tests.store.writer", str(tmp_path), "2", str(count), str(grace)]
        child = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children.append(child)
        return child

    yield spawn
    for child in children:
        child.kill()
        child.communicate() if child.stdin and not child.stdin.closed else child.wait()
        if child.stdout:
            child.stdout.close()


def go(child: subprocess.Popen[bytes], first: int) -> None:
    assert child.stdin is not None
    with child.stdin:
        child.stdin.write(b"%d\n" % first)


def acknowledged(child: subprocess.Popen[bytes]) -> set[int]:
    assert child.stdout is not None
    with child.stdout:
        return {int(line) for line in child.stdout.read().splitlines() if line.isdigit()}


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, writer: Spawn) -> None:
    """Some writers of one partition, killed in the middle of their work, at times two at once."""
    dice = random.Random(5)
    told: set[int] = set()
    first = 0
    coming = [writer(1000)]
    turns = 6
    for turn in range(turns):
        following = 0 if turn == turns - 1 else 1 + (turn % 4 == 1)
        children, coming = coming, [writer(1000, grace=turn % 2) for _ in range(following)]
        for place, child in enumerate(children):
            go(child, first + place)
        for child in children:
            assert child.stdout is not None
            told.add(int(child.stdout.readline()))  # the first is slow: it imports
        time.sleep(dice.uniform(0.001, 0.15))
        for child in children:
            child.kill()
        for child in children:
            child.wait()
            told |= acknowledged(child)
        store = Store(tmp_path)
        table = store.read(JANUARY)
        got = {} if table is None else closes(table)
        assert told <= set(got), "nothing that was acknowledged is lost"
        assert all(minute == close for minute, close in got.items())
        covered = {
            minute for begin, end, verdict, _ in said(store.spans(JANUARY)) for minute in range(begin, end)
            if verdict == "present"
        }  # fmt: skip
        assert covered == set(got), "rows and what they prove are one"
        first = max([*got, first]) // 2 * 2 + 2
    assert len(told) >= 10
    store.commit(JANUARY, None, [])
    folder = tmp_path / JANUARY.folder
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".g")} == {
        ".lock",
        "part.parquet",
    }
    assert set(closes(pq.read_table(folder / "part.parquet", partitioning=None))) == set(got)


def test_two_processes_lose_nothing_and_readers_see_no_seam(tmp_path: Path, writer: Spawn) -> None:
    """60 commits each on one partition; beside them our readers never fail, and never see a row go or come twice."""
    children = [writer(60) for _ in range(2)]
    for place, child in enumerate(children):
        go(child, place)
    lake, store = open_lake(tmp_path), Store(tmp_path)
    plain = duckdb.connect()
    seen, queries, strangers, refused = 0, 0, 0, 0
    while any(child.poll() is None for child in children):
        rows = lake.klines("BTC-USDT").select("epoch_us(open_time) AS at, close").fetchall()
        assert len(rows) == len(set(rows)) >= seen, "no row twice, none that was there is gone"
        assert all((at - T0) // 60_000_000 == close for at, close in rows)
        seen = len(rows)
        assert lake.sql("SELECT count(*) FROM klines").fetchall()[0][0] >= seen
        table = store.read(JANUARY)
        if table is not None:
            assert len(closes(table)) >= seen
            assert sum(span.rows for span in store.spans(JANUARY)) >= table.num_rows
            try:  # a stranger may be refused, loudly; what he gets is whole
                glob = f"{tmp_path}/klines/**/*.parquet"
                total, distinct = plain.sql(
                    f"SELECT count(*), count(DISTINCT open_time) FROM read_parquet('{glob}')"
                ).fetchall()[0]  # fmt: skip
                assert total == distinct >= seen - 1, "a commit is ours first, one step before it is theirs"
                strangers += 1
            except duckdb.Error:
                refused += 1
        queries += 1
    for child in children:
        assert child.wait() == 0
    assert [len(acknowledged(child)) for child in children] == [60, 60]
    assert closes(store.read(JANUARY)) == {minute: float(minute) for minute in range(120)}
    assert said(store.spans(JANUARY)) == [(0, 120, "present", 120)]
    assert queries > 3
    assert strangers > 0
    print(f"{queries} rounds of our readers; strangers: {strangers} answered, {refused} refused")
