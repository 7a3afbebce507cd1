"""How HTX spells things on the wire: numbers, candle rows, gzip.

Spot prints doubles as Java does (`0.0`, `1.0E9`, `5.313E-5`), derivatives print plain decimals without trailing zeros
(htx-api 1.5 and the kline samples). Written for this server alone; the client side has its own idea of all this.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from .noise import Floats, Ints

_deflate: Any = zlib
with contextlib.suppress(ImportError):  # isal is a matter of speed only
    from isal import isal_zlib as _deflate

Columns = dict[str, Any]

_PRICES = ("open", "high", "low", "close")


def java_double(value: float) -> str:
    """A double as Java's Double.toString writes it."""
    if value != value:
        return "NaN"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, mark, exponent_text = repr(value).partition("e")
    if mark:
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent_text)}"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits))
    power = len(text) - 1 + int(exponent)
    return f"{'-' if sign else ''}{text[0]}.{text[1:].rstrip('0') or '0'}E{power}"


def plain(value: float) -> str:
    """A double without exponent and without trailing zeros, as many of HTX's derivative numbers are written."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def padded(value: Decimal | float, places: int) -> orjson.Fragment:
    """A JSON number with so many decimals, zeros among them: `2124.0000000000000000`."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return orjson.Fragment(f"{exact:.{places}f}")


def _java_tokens(column: Floats) -> list[bytes]:
    tokens = _tokens(column)
    size = np.abs(column)
    for index in np.flatnonzero(((size < 1e-3) & (size != 0)) | (size >= 1e7)).tolist():
        tokens[index] = java_double(float(column[index])).encode()
    return tokens


def _plain_tokens(column: Floats) -> list[bytes]:
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1] + b","
    tokens = text.replace(b".0,", b",").split(b",")[:-1]
    size = np.abs(column)
    for index in np.flatnonzero(((size < 1e-3) & (size != 0)) | (size >= 1e15)).tolist():
        tokens[index] = plain(float(column[index])).encode()
    return tokens


def _tokens(column: Any) -> list[bytes]:
    text = orjson.dumps(np.ascontiguousarray(column), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].split(b",") if len(column) else []


def _rows(fields: list[tuple[str, list[bytes]]]) -> bytes:
    """Columns of tokens to `{...},{...}`."""
    count = len(fields[0][1])
    return _interleaved(fields, [b"},{"] * count)[2:] + b"}" if count else b""


def _interleaved(fields: list[tuple[str, list[bytes]]], heads: list[bytes]) -> bytes:
    """Each row behind its head, by interleaving the columns: much faster than formatting row by row."""
    width = 2 * len(fields)
    parts: list[bytes] = [b""] * (width * len(heads))
    for number, (name, column) in enumerate(fields):
        mark = b'"' + name.encode() + b'":'
        parts[2 * number :: width] = [b"," + mark] * len(heads) if number else [head + mark for head in heads]
        parts[2 * number + 1 :: width] = column
    return b"".join(parts)


def _grouped(
    fields: list[tuple[str, list[bytes]]], order: Ints, opening: list[bytes], closing: list[bytes]
) -> bytes:
    """Rows within groups: neighbours of the same `order` stand together between the opening and the closing of it."""
    count = len(order)
    if not count:
        return b""
    first = np.concatenate([[True], order[1:] != order[:-1]]).tolist()
    heads = [
        b"}" + closing[place - 1] + b"," + opening[place] + b"{" if begins else b"},{"
        for place, begins in enumerate(first)
    ]
    heads[0] = opening[0] + b"{"
    return _interleaved(fields, heads) + b"}" + closing[-1]


