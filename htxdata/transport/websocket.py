"""A WebSocket connection, written down before anything looks at it.

A `Line` drives one `Session` over picows in an event loop. What it receives goes to its reel through the process's one
`Writer`, a thread: every `HAND_S` (0.2 s) the frames since the last time are handed over, written in one block and
synced. A frame is on the disk within 0.5 s of its receipt as long as a round of the writer takes no more than 0.3 s;
`Writer.lags` says how long it took. Where the disk cannot keep up, nothing is thrown away: with `MOST` bytes in memory
the lines stop reading until half of them are written, and it is the venue that waits.

**Receive times** are taken once for each reading of the socket, when its frames were cut apart: all of them had come by
then. **The hot path** is `Ear.on_ws_frame`: it copies a body behind the last one, and knows nothing of what is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import picows
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from htxdata.errors import BadReply, HtxdataError
from htxdata.protocol.session import Action, Close, Send, Session
from htxdata.transport.dial import connected_to, words_of
from htxdata.transport.door import Door
from htxdata.transport.ear import ALL, Ear
from htxdata.transport.reels import Event, Item, OnFrames, Seal, Sync, Writer, Written

HAND_S = 0.2
SMALL = 128
"""Frames of up to so many bytes are looked at. HTX's pings have 34 to 60 bytes packed, its goodbyes about 50; RFC 6455
5.5 leaves control frames 125, so a longer one is never one of these either. While answers are awaited every frame is
looked at. Not more: differences of a book and best prices begin at 130 bytes, and a look costs 3 us."""

CONNECT_S = 10.0
PARTING_S = 2.0  # for the venue to say goodbye in turn
MESSAGE = 16 << 20
"""Bytes of a frame, and of a message in fragments. A book of 400 levels has 30 kB, all of spot's tickers 1 MB."""

