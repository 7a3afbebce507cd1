"""The WebSocket half of the exchange: connections, what they ask, what they are sent, on one clock for all.

A single loop looks at the sandbox's clock every 50 ms and lets each feed that somebody subscribed to tell what has
happened since; a message is made and squeezed once, however many get it. Heartbeats go by the real clock. Served by
the same aiohttp server as REST, which does the handshake and reads; frames are written straight to the transport.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from .faults import Faults
from .hashkey_sockets import HashkeyDialect, HashkeyLine
from .hashkey_stream import UserLine, UserStream, place_of
from .live_books import TICK
from .market import Market
from .noise import key_of
from .own_rest import OwnRest
from .replay import Replay
from .websocket_dialects import DIALECTS, Dialect
from .websocket_feeds import Feed
from .websocket_floor import Floor
from .websocket_harm import Harm
from .websocket_lines import Command, Line, Manners, Socket, Subscription
from .websocket_messages import Message
from .websocket_replay import WAIT, Playback, RecordedFeed
from .websocket_requests import answer, late
from .websocket_topics import Topic, opened

_LATE = 0.1  # seconds until a late answer
_KINDS: Mapping[type, type[Line]] = {HashkeyDialect: HashkeyLine, UserStream: UserLine}
_QUICK = ("kline.1min", "kline.5min")


class Sockets:
    """All connections and the loop that serves them. Lives on the server's event loop; `sockets` and `commands` are the
    logs it writes."""

    def __init__(
        self,
        market: Market,
        replay: Replay | None,
        faults: Faults,
        clock: Callable[[], float],
        workers: ThreadPoolExecutor,
        manners: Manners,
        sockets: list[Socket],
        commands: list[Command] | None,
        own: OwnRest,
    ) -> None:
        self.floor = Floor(market, replay)
        self.own = own
        self._clock, self._workers, self.manners = clock, workers, manners
        self.log, self.commands = sockets, commands
        self._began = time.monotonic()
        self._harm = Harm(faults, self._began)
        self._lines: dict[int, Line] = {}
        self._feeds: dict[tuple[str, ...], tuple[Feed, dict[Line, Subscription]]] = {}
        self._late: list[tuple[float, Callable[[], None]]] = []
        self.recording = None if replay is None else replay.session
        self._waiting: dict[Line, tuple[float, set[str]]] = {}
        self._playing: list[Playback] = []
        self._loop_task: asyncio.Task[None] | None = None

    @staticmethod
    def serves(prefix: str, path: str, headers: Mapping[str, str]) -> bool:
        """Whether a request is the beginning of a conversation that is held here."""
        return (prefix, place_of(path)[0]) in DIALECTS and headers.get("Upgrade", "").lower() == "websocket"

    def now(self) -> int:
        """The sandbox's clock, us UTC."""
        return int(self._clock() * 1_000_000)

    async def answer(self, request: web.BaseRequest, prefix: str, path: str) -> web.StreamResponse:
        """A connection from its handshake to its end."""
        path, key = place_of(path)
        dialect = DIALECTS[prefix, path]
        transport = request.transport
        if transport is None or self._harm.refuses(dialect.host, path):
            if transport is not None:
                transport.abort()
            return web.Response(status=503)
        turned_away = self._harm.turned_away(dialect.host, path)
        if isinstance(dialect, UserStream) and not self.own.keys.listens(key, self.now()):
            turned_away = turned_away or (401, {})
        if turned_away is not None:
            moment = time.monotonic()
            self.log.append(Socket(len(self.log), dialect.host, path, moment, moment, "refused handshake"))
            return web.Response(status=turned_away[0], headers=turned_away[1])
        response = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await response.prepare(request)
        log = Socket(len(self.log), dialect.host, path, time.monotonic())
        self.log.append(log)
        line = _KINDS.get(type(dialect), Line)(log, transport, dialect)
        line.named, line.address = request.host, request.remote or ""
        line.beats = self.manners.ping_seconds * getattr(dialect, "beats", 1.0)
        line.next_ping = log.opened + line.beats
        self._lines[log.number] = line
        if isinstance(dialect, UserStream) and isinstance(line, UserLine):
            dialect.begin(self, line, key, self.now())
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._loop())
        try:
            async for message in response:
                if not line.open:
                    break
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._heard(line, dialect, message.data)
        finally:
            line.ended("client")
            self._forget(line)
        return response

    async def close(self) -> None:
        """End all connections and the loop."""
        for line in list(self._lines.values()):
            line.drop("stopped")
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)

    def _forget(self, line: Line) -> None:
        self._lines.pop(line.log.number, None)
        self._waiting.pop(line, None)
        for key in list(line.topics):
            self._leave(line, key)

    # ------------------------------------------------------------------------------------------------ what is heard

    async def _heard(self, line: Line, dialect: Dialect, data: str | bytes) -> None:
        now, text = self.now(), data if isinstance(data, str) else data.decode(errors="replace")
        if self.commands is not None:
            self.commands.append(
                Command(time.monotonic(), now, line.log.number, line.log.host, line.log.path, text)
            )
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            line.say(dialect.unread(now // 1000))
            return
        await dialect.heard(self, line, said, now)

    def too_many(self, line: Line, kind: str, most: int, seconds: float) -> bool:
        """Whether a command is one too many of its kind; one that is not counts."""
        if not self.manners.limits:
            return False
        now, window = time.monotonic(), line.commands.setdefault(kind, deque())
        while window and window[0] <= now - seconds:
            window.popleft()
        if len(window) >= most:
            return True
        window.append(now)
        return False

    def too_full(self, line: Line, more: int) -> bool:
        """Whether so many more topics are too many for a connection."""
        return self.manners.limits and len(line.topics) + more > self.manners.most_topics

    async def join(
        self, line: Line, topics: Sequence[tuple[Topic, str]], now: int, ack: Callable[[], None]
    ) -> None:
        """Subscribe a connection to topics (each with the text it was asked by): ack, first messages, what comes."""
        known: list[tuple[Topic, str, Feed, list[Message] | None]] = []
        for topic, asked in topics:
            feed, first = opened(self.floor, topic, now), None
            if feed.slow:
                loop = asyncio.get_running_loop()
                first = await loop.run_in_executor(self._workers, feed.first, now)
            known.append((topic, asked, feed, first))
        if not line.open:
            return
        joined = [
            (self.enter(line, topic.key, feed, asked), first)
            for topic, asked, feed, first in known
            if topic.key not in line.topics
        ]
        ack()
        for subscription, first in joined:
            self._told(line, subscription, subscription.feed.first(now) if first is None else first)
        line.flush()

    def tell(self, line: Line, subscription: Subscription, now: int, ack: bytes) -> None:
        """Ack one subscription, where it is acked, and send the first messages."""
        if ack:
            line.say(ack)
        self._told(line, subscription, subscription.feed.first(now))
        line.flush()

    def enter(self, line: Line, short: tuple[str, str], feed: Feed, asked: str) -> Subscription:
        """Let a connection hear a feed, or the one that others hear already; it is kept as long as somebody does."""
        feed, listeners = self._feeds.setdefault((line.log.host, line.log.path, *short), (feed, {}))
        version = key_of("version", line.log.number, *short) % 1_000_000 + 1_000_000
        subscription = listeners[line] = line.topics[short] = Subscription(feed, asked, version)
        line.log.topics = [one.asked for one in line.topics.values()]
        return subscription

    def running(self, host: str, path: str, short: tuple[str, str]) -> Feed | None:
        """The feed that somebody hears already."""
        found = self._feeds.get((host, path, *short))
        return None if found is None else found[0]

    def play(self, line: Line, topics: Sequence[str], now: int, ack: bytes) -> None:
        """Subscribe a connection to recorded topics."""
        for text in topics:
            if (text, "") not in line.topics:
                self.enter(line, (text, ""), RecordedFeed(self.floor, text, now), text)
                _, waiting = self._waiting.get(line, (0.0, set()))
                self._waiting[line] = time.monotonic() + WAIT, waiting | {text}
        line.say(ack)

    def _leave(self, line: Line, short: tuple[str, str]) -> None:
        del line.topics[short]
        line.log.topics = [one.asked for one in line.topics.values()]
        key = (line.log.host, line.log.path, *short)
        _, listeners = self._feeds[key]
        del listeners[line]
        if not listeners:
            del self._feeds[key]

    def leave(self, line: Line, text: str) -> bool:
        """Unsubscribe a topic, whatever its options; whether there was one."""
        found = [short for short in line.topics if short[0] == text]
        for short in found:
            self._leave(line, short)
        return bool(found)

    async def ask(
        self, line: Line, topic: Topic, asked: Mapping[str, Any], say: Callable[[bytes, int], bytes]
    ) -> None:
        """Answer a one-shot request; `say` puts the answer's `data` and time (ms) into words. Unknown if it cannot."""
        if late(topic):
            self._late.append((time.monotonic() + _LATE, lambda: self._answer(line, topic, asked, say)))
            return
        now = self.now()
        if topic.what.startswith(("kline", *("index", "mark_price", "premium", "estimated"))) and (
            topic.what not in _QUICK
        ):
            loop = asyncio.get_running_loop()
            data = await loop.run_in_executor(self._workers, answer, self.floor, topic, asked, now)
        else:
            data = answer(self.floor, topic, asked, now)
        self._reply(line, topic, Message(say(data, now // 1000)))

    def _answer(
        self, line: Line, topic: Topic, asked: Mapping[str, Any], say: Callable[[bytes, int], bytes]
    ) -> None:
        now = self.now()
        self._reply(line, topic, Message(say(answer(self.floor, topic, asked, now), now // 1000)))

    def _reply(self, line: Line, topic: Topic, message: Message) -> None:
        if line.open:
            self._harm.send(line, topic.text, topic.one.symbol, message, None)
            line.flush()

    # ------------------------------------------------------------------------------------------------ what is told

    async def _loop(self) -> None:
        while True:
            step = TICK / 1e6
            await asyncio.sleep(step - self._clock() % step)
            try:
                self._turn()
            except Exception:
                traceback.print_exc()

    def _turn(self) -> None:
        if not self._lines:
            return
        now, real = self.now(), time.monotonic()
        for feed, listeners in list(self._feeds.values()):
            messages = feed.turn(now)
            if messages:
                for line, subscription in list(listeners.items()):
                    self._told(line, subscription, messages)
        due = [one for one in self._late if one[0] <= real]
        if due:
            self._late = [one for one in self._late if one[0] > real]
            for _, say in due:
                say()
        self._play_on(real)
        for line in list(self._lines.values()):
            if real >= line.next_ping:
                line.next_ping = real + line.beats
                line.beat(now // 1000)
            line.flush()

    def _play_on(self, real: float) -> None:
        for line, (due, topics) in list(self._waiting.items()):
            if due <= real and self.recording is not None:
                del self._waiting[line]
                self._playing.append(Playback(self.recording, line, topics, real, self.manners.replay_speed))
        for playback in self._playing:
            for subscription, message in playback.due(real):
                if playback.line.open:
                    self._told(playback.line, subscription, [message])
        self._playing = [one for one in self._playing if not one.over]

    def _told(self, line: Line, subscription: Subscription, messages: list[Message]) -> None:
        feed = subscription.feed
        for message in messages:
            if not line.open:
                return
            if message.counted:
                subscription.version += 1
            self._harm.send(line, feed.text, feed.symbol, message, subscription)
