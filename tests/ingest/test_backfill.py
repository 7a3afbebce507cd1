"""One job, with a venue on paper: what is stored, what is said of it, and what is said of what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.errors import Unreachable
from htxdata.ingest.doubt import silences
from htxdata.market import Series, grid_of
from htxdata.protocol.wire import Reply, Request
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Grid, Window
from tests.ingest.paper import CANDLES, KLINE, MINUTES, T0, Paper, closes, fill, minutes, spans, verdicts

HOUR_WINDOW = Window(T0, T0 + HOUR)
LATER = T0 + 2 * DAY


def revised(folder: Path) -> list[tuple[int, float, int]]:
    """What ``kline_revisions`` holds: minute, the close as it was, and the second (from T0) it was superseded in."""
    series = Series("kline_revisions", MINUTES.venue, MINUTES.symbol, MINUTES.period)
    store = Store(folder / "lake")
    out = []
    for partition in store.partitions(series):
        table = store.read(partition)
        assert table is not None
        for row in table.to_pylist():
            opened, superseded = (
                int(row[n].timestamp()) * SECOND - T0 for n in ("open_time", "superseded_at")
            )
            out.append((opened // MINUTE, row["close"], superseded // SECOND))
    return out


# ---------------------------------------------------------------------------------------- settling (law 6)


def test_a_running_candle_is_never_stored(tmp_path: Path) -> None:
    """Of the candles that a venue serves, the one that runs and the one that closed just now stay out."""
    paper = Paper(T0 + 10 * MINUTE + 30 * SECOND, minutes(T0, 11))
    (outcome,) = fill(paper, tmp_path, Window(T0, paper.now))
    # Minute 9 closed half a minute ago: its settle delay of a minute is not over.
    assert sorted(closes(tmp_path)) == list(range(9))
    assert verdicts(tmp_path) == [(0, 9, "present")]
    assert outcome.missing == ()


def test_a_candle_is_stored_exactly_when_its_settle_delay_is_over(tmp_path: Path) -> None:
    """A minute after its close a candle is final, and not a microsecond earlier."""
    for early, expected in ((1, [0, 1]), (0, [0, 1, 2])):
        paper = Paper(T0 + 3 * MINUTE + MINUTE - early, minutes(T0, 4))
        folder = tmp_path / str(early)
        fill(paper, folder, Window(T0, paper.now))
        assert sorted(closes(folder)) == expected


def test_what_is_final_is_for_the_venue_s_clock_to_say(tmp_path: Path) -> None:
    """Our clock runs two minutes ahead: the candle that still runs over there is not stored, and nothing is missing."""
    paper = Paper(T0 + 10 * MINUTE, minutes(T0, 11), behind=2 * MINUTE)
    (outcome,) = fill(paper, tmp_path, Window(T0, paper.now))
    assert sorted(closes(tmp_path)) == list(range(7))
    assert outcome.missing == ()
    assert outcome.unsettled == (Window(T0 + 7 * MINUTE, T0 + 9 * MINUTE),)


def test_a_venue_clock_that_is_far_behind_is_said(tmp_path: Path) -> None:
    """Half an hour is no delay: what should be over long since is missing, and the reason names the two clocks."""
    paper = Paper(T0 + HOUR, minutes(T0, 61), behind=30 * MINUTE)
    (outcome,) = fill(paper, tmp_path, Window(T0, paper.now))
    assert sorted(closes(tmp_path)) == list(range(29))
    assert [(m.window.start, m.window.end) for m in outcome.missing] == [(T0 + 29 * MINUTE, T0 + 59 * MINUTE)]
    assert "1799 s behind ours" in outcome.missing[0].why


def test_the_unsettled_tail_is_read_again_and_both_versions_are_kept(tmp_path: Path) -> None:
    """A candle read soon after its close is read once more; changed by then, the old version is in kline_revisions."""
    paper = Paper(T0 + 30 * MINUTE, minutes(T0, 31))
    fill(paper, tmp_path, Window(T0, paper.now))
    first_read = paper.now
    paper.rows[T0 + 25 * MINUTE] = 7.5
    paper.rows[T0 + 2 * MINUTE] = 8.5  # long settled: nobody looks again
    paper.now += HOUR
    (outcome,) = fill(paper, tmp_path, Window(T0, first_read))
    assert outcome.replaced == 1
    assert closes(tmp_path)[25] == 7.5
    assert closes(tmp_path)[2] == 2.5
    assert revised(tmp_path) == [(25, 2.5, 90 * 60)]
    asked = len(paper.asked)
    assert fill(paper, tmp_path, Window(T0, first_read)) == []
    assert len(paper.asked) == asked


def test_a_crash_between_the_two_commits_of_a_revision_keeps_the_old_version_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old version is committed before the candle changes; dying in between and doing it again makes no double."""
    from htxdata.store import disk

    paper = Paper(T0 + 30 * MINUTE, minutes(T0, 31))
    fill(paper, tmp_path, Window(T0, paper.now))
    paper.rows[T0 + 25 * MINUTE] = 7.5
    paper.now += HOUR

    class Killed(BaseException):
        pass

    publish = disk.publish

    def dies_at_the_candles(folder, before, content):  # type: ignore[no-untyped-def]
        if "kline_revisions" not in folder:
            raise Killed
        return publish(folder, before, content)

    monkeypatch.setattr(disk, "publish", dies_at_the_candles)
    with pytest.raises(Killed):
        fill(paper, tmp_path, HOUR_WINDOW)
    monkeypatch.undo()
    assert (closes(tmp_path)[25], [entry[:2] for entry in revised(tmp_path)]) == (2.5, [(25, 2.5)])
    paper.now += MINUTE
    fill(paper, tmp_path, HOUR_WINDOW)
    assert closes(tmp_path)[25] == 7.5
    assert [entry[:2] for entry in revised(tmp_path)] == [(25, 2.5)]


