"""Keys: where they come from, and that they show themselves to nobody."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from pathlib import Path

import pytest

from htxdata.config import load
from htxdata.errors import ConfigError
from htxdata.keys import NAMES, SECRETS, Keys, Secret, find_keys, need_keys

ACCESS, SECRET = "acc-TOPSECRET-1", "sec-TOPSECRET-2"
ENV = {"HTX_ACCESS_KEY": ACCESS, "HTX_SECRET_KEY": SECRET}


def test_a_secret_is_not_shown() -> None:
    """Not by print, repr, format, a container, a traceback, JSON, pickle or copy."""
    keys = Keys(Secret(ACCESS), Secret(SECRET))
    shown = [
        str(keys),
        repr(keys),
        f"{keys.secret}",
        f"{keys.secret:>80}",
        "{} {!r}".format(*vars(keys).values()),
        str([keys]),
        str(vars(keys)),
    ]
    assert not any("TOPSECRET" in text for text in shown)
    for write in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            write(keys.secret)
    with pytest.raises(TypeError):
        pickle.dumps(keys)
    with pytest.raises(TypeError):
        hash(keys.secret)
    told = traceback.format_exception(ValueError(keys, keys.secret))
    assert "TOPSECRET" not in "".join(told)
    assert keys.secret.reveal() == SECRET
    assert keys.secret == Secret(SECRET) != keys.access
    assert keys.secret != SECRET


def test_from_the_environment_and_dotenv_in_this_order(tmp_path: Path) -> None:
    """The environment wins whole; ``.env`` may export, quote, and hold a PEM on one line; nowhere is None."""
    assert find_keys("htx", {}, tmp_path) is None
    (tmp_path / ".env").write_text(
        "# mine\nexport HTX_ACCESS_KEY='from-file'\nHTX_SECRET_KEY = \"file-secret\"\n"
        'HASHKEY_API_KEY=h\nHASHKEY_SECRET_KEY="-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE KEY-----"\n'
    )
    found = find_keys("htx", {}, tmp_path)
    assert found is not None
    assert (found.access.reveal(), found.secret.reveal()) == ("from-file", "file-secret")
    assert not found.ed25519
    pem = find_keys("hashkey", {}, tmp_path)
    assert pem is not None
    assert pem.ed25519
    assert pem.secret.reveal() == "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"
    found = find_keys("htx", ENV, tmp_path)
    assert found is not None
    assert found.access.reveal() == ACCESS


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"HTX_ACCESS_KEY": ACCESS}, ["the environment", "HTX_ACCESS_KEY", "HTX_SECRET_KEY"]),
        (
            {"HTX_SECRET_KEY": SECRET, "HTX_ACCESS_KEY": " "},
            ["the environment", "HTX_SECRET_KEY", "no HTX_ACCESS_KEY"],
        ),
        ({**ENV, "HTX_SECRET_KEY": "a b TOPSECRET"}, ["HTX_SECRET_KEY", "blanks"]),
    ],
)
def test_half_a_key_is_wrong_usage(env: dict[str, str], words: list[str], tmp_path: Path) -> None:
    """It names the variable and never the value; a half is not completed from another place."""
    (tmp_path / ".env").write_text("HTX_ACCESS_KEY=x\nHTX_SECRET_KEY=y\n")
    with pytest.raises(ConfigError) as caught:
        find_keys("htx", env, tmp_path)
    assert all(word in str(caught.value) for word in words)
    assert "TOPSECRET" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_needs_a_key_says_where_it_belongs(tmp_path: Path) -> None:
    """And that the TOML file is no place for it."""
    for owner, (access, secret) in NAMES.items():
        with pytest.raises(
            ConfigError, match=rf"own_fills needs a key: set {access} and {secret} in .*\.env.*never"
        ):
            need_keys(owner, "own_fills", {}, tmp_path)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "place",
    [
        '{} = "{}"',
        '[hosts]\n{} = "{}"',
        '[htx]\n{} = "{}"',
        '[[keep]]\nvenue = "x"\n{} = "{}"',
        '[a.b.c]\n{} = "{}"',
        '"HTXDATA_{}" = "{}"',
    ],
)
def test_a_key_in_the_toml_file_is_refused_unseen(name: str, place: str) -> None:
    """At any depth, in any case, with dashes: the message says where it belongs, and not what it is."""
    for spelled in (name, name.lower(), name.lower().replace("_", "-")):
        Path("htxdata.toml").write_text(place.format(spelled, "TOPSECRET"))
        with pytest.raises(ConfigError, match=f"{name} belongs into the environment or .env") as caught:
            load(environ={})
        assert "TOPSECRET" not in str(caught.value)
