"""The key that a stream is opened with: asked for, kept alive, replaced; and in nothing that anybody reads."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from picows import WSCloseCode, WSMsgType

from htxdata.errors import LakeUnusable
from htxdata.keys import Keys, Secret
from htxdata.protocol.lease import Lent
from htxdata.protocol.session import Session
from htxdata.store.reel import Reel
from htxdata.transport.budget import Budget
from htxdata.transport.door import Door
from htxdata.transport.http import SOON, Client
from htxdata.transport.reels import Writer
from htxdata.transport.websocket import Ended, Line
from htxdata.venues.hashkey import own
from htxdata.venues.hashkey.user_stream import LENT, USER_STREAM
from htxdata.venues.hashkey.verdicts import judge
from tests.clocks import Watch, calmly
from tests.transport.local_venue import LocalVenue, answer
from tests.transport.test_websocket import Exchange, exchange, hold, taped, words

KEY = "lentLENTlent-7f3a9c51e0bd_0123456789abcdef"
GIVEN = answer(f'{{"listenKey":"{KEY}"}}'.encode())
UNKNOWN = answer(f'{{"code":"-1125","msg":"This listenKey does not exist: {KEY}"}}'.encode(), 400)
LATE = answer(b'{"code":"-1021","msg":"Timestamp for this request is outside of the recvWindow"}', 400)
KEYS = Keys(Secret("access"), Secret("secret"))
SHORT = replace(LENT, valid=3.0, every=0.05)


@pytest.fixture
def venue() -> Iterator[LocalVenue]:
    one = LocalVenue()
    yield one
    one.close()


@pytest.fixture
def reel(tmp_path: Path) -> Reel:
    return Reel(tmp_path, "hashkey", "own_fills", time.time_ns() // 1000)


@pytest.fixture
def writer() -> Iterator[Writer]:
    with Writer() as one:
        yield one


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Whatever any library logs, down to the smallest."""
    names = [None, *logging.root.manager.loggerDict]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        caplog.set_level(1, name)  # picows has a level below DEBUG
    yield caplog
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def logged(heard: pytest.LogCaptureFixture) -> list[str]:
    """But for what the exchange of a test says, which runs in the same process."""
    ours = [record for record in heard.records if not record.name.startswith("picows.server")]
    assert ours
    return [record.getMessage() + str(record.exc_text) for record in ours]


def door(venue: LocalVenue, folder: Path, lent: Lent = LENT) -> Door:
    def client(stop: threading.Event) -> Client:
        return Client(
            venue.url, Budget("door", 1000.0, folder), judge, limits=replace(SOON, silence_s=20.0), stop=stop,
            sign=lambda request, host, now: own.sign(request, host, KEYS, now),
            headers=lambda request: own.headers(KEYS),
        )  # fmt: skip

    return Door(lent, client)


def listen(
    venue: LocalVenue, folder: Path, reel: Reel, writer: Writer, lent: Lent = LENT, script: Any = None
) -> tuple[Ended, Line, list[Exchange]]:
    """A line through a door, to its end; and whom it met."""

    async def wait(met: Exchange) -> None:
        await met.gone.wait()

    async def main() -> tuple[Ended, Line, list[Exchange]]:
        async with exchange(script or wait) as place:
            session = Session(USER_STREAM, ["ticketInfo:*"], silence=None)
            ended, line = await hold(
                place.url, reel, writer, session=session, door=door(venue, folder, lent)
            )
            return ended, line, place.met

    found = calmly(main())
    gc.collect()
    return found


def methods(venue: LocalVenue) -> list[str]:
    return [request.partition(" ")[0] for request in venue.heard]


