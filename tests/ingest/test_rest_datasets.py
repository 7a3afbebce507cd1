"""What only REST has, from the sandbox to the lake: the market's values, and a verdict on the rest."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from htxdata.config import BUDGETS
from htxdata.ingest.asked import Request
from htxdata.ingest.planning import make_plans
from htxdata.ingest.run import budget_of
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Window, iso
from htxdata.venues import venue as venue_named
from tests.truth import (
    a_future,
    assert_covers,
    assert_fundings,
    files,
    fill,
    ids_of,
    settings_for,
    stored,
    verdicts,
)

HTX = ("htx-spot", "htx-linear", "htx-inverse", "htx-futures")
LINEAR, INVERSE, FUTURES = ("htx-linear", "BTC-USDT"), ("htx-inverse", "BTC-USD"), ("htx-futures", a_future())


def further(*values: object) -> object:
    """A law that holds for another line of contracts."""
    return pytest.param(*values, marks=pytest.mark.wide, id="-".join(map(str, values)))


ROUGH = (Rule("error", 0.1), Rule("drop", 0.1), Rule("cut", 0.05), Rule("empty", 0.05, rows=1), Rule("duplicate", 0.1))
FAULTS = pytest.mark.parametrize("faults", [(), ROUGH], ids=["a quiet day", "a rough day"])


def since(days: float) -> int:
    return (time.time_ns() // 1000 - int(days * DAY)) // HOUR * HOUR


@FAULTS
@pytest.mark.parametrize(
    ("dataset", "line"),
    [
        ("mark_klines", LINEAR),
        ("premium_klines", LINEAR),
        ("estimated_rate_klines", LINEAR),
        *(further(d, INVERSE) for d in ("mark_klines", "index_klines", "premium_klines", "estimated_rate_klines")),
        *(further(d, FUTURES) for d in ("mark_klines", "index_klines")),
        *(further(d, ("htx-permanent", "ethusdt")) for d in ("mark_klines", "index_klines")),
    ],
)
def test_candles_of_computed_prices(
    tmp_path: Path, dataset: str, line: tuple[str, str], faults: tuple[Rule, ...]
) -> None:
    """The newest days of each, candle by candle."""
    series, start = Series(dataset, *line, "60min"), since(4)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults)) as sandbox:
        request = Request(dataset, series.venue, (series.symbol,), ("60min",), iso(start))
        assert fill(settings_for(sandbox, tmp_path), request).complete
        rows = stored(tmp_path / "lake", series)
        end = rows["open_time"][-1] + HOUR
        assert end > time.time_ns() // 1000 - 2 * HOUR
        truth = getattr(sandbox.market, dataset)(series.venue, series.symbol, "60min", start, end)
        assert rows["open_time"] == truth["open_time"].tolist() == list(range(start, end, HOUR))
        for name in ("open", "high", "low", "close"):
            assert rows[name] == truth[name].tolist()
        assert_covers(tmp_path / "lake", series, start, end)


@FAULTS
@pytest.mark.parametrize("line", [LINEAR, further(INVERSE), further(FUTURES)])
def test_liquidations(tmp_path: Path, line: tuple[str, str], faults: tuple[Rule, ...]) -> None:
    """Window by window of two hours, every one that the market had; and again, and nothing changes."""
    series, start, end = Series("liquidations", *line), since(3), since(1)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults)) as sandbox:
        request = Request("liquidations", series.venue, (series.symbol,), (), iso(start), iso(end))
        assert fill(settings_for(sandbox, tmp_path), request).complete
        truth = sandbox.market.liquidations(series.venue, series.symbol, start, end)
        rows = stored(tmp_path / "lake", series)
        assert len(rows["side"]) > 5
        # Coin-margined ones are numbered by v3, whose numbers are others (htx-api 8).
        named = str if line is LINEAR else lambda one: f"v3-{one - 150_000_000_000}"
        assert rows["liquidation_id"] == [named(one) for one in truth["liquidation_id"].tolist()]
        for name in ("liquidated_at", "side", "price", "quantity", "contracts"):
            assert rows[name] == truth[name].tolist(), name
        assert_covers(tmp_path / "lake", series, start, end)
        before = files(tmp_path / "lake")
        assert fill(settings_for(sandbox, tmp_path), request).outcomes == []
        assert files(tmp_path / "lake") == before


@FAULTS
@pytest.mark.parametrize("line", [LINEAR, further(INVERSE)])
def test_open_interest(tmp_path: Path, line: tuple[str, str], faults: tuple[Rule, ...]) -> None:
    """Its history by the hour, as deep as the venue serves it; what is older is unobtainable, and says so."""
    series, start = Series("open_interest", *line), since(20)
    with Sandbox(seed=5, limits=False, faults=Faults(*faults)) as sandbox:
        request = Request("open_interest", series.venue, (series.symbol,), (), iso(start))
        report = fill(settings_for(sandbox, tmp_path), request)
        assert report.complete
        rows = stored(tmp_path / "lake", series)
        assert len(rows["time"]) > 190
        assert rows["time"][-1] > time.time_ns() // 1000 - 3 * HOUR
        first, last = rows["time"][0], rows["time"][-1]
        truth = sandbox.market.open_interest(series.venue, series.symbol, "60min", first, last + 1)
        assert rows["time"] == truth["time"].tolist()
        for name in ("contracts", "value"):
            due = truth[name]
            assert rows[name] == ([None] * len(rows["time"]) if due is None else due.tolist()), name
        found = verdicts(tmp_path / "lake", series)
        assert {verdict for _, _, verdict, _ in found} == {"present", "unobtainable"}
        assert report.unobtainable


@pytest.mark.parametrize(
    ("venue", "symbol", "most"),
    [
        ("htx-spot", "btcusdt", 2000),
        (*LINEAR, 2000),
        further(*INVERSE, 2000),
        further(*FUTURES, 2000),
        further("hashkey", "BTCUSDT", 100),
        further("hashkey", "BTCUSDT-PERPETUAL", 100),
        further("hashkey", "AVAXUSDT", 100),  # hours without a trade
        further("htx-permanent", "btcusdt", 300),
    ],
)
def test_the_newest_trades(tmp_path: Path, venue: str, symbol: str, most: int) -> None:
    """The tail that REST serves (so many rows, or on HTX orders), trade by trade, but those of its oldest instant,
    which may be cut, and of the last minute, which is not over; what lies before is missing where an archive may have
    it one day, and else unobtainable, for good."""
    series = Series("trades", venue, symbol)
    now = time.time_ns() // 1000  # the exchange's time stands: what its page holds is known
    start = now - 3 * DAY
    with Sandbox(seed=5, limits=False, clock=lambda: now / SECOND) as sandbox:
        request = Request("trades", series.venue, (series.symbol,), (), iso(start))
        report = fill(settings_for(sandbox, tmp_path), request)
        orders = sandbox.market.newest_trades(venue, symbol, most, now)
    cut = 0 if venue in HTX else max(0, len(orders["side"]) - most)
    page = {name: None if column is None else column.tolist()[cut:] for name, column in orders.items()}
    oldest = page["trade_time"][0]
    windows = [missing.window for _, missing in report.missing]
    spans = Store(tmp_path / "lake").coverage(series)
    ((since, until),) = [(span.start, span.end) for span in spans if span.verdict == "present"]
    assert since == max(oldest + 1, start)
    # Also on HashKey, whose answer says no time of its own: after its newest trade there was none.
    assert now - MINUTE <= until <= time.time_ns() // 1000 - MINUTE
    rows, kept = stored(tmp_path / "lake", series), [since <= at < until for at in page["trade_time"]]
    names = ("trade_time", "trade_id", "price", "quantity", "side")
    columns = (page["trade_time"], ids_of(venue, page), page["price"], page["quantity"], page["side"])
    due = [row for row, keep in zip(zip(*columns, strict=True), kept, strict=True) if keep]
    assert len(due) > 0
    assert sorted(zip(*(rows[name] for name in names), strict=True)) == sorted(due)
    archived = bool(venue_named(venue).archives_for("trades", None))
    before = [Window(start, since)] if start < since else []
    assert windows == (before if archived else [])
    assert [span[:3] for span in spans if span.verdict == "unobtainable"] == [
        (*window, "unobtainable") for window in ([] if archived else before)
    ]
    assert [missing.window for _, missing in report.unobtainable] == ([] if archived else before)
    assert report.complete == (not (archived and before))


def test_coin_margined_reference_data_keeps_to_its_own_limit(tmp_path: Path) -> None:
    """120 in three seconds, counted apart from that of linear contracts: at the default pace nothing is refused."""
    with Sandbox(seed=5) as sandbox:
        settings = replace(settings_for(sandbox, tmp_path), budgets=BUDGETS)
        request = Request("funding_rates", "htx-inverse", ("BTC-USD",), (), "2025-01-01", "2025-03-01")
        with Session(settings, say=lambda text: None) as session:
            ((job,),) = [plan.jobs for plan in make_plans([request], session)]
            assert budget_of(job) == "htx_swap_coin_reference"
        assert fill(settings, request).complete
        assert assert_fundings(tmp_path / "lake", sandbox, "BTC-USD", "2025-01-01", "2025-03-01", "htx-inverse") == 177
        assert sandbox.violations == 0
        assert {r.path for r in sandbox.requests} == {
            "/swap-api/v1/swap_contract_info", "/swap-api/v1/swap_historical_funding_rate"
        }  # fmt: skip


@pytest.mark.parametrize("bound", ["end", pytest.param("end inclusive", marks=pytest.mark.wide),
                                   pytest.param("from", marks=pytest.mark.wide)])  # fmt: skip
@pytest.mark.parametrize("faults", [(), pytest.param(ROUGH, marks=pytest.mark.wide)], ids=["quiet", "rough"])
def test_fundings_by_ids_alone(tmp_path: Path, bound: str, faults: tuple[Rule, ...]) -> None:
    """HashKey's history goes back by ids, a hundred rows at a time, whichever of its two bounds leads back."""
    start, end = "2025-01-01", "2026-06-01"
    with Sandbox(seed=5, limits=False, faults=Faults(*faults), hashkey_bound=bound, hashkey_page=100) as sandbox:
        request = Request("funding_rates", "hashkey", ("*",), (), start, end)
        report = fill(settings_for(sandbox, tmp_path), request)
        assert report.complete, report.missing
        for symbol in ("BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL", "DOGEUSDT-PERPETUAL"):
            assert assert_fundings(tmp_path / "lake", sandbox, symbol, start, end, "hashkey") == 516 * 3
            assert_covers(tmp_path / "lake", Series("funding_rates", "hashkey", symbol), start, end)
        before = files(tmp_path / "lake")
        assert fill(settings_for(sandbox, tmp_path), request).outcomes == []
        assert files(tmp_path / "lake") == before


def test_fundings_that_no_bound_leads_back_to_are_missing(tmp_path: Path) -> None:
    """An endpoint that heeds neither id serves its newest page and no more: the rest is missing, with the reason."""
    with Sandbox(seed=5, limits=False, hashkey_bound="none", hashkey_page=100) as sandbox:
        report = fill(settings_for(sandbox, tmp_path), Request("funding_rates", "hashkey", ("BTCUSDT-PERPETUAL",), (),
                                                               "2026-01-01"))  # fmt: skip
        assert not report.complete
        assert {"no bound brings older rows" in missing.why for _, missing in report.missing} == {True}
        rows = stored(tmp_path / "lake", Series("funding_rates", "hashkey", "BTCUSDT-PERPETUAL"))
        assert len(rows["funding_time"]) in (99, 100)
        assert {missing.window.end for _, missing in report.missing} == {rows["funding_time"][0]}
