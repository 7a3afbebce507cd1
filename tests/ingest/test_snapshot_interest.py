"""What is open now: asked, taped before it is read, stored as one instant, and at home beside its own history."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from htxdata.config import HOSTS
from htxdata.errors import Incomplete, LakeUnusable, UnknownSymbol, Unreachable, UsageError
from htxdata.ingest import snapshot_polls
from htxdata.ingest.asked import Request as Backfill
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import Polled, looked_at, snapshot_instruments, venues_of
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.store import tape
from htxdata.store.coverage import with_missing
from htxdata.store.partition import Store
from htxdata.timeline import HOUR, MINUTE, iso, parse_instant
from htxdata.venues import VENUES, venue
from htxdata.venues.terms import Poll, Venue
from tests.ingest import looks
from tests.ingest.looks import LINEAR, Clock, Look
from tests.truth import assert_covers, files, fill, settings_for, stored

V5, V1 = (poll.path for poll in LINEAR.polls_for("open_interest"))
FIRST = parse_instant("2026-03-01T10:20:30.123Z")
TRADING = ("BTC-USDT", "ETH-USDT", "DOGE-USDT", "KSM-USDT", "SHIB-USDT", "MDX-USDT", "币安人生-USDT")
VALUES = ("contracts", "volume", "value")


@pytest.fixture
def clock() -> Clock:
    return Clock(FIRST)


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(seed=1, limits=False, clock=clock) as running:
        yield running


def look_at(sandbox: Sandbox, folder: Path, *symbols: str, **more: Any) -> Polled:
    return looks.look_at(sandbox, folder, "open_interest", *symbols, **more)


@pytest.fixture
def look(sandbox: Sandbox, tmp_path: Path) -> Look:
    return partial(look_at, sandbox, tmp_path)


def series(symbol: str) -> Series:
    return Series("open_interest", "htx-linear", symbol)


def rows(folder: Path, symbol: str) -> list[dict[str, Any]]:
    columns = stored(folder / "lake", series(symbol))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def true_row(sandbox: Sandbox, symbol: str, at: int) -> dict[str, Any]:
    truth = sandbox.market.open_interest_now("htx-linear", symbol, at)
    return {"time": at, **{name: truth[name][0].item() for name in VALUES}}


def assert_seen(sandbox: Sandbox, folder: Path, symbol: str, *instants: int) -> None:
    """The rows are those of ``instants`` and no others, value by value."""
    found = rows(folder, symbol)
    assert [{name: row[name] for name in ("time", *VALUES)} for row in found] == [
        true_row(sandbox, symbol, at) for at in instants
    ]
    assert {row["source"] for row in found} == {"rest"}


def lake_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    return files(folder / "lake")


def spans(folder: Path, symbol: str) -> list[tuple[int, int, str, int]]:
    return [(s.start, s.end, s.verdict, s.rows) for s in Store(folder / "lake").coverage(series(symbol))]


def asked(sandbox: Sandbox, path: str) -> list[str]:
    return [record.query for record in sandbox.requests if record.path == path]


def stored_symbols(folder: Path) -> set[str]:
    return {line.symbol for line in Store(folder / "lake").series(dataset="open_interest")}


# ---------------------------------------------------------------------------------------------- what is stored


def test_every_contract_that_trades_has_the_row_of_this_instant(
    sandbox: Sandbox, look: Look, tmp_path: Path
) -> None:
    """Values of the market, the venue's time, ours beside it; and the coverage speaks of that instant alone."""
    found = look()
    assert found.missing == ()
    assert found.rows == found.new == found.wanted == len(TRADING)
    assert stored_symbols(tmp_path) == set(TRADING)
    for symbol in TRADING:
        assert_seen(sandbox, tmp_path, symbol, FIRST)
        assert spans(tmp_path, symbol) == [(FIRST, FIRST + 1, "present", 1)]
    heard = {row["received_at"] for symbol in TRADING for row in rows(tmp_path, symbol)}
    assert heard <= {reply.received_at for reply in tape.replies(tmp_path / "tape")}
    assert found.heard >= max(heard)
    assert asked(sandbox, V1) == ["business_type=all"]  # for the suspended one, of which v5 says nothing


