"""A walk driven by hand: what is asked, what is believed, what is set aside."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from htxdata.errors import BadReply
from htxdata.ingest.drive import Drive, venue_now, walk_for
from htxdata.market import Series, grid_of
from htxdata.protocol.paging import Ask, LatestWalk, Page, TailWalk
from htxdata.protocol.paging_ids import CursorWalk, SpanWalk
from htxdata.protocol.paging_numbers import PageWalk
from htxdata.protocol.paging_time import TimeWalk
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset
from htxdata.timeline import DAY, MINUTE, SECOND, Window
from htxdata.venues.terms import Endpoint, Parsed

SERIES = Series("klines", "paper", "btcusdt", "1min")
KLINES = dataset("klines")


def endpoint(parse: Any, walk: str = "time") -> Endpoint:
    def build(series: Series, ask: Ask) -> Request:
        return Request("/candles", (("from", str(ask.window.start)), ("to", str(ask.window.end))))

    return Endpoint("klines", "/candles", walk, 100, build, parse, "on paper")  # type: ignore[arg-type]


def parsed(*openings: int, **columns: Any) -> Parsed:
    rows: dict[str, Any] = {
        "open_time": list(openings),
        **dict.fromkeys(("open", "high", "low", "close"), [1.0] * len(openings)),
    }
    rows.update(columns)
    return Parsed(rows, Page(len(openings), min(openings, default=0), max(openings, default=0)))


def driven(parse: Any, window: Window) -> tuple[Drive, list[tuple[Reply, str]], list[Request]]:
    aside: list[tuple[Reply, str]] = []
    asked: list[Request] = []

    def get(request: Request) -> Reply:
        asked.append(request)
        return Reply(request, 200, b"body", 17)

    one = endpoint(parse)
    walk = walk_for(one, window, grid_of("1min"), 0)
    return Drive(walk, one, SERIES, KLINES, get, lambda reply, why: aside.append((reply, why))), aside, asked


def test_every_page_comes_out_as_rows_with_the_time_it_was_heard() -> None:
    """Two pages of a walk: tables of the dataset's columns, received when the reply was, and the window is answered."""

    def parse(reply: Reply, series: Series) -> Parsed:
        start = int(dict(reply.request.params)["from"])
        end = int(dict(reply.request.params)["to"])
        return parsed(*range(start, end, MINUTE))

    drive, aside, asked = driven(parse, Window(0, 150 * MINUTE))
    received = list(drive)
    assert [len(r.table) for r in received if r.table is not None] == [100, 50]
    assert {v.as_py().timestamp() for r in received if r.table for v in r.table["received_at"]} == {17e-6}
    assert [dict(r.params)["from"] for r in asked] == ["0", str(100 * MINUTE)]
    assert (drive.walk.answered, aside) == ([Window(0, 100 * MINUTE), Window(100 * MINUTE, 150 * MINUTE)], [])


@pytest.mark.parametrize(
    "answer",
    [
        lambda: parsed(0, 50 * MINUTE, close=[1.0, float("nan")]),
        lambda: parsed(0, 50 * MINUTE, volume=[1.0, float("inf")]),
        lambda: parsed(0, 50 * MINUTE, close=[1.0, None]),
        lambda: parsed(0, 50 * MINUTE, colour=[1.0, 2.0]),
        lambda: (_ for _ in ()).throw(BadReply("row 7: 'close' is missing")),
    ],
)
def test_a_reply_that_cannot_be_rows_is_set_aside_whoever_finds_out(answer: Any) -> None:
    """The parser or the schema refuses: the reply is handed to the quarantine once, nothing of it comes out, and the
    question that it answered is known."""
    drive, aside, _ = driven(lambda reply, series: answer(), Window(0, 150 * MINUTE))
    with pytest.raises(BadReply, match="quarantine"):
        list(drive)
    ((reply, why),) = aside
    assert (reply.body, bool(why)) == (b"body", True)
    assert drive.asked is not None
    assert drive.asked.window == Window(0, 100 * MINUTE)
    assert drive.walk.answered == []


def test_the_walk_is_the_one_that_the_table_names() -> None:
    """One of six; one by time without a grid is a mistake of the table."""
    grid = grid_of("1min")
    for kind, expected in (
        ("time", TimeWalk),
        ("cursor", CursorWalk),
        ("page", PageWalk),
        ("latest", LatestWalk),
        ("tail", TailWalk),
    ):
        assert type(walk_for(endpoint(None, kind), Window(0, DAY), grid, 0)) is expected
    assert type(walk_for(replace(endpoint(None, "cursor"), span=DAY), Window(0, DAY), grid, 0)) is SpanWalk
    with pytest.raises(ValueError, match="grid"):
        walk_for(endpoint(None), Window(0, DAY), None, 0)


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Tue, 05 Mar 2024 00:00:00 GMT", 1709596801 * SECOND),  # a whole second is anything up to its end
        ("Tue, 05 Mar 2024 08:00:00 +0800", 1709596801 * SECOND),
        ("Wed, 06 Mar 2024 00:00:00 GMT", 1709600000 * SECOND),  # ahead of us: ours is the safer one
        ("yesterday", 1709600000 * SECOND),
        ("Tue, 05 Mar 99999999 00:00:00 GMT", 1709600000 * SECOND),
        ("", 1709600000 * SECOND),
    ],
)
def test_the_slower_of_two_clocks_counts(date: str, expected: int) -> None:
    """The Date header where it is behind our clock, our clock where it is ahead, absent or unreadable."""
    reply = Reply(Request("/x"), 200, b"", 1709600000 * SECOND, {"date": date} if date else {})
    assert venue_now(reply) == expected
