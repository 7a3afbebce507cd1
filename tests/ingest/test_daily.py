"""The size of a contract on the day of a file, and whether there was trade: from the archive's own daily candles."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from htxdata.config import Settings
from htxdata.errors import Refused, Unreachable
from htxdata.ingest.daily import DailyCandles
from htxdata.ingest.deep import fill_deep
from htxdata.ingest.outcome import Outcome
from htxdata.ingest.plan import Job, day_window, leftover
from htxdata.ingest.run import do_job
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.store.partition import Store
from htxdata.timeline import MILLISECOND, SECOND, Window
from htxdata.transport.download import Fetched
from htxdata.venues import venue
from htxdata.venues.terms import Archive, Facts, Listed, Venue
from tests.truth import stored

LINEAR = venue("htx-linear")
TRADES = Series("trades", "htx-linear", "BTC-USDT")
DAYS = ("2026-03-04", "2026-03-05", "2026-03-06")
TODAY = 0.001


def zipped(name: str, text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, text)
    return out.getvalue()


class Shelf:
    """Files by key, all of them listed; what is asked for is kept in ``asked``. Today's contract is 0.001."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, list[str]()

    def listed(self, venue: Venue, archive: Archive, series: Series, days: tuple[str, ...]) -> dict[str, Listed]:
        keys = {day: archive.key(series, day) for day in days}
        return {day: Listed(key, len(self.files[key]), key, 0) for day, key in keys.items() if key in self.files}

    def fetch(self, venue: Venue, key: str, known: Listed | None) -> Fetched:
        self.asked.append(key)
        if key not in self.files:
            raise Refused(f"{key}: 404", kind="absent")
        return Fetched(key, None, key, "0" * 64, len(self.files[key]), 1, True, self.files[key])

    def release(self, venue: Venue, fetched: Fetched) -> None:
        pass

    def facts(self, venue: Venue, series: Series, day: str) -> Facts:
        return Facts(TODAY)


def candle(day: str, contracts: float, coins: float) -> dict[str, bytes]:
    """The file of a day's candle, in the columns of the new tree (htx-api 9.3)."""
    name = f"BTC-USDT-PERP-klines-1d-{day}"
    opens = day_window(day, LINEAR).start // SECOND
    row = f"BTC-USDT-PERP,100,110,90,100,{contracts},{coins!r},{coins * 100!r},{opens}"
    text = f"instId,open,high,low,close,vol,volCcy,volCcyQuote,ts\n{row}\n"
    return {f"historical_data/futures/daily/klines/BTC-USDT-PERP/1d/{name}.zip": zipped(f"{name}.csv", text)}


def trades(day: str, *sizes: int) -> dict[str, bytes]:
    name = f"BTC-USDT-PERP-trades-{day}"
    opens = day_window(day, LINEAR).start // MILLISECOND
    rows = [f"BTC-USDT-PERP,{opens + at},100,{size},BUY,{opens + at}" for at, size in enumerate(sizes)]
    text = "instId,tradeId,px,size,side,ts\n" + "\n".join(rows) + "\n"
    return {f"historical_data/futures/daily/trades/BTC-USDT-PERP/{name}.zip": zipped(f"{name}.csv", text)}


def run(shelf: Shelf, folder: Path, *days: str) -> Outcome:
    job = Job(TRADES, "test", tuple(day_window(day, LINEAR) for day in days), "archive", days=days)
    return fill_deep(job, venue=LINEAR, store=Store(folder / "lake"), shelf=shelf, tape=folder / "tape")


def quantities(shelf: Shelf, folder: Path) -> list[float]:
    assert not run(shelf, folder, *DAYS).missing
    return list(stored(folder / "lake", TRADES)["quantity"])


def test_the_size_of_a_contract_is_that_of_the_day(tmp_path: Path) -> None:
    """A contract of 0.01 until the second day and 0.002 on the third, though today's list says 0.001."""
    files = {**candle(DAYS[0], 300, 3.0), **candle(DAYS[1], 50, 0.5), **candle(DAYS[2], 1000, 2.0)}
    files |= {**trades(DAYS[0], 1, 299), **trades(DAYS[1], 50), **trades(DAYS[2], 400, 600)}
    assert quantities(Shelf(files), tmp_path) == [0.01, 2.99, 0.5, 0.8, 1.2]


def test_two_candles_are_enough_where_the_size_stayed(tmp_path: Path) -> None:
    """The job's first and last day agree: no other is asked for."""
    files = {**candle(DAYS[0], 300, 3.0), **candle(DAYS[1], 50, 0.5), **candle(DAYS[2], 200, 2.0)}
    files |= {**trades(DAYS[0], 300), **trades(DAYS[1], 50), **trades(DAYS[2], 200)}
    shelf = Shelf(files)
    assert quantities(shelf, tmp_path) == [3.0, 0.5, 2.0]
    assert [key[-14:-4] for key in shelf.asked if "klines" in key] == [DAYS[0], DAYS[2]]


