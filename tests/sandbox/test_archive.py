"""The archive as an S3 bucket: listings, objects, ranges, conditions, refusals, and when a day appears."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.sandbox import Faults, Market, Sandbox
from htxdata.sandbox.archive_bucket import Bucket, Moment
from htxdata.sandbox.archive_listing import page_of
from htxdata.sandbox.archive_names import SERIES
from htxdata.sandbox.archive_zips import Options
from tests.sandbox.archive_client import (
    AUTUMN,
    ArchiveClient,
    archive,
    checksum_of,
    objects,
    prefixes,
    text,
    unzipped,
)

MINUTES = "data/klines/spot/daily/BTCUSDT/1min/"
KEY = f"{MINUTES}BTCUSDT-1min-2024-01-05.zip"


@pytest.fixture(scope="module")
def client() -> Iterator[ArchiveClient]:
    with archive() as made:
        yield made


# ------------------------------------------------------------------------------------------------------- listings


def test_a_listing_of_thousands_goes_on_where_it_stopped(client: ArchiveClient) -> None:
    """All keys once, in the order of their bytes, 1000 a page, every day of nine years with its checksum."""
    pages = list(client.pages(prefix=MINUTES))
    keys = [one.key for root in pages for one in objects(root)]
    assert keys == client.sandbox.archive_keys(MINUTES)
    assert keys == sorted(set(keys), key=str.encode)
    assert [text(root, "KeyCount") for root in pages] == ["1000"] * (len(pages) - 1) + [str(len(keys) % 1000)]
    assert len(pages) == 7
    assert keys[:2] == [f"{MINUTES}BTCUSDT-1min-2017-10-27.{ending}" for ending in ("CHECKSUM", "zip")]
    assert keys[-1] == f"{MINUTES}BTCUSDT-1min-2026-08-04.zip"
    zips = {key[-14:-4] for key in keys if key.endswith(".zip")}
    assert len(keys) == 2 * len(zips)
    assert len({day for day in zips if day < "2026"}) == 2988  # every day since 2017-10-27


def test_what_is_listed_is_what_is_sent(client: ArchiveClient) -> None:
    """Size, ETag and time of a listing are those of the object, for every kind of file in both trees."""
    seen = 0
    for prefix in (
        f"{MINUTES}BTCUSDT-1min-2024-01-0",
        "data/klines/linear-swap/daily/MDX-USDT/4hour/MDX-USDT-4hour-2026-07-2",
        "data/trades/linear-swap/daily/WAVES-USDT/WAVES-USDT-trades-2026-07-2",
        "data/mark-price-klines/linear-swap/daily/SHIB-USDT/15min/SHIB-USDT-15min-2022-11-3",
        "historical_data/futures/daily/funding-rates/MDX-USDT-PERP/MDX-USDT-PERP-fundingRates-2026-03-0",
        "historical_data/spot/daily/klines/PEPE-USDT/1d/PEPE-USDT-klines-1d-2026-03-0",
        "historical_data/spot/daily/trades/币安人生-USDT/币安人生-USDT-trades-2026-03-0",
        "historical_data/futures/daily/index-klines/BTC-USDT-261225/1h/BTC-USDT-261225-index-klines-1h-2026-09-0",
        "data/klines/spot/remark.txt",
    ):
        for one in client.listed(prefix):
            reply = client.get(one.key)
            assert (len(reply.content), reply.headers["ETag"]) == (one.size, one.etag), one.key
            modified = datetime.strptime(one.modified, "%Y-%m-%dT%H:%M:%S.000Z").replace(tzinfo=UTC)
            assert parsedate_to_datetime(reply.headers["Last-Modified"]) == modified
            assert one.storage == "STANDARD"
            if one.key.endswith(".zip"):
                unzipped(one.key.rpartition("/")[2], reply.content)
                sums = client.get(checksum_of(one.key)).text
                assert sums[:64] == hashlib.sha256(reply.content).hexdigest()
            seen += 1
    assert seen > 60


def _all_fit(seed: int, repeated: float, step: int) -> int:
    """Makes the first, a middle and the last zip of every `step`-th series; how many."""
    bucket = Bucket(Market(seed), None, Faults(), Options(repeated_ids=repeated))
    at, seen = Moment(int(AUTUMN * 10**6), 0.0), 0
    for folder in sorted(SERIES)[::step]:
        keys = [key for key in bucket.keys(folder, "", at) if key.endswith(".zip")]
        for key in {keys[place] for place in (0, len(keys) // 3, -1)} if keys else ():
            entry = bucket.find(key, at)
            assert entry is not None
            body = entry.body()
            assert len(body) == entry.size, key
            unzipped(key.rpartition("/")[2], body)
            seen += 1
    return seen


def test_a_zip_always_fits_the_size_that_was_foretold() -> None:
    """First, middle and last days of some series, with ids repeated."""
    assert _all_fit(0, 0.3, 31) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_every_zip_fits(seed: int) -> None:
    assert _all_fit(seed, 0.0, 1) > 1500


def test_folders_are_common_prefixes(client: ArchiveClient) -> None:
    """With a delimiter the tree can be walked; what is no market data lies beside it."""

    def walk(prefix: str) -> tuple[list[str], list[str]]:
        (root,) = client.pages(prefix=prefix, delimiter="/")
        assert text(root, "Delimiter") == "/"
        assert text(root, "Prefix") == prefix
        return prefixes(root), [one.key for one in objects(root)]

    assert walk("") == (["assets/", "data/", "historical_data/", "test/"], [])
    kinds = ("index-klines", "klines", "mark-price-klines", "trades")
    assert walk("data/") == ([f"data/{name}/" for name in kinds], [])
    assert walk("data/trades/spot/") == (["data/trades/spot/daily/"], ["data/trades/spot/remark.txt"])
    assert walk("test/") == ([], ["test/", "test/BTC-USDT-1min-2021-05-18.zip"])
    daily = "historical_data/futures/daily/"
    names = ("funding-rates", "index-klines", "klines", "mark-klines", "orderbook", "trades")
    assert walk(daily) == ([f"{daily}{name}/" for name in names], [])
    found, _ = walk(f"{daily}trades/")
    contracts = [name.removeprefix(f"{daily}trades/") for name in found]
    assert {"BTC-USD-PERP/", "BTC-USD-260206/", "ETH-USD-260327/"} < set(contracts)
    assert [name for name in contracts if "-USD-" not in name] == [
        "BMT-USDT-PERP/", "BTC-USDT-261225/", "BTC-USDT-PERP/", "DOGE-USDT-PERP/", "ETH-USDT-PERP/",
        "KSM-USDT-PERP/", "MDX-USDT-PERP/", "SHIB-USDT-PERP/", "TEST001-USDT-PERP/", "WAVES-USDT-PERP/",
        "币安人生-USDT-PERP/",
    ]  # fmt: skip
    found, _ = walk("data/klines/linear-swap/daily/BTC-USDT")
    assert [name.rpartition("/daily/")[2] for name in found] == [
        "BTC-USDT-250328/", "BTC-USDT-261225/", "BTC-USDT/",
    ]  # fmt: skip
    found, _ = walk("historical_data/spot/daily/klines/ETH-USDT/")
    assert [name.rpartition("USDT/")[2] for name in found] == [
        "15m/",
        "1d/",
        "1h/",
        "1m/",
        "30m/",
        "4h/",
        "5m/",
    ]


@cache
def small() -> tuple[Bucket, Moment, list[str]]:
    """A bucket of the first days of the new tree, and all its keys in that tree."""
    bucket = Bucket(Market(0), None, Faults(), Options())
    at = Moment(int(datetime(2026, 2, 5, tzinfo=UTC).timestamp()) * 10**6, 0.0)
    return bucket, at, list(bucket.keys("historical_data/", "", at))


@settings(max_examples=60)
@given(st.data())
def test_a_listing_is_what_the_rules_of_s3_say(data: st.DataObject) -> None:
    """Whatever prefix, delimiter, start and page size are asked for, pages joined are the model's answer."""
    bucket, at, keys = small()
    assert keys == sorted(keys, key=str.encode)
    some = data.draw(st.sampled_from(keys))
    prefix = some[: data.draw(st.integers(len("historical_data/"), len(some)))]
    delimiter = data.draw(st.sampled_from(["", "/", "-", "2026", "USDT"]))
    start = data.draw(st.sampled_from(["", some, some[:-3], "historical_data/spot/", "zzz", "a"]))
    limit = data.draw(st.sampled_from([1, 3, 50, 1000])) if len(prefix) > 50 else 300
    expected: list[str] = []
    for key in keys:
        if not key.startswith(prefix) or key <= start:
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter)]
        if not expected or expected[-1] != entry:
            expected.append(entry)
    found: list[str] = []
    after: str | None = start
    while after is not None:
        page = page_of(bucket, prefix, delimiter, after, limit, at)
        assert len(page.found) == limit or (page.more_after is None and len(page.found) <= limit)
        found += [one if isinstance(one, str) else one.key for one in page.found]
        after = page.more_after
    assert found == expected


