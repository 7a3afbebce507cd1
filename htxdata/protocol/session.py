"""The conversation over one connection: what to say next, what an answer means, and when to hang up. Pure.

A `Session` is told what happened (``opened``, ``hear``, ``pushed``) and asked what is due; it answers with actions to
be carried out, `Send` and `Close`. Instants are seconds of any clock that only goes forward; ``jitter`` is in [0, 1).

* **A key** is shown first where the dialect wants one (`SignIn`: what is said needs a clock and a secret, which are not
  here). Until it is taken no topic is asked for; where it is not, `barred` says why, and nothing mends that.
* **Topics** are subscribed one after the other. The answer is matched by id (by topic where a dialect's answers carry
  no id). No answer in `ACK_S`: asked again, `TRIES` times in all, then the connection is given up. A refusal that means
  "slower" is asked again later, any other refusal of a topic stands, with its reason, and the others go on.
* **Rates.** Commands of one kind keep a distance of 1 / rate and 3 %: no second ever holds more than the venue allows,
  nor does any tenth of one where it allows a tenth of that.
* **Unasked.** Where a dialect says so, every topic is subscribed as soon as the connection stands.
* **Silent venues.** Where a dialect has no acks, the first push of a topic is one, and a topic without a push for
  `ACK_S` counts as subscribed. A refusal that names nothing is that of the only topic without an answer, if it is one.
* **Life.** A ping is answered at once, and sent every ``beats`` seconds where the venue wants to be pinged. It is no
  sign of life of the data: ``silence`` seconds without a push, once a
  topic is subscribed, end a connection as stale. Nothing at all for ``deaf`` seconds ends it as lost.
* **Whole books** are asked for when a topic that needs one was subscribed, and whenever `renew` says so: less and less
  often while it does not help.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from htxdata.protocol.dialect import Acked, Admitted, Barred, Closing, Dialect, Heard, Ping, Push, Refused

ACK_S = 10.0
"""An answer takes one round trip; HTX's busy moments take some seconds."""

TRIES = 3

PING_AGAIN_S = 1.0
"""At most so often is a venue pinged whose acks say no time."""

SLOWER_FIRST_S, SLOWER_CAP_S = 2.0, 60.0
SLOWED = 8
"""So often a topic may be put off. "Too many topics" (htx-api 2.3) never passes while the others stay."""

RENEW_FIRST_S, RENEW_CAP_S = 2.0, 120.0
RENEW_CALM_S = 20.0
"""After so long without a whole book the next one is the first again."""

MARGIN = 1.03
"""Two commands may come closer to each other on their way; `pacing` keeps the same 3 %."""


class Send(NamedTuple):
    text: str


class Close(NamedTuple):
    """``why`` is one of the words that a reel is sealed with, ``detail`` a sentence."""

    why: Literal["lost", "stale", "refused"]
    detail: str


class SignIn(NamedTuple):
    """Show the key: whoever carries this out has it, and the time."""


Action = Send | Close | SignIn
_Stage = Literal["wanted", "asked", "acked", "leave", "leaving"]
_SUB, _UNSUB, _REQUEST = "sub", "unsub", "request"


@dataclass(slots=True)
class _Topic:
    name: str
    due: float
    """When the next command of its stage may be sent."""

    stage: _Stage = "wanted"
    stays: bool = True
    """Whether it is subscribed again after it was left."""

    asked_at: float = 0.0
    tries: int = 0
    slowed: int = 0

    renew: bool = False
    renew_due: float = 0.0
    renew_asked: float | None = None
    renewals: int = 0
    renewed_at: float = 0.0