def test_without_candles_it_is_todays(tmp_path: Path) -> None:
    """Where the archive has no candle of the day, the venue's list is all there is."""
    shelf = Shelf({**trades(DAYS[0], 300), **trades(DAYS[1], 50), **trades(DAYS[2], 200)})
    assert quantities(shelf, tmp_path) == [0.3, 0.05, 0.2]


def test_a_sum_of_doubles_is_the_listed_size() -> None:
    """What differs from today's size by the rounding of sums is today's size, to the last digit."""
    shelf = Shelf(candle(DAYS[0], 3000, 3.0000000001))
    daily = DailyCandles(LINEAR, "BTC-USDT", DAYS, shelf)
    assert (daily.of(DAYS[0]).state, daily.of(DAYS[0]).each) == ("traded", TODAY)
    assert len(shelf.asked) == 1


def test_what_a_day_was() -> None:
    """Traded, listed and not traded, or not listed at all."""
    shelf = Shelf({**candle(DAYS[0], 10, 0.01), **candle(DAYS[1], 0, 0.0)})
    daily = DailyCandles(LINEAR, "BTC-USDT", DAYS, shelf)
    assert [daily.of(day).state for day in DAYS] == ["traded", "untraded", "unlisted"]


def bad_trades(day: str) -> dict[str, bytes]:
    """A file whose last row is on neither side."""
    ((key, content),) = trades(day, 1, 2).items()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        text = archive.read(name).decode()
    return {key: zipped(name, text[::-1].replace("YUB", "DLEH", 1)[::-1])}


def old_trades(day: str, *sizes: int) -> dict[str, bytes]:
    """The same day in the old tree (htx-api 9.2)."""
    opens = day_window(day, LINEAR).start // MILLISECOND
    rows = [f"{opens + at},{opens + at},100,{size},{size / 100},{size},buy" for at, size in enumerate(sizes)]
    name = f"BTC-USDT-trades-{day}"
    return {f"data/trades/linear-swap/daily/BTC-USDT/{name}.zip": zipped(f"{name}.csv", "\n".join(rows) + "\n")}


def test_a_file_that_nobody_understands_is_missing_and_kept(tmp_path: Path) -> None:
    """The first row of it is not stored either; the file is in quarantine, and the reason names file and row."""
    outcome = run(Shelf({**bad_trades(DAYS[0]), **trades(DAYS[1], 50)}), tmp_path, *DAYS[:2])
    (missing,) = outcome.missing
    assert missing.window == day_window(DAYS[0], LINEAR)
    assert "BTC-USDT-PERP-trades-2026-03-04.zip: row 1: the side is 'HELD'" in missing.why
    assert stored(tmp_path / "lake", TRADES)["quantity"] == [0.05]
    assert len(list((tmp_path / "tape").rglob("*trades*"))) >= 1
    assert outcome.quarantined == 1


def test_where_one_tree_is_bad_the_other_is_read(tmp_path: Path) -> None:
    """The old tree's file of the day is good: the day is whole."""
    outcome = run(Shelf({**bad_trades(DAYS[0]), **old_trades(DAYS[0], 1, 2)}), tmp_path, DAYS[0])
    assert (outcome.missing, outcome.quarantined) == ((), 1)
    assert stored(tmp_path / "lake", TRADES)["quantity"] == [0.01, 0.02]


def test_no_more_is_stored_than_was_asked_for(tmp_path: Path) -> None:
    """A file holds a whole day; of a day that is asked for in part, that part is stored, and the rest may follow."""
    shelf = Shelf(trades(DAYS[0], *range(1, 9)))
    whole = day_window(DAYS[0], LINEAR)
    half = whole.start + 4 * MILLISECOND
    for window, due in ((Window(half, whole.end), [5, 6, 7, 8]), (Window(whole.start, half), [1, 2, 3, 4, 5, 6, 7, 8])):
        job = Job(TRADES, "test", (window,), "archive", days=DAYS[:1])
        fill_deep(job, venue=LINEAR, store=Store(tmp_path / "lake"), shelf=shelf, tape=tmp_path / "tape")
        assert stored(tmp_path / "lake", TRADES)["contracts"] == due
        assert leftover(window, Store(tmp_path / "lake").coverage(TRADES)) == []
    assert leftover(Window(whole.start - 1, whole.end + 1), Store(tmp_path / "lake").coverage(TRADES)) == [
        Window(whole.start - 1, whole.start), Window(whole.end, whole.end + 1)
    ]  # fmt: skip


