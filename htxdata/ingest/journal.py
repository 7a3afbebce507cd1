"""What a run says to machines: one JSON object a line, with the run, the series and the span; and nothing secret.

Chosen by ``log = "json"`` (``HTXDATA_LOG=json``). A run's id is ``HTXDATA_RUN``, where whoever started this process set
it (`serve` does, and tags the Prefect run with it), else one of its own.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from htxdata.errors import HtxdataError
from htxdata.ingest.outcome import Outcome
from htxdata.keys import SECRETS, secret_values
from htxdata.market import Series
from htxdata.timeline import Window, iso

RUN = "HTXDATA_RUN"
HIDDEN = "***"

_SECRET_NAMES = (
    r"signature|sign|access_?key(?:_?id)?|secret(?:_?key)?|api_?key|x-hk-apikey|x-api-key|listen_?key|password|passphrase|"
    r"authorization|token|htx_\w*key|hashkey_\w*key|permanent_\w*key"
)
_PAIR = re.compile(
    rf"""(?ix) (?<![a-z0-9]) ((?:{_SECRET_NAMES}) ["']? \s* [:=] \s* ["']?)
    (?:(?:bearer|basic|token) \s+)? [^\s"'&,;}}\])]+"""
)
_QUERY = re.compile(r"(?i)\b((?:https?|wss?)://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_LOGIN = re.compile(r"(?i)\b((?:https?|wss?)://)[^\s/@\"']+@")


@cache
def _own_id() -> str:
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def run_id() -> str:
    """The run that this process is."""
    return os.environ.get(RUN) or _own_id()


def redact(text: str, secrets: Mapping[str, str] | None = None) -> str:
    """``text`` without keys, signatures, log-ins, or the query of any address; nor the values of the secrets set."""
    text = _LOGIN.sub(rf"\1{HIDDEN}@", _QUERY.sub(rf"\1?{HIDDEN}", text))
    text = _PAIR.sub(rf"\1{HIDDEN}", text)
    known = secret_values() if secrets is None else [secrets.get(name, "") for name in SECRETS]
    for value in known:
        if len(value) > 3:
            text = text.replace(value, HIDDEN)
    return text


def line(message: str, level: str = "info", at: int | None = None, run: str | None = None, **more: Any) -> str:
    """One object, one line. ``more`` may hold a `Series`, a `Window` and anything that JSON has."""
    entry: dict[str, Any] = {
        "at": iso(time.time_ns() // 1000 if at is None else at), "level": level, "run": run or run_id(),
        "message": redact(message),
    }  # fmt: skip
    for name, value in more.items():
        entry[name] = _plain(value)
    return json.dumps(entry, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Series):
        return {"dataset": value.dataset, "venue": value.venue, "symbol": value.symbol, "period": value.period}
    if isinstance(value, Window):
        return {"start": iso(value.start), "end": iso(value.end)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, str):
        return redact(value)
    return value if isinstance(value, (int, float, bool)) or value is None else redact(str(value))


def of_outcome(outcome: Outcome) -> Iterator[str]:
    """A line for a partition that was done, and one for every span of it that is missing."""
    if outcome.asked:
        span = Window(min(w.start for w in outcome.asked), max(w.end for w in outcome.asked))
        yield line(
            "partition", series=outcome.series, partition=outcome.label, span=span, added=outcome.added,
            replaced=outcome.replaced, requests=outcome.requests, seconds=round(outcome.seconds, 3),
        )  # fmt: skip
    for missing in outcome.missing:
        yield line(
            f"missing: {missing.why}", "warning", series=outcome.series, partition=outcome.label,
            span=missing.window,
        )  # fmt: skip


class JsonLines(logging.Formatter):
    """Records of the ``logging`` module as the same lines."""

    def format(self, record: logging.LogRecord) -> str:
        more: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            more["error"] = self.formatException(record.exc_info)
        return line(record.getMessage(), record.levelname.lower(), int(record.created * 1e6), **more)


def _news(record: logging.LogRecord) -> bool:
    """An error of ours is said once, as the sentence with which the run ends: not with its traceback as well."""
    return not (record.exc_info and isinstance(record.exc_info[1], HtxdataError))


def to_stderr(*loggers: str, log: str = "json") -> None:
    """Send what these loggers say to stderr: as JSON lines, or as plain ones of warnings; and in no other form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_news)
    if log == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setLevel(logging.WARNING)
        handler.setFormatter(logging.Formatter("%(message)s"))
    for name in loggers:
        logger = logging.getLogger(name)
        for other in [h for h in logger.handlers if isinstance(h, logging.StreamHandler)]:
            logger.removeHandler(other)
        logger.addHandler(handler)
        logger.propagate = False
