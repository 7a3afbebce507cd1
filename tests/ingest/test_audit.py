"""The audit: silent on what is true, and for every kind of lie exactly the finding that it deserves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from htxdata.errors import UsageError
from htxdata.ingest import audit as room
from htxdata.ingest.audit import CHECKS, Finding, audit
from htxdata.ingest.revisions import keeper, note_differences
from htxdata.market import Series, grid_of
from htxdata.sandbox import Sandbox
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Footer, Span, Store, disk, findings, open_lake
from htxdata.store.layout import partition_of, partitions
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, Window, from_datetime, iso, parse_instant
from tests import truth
from tests.ingest.lies import Change, counted, rewrite, spoil, times, with_value

START, END = parse_instant("2025-06-30T16:00:00Z"), parse_instant("2025-07-01T16:00:00Z")  # a day of HTX's
LATE = END + 30 * DAY
PERIODS = ("1min", "5min", "60min", "4hour", "1day")
SPOT, SWAP, QUIET = ("htx-spot", "bmtusdt"), ("htx-linear", "BTC-USDT"), ("htx-spot", "mdxusdt")


def store_trades(store: Store, sandbox: Sandbox, venue: str, symbol: str) -> None:
    """What the archive would bring; spot does not say turnovers there."""
    for partition in partitions(Series("trades", venue, symbol), Window(START, END)):
        window = partition.window.intersect(Window(START, END))
        found = sandbox.market.trades(venue, symbol, *window)
        columns = {
            **found,
            "trade_id": found["trade_id"].astype(str).tolist(),
            "side": found["side"].tolist(),
        }
        if venue == "htx-spot":
            columns["quote_quantity"] = None
        table = conform(dataset("trades"), {**columns, "source": "archive", "received_at": LATE})
        store.commit(partition, table, [Asked(window, "archive", LATE)])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of HTX's days of three symbols as the venue tells it, and some fundings. Never written to."""
    folder = tmp_path_factory.mktemp("audit")
    symbols = (SPOT, SWAP, QUIET)
    with Sandbox(limits=False) as sandbox:
        wanted = [
            truth.klines(*symbol, period, iso(START), iso(END)) for symbol in symbols for period in PERIODS
        ]
        fundings = truth.fundings("BTC-USDT", "2021-01-01", "2021-06-01")
        assert truth.fill(truth.settings_for(sandbox, folder), *wanted, fundings).complete
        for symbol in symbols:
            store_trades(Store(folder / "lake"), sandbox, *symbol)
    return folder / "lake"


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Store:
    """A copy of it, to be spoilt."""
    shutil.copytree(original, tmp_path / "lake")
    return Store(tmp_path / "lake")


def kline(period: str, symbol: tuple[str, str] = SPOT) -> Series:
    return Series("klines", *symbol, period)


def without(store: Store, *folders: str) -> None:
    for folder in folders:
        shutil.rmtree(store.root / folder)


def seen(store: Store, **selection: Any) -> list[tuple[str, str, str, str | None]]:
    """Check, series, time and column of every finding."""
    return [(f.check, str(f.series), iso(f.at), f.column) for f in audit(store, **selection).findings]


def only(store: Store, **selection: Any) -> Finding:
    found = audit(store, **selection).findings
    assert len(found) == 1, found
    assert found[0].check in {check.name for check in CHECKS}
    return found[0]


def busy(store: Store, symbol: tuple[str, str] = SPOT, nth: int = 0) -> tuple[int, dict[str, Any]]:
    """A minute, the third of five, with several trades and prices on all sides: what it holds in truth."""
    for partition in store.partitions(kline("1min", symbol)):
        for row in store.read(partition).to_pylist():  # type: ignore[union-attr]
            at = from_datetime(row["open_time"])
            inside = row["low"] < row["open"] and row["low"] < row["close"] and row["open"] != row["close"]
            if row["trade_count"] >= 4 and inside and at // MINUTE % 5 == 2:
                if nth == 0:
                    return at, row
                nth -= 1
    raise AssertionError("the market is too quiet")


# ------------------------------------------------------------------------------------------------- the truth


def test_a_true_lake_has_no_findings(store: Store) -> None:
    """Nothing is found, and all was looked at: every candle beside trades, all but the minutes beside shorter ones."""
    told: list[tuple[str, int, int]] = []
    report = audit(store, on_step=lambda *step: told.append(step))
    assert report.findings == []
    kept = {line: len(truth.stored(store.root, line)["open_time"]) for line in store.series(dataset="klines")}
    longer = sum(count for line, count in kept.items() if line.period != "1min")
    assert (sum(kept.values()), longer) >= (2 * 1759, 2 * 319)
    assert report.compared == {"klines_against_trades": sum(kept.values()), "klines_against_klines": longer}
    every = [str(partition) for line in store.series() for partition in store.partitions(line)]
    again = [name for name in every if name.startswith("trades")]
    assert sorted(name for name, _, _ in told) == sorted(every + again)
    assert [(done, of) for _, done, of in told] == [(at, len(told)) for at in range(len(told))]
    assert (report.series, report.partitions) == (len(store.series()), len(every))
    assert report.rows == sum(len(truth.stored(store.root, line)["received_at"]) for line in store.series())


def test_an_audit_changes_nothing_but_its_table(store: Store) -> None:
    """And a second one not even that."""
    spoil(store, kline("1min"), busy(store)[0], close=lambda close: close + 0.01)
    before = truth.files(store.root)
    assert audit(store, symbol="bmtusdt").changed
    after = truth.files(store.root)
    assert set(after) - set(before) == {findings.FILE, ".htxdata/audit.lock"}
    assert {name: after[name] for name in before} == before
    assert not audit(store, symbol="bmtusdt").changed
    assert truth.files(store.root) == after


def test_a_lake_that_is_not_there_has_no_findings(tmp_path: Path) -> None:
    """And is not made."""
    report = audit(Store(tmp_path / "none"))
    assert (report.findings, report.series, report.changed) == ([], 0, False)
    assert not (tmp_path / "none").exists()


