"""Tables, progress and charts for people. Progress and notes go to stderr, answers to stdout."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from htxdata.ingest.outcome import FileDone, Outcome
    from htxdata.ingest.run import Report


_lines = {"text": True}
"""How what goes to stderr is written: for people, or as JSON."""


def speak(log: str) -> None:
    """``text`` or ``json``, from now on in this process (the setting ``log``)."""
    _lines["text"] = log != "json"
    if not _lines["text"]:
        from htxdata.ingest.journal import to_stderr

        to_stderr("htxdata")


def for_people() -> bool:
    return _lines["text"]


def note(text: str, **more: Any) -> None:
    """A sentence for a person, or a line for a machine, with ``more`` in fields of their own."""
    if not _lines["text"]:
        from htxdata.ingest.journal import line

        text = line(text, **more)
    print(text, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int] = ()) -> str:
    """A plain text table; the columns in ``right`` are aligned to the right."""
    cells = [[("" if value is None else str(value)) for value in row] for row in rows]
    widths = [max([len(head[i]), *(len(row[i]) for row in cells)]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            text.rjust(widths[i]) if i in right else text.ljust(widths[i]) for i, text in enumerate(row)
        ).rstrip()

    return "\n".join([line(list(head)), line(["-" * w for w in widths]), *(line(row) for row in cells)])


def thousands(number: float) -> str:
    return f"{number:,.0f}"


def size(octets: int) -> str:
    """``12 kB``, ``3.4 MB``, ``1.2 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if octets >= scale:
            return f"{octets / scale:.1f} {unit}"
    return f"{octets} bytes"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """``0:07``, ``12:03``, ``1:00:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


PLAIN_EVERY = 5.0
"""Seconds between two plain lines of progress."""


class Steps(Protocol):
    """Who is told of every finished job, and of every file of the archive that a job is done with."""

    def __call__(self, step: Outcome | FileDone) -> None: ...


@contextlib.contextmanager
def progress(total: int, things: str = "jobs") -> Iterator[Steps]:
    """A bar on a terminal, a plain line every few seconds elsewhere. ``things`` is what is counted: ``jobs``, or the
    ``files`` of the archive, of which one job has years. For machines each job is a line besides."""
    from htxdata.ingest.outcome import FileDone

    with contextlib.ExitStack() as stack:
        on_terminal = total and _lines["text"] and sys.stderr.isatty()
        count = stack.enter_context(_bar(total)) if on_terminal else _plain(total, things)

        def tell(step: Outcome | FileDone) -> None:
            if not _lines["text"] and not isinstance(step, FileDone):
                from htxdata.ingest.journal import of_outcome

                print(*of_outcome(step), sep="\n", file=sys.stderr, flush=True)
            elif isinstance(step, FileDone) == (things == "files"):
                count(step)

        yield tell


def _plain(total: int, things: str) -> Steps:
    """How many of how many, every few seconds and at the end."""
    began = last = time.monotonic()
    done = rows = 0

    def tell(step: Outcome | FileDone) -> None:
        nonlocal done, rows, last
        done, rows = done + 1, rows + step.added
        if time.monotonic() - last >= PLAIN_EVERY or done == total:
            last = time.monotonic()
            so_far = f"{thousands(done)} of {thousands(total)} {things}, {thousands(rows)} rows"
            text = f"{so_far}, {duration(last - began)}; last {step.series} {step.label}"
            note(text, series=step.series, day=step.label, done=done, total=total)

    return tell


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Steps]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    texts = TextColumn("{task.fields[rows]} rows"), TimeRemainingColumn(), TextColumn("{task.description}")
    columns = (BarColumn(), MofNCompleteColumn(), *texts)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total, rows="0")
        rows = 0

        def tell(step: Outcome | FileDone) -> None:
            nonlocal rows
            rows += step.added
            bar.update(task, advance=1, rows=thousands(rows), description=f"{step.series} {step.label}")

        yield tell


@contextlib.contextmanager
def counting(things: str) -> Iterator[Callable[[str, int, int], None]]:
    """Who is told which of so many things is next: a bar on a terminal, a plain line every few seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(things), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("")
            yield lambda name, number, of: bar.update(task, total=of, completed=number - 1, description=name)
        return
    last = time.monotonic()

    def step(name: str, number: int, of: int) -> None:
        nonlocal last
        if time.monotonic() - last >= PLAIN_EVERY:
            last = time.monotonic()
            note(f"{number - 1} of {of} {things}; next {name}")

    yield step


def tell(report: Report) -> None:
    """The account of a run: what it did, what is gone for good, what is missing and why."""
    from htxdata.ingest.outcome import Missing
    from htxdata.market import Series

    cells = report.total("partitions")
    text = (
        f"{thousands(report.total('added'))} rows added in {thousands(cells)} partition{'s' * (cells != 1)}, "
        f"{thousands(report.total('requests'))} requests, {duration(report.seconds)}"
    )
    if report.total("replaced"):
        text += f"; {thousands(report.total('replaced'))} rows revised by the venue"
    if report.total("differences"):
        text += f"; {thousands(report.total('differences'))} values that two sources say differently (htxdata audit)"
    if report.total("quarantined"):
        text += f"; {report.total('quarantined')} replies in quarantine"
    note(text)

    def spans(entries: list[tuple[Series, Missing]], what: str) -> None:
        merged: dict[tuple[Series, str], list[tuple[int, int]]] = {}
        for series, entry in entries:
            merged.setdefault((series, entry.why), []).append((entry.window.start, entry.window.end))
        from htxdata.timeline import Window, merge

        for shown, ((series, why), windows) in enumerate(merged.items()):
            if shown == 20:
                note(f"… and {len(merged) - shown} more")
                break
            joined = merge(Window(*w) for w in windows)
            more = f" and {len(joined) - 1} more spans" if len(joined) > 1 else ""
            note(f"{what}: {series} {joined[0]}{more}: {why}")

    for gap in report.healed[:20]:
        note(f"healed: {gap.series} {gap.window}: what the capture had lost is there")
    spans(report.unobtainable, "unobtainable")
    spans(report.missing, "missing")


def candles(opens: Sequence[float], highs: Sequence[float], lows: Sequence[float], closes: Sequence[float],
            height: int = 16, colour: bool = False) -> str:  # fmt: skip
    """A candle chart of characters, one column per candle, with the price scale on the left."""
    top, bottom = max(highs), min(lows)
    scale = (height - 1) / (top - bottom) if top > bottom else 0.0

    def row(price: float) -> int:
        return round((top - price) * scale)

    lines = [[" "] * len(opens) for _ in range(height)]
    for at, (o, h, low, c) in enumerate(zip(opens, highs, lows, closes, strict=True)):
        first, last = sorted((row(o), row(c)))
        for y in range(row(h), row(low) + 1):
            sign = ("█" if c < o else "░") if first <= y <= last else "│"
            if colour:
                sign = f"\x1b[{'31' if c < o else '32'}m{'█' if sign != '│' else sign}\x1b[0m"
            lines[y][at] = sign
    width = max(len(f"{top:,.6g}"), len(f"{bottom:,.6g}"))
    labels = {0: top, height // 2: bottom + (top - bottom) / 2, height - 1: bottom}
    return "\n".join(
        f"{f'{labels[y]:,.6g}' if y in labels else '':>{width}} ┤{''.join(line)}"
        for y, line in enumerate(lines)
    )