def spot_kline_rows(rows: Columns) -> bytes:
    """Candles in the field order of sample spot-kline. `vol` is the quote turnover, `amount` the base volume."""
    return _rows(
        [
            ("id", _tokens(rows["open_time"] // 1_000_000)),
            *((name, _java_tokens(rows[name])) for name in ("open", "close", "low", "high")),
            ("amount", _java_tokens(rows["volume"])),
            ("vol", _java_tokens(rows["quote_volume"])),
            ("count", _tokens(rows["trade_count"])),
        ]
    )


def linear_kline_rows(rows: Columns, zero: str) -> bytes:
    """Candles in the field order of sample linear-kline. `vol` is contracts, `amount` coins, both sides counted.
    Coin-margined ones have no turnover (sample coinswap-kline)."""
    amount = _plain_tokens(rows["volume"])
    turnover = None if rows["quote_volume"] is None else _plain_tokens(rows["quote_volume"])
    if zero != "0":
        for index in np.flatnonzero(rows["trade_count"] == 0).tolist():
            amount[index] = zero.encode()
            if turnover is not None:
                turnover[index] = zero.encode()
    return _rows(
        [
            ("amount", amount),
            ("close", _plain_tokens(rows["close"])),
            ("count", _tokens(rows["trade_count"])),
            ("high", _plain_tokens(rows["high"])),
            ("id", _tokens(rows["open_time"] // 1_000_000)),
            ("low", _plain_tokens(rows["low"])),
            ("open", _plain_tokens(rows["open"])),
            *(() if turnover is None else (("trade_turnover", turnover),)),
            ("vol", _tokens(rows["contracts"])),
        ]
    )


def index_kline_rows(rows: Columns) -> bytes:
    """Candles in the field order of sample linear-mark-kline: all values are strings, nothing is traded."""
    return _rows(_index_fields(rows, b'"%b"', ("trade_turnover",)))


def index_number_rows(rows: Columns) -> bytes:
    """Candles in the field order of sample coinfut-index-kline: numbers, and no turnover."""
    return _rows(_index_fields(rows, b"%b", ()))


def _index_fields(rows: Columns, as_: bytes, more: tuple[str, ...]) -> list[tuple[str, list[bytes]]]:
    """In the order of their names, as HTX writes them."""
    nothing = [as_ % b"0"] * len(rows["open_time"])
    prices = {name: [as_ % token for token in _plain_tokens(rows[name])] for name in _PRICES}
    times = {"id": _tokens(rows["open_time"] // 1_000_000)}
    return sorted((prices | times | dict.fromkeys(("amount", "count", "vol", *more), nothing)).items())


def spot_trade_groups(rows: Columns, groups: list[int], inner: list[int]) -> bytes:
    """Trades as in sample spot-history-trade; neighbours of one order are one group. `groups` and `inner` are the ids
    of each trade's group and its own long one."""
    times = _tokens(rows["trade_time"] // 1000)
    return _grouped(
        [
            ("id", [b"%d" % number for number in inner]),
            ("ts", times),
            ("trade-id", _tokens(rows["trade_id"])),
            ("amount", _java_tokens(rows["quantity"])),
            ("price", _java_tokens(rows["price"])),
            ("direction", [b'"%b"' % side.encode() for side in rows["side"].tolist()]),
        ],
        rows["order"],
        [b'{"id":%d,"ts":%b,"data":[' % pair for pair in zip(groups, times, strict=True)],
        [b"]}"] * len(times),
    )


def linear_trade_groups(rows: Columns) -> bytes:
    """Trades as in sample linear-history-trade; `amount` is contracts, all volumes count both sides."""
    times = _tokens(rows["trade_time"] // 1000)
    return _grouped(
        [
            ("amount", _tokens(rows["contracts"])),
            ("direction", [b'"%b"' % side.encode() for side in rows["side"].tolist()]),
            ("id", _tokens(rows["trade_id"])),
            ("price", _plain_tokens(rows["price"])),
            ("ts", times),
            ("quantity", _plain_tokens(rows["quantity"])),
            *(
                ()
                if rows["quote_quantity"] is None
                else (("trade_turnover", _plain_tokens(rows["quote_quantity"])),)
            ),
        ],
        rows["order"],
        [b'{"data":['] * len(times),
        [b'],"id":%b,"ts":%b}' % pair for pair in zip(_tokens(rows["order"]), times, strict=True)],
    )


@dataclass(frozen=True)
class Piece:
    """A part of a body, and its deflate blocks: whole bytes that can stand in the middle of any gzip stream."""

    text: bytes
    squeezed: bytes


def piece(text: bytes) -> Piece:
    """Squeeze a part of a body so that it can be used again in bodies that differ around it."""
    machine = _deflate.compressobj(1, _deflate.DEFLATED, -15)
    return Piece(text, machine.compress(text) + machine.flush(_deflate.Z_FULL_FLUSH))


def _stored(text: bytes, final: bool) -> bytes:
    """One stored deflate block (RFC 1951, 3.2.4)."""
    return struct.pack("<BHH", final, len(text), len(text) ^ 0xFFFF) + text


def gzipped(before: bytes, middle: Piece | None, after: bytes) -> bytes:
    """One gzip stream of before + middle + after. The ends are stored, the middle is as squeezed already."""
    if middle is None:
        body = before + after
        squeezed = piece(body).squeezed
        return _HEAD + squeezed + _stored(b"", True) + struct.pack("<II", zlib.crc32(body), len(body))
    check = zlib.crc32(after, zlib.crc32(middle.text, zlib.crc32(before)))
    length = len(before) + len(middle.text) + len(after)
    return b"".join(
        (
            _HEAD,
            _stored(before, False),
            middle.squeezed,
            _stored(after, True),
            struct.pack("<II", check, length),
        )
    )


_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"