def test_every_check_says_what_it_compares_and_how_closely() -> None:
    """The table of checks has no blanks and no doubles."""
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert all(check.name and check.compares and check.tolerance for check in CHECKS)


def test_turnovers_of_seventeen_digits_agree(tmp_path: Path) -> None:
    """The venue rounds every trade's turnover; prices × quantities that it never said come close enough."""
    sandbox, store, end = Sandbox(), Store(tmp_path / "lake"), START + 2 * HOUR
    found = sandbox.market.klines("htx-spot", "pepeusdt", "5min", START, end)
    for partition in partitions(Series("klines", "htx-spot", "pepeusdt", "5min"), Window(START, end)):
        table = conform(dataset("klines"), {**found, "source": "rest", "received_at": LATE})
        store.commit(partition, table, [Asked(Window(START, end), "rest", LATE)])
    store_trades(store, sandbox, "htx-spot", "pepeusdt")
    report = audit(store)
    assert (report.findings, report.compared["klines_against_trades"]) == ([], 24)


# ------------------------------------------------------------------------------------------ candles against trades


@pytest.mark.parametrize("symbol", [SPOT, SWAP])
@pytest.mark.parametrize(
    "name", ["open", "high", "low", "close", "volume", "quote_volume", "trade_count", "contracts"]
)
def test_one_wrong_value_of_a_candle_is_found_in_its_row(
    store: Store, symbol: tuple[str, str], name: str
) -> None:
    """What the trades say, what the venue says, in which column, at which time: and nothing else."""
    at, right = busy(store, symbol)
    if right[name] is None:
        right["contracts"] = 0.0  # spot has none to compare
    wrong = {
        "open": right["low"], "high": right["high"] * 1.01, "low": right["low"] * 0.99, "close": right["low"],
        "volume": right["volume"] * (1 + 1e-8), "quote_volume": right["quote_volume"] * (1 - 1e-6),
        "trade_count": right["trade_count"] * 2 + 1, "contracts": (right["contracts"] or 0.0) + 2,
    }[name]  # fmt: skip
    spoil(store, kline("1min", symbol), at, **{name: wrong})
    if (name, symbol) == ("contracts", SPOT):
        assert seen(store, dataset="klines", period="1min", symbol=symbol[1]) == []
        return
    found = only(store, dataset="klines", period="1min", symbol=symbol[1])
    assert (found.check, found.series, found.at) == ("klines_against_trades", kline("1min", symbol), at)
    assert (found.column, found.theirs) == (name, wrong)
    assert found.ours == pytest.approx(right[name], rel=1e-12)
    assert "trades" in found.detail


@pytest.mark.parametrize("period", PERIODS)
def test_candles_of_every_period_are_compared(store: Store, period: str) -> None:
    """Up to the one that holds the last trade there is."""
    last = truth.stored(store.root, Series("trades", *SPOT))["trade_time"][-1]
    at = grid_of(period, -8 * HOUR).floor(last)
    spoil(store, kline(period), at, high=lambda high: high * 2)
    found = [f for f in audit(store, period=period).findings if f.check == "klines_against_trades"]
    assert [(f.series, f.at, f.column) for f in found] == [(kline(period), at, "high")]


def test_a_count_on_contracts_may_be_of_orders(store: Store) -> None:
    """The venue counts both sides there, and not trades: one or two for each; on spot every one counts."""
    at, right = busy(store, SWAP)
    for count, wrong in ((right["trade_count"] * 2, False), (1, False), (0, True)):
        spoil(store, kline("1min", SWAP), at, trade_count=count)
        assert bool(seen(store, dataset="klines", period="1min", symbol="BTC-USDT")) is wrong
    at, right = busy(store)
    spoil(store, kline("1min"), at, trade_count=right["trade_count"] * 2)
    assert only(store, dataset="klines", period="1min", symbol="bmtusdt").at == at


def test_candles_that_only_one_side_has(store: Store) -> None:
    """Trading where the venue has no candle, and a candle's volume where there was no trading; quiet slots are fine."""
    line = kline("1min", QUIET)
    columns = truth.stored(store.root, line)
    at, volume = columns["open_time"][-3], columns["volume"][-3]
    partition = partition_of(line, at)
    footer = store.footer(partition)
    assert footer is not None
    silent = next(s.start for s in footer.spans if s.verdict == "empty")

    def moved(table: pa.Table) -> pa.Table:
        """The candle from where there was trading to where there was none."""
        table = with_value(table, "open_time", times(table, "open_time").index(at), silent)
        return table.take(pa.array(np.argsort(times(table, "open_time"))))

    other = {at: {"verdict": "empty", "rows": 0}, silent: {"verdict": "present"}}
    spans = tuple(span._replace(**other.get(span.start, {})) for span in footer.spans)
    rewrite(store, partition, moved, Footer(spans))
    report = audit(store, symbol="mdxusdt", period="1min")
    found = [f for f in report.findings if f.check == "klines_against_trades"]
    assert {(f.at, f.column, f.ours, f.theirs) for f in found} == {
        (at, "volume", volume, None), (silent, "volume", 0.0, volume),
    }  # fmt: skip


def test_only_complete_trades_prove_anything(store: Store) -> None:
    """A candle of which some trades were not asked for is not compared, the hours beside it are."""
    at = START + 10 * HOUR
    double = {"volume": lambda volume: volume * 2, "quote_volume": lambda quote: quote * 2}
    for hour in (at, at + HOUR):
        spoil(store, kline("60min"), hour, **double)
    partition = partition_of(Series("trades", *SPOT), at)
    footer = store.footer(partition)
    assert footer is not None
    (span,) = footer.spans
    hole = Window(at + 17 * MINUTE, at + 18 * MINUTE)

    def unasked(table: pa.Table) -> pa.Table:
        return table.filter(
            pa.array([not hole.start <= time < hole.end for time in times(table, "trade_time")])
        )

    rewrite(store, partition, unasked, Footer((span._replace(end=hole.start), span._replace(start=hole.end))))
    report = audit(store, dataset="klines", period=["60min", "1min"], symbol="bmtusdt")
    found = {(f.at, f.series.period, f.column) for f in report.findings if f.check == "klines_against_trades"}
    assert found == {(at + HOUR, "60min", name) for name in double}
    assert report.compared["klines_against_trades"] == 1440 - 1 + 24 - 1


