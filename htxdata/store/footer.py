"""What a partition file says about itself: the key ``htxdata`` of its Parquet footer.

The value is text: ``{"v":1,"unfit":n,"spans":[unit,t0,verdicts,sources,names,fetched,rows,gaps,lengths]}`` column by
column, all times divided by ``unit`` and as distances. Text of 50 spans is 7,409 bytes as verbose JSON and 452 as
this, deflated; short ones stay readable. :func:`read` finds it in the last bytes of the file without pyarrow, whose
import alone costs more than 150 ms.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from htxdata.errors import CorruptPartition

KEY = b"htxdata"
_VERSION = 1
_DEFLATE_FROM = 400  # characters; below it base64 eats most of what zlib saves
_TAIL = 16_384  # one read nearly always holds the footer: 13 columns and one row group take about 3 kB
_VERDICTS = {"present": "p", "empty": "e", "outage": "o", "unobtainable": "u"}
_LETTERS = {letter: verdict for verdict, letter in _VERDICTS.items()}
VERDICTS = tuple(_VERDICTS)


class Span(NamedTuple):
    """``[start, end)`` with one verdict: who was asked (``source``), when last (``fetched_at``), rows in it."""

    start: int
    end: int
    verdict: str
    source: str
    fetched_at: int
    rows: int


@dataclass(frozen=True, slots=True)
class Footer:
    """``unfit`` counts values that no DOUBLE carries digit for digit, over all rows ever stored here."""

    spans: tuple[Span, ...] = ()
    unfit: int = 0


def pack(footer: Footer) -> str:
    """Equal footers give equal text."""
    spans = footer.spans
    names = sorted({span.source for span in spans})
    times = [instant for span in spans for instant in (span.start, span.end)]
    unit = math.gcd(*times) or 1
    base = min((span.fetched_at for span in spans), default=0)
    ends = [spans[0].start if spans else 0, *(span.end for span in spans)]
    content: dict[str, Any] = {
        "v": _VERSION,
        "unfit": footer.unfit,
        "unit": unit,
        "t0": ends[0] // unit,
        "gaps": [(span.start - end) // unit for span, end in zip(spans, ends, strict=False)],
        "lengths": [(span.end - span.start) // unit for span in spans],
        "verdicts": "".join(_VERDICTS[span.verdict] for span in spans),
        "sources": names,
        "source": [names.index(span.source) for span in spans],
        "fetched0": base,
        "fetched": [span.fetched_at - base for span in spans],
        "rows": [span.rows for span in spans],
    }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    if len(text) < _DEFLATE_FROM:
        return text
    return "z" + base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def unpack(text: str | bytes) -> Footer:
    """The inverse of :func:`pack`; ``ValueError`` for anything else."""
    raw = text.encode() if isinstance(text, str) else text
    try:
        if raw[:1] == b"z":
            raw = zlib.decompress(base64.b64decode(raw[1:], validate=True))
        content = json.loads(raw)
        if content["v"] != _VERSION:
            raise ValueError(f"written by a newer version (footer {content['v']})")
        unit, at, spans = content["unit"], content["t0"], []
        for gap, length, letter, source, fetched, rows in zip(
            content["gaps"], content["lengths"], content["verdicts"], content["source"],
            content["fetched"], content["rows"], strict=True,
        ):  # fmt: skip
            start, at = at + gap, at + gap + length
            spans.append(
                Span(start * unit, at * unit, _LETTERS[letter], content["sources"][source],
                     content["fetched0"] + fetched, rows)
            )  # fmt: skip
        return Footer(tuple(spans), content["unfit"])
    except (KeyError, TypeError, IndexError, zlib.error) as error:
        raise ValueError(f"not a footer of ours: {error!r}") from error


def read(file: IO[bytes], name: str) -> Footer:
    """The footer of an open Parquet file; ``CorruptPartition`` naming ``name`` where there is none of ours."""
    try:
        return unpack(_value(_tail(file)))
    except (ValueError, OSError) as error:
        raise CorruptPartition(f"{name} cannot be read: {error}") from error


def _tail(file: IO[bytes]) -> bytes:
    size = file.seek(0, 2)
    if size < 12:
        raise ValueError(f"{size} bytes are no Parquet file")
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    if tail[-4:] != b"PAR1":
        raise ValueError("not a whole Parquet file (its end is missing)")
    length = int.from_bytes(tail[-8:-4], "little")
    if length + 12 > size:
        raise ValueError(f"not a whole Parquet file (a footer of {length} bytes in a file of {size})")
    if length + 8 > len(tail):
        file.seek(size - length - 8)
        tail = file.read()
    return tail[-8 - length : -8]


def _value(metadata: bytes) -> bytes:
    # Thrift's compact protocol: a KeyValue is field 1 (0x18), length, key, field 2 (0x18), varint length, value.
    # The key-value list comes after the row groups with their statistics, hence the search from the end.
    mark = b"\x18" + bytes([len(KEY)]) + KEY + b"\x18"
    found = metadata.rfind(mark)
    if found < 0:
        raise ValueError("it carries no htxdata footer: htxdata did not write it")
    at, length, shift = found + len(mark), 0, 0
    while True:
        byte = metadata[at]
        at, length, shift = at + 1, length | (byte & 0x7F) << shift, shift + 7
        if not byte & 0x80:
            break
    return metadata[at : at + length]
