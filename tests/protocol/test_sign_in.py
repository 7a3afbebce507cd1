"""A key is shown first: no topic before it is taken, and none at all where it is not."""

from __future__ import annotations

from dataclasses import replace

from htxdata.protocol.dialect import Admitted, Barred, Dialect, Heard, Push
from htxdata.protocol.session import ACK_S, Close, Send, Session, SignIn
from htxdata.venues.htx.dialects import V2, hear_v2

TOPICS = ("trade.clearing#btcusdt#1", "accounts.update#2")


def opened(dialect: Dialect = V2) -> Session:
    session = Session(dialect, TOPICS, silence=None)
    session.opened(0.0)
    return session


def said(session: Session, now: float) -> list[object]:
    """Everything that is due from now on, until nothing is."""
    out: list[object] = []
    while (due := session.next_due(now)) is not None and due <= now:
        actions = session.due(now)
        out += actions
        if not actions:
            break
    return out


def test_topics_come_after_the_key_is_taken() -> None:
    """Once to show the key, and nothing more until the answer; then topic after topic."""
    session = opened()
    assert said(session, 0.0) == [SignIn()]
    assert session.waiting
    assert said(session, 5.0) == []
    assert session.next_due(5.0) == ACK_S
    assert session.hear(Admitted(), 6.0) == []
    assert said(session, 6.0) == [Send('{"action":"sub","ch":"trade.clearing#btcusdt#1"}')]
    assert said(session, 7.0) == [Send('{"action":"sub","ch":"accounts.update#2"}')]


def test_a_key_that_is_not_taken_ends_it() -> None:
    """Refused, and the reason stays; a reason that may pass is a lost connection, after which it is shown again."""
    session = opened()
    said(session, 0.0)
    (close,) = session.hear(Barred("2002: auth.fail"), 1.0)
    assert close == Close("refused", "the key is not taken: 2002: auth.fail")
    assert session.barred == "2002: auth.fail"
    assert session.next_due(2.0) is None
    session = opened()
    said(session, 0.0)
    assert session.hear(Barred("500: system error", again=True), 1.0) == [
        Close("lost", "the key is not taken: 500: system error")
    ]
    assert session.barred == ""


def test_no_answer_is_a_lost_connection() -> None:
    """Ten seconds, and not a topic on the way."""
    session = opened()
    said(session, 0.0)
    assert session.due(ACK_S - 0.1) == []
    assert session.due(ACK_S) == [Close("lost", "whether the key is taken was not said")]
    assert session.barred == ""


def test_who_needs_no_key_is_asked_for_none() -> None:
    """A dialect without a sign-in begins with its topics, as ever."""
    session = opened(replace(V2, sign_in=None))
    assert said(session, 0.0)[:1] == [Send('{"action":"sub","ch":"trade.clearing#btcusdt#1"}')]


def test_what_the_venue_says_of_a_key() -> None:
    """Answers of ws/v2 (htx-ws-v2 3, 8): which are taken, which are final, which pass."""

    def heard(code: int, message: str = "") -> Heard:
        return hear_v2(
            b'{"action":"req","code":%d,"ch":"auth","message":"%s","data":{}}' % (code, message.encode())
        )

    assert heard(200) == Admitted()
    assert heard(2002, "auth.fail") == Barred("2002: auth.fail")
    assert heard(2001, "missing.param.auth") == Barred("2001: missing.param.auth")
    assert heard(2000, "invalid.ip") == Barred("2000: invalid.ip")
    assert heard(500, "system error") == Barred("500: system error", again=True)
    assert heard(4000, "too.many.connection") == Barred("4000: too.many.connection", again=True)
    assert isinstance(hear_v2(b'{"action":"push","ch":"trade.clearing#*","data":{}}'), Push)
