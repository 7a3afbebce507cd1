"""Compaction: one file for a partition, laid out as it should be, with the same rows and the same footer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.cli import main
from htxdata.errors import CorruptPartition, RowsLost
from htxdata.ingest.revisions import keeper
from htxdata.schema import dataset
from htxdata.store import Partition, Store, disk, drafts, footer, milestones, open_lake, rows
from htxdata.store.aside import Digest
from htxdata.store.compact import Compacted, compact, compact_lake
from htxdata.store.whole import whole
from tests.store.build import D_LATE, DAY_OF_TRADES, JANUARY, asked, candles, closes, trades
from tests.store.test_partition import snapshot
from tests.store.test_stream import FILE, ask, part, rising, small, stored

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What survives lost power is the matter of test_power.py."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def write_anew(store: Store, where: Partition, table: pa.Table | None = None, **how: Any) -> None:
    """Put the rows of a partition into its newest generation as some other tool would, the footer kept."""
    path = newest(store, where)
    said = pq.read_metadata(path).metadata[footer.KEY]
    table = pq.read_table(path, partitioning=None) if table is None else table
    path.unlink()
    Path(store.folder(where), "part.parquet").unlink()
    with pq.ParquetWriter(path, table.schema, **how) as writer:
        writer.write_table(table, row_group_size=how.pop("row_group_size", 7))
        writer.add_key_value_metadata({footer.KEY.decode(): said.decode()})
    os.link(path, Path(store.folder(where), "part.parquet"))


def newest(store: Store, where: Partition) -> Path:
    found = disk.newest(store.folder(where))
    assert found is not None
    return Path(found.path)


def lake(root: Path, grace: float = 900, count: int = 50) -> Store:
    """A day of trades and a month of candles, each in one canonical file."""
    store = Store(root, grace=grace)
    store.commit(
        DAY_OF_TRADES, trades(rising(count), unfit=[1] * count), [ask(0, 25), ask(30, 40)], files=[FILE]
    )
    store.commit(JANUARY, candles(range(40), [1.0 + m for m in range(40)]), [asked(0, 60)])
    return store


def test_what_commits_leave_is_compact(tmp_path: Path) -> None:
    """In memory, streamed, merged, restated, empty: there is nothing to do, and nothing is touched."""
    with small():
        for place, large in enumerate((5, 10_000)):
            store = lake(tmp_path / str(place))
            with small(large=large):
                store.commit_sorted(DAY_OF_TRADES, [trades(rising(90))], [ask(0, 45)])
                store.commit(DAY_OF_TRADES, trades([(3, "9000", 1.0)]), [])
                store.commit(DAY_OF_TRADES, None, [ask(50, 60)])
                store.commit(replace(DAY_OF_TRADES, label="2024-01-06"), None, [ask(86_400_000, 86_400_001)])
            before = snapshot(tmp_path)
            report = compact_lake(store, keeper=keeper)
            assert snapshot(tmp_path) == before
            assert (report.partitions, report.rows, report.changed, report.left) == (3, 131, False, [])


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"compression": "zstd"},
        {"compression": "zstd", "use_dictionary": False},
        {"write_statistics": False},
    ],
    ids=["snappy", "zstd", "plain", "no statistics"],
)
def test_another_layout_becomes_ours(tmp_path: Path, how: dict[str, Any]) -> None:
    """Byte by byte what a commit of the rows writes, footer and all; a second run does nothing."""
    with small(group=16):
        store = lake(tmp_path)
        expected = {where: part(store, where) for where in (DAY_OF_TRADES, JANUARY)}
        for where in expected:
            write_anew(store, where, **how)
            assert part(store, where) != expected[where]
        first = compact_lake(store)
        assert (first.rewritten, first.rows, first.left) == (2, 90, [])
        assert {where: part(store, where) for where in expected} == expected
        assert first.after == sum(map(len, expected.values()))
        before = snapshot(tmp_path)
        second = compact_lake(store)
        assert not second.changed
        assert snapshot(tmp_path) == before


def test_least_and_greatest_are_told_of_what_groups_differ_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers pass over groups by them: of times and figures they are there, of the few words that each group has they
    are not. A file of an htxdata that wrote these too is no other layout: it is not written anew."""

    def told() -> set[str]:
        group = pq.read_metadata(newest(store, DAY_OF_TRADES)).row_group(0)
        columns = [group.column(at) for at in range(group.num_columns)]
        return {column.path_in_schema for column in columns if column.is_stats_set}

    with small(group=16):
        store = lake(tmp_path)
        names = set(pq.read_metadata(newest(store, DAY_OF_TRADES)).schema.to_arrow_schema().names)
        assert told() == names - {"side", "source"}
        real = pq.ParquetWriter
        monkeypatch.setattr(pq, "ParquetWriter", lambda *a, **k: real(*a, **{**k, "write_statistics": True}))
        shutil.rmtree(tmp_path)
        store = lake(tmp_path)
        assert told() == names
        monkeypatch.setattr(pq, "ParquetWriter", real)
        before = snapshot(tmp_path)
        assert not compact_lake(store).changed
        assert snapshot(tmp_path) == before


