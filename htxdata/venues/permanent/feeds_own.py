"""What permanent's private socket tells of one's own fills: JSON both ways, after a sign-in (permanent-v1 6.1, 6.3).

Of its three topics ``orders#`` is heard, and of its events the trades. ``accounts#`` numbers nothing: two changes of
one currency in one millisecond could not be told from one that was told twice. No dataset holds positions.

Which form a pong has (``data`` in English, ``params`` in Chinese) is open, and a wrong one does not close the socket:
both are in one. Topics are asked for by symbol, though ``*`` would do: sizes are contracts, and what those of all
symbols are worth is not known where nobody named them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.keys import Keys
from htxdata.protocol.dialect import Acked, Admitted, Barred, Dialect, Heard, Ping, Push, Refused, Strange
from htxdata.venues import figures
from htxdata.venues.frames import UNDECODABLE, Key, Sheets
from htxdata.venues.permanent import own, rows, signing
from htxdata.venues.permanent.answers import Row, same_symbol, text
from htxdata.venues.terms import NO_FACTS, Facts, Feed, Frame, Pushed

_SIGNED_PATH = "/ws"
"""As printed, for ``/api/swap/account/ws`` (6.1)."""

_EVENTS = ("creation", "trigger", "trade", "cancellation")
_TOPIC = re.compile(r"orders#([a-z0-9.]+)")
_UNSHOWN = ("accessKey", "signature")


class _Message(msgspec.Struct):
    action: str = ""
    ch: str = ""
    code: int = 0
    message: str = ""
    seq: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Stamp(msgspec.Struct):
    ts: int


_message, _stamp = msgspec.json.Decoder(_Message), msgspec.json.Decoder(_Stamp)


def hear(message: bytes) -> Heard:
    """A ping, the answer to the sign-in, an ack or a refusal (by ``code``), a push."""
    try:
        said = _message.decode(message)
        if said.action == "ping":
            ts = _stamp.decode(said.data).ts
            return Ping(f'{{"action":"pong","data":{{"ts":{ts}}},"params":{{"ts":{ts}}}}}')
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Strange(f"no message ({error}): {message[:80]!r}")
    if said.action == "push" and said.ch:
        return Push(said.ch, 0)  # its times are those of what happened
    why = ": ".join(part for part in (str(said.code), said.message[:200]) if part)
    if said.action == "req" and said.ch == "auth":
        # 500 is the system's own trouble (6.5), and the one refusal of a sign-in that the text shows.
        return Admitted() if said.code == 200 else Barred(why, again=said.code == 500)
    number = str(said.seq) if said.seq else ""
    if said.code == 200 and said.action in ("sub", "unsub"):
        return Acked(number, said.ch, 0)
    if said.code and said.code != 200:
        # For 500, 2001 and some 2002 the answer names neither number nor topic (6.5).
        return Refused(number, said.ch, why, slower="too" in said.message and "many" in said.message)
    return Strange(f"a message that is none of this dialect: {message[:80]!r}")


def _words(action: str, topic: str, id: str) -> str:
    return json.dumps({"action": action, "seq": int(id), "ch": topic}, separators=(",", ":"))


def _sign_in(host: str, path: str, keys: Keys, now: int) -> tuple[str, str]:
    said = signing.sign_in(host, _SIGNED_PATH, keys, now)
    shown = {**said, "params": {name: "…" if name in _UNSHOWN else value for name, value in said["params"].items()}}
    whole, written = (json.dumps(each, separators=(",", ":"), ensure_ascii=False) for each in (said, shown))
    return whole, written


PRIVATE = Dialect(
    name="htx-permanent-private",
    hear=hear,
    subscribe=lambda topic, id: _words("sub", topic, id),
    unsubscribe=lambda topic, id: _words("unsub", topic, id),
    request=None,
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=100,
    beats=20.0,
    deaf=60.0,
    docs="permanent-v1 6.1: a ping every 20 s, closed where either side says nothing for 60 s; no limits are stated",
    sign_in=_sign_in,
)


# ------------------------------------------------------------------------------------------------------------ fills


def _symbol_of(topic: str) -> Key | None:
    match = _TOPIC.fullmatch(topic)
    return None if match is None else (match[1], None)


def _event(body: bytes) -> tuple[str, Row] | None:
    """The topic and the data of a push; None of talk."""
    try:
        said = _message.decode(body)
    except UNDECODABLE as error:
        raise BadReply(f"no JSON: {error}") from error
    if said.action in ("ping", "pong", "sub", "unsub", "req") or (said.action == "" and said.code):
        return None
    if said.action != "push":
        raise BadReply(f"the action {said.action!r:.60} is not known")
    (row,) = figures.slow_rows(bytes(said.data))
    return said.ch, row


def _parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
    sheets = Sheets((*own.FILL, "received_at"), _symbol_of)
    for at, (received_at, body) in enumerate(frames):
        try:
            found = _event(body)
            if found is None:
                continue
            topic, row = found
            key, kind = sheets.key(topic), text(row, "eventType")
            if kind not in _EVENTS:
                raise BadReply(f"'eventType' is {kind!r:.60}, which is not known")
            same_symbol(row, key[0])
            if kind != "trade" or row.get("execType") == own.FUNDING:
                continue
            made: rows.Made = own.fill(row, 0, facts.get(key[0], NO_FACTS))
            values: dict[str, Any] = {**made[0], "received_at": received_at}
            sheets.add(key, [(values, made[1])])
        except BadReply as error:
            sheets.pushed.faults.append((at, str(error)))
    return sheets.finish()


OWN_FEEDS = (
    Feed(
        "own_fills", "own_fills", "permanent_ws", "/account/ws", PRIVATE,
        lambda symbol, period: f"orders#{symbol}", _symbol_of, _parse,
        docs="permanent-v1 6.3: the event `trade` of orders#; creation, trigger and cancellation are no fills",
        silence=None,  # who does not trade hears nothing, for days
    ),
)  # fmt: skip
