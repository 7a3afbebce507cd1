"""A conversation keeps to the venue's limits, ends every topic one way or the other, and believes no ping."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.protocol.backoff import BACK_CAP_S, failures_after, reconnect_in
from htxdata.protocol.dialect import Acked, Closing, Dialect, Heard, Ping, Pong, Push, Refused, Strange
from htxdata.protocol.session import (
    ACK_S,
    SLOWED,
    TRIES,
    Action,
    Close,
    Send,
    Session,
)  # fmt: skip

DIALECT = Dialect(
    name="test",
    hear=lambda message: Strange(""),
    subscribe=lambda topic, id: json.dumps(["sub", topic, id]),
    unsubscribe=lambda topic, id: json.dumps(["unsub", topic, id]),
    request=lambda topic, id: json.dumps(["req", topic, id]),
    subscriptions_per_second=5.0,
    requests_per_second=2.0,
    most_topics=10,
    beats=5.0,
    deaf=20.0,
    docs="",
)
MUTE = dataclasses.replace(DIALECT, subscriptions_per_second=1e6, requests_per_second=1e6, deaf=1e9)
"""One that limits nothing and never seems dead."""


def said(actions: list[Action]) -> list[list[str]]:
    return [json.loads(action.text) for action in actions if isinstance(action, Send)]


def opened(dialect: Dialect, topics: list[str], **options: object) -> Session:
    session = Session(dialect, topics, **options)  # type: ignore[arg-type]
    session.opened(0.0)
    return session


def until(session: Session, end: float, now: float = 0.0) -> list[tuple[float, Action]]:
    """Everything that is done by itself from ``now`` to ``end``, and when."""
    done: list[tuple[float, Action]] = []
    while (due := session.next_due(now)) is not None and due <= end:
        done += [(due, action) for action in session.due(due)]
        now = due + 1e-6
    return done


def acked(session: Session, now: float = 0.0) -> None:
    """Subscribe all topics, each acknowledged at once."""
    while any(t.stage == "wanted" for t in session._topics.values()):
        for kind, topic, id in said(session.due(now)):
            assert kind == "sub"
            session.hear(Acked(id, topic, 7), now)
        now += 1e-3


# ------------------------------------------------------------------------------------------------- any script

EVENT = st.tuples(
    st.sampled_from(
        ("tick", "tick", "ack", "ack", "refuse", "slower", "again", "unknown", "ping", "push", "answer", "add", "drop",
         "renew", "complaint")
    ),
    st.integers(0, 5),
    st.floats(0, 3),
)  # fmt: skip


def play(session: Session, script: list[tuple[str, int, float]]) -> list[tuple[float, str, str]]:
    """A venue and a user who do what the script says; every command with its time."""
    now, sent, open_ids, old = (
        0.0,
        list[tuple[float, str, str]](),
        list[tuple[str, str, str]](),
        list[Heard](),
    )

    def note(actions: list[Action]) -> None:
        for words in said(actions):
            if len(words) == 3:
                kind, topic, id = words
                sent.append((now, kind, topic))
                open_ids.append((kind, topic, id))

    for what, number, pause in script:
        end = now + pause
        while (due := session.next_due(now)) is not None and due <= end:
            assert session.due(max(now, due - 1e-6)) == [] or due - 1e-6 <= now, "due before it was due"
            now = due
            note(session.due(now, 0.5))
            now += 1e-6
        now = end
        topic = f"t{number}"
        heard: Heard | None = None
        if what in ("ack", "refuse", "slower", "answer") and open_ids:
            kind, name, id = open_ids.pop(number % len(open_ids))
            heard = Push(name, 1, id) if kind == "req" else Acked(id, name, 1)
            if what in ("refuse", "slower"):
                heard = Refused(id, "", "no", what == "slower")
            old.append(heard)
        elif what == "again" and old:
            heard = old[number % len(old)]
        elif what == "unknown":
            heard = (Acked("999", topic, 1), Refused("999", topic, "no"), Push(topic, 1, "999"))[number % 3]
        elif what == "ping":
            heard = Ping('["pong"]')
        elif what == "push":
            heard = Push(topic, 1)
        elif what == "complaint":
            heard = Refused("", "", "too many", slower=bool(number % 2))
        elif what == "add":
            session.add(topic, now)
        elif what == "drop":
            session.drop(topic, now)
        elif what == "renew":
            session.renew(topic, now)
        if heard is not None:
            note(session.hear(heard, now, 0.5))
        assert not set(session.acked) & set(session.refused)
    return sent


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENT, max_size=60), st.sampled_from(("", "request", "anew")))
def test_the_rates_are_never_exceeded(script: list[tuple[str, int, float]], whole_by: str) -> None:
    """In any second, whatever happens: not more subscriptions (and ends of them) and not more requests than the venue
    allows; and never two within one such share of a second."""
    session = opened(DIALECT, ["t0", "t1", "t2", "t3"], whole_by=whole_by)
    sent = play(session, script)
    for kinds, rate in ((("sub", "unsub"), 5), (("req",), 2)):
        times = [at for at, kind, _ in sent if kind in kinds]
        for start in times:
            assert sum(start <= at < start + 1 for at in times) <= rate
        assert all(later - sooner >= 1 / rate for sooner, later in pairwise(times))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(("ack", "refuse", "slower", "silence")), max_size=40), st.integers(1, 6),
)  # fmt: skip
def test_every_topic_ends(answers: list[str], count: int) -> None:
    """Acknowledged or refused, or the session is closed: whatever a venue answers, and whenever it stops answering."""
    topics = [f"t{number}" for number in range(count)]
    session = opened(dataclasses.replace(DIALECT, deaf=1e9), topics, silence=None)
    now, plan = 0.0, iter(answers)
    for _ in range(2000):
        due = session.next_due(now)
        if due is None or due > 1e8:
            break
        now = due
        for _, topic, id in said(session.due(now)):
            answer = next(plan, "silence")
            if answer == "ack":
                session.hear(Acked(id, topic, 1), now + 0.1)
            elif answer != "silence":
                session.hear(Refused(id, "", "no", answer == "slower"), now + 0.1)
        now += 0.1
    assert session.closed is not None or sorted([*session.acked, *session.refused]) == topics
    assert not session.waiting


@given(st.floats(1, 30))
def test_a_ping_is_no_sign_of_life(silence: float) -> None:
    """Data and nothing else puts off the end: with pings all the time it comes as if there were none."""
    session = opened(MUTE, ["t0"], silence=silence)
    acked(session)
    session.pushed(5.0)
    now = 5.0
    while now < 5.0 + silence:
        assert session.due(now) == []
        assert session.hear(Ping("pong"), now) == [Send("pong")]
        session.hear(Strange("?"), now)
        session.hear(Acked("999", "t0", 1), now)
        session.hear(Push("t0", 1, "999"), now)  # an answer is no push
        now += 0.7
    assert session.due(now) == [Close("stale", f"no data for {silence:g} s")]
    assert session.hear(Ping("pong"), now) == []


# ------------------------------------------------------------------------------------------------- acks


def test_acks_are_matched_by_id() -> None:
    """Out of order, twice, of an unknown id, of an id that was asked before: each topic is acknowledged once, with the
    time of the answer to it."""
    session = opened(MUTE, ["a", "b"])
    ids = {}
    for now in (0.0, 0.1):
        ((_, topic, id),) = said(session.due(now))
        ids[topic] = id
    session.hear(Acked("77", "a", 1), 1.0)
    assert session.acked == {}
    session.hear(Acked(ids["b"], "b", 2), 1.0)
    session.hear(Acked(ids["b"], "b", 3), 1.1)
    assert (session.acked, session.waiting) == ({"b": 2}, True)
    ((_, topic, again),) = said(session.due(ACK_S))
    assert (topic, again != ids["a"]) == ("a", True)
    session.hear(Acked(ids["a"], "a", 4), ACK_S + 1)  # late: the first question's
    session.hear(Acked(again, "a", 5), ACK_S + 1)
    assert (session.acked, session.waiting) == ({"b": 2, "a": 4}, False)


def test_where_answers_carry_no_id_the_topic_tells() -> None:
    """As on spot's /ws/v2: acknowledged, refused, and what was never asked is nothing."""
    session = opened(MUTE, ["a", "b"])
    session.due(0.0)
    session.hear(Acked("", "b", 1), 0.0)  # not asked yet
    session.due(0.1)
    session.hear(Acked("", "a", 5), 0.2)
    session.hear(Refused("", "b", "no"), 0.2)
    assert (session.acked, session.refused) == ({"a": 5}, {"b": "no"})


