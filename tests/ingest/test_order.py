"""Rows come out in order of time and key, however a file was cut into tables."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.order import Unsorted, by_time, in_order, inside
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.timeline import Window

TRADES = dataset("trades")
Row = tuple[int, str]


def table(rows: list[Row]) -> pa.Table:
    times, ids = [row[0] for row in rows], [row[1] for row in rows]
    count = len(rows)
    return conform(TRADES, {"trade_time": times, "trade_id": ids, "price": [1.0] * count, "quantity": [1.0] * count,
                            "side": "buy", "source": "archive", "received_at": 5})  # fmt: skip


def rows(tables: list[pa.Table]) -> list[Row]:
    out: list[Row] = []
    for each in tables:
        out += zip(each["trade_time"].cast(pa.int64()).to_pylist(), each["trade_id"].to_pylist(), strict=True)
    return out


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["9", "10", "11", "8", "100"])), max_size=40),
    st.lists(st.integers(1, 6), min_size=1, max_size=20),
)
def test_any_cut_of_rows_in_order_of_time_comes_out_in_order_of_time_and_key(
    found: list[Row], cuts: list[int]
) -> None:
    """Ties are sorted by their key as text, also across the borders of tables."""
    found = sorted(found, key=lambda row: row[0])
    pieces, at = [], 0
    while at < len(found):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(table(found[at : at + size]))
        at += size
    out = list(in_order(pieces, TRADES))
    assert rows(out) == sorted(found)
    assert all(len(each) for each in out)


@pytest.mark.parametrize(
    "pieces", [[[(1, "a"), (0, "b")]], [[(1, "a"), (2, "a")], [(1, "b")]], [[(2, "a")], [(1, "a")]]]
)
def test_an_earlier_row_is_told(pieces: list[list[Row]]) -> None:
    """Within a table or across its border."""
    with pytest.raises(Unsorted):
        list(in_order([table(piece) for piece in pieces], TRADES))


def test_a_table_is_sorted_by_time_alone_where_that_is_enough() -> None:
    """Stable: rows of one instant stay in their order."""
    assert rows([by_time(table([(2, "b"), (1, "z"), (2, "a")]), TRADES)]) == [(1, "z"), (2, "b"), (2, "a")]
    assert inside(table([(1, "a"), (2, "b"), (3, "c")]), TRADES, Window(2, 3)).tolist() == [False, True, False]
