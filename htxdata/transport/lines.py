"""The connections to one host: opened through proxy and TLS, kept while idle, used again.

From requests we take what it knows of the surroundings, proxies and certificates, once per client instead of once per
request.
"""

from __future__ import annotations

import base64
import os
import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import unquote, urlsplit

from htxdata.errors import ConfigError
from htxdata.transport.line import Failed, Limits, Line, in_words


class Lines:
    """The connections to one host: idle ones are used again, the last one first. Thread-safe."""

    def __init__(self, base_url: str, user_agent: str, limits: Limits) -> None:
        parts = urlsplit(base_url)
        self._scheme, self._host, self._port = parts.scheme, parts.hostname or "", parts.port
        self._limits = limits
        self._headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "Accept": "application/json, */*;q=0.5",
            "Accept-Encoding": "gzip",
            "User-Agent": user_agent,
        }
        self._origin = ""
        self._tunnel: dict[str, str] | None = None
        self._idle: list[Line] = []
        self._pid = os.getpid()
        proxy, certificates = _surroundings(base_url)
        self._tls = _tls(certificates) if parts.scheme == "https" else None
        self._via = urlsplit(proxy) if proxy else None
        if self._via is not None:
            if self._via.scheme != "http" or not self._via.hostname:
                raise ConfigError(
                    f"the proxy for {self._host} must be http://host:port, not {self._via.scheme}://"
                )
            if self._via.username:
                pair = f"{unquote(self._via.username)}:{unquote(self._via.password or '')}"
                self._tunnel = {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
            if self._tls is None:  # a plain request names the whole URL to the proxy
                self._origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
                self._headers |= self._tunnel or {}

    def take(self) -> Line:
        """A line that is open. Raises `Failed`."""
        if self._pid != os.getpid():  # a fork: the parent talks on these
            self._idle, self._pid = [], os.getpid()
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return self.fresh()
            if not line.dropped():
                return line
            line.close()

    def fresh(self) -> Line:
        """A new line. Raises `Failed`."""
        via = self._via
        host, port = (via.hostname or "", via.port or 80) if via is not None else (self._host, self._port)
        connection: HTTPConnection
        if self._tls is not None:
            connection = HTTPSConnection(host, port, timeout=self._limits.connect_s, context=self._tls)
            if via is not None:
                connection.set_tunnel(self._host, self._port or 443, self._tunnel)
        else:
            connection = HTTPConnection(host, port, timeout=self._limits.connect_s)
        try:
            connection.connect()
        except (OSError, HTTPException) as error:
            connection.close()
            raise Failed("network", f"cannot connect: {in_words(error)}") from error
        return Line(connection, self._limits, self._headers, self._origin)

    def give_back(self, line: Line) -> None:
        if line.reusable:
            self._idle.append(line)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _surroundings(url: str) -> tuple[str | None, str]:
    """The proxy for a URL, if any, and where the certificates are: as requests finds them."""
    import certifi  # with requests 60 ms, and only a client needs them
    import requests.utils

    with requests.Session() as session:
        found = session.merge_environment_settings(url, {}, None, None, None)
    verify = found["verify"]
    proxy = requests.utils.select_proxy(url, found["proxies"])
    return proxy, verify if isinstance(verify, str) else certifi.where()


def _tls(certificates: str) -> ssl.SSLContext:
    folder = os.path.isdir(certificates)
    context = ssl.create_default_context(
        cafile=None if folder else certificates, capath=certificates if folder else None
    )
    context.set_alpn_protocols(["http/1.1"])
    return context
