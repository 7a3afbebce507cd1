"""The proof that these are HTX's private endpoints: ccxt's own `htx` class with keys, with only its URLs changed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import ccxt
import pytest

from htxdata.sandbox import SANDBOX_KEY, ApiKey, Sandbox
from htxdata.sandbox.instruments import instant

NOON = instant("2026-06-01T12:00:30") // 10**6
DAY = 86_400_000
TRADER = ApiKey("trader00-00000000-00000000-00000", "made-up-secret", "readOnly,trade")
BOUND = ApiKey("bound000-00000000-00000000-00000", "made-up-secret", addresses=("10.1.2.3",))
OLD = ApiKey("old00000-00000000-00000000-00000", "made-up-secret", created_at=instant("2026-03-01"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOON, limits=False, keys=(TRADER, BOUND, OLD)) as sandbox:
        yield sandbox


def client(sandbox: Sandbox, key: ApiKey = SANDBOX_KEY, secret: str = "", ahead: int = 0) -> Any:
    """ccxt's class, its addresses changed: of the requests, and of what it signs as the host."""
    one = ccxt.htx({"enableRateLimit": False, "apiKey": key.access, "secret": secret or key.secret})
    for name in one.urls["api"]:
        host = "htx_swap_rest" if name in ("contract", "status") else "htx_spot_rest"
        one.urls["api"][name] = sandbox.hosts[host]
        one.urls["hostnames"][name] = sandbox.url.removeprefix("http://")
    one.milliseconds = lambda: (NOON + ahead) * 1000
    return one


@pytest.fixture(scope="module")
def exchange(sandbox: Sandbox) -> Iterator[Any]:
    one = client(sandbox)
    yield one
    one.session.close()


def test_balances(exchange: Any, sandbox: Sandbox) -> None:
    """Every currency of the spot account, to the last digit."""
    truth = sandbox.own.balances(NOON * 10**6)
    found = exchange.fetch_balance()
    assert {name: Decimal(repr(found["free"][name.upper()])) for name in truth} == {
        name: Decimal(repr(float(held))) for name, (held, _) in truth.items()
    }
    assert next((a["id"], a["type"]) for a in exchange.fetch_accounts()) == ("13496526", "spot")


