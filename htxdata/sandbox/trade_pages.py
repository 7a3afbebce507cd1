"""Trade pages of spot and linear contracts: the newest N orders with their fills, and the newest one (3.3, 4.5).

`size` counts orders, so more trades than that can come back. Spot lists the newest first, contracts the oldest first
(samples spot-history-trade, coinfut-history-trade). There is no from and no to: what is older is not served.
"""

from __future__ import annotations

import numpy as np

from .answers import Answer, Ask, Exchange, hyphens
from .bars import Columns
from .breakage import take
from .candles import number
from .instruments import INSTRUMENTS, LINEAR, SPOT, Instrument
from .noise import Ints, key_of, words
from .product_lines import USDT, Line, business_asked
from .spelling import linear_trade_groups, piece, plain, spot_trade_groups

GROUPS = (
    33_600_000_000  # between a trade's number and its group's: both stood so in sample spot-history-trade
)


def _spot_asked(ask: Ask) -> str:
    symbol = ask.query.get("symbol", "")
    if symbol not in INSTRUMENTS[SPOT] or INSTRUMENTS[SPOT][symbol].status_at(ask.now) == "pre-online":
        raise hyphens(ask, "invalid-parameter", "invalid symbol")
    return symbol


def _sized(ask: Ask, default: int | None) -> int:
    try:
        size = number(ask.query.get("size"))
    except ValueError:
        size = 0
    size = default if size is None else size
    if size is None or not 1 <= size <= 2000:
        raise hyphens(ask, "invalid-parameter", "invalid size,valid range: [1, 2000]")
    return size


def _newest(exchange: Exchange, ask: Ask, venue: str, symbol: str, size: int) -> Columns:
    """The trades of a page in the order of the venue, as a fault may have bent them."""
    rows = exchange.market.newest_trades(venue, symbol, size, ask.now)
    if venue == SPOT:
        rows = take(rows, np.arange(len(rows["trade_id"]), dtype=np.int64)[::-1])
    return rows if ask.bend is None else ask.bend(rows, ask.now)


def _spot_rows(rows: Columns) -> bytes:
    return spot_trade_groups(
        rows, (rows["order"] + GROUPS).tolist(), inner_ids(rows["trade_id"], rows["order"])
    )


def inner_ids(trade_id: Ints, order: Ints) -> list[int]:
    """The ids that HTX declared obsolete: the group's number with 9 to 15 digits behind it, 21 to 27 digits in all.

    One fill in sixteen has the id of its order's first, as duplicates are on record (htx-api 3.3).
    """
    dice = words(key_of("inner id"), order)
    own = words(key_of("inner id of a fill"), trade_id)
    same = (trade_id == order) | ((own & np.uint64(15)) == 0)
    digits = np.where(same, dice, own) >> np.uint64(8)
    widths = (dice % np.uint64(7)).astype(np.int64) + 9
    return [
        (group + GROUPS) * 10**width + digit % 10**width
        for group, width, digit in zip(order.tolist(), widths.tolist(), digits.tolist(), strict=True)
    ]


def spot_history(exchange: Exchange, ask: Ask) -> Answer:
    """/market/history/trade: size 1 to 2000 orders, one unless said; newest first."""
    symbol, size = _spot_asked(ask), _sized(ask, 1)
    rows = _newest(exchange, ask, SPOT, symbol, size)
    head = f'{{"ch":"market.{symbol}.trade.detail","status":"ok","ts":{ask.ms},"data":['
    return Answer(head.encode(), piece(_spot_rows(rows)), b"]}")


def spot_newest(exchange: Exchange, ask: Ask) -> Answer:
    """/market/trade: the newest order's fills."""
    symbol = _spot_asked(ask)
    rows = _newest(exchange, ask, SPOT, symbol, 1)
    head = f'{{"ch":"market.{symbol}.trade.detail","status":"ok","ts":{ask.ms},"tick":'
    return Answer(head.encode() + (_spot_rows(rows) or b"null") + b"}")


def contract_history(line: Line, exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-ex/market/history/trade: size is required; oldest first, JSON numbers."""
    code, one = line.asked(ask), line.meant(ask)
    rows = _newest(exchange, ask, line.venue, one.symbol, _sized(ask, None))
    head = f'{{"ch":"market.{code.upper()}.trade.detail","data":['
    tail = f'],"status":"ok","ts":{ask.ms}}}'
    return Answer(head.encode(), piece(linear_trade_groups(rows)), tail.encode())


def linear_newest(exchange: Exchange, ask: Ask) -> Answer:
    """/linear-swap-ex/market/trade: the newest fills of a contract, or of all that trade; numbers are strings (4.5)."""
    code, business = ask.query.get("contract_code"), business_asked(ask, "swap")
    if code:
        chosen = [USDT.meant(ask)]
    else:
        kinds = {"swap": ("swap",), "futures": ("future",), "all": ("swap", "future")}[business]
        listed = INSTRUMENTS[LINEAR].values()
        chosen = [one for one in listed if one.kind in kinds and one.status_at(ask.now) == "online"]
    fills = [fill for one in chosen for fill in _fills(one, _newest(exchange, ask, LINEAR, one.symbol, 1))]
    tick = f'{{"data":[{",".join(fills)}],"id":{ask.ms},"ts":{ask.ms}}}'
    head = f'{{"ch":"market.{code.upper() if code else "*"}.trade.detail","status":"ok","tick":'
    return Answer(f'{head}{tick},"ts":{ask.ms}}}'.encode())


def _fills(one: Instrument, rows: Columns) -> list[str]:
    numbers = (rows[name].tolist() for name in ("contracts", "quantity", "quote_quantity", "price"))
    return [
        f'{{"amount":"{amount}","quantity":"{plain(quantity)}","trade_turnover":"{plain(turnover)}",'
        f'"ts":{time // 1000},"id":{identity},"price":"{plain(price)}","direction":"{side}",'
        f'"contract_code":"{one.symbol}"}}'
        for amount, quantity, turnover, price, time, identity, side in zip(
            *numbers,
            rows["trade_time"].tolist(),
            rows["trade_id"].tolist(),
            rows["side"].tolist(),
            strict=True,
        )
    ]
