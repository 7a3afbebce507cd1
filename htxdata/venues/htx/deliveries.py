"""When coin-margined futures are delivered, and which of them an alias meant when. Pure.

A contract's name is its coin and the day of its delivery, a Friday, 08:00 UTC (16:00 in UTC+8; htx-api 1.2, 1.4 [A]).
Four aliases roll at each delivery: ``BTC_CW`` is delivered next, ``BTC_NW`` a week later, ``BTC_CQ`` and ``BTC_NQ`` are
the next two that end on the last Friday of March, June, September or December and are not yet among those of the two
weeks (a quarterly one is `NW` from two weeks before its delivery on, and its successor `CQ`) [C: the rule as HTX's help
pages had it; a settlement of 2020-11-20, sample coinfut-settlement-records, has exactly these four].
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from htxdata.market import Listing
from htxdata.timeline import DAY, HOUR, Window, from_datetime, to_datetime

WEEK = 7 * DAY
KEPT = 28 * DAY
"""For about so long after its delivery a contract can still be asked for over REST (htx-api 6 [B])."""

_CODE = re.compile(r"(.+)([0-9]{6})")
_ALIAS = re.compile(r"(.+)_(CW|NW|CQ|NQ)")
_HOUR = 8 * HOUR
_A_FRIDAY = from_datetime(dt.datetime(2021, 8, 13, tzinfo=dt.UTC)) + _HOUR


def by_name(symbol: str) -> Listing | None:
    """What the code of a dated contract says of it, whether or not any list has it; None for what is none."""
    match = _CODE.fullmatch(symbol.upper())
    if match is None:
        return None
    try:
        day = dt.datetime.strptime(match[2], "%y%m%d").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    delivery = from_datetime(day) + _HOUR
    return Listing(symbol.upper(), None, None, delivery) if (delivery - _A_FRIDAY) % WEEK == 0 else None


def code_of(coin: str, delivery: int) -> str:
    """The contract of a coin that is delivered at an instant."""
    return f"{coin.upper()}{to_datetime(delivery):%y%m%d}"


def is_quarterly(delivery: int) -> bool:
    """Whether a delivery is on the last Friday of a quarter."""
    day = to_datetime(delivery)
    return day.month % 3 == 0 and (day + dt.timedelta(days=7)).month != day.month


def meant(alias: str, instant: int) -> tuple[int, int]:
    """The delivery of the contract that ``CW``, ``NW``, ``CQ`` or ``NQ`` is at an instant, and until when it is."""
    roll = instant + (_A_FRIDAY - instant - 1) % WEEK + 1  # the next delivery of all, after the instant
    if alias == "CW":
        return roll, roll
    if alias == "NW":
        return roll + WEEK, roll
    quarters: list[int] = []
    delivery = roll + WEEK  # the contract of next week, and from then on
    while len(quarters) < 2:
        delivery += WEEK
        if is_quarterly(delivery):
            quarters.append(delivery)
    return quarters[alias == "NQ"], quarters[0] - 2 * WEEK


def holders(
    symbol: str, listed: Mapping[str, Listing], window: Window, now: int
) -> list[tuple[str, Window]] | None:
    """The contracts that an alias meant within ``window``, and when, oldest first; None for what is no alias.

    ``listed`` are the contracts that are known. One that was delivered so long before ``now`` that the venue lists it
    no longer is named by the calendar. Where a later one is not listed, nobody was meant: that part is left out. Of a
    coin that no contract is known of there is nothing.
    """
    match = _ALIAS.fullmatch(symbol.upper())
    if match is None:
        return None
    coin, alias = match.groups()
    mine = {
        one.delivery_at: name
        for name, one in listed.items()
        if one.delivery_at is not None and code_of(coin, one.delivery_at) == name.upper()
    }
    out: list[tuple[str, Window]] = []
    at = window.start
    while mine and at < window.end:
        delivery, until = meant(alias, at)
        name = mine.get(delivery) or (code_of(coin, delivery) if delivery < now - KEPT else None)
        part = Window(at, min(until, window.end))
        if name is not None and out and out[-1][0] == name:
            part = Window(out.pop()[1].start, part.end)
        if name is not None:
            out.append((name, part))
        at = until
    return out


def next_roll(instant: int) -> int:
    """When aliases come to mean other contracts next."""
    return meant("CW", instant)[1]
