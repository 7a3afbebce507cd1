"""One message of an order book, of each kind that HTX pushes (htx-api 7.3, 7.4): read quickly, and read with care."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, overload

import msgspec
import numpy as np

from htxdata.errors import BadReply
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.archive_text import words
from htxdata.venues.htx.feeds_frames import Message, member
from htxdata.venues.terms import BookMessage

Levels = list[tuple[float, float]]

KINDS, SIDES = words("delta", "snapshot"), words("bid", "ask")
"""The words of ``kind`` and ``side``: rows of books carry them as Arrow dictionaries of just these."""


class Told(NamedTuple):
    """What a message of a book says, whatever its kind. ``at`` is milliseconds, 0 where it does not say."""

    topic: str
    at: int
    whole: bool
    sequence: int
    previous: int | None
    bids: Levels | None
    asks: Levels | None
    asked: bool = False


Quick = Callable[[bytes], Told | None]
"""What a message plainly says, or None: then it must be read with care. May raise what is in ``UNDECODABLE``."""

Careful = Callable[[Message], tuple[Told, int]]
"""The same from dictionaries, and how many values of the levels a DOUBLE does not carry, or ``BadReply``."""


class Brief(NamedTuple):
    """How many messages of a kind are read at once, with the levels left as the text that they are."""

    decode: Callable[[bytes], Any]
    """Of any message: one without a member of it is talk, and has the empty shape."""
    ticks: Callable[[Sequence[Any]], list[Any]]
    """What each message tells of a book; None where it tells nothing."""
    told: Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], ...]]
    """Of messages and their ticks: topics, times, whether whole, numbers, those before (-1: none is said), bids, asks,
    and whether asked for. None stands where a message does not say what it must."""


_NONE = msgspec.Raw(b"[]")

# ------------------------------------------------------------------------------------------------ spot, numbered


class _Diff(msgspec.Struct, gc=False):
    seqNum: int
    prevSeqNum: int | None = None
    bids: Levels | None = None
    asks: Levels | None = None


class _Mbp(msgspec.Struct):
    ts: int
    ch: str | None = None
    tick: _Diff | None = None
    rep: str | None = None
    data: _Diff | None = None


class _BriefDiff(msgspec.Struct, gc=False):
    seqNum: int
    prevSeqNum: int | None = None
    bids: msgspec.Raw = _NONE
    asks: msgspec.Raw = _NONE


class _BriefMbp(msgspec.Struct, gc=False):  # (members in the order in which they come: found at the first look)
    ch: str | None = None
    ts: int = 0
    tick: _BriefDiff | None = None
    rep: str | None = None
    data: _BriefDiff | None = None


_mbp = msgspec.json.Decoder(_Mbp).decode


def quick_mbp(body: bytes) -> Told | None:
    said = _mbp(body)
    tick, data = said.tick, said.data
    if said.ch is not None and tick is not None and tick.prevSeqNum is not None:
        return Told(said.ch, said.ts, False, tick.seqNum, tick.prevSeqNum, tick.bids, tick.asks)
    if said.rep is not None and data is not None:
        return Told(said.rep, said.ts, True, data.seqNum, None, data.bids, data.asks, True)
    return None


def _told_mbp(said: Sequence[_BriefMbp], ticks: Sequence[_BriefDiff]) -> tuple[Sequence[Any], ...]:
    whole = [one.tick is None for one in said]
    return (
        [one.rep if one.tick is None else one.ch for one in said], [one.ts for one in said],
        whole, [tick.seqNum for tick in ticks],
        [-1 if one.tick is None else one.tick.prevSeqNum for one in said],
        [tick.bids for tick in ticks], [tick.asks for tick in ticks], whole,
    )  # fmt: skip


def _ticks_mbp(said: Sequence[_BriefMbp]) -> list[Any]:
    ticks = [one.tick for one in said]
    return [one.tick or one.data for one in said] if None in ticks else ticks


_BRIEF_MBP = Brief(msgspec.json.Decoder(_BriefMbp).decode, _ticks_mbp, _told_mbp)


def careful_mbp(message: Message) -> tuple[Told, int]:
    whole = "rep" in message
    levels = member(message, "data" if whole else "tick")
    sequence = wire.integer(levels, "seqNum", 0)
    previous = None if whole else wire.integer(levels, "prevSeqNum", 0)
    bids, asks, lost = _sides(levels)
    topic = message.get("rep" if whole else "ch")
    # The answer of mbp.5 stands in the documents without `ts`, that of mbp.150 with it (htx-api 7.3 [A]).
    at = 0 if whole and "ts" not in message else _moment(message)
    return Told(_text(topic), at, whole, sequence, previous, bids, asks, whole), lost


# -------------------------------------------------------------------------------------------- contracts, numbered


class _Depth(msgspec.Struct, gc=False):
    ts: int
    version: int
    event: Literal["snapshot", "update"]
    bids: Levels | None = None
    asks: Levels | None = None


class _HighFreq(msgspec.Struct):
    ch: str
    tick: _Depth


class _BriefDepth(msgspec.Struct, gc=False):
    ts: int
    version: int
    event: Literal["snapshot", "update"]
    bids: msgspec.Raw = _NONE
    asks: msgspec.Raw = _NONE


class _BriefHighFreq(msgspec.Struct, gc=False):
    ch: str | None = None
    tick: _BriefDepth | None = None


_high_freq = msgspec.json.Decoder(_HighFreq).decode


def quick_high_freq(body: bytes) -> Told | None:
    said = _high_freq(body)
    tick = said.tick
    whole = tick.event == "snapshot"
    previous = None if whole else tick.version - 1
    return Told(said.ch, tick.ts, whole, tick.version, previous, tick.bids, tick.asks)


def _ticks(said: Sequence[_BriefHighFreq | _BriefStepDepth]) -> list[Any]:
    return [one.tick for one in said]


def _told_high_freq(
    said: Sequence[_BriefHighFreq], ticks: Sequence[_BriefDepth]
) -> tuple[Sequence[Any], ...]:
    whole = [tick.event == "snapshot" for tick in ticks]
    return (
        [one.ch for one in said], [tick.ts for tick in ticks], whole, [tick.version for tick in ticks],
        [-1 if tick.event == "snapshot" else tick.version - 1 for tick in ticks],
        [tick.bids for tick in ticks], [tick.asks for tick in ticks], [False] * len(ticks),
    )  # fmt: skip


_BRIEF_HIGH_FREQ = Brief(msgspec.json.Decoder(_BriefHighFreq).decode, _ticks, _told_high_freq)


def careful_high_freq(message: Message) -> tuple[Told, int]:
    tick = member(message, "tick")
    event = tick.get("event")
    if event not in ("snapshot", "update"):
        raise BadReply(f"'event' is {event!r:.60}, neither snapshot nor update")
    version = wire.integer(tick, "version", 0)
    whole = event == "snapshot"
    bids, asks, lost = _sides(tick)
    previous = None if whole else version - 1
    return Told(_text(message.get("ch")), _moment(tick), whole, version, previous, bids, asks), lost


# ---------------------------------------------------------------------------------------------- whole books only


class _Step(msgspec.Struct, gc=False):
    ts: int
    version: int
    bids: Levels | None = None
    asks: Levels | None = None


class _StepDepth(msgspec.Struct):
    ch: str
    tick: _Step


class _BriefStep(msgspec.Struct, gc=False):
    ts: int
    version: int
    bids: msgspec.Raw = _NONE
    asks: msgspec.Raw = _NONE


class _BriefStepDepth(msgspec.Struct, gc=False):
    ch: str | None = None
    tick: _BriefStep | None = None


_step = msgspec.json.Decoder(_StepDepth).decode


def quick_step(body: bytes) -> Told | None:
    said = _step(body)
    tick = said.tick
    return Told(said.ch, tick.ts, True, tick.version, None, tick.bids, tick.asks)


def _told_step(said: Sequence[_BriefStepDepth], ticks: Sequence[_BriefStep]) -> tuple[Sequence[Any], ...]:
    return (
        [one.ch for one in said], [tick.ts for tick in ticks], [True] * len(ticks), [tick.version for tick in ticks],
        [-1] * len(ticks), [tick.bids for tick in ticks], [tick.asks for tick in ticks], [False] * len(ticks),
    )  # fmt: skip


_BRIEF_STEP = Brief(msgspec.json.Decoder(_BriefStepDepth).decode, _ticks, _told_step)


def careful_step(message: Message) -> tuple[Told, int]:
    tick = member(message, "tick")
    bids, asks, lost = _sides(tick)
    version = wire.integer(tick, "version", 0)
    return Told(_text(message.get("ch")), _moment(tick), True, version, None, bids, asks), lost


def _sides(tick: Message) -> tuple[Levels, Levels, int]:
    bids, lost = _levels(tick, "bids")
    asks, more = _levels(tick, "asks")
    return bids, asks, lost + more


def _levels(tick: Message, side: str) -> tuple[Levels, int]:
    """The levels of a side; none where it is left out or null."""
    levels = tick.get(side)
    if levels is None:
        return [], 0
    if not isinstance(levels, list) or not all(
        isinstance(level, list) and len(level) == 2 for level in levels
    ):
        raise BadReply(f"{side!r} is {levels!r:.60}, not a list of prices and sizes")
    out: Levels = []
    unfit = 0
    for at, (price, size) in enumerate(levels):
        row = {"price": price, "size": size}
        cost, fitting = wire.number(row, "price", at)
        amount, whole = wire.number(row, "size", at)
        if cost <= 0 or amount < 0:
            raise BadReply(f"{side} {at}: {cost} and {amount} are no price and size")
        out.append((cost, amount))
        unfit += (not fitting) + (not whole)
    return out, unfit


def _moment(message: Message) -> int:
    return wire.instant(message, "ts", 0) // 1_000


def _text(topic: Any) -> str:
    if not isinstance(topic, str):
        raise BadReply(f"{topic!r:.60} is no topic")
    return topic


BRIEF: Mapping[Quick, Brief] = {
    quick_mbp: _BRIEF_MBP,
    quick_high_freq: _BRIEF_HIGH_FREQ,
    quick_step: _BRIEF_STEP,
}
"""Of each kind of message, the reading that leaves the levels as text."""


class Messages(Sequence[BookMessage]):
    """The messages of one book as columns, which are numpy arrays; ``previous`` is -1 where there is none.

    A message is made of them when it is asked for: of most of them, nobody does.
    """

    def __init__(self, *columns: Any) -> None:
        """Receive times, times, whether whole, numbers, those before, whether asked for, and how many rows each has."""
        received_at, at, whole, sequence, previous, asked, counts = columns
        self.received_at, self.at, self.whole = received_at, at, whole
        self.sequence, self.previous, self.asked = sequence, previous, asked
        self.last = np.cumsum(counts)
        self.first = self.last - counts

    def __len__(self) -> int:
        return len(self.at)

    @overload
    def __getitem__(self, place: int) -> BookMessage: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[BookMessage]: ...
    def __getitem__(self, place: int | slice) -> BookMessage | Sequence[BookMessage]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        previous = int(self.previous[place])
        return BookMessage(
            int(self.received_at[place]), int(self.at[place]), bool(self.whole[place]), int(self.sequence[place]),
            None if previous < 0 else previous, int(self.first[place]), int(self.last[place]), bool(self.asked[place]),
        )  # fmt: skip

    def breaks(self, unit: int) -> Any:
        """Where a message is not simply the next one, within the same unit of its time; the first one is such."""
        days = self.at // unit
        there = np.ones(len(self), dtype=bool)
        there[1:] = self.whole[1:] | (self.previous[1:] != self.sequence[:-1]) | (days[1:] != days[:-1])
        return np.flatnonzero(there)
