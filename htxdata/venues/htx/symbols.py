"""How HTX lists its instruments, and what its states mean in our words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.timeline import HOUR, from_datetime
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Parsed

DAY_OPENS = -8 * HOUR
"""HTX's day is Singapore's: it opens at 16:00 UTC (htx-api 1.4 [A])."""

_SPOT_STATES: Mapping[str, str] = {
    # htx-api 3.6: the states of /v2/settings/common/symbols, and those of /v1/common/symbols among them.
    "online": "trading",
    "pre-online": "pending",
    "not-online": "pending",
    "suspend": "suspended",
    "fuse": "suspended",
    "transfer-board": "suspended",
    "offline": "delisted",
    "unknown": "unknown",
}
_CONTRACT_STATES: Mapping[int, str] = {
    # htx-api 4.2 [A]
    0: "delisted",
    1: "trading",
    2: "pending",
    3: "suspended",
    4: "suspended",
    5: "settling",
    6: "settling",
    7: "settling",
    8: "delisted",
    9: "suspended",
}
_NAMES = ("symbol", "base", "quote", "settle", "kind", "status", "contract_size", "tick_size", "lot_size", "listed_at",
          "delivery_at")  # fmt: skip


def _table(rows: list[dict[str, Any]]) -> Parsed:
    return Parsed({name: [row[name] for row in rows] for name in _NAMES}, Page(len(rows)))


def _rows(reply: Reply) -> list[dict[str, Any]]:
    return wire.slow_rows(wire.open_answer(reply.body).rows)


def _text(row: dict[str, Any], name: str, at: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise BadReply(f"row {at}: {name!r} is {value!r}, not a text")
    return value


def _moment(row: dict[str, Any], name: str, at: int) -> int | None:
    """An instant that HTX leaves out, empty, null or 0 where there is none."""
    return None if row.get(name) in (None, "", 0, "0") else wire.instant(row, name, at)


def _step(row: dict[str, Any], name: str, at: int) -> float:
    digits = wire.integer(row, name, at)
    if not 0 <= digits <= 30:
        raise BadReply(f"row {at}: {name!r} is {digits}, not a number of decimals")
    return float(f"1e-{digits}")


def describe_spot(reply: Reply) -> Parsed:
    """Instruments from /v2/settings/common/symbols, or from /v1/common/symbols, which has no opening time.

    Delisted and suspended ones stay in the list (state ``offline``, ``suspend``) and are kept.
    """
    newer = reply.request.path.startswith("/v2")
    names = {"symbol": "sc", "base": "bc", "quote": "qc", "tick": "tpp", "lot": "tap"} if newer else {
        "symbol": "symbol", "base": "base-currency", "quote": "quote-currency", "tick": "price-precision",
        "lot": "amount-precision"}  # fmt: skip
    out = []
    for at, row in enumerate(_rows(reply)):
        state = _text(row, "state", at)
        if state not in _SPOT_STATES:
            raise BadReply(f"row {at}: {row.get(names['symbol'])!r} is in the unknown state {state!r}")
        out.append(
            {
                "symbol": _text(row, names["symbol"], at),
                "base": _text(row, names["base"], at).upper(),
                "quote": _text(row, names["quote"], at).upper(),
                "settle": None,
                "kind": "spot",
                "status": _SPOT_STATES[state],
                "contract_size": None,
                "tick_size": _step(row, names["tick"], at),
                "lot_size": _step(row, names["lot"], at),
                "listed_at": _moment(row, "toa", at),
                "delivery_at": None,
            }
        )
    return _table(out)


def _day(text: str, at: int) -> int:
    """The UTC+8 day ``YYYYMMDD`` opens; HTX does not say the hour of a listing (htx-api 4.2)."""
    try:
        if len(text) != 8:  # strptime would read 2024111 as some day or other
            raise ValueError
        return from_datetime(dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC)) + DAY_OPENS
    except ValueError:
        raise BadReply(f"row {at}: create_date {text!r} is no day") from None


def describe_linear(reply: Reply) -> Parsed:
    """Instruments from swap_contract_info with ``business_type=all``: swaps and dated futures (htx-api 4.2 [A])."""
    out = []
    for at, row in enumerate(_rows(reply)):
        code = _text(row, "contract_code", at)
        state = wire.integer(row, "contract_status", at)
        if state not in _CONTRACT_STATES:
            raise BadReply(f"row {at}: {code!r} is in the unknown contract_status {state}")
        business = row.get("business_type") or "swap"  # absent before 2021-10, when only swaps existed
        if business not in ("swap", "futures"):
            raise BadReply(f"row {at}: {code!r} is of the unknown business_type {business!r}")
        pair = row.get("pair") or code
        quote = str(pair).split("-")[1].upper() if "-" in str(pair) else ""
        if not quote:
            raise BadReply(f"row {at}: {code!r} names no quote currency")
        size, _ = wire.number(row, "contract_size", at)
        tick, _ = wire.number(row, "price_tick", at)
        created = row.get("create_date")
        out.append(
            {
                "symbol": code,
                "base": _text(row, "symbol", at).upper(),
                "quote": quote,
                "settle": quote,
                "kind": "swap" if business == "swap" else "future",
                "status": _CONTRACT_STATES[state],
                "contract_size": size,
                "tick_size": tick,
                "lot_size": 1.0,
                "listed_at": _day(str(created), at) if created else None,
                "delivery_at": _moment(row, "delivery_time", at),
            }
        )
    return _table(out)
