"""How HTX says that something is wrong: HTTP status, two spellings of error fields, and errors under status 200."""

from __future__ import annotations

import re

import msgspec

from htxdata.protocol.wire import Fault, FaultKind, Reply


class _Envelope(msgspec.Struct):
    """Everything that a reply of any HTX family may say about itself (htx-api 1.3)."""

    status: str | None = None
    code: int | str | None = None
    message: str | None = None
    msg: str | None = None
    hyphen_code: int | str | None = msgspec.field(name="err-code", default=None)
    hyphen_message: str | None = msgspec.field(name="err-msg", default=None)
    err_code: int | str | None = None
    err_msg: str | None = None
    data: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Envelope)

_CODES: dict[str, FaultKind] = {
    # derivatives, integers (htx-api 1.3 [A])
    "1004": "busy",
    "1013": "symbol",
    "1014": "symbol",
    "1030": "invalid",
    "1032": "throttled",
    "1066": "invalid",
    "1067": "invalid",
    "1077": "busy",  # 1077 to 1080: in settlement or delivery, over within minutes
    "1078": "busy",
    "1079": "busy",
    "1080": "busy",
    "1332": "symbol",  # v5's word for a contract that does not exist [C]
    "403": "key",  # "invalid id" and, reported, every refusal of a signature (huobi_Python #126)
    "1003": "key",
    # spot and gateway, words
    "api-signature-not-valid": "key",  # the key, the signature, the time, the address: the words say which
    "api-signature-check-failed": "key",
    "login-required": "key",  # no signature at all, or not the permission [C]
    "invalid-symbol": "symbol",
    "base-symbol-error": "symbol",
    "gateway-internal-error": "busy",
    "base-request-exceed-frequency-limit": "throttled",
    "rate-too-many-requests": "throttled",
    "system-maintenance": "maintenance",
    "method-not-allowed": "absent",
    "bad-request": "invalid",
    "invalid-parameter": "invalid",
}

# The words decide where the code is as wide as `invalid-parameter`: spot says everything with that one.
_SPOKEN: tuple[tuple[str, FaultKind], ...] = (
    (r"request timeout|system busy|try again", "busy"),
    (r"too many|request limit|access limit|frequen", "throttled"),
    (r"maintain|maintenance", "maintenance"),
    (r"(symbol|contract)[^.]*(invalid|not exist|doesn.t exist)|invalid (symbol|contract)", "symbol"),
    (r"invalid period|not support", "invalid"),
)
_WORDS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _SPOKEN)

_STATUS: dict[int, FaultKind] = {
    404: "absent",
    405: "absent",
    410: "absent",
    403: "banned",
    418: "banned",
    429: "throttled",
}
_WHATEVER = (403, 418, 429)  # what the body says besides does not matter: everyone slows down (law 8)
_NO_CODE = (None, "", 0, "0")  # some v2 replies carry an empty err_code beside status ok (htx-api 1.3)


_MOST_WORDS = 300  # characters of a venue's message that are read and passed on


def judge(reply: Reply) -> Fault | None:
    """What is wrong with a reply, or ``None``. Pure; a good reply costs two searches at its ends.

    v5 replies carry no ``status`` and v1 ones no ``code``: success is "no error is said and there is data"
    (htx-api 1.3 [B]).
    """
    body = reply.body
    if reply.status == 200 and _says_ok(body):
        return None
    if reply.status in _STATUS and (reply.status in _WHATEVER or not body.lstrip().startswith(b"{")):
        return Fault(_STATUS[reply.status], f"HTTP {reply.status}")
    if reply.status >= 500:
        return Fault("server", f"HTTP {reply.status}")
    try:
        said = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        if reply.status == 200:
            return Fault("garbled", f"HTTP 200 with a body that is no envelope: {body[:60]!r}")
        return Fault(_STATUS.get(reply.status, "refused"), f"HTTP {reply.status}")
    code = said.hyphen_code if said.hyphen_code not in _NO_CODE else said.err_code
    if code in _NO_CODE and str(said.code) != "200":
        code = said.code
    words = (said.hyphen_message or said.err_msg or said.message or said.msg or "")[:_MOST_WORDS]
    if said.status in ("maintain", "maintenance"):
        return Fault("maintenance", f"the venue says status {said.status!r}")
    if code not in _NO_CODE or said.status not in (None, "ok") or reply.status != 200:
        text = f"{str(code)[:60] if code not in _NO_CODE else f'HTTP {reply.status}'}: {words}".rstrip(": ")
        for pattern, kind in _WORDS:
            if pattern.search(words):
                return Fault(kind, text)
        return Fault(_CODES.get(str(code), _STATUS.get(reply.status, "refused")), text)
    if not bytes(said.data):
        return Fault("garbled", f"an answer without data: {body[:60]!r}")
    return None


def _says_ok(body: bytes) -> bool:
    """Does the envelope itself, before or after its data, say `"status":"ok"` and no error? Not where it is nested, and
    not where the body was cut."""
    head, tail = body[:160], body[-160:]
    if not (head.startswith(b"{") and tail.rstrip().endswith(b"}")) or b'"err' in head or b'"err' in tail:
        return False
    before, found, _ = head.partition(_OK)
    if found and b"{" not in before[1:] and b"[" not in before:
        return True
    _, found, after = tail.rstrip()[:-1].rpartition(_OK)
    return bool(found) and not any(sign in after for sign in b"{}[]")


_OK = b'"status":"ok"'
