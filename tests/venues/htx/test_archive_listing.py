"""Listings of the bucket and checksum files: what they say, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htxdata.errors import BadReply
from htxdata.protocol.wire import Request
from htxdata.sandbox.archive_listing import listing
from htxdata.venues.htx.archive import BUCKET
from htxdata.venues.terms import Listed
from tests.venues.htx.archive_files import LATER, bucket

FOLDER = "data/klines/spot/daily/BTCUSDT/1min/"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
OBJECT = (
    "<Contents><Key>data/币&amp;A.zip</Key><LastModified>2026-08-04T05:06:07.000Z</LastModified>"
    "<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag><Size>4096</Size>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
LISTED = Listed("data/币&A.zip", 4096, "9b2cf535f27731c974343645a3985328", 1_785_819_967_000_000)


def document(*parts: str, truncated: str = "false", token: str = "") -> bytes:
    more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    said = (
        f"<Name>huobi-service-data</Name><Prefix>data/</Prefix><IsTruncated>{truncated}</IsTruncated>{more}"
    )
    return f"{HEAD}{said}{''.join(parts)}</ListBucketResult>".encode()


def test_a_page_asks_for_version_two() -> None:
    assert BUCKET.list_request("data/x/", None) == Request("/", (("list-type", "2"), ("prefix", "data/x/")))
    assert BUCKET.list_request("", "a+b/=").params == (
        ("list-type", "2"),
        ("prefix", ""),
        ("continuation-token", "a+b/="),
    )


def test_objects_are_told_whole() -> None:
    """Key unescaped, size, ETag without quotes, instant in microseconds; prefixes and empty pages are no objects."""
    assert BUCKET.listed(document(OBJECT)) == ([LISTED], None)
    assert BUCKET.listed(document(OBJECT, OBJECT, truncated="true", token="1/a+b==")) == (
        [LISTED] * 2,
        "1/a+b==",
    )
    assert BUCKET.listed(document()) == ([], None)
    assert BUCKET.listed(document("<CommonPrefixes><Prefix>data/klines/</Prefix></CommonPrefixes>")) == (
        [],
        None,
    )
    assert BUCKET.listed(b"\xef\xbb\xbf" + document(OBJECT))[0] == [LISTED]
    bare = document(OBJECT).replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
    assert BUCKET.listed(bare)[0] == [LISTED]


def test_the_sandbox_is_listed_to_its_end() -> None:
    """Thousands of keys over several pages: exactly those that the bucket holds, with their sizes and ETags."""
    source = bucket()
    found: list[Listed] = []
    token, pages = None, 0
    while pages == 0 or token is not None:
        query = dict(BUCKET.list_request(FOLDER, token).params)
        objects, token = BUCKET.listed(listing(source, query, LATER))
        found, pages = [*found, *objects], pages + 1
    assert [one.key for one in found] == list(source.keys(FOLDER, "", LATER))
    assert pages == 7
    for one in found[:4]:
        entry = source.find(one.key, LATER)
        assert entry is not None
        assert (one.size, one.etag, one.modified) == (entry.size, entry.etag, entry.modified)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no XML"),
        (b"<html><body>captcha</html>", "no XML"),
        (b"<html></html>", "'html'"),
        (b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", "AccessDenied"),
        (document(OBJECT)[:-30], "no XML"),
        (document(OBJECT).decode().encode("utf-16"), "no XML"),
        (b'<!DOCTYPE l [<!ENTITY a "aaaa">]>' + document(OBJECT), "document type"),
        (document(OBJECT, truncated="true"), "not where"),
        (document(OBJECT, truncated="perhaps"), "IsTruncated"),
        (document(OBJECT).replace(b"<IsTruncated>false</IsTruncated>", b""), "IsTruncated"),
        (document(OBJECT, "<IsTruncated>true</IsTruncated>"), "2 `IsTruncated`"),
        (document(OBJECT.replace("4096", "4k")), "object 0"),
        (document(OBJECT, OBJECT.replace("4096", "-1")), "object 1"),
        (document(OBJECT.replace("4096", "४")), "object 0"),
        (document(OBJECT.replace("<Size>4096</Size>", "")), "object 0"),
        (document(OBJECT.replace("data/币&amp;A.zip", "")), "object 0"),
        (document(OBJECT.replace("T05:06:07.000Z", "")), "no time zone"),
        (document(OBJECT.replace("T05:06:07.000Z", "T05:06:07")), "no time zone"),
        (document(OBJECT.replace("2026-08-04T", "yesterday")), "was modified"),
        (document("x" * (6 << 20)), "bytes"),
    ],
)
def test_what_is_no_listing_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadReply, match=said):
        BUCKET.listed(body)


SUM = "0123456789abcdef" * 4
KEY = "historical_data/spot/daily/trades/币-USDT/币-USDT-trades-2026-09-07.zip"
NAME = KEY.rpartition("/")[2]


@pytest.mark.parametrize(
    "body",
    [f"{SUM}  {NAME}\n", f"{SUM} *{NAME}", f"{SUM}", f"{SUM}\r\n", f"{SUM.upper()}\t{NAME}\r\n",
     f"{SUM}  /tmp/out/{NAME}\n",
     f"\ufeff{SUM}  {NAME}"],
)  # fmt: skip
def test_checksums_are_read_in_both_shapes(body: str) -> None:
    """The first 64 characters, with or without the file's name behind them."""
    assert BUCKET.sha256_of(body.encode(), KEY) == SUM


@pytest.mark.parametrize(
    ("body", "said"),
    [("", "is ''|is b''"), (SUM[:-1], "is b"), (SUM + "0", "is b"), (SUM[:-1] + "g", "is b"),
     (f"{SUM}  other.zip", "that of"), (f"{SUM}  {NAME}\n{SUM}  other.zip", "that of"), (f"{SUM}{NAME}", "is b"),
     (f"<Error>{SUM}</Error>", "is b"), (SUM + " " * 5000, "bytes")],
)  # fmt: skip
def test_what_is_no_checksum_of_the_file_is_refused(body: str, said: str) -> None:
    with pytest.raises(BadReply, match=said):
        BUCKET.sha256_of(body.encode(), KEY)


@given(st.binary(max_size=200))
def test_nothing_but_a_bad_reply_comes_of_garbage(body: bytes) -> None:
    for read in (BUCKET.listed, lambda body: BUCKET.sha256_of(body, KEY)):
        with pytest.raises(BadReply):
            read(body)
