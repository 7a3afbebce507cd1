"""``htxdata.toml``, the environment and ``.env``, made into one frozen settings value.

Later wins: the defaults, the TOML file, the environment. The file is ``--config``, or ``HTXDATA_CONFIG``, or
``htxdata.toml`` in the working directory where there is one. A key of the file is the environment variable
``HTXDATA_`` + its name in capitals, tables nested with ``__`` (``HTXDATA_HOSTS__HTX_SPOT_REST``). Secrets come from the
environment or ``.env`` and from nowhere else; they are never part of this value and never printed.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from htxdata.errors import ConfigError, LakeUnusable
from htxdata.keys import SECRETS
from htxdata.service import LOGS, Alerts, Serve, alerts_of, serve_of

HOSTS: Mapping[str, str | None] = {
    "htx_spot_rest": "https://api.huobi.pro",
    "htx_spot_ws": "wss://api.huobi.pro",
    "htx_swap_rest": "https://api.hbdm.com",
    "htx_swap_ws": "wss://api.hbdm.com",
    "htx_archive": "https://huobi-service-data.s3.amazonaws.com",
    "hashkey_rest": "https://api-glb.hashkey.com",
    "hashkey_ws": "wss://stream-glb.hashkey.com",
    "permanent_rest": None,
    "permanent_ws": None,
}
"""The default base of every host; ``None`` where there is none."""

BUDGETS: Mapping[str, float] = {
    "htx_spot_rest": 8,  # htx-api 2.1: "use at most 8 requests/s per endpoint per address"
    "htx_spot_ledger": 2.4,  # inside it, an account's history (htx-api 10.2 [A]): 5 in 2 s
    # htx-api 2.2 [A]: market data of derivatives 800/s per address, for each product line; one budget serves all lines.
    "htx_swap_rest": 780,
    # Inside it, reference data (funding, contract information, open interest, liquidations): 240 in 3 s per address for
    # USDT-margined contracts [A]. Coin-margined ones are allowed 120 in 3 s, counted apart.
    "htx_swap_reference": 78,
    "htx_swap_coin_reference": 39,
    # What is signed: 72 reads in 3 s per user of USDT-margined contracts [A], counted apart from the above.
    "htx_swap_private": 23,
    # S3 bears 5,500 GETs a second per prefix (AWS's own figure) and says SlowDown beyond that, which is obeyed. This is
    # politeness to who pays for them: under a hundredth of that, and still 25 files with their checksums a second, five
    # years of a series in 73 s.
    "htx_archive": 50,
    # hashkey-api 2: no limit of public requests is published; 2/s is documented for a key's queries, and nobody minded
    # 3/s for a minute.
    "hashkey_rest": 2,
    "permanent_rest": 8,
}
"""Requests per second from this machine: to each host, and within a host by its `POOLS`."""

POOLS: Mapping[str, Mapping[str, str]] = {
    "htx_spot_rest": {"ledger": "htx_spot_ledger"},
    "htx_swap_rest": {
        "reference": "htx_swap_reference", "coin_reference": "htx_swap_coin_reference", "private": "htx_swap_private",
    },
}
"""Of each host the pools (``Request.limit``) that its venue counts by a limit of their own, and their budgets. A
request of a pool needs both budgets, so a lower one of the host bounds the pool as well."""


@dataclass(frozen=True)
class Keep:
    """One ``[[keep]]``: what ``sync`` and ``serve`` keep up to date. Times and spans are as written.

    ``fresh_within`` is how old it may be before it counts as late, ``capture`` whether `serve` listens to it (None:
    where REST alone would lose some of it), ``every`` how often `serve` looks at what has no history.
    """

    venue: str
    dataset: str
    symbols: tuple[str, ...]
    periods: tuple[str, ...] = ()
    since: str | None = None
    fresh_within: str | None = None
    capture: bool | None = None
    every: str | None = None


@dataclass(frozen=True)
class Settings:
    """All settings. ``lake`` and ``tape`` are as written, relative to the working directory."""

    lake: str = "data/lake"
    tape: str = "data/tape"
    hosts: Mapping[str, str | None] = field(default_factory=lambda: dict(HOSTS))
    budgets: Mapping[str, float] = field(default_factory=lambda: dict(BUDGETS))
    keep: tuple[Keep, ...] = ()
    serve: Serve = field(default_factory=Serve)
    alerts: Alerts = field(default_factory=Alerts)
    log: str = "text"
    """How progress and warnings are written to stderr: ``text`` for people, ``json`` for machines, an object a line."""

    metrics: str = ""
    """Where the metrics go, in Prometheus' text format: a file, or ``127.0.0.1:PORT`` while `serve` runs."""

    fan_out: str = "threads"
    """Where the partitions of a flow are filled: ``threads`` of its process, ``dask`` (processes of this machine),
    ``tcp://host:8786`` (a Dask scheduler), or ``pool`` (the workers of the Prefect work pool)."""

    origin: str = "the defaults"
    """Where the file part came from, for messages."""

    def host(self, key: str) -> str:
        """The base URL of a host, without a slash at its end, or ``ConfigError`` where none is set."""
        base = self.hosts.get(key)
        if not base:
            raise ConfigError(f"no address for {key}: set {key} in [hosts] or HTXDATA_HOSTS__{key.upper()}")
        return base.rstrip("/")


