"""One request from arrival to answer: logged, judged at the door, perhaps harmed by a fault, answered, sent.

The archive is another kind of host: after the log, `archive` has the rest of the way. WebSockets are not requests: they
have logs of their own in `websocket`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import NamedTuple

from aiohttp import web

from . import (
    coin_margined,
    hashkey_answers,
    hashkey_funding,
    hashkey_quotes,
    hashkey_reference,
    linear,
    permanent,
    spot,
)
from .answers import Answer, Ask, Exchange, Refusal, page, reply
from .archive import ArchiveHost
from .breakage import bend_of, broken_body
from .faults import Faults, Fired
from .hashkey_own import HashkeyOwn
from .limits import ARCHIVE, HASHKEY, PERMANENT, SPOT, SWAP, Door
from .own_rest import OwnRest
from .permanent_own import PermanentOwn
from .spelling import gzipped
from .websocket import Sockets

HOSTS = {
    "htx-spot": SPOT,
    "htx-swap": SWAP,
    "htx-archive": ARCHIVE,
    "hashkey": HASHKEY,
    "permanent": PERMANENT,
}
"""URL prefix -> key of the host it stands for."""

_ENDPOINTS = {
    SPOT: spot.ENDPOINTS,
    SWAP: linear.ENDPOINTS | coin_margined.ENDPOINTS,
    HASHKEY: {**hashkey_reference.ENDPOINTS, **hashkey_quotes.ENDPOINTS, **hashkey_funding.ENDPOINTS},
    PERMANENT: permanent.ENDPOINTS,
}
_UNANSWERED = 499  # never sent: the socket is closed by then
_QUICK = ("1min", "5min")  # made on the event loop; longer periods may take a second when asked first


class Record(NamedTuple):
    """One request in the log. `time` is the monotonic clock at arrival, seconds; status 0 means no answer was sent."""

    time: float
    host: str
    method: str
    path: str
    query: str
    status: int


class Rest:
    """The request handler of all hosts; `archive` answers for its own."""

    def __init__(
        self,
        exchange: Exchange,
        door: Door,
        faults: Faults,
        clock: Callable[[], float],
        log: list[Record] | None,
        workers: ThreadPoolExecutor,
        archive: ArchiveHost,
        sockets: Sockets,
        own: OwnRest,
        hashkey_own: HashkeyOwn,
        permanent_own: PermanentOwn,
    ) -> None:
        self._sockets, self._own = sockets, own
        self._hashkey_own, self._permanent_own = hashkey_own, permanent_own
        self._exchange, self._door, self._faults, self._clock = exchange, door, faults, clock
        self._archive = archive
        self._log, self._workers, self._began = log, workers, time.monotonic()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The whole life of a request."""
        arrived = time.monotonic()
        prefix, _, rest = request.path.lstrip("/").partition("/")
        host, path = HOSTS.get(prefix, prefix), "/" + rest
        if self._sockets.serves(prefix, path, request.headers):
            return await self._sockets.answer(request, prefix, path)
        place = len(self._log) if self._log is not None else 0
        if self._log is not None:
            self._log.append(Record(arrived, host, request.method, path, request.query_string, 0))
        if host == ARCHIVE:
            answered = await self._archive.answer(request, path, arrived)
            response = answered if answered is not None else web.Response(status=_UNANSWERED)
        else:
            response = await self._judged(request, host, path, arrived)
        if self._log is not None and response.status != _UNANSWERED:
            self._log[place] = self._log[place]._replace(status=response.status)
        return response

    async def _judged(
        self, request: web.BaseRequest, host: str, path: str, arrived: float
    ) -> web.StreamResponse:
        endpoint = _ENDPOINTS.get(host, {}).get(path)
        now = int(self._clock() * 1_000_000)
        query = request.query
        verdict = self._door.knock(host, path, arrived, now // 1000) if host in _ENDPOINTS else None
        if verdict is not None and verdict.banned and host == HASHKEY:
            return await self._send(request, hashkey_answers.banned())
        if verdict is not None and verdict.banned:
            return await self._send(request, page("403 Forbidden", 403))
        if verdict is not None and not verdict.admitted:
            return await self._send(request, _refused(host, now // 1000, verdict.flat), dict(verdict.headers))
        symbol = query.get("symbol") or query.get("contract_code") or query.get("contract") or ""
        fired = self._faults.decide(host, path, symbol, arrived - self._began)
        headers = dict(verdict.headers) if verdict is not None else {}
        harmed = await self._harmed(request, host, now // 1000, fired)
        if harmed is not None:
            return await self._send(request, harmed, headers | dict(harmed.headers))
        if (
            self._own.serves(host, request.method, path)
            or (host == HASHKEY and self._hashkey_own.serves(request.method, path))
            or (host == PERMANENT and self._permanent_own.serves(request.method, path))
        ):
            made = self._private(request, Ask(host, path, query, now, bend_of(fired)), await request.read())
            return await self._send(request, made, headers, fired)
        if endpoint is None:
            absent = hashkey_answers.lost(path) if host == HASHKEY else page("404 Not Found", 404)
            return await self._send(request, absent, headers)
        if request.method != "GET" and host == HASHKEY:
            return await self._send(request, hashkey_answers.wrong_method(request.method), headers)
        if request.method != "GET":
            return await self._send(
                request,
                reply(
                    {
                        "status": "error",
                        "err-code": "method-not-allowed",
                        "err-msg": f"{request.method} not supported",
                        "ts": now // 1000,
                    },
                    405,
                ),
                headers,
            )
        if host == SWAP and (request.content_length or 0) > 0:
            return await self._send(request, page("403 Forbidden", 403), headers)  # a GET with a body (1.1)
        ask = Ask(host, path, query, now, bend_of(fired))
        slow = (
            ("/history/" in path and query.get("period", "1min") not in _QUICK)
            or (path.endswith("/klines") and query.get("interval") not in ("1m", "3m", "5m"))
            or (host == PERMANENT and "interval" in query)
        )
        if slow:
            made = await asyncio.get_running_loop().run_in_executor(self._workers, self._made, endpoint, ask)
        else:
            made = self._made(endpoint, ask)
        return await self._send(request, made, headers, fired)

    def _private(self, request: web.BaseRequest, ask: Ask, body: bytes) -> Answer:
        said = [(name, str(value)) for name, value in request.query.items()]
        address = request.remote or ""
        try:
            if ask.host == HASHKEY:
                query = request.raw_path.partition("?")[2]
                return self._hashkey_own.answer(ask, request.method, query, body, request.headers, address)
            if ask.host == PERMANENT:
                return self._permanent_own.answer(ask, request.method, said, request.host, address, body)
            return self._own.answer(ask, request.method, said, request.host, address, body)
        except Refusal as refusal:
            return refusal.answer

    def _made(self, endpoint: Callable[[Exchange, Ask], Answer], ask: Ask) -> Answer:
        try:
            return endpoint(self._exchange, ask)
        except Refusal as refusal:
            return refusal.answer

    async def _harmed(
        self, request: web.BaseRequest, host: str, ms: int, fired: list[Fired]
    ) -> Answer | None:
        """The answer a fault gives instead of the endpoint's; None when the endpoint shall answer."""
        for one in fired:
            kind, rule = one.rule.kind, one.rule
            own = hashkey_answers.harmed(one) if host == HASHKEY else None
            if own is not None:
                return own
            if kind == "stall":
                await asyncio.sleep(1e6 if rule.forever else rule.seconds)
            elif kind == "drop":
                if request.transport is not None:
                    request.transport.abort()
                return Answer(b"", status=_UNANSWERED)
            elif kind == "ban":
                return page("418 I'm a teapot" if rule.status == 418 else "403 Forbidden", rule.status or 403)
            elif kind == "throttle":
                answer = _refused(host, ms, one.mode == "body")
                if one.mode != "headers":
                    return answer
                waited = (
                    {"X-HB-RateLimit-Requests-Remain": "0", "X-HB-RateLimit-Requests-Expire": str(ms + 1000)}
                    if host == SPOT
                    else {
                        "ratelimit-limit": "240",
                        "ratelimit-interval": "3000",
                        "ratelimit-remaining": "0",
                        "ratelimit-reset": str(ms + 1000),
                    }
                )
                return Answer(answer.before, status=rule.status or answer.status, headers=waited)
            elif kind == "error":
                return page("502 Bad Gateway", rule.status or (500, 502, 503, 504)[one.dice % 4])
            elif host == PERMANENT and kind in ("busy", "maintenance"):
                return permanent.error(500, "system.error")
            elif kind == "busy":
                return reply(
                    {
                        "status": "error",
                        "err-code": "invalid-parameter",
                        "err-msg": "request timeout",
                        "ts": ms,
                    }
                    if host == SPOT
                    else {
                        "status": "error",
                        "err_code": 1004,
                        "err_msg": "System busy. Please try again later.",
                        "ts": ms,
                    }
                )
            elif kind == "maintenance":
                return reply(
                    {
                        "status": "error",
                        "err-code": "system-maintenance",
                        "err-msg": "System is in maintenance!",
                        "ts": ms,
                    }
                    if one.mode == "system" and host == SPOT
                    else {"status": "maintain"}
                )
        return None

    async def _send(
        self,
        request: web.BaseRequest,
        answer: Answer,
        headers: dict[str, str] | None = None,
        fired: list[Fired] | None = None,
    ) -> web.StreamResponse:
        date = formatdate(self._clock(), usegmt=True)  # by the sandbox's clock, as everything else it says
        sent = {"Content-Type": answer.content_type, "Date": date, **(headers or {})}
        if any(one.rule.kind == "garbage" for one in fired or ()):
            answer = Answer(broken_body(fired or [], answer.body()), status=answer.status)
        squeeze = "gzip" in request.headers.get("Accept-Encoding", "")
        if squeeze:
            sent["Content-Encoding"] = "gzip"
            body = gzipped(answer.before, answer.middle, answer.after)
        else:
            body = answer.body()
        cut = next((one for one in fired or () if one.rule.kind == "cut"), None)
        if cut is None:
            return web.Response(body=body, status=answer.status, headers=sent)
        half = body[: len(body) // 2]
        if cut.mode == "gzip":
            return web.Response(body=half, status=answer.status, headers=sent)  # honest length, torn content
        response = web.StreamResponse(status=answer.status, headers=sent)
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(half)
        if request.transport is not None:
            request.transport.close()
        return response


def _refused(host: str, ms: int, flat: bool) -> Answer:
    """Over the limit: HTTP 429, or HTTP 200 with a code in the body (2.1, 2.2)."""
    if host == HASHKEY:
        return hashkey_answers.refused()
    if host == PERMANENT:
        return permanent.error(429, "too many requests", 429)
    if host == SPOT:
        return reply(
            {
                "status": "error",
                "err-code": "rate-too-many-requests",
                "err-msg": "request limit",
                "data": None,
                "ts": ms,
            },
            200 if flat else 429,
        )
    return reply(
        {
            "status": "error",
            "err_code": 1032,
            "err_msg": "The number of times of access exceeds the limit",
            "ts": ms,
        },
        200 if flat else 429,
    )
