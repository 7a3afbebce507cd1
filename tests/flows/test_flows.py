"""The flows: the same work and the same words as the command line, published to Prefect."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

import htxdata
from htxdata import config
from htxdata.errors import Incomplete, RowsLost, UnknownSymbol, VenueError
from htxdata.ingest.asked import Request
from htxdata.ingest.plan import plan_series
from htxdata.ingest.planning import make_plans
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.timeline import Window, parse_instant
from htxdata.venues import venue
from tests.flows.conftest import Configure

pytestmark = pytest.mark.xdist_group("prefect")  # one server, in one worker (`--dist loadgroup`)

JANUARY = (parse_instant("2024-01-01"), parse_instant("2024-02-01"))
CANDLES = {
    "dataset": "klines", "venue": "htx-spot", "symbols": ["btcusdt", "ethusdt"], "periods": ["60min"],
    "start": "2024-01-01", "end": "2024-02-01",
}  # fmt: skip

AUTHOR = timezone(timedelta(hours=3))  # the recorded fundings' dates are local, without a mark


def files(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*.parquet"))}


def micros(column: Any) -> list[int]:
    return [round((value - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) for value in column]


def artifacts(state: Any) -> dict[str, Any]:
    """What the run that ended in ``state`` published, by key."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    run = ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id])
    with get_client(sync_client=True) as client:
        return {
            one.key: one for one in client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=run))
        }


# ------------------------------------------------------------------------------------------------- without a server


def test_importing_flows_needs_neither_prefect_nor_a_server() -> None:
    """`import flows` is cheap: Prefect (two seconds) comes with the flow that is asked for."""
    code = "import flows, flows.local_server, sys; sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_task_fills_its_partition(configure: Configure) -> None:
    """The body of the task does one partition with the flow's session, and needs no Prefect run around it."""
    from flows.partitions import fill_partition, session_of_flow

    with Sandbox(limits=False) as sandbox, Session(config.load(configure(sandbox))) as session:
        series = Series("klines", "htx-spot", "btcusdt", "60min")
        plan = plan_series(series, venue("htx-spot"), Window(*JANUARY), [], JANUARY[1] * 2)
        token = session_of_flow.set(session)
        try:
            outcome = fill_partition.fn(plan.jobs[0], None)
        finally:
            session_of_flow.reset(token)
        assert (outcome.series, outcome.added, outcome.missing) == (series, 744, ())


def test_what_transport_has_retried_is_not_retried_again() -> None:
    """Prefect restarts a task that died of something strange; our own errors are final."""
    from prefect.states import Failed

    from flows.partitions import fill_partition

    again = fill_partition.retry_condition_fn
    assert again is not None
    verdicts = [
        again(fill_partition, None, Failed(data=e)) for e in (VenueError("no"), RowsLost("no"), OSError())
    ]
    assert verdicts == [False, False, True]
    assert fill_partition.retries == 1


# ---------------------------------------------------------------------------------------------------- with a server


def test_backfill_fills_the_lake_with_the_truth_and_tells(prefect_server: str, configure: Configure) -> None:
    """The lake equals the sandbox's market, the run's page shows it, and a second run asks and changes nothing."""
    from flows.backfill import backfill

    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox)
        lake = config.load(file).lake
        state = backfill(**CANDLES, config=file, return_state=True)
        assert state.result()["added"] == 2 * 744
        opened = htxdata.open_lake(lake)
        for symbol in CANDLES["symbols"]:
            truth = sandbox.market.klines("htx-spot", symbol, "60min", *JANUARY)
            table = (
                opened.klines(symbol, venue="htx-spot", period="60min").order("open_time").to_arrow_table()
            )
            assert micros(table["open_time"].to_pylist()) == truth["open_time"].tolist()
            for name in ("open", "high", "low", "close", "volume", "quote_volume", "trade_count"):
                assert table[name].to_pylist() == truth[name].tolist(), name
        opened.close()

        published = artifacts(state)
        assert set(published) == {"partitions", "added", "coverage"}
        assert float(published["partitions"].data) == 100
        for symbol in CANDLES["symbols"]:
            assert f"klines htx-spot {symbol} 60min" in published["coverage"].data
        assert "2024-01-01T00:00:00Z" in published["coverage"].data

        before, asked = files(lake), len(sandbox.requests)
        assert backfill(**CANDLES, config=file) == {"added": 0, "replaced": 0, "requests": 0}
        assert files(lake) == before
        assert not [one for one in sandbox.requests[asked:] if "history" in one.path]


def test_an_incomplete_run_fails_and_says_why(prefect_server: str, configure: Configure) -> None:
    """Law 4: what could not be had makes the run Failed; the reason is in its state and in the table `missing`."""
    from flows.backfill import backfill

    broken = Rule("garbage", mode="types", symbol="ethusdt", path="/market/history/*")
    with Sandbox(limits=False, faults=Faults(broken)) as sandbox:
        file = configure(sandbox)
        state = backfill(**CANDLES, config=file, return_state=True)
        assert state.is_failed()
        assert isinstance(state.result(raise_on_failure=False), Incomplete)
        assert "klines htx-spot ethusdt 60min" in state.message
        assert "2024-01-01" in state.message
        lost = artifacts(state)["missing"].data
        assert "ethusdt" in lost
        assert "btcusdt" not in lost
        with htxdata.open_lake(config.load(file).lake) as lake:
            assert lake.klines("btcusdt", period="60min").count("*").fetchall() == [(744,)]