def lake(settings: Settings) -> Path | str:
    """Where the lake is: a folder, or a text ``s3://bucket/prefix``."""
    if settings.lake.startswith("s3://"):
        return settings.lake
    return _folder("lake", settings.lake)


def local_tape(settings: Settings) -> Path:
    """The tape's folder. It is on the machine that hears: every frame is on its disk within half a second, and a bucket
    has nothing that could be appended to."""
    return _folder("tape", settings.tape)


def _folder(key: str, value: str) -> Path:
    if "://" in value:
        allowed = "a folder or s3://bucket/prefix" if key == "lake" else "a folder of this machine"
        why = "" if key == "lake" else ", also where the lake is in a bucket: what is heard is appended to it at once"
        raise ConfigError(f"{key} = {_shown(value)!r}: it must be {allowed}{why}")
    path = Path(value)
    if path.exists() and not path.is_dir():
        raise LakeUnusable(f"{key} = {value!r}: a file is in the way, a folder is needed")
    return path


def _shown(url: str) -> str:
    """A URL without the user and password that somebody may have written into it."""
    head, sign, rest = url.partition("://")
    return f"{head}{sign}{rest.rpartition('@')[2]}"


_TABLES = ("hosts", "budgets", "serve", "alerts")
_TEXTS = ("lake", "tape", "log", "metrics", "fan_out")
_TOP = (*_TEXTS, *_TABLES, "keep")


