"""Everything at once on one lake, while everything goes wrong: sync, two backfills, capture, compact, audit, and two
notebooks that read, each in a process of its own that is killed at random (-9) and begun anew, while the exchange makes
every mistake of its list. Afterwards the exchange is well again, every command is run to its end, and the lake is the
market.

``python -m tests.chaos.everything 900`` does it for 900 seconds and prints what was survived.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from htxdata.ingest.distil import distil
from htxdata.market import Series
from htxdata.sandbox import Faults, Rule, Sandbox
from htxdata.sandbox.faults import ANSWER_KINDS, BODY_KINDS, FRAME_KINDS, TRANSIT_KINDS
from htxdata.store.lake import Lake
from htxdata.store.partition import Store
from htxdata.timeline import DAY, HOUR, iso
from htxdata.transport.budget import Budget
from tests.chaos.lives import ROOT, Life
from tests.chaos.reading import CANDLES, DEEP, MINUTES, SEED, TRADES
from tests.ingest.test_capture import assert_books
from tests.truth import (
    BARE,
    assert_archived_candles,
    assert_covers,
    assert_fundings,
    assert_trades,
    configuration,
    strays,
)  # fmt: skip

LINEAR = ("BTC-USDT", "ETH-USDT")
SIZES = {"BTC-USDT": 0.001, "ETH-USDT": 0.01}
FUNDINGS = Series("funding_rates", "htx-linear", "BTC-USDT")
HOURS = Series("klines", "htx-spot", "bmtusdt", "60min")


def _each(option: str, values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for value in values for word in (option, value))


ROLES: dict[str, tuple[str, ...]] = {
    "sync": ("sync",),
    "candles": (
        "backfill", "klines", "--venue", "htx-linear", *_each("--symbol", ("BTC-USDT", "DOGE-USDT")),
        "--period", "1min", "--start", CANDLES[0], "--end", CANDLES[1],
    ),
    "trades": (
        "backfill", "trades", "--venue", "htx-linear", "--symbol", "DOGE-USDT", "--start", DEEP[0], "--end", DEEP[1],
    ),
    "capture": (
        "capture", "--venue", "htx-linear", "--feed", "trades", "--feed", "book", *_each("--symbol", LINEAR),
        "--rotate", "20s",
    ),
    "compact": ("compact",),
    "audit": ("audit",),
}  # fmt: skip
READERS = 2
AGE = {"capture": 6.0, "notebook": 5.0}
"""Seconds for which a life is spared."""


def keeps(now: int) -> str:
    recent = iso((now - 3 * DAY) // DAY * DAY)
    return f"""
[[keep]]
venue = "htx-spot"
dataset = "klines"
symbols = ["bmtusdt"]
periods = ["60min"]
since = "{recent}"

[[keep]]
venue = "htx-spot"
dataset = "trades"
symbols = ["bmtusdt"]
since = "{recent}"