def test_trades_of_one_instant_have_no_order(tmp_path: Path) -> None:
    """The candle may open with any trade of its first millisecond, and close with any of its last."""
    store, window = Store(tmp_path / "lake"), Window(START, START + MINUTE)
    instants = [START, START, START + SECOND, START + 30 * SECOND, START + 30 * SECOND]
    columns = {"trade_time": instants, "trade_id": list("abcde"), "price": [5.0, 7.0, 6.0, 8.0, 9.0]}
    more = {"quantity": [1.0] * 5, "side": "buy", "source": "archive", "received_at": LATE}
    trades = conform(dataset("trades"), {**columns, **more})
    store.commit(partition_of(Series("trades", *SPOT), START), trades, [Asked(window, "archive", LATE)])
    for received, (first, last, wrong) in enumerate(
        [
            (5.0, 9.0, []),
            (7.0, 8.0, []),
            (6.0, 9.0, ["open"]),
            (5.0, 6.0, ["close"]),
            (8.0, 7.0, ["close", "open"]),
        ]
    ):
        candle = {"open_time": [START], "open": [first], "high": [9.0], "low": [5.0], "close": [last]}
        sums = {"volume": [5.0], "quote_volume": [35.0], "trade_count": [5], "source": "rest"}
        table = conform(dataset("klines"), {**candle, **sums, "received_at": LATE + received})
        store.commit(partition_of(kline("1min"), START), table, [Asked(window, "rest", LATE)])
        assert sorted(f.column or "" for f in audit(store).findings) == wrong


def test_trades_that_cannot_be_added_up_are_said_so(store: Store) -> None:
    """Out of order they prove nothing: one finding for each series of candles."""
    partition = store.partitions(Series("trades", *SPOT))[1]
    rewrite(store, partition, lambda t: pa.concat_tables([t.slice(100), t.slice(0, 100)]))
    found = audit(store, dataset="klines", symbol="bmtusdt").findings
    assert [(f.check, f.series.period, f.column) for f in found] == [
        ("klines_against_trades", period, "open_time") for period in sorted(PERIODS)
    ]
    assert all("not in order of time" in f.detail for f in found)


# ------------------------------------------------------------------------------------------ candles against candles


@pytest.mark.parametrize(
    ("name", "change"),
    [("open", 0.1), ("high", 0.1), ("low", -0.1), ("close", -0.1), ("volume", 0.001), ("trade_count", 10**6)],
)
def test_longer_candles_are_made_of_shorter_ones(store: Store, name: str, change: float) -> None:
    """Without any trades, a day that is not the sum of its 4-hour candles is found, and only it."""
    without(store, "trades")
    line = kline("1day", SWAP)
    right = spoil(store, line, START, **{name: lambda value: value + change})
    found = only(store, symbol="BTC-USDT", dataset="klines")
    assert (found.check, found.series, found.at, found.column) == ("klines_against_klines", line, START, name)
    assert found.ours == pytest.approx(right[name], rel=1e-12)
    assert found.theirs == right[name] + change
    assert "4hour candles" in found.detail


def test_the_longest_complete_candles_are_taken(store: Store) -> None:
    """Where hours are missing, shorter ones prove the same; where all are, nothing is compared."""
    without(store, "trades")
    at = START + 8 * HOUR
    spoil(store, kline("4hour"), at, high=lambda high: high * 2)
    which = {"period": "4hour", "symbol": "bmtusdt"}
    for period, shorter in (("60min", "60min"), ("5min", "5min"), ("1min", "1min")):
        assert f"{shorter} candles" in only(store, **which).detail
        for partition in store.partitions(kline(period)):
            spans = [
                s for span in store.spans(partition)
                for s in (span._replace(end=min(span.end, at + HOUR)),
                          span._replace(start=max(span.start, at + 2 * HOUR)))
                if s.end > s.start
            ]  # fmt: skip
            rewrite(store, partition, footer=Footer(tuple(spans)))
    report = audit(store, **which)
    assert (report.findings, report.compared["klines_against_klines"]) == ([], 5)


def test_flat_candles_do_not_open_a_longer_one(store: Store) -> None:
    """A quiet minute carries the price of the one before; the five minutes open with their first trade."""
    without(store, "trades")
    minutes, fives = (truth.stored(store.root, kline(period)) for period in ("1min", "5min"))
    opens = dict(zip(fives["open_time"], fives["open"], strict=True))
    rows = zip(minutes["open_time"], minutes["trade_count"], minutes["open"], strict=True)
    carried = [at for at, count, price in rows if not count and opens.get(at, price) != price]
    assert carried, "the market must show it"
    assert seen(store, symbol="bmtusdt") == []


# ------------------------------------------------------------------------------------------------- rows by themselves

