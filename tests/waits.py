"""Waiting for what another thread, process or peer does in its own time: for the state itself, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Return as soon as something is true; a failure of the test if that does not come in `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)
