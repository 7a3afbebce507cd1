"""One's own fills over HashKey's user stream, from a sandbox that lends keys to listen with, to the lake."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main
from htxdata.errors import ConfigError, KeyRefused
from htxdata.ingest.capture import Captured, capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.distil_memory import Topic
from htxdata.ingest.distil_names import named
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Faults, Rule, Sandbox
from htxdata.sandbox.own import TRADED
from htxdata.store import reel
from htxdata.transport.door import Door
from tests.ingest.test_capture import back, set_after
from tests.ingest.test_own import Hours, rows_of, spans, truth_of
from tests.ingest.test_own_hashkey import BOUND
from tests.truth import assert_covers, configuration, settings_for
from tests.waits import until

KEYS, STREAM = "/api/v1/userDataStream", "/api/v1/ws"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment."""
    monkeypatch.setenv("HASHKEY_API_KEY", SANDBOX_KEY.access)
    monkeypatch.setenv("HASHKEY_SECRET_KEY", SANDBOX_KEY.secret)


def unhurried(monkeypatch: pytest.MonkeyPatch) -> Hours:
    """Ten times as fast as others. A request that is signed is taken for five seconds all the same, by any other's."""
    hours = Hours(monkeypatch)
    hours.speed = 10.0
    monkeypatch.setattr("htxdata.sandbox.hashkey_own._WINDOW", "50000")
    return hours


def listen(
    sandbox: Sandbox, folder: Path, seconds: float, stop: threading.Event, said: Callable[[str], None] = print,
    enough: Callable[[], object] = lambda: True, **more: Any,
) -> Captured:  # fmt: skip
    settings = settings_for(sandbox, folder)
    with Session(settings, say=said, stop=stop) as session, set_after(seconds, sandbox, enough) as over:
        return capture(Wanted("hashkey", ("own_fills",), ("*",)), session, over, **more)


def assert_each_once(lake: Path, sandbox: Sandbox) -> int:
    """Every fill of the time that is covered, as the exchange knows it; how many there were."""
    count = 0
    for symbol in TRADED["hashkey"]:
        series = Series("own_fills", "hashkey", symbol)
        found = spans(lake, series)
        assert found
        start, end = found[0].start, found[-1].end
        assert_covers(lake, series, start, end)
        truth = truth_of(sandbox, "hashkey", symbol, start, end)
        assert [row for row in rows_of(lake, series) if start <= row[2] < end] == truth
        count += len(truth)
    return count


def assert_unsaid(folder: Path, sandbox: Sandbox, *texts: str) -> None:
    """No key to listen with is in any file, as it is or packed, or in these texts."""
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    for path in reel.reels(folder / "tape"):
        for _, found in reel.read(path):
            if isinstance(found, reel.Frames):
                written += found.bodies
            elif isinstance(found, reel.Record):
                written += [found.body, str(found.said).encode()]
    assert sandbox.lent_keys
    for lent in sandbox.lent_keys:
        assert not any(lent.encode() in one for one in written)
        assert not any(lent in text for text in texts)


CUT = Rule("disconnect", between=(0.5, 60.0), after=3, times=1, seconds=0.5, topic="user_stream")
STORM = (Rule("missed_frame", 0.3), Rule("duplicated_frame", 0.3), Rule("reordered_frame", 0.2))


@pytest.mark.wide
@pytest.mark.parametrize(
    ("faults", "breaks"),
    [
        ((CUT,), True),
        (tuple(replace(rule, topic="user_stream") for rule in STORM), False),
        ((Rule("silence", topic="user_stream", after=2, forever=True),), False),
    ],
    ids=["lost", "missed and doubled", "stalled"],
)
def test_what_the_stream_did_not_tell_comes_by_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: tuple[Rule, ...], breaks: bool
) -> None:
    """A connection is cut and kept away, frames are lost, doubled and changed about, or nothing is said any more: each
    fill is one row, as it was; a new connection has a key of its own, and none is written anywhere."""
    hours, told = unhurried(monkeypatch), list[str]()
    with Sandbox(
        seed=5, limits=False, own_seconds=3, ping_seconds=0.1, faults=Faults(*faults), clock=hours.now
    ) as sandbox:
        done = listen(sandbox, tmp_path, 4, hours, told.append, lambda: back(sandbox, 0) or not breaks)
        assert done.complete, done
        assert (done.reconnects > 0) == breaks
        assert assert_each_once(tmp_path / "lake", sandbox) > 20
        assert len(sandbox.lent_keys) >= 1 + breaks
        assert_unsaid(tmp_path, sandbox, *told)
        assert not sandbox.refused_keys