def load(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. ``path`` is what ``--config`` said; a file that was named must exist."""
    env = dict(os.environ if environ is None else environ)
    named = path or env.get("HTXDATA_CONFIG")
    file = Path(named) if named else Path("htxdata.toml")
    table: dict[str, Any] = {}
    origin = "the defaults"
    if named and not file.is_file():
        raise ConfigError(f"there is no configuration file {str(file)!r}")
    if file.is_file():
        origin = str(file)
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{file} is not valid TOML: {error}") from None
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    if secret := _secret_in(table):
        raise ConfigError(f"{origin}: {secret} belongs into the environment or .env, never into this file")
    _known(table, _TOP, origin, "")
    return _settings(table, _from_environment(table, env, origin), origin)


_KEYS: Mapping[str, Mapping[str, Any]] = {
    "hosts": HOSTS, "budgets": BUDGETS, "serve": vars(Serve()), "alerts": vars(Alerts())
}  # fmt: skip


def _secret_in(value: Any) -> str | None:
    """The name of a secret that stands anywhere in the file, in any case and with a dash or a blank for a dash."""
    if isinstance(value, dict):
        for name, part in value.items():
            plain = re.sub(r"[^A-Z0-9]+", "_", str(name).upper())
            if plain.removeprefix("HTXDATA_") in SECRETS:
                return plain.removeprefix("HTXDATA_")
            if found := _secret_in(part):
                return found
    if isinstance(value, list):
        return next((found for part in value if (found := _secret_in(part))), None)
    return None


def _from_environment(table: dict[str, Any], env: Mapping[str, str], origin: str) -> dict[str, str]:
    """Lay the environment over ``table``; returns which variable each of the keys came from."""
    said: dict[str, str] = {}
    for name, value in sorted(env.items()):
        if not name.startswith("HTXDATA_") or name == "HTXDATA_CONFIG":
            continue
        keys = name.removeprefix("HTXDATA_").lower().split("__")
        if len(keys) == 1 and keys[0] not in _TOP:
            continue  # not one of ours; a nested name can only be meant for us, so a slip there is said
        if (keys[0] in _TABLES) != (len(keys) == 2):
            raise ConfigError(f"environment variable {name}: there is no such setting")
        if len(keys) == 2:
            section = table.setdefault(keys[0], {})
            if not isinstance(section, dict):
                raise ConfigError(f"{origin}: [{keys[0]}] must be a table, not {section!r}")
            known = _KEYS[keys[0]]
            if keys[1] not in known:
                raise ConfigError(f"environment variable {name}: choose from {', '.join(known)}")
            section[keys[1]] = value
        elif keys[0] == "keep":
            try:
                table["keep"] = tomllib.loads(f"keep = {value}")["keep"]
            except (tomllib.TOMLDecodeError, RecursionError) as error:
                raise ConfigError(f"environment variable {name} is no TOML list of tables: {error}") from None
        else:
            table[keys[0]] = value
        said[".".join(keys)] = f"environment variable {name}"
    return said


def _known(
    table: Mapping[str, Any], names: Mapping[str, Any] | tuple[str, ...], origin: str, section: str
) -> None:
    for key in table:
        if key not in names:
            where = f"[{section}] " if section else ""
            raise ConfigError(f"{origin}: unknown key {where}{key!r}: choose from {', '.join(names)}")


def _settings(table: Mapping[str, Any], said: Mapping[str, str], origin: str) -> Settings:
    text = {}
    for key in ("lake", "tape"):
        value = table.get(key, getattr(Settings, key))
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{said.get(key, origin)}: {key} must be a folder, not {value!r}")
        text[key] = value
    for key in ("log", "metrics", "fan_out"):
        text[key] = _place(key, table.get(key, getattr(Settings, key)), said.get(key, origin))
    for section in ("serve", "alerts"):
        if not isinstance(table.get(section, {}), dict):
            raise ConfigError(f"{origin}: [{section}] must be a table, not {table[section]!r}")
    hosts = dict(HOSTS)
    budgets = dict(BUDGETS)
    for section, known in (("hosts", HOSTS), ("budgets", BUDGETS)):
        part = table.get(section, {})
        if not isinstance(part, dict):
            raise ConfigError(f"{origin}: [{section}] must be a table, not {part!r}")
        _known(part, known, origin, section)
    for key, value in table.get("hosts", {}).items():
        hosts[key] = _url(key, value, said.get(f"hosts.{key}", origin))
    for key, value in table.get("budgets", {}).items():
        budgets[key] = _rate(key, value, said.get(f"budgets.{key}", origin))
    keeps = table.get("keep", [])
    where = said.get("keep", origin)
    if not isinstance(keeps, list) or not all(isinstance(entry, dict) for entry in keeps):
        raise ConfigError(f"{where}: keep must be a list of tables, written [[keep]]")
    return Settings(
        **text,
        hosts=hosts,
        budgets=budgets,
        keep=tuple(_keep(entry, where) for entry in keeps),
        serve=serve_of(table.get("serve", {}), said, origin),
        alerts=alerts_of(table.get("alerts", {}), said, origin),
        origin=origin,
    )


def _place(key: str, value: Any, origin: str) -> str:
    """``log``, ``metrics`` and ``fan_out``, or ``ConfigError``."""
    good = isinstance(value, str)
    allowed = "a text"
    if key == "log":
        good, allowed = value in LOGS, " or ".join(LOGS)
    elif key == "fan_out":
        good = good and (value in ("threads", "dask", "pool") or value.startswith(("tcp://", "tls://")))
        allowed = "threads, dask, pool or tcp://host:port"
    if not good:
        raise ConfigError(f"{origin}: {key} is {value!r}: write {allowed}")
    return str(value)


def _url(key: str, value: Any, origin: str) -> str:
    if key.endswith("_archive") and value == "":
        return ""  # switched off: REST alone
    schemes = ("ws", "wss") if key.endswith("_ws") else ("http", "https")
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        good = good and not (parts.query or parts.fragment or any(sign.isspace() for sign in value))
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        raise ConfigError(f"{origin}: hosts.{key} is {value!r}: write {schemes[1]}://host[:port][/prefix]")
    return str(value)


def _rate(key: str, value: Any, origin: str) -> float:
    try:
        rate = float(value)
    except (TypeError, ValueError, OverflowError):
        rate = 0.0
    if isinstance(value, bool) or not 0 < rate < float("inf"):
        raise ConfigError(f"{origin}: budgets.{key} is {value!r}: write requests per second, above 0")
    return rate


def _keep(entry: Mapping[str, Any], origin: str) -> Keep:
    names = ("venue", "dataset", "symbols", "periods", "since", "fresh_within", "capture", "every")
    _known(entry, names, origin, "[keep]")
    for name in ("venue", "dataset", "symbols"):
        if not entry.get(name):
            raise ConfigError(f"{origin}: a [[keep]] lacks {name}")
    for name in ("venue", "dataset"):
        if not isinstance(entry[name], str):
            raise ConfigError(f"{origin}: [[keep]] {name} must be a text, not {entry[name]!r}")
    lists = {}
    for name in ("symbols", "periods"):
        value = entry.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{origin}: [[keep]] {name} must be a list of texts, not {value!r}")
        lists[name] = tuple(value)
    since = entry.get("since")
    if isinstance(since, dt.date):  # a time with a date is one, too
        since = since.isoformat()
    if since is not None and not isinstance(since, str):
        raise ConfigError(f'{origin}: [[keep]] since must be a time such as "2024-01-01", not {since!r}')
    for name in ("fresh_within", "every"):
        if not isinstance(entry.get(name, ""), str):
            raise ConfigError(f'{origin}: [[keep]] {name} must be a span such as "2h", not {entry[name]!r}')
    if not isinstance(entry.get("capture", True), bool):
        raise ConfigError(f"{origin}: [[keep]] capture must be true or false, not {entry['capture']!r}")
    return Keep(
        entry["venue"], entry["dataset"], lists["symbols"], lists["periods"], since, entry.get("fresh_within"),
        entry.get("capture"), entry.get("every"),
    )  # fmt: skip
