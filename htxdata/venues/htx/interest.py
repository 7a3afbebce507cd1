"""From HTX's open interest to columns: its history by the hour, and what is open now."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, DecimalException
from typing import Any

import msgspec

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues.htx import rows as wire
from htxdata.venues.terms import Parsed

IN_CONTRACTS = "1"
"""``amount_type``: 1 counts contracts, 2 coins. Only the first is asked for: contracts are what every row of the
dataset has, and one answer speaks in one unit."""


class _History(msgspec.Struct):
    contract_code: str
    tick: list[dict[str, Any]]


_history = msgspec.json.Decoder(_History, float_hook=Decimal)


def history(reply: Reply, series: Series) -> Parsed:
    """The newest points of swap_his_open_interest (htx-api 4.8 [A]), in contracts; ``value`` is USDT, and
    coin-margined contracts have none (5).

    Whether a point changes until its hour is over is not documented. A recorded point of a day is 0.03 % off what was
    open 26 minutes earlier, ten hours into that day: it looks as if it did [C]. So the newest point is not final
    (``Page.until``), and the page says nothing of what follows.
    """
    data = wire.envelope(reply.body).get("data", b"")
    try:
        said = _history.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DecimalException) as error:
        raise BadReply(f"the answer is no history of open interest: {error}") from error
    _check_code(said.contract_code, series)
    times, lost = [], []
    columns: dict[str, list[float | None]] = {"contracts": [], "value": []}
    for at, row in enumerate(said.tick):
        if str(row.get("amount_type")) != IN_CONTRACTS:
            raise BadReply(
                f"row {at}: 'amount_type' is {row.get('amount_type')!r:.60}: these are not contracts"
            )
        times.append(wire.instant(row, "ts", at))
        unfit = 0
        for ours, theirs in (("contracts", "volume"), ("value", "value")):
            absent = ours == "value" and row.get(theirs) is None
            value, fitting = (None, True) if absent else figure(row, theirs, at)
            columns[ours].append(value)
            unfit += not fitting
        lost.append(unfit)
    page = Page(len(times), min(times), max(times), until=max(times)) if times else Page(0)
    return Parsed({"time": times, **columns}, page, lost if any(lost) else None)


def now_coin(reply: Reply, symbol: str | None) -> Parsed:
    """The same of coin-margined contracts (htx-api 5, 6; samples coinswap-open-interest-2, coinfut-open-interest-2):
    contracts and coins, and no value."""
    return _now(wire.slow_rows(wire.open_answer(reply.body).rows), reply, symbol, _NOW_COIN)


def now_v5(reply: Reply, symbol: str | None) -> Parsed:
    """What is open now of one contract: one object, every number a text (htx-api 4.1 [B])."""
    return _now(wire.slow_rows(wire.envelope(reply.body).get("data", b"")), reply, symbol)


def now_v1(reply: Reply, symbol: str | None) -> Parsed:
    """The same from swap_open_interest: a list, in numbers (htx-api 4.8 [A]).

    Where no contract was named (``symbol`` is None) it is of every one that trades.
    """
    return _now(wire.slow_rows(wire.open_answer(reply.body).rows), reply, symbol)


def _now(
    rows: list[dict[str, Any]], reply: Reply, symbol: str | None, names: Mapping[str, str] | None = None
) -> Parsed:
    """``symbol`` and the columns of the dataset. The time of all rows is that of the answer: it says no other."""
    if symbol is not None and len(rows) != 1:
        raise BadReply(f"asked for what is open of {symbol}, was sent {len(rows)} rows")
    at = _answered_at(reply)
    codes: dict[str, None] = {}
    names = names or _NOW
    columns: dict[str, list[Any]] = {name: [] for name in names}
    lost = []
    for number, row in enumerate(rows):
        code = row.get("contract_code")
        if not isinstance(code, str) or not code:
            raise BadReply(f"row {number}: 'contract_code' is {code!r:.60}, not a text")
        if symbol is not None and code.upper() != symbol.upper():
            raise BadReply(f"row {number} is of {code!r:.60}, asked for {symbol!r}")
        if code in codes:
            raise BadReply(f"row {number}: {code!r:.60} was told already")
        codes[code] = None
        unfit = 0
        for ours, theirs in names.items():
            value, fitting = figure(row, theirs, number)
            columns[ours].append(value)
            unfit += not fitting
        lost.append(unfit)
    said = {"symbol": list(codes), "time": [at] * len(rows), **columns}
    return Parsed(said, Page(len(rows), at, at) if rows else Page(0), lost if any(lost) else None)


_NOW_COIN = {"contracts": "volume", "volume": "amount"}
_NOW = {**_NOW_COIN, "value": "value"}


def _answered_at(reply: Reply) -> int:
    """When the venue made the answer (``ts``), microseconds UTC; it is the only time that such an answer has."""
    try:
        said = msgspec.json.decode(wire.envelope(reply.body).get("ts", b"null"))
    except msgspec.DecodeError as error:
        raise BadReply(f"the answer's 'ts' is no JSON: {error}") from error
    return wire.instant({"ts": said}, "ts", 0)


def figure(row: dict[str, Any], name: str, at: int) -> tuple[float, bool]:
    """A number that cannot be negative, and whether a DOUBLE carries it."""
    value, fitting = wire.number(row, name, at)
    if value < 0:
        raise BadReply(f"row {at}: {name!r} is {value}: negative")
    return value, fitting


def _check_code(said: Any, series: Series) -> None:
    if not isinstance(said, str) or said.upper() != series.symbol.upper():
        raise BadReply(f"the answer is of {said!r:.60}, asked for {series.symbol!r}")
