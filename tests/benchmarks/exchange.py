"""The sandbox in a process of its own, so that its CPU seconds are not ours. Run as a script; see ``running``."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def running() -> Iterator[dict[str, str]]:
    """The hosts of a sandbox without limits and without a log, in another process."""
    child = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        yield dict(line.split() for line in iter(child.stdout.readline, "\n"))  # type: ignore[misc]
    finally:
        child.communicate("")  # it ends with its standard input
        child.stdout.close()


if __name__ == "__main__":
    from htxdata.sandbox import Sandbox

    with Sandbox(limits=False, log_requests=False) as sandbox:
        for key, base in sandbox.hosts.items():
            print(key, base)
        print(flush=True)
        sys.stdin.read()