def test_no_answer_is_asked_again_and_then_given_up() -> None:
    """Three times, ten seconds apart; then the connection is lost, whatever else comes on it."""
    session = opened(MUTE, ["a"])
    done = until(session, 1000.0)
    assert [round(at) for at, action in done if isinstance(action, Send)] == [0, 10, 20]
    assert done[-1] == (pytest.approx(TRIES * ACK_S, abs=0.1), session.closed)
    assert session.closed is not None
    assert session.closed.why == "lost"
    assert "a was asked for 3 times" in session.closed.detail


def test_a_refused_topic_leaves_the_others() -> None:
    """It is out, with the reason, and may be added again; where none is left, the session ends."""
    session = opened(MUTE, ["a", "b"])
    ids = [said(session.due(now))[0][2] for now in (0.0, 0.1)]
    assert session.hear(Refused(ids[0], "", "invalid symbol"), 0.2) == []
    assert session.refused == {"a": "invalid symbol"}
    session.add("a", 0.3)
    assert session.refused == {}
    again = said(session.due(0.3))[0][2]
    session.hear(Refused(again, "", "invalid symbol"), 0.4)
    (end,) = session.hear(Refused(ids[1], "", "no"), 0.5)
    assert end == Close("refused", "no topic is left: b: no")
    assert session.next_due(1.0) is None


