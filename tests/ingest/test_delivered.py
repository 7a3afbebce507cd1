"""Futures that follow each other: aliases over rolls, life up to the delivery, and what no list has any more."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from htxdata.config import Keep, Settings
from htxdata.errors import UnknownSymbol, UsageError
from htxdata.ingest import run
from htxdata.ingest.asked import Request, keep_requests
from htxdata.ingest.planning import make_plans
from htxdata.ingest.run import Report
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import snapshot
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, iso, parse_instant
from htxdata.venues import venue
from tests.truth import (
    assert_archived_candles,
    assert_candles,
    assert_covers,
    files,
    settings_for,
    stored,
    verdicts,
)

VENUE = "htx-futures"
ROLL = parse_instant("2026-03-13T08:00")
"""The Friday on which BTC_CQ goes from BTC260327 to BTC260626, and BTC_CW from BTC260313 to BTC260320."""


class Clock:
    """One clock for the exchange and for us."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 0
        monkeypatch.setattr(time, "time_ns", lambda: self.at * 1000)

    def __call__(self) -> float:
        return self.at / 1e6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def series(symbol: str, period: str | None = "60min", dataset: str = "klines") -> Series:
    return Series(dataset, VENUE, symbol, period)


def klines(symbol: str, start: str, end: str | None = None, period: str = "60min") -> Request:
    return Request("klines", VENUE, (symbol,), (period,), start, end)


def fill(settings: Settings, *requests: Request, said: list[str] | None = None) -> Report:
    with Session(settings, say=(lambda text: None) if said is None else said.append) as session:
        return run.backfill(list(requests), session)


def symbols(lake: Path, dataset: str = "klines") -> set[str]:
    return {one.symbol for one in Store(lake).series(dataset=dataset, venue=VENUE)}


def test_an_alias_is_split_at_its_rolls(clock: Clock, tmp_path: Path) -> None:
    """Rows are stored under the contracts that it meant, each up to the roll; the plan says so, and so does the run."""
    clock.at = parse_instant("2026-03-18T12:00")
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings, said = settings_for(sandbox, tmp_path), list[str]()
        report = fill(settings, klines("btc_cq", "2026-03-11", "2026-03-15"), said=said)
        assert report.complete
        lake = tmp_path / "lake"
        assert symbols(lake) == {"BTC260327", "BTC260626"}
        assert assert_candles(lake, sandbox, series("BTC260327"), "2026-03-11", ROLL) == 56
        assert assert_candles(lake, sandbox, series("BTC260626"), ROLL, "2026-03-15") == 40
        assert said == [
            "htx-futures: btc_cq is BTC260327 from 2026-03-11T00:00:00Z to 2026-03-13T08:00:00Z",
            "htx-futures: btc_cq is BTC260626 from 2026-03-13T08:00:00Z to 2026-03-15T00:00:00Z",
        ]
        before = files(lake)
        assert fill(settings, klines("BTC_CQ", "2026-03-11", "2026-03-15")).total("requests") == 0
        assert files(lake) == before
        # A day that a roll falls into belongs to the contract that it began with.
        assert fill(settings, klines("BTC_CW", "2026-03-09T16:00", "2026-03-16T16:00", "1day")).complete
        days = {name: stored(lake, series(name, "1day"))["open_time"] for name in ("BTC260313", "BTC260320")}
        assert [len(days[name]) for name in days] == [4, 3]
        assert days["BTC260320"][0] == days["BTC260313"][-1] + DAY


def test_what_no_contract_was_is_said(clock: Clock, tmp_path: Path) -> None:
    """ETH has no weekly futures here: its alias means none, and that is told, as is a coin that has none at all."""
    clock.at = parse_instant("2026-03-18T12:00")
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        for name in ("ETH_CW", "NOTHING_CQ"):
            with pytest.raises(UnknownSymbol, match=f"'{name}': htx-futures has no such symbol"):
                fill(settings, klines(name, "2026-03-16"))
        with Session(settings) as session, pytest.raises(UsageError, match="snapshot instruments --venue htx-futures"):
            make_plans([klines("BTC_CQ", "2026-03-16")], session, ask=False)


@pytest.mark.parametrize("period", ["1min", "1day"])
def test_nothing_is_wanted_after_a_delivery_or_before_the_listing(clock: Clock, tmp_path: Path, period: str) -> None:
    """The window ends where the contract does, and the candle that holds its end is there; before, it is empty."""
    clock.at = parse_instant("2026-03-16T12:00")
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        report = fill(settings, klines("BTC260313", "2026-02-20", None, period))
        assert report.complete
        one = series("BTC260313", period)
        lake = tmp_path / "lake"
        assert assert_candles(lake, sandbox, one, "2026-02-20", "2026-03-16") == (14 * 1440 if period == "1min" else 15)
        found = verdicts(lake, one)
        end = ROLL if period == "1min" else ROLL + 8 * HOUR
        assert found[0][2] == "empty"
        assert [span[2] for span in found] == ["empty", "present"]
        assert found[-1][1] == iso(end)
        before = files(lake)
        clock.at += 5 * DAY  # a window that grows over what is over wants nothing more
        assert fill(settings, klines("BTC260313", "2026-02-20", None, period)).outcomes == []
        assert files(lake) == before