def test_the_key_is_said_to_the_venue_and_to_nobody_else(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, heard: pytest.LogCaptureFixture
) -> None:
    """The venue repeats it in small frames and big ones, whole and in pieces, and in its goodbye: it is on no tape, in
    no reason, in no log; what was around it is."""
    big = b'[{"e":"expired","listenKey":"' + KEY.encode() + b'","x":"' + b"x" * 4000 + b'"}]'
    asked: list[str] = []

    async def script(met: Exchange) -> None:
        asked.append(met.path)
        met.transport.send(WSMsgType.TEXT, f'{{"ping":1691473241907,"channelId":"{KEY}"}}'.encode())
        met.transport.send(WSMsgType.TEXT, big)
        met.transport.send(WSMsgType.TEXT, big[:50], False)
        met.transport.send(WSMsgType.CONTINUATION, big[50:])
        await met.wait_for("pong")
        met.transport.send_close(WSCloseCode.GOING_AWAY, f"{KEY} expired".encode())

    venue.script.append(GIVEN)
    ended, _, met = listen(venue, tmp_path / "budget", reel, writer, script=script)
    assert asked == [f"/linear-swap-ws/{KEY}"]
    assert met[0].heard == ['{"pong":1691473241907}']
    assert (ended.why, ended.detail, ended.heard) == ("lost", "the venue closed: 1001 … expired", 3)
    events, _, bodies = taped(reel)
    stars = b"*" * len(KEY)
    assert bodies[1:] == [big.replace(KEY.encode(), stars)] * 2
    assert words(events) == ["connected", "sent", "closed"]
    told = [*bodies, *(event.body + repr(event.said).encode() for event in events), reel.path.read_bytes()]
    assert not any(KEY.encode() in one for one in told)
    assert not [text for text in logged(heard) if KEY in text]
    assert "X-HK-APIKEY: access" in venue.heard[0]
    assert methods(venue) == ["POST"]


def test_a_door_that_stays_shut_names_no_key(venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer) -> None:
    """The socket's host does not know the key, and says so: lost, with its status."""
    venue.script += [GIVEN, answer(KEY.encode(), 401)]
    url = venue.url.replace("http", "ws") + "/api/v1/ws"

    async def main() -> Ended:
        session = Session(USER_STREAM, ["ticketInfo:*"], silence=None)
        ended, _ = await hold(url, reel, writer, session=session, door=door(venue, tmp_path / "budget"))
        return ended

    ended = calmly(main())
    assert (ended.why, ended.detail.partition(": ")[2]) == ("lost", "HTTP 401")
    assert ended.refusal is not None
    assert venue.heard[1].startswith(f"GET /api/v1/ws/{KEY} ")
    assert KEY.encode() not in reel.path.read_bytes()


def test_a_door_that_has_moved_is_not_gone_after(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, heard: pytest.LogCaptureFixture
) -> None:
    """Whoever has the address of the stream hears everything: it is told to no other host, and not logged."""
    there = f"Location: {venue.url.replace('http', 'ws')}/elsewhere/{KEY}\r\n"
    venue.script += [GIVEN, answer(b"", 302).replace(b"\r\n", f"\r\n{there}".encode(), 1)]
    url = venue.url.replace("http", "ws") + "/api/v1/ws"

    async def main() -> Ended:
        session = Session(USER_STREAM, ["ticketInfo:*"], silence=None)
        ended, _ = await hold(url, reel, writer, session=session, door=door(venue, tmp_path / "budget"))
        return ended

    ended = asyncio.run(main())
    assert (ended.why, ended.detail.partition(": ")[2], len(venue.heard)) == ("lost", "HTTP 302", 2)
    assert not [text for text in logged(heard) if KEY in text]


