"""The other way to trades that a connection missed: the venue's newest trades over REST, taped beside its frames.

A frame that never came leaves no mark on a feed whose messages are not numbered, and after a reconnect nobody sends
what was missed. So the newest trades of every symbol are asked for when a connection stands, again as often as it
takes for each trade to be in one answer at least, and at the end. What both ways brought is one row (``trade_id``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from htxdata.errors import BadReply, VenueError
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Reply, Request
from htxdata.store.tape import Record, reply_record
from htxdata.timeline import SECOND, Window
from htxdata.venues.terms import Endpoint, Facts, Venue

SOONEST, LATEST = 5.0, 300.0
"""Seconds between two questions for one symbol, at least and at most."""

SETTLED = 1.5
"""Seconds after a connection stands: an answer made by then holds every trade that happened before it stood. How long
HTX takes to show a trade over REST is documented nowhere [C]; its pushes are tens of milliseconds late."""

AT_ONCE = 4

GIVE_UP_AFTER = 3
"""Questions in vain in a row before the rest of a round is not even asked: each costs many seconds."""

Note = Callable[[str, Record], None]
"""Gets a symbol and the reply about it, to be put on the reel that hears the symbol now."""


def bridge_for(venue: Venue, dataset: str) -> Endpoint | None:
    """The endpoint that has the newest rows of a dataset; None where nothing can be asked for again."""
    return next((e for e in venue.endpoints_for(dataset, None) if e.walk == "tail"), None)


@dataclass
class Bridge:
    """Which symbol is to be asked for next, and the asking. ``get`` is ``transport.http.Client.get``; thread-safe."""

    venue: Venue
    endpoint: Endpoint
    get: Callable[[Request], Reply]
    note: Note
    sizes: Mapping[str, float] = field(default_factory=dict)
    """Of contracts, by symbol."""

    clock: Callable[[], float] = time.monotonic
    failures: dict[str, str] = field(default_factory=dict)
    """Of the symbols whose last question had no answer: why."""

    _due: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _in_vain: int = 0

    def stands(self, symbols: Iterable[str]) -> None:
        """A connection that hears these symbols stands since now: what came before it is asked for."""
        with self._lock:
            self._due.update(dict.fromkeys(symbols, self.clock() + SETTLED))

    def due(self) -> list[str]:
        """The symbols to be asked for now, the most urgent first."""
        now = self.clock()
        with self._lock:
            return sorted((s for s, at in self._due.items() if at <= now), key=self._due.__getitem__)

    def all(self) -> list[str]:
        with self._lock:
            return sorted(self._due)

    def ask(self, symbol: str) -> bool:
        """One question; whether it had an answer that reads."""
        series = Series(self.endpoint.dataset, self.venue.name, symbol)
        try:
            reply = self.get(self.endpoint.build(series, Ask(Window(0, 1), self.endpoint.rows)))
        except VenueError as error:
            self._again(symbol, SOONEST, str(error))
            return False
        asked = reply.request
        # On the tape before anybody reads it (law 7): it cannot be asked for again.
        self.note(symbol, reply_record(asked.path, asked.params, reply.status, reply.body, reply.received_at))
        try:
            page = self.endpoint.read(reply, series, Facts(self.sizes.get(symbol))).page
        except BadReply as error:
            self._again(symbol, SOONEST, str(error))  # distil puts it into quarantine
            return False
        reach = LATEST * 2 if page.first is None or page.last is None else (page.last - page.first) / SECOND
        self._again(symbol, min(LATEST, max(SOONEST, reach / 2)), "")
        return True

    def run(self, stop: threading.Event) -> None:
        """Ask whenever somebody is due, until ``stop``. Blocking: for a thread of its own."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="htxdata-bridge") as pool:
            while not stop.wait(0.1):
                self._in_vain = 0
                list(pool.map(self._unless(stop), self.due()))

    def last_look(self, stop: threading.Event) -> None:
        """Ask for all symbols once more, at the end of a capture. Where nobody answers, not for long."""
        self._in_vain = 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="htxdata-bridge") as pool:
            list(pool.map(self._unless(stop), self.all()))

    def _unless(self, stop: threading.Event) -> Callable[[str], None]:
        def ask(symbol: str) -> None:
            if stop.is_set():
                return
            if self._in_vain >= GIVE_UP_AFTER:
                self._again(symbol, SOONEST, f"not asked: {self.venue.host} did not answer")
            elif self.ask(symbol):
                self._in_vain = 0
            else:
                self._in_vain += 1

        return ask

    def _again(self, symbol: str, seconds: float, why: str) -> None:
        with self._lock:
            if symbol in self._due:
                self._due[symbol] = self.clock() + seconds
            if why:
                self.failures[symbol] = why
            else:
                self.failures.pop(symbol, None)
