"""What HTX says of a key: permissions, bound addresses, how long it lives (``/v2/user/api-key``).

Documented for parent users and their keys; the fields are those of HTX's page as other clients have them [B]. The key
is not named in the question: all keys of its owner come, and the one that asks is found among them.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.keys import Keys, Secret
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import KeyRow

USER = Request("/v2/user/uid", private=True)


def user_of(reply: Reply) -> str:
    raw = wire.envelope(reply.body).get("data", b"").strip(b'"')
    if not raw.isdigit():
        raise BadReply(f"'data' is {raw[:40]!r}, not the number of a user")
    return raw.decode()


def ask(user: str) -> Request:
    return Request("/v2/user/api-key", (("uid", user),), private=True)


def key_of(reply: Reply, keys: Keys) -> KeyRow:
    for at, row in enumerate(wire.slow_rows(wire.open_answer(reply.body).rows)):
        if Secret(str(row.get("accessKey"))) == keys.access:
            days = wire.integer(row, "validDays", at) if row.get("validDays") is not None else -1
            return KeyRow(
                _list(row, "permission"), _list(row, "ipAddresses"), None if days < 0 else days,
                str(row.get("status") or "normal"),
            )  # fmt: skip
    raise BadReply("the venue lists keys of this user, but not this one")


def _list(row: dict[str, Any], name: str) -> tuple[str, ...]:
    """A comma list, or a list."""
    value = row.get(name) or ""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise BadReply(f"{name!r} is no list of words")
    return tuple(part.strip() for part in value if part.strip())
