"""A line writes what it hears as it came, answers what it must, and ends with a reason, whatever happens to it."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import os
import random
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import picows
import pytest
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from htxdata.errors import StoreError
from htxdata.protocol.session import Session
from htxdata.store import reel as reels
from htxdata.store.reel import Frames, Record, Reel
from htxdata.transport import websocket
from htxdata.transport.reels import Writer
from htxdata.transport.websocket import Ended, Line
from htxdata.venues.frames import unpack
from htxdata.venues.htx.dialects import MARKET_SWAP, NOTIFICATION
from tests.clocks import calmly
from tests.waits import until as until_true

TOPIC = "market.BTC-USDT.trade.detail"


def push(number: int, size: int = 400) -> bytes:
    """A frame with a body of about ``size`` bytes packed."""
    noise = random.Random(number).randbytes(max(1, (size - 100) // 2)).hex()
    return gzip.compress(
        json.dumps({"ch": TOPIC, "ts": 1, "tick": {"n": number, "noise": noise}}).encode(), 1, mtime=0
    )


def packed(**said: Any) -> bytes:
    return gzip.compress(json.dumps(said).encode(), mtime=0)


class Exchange(WSListener):
    """Acknowledges every subscription, then does what its script says."""

    def __init__(self, script: Callable[[Exchange], Awaitable[None]], acks: bool = True) -> None:
        self.heard: list[str] = []
        self.path = ""
        self.gone = asyncio.Event()
        self.subscribed = asyncio.Event()
        self.told = asyncio.Event()
        self._script, self._acks = script, acks
        self.task: asyncio.Task[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.task = asyncio.get_running_loop().create_task(self._script(self))  # type: ignore[arg-type]

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.TEXT:
            self.heard.append(f"{frame.msg_type.name} {frame.get_payload_as_bytes()!r}")
            self.told.set()
            return
        text = frame.get_payload_as_utf8_text()
        self.heard.append(text)
        said = json.loads(text)
        if "sub" in said and self._acks:
            self.binary(packed(id=said["id"], status="ok", subbed=said["sub"], ts=1))
            self.subscribed.set()
        self.told.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()

    def binary(self, body: bytes, fin: bool = True) -> None:
        self.transport.send(WSMsgType.BINARY, body, fin)

    async def wait_for(self, words: str) -> None:
        async with asyncio.timeout(5):
            while not any(words in text for text in self.heard):
                self.told.clear()
                await self.told.wait()


class Place:
    def __init__(self) -> None:
        self.port = 0
        self.met: list[Exchange] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/linear-swap-ws"


@asynccontextmanager
async def exchange(
    script: Callable[[Exchange], Awaitable[None]], acks: bool = True, **server: Any
) -> AsyncIterator[Place]:
    place = Place()

    def meet(request: Any) -> Exchange:
        place.met.append(Exchange(script, acks))
        place.met[-1].path = request.path.decode() if isinstance(request.path, bytes) else str(request.path)
        return place.met[-1]

    serving = await picows.ws_create_server(meet, "127.0.0.1", 0, **server)
    place.port = serving.sockets[0].getsockname()[1]
    try:
        yield place
    finally:
        serving.close()
        for each in place.met:
            if each.task is not None:
                each.task.cancel()
                await asyncio.wait([each.task])
            if hasattr(each, "transport"):
                each.transport.disconnect(False)
                async with asyncio.timeout(5):
                    await each.gone.wait()


@pytest.fixture
def reel(tmp_path: Path) -> Reel:
    return Reel(tmp_path, "htx-linear", "trades", time.time_ns() // 1000)


@pytest.fixture
def writer() -> Iterator[Writer]:
    with Writer() as one:
        yield one


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    """No thread and no open file outlives a test."""
    gc.collect()
    fds, threads = set(os.listdir("/proc/self/fd")), set(threading.enumerate())
    yield
    gc.collect()
    assert set(threading.enumerate()) <= threads
    assert len(os.listdir("/proc/self/fd")) <= len(fds)


async def hold(
    url: str, reel: Any, writer: Writer, until: asyncio.Event | None = None, session: Session | None = None,
    **options: Any,
) -> tuple[Ended, Line]:  # fmt: skip
    """Run a line to its end; nothing else is left in the loop."""
    before = asyncio.all_tasks()
    session = session or Session(MARKET_SWAP, [TOPIC])
    line = Line(url, session, reel, writer, unpack=unpack, **options)
    async with asyncio.timeout(20):
        ended = await line.run(until or asyncio.Event())
    left = [task.get_coro().__qualname__ for task in asyncio.all_tasks() - before]
    assert not [name for name in left if name.startswith(("Line.", "Event.wait", "_", "ws_"))]
    return ended, line


def taped(reel: Reel) -> tuple[list[Record], list[int], list[bytes]]:
    """Events, and the times and bodies of all frames."""
    events: list[Record] = []
    times: list[int] = []
    bodies: list[bytes] = []
    for _, found in reels.read(reel.path):
        if isinstance(found, Frames):
            times += found.times
            bodies += found.bodies
        else:
            assert isinstance(found, Record)
            events.append(found)
    return events, times, bodies


def words(events: list[Record]) -> list[str]:
    return [event.said["event"] for event in events]


# ------------------------------------------------------------------------------------------------- what it writes


def test_frames_are_on_the_tape_as_they_came(reel: Reel, writer: Writer) -> None:
    """Byte for byte and in order: packed ones, a text one, one in fragments with a ping between them, one of 5 MB; each
    with a time at which it can have been received, and the events where they belong."""
    frames = [push(n) for n in range(300)]
    huge = push(7, 5_000_000)
    text = json.dumps({"ch": TOPIC, "ts": 5, "tick": "x" * 300}).encode()
    split = push(8, 2000)

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for frame in frames:
            venue.binary(frame)
        venue.transport.send(WSMsgType.TEXT, text)
        venue.binary(split[:500], fin=False)
        venue.transport.send(WSMsgType.CONTINUATION, split[500:600], False)
        venue.transport.send_ping(b"are you there")
        venue.transport.send(WSMsgType.CONTINUATION, split[600:])
        venue.binary(huge)
        await venue.wait_for("PONG b'are you there'")
        venue.transport.send_close(WSCloseCode.GOING_AWAY, b"maintenance")

    async def main() -> Ended:
        async with exchange(script) as place:
            ended, _ = await hold(place.url, reel, writer)
            return ended

    began = time.time_ns() // 1000
    ended = calmly(main())
    ends = time.time_ns() // 1000
    events, times, bodies = taped(reel)
    assert unpack(bodies[0]).startswith(b'{"id": "1", "status": "ok"')
    assert bodies[1:] == [*frames, text, split, huge]
    assert times == sorted(times)
    assert began <= times[0] <= times[-1] <= ends
    assert words(events) == ["connected", "sent", "closed"]
    assert json.loads(events[1].body) == {"sub": TOPIC, "id": "1"}
    assert events[-1].said == {
        "event": "closed", "why": "lost", "detail": "the venue closed: 1001 maintenance",
    }  # fmt: skip
    assert (ended.why, ended.heard, ended.first_at, ended.last_at) == ("lost", 304, times[0], times[-1])
    assert not reels.is_live(reel.path)


def test_a_ping_is_answered_in_its_dialect(reel: Reel, writer: Writer) -> None:
    """Between large frames in one reading of the socket, the same stamp goes back at once, and the answer is taped."""

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(3):
            venue.binary(push(number))
            venue.binary(packed(ping=1492420473027 + number))
        clock = asyncio.get_running_loop().time
        began = clock()
        await venue.wait_for('{"pong":1492420473029}')
        assert clock() - began < 0.15
        venue.transport.disconnect()

    async def main() -> list[str]:
        async with exchange(script) as place:
            await hold(place.url, reel, writer)
            return place.met[0].heard

    heard = calmly(main())
    pongs = [f'{{"pong":{1492420473027 + number}}}' for number in range(3)]
    assert heard[1:] == pongs
    assert [event.body.decode() for event in taped(reel)[0] if event.said["event"] == "sent"][1:] == pongs


def test_what_cannot_be_read_is_taped_all_the_same(reel: Reel, writer: Writer) -> None:
    """Frames that are torn, lie or are no JSON are on the reel, and the line goes on."""
    broken = [push(1)[:100], b"\x1f\x8b", b"", b"{", packed(ping=[1]), b"\xff" * 140]

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for frame in broken:
            venue.binary(frame)
        venue.binary(packed(ping=5))
        await venue.wait_for("pong")
        venue.transport.disconnect()

    async def main() -> None:
        async with exchange(script) as place:
            await hold(place.url, reel, writer)

    calmly(main())
    assert taped(reel)[2][1:-1] == broken


# ------------------------------------------------------------------------------------------------- how it ends


def test_it_ends_when_it_is_asked_to(reel: Reel, writer: Writer) -> None:
    """``until``: it says goodbye, what came is on the reel, and the reel is sealed with the given word."""

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(10):
            venue.binary(push(number))

    async def main() -> Ended:
        until = asyncio.Event()
        async with exchange(script) as place:
            line = Line(
                place.url, Session(MARKET_SWAP, [TOPIC]), reel, writer, unpack=unpack,
                on_frames=lambda times, bodies: line.call(until.set) if len(bodies) > 5 else None,
            )  # fmt: skip
            line.parting = "rotation"
            ended = await line.run(until)
            line.note({"event": "late"})  # and nothing follows
            await asyncio.sleep(0.3)
            return ended

    ended = calmly(main())
    events, _, bodies = taped(reel)
    assert (ended.why, ended.detail, ended.heard) == ("rotation", "", 11)
    assert bodies[1:] == [push(number) for number in range(10)]
    assert words(events) == ["connected", "sent", "closed"]
    assert oct(reel.path.stat().st_mode & 0o777) == "0o444"


def test_a_cancelled_line_seals_its_reel(reel: Reel, writer: Writer) -> None:
    """Cancelled in the middle of things: what came is on the reel, its end says so, and the task is cancelled."""

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        venue.binary(push(1))

    async def main() -> None:
        async with exchange(script) as place:
            line = Line(place.url, Session(MARKET_SWAP, [TOPIC]), reel, writer, unpack=unpack)
            running = asyncio.create_task(line.run(asyncio.Event()))
            while line.heard < 2:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.sleep(0)
            running.cancel()  # twice
            with pytest.raises(asyncio.CancelledError):
                await running

    calmly(main())
    events, _, bodies = taped(reel)
    assert bodies[1:] == [push(1)]
    assert events[-1].said == {"event": "closed", "why": "asked", "detail": ""}


def test_a_connection_that_only_pings_is_stale(reel: Reel, writer: Writer) -> None:
    """Pings are no data: a connection without any is given up after the feed's silence, not later."""

    async def script(venue: Exchange) -> None:
        while True:
            venue.binary(packed(ping=int(time.time() * 1000)))
            await asyncio.sleep(0.05)

    async def main() -> tuple[Ended, float]:
        clock = asyncio.get_running_loop().time
        began = clock()
        async with exchange(script) as place:
            ended, _ = await hold(place.url, reel, writer, session=Session(MARKET_SWAP, [TOPIC], silence=0.4))
            return ended, clock() - began

    ended, seconds = calmly(main())
    assert (ended.why, ended.detail) == ("stale", "no data for 0.4 s")
    assert 0.4 <= seconds < 3
    assert taped(reel)[0][-1].said["why"] == "stale"


