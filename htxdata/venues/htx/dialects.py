"""How HTX's WebSockets are spoken (htx-api 7.1, 7.2, 7.4, 7.6, 10.3).

Four dialects: market data of spot and of contracts (the same words, other limits), the contracts' notifications, and
spot's ``/ws/v2``. What a message says beside its kind, topic, id and time is passed over unread: trade ids have up to
27 digits, and nothing here depends on them.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import msgspec

from htxdata.keys import Keys
from htxdata.market import ALL_SYMBOLS
from htxdata.protocol.dialect import (
    Acked,
    Admitted,
    Barred,
    Closing,
    Dialect,
    Heard,
    Ping,
    Push,
    Refused,
    Strange,
)
from htxdata.venues.htx import signing

# --------------------------------------------------------------------------------- market data: /ws, /feed, /linear-…


class _Market(msgspec.Struct, rename={"err_code": "err-code", "err_msg": "err-msg"}):
    ping: msgspec.Raw = msgspec.Raw()
    ch: str | None = None
    rep: str | None = None
    subbed: Any = None
    unsubbed: Any = None
    id: Any = None
    ts: Any = None
    status: Any = None
    err_code: Any = None
    err_msg: Any = None


_market = msgspec.json.Decoder(_Market)


def hear_market(message: bytes) -> Heard:
    """``{"ping":ms}``, acks and errors with our id, pushes with ``ch``, answers with ``rep``."""
    try:
        said = _market.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _no_message(message, error)
    if ping := bytes(said.ping):
        return _ping(ping, '{"pong":%s}', message)
    if said.status == "error":
        return _refused(_text(said.id), "", said.err_code, said.err_msg)
    if said.ch is not None:
        return Push(said.ch, _instant(said.ts))
    if said.rep is not None:
        return Push(said.rep, _instant(said.ts), _text(said.id))
    for topic in (said.subbed, said.unsubbed):
        if topic is not None and said.status == "ok":
            return Acked(_text(said.id), _text(topic), _instant(said.ts))
    return _strange(message)

# --------------------------------------------------------------------------------------------------- notifications


class _Notice(msgspec.Struct, rename={"err_code": "err-code", "err_msg": "err-msg"}):
    op: str
    topic: str = ""
    cid: Any = None
    ts: msgspec.Raw = msgspec.Raw()
    err_code: Any = None
    err_msg: Any = None


_notice = msgspec.json.Decoder(_Notice)
_REPEATED = "2014"  # htx-api 1.3 [A]: "repeated subscription"; what was asked twice is there


def hear_notification(message: bytes) -> Heard:
    """``{"op":...}``: ping, sub and unsub (acks and refusals), notify, error, close (htx-api 7.1, 7.6)."""
    try:
        said = _notice.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _no_message(message, error)
    if said.op == "ping":
        return _ping(bytes(said.ts), '{"op":"pong","ts":%s}', message)
    at = _instant(bytes(said.ts).strip(b'"').decode("ascii", "replace"))
    if said.op == "notify":
        return Push(said.topic, at) if said.topic else _strange(message)
    if said.op == "auth":
        code, why = _text(said.err_code), _why(said.err_code, said.err_msg)
        # What is about the key does not pass (htx-api 1.3: 2001); too much does. The other codes are not documented.
        return Admitted() if code == "0" else Barred(why or "no code", again=_TOO_MUCH.search(why) is not None)
    if said.op in ("sub", "unsub"):
        code = _text(said.err_code)
        if code == "0" or (said.op == "sub" and code == _REPEATED):
            return Acked(_text(said.cid), said.topic, at)
        return _refused(_text(said.cid), said.topic, said.err_code, said.err_msg)
    if said.op == "error":
        return _refused(_text(said.cid), said.topic, said.err_code, said.err_msg)
    if said.op == "close":
        return Closing(_why(said.err_code, said.err_msg) or "the venue closes the connection")
    return _strange(message)

# --------------------------------------------------------------------------------------------------- spot's /ws/v2


class _Stamp(msgspec.Struct):
    ts: msgspec.Raw


class _Action(msgspec.Struct):
    action: str
    ch: str = ""
    code: Any = None
    message: Any = None
    cid: Any = None
    ts: Any = None
    data: msgspec.Raw = msgspec.Raw(b"null")


_action = msgspec.json.Decoder(_Action)
_stamp = msgspec.json.Decoder(_Stamp)


def hear_v2(message: bytes) -> Heard:
    """``{"action":...}``: ping, sub and unsub with a code, push (htx-api 10.3). Its acks carry no id: `Acked.id` is
    empty and the topic says which."""
    try:
        said = _action.decode(message)
        if said.action == "ping":
            ts = bytes(_stamp.decode(said.data).ts)
            return _ping(ts, '{"action":"pong","data":{"ts":%s}}', message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _no_message(message, error)
    if said.action == "push":
        return Push(said.ch, _instant(said.ts)) if said.ch else _strange(message)
    if said.action == "req" and said.ch == "auth":
        if _text(said.code) == "200":
            return Admitted()
        why = _why(said.code, said.message)
        # 2001 and 2002 are about the key and what was said with it, 2000 about the address; 500 and 4000 pass.
        return Barred(why, again=_text(said.code) not in ("2000", "2001", "2002"))
    if said.action == "sub" and _text(said.code) == "500":
        return Closing(_why(said.code, said.message))  # nothing more will come of it (htx-ws-v2 5)
    if said.action in ("sub", "unsub"):
        if _text(said.code) == "200":
            return Acked(_text(said.cid), said.ch, _instant(said.ts))
        return _refused(_text(said.cid), said.ch, said.code, said.message)
    if said.action == "error":
        return _refused(_text(said.cid), said.ch, said.code, said.message)
    return _strange(message)

# ---------------------------------------------------------------------------------------------------------- pieces

_STAMP = re.compile(rb'\d{1,20}|"\d{1,20}"')
_TOO_MUCH = re.compile(
    r"too[-. ]?many|\b429\b|exceed[-. ]frequency|request[-. ]limit|over the access limit", re.I
)


def _ping(ts: bytes, answer: str, message: bytes) -> Heard:
    """The stamp goes back in the spelling in which it came: one dialect sends text, the others a number."""
    if _STAMP.fullmatch(ts) is None:
        return _strange(message)
    return Ping(answer % ts.decode())


def _refused(id: str, topic: str, code: Any, text: Any) -> Refused:
    why = _why(code, text) or "an error without a word"
    return Refused(id, topic, why, slower=_TOO_MUCH.search(why) is not None)


def _why(code: Any, text: Any) -> str:
    return ": ".join(part[:200] for part in (_text(code), _text(text)) if part)


def _text(value: Any) -> str:
    """An id as text: HTX answers with text what was sent as text, and is tolerated where it does not."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value)