def rewritten(file: dict[str, bytes], change: Callable[[list[str]], list[str]]) -> dict[str, bytes]:
    """The same file with its lines below the header changed."""
    ((key, content),) = file.items()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = archive.namelist()
        header, *lines = archive.read(name).decode().splitlines()
    return {key: zipped(name, "\n".join([header, *change(lines)]) + "\n")}


def test_what_was_written_of_a_file_that_turns_out_bad_is_forgotten(tmp_path: Path) -> None:
    """Its last row is bad, long after the first pieces went to the partition; the next day shares that partition."""
    many = [1] * 250_000

    def spoil(lines: list[str]) -> list[str]:
        return [*lines[:-1], lines[-1].replace("BUY", "HELD")]

    files = {**rewritten(trades(DAYS[0], *many), spoil), **trades(DAYS[1], 7)}
    outcome = run(Shelf(files), tmp_path, *DAYS[:2])
    assert [missing.window for missing in outcome.missing] == [day_window(DAYS[0], LINEAR)]
    assert stored(tmp_path / "lake", TRADES)["contracts"] == [7]


def test_rows_out_of_order_are_stored_in_order(tmp_path: Path) -> None:
    """Whatever the order in the file."""
    file = rewritten(trades(DAYS[0], 1, 2, 3, 4, 5), lambda lines: [lines[at] for at in (3, 0, 4, 2, 1)])
    assert not run(Shelf(file), tmp_path, DAYS[0]).missing
    assert stored(tmp_path / "lake", TRADES)["contracts"] == [1, 2, 3, 4, 5]


def test_a_row_of_another_day_is_refused(tmp_path: Path) -> None:
    """A file is a day; what is not of it makes the file suspect, whole."""
    late = day_window(DAYS[0], LINEAR).end // MILLISECOND
    file = rewritten(trades(DAYS[0], 1, 2), lambda lines: [lines[0], f"BTC-USDT-PERP,{late},100,2,BUY,{late}"])
    (missing,) = run(Shelf(file), tmp_path, DAYS[0]).missing
    assert "is not of the day" in missing.why
    assert stored(tmp_path / "lake", TRADES).get("contracts", []) == []


def test_a_day_whose_candle_cannot_be_read_is_asked_for_again(tmp_path: Path) -> None:
    """Without a file of trades the candle decides; where it does not answer, nothing is decided for good."""

    class Down(Shelf):
        def fetch(self, venue: Venue, key: str, known: Listed | None) -> Fetched:
            if "klines" in key:
                raise Unreachable("the line is down")
            return super().fetch(venue, key, known)

    files = {**candle(DAYS[0], 10, 0.01), **trades(DAYS[1], 50)}
    outcome = run(Down(files), tmp_path / "a", *DAYS[:2])
    assert [missing.window for missing in outcome.missing] == [day_window(DAYS[0], LINEAR)]
    assert outcome.unobtainable == ()
    outcome = run(Shelf(files), tmp_path / "b", *DAYS[:2])
    assert outcome.missing == ()
    assert outcome.unobtainable[0].window.start == day_window(DAYS[0], LINEAR).start


def test_an_archive_that_is_down_loses_nothing(tmp_path: Path) -> None:
    """Every day is missing with the reason, and withheld: REST may have it, and nobody may call it unobtainable."""

    class Down(Shelf):
        def listed(self, venue: Venue, archive: Archive, series: Series, days: tuple[str, ...]) -> dict[str, Listed]:
            raise Unreachable("the line is down")

    outcome = run(Down({}), tmp_path, *DAYS)
    assert [missing.window for missing in outcome.missing] == [day_window(day, LINEAR) for day in DAYS]
    assert {missing.why for missing in outcome.missing} == {"the line is down"}
    assert (outcome.withheld, outcome.unobtainable, outcome.unreachable) == (outcome.missing, (), True)


@pytest.mark.parametrize(("source", "host"), [("archive", "htx_archive"), ("rest", "htx_swap_rest")])
def test_a_job_that_is_not_tried_names_its_host(tmp_path: Path, source: str, host: str) -> None:
    """After some jobs in vain; what the archive was not asked for is withheld, too."""
    job = Job(TRADES, "test", (day_window(DAYS[0], LINEAR),), source, days=DAYS[:1])
    with Session(Settings(str(tmp_path / "lake"), str(tmp_path / "tape"))) as session:
        outcome = do_job(job, session, skip=True)
    assert [missing.why.split()[2] for missing in outcome.missing] == [host]
    assert outcome.withheld == (outcome.missing if source == "archive" else ())