RIGHT = {
    "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 2.0, "quote_volume": 21.0, "contracts": 4.0,
    "trade_count": 2, "taker_buy_volume": 1.5, "taker_buy_quote_volume": 16.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "ours", "values"),
    [
        (None, None, {}),
        (
            None,
            None,
            {"volume": 0.0, "quote_volume": 0.0, "taker_buy_volume": 0.0, "taker_buy_quote_volume": 0.0},
        ),
        (None, None, {"quote_volume": 24.0 * (1 + 5e-10)}),
        (None, None, {"quote_volume": None, "taker_buy_quote_volume": None}),
        ("low", 10.0, {"low": 10.2}),
        ("high", 11.0, {"high": 10.8}),
        ("low", None, {"low": 0.0}),
        ("trade_count", 0.0, {"trade_count": -1}),
        ("contracts", 0.0, {"contracts": -2.0}),
        ("quote_volume", 24.0, {"quote_volume": 24.0 * (1 + 1e-8)}),
        ("quote_volume", 18.0, {"quote_volume": 18.0 * (1 - 1e-8), "taker_buy_quote_volume": 3.0}),
        ("quote_volume", 0.0, {"volume": 0.0, "taker_buy_volume": 0.0}),
        ("taker_buy_volume", 2.0, {"taker_buy_volume": 2.1}),
        ("taker_buy_quote_volume", 21.0, {"taker_buy_quote_volume": 21.1}),
    ],
)
def test_the_arithmetic_of_a_candle(
    tmp_path: Path, column: str | None, ours: float | None, values: dict[str, Any]
) -> None:
    """Low, high, sums and average price of one candle, with nothing to compare it with."""
    store, window = Store(tmp_path / "lake"), Window(START, START + 2 * HOUR)
    two = {name: [right, values.get(name, right)] for name, right in RIGHT.items()}
    columns = {"open_time": [START, START + HOUR], **two, "source": "rest", "received_at": LATE}
    (partition,) = partitions(kline("60min"), window)
    store.commit(partition, conform(dataset("klines"), columns), [Asked(window, "rest", LATE)])
    if column is None:
        assert audit(store).findings == []
        return
    found = only(store)
    assert (found.check, found.series, found.at, found.column) == (
        "candle",
        kline("60min"),
        START + HOUR,
        column,
    )
    assert (found.ours, found.theirs) == (ours, values.get(column, RIGHT[column]))


@pytest.mark.parametrize(
    ("check", "column", "value"),
    [
        ("trade", "price", 0.0),
        ("trade", "quantity", -1.0),
        ("trade", "side", "BUY"),
        ("number", "price", float("nan")),
        ("number", "quantity", float("inf")),
    ],
)
def test_the_values_of_a_trade(store: Store, check: str, column: str, value: Any) -> None:
    """A price of nothing, less than nothing, a side that is none, no number at all."""
    series = Series("trades", *SPOT)
    at = truth.stored(store.root, series)["trade_time"][700]
    spoil(store, series, at, **{column: value})
    found = only(store, dataset="trades", symbol="bmtusdt")
    assert (found.check, found.series, found.at, found.column, found.ours) == (
        check,
        series,
        at,
        column,
        None,
    )
    assert found.theirs == (value if value in (0.0, -1.0) else None)


def test_a_value_that_is_no_number_is_one_finding(store: Store) -> None:
    """What is compared with it is not wrong as well."""
    at, _ = busy(store)
    spoil(store, kline("1min"), at, low=float("nan"))
    assert seen(store, symbol="bmtusdt") == [("number", str(kline("1min")), iso(at), "low")]


def test_rows_out_of_order_and_doubled(store: Store) -> None:
    """Told of the row that stands wrong."""
    series = Series("trades", *SPOT)
    partition = store.partitions(series)[1]
    footer = store.footer(partition)
    instants = times(store.read(partition), "trade_time")
    row = next(n for n in range(200, 400) if len(set(instants[n - 2 : n + 2])) == 4)
    doubled = counted(footer, 1, instants[row])
    rewrite(store, partition, lambda t: pa.concat_tables([t.slice(0, row + 1), t.slice(row)]), doubled)
    assert seen(store, dataset="trades") == [("order", str(series), iso(instants[row]), "trade_id")]

    def swapped(table: pa.Table) -> pa.Table:
        """Without the double, and two neighbours the wrong way round."""
        return table.take(pa.array([*range(row - 1), row, row - 1, *range(row + 2, len(table))]))

    rewrite(store, partition, swapped, footer)
    assert seen(store, dataset="trades") == [("order", str(series), iso(instants[row - 1]), "trade_time")]


def test_the_border_of_a_batch_hides_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row of a piece is compared with the last of the piece before."""
    monkeypatch.setattr("htxdata.store.rows.BATCH", 1)
    line = kline("60min")
    (partition,) = store.partitions(line)
    rewrite(store, partition, lambda t: t.take(pa.array([0, 2, 1, *range(3, len(t))])))
    without(store, "trades", "klines/venue=htx-spot/symbol=bmtusdt/period=1min",
            "klines/venue=htx-spot/symbol=bmtusdt/period=5min")  # fmt: skip
    assert seen(store, period="60min", symbol="bmtusdt") == [
        ("order", str(line), iso(START + HOUR), "open_time")
    ]


def test_an_id_that_comes_again_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found wherever it stands; ids may be numbers or texts, and more than are looked at at once."""
    series = Series("trades", *SPOT)
    partition = store.partitions(series)[1]
    table = store.read(partition)
    at = times(table, "trade_time")[-100]
    spoil(store, series, at, trade_id=table["trade_id"].to_pylist()[-700])
    due = [("identity", str(series), iso(at), "trade_id")]

    def texts(table: pa.Table) -> pa.Table:
        names = pa.array([f"t{name}" for name in table["trade_id"].to_pylist()])
        return table.set_column(1, table.schema.field(1), names)

    for change in (lambda table: table, texts):
        rewrite(store, partition, change)
        for at_once in (10**6, 400):
            monkeypatch.setattr("htxdata.ingest.audit_ids._IDS_AT_ONCE", at_once)
            assert [f for f in seen(store, dataset="trades", symbol="bmtusdt") if f[0] == "identity"] == due


def test_rows_outside_their_partition_and_off_their_grid(store: Store) -> None:
    """A trade of tomorrow, a candle that opens half a minute late, a day that opens at midnight of UTC."""
    series = Series("trades", *SPOT)
    partition = store.partitions(series)[0]
    late = partition.window.end + SECOND
    (span,) = store.spans(partition)
    footer = Footer((span._replace(end=late + SECOND),))
    rewrite(store, partition, lambda t: with_value(t, "trade_time", len(t) - 1, late), footer)
    assert seen(store, dataset="trades") == [("cell", str(series), iso(late), "trade_time")]
    without(store, "trades")
    for period, at, by in (("60min", START + 3 * HOUR, 30 * SECOND), ("1day", START, 8 * HOUR)):
        spoil(store, kline(period), at, open_time=at + by)
        due = ("grid", str(kline(period)), iso(at + by), "open_time")
        assert seen(store, period=period, symbol="bmtusdt") == [due]


