"""Zips and tar.gz as streams: what comes out is what went in, and what is damaged says so."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htxdata.errors import BadReply, StoreError
from htxdata.transport import unzip
from htxdata.transport.unzip import blocks, tar_gz_blocks

CSV = "".join(
    f"{103130425211 + n},{1735660802822 + 7 * n},95432.{n % 100:02},0.00016,buy\n" for n in range(20_000)
).encode()
NOISE = random.Random(1).randbytes(300_000)
NAME = "BTCUSDT-trades-2025-01-01.csv"

contents = st.one_of(
    st.binary(max_size=3000),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=60), st.integers(0, 5000)),
)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body, method)
    return file.getvalue()


def tarred(
    *members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT, kind: bytes = tarfile.REGTYPE
) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, body in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(body), kind
            archive.addfile(info, io.BytesIO(body))
    return file.getvalue()


def whole(source: Path | bytes, size: int = 1 << 20) -> bytes:
    pieces = list(blocks(source, size))
    assert all(0 < len(piece) <= size for piece in pieces)
    return b"".join(pieces)


def whole_tar(source: Path | bytes, size: int = 1 << 20) -> bytes:
    pieces = list(tar_gz_blocks(source, size))
    assert all(0 < len(piece) <= size for piece in pieces)
    return b"".join(pieces)


# ----------------------------------------------------------------------------------------------------- what went in


@settings(deadline=None)
@given(contents, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.integers(1, 5000))
def test_what_zipfile_packs_comes_out(body: bytes, method: int, size: int) -> None:
    """Whatever it is, stored or deflated, in blocks of any size."""
    assert whole(zipped((NAME, body), method=method), max(size, len(body) // 500 + 1)) == body


@settings(deadline=None)
@given(
    contents, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), st.booleans()
)
def test_what_tarfile_packs_comes_out(body: bytes, form: int, long: bool) -> None:
    """In each of its formats, with names that need a header of their own."""
    name = "historical/" + "x" * (300 * (form != tarfile.USTAR_FORMAT) * long) + ".data"
    assert whole_tar(gzip.compress(tarred((name, body), form=form))) == body


def test_from_a_file(tmp_path: Path) -> None:
    """A path, as well as bytes."""
    (tmp_path / "a.zip").write_bytes(zipped((NAME, CSV)))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tarred((NAME, CSV))))
    assert whole(tmp_path / "a.zip") == whole_tar(tmp_path / "a.tar.gz") == CSV
    with pytest.raises(StoreError, match=r"none\.zip: No such file"):
        whole(tmp_path / "none.zip")


def test_zip64_and_a_zip_that_was_written_as_a_stream() -> None:
    """Sizes in the extra field; sizes after the data."""

    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.taken = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.taken += data
            return len(data)

    for force in (True, False):
        stream = Stream()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
            with archive.open(NAME, "w", force_zip64=force) as member:
                member.write(CSV)
        assert whole(bytes(stream.taken)) == CSV


@pytest.mark.parametrize("remark", ["remark.txt", "data/REMARK.TXT", "folder/"])
def test_a_remark_beside_the_data_is_ignored(remark: str) -> None:
    """HTX lays one beside its data; a folder is no file."""
    members = [(remark, b"" if remark.endswith("/") else b"fields: id, ts, price"), (NAME, CSV)]
    for order in (members, members[::-1]):
        assert whole(zipped(*order)) == CSV
    if not remark.endswith("/"):
        for order in (members, members[::-1]):
            assert whole_tar(gzip.compress(tarred(*order))) == CSV


def test_gzip_members_in_a_row() -> None:
    """One stream of them is one tar; cut wherever."""
    tar = tarred((NAME, CSV))
    for at in (1, 512, 700, len(tar) - 1):
        assert whole_tar(gzip.compress(tar[:at]) + gzip.compress(tar[at:])) == CSV


@pytest.mark.parametrize("bite", [1, 3, 100])
def test_however_the_disk_hands_it_out(monkeypatch: pytest.MonkeyPatch, bite: int) -> None:
    """A header of the stream may be cut anywhere."""
    monkeypatch.setattr(unzip, "_BITE", bite)
    assert whole(zipped((NAME, CSV[:9000]))) == CSV[:9000]
    assert whole_tar(gzip.compress(tarred((NAME, CSV[:9000])))) == CSV[:9000]


# -------------------------------------------------------------------------------------------------------- what is wrong


def with_directory(packed: bytes, at: int, form: str, value: int) -> bytes:
    """The same zip with another value in its central directory (APPNOTE 4.3.12)."""
    start = packed.rindex(b"PK\x01\x02")
    new = bytearray(packed)
    struct.pack_into(form, new, start + at, value)
    return bytes(new)


PACKED = zipped((NAME, CSV))
STORED = zipped((NAME, CSV), method=zipfile.ZIP_STORED)
LONGER = with_directory(STORED, 24, "<I", 10**7)
TAR = tarred((NAME, CSV))


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"", "this is no zip"),
        (b"<html>not found</html>", "this is no zip"),
        (gzip.compress(CSV), "this is no zip"),
        (PACKED[:-30], "the zip is torn"),
        (PACKED[: len(PACKED) // 2], "the zip is torn"),
        (zipped(), r"holds nothing instead of one file of data"),
        (zipped(("remark.txt", b"x")), r"holds 1 file \(remark.txt\) instead"),
        (zipped((NAME, CSV), ("other.csv", CSV)), rf"holds 2 files \({NAME}, other.csv\) instead"),
        (zipped(*[(f"{n}.csv", b"") for n in range(9)]), r"holds 9 files \(0.csv, 1.csv, 2.csv, 3.csv, …\)"),
        (with_directory(PACKED, 8, "<H", 1), f"is encrypted: {NAME}"),
        (with_directory(PACKED, 8, "<H", 1 << 6), "is encrypted"),
        (with_directory(PACKED, 10, "<H", 12), "a method that we do not know: 12"),
        (with_directory(PACKED, 16, "<I", 7), "sums to .* and its directory says 00000007"),
        (with_directory(STORED, 16, "<I", 7), "sums to .* and its directory says 00000007"),
        (with_directory(PACKED, 24, "<I", len(CSV) - 1), f"has more than its {len(CSV) - 1} bytes"),
        (with_directory(PACKED, 24, "<I", len(CSV) + 1), f"has fewer than its {len(CSV) + 1} bytes"),
        (with_directory(STORED, 24, "<I", len(CSV) + 1), "has fewer than its"),
        (with_directory(PACKED, 20, "<I", 100), "is cut after"),
        (with_directory(PACKED, 20, "<I", 10**8), "ends before its compressed bytes do"),
        (with_directory(LONGER, 20, "<I", 10**7), "is torn: .* compressed bytes of .* are missing"),
        (with_directory(PACKED, 42, "<I", 5), "is not where its directory says"),
        (with_directory(PACKED, 42, "<I", 10**8), "is not where its directory says"),
        (with_directory(PACKED, 24, "<I", 4 * 10**9), r"inflate to 4000000000, which no data does"),
        (PACKED[:200] + bytes(40) + PACKED[240:], "damaged"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_zip_is_said(packed: bytes, words: str) -> None:
    """In one sentence; and no more is handed out than was to be expected."""
    with pytest.raises(BadReply, match=words):
        whole(packed)


@pytest.mark.parametrize(
    "name",
    ["../x.csv", "a/../../x.csv", "/etc/x.csv", "C:/x.csv", "a\\x.csv", "..", "a/./b", "x\n.csv", "x" * 301],
)
def test_a_name_that_data_does_not_have(name: str) -> None:
    """Nothing is written by it, and yet: it is not the venue's."""
    with pytest.raises(BadReply, match="a name that data does not have"):
        whole(zipped((name, CSV)))
    if len(name) <= 300:  # the header of its own that a long name has in a tar is skipped
        with pytest.raises(BadReply, match="a name that data does not have"):
            whole_tar(gzip.compress(tarred((name, CSV))))


