"""`htxdata serve`: what it begins and when, how it ends, and what a restart finds."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from flows.children import Ended
from flows.memory import Memory, close_leftovers
from flows.serve import AGAIN_AFTER, MOST_AT_ONCE, Serving
from htxdata.cli.serve import how_it_ended, how_it_goes
from htxdata.config import Settings
from htxdata.errors import UsageError
from htxdata.ingest.exposing import Exposed
from htxdata.ingest.metrics import of_runs
from htxdata.ingest.turns import Turn
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.timeline import DAY, HOUR, MINUTE, iso
from tests.flows.conftest import Configure
from tests.truth import assert_candles, assert_trades, stored
from tests.waits import until

NOON = 1_704_110_400.0
SYNC = Turn("sync", "sync", every=3600.0)
HEAR = Turn("capture", "capture", every=21_600.0, most=2, endless=True)


class Acted:
    """A child that is no process: it ends when it is told how."""

    def __init__(self, turn: Turn, environ: Any, tag: str, on_line: Any) -> None:
        self.turn, self.run, self.began, self.status = turn, f"run-{turn.name}", NOON, {}
        self.how, self.told = "", list[int]()

    def tell(self, number: int) -> None:
        self.told.append(number)
        if number == signal.SIGKILL:
            self.how = "killed"

    def ended(self) -> Ended | None:
        result = {"added": 5} if self.how == "complete" else {}
        return Ended(self.turn, self.run, self.how, 3.0, result) if self.how else None


@pytest.fixture
def acted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No processes. Gives the calls that closed leftovers: the runs that were alive."""
    closed: list[list[str]] = []
    monkeypatch.setattr("flows.serve.Child", Acted)
    monkeypatch.setattr("flows.serve.close_leftovers", lambda tag, alive, environ: closed.append(list(alive)))
    return closed


def serving(folder: Path, *turns: Turn, ended: list[Ended] | None = None) -> Serving:
    found = Serving(turns, folder, "serve-x", lambda name, text: None, (ended if ended is not None else []).append)
    found.started, found._not_before = 0.0, dict.fromkeys(found._not_before, 0.0)  # the clock is the test's
    return found


def names(of: Serving) -> list[str]:
    return [child.turn.name for child in of.running]


def test_what_is_due_begins_once_and_again_at_its_time(tmp_path: Path, acted: list[list[str]]) -> None:
    """Not before it is due, not while it runs, and once after however long it was not looked."""
    work = serving(tmp_path, SYNC)
    work.step({}, NOON)
    work.step({}, NOON + 3600)
    assert names(work) == ["sync"]
    work.running[0].how = "complete"  # type: ignore[attr-defined]
    work.step({}, NOON + 3601)
    assert names(work) == ["sync"]  # it was due meanwhile
    work.running[0].how = "incomplete"  # type: ignore[attr-defined]
    work.step({}, NOON + 3602)
    assert names(work) == []
    work.step({}, NOON + 50 * 3600 + 1)
    assert names(work) == ["sync"]
    assert work.ended == {("sync", "complete"): 1, ("sync", "incomplete"): 1}
    assert work.added == {"sync": 5}


def test_a_night_comes_while_it_is_waited_for(tmp_path: Path, acted: list[list[str]]) -> None:
    """Never begun before: not at the start, but when its time has come; and not twice in one night."""
    now = time.time()
    work = serving(tmp_path, Turn("upkeep", "upkeep", at=(now + 600) % 86_400))
    work.started = now
    work.step({}, now)
    work.step({}, now + 590)
    assert names(work) == []
    work.step({}, now + 605)
    assert names(work) == ["upkeep"]
    work.running[0].how = "complete"  # type: ignore[attr-defined]
    work.step({}, now + 700)
    assert names(work) == []


def test_what_has_waited_longest_is_next(tmp_path: Path, acted: list[list[str]]) -> None:
    """Frequent turns do not keep a rare one from its work, however few places there are."""
    often = [Turn(str(number), "snapshot", every=60.0) for number in range(3)]
    work = serving(tmp_path, *often, SYNC)
    seen = []
    for at in range(0, 240, 60):
        work.step({}, NOON + at)
        seen.append(names(work))
        for child in work.running:
            child.how = "complete"  # type: ignore[attr-defined]
    assert seen[:2] == [["0", "1"], ["2", "sync"]]


