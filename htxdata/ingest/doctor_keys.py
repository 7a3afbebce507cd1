"""The key that is set: is it taken, what may it do, where from, for how long. One that may more than read: loudly.

The venue is asked about the key with the key itself, and never for it by name: no request holds the key outside its
signature. HTX tells what a key may do. HashKey and permanent do not: that it is taken is all that can be seen there,
and said; whether it may trade is for who made it to see.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

from htxdata.config import Settings
from htxdata.errors import BadReply, ConfigError, HtxdataError, KeyRefused, Untimely
from htxdata.ingest.doctor_hosts import STEP_S, Skew, _budget, _client, _paused, _rest
from htxdata.ingest.doctor_terms import Check, counted
from htxdata.keys import NAMES, Keys, find_keys
from htxdata.protocol.wire import Request
from htxdata.transport.http import Client
from htxdata.venues import VENUES
from htxdata.venues.terms import KeyRow, Proof, Venue

SOON_DAYS = 14
"""So many days before its end a key is worth a warning."""

_CLOCK = "this machine's clock is off by more than {}: let it be set by NTP (timedatectl set-ntp true)"
_ADDRESS = "the key is bound to other addresses: add this machine's, or make a key for it"
_SECRET = "its secret half is another key's, or was cut: set both halves anew"
_READING = "it lacks the permission to read: make a read-only key"
_HUOBI = (
    ("time", _CLOCK.format("five minutes")),
    ("IP", _ADDRESS),
    ("Access key", "there is no such key (any more): one without a bound address ends after 90 days; make a new one"),
    ("Verification", _SECRET),
    ("login", _READING),
    ("Login", _READING),
)
_ADVICE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "htx": _HUOBI,
    "hashkey": (  # hashkey-api 6, its table of errors [doc]
        ("-1021", _CLOCK.format("five seconds, or is a second ahead")),
        ("0202", _ADDRESS),
        ("0102", "there is no such key (any more): make a new one"),
        ("0103", "it has ended: make a new one"),
        ("0001", _SECRET),
        ("-1005", _READING),
    ),
    "permanent": _HUOBI,  # what it says is written nowhere: as Huobi elsewhere
}

class KeyCheck:
    """The check of one venue's key, under way from the beginning, in a thread that nobody has to wait for."""

    def __init__(self, owner: str, settings: Settings, environ: Mapping[str, str]) -> None:
        self._name = f"key of {owner}"
        self._found = Check(self._name, "warning", f"it was not known in time whether the key of {owner} is taken")
        self._thread = threading.Thread(target=self._run, args=(owner, settings, environ), daemon=True)
        self._stop = threading.Event()
        self._thread.start()

    def _run(self, owner: str, settings: Settings, environ: Mapping[str, str]) -> None:
        try:
            self._found = _check(self._name, owner, settings, environ, self._stop)
        except Exception as error:  # a doctor that falls ill names what he caught
            self._found = Check(self._name, "problem", f"this check itself failed: {type(error).__name__}: {error}")

    def end(self, seconds: float = 3 * STEP_S) -> Check:
        self._thread.join(seconds)
        self._stop.set()
        return self._found


def key_checks(settings: Settings, environ: Mapping[str, str]) -> list[KeyCheck]:
    """One for every owner of keys whose venue has an address; of one without, where something of a key is set."""
    asked = {
        venue.keys
        for venue in VENUES
        if _is_asked(venue) and (settings.hosts.get(venue.host) or _is_set(venue.keys, environ))
    }
    return [KeyCheck(owner, settings, environ) for owner in NAMES if owner in asked]


def _is_asked(venue: Venue) -> bool:
    return venue.permits is not None or venue.proof is not None


def _is_set(owner: str, environ: Mapping[str, str]) -> bool:
    try:
        return find_keys(owner, environ) is not None
    except ConfigError:
        return True


