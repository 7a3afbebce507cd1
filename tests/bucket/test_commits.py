"""Commits to a bucket: what a local lake does, by several writers, in bad weather, and killed on the way."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import Asked, Store, bucket, milestones, open_lake
from htxdata.store.compact import compact_lake
from htxdata.timeline import HOUR, Window
from tests.bucket.conftest import client
from tests.bucket.server import Fault, Server, Weather
from tests.store.build import DAY_OF_TRADES, JANUARY, LATE, asked, candles, closes, said, trades

ROOT = Path(__file__).parents[2]


def keys(server: Server, place: str) -> list[str]:
    """What is in the bucket but what we keep beside the data."""
    found = client(server).list_objects_v2(Bucket=place).get("Contents", ())
    return [each["Key"] for each in found if "/.htxdata/" not in each["Key"]]


def put(method: str, path: str) -> bool:
    return method == "PUT" and path.endswith("part.parquet")


# ------------------------------------------------------------------------------------------------ the same lake


def test_commits_to_a_bucket_and_to_a_folder_leave_the_same_bytes(
    tmp_path: Path, lake: str, place: str, server: Server
) -> None:
    """Rows that are added, replaced, filled, only restated, and too many for memory: file by file the same lake."""
    stores = [Store(tmp_path), Store(lake)]
    done = []
    for store in stores:
        lost: list[int] = []

        def losers(old: Any, won: Any, lost: list[int] = lost) -> None:
            lost.append(len(old))

        done.append(
            [
                store.commit(JANUARY, candles(range(5), 1.0), [asked(0, 8)]),
                store.commit(JANUARY, candles(range(3, 9), 2.0), [asked(3, 9)], on_replace=losers),
                store.commit(JANUARY, None, [asked(20, 30, verdict="outage")]),
                store.commit(JANUARY, candles(range(3, 9), 2.0), [asked(3, 9)]),
                store.commit_sorted(
                    DAY_OF_TRADES,
                    (trades([(n, f"{n:06}", 1.0) for n in range(at, at + 6000)]) for at in range(0, 24_000, 6000)),
                ),
                store.commit_sorted(
                    DAY_OF_TRADES,
                    (trades([(n, f"{n:06}", 1.0) for n in range(at, at + 9000)]) for at in range(12_000, 39_000, 9000)),
                ),
                lost,
            ]
        )  # fmt: skip
    assert done[0] == done[1]
    assert done[0][-2].rows == 39_000
    assert closes(stores[1].read(JANUARY)) == closes(stores[0].read(JANUARY))
    other = client(server)
    for partition in (JANUARY, DAY_OF_TRADES):
        path = f"{partition.folder}/part.parquet"
        theirs = other.get_object(Bucket=place, Key=f"a/lake/{path}")["Body"].read()
        assert theirs == (tmp_path / path).read_bytes()
    assert stores[0].spans(JANUARY) == stores[1].spans(JANUARY)
    assert [str(series) for series in stores[0].series()] == [str(series) for series in stores[1].series()]
    with open_lake(tmp_path) as one, open_lake(lake) as two:
        for text in ("SELECT * FROM klines", "SELECT * FROM coverage", "SELECT count(*), max(trade_id) FROM trades"):
            assert one.sql(text).fetchall() == two.sql(text).fetchall()


def test_a_second_commit_of_the_same_writes_nothing_and_asks_once(lake: str, weather: Weather) -> None:
    """What docs/s3.md counts: a new partition 2 requests, one that does not change 1, one that changes 3, and for each
    partition once in a grace a listing. Once in a process 2 or 3 more, to see that the server heeds conditions."""
    store = Store(lake)
    counts = []
    for minutes in (range(3), range(3), range(5), range(7)):
        weather.asked.clear()
        store.commit(JANUARY, candles(minutes), [asked(minutes.start, minutes.stop)])
        counts.append([(method, re.match(r"\.?[a-z]+", path.rpartition("/")[2])[0]) for method, path in weather.asked])
    assert counts[0] == [("PUT", "conditions")] * 3 + [("GET", "part"), ("PUT", "part")]
    assert counts[1] == [("GET", "part")]
    assert counts[3] == [("GET", "part"), ("PUT", ".v"), ("PUT", "part")]
    assert counts[2] == [*counts[3], ("GET", "lakes")]


# ------------------------------------------------------------------------------------------------ several writers


@pytest.fixture
def writer(lake: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two children that are about to write every second minute."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.writer", lake, "2", "10", "900"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    yield children
    for child in children:
        child.kill()
        child.communicate()


def test_of_two_processes_that_commit_to_one_partition_no_row_is_lost(
    lake: str, writer: list[subprocess.Popen[bytes]]
) -> None:
    """Each tells the minutes that it committed: all of them are there, whoever was refused and began again."""
    for first, child in enumerate(writer):
        assert child.stdin is not None
        child.stdin.write(b"%d\n" % first)
        child.stdin.flush()
    told = {int(line) for child in writer for line in (child.stdout or ())}
    assert told == set(range(20))
    assert closes(Store(lake).read(JANUARY)) == {minute: float(minute) for minute in range(20)}
    assert said(Store(lake).spans(JANUARY)) == [(0, 20, "present", 20)]


@pytest.mark.wide
def test_of_many_threads_none_loses_an_update(lake: str, weather: Weather) -> None:
    """80 commits of four threads to one partition: all there, and some were refused on the way."""
    stores = [Store(lake) for _ in range(4)]

    def work(number: int) -> None:
        for minute in range(number, 80, 4):
            stores[number].commit(JANUARY, candles([minute], float(minute)), [asked(minute, minute + 1)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert closes(stores[0].read(JANUARY)) == {minute: float(minute) for minute in range(80)}
    assert said(stores[0].spans(JANUARY)) == [(0, 80, "present", 80)]
    assert sum(put(*each) for each in weather.asked) > 80, "nobody was ever outrun: this test shows nothing"


@pytest.mark.parametrize("way", ["the first", "a merge", "by a verdict"])
def test_a_staged_commit_that_is_outrun_begins_again(lake: str, weather: Weather, way: str) -> None:
    """Rows that wait on the disk are merged with what the other wrote, and its footer is kept as well."""
    store, other = Store(lake), Store(lake)
    if way == "a merge":
        store.commit(DAY_OF_TRADES, trades([(0, "000000", 9.0)]))
    new = trades([(5, "000005", 9.0), (70_000, "070000", 9.0)])
    window = Window(DAY_OF_TRADES.window.start, DAY_OF_TRADES.window.start + HOUR)
    rival = [None if way == "by a verdict" else new]

    def outrun(method: str, path: str) -> None:
        if put(method, path) and rival:
            other.commit(DAY_OF_TRADES, rival.pop(), [Asked(window, "rest", LATE, "outage")])

    weather.before = outrun
    tables = (trades([(n, f"{n:06}", 1.0) for n in range(at, at + 10_000)]) for at in range(0, 20_000, 10_000))
    done = store.commit_sorted(DAY_OF_TRADES, tables)
    weather.before = None
    assert not rival
    more = [] if way == "by a verdict" else ["070000"]
    assert done.rows == 20_000 + len(more)
    table = store.read(DAY_OF_TRADES)
    assert table is not None
    assert table["trade_id"].to_pylist() == [*(f"{n:06}" for n in range(20_000)), *more]
    (span,) = store.spans(DAY_OF_TRADES)
    assert (span.start, span.end, span.source) == (window.start, window.end, "rest")


# ------------------------------------------------------------------------------------------------ bad weather


def test_a_busy_server_is_asked_again_and_a_cut_body_too(lake: str, weather: Weather) -> None:
    """SlowDown, 500, a body that breaks off: the commit and the reading end as if nothing had been."""
    store = Store(lake)
    store.commit(JANUARY, candles(range(3), 1.0), [asked(0, 3)])
    weather.faults += [
        Fault(503, "SlowDown", times=2),
        Fault(500, "InternalError", put),
        Fault(200, "", lambda method, path: method == "GET" and path.endswith(".parquet"), cut=True),
    ]
    store.commit(JANUARY, candles(range(5), 2.0), [asked(0, 5)])
    assert closes(store.read(JANUARY)) == dict.fromkeys(range(5), 2.0)
    assert [fault.times for fault in weather.faults] == [0, 0, 0]


def test_a_server_that_stays_busy_ends_the_command_and_nothing_is_lost(
    lake: str, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within bounds: two attempts here, six by default."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    store = Store(lake)
    store.commit(JANUARY, candles(range(3), 1.0))
    weather.faults.append(Fault(503, "SlowDown", put, times=99))
    with pytest.raises(StoreError, match=r"too busy for s3://.*SlowDown, asked 2 times.*run it again later"):
        store.commit(JANUARY, candles(range(5), 2.0))
    assert weather.faults.pop().times == 97
    assert closes(store.read(JANUARY)) == dict.fromkeys(range(3), 1.0)


def test_a_write_whose_answer_was_lost_is_known_for_our_own(lake: str, weather: Weather) -> None:
    """The server did it and the client did not hear: repeated, it is refused, and yet counted as done once."""
    store = Store(lake)
    for rows in (3, 5):
        weather.faults.append(Fault(500, "InternalError", put, lost=True))
        done = store.commit(JANUARY, candles(range(rows), 1.0))
        assert (done.changed, done.rows) == (True, rows)
        assert weather.faults.pop().times == 0
    assert closes(store.read(JANUARY)) == dict.fromkeys(range(5), 1.0)


def test_a_server_that_ignores_conditions_is_refused_before_anything_is_written(
    lake: str, place: str, server: Server, weather: Weather
) -> None:
    weather.deaf = True
    with pytest.raises(LakeUnusable, match="ignores conditional writes"):
        Store(lake).commit(JANUARY, candles(range(3)))
    assert keys(server, place) == []


# ------------------------------------------------------------------------------------------------ who dies


class _Killed(BaseException):
    """Not an Exception: nothing may catch it and tidy up."""


@pytest.mark.parametrize(
    "large", [False, pytest.param(True, marks=pytest.mark.wide)], ids=["at once", "staged"]
)
def test_a_commit_that_dies_is_there_wholly_or_not_at_all(
    lake: str, place: str, server: Server, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """At every step that a commit says: what is there before or after it, no other object that a reader would see, and
    the same commit again ends as if nothing had been."""
    store = Store(lake, grace=0)
    before = dict.fromkeys(range(3), 1.0)
    count = 20_000 if large else 5

    def commit() -> None:
        new = candles(range(count), 2.0)
        if large:
            store.commit_sorted(JANUARY, [new])
        else:
            store.commit(JANUARY, new)

    steps: list[str] = []
    monkeypatch.setattr(milestones, "step", steps.append)
    store.commit(JANUARY, candles(range(3), 1.0))
    commit()
    assert "kept" in steps
    assert steps.index("kept") < steps.index("renamed", steps.index("kept"))
    for die in sorted(set(steps)):
        client(server).delete_object(Bucket=place, Key=f"a/lake/{JANUARY.folder}/part.parquet")
        monkeypatch.setattr(milestones, "step", lambda name: None)
        store.commit(JANUARY, candles(range(3), 1.0))

        def step(name: str, die: str = die) -> None:
            if name == die:
                raise _Killed(name)

        monkeypatch.setattr(milestones, "step", step)
        with contextlib.suppress(_Killed):
            commit()
        found = closes(store.read(JANUARY))
        assert found == (dict.fromkeys(range(count), 2.0) if die in ("renamed", "done", "unlinked") else before), die
        seen = [key.rpartition("/")[2] for key in keys(server, place)]
        assert [name for name in seen if not name.startswith(".")] == ["part.parquet"]
        monkeypatch.setattr(milestones, "step", lambda name: None)
        commit()
        assert closes(store.read(JANUARY)) == dict.fromkeys(range(count), 2.0)
    scratch = Path(store.verbs.scratch(""))
    assert [path.name for path in scratch.iterdir()] == []


def test_what_a_killed_process_left_on_this_machine_goes_when_the_next_begins(lake: str, place: str) -> None:
    """Its rows lay in a local file that nobody holds."""
    scratch = Path(bucket.Bucket(place).scratch(""))
    (scratch / ".dead.tmp").write_bytes(b"half")
    with bucket.Bucket(place).draft(lake, "") as alive:
        again = bucket.Bucket(place).scratch("")
        assert [f"{again}/{name}" for name in os.listdir(again)] == [alive.path]


# ------------------------------------------------------------------------------------------------ compaction


def test_compaction_absorbs_a_foreign_file_once_and_then_does_nothing(
    tmp_path: Path, lake: str, place: str, server: Server
) -> None:
    """Its rows are ours, it is gone, superseded generations are gone; a second run changes no object."""
    store = Store(lake, grace=0)
    store.commit(JANUARY, candles(range(3), 1.0), [asked(0, 3)])
    folder = f"a/lake/{JANUARY.folder}"
    with Store(tmp_path).writer(JANUARY) as writer:
        writer.write(candles(range(2, 6), 1.0))
        writer.commit()
    foreign = (tmp_path / JANUARY.folder / "part.parquet").read_bytes()
    other = client(server)
    other.put_object(Bucket=place, Key=f"{folder}/theirs.parquet", Body=foreign)
    done = compact_lake(store)
    assert (done.absorbed, done.left) == (1, [])
    assert closes(store.read(JANUARY)) == dict.fromkeys(range(6), 1.0)
    compact_lake(store)
    before = [(e["Key"], e["ETag"], e["LastModified"]) for e in other.list_objects_v2(Bucket=place)["Contents"]]
    again = compact_lake(store)
    assert not again.changed
    assert [(e["Key"], e["ETag"], e["LastModified"]) for e in other.list_objects_v2(Bucket=place)["Contents"]] == before
    assert [key.rpartition("/")[2] for key in keys(server, place)] == ["part.parquet"]


@pytest.mark.wide
def test_a_compaction_that_dies_after_it_hid_a_foreign_file_is_finished_by_the_next(
    tmp_path: Path, lake: str, place: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it dies, no row of it is lost and none is seen twice."""
    store = Store(lake, grace=0)
    Store(tmp_path).commit(JANUARY, candles(range(2, 6), 1.0))
    foreign = (tmp_path / JANUARY.folder / "part.parquet").read_bytes()
    other = client(server)
    for die in ("hidden", "kept", "synced", "renamed", "absorbed"):
        store.commit(JANUARY, candles(range(3), 1.0))
        other.put_object(Bucket=place, Key=f"a/lake/{JANUARY.folder}/theirs.parquet", Body=foreign)

        def step(name: str, die: str = die) -> None:
            if name == die:
                raise _Killed(name)

        monkeypatch.setattr(milestones, "step", step)
        with pytest.raises(_Killed):
            compact_lake(store)
        monkeypatch.setattr(milestones, "step", lambda name: None)
        seen = [key.rpartition("/")[2] for key in keys(server, place)]
        assert [name for name in seen if not name.startswith(".")] == ["part.parquet"], die
        assert compact_lake(store).left == []
        assert closes(store.read(JANUARY)) == dict.fromkeys(range(6), 1.0), die
        compact_lake(store)
        assert [key.rpartition("/")[2] for key in keys(server, place)] == ["part.parquet"], die
        other.delete_object(Bucket=place, Key=f"a/lake/{JANUARY.folder}/part.parquet")
