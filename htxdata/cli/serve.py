"""``htxdata serve``: begins what is due, and tells what began, what ended and how, and what comes next."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from htxdata import config
from htxdata.cli import show
from htxdata.cli.commands import settings_of
from htxdata.errors import ConfigError, UsageError
from htxdata.timeline import parse_duration

if TYPE_CHECKING:
    from flows.children import Ended
    from flows.serve import Serving
    from htxdata.ingest.metrics import Family

SENTENCE = "htxdata: "
"""How the last words of a run begin."""

PAUSE = 0.2
"""Seconds between two looks at what ended and what is due."""


def serve(options: argparse.Namespace) -> int:
    """130 after Ctrl-C, 0 after SIGTERM; runs under way end well before, or are killed after ``serve.grace``."""
    import threading

    from flows.kept_server import KeptServer
    from flows.serve import Serving
    from htxdata.ingest.alert import patience
    from htxdata.ingest.exposing import Exposed
    from htxdata.ingest.fresh import allowance
    from htxdata.ingest.metrics import of_runs
    from htxdata.ingest.signals import until_told
    from htxdata.ingest.turns import turns_of

    settings = settings_of(options)
    turns = turns_of(settings, getattr(options, "config", None))
    config.lake(settings)
    try:
        grace = parse_duration(settings.serve.grace)
    except UsageError as error:
        raise ConfigError(f"{settings.origin}: serve.grace: {error}") from None
    patience(settings)
    for keep in settings.keep:
        allowance(keep, settings)
    state = Path(settings.serve.state)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(state))
        told = stack.enter_context(until_told(threading.Event()))
        status = stack.enter_context(_status())
        prefect = stack.enter_context(KeptServer(state, settings.serve.port, show.note))
        name = f"{platform.node()} {state.resolve()}"
        tag = f"serve-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
        serving = Serving(turns, state, tag, _line, lambda ended: show.note(how_it_ended(ended)))

        def figures() -> list[Family]:
            statuses = {child.turn.name: child.status for child in list(serving.running) if child.status}
            return list(of_runs(serving.ended, serving.added, statuses))

        exposed = stack.enter_context(Exposed(settings, figures, show.note))
        show.note(f"serving {settings.origin}: {', '.join(turn.name for turn in turns)}")
        if exposed.where:
            show.note(f"metrics: {exposed.where}")
        environ, closed = None, False
        while not told.stop.wait(PAUSE):
            environ = prefect.environ()
            if environ is None:
                status("the Prefect server is starting")
                continue
            if not closed:
                serving.close_leftovers(environ)
                closed = True
            serving.step(environ, time.time())
            status(how_it_goes(serving, time.time()))
        if serving.running:
            show.note(f"ending {len(serving.running)} runs; once more kills them, and loses nothing that is committed")
        serving.end(environ or {}, grace, told.hurry)
    show.note("htxdata: " + ("interrupted" if told.interrupted else "ended") + "; the same command goes on from there")
    return 130 if told.interrupted else 0


def _line(name: str, text: str) -> None:
    """What a run said on stderr; lines of JSON name their run themselves. Its last words come with how it ended."""
    if show.for_people():
        if not text.startswith(SENTENCE):
            show.note(f"{name}: {text}")
    else:
        print(text, file=sys.stderr, flush=True)


def how_it_ended(ended: Ended) -> str:
    """``sync: complete in 12 s, 1,204 rows added``, or what was the matter."""
    said = f"{ended.turn.name}: {ended.how} in {show.duration(ended.seconds)}"
    added = ended.result.get("added")
    said += f", {show.thousands(added)} rows added" if added is not None else ""
    return said + (f": {ended.why.removeprefix(SENTENCE)}" if ended.why else "")


def how_it_goes(serving: Serving, now: float) -> str:
    """One line: what runs, what comes next and when, and how many runs there were."""
    running = ", ".join(child.turn.name for child in serving.running) or "nothing"
    names = {child.turn.name for child in serving.running if not child.turn.endless}
    waiting = [(serving.next(turn, now), turn.name) for turn in serving.turns if turn.name not in names]
    parts = [f"running: {running}"]
    if waiting:
        at, name = min(waiting)
        parts.append(f"next: {name} in {show.duration(max(0.0, at - now))}")
    total = sum(serving.ended.values())
    open_ = total - sum(count for (_, how), count in serving.ended.items() if how == "complete")
    parts.append(f"{total} runs ended, {open_} not complete")
    return " · ".join(parts)


@contextlib.contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """A live line on a terminal; nothing elsewhere, where what ended is told anyway."""
    if not sys.stderr.isatty() or not show.for_people():
        yield lambda text: None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(Text("starting"), console=Console(stderr=True), refresh_per_second=2, transient=True) as live:
        yield lambda text: live.update(Text(text, overflow="ellipsis", no_wrap=True))


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Two would do everything twice: no harm to the lake, but nobody wants it."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UsageError(f"serve.state = {str(state)!r} cannot be written: {error.strerror}") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another `htxdata serve` is at work with serve.state = {str(state)!r}; end it, or set another folder"
            ) from None
        yield
    finally:
        os.close(lock)
