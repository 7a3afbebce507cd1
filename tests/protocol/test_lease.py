"""A key that is lent is extended in time, asked about again where nobody answers, and over when its time is over."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from htxdata.protocol.dialect import Acked, Dialect, Push
from htxdata.protocol.lease import AGAIN_S, Lease, Lent
from htxdata.protocol.session import Close, Session
from htxdata.protocol.wire import Request
from htxdata.venues.hashkey.user_stream import USER_STREAM

LENT = Lent(Request("/keys"), lambda reply: "", lambda key: Request("/keys"), valid=3600.0, every=1800.0)


def test_it_is_extended_every_half_hour() -> None:
    """Counted from when it was asked for, not from when the answer came."""
    lease = Lease(LENT, 100.0)
    assert (lease.due, lease.over_at) == (1900.0, 3700.0)
    lease.extended(1900.0)
    assert (lease.due, lease.over_at) == (3700.0, 5500.0)


def test_where_nobody_answers_it_is_tried_until_it_is_over() -> None:
    """Every half minute, the last time just when it is over; then there is no later."""
    lease = Lease(LENT, 0.0)
    now, tries = lease.due, 0
    while lease.failed(now):
        assert now < lease.due <= min(now + AGAIN_S, 3600.0)
        now, tries = lease.due, tries + 1
    assert (now, tries) == (3600.0, 60)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 50)), max_size=80))
def test_nobody_listens_by_a_key_that_is_over(answers: list[tuple[bool, float]]) -> None:
    """Whatever was answered, and however late: it is never taken for good longer than the venue says."""
    lease, asked_at = Lease(LENT, 0.0), 0.0
    for fine, late in answers:
        now = lease.due
        if fine:
            lease.extended(now)
            asked_at = now
        elif not lease.failed(now + late):
            assert now + late >= asked_at + LENT.valid
            return
        assert lease.over_at == asked_at + LENT.valid
        assert lease.due <= max(lease.over_at, now + late)


def opened(dialect: Dialect = USER_STREAM, *topics: str) -> Session:
    session = Session(dialect, topics or ("ticketInfo:*",), silence=None)
    session.opened(5.0)
    return session


def test_who_tells_unasked_is_asked_nothing() -> None:
    """The topics are heard as soon as the connection stands; nothing is said, until nothing at all is heard."""
    session = opened()
    assert session.acked == {"ticketInfo:*": 0}
    assert session.due(5.0) == []
    assert not session.waiting
    assert session.next_due(5.0) == 5.0 + USER_STREAM.deaf
    assert session.hear(Push("ticketInfo:*", 1), 50.0) == []
    assert session.due(149.0) == []
    assert session.due(150.0) == [Close("lost", "nothing was heard for 100 s")]


def test_topics_come_and_go_unsaid() -> None:
    """One more is heard at once, one less no more; an ack that nobody asked for changes nothing."""
    session = opened(replace(USER_STREAM, most_topics=3))
    session.add("other:*", 6.0)
    assert set(session.acked) == {"ticketInfo:*", "other:*"}
    session.drop("ticketInfo:*", 7.0)
    session.hear(Acked("", "ticketInfo:*", 9), 8.0)
    assert set(session.acked) == {"other:*"}
    assert session.due(9.0) == []
