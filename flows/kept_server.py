"""The Prefect server behind `serve`: the one that ``PREFECT_API_URL`` names, or one of its own, kept alive."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from flows.environment import quiet_environment
from flows.local_server import LocalServer

HEARD = {
    "PREFECT_LOGGING_LEVEL": "INFO",  # on the run's page; on the terminal only what is wrong
    "PREFECT_LOGGING_TO_API_ENABLED": "true",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
}


class KeptServer:
    """Use as a context manager. ``environ`` is what runs need to report; None while the server is starting."""

    def __init__(self, state: Path, port: int, say: Callable[[str], None]) -> None:
        self._home, self._port, self._say = state / "prefect", port, say
        self.given = os.environ.get("PREFECT_API_URL", "")
        self.url = self.given
        self._server: LocalServer | None = None

    def __enter__(self) -> KeptServer:
        if not self.given:
            self._begin(self._port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.__exit__()
            self._server = None

    def _begin(self, port: int) -> None:
        self.url = ""
        self._server = server = LocalServer(self._home, port, page=True)
        server.__enter__()
        threading.Thread(target=self._wait, args=(server,), daemon=True).start()

    def _wait(self, server: LocalServer) -> None:
        try:
            url = server.url()
        except (RuntimeError, ValueError, OSError):
            return  # it died, or was ended: `environ` sees to it
        if server is self._server:
            self.url = url
            self._say(f"the runs are at {url.removesuffix('/api')}/runs")

    def environ(self) -> dict[str, str] | None:
        """The environment of a run, as soon as there is a server that hears it."""
        if self._server is not None and not self._server.alive():
            why = f"{self._home / 'server.log'} may say why" if self.url else f"is port {self._port} taken?"
            self._say(f"the Prefect server has ended ({why}); it is begun again")
            self._port = self._port if self.url else 0
            self._server.__exit__()
            self._begin(self._port)
        if not self.url:
            return None
        if self.given:
            return {**os.environ, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING"}
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {**plain, **quiet_environment(self._home), **HEARD, "PREFECT_API_URL": self.url}
