"""Settings: where they come from, which wins, and what every mistake in them is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from htxdata.config import BUDGETS, HOSTS, POOLS, Keep, Settings, load
from htxdata.errors import ConfigError
from htxdata.keys import SECRETS
from htxdata.protocol.wire import Request


def write(text: str, name: str = "htxdata.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(text: str = "", **env: str) -> str:
    """What is said about a file, or an environment."""
    write(text)
    with pytest.raises(ConfigError) as caught:
        load(environ=env)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    """Hosts, budgets and folders of the contract; nothing is kept."""
    settings = load(environ={})
    assert settings == Settings()
    assert (settings.lake, settings.tape, settings.keep) == ("data/lake", "data/tape", ())
    assert settings.hosts == HOSTS
    assert settings.budgets == BUDGETS
    assert settings.budgets["htx_spot_rest"] == 8


def test_every_pool_has_a_budget_below_its_hosts() -> None:
    """A request of a pool needs both; the pool's own would mean nothing above the host's."""
    for host, pools in POOLS.items():
        assert host in HOSTS
        for key in pools.values():
            assert key not in HOSTS
            assert BUDGETS[key] < BUDGETS[host]
    assert (BUDGETS["htx_swap_rest"], BUDGETS["htx_swap_reference"]) == (780, 78)


def test_what_is_signed_counts_by_its_key() -> None:
    """Not with what an address asks (htx-api 2.2: 72 reads in 3 s of a user, 240 in 3 s of an address), unless a limit
    of its own is documented (10.2: 5 in 2 s of an account's ledger)."""
    assert POOLS["htx_swap_rest"]["private"] == "htx_swap_private"
    assert 3 * BUDGETS["htx_swap_private"] <= 72
    assert Request("/v5/trade/order/details", private=True).limit == "private"
    assert Request("/v1/account/history", (), "ledger", private=True).limit == "ledger"
    assert 2 * BUDGETS[POOLS["htx_spot_rest"]["ledger"]] <= 5
    assert Request("/v5/market/funding_rate_history", (), "reference").limit == "reference"


def test_a_pools_budget_is_set_like_a_hosts() -> None:
    """In the file or the environment; what is set for the host leaves it alone, for it bounds the pool by itself."""
    write("[budgets]\nhtx_swap_rest = 5\n")
    assert load(environ={}).budgets == {**BUDGETS, "htx_swap_rest": 5.0}
    write("[budgets]\nhtx_swap_reference = 12.5\n")
    assert load(environ={}).budgets == {**BUDGETS, "htx_swap_reference": 12.5}
    set_there = load(environ={"HTXDATA_BUDGETS__HTX_SWAP_REFERENCE": "3"})
    assert set_there.budgets == {**BUDGETS, "htx_swap_reference": 3.0}
    assert "htx_swap_reference" in refusal("[budgets]\nhtx_swap_market = 3")


def test_the_file_of_the_contract() -> None:
    """Everything that product.md writes in its example."""
    write(
        """
        lake = "x/lake"
        tape = "x/tape"
        [hosts]
        htx_spot_rest = "http://127.0.0.1:8790/htx-spot/"
        [budgets]
        htx_spot_rest = 5.5
        [[keep]]
        venue = "htx-linear"
        dataset = "klines"
        symbols = ["BTC-USDT", "ETH-*"]
        periods = ["1min", "1day"]
        since = "2024-01-01"
        [[keep]]
        venue = "htx-linear"
        dataset = "funding_rates"
        symbols = ["*"]
        since = 2024-01-01
        [[keep]]
        venue = "htx-spot"
        dataset = "instruments"
        symbols = ["*"]
        since = 2024-01-01T08:00:00Z
        """
    )
    settings = load(environ={})
    assert (settings.lake, settings.tape, settings.origin) == ("x/lake", "x/tape", "htxdata.toml")
    assert settings.host("htx_spot_rest") == "http://127.0.0.1:8790/htx-spot"
    assert settings.host("htx_swap_rest") == HOSTS["htx_swap_rest"]
    assert settings.budgets == {**BUDGETS, "htx_spot_rest": 5.5}
    assert settings.keep == (
        Keep("htx-linear", "klines", ("BTC-USDT", "ETH-*"), ("1min", "1day"), "2024-01-01"),
        Keep("htx-linear", "funding_rates", ("*",), (), "2024-01-01"),
        Keep("htx-spot", "instruments", ("*",), (), "2024-01-01T08:00:00+00:00"),
    )


def test_the_environment_wins() -> None:
    """Every key can be set there, nested with two underscores; other people's variables are left alone."""
    write(
        'lake = "file"\n[hosts]\nhtx_spot_rest = "http://file"\nhtx_swap_rest = "http://file"\n'
        "[budgets]\nhtx_archive = 3\n"
    )
    settings = load(
        environ={
            "HTXDATA_LAKE": "s3://bucket/lake",
            "HTXDATA_HOSTS__HTX_SPOT_REST": "http://env:1/x",
            "HTXDATA_HOSTS__PERMANENT_WS": "ws://env",
            "HTXDATA_BUDGETS__HTX_SWAP_REST": "0.5",
            "HTXDATA_KEEP": '[{venue = "htx-spot", dataset = "klines", symbols = ["btcusdt"]}]',
            "HTXDATA_BUDGET_DIR": "/x",
            "HTXDATA_SHARED": "/y",
            "HTX_ACCESS_KEY": "secret",
        }
    )
    assert settings.lake == "s3://bucket/lake"
    assert settings.hosts == {
        **HOSTS,
        "htx_spot_rest": "http://env:1/x",
        "htx_swap_rest": "http://file",
        "permanent_ws": "ws://env",
    }
    assert settings.budgets == {**BUDGETS, "htx_archive": 3.0, "htx_swap_rest": 0.5}
    assert settings.keep == (Keep("htx-spot", "klines", ("btcusdt",)),)
    assert "secret" not in repr(settings)


def test_which_file_is_read() -> None:
    """--config before HTXDATA_CONFIG before ./htxdata.toml; one that was named must exist."""
    write('lake = "here"')
    write('lake = "named"', "other.toml")
    write('lake = "option"', "third.toml")
    assert load(environ={}).lake == "here"
    assert load(environ={"HTXDATA_CONFIG": "other.toml"}).lake == "named"
    assert load("third.toml", {"HTXDATA_CONFIG": "other.toml"}).lake == "option"
    for path, env in (("none.toml", {}), (None, {"HTXDATA_CONFIG": "none.toml"}), (".", {})):
        with pytest.raises(ConfigError, match="there is no configuration file"):
            load(path, env)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lake = x", ["htxdata.toml is not valid TOML", "line 1"]),
        ("lake = 1", ["htxdata.toml", "lake", "1"]),
        ('lake = " "', ["htxdata.toml", "lake", "' '"]),
        ("colour = 1", ["htxdata.toml", "unknown key 'colour'", "lake, tape, log, metrics, fan_out, hosts, budgets, serve, alerts, keep"]),  # noqa: E501
        ("[hosts]\nhtx = 'http://x'", ["htxdata.toml", "unknown key [hosts] 'htx'", "htx_spot_rest"]),
        (
            "[budgets]\nhtx_spot_ws = 3",
            ["htxdata.toml", "unknown key [budgets] 'htx_spot_ws'", "htx_spot_rest"],
        ),
        ("hosts = 3", ["htxdata.toml", "[hosts] must be a table", "3"]),
        ("keep = 3", ["htxdata.toml", "[[keep]]"]),
        ("keep = [3]", ["htxdata.toml", "[[keep]]"]),
    ],
)
def test_mistakes_in_the_file_are_named(text: str, words: list[str]) -> None:
    """The file, the key, the value, and what is allowed."""
    said = refusal(text)
    assert not [word for word in words if word not in said], said


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.huobi.pro",
        "wss://api.huobi.pro",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x:0",
        "http://x y",
        "http://x/?a=1",
        "http://x/#a",
        " http://x",
        "https://[::1",
    ],
)
def test_a_host_is_a_url_of_the_right_scheme(url: str) -> None:
    """From the file or from the environment; whichever said it is named."""
    said = refusal(f'[hosts]\nhtx_spot_rest = "{url}"')
    assert said == f"htxdata.toml: hosts.htx_spot_rest is {url!r}: write https://host[:port][/prefix]"
    said = refusal("", HTXDATA_HOSTS__HTX_SPOT_REST=url)
    assert said.startswith("environment variable HTXDATA_HOSTS__HTX_SPOT_REST: hosts.htx_spot_rest is")
    assert "write wss://" in refusal('[hosts]\nhtx_spot_ws = "https://api.huobi.pro"')


