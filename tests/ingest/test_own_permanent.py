"""One's own fills and account on permanent, from a sandbox that verifies every signature to the lake."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main
from htxdata.errors import KeyRefused
from htxdata.ingest.asked import Request
from htxdata.ingest.capture import Captured, capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Faults, Rule, Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, iso
from tests.clocks import Wound
from tests.ingest.test_capture import back, set_after
from tests.truth import assert_covers, configuration, files, fill, settings_for, stored

VENUE = "htx-permanent"
FILLS = ("trade_id", "order_id", "trade_time", "side", "price", "quantity", "fee", "fee_currency", "role", "order_type",
         "client_order_id")  # fmt: skip
ROUGH = (Rule("error", 0.1), Rule("drop", 0.1), Rule("cut", 0.05), Rule("busy", 0.05))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment."""
    monkeypatch.setenv("PERMANENT_ACCESS_KEY", SANDBOX_KEY.access)
    monkeypatch.setenv("PERMANENT_SECRET_KEY", SANDBOX_KEY.secret)


def since(hours: float) -> int:
    return (time.time_ns() // 1000 - int(hours * HOUR)) // MINUTE * MINUTE


def truth_of(sandbox: Sandbox, symbol: str, start: int, end: int) -> list[tuple[Any, ...]]:
    """What happened by the exchange's own word, as rows of `FILLS`."""
    return sorted(
        (
            str(f.trade_id), str(o.number), f.time, o.side, float(f.price), float(f.quantity), float(f.fee), None,
            o.role, None, None,
        )
        for o, f in sandbox.own.fills(VENUE, symbol, start, end, sandbox.now())
    )  # fmt: skip


def rows_of(lake: Path, series: Series) -> list[tuple[Any, ...]]:
    rows = stored(lake, series)
    return sorted(zip(*(rows[name] for name in FILLS), strict=True)) if rows else []


@pytest.mark.parametrize(
    ("faults", "every"),
    [((), 1200), pytest.param(ROUGH, 120, marks=pytest.mark.wide)],
    ids=["a quiet day", "a rough day of more than a page"],
)
def test_fills_of_a_day(tmp_path: Path, faults: tuple[Rule, ...], every: int) -> None:
    """Each fill as it was, in coins, also of more than a page holds; again, and nothing changes."""
    series, start, end = Series("own_fills", VENUE, "btcusdt"), since(25), since(1)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults), own_seconds=every) as sandbox:
        request = Request("own_fills", VENUE, ("BTCUSDT",), (), iso(start), iso(end))
        assert fill(settings_for(sandbox, tmp_path), request).complete
        truth = truth_of(sandbox, "btcusdt", start, end)
        assert (len(truth) > 500) == bool(faults)
        assert len(truth) > 40
        assert rows_of(tmp_path / "lake", series) == truth
        assert_covers(tmp_path / "lake", series, start, end)
        asked = [r for r in sandbox.requests if r.path.endswith("/orders/trades")]
        assert len(asked) >= (2 if faults else 1)
        before = files(tmp_path / "lake")
        assert fill(settings_for(sandbox, tmp_path), request).outcomes == []
        assert files(tmp_path / "lake") == before
        assert len([r for r in sandbox.requests if r.path.endswith("/orders/trades")]) == len(asked)
        assert not sandbox.refused_keys
        market = sandbox.market.trades(VENUE, "btcusdt", start, end)
        assert {row[0] for row in truth} <= set(map(str, market["trade_id"].tolist()))