def test_captures_have_their_own_places_and_hand_over(tmp_path: Path, acted: list[list[str]]) -> None:
    """Two others at a time; a capture's successor begins while it still listens."""
    others = [Turn(str(number), "sync", every=60.0) for number in range(3)]
    work = serving(tmp_path, *others, HEAR)
    work.step({}, NOON)
    assert names(work) == ["0", "1", "capture"]
    assert MOST_AT_ONCE == 2
    work.step({}, NOON + 21_600)
    assert names(work) == ["0", "1", "capture", "capture"]


def test_a_capture_that_fails_begins_anew_ever_more_slowly(
    tmp_path: Path, acted: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 s, 10 s, … five minutes at most; one that ended because its successor is there is not begun a third time."""
    work = serving(tmp_path, HEAR)
    pauses = []
    for _ in range(9):
        now = time.time() + 1000
        work.step({}, now)
        assert names(work) == ["capture"]
        work.running[0].how = "failed"  # type: ignore[attr-defined]
        began = time.time()
        with monkeypatch.context() as held:
            held.setattr(time, "time", lambda began=began: began)
            work.step({}, began)
        pauses.append(round(work.next(HEAR, began) - began))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert pauses[-1] == AGAIN_AFTER[1]
    work = serving(tmp_path, HEAR)
    work.step({}, NOON)
    work.step({}, NOON + 21_600)
    work.running[0].how = "incomplete"  # type: ignore[attr-defined]
    work.step({}, NOON + 21_900)
    assert names(work) == ["capture"]


def test_who_looks_at_others_work_waits_for_it(tmp_path: Path, acted: list[list[str]]) -> None:
    """Freshness is not looked at before the first sync has ended, however that ended."""
    late = Turn("freshness", "freshness", every=600.0, after="sync")
    work = serving(tmp_path, SYNC, late)
    work.step({}, NOON)
    assert names(work) == ["sync"]
    work.running[0].how = "incomplete"  # type: ignore[attr-defined]
    work.step({}, NOON + 1)
    assert names(work) == ["freshness"]


def test_a_restart_goes_on_and_repeats_what_was_killed(tmp_path: Path, acted: list[list[str]]) -> None:
    """What ended is remembered; what was killed is due at once and its Prefect run is closed; a memory that cannot be
    read is none."""
    work = serving(tmp_path, SYNC, HEAR)
    work.step({}, NOON)
    for child, how in zip(list(work.running), ("killed", "complete"), strict=True):
        child.how = how  # type: ignore[attr-defined]
    work.step({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, NOON + 1)  # (without one its server is gone as well)
    assert acted == [["run-capture"]]
    again = serving(tmp_path, SYNC)
    again.step({}, NOON + 2)
    again.running[0].how = "complete"  # type: ignore[attr-defined]
    again.step({}, NOON + 3)
    third = serving(tmp_path, SYNC)
    third.step({}, NOON + 4)
    assert (names(third), third.next(SYNC, NOON + 4)) == ([], NOON + 3600)
    (tmp_path / "turns.json").write_text("half a th")
    assert Memory(tmp_path / "turns.json").read() == {}


def test_the_end_is_patient_and_then_it_is_not(tmp_path: Path, acted: list[list[str]]) -> None:
    """SIGTERM first; SIGKILL when the grace is over, or when somebody is in a hurry."""
    for grace, hurried in ((0.2, False), (60.0, True)):
        work = serving(tmp_path / str(hurried), SYNC)
        (tmp_path / str(hurried)).mkdir()
        work.step({}, NOON)
        (child,) = work.running
        hurry = Event()
        if hurried:
            hurry.set()
        work.end({}, grace, hurry)
        assert child.told[0] == signal.SIGTERM  # type: ignore[attr-defined]
        assert child.told[-1] == signal.SIGKILL  # type: ignore[attr-defined]
        assert work.running == []


def test_a_server_that_does_not_answer_ends_no_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leftovers that cannot be closed in time stay open; where no server is left, nobody is asked at all."""
    asked: list[str] = []

    def hangs(words: list[str], **more: Any) -> None:
        asked.append(more["env"]["PREFECT_API_URL"])
        raise subprocess.TimeoutExpired(words, more["timeout"])

    monkeypatch.setattr("flows.memory.subprocess.run", hangs)
    for environ in ({"PREFECT_API_URL": "http://127.0.0.1:9"}, {}):
        close_leftovers("serve-x", [], environ)
    assert asked == ["http://127.0.0.1:9"]


def test_what_ended_is_told_in_a_line(tmp_path: Path, acted: list[list[str]]) -> None:
    """How, how long, what it added, why not; and what comes next."""
    ended = how_it_ended(Ended(SYNC, "r", "complete", 12.3, {"added": 1204}))
    assert ended == "sync: complete in 12 s, 1,204 rows added"
    ended = how_it_ended(Ended(SYNC, "r", "incomplete", 100, {}, "htxdata: 2 spans are missing"))
    assert ended == "sync: incomplete in 2 min: 2 spans are missing"
    work = serving(tmp_path, SYNC, HEAR)
    work.step({}, NOON)
    work.running[0].how = "failed"  # type: ignore[attr-defined]
    work.step({}, NOON + 1)
    assert how_it_goes(work, NOON + 60) == "running: capture · next: sync in 59 min · 1 runs ended, 1 not complete"


def test_metrics_are_shown_while_it_serves(tmp_path: Path) -> None:
    """At an address, or in a file that is replaced; a port that is taken is wrong usage."""
    turn = {("sync", "complete"): 2}
    status = {"capture": {"frames": 7, "lag": (0.25, 1.5), "standing": 1}}

    def shown(where: str) -> Exposed:
        found = Settings(str(tmp_path / "lake"), str(tmp_path / "tape"), metrics=where)
        return Exposed(found, lambda: of_runs(turn, {"sync": 9}, status), lambda text: None)

    with shown("127.0.0.1:0") as exposed:
        with urllib.request.urlopen(exposed.where) as answer:
            text = answer.read().decode()
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        port = int(exposed.where.rpartition(":")[2].partition("/")[0])
        with pytest.raises(UsageError, match=f"port {port}"):
            shown(f"127.0.0.1:{port}")
    with shown(str(tmp_path / "deep" / "x.prom")):
        until((tmp_path / "deep" / "x.prom").exists)
    written = (tmp_path / "deep" / "x.prom").read_text()
    for line in (
        'htxdata_runs_total{turn="sync",ended="complete"} 2', 'htxdata_rows_added_total{turn="sync"} 9',
        'htxdata_capture_frames_total{turn="capture"} 7',
        'htxdata_capture_lag_seconds{turn="capture",quantile="0.99"} 1.5',
    ):  # fmt: skip
        assert line in text.splitlines()
        assert line in written.splitlines()


# ---------------------------------------------------------------------------------------------------- for real


class Served:
    """`htxdata serve` as a process; what it says goes to a file. Killed where the block ends, if it is still there."""

    def __init__(self, file: str, **environ: str) -> None:
        self._said = Path(file).with_name(f"said-{time.monotonic_ns()}")
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "htxdata", "--config", file, "serve"], stdout=subprocess.PIPE, stderr=said,
                text=True, env={**os.environ, **environ}, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def said(self) -> str:
        return self._said.read_text()

    def heard(self, *words: str, seconds: float = 110) -> None:
        """Waits until it has said all of these."""
        until = time.monotonic() + seconds
        while not all(word in self.said for word in words):
            assert time.monotonic() < until, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.05)

    def end(self, number: int) -> tuple[int, str]:
        """Its exit code and what is on stdout, after this signal."""
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out