# ------------------------------------------------------------------------------------------------- footers


def test_footers_that_say_otherwise_than_the_rows(store: Store) -> None:
    """A wrong count, rows that nobody asked for, rows where there should be none, a candle that is gone."""
    without(store, "trades")
    line, at = kline("60min", SWAP), START + 5 * HOUR
    (partition,) = store.partitions(line)
    (span,) = store.spans(partition)

    def told(spans: tuple[Span, ...], change: Change = lambda table: table) -> list[tuple[Any, ...]]:
        rewrite(store, partition, change, Footer(spans))
        report = audit(store, period="60min", symbol="BTC-USDT")
        found = [f for f in report.findings if f.check == "coverage"]
        return [(f.at, f.column, f.ours, f.theirs) for f in found]

    before, after = span._replace(end=at, rows=5), span._replace(start=at + HOUR, rows=18)
    none = span._replace(start=at, end=at + HOUR, verdict="empty", rows=1)
    assert told((span._replace(rows=26),)) == [(span.start, None, 24.0, 26.0)]
    assert told((before, after)) == [(at, "open_time", None, None)]
    assert told((before, none, after)) == [(at, None, 1.0, 0.0)]
    assert told((span,), lambda t: pa.concat_tables([t.slice(0, 5), t.slice(6)])) == [
        (at, "open_time", None, None)
    ]


def test_what_a_capture_told_just_outside_its_time_is_no_finding(store: Store) -> None:
    """Also where REST answered for all of that time, and its name alone is in the footer."""
    partition = store.partitions(Series("trades", *SPOT))[0]
    (span,) = store.spans(partition)
    table = store.read(partition)
    assert table is not None
    held = times(table, "trade_time")
    late = held[-1]
    rewrite(store, partition, footer=Footer((span._replace(end=late, rows=sum(at < late for at in held)),)))
    assert {found[0] for found in seen(store, dataset="trades")} == {"coverage"}
    rewrite(store, partition, lambda t: with_value(t, "source", len(t) - 1, "ws"))
    assert seen(store, dataset="trades") == []


def test_a_file_that_cannot_be_read_is_a_finding(store: Store) -> None:
    """Of its whole partition, whichever part of it is audited; the others are audited all the same."""
    line = kline("1min")
    partition = store.partitions(line)[-1]
    newest = disk.newest(store.folder(partition))
    assert newest is not None
    file = Path(newest.path)
    whole = file.read_bytes()
    spoilt = whole[:100] + bytes(4000) + whole[4100:]  # the footer is fine, and the pages are not
    for content in (whole[:-100], spoilt):
        file.unlink()  # its bytes are everybody's: part.parquet is a link to it
        file.write_bytes(content)
        found = only(store, symbol="bmtusdt")
        assert (found.check, found.series, found.at, found.column) == (
            "file",
            line,
            partition.window.start,
            None,
        )
        assert partition.folder in found.detail or str(partition) in found.detail
        assert str(store.root) not in found.detail
        assert len(audit(store, symbol="bmtusdt", start=partition.window.start + HOUR).findings) == 1
        assert audit(store, symbol="bmtusdt", end=partition.window.start).findings == []


def test_trades_that_cannot_be_read_prove_nothing(store: Store) -> None:
    """Their file is the finding, not every candle of their day."""
    partition = store.partitions(Series("trades", *SPOT))[1]
    newest = disk.newest(store.folder(partition))
    assert newest is not None
    whole = Path(newest.path).read_bytes()
    Path(newest.path).unlink()
    Path(newest.path).write_bytes(whole[:100] + bytes(4000) + whole[4100:])
    report = audit(store, symbol="bmtusdt")
    assert [(f.check, f.series.dataset) for f in report.findings] == [("file", "trades")]
    assert report.compared["klines_against_trades"] == 8 * 60 + 8 * 12 + 8 + 2


# ------------------------------------------------------------------------------------------------- other checks


def test_fundings_that_come_twice_or_not_at_all(store: Store) -> None:
    """A second apart they are one settlement of two sources; 16 hours apart, and all present, one is lost."""
    series = Series("funding_rates", *SWAP)
    (partition,) = store.partitions(series)
    footer = store.footer(partition)
    instants = times(store.read(partition), "funding_time")
    at = instants[50] + SECOND

    def twice(table: pa.Table) -> pa.Table:
        row = with_value(table.slice(50, 1), "funding_time", 0, at)
        return pa.concat_tables([table.slice(0, 51), row, table.slice(51)])

    rewrite(store, partition, twice, counted(footer, 1, at))
    assert seen(store, dataset="funding*") == [("funding_interval", str(series), iso(at), "funding_time")]
    lost = counted(footer, -1, instants[50])
    rewrite(store, partition, lambda t: pa.concat_tables([t.slice(0, 50), t.slice(52)]), lost)
    assert seen(store, dataset="funding*") == [
        ("funding_interval", str(series), iso(instants[51]), "funding_time")
    ]


def test_what_another_source_said_otherwise(store: Store) -> None:
    """A candle of which two sources gave two versions is a finding; the venue's own change of mind is none."""
    line, (at, candle) = kline("1min"), busy(store)
    partition, heard = partition_of(line, at), from_datetime(candle["received_at"])

    def commit(source: str, later: int, **values: Any) -> None:
        row = {**candle, **values, "source": source, "open_time": at, "received_at": heard + later}
        table = conform(
            dataset("klines"), {name: [value] for name, value in row.items() if value is not None}
        )
        store.commit(partition, table, on_replace=keeper(store, partition))

    commit("rest", 1, close=candle["low"])
    commit("rest", 2)
    assert seen(store, symbol="bmtusdt") == []
    volume = candle["volume"] * (1 + 1e-12)
    commit("archive", 3, volume=volume, high=candle["high"] + 3)
    found = [f for f in audit(store, symbol="bmtusdt").findings if f.check == "sources"]
    # Of the three older versions one differs from the archive's in its close as well.
    assert [(f.series, f.at, f.column, f.ours, f.theirs) for f in found] == [
        (line, at, "close", candle["low"], candle["close"]),
        (line, at, "high", candle["high"], candle["high"] + 3),
    ]
    assert "rest said otherwise than archive" in found[0].detail


