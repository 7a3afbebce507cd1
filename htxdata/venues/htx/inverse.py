"""What HTX's coin-margined swaps answer over REST (htx-api 5): which request brings which dataset.

Their contracts are sized in US dollars and settled in the coin; HTX says amounts in coins beside the contracts.
"""

from __future__ import annotations

from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import constituents, contracts, indicative, interest, liquidations, symbols
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Endpoint, Parsed

COIN = "coin_reference"
"""Coin-margined reference data has a limit of its own, 120 requests in three seconds (htx-api 2.2 [A])."""

LINE = contracts.Line("/swap-ex/market", "contract_code", COIN)
LISTING = Request("/swap-api/v1/swap_contract_info", (), COIN)


def contract_size(symbol: str) -> float:
    """US dollars per contract, of a contract that no list has any more: BTC 100, others 10 (htx-api 5 [A])."""
    return 100.0 if constituents.coin_of(symbol).split("-")[0] == "BTC" else 10.0


def index_klines(line: contracts.Line, docs: str) -> Endpoint:
    """Of the index of a coin against dollars, which both coin-margined lines have; its endpoint is that of futures."""

    def named(symbol: str) -> str:
        return f"{constituents.coin_of(symbol).split('-')[0]}-USD"

    asked = contracts.Line(line.market, "symbol", line.pool)
    return contracts.price_klines(
        asked, "index_klines", "/index/market/history/index", "index", docs, named=named, without=frozenset({"1week"})
    )


def _price_klines(dataset: str, path: str, topic: str) -> Endpoint:
    docs = "htx-api 5 [A]: no times, the newest 2,000 only"
    return contracts.price_klines(LINE, dataset, f"/index/market/history/swap_{path}", topic, docs)


ENDPOINTS = (
    contracts.klines(LINE, "htx-api 5 [A]: as linear, without a turnover; 1week [C]"),
    contracts.fundings_by_page(
        LINE, "/swap-api/v1/swap_historical_funding_rate", rows=50, docs="htx-api 5 [A]: since 2020-03; at most 50"
    ),
    contracts.newest_trades(LINE, "htx-api 5 [A]"),
    _price_klines("mark_klines", "mark_price_kline", "mark_price"),
    index_klines(LINE, "htx-api 6 [A]: numbers, unlike the others; weeks are not listed"),
    _price_klines("premium_klines", "premium_index_kline", "premium_index"),
    _price_klines("estimated_rate_klines", "estimated_rate_kline", "estimated_rate"),
    contracts.interest_by_hour(LINE, "/swap-api/v1/swap_his_open_interest", "htx-api 5 [A]: contracts, no value"),
    contracts.liquidations_by_id(
        LINE,
        "/swap-api/v3/swap_liquidation_orders",
        "contract",
        contracts.itself,
        liquidations.orders_of_coin_swaps,
        "htx-api 5 [B]",
    ),
)

POLLS = (
    contracts.poll_of_all(
        LINE,
        "open_interest",
        "/swap-api/v1/swap_open_interest",
        interest.now_coin,
        "htx-api 5 [A]: contracts and coins; of all where no contract is named (ccxt) [B]",
    ),
    contracts.poll(
        LINE,
        "index_constituents",
        "/swap-api/market/swap_constituents",
        constituents.of_contract,
        "htx-api 5 [B]; contract_code is required; legs may be quoted in BTC",
    ),
    contracts.poll_of_all(
        LINE,
        "indicative_funding_rates",
        "/swap-api/v1/swap_batch_funding_rate",
        indicative.rows,
        "htx-api 5 [A]; all in one answer",
    ),
    contracts.poll(
        LINE, "indicative_funding_rates", "/swap-api/v1/swap_funding_rate", indicative.one, "htx-api 5 [A]"
    ),
)


def describe(reply: Reply) -> Parsed:
    """Instruments from swap_contract_info (htx-api 5 [A]). ``contract_size`` is US dollars per contract."""
    out = []
    for at, row in enumerate(wire.slow_rows(wire.open_answer(reply.body).rows)):
        coin, dash, quote = symbols._text(row, "contract_code", at).partition("-")
        if not dash or not quote:
            raise BadReply(f"row {at}: {row['contract_code']!r:.60} names no quote currency")
        if coin.upper() != symbols._text(row, "symbol", at).upper():
            raise BadReply(f"row {at}: {row['contract_code']!r:.60} is not of {row['symbol']!r:.60}")
        out.append(contract(row, at, "swap", quote.upper()))
    return Parsed({name: [row[name] for row in out] for name in symbols._NAMES}, Page(len(out)))


def contract(row: dict[str, Any], at: int, kind: str, quote: str) -> dict[str, Any]:
    """One contract that is settled in its coin, as a row of ``instruments``."""
    state = wire.integer(row, "contract_status", at)
    if state not in symbols._CONTRACT_STATES:
        raise BadReply(f"row {at}: {row['contract_code']!r:.60} is in the unknown contract_status {state}")
    size, _ = wire.number(row, "contract_size", at)
    tick, _ = wire.number(row, "price_tick", at)
    created = row.get("create_date")
    coin = symbols._text(row, "symbol", at).upper()
    return {
        "symbol": row["contract_code"],
        "base": coin,
        "quote": quote,
        "settle": coin,
        "kind": kind,
        "status": symbols._CONTRACT_STATES[state],
        "contract_size": size,
        "tick_size": tick,
        "lot_size": 1.0,
        "listed_at": symbols._day(str(created), at) if created else None,
        "delivery_at": symbols._moment(row, "delivery_time", at),
    }
