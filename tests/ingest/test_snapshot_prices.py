"""HashKey's mark and index prices: nobody keeps their past, so they are looked at, taped, and stored as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import UsageError
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot import having, looked_at, venues_of
from htxdata.market import Series
from htxdata.protocol.wire import Reply, Request
from htxdata.sandbox import Faults, Rule, Sandbox, hashkey_index
from htxdata.store import open_lake, tape
from htxdata.store.coverage import with_missing
from htxdata.store.partition import Partition, Store
from htxdata.timeline import DAY, MINUTE, SECOND, parse_instant
from htxdata.venues import venue
from htxdata.venues.terms import Poll
from tests.ingest import looks
from tests.ingest.looks import Clock, Look
from tests.truth import files, settings_for, stored

HASHKEY = venue("hashkey")
FIRST = parse_instant("2026-06-01T10:20:30.123Z")
MARKS, INDICES = "mark_prices", "index_prices"
BTC, ETH, DOGE = PERPETUALS = ("BTCUSDT-PERPETUAL", "ETHUSDT-PERPETUAL", "DOGEUSDT-PERPETUAL")
MARK, INDEX = "/quote/v1/markPrice", "/quote/v1/index"
TRUTH = {MARKS: hashkey_index.mark_truth, INDICES: hashkey_index.index_truth}
TIME = {MARKS: "price_time", INDICES: "observed_at"}
look_at = partial(looks.look_at, where=HASHKEY)


@pytest.fixture
def clock() -> Clock:
    return Clock(FIRST)


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(seed=3, limits=False, clock=clock) as running:
        yield running


@pytest.fixture
def look(sandbox: Sandbox, tmp_path: Path) -> Look:
    return partial(look_at, sandbox, tmp_path)


def kept(folder: Path, dataset: str, symbol: str) -> dict[str, list[Any]]:
    return stored(folder / "lake", Series(dataset, "hashkey", symbol))


def truth(sandbox: Sandbox, dataset: str, symbol: str, *instants: int) -> dict[str, list[Any]]:
    rows = [TRUTH[dataset](sandbox.market, symbol, at) for at in instants]
    return {name: [row[name] for row in rows] for name in rows[0]}


def assert_true(sandbox: Sandbox, folder: Path, dataset: str, symbol: str, *instants: int) -> None:
    """The rows are those of ``instants`` and no others, value by value, and the coverage speaks of these alone."""
    found = kept(folder, dataset, symbol)
    due = truth(sandbox, dataset, symbol, *instants)
    assert {name: found.get(name) for name in due} == due
    assert set(found["source"]) == {"rest"}
    spans = Store(folder / "lake").coverage(Series(dataset, "hashkey", symbol))
    assert [(s.start, s.end, s.verdict, s.rows) for s in spans] == [
        (at, at + 1, "present", 1) for at in due[TIME[dataset]]
    ]


def asked(sandbox: Sandbox, path: str) -> list[str]:
    return sorted(record.query for record in sandbox.requests if record.path == path)


def set_aside(folder: Path) -> list[tuple[bytes, str]]:
    """What is in quarantine, and why."""
    return [
        (body.read_bytes(), json.loads(body.with_suffix(".json").read_text())["reason"])
        for body in (folder / "tape/quarantine").rglob("*.body")
    ]


# ---------------------------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize("dataset", [MARKS, INDICES])
def test_every_perpetual_has_the_price_of_this_second(
    sandbox: Sandbox, look: Look, tmp_path: Path, dataset: str
) -> None:
    """Values of the market under the perpetual's name, the venue's time, ours beside it; pairs have none."""
    found = look(dataset)
    assert (found.missing, found.rows, found.new, found.wanted, found.left_out) == ((), 3, 3, 3, ())
    assert {line.symbol for line in Store(tmp_path / "lake").series(dataset=dataset)} == set(PERPETUALS)
    replies = {reply.received_at for reply in tape.replies(tmp_path / "tape", venue="hashkey", feed=dataset)}
    for symbol in PERPETUALS:
        assert_true(sandbox, tmp_path, dataset, symbol, FIRST)
        assert kept(tmp_path, dataset, symbol)[TIME[dataset]] == [FIRST // SECOND * SECOND]
        assert set(kept(tmp_path, dataset, symbol)["received_at"]) <= replies
    if dataset == MARKS:
        assert asked(sandbox, MARK) == sorted(f"symbol={symbol}" for symbol in PERPETUALS)
    else:
        assert asked(sandbox, INDEX) == [""]  # one request for all


@pytest.mark.parametrize("dataset", [MARKS, INDICES])
def test_the_same_second_again_changes_no_byte_and_another_is_a_row(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path, dataset: str
) -> None:
    """Law 2; and between two looks nothing is known, also over midnight, where the next file begins."""
    look(dataset, "*usdt-perpetual")
    before = files(tmp_path / "lake")
    clock.at += SECOND // 2  # of the same second
    assert (look(dataset).rows, look(dataset).new) == (3, 0)
    assert files(tmp_path / "lake") == before
    later = [FIRST + SECOND, FIRST + 10 * MINUTE, FIRST + DAY]
    for clock.at in later:
        assert look(dataset, "btc*").new == 1
    assert_true(sandbox, tmp_path, dataset, BTC, FIRST, *later)
    assert_true(sandbox, tmp_path, dataset, ETH, FIRST)
    spans = with_missing(Store(tmp_path / "lake").coverage(Series(dataset, "hashkey", BTC)))
    assert [span.verdict for span in spans] == ["present", "missing"] * 3 + ["present"]
    assert len(list((tmp_path / f"lake/{dataset}/venue=hashkey/symbol={BTC}").glob("*/*.parquet"))) == 2
    with open_lake(tmp_path / "lake") as lake:
        of_day = getattr(lake, dataset)(BTC, venue="hashkey", start="2026-06-02", end="2026-06-03")
        assert of_day.select("price").fetchall() == [(truth(sandbox, dataset, BTC, FIRST + DAY)["price"][0],)]


def test_two_prices_of_one_second_are_one_row_and_a_difference(
    sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path
) -> None:
    """A Date has whole seconds, and an index may move within one: the later word stands, and both are told."""
    look(INDICES, BTC)
    was = kept(tmp_path, INDICES, BTC)["price"]

    def moved(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            parsed = poll.parse(reply, symbol)
            return replace(parsed, columns={**parsed.columns, "price": [7.5] * parsed.page.count})

        return replace(poll, parse=parse)

    assert look(INDICES, BTC, where=replace(HASHKEY, polls=tuple(map(moved, HASHKEY.polls)))).new == 0
    assert kept(tmp_path, INDICES, BTC)["price"] == [7.5]
    told = kept(tmp_path, "source_differences", BTC)
    assert (told["row_time"], told["column_name"], told["kept"], told["dropped"]) == (
        [FIRST // SECOND * SECOND], ["price"], [7.5], was
    )  # fmt: skip


def test_digits_that_no_double_carries_are_counted(sandbox: Sandbox, look: Look, clock: Clock, tmp_path: Path) -> None:
    """Of mark prices with 18 decimals the nearest double is stored, and the footer says how many were cut (law 9)."""
    lost = 0
    for clock.at in (FIRST + n * SECOND for n in range(6)):
        look(MARKS, BTC)
        price, _ = hashkey_index.mark(sandbox.market.seed, sandbox.market.instrument("hashkey", BTC), clock.at)
        lost += len(f"{price:f}".partition(".")[2]) == 18
    footer = Store(tmp_path / "lake").footer(Partition(MARKS, "hashkey", BTC, None, "2026-06-01"))
    assert footer is not None
    assert footer.unfit == lost
    assert 0 < lost < 6


def test_an_index_that_outlived_its_contract_makes_no_row(sandbox: Sandbox, look: Look, tmp_path: Path) -> None:
    """The answer names it, and nobody asked for it."""
    assert look(INDICES).missing == ()
    (taped,) = tape.replies(tmp_path / "tape", venue="hashkey", feed=INDICES)
    assert set(json.loads(taped.body)["index"]) == {"BTCUSDT", "ETHUSDT", "DOGEUSDT", "SOLUSDT"}
    assert not kept(tmp_path, INDICES, "SOLUSDT-PERPETUAL")


# ---------------------------------------------------------------------------------------------- the tape


@pytest.mark.parametrize("dataset", [MARKS, INDICES])
def test_the_reply_is_on_the_tape_before_it_is_read_and_can_be_read_again(
    sandbox: Sandbox, tmp_path: Path, dataset: str
) -> None:
    """Byte for byte, with the Date that an index has its time of; today's parser makes the same rows of it."""
    read: list[bytes] = []

    def watching(poll: Poll) -> Poll:
        def parse(reply: Reply, symbol: str | None) -> Any:
            assert reply.body in {r.body for r in tape.replies(tmp_path / "tape")}
            read.append(reply.body)
            return poll.parse(reply, symbol)

        return replace(poll, parse=parse)

    look_at(sandbox, tmp_path, dataset, where=replace(HASHKEY, polls=tuple(map(watching, HASHKEY.polls))))
    taped = list(tape.replies(tmp_path / "tape", venue="hashkey", feed=dataset))
    assert sorted(reply.body for reply in taped) == sorted(read)
    again: dict[str, tuple[int, float]] = {}
    for one in taped:
        reply = Reply(Request(one.path, one.params), one.status, one.body, one.received_at, {"date": one.date})
        columns = HASHKEY.polls_for(dataset)[0].parse(reply, dict(one.params).get("symbol")).columns
        again |= {
            symbol: (columns[TIME[dataset]][at], columns["price"][at])
            for at, symbol in enumerate(columns["symbol"]) if symbol in PERPETUALS
        }  # fmt: skip
    assert again == {
        symbol: (rows[TIME[dataset]][0], rows["price"][0])
        for symbol in PERPETUALS for rows in [kept(tmp_path, dataset, symbol)]
    }  # fmt: skip


