"""What was known, or true, when a bar closed: texts of SQL for DuckDB's ASOF JOIN. Pure.

``known="received_at"``  joins what we had heard by then: of the rows with ``received_at`` (and their own time) not
                         after the close, the one with the latest time of its own. A fetch of old rows teaches nothing
                         about earlier: in a lake that was backfilled, ``received_at`` is the day of the backfill, and
                         bars before it get NULL.
``known="true"``         joins what was so by then, whenever we heard of it: the last row whose own time is not after
                         the close. For a lake that was backfilled this is the one to take; funding is published when it
                         is settled, so it looks ahead by seconds at most.

Quotes and trades of the very instant count too. What stood *before* a fill of one's own is joined at an instant a
microsecond before it (``at=``): the fill itself is among the trades, and the quotes of its instant have felt it.

Example: funding of 08:00 was settled at 0.0002, and heard at 08:03 because the venue published it late. The bar that
closes at 08:01 gets 0.0002 by ``"true"``, and the funding of 00:00 by ``"received_at"``; what closes from 08:03 on gets
0.0002 by both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from htxdata.errors import UsageError
from htxdata.research import periods
from htxdata.schema import Dataset, dataset
from htxdata.timeline import DAY

Known = Literal["received_at", "true"]
Which = bool | str | tuple[str, str]
"""``True``: of the bar's own venue and symbol. A symbol: of that one on the bar's venue. Both: of that series."""


@dataclass(frozen=True, slots=True)
class Joined:
    """One dataset that can be joined. Its columns are named ``<prefix>_<column>``, unless they begin so already."""

    dataset: str
    prefix: str
    lasts: int | None = None
    """Microseconds for which a row is the latest word; None: until the next. So a bar does not get the price of before
    a hole of weeks, and one day is not answered by reading years."""
    tie: str = ""
    """Where several rows may have one instant: expressions by which the later of them is the greater."""

    @property
    def declared(self) -> Dataset:
        return dataset(self.dataset)

    @property
    def columns(self) -> list[str]:
        if self.dataset == "index_constituents":
            return ["index_time", "index_price", "basket", "received_at"]
        return [name for name in self.declared.columns if name != "source"]

    def renamed(self, column: str) -> str:
        return column if column.startswith(f"{self.prefix}_") else f"{self.prefix}_{column}"


JOINS = {
    "funding": Joined("funding_rates", "funding"),
    "indicative_funding": Joined("indicative_funding_rates", "indicative"),
    "instruments": Joined("instruments", "instrument"),
    "open_interest": Joined("open_interest", "open_interest"),
    "constituents": Joined("index_constituents", "index"),
    "mark_price": Joined("mark_prices", "mark", DAY),
    # Not "index": the `index_price` of a basket is that of when it began.
    "index_price": Joined("index_prices", "spot_index", DAY),
    "quotes": Joined("quotes", "quote", DAY, "received_at, coalesce(sequence, -1)"),
    # Ids are numbers written as text, which grow with the trades; one order's trades share their instant.
    "trades": Joined("trades", "last", DAY, "length(trade_id), trade_id"),
}
"""What can be joined, by the name of the argument."""


def rows(joined: Joined, view: str, known: Known) -> str:
    """The rows of the view, one for each instant ``_at`` from which they are the latest word on their series."""
    time = joined.declared.time_column
    if joined.dataset == "index_constituents":
        parts = "exchange := exchange, constituent := constituent, price := price, weight := weight"
        view = (
            f"SELECT venue, symbol, index_time, min(index_price) AS index_price, max(received_at) AS received_at, "
            f"list(struct_pack({parts}) ORDER BY exchange, constituent) AS basket FROM ({view}) "
            "GROUP BY venue, symbol, index_time"
        )
    series = "PARTITION BY venue, symbol"
    word = f'row("{time}", {joined.tie})' if joined.tie else f'"{time}"'
    if known == "true":
        last = f' QUALIFY row_number() OVER ({series}, "{time}" ORDER BY {word} DESC) = 1' if joined.tie else ""
        return f'SELECT *, "{time}" AS _at FROM ({view}){last}'
    return (
        f"SELECT * FROM (SELECT *, max({word}) OVER ({series} ORDER BY _at "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS _newest FROM ("
        f'SELECT *, greatest(received_at, "{time}") AS _at FROM ({view}) '
        f'QUALIFY row_number() OVER ({series}, greatest(received_at, "{time}") ORDER BY {word} DESC) = 1'
        f")) WHERE _newest IS NULL OR {word} > _newest"
    )


def statement(
    bars: str, columns: Sequence[str], close: str, parts: Iterable[tuple[Joined, Which, str]]
) -> str:
    """The whole join. ``bars`` names a relation with ``columns``, ``close`` is an expression over it; ``parts`` are
    what is joined, whose, and the text of its :func:`rows`. The rows of ``bars`` come in their order, each once."""
    added, keys, joins, names = [], [], [], set(columns)
    for at, (joined, which, text) in enumerate(parts):
        venue, symbol = _whose(which, columns)
        keys.append(f"{venue} AS _venue{at}, {symbol} AS _symbol{at}")
        joins.append(
            f"ASOF LEFT JOIN ({text}) AS r{at} ON b._venue{at} = r{at}.venue AND b._symbol{at} = r{at}.symbol "
            f"AND b._close >= r{at}._at"
        )
        for column in joined.columns:
            name = joined.renamed(column)
            if name in names:
                raise UsageError(
                    f"the bars have a column {name!r} already: leave it out, or do not join it again"
                )
            names.add(name)
            value = f'r{at}."{column}"'
            if joined.lasts is not None:
                own_time = f'r{at}."{joined.declared.time_column}"'
                young = f"{own_time} >= b._close - to_microseconds({joined.lasts})"
                value = f"CASE WHEN {young} THEN {value} END"
            added.append(f'{value} AS "{name}"')
    own = ", ".join(f"b.{quoted(name)}" for name in columns)
    inner = ", ".join(["*", f"{close} AS _close", "row_number() OVER () AS _row", *keys])
    return f"SELECT {', '.join([own, *added])} FROM (SELECT {inner} FROM {bars}) AS b {' '.join(joins)} ORDER BY b._row"


def _whose(which: Which, columns: Sequence[str]) -> tuple[str, str]:
    venue, symbol = "venue", "symbol"
    if isinstance(which, str):
        symbol = text(which)
    elif isinstance(which, tuple):
        venue, symbol = (text(each) for each in which)
    for name in (venue, symbol):
        if name in ("venue", "symbol") and name not in columns:
            raise UsageError(f"the bars have no column {name!r}: say which series to join as (venue, symbol)")
    return venue, symbol


def close_of(
    columns: Sequence[str], periods_of: Iterable[tuple[str, str]], opens: dict[str, int | None]
) -> str:
    """When bars close, as SQL: ``close_time`` where there is one, or ``open_time`` and the length of ``period``.

    ``periods_of``: the venues and periods that occur; ``opens``: when days of venues open that have months.
    """
    if "close_time" in columns:
        return "close_time"
    if "open_time" not in columns or "period" not in columns:
        raise UsageError(
            "when the bars close is not told by close_time, nor by open_time and period: name the column with at="
        )
    cases = []
    for venue, period in sorted(periods_of):
        # A month's length is that of the calendar; when it begins, of the venue's.
        grid = periods.grid(period, opens.get(venue) if periods.by_calendar(period) else 0)
        after = f"open_time + to_microseconds({grid.step})"
        if not grid.step:
            local = f"(open_time - to_microseconds({grid.anchor})) AT TIME ZONE 'UTC'"
            after = f"({local} + INTERVAL 1 MONTH) AT TIME ZONE 'UTC' + to_microseconds({grid.anchor})"
        whose = f" AND venue = {text(venue)}" if "venue" in columns else ""
        cases.append(f"WHEN period = {text(period)}{whose} THEN {after}")
    return f"CASE {' '.join(cases)} END" if cases else "open_time"


def text(value: str) -> str:
    """A text as SQL."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'
