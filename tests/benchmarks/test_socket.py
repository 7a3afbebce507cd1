"""From the socket to the tape: against a client that only counts, and against cryptofeed with callbacks.

Frames per CPU second of the client's process, from before it connects until the last byte is synced and the reel is
sealed. The server is another process, which sends frames made before as fast as they are taken; every client of a round
gets the same ones. Without TLS, for all of them. Run as a script this file is the server, or one of the clients.

The server sends every frame by itself, as a venue does. Where a core is free for each side, a client that only counts
is woken for nearly each of them, and that is most of its cost; where both wait for cores, or the server sends a
thousand in one piece, one reading finds many and counting costs next to nothing. So the second figures are told beside
the first: they are what a frame costs us, and no venue sends so. The mark is for cores that are free.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import gzip
import hashlib
import json
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.benchmark

ROUNDS = 5
DISTINCT = 1000
FRAMES = {"trades": 300_000, "books": 100_000, "diffs": 200_000}
FRAMES_FOR_CRYPTOFEED = {"trades": 60_000, "books": 4_000}


# ------------------------------------------------------------------------------------------------- frames


def message(kind: str, number: int, dice: random.Random) -> bytes:
    """As HTX's spot sends it (htx-api 7.3): a trade, a whole book of 150 levels, a difference of mbp.150."""
    ts = 1630994963175 + number * 37
    if kind == "trades":
        seen = 137005445109 + number
        trade = (
            f'{{"id":{seen}{dice.randrange(10**14, 10**15)},"ts":{ts - 2},"tradeId":{102523573486 + number},'
            f'"amount":{dice.randrange(1, 10**6) / 1e6},"price":{52648 + dice.randrange(10**4) / 100},'
            f'"direction":"buy"}}'
        )
        return (
            f'{{"ch":"market.btcusdt.trade.detail","ts":{ts},"tick":{{"id":{seen},"ts":{ts - 2},"data":[{trade}]}}}}'
        ).encode()

    def side(first: float, step: float, levels: int) -> list[list[float]]:
        return [
            [round(first + step * n + dice.random() * step, 2), round(dice.random(), 6)]
            for n in range(levels)
        ]

    if kind == "books":
        tick = {
            "bids": side(52690, -0.9, 150), "asks": side(52691, 0.9, 150), "version": 136998124622 + number,
            "ts": ts - 3,
        }  # fmt: skip
        said = {"ch": "market.btcusdt.depth.step0", "ts": ts, "tick": tick}
    else:
        tick = {
            "seqNum": 104998984994 + number * 17, "prevSeqNum": 104998984977 + number * 17,
            "bids": side(52690, -0.9, dice.randrange(1, 9)), "asks": side(52691, 0.9, dice.randrange(1, 9)),
        }  # fmt: skip
        said = {"ch": "market.btcusdt.mbp.150", "ts": ts, "tick": tick}
    return json.dumps(said, separators=(",", ":")).encode()


@functools.cache
def frames(kind: str) -> list[bytes]:
    dice = random.Random(kind)
    return [gzip.compress(message(kind, number, dice), mtime=0) for number in range(DISTINCT)]


# ------------------------------------------------------------------------------------------------- the server