# ------------------------------------------------------------------------------------------------- the table


def test_findings_heal_and_others_stay(store: Store) -> None:
    """An audit replaces what was found of its own series and time, and nothing else."""
    without(store, "klines/venue=htx-spot/symbol=bmtusdt/period=5min")
    one, two, other = busy(store)[0], busy(store, nth=1)[0], busy(store, SWAP)[0]
    higher = {"high": lambda high: high * 1.5}
    right = {at: spoil(store, kline("1min"), at, **higher)["high"] for at in (one, two)}
    spoil(store, kline("1min", SWAP), other, **higher)
    all_three = {(kline("1min"), one), (kline("1min"), two), (kline("1min", SWAP), other)}

    def table() -> set[tuple[Series, int]]:
        found = room.from_table(findings.read(store.root))
        return {(f.series, f.at) for f in found if f.series.period == "1min"}

    audit(store, dataset="klines")
    assert table() == all_three
    for at in (one, two):
        spoil(store, kline("1min"), at, high=right[at])
    assert audit(store, symbol="BTC-USDT", dataset="klines").findings
    audit(store, dataset="trades")
    audit(store, period="60min")
    assert table() == all_three
    assert audit(store, start=two, end=two + 1, symbol="bmtusdt").findings == []
    assert table() == all_three - {(kline("1min"), two)}
    assert audit(store, venue="htx-spot").changed
    assert table() == {(kline("1min", SWAP), other)}
    without(store, "klines/venue=htx-linear/symbol=BTC-USDT/period=1min")
    audit(store, period="1min")
    assert table() == set()


def test_the_table_is_the_findings(store: Store) -> None:
    """What is stored reads back as it was found, and the view shows it."""
    at, right = busy(store)
    spoil(store, kline("1min"), at, volume=right["volume"] * 2)
    report = audit(store, symbol="bmtusdt")
    assert {f.check for f in report.findings} >= {"klines_against_trades", "klines_against_klines", "candle"}
    assert room.from_table(findings.read(store.root)) == report.findings
    columns = "dataset, venue, symbol, period, epoch_us(at_time), column_name, ours, theirs"
    with open_lake(store.root) as lake:
        sql = f"select {columns} from audit_findings where check_name = 'klines_against_trades'"
        got = lake.sql(sql).fetchall()
    volume = right["volume"]
    assert got == [("klines", *SPOT, "1min", at, "volume", pytest.approx(volume), volume * 2)]


def test_the_view_is_there_without_an_audit(tmp_path: Path) -> None:
    """Where there is no lake at all: with its columns, and no rows."""
    with open_lake(tmp_path / "none") as lake:
        relation = lake.sql("SELECT * FROM audit_findings")
        shown = list(zip(relation.columns, map(str, relation.types), strict=True))
        assert shown == [(name, kind) for name, kind, _ in findings.COLUMNS]
        assert relation.fetchall() == []
    assert not (tmp_path / "none").exists()


def test_a_table_that_cannot_be_read_is_written_anew(store: Store) -> None:
    """It holds nothing that the next audit does not find again."""
    (store.root / ".htxdata").mkdir(exist_ok=True)
    (store.root / findings.FILE).write_bytes(b"PAR1 and no more")
    assert audit(store, dataset="funding_rates").changed
    assert len(findings.read(store.root)) == 0


def test_a_lake_wrong_throughout_fits_into_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one check and series the first ones are kept, and how many more there are is said."""
    monkeypatch.setattr(room, "MOST", 3)
    without(store, "trades")
    (partition,) = store.partitions(kline("60min", SWAP))
    rewrite(store, partition, lambda t: t.set_column(2, t.schema.field(2), pa.array([1.0] * len(t))))
    report = audit(store, symbol="BTC-USDT", period="60min")
    found = [f.detail for f in report.findings if f.check == "klines_against_klines"]
    assert found == ["the 5min candles make another high"] * 3 + ["and 21 more of this kind"]
    assert not audit(store, symbol="BTC-USDT", period="60min").changed


def test_what_can_be_asked(store: Store) -> None:
    """Globs and ranges choose; an empty range is a mistake."""
    assert audit(store, dataset="klines", symbol=["mdx*", "bmt*"], period="5*").series == 2
    assert audit(store, start=END + DAY, dataset="trades").partitions == 0
    with pytest.raises(UsageError, match="the range is empty"):
        audit(store, start=END, end=START)


def test_values_of_too_many_digits_are_told_and_no_finding(store: Store) -> None:
    """The footers' counts, by series."""
    (partition,) = store.partitions(kline("1day"))
    rewrite(store, partition, footer=Footer(tuple(store.spans(partition)), unfit=7))
    report = audit(store, period="1day")
    assert (report.findings, report.unfit) == ([], {kline("1day"): 7})


# ------------------------------------------------------------------------------------------------- what two sources say


