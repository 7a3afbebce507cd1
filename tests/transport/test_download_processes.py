"""Downloads by real processes: killed in the middle, two at one file, and how much memory and time they take."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest
import requests

from htxdata.transport.budget import Budget
from htxdata.transport.download import Downloads
from tests.transport.archive import BUCKET, Archive, Fault, Thing
from tests.waits import until

KEY = "data/trades/spot/daily/BTCUSDT/BTCUSDT-trades-2025-01-01.zip"
BODY = random.Random(1).randbytes(3_000_000)
ROOT = Path(__file__).parents[2]

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    yield archive
    archive.close()


@pytest.fixture
def start(archive: Archive, tmp_path: Path) -> Iterator[Start]:
    """A process that will fetch these keys when it is told to."""
    with ExitStack() as stack:

        def start(*keys: str) -> subprocess.Popen[str]:
            command = [
                sys.executable,
                "-m",
                "tests.transport.fetcher",
                archive.url,
                tmp_path / "spool",
                tmp_path,
            ]
            child = subprocess.Popen(
                [*map(str, command), *keys],
                stdin=PIPE,
                stdout=PIPE,
                text=True,
                cwd=ROOT,
                env=dict(os.environ),
            )
            stack.enter_context(child)
            stack.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            return child

        yield start


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def told(child: subprocess.Popen[str]) -> dict[str, object]:
    assert child.stdout is not None
    return dict(json.loads(child.stdout.readline()))


@pytest.mark.parametrize(
    "sent",
    [400_000, pytest.param(1_000, marks=pytest.mark.slow), pytest.param(2_999_999, marks=pytest.mark.slow)],
)
def test_what_a_killed_process_left_is_continued(
    archive: Archive, start: Start, tmp_path: Path, sent: int
) -> None:
    """Anywhere on the way: what it had is not asked for again, and what comes out is the file."""
    known = archive.put(KEY, BODY)
    archive.faults[KEY].extend([Fault(), Fault(cut=sent, stall=30)])  # whether it is small is asked first
    child = start(KEY)
    tell(child)
    until(lambda: archive.times(KEY) == 2 and archive.asked[-1].sent == sent)
    until(lambda: sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.part")) == sent)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    archive.asked.clear()
    with Downloads(archive.url, Budget("archive", 1e6, tmp_path), BUCKET, tmp_path / "spool") as downloads:
        got = downloads.fetch(KEY, known=known)
        assert got.path is not None
        assert got.path.read_bytes() == BODY
        assert got.checked
        assert archive.sent(KEY) == len(BODY) - sent
        downloads.release(got)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.slow
def test_a_process_may_be_killed_over_and_over(archive: Archive, start: Start, tmp_path: Path) -> None:
    """At any instant; the file is whole in the end, and no byte that reached the disk is asked for twice."""
    known = archive.put(KEY, BODY)
    slow = Thing(len(BODY), known.etag, lambda: (time.sleep(0.002) or BODY[at : at + 9_973]
                                                 for at in range(0, len(BODY), 9_973)))  # fmt: skip
    archive.things[KEY] = slow
    dice = random.Random(5)
    for _ in range(4):
        child = start(KEY)
        tell(child)
        time.sleep(dice.uniform(0.01, 0.25))
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    with Downloads(archive.url, Budget("archive", 1e6, tmp_path), BUCKET, tmp_path / "spool") as downloads:
        (part,) = (path for path in (tmp_path / "spool").iterdir() if path.suffix in (".part", ".zip"))
        held = part.stat().st_size
        assert held > 0
        archive.asked.clear()
        got = downloads.fetch(KEY, known=known)
        assert got.path is not None
        assert got.path.read_bytes() == BODY
        assert archive.sent(KEY) == len(BODY) - held


def test_two_processes_fetch_a_file_once(archive: Archive, start: Start, tmp_path: Path) -> None:
    """The second has it from the first, and the first one's release does not take it away."""
    archive.put(KEY, BODY)
    archive.faults[KEY].extend([Fault(), Fault(cut=1_000_000, stall=0.3)])  # a look, then the file
    children = [start(KEY), start(KEY)]
    tell(children[0])
    while archive.times(KEY) < 2:  # the first is at it: whatever the machine is busy with, the second finds it so
        time.sleep(0.01)
    tell(children[1])
    first, second = (told(child) for child in children)
    assert first["path"] == second["path"]
    assert first["sha256"] == second["sha256"] == hashlib.sha256(BODY).hexdigest()
    whole = [asked for asked in archive.asked if asked.key == KEY and asked.headers.get("range")]
    assert len(whole) == 1
    assert archive.times(KEY) <= 4
    tell(children[0])
    assert children[0].wait(10) == 0
    assert Path(str(second["path"])).read_bytes() == BODY
    tell(children[1])
    assert children[1].wait(10) == 0
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_a_file(archive: Archive, start: Start) -> None:
    """300 MB through less than 40 MB."""
    block, times = random.Random(3).randbytes(1 << 20), 300
    whole = hashlib.sha256()
    for _ in range(times):
        whole.update(block)
    archive.things["big.zip"] = Thing(times << 20, "e", lambda: itertools.repeat(block, times))
    child = start("big.zip")
    tell(child)
    got = told(child)
    assert (got["sha256"], got["size"], got["checked"]) == (whole.hexdigest(), times << 20, False)
    assert int(str(got["grown"])) < 40 << 20
    tell(child)
    assert child.wait(10) == 0


