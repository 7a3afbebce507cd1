"""What the tests of the trading calls share: a sandbox in which somebody may trade, and what was told to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import pytest

from htxdata.errors import ConfigError, KeyRefused, UsageError
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Faults, Rule, Sandbox
from tests.truth import settings_for

TRADER = ApiKey("trader00-00000000-00000000-00000", "made-up-secret", "readOnly,trade")

AnyTrader = TypeVar("AnyTrader")


def running(*rules: Rule, **options: Any) -> Sandbox:
    return Sandbox(seed=5, limits=False, keys=(TRADER,), faults=Faults(*rules), **options)


def told(sandbox: Sandbox) -> list[tuple[str, str]]:
    """What was not only asked."""
    return [(r.method, r.path) for r in sandbox.requests if r.method != "GET"]


def key_of(access: str, secret: str, key: ApiKey = TRADER) -> dict[str, str]:
    """A key under the names that a venue's halves have in the environment."""
    return {access: key.access, secret: key.secret}


def only_with_leave(
    trader: type[AnyTrader], access: str, secret: str, wrong: str, sandbox: Sandbox, folder: Path
) -> AnyTrader:
    """Not without the word or what is merely true, not without a key, not with one that is not taken (``wrong``: how
    the venue says so); nothing is told, nor asked before there is a key. Gives a trader whose key may only read."""
    settings, env = settings_for(sandbox, folder), key_of(access, secret)
    before = len(sandbox.requests)
    make: Any = trader
    for word in (False, 1, "yes"):
        with pytest.raises(UsageError, match="allow_trading=True"):
            make(settings, allow_trading=word, environ=env)
    with pytest.raises(UsageError, match="allow_trading=True"):
        make(settings, environ=env)
    with pytest.raises(ConfigError, match=f"trading needs a key: set {access}"):
        make(settings, allow_trading=True, environ={})
    assert len(sandbox.requests) == before
    with pytest.raises(KeyRefused, match=wrong):
        make(settings, allow_trading=True, environ={**env, secret: "wrong"})
    assert told(sandbox) == []
    found: AnyTrader = make(settings, allow_trading=True, environ=key_of(access, secret, SANDBOX_KEY))
    return found
