"""The list of instruments, looked at from time to time: what is new, what changed, what is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import Incomplete, UnknownSymbol
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import Snapshot, describe, snapshot_instruments
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store.partition import Store
from htxdata.timeline import DAY, SECOND, parse_instant
from htxdata.venues import venue
from tests.truth import files, settings_for, stored

SPOT, LINEAR = venue("htx-spot"), venue("htx-linear")
Look = Callable[..., Snapshot]


class Clock:
    """The sandbox's clock, set by hand."""

    def __init__(self) -> None:
        self.at = "2025-02-01"

    def __call__(self) -> float:
        return parse_instant(self.at) / SECOND


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def look(tmp_path: Path, clock: Clock) -> Iterator[Look]:
    with Sandbox(seed=1, limits=False, clock=clock) as sandbox:

        def look(which: Any = SPOT, symbols: tuple[str, ...] = ("*",), **listed: Any) -> Snapshot:
            with Session(settings_for(sandbox, tmp_path), say=lambda text: None) as session:
                if listed:  # the same list as it would have been heard at another time
                    answer = session.instruments(which)
                    assert answer is not None
                    session._listings[which.name] = (answer[0], listed["heard"])
                return snapshot_instruments(session, which, symbols)

        yield look


def rows(folder: Path, symbol: str, name: str = "htx-spot") -> list[dict[str, Any]]:
    columns = stored(folder / "lake", Series("instruments", name, symbol))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_the_first_look_stores_every_instrument_as_it_is(tmp_path: Path, look: Look, clock: Clock) -> None:
    """Every listed symbol has one row with the venue's own figures, at the time we heard it."""
    clock.at = "2026-03-01"
    for which in (SPOT, LINEAR):
        found = look(which)
        series = Store(tmp_path / "lake").series(dataset="instruments", venue=which.name)
        assert (found.new, found.changed, found.gone) == (found.seen, 0, 0) == (len(series), 0, 0)
    (btc,) = rows(tmp_path, "BTC-USDT", "htx-linear")
    assert (btc["base"], btc["quote"], btc["settle"], btc["kind"]) == ("BTC", "USDT", "USDT", "swap")
    assert (btc["contract_size"], btc["tick_size"], btc["status"]) == (0.001, 0.1, "trading")
    (nas,) = rows(tmp_path, "nasusdt")
    assert (nas["status"], nas["delisted_at"]) == (
        "delisted",
        None,
    )  # gone before we ever looked: nobody says when
    (waves,) = rows(tmp_path, "wavesusdt")
    assert waves["status"] == "suspended"
    (future,) = rows(tmp_path, "BTC-USDT-250328", "htx-linear")
    assert (future["kind"], future["status"]) == ("future", "delisted")
    assert future["delivery_at"] == parse_instant("2025-03-28T08:00")
    assert all(row["as_of"] == row["received_at"] for row in (btc, nas, waves, future))


def test_a_second_look_at_the_same_list_changes_no_byte(tmp_path: Path, look: Look) -> None:
    """Nothing new, no row, no file touched."""
    first = look()
    before = files(tmp_path)
    again = look()
    assert (again.seen, again.new, again.changed, again.gone) == (first.seen, 0, 0, 0)
    assert files(tmp_path) == before


def test_that_nothing_changed_is_noted_once_a_day(tmp_path: Path, look: Look) -> None:
    """A look a day later makes no row, but the coverage says that the description still held."""
    first = look()
    later = first.as_of + DAY + SECOND
    look(heard=later)
    store = Store(tmp_path / "lake")
    series = Series("instruments", "htx-spot", "btcusdt")
    assert len(rows(tmp_path, "btcusdt")) == 1
    assert [(s.start, s.end, s.verdict) for s in store.coverage(series)] == [(first.as_of, later, "present")]


def test_a_status_that_changes_makes_one_new_row(tmp_path: Path, look: Look, clock: Clock) -> None:
    """nasusdt is delisted between two looks: one new row with the time of the look, and no other symbol has one."""
    look()
    clock.at = "2025-02-20"
    found = look()
    assert (found.new, found.changed, found.gone) == (0, 1, 0)
    before, after = rows(tmp_path, "nasusdt")
    assert (before["status"], before["delisted_at"]) == ("trading", None)
    assert (after["status"], after["delisted_at"], after["as_of"]) == ("delisted", found.as_of, found.as_of)
    assert len(rows(tmp_path, "btcusdt")) == 1


def test_a_symbol_that_leaves_the_list_gets_a_last_row(tmp_path: Path, look: Look, clock: Clock) -> None:
    """HTX says no time of delisting: gone from the list is delisted as of now, once; back again is one more row."""
    clock.at = "2025-03-20"
    look()
    clock.at = "2025-03-01"  # before bmtusdt was listed
    found = look()
    assert (found.new, found.changed, found.gone) == (0, 0, 1)
    last = rows(tmp_path, "bmtusdt")[-1]
    assert (last["status"], last["delisted_at"]) == ("delisted", found.as_of)
    assert (last["base"], last["tick_size"]) == ("BMT", 1e-05)
    assert look().gone == 0
    clock.at = "2025-03-20"
    assert look().changed == 1
    assert [row["status"] for row in rows(tmp_path, "bmtusdt")] == ["trading", "delisted", "trading"]


def test_what_was_gone_before_the_first_look_keeps_its_unknown_time(
    tmp_path: Path, look: Look, clock: Clock
) -> None:
    """Another figure of a delisted symbol changes: when it was delisted is as unknown as before."""
    clock.at = "2025-02-20"
    look(symbols=("nasusdt",))
    store = Store(tmp_path / "lake")
    (partition,) = store.partitions(Series("instruments", "htx-spot", "nasusdt"))
    table = store.read(partition)
    assert table is not None
    import pyarrow as pa

    at = table.schema.get_field_index("tick_size")
    older = table.set_column(at, table.schema.field(at), pa.array([0.5]))
    for name in ("as_of", "received_at"):
        place = older.schema.get_field_index(name)
        later = pa.array([older[name][0].value + 1], pa.int64()).view(pa.timestamp("us", tz="UTC"))
        older = older.set_column(place, older.schema.field(place), later)
    store.commit(partition, older)
    assert look(symbols=("nasusdt",)).changed == 1
    assert [row["delisted_at"] for row in rows(tmp_path, "nasusdt")] == [None, None, None]


def test_some_symbols_only(tmp_path: Path, look: Look) -> None:
    """A glob takes what it means and nobody is declared gone; an unknown name is refused with a near one."""
    found = look(symbols=("eth*",))
    assert found.seen == 2
    assert [s.symbol for s in Store(tmp_path / "lake").series()] == ["ethbtc", "ethusdt"]
    with pytest.raises(UnknownSymbol, match="btcusdt"):
        look(symbols=("btcusd",))
    assert "2 instruments" in describe(found)


def test_a_list_with_an_unknown_status_is_set_aside_and_nothing_is_stored(tmp_path: Path) -> None:
    """No guess: the reply is in quarantine, the snapshot is incomplete and the lake stays as it was."""
    faults = Faults(Rule("garbage", mode="value", path="*symbols"))
    with Sandbox(seed=1, limits=False, faults=faults) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        with Session(settings, say=lambda text: None) as session, pytest.raises(Incomplete, match="htx-spot"):
            snapshot_instruments(session, SPOT)
    assert not (tmp_path / "lake").exists()
    assert len(list((tmp_path / "tape").rglob("*.body"))) == 2
