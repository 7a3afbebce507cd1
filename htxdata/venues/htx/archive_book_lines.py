"""The lines of the archive's order books to rows of ``book_changes``, in pieces of bounded size. Pure.

One line is one message, ``{"instId", "action": "snapshot"|"update", "ts", "asks", "bids"}`` (htx-api 9.3, 9.5 [B]).
What the reference leaves open is taken in all spellings that cannot be confused with each other:

- numbers may be texts; ``ts`` may be milliseconds or microseconds, which are a thousand apart, but one of them
  throughout a file [C: the published readers of these files tell by the magnitude, one has microseconds in its test];
- a level is price and size, or price, size and a whole number [C: said to be as in OKX's files, there the number of
  orders], the same throughout a file; the third is not stored;
- sizes of contracts are contracts, as in the exchange's other books (htx-api 4.6): a fraction is refused.

A file numbers nothing, so ``sequence`` is the number of the line, from 0 on; ``previous_sequence`` stays NULL. Within a
message rows ascend by side and price, as they are stored. msgspec proves that a line is JSON and finds its parts;
levels are then read together, as bytes: no Python object is made for any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx import archive_table
from htxdata.venues.htx.archive_pieces import Pieces
from htxdata.venues.htx.archive_rows import FIRST_MS, LAST_MS, Reader
from htxdata.venues.htx.archive_text import words
from htxdata.venues.terms import Blocks, Facts, Parsed

PIECE = 4 << 20
"""Bytes of a piece: about 160,000 levels. A snapshot of 400 levels on both sides is a line of 20,000."""

Sizes = Callable[[Any, Any, Facts], dict[str, Any]]
"""From prices and the sizes of the file: ``size`` and, on contracts, ``contracts``."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    instId: str
    action: str
    ts: int | str
    asks: msgspec.Raw
    bids: msgspec.Raw


_LINE: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)
_ACTIONS = {"snapshot": 0, "update": 1}
_KINDS = words("snapshot", "delta")
_SIDES = words("ask", "bid")  # in the order in which they are stored
_WHOLE = re.compile(r"[0-9]{1,18}")
_ROW = re.compile(r"row (\d+): (.*)", re.DOTALL)


@dataclass
class _File:
    """What the lines so far have shown."""

    unit: int = 0  # microseconds that one of `ts` is; 0 before the first line
    width: int = 0  # numbers of a level; 0 before the first one
    last: int = 0  # the time of the last line, in that unit
    told: bool = False  # whether any level was


def changes(names: Callable[[Series], tuple[str, ...]], sizes: Sizes, each: int = PIECE) -> Reader:
    """The reader of books. ``names`` are what lines may call the series, ``each`` the bytes that become one piece."""

    def read(blocks: Blocks, series: Series, facts: Facts) -> Iterator[Parsed]:
        own, pieces, file, line = names(series), Pieces(blocks, each), _File(), 0
        while piece := pieces.take():
            lines = _lines(piece, line)
            if lines:
                yield from _changes(lines, own, sizes, facts, file, line)
            line += len(lines)

    return read


def _lines(piece: memoryview, at: int) -> list[_Line]:
    """The lines of a piece, blank ones left out. What they refer to is gone with the piece."""
    try:
        lines = _LINE.decode_lines(piece)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _no_line(bytes(piece), at) from None
    if len(lines) != bytes(piece).count(b"\n") + (piece[-1] != ord("\n")):
        _one_a_line(bytes(piece), at)
    return lines


def _one_a_line(piece: bytes, at: int) -> None:
    """msgspec does not ask for line ends, a file of lines has them."""
    for text in filter(None, map(bytes.strip, piece.split(b"\n"))):
        try:
            _LINE.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadReply(f"line {at}: {error}: {text[:60]!r}") from error
        at += 1


def _no_line(piece: bytes, at: int) -> BadReply:
    try:
        _one_a_line(piece, at)
    except BadReply as error:
        return error
    return BadReply(f"the lines from {at} on are no messages of an order book")


def _changes(
    lines: list[_Line], own: tuple[str, ...], sizes: Sizes, facts: Facts, file: _File, first: int
) -> Iterator[Parsed]:
    kinds = np.empty(len(lines), np.int8)
    for at, line in enumerate(lines):
        if line.instId not in own:
            raise BadReply(f"line {first + at} is of {line.instId!r:.60}, asked for {own[0]!r}")
        kind = _ACTIONS.get(line.action)
        if kind is None:
            raise BadReply(
                f"line {first + at}: the action is {line.action!r:.60}, neither snapshot nor update"
            )
        kinds[at] = kind
    times = _times_of(lines, file, first)
    text, counts = _levels([side for line in lines for side in (line.asks, line.bids)], file, first)
    _no_empty_book(kinds, counts, file, first)
    total = int(counts.sum())
    if not total:
        return
    table = _table(text, counts, file.width, first)
    group = np.repeat(np.arange(len(counts)), counts)  # two for every line: its asks, its bids
    order = _ascending(table.values[:, 0], counts, group, first)
    values = table.values[order]
    price, size = np.ascontiguousarray(values[:, 0]), np.ascontiguousarray(values[:, 1])
    line_of = group >> 1
    _check(price > 0, price, "the price", line_of, first)
    _check(size >= 0, size, "the size", line_of, first)
    if file.width == 3:
        orders = values[:, 2]
        _check((orders >= 0) & (orders == np.floor(orders)), orders, "the number of orders", line_of, first)
    amounts = sizes(price, size, facts)
    if "contracts" in amounts:
        _check(size == np.floor(size), size, "the number of contracts", line_of, first)
    instants = times[line_of] * file.unit
    unfit = table.unfit([0, 1])
    yield Parsed(
        {
            "book_time": pa.array(instants),
            "kind": _worded(kinds[line_of], _KINDS),
            "side": _worded(group & 1, _SIDES),
            "price": pa.array(price),
            **{name: pa.array(amount) for name, amount in amounts.items()},
            "sequence": pa.array(line_of + first),
        },
        Page(total, int(instants[0]), int(instants[-1])),
        None if unfit is None else unfit[order],
    )


