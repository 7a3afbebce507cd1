"""The permanent contracts of 2019, from the sandbox to the lake: what only this venue does, against the market's word.

What every venue does is in the suites that it shares: candles and trades in test_run, test_rest_datasets and
test_capture, answers in tests/venues.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from htxdata.cli import main
from htxdata.config import HOSTS, Settings
from htxdata.ingest.asked import Request
from htxdata.ingest.doctor import examine
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import snapshot, venues_of
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.sandbox.permanent_feeds import indicative_at
from htxdata.sandbox.permanent_market import INDEX_EVERY, baskets
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, iso
from htxdata.venues import venue
from tests.chaos.lives import Life
from tests.ingest.test_capture import hurried, listen
from tests.ingest.test_rest_datasets import ROUGH
from tests.truth import (
    assert_candles,
    assert_covers,
    configuration,
    files,
    fill,
    settings_for,
    stored,
    strays,
    verdicts,
)

VENUE, SYMBOL = "htx-permanent", "btcusdt"
FAULTS = pytest.mark.parametrize("faults", [(), ROUGH], ids=["a quiet day", "a rough day"])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=5, limits=False) as running:
        yield running


def now_us() -> int:
    return time.time_ns() // 1000


def ask(dataset: str, start: int, end: int | None = None, period: str | None = None, symbol: str = SYMBOL) -> Request:
    periods = () if period is None else (period,)
    return Request(dataset, VENUE, (symbol,), periods, iso(start), None if end is None else iso(end))


# ---------------------------------------------------------------------------------------------- 48 hours


@FAULTS
def test_fundings_reach_two_days_back_and_say_so(tmp_path: Path, faults: tuple[Rule, ...]) -> None:
    """The settlements of 48 hours, value by value; what is older is unobtainable, and not asked for."""
    series, start = Series("funding_rates", VENUE, SYMBOL), now_us() - 6 * DAY
    with Sandbox(seed=5, limits=False, faults=Faults(*faults)) as sandbox:
        end = now_us() - HOUR - 2 * MINUTE  # younger ones are read again
        report = fill(settings_for(sandbox, tmp_path), ask("funding_rates", start, end))
        assert report.complete
        ((_, gone),) = report.unobtainable
        assert abs(gone.window.end - (now_us() - 48 * HOUR)) < 11 * MINUTE
        rows = stored(tmp_path / "lake", series)
        truth = sandbox.market.funding_rates(VENUE, SYMBOL, gone.window.end, end)
        assert rows["funding_time"] == truth["funding_time"].tolist()
        assert rows["funding_rate"] == truth["funding_rate"].tolist()
        assert 5 <= len(rows["funding_time"]) <= 7
        assert {verdict for _, _, verdict, _ in verdicts(tmp_path / "lake", series)} >= {"present", "unobtainable"}
        before = files(tmp_path / "lake")
        assert fill(settings_for(sandbox, tmp_path), ask("funding_rates", start, end)).total("requests") == 0
        assert files(tmp_path / "lake") == before


@pytest.mark.wide
@FAULTS
def test_every_basket_of_an_hour(tmp_path: Path, faults: tuple[Rule, ...]) -> None:
    """Two pages of index times: each basket with its prices and weights as fractions, under the contract's symbol."""
    start = (now_us() - HOUR) // INDEX_EVERY * INDEX_EVERY
    end = start + 50 * MINUTE
    with Sandbox(seed=5, limits=False, faults=Faults(*faults)) as sandbox:
        assert fill(settings_for(sandbox, tmp_path), ask("index_constituents", start, end)).complete
        asked = {request.query.partition("&")[0] for request in sandbox.requests if "constituents" in request.path}
        assert asked == {"symbol=index.btcusdt"}
        rows = stored(tmp_path / "lake", Series("index_constituents", VENUE, SYMBOL))
        times = range(start, end, INDEX_EVERY)
        truths = [baskets(sandbox.market, SYMBOL, at) for at in times]
        for name in ("index_time", "index_price", "exchange", "constituent", "price", "weight"):
            assert rows[name] == [value for truth in truths for value in truth[name]], name
        assert len(set(rows["index_time"])) == len(times) == 600
    assert_covers(tmp_path / "lake", Series("index_constituents", VENUE, SYMBOL), start, end)


# ---------------------------------------------------------------------------------- what the text leaves open


def test_seconds_or_milliseconds_the_candles_are_the_same(tmp_path: Path) -> None:
    """`start` of candles may be either: a venue that means milliseconds sends nothing for seconds, which is found out,
    and no minute of it is called empty."""
    end = now_us() // DAY * DAY - 10 * DAY
    start, series = end - 15 * HOUR, Series("mark_klines", VENUE, SYMBOL, "1min")
    for in_ms in (False, True):
        with Sandbox(seed=5, limits=False, permanent_edge_ms=in_ms) as sandbox:
            folder = tmp_path / str(in_ms)
            assert fill(settings_for(sandbox, folder), ask("mark_klines", start, end, "1min")).complete
            rows, truth = stored(folder / "lake", series), sandbox.market.mark_klines(VENUE, SYMBOL, "1min", start, end)
            for name in ("open_time", "open", "high", "low", "close"):
                assert rows[name] == truth[name].tolist()
            assert len(rows["close"]) == 900
            assert_covers(folder / "lake", series, start, end)
            edges = {len(r.query.partition("start=")[2].partition("&")[0]) for r in sandbox.requests} - {0}
            assert (13 in edges) == in_ms


