"""Order books as HTX pushes them (htx-api 7.3, 7.4), one row for every level.

Three kinds. Spot's ``mbp`` pushes what changed, numbered by ``seqNum`` and ``prevSeqNum``; the whole book is the answer
to a request of the same topic. The contracts' ``high_freq`` depth pushes the whole book first and then what changed;
its ``version`` grows by one with every message of a connection. Step depth, of both, pushes nothing but whole books.

Sizes of contracts count contracts: the base units are their decimal product with the contract's size, or, of
coin-margined ones, the coins that so many dollars buy at the level's price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import DecimalException
from functools import lru_cache
from itertools import chain, compress
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.schema.arrow import UNFIT
from htxdata.venues.htx.feeds_book_messages import (
    BRIEF,
    KINDS,
    SIDES,
    Brief,
    Careful,
    Levels,
    Messages,
    Quick,
    Told,
)
from htxdata.venues.htx.feeds_frames import (
    FIRST_MS,
    LAST_MS,
    UNDECODABLE,
    Counted,
    Key,
    contract_size,
    has_long_number,
    in_base,
    is_talk,
    opened,
    ratio,
)
from htxdata.venues.htx.feeds_levels import levels_of
from htxdata.venues.htx.feeds_topics import SymbolOf
from htxdata.venues.pages import Batch, Doubt, Pages, counted_together
from htxdata.venues.terms import Facts, Frame, Pushed

_LAST = 2**63


class _Page(NamedTuple):
    """Some messages: columns of them, of their levels, and the books that ``told["which"]`` counts."""

    told: dict[str, Any]
    price: Any
    size: Any
    books: Sequence[tuple[Key, float | None]]


def book_parser(symbol_of: SymbolOf, quick: Quick, careful: Careful, counted: Counted = "base") -> Pages:
    """``counted``: where sizes count contracts, the facts must tell their size.

    A frame is one call of the decoder, all else is done with all frames together, on arrays: their levels, and whether
    their figures can be. Only where something is not plain is every frame looked at by itself. The columns are numpy
    arrays: a list of a million levels takes longer to make than all the rest.
    """
    brief = BRIEF[quick]
    key_of = lru_cache(4096)(symbol_of)

    def read(frames: Batch, facts: Mapping[str, Facts]) -> _Page:
        """Some messages as columns, and the prices and sizes of their levels."""
        said, ticks, received_at = _data(frames, brief)
        topics, at, whole, sequence, previous, bids, asks, asked = brief.told(said, ticks)
        texts: list[Any] = [b""] * (2 * len(said))
        texts[::2], texts[1::2] = bids, asks
        if (levels := levels_of(texts)) is None:
            raise Doubt
        places: defaultdict[Any, int] = defaultdict()
        places.default_factory = places.__len__  # of a new topic: the next place
        try:
            told = {name: np.fromiter(values, np.int64, len(said)) for name, values in (
                ("at", at), ("sequence", sequence), ("previous", previous), ("received_at", received_at),
                ("which", map(places.__getitem__, topics)))
            }  # fmt: skip
            books = [_book(topic, facts) for topic in places]
        except (OverflowError, TypeError, BadReply):  # a number is missing, or the topic is none
            raise Doubt from None
        told["whole"], told["asked"] = (np.fromiter(values, bool, len(said)) for values in (whole, asked))
        price, size, counts = levels
        if len(at) and (told["at"].min() < FIRST_MS or told["at"].max() >= LAST_MS or told["sequence"].min() < 0):
            raise Doubt
        if len(price) and (price.min() <= 0 or size.min() < 0):
            raise Doubt
        told["at"] *= 1_000
        if told["whole"].any():  # a level of size 0 is none
            there = (size != 0) | ~np.repeat(np.repeat(told["whole"], 2), counts)
            sides = np.repeat(np.arange(len(counts)), counts)[there]
            price, size, counts = price[there], size[there], np.bincount(sides, minlength=len(counts))
        told["bids"], told["asks"] = counts[::2], counts[1::2]
        return _Page(told, price, size, books)

    def join(pages: Sequence[_Page]) -> Pushed:
        return _parted(pages, counted == "dollars")

    def look(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        try:
            return _read(frames, facts, has_long_number(b" ".join([body for _, body in frames])))
        except Doubt:
            return _read(frames, facts, True)

    def _read(frames: Sequence[Frame], facts: Mapping[str, Facts], doubtful: bool) -> Pushed:
        pushed = Pushed()
        piles: dict[str, _Pile] = {}
        for place, (received_at, body) in enumerate(frames):
            try:
                told = quick(body)
            except UNDECODABLE:
                told = None
            lost = 0
            if told is None or (doubtful and not (_plain(told) and not has_long_number(body))):
                try:
                    message = opened(body)
                    if message is None:
                        continue
                    told, lost = _checked(careful(message))
                except (BadReply, DecimalException, OverflowError) as error:
                    pushed.faults.append((place, str(error) or repr(error)))
                    continue
            pile = piles.get(told.topic)
            if pile is None:
                try:
                    pile = piles[told.topic] = _Pile(*_book(told.topic, facts), counted == "dollars")
                except BadReply as error:
                    pushed.faults.append((place, str(error)))
                    continue
            pile.add(told, received_at, lost)
        for pile in piles.values():
            pile.into(pushed, doubtful)
        return pushed

    def _book(topic: str, facts: Mapping[str, Facts]) -> tuple[Key, float | None]:
        """What a topic names, and how much a contract of it is, where sizes count them."""
        key = key_of(topic)
        if key is None:
            raise BadReply(f"{topic!r:.80} is no topic of this feed")
        return key, None if counted == "base" else contract_size(facts, key[0])

    return Pages(read, join, look)


def _data(frames: Batch, brief: Brief) -> tuple[Sequence[Any], Sequence[Any], Sequence[int]]:
    """Of some frames those with data, in the brief shape, what they tell, and when they came. ``Doubt`` where one is
    neither data nor talk."""
    decode = brief.decode
    try:
        said = [*map(decode, frames.messages)]
    except UNDECODABLE:
        said = [_alone(body, brief) for body in frames.messages]
    ticks, received_at = brief.ticks(said), frames.times
    if None in ticks:
        there = [tick is not None for tick in ticks]
        if not all(is_talk(body) for body, data in zip(frames.messages, there, strict=True) if not data):
            raise Doubt
        said, ticks, received_at = ([*compress(some, there)] for some in (said, ticks, received_at))
    return said, ticks, received_at


def _alone(body: bytes, brief: Brief) -> Any:
    """One message in the brief shape; the empty one where it cannot be read."""
    try:
        return brief.decode(body)
    except UNDECODABLE:
        return brief.decode(b"{}")


def _parted(pages: Sequence[_Page], dollars: bool) -> Pushed:
    """Messages of many books, and their levels, book by book."""
    pushed = Pushed()
    books, which = counted_together([(page.books, page.told["which"]) for page in pages])
    if not books:
        return pushed
    told = {name: np.concatenate([page.told[name] for page in pages]) for name in pages[0].told}
    price, size = np.concatenate([page.price for page in pages]), np.concatenate([page.size for page in pages])
    order = np.argsort(which, kind="stable")
    counts = told["bids"] + told["asks"]
    first = np.cumsum(counts) - counts
    told = {name: column.take(order) for name, column in told.items()}
    each, start = counts[order], first[order]
    sides, both = (told["asks"], told["bids"]), _BOTH[::-1]
    picks = _as_stored(price, start, *sides)
    if picks is None:
        sides, both = (told["bids"], told["asks"]), _BOTH
        picks = np.repeat(start - (np.cumsum(each) - each), each) + np.arange(len(price))
    columns: dict[str, Any] = {
        "book_time": np.repeat(told["at"], each),
        "kind": np.repeat(told["whole"].view(np.int8), each),
        "side": np.repeat(np.tile(both, len(order)), _between(*sides)),
        "price": price.take(picks),
        "size": size.take(picks),
        "sequence": np.repeat(told["sequence"], each),
        "previous_sequence": np.repeat(told["previous"], each),
        "received_at": np.repeat(told["received_at"], each),
    }
    ends = np.cumsum(np.bincount(which, minlength=len(books))).tolist()
    rows = [0, *np.cumsum(each).tolist()]
    names = ("received_at", "at", "whole", "sequence", "previous", "asked")
    for (key, contract), begin, end in zip(books, [0, *ends], ends, strict=False):
        if begin == end:
            continue
        pushed.messages[key] = cast(Any, Messages(*[told[name][begin:end] for name in names], each[begin:end]))
        if rows[begin] == rows[end]:
            continue
        mine = {name: column[rows[begin] : rows[end]] for name, column in columns.items()}
        mine["kind"], mine["side"] = _words(mine["kind"], KINDS), _words(mine["side"], SIDES)
        if contract is not None:
            mine["contracts"] = mine["size"]
            mine["size"] = _in_base(mine["contracts"], contract, mine["price"] if dollars else None)
        pushed.columns[key] = mine
    return pushed


def _as_stored(price: Any, start: Any, asks: Any, bids: Any) -> Any | None:
    """Where the levels of each message lie in the order in which they are stored, asks before bids and the lowest price
    first: a commit then finds them in order. ``start`` is where a message's begin, bids before asks.

    None where one side neither rises nor falls throughout; of 12,583 recorded ones three do not fall or rise as sides
    from the best level on do, and none does neither.
    """
    counts, at = _between(asks, bids), _between(start + bids, start)
    at, counts = at[counts > 0], counts[counts > 0]
    last = at + counts - 1
    falls = price.take(last) < price.take(at)
    begin, end = np.where(falls, last, at), np.where(falls, at, last)
    first = np.cumsum(counts) - counts
    steps = np.repeat(np.where(falls, -1, 1), counts)
    steps[first] = begin
    steps[first[1:]] -= end[:-1]
    picks = np.cumsum(steps)
    there = price.take(picks)
    rises = there[1:] > there[:-1]
    rises[first[1:] - 1] = True
    return picks if rises.all() else None


def _between(first: Any, second: Any) -> Any:
    """One of each in turn."""
    out = np.empty(2 * len(first), np.int64)
    out[::2], out[1::2] = first, second
    return out


def _checked(read: tuple[Told, int]) -> tuple[Told, int]:
    told = read[0]
    if not 0 <= told.sequence < _LAST or not -1 <= (told.previous or 0) < _LAST:
        raise BadReply(f"{told.sequence} after {told.previous} are no numbers of messages")
    return read


def _plain(told: Told) -> bool:
    if not FIRST_MS <= told.at < LAST_MS or not 0 <= told.sequence < _LAST or (told.previous or 0) >= _LAST:
        return False
    for levels in (told.bids, told.asks):
        if levels and (min(levels)[0] <= 0 or min([size for _, size in levels]) < 0):
            return False
    return True


_BOTH = np.array([0, 1], np.int8)  # places in SIDES


def _words(places: Any, words: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(places), words)


class _Message(NamedTuple):
    """A ``BookMessage``, made in a third of the time."""

    received_at: int
    at: int
    whole: bool
    sequence: int
    previous: int | None
    first: int
    last: int
    asked: bool


class _Pile:
    """The messages of one book, and their levels one after the other."""

    def __init__(self, key: Key, size: float | None, dollars: bool) -> None:
        self.key, self.size, self.dollars = key, size, dollars
        self.levels: Levels = []
        self.counts: list[int] = []  # levels of each side of each message, bids first
        self.messages: list[Any] = []
        self.lost: dict[int, int] = {}

    def add(self, told: Told, received_at: int, lost: int) -> None:
        levels, counts = self.levels, self.counts
        _, at, whole, sequence, previous, bids, asks, asked = told
        if whole:  # a level of size 0 is none
            bids = [level for level in bids or () if level[1]]
            asks = [level for level in asks or () if level[1]]
        first = len(levels)
        if bids:
            levels += bids
        middle = len(levels)
        if asks:
            levels += asks
        last = len(levels)
        counts.append(middle - first)
        counts.append(last - middle)
        if lost and last > first:
            self.lost[first] = min(lost, 255)
        self.messages.append(_Message(received_at, at * 1_000, whole, sequence, previous, first, last, asked))

    def into(self, pushed: Pushed, doubtful: bool) -> None:
        messages = self.messages
        if not doubtful:
            times = [message.at for message in messages]
            numbers = [message.sequence or 0 for message in messages]
            if min(times) < FIRST_MS * 1_000 or max(times) >= LAST_MS * 1_000:
                raise Doubt
            before = [message.previous or 0 for message in messages]
            if min(numbers) < 0 or max(numbers) >= _LAST or max(before) >= _LAST:
                raise Doubt
        count = len(self.levels)
        flat = np.fromiter(chain.from_iterable(self.levels), np.float64, 2 * count)
        prices, sizes = np.ascontiguousarray(flat[::2]), np.ascontiguousarray(flat[1::2])
        if not doubtful and count and (prices.min() <= 0 or sizes.min() < 0):
            raise Doubt
        pushed.messages[self.key] = messages
        if not count:
            return
        each = np.array([message.last - message.first for message in messages])
        columns: dict[str, Any] = {
            "book_time": np.repeat(np.array([message.at for message in messages]), each),
            "kind": _words(np.repeat(np.array([message.whole for message in messages], np.int8), each), KINDS),
            "side": _words(np.repeat(np.tile(_BOTH, len(messages)), self.counts), SIDES),
            "price": prices,
            "size": sizes,
            "sequence": np.repeat(np.array([message.sequence for message in messages]), each),
            "previous_sequence": np.repeat(
                np.array([-1 if message.previous is None else message.previous for message in messages]), each
            ),
            "received_at": np.repeat(np.array([message.received_at for message in messages]), each),
        }
        if self.size is not None:
            columns["contracts"] = sizes
            columns["size"] = _in_base(sizes, self.size, prices if self.dollars else None)
        if self.lost:
            unfit = columns[UNFIT] = np.zeros(count, np.uint8)
            unfit[list(self.lost)] = list(self.lost.values())
            pushed.unfit[self.key] = sum(self.lost.values())
        pushed.columns[self.key] = columns


def _in_base(contracts: Any, size: float, price: Any = None) -> Any:
    """Contracts in base units: the decimal product, to the nearest DOUBLE; or with a price, of contracts of ``size``
    dollars, what these buy.

    A whole number times the ratio's numerator is exact below 2**53, and so is the denominator; their quotient is then
    rounded once.
    """
    if price is not None:
        return contracts * size / price
    by, parted = ratio(size)
    most = float(contracts.max(initial=0.0))
    if most * by < 2**53 and parted < 2**53 and (contracts == np.floor(contracts)).all():
        return contracts * float(by) / float(parted)
    return np.array([in_base(count, size)[0] for count in contracts.tolist()])