# --------------------------------------------------------------------------------- verdicts (laws 4 and 5)


def test_slots_without_a_candle_are_empty_one_by_one(tmp_path: Path) -> None:
    """An illiquid market leaves candles out: each such slot is known to be empty, and is not asked for again."""
    rows = minutes(T0, 60)
    for at in (0, 7, 8, 30, 59):
        del rows[T0 + at * MINUTE]
    paper = Paper(LATER, rows)
    fill(paper, tmp_path, HOUR_WINDOW)
    assert [v for v in verdicts(tmp_path) if v[2] == "empty"] == [
        (0, 1, "empty"), (7, 9, "empty"), (30, 31, "empty"), (59, 60, "empty"),
    ]  # fmt: skip
    assert sorted(closes(tmp_path)) == [at for at in range(60) if at not in (0, 7, 8, 30, 59)]
    assert fill(paper, tmp_path, HOUR_WINDOW) == []


@pytest.mark.parametrize("cap", [1000, 200, 150])
def test_an_empty_page_that_means_asked_too_much_loses_nothing(tmp_path: Path, cap: int) -> None:
    """A venue that answers wide windows with an empty 200 is asked in narrower ones until all is there."""
    paper = Paper(LATER, minutes(T0, 1440), cap=cap)
    fill(paper, tmp_path, Window(T0, T0 + DAY))
    assert sorted(closes(tmp_path)) == list(range(1440))
    assert verdicts(tmp_path) == [(0, 1440, "present")]


@pytest.mark.parametrize("bad", [[0], [3], [0, 2], [1, 1], [1, 2, 3], [0, 1, 2, 3, 0, 3]])
def test_empty_answers_of_an_exchange_in_trouble_make_no_hole(tmp_path: Path, bad: list[int]) -> None:
    """An empty 200 where there are rows, for one page or for several in a row: they are asked for again before they are
    called empty."""
    paper = Paper(LATER, minutes(T0, 4 * 999))
    heard = paper.get
    left = list(bad)

    def get(request: Request) -> Reply:
        reply = heard(request)
        page = (int(dict(request.params)["from"]) * SECOND - T0) // MINUTE // 999
        if request.path == CANDLES and page in left:
            left.remove(page)
            return Reply(request, 200, b'{"status":"ok","data":[]}', reply.received_at, reply.headers)
        return reply

    paper.get = get  # type: ignore[method-assign]
    paper.now = T0 + 5 * DAY
    fill(paper, tmp_path, Window(T0, T0 + 4 * 999 * MINUTE))
    assert left == []
    assert sorted(closes(tmp_path)) == list(range(4 * 999))
    assert verdicts(tmp_path) == [(0, 4 * 999, "present")]


