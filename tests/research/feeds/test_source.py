"""What an export reads, and what it says of what it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from htxdata.errors import UsageError
from htxdata.market import Series
from htxdata.research.feeds.source import Source
from htxdata.research.lake import Lake
from htxdata.store import Store
from htxdata.timeline import MINUTE, parse_instant
from tests.research.lakes import candle, put

HELD = {"BTC240329": "2024-03-01", "BTC240628": "2024-05-01", "BTC240510": "2024-05-02"}


@pytest.mark.parametrize(
    ("alias", "start", "end", "said"),
    [
        ("BTC_CQ", None, None, "the lake has BTC240329, BTC240628"),
        ("btc_cq", "2024-03-20", None, "the lake has BTC240628"),  # two weeks before its end a quarter is no longer CQ
        ("BTC_CW", "2024-05-01", "2024-06-01", "the lake has BTC240510"),
        ("ETH_CQ", None, None, "the lake has none of them"),
    ],
)
def test_of_an_alias_the_contracts_are_said_that_it_meant(
    tmp_path: Path, alias: str, start: str | None, end: str | None, said: str
) -> None:
    """They have prices of their own: to join them in silence would put a jump into a backtest at every roll."""
    store = Store(tmp_path)
    for name, day in HELD.items():
        at = parse_instant(day)
        put(store, Series("klines", "htx-futures", name, "1min"), [candle(at, 1.0)], [(at, at + MINUTE, "empty")])
    with Lake(tmp_path) as lake:
        source = Source(lake, "htx-futures", start=start, end=end)
        with pytest.raises(UsageError) as told:
            source.symbols([alias])
        assert str(told.value).startswith(f"--symbol {alias!r} was one contract after another")
        assert str(told.value).endswith(said)
        assert source.symbols(["btc240628", "BTC2403*"]) == ["BTC240329", "BTC240628"]
