"""Keys of a venue: read from the environment or ``.env``, and never to be seen again.

A `Secret` shows itself to nobody who does not ask for it by name: not to ``print``, ``repr``, a traceback that formats
its arguments, ``pickle``, ``copy`` or ``json``. There are three places to look for a key, in this order: the
environment, ``.env`` in the working directory, nowhere. ``htxdata.toml`` is none (``config.load`` refuses it there).
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from htxdata.errors import ConfigError

NAMES: Mapping[str, tuple[str, str]] = {
    "htx": ("HTX_ACCESS_KEY", "HTX_SECRET_KEY"),
    "hashkey": ("HASHKEY_API_KEY", "HASHKEY_SECRET_KEY"),
    "permanent": ("PERMANENT_ACCESS_KEY", "PERMANENT_SECRET_KEY"),
}
"""Whose keys there are, and the names of the two halves of each."""

SECRETS = tuple(name for pair in NAMES.values() for name in pair)

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
_PEM = "-----BEGIN"


class Secret:
    """A text that is not shown. ``reveal`` is the one way to it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment]  # a hash of a short secret tells it

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written down: give the other process its own environment")


@dataclass(frozen=True, eq=False)
class Keys:
    """Both halves of a key. ``secret`` is what HTX calls the secret key, or an Ed25519 private key in PEM."""

    access: Secret
    secret: Secret

    @property
    def ed25519(self) -> bool:
        """Whether the secret half is an Ed25519 private key: it then begins as a PEM file does."""
        return self.secret.reveal().startswith(_PEM)


def find_keys(
    owner: str, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Keys | None:
    """The keys for ``owner`` (of `NAMES`), or None where there are none.

    ``ConfigError`` where only one half is there, or one cannot be part of a key; it names the variable and never its
    value. The halves are taken from one place: a half in the environment is not completed from ``.env``.
    """
    env = os.environ if environ is None else environ
    for place, said in (("the environment", env), (".env", dotenv(folder))):
        access, secret = (said.get(name, "").strip() for name in NAMES[owner])
        if access and secret:
            return Keys(*(_checked(name, place, said[name]) for name in NAMES[owner]))
        if access or secret:
            here, lacks = NAMES[owner] if access else reversed(NAMES[owner])
            raise ConfigError(
                f"{place} has {here} but no {lacks}: both halves of a key belong into one place"
            )
    return None


def need_keys(
    owner: str, what: str, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Keys:
    """The keys for ``owner``, or ``ConfigError`` that says what needs them and where they belong."""
    found = find_keys(owner, environ, folder)
    if found is None:
        access, secret = NAMES[owner]
        raise ConfigError(
            f"{what} needs a key: set {access} and {secret} in the environment or in .env (never in htxdata.toml); "
            "docs/keys.md says how to make one that can only read"
        )
    return found


def dotenv(folder: Path | None = None) -> dict[str, str]:
    """What ``.env`` in the working directory says. A file that cannot be read says nothing."""
    try:
        lines = (folder or Path()).joinpath(".env").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (match for line in lines if (match := _LINE.fullmatch(line)))
    return {match[1]: match[2].strip("'\"") for match in pairs}


def secret_values(environ: Mapping[str, str] | None = None) -> list[str]:
    """What must not be printed anywhere, whether it is set in the environment or in ``.env``."""
    env = os.environ if environ is None else environ
    found = [env[name] for name in SECRETS if env.get(name)]
    return found + [value for name, value in dotenv().items() if name in SECRETS and value]


def _checked(name: str, place: str, value: str) -> Secret:
    text = value.strip().replace("\\n", "\n")  # a PEM file on one line of .env
    if not text.startswith(_PEM) and not (text.isascii() and text.isprintable() and " " not in text):
        raise ConfigError(f"{name} in {place} is no key: it holds blanks or signs that no key has")
    return Secret(text)
