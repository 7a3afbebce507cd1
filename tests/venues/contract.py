"""What every venue must do: a class of tests that each entry of ``htxdata.venues.VENUES`` inherits.

A venue brings a `Speech`: how it would spell rows and errors. The suite never asks the venue's own code how to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from htxdata.config import BUDGETS, HOSTS
from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import FaultKind, Reply, Request
from htxdata.schema import DATASETS, dataset
from htxdata.schema.arrow import conform
from htxdata.timeline import DAY, Window, from_datetime
from htxdata.venues import Venue, venue
from htxdata.venues.terms import NO_FACTS, Endpoint, Facts, Parsed

START = 1_704_067_200_000_000  # 2024-01-01
HEARD = START + 400 * DAY
WINDOW = Window(START, START + DAY)
Body = Callable[[Series, list[dict[str, str]]], bytes]


@dataclass(frozen=True)
class Speech:
    """How a venue spells an answer of one endpoint: ``rows`` as JSON text per member, ``wrap`` them into a body.

    ``numbers`` are the members that must be numbers, ``positive`` those that cannot be negative, ``time`` the one that
    is the instant; ``members`` of a row the parser cannot do without. ``foreign`` are bodies about something else.
    """

    symbol: str
    rows: list[dict[str, str]]
    wrap: Body
    numbers: tuple[str, ...]
    time: str
    positive: tuple[str, ...] = ()
    foreign: tuple[Callable[[bytes], bytes], ...] = field(default=())
    asked_as: str | None = None
    """What a request calls the symbol, where it is not the symbol itself."""
    early: int = 0
    """How many microseconds before a window its start is asked for, where the venue leaves the start itself out."""


@dataclass(frozen=True)
class Tongue:
    """All that the suite must know of a venue: an answer per endpoint path, one that lists
    instruments, and spellings."""

    speeches: dict[str, Speech]
    listing: Speech
    status: tuple[str, str]
    """The member that holds an instrument's state, and a value that the venue never sends."""
    typed: tuple[str, str]
    """A symbol as a person may type it, and as the venue spells it."""

    facts: Facts = NO_FACTS
    """Of the instrument that the speeches are about."""


GARBLED = {
    "nothing": b"",
    "html": b"<html><body>oops</body></html>",
    "a list": b"[]",
    "a number": b"1",
    "cut": b'{"data":[{"id":1',
    "no data": b'{"ts":1}',
    "not utf-8": b'{"\xff\xfe',
    "deep": b'{"data":' + b"[" * 100_000,
}
NOT_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    '"x"',
    '""',
    '"NaN"',
    "[]",
    "{}",
    "1E999",
    '"1E999"',
    "+1",
    "01",
]


def conformed(parsed: Parsed, name: str) -> dict[str, Any]:
    """The rows as they would be stored, without where they came from."""
    table = conform(dataset(name), {**parsed.columns, "source": "rest", "received_at": HEARD}, parsed.unfit)
    return {key: column for key, column in table.to_pydict().items() if key not in ("source", "received_at")}


