"""Names for pushed trades whose numbers REST does not know, and states that are told again and again. Pure.

Both look at one topic on one connection, message after message, and put down in its `Topic` what the next ones are to
be compared with: where a run ends, in the middle of an instant or of a state, makes no difference.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from htxdata.ingest.distil_memory import NameLine, StateLine, Topic
from htxdata.schema import Dataset
from htxdata.timeline import MILLISECOND
from htxdata.venues.names import stem

KEPT = 256
"""So many instants of a topic are remembered: more than a venue repeats, or sends out of order."""

Columns = dict[str, Any]


def named(topic: Topic, columns: Columns) -> Columns:
    """The trades with names in place of the venue's numbers (`venues.names`); what was pushed twice has one name. Fills
    of one's own are counted order by order."""
    line = topic.names = topic.names or NameLine()
    sizes = columns.get("contracts")
    sizes = columns["quantity"] if sizes is None or None in sizes else sizes
    orders = columns.get("order_id")
    names = []
    for at, when in enumerate(columns["trade_time"]):
        name = stem(when // MILLISECOND, columns["price"][at], sizes[at], columns["side"][at])
        alike = name if orders is None else f"{name} of {orders[at]}"
        heard = line.instants.setdefault(when, {}).setdefault(alike, [])
        number = columns["trade_id"][at]
        if number not in heard:
            heard.append(number)
        names.append(f"{name}-{heard.index(number) + 1}")
    for when in sorted(line.instants)[:-KEPT]:
        del line.instants[when]
    return {**columns, "trade_id": names}


def changed(topic: Topic, columns: Columns, declared: Dataset) -> Columns:
    """Of rows that hold until the next ones those that say something new, and the first of the connection."""
    line = topic.state = topic.state or StateLine()
    pushes = list(zip(columns["received_at"], columns[declared.time_column], strict=True))
    names = declared.says
    keep: list[int] = []
    for _, group in groupby(range(len(pushes)), key=pushes.__getitem__):
        rows = list(group)
        said = [list(row) for row in sorted({tuple(columns[name][at] for name in names) for at in rows})]
        if said != line.said:
            keep += rows
            line.said = said
    return {name: [values[at] for at in keep] for name, values in columns.items()}

