"""What a run holds in its hands: clients per host, the list of instruments, the birth of a series."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from htxdata.config import Settings, lake, local_tape
from htxdata.errors import ConfigError, LakeUnusable, UsageError
from htxdata.ingest.planning import make_plans
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.timeline import Window, iso, parse_instant
from htxdata.venues import venue
from tests.clocks import Watch
from tests.truth import fundings, klines, settings_for

SPOT, LINEAR = venue("htx-spot"), venue("htx-linear")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=2, limits=False) as running:
        yield running


def test_the_list_of_instruments_is_asked_for_once_per_run(tmp_path: Path, sandbox: Sandbox) -> None:
    """However many series are planned, the venue is asked for its list once."""
    asked = len(sandbox.requests)
    with Session(settings_for(sandbox, tmp_path)) as session:
        make_plans(
            [fundings(s, "2024-01-01", "2024-02-01") for s in ("BTC-USDT", "ETH-USDT", "MDX-USDT")], session
        )
        assert session.listings(LINEAR) is session.listings(LINEAR) or session.listings(LINEAR) is not None
    assert [r.path for r in sandbox.requests[asked:]] == ["/linear-swap-api/v1/swap_contract_info"]


def test_an_unknown_state_sets_the_list_aside_and_the_older_list_is_taken(tmp_path: Path) -> None:
    """The newer list has a state that nobody knows: it lies in quarantine whole, and the older endpoint serves."""
    faults = Faults(Rule("garbage", mode="value", path="/v2/settings/common/symbols"))
    with Sandbox(seed=2, limits=False, faults=faults) as sandbox:
        with Session(settings_for(sandbox, tmp_path)) as session:
            listed = session.listings(SPOT)
        assert listed is not None
        assert set(listed) == set(sandbox.market.symbols("htx-spot"))
        (body,) = (tmp_path / "tape").rglob("*.body")
        assert b"transmogrified" in body.read_bytes()
        assert "transmogrified" in body.with_suffix(".json").read_text()


def test_without_a_list_names_stand_for_themselves_and_globs_are_refused(tmp_path: Path) -> None:
    """No list to be had: said once; a plain name is believed, a glob cannot be."""
    said: list[str] = []
    faults = Faults(Rule("garbage", mode="types", path="*contract_info"))
    with Sandbox(seed=2, limits=False, faults=faults) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=said.append) as session:
            (plan,) = make_plans([fundings("btc-usdt", "2024-01-01", "2024-02-01")], session)
            assert plan.series == Series("funding_rates", "htx-linear", "BTC-USDT")
            with pytest.raises(UsageError, match="BTC-\\*"):
                make_plans([fundings("BTC-*", "2024-01-01", "2024-02-01")], session)
    assert len(said) == 1
    assert "quarantine" in said[0]


def test_the_birth_of_a_series_is_its_first_month_and_is_asked_for_once(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    """bmtusdt was listed on 2025-03-18: its first month opened on 2025-02-28T16:00Z. Linear has no such endpoint."""
    asked = len(sandbox.requests)
    with Session(settings_for(sandbox, tmp_path)) as session:
        for period in ("1min", "60min"):
            born = session.born(SPOT, Series("klines", "htx-spot", "bmtusdt", period))
            assert born is not None
            assert iso(born) == "2025-02-28T16:00:00Z"
        assert session.born(LINEAR, Series("klines", "htx-linear", "BTC-USDT", "1min")) is None
    assert len(sandbox.requests) == asked + 1


def test_a_birth_that_cannot_be_asked_for_is_unknown(tmp_path: Path) -> None:
    """The month candles are garbage: the beginning is unknown, and the run goes on with empty pages."""
    with Sandbox(
        seed=2, limits=False, faults=Faults(Rule("garbage", mode="types", path="*history/kline"))
    ) as sandbox:
        with Session(settings_for(sandbox, tmp_path)) as session:
            (plan,) = make_plans(
                [klines("htx-spot", "bmtusdt", "60min", "2025-03-10", "2025-03-20")], session
            )
    assert [len(job.known) for job in plan.jobs] == [0]


def test_venues_on_one_host_share_a_client_and_threads_share_it_too(tmp_path: Path, sandbox: Sandbox) -> None:
    """One client, and so one budget, per host."""
    with Session(settings_for(sandbox, tmp_path)) as session:
        assert session.client(SPOT) is session.client(SPOT)
        assert session.client(SPOT) is not session.client(LINEAR)


@pytest.mark.parametrize(("key", "folder"), [("lake", lake), ("tape", local_tape)])
def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path, key: str, folder) -> None:  # type: ignore[no-untyped-def]
    """A foreign scheme, or a file in the way: the sentence says which key and which value, and no password in it."""
    with pytest.raises(ConfigError, match=f"{key} = 'gs://bucket/x'"):
        folder(Settings(**{key: "gs://me:secret@bucket/x"}))
    if key == "tape":
        with pytest.raises(ConfigError, match="'s3://bucket/x': it must be a folder of this machine"):
            folder(Settings(tape="s3://bucket/x"))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LakeUnusable, match=f"{key} = .*file is in the way"):
        folder(Settings(**{key: str(tmp_path / "file")}))


@pytest.mark.parametrize(
    ("rest", "archive", "asked"),
    [
        ("http://127.0.0.1:1/htx-spot", "http://127.0.0.1:1/htx-archive", True),
        ("https://api.huobi.pro", "https://huobi-service-data.s3.amazonaws.com", True),
        ("http://127.0.0.1:1/htx-spot", "https://huobi-service-data.s3.amazonaws.com", False),
        ("https://api.huobi.pro", "http://localhost:1/htx-archive", False),
        ("https://api.huobi.pro", "", False),
    ],
)
def test_a_sandbox_and_the_real_archive_are_never_mixed(
    tmp_path: Path, sandbox: Sandbox, rest: str, archive: str, asked: bool
) -> None:
    """Two markets in one series would be worse than none; an empty address switches the archive off."""
    settings = settings_for(sandbox, tmp_path)
    hosts = {**settings.hosts, "htx_spot_rest": rest, "htx_archive": archive}
    with Session(replace(settings, hosts=hosts)) as session:
        assert session.has_archive(venue("htx-spot")) is asked


def test_reference_data_has_its_own_budget_within_the_hosts(tmp_path: Path, sandbox: Sandbox) -> None:
    """Ten fundings at 10 a second take nearly a second, while market data go on at the host's own rate (law 8)."""
    settings = settings_for(sandbox, tmp_path)
    settings = replace(settings, budgets={**settings.budgets, "htx_swap_reference": 10.0})
    linear = venue("htx-linear")
    took = {}
    with Session(settings, say=lambda text: None) as session:
        for dataset, period in (("funding_rates", None), ("klines", "60min")):
            series = Series(dataset, "htx-linear", "BTC-USDT", period)
            endpoint = linear.endpoints_for(dataset, period)[0]
            request = endpoint.build(series, Ask(Window(parse_instant("2026-03-01"), parse_instant("2026-03-02")), 10))
            session.get(linear, request)
            began = time.monotonic()
            with Watch() as watch:
                for _ in range(10):
                    session.get(linear, request)
            took[dataset] = time.monotonic() - began, watch.seconds
    assert took["funding_rates"][0] > 0.75
    assert took["klines"][1] < 0.75
