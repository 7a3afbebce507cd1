"""How a process ends: with its code, everything said, and nothing taken down that a thread may still use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE = """
import atexit, sys

class Told:
    def __del__(self):
        print("taken down", flush=True)

sys.modules["told"] = Told()  # lives until Python is taken down
from htxdata.cli import main, options
parser = options.parser
options.parser = lambda: (atexit.register(print, "done at the end"), parser())[1]  # as a library would, on the way
sys.argv = ["htxdata", *sys.argv[1:]]
sys.exit(main())
"""


def left(*words: str, out: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, *words], stdout=out, stderr=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("query", "select 42 as answer", "--format", "csv"), 0, '"answer"\n42\ndone at the end\n'),
        (("query", "select nonsense"), 2, "done at the end\n"),
        (("--nonsense",), 2, "done at the end\n"),
        (("--version",), 0, "htxdata 0.1.0\ndone at the end\n"),
    ],
)
def test_the_code_and_the_answer_are_whole_and_python_is_not_taken_down(
    words: tuple[str, ...], code: int, said: str
) -> None:
    """What is to be done at the end is done; a thread of Arrow that still lives meets no half of an interpreter."""
    done = left(*words)
    assert (done.returncode, done.stdout) == (code, said), done.stderr


def test_a_reader_that_left_changes_no_code() -> None:
    """`htxdata … | head`: the pipe is closed before the answer is written."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = left("query", "select 42 as answer", out=writes)
    finally:
        os.close(writes)
    assert (done.returncode, done.stderr) == (0, "")