def test_a_file_without_a_younger_column_gets_it(tmp_path: Path) -> None:
    """NULL in every row; and a column that only a newer htxdata knows stays."""
    store = lake(tmp_path)
    table = pq.read_table(newest(store, JANUARY), partitioning=None)
    older = table.drop_columns(["trade_count"]).append_column("mood", pa.array([f"m{n}" for n in range(40)]))
    write_anew(store, JANUARY, older)
    assert compact(store, JANUARY).rewritten
    now = pq.read_table(newest(store, JANUARY), partitioning=None)
    assert now.column_names == [*dataset("klines").columns, "mood"]
    assert now["mood"].to_pylist() == [f"m{n}" for n in range(40)]
    assert now["trade_count"].null_count == 40
    assert not compact(store, JANUARY).changed


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    """By time, and by key where the time is one."""
    with small():
        store = lake(tmp_path)
        expected = stored(store), part(store)
        for order in ([*range(25, 50), *range(25)], [1, 0, *range(2, 50)]):
            write_anew(
                store,
                DAY_OF_TRADES,
                pq.read_table(newest(store, DAY_OF_TRADES), partitioning=None).take(order),
            )
            assert compact(store, DAY_OF_TRADES) == Compacted(
                True, rows=50, before=compact_size(store), after=len(expected[1])
            )
            assert (stored(store), part(store)) == expected


def compact_size(store: Store) -> int:
    """Bytes of the generation before the newest."""
    generations = sorted(Path(store.folder(DAY_OF_TRADES)).glob(".g*.pq"))
    return generations[-2].stat().st_size


def test_a_key_that_comes_twice_is_left_to_a_human(tmp_path: Path) -> None:
    store = lake(tmp_path)
    table = pq.read_table(newest(store, JANUARY), partitioning=None)
    write_anew(store, JANUARY, pa.concat_tables([table, table.slice(3, 1)]))
    before = snapshot(tmp_path)
    report = compact_lake(store)
    assert [why.rpartition(": ")[2][:23] for _, _, why in report.left] == ["a key comes twice in it"]
    assert snapshot(tmp_path) == before


def test_a_broken_file_stops_nothing_else(tmp_path: Path) -> None:
    """It is named with its path, and the other partitions are compacted."""
    store = lake(tmp_path)
    write_anew(store, DAY_OF_TRADES)
    path = newest(store, JANUARY)
    path.chmod(0o644)
    path.write_bytes(b"PAR1 is how it begins")
    with pytest.raises(CorruptPartition):
        compact(store, JANUARY)
    report = compact_lake(store)
    assert report.rewritten == 1
    assert [(series, label, str(path) in why) for series, label, why in report.left] == [
        (JANUARY.series, "2024-01", True)
    ]


# ------------------------------------------------------------------------------------------------- leftovers