@pytest.mark.wide
def test_before_the_listing_nothing_is_asked_and_halts_are_empty(tmp_path: Path, sandbox: Sandbox) -> None:
    """The month's bars show when a contract began; a halt of a hundred days is one silence."""
    series = Series("klines", VENUE, "ksmusdt", "4hour")
    before, end = len(sandbox.requests), now_us() // DAY * DAY
    assert fill(settings_for(sandbox, tmp_path), ask("klines", 0, end, "4hour", "ksmusdt")).complete
    assert assert_candles(tmp_path / "lake", sandbox, series, "2019-01-01", end) > 10_000
    assert len(sandbox.requests) - before < 60
    empty = [span[:2] for span in verdicts(tmp_path / "lake", series) if span[2] == "empty"]
    assert empty[0] == ("1970-01-01T00:00:00Z", "2021-01-20T04:00:00Z")
    assert ("2025-02-20T08:00:00Z", "2025-06-03T04:00:00Z") in empty


# ---------------------------------------------------------------------------------------------- looks and pushes


def test_looks_are_the_market_of_that_moment(tmp_path: Path, sandbox: Sandbox) -> None:
    """Instruments, open interest, baskets and coming fundings, each as the exchange says it has them."""
    with Session(settings_for(sandbox, tmp_path)) as session:
        for dataset in ("instruments", "open_interest", "index_constituents", "indicative_funding_rates"):
            assert snapshot(session, dataset, venue(VENUE)).missing == ()
    (listed,) = _rows(tmp_path, "instruments")
    assert [listed[name] for name in ("base", "quote", "settle", "kind", "status", "contract_size", "tick_size")] == [
        "BTC", "USDT", "USDT", "swap", "trading", 0.001, 0.1,
    ]  # fmt: skip
    (interest,) = _rows(tmp_path, "open_interest")
    truth = sandbox.market.open_interest_now(VENUE, SYMBOL, interest["time"])
    assert interest["contracts"] == truth["contracts"][0]
    (coming,) = _rows(tmp_path, "indicative_funding_rates")
    due_then = indicative_at(sandbox.market, SYMBOL, coming["observed_at"])
    assert (coming["funding_time"], coming["funding_rate"]) == due_then
    basket = _rows(tmp_path, "index_constituents")
    due = baskets(sandbox.market, SYMBOL, basket[0]["index_time"])
    assert [row["weight"] for row in basket] == due["weight"]
    assert [row["constituent"] for row in basket] == due["constituent"] == ["btcusdt"] * len(basket)
    states = {s.symbol: _rows(tmp_path, "instruments", s.symbol)[0]["status"] for s in _series(tmp_path, "instruments")}
    assert (states["lunausdt"], states["wavesusdt"]) == ("delisted", "suspended")


def _rows(folder: Path, dataset: str, symbol: str = SYMBOL) -> list[dict[str, object]]:
    columns = stored(folder / "lake", Series(dataset, VENUE, symbol))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _series(folder: Path, dataset: str) -> list[Series]:
    return list(Store(folder / "lake").series(dataset=dataset, venue=VENUE))


@pytest.mark.wide
def test_what_is_pushed_is_what_rest_tells(tmp_path: Path) -> None:
    """Coming fundings at every interval of the session and the basket, value by value; the index's topic goes by the
    index code, its rows by the contract."""
    with Sandbox(seed=5, clock=hurried(), ping_seconds=0.1) as sandbox:
        done = listen(sandbox, tmp_path, VENUE, ["funding", "index"], ["btcusdt", "ethusdt"], 2.0)
        assert (done.complete, done.quarantined, done.refused) == (True, 0, {})
        for symbol in ("btcusdt", "ethusdt"):
            coming = stored(tmp_path / "lake", Series("indicative_funding_rates", VENUE, symbol))
            assert len(coming["observed_at"]) > 60
            assert {later - at for at, later in pairwise(coming["observed_at"])} == {5 * SECOND}
            for at, when, rate in zip(
                *(coming[name] for name in ("observed_at", "funding_time", "funding_rate")), strict=True
            ):
                assert (when, rate) == indicative_at(sandbox.market, symbol, at)
            rows = stored(tmp_path / "lake", Series("index_constituents", VENUE, symbol))
            times = sorted(set(rows["index_time"]))
            assert len(times) == 1  # a basket is stored where its composition changes, and this one's never does
            truths = [baskets(sandbox.market, symbol, at) for at in times]
            later = baskets(sandbox.market, symbol, times[0] + 60 * INDEX_EVERY)
            assert later["price"] != truths[0]["price"]
            assert all(later[name] == truths[0][name] for name in ("exchange", "constituent", "weight"))
            for name in ("exchange", "constituent", "price", "weight", "index_price"):
                assert rows[name] == [value for truth in truths for value in truth[name]], name
        assert {socket.host for socket in sandbox.sockets} == {"permanent_ws"}


