"""How HashKey's two WebSockets are spoken (hashkey-api 5 [wire]).

A topic of ours is HashKey's, a colon, and the symbol: ``kline_1m:BTCUSDT``, on both sockets. We ping and HashKey
answers with its own clock; it pings nobody on these sockets. What a message says beside its kind is passed over unread.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from htxdata.protocol.dialect import Acked, Dialect, Heard, Ping, Pong, Push, Refused, Strange

_BEATS, _DEAF = 10.0, 25.0
"""V2 closes after 31 s without a frame of ours, V1 after 60 s without traffic [wire]; a ping every 10 s is [doc], and
a silence of 25 s the end (hashkey-api 5)."""

_OVERLAP = 2.5
"""An index is pushed every 900 ms with the time of its whole second."""


class _Params(msgspec.Struct):
    symbol: str = ""
    klineType: str = ""


class _Said(msgspec.Struct):
    pong: Any = None
    ping: Any = None
    topic: str = ""
    symbol: str = ""
    event: str = ""
    params: _Params = msgspec.field(default_factory=_Params)
    code: int | str | None = None
    msg: Any = None
    desc: Any = None
    data: msgspec.Raw = msgspec.Raw()
    f: bool = False
    sendTime: Any = None


class _Stamp(msgspec.Struct):
    t: Any = None
    time: Any = None


_said = msgspec.json.Decoder(_Said)
_stamp = msgspec.json.Decoder(_Stamp)
_stamps = msgspec.json.Decoder(list[_Stamp])


def topic_of(name: str, symbol: str) -> str:
    return f"{name}:{symbol}"


def hear_v1(message: bytes) -> Heard:
    """Pushes with a list of ``data`` and the time at which they were sent; no acks; errors that name nothing.

    The first push of trades (``f``) repeats the newest ones: up to 60, so trades are heard from the oldest of them on,
    but for its instant, which the list may cut through. The first push of an index is of a moment ago, and holds since.
    """
    said = _read(message)
    if not isinstance(said, _Said):
        return said
    if bytes(said.data) and said.topic and said.symbol:
        name = f"{said.topic}_{said.params.klineType}" if said.topic == "kline" else said.topic
        at = instant_of(said.sendTime)
        if said.f and said.topic in ("trade", "index"):
            at = _oldest(bytes(said.data)) or at
        return Push(topic_of(name, said.symbol), at)
    if said.code is not None:
        topic = topic_of(said.topic, said.symbol) if said.topic and said.symbol else ""
        return Refused("", topic, _why(said))
    return _strange(message)


def hear_v2(message: bytes) -> Heard:
    """Acks and refusals that repeat the command, pushes with one object of ``data`` and its own time."""
    said = _read(message)
    if not isinstance(said, _Said):
        return said
    name = f"kline_{said.params.klineType}" if said.topic == "kline" else said.topic
    topic = topic_of(name, said.params.symbol) if said.topic and said.params.symbol else ""
    if said.event:
        fine = str(said.code) in ("0", "0000", "200")
        return Acked("", topic, 0) if fine and topic else Refused("", topic, _why(said))
    if topic and bytes(said.data):
        try:
            return Push(topic, instant_of(_stamp.decode(said.data).t))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _strange(message)
    if said.code is not None:
        return Refused("", topic, _why(said))
    return _strange(message)


def hear_talk(message: bytes) -> Heard:
    """Pings and pongs alone: what a socket says besides its data."""
    said = _read(message)
    return said if not isinstance(said, _Said) else _strange(message)


def _read(message: bytes) -> _Said | Heard:
    try:
        said = _said.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Strange(f"no message ({error}): {message[:80]!r}")
    if said.pong is not None:
        return Pong(instant_of(said.pong))
    if said.ping is not None:  # documented for the private stream alone
        return Ping(json.dumps({"pong": said.ping}, separators=(",", ":")))
    return said


def _oldest(data: bytes) -> int:
    """A millisecond after the oldest of some trades, or the time of an index; 0 where that cannot be told."""
    try:
        times = [instant_of(one.time) or instant_of(one.t) + 1000 for one in _stamps.decode(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 0
    return min(times) if times and min(times) > 1000 else 0


def _why(said: _Said) -> str:
    words = said.desc if said.desc is not None else said.msg
    parts = (part for part in (said.code, words) if part not in (None, ""))
    return ": ".join(str(part)[:200] for part in parts) or "an error without a word"


def instant_of(ts: Any) -> int:
    """Milliseconds of the venue's clock as microseconds UTC; 0 for what is no such time."""
    if isinstance(ts, str) and ts.isascii() and ts.isdigit() and len(ts) < 15:
        ts = int(ts)
    return ts * 1000 if type(ts) is int and 0 < ts < 10**14 else 0


def _strange(message: bytes) -> Strange:
    return Strange(f"a message of no known kind: {message[:80]!r}")


def _words(**said: Any) -> str:
    return json.dumps(said, separators=(",", ":"))


def _v1(topic: str, event: str) -> str:
    name, _, symbol = topic.partition(":")
    return _words(symbol=symbol, topic=name, event=event, params={"binary": False})


def _v2(topic: str, event: str) -> str:
    name, _, symbol = topic.partition(":")
    kind, _, interval = name.partition("_")
    more = {"klineType": interval} if kind == "kline" else {}
    return _words(topic=kind, event=event, params={"symbol": symbol, **more})


def _ping(ms: int) -> str:
    return _words(ping=ms)


V1 = Dialect(
    name="hashkey-v1",
    hear=hear_v1,
    subscribe=lambda topic, id: _v1(topic, "sub"),
    unsubscribe=lambda topic, id: _v1(topic, "cancel"),
    request=None,
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=50,
    beats=_BEATS,
    deaf=_DEAF,
    docs="hashkey-api 5 [wire]; how many topics a connection bears, and commands a second, is [unknown]",
    ping=_ping,
    overlap=_OVERLAP,
    acks=False,
)
V2 = Dialect(
    name="hashkey-v2",
    hear=hear_v2,
    subscribe=lambda topic, id: _v2(topic, "sub"),
    unsubscribe=lambda topic, id: _v2(topic, "cancel"),
    request=None,
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=50,
    beats=_BEATS,
    deaf=_DEAF,
    docs="hashkey-api 5 [wire]; limits as V1",
    ping=_ping,
    overlap=_OVERLAP,
)
