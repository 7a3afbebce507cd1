"""The doctor: what is wrong with hosts, clock, disks, a lake and its tapes is told, by name; what is right is not."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from htxdata.config import Keep, Settings, load
from htxdata.ingest import doctor_disk, doctor_hosts, doctor_lake, doctor_settings, doctor_tape
from htxdata.ingest.distil import distil
from htxdata.ingest.doctor import examine
from htxdata.ingest.doctor_disk import GB, disk_check, room_verdict
from htxdata.ingest.doctor_settings import settings_check, software_check
from htxdata.ingest.doctor_terms import SHOWN, Check, masked
from htxdata.keys import SECRETS
from htxdata.sandbox import Sandbox
from htxdata.sandbox.faults import Faults, Rule
from htxdata.service import Alerts
from htxdata.store import disk
from htxdata.store.partition import Store
from htxdata.store.quarantine import set_aside
from htxdata.store.reel import Reel
from htxdata.store.tape import Tape, reply_record
from htxdata.timeline import SECOND, parse_instant
from htxdata.transport.budget import Budget
from tests.clocks import Watch
from tests.store.build import JANUARY, asked, candles
from tests.truth import settings_for

NOBODY = 65_534
T0 = parse_instant("2024-03-05T10:00:00Z")


def named(checks: list[Check]) -> dict[str, Check]:
    found = {check.name: check for check in checks}
    assert len(found) == len(checks)
    return found


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=3) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return settings_for(sandbox, tmp_path, archive=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One partition of candles, whole."""
    made = Store(tmp_path / "lake", grace=0)
    made.commit(JANUARY, candles(range(500)), [asked(0, 500)])
    return made


def lake_of(store: Store) -> dict[str, Check]:
    return named(doctor_lake.lake_checks("lake", doctor_lake.look(store.root)))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# ---------------------------------------------------------------------------------------------------- all of it