# -------------------------------------------------------------------------------------------------------- what it costs

_SERVE = """
import asyncio, hashlib, sys
body = sys.stdin.buffer.read()
line = hashlib.sha256(body).hexdigest().encode() + b"  x.zip"
head = (b"HTTP/1.1 200 OK\\r\\nx-amz-id-2: 7Zq0fG9Y1M0W2n6rX0yqv0V7d2Y5q3c8V9m4p1Zk\\r\\n"
        b"x-amz-request-id: 8A1D5C0BD2F31A44\\r\\nDate: Tue, 03 Nov 2026 10:00:00 GMT\\r\\n"
        b"Last-Modified: Tue, 03 Nov 2026 09:00:00 GMT\\r\\nETag: \\"0123456789abcdef0123456789abcdef\\"\\r\\n"
        b"x-amz-server-side-encryption: AES256\\r\\nAccept-Ranges: bytes\\r\\nContent-Type: application/zip\\r\\n"
        b"Server: AmazonS3\\r\\nContent-Length: %d\\r\\n\\r\\n")
file, checksum = (head % len(text) + text for text in (body, line))
class Talk(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(checksum if b"CHECKSUM" in data else file)
async def main():
    server = await asyncio.get_running_loop().create_server(Talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@pytest.mark.benchmark
def test_a_small_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both of our requests, the sum and the verdict, against one request of others."""
    body = random.Random(4).randbytes(40_000)
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdin=PIPE, stdout=PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(body)
        server.stdin.close()
        port = int(server.stdout.readline())
        url = f"http://127.0.0.1:{port}"
        keys = [f"data/klines/spot/daily/BTCUSDT/1min/BTCUSDT-1min-{n}.zip" for n in range(1000)]
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def bare(key: str) -> bytes:
            connection.request("GET", "/" + key)
            return connection.getresponse().read()

        bucket = replace(BUCKET, checksum_keys=lambda key: (key + ".CHECKSUM",))
        with (
            Downloads(url, Budget("speed", 1e6, tmp_path), bucket, tmp_path / "spool") as downloads,
            requests.Session() as session,
        ):
            assert downloads.fetch(keys[0]).content == bare(keys[0]) == body
            costs = {}
            for name, call in [
                ("requests.Session, file only", lambda key: session.get(f"{url}/{key}").content),
                ("http.client, file only", bare),
                ("Downloads, file and checksum", downloads.fetch),
            ]:
                best = float("inf")
                for _ in range(3):
                    began = time.process_time()
                    for key in keys:
                        call(key)
                    best = min(best, (time.process_time() - began) / len(keys))
                costs[name] = best
        server.kill()
        connection.close()
    with capsys.disabled():
        for name, cost in costs.items():
            print(f"\n{name:34} {cost * 1e6:6.0f} us of CPU a file", end="")
    assert costs["Downloads, file and checksum"] < 1.2 * costs["requests.Session, file only"]