def keep(**of: object) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in of.items()]
    return "\n".join(["[[keep]]", *lines, ""])


def since() -> str:
    return iso(time.time_ns() // 1000 // DAY * DAY - 2 * DAY)


@pytest.mark.wide
@pytest.mark.xdist_group("prefect")
def test_a_sync_is_served_and_a_signal_ends_it_well(
    prefect_server: str, configure: Configure, tmp_path: Path
) -> None:
    """With a Prefect server that is there already: the lake has the truth, and Ctrl-C exits with 130."""
    more = f'[serve]\nstate = "{tmp_path / "state"}"\ninstruments = "off"\nfreshness = "off"\nupkeep = "off"\n'
    more += keep(venue="htx-spot", dataset="klines", symbols=["btcusdt"], periods=["60min"], since=since())
    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox, more=more)
        with Served(file, PREFECT_API_URL=prefect_server) as served:
            served.heard("sync: complete in ", "rows added")
            with Served(file, PREFECT_API_URL=prefect_server) as other:
                assert other.process.wait(60) == 2
                assert "another `htxdata serve`" in other.said
            assert served.end(signal.SIGINT) == (130, "")
        series = Series("klines", "htx-spot", "btcusdt", "60min")
        after = max(stored(tmp_path / "lake", series)["open_time"]) + HOUR
        assert assert_candles(tmp_path / "lake", sandbox, series, since(), iso(after)) >= 48


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_in_the_middle_it_goes_on_and_no_run_stays_running(configure: Configure, tmp_path: Path) -> None:
    """With a server of its own, everything at once: captures, syncs, looks. kill -9 while they run; the next one goes
    on, the lake has the truth, and at the end every run of both has ended, those of the killed one as crashed."""
    more = (
        f'[serve]\nstate = "{tmp_path / "state"}"\nport = 0\nsync = "20s"\nfreshness = "20s"\n'
        + keep(venue="htx-linear", dataset="klines", symbols=["BTC-USDT"], periods=["1min"], since=since())
        + keep(venue="htx-linear", dataset="trades", symbols=["BTC-USDT"], since=since())
        + keep(venue="htx-linear", dataset="index_constituents", symbols=["BTC-USDT"], every="20s")
    )
    series = Series("trades", "htx-linear", "BTC-USDT")
    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox)
        Path(file).write_text(f'metrics = "{tmp_path / "x.prom"}"\n' + Path(file).read_text() + more)
        with Served(file) as served:
            served.heard("sync: ", "snapshot index_constituents htx-linear: complete", seconds=300)
            until = time.monotonic() + 120
            while not open_runs(tmp_path) and time.monotonic() < until:
                time.sleep(0.1)
            served.process.kill()
        with Served(file) as served:
            served.heard("sync: ", "snapshot index_constituents htx-linear: complete", seconds=300)
            assert served.end(signal.SIGTERM) == (0, ""), served.said
        assert open_runs(tmp_path) == []
        states = [state for _, state in runs(tmp_path)]
        assert "CRASHED" in states
        assert {"COMPLETED", "CRASHED"} <= set(states) <= {"COMPLETED", "CRASHED", "FAILED"}
        assert 'htxdata_runs_total{turn="sync"' in (tmp_path / "x.prom").read_text()
        candles = Series("klines", "htx-linear", "BTC-USDT", "1min")
        after = max(stored(tmp_path / "lake", candles)["open_time"]) + MINUTE
        assert assert_candles(tmp_path / "lake", sandbox, candles, since(), iso(after)) > 2 * 1440
        rows = stored(tmp_path / "lake", series)["trade_time"]
        assert rows
        assert assert_trades(tmp_path / "lake", sandbox, series, min(rows) + 1, max(rows))


def runs(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(f"file:{folder / 'state' / 'prefect' / 'prefect.db'}?mode=ro", uri=True) as db:
        found = db.execute("select name, state_type from flow_run").fetchall()
    db.close()
    return found


def open_runs(folder: Path) -> list[tuple[str, str]]:
    return [run for run in runs(folder) if run[1] in ("RUNNING", "PENDING", "SCHEDULED")]


@pytest.mark.wide
def test_a_run_leaves_with_who_started_it() -> None:
    """When the other end of its stdin closes, a run gets the signal that ends it well."""
    code = (
        "import signal, sys, threading, time\n"
        "from flows.by_hand import _leave_with_parent\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "threading.Thread(target=_leave_with_parent, daemon=True).start()\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.communicate(timeout=30)
    assert process.returncode == 7
