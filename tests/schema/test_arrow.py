"""The gate to the lake: what is let through, and what is refused by row and column."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from htxdata.errors import BadReply
from htxdata.schema import dataset
from htxdata.schema.arrow import UNFIT, arrow_schema, conform

FUNDING = dataset("funding_rates")
KLINES = dataset("klines")
TIMES = [1_704_067_200_000_000, 1_704_096_000_000_000]


def funding(**change: Any) -> pa.Table:
    columns = {
        "funding_time": TIMES,
        "funding_rate": [0.0001, -0.5],
        "source": "rest",
        "received_at": TIMES[1],
        **change,
    }
    return conform(FUNDING, {name: value for name, value in columns.items() if value is not ...})


@pytest.mark.parametrize(
    "times",
    [
        TIMES,
        np.array(TIMES),
        pa.array(TIMES),
        pa.chunked_array([TIMES[:1], TIMES[1:]]),
        pa.array(TIMES, pa.timestamp("us", "UTC")),
        [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)],
        pa.array([t // 1000 for t in TIMES], pa.timestamp("ms", "UTC")),
    ],
)
def test_columns_of_any_make(times: Any) -> None:
    """Lists, numpy, Arrow, integers, timestamps: the same table, of the dataset's schema."""
    table = funding(funding_time=times, realized_rate=[None, 1], avg_premium_index=None)
    assert table.schema == arrow_schema(FUNDING)
    assert table.to_pydict() == {
        "funding_time": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)],
        "funding_rate": [0.0001, -0.5],
        "realized_rate": [None, 1.0],
        "avg_premium_index": [None, None],
        "source": ["rest", "rest"],
        "received_at": [dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)] * 2,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"funding_rate": [0.1, float("nan")]}, "row 1, column 'funding_rate'"),
        ({"funding_rate": [float("inf"), 0.1]}, "row 0, column"),
        ({"realized_rate": [None, float("-inf")]}, "row 1, column 'realized_rate'"),
        ({"funding_rate": [None, 0.1]}, "row 0 has no 'funding_rate'"),
        ({"funding_rate": np.array([0.1, np.nan])}, "row 1"),
        ({"funding_rate": ["0.1", "0.2"]}, "'funding_rate' holds something else"),
        ({"funding_rate": [True, False]}, "'funding_rate' holds"),
        ({"funding_rate": [2**60 + 1, 1]}, "'funding_rate' holds"),
        ({"funding_rate": [0.1, "x"]}, "'funding_rate' holds"),
        ({"funding_rate": "0.1"}, "'funding_rate' holds"),
        ({"funding_rate": True}, "'funding_rate' holds"),
        ({"funding_rate": ...}, "'funding_rate' is missing"),
        ({"funding_time": [1.5, 2.5]}, "'funding_time' holds"),
        ({"funding_time": ["2024", "2025"]}, "'funding_time' holds"),
        ({"funding_time": [2**70, 1]}, "'funding_time' holds"),
        ({"funding_time": [None, 1]}, "row 0 has no 'funding_time'"),
        ({"source": [1, 2]}, "'source' holds"),
        ({"source": 1}, "'source' holds"),
        ({"source": [None, "rest"]}, "row 0 has no 'source'"),
        ({"funding_rate": [0.1]}, "different lengths"),
        ({"rate": [1, 2]}, "no column 'rate'"),
    ],
)
def test_what_is_refused_is_named(change: dict[str, Any], words: str) -> None:
    """NaN, infinities, nulls where none may be, texts for numbers, numbers for texts, truth
    values, missing and strange columns."""
    with pytest.raises(BadReply, match=words) as caught:
        funding(**change)
    assert "funding_rates" in str(caught.value)


def test_whole_numbers_stay_whole() -> None:
    """A count of trades may come as 2.0, never as 2.5."""
    candle = {
        "open_time": TIMES[:1],
        "open": [1],
        "high": [1],
        "low": [1],
        "close": [1],
        "source": "rest",
        "received_at": TIMES[0],
    }
    assert conform(KLINES, {**candle, "trade_count": [2.0]}).column("trade_count").to_pylist() == [2]
    with pytest.raises(BadReply, match="'trade_count' holds"):
        conform(KLINES, {**candle, "trade_count": [2.5]})


def test_no_rows_are_a_table_too() -> None:
    """Empty lists of whatever type become the schema's."""
    table = funding(funding_time=[], funding_rate=[])
    assert len(table) == 0
    assert table.schema == arrow_schema(FUNDING)


def test_unfit_rides_along() -> None:
    """Only where it is given."""
    columns = {"funding_time": TIMES, "funding_rate": [1, 2], "source": "rest", "received_at": 0}
    assert conform(FUNDING, columns, np.array([0, 3], np.uint8)).column(UNFIT).to_pylist() == [0, 3]
    assert UNFIT not in conform(FUNDING, columns).column_names
