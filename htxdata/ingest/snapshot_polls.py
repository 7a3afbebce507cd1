"""What is so now and was never written down by the venue: asked, taped, and only then read and stored (law 7)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from htxdata.errors import BadReply, Incomplete, Refused, Unreachable
from htxdata.ingest.named import match_having
from htxdata.ingest.revisions import keeper
from htxdata.ingest.session import Session
from htxdata.ingest.snapshot_states import CONFIRM_EVERY, held, in_turn, keep
from htxdata.market import Series
from htxdata.protocol.wire import Reply
from htxdata.schema import Dataset
from htxdata.schema import dataset as dataset_named
from htxdata.schema.arrow import conform
from htxdata.store.coverage import Asked
from htxdata.store.layout import partition_of
from htxdata.store.merge import times_of
from htxdata.store.tape import Tape, reply_record
from htxdata.timeline import Window, iso
from htxdata.venues.terms import NO_FACTS, Poll, Venue, other_name

AT_ONCE = 16
"""Questions under way at the same time: with an answer after 200 ms that is the whole budget of 78 a second."""

NOT_THERE = ("delisted", "pending")
"""Instruments that no longer or do not yet exist for anybody who trades: there is nothing to ask for."""

_REACH = 3 * CONFIRM_EVERY
"""Of a pause of three days and more nothing is said. Looks up to two days apart never leave such a hole, as what they
find is confirmed within a day."""


@dataclass(frozen=True)
class Polled:
    """What one look at a dataset of a venue found.

    Of the ``wanted`` instruments ``rows`` have an answer that is in the lake now, ``new`` of them one that was not
    there before; ``missing`` holds a sentence for each of the others. ``left_out`` are instruments that are not there
    to be asked for, that cannot have it, or that the venue suspended and says nothing of. ``heard`` is when the last
    answer came (0: none).
    """

    dataset: str
    venue: str
    wanted: int
    rows: int
    new: int
    heard: int
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        when = f" at {iso(self.heard)}" if self.heard else ""
        why = "do not trade or cannot have one" if dataset_named(self.dataset).only else "do not trade"
        more = f", {len(self.left_out)} instruments that {why} left out" if self.left_out else ""
        if self.dataset == "own_balances":
            return f"{self.venue}: {self.dataset} of {self.rows} of {self.wanted} accounts{when}: {self.new} new rows"
        what = "baskets" if dataset_named(self.dataset).density == "states" else "rows"
        return (
            f"{self.venue}: {self.dataset} of {self.rows} of {self.wanted} instruments{when}: "
            f"{self.new} new {what}{more}"
        )


def snapshot_polled(session: Session, dataset: str, venue: Venue, symbols: Sequence[str] = ("*",)) -> Polled:
    """Ask the venue what ``dataset`` is now, for every instrument that is there, and store what it says of each.

    A row is one instant: the coverage says that this instant was seen, and nothing of what lies between two looks. What
    holds until it changes (a basket) is stored where it changed: see ``snapshot_states.py``. A reply that cannot be
    read is set aside (law 9), and the next way to ask is tried; the tape has it in any case.
    """
    meant, states, kinds = _instruments(session, venue, dataset, symbols)
    only = dataset_named(dataset).only
    absent = [
        name
        for name in meant
        if states.get(name) in NOT_THERE or (only and kinds.get(name, only) != only)
    ]
    todo = [name for name in meant if name not in set(absent)]
    with Tape(session.tape, venue.name, dataset) as tape:
        look = _Look(session, venue, dataset_named(dataset), tape, {venue.fold(name): name for name in todo})
        for poll in venue.polls_for(dataset):
            look.ask(poll)
    unsaid = list(look.open.values())
    silent = [name for name in unsaid if states.get(name) == "suspended" and look.is_silence(name)]
    missing = tuple(
        f"{Series(dataset, venue.name, name)}: {look.why(name)}" for name in unsaid if name not in silent
    )
    return Polled(
        dataset,
        venue.name,
        len(todo) - len(silent),
        look.rows,
        look.new,
        look.heard,
        (*absent, *silent),
        missing,
    )


def _instruments(
    session: Session, venue: Venue, dataset: str, symbols: Sequence[str]
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """The symbols that are meant and have such data, and the states and kinds of all that the venue lists.

    What is open now cannot be asked for later: where the venue gives no list, the lake's own will do.
    """
    answer = session.instruments(venue)
    if answer is not None:
        columns = answer[0].columns
        states = dict(zip(columns["symbol"], columns["status"], strict=True))
        kinds = dict(zip(columns["symbol"], columns["kind"], strict=True))
        return match_having(venue, dataset, symbols, list(states)), states, kinds
    known = [series.symbol for series in session.store.series(dataset="instruments", venue=venue.name)]
    if not known and tuple(symbols) == ("*",):
        raise Incomplete(f"{venue.name}: the venue gave no usable list of instruments, and the lake has none")
    return match_having(venue, dataset, symbols, known or None), {}, {}


@dataclass
class _Look:
    """One look under way."""

    session: Session
    venue: Venue
    dataset: Dataset
    tape: Tape
    open: dict[str, str]
    """What has no answer yet: the symbols, each under its folded spelling."""

    down: str = ""
    """Why the venue cannot be reached at all."""

    rows: int = 0
    new: int = 0
    heard: int = 0
    _said: dict[str | None, list[str]] = field(default_factory=dict)  # of each symbol; None: of all
    _spoilt: set[str | None] = field(default_factory=set)  # what an answer came for that could not be read
    _shut: set[Poll] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def why(self, symbol: str) -> str:
        """Why there is no answer for ``symbol``."""
        said = [*self._said.get(symbol, ()), *self._said.get(None, ()), *([self.down] if self.down else [])]
        return "; ".join(dict.fromkeys(said)) or "the venue does not name it"

    def is_silence(self, symbol: str) -> bool:
        """Whether the venue was heard, and has nothing to say of ``symbol``."""
        return not self.down and not self._spoilt & {symbol, None}

    def ask(self, poll: Poll) -> None:
        """Ask in this way for all that has no answer yet, as long as the venue lets itself be asked so."""
        if poll.whole:
            if self.open:
                self._ask(poll, None)
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="htxdata") as pool:
            waiting = [pool.submit(self._ask, poll, symbol) for symbol in list(self.open.values())]
            try:
                for future in waiting:
                    future.result()
            except BaseException:
                self.session.stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _ask(self, poll: Poll, symbol: str | None) -> None:
        if self.down or poll in self._shut:
            return
        try:
            name = symbol
            if poll.by and symbol is not None:
                name = other_name(symbol, poll.by, self.session.all_facts(self.venue).get(symbol, NO_FACTS))
            reply = self.session.get(self.venue, poll.build(name))
        except Unreachable as error:
            self.down = str(error)
            return
        except Refused as error:
            gone = error.kind == "absent"  # the path, for whatever symbol
            self._note(None if gone else symbol, str(error))
            if gone:
                self._shut.add(poll)
            return
        request = reply.request
        date = reply.headers.get("date", "")
        self.tape.append(
            reply_record(request.path, request.params, reply.status, reply.body, reply.received_at, date)
        )
        try:
            for told, rows in self._read(poll, reply, name):
                self._keep(symbol if poll.by and symbol else told, rows, reply.received_at)
        except BadReply as error:
            self.session.quarantine(
                self.venue, self.dataset.name, request, reply.body, reply.received_at, str(error)
            )
            why = f"{poll.path}: {error} (the reply is in quarantine)"
            self._note(symbol, why)
            self._spoilt.add(symbol)
            self.session.say(
                f"{self.venue.name}: {self.dataset.name}{f' of {symbol}' if symbol else ''}: {why}"
            )

    def _read(self, poll: Poll, reply: Reply, symbol: str | None) -> list[tuple[str, pa.Table]]:
        """The reply as the rows of each symbol that it tells of, all of one instant."""
        parsed = poll.parse(reply, symbol)
        if not parsed.page.count:
            return []
        columns = {name: values for name, values in parsed.columns.items() if name != "symbol"}
        heard = {"source": "rest", "received_at": reply.received_at}
        table = conform(self.dataset, {**columns, **heard}, parsed.unfit)
        places: dict[str, list[int]] = {}
        for at, told in enumerate(parsed.columns["symbol"]):
            places.setdefault(told, []).append(at)
        times = times_of(self.dataset, table)
        mixed = [told for told, rows in places.items() if len(set(times[rows].tolist())) > 1]
        if mixed:
            raise BadReply(f"the answer tells of {mixed[0]!r} at several instants")
        return [(told, table.take(pa.array(rows))) for told, rows in places.items()]

    def _keep(self, told: str, rows: pa.Table, heard: int) -> None:
        """Commit the rows of one symbol, if it has no answer yet."""
        symbol = self.open.get(self.venue.fold(told))
        if symbol is None:
            return
        series, store = Series(self.dataset.name, self.venue.name, symbol), self.session.store
        at = int(times_of(self.dataset, rows)[0])
        if self.dataset.density == "states":
            with in_turn(store, series):
                new = int(keep(store, series, held(store, series, at), rows, heard, _REACH))
        else:
            partition = partition_of(series, at)
            seen = Asked(Window(at, at + 1), "rest", heard, "present")
            new = store.commit(partition, rows, [seen], on_replace=keeper(store, partition)).added
        with self._lock:
            del self.open[self.venue.fold(told)]
            self.rows += 1
            self.new += new
            self.heard = max(self.heard, heard)

    def _note(self, symbol: str | None, why: str) -> None:
        with self._lock:
            self._said.setdefault(symbol, []).append(why)
