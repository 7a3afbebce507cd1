"""A process of the tests: is attacked in every way that a venue could, and says how it ended and what memory it took.

``python -m tests.hostile.attacks NAME FOLDER`` prints JSON: the error's class and text, and the peak of the resident
memory above what it was before, in MB. One process for each: a peak never sinks.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import resource
import socket
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from htxdata.errors import HtxdataError
from htxdata.protocol.backoff import Patience
from htxdata.protocol.wire import Request
from htxdata.transport.budget import Budget
from htxdata.transport.download import Downloads
from htxdata.transport.http import Client
from htxdata.transport.line import Limits
from htxdata.transport.unzip import blocks, tar_gz_blocks
from htxdata.venues import VENUES
from tests.transport.local_venue import Behaviour, LocalVenue, answer

GB = 1 << 30
PIECE = bytes(1 << 20)
LIMITS = Limits(total_s=30.0, silence_s=10.0)
PATIENCE = Patience(1, 60.0)


def zeros_gz(size: int, honest: bool = True) -> bytes:
    """A gzip of so many noughts; one that is not honest says at its end that it holds a hundred bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(PIECE) for _ in range(size >> 20)) + packer.flush()
    return packed if honest else packed[:-4] + (100).to_bytes(4, "little")


def pour(head: bytes, piece: bytes, times: int = 1 << 20) -> Callable[[socket.socket], None]:
    def talk(peer: socket.socket) -> None:
        peer.sendall(head)
        for _ in range(times):
            peer.sendall(piece)

    return talk


OK = b"HTTP/1.1 200 OK\r\n"
CHUNK = b"%x\r\n" % len(PIECE) + PIECE + b"\r\n"
REPLIES: dict[str, Callable[[], Behaviour]] = {
    "a reply of 1 GB": lambda: pour(OK + b"Content-Length: %d\r\n\r\n" % GB, PIECE, 1024),
    "a length of 1 EB": lambda: pour(OK + b"Content-Length: %d\r\n\r\n" % (1 << 60), PIECE),
    "a negative length": lambda: pour(OK + b"Content-Length: -1\r\n\r\n", PIECE),
    "endless chunks": lambda: pour(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "a chunk of 1 EB": lambda: pour(OK + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", PIECE),
    "no length and no end": lambda: pour(OK + b"\r\n", PIECE),
    "endless headers": lambda: pour(OK, b"X-A: b\r\n"),
    "a header without an end": lambda: pour(OK + b"X-A: ", PIECE),
    "a gzip bomb": lambda: answer(zeros_gz(GB >> 2), Content_Encoding="gzip"),
    "a gzip bomb that lies": lambda: answer(zeros_gz(GB >> 2, honest=False), Content_Encoding="gzip"),
    "gzip bombs in a row": lambda: answer(zeros_gz(GB >> 5) * 32, Content_Encoding="gzip"),
    "a gzip within a gzip": lambda: answer(gzip.compress(zeros_gz(GB >> 4)), Content_Encoding="gzip, gzip"),
}


@contextlib.contextmanager
def asking(folder: Path, behaviour: Behaviour) -> Iterator[Client]:
    venue = LocalVenue()
    venue.script.extend([behaviour] * 10)
    budget = Budget("venue", 1e6, folder)
    try:
        with Client(venue.url, budget, lambda reply: None, limits=LIMITS, patience=PATIENCE) as client:
            yield client
    finally:
        venue.close()
        budget.close()


def reply(name: str, folder: Path) -> Any:
    with asking(folder, REPLIES[name]()) as client:
        return len(client.get(Request("/x")).body)


def listing(folder: Path) -> Any:
    """Always another page of new names, and always another continuation."""
    venue = LocalVenue()
    number = iter(range(1 << 40))

    def page(peer: socket.socket) -> None:
        at = next(number)
        rows = "".join(
            f"<Contents><Key>data/{at}-{n}.zip</Key><Size>1</Size><ETag>x</ETag>"
            "<LastModified>2024-01-01T00:00:00Z</LastModified></Contents>"
            for n in range(5000)
        )
        said = f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{at}</NextContinuationToken>"
        peer.sendall(answer(f"{said}{rows}</ListBucketResult>".encode()))

    venue.script.extend([page] * 100)
    bucket = next(each.bucket for each in VENUES if each.bucket is not None)
    budget = Budget("venue", 1e6, folder)
    try:
        with Downloads(venue.url, budget, bucket, folder, limits=LIMITS, patience=PATIENCE) as downloads:
            return len(downloads.list("data/"))
    finally:
        venue.close()
        budget.close()


def archive(name: str, folder: Path) -> Any:
    path = folder / "x"
    reader: Callable[[Path], Iterator[bytes]] = blocks
    if name == "a zip bomb":
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
            file.open("x.csv", "w", force_zip64=True) as member,
        ):
            for _ in range(256):
                member.write(PIECE)
    elif name == "a zip bomb that lies":
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("x.csv", bytes(GB >> 3))
        raw = bytearray(made.getvalue())
        small = (1000).to_bytes(4, "little")
        at = raw.rfind(b"PK\x01\x02")
        raw[at + 24 : at + 28] = raw[22:26] = small
        path.write_bytes(raw)
    else:
        reader = tar_gz_blocks
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo("x.csv")
            info.size = GB >> 2
            tar.addfile(info, _Zeros())
    return sum(len(block) for block in reader(path))


class _Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def frames(name: str, folder: Path) -> Any:
    """A block of WebSocket frames, each of which inflates as far as one may."""
    from htxdata.ingest.distil_reel import unpack, unpacked

    one = zeros_gz(60 << 20) if name == "frames that inflate" else zeros_gz(60 << 20, honest=False)
    many = [one] * 40
    if unpacked(many) is not None:
        return "unpacked"
    return sum(len(unpack(each)) for each in many)


def deep(name: str, folder: Path) -> Any:
    from htxdata.venues.terms import Venue

    venue: Venue = VENUES[0]
    body = b'{"status":"ok","data":' + b"[" * 20_000_000
    return len(venue.describe(_Reply(body)).columns)  # type: ignore[arg-type]


class _Reply:
    def __init__(self, body: bytes) -> None:
        self.body, self.status, self.headers, self.received_at = body, 200, {}, 1
        self.request = VENUES[0].listings[0]


OTHERS: dict[str, Callable[[str, Path], Any]] = {
    "a listing without an end": lambda name, folder: listing(folder),
    "a zip bomb": archive,
    "a zip bomb that lies": archive,
    "a tar.gz bomb": archive,
    "frames that inflate": frames,
    "frames that inflate and lie": frames,
    "20 MB of brackets": deep,
}
ATTACKS = [*REPLIES, *OTHERS]


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    before = peak_mb()
    said: dict[str, Any]
    try:
        said = {"error": "", "text": repr((OTHERS.get(name) or reply)(name, folder))}
    except HtxdataError as error:
        said = {"error": type(error).__name__, "text": str(error)[:300]}
    print(json.dumps(said | {"mb": peak_mb() - before}))


if __name__ == "__main__":
    main()
