"""Whole runs against the sandbox exchange: the lake equals its truth, and the account of the run is honest."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from htxdata.config import Keep, Settings
from htxdata.errors import ConfigError, UsageError
from htxdata.ingest import session as session_room
from htxdata.ingest.asked import Request, keep_requests, window_from
from htxdata.ingest.outcome import Missing
from htxdata.ingest.planning import make_plans
from htxdata.ingest.run import explained
from htxdata.ingest.session import Session
from htxdata.market import PERIODS, Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Window, iso, parse_instant
from htxdata.transport.http import Client
from tests.truth import (
    assert_candles,
    assert_covers,
    assert_fundings,
    files,
    fill,
    fundings,
    klines,
    revisions,
    settings_for,
    stored,
    strays,
    verdicts,
)

TODAY = dt.datetime.now(dt.UTC)
BORDER = f"{TODAY.year - (TODAY.month == 1)}-01-01"
"""A turn of the year that linear swaps still serve (two years), and that lies behind us by a month at least."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, limits=False) as running:
        yield running


def now_us() -> int:
    return time.time_ns() // 1000


def around(text: str, before: int, after: int) -> tuple[str, str]:
    return iso(parse_instant(text) - before), iso(parse_instant(text) + after)


REACH = {
    "1min": DAY,
    "5min": 3 * DAY,
    "15min": 5 * DAY,
    "30min": 9 * DAY,
    "60min": 20 * DAY,
    "4hour": 27 * DAY,
}


@pytest.mark.parametrize("period", list(PERIODS))
@pytest.mark.parametrize(
    ("venue", "symbol"),
    [
        ("htx-spot", "bmtusdt"),
        ("htx-linear", "BTC-USDT"),
        pytest.param("hashkey", "BTCUSDT", marks=pytest.mark.wide),
        pytest.param("hashkey", "DOGEUSDT-PERPETUAL", marks=pytest.mark.wide),
        pytest.param("htx-permanent", "btcusdt", marks=pytest.mark.wide),
    ],
)
def test_every_period_equals_the_market_over_the_turn_of_a_year(
    tmp_path: Path, sandbox: Sandbox, venue: str, symbol: str, period: str
) -> None:
    """Every candle of every period is there value by value, days, weeks and months of the venue's own included, and
    nothing else is; the second run asks for no candle and leaves every byte as it was."""
    reach = REACH.get(period, 150 * DAY)
    start, end = around(BORDER, reach, min(reach, 26 * DAY))
    settings = settings_for(sandbox, tmp_path)
    request = klines(venue, symbol, period, start, end)
    assert fill(settings, request).complete
    series = Series("klines", venue, symbol, period)
    assert assert_candles(settings.lake, sandbox, series, start, end) > (3 if period == "1mon" else 20)
    before, asked = files(tmp_path), len(sandbox.requests)
    report = fill(settings, request)
    assert (report.complete, report.total("requests")) == (True, 0)
    assert files(tmp_path) == before
    assert [r.path for r in sandbox.requests[asked:] if "kline" in r.path or "candles" in r.path] == []


