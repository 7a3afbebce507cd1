"""How permanent answers over REST: what is wrong with an answer, what is in it (permanent-v1 3.1, 3.2).

``{"code":200,"data":…}`` on success, ``{"code":…,"message":…}`` otherwise; that success is 200 is inferred. The first
outline had ``status``, ``err-code`` and ``err-msg`` instead, which are heard as well. No public host was ever known, so
nothing here has been seen: what both revisions allow is accepted, anything else is refused.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.protocol.wire import Fault, FaultKind, Reply
from htxdata.venues import figures

Row = dict[str, Any]


class _Envelope(msgspec.Struct, rename={"err_code": "err-code", "err_msg": "err-msg"}):
    code: Any = None
    message: Any = None
    status: Any = None
    err_code: Any = None
    err_msg: Any = None
    data: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Envelope)

_STATUS: dict[int, FaultKind] = {401: "key", 403: "banned", 404: "absent", 405: "absent", 410: "absent", 418: "banned",
                                 429: "throttled"}  # fmt: skip
_WHATEVER = (403, 418, 429)  # everyone slows down, whatever the body says besides (law 8)
_SPOKEN: tuple[tuple[str, FaultKind], ...] = (
    # What is said to a key that is not taken is written nowhere: the words that Huobi uses elsewhere (htx-api 1.3).
    (r"signature|unauthori[sz]ed|access ?key|api[- ]?key|permission|log ?in", "key"),
    # permanent-v1 6.5: the socket tells client faults apart by message, "invalid.symbol"; that REST does is inferred.
    (r"invalid[. ]symbol", "symbol"),
    (r"invalid[. ]|request\.data\.overrun", "invalid"),
    (r"too[-. ]?many|frequen|rate[-. ]?limit", "throttled"),
    (r"maintain|maintenance", "maintenance"),
    (r"system[. ](error|busy)|try again", "busy"),
)
_WORDS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _SPOKEN)


def judge(reply: Reply) -> Fault | None:
    """What is wrong with a reply, or ``None``."""
    status = reply.status
    if status in _STATUS and (status in _WHATEVER or not reply.body.lstrip().startswith(b"{")):
        return Fault(_STATUS[status], f"HTTP {status}")
    if status >= 500:
        return Fault("server", f"HTTP {status}")
    try:
        said = _decoder.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if status == 200:
            return Fault("garbled", f"HTTP 200 with a body that is no envelope: {reply.body[:60]!r}")
        return Fault(_STATUS.get(status, "refused"), f"HTTP {status}")
    good = str(said.code) == "200" or (said.code is None and said.status == "ok")
    if good and status == 200:
        return None if bytes(said.data) else Fault("garbled", f"an answer without data: {reply.body[:60]!r}")
    code = said.code if said.code is not None and not good else said.err_code
    words = str(said.message or said.err_msg or "")[:300]
    if code is None and said.status is None and status == 200:
        return Fault("garbled", f"HTTP 200 with neither code nor status: {reply.body[:60]!r}")
    text = f"{f'HTTP {status}' if code is None else str(code)[:60]}: {words}".rstrip(": ")
    for pattern, kind in _WORDS:
        if pattern.search(words):
            return Fault(kind, text)
    return Fault("busy" if str(code) == "500" else _STATUS.get(status, "refused"), text)


def rows_of(reply: Reply) -> list[Row]:
    """``data`` where it is a list of objects; numbers keep their spelling."""
    data = figures.envelope(reply.body).get("data", b"").strip()
    if not data.startswith(b"["):
        raise BadReply(f"`data` is not a list: {data[:40]!r}")
    return figures.slow_rows(data[1:-1])


def object_of(reply: Reply) -> Row:
    """``data`` where it is one object."""
    return objects_of(reply, "one")[0]


def objects_of(reply: Reply, many: str = "some") -> list[Row]:
    """``data`` where one object and a list of them may stand for each other (permanent-v1 4.7)."""
    data = figures.envelope(reply.body).get("data", b"").strip()
    if data.startswith(b"[") and many == "some":
        return figures.slow_rows(data[1:-1])
    if not data.startswith(b"{"):
        raise BadReply(f"`data` is no object: {data[:40]!r}")
    return figures.slow_rows(data)


def inside(row: Row, name: str) -> list[Row]:
    """A list of objects in an object; one object stands for a list of one."""
    value = row.get(name)
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BadReply(f"{name!r} is {value!r:.60}, not a list of objects")
    return value


def text(row: Row, name: str, at: int = 0) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, not a text")
    return value.strip()


def same_symbol(row: Row, symbol: str, at: int = 0, *, required: bool = True) -> None:
    """Rows of another symbol are never taken for those that were asked for. All fields of candles are marked as
    optional, so there it may lack."""
    if not required and row.get("symbol") is None:
        return
    said = text(row, "symbol", at)
    if said.lower() != symbol.lower():
        raise BadReply(f"row {at} is of {said!r:.60}, asked for {symbol!r}")
