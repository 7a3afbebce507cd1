"""Metrics while `serve` runs: a file that is written anew, or an address that is asked; one setting says which."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from htxdata.config import Settings
from htxdata.errors import HtxdataError
from htxdata.ingest.metrics import Budgets, Family, address, gather, write
from htxdata.transport.exposition import Exposition

EVERY = 15.0
"""Seconds between two files."""

AT_MOST = 5.0
"""Seconds for which an answer is given again: several scrapers are one reading of the lake."""


class Exposed:
    """Use as a context manager. ``more()`` is asked for what only the caller knows; ``where`` says where they are."""

    def __init__(self, settings: Settings, more: Callable[[], Iterable[Family]], say: Callable[[str], None]) -> None:
        self._settings, self._more, self._say = settings, more, say
        self._budgets = Budgets(settings)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._text, self._at = "", -AT_MOST
        self._begun = False
        place = address(settings)
        self._file = place if isinstance(place, Path) else None
        self._server = Exposition(place, self.text) if isinstance(place, int) else None
        self._thread = threading.Thread(target=self._write, name="htxdata-metrics-file")
        self.where = settings.metrics
        if self._server is not None:
            self.where = f"http://127.0.0.1:{self._server.port}/metrics"

    def text(self) -> str:
        with self._lock:
            if time.monotonic() - self._at >= AT_MOST:
                self._text = gather(self._settings, self._budgets, self._more())
                self._at = time.monotonic()
            return self._text

    def _write(self) -> None:
        told, over = "", False
        while not over:
            over, why = self._stop.wait(EVERY if self._begun else 0.0), ""
            self._begun = True
            try:
                write(self._file or Path(), self.text())
            except HtxdataError as error:
                why = f"metrics: {error}"
            if why and why != told:
                self._say(why)
            told = why

    def __enter__(self) -> Exposed:
        if self._server is not None:
            self._server.__enter__()
        elif self._file is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._server is not None:
            self._server.__exit__()
        elif self._file is not None:
            self._thread.join()