def test_without_the_candles_endpoint_the_newest_are_taken_and_the_rest_is_missing(tmp_path: Path) -> None:
    """kline alone serves the newest 2,000: what lies before is missing, for a 404 says nothing of the data for good."""
    paper = Paper(T0 + 4000 * MINUTE, minutes(T0, 4001), absent=[CANDLES])
    (outcome,) = fill(paper, tmp_path, Window(T0, paper.now))
    first = 4001 - 2000
    assert sorted(closes(tmp_path)) == list(range(first, 3999))
    assert verdicts(tmp_path) == [(first, 3999, "present")]
    assert [m.window for m in outcome.missing] == [Window(T0, T0 + first * MINUTE)]
    assert "HTTP 404" in outcome.missing[0].why
    assert "newest 2000 rows only" in outcome.missing[0].why
    assert "the archive" not in outcome.missing[0].why  # there is none
    paper.absent = []
    fill(paper, tmp_path, Window(T0, paper.now))
    assert sorted(closes(tmp_path)) == list(range(3999))  # it came back, and the next run healed


def test_of_days_that_the_archive_is_still_to_publish_the_reason_says_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 03:30 the day that ended at 16:00 is 11.5 hours old: the archive brings it. The day before may be there."""
    published, now = T0 + 16 * 60 * MINUTE, T0 + 3090 * MINUTE  # 2024-03-05T16:00, 2024-03-07T03:30
    monkeypatch.setattr("htxdata.ingest.backfill.time.time_ns", lambda: now * 1000)
    paper = Paper(now, minutes(T0, 3091), absent=[CANDLES])
    (outcome,) = fill(paper, tmp_path, Window(T0, now), archived=True)
    old, new = sorted(outcome.missing, key=lambda missing: missing.window)
    assert (old.window, new.window) == (Window(T0, published), Window(published, T0 + 1091 * MINUTE))
    assert "newest 2000 rows only" in old.why
    later = "the archive brings such a day 12 to 36 hours after its end: run the same command then"
    assert new.why == f"{old.why}; {later}"


def test_where_no_endpoint_is_left_the_reason_names_them_all(tmp_path: Path) -> None:
    """Both endpoints gone: nothing is committed as known, and the sentence names both."""
    paper = Paper(LATER, minutes(T0, 60), absent=[CANDLES, KLINE])
    (outcome,) = fill(paper, tmp_path, HOUR_WINDOW)
    assert [m.window for m in outcome.missing] == [HOUR_WINDOW]
    assert CANDLES in outcome.missing[0].why
    assert KLINE in outcome.missing[0].why
    assert spans(tmp_path) == []


def test_depth_that_ends_is_unobtainable_and_not_empty(tmp_path: Path) -> None:
    """Minutes are served from day 4 on, day candles saw trades before: that is gone, not empty. The first day, on which
    the day candles saw nothing either, was empty."""
    start, days = T0 - 8 * HOUR, 8  # whole UTC+8 days
    paper = Paper(
        start + (days + 1) * DAY, minutes(start + DAY, (days - 1) * 1440), depth=start + 4 * DAY + 3 * HOUR
    )
    longer = paper.get

    def get(request: Request) -> Reply:
        if dict(request.params)["period"] == "1min":
            return longer(request)
        data = [
            {
                "id": (start + at * DAY) // SECOND,
                "open": 1,
                "high": 1,
                "low": 1,
                "close": 1,
                "amount": 5,
                "vol": 5,
                "count": 1,
            }
            for at in range(1, days)
        ]
        said = {"ch": f"market.btcusdt.kline.{dict(request.params)['period']}", "status": "ok", "data": data}
        return Reply(request, 200, json.dumps(said).encode(), paper.now)

    paper.get = get  # type: ignore[method-assign]
    outcomes = fill(paper, tmp_path, Window(start, start + days * DAY))
    found = {(s.start, s.end): s.verdict for s in spans(tmp_path)}
    edge = start + 4 * DAY + 3 * HOUR
    assert found == {
        (start, start + DAY): "empty",
        (start + DAY, edge): "unobtainable",
        (edge, start + days * DAY): "present",
    }
    assert [m.window for o in outcomes for m in o.unobtainable] == [Window(start + DAY, edge)]
    assert [m for o in outcomes for m in o.missing] == []


def test_only_silences_that_could_hold_a_longer_candle_are_doubted() -> None:
    """A silence of up to a day is nothing unusual; a longer one is told by its bounds, whole slots of the grid."""
    import numpy as np

    grid = Grid(MINUTE)
    times = np.array([3 * DAY, 3 * DAY + MINUTE, 3 * DAY + HOUR, 6 * DAY], dtype=np.int64)
    assert silences([Window(0, 9 * DAY)], times, grid) == [
        Window(0, 3 * DAY), Window(3 * DAY + HOUR + MINUTE, 6 * DAY), Window(6 * DAY + MINUTE, 9 * DAY),
    ]  # fmt: skip
    assert silences([Window(2 * DAY, 4 * DAY)], times, grid) == []


def test_before_the_first_candle_nothing_is_asked_and_all_is_empty(tmp_path: Path) -> None:
    """Where the venue's longest candles show the beginning, what lies before is empty without a question."""
    paper = Paper(LATER, minutes(T0, 60))
    fill(paper, tmp_path, Window(T0 - 3 * HOUR, T0 + HOUR), born=T0)
    assert verdicts(tmp_path) == [(-180, 0, "empty"), (0, 60, "present")]
    assert min(int(dict(r.params)["from"]) for r in paper.asked) == T0 // SECOND


