"""From HashKey's frames to columns (hashkey-api 5, 5.1). Every frame is read with care: they are few, and small.

The shapes of V1 (a list of ``data``) and V2 (one object) are read alike, whichever socket a feed is heard on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.venues import figures
from htxdata.venues.frames import UNDECODABLE, Key, Message, Read, Sheets, SymbolOf, read_with_care
from htxdata.venues.hashkey import constituents
from htxdata.venues.hashkey import parse as rest
from htxdata.venues.hashkey.dialects import topic_of
from htxdata.venues.hashkey.symbols import is_perpetual
from htxdata.venues.terms import NO_FACTS, BookMessage, Facts, Frame, Pushed

Parse = Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def opened(body: bytes) -> Message | None:
    """The message with every digit, or None where it is talk: pongs, acks, errors."""
    try:
        message = _decode(body)
    except (*UNDECODABLE, DecimalException) as error:
        raise BadReply(f"no JSON: {error}") from error
    if not isinstance(message, dict):
        raise BadReply(f"a {type(message).__name__}, not an object")
    if "pong" in message or "ping" in message or "event" in message or ("code" in message and "data" not in message):
        return None
    return message


def _key(sheets: Sheets, message: Message) -> Key:
    params = message.get("params")
    more = params if isinstance(params, dict) else {}
    name, symbol = message.get("topic"), message.get("symbol", more.get("symbol"))
    if name == "kline":
        name = f"kline_{more.get('klineType')}"
    return sheets.key(topic_of(str(name), str(symbol)))


def _entries(message: Message) -> list[Message]:
    said = message.get("data")
    entries: list[Any] = said if isinstance(said, list) else [said]
    if not all(isinstance(entry, dict) for entry in entries):
        raise BadReply(f"'data' is {said!r:.60}, neither an object nor a list of them")
    return entries


def _size(facts: Mapping[str, Facts], symbol: str) -> float | None:
    return rest.size_for(symbol, facts.get(symbol, NO_FACTS), is_perpetual(symbol))


def _told(entry: Message, name: str, symbol: str) -> None:
    """What an entry says of itself must be what its message is of."""
    said = entry.get(name)
    if said is not None and said != symbol:
        raise BadReply(f"a row of {said!r:.60} in a message of {symbol!r:.60}")


def _parser(names: Sequence[str], symbol_of: SymbolOf, read: Read) -> Parse:
    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets((*names, "received_at"), symbol_of)
        for at, frame in enumerate(frames):
            read_with_care(sheets, at, frame, facts, read, opened)
        return sheets.finish()

    return parse


def trade_parser(symbol_of: SymbolOf) -> Parse:
    """``trade_id`` is HashKey's own number here: `Feed.unnumbered` says what becomes of it."""

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = _key(sheets, message)
        size, rows = _size(facts, key[0]), []
        for at, entry in enumerate(_entries(message)):
            row, unfit = rest.trade(entry, at, size, "m")
            number = figures.integer(entry, "v", at)
            if number < 0:
                raise BadReply(f"row {at}: 'v' is {number}: not the number of a trade")
            rows.append(({**row, "trade_id": str(number), "received_at": received_at}, unfit))
        sheets.add(key, rows)

    return _parser(rest.TRADE_COLUMNS, symbol_of, read)


_CANDLE = {"t": "open_time", "o": "open", "h": "high", "l": "low", "c": "close", "v": "v", "qv": "qv", "td": "count",
           "tb": "tb", "tq": "tq"}  # fmt: skip


def candle_parser(symbol_of: SymbolOf) -> Parse:
    """A candle is pushed again whenever it changed: every push is a row. Turnover, count and what takers bought are
    there since 2026 [wire]."""

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = _key(sheets, message)
        size, rows = _size(facts, key[0]), []
        for at, entry in enumerate(_entries(message)):
            _told(entry, "s", key[0])
            named = {ours: entry[theirs] for theirs, ours in _CANDLE.items() if theirs in entry}
            row, unfit = rest.candle(named, at, size, key[1] or "")
            rows.append(({**row, "received_at": received_at}, unfit))
        sheets.add(key, rows)

    return _parser(rest.CANDLE_COLUMNS, symbol_of, read)


