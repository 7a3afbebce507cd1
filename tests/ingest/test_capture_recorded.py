"""A real session of 2021, recorded by others (shared/data/frames_cryptofeed), sent by the sandbox and captured."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.ingest.capture import Status, capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import Replay, Sandbox
from htxdata.store import reel
from htxdata.timeline import parse_instant
from htxdata.venues import venue
from htxdata.venues.frames import unpack
from htxdata.venues.htx.feeds import spot_step
from tests.truth import settings_for, stored

SESSION = (parse_instant("2021-04-10"), parse_instant("2021-04-18"))


def recorded(shared: Path) -> list[dict[str, Any]]:
    """The pushes, each as it was written, numbers with all their digits."""
    file = shared / "data" / "frames_cryptofeed" / "HUOBI.ws.44.0.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"no {file.name} among the recorded samples")
    with gzip.open(file, "rt") as lines:
        said = [json.loads(line) for line in lines]
    return [
        json.loads(line["text"], parse_float=Decimal)
        for line in said
        if line["dir"] == "in" and '"ch"' in line["text"]
    ]


def test_a_recorded_session_arrives_whole(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte on the tape; 73 trades and 292 books of ten pairs in the lake, value by value."""
    pushes = recorded(shared)
    symbols = sorted({push["ch"].split(".")[1] for push in pushes})
    assert len(symbols) == 10
    spot = venue("htx-spot")
    stepped = replace(spot, feeds=tuple(spot_step(0) if feed.name == "book" else feed for feed in spot.feeds))
    monkeypatch.setattr("htxdata.ingest.capture_wanted.venue_named", lambda name: stepped)
    monkeypatch.setattr("htxdata.ingest.distil.VENUES", (stepped,))
    replay = Replay.load(shared / "data")
    counts, over = [0], threading.Event()

    def look(status: Status) -> None:
        """It is over when every push, and an answer to every subscription, was heard, and nothing more comes."""
        counts.append(status.frames)
        if counts[-1] == counts[-2] >= len(pushes) + 2 * len(symbols):
            over.set()

    with Sandbox(replay=replay, replay_speed=0.0) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=lambda text: None) as session:
            wanted = Wanted("htx-spot", ("trades", "book"), tuple(symbols))
            done = capture(wanted, session, over, seconds=100.0, on_status=look)
    assert (done.quarantined, done.refused, done.gaps) == (0, {}, [])

    frames = [body for path in reel.reels(tmp_path / "tape") for _, found in reel.read(path)
              if isinstance(found, reel.Frames) for body in found.bodies]  # fmt: skip
    heard = [json.loads(text, parse_float=Decimal) for body in frames if b'"ch"' in (text := unpack(body))]
    assert sorted(map(str, heard)) == sorted(map(str, pushes))

    trades = books = 0
    for symbol in symbols:
        theirs = [p for p in pushes if p["ch"] == f"market.{symbol}.trade.detail"]
        due = {
            str(trade["tradeId"]): (
                trade["ts"] * 1000,
                float(trade["price"]),
                float(trade["amount"]),
                trade["direction"],
            )
            for push in theirs
            for trade in push["tick"]["data"]
        }
        rows = stored(tmp_path / "lake", Series("trades", "htx-spot", symbol))
        ours = {
            identity: (rows["trade_time"][at], rows["price"][at], rows["quantity"][at], rows["side"][at])
            for at, identity in enumerate(rows.get("trade_id", []))
            if SESSION[0] <= rows["trade_time"][at] < SESSION[1]
        }
        assert ours == due
        trades += sum(len(push["tick"]["data"]) for push in theirs)
        steps = {
            p["tick"]["ts"] * 1000: p["tick"] for p in pushes if p["ch"] == f"market.{symbol}.depth.step0"
        }
        levels = stored(tmp_path / "lake", Series("book_changes", "htx-spot", symbol))
        for side, name in (("bid", "bids"), ("ask", "asks")):
            found: dict[int, dict[float, float]] = {}
            for at, when in enumerate(levels["book_time"]):
                if levels["side"][at] == side:
                    found.setdefault(when, {})[levels["price"][at]] = levels["size"][at]
            assert found == {
                when: {float(p): float(s) for p, s in tick[name]} for when, tick in steps.items()
            }
        assert set(levels["kind"]) == {"snapshot"}
        books += sum(push["ch"] == f"market.{symbol}.depth.step0" for push in pushes)
    assert (trades, books) == (73, 292)