def test_a_wrong_option_fails_with_the_sentence_of_the_command_line(
    prefect_server: str, configure: Configure, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown symbol, by flow and by command: one sentence."""
    from flows.backfill import backfill
    from htxdata.cli import main

    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox)
        state = backfill(**{**CANDLES, "symbols": ["btcusd"]}, config=file, return_state=True)
        assert isinstance(error := state.result(raise_on_failure=False), UnknownSymbol)
        capsys.readouterr()  # what Prefect logs, where its handler writes to this test's stderr
        main(
            ["--config", file, "backfill", "klines", "--venue", "htx-spot", "--symbol", "btcusd", "--period", "60min",
             "--start", "2024-01-01", "--end", "2024-02-01"]
        )  # fmt: skip
        assert capsys.readouterr().err.strip() == f"htxdata: {error}"


@pytest.mark.slow
def test_an_interrupted_run_stops_promptly(prefect_server: str, configure: Configure) -> None:
    """Cancelled in the middle of a crawl that would take minutes, the flow ends within seconds; what is done stays."""
    from flows.backfill import backfill
    from flows.side_by_side import watcher

    class Cancelled(BaseException):
        """As Prefect's TerminationSignal and KeyboardInterrupt: no Exception."""

    def cancel(total: int, outcome: Any) -> None:
        began.append(time.monotonic())
        raise Cancelled

    began: list[float] = []
    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox, spot=8)
        token = watcher.set(cancel)
        try:
            with pytest.raises(Cancelled):
                backfill(**{**CANDLES, "start": "2022-01-01", "periods": ["60min", "1min"]}, config=file)
        finally:
            watcher.reset(token)
        assert time.monotonic() - began[0] < 10
        with Session(config.load(file)) as session:
            wanted = Request("klines", "htx-spot", ("btcusdt",), ("1min",), "2022-01-01", "2024-02-01")
            assert make_plans([wanted], session)[0].jobs  # it was indeed stopped halfway


def test_sync_keeps_what_the_configuration_names(prefect_server: str, configure: Configure) -> None:
    """The flow `sync` brings every [[keep]] up to now."""
    from flows.sync import sync

    keep = '[[keep]]\nvenue = "htx-linear"\ndataset = "klines"\nsymbols = ["BTC-USDT"]\nperiods = ["1day"]\n'
    since = (datetime.now(UTC) - timedelta(days=30)).date().isoformat()
    with Sandbox(limits=False) as sandbox:
        file = configure(sandbox, more=f'{keep}since = "{since}"\n')
        assert sync(config=file)["added"] in (28, 29, 30)


# ---------------------------------------------------------------------------------------------- the main job, for real


def test_every_recorded_funding_and_candle_arrives(
    prefect_server: str, configure: Configure, shared: Path
) -> None:
    """3,284 real fundings and 45,031 real candles, through the flow: every row of the lake equals the files."""
    from flows.backfill import backfill

    with Sandbox(replay=shared / "data", limits=False) as sandbox:
        file = configure(sandbox)
        (recorded,) = (shared / "data" / "funding").glob("BTC-USDT_htx_*.csv.gz")
        with gzip.open(recorded, "rt") as text:
            fundings = sorted(
                (datetime.fromisoformat(row["Date"]).replace(tzinfo=AUTHOR), float(row["Funding Rate"]))
                for row in csv.DictReader(text)
            )
        assert len(fundings) == 3284
        backfill("funding_rates", "htx-linear", ["BTC-USDT"], "2021-01-01", "2024-01-01", config=file)

        with gzip.open(shared / "data/klines_other/btc-perp-20211231-20220201_1m.csv.gz", "rt") as text:
            minutes = [
                (datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC),
                 *(float(row[name]) for name in ("open", "high", "low", "close", "volume")))
                for row in csv.DictReader(text)
            ]  # fmt: skip
        assert len(minutes) == 45031
        backfill(
            "klines",
            "htx-spot",
            ["btcusdt"],
            "2021-12-31T23:01",
            "2022-02-01T05:32",
            periods=["1min"],
            config=file,
        )

        with htxdata.open_lake(config.load(file).lake) as lake:
            rates = lake.sql(
                "select funding_time, funding_rate from funding_rates order by 1"
            ).to_arrow_table()
            candles = lake.sql(
                "select open_time, open, high, low, close, quote_volume from klines order by 1"
            ).to_arrow_table()
            holes = lake.sql("select verdict, count(*) from coverage group by 1 order by 1").fetchall()
        assert list(zip(*(column.to_pylist() for column in rates.columns), strict=True)) == fundings
        assert list(zip(*(column.to_pylist() for column in candles.columns), strict=True)) == minutes
        assert {verdict for verdict, _ in holes} <= {"present", "empty"}
