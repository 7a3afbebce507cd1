"""The frozen dataclasses that the venues' tables are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from htxdata.errors import Refused
from htxdata.keys import Keys
from htxdata.market import Listing, Series
from htxdata.protocol.dialect import Dialect
from htxdata.protocol.lease import Lent
from htxdata.protocol.paging import Ask, Page
from htxdata.protocol.wire import Fault, LimitHeaders, Reply, Request
from htxdata.timeline import Window

WalkKind = Literal["time", "cursor", "behind", "page", "latest", "tail", "back", "edge", "halves"]

Sign = Callable[[Request, str, Keys, int], tuple[tuple[str, str], ...]]
"""The parameters of a private request, signed: the request, the host as it is named, the key, the time (us UTC)."""


@dataclass(frozen=True)
class Parsed:
    """One reply as columns named as in the schema, and what the walk needs to know of it.

    Instants are integers (microseconds UTC). ``unfit``, where given, counts for every row the values that a DOUBLE
    does not carry digit for digit.
    """

    columns: Mapping[str, Any]
    page: Page
    unfit: Any = None
    unsettled: Sequence[int] = ()
    """Instants of rows that are not final yet, and not among the columns: they are asked for again."""
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of a list of instruments: their other names (``Facts.names``), each in the order of the rows."""


@dataclass(frozen=True)
class Facts:
    """What a parser must know of an instrument and the venue's answers and files do not say.

    ``contract_size`` (base units per contract, at that time) is None on spot and where it is not known. ``names`` are
    the other names under which the venue knows what is computed for the instrument, such as its index.
    """

    contract_size: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)


NO_FACTS = Facts()


@dataclass(frozen=True)
class Endpoint:
    """One way to ask a venue for one dataset over REST.

    ``rows`` is the most that one request may ask for. ``periods`` maps our periods to the venue's spelling; a period
    that is not in it cannot be asked for here. ``horizon`` is how far back (microseconds) the venue serves it, ``span``
    the longest window (microseconds) that one request may name. ``docs`` says where the facts come from, with the
    confidence mark of the reference.
    """

    dataset: str
    path: str
    walk: WalkKind
    rows: int
    build: Callable[[Series, Ask], Request]
    parse: Callable[[Reply, Series], Parsed]
    docs: str
    periods: Mapping[str, str] | None = None
    horizon: int | None = None
    span: int | None = None
    sized: Callable[[Reply, Series, Facts], Parsed] | None = None
    """``parse`` where sizes are contracts and quantities so many of ``Facts.contract_size``: in its place."""
    of: Callable[[str], bool] = field(default=lambda symbol: True)
    """Of which symbols it tells, where a venue has instruments of several kinds."""

    by: str = ""
    """Which of ``Facts.names`` is asked for in place of the symbol; "" for the symbol itself."""

    each: bool = False
    """It tells of one account, and is asked for each of the owner's (``Venue.accounts``): ``build`` and ``parse`` get
    the account's number in place of the symbol, and all of them together are the one series of all symbols."""

    least: int | None = None
    """Of a walk by halves: so many rows no page is cut to, where that is not the walk's own."""

    deeper: str = ""
    """Of the newest rows alone: what else of the venue's may have those before them, as the reason will say why they
    are missing. What has such a way is never called gone."""

    def read(self, reply: Reply, series: Series, facts: Facts) -> Parsed:
        """The rows of a reply; ``BadReply`` for what is not understood (law 9)."""
        return self.parse(reply, series) if self.sized is None else self.sized(reply, series, facts)

    def under(self, series: Series, facts: Facts) -> Series:
        """``series`` under the name that is asked for. ``Refused`` where the venue does not tell that name."""
        return series if not self.by else replace(series, symbol=other_name(series.symbol, self.by, facts))

    def serves(self, period: str | None) -> bool:
        return self.periods is None or period in self.periods


def other_name(symbol: str, by: str, facts: Facts) -> str:
    """What the venue calls the ``by`` of an instrument; ``Refused`` where it does not say."""
    if not by:
        return symbol
    if by not in facts.names:
        raise Refused("refused", f"the venue's list does not name the {by} of {symbol}")
    return facts.names[by]


@dataclass(frozen=True)
class Poll:
    """One way to ask a venue what is so now, for a dataset whose history it does not keep, or not as finely.

    ``build`` asks for one symbol, and ``parse`` is told which; where ``whole`` is set, one answer tells of every
    instrument, and both are given None. ``parse`` gives the dataset's columns and, beside them, ``symbol``.
    """

    dataset: str
    path: str
    build: Callable[[str | None], Request]
    parse: Callable[[Reply, str | None], Parsed]
    docs: str
    whole: bool = False
    by: str = ""
    """As `Endpoint.by`."""