def _instant(ts: Any) -> int:
    """Milliseconds of the venue's clock as microseconds UTC; 0 for what is no such time."""
    if isinstance(ts, str) and ts.isascii() and ts.isdigit() and len(ts) < 15:
        ts = int(ts)
    return ts * 1000 if type(ts) is int and 0 < ts < 10**14 else 0


def _strange(message: bytes) -> Strange:
    return Strange(f"a message of no known kind: {message[:80]!r}")


def _no_message(message: bytes, error: Exception) -> Strange:
    return Strange(f"no message ({error}): {message[:80]!r}")


def _words(**said: str) -> str:
    return json.dumps(said, separators=(",", ":"))


def _sign_in_v2(host: str, path: str, keys: Keys, now: int) -> tuple[str, str]:
    said = signing.sign_in_v2(host, path, keys, now)
    return json.dumps(said, separators=(",", ":")), signing.struck_out(said)


def _sign_in_notification(host: str, path: str, keys: Keys, now: int) -> tuple[str, str]:
    said = signing.sign_in_notification(host, path, keys, now)
    return json.dumps(said, separators=(",", ":")), signing.struck_out(said)


def _subscribe_contract(topic: str, id: str) -> str:
    if topic.endswith(".high_freq"):  # htx-api 7.4 [A]: without it, whole books are pushed
        return _words(sub=topic, data_type="incremental", id=id)
    return _words(sub=topic, id=id)

# --------------------------------------------------------------------------------------------------------- dialects

MARKET_SPOT = Dialect(
    name="htx-spot-market",
    hear=hear_market,
    subscribe=lambda topic, id: _words(sub=topic, id=id),
    unsubscribe=lambda topic, id: _words(unsub=topic, id=id),
    request=lambda topic, id: _words(req=topic, id=id),
    subscriptions_per_second=10.0,
    requests_per_second=10.0,
    most_topics=100,
    beats=5.0,
    deaf=20.0,
    docs="htx-api 7.1, 7.2 [A]; 2.3: one req per 100 ms [A], 429 above an unknown number of topics: 100 [C]; "
    "subscriptions are not limited by any document: as requests",
)
MARKET_SWAP = Dialect(
    name="htx-contract-market",
    hear=hear_market,
    subscribe=_subscribe_contract,
    unsubscribe=lambda topic, id: _words(unsub=topic, id=id),
    request=lambda topic, id: _words(req=topic, id=id),
    subscriptions_per_second=40.0,
    requests_per_second=50.0,
    most_topics=100,
    beats=5.0,
    deaf=20.0,
    docs="htx-api 7.1, 7.4 [A]; 2.2: 40 sub/s a connection, 50 req/s [A]; no number of topics is documented: as spot",
)
NOTIFICATION = Dialect(
    name="htx-notification",
    hear=hear_notification,
    subscribe=lambda topic, id: _words(op="sub", cid=id, topic=topic),
    unsubscribe=lambda topic, id: _words(op="unsub", cid=id, topic=topic),
    request=None,
    subscriptions_per_second=40.0,
    requests_per_second=50.0,
    most_topics=100,
    beats=5.0,
    deaf=30.0,
    docs="htx-api 7.1, 7.6 [A]; how often it pings is not said: as market data [C]; limits: htx-api 2.2 [A]",
)
OWN_NOTIFICATION = replace(
    NOTIFICATION,
    name="htx-notification-v5",
    subscribe=lambda topic, id: _words(op="sub", cid=id, topic=topic, contract_code=ALL_SYMBOLS),
    unsubscribe=lambda topic, id: _words(op="unsub", cid=id, topic=topic, contract_code=ALL_SYMBOLS),
    docs="htx-api 10.1, 10.5 [B]; gzip, heartbeats and acks as on the other notification sockets [C]. A contract is no "
    "part of the topic, and so all of them are one: pushes say which they are of",
    sign_in=_sign_in_notification,
)
V2 = Dialect(
    name="htx-spot-v2",
    hear=hear_v2,
    subscribe=lambda topic, id: _words(action="sub", ch=topic),
    unsubscribe=lambda topic, id: _words(action="unsub", ch=topic),
    request=None,
    subscriptions_per_second=50.0,
    requests_per_second=50.0,
    most_topics=100,
    beats=20.0,
    deaf=60.0,
    docs="htx-api 7.1, 10.3 [A]; 2.3: 50 commands/s [A]; htx-ws-v2 2, 3",
    sign_in=_sign_in_v2,
)