def test_what_the_dead_left_goes(tmp_path: Path) -> None:
    """Unfinished writes and old generations go; drafts of the living and what the grace protects stay."""
    store = lake(tmp_path)
    store.commit(DAY_OF_TRADES, trades([(90, "8000", 1.0)]), [])
    folder = Path(store.folder(DAY_OF_TRADES))
    (folder / ".dead.tmp").write_bytes(b"half")
    hidden = tmp_path / ".htxdata"
    hidden.mkdir(exist_ok=True)
    (hidden / "below").mkdir()
    with drafts.Draft(tmp_path, str(folder)) as draft, whole(hidden / "cache") as written:
        for at in (hidden, hidden / "below"):
            (at / ".htxdata-dead.tmp").write_bytes(b"half")
        assert compact_lake(store).removed == 3
        assert Path(draft.path).exists()
        assert list(hidden.rglob(".*.tmp")) == [Path(written.name)]
    assert len(list(folder.glob(".g*.pq"))) == 2
    impatient = Store(tmp_path, grace=0)
    assert compact(impatient, DAY_OF_TRADES).removed == 1
    assert sorted(path.name for path in folder.iterdir()) == [".g000000002.pq", ".lock", "part.parquet"]


# ---------------------------------------------------------------------------------------------- foreign files


def foreign(store: Store, where: Partition, table: pa.Table, name: str = "data_0.parquet") -> Path:
    path = Path(store.folder(where), name)
    pq.write_table(table, path)
    return path


def test_a_foreign_file_is_merged_in(tmp_path: Path) -> None:
    """Its new rows come in, equal ones are one, of two versions the later is kept and the other noted."""
    store = lake(tmp_path)
    more = trades(
        [(700, "9001", 1.0), (0, "1000", 1.0), (0, "1001", 9.5)], source="rest", received=D_LATE + 1
    )
    path = foreign(store, DAY_OF_TRADES, more)
    report = compact_lake(store, keeper=keeper)
    assert (report.absorbed, report.rewritten, report.rows, report.left) == (1, 0, 91, [])
    assert not path.exists()
    rows_ = rising(50)
    rows_[1] = (0, "1001", 9.5)
    assert stored(store) == [*rows_, (700, "9001", 1.0)]
    said = store.footer(DAY_OF_TRADES)
    assert said is not None
    assert (said.unfit, said.files) == (50, (FILE,))
    assert [(s.verdict, s.rows) for s in said.spans] == [("present", 50), ("empty", 0)]
    assert pq.read_table(Path(store.folder(DAY_OF_TRADES), "part.parquet"), partitioning=None).num_rows == 51
    with open_lake(tmp_path) as front:
        found = front.sql(
            "select row_key, kept, dropped, kept_source, dropped_source from source_differences"
        )
        assert found.fetchall() == [("1001", 9.5, 2.0, "rest", "archive")]
    before = snapshot(tmp_path)
    assert not compact_lake(store, keeper=keeper).changed
    assert snapshot(tmp_path) == before


