"""How files of the bucket are written: CSV of both trees, and the zip around it (htx-api 9.2, 9.3, 9.5).

The tree decides the columns: the old one has open, close, high, low and its volumes are `vol` quote or contracts and
`amount` base; the new one has open, high, low, close and inverted names of volumes. Numbers are the shortest text that
gives the same double.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from .archive_days import HEADERS_FROM
from .archive_names import FUNDING, INDEX, KLINES, LEGACY, MARK, TRADES, Series, day_of, day_text
from .instruments import FUTURES, INVERSE, LINEAR, SPOT, Instrument
from .noise import Floats, Ints, key_of, words
from .spelling import Columns, java_double, plain

_deflate: Any = zlib
with contextlib.suppress(ImportError):  # isal is a matter of speed only
    from isal import isal_zlib as _deflate

PERP_SIZES = ("contracts", "coins")
_INDEX_WORD_CHANGES = day_of("2026-05-01")  # early files head with `id`, later ones with `timestamp` (9.5)
_JITTER_MS = 2000  # stamps of fundings come about a second late (9.3)

_LEGACY_HEADERS = {
    **{(KLINES, venue): "id,open,close,high,low,vol,amount" for venue in (SPOT, LINEAR, INVERSE, FUTURES)},
    (TRADES, SPOT): "Trade ID,Trade Time,Trade Price,Volume (Base Currency),Side (buy/sell)",
    (TRADES, LINEAR): (
        "Trade ID,Trade Time,Trade Price,Volume (in Contracts),Volume (in Base Currency),Turnover,Side (buy/sell)"
    ),
    **{
        (TRADES, venue): (
            "Trade ID,Trade Time,Trade Price,Volume (in Contracts),Volume (in Base Currency),Side (buy/sell)"
        )
        for venue in (INVERSE, FUTURES)
    },
}
"""Prose over trades (9.5). The words over candles are not known: here they are the names of 9.2."""
_CURRENT_HEADERS = {
    KLINES: "instId,open,high,low,close,vol,volCcy,volCcyQuote,ts",
    TRADES: "instId,tradeId,px,side,size,ts",
    INDEX: "instId,open,high,low,close,ts",
    MARK: "instId,open,high,low,close,ts",
    FUNDING: "instId,fundingRate,fundingTime",
}


# ---------------------------------------------------------------------------------------------------------- numbers


def _whole(column: Any) -> list[bytes]:
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].split(b",") if len(column) else []


def plain_texts(column: Floats, decimals: int) -> list[bytes]:
    """Without exponents and without trailing zeros. The values are multiples of 10**-decimals."""
    tokens = _whole(column)
    if not tokens:
        return tokens
    tokens = (b",".join(tokens) + b",").replace(b".0,", b",").split(b",")[:-1]
    size = np.abs(column)
    for place in np.flatnonzero((size < 1e-4) & (size != 0)).tolist():
        tokens[place] = b"%.*f" % (decimals, column[place])
        tokens[place] = tokens[place].rstrip(b"0")
    for place in np.flatnonzero(size >= 1e15).tolist():
        tokens[place] = plain(float(column[place])).encode()
    return tokens


def _java(column: Floats, decimals: int) -> list[bytes]:
    """As Java prints doubles: `42106.0`, `1.5694329022947967E9`, `8.5E-4`."""
    tokens = _whole(column)
    size = np.abs(column)
    for place in np.flatnonzero((size < 1e-3) & (size != 0)).tolist():
        parts = b"%.*f" % (decimals, column[place])
        digits = parts[2:].lstrip(b"0")
        rest = digits[1:].rstrip(b"0") or b"0"
        tokens[place] = b"%b.%bE-%d" % (digits[:1], rest, len(parts) - 1 - len(digits))
    for place in np.flatnonzero(size >= 1e7).tolist():
        tokens[place] = java_double(float(column[place])).encode()
    return tokens


# -------------------------------------------------------------------------------------------------------------- csv


def csv_of(series: Series, day: int, rows: Columns, perp_size: str = "contracts") -> bytes:
    """The text of a file. `perp_size`: what `size` of the new tree's contract trades counts (unknown, 9.3 [C])."""
    legacy = series.tree == LEGACY
    fields = _legacy(series, rows) if legacy else _current(series, rows, perp_size)
    lines = [b",".join(row) for row in zip(*fields, strict=True)]
    if not legacy:
        lines.insert(0, _CURRENT_HEADERS[series.dataset].encode())
    elif day >= HEADERS_FROM:
        bare = "timestamp" if day >= _INDEX_WORD_CHANGES else "id"
        known = _LEGACY_HEADERS.get((series.dataset, series.one.venue), f"{bare},open,close,high,low")
        lines.insert(0, known.encode())
    lines.append(b"")
    return b"\n".join(lines)


def _prices(series: Series, rows: Columns, names: Sequence[str]) -> list[list[bytes]]:
    one = series.one
    # Old spot candles are printed as Java does (9.2), everything else is plain.
    java = series.tree == LEGACY and series.dataset == KLINES and one.venue == SPOT
    decimals = one.price_decimals + (series.dataset in (MARK, INDEX))
    return [(_java if java else plain_texts)(rows[name], decimals) for name in names]


