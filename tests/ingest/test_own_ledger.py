"""The changes of one's own balances by two ways, the socket and the ledger: each stretch of time told once."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import UsageError
from htxdata.ingest.asked import Request
from htxdata.ingest.capture import capture
from htxdata.ingest.capture_wanted import Wanted
from htxdata.ingest.distil import distil
from htxdata.ingest.distil_rows import Basket
from htxdata.ingest.distil_spans import Silence
from htxdata.ingest.plan import to_ask
from htxdata.ingest.run import backfill
from htxdata.ingest.session import Session
from htxdata.market import Series
from htxdata.sandbox import SANDBOX_KEY, Faults, Rule, Sandbox, answers, own_accounts, own_rest
from htxdata.sandbox.own import ACCOUNT, OTHERS
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, SECOND, iso
from htxdata.venues import venue
from tests.clocks import Wound
from tests.ingest.test_own import ROUGH, hurried
from tests.truth import assert_covers, files, fill, settings_for, stored
from tests.waits import until

UPDATES = Series("own_account_updates", "htx-spot", "*")
RECORD = ("change_time", "currency", "change_type", "amount", "balance", "available", "record_id")
CHANGE = ("change_time", "currency", "change_type", "balance", "sequence")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's own key, in the environment."""
    monkeypatch.setenv("HTX_ACCESS_KEY", SANDBOX_KEY.access)
    monkeypatch.setenv("HTX_SECRET_KEY", SANDBOX_KEY.secret)


def asked(start: int, end: int | None = None) -> Request:
    return Request(
        "own_account_updates", "htx-spot", ("*",), (), iso(start), None if end is None else iso(end)
    )


def told(lake: Path, names: tuple[str, ...], source: str) -> list[tuple[Any, ...]]:
    """The changes that one source told, ascending; no snapshot is one."""
    rows = stored(lake, UPDATES)
    pairs = zip(rows["source"], zip(*(rows[name] for name in names), strict=True), strict=True)
    return sorted(row for by, row in pairs if by == source and row[0] is not None)


def records(sandbox: Sandbox, start: int, end: int) -> list[tuple[Any, ...]]:
    """The exchange's own ledger, as rows of `RECORD`."""
    found = sandbox.own.records(start, end, sandbox.now())
    return sorted(
        (r.time, r.currency, r.kind, float(r.amount), float(r.balance), float(r.balance), str(r.number))
        for r in found
    )


def changes(sandbox: Sandbox, start: int, end: int) -> list[tuple[Any, ...]]:
    """What the exchange's socket has to say, as rows of `CHANGE`."""
    found = sandbox.own.changes(start, end, sandbox.now())
    return sorted((c.time, c.currency, c.kind, float(c.balance), c.sequence) for c in found)


