"""What a reel was given is read from it again, whatever happened to its writer, its disk or its bytes."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import LakeUnusable, StoreError
from htxdata.store import reel as reels
from htxdata.store.reel import Frames, Record, Reel, Torn, is_live, read, venue_feed_of
from htxdata.store.tape import HEAD, head_of
from htxdata.timeline import DAY, parse_instant

ROOT = Path(__file__).parents[2]
NOON = parse_instant("2026-03-01T12:00:00.123456Z")

EVENTS = st.builds(
    Record, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=50),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=5), max_size=2),
)  # fmt: skip
SOME = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=60)), min_size=1, max_size=5)
FRAMES = SOME.map(lambda pairs: Frames([at for at, _ in pairs], [body for _, body in pairs]))


def put(reel: Reel, items: list[Record | Frames]) -> None:
    for item in items:
        if isinstance(item, Record):
            reel.note(item.received_at, item.said, item.body)
        else:
            reel.frames(item.times, item.bodies)
        reel.flush()


def found(path: Path, start: int = 0) -> list[Record | Frames | Torn]:
    return [item for _, item in read(path, start)]


def ends(path: Path) -> list[int]:
    return [0, *(end for end, _ in read(path))]


THREE: list[Record | Frames] = [
    Record(NOON, b"", {"event": "opened", "topics": ["币"]}),
    Frames([NOON, NOON + 1], [b"one" * 9, b""]),
    Record(NOON + 2, b"body", {"event": "sent"}),
    Frames([NOON + 3], [b"\x1f\x8bthree"]),
]


# ------------------------------------------------------------------------------------------------- the format


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS | FRAMES, max_size=5))
def test_what_was_put_on_is_read_again(tmp_path_factory: Any, items: list[Record | Frames]) -> None:
    """Events and frames, their times and bytes, in their order; each offset is a place to go on from."""
    reel = Reel(tmp_path_factory.mktemp("reel"), "v", "f", NOON)
    put(reel, items)
    reel.seal(NOON, "asked", "enough")
    end = Record(NOON, b"", {"event": "closed", "why": "asked", "detail": "enough"})
    assert found(reel.path) == [*items, end]
    for number, start in enumerate(ends(reel.path)):
        assert found(reel.path, start) == [*items, end][number:]


def test_frames_may_be_given_in_one_piece(tmp_path: Path) -> None:
    """``block`` is ``frames`` with the bodies one after the other; what does not add up is refused."""
    one, other = Reel(tmp_path, "v", "f", NOON), Reel(tmp_path, "v", "f", NOON)
    one.frames([1, 2], [b"ab", b"cde"])
    other.block(array("q", [1, 2]), array("I", [2, 3]), memoryview(b"abcde"))
    for reel in (one, other):
        reel.flush()
    assert one.path.read_bytes() == other.path.read_bytes()
    with pytest.raises(ValueError, match="2 lengths of 6"):
        other.block([1, 2], [2, 3], b"abcdef")
    with pytest.raises(ValueError, match="1 times"):
        other.frames([1], [b"a", b"b"])


def test_many_frames_are_several_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reading needs in memory is bounded, whatever was given at once; a single frame is never cut."""
    monkeypatch.setattr(reels, "BLOCK", 1000)
    reel = Reel(tmp_path, "v", "f", NOON)
    bodies = [bytes([n]) * n * 20 for n in range(100)]
    reel.frames(range(100), bodies)
    reel.flush()
    blocks = [item for item in found(reel.path) if isinstance(item, Frames)]
    assert [body for block in blocks for body in block.bodies] == bodies
    assert [at for block in blocks for at in block.times] == list(range(100))
    assert all(sum(map(len, block.bodies)) <= 1000 or len(block.bodies) == 1 for block in blocks)


