"""What lies before a full page of the newest rows: unobtainable where nothing else could bring it, else missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import Refused
from htxdata.ingest.asked import Request as Asked
from htxdata.ingest.backfill import fill as fill_job
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import plan_series
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Window, iso, parse_instant
from htxdata.venues import venue as venue_named
from htxdata.venues.terms import Venue
from tests.truth import fill, settings_for, stored, verdicts

HASHKEY, LINEAR = venue_named("hashkey"), venue_named("htx-linear")
TRADES = Series("trades", "hashkey", "BTCUSDT")
T0 = parse_instant("2026-03-05T00:00")
NOW = T0 + 12 * HOUR
BEGUN = T0 - 90 * DAY
Answer = Callable[[Request], Any]


def newest(count: int, last: int = NOW - 2 * HOUR, step: int = MINUTE) -> list[dict[str, Any]]:
    """``count`` trades as HashKey tells them, ``step`` apart, the newest at ``last``."""
    times = (last - at * step for at in reversed(range(count)))
    return [{"t": at // 1000, "p": "100.5", "q": "0.25", "ibm": False} for at in times]


def one_fill(
    folder: Path, answer: Answer, *, venue: Venue = HASHKEY, series: Series = TRADES, born: int | None = BEGUN,
    behind: int = 0,
) -> Outcome:  # fmt: skip
    """Half a day of a series from a venue on paper, whose clock lags ``behind`` ours."""

    def get(request: Request) -> Reply:
        date = formatdate((NOW - behind) // SECOND, usegmt=True)
        said = answer(request)
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return Reply(request, 200, body, NOW, {"date": date})

    store = Store(folder / "lake")
    (job,) = plan_series(series, venue, Window(T0, NOW), [], NOW, born=born).jobs
    return fill_job(job, venue=venue, store=store, get=get, tape=folder / "tape")


def told(folder: Path, series: Series = TRADES) -> list[tuple[str, int, int]]:
    return [(s.verdict, s.start, s.end) for s in Store(folder / "lake").coverage(series)]


FIRST = NOW - 2 * HOUR - 99 * MINUTE
FINAL = NOW - MINUTE


def test_before_a_full_page_of_what_nobody_else_has_all_is_gone(tmp_path: Path) -> None:
    """HashKey's 100 newest trades: what came before them is unobtainable, with the instant that the page may cut
    through; the rest is present up to what was final when it answered, though the newest trade is two hours old."""
    outcome = one_fill(tmp_path, lambda request: newest(100))
    assert told(tmp_path) == [("unobtainable", T0, FIRST + 1), ("present", FIRST + 1, FINAL)]
    assert outcome.missing == ()
    ((window, why),) = [(lost.window, lost.why) for lost in outcome.unobtainable]
    assert (window, why) == (Window(T0, FIRST + 1), "/quote/v1/trades serves the newest 100 rows only")
    assert len(stored(tmp_path / "lake", TRADES)["trade_id"]) == 99


def test_after_the_newest_of_all_trades_there_was_none(tmp_path: Path) -> None:
    """A page whose newest trade is older than the window: nothing happened in it, and it is empty."""
    outcome = one_fill(tmp_path, lambda request: newest(100, T0 - HOUR))
    assert (told(tmp_path), outcome.missing) == ([("empty", T0, FINAL)], ())


@pytest.mark.parametrize("count", [1, 99, 101])
def test_before_a_page_that_is_not_full_nothing_is_known(tmp_path: Path, count: int) -> None:
    """Shortened by a fault, or all there is: it is missing, and asked for again. So it is before a page that holds more
    than was asked for, which nobody knows the end of."""
    first = NOW - 2 * HOUR - (count - 1) * MINUTE
    outcome = one_fill(tmp_path, lambda request: newest(count))
    assert told(tmp_path) == [("present" if count > 1 else "empty", first + 1, FINAL)]
    assert [lost.window for lost in outcome.missing] == [Window(T0, first + 1)]
    assert outcome.unobtainable == ()


def test_before_an_instrument_is_known_to_have_been_there_nothing_is_gone(tmp_path: Path) -> None:
    """Where nobody could say when it was listed, what lies before the page may be empty: it is missing."""
    outcome = one_fill(tmp_path, lambda request: newest(100), born=None)
    assert [verdict for verdict, _, _ in told(tmp_path)] == ["present"]
    assert [lost.window for lost in outcome.missing] == [Window(T0, FIRST + 1)]


def test_before_the_listing_it_is_empty_and_not_gone(tmp_path: Path) -> None:
    """Listed within the window: empty until then, and gone from then to the page."""
    outcome = one_fill(tmp_path, lambda request: newest(100), born=T0 + HOUR)
    assert told(tmp_path)[:2] == [("empty", T0, T0 + HOUR), ("unobtainable", T0 + HOUR, FIRST + 1)]
    assert outcome.missing == ()


def test_what_an_archive_may_publish_is_not_gone(tmp_path: Path) -> None:
    """HTX's trades come as files a day later: before the newest 2,000 they are missing."""
    archived = replace(HASHKEY, archives=tuple(a for a in LINEAR.archives if a.dataset == "trades"))
    outcome = one_fill(tmp_path, lambda request: newest(100), venue=archived)
    assert [verdict for verdict, _, _ in told(tmp_path)] == ["present"]
    assert [lost.window for lost in outcome.missing] == [Window(T0, FIRST + 1)]
    assert not any(v.forgets("trades", None) for v in map(venue_named, ("htx-spot", "htx-linear", "htx-futures")))


