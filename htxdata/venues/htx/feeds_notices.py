"""What HTX's notification socket says to everybody: the coming funding, and liquidations (htx-api 7.6).

These are few: there is no quick way beside the careful one. A push that names all contracts (``public.*.…``) is read as
well; the rows say which contract they are of.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from htxdata.errors import BadReply
from htxdata.timeline import MILLISECOND
from htxdata.venues.htx import liquidations
from htxdata.venues.htx import rows as wire
from htxdata.venues.htx.feeds_frames import Key, Message, Sheets, carefully, figure, objects, price
from htxdata.venues.htx.feeds_topics import CODE, SymbolOf, Topic
from htxdata.venues.terms import Facts, Frame, Pushed

Row = tuple[dict[str, Any], int]
ReadRow = Callable[[Message, int, int], Row]
"""One entry of ``data``, at its place, of a message of that instant: a row but for ``received_at``."""


def notice_parser(
    topic: Topic,
    symbol_of: SymbolOf,
    names: Sequence[str],
    rows_of: Callable[[list[Message], int], list[Row]],
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    everything = topic("*", None)
    named = re.compile(re.escape(everything).replace(r"\*", rf"{CODE}(?:-{CODE})*"))

    def read(sheets: Sheets, received_at: int, message: Message, facts: Mapping[str, Facts]) -> None:
        said = message.get("topic")
        whole = said == everything
        if not (whole or (isinstance(said, str) and named.fullmatch(said))):
            raise BadReply(f"{said!r:.80} is no topic of this feed")
        entries = objects(message, "data")
        rows: dict[Key, list[Row]] = {}
        for entry, (row, unfit) in zip(
            entries, rows_of(entries, wire.instant(message, "ts", 0)), strict=True
        ):
            code = str(entry.get("contract_code"))
            key = symbol_of(everything.replace("*", code))
            if key is None or not (whole or said == topic(code, None)):
                raise BadReply(f"a row of {code!r:.60} in a message of {said!r:.80}")
            row["received_at"] = received_at
            rows.setdefault(key, []).append((row, unfit))
        for key, found in rows.items():
            sheets.add(key, found)

    def parse(frames: Sequence[Frame], facts: Mapping[str, Facts]) -> Pushed:
        sheets = Sheets((*names, "received_at"), symbol_of)
        for at, frame in enumerate(frames):
            carefully(sheets, at, frame, facts, read)
        return sheets.finish()

    return parse


def funding_parser(
    topic: Topic, symbol_of: SymbolOf
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """The rate as it stands now, and the settlement that it is for.

    ``funding_rate`` is the rate of the period that runs, to be settled next. ``settlement_time`` is when: in the
    recorded push of 06:05:48 UTC it says 08:00, while ``funding_time`` says 06:05:00, the minute for which the rate was
    reckoned [A: both documented samples]. Over REST ``funding_time`` is the settlement itself (htx-api 4.7); should the
    push leave ``settlement_time`` out, ``funding_time`` is taken for it if it lies ahead [C], else the row is refused.
    ``estimated_rate``, of the period after, is null since 2022 and not kept.
    """

    def rows_of(entries: list[Message], at: int) -> list[Row]:
        rows = []
        for place, entry in enumerate(entries):
            rate, fitting = wire.number(entry, "funding_rate", place)
            settles = "settlement_time" if entry.get("settlement_time") not in (None, "") else "funding_time"
            when = wire.instant(entry, settles, place)
            if settles == "funding_time" and when < at:
                raise BadReply(
                    f"row {place}: no settlement_time, and 'funding_time' {entry[settles]} is over"
                )
            row = {"observed_at": at, "funding_time": when, "funding_rate": rate}
            rows.append((row, int(not fitting)))
        return rows

    return notice_parser(topic, symbol_of, ("observed_at", "funding_time", "funding_rate"), rows_of)


LIQUIDATION = ("liquidated_at", "liquidation_id", "side", "price", "quantity", "contracts")


def liquidation_parser(
    topic: Topic, symbol_of: SymbolOf, quantity_of: liquidations.Quantity = liquidations._quantity
) -> Callable[[Sequence[Frame], Mapping[str, Facts]], Pushed]:
    """Orders that closed a position by force.

    The push numbers nothing. The id is made of what it says, behind ``ws-``: time, price, contracts and side, and which
    of several alike it is within its push. So the same push heard on two connections is one row, while two alike in
    two pushes of one millisecond would be one too.

    ``direction`` is the order that closed the position, as over REST; ``volume`` counts contracts, ``amount`` coins
    (proved as ``quantity_of`` of ``liquidations.py`` does).
    """

    def rows_of(entries: list[Message], at: int) -> list[Row]:
        seen: Counter[tuple[Any, ...]] = Counter()
        rows = []
        for place, entry in enumerate(entries):
            side = entry.get("direction")
            if side not in ("buy", "sell"):
                raise BadReply(f"row {place}: 'direction' is {side!r:.60}, neither buy nor sell")
            cost, lost = price(entry, "price", place)
            contracts, more = figure(entry, "volume", place)
            if entry.get("trade_turnover") is None and quantity_of is liquidations._quantity:
                quantity, most = figure(entry, "amount", place)
            else:
                quantity, fitting = quantity_of(entry, cost, contracts, place)
                most = not fitting
            when = wire.instant(entry, "created_at", place)
            alike = (entry.get("contract_code"), when, cost, contracts, side)
            number = f"ws-{when // MILLISECOND}-{cost!r}-{contracts!r}-{side}-{seen[alike]}"
            seen[alike] += 1
            values = (when, number, side, cost, quantity, contracts)
            rows.append((dict(zip(LIQUIDATION, values, strict=True)), lost + more + most))
        return rows

    return notice_parser(topic, symbol_of, LIQUIDATION, rows_of)
