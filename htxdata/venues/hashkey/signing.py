"""How HashKey wants a request signed (hashkey-api 6). Pure: the time is a parameter among the others."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import quote

from htxdata.keys import Keys

Params = Iterable[tuple[str, str]]

HEADER = "X-HK-APIKEY"
"""Where the key goes; newer texts of the sister hosts say ``X-APIKEY`` (hashkey-api 6)."""


def sign_params(
    params: Params, keys: Keys, now: int, *, receive_window: int | None = None
) -> tuple[tuple[str, str], ...]:
    """The parameters of a signed request, ``signature`` last. ``now`` is microseconds UTC, ``receive_window`` ms.

    HashKey signs what is sent in the order in which it is sent: nothing is sorted, and the query must be made by
    `query_of` or it will not be what was signed.
    """
    said = tuple(params)
    if receive_window is not None:
        said += (("recvWindow", str(receive_window)),)
    said += (("timestamp", str(now // 1000)),)
    return (*said, ("signature", signature(query_of(said), "", keys)))


def query_of(params: Params) -> str:
    """Percent-encoded, in order. Commas stay as they are (as in ccxt's, which the venue takes)."""
    return "&".join(f"{quote(name, safe='')}={quote(value, safe=',-._~')}" for name, value in params)


def signature(query: str, body: str, keys: Keys) -> str:
    """Small hex. Query and body follow each other without an ``&`` where both are used."""
    return hmac.new(keys.secret.reveal().encode(), (query + body).encode(), hashlib.sha256).hexdigest()