def test_a_venue_that_wants_it_slower() -> None:
    """The same topic again, later each time, the others wait too; at some point it counts as refused."""
    session = opened(MUTE, ["a", "b"], silence=None)
    first = said(session.due(0.0))[0][2]
    session.hear(Refused(first, "", "429", slower=True), 0.0)
    assert session.due(1.9) == []
    now, waits = 0.0, []
    while "a" not in session.refused:
        due = session.next_due(now)
        assert due is not None
        waits.append(due - now)
        now = due
        for _, topic, id in said(session.due(now)):
            answer = Acked(id, topic, 1) if topic == "b" else Refused(id, "", "429", slower=True)
            session.hear(answer, now)
    assert waits[0] == pytest.approx(2, abs=0.01)
    assert max(waits) <= 60
    assert session.acked == {"b": 1}
    assert len([wait for wait in waits if wait > 1]) == SLOWED


# ------------------------------------------------------------------------------------------------- life


def test_deaf_and_closing_and_excused() -> None:
    """Nothing at all for ``deaf`` seconds is the end, so is the venue's word; what we did not listen to is neither."""
    session = opened(DIALECT, ["a"])
    acked(session)
    session.excuse(15.0)
    assert session.next_due(16.0) == 35.0
    assert session.due(34.9) == []
    assert session.due(35.0) == [Close("lost", "nothing was heard for 20 s")]
    session = opened(DIALECT, ["a"])
    assert session.hear(Closing("maintenance"), 1.0) == [Close("lost", "the venue closes: maintenance")]
    assert (session.due(2.0), session.next_due(2.0)) == ([], None)


def test_silence_counts_from_the_first_ack() -> None:
    """Before it, nothing can be stale; a feed that may be silent for ever never is."""
    session = opened(MUTE, ["a"], silence=3.0)
    ((_, _, id),) = said(session.due(5.0))
    session.hear(Acked(id, "a", 1), 6.0)
    assert session.due(8.9) == []
    assert session.due(9.0) == [Close("stale", "no data for 3 s")]
    quiet = opened(MUTE, ["a"], silence=None)
    acked(quiet)
    assert quiet.due(1e6) == []


def test_nothing_is_said_before_it_is_open() -> None:
    """No connection, no commands, and no end."""
    session = Session(DIALECT, ["a"])
    assert (session.due(100.0), session.next_due(100.0)) == ([], None)