def test_a_copy_of_the_partition_goes(tmp_path: Path) -> None:
    """It says nothing new; of a copy that knows more, rows and verdicts come in."""
    store, other = lake(tmp_path / "one"), lake(tmp_path / "other")
    other.commit(
        DAY_OF_TRADES, trades([(41, "7000", 1.0)]), [ask(40, 90), ask(90, 95, verdict="unobtainable")]
    )
    folder = Path(store.folder(DAY_OF_TRADES))
    shutil.copy(folder / "part.parquet", folder / "part (1).parquet")
    before = part(store)
    assert compact(store, DAY_OF_TRADES).absorbed == 1
    assert part(store) == before
    shutil.copy(newest(other, DAY_OF_TRADES), folder / "part (2).parquet")
    assert compact(store, DAY_OF_TRADES).absorbed == 1
    assert part(store) == part(other)
    assert sorted(path.name for path in folder.glob("*.parquet")) == ["part.parquet"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.drop_columns(["side"]), "it has no column 'side'"),
        (lambda t: t.append_column("mood", pa.array(["good"])), "trades has no column 'mood'"),
        (lambda t: t.append_column("symbol", pa.array(["ethusdt"])), "it holds another symbol than btcusdt"),
        (lambda t: trades([(86_400_000, "1", 1.0)]), "it holds rows outside"),
        (lambda t: t.set_column(2, "price", pa.array([float("nan")])), "is no number"),
        (lambda t: t.set_column(0, "trade_time", pa.array([1], pa.timestamp("us"))), "says no time zone"),
    ],
)
def test_what_does_not_belong_is_left_alone(tmp_path: Path, change: Any, why: str) -> None:
    store = lake(tmp_path)
    path = foreign(store, DAY_OF_TRADES, change(trades([(5, "5", 1.0)])))
    before = snapshot(tmp_path)
    report = compact_lake(store)
    assert [(label, str(path) in text, why in text) for _, label, text in report.left] == [
        ("2024-01-05", True, True)
    ]
    assert snapshot(tmp_path) == before


def test_no_file_of_ours_nothing_done(tmp_path: Path) -> None:
    store = Store(tmp_path)
    Path(store.folder(DAY_OF_TRADES)).mkdir(parents=True)
    path = foreign(store, DAY_OF_TRADES, trades([(5, "5", 1.0)]))
    assert len(compact_lake(store).left) == 1
    assert path.exists()


def test_a_file_that_changes_meanwhile_is_left_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = lake(tmp_path)
    path = foreign(store, DAY_OF_TRADES, trades([(500, "5", 1.0)]))
    locked, done = disk.locked, []

    def late(*words: Any) -> Any:
        if len(done) == 1:
            foreign(store, DAY_OF_TRADES, trades([(500, "5", 1.0), (501, "6", 1.0)]))
        done.append(None)
        return locked(*words)

    monkeypatch.setattr(disk, "locked", late)
    assert "changed while it was read" in compact(store, DAY_OF_TRADES).left[0]
    assert path.exists()
    assert compact(store, DAY_OF_TRADES).absorbed == 1
    assert stored(store)[-2:] == [(500, "5", 1.0), (501, "6", 1.0)]


# ------------------------------------------------------------------------------------------------- the proof


@pytest.mark.parametrize("harm", ["lost", "changed", "NULL", "swapped"])
def test_a_wrong_copy_is_never_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    """Whatever goes wrong between reading and writing: the file that is put aside is read again and compared."""
    store = lake(tmp_path)
    write_anew(store, DAY_OF_TRADES)
    before = snapshot(tmp_path)
    honest = rows.Writer.write

    def write(self: Any, table: pa.Table) -> None:
        if len(table) < 5:
            pass
        elif harm == "lost":
            table = table.slice(1)
        elif harm == "swapped":
            table = table.take([1, 0, *range(2, len(table))])
        else:
            at = 3 if harm == "changed" else 4
            value = pa.array([1e-300 if harm == "changed" else 0.0] * len(table))
            table = table.set_column(at, table.schema.field(at), value)
        honest(self, table)

    monkeypatch.setattr(rows.Writer, "write", write)
    with pytest.raises(RowsLost, match="nothing was replaced"):
        compact(store, DAY_OF_TRADES)
    assert snapshot(tmp_path) == before


cell = st.none() | st.sampled_from([0.0, -0.0, 1.0, 5e-324])
word = st.none() | st.sampled_from(["", "a", "aa", "ä"])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(cell, word), max_size=6),
    st.lists(st.tuples(cell, word), max_size=6),
    st.integers(0, 6),
)
def test_digests_are_equal_where_rows_are(one: list[Any], other: list[Any], cut: int) -> None:
    """However the tables are cut; a NULL is not a zero or an empty text, and -0.0 is not 0.0."""
    schema = pa.schema([("f", pa.float64()), ("s", pa.string())])

    def table(content: list[Any]) -> pa.Table:
        numbers, words = [row[0] for row in content], [row[1] for row in content]
        return pa.table([pa.array(numbers, pa.float64()), pa.array(words, pa.string())], schema=schema)

    def digest(*parts: pa.Table) -> Digest:
        out = Digest(schema)
        for each in parts:
            out.add(each)
        return out

    whole = digest(table(one))
    assert whole.same(digest(table(one[:cut]), table(one[cut:])))
    assert whole.same(digest(table(other))) == (repr(one) == repr(other))