@dataclass(frozen=True)
class Listed:
    """One object of the archive, as its listing says it. ``modified`` is microseconds UTC."""

    key: str
    size: int
    etag: str
    modified: int


Blocks = Iterable[bytes]
"""The content of one file in blocks of any size."""


@dataclass(frozen=True)
class Archive:
    """The files of one dataset in one tree of a bulk archive, one file a day.

    ``key`` names the file of a day (``2024-01-05``: the venue's day, which opens at ``Venue.day_opens``), ``folder``
    the prefix under which the files of a series are listed, ``day_of`` the day that a listed key is of (None for
    anything else under the prefix). ``first`` and ``last`` are the days that the tree is asked for. ``everyday``: a
    file exists for every day on which the instrument is listed, traded or not.

    ``read`` turns the content of one file into columns of the schema, in pieces of bounded size and in the order of
    the file; it raises ``BadReply`` for what it does not understand (law 9).
    """

    dataset: str
    tree: str
    key: Callable[[Series, str], str]
    folder: Callable[[Series], str]
    day_of: Callable[[Series, str], str | None]
    read: Callable[[Blocks, Series, Facts], Iterator[Parsed]]
    first: str
    last: str | None = None
    everyday: bool = True
    periods: Mapping[str, str] | None = None
    spare: bool = False
    """The rows of REST say more and reach as far back: the archive is asked only for what REST could not deliver."""

    packed: Literal["zip", "tar.gz"] = "zip"
    """What a file is packed in; ``read`` gets the content of the one file inside."""

    sized: bool = False
    """Sizes are contracts, and quantities ``Facts.contract_size`` of them: the size of that day must be known."""

    docs: str = ""

    def serves(self, period: str | None) -> bool:
        return self.periods is None or period in self.periods


@dataclass(frozen=True)
class Bucket:
    """How an archive is listed and how it says what a file must hash to. Pure: requests and replies as values.

    ``list_request`` asks for the objects under a prefix, from a continuation on; ``listed`` reads one page of the
    answer and gives the next continuation, or None at the end. ``checksum_keys`` are the names under which the checksum
    of a file may lie, in order; ``sha256_of`` reads one.
    """

    list_request: Callable[[str, str | None], Request]
    listed: Callable[[bytes], tuple[Sequence[Listed], str | None]]
    checksum_keys: Callable[[str], Sequence[str]]
    sha256_of: Callable[[bytes, str], str]
    published: tuple[int, int] = (0, 0)
    """How long after the end of a day its files appear: at the soonest, and as a rule at the latest."""


Frame = tuple[int, bytes]
"""When a message was received (microseconds UTC), and the message, decompressed."""