def _version(entry: Message) -> int | None:
    """``14088520_1``: the number of the book and a scale [wire]. None where there is none, as in the bests of [doc]."""
    said = entry.get("v")
    if said is None:
        return None
    number, _, scale = str(said).partition("_")
    if not (number.isascii() and number.isdigit() and len(number) < 19 and (scale.isdigit() or not scale)):
        raise BadReply(f"'v' is {said!r:.60}, not the version of a book")
    return int(number)


_QUOTE = ("quote_time", "bid", "bid_size", "ask", "ask_size", "sequence")


def quote_parser(symbol_of: SymbolOf) -> Parse:
    """The best bid and ask of V2's ``bbo``."""

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = _key(sheets, message)
        size, rows = _size(facts, key[0]), []
        for at, entry in enumerate(_entries(message)):
            _told(entry, "s", key[0])
            (bid, b), (ask, a) = rest.price(entry, "b", at), rest.price(entry, "a", at)
            bids, _, more = rest.sized(entry, "bz", at, size)
            asks, _, most = rest.sized(entry, "az", at, size)
            values = (figures.instant(entry, "t", at), bid, bids, ask, asks, _version(entry), received_at)
            row = dict(zip((*_QUOTE, "received_at"), values, strict=True))
            rows.append((row, (not b) + (not a) + more + most))
        sheets.add(key, rows)

    return _parser(_QUOTE, symbol_of, read)


_LEVEL = ("book_time", "kind", "side", "price", "size", "contracts", "sequence", "previous_sequence")


def book_parser(symbol_of: SymbolOf) -> Parse:
    """Whole books: every message is one, numbered by its version."""

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets((*_LEVEL, "received_at"), symbol_of)
        messages: dict[Key, list[BookMessage]] = {}

        def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
            key = _key(sheets, message)
            size = _size(facts, key[0])
            for entry in _entries(message):
                _told(entry, "s", key[0])
                if entry.get("o") not in (None, 0):
                    raise BadReply(f"'o' is {entry['o']!r:.60}: these are changes, and not a whole book")
                at, number = figures.instant(entry, "t", 0), _version(entry)
                if number is None:
                    raise BadReply("a book without a version")
                rows = []
                for side, name in (("bid", "b"), ("ask", "a")):
                    for row, lost in _levels(entry, name, size):
                        made = {"book_time": at, "kind": "snapshot", "side": side, "sequence": number,
                                "previous_sequence": None, "received_at": received_at}  # fmt: skip
                        rows.append(({**made, **row}, lost))
                first = len(sheets.columns(key)["price"])
                sheets.add(key, rows)
                told = BookMessage(received_at, at, True, number, None, first, first + len(rows))
                messages.setdefault(key, []).append(told)

        for place, frame in enumerate(frames):
            read_with_care(sheets, place, frame, facts, read, opened)
        pushed = sheets.finish()
        for key, columns in pushed.columns.items():
            columns["previous_sequence"] = [-1] * len(columns["sequence"])  # NULL
            if not is_perpetual(key[0]):
                del columns["contracts"]
        pushed.messages.update(messages)
        return pushed

    return parse


def _levels(entry: Message, name: str, size: float | None) -> list[tuple[dict[str, Any], int]]:
    said = entry.get(name)
    if not isinstance(said, list) or not all(isinstance(level, list) and len(level) == 2 for level in said):
        raise BadReply(f"{name!r} is {said!r:.60}, not prices and sizes")
    out = []
    for at, level in enumerate(said):
        row = {"price": level[0], "size": level[1]}
        cost, fits = rest.price(row, "price", at)
        base, contracts, lost = rest.sized(row, "size", at, size)
        out.append(({"price": cost, "size": base, "contracts": contracts}, (not fits) + lost))
    return out


_INDEX = ("index_time", "index_price", "exchange", "constituent", "price", "weight")


def index_parser(symbol_of: SymbolOf) -> Parse:
    """The basket behind an index, of V1's undocumented ``index``: its formula names all of it."""

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        key = _key(sheets, message)
        rows: list[tuple[Mapping[str, Any], int]] = []
        for at, entry in enumerate(_entries(message)):
            name = str(message.get("symbol"))
            _told(entry, "symbol", name)
            price, fits = rest.price(entry, "index", at)
            when = figures.instant(entry, "time", at)
            legs, lost = constituents.read(entry.get("formula"), name)
            same = {"index_time": when, "index_price": price, "received_at": received_at}
            rows += [({**same, **leg}, (not fits) + lost if not place else 0) for place, leg in enumerate(legs)]
        sheets.add(key, rows)

    return _parser(_INDEX, symbol_of, read)

