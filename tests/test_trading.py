"""Trading calls, against the sandbox alone: told once, and what is not known is said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import ccxt
import pytest

from htxdata.config import Settings
from htxdata.errors import OutcomeUnknown, Refused, Unreachable, UsageError
from htxdata.sandbox import SANDBOX_KEY, Rule, Sandbox
from htxdata.trading import OrderState, SpotTrader
from tests.traders import TRADER, key_of, only_with_leave, running, told
from tests.truth import settings_for

NAMES = ("HTX_ACCESS_KEY", "HTX_SECRET_KEY")
ENV = key_of(*NAMES)
ORDER: dict[str, Any] = {
    "symbol": "btcusdt",
    "side": "buy",
    "kind": "limit",
    "amount": "0.5",
    "price": "100.25",
}
PLACE = "/v1/order/orders/place"


def trader(sandbox: Sandbox, folder: Path) -> SpotTrader:
    return SpotTrader(settings_for(sandbox, folder), allow_trading=True, environ=ENV)


def posts(sandbox: Sandbox) -> list[tuple[str, int]]:
    return [(r.path, r.status) for r in sandbox.requests if r.method == "POST"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with running() as one:
        yield one


@pytest.fixture
def settings(sandbox: Sandbox, tmp_path: Path) -> Settings:
    return settings_for(sandbox, tmp_path)


def test_it_does_nothing_unless_it_is_allowed(tmp_path: Path) -> None:
    """Not without the word, not with what is merely true, not with a key that may only read, not without one."""
    with running() as sandbox:
        with pytest.raises(UsageError, match="this key may readOnly, and not trade"):
            only_with_leave(SpotTrader, *NAMES, "api-signature-not-valid", sandbox, tmp_path)
        assert told(sandbox) == []


def test_an_order_from_its_placing_to_its_end(tmp_path: Path) -> None:
    """Placed, found by both numbers, cancelled, and refused a second cancellation."""
    with running() as sandbox, trader(sandbox, tmp_path) as hands:
        number = hands.place(**ORDER, client_order_id="mine-1")
        (placed,) = sandbox.placed
        assert {
            name: placed[name]
            for name in ("id", "symbol", "type", "amount", "price", "client-order-id", "account-id")
        } == {
            "id": int(number),
            "symbol": "btcusdt",
            "type": "buy-limit",
            "amount": "0.5",
            "price": "100.25",
            "client-order-id": "mine-1",
            "account-id": 13496526,
        }
        assert (
            hands.order(number)
            == hands.find("mine-1")
            == OrderState(number, "mine-1", "submitted", "0.5", "0.0")
        )
        assert hands.cancel(number) == number
        assert hands.order(number).state == "canceled"
        with pytest.raises(Refused, match="order-orderstate-error"):
            hands.cancel(number)
        assert hands.find("mine-2") is None
        assert hands.place("ethusdt", "buy", "market", Decimal("12.50"), client_order_id="mine-2") == str(
            int(number) + 1
        )
        assert (sandbox.placed[1]["amount"], sandbox.placed[1]["type"]) == ("12.50", "buy-market")


@pytest.mark.parametrize(
    ("rule", "stands"),
    [
        (Rule("error", status=502), False),
        (Rule("error", status=504), False),
        (Rule("drop"), False),
        (Rule("busy"), False),
        (Rule("cut"), True),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_what_is_not_known_is_said_and_not_repeated(tmp_path: Path, rule: Rule, stands: bool) -> None:
    """A 5xx, a lost connection, the venue's "try again", a reply that was cut: unknown, one POST, then it is asked."""
    with running(Rule(**{**vars(rule), "path": PLACE})) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(OutcomeUnknown, match=f"{PLACE}: whether it was done is not known") as caught:
            hands.place(**ORDER, client_order_id="mine-1")
        assert caught.value.exit_code == 1
        assert not any(word in str(caught.value) for word in (TRADER.access, TRADER.secret, "Signature"))
        assert [path for path, _ in posts(sandbox)] == [PLACE]
        found = hands.find("mine-1")
        assert (found is not None, len(sandbox.placed)) == (stands, int(stands))


@pytest.mark.parametrize(
    ("rule", "order", "words"),
    [
        (None, {"symbol": "nonsense"}, "invalid symbol or type"),
        (Rule("throttle"), {}, "HTTP 429|rate-too-many"),
    ],
    ids=["symbol", "throttled"],
)
def test_what_is_surely_not_done_is_no_mystery(
    tmp_path: Path, rule: Rule | None, order: dict[str, Any], words: str
) -> None:
    """The venue's own no is a refusal, and not repeated either."""
    rules = () if rule is None else (Rule("throttle", path=PLACE),)
    with running(*rules) as sandbox, trader(sandbox, tmp_path) as hands:
        with pytest.raises(Refused, match=words):
            hands.place(**{**ORDER, **order}, client_order_id="mine-1")
        assert (len(posts(sandbox)), sandbox.placed) == (1, [])


def test_what_was_never_sent_is_not_unknown(tmp_path: Path) -> None:
    """Nobody listens: there is nothing to ask about."""
    with running() as sandbox:
        hands = trader(sandbox, tmp_path)
    with hands, pytest.raises(Unreachable, match="not sent"):
        hands.place(**ORDER, client_order_id="mine-1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"amount": 0.5}, "not a positive figure"),
        ({"amount": "-1"}, "not a positive figure"),
        ({"amount": "0.0"}, "positive"),
        ({"price": "1e3"}, "not a positive figure"),
        ({"price": None}, "has a price"),
        ({"kind": "market"}, "has no price"),
        ({"side": "up"}, "buy or sell"),
        ({"kind": "stop"}, "buy or sell"),
        ({"client_order_id": "a b"}, "client_order_id"),
        ({"client_order_id": ""}, "client_order_id"),
    ],
)
def test_wrong_orders_are_not_sent(
    sandbox: Sandbox, settings: Settings, change: dict[str, Any], words: str
) -> None:
    """Floats, signs, exponents, prices where none belong: refused here, before anybody hears of them."""
    before = len(posts(sandbox))
    with (
        SpotTrader(settings, allow_trading=True, environ=ENV) as hands,
        pytest.raises(UsageError, match=words),
    ):
        hands.place(**{**ORDER, "client_order_id": "mine-1", **change})
    assert len(posts(sandbox)) == before


def test_ccxt_trades_here_too(tmp_path: Path) -> None:
    """The sandbox takes orders of a client that we did not write, and none with a key that only reads."""
    with running() as sandbox:
        for key, allowed in ((TRADER, True), (SANDBOX_KEY, False)):
            one = ccxt.htx({"enableRateLimit": False, "apiKey": key.access, "secret": key.secret})
            for name in one.urls["api"]:
                host = "htx_swap_rest" if name in ("contract", "status") else "htx_spot_rest"
                one.urls["api"][name] = sandbox.hosts[host]
                one.urls["hostnames"][name] = sandbox.url.removeprefix("http://")
            if allowed:
                made = one.create_order("BTC/USDT", "limit", "sell", 0.5, 70000.0)
                assert sandbox.placed[0]["type"] == "sell-limit"
                one.cancel_order(made["id"], "BTC/USDT")
                assert one.fetch_order(made["id"], "BTC/USDT")["status"] == "canceled"
            else:
                with pytest.raises(ccxt.BaseError, match="login-required"):
                    one.create_order("BTC/USDT", "limit", "sell", 0.5, 70000.0)
            one.session.close()
        assert len(sandbox.placed) == 1