@dataclass
class Pushed:
    """What a parser made of some frames of one feed.

    ``columns`` holds, for each symbol and period (None where the feed has none), the dataset's columns (lists, or numpy
    or Arrow arrays) in the order of the frames, ``received_at`` of every row included and ``source`` not. ``faults``
    are frames that could not be read: their places among those given, and why (law 9). ``unfit`` counts, for each
    symbol and period, the values that a DOUBLE does not carry digit for digit. Rows of books are in the order of their
    messages, and ``messages`` says of each its first row, whether it is a whole book, and its numbers.
    """

    columns: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)
    unfit: dict[tuple[str, str | None], int] = field(default_factory=dict)
    messages: dict[tuple[str, str | None], Sequence[BookMessage]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BookMessage:
    """One message of a book. ``first`` and ``last`` bound its rows; ``sequence`` its number, ``previous`` that of the
    message before it where it says so. ``asked``: it answers a request of ours and is no part of the stream; ``at`` is
    0 where such an answer does not say of when it is.
    """

    received_at: int
    at: int
    whole: bool
    sequence: int | None
    previous: int | None
    first: int
    last: int
    asked: bool = False


@dataclass(frozen=True)
class Seen:
    """What must be known of a book's message while it is captured: its topic and numbers, or where it has none, ``at``,
    its time in any unit."""

    topic: str
    whole: bool
    sequence: int | None
    previous: int | None
    asked: bool = False
    at: int = 0


@dataclass(frozen=True)
class Feed:
    """One feed of a venue's WebSocket, as `--feed` names it, and the dataset that its messages become.

    ``host`` is the key of ``[hosts]``, ``path`` what follows it. ``topic`` names the topic of a symbol (and period),
    ``symbol_of`` is its inverse (None for any other topic). ``parse`` reads frames; it is told the facts of symbols,
    and raises nothing. ``silence`` is how long (seconds) all topics of a connection may be silent together before it
    counts as dead, however often it pings; None: for ever.

    A feed whose dialect signs in is `private`, and one whose connection takes a key that is lent. A book needs a whole
    book to begin with, and again after a break: by a ``request`` of its topic, or by subscribing ``anew``. ``watch``
    reads just what shows a break, None for messages that cannot break anything. ``levels`` is how many it has a side,
    ``forms`` are the same feed with other numbers of them, and ``instead`` is what is heard of the symbols whose topics
    the venue refuses.
    """

    name: str
    dataset: str
    host: str
    path: str
    dialect: Dialect
    topic: Callable[[str, str | None], str]
    symbol_of: Callable[[str], tuple[str, str | None] | None]
    parse: Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]
    docs: str
    periods: Mapping[str, str] | None = field(default=None, hash=False)
    silence: float | None = 60.0
    whole_by: Literal["", "request", "anew"] = ""
    by: str = ""
    """As `Endpoint.by`: what the topics name."""

    watch: Callable[[bytes], Seen | None] | None = None
    unnumbered: Callable[[str], bool] = field(default=lambda symbol: False)
    """Of which symbols REST knows no numbers of these trades, or others: pushed ones are named as REST's are
    (``venues.names``), and the venue's numbers only tell which of them are the same."""
    levels: int | None = None
    forms: tuple[Feed, ...] = ()
    instead: Feed | None = None

    every: Literal["", "may", "must"] = ""
    """Whether the topic of the symbol ``*`` tells of all symbols; "must": there is no other."""

    lent: Lent | None = None
    """How its connection is opened where that takes a key of its own, which is told over REST (the host of the venue):
    it follows the path."""

    sized: bool = False
    """Sizes are contracts, also where nobody named their symbols: of each that the venue lists the size is asked."""

    whole: bool = True
    """Whether its rows say all that the dataset has. What they prove of time is nothing where not: REST is asked for
    the same rows once more, and fills in what they lack."""

    @property
    def private(self) -> bool:
        """Whether it takes a key to hear it."""
        return self.dialect.sign_in is not None or self.lent is not None

    def every_form(self) -> Iterator[Feed]:
        """This one, those with other numbers of levels, and what is heard instead of each; some twice."""
        for first in (self, *self.forms):
            form: Feed | None = first
            while form is not None:
                yield form
                form = form.instead

    def of(self, topics: Iterable[str]) -> Feed:
        """The form that these topics are of; this one where none is."""
        for topic in topics:
            for form in self.every_form():
                if form.symbol_of(topic) is not None:
                    return form
        return self


@dataclass(frozen=True)
class Deliveries:
    """How a venue's contracts end that are delivered on a day, and what it calls those that follow each other.

    ``by_name`` is what the name of such a contract alone tells of it (None for any other symbol), ``kept`` how long
    after its delivery (microseconds) it can still be asked for over REST, ``size`` its contract size by the venue's
    documentation. ``holders`` are the contracts that an alias meant within a window, given those that are known and
    what time it is (None for what is no alias); ``next_roll`` is when the next of them take over.
    """

    by_name: Callable[[str], Listing | None]
    kept: int
    size: Callable[[str], float | None]
    holders: Callable[[str, Mapping[str, Listing], Window, int], Sequence[tuple[str, Window]] | None]
    next_roll: Callable[[int], int]


@dataclass(frozen=True)
class Accounts:
    """How one's own balances are asked for: ``list`` for the accounts, whose ``numbers`` it tells, then ``balance`` for
    each; ``parse`` gives the columns of ``own_balances`` and, beside them, ``symbol``. ``list`` is None where a key
    opens one account, which has no number."""

    list: Request | None
    numbers: Callable[[Reply], Sequence[str]]
    balance: Callable[[str], Request]
    parse: Callable[[Reply], Parsed]


@dataclass(frozen=True)
class KeyRow:
    """What a venue says of a key. ``permissions`` are its words; ``days_left`` None: it does not expire."""

    permissions: tuple[str, ...]
    addresses: tuple[str, ...]
    days_left: int | None
    status: str