def test_what_two_readings_of_a_trade_do_not_agree_on(store: Store) -> None:
    """Each value with what was dropped and whose word it was; a candle's source may change its mind, a trade's not."""
    series, partition = Series("trades", *SWAP), store.partitions(Series("trades", *SWAP))[1]
    rows = [300, 400]
    table = store.read(partition).take(pa.array(rows))  # type: ignore[union-attr]
    instants, names = times(table, "trade_time"), table["trade_id"].to_pylist()
    prices, sides = table["price"].to_pylist(), table["side"].to_pylist()
    other = {"buy": "sell", "sell": "buy"}[sides[1]]

    def commit(source: str, more: int, changed: pa.Table) -> None:
        for name, value in (("source", source), ("received_at", LATE + more)):
            for row in range(len(changed)):
                changed = with_value(changed, name, row, value)
        store.commit(partition, changed, on_replace=keeper(store, partition))

    changed = with_value(with_value(table, "price", 0, prices[0] + 5), "side", 1, other)
    commit("rest", 1, changed)
    commit("rest", 2, with_value(changed, "price", 0, prices[0] + 7))
    found = audit(store, symbol="BTC-USDT").findings  # of what is written down nothing is wrong in itself
    assert {(f.check, f.series.dataset) for f in found} == {("sources", "trades"), ("klines_against_trades", "klines")}
    found = [f for f in found if f.check == "sources"]
    assert [(f.series, f.at, f.column, f.ours, f.theirs) for f in found] == [
        (series, instants[0], "price", prices[0], prices[0] + 5),
        (series, instants[0], "price", prices[0] + 5, prices[0] + 7),
        (series, instants[1], "side", None, None),
    ]
    assert "rest said otherwise than rest" in found[1].detail
    assert found[2].detail.startswith("archive said otherwise than rest")
    assert f"{sides[1]!r}, not {other!r} ({names[1]})" in found[2].detail
    assert seen(store, dataset="trades", symbol="bmtusdt") == []
    assert [f[0] for f in seen(store, dataset="klines", symbol="BTC-USDT", period="60min")] != ["sources"]


def test_differences_of_candles_belong_to_their_period(store: Store) -> None:
    """What two trees of the archive say of the hours is not said of the day; what agrees to 1e-9 is no difference."""
    hour, day = kline("60min"), kline("1day")
    partition = partition_of(hour, START)
    table = store.read(partition)
    assert table is not None
    volume, close = table["volume"][3].as_py(), table["close"][4].as_py()
    changed = with_value(with_value(table, "volume", 3, volume * (1 + 1e-12)), "close", 4, close * 2)
    assert note_differences(store, hour, table, changed, sources=("historical_data", "data")) == 2
    found = only(store, dataset="klines", symbol="bmtusdt")
    assert (found.check, found.series, found.at, found.column) == ("sources", hour, START + 4 * HOUR, "close")
    assert (found.ours, found.theirs) == (close * 2, close)
    assert "data said otherwise than historical_data" in found.detail
    lone = store.read(partition_of(day, START))
    assert lone is not None
    note_differences(store, day, lone, lone.slice(0, 0), sources=("historical_data", "data"))
    assert [f for f in seen(store, dataset="klines", symbol="bmtusdt") if f[1] == str(day)] == [
        ("sources", str(day), iso(START), "(row)")
    ]


# ------------------------------------------------------------------------------------------------- numbers of trades


