"""How HashKey says that something is wrong: by status, and by codes that are texts or numbers (hashkey-api 2)."""

from __future__ import annotations

import msgspec

from htxdata.protocol.wire import Fault, FaultKind, Reply

THROTTLE_S = 60.0
"""A 429 says no time [wire]: pause a minute (hashkey-api 2, S-SEED: "after an order 429 wait 1 minute")."""

BAN_S = 3_600.0
"""418 is for who went on after a 429: stop. Longer than any request has patience for, so all give up, on the whole
machine, and the next run after it asks again."""

_CODES: dict[str, FaultKind] = {
    "0001": "invalid",
    "0003": "throttled",
    "0102": "key",
    "0103": "key",
    "0201": "symbol",
    "0202": "key",  # not from this address
    "-1000": "busy",
    "-1001": "busy",
    "-1002": "key",
    "-1004": "invalid",
    "-1005": "key",  # which may not do this
    "-1006": "busy",  # whether it was executed is unknown
    "-1007": "busy",
    "-1021": "clock",  # ours is off, or the request was longer under way than five seconds
    "-1101": "absent",  # the feature is offline
    "-1102": "invalid",
    "-1130": "invalid",
    "-1151": "symbol",  # a contract that was delisted says so, too [wire]
    "-10009": "invalid",
    "-100002": "invalid",
    "-100009": "invalid",
    "-100010": "symbol",
    "-100011": "symbol",
    "-100012": "invalid",
    "404": "absent",
}
_STATUS: dict[int, FaultKind] = {404: "absent", 405: "absent", 410: "absent", 403: "banned"}
_FINE = ("0", "0000", "200")


class _Said(msgspec.Struct):
    code: int | str | None = None
    msg: str | None = None


_decoder = msgspec.json.Decoder(_Said)


def judge(reply: Reply) -> Fault | None:
    """What is wrong with a reply, or ``None``. Public answers have no envelope: a list, or an object without a code."""
    if reply.status == 429:
        return Fault("throttled", "HTTP 429", None if "retry-after" in reply.headers else THROTTLE_S)
    if reply.status == 418:
        return Fault("banned", "HTTP 418: banned for asking on", None if "retry-after" in reply.headers else BAN_S)
    if reply.status == 403:
        return Fault("banned", "HTTP 403")
    if reply.status >= 500:
        return Fault("server", f"HTTP {reply.status}")
    body = reply.body.strip()
    if reply.status == 200 and body[:1] == b"[" and body[-1:] == b"]":
        return None
    if reply.status == 200 and not body:
        if reply.request.path.endswith("/markPrice"):
            return Fault("symbol", "an empty answer: the venue knows no such contract")  # [wire]
        return Fault("garbled", "HTTP 200 without a body")
    otherwise = _STATUS.get(reply.status, "refused")
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):  # HTML under application/json [wire], or cut off
        if reply.status == 200:
            quoted = "" if reply.request.private else f": {body[:60]!r}"  # it may begin with a key that is lent
            return Fault("garbled", f"HTTP 200 with a body that is no answer{quoted}")
        return Fault(otherwise, f"HTTP {reply.status}")
    code = None if said.code is None else str(said.code)
    if reply.status == 200 and (code is None or code in _FINE):
        return None
    words = (said.msg or "")[:300]
    text = f"{code[:60] if code else f'HTTP {reply.status}'}: {words}".rstrip(": ")
    kind = _CODES.get(code or "") or _CODES.get((code or "").zfill(4), otherwise)  # 102 is "0102"
    if reply.request.private and kind == "invalid" and "signature" in words.lower():
        kind = "key"  # one code for what is missing, wrong or wrongly signed [doc]
    if code == "-1130" and "symbol" in words.lower():
        kind = "symbol"
    return Fault(kind, text, THROTTLE_S if kind == "throttled" else None)