def test_the_small_print_of_listings(client: ArchiveClient) -> None:
    """max-keys, start-after, encoding, and what is refused."""
    (root,) = client.pages(prefix=MINUTES, max_keys=0)
    assert (text(root, "KeyCount"), text(root, "MaxKeys"), text(root, "IsTruncated")) == ("0", "0", "false")
    root = ElementTree.fromstring(client.page(prefix=MINUTES, max_keys=5000).content)
    assert (text(root, "KeyCount"), text(root, "MaxKeys")) == ("1000", "1000")
    root = ElementTree.fromstring(client.page(prefix=MINUTES, max_keys=1, start_after=KEY).content)
    assert objects(root)[0].key == f"{MINUTES}BTCUSDT-1min-2024-01-06.CHECKSUM"
    assert (text(root, "StartAfter"), text(root, "Name")) == (KEY, "huobi-service-data")
    folder = "historical_data/spot/daily/trades/币安人生-USDT/"
    root = ElementTree.fromstring(client.page(prefix=folder, max_keys=1, encoding_type="url").content)
    assert objects(root)[0].key.isascii()
    assert unquote(objects(root)[0].key) == f"{folder}币安人生-USDT-trades-2026-02-01.zip"
    assert unquote(text(root, "Prefix")) == folder
    for query in (
        {"continuation_token": "1nonsense"}, {"max_keys": "many"}, {"max_keys": -1}, {"encoding_type": "x"},
        {"list_type": "1"},
    ):  # fmt: skip
        reply = client.page(prefix=MINUTES, **query)
        assert (reply.status_code, reply.headers["x-amz-error-code"]) == (400, "InvalidArgument")


