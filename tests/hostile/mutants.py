"""Valid payloads, spoilt. A number is a spoiling: the same number spoils the same payload alike, everywhere."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_TEXT = re.compile(rb'"[^"\n]{0,200}"')

WORDS: tuple[bytes, ...] = (
    b"NaN", b"nan", b"Infinity", b"-Infinity", b"inf", b"1e999", b"-1e999", b"1e-999", b"9" * 10_000,
    b"0." + b"1" * 10_000, b"-1", b"0", b"-0", b"", b"null", b"true", b"false", b"[]", b"{}", b'""', b'"x"', b"1_000",
    b"0x10", b"+1", b"01", b" 1", b"253402300800000", b"2208988800000000000", b"-62135596800000", b"99999999999999",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1" * 400,
    b"4102444800", b"1e3", b"1.5", b"\xc3\xa9", b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b'"\\ud800"', b'"\\u0000"',
    b"\\", b"\r\n", b"1,2", b"a\nb", b'"', "币安人生usdt".encode(), b"../../etc/passwd", b"%2e%2e", b"a=b",
    b"'; DROP TABLE klines; --", b"x" * 5_000, "٣".encode(), "１２".encode(), b"2024-02-30",
    b"2024-01-01T00:00:00+25:00",
)  # fmt: skip


def _flip(raw: bytearray, dice: random.Random) -> None:
    if raw:
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(8)


def _cut(raw: bytearray, dice: random.Random) -> None:
    del raw[dice.randrange(len(raw) + 1) :]


def _drop(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw) + 1)
    del raw[at : at + dice.randint(1, 40)]


def _again(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw) + 1)
    raw[at:at] = raw[at : at + dice.randint(1, 400)]


def _token(pattern: re.Pattern[bytes]) -> Callable[[bytearray, random.Random], None]:
    def spoil(raw: bytearray, dice: random.Random) -> None:
        found = list(pattern.finditer(bytes(raw[:20_000])))
        if found:
            hit = dice.choice(found)
            raw[hit.start() : hit.end()] = dice.choice(WORDS)

    return spoil


def _swap(raw: bytearray, dice: random.Random) -> None:
    found = list(_TEXT.finditer(bytes(raw[:20_000]))) + list(_NUMBER.finditer(bytes(raw[:20_000])))
    if len(found) > 1:
        one, other = dice.sample(found, 2)
        raw[one.start() : one.end()] = other[0]


def _insert(raw: bytearray, dice: random.Random) -> None:
    at = dice.randrange(len(raw) + 1)
    raw[at:at] = dice.choice(WORDS)


def _deep(raw: bytearray, dice: random.Random) -> None:
    found = list(_NUMBER.finditer(bytes(raw[:20_000]))) or list(_TEXT.finditer(bytes(raw[:20_000])))
    at = dice.choice(found).start() if found else 0
    opening, closing = dice.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>")))
    depth = dice.choice((100, 1_100, 100_000))
    raw[at:at] = opening * depth + (b"1" + closing * depth) * dice.randint(0, 1)


def _lines(raw: bytearray, dice: random.Random) -> None:
    lines = bytes(raw).split(b"\n")
    dice.shuffle(lines)
    raw[:] = b"\n".join(lines[: dice.randint(0, len(lines))])


_WAYS = (
    (_token(_NUMBER),) * 5
    + (_token(_TEXT),) * 3
    + (_swap, _swap, _flip, _flip, _cut, _drop, _again, _insert, _lines, _deep)
)


def spoilt(payload: bytes, number: int) -> bytes:
    """The payload with one to three things wrong with it."""
    dice = random.Random(number)
    raw = bytearray(payload)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        dice.choice(_WAYS)(raw, dice)
    return bytes(raw)