class Session:
    """One connection's conversation in ``dialect``.

    ``acked`` holds the topics that are subscribed, each with the venue's time of its ack (us UTC, 0: not said);
    ``refused`` those that the venue does not give, and why; ``closed`` the end, once it was reached. ``silence`` None:
    no topic of this feed ever has to say anything.
    """

    def __init__(
        self,
        dialect: Dialect,
        topics: Iterable[str],
        *,
        silence: float | None = 60.0,
        whole_by: Literal["", "request", "anew"] = "",
    ) -> None:
        self.dialect = dialect
        self.acked: dict[str, int] = {}
        self.refused: dict[str, str] = {}
        self.closed: Close | None = None
        self.complaint = ""
        """The last thing that the venue said of no command in particular."""

        self.barred = ""
        """Why the key was not taken, and will not be."""

        self.signed_in = dialect.sign_in is None
        self._shown_at: float | None = None
        self._silence = silence
        self._whole_by = whole_by if whole_by != "request" or dialect.request is not None else "anew"
        self._topics: dict[str, _Topic] = {}
        self._ids: dict[
            str, tuple[str, str]
        ] = {}  # of every command that may still be answered: its kind, its topic
        self._count = 0
        self._free = dict.fromkeys(
            (_SUB, _REQUEST), float("-inf")
        )  # when the next command of a kind may be sent
        self._complaints = 0
        self._opened_at: float | None = None
        self._heard_at = self._data_since = 0.0
        self._first_data: float | None = None
        self._last_data = 0.0
        self._ping_due = self._pinged_at = 0.0
        for topic in topics:
            self.add(topic, float("-inf"))

    # ---------------------------------------------------------------------------------------- what happens

    def opened(self, now: float) -> None:
        """The connection stands: from now on something may be due."""
        self._opened_at = self._heard_at = now
        self._ping_due, self._pinged_at = now + self.dialect.beats, now
        for topic in self._topics.values() if self.dialect.unasked else ():
            self._is_told(topic, now)

    def pushed(self, now: float) -> None:
        """Data came, and was not looked at."""
        if self._first_data is None:
            self._first_data = now
        self._heard_at = max(self._heard_at, now)
        self._data_since = self._last_data = max(self._data_since, now)

    def excuse(self, now: float) -> None:
        """We did not listen until now: nobody else's silence."""
        self._heard_at, self._data_since = max(self._heard_at, now), max(self._data_since, now)

    def hear(self, heard: Heard, now: float, jitter: float = 0.0) -> list[Action]:
        """One message that was looked at; what is to be done at once because of it."""
        if self.closed is not None:
            return []
        self._heard_at = max(self._heard_at, now)
        if isinstance(heard, Ping):
            return [Send(heard.answer)]
        if isinstance(heard, Push):
            if not heard.id:  # an answer is no push: a feed may be dead and its requests answered
                self.pushed(now)
                there = self._topics.get(heard.topic)
                if not self.dialect.acks and there is not None and there.stage == "asked":
                    self._was_acked(Acked("", heard.topic, heard.at), now)
            elif self._ids.get(heard.id, ("", ""))[0] == _REQUEST:
                self._whole_came(self._ids.pop(heard.id)[1])
        elif isinstance(heard, Acked):
            self._was_acked(heard, now)
            if not heard.at:  # what time it is there, the answer to a ping says
                self._ping_due = min(self._ping_due, max(now, self._pinged_at + PING_AGAIN_S))
        elif isinstance(heard, Refused):
            return self._was_refused(heard, now, jitter)
        elif isinstance(heard, Admitted):
            self.signed_in = True
        elif isinstance(heard, Barred):
            self.barred = "" if heard.again else heard.why
            return [self._close("lost" if heard.again else "refused", f"the key is not taken: {heard.why}")]
        elif isinstance(heard, Closing):
            return [self._close("lost", f"the venue closes: {heard.why}")]
        return []

    def add(self, topic: str, now: float) -> None:
        """One more topic; nothing happens to one that is there. One that was refused is asked for again."""
        there = self._topics.get(topic)
        if there is not None:
            there.stays = True
            return
        if len(self._topics) >= self.dialect.most_topics:
            raise ValueError(f"{self.dialect.name} bears {self.dialect.most_topics} topics on a connection")
        self.refused.pop(topic, None)
        self._topics[topic] = _Topic(topic, now)
        if self.dialect.unasked and self._opened_at is not None:
            self._is_told(self._topics[topic], now)

    def drop(self, topic: str, now: float) -> None:
        """One topic less; nothing happens where it is not there."""
        self.refused.pop(topic, None)
        there = self._topics.get(topic)
        if there is None:
            return
        there.stays, there.renew = False, False
        if there.stage == "wanted" or self.dialect.unasked:
            self._forget(topic)
            self.acked.pop(topic, None)
            del self._topics[topic]
        elif there.stage in ("asked", "acked"):
            there.stage, there.due = "leave", now
        elif there.stage == "leave":
            there.due = now

    def renew(self, topic: str, now: float) -> None:
        """A whole book of this topic is needed. Asked for as soon as the last one is long enough ago; nothing happens
        where the topic is not there, is asked for already, or has no whole books."""
        there = self._topics.get(topic)
        if there is None or there.renew or not self._whole_by:
            return
        if now - there.renewed_at > RENEW_CALM_S:
            there.renewals = 0
        if self._whole_by == "request":
            there.renew = True
            there.renew_due = max(there.renew_due, now)
        elif there.stage == "acked":
            there.stage, there.due = "leave", max(there.renew_due, now)

    # ---------------------------------------------------------------------------------------- what is due

    @property
    def waiting(self) -> bool:
        """Whether an answer of ours may be among the messages: then each must be looked at."""
        return bool(self._ids) or not self.signed_in

    @property
    def data_seconds(self) -> float:
        """For how long this connection brought data, from the first push to the last."""
        return 0.0 if self._first_data is None else self._last_data - self._first_data

    def next_due(self, now: float) -> float | None:
        """The instant at which `due` will have something to do if nothing happens until then; ``now`` at the earliest.
        None: never."""
        if self.closed is not None or self._opened_at is None:
            return None
        times = [self._heard_at + self.dialect.deaf]
        if self.dialect.ping is not None:
            times.append(self._ping_due)
        if self._silence is not None and self.acked:
            times.append(self._data_since + self._silence)
        if not self.signed_in:
            times.append(now if self._shown_at is None else self._shown_at + ACK_S)
            return max(now, min(times))
        for topic in self._topics.values():
            if topic.stage in ("wanted", "leave"):
                times.append(max(topic.due, self._free[_SUB]))
            elif topic.stage in ("asked", "leaving"):
                times.append(topic.asked_at + ACK_S)
            if topic.renew_asked is not None:
                times.append(topic.renew_asked + ACK_S)
            elif topic.renew and topic.stage == "acked":
                times.append(max(topic.renew_due, self._free[_REQUEST]))
        return max(now, min(times))

    def due(self, now: float, jitter: float = 0.0) -> list[Action]:
        """What is to be done now. Ask again at `next_due`, and whenever something happened."""
        if self.closed is not None or self._opened_at is None:
            return []
        if now >= self._heard_at + self.dialect.deaf:
            return [self._close("lost", f"nothing was heard for {self.dialect.deaf:g} s")]
        if self._silence is not None and self.acked and now >= self._data_since + self._silence:
            return [self._close("stale", f"no data for {self._silence:g} s")]
        if not self.signed_in:
            return self._show(now)
        for topic in list(self._topics.values()):
            unanswered = topic.stage in ("asked", "leaving") and now >= topic.asked_at + ACK_S
            if unanswered and topic.stage == "leaving":
                self._left(topic, now)
            elif unanswered and not self.dialect.acks:
                self._was_acked(Acked("", topic.name, 0), now)
            elif unanswered and topic.tries >= TRIES:
                return [self._close("lost", f"{topic.name} was asked for {TRIES} times and not acknowledged")]
            elif unanswered:
                topic.stage, topic.due = "wanted", now
            if topic.renew_asked is not None and now >= topic.renew_asked + ACK_S:
                topic.renew_asked = None
        actions: list[Action] = []
        if self.dialect.ping is not None and now >= self._ping_due:
            self._ping_due, self._pinged_at = now + self.dialect.beats, now
            actions.append(Send(self.dialect.ping(int(now * 1000))))
        if now >= self._free[_SUB] and (topics := self._due_topics(now)):
            actions.append(self._say(min(topics, key=lambda topic: topic.due), now, jitter))
        if now >= self._free[_REQUEST] and (topics := self._due_renewals(now)):
            actions.append(self._ask(min(topics, key=lambda topic: topic.renew_due), now, jitter))
        return actions

    # ---------------------------------------------------------------------------------------- inside

    def _show(self, now: float) -> list[Action]:
        if self._shown_at is None:
            self._shown_at = now
            return [SignIn()]
        if now >= self._shown_at + ACK_S:
            return [self._close("lost", "whether the key is taken was not said")]
        return []

    def _due_topics(self, now: float) -> list[_Topic]:
        return [t for t in self._topics.values() if t.stage in ("wanted", "leave") and now >= t.due]

    def _due_renewals(self, now: float) -> list[_Topic]:
        ready = (t for t in self._topics.values() if t.renew and t.stage == "acked" and t.renew_asked is None)
        return [t for t in ready if now >= t.renew_due]

    def _say(self, topic: _Topic, now: float, jitter: float) -> Send:
        """The next subscription or its end."""
        leaves = topic.stage == "leave"
        self._free[_SUB] = now + MARGIN / self.dialect.subscriptions_per_second
        topic.asked_at = now
        if leaves:
            self._forget(topic.name)
            self.acked.pop(topic.name, None)
            topic.stage = "leaving"
            topic.renew_asked = None
            if topic.stays:
                self._renewed(topic, now, jitter)
            return Send(self.dialect.unsubscribe(topic.name, self._id(_UNSUB, topic.name)))
        topic.stage = "asked"
        topic.tries += 1
        return Send(self.dialect.subscribe(topic.name, self._id(_SUB, topic.name)))

    def _ask(self, topic: _Topic, now: float, jitter: float) -> Send:
        """The next request of a whole book."""
        assert self.dialect.request is not None  # or it would be subscribed anew
        self._free[_REQUEST] = now + MARGIN / self.dialect.requests_per_second
        topic.renew_asked = now
        self._renewed(topic, now, jitter)
        return Send(self.dialect.request(topic.name, self._id(_REQUEST, topic.name)))

    def _renewed(self, topic: _Topic, now: float, jitter: float) -> None:
        delay = min(RENEW_CAP_S, RENEW_FIRST_S * 2.0 ** min(topic.renewals, 16))
        topic.renewed_at, topic.renewals = now, topic.renewals + 1
        topic.renew_due = now + delay * (1 + jitter / 4)

    def _id(self, kind: str, topic: str) -> str:
        self._count += 1
        self._ids[str(self._count)] = kind, topic
        return str(self._count)

    def _forget(self, topic: str, kinds: tuple[str, ...] = (_SUB, _UNSUB, _REQUEST)) -> None:
        """No answer to these commands is waited for any more."""
        self._ids = {id: said for id, said in self._ids.items() if said[1] != topic or said[0] not in kinds}

    def _meant(self, id: str, name: str) -> tuple[str, _Topic] | None:
        """The command that an answer is to, if it still matters."""
        if id:
            kind, name = self._ids.get(id, ("", ""))
        else:
            stage = self._topics[name].stage if name in self._topics else ""
            kind = {"asked": _SUB, "wanted": _SUB, "leaving": _UNSUB}.get(stage, "")
        topic = self._topics.get(name)
        if topic is None or not kind or (kind == _UNSUB and topic.stage != "leaving"):
            return None
        if kind == _SUB and (topic.stage not in ("asked", "wanted") or not topic.tries):
            return None
        return kind, topic

    def _only_open(self, refused: Refused) -> str:
        """The topic that a refusal without a name is of, where there are no acks and just one waits for its first
        push."""
        if self.dialect.acks or refused.id:
            return ""
        asked = [topic.name for topic in self._topics.values() if topic.stage == "asked"]
        return asked[0] if len(asked) == 1 else ""

    def _was_acked(self, acked: Acked, now: float) -> None:
        meant = self._meant(acked.id, acked.topic)
        if meant is None:
            return
        kind, topic = meant
        if kind == _UNSUB:
            self._left(topic, now)
        elif kind == _SUB:  # also one that was asked for again meanwhile
            self._forget(topic.name)
            self._is_told(topic, now, acked.at)
            if self._whole_by == "request":
                self.renew(topic.name, now)

    def _is_told(self, topic: _Topic, now: float, at: int = 0) -> None:
        topic.stage, topic.tries, topic.slowed = "acked", 0, 0
        self._complaints = 0
        if not self.acked:
            self._data_since = now
        self.acked[topic.name] = at

    def _was_refused(self, refused: Refused, now: float, jitter: float) -> list[Action]:
        meant = self._meant(refused.id, refused.topic or self._only_open(refused))
        earlier = max(self._complaints, meant[1].slowed if meant else 0)
        delay = min(SLOWER_CAP_S, SLOWER_FIRST_S * 2.0 ** min(earlier, 16)) * (1 + jitter / 4)
        if refused.slower:
            self._complaints += 1
        if meant is None:
            if not refused.id and not refused.topic:
                self.complaint = refused.why
                if refused.slower:
                    for each in self._free:
                        self._free[each] = max(self._free[each], now + delay)
            return []
        kind, topic = meant
        if refused.slower:
            pace = _REQUEST if kind == _REQUEST else _SUB
            self._free[pace] = max(self._free[pace], now + delay)
        if kind == _REQUEST:
            self._ids.pop(refused.id)
            topic.renew_asked = None  # and again when it is due
        elif kind == _UNSUB:
            if refused.slower:
                topic.stage, topic.due = "leave", now + delay
            else:  # it was not subscribed: that is what was asked for
                self._left(topic, now)
        elif refused.slower and topic.slowed < SLOWED:
            self._forget(topic.name)
            topic.stage, topic.due, topic.tries, topic.slowed = "wanted", now + delay, 0, topic.slowed + 1
        else:
            self._forget(topic.name)
            del self._topics[topic.name]
            self.refused[topic.name] = refused.why
            if not self._topics:
                return [self._close("refused", f"no topic is left: {topic.name}: {refused.why}")]
        return []

    def _left(self, topic: _Topic, now: float) -> None:
        self._forget(topic.name)
        if topic.stays:
            topic.stage, topic.due, topic.tries = "wanted", now, 0
        else:
            del self._topics[topic.name]

    def _whole_came(self, name: str) -> None:
        self._forget(name, (_REQUEST,))
        if name in self._topics:
            self._topics[name].renew, self._topics[name].renew_asked = False, None

    def _close(self, why: Literal["lost", "stale", "refused"], detail: str) -> Close:
        self.closed = Close(why, detail)
        self._ids.clear()
        return self.closed