def test_a_folder_appears_with_its_first_file() -> None:
    """Before an instrument is listed neither its files nor its folder can be seen."""
    now = [datetime(2026, 8, 10, tzinfo=UTC).timestamp()]
    with archive(clock=lambda: now[0]) as client:
        prefix = "historical_data/futures/daily/klines/BMT"
        assert prefixes(next(client.pages(prefix=prefix, delimiter="/"))) == []
        now[0] = datetime(2026, 8, 13, 5, tzinfo=UTC).timestamp()
        assert prefixes(next(client.pages(prefix=prefix, delimiter="/"))) == [f"{prefix}-USDT-PERP/"]


def test_listings_can_be_refused() -> None:
    """Then it is 403 with its code in a header, and objects are served all the same."""
    with archive(archive_listing=False) as client:
        reply = client.page(prefix=MINUTES)
        assert (reply.status_code, reply.headers["x-amz-error-code"]) == (403, "AccessDenied")
        assert ElementTree.fromstring(reply.content).findtext("Code") == "AccessDenied"
        assert client.get(KEY).status_code == 200


# -------------------------------------------------------------------------------------------------------- objects


def test_an_object_and_its_head(client: ArchiveClient) -> None:
    """HEAD says what GET sends; nothing is squeezed for the way."""
    body, head = client.get(KEY), client.get(KEY, "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Length", "ETag", "Last-Modified", "Accept-Ranges", "Content-Type"):
        assert head.headers[name] == body.headers[name]
    assert head.headers["Content-Length"] == str(len(body.content))
    assert body.headers["ETag"].strip('"').endswith("-1")  # not to be mistaken for an MD5
    assert "Content-Encoding" not in body.headers
    assert body.headers["Last-Modified"] == "Sat, 06 Jan 2024 04:00:00 GMT"  # its day ended 2024-01-05T16:00Z
    assert client.get(KEY, "POST").status_code == 405


