"""The flows that listen and look: the same as `htxdata capture` and `htxdata snapshot`, published to Prefect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from htxdata.errors import Incomplete, UsageError
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from tests.flows.conftest import Configure
from tests.flows.test_flows import artifacts
from tests.ingest.test_capture import heard_whole, hurried
from tests.truth import assert_trades, stored

pytestmark = pytest.mark.xdist_group("prefect")


@pytest.mark.slow
def test_capture_listens_and_tells(prefect_server: str, configure: Configure, tmp_path: Path) -> None:
    """Every trade of the session is in the lake, and the page has a row that says what was heard."""
    from flows.capture import capture

    with Sandbox(clock=hurried()) as sandbox:
        state = capture(
            "htx-linear", ["trades"], ["BTC-USDT"], seconds=2.5, config=configure(sandbox), return_state=True
        )
        assert state.is_completed(), state.message
        series = Series("trades", "htx-linear", "BTC-USDT")
        start, end = heard_whole(tmp_path / "lake", series)
        assert assert_trades(tmp_path / "lake", sandbox, series, start, end) > 50
    (row,) = json.loads(artifacts(state)["capture"].data)
    assert (row["gaps"], row["reconnects"]) == (0, 0)
    assert row["rows added"] == len(stored(tmp_path / "lake", series)["trade_id"])


@pytest.mark.slow
def test_a_capture_that_lost_something_is_a_failed_run(
    prefect_server: str, configure: Configure, tmp_path: Path
) -> None:
    """And its page has a table of what was not heard, and why."""
    from flows.capture import capture

    faults = Faults(Rule("disconnect", after=10, times=1), Rule("error", path="*/history/trade", status=404))
    with Sandbox(clock=hurried(), faults=faults) as sandbox:
        state = capture(
            "htx-linear", ["trades"], ["BTC-USDT"], seconds=8, config=configure(sandbox), return_state=True
        )
        assert state.is_failed()
        assert isinstance(state.result(raise_on_failure=False), Incomplete)
    rows = json.loads(artifacts(state)["gaps"].data)
    assert [(row["series"], row["feed"], row["cause"]) for row in rows] == [
        ("trades htx-linear BTC-USDT", "trades", "lost")
    ]


def test_snapshot_looks_at_every_venue_that_has_it(
    prefect_server: str, configure: Configure, tmp_path: Path
) -> None:
    """The same rows as the command's; a dataset that cannot be looked at is refused with its sentence."""
    from flows.snapshot import snapshot

    with Sandbox() as sandbox:
        config = configure(sandbox)
        assert snapshot("index_constituents", ["htx-linear"], ["BTC-USDT"], config=config) == {"venues": 1}
        rows = stored(tmp_path / "lake", Series("index_constituents", "htx-linear", "BTC-USDT"))
        assert sum(rows["weight"]) == pytest.approx(1.0, abs=1e-5)
        assert snapshot("mark_prices", symbols=["btc*"], config=config) == {"venues": 1}  # wherever there are some
        (price,) = stored(tmp_path / "lake", Series("mark_prices", "hashkey", "BTCUSDT-PERPETUAL"))["price"]
        assert price > 0
        state = snapshot("klines", config=config, return_state=True)
        assert isinstance(state.result(raise_on_failure=False), UsageError)
