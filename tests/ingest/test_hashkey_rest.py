"""HashKey where it differs from the others: looks at what is coming, pauses, bans, instruments of two kinds."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from htxdata.errors import Unreachable, UsageError
from htxdata.ingest.asked import Request
from htxdata.ingest.audit import audit
from htxdata.ingest.capture_wanted import Wanted, topics_of
from htxdata.ingest.named import resolve
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import snapshot
from htxdata.market import Series
from htxdata.protocol.wire import Reply
from htxdata.protocol.wire import Request as Ask
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.sandbox.hashkey_funding import coming
from htxdata.store.partition import Store
from htxdata.store.tape import replies
from htxdata.timeline import HOUR, SECOND, iso
from htxdata.transport.budget import Budget
from htxdata.venues import venue
from htxdata.venues.hashkey import funding
from tests.truth import fill, klines, settings_for, stored, verdicts
from tests.waits import until

HASHKEY = venue("hashkey")
PERPETUALS = ("BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL", "DOGEUSDT-PERPETUAL")


def test_coming_fundings_are_looked_at_and_can_be_read_again_from_tape(tmp_path: Path) -> None:
    """One request tells of all perpetuals; the taped reply says when, so that it can be read again."""
    with Sandbox(seed=5, limits=False) as sandbox, Session(settings_for(sandbox, tmp_path), say=print) as session:
        found = snapshot(session, "indicative_funding_rates", HASHKEY)
        assert (found.missing, found.rows, found.wanted) == ((), 3, 3)
        for symbol in PERPETUALS:
            rows = stored(tmp_path / "lake", Series("indicative_funding_rates", "hashkey", symbol))
            (at,) = rows["observed_at"]
            truths = [coming(sandbox.market, symbol, when) for when in (at, at + SECOND)]
            assert (rows["funding_time"][0], rows["funding_rate"][0]) in [
                (truth["funding_time"], truth["funding_rate"]) for truth in truths
            ]
            assert verdicts(tmp_path / "lake", Series("indicative_funding_rates", "hashkey", symbol))[0][2] == "present"
    (taped,) = replies(tmp_path / "tape", "hashkey")
    again = funding.coming(
        Reply(Ask(taped.path, taped.params), taped.status, taped.body, taped.received_at, {"date": taped.date}), None
    )
    said = zip(*(again.columns[name] for name in ("symbol", "funding_rate", "observed_at")), strict=True)
    assert list(said) == [
        (symbol, rows["funding_rate"][0], rows["observed_at"][0])
        for symbol in PERPETUALS
        for rows in [stored(tmp_path / "lake", Series("indicative_funding_rates", "hashkey", symbol))]
    ]


def test_a_glob_leaves_out_what_has_none_and_a_name_is_refused() -> None:
    """Pairs pay no funding: `*` means the perpetuals, and `btcusdt` is wrong usage."""
    listed = ["BTCUSDT", "ETHUSDT", *PERPETUALS]
    found = resolve("funding_rates", "hashkey", ["*"], [], listed)
    assert [series.symbol for series in found] == list(PERPETUALS)
    assert [s.symbol for s in resolve("klines", "hashkey", ["btc*"], ["1min"], listed)] == ["BTCUSDT", PERPETUALS[0]]
    with pytest.raises(UsageError, match="'BTCUSDT': hashkey has funding_rates of other instruments only"):
        resolve("funding_rates", "hashkey", ["btcusdt"], [], listed)
    with pytest.raises(UsageError, match="open_interest of hashkey cannot be backfilled"):
        resolve("open_interest", "hashkey", ["*"], [], listed)
    with pytest.raises(UsageError, match="mark_klines of hashkey cannot be backfilled"):
        resolve("mark_klines", "hashkey", ["*"], ["1min"], listed)


def test_indices_are_heard_by_their_own_name(tmp_path: Path) -> None:
    """`--feed index` of a perpetual is the topic of its index; pairs are left out."""
    with Sandbox(seed=5, limits=False) as sandbox, Session(settings_for(sandbox, tmp_path), say=print) as session:
        _, (topics,), sizes = topics_of(Wanted("hashkey", ("index",), ("BTC*",)), session)
        assert dict(topics.symbols) == {"index:BTCUSDT": "BTCUSDT-PERPETUAL"}
        assert sizes["BTCUSDT-PERPETUAL"] == 0.001
        assert "BTCUSDT" not in sizes


@pytest.mark.wide
def test_a_ban_stops_the_whole_machine(tmp_path: Path) -> None:
    """After a 418 nothing is sent: not by this run, and not by the next session; the spans are missing, and say why."""
    with Sandbox(seed=5, limits=False, faults=Faults(Rule("ban", after=3, times=1, seconds=60.0))) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        report = fill(settings, klines("hashkey", "BTCUSDT", "1min", "2026-03-01", "2026-03-08"))
        assert not report.complete
        asked = len(sandbox.requests)
        assert sandbox.requests[-1].status == 418
        assert [one.status for one in sandbox.requests].count(418) <= 2  # those that were under way already
        assert any("418" in missing.why or "wants no requests" in missing.why for _, missing in report.missing)
        with Session(settings, say=print) as session, pytest.raises(Unreachable, match="wants no requests for another"):
            session.get(HASHKEY, Ask("/api/v1/ping"))
        assert len(sandbox.requests) == asked


@pytest.mark.wide
def test_a_429_is_a_pause_for_everybody(tmp_path: Path) -> None:
    """A minute where the venue says nothing, and as long as it says where it does: then all is there."""
    silent = Faults(Rule("throttle", times=1, mode="bare"))
    with Sandbox(seed=5, limits=False, faults=silent) as sandbox, Session(settings_for(sandbox, tmp_path)) as session:

        def stop() -> None:
            until(lambda: [one.status for one in sandbox.requests] == [429])
            time.sleep(1.0)
            session.stop.set()

        stopping = threading.Thread(target=stop)
        stopping.start()
        with pytest.raises(Unreachable, match="stopped"):  # it would have waited a minute
            session.get(HASHKEY, Ask("/api/v1/ping"))
        stopping.join()
        assert [one.status for one in sandbox.requests] == [429]
        budget = Budget(f"127.0.0.1:{sandbox.port}/hashkey", 10_000.0)
        assert 55 < budget.paused_for() <= 60
        budget.close()
    told = Faults(Rule("throttle", every=4, times=2, mode="headers"))  # Retry-After: 1
    with Sandbox(seed=5, limits=False, faults=told) as sandbox:
        began = time.monotonic()
        settings = settings_for(sandbox, tmp_path / "told")
        assert fill(settings, klines("hashkey", "BTCUSDT", "1min", "2026-03-01", "2026-03-05")).complete
        assert 1.0 < time.monotonic() - began < 30
        assert [one.status for one in sandbox.requests].count(429) == 2


def test_a_perpetual_that_was_delisted_is_refused_and_said(tmp_path: Path) -> None:
    """It is no longer listed, so its name is none; nothing of it is called empty."""
    with Sandbox(seed=5, limits=False) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        with pytest.raises(UsageError, match="SOLUSDT-PERPETUAL"):
            fill(settings, Request("klines", "hashkey", ("SOLUSDT-PERPETUAL",), ("1min",), "2026-03-01", "2026-03-02"))
        assert not (tmp_path / "lake" / "klines").exists()


def test_trades_with_names_are_audited_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command makes no frames; names are compared all the same."""
    with Sandbox(seed=5, limits=False) as sandbox:
        fill(settings_for(sandbox, tmp_path), Request("trades", "hashkey", ("BTCUSDT",), (), iso(sandbox.now() - HOUR)))
    monkeypatch.setitem(sys.modules, "pandas", None)
    report = audit(Store(tmp_path / "lake"), dataset="trades")
    assert (report.findings, report.rows > 50) == ([], True)
