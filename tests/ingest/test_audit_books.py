"""The audit's check of order books: what it finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from htxdata.ingest import audit_books
from htxdata.ingest.audit_books import books
from htxdata.market import Series
from htxdata.sandbox import Market
from htxdata.sandbox.archive_days import Days
from htxdata.sandbox.archive_names import file_of
from htxdata.sandbox.archive_zips import Options, Zips
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import Asked, Partition, Store
from htxdata.store.layout import partitions
from htxdata.timeline import DAY, HOUR, SECOND, Window, parse_instant

SERIES = Series("book_changes", "htx-spot", "btcusdt", None)
T0 = parse_instant("2026-06-02T00:00")
HEARD = T0 + 30 * DAY
Change = tuple[int, str, int | None, int | None, list[tuple[float, float]], list[tuple[float, float]]]
"""Seconds after T0, kind, sequence, previous sequence, bids, asks."""


def table(changes: Iterable[Change], source: str = "archive", heard: int = HEARD) -> pa.Table:
    names = ("book_time", "kind", "sequence", "previous_sequence", "side", "price", "size")
    rows = [
        (T0 + at * SECOND, kind, sequence, previous, side, price, size)
        for at, kind, sequence, previous, bids, asks in changes
        for side, levels in (("bid", bids), ("ask", asks))
        for price, size in levels
    ]
    columns: dict[str, Any] = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    return conform(dataset("book_changes"), {**columns, "source": source, "received_at": [heard] * len(rows)})


def kept(root: Path, rows: pa.Table, *windows: Window) -> Store:
    """A lake that holds these rows, asked for in ``windows`` (the whole of each day, where none is given)."""
    store = Store(root)
    times = rows["book_time"].cast(pa.int64()).to_numpy()
    for partition in partitions(SERIES, Window(int(times.min()), int(times.max()) + 1)):
        mine = (times >= partition.window.start) & (times < partition.window.end)
        asked = [
            part for window in windows or (partition.window,) if (part := window.intersect(partition.window))
        ]
        store.commit(
            partition, rows.filter(pa.array(mine)), [Asked(part, "archive", HEARD, "empty") for part in asked]
        )
    return store


def found(store: Store) -> list[tuple[float, str | None, float | None, float | None]]:
    """Seconds after T0, column, ours, theirs."""
    findings = list(books(store, SERIES))
    assert {(one.check, one.series) for one in findings} <= {("book", SERIES)}
    return [((one.at - T0) / SECOND, one.column, one.ours, one.theirs) for one in findings]


GOOD: list[Change] = [
    (1, "snapshot", 0, None, [(99, 1), (98, 2)], [(101, 1), (102, 2)]),
    (2, "delta", 1, None, [(100, 1)], []),
    (3, "delta", 2, None, [(100, 0)], [(100, 3)]),
    (4, "delta", 3, None, [(99, 7)], [(102, 0)]),
]


def test_a_good_book_has_no_findings(tmp_path: Path) -> None:
    """A level that goes and comes on the other side in one message crosses nothing."""
    assert found(kept(tmp_path, table(GOOD))) == []


def test_a_crossed_book_is_told_once(tmp_path: Path) -> None:
    """Where it begins, with the ask and the bid; once more where it begins again; touching is crossing."""
    bad: list[Change] = [
        (5, "delta", 4, None, [(100.5, 1)], []),
        (6, "delta", 5, None, [(100.25, 1)], []),
        (7, "delta", 6, None, [(100.5, 0), (100.25, 0)], []),
        (8, "delta", 7, None, [(100, 1)], []),
    ]
    assert found(kept(tmp_path, table(GOOD + bad))) == [(5, "price", 100, 100.5), (8, "price", 100, 100)]


def test_a_crossed_snapshot_is_found(tmp_path: Path) -> None:
    """A snapshot is a book, too."""
    assert found(kept(tmp_path, table([(1, "snapshot", 0, None, [(5, 1)], [(4, 1)])]))) == [
        (1, "price", 4, 5)
    ]


def test_a_delta_without_a_snapshot_is_told_once(tmp_path: Path) -> None:
    """Nothing is known of the book until the snapshot, so nothing is crossed either."""
    early: list[Change] = [(-3, "delta", 7, None, [(200, 1)], []), (-2, "delta", 8, None, [], [(1, 1)])]
    assert found(kept(tmp_path, table(early + GOOD))) == [(-3, "kind", None, None)]


def test_a_book_goes_on_at_midnight(tmp_path: Path) -> None:
    """Files are of UTC+8 days and partitions of UTC ones: the last book of one is the first of the next."""
    before: list[Change] = [(-5, "snapshot", 0, None, [(99, 1)], [(101, 1)])]
    after: list[Change] = [(5, "delta", 1, None, [(100, 1)], []), (6, "delta", 2, None, [(101, 1)], [])]
    assert found(kept(tmp_path, table(before + after))) == [(6, "price", 101, 101)]


def test_no_book_is_carried_over_what_is_missing(tmp_path: Path) -> None:
    """After a hole, the deltas up to the next snapshot belong to a book that was not seen."""
    rows: list[Change] = [
        *GOOD,
        (9000, "delta", 9, None, [(99, 1)], []),
        (9001, "delta", 10, None, [(500, 1)], []),
    ]
    windows = Window(T0, T0 + HOUR), Window(T0 + 2 * HOUR, T0 + 3 * HOUR)
    assert found(kept(tmp_path, table(rows), *windows)) == [(9000, "kind", None, None)]
    assert found(kept(tmp_path / "whole", table(rows))) == [(9001, "price", 100, 500)]


def test_a_new_file_numbers_anew(tmp_path: Path) -> None:
    """Line numbers of the archive begin at 0 in every file: a lower one is not overtaken."""
    more: list[Change] = [(10, "delta", 0, None, [(98.5, 1)], []), (11, "delta", 1, None, [(100, 1)], [])]
    rows = pa.concat_tables([table(GOOD), table(more, heard=HEARD + 1)])
    assert found(kept(tmp_path, rows)) == [(11, "price", 100, 100)]


def test_what_a_socket_said_is_held_against_its_numbers(tmp_path: Path) -> None:
    """A message that follows one that is not there breaks the book until the next snapshot."""
    rows: list[Change] = [
        (1, "snapshot", 10, None, [(99, 1)], [(101, 1)]),
        (2, "delta", 12, 10, [(98, 1)], []),
        (3, "delta", 15, 14, [(200, 1)], []),
        (4, "delta", 16, 15, [(201, 1)], []),
        (5, "snapshot", 20, None, [(99, 1)], [(101, 1)]),
        (6, "delta", 19, 18, [(300, 1)], []),
        (7, "delta", 21, 20, [(101, 1)], []),
    ]
    assert found(kept(tmp_path, table(rows, "ws"))) == [
        (3, "previous_sequence", 12, 14),
        (6, "sequence", 20, 19),
        (7, "price", 101, 101),
    ]


def test_two_sources_are_two_books(tmp_path: Path) -> None:
    """An old level of one is no level of the other."""
    other: list[Change] = [
        (1, "snapshot", None, None, [(150, 1)], [(151, 1)]),
        (3, "delta", None, None, [(150, 2)], []),
    ]
    rows = pa.concat_tables([table(GOOD), table(other, "ws", T0)])
    assert found(kept(tmp_path, rows)) == []
    seen = found(kept(tmp_path / "one", pa.concat_tables([table(GOOD), table(other, "archive", T0)])))
    assert seen == [(3, "price", 101, 150)]


def test_messages_without_numbers_are_told_by_their_time(tmp_path: Path) -> None:
    """A delta is no part of the snapshot before it: what it takes away is gone."""
    rows: list[Change] = [
        (1, "snapshot", None, None, [(99, 1)], [(100, 1)]),
        (2, "delta", None, None, [(100, 1)], [(100, 0)]),
        (3, "delta", None, None, [], [(99.5, 1)]),
    ]
    assert found(kept(tmp_path, table(rows, "ws"))) == [(3, "price", 99.5, 100)]


def test_no_other_dataset_is_looked_at(tmp_path: Path) -> None:
    """The check is asked of every series."""
    store = kept(tmp_path, table(GOOD))
    assert list(books(store, Series("trades", "htx-spot", "btcusdt", None))) == []


@pytest.mark.parametrize("rows", [1, 2, 3, 1000])
def test_batches_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """A message that is cut in two by the end of a batch is still one message."""
    bad: list[Change] = [(5, "delta", 4, None, [(97, 0), (100, 1)], [(100, 0), (100.5, 3)])]
    store = kept(tmp_path, table([*GOOD, *bad]))
    cut_into(monkeypatch, rows)
    assert found(store) == []


def cut_into(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    whole = audit_books.Held.batches

    def batches(self: Any, names: Any = None) -> Iterator[pa.Table]:
        for each in whole(self, names):
            yield from (each.slice(at, rows) for at in range(0, len(each), rows))

    monkeypatch.setattr(audit_books.Held, "batches", batches)


# ------------------------------------------------------------------------------------------------ the sandbox


def sandbox_day(key: str) -> pa.Table:
    market = Market(2)
    file = file_of(key)
    assert file is not None
    truth = Zips(market, Days(2), Options()).rows(file)
    return conform(dataset("book_changes"), {**truth, "source": "archive", "received_at": HEARD})


def test_a_day_of_the_sandbox_is_clean_and_a_lost_line_shows(tmp_path: Path) -> None:
    """Books that are never crossed have no finding; without some of their deltas they have."""
    rows = sandbox_day(
        "historical_data/spot/daily/orderbook/lv400/BTC-USDT/BTC-USDT-l2orderbook-400lv-2026-06-02.tar.gz"
    )
    assert found(kept(tmp_path, rows)) == []
    gone = np.asarray(rows["kind"]) == "delta"
    gone &= (np.asarray(rows["size"]) == 0) & (np.asarray(rows["side"]) == "ask")
    seen = found(kept(tmp_path / "lossy", rows.filter(pa.array(~gone))))
    assert seen
    assert {column for _, column, _, _ in seen} == {"price"}
    assert all(ours <= theirs for _, _, ours, theirs in seen if ours is not None and theirs is not None)


def test_memory_is_that_of_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many messages take no more of it."""
    cut_into(monkeypatch, 1000)
    peaks = []
    for count in (2_000, 8_000):
        more: list[Change] = [
            (5 + at, "delta", 4 + at, None, [(90, at % 7), (91, 1)], [(110, at % 5)]) for at in range(count)
        ]
        store = kept(tmp_path / str(count), table(GOOD + more))
        tracemalloc.start()
        assert found(store) == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_partitions_are_days() -> None:
    """What the tests above take for granted."""
    assert [str(one.label) for one in partitions(SERIES, Window(T0 - 1, T0 + 1))] == [
        "2026-06-01",
        "2026-06-02",
    ]
    assert Partition("book_changes", "htx-spot", "btcusdt", None, "2026-06-02").window.start == T0
