"""Every column and dataset is said once, and renders everywhere."""

from __future__ import annotations

import pyarrow as pa
import pytest

from htxdata.errors import UsageError
from htxdata.market import PERIODS
from htxdata.schema import DATASETS, Dataset, dataset
from htxdata.schema.arrow import arrow_schema
from htxdata.schema.columns import COLUMNS
from htxdata.schema.dictionary import render
from htxdata.schema.sql import TYPES, select_list, view_columns
from htxdata.timeline import DAY, GRAINS, HOUR, MINUTE

NAMES = [entry.name for entry in DATASETS]


def test_every_column_is_used() -> None:
    """A column that no dataset has is a leftover."""
    used = {name for entry in DATASETS for name in (*entry.columns, *entry.path_columns, *entry.key)}
    assert set(COLUMNS) == used


@pytest.mark.parametrize("entry", DATASETS, ids=NAMES)
def test_a_dataset_is_sound(entry: Dataset) -> None:
    """Its key and time column are its own and never NULL, its columns differ, its files say where rows came from."""
    assert len(set(entry.columns)) == len(entry.columns)
    assert {*entry.key, entry.time_column} <= set(entry.columns)
    assert entry.nullable & {*entry.key, entry.time_column} <= {"sequence", "change_time", "record_id"}
    assert entry.nullable <= set(entry.columns)
    assert COLUMNS[entry.time_column].kind == "ts"
    assert not set(entry.columns) & ({"venue", "symbol"} | ({"period"} if entry.has_period else set()))
    if entry.stored:
        assert entry.columns[-2:] == ("source", "received_at") or "received_at" in entry.columns
        assert entry.grain("1min") in GRAINS
    assert all(entry.grain(period) in GRAINS for period in (None, *PERIODS))


@pytest.mark.parametrize("entry", DATASETS, ids=NAMES)
def test_a_dataset_renders_everywhere(entry: Dataset) -> None:
    """The view has the columns of the files, typed alike, after the columns of the path; the
    dictionary has them all."""
    schema = arrow_schema(entry)
    view = dict(view_columns(entry))
    kinds = {
        "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
        "DOUBLE": pa.float64(),
        "BIGINT": pa.int64(),
        "VARCHAR": pa.string(),
    }
    assert {name: kinds[view[name]] for name in schema.names} == {field.name: field.type for field in schema}
    assert [field.name for field in schema if field.nullable] == [
        n for n in entry.columns if n in entry.nullable
    ]
    if entry.stored:
        assert list(view) == [*entry.path_columns, *entry.columns]
    assert all(
        f'CAST("{name}" AS {TYPES[COLUMNS[name].kind]}) AS "{name}"' in select_list(entry) for name in view
    )
    section = render().split(f"\n## {entry.name}\n")[1].split("\n## ")[0]
    assert [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")] == list(view)


def test_candles_have_the_columns_of_the_contract() -> None:
    """Names and order of product.md section 4."""
    klines = dataset("klines")
    assert klines.columns == (
        "open_time",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "contracts",
        "trade_count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
        "source",
        "received_at",
    )
    assert klines.nullable == set(klines.columns[5:11])
    assert dataset("kline_revisions").columns == (*klines.columns, "superseded_at")


@pytest.mark.parametrize(
    ("name", "period", "settle", "recheck"),
    [
        ("klines", "1min", MINUTE, 10 * MINUTE),
        ("klines", "60min", MINUTE, 3 * HOUR),
        ("klines", "1day", MINUTE, 2 * DAY),
        ("klines", "1mon", MINUTE, 2 * DAY),
        ("funding_rates", None, MINUTE, HOUR),
        ("instruments", None, 0, 0),
    ],
)
def test_how_long_rows_are_doubted(name: str, period: str | None, settle: int, recheck: int) -> None:
    """Candles a minute before they count and three periods after, within ten minutes and two days."""
    assert (dataset(name).settle(period), dataset(name).recheck(period)) == (settle, recheck)


def test_an_unknown_dataset_is_said() -> None:
    """With the names that there are."""
    with pytest.raises(UsageError, match=r"'trade' is not a dataset: choose from klines, kline_revisions"):
        dataset("trade")
