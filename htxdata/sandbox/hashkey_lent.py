"""The keys that HashKey lends to listen with (hashkey-api 6).

One is good for an hour by the sandbox's clock, and extended by as much. Asking again lends another one, and the first
stays good [unknown]. How one that is nobody's (any more) is refused is [unknown]: in words of the sister exchanges.
"""

from __future__ import annotations

import hashlib

from .answers import Answer, Ask, reply
from .hashkey_answers import text_error
from .keys import ApiKey, Keys

PATH = "/api/v1/userDataStream"


def lend(keys: Keys, owner: ApiKey, ask: Ask, method: str) -> Answer:
    """POST lends a key, PUT extends it, DELETE ends it."""
    until = ask.now + int(keys.lent_seconds * 1_000_000)
    if method == "POST":
        made = hashlib.sha256(f"{owner.access} {len(keys.lent)} {ask.now}".encode()).hexdigest()
        keys.lent[made] = owner, until
        return reply({"listenKey": made})
    named = ask.query.get("listenKey", "")
    if not named:
        raise text_error("0001", "Required field listenKey missing or invalid")
    if not keys.listens(named, ask.now) or keys.lent[named][0] != owner:
        raise text_error("-1125", f"This listenKey does not exist: {named}")
    keys.lent[named] = owner, until if method == "PUT" else 0
    return reply({})