def test_the_same_instant_again_changes_no_byte_of_the_lake(look: Look, tmp_path: Path) -> None:
    """The answer is heard and taped once more; the row is there already."""
    look()
    before = lake_of(tmp_path)
    again = look()
    assert (again.rows, again.new) == (again.wanted, 0)
    assert lake_of(tmp_path) == before
    assert len(list(tape.replies(tmp_path / "tape"))) == 2 * (again.rows + 1)


def test_two_looks_are_two_instants_with_nothing_known_between(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path
) -> None:
    """A row each, across a new year too; what lies between was never seen."""
    times = [parse_instant(t) for t in ("2025-12-31T23:59:59.999Z", "2026-01-01", "2026-01-01T00:00:00.001Z")]
    for clock.at in times:
        assert look("BTC-USDT").new == 1
    assert_seen(sandbox, tmp_path, "BTC-USDT", *times)
    known = with_missing(Store(tmp_path / "lake").coverage(series("BTC-USDT")))
    assert [(span.start, span.end, span.verdict) for span in known] == [
        (times[0], times[0] + 1, "present"),
        (times[0] + 1, times[1], "missing"),
        (times[1], times[1] + 1, "present"),
        (times[1] + 1, times[2], "missing"),
        (times[2], times[2] + 1, "present"),
    ]


def test_some_symbols_only(sandbox: Sandbox, look: Look, tmp_path: Path) -> None:
    """A glob asks for what it means and for nothing else; a name that there is not is refused with a near one."""
    found = look("b?c-*", "eth-usdt")
    assert (found.wanted, found.rows, found.left_out) == (2, 2, ("BTC-USDT-250328",))  # delivered a year ago
    assert stored_symbols(tmp_path) == {"BTC-USDT", "ETH-USDT"}
    assert sorted(asked(sandbox, V5)) == ["contract_code=BTC-USDT", "contract_code=ETH-USDT"]
    assert asked(sandbox, V1) == []
    with pytest.raises(UnknownSymbol, match="BTC-USDT"):
        look("BTC-USD")


def test_what_does_not_trade_is_left_out_and_said(look: Look, tmp_path: Path) -> None:
    """A delisted contract is not asked for; a suspended one is, and that the venue is silent of it is no hole."""
    found = look()
    assert set(found.left_out) == {"LUNA-USDT", "BTC-USDT-250328", "WAVES-USDT"}
    assert not stored_symbols(tmp_path) & set(found.left_out)
    assert f"{found.rows} of {found.rows} instruments" in str(found)
    assert "3 instruments that do not trade left out" in str(found)
    assert (look("LUNA-USDT").wanted, look("LUNA-USDT").missing) == (0, ())