def _check(name: str, owner: str, settings: Settings, environ: Mapping[str, str], stop: threading.Event) -> Check:
    try:
        keys = find_keys(owner, environ)
    except ConfigError as error:
        return Check(name, "problem", str(error), {"set": True})
    if keys is None:
        says = "none is set, and none is needed but for own_* datasets (docs/keys.md)"
        return Check(name, "ok", says, {"set": False})
    venue = next(venue for venue in VENUES if venue.keys == owner and _is_asked(venue))
    base = settings.hosts.get(venue.host) or ""
    if not base:
        return Check(name, "ok", f"not asked: {venue.host} has no address", {"set": True})
    budget = _budget(settings, venue.host, base)
    if (paused := _paused(venue.host, base, budget)) is not None:
        return Check(name, "warning", paused.says, {"set": True})
    with _client(
        base, budget, venue.judge, stop, venue.limit_headers, partial(_signed, venue, keys),
        lambda request: venue.headers(keys),
    ) as client:  # fmt: skip
        try:
            row = _told(venue, client, keys)
        except (KeyRefused, Untimely) as error:
            advice = next((text for word, text in _ADVICE[owner] if word in str(error)), "see docs/keys.md")
            why = "what it signs now is not taken" if isinstance(error, Untimely) else str(error)
            return Check(name, "problem", f"{why}: {advice}", {"set": True, "taken": False})
        except BadReply as error:
            return Check(name, "warning", f"the key is taken, but not told of: {error}", {"set": True, "taken": True})
        except HtxdataError as error:
            return Check(name, "warning", f"could not be asked: {error}", {"set": True})
    if row is not None:
        return _judged(name, row)
    assert venue.proof is not None
    return _proven(name, owner, venue.proof, _skew(settings, venue, base, stop))


def _skew(settings: Settings, venue: Venue, base: str, stop: threading.Event) -> Skew | None:
    """How far this machine's clock is off, where the venue says how far it may be and tells its time."""
    if venue.proof is None or venue.proof.late is None:
        return None
    try:
        return _rest(settings, venue.host, base, venue, stop).skew
    except HtxdataError:
        return None


def _told(venue: Venue, client: Client, keys: Keys) -> KeyRow | None:
    """What the venue says of the key; None where it is taken, and nothing is said of it."""
    permits = venue.permits
    if permits is None:
        assert venue.proof is not None
        client.get(venue.proof.ask)
        return None
    user = permits.user_of(client.get(permits.user))
    return permits.key_of(client.get(permits.ask(user)), keys)


def _proven(name: str, owner: str, proof: Proof, skew: Skew | None) -> Check:
    """What is to be said of a key that is taken by a venue that says no more of it."""
    details: dict[str, Any] = {"set": True, "taken": True, "permissions": None, "addresses": None, "days_left": None}
    says = (
        f"taken: it signed a question, which was answered. What it may do, from where and for how long, {owner} does "
        "not tell: see on the page where you made it that it can only read"
    )
    if skew is None or proof.late is None or proof.early is None:
        return Check(name, "ok", says, details)
    details["ahead_seconds"] = round(skew.seconds, 3)
    limit = proof.early if skew.seconds > 0 else proof.late
    if abs(skew.seconds) - skew.give <= limit / 2:
        return Check(name, "ok", says, details)
    where = "ahead of" if skew.seconds > 0 else "behind"
    off = f"this machine's clock is {abs(skew.seconds):.1f} s {where} {owner}'s, and {limit:g} s is the most it bears"
    return Check(name, "warning", f"{off}: let it be set by NTP (timedatectl set-ntp true). {says}", details)


def _signed(venue: Venue, keys: Keys, request: Request, host: str, now: int) -> tuple[tuple[str, str], ...]:
    assert venue.sign is not None
    return venue.sign(request, host, keys, now)


def _judged(name: str, row: KeyRow) -> Check:
    """What is to be said of a key that is taken."""
    details: dict[str, Any] = {
        "set": True, "taken": True, "permissions": list(row.permissions), "addresses": list(row.addresses),
        "days_left": row.days_left, "status": row.status,
    }  # fmt: skip
    more = [word for word in ("withdraw", "trade") if word in row.permissions]
    bound = f"bound to {counted(len(row.addresses), 'address').replace('addresss', 'addresses')}"
    life = "does not expire" if row.days_left is None else f"ends in {counted(row.days_left, 'day')}"
    says = f"taken; it may {', '.join(row.permissions)}; {bound if row.addresses else 'bound to no address'}; {life}"
    if "withdraw" in more:
        says = f"THIS KEY MAY WITHDRAW. Nothing here needs that: delete it now and make a read-only one. {says}"
        return Check(name, "problem", says, details)
    if more:
        says = f"THIS KEY MAY TRADE. Reading needs no such key: make a read-only one (docs/keys.md). {says}"
        return Check(name, "warning", says, details)
    if row.status != "normal":
        return Check(name, "problem", f"its status is {row.status!r}: make a new one. {says}", details)
    if row.days_left is not None and row.days_left <= SOON_DAYS:
        says = f"it ends in {counted(row.days_left, 'day')}: renew it, or bind it to this machine's address. {says}"
        return Check(name, "warning", says, details)
    if not row.addresses:
        says += ": bind it to this machine's address, and it is of no use elsewhere"
        return Check(name, "warning", says, details)
    return Check(name, "ok", says, details)
