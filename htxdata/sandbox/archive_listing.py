"""Pages of the bucket's listing: ListObjectsV2 of S3 as the bucket speaks it (htx-api 9.1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from .archive_bucket import Bucket, Entry, Moment
from .periods import SECOND

BUCKET = "huobi-service-data"
_MARK = b"\xff\xfe"  # at the end of every token of ours
_LAST = "\U0010ffff"  # greater than what any key goes on with


class Refused(Exception):
    """A listing that S3 refuses, with the code and the words of its error."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


@dataclass(frozen=True)
class Page:
    """Objects and common prefixes in one order, and after what to go on if there is more."""

    found: tuple[Entry | str, ...]
    more_after: str | None


def page_of(bucket: Bucket, prefix: str, delimiter: str, after: str, limit: int, at: Moment) -> Page:
    """At most `limit` objects and common prefixes that come after a place in the bucket's order."""
    found: list[Entry | str] = []
    keys = bucket.keys(prefix, after, at)
    while True:
        key = next(keys, None)
        if key is None:
            return Page(tuple(found), None)
        if len(found) >= limit:
            return Page(tuple(found), after if limit else None)
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            found.append(bucket.entry(key, at))
            after = key
        else:
            common = key[: cut + len(delimiter)]
            found.append(common)
            after = common + _LAST
            keys = bucket.keys(prefix, after, at)


def listing(bucket: Bucket, query: Mapping[str, str], at: Moment) -> bytes:
    """The XML that answers a query; Refused for a query that S3 does not take."""
    if query.get("list-type") != "2":
        raise Refused("InvalidArgument", "Only list-type=2 is served here")
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token, start = query.get("continuation-token"), query.get("start-after", "")
    encoding = query.get("encoding-type")
    try:
        limit = int(query.get("max-keys", "1000"))
    except ValueError:
        limit = -1
    if limit < 0:
        raise Refused("InvalidArgument", "Provided max-keys not an integer or within integer range")
    if encoding not in (None, "url"):
        raise Refused("InvalidArgument", "Invalid Encoding Method specified in Request")
    after = start if token is None else _place_of(token)
    page = page_of(bucket, prefix, delimiter, after, min(limit, 1000), at)

    def spelled(key: str) -> str:
        return quote(key, safe="/") if encoding else escape(key)

    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
        f"<Name>{BUCKET}</Name><Prefix>{spelled(prefix)}</Prefix>",
    ]
    if token is not None:
        parts.append(f"<ContinuationToken>{escape(token)}</ContinuationToken>")
    elif start:
        parts.append(f"<StartAfter>{spelled(start)}</StartAfter>")
    if page.more_after is not None:
        parts.append(f"<NextContinuationToken>{_token_of(page.more_after)}</NextContinuationToken>")
    parts.append(f"<KeyCount>{len(page.found)}</KeyCount><MaxKeys>{min(limit, 1000)}</MaxKeys>")
    if delimiter:
        parts.append(f"<Delimiter>{spelled(delimiter)}</Delimiter>")
    if encoding:
        parts.append("<EncodingType>url</EncodingType>")
    parts.append(f"<IsTruncated>{'false' if page.more_after is None else 'true'}</IsTruncated>")
    for one in page.found:
        if isinstance(one, Entry):
            parts.append(
                f"<Contents><Key>{spelled(one.key)}</Key><LastModified>{iso(one.modified)}</LastModified>"
                f"<ETag>&quot;{one.etag}&quot;</ETag><Size>{one.size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
    for one in page.found:
        if isinstance(one, str):
            parts.append(f"<CommonPrefixes><Prefix>{spelled(one)}</Prefix></CommonPrefixes>")
    parts.append("</ListBucketResult>")
    return "".join(parts).encode()


def iso(time: int) -> str:
    """us UTC as S3's listings write it."""
    return datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _token_of(place: str) -> str:
    """Opaque, with signs that must be escaped in a URL, as those of S3 have."""
    return base64.b64encode(place.encode()[::-1] + _MARK).decode()


def _place_of(token: str) -> str:
    try:
        text = base64.b64decode(token, validate=True)
        if text.endswith(_MARK):
            return text.removesuffix(_MARK)[::-1].decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise Refused("InvalidArgument", "The continuation token provided is incorrect")