# ------------------------------------------------------------------------------------------------- whole books


def test_a_whole_book_is_requested_and_less_and_less_often() -> None:
    """After the subscription by itself; then when it is needed, 2, 4, 8 s apart while it does not help, at once again
    after a calm time. No answer, or a refusal: it is requested again."""
    session = opened(MUTE, ["a"], silence=None, whole_by="request")
    acked(session)
    times, now = [], 0.01
    for _ in range(5):
        due = session.next_due(now)
        assert due is not None
        now = due
        ((kind, topic, id),) = said(session.due(now))
        assert (kind, topic) == ("req", "a")
        times.append(now)
        session.renew("a", now)  # it is being asked for
        assert session.due(now + 0.1) == []
        session.hear(Push("a", 1, id), now + 0.2)
        assert not session.waiting
        session.renew("a", now + 0.2)
    assert [round(b - a) for a, b in pairwise(times)] == [2, 4, 8, 16]
    ((_, _, id),) = said(session.due(now + 32))
    session.hear(Refused(id, "", "request timeout"), now + 33)
    due = session.next_due(now + 33)
    assert due == pytest.approx(now + 32 + 64, abs=0.1)
    ((_, _, id),) = said(session.due(now + 97))
    assert said(session.due(now + 98)) == []
    session.hear(Push("a", 1, id), now + 99)
    session.renew("a", now + 2000)
    assert len(said(session.due(now + 2000))) == 1
    assert session.next_due(now + 2000) == now + 2000 + ACK_S  # and if it is not answered,
    assert len(said(session.due(now + 2000 + ACK_S))) == 1  # the next one is the second


def test_a_whole_book_by_subscribing_anew() -> None:
    """The topic is left, and after the answer to that subscribed again; meanwhile it is not acknowledged. A refusal to
    leave, or no answer, does not stop it."""
    answers: list[Callable[[str], Heard] | None] = [
        lambda id: Acked(id, "a", 1), lambda id: Refused(id, "", "unsub with not subbed topic"), None,
    ]  # fmt: skip
    for answer in answers:
        session = opened(MUTE, ["a"], whole_by="anew")
        acked(session)
        session.renew("a", 1.0)
        session.renew("a", 1.0)
        ((kind, _, id),) = said(session.due(1.0))
        assert (kind, session.acked) == ("unsub", {})
        session.pushed(1.1)
        now = 1.2 if answer else 1.0 + ACK_S
        if answer:
            session.hear(answer(id), now)
        ((kind, topic, id),) = said(session.due(now))
        assert (kind, topic) == ("sub", "a")
        session.hear(Acked(id, "a", 9), now)
        assert (session.acked, session.waiting) == ({"a": 9}, False)


# ------------------------------------------------------------------------------------------------- topics


def test_topics_come_and_go() -> None:
    """One is dropped before, while and after it is asked for; one comes back while it goes; not more than the venue
    bears."""
    session = opened(MUTE, ["a", "b"], silence=None)
    session.drop("b", 0.0)
    ((_, _, id),) = said(session.due(0.0))
    session.drop("a", 0.0)
    session.hear(Acked(id, "a", 1), 0.1)
    assert session.acked == {}
    ((kind, topic, id),) = said(session.due(0.1))
    assert (kind, topic) == ("unsub", "a")
    session.add("a", 0.2)
    session.hear(Acked(id, "a", 1), 0.2)
    ((kind, topic, id),) = said(session.due(0.3))
    assert (kind, topic) == ("sub", "a")
    session.hear(Acked(id, "a", 2), 0.4)
    session.drop("a", 0.5)
    ((kind, _, id),) = said(session.due(0.5))
    session.hear(Acked(id, "a", 3), 0.6)
    assert (kind, session.acked, session.waiting, session.due(1.0)) == ("unsub", {}, False, [])
    with pytest.raises(ValueError, match="10 topics"):
        Session(DIALECT, [str(number) for number in range(11)])