@pytest.mark.parametrize(
    "faults", [(), pytest.param(ROUGH, marks=pytest.mark.wide)], ids=["a quiet day", "a rough day"]
)
def test_the_ledger_hour_by_hour(tmp_path: Path, faults: tuple[Rule, ...]) -> None:
    """Of hours with more records than a page holds each record as it was, in windows of an hour, of all accounts;
    again, and nothing is asked."""
    end = (time.time_ns() // 1000 - DAY) // HOUR * HOUR + 1_234_567
    start = end - 2 * HOUR - 7
    with Sandbox(seed=5, limits=False, faults=Faults(*faults), own_seconds=30) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        assert fill(settings, asked(start, end)).complete
        truth = records(sandbox, start, end)
        assert len(truth) > 1200
        assert {row[2] for row in truth} == {"trade", "transact-fee", "rebate", "transfer"}
        assert max(Counter(row[:2] for row in truth).values()) > 1  # several records of one instant
        assert told(tmp_path / "lake", RECORD, "rest") == truth
        rows = stored(tmp_path / "lake", UPDATES)
        assert set(rows["account_id"]) == {str(ACCOUNT)}
        assert set(rows["sequence"]) == {None}
        assert rows["updated_at"] == rows["change_time"]
        assert_covers(tmp_path / "lake", UPDATES, start, end)
        pages = [r for r in sandbox.requests if r.path == "/v1/account/history"]
        said = [dict(part.split("=") for part in r.query.split("&")) for r in pages]
        assert {one["account-id"] for one in said} == {str(ACCOUNT), *(str(number) for number, _ in OTHERS)}
        assert max(int(one["end-time"]) - int(one["start-time"]) for one in said) < HOUR // 1000
        assert {one["size"] for one in said} == {"500"}
        before = files(tmp_path / "lake")
        assert fill(settings, asked(start, end)).outcomes == []
        assert files(tmp_path / "lake") == before
        assert len([r for r in sandbox.requests if r.path == "/v1/account/history"]) == len(pages)
        assert not sandbox.refused_keys


def test_the_ledger_goes_back_thirty_days(tmp_path: Path) -> None:
    """What is older is unobtainable, and said to be; the run is complete."""
    now = time.time_ns() // 1000
    start, end = now - 31 * DAY, now - 30 * DAY + 2 * HOUR
    with Sandbox(seed=5, limits=False, own_seconds=600) as sandbox:
        report = fill(settings_for(sandbox, tmp_path), asked(start, end))
        assert report.complete, report.missing
        spans = Store(tmp_path / "lake").coverage(UPDATES)
        assert [span.verdict for span in spans] == ["unobtainable", "present"]
        edge = spans[0].end
        assert abs(now - 30 * DAY - edge) < 60 * SECOND
        assert told(tmp_path / "lake", RECORD, "rest") == records(sandbox, edge, spans[-1].end)
        assert {missing.why for _, missing in report.unobtainable} == {
            "the venue serves the last 30 days over REST"
        }


def test_balances_are_of_no_symbol(tmp_path: Path) -> None:
    """A symbol that is named is wrong usage; no list of symbols is asked for."""
    with Sandbox(limits=False, own_seconds=3600) as sandbox:
        settings, start = settings_for(sandbox, tmp_path), time.time_ns() // 1000 - 3 * HOUR
        with pytest.raises(
            UsageError, match=r"--symbol 'btcusdt': own_account_updates are of no symbol; say --symbol"
        ):
            fill(settings, Request("own_account_updates", "htx-spot", ("btcusdt",), (), iso(start)))
        assert fill(settings, asked(start)).complete
        assert {r.path for r in sandbox.requests} == {"/v1/account/accounts", "/v1/account/history"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"status":"ok","data":[]}', "it names no account"),
        ('{"status":"ok","data":[{"id":1}]}', "state"),
    ],
)
def test_without_accounts_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    """A list of accounts that is empty or cannot be read makes no verdict: the span is missing, and says why."""

    def few(own: Any, ask: Any, caller: Any) -> Any:
        return answers.reply(json.loads(body))

    table = tuple(
        (host, verb, where, few if make is own_accounts.accounts else make)
        for host, verb, where, make in own_rest._ENDPOINTS
    )
    monkeypatch.setattr(own_rest, "_ENDPOINTS", table)
    with Sandbox(limits=False, own_seconds=3600) as sandbox:
        start = time.time_ns() // 1000 - 5 * HOUR
        report = fill(settings_for(sandbox, tmp_path), asked(start, start + HOUR))
        ((series, missing),) = report.missing
        assert series == UPDATES
        assert (missing.window.start, missing.window.end) == (start, start + HOUR)
        assert "which accounts there are could not be asked" in missing.why
        assert words in missing.why
        assert Store(tmp_path / "lake").coverage(UPDATES) == []


# --------------------------------------------------------------------------------------------------- both ways


def assert_told_once(lake: Path, sandbox: Sandbox) -> Counter[str]:
    """Of every change in what is known, the one way's whole word and nothing of the other's; how many each way told."""
    by_way: Counter[str] = Counter()
    said = {"ws": told(lake, CHANGE, "ws"), "rest": told(lake, RECORD, "rest")}
    assert all(len(rows) == len(set(rows)) for rows in said.values())
    for span in Store(lake).coverage(UPDATES):
        assert span.verdict in ("present", "empty")
        window = span.start, span.end
        truth = {"ws": changes(sandbox, *window), "rest": records(sandbox, *window)}
        for event in sorted({row[:2] for row in truth["ws"]}):  # when, and of which currency
            ways = {way: [row for row in rows if row[:2] == event] for way, rows in said.items()}
            (way,) = [way for way, rows in ways.items() if rows]
            assert ways[way] == [row for row in truth[way] if row[:2] == event], (span, event)
            by_way[way] += 1
    return by_way


