"""Each fault as a client sees it, when rules fire, and what is said about a wrong faults file."""

from __future__ import annotations

import json
import math
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from htxdata.sandbox import Faults, Market, Rule, Sandbox
from htxdata.sandbox.faults import KINDS, PRESETS
from tests.clocks import Hands, Watch
from tests.sandbox.conftest import NOON, Client
from tests.waits import until

KLINE = "/market/history/kline"
LINEAR = "/linear-swap-ex/market/history/kline"
OPEN = NOON // 60 * 60
WINDOW: dict[str, Any] = {
    "contract_code": "BTC-USDT",
    "period": "1min",
    "from_": OPEN - 6000,
    "to": OPEN - 60,
}


@contextmanager
def harmed(*rules: Rule, **options: Any) -> Iterator[Client]:
    with Sandbox(limits=False, clock=lambda: NOON, faults=Faults(*rules), **options) as sandbox:
        client = Client(sandbox)
        try:
            yield client
        finally:
            client.close()


def page(client: Client) -> requests.Response:
    return client.get("htx_swap_rest", LINEAR, **WINDOW)


def truth() -> list[dict[str, Any]]:
    with harmed() as client:
        rows: list[dict[str, Any]] = page(client).json()["data"]
        return rows


# ------------------------------------------------------------------------------------------------- answers


def test_throttle() -> None:
    with harmed(
        Rule("throttle", mode="headers", times=1),
        Rule("throttle", mode="bare", times=1),
        Rule("throttle", mode="body"),
    ) as client:
        first, second, third = page(client), page(client), page(client)
        assert (first.status_code, "ratelimit-reset" in first.headers) == (429, True)
        assert (second.status_code, "ratelimit-reset" in second.headers) == (429, False)
        assert (third.status_code, third.json()["err_code"]) == (200, 1032)
        assert client.sandbox.violations == 0


def test_ban_shuts_the_host_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htxdata.sandbox.rest.time", hands := Hands())
    with harmed(Rule("ban", after=1, times=1, seconds=0.4, host="htx_swap_rest", status=418)) as client:
        assert page(client).status_code == 200
        assert [page(client).status_code for _ in range(3)] == [418] * 3
        assert client.spot("/v1/common/timestamp")["status"] == "ok"
        hands.go(0.5)
        assert page(client).status_code == 200


def test_errors_busy_and_maintenance() -> None:
    with harmed(Rule("error", path=LINEAR)) as client:
        reply = page(client)
        assert reply.status_code in (500, 502, 503, 504)
        assert reply.text.startswith("<html>")
        assert client.get("htx_swap_rest", "/api/v1/timestamp").status_code == 200
    with harmed(Rule("busy")) as client:
        assert page(client).json()["err_code"] == 1004
        assert client.spot(KLINE, symbol="btcusdt")["err-msg"] == "request timeout"
    with harmed(Rule("maintenance", mode="maintain", times=1), Rule("maintenance", mode="system")) as client:
        assert page(client).json() == {"status": "maintain"}
        assert client.spot(KLINE, symbol="btcusdt")["err-code"] == "system-maintenance"


def test_stall_and_drop(caplog: pytest.LogCaptureFixture) -> None:
    rules = (
        Rule("stall", seconds=0.3, times=1),
        Rule("drop", after=1, times=1),
        Rule("stall", after=2, forever=True),
    )
    with ExitStack() as ends:
        with harmed(*rules) as client:
            began = time.monotonic()
            assert page(client).status_code == 200
            assert time.monotonic() - began >= 0.3
            with pytest.raises(requests.ConnectionError):
                page(client)
            with pytest.raises(requests.Timeout):
                requests.get(client.sandbox.hosts["htx_swap_rest"] + "/api/v1/timestamp", timeout=0.2)
            until(lambda: len(client.sandbox.requests) == 3)  # the server may take notice later than we lose patience
            assert [one.status for one in client.sandbox.requests] == [200, 0, 0]
            watch = ends.enter_context(Watch())
    assert watch.seconds < 2.0  # a stalled answer does not hold up the end
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# ------------------------------------------------------------------------------------------------- bodies


