"""The two processes of a soak (``test_soak.py``): a server that says what HTX spot says of 100 symbols, at a rate that
does not ask whether anybody keeps up, and a capture of it with a stop-watch around each distil.

The server keeps a CRC of all that it sent on each connection: that the reel has the same one proves every byte.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import random
import resource
import struct
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

from isal import isal_zlib

SYMBOLS = [f"coin{number:02}usdt" for number in range(100)]
FIRST_ID, FIRST_NUMBER = 102_523_573_486, 104_998_984_994
REACH = 2000  # trades of a reply (htx-api 3.3)
MOST = 64 << 20
"""Bytes that the server keeps for a client that does not take them: then it gives up, as the venue would hang up."""

TICK_S = 0.001
PING_S = 5.0
SETTLE_S = 1.0
_SIOCOUTQ = 0x5411


# ------------------------------------------------------------------------------------------------- what is said


def _pools() -> tuple[list[bytes], list[tuple[bytes, int]], bytes]:
    """What trades and changes say beside their numbers, over and over; and a whole book. Of a side 150 prices are ever
    named, and half of the changes take a price away: a book stays as large as a real one."""
    dice = random.Random(4)
    trades = [
        b'"amount":%.6f,"price":%.2f,"direction":"%b"'
        % (
            dice.randrange(1, 10**6) / 1e6,
            52648 + dice.randrange(10**4) / 100,
            dice.choice((b"buy", b"sell")),
        )
        for _ in range(4096)
    ]

    def side(first: float, step: float, places: list[int], gone: float) -> bytes:
        sizes = [0 if dice.random() < gone else dice.randrange(1, 10**6) / 1e6 for _ in places]
        return b",".join(
            b"[%.2f,%b]" % (first + step * place, b"%.6f" % size if size else b"0")
            for place, size in zip(places, sizes, strict=True)
        )

    changes = []
    for _ in range(4096):
        bids, asks = (dice.sample(range(150), dice.randrange(1, 9)) for _ in range(2))
        text = b'"bids":[%b],"asks":[%b]' % (side(52690, -0.9, bids, 0.5), side(52691, 0.9, asks, 0.5))
        changes.append((text, len(bids) + len(asks)))
    every = list(range(150))
    return (
        trades,
        changes,
        b'"bids":[%b],"asks":[%b]' % (side(52690, -0.9, every, 0), side(52691, 0.9, every, 0)),
    )


_HEADS = [
    bytes([0x82, size]) if size < 126 else b"\x82\x7e" + size.to_bytes(2, "big") for size in range(1 << 14)
]


def packed(text: bytes) -> bytes:
    return bytes(isal_zlib.compress(text, 1, 31))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# ------------------------------------------------------------------------------------------------- the server


class Ear(asyncio.Protocol):
    """One client: of REST, or of a socket once it shook hands."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.feed = venue, ""
        self.frames, self.crc, self.most = 0, 0, 0
        self._came = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self.venue.ears.get(self.feed) is self:
            del self.venue.ears[self.feed]

    def data_received(self, came: bytes) -> None:
        self._came += came
        while self._one():
            pass

    def _one(self) -> bool:
        came = self._came
        if not self.feed:
            head, end, self._came = came.partition(b"\r\n\r\n")
            if not end:
                self._came = came
                return False
            self._asked(head)
            return True
        if len(came) < 6 or len(came) < (size := (came[1] & 127)) + 6:  # a client's words are short
            return False
        assert size < 126
        key, body = came[2:6], came[6 : 6 + size]
        self._came = came[6 + size :]
        if came[0] & 15 == 8:
            self.transport.write(b"\x88\x02\x03\xe8")
            self.transport.close()
        else:
            self._said(json.loads(bytes(byte ^ key[at % 4] for at, byte in enumerate(body))))
        return True

    def _asked(self, head: bytes) -> None:
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        path = head.split()[1].decode()
        if lines.get(b"upgrade") != b"websocket":
            body = self.venue.answer(path)
            status = b"200 OK" if body else b"404 Not Found"
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )
            return
        key = next(
            line[19:].strip() for line in head.split(b"\r\n") if line[:18].lower() == b"sec-websocket-key:"
        )
        token = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %b\r\n\r\n" % token
        )
        self.feed = {"/ws": "trades", "/feed": "book"}[path]
        self.venue.ears[self.feed] = self
        self.venue.connections.append(self)

    def _said(self, said: dict[str, Any]) -> None:
        venue, ms = self.venue, now_ms()
        if "pong" in said:
            venue.pongs += 1
        elif "sub" in said:
            venue.subscribed.add(said["sub"])
            self.say([packed(b'{"id":"%b","status":"ok","subbed":"%b","ts":%d}'
                             % (said["id"].encode(), said["sub"].encode(), ms))])  # fmt: skip
        elif "req" in said:
            number = FIRST_NUMBER + venue.sent[said["req"]]
            whole = b'{"id":"%b","rep":"%b","status":"ok","ts":%d,"data":{"seqNum":%d,%b}}' % (
                said["id"].encode(), said["req"].encode(), ms, number, venue.whole
            )  # fmt: skip
            venue.requests[said["req"]] += 1
            self.say([packed(whole)])
        venue.look_whether_all()

    def say(self, bodies: list[bytes]) -> None:
        crc = self.crc
        for body in bodies:
            crc = isal_zlib.crc32(body, crc)
        self.crc, self.frames = crc, self.frames + len(bodies)
        self.transport.write(b"".join([part for body in bodies for part in (_HEADS[len(body)], body)]))

    def waiting(self) -> int:
        """Bytes that the client's machine has not taken: in this process, and in the kernel."""
        sock = self.transport.get_extra_info("socket")
        kernel = fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0") if sock.fileno() >= 0 else b"\0\0\0\0"
        return int(self.transport.get_write_buffer_size()) + int(struct.unpack("i", kernel)[0])


