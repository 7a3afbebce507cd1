"""Random commits to a bucket that may die, be outrun or meet a busy server: byte by byte what a local lake becomes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from htxdata.store import Store, milestones
from htxdata.store.compact import compact
from tests.bucket.conftest import client
from tests.bucket.server import Fault, Server, Weather
from tests.store.build import JANUARY, LATE, asked, candles, closes

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

_numbers = iter(range(10_000))


class _Killed(BaseException):
    """Not an Exception: nothing may catch it and tidy up."""


COMMIT = st.tuples(
    st.lists(st.integers(0, 9), max_size=5),  # minutes
    st.sampled_from([1.0, 2.0, 3.0]),
    st.integers(0, 9),
    st.integers(0, 4),
    st.sampled_from(["empty", "outage"]),
    st.booleans(),  # older than what is there
    st.booleans(),  # by the stream
    st.none() | st.integers(0, 6),  # dies at the step of this number
    st.booleans(),  # outrun once
    st.booleans(),  # the server is busy once
    st.booleans(),  # and compacted
)


@settings(
    max_examples=20,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(COMMIT, min_size=1, max_size=6))
def test_a_bucket_becomes_what_a_folder_becomes(place: str, server: Server, weather: Weather, work: Any) -> None:
    """Whatever happened on the way, after the same commits the partition is the same file; a death leaves the state
    before it or after it."""
    lake = f"s3://{place}/{next(_numbers)}"
    other = client(server)

    def theirs() -> bytes | None:
        found = other.list_objects_v2(Bucket=place, Prefix=f"{lake.rpartition('/')[2]}/{JANUARY.folder}/part")
        keys = [each["Key"] for each in found.get("Contents", ())]
        return other.get_object(Bucket=place, Key=keys[0])["Body"].read() if keys else None

    with tempfile.TemporaryDirectory() as folder:
        local, store, rival = Store(folder), Store(lake, grace=0), Store(lake)
        part = Path(folder, JANUARY.folder, "part.parquet")
        for turn, (minutes, close, first, length, verdict, aged, stream, die, outrun, busy, tidied) in enumerate(work):
            at = LATE + (-turn if aged else turn)
            told = [asked(first, first + length, verdict=verdict)] if length else []

            def commit(to: Store, at: int = at, told: Any = told, minutes: Any = minutes, close: Any = close,
                       stream: bool = stream) -> None:  # fmt: skip
                rows = candles(sorted(set(minutes)), close, received=at)
                if stream:
                    with to.writer(JANUARY) as writer:
                        writer.write(rows)
                        writer.stage()
                        writer.commit(told)
                else:
                    to.commit(JANUARY, rows, told)

            before = part.read_bytes() if part.exists() else None
            if outrun:
                pending = [candles([11], 5.0, received=LATE - 50)]

                def quicker(method: str, path: str, pending: Any = pending) -> None:
                    if pending and method == "PUT" and path.endswith("part.parquet"):
                        rival.commit(JANUARY, pending.pop())

                weather.before = quicker
            if busy and not turn:  # each costs half a second
                weather.faults.append(Fault(503, "SlowDown", lambda method, path: method == "PUT"))
            steps: list[str] = []
            own = threading.get_ident()  # the rival is another

            def step(name: str, die: int | None = die, steps: list[str] = steps, own: int = own) -> None:
                if threading.get_ident() != own:
                    return
                steps.append(name)
                if die is not None and len(steps) > die:
                    raise _Killed(name)

            milestones.step = step
            try:
                commit(store)
                died = False
            except _Killed:
                died = True
            finally:
                milestones.step = lambda name: None
                weather.before = None
                weather.faults.clear()
            if outrun and not pending:
                local.commit(JANUARY, candles([11], 5.0, received=LATE - 50))
                before = part.read_bytes()
            elif outrun and died:
                pending.clear()
            seen = theirs()
            commit(local)
            after = part.read_bytes() if part.exists() else None
            assert seen in ((before, after) if died else (after,)), (steps, died)
            commit(store)
            if tidied:
                compact(store, JANUARY)
                prefix = f"{lake.rpartition('/')[2]}/klines"
                left = other.list_objects_v2(Bucket=place, Prefix=prefix).get("Contents", ())
                assert [each["Key"].rpartition("/")[2] for each in left] in ([], ["part.parquet"])
            assert theirs() == after


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for child in running:
        child.kill()
        child.communicate()


def test_what_was_acknowledged_survives_kill_9(lake: str, children: list[subprocess.Popen[bytes]]) -> None:
    """Writers of one partition, two at once, killed in the middle of their work: every row that one of them told is
    there, no reader finds anything but a whole file, and the next writer goes on."""
    dice = random.Random(7)
    told: set[int] = set()
    for turn in range(2):
        pair = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.store.writer", lake, "2", "400", "900"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )
            for _ in range(2)
        ]  # fmt: skip
        children.extend(pair)
        for number, child in enumerate(pair):
            assert child.stdin is not None
            child.stdin.write(b"%d\n" % (turn * 1000 + number))
            child.stdin.flush()
            os.set_blocking(child.stdout.fileno(), True)  # type: ignore[union-attr]
        for child in pair:
            assert child.stdout is not None
            told |= {int(child.stdout.readline()) for _ in range(6)}
        time.sleep(dice.uniform(0.0, 0.05))  # no wait for anything: when to kill
        for child in pair:
            child.kill()
        for child in pair:
            told |= {int(line) for line in child.communicate()[0].splitlines() if line.isdigit()}
        found = closes(Store(lake).read(JANUARY))
        assert told <= set(found)
        assert all(close == minute for minute, close in found.items())
    assert len(told) >= 24
    Store(lake).commit(JANUARY, candles([9_999], 1.0))
    assert 9_999 in closes(Store(lake).read(JANUARY))
