"""The processes of `serve`: a flow run each, so that what one of them needs, breaks or leaks is its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from flows.words import RUN, TAGS, WITH_PARENT
from htxdata.ingest.turns import Turn

OnLine = Callable[[str, str], None]
"""Told every line that a run says on stderr: the name of its turn, and the line."""

WORDS = {0: "complete", 1: "failed", 2: "wrong usage", 3: "incomplete"}


@dataclass(frozen=True)
class Ended:
    """How a run ended: one of `WORDS`, ``interrupted`` or ``killed``; what it gave; unless complete, its last words."""

    turn: Turn
    run: str
    how: str
    seconds: float
    result: Mapping[str, Any]
    why: str = ""


class Child:
    """One run of a turn, in a process and a session of its own: Ctrl-C is for who serves."""

    def __init__(self, turn: Turn, environ: Mapping[str, str], tag: str, on_line: OnLine) -> None:
        self.turn, self._on_line = turn, on_line
        self.run = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
        self.began = time.time()
        self.status: dict[str, Any] = {}
        self._result: dict[str, Any] = {}
        self._last, self._told = "", False
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"flows.{turn.flow}", json.dumps(dict(turn.parameters)), WITH_PARENT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env={**environ, RUN: self.run, TAGS: f"{tag} {self.run}"}, start_new_session=True,
        )  # fmt: skip
        ears = ((self.process.stdout, self._hear), (self.process.stderr, self._say))
        self._readers = [threading.Thread(target=self._read, args=ear, daemon=True) for ear in ears]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe: IO[str] | None, hear: Callable[[str], None]) -> None:
        for text in pipe or ():
            if text := text.rstrip():
                hear(text)

    def _hear(self, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            return
        if isinstance(said, dict):
            self.status, self._result = said.get("status", self.status), {} if "status" in said else said

    def _say(self, text: str) -> None:
        self._last = text
        self._on_line(self.turn.name, text)

    def tell(self, number: int) -> None:
        """SIGTERM ends it well, SIGKILL at once; the whole of its session, which may have a hook under way."""
        self._told |= number == signal.SIGTERM
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGKILL else os.kill)(self.process.pid, number)

    def ended(self) -> Ended | None:
        """How it ended, once it has; its pipes are closed then."""
        code = self.process.poll()
        if code is None:
            return None
        for reader in self._readers:
            reader.join(timeout=5)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        how = WORDS.get(code, "interrupted" if self._told or code == 130 else "killed" if code < 0 else "failed")
        return Ended(self.turn, self.run, how, time.time() - self.began, self._result, self._last if code else "")
