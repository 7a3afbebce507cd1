"""What ``run_jobs`` tells on its way: each file of each job once and in order, however the job ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htxdata.config import Settings
from htxdata.ingest import run
from htxdata.ingest.outcome import FileDone, Outcome
from htxdata.ingest.plan import Job
from htxdata.ingest.session import Session
from htxdata.market import Series

SERIES = Series("klines", "htx-spot", "btcusdt", "1day")
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04")
JOB = Job(SERIES, "2026", (), "archive", days=DAYS)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(Settings(str(tmp_path / "lake"), str(tmp_path / "tape"))) as opened:
        yield opened


def tell(
    session: Session, monkeypatch: pytest.MonkeyPatch, do: Callable[[Callable[[int], None]], None],
    on_step: run.OnStep, jobs: int = 1,
) -> None:  # fmt: skip
    """Run ``jobs`` whose files are dealt with by ``do``."""

    def do_job(job: Job, session: Session, skip: bool, on_file: Callable[[int], None]) -> Outcome:
        do(on_file)
        return Outcome(job.series, job.label, job.windows)

    monkeypatch.setattr(run, "do_job", do_job)
    run.run_jobs([JOB] * jobs, session, on_step, workers=4)


@pytest.mark.parametrize("read", range(len(DAYS) + 1))
def test_every_file_is_told_also_where_a_job_gave_up(
    session: Session, monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    """A job that ended after so many of its files (a listing that was not had, a damaged partition): the others follow
    without rows, and its outcome comes last."""

    def do(on_file: Callable[[int], None]) -> None:
        for _ in range(read):
            on_file(7)

    steps: list[Outcome | FileDone] = []
    tell(session, monkeypatch, do, steps.append)
    *files, last = steps
    assert files == [FileDone(SERIES, day, 7 if at < read else 0) for at, day in enumerate(DAYS)]
    assert last == Outcome(SERIES, "2026", ())


def test_an_interrupt_is_no_progress(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop, a job gives up the rest of its files at once: they are not told as done."""

    def do(on_file: Callable[[int], None]) -> None:
        on_file(7)
        session.stop.set()
        on_file(0)

    steps: list[Outcome | FileDone] = []
    tell(session, monkeypatch, do, steps.append)
    assert steps == [FileDone(SERIES, DAYS[0], 7), Outcome(SERIES, "2026", ())]


def test_one_is_told_at_a_time(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty jobs in four threads: who listens is never called while it listens, and misses nothing."""
    listening = threading.Lock()
    steps: list[Outcome | FileDone] = []

    def listen(step: Outcome | FileDone) -> None:
        assert listening.acquire(blocking=False)
        steps.append(step)
        listening.release()

    def do(on_file: Callable[[int], None]) -> None:
        for _ in DAYS:
            on_file(1)

    tell(session, monkeypatch, do, listen, jobs=20)
    days = [step.label for step in steps if isinstance(step, FileDone)]
    assert {day: days.count(day) for day in days} == dict.fromkeys(DAYS, 20)
    assert len(steps) - len(days) == 20


def test_what_is_signed_is_given_up_apart(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """After three in a row that nobody answered the rest of that host is not asked: of what is signed, or of what
    anybody may ask, for a clock that is off spoils the one and not the other."""
    asked: list[tuple[str, bool]] = []

    def do_job(job: Job, session: Session, skip: bool, on_file: Callable[[int], None]) -> Outcome:
        asked.append((job.series.dataset, not skip))
        return Outcome(job.series, job.label, job.windows, unreachable=job.series.dataset == "own_fills")

    monkeypatch.setattr(run, "do_job", do_job)
    mine = Job(Series("own_fills", "hashkey", "BTCUSDT"), "2026-03", ())
    public = Job(Series("klines", "hashkey", "BTCUSDT", "1day"), "2026", ())
    run.run_jobs([*[mine] * 4, public, mine, public], session, workers=1)
    assert asked == [*[("own_fills", True)] * 3, ("own_fills", False), ("klines", True), ("own_fills", False),
                     ("klines", True)]  # fmt: skip