def test_what_the_socket_lost_the_ledger_tells(tmp_path: Path) -> None:
    """A connection is dropped and kept away: the balances of that time come from the ledger, and none comes twice."""
    faults = Faults(Rule("disconnect", between=(2.0, 9.0), times=1, seconds=1.0, topic="accounts.update#2"))
    with Sandbox(
        seed=5, limits=False, own_seconds=10, ping_seconds=0.2, faults=faults, clock=hurried()
    ) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=lambda text: None) as session:
            done = capture(
                Wanted("htx-spot", ("own_account_updates",), ("*",)), session, threading.Event(), seconds=6
            )
        assert done.reconnects >= 1
        assert done.complete, done
        assert done.healed == 1
        spans = Store(tmp_path / "lake").coverage(UPDATES)
        assert {span.verdict for span in spans} <= {"present", "empty"}
        assert {span.source for span in spans} == {"ws", "rest"}
        assert all(one.end == other.start for one, other in pairwise(spans))
        found = assert_told_once(tmp_path / "lake", sandbox)
        assert min(found["ws"], found["rest"]) > 0, found
        before = {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")}
        distil(Store(tmp_path / "lake"), tmp_path / "tape", again=True, say=lambda text: None)
        assert {path: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")} == before


@pytest.mark.parametrize(
    ("dataset", "symbol", "row"),
    [
        ("own_account_updates", "*", {"account_id": "1", "currency": "btc", "balance": 2.0, "sequence": 7}),
        (
            "own_fills",
            "btcusdt",
            {"trade_id": "1", "order_id": "1", "side": "buy", "price": 1.0, "quantity": 1.0, "fee": 0.0},
        ),
    ],
)
def test_an_instant_at_which_a_connection_broke_is_asked_for(
    tmp_path: Path, dataset: str, symbol: str, row: dict[str, Any]
) -> None:
    """One of its rows came, another may not have: it has no verdict, and all that was lost is asked for in one."""
    series, at = Series(dataset, "htx-spot", symbol), 1_795_300_000_000_000
    time_columns = {"own_fills": ["trade_time"], "own_account_updates": ["updated_at", "change_time"]}[
        dataset
    ]
    basket = Basket(Store(tmp_path), {"htx-spot": venue("htx-spot")})
    whole = {**row, **dict.fromkeys([*time_columns, "received_at"], at)}
    basket.put(series, {name: [value] for name, value in whole.items()})
    lost = Silence(at - 5 * SECOND, at + 5 * SECOND, "lost", at + 6 * SECOND)
    for _ in range(2):  # and a second look changes nothing
        basket.judge(series, [], [], [lost])
        basket.flush()
        spans = Store(tmp_path).coverage(series)
        assert [(span.verdict, span.start, span.end) for span in spans] == [
            ("outage", lost.start, at),
            ("outage", at + 1, lost.end),
        ]
        assert to_ask(series, lost.window, spans) == [lost.window]
        assert stored(tmp_path, series)[time_columns[0]] == [at]


@pytest.mark.wide
def test_whoever_comes_first_tells(tmp_path: Path) -> None:
    """A ledger that was asked while a capture ran has told what the tape tells later, and the other way round: either
    way each stretch of time is told by one of them, whole."""
    with Sandbox(seed=5, limits=False, own_seconds=10, ping_seconds=0.2, clock=hurried()) as sandbox:
        settings = settings_for(sandbox, tmp_path)
        wanted = Wanted("htx-spot", ("own_account_updates",), ("*",))
        with Session(settings, say=lambda text: None) as session:
            stop = threading.Event()
            captures = threading.Thread(
                target=capture, args=(wanted, session, stop), kwargs={"distil_every": 60.0}
            )
            began = sandbox.now()
            captures.start()
            try:
                listening = Wound(0.0)
                until(lambda: listening() >= 2.5, 60)
                with Session(settings, say=lambda text: None) as beside:
                    assert backfill([asked(began)], beside).complete
                listening = Wound(0.0)
                until(lambda: listening() >= 2.5, 60)
            finally:
                stop.set()
                captures.join()
        with Session(settings, say=lambda text: None) as after:
            assert backfill([asked(began)], after).complete
        found = assert_told_once(tmp_path / "lake", sandbox)
        assert min(found["ws"], found["rest"]) > 3, found
