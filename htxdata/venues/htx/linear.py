"""What HTX's USDT-margined contracts answer over REST: which request brings which dataset.

Reference data may be asked for 240 times in three seconds, v5 included (htx-api 2.2 [A]).
"""

from __future__ import annotations

from functools import partial

from htxdata.market import Series
from htxdata.protocol.paging import Ask
from htxdata.protocol.wire import Request
from htxdata.venues.htx import constituents, contracts, indicative, interest, liquidations, parse
from htxdata.venues.terms import Endpoint

MARKET, REFERENCE = contracts.MARKET, "reference"
LINE = contracts.Line("/linear-swap-ex/market", "contract_code", REFERENCE)


def _v5_rows(path: str, series: Series, ask: Ask) -> Request:
    cursor = () if ask.cursor is None else (("from", ask.cursor),)
    params = (("contract_code", series.symbol), *contracts.times(ask), ("limit", str(ask.rows)), *cursor)
    return Request(path, params, REFERENCE)


def _price_klines(dataset: str, path: str, topic: str) -> Endpoint:
    docs = "htx-api 4.4 [A]: no times, the newest 2,000 only"
    return contracts.price_klines(LINE, dataset, f"/index/market/history/linear_swap_{path}", topic, docs)


_FUNDING = "/v5/market/funding_rate_history"
_LIQUIDATIONS = "/v5/market/liquidation_orders"

ENDPOINTS = (
    contracts.klines(LINE, "htx-api 4.3 [A]; 1week is listed by HTX's skills hub for REST [C]"),
    Endpoint(
        "funding_rates",
        _FUNDING,
        walk="cursor",
        rows=100,  # 200 answers code 1067
        build=partial(_v5_rows, _FUNDING),
        parse=parse.funding_v5,
        docs="htx-api 4.1 [B]",
    ),
    contracts.fundings_by_page(
        LINE,
        "/linear-swap-api/v1/swap_historical_funding_rate",
        rows=100,  # docs cap 50; 100 was honoured when measured, more is cut in silence
        docs="htx-api 4.7 [A], to be retired",
    ),
    contracts.newest_trades(
        LINE, "htx-api 4.5 [A]; how far back it reaches is not documented: minutes to hours"
    ),
    # Index prices have no REST here: archive only (htx-api 4.4).
    _price_klines("mark_klines", "mark_price_kline", "mark_price"),
    _price_klines("premium_klines", "premium_index_kline", "premium_index"),
    _price_klines("estimated_rate_klines", "estimated_rate_kline", "estimated_rate"),
    contracts.interest_by_hour(
        LINE,
        "/linear-swap-api/v1/swap_his_open_interest",
        "htx-api 4.8 [A], maybe to be retired; 60min is the shortest of its four periods",
    ),
    Endpoint(
        "liquidations",
        _LIQUIDATIONS,
        walk="cursor",
        rows=100,
        build=partial(_v5_rows, _LIQUIDATIONS),
        parse=liquidations.orders_v5,
        docs="htx-api 4.1 [B]",
        horizon=contracts.LIQUIDATION_DEPTH,
        span=contracts.LIQUIDATION_SPAN,
    ),
    contracts.liquidations_by_id(
        LINE,
        "/linear-swap-api/v3/swap_liquidation_orders",
        "contract",
        contracts.itself,
        liquidations.orders_v3,
        "htx-api 4.8 [B], to be retired; its ids are another number space than those of v5",
    ),
)

POLLS = (
    contracts.poll(
        LINE,
        "open_interest",
        "/v5/market/open_interest",
        interest.now_v5,
        "htx-api 4.1 [B]; contract_code is required",
    ),
    contracts.poll_of_all(
        LINE,
        "open_interest",
        "/linear-swap-api/v1/swap_open_interest",
        interest.now_v1,
        "htx-api 4.8 [A], maybe to be retired; that it tells of all where no contract is named is [B]",
        (("business_type", "all"),),  # swap unless said (htx-api 4.2 of contract_info, whose parameter it is)
    ),
    contracts.poll(
        LINE,
        "index_constituents",
        "/linear-swap-api/market/swap_contract_constituents",
        constituents.of_contract,
        "htx-api 4.8 [A]; contract_code is required, and a perpetual and its dated ones have one basket",
    ),
    contracts.poll(
        LINE,
        "index_constituents",
        "/linear-swap-ex/market/swap_contract_constituents",
        constituents.of_contract,
        "htx-api 4.8 [C]: the path as HTX's skills hub prints it, by mistake it seems",
    ),
    contracts.poll(
        LINE,
        "indicative_funding_rates",
        "/v5/market/funding_rate",
        indicative.rows,
        "htx-api 4.1 [B]; that several codes may be named at once is [C], and not made use of",
    ),
    contracts.poll_of_all(
        LINE,
        "indicative_funding_rates",
        "/linear-swap-api/v1/swap_batch_funding_rate",
        indicative.rows,
        "htx-api 4.7 [A], maybe to be retired; all perpetuals in one answer",
    ),
    contracts.poll(
        LINE,
        "indicative_funding_rates",
        "/linear-swap-api/v1/swap_funding_rate",
        indicative.one,
        "htx-api 4.7 [A], maybe to be retired",
    ),
)