def test_all_come_in_one_answer_where_v5_is_gone(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v5 answers 404: one question of the older kind brings every contract, dated ones too, all of one instant."""
    clock.at = instant = parse_instant("2026-07-01T00:00:00.007Z")
    with Sandbox(seed=1, limits=False, clock=clock, v5=False) as sandbox:
        found = look_at(sandbox, tmp_path)
        assert (found.missing, found.rows) == ((), found.wanted)
        assert asked(sandbox, V1) == ["business_type=all"]
        assert stored_symbols(tmp_path) == {*TRADING, "BTC-USDT-261225"}
        for symbol in stored_symbols(tmp_path):
            assert_seen(sandbox, tmp_path, symbol, instant)
        before = len(asked(sandbox, V5))
        monkeypatch.setattr(snapshot_polls, "AT_ONCE", 1)
        assert look_at(sandbox, tmp_path).missing == ()
        assert len(asked(sandbox, V5)) == before + 1  # it is gone for all: nobody asks a second time
        few = look_at(sandbox, tmp_path / "few", "BTC-USDT")
    assert (few.rows, stored_symbols(tmp_path / "few")) == (1, {"BTC-USDT"})


# ---------------------------------------------------------------------------------------------- the tape


def bent(change: Callable[[Poll], Poll]) -> Venue:
    return replace(LINEAR, polls=tuple(change(poll) for poll in LINEAR.polls))


def test_the_tape_has_every_answer_before_it_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """When a parser is called, the reply that it gets can already be read from the tape, byte for byte."""
    read: list[bytes] = []

    def watching(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            taped = {
                (r.path, r.params, r.status, r.body, r.received_at) for r in tape.replies(tmp_path / "tape")
            }
            asked = reply.request
            assert (asked.path, asked.params, reply.status, reply.body, reply.received_at) in taped
            read.append(reply.body)
            return poll.parse(reply, symbol)

        return replace(poll, parse=parse)

    look_at(sandbox, tmp_path, where=bent(watching))
    taped = list(tape.replies(tmp_path / "tape", venue="htx-linear", feed="open_interest"))
    assert sorted(reply.body for reply in taped) == sorted(read)
    assert len(taped) == len(read) > len(TRADING)


def test_the_lake_can_be_made_again_from_the_tape(look: Look, clock: Clock, tmp_path: Path) -> None:
    """Every row of the lake is what today's parsers read from the tape."""
    for clock.at in (FIRST, FIRST + HOUR):
        look()
    polls = {poll.path: poll for poll in LINEAR.polls}
    again: dict[str, dict[int, tuple[float, ...]]] = {}
    for taped in tape.replies(tmp_path / "tape"):
        request = Request(taped.path, taped.params)
        reply = Reply(request, taped.status, taped.body, taped.received_at)
        poll = polls[taped.path]
        said = poll.parse(reply, None if poll.whole else dict(taped.params)["contract_code"]).columns
        for at, symbol in enumerate(said["symbol"]):
            again.setdefault(symbol, {})[said["time"][at]] = tuple(said[name][at] for name in VALUES)
    assert set(again) == stored_symbols(tmp_path)
    for symbol, values in again.items():
        found = rows(tmp_path, symbol)
        assert {row["time"]: tuple(row[name] for name in VALUES) for row in found} == values


class Killed(BaseException):
    pass


def test_a_process_that_dies_while_reading_leaves_the_answer_on_the_tape(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nothing is in the lake, the reply is on the tape, and the next run is none the worse."""

    def dying(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            raise Killed

        return replace(poll, parse=parse)

    with pytest.raises(Killed):
        look_at(sandbox, tmp_path, "BTC-USDT", where=bent(dying))
    assert not (tmp_path / "lake").exists()
    (taped,) = tape.replies(tmp_path / "tape")
    assert json.loads(taped.body)["data"]["contract_code"] == "BTC-USDT"
    assert look_at(sandbox, tmp_path, "BTC-USDT").new == 1


def test_what_cannot_be_taped_is_not_stored(sandbox: Sandbox, tmp_path: Path) -> None:
    """A tape that cannot be written ends the run with its sentence, before a row is in the lake."""
    (tmp_path / "tape").mkdir()
    (tmp_path / "tape" / "venue=htx-linear").write_text("in the way")
    with pytest.raises(LakeUnusable, match="tape"):
        look_at(sandbox, tmp_path)
    assert not (tmp_path / "lake").exists()


# ---------------------------------------------------------------------------------------------- faults


def test_an_answer_that_cannot_be_read_is_set_aside_and_the_other_way_is_tried(
    clock: Clock, tmp_path: Path
) -> None:
    """v5 talks nonsense of one contract: its reply is in quarantine and on the tape, and v1 has the row."""
    said: list[str] = []
    rule = Rule("garbage", mode="value", path=V5, symbol="ETH-USDT")
    with Sandbox(seed=1, limits=False, clock=clock, faults=Faults(rule)) as sandbox:
        found = look_at(sandbox, tmp_path, say=said.append)
        for symbol in TRADING:
            assert_seen(sandbox, tmp_path, symbol, FIRST)
    assert (found.missing, found.rows) == ((), found.wanted)
    (body,) = (tmp_path / "tape/quarantine").rglob("*.body")
    why = json.loads(body.with_suffix(".json").read_text())
    assert f"{V5}?contract_code=ETH-USDT" in why["asked"]
    assert body.read_bytes() in [reply.body for reply in tape.replies(tmp_path / "tape")]
    assert [why["reason"] in line and "open_interest of ETH-USDT" in line for line in said] == [True]


def test_what_nobody_can_read_is_missing_and_the_rest_is_there(clock: Clock, tmp_path: Path) -> None:
    """Both ways talk nonsense of some: these are missing with the reasons, all others are stored, the tape has all."""
    faults = Faults(
        Rule("garbage", mode="value", path=V5, symbol="ETH-USDT"), Rule("garbage", mode="value", path=V1)
    )
    with Sandbox(seed=1, limits=False, clock=clock, faults=faults) as sandbox:
        found = look_at(sandbox, tmp_path)
        # Of the suspended contract only the unreadable answer could have told: that is no silence.
        assert sorted(line.partition(":")[0] for line in found.missing) == [
            "open_interest htx-linear ETH-USDT", "open_interest htx-linear WAVES-USDT",
        ]  # fmt: skip
        assert all(line.count("quarantine") >= 1 for line in found.missing)
        assert stored_symbols(tmp_path) == set(TRADING) - {"ETH-USDT"}
        assert found.rows == found.wanted - 2
    bodies = {body.read_bytes() for body in (tmp_path / "tape/quarantine").rglob("*.body")}
    assert len(bodies) == 2
    assert bodies <= {reply.body for reply in tape.replies(tmp_path / "tape")}


def test_a_value_that_cannot_be_stored_is_set_aside_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """What the parser lets through and the schema does not (no number at all) is a bad reply, not a crash."""

    def wild(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            parsed = poll.parse(reply, symbol)
            return replace(
                parsed, columns={**parsed.columns, "contracts": [float("nan")] * parsed.page.count}
            )

        return replace(poll, parse=parse)

    found = look_at(sandbox, tmp_path, "BTC-USDT", where=bent(wild))
    assert (found.rows, len(found.missing)) == (0, 1)
    assert "contracts" in found.missing[0]
    assert len(list((tmp_path / "tape/quarantine").rglob("*.body"))) == 2


def test_a_venue_that_goes_away_leaves_what_it_said(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three answers nothing comes: three rows, the others are missing with the reason, nobody is asked again."""
    real, left = Session.get, [3]

    def get(self: Session, of: Venue, request: Request) -> Reply:
        if request.path in (V5, V1):
            left[0] -= 1
            if left[0] < 0:
                raise Unreachable("htx_swap_rest: gave up after 7 attempts")
        return real(self, of, request)

    monkeypatch.setattr(Session, "get", get)
    monkeypatch.setattr(snapshot_polls, "AT_ONCE", 1)
    found = look_at(sandbox, tmp_path)
    assert (found.rows, len(found.missing)) == (3, found.wanted - 3)
    assert all(line.endswith("gave up after 7 attempts") for line in found.missing)
    assert len(stored_symbols(tmp_path)) == 3
    assert left == [-1]


def test_a_contract_that_both_ways_pass_over_is_missing(clock: Clock, tmp_path: Path) -> None:
    """It trades, so somebody should have said what is open of it: one sentence, and no row."""
    faults = Faults(Rule("garbage", mode="value", path=V5, symbol="ETH-USDT"))

    def forgetful(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            parsed = poll.parse(reply, symbol)
            keep = [at for at, name in enumerate(parsed.columns["symbol"]) if symbol or name != "ETH-USDT"]
            columns = {name: [values[at] for at in keep] for name, values in parsed.columns.items()}
            return replace(parsed, columns=columns)

        return replace(poll, parse=parse)

    with Sandbox(seed=1, limits=False, clock=clock, faults=faults) as sandbox:
        found = look_at(sandbox, tmp_path, where=bent(forgetful))
    (line,) = found.missing
    assert "open_interest htx-linear ETH-USDT" in line
    assert "ETH-USDT" not in stored_symbols(tmp_path)


def test_without_a_list_of_instruments_the_lake_knows_whom_to_ask(clock: Clock, tmp_path: Path) -> None:
    """The list is garbage: the lake's own does, a name does without one, and an empty lake cannot tell who all are."""
    with Sandbox(seed=1, limits=False, clock=clock) as sandbox:
        with Session(settings_for(sandbox, tmp_path), say=print) as session:
            snapshot_instruments(session, LINEAR, ("BTC-USDT", "ETH-USDT"))
    faults = Faults(Rule("garbage", mode="value", path="*swap_contract_info"))
    with Sandbox(seed=1, limits=False, clock=clock, faults=faults) as sandbox:
        assert look_at(sandbox, tmp_path).rows == 2
        assert look_at(sandbox, tmp_path / "named", "btc-usdt").rows == 1
        assert stored_symbols(tmp_path / "named") == {"BTC-USDT"}
        with pytest.raises(Incomplete, match="no usable list"):
            look_at(sandbox, tmp_path / "empty")
        with pytest.raises(UsageError, match="--symbol 'BTC-"):
            look_at(sandbox, tmp_path / "empty", "BTC-*")


# ---------------------------------------------------------------------------------------------- beside history


BTC = "BTC-USDT"


@pytest.fixture
def hour(clock: Clock) -> int:
    """The last full hour by the real clock: history is asked for as far back from now as the venue serves it."""
    clock.at = time.time_ns() // 1_000_000 * 1_000
    return clock.at // HOUR * HOUR


def fill_history(sandbox: Sandbox, folder: Path, clock: Clock, start: int, end: int) -> None:
    """Backfill ``[start, end)`` of the history; the answer is of the real present."""
    clock.at = time.time_ns() // 1_000_000 * 1_000
    request = Backfill("open_interest", "htx-linear", (BTC,), (), iso(start), iso(end))
    report = fill(settings_for(sandbox, folder), request)
    assert report.complete, report.missing


def assert_both(sandbox: Sandbox, folder: Path, polled: tuple[int, ...], start: int, end: int) -> None:
    """The rows are every hour of ``[start, end)`` as the history says it and every poll as it was said, no other."""
    truth = sandbox.market.open_interest("htx-linear", BTC, "60min", start, end)
    due = {
        at: (contracts, None, value)
        for at, contracts, value in zip(
            *(truth[n].tolist() for n in ("time", "contracts", "value")), strict=True
        )
    }
    assert len(due) == (end - start) // HOUR
    for at in polled:
        due[at] = tuple(true_row(sandbox, BTC, at)[name] for name in VALUES)
    found = {row["time"]: tuple(row[name] for name in VALUES) for row in rows(folder, BTC)}
    assert found == dict(sorted(due.items()))
    assert not Store(folder / "lake").series(dataset="source_differences")


def test_history_around_what_was_polled(
    sandbox: Sandbox, look: Look, clock: Clock, hour: int, tmp_path: Path
) -> None:
    """Polls first, one of them exactly on the hour: then all of the window is known, and no poll is changed or lost."""
    polled = (hour - 30 * HOUR + 17 * MINUTE, hour - 27 * HOUR, hour - 26 * HOUR + 1000, hour - HOUR)
    for clock.at in polled:
        look(BTC)
    start, end = hour - 40 * HOUR, hour - 2 * HOUR
    before = spans(tmp_path, BTC)
    fill_history(sandbox, tmp_path, clock, start, end)
    assert_both(sandbox, tmp_path, polled, start, end)
    assert_covers(tmp_path / "lake", series(BTC), start, end, "present", "empty")
    outside = [span for span in spans(tmp_path, BTC) if not start <= span[0] < end]
    assert outside == [(polled[3], polled[3] + 1, "present", 1)] == before[3:]
    assert sum(span[3] for span in spans(tmp_path, BTC)) == len(rows(tmp_path, BTC))
    whole = lake_of(tmp_path)
    fill_history(sandbox, tmp_path, clock, start, end)
    clock.at = polled[1]
    look(BTC)
    assert lake_of(tmp_path) == whole


def test_polls_on_top_of_history(
    sandbox: Sandbox, look: Look, clock: Clock, hour: int, tmp_path: Path
) -> None:
    """History first: its coverage stays one span whatever is polled within it, and polls after it are instants."""
    start, end = hour - 40 * HOUR, hour - 2 * HOUR
    fill_history(sandbox, tmp_path, clock, start, end)
    (known,) = spans(tmp_path, BTC)
    assert known == (start, end, "present", 38)
    polled = (hour - 30 * HOUR + 17 * MINUTE, hour - 27 * HOUR, hour - 90 * MINUTE, hour - 5 * MINUTE)
    for clock.at in polled:
        look(BTC)
    assert_both(sandbox, tmp_path, polled, start, end)
    assert spans(tmp_path, BTC) == [
        (start, end, "present", 39), *((at, at + 1, "present", 1) for at in polled[2:]),
    ]  # fmt: skip


def test_polls_older_than_the_venues_history(
    sandbox: Sandbox, look: Look, clock: Clock, hour: int, tmp_path: Path
) -> None:
    """What the venue no longer serves is unobtainable, but for the instants that were seen in time."""
    start, end = hour - 300 * HOUR, hour - 100 * HOUR
    polled = (hour - 280 * HOUR + MINUTE, hour - 250 * HOUR + MINUTE)
    for clock.at in polled:
        look(BTC)
    fill_history(sandbox, tmp_path, clock, start, end)
    found = spans(tmp_path, BTC)
    edge = found[4][1]
    assert hour - 199 * HOUR <= edge <= hour - 196 * HOUR
    assert [span[:3] for span in found] == [
        (start, polled[0], "unobtainable"),
        (polled[0], polled[0] + 1, "present"),
        (polled[0] + 1, polled[1], "unobtainable"),
        (polled[1], polled[1] + 1, "present"),
        (polled[1] + 1, edge, "unobtainable"),
        (edge, end, "present"),
    ]
    assert_both(sandbox, tmp_path, polled, -(-edge // HOUR) * HOUR, end)


@pytest.mark.wide
@pytest.mark.parametrize("name", ["htx-inverse", "htx-futures"])
def test_what_is_open_of_coin_margined_contracts(clock: Clock, tmp_path: Path, name: str) -> None:
    """All of them in one answer: contracts, and coins as the venue says them; nobody says a value."""
    with Sandbox(seed=1, limits=False, clock=clock) as sandbox:
        found = look_at(sandbox, tmp_path, where=venue(name))
        assert (found.missing, found.rows == found.wanted > 2) == ((), True)
        for line in Store(tmp_path / "lake").series(dataset="open_interest", venue=name):
            truth = sandbox.market.open_interest_now(name, line.symbol, FIRST)
            columns = stored(tmp_path / "lake", line)
            assert columns["time"] == [FIRST]
            assert columns["contracts"] == truth["contracts"].tolist()
            assert columns["volume"] == truth["volume"].tolist()
            assert columns["value"] == [None]
    path = {"htx-inverse": "/swap-api/v1/swap_open_interest", "htx-futures": "/api/v1/contract_open_interest"}[name]
    assert asked(sandbox, path) == [""]


# ---------------------------------------------------------------------------------------------- the door


def test_what_can_be_looked_at_and_where() -> None:
    """Instruments where there is a host, the others where a venue says how to ask; anything else is a usage error."""
    public = ["instruments", "open_interest", "index_constituents", "indicative_funding_rates"]
    public += ["mark_prices", "index_prices"]
    assert looked_at() == [*public, "own_balances"]
    assert [v.name for v in venues_of("instruments")] == [venue.name for venue in VENUES if HOSTS[venue.host]]
    assert [v.name for v in venues_of("open_interest")] == ["htx-linear", "htx-inverse", "htx-futures"]
    assert [v.name for v in venues_of("instruments", ["htx-linear", "htx-linear"])] == ["htx-linear"]
    with pytest.raises(UsageError, match="'trades': choose from instruments, open_interest"):
        venues_of("trades")
    with pytest.raises(UsageError, match=r"--venue .htx-spot.: open_interest .* htx-linear"):
        venues_of("open_interest", ["htx-spot"])
    with pytest.raises(UsageError, match="--venue 'htx'"):
        venues_of("open_interest", ["htx"])