[[keep]]
venue = "htx-linear"
dataset = "funding_rates"
symbols = ["BTC-USDT"]
since = "2026-01-01"
"""


def every_fault(seconds: float, now: int) -> Faults:
    """Each kind of the contract's list, until ``seconds`` after the sandbox's start. A day of the archive is missing
    for good, some come late."""
    rare = {
        "maintenance": 0.005, "ban": 0.001, "throttle": 0.01, "stall": 0.02, "empty": 0.01, "disconnect": 0.002,
        "silence": 0.0003, **dict.fromkeys(set(FRAME_KINDS) - {"disconnect", "silence"}, 0.004),
    }  # fmt: skip
    lasting = {"ban": 2.0, "stall": 0.3, "silence": 12.0, "disconnect": 0.3}
    rules = [
        Rule(
            kind, rare.get(kind, 0.03), between=(0.0, seconds), seconds=lasting.get(kind, 1.0),
            rows=1 if kind == "empty" else 0, mode={"garbage": "json"}.get(kind, ""),
        )
        for kind in (*ANSWER_KINDS, *BODY_KINDS, "empty", "duplicate", "reorder", *TRANSIT_KINDS, *FRAME_KINDS)
    ]  # fmt: skip
    spot = {"host": "htx_archive", "symbol": "bmtusdt"}
    return Faults(
        *rules,
        Rule("late_file", 0.3, seconds=seconds / 3, path=f"*{iso(now)[:7]}-*", **spot),
        Rule("missing_day", path=f"*{iso(now - 2 * DAY)[:10]}*", **spot),
        Rule("revise", 0.2, between=(0.0, seconds), seconds=5.0, host="htx_spot_rest"),
        seed=SEED,
    )


@dataclass
class Survived:
    """The account."""

    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """Commands that came to their end between two kills."""

    faults: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    reads: int = 0

    def __str__(self) -> str:
        def told(counter: Counter[str]) -> str:
            return ", ".join(f"{name} {count:,}" for name, count in sorted(counter.items()))

        return (
            f"{self.seconds:.0f} s: {self.kills.total():,} kills ({told(self.kills)}); {self.ends.total():,} commands "
            f"ended between them ({told(self.ends)}); {self.faults.total():,} faults of {len(self.faults)} kinds "
            f"({told(self.faults)}); {self.commits:,} commits; {self.reads:,} questions"
        )


class Ground:
    """A folder with a lake, a tape and what was said, and the sandbox that they are of."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.lake, self.tape = folder / "lake", folder / "tape"
        self.config = configuration(sandbox, folder, more=keeps(sandbox.now()), archive=True)
        self.counts = folder / "reads.txt"

    def begin(self, role: str, dice: random.Random) -> Life | Reader:
        said = self.folder / f"said-{role}.txt"
        if role.startswith("notebook"):
            return Reader(self.lake, dice.randrange(1 << 30), self.counts, said)
        return Life(self.config, *ROLES[role], said=said)

    def reads(self) -> int:
        """Questions that the notebooks have had answered."""
        return self.counts.stat().st_size if self.counts.exists() else 0

    def idle(self) -> bool:
        """Whether too little has happened yet to be called a storm."""
        return self.reads() < 5 or not self.sandbox.faults.fired

    def said(self, role: str) -> str:
        return (self.folder / f"said-{role}.txt").read_text(errors="replace")[-3000:]

    def until_complete(self, role: str, tries: int = 12, within: float = 120.0) -> None:
        """As an operator's timer would run it, with the exchange well again."""
        for _ in range(tries):
            with Life(self.config, *ROLES[role], said=self.folder / f"said-{role}.txt") as life:
                code = life.end(within)
            if code == 0:
                return
            assert code == 3, f"{role} ends with {code}: {self.said(role)}"
        raise AssertionError(f"{role} is never complete: {self.said(role)}")

    def once(self, *words: str, within: float = 180.0) -> int:
        with Life(self.config, *words, said=self.folder / "said-last.txt") as life:
            return life.end(within)


class Reader(Life):
    """The notebook."""

    def __init__(self, lake: Path, start: int, counts: Path, said: Path) -> None:
        self._said = said.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.reading", str(lake), str(SEED), str(start), str(counts)],
            stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip


def rage(ground: Ground, seconds: float, seed: int, survived: Survived) -> None:
    """All roles at once, each begun again when it ends or is killed, for so long; or, on a machine that is too busy to
    have got anything done by then, until something broke and the notebook was answered (six times as long at most)."""
    dice = random.Random(seed)
    roles = [*ROLES, *(f"notebook{number}" for number in range(READERS))]
    lives: dict[str, Life] = {}
    began = time.monotonic()
    born: dict[str, float] = {}
    next_kill = began + 1.0
    try:
        while (past := time.monotonic() - began) < seconds or (past < 6 * seconds and ground.idle()):
            now = time.monotonic()
            for role in roles:
                life = lives.get(role)
                if life is not None and (code := life.process.poll()) is not None:
                    allowed = () if role.startswith("notebook") else (0, 3)
                    assert code in allowed, f"{role} ends with {code}: {ground.said(role)}"
                    survived.ends[role.rstrip("0123456789")] += 1
                    lives.pop(role).__exit__()
                    born[role] = now + dice.random()  # before it begins again
                if role not in lives and born.get(role, 0.0) <= now:
                    lives[role], born[role] = ground.begin(role, dice), now
            if now >= next_kill:
                next_kill = now + dice.uniform(0.2, 1.6)
                # A capture must have stood for a while to have something to lose, a notebook must have begun to read.
                old = [role for role in lives if now - born[role] > AGE.get(role.rstrip("0123456789"), 0.3)]
                if old:
                    role = dice.choice(old)
                    if lives[role].process.poll() is None:
                        lives[role].kill()
                        survived.kills[role.rstrip("0123456789")] += 1
                        lives.pop(role).__exit__()
                        born[role] = now
            time.sleep(0.02)
    finally:
        for life in lives.values():
            life.__exit__()
    survived.seconds += time.monotonic() - began


