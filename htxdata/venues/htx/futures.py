"""What HTX's coin-margined dated futures answer over REST (htx-api 6): which request brings which dataset.

Market data is asked for by code (``BTC260327``), reference data by coin, and what it tells of the coin's other
contracts is left out. There is no funding. The history of open interest is kept by alias (this week, next week, …): of
which contract its older points are is not documented, so only what is open now is asked for.
"""

from __future__ import annotations

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import constituents, contracts, interest, liquidations, symbols
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.inverse import COIN, contract, index_klines
from htxdata.venues.terms import Parsed

LINE = contracts.Line("/market", "symbol", COIN)
LISTING = Request("/api/v1/contract_contract_info", (), COIN)

ENDPOINTS = (
    # Spot has the same path on its own host, and means something else by it (htx-api 6).
    contracts.klines(LINE, "htx-api 6 [A]: as linear, without a turnover; 1week [C]"),
    contracts.newest_trades(LINE, "htx-api 6 [A]"),
    contracts.price_klines(
        LINE,
        "mark_klines",
        "/index/market/history/mark_price_kline",
        "mark_price",
        "htx-api 6 [A]: no times, the newest 2,000 only",
    ),
    index_klines(LINE, "htx-api 6 [A]: that of the coin, by its own name (BTC-USD); weeks are not listed"),
    contracts.liquidations_by_id(
        LINE,
        "/api/v3/contract_liquidation_orders",
        "symbol",
        constituents.coin_of,
        liquidations.orders_of_coin,
        "htx-api 6 [B]: `symbol` is the coin, and the answer tells of all its contracts",
    ),
)

POLLS = (
    contracts.poll_of_all(
        LINE,
        "open_interest",
        "/api/v1/contract_open_interest",
        interest.now_coin,
        "htx-api 6 [A]: contracts and coins; of all where none is named (ccxt) [B]",
    ),
    contracts.poll(
        LINE,
        "index_constituents",
        "/api/market/contract_constituents",
        constituents.of_coin,
        "htx-api 6 [B]; `symbol` is the coin",
        parameter="symbol",
        named=constituents.coin_of,
    ),
)


def describe(reply: Reply) -> Parsed:
    """Instruments from contract_contract_info (htx-api 6 [A]): ``BTC210813``, all quoted in US dollars."""
    out = []
    for at, row in enumerate(wire.slow_rows(wire.open_answer(reply.body).rows)):
        code = symbols._text(row, "contract_code", at)
        coin = constituents.coin_of(code)
        if coin == code.upper() or coin != symbols._text(row, "symbol", at).upper():
            raise BadReply(f"row {at}: {code!r:.60} is no dated contract of {row['symbol']!r:.60}")
        out.append(contract(row, at, "future", "USD"))
    return Parsed({name: [row[name] for row in out] for name in symbols._NAMES}, Page(len(out)))
