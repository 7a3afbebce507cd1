"""How permanent's public socket is spoken: JSON up, one protobuf ``Result`` a frame down (permanent-v1 6).

Only the pings say the venue's time: acks say none, and what a push says is when something happened. An ``at`` is
therefore given to those pushes alone whose ``ts`` is that of the message.
"""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import DecodeError, Message

from htxdata.errors import BadReply
from htxdata.protocol.dialect import Acked, Dialect, Heard, Ping, Push, Refused, Strange
from htxdata.timeline import MILLISECOND
from htxdata.venues.permanent import gateway_pb2 as gateway

_PAYLOADS: dict[str, type[Message]] = {
    kind.DESCRIPTOR.full_name: kind
    for kind in (
        gateway.Ping, gateway.Candlestick, gateway.ReqCandlestick, gateway.Depth, gateway.Trade, gateway.ReqTrade,
        gateway.MarketSummary, gateway.Overview, gateway.IndicativeFundingRate, gateway.IndexConstituents,
    )
}  # fmt: skip
_STAMPED = (gateway.Depth, gateway.IndicativeFundingRate, gateway.IndexConstituents)
_SUB, _REQ, _UNSUB, _PUSH, _PING, _PONG = range(6)


def opened(message: bytes) -> gateway.Result:
    """The ``Result`` of a frame; ``BadReply`` where it is none."""
    try:
        result = gateway.Result.FromString(message)
    except DecodeError as error:
        raise BadReply(f"no protobuf ({error}): {message[:40]!r}") from error
    if not message or not _SUB <= result.action <= _PONG:  # enums are open: any number decodes
        raise BadReply(f"a message of the unknown action {result.action}: {message[:40]!r}")
    return result


def payload(result: gateway.Result) -> Any:
    """What a ``Result`` carries; ``BadReply`` where that is nothing, or nothing that the schema knows."""
    name = result.data.type_url.rpartition("/")[2]
    kind = _PAYLOADS.get(name)
    if kind is None:
        raise BadReply(f"a payload of the unknown type {result.data.type_url!r:.80}")
    try:
        return kind.FromString(result.data.value)
    except DecodeError as error:
        raise BadReply(f"no {name} ({error})") from error


def is_data(result: gateway.Result) -> bool:
    """Whether it is a push, or the answer to a one-off request, and not talk."""
    return result.action == _PUSH or (result.action == _REQ and result.code == 200)


def hear(message: bytes) -> Heard:
    """A ping, an ack or a refusal (by ``code``), a push, the answer to a request."""
    try:
        result = opened(message)
        if result.action == _PING:
            ts = payload(result).ts
            return Ping(json.dumps({"action": "pong", "ts": ts}, separators=(",", ":")))
        if result.action == _PUSH:
            return Push(result.ch, _moment(payload(result)))
    except (BadReply, AttributeError) as error:
        return Strange(str(error))
    number = str(result.sequence) if result.sequence else ""
    if result.code != 200:
        # For 500, 2001 and some 2002 the answer names neither number nor topic (6.5).
        why = ": ".join(part for part in (str(result.code), result.message[:200]) if part)
        return Refused(number, result.ch, why, slower="too" in result.message and "many" in result.message)
    if result.action in (_SUB, _UNSUB):
        return Acked(number, result.ch, 0)
    return Push(result.ch, 0, number)


def _moment(said: Any) -> int:
    ts = said.ts if isinstance(said, _STAMPED) else 0
    return ts * MILLISECOND if 0 < ts < 10**14 else 0


def _words(action: str, topic: str, id: str) -> str:
    return json.dumps({"action": action, "seq": int(id), "ch": topic}, separators=(",", ":"))


PUBLIC = Dialect(
    name="htx-permanent-public",
    hear=hear,
    subscribe=lambda topic, id: _words("sub", topic, id),
    unsubscribe=lambda topic, id: _words("unsub", topic, id),
    request=lambda topic, id: _words("req", topic, id),
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=100,
    beats=20.0,
    deaf=60.0,
    docs="permanent-v1 6.1: a ping every 20 s, dropped after two without a pong; no limits of commands or topics are "
    "stated: as HTX's own",
)
