"""A capture of 100 symbols' trades and books under a load that does not wait for it (``soak.py``): what it takes, and
that nothing is lost.

``capture`` is ``htxdata capture --venue htx-spot --feed trades --feed book --symbol '*'`` with all its distilling,
``tape`` the same work with distilling put off, and ended when its reels are sealed. Both are processes, watched from
outside. ``HTXDATA_BENCH=full`` lasts half an hour and more: ten minutes to the tape alone, ten minutes with all
distilling, and ten minutes at the rate of a busy market. Without it, seconds of the first and the last. One alone:

    python -m tests.benchmarks.test_soak <frames a second> <seconds> tape|capture
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from isal import isal_zlib

from tests.benchmarks import soak

pytestmark = pytest.mark.benchmark

FULL = os.environ.get("HTXDATA_BENCH") == "full"
SOAKS = (
    [("tape", 60_000, 600), ("capture", 10_000, 600), ("capture", 2_000, 600)]
    if FULL
    else [("tape", 20_000, 8), ("capture", 2_000, 8)]
)
FLAT = 4.0
"""Bytes that the memory of a capture to the tape may grow by for each frame: no object is that small. It is not quite
flat on a busy machine: what waited longest for the disk so far is memory that the process keeps."""


# ------------------------------------------------------------------------------------------------- watching


@dataclass
class Sample:
    """``cpu`` in seconds since the process began; ``main`` of its first thread; memory in bytes."""

    at: float
    cpu: float
    main: float
    rss: int
    anon: int


_HZ = os.sysconf("SC_CLK_TCK")


def sample(pid: int) -> Sample:
    def cpu(path: str) -> float:
        words = Path(path).read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _HZ

    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, anon = (int(status[name].split()[0]) << 10 for name in ("VmRSS", "RssAnon"))
    return Sample(time.time(), cpu(f"/proc/{pid}/stat"), cpu(f"/proc/{pid}/task/{pid}/stat"), rss, anon)


def machine() -> tuple[float, float]:
    """Jiffies of all processors: idle, and all."""
    words = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return words[3] + words[4], sum(words)


@dataclass
class Soaked:
    """What came of it. ``lost`` is empty where everything that was sent is on the tape, and in the lake."""

    mode: str
    rate: float
    seconds: float
    sent: dict[str, Any]
    ends: dict[str, Any]
    samples: list[Sample]
    distils: list[dict[str, Any]]
    lags: list[float]
    delays: list[int]
    lost: list[str]
    client_cpu: float
    server_cpu: float
    idle: float
    load: tuple[float, float]
    afterwards: float
    tape_bytes: int = 0
    lake_bytes: tuple[int, int] = (0, 0)
    """Of the partitions, and with the generations before, which stay for readers."""

    lake_rows: dict[str, int] = field(default_factory=dict)
    said: str = ""

    @property
    def keeps_up(self) -> bool:
        """Nothing lost, and a second after the last frame the client has taken all. (Whether the server kept its rate
        on a busy machine is told by ``took``.)"""
        sent = self.sent
        return not self.lost and not sent["gave_up"] and sent["drained"] < 1.0

    def slope(self, name: str = "anon") -> float:
        """Bytes a second that memory grew by in the second half (least squares)."""
        half = self.samples[len(self.samples) // 2 :]
        middle = sum(s.at for s in half) / len(half)
        over = sum((s.at - middle) ** 2 for s in half)
        return sum((s.at - middle) * getattr(s, name) for s in half) / over if over else 0.0

    def highest(self, name: str, part: int, of: int) -> int:
        """The highest memory in one part of the time."""
        size = len(self.samples) / of
        return max(getattr(s, name) for s in self.samples[int(part * size) : max(1, int((part + 1) * size))])

    def __str__(self) -> str:
        frames, sent = sum(self.ends["topics"].values()), self.sent
        mega = 1 << 20
        quarters = "/".join(f"{self.highest('anon', part, 4) / mega:.0f}" for part in range(4))
        lines = [
            f"{self.mode}: {self.rate:,.0f} frames/s for {self.seconds:.0f} s: {frames:,} sent in {sent['took']:.1f} s"
            f" ({frames / sent['took']:,.0f}/s), {'LOST: ' + '; '.join(self.lost) if self.lost else 'nothing lost'}",
            f"  client {self.client_cpu:.1f} CPU s = {100 * self.client_cpu / sent['took']:.0f} % of a core, "
            f"{frames / self.client_cpu:,.0f} frames per CPU s; main thread "
            f"{100 * (self.samples[-1].main - self.samples[0].main) / sent['took']:.0f} %; server "
            f"{100 * self.server_cpu / sent['took']:.0f} %",
            f"  memory (anonymous) at most {max(s.anon for s in self.samples) / mega:.0f} MiB, by quarters {quarters}, "
            f"slope of the second half {self.slope() * 60 / mega:+.2f} MiB/min (with files "
            f"{self.slope('rss') * 60 / mega:+.2f}, at most {max(s.rss for s in self.samples) / mega:.0f} MiB)",
            f"  receipt to tape p50 {_at(self.lags, 50) * 1e3:.0f} ms, p99 {_at(self.lags, 99) * 1e3:.0f} ms, most "
            f"{_at(self.lags, 100) * 1e3:.0f} ms ({len(self.lags)} flushes, each its oldest frame); server's stamp to "
            f"receipt p50 {_at(self.delays, 50)}, p99 {_at(self.delays, 99)}, most {_at(self.delays, 100)} ms",
            f"  server: late {sent['late']:.2f} s at most, {sent['most_waiting'] / 1024:,.0f} KiB waiting at most, in "
            f"{100 * sent['held']:.1f} % of its writes; drained {sent['drained'] * 1e3:.0f} ms after the last; "
            f"{self.ends['pongs']} of {self.ends['pings']} pings answered, {self.ends['requests']} whole books",
            f"  machine: load {self.load[0]:.1f} before, {self.load[1]:.1f} after, idle {100 * self.idle:.0f} %; tape "
            f"{self.tape_bytes / mega:,.0f} MiB, lake {self.lake_bytes[0] / mega:,.0f} MiB, with older "
            f"generations {self.lake_bytes[1] / mega:,.0f} MiB, {self.lake_rows}; "
            f"{self.afterwards:.1f} s from the last frame to the end of the process",
        ]  # fmt: skip
        lines += [
            f"  distil {d['feed']:6} {d['since']:6.1f} s: {d['seconds']:6.2f} s ({d['cpu']:5.2f} CPU), "
            f"{d['frames']:>9,} frames, {d['rows']:>10,} rows"
            for d in self.distils
        ]
        return "\n".join(lines)


def _at(values: list[Any], percent: int) -> Any:
    return values[min(len(values) - 1, len(values) * percent // 100)] if values else 0


# ------------------------------------------------------------------------------------------------- what is on the tape


EACH, SOME = 4_000_000, 37
"""Frames of a connection up to which each is unpacked; of more, one in so many is, and the CRC stands for the rest."""


def taped(tape: Path, ends: dict[str, Any]) -> tuple[list[str], list[int]]:
    """What is not as it was sent, and how many milliseconds late every frame was heard, sorted."""
    from htxdata.store import reel
    from htxdata.venues.frames import unpacked

    lost: list[str] = []
    late: Counter[int] = Counter()
    there: Counter[str] = Counter()
    whole = True
    for feed, mark, first in (
        ("trades", b'"tradeId":', soak.FIRST_ID),
        ("book", b'"seqNum":', soak.FIRST_NUMBER + 1),
    ):
        # A reel without a frame has replies of REST that came when no connection stood any more.
        paths = [
            path for path in reel.reels(tape, "htx-spot", feed)
            if any(isinstance(found, reel.Frames) for _, found in reel.read(path))
        ]  # fmt: skip
        sent = [(frames, crc) for name, frames, crc in ends["connections"] if name == feed]
        if len(paths) != len(sent):
            lost.append(f"{len(paths)} reels of {feed}, of {len(sent)} connections")
        for path, (frames, crc) in zip(paths, sent, strict=False):
            count, checked = 0, 0
            step = 1 if frames <= EACH else SOME
            for _, found in reel.read(path):
                if isinstance(found, reel.Torn):
                    lost.append(f"{path.name}: torn {found}")
                if not isinstance(found, reel.Frames):
                    continue
                begin = -count % step
                count += len(found.bodies)
                checked = isal_zlib.crc32(b"".join(found.bodies), checked)
                times, together = found.times[begin::step], unpacked(found.bodies[begin::step])
                assert together is not None
                for received_at, message in zip(times, together[0], strict=True):
                    if message[:7] != b'{"ch":"':
                        continue  # an ack, a ping, a whole book
                    end = message.index(b'"', 7)
                    topic, at = message[7:end].decode(), message.index(mark, end) + len(mark)
                    number = int(message[at : at + 12]) - first
                    if number < there[topic] or (step == 1 and number > there[topic]):
                        lost.append(f"{topic}: number {number} after {there[topic]} frames")
                    there[topic] = number + 1
                    late[received_at // 1000 - int(message[end + 7 : end + 20])] += 1
            whole &= step == 1
            if (count, checked) != (frames, crc):
                lost.append(f"{path.name}: {count} frames of CRC {checked:08x}, sent {frames} of {crc:08x}")
    if whole and there != Counter(ends["topics"]):
        lost.append(f"{there.total()} frames of {len(there)} topics, sent {sum(ends['topics'].values())}")
    return lost[:10], sorted(late.elements())


def in_the_lake(lake: Path, ends: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    """Rows of the lake, and what of them is not as it was sent."""
    from htxdata.store.partition import Store

    store, rows = Store(lake), Counter[str]()
    for dataset, name in (("trades", "trade_id"), ("book_changes", "kind")):
        for series in store.series(dataset=dataset, venue="htx-spot"):
            for partition in store.partitions(series):
                for table in store.tables(partition, [name]):
                    if dataset == "trades":
                        rows[dataset] += len(table)
                    else:
                        for kind in table[name].value_counts().to_pylist():
                            rows[kind["values"]] += kind["counts"]
    lost = []
    trades = sum(count for topic, count in ends["topics"].items() if topic.endswith("trade.detail"))
    for name, wanted in (("trades", trades), ("delta", ends["levels"])):
        if rows[name] != wanted:
            lost.append(f"{rows[name]:,} {name} in the lake of {wanted:,} sent")
    return lost, dict(rows)


# ------------------------------------------------------------------------------------------------- all together


@contextlib.contextmanager
def _child(*words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen([sys.executable, soak.__file__, *words], text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _serving(rate: float, seconds: float) -> Iterator[tuple[Callable[[float], Any], Callable[[], None]]]:
    """A server: what it says next (``queue.Empty`` where it says nothing for so long), and how to let it end."""
    with _child("serve", str(rate), str(seconds), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reading = threading.Thread(
            target=lambda out: [lines.put(line) for line in out], args=(server.stdout,)
        )
        reading.start()
        try:
            yield lambda timeout: json.loads(lines.get(timeout=timeout)), server.stdin.close
        finally:
            server.kill()
            reading.join()


def _size(folder: Path, pattern: str = "*") -> int:
    """Bytes of the files; those with several names (the newest generation of a partition) once."""
    files = [path.stat() for path in folder.rglob(pattern) if path.is_file()]
    return sum({one.st_ino: one.st_size for one in files}.values())


def soaked(rate: float, seconds: float, mode: str, *, progress: bool = False) -> Soaked:
    """Serve at ``rate`` for ``seconds``, capture it, and look at what came of it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="htxdata-soak-")))
        says, let_go = stack.enter_context(_serving(rate, seconds))
        port = says(30)["port"]
        notes, words = folder / "notes", stack.enter_context(open(folder / "words", "w+"))
        settings = {
            "HTXDATA_LAKE": str(folder / "lake"), "HTXDATA_TAPE": str(folder / "tape"),
            "HTXDATA_HOSTS__HTX_SPOT_WS": f"ws://127.0.0.1:{port}",
            "HTXDATA_HOSTS__HTX_SPOT_REST": f"http://127.0.0.1:{port}", "HTXDATA_HOSTS__HTX_ARCHIVE": "",
        }  # fmt: skip
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HTXDATA_")}
        longest = str(seconds * 3 + 300)
        client = stack.enter_context(
            _child("listen", mode, str(notes), longest, env=clean | settings, cwd=folder, stderr=words)
        )
        load, begins = os.getloadavg()[0], says(120)
        idle, samples = machine(), [sample(client.pid)]
        sent = None
        while sent is None:
            with contextlib.suppress(queue.Empty):
                sent = says(1.0)
            if client.poll() is not None:
                words.seek(0)
                raise RuntimeError(f"the capture ended early: {words.read()[-2000:]}")
            samples.append(sample(client.pid))
            if progress and len(samples) % 30 == 0:
                last = samples[-1]
                print(f"    {last.at - samples[0].at:5.0f} s: {last.cpu - samples[0].cpu:6.1f} CPU s, "
                      f"{last.anon >> 20} MiB anonymous, {last.rss >> 20} MiB, load {os.getloadavg()[0]:.1f}",
                      flush=True)  # fmt: skip
        after = machine()
        time.sleep(0.5)  # the last frames are in its hands
        client.send_signal(signal.SIGTERM)
        code = client.wait()
        afterwards = time.time() - sent["at"]
        let_go()
        ends = says(30)
        told = [json.loads(text) for text in notes.read_text().splitlines()]
        distils = [d | {"since": d["at"] - begins["at"]} for d in told if d["event"] == "distil"]
        lost, delays = taped(folder / "tape", ends)
        rows: dict[str, int] = {}
        if mode == "capture":
            short, rows = in_the_lake(folder / "lake", ends)
            lost += short + [f"exit code {code}"] * bool(code)
        words.seek(0)
        return Soaked(
            mode, rate, seconds, sent, ends, samples, distils, next(d["lags"] for d in told if d["event"] == "lags"),
            delays, lost, samples[-1].cpu - samples[0].cpu, sent["cpu"] - begins["cpu"],
            (after[0] - idle[0]) / max(1, after[1] - idle[1]), (load, os.getloadavg()[0]), afterwards,
            _size(folder / "tape"), (_size(folder / "lake", "part.parquet"), _size(folder / "lake")), rows,
            words.read()[-3000:],
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------- the marks


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("mode", "rate", "seconds"), SOAKS)
def test_nothing_is_lost(mode: str, rate: int, seconds: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Every frame that was sent is on the tape, in its order and byte for byte; every trade and every level of a book
    is a row of the lake; a second after the last frame none waits for the client; and its memory is flat."""
    done = soaked(rate, seconds, mode)
    with capsys.disabled():
        print(f"\n{done}", flush=True)
    assert done.lost == []
    assert done.keeps_up
    if FULL and mode == "tape":
        assert done.slope() / rate < FLAT


if __name__ == "__main__":
    done = soaked(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3], progress=True)
    print(done, "\n", done.said)