# -------------------------------------------------------------------------------------- dying, and being beside


class Crash(BaseException):
    pass


def test_compaction_that_dies_at_any_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old or new, never torn, for us and for whoever globs; the next run finishes, and the one after does nothing."""
    alive, discard = [True], drafts.Draft.discard
    monkeypatch.setattr(drafts.Draft, "discard", lambda self: discard(self) if alive[0] else self.close())
    extra = [(700 + place, str(9000 + place), 1.0) for place in range(3)]
    with small():
        pattern = lake(tmp_path / "pattern", grace=0, count=9)
        write_anew(pattern, DAY_OF_TRADES)
        write_anew(pattern, JANUARY)
        foreign(pattern, DAY_OF_TRADES, trades(extra))
        minutes = closes(pattern.read(JANUARY))
        said = pattern.footer(DAY_OF_TRADES)
        for steps in range(300):
            root = tmp_path / str(steps)
            shutil.copytree(tmp_path / "pattern", root)
            store, reached = Store(root, grace=0), []

            def fuse(name: str, steps: int = steps, reached: list[str] = reached) -> None:
                reached.append(name)
                if len(reached) > steps:
                    alive[0] = False
                    raise Crash(name)

            milestones.step = fuse
            try:
                compact_lake(store, keeper=keeper)
                died = False
            except Crash:
                died = True
            finally:
                milestones.step = lambda name: None
                alive[0] = True
            over = reached.count("renamed") == 2  # the candles come first
            assert stored(store) == ([*rising(9), *extra] if over else rising(9))
            assert closes(store.read(JANUARY)) == minutes
            assert store.footer(DAY_OF_TRADES) == said
            folder = Path(store.folder(DAY_OF_TRADES))
            globbed = [
                key
                for path in folder.glob("*.parquet")
                for key in pq.read_table(path, partitioning=None, use_threads=False)["trade_id"].to_pylist()
            ]
            assert len(globbed) == len(set(globbed)) >= 9
            report = compact_lake(store, keeper=keeper)
            assert report.left == []
            assert stored(store) == [*rising(9), *extra]
            assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".g")) == [
                ".lock", "part.parquet",
            ]  # fmt: skip
            compact_lake(store, keeper=keeper)  # forgets what the first superseded
            before = snapshot(root)
            assert not compact_lake(store, keeper=keeper).changed
            assert snapshot(root) == before
            shutil.rmtree(root)
            if not died:
                break
        assert {"hidden", "absorbed", "proved", "renamed", "done"} <= set(reached)
        assert steps > 20


_KILLED = """
import os, signal, sys
import pandas  # pyarrow would import it anew in every child
from htxdata.ingest.revisions import keeper
from htxdata.store import Store, milestones
from htxdata.store.compact import compact_lake

sys.stdin.readline()
for line in sys.stdin:
    steps, root = line.split()
    if os.fork():
        os.write(1, b"%d\\n" % os.waitstatus_to_exitcode(os.wait()[1]))
        continue
    left = [int(steps)]
    def step(name):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    milestones.step = step
    compact_lake(Store(root, grace=0), keeper=keeper)
    os._exit(0)