@pytest.mark.wide
def test_a_connection_is_handed_over_with_a_key_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a rotation the successor has another key, and is heard beside its predecessor: no fill is two rows."""
    hours = unhurried(monkeypatch)
    with Sandbox(seed=5, limits=False, own_seconds=3, ping_seconds=0.1, clock=hours.now) as sandbox:
        done = listen(sandbox, tmp_path, 4, hours, enough=lambda: len(sandbox.sockets) > 1, rotate=1.0)
        assert (done.complete, done.reconnects) == (True, 0), done
        assert len(sandbox.lent_keys) == len(sandbox.sockets) >= 2
        assert assert_each_once(tmp_path / "lake", sandbox) > 20
        assert_unsaid(tmp_path, sandbox)
        until(lambda: all(one.why for one in sandbox.sockets))
        assert {one.why for one in sandbox.sockets} == {"client"}


def hurry(monkeypatch: pytest.MonkeyPatch, **change: float) -> None:
    """Keys to listen with are extended sooner."""
    monkeypatch.setattr(
        "htxdata.ingest.capture_connection.Door", lambda lent, client: Door(replace(lent, **change), client)
    )


@pytest.mark.wide
@pytest.mark.parametrize("extended", [True, False], ids=["in time", "too late"])
def test_a_key_to_listen_with_is_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extended: bool) -> None:
    """In time, and the connection lives on; too late, and the venue lets go of it: another key is asked for, and what
    happened meanwhile comes by REST."""
    hurry(monkeypatch, valid=9.0, every=0.5 if extended else 1.5)
    told, seen = list[str](), [(0, 0.0)]

    def enough() -> bool:
        """A connection that lives for a second is to stand at the end: it ends soon after one was made."""
        count = len(sandbox.sockets)
        if count != seen[-1][0]:
            seen.append((count, time.monotonic()))
        return extended or (count > 2 and not sandbox.sockets[-1].why and time.monotonic() - seen[-1][1] < 0.3)

    with Sandbox(seed=5, limits=False, own_seconds=1, ping_seconds=0.02, listen_seconds=1.0) as sandbox:
        done = listen(sandbox, tmp_path, 4, threading.Event(), told.append, enough)
        assert done.complete, done
        assert (done.reconnects, len(sandbox.lent_keys) == 1) == (0, True) if extended else done.reconnects >= 2
        asked = [r.method for r in sandbox.requests if r.path == KEYS]
        assert asked.count("PUT") >= (5 if extended else 0)
        assert [one.why for one in sandbox.sockets][:-1] == ["listen key"] * (len(sandbox.sockets) - 1)
        assert assert_each_once(tmp_path / "lake", sandbox) > 3
        assert_unsaid(tmp_path, sandbox, *told)


@pytest.mark.wide
def test_a_key_that_nobody_knows_any_more_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue repeats the key in its refusal: the run goes on with another one, and tells the refusal without it."""
    hurry(monkeypatch, every=0.6)
    told: list[str] = []
    with Sandbox(seed=5, limits=False, own_seconds=30, ping_seconds=9.0, listen_seconds=0.3) as sandbox:
        done = listen(sandbox, tmp_path, 1.5, threading.Event(), told.append)
        assert done.reconnects >= 1
        assert any("was not extended: " in text and "-1125: This listenKey does not exist: …" in text for text in told)
        assert len(sandbox.lent_keys) >= 2
        assert_unsaid(tmp_path, sandbox, *told, repr(done))


