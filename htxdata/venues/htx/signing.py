"""How HTX wants a request signed. Pure: the time is an argument, and no function here asks for one.

Three texts, one scheme (htx-api 10.1 [A]; htx-ws-v2 3): four lines (method, host in lower case, path, parameters sorted
by the ASCII value of their names and percent-encoded with capital hex), HMAC-SHA256 of them with the secret key, and
Base64. REST and the notification sockets of contracts are version 2; spot's ``/ws/v2`` is 2.1 with other names. With an
Ed25519 key the signature is made over the same text, and the method's name is ``Ed25519`` (D25 [B]).

The signature that HTX prints in its documents belongs to none of its (masked) keys; its text to sign is what the tests
compare with, and the signature of htx-ws-v2 3.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from htxdata.errors import ConfigError
from htxdata.keys import Keys

Params = Iterable[tuple[str, str]]


def sign_params(
    method: str, host: str, path: str, params: Params, keys: Keys, now: int
) -> tuple[tuple[str, str], ...]:
    """The parameters of a signed REST request, ``Signature`` last. ``now`` is microseconds UTC.

    ``host`` is what the request goes to, with its port where that is not the usual one. ``params`` are all that stand
    in the query; what stands in the body of a POST is not signed.
    """
    said = (
        *params,
        ("AccessKeyId", keys.access.reveal()),
        ("SignatureMethod", _method(keys)),
        ("SignatureVersion", "2"),
        ("Timestamp", timestamp(now)),
    )
    return (*said, ("Signature", signature(text_to_sign(method, host, path, said), keys)))


def sign_in_v2(host: str, path: str, keys: Keys, now: int) -> dict[str, Any]:
    """What is said first on spot's ``/ws/v2`` (htx-ws-v2 3): signature 2.1. ``authType`` is not signed."""
    said = {
        "accessKey": keys.access.reveal(),
        "signatureMethod": _method(keys),
        "signatureVersion": "2.1",
        "timestamp": timestamp(now),
    }
    signed = signature(text_to_sign("GET", host, path, said.items()), keys)
    return {"action": "req", "ch": "auth", "params": {"authType": "api", **said, "signature": signed}}


def sign_in_notification(host: str, path: str, keys: Keys, now: int) -> dict[str, Any]:
    """What is said first on a notification socket of the contracts, such as ``/linear-swap-notification``."""
    said = {
        "AccessKeyId": keys.access.reveal(),
        "SignatureMethod": _method(keys),
        "SignatureVersion": "2",
        "Timestamp": timestamp(now),
    }
    signed = signature(text_to_sign("GET", host, path, said.items()), keys)
    return {"op": "auth", "type": "api", **said, "Signature": signed}


STRUCK_OUT = "…"
_UNSAID = frozenset({"accesskey", "accesskeyid", "signature"})


def struck_out(said: dict[str, Any]) -> str:
    """What is said, as a text that may be written down: without the key and the signature."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {n: STRUCK_OUT if n.lower() in _UNSAID else plain(v) for n, v in value.items()}
        return value

    return json.dumps(plain(said), separators=(",", ":"), ensure_ascii=False)


def text_to_sign(method: str, host: str, path: str, params: Params) -> str:
    """The four lines. Names are sorted by their ASCII values, and so capitals come first; equal ones by value."""
    query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(params))
    return "\n".join((method.upper(), host.lower(), path, query))


def signature(text: str, keys: Keys) -> str:
    """Base64, not percent-encoded."""
    if keys.ed25519:
        return base64.b64encode(_private_key(keys).sign(text.encode())).decode()
    digest = hmac.new(keys.secret.reveal().encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def timestamp(now: int) -> str:
    """``2017-05-11T15:19:30``, UTC; ``now`` is microseconds."""
    return dt.datetime.fromtimestamp(now // 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _encoded(text: str) -> str:
    """RFC 3986: letters, digits and ``-._~`` stay; a blank is %20 and a colon %3A, as HTX writes them."""
    return quote(text, safe="-._~")


def _method(keys: Keys) -> str:
    return "Ed25519" if keys.ed25519 else "HmacSHA256"


def _private_key(keys: Keys) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(keys.secret.reveal().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        # Without its cause: what OpenSSL says of a key it could not read may quote it.
        raise ConfigError(
            "the secret half of the key begins as PEM does, and is no unencrypted Ed25519 private key"
        )
    return key
