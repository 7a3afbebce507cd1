"""``[serve]`` and ``[alerts]`` of ``htxdata.toml``: when `htxdata serve` does what, and who hears of a late series.

Spans of time stay as they are written (``"1h30m"``, ``"off"``); ``ingest/turns.py`` and ``ingest/fresh.py`` read them.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from htxdata.errors import ConfigError

LOGS = ("text", "json")
OFF = "off"


@dataclass(frozen=True)
class Serve:
    """When `htxdata serve` does what. ``upkeep`` is a time of the day in UTC, the others are spans; ``off``: never."""

    state: str = "data/serve"
    """The folder of what it remembers: Prefect's database, which alerts are out, the report of the night."""

    port: int = 4200
    """Of the page with the runs, on 127.0.0.1; 0 is a free one."""

    capture: bool = True
    """Whether anything is captured at all; ``capture`` of a [[keep]] says it for that entry."""

    sync: str = "1h"
    upkeep: str = "02:30"
    freshness: str = "10m"
    instruments: str = "1h"
    """Between two looks at the instruments of the venues that are kept."""

    grace: str = "60s"
    """How long the runs under way have to end well after a signal; then they are killed, and nothing is lost."""


@dataclass(frozen=True)
class Alerts:
    """What is late, and who is told. ``command`` is run without a shell, ``webhook`` gets a POST; both get JSON."""

    fresh_within: str | None = None
    """Of a [[keep]] that says none of its own."""

    command: tuple[str, ...] = ()
    webhook: str = ""
    timeout: str = "10s"


def serve_of(table: Mapping[str, Any], said: Mapping[str, str], origin: str) -> Serve:
    """``[serve]``, or ``ConfigError``. ``said`` names the variable that a key came from."""
    return Serve(**_read(Serve(), "serve", table, said, origin))


def alerts_of(table: Mapping[str, Any], said: Mapping[str, str], origin: str) -> Alerts:
    found = Alerts(**_read(Alerts(), "alerts", table, said, origin))
    parts = urlsplit(found.webhook)
    if found.webhook and (parts.scheme not in ("http", "https") or not parts.hostname):
        # Its address is often a secret, so it is not repeated.
        where = said.get("alerts.webhook", origin)
        raise ConfigError(f"{where}: alerts.webhook is no address: write https://host/path")
    return found


def _read(plain: Any, section: str, table: Mapping[str, Any], said: Mapping[str, str], origin: str) -> dict[str, Any]:
    names = [field.name for field in fields(plain)]
    out: dict[str, Any] = {}
    for key, value in table.items():
        if key not in names:
            raise ConfigError(f"{origin}: unknown key [{section}] {key!r}: choose from {', '.join(names)}")
        where = said.get(f"{section}.{key}", origin)
        out[key] = _value(f"{section}.{key}", value, getattr(plain, key), where)
    return out


def _value(key: str, value: Any, usual: Any, where: str) -> Any:
    """``value`` as the type of ``usual``; the environment has texts only."""
    if isinstance(usual, bool):
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: {key} is {value!r}: write true or false")
    if isinstance(usual, int):
        text = str(value)
        if isinstance(value, bool) or not text.isascii() or not text.isdigit() or int(text) > 65_535:
            raise ConfigError(f"{where}: {key} is {value!r}: write a port, 0 to 65535")
        return int(text)
    if isinstance(usual, tuple):
        if isinstance(value, str):
            try:
                value = shlex.split(value)
            except ValueError as error:
                raise ConfigError(f"{where}: {key} cannot be read: {error}") from None
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise ConfigError(f'{where}: {key} must be a list of texts, such as ["/usr/bin/logger", "-t", "htxdata"]')
        return tuple(value)
    if not isinstance(value, str) or (not value.strip() and usual):
        raise ConfigError(f"{where}: {key} must be a text, not {value!r}")
    return value