@pytest.mark.parametrize(
    "rate", ["0", "-1", "nan", "inf", "'many'", "true", "[8]", "'1e999'", "1" + "0" * 400]
)
def test_a_budget_is_a_rate(rate: str) -> None:
    """Above nothing and below everything."""
    said = refusal(f"[budgets]\nhtx_spot_rest = {rate}")
    assert said.startswith("htxdata.toml: budgets.htx_spot_rest is ")
    assert said.endswith("write requests per second, above 0")
    assert "HTXDATA_BUDGETS__HTX_SPOT_REST: budgets.htx_spot_rest is 'x'" in refusal(
        "", HTXDATA_BUDGETS__HTX_SPOT_REST="x"
    )


@pytest.mark.parametrize(
    "name",
    [
        "HTXDATA_HOSTS",
        "HTXDATA_BUDGETS",
        "HTXDATA_LAKE__X",
        "HTXDATA_HOSTS__X__Y",
        "HTXDATA_COLOUR__X",
        "HTXDATA_HOSTS__HTX",
        "HTXDATA_BUDGETS__HTX_SPOT_WS",
    ],
)
def test_a_slip_in_a_nested_variable_is_said(name: str) -> None:
    """A name with two underscores can only be meant for us."""
    assert name in refusal("", **{name: "x"})


