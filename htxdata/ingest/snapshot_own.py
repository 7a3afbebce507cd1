"""What one's own accounts hold now: asked, taped, and only then read and stored (law 7).

The venue does not say as of when. A row is of the moment at which it was heard.
"""

from __future__ import annotations

from htxdata.errors import BadReply, VenueError
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot_polls import Polled
from htxdata.market import ALL_SYMBOLS, Series
from htxdata.protocol.wire import Reply, Request
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import conform
from htxdata.store.coverage import Asked
from htxdata.store.layout import partition_of
from htxdata.store.tape import Tape, reply_record
from htxdata.timeline import Window
from htxdata.venues.terms import Accounts, Venue

BALANCES = "own_balances"


def snapshot_balances(session: Session, venue: Venue) -> Polled:
    """Ask for the accounts, and what each of them holds. ``Polled`` counts accounts. Raises ``KeyRefused``."""
    session.keys(venue, f"{BALANCES} of {venue.name}")
    assert venue.accounts is not None
    with Tape(session.tape, venue.name, BALANCES) as tape:
        return _Look(session, venue, venue.accounts, tape).all()


class _Look:
    """One look under way."""

    def __init__(self, session: Session, venue: Venue, ways: Accounts, tape: Tape) -> None:
        self._session, self._venue, self._ways, self._tape = session, venue, ways, tape

    def all(self) -> Polled:
        session, name, listed = self._session, self._venue.name, self._ways.list
        try:
            numbers = ("of this key",) if listed is None else self._ways.numbers(reply := self._ask(listed))
        except BadReply as error:
            self._aside(reply, error)
            return Polled(BALANCES, name, 0, 0, 0, 0, (), (f"{reply.request.path}: {error}",))
        except VenueError as error:
            return Polled(BALANCES, name, 0, 0, 0, 0, (), (str(error),))
        heard = rows = new = 0
        missing: list[str] = []
        for number in numbers:
            try:
                reply = self._ask(self._ways.balance(number))
                new += self._keep(reply)
            except BadReply as error:
                self._aside(reply, error)
                missing.append(f"account {number}: {error} (the reply is in quarantine)")
            except VenueError as error:
                missing.append(f"account {number}: {error}")
            else:
                rows, heard = rows + 1, max(heard, reply.received_at)
        for sentence in missing:
            session.say(f"{name}: {BALANCES}: {sentence}")
        return Polled(BALANCES, name, len(numbers), rows, new, heard, (), tuple(missing))

    def _ask(self, request: Request) -> Reply:
        reply = self._session.get(self._venue, request)
        self._tape.append(reply_record(request.path, request.params, reply.status, reply.body, reply.received_at))
        return reply

    def _keep(self, reply: Reply) -> int:
        """Commit what one reply says; how many rows are new. An account that holds nothing has none."""
        parsed = self._ways.parse(reply)
        if not parsed.page.count:
            return 0
        columns = {name: values for name, values in parsed.columns.items() if name != "symbol"}
        heard = {"source": "rest", "received_at": reply.received_at}
        table = conform(dataset_named(BALANCES), {**columns, **heard}, parsed.unfit)
        at = reply.received_at
        partition = partition_of(Series(BALANCES, self._venue.name, ALL_SYMBOLS), at)
        return self._session.store.commit(partition, table, [Asked(Window(at, at + 1), "rest", at, "present")]).added

    def _aside(self, reply: Reply, error: BadReply) -> None:
        self._session.quarantine(
            self._venue, BALANCES, reply.request, reply.body, reply.received_at, str(error)
        )
