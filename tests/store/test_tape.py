"""What was put on a tape is read from it again: all of it, or all but what can be told to be damaged."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import tape
from htxdata.store.tape import Record, Tape, TapedReply, Torn, decode, encode, replies, reply_record
from htxdata.timeline import DAY, parse_instant

ROOT = Path(__file__).parents[2]
NOON = parse_instant("2026-03-01T12:00:00.123456Z")

FACTS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.lists(st.text(max_size=3), max_size=3)
)
RECORDS = st.builds(
    Record, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=99),
    st.dictionaries(st.text(max_size=5), FACTS, max_size=2),
)  # fmt: skip
BLOCKS = st.lists(st.lists(RECORDS, min_size=1, max_size=3), max_size=3)


def said(number: int, body: bytes = b"") -> Record:
    return reply_record("/x", (("contract_code", f"币-{number}"), ("b", "")), 200, body, NOON + number)


def heard(root: Path, **only: str) -> list[TapedReply]:
    return list(replies(root, **only))


def paths(root: Path) -> list[Path]:
    return sorted(root.rglob("*.tape"))


# ------------------------------------------------------------------------------------------------- the format


@settings(max_examples=40)
@given(BLOCKS)
def test_what_is_encoded_is_decoded(blocks: list[list[Record]]) -> None:
    """Times, bytes and facts come back as they were, in their order, whatever blocks they were put into."""
    text = b"".join(encode(block) for block in blocks)
    assert list(decode(text)) == [record for block in blocks for record in block]
    assert text == b"".join(encode(block) for block in blocks)


def test_a_tape_that_was_cut_anywhere_gives_every_whole_block() -> None:
    """At each byte: the records of the blocks before the cut, and how much of the next is of no use."""
    blocks = [[said(0, b"a" * 50)], [said(1), said(2, bytes(range(256)))], [said(3, b"")]]
    texts = [encode(block) for block in blocks]
    whole = b"".join(texts)
    ends = [0, *(sum(map(len, texts[: count + 1])) for count in range(len(texts)))]
    for cut in range(len(whole) + 1):
        count = sum(end <= cut for end in ends) - 1
        expected: list[Any] = [record for block in blocks[:count] for record in block]
        expected += [Torn(ends[count], cut)] if cut > ends[count] else []
        assert list(decode(whole[:cut])) == expected, cut


@given(st.data())
def test_a_damaged_byte_costs_its_block_and_no_other(data: st.DataObject) -> None:
    """Any byte with any other value: the block that it is in is passed over, all others are read."""
    texts = [encode([said(number, b"body %d" % number)]) for number in range(3)]
    whole = bytearray(b"".join(texts))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    starts = [0, len(texts[0]), len(texts[0] + texts[1]), len(whole)]
    bad = sum(at >= start for start in starts) - 1
    found = list(decode(bytes(whole)))
    assert [r for r in found if isinstance(r, Record)] == [
        said(n, b"body %d" % n) for n in range(3) if n != bad
    ]
    torn = [r for r in found if isinstance(r, Torn)]
    assert (torn[0].start, torn[-1].end) == (starts[bad], starts[bad + 1])


@example(bytes(100), 1)  # what a power cut may leave: a file as long as it should be, and nothing in it
@given(st.binary(max_size=300), st.integers(0, 3))
def test_noise_is_no_record(noise: bytes, marks: int) -> None:
    """Bytes that nobody encoded, also such that begin as a block does, give nothing and raise nothing."""
    text = tape.MAGIC * marks + noise
    assert list(decode(text)) == ([Torn(0, len(text))] if text else [])


def test_many_small_records_shrink_together() -> None:
    """A block of a thousand like frames is a small part of their size, which is why frames share one."""
    frames = [
        Record(NOON + at, b'{"ch":"market.BTC-USDT.trade.detail","ts":%d}' % at, {}) for at in range(1000)
    ]
    text = encode(frames)
    assert list(decode(text)) == frames
    assert len(text) < sum(len(frame.body) for frame in frames) / 5


# ------------------------------------------------------------------------------------------------- files


def test_a_reply_comes_back_as_it_was_heard(tmp_path: Path) -> None:
    """Venue, feed, path, parameters in their order, status, bytes and receive time; the file lies where it should."""
    with Tape(tmp_path / "tape", "htx-linear", "open_interest") as writer:
        assert not (tmp_path / "tape").exists()
        writer.append(said(1, b'{"a":1}'))
        writer.append(said(2, b"\xff\x00"))
    params = (("contract_code", "币-1"), ("b", "")), (("contract_code", "币-2"), ("b", ""))
    assert heard(tmp_path / "tape") == [
        TapedReply("htx-linear", "open_interest", "/x", params[0], 200, b'{"a":1}', NOON + 1),
        TapedReply("htx-linear", "open_interest", "/x", params[1], 200, b"\xff\x00", NOON + 2),
    ]
    (path,) = paths(tmp_path)
    folder = tmp_path / "tape/venue=htx-linear/feed=open_interest/date=2026-03-01"
    assert path.parent == folder
    assert path.name.startswith(f"{NOON + 1}-{os.getpid()}-")


def test_replies_are_found_by_venue_feed_and_day(tmp_path: Path) -> None:
    """A day of UTC is a folder, also for what one call appends; quarantine and foreign files are no tape."""
    for venue, feed in (("htx-linear", "a"), ("htx-linear", "b"), ("htx-spot", "a")):
        with Tape(tmp_path, venue, feed) as writer:
            writer.append(said(0), said(DAY), said(1))
            writer.append(said(DAY + 1))
    (tmp_path / "quarantine/venue=htx-spot/dataset=a").mkdir(parents=True)
    (tmp_path / "venue=htx-spot/feed=a/date=2026-03-01/notes.txt").write_text("no tape")
    times = [reply.received_at - NOON for reply in heard(tmp_path, venue="htx-spot")]
    assert times == [0, 1, DAY, DAY + 1]
    assert len(heard(tmp_path)) == 12
    found = heard(tmp_path, venue="htx-linear", feed="b", date="2026-03-02")
    assert [(r.venue, r.feed, r.received_at - NOON) for r in found] == [
        ("htx-linear", "b", DAY), ("htx-linear", "b", DAY + 1),
    ]  # fmt: skip
    assert heard(tmp_path, feed="c") == heard(tmp_path / "nowhere") == []


def test_frames_and_replies_share_a_format_and_are_told_apart(tmp_path: Path) -> None:
    """A record that names no request is no reply."""
    with Tape(tmp_path, "htx-spot", "trades") as writer:
        writer.append(Record(NOON, b"frame", {"connection": 1}), said(1))
    assert [reply.received_at for reply in heard(tmp_path)] == [NOON + 1]


def test_every_writer_has_a_file_of_its_own(tmp_path: Path) -> None:
    """Two tapes of one feed that begin at one instant in one process never share a file, nor is one ever reopened."""
    writers = [Tape(tmp_path, "v", "f") for _ in range(2)]
    for number in (1, 2):
        for writer in writers:
            writer.append(said(number))
    for writer in writers:
        writer.close()
        writer.append(said(3))  # closed: that is a new one
        writer.close()
    assert len(paths(tmp_path)) == 4
    assert sorted(r.received_at - NOON for r in heard(tmp_path)) == [1, 1, 2, 2, 3, 3]


def test_a_file_that_is_there_already_is_never_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were two to think of one name, the second would be told, and the first file stays as it is."""
    monkeypatch.setattr(tape.uuid, "uuid4", lambda: uuid.UUID(int=7))
    with Tape(tmp_path, "v", "f") as one, Tape(tmp_path, "v", "f") as other:
        one.append(said(1, b"one"))
        with pytest.raises(LakeUnusable, match="File exists"):
            other.append(said(1, b"other"))
    assert [reply.body for reply in heard(tmp_path)] == [b"one"]


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call may write less than it was given; the block is whole all the same."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:10]))
    with Tape(tmp_path, "v", "f") as writer:
        writer.append(said(1, b"body" * 100))
    assert [reply.body for reply in heard(tmp_path)] == [b"body" * 100]