def test_nothing_is_handed_over_behind_the_seal(
    reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk takes so long to seal that the next hand-over would be due: the reel ends for the reason it has."""
    seal = Reel.seal

    def slowly(self: Reel, received_at: int, why: str, detail: str = "") -> None:
        time.sleep(0.5)
        seal(self, received_at, why, detail)

    monkeypatch.setattr(Reel, "seal", slowly)
    given, give = [], writer.give

    def told(line: Any, items: Any) -> bool:
        given.extend(items)
        return give(line, items)

    monkeypatch.setattr(writer, "give", told)

    async def script(venue: Exchange) -> None:
        while True:
            venue.binary(packed(ping=int(time.time() * 1000)))
            await asyncio.sleep(0.01)

    async def main() -> Ended:
        async with exchange(script) as place:
            ended, _ = await hold(place.url, reel, writer, session=Session(MARKET_SWAP, [TOPIC], silence=0.4))
            await asyncio.sleep(0.5)
            return ended

    ended = calmly(main())
    assert (ended.why, ended.detail) == ("stale", "no data for 0.4 s")
    assert taped(reel)[0][-1].said["why"] == "stale"
    assert [type(item).__name__ for item in given].index("Seal") == len(given) - 1


def test_data_that_nobody_looked_at_is_a_sign_of_life(
    reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large frames alone keep a connection alive for longer than its feed's silence, before they are handed over."""
    monkeypatch.setattr(websocket, "HAND_S", 5.0)

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(20):
            await asyncio.sleep(0.05)
            venue.binary(push(number))
        venue.transport.disconnect()

    async def main() -> Ended:
        async with exchange(script) as place:
            session = Session(MARKET_SWAP, [TOPIC], silence=0.6)
            return (await hold(place.url, reel, writer, session=session))[0]

    ended = calmly(main())
    assert (ended.why, ended.heard) == ("lost", 21)


def test_a_drop_is_told_with_all_that_came_before_it(reel: Reel, writer: Writer) -> None:
    """A connection that is reset: frames that came are on the reel, which says "lost"."""

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        venue.binary(push(1))
        await asyncio.sleep(0.1)
        venue.transport.disconnect(graceful=False)

    async def main() -> Ended:
        async with exchange(script) as place:
            return (await hold(place.url, reel, writer))[0]

    ended = calmly(main())
    assert (ended.why, ended.detail) == ("lost", "the connection was lost")
    assert taped(reel)[2][1:] == [push(1)]


def test_a_venue_that_says_it_closes(reel: Reel, writer: Writer) -> None:
    """The dialect's own word for it ends the line as a close frame does."""

    async def script(venue: Exchange) -> None:
        venue.binary(packed(op="close", ts=1))
        await asyncio.sleep(5)

    async def main() -> Ended:
        async with exchange(script, acks=False) as place:
            return (await hold(place.url, reel, writer, session=Session(NOTIFICATION, ["public.*.x"])))[0]

    ended = calmly(main())
    assert (ended.why, ended.detail) == ("lost", "the venue closes: the venue closes the connection")


def test_every_way_of_not_being_connected_is_a_sentence(tmp_path: Path, writer: Writer) -> None:
    """Refused, no such host, no TLS, no WebSocket, HTTP 403, no answer: "lost" and why, never an exception."""

    async def hung(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        if await reader.read(20) and mode == "hang":
            await reader.read()
        if mode == "403":
            stream.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        elif mode == "noise":
            stream.write(b"hello\r\n\r\n")
        stream.close()

    async def lost(url: str, within: float = 10.0) -> str:
        reel = Reel(tmp_path, "v", "f", 1)
        ended, _ = await hold(url, reel, writer, connect_s=within)
        assert (ended.why, ended.heard) == ("lost", 0)
        assert taped(reel)[0][-1].said["detail"] == ended.detail
        return ended.detail

    async def main() -> None:
        nonlocal mode
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        assert await lost(f"ws://127.0.0.1:{port}/ws") == (
            f"no connection to 127.0.0.1:{port}: Connection refused"
        )
        assert "could not be resolved" in await lost("ws://no-such-host.invalid/ws")
        server = await asyncio.start_server(hung, "127.0.0.1", 0)
        async with server:
            at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            mode = "403"
            assert await lost(f"ws://{at}/ws") == f"{at} refused the connection: HTTP 403"
            assert (await lost(f"wss://{at}/ws")).startswith(f"no TLS with {at}: ")
            mode = "noise"
            assert (await lost(f"ws://{at}/ws")).startswith(f"{at} speaks no WebSocket: ")
            mode = "hang"
            assert await lost(f"ws://{at}/ws", 0.5) == f"{at} did not answer within 0.5 s"

    mode = ""
    calmly(main())


def test_it_can_be_asked_to_end_while_it_connects(reel: Reel, writer: Writer) -> None:
    """A venue that takes the connection and says nothing does not hold up the end."""

    async def main() -> Ended:
        until = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
            until.set()
            assert await reader.read()  # to the end: the client went away
            stream.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            clock = asyncio.get_running_loop().time
            began = clock()
            ended, _ = await hold(f"ws://127.0.0.1:{port}/", reel, writer, until)
            assert clock() - began < 1
            await asyncio.sleep(0.05)
            return ended

    assert calmly(main()).why == "asked"


# ------------------------------------------------------------------------------------------------- the disk


def test_a_slow_disk_loses_nothing(reel: Reel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sync takes 0.3 s and little may wait in memory: the line stops reading, goes on, and all is there."""
    frames = [push(n, 20_000) for n in range(100)] * 6
    real = os.fsync

    def slow(file: int) -> None:
        time.sleep(0.3)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)
    most = 0

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for frame in frames:
            while venue.transport.underlying_transport.get_write_buffer_size() > 100_000:
                await asyncio.sleep(0.001)
            venue.binary(frame)
        await asyncio.sleep(0.5)
        venue.transport.disconnect()

    async def main() -> int:
        nonlocal most
        pauses = 0

        async def watch() -> None:
            nonlocal most, pauses
            while True:
                most = max(most, writer.backlog)
                pauses += line._paused
                await asyncio.sleep(0.01)

        async with exchange(script) as place:
            session = Session(MARKET_SWAP, [TOPIC], silence=3)
            line = Line(place.url, session, reel, writer, unpack=unpack)
            watching = asyncio.create_task(watch())
            ended = await line.run(asyncio.Event())
            watching.cancel()
            assert (ended.why, ended.detail) == ("lost", "the connection was lost")
        return pauses

    with Writer(most=500_000) as writer:
        assert calmly(main()) > 5
        assert writer.backlog == 0
        assert writer.lags()[-1] > 0.3
    assert taped(reel)[2][1:] == frames


def test_frames_that_wait_for_the_disk_stay_as_they_came(
    reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few frames at a time, while the writer hangs in a sync: what comes later does not overwrite what waits."""
    real = os.fsync

    def slow(file: int) -> None:
        time.sleep(0.5)
        real(file)

    monkeypatch.setattr(os, "fsync", slow)

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(60):
            venue.binary(push(number))
            await asyncio.sleep(0.02)
        venue.transport.disconnect()

    async def main() -> None:
        async with exchange(script) as place:
            await hold(place.url, reel, writer)

    calmly(main())
    assert taped(reel)[2][1:] == [push(number) for number in range(60)]


def test_a_full_disk_ends_the_line(reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is "disk" and the sentence names the tape; the writer goes on for others."""

    def full() -> None:
        raise StoreError("the disk is full: what was heard could not be put on the tape 'x'")

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        monkeypatch.setattr(reel, "flush", full)
        for number in range(100):
            venue.binary(push(number))
            await asyncio.sleep(0.02)

    async def main() -> Ended:
        async with exchange(script) as place:
            return (await hold(place.url, reel, writer))[0]

    ended = calmly(main())
    assert ended.why == "disk"
    assert "the disk is full" in ended.detail
    assert writer.backlog == 0
    assert not reels.is_live(reel.path)


def test_others_look_at_frames_that_are_on_the_disk(reel: Reel, writer: Writer) -> None:
    """``on_frames`` is called in the writer's thread with what can be read from the reel by then; a fault of it is not
    swallowed."""
    seen: list[bytes] = []

    def look(times: Any, bodies: Any) -> None:
        assert threading.current_thread().name == "reels"
        assert len(times) == len(bodies)
        seen.extend(bodies)
        assert taped(reel)[2] == seen
        if len(seen) > 2:
            raise ZeroDivisionError("a fault")

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(100):
            venue.binary(push(number))
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with exchange(script) as place:
            with pytest.raises(ZeroDivisionError):
                await hold(place.url, reel, writer, on_frames=look)

    calmly(main())
    assert len(seen) > 2


def test_what_was_heard_is_on_the_disk_within_half_a_second(
    reel: Reel, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each frame, from its receipt to the end of its sync, while the connection goes on; by a clock of the loop that
    stands still while the disk is at it, which is as fast as the machine is busy."""
    late: list[float] = []
    give = writer.give

    def give_and_wait(line: Any, items: Any) -> bool:
        full = give(line, items)
        until_true(lambda: not writer.backlog)
        return full

    monkeypatch.setattr(writer, "give", give_and_wait)

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        for number in range(60):
            venue.binary(push(number))
            await asyncio.sleep(0.01)
        venue.transport.disconnect()

    def look(times: Any, bodies: Any) -> None:
        late.append(clock() / 1e9 - times[0] / 1e6)

    async def main() -> None:
        nonlocal clock
        loop, began = asyncio.get_running_loop(), time.time_ns()
        clock = lambda: began + int(loop.time() * 1e9)  # noqa: E731
        async with exchange(script) as place:
            await hold(place.url, reel, writer, on_frames=look, clock=clock)

    clock = time.time_ns
    calmly(main())
    assert 3 <= len(late) <= 8
    assert max(late) < 0.5  # 0.2 s, and what the loop is at
    assert len(writer.lags()) == len(late)
    assert max(writer.lags()) <= max(late)


# ------------------------------------------------------------------------------------------------- from other threads


def test_other_threads_may_renew_add_send_and_note(reel: Reel, writer: Writer) -> None:
    """What another thread wants said is said, and what it notes is on the reel at its place."""

    async def script(venue: Exchange) -> None:
        await venue.subscribed.wait()
        venue.binary(push(1))
        await venue.wait_for("market.second")
        await venue.wait_for('"req"')
        await venue.wait_for("by hand")
        venue.transport.disconnect()

    def look(times: Any, bodies: Any) -> None:
        if not asked:
            asked.append(1)
            line.note({"event": "break", "topic": TOPIC, "why": "a hole"}, received_at=7)
            line.renew(TOPIC)
            line.add("market.second")
            line.send('{"by":"by hand"}')

    asked: list[int] = []
    session = Session(MARKET_SWAP, [TOPIC], whole_by="")
    session._whole_by = "request"

    async def main() -> None:
        nonlocal line
        async with exchange(script) as place:
            line = Line(place.url, session, reel, writer, unpack=unpack, on_frames=look)
            await line.run(asyncio.Event())

    line: Line = None  # type: ignore[assignment]
    calmly(main())
    events = taped(reel)[0]
    (broke,) = [event for event in events if event.said["event"] == "break"]
    assert broke == Record(7, b"", {"event": "break", "topic": TOPIC, "why": "a hole"})


def test_a_line_whose_loop_is_gone_hears_nobody(reel: Reel, writer: Writer) -> None:
    """Calls from other threads after the end do nothing and raise nothing."""

    async def script(venue: Exchange) -> None:
        venue.transport.disconnect()

    async def main() -> Line:
        async with exchange(script) as place:
            return (await hold(place.url, reel, writer))[1]

    line = calmly(main())
    line.note({"event": "late"})
    line.renew(TOPIC)
    assert words(taped(reel)[0])[-1] == "closed"
    assert websocket.HAND_S <= 0.5
