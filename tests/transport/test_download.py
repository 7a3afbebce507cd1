"""Downloads against an archive that misbehaves: nothing twice, nothing unverified, nothing left behind."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from htxdata.errors import BadReply, Refused, StoreError, Unreachable, WalkStuck
from htxdata.transport import http, spool
from htxdata.transport.budget import Budget
from htxdata.transport.download import ANEW, Downloads, Fetched
from htxdata.transport.line import Limits
from tests.transport.archive import BUCKET, Archive, Fault
from tests.transport.conftest import FakeTime
from tests.waits import until

KEY = "data/trades/spot/daily/BTCUSDT/BTCUSDT-trades-2025-01-01.zip"
SUM = KEY + ".CHECKSUM"
BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(310_000)
ETAG = ("ETag", f'"{hashlib.md5(BODY).hexdigest()}"')
SHA = hashlib.sha256(BODY).hexdigest()

Make = Callable[..., Downloads]


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


@pytest.fixture
def make(archive: Archive, tmp_path: Path, fake: FakeTime) -> Iterator[Make]:
    """Downloads for which 1,000 bytes are small."""
    made = []

    def make(**options: Any) -> Downloads:
        budget = Budget("archive", 1e6, tmp_path / "budget", clock=fake.clock, sleep=fake.sleep)
        options = {"small": 1000, "sleep": fake.sleep, "jitter": lambda: 1.0} | options
        made.append(downloads := Downloads(archive.url, budget, BUCKET, tmp_path / "spool", **options))
        return downloads

    yield make
    for downloads in made:
        downloads.close()


def names(folder: Path) -> list[str]:
    """The kinds of files that lie in the spool."""
    try:
        return sorted("".join(path.suffixes[-1:]) for path in (folder / "spool").iterdir())
    except FileNotFoundError:
        return []


def assert_right(got: Fetched, body: bytes = BODY, *, checked: bool = True) -> None:
    assert (got.content if got.path is None else got.path.read_bytes()) == body
    assert got.sha256 == hashlib.sha256(body).hexdigest()
    assert got.etag == hashlib.md5(body).hexdigest()
    assert (got.key, got.size, got.checked, got.modified) == (KEY, len(body), checked, 784111777000000)


# ---------------------------------------------------------------------------------------------------------- the listing


def test_a_list_has_every_page(archive: Archive, make: Make) -> None:
    """Three to a page, and the last page full."""
    archive.page = 3
    for number in range(9):
        archive.put(f"data/x/{number}.zip", b"x" * number, None)
    archive.put("data/y.zip", b"y", None)
    found = make().list("data/x/")
    assert [(entry.key, entry.size) for entry in found] == [(f"data/x/{n}.zip", n) for n in range(9)]
    assert archive.times("") == 3
    assert make().list("data/z/") == []


@pytest.mark.parametrize("second", [b"t\nb\t1\te", b"u\na\t1\te", b"u"], ids=["token", "key", "empty"])
def test_a_list_that_does_not_get_on_is_given_up(archive: Archive, make: Make, second: bytes) -> None:
    """The same continuation again, or a page of nothing new that says it goes on."""
    archive.faults[""].extend(Fault(status=200, body=page) for page in (b"t\na\t1\te", second, b"-"))
    with pytest.raises(WalkStuck, match="data/ does not get on"):
        make().list("data/")


@pytest.mark.parametrize("body", [b"<Error><Code>AccessDenied</Code></Error>", b"<html>no"])
def test_a_refused_list_is_said_at_once(archive: Archive, make: Make, fake: FakeTime, body: bytes) -> None:
    """By S3, or by the CDN in front of it, whose refusal of listings is no ban from the files."""
    archive.faults[""].append(Fault(status=403, body=body))
    with pytest.raises(Refused, match="HTTP 403") as caught:
        make().list("data/")
    assert (caught.value.kind, archive.times(""), fake.slept) == ("refused", 1, [])


# ---------------------------------------------------------------------------------------------------------- one file


def test_a_small_file_stays_in_memory(archive: Archive, make: Make, tmp_path: Path) -> None:
    """Two requests on one connection, and the disk is not touched."""
    known = archive.put(KEY, BODY[:1000])
    for hint in (known, None):
        got = make(now_us=lambda: 77).fetch(KEY, known=hint)
        assert_right(got, BODY[:1000])
        assert got.path is None
        assert got.received_at == 77
    assert [archive.times(key) for key in (KEY, SUM)] == [2, 2]
    assert archive.connections() == 2
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("listed", [True, False])
def test_a_larger_file_lies_in_the_spool_until_it_is_released(
    archive: Archive, make: Make, tmp_path: Path, listed: bool
) -> None:
    """And is gone afterwards, with all that was beside it."""
    known = archive.put(KEY, BODY)
    downloads = make()
    got = downloads.fetch(KEY, known=known if listed else None)
    assert_right(got)
    assert got.content is None
    downloads.release(got)
    downloads.release(got)
    assert names(tmp_path) == []


def test_what_is_asked(archive: Archive, make: Make) -> None:
    """The bytes as they lie there, under the prefix of the host, percent-encoded."""
    archive.put("pre/a+b 币.zip", BODY)
    downloads = make()
    downloads._client._prefix = "/pre"
    assert_right(replace(downloads.fetch("a+b 币.zip"), key=KEY))
    assert archive.asked[0].headers["accept-encoding"] == "identity"
    assert "range" not in archive.asked[0].headers


@pytest.mark.parametrize("key", ["../../../etc/passwd", "/etc/passwd", "a/..", "", "x" * 300, ".hidden"])
def test_no_key_leads_out_of_the_spool(archive: Archive, make: Make, tmp_path: Path, key: str) -> None:
    """Whatever a listing says."""
    path = spool.Spool(tmp_path / "spool").path(key)
    assert path.parent == tmp_path / "spool"
    assert len(path.name) < 120


@pytest.mark.parametrize("size", [0, 1, 1000, 1001, 300_000])
def test_sizes(archive: Archive, make: Make, size: int) -> None:
    """Nothing, the last small one, the first larger one."""
    known = archive.put(KEY, BODY[:size])
    got = make().fetch(KEY, known=known)
    assert_right(got, BODY[:size])
    assert (got.path is None) == (size <= 1000)


def test_a_file_without_a_length(archive: Archive, make: Make) -> None:
    """Chunked; small and larger, listed and not."""
    for size in (900, 300_000):
        known = archive.put(KEY, BODY[:size])
        for hint in (known, None):
            archive.faults[KEY].extend([Fault(chunked=True)] * 2)
            downloads = make()
            got = downloads.fetch(KEY, known=hint)
            assert_right(got, BODY[:size])
            downloads.release(got)
            archive.faults[KEY].clear()


# ------------------------------------------------------------------------------------------------------- its checksum


def test_a_checksum_of_the_other_spelling(archive: Archive, make: Make) -> None:
    """The first that is there counts."""
    archive.put(KEY, BODY, ending=".none")
    archive.things[KEY.replace(".zip", ".CHECKSUM")] = archive.things.pop(KEY + ".none")
    assert_right(make().fetch(KEY))


@pytest.mark.parametrize("status", [404, 403])
def test_a_file_without_a_checksum_is_taken_and_says_so(archive: Archive, make: Make, status: int) -> None:
    """S3 answers 403 for what is absent to those who may not list."""
    archive.put(KEY, BODY, None)
    for key in (SUM, KEY.replace(".zip", ".CHECKSUM")):
        archive.faults[key].append(Fault(status=status, body=b"<Code>AccessDenied</Code>"))
    assert_right(make().fetch(KEY), checked=False)


@pytest.mark.parametrize("size", [900, 300_000])
def test_a_wrong_checksum_is_never_accepted(
    archive: Archive, make: Make, tmp_path: Path, fake: FakeTime, size: int
) -> None:
    """Both are fetched anew some times, then nothing is left of the file and the sentence names both sums."""
    archive.put(KEY, BODY[:size], "0" * 64)
    found = hashlib.sha256(BODY[:size]).hexdigest()
    with pytest.raises(BadReply, match=f"^{KEY}: its sha256 is {found}, .* says {'0' * 64}"):
        make().fetch(KEY, known=archive.listed(KEY))
    assert [archive.times(key) for key in (KEY, SUM)] == [1 + ANEW, 1 + 2 * ANEW]
    assert names(tmp_path) == []
    assert sum(fake.slept) == pytest.approx(0.5 + 1 + 2)


@pytest.mark.parametrize("size", [900, 300_000])
def test_a_file_and_checksum_that_are_being_replaced(archive: Archive, make: Make, size: int) -> None:
    """A checksum that comes after its file is waited for; an old file beside a new checksum is fetched anew."""
    known = archive.put(KEY, OTHER[:size])
    archive.faults[SUM].append(Fault(status=200, body=SHA.encode()))
    downloads = make()
    assert_right(got := downloads.fetch(KEY, known=known), OTHER[:size])
    assert [archive.times(key) for key in (KEY, SUM)] == [1, 2]
    downloads.release(got)
    archive.put(KEY, BODY[:size])
    new = hashlib.sha256(OTHER[:size]).hexdigest()
    archive.faults[SUM].append(
        Fault(status=200, body=new.encode(), after=lambda: archive.put(KEY, OTHER[:size]))
    )
    assert_right(downloads.fetch(KEY), OTHER[:size])
    assert [archive.times(key) for key in (KEY, SUM)] == [3 + (size > 1000), 5]


def test_a_checksum_that_is_none(archive: Archive, make: Make) -> None:
    """It is asked for again, and never taken for a missing one."""
    archive.put(KEY, BODY)
    archive.faults[SUM].extend([Fault(status=200, body=b"<html>")] * 9)
    with pytest.raises(BadReply, match=f"^{KEY}: the checksum of {KEY} is none"):
        make().fetch(KEY)
    archive.faults[SUM].clear()
    archive.faults[SUM].append(Fault(status=200, body=b""))
    assert_right(make().fetch(KEY))


# ------------------------------------------------------------------------------------------------------ dropped, cut


@pytest.mark.parametrize(
    "fault",
    [Fault(cut=700), Fault(cut=700, stall=0.5), Fault(cut=700, chunked=True)],
    ids=["drop", "stall", "chunked"],
)
@pytest.mark.parametrize("size", [900, 300_000])
def test_a_dropped_body_is_continued(archive: Archive, make: Make, fault: Fault, size: int) -> None:
    """Not a byte is sent twice."""
    known = archive.put(KEY, BODY[:size])
    archive.faults[KEY].append(fault)
    assert_right(make(limits=Limits(silence_s=0.2)).fetch(KEY, known=known), BODY[:size])
    first, second = [asked for asked in archive.asked if asked.key == KEY]
    assert "range" not in first.headers
    assert (second.headers["range"], second.headers["if-match"]) == (
        "bytes=700-",
        f'"{archive.things[KEY].etag}"',
    )
    assert archive.sent(KEY) == size


def test_a_body_may_be_dropped_often_as_long_as_it_gets_on(
    archive: Archive, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty times here; without headway it is given up, and the part is kept for the next run."""
    monkeypatch.setattr(http, "_HEADWAY", 10_000)
    known = archive.put(KEY, BODY)
    archive.faults[KEY].extend([Fault(cut=10_000)] * 20)
    downloads = make()
    assert_right(got := downloads.fetch(KEY, known=known))
    assert archive.sent(KEY) == len(BODY)
    downloads.release(got)
    archive.asked.clear()
    archive.faults[KEY].extend([Fault(cut=50_000), *[Fault(cut=1_500)] * 20])
    with pytest.raises(Unreachable, match="gave up after 6 attempts"):
        make().fetch(KEY, known=known)
    assert archive.times(KEY) == 7 - 1
    archive.faults[KEY].clear()
    assert_right(make().fetch(KEY, known=known))
    assert archive.sent(KEY) == len(BODY)


