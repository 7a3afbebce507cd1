"""HashKey's private half: ccxt's own `hashkey` class with keys, only its URLs changed; its refusals by the letter."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import ccxt
import pytest

from htxdata.sandbox import SANDBOX_KEY, ApiKey, Sandbox
from htxdata.sandbox.hashkey_own import fill_id
from htxdata.sandbox.instruments import instant

NOON = instant("2026-06-01T12:00:30") // 10**6
DAY = 86_400_000
TRADER = ApiKey("trader00-00000000-00000000-00000", "made-up-secret", "readOnly,trade")
BOUND = ApiKey("bound000-00000000-00000000-00000", "made-up-secret", addresses=("10.1.2.3",))
OLD = ApiKey("old00000-00000000-00000000-00000", "made-up-secret", created_at=instant("2026-03-01"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=lambda: NOON, limits=False, keys=(TRADER, BOUND, OLD), own_seconds=3600) as running:
        yield running


def client(sandbox: Sandbox, key: ApiKey = SANDBOX_KEY, secret: str = "") -> Any:
    one = ccxt.hashkey({"enableRateLimit": False, "apiKey": key.access, "secret": secret or key.secret})
    for name in one.urls["api"]:
        one.urls["api"][name] = sandbox.hosts["hashkey_rest"]
    one.milliseconds = lambda: NOON * 1000
    return one


@pytest.fixture(scope="module")
def exchange(sandbox: Sandbox) -> Iterator[Any]:
    one = client(sandbox)
    yield one
    one.session.close()


def test_balances(exchange: Any, sandbox: Sandbox) -> None:
    """Every currency of the spot account, and the USDT that contracts are margined with."""
    truth = sandbox.own.balances(NOON * 10**6, "hashkey")
    found = exchange.fetch_balance()
    assert set(truth) == {"USDT", "BTC", "ETH"}
    assert {name: found["free"][name] for name in truth} == {name: float(held) for name, (held, _) in truth.items()}
    assert exchange.fetch_balance({"type": "swap"})["USDT"]["total"] == 100_000.0
    assert [account["type"] for account in exchange.fetch_accounts()] == ["main spot account", "main swap account"]


@pytest.mark.parametrize(
    ("symbol", "name"), [("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT"), ("ETH/USDT:USDT", "ETHUSDT-PERPETUAL")]
)
def test_fills_are_trades_of_the_market(exchange: Any, sandbox: Sandbox, symbol: str, name: str) -> None:
    """Four days of own fills are the truth; sizes of a perpetual are contracts; each is a trade of the market."""
    since = NOON * 1000 - 4 * DAY
    rows = exchange.fetch_my_trades(symbol, since=since, limit=500)
    truth = sandbox.own.fills("hashkey", name, since * 1000, NOON * 10**6 + 1, NOON * 10**6)
    assert len(rows) > 60
    assert sorted(
        (r["id"], r["order"], r["timestamp"], r["side"], r["price"], r["amount"], r["fee"]["cost"],
         r["fee"]["currency"], r["takerOrMaker"])
        for r in rows
    ) == sorted(
        (str(fill_id(f)), str(o.number), f.time // 1000, o.side, float(f.price), float(f.contracts or f.quantity),
         float(f.fee), f.fee_currency, o.role)
        for o, f in truth
    )  # fmt: skip
    assert len({fill_id(f) for _, f in truth}) == len(truth)
    market = sandbox.market.trades("hashkey", name, since * 1000, NOON * 10**6 + 1)
    public = set(zip(market["trade_time"].tolist(), market["price"].tolist(), market["quantity"].tolist(), strict=True))
    assert {(f.time, float(f.price), float(f.quantity)) for _, f in truth} <= public


def test_fills_come_newest_first_and_by_page(exchange: Any, sandbox: Sandbox) -> None:
    """The newest of a window within both ends, 200 unless said and never more than 500; and by their numbers."""
    until = NOON * 1000
    asked = {"symbol": "BTCUSDT", "startTime": until - 29 * DAY, "endTime": until}
    truth = [str(fill_id(f)) for _, f in sandbox.own.fills(
        "hashkey", "BTCUSDT", (until - 29 * DAY) * 1000, NOON * 10**6 + 1, NOON * 10**6)]  # fmt: skip
    assert len(truth) > 600
    get = exchange.privateGetApiV1AccountTrades
    for more, count in (({}, 200), ({"limit": 7}, 7), ({"limit": 5000}, 500)):
        rows = get({**asked, **more})
        assert [row["id"] for row in rows] == truth[-count:][::-1]
    edge = rows[20]
    at = int(edge["time"])
    assert {row["time"] for row in get({**asked, "startTime": at, "endTime": at})} == {edge["time"]}
    assert get({**asked, "toId": edge["id"], "fromId": edge["id"]}) == [edge]


@pytest.mark.parametrize(("symbol", "name"), [("BTC/USDT", "BTCUSDT"), ("BTC/USDT:USDT", "BTCUSDT-PERPETUAL")])
def test_an_order_of_the_past(exchange: Any, sandbox: Sandbox, symbol: str, name: str) -> None:
    """By its number: what was filled of it, and at what price on average."""
    truth = sandbox.own.orders("hashkey", name, (NOON - 86_400) * 10**6, NOON * 10**6, NOON * 10**6)
    states = {"filled": "closed", "canceled": "canceled", "partial-canceled": "canceled"}
    assert len(truth) > 10
    for order in truth:
        found = exchange.fetch_order(str(order.number), symbol)
        filled = sum(f.contracts or f.quantity for f in order.fills)
        assert (found["id"], found["clientOrderId"], found["side"], found["status"], found["filled"]) == (
            str(order.number), order.client_id, order.side, states[order.state], float(filled)
        )  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "side", "amount", "kept"), [("BTC/USDT", "buy", 0.5, "0.5"), ("BTC/USDT:USDT", "sell", 20, "20")]
)
def test_an_order_from_its_placing_to_its_end(symbol: str, side: str, amount: float, kept: str) -> None:
    """Placed by ccxt, found open, cancelled, not cancelled twice; a key that only reads places nothing."""
    with Sandbox(clock=lambda: NOON, limits=False, keys=(TRADER,)) as sandbox:
        one = client(sandbox, TRADER)
        made = one.create_order(symbol, "limit", side, amount, 20000.0, {"clientOrderId": "mine-1"})
        (placed,) = sandbox.placed
        assert (placed["orderId"], placed["clientOrderId"], placed["origQty"], Decimal(placed["price"])) == (
            made["id"], "mine-1", kept, 20000,
        )  # fmt: skip
        assert one.fetch_order(made["id"], symbol)["status"] == "open"
        with pytest.raises(ccxt.DuplicateOrderId, match="-1141"):
            one.create_order(symbol, "limit", side, amount, 20000.0, {"clientOrderId": "mine-1"})
        one.cancel_order(made["id"], symbol)
        assert one.fetch_order(made["id"], symbol)["status"] == "canceled"
        with pytest.raises(ccxt.OrderNotFillable, match="-1142"):
            one.cancel_order(made["id"], symbol)
        with pytest.raises(ccxt.OrderNotFound, match="-1143"):
            one.fetch_order("77", symbol)
        reader = client(sandbox)
        with pytest.raises(ccxt.PermissionDenied, match="-1005"):
            reader.create_order(symbol, "limit", side, amount, 20000.0)
        assert len(sandbox.placed) == 1
        for each in (one, reader):
            each.session.close()


def ask(sandbox: Sandbox, path: str, query: str, access: str, secret: str, sign: bool = True) -> tuple[int, Any]:
    """Status and body of a request that was signed by hand."""
    if sign:
        query += f"&signature={hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"
    headers = {"X-HK-APIKEY": access} if access else {}
    try:
        with urlopen(Request(f"{sandbox.hosts['hashkey_rest']}{path}?{query}", headers=headers)) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.loads(error.read())


NOW = f"timestamp={NOON * 1000}"


@pytest.mark.parametrize(
    ("key", "query", "code", "words"),
    [
        (ApiKey("", ""), NOW, "0102", "Invalid APIKey"),
        (ApiKey("nobodys", "x"), NOW, "0102", "Invalid APIKey"),
        (OLD, NOW, "0103", "APIKey expired"),
        (BOUND, NOW, "0202", "Invalid IP"),
        (ApiKey(SANDBOX_KEY.access, "wrong"), NOW, "0001", "Required field signature missing or invalid"),
        (SANDBOX_KEY, "a=b", "0001", "Required field timestamp missing or invalid"),
        (SANDBOX_KEY, "timestamp=17", "0001", "Required field timestamp missing or invalid"),
        (SANDBOX_KEY, f"timestamp={NOON * 1000 + 1000}", "-1021",
         "Timestamp for this request is outside of the recvWindow"),
        (SANDBOX_KEY, f"timestamp={NOON * 1000 - 5001}", "-1021",
         "Timestamp for this request is outside of the recvWindow"),
        (SANDBOX_KEY, f"recvWindow=100&timestamp={NOON * 1000 - 101}", "-1021",
         "Timestamp for this request is outside of the recvWindow"),
    ],
)  # fmt: skip
def test_who_is_not_let_in(sandbox: Sandbox, key: ApiKey, query: str, code: str, words: str) -> None:
    """HTTP 400 and a code that is a text, whatever is wrong."""
    assert ask(sandbox, "/api/v1/account", query, key.access, key.secret) == (400, {"code": code, "msg": words})


def test_the_edges_of_what_is_let_in(sandbox: Sandbox) -> None:
    """999 ms ahead, 5,000 ms late, later by a window of one's own; a parameter after the signing is not let in."""
    key = SANDBOX_KEY
    for query in (f"timestamp={NOON * 1000 + 999}", f"timestamp={NOON * 1000 - 5000}",
                  f"recvWindow=8000&timestamp={NOON * 1000 - 8000}"):  # fmt: skip
        assert ask(sandbox, "/api/v1/account/type", query, key.access, key.secret)[0] == 200
    good = hmac.new(key.secret.encode(), NOW.encode(), hashlib.sha256).hexdigest()
    spoilt = f"{NOW}&limit=5&signature={good}"
    assert ask(sandbox, "/api/v1/account", spoilt, key.access, key.secret, sign=False)[1]["code"] == "0001"


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/v1/account/trades", "symbol=NONSENSE", "-1130"),
        ("/api/v1/account/trades", "symbol=BTCUSDT-PERPETUAL", "-1130"),
        ("/api/v1/futures/userTrades", "symbol=BTCUSDT", "-1130"),
        ("/api/v1/futures/userTrades", "symbol=SOLUSDT-PERPETUAL", "-1151"),
        ("/api/v1/account/trades", f"symbol=BTCUSDT&startTime={NOON * 1000 - 31 * DAY}", "-2028"),
        ("/api/v1/account/trades", "symbol=BTCUSDT&limit=many", "-1130"),
        ("/api/v1/spot/order", "a=b", "0001"),
    ],
)
def test_what_is_refused_of_a_question(sandbox: Sandbox, path: str, query: str, code: str) -> None:
    """Of /api/v1 the code is a text; the public half spells the same mistake with a number."""
    status, said = ask(sandbox, path, f"{query}&{NOW}", SANDBOX_KEY.access, SANDBOX_KEY.secret)
    assert (status, said["code"]) == (400, code)
    assert ask(sandbox, "/quote/v1/trades", "symbol=NONSENSE", "", "")[1]["code"] == -100011