def test_cut_bodies() -> None:
    with harmed(Rule("cut", mode="length", times=1), Rule("cut", mode="gzip")) as client:
        with pytest.raises(requests.RequestException):
            page(client)
        with pytest.raises((requests.RequestException, ValueError)):
            page(client).json()
        url = client.sandbox.hosts["htx_swap_rest"] + "/api/v1/timestamp"
        bare = requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=30)
        with pytest.raises(ValueError):
            bare.json()


@pytest.mark.parametrize("mode", ["json", "types", "value", "column", "nan"])
def test_garbage(mode: str) -> None:
    good = truth()
    with harmed(Rule("garbage", mode=mode)) as client:
        text = page(client).text
        if mode == "json":
            with pytest.raises(ValueError):
                json.loads(text)
            return
        rows = json.loads(text)["data"]
        (row, known), *more = [(row, known) for row, known in zip(rows, good, strict=True) if row != known]
        assert not more
        if mode == "types":
            assert row["close"] == {"value": known["close"]}
        elif mode == "column":
            assert set(known) - set(row) == {"close"}
        elif mode == "nan":
            assert math.isnan(row["close"])
        else:
            assert row["id"] == -42
        states = client.spot("/v2/settings/common/symbols")["data"]
        assert mode != "value" or any(one["state"] == "transmogrified" for one in states)


# ------------------------------------------------------------------------------------------------- rows


def test_rows_go_missing_double_and_change_places() -> None:
    good = truth()
    with harmed(Rule("missing")) as client:
        rows = page(client).json()["data"]
        assert len(rows) < len(good)
        assert [row for row in good if row in rows] == rows
    with harmed(Rule("duplicate")) as client:
        rows = page(client).json()["data"]
        assert len(rows) > len(good)
        assert [row for place, row in enumerate(rows) if row not in rows[:place]] == good
    with harmed(Rule("reorder")) as client:
        rows = page(client).json()["data"]
        assert rows != good
        assert sorted(rows, key=lambda row: int(row["id"])) == good
        path, query = "/v5/market/funding_rate_history", {"contract_code": "BTC-USDT", "limit": 50}
        ids = [int(row["id"]) for row in client.swap(path, **query)["data"]]
        assert sorted(ids) != ids
        assert len(set(ids)) == 50


def test_empty_when_asked_too_much() -> None:
    with harmed(Rule("empty", rows=50)) as client:
        assert page(client).json()["data"] == []
        assert len(client.swap(LINEAR, **{**WINDOW, "from_": OPEN - 3000})["data"]) == 50
        assert page(client).json()["status"] == "ok"


def test_revised_candles_settle() -> None:
    """Asked soon after they close, candles are wrong, twice in the same way; later they are the market's."""
    now = [float(OPEN)]
    options = {"faults": Faults(Rule("revise", 0.6, seconds=300.0)), "limits": False, "clock": lambda: now[0]}
    with Sandbox(**options) as sandbox:  # type: ignore[arg-type]
        client = Client(sandbox)
        fresh, again = page(client).json()["data"], page(client).json()["data"]
        assert fresh == again
        now[0] += 400
        settled = page(client).json()["data"]
        client.close()
    changed = [new["id"] for new, old in zip(settled, fresh, strict=True) if new != old]
    assert changed
    assert min(changed) >= OPEN - 360
    assert settled == truth()
    known = Market(0).klines("htx-linear", "BTC-USDT", "1min", (OPEN - 6000) * 10**6, OPEN * 10**6)
    assert [row["vol"] for row in settled] == known["contracts"].tolist()


# ------------------------------------------------------------------------------------------------- when


def kinds(faults: Faults, path: str = KLINE, symbol: str = "btcusdt", elapsed: float = 0.0) -> list[str]:
    return [one.rule.kind for one in faults.decide("htx_spot_rest", path, symbol, elapsed)]