@pytest.mark.parametrize("listed", [True, False])
def test_a_file_that_is_replaced_while_it_is_fetched(archive: Archive, make: Make, listed: bool) -> None:
    """Is fetched from its start; no file is patched together of two."""
    known = archive.put(KEY, BODY)
    half = Fault(cut=100_000, after=lambda: archive.put(KEY, OTHER))
    archive.faults[KEY].extend([half] if listed else [Fault(), half])  # whether it is small is asked first
    assert_right(make().fetch(KEY, known=known if listed else None), OTHER)
    ranges = [asked.headers.get("range") for asked in archive.asked if asked.key == KEY]
    assert ranges[-2:] == ["bytes=100000-", None]


@pytest.mark.parametrize(
    "odd",
    [
        Fault(whole=True),
        Fault(etag="another"),
        Fault(status=416),
        Fault(status=412),
        Fault(status=206, body=b"x" * 200_000, headers=(("Content-Range", "bytes 0-199999/300000"), ETAG)),
        Fault(status=206, body=b"x" * 200_000, headers=(("Content-Range", "bytes 100000-299999/9"), ETAG)),
        Fault(status=206, body=b"x" * 200_000, headers=(ETAG,)),
        Fault(status=200, body=b"x" * 200_000, headers=(("Content-Encoding", "gzip"),)),
    ],
    ids=["range-ignored", "etag", "416", "412", "other-range", "other-size", "no-range", "gzip"],
)
def test_an_odd_answer_to_a_range_begins_the_file_anew(archive: Archive, make: Make, odd: Fault) -> None:
    """What came before is thrown away, never glued to what does not fit."""
    known = archive.put(KEY, BODY, None)
    archive.faults[KEY].extend([Fault(cut=100_000), odd])
    assert_right(make().fetch(KEY, known=known), checked=False)
    ranges = [asked.headers.get("range") for asked in archive.asked if asked.key == KEY]
    assert ranges == [None, "bytes=100000-", None][: 2 + (not odd.whole)]


