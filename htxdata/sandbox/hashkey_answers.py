"""How HashKey refuses and errs: two spellings of one error, pages of HTML, nothing at all (hashkey-api 2)."""

from __future__ import annotations

from .answers import Answer, Ask, Refusal, reply
from .faults import Fired
from .instruments import HASHKEY, INSTRUMENTS, Instrument

UNANSWERED = 499


def text_error(code: str, words: str, status: int = 400) -> Refusal:
    """`/api/v1/*`: the code is a text [wire]."""
    return Refusal(reply({"code": code, "msg": words}, status))


def number_error(code: int, words: str, status: int = 400) -> Refusal:
    """`/quote/v1/*`: the code is a number [wire]."""
    return Refusal(reply({"code": code, "msg": words}, status))


def lost(path: str) -> Answer:
    """A path that is nobody's: HTML that calls itself JSON; a documented one that leads nowhere: JSON [wire]."""
    if path.startswith("/quote/v2/"):
        return reply({"code": 404, "msg": f"No static resource {path.lstrip('/')}."}, 404)
    body = b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1>"
    return Answer(body + b"</center>\r\n</body>\r\n</html>\r\n", status=404, content_type="application/json")


def banned() -> Answer:
    """For going on after 429 (hashkey-api 2)."""
    return reply({"code": "0003", "msg": "Rate limit exceeded, IP banned"}, 418)


def refused() -> Answer:
    """Over the limit."""
    return reply({"code": "0003", "msg": "Rate limit exceeded"}, 429)


def wrong_method(method: str) -> Answer:
    return reply({"code": "-1004", "msg": f"Request method '{method}' not supported"}, 400)


def harmed(one: Fired) -> Answer | None:
    """The answer that a fault gives instead of the endpoint's, where it is HashKey's own; None: as everywhere."""
    kind = one.rule.kind
    if kind == "throttle":
        answer = refused()
        headers = {"Retry-After": "1"} if one.mode == "headers" else {}
        return Answer(answer.before, status=429, headers=headers)
    if kind == "ban":
        return banned() if (one.rule.status or 418) == 418 else None
    if kind == "busy":
        return reply({"code": "-1007", "msg": "Timeout waiting for response from backend server."}, 400)
    if kind == "maintenance":
        return reply({"code": "-1001", "msg": "Internal error."}, 503)
    return None


def quoted(ask: Ask, name: str = "symbol", default: str | None = None) -> str:
    """A parameter that `/quote/v1/*` cannot do without."""
    value = ask.query.get(name) or default
    if value is None:
        raise number_error(-100012, f"Parameter {name} [String] missing!")
    return value


def instrument(ask: Ask, symbol: str) -> Instrument:
    """What is listed under a symbol now, for `/quote/v1/*`."""
    one = INSTRUMENTS[HASHKEY].get(symbol)
    if one is None or one.status_at(ask.now) in ("pre-online", "offline"):
        raise number_error(-100011, "Not supported symbols")
    assert isinstance(one, Instrument)
    return one


def sized(ask: Ask, default: int, most: int) -> int:
    """`limit`: cut in silence where it is too large."""
    text = ask.query.get("limit")
    if text is None or text == "":
        return default
    if not text.isdigit():
        raise number_error(-100002, "Param limit should be int.")
    return max(1, min(int(text), most))


def listed(now: int, kind: str) -> list[Instrument]:
    """The instruments of a kind that are listed now; the delisted ones are no longer there (hashkey-api 0)."""
    every = INSTRUMENTS[HASHKEY].values()
    return [one for one in every if one.kind == kind and one.status_at(now) in ("online", "suspend")]
