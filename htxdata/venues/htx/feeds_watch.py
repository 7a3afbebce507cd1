"""What shows a break in a book while it is captured: the numbers of a message, and nothing else of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from htxdata.venues.htx.feeds_frames import UNDECODABLE
from htxdata.venues.terms import Seen


class _Number(msgspec.Struct, gc=False):
    seqNum: int
    prevSeqNum: int | None = None


class _Numbered(msgspec.Struct):
    ch: str | None = None
    tick: _Number | None = None
    rep: str | None = None
    data: _Number | None = None


class _Version(msgspec.Struct, gc=False):
    version: int
    event: Literal["snapshot", "update"]


class _Versioned(msgspec.Struct):
    ch: str
    tick: _Version


_numbered = msgspec.json.Decoder(_Numbered).decode
_versioned = msgspec.json.Decoder(_Versioned).decode


def watch_mbp(body: bytes) -> Seen | None:
    try:
        said = _numbered(body)
    except UNDECODABLE:
        return None
    if said.ch is not None and said.tick is not None:
        return Seen(said.ch, False, said.tick.seqNum, said.tick.prevSeqNum)
    if said.rep is not None and said.data is not None:
        return Seen(said.rep, True, said.data.seqNum, None, asked=True)
    return None


def watch_high_freq(body: bytes) -> Seen | None:
    try:
        said = _versioned(body)
    except UNDECODABLE:
        return None
    if said.tick.event == "snapshot":
        return Seen(said.ch, True, said.tick.version, None)
    return Seen(said.ch, False, said.tick.version, said.tick.version - 1)