# ---------------------------------------------------------------------------------------------- faults

MODES = ["value", *(pytest.param(mode, marks=pytest.mark.wide) for mode in ("types", "column"))]


@pytest.mark.parametrize("mode", MODES)
def test_a_mark_price_that_cannot_be_read_is_set_aside(clock: Clock, tmp_path: Path, mode: str) -> None:
    """In quarantine with its reason, on the tape byte for byte, missing with a sentence; the others are there."""
    said: list[str] = []
    faults = Faults(Rule("garbage", mode=mode, path=MARK, symbol=ETH))
    with Sandbox(seed=3, limits=False, clock=clock, faults=faults) as sandbox:
        found = look_at(sandbox, tmp_path, MARKS, say=said.append)
        for symbol in (BTC, DOGE):
            assert_true(sandbox, tmp_path, MARKS, symbol, FIRST)
    ((body, reason),) = set_aside(tmp_path)
    assert body in [reply.body for reply in tape.replies(tmp_path / "tape")]
    (line,) = found.missing
    assert line.startswith(f"mark_prices hashkey {ETH}: {MARK}: {reason}")
    assert "'price'" in reason
    assert (found.rows, found.wanted) == (2, 3)
    assert any(reason in text for text in said)
    assert not kept(tmp_path, MARKS, ETH)


