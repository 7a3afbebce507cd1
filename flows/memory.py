"""What `serve` knows of the one before it: when each turn's last run began, and which runs nobody ended."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from htxdata.store.whole import replace_text


class Memory:
    """When the last run that ended had begun, by turn: what was killed in the middle is begun again at once."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, float]:
        """Nothing where the file is not there, or not ours: then everything is due."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
            return {name: float(at) for name, at in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def note(self, name: str, began: float) -> None:
        replace_text(self._file, json.dumps({**self.read(), name: began}, indent=0) + "\n")


def close_leftovers(tag: str, alive: Sequence[str], environ: Mapping[str, str]) -> None:
    """Open runs with ``tag`` and without one of ``alive`` are said to have crashed (``leftovers.py``).

    Where Prefect's server does not answer they stay open until this is called again, by the next `serve` at the latest.
    So where there is none, which an empty ``environ`` says: without its address Prefect would begin one of its own.
    """
    if not environ:
        return
    given = json.dumps({"tag": tag, "alive": list(alive)})
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-m", "flows.leftovers", given], env=dict(environ), check=False, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
