"""Does an address answer? A connection, TLS, and the first line of a WebSocket's answer; nothing is said on it.

For whoever looks at a machine, not for who wants data: no retry, no budget, no proxy (a capture knows none either).
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from htxdata.errors import Unreachable


@dataclass(frozen=True, slots=True)
class Reached:
    """Seconds until the connection stood (``connected``; with its TLS) and until the answer began."""

    connected: float
    answered: float


def reach(url: str, timeout_s: float) -> Reached:
    """Connect to ``ws[s]://host[:port]/path`` and have the upgrade accepted. Raises `Unreachable` with the reason.

    ``timeout_s`` bounds each step; a name's resolution is bounded by the system alone.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=timeout_s) as plain:
            if not secure:
                return _upgraded(plain, parts.netloc, parts.path, began)
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as wrapped:
                return _upgraded(wrapped, parts.netloc, parts.path, began)
    except ssl.SSLError as error:
        raise Unreachable(
            f"no TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
        ) from error
    except socket.gaierror as error:
        raise Unreachable(f"its name could not be resolved: {error.strerror}") from error
    except TimeoutError as error:
        raise Unreachable(f"no answer within {timeout_s:g} s") from error
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no host can have
        raise Unreachable(f"no connection: {getattr(error, 'strerror', None) or error}") from error


def _upgraded(sock: socket.socket, netloc: str, path: str, began: float) -> Reached:
    connected = time.monotonic() - began
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {quote(path or '/', safe='/%')} HTTP/1.1\r\nHost: {netloc.rpartition('@')[2]}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode(
            "ascii"
        )
    )
    line = b""
    while b"\n" not in line and len(line) < 200:
        piece = sock.recv(200 - len(line))
        if not piece:
            raise Unreachable("it closed the connection before it answered")
        line += piece
    answered = time.monotonic() - began
    words = line.partition(b"\r\n")[0].decode("ascii", errors="backslashreplace").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise Unreachable(f"it speaks no HTTP: {words[0][:40]!r}")
    if words[1] != "101":
        raise Unreachable(f"it refused the connection: HTTP {words[1][:3]}")
    return Reached(connected, answered)