def test_a_variable_that_meets_a_broken_table_is_said() -> None:
    """The file's mistake is the file's."""
    assert refusal("hosts = 3", HTXDATA_HOSTS__HTX_SPOT_REST="http://x").startswith(
        "htxdata.toml: [hosts] must be a table"
    )
    assert "environment variable HTXDATA_KEEP is no TOML" in refusal("", HTXDATA_KEEP="[{")
    assert refusal("", HTXDATA_LAKE=" ").startswith(
        "environment variable HTXDATA_LAKE: lake must be a folder"
    )
    assert refusal("", HTXDATA_KEEP="[{}]") == "environment variable HTXDATA_KEEP: a [[keep]] lacks venue"


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("place", ['{} = "hush"', '[hosts]\n{} = "hush"', '[budgets]\n{} = "hush"'])
def test_secrets_in_the_file_are_refused_and_not_repeated(secret: str, place: str) -> None:
    """In capitals or not, at the top or in a table; the value is never printed."""
    for name in (secret, secret.lower()):
        said = refusal(place.format(name))
        assert said == f"htxdata.toml: {secret} belongs into the environment or .env, never into this file"


KEEP = {"venue": '"htx-spot"', "dataset": '"klines"', "symbols": '["btcusdt"]', "periods": '["1min"]'}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"venue": None}, "a [[keep]] lacks venue"),
        ({"dataset": '""'}, "a [[keep]] lacks dataset"),
        ({"symbols": None}, "a [[keep]] lacks symbols"),
        ({"symbols": "[]"}, "a [[keep]] lacks symbols"),
        ({"symbols": '"btcusdt"'}, "[[keep]] symbols must be a list of texts, not 'btcusdt'"),
        ({"symbols": "[1]"}, "[[keep]] symbols must be a list of texts, not [1]"),
        ({"periods": '"1min"'}, "[[keep]] periods must be a list of texts, not '1min'"),
        ({"venue": '["htx-spot"]'}, "[[keep]] venue must be a text, not ['htx-spot']"),
        ({"dataset": "1"}, "[[keep]] dataset must be a text, not 1"),
        ({"since": "2024"}, '[[keep]] since must be a time such as "2024-01-01", not 2024'),
        ({"since": "true"}, "[[keep]] since must be a time"),
        ({"since": "07:32:00"}, "[[keep]] since must be a time"),
        (
            {"until": '"2025"'},
            "unknown key [[keep]] 'until': choose from venue, dataset, symbols, periods, since",
        ),
    ],
)
def test_mistakes_in_a_keep_are_named(change: dict[str, str | None], words: str) -> None:
    """What is missing, what is of the wrong kind, what is not known."""
    lines = [f"{key} = {value}" for key, value in {**KEEP, **change}.items() if value is not None]
    assert refusal("[[keep]]\n" + "\n".join(lines)).startswith(f"htxdata.toml: {words}")


