"""One's own fills at HashKey, from a sandbox that verifies every signature to the lake."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from htxdata.cli import main
from htxdata.errors import ConfigError, KeyRefused
from htxdata.ingest.asked import Request
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Faults, Rule, Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, iso
from tests.ingest.test_own import name_of, type_of
from tests.truth import assert_covers, configuration, files, fill, settings_for, stored

FILLS = ("trade_id", "order_id", "trade_time", "side", "price", "quantity", "fee", "fee_currency", "role", "order_type",
         "client_order_id")  # fmt: skip
ROUGH = (Rule("error", 0.1), Rule("drop", 0.1), Rule("cut", 0.05), Rule("duplicate", 0.05), Rule("busy", 0.05))
PATHS = {"BTCUSDT": "/api/v1/account/trades", "BTCUSDT-PERPETUAL": "/api/v1/futures/userTrades"}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment."""
    monkeypatch.setenv("HASHKEY_API_KEY", SANDBOX_KEY.access)
    monkeypatch.setenv("HASHKEY_SECRET_KEY", SANDBOX_KEY.secret)


def since(days: float) -> int:
    return (time.time_ns() // 1000 - int(days * DAY)) // HOUR * HOUR


def truth_of(sandbox: Sandbox, symbol: str, start: int, end: int) -> list[tuple[Any, ...]]:
    """What happened by the exchange's own word, as rows of `FILLS`."""
    spot = not symbol.endswith("-PERPETUAL")
    return sorted(
        (
            name_of(o, f), str(o.number), f.time, o.side, float(f.price), float(f.quantity), float(f.fee),
            f.fee_currency, o.role, type_of(o), o.client_id if spot else None,
        )
        for o, f in sandbox.own.fills("hashkey", symbol, start, end, sandbox.now())
    )  # fmt: skip


def rows_of(lake: Path, series: Series) -> list[tuple[Any, ...]]:
    rows = stored(lake, series)
    return sorted(zip(*(rows[name] for name in FILLS), strict=True)) if rows else []


@pytest.mark.parametrize("symbol", PATHS)
@pytest.mark.parametrize(
    "faults", [(), pytest.param(ROUGH, marks=pytest.mark.wide)], ids=["a quiet day", "a rough day"]
)
def test_fills_of_more_than_a_page(tmp_path: Path, symbol: str, faults: tuple[Rule, ...]) -> None:
    """Nine days of more fills than a page holds: each as it was, a perpetual's in coins; again, and nothing changes."""
    series, start, end = Series("own_fills", "hashkey", symbol), since(9), since(0.5)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults), own_seconds=600) as sandbox:
        request = Request("own_fills", "hashkey", (symbol.lower(),), (), iso(start), iso(end))
        assert fill(settings_for(sandbox, tmp_path), request).complete
        truth = truth_of(sandbox, symbol, start, end)
        assert len(truth) > 1000
        assert rows_of(tmp_path / "lake", series) == truth
        assert_covers(tmp_path / "lake", series, start, end)
        asked = [r for r in sandbox.requests if "rades" in r.path]
        assert {r.path for r in asked} == {PATHS[symbol]}
        before, count = files(tmp_path / "lake"), len(asked)
        assert fill(settings_for(sandbox, tmp_path), request).outcomes == []
        assert files(tmp_path / "lake") == before
        assert len([r for r in sandbox.requests if "rades" in r.path]) == count
        assert not sandbox.refused_keys


