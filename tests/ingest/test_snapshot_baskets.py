"""Baskets of indices and coming fundings, looked at from time to time: what changed makes rows, the rest does not."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply, UsageError
from htxdata.ingest import snapshot_polls
from htxdata.ingest.asked import Request as Backfill
from htxdata.ingest.snapshot import venues_of
from htxdata.ingest.snapshot_states import held, in_turn, keep
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import Faults, Rule, Sandbox, baskets, linear_indicative
from htxdata.schema import dataset
from htxdata.schema.arrow import conform
from htxdata.store import milestones, open_lake, tape
from htxdata.store.coverage import with_missing
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, MINUTE, SECOND, parse_instant
from htxdata.venues import venue
from htxdata.venues.terms import Poll
from tests.ingest.looks import LINEAR, Clock, Look, look_at
from tests.truth import files, fill, settings_for, stored

FIRST = parse_instant("2026-03-01T10:20:30.123Z")
BTC = "BTC-USDT"
TRADING = ("BTC-USDT", "ETH-USDT", "DOGE-USDT", "KSM-USDT", "SHIB-USDT", "MDX-USDT", "币安人生-USDT")
BASKETS, FUNDINGS = "index_constituents", "indicative_funding_rates"
CONSTITUENTS = "/linear-swap-api/market/swap_contract_constituents"


@pytest.fixture
def clock() -> Clock:
    return Clock(FIRST)


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(seed=1, limits=False, clock=clock) as running:
        yield running


@pytest.fixture
def look(sandbox: Sandbox, tmp_path: Path) -> Look:
    return partial(look_at, sandbox, tmp_path)


def kept(folder: Path, symbol: str, name: str = BASKETS, where: str = "htx-linear") -> dict[str, list[Any]]:
    """The stored columns but for where they came from."""
    columns = stored(folder / "lake", Series(name, where, symbol))
    return {key: values for key, values in columns.items() if key not in ("source", "received_at")}


def due(sandbox: Sandbox, symbol: str, *instants: int, quote: str = "USDT") -> dict[str, list[Any]]:
    """The true baskets of these instants, one behind the other."""
    out: dict[str, list[Any]] = {}
    for at in instants:
        for name, values in baskets.truth(sandbox.market, symbol, at, quote).items():
            out.setdefault(name, []).extend(values)
    return out


def spans(folder: Path, symbol: str = BTC, name: str = BASKETS) -> list[tuple[int, int, str, int]]:
    known = with_missing(Store(folder / "lake").coverage(Series(name, "htx-linear", symbol)))
    return [(span.start, span.end, span.verdict, span.rows) for span in known]


def whole(at: int) -> int:
    """The index is computed once a second."""
    return at // SECOND * SECOND


def asked(sandbox: Sandbox, path: str) -> list[str]:
    return [record.query for record in sandbox.requests if record.path == path]


# ---------------------------------------------------------------------------------------------- baskets


def test_every_contract_that_trades_has_its_basket(sandbox: Sandbox, look: Look, tmp_path: Path) -> None:
    """Value by value as the market says it, at the index's own time; ours beside it, one for all rows of an answer."""
    found = look(BASKETS)
    assert (found.missing, found.rows, found.new, found.wanted) == ((), 7, 7, 7)
    assert "7 of 7 instruments" in str(found)
    assert "7 new baskets" in str(found)
    heard = {reply.received_at for reply in tape.replies(tmp_path / "tape")}
    for symbol in TRADING:
        assert kept(tmp_path, symbol) == due(sandbox, symbol, FIRST)
        columns = stored(tmp_path / "lake", Series(BASKETS, "htx-linear", symbol))
        assert set(columns["source"]) == {"rest"}
        assert len(set(columns["received_at"])) == 1
        assert set(columns["received_at"]) <= heard
        assert spans(tmp_path, symbol) == [(whole(FIRST), whole(FIRST) + 1, "present", 5)]
    assert set(found.left_out) == {"LUNA-USDT", "BTC-USDT-250328", "WAVES-USDT"}