def _sides(rows: Columns, upper: bool) -> list[bytes]:
    sides: list[str] = rows["side"].tolist()
    words_of = {"buy": b"BUY", "sell": b"SELL"} if upper else {"buy": b"buy", "sell": b"sell"}
    return [words_of[side] for side in sides]


def _legacy(series: Series, rows: Columns) -> list[list[bytes]]:
    one = series.one
    if series.dataset == TRADES:
        ends = [plain_texts(rows["quantity"], one.quantity_decimals)]
        if one.derivative:
            ends = [_whole(rows["contracts"]), *ends]
        if one.venue == LINEAR:
            ends.append(plain_texts(rows["quote_quantity"], one.quote_decimals))
        opening = [_whole(rows["trade_id"]), _whole(rows["trade_time"] // 1000)]
        return [*opening, *_prices(series, rows, ("price",)), *ends, _sides(rows, upper=False)]
    fields = [
        _whole(rows["open_time"] // 1_000_000), *_prices(series, rows, ("open", "close", "high", "low"))
    ]  # fmt: skip
    if series.dataset == KLINES and one.venue == SPOT:
        fields += [
            _java(rows["quote_volume"], one.quote_decimals), _java(rows["volume"], one.quantity_decimals)
        ]  # fmt: skip
    elif series.dataset == KLINES:
        fields += [_whole(rows["contracts"]), plain_texts(rows["volume"], one.quantity_decimals)]
    return fields


def _current(series: Series, rows: Columns, perp_size: str) -> list[list[bytes]]:
    one, dataset = series.one, series.dataset
    if dataset == FUNDING:
        rates = [text.encode() for text in rows["funding_rate_text"]]
        return [[series.name.encode()] * len(rates), rates, _whole(_late(one, rows["funding_time"]))]
    if dataset == TRADES:
        counted = one.derivative and (one.face > 0 or perp_size == "contracts")
        size = _whole(rows["contracts"]) if counted else plain_texts(rows["quantity"], one.quantity_decimals)
        fields = [
            _whole(rows["trade_id"]),
            *_prices(series, rows, ("price",)),
            _sides(rows, upper=True),
            size,
        ]
        return [[series.name.encode()] * len(size), *fields, _whole(rows["trade_time"] // 1000)]
    fields = _prices(series, rows, ("open", "high", "low", "close"))
    if dataset == KLINES:
        base = plain_texts(rows["volume"], one.quantity_decimals)
        # Coin-margined ones say 0 for a turnover.
        quote = [b"0"] * len(base) if one.face else plain_texts(rows["quote_volume"], one.quote_decimals)
        fields += [base, quote, quote] if one.venue == SPOT else [_whole(rows["contracts"]), base, quote]
    return [[series.name.encode()] * len(fields[0]), *fields, _whole(rows["open_time"] // 1_000_000)]


def _late(one: Instrument, times: Ints) -> Ints:
    """Settlements (us UTC) as the archive stamps them: ms, up to two seconds late."""
    late = words(key_of("late funding", one.symbol), times) % np.uint64(_JITTER_MS)
    stamps: Ints = times // 1000 + late.astype(np.int64)
    return stamps


# -------------------------------------------------------------------------------------------------------------- zip


def squeezed(text: bytes, hard: bool = False) -> bytes:
    """Raw deflate. `hard` takes longer and gives less."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15) if hard else _deflate.compressobj(2, 8, -15)
    packed: bytes = machine.compress(text) + machine.flush()
    return packed


def overhead(name: str) -> int:
    """The bytes of a zip beside its squeezed content, without padding."""
    return 30 + 46 + 22 + 16 + 2 * len(name.encode())


def zipped(name: str, day: int, text: bytes, packed: bytes, size: int, streamed: bool) -> bytes:
    """A zip of one CSV that is exactly `size` bytes long: an extra field in the local header fills it up (a field is
    four bytes at least; where fewer are missing, a comment at the end does).

    `streamed`: written as Java's ZipOutputStream does, the sizes behind the content (APPNOTE 4.3.9) and not before it.
    Which of the two HTX does is not known; both are legal, and a reader must take both. ValueError if it cannot fit.
    """
    raw = name.encode()
    spare = size - overhead(name) - len(packed) + (0 if streamed else 16)
    if not 0 <= spare <= 0xFFFF:
        raise ValueError(f"{name}: {len(packed)} bytes of content do not fit a zip of {size}")
    flags = (0x0008 if streamed else 0) | (0 if name.isascii() else 0x0800)
    year, month, dom = map(int, day_text(day).split("-"))
    stamp = 0, (year - 1980) << 9 | month << 5 | dom
    facts = zlib.crc32(text), len(packed), len(text)
    extra = struct.pack("<HH", _PADDING, spare - 4) + bytes(spare - 4) if spare >= 4 else b""
    comment = b"" if extra else bytes(spare)
    before = (0, 0, 0) if streamed else facts
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, flags, 8, *stamp, *before, len(raw), len(extra))
    behind = struct.pack("<IIII", 0x08074B50, *facts) if streamed else b""
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, flags, 8, *stamp, *facts, len(raw), 0, 0, 0, 0, 0, 0
    )
    body = local + raw + extra + packed + behind
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central) + len(raw), len(body), len(comment))
    return body + central + raw + end + comment


_PADDING = 0xD935  # the id of the padding that Android's zipalign writes; readers skip what they do not know