def test_threads_share_a_tape(tmp_path: Path) -> None:
    """Eight threads append at once; each record is there once and whole."""
    with Tape(tmp_path, "v", "f") as writer:

        def work(first: int) -> None:
            for number in range(first, first + 10):
                writer.append(said(number, b"x" * number * 10))

        threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 80, 10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = heard(tmp_path)
    assert sorted(reply.received_at - NOON for reply in found) == list(range(80))
    assert all(len(reply.body) == (reply.received_at - NOON) * 10 for reply in found)
    assert len(paths(tmp_path)) == 1


def test_what_append_took_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it returns, the file was synced after its last byte, and so was every folder that it made."""
    synced: dict[str, int] = {}
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        synced[os.readlink(f"/proc/self/fd/{file}")] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", fsync)
    with Tape(tmp_path / "tape", "v", "f") as writer:
        for number in range(3):
            writer.append(said(number))
            (path,) = paths(tmp_path)
            assert synced[str(path)] == path.stat().st_size
    above = {str(parent) for parent in path.parents if parent.is_relative_to(tmp_path)}
    assert above <= set(synced)


def test_after_an_error_of_the_disk_the_next_record_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk takes half a block and says so; what comes later goes to another file, and all else is read."""
    writer = Tape(tmp_path, "v", "f")
    writer.append(said(1))
    real = os.write

    def write(file: int, content: memoryview) -> int:
        real(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(StoreError, match="the disk is full"):
        writer.append(said(2))
    monkeypatch.undo()
    writer.append(said(3))
    writer.close()
    lost: list[tuple[Path, Torn]] = []
    found = replies(tmp_path, on_torn=lambda path, torn: lost.append((path, torn)))
    assert [reply.received_at - NOON for reply in found] == [1, 3]
    ((path, torn),) = lost
    assert torn == (len(encode([said(1)])), path.stat().st_size)


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """A file where the tape should be: one sentence that names it, as for the lake."""
    (tmp_path / "tape").write_text("in the way")
    with pytest.raises(LakeUnusable, match="tape"):
        Tape(tmp_path / "tape", "v", "f").append(said(1))


_CHILD = """
import sys
from pathlib import Path
from htxdata.store.tape import Tape, reply_record
tape = Tape(Path(sys.argv[1]), "v", "f")
for number in range(100_000):
    tape.append(reply_record("/x", (), 200, b"%d " % number * 500, number))
    print(number, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A writer that is killed again and again: what it said was taped is there, whole and in order."""
    dice = random.Random(3)
    for turn in range(4):
        root = tmp_path / str(turn)
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(root)], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline())]
            time.sleep(dice.uniform(0.001, 0.03))
            child.kill()
            told += [int(line) for line in child.stdout.read().splitlines() if line.isdigit()]
        found = heard(root)
        assert [reply.received_at for reply in found] == list(range(len(found)))
        assert len(found) >= len(told)
        assert all(reply.body == b"%d " % reply.received_at * 500 for reply in found)