def test_numbers_of_trades_rise(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is lower than that of a trade a second before is found, across the borders of pieces, and no other."""
    series = Series("trades", *SPOT)
    partition = store.partitions(series)[1]
    table = store.read(partition)
    assert table is not None
    instants, names = times(table, "trade_time"), table["trade_id"].to_pylist()
    row = next(n for n in range(200, len(table)) if instants[n - 1] + SECOND < instants[n] < instants[n + 1]
               and instants[n - 2] < instants[n - 1])  # fmt: skip
    for at_once in (1 << 17, row, 100):
        monkeypatch.setattr("htxdata.store.rows.BATCH", at_once)
        spoil(store, series, instants[row + 1], trade_id="1-of-ours")  # no number, and no finding
        spoil(store, series, instants[row], trade_id=str(int(names[100]) - 1))
        found = [f for f in audit(store, dataset="trades", symbol="bmtusdt").findings if f.check == "sequence"]
        assert [(f.at, f.column) for f in found] == [(instants[row], "trade_id")]
        assert f"{int(names[100]) - 1} is lower than {names[row - 1]}" in found[0].detail
        rewrite(store, partition, lambda _: table)
    for later, wrong in ((SECOND - 1000, False), (SECOND, True)):
        at = instants[row - 1] + later
        spoil(store, series, instants[row], trade_time=at, trade_id=str(int(names[row - 1]) - 1))
        found = [f for f in audit(store, dataset="trades", symbol="bmtusdt").findings if f.check == "sequence"]
        assert [f.at for f in found] == [at] * wrong
        rewrite(store, partition, lambda _: table)
    monkeypatch.setattr("htxdata.store.rows.BATCH", row)  # the trade before is too near, the one before that is not
    at = instants[row - 1] + SECOND - 1000
    assert instants[row - 2] < instants[row - 1]
    spoil(store, series, instants[row], trade_time=at, trade_id=str(int(names[100]) - 1))
    found = [f for f in audit(store, dataset="trades", symbol="bmtusdt").findings if f.check == "sequence"]
    assert [f.at for f in found] == [at]
    assert f"is lower than {names[row - 2]}" in found[0].detail


def test_an_id_comes_again_among_names(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 19 digits, in a piece with names that are no numbers and in one without: it is the same id."""
    series = Series("trades", *SWAP)
    partition = store.partitions(series)[1]
    table = store.read(partition)
    assert table is not None
    monkeypatch.setattr("htxdata.store.rows.BATCH", 500)
    instants, names = times(table, "trade_time"), table["trade_id"].to_pylist()
    assert len(names[100]) == 19
    ids = [*names[:1000], "1735660802822-95432.42-0.00016-buy-1", *names[1001:1100], names[100], *names[1101:]]
    rewrite(store, partition, lambda t: t.set_column(1, t.schema.field(1), pa.array(ids)))
    found = [f for f in seen(store, dataset="trades", symbol="BTC-USDT") if f[0] == "identity"]
    assert found == [("identity", str(series), iso(instants[1100]), "trade_id")]


def test_an_id_comes_again_at_the_border_of_a_piece(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the ids of either piece rise."""
    series = Series("trades", *SPOT)
    partition = store.partitions(series)[1]
    table = store.read(partition)
    assert table is not None
    instants, names = times(table, "trade_time"), table["trade_id"].to_pylist()
    row = next(n for n in range(300, len(table)) if instants[n - 1] < instants[n] < instants[n + 1])
    monkeypatch.setattr("htxdata.store.rows.BATCH", row)
    spoil(store, series, instants[row], trade_id=names[row - 1])
    found = [f for f in seen(store, dataset="trades", symbol="bmtusdt") if f[0] == "identity"]
    assert found == [("identity", str(series), iso(instants[row]), "trade_id")]


@pytest.mark.parametrize(("at_once", "opens"), [(1 << 17, 1), (3, 9), (1, 1)])
def test_the_first_instant_may_lie_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, opens: int
) -> None:
    """In any piece, or across two, of any partition of a candle's; trades that are numbered have an order."""
    monkeypatch.setattr("htxdata.store.rows.BATCH", at_once)
    store, window = Store(tmp_path / "lake"), Window(START, START + DAY)
    instants = [START + opens * HOUR] * 3 + [START + 10 * HOUR] * 2 + [START + 11 * HOUR] * 3
    prices = [5.0, 7.0, 6.0, 4.0, 9.5, 8.0, 9.0, 8.5]
    candle = {"open_time": [START], "high": [9.5], "low": [4.0], "volume": [8.0], "quote_volume": [sum(prices)]}
    for names, may in ((list("abcdefgh"), True), ([str(n) for n in range(11, 19)], False)):
        columns = {"trade_time": instants, "trade_id": names, "price": prices, "quantity": [1.0] * 8}
        table = conform(dataset("trades"), {**columns, "side": "buy", "source": "archive", "received_at": LATE})
        for partition in partitions(Series("trades", *SPOT), window):
            part = Window(*partition.window).intersect(window)
            shutil.rmtree(store.folder(partition), ignore_errors=True)
            inside = pa.array([part.start <= at < part.end for at in instants])
            store.commit(partition, table.filter(inside), [Asked(part, "archive", LATE)])
        for first, last, wrong in ((5.0, 8.5, False), (6.0, 8.0, True), (4.0, 9.0, True), (7.0, 9.5, True)):
            shutil.rmtree(tmp_path / "lake/klines", ignore_errors=True)
            more = {"open": [first], "close": [last], "trade_count": [8], "source": "rest", "received_at": LATE}
            day = conform(dataset("klines"), {**candle, **more})
            store.commit(
                partition_of(kline("1day"), START), day, [Asked(window, "rest", LATE)],
                grid=grid_of("1day", -8 * HOUR),
            )  # fmt: skip
            due = []
            if wrong and not (may and last in (8.0, 9.0, 8.5)):
                due.append("close")
            if wrong and not (may and first in (5.0, 6.0, 7.0)):
                due.append("open")
            assert sorted(f.column or "" for f in audit(store).findings) == due, (names, first, last)


def test_candles_of_a_computed_price_add_up_too(tmp_path: Path) -> None:
    """Marks have no volume; an hour that is not made of its minutes is found all the same."""
    sandbox, store, window = Sandbox(), Store(tmp_path / "lake"), Window(START, START + 4 * HOUR)
    for period in ("1min", "60min"):
        found = sandbox.market.mark_klines(*SWAP, period, *window)
        for partition in partitions(Series("mark_klines", *SWAP, period), window):
            part = partition.window.intersect(window)
            times_ = found["open_time"]
            inside = (times_ >= part.start) & (times_ < part.end)
            columns = {name: found[name][inside] for name in ("open_time", "open", "high", "low", "close")}
            table = conform(dataset("mark_klines"), {**columns, "source": "rest", "received_at": LATE})
            store.commit(partition, table, [Asked(part, "rest", LATE)])
    report = audit(store)
    assert (report.findings, report.compared) == ([], {"klines_against_klines": 4})
    hour = Series("mark_klines", *SWAP, "60min")
    right = spoil(store, hour, START + HOUR, high=lambda high: high + 1)
    found_ = only(store)
    assert (found_.check, found_.series, found_.at) == ("klines_against_klines", hour, START + HOUR)
    assert (found_.column, found_.ours, found_.theirs) == ("high", right["high"], right["high"] + 1)


@pytest.mark.parametrize(
    ("column", "value"), [(None, None), ("price", 0.0), ("size", -1.0), ("side", "buy"), ("kind", "update")]
)
def test_the_values_of_a_book(tmp_path: Path, column: str | None, value: Any) -> None:
    """Bids and asks, snapshots and deltas; a size of nothing takes the level away, less than nothing is wrong."""
    store, series = Store(tmp_path / "lake"), Series("book_changes", *SPOT)
    columns = {
        "book_time": [START, START, START + SECOND], "kind": ["snapshot", "snapshot", "delta"],
        "side": ["ask", "bid", "bid"], "price": [7.0, 6.0, 6.0], "size": [1.0, 2.0, 0.0], "sequence": [0, 0, 1],
    }  # fmt: skip
    if column is not None:
        columns[column] = [*columns[column][:2], value]
    table = conform(dataset("book_changes"), {**columns, "source": "archive", "received_at": LATE})
    store.commit(partition_of(series, START), table, [Asked(Window(START, START + HOUR), "archive", LATE)])
    found = [(f.check, f.at, f.column) for f in audit(store).findings]
    assert found == ([] if column is None else [("level", START + SECOND, column)])


def test_books_are_part_of_an_audit(tmp_path: Path) -> None:
    """What ``audit_books`` finds is found, stored, and of the time that was asked for."""
    store, series = Store(tmp_path / "lake"), Series("book_changes", *SPOT)
    columns = {
        "book_time": [START, START, START + SECOND], "kind": ["snapshot", "snapshot", "delta"],
        "side": ["ask", "bid", "bid"], "price": [7.0, 6.0, 7.5], "size": [1.0, 2.0, 3.0], "sequence": [0, 0, 1],
    }  # fmt: skip
    table = conform(dataset("book_changes"), {**columns, "source": "archive", "received_at": LATE})
    store.commit(partition_of(series, START), table, [Asked(Window(START, START + HOUR), "archive", LATE)])
    found = only(store)
    assert (found.check, found.series, found.at, found.column) == ("book", series, START + SECOND, "price")
    assert (found.ours, found.theirs) == (7.0, 7.5)
    assert room.from_table(findings.read(store.root)) == [found]
    assert audit(store, end=START + SECOND).findings == []
