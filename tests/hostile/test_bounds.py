"""Whatever a venue sends, and however much of it: a refusal in a sentence, and memory that does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.attacks import ATTACKS

MOST_MB = 350
"""What one body may be (64 MB), as it comes and unpacked, some copies of it; of frames, a quarter of a gigabyte."""

ROOT = Path(__file__).parents[2]
SOME = ("endless chunks", "frames that inflate and lie")
ALLOWED = {"frames that inflate": ""}
"""Honest zeros: each frame is a message of its own, and is handed on alone."""


WIDE = ("a gzip bomb", "a zip bomb")


def few() -> list[Any]:
    """Some by default, some more in CI, all of them by `make slow`."""
    marks = {name: pytest.mark.wide if name in WIDE else pytest.mark.slow for name in ATTACKS if name not in SOME}
    return [pytest.param(name, marks=marks[name]) if name in marks else name for name in ATTACKS]


@pytest.mark.parametrize("name", few())
def test_an_attack_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """In a process of its own: one of our errors, and the peak of its memory."""
    words = [sys.executable, "-m", "tests.hostile.attacks", name, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    if name not in ALLOWED:
        assert said["error"] in ("Refused", "Unreachable", "BadReply", "WalkStuck"), said
        assert len(said["text"]) > 20
    assert said["mb"] < MOST_MB, said