def framed(payload: bytes, opcode: int = 2) -> bytes:
    """One unmasked frame (RFC 6455 5.2)."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + payload


def serve() -> None:
    """Say the port; then, for every client: shake hands, acknowledge one subscription, send, and say goodbye. The path
    of the request says what and how many."""
    made: dict[str, list[bytes]] = {}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        while True:
            sock, _ = listening.accept()
            with sock, contextlib.suppress(OSError):
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(4096)
                _, kind, count = head.split()[1].decode().split("/")
                lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
                key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
                token = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
                sock.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: " + base64.b64encode(token) + b"\r\n\r\n"
                )
                sock.recv(4096)  # the subscription; its id is 1, whoever asks
                sock.sendall(framed(gzip.compress(b'{"id":"1","status":"ok","subbed":"x","ts":1}')))
                if kind not in made:
                    made[kind] = list(map(framed, frames(kind.removesuffix("-at-once"))))
                    if kind.endswith("-at-once"):
                        made[kind] = [b"".join(made[kind])]
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for _ in range(int(count) // DISTINCT):
                    for piece in made[kind]:
                        sock.sendall(piece)
                sock.sendall(framed(b"\x03\xe8", 8))
                sock.settimeout(30)
                while sock.recv(4096):
                    pass


@contextlib.contextmanager
def serving() -> Iterator[str]:
    child = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield f"ws://127.0.0.1:{int(child.stdout.readline())}"
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


# ------------------------------------------------------------------------------------------------- the clients


async def bare(url: str, count: int) -> int:
    """The limit: picows calls, and a number grows."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

    class Counting(WSListener):
        heard = 0

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            self.heard += 1

    transport, listener = await ws_connect(Counting, url, max_frame_size=16 << 20)
    transport.send(WSMsgType.TEXT, b'{"sub":"x","id":"1"}')
    while listener.heard < count + 2:  # the ack, and the goodbye
        await asyncio.sleep(0.01)
    transport.disconnect()
    await transport.wait_disconnected()
    return listener.heard - 2


