"""Files of trades to columns of the schema, in pieces of bounded size and in the order of the file. Pure.

The hot path of a backfill: a day of trades has millions of rows. Three quarters of the time goes into Arrow's splitting
of lines into cells and its reading of decimals; what is checked on top of that is checked on whole columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from htxdata.errors import BadReply
from htxdata.market import Series
from htxdata.protocol.paging import Page
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx.archive_ids import Ids
from htxdata.venues.htx.archive_pieces import PIECE, Pieces
from htxdata.venues.htx.archive_rows import FIRST_MS, LAST_MS, Layout, Reader
from htxdata.venues.htx.archive_text import Numbers, cells, check_name, decimals, numbers, sides, whole
from htxdata.venues.terms import Blocks, Facts, Parsed


@dataclass
class Sizes:
    """What the size of a trade means, as far as the rows so far have shown. One per file."""

    facts: Facts
    each: float | None = None
    """Worth of one contract by the file itself: coins (linear) or dollars (coin-margined)."""
    coins: bool | None = None
    """Whether ``size`` is coins; None before the first row."""


Quantities = Callable[[dict[str, Any], Numbers, Sizes, int], dict[str, Numbers]]
"""From the cells of a piece and its prices: ``quantity`` and, where the file says them, ``quote_quantity`` and
``contracts``. The last argument is the number of the piece's first row."""


def trades(layout: Layout, quantities: Quantities, size: int = PIECE) -> Reader:
    """The reader of trades. ``size`` is how many bytes become one piece."""

    def read(blocks: Blocks, series: Series, facts: Facts) -> Iterator[Parsed]:
        own, pieces, sizes, row = layout.own(series), Pieces(blocks, size), Sizes(facts), 0
        ids = Ids()
        columns = layout.of(pieces, own)
        while piece := pieces.take():
            text = cells(piece, columns, row)
            times = whole(text["time"], "the time", row)
            count = len(times)
            # The rows of one timestamp stay together: ids are compared among them.
            if not pieces.ended and times[0] != times[-1]:
                late = count - _last_run(times)
                pieces.give_back(late)
                count -= late
                text = {name: column.slice(0, count) for name, column in text.items()}
                times = times[:count]
            yield _trades(text, times, own, (ids, sizes), quantities, row)
            row += count

    return read


def _last_run(times: Any) -> int:
    """Where the rows begin that end the piece with one timestamp."""
    near = times[-1000:]
    apart = np.flatnonzero(near != times[-1])
    if len(apart):
        return len(times) - len(near) + int(apart[-1]) + 1
    return int(np.flatnonzero(times != times[-1])[-1]) + 1


def _trades(
    text: dict[str, Any],
    times: Any,
    own: tuple[str, ...],
    file: tuple[Ids, Sizes],
    quantities: Quantities,
    row: int,
) -> Parsed:
    ids, sizes = file
    first, last = int(times.min()), int(times.max())
    if first < FIRST_MS or last >= LAST_MS:
        at = int(np.argmax((times < FIRST_MS) | (times >= LAST_MS)))
        raise BadReply(f"row {row + at}: the time is {times[at]}: not milliseconds of our time")
    if "name" in text:
        check_name(text["name"], own, row)
    side, price = sides(text["side"], row), numbers(text["price"], "the price", row)
    amounts = quantities(text, price, sizes, row)
    quantity = amounts["quantity"].values
    columns = {
        "trade_time": pa.array(times * MILLISECOND),
        "trade_id": ids.unique(text["id"], times, price.values, quantity, side, row),
        "price": price.values,
        **{name: amount.values for name, amount in amounts.items()},
        "side": side,
    }
    counts = [one.unfit for one in (price, *amounts.values()) if one.unfit is not None]
    unfit = np.sum(counts, axis=0, dtype=np.uint8) if counts else None
    return Parsed(columns, Page(len(times), first * MILLISECOND, last * MILLISECOND), unfit)


def spot_quantities(text: dict[str, Any], price: Numbers, sizes: Sizes, row: int) -> dict[str, Numbers]:
    return {"quantity": numbers(text["base"], "the volume", row)}


