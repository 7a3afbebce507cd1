"""Coin-margined contracts on the sockets: sizes in dollars, topics of a coin, and futures that follow each other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from htxdata.ingest.audit import audit
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import MINUTE, SECOND, parse_instant
from tests.clocks import Wound
from tests.ingest.test_capture import assert_books, heard_whole, listen
from tests.truth import a_future, assert_trades, stored

ROLL = parse_instant("2026-03-13T08:00")


@pytest.mark.wide
def test_books_and_quotes_count_dollars(tmp_path: Path) -> None:
    """A level of so many contracts of 100 dollars is what these buy at its price; the best ones agree with the book."""
    dated = a_future()
    with Sandbox() as sandbox:
        for venue, symbol in (("htx-inverse", "BTC-USD"), ("htx-futures", dated)):
            done = listen(sandbox, tmp_path, venue, ["book", "quotes"], [symbol], 2.5)
            assert (done.complete, done.refused) == (True, {})
            books = Series("book_changes", venue, symbol)
            assert assert_books(tmp_path / "lake", sandbox, books, dollars=100.0) > 10
            quotes = stored(tmp_path / "lake", Series("quotes", venue, symbol))
            for at, when in enumerate(quotes["quote_time"]):
                truth = sandbox.book(venue, symbol, when, depth=1)
                for side, ((price, contracts),) in (("bid", truth.bids), ("ask", truth.asks)):
                    assert quotes[side][at] == price
                    assert quotes[f"{side}_size"][at] == pytest.approx(contracts * 100 / price, rel=1e-14)
    assert audit(Store(tmp_path / "lake"), dataset="book_changes").findings == []


def test_what_is_liquidated_of_a_coin_is_told_on_one_topic(tmp_path: Path) -> None:
    """Two contracts of one coin, subscribed once: the rows of each, and for each what was heard; a third is not asked
    for, and what is told of it claims nothing."""
    before = time.time() - 86_400
    wanted = [a_future(int(before * 1e6), alias) for alias in ("CQ", "NQ")]
    # A hundred minutes a second: liquidations are few.
    with Sandbox(clock=Wound(before, 6000), ping_seconds=0.2) as sandbox:
        done = listen(sandbox, tmp_path, "htx-futures", ["liquidations"], wanted, 3.0)
        assert (done.complete, done.refused) == (True, {})
        subscribed = [c.text for c in sandbox.commands if '"sub"' in c.text]
        assert len(subscribed) == 1
        assert "public.BTC.liquidation_orders" in subscribed[0]
        lake, seen = tmp_path / "lake", 0
        for symbol in wanted:
            series = Series("liquidations", "htx-futures", symbol)
            start, end = heard_whole(lake, series)
            truth = sandbox.market.liquidations("htx-futures", symbol, start, end)
            rows = stored(lake, series)
            inside = [at for at, when in enumerate(rows.get("liquidated_at", ())) if start <= when < end]
            for name in ("liquidated_at", "side", "price", "quantity", "contracts"):
                assert [rows[name][at] for at in inside] == truth[name].tolist(), name
            seen += len(inside)
        assert seen > 0
        others = {one.symbol for one in Store(lake).series(dataset="liquidations")} - set(wanted)
        assert all(Store(lake).coverage(Series("liquidations", "htx-futures", name)) == [] for name in others)


@pytest.mark.wide
def test_a_capture_hands_over_at_a_roll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias is heard by the contract's own name; when it rolls, its next contract is heard beside it."""
    clock = Wound((ROLL - 40 * SECOND) / 1e6, 60)
    said: list[str] = []
    with Sandbox(clock=clock) as sandbox:
        monkeypatch.setattr("htxdata.ingest.capture_wanted.clock", sandbox.now)
        done = listen(sandbox, tmp_path, "htx-futures", ["trades"], ["btc_cq"], 6.0, said)
        # When the last connection ended: what follows is reading the tapes, as long as the machine likes.
        ended = max(one.closed or time.monotonic() for one in sandbox.sockets)
        over = int(clock.was(ended) * 1e6)
        assert over > ROLL + 4 * MINUTE
        assert (done.refused, done.failed, done.gaps) == ({}, [], [])
        assert "htx-futures: BTC260626 from now on" in said
        topics = [c.text for c in sandbox.commands if '"sub"' in c.text]
        assert [name for text in topics for name in ("BTC260327", "BTC260626", "BTC_CQ") if name in text] == [
            "BTC260327", "BTC260626",
        ]  # fmt: skip
        for symbol, start in (("BTC260327", ROLL), ("BTC260626", ROLL + 2 * MINUTE)):
            series = Series("trades", "htx-futures", symbol)
            first, last = heard_whole(tmp_path / "lake", series)
            assert first < start
            assert last > over - MINUTE
            assert assert_trades(tmp_path / "lake", sandbox, series, first, last) > 2
