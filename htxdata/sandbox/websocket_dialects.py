"""How clients speak to the market sockets: commands, acks, errors, heartbeats (htx-api 7.1, 7.2, 2.2, 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from . import permanent_own_socket, permanent_socket
from .hashkey_sockets import DIALECTS as HASHKEY_DIALECTS
from .hashkey_stream import DIALECTS as USER_STREAM
from .product_lines import COIN_FUTURES, COIN_SWAPS, USDT
from .websocket_lines import Heartbeat, Line
from .websocket_notices import NoticeDialect
from .websocket_own import OwnDialect
from .websocket_own_notices import OwnNoticeDialect
from .websocket_topics import Topic, Unknown, contract_topic, spot_topic

if TYPE_CHECKING:
    from .websocket import Sockets

SPOT_HOST, SWAP_HOST = "htx_spot_ws", "htx_swap_ws"


class Dialect(Heartbeat, Protocol):
    """One way of speaking."""

    @property
    def host(self) -> str:
        """The key of the host where it is spoken."""

    def unread(self, ms: int) -> bytes:
        """What is said to a text that is not JSON."""

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        """Obey a command."""


@dataclass(frozen=True)
class MarketDialect:
    """`sub`, `unsub`, `req`, and pings of milliseconds. The limits are (commands, seconds), None for none."""

    host: str
    path: str
    patience: int
    subscriptions: tuple[int, float] | None
    requests: tuple[int, float]
    plain: bool = False

    def ping(self, ms: int) -> tuple[str, str]:
        return str(ms), f'{{"ping":{ms}}}'

    def farewell(self, ms: int) -> bytes | None:
        return None

    def unread(self, ms: int) -> bytes:
        return self._error({}, "not json string", ms)

    def _error(self, said: dict[str, Any], text: str, ms: int) -> bytes:
        body = {"ts": ms, "status": "error", "err-code": "bad-request", "err-msg": text}
        return orjson.dumps(body | ({"id": said["id"]} if "id" in said else {}))

    def topic(self, text: str, said: dict[str, Any], now: int) -> Topic:
        """The topic that a text names; Unknown if there is none."""
        if self.host == SPOT_HOST:
            return spot_topic(self.path, text, now)
        return contract_topic(self.path, text, now, str(said.get("data_type") or ""))

    async def heard(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        try:
            if "pong" in said:
                if type(said["pong"]) is int:  # HTX sends a number and wants it back
                    line.answered(str(said["pong"]))
            elif "ping" in said:
                line.say(orjson.dumps({"pong": said["ping"]}))
            elif "sub" in said:
                await self._subscribe(sockets, line, said, now)
            elif "unsub" in said:
                self._unsubscribe(sockets, line, said, now)
            elif "req" in said:
                await self._request(sockets, line, said, now)
            else:
                raise Unknown("invalid command")
        except Unknown as unknown:
            line.say(self._error(said, str(unknown), now // 1000))

    async def _subscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        if self.subscriptions and sockets.too_many(line, "sub", *self.subscriptions):
            raise Unknown("429 too many request")
        texts = said["sub"] if isinstance(said["sub"], list) else [said["sub"]]
        if not texts:
            raise Unknown("invalid topic ")
        recorded = sockets.recording.topics if sockets.recording and self.path == "/ws" else set()
        if self.host == SPOT_HOST and recorded.issuperset(map(str, texts)):
            sockets.play(line, texts, now, _ack(said, "subbed", said["sub"], now // 1000))
            return
        topics = [(self.topic(str(text), said, now), str(text)) for text in texts]
        if sockets.too_full(line, sum(topic.key not in line.topics for topic, _ in topics)):
            raise Unknown("429 too many request topics")
        await sockets.join(
            line, topics, now, lambda: line.say(_ack(said, "subbed", said["sub"], now // 1000))
        )

    def _unsubscribe(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        texts = said["unsub"] if isinstance(said["unsub"], list) else [said["unsub"]]
        for text in texts:
            try:
                known = sockets.leave(line, self.topic(str(text), said, now).text)
            except Unknown:
                known = sockets.leave(line, str(text))  # a recorded one may be nobody's today
            if not known:
                raise Unknown(f"unsub with not subbed topic {text}")
        line.say(_ack(said, "unsubbed", said["unsub"], now // 1000))

    async def _request(self, sockets: Sockets, line: Line, said: dict[str, Any], now: int) -> None:
        if sockets.too_many(line, "req", *self.requests):
            raise Unknown("429 too many request")
        text = str(said["req"])
        head = (b'"id":%b,' % orjson.dumps(said["id"])) if "id" in said else b""

        def put(data: bytes, ms: int) -> bytes:
            rep = orjson.dumps(text)
            return b'{%b"rep":%b,"status":"ok","ts":%d,"data":%b}' % (head, rep, ms, data)

        await sockets.ask(line, self.topic(text, said, now), said, put)


def _ack(said: dict[str, Any], word: str, topics: Any, ms: int) -> bytes:
    head = {"id": said["id"]} if "id" in said else {}
    return orjson.dumps(head | {"status": "ok", word: topics, "ts": ms})


_SPOT_REQUESTS, _LINEAR_SUBSCRIPTIONS, _LINEAR_REQUESTS = (1, 0.1), (40, 1.0), (50, 1.0)

DIALECTS: dict[tuple[str, str], Dialect] = {
    ("htx-spot", "/ws"): MarketDialect(SPOT_HOST, "/ws", 2, None, _SPOT_REQUESTS),
    ("htx-spot", "/feed"): MarketDialect(SPOT_HOST, "/feed", 2, None, _SPOT_REQUESTS),
    ("htx-spot", "/ws/v2"): OwnDialect(SPOT_HOST, "/ws/v2", 2, (50, 1.0)),
    **{
        ("htx-swap", path): MarketDialect(SWAP_HOST, path, 5, _LINEAR_SUBSCRIPTIONS, _LINEAR_REQUESTS)
        for path in ("/linear-swap-ws", "/swap-ws", "/ws", "/ws_index")
    },
    **{
        ("htx-swap", path): kind(SWAP_HOST, product, 5, _LINEAR_SUBSCRIPTIONS, path)
        for path, kind, product in (
            ("/linear-swap-notification", NoticeDialect, USDT),
            ("/swap-notification", NoticeDialect, COIN_SWAPS),
            ("/notification", NoticeDialect, COIN_FUTURES),
            ("/ws/v5/notification", OwnNoticeDialect, USDT),
        )
    },
    **HASHKEY_DIALECTS,
    **USER_STREAM,
}
"""URL prefix and path -> how it is spoken there."""

DIALECTS.update(permanent_socket.DIALECTS)
DIALECTS.update(permanent_own_socket.DIALECTS)