def recover(ground: Ground) -> None:
    """What a night's timers would do."""
    for role in ("candles", "trades"):
        ground.until_complete(role)
    assert ground.once("capture", *ROLES["capture"][1:], "--for", "6s") in (0, 3), ground.said("last")
    # What the archive has not published yet, and the tail of REST no longer shows, is nobody's for now.
    assert ground.once("sync") in (0, 3), ground.said("last")
    assert ground.once("compact") == 0, ground.said("last")


def assert_whole(ground: Ground) -> None:
    """The lake is the market."""
    lake, sandbox = ground.lake, ground.sandbox
    for series in MINUTES:
        assert assert_archived_candles(lake, sandbox, series, *CANDLES, (*BARE, "volume")) > 70_000
        assert_covers(lake, series, *CANDLES)
    assert assert_trades(lake, sandbox, TRADES, *DEEP) > 1000
    assert_covers(lake, TRADES, *DEEP)
    hours = Store(lake).coverage(HOURS)
    assert hours[-1].end > sandbox.now() - 3 * HOUR
    assert_archived_candles(lake, sandbox, HOURS, hours[0].start, hours[-1].end)
    assert_covers(lake, HOURS, hours[0].start, hours[-1].end)
    paid = Store(lake).coverage(FUNDINGS)[-1].end  # and not an hour ago: a rate may have been settled since
    assert paid > sandbox.now() - 3 * HOUR
    assert assert_fundings(lake, sandbox, "BTC-USDT", "2026-01-01", paid) > 100
    for series in (
        Series("trades", "htx-spot", "bmtusdt"),
        *(Series("trades", "htx-linear", s) for s in LINEAR),
    ):
        spans = Store(lake).coverage(series)
        assert any(span.verdict == "present" for span in spans), f"{series}: {spans}"
        for span in spans:
            if span.verdict in ("present", "empty"):
                assert_trades(lake, sandbox, series, span.start, span.end)
    for symbol, size in SIZES.items():
        assert (
            assert_books(lake, sandbox, Series("book_changes", "htx-linear", symbol), per_contract=size) > 10
        )


def assert_clean(ground: Ground) -> None:
    """Nothing is left of those who died, and doing it again changes nothing."""
    assert strays(ground.folder) == []
    assert not list((ground.lake / ".htxdata").glob("spool/*"))
    for lock in [*ground.folder.rglob(".lock"), *ground.folder.rglob("*.lock"), *ground.tape.rglob("*.reel")]:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: somebody holds it
    for host in ("htx-spot", "htx-swap", "htx-archive"):
        budget = Budget(f"127.0.0.1:{ground.sandbox.port}/{host}", 10_000.0)
        began = time.monotonic()
        budget.acquire()
        budget.close()
        assert time.monotonic() - began < 70  # a pause that is left of the last ban, at most
    deadline = time.monotonic() + 10
    while any(one.closed is None for one in ground.sandbox.sockets) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [one for one in ground.sandbox.sockets if one.closed is None] == []
    before = {path: path.read_bytes() for path in ground.lake.rglob("part.parquet")}
    distil(Store(ground.lake), ground.tape, again=True, say=lambda text: None)
    assert ground.once("compact") == 0, ground.said("last")
    assert {path: path.read_bytes() for path in ground.lake.rglob("part.parquet")} == before
    with Lake(ground.lake) as door:
        rows, distinct = door.sql(
            "SELECT count(*), count(DISTINCT (symbol, period, open_time)) FROM klines"
        ).fetchall()[0]
    assert rows == distinct


def survive(folder: Path, seconds: float, seed: int = 1) -> Survived:
    """All of it; raises ``AssertionError`` where something did not survive."""
    survived = Survived()
    now = time.time_ns() // 1000
    with Sandbox(seed=SEED, limits=False, faults=every_fault(seconds, now)) as sandbox:
        ground = Ground(folder, sandbox)
        rage(ground, seconds, seed, survived)
        survived.faults.update(kind for kind, _, _ in sandbox.faults.fired)
        recover(ground)
        survived.commits = sum(
            max(int(path.name[2:].partition(".")[0]) for path in folder.glob(".g*.pq"))
            for folder in {path.parent for path in ground.lake.rglob(".g*.pq")}
        )
        survived.reads = ground.reads()
        assert_whole(ground)
        assert_clean(ground)
    return survived


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("seconds", type=float, nargs="?", default=900.0)
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--folder", type=Path, help="an empty folder in which everything is left to be looked at")
    options = ask.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="htxdata-chaos-")))
        os.environ["HTXDATA_BUDGET_DIR"] = str(folder / "budget")
        print(survive(folder, options.seconds, options.seed))


if __name__ == "__main__":
    main()
