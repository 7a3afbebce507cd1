"""An address of this machine from which a page of text is read: the metrics of `serve`. 127.0.0.1 only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from htxdata.errors import UsageError

TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Exposition:
    """Answers ``GET /metrics`` with what ``text()`` gives. Use as a context manager; ``port`` 0 takes a free one."""

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        class Answer(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                if self.path.partition("?")[0] not in ("/", "/metrics"):
                    self.send_error(404)
                    return
                try:
                    body, status = text().encode(), 200
                except Exception as error:  # the scraper hears of it, and the server goes on
                    body, status = f"{type(error).__name__}: {error}\n".encode(), 500
                self.send_response(status)
                self.send_header("Content-Type", TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A scrape every few seconds is no news."""

        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
        except OSError as error:
            raise UsageError(f"metrics: port {port} of 127.0.0.1 cannot be used: {error.strerror}") from None
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="htxdata-metrics")

    def __enter__(self) -> Exposition:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
