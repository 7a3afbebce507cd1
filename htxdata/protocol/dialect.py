"""How a venue's WebSocket is spoken: commands as texts to send, messages as values. Pure; the tables are the venues'.

``protocol/session.py`` holds a conversation in a dialect, ``venues/*/dialects.py`` say what each dialect sounds like.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from htxdata.keys import Keys


class Ping(NamedTuple):
    """The venue wants to know whether we listen; ``answer`` is the text to send back, at once."""

    answer: str


class Pong(NamedTuple):
    """Our ping was answered; ``at``: the venue's clock (us UTC; 0: not said)."""

    at: int


class Acked(NamedTuple):
    """A command was taken: which one (``id``), for which topic, and when by the venue's clock (us UTC; 0: not said)."""

    id: str
    topic: str
    at: int


class Refused(NamedTuple):
    """A command was not taken, or the venue complains of no command in particular (``id`` and ``topic`` empty).

    ``slower``: the venue says that we ask too much, not that we ask wrongly: the same may be asked again, later.
    """

    id: str
    topic: str
    why: str
    slower: bool = False


class Closing(NamedTuple):
    """The venue is about to end the conversation."""

    why: str


class Push(NamedTuple):
    """Data: a push, or the answer to a one-shot request (``id`` is then the request's). ``at``: the venue's clock."""

    topic: str
    at: int
    id: str = ""


class Strange(NamedTuple):
    """A message that is none of these, or no message at all (torn, not JSON)."""

    why: str


class Admitted(NamedTuple):
    """The key was taken: topics may be asked for."""


class Barred(NamedTuple):
    """The key was not taken. ``again``: for a reason that may pass."""

    why: str
    again: bool = False


Heard = Ping | Pong | Acked | Refused | Closing | Push | Strange | Admitted | Barred

SignIn = Callable[[str, str, Keys, int], tuple[str, str]]
"""What is said to be let in, and what may be written down of it, given the host as it is named, the path, the key, and
the time (us UTC)."""


@dataclass(frozen=True)
class Dialect:
    """One way of speaking. Ids are texts of ours, topics the venue's.

    ``hear`` reads one whole decompressed message and never raises. ``subscribe`` and ``unsubscribe`` take topic and id;
    so does ``request``, which asks for an answer once (None: cannot be done). The limits are the venue's, of one
    connection: commands a second of each kind, and topics. ``beats`` is how often (seconds) there is a ping; a
    connection on which nothing at all was heard for ``deaf`` seconds is dead.
    """

    name: str
    hear: Callable[[bytes], Heard]
    subscribe: Callable[[str, str], str]
    unsubscribe: Callable[[str, str], str]
    request: Callable[[str, str], str] | None
    subscriptions_per_second: float
    requests_per_second: float
    most_topics: int
    beats: float
    deaf: float
    docs: str
    ping: Callable[[int], str] | None = None
    """Where the venue wants to be pinged: our ping at so many milliseconds of our clock, every ``beats`` seconds.
    (Otherwise it pings, that often.)"""

    overlap: float = 1.0
    """Seconds for which a connection and its successor are heard together: so long after its first push, a successor
    has surely said what time it is, and so has its predecessor."""

    acks: bool = True
    """Whether a command that was taken is acknowledged. If not, the first push of a topic says so, and one that stays
    silent counts as taken."""

    sign_in: SignIn | None = None
    """How a key is shown; None: everybody is let in."""

    unasked: bool = False
    """Whether a connection tells its topics from its beginning on: nothing is subscribed, nor left."""
