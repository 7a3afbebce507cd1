"""The doctor's word on keys, against a sandbox that knows them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from htxdata.config import Settings
from htxdata.ingest.doctor import examine
from htxdata.ingest.doctor_keys import KeyCheck, key_checks
from htxdata.ingest.doctor_terms import Check
from htxdata.keys import NAMES
from htxdata.sandbox import SANDBOX_KEY, ApiKey, Sandbox
from htxdata.timeline import DAY
from tests.truth import settings_for

NOW = time.time_ns() // 1000
GOOD = ApiKey("good0000-00000000", "made-up-1", addresses=("127.0.0.1",))
TRADES = ApiKey("trades00-00000000", "made-up-2", "readOnly,trade", ("127.0.0.1", "10.0.0.1"))
WITHDRAWS = ApiKey("withdraw-00000000", "made-up-3", "readOnly,trade,withdraw")
ENDING = ApiKey("ending00-00000000", "made-up-4", created_at=NOW - 80 * DAY)
ENDED = ApiKey("ended000-00000000", "made-up-5", created_at=NOW - 91 * DAY)
ELSEWHERE = ApiKey("elsewher-00000000", "made-up-6", addresses=("10.0.0.1",))
BLIND = ApiKey("blind000-00000000", "made-up-7", "trade")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=False, keys=(GOOD, TRADES, WITHDRAWS, ENDING, ENDED, ELSEWHERE, BLIND)) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return settings_for(sandbox, tmp_path)


def looked_at(settings: Settings, key: ApiKey, secret: str = "") -> Check:
    env = {"HTX_ACCESS_KEY": key.access, "HTX_SECRET_KEY": secret or key.secret}
    return KeyCheck("htx", settings, env).end()


@pytest.mark.parametrize(
    ("key", "secret", "status", "words"),
    [
        (GOOD, "", "ok", "taken; it may readOnly; bound to 1 address; does not expire"),
        (
            SANDBOX_KEY,
            "",
            "warning",
            "bound to no address; does not expire: bind it to this machine's address",
        ),
        (TRADES, "", "warning", "THIS KEY MAY TRADE. Reading needs no such key"),
        (WITHDRAWS, "", "problem", "THIS KEY MAY WITHDRAW. Nothing here needs that: delete it now"),
        (ENDING, "", "warning", "it ends in 10 days: renew it, or bind it"),
        (ENDED, "", "problem", "one without a bound address ends after 90 days; make a new one"),
        (ELSEWHERE, "", "problem", "bound to other addresses"),
        (GOOD, "wrong", "problem", "its secret half is another key's"),
        (BLIND, "", "problem", "lacks the permission to read"),
    ],
)
def test_what_is_said_of_a_key(settings: Settings, key: ApiKey, secret: str, status: str, words: str) -> None:
    """Every way to be wrong is a sentence with a way out, and holds neither half."""
    check = looked_at(settings, key, secret)
    assert (check.name, check.status) == ("key of htx", status)
    assert words in check.says
    assert key.access not in str(check)
    assert key.secret not in str(check)


def test_the_details(settings: Settings) -> None:
    """For ``--json``: permissions, addresses and days left as values."""
    assert looked_at(settings, TRADES).details == {
        "set": True,
        "taken": True,
        "permissions": ["readOnly", "trade"],
        "addresses": ["127.0.0.1", "10.0.0.1"],
        "days_left": None,
        "status": "normal",
    }
    assert looked_at(settings, ENDING).details["days_left"] == 10


def test_no_key_is_no_fault(settings: Settings) -> None:
    """Nothing but own history needs one; half a key is a problem that nobody is asked about."""
    check = KeyCheck("htx", settings, {}).end()
    assert (check.status, check.details) == ("ok", {"set": False})
    half = KeyCheck("htx", settings, {"HTX_SECRET_KEY": "made-up-1"}).end()
    assert (half.status, "made-up-1" in str(half)) == ("problem", False)
    assert "no HTX_ACCESS_KEY" in half.says


def test_a_clock_that_is_off(tmp_path: Path) -> None:
    """Refused for its time: the advice is to set the clock."""
    with Sandbox(limits=False, keys=(GOOD,), clock=lambda: time.time() + 400) as sandbox:
        check = looked_at(settings_for(sandbox, tmp_path), GOOD)
    assert check.status == "problem"
    assert "timedatectl" in check.says


def of(owner: str, settings: Settings, key: ApiKey, secret: str = "") -> Check:
    env = dict(zip(NAMES[owner], (key.access, secret or key.secret), strict=True))
    return KeyCheck(owner, settings, env).end()


@pytest.mark.parametrize("owner", ["hashkey", "permanent"])
def test_a_key_of_which_nothing_is_told(settings: Settings, owner: str) -> None:
    """That it is taken is said, and what is not known is not: one that may trade looks like one that may not."""
    for key in (GOOD, TRADES, WITHDRAWS):
        check = of(owner, settings, key)
        assert (check.name, check.status) == (f"key of {owner}", "ok")
        assert check.says.startswith("taken: it signed a question, which was answered. What it may do, from where")
        assert (check.details["taken"], check.details["permissions"], check.details["days_left"]) == (True, None, None)
        assert key.access not in str(check)


@pytest.mark.parametrize(
    ("key", "secret", "hashkey", "permanent"),
    [
        (ENDED, "", "it has ended: make a new one", "there is no such key (any more)"),
        (ELSEWHERE, "", "bound to other addresses", "bound to other addresses"),
        (GOOD, "wrong", "its secret half is another key's", "its secret half is another key's"),
        (BLIND, "", "lacks the permission to read", "lacks the permission to read"),
        (ApiKey("nobodys", "made-up-8"), "", "there is no such key", "there is no such key"),
    ],
    ids=["ended", "elsewhere", "secret", "blind", "nobody's"],
)
def test_a_key_that_is_not_taken_there(
    settings: Settings, key: ApiKey, secret: str, hashkey: str, permanent: str
) -> None:
    """Each refusal has its way out, and neither half is told."""
    for owner, words in (("hashkey", hashkey), ("permanent", permanent)):
        check = of(owner, settings, key, secret)
        assert (check.status, check.details) == ("problem", {"set": True, "taken": False})
        assert words in check.says
        assert not any(half in str(check) for half in (key.access, key.secret))


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0.0, "ok", "taken: it signed"),
        (4.0, "warning", "s behind hashkey's, and 5 s is the most it bears: let it be set by NTP"),
        (-0.8, "warning", "0.8 s ahead of hashkey's, and 1 s is the most it bears"),
        (7.0, "problem", "this machine's clock is off by more than five seconds, or is a second ahead"),
        (-2.0, "problem", "this machine's clock is off by more than five seconds, or is a second ahead"),
    ],
)
def test_a_clock_that_hashkey_bears_and_one_that_it_does_not(
    tmp_path: Path, skew: float, status: str, words: str
) -> None:
    """Five seconds late and one early: half of it is worth a word before a request is refused."""
    with Sandbox(limits=False, keys=(GOOD,), clock=lambda: time.time() + skew) as sandbox:
        check = of("hashkey", settings_for(sandbox, tmp_path), GOOD)
    assert (check.status, words in check.says) == (status, True), check


def test_who_cannot_be_asked(settings: Settings) -> None:
    """No key and no address: nothing to ask; a host that is gone leaves the question open."""
    assert KeyCheck("hashkey", settings, {}).end().details == {"set": False}
    nowhere = replace(settings, hosts={**settings.hosts, "permanent_rest": None})
    assert "permanent_rest has no address" in of("permanent", nowhere, GOOD).says
    shut = replace(settings, hosts={**settings.hosts, "hashkey_rest": "http://127.0.0.1:9"})
    gone = of("hashkey", shut, GOOD)
    assert (gone.status, "could not be asked" in gone.says) == ("warning", True)
    assert [check._name for check in key_checks(nowhere, {})] == ["key of htx", "key of hashkey"]
    half = {"PERMANENT_ACCESS_KEY": "x"}
    (_, _, found) = [check.end() for check in key_checks(nowhere, half)]
    assert (found.name, found.status) == ("key of permanent", "problem")


def test_the_doctor_looks_at_keys(settings: Settings) -> None:
    """Among the other checks, behind the clock, which signatures need."""
    names = [
        check.name
        for check in examine(settings, environ={"HTX_ACCESS_KEY": GOOD.access, "HTX_SECRET_KEY": GOOD.secret})
    ]
    assert names.index("key of htx") == names.index("clock") + 1