def test_every_after_times_and_between() -> None:
    faults = Faults(Rule("busy", every=3, after=2, times=2))
    assert [bool(kinds(faults)) for _ in range(14)] == [place in (4, 7) for place in range(14)]
    faults = Faults(Rule("error", between=(1.0, 2.0)))
    assert [bool(kinds(faults, elapsed=at)) for at in (0.5, 1.0, 1.9, 2.0)] == [False, True, True, False]


def test_filters() -> None:
    faults = Faults(Rule("busy", path="/market/*", symbol="BTC*", host="htx_spot_rest"))
    assert kinds(faults) == ["busy"]
    assert kinds(faults, symbol="ethusdt") == []
    assert kinds(faults, path="/v1/common/symbols") == []
    assert faults.decide("htx_swap_rest", KLINE, "btcusdt", 0.0) == []


def test_the_same_seed_fails_in_the_same_way() -> None:
    runs = [
        [kinds(Faults(*PRESETS["storm"], seed=seed), elapsed=float(place)) for place in range(1)]
        for seed in (0, 0)
    ]
    assert runs[0] == runs[1]
    first, second, other = (Faults(*PRESETS["storm"], seed=seed) for seed in (3, 3, 4))
    known = [kinds(first) for _ in range(300)]
    assert known == [kinds(second) for _ in range(300)]
    assert known != [kinds(other) for _ in range(300)]
    assert 60 < sum(1 for found in known if found) < 260


def test_later_kinds_are_accepted_and_quiet() -> None:
    faults = Faults(*(Rule(kind) for kind, room in KINDS.items() if room != "rest"))
    assert kinds(faults) == []


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "drops"])
def test_presets_still_let_something_through(name: str) -> None:
    """On requests; what a preset does to frames is in test_socket_faults."""
    faults = Faults.parse(name)
    found = [kinds(faults, elapsed=float(place)) for place in range(200)]
    assert any(found)
    assert name == "revisions" or not all(found)


def test_files(tmp_path: Path) -> None:
    toml = tmp_path / "faults.toml"
    toml.write_text(
        'seed = 7\n[[rule]]\nkind = "stall"\nseconds = 2\nbetween = [1, 5]\n[[rule]]\nkind = "busy"\n'
    )
    faults = Faults.parse(str(toml))
    assert faults.seed == 7
    assert faults.rules == (Rule("stall", seconds=2, between=(1.0, 5.0)), Rule("busy"))
    other = tmp_path / "faults.json"
    other.write_text('[{"kind": "ban", "status": 418}]')
    assert Faults.load(other).rules == (Rule("ban", status=418),)


@pytest.mark.parametrize(
    ("text", "said"),
    [('[[rule]]\nkind = "sulk"', "unknown fault kind 'sulk'; known are throttle, ban"),
     ('[[rule]]\nkind = "busy"\nprobabilty = 1', "unknown key probabilty; known keys are kind, probability"),
     ('[[rule]]\nprobability = 1', "no kind"), ('[[rules]]\nkind = "busy"', "unknown key rules"),
     ('[[rule]]\nkind = "busy"\nevery = "x"', "every must be a number"), ("= =", "cannot be read"),
     ('[[rule]]\nkind = "cut"\nmode = "deep"', "unknown mode 'deep'; known are length, gzip"),
     ('[[rule]]\nkind = "busy"\nprobability = 2', "between 0 and 1"),
     ('[[rule]]\nkind = "busy"\nbetween = 3', "two numbers of seconds")],
)  # fmt: skip
def test_a_wrong_file_is_explained(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        Faults.parse(str(file))
    assert "wrong.toml" in str(caught.value)


def test_a_wrong_name_is_explained() -> None:
    with pytest.raises(ValueError, match="neither a file nor a name; known names are flaky, storm"):
        Faults.parse("stormy")
    with pytest.raises(ValueError, match="known names are flaky"):
        Faults.named("stormy")


def test_a_port_in_use_is_an_oserror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError):
        with Sandbox(port=taken.getsockname()[1]):
            pass