class VenueContract:
    """Inherit, and give ``venue_name`` and ``tongue``; the parameters come from the venue's table."""

    venue_name: str
    tongue: Tongue

    @property
    def venue(self) -> Venue:
        return venue(self.venue_name)

    def cases(self) -> list[tuple[Endpoint, Series, Speech]]:
        out = []
        for endpoint in self.venue.endpoints:
            speech = self.tongue.speeches[endpoint.path]
            for period in endpoint.periods or (None,):
                out.append(
                    (endpoint, Series(endpoint.dataset, self.venue_name, speech.symbol, period), speech)
                )
        return out

    def reply(self, endpoint: Endpoint, series: Series, body: bytes, status: int = 200) -> Reply:
        return Reply(endpoint.build(series, Ask(WINDOW, 2)), status, body, HEARD)

    def read(self, endpoint: Endpoint, reply: Reply, series: Series) -> Parsed:
        """As ingest reads a reply."""
        return endpoint.read(reply, series, self.tongue.facts)

    def firsts(self) -> list[tuple[Endpoint, Series, Speech]]:
        """One case per endpoint."""
        return list(
            {endpoint.path: (endpoint, series, speech) for endpoint, series, speech in self.cases()}.values()
        )

    # -------------------------------------------------------------------------------------------- tables

    def test_the_tables_name_what_exists(self) -> None:
        """Hosts, budgets and datasets are known; each endpoint cites where its facts come from."""
        assert HOSTS[self.venue.host] is None or urlsplit(str(HOSTS[self.venue.host])).scheme == "https"
        assert self.venue.host in BUDGETS
        assert self.venue.archive_host is None or self.venue.archive_host in HOSTS
        assert len({*self.venue.feeds}) == len(self.venue.feeds)
        for endpoint in self.venue.endpoints:
            assert endpoint.docs.strip()
            assert endpoint.rows > 0
            assert endpoint.dataset in {entry.name for entry in DATASETS if entry.stored}
            assert dataset(endpoint.dataset).has_period == (endpoint.periods is not None)
            assert endpoint.horizon is None or endpoint.horizon > DAY
            assert endpoint.span is None or (endpoint.span > 0 and endpoint.walk in ("cursor", "behind", "halves"))
            assert endpoint.path.startswith("/")

    def test_what_is_stored_of_an_endpoint_has_a_speech_here(self) -> None:
        """No endpoint escapes this suite."""
        assert {endpoint.path for endpoint in self.venue.endpoints} == set(self.tongue.speeches)

    # -------------------------------------------------------------------------------------------- requests

    def test_requests_are_strings(self) -> None:
        """Names and values are text without blanks, each name once; the path is the table's."""
        for endpoint, series, speech in self.cases():
            for ask in (Ask(WINDOW, 2), Ask(WINDOW, 2, "77", 3)):
                request = endpoint.build(series, ask)
                assert request.path == endpoint.path
                assert all(
                    type(part) is str and part and part == part.strip()
                    for pair in request.params
                    for part in pair
                )
                assert len({key for key, _ in request.params}) == len(request.params)
                assert (speech.asked_as or series.symbol) in dict(request.params).values()
        for listing in self.venue.listings:
            assert isinstance(listing, Request)

    def test_what_is_ones_own_is_asked_for_with_a_key(self) -> None:
        """Requests, looks and feeds show a key exactly where the dataset is of one's own account."""
        signed = [(e.dataset, e.build(series, Ask(WINDOW, 2)).private) for e, series, _ in self.cases()]
        signed += [(p.dataset, p.build(None if p.whole else "X").private) for p in self.venue.polls]
        signed += [(feed.dataset, feed.private) for feed in self.venue.feeds]
        assert [(name, dataset(name).own) for name, _ in signed] == signed

    def test_requests_hold_to_their_window(self) -> None:
        """An endpoint with times asks from the first instant of its half-open window to its last,
        and not for the next."""
        for endpoint, series, speech in self.cases():
            if endpoint.walk in ("page", "latest", "tail", "back"):
                continue
            times = sorted(
                int(v)
                for _, v in endpoint.build(series, Ask(WINDOW, 2)).params
                if v.isdigit() and len(v) >= 9
            )
            assert len(times) == (1 if endpoint.walk == "edge" else 2)
            unit = 1_000_000 if times[0] < 10**11 else 1_000
            assert endpoint.walk == "edge" or times[0] * unit == WINDOW.start - speech.early
            assert WINDOW.end - unit <= times[-1] * unit < WINDOW.end

    # -------------------------------------------------------------------------------------------- verdicts

    def test_a_good_reply_is_no_fault(self) -> None:
        """Each endpoint's own answer passes."""
        for endpoint, series, speech in self.cases():
            assert self.venue.judge(self.reply(endpoint, series, speech.wrap(series, speech.rows))) is None

    @pytest.mark.parametrize("name", GARBLED)
    def test_a_garbled_reply_is_a_fault_or_refused(self, name: str) -> None:
        """What is no answer is worth another try, and a parser that sees it all the same says BadReply."""
        for endpoint, series, speech in self.firsts():
            if GARBLED[name] == speech.wrap(series, []):
                continue  # where there is no envelope, a bare list is an answer
            reply = self.reply(endpoint, series, GARBLED[name])
            fault = self.venue.judge(reply)
            assert fault is None or (fault.kind == "garbled" and fault.retryable)
            with pytest.raises(BadReply):
                self.read(endpoint, reply, series)
        with pytest.raises(BadReply):
            self.venue.describe(Reply(self.venue.listings[0], 200, GARBLED[name], HEARD))

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (429, "throttled"),
            (418, "banned"),
            (403, "banned"),
            (500, "server"),
            (502, "server"),
            (503, "server"),
            (520, "server"),
        ],
    )
    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"{}", b'{"code":1,"msg":"try again"}', b'{"data":[],"status":"ok"}']
    )
    def test_the_http_status_is_heard(self, status: int, kind: FaultKind, body: bytes) -> None:
        """A throttle, a ban and a broken server are just that, whatever the body says besides."""
        fault = self.venue.judge(Reply(self.venue.listings[0], status, body, HEARD))
        assert fault is not None
        assert (fault.kind, fault.retryable) == (kind, True)

    @pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 400, 404, 451])
    def test_no_other_status_is_an_answer(self, status: int) -> None:
        """Even with good rows in it, a reply that is not 200 is not used."""
        for endpoint, series, speech in self.firsts():
            assert (
                self.venue.judge(self.reply(endpoint, series, speech.wrap(series, speech.rows), status))
                is not None
            )

    # -------------------------------------------------------------------------------------------- parsers

    def test_rows_keep_their_values_in_any_order(self) -> None:
        """Newest first, oldest first, members in another order, blanks: the same rows, the same page."""
        for endpoint, series, speech in self.cases():
            bodies = [
                speech.wrap(series, speech.rows),
                speech.wrap(series, speech.rows).replace(b",", b" , ").replace(b'":', b'" : '),
                speech.wrap(series, [dict(reversed(row.items())) for row in speech.rows]),
            ]
            parsed = [self.read(endpoint, self.reply(endpoint, series, body), series) for body in bodies]
            rows = [conformed(one, endpoint.dataset) for one in parsed]
            assert rows[0] == rows[1] == rows[2]
            assert parsed[0].page == parsed[1].page == parsed[2].page
            upside = self.read(
                endpoint, self.reply(endpoint, series, speech.wrap(series, speech.rows[::-1])), series
            )
            assert conformed(upside, endpoint.dataset) == {
                key: values[::-1] for key, values in rows[0].items()
            }
            times = [from_datetime(t) for t in rows[0][dataset(endpoint.dataset).time_column]]
            assert (upside.page.first, upside.page.last) == (min(times), max(times))
            assert upside.page.count == len(speech.rows) == len(times)

    def test_no_rows_are_an_empty_page(self) -> None:
        """An empty list is an answer with nothing in it."""
        for endpoint, series, speech in self.cases():
            parsed = self.read(endpoint, self.reply(endpoint, series, speech.wrap(series, [])), series)
            assert parsed.page.count == 0
            assert set(conformed(parsed, endpoint.dataset)) >= {dataset(endpoint.dataset).time_column}

    @pytest.mark.parametrize("value", NOT_NUMBERS)
    def test_what_is_no_number_is_refused(self, value: str) -> None:
        """NaN, infinities, nulls, texts, truth values, lists in place of a number: the reply is set aside whole."""
        for endpoint, series, speech in self.firsts():
            for name in speech.numbers:
                for at in range(len(speech.rows)):
                    rows = [{**row, name: value} if n == at else row for n, row in enumerate(speech.rows)]
                    with pytest.raises(BadReply):
                        self.read(endpoint, self.reply(endpoint, series, speech.wrap(series, rows)), series)

    def test_a_missing_member_is_refused(self) -> None:
        """Nothing is filled in for a member that one row lacks."""
        for endpoint, series, speech in self.firsts():
            for name in speech.numbers:
                for at in range(len(speech.rows)):
                    rows = [
                        {k: v for k, v in row.items() if k != name or n != at}
                        for n, row in enumerate(speech.rows)
                    ]
                    with pytest.raises(BadReply):
                        self.read(endpoint, self.reply(endpoint, series, speech.wrap(series, rows)), series)

    def test_negative_amounts_are_refused(self) -> None:
        """Volumes, turnovers and counts below zero are no volumes, turnovers or counts."""
        for endpoint, series, speech in self.firsts():
            for name in speech.positive:
                rows = [{**speech.rows[0], name: "-1"}, *speech.rows[1:]]
                with pytest.raises(BadReply, match="negative"):
                    self.read(endpoint, self.reply(endpoint, series, speech.wrap(series, rows)), series)

    @pytest.mark.parametrize("factor", [1_000, 1_000_000, -1])
    def test_instants_of_another_unit_or_age_are_refused(self, factor: int) -> None:
        """A time a thousandfold too large is another unit, one below zero is none."""
        for endpoint, series, speech in self.firsts():
            time = speech.rows[0][speech.time]
            said = time.replace(time.strip('"'), str(int(time.strip('"')) * factor))
            with pytest.raises(BadReply, match="of our time"):
                self.read(
                    endpoint,
                    self.reply(
                        endpoint, series, speech.wrap(series, [{**speech.rows[0], speech.time: said}])
                    ),
                    series,
                )

    def test_an_answer_about_something_else_is_refused(self) -> None:
        """Rows of another symbol or period are never taken for those that were asked for."""
        for endpoint, series, speech in self.firsts():
            good = speech.wrap(series, speech.rows)
            assert speech.foreign
            for bend in speech.foreign:
                assert bend(good) != good
                with pytest.raises(BadReply):
                    self.read(endpoint, self.reply(endpoint, series, bend(good)), series)

    # -------------------------------------------------------------------------------------------- instruments

    def _describe(self, rows: list[dict[str, str]]) -> Parsed:
        body = self.tongue.listing.wrap(Series("instruments", self.venue_name, "", None), rows)
        return self.venue.describe(Reply(self.venue.listings[0], 200, body, HEARD))

    def test_a_listing_makes_instruments(self) -> None:
        """Every column of the dataset and the symbol beside them; listings carry the same symbols."""
        parsed = self._describe(self.tongue.listing.rows)
        columns = {name: values for name, values in parsed.columns.items() if name != "symbol"}
        stored = conformed(
            Parsed({**columns, "as_of": [HEARD] * parsed.page.count}, parsed.page), "instruments"
        )
        assert len(stored["status"]) == len(self.tongue.listing.rows) == len(parsed.columns["symbol"])
        assert set(self.venue.listing_of(parsed)) == set(parsed.columns["symbol"])

    def test_an_unknown_state_is_refused(self) -> None:
        """A state that nobody told us of is not guessed at."""
        name, value = self.tongue.status
        with pytest.raises(BadReply, match="unknown"):
            self._describe([{**self.tongue.listing.rows[0], name: value}])

    @pytest.mark.parametrize("value", NOT_NUMBERS)
    def test_a_listing_with_broken_numbers_is_refused(self, value: str) -> None:
        """Sizes and steps are numbers."""
        for name in self.tongue.listing.numbers:
            with pytest.raises(BadReply):
                self._describe([{**self.tongue.listing.rows[0], name: value}])

    def test_folding_is_idempotent(self) -> None:
        """A symbol that a person typed becomes the venue's spelling, and stays it."""
        typed, spelled = self.tongue.typed
        fold = self.venue.fold
        assert fold(typed) == fold(fold(typed)) == spelled
        listed = self._describe(self.tongue.listing.rows).columns["symbol"]
        assert [fold(symbol) for symbol in listed] == list(listed)
