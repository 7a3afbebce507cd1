"""How HashKey's two WebSockets are spoken: commands, acks or none, errors, who pings whom (hashkey-api 5 [wire])."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from .hashkey_feeds import PUSHED_V1, PUSHED_V2, HashkeyFeed, opened
from .hashkey_index import contract_of, indexed
from .hashkey_quotes import INTERVALS
from .instruments import HASHKEY, INSTRUMENTS, Instrument
from .websocket_lines import Heartbeat, Line, Socket

if TYPE_CHECKING:
    from .websocket import Sockets

HOST = "hashkey_ws"
V1, V2 = "/quote/ws/v1", "/quote/ws/v2"
DEAF = {V1: 60.0, V2: 31.0}
"""Seconds after which a socket is closed: V1 without any traffic, V2 without a frame of the client's."""


class HashkeyLine(Line):
    """A connection that pings nobody, closes on who is silent, and sends texts (gzip is binary, as elsewhere)."""

    def __init__(self, log: Socket, transport: asyncio.Transport, heartbeat: Heartbeat) -> None:
        super().__init__(log, transport, heartbeat)
        self.heard_at = log.opened

    def frame(self, payload: bytes) -> None:
        before = len(self._out)
        super().frame(payload)
        if payload[:1] == b"{":
            self._out[before] = b"\x81" + self._out[before][1:]
        if self.log.path == V1:
            self.heard_at = asyncio.get_running_loop().time()

    def say(self, text: bytes) -> None:
        self.frame(text)
        self.flush()

    def beat(self, ms: int) -> None:
        if asyncio.get_running_loop().time() - self.heard_at >= DEAF[self.log.path]:
            self.drop("unanswered pings")


@dataclass(frozen=True)
class HashkeyDialect:
    """`event` sub, cancel, cancel_all, and pings of the client's. V1 acknowledges nothing and takes lists of symbols;
    V2 acknowledges with the command itself."""

    host: str
    path: str
    patience: int = 1
    plain: bool = False

    def ping(self, ms: int) -> None:
        """HashKey pings nobody here."""

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return orjson.dumps({"code": "-10001", "desc": "Invalid JSON!"})

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        assert isinstance(line, HashkeyLine)
        line.heard_at = asyncio.get_running_loop().time()
        if "ping" in said:
            line.say(orjson.dumps({"pong": now // 1000}))
        elif self.path == V1:
            self._first(sockets, line, said, now)
        else:
            self._second(sockets, line, said, now)

    # ------------------------------------------------------------------------------------------------ V1

    def _first(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        name, event = str(said.get("topic") or ""), said.get("event")
        if event == "cancel_all":
            for text, _ in list(line.topics):
                sockets.leave(line, text)
            return
        kind, _, interval = name.partition("_")
        if kind not in PUSHED_V1 or (kind == "kline") != bool(interval) or (interval and interval not in INTERVALS):
            line.say(orjson.dumps({"code": "-10004", "desc": "Invalid topic!"}))
            return
        symbols = [symbol for symbol in str(said.get("symbol") or "").split(",") if symbol]
        found = [(symbol, _listed(kind, symbol, now)) for symbol in symbols]
        if not found or any(one is None for _, one in found):
            line.say(orjson.dumps({"code": "-100010", "desc": "Invalid Symbols!"}))
            return
        if event == "cancel":
            for symbol, _ in found:
                sockets.leave(line, f"{name}.{symbol}")
            return
        params = said.get("params")
        squeezed = str(params.get("binary") if isinstance(params, dict) else "").lower() == "true"
        self._join(sockets, line, [(one, symbol) for symbol, one in found if one], name, now, squeezed)

    def _join(
        self, sockets: Sockets, line: Line, chosen: Iterable[tuple[Instrument, str]], name: str, now: int,
        squeezed: bool, ack: bytes = b"",
    ) -> None:  # fmt: skip
        for one, symbol in chosen:
            key = f"{name}.{symbol}", "binary" if squeezed else ""
            if key in line.topics:
                continue
            feed: HashkeyFeed = opened(sockets.floor, self.path == V1, name, one, symbol, now, squeezed)
            subscription = sockets.enter(line, key, feed, f"{name}.{symbol}")
            sockets.tell(line, subscription, now, ack)

    # ------------------------------------------------------------------------------------------------ V2

    def _second(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        name, event, params = str(said.get("topic") or ""), said.get("event"), said.get("params")
        asked: dict[str, Any] = params if isinstance(params, dict) else {}
        symbol, interval = str(asked.get("symbol") or ""), str(asked.get("klineType") or "")
        command = {"topic": name, "event": event, "params": asked}
        one = INSTRUMENTS[HASHKEY].get(symbol)
        wrong = name not in PUSHED_V2 or event not in ("sub", "cancel")
        if wrong:
            line.say(orjson.dumps(command | {"code": "-10004", "msg": "Invalid topic!"}))
            return
        # A delisted symbol is acknowledged, and nothing follows [wire].
        if one is None or one.status_at(now) == "pre-online" or (name == "kline" and interval not in INTERVALS):
            line.say(orjson.dumps(command | {"code": "-100011", "msg": "Parameter error!"}))
            return
        ack = orjson.dumps(command | {"code": "0", "msg": "Success"})
        full = f"kline_{interval}" if name == "kline" else name
        if event == "cancel":
            sockets.leave(line, f"{full}.{symbol}")
            line.say(ack)
        elif (f"{full}.{symbol}", "") in line.topics:
            line.say(ack)
        else:
            self._join(sockets, line, [(one, symbol)], full, now, False, ack)


def _listed(kind: str, symbol: str, now: int) -> Instrument | None:
    """What a symbol of V1 means: the name of an index, or an instrument that is listed."""
    if kind == "index":
        return next((one for one in indexed(now) if one is contract_of(symbol)), None)
    one = INSTRUMENTS[HASHKEY].get(symbol)
    return None if one is None or one.status_at(now) in ("pre-online", "offline") else one


DIALECTS = {("hashkey", path): HashkeyDialect(HOST, path) for path in (V1, V2)}
