"""An S3 that we did not write (moto) on 127.0.0.1, with weather: what goes through it is counted, and may go wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

_BODY = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>%s</Code><Message>as the test wants it</Message></Error>'


@dataclass
class Fault:
    """What happens to the requests that ``meets`` takes, ``times`` of them.

    ``lost``: the request is done, but its answer is not this one: the client does not know. ``cut``: half the body.
    """

    status: int
    code: str
    meets: Callable[[str, str], bool] = lambda method, path: True
    times: int = 1
    lost: bool = False
    cut: bool = False


@dataclass
class Weather:
    """Method and path of what was asked, and the faults that are still to come."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    before: Callable[[str, str], None] | None = None
    deaf: bool = False
    """Conditions are not heeded, as by servers of another kind."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.asked.append((method, path))
            for fault in self.faults:
                if fault.times and fault.meets(method, path):
                    fault.times -= 1
                    return fault
        return None


class Server:
    def __init__(self) -> None:
        # Here, and not above: whoever collects these tests and runs others need not wait for them.
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            protocol_version = "HTTP/1.1"

            def log(self, type: str, message: str, *args: Any) -> None:
                """Nobody reads it."""

        self.weather = Weather()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        fault = self.weather.fault(method, path)
        if self.weather.deaf:
            for name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"):
                environ.pop(name, None)
        if self.weather.before is not None:
            self.weather.before(method, path)
        if fault is not None and fault.cut:
            said: list[Any] = []
            whole = b"".join(self._app(environ, lambda *args: said.append(args) or (lambda data: None)))
            start(said[0][0], said[0][1])  # the length of all of it
            return [whole[: len(whole) // 2]]
        if fault is not None:
            length = int(environ.get("CONTENT_LENGTH") or 0)
            if fault.lost:
                for _ in self._app(environ, lambda *args: lambda data: None):
                    pass
            else:
                environ["wsgi.input"].read(length)
            body = _BODY % fault.code.encode()
            head = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start(f"{fault.status} {fault.code}", head)
            return [body]
        return self._app(environ, start)