def test_a_fault_of_ours_in_extending_is_told(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not first noticed an hour later, when the key has run out."""
    plain, told = Client.tell, list[str]()

    def tell(client: Client, request: Any, body: bytes) -> Any:
        told.append(request.method)
        if request.method == "PUT":
            raise LakeUnusable("no folder can be written for the budget")
        return plain(client, request, body)

    monkeypatch.setattr(Client, "tell", tell)
    venue.script.append(GIVEN)
    with pytest.raises(LakeUnusable):
        listen(venue, tmp_path / "budget", reel, writer, SHORT)
    assert told == ["POST", "PUT"]
    assert KEY.encode() not in reel.path.read_bytes()


def test_it_is_extended_until_the_venue_knows_it_no_more(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer
) -> None:
    """Each time signed anew; an error that may pass is asked about again, a refusal ends the connection."""
    venue.script += [GIVEN, answer(b"{}"), answer(b"{}"), UNKNOWN]
    ended, line, _ = listen(venue, tmp_path / "budget", reel, writer, SHORT)
    assert methods(venue) == ["POST", "PUT", "PUT", "PUT"]
    assert all(f"?listenKey={KEY}&timestamp=" in request for request in venue.heard[1:])
    assert len({request.partition("signature=")[2].partition(" ")[0] for request in venue.heard}) == 4
    assert ended.why == "lost"
    assert ended.detail.startswith("the key to listen with was not extended: ")
    assert ended.detail.endswith("-1125: This listenKey does not exist: …")
    assert line.session.barred == ""


def test_a_venue_that_does_not_answer_has_until_it_is_over(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors, lost answers and questions that came too late: asked again and again, and then it is given up."""
    monkeypatch.setattr("htxdata.protocol.lease.AGAIN_S", 0.05)
    venue.script += [GIVEN, answer(b"oops", 502), lambda peer: None, LATE, answer(b"{}"), *[answer(b"", 503)] * 40]
    began = time.monotonic()
    ended, line, _ = listen(venue, tmp_path / "budget", reel, writer, replace(LENT, valid=0.6, every=0.05))
    assert (ended.why, line.session.barred) == ("lost", "")
    assert ended.detail.startswith("the key to listen with was not extended: ")
    assert ended.detail.endswith("server: HTTP 503")
    assert time.monotonic() - began > 0.6
    assert methods(venue).count("PUT") > 5


@pytest.mark.parametrize("after", [0, 1])
def test_who_may_not_listen_is_told_so_for_good(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, after: int
) -> None:
    """At the first question or a later one: refused, and why, without the key."""
    why = f"No permission for {KEY if after else 'it'}"
    venue.script += [*[GIVEN] * after, answer(f'{{"code":"-1005","msg":"{why}"}}'.encode(), 400)]
    ended, line, met = listen(venue, tmp_path / "budget", reel, writer, SHORT)
    said = f"-1005: {why.replace(KEY, '…')}"
    assert (ended.why, ended.detail, line.session.barred) == ("refused", said, said)
    assert (len(met), len(venue.heard)) == (after, after + 1)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(b'{"code":"-1000","msg":"Unknown"}', 400), "-1000: Unknown"),
        (LATE, "outside of the recvWindow; is this machine's clock right? `htxdata doctor` measures it"),
        (answer(b"{}"), "answers without a 'listenKey'"),
        (answer(b'{"listenKey":"../../etc"}'), "is no part of an address"),
        (answer(b"", 500), "whether it was done is not known: server: HTTP 500"),
        (answer(b'{"listenKey":"abc', length=99), "whether it was done is not known: network"),
        (answer(f'{{"listenKey":"{KEY}","'.encode()), "garbled: HTTP 200 with a body that is no answer"),
    ],
    ids=["busy", "late", "none", "no key", "error", "cut", "garbled"],
)
def test_without_a_key_there_is_no_connection(
    venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer, said: bytes, why: str
) -> None:
    """Asked for once: whoever wants to connect again asks again."""

    def cut(peer: Any) -> None:
        peer.sendall(said)

    venue.script.append(cut)
    ended, line, met = listen(venue, tmp_path / "budget", reel, writer)
    assert ended.why == "lost"
    assert ended.detail.startswith("no key to listen with: ")
    assert why in ended.detail
    assert KEY[:8] not in ended.detail
    assert (met, line.session.barred, methods(venue)) == ([], "", ["POST"])


def test_who_stops_waits_for_no_key(venue: LocalVenue, tmp_path: Path, reel: Reel, writer: Writer) -> None:
    """The host is paused for long, and the line is asked to end: it does."""
    budget = Budget("door", 1000.0, tmp_path / "budget")
    budget.pause(30.0)

    async def main() -> Ended:
        session, until = Session(USER_STREAM, ["ticketInfo:*"], silence=None), asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, until.set)
        ended, _ = await hold(
            "ws://127.0.0.1:1/x", reel, writer, until, session, door=door(venue, tmp_path / "budget")
        )
        return ended

    with Watch() as watch:
        ended = calmly(main())
    budget.close()
    assert (ended.why, venue.heard) == ("asked", [])
    assert watch.seconds < 5.0