@dataclass(frozen=True)
class Permits:
    """How a venue is asked what a key may do: who its owner is (``user``, ``user_of``), and then what he has of keys.
    ``key_of`` finds the one that asks among them. They raise ``BadReply``."""

    user: Request
    user_of: Callable[[Reply], str]
    ask: Callable[[str], Request]
    key_of: Callable[[Reply, Keys], KeyRow]


@dataclass(frozen=True)
class Proof:
    """How it is seen that a key is taken, where a venue does not tell what one may do: ``ask`` is a question that every
    key may ask. ``late`` and ``early`` are how many seconds a signed request may be off; None: it is not said."""

    ask: Request
    late: float | None = None
    early: float | None = None


@dataclass(frozen=True)
class Venue:
    """One venue: what can be asked of it, and how it says that something is wrong.

    ``endpoints`` of one dataset stand in order of preference: the next is asked where one is absent or refuses.
    ``listings`` each list every instrument, in order of preference; ``describe`` makes rows of the answer.
    """

    name: str
    host: str
    """The key of ``[hosts]`` and ``[budgets]``."""

    judge: Callable[[Reply], Fault | None]
    limit_headers: LimitHeaders | None
    endpoints: tuple[Endpoint, ...]
    listings: tuple[Request, ...]
    describe: Callable[[Reply], Parsed]
    """All columns of ``instruments`` and, beside them, ``symbol``."""

    day_opens: int = 0
    """When the venue's day opens, in microseconds after UTC midnight."""

    archive_host: str | None = None
    archives: tuple[Archive, ...] = ()
    """In order of preference: where the first has no file of a day, the next is asked."""

    bucket: Bucket | None = None
    fold: Callable[[str], str] = field(default=lambda symbol: symbol)
    """The venue's spelling of a symbol that a person typed (upper or lower case)."""

    polls: tuple[Poll, ...] = ()
    """Those of one dataset in order of preference: the next is asked for what the one before did not tell."""

    feeds: tuple[Feed, ...] = ()
    deliveries: Deliveries | None = None
    """Where all its contracts are delivered one day."""
    has: Callable[[str, str], bool] = field(default=lambda dataset, symbol: True)
    """Whether a dataset exists for a symbol, where a venue has instruments of several kinds."""

    keys: str = ""
    """Whose keys private requests and feeds are signed with, of ``keys.NAMES``; "" where there are none."""

    sign: Sign | None = None
    headers: Callable[[Keys], Mapping[str, str]] = field(default=lambda keys: {})
    """What a private request says in its headers, where the key is no parameter."""

    accounts: Accounts | None = None
    permits: Permits | None = None
    proof: Proof | None = None

    def feed(self, name: str) -> Feed | None:
        return next((feed for feed in self.feeds if feed.name == name), None)

    def endpoints_for(self, dataset: str, period: str | None, symbol: str = "") -> tuple[Endpoint, ...]:
        """Without a symbol those of any."""
        every = (e for e in self.endpoints if e.dataset == dataset and e.serves(period))
        return tuple(e for e in every if not symbol or e.of(symbol))

    def archives_for(self, dataset: str, period: str | None) -> tuple[Archive, ...]:
        return tuple(a for a in self.archives if a.dataset == dataset and a.serves(period))

    def forgets(self, dataset: str, period: str | None, symbol: str = "") -> bool:
        """Whether nothing brings what lies before a full page of the newest rows: no endpoint goes further back or says
        how far, no archive may have it one day, and the venue has no other way to it."""
        ways = self.endpoints_for(dataset, period, symbol)
        newest = all(way.walk in ("latest", "tail") and not (way.deeper or way.horizon) for way in ways)
        return bool(ways) and newest and not self.archives_for(dataset, period)

    def undivided(self, dataset: str) -> bool:
        """Whether a dataset is of no symbol, but one series of all of them."""
        return any(e.each for e in self.endpoints if e.dataset == dataset)

    def polls_for(self, dataset: str) -> tuple[Poll, ...]:
        return tuple(p for p in self.polls if p.dataset == dataset)

    def datasets(self) -> list[str]:
        """What can be backfilled here."""
        names = [archive.dataset for archive in self.archives] + [e.dataset for e in self.endpoints]
        return list(dict.fromkeys(names))

    def listing_of(self, parsed: Parsed) -> dict[str, Listing]:
        columns = parsed.columns
        return {
            symbol: Listing(symbol, listed, None, delivery)
            for symbol, listed, delivery in zip(
                columns["symbol"], columns["listed_at"], columns["delivery_at"], strict=True
            )
        }