def test_the_venue_forgets(tmp_path: Path) -> None:
    """What is older than 48 hours is unobtainable; a symbol in which nothing was done is empty."""
    start = since(60)
    with Sandbox(seed=5, limits=False, own_seconds=3600) as sandbox:
        request = Request("own_fills", VENUE, ("ethusdt", "dogeusdt"), (), iso(start), iso(since(1)))
        report = fill(settings_for(sandbox, tmp_path), request)
        assert report.complete, report.missing
        series = Series("own_fills", VENUE, "ethusdt")
        first = Store(tmp_path / "lake").coverage(series)[0]
        assert first.verdict == "unobtainable"
        assert abs(time.time_ns() // 1000 - 2 * DAY - first.end) < HOUR
        assert rows_of(tmp_path / "lake", series) == truth_of(sandbox, "ethusdt", first.end, since(1))
        quiet = Store(tmp_path / "lake").coverage(Series("own_fills", VENUE, "dogeusdt"))
        assert [span.verdict for span in quiet] == ["unobtainable", "empty"]


def test_the_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every currency in one question, on tape before it is a row."""
    with Sandbox(seed=5, limits=False) as sandbox:
        words = ["--config", str(configuration(sandbox, tmp_path)), "snapshot", "own_balances", "--venue", VENUE]
        assert main(words) == 0
        assert "own_balances of 1 of 1 accounts" in capsys.readouterr().err
        assert [r.path for r in sandbox.requests if "account" in r.path] == ["/api/swap/account/balance"]
    rows = stored(tmp_path / "lake", Series("own_balances", VENUE, "*"))
    names = ("account_id", "account_type", "currency", "balance", "available", "frozen", "sequence")
    assert {name: rows[name] for name in names} == {
        "account_id": ["swap"], "account_type": ["swap"], "currency": ["usdt"], "balance": [100000.0],
        "available": [100000.0], "frozen": [0.0], "sequence": [None],
    }  # fmt: skip


def hurried(speed: float = 35.0) -> Any:
    """A clock 290 seconds behind ours that gains on it until it is as much ahead: it is trusted all the time."""
    gaining = Wound(time.time() - 290, speed)
    return lambda: min(gaining(), time.time() + 290)


def listen(
    sandbox: Sandbox, folder: Path, seconds: float, symbols: tuple[str, ...] = ("btcusdt", "ethusdt"),
    enough: Callable[[], object] = lambda: True,
) -> Captured:  # fmt: skip
    settings = settings_for(sandbox, folder)
    with Session(settings, say=lambda text: None) as session, set_after(seconds, sandbox, enough) as stop:
        return capture(Wanted(VENUE, ("own_fills",), symbols), session, stop)


@pytest.mark.wide
def test_fills_as_they_come(tmp_path: Path) -> None:
    """Each fill of the time, as REST would tell it; the key is on no tape."""
    with Sandbox(seed=5, limits=False, own_seconds=10, ping_seconds=0.1, clock=hurried()) as sandbox:
        done = listen(sandbox, tmp_path, 4)
        assert done.complete, done
        count = 0
        for symbol in ("btcusdt", "ethusdt"):
            series = Series("own_fills", VENUE, symbol)
            (heard,) = Store(tmp_path / "lake").coverage(series)
            truth = truth_of(sandbox, symbol, heard.start, heard.end)
            found = [row for row in rows_of(tmp_path / "lake", series) if heard.start <= row[2] < heard.end]
            assert (found, heard.source) == (truth, "ws")
            count += len(truth)
        assert count > 2
        assert not sandbox.refused_keys
        assert [one.path for one in sandbox.sockets] == ["/api/swap/account/ws"]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert SANDBOX_KEY.access.encode() not in written


@pytest.mark.wide
def test_what_was_lost_comes_by_rest(tmp_path: Path) -> None:
    """A connection is dropped and kept away: the fills of that time are asked for, and the gap is healed."""
    rule = Rule("disconnect", between=(2.0, 60.0), after=2, times=1, seconds=1.0, topic="orders#*usdt")
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.05, faults=Faults(rule), clock=hurried()
    ) as sandbox:
        done = listen(sandbox, tmp_path, 5, ("btcusdt",), lambda: back(sandbox, 0))
        assert (done.reconnects >= 1, done.complete, done.healed) == (True, True, 1), done
        series = Series("own_fills", VENUE, "btcusdt")
        found = Store(tmp_path / "lake").coverage(series)
        start, end = found[0].start, found[-1].end
        assert {span.verdict for span in found} <= {"present", "empty"}
        assert {span.source for span in found} == {"ws", "rest"}
        rows = [row for row in rows_of(tmp_path / "lake", series) if start <= row[2] < end]
        assert rows == truth_of(sandbox, "btcusdt", start, end)


def test_a_key_that_the_socket_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sign-in, and the capture ends with the venue's reason."""
    monkeypatch.setenv("PERMANENT_SECRET_KEY", "wrong")
    with Sandbox(seed=5, limits=False, ping_seconds=0.2) as sandbox:
        with pytest.raises(KeyRefused, match=r"2002: auth\.fail"):
            listen(sandbox, tmp_path, 20)
        assert [one.path for one in sandbox.sockets] == ["/api/swap/account/ws"]
        assert sandbox.refused_keys == {"Verification failure [校验失败]": 1}


BOUND = ApiKey("bound000-00000000-00000000-00000", "made-up-secret", addresses=("10.1.2.3",))


@pytest.mark.parametrize(
    ("access", "secret", "skew", "ascii", "words"),
    [
        (SANDBOX_KEY.access, "wrong", 0, False, "1003: invalid signature: Verification failure"),
        ("nobodys", "wrong", 0, False, "1002: unauthorized: Incorrect Access key"),
        (BOUND.access, BOUND.secret, 0, False, "1002: unauthorized: Incorrect IP"),
        (SANDBOX_KEY.access, SANDBOX_KEY.secret, 400, False, "1003: invalid signature: Invalid submission time"),
        (SANDBOX_KEY.access, SANDBOX_KEY.secret, 0, True, "1003: invalid signature: Verification failure"),
    ],
    ids=["secret", "nobody's", "address", "time", "names sorted by ASCII"],
)
def test_a_refused_key_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, secret: str, skew: int, ascii: bool, words: str
) -> None:
    """One question, no retry; the venue's reason is told and neither key nor signature; nothing of it in any file."""
    monkeypatch.setenv("PERMANENT_ACCESS_KEY", access)
    monkeypatch.setenv("PERMANENT_SECRET_KEY", secret)
    with Sandbox(
        limits=False, keys=(BOUND,), clock=lambda: time.time() + skew, permanent_by_ascii=ascii
    ) as sandbox:
        ask = Request("own_fills", VENUE, ("btcusdt",), (), iso(since(24)), iso(since(12)))
        with Session(settings_for(sandbox, tmp_path), say=print) as session, pytest.raises(
            KeyRefused, match=words
        ) as caught:
            backfill([ask], session)
        assert caught.value.exit_code == 1
        assert not any(said in str(caught.value) for said in (access, secret, "Signature="))
        assert len([r for r in sandbox.requests if r.path.endswith("/orders/trades")]) == 1
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert access.encode() not in written