_LOG = logging.getLogger("htxdata.websocket")
_LOG.addHandler(logging.NullHandler())  # what picows says there is in `Ended` too
_BRIEF = logging.Logger(_LOG.name, logging.WARNING)
"""For lines with a door: what picows says below a warning are addresses and whole requests. Nobody finds this one by
its name to make it say more."""
_BRIEF.parent = _LOG


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a line ended, in the words of its reel. Instants are microseconds UTC, 0 where nothing was heard.

    ``data_seconds`` is for how long it brought data (`protocol.backoff.failures_after`), ``refusal`` the status and
    headers (names in lower case) of an answer that was no connection.
    """

    why: str
    detail: str
    heard: int = 0
    first_at: int = 0
    last_at: int = 0
    data_seconds: float = 0.0
    refusal: tuple[int, Mapping[str, str]] | None = None


# ------------------------------------------------------------------------------------------------- the line


class Line:
    """One connection: ``await Line(...).run(until)`` connects, speaks, writes, and ends when ``until`` is set, or when
    it must. It is used once; whoever wants to go on makes another, with another session and another reel.

    ``sign_in`` makes what is said to show the key at a time (us UTC), and what may be written down of it. ``unpack``
    makes a message of a frame (``BadReply`` for what is none). A ``door`` is what the address ends with, lent for a
    while and in nothing that is written. ``on_frames`` is called with frames that are
    on the disk, from the writer's thread. The reel belongs to the line from ``run`` on, which seals it.
    """

    def __init__(
        self,
        url: str,
        session: Session,
        reel: Written,
        writer: Writer,
        *,
        unpack: Callable[[bytes], bytes],
        on_frames: OnFrames | None = None,
        sign_in: Callable[[int], tuple[str, str]] | None = None,
        door: Door | None = None,
        clock: Callable[[], int] = time.time_ns,
        connect_s: float = CONNECT_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.session, self.reel, self.on_frames, self.clock = session, reel, on_frames, clock
        self._sign_in, self._door = sign_in, door
        self._keeping: asyncio.Task[None] | None = None
        self.parting = "asked"
        """What the reel is sealed with when ``until`` is set: "rotation" where a successor takes over."""
        self.heard = 0
        """Frames handed over to the writer; ``size`` are their bytes."""
        self.size = 0
        self.broken: Exception | None = None
        """What stopped the writer: the disk, or a fault of ``on_frames``."""
        self.unsynced: list[tuple[Sequence[int], list[bytes]]] = []
        """Of the writer."""
        self._url, self._writer, self._unpack, self._connect_s, self._tls = (
            url,
            writer,
            unpack,
            connect_s,
            tls,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._transport: WSTransport | None = None
        self._ear = Ear(self, writer)
        self._items: list[Item] = []
        self._looked = 0
        self._first_at = self._last_at = 0
        self._hand_over: asyncio.TimerHandle | None = None
        self._wake_up: asyncio.TimerHandle | None = None
        self._wake_at = 0.0
        self._parts: list[bytes] = []
        self._over: asyncio.Future[tuple[str, str]] | None = None
        self._refusal: tuple[int, Mapping[str, str]] | None = None
        self._waits = self._paused = self._gone = False

    async def run(self, until: asyncio.Event) -> Ended:
        """Raises nothing for what the network, the venue or the disk does: that is in `Ended`. A fault of
        ``on_frames`` is raised."""
        self._loop = loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        asked = loop.create_task(until.wait())
        connecting = loop.create_task(self._connect())
        connecting.add_done_callback(self._tried)
        try:
            await asyncio.wait((asked, self._over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end(self.parting, "")  # also where this task is cancelled
            why, detail = self._over.result()
            await _to_the_end(self._leave(why, detail, asked, connecting))
        for task in (connecting, self._keeping):
            if task is not None and not task.cancelled():
                task.result()
        if self.broken is not None and not isinstance(self.broken, HtxdataError):
            raise self.broken
        if self.broken is not None:
            why, detail = "disk", str(self.broken)
        seconds = self.session.data_seconds
        return Ended(why, detail, self.heard, self._first_at, self._last_at, seconds, self._refusal)

    def _tried(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.end("lost", "a fault of ours")  # `run` raises it

    # ------------------------------------------------------------------------------------ from other threads

    def call(self, what: Callable[..., object], *args: object) -> None:
        """Do this in the line's thread; nothing where its loop is gone or not there yet."""
        with contextlib.suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what, *args)

    def note(self, said: Mapping[str, Any], body: bytes = b"", received_at: int | None = None) -> None:
        """Put an event on the reel (``received_at``: microseconds UTC, now where it is not given)."""
        at = self.clock() // 1000 if received_at is None else received_at
        self.call(self.put, said, body, at)

    def renew(self, topic: str) -> None:
        """A whole book of this topic is needed."""
        self.call(self._tell, self.session.renew, topic)

    def add(self, topic: str) -> None:
        self.call(self._tell, self.session.add, topic)

    def drop(self, topic: str) -> None:
        self.call(self._tell, self.session.drop, topic)

    def send(self, text: str) -> None:
        self.call(self._send, text)

    # ------------------------------------------------------------------------------------ beginning and end

    async def _connect(self) -> None:
        assert self._loop is not None
        host, url = self._url.partition("://")[2].partition("/")[0], self._url
        if self._door is not None:
            key = await self._door.open(self._shut)
            if key is None:
                return
            url = f"{url}/{key.reveal()}"
        connected: list[socket.socket] = []
        try:
            async with asyncio.timeout(self._connect_s):
                try:
                    await picows.ws_connect(
                        lambda: self._ear,
                        url,
                        ssl_context=self._tls,
                        websocket_handshake_timeout=self._connect_s,
                        max_frame_size=MESSAGE,
                        max_redirects=0,  # as of REST: an address that has moved is for a person to look at
                        logger_name=_LOG if self._door is None else _BRIEF,
                        socket_factory=lambda url: connected_to(url.host, url.port, connected, self._connect_s),
                    )
                except asyncio.CancelledError:
                    for sock in connected:  # picows leaves the one that shakes hands to itself
                        with contextlib.suppress(OSError):
                            sock.shutdown(socket.SHUT_RDWR)
                    raise
        except TimeoutError:
            self.end("lost", f"{host} did not answer within {self._connect_s:g} s")
        except ssl.SSLError as error:
            self.end("lost", f"no TLS with {host}: {error.reason or error}")
        except picows.WSInvalidStatusError as error:
            status = "an unknown status"
            if error.response is not None:
                headers = {name.lower(): value for name, value in error.response.headers.items()}
                self._refusal = int(error.response.status), headers
                status = str(self._refusal[0])
            self.end("lost", f"{host} refused the connection: HTTP {status}")
        except (picows.WSError, ssl.CertificateError) as error:
            self.end("lost", f"{host} speaks no WebSocket: {error}")
        except socket.gaierror as error:
            self.end("lost", f"the name of {host} could not be resolved: {error.strerror}")
        except OSError as error:
            self.end("lost", f"no connection to {host}: {words_of(error)}")
        else:
            if self._transport is None:  # picows returns as if nothing had happened
                self.end("lost", f"{host} closed the connection before it answered")

    async def _leave(self, why: str, detail: str, *tasks: asyncio.Task[Any]) -> None:
        """Say goodbye, and put everything on the disk."""
        assert self._loop is not None
        if self._door is not None:
            self._door.close()
            tasks = (*tasks, self._keeping) if self._keeping is not None else tasks
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        if (transport := self._transport) is not None:
            with contextlib.suppress(Exception):  # it was lost already, or is being lost
                transport.underlying_transport.resume_reading()
                transport.send_close(WSCloseCode.OK)
                async with asyncio.timeout(PARTING_S):
                    await transport.wait_disconnected()
            transport.disconnect(graceful=False)
        sealed = self._loop.create_future()
        for timer in (self._wake_up, self._hand_over):
            if timer is not None:  # before the last hand-over: nothing may follow the seal
                timer.cancel()
        self._hand()
        self._gone = True
        self._writer.give(self, [Seal(why, detail, lambda: _settle(sealed))])
        await sealed

    def end(self, why: str, detail: str) -> None:
        """The first reason counts."""
        if self._over is not None and not self._over.done():
            self._over.set_result((why, self._struck(detail)))

    def _shut(self, why: str, detail: str) -> None:
        """The key of the door is not lent, or not any longer."""
        if why == "refused":
            self.session.barred = self._struck(detail)
        self.end(why, detail)

    def _struck(self, detail: str) -> str:
        """Venues repeat in their errors and goodbyes what they were asked: without the key."""
        return detail if self._door is None else self._door.struck(detail)

    def fail(self) -> None:
        self.end("disk", str(self.broken))

    # ------------------------------------------------------------------------------------ what picows says

    def connected(self, transport: WSTransport) -> None:
        assert self._loop is not None
        self._transport = transport
        self.put({"event": "connected"}, b"", self.clock() // 1000)
        self.session.opened(self._loop.time())
        if self._door is not None:
            self._keeping = self._loop.create_task(self._door.keep(self._shut))
            self._keeping.add_done_callback(self._tried)
        self._wake()

    def disconnected(self, transport: WSTransport) -> None:
        shake = transport.close_handshake
        if shake is not None and shake.recv is not None:
            code = getattr(shake.recv.code, "value", shake.recv.code)
            self.end("lost", f"the venue closed: {code} {shake.recv.reason}".rstrip())
        self.end("lost", "the connection was lost")  # unless that is known already

    def look(self, transport: WSTransport, frame: WSFrame) -> None:
        """Any frame that may be other than data."""
        assert self._loop is not None
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if kind in (WSMsgType.PONG, WSMsgType.PING):
            return
        body = frame.get_payload_as_bytes()
        if not frame.fin or self._parts:
            self._parts.append(body)
            if sum(map(len, self._parts)) > MESSAGE:
                self.end("lost", f"a message in fragments has more than {MESSAGE} bytes")
                self._parts.clear()
                transport.disconnect(graceful=False)
                return
            if not frame.fin:
                self._ear.small = ALL
                return
            body = b"".join(self._parts)
            self._parts.clear()
            self._listen()
        if self._door is not None:
            body = self._door.struck_out(body)
        self._ear.keep(body)
        self._looked += 1
        if self._waits or len(body) <= SMALL:
            try:
                message = self._unpack(body)
            except BadReply:
                return  # it is on the reel; who reads that says so
            heard = self.session.dialect.hear(message)
            self._do(self.session.hear(heard, self._loop.time(), random.random()))
            self._listen()
            self._plan()
        else:
            self.session.pushed(self._loop.time())

    # ------------------------------------------------------------------------------------ what the session says

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Close):
                self.end(action.why, action.detail)
            elif isinstance(action, Send):
                self._send(action.text)
            elif self._sign_in is not None:
                self._send(*self._sign_in(self.clock() // 1000))

    def _send(self, text: str, written: str | None = None) -> None:
        """``written`` is what goes on the reel, where that is not what is said."""
        over = self._over is None or self._over.done()
        if self._transport is None or over or self._transport.is_close_frame_sent:
            return
        self._transport.send(WSMsgType.TEXT, text.encode())
        self.put({"event": "sent"}, (text if written is None else written).encode(), self.clock() // 1000)

    def _tell(self, what: Callable[[str, float], None], topic: str) -> None:
        assert self._loop is not None
        what(topic, self._loop.time())
        self._plan()

    def _listen(self) -> None:
        """Look at every frame, or only at those that are small enough."""
        self._waits = self.session.waiting
        self._ear.small = ALL if self._waits or self._parts or self._door is not None else SMALL

    def _wake(self) -> None:
        assert self._loop is not None
        self._wake_up = None
        if self._over is None or self._over.done() or self._paused:
            return
        now = self._loop.time()
        if len(self._ear.lengths) > self._looked:  # also some that nobody looked at
            self.session.pushed(now)
        self._do(self.session.due(now, random.random()))
        self._listen()
        self._plan()

    def _plan(self) -> None:
        """Wake when the session has something to say. What came meanwhile may make that later: then it is asked in
        vain, and planned again."""
        assert self._loop is not None
        now = self._loop.time()
        due = self.session.next_due(now)
        if self._wake_up is not None and (due is None or due < self._wake_at):
            self._wake_up.cancel()
            self._wake_up = None
        if self._wake_up is None and due is not None:
            self._wake_at = max(due, now + 0.001)
            self._wake_up = self._loop.call_at(self._wake_at, self._wake)

    # ------------------------------------------------------------------------------------ what is written

    def plan_to_hand(self) -> None:
        assert self._loop is not None
        if self._hand_over is None and not self._gone:
            self._hand_over = self._loop.call_later(HAND_S, self._hand)

    def put(self, said: Mapping[str, Any], body: bytes, at: int) -> bool:
        """:meth:`note` for who is in the line's thread; false where nothing comes on the reel any more."""
        if self._gone or self.broken is not None:
            return False
        self._cut()
        self._items.append(Event(at, said, body))
        self.plan_to_hand()
        return True

    def _cut(self) -> None:
        """The frames since the last time, as one piece: what comes next on the reel comes behind them."""
        some = self._ear.take()
        if some is None:
            return
        if self._loop is not None and len(some.lengths) > self._looked:
            self.session.pushed(self._loop.time())
        self._looked = 0
        self._items.append(some)
        self.heard += len(some.lengths)
        self.size += len(some.content)
        self._first_at = self._first_at or some.times[0]
        self._last_at = some.times[-1]

    def _hand(self) -> None:
        """Everything to the writer, and from there to the disk."""
        self._hand_over = None
        self._give(Sync())

    def give_early(self) -> None:
        """A chunk is full. It is written, and synced with the rest."""
        self._give()

    def _give(self, *last: Sync) -> None:
        self._cut()
        items, self._items = [*self._items, *last], []
        if self._writer.give(self, items) and self._transport is not None:
            self._paused = True
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        """The writer has caught up."""
        self._paused = False
        if self._transport is not None and self._loop is not None and not self._gone:
            self.session.excuse(self._loop.time())
            self._transport.underlying_transport.resume_reading()
            self._plan()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await it, and be cancelled behind it."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    task.result()
    if cancelled:
        raise asyncio.CancelledError
