"""Every column and dataset is said once, and renders everywhere."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from htxdata import open_lake
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
    assert {*entry.told_once, *entry.heard_once, *entry.says} <= set(entry.columns)
    assert bool(entry.says) == (entry.density == "states"), "what a state can say anew, and nothing else can"
    assert entry.time_column in entry.heard_once or not entry.heard_once
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


CONTRACT = {
    "klines": "open_time:ts open:f high:f low:f close:f volume:f* quote_volume:f* contracts:f* trade_count:i* "
    "taker_buy_volume:f* taker_buy_quote_volume:f*",
    **dict.fromkeys(
        ("mark_klines", "index_klines", "premium_klines", "estimated_rate_klines"),
        "open_time:ts open:f high:f low:f close:f",
    ),
    "trades": "trade_time:ts trade_id:s price:f quantity:f quote_quantity:f* contracts:f* side:s",
    "funding_rates": "funding_time:ts funding_rate:f realized_rate:f* avg_premium_index:f*",
    "indicative_funding_rates": "observed_at:ts funding_time:ts funding_rate:f",
    "index_constituents": "index_time:ts index_price:f exchange:s constituent:s price:f weight:f",
    "instruments": "as_of:ts base:s quote:s settle:s* kind:s status:s contract_size:f* tick_size:f lot_size:f* "
    "listed_at:ts* delisted_at:ts* delivery_at:ts*",
    "open_interest": "time:ts contracts:f volume:f* value:f*",
    "liquidations": "liquidated_at:ts liquidation_id:s side:s price:f quantity:f contracts:f*",
    "quotes": "quote_time:ts bid:f bid_size:f ask:f ask_size:f sequence:i*",
    "book_changes": "book_time:ts kind:s side:s price:f size:f contracts:f* sequence:i* previous_sequence:i*",
    "capture_gaps": "feed:s gap_start:ts gap_end:ts cause:s healed_at:ts*",
    "own_fills": "trade_time:ts trade_id:s order_id:s side:s price:f quantity:f fee:f fee_currency:s* role:s* "
    "order_type:s* client_order_id:s*",
    "own_account_updates": "change_time:ts* account_id:s account_type:s* currency:s balance:f* available:f* "
    "change_type:s* sequence:i*",
    "coverage": "span_start:ts span_end:ts verdict:s source:s rows:i",
}
"""product.md section 4: columns in order, `*` where they may be NULL, after venue, symbol and period and before
source and received_at."""

MORE = {"own_account_updates": {"updated_at", "amount", "record_id"}}
"""Columns that the contract does not have; they stand among its own."""

MAY_BE_NULL = {
    "own_account_updates": {"amount", "record_id"},
    "own_fills": {"fee"},  # the sockets of HTX's contracts and of HashKey tell none
    "instruments": {"tick_size"},  # every venue tells it so far
}
"""Beyond what the contract says."""


@pytest.mark.parametrize("name", CONTRACT)
def test_a_view_is_what_the_contract_says(name: str, tmp_path: Path) -> None:
    """Names, order and types, as DuckDB describes them on a lake that holds nothing."""
    said = [entry.split(":") for entry in CONTRACT[name].split()]
    entry = dataset(name)
    kinds = {"ts": "TIMESTAMP WITH TIME ZONE", "f": "DOUBLE", "i": "BIGINT", "s": "VARCHAR"}
    head = ["dataset"] if name == "coverage" else []
    head += ["venue", "symbol"] + (["period"] if entry.has_period or name == "coverage" else [])
    wanted = [(column, "VARCHAR") for column in head]
    wanted += [(column, kinds[kind.rstrip("*")]) for column, kind in said]
    if name != "coverage":
        wanted += [("source", "VARCHAR"), ("received_at", kinds["ts"])]
    with open_lake(tmp_path / "nothing") as lake:
        described = lake.sql(f"describe {name}").fetchall()
    assert [(row[0], row[1]) for row in described if row[0] not in MORE.get(name, ())] == wanted
    if entry.stored:
        may_be_null = {column for column, kind in said if kind.endswith("*")}
        assert set(entry.nullable) == may_be_null | MAY_BE_NULL.get(name, set())


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