@pytest.mark.parametrize(
    "key",
    ["data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-2016-01-05.zip", "data/", "favicon.ico",
     "data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-2024-01-05.zip.CHECKSUM",
     "data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-2024-1-5.zip",
     "data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-20240105.zip",
     "data/klines/spot/daily/BTCUSDT/1week/BTCUSDT-1week-2024-01-05.zip",
     "data/klines/spot/monthly/BTCUSDT/1min/BTCUSDT-1min-2024-01.zip",
     "historical_data/spot/daily/klines/BTC-USDT/1m/BTC-USDT-klines-1m-2026-01-31.zip",
     "historical_data/spot/daily/klines/BTC-USDT/1m/BTC-USDT-klines-1m-2026-02-30.zip",
     "historical_data/spot/daily/klines/BTC-USDT/1m/BTC-USDT-klines-1m-2026-03-01.CHECKSUM"],
)  # fmt: skip
def test_a_missing_key_is_a_plain_404(client: ArchiveClient, key: str) -> None:
    """With S3's XML, and without the header that tells a refusal."""
    reply = client.get(key)
    root = ElementTree.fromstring(reply.content)
    assert (reply.status_code, root.findtext("Code"), root.findtext("Key")) == (404, "NoSuchKey", key)
    assert "x-amz-error-code" not in reply.headers
    assert client.get(key, "HEAD").status_code == 404


