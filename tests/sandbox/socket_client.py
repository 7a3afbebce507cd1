"""A small WebSocket client for the tests: aiohttp, gzip and json, nothing of ours. It needs no thread: it is driven."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.clocks import Wound

Said = dict[str, Any]


class Gone(Exception):
    """The server ended the connection: with a close frame and its code, or (None) without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Talk:
    """One conversation. Pings are answered unless `deaf`; what was heard, pings too, is in `heard`."""

    def __init__(self, url: str, deaf: bool = False) -> None:
        self._loop = asyncio.new_event_loop()
        self._deaf = deaf
        self.frames: list[bytes] = []
        self.heard: list[Said] = []
        self.gone = False
        try:
            self._loop.run_until_complete(self._open(url))
        except BaseException:
            self._loop.run_until_complete(self._session.close())
            self._loop.close()
            raise

    async def _open(self, url: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, autoclose=False, max_msg_size=1 << 26)

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        await self._socket.close()
        await self._session.close()

    def say(self, said: Said | str) -> None:
        """Send a command; Gone if nobody listens any more."""
        text = said if isinstance(said, str) else json.dumps(said)
        try:
            self._loop.run_until_complete(self._socket.send_str(text))
        except ConnectionError:
            self.gone = True
            raise Gone(None) from None

    def frame(self, timeout: float = 20.0) -> bytes:
        """The next frame as it came; Gone if there is none any more, TimeoutError if there is none yet."""
        message = self._loop.run_until_complete(self._socket.receive(timeout))
        if message.type == aiohttp.WSMsgType.BINARY:
            self.frames.append(message.data)
            return bytes(message.data)
        self.gone = True
        raise Gone(message.data if message.type == aiohttp.WSMsgType.CLOSE else None)

    def next(self, timeout: float = 20.0) -> Said:
        """The next message that is not a ping."""
        end = time.monotonic() + timeout
        while True:
            said: Said = json.loads(gzip.decompress(self.frame(max(0.001, end - time.monotonic()))))
            self.heard.append(said)
            if "ping" in said:
                if not self._deaf:
                    self.say({"pong": said["ping"]})
            elif said.get("op") == "ping":
                if not self._deaf:
                    self.say({"op": "pong", "ts": said["ts"]})
            else:
                return said

    def until(self, wanted: Callable[[Said], Any], timeout: float = 20.0) -> Said:
        """The first message for which something is true; the others are left aside."""
        end = time.monotonic() + timeout
        while True:
            said = self.next(max(0.01, end - time.monotonic()))
            if wanted(said):
                return said

    def ask(self, **said: Any) -> Said:
        """Say something and wait for what is answered to it, by its id."""
        said = {"id": f"id{len(self.heard)}"} | said
        self.say(said)
        return self.until(lambda heard: heard.get("id") == said["id"])

    def during(self, seconds: float, enough: Callable[[list[Said]], object] = lambda found: True) -> list[Said]:
        """Everything that comes in that time but pings; less time if the server ends it (`gone`), more until it is
        `enough` (20 seconds at most).

        Time in which the machine stands still does not count: nobody is told anything in it.
        """
        clock, found = Wound(0.0), list[Said]()
        while (passed := clock()) < seconds or (passed < 20 and not enough(found)):
            with contextlib.suppress(TimeoutError):
                try:
                    found.append(self.next(0.05 if passed > seconds else min(0.05, seconds - passed)))
                except Gone:
                    break
        return found