# ------------------------------------------------------------------------------------------------- coming back


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_the_pause_before_the_next_connection(failures: int, jitter: float) -> None:
    """None before the first, doubling and bounded after, never less than a half of its length."""
    pause = reconnect_in(failures, jitter)
    longest = 0.0 if failures == 0 else min(BACK_CAP_S, 0.5 * 2 ** min(failures - 1, 20))
    assert longest / 2 <= pause <= longest


def test_a_useful_connection_forgets_the_failures() -> None:
    """A minute of data, and the next failure is the first again; a second of it does not count."""
    assert failures_after(0, 0.0) == 1
    assert failures_after(5, 59.9) == 6
    assert failures_after(5, 60.0) == 1
    session = opened(MUTE, ["a"])
    assert session.data_seconds == 0.0
    for at in (3.0, 4.0, 70.0):
        session.pushed(at)
    assert session.data_seconds == 67.0


# ------------------------------------------------------------------------- venues that are pinged, and say little

PINGED = dataclasses.replace(
    DIALECT, ping=lambda ms: json.dumps({"ping": ms}), beats=10.0, deaf=25.0, subscriptions_per_second=100.0
)


def test_a_venue_that_wants_pings_gets_them() -> None:
    """Every so often, by our clock in milliseconds, and nothing else is due meanwhile; its pong is no sign of data."""
    session = Session(PINGED, ["a"], silence=60.0)
    session.opened(100.0)
    (sub,) = session.due(100.0)
    session.hear(Acked("1", "a", 5), 100.1)
    assert "sub" in str(sub)
    assert session.next_due(100.1) == 110.0
    assert session.due(110.0) == [Send('{"ping": 110000}')]
    for now in (120.0, 130.0, 140.0, 150.0):
        session.hear(Pong(1), now - 9.9)
        assert session.due(now) == [Send(json.dumps({"ping": int(now * 1000)}))]
    session.hear(Pong(1), 159.0)
    (end,) = session.due(160.1)
    assert isinstance(end, Close)
    assert end.why == "stale"


def test_acks_without_a_time_are_followed_by_a_ping() -> None:
    """The answer says what time it is there; at most one a second."""
    session = Session(PINGED, ["a", "b"], silence=None)
    session.opened(0.0)
    session.due(0.0)
    session.due(0.02)
    session.hear(Acked("1", "", 0), 0.1)
    session.hear(Acked("2", "", 0), 0.2)
    assert session.next_due(0.2) == 1.0
    assert session.due(1.0) == [Send('{"ping": 1000}')]
    assert session.next_due(1.0) == 11.0


def test_without_acks_the_first_push_is_one_and_silence_counts() -> None:
    """A topic that was asked for is subscribed by its first push, or by a while of silence; it is never asked again."""
    session = Session(dataclasses.replace(PINGED, acks=False), ["a", "b"], silence=None)
    session.opened(0.0)
    assert [action for at in (0.0, 0.02) for action in session.due(at)] == [
        Send('["sub", "a", "1"]'), Send('["sub", "b", "2"]')
    ]  # fmt: skip
    session.hear(Push("b", 77), 0.5)
    assert session.acked == {"b": 77}
    assert session.waiting
    assert [action for action in session.due(0.02 + ACK_S) if "sub" in str(action)] == []
    assert session.acked == {"b": 77, "a": 0}
    assert not session.waiting
    session.drop("b", 11.0)
    assert '["unsub", "b", "3"]' in str(session.due(11.0))
    session.hear(Push("b", 99), 11.1)  # on its way when it was left
    assert "b" not in session.acked


def test_a_refusal_that_names_nothing_is_that_of_the_only_topic_in_question() -> None:
    """With two of them nobody can tell; the sentence is kept."""
    session = Session(dataclasses.replace(PINGED, acks=False), ["a", "b"], silence=None)
    session.opened(0.0)
    session.due(0.0)
    session.due(0.02)
    session.hear(Refused("", "", "no such symbol"), 0.1)
    assert (session.refused, session.complaint) == ({}, "no such symbol")
    session.hear(Push("b", 7), 0.2)
    session.hear(Refused("", "", "no such symbol"), 0.3)
    assert session.refused == {"a": "no such symbol"}