def sync(settings: Settings, *keeps: Keep) -> Report:
    return fill(settings, *keep_requests(replace(settings, keep=keeps)))


def test_sync_fetches_a_contract_to_its_end_before_it_disappears(clock: Clock, tmp_path: Path) -> None:
    """A glob still means what was delivered since the last time; four weeks after, what then lacks is unobtainable."""
    kept = Keep(VENUE, "klines", ("BTC2603*",), ("60min",), "2026-03-09")
    lake = tmp_path / "lake"
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        clock.at = parse_instant("2026-03-12T12:00")
        assert sync(settings, kept).complete
        assert symbols(lake) == {"BTC260313", "BTC260320", "BTC260327"}
        clock.at = parse_instant("2026-04-09T12:00")  # BTC260313 is delivered, and listed for a day more
        assert sync(settings, kept).complete
        for name, end in (("BTC260313", ROLL), ("BTC260320", ROLL + 7 * DAY), ("BTC260327", ROLL + 14 * DAY)):
            assert assert_candles(lake, sandbox, series(name), "2026-03-09", end) > 90
        before = files(lake)
        clock.at = parse_instant("2026-06-01")
        report = sync(settings, Keep(VENUE, "klines", ("BTC2603*", "BTC260626"), ("60min",), "2026-03-09"))
        assert report.complete
        assert {name: content for name, content in files(lake).items() if name in before} == before


def test_what_a_venue_has_forgotten_is_unobtainable(clock: Clock, tmp_path: Path) -> None:
    """The lake knows of a contract that was delivered, the venue no more: without an archive its candles are lost, and
    that is said; nobody is asked in vain."""
    lake = tmp_path / "lake"
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        clock.at = parse_instant("2026-03-12T12:00")
        with Session(settings) as session:
            snapshot(session, "instruments", venue(VENUE))
        assert fill(settings, klines("BTC260313", "2026-03-09", "2026-03-10")).complete
        clock.at = parse_instant("2026-05-01")
        asked = len(sandbox.requests)
        report = sync(settings, Keep(VENUE, "klines", ("BTC260313",), ("60min",), "2026-03-09"))
        assert report.complete
        ((_, lost),) = report.unobtainable
        assert (iso(lost.window.start), iso(lost.window.end)) == ("2026-03-10T00:00:00Z", iso(ROLL))
        assert "delivered 2026-03-13T08:00:00Z" in lost.why
        assert [span[2] for span in verdicts(lake, series("BTC260313"))] == ["present", "unobtainable"]
        assert [r.path for r in sandbox.requests[asked:] if "history" in r.path] == []


def test_the_archive_has_what_the_venue_has_forgotten(clock: Clock, tmp_path: Path) -> None:
    """A contract of months ago, typed by its code or by what it was called then: from the archive, over both trees."""
    clock.at = parse_instant("2026-08-20")
    lake = tmp_path / "lake"
    with Sandbox(seed=3, limits=False, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path, archive=True)
        request = klines("BTC_CW", "2026-01-29", "2026-02-04", "1min")
        assert fill(settings, request).complete
        roll = parse_instant("2026-01-30T08:00")
        assert symbols(lake) == {"BTC260130", "BTC260206"}
        names = ("open", "high", "low", "close", "volume", "contracts")
        old, new = series("BTC260130", "1min"), series("BTC260206", "1min")
        assert assert_archived_candles(lake, sandbox, old, "2026-01-29", roll, names) == 32 * 60
        assert assert_archived_candles(lake, sandbox, new, roll, "2026-02-04", names) == 4 * 1440 + 16 * 60
        assert_covers(lake, old, "2026-01-29", roll)
        assert_covers(lake, new, roll, "2026-02-04")
        typed = Request("trades", VENUE, ("BTC260206",), (), "2026-02-06T07:00", "2026-02-10")
        assert fill(settings, typed).complete
        sold = sandbox.market.trades(VENUE, "BTC260206", parse_instant("2026-02-06T07:00"), clock.at)
        rows = stored(lake, series("BTC260206", None, "trades"))
        assert rows["trade_id"] == [str(one) for one in sold["trade_id"].tolist()]
        assert rows["quantity"] == pytest.approx(sold["quantity"].tolist(), abs=1e-10)
        # Before it was listed there is no file of it, and that is no loss.
        early = fill(settings, klines("BTC260206", "2026-01-15", "2026-01-25", "1min"))
        assert early.complete
        assert early.unobtainable == []
        verdict: dict[str, Any] = {span[2]: span[:2] for span in verdicts(lake, new)}
        assert verdict["empty"][0] == "2026-01-15T00:00:00Z"
