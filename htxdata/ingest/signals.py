"""Being told to stop: work that lasts for days ends by a signal, and ends well."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class Told:
    """``stop`` is set by the first SIGINT or SIGTERM, ``hurry`` by the next one: wait for nobody any more."""

    hurry: threading.Event
    stop: threading.Event = field(default_factory=threading.Event)
    interrupted: bool = False
    """Whether it was SIGINT: somebody pressed Ctrl-C."""


@contextlib.contextmanager
def until_told(hurry: threading.Event) -> Iterator[Told]:
    """Hear SIGINT and SIGTERM for as long as the block lasts. Only the main thread can: in any other nothing is set."""
    told = Told(hurry)

    def hear(number: int, frame: FrameType | None) -> None:
        if told.stop.is_set():
            told.hurry.set()
        told.interrupted |= number == signal.SIGINT
        told.stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
