"""What an acquire and a page cost; `make bench`. Figures on the machine of the design: engineering 6 and 7."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
import requests
from isal import isal_zlib

from htxdata.protocol.wire import Request
from htxdata.transport.budget import Budget
from htxdata.transport.http import Client

pytestmark = pytest.mark.benchmark

_SERVE = """
import asyncio, sys
answer = sys.stdin.buffer.read()
class Talk(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(answer)
async def main():
    server = await asyncio.get_running_loop().create_server(Talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def a_page() -> bytes:
    """2,000 candles as HTX writes them: some 290 kB of JSON."""
    dice = random.Random(1)

    def price() -> str:
        return f"{dice.uniform(30_000, 31_000):.4f}"

    rows = (
        f'{{"id":{1_600_000_000 + 60 * n},"open":{price()},"close":{price()},"low":{price()},"high":{price()},'
        f'"amount":{dice.uniform(0, 100):.8f},"vol":{dice.uniform(0, 1e6):.8f},"count":{dice.randrange(9999)}}}'
        for n in range(2000)
    )
    return ('{"ch":"market.btcusdt.kline.1min","status":"ok","data":[' + ",".join(rows) + "]}").encode()


@pytest.fixture
def url() -> Iterator[str]:
    packed = gzip.compress(a_page(), 6)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n"
    with subprocess.Popen([sys.executable, "-c", _SERVE], stdin=PIPE, stdout=PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(head.encode() + b"ratelimit-remaining: 9\r\nratelimit-reset: 1\r\n\r\n" + packed)
        server.stdin.close()
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


def per_cpu_second(call: Callable[[], object], times: int) -> float:
    call()
    began = time.process_time()
    for _ in range(times):
        call()
    return times / (time.process_time() - began)


def test_pages(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        Client(url, Budget("speed", 1e6, tmp_path), lambda reply: None) as client,
        requests.Session() as session,
    ):
        page = Request("/market/history/kline", (("symbol", "btcusdt"), ("period", "1min"), ("size", "2000")))

        def raw() -> bytes:
            with session.get(url, stream=True) as response:
                return isal_zlib.decompress(response.raw.read(decode_content=False), 31)

        assert client.get(page).body == raw() == a_page()
        speeds = [
            (max(per_cpu_second(call, 300) for _ in range(3)), name)
            for name, call in [
                ("requests.Session", lambda: session.get(url).content),
                ("requests.Session, raw read, isal", raw),
                ("Client.get", lambda: client.get(page)),
            ]
        ]
    with capsys.disabled():
        for speed, name in speeds:
            print(f"\n{name:34} {speed:6.0f} pages per CPU-second", end="")
    assert speeds[-1][0] > 700
    assert speeds[-1][0] > 1.2 * speeds[1][0]


def test_acquire(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = Budget("speed", 1e6, tmp_path)
    cost = 1e6 / max(per_cpu_second(budget.acquire, 5_000) for _ in range(5))
    with capsys.disabled():
        print(f"\nacquire: {cost:.1f} us", end="")
    assert cost < 30