def test_a_basket_that_did_not_change_changes_no_byte(look: Look, clock: Clock, tmp_path: Path) -> None:
    """Other prices, the same exchanges and weights: heard and taped, and nothing is written within a day."""
    look(BASKETS, BTC)
    before = files(tmp_path / "lake")
    for clock.at in (FIRST, FIRST + 10 * SECOND, FIRST + HOUR, FIRST + 20 * HOUR):
        assert (look(BASKETS, BTC).rows, look(BASKETS, BTC).new) == (1, 0)
    assert files(tmp_path / "lake") == before
    bodies = [reply.body for reply in tape.replies(tmp_path / "tape", feed=BASKETS)]
    assert len(bodies) == 9
    assert len({json.loads(body)["data"]["index_price"] for body in bodies}) == 4


def test_what_changed_makes_rows_and_what_did_not_confirms(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path
) -> None:
    """Looks all 5 hours over 40 days, a notice with new names and a new year among them: the rows are the baskets that
    were new, value by value, and the coverage runs from the first look to the last confirmation."""
    start = parse_instant("2025-12-20T00:30Z")
    back = parse_instant("2026-02-02")
    times = [*range(start, start + 40 * DAY, 5 * HOUR), *range(back, back + 14 * DAY, 5 * HOUR)]
    news, last = [], None
    for clock.at in times:
        truth = baskets.truth(sandbox.market, BTC, clock.at)
        basket = list(zip(truth["exchange"], truth["constituent"], truth["weight"], strict=True))
        if basket != last:
            news.append(clock.at)
        assert look(BASKETS, BTC).new == (basket != last)
        last = basket
    assert 12 < len(news) < len(times) // 2
    assert {len(baskets.truth(sandbox.market, BTC, at)["exchange"]) for at in news} == {4, 5}
    assert kept(tmp_path, BTC) == due(sandbox, BTC, *news)
    # From the 29th of January on nobody looked for four days.
    pause = [at for at in times if at < back][-1]
    first, gap, second = spans(tmp_path)
    assert (first[0], first[2], gap[2], second[2]) == (start, "present", "missing", "present")
    assert pause - DAY <= first[1] <= pause + 1
    assert (gap[0], gap[1]) == (first[1], back)
    assert times[-1] - DAY <= second[1] <= times[-1] + 1
    assert first[3] + second[3] == len(kept(tmp_path, BTC)["weight"])


def test_a_daily_look_confirms(look: Look, clock: Clock, tmp_path: Path) -> None:
    """The same basket a day and two later, on the microsecond or an hour late: one span up to the last confirmation."""
    still = parse_instant("2026-03-12T07:00Z")  # 2.75 days without a change follow
    for clock.at in (still, still + DAY, still + 2 * DAY + HOUR):
        look(BASKETS, BTC)
    assert spans(tmp_path) == [(still, still + 2 * DAY + HOUR, "present", 5)]
    clock.at = still + 2 * DAY + 2 * HOUR
    look(BASKETS, BTC)
    assert spans(tmp_path) == [(still, still + 2 * DAY + HOUR, "present", 5)]


def test_the_coin_margined_have_theirs(sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path) -> None:
    """Swaps by contract, dated futures by coin and stored for each contract; a leg quoted in bitcoin among them."""
    inverse, futures = venue("htx-inverse"), venue("htx-futures")
    assert look(BASKETS, where=inverse).new == 3
    for symbol in ("BTC-USD", "ETH-USD"):
        assert kept(tmp_path, symbol, where="htx-inverse") == due(sandbox, f"{symbol}T", FIRST, quote="USD")
    assert "ETH-BTC" in kept(tmp_path, "ETH-USD", where="htx-inverse")["constituent"]
    found = look(BASKETS, "btc*", where=futures)
    assert (found.new, found.missing) == (4, ())
    for symbol in ("BTC260306", "BTC260313", "BTC260327", "BTC260626"):
        assert kept(tmp_path, symbol, where="htx-futures") == due(sandbox, BTC, FIRST, quote="USD")
    assert asked(sandbox, "/api/market/contract_constituents") == ["symbol=BTC"] * 4


# ---------------------------------------------------------------------------------------------- what goes wrong


