"""Baskets of indices and coming fundings on the wire, against the truth."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from htxdata.sandbox import Market, Sandbox, baskets, linear_indicative
from htxdata.sandbox.instruments import instant
from htxdata.sandbox.periods import DAY, HOUR, MINUTE, SECOND
from tests.sandbox.conftest import NOON, Client
from tests.sandbox.test_wire_reference import assert_shaped

CONSTITUENTS = "/linear-swap-api/market/swap_contract_constituents"
SWAP, DATED = "/swap-api/market/swap_constituents", "/api/market/contract_constituents"
CURRENT, BATCH = "/linear-swap-api/v1/swap_funding_rate", "/linear-swap-api/v1/swap_batch_funding_rate"
NOW = NOON * SECOND
NAMES = {"huobi": "htx", "okex": "okx", "HitBTC": "hitbtc", "gate.io": "gate", "KuCoin": "kucoin",
         "Coinbase Pro": "coinbase"}  # fmt: skip


class Clocked(Client):
    """A client of a sandbox whose clock is set by hand (us UTC)."""

    def __init__(self) -> None:
        self.at = NOW
        super().__init__(Sandbox(limits=False, clock=lambda: self.at / SECOND))


@pytest.fixture(scope="module")
def clocked() -> Iterator[Clocked]:
    client = Clocked()
    with client.sandbox:
        yield client
        client.close()


def served(client: Clocked, at: int, path: str = CONSTITUENTS, **query: str) -> Any:
    client.at = at
    return client.swap(path, **(query or {"contract_code": "BTC-USDT"}))


def rows(data: dict[str, Any]) -> list[tuple[str, str, float, Decimal]]:
    return sorted(
        (
            NAMES.get(row["exchange"], row["exchange"]),
            row["symbol"],
            float(row["symbol_price"]),
            Decimal(row["weights"]),
        )
        for row in data["components"]
    )


def due(market: Market, symbol: str, at: int, quote: str = "USDT") -> list[tuple[str, str, float, Decimal]]:
    found = baskets.truth(market, symbol, at, quote)
    weights = [round(Decimal(repr(weight)) * 100, 4) for weight in found["weight"]]
    return list(zip(found["exchange"], found["constituent"], found["price"], weights, strict=True))


# ---------------------------------------------------------------------------------------------- baskets


def test_a_basket_is_the_truths(clocked: Clocked) -> None:
    """Every figure at many instants; the index's own time is the last whole second, the answer's is now."""
    market = clocked.sandbox.market
    for at in range(NOW - 9 * DAY, NOW, 11 * HOUR + 7 * SECOND + 3000):
        body = served(clocked, at, contract_code="eth-usdt")
        data = body["data"]
        assert (data["contract_code"], body["ts"]) == ("ETH-USDT", at // 1000)
        assert data["ts"] == at // SECOND * 1000
        assert rows(data) == due(market, "ETH-USDT", at)
        assert float(data["index_price"]) == baskets.truth(market, "ETH-USDT", at)["index_price"][0]


def test_an_index_is_the_weighted_mean_of_its_legs_and_near_its_candle(market: Market) -> None:
    """As in the recorded basket; and within a fiftieth of a percent of the index that the candles are of."""
    for at in range(NOW - 9 * DAY, NOW, 13 * HOUR):
        found = baskets.truth(market, "BTC-USDT", at)
        weight = sum(found["weight"])
        mean = sum(w * p for w, p in zip(found["weight"], found["price"], strict=True)) / weight
        assert abs(mean / found["index_price"][0] - 1) < 1e-12
        minute = at // MINUTE * MINUTE
        candle = market.index_klines("htx-linear", "BTC-USDT", "1min", minute, minute + MINUTE)
        assert abs(found["index_price"][0] / candle["open"][0] - 1) < 2e-3


def test_baskets_change_from_time_to_time(market: Market) -> None:
    """Weights every three days, and hours in which an exchange is left out; in between they are the same."""
    start, end = NOW - 60 * DAY, NOW
    found = baskets.changes(market, "BTC-USDT", start, end)

    def said(at: int) -> list[tuple[str, float]]:
        truth = baskets.truth(market, "BTC-USDT", at)
        return list(zip(truth["exchange"], truth["weight"], strict=True))

    assert 20 <= len(found) <= 60
    assert all(said(at) != said(at - 1) for at in found)
    for first, last in itertools.pairwise(found):
        assert said(first) == said((first + last) // 2) == said(last - 1)
    dropped = [at for at in found if len(said(at)) == 4]
    assert len(dropped) >= 5
    assert all(len(said(at - 1)) == len(said(at + HOUR)) == 5 for at in dropped)
    sums = {sum(round(weight * 10**6) for _, weight in said(at)) for at in found}
    assert len(sums) > 1  # rounded weights need not add up


def test_names_were_changed_by_a_notice_and_baskets_were_not(clocked: Clocked) -> None:
    """Other spellings from the day of the notice on, of the same exchanges with the same weights."""
    when = instant("2026-02-13T08:00")
    before, after = (served(clocked, at)["data"]["components"] for at in (when - SECOND, when))
    assert [row["weights"] for row in before] == [row["weights"] for row in after]
    assert [NAMES.get(row["exchange"], row["exchange"]) for row in before] == [
        row["exchange"] for row in after
    ]
    assert {row["exchange"] for row in before} != {row["exchange"] for row in after}


def test_the_shape_is_that_of_the_sample(clocked: Clocked, shared: Path) -> None:
    """Same members, same JSON types: everything but the times is a text."""
    known = json.loads((shared / "reference/samples/htx/linear-index-constituents.json").read_text())
    body = served(clocked, NOW)
    assert set(body) == set(known)
    assert set(body["data"]["components"][0]) == set(known["data"]["components"][0])
    assert_shaped(body, known, "linear-index-constituents")
    assert len(body["data"]["index_price"].partition(".")[2]) == 18
    assert all(len(row["weights"].partition(".")[2]) == 4 for row in body["data"]["components"])


def test_dated_futures_have_the_basket_of_their_pair(clocked: Clocked) -> None:
    """Perpetual and dated contract, the same answer but for the code."""
    at = instant("2026-07-01")
    perpetual, dated = (
        served(clocked, at, contract_code=code)["data"] for code in ("BTC-USDT", "BTC-USDT-261225")
    )
    assert (perpetual.pop("contract_code"), dated.pop("contract_code")) == ("BTC-USDT", "BTC-USDT-261225")
    assert perpetual == dated


def test_coin_margined_baskets(clocked: Clocked) -> None:
    """Against the dollar; by contract and by coin; a leg may be quoted in bitcoin."""
    market = clocked.sandbox.market
    for coin in ("BTC", "ETH"):
        swap = served(clocked, NOW, SWAP, contract_code=f"{coin}-usd")["data"]
        dated = served(clocked, NOW, DATED, symbol=coin.lower())["data"]
        assert (swap.pop("contract_code"), dated.pop("symbol")) == (f"{coin}-USD", coin)
        assert swap == dated
        assert rows(swap) == due(market, f"{coin}-USDT", NOW, "USD")
    assert {row["symbol"] for row in swap["components"]} == {"ETH-USD", "ETH-BTC"}


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        (CONSTITUENTS, {"pair": "x"}, 1066),
        (CONSTITUENTS, {"contract_code": "XXX-USDT"}, 1014),
        (CONSTITUENTS, {"contract_code": "LUNA-USDT"}, 1014),
        (CONSTITUENTS, {"contract_code": "WAVES-USDT"}, 1014),
        (SWAP, {"symbol": "BTC"}, 1066),
        (SWAP, {"contract_code": "BTC-USDT"}, 1014),
        (SWAP, {"contract_code": "XRP-USD"}, 1014),
        (DATED, {"contract_code": "BTC"}, 1066),
        (DATED, {"symbol": "XRP"}, 1014),
    ],
)  # fmt: skip
def test_errors(clocked: Clocked, path: str, query: dict[str, str], code: int) -> None:
    """A parameter that is lacking, and contracts that are not there."""
    body = served(clocked, NOW, path, **query)
    assert (body["status"], body["err_code"]) == ("error", code)


def test_two_seeds_are_two_markets() -> None:
    """The same seed gives the same baskets; another one, others."""
    one, same, other = (baskets.truth(Market(seed), "BTC-USDT", NOW) for seed in (0, 0, 1))
    assert one == same != other


# ---------------------------------------------------------------------------------------------- coming fundings


def test_a_coming_funding_moves_until_it_is_settled(clocked: Clocked) -> None:
    """v5 and v1 say the truth's rate at every instant; at the end it is the one that is settled."""
    market = clocked.sandbox.market
    ahead = market.funding_rates("htx-linear", "BTC-USDT", NOW + 1, NOW + DAY)
    due, settled = int(ahead["funding_time"][0]), float(ahead["funding_rate"][0])
    seen = []
    for at in [*range(NOW, due, 7 * MINUTE), due - 1000]:
        v5 = served(clocked, at, "/v5/market/funding_rate", contract_code="BTC-USDT")
        v1 = served(clocked, at, CURRENT, contract_code="BTC-USDT")
        batch = served(clocked, at, BATCH, business_type="swap")
        (row,) = v5["data"]
        (other,) = (row for row in batch["data"] if row["contract_code"] == "BTC-USDT")
        assert v5["ts"] == v1["ts"] == batch["ts"] == at // 1000
        truth = linear_indicative.truth(market, "BTC-USDT", at)
        for said in (row, v1["data"], other):
            assert {
                "funding_time": int(said["funding_time"]) * 1000,
                "funding_rate": float(said["funding_rate"]),
            } == truth
            assert len(said["funding_rate"].partition(".")[2]) == 18
        assert truth["funding_time"] == due
        seen.append(truth["funding_rate"])
    assert len(set(seen)) > len(seen) // 2
    assert max(abs(rate - settled) for rate in seen) > 1e-6
    assert abs(seen[-1] - settled) < 1e-8
