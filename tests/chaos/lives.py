"""Commands as real processes, to be killed and counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Life:
    """One ``htxdata`` command in a process of its own; leaving the ``with`` block ends it whatever happens."""

    def __init__(self, config: Path, *words: str, said: Path | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self._said = (said or config.with_name("said.txt")).open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "htxdata", "--config", str(config), *words],
            stdout=subprocess.DEVNULL, stderr=self._said, env=environment, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Life:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        self._said.close()

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self, within: float = 60.0) -> int:
        return self.process.wait(within)


def all_end(lives: Sequence[Life], within: float = 90.0) -> list[int]:
    deadline = time.monotonic() + within
    return [life.end(max(0.1, deadline - time.monotonic())) for life in lives]
