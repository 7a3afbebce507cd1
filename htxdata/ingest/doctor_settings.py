"""Where each setting comes from, which secrets are there (never what they are), and what software this is."""

from __future__ import annotations

import dataclasses
import difflib
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from htxdata.config import Settings
from htxdata.ingest.doctor_terms import Check, Status, counted
from htxdata.keys import SECRETS, dotenv


def settings_check(settings: Settings, environ: Mapping[str, str]) -> Check:
    """Which file was read, which values differ from the defaults, and who said so."""
    said = _said(environ)
    changed = []
    plain = Settings()
    for part in dataclasses.fields(settings):
        if part.name == "origin":
            continue
        mine, usual = getattr(settings, part.name), getattr(plain, part.name)
        if dataclasses.is_dataclass(mine):
            mine, usual = vars(mine), vars(usual)
        if isinstance(mine, Mapping):
            pairs = [(f"{part.name}.{key}", mine[key], usual.get(key)) for key in mine]
        else:
            pairs = [(part.name, mine, usual)]
        changed += [
            {
                "key": key,
                "value": _plain(value),
                "default": _plain(default),
                "from": said.get(key, settings.origin),
            }
            for key, value, default in pairs
            if value != default
        ]
    odd = _odd(environ, tuple(part.name for part in dataclasses.fields(settings) if part.name != "origin"))
    secrets = {name: _place(name, environ) for name in SECRETS}
    count = sum(place != "not set" for place in secrets.values())
    differ = counted(len(changed), "value") + (" differs" if len(changed) == 1 else " differ")
    says = (
        f"read from {settings.origin}; {differ} from the defaults; {counted(len(settings.keep), '[[keep]] entry')}; "
        f"{count} of {len(SECRETS)} secrets set"
    ).replace("entrys", "entries")
    status: Status = "ok"
    if odd:
        name, meant = odd[0]
        status, says = "warning", f"{name} is no setting and is ignored: is {meant} meant? Otherwise {says}"
    details = {
        "file": settings.origin, "lake": settings.lake, "tape": settings.tape, "differing": changed,
        "hosts": dict(settings.hosts), "budgets": dict(settings.budgets),
        "keep": [_plain(keep) for keep in settings.keep], "secrets": secrets, "ignored": [name for name, _ in odd],
    }  # fmt: skip
    return Check("configuration", status, says, details)


def _said(environ: Mapping[str, str]) -> dict[str, str]:
    """Which variable each key came from: as `config.load` lays them over the file, the later name last."""
    return {
        ".".join(name.removeprefix("HTXDATA_").lower().split("__")): f"environment variable {name}"
        for name in sorted(environ)
        if name.startswith("HTXDATA_")
    }


def _odd(environ: Mapping[str, str], keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """Variables that look like a slip of the pen. Others of this prefix are other programs' business."""
    found = []
    for name in sorted(environ):
        key = name.removeprefix("HTXDATA_").lower()
        if name.startswith("HTXDATA_") and "__" not in key and key not in (*keys, "config", "budget_dir"):
            near = difflib.get_close_matches(key, (*keys, "config"), n=1, cutoff=0.7)
            found += [(name, f"HTXDATA_{near[0].upper()}")] if near else []
    return found


def _place(name: str, environ: Mapping[str, str]) -> str:
    if environ.get(name):
        return "set in the environment"
    return "set in .env" if dotenv().get(name) else "not set"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(part) for name, part in dataclasses.asdict(value).items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


# ---------------------------------------------------------------------------------------------------- software

_NEEDED = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)(;.*)?")
_BARE = ("pyarrow", "duckdb", "numpy", "msgspec", "isal", "picows", "requests", "prefect")


def software_check() -> Check:
    """Python, htxdata and what it needs: there, and of a version that it bears."""
    wanted = _wanted()
    versions: dict[str, str] = {}
    missing, unfit = [], []
    for name, bounds in wanted.items():
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if not _fits(versions[name], bounds):
            unfit.append(f"{name} {versions[name]} (needed: {bounds})")
    details = {"python": platform.python_version(), "system": platform.platform(), "packages": versions}
    mend = "install htxdata again with what it needs (pip install --upgrade htxdata)"
    try:
        own = metadata.version("htxdata")
    except metadata.PackageNotFoundError:
        own = "that is not installed"
    if missing:
        return Check("software", "problem", f"{', '.join(missing)} cannot be found: {mend}", details)
    if unfit:
        return Check(
            "software", "warning", f"not of a version known to work: {', '.join(unfit)}: {mend}", details
        )
    says = f"htxdata {own} on Python {platform.python_version()} with {len(versions)} packages of fitting versions"
    return Check("software", "ok", says, details)


def _wanted() -> dict[str, str]:
    """What htxdata says that it needs, without its extras: name to bounds."""
    try:
        lines = metadata.requires("htxdata") or []
    except metadata.PackageNotFoundError:
        lines = list(_BARE)
    found = [
        match for line in lines if (match := _NEEDED.fullmatch(line)) and "extra" not in (match[3] or "")
    ]
    return {match[1]: match[2].strip() for match in found}


def _fits(version: str, bounds: str) -> bool:
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:  # not one of our needs, though most of them bring it
        return True
    return SpecifierSet(bounds).contains(version, prereleases=True)