def _worded(codes: Any, words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)


def _times_of(lines: list[_Line], file: _File, first: int) -> Any:
    """When the lines were, as the file counts it; they never go back."""
    stamps = [line.ts for line in lines]
    for at, stamp in enumerate(stamps):
        if not isinstance(stamp, int):
            if not (stamp.isascii() and _WHOLE.fullmatch(stamp)):
                raise BadReply(f"line {first + at}: the time is {stamp!r:.60}, not a whole number")
            stamps[at] = int(stamp)
    if not file.unit:
        micro = int(stamps[0]) >= FIRST_MS * MILLISECOND
        file.unit = 1 if micro else MILLISECOND
    scale = MILLISECOND // file.unit
    for at, stamp in enumerate(stamps):
        if not FIRST_MS * scale <= int(stamp) < LAST_MS * scale:
            unit = "microseconds" if file.unit == 1 else "milliseconds"
            raise BadReply(f"line {first + at}: the time is {stamp}: not {unit} of our time")
    times = np.array(stamps, dtype=np.int64)
    steps = np.diff(times, prepend=file.last)
    if (steps < 0).any():
        at = int(np.argmax(steps < 0))
        raise BadReply(f"line {first + at}: the time {times[at]} is before that of the line before")
    file.last = int(times[-1])
    return times


# Everything that a number or a blank may consist of, and the quotes around it.
_INNER = b'0123456789.+-eE" \t'
_BLANKS = re.compile(rb"[ \t]*([\[\],\n])[ \t]*")


def _levels(sides: list[msgspec.Raw], file: _File, first: int) -> tuple[bytes, Any]:
    """The levels of all sides as lines of numbers, and how many each side has."""
    joined = b"\n".join(sides) + b"\n"
    bones = joined.translate(None, _INNER)
    if not file.width and (shape := bones.find(b"[,")) >= 0:
        file.width = 3 if bones[shape : shape + 3] == b"[,," else 2
    width = file.width or 2
    level = b"[" + b"," * (width - 1) + b"]"
    marked = bones.replace(level, b"x")
    if marked.replace(b",x", b"").replace(b"[x]\n", b"").replace(b"[]\n", b""):
        for at, side in enumerate(sides):
            bare = bytes(side).translate(None, _INNER).replace(level, b"x").replace(b",x", b"")
            if bare not in (b"[x]", b"[]"):
                said = bytes(side)[:60]
                raise BadReply(f"line {first + at // 2}: {said!r} is no list of levels of {width} numbers")
    signs = np.frombuffer(marked, np.uint8)
    counts = np.diff(np.cumsum(signs == ord("x"))[signs == ord("\n")], prepend=0)
    if b" " in joined or b"\t" in joined:
        joined = _BLANKS.sub(rb"\1", joined)
    text = joined.translate(None, b'["').replace(b"]]\n", b"\n").replace(b"],", b"\n").replace(b"]\n", b"")
    return text[:-1], counts


def _no_empty_book(kinds: Any, counts: Any, file: _File, first: int) -> None:
    """A snapshot of nothing has no row, and so cannot be told; before the first level was, it says nothing either."""
    levels = counts.reshape(-1, 2).sum(axis=1)
    told = file.told | (np.cumsum(levels) > 0)
    empty = (kinds == _ACTIONS["snapshot"]) & (levels == 0) & told
    if empty.any():
        raise BadReply(f"line {first + int(np.argmax(empty))}: a snapshot of an empty book")
    file.told = bool(told[-1])


def _table(text: bytes, counts: Any, width: int, first: int) -> archive_table.Table:
    try:
        return archive_table.table(text, width)
    except BadReply as error:
        said = _ROW.match(str(error))
        if said is None:
            raise
        line = int(np.searchsorted(np.cumsum(counts), int(said[1]), side="right")) // 2
        raise BadReply(f"line {first + line}: {said[2]}") from error


def _ascending(price: Any, counts: Any, group: Any, first: int) -> Any:
    """The order in which each side of each message ascends by price. Bids mostly stand the other way round."""
    ends = np.cumsum(counts)
    here = np.arange(len(group))
    order = np.where(group & 1, (2 * ends - counts)[group] - 1 - here, here)
    apart = group[1:] != group[:-1]
    if not ((price[order][1:] > price[order][:-1]) | apart).all():
        order = np.lexsort((price, group))
        twice = (price[order][1:] == price[order][:-1]) & ~apart
        if twice.any():
            at = int(np.argmax(twice))
            raise BadReply(
                f"line {first + (int(group[at]) >> 1)}: the price {price[order[at]]} is there twice"
            )
    return order


def _check(good: Any, values: Any, what: str, line_of: Any, first: int) -> None:
    if not good.all():
        at = int(np.argmin(good))
        raise BadReply(f"line {first + int(line_of[at])}: {what} is {values[at]}")