def linear_old(text: dict[str, Any], price: Numbers, sizes: Sizes, row: int) -> dict[str, Numbers]:
    """Contracts, coins and turnover are all there; coins must be so many per contract on every row of the file."""
    out = {
        "quantity": numbers(text["base"], "the volume in coins", row),
        "quote_quantity": numbers(text["turnover"], "the turnover", row),
        "contracts": numbers(text["contracts"], "the volume in contracts", row),
    }
    coins, contracts = out["quantity"].values.to_numpy(), out["contracts"].values.to_numpy()
    _check_worth(coins, contracts, 0.0, sizes, row, "coins")
    turnover, due = (
        float(out["quote_quantity"].values.to_numpy().sum()),
        float((coins * price.values.to_numpy()).sum()),
    )
    if not due * (1 - _NEARLY) <= turnover <= due * (1 + _NEARLY):
        raise BadReply(f"the turnover from row {row} on sums to {turnover}, coins times price to {due}")
    return out


def inverse_old(text: dict[str, Any], price: Numbers, sizes: Sizes, row: int) -> dict[str, Numbers]:
    """Contracts and coins; a contract must be worth the same number of dollars on every row of the file.

    Coins are a quotient, which may have been rounded to the decimals that are written.
    """
    out = {
        "quantity": numbers(text["base"], "the volume in coins", row),
        "contracts": numbers(text["contracts"], "the volume in contracts", row),
    }
    prices = price.values.to_numpy()
    dollars, step = out["quantity"].values.to_numpy() * prices, 10.0 ** -decimals(text["base"])
    _check_worth(dollars, out["contracts"].values.to_numpy(), step * prices, sizes, row, "dollars")
    return out


_SAME = 1e-6  # sizes of contracts differ by factors where they differ
_NEARLY = 0.2  # and so do coins and contracts; a turnover may be rounded


def _check_worth(worth: Any, contracts: Any, slack: Any, sizes: Sizes, row: int, unit: str) -> None:
    if sizes.each is None and contracts.any():
        at = int(np.argmax(worth))  # the largest is rounded least
        sizes.each = float(worth[at] / contracts[at]) if contracts[at] else 0.0
    each = sizes.each or 0.0
    bad = np.abs(worth - each * contracts) > _SAME * worth + slack
    if bad.any():
        at = int(np.argmax(bad))
        raise BadReply(
            f"row {row + at}: {contracts[at]} contracts are {worth[at]} {unit}, others {each} each"
        )


def linear_new(text: dict[str, Any], price: Numbers, sizes: Sizes, row: int) -> dict[str, Numbers]:
    """``size`` is contracts (htx-api 9.3 [C]; surveys of the archive read it so); coins if it is no whole number."""
    size, each = numbers(text["size"], "the size", row), sizes.facts.contract_size
    values = size.values.to_numpy()
    whole_ones = values == np.floor(values)
    if sizes.coins is None:
        sizes.coins = not whole_ones.all()
    if sizes.coins:
        if each is None:
            return {"quantity": size}
        contracts = np.round(values / each)
        _check_whole(np.abs(contracts * each - values) <= _SAME * values, text["size"], row)
        return {"quantity": size, "contracts": Numbers(pa.array(contracts), None)}
    _check_whole(whole_ones, text["size"], row)
    return {"quantity": Numbers(pa.array(_times(values, _known(each))), None), "contracts": size}


def inverse_new(text: dict[str, Any], price: Numbers, sizes: Sizes, row: int) -> dict[str, Numbers]:
    """``size`` is contracts of ``contract_size`` dollars each."""
    size, each = numbers(text["size"], "the size", row), _known(sizes.facts.contract_size)
    values, prices = size.values.to_numpy(), price.values.to_numpy()
    _check_whole(values == np.floor(values), text["size"], row)
    if not prices.all():
        raise BadReply(f"row {row + int(np.argmin(prices))}: the price is 0")
    return {"quantity": Numbers(pa.array(_times(values, each) / prices), None), "contracts": size}


def _known(contract_size: float | None) -> float:
    if contract_size is None:
        raise BadReply("the trades are in contracts, and the size of a contract is not known")
    return contract_size


def _check_whole(good: Any, texts: Any, row: int) -> None:
    if not good.all():
        at = int(np.argmin(good))
        raise BadReply(
            f"row {row + at}: the size is {texts[at].as_py()!r:.60}, neither contracts nor coins as before"
        )


def _times(values: Any, factor: float) -> Any:
    """Whole numbers times a decimal, rounded once: 3 × 0.1 is 0.3."""
    _, digits, exponent = Decimal(repr(factor)).as_tuple()
    whole_factor = int("".join(map(str, digits))) * 10 ** max(int(exponent), 0)
    if int(exponent) < -22 or values.max(initial=0) * whole_factor >= 2**53:
        return values * factor
    return values * whole_factor / 10 ** max(-int(exponent), 0)