def test_a_name_that_ends_in_nothing() -> None:
    """zipfile cuts names at a zero byte, the name that counts is the whole one."""
    packed = PACKED.replace(NAME.encode(), b"BTCUSDT\0trades-2025-01-01.csv")
    with pytest.raises(BadReply, match=r"a name that data does not have: 'BTCUSDT\\x00trades"):
        whole(packed)


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"", "this is no tar.gz"),
        (b"\x1f", "this is no tar.gz"),
        (b"\x1f\x8b", "the gzip stream is cut after 0 bytes"),
        (PACKED, "this is no tar.gz"),
        (gzip.compress(b""), "the tar is torn"),
        (gzip.compress(CSV), "the tar is damaged"),
        (gzip.compress(TAR)[:-1], "the gzip stream is cut"),
        (gzip.compress(TAR)[:-8] + bytes(8), "cannot be inflated"),
        (gzip.compress(TAR)[:-4] + bytes(4), "cannot be inflated"),
        (gzip.compress(TAR) + b"more", "something follows its end"),
        (gzip.compress(TAR[:5000]), "the tar is torn"),
        (gzip.compress(TAR[: 512 + len(CSV)]), "the tar is torn"),
        (gzip.compress(TAR + b"more"), "something follows its end"),
        (gzip.compress(bytes(10_240)), "holds nothing instead of one file"),
        (gzip.compress(tarred(("remark.txt", b"x"))), r"holds 1 file \(remark.txt\)"),
        (gzip.compress(tarred((NAME, CSV), ("b", CSV))), rf"holds 2 files \({NAME}, b\)"),
        (gzip.compress(tarred((NAME, b""), kind=tarfile.SYMTYPE)), "something that is no file"),
        (gzip.compress(tarred((NAME, b""), kind=tarfile.LNKTYPE)), "something that is no file"),
        (gzip.compress(TAR[:100] + b"9" + TAR[101:]), "the tar is damaged: bad checksum"),
    ],
)
def test_what_is_wrong_with_a_tar_is_said(packed: bytes, words: str) -> None:
    """In one sentence."""
    with pytest.raises(BadReply, match=words):
        whole_tar(packed)


