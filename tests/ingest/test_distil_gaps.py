"""What was not heard: a row from when to when and why, an outage in coverage, and how either is healed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.ingest.distil import heal_gaps
from htxdata.ingest.distil_spans import Heard, Silence, claims, covered, silences
from htxdata.market import Series
from htxdata.store.coverage import Asked
from htxdata.store.footer import Span
from htxdata.store.layout import partition_of
from htxdata.store.partition import Store
from htxdata.store.tape import reply_record
from htxdata.timeline import SECOND, Window, merge, subtract
from tests.ingest.test_distil import (
    BTC,
    GAPS,
    SKEW,
    T0,
    TRADES,
    Hand,
    Run,
    files,
    rest_trades,
    rows,
    run,
    spans,
    store,
    tape,
    trade,
    trades_push,
)

__all__ = ["run", "store", "tape"]


def at(seconds: float) -> int:
    return T0 + int(seconds * SECOND)


def two_connections(tape: Path, why: str | None, reply: bytes | None = None) -> None:
    """Heard from 0 to 10 s, then from 20 to 30 s; trade 2 happened in between."""
    one = Hand(tape, "htx-spot", "trades", at(0), [BTC])
    one.acks(at(0))
    one.say(at(5), trades_push(at(5), trade(1, at(5))))
    one.ping(at(10))
    if why is None:
        one.kill()
    else:
        one.close(at(10), why)
    two = Hand(tape, "htx-spot", "trades", at(19), [BTC])
    two.acks(at(20))
    if reply is not None:
        params = (("symbol", BTC), ("size", "2000"))
        two.reel.note(*_record(reply, at(24), params))
    two.say(at(25), trades_push(at(25), trade(3, at(25))))
    two.ping(at(30))
    two.close(at(30))


def _record(
    reply: bytes, when: int, params: tuple[tuple[str, str], ...]
) -> tuple[int, dict[str, object], bytes]:
    record = reply_record("/market/history/trade", params, 200, reply, when + SKEW)
    return record.received_at, dict(record.said), record.body


@pytest.mark.parametrize(
    ("why", "cause"),
    [("lost", "lost"), ("stale", "stale"), (None, "killed"), ("disk", "disk"), ("rotation", "lost")],
)
def test_a_connection_that_was_lost_leaves_a_gap(
    store: Store, tape: Path, run: Run, why: str | None, cause: str
) -> None:
    """From the last message before to the first after, less a margin: a row with its cause, and an outage."""
    two_connections(tape, why)
    done = run()
    names = ("feed", "gap_start", "gap_end", "cause", "healed_at", "source", "received_at")
    assert rows(store, GAPS, *names) == [("trades", at(9), at(20), cause, None, "ws", at(20) + SKEW)]
    assert spans(store, TRADES) == [
        (at(0), at(9), "present", "ws", 1),
        (at(9), at(20), "outage", "ws", 0),
        (at(20), at(29), "present", "ws", 1),
    ]
    (gap,) = done.gaps
    assert (gap.series, gap.feed, gap.window, gap.cause) == (TRADES, "trades", Window(at(9), at(20)), cause)
    before = files(store)
    assert run(again=True).gaps == done.gaps
    assert files(store) == before


def test_what_was_meant_to_end_leaves_none(store: Store, tape: Path, run: Run) -> None:
    """After a capture that its user ended nothing is said of the time until the next one: it is missing."""
    two_connections(tape, "asked")
    assert run().gaps == []
    assert rows(store, GAPS) == []
    assert spans(store, TRADES) == [
        (at(0), at(9), "present", "ws", 1),
        (at(20), at(29), "present", "ws", 1),
    ]


def test_a_connection_that_lives_is_no_gap_yet(store: Store, tape: Path, run: Run) -> None:
    """Nobody knows yet what a connection that stands will still bring."""
    one = Hand(tape, "htx-spot", "trades", at(0), [BTC])
    one.acks(at(0))
    one.ping(at(2))
    two = Hand(tape, "htx-spot", "trades", at(9), [BTC])
    two.acks(at(10))
    two.ping(at(20))
    assert run().gaps == []
    one.kill()
    (gap,) = run().gaps
    assert (gap.window, gap.cause) == (Window(at(1), at(10)), "killed")


def test_a_taped_reply_heals_the_gap(store: Store, tape: Path, run: Run) -> None:
    """What REST had of the time between is merged by id; the row says when, and there is no outage."""
    reply = rest_trades(at(26), *(trade(n, at(s)) for n, s in ((3, 25), (2, 15), (1, 5), (0, 4))))
    two_connections(tape, "lost", reply)
    done = run()
    assert rows(store, TRADES, "trade_id", "trade_time", "source") == [  # the oldest of the reply may be half an order
        ("1", at(5), "ws"),
        ("2", at(15), "rest"),
        ("3", at(25), "rest"),
    ]
    assert rows(store, GAPS, "gap_start", "gap_end", "healed_at") == [(at(9), at(20), at(24) + SKEW)]
    assert (done.gaps, [gap.healed_at for gap in done.healed]) == ([], [at(24) + SKEW])
    assert spans(store, TRADES) == [
        (at(0), at(9), "present", "ws", 1),
        (at(9), at(20), "present", "rest", 1),
        (at(20), at(29), "present", "ws", 1),
    ]
    before = files(store)
    assert (run().healed, run(again=True).healed) == ([], [])
    assert files(store) == before


def test_a_reply_that_does_not_reach_back_leaves_the_gap_open(store: Store, tape: Path, run: Run) -> None:
    """The oldest order of a reply may be cut off: only what is newer is known, the rest is an outage."""
    two_connections(tape, "lost", rest_trades(at(24), trade(3, at(22)), trade(2, at(15))))
    done = run()
    assert [gap.window for gap in done.gaps] == [Window(at(9), at(20))]
    assert spans(store, TRADES) == [
        (at(0), at(9), "present", "ws", 1),
        (at(9), at(15) + 1, "outage", "ws", 0),
        (at(15) + 1, at(20), "empty", "rest", 0),
        (at(20), at(29), "present", "ws", 1),
    ]


def test_a_reply_after_the_last_connection_is_on_a_reel_of_its_own(
    store: Store, tape: Path, run: Run
) -> None:
    """A reel without topics still says whom its replies are of."""
    hand = Hand(tape, "htx-spot", "trades", at(0), [])
    hand.reel.note(
        *_record(
            rest_trades(at(10), trade(2, at(6)), trade(1, at(4))), at(10), (("symbol", BTC), ("size", "2000"))
        )
    )
    hand.close(at(11))
    run()
    assert rows(store, TRADES, "trade_id") == [("2",)]
    assert spans(store, TRADES) == [(at(4) + 1, at(9), "present", "rest", 1)]


def test_a_reply_that_cannot_be_read_goes_into_quarantine(store: Store, tape: Path, run: Run) -> None:
    """It covers nothing."""
    two_connections(
        tape, "lost", b'{"status":"ok","ch":"market.ethusdt.trade.detail","data":[{"data":[]}]}'[:-3]
    )
    done = run()
    assert (done.quarantined, len(done.gaps)) == (1, 1)


def test_what_another_run_brings_later_heals_the_gap(store: Store, tape: Path, run: Run) -> None:
    """Once the span is known, whoever brought it, the row says so, once; a run of distil leaves it healed."""
    two_connections(tape, "lost")
    run()
    later = at(3600)
    partition = partition_of(TRADES, at(9))
    store.commit(partition, None, [Asked(Window(at(0), at(15)), "archive", later)])
    assert heal_gaps(store) == []
    store.commit(partition, None, [Asked(Window(at(14), at(30)), "archive", later + 5)])
    (healed,) = heal_gaps(store, "htx-spot")
    assert (healed.window, healed.healed_at) == (Window(at(9), at(20)), later + 5)
    assert heal_gaps(store) == []
    before = files(store)
    assert run(again=True).gaps == []
    assert files(store) == before


def test_overlap_at_a_rotation_loses_nothing(store: Store, tape: Path, run: Run) -> None:
    """The new connection was heard before the old one ended: one span, no gap."""
    one = Hand(tape, "htx-spot", "trades", at(0), [BTC])
    one.acks(at(0))
    two = Hand(tape, "htx-spot", "trades", at(8), [BTC], takes_over=one.reel.path.name)
    two.acks(at(9))
    for hand in (one, two):
        hand.say(at(11), trades_push(at(11), trade(1, at(11))))
    one.close(at(11), "rotation")
    two.ping(at(20))
    two.close(at(20))
    assert run().gaps == []
    assert spans(store, TRADES) == [(at(0), at(19), "present", "ws", 1)]
    assert rows(store, TRADES, "trade_id") == [("1",)]


def test_what_is_torn_out_of_a_reel_is_a_gap(store: Store, tape: Path, run: Run) -> None:
    """Damage inside a reel: from the message before it to the first one after it, nothing was surely heard."""
    hand = Hand(tape, "htx-spot", "trades", at(0), [BTC])
    hand.acks(at(0))
    hand.ping(at(10))
    start = hand.reel.path.stat().st_size
    hand.say(at(12), trades_push(at(12), trade(1, at(12))))
    end = hand.reel.path.stat().st_size
    hand.ping(at(20))
    hand.ping(at(30))
    hand.close(at(30))
    content = bytearray(hand.reel.path.read_bytes())
    content[start + 20 : end - 5] = bytes(end - start - 25)
    hand.reel.path.chmod(0o644)
    hand.reel.path.write_bytes(content)
    (gap,) = run().gaps
    assert (gap.window, gap.cause) == (Window(at(9), at(20)), "disk")
    assert rows(store, TRADES) == []


def test_a_loss_shortly_before_the_end_is_a_gap(tape: Path, run: Run, store: Store) -> None:
    """The connection after it told half a second and was asked to end: what was lost has its row, until then; and of
    the three days until somebody listened again nothing is said."""
    two_connections(tape, "lost")
    brief = Hand(tape, "htx-spot", "trades", at(38), [BTC])
    brief.acks(at(40))
    brief.ping(at(40.5))
    brief.close(at(40.5))
    lost = Hand(tape, "htx-spot", "trades", at(50), [BTC])
    lost.acks(at(50))
    lost.ping(at(60))
    lost.close(at(60), "lost")
    last = Hand(tape, "htx-spot", "trades", at(62), [BTC])
    last.acks(at(63))
    last.ping(at(63.5))
    last.close(at(63.5))
    found = [Window(at(9), at(20)), Window(at(59), at(63))]
    assert [(gap.window, gap.cause) for gap in run().gaps] == [(window, "lost") for window in found]
    again = Hand(tape, "htx-spot", "trades", at(3 * 86_400), [BTC])
    again.acks(at(3 * 86_400))
    again.ping(at(3 * 86_400 + 10))
    again.close(at(3 * 86_400 + 10))
    assert [gap.window for gap in run().gaps] == found
    assert [Window(start, end) for start, end, verdict, *_ in spans(store, TRADES) if verdict == "outage"] == found


# ------------------------------------------------------------------------------------------------ laws

_instants = st.integers(0, 60)


@st.composite
def _heard(draw: st.DrawFn) -> Heard:
    start, length = draw(_instants), draw(st.integers(0, 20))
    cause = draw(st.sampled_from(["", "lost", "killed"]))
    return Heard(start, start + length, cause, start + 1000, start + length + 1000)


@given(st.lists(_heard(), max_size=8))
def test_silences_and_stretches_never_overlap(heard: list[Heard]) -> None:
    """A silence lies between two stretches, touches both, has the cause of the one before, and nobody heard in it. A
    stretch may be an instant."""
    windows = merge(Window(h.start, h.end) for h in heard)
    found = silences(heard)
    for silence in found:
        assert subtract([silence.window], windows) == [silence.window]
        assert not any(silence.start < h.start < silence.end for h in heard)
        assert any(h.start == silence.end for h in heard)
        assert silence.cause in {h.cause for h in heard if h.end == silence.start}
    if not heard:
        return
    edges = {h.start for h in heard}
    for hole in subtract([Window(min(edges), max(h.end for h in heard))], windows):
        for start, end in pairwise(sorted({*hole, *(edge for edge in edges if hole.start < edge < hole.end)})):
            if all(h.cause for h in heard if h.end == start):
                assert any(silence.window == Window(start, end) for silence in found)


_verdicts = st.sampled_from(["present", "empty", "outage", "unobtainable"])


@st.composite
def _spans(draw: st.DrawFn) -> list[Span]:
    cuts = sorted(draw(st.sets(_instants, max_size=8)))
    out = []
    for start, end in pairwise(cuts):
        if draw(st.booleans()):
            source = draw(st.sampled_from(["ws", "rest", "archive"]))
            out.append(Span(start, end, draw(_verdicts), source, 100, 0))
    return out


@given(st.lists(_heard(), max_size=5), st.lists(_heard(), max_size=3), _spans())
def test_claims_never_touch_what_others_know(
    heard: list[Heard], replies: list[Heard], known: list[Span]
) -> None:
    """No claim lies over what another source told; everything heard is known afterwards, also what is served no
    longer; an outage is claimed only where nobody listened, nobody answered and nothing was known."""
    answered = [Asked(Window(r.start, r.end), "rest", r.known_to) for r in replies if r.end > r.start]
    lost = silences(heard)
    out = claims(heard, answered, lost, known, Window(0, 100))
    told = [s for s in known if s.verdict in ("present", "empty")]
    firm = [Window(s.start, s.end) for s in told if s.source != "ws"]
    for claim in out:
        assert subtract([claim.window], firm) == [claim.window]
    heard_windows = [Window(h.start, h.end) for h in heard]
    sure = [Window(s.start, s.end) for s in told]
    said = [claim.window for claim in out if claim.verdict != "outage"]
    assert subtract(heard_windows, [*sure, *said]) == []
    for claim in out:
        if claim.verdict == "outage":
            gone = [Window(s.start, s.end) for s in known if s.verdict == "unobtainable"]
            free = subtract([claim.window], [*heard_windows, *(a.window for a in answered), *sure, *gone])
            assert free == [claim.window]
            assert subtract([claim.window], [s.window for s in lost]) == []


@given(_spans(), _instants, st.integers(1, 20))
def test_a_window_is_covered_only_if_every_instant_is(known: list[Span], start: int, length: int) -> None:
    """One instant that is missing, an outage or no longer served, and it is not."""
    window = Window(start, start + length)
    told = all(
        any(s.start <= i < s.end and s.verdict in ("present", "empty") for s in known) for i in range(*window)
    )
    assert (covered(window, known) is not None) == told


def test_a_silence_names_its_window() -> None:
    """Half-open, as every window."""
    assert Silence(1, 2, "lost", 3).window == Window(1, 2)
    assert Series("trades", "htx-spot", BTC) == TRADES
