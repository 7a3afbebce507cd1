"""What an endpoint is asked and what it answers, and the error bodies of each family (htx-api 1.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from .breakage import Bend
from .market import Market
from .recent import Recent
from .replay import Replay
from .spelling import Piece


@dataclass(frozen=True)
class Ask:
    """One request as an endpoint sees it. `now` is the sandbox's clock, us UTC."""

    host: str
    path: str
    query: Mapping[str, str]
    now: int
    bend: Bend | None

    @property
    def ms(self) -> int:
        return self.now // 1000


@dataclass(frozen=True)
class Answer:
    """A body in up to three parts (only the middle one is big) and how it is sent."""

    before: bytes
    middle: Piece | None = None
    after: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json;charset=utf-8"

    def body(self) -> bytes:
        return self.before + (self.middle.text if self.middle else b"") + self.after


@dataclass(frozen=True)
class Exchange:
    """The state that endpoints read: the truth and the options. Nothing in it changes but the kept bodies."""

    market: Market
    replay: Replay | None = None
    v5: bool = True
    v5_from_inclusive: bool = True
    spot_history: int | None = None
    crowd: int = 0
    hashkey_bound: str = "end"
    hashkey_page: int = 1000
    permanent_unit: int = 1_000_000
    bodies: Recent = field(default_factory=lambda: Recent(96))

    def source(self, venue: str, symbol: str, dataset: str) -> Market | Replay:
        """Who serves a dataset of a symbol: the recording where there is one, the seeded truth otherwise."""
        if self.replay is not None and self.replay.covers(venue, symbol, dataset):
            return self.replay
        return self.market


class Refusal(Exception):
    """An endpoint's way to answer with an error body."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.body().decode())


def reply(body: Any, status: int = 200) -> Answer:
    """A small JSON answer."""
    return Answer(orjson.dumps(body), status=status)


def hyphens(ask: Ask, code: str, text: str) -> Refusal:
    """The spot spelling, which derivative market data uses too: HTTP 200, `err-code`, `err-msg`."""
    return Refusal(reply({"ts": ask.ms, "status": "error", "err-code": code, "err-msg": text}))


def underscores(ask: Ask, code: int, text: str) -> Refusal:
    """The derivative reference spelling: HTTP 200, integer `err_code`, `err_msg`."""
    return Refusal(reply({"status": "error", "err_code": code, "err_msg": text, "ts": ask.ms}))


def three(ask: Ask, code: int, text: str) -> Refusal:
    """The derivative v3 spelling: HTTP 200, `code`, `msg`."""
    return Refusal(reply({"code": code, "msg": text, "data": None, "ts": ask.ms}))


def five(ask: Ask, code: int, text: str) -> Refusal:
    """The v5 spelling: HTTP 200, `code`, `message`."""
    return Refusal(reply({"code": code, "message": text, "data": None, "ts": ask.ms}))


def page(text: str, status: int) -> Answer:
    """An HTML page as gateways and firewalls send."""
    body = (
        f"<html>\r\n<head><title>{text}</title></head>\r\n<body>\r\n<center><h1>{text}</h1></center>\r\n"
        "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    )
    return Answer(body.encode(), status=status, content_type="text/html")
