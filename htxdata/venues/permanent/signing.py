"""How the Permanent Contract API of 2019 wants requests signed (permanent-v1 4 and the private socket). Pure.

Huobi's signature version 2 once more, written down here because venues are strangers to each other: four lines, HMAC
SHA-256, Base64. The document contradicts itself on one point: it says that names are sorted "by ASCII", and its worked
example has them as a dictionary would (``orderId`` between ``AccessKeyId`` and ``SignatureMethod``). No server is left
to ask [unknown]; ``fold`` chooses, and the example is followed unless said otherwise.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from htxdata.keys import Keys

Params = Iterable[tuple[str, str]]


def sign_params(
    method: str, host: str, path: str, params: Params, keys: Keys, now: int, *, fold: bool = True
) -> tuple[tuple[str, str], ...]:
    """The parameters of a signed request, ``Signature`` last. ``now`` is microseconds UTC. The body is not signed."""
    said = (
        *params,
        ("AccessKeyId", keys.access.reveal()),
        ("SignatureMethod", "HmacSHA256"),
        ("SignatureVersion", "2"),
        ("Timestamp", timestamp(now)),
    )
    return (*said, ("Signature", signature(text_to_sign(method, host, path, said, fold=fold), keys)))


def sign_in(host: str, path: str, keys: Keys, now: int) -> dict[str, Any]:
    """What is said first on the private socket: version 2 with names in camel case. ``authType`` is not signed."""
    said = {
        "accessKey": keys.access.reveal(),
        "signatureMethod": "HmacSHA256",
        "signatureVersion": "2",
        "timestamp": timestamp(now),
    }
    signed = signature(text_to_sign("GET", host, path, said.items()), keys)
    return {"action": "req", "ch": "auth", "params": {"authType": "api", **said, "signature": signed}}


def text_to_sign(method: str, host: str, path: str, params: Params, *, fold: bool = True) -> str:
    """The four lines. ``fold``: names in the order of a dictionary, not of ASCII."""
    pairs = sorted(params, key=lambda pair: (pair[0].lower(), pair)) if fold else sorted(params)
    query = "&".join(f"{quote(name, safe='-._~')}={quote(value, safe='-._~')}" for name, value in pairs)
    return "\n".join((method.upper(), host.lower(), path, query))


def signature(text: str, keys: Keys) -> str:
    """Base64, not percent-encoded."""
    digest = hmac.new(keys.secret.reveal().encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def timestamp(now: int) -> str:
    """``2017-05-11T15:19:30``, UTC; ``now`` is microseconds."""
    return dt.datetime.fromtimestamp(now // 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