def test_a_basket_that_cannot_be_read_is_on_the_tape(clock: Clock, tmp_path: Path) -> None:
    """The reply is in quarantine and on the tape byte for byte, the contract is missing, the others are stored."""
    said: list[str] = []
    rule = Rule("garbage", mode="column", path=CONSTITUENTS, symbol="ETH-USDT")
    with Sandbox(seed=1, limits=False, clock=clock, faults=Faults(rule)) as sandbox:
        found = look_at(sandbox, tmp_path, BASKETS, say=said.append)
        assert "contract_code=ETH-USDT" in asked(sandbox, "/linear-swap-ex/market/swap_contract_constituents")
    assert [line.partition(":")[0] for line in found.missing] == [f"{BASKETS} htx-linear ETH-USDT"]
    assert "quarantine" in found.missing[0]
    assert {s.symbol for s in Store(tmp_path / "lake").series(dataset=BASKETS)} == set(TRADING) - {"ETH-USDT"}
    (body,) = (tmp_path / "tape/quarantine").rglob("*.body")
    why = json.loads(body.with_suffix(".json").read_text())
    assert "contract_code=ETH-USDT" in why["asked"]
    assert body.read_bytes() in [reply.body for reply in tape.replies(tmp_path / "tape", feed=BASKETS)]
    assert any(why["reason"] in line for line in said)


