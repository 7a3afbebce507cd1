"""How HTX's bucket is listed (S3, version 2 of its listing), and what its checksum files say. Pure.

htx-api 9.1, 9.5 [B]: anonymous listing of the S3 host, 1,000 keys a page. The CDN in front of it bans listers.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from htxdata.errors import BadReply
from htxdata.protocol.wire import Request
from htxdata.timeline import from_datetime
from htxdata.venues.terms import Listed

_LARGEST_PAGE = 5 << 20  # 1,000 objects of some 400 bytes are half a megabyte
_LARGEST_CHECKSUM = 4096


def list_request(prefix: str, continuation: str | None = None) -> Request:
    """One page of the objects under ``prefix``, from a continuation on."""
    params = [("list-type", "2"), ("prefix", prefix)]
    if continuation is not None:
        params.append(("continuation-token", continuation))
    return Request("/", tuple(params))


def listed(body: bytes) -> tuple[Sequence[Listed], str | None]:
    """The objects of one page in its order, and where to go on (None: that was the last page)."""
    root = _document(body)
    if _local(root) != "ListBucketResult":
        said = ", ".join(f"{_local(part)} {part.text!r:.80}" for part in root[:2])
        raise BadReply(f"the listing is a {_local(root)!r:.40} ({said})")
    objects = [_object(part, at) for at, part in enumerate(p for p in root if _local(p) == "Contents")]
    truncated, token = _text(root, "IsTruncated"), _text(root, "NextContinuationToken")
    if truncated not in ("true", "false"):
        raise BadReply(f"the listing's `IsTruncated` is {truncated!r:.40}")
    if truncated == "true" and not token:
        raise BadReply("the listing says that it goes on, and not where")
    return objects, token if truncated == "true" else None


def _document(body: bytes) -> ElementTree.Element:
    """The root element. Nothing that declares anything is parsed: a DTD may define entities that grow without bound."""
    if len(body) > _LARGEST_PAGE:
        raise BadReply(f"a listing of {len(body):,} bytes")
    try:
        text = body.decode("utf-8-sig")
        if "<!" in text:
            raise BadReply("the listing has a document type, a comment or the like, which S3 never sends")
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
        raise BadReply(f"the listing is no XML: {error}: {body[:60]!r}") from error


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element, name: str) -> str | None:
    found = [part for part in element if _local(part) == name]
    if len(found) > 1:
        raise BadReply(f"the listing has {len(found)} `{name}` in one {_local(element)}")
    return (found[0].text or "") if found else None


def _object(element: ElementTree.Element, at: int) -> Listed:
    said = {name: _text(element, name) for name in ("Key", "Size", "ETag", "LastModified")}
    key, size, etag, modified = said.values()
    if not key or not etag or not size or not size.isdecimal() or not size.isascii() or not modified:
        raise BadReply(f"object {at} of the listing is {said}")
    try:
        moment = dt.datetime.fromisoformat(modified)
    except ValueError as error:
        raise BadReply(f"object {at} of the listing was modified {modified!r:.40}") from error
    if moment.tzinfo is None:
        raise BadReply(f"object {at} of the listing was modified {modified!r:.40}: no time zone")
    return Listed(key, int(size), etag.strip('"'), from_datetime(moment))


_CHECKSUM = re.compile(r"\ufeff?([0-9A-Fa-f]{64})(?:[ \t]+\*?(\S.*?))?\s*", re.DOTALL)


def sha256_of(body: bytes, key: str) -> str:
    """The sha256 (64 lower-case hexadecimal characters) that a checksum file states for the file ``key``.

    htx-api 9.2, 9.3 [B]: the first 64 characters, and in the new tree the file's name after them. A name that is not
    this file's is not believed, whatever folder it claims.
    """
    if len(body) > _LARGEST_CHECKSUM:
        raise BadReply(f"the checksum of {key} has {len(body):,} bytes")
    said = _CHECKSUM.fullmatch(body.decode("utf-8", errors="replace"))
    if said is None:
        raise BadReply(f"the checksum of {key} is {body[:80]!r}")
    if said[2] is not None and said[2].rpartition("/")[2] != key.rpartition("/")[2]:
        raise BadReply(f"the checksum of {key} is that of {said[2]!r:.120}")
    return said[1].lower()