class Venue:
    """What is said, to whom, and how much of it was."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate, self.count = rate, int(rate * seconds)
        self.ears: dict[str, Ear] = {}
        self.connections: list[Ear] = []
        self.sent: Counter[str] = Counter()
        self.subscribed: set[str] = set()
        self.requests: Counter[str] = Counter()
        self.pings = self.pongs = self.levels = 0
        self.trades, self.changes, self.whole = _pools()
        self.recent: list[deque[tuple[int, int, bytes]]] = [deque(maxlen=REACH) for _ in SYMBOLS]
        self.all = asyncio.Event()
        self._names = [(f"market.{name}.trade.detail", f"market.{name}.mbp.150") for name in SYMBOLS]

    def look_whether_all(self) -> None:
        if len(self.subscribed) == 2 * len(SYMBOLS) and len(self.requests) == len(SYMBOLS):
            self.all.set()

    def answer(self, path: str) -> bytes:
        """REST: the list of instruments, and the newest trades, the newest first."""
        if path.startswith("/v2/settings/common/symbols"):
            rows = [
                {"sc": name, "bc": name[:-4], "qc": "usdt", "tpp": 2, "tap": 6, "state": "online", "toa": 1514779200000}
                for name in SYMBOLS
            ]  # fmt: skip
            return json.dumps({"status": "ok", "data": rows, "ts": str(now_ms()), "full": 1}).encode()
        if path.startswith("/market/history/trade"):
            name = path.partition("symbol=")[2].partition("&")[0]
            groups = [
                b'{"id":%d,"ts":%d,"data":[%b]}' % told for told in reversed(self.recent[SYMBOLS.index(name)])
            ]
            data = b",".join(groups).replace(b'"tradeId"', b'"trade-id"')
            head = b'{"ch":"market.%b.trade.detail","status":"ok","ts":%d,"data":[' % (
                name.encode(),
                now_ms(),
            )
            return head + data + b"]}"
        return b""

    def some(self, first: int, last: int) -> tuple[list[bytes], list[bytes]]:
        """The frames number ``first`` to ``last``, of trades and of books: each symbol in its turn."""
        ms, count = now_ms(), len(SYMBOLS)
        trades, books = [], []
        pool, changes, sent = self.trades, self.changes, self.sent
        for number in range(first, last):
            turn = number >> 1
            symbol = turn % count
            topic = self._names[symbol][number & 1]
            at = sent[topic]
            sent[topic] = at + 1
            if number & 1:
                text, levels = changes[turn & 4095]
                self.levels += levels
                books.append(packed(b'{"ch":"%b","ts":%d,"tick":{"seqNum":%d,"prevSeqNum":%d,%b}}' % (
                    topic.encode(), ms, FIRST_NUMBER + at + 1, FIRST_NUMBER + at, text)))  # fmt: skip
            else:
                seen = 137_005_445_109 + at
                trade = b'{"id":%d%015d,"ts":%d,"tradeId":%d,%b}' % (
                    seen, turn * 7919 % 10**15, ms, FIRST_ID + at, pool[turn & 4095])  # fmt: skip
                self.recent[symbol].append((seen, ms, trade))
                trades.append(packed(b'{"ch":"%b","ts":%d,"tick":{"id":%d,"ts":%d,"data":[%b]}}' % (
                    topic.encode(), ms, seen, ms, trade)))  # fmt: skip
        return trades, books

    async def send(self) -> dict[str, Any]:
        """All of it, at the rate. ``late``: by how many seconds the server itself was behind, at the most."""
        began, done, late, most = time.monotonic(), 0, 0.0, Counter[str]()
        ticks, held, gave_up = 0, 0, ""
        while done < self.count and not gave_up:
            due = min(self.count, int((time.monotonic() - began) * self.rate))
            late = max(late, (due - done) / self.rate)
            if due > done:
                upto = min(due, done + 2000)
                for feed, bodies in zip(("trades", "book"), self.some(done, upto), strict=True):
                    if (ear := self.ears.get(feed)) is not None and bodies:
                        ear.say(bodies)
                        waits = ear.transport.get_write_buffer_size()
                        held += waits > 0
                        most[feed] = max(most[feed], waits)
                        gave_up = gave_up or (feed if waits > MOST else "")
                done = upto
                ticks += 1
            await asyncio.sleep(0 if due > done else TICK_S)
        took = time.monotonic() - began
        while any(ear.waiting() for ear in self.ears.values()) and time.monotonic() < began + took + 60:
            await asyncio.sleep(0.005)
        return {
            "took": took, "late": late, "held": held / max(1, 2 * ticks), "gave_up": gave_up,
            "most_waiting": most.total(), "drained": time.monotonic() - began - took,
        }  # fmt: skip


async def _serve(rate: float, seconds: float) -> None:
    venue, loop = Venue(rate, seconds), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Ear(venue), "127.0.0.1", 0)

    async def ping() -> None:
        while True:
            await asyncio.sleep(PING_S)
            for ear in venue.ears.values():
                ear.say([packed(b'{"ping":%d}' % now_ms())])
                venue.pings += 1

    def tell(**said: Any) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({**said, "at": time.time(), "cpu": used.ru_utime + used.ru_stime}), flush=True)

    tell(event="serves", port=server.sockets[0].getsockname()[1])
    pinging = asyncio.create_task(ping())
    await venue.all.wait()
    await asyncio.sleep(SETTLE_S)
    tell(event="begins")
    how = await venue.send()
    pinging.cancel()  # what is sent while a client hangs up, it need not hear
    tell(event="sent", **how)
    await loop.run_in_executor(None, sys.stdin.read)
    tell(
        event="ends", topics=venue.sent, levels=venue.levels, pings=venue.pings, pongs=venue.pongs,
        requests=venue.requests.total(), connections=[(e.feed, e.frames, e.crc) for e in venue.connections],
    )  # fmt: skip
    server.close()


# ------------------------------------------------------------------------------------------------- the client


def listen(mode: str, notes: Path, seconds: float) -> int:
    """``htxdata capture``, with a stop-watch; the settings are in the environment. It writes down what each distil
    took, and at the end the lags of all flushes."""
    import threading

    from htxdata.ingest import capture
    from htxdata.ingest.session import Session
    from htxdata.transport.reels import Writer

    writers: list[Writer] = []

    class Kept(Writer):
        """One that forgets no lag."""

        def __init__(self) -> None:
            super().__init__()
            self._lags = deque(maxlen=1 << 20)
            writers.append(self)

    def note(**said: Any) -> None:
        with open(notes, "a") as file:
            print(json.dumps({**said, "at": time.time()}), file=file)

    real = capture.distil

    def timed(store: Any, tape: Any, **options: Any) -> Any:
        began, used = time.monotonic(), time.thread_time()
        found = real(store, tape, **options)
        note(
            event="distil", feed=options["feed"], seconds=time.monotonic() - began, cpu=time.thread_time() - used,
            frames=found.frames, rows=found.rows.total(), quarantined=found.quarantined, gaps=len(found.gaps),
        )  # fmt: skip
        return found

    def tell_lags() -> None:
        note(event="lags", lags=writers[0].lags())

    capture.Writer, capture.distil = Kept, timed  # type: ignore[misc]
    if mode == "capture":
        from htxdata.cli import main

        words = f"capture --venue htx-spot --feed trades --feed book --symbol * --for {int(seconds)}s"
        code = main(words.split())
        tell_lags()
        return int(code or 0)

    from htxdata.config import load
    from htxdata.ingest.signals import until_told

    def tell(status: capture.Status) -> None:
        if status.doing == "listening":
            return
        note(event="heard", frames=status.frames, reconnects=status.reconnects)
        tell_lags()
        os._exit(0)  # all reels are sealed; what would come now is the distilling

    wanted = capture.Wanted("htx-spot", ("trades", "book"), ("*",))
    stop = threading.Event()
    with Session(load(), say=lambda text: print(text, file=sys.stderr)) as session, until_told(stop) as told:
        capture.capture(wanted, session, told.stop, seconds=seconds, distil_every=1e9, on_status=tell)
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve(float(sys.argv[2]), float(sys.argv[3])))
    else:
        sys.exit(listen(sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])))
