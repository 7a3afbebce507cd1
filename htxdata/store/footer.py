"""What a partition file says about itself: the key ``htxdata`` of its Parquet footer.

The value is text: ``{"v":1,"unfit":n,"spans":[unit,t0,verdicts,sources,names,fetched,rows,gaps,lengths]}`` column by
column, all times divided by ``unit`` and as distances. Text of 50 spans is 7,409 bytes as verbose JSON and 452 as
this, deflated; short ones stay readable. :func:`read` finds it in the last bytes of the file without pyarrow, whose
import alone costs more than 150 ms.

``files`` is there only where files of an archive are remembered:
``{"prefix":p,"keys":[rests],"etag":[…],"sha256":[…],"modified0":t,"modified":[…],"checked0":t,"checked":[…]}``, hashes
in base64 of their bytes. 31 of them take some 2.4 kB, of which the hashes are nine tenths.

Versions: a key that a reader does not know is ignored, so what is added keeps ``v``; it is raised only where an older
reader would misunderstand. An htxdata from before ``files`` reads such a footer, and forgets them when it commits: the
files are then fetched and compared once more, and no row and no verdict is lost.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

from htxdata.errors import CorruptPartition

KEY = b"htxdata"
_VERSION = 1
_DEFLATE_FROM = 400  # characters; below it base64 eats most of what zlib saves
_TAIL = 16_384  # one read nearly always holds the footer: 13 columns and one row group take about 3 kB
_BEGINNINGS = (b"\x15\x02", b"\x15\x04")  # Thrift: field 1, the version, 1 or 2
_VERDICTS = {"present": "p", "empty": "e", "outage": "o", "unobtainable": "u"}
_LETTERS = {letter: verdict for verdict, letter in _VERDICTS.items()}
VERDICTS = tuple(_VERDICTS)

KNOWN = frozenset({"present", "empty"})
"""Verdicts of somebody who was told: of such a span nothing more is to be learned."""

COMPLETE = KNOWN | {"unobtainable"}
"""Verdicts that nobody need be asked about again; ``missing`` and ``outage`` are asked for (law 5). What is served no
longer is not known all the same: it may yet be heard, or have been."""


class Span(NamedTuple):
    """``[start, end)`` with one verdict: who was asked (``source``), when last (``fetched_at``), rows in it."""

    start: int
    end: int
    verdict: str
    source: str
    fetched_at: int
    rows: int


class SourceFile(NamedTuple):
    """A file of an archive whose rows were compared with those stored: what it was then, so that it is read once.

    ``modified_at`` is the archive's word, ``checked_at`` when we last saw that it is still this one; microseconds UTC.
    ``etag`` and ``sha256`` are empty where they are not known.
    """

    key: str
    etag: str
    sha256: str
    modified_at: int
    checked_at: int


@dataclass(frozen=True, slots=True)
class Footer:
    """``unfit`` counts values that no DOUBLE carries digit for digit, over all rows ever stored here.

    ``files`` are in order of their keys, each once.
    """

    spans: tuple[Span, ...] = ()
    unfit: int = 0
    files: tuple[SourceFile, ...] = ()


def remembered(known: Iterable[SourceFile], files: Iterable[SourceFile]) -> tuple[SourceFile, ...]:
    """Of each key the version that was checked last; at one instant that of ``files``, the later in place."""
    newest: dict[str, SourceFile] = {}
    for file in (*known, *files):
        other = newest.get(file.key)
        if other is None or file.checked_at >= other.checked_at:
            newest[file.key] = file
    return tuple(newest[key] for key in sorted(newest))


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
    if footer.files:
        content["files"] = _pack_files(footer.files)
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
        files = _unpack_files(content["files"]) if "files" in content else ()
        found = Footer(tuple(spans), content["unfit"], files)
        if not _is_sound(found):
            raise ValueError("not a footer of ours: a number or a text in it is none")
        return found
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError, zlib.error) as error:
        raise ValueError(f"not a footer of ours: {error!r}") from error


def _is_sound(found: Footer) -> bool:
    """Whole numbers and texts, and spans in their order: what a flipped bit makes of a footer is often still JSON."""
    numbers = [found.unfit]
    texts = []
    at = -(2**63)
    for span in found.spans:
        if type(span.start) is not int or type(span.end) is not int or not at <= span.start < span.end:
            return False
        at = span.end
        numbers += (span.fetched_at, span.rows)
        texts.append(span.source)
    for file in found.files:
        numbers += (file.modified_at, file.checked_at)
        texts += (file.key, file.etag, file.sha256)
    return (
        at < 2**63
        and all(type(number) is int and 0 <= number < 2**63 for number in numbers)
        and all(type(text) is str for text in texts)
    )


_HEX = re.compile("(?:[0-9a-f]{2})+")


def _pack_files(files: tuple[SourceFile, ...]) -> dict[str, Any]:
    prefix = _beginning(files[0].key, files[-1].key)
    modified = min(file.modified_at for file in files)
    checked = min(file.checked_at for file in files)
    return {
        "prefix": prefix,
        "keys": [file.key[len(prefix) :] for file in files],
        "etag": [_short(file.etag) for file in files],
        "sha256": [_short(file.sha256) for file in files],
        "modified0": modified,
        "modified": [file.modified_at - modified for file in files],
        "checked0": checked,
        "checked": [file.checked_at - checked for file in files],
    }


def _beginning(first: str, last: str) -> str:
    """What all texts between the two begin with."""
    at = 0
    while at < min(len(first), len(last)) and first[at] == last[at]:
        at += 1
    return first[:at]


def _unpack_files(content: dict[str, Any]) -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(content["prefix"] + key, _long(etag), _long(sha256),
                   content["modified0"] + modified, content["checked0"] + checked)
        for key, etag, sha256, modified, checked in zip(
            content["keys"], content["etag"], content["sha256"], content["modified"], content["checked"], strict=True
        )
    )  # fmt: skip


def _short(text: str) -> str:
    """A hash in hexadecimal as ``=`` and base64, anything else as ``:`` and itself."""
    if _HEX.fullmatch(text):
        return "=" + base64.b64encode(bytes.fromhex(text)).decode().rstrip("=")
    return ":" + text


def _long(text: str) -> str:
    if text[0] == "=":
        return base64.b64decode(text[1:] + "=" * (-(len(text) - 1) % 4), validate=True).hex()
    return text[1:]


def read(file: IO[bytes], name: str) -> Footer:
    """The footer of an open Parquet file; ``CorruptPartition`` naming ``name`` where there is none of ours."""
    try:
        return unpack(_value(_tail(file)))
    except (ValueError, OSError) as error:
        raise CorruptPartition(f"{name} cannot be read: {error}") from error


def _tail(file: IO[bytes]) -> bytes:
    """The Parquet metadata, without the length and the mark that follow it."""
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
    metadata = tail[-8 - length : -8]
    if metadata[:2] not in _BEGINNINGS:
        raise ValueError("not a whole Parquet file (its metadata does not begin where it says)")
    return metadata


def _value(metadata: bytes) -> bytes:
    _, at, end = _place(metadata)
    return metadata[at:end]


def _place(metadata: bytes) -> tuple[int, int, int]:
    """Where our value lies: from its length on, from its first byte on, to its end."""
    # Thrift's compact protocol: a KeyValue is field 1 (0x18), length, key, field 2 (0x18), varint length, value.
    # The key-value list comes after the row groups with their statistics, hence the search from the end.
    mark = b"\x18" + bytes([len(KEY)]) + KEY + b"\x18"
    found = metadata.rfind(mark)
    if found < 0:
        raise ValueError("it carries no htxdata footer: htxdata did not write it")
    start = at = found + len(mark)
    length, shift = 0, 0
    while True:
        byte = metadata[at]
        at, length, shift = at + 1, length | (byte & 0x7F) << shift, shift + 7
        if not byte & 0x80:
            break
    return start, at, at + length


def restated(file: IO[bytes], name: str, footer: Footer) -> tuple[int, bytes]:
    """The end of an open file with another footer of ours: from which byte on, and the bytes.

    Nothing in Parquet's metadata points behind itself, so the rows before it stay as they are: a new verdict on a file
    of a million trades is a copy, where encoding them anew takes a third of a second.
    """
    try:
        metadata = _tail(file)
        start, _, end = _place(metadata)
    except (ValueError, OSError) as error:
        raise CorruptPartition(f"{name} cannot be read: {error}") from error
    value = pack(footer).encode()
    whole = metadata[:start] + _varint(len(value)) + value + metadata[end:]
    return file.seek(0, 2) - len(metadata) - 8, whole + len(whole).to_bytes(4, "little") + b"PAR1"


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
