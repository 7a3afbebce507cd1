"""What HTX's coin-margined dated futures answer over REST (htx-api 6). So far: their list, and the baskets of their
indices, which are asked for by coin and stored for each contract."""

from __future__ import annotations

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply, Request
from htxdata.venues.htx import constituents, symbols
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.inverse import COIN, contract
from htxdata.venues.terms import Parsed, Poll

LISTING = Request("/api/v1/contract_contract_info", (), COIN)
_CONSTITUENTS = "/api/market/contract_constituents"


def _constituents(symbol: str | None) -> Request:
    return Request(_CONSTITUENTS, (("symbol", constituents.coin_of(symbol or "")),), COIN)


POLLS = (
    Poll(
        "index_constituents",
        _CONSTITUENTS,
        build=_constituents,
        parse=constituents.of_coin,
        docs="htx-api 6 [B]; `symbol` is the coin",
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