def test_a_reel_that_was_cut_anywhere_gives_every_whole_block(tmp_path: Path) -> None:
    """At each byte: what is before the cut, and how much of the next is of no use. While a writer holds it, half a
    block at its end is nothing."""
    reel = Reel(tmp_path, "v", "f", NOON)
    put(reel, THREE)
    bounds, whole = ends(reel.path), reel.path.read_bytes()
    reel.abandon()
    torn = tmp_path / "torn.reel"
    for cut in range(len(whole) + 1):
        torn.write_bytes(whole[:cut])
        count = sum(end <= cut for end in bounds) - 1
        expected: list[Any] = list(THREE[:count])
        with open(torn, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert is_live(torn)
            assert found(torn) == expected, cut
        assert not is_live(torn)
        expected += [Torn(bounds[count], cut)] if cut > bounds[count] else []
        assert found(torn) == expected, cut


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_byte_costs_its_block_and_no_other(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Any byte with any other value: the block that it is in is passed over, all others are read."""
    reel = Reel(tmp_path_factory.mktemp("reel"), "v", "f", NOON)
    put(reel, THREE)
    bounds, whole = ends(reel.path), bytearray(reel.path.read_bytes())
    reel.abandon()
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    reel.path.write_bytes(whole)
    bad = sum(at >= bound for bound in bounds) - 1
    items = found(reel.path)
    assert [item for item in items if not isinstance(item, Torn)] == THREE[:bad] + THREE[bad + 1 :]
    torn = [item for item in items if isinstance(item, Torn)]
    assert (torn[0].start, torn[-1].end) == (bounds[bad], bounds[bad + 1])


def test_a_block_of_an_unknown_kind_is_not_passed_over(tmp_path: Path) -> None:
    """A whole block that this version does not know was written by a newer one: that is said, not skipped."""
    reel = Reel(tmp_path, "v", "f", NOON)
    reel.abandon()
    reel.path.write_bytes(head_of(reels.MAGIC, b"z?") + b"z?")
    with pytest.raises(StoreError, match="newer htxdata"):
        found(reel.path)


# ------------------------------------------------------------------------------------------------- files


def test_reels_are_found_by_venue_feed_and_day(tmp_path: Path) -> None:
    """In the order of opening, whatever folder they are in; one on which nothing is yet is none."""
    made = {}
    wanted = [("htx-spot", "b", 1), ("htx-linear", "a", 2), ("htx-spot", "a", 0), ("htx-spot", "a", DAY)]
    for number, (venue, feed, later) in enumerate(wanted):
        at = NOON + later
        made[number] = Reel(tmp_path, venue, feed, at)
        assert made[number].path not in reels.reels(tmp_path)
        put(made[number], [THREE[0]])
    paths = {number: reel.path for number, reel in made.items()}
    assert reels.reels(tmp_path) == [paths[n] for n in (2, 0, 1, 3)]
    assert reels.reels(tmp_path, "htx-spot") == [paths[n] for n in (2, 0, 3)]
    assert reels.reels(tmp_path, "htx-spot", "a", "2026-03-02") == [paths[3]]
    assert reels.reels(tmp_path / "nowhere") == []
    assert venue_feed_of(paths[1]) == ("htx-linear", "a")
    assert paths[1].parent == tmp_path / "venue=htx-linear/feed=a/date=2026-03-01"
    assert paths[1].name.startswith(f"{NOON + 2}-{os.getpid()}-")


def test_a_sealed_reel_is_over(tmp_path: Path) -> None:
    """It says why, is read-only, nobody holds it, and nothing can follow."""
    reel = Reel(tmp_path, "v", "f", NOON)
    reel.frames([1], [b"x"])
    assert is_live(reel.path)
    reel.seal(NOON + 5, "rotation")
    assert not is_live(reel.path)
    assert found(reel.path)[-1] == Record(NOON + 5, b"", {"event": "closed", "why": "rotation", "detail": ""})
    assert reel.path.stat().st_mode & 0o777 == 0o444
    for late in (lambda: reel.frames([1], [b"x"]), reel.flush, lambda: reel.note(1, {})):
        with pytest.raises(StoreError, match="nothing can follow"):
            late()


def test_it_is_read_on_while_it_is_written(tmp_path: Path) -> None:
    """From the last offset on come exactly the new blocks, and nothing before they are flushed."""
    reel = Reel(tmp_path, "v", "f", NOON)
    at = 0
    for number, item in enumerate(THREE * 3):
        put(reel, [item])
        reel.note(1, {"event": "later"})
        ((at, new),) = read(reel.path, at)
        assert new == item, number
        assert list(read(reel.path, at)) == []
        reel._pending.clear()


def test_a_block_inside_half_a_frame_is_not_read(tmp_path: Path) -> None:
    """A frame may hold anything, also the bytes of a block: while its own block grows, nothing in it is one."""
    inner, reel = Reel(tmp_path, "v", "f", NOON), Reel(tmp_path, "v", "f", NOON)
    put(inner, [THREE[0]])
    body = inner.path.read_bytes() + bytes(100)
    reel.frames([1], [body])
    half = b"".join(reel._pending)[:-50]
    os.write(reel._fd, half)
    assert found(reel.path) == []
    os.write(reel._fd, b"".join(reel._pending)[-50:])
    assert found(reel.path) == [Frames([1], [body])]


def test_what_flush_wrote_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it returns, the file was synced after its last byte, and so was every folder above; ``write`` does not."""
    synced: dict[str, int] = {}
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        synced[os.readlink(f"/proc/self/fd/{file}")] = os.fstat(file).st_size

    monkeypatch.setattr(os, "fsync", fsync)
    reel = Reel(tmp_path / "tape", "v", "f", NOON)
    above = {str(parent) for parent in reel.path.parents if parent.is_relative_to(tmp_path)}
    assert above <= set(synced)
    reel.frames([1], [b"x"])
    reel.write()
    assert str(reel.path) not in synced
    assert found(reel.path) == [Frames([1], [b"x"])]
    reel.flush()
    assert synced[str(reel.path)] == reel.path.stat().st_size > 0


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_after_an_error_of_the_disk_nothing_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk takes half a block and says so. The reel is given up: what came before it is read, nothing is
    written behind the half."""
    reel = Reel(tmp_path, "v", "f", NOON)
    put(reel, THREE[:2])
    before = reel.path.stat().st_size
    real = os.write

    def write(file: int, content: Any) -> int:
        real(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def fsync(file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, {"write": write, "fsync": fsync}[call])
    reel.frames([1], [b"lost" * 100])
    with pytest.raises(StoreError, match=f"the disk is full.*{tmp_path}"):
        reel.flush()
    monkeypatch.undo()
    size = reel.path.stat().st_size
    with pytest.raises(StoreError, match="nothing can follow"):
        reel.frames([2], [b"later"])
    reel.abandon()
    assert reel.path.stat().st_size == size
    assert not is_live(reel.path)
    assert found(reel.path)[:2] == THREE[:2]
    if call == "write":
        assert found(reel.path)[2:] == [Torn(before, size)]
        assert size - before < HEAD.size + 400


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """A file where the tape should be: one sentence that names it; a reel that is not there: one of its own."""
    (tmp_path / "tape").write_text("in the way")
    with pytest.raises(LakeUnusable, match="tape"):
        Reel(tmp_path / "tape", "v", "f", NOON)
    with pytest.raises(StoreError, match="cannot be read"):
        found(tmp_path / "none.reel")


_CHILD = """
import sys
from pathlib import Path
from htxdata.store.reel import Reel
reel = Reel(Path(sys.argv[1]), "v", "f", 1)
for number in range(100_000):
    reel.frames([number], [b"%d " % number * 500])
    reel.flush()
    print(number, flush=True)
"""


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    """A writer that is killed again and again: what it said was flushed is there, whole and in order, and nobody takes
    the reel for a live one; before, it is one for other processes too."""
    dice = random.Random(3)
    for turn in range(3):
        root = tmp_path / str(turn)
        with subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(root)], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            told = [int(child.stdout.readline())]
            (path,) = reels.reels(root)
            assert is_live(path)
            time.sleep(dice.uniform(0.001, 0.03))
            child.kill()
            told += [int(line) for line in child.stdout.read().splitlines() if line.isdigit()]
        assert not is_live(path)
        whole = [item for item in found(path) if isinstance(item, Frames)]
        assert [block.times for block in whole] == [[number] for number in range(len(whole))]
        assert len(whole) >= len(told)
        assert all(block.bodies == [b"%d " % block.times[0] * 500] for block in whole)
