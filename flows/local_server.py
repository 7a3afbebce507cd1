"""A Prefect server of one's own for as long as a block lasts: for `serve`, the demo and the tests.

Prefect's ephemeral mode does the same, but imports the whole server into the client's process as well, and the client
stands still meanwhile. Here the server starts beside the caller, who asks for its address when needing it. It lives
in the folder it is given, takes a free port, and ends when the block does or its parent dies, however that happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from flows.environment import BARE, WITH_PAGE, quiet_environment


class LocalServer:
    """A Prefect server in a process of its own. Use as a context manager; ``url()`` waits until it answers."""

    def __init__(self, home: Path, port: int = 0, *, page: bool = False) -> None:
        self._home, self._url = home, ""
        self._more = {"HTXDATA_PREFECT_PORT": str(port)} | (WITH_PAGE if page else BARE)

    def __enter__(self) -> LocalServer:
        self._home.mkdir(parents=True, exist_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environ |= quiet_environment(self._home)
        environ |= self._more
        with (self._home / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "flows.local_server"],
                env=environ,
                stdin=subprocess.PIPE,  # never written to: when it closes, the server goes
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for the flow, which still has to tell the server of it
            )
        return self

    def url(self) -> str:
        """The address of its API; waits until it answers."""
        if not self._url:
            assert self._process.stdout is not None
            port = self._process.stdout.readline().strip()  # nothing where it died before
            if not port:
                raise RuntimeError(f"the Prefect server did not start; {self._home / 'server.log'} says why")
            self._url = f"http://127.0.0.1:{port}/api"
        return self._url

    def alive(self) -> bool:
        return self._process.poll() is None

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=5)  # closes its stdin: it goes
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def _serve() -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[Any] | None = None) -> None:
            await super().startup(sockets)
            print(self.servers[0].sockets[0].getsockname()[1], flush=True)

    port = int(os.environ.get("HTXDATA_PREFECT_PORT", "0"))
    Announcing(
        uvicorn.Config(create_app, factory=True, port=port, log_level="error", timeout_graceful_shutdown=1)
    ).run()


def _leave_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(3)
    os._exit(0)


if __name__ == "__main__":
    _serve()
