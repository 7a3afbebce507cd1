"""From HTX's index constituents to columns: which exchanges an index looks at, and with what weights (htx-api 4.8).

One answer is one basket as it is now; HTX keeps no history of them. All rows of an answer have one ``index_time``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from htxdata.errors import BadReply
from htxdata.protocol.paging import Page
from htxdata.protocol.wire import Reply
from htxdata.venues.exchanges import exchange_name
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.interest import figure
from htxdata.venues.terms import Parsed


def of_contract(reply: Reply, symbol: str | None) -> Parsed:
    """The basket of swap_contract_constituents (linear, htx-api 4.8 [A]) and swap_constituents (coin-margined, 5 [B]).

    For the latter there is no sample: that its answer looks like that of linear contracts is [C].
    """
    return _basket(reply, symbol or "", ("contract_code",), {symbol or ""})


def of_coin(reply: Reply, symbol: str | None) -> Parsed:
    """The basket of contract_constituents (htx-api 6 [B]), which is asked for by coin: all contracts of it have it.

    There is no sample. What the answer calls itself is [C]: the coin, or the index by its own name (``BTC-USD``).
    """
    coin = coin_of(symbol or "")
    return _basket(reply, symbol or "", ("symbol", "contract_code"), {coin, f"{coin}-USD"})


def coin_of(code: str) -> str:
    """The coin of a coin-margined dated contract: ``BTC`` of ``BTC210813`` (htx-api 1.2 [A])."""
    return re.sub(r"[0-9]{6}$", "", code).upper()


def _basket(reply: Reply, symbol: str, names: Collection[str], meant: Collection[str]) -> Parsed:
    """The answer's rows, each with the ``symbol`` that was asked for.

    That the weights add up to 1 is neither required nor seen to: HTX rounds them to four digits, and what it counts
    while an exchange is silent is its own business. Percent become fractions: the double next to the exact quotient.
    """
    (data,) = wire.slow_rows(wire.envelope(reply.body).get("data") or b"null")  # an object, not a list
    said = next((data[name] for name in names if data.get(name) is not None), None)
    if not isinstance(said, str) or said.upper() not in {name.upper() for name in meant}:
        raise BadReply(f"the answer is of {said!r:.60}, asked for {' or '.join(sorted(meant))!r}")
    index_time = wire.instant(data, "ts", 0)
    price, price_fits = figure(data, "index_price", 0)
    listed = data.get("components")
    if not isinstance(listed, list) or not listed:
        raise BadReply(f"'components' is {listed!r:.60}: an index looks at something")
    columns: dict[str, list[Any]] = {name: [] for name in ("exchange", "constituent", "price", "weight")}
    unfit = []
    met: dict[tuple[str, str], str] = {}
    for at, row in enumerate(listed):
        if not isinstance(row, dict):
            raise BadReply(f"row {at} of 'components' is a {type(row).__name__}, not an object")
        spelled, pair = _text(row, "exchange", at), _text(row, "symbol", at)
        exchange = exchange_name(spelled)
        before = met.setdefault((exchange, pair), spelled)
        if len(met) == at:
            raise BadReply(
                f"row {at}: {pair!r:.60} of {spelled!r:.60} is there twice, first as {before!r:.60}"
            )
        own, own_fits = figure(row, "symbol_price", at)
        figure(row, "weights", at)
        weight, weight_fits = _fraction(row["weights"])
        for name, value in zip(columns, (exchange, pair, own, weight), strict=True):
            columns[name].append(value)
        unfit.append((not price_fits) + (not own_fits) + (not weight_fits))
    count = len(listed)
    same = {"symbol": [symbol] * count, "index_time": [index_time] * count, "index_price": [price] * count}
    return Parsed({**same, **columns}, Page(count, index_time, index_time), unfit if any(unfit) else None)


def _fraction(percent: Any) -> tuple[float, bool]:
    """The hundredth of a decimal as the nearest double, and whether that carries all its digits."""
    sign, digits, exponent = Decimal(percent).as_tuple()
    exact = Decimal(
        (sign, digits, int(exponent) - 2)
    )  # made of its parts: arithmetic would round to 28 digits
    return float(exact), wire.fits(str(exact))


def _text(row: Mapping[str, Any], name: str, at: int) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadReply(f"row {at}: {name!r} is {value!r:.60}, not a text")
    return value.strip()
