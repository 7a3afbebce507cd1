"""The bulk archive as a host: the public S3 bucket of HTX's daily files (htx-api 9).

One request from the door to the bytes: listings, objects with ranges and conditions, S3's errors, and faults. What is
in the bucket is in `archive_bucket`. Bytes go out as they are: S3 never squeezes them for the way.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import NamedTuple
from xml.sax.saxutils import escape

from aiohttp import web

from .archive_bucket import Bucket, Entry, Moment
from .archive_listing import Refused, listing
from .archive_names import file_of
from .faults import Faults, Fired
from .limits import ARCHIVE, Door
from .noise import key_of
from .periods import SECOND

_STATUS = {"InvalidArgument": 400, "NoSuchKey": 404, "MethodNotAllowed": 405, "AccessDenied": 403}
_MESSAGES = {
    "NoSuchKey": "The specified key does not exist.",
    "AccessDenied": "Access Denied",
    "SlowDown": "Please reduce your request rate.",
    "InternalError": "We encountered an internal error. Please try again.",
    "ServiceUnavailable": "Service is unable to handle request.",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
    "InvalidRange": "The requested range is not satisfiable",
}
_TYPES = {
    "zip": "application/zip",
    "gz": "application/gzip",
    "txt": "text/plain",
    "css": "text/css",
    "js": "application/javascript",
}


class Sent(NamedTuple):
    """An answer before it is sent. `length` is said where there is no body, as with HEAD."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    content_type: str = "application/xml"
    length: int | None = None


def _error(code: str, status: int = 0, key: str = "", message: str = "", refusal: bool = False) -> Sent:
    """S3's XML. Only a refusal has `x-amz-error-code`: a file that is missing is a plain 404 (9.5)."""
    named = f"<Key>{escape(key)}</Key>" if key else ""
    said = escape(message or _MESSAGES[code])
    request = f"{key_of(code, key):016X}"
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{said}</Message>{named}'
        f"<RequestId>{request}</RequestId><HostId>{request.lower()}</HostId></Error>"
    )
    headers = {"x-amz-error-code": code, "x-amz-error-message": said} if refusal else {}
    return Sent(status or _STATUS[code], body.encode(), headers)