def test_ranges(client: ArchiveClient) -> None:
    """A torn download can be resumed: the pieces are those of the whole."""
    whole = client.get(KEY).content
    size = len(whole)
    for asked, first, last in (
        ("bytes=0-", 0, size - 1), (f"bytes={size // 2}-", size // 2, size - 1), ("bytes=10-19", 10, 19),
        (f"bytes={size - 1}-", size - 1, size - 1), ("bytes=-100", size - 100, size - 1),
        (f"bytes=5-{size * 2}", 5, size - 1), (f"bytes=-{size * 2}", 0, size - 1),
    ):  # fmt: skip
        reply = client.get(KEY, Range=asked)
        assert (reply.status_code, reply.content) == (206, whole[first : last + 1]), asked
        assert reply.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
        head = client.get(KEY, "HEAD", Range=asked)
        assert (head.status_code, head.headers["Content-Length"]) == (206, str(last - first + 1))
    for asked in (f"bytes={size}-", f"bytes={size + 5}-{size + 9}", "bytes=-0"):
        reply = client.get(KEY, Range=asked)
        assert (reply.status_code, reply.headers["Content-Range"]) == (416, f"bytes */{size}")
        assert ElementTree.fromstring(reply.content).findtext("Code") == "InvalidRange"
    for ignored in ("bytes=9-5", "bytes=a-", "bytes=1-2,4-5", "lines=0-5"):
        assert client.get(KEY, Range=ignored).status_code == 200


def test_conditions(client: ArchiveClient) -> None:
    """If-Match guards a resumed download, If-None-Match spares one that has not changed."""
    tag = client.get(KEY).headers["ETag"]
    same = client.get(KEY, If_None_Match=tag)
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert client.get(KEY, If_None_Match=f'"other", {tag}').status_code == 304
    assert client.get(KEY, If_None_Match='"other"').status_code == 200
    assert client.get(KEY, If_Match=tag, Range="bytes=5-").status_code == 206
    assert client.get(KEY, If_Match="*").status_code == 200
    changed = client.get(KEY, If_Match='"other"', Range="bytes=5-")
    assert changed.status_code == 412
    assert ElementTree.fromstring(changed.content).findtext("Code") == "PreconditionFailed"


# ------------------------------------------------------------------------------------------------- when and whence


@pytest.mark.parametrize(
    ("hours", "moment"), [(12, "2026-09-10T04:00"), (30.5, "2026-09-10T22:30"), (0, "2026-09-09T16:00")]
)
def test_a_day_is_published_so_long_after_its_end(hours: float, moment: str) -> None:
    """The UTC+8 day 2026-09-09 ends at 16:00 UTC; until then and the delay it is neither listed nor sent."""
    due = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    folder = "historical_data/spot/daily/klines/BTC-USDT/1m/"
    key, now = f"{folder}BTC-USDT-klines-1m-2026-09-09.zip", [due - 1.0]
    with archive(clock=lambda: now[0], archive_delay_hours=hours) as client:
        for expected in (False, True):
            assert (client.get(key).status_code == 200) is expected
            assert (client.get(checksum_of(key)).status_code == 200) is expected
            assert (key in [one.key for one in client.listed(folder)]) is expected
            now[0] += 1.0
        assert parsedate_to_datetime(client.get(key).headers["Last-Modified"]).timestamp() == due


def test_limits_slow_down() -> None:
    """None by default, as S3 has none that matters; where one is set, 503 and a ban for the stubborn."""
    with Sandbox(limits={"htx_archive": (2, 60.0)}, ban_after=3, clock=lambda: AUTUMN) as sandbox:
        client = ArchiveClient(sandbox)
        replies = [client.get(KEY) for _ in range(7)]
        client.session.close()
        assert [reply.status_code for reply in replies] == [200, 200, 503, 503, 503, 403, 403]
        assert ElementTree.fromstring(replies[2].content).findtext("Code") == "SlowDown"
        assert replies[2].headers["x-amz-error-code"] == "SlowDown"
        assert sandbox.violations == 3
    with Sandbox(clock=lambda: AUTUMN) as sandbox:
        client = ArchiveClient(sandbox)
        assert {client.get(KEY, "HEAD").status_code for _ in range(60)} == {200}
        client.session.close()


def test_requests_are_logged(client: ArchiveClient) -> None:
    before = len(client.sandbox.requests)
    client.get(KEY, "HEAD")
    client.get("nothing")
    client.page(prefix="assets/")
    found = [(one.host, one.method, one.path, one.status) for one in client.sandbox.requests[before:]]
    assert found == [
        ("htx_archive", "HEAD", "/" + KEY, 200),
        ("htx_archive", "GET", "/nothing", 404),
        ("htx_archive", "GET", "/", 200),
    ]


def test_who_has_an_answer_finds_it_logged(client: ArchiveClient) -> None:
    """Also one that has no body: its status is known before it is sent."""
    for _ in range(100):
        client.get(KEY, "HEAD")
        assert client.sandbox.requests[-1].status == 200


def test_what_is_replayed_has_no_files() -> None:
    """A recording is served by REST; files of the seeded market would contradict it."""

    class Recording:
        def covers(self, venue: str, symbol: str, dataset: str) -> bool:
            return (venue, symbol, dataset) == ("htx-spot", "btcusdt", "klines")

    recording: Any = Recording()
    bucket = Bucket(Market(0), recording, Faults(), Options())
    at = Moment(int(AUTUMN * 10**6), 0.0)
    assert bucket.find(KEY, at) is None
    assert list(bucket.keys(MINUTES, "", at)) == []
    assert bucket.find(KEY.replace("BTCUSDT", "ETHUSDT"), at) is not None


def test_memory_is_bounded() -> None:
    """Zips that are asked for once more are at hand, and no more of them than the bound allows."""
    with archive(archive_cache_bytes=100_000) as client:
        keys = [f"{MINUTES}BTCUSDT-1min-2024-01-{day:02d}.zip" for day in range(1, 11)]
        first = [client.get(key).content for key in keys]
        assert [client.get(key).content for key in keys] == first
        bodies = client.sandbox._bucket._zips._bodies
        assert 0 < sum(map(len, bodies._kept.values())) <= 100_000


@pytest.mark.parametrize(
    ("options", "said"),
    [({"archive_delay_hours": -1.0}, "must not be negative"), ({"archive_repeated_ids": 2.0}, "from 0 to 1")],
)
def test_wrong_options_are_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sandbox(**options)


@pytest.mark.benchmark
def test_how_fast_files_are() -> None:
    """A listing of six thousand keys, zips fresh and kept, candles and trades; CPU time of server and client."""
    with archive(archive_cache_bytes=256 << 20) as client:

        def seconds(keys: list[str]) -> float:
            began = time.process_time()
            for key in keys:
                assert client.session.get(f"{client.base}/{key}").status_code == 200
            return (time.process_time() - began) / len(keys)

        began = time.process_time()
        keys = [one.key for one in client.listed(MINUTES) if one.key.endswith(".zip")]
        listing = time.process_time() - began
        trades = client.sandbox.archive_keys("data/trades/linear-swap/daily/BTC-USDT/")[1:1000:5]
        klines = keys[:1000]
        fresh, kept, heavy = (
            seconds(klines),
            seconds(klines),
            seconds([k for k in trades if k.endswith(".zip")]),
        )
    print(
        f"listing {listing:.2f} s, klines {fresh * 1e3:.1f} ms, kept {kept * 1e3:.2f} ms, trades {heavy * 1e3:.1f} ms"
    )
    assert listing < 2.0
    assert fresh < 0.008
    assert heavy < 0.020
