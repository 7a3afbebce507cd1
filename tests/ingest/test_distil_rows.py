"""Which rows off a tape are new, as their dataset declares it: heard twice, told by another source, or neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from htxdata.ingest.distil_rows import Basket
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.store.coverage import Asked
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.timeline import HOUR, MINUTE, Window
from htxdata.venues import venue
from tests.truth import stored

T0 = 1_795_300_000_000_000 // HOUR * HOUR
TOLD = Window(T0, T0 + 30 * MINUTE)
BEFORE, AFTER = T0 + MINUTE, T0 + 40 * MINUTE


def put(folder: Path, series: Series, *rows: dict[str, Any]) -> dict[str, list[Any]]:
    """Rows off a socket into a lake, one commit for each; all that it then has."""
    for row in rows:
        basket = Basket(Store(folder), {series.venue: venue(series.venue)})
        basket.put(series, {name: [value] for name, value in row.items()})
        basket.flush()
    return stored(folder, series)


def ask(folder: Path, series: Series) -> None:
    """REST tells of half an hour, and has nothing."""
    Store(folder).commit(partition_of(series, T0), None, [Asked(TOLD, "rest", T0 + HOUR)])


def test_what_no_number_joins_is_told_by_one_source(tmp_path: Path) -> None:
    """A liquidation that the socket tells of a time that REST has told would be there twice, and is left out."""
    series = Series("liquidations", "htx-linear", "BTC-USDT")
    ask(tmp_path, series)
    rows = [
        {"liquidated_at": at, "liquidation_id": f"ws-{at}", "side": "buy", "price": 1.0, "quantity": 1.0,
         "received_at": at} for at in (BEFORE, AFTER)
    ]  # fmt: skip
    assert put(tmp_path, series, *rows)["liquidated_at"] == [AFTER]


def test_a_balance_that_is_no_change_is_told_by_nobody_else(tmp_path: Path) -> None:
    """Of a time that the ledger told, changes off the socket are left out; what a connection began with stays."""
    series = Series("own_account_updates", "htx-spot", ALL_SYMBOLS)
    ask(tmp_path, series)
    rows = [
        {"updated_at": at, "change_time": change, "account_id": "7", "currency": "usdt", "balance": 1.0, "sequence": at,
         "received_at": at} for at, change in ((BEFORE, BEFORE), (BEFORE + 1, None), (AFTER, AFTER))
    ]  # fmt: skip
    assert put(tmp_path, series, *rows)["change_time"] == [None, AFTER]


def test_a_quote_heard_by_two_connections_is_one(tmp_path: Path) -> None:
    """Their receive times differ, which are part of the key: the first stays, and the next quote is another."""
    series = Series("quotes", "htx-linear", "BTC-USDT")
    said = {"quote_time": BEFORE, "bid": 1.0, "bid_size": 2.0, "ask": 1.5, "ask_size": 3.0, "sequence": 9}
    rows = [
        {**said, "received_at": BEFORE + 10}, {**said, "received_at": BEFORE + 20},
        {**said, "sequence": 10, "received_at": BEFORE + 30},
    ]  # fmt: skip
    assert put(tmp_path, series, *rows)["received_at"] == [BEFORE + 10, BEFORE + 30]


def test_what_has_a_number_is_known_by_it(tmp_path: Path) -> None:
    """A trade off the socket is kept whatever REST said of its time: were it there, it would be the same row."""
    series = Series("trades", "htx-linear", "BTC-USDT")
    ask(tmp_path, series)
    rows = [
        {"trade_time": BEFORE, "trade_id": "1", "price": 1.0, "quantity": 1.0, "side": "buy", "received_at": at}
        for at in (BEFORE + 10, BEFORE + 20)
    ]  # fmt: skip
    assert put(tmp_path, series, *rows)["trade_id"] == ["1"]
