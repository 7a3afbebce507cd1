"""The flows of the night and of freshness: what they do, what their pages show, and how they end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from htxdata.config import load
from htxdata.errors import Incomplete
from htxdata.ingest.upkeep import audit_recent, compact_all, distil_all
from htxdata.market import Series
from htxdata.sandbox import Sandbox
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.timeline import DAY, MINUTE, iso
from tests.flows.conftest import Configure
from tests.flows.test_flows import artifacts
from tests.flows.test_serve import keep
from tests.store.build import asked, candles


def test_each_step_says_what_it_did_and_what_is_open(tmp_path: Path, configure: Configure) -> None:
    """Nothing is open in a sound lake; a candle that cannot be is named by the audit, an old one only on request."""
    with Sandbox(limits=False) as sandbox:
        settings = load(configure(sandbox))
        store = Store(settings.lake)
        today = time.time_ns() // 1000 // DAY * DAY
        for start, rows in ((today - 2 * DAY, 10), (today - 100 * DAY, 5)):
            partition = partition_of(Series("klines", "htx-linear", "BTC-USDT", "1min"), start)
            wrong = candles(range(rows), close=99.0, start=start, received=today)  # above its high
            store.commit(partition, wrong, [asked(0, rows, start=start, at=today)])
        assert distil_all(settings).says == "0 reels; 0 gaps open, 0 healed"
        assert distil_all(settings).missing == ""
        assert compact_all(settings).missing == ""
        recent, everything = audit_recent(settings, 35), audit_recent(settings, 0)
        assert "10 rows" in recent.says or recent.missing.startswith("10 findings")
        assert iso(today - 2 * DAY) in recent.missing
        assert everything.missing.startswith("15 findings, the first: ")


@pytest.mark.wide
@pytest.mark.xdist_group("prefect")
def test_a_night_brings_everything_up_to_now_and_shows_it(
    prefect_server: str, configure: Configure, tmp_path: Path
) -> None:
    """Five steps, each with what it did; the lake is filled, the page is written, the run is complete, and so is then
    freshness. Where a candle is wrong the night fails and says which, with all other steps done."""
    from flows.freshness import freshness
    from flows.upkeep import upkeep

    since = iso(time.time_ns() // 1000 // DAY * DAY - 2 * DAY)
    more = f'[serve]\nstate = "{tmp_path / "state"}"\n' + keep(
        venue="htx-spot", dataset="klines", symbols=["btcusdt"], periods=["60min"], since=since
    )
    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox, more=more)
        state = freshness(config=file, return_state=True)
        assert isinstance(state.result(raise_on_failure=False), Incomplete)
        (row,) = json.loads(artifacts(state)["freshness"].data)
        assert (row["series"], row["is"]) == ("klines htx-spot btcusdt 60min", "late")

        state = upkeep(config=file, return_state=True)
        assert state.is_completed(), state.message
        shown = artifacts(state)
        steps = {row["step"]: row for row in json.loads(shown["steps"].data)}
        assert list(steps) == ["distil", "sync and recheck", "compact", "audit", "report"]
        assert steps["sync and recheck"]["rows added"] == state.result()["added"] >= 47
        assert not any(row["missing, and why"] for row in steps.values())
        assert "btcusdt" in shown["added"].data
        assert "btcusdt" in (tmp_path / "state" / "report.html").read_text()
        assert freshness(config=file) == {"series": 1}

        store = Store(tmp_path / "lake")
        (series,) = store.series("klines")
        (partition, *_) = store.partitions(series)[-1:]
        at = store.coverage(series)[-1].end - 3 * 60 * MINUTE
        store.commit(partition, candles([0], close=1e9, start=at, received=2**52), [])
        state = upkeep(config=file, return_state=True)
        assert state.is_failed()
        steps = {row["step"]: row for row in json.loads(artifacts(state)["steps"].data)}
        assert "findings, the first: " in steps["audit"]["missing, and why"]
        assert steps["report"]["missing, and why"] == ""
        assert "audit" in state.message


@pytest.mark.wide
@pytest.mark.xdist_group("prefect")
def test_the_runs_of_a_killed_serve_are_closed_and_no_others(prefect_server: str) -> None:
    """By their tag; those that are alive, and those of others, go on."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    from flows.leftovers import close

    @flow
    def nothing() -> None:
        """Never run: only its runs are made."""

    with get_client(sync_client=True) as client:
        made = {}
        for name in ("dead", "alive", "other"):
            marks = ["serve-other" if name == "other" else "serve-mine", f"run-{name}"]
            made[name] = client.create_flow_run(nothing, state=Running(), tags=marks).id
        assert close("serve-mine", ["run-alive"]) == 1
        states = {name: client.read_flow_run(run).state_name for name, run in made.items()}
        assert states == {"dead": "Crashed", "alive": "Running", "other": "Running"}
        assert close("serve-mine", ["run-alive"]) == 0
        for name in ("alive", "other"):
            client.delete_flow_run(made[name])