def test_a_healthy_machine_has_nothing_wrong(settings: Settings, store: Store, tmp_path: Path) -> None:
    """Every check is ok, every host of a venue was asked and timed, and nothing was made."""
    before = sorted(tmp_path.rglob("*"))
    checks = named(examine(settings, environ={}))
    for check in checks.values():
        if not check.name.startswith("disk"):  # the room of this machine is its own affair
            assert check.status == "ok", check
    sockets = ("htx_spot_ws", "htx_swap_ws", "hashkey_ws")
    for key in ("htx_spot_rest", "htx_swap_rest", "htx_archive", "hashkey_rest", *sockets):
        assert 0 < checks[f"host {key}"].details["latency_ms"] < 4000
    assert set(checks["clock"].details) == {
        "htx_spot_rest", "htx_swap_rest", "htx_archive", "hashkey_rest", "permanent_rest"
    }  # fmt: skip
    assert checks["lake"].details["rows"] == 500
    assert checks["lake"].details["rows_read_of_files"] == checks["lake"].details["files"] == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_place_stays_empty(settings: Settings, tmp_path: Path) -> None:
    """Where there is no lake and no tape yet, that is said, and neither is made."""
    checks = named(examine(settings, environ={}))
    assert "there is no lake" in checks["lake"].says
    assert "there is no tape" in checks["tape"].says
    assert checks["disk of the lake"].details["tried"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_and_a_fault_of_ours_are_problems_not_tracebacks(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake that is a file is a problem that names it; a check that fails itself says so; the others go on."""
    (tmp_path / "lake").write_text("not a folder")
    monkeypatch.setattr(doctor_tape, "look", lambda *args: 1 / 0)
    checks = named(examine(settings, environ={}))
    assert checks["disk of the lake"].status == checks["tape"].status == "problem"
    assert "a file is in the way" in checks["disk of the lake"].says
    assert "ZeroDivisionError" in checks["tape"].says
    assert checks["clock"].status == "ok"


# ------------------------------------------------------------------------------------------------------- hosts


def test_hosts_that_are_down_are_named_and_the_others_are_not(settings: Settings) -> None:
    """A closed port is a problem with its address and reason, for REST, WebSocket and the archive alike."""
    port = free_port()
    down = {"htx_swap_rest": f"http://127.0.0.1:{port}", "htx_swap_ws": f"ws://127.0.0.1:{port}/x",
            "htx_archive": f"http://127.0.0.1:{port}/bucket"}  # fmt: skip
    found = {
        one.key: one for one in doctor_hosts.Asking(replace(settings, hosts={**settings.hosts, **down})).end()
    }
    for key, base in down.items():
        assert found[key].status == "problem"
        assert base in found[key].says
        assert "refused" in found[key].says
        assert f"hosts.{key}" in found[key].says
    assert found["htx_spot_rest"].status == found["htx_spot_ws"].status == "ok"
    assert doctor_hosts.clock_check(list(found.values())).status == "ok"


def test_a_host_that_takes_a_connection_and_says_nothing_costs_bounded_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them silent together: everything is over within the deadline, and the clock is not known."""
    monkeypatch.setattr(doctor_hosts, "STEP_S", 30.0)
    monkeypatch.setattr(doctor_hosts, "WITHIN_S", 0.7)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hosts = {
            key: f"{'ws' if key.endswith('_ws') else 'http'}://127.0.0.1:{port}"
            for key in ("htx_spot_rest", "htx_swap_rest", "htx_spot_ws", "htx_swap_ws", "htx_archive")
        }
        with Watch() as watch:
            found = doctor_hosts.Asking(replace(settings, hosts=hosts)).end()
        assert watch.seconds < 3
    assert [one.status for one in found] == ["problem"] * 5
    assert all("no answer within" in one.says for one in found)
    clock = doctor_hosts.clock_check(found)
    assert (clock.status, "not known" in clock.says) == ("warning", True)


def test_a_web_server_that_is_no_websocket_is_a_problem(settings: Settings) -> None:
    """An address that answers, but refuses the upgrade, is not reached; the status is said."""
    wrong = {"htx_spot_ws": settings.hosts["htx_spot_ws"] + "/nowhere"}  # type: ignore[operator]
    found = {
        one.key: one
        for one in doctor_hosts.Asking(replace(settings, hosts={**settings.hosts, **wrong})).end()
    }
    assert found["htx_spot_ws"].status == "problem"
    assert "HTTP 404" in found["htx_spot_ws"].says


def test_who_wants_silence_is_left_alone_and_who_is_busy_is_not_down(
    settings: Settings, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A pause of the machine's budget is kept, no request is sent; maintenance is a warning, a ban a problem."""
    Budget.at(sandbox.hosts["htx_swap_rest"], 780).pause(60)
    before = len(sandbox.requests)
    found = {one.key: one for one in doctor_hosts.Asking(settings).end()}
    assert (found["htx_swap_rest"].status, found["htx_swap_rest"].asked) == ("warning", False)
    assert "wants no requests of this machine for another" in found["htx_swap_rest"].says
    assert "/api/v1/timestamp" not in [record.path for record in sandbox.requests[before:]]
    for fault, status, words in (
        ("maintenance", "warning", "answers, but cannot serve us now"),
        ("ban", "problem", "has banned this address"),
    ):
        faults = Faults(Rule(fault, host="htx_spot_rest"))
        with Sandbox(seed=3, faults=faults) as harmed:
            found = {one.key: one for one in doctor_hosts.Asking(settings_for(harmed, tmp_path)).end()}
        assert found["htx_spot_rest"].status == status
        assert words in found["htx_spot_rest"].says
        assert found["htx_swap_rest"].status == "ok"


@pytest.mark.parametrize(
    ("ahead", "status", "where"),
    [(0.0, "ok", ""), (-5.0, "warning", "ahead of"), (5.0, "warning", "behind"), (90.0, "problem", "behind")],
)
def test_a_skewed_clock_is_told_with_its_size_and_its_sign(
    tmp_path: Path, ahead: float, status: str, where: str
) -> None:
    """Above one second a warning, above thirty a problem: a venue that is ahead finds this machine behind."""
    with Sandbox(seed=3, clock=lambda: time.time() + ahead) as skewed:
        found = doctor_hosts.Asking(settings_for(skewed, tmp_path, archive=True)).end()
    check = doctor_hosts.clock_check(found)
    assert check.status == status, check
    assert where in check.says
    for key, give in (("htx_spot_rest", 0.3), ("htx_swap_rest", 0.3), ("htx_archive", 0.9)):
        assert check.details[key]["ahead_seconds"] == pytest.approx(-ahead, abs=give)


def test_the_archive_switched_off_or_of_another_market_is_not_asked(settings: Settings) -> None:
    """An empty address is no fault; nor is the real archive beside a sandbox, which is never asked."""
    for base, why in (("", "switched off"), ("https://archive.example", "never mixed")):
        hosts = {**settings.hosts, "htx_archive": base}
        found = {one.key: one for one in doctor_hosts.Asking(replace(settings, hosts=hosts)).end()}
        assert (found["htx_archive"].status, found["htx_archive"].asked) == ("ok", False)
        assert why in found["htx_archive"].says


# ---------------------------------------------------------------------------------------------- settings, secrets


def test_each_value_that_differs_is_told_with_its_origin(tmp_path: Path) -> None:
    """The file's, the environment's over it, and a slip of the pen that is ignored; the default stands beside."""
    file = tmp_path / "mine.toml"
    file.write_text('lake = "a"\ntape = "t"\n[budgets]\nhtx_archive = 7\n')
    env = {"HTXDATA_LAKE": "b", "HTXDATA_HOSTS__HTX_SPOT_REST": "http://127.0.0.1:1", "HTXDATA_TAPES": "x",
           "HTXDATA_UNHEARD_OF": "y", "HTXDATA_SERVE__PORT": "0"}  # fmt: skip
    check = settings_check(load(file, env), env)
    said = {
        entry["key"]: (entry["value"], entry["default"], entry["from"])
        for entry in check.details["differing"]
    }
    assert said == {
        "lake": ("b", "data/lake", "environment variable HTXDATA_LAKE"),
        "tape": ("t", "data/tape", str(file)),
        "hosts.htx_spot_rest": (
            "http://127.0.0.1:1", "https://api.huobi.pro", "environment variable HTXDATA_HOSTS__HTX_SPOT_REST",
        ),
        "budgets.htx_archive": (7.0, 50, str(file)),
        "serve.port": (0, 4200, "environment variable HTXDATA_SERVE__PORT"),
    }  # fmt: skip
    assert check.status == "warning"
    assert check.details["ignored"] == ["HTXDATA_TAPES"]


def test_secrets_are_said_to_be_there_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    """Neither their values, from wherever, nor passwords in addresses are in anything that is said."""
    Path(".env").write_text("export HASHKEY_API_KEY='dotenv-value-1'\n# HASHKEY_SECRET_KEY=commented\n")
    env = {"HTX_ACCESS_KEY": "hush-1", "HTX_SECRET_KEY": "hush-2"}
    (tmp_path / "lake").mkdir()
    for word in ("hush-2", "dotenv-value-1"):
        (tmp_path / "lake" / word).write_text("a secret where it does not belong")
    user = settings.hosts["htx_spot_rest"].replace("://", "://me:pass-3@")  # type: ignore[union-attr]
    found = replace(settings, hosts={**settings.hosts, "htx_spot_rest": user}, alerts=Alerts(webhook="http://x/hush-4"))
    checks = examine(found, environ=env)
    for word in ("hush-1", "hush-2", "dotenv-value-1", "pass-3", "hush-4"):
        assert word not in str(checks)
    places = named(checks)["configuration"].details["secrets"]
    assert set(places) == set(SECRETS)
    assert places["HTX_ACCESS_KEY"] == places["HTX_SECRET_KEY"] == "set in the environment"
    assert places["HASHKEY_API_KEY"] == "set in .env"
    assert places["HASHKEY_SECRET_KEY"] == "not set"


def test_names_of_any_bytes_can_be_printed(store: Store) -> None:
    """A file whose name is no text, or has a line break, is told in one line of UTF-8."""
    Path(os.fsdecode(os.fsencode(store.root) + b"/\xff\n\x1b[31m")).write_bytes(b"")
    (check,) = [masked(check, ()) for name, check in lake_of(store).items() if name == "lake: strangers"]
    assert check.says.encode("utf-8")
    assert check.says.isprintable()
    assert "\\x0a\\x1b[31m" in check.says


# ------------------------------------------------------------------------------------------------------- disks


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter (those of pytest are private)."""
    with tempfile.TemporaryDirectory(prefix="htxdata-doctor-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_cannot_be_written_is_a_problem(public: Path) -> None:
    """The nearest that exists is named, with the reason; one that can be written is ok, and empty afterwards."""
    (public / "lake").mkdir(mode=0o555)
    with as_nobody():
        check = disk_check("lake", public / "lake" / "deeper")
    assert check.status == "problem"
    assert check.says.startswith(f"{public / 'lake'} cannot be written: Permission denied")
    assert "set lake to another folder" in check.says
    good = disk_check("tape", public / "tape")
    assert good.details["writable"] is True
    assert [path.name for path in public.iterdir()] == ["lake"]


def test_a_folder_that_cannot_be_read_is_a_problem(public: Path) -> None:
    """Of a lake and of a tape; what lies beside it is looked at all the same."""
    store = Store(public / "lake")
    store.commit(JANUARY, candles(range(5)), [asked(0, 5)])
    shut = [store.root / "trades", public / "tape" / "venue=htx-spot"]
    for folder in shut:
        folder.mkdir(parents=True)
        folder.chmod(0)
    with as_nobody():
        lake, tape = doctor_lake.look(store.root), doctor_tape.look(public / "tape", store.root)
    assert lake.broken.shown == [f"{shut[0]} (Permission denied)"]
    assert lake.rows == 5
    (check, *_) = doctor_tape.tape_checks("tape", public / "tape", tape)
    assert check.status == "problem"
    assert str(shut[1]) in check.says


@pytest.mark.parametrize(
    ("free", "need", "status", "word"),
    [
        (50 * GB, None, "ok", "no estimate: because"),
        (50 * GB, 20 * GB, "ok", "still takes 20.0 GB"),
        (50 * GB, 0, "ok", "less than 0.1 GB"),
        (50 * GB, 60 * GB, "warning", "still takes 60.0 GB"),
        (9 * GB, None, "warning", "make room"),
        (10**7, 1, "problem", "as good as full"),
    ],
)
def test_room_is_judged_by_what_is_to_come(free: int, need: int | None, status: str, word: str) -> None:
    """Below ten gigabytes, or below what the plan takes, a warning; next to nothing is a problem."""
    found = room_verdict("lake", Path("/x"), free, need, "some", "because")
    assert found[0] == status
    assert word in found[1]


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where not even a small file can be written, that is said, whatever the disk says of its room."""

    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(doctor_disk.os, "write", full)
    check = disk_check("lake", tmp_path)
    assert check.status == "problem"
    assert "No space left on device; make room" in check.says
    assert list(tmp_path.iterdir()) == []


def test_the_plan_is_estimated_by_the_room_that_rows_take(settings: Settings, store: Store) -> None:
    """Rows to come times the bytes of a row here; where symbols are not known, why there is no number."""
    keep = Keep("htx-spot", "klines", ("btcusdt",), ("1day",), "2024-01-01")
    need, _ = doctor_disk.Estimate(replace(settings, keep=(keep,))).end(5, {"klines": (2_000_000, 10_000)})
    assert need is not None
    days = (time.time_ns() // 1000 - parse_instant("2024-01-01")) / (86_400 * SECOND)
    assert 200 * (days - 3) <= need <= 200 * (days + 2100)  # a page of REST is counted whole
    glob = replace(keep, symbols=("btc*",))
    need, why = doctor_disk.Estimate(replace(settings, keep=(glob,))).end(5, {})
    assert need is None
    assert "snapshot instruments" in why


# -------------------------------------------------------------------------------------------------------- lake


def broken_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def broken_rows(path: Path) -> None:
    """The footer is whole, and so is every length; the rows are not."""
    raw = bytearray(path.read_bytes())
    raw[4:600] = bytes(596)
    path.write_bytes(raw)


def nothing_left(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [broken_end, broken_rows, nothing_left])
def test_a_file_that_cannot_be_read_is_a_problem_by_its_name(
    store: Store, spoil: Callable[[Path], None]
) -> None:
    """A cut end, spoilt rows under a sound footer, an empty file: each is named, the other partition still counted."""
    other = replace(JANUARY, label="2024-02")
    store.commit(other, candles(range(7), start=other.window.start), [asked(0, 7, start=other.window.start)])
    newest = disk.newest(store.folder(JANUARY))
    assert newest is not None
    spoil(Path(newest.path))
    check = lake_of(store)["lake"]
    assert check.status == "problem"
    assert newest.path in check.says
    assert check.details["unreadable"]["count"] == 1
    assert check.details["files"] == 2
    assert check.details["rows"] in (7, 507)


def test_what_is_not_ours_is_named(store: Store) -> None:
    """A parquet file in a partition, and folders and files of others at every level; caches of ours are not."""
    folder = Path(store.folder(JANUARY))
    (store.root / ".htxdata").mkdir()
    (folder.parents[1] / ".lock").touch()  # as `snapshot instruments` leaves it
    assert lake_of(store)["lake: strangers"].status == "ok"
    strays = [store.root / "notes.txt", store.root / "klines" / "venue=a=b", folder / "README",
              folder.parent / "cell=2024-01-01", folder.parents[1] / "period=7min"]  # fmt: skip
    for path in strays:
        path.mkdir() if "=" in path.name else path.write_text("x")
    check = lake_of(store)["lake: strangers"]
    assert check.status == "warning"
    assert sorted(check.details["elsewhere"]["shown"]) == sorted(map(str, strays))
    (folder / "extra.parquet").write_bytes(Path(folder, "part.parquet").read_bytes())
    check = lake_of(store)["lake: strangers"]
    assert check.details["in_partitions"] == {"count": 1, "shown": [str(folder / "extra.parquet")]}
    assert "extra.parquet" in check.says
    assert "htxdata compact" in check.says


def test_leftovers_are_told_from_what_is_being_written(store: Store) -> None:
    """An unfinished file without a lock, a hidden one and a part that is not linked are a crash's; a locked one is
    not, nor is a superseded generation."""
    folder = Path(store.folder(JANUARY))
    store = Store(store.root)  # superseded generations stay for readers
    store.commit(JANUARY, candles(range(500, 600)), [asked(500, 600)])
    assert len(list(folder.glob(".g*.pq"))) == 2
    assert lake_of(store)["lake: leftovers"].status == "ok"
    (folder / ".dead.tmp").write_bytes(b"half")
    (folder / ".absorbed-000000009-x.parquet.away").write_bytes(b"")
    with (folder / ".alive.tmp").open("wb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        checks = lake_of(store)
    assert checks["lake: leftovers"].status == "warning"
    assert checks["lake: leftovers"].details["shown"] == [
        str(folder / ".absorbed-000000009-x.parquet.away"), str(folder / ".dead.tmp"),
    ]  # fmt: skip
    assert checks["lake"].details["being_written"] == 1
    assert checks["lake"].status == checks["lake: strangers"].status == "ok"
    for path in (*folder.glob("*.tmp"), *folder.glob("*.away"), folder / "part.parquet"):
        path.unlink()
    assert lake_of(store)["lake: leftovers"].details["shown"] == [
        f"{folder}/part.parquet (not the newest generation)"
    ]
    with (folder / ".lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a commit is between its rename and its link
        assert lake_of(store)["lake: leftovers"].status == "ok"
    store.commit(JANUARY, None)
    assert lake_of(store)["lake: leftovers"].status == "ok"


def test_many_names_are_counted_and_few_are_shown(store: Store) -> None:
    """The count is of all, the list is bounded."""
    for number in range(SHOWN + 5):
        (store.root / f"stray-{number:02}").write_text("x")
    told = lake_of(store)["lake: strangers"].details["elsewhere"]
    assert (told["count"], len(told["shown"])) == (SHOWN + 5, SHOWN)


def test_a_walk_without_time_says_what_it_left_out(store: Store) -> None:
    """Nothing is called whole that was not looked at."""
    found = doctor_lake.look(store.root, walk_s=-1, rows_s=-1)
    (check, *_) = doctor_lake.lake_checks("lake", found)
    assert check.details["whole"] is False
    assert "only the first 0 partitions" in check.says
    found = doctor_lake.look(store.root, rows_s=-1)
    (check, *_) = doctor_lake.lake_checks("lake", found)
    assert "the rows of 0 of 1 files were read" in check.says


def test_a_lake_that_is_being_written_has_nothing_wrong(store: Store) -> None:
    """While commits supersede each other, no walk sees a leftover, a stranger or a broken file."""
    over = threading.Event()
    fault: list[BaseException] = []

    def write() -> None:
        try:
            number = 500
            while not over.is_set():
                store.commit(JANUARY, candles(range(number, number + 1)), [asked(number, number + 1)])
                number += 1
        except BaseException as error:
            fault.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            wrong = [check for check in lake_of(store).values() if check.status != "ok"]
            assert not wrong
    finally:
        over.set()
        writer.join()
    assert not fault


# -------------------------------------------------------------------------------------------------------- tape


def reel_of(root: Path, at: int = T0) -> Reel:
    made = Reel(root, "htx-spot", "trades", at)
    made.note(at, {"event": "opened", "venue": "htx-spot", "feed": "trades", "path": "/ws", "sizes": {}})
    made.flush()
    return made


def tape_of(settings: Settings) -> dict[str, Check]:
    tape, lake = Path(settings.tape), Path(settings.lake)
    return named(doctor_tape.tape_checks(settings.tape, tape, doctor_tape.look(tape, lake)))


def test_a_reel_is_live_then_sealed_then_distilled(settings: Settings) -> None:
    """A capture that runs is told and no fault; a sealed reel waits for distil; a distilled one is nothing to say."""
    made = reel_of(Path(settings.tape))
    checks = tape_of(settings)
    assert checks["captures"].details == {"htx-spot trades": 1}
    assert checks["tape"].status == "ok"
    made.seal(T0 + SECOND, "asked")
    checks = tape_of(settings)
    assert checks["captures"].details == {}
    assert (checks["tape"].status, checks["tape"].details["waiting"]) == ("warning", 1)
    assert "1 sealed reel not yet in the lake; htxdata distil" in checks["tape"].says
    distil(Store(settings.lake), Path(settings.tape), say=lambda text: None)
    assert tape_of(settings)["tape"].status == "ok"


@pytest.mark.parametrize("how", ["killed", "cut", "grown"])
def test_a_reel_that_was_killed_or_harmed_is_named(settings: Settings, how: str) -> None:
    """Without its seal its writer was killed; with half a block at its end it is torn; distil passes over both."""
    made = reel_of(Path(settings.tape))
    if how != "killed":
        made.seal(T0 + SECOND, "asked")
        made.path.chmod(0o644)
    if how == "cut":
        os.truncate(made.path, made.path.stat().st_size - 5)
    elif how == "grown":
        with made.path.open("ab") as file:
            file.write(b"behind the seal")
    else:
        made.abandon()
        check = tape_of(settings)["tape"]
        assert check.details["killed"] == {"count": 1, "shown": [str(made.path)]}
        assert "whose writer was killed" in check.says
        with made.path.open("ab") as file:
            file.write(b"\x89rl1\x40\0\0\0half of a block")
    check = tape_of(settings)["tape"]
    assert check.status == "warning"
    assert check.details["torn"]["count"] == 1
    assert str(made.path) in check.says
    assert "htxdata distil" in check.says
    distil(Store(settings.lake), Path(settings.tape), say=lambda text: None)
    assert tape_of(settings)["tape"].status == "ok"


def test_the_quarantine_is_counted_and_its_newest_reason_said(settings: Settings) -> None:
    """However many entries: their number, and of the last why."""
    assert tape_of(settings)["quarantine" if Path(settings.tape).is_dir() else "tape"].status == "ok"
    for number, reason in enumerate(("an old fault", "price is a text")):
        path = set_aside(Path(settings.tape), "htx-spot", "klines", asked=f"a{number}", body=b"{}",
                         received_at=T0 + number * SECOND, reason=reason)  # fmt: skip
        os.utime(path.with_suffix(".json"), (number, number))
    check = tape_of(settings)["quarantine"]
    assert (check.status, check.details["count"], check.details["reason"]) == (
        "warning",
        2,
        "price is a text",
    )
    assert "2 replies set aside, the newest of 2024-03-05T10:00:01Z: price is a text" in check.says


def test_a_torn_tape_and_a_stray_are_named(settings: Settings) -> None:
    """Replies on a tape whose end is half a record, and what is not of a tape at all."""
    root = Path(settings.tape)
    with Tape(root, "htx-spot", "instruments") as tape:
        tape.append(reply_record("/x", (), 200, b"{}", T0))
    (path,) = root.rglob("*.tape")
    assert tape_of(settings)["tape"].status == "ok"
    (root / "notes.txt").write_text("x")
    assert str(root / "notes.txt") in tape_of(settings)["tape"].says
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"\x89tp1half")
    check = tape_of(settings)["tape"]
    assert check.details["torn"]["shown"] == [f"{path} (8 of {size + 8} bytes)"]
    assert check.status == "warning"


def test_packages_that_are_missing_or_too_old_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not there is a problem, one of another version a warning; what is needed here fits."""
    assert software_check().status == "ok"
    monkeypatch.setattr(doctor_settings, "_wanted", lambda: {"pyarrow": "<1"})
    check = software_check()
    assert (check.status, "pyarrow" in check.says, "(needed: <1)" in check.says) == ("warning", True, True)
    monkeypatch.setattr(doctor_settings, "_wanted", lambda: {"pyarrow": "", "no-such-thing": ">=1"})
    assert software_check().status == "problem"
    assert "no-such-thing cannot be found" in software_check().says