def test_a_file_without_an_etag_is_not_continued(archive: Archive, make: Make) -> None:
    """Nothing would tell that it is still the same."""
    known = archive.put(KEY, BODY, None)
    archive.faults[KEY].extend([Fault(cut=100_000, etag=""), Fault(etag="")])
    got = make().fetch(KEY, known=known)
    assert (got.sha256, got.etag) == (SHA, "")
    assert archive.sent(KEY) == 100_000 + len(BODY)


def test_a_file_that_changes_as_fast_as_it_is_read_is_given_up(
    archive: Archive, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though each attempt gets on."""
    monkeypatch.setattr(http, "_HEADWAY", 10_000)
    known = archive.put(KEY, BODY)
    bodies = [BODY, OTHER] * 30
    archive.faults[KEY].extend(
        Fault(cut=100_000, after=lambda: archive.put(KEY, bodies.pop())) if turn % 2 else Fault()
        for turn in range(1, 60)
    )
    with pytest.raises(Refused, match="begun anew"):
        make().fetch(KEY, known=known)
    assert archive.times(KEY) == 12


# --------------------------------------------------------------------------------------- what the archive says instead


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=404, body=b"<Error><Code>NoSuchKey</Code></Error>"), "absent"),
        (Fault(status=403, headers=(("x-amz-error-code", "AccessDenied"),)), "refused"),
        (Fault(status=403, body=b"<Error><Code>AllAccessDisabled</Code></Error>"), "refused"),
        (Fault(status=301, headers=(("Location", "http://elsewhere/"),)), "refused"),
    ],
)
def test_what_is_final(
    archive: Archive, make: Make, tmp_path: Path, fake: FakeTime, fault: Fault, kind: str
) -> None:
    """Said at once; nothing lies in the spool for it."""
    for known in (archive.put(KEY, BODY), None):
        archive.faults[KEY].append(fault)
        with pytest.raises(Refused) as caught:
            make().fetch(KEY, known=known)
        assert caught.value.kind == kind
        assert str(caught.value).startswith(
            f"127.0.0.1:{archive.url.rpartition(':')[2]}/{KEY}: HTTP {fault.status}"
        )
    assert fake.slept == []
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Fault(status=503, body=b"<Error><Code>SlowDown</Code></Error>"), 1.0),
        (Fault(status=503, body=b"<Error><Code>ServiceUnavailable</Code></Error>"), 0.5),
        (Fault(status=500), 0.5),
        (Fault(status=503, headers=(("Retry-After", "7"),)), 7.0),
        (Fault(status=403, body=b"<html>"), 60.0),
        (Fault(cut=0), 0.5),
    ],
    ids=["slow-down", "503", "500", "retry-after", "firewall", "drop"],
)
def test_what_is_asked_again(
    archive: Archive, make: Make, fake: FakeTime, fault: Fault, seconds: float
) -> None:
    """By the rules of every other request."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].append(fault)
    assert_right(make().fetch(KEY, known=known))
    assert sum(fake.slept) == pytest.approx(seconds)


def test_more_than_was_listed_is_not_taken(archive: Archive, make: Make, tmp_path: Path) -> None:
    """The same file must be as long as listed; another one may be longer, but not without bounds."""
    known = archive.put(KEY, BODY)
    with pytest.raises(Unreachable, match="has 300000 bytes and was listed with 299999"):
        make().fetch(KEY, known=replace(known, size=299_999))
    assert_right(make().fetch(KEY, known=replace(known, size=299_999, etag="older")))
    with pytest.raises(Refused, match="has 300000 bytes, more than the 200000"):
        make(most=200_000).fetch("x/" + KEY, known=archive.put("x/" + KEY, BODY) and None)
    archive.faults["y.zip"].extend([Fault(chunked=True)] * 2)
    archive.put("y.zip", BODY)
    with pytest.raises(Refused, match="more than the 200000"):
        make(most=200_000, small=0).fetch("y.zip")


def test_stop_keeps_the_part(archive: Archive, make: Make) -> None:
    """And the next run goes on from there."""
    known = archive.put(KEY, BODY)
    stop = threading.Event()
    archive.faults[KEY].append(Fault(cut=100_000, after=stop.set))
    with pytest.raises(Unreachable, match="stopped"):
        make(stop=stop).fetch(KEY, known=known)
    assert_right(make().fetch(KEY, known=known))
    assert archive.sent(KEY) == len(BODY)


# ------------------------------------------------------------------------------------------------------------ the disk


def test_a_full_disk_is_one_sentence_and_no_file(
    archive: Archive, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is given back to the disk; once there is room the file is fetched."""
    known = archive.put(KEY, BODY)
    write, room = os.write, [100_000]

    def full(fd: int, data: Any) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(fd, data[: room[0]])
        room[0] -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr("htxdata.transport.body.os.write", full)
        with pytest.raises(StoreError, match=r"spool: No space left on device at byte \d+ of data/trades"):
            make().fetch(KEY, known=known)
    assert names(tmp_path) == [".lock"]
    assert_right(make().fetch(KEY, known=known))


def test_a_spool_that_cannot_be_made_is_one_sentence(archive: Archive, make: Make, tmp_path: Path) -> None:
    """A file is in the way; small files do not mind."""
    (tmp_path / "spool").write_text("in the way")
    known = archive.put(KEY, BODY)
    with pytest.raises(StoreError, match=r"the folder for downloads .*spool: "):
        make().fetch(KEY, known=known)
    small = archive.put(KEY, BODY[:10])
    assert_right(make().fetch(KEY, known=small), BODY[:10])


def test_a_whole_file_of_an_earlier_run_is_found(archive: Archive, make: Make, tmp_path: Path) -> None:
    """It was never released; nothing is asked. When it was heard is told as it was."""
    known = archive.put(KEY, BODY)
    first = make(now_us=lambda: 7_000_000)
    first.fetch(KEY, known=known)
    first.close()
    heard = len(archive.asked)
    for hint in (known, None):
        got = make(now_us=lambda: 8_000_000).fetch(KEY, known=hint)
        assert_right(got)
        assert got.received_at == 7_000_000
    assert len(archive.asked) == heard


@pytest.mark.parametrize("why", ["listing", "age", "boot", "size"])
def test_a_whole_file_that_may_be_another_by_now_is_fetched_anew(
    archive: Archive, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """The listing shows another ETag; it is an hour old and no listing is known; the machine went down; it is short."""
    archive.put(KEY, BODY)
    first = make(now_us=lambda: 0)
    got = first.fetch(KEY)
    assert got.path is not None
    if why == "size":
        os.truncate(got.path, 100)
    first.close()
    known = archive.put(KEY, OTHER)
    if why == "boot":
        note = next((tmp_path / "spool").glob("*.json"))
        note.write_text(json.dumps(json.loads(note.read_text()) | {"boot": 1}))
    later = 3_600_000_001 if why == "age" else 0
    got = make(now_us=lambda: later).fetch(KEY, known=known if why == "listing" else None)
    assert_right(got, OTHER)


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"key": 1}', b"\xff"])
def test_a_part_of_which_nothing_is_known_is_begun_anew(
    archive: Archive, make: Make, tmp_path: Path, note: bytes
) -> None:
    """Half a note, no note, a stranger's note."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].append(Fault(cut=100_000, after=(stop := threading.Event()).set))
    with pytest.raises(Unreachable):
        make(stop=stop).fetch(KEY, known=known)
    next((tmp_path / "spool").glob("*.json")).write_bytes(note)
    assert_right(make().fetch(KEY, known=known))
    assert archive.sent(KEY) == 100_000 + len(BODY)


@pytest.mark.parametrize("spoilt", [False, True])
def test_a_part_of_full_length_is_only_verified(
    archive: Archive, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    """Who fetched it died before he gave it its name. Where its bytes are not what they should be it is fetched."""
    known = archive.put(KEY, BODY)
    with monkeypatch.context() as patch:
        patch.setattr(spool.Claim, "share", lambda claim: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make().fetch(KEY, known=known)
    (whole,) = (path for path in (tmp_path / "spool").iterdir() if path.suffix == ".zip")
    whole.rename(whole.with_name(whole.name + ".part"))
    if spoilt:
        whole.with_name(whole.name + ".part").write_bytes(OTHER[: len(BODY)])
    assert_right(make().fetch(KEY, known=known))
    assert archive.times(KEY) == 1 + spoilt


def test_a_replaced_file_is_not_asked_for_from_the_middle(archive: Archive, make: Make) -> None:
    """Where the listing already tells that the part is of an older one."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].append(Fault(cut=100_000, after=(stop := threading.Event()).set))
    with pytest.raises(Unreachable):
        make(stop=stop).fetch(KEY, known=known)
    assert_right(make().fetch(KEY, known=archive.put(KEY, OTHER)), OTHER)
    assert archive.times(KEY) == 2


def test_clean_takes_what_is_old_and_nobodys(archive: Archive, make: Make, tmp_path: Path) -> None:
    """A part of last week goes; a young one, and a file that somebody reads, stay."""
    kept = archive.put(KEY, BODY)
    make().fetch(KEY, known=kept)
    archive.put("old.zip", BODY)
    archive.put("young.zip", BODY)
    for key in ("old.zip", "young.zip"):
        archive.faults[key].append(Fault(cut=100_000, after=(stop := threading.Event()).set))
        with pytest.raises(Unreachable):
            make(stop=stop).fetch(key, known=archive.listed(key))
    for path in (tmp_path / "spool").iterdir():
        if "young" not in path.name:
            os.utime(path, (1e9, 1e9))
    assert make().clean(7 * 86_400) > 100_000
    assert sorted({path.name[17:].split(".zip")[0] for path in (tmp_path / "spool").iterdir()}) == [
        "BTCUSDT-trades-2025-01-01", "young",
    ]  # fmt: skip
    assert make().clean(7 * 86_400) == 0


# ---------------------------------------------------------------------------------------------------- side by side


def test_threads_that_want_one_file_fetch_it_once(archive: Archive, make: Make, tmp_path: Path) -> None:
    """Each has it until it releases it, and it goes with the last."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].append(Fault(cut=100_000, stall=0.1))
    downloads = make(limits=Limits(silence_s=5))
    got: list[Fetched] = []
    threads = [
        threading.Thread(target=lambda: got.append(downloads.fetch(KEY, known=known))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(got) == 4
    assert archive.sent(KEY) == len(BODY)
    for one in got:
        assert_right(one)
        downloads.release(one)
    assert names(tmp_path) == []


def test_many_threads_many_files(archive: Archive, make: Make, tmp_path: Path) -> None:
    """Every file is its own, whoever else is at work."""
    bodies = {f"f/{n}.zip": random.Random(n).randbytes(n * 97) for n in range(60)}
    listed = {key: archive.put(key, body) for key, body in bodies.items()}
    downloads = make()
    todo, wrong = list(bodies) * 3, []

    def work() -> None:
        while True:
            try:
                key = todo.pop()
            except IndexError:
                return
            got = downloads.fetch(key, known=listed[key])
            if (got.content if got.path is None else got.path.read_bytes()) != bodies[key]:
                wrong.append(key)
            downloads.release(got)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert names(tmp_path) == []


def test_a_reader_without_a_file_is_waited_for(archive: Archive, make: Make, tmp_path: Path) -> None:
    """Somebody who only looked whether the file is there yet holds nothing that could be shared."""
    known = archive.put(KEY, BODY)
    looking = spool.Spool(tmp_path / "spool")._locked(KEY, fcntl.LOCK_SH)
    assert looking is not None
    threading.Timer(0.1, looking.leave).start()
    assert_right(make().fetch(KEY, known=known))
    assert archive.sent(KEY) == len(BODY)


def test_who_waits_for_another_can_be_stopped(archive: Archive, make: Make) -> None:
    """While the other one's download goes on."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].append(Fault(cut=100_000, stall=5))
    first = threading.Thread(target=lambda: make(limits=Limits(silence_s=0.5)).fetch(KEY, known=known))
    first.start()
    until(lambda: archive.sent(KEY) == 100_000)
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(Unreachable, match="stopped"):
        make(stop=stop).fetch(KEY, known=known)
    first.join(10)
    assert archive.sent(KEY) == len(BODY)