def test_the_venue_forgets(tmp_path: Path) -> None:
    """What is older than thirty days is unobtainable."""
    start = since(35)
    with Sandbox(seed=5, limits=False, own_seconds=43_200) as sandbox:
        request = Request("own_fills", "hashkey", ("ETHUSDT",), (), iso(start), iso(since(0.1)))
        report = fill(settings_for(sandbox, tmp_path), request)
        assert report.complete, report.missing
        series = Series("own_fills", "hashkey", "ETHUSDT")
        first = Store(tmp_path / "lake").coverage(series)[0]
        assert first.verdict == "unobtainable"
        assert abs(time.time_ns() // 1000 - 30 * DAY - first.end) < HOUR
        assert rows_of(tmp_path / "lake", series) == truth_of(sandbox, "ETHUSDT", first.end, since(0.1))


def test_without_a_key_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong usage, exit code 2, before the first private request; half a key is no key."""
    monkeypatch.delenv("HASHKEY_API_KEY")
    monkeypatch.delenv("HASHKEY_SECRET_KEY")
    with Sandbox(limits=False) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=print) as session, pytest.raises(
            ConfigError, match=r"own_fills of hashkey needs a key: set HASHKEY_API_KEY and HASHKEY_SECRET_KEY"
        ):
            backfill([Request("own_fills", "hashkey", ("btcusdt",), (), iso(since(1)))], session)
        words = ["--config", str(configuration(sandbox, tmp_path)), "backfill", "own_fills", "--venue", "hashkey"]
        words += ["--symbol", "BTCUSDT", "--start", iso(since(1))]
        assert main(words) == 2
        monkeypatch.setenv("HASHKEY_API_KEY", SANDBOX_KEY.access)
        assert main(words) == 2
        said = capsys.readouterr().err
        assert "needs a key: set HASHKEY_API_KEY" in said
        assert "HASHKEY_API_KEY but no HASHKEY_SECRET_KEY" in said
        assert not any("rades" in r.path for r in sandbox.requests)


BOUND = ApiKey("bound000-00000000-00000000-00000", "made-up-secret", addresses=("10.1.2.3",))


@pytest.mark.parametrize(
    ("access", "secret", "words"),
    [
        (SANDBOX_KEY.access, "wrong", "0001: Required field signature missing or invalid"),
        ("nobodys", "wrong", "0102: Invalid APIKey"),
        (BOUND.access, BOUND.secret, "0202: Invalid IP"),
    ],
)
def test_a_refused_key_ends_the_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, access: str, secret: str, words: str
) -> None:
    """One question, no retry; the venue's reason is told and neither key nor signature; nothing of it in any file."""
    monkeypatch.setenv("HASHKEY_API_KEY", access)
    monkeypatch.setenv("HASHKEY_SECRET_KEY", secret)
    with Sandbox(limits=False, keys=(BOUND,)) as sandbox:
        ask = Request("own_fills", "hashkey", ("btcusdt",), (), iso(since(1)), iso(since(0.5)))
        with Session(settings_for(sandbox, tmp_path), say=print) as session, pytest.raises(
            KeyRefused, match=words
        ) as caught:
            backfill([ask], session)
        assert caught.value.exit_code == 1
        assert not any(said in str(caught.value) for said in (access, secret, "signature="))
        assert len([r for r in sandbox.requests if "rades" in r.path]) == 1
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert access.encode() not in written


LATE = "-1021: Timestamp for this request is outside of the recvWindow"


def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again does so at once."""
    monkeypatch.setattr("htxdata.protocol.backoff.FIRST_S", 0.001)


def test_what_was_under_way_too_long_is_signed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question comes six seconds late, and is refused for its time: asked again, and nothing is missing."""
    unhurried(monkeypatch)
    exchange: list[Sandbox] = []

    def clock() -> float:
        return time.time() + (6 if not exchange or not exchange[0].refused_keys else 0)

    series, start, end = Series("own_fills", "hashkey", "BTCUSDT"), since(1), since(0.5)
    with Sandbox(seed=5, limits=False, own_seconds=600, clock=clock) as sandbox:
        exchange.append(sandbox)
        ask = Request("own_fills", "hashkey", ("btcusdt",), (), iso(start), iso(end))
        assert fill(settings_for(sandbox, tmp_path), ask).complete
        assert list(sandbox.refused_keys.values()) == [1]
        assert rows_of(tmp_path / "lake", series) == truth_of(sandbox, "BTCUSDT", start, end) != []
        assert_covers(tmp_path / "lake", series, start, end)


def test_a_clock_that_is_off_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every attempt is refused for its time: 3, in a sentence that says of what and where to look, without the key."""
    unhurried(monkeypatch)
    with Sandbox(limits=False, clock=lambda: time.time() + 6) as sandbox:
        path, start, end = configuration(sandbox, tmp_path), iso(since(1)), iso(since(0.9))
        words = ["--config", str(path), "backfill", "own_fills", "--venue", "hashkey"]
        assert main([*words, "--symbol", "BTCUSDT", "--start", start, "--end", end]) == 3
        said = capsys.readouterr().err
        assert "gave up after 6 attempts in " in said
        assert f"{LATE}; is this machine's clock right? `htxdata doctor` measures it" in said
        assert not any(word in said for word in (SANDBOX_KEY.access, SANDBOX_KEY.secret, "signature="))
        assert len([r for r in sandbox.requests if "rades" in r.path]) == 6
