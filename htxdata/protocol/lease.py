"""A stream that is opened by a key of its own, lent for a while: when it is extended, and when it is over. Pure.

Instants are seconds of any clock that only goes forward. The key itself is a secret: it is the address of the stream,
and whoever knows it hears everything. It is not here; who asks for it and shows it is `transport.door`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from htxdata.protocol.wire import Reply, Request

AGAIN_S = 30.0
"""Until the next try, where an extension had no sure answer."""


@dataclass(frozen=True)
class Lent:
    """How a venue lends the key of a stream: ``ask`` for one, ``read`` it in the answer (``BadReply`` where none is in
    it), ``extend`` it every ``every`` seconds, for it is good for ``valid`` of them. Where it goes is behind the path.
    """

    ask: Request
    read: Callable[[Reply], str]
    extend: Callable[[str], Request]
    valid: float
    every: float


class Lease:
    """One key that was lent: when something is due."""

    def __init__(self, lent: Lent, asked_at: float) -> None:
        """``asked_at`` is when it was asked for: it was lent later than that, and ends no sooner than taken here."""
        self._lent = lent
        self.extended(asked_at)

    def extended(self, asked_at: float) -> None:
        self.over_at = asked_at + self._lent.valid
        self.due = min(asked_at + self._lent.every, self.over_at)

    def failed(self, now: float) -> bool:
        """Whether it was extended is not known: once more, later. False where there is no later."""
        self.due = min(now + AGAIN_S, max(self.over_at, now))
        return now < self.over_at