"""


@pytest.mark.wide
def test_kill_9_at_every_step(tmp_path: Path) -> None:
    """A real process each time, really killed: nothing is lost, and the next run finishes."""
    extra = [(700 + place, str(9000 + place), 1.0) for place in range(5)]
    pattern = lake(tmp_path / "pattern")
    write_anew(pattern, DAY_OF_TRADES)
    write_anew(pattern, JANUARY)
    foreign(pattern, DAY_OF_TRADES, trades(extra))
    minutes = closes(pattern.read(JANUARY))
    child = subprocess.Popen(
        [sys.executable, "-c", _KILLED], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child.stdin, child.stdout:
        child.stdin.write("\n")
        for steps in range(100):
            root = tmp_path / str(steps)
            shutil.copytree(tmp_path / "pattern", root)
            child.stdin.write(f"{steps} {root}\n")
            child.stdin.flush()
            ended = int(child.stdout.readline())
            assert ended in (0, -signal.SIGKILL)
            store = Store(root, grace=0)
            assert stored(store) in (rising(50), [*rising(50), *extra])
            assert closes(store.read(JANUARY)) == minutes
            compact_lake(store, keeper=keeper)
            assert stored(store) == [*rising(50), *extra]
            assert {p.name for p in Path(store.folder(DAY_OF_TRADES)).glob("*")} & {"data_0.parquet"} == set()
            if ended == 0:
                break
    assert child.wait(10) == 0
    assert steps > 10


def test_a_commit_in_between_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the lock: what it adds comes after what was compacted."""
    import threading

    store = lake(tmp_path)
    write_anew(store, JANUARY)
    started, others = threading.Event(), []

    def commit() -> None:
        started.set()
        others.append(Store(tmp_path).commit(JANUARY, candles([50], 5.0), []))

    thread = threading.Thread(target=commit)

    def step(name: str) -> None:
        if name == "half written" and not started.is_set():
            thread.start()
            started.wait(5)

    monkeypatch.setattr(milestones, "step", step)
    assert compact(store, JANUARY).rewritten
    thread.join(10)
    assert others[0].added == 1
    assert closes(store.read(JANUARY)) == {**{m: 1.0 + m for m in range(40)}, 50: 5.0}


def test_readers_see_every_row_once(tmp_path: Path) -> None:
    """At every step of a compaction, for the front door: all rows, each once, or with the foreign ones as well."""
    extra = [(700, "9000", 1.0)]
    with small():
        store = lake(tmp_path)
        write_anew(store, DAY_OF_TRADES)
        foreign(store, DAY_OF_TRADES, trades(extra))
        front = open_lake(tmp_path)
        seen = []

        def step(name: str) -> None:
            found = front.sql("select count(*), count(distinct trade_id) from trades").fetchall()[0]
            assert found in ((50, 50), (51, 51))
            seen.append(found[0])

        milestones.step = step
        try:
            compact_lake(store)
        finally:
            milestones.step = lambda name: None
            front.close()
    assert seen == sorted(seen)
    assert {50, 51} == set(seen)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, or JSON; 3 where something was left as it is, and what and why on stderr."""
    monkeypatch.setenv("HTXDATA_LAKE", str(tmp_path))
    store = lake(tmp_path)
    write_anew(store, JANUARY)
    assert main(["compact", "trades"]) == 0
    assert capsys.readouterr().out.startswith("nothing to do in 1 partitions, 50 rows; ")
    assert main(["compact", "--venue", "htx-*"]) == 0
    assert capsys.readouterr().out.startswith("1 rewritten and proved equal (")
    stray = foreign(store, DAY_OF_TRADES, pa.table({"a": [1]}))
    assert main(["compact", "--json"]) == 3
    said = capsys.readouterr()
    (left,) = json.loads(said.out)["left"]
    why = f"{stray} stays beside the partition: it has no column 'trade_time'"
    assert left == {
        "dataset": "trades", "venue": "htx-spot", "symbol": "btcusdt", "period": None, "cell": "2024-01-05", "why": why,
    }  # fmt: skip
    assert f"left as it is: {DAY_OF_TRADES.series} 2024-01-05: {why}" in said.err
    assert main(["compact", "ticks"]) == 2
    assert "'ticks' is not a dataset" in capsys.readouterr().err