@pytest.mark.wide
def test_a_question_that_came_too_late_costs_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first key is asked for a minute late, and refused for that: the next is not, and the capture goes on."""
    hours, told = unhurried(monkeypatch), list[str]()
    with Sandbox(seed=5, limits=False, own_seconds=3, ping_seconds=0.1, clock=hours.now) as sandbox:
        late = {True: 0, False: 60_000_000}
        monkeypatch.setattr(
            "htxdata.transport.http._now_us", lambda: time.time_ns() // 1000 - late[bool(sandbox.refused_keys)]
        )
        done = listen(sandbox, tmp_path, 2, hours, told.append)
        assert (done.complete, done.reconnects, list(sandbox.refused_keys.values())) == (True, 1, [1]), done
        assert len([text for text in told if "is this machine's clock right?" in text]) == 1
        assert assert_each_once(tmp_path / "lake", sandbox) > 3


@pytest.mark.wide
def test_a_key_is_asked_for_until_there_is_one(tmp_path: Path) -> None:
    """A venue that errs, hangs up and answers nonsense lends none: the capture says so, and asks on."""
    bad = (Rule("error", times=1), Rule("drop", times=1), Rule("garbage", times=1, after=2))
    told: list[str] = []
    with Sandbox(
        seed=5, limits=False, own_seconds=1, ping_seconds=0.1, faults=Faults(*(replace(r, path=KEYS) for r in bad))
    ) as sandbox:
        done = listen(sandbox, tmp_path, 8, threading.Event(), told.append)
        assert done.complete, done
        assert done.reconnects == 3
        assert len([text for text in told if "no key to listen with: " in text]) == 3
        assert assert_each_once(tmp_path / "lake", sandbox) > 3


def test_alike_fills_are_counted_order_by_order() -> None:
    """As REST counts them: what was pushed twice is one, and what is alike of another order begins anew."""
    topic, at = Topic("ETHUSDT-PERPETUAL", None), 1_723_037_391_147_000
    numbers, orders = ["7", "8", "7", "9", "9"], ["1", "2", "1", "1", "1"]
    told = {"trade_time": [at] * 5, "price": [2463.36] * 5, "quantity": [0.003] * 5, "contracts": [3.0] * 5,
            "side": ["buy"] * 5, "trade_id": numbers, "order_id": orders}  # fmt: skip
    halves = [{name: values[:2] for name, values in told.items()}, {name: values[2:] for name, values in told.items()}]
    names = [name for half in halves for name in named(topic, half)["trade_id"]]
    assert [name.removeprefix("1723037391147-2463.36-3-buy-") for name in names] == ["1", "1", "1", "2", "2"]


# ------------------------------------------------------------------------------------------------------- keys

NOTHING = ApiKey("mayno000-00000000-00000000-00000", "made-up-secret", "withdraw")


@pytest.mark.parametrize(
    ("access", "secret", "words"),
    [
        (SANDBOX_KEY.access, "wrong", "0001: Required field signature missing or invalid"),
        ("nobodys", "wrong", "0102: Invalid APIKey"),
        (BOUND.access, BOUND.secret, "0202: Invalid IP"),
        (NOTHING.access, NOTHING.secret, "-1005: No permission"),
    ],
)
def test_a_refused_key_ends_the_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, secret: str, words: str
) -> None:
    """One question and no second; the reason is told once, without the key; no connection is made."""
    monkeypatch.setenv("HASHKEY_API_KEY", access)
    monkeypatch.setenv("HASHKEY_SECRET_KEY", secret)
    with Sandbox(limits=False, keys=(BOUND, NOTHING), own_seconds=1) as sandbox:
        with pytest.raises(KeyRefused) as caught:
            listen(sandbox, tmp_path, 20, threading.Event())
        assert str(caught.value) == f"hashkey: own_fills of *: the key is not taken: {words}"
        assert caught.value.exit_code == 1
        assert [r.method for r in sandbox.requests if r.path == KEYS] == ["POST"]
        assert (sandbox.sockets, sandbox.lent_keys) == ([], [])
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert access.encode() not in written


def test_without_a_key_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, exit code 2; a glob of feeds means those that need none."""
    monkeypatch.delenv("HASHKEY_API_KEY")
    monkeypatch.delenv("HASHKEY_SECRET_KEY")
    with Sandbox(limits=False) as sandbox:
        with pytest.raises(ConfigError, match="the feed own_fills of hashkey needs a key"):
            listen(sandbox, tmp_path, 1, threading.Event())
        words = ["--config", str(configuration(sandbox, tmp_path)), "capture", "--venue", "hashkey", "--symbol", "*"]
        assert main([*words, "--feed", "own_fills", "--for", "1s"]) == 2
        assert "needs a key: set HASHKEY_API_KEY and HASHKEY_SECRET_KEY" in capsys.readouterr().err
        assert not any(r.path == KEYS for r in sandbox.requests)
