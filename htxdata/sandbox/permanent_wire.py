"""Protobuf as permanent's public socket sends it, written byte by byte (permanent-v1 6.4): tags, varints, texts.

The numbers of the fields are here once more, on purpose: this is the counterpart of a client that has them from a
schema, and shares nothing with it. Fields of zero, false and empty text are left out, as proto3 does.
"""

from __future__ import annotations

from typing import Any

SUB, REQ, UNSUB, PUSH, PING, PONG = range(6)
_URL = "type.googleapis.com/com.huobi.gateway."


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; below zero as 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: Any) -> bytes:
    """One field: whole numbers and truth values as varints, texts and messages (bytes) with their length, lists of
    messages one after the other."""
    if isinstance(value, list):
        return b"".join(_long(number, entry) for entry in value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    text = value.encode() if isinstance(value, str) else value
    return _long(number, text) if text else b""


def _long(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(*fields: tuple[int, Any]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def result(
    action: int, ch: str = "", *, code: int = 0, sequence: int = 0, said: str = "", kind: str = "", data: bytes = b""
) -> bytes:
    """A `Result`; `data` is the message of that `kind` in an Any."""
    payload = message((1, _URL + kind), (2, data)) if kind else b""
    return message((1, code), (2, sequence), (3, action), (4, ch), (5, said), (15, payload))


def ping(ms: int) -> bytes:
    return result(PING, kind="Ping", data=message((1, ms)))


Bar = tuple[int, str, str, str, str, str, str, int]
"""Opening (seconds), open, close, low, high, turnover, volume, trades."""


def tick(bar: Bar) -> bytes:
    return message(*enumerate(bar, start=2))


def candlestick(bar: Bar, symbol: str) -> bytes:
    return tick(bar) + field(10, symbol)


def candlesticks(bars: list[Bar], symbol: str) -> bytes:
    return message((1, symbol), (2, [tick(bar) for bar in bars]))


def depth(ms: int, bids: list[tuple[str, str]], asks: list[tuple[str, str]], delta: bool, symbol: str) -> bytes:
    sides = ([message((1, price), (2, size)) for price, size in side] for side in (bids, asks))
    return message((1, ms), *zip((2, 3), sides, strict=True), (4, delta), (5, symbol))


def trade(number: int, ms: int, price: str, volume: str, side: str) -> bytes:
    """Without its symbol, as in a list of them."""
    return message((1, number), (2, ms), (3, price), (4, volume), (5, int(side == "sell")))


def summary(symbol: str, prices: tuple[str, str, str, str], turnover: str, volume: str, count: int, state: str,
            contracts: int) -> bytes:  # fmt: skip
    """`prices` are open, close, low, high."""
    texts = enumerate((*prices, turnover, volume), start=4)
    return message((1, symbol), *texts, (10, count), (11, state), (12, contracts))


def indicative(symbol: str, ms: int, rate: str, settles: int) -> bytes:
    return message((1, symbol), (2, ms), (3, rate), (4, settles))


def index(symbol: str, ms: int, price: str, time: int, legs: list[tuple[str, str, str]]) -> bytes:
    """`legs`: constituent, weight, price."""
    return message((1, symbol), (2, ms), (3, price), (4, time), (5, [message(*enumerate(leg, 1)) for leg in legs]))