@pytest.mark.parametrize(("symbol", "name"), [("BTC/USDT", "btcusdt"), ("DOGE/USDT", "dogeusdt")])
def test_fills_are_trades_of_the_market(exchange: Any, sandbox: Sandbox, symbol: str, name: str) -> None:
    """Two days of own fills are the truth, and each is a trade of the market: same number, time, price and amount."""
    since = NOON * 1000 - 2 * DAY
    rows = exchange.fetch_my_trades(symbol, since=since, limit=500)
    truth = sandbox.own.fills("htx-spot", name, since * 1000, NOON * 10**6, NOON * 10**6)
    assert len(rows) > 8
    assert [
        (
            r["id"],
            r["order"],
            r["timestamp"],
            r["side"],
            r["price"],
            r["amount"],
            r["fee"]["cost"],
            r["takerOrMaker"],
        )
        for r in rows
    ] == [
        (
            str(f.trade_id),
            str(o.number),
            f.time // 1000,
            o.side,
            float(f.price),
            float(f.quantity),
            float(f.fee),
            o.role,
        )
        for o, f in truth
    ]
    market = sandbox.market.trades("htx-spot", name, since * 1000, NOON * 10**6)
    public = {
        str(i): (t // 1000, p, q)
        for i, t, p, q in zip(
            *(market[c].tolist() for c in ("trade_id", "trade_time", "price", "quantity")), strict=True
        )
    }
    assert all(public[r["id"]] == (r["timestamp"], r["price"], r["amount"]) for r in rows)


def test_fills_of_contracts(exchange: Any, sandbox: Sandbox) -> None:
    """A day of fills of a linear swap, in contracts."""
    since = NOON * 1000 - DAY
    rows = exchange.fetch_my_trades("BTC/USDT:USDT", since=since, params={"until": NOON * 1000}, limit=100)
    truth = sandbox.own.fills("htx-linear", "BTC-USDT", since * 1000, NOON * 10**6, NOON * 10**6)
    assert len(rows) > 3
    assert [(r["id"], r["order"], r["timestamp"], r["price"], r["amount"]) for r in rows] == [
        (str(f.trade_id), str(o.number), f.time // 1000, float(f.price), float(f.contracts)) for o, f in truth
    ]


def test_orders(exchange: Any, sandbox: Sandbox) -> None:
    """The orders of two days in every state, and one of them by its number."""
    since = NOON * 1000 - 2 * DAY
    rows = exchange.fetch_orders("ETH/USDT", since=since)
    truth = sandbox.own.orders("htx-spot", "ethusdt", since * 1000, NOON * 10**6, NOON * 10**6)
    states = {"filled": "closed", "canceled": "canceled", "partial-canceled": "canceled"}
    assert [(r["id"], r["timestamp"], r["side"], r["status"], r["filled"]) for r in rows] == [
        (
            str(o.number),
            o.created_at // 1000,
            o.side,
            states[o.state],
            float(sum(f.quantity for f in o.fills)),
        )
        for o in truth
    ]
    assert len({r["status"] for r in rows}) == 2
    one = exchange.fetch_order(rows[0]["id"], "ETH/USDT")
    assert (one["id"], one["clientOrderId"], one["filled"]) == (
        rows[0]["id"],
        truth[0].client_id,
        rows[0]["filled"],
    )
    trades = exchange.fetch_order_trades(rows[0]["id"], "ETH/USDT")
    assert [t["id"] for t in trades] == [str(f.trade_id) for f in truth[0].fills]


@pytest.mark.parametrize(
    ("key", "secret", "ahead", "words"),
    [
        (SANDBOX_KEY, "wrong", 0, "Signature not valid: Verification failure [校验失败]"),
        (
            SANDBOX_KEY,
            "",
            301,
            "Invalid submission time or incorrect time format [无效的提交时间，或时间格式错误]",
        ),
        (
            SANDBOX_KEY,
            "",
            -301,
            "Invalid submission time or incorrect time format [无效的提交时间，或时间格式错误]",
        ),
        (BOUND, "", 0, "Signature not valid: Incorrect IP address [IP地址错误]:127.0.0.1"),
        (OLD, "", 0, "Signature not valid: Incorrect Access key [Access key错误]"),
        (ApiKey("nobodys", "x"), "", 0, "Signature not valid: Incorrect Access key [Access key错误]"),
    ],
)
def test_refusals_are_the_ones_ccxt_knows(
    sandbox: Sandbox, key: ApiKey, secret: str, ahead: int, words: str
) -> None:
    """A wrong signature, a clock off by more than five minutes, a foreign address, an expired and an unknown key."""
    one = client(sandbox, key, secret, ahead)
    with pytest.raises(ccxt.AuthenticationError) as caught:
        one.spotPrivateGetV1AccountAccounts()
    assert words in str(caught.value)
    one.session.close()


def test_a_clock_may_be_off_a_little(sandbox: Sandbox) -> None:
    """Five minutes are borne in both directions."""
    for ahead in (-299, 299):
        one = client(sandbox, ahead=ahead)
        assert one.spotPrivateGetV1AccountAccounts()["status"] == "ok"
        one.session.close()


def test_the_contracts_refuse_in_their_own_spelling(sandbox: Sandbox) -> None:
    """err_code 403 and the same words (HuobiRDCenter/huobi_Python #126)."""
    one = client(sandbox, secret="wrong")
    with pytest.raises(ccxt.AuthenticationError, match="Verification failure") as caught:
        one.contractPrivateGetV5TradeOrderDetails({"contract_code": "BTC-USDT"})
    assert '"err_code":403' in str(caught.value)
    one.session.close()


def test_what_the_key_may_do(sandbox: Sandbox) -> None:
    """/v2/user/api-key tells permissions, addresses and days left."""
    for key, permission, days in ((SANDBOX_KEY, "readOnly", -1), (TRADER, "readOnly,trade", -1)):
        one = client(sandbox, key)
        uid = one.spotPrivateGetV2UserUid()["data"]
        (row,) = one.spotPrivateGetV2UserApiKey({"uid": uid, "accessKey": key.access})["data"]
        assert (row["permission"], row["validDays"], row["status"]) == (permission, days, "normal")
        one.session.close()