def test_every_reply_is_taped_before_it_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    """A parser that is called finds its reply on the tape already; one that refuses everything loses nothing."""
    read: list[bytes] = []

    def refusing(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            assert reply.body in [taped.body for taped in tape.replies(tmp_path / "tape")]
            read.append(reply.body)
            raise BadReply("not today")

        return replace(poll, parse=parse)

    deaf = replace(LINEAR, polls=tuple(refusing(poll) for poll in LINEAR.polls))
    for name in (BASKETS, FUNDINGS):
        found = look_at(sandbox, tmp_path, name, BTC, where=deaf)
        assert (found.rows, len(found.missing)) == (0, 1)
        assert sorted(reply.body for reply in tape.replies(tmp_path / "tape", feed=name)) == sorted(read)
        assert len(read) == {BASKETS: 1, FUNDINGS: 3}[name]
        read.clear()
    # An afternoon later: the tape is enough.
    polls = {poll.path: poll for poll in LINEAR.polls}
    for reply in tape.replies(tmp_path / "tape", feed=BASKETS):
        again = polls[reply.path].parse(
            Reply(Request(reply.path, reply.params), reply.status, reply.body, reply.received_at), BTC
        )
        assert sorted(again.columns["weight"]) == sorted(due(sandbox, BTC, FIRST)["weight"])


def test_where_the_path_is_another_one(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that answers 404 is asked once, for whatever contract; then the other one has them all."""
    first, second = LINEAR.polls_for(BASKETS)
    gone = replace(first, build=lambda symbol: replace(first.build(symbol), path="/linear-swap-api/market/gone"))
    there = replace(second, build=first.build)
    moved = replace(LINEAR, polls=(gone, there))
    monkeypatch.setattr(snapshot_polls, "AT_ONCE", 1)  # many at once may each find out for themselves
    found = look_at(sandbox, tmp_path, BASKETS, where=moved)
    assert (found.new, found.missing) == (7, ())
    assert asked(sandbox, "/linear-swap-api/market/gone") == ["contract_code=BTC-USDT"]
    assert len(asked(sandbox, CONSTITUENTS)) == 8  # and the suspended one, of which nobody says anything
    for symbol in TRADING:
        assert kept(tmp_path, symbol) == due(sandbox, symbol, FIRST)


# ---------------------------------------------------------------------------------------------- the law of states

LINE = Series(BASKETS, "htx-linear", BTC)


def basket(at: int, weights: dict[str, float], price: float = 1.0, heard: int | None = None) -> Any:
    columns = {
        "index_time": [at] * len(weights), "index_price": [price] * len(weights), "exchange": list(weights),
        "constituent": [BTC] * len(weights), "price": [price] * len(weights), "weight": list(weights.values()),
    }  # fmt: skip
    return conform(
        dataset(BASKETS),
        {**columns, "source": "rest", "received_at": at + SECOND if heard is None else heard},
    )


def note(
    store: Store, at: int, weights: dict[str, float], price: float = 1.0, reach: int | None = 2 * DAY
) -> bool:
    with in_turn(store, LINE):
        return keep(store, LINE, held(store, LINE, at), basket(at, weights, price), at + SECOND, reach)


SHAPES = (
    {"htx": 1.0},
    {"htx": 0.5, "okx": 0.5},
    {"okx": 0.5, "htx": 0.5},
    {"htx": 0.4, "okx": 0.6},
    {"okx": 1.0},
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60 * 24), st.integers(0, 4)), min_size=1, max_size=8))
def test_the_rows_are_the_changes_and_the_spans_what_was_seen(looks: list[tuple[int, int]]) -> None:
    """Of any looks in order: rows exactly where the set of exchanges, pairs and weights differs from the look before.

    Every new basket's instant is covered; a hole is a pause, and looks less than a day apart leave none; the same looks
    again change nothing.
    """
    at, last, news, times = FIRST, None, [], []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        done = []
        for pause, shape in looks:
            at += pause * 3 * MINUTE
            said = frozenset(SHAPES[shape].items())
            assert note(store, at, SHAPES[shape], price=float(pause)) == (said != last)
            if said != last:
                news.append((at, said))
            last = said
            times.append(at)
            done.append((at, shape, float(pause)))
        table = stored(folder, LINE)
        rows = list(zip(table["index_time"], table["exchange"], table["weight"], strict=True))
        assert sorted(rows) == sorted((when, *leg) for when, said in news for leg in said)
        spans = store.coverage(LINE)
        assert {span.verdict for span in spans} == {"present"}
        assert all(any(span.start <= when < span.end for span in spans) for when, _ in news)
        assert spans[0].start == times[0]
        assert times[-1] - DAY < spans[-1].end <= times[-1] + 1
        pauses = list(itertools.pairwise(times))
        for first, second in itertools.pairwise(spans):
            assert second.start - first.end >= 2 * DAY
            assert any(later == second.start and later - earlier >= DAY for earlier, later in pauses)
        before = files(Path(folder))
        for when, shape, price in done:
            assert not note(store, when, SHAPES[shape], price)
        assert files(Path(folder)) == before


def test_looks_that_come_late_find_their_place(tmp_path: Path) -> None:
    """An answer that is older than what is stored is compared with what held then, whatever came after it."""
    store = Store(tmp_path)
    one, two, three = SHAPES[0], SHAPES[1], SHAPES[3]
    assert note(store, FIRST, one)
    assert note(store, FIRST + HOUR, two)
    assert not note(store, FIRST + MINUTE, one)
    assert note(store, FIRST + 2 * MINUTE, three)
    assert note(store, FIRST - MINUTE, two)
    table = stored(tmp_path, LINE)
    assert list(zip(table["index_time"], table["weight"], strict=True)) == [
        (FIRST - MINUTE, 0.5), (FIRST - MINUTE, 0.5), (FIRST, 1.0), (FIRST + 2 * MINUTE, 0.4),
        (FIRST + 2 * MINUTE, 0.6), (FIRST + HOUR, 0.5), (FIRST + HOUR, 0.5),
    ]  # fmt: skip


def test_two_baskets_of_one_instant_are_never_laid_over_each_other(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path
) -> None:
    """What was said first stays, what contradicts it is set aside; other prices of the same instant are nothing new."""
    store = Store(tmp_path / "other")
    assert note(store, FIRST, SHAPES[1])
    assert not note(store, FIRST, SHAPES[1], price=2.0)
    with pytest.raises(BadReply, match="otherwise"):
        note(store, FIRST, SHAPES[0])
    assert stored(tmp_path / "other", LINE)["exchange"] == ["htx", "okx"]

    def bent(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            found = poll.parse(reply, symbol)
            return replace(found, columns={**found.columns, "weight": [0.5] * found.page.count})

        return replace(poll, parse=parse)

    look(BASKETS, BTC)
    before = files(tmp_path / "lake")
    liar = replace(LINEAR, polls=tuple(bent(poll) for poll in LINEAR.polls_for(BASKETS)))
    found = look(BASKETS, BTC, where=liar)
    assert "otherwise" in found.missing[0]
    assert files(tmp_path / "lake") == before
    assert len(list((tmp_path / "tape/quarantine").rglob("*.body"))) == 1


def test_looks_at_once_make_the_rows_once(tmp_path: Path) -> None:
    """Eight who come with the same basket: one of them finds it new, the others find it there."""
    barrier, done = threading.Barrier(8), []

    def one() -> None:
        store = Store(tmp_path)
        barrier.wait()
        done.append(note(store, FIRST, SHAPES[1]))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 7 + [True]
    assert stored(tmp_path, LINE)["index_time"] == [FIRST, FIRST]


class Killed(BaseException):
    pass


def test_a_look_that_dies_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a look over a new year is killed, the next one finds it done or does it: each row once, no hole."""
    old, new = parse_instant("2025-12-31T12:00Z"), parse_instant("2026-01-01T12:00Z")
    deaths = 0
    while True:
        folder = tmp_path / str(deaths)
        store = Store(folder)
        note(store, old, SHAPES[1])
        left = [deaths]

        def dying(name: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Killed(name)

        with monkeypatch.context() as patched:
            patched.setattr(milestones, "step", dying)
            try:
                note(store, new, SHAPES[3])
                break
            except Killed:
                deaths += 1
        note(store, new + MINUTE, SHAPES[3])
        times = stored(folder, LINE)["index_time"]
        assert times in ([old, old, new, new], [old, old, new + MINUTE, new + MINUTE])
        (span,) = store.coverage(LINE)
        assert (span.start, span.rows) == (old, 4)
        assert span.end in (times[-1], times[-1] + 1)
    assert deaths >= 10


def test_instants_of_one_answer_do_not_differ(sandbox: Sandbox, tmp_path: Path) -> None:
    """A parser that gives one basket two times is not believed."""

    def torn(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            found = poll.parse(reply, symbol)
            times = [at + place for place, at in enumerate(found.columns["index_time"])]
            return replace(found, columns={**found.columns, "index_time": times})

        return replace(poll, parse=parse)

    where = replace(LINEAR, polls=tuple(torn(poll) for poll in LINEAR.polls_for(BASKETS)))
    found = look_at(sandbox, tmp_path, BASKETS, BTC, where=where)
    assert "several instants" in found.missing[0]
    assert not Store(tmp_path / "lake").series(dataset=BASKETS)


# ---------------------------------------------------------------------------------------------- as of


def test_the_basket_of_a_past_instant(sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path) -> None:
    """By the index's clock, the rows of the newest basket up to then; before the first look there are none."""
    changes = baskets.changes(sandbox.market, BTC, FIRST, FIRST + 6 * DAY)[:3]
    for clock.at in (FIRST, *changes):
        look(BASKETS, BTC)
    with open_lake(tmp_path / "lake") as lake:
        for at, since in [(FIRST, FIRST), *((at, at) for at in changes), (changes[1] - 1, changes[0])]:
            found = lake.basket(BTC, venue="htx-linear", at=at, known="index_time")
            truth = baskets.truth(sandbox.market, BTC, since)
            names = ("exchange", "constituent", "index_price", "price", "weight")
            assert found.select(*names).fetchall() == list(zip(*(truth[name] for name in names), strict=True))
        early = whole(FIRST) - 1
        assert lake.basket(BTC, venue="htx-linear", at=early, known="index_time").fetchall() == []
        assert lake.basket(BTC, venue="htx-linear", at=FIRST).fetchall() == []  # nobody had heard of it


# ---------------------------------------------------------------------------------------------- coming fundings


def test_every_look_at_a_coming_funding_is_a_row(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path
) -> None:
    """The rate as the market says it at each instant, also where it is the same; the same instant once."""
    times = (FIRST, FIRST + MINUTE, FIRST + HOUR, FIRST + 9 * HOUR)
    for clock.at in times:
        found = look(FUNDINGS, BTC, "MDX-USDT")
        assert (found.new, found.missing) == (2, ())
        assert "2 new rows" in str(found)
        assert look(FUNDINGS, BTC, "MDX-USDT").new == 0
    for symbol in (BTC, "MDX-USDT"):
        truth = [linear_indicative.truth(sandbox.market, symbol, at) for at in times]
        assert kept(tmp_path, symbol, FUNDINGS) == {
            "observed_at": list(times),
            "funding_time": [row["funding_time"] for row in truth],
            "funding_rate": [row["funding_rate"] for row in truth],
        }
        assert len({row["funding_time"] for row in truth}) == {BTC: 2, "MDX-USDT": 3}[symbol]
        seen = [span for span in spans(tmp_path, symbol, FUNDINGS) if span[2] == "present"]
        assert seen == [(at, at + 1, "present", 1) for at in times]


def test_fundings_of_all_perpetuals(sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path) -> None:
    """What is delivered pays none and is not asked for; the suspended one, of which nobody speaks, is no hole."""
    clock.at = parse_instant("2026-07-01T00:00:00.007Z")
    found = look(FUNDINGS)
    assert (found.rows, found.wanted, found.missing) == (7, 7, ())
    assert {"BTC-USDT-261225", "BTC-USDT-250328", "LUNA-USDT", "WAVES-USDT"} == set(found.left_out)
    assert "4 instruments that do not trade or cannot have one left out" in str(found)
    assert not any("BTC-USDT-261225" in record.query for record in sandbox.requests)
    for symbol in TRADING:
        assert kept(tmp_path, symbol, FUNDINGS)["funding_rate"] == [
            linear_indicative.truth(sandbox.market, symbol, clock.at)["funding_rate"]
        ]


def test_fundings_where_v5_is_gone_or_talks_nonsense(clock: Clock, tmp_path: Path) -> None:
    """Then all perpetuals come in one answer of v1; and where that is none either, each by itself."""
    batch, single = "/linear-swap-api/v1/swap_batch_funding_rate", "/linear-swap-api/v1/swap_funding_rate"
    with Sandbox(seed=1, limits=False, clock=clock, v5=False) as sandbox:
        assert look_at(sandbox, tmp_path / "a", FUNDINGS).missing == ()
        assert (asked(sandbox, batch), asked(sandbox, single)) == ([""], ["contract_code=WAVES-USDT"])
    broken = Faults(Rule("garbage", mode="types", path=batch))
    with Sandbox(seed=1, limits=False, clock=clock, v5=False, faults=broken) as sandbox:
        found = look_at(sandbox, tmp_path / "b", FUNDINGS)
        assert (found.rows, len(asked(sandbox, single))) == (7, 8)
        for folder in ("a", "b"):
            for symbol in TRADING:
                truth = linear_indicative.truth(sandbox.market, symbol, FIRST)
                assert kept(tmp_path / folder, symbol, FUNDINGS)["funding_rate"] == [truth["funding_rate"]]


# ---------------------------------------------------------------------------------------------- the door


def test_where_they_can_be_looked_at() -> None:
    """Baskets on all contracts, coming fundings on perpetual ones; a venue that has none says where there are some."""
    assert [v.name for v in venues_of(BASKETS)] == ["htx-linear", "htx-inverse", "htx-futures"]
    assert [v.name for v in venues_of(FUNDINGS)] == ["htx-linear", "htx-inverse", "hashkey"]
    with pytest.raises(UsageError, match="htx-linear, htx-inverse, htx-futures"):
        venues_of(BASKETS, ["htx-spot"])


@pytest.mark.wide
def test_coming_fundings_of_coin_margined_swaps(clock: Clock, tmp_path: Path) -> None:
    """All of them in one answer, at the rates that the market has then."""
    with Sandbox(seed=1, limits=False, clock=clock) as sandbox:
        found = look_at(sandbox, tmp_path, FUNDINGS, where=venue("htx-inverse"))
        assert (found.missing, found.rows) == ((), 3)
        for symbol in ("BTC-USD", "ETH-USD", "DOGE-USD"):
            truth = linear_indicative.truth(sandbox.market, symbol, FIRST, "htx-inverse")
            found_rows = kept(tmp_path, symbol, FUNDINGS, "htx-inverse")
            assert found_rows["funding_rate"] == [truth["funding_rate"]]
            assert found_rows["funding_time"] == [truth["funding_time"]]


def test_what_a_venue_does_not_have_is_wrong_usage(sandbox: Sandbox, tmp_path: Path) -> None:
    """Futures pay no funding, and nobody keeps a history of baskets: said before a question is asked."""
    for name, what in (("htx-futures", "funding_rates"), ("htx-futures", "open_interest"), ("htx-inverse", BASKETS)):
        with pytest.raises(UsageError, match=f"{what} of {name} cannot be backfilled: "):
            fill(settings_for(sandbox, tmp_path), Backfill(what, name, ("BTC-USD",), (), "2026-01-01"))
    assert sandbox.requests == []
