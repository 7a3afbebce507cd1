"""A real session of 2021, recorded by others (shared/data/frames_cryptofeed), through reels into the lake."""

from __future__ import annotations

import base64
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.ingest.distil import distil
from htxdata.market import Series
from htxdata.store.partition import Store
from htxdata.store.reel import Reel
from htxdata.venues.frames import unpack
from htxdata.venues.htx.feeds import spot_step
from tests.ingest.test_distil import rows


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[dict[str, Any]]:
    file = shared / "data" / "frames_cryptofeed" / "HUOBI.ws.44.0.jsonl.gz"
    if not file.is_file():
        pytest.skip(f"no {file.name} among the recorded samples")
    with gzip.open(file, "rt") as lines:
        return [json.loads(line) for line in lines]


def _frames(recorded: list[dict[str, Any]], part: str) -> list[tuple[int, bytes]]:
    """Talk, and the pushes of topics that end so."""
    out = []
    for line in recorded:
        if line["dir"] != "in":
            continue
        topic = json.loads(line["text"]).get("ch") or json.loads(line["text"]).get("subbed") or part
        if topic.endswith(part):
            out.append((int(Decimal(line["recv_ts"]) * 1_000_000), base64.b64decode(line["gzip_b64"])))
    return out


def _reel(root: Path, feed: str, frames: list[tuple[int, bytes]], topics: list[str]) -> None:
    reel = Reel(root, "htx-spot", feed, frames[0][0])
    reel.note(frames[0][0], {"event": "opened", "topics": topics, "facts": {}, "version": 1})
    for at in range(0, len(frames), 7):
        reel.frames([when for when, _ in frames[at : at + 7]], [body for _, body in frames[at : at + 7]])
    reel.seal(frames[-1][0], "asked")


def test_every_recorded_trade_is_in_the_lake_value_by_value(
    recorded: list[dict[str, Any]], tmp_path: Path
) -> None:
    """73 trades of ten pairs, read independently with json and Decimal: number, time, price, amount, side, receipt."""
    expected: dict[str, dict[str, tuple[Any, ...]]] = {}
    for line in recorded:
        if line["dir"] == "in" and "trade.detail" in json.loads(line["text"]).get("ch", ""):
            said = json.loads(line["text"], parse_float=Decimal)
            symbol = said["ch"].split(".")[1]
            received = int(Decimal(line["recv_ts"]) * 1_000_000)
            for entry in said["tick"]["data"]:
                row = (
                    entry["ts"] * 1000,
                    float(entry["price"]),
                    float(entry["amount"]),
                    entry["direction"],
                    received,
                )
                assert expected.setdefault(symbol, {}).setdefault(str(entry["tradeId"]), row)[:4] == row[:4]
    assert sum(len(found) for found in expected.values()) == 73
    frames = _frames(recorded, "trade.detail")
    symbols = {
        json.loads(unpack(body))["subbed"].split(".")[1] for _, body in frames if b"subbed" in unpack(body)
    }
    _reel(
        tmp_path / "tape", "trades", frames, [f"market.{symbol}.trade.detail" for symbol in sorted(symbols)]
    )
    store = Store(tmp_path / "lake")
    done = distil(store, tmp_path / "tape", say=lambda text: None)
    assert (done.rows.total(), done.quarantined, done.gaps) == (73, 0, [])
    names = ("trade_id", "trade_time", "price", "quantity", "side", "received_at")
    for symbol, trades in expected.items():
        series = Series("trades", "htx-spot", symbol)
        assert {row[0]: row[1:] for row in rows(store, series, *names)} == trades
    quiet = symbols - set(expected)
    for symbol in quiet:
        assert [span.verdict for span in store.coverage(Series("trades", "htx-spot", symbol))] == ["empty"]


def test_every_recorded_book_is_a_whole_one(recorded: list[dict[str, Any]]) -> None:
    """292 step-0 books, level by level as json reads them."""
    frames = [(when, unpack(body)) for when, body in _frames(recorded, "depth.step0")]
    pushed = spot_step(0).parse(frames, {})
    assert (pushed.faults, pushed.unfit) == ([], {})
    assert sum(len(messages) for messages in pushed.messages.values()) == 292
    found: dict[str, list[Any]] = {}
    for _, body in frames:
        said = json.loads(body)
        if "tick" not in said:
            continue
        tick = said["tick"]
        found.setdefault(said["ch"].split(".")[1], []).append(
            (tick["ts"] * 1000, tick["version"], [*map(tuple, tick["bids"])], [*map(tuple, tick["asks"])])
        )
    assert {key[0] for key in pushed.messages} == set(found)
    for (symbol, period), messages in pushed.messages.items():
        columns = pushed.columns[symbol, period]
        read = []
        for message in messages:
            assert message.whole
            levels = [
                (str(columns["side"][at]), float(columns["price"][at]), float(columns["size"][at]))
                for at in range(message.first, message.last)
            ]
            sides = [[row[1:] for row in levels if row[0] == side] for side in ("bid", "ask")]
            read.append((message.at, message.sequence, *sides))
        assert read == found[symbol]
