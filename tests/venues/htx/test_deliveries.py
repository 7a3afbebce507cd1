"""Which contract an alias meant when: around every kind of roll, and for every instant."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.market import Listing
from htxdata.timeline import DAY, HOUR, Window, iso, parse_instant
from htxdata.venues.htx.deliveries import (
    KEPT,
    WEEK,
    by_name,
    code_of,
    holders,
    is_quarterly,
    meant,
    next_roll,
)

NOW = parse_instant("2026-04-01T00:00")
LISTED = {
    name: by_name(name) or Listing(name)
    for name in ("BTC260313", "BTC260320", "BTC260327", "BTC260403", "BTC260410", "BTC260626", "BTC260925", "ETH260626")
}
ALIASES = ("CW", "NW", "CQ", "NQ")


def named(alias: str, at: str) -> str:
    return code_of("BTC", meant(alias, parse_instant(at))[0])


@pytest.mark.parametrize(
    ("at", "contracts"),
    [
        # A settlement on a Friday, before the quarter's end is near (sample coinfut-settlement-records).
        ("2020-11-20T07:59:59.999", ("BTC201120", "BTC201127", "BTC201225", "BTC210326")),
        ("2020-11-20T08:00", ("BTC201127", "BTC201204", "BTC201225", "BTC210326")),
        # Two weeks before the end of a quarter its contract becomes that of next week, and its successor the quarter's.
        ("2026-03-13T07:59:59", ("BTC260313", "BTC260320", "BTC260327", "BTC260626")),
        ("2026-03-13T08:00", ("BTC260320", "BTC260327", "BTC260626", "BTC260925")),
        ("2026-03-20T08:00", ("BTC260327", "BTC260403", "BTC260626", "BTC260925")),
        ("2026-03-27T08:00", ("BTC260403", "BTC260410", "BTC260626", "BTC260925")),
        # Over the end of a year, on whose last day is no Friday.
        ("2025-12-26T08:00", ("BTC260102", "BTC260109", "BTC260327", "BTC260626")),
    ],
)
def test_the_four_aliases(at: str, contracts: tuple[str, ...]) -> None:
    """They roll on Fridays at 08:00 UTC, 16:00 in UTC+8, and not a moment before."""
    assert tuple(named(alias, at) for alias in ALIASES) == contracts


@given(st.integers(parse_instant("2018-11-01"), parse_instant("2035-01-01")), st.sampled_from(ALIASES))
def test_an_alias_means_one_contract_until_it_rolls(at: int, alias: str) -> None:
    """The four are four contracts, of ascending deliveries; each stays until its roll, and is another one then."""
    delivery, until = meant(alias, at)
    assert at < until <= delivery
    assert meant(alias, until - 1)[0] == delivery
    assert meant(alias, until)[0] > delivery
    four = [meant(one, at)[0] for one in ALIASES]
    assert all(a < b for a, b in pairwise(four))
    assert four[1] - four[0] == WEEK
    assert all(is_quarterly(one) for one in four[2:])
    assert next_roll(at) == four[0]


@given(st.integers(NOW - 400 * DAY, NOW - DAY), st.integers(1, 300 * DAY), st.sampled_from(ALIASES))
def test_a_window_is_split_at_rolls_and_nothing_is_lost(start: int, length: int, alias: str) -> None:
    """The parts are the window, in order, each of the contract that the alias meant at each of its instants."""
    window = Window(start, min(NOW, start + length))
    every = LISTED | {"BTC260306": Listing("BTC260306", None, None, parse_instant("2026-03-06T08:00"))}
    parts = holders(f"BTC_{alias}", every, window, NOW)
    assert parts is not None
    assert parts[0][1].start == window.start
    assert parts[-1][1].end == window.end
    for (one, before), (other, after) in pairwise(parts):
        assert before.end == after.start
        assert one != other
    for name, part in parts:
        assert {code_of("BTC", meant(alias, at)[0]) for at in (part.start, part.end - 1)} == {name}
        assert part.end <= (by_name(name) or Listing(name)).delivery_at  # type: ignore[operator]


def test_what_is_not_listed_is_named_by_the_calendar_only_when_it_must_be_gone() -> None:
    """Months ago the lists had others, and the calendar says which; one of today that is not listed is none."""
    window = Window(parse_instant("2026-02-27"), NOW)
    found = holders("btc_cw", LISTED, window, NOW)
    assert [(name, iso(part.start)[:16]) for name, part in found or ()] == [
        ("BTC260227", "2026-02-27T00:00"), ("BTC260313", "2026-03-06T08:00"), ("BTC260320", "2026-03-13T08:00"),
        ("BTC260327", "2026-03-20T08:00"), ("BTC260403", "2026-03-27T08:00"),
    ]  # fmt: skip
    gone = parse_instant("2026-03-06T08:00")  # BTC260306 is not listed, and delivered 26 days ago: nobody was meant
    assert NOW - gone < KEPT
    assert holders("ETH_NW", LISTED, Window(NOW - DAY, NOW), NOW) == []
    assert holders("DOGE_CQ", LISTED, window, NOW) == []
    for text in ("BTC260327", "BTC", "BTC_XX", "BTC-USD", "_CW", ""):
        assert holders(text, LISTED, window, NOW) is None


def test_a_name_tells_its_delivery() -> None:
    """The day in UTC+8 at 16:00; what is no Friday, no day or no dated contract says nothing."""
    one = by_name("btc210813")
    assert one is not None
    assert (one.symbol, iso(one.delivery_at or 0)) == ("BTC210813", "2021-08-13T08:00:00Z")
    assert (by_name("API3260327") or Listing("")).delivery_at == parse_instant("2026-03-27") + 8 * HOUR
    for text in ("BTC210812", "BTC211399", "BTC-USD", "210813", "BTC21081", "BTC_CW", ""):
        assert by_name(text) is None