async def disk(url: str, count: int) -> int:
    """What no tape gets below: to receive and only count, and to write and sync as many bytes, from one buffer."""
    heard = await bare(url, count)
    kind = url.split("/")[3]
    content = b"".join(frames(kind))
    piece, left = content[: 512 << 10], len(content) * (count // DISTINCT)
    with open(Path(FOLDER) / "floor", "wb", buffering=0) as file:
        while left > 0:
            left -= file.write(piece[: min(left, len(piece))])
            if left // len(piece) % 64 == 0:
                os.fsync(file.fileno())
        os.fsync(file.fileno())
    return heard


async def tape(url: str, count: int) -> int:
    """Ours: everything on a reel, synced every 0.2 s and sealed. The writer is the process's, as in a capture."""
    from htxdata.protocol.session import Session
    from htxdata.store.reel import Reel
    from htxdata.transport.websocket import Line
    from htxdata.venues.frames import unpack
    from htxdata.venues.htx.dialects import MARKET_SPOT

    reel = Reel(Path(FOLDER), "htx-spot", "trades", time.time_ns() // 1000)
    line = Line(url, Session(MARKET_SPOT, ["x"]), reel, the_writer(), unpack=unpack)
    ended = await line.run(asyncio.Event())
    lags = the_writer().lags()
    print(
        f"lag of the oldest frame of a flush: p50 {statistics.median(lags) * 1000:.0f} ms, "
        f"p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms; {reel.path.stat().st_size / ended.heard:.0f} bytes "
        f"a frame on the tape",
        file=sys.stderr,
    )
    return ended.heard - 1


FOLDER = ""


@functools.cache
def the_writer() -> Any:
    from htxdata.transport.reels import Writer

    return Writer()


async def cryptofeed(url: str, count: int) -> int:
    """Its class for this venue, its connection handler, and callbacks that count what they are given."""
    from cryptofeed.connection_handler import ConnectionHandler
    from cryptofeed.defines import HUOBI, L2_BOOK, TRADES
    from cryptofeed.exchanges import Huobi
    from cryptofeed.symbols import Symbols

    heard = 0

    async def callback(item: object, received_at: float) -> None:
        nonlocal heard
        heard += 1
        if heard == count:
            done.set()

    done = asyncio.Event()
    Symbols.set(HUOBI, {"BTC-USDT": "btcusdt"}, {"instrument_type": {"BTC-USDT": "spot"}})
    channel = TRADES if "trades" in url else L2_BOOK
    feed = Huobi(symbols=["BTC-USDT"], channels=[channel], callbacks={channel: callback})
    ((connection, subscribe, handler, authenticate),) = feed.connect()
    connection.address = url  # its constructor takes none without TLS
    running = ConnectionHandler(connection, subscribe, handler, authenticate, 0, timeout=-1)
    task = asyncio.create_task(running._create_connection())
    await done.wait()
    running.running = False
    await connection.close()
    task.cancel()
    await asyncio.wait([task])
    return heard


CLIENTS = {"bare": bare, "disk": disk, "tape": tape, "cryptofeed": cryptofeed}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def client(name: str, url: str, count: int) -> None:
    """Once to warm up (imports, caches), once for the record."""
    global FOLDER
    with tempfile.TemporaryDirectory() as FOLDER:
        warm = count // 5 // DISTINCT * DISTINCT
        asyncio.run(CLIENTS[name](f"{url}/{warm}", warm))
        began = cpu()
        heard = asyncio.run(CLIENTS[name](f"{url}/{count}", count))
        print(heard, cpu() - began)


def rate(name: str, url: str, kind: str, count: int) -> tuple[float, str]:
    """Frames per CPU second, and what the client said."""
    done = subprocess.run(
        [sys.executable, __file__, name, f"{url}/{kind}", str(count)], capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    heard, seconds = done.stdout.split()
    assert int(heard) == count
    return count / float(seconds), (done.stderr.strip().splitlines() or [""])[-1]


# ------------------------------------------------------------------------------------------------- the marks


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", FRAMES)
def test_half_of_the_bare_receive(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """From the socket to a synced tape at half the rate, or more, of a client that only counts. Beside it, what writing
    and syncing as many bytes adds to counting: no tape does with less."""
    sizes = [len(frame) for frame in frames(kind)]
    rates: dict[str, list[float]] = {"bare": [], "disk": [], "tape": []}
    heaps: dict[str, list[float]] = {"bare": [], "tape": []}
    said = ""
    with serving() as url:
        for _ in range(ROUNDS):
            for name, measured in rates.items():
                speed, said = rate(name, url, kind, FRAMES[kind])
                measured.append(speed)
            for name, measured in heaps.items():
                measured.append(rate(name, url, f"{kind}-at-once", FRAMES[kind])[0])
    middle = {name: statistics.median(measured) for name, measured in rates.items()}
    shares = {
        name: statistics.median(
            ours / theirs for ours, theirs in zip(rates["tape"], rates[name], strict=True)
        )
        for name in ("bare", "disk")
    }
    with capsys.disabled():
        print(
            f"\n{kind} ({statistics.mean(sizes):.0f} bytes packed), frames per CPU second, medians of {ROUNDS}:\n"
            f"  picows, only counting           {middle['bare']:>10,.0f}\n"
            f"  the same and writing the bytes  {middle['disk']:>10,.0f}\n"
            f"  htxdata, to the tape            {middle['tape']:>10,.0f}   {shares['bare']:.2f} and "
            f"{shares['disk']:.2f} of these\n  {said}\n  in heaps of {DISTINCT}: only counting "
            f"{statistics.median(heaps['bare']):,.0f}, to the tape {statistics.median(heaps['tape']):,.0f}"
        )
    assert shares["bare"] >= 0.5


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", FRAMES_FOR_CRYPTOFEED)
def test_five_times_cryptofeed(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same frames through cryptofeed's callbacks, which keep nothing: ours takes a fifth of its CPU or less."""
    ours, theirs = [], []
    with serving() as url:
        for _ in range(3):
            theirs.append(rate("cryptofeed", url, kind, FRAMES_FOR_CRYPTOFEED[kind])[0])
            ours.append(rate("tape", url, kind, FRAMES[kind])[0])
    times = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    with capsys.disabled():
        print(
            f"\n{kind}, frames per CPU second, medians of 3:\n"
            f"  cryptofeed, callbacks  {statistics.median(theirs):>10,.0f}\n"
            f"  htxdata, to the tape   {statistics.median(ours):>10,.0f}   {statistics.median(times):.1f} times"
        )
    assert statistics.median(times) >= 5


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        client(sys.argv[1], sys.argv[2], int(sys.argv[3]))