class ArchiveHost:
    """The request handler of the archive. `began` is the monotonic clock at the start of the run."""

    def __init__(
        self, bucket: Bucket, door: Door, faults: Faults, clock: Callable[[], float], workers: ThreadPoolExecutor
    ) -> None:  # fmt: skip
        self._bucket, self._door, self._faults, self._clock = bucket, door, faults, clock
        self._workers, self.began = workers, time.monotonic()

    def moment(self) -> Moment:
        """Now, by the sandbox's clock and by the time it runs."""
        return Moment(int(self._clock() * SECOND), time.monotonic() - self.began)

    async def answer(self, request: web.BaseRequest, path: str, arrived: float) -> web.StreamResponse | None:
        """The whole life of a request; `path` is `/` and the key. None if the socket was dropped instead."""
        key, elapsed = path[1:], arrived - self.began
        file = file_of(key)
        verdict = self._door.knock(ARCHIVE, path, arrived, 0)
        if not verdict.admitted:
            shut = (
                _error("AccessDenied", refusal=True)
                if verdict.banned
                else _error("SlowDown", 503, refusal=True)
            )
            return await self._send(request, shut)  # fmt: skip
        symbol = "" if file is None else file.series.one.symbol
        fired = self._faults.decide(ARCHIVE, path, symbol, elapsed)
        for one in fired:
            kind, rule = one.rule.kind, one.rule
            if kind == "stall":
                await asyncio.sleep(1e6 if rule.forever else rule.seconds)
            elif kind == "drop":
                if request.transport is not None:
                    request.transport.abort()
                return None
            elif kind == "ban":
                return await self._send(request, _error("AccessDenied", rule.status or 403, refusal=True))
            elif kind == "throttle":
                return await self._send(request, _error("SlowDown", rule.status or 503, refusal=True))
            elif kind == "error":
                code, status = (("InternalError", 500), ("ServiceUnavailable", 503))[one.dice % 2]
                return await self._send(request, _error(code, rule.status or status, refusal=True))
        if request.method not in ("GET", "HEAD"):
            return await self._send(request, _error("MethodNotAllowed", refusal=True))
        made = await (self._listed(request) if key == "" else self._object(request, key, fired))
        return await self._send(request, made, next((one for one in fired if one.rule.kind == "cut"), None))

    async def _listed(self, request: web.BaseRequest) -> Sent:
        if not self._bucket.options.listing:
            return _error("AccessDenied", refusal=True)
        loop, at = asyncio.get_running_loop(), self.moment()
        try:
            return Sent(
                200, await loop.run_in_executor(self._workers, listing, self._bucket, request.query, at)
            )
        except Refused as refused:
            return _error(refused.code, message=refused.message, refusal=True)

    async def _object(self, request: web.BaseRequest, key: str, fired: Sequence[Fired]) -> Sent:
        entry = self._bucket.find(key, self.moment())
        if entry is None:
            return _error("NoSuchKey", key=key)
        if request.method == "GET":
            self._bucket.asked(key)
        headers = {
            "ETag": f'"{entry.etag}"',
            "Last-Modified": formatdate(entry.modified // SECOND, usegmt=True),
            "Accept-Ranges": "bytes",
        }
        wanted, unwanted = (request.headers.get(name) for name in ("If-Match", "If-None-Match"))
        if wanted is not None and not _matches(wanted, entry):
            return _error("PreconditionFailed", 412, refusal=True)
        if unwanted is not None and _matches(unwanted, entry):
            return Sent(304, headers=headers)
        content_type = _TYPES.get(key.rpartition(".")[2], "binary/octet-stream")
        try:
            span = _span(request.headers.get("Range", ""), entry.size)
        except ValueError:
            beyond = _error("InvalidRange", 416, refusal=True)
            return beyond._replace(headers={**beyond.headers, "Content-Range": f"bytes */{entry.size}"})
        first, last = span or (0, entry.size - 1)
        if span is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{entry.size}"
        status = 200 if span is None else 206
        if request.method == "HEAD":
            return Sent(status, b"", headers, content_type, last - first + 1)
        if entry.ready:
            body = entry.body()
        else:
            body = await asyncio.get_running_loop().run_in_executor(self._workers, entry.body)
        return Sent(status, _harmed(body, fired)[first : last + 1], headers, content_type)

    async def _send(
        self, request: web.BaseRequest, sent: Sent, cut: Fired | None = None
    ) -> web.StreamResponse:
        headers = {
            "x-amz-request-id": f"{key_of(request.path_qs, sent.status):016X}",
            "x-amz-bucket-region": "ap-northeast-1",
            "Server": "AmazonS3",
            "Date": formatdate(self._clock(), usegmt=True),
            **sent.headers,
        }
        if sent.status != 304:
            headers["Content-Type"] = sent.content_type
        if sent.length is not None:  # a HEAD: there is nothing to be cut
            headers["Content-Length"] = str(sent.length)
        if cut is None or sent.length is not None:
            return web.Response(body=sent.body, status=sent.status, headers=headers)
        half = sent.body[: len(sent.body) // 2]
        if cut.mode == "gzip":
            return web.Response(body=half, status=sent.status, headers=headers)  # honest length, torn content
        response = web.StreamResponse(status=sent.status, headers=headers)
        response.content_length = len(sent.body)
        await response.prepare(request)
        await response.write(half)
        if request.transport is not None:
            request.transport.close()
        return response


def _matches(tags: str, entry: Entry) -> bool:
    return any(tag.strip().strip('"') in ("*", entry.etag) for tag in tags.split(","))


def _span(text: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; None if there is none that S3 heeds; ValueError beyond the end."""
    unit, _, span = text.partition("=")
    first, dash, last = span.partition("-")
    if unit.strip() != "bytes" or not dash or not (first + last).isdecimal():
        return None
    if not first:
        start, stop = max(size - int(last), 0), size - 1
        if not int(last):
            raise ValueError(text)
    else:
        start, stop = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < int(first):
            return None
    if start >= size:
        raise ValueError(text)
    return start, stop


def _harmed(body: bytes, fired: Sequence[Fired]) -> bytes:
    """A body after what happens to it in transit; its length stays."""
    for one in fired:
        if one.rule.kind == "wrong_checksum":
            body = (b"0" if body[:1] != b"0" else b"f") + body[1:]
        elif one.rule.kind == "corrupt_file":
            first, last = _content(body)
            if one.mode == "torn":
                first += (last - first) // 2
                body = body[:first] + bytes(len(body) - first)
            else:
                place = first + one.dice % max(last - first, 1)
                body = body[:place] + bytes([body[place] ^ 0x55]) + body[place + 1 :]
    return body


def _content(body: bytes) -> tuple[int, int]:
    """Where the squeezed content of a zip of one file begins and ends; the middle of anything else."""
    end = body.rfind(b"PK\x05\x06")
    if body[:4] != b"PK\x03\x04" or end < 0:
        return len(body) // 2, len(body) // 2 + 1
    name, extra = struct.unpack_from("<HH", body, 26)
    (central,) = struct.unpack_from("<I", body, end + 16)
    (packed,) = struct.unpack_from("<I", body, central + 20)
    return 30 + name + extra, 30 + name + extra + packed
