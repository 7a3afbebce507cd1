"""What every test gets: an empty place to stand, no way out to the internet, and a look around when it leaves.

A test sees no setting and no secret of the machine it runs on, no `htxdata.toml`, no home folder, no shared rate budget
and no Prefect database but its own. It may talk to this machine only. It must stop every thread and process it started.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

pytest.register_assert_rewrite("tests.store.contract", "tests.venues.contract")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("HTXDATA_SHARED") or ROOT.parent / "shared")  # read before the environment is emptied

_TEST_HOME = Path(tempfile.mkdtemp(prefix="htxdata-tests-"))
_LEAVE_SECONDS = 3.0  # what threads and children have to end after the test's own clean-up
_OUR_PREFIXES = ("HTXDATA_", "HTX_", "HASHKEY_", "PERMANENT_", "PREFECT_", "AWS_")

# No example database: what is found on one machine must be found on all. What stays in .venv are the constants of our
# own files, by their content: each worker of each run would look through all of them again, for a quarter of the time
# that collecting takes.
_ENVIRONMENT = ROOT / ".venv"
set_hypothesis_home_dir((_ENVIRONMENT if _ENVIRONMENT.is_dir() else _TEST_HOME) / "hypothesis")
# As many as the three minutes of the default run bear; `make chaos` and whoever has the time take more.
_EXAMPLES = int(os.environ.get("HTXDATA_EXAMPLES", "25"))
hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, max_examples=_EXAMPLES, print_blob=True
)
hypothesis.settings.register_profile(
    "dev", deadline=None, database=None, max_examples=_EXAMPLES, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")


WIDE = ("sandbox/", "research/feeds/", "bucket/test_commits.py", "bucket/test_readers.py", "store/test_jail.py",
        "hostile/test_names.py", "chaos/test_clock.py")  # fmt: skip
"""What CI runs behind the default suite: the counterpart's own tests, and what costs much and finds little."""


FIRST = ("transport", "chaos", "flows", "store", "ingest")
"""Rooms whose files last long, most of it waiting: begun last, they would be what everybody waits for (Makefile)."""


def _rooms() -> list[str]:
    names = {entry.name for entry in (ROOT / "tests").iterdir() if not entry.name.startswith(("_", "."))}
    return [*FIRST, *sorted(names.difference(FIRST))]


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Each worker begins to collect in another room, where it is all of them that are to be collected.

    Pytest compiles every test anew in a fresh checkout (its asserts are rewritten), which takes longer than all else
    that collecting does; what one worker has compiled the others find. In step, each would compile everything.
    """
    given = getattr(session.config, "workerinput", None)
    if given is not None and session.config.args == session.config.getini("testpaths"):
        rooms = [f"tests/{name}" for name in _rooms() if name not in ("conftest.py", "truth.py")]
        at = int(given["workerid"].removeprefix("gw")) * len(rooms) // int(given["workercount"])
        session.config.args = rooms[at:] + rooms[:at]


@pytest.hookimpl(tryfirst=True)  # before pytest picks by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: at for at, name in enumerate(_rooms())}
    items.sort(key=lambda item: order[item.path.relative_to(ROOT / "tests").parts[0]])
    for item in items:
        if item.path.relative_to(ROOT / "tests").as_posix().startswith(WIDE):
            item.add_marker("wide")


def pytest_collection_finish() -> None:
    """Five thousand tests and what they import stay: who collects garbage need not look at them every time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()
    shutil.rmtree(_TEST_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded samples and references beside the checkout (or HTXDATA_SHARED)."""
    if not SHARED.is_dir():
        pytest.skip("no recorded samples: no folder shared/ beside the checkout, and HTXDATA_SHARED names none")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def own_machine() -> Iterator[None]:
    """For the whole session: a home folder, caches and a Prefect home that nobody else has; children hear Ctrl-C.

    Of the session's scope because session fixtures (a Prefect server, a sandbox process) inherit it. The background
    jobs of a script begin with SIGINT ignored, and so would all whom they start; a signal that is caught, by a function
    that does nothing, is as good as ignored here, and not inherited.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)
    home = _TEST_HOME / "home"
    home.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_OUR_PREFIXES) or (name.startswith("XDG_") and name.endswith(("_HOME", "_DIR"))):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("PREFECT_HOME", str(_TEST_HOME / "prefect"))
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        patch.setenv("DO_NOT_TRACK", "1")
        yield


_numbers = count()


@pytest.fixture(autouse=True)
def own_ground(own_machine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For each test: an empty working directory and a rate budget of its own."""
    ground = _TEST_HOME / str(next(_numbers))
    (ground / "cwd").mkdir(parents=True)
    (ground / "budget").mkdir()
    monkeypatch.chdir(ground / "cwd")
    monkeypatch.setenv("HTXDATA_BUDGET_DIR", str(ground / "budget"))
    yield
    monkeypatch.undo()
    shutil.rmtree(ground, ignore_errors=True)


# ------------------------------------------------------------------------------------------------- no way out


def _is_local(sock: socket.socket, address: object) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = str(address[0]) if isinstance(address, tuple) else str(address)
    try:
        return host in ("localhost", "") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_internet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting anywhere but to this machine fails at once and says so; tests marked `live` may."""
    if request.node.get_closest_marker("live"):
        return

    def guarded(method):  # type: ignore[no-untyped-def]
        def connect(self: socket.socket, address: object) -> object:
            if not _is_local(self, address):
                raise ConnectionRefusedError(f"a test tried to reach {address!r}; only tests marked live may")
            return method(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))


# ------------------------------------------------------------------------------------------------- nothing left behind


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _children() -> dict[int, str]:
    """Live children of this process: number to command line. Python's own servants do not count, nor do the dead."""
    found = {}
    for listing in Path("/proc/self/task").glob("*/children"):
        try:
            numbers = listing.read_text().split()
        except OSError:  # the thread has just ended
            continue
        for number in numbers:
            try:
                state = Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[0]
                command = Path("/proc", number, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if state not in "ZX" and "multiprocessing.resource_tracker" not in command:
                found[int(number)] = command.strip()
    return found


@pytest.fixture(autouse=True)
def no_leaks(own_ground: None) -> Iterator[None]:
    """A test ends every non-daemon thread and every process that it started.

    Fixtures of a wider scope that a test names are set up before this one looks, and so do not count as the test's.
    """
    threads, children = _threads(), set(_children())
    yield
    deadline = time.monotonic() + _LEAVE_SECONDS
    while True:
        left = [f"thread {thread.name}" for thread in _threads() - threads]
        started = {number: command for number, command in _children().items() if number not in children}
        if not left and not started:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for number in started:
        os.kill(number, signal.SIGKILL)  # so that the next test does not meet it
    left += [f"process {number}: {command}" for number, command in started.items()]
    pytest.fail("the test left behind: " + "; ".join(left))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes are no names: what is packed holds the hour, and the workers of xdist must collect the same tests."""
    return argname if isinstance(val, bytes) and len(val) > 8 else None