def test_fundings_equal_the_market_through_changing_intervals_and_off_the_grid(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """Intervals of 8, 4 and 1 hours, late settlements, a hole: every rate is there, and the hole alone is empty."""
    settings = settings_for(sandbox, tmp_path)
    requests = [fundings(s, "2020-09-01", "2025-07-01") for s in ("BTC-USDT", "DOGE-USDT", "MDX-USDT")]
    assert fill(settings, *requests).complete
    for symbol in ("BTC-USDT", "DOGE-USDT", "MDX-USDT"):
        assert assert_fundings(settings.lake, sandbox, symbol, "2020-09-01", "2025-07-01") > 1000
    spans = verdicts(settings.lake, Series("funding_rates", "htx-linear", "BTC-USDT"))
    assert [span[:3] for span in spans if span[2] == "empty"][1:] == [
        ("2021-02-20T00:00:00Z", "2021-02-20T16:00:00Z", "empty")
    ]
    before = files(tmp_path)
    assert fill(settings, *requests).total("requests") == 0
    assert files(tmp_path) == before


@pytest.mark.parametrize("inclusive", [True, False])
def test_without_v5_the_older_endpoint_gives_the_same_fundings(tmp_path: Path, inclusive: bool) -> None:
    """v5 answers 404, or its cursor leaves out its own row: the rows are the same."""
    with Sandbox(seed=11, limits=False, v5=not inclusive, v5_from_inclusive=inclusive) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        assert fill(settings, fundings("ETH-USDT", "2023-12-01", "2024-10-01")).complete
        assert assert_fundings(settings.lake, sandbox, "ETH-USDT", "2023-12-01", "2024-10-01") > 900
        paths = {r.path for r in sandbox.requests}
        assert ("/linear-swap-api/v1/swap_historical_funding_rate" in paths) == inclusive


@pytest.mark.parametrize("v5", [True, False])
def test_a_funding_that_lands_during_the_crawl_is_no_trouble(tmp_path: Path, v5: bool) -> None:
    """Settlements happen while pages are read, which moves all pages of the older endpoint on: no row is lost."""
    settled = now_us() // (8 * HOUR) * 8 * HOUR - 30 * DAY
    asked: list[None] = []

    def clock() -> float:
        asked.append(None)
        return settled / SECOND - 3600 + (8 * 3600) * (len(asked) // 3)  # a settlement every third request

    end = iso(settled - 2 * HOUR)
    with Sandbox(seed=11, limits=False, v5=v5, clock=clock) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        assert fill(settings, fundings("BTC-USDT", "2023-12-01", end)).complete
        assert assert_fundings(settings.lake, sandbox, "BTC-USDT", "2023-12-01", end) > 2000


# ------------------------------------------------------------------------------------------- the tail


def test_up_to_now_only_final_candles_are_stored_and_a_second_run_reads_the_tail_again(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """A run up to now ends with the newest candle that has settled; right after it, only the tail is read again."""
    settings = settings_for(sandbox, tmp_path)
    request = klines("htx-spot", "bmtusdt", "1min", iso(now_us() - 6 * HOUR))
    assert fill(settings, request).complete
    series = Series("klines", "htx-spot", "bmtusdt", "1min")
    rows = stored(settings.lake, series)
    assert max(rows["open_time"]) + MINUTE + MINUTE <= max(rows["received_at"]) <= now_us()
    assert now_us() - max(rows["open_time"]) < 4 * MINUTE
    asked = len(sandbox.requests)
    report = fill(settings, request)
    assert report.complete
    tail = [r for r in sandbox.requests[asked:] if "candles" in r.path]
    froms = [int(dict(part.split("=") for part in one.query.split("&"))["from"]) * SECOND for one in tail]
    # One request; where a month of UTC, which is a partition, began within the tail, one for each of the two.
    since = min(froms)
    assert len(tail) == len({iso(each)[:7] for each in froms}) <= 1 + (iso(since)[:7] != iso(now_us())[:7])
    assert now_us() - since < 13 * MINUTE + 30 * SECOND
    assert_candles(
        settings.lake,
        sandbox,
        series,
        request.start or "",
        max(stored(settings.lake, series)["open_time"]) + 1,
    )


def test_candles_that_the_venue_revises_end_as_the_truth_with_the_old_versions_kept(tmp_path: Path) -> None:
    """Young candles are served wrong: the next run reads them again, and kline_revisions has what was
    served first."""
    end = now_us() // HOUR * HOUR - 3 * HOUR
    offset = [(end + 2 * MINUTE) / SECOND]
    faults = Faults(Rule("revise", 1.0, seconds=500.0))
    with Sandbox(seed=11, limits=False, faults=faults, clock=lambda: offset[0]) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        request = klines("htx-linear", "BTC-USDT", "1min", iso(end - 2 * HOUR), iso(end))
        series = Series("klines", "htx-linear", "BTC-USDT", "1min")
        assert fill(settings, request).complete
        first = dict(
            zip(*(stored(settings.lake, series)[name] for name in ("open_time", "volume")), strict=True)
        )
        offset[0] += 3600
        report = fill(settings, request)
        assert report.complete
        assert assert_candles(settings.lake, sandbox, series, end - 2 * HOUR, end) == 120
        now = stored(settings.lake, series)
        changed = {
            t: first[t] for t, new in zip(now["open_time"], now["volume"], strict=True) if first[t] != new
        }
        old = revisions(settings.lake, series)
        assert min(changed) >= end - 10 * MINUTE
        assert len(changed) > 3
        assert dict(zip(old["open_time"], old["volume"], strict=True)) == changed
        assert report.total("replaced") == len(changed)
        assert fill(settings, request).total("replaced") == 0


def test_a_venue_whose_clock_is_behind_ours_gives_a_complete_run_without_running_candles(
    tmp_path: Path,
) -> None:
    """Ninety seconds of difference are nobody's hole: no candle that still runs over there is stored."""
    with Sandbox(seed=11, limits=False, clock=lambda: time.time() - 90) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        start = iso(now_us() - HOUR)
        report = fill(settings, klines("htx-linear", "BTC-USDT", "1min", start))
        assert report.complete
        rows = stored(settings.lake, Series("klines", "htx-linear", "BTC-USDT", "1min"))
        assert max(rows["open_time"]) + 2 * MINUTE <= max(rows["received_at"]) - 89 * SECOND
        last = max(rows["open_time"])
        assert_candles(
            settings.lake, sandbox, Series("klines", "htx-linear", "BTC-USDT", "1min"), start, last + 1
        )


# ------------------------------------------------------------------------------- what cannot be had


def test_candles_switched_off_leaves_the_newest_and_says_what_is_missing(tmp_path: Path) -> None:
    """Without /market/history/candles the newest 2,000 are present and the run is incomplete, with the reason."""
    with Sandbox(seed=11, limits=False, spot_history=0) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        report = fill(settings, klines("htx-spot", "bmtusdt", "1min", iso(now_us() - 3 * DAY)))
        assert not report.complete
        assert all("newest 2000 rows only" in missing.why for _, missing in report.missing)
        assert all("404" in missing.why for _, missing in report.missing)
        series = Series("klines", "htx-spot", "bmtusdt", "1min")
        opens = stored(settings.lake, series)["open_time"]
        assert len(opens) in (1998, 1997)
        assert_candles(settings.lake, sandbox, series, opens[0], opens[-1] + 1)
        assert [v[2] for v in verdicts(settings.lake, series)] == ["present"]


def test_limited_history_is_unobtainable_where_longer_candles_saw_trades(tmp_path: Path) -> None:
    """Only the newest 3,000 minutes are served: what lies before is unobtainable, said every time, and complete."""
    with Sandbox(seed=11, limits=False, spot_history=3000) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        start = now_us() // DAY * DAY - 6 * DAY
        request = klines("htx-spot", "bmtusdt", "1min", iso(start))
        series = Series("klines", "htx-spot", "bmtusdt", "1min")
        for _ in range(2):
            report = fill(settings, request)
            assert report.complete
            first = min(stored(settings.lake, series)["open_time"])
            gone = [m.window for _, m in report.unobtainable]
            assert gone[-1].end == first
            assert sum(w.length for w in gone) > 2 * DAY
        assert_covers(settings.lake, series, start, first, "empty", "unobtainable")


def test_beyond_two_years_linear_candles_are_unobtainable_and_before_the_listing_empty(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """HTX serves two years of linear candles: older ones are unobtainable, but for those before the listing."""
    settings = settings_for(sandbox, tmp_path)
    report = fill(settings, klines("htx-linear", "SHIB-USDT", "1day", "2021-01-01"))
    assert report.complete
    spans = verdicts(settings.lake, Series("klines", "htx-linear", "SHIB-USDT", "1day"))
    assert [span[2] for span in spans] == ["empty", "unobtainable", "present"]
    assert spans[0][:2] == ("2021-01-01T16:00:00Z", "2021-05-09T16:00:00Z")
    horizon = parse_instant(spans[1][1])
    assert 0 <= horizon - (now_us() - 730 * DAY) <= DAY
    assert [m.why for _, m in report.unobtainable] == ["the venue serves the last 730 days over REST"]
    assert_candles(
        settings.lake,
        sandbox,
        Series("klines", "htx-linear", "SHIB-USDT", "1day"),
        horizon,
        now_us() - DAY - 2 * MINUTE,
    )


def test_a_delisted_symbol_ends_with_empty_and_one_not_yet_listed_begins_with_it(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """What lies after a delisting or before the first candle is empty; the candles in between are all there."""
    settings = settings_for(sandbox, tmp_path)
    for symbol, start, end in (
        ("nasusdt", "2025-02-01", "2025-02-20"),
        ("bmtusdt", "2025-03-01", "2025-04-01"),
        ("wavesusdt", "2021-05-28", "2021-06-06"),
    ):
        assert fill(settings, klines("htx-spot", symbol, "60min", start, end)).complete
        series = Series("klines", "htx-spot", symbol, "60min")
        assert assert_candles(settings.lake, sandbox, series, start, end) > 180
        assert_covers(settings.lake, series, start, end)
    ends = {
        s: verdicts(settings.lake, Series("klines", "htx-spot", s, "60min"))
        for s in ("nasusdt", "bmtusdt", "wavesusdt")
    }
    assert ends["nasusdt"][-1][:3] == ("2025-02-10T08:00:00Z", "2025-02-20T00:00:00Z", "empty")
    assert ends["bmtusdt"][0][:3] == ("2025-03-01T00:00:00Z", "2025-03-18T10:00:00Z", "empty")
    assert [s[2] for s in ends["wavesusdt"]] == ["present", "empty", "present"]


def test_the_silent_minutes_of_an_illiquid_symbol_are_empty_slots(tmp_path: Path, sandbox: Sandbox) -> None:
    """A symbol without flat candles: every slot is present or empty, as the market says, and nothing is asked twice."""
    settings = settings_for(sandbox, tmp_path)
    request = klines("htx-spot", "mdxusdt", "1min", "2024-03-01", "2024-03-04")
    assert fill(settings, request).complete
    series = Series("klines", "htx-spot", "mdxusdt", "1min")
    count = assert_candles(settings.lake, sandbox, series, "2024-03-01", "2024-03-04")
    spans = Store(settings.lake).coverage(series)
    empty = sum(span.end - span.start for span in spans if span.verdict == "empty") // MINUTE
    assert (count < 1000, count + empty) == (True, 3 * 1440)
    assert fill(settings, request).total("requests") == 0


@pytest.mark.parametrize(
    ("venue", "symbol", "typed"),
    [("htx-spot", "币安人生usdt", "币安人生USDT"), ("htx-linear", "币安人生-USDT", "币安*")],
)
def test_a_symbol_that_is_not_ascii_goes_through_the_whole_chain(
    tmp_path: Path, sandbox: Sandbox, venue: str, symbol: str, typed: str
) -> None:
    """Chinese symbols are asked for, stored, listed and read back under their own name."""
    settings = settings_for(sandbox, tmp_path)
    assert fill(
        settings, klines(venue, typed, "60min", BORDER, iso(parse_instant(BORDER) + 3 * DAY))
    ).complete
    series = Series("klines", venue, symbol, "60min")
    assert Store(settings.lake).series(dataset="klines") == [series]
    assert assert_candles(settings.lake, sandbox, series, BORDER, parse_instant(BORDER) + 3 * DAY) == 72
    from htxdata.store.lake import Lake

    with Lake(settings.lake) as lake:
        assert lake.sql(f"select count(*) from klines where symbol = '{symbol}'").fetchall() == [(72,)]


def test_garbage_leaves_holes_with_reasons_and_the_next_run_heals(tmp_path: Path) -> None:
    """Some replies break their rules: the run is incomplete and says where, everything else is there, and after the
    next run the lake equals the market."""
    modes = ("json", "types", "nan", "column", "value")
    faults = Faults(
        *(Rule("garbage", after=3 * n, times=1, mode=mode, path="*candles*") for n, mode in enumerate(modes))
    )
    with Sandbox(seed=11, limits=False, faults=faults) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        request = klines("htx-spot", "bmtusdt", "1min", "2025-07-20", "2025-08-03")
        report = fill(settings, request)
        series = Series("klines", "htx-spot", "bmtusdt", "1min")
        assert not report.complete
        assert report.total("quarantined") == len(list(Path(settings.tape).rglob("*.body"))) >= 1
        assert all("quarantine" in missing.why for _, missing in report.missing)
        held = len(stored(settings.lake, series)["open_time"])
        assert held == 14 * 1440 - sum(m.window.length for _, m in report.missing) // MINUTE
        assert held > 14 * 1440 // 2
        while not report.complete:
            report = fill(settings, request)
        assert assert_candles(settings.lake, sandbox, series, "2025-07-20", "2025-08-03") == 14 * 1440


def test_pages_that_come_back_empty_for_nothing_lose_no_row(tmp_path: Path) -> None:
    """The venue answers wide questions with an empty 200: candles are asked for in narrower windows, all of them."""
    faults = Faults(Rule("empty", rows=300, path="*kline*"))
    with Sandbox(seed=11, limits=False, faults=faults) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        start, end = around(BORDER, 5 * DAY, 5 * DAY)
        assert fill(settings, klines("htx-linear", "BTC-USDT", "5min", start, end)).complete
        assert (
            assert_candles(
                settings.lake, sandbox, Series("klines", "htx-linear", "BTC-USDT", "5min"), start, end
            )
            == 2880
        )


# ------------------------------------------------------------------------------------------- healing


def test_a_run_finishes_what_a_dead_one_left_though_it_has_nothing_to_fetch(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """part.parquet missing or old, half-written files in lake and quarantine: gone or put right by the next run."""
    settings = settings_for(sandbox, tmp_path)
    request = klines("htx-spot", "btcusdt", "60min", "2023-12-20", "2024-01-10")
    fill(settings, request)
    before = files(tmp_path / "lake")
    parts = sorted((tmp_path / "lake").rglob("part.parquet"))
    parts[0].unlink()
    (parts[1].parent / ".0123.tmp").write_bytes(b"half")
    stray = tmp_path / "tape/quarantine/venue=htx-spot/dataset=klines"
    stray.mkdir(parents=True)
    (stray / ".htxdata-0123.tmp").write_bytes(b"half")
    assert len(strays(tmp_path)) == 3
    assert fill(settings, request).total("requests") == 0
    assert strays(tmp_path) == []
    assert {name: entry[0] for name, entry in files(tmp_path / "lake").items()} == {
        n: e[0] for n, e in before.items()
    }


# ------------------------------------------------------------------------------------------- the account


def test_every_part_of_a_hole_gets_one_reason() -> None:
    """The first reason given for a part counts; what nobody spoke of says that it was not fetched."""
    said = [Missing(Window(10, 20), "a"), Missing(Window(15, 40), "b")]
    assert explained([Window(0, 18), Window(30, 50)], said, "c") == [
        Missing(Window(0, 10), "c"), Missing(Window(10, 18), "a"),
        Missing(Window(30, 40), "b"), Missing(Window(40, 50), "c"),
    ]  # fmt: skip


NOW = parse_instant("2024-06-01")


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (None, None, "--start is missing"),
        ("yesterday", None, "--start: 'yesterday'"),
        ("2024-13-01", None, "--start: '2024-13-01'"),
        ("2024-01-01", "soon", "--end: 'soon'"),
        ("2025-01-01", None, "--start '2025-01-01' lies in the future"),
        ("2024-01-01", "2025-01-01", "--end '2025-01-01' lies in the future"),
        ("2024-02-01", "2024-01-01", "--end '2024-01-01' is not after"),
        ("2024-02-01", "2024-02-01", "the range is empty"),
        ("1969-12-31", None, "before 1970"),
        ("0001-01-01T00:00+14:00", None, "before 1970"),
    ],
)
def test_a_range_that_cannot_be_is_refused_by_name(start: str | None, end: str | None, said: str) -> None:
    """The sentence names the option, the value and what is wrong with it."""
    with pytest.raises(UsageError, match="--") as caught:
        window_from(Request("klines", "htx-spot", ("btcusdt",), ("1min",), start, end), NOW)
    assert said in str(caught.value)


def test_a_wrong_keep_is_said_by_its_place_in_the_file(tmp_path: Path, sandbox: Sandbox) -> None:
    """sync has no options: a wrong value in [[keep]] is named with its number and its key."""
    base = settings_for(sandbox, tmp_path)
    good = Keep("htx-spot", "klines", ("btcusdt",), ("1day",), "2024-01-01")
    for wrong, said in (
        (Keep("htx-spot", "klines", ("btcusd",), ("1day",), "2024-01-01"), "symbols 'btcusd'"),
        (Keep("htx-spot", "klines", ("btcusdt",), ("2day",), "2024-01-01"), "periods '2day'"),
        (Keep("htx-spto", "klines", ("btcusdt",), ("1day",), "2024-01-01"), "venue 'htx-spto'"),
        (Keep("htx-spot", "klines", ("btcusdt",), ("1day",), "never"), "since: 'never'"),
    ):
        settings = Settings(base.lake, base.tape, base.hosts, base.budgets, (good, wrong), origin="here.toml")
        with pytest.raises(ConfigError) as caught, Session(settings, say=lambda text: None) as session:
            make_plans(keep_requests(settings), session)
        assert str(caught.value).startswith("here.toml, [[keep]] 2: ")
        assert said in str(caught.value)


def test_a_plan_asks_nothing_and_touches_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    """With ``ask=False`` no request is sent and no folder is made."""
    settings = settings_for(sandbox, tmp_path)
    asked = len(sandbox.requests)
    with Session(settings, say=lambda text: None) as session:
        (plan,) = make_plans(
            [klines("htx-spot", "BTCUSDT", "1min", "2024-01-01", "2024-02-01")], session, ask=False
        )
    assert (plan.series.symbol, len(plan.jobs), plan.rows) == ("btcusdt", 1, 31 * 1440)
    assert len(sandbox.requests) == asked
    assert list(tmp_path.iterdir()) == []


def test_a_venue_that_does_not_answer_leaves_the_others_theirs(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose list cannot be had is missing, each span by the words it was asked for with, the others are filled; what
    the lake has whole already is not missing."""
    monkeypatch.setattr(session_room, "Client", partial(Client, jitter=lambda: 0.0))
    day = ("2026-03-01", "2026-03-02")
    settings = settings_for(sandbox, tmp_path)
    kept = klines("htx-spot", "bmtusdt", "60min", *day)
    assert fill(settings, kept).complete
    deaf = replace(settings, hosts={**settings.hosts, "htx_spot_rest": "http://127.0.0.1:9"})
    report = fill(
        deaf, kept, klines("htx-spot", "ETHUSDT", "60min", *day), klines("htx-spot", "btc*", "1day", *day),
        fundings("BTC-USDT", *day),
    )  # fmt: skip
    assert [(str(series), str(missing.window)) for series, missing in report.missing] == [
        ("klines htx-spot ethusdt 60min", "[2026-03-01T00:00:00Z, 2026-03-02T00:00:00Z)"),
        ("klines htx-spot btc* 1day", "[2026-03-01T16:00:00Z, 2026-03-02T16:00:00Z)"),
    ]
    assert all("cannot connect" in missing.why for _, missing in report.missing)
    assert_fundings(tmp_path / "lake", sandbox, "BTC-USDT", *day)
    assert fill(deaf, kept).complete