def test_a_tar_that_tells_a_size_elsewhere() -> None:
    """A pax header may overrule the size in the member's own; we do not read it, and say so."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(NAME)
        info.size, info.pax_headers = len(CSV), {"size": str(len(CSV))}
        archive.addfile(info, io.BytesIO(CSV))
    with pytest.raises(BadReply, match="size is told in a way"):
        whole_tar(gzip.compress(file.getvalue()))


def bomb(size: int) -> bytes:
    """Zeros, deflated to a thousandth."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def zip_of(packed: bytes, size: int, crc: int = 0) -> bytes:
    """A zip around deflated bytes that claims to hold ``size`` bytes."""
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(packed), size, 5, 0)
    local = b"PK\x03\x04" + fields + b"a.csv" + packed
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + b"a.csv"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + end


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    """Whether it says how large it is, lies about it, or is a gzip that says nothing."""
    packed = bomb(100 << 20)
    with pytest.raises(BadReply, match="104857600, which no data does"):
        next(blocks(zip_of(packed, 100 << 20)))
    for stream, words, most in (
        (blocks(zip_of(packed, 1 << 20)), "more than its 1048576 bytes", 1 << 20),
        (tar_gz_blocks(gzip.compress(tarred((NAME, bytes(70 << 20))), 1)), "which no data does", 65 << 20),
    ):
        made: list[int] = []
        with pytest.raises(BadReply, match=words):
            made.extend(map(len, stream))
        assert sum(made) <= most
    assert len(list(blocks(zip_of(bomb(32 << 20), 32 << 20, zlib.crc32(bytes(32 << 20)))))) == 32


@pytest.mark.parametrize("pack", [zipped, lambda *m: zipped(*m, method=zipfile.ZIP_STORED)])
def test_no_flipped_bit_and_no_cut_goes_unnoticed(pack: Callable[..., bytes]) -> None:
    """What is handed out to its end is what went in."""
    dice, body = random.Random(2), CSV[:3000]
    packed = pack((NAME, body))
    for spoilt in spoilings(dice, packed, 1500):
        try:
            assert whole(spoilt) == body
        except BadReply:
            continue


def test_no_flipped_bit_and_no_cut_of_a_tar_goes_unnoticed() -> None:
    """The same."""
    dice, body = random.Random(3), CSV[:3000]
    packed = gzip.compress(tarred((NAME, body)))
    for spoilt in spoilings(dice, packed, 1000):
        try:
            assert whole_tar(spoilt) == body
        except BadReply:
            continue


def spoilings(dice: random.Random, packed: bytes, times: int) -> Iterator[bytes]:
    for turn in range(times):
        spoilt = bytearray(packed)
        for _ in range(1 + turn % 3):
            spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        yield bytes(spoilt[: dice.randrange(len(spoilt))] if turn % 4 == 0 else spoilt)


# -------------------------------------------------------------------------------------------------------- what it costs


def test_memory_does_not_grow_with_the_content(tmp_path: Path) -> None:
    """15 MB through five."""
    path = tmp_path / "a.zip"
    path.write_bytes(zipped((NAME, NOISE * 50)))
    tracemalloc.start()
    assert sum(map(len, blocks(path))) == 15_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 << 20


@pytest.mark.benchmark
def test_against_zipfile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trades as HTX packs them, a large file and a small one; MB of CSV per CPU-second."""
    dice = random.Random(4)
    rows, at, price = [], 1735660802822, 95432.42
    for n in range(400_000):
        at, price = at + dice.randrange(300), round(price + dice.gauss(0, 1), 2)
        side = "buy" if dice.random() < 0.5 else "sell"
        rows.append(f"{103130425211 + 2 * n},{at},{price},{dice.expovariate(20):.5f},{side}\n")
    csv = "".join(rows).encode()

    def theirs(path: Path) -> None:
        with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as member:
            while member.read(1 << 20):
                pass

    def ours(path: Path) -> None:
        for _ in blocks(path):
            pass

    ratios = {}
    for label, body, times in (("large", csv, 3), ("small", csv[:100_000], 300)):
        path = tmp_path / f"{label}.zip"
        path.write_bytes(zipped((NAME, body)))
        speeds = []
        for call in (theirs, ours):
            best = float("inf")
            for _ in range(5):
                began = time.process_time()
                for _ in range(times):
                    call(path)
                best = min(best, (time.process_time() - began) / times)
            speeds.append(len(body) / best / 1e6)
        ratios[label] = speeds[1] / speeds[0]
        with capsys.disabled():
            print(
                f"\n{label}: zipfile {speeds[0]:.0f}, ours {speeds[1]:.0f} MB/s: x{ratios[label]:.2f}", end=""
            )
    assert ratios["large"] > 2
    assert ratios["small"] > 1.5