@pytest.mark.parametrize("mode", MODES)
def test_where_the_answer_for_all_is_bad_each_index_is_asked_for(clock: Clock, tmp_path: Path, mode: str) -> None:
    """One value spoils the answer for all, which is set aside whole; by their names they come."""
    faults = Faults(Rule("garbage", mode=mode, path=INDEX, times=1))
    with Sandbox(seed=3, limits=False, clock=clock, faults=faults) as sandbox:
        found = look_at(sandbox, tmp_path, INDICES)
        assert (found.missing, found.rows) == ((), 3)
        assert asked(sandbox, INDEX) == ["", "symbol=BTCUSDT", "symbol=DOGEUSDT", "symbol=ETHUSDT"]
        for symbol in PERPETUALS:
            assert_true(sandbox, tmp_path, INDICES, symbol, FIRST)
    ((body, _),) = set_aside(tmp_path)
    taped = [reply.body for reply in tape.replies(tmp_path / "tape")]
    assert (body in taped, len(taped)) == (True, 4)


REFUSALS: dict[str, tuple[int, bytes, str]] = {
    "html": (404, b"<html>\r\n<h1>404 Not Found</h1>", "HTTP 404"),
    "no path": (404, b'{"code":404,"msg":"No static resource x."}', "404: No static resource x."),
    "a number": (400, b'{"code":-100011,"msg":"Not supported symbols"}', "-100011: Not supported symbols"),
    "under 200": (200, b'{"code":"-100011","msg":"Parameter error!"}', "-100011: Parameter error!"),
    "a text": (400, b'{"code":"-1130","msg":"Illegal parameter symbol"}', "-1130: Illegal parameter symbol"),
    "closed": (400, b'{"code":"-1151","msg":"The trading pair is not open yet"}', "The trading pair is not open yet"),
    "nothing": (200, b"", "an empty answer: the venue knows no such contract"),
}