def test_the_week_in_which_a_market_was_born_is_asked_for() -> None:
    """A month opens within a week: the candle of that week opens before the birth, and is still asked for."""
    from htxdata.ingest.plan import plan_series
    from htxdata.timeline import parse_instant
    from htxdata.venues import venue

    spot = venue("htx-spot")
    series = Series("klines", "htx-spot", "btcusdt", "1week")
    born = parse_instant("2024-02-29T16:00")  # 2024-03-01 in UTC+8, a Friday
    week = grid_of("1week", spot.day_opens).floor(born)
    plan = plan_series(series, spot, Window(week - 60 * DAY, week + 60 * DAY), [], week + 90 * DAY, born=born)
    assert min(w.start for job in plan.jobs for w in job.windows) == week
    assert max(w.end for job in plan.jobs for known in job.known for w in known.windows) == week


# ------------------------------------------------------------------------------------- bad replies (law 9)


def quarantined(folder: Path) -> list[tuple[bytes, str]]:
    """Bodies and reasons."""
    return [
        (path.with_suffix(".body").read_bytes(), json.loads(path.read_text())["reason"])
        for path in sorted((folder / "tape").rglob("*.json"))
    ]


def _at(request: Request, start: int) -> bool:
    return request.path == CANDLES and int(dict(request.params)["from"]) == start // SECOND


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"close":2.5', b'"close":NaN', "JSON"),
        (b'"close":2.5', b'"close":"much"', "close"),
        (b'"close":2.5', b'"close":null', "close"),
        (b'"close":2.5,', b"", "close"),
        (b'"close":2.5', b'"close":12.5', "no candle"),
        (b'"amount":2.0', b'"amount":1e999', "amount"),
        (b'"amount":2.0', b'"amount":-2.0', "volume"),
        (b'"id":17', b'"id":-17', "opens"),
        (b"kline.1min", b"kline.5min", "5min"),
        (b'"data":[', b'"data":{', "JSON"),
    ],
)
def test_a_reply_that_breaks_its_rules_is_set_aside_whole_and_the_rest_goes_on(
    tmp_path: Path, old: bytes, new: bytes, reason: str
) -> None:
    """One bad value: its reply lies in quarantine byte for byte with the reason, its window is missing, all else is
    there, and the next run asks for that window only."""
    paper = Paper(LATER, minutes(T0, 1440))
    bad: list[bytes] = []

    def spoil(request: Request, body: bytes) -> bytes:
        if not _at(request, T0):
            return body
        bad.append(body.replace(old, new, 1))
        return bad[-1]

    paper.spoil = spoil
    (outcome,) = fill(paper, tmp_path, Window(T0, T0 + DAY))
    assert sorted(closes(tmp_path)) == list(range(999, 1440))
    assert [m.window for m in outcome.missing] == [Window(T0, T0 + 999 * MINUTE)]
    assert "quarantine" in outcome.missing[0].why
    assert outcome.quarantined == 1
    ((body, why),) = quarantined(tmp_path)
    assert body == bad[0]
    assert reason in why
    paper.spoil = None
    before = len(paper.asked)
    (outcome,) = fill(paper, tmp_path, Window(T0, T0 + DAY))
    assert {int(dict(r.params)["from"]) for r in paper.asked[before:]} == {T0 // SECOND}
    assert sorted(closes(tmp_path)) == list(range(1440))
    assert outcome.missing == ()


def test_the_same_bad_reply_twice_is_one_entry(tmp_path: Path) -> None:
    """Running again over garbage that stays garbage changes nothing on the tape."""
    paper = Paper(
        LATER, minutes(T0, 60), spoil=lambda request, body: body.replace(b'"close":2.5', b'"close":"x"')
    )
    for _ in range(2):
        fill(paper, tmp_path, HOUR_WINDOW)
    assert len(quarantined(tmp_path)) == 1


def test_numbers_that_no_double_carries_are_counted(tmp_path: Path) -> None:
    """Eighteen digits are stored as the nearest DOUBLE, and the footer counts the value."""
    paper = Paper(LATER, minutes(T0, 3))
    paper.spoil = lambda request, body: body.replace(b'"amount":2.0', b'"amount":123456789.123456789', 1)
    fill(paper, tmp_path, Window(T0, T0 + 3 * MINUTE))
    store = Store(tmp_path / "lake")
    (partition,) = store.partitions(MINUTES)
    found = store.footer(partition)
    assert found is not None
    assert found.unfit == 1


def test_an_empty_page_that_cannot_be_confirmed_is_missing(tmp_path: Path) -> None:
    """The venue sends an empty page and then falls silent: that page is missing, and not empty."""
    paper = Paper(T0 + 5 * DAY, minutes(T0, 2 * 999))
    heard = paper.get
    empty = b'{"status":"ok","data":[]}'

    def get(request: Request) -> Reply:
        if len(paper.asked) >= 2:
            raise Unreachable("paper: gave up after 6 attempts")
        reply = heard(request)
        return reply if _at(request, T0) else Reply(request, 200, empty, reply.received_at, reply.headers)

    paper.get = get  # type: ignore[method-assign]
    (outcome,) = fill(paper, tmp_path, Window(T0, T0 + 2 * 999 * MINUTE))
    assert verdicts(tmp_path) == [(0, 999, "present")]
    assert [m.window for m in outcome.missing] == [Window(T0 + 999 * MINUTE, T0 + 2 * 999 * MINUTE)]
    assert "could not be confirmed" in outcome.missing[0].why
    assert outcome.unreachable


def test_an_unreachable_venue_leaves_what_came_before_and_names_the_reason(tmp_path: Path) -> None:
    """The second page never comes: the first one's rows are committed, the rest is missing with the sentence."""
    paper = Paper(LATER, minutes(T0, 1440))
    heard = paper.get

    def get(request: Request) -> Reply:
        if not _at(request, T0):
            raise Unreachable("paper: gave up after 6 attempts")
        return heard(request)

    paper.get = get  # type: ignore[method-assign]
    (outcome,) = fill(paper, tmp_path, Window(T0, T0 + DAY))
    assert sorted(closes(tmp_path)) == list(range(999))
    assert verdicts(tmp_path) == [(0, 999, "present")]
    assert [m.window for m in outcome.missing] == [Window(T0 + 999 * MINUTE, T0 + DAY)]
    assert "gave up after 6 attempts" in outcome.missing[0].why
    assert outcome.unreachable


# ----------------------------------------------------------------------------------- provenance (law 10)


def test_rows_say_when_we_heard_them_and_candles_when_they_opened(tmp_path: Path) -> None:
    """``received_at`` is our clock at the reply, ``open_time`` the venue's word; a reply that says the same again
    changes neither."""
    paper = Paper(LATER + 17, minutes(T0, 3), behind=MINUTE)
    fill(paper, tmp_path, Window(T0, T0 + 3 * MINUTE))
    store = Store(tmp_path / "lake")
    (partition,) = store.partitions(MINUTES)
    table = store.read(partition)
    assert table is not None
    import pyarrow as pa

    assert table["received_at"].cast(pa.int64()).to_pylist() == [LATER + 17] * 3
    assert table["open_time"].cast(pa.int64()).to_pylist() == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    assert table["source"].to_pylist() == ["rest"] * 3