@pytest.mark.wide
def test_kills_on_a_bad_day_end_with_the_whole_market(tmp_path: Path) -> None:
    """kill -9 in mid-backfill, three times, while the exchange misbehaves: afterwards the lake is the market's."""
    start, end = now_us() // DAY * DAY - 14 * DAY, now_us() // DAY * DAY - 5 * DAY
    words = ("backfill", "klines", "--venue", VENUE, "--symbol", SYMBOL, "--symbol", "dogeusdt", "--period", "1min",
             "--start", iso(start), "--end", iso(end))  # fmt: skip
    with Sandbox(seed=5, limits=False, faults=Faults(*ROUGH)) as sandbox:
        config = configuration(sandbox, tmp_path)
        for number in range(3):
            target = len(sandbox.requests) + 8 + 10 * number
            with Life(config, *words) as life:
                deadline = time.monotonic() + 20
                while len(sandbox.requests) < target and life.process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.002)
                life.kill()
        for _ in range(8):
            with Life(config, *words) as life:
                code = life.end()
            assert code in (0, 3), config.with_name("said.txt").read_text()
            if code == 0:
                break
        assert code == 0, config.with_name("said.txt").read_text()[-2000:]
        for symbol in (SYMBOL, "dogeusdt"):
            series = Series("klines", VENUE, symbol, "1min")
            assert assert_candles(tmp_path / "lake", sandbox, series, start, end) == 9 * 1440
            assert_covers(tmp_path / "lake", series, start, end)
        assert strays(tmp_path) == []


@pytest.mark.wide
def test_the_budget_is_the_venue_s_and_is_kept(tmp_path: Path) -> None:
    """With the limit of 100 requests in ten seconds enforced and our own budget, none is refused."""
    with Sandbox(seed=5) as sandbox:
        settings = settings_for(sandbox, tmp_path, rate=8.0)
        start = now_us() // DAY * DAY - 12 * DAY
        assert fill(settings, ask("klines", start, start + 4 * DAY, "1min")).complete
        assert (len(sandbox.requests) > 12, sandbox.violations) == (True, 0)


# ------------------------------------------------------------------------------------------------- no host


SENTENCE = "no address for permanent_rest: set permanent_rest in [hosts] or HTXDATA_HOSTS__PERMANENT_REST"


@pytest.mark.parametrize(
    "words",
    [
        ("backfill", "klines", "--symbol", SYMBOL, "--period", "1min", "--start", "2026-01-01"),
        ("capture", "--feed", "trades", "--symbol", SYMBOL, "--for", "1s"),
        ("snapshot", "instruments"),
    ],
)
def test_without_a_host_the_setting_that_lacks_is_named(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the key and the variable, and exit code 2."""
    assert main([*words, "--venue", VENUE]) == 2
    assert capsys.readouterr().err.strip().splitlines() == [f"htxdata: {SENTENCE}"]


def test_a_plan_without_a_host_asks_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """What it would take can be told all the same."""
    words = ("plan", "funding_rates", "--venue", VENUE, "--symbol", SYMBOL, "--start", iso(now_us() - 30 * DAY))
    assert main([*words, "--json"]) == 0
    totals = next(value for value in json.loads(capsys.readouterr().out).values() if isinstance(value, dict))
    assert (totals["requests"], totals["rows"]) == (1, 6)  # of 48 hours; the rest needs no asking


def test_without_a_host_it_is_left_out_where_nobody_names_it(tmp_path: Path) -> None:
    """Looks at all venues, and the doctor."""
    for dataset in ("instruments", "open_interest"):
        assert VENUE not in [found.name for found in venues_of(dataset)]
    assert VENUE in [found.name for found in venues_of("instruments", (), {"permanent_rest": "http://127.0.0.1:1"})]
    nowhere = {key: "http://127.0.0.1:9" if base and base.startswith("http") else base for key, base in HOSTS.items()}
    nowhere |= {key: "ws://127.0.0.1:9" for key in nowhere if key.endswith("_ws") and nowhere[key]}
    checks = examine(Settings(str(tmp_path / "lake"), str(tmp_path / "tape"), nowhere))
    assert [check.name for check in checks if "permanent" in check.name] == []


def test_the_doctor_asks_a_host_that_is_set(tmp_path: Path, sandbox: Sandbox) -> None:
    """Its list of instruments answers, and its header tells the time; its socket opens."""
    checks = {check.name: check for check in examine(settings_for(sandbox, tmp_path))}
    for key in ("permanent_rest", "permanent_ws"):
        assert checks[f"host {key}"].status == "ok", checks[f"host {key}"]
    assert checks["clock"].details["permanent_rest"]["by"] == "Date"