@pytest.mark.parametrize(
    ("dataset", "refusal"),
    [(MARKS, name) for name in REFUSALS] + [(INDICES, name) for name in REFUSALS if name != "nothing"],
)
def test_refusals_are_missing_with_their_words(sandbox: Sandbox, tmp_path: Path, dataset: str, refusal: str) -> None:
    """HTML, codes as texts and numbers, under 400 and 200; an empty 200 is no such contract. No row, no quarantine."""
    status, body, why = REFUSALS[refusal]

    def judged(reply: Reply) -> Any:
        priced = reply.request.path in (MARK, INDEX)
        return HASHKEY.judge(replace(reply, status=status, body=body) if priced else reply)

    found = look_at(sandbox, tmp_path, dataset, BTC, ETH, where=replace(HASHKEY, judge=judged))
    assert [line.partition(": ")[0] for line in found.missing] == [f"{dataset} hashkey {name}" for name in (BTC, ETH)]
    assert all(why in line for line in found.missing)
    assert (found.rows, set_aside(tmp_path)) == (0, [])
    assert not (tmp_path / f"lake/{dataset}").exists()


@pytest.mark.parametrize(
    "rule",
    [
        Rule("cut", mode="length", times=1), Rule("throttle", mode="headers", times=1),
        *(pytest.param(rule, marks=pytest.mark.wide) for rule in (
            Rule("error", status=502, times=1), Rule("drop", times=1), Rule("busy", times=1),
            Rule("garbage", mode="json", times=1),
        )),
    ],
    ids=lambda rule: rule.kind,
)  # fmt: skip
def test_what_can_be_asked_again_is(clock: Clock, tmp_path: Path, rule: Rule) -> None:
    """A cut body, half an answer, a broken server, a 429 that says how long: then the price is there."""
    with Sandbox(seed=3, limits=False, clock=clock, faults=Faults(replace(rule, path=MARK))) as sandbox:
        assert look_at(sandbox, tmp_path, MARKS, BTC).missing == ()
        assert_true(sandbox, tmp_path, MARKS, BTC, FIRST)
        assert len(asked(sandbox, MARK)) == 2
    assert len(list(tape.replies(tmp_path / "tape"))) == 1


@pytest.mark.wide
def test_after_a_ban_what_came_before_it_is_there(clock: Clock, tmp_path: Path) -> None:
    """A 418: the mark prices that were told are stored, the others are missing and say why, and nobody asks again."""
    faults = Faults(Rule("ban", path=MARK, after=1, times=1, seconds=60.0))
    with Sandbox(seed=3, limits=False, clock=clock, faults=faults) as sandbox:
        found = look_at(sandbox, tmp_path, MARKS)
        assert found.rows + len(found.missing) == 3
        assert all("418" in line or "wants no requests" in line for line in found.missing)
        there = [symbol for symbol in PERPETUALS if kept(tmp_path, MARKS, symbol)]
        assert len(there) == found.rows < 3
        for symbol in there:
            assert_true(sandbox, tmp_path, MARKS, symbol, FIRST)


# ---------------------------------------------------------------------------------------------- the door


def test_what_has_no_such_price_is_wrong_usage(sandbox: Sandbox, look: Look, tmp_path: Path) -> None:
    """A pair by its name, or a glob of pairs alone, with a venue or without; nothing is asked for, nothing stored."""
    for dataset in (MARKS, INDICES, "indicative_funding_rates"):
        for symbols in (("btcusdt",), (BTC, "btcusdt"), ("ETHUSD?",)):
            with pytest.raises(UsageError, match=f"hashkey has {dataset} of other instruments only"):
                look(dataset, *symbols)
        with Session(settings_for(sandbox, tmp_path), say=print) as session:
            with pytest.raises(UsageError, match="of other instruments only"):
                having(session, dataset, [HASHKEY], ("ETHUSDT",))
            assert having(session, dataset, [HASHKEY], ("eth*",)) == [(HASHKEY, ("eth*",))]
    with pytest.raises(UsageError, match="no such symbol"):
        look(MARKS, "SOLUSDT-PERPETUAL")  # delisted: it is no longer listed
    assert asked(sandbox, MARK) == asked(sandbox, INDEX) == []
    assert not (tmp_path / "lake").exists()


def test_where_they_can_be_looked_at() -> None:
    """On HashKey alone: HTX has candles of both."""
    assert {MARKS, INDICES} < set(looked_at())
    for dataset in (MARKS, INDICES):
        assert venues_of(dataset) == [HASHKEY]
        with pytest.raises(UsageError, match="it can on hashkey"):
            venues_of(dataset, ["htx-linear"])