def test_a_host_without_an_address_is_said_when_it_is_needed() -> None:
    """permanent has no public host: the message names the key and the variable."""
    with pytest.raises(ConfigError, match=r"permanent_rest.*\[hosts\].*HTXDATA_HOSTS__PERMANENT_REST"):
        Settings().host("permanent_rest")


def test_a_file_that_cannot_be_read_as_text_is_said() -> None:
    """Bytes that are no UTF-8 are no TOML."""
    Path("htxdata.toml").write_bytes(b"lake = '\xff'")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load(environ={})


# ------------------------------------------------------------------------------------------------- serve and alerts


def test_serve_and_alerts_are_read_from_file_and_environment() -> None:
    """Tables of the file, variables with `__`, texts for numbers and lists; what is left out is the default."""
    Path("htxdata.toml").write_text(
        'log = "json"\nmetrics = "127.0.0.1:9464"\nfan_out = "tcp://10.0.0.1:8786"\n'
        '[serve]\nsync = "30m"\ncapture = false\n[alerts]\ncommand = ["a", "b c"]\n'
        '[[keep]]\nvenue = "htx-spot"\ndataset = "trades"\nsymbols = ["x"]\n'
        'fresh_within = "2h"\ncapture = true\nevery = "5m"\n'
    )
    environ = {
        "HTXDATA_SERVE__PORT": "0", "HTXDATA_SERVE__CAPTURE": "true", "HTXDATA_ALERTS__COMMAND": "logger -t 'a b'",
        "HTXDATA_ALERTS__WEBHOOK": "https://hooks.example/x", "HTXDATA_LOG": "text",
    }  # fmt: skip
    plain, laid = load(environ={}), load(environ=environ)
    assert (plain.log, plain.metrics, plain.fan_out) == ("json", "127.0.0.1:9464", "tcp://10.0.0.1:8786")
    assert (plain.serve.sync, plain.serve.capture, plain.serve.upkeep) == ("30m", False, "02:30")
    assert plain.alerts.command == ("a", "b c")
    assert (laid.serve.port, laid.serve.capture, laid.log) == (0, True, "text")
    assert laid.alerts.command == ("logger", "-t", "a b")
    (keep,) = plain.keep
    assert (keep.fresh_within, keep.capture, keep.every) == ("2h", True, "5m")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('log = "loud"', ["log is 'loud'", "text or json"]),
        ('fan_out = "ray"', ["fan_out is 'ray'", "dask"]),
        ("serve = 3", ["[serve] must be a table"]),
        ("[serve]\nsinc = '1h'", ["unknown key [serve] 'sinc'", "sync"]),
        ("[serve]\nport = 70000", ["serve.port is 70000"]),
        ("[serve]\ncapture = 'yes'", ["serve.capture is 'yes'", "true or false"]),
        ("[serve]\nsync = 3", ["serve.sync must be a text"]),
        ("[alerts]\ncommand = [3]", ["alerts.command must be a list of texts"]),
        ("[alerts]\nmail = 'x'", ["unknown key [alerts] 'mail'"]),
    ],
)
def test_mistakes_in_serve_and_alerts_are_named(text: str, words: list[str]) -> None:
    """The key, the value, and what is allowed."""
    said = refusal(text)
    assert not [word for word in words if word not in said], said


def test_a_webhook_that_is_wrong_is_not_repeated() -> None:
    """Its address is often a secret."""
    said = refusal("[alerts]\nwebhook = 'hooks.example/s3cret'")
    assert "alerts.webhook is no address" in said
    assert "s3cret" not in said
