"""The recorded session of the real spot socket, played again: byte for byte and in its order."""

from __future__ import annotations

import gzip
import json
import shutil
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import requests

from htxdata.sandbox import Faults, Replay, Rule, Sandbox
from htxdata.sandbox.websocket_replay import WAIT
from tests.sandbox.socket_client import Talk


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "data"


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    """The recording as its README describes it."""
    with gzip.open(folder / "frames_cryptofeed" / "HUOBI.ws.44.0.jsonl.gz", "rt") as text:
        return [json.loads(line) for line in text]


@pytest.fixture(scope="module")
def replay(folder: Path) -> Replay:
    return Replay.load(folder)


def recorded(lines: list[dict[str, Any]], topics: set[str]) -> list[bytes]:
    """The data frames of some topics, in the recorded order."""
    heard = [line for line in lines if line["dir"] == "in"]
    return [b64decode(one["gzip_b64"]) for one in heard if json.loads(one["text"]).get("ch") in topics]


def asked(lines: list[dict[str, Any]]) -> list[str]:
    """The subscriptions of the recorded client, as it wrote them."""
    return [line["text"] for line in lines if line["dir"] == "out" and '"sub"' in line["text"]]


def frames(talk: Talk, count: int) -> list[bytes]:
    """The next data frames: acks and pings are left out."""
    found: list[bytes] = []
    while len(found) < count:
        frame = talk.frame()
        if "ch" in json.loads(gzip.decompress(frame)):
            found.append(frame)
    return found


def test_the_whole_session(replay: Replay, lines: list[dict[str, Any]]) -> None:
    """Who subscribes as the recorded client did hears the 292 books and 44 pushes of trades that it heard."""
    topics = {json.loads(text)["sub"] for text in asked(lines)}
    known = recorded(lines, topics)
    assert len(known) == 336
    with (
        Sandbox(replay=replay, replay_speed=0) as sandbox,
        Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk,
    ):
        for text in asked(lines):
            talk.say(text)
        assert frames(talk, len(known)) == known
        assert talk.during(0.1) == []
        assert set(sandbox.sockets[0].topics) == topics


def test_some_topics_faster(replay: Replay, lines: list[dict[str, Any]]) -> None:
    """Only what was subscribed is played, paced by when it was received, and on each connection anew."""
    topics = {"market.trioeth.depth.step0", "market.dogeeth.trade.detail"}
    known = recorded(lines, topics)
    times = [
        float(line["recv_ts"]) for line in lines if json.loads(line.get("text", "{}")).get("ch") in topics
    ]
    with Sandbox(replay=replay, replay_speed=150.0) as sandbox:
        for _ in range(2):
            with Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk:
                began = time.monotonic()
                assert talk.ask(sub=sorted(topics))["status"] == "ok"
                assert frames(talk, len(known)) == known
                assert time.monotonic() - began > WAIT + (times[-1] - times[0]) / 150 * 0.8


def test_what_is_unsubscribed_is_played_no_more(replay: Replay) -> None:
    topics = ["market.trioeth.depth.step0", "market.dogeeth.depth.step0"]
    with (
        Sandbox(replay=replay, replay_speed=0) as sandbox,
        Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk,
    ):
        talk.ask(sub=topics)
        assert talk.ask(unsub=topics[0])["unsubbed"] == topics[0]
        assert {said["ch"] for said in talk.during(0.5)} == {topics[1]}


def test_recorded_frames_can_be_harmed(replay: Replay) -> None:
    with Sandbox(replay=replay, replay_speed=0, faults=Faults(Rule("missed_frame", every=2))) as sandbox:
        with Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk:
            talk.ask(sub="market.dogeeth.trade.detail")
            heard = talk.during(0.5)
    assert replay.session is not None
    whole = [one for one in replay.session.frames if one.topic == "market.dogeeth.trade.detail"]
    assert len(heard) == (len(whole) + 1) // 2


def test_other_topics_are_the_seeded_market(replay: Replay) -> None:
    """What was not recorded is told as ever; the recorded pairs have no other topics."""
    with Sandbox(replay=replay, limits=False) as sandbox, Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk:
        assert talk.ask(sub="market.btcusdt.mbp.refresh.5")["status"] == "ok"
        assert talk.until(lambda said: "ch" in said)["ch"] == "market.btcusdt.mbp.refresh.5"
        assert talk.ask(sub="market.trioeth.bbo")["err-msg"] == "invalid symbol"


def test_the_recorded_pairs_are_listed(replay: Replay) -> None:
    with Sandbox(replay=replay) as sandbox:
        url = sandbox.hosts["htx_spot_rest"]
        rows = {
            row["sc"]: row
            for row in requests.get(url + "/v2/settings/common/symbols", timeout=30).json()["data"]
        }
    assert (rows["trioeth"]["bc"], rows["trioeth"]["qc"], rows["trioeth"]["tpp"], rows["trioeth"]["tap"]) == (
        "trio", "eth", 10, 2,
    )  # fmt: skip
    assert {"fil3susdt", "yfihusd", "btcusdt"} <= set(rows)


def test_a_folder_without_the_session_is_served_as_before(folder: Path, tmp_path: Path) -> None:
    for part in ("funding", "klines_other"):
        shutil.copytree(folder / part, tmp_path / part)
    bare = Replay.load(tmp_path)
    assert bare.session is None
    with Sandbox(replay=bare) as sandbox, Talk(sandbox.hosts["htx_spot_ws"] + "/ws") as talk:
        assert talk.ask(sub="market.trioeth.trade.detail")["err-msg"] == "invalid symbol"
        assert talk.ask(sub="market.btcusdt.trade.detail")["status"] == "ok"