CANDLES = Series("klines", "hashkey", "BTCUSDT", "1min")


def candles(count: int) -> list[list[Any]]:
    openings = (NOW - HOUR - at * MINUTE for at in reversed(range(count)))
    return [[at // 1000, "1", "2", "0.5", "1.5", "3", 0, "4.5", 7, "1", "1.5"] for at in openings]


def test_what_can_be_asked_for_by_time_is_not_gone(tmp_path: Path) -> None:
    """HashKey's candles: today the question by time is refused and a full page of the newest comes, tomorrow it may be
    answered. So nothing of them is unobtainable."""

    def answer(request: Request) -> Any:
        if "startTime" in dict(request.params):
            raise Refused("absent", "HTTP 404")
        return candles(1000)

    early = Window(T0 - DAY, NOW)
    store = Store(tmp_path / "lake")
    for venue in (HASHKEY, replace(HASHKEY, endpoints=tuple(reversed(HASHKEY.endpoints)))):
        (job,) = plan_series(CANDLES, venue, early, [], NOW, born=BEGUN).jobs
        outcome = fill_job(
            job, venue=venue, store=store, tape=tmp_path / "tape",
            get=lambda request: Reply(request, 200, json.dumps(answer(request)).encode(), NOW),
        )  # fmt: skip
        first = NOW - HOUR - 999 * MINUTE
        assert [lost.window for lost in outcome.missing] == [Window(early.start, first)]
        assert outcome.unobtainable == ()
        assert {verdict for verdict, _, _ in told(tmp_path, CANDLES)} <= {"present", "empty"}


def two_ways(second: Answer) -> tuple[Venue, Answer]:
    """HashKey with another endpoint for the newest trades, asked after its own."""
    (known,) = [e for e in HASHKEY.endpoints if e.dataset == "trades"]
    other = replace(known, path="/other", build=lambda series, ask: Request("/other", (("limit", str(ask.rows)),)))
    venue = replace(HASHKEY, endpoints=(known, other))
    return venue, lambda request: second(request) if request.path == "/other" else newest(100)


def _refused(request: Request) -> Any:
    raise Refused("absent", "/other: HTTP 404")


SECOND_WAYS: Mapping[str, tuple[Answer, str | None]] = {
    "full": (lambda request: newest(100), None),
    "full of older ones": (lambda request: newest(100, NOW - 4 * HOUR), None),
    "refused": (_refused, "HTTP 404"),
    "short": (lambda request: newest(20), "newest 100 rows only"),
    "garbled": (lambda request: b'[{"t": 1, "p": "x"}]', "quarantine"),
}


@pytest.mark.parametrize("name", SECOND_WAYS)
def test_every_way_must_have_brought_a_full_page(tmp_path: Path, name: str) -> None:
    """One endpoint that refused, or answered with what may be all it has, or with what could not be read, leaves open
    whether it might bring it after all; of two full pages the one that reaches further back says what is gone."""
    answer, why = SECOND_WAYS[name]
    venue, both = two_ways(answer)
    outcome = one_fill(tmp_path, both, venue=venue)
    gone = [(start, end) for verdict, start, end in told(tmp_path) if verdict == "unobtainable"]
    if why is None:
        first = FIRST if name == "full" else NOW - 4 * HOUR - 99 * MINUTE
        assert (gone, outcome.missing) == ([(T0, first + 1)], ())
    else:
        assert (gone, outcome.unobtainable) == ([], ())
        assert [lost.window for lost in outcome.missing] == [Window(T0, FIRST + 1)]
        assert why in outcome.missing[0].why


@pytest.mark.parametrize("behind", [0, 3 * MINUTE])
def test_what_has_not_settled_is_not_gone(tmp_path: Path, behind: int) -> None:
    """Trades so many that a hundred are a second: before them all is gone that is final by the venue's clock, and no
    more."""
    page = newest(100, NOW - behind, 10_000)
    outcome = one_fill(tmp_path, lambda request: page, behind=behind)
    final = FINAL - behind + (SECOND if behind else 0)  # its clock shows whole seconds, and may have been any of one
    assert told(tmp_path) == [("unobtainable", T0, final)]
    oldest = NOW - behind - 99 * 10_000
    assert [lost.window for lost in outcome.missing] == ([Window(final, oldest + 1)] if behind else [])
    assert outcome.unsettled == ((Window(oldest + 1, FINAL),) if behind else ())


PREMIUM = Series("premium_klines", "htx-linear", "BTC-USDT", "1min")


def premium(request: Request) -> Any:
    size = int(dict(request.params)["size"])
    openings = (NOW // MINUTE * MINUTE - at * MINUTE for at in range(size))
    rows = [
        {"id": at // SECOND, "open": "0.1", "close": "0.1", "high": "0.1", "low": "0.1", "amount": "0", "vol": "0",
         "count": "0"} for at in openings
    ]  # fmt: skip
    return {"ch": "market.BTC-USDT.premium_index.1min", "data": rows, "status": "ok", "ts": NOW // 1000}


@pytest.mark.parametrize("else_served", [True, False])
def test_what_the_socket_still_answers_for_is_not_gone(tmp_path: Path, else_served: bool) -> None:
    """HTX's candles of the premium: REST serves the newest 2,000, its socket those of any time. They are missing, and
    the reason names the socket. Were there no socket, they would be gone."""
    ways = [e for e in LINEAR.endpoints if e.dataset == "premium_klines"]
    venue = LINEAR if else_served else replace(LINEAR, endpoints=tuple(replace(e, deeper="") for e in ways))
    (job,) = plan_series(PREMIUM, venue, Window(NOW - 2 * DAY, NOW), [], NOW, born=BEGUN).jobs
    outcome = fill_job(
        job, venue=venue, store=Store(tmp_path / "lake"), tape=tmp_path / "tape",
        get=lambda request: Reply(request, 200, json.dumps(premium(request)).encode(), NOW),
    )  # fmt: skip
    before = Window(NOW - 2 * DAY, NOW - 1999 * MINUTE)
    left, none = (outcome.missing, outcome.unobtainable) if else_served else (outcome.unobtainable, outcome.missing)
    assert ([lost.window for lost in left], none) == ([before], ())
    assert ("the socket may have older ones, and is not asked" in left[0].why) == else_served
    assert [verdict for verdict, _, _ in told(tmp_path, PREMIUM)] == ["present"] if else_served else [
        "unobtainable", "present",
    ]  # fmt: skip


@pytest.mark.wide
def test_trades_of_a_quiet_market_are_told_up_to_now(tmp_path: Path) -> None:
    """A pair of HashKey that trades every few minutes or hours: empty before it was listed, gone before its newest
    hundred, and present since them up to what is final, as the market's own trades say; the run is complete."""
    series, start = Series("trades", "hashkey", "AVAXUSDT"), parse_instant("2024-06-01")
    with Sandbox(seed=5, limits=False) as sandbox:
        began = sandbox.now()
        report = fill(settings_for(sandbox, tmp_path), Asked("trades", "hashkey", ("AVAXUSDT",), (), iso(start)))
        assert (report.complete, report.missing) == (True, [])
        found = verdicts(tmp_path / "lake", series)
        assert [verdict for _, _, verdict, _ in found] == ["empty", "unobtainable", "present"]
        listed = sandbox.market.instrument("hashkey", "AVAXUSDT").listed_at
        (empty_to, gone_to, end) = [parse_instant(end) for _, end, _, _ in found]
        assert iso(empty_to) == "2024-09-01T00:00:00Z" <= iso(listed)
        assert began - MINUTE - SECOND <= end <= sandbox.now() - MINUTE
        truth = sandbox.market.trades("hashkey", "AVAXUSDT", gone_to, end)
        rows = stored(tmp_path / "lake", series)
        assert rows["trade_time"] == truth["trade_time"].tolist()
        assert rows["price"] == truth["price"].tolist()
        assert len(rows["price"]) < 100
        assert end - rows["trade_time"][-1] > 0
        assert len(sandbox.market.trades("hashkey", "AVAXUSDT", gone_to - 1, gone_to)["price"]) >= 1
